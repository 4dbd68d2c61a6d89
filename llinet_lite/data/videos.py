"""A folder of videos, with or without a list, as a store.

A list is a csv in the form of AudioSet (``YTID, start, end, "label,label"``, ``#`` for comments) or VGGSound
(``ytid,start,label,split``, clips of 10 s); seconds count from the beginning of the film. A file is found by
its id, alone or as the usual downloaders name it (FORMS). Without a list the class of a video is its folder
(or ``unlabelled``); folders ``train``, ``val``, ``test``, ``unseen`` above the classes are the splits.

A video longer than ``seconds`` becomes several clips. Of each all of the sound is kept, and some images, at
times on the 0.04 s grid whose second of sound lies inside the clip.
Notebook: 10
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

import numpy as np

from llinet_lite.data import folders, media
from llinet_lite.data.bandstand import FRAME, frame_grid
from llinet_lite.data.folders import FolderError
from llinet_lite.data.media import MediaError
from llinet_lite.data.store import Store, announce, check_limits

IMPORT_VERSION = 3  # raise it whenever the same video gives other rows
SAMPLED = 64  # videos whose headers are read to estimate the size of all
OFFSET = 0.1  # seconds between the beginnings of sound and images that are worth a remark
UNLABELLED = "unlabelled"
SPLITS = ("train", "val", "test", "unseen")  # the later one wins where a video is in two
NAMES = "class_labels_indices.csv"  # AudioSet's table of codes and names
VGGSOUND_SECONDS = 10.0
MIN_SECONDS = 1.2  # shortest clip
SHOWN = 5  # names in a remark about many files
FORMS = "ID, ID_000030, ID_30, ID_30_40, ID_30.000_40.000 or ID_30000_40000, with or without a Y before it"


@dataclass
class Listed(folders.Item):
    """One clip that a folder or its list offers."""

    name: str = ""  # of the video: its id, or the file name without suffix; it decides the split
    labels: tuple[str, ...] = ()  # its class is the one that the fewest clips bear, since that says the most
    span: tuple[float, float] | None = None  # which part, seconds, if the file is longer than that


def import_videos(
    source, folder, *, listing=None, unseen: tuple[str, ...] = (), sample_rate: int = 16000,
    image_size: int = 128, frames: int = 4, seconds: float = 10.0, holdout: float = 0.2,
    rebuild: bool = False, workers: int | None = None, progress: bool = True,
) -> Store:  # fmt: skip
    """Check every video of a folder and pack the good ones.

    Parameters
    ----------
    source, folder : str or Path
        Folder with videos, in sub-folders or not; and where the store shall be.
    listing : str or Path, optional
        A csv in the form of AudioSet or VGGSound; default: the one in the folder, if there is one.
    unseen : tuple of str
        Classes for the split ``unseen``.
    frames, seconds
        Images per clip, and its greatest length; all else as for
        :func:`llinet_lite.data.folders.import_folders`.
    """
    settings = {"sample_rate": sample_rate, "image_size": image_size, "frames": frames, "seconds": seconds}
    limits = folders.LIMITS | {"frames": (1, 250), "seconds": (MIN_SECONDS, 600)}
    check_limits({**settings, "holdout": holdout}, limits)
    root = Path(source)
    items, excluded, remarks = walk_videos(root, Path(listing) if listing else None)
    names, there = _names(root), {item.label for item in items}
    hidden = sorted(_class(label, names) for label in unseen)
    if strange := ", ".join(sorted(set(hidden) - there)):
        raise FolderError(f"no video is of the class {strange}: there are {', '.join(sorted(there))}")
    plan = {"import videos": IMPORT_VERSION, **settings, "holdout": holdout, "unseen": hidden}
    with folders.importing(root, folder, plan, items, rebuild) as writer:
        if writer.finished:
            return Store(folder)
        _announce(folder, root, items, settings, progress)
        kept = folders.read_files(writer, root, items, _read_clips, settings, workers, progress)
        used = _sort_out(items, holdout, hidden, excluded, remarks)
        classes = _classes(used, items, hidden, excluded, remarks)
        facts = settings | {"seconds": max(length for item in used for length, _ in item.facts["clips"])}
        parts = _chosen(used, list(classes))
        return folders.pack_files(writer, root, kept, parts, facts, classes, excluded, remarks, progress)


# --------------------------------------------------------------- what is there


def holds_videos(root: Path) -> bool:
    """Whether a folder is one of videos, not of photos and recordings in `sound` and `video` folders."""
    if any(path.is_dir() for role in ("sound", "video") for path in root.glob(f"*/*/{role}")):
        return False
    return any(_is_video(path) for path in folders.files_below(root)[0].values())


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in media.VIDEO_SUFFIXES


def walk_videos(root: Path, listing: Path | None = None) -> tuple[list[Listed], dict[str, str], list[tuple]]:
    """List what a folder of videos offers: clips in order of file and start, faults by file, remarks."""
    if not root.is_dir():
        raise FolderError(f"{root}: there is no such folder")
    files, odd = folders.files_below(root)
    excluded = {file: why for file, why in odd if not why.startswith("link")}
    remarks = [(file, why) for file, why in odd if file not in excluded]
    videos = {file: path for file, path in files.items() if _is_video(path)}
    if not videos:
        raise FolderError(f"{root}: there is no video in it ({', '.join(media.VIDEO_SUFFIXES)})")
    tables = [path for file, path in files.items() if path.suffix.lower() == ".csv" and "/" not in file]
    lists = [path for path in tables if path.name != NAMES]
    if not listing and len(lists) > 1:
        names = ", ".join(path.name for path in lists)
        raise FolderError(f"{root} holds several lists ({names}): name the one to take (--list)")
    others = defaultdict(list)
    for file, path in files.items():
        if file not in videos and path.suffix.lower() != ".csv":
            others[path.suffix.lower() or "no suffix"].append(file)
    for kind, names in sorted(others.items()):
        remarks.append((names[0], f"not opened: {len(names)} files ({kind}) are no videos"))
    listing = listing or (lists[0] if lists else None)
    if listing:
        items = _by_list(root, videos, listing, excluded, remarks)
    else:
        above = [Path(file).parent.name for file in videos]
        folders.refuse_names([name for name in above if name], root)
        items = [_by_folder(file) for file in videos]
    counts = Counter(label for item in items for label in set(item.labels))
    items = [replace(item, label=min(item.labels, key=lambda label: counts[label])) for item in items]
    if several := sum(len(item.labels) > 1 for item in items):
        text = f"{several} of {len(items)} clips have several labels: the rarest is their class, all are kept"
        remarks.append((listing.name, text))
    return sorted(items, key=lambda item: (item.file, item.span or (0, 0))), excluded, remarks


def _by_folder(file: str) -> Listed:
    *above, _ = Path(file).parts
    split = above.pop(0) if len(above) > 1 and above[0] in SPLITS else ""
    label = folders.class_name(above[-1]) if above else UNLABELLED
    return Listed(file, split, label, name=Path(file).stem, labels=(label,))


def read_list(path: Path) -> list[tuple[int, str, float, float, tuple[str, ...], str]]:
    """Read a list in the form of AudioSet or of VGGSound.

    Its rows are (line, id, start, end, labels, split), seconds; the split is "" in AudioSet's form.
    """
    rows = []
    with _readable(path) as file:
        reader = csv.reader(file, skipinitialspace=True)
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if not (row := _row(cells)):
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
            return name, start, start + VGGSOUND_SECONDS, (third,), fourth
        # an unquoted list of labels comes apart into further cells
        labels = tuple(label.strip() for cell in cells[3:] for label in cell.split(",") if label.strip())
        end = float(third)
    except (ValueError, IndexError):
        return None
    return (name, start, end, labels, "") if name and labels and 0 <= start < end < math.inf else None


def _names(root: Path) -> dict[str, str]:
    """Names by AudioSet's codes, where the folder has the table of them."""
    if not (root / NAMES).is_file():
        return {}
    with _readable(root / NAMES) as table:
        return {row["mid"]: row["display_name"] for row in csv.DictReader(table)}


