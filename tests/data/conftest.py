"""Stores whose rows say what they are: sample k of a sound is k, an image tells its clip."""

import numpy as np
import pytest

from llinet_lite.data.media import encode_jpeg, encode_png
from llinet_lite.data.store import StoreWriter, write_shard

RATE, SECONDS, FRAMES, SIZE = 8000, 2.0, 3, 24
# Classes of very different size, as in the published set: 240 clips.
LABELS = [label for label, count in enumerate([60, 50, 40, 30, 20, 16, 12, 12]) for _ in range(count)]


def rows_of(split: str, labels: list[int]) -> tuple[list[dict], list[dict]]:
    """Rows of a split; the frames lie on the 0.04 s grid, the left half of an image tells the clip."""
    rng = np.random.default_rng(len(labels))
    images, sounds = [], []
    for clip, label in enumerate(labels):
        shared = {"label": label, "kind": "solo", "factors": f'{{"clip": {clip}}}'}
        audio = np.arange(round(RATE * SECONDS), dtype="<i2")
        sounds.append({"id": f"{split}/{clip}", "audio": audio.tobytes(), **shared})
        image = np.full((SIZE, SIZE, 3), 128, np.uint8)
        image[:, : SIZE // 2] = [clip // 64 % 8 * 32, clip // 8 % 8 * 32, clip % 8 * 32]  # digits of base 8
        for frame in sorted(rng.choice(np.arange(13, 38), FRAMES, replace=False).tolist()):
            row = {"id": f"{split}/{clip}@{frame}", "clip": clip, "time": frame * 0.04, **shared}
            mask = (image[..., 0] == 128).astype("u1")
            images.append({**row, "jpeg": encode_jpeg(image, 100), "objects": encode_png(mask)})
    return images, sounds


def write_store(folder, splits: dict[str, list[int]], per_shard: int = 20, change=None):
    """Write a store of :func:`rows_of`; ``change(images, sounds)`` may alter them."""
    classes = 1 + max(max(labels) for labels in splits.values())
    manifest = {"name": "fake", "sample_rate": RATE, "seconds": SECONDS, "image_size": SIZE}
    manifest |= {"classes": [{"name": f"class {k}", "seen": True} for k in range(classes)]}
    shards, size = {}, per_shard * FRAMES
    with StoreWriter(folder, {"fake": sorted(splits)}) as writer:
        for split, labels in splits.items():
            images, sounds = rows_of(split, labels)
            if change:
                change(images, sounds)
            shards[split] = -(-len(sounds) // per_shard)
            for k in range(shards[split]):
                rows = sounds[k * per_shard : (k + 1) * per_shard]
                write_shard(writer.folder, split, k, images[k * size : (k + 1) * size], rows)
        return writer.finish(manifest, shards)


@pytest.fixture(scope="session")
def write():
    """The function that writes such a store."""
    return write_store


@pytest.fixture(scope="session")
def fake(tmp_path_factory):
    """240 clips of 8 classes, three frames each."""
    return write_store(tmp_path_factory.mktemp("fake") / "store", {"train": LABELS, "val": LABELS[::4]})


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """The same as photos and sounds that are paired by class only."""

    def by_class(images, sounds):
        for row in images:
            row |= {"clip": -1, "time": -1.0, "kind": "photo"}

    return write_store(tmp_path_factory.mktemp("photos") / "store", {"train": LABELS}, change=by_class)
