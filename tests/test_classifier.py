"""A classifier of pictures: it learns colours, goes on where it was stopped, and counts its hits by label."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from llinet_lite.classifier import class_hits, seen_labels, train_classifier
from llinet_lite.data.media import encode_jpeg
from llinet_lite.data.store import StoreWriter
from llinet_lite.training import CheckpointError, adam

LABELS = (2, 5, 6)  # of red, green, blue; the labels between belong to classes without pictures
COUNTS = {"train": (14, 9, 10), "val": (5, 4, 3)}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Photos of one colour per class, with noise."""
    rng = np.random.default_rng(0)
    manifest = {
        "name": "colours", "sample_rate": 8000, "seconds": 1.0, "image_size": 16,
        "classes": [{"name": f"class {k}", "seen": True} for k in range(7)],
    }  # fmt: skip
    with StoreWriter(tmp_path_factory.mktemp("colours") / "store", {"colours": 1}) as writer:
        for split, counts in COUNTS.items():
            images = []
            for colour, (label, count) in enumerate(zip(LABELS, counts, strict=True)):
                for k in range(count):
                    picture = rng.integers(0, 120, (16, 16, 3), dtype=np.uint8)
                    picture[..., colour] += 130
                    row = {"id": f"{split}/{label}/{k}", "label": label, "kind": "photo", "factors": "{}"}
                    images.append(
                        row | {"clip": -1, "time": -1.0, "objects": b"", "jpeg": encode_jpeg(picture, 95)}
                    )
            audio = np.zeros(8000, "<i2").tobytes()
            sound = {"id": f"{split}/s", "label": 2, "kind": "recording", "factors": "{}", "audio": audio}
            writer.add_shard(split, 0, images, [sound])
        return writer.finish(manifest, dict.fromkeys(COUNTS, 1))


def colours() -> nn.Module:
    """A linear layer on the mean colour."""
    torch.manual_seed(1)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))


def learn(store, model=None, **changes):
    model = colours() if model is None else model
    how = {"batch_size": 8, "image_crop": 12, "epochs": 6, "seed": 0, "run_dir": None, "quiet": True}
    return model, train_classifier(model, store, **(how | {"optimizer": adam(0.3, 0.0)} | changes))


def same(first, second) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_labels_are_those_of_the_training_pictures(store):
    assert seen_labels(store).tolist() == list(LABELS) and seen_labels(store).dtype == np.int64


def test_it_learns(store):
    before = class_hits(colours(), store, "val", 12)
    model, history = learn(store)
    assert len(before) == 12 and before.mean() < 0.8
    assert history.epochs[-1]["accuracy"] == 1.0 and history.epochs[-1]["loss"] < history.epochs[0]["loss"]
    hits = class_hits(model, store, "val", 12)
    assert hits.dtype == bool and hits.all()


class Telling(nn.Module):
    """Says one column for every picture."""

    def __init__(self, column: int):
        super().__init__()
        self.column = nn.Parameter(torch.tensor(float(column)))

    def forward(self, image):
        assert image.shape[1:] == (3, 12, 12) and not self.training and not torch.is_grad_enabled()
        assert image.min() >= 0 and image.max() <= 1
        return -(torch.arange(3) - self.column).abs().expand(len(image), 3)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_hit_is_the_label_and_not_the_column(store, column):
    hits = class_hits(Telling(column), store, "val", 12)
    assert hits.tolist() == (store.images("val").label == LABELS[column]).tolist()


def test_it_goes_on_and_repeats_bit_for_bit(store, tmp_path):
    whole, history = learn(store, run_dir=tmp_path / "whole")
    again, second = learn(store, run_dir=tmp_path / "whole")
    assert second.resumed_at == history.epochs[-1]["step"] == 6 * 4 and same(whole, again)
    other, _ = learn(store, run_dir=tmp_path / "other")
    assert same(whole, other)
    best = max(range(6), key=lambda e: (history.epochs[e]["accuracy"], -e))
    assert history.best["epoch"] == best
    plain, _ = learn(store)
    assert not same(plain, whole) or best == 5, "without a folder the last epoch's weights stay"


def test_the_rate_falls_to_nothing(store):
    _, history = learn(store)
    rates = [epoch["lr"] for epoch in history.epochs]
    assert rates == sorted(rates, reverse=True)
    last = 0.3 * 0.5 * (1 + np.cos(np.pi * (5.75 / 6)))  # of the last of four steps
    assert rates[-1] == pytest.approx(last)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 4}, "batch_size is 4 now and was 8"),
        ({"image_crop": 10}, "image_crop is 10 now and was 12"),
        ({"epochs": 7}, "epochs is 7 now and was 1"),
        ({"settings": {"size": 3}}, "size is 3 now and was 'absent'"),
        ({"seed": 1}, "seed is 1 now and was 0"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused(store, tmp_path, changes, message):
    learn(store, run_dir=tmp_path / "run", epochs=1)
    with pytest.raises(CheckpointError, match=message):
        learn(store, run_dir=tmp_path / "run", **({"epochs": 1} | changes))
