"""The built-in world as stores, Bandstand-32 and Bandstand-1000: which clips, how big, how they are made.

A :class:`WorldSet` says everything that decides a byte of the set of named instruments, an
:class:`InventedSet` of the invented ones; no two clips of a set share a scene seed.

:func:`build_motion` adds what moves: for the first image of each clip the 25 frames around it and the optical
flow between the 11 in the middle, as *Objects that Sound* (section 3.2) gives them to AVE-Net. They are a
third table, ``train/motion-<mark>-00000.arrow``; the mark names the recipe and the images.
Notebook: 00
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import joblib
import numpy as np
import pyarrow as pa
import scipy

from llinet_lite.data.media import decode_jpeg, decode_png, encode_jpeg, encode_png
from llinet_lite.data.store import (
    ImageTable,
    SplitTable,
    Store,
    StoreError,
    StoreWriter,
    announce,
    check_limits,
    locked,
    open_table,
    over_cores,
    shard_path,
    write_shard,
    write_table,
)
from llinet_lite.world import invented
from llinet_lite.world.instruments import INSTRUMENTS
from llinet_lite.world.scenes import Scene

WORLD_VERSION = 2  # raise it whenever the same seed gives another image or sound
FRAME = 0.04  # seconds between two frames: 25 per second
WINDOW = 1.0  # seconds of sound that belong to a frame
SPLITS = ("train", "val", "test", "unseen", "scenes", "scenes_unseen")
MIXED_KINDS = ("duet", "distractor", "offscreen", "silence")
CLIPS_PER_SHARD = 32


def frame_grid(seconds: float) -> np.ndarray:
    """Frame numbers (multiples of 0.04 s) whose second of sound lies inside a clip."""
    first, last = math.ceil(WINDOW / 2 / FRAME - 1e-9), math.floor((seconds - WINDOW / 2) / FRAME + 1e-9)
    return np.arange(first, last + 1)


@dataclass(frozen=True)
class Take:
    """One clip to be made: the arguments of a :class:`~llinet_lite.world.scenes.Scene`."""

    seed: int
    label: int
    kind: str
    partner: str | None


@dataclass(frozen=True)
class WorldSet:
    """What a built set of Bandstand-32 consists of."""

    title: ClassVar[str] = "Bandstand-32"
    command: ClassVar[str] = "llinet world build"
    splits: ClassVar[tuple[str, ...]] = SPLITS
    name: str = "laptop"
    image_size: int = 128  # side of the stored images, pixels (training crops an eighth less)
    sample_rate: int = 16000  # Hz; a multiple of 25, so that a frame is a whole number of samples
    seconds: float = 3.0  # length of a clip
    frames: int = 2  # images kept per clip, uniform over `grid`
    train_share: float = 1.0  # of the published counts: 2,857 training clips of 24 seen classes
    unseen_share: float = 1.0  # and 747 clips of 8 unseen ones; at 0 there is no such split
    held_out: int = 20  # solo clips per seen class in "val", and as many in "test"
    mixed: int = 48  # clips of each other kind of scene in "scenes", and as many in "scenes_unseen"
    imprint: float = 0.0  # strength of the trace locked to the frame clock; 0 is off, 1 the default
    seed: int = 0  # another seed, another world
    quality: int = 92  # of the JPEGs

    def __post_init__(self):
        limits = {
            "image_size": (16, 1024), "sample_rate": (8000, 96000), "seconds": (1.2, 10.0), "frames": (1, 25),
            "train_share": (0.0, 1.0), "unseen_share": (0.0, 1.0), "held_out": (1, 9999), "mixed": (1, 9999),
            "imprint": (0.0, 10.0), "seed": (0, 9999), "quality": (50, 100),
        }  # fmt: skip
        check_limits(vars(self), limits, "WorldSet.")
        if self.frames > len(self.grid):
            raise ValueError(f"a clip of {self.seconds} s has {len(self.grid)} frames, not {self.frames}")

    rows = property(lambda self: INSTRUMENTS)  # the classes by label
    grid = property(lambda self: frame_grid(self.seconds))  # frames of a clip that may be kept

    def clips(self, split: str) -> list[Take]:
        """The clips of a split, in order; a row number is a clip's place in this list."""
        if split not in self.splits:
            raise ValueError(f"no split {split!r} in {self.title}; there are {', '.join(self.splits)}")
        labels = self._labels(split)
        cast = [(label, "solo") for label in labels for _ in range(self._count(label, split))]
        if split.startswith("scenes"):
            # Every class leads about equally often in every kind; the start moves on from kind to kind.
            turns = [(k * self.mixed + i) % len(labels) for k in range(4) for i in range(self.mixed)]
            kinds = [kind for kind in MIXED_KINDS for _ in range(self.mixed)]
            cast = [(labels[turn], kind) for turn, kind in zip(turns, kinds, strict=True)]
        base = self.seed * 10_000_000 + self.splits.index(split) * 1_000_000
        return [self._take(base + row, label, kind, labels) for row, (label, kind) in enumerate(cast)]

    def _labels(self, split: str) -> list[int]:
        seen = split not in ("unseen", "scenes_unseen")
        return [k for k, row in enumerate(INSTRUMENTS) if row.seen == seen]

    def _take(self, seed: int, label: int, kind: str, labels: list[int]) -> Take:
        """A clip and, where the kind needs a second instrument, another class of the same split."""
        rng = np.random.default_rng([seed, 1])
        other = labels[(labels.index(label) + int(rng.integers(1, len(labels)))) % len(labels)]
        mixed = kind in ("duet", "distractor", "offscreen")
        return Take(seed, label, kind, self.rows[other].name if mixed else None)

    def plan(self) -> dict:
        """Every setting that decides a byte, JSON-able; two stores with equal plans are equal."""
        return {"world": WORLD_VERSION, **dataclasses.asdict(self), "clips_per_shard": CLIPS_PER_SHARD}

    def cost(self, splits: Sequence[str] = ()) -> tuple[int, float, float]:
        """Clips of a build, and about how many bytes, and minutes of one core, they take."""
        samples, pixels = self.seconds * self.sample_rate, self.image_size**2
        clips = sum(len(self.clips(split)) for split in splits or self.splits)
        minutes = (0.004 + 1.1e-7 * samples + self.frames * (0.004 + 1.5e-7 * pixels)) / 60
        return clips, clips * (2 * samples + self.frames * (0.45 * pixels + 1500)), clips * minutes

    def _count(self, label: int, split: str) -> int:
        """Solo clips of one class in a split."""
        if split in ("val", "test"):
            return self.held_out
        share = {"train": self.train_share, "unseen": self.unseen_share}.get(split, 0.0)
        return max(1, round(INSTRUMENTS[label].count * share)) if share else 0


