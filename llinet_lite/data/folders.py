"""INSTRUMENT-32CLASS folders, or any of that layout, as a store.

The layout::

    train/<class>/{sound,video}                    seen classes
    test_without_seg/<class>/{sound,video}         unseen classes
    test/<class>/{sound,video,segment}             unseen classes, with masks

In ``train`` a sound belongs to every image of its class, unless both carry the same names (at least 90 %
of them; the rest is left out); in the test folders the files of one name are one clip. The splits of the
store are those of the built-in world: ``train``, ``val`` and ``test`` (held out of train), ``unseen``
(test_without_seg) and ``scenes_unseen`` (test). Index pickles are never opened, since a pickle can run code.
Whatever is left out stands in the manifest with its reason; nothing takes its place.

Notebook: 04
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from llinet_lite.data import media
from llinet_lite.data.media import MediaError
from llinet_lite.data.store import Store, StoreWriter, over_cores, write_shard
from llinet_lite.world import INSTRUMENTS

IMPORT_VERSION = 1  # raise it whenever the same files give other rows
FILES_PER_TASK = 16
ROWS_PER_SHARD = 32
MIN_SECONDS = 1.0  # shortest sound that is used
PAIRED = 0.9  # share of the names of train with an image and a sound, from which names pair them
SILENT = -60.0  # dB relative to full scale (RMS): quieter is silence
CLIPPED = 1e-3  # share of samples at full scale that is worth a remark
BROKEN_LINK = "broken link: what it points to is not there"
LAYOUT = {"train": ("sound", "video"), "test_without_seg": ("sound", "video")}
LAYOUT["test"] = ("sound", "video", "segment")
TARGETS = {"test_without_seg": "unseen", "test": "scenes_unseen"}
SPLITS = ("train", "val", "test", "unseen", "scenes_unseen")
SUFFIXES = {"sound": media.AUDIO_SUFFIXES} | dict.fromkeys(("video", "segment"), media.IMAGE_SUFFIXES)
_SAME = {"MPEG": "MP3", "WAVEX": "WAV", "RF64": "WAV", "MPO": "JPEG"}  # formats that go by a family name
_OFFICIAL = {row.name.replace(" ", ""): row.name for row in INSTRUMENTS}


class FolderError(ValueError):
    """A data set whose folders are not as they should be; the message lists what was found."""


@dataclass
class _File:
    """One file of a data set, and what reading it found."""

    file: str  # path relative to the data set
    split: str  # its folder: train, test_without_seg or test
    name: str  # its class
    role: str  # sound, video or segment
    label: int = -1
    claims: str = ""  # another class of the data set that the file's name begins with
    sha256: str = ""
    sample_rate: int = 0  # of a sound, Hz
    samples: int = 0
    size: tuple[int, int] = (0, 0)  # of an image or mask: width, height
    reason: str = ""  # why it cannot be used
    notes: list[str] = field(default_factory=list)  # what is worth knowing about it if it is used

    @property
    def stem(self) -> str:
        return Path(self.file).stem

    @property
    def stem_path(self) -> str:
        """The same for the image, the sound and the mask of one clip."""
        return f"{self.split}/{self.name}/{self.stem}"

    def drop(self, reason: str) -> None:
        self.reason = self.reason or reason


@dataclass
class _Part:
    """One split of the store to be; how its images find their sounds, and their masks by `stem_path`."""

    files: list[_File] = field(default_factory=list)
    paired: bool = True
    masks: dict[str, _File] = field(default_factory=dict)

    def all(self, *roles: str) -> list[_File]:
        return [item for role in roles for item in self.files if item.role == role]

    def good(self, *roles: str) -> list[_File]:
        return [item for item in self.all(*roles) if not item.reason]

    def mask(self, item: _File) -> _File | None:
        return self.masks.get(item.stem_path) if item.role == "video" else None


def import_folders(
    source, folder, *, sample_rate: int | str = 16000, image_size: int = 128, holdout: float = 0.2,
    workers: int | None = None, progress: bool = True, rebuild: bool = False,
) -> Store:  # fmt: skip
    """Check every file of a data set and pack the good ones.

    Parameters
    ----------
    source : str or Path
        Folder with ``train``, ``test_without_seg`` and / or ``test``.
    folder : str or Path
        Where the store shall be.
    sample_rate : int or "native"
        Hz; sounds of other rates are resampled. "native" keeps the rate, which all files must share.
    image_size : int
        Short side of the stored images, pixels; proportions stay.
    holdout : float
        Share of each seen class's files kept out of ``train``, half ``val``, half ``test``, by hash of name.
    workers : int, optional
        Processes; default: one per core.
    progress : bool
        Show a bar and a summary on stderr.
    rebuild : bool
        Replace a store that was begun with other settings instead of refusing it.

    Returns
    -------
    store : Store
        ``store.manifest["excluded"]`` and ``["warnings"]`` list every file that was dropped or is worth a
        remark, with the reason.

    Raises
    ------
    FolderError
        Missing or misspelled folders, an empty class or split, or several rates with "native".
    StoreError
        The folder holds something else, or the disk is full.

    Notebook: 04
    """
    if not 0 <= holdout < 1:
        raise ValueError(f"holdout is a share between 0 and 1, not {holdout}")
    if not 16 <= image_size <= 2048:
        raise ValueError(f"image_size is 16 to 2048 pixels, not {image_size}")
    if sample_rate != "native" and not (isinstance(sample_rate, int) and 8000 <= sample_rate <= 192000):
        raise ValueError(f"sample_rate is 8000 to 192000 Hz or 'native', not {sample_rate!r}")
    root = Path(source)
    files, classes, remarks = _walk(root)
    tasks = [(root, files[k : k + FILES_PER_TASK]) for k in range(0, len(files), FILES_PER_TASK)]
    checked = over_cores(_inspect, tasks, workers, f"checking {root.name}", progress)
    files = [item for some in checked for item in some]
    _refuse_mislabeled(files, remarks)
    parts = _split(files, holdout, remarks)
    for split, part in parts.items():
        _pair(split, part, remarks)
    _refuse_empty(parts, classes, files)
    sounds = [item for part in parts.values() for item in part.good("sound")]
    rate = _rate(sample_rate, sounds)
    remarks += _notes(parts, sounds, rate)
    plan = {"import": IMPORT_VERSION, "sample_rate": rate, "image_size": image_size, "holdout": holdout}
    plan |= {"files": _fingerprint(parts), "rows_per_shard": ROWS_PER_SHARD}
    with StoreWriter(folder, plan, rebuild) as writer:
        shards, tasks = _tasks(writer, root, parts, rate, image_size)
        list(over_cores(_pack, tasks, workers, f"packing {root.name}", progress))
        manifest = {
            "name": root.resolve().name, "command": f"llinet import {root}",
            "sample_rate": rate, "image_size": image_size,
            "seconds": round(max(item.samples / item.sample_rate for item in sounds), 3),
            "classes": [{"name": name, "seen": seen} for name, seen in classes],
            "excluded": [remark(*out) for out in sorted((i.file, i.reason) for i in files if i.reason)],
            "warnings": remarks,
        }  # fmt: skip
        store = writer.finish(manifest, shards)
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


def remark(file: str, reason: str) -> dict[str, str]:
    """One entry of a manifest's ``excluded`` or ``warnings``."""
    return {"file": file, "reason": reason}


