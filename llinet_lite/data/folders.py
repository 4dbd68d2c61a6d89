"""INSTRUMENT-32CLASS folders, or any of that layout, as a store; and what every import has in common.

The layout::

    train/<class>/{sound,video}                    seen classes
    test_without_seg/<class>/{sound,video}         unseen classes
    test/<class>/{sound,video,segment}             unseen classes, with masks

In ``train`` a sound belongs to every image of its class, unless at least 90 % of both carry the same names
(the rest is left out); in the test folders the files of one name are one clip. The splits of the store are
``train``, ``val`` and ``test`` (held out of train), ``unseen`` and ``scenes_unseen``.
Notebook: 04
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import os
import re
import shutil
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from llinet_lite.data import media
from llinet_lite.data.media import MediaError
from llinet_lite.data.store import (
    Store,
    StoreWriter,
    check_limits,
    locked,
    open_tables,
    over_cores,
    write_shard,
)
from llinet_lite.files import write_whole
from llinet_lite.world import INSTRUMENTS

IMPORT_VERSION = 3  # raise it whenever the same files give other rows
FILES_PER_TASK = 8
KEPT = "read"  # folder of what reading the files gave, until all is packed
ROWS_PER_SHARD = 32
MIN_SECONDS = 1.0  # shortest sound that is used
LONGEST = 600.0  # seconds of a recording: longer ones are left out unless that is asked for
SQUEEZED = 1.03  # by so much the proportions of a mask and its picture may differ
JUNK = ("Thumbs.db", "desktop.ini", "__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found")
PAIRED = 0.9  # share of the names of train with an image and a sound, from which names pair them
SILENT = -60.0  # dB relative to full scale (RMS): quieter is silence
LOUD = 1.05  # peak of a float file that is worth a remark
CLIPPED = 1e-3  # share of samples at full scale that is worth a remark
LAYOUT = {"train": ("sound", "video"), "test_without_seg": ("sound", "video")}
LAYOUT["test"] = ("sound", "video", "segment")
TARGETS = {"test_without_seg": "unseen", "test": "scenes_unseen"}
SPLITS = ("train", "val", "test", "unseen", "scenes_unseen")
LIMITS = {"sample_rate": (8000, 192_000), "image_size": (16, 2048), "holdout": (0.0, 0.99)}
SUFFIXES = {"sound": media.AUDIO_SUFFIXES} | dict.fromkeys(("video", "segment"), media.IMAGE_SUFFIXES)
_SAME = {"MPO": "JPEG", "W64": "WAV"}  # formats that go by a family name
_OFFICIAL = {row.name.replace(" ", ""): row.name for row in INSTRUMENTS}


class FolderError(ValueError):
    """A data set whose folders are not as they should be; the message lists what was found."""


# ------------------------------------------------------------ what every import has in common


@dataclass
class Item:
    """One file, or one part of it, that an import may use, and what reading it found."""

    file: str  # path relative to the data set
    split: str
    label: str  # its class
    sha256: str = ""
    reason: str = ""  # why it cannot be used
    notes: list[str] = field(default_factory=list)  # what is worth knowing about it if it is used
    facts: dict = field(default_factory=dict)  # what else reading it found
    rows: dict[str, range] = field(default_factory=dict)  # its rows by table, among all that were read

    @property
    def stem(self) -> str:
        return Path(self.file).stem

    def drop(self, reason: str) -> None:
        """Leave it out, for the first reason that is given."""
        self.reason = self.reason or reason


@contextmanager
def importing(root: Path, folder, plan: dict, items: list, rebuild=False) -> Iterator[StoreWriter]:
    """Hold the store of an import; data that are refused leave nothing begun.

    With `rebuild` a store that an import made there, of whatever files and settings, is removed first.
    """
    begun = Path(folder) / "plan.json"
    if rebuild and begun.is_file() and "rows_per_shard" in begun.read_text("utf-8", "replace"):
        with locked(folder):
            for path in Path(folder).iterdir():
                if path.name != ".lock":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    stats = [(item, (root / item.file).stat()) for item in items]
    files = repr([(item, stat.st_size, stat.st_mtime_ns) for item, stat in stats])
    plan = {**plan, "files": hashlib.sha256(files.encode()).hexdigest(), "rows_per_shard": ROWS_PER_SHARD}
    with StoreWriter(folder, plan) as writer:
        try:
            yield writer
        except FolderError:
            (writer.folder / "plan.json").unlink()
            shutil.rmtree(writer.folder / KEPT)
            raise


def read_files(
    writer: StoreWriter, root: Path, items: list, read: Callable, settings: dict, workers, progress: bool
) -> tuple:
    """Read every file once, over the cores; what is found is in the items, and its rows are kept.

    ``read(path, item, settings)`` returns a file's rows of images and of sounds, without their ``label``.
    """
    parts = [items[first : first + FILES_PER_TASK] for first in range(0, len(items), FILES_PER_TASK)]
    files = [writer.folder / KEPT / f"found-{k:05d}.json" for k in range(len(parts))]
    tasks = [(file, k, root, parts[k], read, settings) for k, file in enumerate(files) if not file.is_file()]
    list(over_cores(_read_some, tasks, workers, f"reading {root.resolve().name}", progress))
    found = [entry for file in files for entry in json.loads(file.read_text("utf-8"))]
    first = {"images": 0, "sounds": 0}
    for item, (facts, counts) in zip(items, found, strict=True):
        vars(item).update(facts)
        for table, count in counts.items():
            item.rows[table] = range(first[table], first[table] + count)
            first[table] += count
    return open_tables(writer.folder, KEPT, len(parts))


def _read_some(found_file: Path, task: int, root: Path, items: list, read: Callable, settings: dict) -> None:
    """Read some files and keep what they give; the unit of work of a process."""
    found, images, sounds = [], [], []
    for item in items:
        seen, heard, path = [], [], root / item.file
        try:
            with open(path, "rb") as file:
                item.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            seen, heard = read(path, item, settings)
        except OSError as error:
            item.drop(f"cannot be read: {error.strerror or error}")
        except MediaError as error:
            item.drop(error.reason)
        images += seen
        sounds += heard
        facts = {name: getattr(item, name) for name in ("sha256", "reason", "notes", "facts")}
        found.append((facts, {"images": len(seen), "sounds": len(heard)}))
    write_shard(found_file.parents[1], KEPT, task, images, sounds)
    write_whole(found_file, json.dumps(found).encode())  # written last


def pack_files(
    writer: StoreWriter,
    root: Path,
    kept: tuple,
    parts: dict,
    facts: dict,
    classes: dict[str, bool],
    excluded: dict[str, str],
    remarks: list[tuple],
    progress: bool,
) -> Store:
    """Write the store from kept rows: of every split's images and sounds (row, columns only known now)."""
    shards = {}
    for split, chosen in parts.items():
        images, sounds = map(len, chosen)
        count = shards[split] = math.ceil(max(images / 4, sounds) / ROWS_PER_SHARD)
        for k in writer.missing(split, count):
            tables = []
            for table, rows in zip(kept, chosen, strict=True):
                each = math.ceil(len(rows) / count)
                some = rows[k * each : (k + 1) * each]
                read = table.rows[[row for row, _ in some]].to_pylist() if some else []
                tables.append([row | own for row, (_, own) in zip(read, some, strict=True)])
            write_shard(writer.folder, split, k, *tables)
    manifest = facts | {"name": root.resolve().name, "command": f"llinet import {root}"}
    manifest["classes"] = [{"name": name, "seen": seen} for name, seen in classes.items()]
    for name, entries in (("excluded", sorted(excluded.items())), ("warnings", remarks)):
        manifest[name] = [{"file": file, "reason": reason} for file, reason in entries]
    store = writer.finish(manifest, shards)
    shutil.rmtree(writer.folder / KEPT)
    if progress:
        print(report(store), file=sys.stderr)
    return store