def _class(label: str, names: dict[str, str]) -> str:
    """Class of a label or code; a code that has no name stays what it is."""
    label = names.get(label, label)
    return label if label[:1] == "/" else folders.class_name(label)


def _by_list(root: Path, videos: dict, listing: Path, excluded: dict, remarks: list) -> list[Listed]:
    """Find the file of every row; what is listed and not there, or there and not listed, is said."""
    names, by_stem, items, missing, twice = _names(root), {}, {}, [], []
    for file, path in videos.items():
        kept = by_stem.setdefault(path.stem, file)
        if kept != file:
            excluded[file] = f"ambiguous: {kept} has the same name"
    rows = read_list(listing)
    texts = sorted({names.get(label, label) for *_, labels, _ in rows for label in labels})
    folders.refuse_names([text for text in texts if text[0] != "/"], listing)
    for line, name, start, end, labels, split in rows:
        stem = next((stem for stem in _stems(name, start, end) if stem in by_stem), None)
        if stem is None:
            missing.append(name)
            continue
        span = (start, end) if stem in (name, f"Y{name}") else None
        labels = tuple(_class(one, names) for one in labels)
        item = Listed(by_stem[stem], split, "", name=name, labels=labels, span=span)
        if items.setdefault((item.file, span), item) is not item:
            twice.append(f"line {line}")
    if not items:
        text = f"not one of its {len(rows)} rows has a video in {root}: it lists {_some(missing)}, there are"
        raise FolderError(f"{listing}: {text} {_some([*by_stem])}; a file is named {FORMS}")
    if twice:
        remarks.append((listing.name, f"listed twice: {len(twice)} rows ({_some(twice)})"))
    if missing:
        text = f"not there: {len(missing)} of {len(rows)} rows have no file in the folder ({_some(missing)})"
        remarks.append((listing.name, text))
    used = {item.file for item in items.values()}
    for file in videos:
        if file not in used:
            excluded.setdefault(file, f"not listed: {listing.name} has no row for it")
    codes = sorted({label for item in items.values() for label in item.labels if label[0] == "/"})
    if codes:
        some = ", ".join(codes[:SHOWN])
        text = f"codes: {len(codes)} labels have no name ({some}): put {NAMES} beside it"
        remarks.append((listing.name, text))
    return list(items.values())


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + " ..." * (len(names) > SHOWN)


