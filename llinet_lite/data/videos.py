"""A folder of videos, with or without a list, as a store.

Three forms are understood:

* **AudioSet**: a csv of rows ``YTID, start, end, "label,label"``, lines with ``#`` are comments;
* **VGGSound**: a csv of rows ``ytid,start,label,split`` with split train, val or test; a clip lasts 10 s;
* **no list**: the class of a video is the folder that it lies in; videos that lie in no sub-folder are one
  class, ``unlabelled``. Folders ``train``, ``val``, ``test``, ``unseen`` above the classes are the splits.

With a list a file is found by its id, alone or with the start as the usual downloaders name it:
``ID.mp4``, ``ID_000030.mp4``, ``ID_30.mp4``, ``ID_30000.mp4``, ``ID_30_40.mp4``, ``ID_30000_40000.mp4``.

Every video is read once from end to end; what cannot be used stands in the manifest with its reason and what
to do about it. A video longer than ``seconds`` becomes several clips, one after the other. Of every clip all
of its sound is kept, and some images, at times on the 0.04 s grid (25 per second) whose second of sound lies
inside the clip.

Notebook: 10
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TextIO

import numpy as np

from llinet_lite.data import media
from llinet_lite.data.bandstand import FRAME, WINDOW
from llinet_lite.data.folders import SILENT, FolderError, class_name, is_flat, loudness, remark, report
from llinet_lite.data.media import MediaError
from llinet_lite.data.store import (
    SCHEMAS,
    Store,
    StoreError,
    StoreWriter,
    open_table,
    over_cores,
    write_shard,
)
from llinet_lite.files import write_whole

IMPORT_VERSION = 1  # raise it whenever the same video gives other rows
VIDEOS_PER_TASK = 4
CLIPS_PER_SHARD = 32
SAMPLED = 64  # videos whose headers are read to estimate the size of all
OFFSET = 0.1  # seconds between the beginnings of sound and images that are worth a remark
UNLABELLED = "unlabelled"
SPLITS = ("train", "val", "test", "unseen")  # the later one wins where a video is in two
NAMES = "class_labels_indices.csv"  # AudioSet's table of codes and names
VGGSOUND_SECONDS = 10.0
MIN_SECONDS = 1.2  # shortest clip
SHOWN = 5  # names in a remark about many files


@dataclass(frozen=True)
class Listed:
    """One clip that a folder or its list offers."""

    file: str  # path relative to the folder
    name: str  # of the video: its id, or the file name without suffix; it decides the split
    labels: tuple[str, ...]
    label: str = ""  # its class: the label that the fewest clips bear, since that says the most
    span: tuple[float, float] | None = None  # which part, seconds, if the file is longer than that
    split: str = ""  # "" where neither the list nor a folder says so


@dataclass
class _Checked:
    """What reading one clip's file found."""

    sha256: str = ""
    clips: list[tuple[float, float, int]] = field(default_factory=list)  # start, length, number of images
    reason: str = ""  # why nothing of it can be used
    notes: list[str] = field(default_factory=list)  # what is worth knowing if something is used


@dataclass(frozen=True)
class _Clip:
    """One clip that goes into the store, and which of the kept rows are its images and its sound."""

    item: Listed
    seconds: float
    images: range
    sound: int


