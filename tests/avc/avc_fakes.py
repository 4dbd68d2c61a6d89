"""A tiny world, tiny photos and networks known by heart, for the tests of the correspondence task."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn

from llinet_lite import avc
from llinet_lite.avc.spaces import Vectors
from llinet_lite.data.bandstand import WorldSet
from llinet_lite.data.media import encode_jpeg, encode_png
from llinet_lite.data.store import Store, StoreWriter
from llinet_lite.profiles import PROFILES

TINY = {
    "image_size": 40, "image_crop": 32, "width": 2, "batch_size": 8, "epochs": 1, "epochs_sampled": 1,
    "epochs_control": 1, "epochs_ave": 1, "epochs_avol": 1, "epochs_motion": 1, "epochs_vgg": 1,
}  # fmt: skip
SETTINGS = dataclasses.replace(PROFILES["smoke"], **TINY)
WORLD = WorldSet("tiny", 40, 16000, 2.0, 2, train_share=0.01, unseen_share=0, held_out=1, mixed=3)
SPLITS = ("train", "val", "test", "scenes")
NAMES = ("cello", "flute", "harp", "snare drum")  # of the classes of the photos
RATE = SETTINGS.sample_rate


def photo_rows(split: str, photos: int, recordings: int) -> tuple[list[dict], list[dict]]:
    """Rows of so many photos and recordings of every class; noise, each its own."""
    rng = np.random.default_rng([photos, recordings, len(split)])
    images, sounds = [], []
    for label in range(len(NAMES)):
        for k in range(photos):
            mask = np.zeros((40, 40), np.uint8)
            mask[10:20, 4 + label * 6 : 16 + label * 6] = 1
            shared = {"id": f"{split}/{label}/{k}.jpg", "label": label, "factors": "{}"}
            picture = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            image = {"clip": -1, "time": -1.0, "kind": "photo", "jpeg": encode_jpeg(picture, 95)}
            images.append(shared | image | {"objects": encode_png(mask)})
        for k in range(recordings):
            shared = {"id": f"{split}/{label}/{k}.wav", "label": label, "factors": "{}"}
            audio = rng.integers(-9999, 9999, round(1.5 * RATE)).astype("<i2")
            sounds.append(shared | {"kind": "recording", "audio": audio.tobytes()})
    return images, sounds


def photo_store(folder) -> Store:
    """A store of photos and recordings that share classes only, unlike numbers of them."""
    sizes = {"train": (6, 4), "val": (3, 2), "test": (3, 4)}
    manifest = {
        "name": "photos", "sample_rate": RATE, "seconds": 1.5, "image_size": 40,
        "classes": [{"name": name, "seen": True} for name in NAMES],
    }  # fmt: skip
    with StoreWriter(folder, {"photos": 1}) as writer:
        for split, (photos, recordings) in sizes.items():
            writer.add_shard(split, 0, *photo_rows(split, photos, recordings))
        return writer.finish(manifest, dict.fromkeys(sizes, 1))


def fresh(network: str, seed: int = 0, **plan) -> avc.Run:
    """A run of a network that was never trained."""
    plan = avc.Plan("all", "all", 1, network=network, **plan)
    return avc.Run(plan, seed, avc.build(SETTINGS, seed, network).eval(), [], 0.0, False)


def vectors_of(
    image: Tensor | None, audio: Tensor | None, labels: np.ndarray, paired: bool = True, audio_labels=None
) -> Vectors:
    """Vectors of items 0, 1, 2 ..."""
    audio_labels = labels if audio_labels is None else audio_labels
    rows = np.arange(len(labels)), np.arange(len(audio_labels))
    return Vectors(image, audio, labels, audio_labels, *rows, paired)


def random_unit(count: int, size: int, seed: int) -> Tensor:
    """Random vectors of unit length, (count, size)."""
    points = torch.randn(count, size, generator=torch.Generator().manual_seed(seed))
    return nn.functional.normalize(points, dim=1)
