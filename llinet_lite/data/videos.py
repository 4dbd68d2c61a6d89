"""A folder of videos, with or without a list, as a store.

Every video is looked at once from end to end; what cannot be used stands in the
manifest with its reason and what to do about it, nothing is replaced. A video
that is longer than ``seconds`` becomes several clips, one after the other. Of
every clip some pictures are kept, at times on the 0.04 s grid (25 per second)
whose second of sound lies inside the clip, and all of its sound, from the very
moment that the clip begins. Which folders and lists are understood, and which
class and split a video gets: :mod:`llinet_lite.data.video_lists`.

The splits are ``train``, ``val``, ``test`` and, if classes are named for it,
``unseen``. A hash of the video's name decides, so all clips and pictures of a
video are in one split.

Notebook: 10
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from llinet_lite.data.bandstand import FRAME, WINDOW
from llinet_lite.data.folders import FolderError, class_name, report
from llinet_lite.data.media import promised_seconds
from llinet_lite.data.parallel import Progress, over_cores
from llinet_lite.data.store import Store, StoreError, StoreWriter, write_atomic, write_shard
from llinet_lite.data.tables import SCHEMAS, open_table
from llinet_lite.data.video_checks import Checked, check
from llinet_lite.data.video_lists import SPLITS, Listed, holds_videos, walk_videos, with_splits

__all__ = ["Clip", "holds_videos", "import_videos"]

IMPORT_VERSION = 1  # raise it whenever the same video gives other rows
VIDEOS_PER_TASK = 4
SAMPLED = 64  # videos whose headers are read to estimate the size of all
CLIPS_PER_SHARD = 32


def import_videos(
    source,
    folder,
    *,
    listing=None,
    unseen: tuple[str, ...] = (),
    sample_rate: int = 16000,
    image_size: int = 128,
    frames: int = 4,
    seconds: float = 10.0,
    holdout: float = 0.2,
    min_seconds: float = 1.2,
    quality: int = 92,
    workers: int | None = None,
    progress: bool = True,
    rebuild: bool = False,
) -> Store:
    """Check every video of a folder and pack the good ones.

    Parameters
    ----------
    source : str or Path
        Folder with videos, in sub-folders or not.
    folder : str or Path
        Where the store shall be.
    listing : str or Path, optional
        A csv in the form of AudioSet or VGGSound; default: the one in the folder, if there is one.
    unseen : tuple of str
        Classes for the split ``unseen``.
    sample_rate : int
        Hz, a multiple of 25; sounds of other rates are resampled.
    image_size : int
        Short side of the stored pictures, pixels; proportions stay.
    frames : int
        Pictures per clip.
    seconds, min_seconds : float
        Longest and shortest clip.
    holdout : float
        Share of each class's videos kept out of ``train``, see
        :func:`llinet_lite.data.video_lists.with_splits`.
    quality : int
        JPEG quality.
    workers, progress, rebuild
        As for :func:`llinet_lite.data.bandstand.build`.

    Returns
    -------
    store : Store
        ``store.manifest["excluded"]`` and ``["warnings"]`` list every file
        that was dropped or is worth a word, with the reason.

    Raises
    ------
    FolderError
        No folder, no video, a list that cannot be read, or not one usable video.
    StoreError
        As for :func:`llinet_lite.data.bandstand.build`.

    Notebook: 10
    """
    settings = {"sample_rate": sample_rate, "image_size": image_size, "frames": frames, "seconds": seconds}
    settings |= {"min_seconds": min_seconds, "quality": quality}
    _check_settings(settings, holdout)
    root = Path(source)
    items, excluded, warnings = walk_videos(root, Path(listing) if listing else None)
    hidden = tuple(map(class_name, unseen))
    _refuse_strange(items, hidden)
    plan = {"import videos": IMPORT_VERSION, **settings, "holdout": holdout, "unseen": sorted(hidden)}
    plan |= {"files": _fingerprint(root, items), "clips_per_shard": CLIPS_PER_SHARD}
    with StoreWriter(folder, plan, rebuild) as writer:
        if (Path(folder) / "manifest.json").is_file():
            return Store(folder)
        _announce(folder, root, items, settings, progress)
        found = _check_all(writer, root, items, settings, workers, progress)
        parts = _sort_out(items, found, holdout, hidden, excluded, warnings)
        classes = _classes(parts, items, hidden, excluded, warnings)
        shards = _pack(writer, parts, [name for name, _ in classes], len(_tasks(items)))
        facts = _facts(root, parts, settings, classes)
        entries = [{"file": file, "reason": reason} for file, reason in sorted(excluded.items())]
        store = writer.finish({**facts, "excluded": entries, "warnings": warnings}, shards)
        _forget(writer)
    if progress:
        print(report(store), file=sys.stderr)
    return store


def _check_settings(settings: dict, holdout: float) -> None:
    limits = {
        "sample_rate": (8000, 192000), "image_size": (16, 2048), "frames": (1, 250),
        "min_seconds": (WINDOW + FRAME, 60), "seconds": (settings["min_seconds"], 600), "quality": (50, 100),
    }  # fmt: skip
    for name, (low, high) in limits.items():
        if not low <= settings[name] <= high:
            raise ValueError(f"{name} must lie between {low} and {high}, not be {settings[name]}")
    if settings["sample_rate"] % 25:
        raise ValueError(f"sample_rate must be a multiple of 25 Hz, not {settings['sample_rate']}")
    if not 0 <= holdout < 1:
        raise ValueError(f"holdout is a share between 0 and 1, not {holdout}")


def _fingerprint(root: Path, items: list[Listed]) -> str:
    """One hash over what every row is made from: the clips asked for, and size and time of their files."""
    digest = hashlib.sha256()
    for item in items:
        stat = (root / item.file).stat()
        digest.update(repr((item, stat.st_size, stat.st_mtime_ns)).encode())
    return digest.hexdigest()


# -------------------------------------------------------------------- checking


def _announce(folder, root: Path, items: list[Listed], settings: dict, progress: bool) -> None:
    """Say what there is to read and how big the store becomes; refuse a disk that is too small."""
    files = sorted({item.file for item in items})
    size = sum((root / file).stat().st_size for file in files)
    some = files[:: math.ceil(len(files) / SAMPLED)]
    lengths = {file: promised_seconds(root / file) for file in some}
    usual = sum(lengths.values()) / len(some)
    most = {item: min(item.span[1] - item.span[0], usual) if item.span else usual for item in items}
    seconds = sum(most.values())
    clips = sum(math.ceil(length / settings["seconds"]) for length in most.values())
    picture = 0.7 * settings["image_size"] ** 2 + 1500  # bytes of a JPEG; most are wider than high
    need = 2 * seconds * settings["sample_rate"] + clips * settings["frames"] * picture
    free = shutil.disk_usage(folder).free
    if free < 2 * need:
        raise StoreError(
            f"{folder}: about {clips} clips need about {need / 1e9:.1f} GB, and as much again while they are "
            f"packed; {free / 1e9:.1f} GB are free on that disk. Name a folder on another disk."
        )
    if progress:
        text = f"{len(files)} videos, {size / 1e6:,.0f} MB, about {seconds / 60:.1f} minutes"
        print(
            f"{root.resolve().name}: {text}; the store: about {need / 1e6:,.0f} MB",
            file=sys.stderr,
            flush=True,
        )


def _tasks(items: list[Listed]) -> list[list[Listed]]:
    return [items[k : k + VIDEOS_PER_TASK] for k in range(0, len(items), VIDEOS_PER_TASK)]


def _found(folder, mark: str, task: int) -> Path:
    """What a task found, beside the rows that it made; written last."""
    return Path(folder) / mark / f"found-{task:05d}.json"


def _mark(plan: dict) -> str:
    """Folder for what is found before it is packed, named after the plan."""
    return f"checked-{hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:12]}"


def _check_all(writer, root, items, settings, workers, progress) -> list[Checked]:
    """Decode every video once, in parallel; what was found is kept, so that a killed import goes on."""
    mark, name = _mark(writer.plan), root.resolve().name
    kept = [_found(writer.folder, mark, k) for k in range(len(_tasks(items)))]
    tasks = [
        (str(writer.folder), mark, k, str(root), some, settings)
        for k, some in enumerate(_tasks(items))
        if not kept[k].is_file()
    ]
    line = Progress(sum(len(task[4]) for task in tasks), f"reading {name}", "videos", progress)
    for task, _ in over_cores(_check_some, tasks, workers):
        line.add(len(task[4]))
    return [Checked(**entry) for path in kept for entry in json.loads(path.read_text("utf-8"))]


def _check_some(folder: str, mark: str, task: int, root: str, items: list[Listed], settings: dict) -> None:
    """Check some videos and keep their rows; the unit of work of a process."""
    found, images, sounds = [], [], []
    for item in items:
        one, pictures, heard = check(Path(root), item, settings)
        found.append(asdict(one))
        images += [{**row, "label": -1} for row in pictures]
        sounds += [{**row, "label": -1} for row in heard]
    write_shard(folder, mark, task, images, sounds)
    write_atomic(_found(folder, mark, task), json.dumps(found).encode())


def _forget(writer) -> None:
    """Throw away what was kept until the store was finished."""
    for folder in writer.folder.glob("checked-*"):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


# --------------------------------------------------------------------- packing


@dataclass(frozen=True)
class Clip:
    """One clip that goes into the store, and which of the kept rows are its pictures and its sound."""

    item: Listed
    seconds: float
    images: range
    sound: int


def _refuse_strange(items: list[Listed], hidden: tuple[str, ...]) -> None:
    there = {item.label for item in items}
    strange = ", ".join(sorted(set(hidden) - there))
    if strange:
        raise FolderError(f"no video is of the class {strange}: there are {', '.join(sorted(there))}")


def _sort_out(items, found, holdout, hidden, excluded: dict, warnings: list) -> dict[str, list[Clip]]:
    """Clips by split. Why the other files are left out goes to ``excluded``: faults, and copies."""
    first, good, clips, pictures, sounds = {}, {}, [], 0, 0
    for item, one in zip(items, found, strict=True):
        original = first.setdefault(one.sha256 or item.file, item.file)
        if one.reason or original != item.file:
            excluded[item.file] = one.reason or f"copy: the same content as {original}"
        else:
            good[item] = one
    placed, crossing, small = with_splits(list(good), holdout, hidden)
    splits = {replace(item, split=""): item.split for item in placed}
    for item, one in zip(items, found, strict=True):
        split = splits.get(replace(item, split="")) if item in good else None
        if split:
            warnings += [{"file": item.file, "reason": note} for note in one.notes]
        for _, seconds, count in one.clips:
            if split:
                clips.append((split, Clip(item, seconds, range(pictures, pictures + count), sounds)))
            pictures, sounds = pictures + count, sounds + 1
    used = {clip.item.file for _, clip in clips}
    excluded.update(crossing)
    for file in used & excluded.keys():  # another part of it is used
        warnings.append({"file": file, "reason": f"in part: {excluded.pop(file)}"})
    warnings += small
    parts = {name: [clip for split, clip in clips if split == name] for name in SPLITS}
    return {name: part for name, part in parts.items() if part}


def _classes(parts, items, hidden, excluded, warnings) -> list[tuple[str, bool]]:
    """Name and whether it is seen, of every class with a usable video; unseen ones last."""
    there = {clip.item.label for part in parts.values() for clip in part}
    if not there:
        reasons = "\n".join(f"  {file}: {reason}" for file, reason in list(excluded.items())[:20])
        raise FolderError(f"not one video can be used.\nLeft out ({len(excluded)} files):\n{reasons}")
    for label, count in sorted(Counter(item.label for item in items if item.label not in there).items()):
        warnings.append({"file": label, "reason": f"no class: none of its {count} videos can be used"})
    absent = [split for split in ("train", "val", "test") if split not in parts]
    if absent:
        text = "lessons that train need all three; add videos of the same class, or change holdout"
        warnings.append({"file": ", ".join(absent), "reason": f"no such split: {text}"})
    return [(name, name not in hidden) for name in sorted(there, key=lambda name: (name in hidden, name))]


def _pack(writer, parts: dict[str, list[Clip]], classes: list[str], tasks: int) -> dict[str, int]:
    """Write the shards that are missing, from the rows that were kept."""
    mark, shards = _mark(writer.plan), {}
    kept = {table: open_table(writer.folder, mark, table, tasks) for table in SCHEMAS}
    for split, part in parts.items():
        shards[split] = math.ceil(len(part) / CLIPS_PER_SHARD)
        for k in writer.missing(split, shards[split]):
            images, sounds = [], []
            for row in range(k * CLIPS_PER_SHARD, min((k + 1) * CLIPS_PER_SHARD, len(part))):
                clip = part[row]
                own = {"label": classes.index(clip.item.label)}
                images += [kept["images"][i].to_pylist()[0] | own | {"clip": row} for i in clip.images]
                sounds.append(kept["sounds"][clip.sound].to_pylist()[0] | own)
            writer.add_shard(split, k, images, sounds)
    return shards


def _facts(root, parts, settings, classes) -> dict:
    return {
        "name": root.resolve().name,
        "sample_rate": settings["sample_rate"],
        "seconds": max(clip.seconds for part in parts.values() for clip in part),
        "image_size": settings["image_size"],
        "classes": [{"name": name, "seen": seen} for name, seen in classes],
        "command": f"llinet import {root}",
    }