def class_name(folder: str) -> str:
    """Class name of a folder: the official one if it differs only in case, spaces or a plural s."""
    plain = " ".join(re.sub(r"[\W_]+", " ", folder.lower()).split())
    compact = plain.replace(" ", "")
    return _OFFICIAL.get(compact) or _OFFICIAL.get(compact.removesuffix("s")) or plain


# --------------------------------------------------------------- what is there


def _visible(folder: Path) -> list[Path]:
    hidden = ("Thumbs.db", "desktop.ini")
    return sorted(path for path in folder.iterdir() if path.name[0] != "." and path.name not in hidden)


def _guess(name: str, found: list[str]) -> str:
    """The second half of a sentence about a missing folder: the nearest that is there, or all."""
    near = difflib.get_close_matches(name, [f.lower() for f in found], n=1, cutoff=0.6)
    if near:
        actual = next(f for f in found if f.lower() == near[0])
        return f"there is {actual!r}: rename it to {name!r}"
    return f"found instead: {', '.join(map(repr, found)) or 'nothing'}"


def _walk(root: Path) -> tuple[list[_File], list[tuple[str, bool]], list[dict]]:
    """List files, classes (name and whether it is seen, seen ones first) and what was passed over.

    Raises a :class:`FolderError` that lists all that is wrong with the folders.
    """
    if not root.is_dir():
        raise FolderError(f"{root}: there is no such folder")
    here = _visible(root)
    strays = [path.name for path in here if path.is_dir() and path.name not in LAYOUT]
    problems, remarks, files = [], _passed_over(here, ""), []
    text = f"not opened: it is no part of the layout (the folders {', '.join(LAYOUT)})"
    remarks += [remark(name, text) for name in strays]
    for split in LAYOUT:
        if (root / split).is_dir():
            files += _walk_split(root, split, problems, remarks)
            continue
        hint = _guess(split, strays)
        if hint.startswith("there is"):
            problems.append(f"{root / split} is missing; {hint}")
        if (root / split).is_symlink():
            problems.append(f"{root / split} is a broken link; mend or remove it")
        remarks.append(remark(split, f"no folder: the store has nothing of {split}"))
    if not any((root / split).is_dir() for split in LAYOUT):
        found = ", ".join(repr(path.name) for path in here) or "nothing"
        problems.append(f"it needs a folder train, test_without_seg or test; found {found}")
    seen, unseen = ({i.name for i in files if (i.split == "train") == is_seen} for is_seen in (True, False))
    if seen & unseen:
        both = ", ".join(sorted(seen & unseen))
        text = (
            "in train and in a test folder, but the test folders are for unseen classes; move these to train"
        )
        problems.append(f"{both}: {text} (a share of it is held out for testing seen classes)")
    if problems:
        raise FolderError(f"{root} cannot be imported:\n" + "\n".join(f"  {text}" for text in problems))
    classes = [(name, True) for name in sorted(seen)] + [(name, False) for name in sorted(unseen)]
    labels = {name: k for k, (name, _) in enumerate(classes)}
    for item in files:
        item.label = labels[item.name]
        named = class_name(re.match(r"[^0-9]*", item.stem).group())
        item.claims = named if named in labels and named != item.name else ""
    _accept_naming(files, remarks)
    return files, classes, remarks