def import_videos(
    source, folder, *, listing=None, unseen: tuple[str, ...] = (), sample_rate: int = 16000,
    image_size: int = 128, frames: int = 4, seconds: float = 10.0, holdout: float = 0.2,
    workers: int | None = None, progress: bool = True, rebuild: bool = False,
) -> Store:  # fmt: skip
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
        Short side of the stored images, pixels; proportions stay.
    frames : int
        Images per clip.
    seconds : float
        Longest clip.
    holdout : float
        Share of each class's videos kept out of ``train``, see :func:`with_splits`.
    workers, progress, rebuild
        As for :func:`llinet_lite.data.folders.import_folders`.

    Returns
    -------
    store : Store
        ``store.manifest["excluded"]`` and ``["warnings"]`` list every file that was dropped or is worth a
        remark, with the reason.

    Raises
    ------
    FolderError
        No folder, no video, a list that cannot be read, or not one usable video.
    StoreError
        The folder holds something else, or the disk is too small.

    Notebook: 10
    """
    settings = {"sample_rate": sample_rate, "image_size": image_size, "frames": frames, "seconds": seconds}
    _check_settings(settings, holdout)
    root = Path(source)
    items, excluded, remarks = walk_videos(root, Path(listing) if listing else None)
    hidden, there = sorted(map(class_name, unseen)), {item.label for item in items}
    if strange := ", ".join(sorted(set(hidden) - there)):
        raise FolderError(f"no video is of the class {strange}: there are {', '.join(sorted(there))}")
    plan = {"import videos": IMPORT_VERSION, **settings, "holdout": holdout, "unseen": hidden}
    plan |= {"files": _fingerprint(root, items), "clips_per_shard": CLIPS_PER_SHARD}
    with StoreWriter(folder, plan, rebuild) as writer:
        if (writer.folder / "manifest.json").is_file():
            return Store(folder)
        _announce(folder, root, items, settings, progress)
        mark = hashlib.sha256(json.dumps(writer.plan, sort_keys=True).encode()).hexdigest()[:12]
        kept = writer.folder / f"checked-{mark}"
        found, tasks = _check_all(kept, root, items, settings, workers, progress)
        parts = _sort_out(items, found, holdout, hidden, excluded, remarks)
        classes = _classes(parts, items, hidden, excluded, remarks)
        shards = _pack(writer, kept.name, parts, classes, tasks)
        manifest = {
            "name": root.resolve().name,
            "sample_rate": sample_rate,
            "seconds": max(clip.seconds for part in parts.values() for clip in part),
            "image_size": image_size,
            "classes": [{"name": name, "seen": name not in hidden} for name in classes],
            "command": f"llinet import {root}",
            "excluded": [remark(file, reason) for file, reason in sorted(excluded.items())],
            "warnings": remarks,
        }
        store = writer.finish(manifest, shards)
        for stale in writer.folder.glob("checked-*"):
            shutil.rmtree(stale)
    if progress:
        print(report(store), file=sys.stderr)
    return store


def _check_settings(settings: dict, holdout: float) -> None:
    limits = {
        "sample_rate": (8000, 192000), "image_size": (16, 2048), "frames": (1, 250),
        "seconds": (MIN_SECONDS, 600),
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


# --------------------------------------------------------------- what is there


def holds_videos(root: Path) -> bool:
    """Whether a folder is one of videos, not of photos and recordings in `sound` and `video` folders."""
    if any(path.is_dir() for role in ("sound", "video") for path in root.glob(f"*/*/{role}")):
        return False
    return any(_is_video(path) for path in root.rglob("*"))


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in media.VIDEO_SUFFIXES and path.name[0] != "." and path.is_file()


def walk_videos(root: Path, listing: Path | None = None) -> tuple[list[Listed], dict[str, str], list[dict]]:
    """List what a folder of videos offers: clips in order of file and start, faults by file, remarks.

    The default ``listing`` is the one csv that lies in the folder, if there is one.
    """
    if not root.is_dir():
        raise FolderError(f"{root}: there is no such folder")
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name[0] != ".")
    videos = {path.relative_to(root).as_posix(): path for path in files if _is_video(path)}
    if not videos:
        raise FolderError(f"{root}: there is no video in it ({', '.join(media.VIDEO_SUFFIXES)})")
    lists = [path for path in sorted(root.glob("*.csv")) if path.name != NAMES]
    if not listing and len(lists) > 1:
        names = ", ".join(path.name for path in lists)
        raise FolderError(f"{root} holds several lists ({names}): name the one to take (--list)")
    others, remarks = defaultdict(list), []
    for path in files:
        if not _is_video(path) and path.suffix != ".csv":
            others[path.suffix.lower() or "no suffix"].append(path.relative_to(root).as_posix())
    for kind, names in sorted(others.items()):
        remarks.append(remark(names[0], f"not opened: {len(names)} files ({kind}) are no videos"))
    listing = listing or (lists[0] if lists else None)
    if listing:
        items, excluded = _by_list(root, videos, listing, remarks)
    else:
        items, excluded = [_by_folder(file) for file in videos], {}
    counts = Counter(label for item in items for label in set(item.labels))
    items = [replace(item, label=min(item.labels, key=lambda label: counts[label])) for item in items]
    if several := sum(len(item.labels) > 1 for item in items):
        text = f"{several} of {len(items)} clips have several labels: the rarest is their class, all are kept"
        remarks.append(remark(listing.name, text))
    return sorted(items, key=lambda item: (item.file, item.span or (0, 0))), excluded, remarks


def _by_folder(file: str) -> Listed:
    *folders, _ = Path(file).parts
    split = folders.pop(0) if len(folders) > 1 and folders[0] in SPLITS else ""
    label = class_name(folders[-1]) if folders else UNLABELLED
    return Listed(file, Path(file).stem, (label,), split=split)


def read_list(path: Path) -> list[tuple[int, str, float, float, tuple[str, ...], str]]:
    """Read a list in the form of AudioSet or of VGGSound.

    Returns
    -------
    rows : list of (line, id, start, end, labels, split)
        Seconds; the split is "" in AudioSet's form.

    Raises
    ------
    FolderError
        A row of neither form; the message names the line.
    """
    rows = []
    with _readable(path) as file:
        reader = csv.reader(file, skipinitialspace=True)
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells) or cells[0].startswith("#"):
                continue
            row = _row(cells)
            if row is None:
                raise FolderError(
                    f"{path}, line {reader.line_num}: {', '.join(cells)!r} is no row of a list; "
                    "AudioSet's are `id, start, end, \"label,label\"`, VGGSound's `id,start,label,split`"
                )
            rows.append((reader.line_num, *row))
    return rows


@contextmanager
def _readable(path: Path) -> Iterator[TextIO]:
    """Open a csv; what makes it unreadable is said with its name and what to do."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            yield file
    except UnicodeDecodeError as error:
        raise FolderError(f"{path} is not in UTF-8 ({error.reason}): save it as UTF-8") from error
    except csv.Error as error:
        raise FolderError(f"{path} is no csv ({error}): close every quotation mark") from error
    except KeyError as error:
        raise FolderError(f"{path} has no column {error}: it needs index,mid,display_name") from error


