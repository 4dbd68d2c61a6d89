"""What lesson 04 shows: classes, examples, the report on a trunk, and the walk through every tensor."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from zeroshot_fakes import SETTINGS, trunk_of

from llinet_lite.features import LogMel, to_waveform
from llinet_lite.models import LLINet
from llinet_lite.world.instruments import INSTRUMENTS
from llinet_lite.zeroshot import class_counts, classes_of, examples, items_of, pictures, trunk_report, walk


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_classes_and_their_counts(store):
    assert classes_of(store, "train") == [row.name for row in INSTRUMENTS if row.seen]
    figure = class_counts(store)
    for ax, split in zip(figure.axes, ("train", "unseen"), strict=True):
        heights = [bar.get_height() for bar in ax.patches]
        assert heights == np.unique(store.sounds(split).label, return_counts=True)[1].tolist()
        assert f"{len(heights)} classes, {len(store.sounds(split))} pictures" in ax.get_title()


@pytest.mark.parametrize("name", ["store", "photos"])
def test_examples_are_of_spread_classes_and_belong_together(name, request):
    store = request.getfixturevalue(name)
    found = examples(store, "train", count=2)
    names = classes_of(store, "train")
    assert [one.name for one in found] == [names[0], names[-1]]
    items = items_of(store, "train")
    k = int(np.flatnonzero(items.sound_label == items.sound_label.max())[0])
    sounds = store.sounds("train")
    row = int(items.sound_row[k])
    assert np.array_equal(found[1].audio, sounds.audio(row, 0, int(sounds.length[row])))
    assert found[1].image.shape == (40, 40, 3) and found[1].audio.dtype == np.int16


def test_pictures_are_cropped_in_the_middle(store):
    batch = pictures(store, "val", count=5, crop=32)
    assert batch.shape == (5, 3, 32, 32)
    row = int(items_of(store, "val").image_row[3])
    expected = store.images("val").image(row)[4:36, 4:36].transpose(2, 0, 1) / 255
    np.testing.assert_allclose(batch[3], expected, atol=1e-6)


def nearest_of_a_class(store, trunk) -> float:
    """Share of unseen pictures whose nearest other one is of their class, number by number."""
    items, images = items_of(store, "unseen"), store.images("unseen")
    crops = np.stack([images.image(int(row))[4:36, 4:36] for row in items.image_row])
    with torch.no_grad():
        late = trunk.late(trunk.early(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255))
        features = trunk.top(late).mean((2, 3)).double().numpy()
    features -= features.mean(0)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    best = (unit @ unit.T - 9 * np.eye(len(unit))).argmax(1)
    return float((items.image_label[best] == items.image_label).mean())


@pytest.mark.parametrize("seed", [1, 3])
def test_the_report_on_a_trunk(lesson, store, seed):
    here, trunk = lesson(), trunk_of(seed)
    here.store()
    named, trained, untrained = trunk_report(here, trunk)
    assert named.name == "seen classes named, held-out clips"
    assert (named.n, named.chance) == (len(store.images("test")), 1 / 24)
    assert [one.name.rpartition(", ")[2] for one in (trained, untrained)] == ["trained", "random weights"]
    assert trained.value == pytest.approx(nearest_of_a_class(store, trunk))
    assert untrained.value == pytest.approx(nearest_of_a_class(store, trunk_of(0)))
    labels = items_of(store, "unseen").image_label
    others = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    assert (
        trained.chance == untrained.chance == pytest.approx(others.sum() / (len(labels) * (len(labels) - 1)))
    )
    assert trained.n == len(labels) and trained.low <= trained.value <= trained.high
    assert (named.profile, named.data_hash) == ("laptop", here.data_hash)


def test_a_trunk_of_imagenet_is_not_asked_for_the_seen_classes(lesson):
    here, trunk = lesson(), trunk_of()
    here.store()
    trunk.name = "resnet18"
    names = [one.name for one in trunk_report(here, trunk)]
    assert names == [
        f"nearest picture of the same unseen class, {kind}" for kind in ("trained", "random weights")
    ]


@torch.no_grad()
def test_the_walk_shows_the_networks_own_tensors(store):
    network = LLINet(trunk_of(), width=8, size=16).eval()
    shown = walk(network, store, "val", row=3, settings=SETTINGS)
    picture = pictures(store, "val", count=4, crop=32)[3:]
    sounds = store.sounds("val")
    audio = torch.from_numpy(np.array(sounds.audio(3, 0, int(sounds.length[3]))))[None]
    logmel = LogMel(store.sample_rate)(to_waveform(audio))
    image, local = network.embed_image(picture)
    heard = network.embed_audio(logmel)
    np.testing.assert_array_equal(shown.logmel, logmel[0])
    torch.testing.assert_close(shown.seen["v'"], image[0])
    torch.testing.assert_close(shown.seen["attention"], local[0])
    torch.testing.assert_close(shown.heard["a'"], heard[0])
    torch.testing.assert_close(shown.heard["map"][0], network.localize(picture, logmel)[0])
    torch.testing.assert_close(shown.heard["transformed"], network.transform(heard)[0])
    sums = (shown.seen["gate"] - 1).sum((1, 2))
    torch.testing.assert_close(sums, torch.ones_like(sums))
    assert shown.name == classes_of(store, "val")[3] and shown.image.shape == (40, 40, 3)


def test_the_walk_is_drawn_and_tabled(store):
    shown = walk(LLINet(trunk_of(), width=8, size=16).eval(), store, "val", row=0, settings=SETTINGS)
    frame = shown.frame()
    assert len(frame) == 12 and frame.loc["picture", "tensor"].tolist() == list(shown.seen)
    assert frame["shape"].tolist()[:2] == [(16, 8, 8), (32, 4, 4)]
    titles = {ax.get_title().split("\n")[0] for ax in shown.figure().axes}
    assert {*shown.seen, *shown.heard, "log-mel", shown.name} <= titles