def _accept_naming(files: list[_File], remarks: list[dict]) -> None:
    """Where most names of a folder begin with another class, it is a way of naming."""
    places = defaultdict(list)
    for item in files:
        places[item.split, item.name, item.role].append(item)
    for key, items in sorted(places.items()):
        odd = [item for item in items if item.claims]
        if 2 * len(odd) > len(items):
            text = f"naming: {len(odd)} of {len(items)} file names begin with another class; kept"
            remarks.append(remark("/".join(key), text))
            for item in odd:
                item.claims = ""


def _passed_over(paths: list[Path], prefix: str) -> list[dict]:
    """Files, and links to nothing, where only folders belong."""
    entries = []
    for path in (path for path in paths if not path.is_dir()):
        pickled = path.suffix.lower() in (".pickle", ".pkl")
        why = (
            "a pickle can run code; the folders are walked instead" if pickled else "only folders belong here"
        )
        entries.append(remark(prefix + path.name, f"not opened: {why}" if path.exists() else BROKEN_LINK))
    return entries


def _walk_split(root: Path, split: str, problems: list[str], remarks: list[dict]) -> list[_File]:
    files, names = [], {}
    entries = _visible(root / split)
    remarks += _passed_over(entries, f"{split}/")
    folders = [path for path in entries if path.is_dir()]
    if not folders:
        problems.append(f"{root / split} holds no class folder")
    for folder in folders:
        name = class_name(folder.name)
        if name in names:
            problems.append(f"{folder} and {names[name]} are the same class ({name}); merge them")
        names[name] = folder
        inside = [path.name for path in _visible(folder)]
        for role in LAYOUT[split]:
            if (folder / role).is_dir():
                found = _walk_role(root, folder / role, problems, remarks)
                files += [_File(file, split, name, role) for file in found]
            else:
                strays = [entry for entry in inside if entry not in LAYOUT["test"]]
                problems.append(f"{folder / role} is missing; {_guess(role, strays)}")
        extra = [entry for entry in inside if entry not in LAYOUT[split]]
        text = "not opened: it is no part of the layout"
        remarks += [remark(f"{split}/{folder.name}/{entry}", text) for entry in extra]
    return files