def _row(cells: list[str]) -> tuple[str, float, float, tuple[str, ...], str] | None:
    """Return id, start, end, labels and split, or None where a row has neither form."""
    try:
        name, start, third, fourth = cells[0], float(cells[1]), cells[2], cells[3]
        if len(cells) == 4 and fourth in SPLITS[:3] and third and name and math.isfinite(start):
            return name, start, start + VGGSOUND_SECONDS, (class_name(third),), fourth
        # an unquoted list of labels comes apart into further cells
        labels = tuple(label.strip() for cell in cells[3:] for label in cell.split(",") if label.strip())
        end = float(third)
    except (ValueError, IndexError):
        return None
    return (name, start, end, labels, "") if name and labels and 0 <= start < end < math.inf else None


def _by_list(root: Path, videos: dict[str, Path], listing: Path, remarks: list) -> tuple[list[Listed], dict]:
    """Find the file of every row; what is listed and not there, or there and not listed, is said."""
    names, by_stem, excluded, items, missing = {}, {}, {}, {}, []
    if (root / NAMES).is_file():
        with _readable(root / NAMES) as table:
            names = {row["mid"]: class_name(row["display_name"]) for row in csv.DictReader(table)}
    for file, path in videos.items():
        kept = by_stem.setdefault(path.stem, file)
        if kept != file:
            excluded[file] = f"ambiguous: {kept} has the same name"
    rows = read_list(listing)
    for line, name, start, end, labels, split in rows:
        stem = next((stem for stem in _stems(name, start, end) if stem in by_stem), None)
        if stem is None:
            missing.append(name)
            continue
        span, labels = (start, end) if stem == name else None, tuple(names.get(code, code) for code in labels)
        item = Listed(by_stem[stem], name, labels, span=span, split=split)
        if items.setdefault((item.file, span), item) is not item:
            remarks.append(remark(listing.name, f"line {line}: {name} is listed twice"))
    if missing:
        text = f"not there: {len(missing)} of {len(rows)} rows have no file in the folder ({_some(missing)})"
        remarks.append(remark(listing.name, text))
    used = {item.file for item in items.values()}
    for file in videos:
        if file not in used:
            excluded.setdefault(file, f"not listed: {listing.name} has no row for it")
    codes = sorted({label for item in items.values() for label in item.labels if label[0] == "/"})
    if codes:
        some = ", ".join(codes[:SHOWN])
        text = f"codes: {len(codes)} labels have no name ({some}): put {NAMES} beside it"
        remarks.append(remark(listing.name, text))
    return list(items.values()), excluded


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + " ..." * (len(names) > SHOWN)


def _stems(name: str, start: float, end: float) -> list[str]:
    """Usual names of a downloaded clip, without suffix; the first that is there counts."""
    first, last = round(start), round(end)
    cut = [f"{first:06d}", f"{first}_{last}", f"{1000 * first}_{1000 * last}", f"{first}", f"{1000 * first}"]
    return [*(f"{name}_{mark}" for mark in cut), name]


