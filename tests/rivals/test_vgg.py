"""VGG16: the network of the paper, weights from a file, and the stand-in."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import VGG16_Weights, vgg16

from llinet_lite import classifier
from llinet_lite.classifier import class_hits
from llinet_lite.data.bandstand import WorldSet, build
from llinet_lite.data.batches import ImageBatches
from llinet_lite.features import to_image
from llinet_lite.old_road import overfit_one_batch
from llinet_lite.profiles import PROFILES
from llinet_lite.rivals import vgg
from llinet_lite.rivals.vgg import FILE, VARIABLE, VGG16, train_vgg, vgg16_imagenet

SETTINGS = dataclasses.replace(
    PROFILES["smoke"], image_size=40, image_crop=32, width=4, batch_size=8, learning_rate=1e-3
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    plan = WorldSet("tiny", 40, 16000, 2.0, 2, train_share=0.01, held_out=1, mixed=1)
    folder = tmp_path_factory.mktemp("world") / "tiny"
    return build(folder, plan, splits=("train", "val"), workers=1, progress=False)


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No weights on this machine: an empty cache, no environment variable."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "hub" / "checkpoints"


def flat_state() -> dict[str, torch.Tensor]:
    """Names and shapes of torchvision's vgg16, one stored number per tensor: a file of a few kilobytes."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in vgg16(weights=None).state_dict().items()}
    return {name: torch.tensor(k / 1000).expand(shape) for k, (name, shape) in enumerate(shapes.items())}


# ---- the network


def test_it_is_torchvisions_vgg16():
    torch.manual_seed(0)
    theirs = vgg16(weights=None, init_weights=False).eval()
    with torch.device("meta"):
        ours = VGG16(1000, batch_norm=False)
    ours.load_state_dict(theirs.state_dict(), assign=True)
    ours.eval()
    assert sum(weight.numel() for weight in ours.parameters()) == 138_357_544
    image = torch.rand(1, 3, 224, 224)
    seen = VGG16_Weights.IMAGENET1K_V1.transforms(resize_size=224)(image)  # their normalisation
    with torch.inference_mode():
        torch.testing.assert_close(ours(image), theirs(seen))