def _walk_role(root: Path, folder: Path, problems: list[str], remarks: list[dict]) -> list[str]:
    entries = _visible(folder)
    others = [path for path in entries if not path.is_file()]
    for path in others:
        reason = BROKEN_LINK
        if path.is_dir():
            reason = f"not opened: a subfolder; its files belong directly into {folder.name}/"
        elif path.exists():
            reason = "not opened: it is no regular file"
        remarks.append(remark(path.relative_to(root).as_posix(), reason))
    if len(others) == len(entries):
        names = ", ".join(repr(path.name) for path in others)
        problems.append(f"{folder} is empty" + (f": it holds no file, only {names}" if others else ""))
    return [path.relative_to(root).as_posix() for path in entries if path.is_file()]


# ------------------------------------------------------------- what it is worth


def _inspect(root: Path, files: list[_File]) -> list[_File]:
    """Read some files to their ends and judge them; the unit of work of a process."""
    for item in files:
        try:
            _judge(item, root / item.file)
        except MediaError as error:
            item.reason = error.reason
    return files


def _judge(item: _File, path: Path) -> None:
    suffixes = SUFFIXES[item.role]
    expected = suffixes.get(path.suffix.lower())
    if expected is None:
        text = f"not used: in {item.role}/ the suffix must be one of {', '.join(suffixes)}"
        raise MediaError(path, text)
    data = media.read_bytes(path)
    item.sha256 = hashlib.sha256(data).hexdigest()
    if item.role == "sound":
        wave, info = media.open_audio(path, data)
        kind = info.format
        _judge_audio(item, wave, info.sample_rate)
    else:
        image, kind = media.open_image(path, data, "L" if item.role == "segment" else "RGB")
        item.size = (image.shape[1], image.shape[0])
        if item.role == "segment" and (image > 127).mean() in (0, 1):
            item.reason = f"the mask is {'full' if image.max() > 127 else 'empty'}"
        if item.role == "video" and is_flat(image):
            item.reason = "empty: one flat color"
    kind = _SAME.get(kind, kind)
    if kind != expected:
        item.notes.append(f"its content is {kind}, its name says {expected}")


def is_flat(image: np.ndarray) -> bool:
    """Whether an (H, W, 3) image shows one color."""
    return float(image.reshape(-1, 3).std(axis=0).max()) < 1.0


def loudness(wave: np.ndarray) -> float:
    """Root mean square of an (n,) waveform, dB relative to full scale; at least -200."""
    return 10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-20)


def _judge_audio(item: _File, wave: np.ndarray, rate: int) -> None:
    samples, channels = wave.shape
    item.sample_rate, item.samples, level = rate, samples, loudness(wave.mean(axis=1))
    if channels > 1:
        item.notes.append(f"{channels} channels, mixed to one")
    full = float(np.mean(np.abs(wave) >= 0.999))
    if full > CLIPPED:
        item.notes.append(f"clipped: {100 * full:.1f} % of its samples are at full scale")
    if samples < MIN_SECONDS * rate:
        item.reason = f"too short: {samples / rate:.2f} s, at least {MIN_SECONDS} s are needed"
    elif level < SILENT:
        mixed = " after the mix to one channel" if channels > 1 else ""
        item.reason = f"silent{mixed}: {level:.0f} dB relative to full scale (limit {SILENT:.0f})"


def _refuse_mislabeled(files: list[_File], remarks: list[dict]) -> None:
    """Drop files that may not show or sound their class, and copies; in the test folders copies stay.

    What is dropped already makes no other file a copy. Of several copies the first whose name both an image
    and a sound bear stays, else the first.
    """
    for item in files:
        if item.claims:
            text = f"its name says {item.claims}, its folder says {item.name}; move or rename it"
            item.drop(f"mislabeled: {text}")
    good = [item for item in files if not item.reason and item.role != "segment"]
    both, copies = _stems(good, "video") & _stems(good, "sound"), defaultdict(list)
    for item in sorted(good, key=lambda item: item.stem_path not in both):
        copies[item.sha256].append(item)
    for group in copies.values():
        names = " and ".join(sorted({item.name for item in group}))
        for before, item in zip([None, *group], group, strict=False):
            other = next((o.file for o in group if o.name != item.name), "")
            if other:
                item.drop(f"mislabeled: the same content lies under {names}, as {other}")
            elif before and item.split == "train":
                item.drop(f"copy: the same content as {group[0].file}")
            elif before and item.split == before.split:
                remarks.append(remark(item.file, f"copy, kept: the same content as {before.file}"))