# --------------------------------------------------------------- what it is worth


def _announce(folder, root: Path, items: list[Listed], settings: dict, progress: bool) -> None:
    """Say what there is to read and how big the store becomes; refuse a disk that is too small."""
    files = sorted({item.file for item in items})
    some = files[:: math.ceil(len(files) / SAMPLED)]
    usual = sum(media.promised_seconds(root / file) for file in some) / len(some)
    lengths = [min(item.span[1] - item.span[0], usual) if item.span else usual for item in items]
    clips = sum(math.ceil(length / settings["seconds"]) for length in lengths)
    image = 0.7 * settings["image_size"] ** 2 + 1500  # bytes of a JPEG; most are wider than high
    need = 2 * sum(lengths) * settings["sample_rate"] + clips * settings["frames"] * image
    free = shutil.disk_usage(folder).free
    if free < 2 * need:
        raise StoreError(
            f"{folder}: about {clips} clips need about {need / 1e9:.1f} GB, and as much again while they are "
            f"packed; {free / 1e9:.1f} GB are free on that disk. Name a folder on another disk."
        )
    if progress:
        size = sum((root / file).stat().st_size for file in files) / 1e6
        text = f"{len(files)} videos, {size:,.0f} MB, about {sum(lengths) / 60:.1f} minutes"
        text = f"{root.resolve().name}: {text}; the store: about {need / 1e6:,.0f} MB"
        print(text, file=sys.stderr, flush=True)


def _check_all(kept: Path, root: Path, items: list[Listed], settings: dict, workers, progress):
    """Decode every video once; what was found is kept in a folder, so that a killed import goes on.

    Returns what was found, by item, and the number of shards in the folder.
    """
    starts = range(0, len(items), VIDEOS_PER_TASK)
    tasks = [(kept, k, root, items[i : i + VIDEOS_PER_TASK], settings) for k, i in enumerate(starts)]
    files = [kept / f"found-{k:05d}.json" for k in range(len(tasks))]
    left = [task for task, file in zip(tasks, files, strict=True) if not file.is_file()]
    list(over_cores(_check_some, left, workers, f"reading {root.resolve().name}", progress))
    found = [_Checked(**entry) for file in files for entry in json.loads(file.read_text("utf-8"))]
    return found, len(tasks)


def _check_some(kept: Path, task: int, root: Path, items: list[Listed], settings: dict) -> None:
    """Check some videos and keep their rows; the unit of work of a process."""
    found, images, sounds = [], [], []
    for item in items:
        one, some, audio = check(root, item, settings)
        found.append(asdict(one))
        images += [{**row, "label": -1} for row in some]
        sounds += [{**row, "label": -1} for row in audio]
    write_shard(kept.parent, kept.name, task, images, sounds)
    write_whole(kept / f"found-{task:05d}.json", json.dumps(found).encode())  # written last


def check(root: Path, item: Listed, settings: dict) -> tuple[_Checked, list[dict], list[dict]]:
    """Read a clip's file to its end, judge it, and make the rows of what can be used.

    A bad file has a ``reason``. Rows are the store's without ``label``; ``clip`` counts the sounds here.
    """
    path, found, images, sounds = root / item.file, _Checked(), [], []
    try:
        with open(path, "rb") as file:
            found.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        info = media.probe_video(path)
    except (OSError, MediaError) as error:
        found.reason = getattr(error, "reason", None) or f"cannot be read: {error.strerror or error}"
        return found, images, sounds
    begin, end = info.start, info.end
    if item.span and info.seconds > item.span[1] - item.span[0] + 1:  # else it was cut to that length already
        begin, end = max(begin, item.span[0]), min(end, item.span[1])
    facts = {"size": [info.width, info.height], "rate": round(info.rate, 2), "turned": info.turned}
    for start, length in _clips(begin, end, settings):
        try:
            some, audio = _rows(path, item, start, length, settings, facts)
        except MediaError as error:
            found.reason = found.reason or error.reason
            found.notes.append(f"in part: {start:.1f} to {start + length:.1f} s left out, {error.reason}")
            continue
        images += [{**row, "clip": len(sounds)} for row in some]
        sounds.append(audio)
        found.clips.append((start, length, len(some)))
    if found.clips:
        found.reason = ""
    elif not found.reason:
        need = f"at least {MIN_SECONDS:g} s are needed"
        found.reason = f"too short: {max(0.0, end - begin):.2f} s of picture with sound, {need}"
    found.notes += _notes(info)
    return found, images, sounds