@dataclass(frozen=True)
class InventedSet(WorldSet):
    """Bandstand-1000: invented instruments to train on, to choose on and to test with, none in two splits.

    The first eight tenths of the classes are `train`, the next tenth is `val`, the last is `test` and, in
    duets and other scenes, `scenes`.
    """

    title: ClassVar[str] = "Bandstand-1000"
    command: ClassVar[str] = "llinet world build --invented"
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test", "scenes")
    classes: int = 1000
    takes: int = 6  # solo clips of each class

    def __post_init__(self):
        super().__post_init__()
        check_limits(vars(self), {"classes": (20, 9999), "takes": (1, 99)}, "InventedSet.")

    rows = property(lambda self: _invented(self.classes, self.seed))

    def _labels(self, split: str) -> list[int]:
        first, last = {"train": (0, 8), "val": (8, 9)}.get(split, (9, 10))
        return list(range(first * self.classes // 10, last * self.classes // 10))

    def _count(self, label: int, split: str) -> int:
        return 0 if split == "scenes" else self.takes


_invented = functools.cache(invented)


WORLD_SETS = {
    "smoke": WorldSet("smoke", 72, 16000, 2.0, 2, 0.21, 0.107, held_out=6, mixed=24),
    "laptop": WorldSet("laptop"),
    "gpu": WorldSet("gpu", 256, 48000, 4.0, 4),
    "paper": WorldSet("paper", 256, 48000, 10.0, 4, held_out=40),
}
# Both as one: split -> number of the store, named or invented -> its split
MANY = {
    "train": {0: "train", 1: "train"}, "val": {0: "val"}, "choose": {1: "val"}, "test": {0: "test"},
    "scenes": {0: "scenes"}, "unseen": {0: "unseen"},
    "scenes_unseen": {0: "scenes_unseen"}, "invented": {1: "test"}, "scenes_invented": {1: "scenes"},
}  # fmt: skip
INVENTED_SETS = {
    "smoke": InventedSet("smoke", 72, 16000, 2.0, 2, mixed=12, classes=100, takes=3),
    "laptop": InventedSet("laptop"),
    "gpu": InventedSet("gpu", 256, 48000, 4.0, 4, takes=20),
}


# -------------------------------------------------------------- images and sounds


def render(plan: WorldSet, split: str, row: int, take: Take) -> tuple[list[dict], dict]:
    """Make the rows of one clip: those of its images, in order of time, and the one of its sound."""
    name, size = plan.rows[take.label].name, plan.image_size
    rows = {row.name: row for row in plan.rows}
    how = {"partner": rows.get(take.partner), "seconds": plan.seconds, "imprint": plan.imprint}
    scene = Scene(rows[name], take.seed, take.kind, **how)
    picks = np.random.default_rng([take.seed, 2]).choice(plan.grid, plan.frames, replace=False)
    facts = {"seed": take.seed, "name": name, "partner": take.partner, **scene.factors}
    shared = {"label": take.label, "kind": take.kind, "factors": json.dumps(facts, sort_keys=True)}
    clip, images = f"{split}/{name}/{take.kind}-{row:05d}", []
    for time in (FRAME * np.sort(picks)).tolist():
        row_of = {"id": f"{clip}@{time:.2f}", "clip": row, "time": time, **shared}
        row_of["jpeg"] = encode_jpeg(scene.frame(time, size), plan.quality)
        images.append({**row_of, "objects": encode_png(scene.objects(time, size))})
    audio = scene.audio(0.0, plan.seconds, plan.sample_rate)
    return images, {"id": clip, "audio": audio.astype("<i2").tobytes(), **shared}


def _render_shard(folder, plan: WorldSet, split: str, shard: int) -> None:
    """Make and write one shard; the unit of work of a process."""
    first = shard * CLIPS_PER_SHARD
    takes = plan.clips(split)[first : first + CLIPS_PER_SHARD]
    clips = [render(plan, split, first + k, take) for k, take in enumerate(takes)]
    write_shard(folder, split, shard, [row for images, _ in clips for row in images], [s for _, s in clips])


def build(
    folder, plan: WorldSet, splits: Sequence[str] | None = None, workers: int | None = None, progress=True
) -> Store:
    """Build a set of the world, or those of its `splits` that are still missing."""
    shards = {split: math.ceil(len(plan.clips(split)) / CLIPS_PER_SHARD) for split in splits or plan.splits}
    if splits and (empty := ", ".join(split for split, count in shards.items() if not count)):
        raise ValueError(
            f"the plan {plan.name!r} has no clips in {empty}: raise its share above 0, or leave the split out"
        )
    with StoreWriter(folder, plan.plan()) as writer:
        there = Store(folder).splits if writer.manifest.is_file() else {}
        lacking = {split for split, n in shards.items() if split not in there or writer.missing(split, n)}
        wanted = {split: count for split, count in shards.items() if count and split in lacking}
        if there and not wanted:
            return Store(folder)
        title = f"{plan.title} {plan.name}"
        clips, size, minutes = plan.cost(wanted)
        cores = workers or joblib.cpu_count()
        what = f"{title}: {clips} clips ({', '.join(wanted)}), about {minutes / cores:.1f} minutes"
        announce(folder, size, what, progress)
        tasks = [(folder, plan, split, k) for split, n in wanted.items() for k in writer.missing(split, n)]
        list(over_cores(_render_shard, tasks, workers, title, progress))
        manifest = {key: vars(plan)[key] for key in ("sample_rate", "seconds", "image_size", "seed")}
        manifest |= {
            "name": title,
            "classes": [{"name": row.name, "seen": row.seen} for row in plan.rows],
            "command": f"{plan.command} --profile {plan.name}",
            "made_by": {module.__name__: module.__version__ for module in (np, scipy, cv2)},
        }
        return writer.finish(manifest, wanted)


# ---------------------------------------------------------------- frames and flow

FRAMES = 25  # per row: 12 before the image, itself, 12 after
FIELDS = 10  # between the 11 frames in the middle
LIMIT = 20 / 256  # largest flow that is kept, image sides per frame
FLOW_QUALITY = 95  # of the JPEG that holds the fields: wrong by 0.08 levels of 127 on average
# What decides a row besides the image; raise "motion" whenever the same image gives another one.
RECIPE = {"motion": 1, "frames": FRAMES, "fields": FIELDS, "limit": LIMIT, "flow_quality": FLOW_QUALITY}
MOTION_SCHEMA = pa.schema(
    {
        "image": pa.int32(),  # row of the image table
        "frames": pa.list_(pa.binary()),  # 25 JPEGs, each as the image itself is stored
        "flow": pa.binary(),  # gray JPEG: u and v of field 0, u and v of field 1 ...; 128 is no motion
    }
)


def first_images(images: ImageTable) -> np.ndarray:
    """Rows of the earliest image of every clip, the one whose motion is kept: (clips,) int, ascending."""
    if (images.clip < 0).any():
        raise ValueError("photos do not move: only images that belong to a clip have frames and flow")
    order = np.lexsort((images.time, images.clip))
    return np.sort(order[np.unique(images.clip[order], return_index=True)[1]])


def optical_flow(frames: np.ndarray) -> np.ndarray:
    """Farnebäck flow between frames, (n + 1, H, W, 3) uint8 RGB -> (n, 2, H, W) float32, pixels per frame.

    Field k holds the (u, v) for which frame k at (x, y) looks like frame k + 1 at (x + u, y + v). *Objects
    that Sound* takes TV-L1, which OpenCV lacks; on pairs of noisy frames Farnebäck (SCIA 2003) leaves 30 % of
    the motion unexplained, dense inverse search 39 %.
    """
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    settings = {"pyr_scale": 0.5, "levels": 3, "winsize": 21, "iterations": 2, "poly_n": 7, "poly_sigma": 1.5}
    settings |= {"flags": cv2.OPTFLOW_FARNEBACK_GAUSSIAN}
    fields = [cv2.calcOpticalFlowFarneback(*pair, None, **settings) for pair in itertools.pairwise(gray)]
    return np.stack(fields).transpose(0, 3, 1, 2)  # (n, H, W, 2) -> (n, 2, H, W)


def quantize(flow: np.ndarray, limit: float) -> np.ndarray:
    """Round flow to int8, whole numbers of ``limit / 127``; what is faster than the limit is cut off."""
    return np.rint(np.clip(flow / limit, -1, 1) * 127).astype(np.int8)


class MotionTable:
    """The frames and the flow of one split, memory mapped; StoreError where they are not built."""

    def __init__(self, store: Store, split: str):
        self.store, self.split = store, split
        paths = _shards(store, split)
        if not all(path.exists() for path in paths):
            raise StoreError(
                f"{store.folder}/{split}: no frames and no flow of these images; build them with "
                f'build_motion(store, ["{split}"])'
            )
        table = paths[0].name.rpartition("-")[0]
        self._table = SplitTable(open_table(store.folder, split, table, len(paths)))
        self.image = self._table.column("image").to_numpy()  # (n,) int, rows of the image table, ascending
        self.limit = LIMIT * store.manifest["image_size"]  # pixels per frame, the flow's value 127

    def __reduce__(self):  # a worker process opens its own memory maps
        return MotionTable, (self.store, self.split)

    def __len__(self) -> int:
        return len(self.image)

    def frames(self, i: int) -> np.ndarray:
        """The second around row ``i``: (25, H, W, 3) uint8 RGB, 0.04 s apart."""
        cells = self._table.row(i).column("frames")[0].values
        return np.stack([decode_jpeg(cell.as_buffer()) for cell in cells])

    def flow(self, i: int) -> np.ndarray:
        """Flow in the middle of row ``i``: (10, 2, H, W) int8, u then v, in units of ``limit / 127``."""
        mosaic = decode_png(self._table.bytes(i, "flow"))
        values = (mosaic ^ 128).view(np.int8)  # value - 128
        return values.reshape(FIELDS, 2, -1, mosaic.shape[1])  # (20 H, W) -> (10, 2, H, W)


def _shards(store: Store, split: str) -> list[Path]:
    """Files of the motion of the images that a split holds now."""
    images, version = store.images(split), store.manifest["plan"].get("world")
    if version != WORLD_VERSION:
        raise StoreError(
            f"{store.folder}: frames and flow are made for version {WORLD_VERSION} of the built-in world; "
            + ("photos do not move" if version is None else f"this is version {version}: build it again")
        )
    mark = hashlib.sha256(json.dumps([RECIPE, store.splits[split]["sha256"]]).encode()).hexdigest()[:8]
    count = math.ceil(len(first_images(images)) / CLIPS_PER_SHARD)
    return [shard_path(store.folder, split, f"motion-{mark}", k) for k in range(count)]


def build_motion(
    store: Store, splits: Sequence[str] = ("train", "val", "test"), workers: int | None = None, progress=True
) -> dict[str, MotionTable]:
    """Film the second around the first image of every clip once more; what is already there is kept."""
    shards = [(split, k, path) for split in splits for k, path in enumerate(_shards(store, split))]
    tasks = [(store.folder, split, k, path) for split, k, path in shards if not path.exists()]
    if tasks:
        clips, pixels = CLIPS_PER_SHARD * len(tasks), store.manifest["image_size"] ** 2
        title = f"motion of {store.manifest['name']}"
        with locked(store.folder):
            announce(store.folder, clips * (3e4 + 8.2 * pixels), f"{title}: {clips} clips", progress)
            list(over_cores(_film_shard, tasks, workers, title, progress))
    return {split: MotionTable(store, split) for split in splits}


def _film_shard(folder: Path, split: str, shard: int, path: Path) -> None:
    """Make and write one shard; the unit of work of a process."""
    store, first = Store(folder), shard * CLIPS_PER_SHARD
    rows = first_images(store.images(split))[first : first + CLIPS_PER_SHARD]
    write_table(path, MOTION_SCHEMA, [_film(store, split, row) for row in rows.tolist()])


def _film(store: Store, split: str, row: int) -> dict:
    """Make the row of the motion table that belongs to one image."""
    images, size = store.images(split), store.manifest["image_size"]
    facts, middle, half = images.factors(row), round(float(images.time[row]) / FRAME), FRAMES // 2
    how = {"partner": facts["partner"], "seconds": facts["seconds"]}
    scene = Scene(facts["name"], facts["seed"], facts["kind"], **how)
    times = FRAME * np.arange(middle - half, middle + half + 1)
    frames = np.stack([scene.frame(t, size) for t in times])  # (25, H, W, 3)
    inner = frames[half - FIELDS // 2 : half + FIELDS // 2 + 1]
    # The flow is that between the frames as filmed, before they are stored as JPEG.
    flow = quantize(optical_flow(inner), LIMIT * size).reshape(-1, size)  # (10, 2, H, W) -> (20 H, W)
    quality = [cv2.IMWRITE_JPEG_QUALITY, FLOW_QUALITY]
    return {
        "image": row,
        "frames": [encode_jpeg(frame, store.manifest["plan"]["quality"]) for frame in frames],
        "flow": cv2.imencode(".jpg", flow.view(np.uint8) ^ 128, quality)[1].tobytes(),
    }
