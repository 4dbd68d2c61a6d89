"""VGG16 in the table: ImageNet's weights where they are, else a stand-in that says what it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from avc_fakes import SETTINGS
from torch import nn

from llinet_lite import workspace
from llinet_lite.avc import standin
from llinet_lite.avc.standin import vgg_vectors
from llinet_lite.data.bandstand import WORLD_VERSION


class Colours(nn.Module):
    """In place of ImageNet's VGG16: the mean colour of a picture."""

    def __init__(self):
        super().__init__()
        self.unit = nn.Parameter(torch.ones(3))

    def embed_image(self, image):
        return image.mean((2, 3)) * self.unit.detach()


def test_named_weights_that_are_missing_are_an_error(lesson, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No ImageNet weights of VGG16 at .*nosuch\.pth"):
        vgg_vectors(lesson(), ("val",), [0], str(tmp_path / "nosuch.pth"))
    assert not lesson().training_dir.exists(), "nothing was trained in their place"


def test_a_file_that_the_environment_names_must_be_there(lesson, tmp_path, monkeypatch):
    monkeypatch.setenv("LLINET_VGG16", str(tmp_path / "nosuch.pth"))
    with pytest.raises(FileNotFoundError, match="LLINET_VGG16"):
        vgg_vectors(lesson(), ("val",), [0])


def test_without_weights_a_stand_in_is_trained_and_named_so(lesson, store, capsys):
    title, seen, note = vgg_vectors(lesson(retrain=True), ("train", "test"), [0, 1])
    out = capsys.readouterr().out
    assert "no vgg16-397923af.pth in torch's cache, so a stand-in takes the place" in out
    assert title == "VGG16 (stand-in)" and "labels of the seen classes" in note
    assert [len(of) for of in seen] == [2, 2]
    (train, test), (_, other) = seen
    assert len(train.image) == len(store.images("train")), "every picture"
    assert len(test.image) == len(store.sounds("test")), "one of each clip"
    assert train.audio is None and test.audio is None
    assert test.image.shape[1] == 64 * SETTINGS.width
    assert not torch.equal(test.image, other.image), "seeds differ"
    lengths = test.image.norm(dim=1)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-5)


def test_the_published_stand_in_is_loaded(lesson, capsys):
    maker = lesson(retrain=True, publish=True)
    _, (first,), _ = vgg_vectors(maker, ("test",), [0])
    card = lesson().card(workspace.WEIGHTS / "vgg16-seen.safetensors")
    assert card["world"] == WORLD_VERSION and card["lesson"] == maker.name and len(card["validation"]) == 1
    capsys.readouterr()
    _, (again,), _ = vgg_vectors(lesson(), ("test",), [0])
    assert "training" not in capsys.readouterr().out
    assert torch.equal(first[0].image, again[0].image)


def test_imagenets_network_is_one_for_all_seeds(lesson, store, monkeypatch):
    monkeypatch.setattr(standin, "weights_file", lambda weights: weights)
    monkeypatch.setattr(standin, "vgg16_imagenet", lambda weights: Colours())
    title, seen, note = vgg_vectors(lesson(), ("test",), [0, 1, 2])
    assert title == "VGG16-ImageNet" and note == "labels of ImageNet" and len(seen) == 3
    (test,), images = seen[0], store.images("test")
    row = int(test.image_row[4])
    colour = images.image(row)[4:36, 4:36].reshape(-1, 3).mean(0)
    assert np.allclose(test.image[4], colour / np.linalg.norm(colour), atol=1e-3)
