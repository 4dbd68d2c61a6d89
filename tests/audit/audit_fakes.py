"""Tiny photos, a trunk without training, answers known by heart: for the tests of the audit."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from llinet_lite.data.media import encode_jpeg, encode_png
from llinet_lite.data.store import Store, StoreWriter
from llinet_lite.metrics.intervals import Interval
from llinet_lite.models.trunks import Trunk
from llinet_lite.profiles import PROFILES
from llinet_lite.zeroshot.evaluation import Embedded, Items, items_of

TINY = {
    "image_size": 40, "image_crop": 32, "width": 8, "embedding": 16, "batch_size": 8,
    "epochs": 1, "epochs_sampled": 1, "epochs_control": 1, "epochs_shortcut": 1, "epochs_ave": 1,
    "epochs_avol": 1, "epochs_motion": 1, "epochs_trunk": 1, "epochs_llinet": 1, "epochs_audit": 1,
}  # fmt: skip
SETTINGS = dataclasses.replace(PROFILES["smoke"], **TINY)
NAMES = ("cello", "flute", "harp", "banjo", "violin", "tabla")
HIGHER = Interval(0.02, 0.01, 0.03, 747)


def trunk_of(seed: int = 0) -> Trunk:
    """A frozen stand-in of width 8 with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        trunk = Trunk("standin", width=8, classes=24)
    trunk.title = "stand-in of the tests"
    return trunk.freeze().eval()


def photo_rows(split: str, labels: range) -> tuple[list[dict], list[dict]]:
    """Four photos and four recordings of every class; noise, each its own."""
    rng, images, sounds = np.random.default_rng(len(split)), [], []
    for label in labels:
        for k in range(4):
            shared = {"label": label, "factors": "{}"}
            picture = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            image = {"id": f"{split}/{label}/{k}.jpg", "clip": -1, "time": -1.0, "kind": "photo"}
            blank = encode_png(np.zeros((40, 40), np.uint8))
            images.append(shared | image | {"jpeg": encode_jpeg(picture, 95), "objects": blank})
            audio = rng.integers(-9999, 9999, round(1.5 * SETTINGS.sample_rate)).astype("<i2").tobytes()
            sounds.append(shared | {"id": f"{split}/{label}/{k}.wav", "kind": "recording", "audio": audio})
    return images, sounds


def photo_store(folder) -> Store:
    """Photos and recordings of four seen classes and two unseen ones, paired by class."""
    sizes = {"train": range(4), "val": range(4), "test": range(4), "unseen": range(4, 6)}
    manifest = {
        "name": "photos", "sample_rate": SETTINGS.sample_rate, "seconds": 1.5, "image_size": 40,
        "classes": [{"name": name, "seen": k < 4} for k, name in enumerate(NAMES)],
    }  # fmt: skip
    with StoreWriter(folder, {"photos": 1}) as writer:
        for split, labels in sizes.items():
            writer.add_shard(split, 0, *photo_rows(split, labels))
        return writer.finish(manifest, dict.fromkeys(sizes, 1))


class Split:
    """In place of a store: the labels of the pairs of each split, or of items that share classes only."""

    def __init__(self, paired: bool = True, **labels):
        self.splits, self.labels, self.paired = tuple(labels), labels, paired

    def images(self, split: str):
        """The table of pictures."""
        label = np.asarray(self.labels[split])
        return Table(label, np.arange(len(label)) if self.paired else np.full(len(label), -1))

    def sounds(self, split: str):
        """The table of sounds."""
        return Table(np.asarray(self.labels[split]), None)


class Table(SimpleNamespace):
    """Labels and clips."""

    def __init__(self, label, clip):
        super().__init__(label=label, clip=clip, time=np.zeros(len(label)))

    def __len__(self) -> int:
        return len(self.label)


class Knowing:
    """In place of a run: whatever it is asked to embed of a split has these scores."""

    def __init__(
        self, scores: Tensor | dict, *, seed: int = 0, curve=(), chosen: int = 0, minutes: float = 1.5
    ):
        self.scores = scores if isinstance(scores, dict) else {"unseen": scores}
        self.seed, self.curve, self.chosen, self.minutes = seed, list(curve), chosen, minutes

    def embed(self, store, split: str, settings, items: Items | None = None) -> Embedded:
        """Items with these scores; of vectors there are none."""
        items = items_of(store, split) if items is None else items
        scores = self.scores[split][items.image_row][:, items.sound_row]
        empty = [torch.zeros(size, 1) for size in scores.shape]
        return Embedded(items, *empty, scores)


def skilled(labels, skill: float, seed: int = 0) -> Tensor:
    """Scores of pairs that are random, but higher by `skill` for the same class."""
    labels = np.asarray(labels)
    noise = torch.randn(len(labels), len(labels), generator=torch.Generator().manual_seed(seed))
    return noise + skill * torch.from_numpy(labels[:, None] == labels)


def score(right, items) -> SimpleNamespace:
    """In place of a Score: which answers are right, and the clips of the pairs."""
    right = np.asarray(right, bool)
    return SimpleNamespace(
        probability=right.astype(float), match=np.ones(len(right), int), items=np.asarray(items),
        interval=SimpleNamespace(value=float(right.mean())),
    )  # fmt: skip