def _stems(name: str, start: float, end: float) -> list[str]:
    """Usual names of a downloaded clip, without suffix; the first that is there counts."""
    first, last = round(start), round(end)
    cut = [f"{first:06d}", f"{first}_{last}", f"{1000 * first}_{1000 * last}", f"{first}", f"{1000 * first}"]
    cut += [f"{start:.3f}_{end:.3f}", f"{round(1000 * start)}_{round(1000 * end)}"]
    return [stem for one in (name, f"Y{name}") for stem in (*(f"{one}_{mark}" for mark in cut), one)]


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
    size = sum((root / file).stat().st_size for file in files) / 1e6
    text = f"{len(files)} videos ({size:,.0f} MB, about {sum(lengths) / 60:.1f} minutes)"
    announce(folder, 2 * need, f"{root.resolve().name}: {text}, while they are packed", progress)


def _read_clips(path: Path, item: Listed, settings: dict) -> tuple[list[dict], list[dict]]:
    """Read a clip's file to its end, judge it, and make the rows of what can be used."""
    info = media.probe_video(path)
    begin, end = info.start, info.end
    if item.span and info.seconds > item.span[1] - item.span[0] + 1:  # else it was cut to that length already
        begin, end = max(begin, info.origin + item.span[0]), min(end, info.origin + item.span[1])
    about = {"size": [info.width, info.height], "rate": round(info.rate, 2), "turned": info.turned}
    about |= {"origin": info.origin, "tracks": info.tracks}
    images, sounds, clips, fault = [], [], [], ""
    for start, length in _clips(begin, end, settings):
        try:
            some, sound = _rows(path, item, start, length, settings, about)
        except MediaError as error:
            fault = fault or error.reason
            when = start - info.origin
            item.notes.append(f"in part: {when:.1f} to {when + length:.1f} s left out, {error.reason}")
            continue
        images += some
        sounds.append(sound)
        clips.append((length, len(some)))
    if not clips:
        need = f"at least {MIN_SECONDS:g} s are needed"
        short = f"too short: {max(0.0, end - begin):.2f} s of picture with sound, {need}"
        raise MediaError(path, fault or short)
    item.facts["clips"] = clips
    item.notes += _notes(info)
    return images, sounds


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
    seed = int.from_bytes(hashlib.sha256(f"{Path(file).name}@{start:.2f}".encode()).digest()[:8], "little")
    grid = frame_grid(length)
    return np.sort(np.random.default_rng(seed).choice(grid, min(count, len(grid)), replace=False)) * FRAME


def _rows(path, item, start: float, length: float, settings: dict, facts: dict) -> tuple[list[dict], dict]:
    """Decode a clip and make its rows; a :class:`MediaError` says why it cannot be used."""
    into = start - facts["origin"]
    times = _times(item.file, into, length, settings["frames"])
    images, wave = media.cut_video(
        path, start, length, times, settings["sample_rate"], settings["image_size"]
    )
    folders.refuse_silence(path, wave)
    if all(map(folders.is_flat, images)):
        raise MediaError(path, "empty: every picture is one flat color; check its picture track")
    about = json.dumps({"labels": item.labels, "start": round(into, 4), "seconds": length, **facts})
    shared, name, rows = {"kind": "video", "factors": about}, f"{item.file}@{into:.2f}", []
    for time, image in zip(times.tolist(), images, strict=True):
        row = {"id": f"{name}+{time:.2f}", "time": time, "objects": b"", **shared}
        rows.append({**row, "jpeg": media.encode_jpeg(image)})
    return rows, {"id": name, "audio": media.to_int16(wave).astype("<i2").tobytes(), **shared}


