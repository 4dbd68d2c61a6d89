"""Stores for tests whose rows say what they are: sample k of a sound is k, a picture tells its clip."""

import numpy as np

from llinet_lite.data.bandstand import WorldSet
from llinet_lite.data.media import encode_jpeg, encode_png
from llinet_lite.data.store import StoreWriter

TINY = WorldSet("tiny", 32, 8000, 1.6, 2, train_share=0.034, unseen_share=0.02, held_out=1, mixed=3)
RATE, SECONDS, FRAMES, SIZE = 8000, 2.0, 3, 24

# Classes of very different size, as in the published set: 240 clips.
LABELS = [label for label, count in enumerate([60, 50, 40, 30, 20, 16, 12, 12]) for _ in range(count)]


def pattern(clip: int) -> np.ndarray:
    """A picture whose left half tells the clip (three digits of base 8)."""
    image = np.full((SIZE, SIZE, 3), 128, np.uint8)
    image[:, : SIZE // 2] = [clip // 64 % 8 * 32, clip // 8 % 8 * 32, clip % 8 * 32]
    return image


def fake_rows(split: str, labels: list[int]) -> tuple[list[dict], list[dict]]:
    """Rows of a split; the frames lie on the 0.04 s grid."""
    rng = np.random.default_rng(len(labels))
    images, sounds = [], []
    for clip, label in enumerate(labels):
        shared = {"label": label, "kind": "solo", "factors": f'{{"clip": {clip}}}'}
        audio = np.arange(round(RATE * SECONDS), dtype="<i2")
        sounds.append({"id": f"{split}/{clip}", "audio": audio.tobytes(), **shared})
        for frame in sorted(rng.choice(np.arange(13, 38), FRAMES, replace=False).tolist()):
            row = {"id": f"{split}/{clip}@{frame}", "clip": clip, "time": frame * 0.04, **shared}
            row["jpeg"] = encode_jpeg(pattern(clip), 100)
            row["objects"] = encode_png((pattern(clip)[..., 0] == 128).astype(np.uint8))
            images.append(row)
    return images, sounds


def fake_store(folder, splits: dict[str, list[int]], per_shard: int = 20, change=None):
    """Write a store of :func:`fake_rows`; ``change(images, sounds)`` may alter them."""
    classes = 1 + max(max(labels) for labels in splits.values())
    manifest = {
        "name": "fake",
        "sample_rate": RATE,
        "seconds": SECONDS,
        "image_size": SIZE,
        "classes": [{"name": f"class {k}", "seen": True} for k in range(classes)],
    }
    shards = {}
    with StoreWriter(folder, {"fake": sorted(splits)}) as writer:
        for split, labels in splits.items():
            images, sounds = fake_rows(split, labels)
            if change:
                change(images, sounds)
            shards[split] = -(-len(sounds) // per_shard)
            for k in range(shards[split]):
                one, many = k * per_shard, k * per_shard * FRAMES
                size = per_shard * FRAMES
                writer.add_shard(split, k, images[many : many + size], sounds[one : one + per_shard])
        return writer.finish(manifest, shards)