def _stems(files: list[_File], role: str) -> set[str]:
    return {item.stem_path for item in files if item.role == role}


# ------------------------------------------------------------------ what it becomes


def _split(files: list[_File], holdout: float, remarks: list) -> dict[str, _Part]:
    """Give every file its split; its place is decided by its name, whatever else is there or broken."""
    train = [i for i in files if i.split == "train" and Path(i.file).suffix.lower() in SUFFIXES[i.role]]
    both, names = _stems(train, "video") & _stems(train, "sound"), {item.stem_path for item in train}
    paired = bool(names) and len(both) >= PAIRED * len(names)
    if not paired and 2 * len(both) > len(names):
        text = f"{len(both)} of {len(names)} names have both a picture and a sound, and pairing by name needs"
        text += f" {100 * PAIRED:.0f} %; add or remove the files without a partner to pair by name"
        remarks.append(remark("train", f"paired by class only: {text}"))
    ranked, place = defaultdict(set), {}
    for item in train:
        if not paired or item.stem_path in both:
            ranked[item.name, "" if paired else item.role].add(item.stem)
    for key, stems in ranked.items():
        order = sorted(stems, key=lambda stem: hashlib.sha256(stem.encode()).hexdigest())
        each = max(1, round(len(order) * holdout / 2)) if holdout and len(order) >= 3 else 0
        place |= {(*key, stem): "val" if k < each else "test" for k, stem in enumerate(order[: 2 * each])}
    parts = {split: _Part(paired=paired or split in TARGETS.values()) for split in SPLITS}
    for item in files:
        held = place.get((item.name, "" if paired else item.role, item.stem), "train")
        parts[TARGETS.get(item.split, held)].files.append(item)
    return {split: part for split, part in parts.items() if part.files}


def _pair(split: str, part: _Part, remarks: list) -> None:
    """Drop what has no partner of its name, and, with masks, what has no mask."""
    images, drawn = part.all("video"), part.all("segment")
    if part.paired and not _stems(images, "video") & _stems(part.files, "sound"):
        part.paired = False
        text = "no picture has a sound of the same name: pictures and sounds are paired by class only"
        remarks.append(remark(split, text))
    if part.paired or split == "scenes_unseen":
        _first_of_a_name(part.all("video", "sound") if part.paired else images)
    part.masks = _first_of_a_name(drawn)
    for item in images if split == "scenes_unseen" else ():
        if part.mask(item) is None:
            item.drop("no mask: none of its name can be used in segment/")
    if part.paired:
        for role, partner, what in (("video", "sound", "sound"), ("sound", "video", "picture")):
            partners = _stems(part.good("video", "sound"), partner)
            for item in part.all(role):
                if item.stem_path not in partners:
                    item.drop(f"no partner: no {what} of its name can be used")
    pictures = _stems(part.good("video"), "video")
    for mask in drawn:
        if mask.stem_path not in pictures:
            mask.drop("no picture of its name can be used")


def _first_of_a_name(files: list[_File]) -> dict[str, _File]:
    """Drop all usable files of a role and name but the first; return those by `stem_path`."""
    first: dict[tuple[str, str], _File] = {}
    for item in files:
        if not item.reason:
            kept = first.setdefault((item.role, item.stem_path), item)
            if kept is not item:
                item.reason = f"ambiguous: {kept.file} has the same name"
    return {path: item for (_, path), item in first.items()}


def _refuse_empty(parts: dict[str, _Part], classes: list[tuple[str, bool]], files: list[_File]) -> None:
    """A split that is empty, or that a class has vanished from, is an error that lists what was found."""
    problems = []
    for split, part in parts.items():
        due = {name for name, seen in classes if split == ("train" if seen else "unseen")}
        for role, what in (("video", "picture"), ("sound", "sound")):
            left = {item.name for item in part.good(role)}
            lost = sorted(({item.name for item in part.all(role)} | due) - left)
            if not left:
                problems.append(f"split {split} is left without a single usable {what}")
            elif lost:
                problems.append(f"split {split} is left without a usable {what} of {', '.join(lost)}")
    if problems:
        held = any(text.startswith(("split val", "split test")) for text in problems)
        fix = "mend or add files of these classes" + (", or change holdout" if held else "")
        out = [item for item in files if item.reason]
        reasons = "\n".join(f"  {item.file}: {item.reason}" for item in out[:20])
        raise FolderError(
            f"{'; '.join(problems)}; {fix}.\nLeft out ({len(out)} files):\n{reasons or '  none'}"
        )


