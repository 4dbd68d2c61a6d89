"""A folder of videos from outside: which files, which labels, which part of each, and which split.

Three forms are understood:

* **AudioSet**: a csv of rows ``YTID, start, end, "label,label"``, lines with ``#`` are comments;
* **VGGSound**: a csv of rows ``ytid,start,label,split`` with split train, val or test; a clip lasts 10 s;
* **no list**: the class of a video is the folder that it lies in; videos that lie in no
  sub-folder are one class, ``unlabelled``. Above the class folders there may be folders
  ``train``, ``val``, ``test``, ``unseen``, and then they are the splits.

With a list a file is found by its id, alone or with the start as the usual downloaders name it:
``ID.mp4``, ``ID_000030.mp4``, ``ID_30.mp4``, ``ID_30000.mp4``, ``ID_30_40.mp4``, ``ID_30000_40000.mp4``.

Notebook: 10
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TextIO

from llinet_lite.data.folders import FolderError, class_name
from llinet_lite.data.media import VIDEO_SUFFIXES

UNLABELLED = "unlabelled"
SPLITS = ("train", "val", "test", "unseen")  # the later one wins where a video is in two
NAMES = "class_labels_indices.csv"  # AudioSet's table of codes and names
VGGSOUND_SECONDS = 10.0
ROLES = ("sound", "video")  # folders of photos and recordings: another layout
SHOWN = 5  # names in a remark about many files


@dataclass(frozen=True)
class Listed:
    """One clip that a folder or its list offers.

    Attributes
    ----------
    file : str
        Path relative to the folder.
    name : str
        Of the video: its id, or the file name without suffix. It decides the split.
    labels : tuple of str
        All of its labels.
    label : str
        Its class: the label that the fewest clips of the list bear, since that says the most.
    span : (float, float) or None
        Which part of the file, seconds, if the file turns out to be longer than that.
    split : str
        "" where neither the list nor a folder says so.
    """

    file: str
    name: str
    labels: tuple[str, ...]
    label: str = ""
    span: tuple[float, float] | None = None
    split: str = ""


def holds_videos(root: Path) -> bool:
    """Whether a folder is one of videos, not of photos and recordings in `sound` and `video` folders."""
    if any(path.is_dir() for role in ROLES for path in root.glob(f"*/*/{role}")):
        return False
    return any(_is_video(path) for path in root.rglob("*"))


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and path.name[0] != "." and path.is_file()


def walk_videos(root: Path, listing: Path | None = None) -> tuple[list[Listed], dict[str, str], list[dict]]:
    """List what a folder of videos offers.

    Parameters
    ----------
    root : Path
    listing : Path, optional
        The list; default: the one csv that lies in the folder, if there is one.

    Returns
    -------
    items : list of Listed
        In order of file and start.
    excluded : dict of str
        Reason by file, of videos that cannot be offered.
    warnings : list of dict
        ``file`` and ``reason``, what was passed over.

    Raises
    ------
    FolderError
        No folder, no video, several lists, or a row that cannot be read; the message says which.
    """
    if not root.is_dir():
        raise FolderError(f"{root}: there is no such folder")
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name[0] != ".")
    videos = [path for path in files if _is_video(path)]
    if not videos:
        raise FolderError(f"{root}: there is no video in it ({', '.join(VIDEO_SUFFIXES)})")
    listing = listing or _only_list(root)
    warnings = _strangers([path for path in files if not _is_video(path) and path.suffix != ".csv"], root)
    if listing is None:
        items, excluded = [_by_folder(root, path) for path in videos], {}
    else:
        items, excluded = _by_list(root, videos, listing, warnings)
    counts = Counter(label for item in items for label in set(item.labels))
    items = [replace(item, label=min(item.labels, key=lambda label: counts[label])) for item in items]
    several = sum(len(item.labels) > 1 for item in items)
    if several:
        text = f"{several} of {len(items)} clips have several labels: the rarest is their class, all are kept"
        warnings.append({"file": listing.name, "reason": text})
    return sorted(items, key=lambda item: (item.file, item.span or (0, 0))), excluded, warnings


def _only_list(root: Path) -> Path | None:
    found = sorted(path for path in root.glob("*.csv") if path.name != NAMES)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise FolderError(f"{root} holds several lists ({names}): name the one to take (--list)")
    return found[0] if found else None


def _strangers(files: list[Path], root: Path) -> list[dict]:
    """One remark per kind of file that is no video."""
    kinds = defaultdict(list)
    for path in files:
        kinds[path.suffix.lower() or "no suffix"].append(path.relative_to(root).as_posix())
    return [
        {"file": names[0], "reason": f"not opened: {len(names)} files ({kind}) are no videos"}
        for kind, names in sorted(kinds.items())
    ]


def _by_folder(root: Path, path: Path) -> Listed:
    *folders, _ = path.relative_to(root).parts
    split = folders.pop(0) if len(folders) > 1 and folders[0] in SPLITS else ""
    label = class_name(folders[-1]) if folders else UNLABELLED
    return Listed(path.relative_to(root).as_posix(), path.stem, (label,), split=split)


# ----------------------------------------------------------------------- lists


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


def _by_list(root: Path, videos: list[Path], listing: Path, warnings: list) -> tuple[list[Listed], dict]:
    """Find the file of every row; what is listed and not there, or there and not listed, is said."""
    names, by_stem, excluded = _label_names(root), {}, {}
    for path in videos:
        kept = by_stem.setdefault(path.stem, path)
        if kept is not path:
            same = kept.relative_to(root).as_posix()
            excluded[path.relative_to(root).as_posix()] = f"ambiguous: {same} has the same name"
    rows, items, missing = read_list(listing), {}, []
    for line, name, start, end, labels, split in rows:
        stem = next((s for s in _stems(name, start, end) if s in by_stem), None)
        if stem is None:
            missing.append(name)
            continue
        file = by_stem[stem].relative_to(root).as_posix()
        labels = tuple(names.get(code, code) for code in labels)
        item = Listed(file, name, labels, span=(start, end) if stem == name else None, split=split)
        if items.setdefault((file, item.span), item) is not item:
            warnings.append({"file": listing.name, "reason": f"line {line}: {name} is listed twice"})
    if missing:
        some = ", ".join(missing[:SHOWN]) + " ..." * (len(missing) > SHOWN)
        text = f"not there: {len(missing)} of {len(rows)} rows have no file in the folder ({some})"
        warnings.append({"file": listing.name, "reason": text})
    used = {item.file for item in items.values()}
    for path in videos:
        file = path.relative_to(root).as_posix()
        if file not in used:
            excluded.setdefault(file, f"not listed: {listing.name} has no row for it")
    codes = sorted({label for item in items.values() for label in item.labels if label[0] == "/"})
    if codes:
        text = f"codes: {len(codes)} labels have no name ({', '.join(codes[:SHOWN])}): put {NAMES} beside it"
        warnings.append({"file": listing.name, "reason": text})
    return list(items.values()), excluded


def _stems(name: str, start: float, end: float) -> list[str]:
    """Usual names of a downloaded clip, without suffix; the first that is there counts."""
    first, last = round(start), round(end)
    cut = [f"{first:06d}", f"{first}_{last}", f"{1000 * first}_{1000 * last}", f"{first}", f"{1000 * first}"]
    return [*(f"{name}_{mark}" for mark in cut), name]


def _label_names(root: Path) -> dict[str, str]:
    """Names of AudioSet's codes, if the table lies in the folder: rows `index,mid,display_name`."""
    path = root / NAMES
    if not path.is_file():
        return {}
    with _readable(path) as file:
        return {row["mid"]: class_name(row["display_name"]) for row in csv.DictReader(file)}