def _clips(begin: float, end: float, settings: dict) -> list[tuple[float, float]]:
    """Cut a span into clips, whole numbers of frames long: (start, length) in seconds."""
    longest, clips = math.floor(settings["seconds"] / FRAME + 1e-9), []
    while True:
        count = min(longest, math.floor((end - begin) / FRAME + 0.01))  # time stamps are rounded
        if count * FRAME < MIN_SECONDS - 1e-9:
            return clips
        clips.append((begin, round(count * FRAME, 2)))
        begin += count * FRAME


def _times(file: str, start: float, length: float, count: int) -> np.ndarray:
    """At most `count` times on the 0.04 s grid whose second of sound lies in the clip, drawn by its name."""
    first, last = math.ceil(WINDOW / 2 / FRAME - 1e-9), math.floor((length - WINDOW / 2) / FRAME + 1e-9)
    seed = int.from_bytes(hashlib.sha256(f"{Path(file).name}@{start:.2f}".encode()).digest()[:8], "little")
    grid = np.arange(first, last + 1)
    return np.sort(np.random.default_rng(seed).choice(grid, min(count, len(grid)), replace=False)) * FRAME


def _rows(path, item, start: float, length: float, settings: dict, facts: dict) -> tuple[list[dict], dict]:
    """Decode a clip and make its rows; a :class:`MediaError` says why it cannot be used."""
    times = _times(item.file, start, length, settings["frames"])
    images, wave = media.cut_video(path, start, length, times, settings["sample_rate"])
    level = loudness(wave)
    if level < SILENT:
        limit = f"{level:.0f} dB relative to full scale (limit {SILENT:.0f})"
        raise MediaError(path, f"silent: {limit}; check its sound track")
    if all(map(is_flat, images)):
        raise MediaError(path, "empty: every picture is one flat color; check its picture track")
    about = json.dumps({"labels": item.labels, "start": start, "seconds": length, **facts})
    shared, name, rows = {"kind": "video", "factors": about}, f"{item.file}@{start:.2f}", []
    for time, image in zip(times.tolist(), images, strict=True):
        small = media.resize_short_side(image, settings["image_size"])
        row = {"id": f"{name}+{time:.2f}", "time": time, "objects": b"", **shared}
        rows.append({**row, "jpeg": media.encode_jpeg(small)})
    return rows, {"id": name, "audio": media.to_int16(wave).astype("<i2").tobytes(), **shared}


def _notes(info: media.VideoInfo) -> list[str]:
    notes, (low, high) = [], (1000 * step for step in info.steps)
    if info.height > info.width:
        notes.append(f"portrait: {info.width} x {info.height} pixels, kept upright")
    if info.turned:
        notes.append(f"turned: by {info.turned} degrees, as its metadata say")
    if not info.square:
        notes.append(f"stretched: its pixels are not square; now {info.width} x {info.height}")
    if info.varies:
        text = f"{low:.0f} to {high:.0f} ms between pictures, placed by their time stamps"
        notes.append(f"variable frame rate: {text}")
    if abs(info.lead) > OFFSET:
        who, when = ("sound", info.lead) if info.lead > 0 else ("picture", -info.lead)
        notes.append(f"late {who}: it begins {when:.2f} s after the rest, and so does the clip")
    return notes


# ------------------------------------------------------------------ what it becomes


def with_splits(
    items: list[Listed], holdout: float, unseen: tuple[str, ...]
) -> tuple[list[Listed], dict[str, str], list[dict]]:
    """Give every clip that can be used its split, by a hash of the video's name, so that a video is in one.

    Of each class's videos the share ``holdout`` is kept out of ``train``: half ``val``, half ``test``; where
    a list or the folders say what is ``test``, holdout / 2 of the rest is ``val``. Classes ``unseen`` are all
    in ``unseen``. Clips that would bring a video into two splits are returned by file with the reason.
    """
    place, remarks = _places([item for item in items if item.label not in unseen], holdout)
    placed, strongest, kept, excluded = [], {}, [], {}
    for item in items:
        split = "unseen" if item.label in unseen else place.get(item.name, item.split or "train")
        placed.append(replace(item, split=split))
        strongest[item.name] = max(split, strongest.get(item.name, split), key=SPLITS.index)
    for item in placed:
        if item.split == strongest[item.name]:
            kept.append(item)
        else:
            excluded[item.file] = f"crosses splits: its video is in {strongest[item.name]} with another label"
    return kept, {k: why for k, why in excluded.items() if k not in {item.file for item in kept}}, remarks