def report(store: Store) -> str:
    """What an import used, left out and remarked: a few lines for a human reader."""
    facts = store.manifest
    lines = [f"{split}: {n['images']} images, {n['sounds']} sounds" for split, n in store.splits.items()]
    for title, entries in (("left out", facts["excluded"]), ("remarks", facts["warnings"])):
        lines.append(f"{title}: {len(entries)}")
        kinds = Counter(entry["reason"].split(":")[0] for entry in entries)
        lines += [f"  {n} x {what}" for what, n in kinds.most_common(12)]
    return "\n".join([*lines, f"every file and its reason: {store.folder / 'manifest.json'}"])


def left_out(excluded: dict[str, str]) -> str:
    """The first files that are left out, with their reasons, as the end of an error."""
    lines = [f"  {file}: {reason}" for file, reason in sorted(excluded.items())[:20]]
    return "\n".join([f"Left out ({len(excluded)} files):", *(lines or ["  none"])])


def held_out(names: Iterable[str], holdout: float, splits: tuple[str, ...]) -> dict[str, str]:
    """Which names go to which of the splits, holdout / 2 to each: the first in the order of a hash."""
    order = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    each = max(1, round(len(order) * holdout / 2)) if holdout and len(order) >= 3 else 0
    return {name: splits[k // each] for k, name in enumerate(order[: each * len(splits)])}


def class_name(label: str) -> str:
    """Class name of a folder or label: its letters, digits and marks, lower case; "" if it has none.

    The official one if it differs only in case, spaces or a plural s.
    """
    text = unicodedata.normalize("NFC", label.lower())
    plain = " ".join("".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in text).split())
    if not any(c.isalnum() for c in plain):
        return ""
    compact = plain.replace(" ", "")
    return _OFFICIAL.get(compact) or _OFFICIAL.get(compact.removesuffix("s")) or plain


def refuse_names(labels: Iterable[str], where) -> None:
    """Refuse labels without a letter or digit, and different ones that would become one class."""
    spellings = defaultdict(dict)
    for label in labels:
        plain = " ".join(re.split(r"[\s_-]+", unicodedata.normalize("NFC", label).casefold().strip()))
        spellings[class_name(label)].setdefault(plain, label)
    for name, found in sorted(spellings.items()):
        some = " and ".join(map(repr, found.values()))
        if not name:
            raise FolderError(f"{where}: the label {some} holds no letter or digit: rename it")
        if len(found) > 1 and name not in _OFFICIAL.values():
            raise FolderError(f"{where}: the labels {some} would become one class ({name}): rename one")


def told(path) -> str:
    """A path as text that can be written; bytes that are no UTF-8 are shown."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def odd_place(root: Path, path: Path) -> str:
    """Why a place in a data set is left out, or a remark that begins "link"; "" if nothing is odd."""
    if told(path.name) != path.name:
        return "its name is not in UTF-8: rename it"
    outside = path.is_symlink() and root.resolve() not in path.resolve().parents
    return "link: to what lies outside the folder; followed" if outside and path.exists() else ""


def files_below(root: Path) -> tuple[dict[str, Path], list[tuple[str, str]]]:
    """All files of a folder by their relative names, links followed, and what is odd: (file, reason).

    Hidden files and folders, and those that systems leave behind, are passed over.
    """
    files, odd, entered = {}, [], set()
    for above, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(above)
        if real in entered:
            odd.append(
                (told(Path(above).relative_to(root)), "not opened: a link to a folder that is read already")
            )
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted(name for name in folders if name[0] != "." and name not in JUNK)
        for name in (*folders, *sorted(names)):
            path = Path(above) / name
            place, why = told(path.relative_to(root)), odd_place(root, path)
            if why and name[0] != ".":
                odd.append((place, why))
            if name in folders and told(name) != name:
                folders.remove(name)
            elif name not in folders and name[0] != "." and name not in JUNK and told(name) == name:
                files |= {place: path} if path.is_file() else {}
    return dict(sorted(files.items())), odd


def is_flat(image: np.ndarray) -> bool:
    """Whether an (H, W, 3) image shows one color."""
    return float(image.reshape(-1, 3).std(axis=0).max()) < 1.0


def refuse_silence(path, wave: np.ndarray, which: str = "") -> None:
    """Refuse an (n,) waveform that deviates so little from its mean that it is silence."""
    level = 20 * np.log10(float(np.std(wave, dtype=np.float64)) + 1e-10)
    if level < SILENT:
        text = f"silent{which}: {level:.0f} dB relative to full scale (limit {SILENT:.0f})"
        raise MediaError(path, f"{text}; check its sound track")


# ------------------------------------------------------------ folders of photos and recordings


@dataclass
class _File(Item):
    """A picture, a sound or a mask."""

    role: str = ""  # sound, video or segment
    claims: str = ""  # another class of the data set that the file's name begins with

    @property
    def stem_path(self) -> str:
        """The same for the image, the sound and the mask of one clip."""
        return f"{self.split}/{self.label}/{self.stem}"


def _of(files: list[_File], *roles: str) -> list[_File]:
    return [item for role in roles for item in files if item.role == role]


def _good(files: list[_File], *roles: str) -> list[_File]:
    return [item for item in _of(files, *roles) if not item.reason]


def _stems(files: list[_File], role: str) -> set[str]:
    return {item.stem_path for item in files if item.role == role}


def import_folders(
    source, folder, *, sample_rate: int = 16000, image_size: int = 128, holdout: float = 0.2,
    longest: float = LONGEST, rebuild: bool = False, workers: int | None = None, progress: bool = True,
) -> Store:  # fmt: skip
    """Check every file of a data set and pack the good ones.

    Parameters
    ----------
    source, folder : str or Path
        Folder with ``train``, ``test_without_seg`` and / or ``test``; and where the store shall be.
    sample_rate, image_size : int
        Of what is stored: Hz, and short side in pixels.
    holdout : float
        Share of each seen class's files kept out of ``train``, half ``val``, half ``test``, by hash of name.
    longest : float
        Seconds; a longer recording is left out.
    rebuild : bool
        Pack anew where there is a store of other files or settings.
    workers : int, optional
        Processes; default: one per core.

    Returns
    -------
    store : Store
        Its manifest lists every file that was left out ("excluded") or is worth a remark ("warnings").
    """
    settings = {"sample_rate": sample_rate, "image_size": image_size}
    reading = settings | {"longest": longest}
    check_limits({**reading, "holdout": holdout}, LIMITS | {"longest": (MIN_SECONDS, 3600.0)})
    root = Path(source)
    files, classes, remarks = _walk(root)
    plan = {"import": IMPORT_VERSION, **reading, "holdout": holdout}
    with importing(root, folder, plan, files, rebuild) as writer:
        if writer.finished:
            return Store(folder)
        kept = read_files(writer, root, files, _read, reading, workers, progress)
        _refuse_mislabeled(files, remarks)
        _refuse_foreign_masks(files)
        parts, paired = _split(files, holdout, remarks)
        for split, part in parts.items():
            _pair(split, part, paired, remarks)
        out = {item.file: item.reason for item in files if item.reason}
        parts, classes = _without_empty(parts, classes, out, remarks)
        out = {item.file: item.reason for item in files if item.reason}
        last = max(item.facts["seconds"] for item in _good(files, "sound"))
        facts, remarks = settings | {"seconds": round(last, 3)}, remarks + _notes(parts, sample_rate)
        chosen = {
            split: _chosen(part, split in paired, list(classes), kept[0]) for split, part in parts.items()
        }
        return pack_files(writer, root, kept, chosen, facts, classes, out, remarks, progress)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.name not in JUNK)


def _inside(root: Path, folder: Path, remarks: list[tuple], known: tuple[str, ...] = (), files=False) -> dict:
    """What belongs into a folder, by name: files, folders of known names, or any; the rest is remarked."""
    good, belong, layout = {}, "its files belong directly into", f"(the folders {', '.join(known)})"
    for path in _visible(folder):
        pickled, odd = path.suffix.lower() in (".pickle", ".pkl"), odd_place(root, path)
        faults = (
            (odd and not odd.startswith("link"), odd),
            (not path.exists(), "broken link: what it points to is not there"),
            (files and not path.is_file(), f"not opened: a subfolder; {belong} {folder.name}/"),
            (not files and pickled, "not opened: a pickle can run code; the folders are walked instead"),
            (not files and not path.is_dir(), "not opened: only folders belong here"),
            (known and path.name not in known, f"not opened: it is no part of the layout {layout}"),
        )
        if why := next((text for fault, text in faults if fault), ""):
            remarks.append((told(path.relative_to(root)), why))
        else:
            good[path.name] = path
            remarks += [(path.relative_to(root).as_posix(), odd)] * bool(odd)
    return good


def _guess(name: str, found: list[str]) -> str:
    """The second half of a sentence about a missing folder: the nearest that is there, or all."""
    for near in difflib.get_close_matches(name, [f.lower() for f in found], n=1, cutoff=0.6):
        actual = next(f for f in found if f.lower() == near)
        return f"there is {actual!r}: rename it to {name!r}"
    return f"found instead: {', '.join(map(repr, found)) or 'nothing'}"


def _walk(root: Path) -> tuple[list[_File], dict[str, bool], list[tuple]]:
    """List files, classes (by name whether seen, seen ones first) and remarks; all faults are one error."""
    if not root.is_dir():
        raise FolderError(f"{root}: there is no such folder")
    problems, remarks, files, names = [], [], [], [path.name for path in _visible(root)]
    splits = _inside(root, root, remarks, tuple(LAYOUT))
    for split in LAYOUT:
        if split in splits:
            files += _walk_split(root, split, problems, remarks)
            continue
        hint = _guess(split, [name for name in names if name not in LAYOUT])
        if hint.startswith("there is"):
            problems.append(f"{root / split} is missing; {hint}")
        if (root / split).is_symlink():
            problems.append(f"{root / split} is a broken link; mend or remove it")
        remarks.append((split, f"no folder: the store has nothing of {split}"))
    if not splits:
        found = ", ".join(map(repr, names)) or "nothing"
        problems.append(f"it needs a folder train, test_without_seg or test; found {found}")
    seen, unseen = ({i.label for i in files if (i.split == "train") == is_seen} for is_seen in (True, False))
    if both := ", ".join(sorted(seen & unseen)):
        text = "in train and in a test folder, but those are for unseen classes; move these to train"
        problems.append(f"{both}: {text} (a share of it is held out for testing seen classes)")
    if problems:
        raise FolderError(f"{root} cannot be imported:\n" + "\n".join(f"  {text}" for text in problems))
    classes = dict.fromkeys(sorted(seen), True) | dict.fromkeys(sorted(unseen), False)
    _find_claims(files, classes, remarks)
    return files, classes, remarks


def _walk_split(root: Path, split: str, problems: list[str], remarks: list[tuple]) -> list[_File]:
    files, names = [], {}
    for folder in _inside(root, root / split, remarks).values():
        name = class_name(folder.name)
        if not name:
            problems.append(f"{folder}: the name of a class holds no letter or digit; rename it")
        elif name in names:
            problems.append(f"{folder} and {names[name]} are the same class ({name}); merge them")
        names[name] = folder
        roles = _inside(root, folder, remarks, LAYOUT[split])
        for role in LAYOUT[split]:
            if role not in roles:
                strays = [path.name for path in _visible(folder) if path.name not in LAYOUT["test"]]
                problems.append(f"{folder / role} is missing; {_guess(role, strays)}")
                continue
            found = _inside(root, folder / role, remarks, files=True).values()
            files += [_File(path.relative_to(root).as_posix(), split, name, role=role) for path in found]
            if not found:
                others = ", ".join(repr(path.name) for path in _visible(folder / role))
                only = f": it holds no file, only {others}" if others else ""
                problems.append(f"{folder / role} is empty{only}")
    if not names:
        problems.append(f"{root / split} holds no class folder")
    return files


def _find_claims(files: list[_File], classes: dict[str, bool], remarks: list[tuple]) -> None:
    """Whose name begins with another class; where most of a folder do, it is a way of naming."""
    places = defaultdict(list)
    for item in files:
        named = class_name(re.match(r"[^0-9]*", item.stem).group())
        item.claims = named if named in classes and named != item.label else ""
        places[item.split, item.label, item.role].append(item)
    for key, items in sorted(places.items()):
        odd = [item for item in items if item.claims]
        if 2 * len(odd) > len(items):
            text = f"naming: {len(odd)} of {len(items)} file names begin with another class; kept"
            remarks.append(("/".join(key), text))
            for item in odd:
                item.claims = ""


def _read(path: Path, item: _File, settings: dict) -> tuple[list[dict], list[dict]]:
    """Read a file to its end, judge it, and make its row."""
    suffixes = SUFFIXES[item.role]
    expected = suffixes.get(path.suffix.lower())
    if expected is None:
        text = f"not used: in {item.role}/ the suffix must be one of {', '.join(suffixes)}"
        raise MediaError(path, text)
    if item.role == "sound":
        heard = media.open_audio(path, None, settings["longest"], "; cut it, or import with --longest")
        kind = heard.kind
        _judge_audio(path, item, heard)
        audio = media.to_int16(media.resample(heard.wave, heard.rate, settings["sample_rate"]))
        row = {"kind": "recording", "audio": audio.astype("<i2").tobytes()}
    else:
        image, kind, lay = (media.open_mask if item.role == "segment" else media.open_image)(path)
        item.facts["orientation"] = lay
        item.facts["size"] = [image.shape[1], image.shape[0]]
        row = {"time": -1.0, "kind": "photo", "jpeg": b"", "objects": b""}
        if item.role == "segment":
            if image.min() == image.max():
                raise MediaError(path, "the mask is empty, or full: it has one value only")
            row["objects"] = media.encode_png(image.astype(np.uint8))
        elif is_flat(image):
            raise MediaError(path, "empty: one flat color")
        else:
            row["jpeg"] = media.encode_jpeg(media.resize_short_side(image, settings["image_size"]))
    kind = _SAME.get(kind, kind)
    if kind != expected:
        item.notes.append(f"its content is {kind}, its name says {expected}")
    rows = [{"id": item.file, "factors": "{}", **row}]
    return ([], rows) if item.role == "sound" else (rows, [])


def _judge_audio(path: Path, item: _File, heard: media.Recording) -> None:
    seconds, several = len(heard.wave) / heard.rate, heard.channels > 1
    item.facts |= {"rate": heard.rate, "seconds": seconds}
    if seconds < MIN_SECONDS:
        raise MediaError(path, f"too short: {seconds:.2f} s, at least {MIN_SECONDS} s are needed")
    refuse_silence(path, heard.wave, " after the mix to one channel" if several else "")
    if several:
        item.notes.append(f"{heard.channels} channels, mixed to one")
    if heard.divisor > LOUD:
        item.notes.append(f"beyond full scale: divided by {heard.divisor:g}")
    elif heard.full > CLIPPED:
        item.notes.append(f"clipped: {100 * heard.full:.1f} % of its samples are at full scale")


def _refuse_mislabeled(files: list[_File], remarks: list[tuple]) -> None:
    """Drop what may not show or sound its class, and copies in train but the first, that with a partner."""
    for item in files:
        if item.claims:
            text = f"its name says {item.claims}, its folder says {item.label}; move or rename it"
            item.drop(f"mislabeled: {text}")
    good = [item for item in files if not item.reason and item.role != "segment"]
    both, copies = _stems(good, "video") & _stems(good, "sound"), defaultdict(list)
    for item in sorted(good, key=lambda item: item.stem_path not in both):
        copies[item.sha256].append(item)
    for group in copies.values():
        names = " and ".join(sorted({item.label for item in group}))
        for before, item in zip([None, *group], group, strict=False):
            other = next((o.file for o in group if o.label != item.label), "")
            if other:
                item.drop(f"mislabeled: the same content lies under {names}, as {other}")
            elif before and item.split == "train":
                item.drop(f"copy: the same content as {group[0].file}")
            elif before and item.split == before.split:
                remarks.append((item.file, f"copy, kept: the same content as {before.file}"))


def _refuse_foreign_masks(files: list[_File]) -> None:
    """Drop masks of other proportions than their picture; those drawn as it lies in its file are turned."""
    photos = {item.stem_path: item for item in _good(files, "video") if item.split == "test"}
    for mask in _good(files, "segment"):
        photo = photos.get(mask.stem_path)
        (width, height), (w, h) = mask.facts["size"], photo.facts["size"] if photo else mask.facts["size"]
        if photo and max(width * h, height * w) > SQUEEZED * min(width * h, height * w):
            mask.facts["turn"] = photo.facts["orientation"]
            if mask.facts["turn"] < 5 or max(height * h, width * w) > SQUEEZED * min(height * h, width * w):
                mask.drop(
                    f"mask of other proportions: {width} x {height}, its picture {w} x {h}; draw it on that"
                )


def _split(files: list[_File], holdout: float, remarks: list) -> tuple[dict[str, list[_File]], set[str]]:
    """Files by split, each put by its name, whatever else is there; and the splits paired by name."""
    train = [i for i in files if i.split == "train" and Path(i.file).suffix.lower() in SUFFIXES[i.role]]
    both, names = _stems(train, "video") & _stems(train, "sound"), {item.stem_path for item in train}
    by_name = bool(names) and len(both) >= PAIRED * len(names)
    if not by_name and 2 * len(both) > len(names):
        text = f"{len(both)} of {len(names)} names have both a picture and a sound, and pairing by name needs"
        text += f" {100 * PAIRED:.0f} %; add or remove the files without a partner to pair by name"
        remarks.append(("train", f"paired by class only: {text}"))
    ranked, parts = defaultdict(set), {split: [] for split in SPLITS}
    for item in train:
        if not by_name or item.stem_path in both:
            ranked[item.label, "" if by_name else item.role].add(item.stem)
    place = {key: held_out(stems, holdout, ("val", "test")) for key, stems in ranked.items()}
    for item in files:
        held = place.get((item.label, "" if by_name else item.role), {}).get(item.stem, "train")
        parts[TARGETS.get(item.split, held)].append(item)
    paired = set(SPLITS) if by_name else set(TARGETS.values())
    return {split: part for split, part in parts.items() if part}, paired


def _pair(split: str, part: list[_File], paired: set[str], remarks: list) -> None:
    """Drop what has no partner of its name, and, with masks, what has no mask."""
    if split in paired and not _stems(part, "video") & _stems(part, "sound"):
        paired.discard(split)
        text = "no picture has a sound of the same name: pictures and sounds are paired by class only"
        remarks.append((split, text))
    clips, masked = split in paired, split == "scenes_unseen"
    first: dict[tuple[str, str], _File] = {}
    for item in _good(part, "segment", *["video"] * (clips or masked), *["sound"] * clips):
        kept = first.setdefault((item.role, item.stem_path), item)
        if kept is not item:
            item.drop(f"ambiguous: {kept.file} has the same name")
    for role, partner, due, why in (
        ("video", "segment", masked, "no mask: none of its name can be used in segment/"),
        ("video", "sound", clips, "no partner: no sound of its name can be used"),
        ("sound", "video", clips, "no partner: no picture of its name can be used"),
        ("segment", "video", masked, "no picture of its name can be used"),
    ):
        there = _stems(_good(part, partner), partner)
        for item in _of(part, role):
            if due and item.stem_path not in there:
                item.drop(why)


def _without_empty(
    parts: dict[str, list], classes: dict[str, bool], out: dict[str, str], remarks: list
) -> tuple[dict[str, list], dict[str, bool]]:
    """Splits and classes that have usable pictures and sounds; what has none is remarked."""

    def left(split: str) -> set[str]:
        usable = ({item.label for item in _good(parts.get(split, []), role)} for role in ("video", "sound"))
        return set.intersection(*usable)

    home = {name: ("train",) if seen else tuple(TARGETS.values()) for name, seen in classes.items()}
    whole = {name: seen for name, seen in classes.items() if any(name in left(split) for split in home[name])}
    for name in sorted(set(classes) - set(whole)):
        remarks.append((name, "no class: not one picture, or not one sound, of it can be used"))
    for split, part in list(parts.items()):
        lost = sorted({item.label for item in part} & set(whole) - left(split))
        for item in part:
            if item.label not in whole or item.label in lost:
                item.drop("left over: its class has no usable picture with a sound in this split")
        if not _good(part, "video", "sound"):
            del parts[split]
            remarks.append(
                (split, "no such split: nothing of it can be used; add files, or change --holdout")
            )
        elif lost:
            remarks.append((split, f"without {', '.join(lost)}: no usable picture with a sound; add files"))
    if not parts:
        raise FolderError(f"not one class has a picture and a sound that can be used.\n{left_out(out)}")
    return parts, whole


def _notes(parts: dict[str, list[_File]], rate: int) -> list[tuple]:
    """What is worth knowing about the files that are used."""
    sounds = [item for part in parts.values() for item in _good(part, "sound")]
    rates, remarks = {item.facts["rate"] for item in sounds}, []
    if len(rates) == 1 and rate not in rates:  # and is empty afterwards
        text = f"resampled from {rates.pop()} to {rate} Hz, as all of them"
        remarks.append((f"all {len(sounds)} sounds", text))
    for part in parts.values():
        masks = {mask.stem_path: mask for mask in _good(part, "segment")}
        for item in _good(part, "video", "sound"):
            notes, mask = list(item.notes), masks.get(item.stem_path)
            if item.role == "sound" and item.facts["rate"] != rate and rates:
                notes.append(f"resampled from {item.facts['rate']} to {rate} Hz")
            if item.role == "video" and mask and mask.facts["size"] != item.facts["size"]:
                sizes = ["{} x {}".format(*one.facts["size"]) for one in (mask, item)]
                notes.append(f"mask of another size: {sizes[0]}, the picture {sizes[1]}")
            remarks += [(item.file, note) for note in notes]
    return remarks


def _chosen(part: list[_File], paired: bool, classes: list[str], images) -> tuple[list, list]:
    """Rows of a split's images and sounds, with label, row of the sound, and mask."""
    sounds, chosen = _good(part, "sound"), []
    clips = {item.stem_path: k for k, item in enumerate(sounds)} if paired else {}
    masks = {mask.stem_path: mask for mask in _good(part, "segment")}
    for item in _good(part, "video"):
        row, own = item.rows["images"][0], {"label": classes.index(item.label)}
        if item.stem_path in masks:
            mask, (height, width) = masks[item.stem_path], images.image(row).shape[:2]
            drawn = media.turn(images.objects(mask.rows["images"][0]), mask.facts.get("turn", 1))
            drawn = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
            own["objects"] = media.encode_png(drawn)
        chosen.append((row, own | {"clip": clips.get(item.stem_path, -1)}))
    return chosen, [(item.rows["sounds"][0], {"label": classes.index(item.label)}) for item in sounds]