def _rate(sample_rate: int | str, sounds: list[_File]) -> int:
    rates = Counter(item.sample_rate for item in sounds).most_common()
    if sample_rate == "native" and len(rates) > 1:
        found = ", ".join(f"{n} sounds at {rate} Hz" for rate, n in rates)
        raise FolderError(
            f"sample_rate='native' needs one rate in all sounds, but there are {found}; name one"
        )
    return rates[0][0] if sample_rate == "native" else sample_rate


def _notes(parts: dict[str, _Part], sounds: list[_File], rate: int) -> list[dict]:
    """What is worth knowing about the files that are used."""
    rates, remarks = {item.sample_rate for item in sounds}, []
    if len(rates) == 1 and rate not in rates:
        text = f"resampled from {rates.pop()} to {rate} Hz, as all of them"
        remarks.append(remark(f"all {len(sounds)} sounds", text))
    for part in parts.values():
        for item in part.good("video", "sound"):
            notes, mask = list(item.notes), part.mask(item)
            if item.role == "sound" and item.sample_rate != rate and len(rates) > 1:
                notes.append(f"resampled from {item.sample_rate} to {rate} Hz")
            if mask and mask.size != item.size:
                notes.append(f"mask of another size: {mask.size}, the picture {item.size}")
            remarks += [remark(item.file, note) for note in notes]
    return remarks


def _fingerprint(parts: dict[str, _Part]) -> str:
    """One hash over what every row is made from."""
    digest = hashlib.sha256()
    for split, part in parts.items():
        for item in part.good("video", "sound"):
            mask = part.mask(item)
            row = (split, item.label, item.file, item.sha256, mask and mask.sha256, part.paired)
            digest.update(repr(row).encode())
    return digest.hexdigest()


def _tasks(writer: StoreWriter, root: Path, parts: dict[str, _Part], rate: int, size: int):
    """Number of shards by split, and one task for every shard that is missing."""
    shards, tasks = {}, []
    for split, part in parts.items():
        images, sounds = part.good("video"), part.good("sound")
        rows = {item.stem_path: k for k, item in enumerate(sounds)} if part.paired else {}
        shards[split] = math.ceil(max(len(images), len(sounds)) / ROWS_PER_SHARD)
        for k in writer.missing(split, shards[split]):
            here = slice(k * ROWS_PER_SHARD, (k + 1) * ROWS_PER_SHARD)
            some = [(item, rows.get(item.stem_path, -1), part.mask(item)) for item in images[here]]
            tasks.append((writer.folder, root, split, k, some, sounds[here], rate, size))
    return shards, tasks


def _pack(folder: Path, root: Path, split: str, shard: int, images, sounds, rate: int, size: int) -> None:
    """Read, resize or resample, and write the rows of one shard; the unit of work of a process."""
    image_rows, sound_rows = [], []
    for item, clip, mask in images:
        image, objects = media.resize_short_side(media.read_image(root / item.file), size), b""
        if mask is not None:
            objects = media.encode_png(_fit(media.read_mask(root / mask.file), image.shape[:2]))
        row = {"id": item.file, "clip": clip, "label": item.label, "kind": "photo", "time": -1.0}
        image_rows.append({**row, "jpeg": media.encode_jpeg(image), "objects": objects, "factors": "{}"})
    for item in sounds:
        audio = media.to_int16(media.resample(*media.read_audio(root / item.file), rate))
        row = {"id": item.file, "label": item.label, "kind": "recording", "factors": "{}"}
        sound_rows.append({**row, "audio": audio.astype("<i2").tobytes()})
    write_shard(folder, split, shard, image_rows, sound_rows)


def _fit(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A mask on the pixels of its image, nearest value: (h, w) uint8 of 0 and 1."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(shape, mask.shape, strict=True)
    )
    return mask[rows[:, None], columns].astype(np.uint8)
