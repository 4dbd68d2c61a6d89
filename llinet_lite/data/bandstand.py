"""Bandstand-32, the built-in world, as a store: which clips, how big, and how they are made.

A :class:`WorldSet` says everything that decides a single byte of the set;
:func:`build` makes it in parallel, shard by shard, and goes on where it was
killed. No two clips of any split share a scene seed.

Notebook: 00
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llinet_lite.data.media import encode_jpeg, encode_png
from llinet_lite.data.parallel import Progress, cores, over_cores
from llinet_lite.data.store import Store, StoreError, StoreWriter, write_shard
from llinet_lite.world.instruments import INSTRUMENTS
from llinet_lite.world.scenes import Scene

WORLD_VERSION = 2  # raise it whenever the same seed gives another picture or sound
FRAME = 0.04  # seconds between two frames: 25 per second
WINDOW = 1.0  # seconds of sound that belong to a frame
SPLITS = ("train", "val", "test", "unseen", "scenes", "scenes_unseen")
MIXED_KINDS = ("duet", "distractor", "offscreen", "silence")
CLIPS_PER_SHARD = 32


@dataclass(frozen=True)
class WorldSet:
    """What a built set of Bandstand-32 consists of.

    Attributes
    ----------
    name : str
    image_size : int
        Side of the stored pictures, pixels (training crops an eighth less).
    sample_rate : int
        Hz; a multiple of 25, so that a frame is a whole number of samples.
    seconds : float
        Length of a clip, 1.2 to 10.
    frames : int
        Pictures kept per clip, at different times on the 0.04 s grid, uniform
        over the times whose second of sound lies inside the clip.
    train_share, unseen_share : float
        Share of the published class counts (2,857 training clips of 24 seen
        classes, 747 clips of 8 unseen ones), 0 to 1; at 0 there is no such split.
    held_out : int
        Solo clips per seen class in ``val``, and as many in ``test``.
    mixed : int
        Clips of each of the four other kinds of scene in ``scenes`` (seen
        classes), and as many in ``scenes_unseen``.
    imprint : float
        Strength of the trace locked to the frame clock, 0 to 10; 0 is off, 1 the default strength.
    seed : int
        Another seed, another world: 0 to 9999.
    quality : int
        JPEG quality, 50 to 100.
    """

    name: str = "laptop"
    image_size: int = 128
    sample_rate: int = 16000
    seconds: float = 3.0
    frames: int = 2
    train_share: float = 1.0
    unseen_share: float = 1.0
    held_out: int = 20
    mixed: int = 48
    imprint: float = 0.0
    seed: int = 0
    quality: int = 92

    def __post_init__(self):
        limits = {
            "image_size": (16, 1024), "sample_rate": (8000, 96000), "seconds": (1.2, 10.0), "frames": (1, 25),
            "train_share": (0.0, 1.0), "unseen_share": (0.0, 1.0), "held_out": (1, 9999), "mixed": (1, 9999),
            "imprint": (0.0, 10.0), "seed": (0, 9999), "quality": (50, 100),
        }  # fmt: skip
        for field, (low, high) in limits.items():
            value = getattr(self, field)
            if not low <= value <= high:
                raise ValueError(f"WorldSet.{field} must lie between {low} and {high}, not be {value}")
        if self.sample_rate % 25:
            raise ValueError(f"WorldSet.sample_rate must be a multiple of 25 Hz, not {self.sample_rate}")
        if self.frames > len(self.grid):
            raise ValueError(f"a clip of {self.seconds} s has {len(self.grid)} frames, not {self.frames}")

    @property
    def grid(self) -> np.ndarray:
        """Frame numbers (multiples of 0.04 s) whose second of sound lies inside the clip."""
        first = math.ceil(WINDOW / 2 / FRAME - 1e-9)
        last = math.floor((self.seconds - WINDOW / 2) / FRAME + 1e-9)
        return np.arange(first, last + 1)

    def clips(self, split: str) -> list[Take]:
        """The clips of a split, in order; a row number is a clip's place in this list.

        Parameters
        ----------
        split : str
            One of SPLITS.
        """
        if split not in SPLITS:
            raise ValueError(f"no split {split!r} in Bandstand-32; there are {', '.join(SPLITS)}")
        seen = split not in ("unseen", "scenes_unseen")
        labels = [k for k, row in enumerate(INSTRUMENTS) if row.seen == seen]
        cast = [(label, "solo") for label in labels for _ in range(self._count(label, split))]
        if split.startswith("scenes"):
            # Every class leads about equally often in every kind; the start moves on from kind to kind.
            turns = [(k * self.mixed + i) % len(labels) for k in range(4) for i in range(self.mixed)]
            kinds = [kind for kind in MIXED_KINDS for _ in range(self.mixed)]
            cast = [(labels[turn], kind) for turn, kind in zip(turns, kinds, strict=True)]
        base = self.seed * 10_000_000 + SPLITS.index(split) * 1_000_000
        return [_take(base + row, label, kind, labels) for row, (label, kind) in enumerate(cast)]

    def _count(self, label: int, split: str) -> int:
        """Solo clips of one class in a split."""
        if split in ("val", "test"):
            return self.held_out
        share = {"train": self.train_share, "unseen": self.unseen_share}.get(split, 0.0)
        return max(1, round(INSTRUMENTS[label].count * share)) if share else 0

    def plan(self) -> dict:
        """Every setting that decides a byte, JSON-able; two stores with equal plans are equal."""
        return {"world": WORLD_VERSION, **dataclasses.asdict(self), "clips_per_shard": CLIPS_PER_SHARD}

    def estimate(self, splits=SPLITS, workers: int = 2) -> tuple[int, float, float]:
        """Clips, gigabytes and seconds that a build will take (from measured rates)."""
        clips = sum(len(self.clips(split)) for split in splits)
        pixels, samples = self.image_size**2, self.seconds * self.sample_rate
        size = clips * (2 * samples + self.frames * (0.45 * pixels + 1500))
        cost = 0.004 + 1.1e-7 * samples + self.frames * (0.004 + 1.5e-7 * pixels)  # s per clip and core
        return clips, size / 1e9, 2.0 + clips * cost / workers


WORLD_SETS = {
    "smoke": WorldSet("smoke", 72, 16000, 2.0, 2, 0.21, 0.107, held_out=6, mixed=24),
    "laptop": WorldSet("laptop"),
    "gpu": WorldSet("gpu", 256, 48000, 4.0, 4),
    "paper": WorldSet("paper", 256, 48000, 10.0, 4, held_out=40),
}


@dataclass(frozen=True)
class Take:
    """One clip to be made: the arguments of a :class:`~llinet_lite.world.scenes.Scene`."""

    seed: int
    label: int
    kind: str
    partner: str | None


def _take(seed: int, label: int, kind: str, labels: list[int]) -> Take:
    """A clip and, where the kind needs a second instrument, another class of the same split."""
    rng = np.random.default_rng([seed, 1])
    other = labels[(labels.index(label) + int(rng.integers(1, len(labels)))) % len(labels)]
    mixed = kind in ("duet", "distractor", "offscreen")
    return Take(seed, label, kind, INSTRUMENTS[other].name if mixed else None)


def render(plan: WorldSet, split: str, row: int, take: Take) -> tuple[list[dict], dict]:
    """Make the rows of one clip: its pictures and its sound.

    Returns
    -------
    images : list of dict
        ``plan.frames`` rows of the image table, in order of time.
    sound : dict
        One row of the sound table.
    """
    name = INSTRUMENTS[take.label].name
    scene = Scene(
        name, take.seed, take.kind, partner=take.partner, seconds=plan.seconds, imprint=plan.imprint
    )
    picks = np.random.default_rng([take.seed, 2]).choice(plan.grid, plan.frames, replace=False)
    facts = {"seed": take.seed, "name": name, "partner": take.partner, **scene.factors}
    shared = {"label": take.label, "kind": take.kind, "factors": json.dumps(facts, sort_keys=True)}
    clip = f"{split}/{name}/{take.kind}-{row:05d}"
    images = [
        {
            "id": f"{clip}@{frame * FRAME:.2f}",
            "clip": row,
            "time": frame * FRAME,
            "jpeg": encode_jpeg(scene.frame(frame * FRAME, plan.image_size), plan.quality),
            "objects": encode_png(scene.objects(frame * FRAME, plan.image_size)),
            **shared,
        }
        for frame in sorted(picks.tolist())
    ]
    audio = scene.audio(0.0, plan.seconds, plan.sample_rate)
    return images, {"id": clip, "audio": audio.astype("<i2").tobytes(), **shared}


def _render_shard(folder: str, plan: WorldSet, split: str, shard: int) -> int:
    """Make and write one shard; the unit of work of a process."""
    takes = plan.clips(split)
    first = shard * CLIPS_PER_SHARD
    rows = range(first, min(first + CLIPS_PER_SHARD, len(takes)))
    clips = [render(plan, split, row, takes[row]) for row in rows]
    write_shard(folder, split, shard, [row for images, _ in clips for row in images], [s for _, s in clips])
    return len(clips)


def build(folder, plan: WorldSet, splits=None, workers=None, progress=True, rebuild=False) -> Store:
    """Build a set of Bandstand-32, or the splits of it that are still missing.

    Parameters
    ----------
    folder : str or Path
        Where the store is or shall be.
    plan : WorldSet
        For instance ``WORLD_SETS["laptop"]``.
    splits : sequence of str, optional
        Some of SPLITS; default: all that have clips. A later call adds others.
    workers : int, optional
        Processes; default: one per core. The bytes do not depend on it.
    progress : bool
        Say what it will take, and show how far it is.
    rebuild : bool
        Replace a store that was built with other settings instead of refusing it.

    Returns
    -------
    store : Store

    Raises
    ------
    StoreError
        The folder holds a store with other settings, or the disk is too small.
    ValueError
        A split that is unknown, or has no clips in this plan.

    Notebook: 00
    """
    wanted = _shards(plan, splits)
    with StoreWriter(folder, plan.plan(), rebuild) as writer:
        store = Store(folder) if (Path(folder) / "manifest.json").exists() else None
        wanted = {split: count for split, count in wanted.items() if not store or split not in store.splits}
        if store and not wanted:
            return store
        tasks = [
            (str(folder), plan, split, k) for split, n in wanted.items() for k in writer.missing(split, n)
        ]
        _announce(folder, plan, list(wanted), workers or cores(), progress)
        counts = [min(CLIPS_PER_SHARD, len(plan.clips(t[2])) - t[3] * CLIPS_PER_SHARD) for t in tasks]
        line = Progress(sum(counts), f"Bandstand-32 {plan.name}", "clips", progress)
        for _, count in over_cores(_render_shard, tasks, workers):
            line.add(count)
        return writer.finish(_manifest(plan), wanted)


def _shards(plan: WorldSet, splits) -> dict[str, int]:
    """Number of shards of each split asked for, or of every split that has clips."""
    counts = {split: math.ceil(len(plan.clips(split)) / CLIPS_PER_SHARD) for split in splits or SPLITS}
    empty = [split for split, count in counts.items() if not count]
    if splits and empty:
        raise ValueError(
            f"the plan {plan.name!r} has no clips in {', '.join(empty)}: "
            f"raise {' and '.join(f'{split}_share' for split in empty)} above 0, or leave the split out"
        )
    return {split: count for split, count in counts.items() if count}


def _nearby(folder) -> str:
    """A folder as seen from here if it is at most one level up, else its name: no path of one machine."""
    folder = Path(folder).resolve()
    try:
        seen = os.path.relpath(folder)
    except ValueError:  # another drive
        return folder.name
    return folder.name if Path(seen).parts[:2] == ("..", "..") else seen


def _announce(folder, plan: WorldSet, splits: list[str], workers: int, progress: bool) -> None:
    """Say how much and how long before anything starts; refuse a disk that is too small."""
    clips, gigabytes, seconds = plan.estimate(splits, workers)
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise StoreError(
            f"{folder}: {clips} clips need about {gigabytes:.1f} GB, {free:.1f} GB are free on that disk. "
            "Name a folder on another disk, or fewer splits."
        )
    if progress:
        print(
            f"Bandstand-32 {plan.name}: {clips} clips ({', '.join(splits)}), about {gigabytes:.2f} GB and "
            f"{seconds / 60:.1f} minutes with {workers} processes -> {_nearby(folder)}",
            file=sys.stderr,
            flush=True,
        )


def _manifest(plan: WorldSet) -> dict:
    """What the store's manifest says besides counts and hashes."""
    import cv2
    import scipy

    return {
        "name": f"Bandstand-32 {plan.name}",
        "sample_rate": plan.sample_rate,
        "seconds": plan.seconds,
        "image_size": plan.image_size,
        "classes": [{"name": row.name, "seen": row.seen} for row in INSTRUMENTS],
        "seed": plan.seed,
        "command": f"llinet world build --profile {plan.name}",
        "made_by": {
            "world": WORLD_VERSION,
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "opencv": cv2.__version__,
        },
    }


def store_folder(root, plan: WorldSet) -> Path:
    """Where a set lives under a cache folder: its name, plus whatever differs from the named profile."""
    usual = dataclasses.asdict(WORLD_SETS.get(plan.name, plan))
    extra = [f"{key}={value}" for key, value in dataclasses.asdict(plan).items() if usual[key] != value]
    return Path(root) / "-".join(["bandstand", plan.name, *extra])