@pytest.mark.parametrize(("width", "size", "hidden"), [(64, 224, 4096), (16, 112, 1024), (16, 64, 1024)])
def test_sizes_scale_with_width_and_picture(width, size, hidden):
    with torch.device("meta"):
        model, image = VGG16(24, width, size).eval(), torch.empty(2, 3, size, size)
    convolutions = [layer for layer in model.features if isinstance(layer, torch.nn.Conv2d)]
    assert [layer.out_channels // width for layer in convolutions] == [1, 1, 2, 2, 4, 4, 4, *[8] * 6]
    assert model.features(image).shape == (2, 8 * width, size // 32, size // 32)
    assert model.embed_image(image).shape == (2, hidden) and model.hidden == hidden
    assert model(image).shape == (2, 24)


def test_logits_come_from_the_embedding_and_every_weight_learns():
    torch.manual_seed(0)
    model = VGG16(5, 2, 32, hidden=16)
    image = torch.rand(8, 3, 32, 32)
    model(image).square().sum().backward()
    assert all(
        weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.classifier.parameters()
    )
    assert all(layer.weight.grad.abs().sum() > 0 for layer in model.features if hasattr(layer, "weight"))
    model.eval()
    caught = []
    model.classifier[4].register_forward_hook(lambda *step: caught.append(step[2]))  # the second ReLU
    logits, embedding = model(image), model.embed_image(image)
    assert torch.equal(embedding, caught[0]) and embedding.shape == (8, 16) and embedding.min() >= 0
    assert torch.equal(model.classifier[6](embedding), logits)


def test_pictures_of_another_size_are_resized_as_pillow_does():
    model = VGG16(3, 2, 64)
    model.features = model.classifier = torch.nn.Identity()  # what comes out is what the network is shown
    big = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    small = np.asarray(Image.fromarray(big).resize((64, 64), Image.Resampling.BILINEAR))
    expected = (small / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    shown = model(to_image(torch.from_numpy(big)[None])).reshape(3, 64, 64)
    np.testing.assert_allclose(shown.permute(1, 2, 0), expected, atol=1.1 / 255 / 0.224)


def test_what_is_no_picture_is_refused():
    with pytest.raises(
        TypeError, match=r"VGG16 takes \(B, 3, H, W\) floats in \[0, 1\], got \(1, 32, 32, 3\) torch.uint8"
    ):
        VGG16(2, 2, 32)(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="five pools leave nothing of 31 px"):
        VGG16(2, 2, 31)


# ---- weights from a file


def test_without_weights_the_error_says_what_to_do(nowhere, no_network):
    with pytest.raises(FileNotFoundError) as caught:
        vgg16_imagenet()
    said = str(caught.value)
    for part in (str(nowhere / FILE), "528 MB", "never downloaded", VARIABLE, "train_vgg", "stand-in"):
        assert part in said


def test_a_named_file_that_is_missing_is_not_replaced_by_the_cache(nowhere, monkeypatch, tmp_path):
    nowhere.mkdir(parents=True)
    torch.save(flat_state(), nowhere / FILE)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine.pth"))
    with pytest.raises(FileNotFoundError, match=r"mine.pth \(\$LLINET_VGG16\)"):
        vgg16_imagenet()
    with pytest.raises(FileNotFoundError, match=r"other.pth \(weights\)"):
        vgg16_imagenet(tmp_path / "other.pth")


def test_weights_are_found_by_path_by_variable_and_in_the_cache(nowhere, monkeypatch, tmp_path):
    torch.save(flat_state(), tmp_path / "mine.pth")
    model = vgg16_imagenet(tmp_path / "mine.pth")
    assert not model.training and not any(weight.requires_grad for weight in model.parameters())
    assert {name: value.flatten()[0].item() for name, value in model.state_dict().items()} == pytest.approx(
        {name: value.flatten()[0].item() for name, value in flat_state().items()}
    )
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine.pth"))
    assert vgg16_imagenet().hidden == 4096
    monkeypatch.delenv(VARIABLE)
    nowhere.mkdir(parents=True)
    torch.save(flat_state(), nowhere / FILE)
    with pytest.raises(
        ValueError, match=f"{FILE} is damaged: its sha256 starts with [0-9a-f]{{8}}. Replace it"
    ):
        vgg16_imagenet()
    monkeypatch.setattr(vgg.hashlib, "file_digest", lambda *_: vgg.hashlib.new("sha256"))
    monkeypatch.setattr(vgg, "FILE", "vgg16-e3b0c442.pth")  # the sha256 of nothing
    (nowhere / FILE).rename(nowhere / "vgg16-e3b0c442.pth")
    assert vgg16_imagenet().hidden == 4096


def test_a_file_of_something_else_is_refused(tmp_path):
    small = VGG16(3, 2, 32)
    save_file(small.state_dict(), tmp_path / "small.safetensors")
    with pytest.raises(ValueError, match=r"small.safetensors holds another network than torchvision's vgg16"):
        vgg16_imagenet(tmp_path / "small.safetensors")
    torch.save({"epoch": 3, "model": small.state_dict()}, tmp_path / "checkpoint.pth")
    with pytest.raises(ValueError, match=r"checkpoint.pth holds another network"):
        vgg16_imagenet(tmp_path / "checkpoint.pth")
    for name in ("text.pth", "text.safetensors"):
        (tmp_path / name).write_text("no weights")
        with pytest.raises(ValueError, match=f"{name} cannot be read as weights"):
            vgg16_imagenet(tmp_path / name)


# ---- the stand-in


def test_batches_are_pictures_alone_and_a_function_of_seed_and_epoch(store):
    batches = ImageBatches(store, "train", batch_size=8, image_crop=32, seed=3)
    count = len(store.images("train"))
    one, again = list(batches.epoch(1)), list(batches.epoch(1))
    assert len(one) == count // 8 and "audio" not in one[0]
    index = torch.cat([batch["index"] for batch in one])
    assert len(index.unique()) == len(index) == count // 8 * 8
    assert np.array_equal(torch.cat([b["label"] for b in one]), store.images("train").label[index])
    assert all(torch.equal(a[key], b[key]) for a, b in zip(one, again, strict=True) for key in a)
    for other in (batches.epoch(2), ImageBatches(store, "train", batch_size=8, image_crop=32).epoch(1)):
        assert not torch.equal(other[0]["index"], one[0]["index"])
    crop = one[0]["image"][0].numpy()
    whole = store.images("train").image(int(index[0]))
    places = [(top, left) for top in range(9) for left in range(9)]
    assert any(np.array_equal(whole[t : t + 32, c : c + 32], crop) for t, c in places)
    with pytest.raises(ValueError, match=f"batch_size must lie between 1 and {count}, the images of train"):
        ImageBatches(store, "train", batch_size=count + 1, image_crop=32)


def test_the_step_is_cross_entropy_over_the_seen_classes():
    step = classifier._ClassStep(np.array([2, 5, 30]))
    batch = {
        "image": torch.randint(0, 256, (2, 4, 4, 3), dtype=torch.uint8),
        "draws": torch.full((2, 8), 0.5),
        "label": torch.tensor([30, 2]),
    }
    logits = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    expected = -(logits.log_softmax(1)[0, 2] + logits.log_softmax(1)[1, 0]) / 2
    torch.testing.assert_close(step(lambda image: logits, batch), expected)


def test_one_batch_is_learned_by_heart(store):
    torch.manual_seed(0)
    batch = ImageBatches(store, "train", batch_size=16, image_crop=32).epoch(0)[0]
    step = classifier._ClassStep(np.unique(store.images("train").label))
    losses = overfit_one_batch(VGG16(24, 4, 32), step, batch, steps=60, lr=3e-3)
    assert losses[0] == pytest.approx(np.log(24), rel=0.1) and losses[-1] < 0.5, losses


def test_the_best_epoch_by_validation_is_returned_and_a_run_goes_on(store, tmp_path, monkeypatch):
    states = []

    def falling(model, of, split, settings):
        assert of is store and split == "val" and not model.training
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return np.arange(4) >= len(states)  # accuracy 3/4, then 2/4

    monkeypatch.setattr(classifier, "class_hits", falling)
    model, history = train_vgg(store, SETTINGS, seed=0, run_dir=tmp_path / "run", epochs=2, quiet=True)
    assert [epoch["accuracy"] for epoch in history.epochs] == [0.75, 0.5]
    assert all(torch.equal(value, states[0][name]) for name, value in model.state_dict().items())
    assert not torch.equal(model.classifier[6].weight, states[1]["classifier.6.weight"])
    assert model.classifier[6].out_features == len(np.unique(store.images("train").label)) == 24
    again, second = train_vgg(store, SETTINGS, seed=0, run_dir=tmp_path / "run", epochs=2, quiet=True)
    assert second.resumed_at == history.epochs[-1]["step"] and len(states) == 2
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    last, _ = train_vgg(store, SETTINGS, seed=0, run_dir=None, epochs=2, quiet=True)
    assert all(torch.equal(value, states[1][name]) for name, value in last.state_dict().items())


def test_pictures_may_be_shrunk_for_the_network(store):
    model, _ = train_vgg(
        store,
        dataclasses.replace(SETTINGS, image_crop=40),
        seed=0,
        run_dir=None,
        epochs=1,
        size=32,
        quiet=True,
    )
    assert model.size == 32 and model.classifier[0].in_features == 8 * SETTINGS.width


def test_hits_are_counted_by_label(store):
    labels = store.images("val").label
    seen = np.unique(store.images("train").label)

    class Oracle(torch.nn.Module):
        """Names the first half of the pictures rightly, the others wrongly."""

        def __init__(self):
            super().__init__()
            self.bias, self.done = torch.nn.Parameter(torch.zeros(1)), 0

        def forward(self, image):
            rows = np.arange(self.done, self.done + len(image))
            self.done += len(image)
            column = np.searchsorted(seen, labels[rows])
            column = np.where(rows < len(labels) // 2, column, (column + 1) % len(seen))
            return torch.nn.functional.one_hot(torch.from_numpy(column), len(seen)).float()

    hits = class_hits(Oracle(), store, "val", SETTINGS.image_crop)
    assert hits.dtype == bool and hits.tolist() == [k < len(labels) // 2 for k in range(len(labels))]