def _notes(info: media.VideoInfo) -> list[str]:
    size, (low, high) = f"{info.width} x {info.height}", (f"{1000 * step:.0f}" for step in info.steps)
    who, when = "sound" if info.lead > 0 else "picture", abs(info.lead)
    steps = f"{low} to {high} ms between pictures, placed by their time stamps"
    notes = (
        (info.height > info.width, f"portrait: {size} pixels, kept upright"),
        (info.turned, f"turned: by {info.turned} degrees, as its metadata say"),
        (info.mirrored, "mirrored: as its metadata say"),
        (info.tracks, f"several tracks: {info.tracks} are taken"),
        (not info.square, f"stretched: its pixels are not square; now {size}"),
        (info.varies, f"variable frame rate: {steps}"),
        (when > OFFSET, f"late {who}: it begins {when:.2f} s after the rest, and so does the clip"),
    )
    return [text for so, text in notes if so]


# ------------------------------------------------------------------ what it becomes


def with_splits(
    items: list[Listed], holdout: float, unseen: tuple[str, ...]
) -> tuple[list[Listed], list[tuple]]:
    """Give every clip its split, by a hash of the video's name; what would be in two has a reason then.

    Of each class's videos the share ``holdout`` is kept out of ``train``: half ``val``, half ``test``; where
    a list or the folders say what is ``test``, holdout / 2 of the rest is ``val``.
    """
    place, remarks = _places([item for item in items if item.label not in unseen], holdout)
    placed, strongest = [], {}
    for item in items:
        split = "unseen" if item.label in unseen else place.get(item.name, item.split or "train")
        placed.append(replace(item, split=split))
        strongest[item.name] = max(split, strongest.get(item.name, split), key=SPLITS.index)
    for item in placed:
        if item.split != strongest[item.name]:
            item.drop(f"crosses splits: its video is in {strongest[item.name]} with another label")
    return placed, remarks


def _places(items: list[Listed], holdout: float) -> tuple[dict[str, str], list[tuple]]:
    """Splits of the videos by name, as given or held out of their class."""
    place = {item.name: item.split for item in items if item.split}
    order = ("test", "val") if not place else ("val",) if "val" not in place.values() else ()
    classes, small = defaultdict(list), []
    labels = {item.name: item.label for item in reversed(items)}  # of several clips of a video, the first's
    for name, label in labels.items():
        if place.get(name, "train") == "train":
            classes[label].append(name)
    for label, names in sorted(classes.items()):
        place |= folders.held_out(names, holdout, order)
        small += [label] * (len(names) < 3 and bool(holdout and order))
    text = f"small: {len(small)} classes have fewer than 3 videos, which all stay in train ({_some(small)})"
    return place, [("train", text)] * bool(small)


def _sort_out(items, holdout, hidden, excluded: dict, remarks: list) -> list[Listed]:
    """Clips that are used, with their splits; why others are left out goes to ``excluded``."""
    first = {}
    for item in items:
        original = first.setdefault(item.sha256 or item.file, item.file)
        if original != item.file:
            item.drop(f"copy: the same content as {original}")
    placed, small = with_splits([item for item in items if not item.reason], holdout, hidden)
    used = [item for item in placed if not item.reason]
    files = {item.file for item in used}
    remarks += [(item.file, note) for item in used for note in item.notes]
    for item in [*items, *placed]:
        if item.reason and item.file in files:  # another part of it is used
            remarks.append((item.file, f"in part: {item.reason}"))
        elif item.reason:
            excluded[item.file] = item.reason
    remarks += small
    return used


def _classes(used, items, hidden, excluded, remarks) -> dict[str, bool]:
    """Classes with a usable video, by name whether seen; unseen ones last."""
    there = {item.label for item in used}
    if not there:
        raise FolderError(f"not one video can be used.\n{folders.left_out(excluded)}")
    for label, count in sorted(Counter(item.label for item in items if item.label not in there).items()):
        remarks.append((label, f"no class: none of its {count} videos can be used"))
    splits = {item.split for item in used}
    if absent := ", ".join(split for split in SPLITS[:3] if split not in splits):
        text = "lessons that train need all three; add videos of the same class, or change --holdout"
        remarks.append((absent, f"no such split: {text}"))
    return {name: name not in hidden for name in sorted(there, key=lambda name: (name in hidden, name))}


def _chosen(used: list[Listed], classes: list[str]) -> dict[str, tuple[list, list]]:
    """Rows of every split's images and sounds, with label and row of the sound."""
    chosen = {split: ([], []) for split in SPLITS if any(item.split == split for item in used)}
    for item in used:
        images, sounds = chosen[item.split]
        label, shown = {"label": classes.index(item.label)}, iter(item.rows["images"])
        for row, (_, count) in zip(item.rows["sounds"], item.facts["clips"], strict=True):
            images += [(next(shown), label | {"clip": len(sounds)}) for _ in range(count)]
            sounds.append((row, label))
    return chosen
