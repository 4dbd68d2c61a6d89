"""A tiny world, tiny photos, a trunk without training and embeddings known by heart, for zero-shot tests."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from llinet_lite import zeroshot
from llinet_lite.data.bandstand import WorldSet
from llinet_lite.data.media import encode_jpeg, encode_png
from llinet_lite.data.store import Store, StoreWriter
from llinet_lite.models.trunks import Trunk
from llinet_lite.profiles import PROFILES
from llinet_lite.zeroshot.evaluation import Items
from llinet_lite.zeroshot.task import build

TINY = {
    "image_size": 40, "image_crop": 32, "width": 8, "embedding": 16, "batch_size": 8,
    "epochs_trunk": 1, "epochs_llinet": 1, "epochs_rivals": 1,
}  # fmt: skip
SETTINGS = dataclasses.replace(PROFILES["smoke"], **TINY)
WORLD = WorldSet("tiny", 40, 16000, 2.0, 2, train_share=0.01, unseen_share=0.02, held_out=1, mixed=3)
SPLITS = ("train", "val", "test", "unseen")
NAMES = ("cello", "flute", "harp", "snare drum", "violin")  # of the classes of the photos
RATE = SETTINGS.sample_rate
DIRECT = dataclasses.replace(SETTINGS, keep_activations=False)
ABLATION = {
    "llinet": zeroshot.Plan("llinet", "LLINet", 1),
    "matching": zeroshot.Plan("matching", "LLINet", 1, options={"attention": 0.0}),
    "baseline": zeroshot.Plan("baseline", "LLINet", 1, options={"attention": 0.0, "gate": "none"}),
}


def trunk_of(seed: int = 0, classes: int = 24, **changes) -> Trunk:
    """A frozen stand-in of width 8 with random weights that 16 bits can hold."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        trunk = Trunk("standin", width=8, classes=classes, **changes)
    trunk.load_state_dict(
        {k: v.half() if v.is_floating_point() else v for k, v in trunk.state_dict().items()}
    )
    trunk.title = "stand-in of the tests"
    return trunk.freeze().eval()


def photo_rows(split: str, labels: range, photos: int, recordings: int) -> tuple[list[dict], list[dict]]:
    """Rows of photos and recordings, class by class; recordings of a later class are longer."""
    rng = np.random.default_rng(len(split))
    images, sounds = [], []
    for label in labels:
        for k in range(photos):
            shared = {"id": f"{split}/{label}/{k}.jpg", "label": label, "factors": "{}", "clip": -1}
            picture = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            image = {"time": -1.0, "kind": "photo", "jpeg": encode_jpeg(picture, 95)}
            images.append(shared | image | {"objects": encode_png(np.zeros((40, 40), np.uint8))})
        for k in range(recordings):
            shared = {"id": f"{split}/{label}/{k}.wav", "label": label, "factors": "{}"}
            audio = rng.integers(-9999, 9999, round((1.2 + 0.1 * label) * RATE)).astype("<i2")
            sounds.append(shared | {"kind": "recording", "audio": audio.tobytes()})
    return images, sounds


def photo_store(folder, seed: int = 0) -> Store:
    """Photos and recordings of four seen classes and one unseen, paired by class, unlike numbers of them."""
    sizes = {"train": (range(4), 6, 4), "val": (range(4), 2, 2), "unseen": (range(4, 5), 3, 5)}
    manifest = {
        "name": "photos", "sample_rate": RATE, "seconds": 1.6, "image_size": 40,
        "classes": [{"name": name, "seen": k < 4} for k, name in enumerate(NAMES)],
    }  # fmt: skip
    with StoreWriter(folder, {"photos": seed}, rebuild=True) as writer:
        for split, (labels, photos, recordings) in sizes.items():
            writer.add_shard(split, 0, *photo_rows(split + seed * "x", labels, photos, recordings))
        return writer.finish(manifest, dict.fromkeys(sizes, 1))


def fresh(plan: zeroshot.Plan, trunk: Trunk, seed: int = 0, classes: int = 20, **facts) -> zeroshot.Run:
    """A run of a network that was never trained."""
    about = {"curve": [{"loss": 1.0, "mAP": 0.5, "unseen": 0.25}], "chosen": 0, "minutes": 0.5}
    model = build(plan, trunk, SETTINGS, classes, seed).eval()
    return zeroshot.Run(plan, seed, model, trunk, **(about | {"loaded": False} | facts))


def items(image_label, sound_label=None) -> Items:
    """Items 0, 1, 2 ... of a split, each of a clip of its own."""
    image_label = np.asarray(image_label)
    sound_label = image_label if sound_label is None else np.asarray(sound_label)
    rows = np.arange(len(image_label)), np.arange(len(sound_label))
    return Items(*rows, image_label, sound_label, *rows)


def found(scores: Tensor, image_label, sound_label=None) -> zeroshot.Embedded:
    """Items with these scores, of a method that has no vectors."""
    empty = [torch.zeros(size, 1, 1) for size in scores.shape]
    return zeroshot.Embedded(items(image_label, sound_label), *empty, scores)


def by_cosine(image: Tensor, audio: Tensor, image_label, sound_label=None) -> zeroshot.Embedded:
    """Items that are compared by the cosine of these vectors."""
    unit = [torch.nn.functional.normalize(side, dim=1) for side in (image, audio)]
    return zeroshot.Embedded(items(image_label, sound_label), image, audio, unit[0] @ unit[1].T)


def random_scores(count: int, seed: int, audio: int | None = None) -> Tensor:
    return torch.randn(count, audio or count, generator=torch.Generator().manual_seed(seed))