def _places(items: list[Listed], holdout: float) -> tuple[dict[str, str], list[dict]]:
    """Splits of the videos held out, by name: the first of each class in the order of a hash of the name."""
    given = {item.name: item.split for item in items if item.split}
    order = ("test", "val") if not given else ("val",) if "val" not in given.values() else ()
    classes, place, small = defaultdict(list), {}, []
    labels = {item.name: item.label for item in reversed(items)}  # of several clips of a video, the first's
    for name, label in labels.items():
        if given.get(name, "train") == "train":
            classes[label].append(name)
    for label, names in sorted(classes.items()):
        names.sort(key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        each = max(1, round(len(names) * holdout / 2)) if holdout and len(names) >= 3 else 0
        place |= {name: order[k // each] for k, name in enumerate(names[: each * len(order)])}
        small += [label] * (not each and bool(holdout and order))
    text = f"small: {len(small)} classes have fewer than 3 videos, which all stay in train ({_some(small)})"
    return given | place, [remark("train", text)] * bool(small)


def _sort_out(items, found, holdout, hidden, excluded: dict, remarks: list) -> dict[str, list[_Clip]]:
    """Clips by split. Why the other files are left out goes to ``excluded``: faults, and copies."""
    first, good, parts, images, sounds = {}, [], {split: [] for split in SPLITS}, 0, 0
    for item, one in zip(items, found, strict=True):
        original = first.setdefault(one.sha256 or item.file, item.file)
        if one.reason or original != item.file:
            excluded[item.file] = one.reason or f"copy: the same content as {original}"
        else:
            good.append(item)
    placed, crossing, small = with_splits(good, holdout, hidden)
    splits = {(item.file, item.span): item.split for item in placed}
    for item, one in zip(items, found, strict=True):
        split = splits.get((item.file, item.span))
        if split:
            remarks += [remark(item.file, note) for note in one.notes]
        for _, seconds, count in one.clips:
            if split:
                parts[split].append(_Clip(item, seconds, range(images, images + count), sounds))
            images, sounds = images + count, sounds + 1
    used = {clip.item.file for part in parts.values() for clip in part}
    excluded.update(crossing)
    for file in sorted(used & excluded.keys()):  # another part of it is used
        remarks.append(remark(file, f"in part: {excluded.pop(file)}"))
    remarks += small
    return {split: part for split, part in parts.items() if part}


def _classes(parts, items, hidden, excluded, remarks) -> list[str]:
    """Names of all classes with a usable video; unseen ones last."""
    there = {clip.item.label for part in parts.values() for clip in part}
    if not there:
        reasons = "\n".join(f"  {file}: {reason}" for file, reason in list(excluded.items())[:20])
        raise FolderError(f"not one video can be used.\nLeft out ({len(excluded)} files):\n{reasons}")
    for label, count in sorted(Counter(item.label for item in items if item.label not in there).items()):
        remarks.append(remark(label, f"no class: none of its {count} videos can be used"))
    if absent := ", ".join(split for split in SPLITS[:3] if split not in parts):
        text = "lessons that train need all three; add videos of the same class, or change holdout"
        remarks.append(remark(absent, f"no such split: {text}"))
    return sorted(there, key=lambda name: (name in hidden, name))


def _pack(writer: StoreWriter, kept: str, parts: dict[str, list[_Clip]], classes: list[str], tasks: int):
    """Write the shards that are missing, from the rows that were kept; number of shards by split."""
    shards, rows = {}, {table: open_table(writer.folder, kept, table, tasks) for table in SCHEMAS}
    for split, part in parts.items():
        shards[split] = math.ceil(len(part) / CLIPS_PER_SHARD)
        for k in writer.missing(split, shards[split]):
            images, sounds = [], []
            for number, clip in list(enumerate(part))[k * CLIPS_PER_SHARD : (k + 1) * CLIPS_PER_SHARD]:
                own = {"label": classes.index(clip.item.label)}
                images += [rows["images"][i].to_pylist()[0] | own | {"clip": number} for i in clip.images]
                sounds.append(rows["sounds"][clip.sound].to_pylist()[0] | own)
            writer.add_shard(split, k, images, sounds)
    return shards