# ---------------------------------------------------------------------- splits


def with_splits(
    items: list[Listed], holdout: float, unseen: tuple[str, ...]
) -> tuple[list[Listed], dict[str, str], list[dict]]:
    """Give every clip that can be used its split; all clips of one video are in the same.

    Parameters
    ----------
    items : list of Listed
    holdout : float
        Share of each class's videos kept out of ``train``: half ``val``, half ``test``; where a list or the
        folders say what is ``test``, a share of the rest of holdout / 2 is ``val``.
    unseen : tuple of str
        Classes, as :func:`.class_name` names them, whose videos are all in ``unseen``.

    Returns
    -------
    items : list of Listed
        With splits, without those that would bring a video into two splits.
    excluded : dict of str
        Reason by file.
    warnings : list of dict
    """
    place, warnings = _places([item for item in items if item.label not in unseen], holdout)
    split_of = [
        "unseen" if item.label in unseen else place.get(item.name, item.split or "train") for item in items
    ]
    strongest: dict[str, str] = {}
    for item, split in zip(items, split_of, strict=True):
        strongest[item.name] = max(split, strongest.get(item.name, split), key=SPLITS.index)
    kept, excluded = [], {}
    for item, split in zip(items, split_of, strict=True):
        if split == strongest[item.name]:
            kept.append(replace(item, split=split))
        else:
            excluded[item.file] = f"crosses splits: its video is in {strongest[item.name]} with another label"
    return kept, {k: why for k, why in excluded.items() if k not in {item.file for item in kept}}, warnings


def _places(items: list[Listed], holdout: float) -> tuple[dict[str, str], list[dict]]:
    """Splits of the videos held out, by name: the first of each class in the order of a hash of the name."""
    given = {item.name: item.split for item in items if item.split}
    order = ("test", "val") if not given else ("val",) if "val" not in given.values() else ()
    classes, place, small = defaultdict(list), {}, []
    label_of = {
        item.name: item.label for item in reversed(items)
    }  # of a video with several clips, the first's
    for name, label in label_of.items():
        if given.get(name, "train") == "train":
            classes[label].append(name)
    for label, names in sorted(classes.items()):
        names.sort(key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        each = max(1, round(len(names) * holdout / 2)) if holdout and len(names) >= 3 else 0
        place |= {name: order[k // each] for k, name in enumerate(names[: each * len(order)])}
        small += [label] * (not each and bool(holdout and order))
    some = ", ".join(small[:SHOWN]) + " ..." * (len(small) > SHOWN)
    text = f"small: {len(small)} classes have fewer than 3 videos, which all stay in train ({some})"
    return given | place, [{"file": "train", "reason": text}] * bool(small)
