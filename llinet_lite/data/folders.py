"""INSTRUMENT-32CLASS folders, or any of that layout, as a store.

The layout::

    train/<class>/{sound,video}                    seen classes
    test_without_seg/<class>/{sound,video}         unseen classes
    test/<class>/{sound,video,segment}             unseen classes, with masks

In ``train`` a sound belongs to every picture of its class, unless both carry
the same names (at least 90 % of them; the rest is left out); in the test
folders the files of one name are one clip. The splits of the store are those
of the built-in world: ``train``, ``val`` and ``test`` (held out of train),
``unseen`` (test_without_seg) and ``scenes_unseen`` (test). Index pickles are
never opened, since a pickle can run code; the folders are walked instead.
Whatever is left out stands in the manifest with its reason.

Notebook: 04
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from llinet_lite.data.checks import SUFFIXES, Finding, inspect, mislabelled
from llinet_lite.data.media import (
    encode_jpeg,
    encode_png,
    read_image,
    read_mask,
    read_sound,
    resample,
    resize_short_side,
    to_int16,
)
from llinet_lite.data.parallel import Progress, over_cores
from llinet_lite.data.store import Store, StoreWriter, write_shard
from llinet_lite.data.walk import FolderError, Listing, walk

IMPORT_VERSION = 1
FILES_PER_TASK = 16
ROWS_PER_SHARD = 32
TARGETS = {"test_without_seg": "unseen", "test": "scenes_unseen"}
SEEN_SPLITS = ("train", "val", "test")
SPLITS = (*SEEN_SPLITS, "unseen", "scenes_unseen")
PAIRED = 0.9  # share of the names of train with a picture and a sound, from which names pair them


@dataclass
class _Part:
    """One split of the store to be: its files by role, and how pictures find their sounds."""

    images: list[Listing] = field(default_factory=list)
    sounds: list[Listing] = field(default_factory=list)
    drawn: list[Listing] = field(default_factory=list)  # all masks
    masks: dict[str, Listing] = field(default_factory=dict)  # those to use, by path of the picture
    named: dict[str, set[str]] = field(default_factory=dict)  # classes by role, before any exclusion
    paired: bool = False

    @property
    def items(self) -> list[Listing]:
        return [*self.images, *self.sounds]

    def mask(self, item: Listing) -> Listing | None:
        return self.masks.get(item.stem_path) if item.role == "video" else None


def import_folders(
    source,
    folder,
    *,
    sample_rate: int | str = 16000,
    image_size: int = 128,
    holdout: float = 0.2,
    min_seconds: float = 1.0,
    quality: int = 92,
    workers: int | None = None,
    progress: bool = True,
    rebuild: bool = False,
) -> Store:
    """Check every file of a data set and pack the good ones.

    Parameters
    ----------
    source : str or Path
        Folder with ``train``, ``test_without_seg`` and / or ``test``.
    folder : str or Path
        Where the store shall be.
    sample_rate : int or "native"
        Hz; sounds of other rates are resampled. "native" keeps the rate and
        needs it to be the same in all files.
    image_size : int
        Short side of the stored pictures, pixels; proportions stay.
    holdout : float
        Share of each seen class's files kept out of ``train``: half of it is
        ``val``, half ``test``. A hash of the file name decides which.
    min_seconds : float
        Shortest sound that is used.
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
        Missing or misspelt folders, an empty class or split, or several
        sample rates with "native"; the message lists what was found.
    StoreError
        As for :func:`llinet_lite.data.bandstand.build`.

    Notebook: 04
    """
    _check_settings(sample_rate, image_size, holdout)
    root = Path(source)
    listings, classes, warnings = walk(root)
    findings = _inspect_all(root, listings, min_seconds, workers, progress)
    excluded = {file: found.reason for file, found in findings.items() if found.reason}
    mislabelled(listings, findings, excluded, warnings)
    parts = _split(listings, holdout, warnings)
    for split, part in parts.items():
        _pair(split, part, excluded, warnings)
    _refuse_empty(parts, classes, excluded)
    rate = _rate(sample_rate, parts, findings)
    warnings += _remarks(parts, findings, rate)
    settings = {"sample_rate": rate, "image_size": image_size, "quality": quality}
    plan = {"import": IMPORT_VERSION, **settings, "holdout": holdout, "min_seconds": min_seconds}
    plan |= {"files": _fingerprint(parts, findings), "rows_per_shard": ROWS_PER_SHARD}
    with StoreWriter(folder, plan, rebuild) as writer:
        shards = _write(writer, root, parts, settings, workers, progress)
        facts = _facts(root, parts, findings, classes) | {"sample_rate": rate, "image_size": image_size}
        excluded = [{"file": file, "reason": reason} for file, reason in sorted(excluded.items())]
        store = writer.finish({**facts, "excluded": excluded, "warnings": warnings}, shards)
    if progress:
        print(report(store), file=sys.stderr)
    return store


def report(store: Store) -> str:
    """What an import used, left out and remarked: a few lines for a human reader."""
    facts = store.manifest
    lines = [f"{split}: {n['images']} pictures, {n['sounds']} sounds" for split, n in store.splits.items()]
    for title, entries in (("left out", facts["excluded"]), ("remarks", facts["warnings"])):
        lines.append(f"{title}: {len(entries)}")
        kinds = Counter(entry["reason"].split(":")[0] for entry in entries)
        lines += [f"  {n} x {what}" for what, n in kinds.most_common(12)]
    return "\n".join([*lines, f"every file and its reason: {store.folder / 'manifest.json'}"])


def _check_settings(sample_rate, image_size, holdout) -> None:
    if not 0 <= holdout < 1:
        raise ValueError(f"holdout is a share between 0 and 1, not {holdout}")
    if not 16 <= image_size <= 2048:
        raise ValueError(f"image_size is 16 to 2048 pixels, not {image_size}")
    if sample_rate != "native" and not (isinstance(sample_rate, int) and 8000 <= sample_rate <= 192000):
        raise ValueError(f"sample_rate is 8000 to 192000 Hz or 'native', not {sample_rate!r}")


def _facts(root, parts, findings, classes) -> dict:
    sounds = [findings[item.file] for part in parts.values() for item in part.sounds]
    return {
        "name": root.resolve().name,
        "seconds": round(max(found.samples / found.sample_rate for found in sounds), 3),
        "classes": [{"name": name, "seen": seen} for name, seen in classes],
        "command": f"llinet import {root}",
    }


def _inspect_many(root: str, files: list[tuple[str, str]], min_seconds: float) -> list[Finding]:
    return [inspect(root, file, role, min_seconds) for file, role in files]


def _inspect_all(root, listings, min_seconds, workers, progress) -> dict[str, Finding]:
    """One pass over all files, in parallel."""
    files = [(item.file, item.role) for item in listings]
    chunks = [files[k : k + FILES_PER_TASK] for k in range(0, len(files), FILES_PER_TASK)]
    line = Progress(len(files), f"checking {root.name}", "files", progress)
    found = {}
    for task, findings in over_cores(_inspect_many, [(str(root), c, min_seconds) for c in chunks], workers):
        found |= {finding.file: finding for finding in findings}
        line.add(len(task[1]))
    return {file: found[file] for file, _ in files}


def _split(listings: list[Listing], holdout: float, warnings: list) -> dict[str, _Part]:
    """Give every file its split; its place is decided by its name, whatever else is there or broken."""
    train = [i for i in listings if i.split == "train" and Path(i.file).suffix.lower() in SUFFIXES[i.role]]
    photos, recordings = ({i.stem_path for i in train if i.role == role} for role in ("video", "sound"))
    paired = _by_name(photos, recordings, warnings)
    ranked = defaultdict(set)
    for item in train:
        if not paired or item.stem_path in photos & recordings:
            ranked[item.name, "" if paired else item.role].add(item.stem)
    place = {}
    for key, stems in ranked.items():
        order = sorted(stems, key=lambda stem: hashlib.sha256(stem.encode()).hexdigest())
        each = max(1, round(len(order) * holdout / 2)) if holdout and len(order) >= 3 else 0
        place |= {(*key, stem): "val" if k < each else "test" for k, stem in enumerate(order[: 2 * each])}
    parts: dict[str, _Part] = defaultdict(_Part)
    for item in listings:
        held = place.get((item.name, "" if paired else item.role, item.stem), "train")
        part = parts[TARGETS.get(item.split, held)]
        {"video": part.images, "sound": part.sounds, "segment": part.drawn}[item.role].append(item)
    for split, part in parts.items():
        part.paired = paired if split in SEEN_SPLITS else True
        part.named = {role: {i.name for i in part.items if i.role == role} for role in ("video", "sound")}
    return {split: parts[split] for split in SPLITS if split in parts}


def _by_name(photos: set[str], recordings: set[str], warnings: list) -> bool:
    """Whether pictures and sounds of train are paired by name: at least PAIRED of the names are in both."""
    both, names = len(photos & recordings), len(photos | recordings)
    paired = bool(names) and both >= PAIRED * names
    if not paired and 2 * both > names:
        text = (
            f"paired by class only: {both} of {names} names have both a picture and a sound, and pairing by "
            f"name needs {100 * PAIRED:.0f} %; add or remove the files without a partner to pair by name"
        )
        warnings.append({"file": "train", "reason": text})
    return paired


def _pair(split: str, part: _Part, excluded: dict, warnings: list) -> None:
    """Drop what is excluded, what has no partner of its name, and, with masks, what has no mask."""
    sounds = {item.stem_path for item in part.sounds}
    if part.paired and not any(item.stem_path in sounds for item in part.images):
        part.paired = False
        text = "no picture has a sound of the same name: pictures and sounds are paired by class only"
        warnings.append({"file": split, "reason": text})
    masked = split == "scenes_unseen"
    if part.paired or masked:
        _first_of_a_name(part.items if part.paired else part.images, excluded)
    part.masks = _first_of_a_name(part.drawn, excluded)
    for item in part.images if masked else ():
        if part.mask(item) is None:
            excluded.setdefault(item.file, "no mask: none of its name can be used in segment/")
    if part.paired:
        good = [i for i in part.items if i.file not in excluded]
        pictures, recordings = ({i.stem_path for i in good if i.role == role} for role in ("video", "sound"))
        for item in part.items:
            partners, what = (recordings, "sound") if item.role == "video" else (pictures, "picture")
            if item.stem_path not in partners:
                excluded.setdefault(item.file, f"no partner: no {what} of its name can be used")
    part.images = [item for item in part.images if item.file not in excluded]
    part.sounds = [item for item in part.sounds if item.file not in excluded]
    pictures = {item.stem_path for item in part.images}
    for mask in part.drawn:
        if mask.stem_path not in pictures:
            excluded.setdefault(mask.file, "no picture of its name can be used")


def _first_of_a_name(items: list[Listing], excluded: dict) -> dict[str, Listing]:
    """Exclude all usable files of a role and name but the first; masks by path of their picture."""
    first: dict[tuple[str, str], Listing] = {}
    for item in items:
        if item.file not in excluded:
            kept = first.setdefault((item.role, item.stem_path), item)
            if kept is not item:
                excluded[item.file] = f"ambiguous: {kept.file} has the same name"
    return {path: item for (_, path), item in first.items()}


def _refuse_empty(parts: dict[str, _Part], classes, excluded: dict) -> None:
    """A split that is empty, or that a class has vanished from, is an error that lists what was found."""
    problems = []
    for split, part in parts.items():
        due = {name for name, seen in classes if seen == (split == "train")}
        for role, items, what in (("video", part.images, "picture"), ("sound", part.sounds, "sound")):
            wanted = part.named[role] | (due if split in ("train", "unseen") else set())
            empty = sorted(wanted - {item.name for item in items})
            if not items:
                problems.append(f"split {split} is left without a single usable {what}")
            elif empty:
                problems.append(f"split {split} is left without a usable {what} of {', '.join(empty)}")
    if problems:
        held = any(text.startswith(("split val", "split test")) for text in problems)
        fix = "mend or add files of these classes" + (", or change holdout" if held else "")
        reasons = "\n".join(f"  {file}: {reason}" for file, reason in list(excluded.items())[:20])
        raise FolderError(
            f"{'; '.join(problems)}; {fix}.\nLeft out ({len(excluded)} files):\n{reasons or '  none'}"
        )


def _rates(parts: dict[str, _Part], findings: dict[str, Finding]) -> Counter:
    return Counter(findings[item.file].sample_rate for part in parts.values() for item in part.sounds)


def _rate(sample_rate: int | str, parts, findings) -> int:
    """The rate of the store."""
    if sample_rate != "native":
        return sample_rate
    rates = _rates(parts, findings)
    if len(rates) > 1:
        found = ", ".join(f"{n} sounds at {rate} Hz" for rate, n in rates.most_common())
        raise FolderError(
            f"sample_rate='native' needs one rate in all sounds, but there are {found}; name one"
        )
    return next(iter(rates))


def _remarks(parts: dict[str, _Part], findings: dict[str, Finding], rate: int) -> list[dict]:
    """What is worth knowing about the files that are used."""
    rates, remarks = _rates(parts, findings), []
    if len(rates) == 1 and rate not in rates:
        text = f"resampled from {next(iter(rates))} to {rate} Hz, as all of them"
        remarks.append({"file": f"all {rates.total()} sounds", "reason": text})
    for part in parts.values():
        for item in part.items:
            found, notes = findings[item.file], list(findings[item.file].notes)
            if item.role == "sound" and found.sample_rate != rate and len(rates) > 1:
                notes.append(f"resampled from {found.sample_rate} to {rate} Hz")
            mask = part.mask(item)
            if mask and findings[mask.file].size != found.size:
                notes.append(f"mask of another size: {findings[mask.file].size}, the picture {found.size}")
            remarks += [{"file": item.file, "reason": note} for note in notes]
    return remarks


def _fingerprint(parts: dict[str, _Part], findings: dict[str, Finding]) -> str:
    """One hash over what every row is made from."""
    digest = hashlib.sha256()
    for split, part in parts.items():
        for item in part.items:
            mask = part.mask(item)
            own = (
                split,
                item.label,
                item.file,
                findings[item.file].sha256,
                mask and findings[mask.file].sha256,
            )
            digest.update(repr((*own, part.paired)).encode())
    return digest.hexdigest()


def _write(writer, root, parts, settings, workers, progress) -> dict[str, int]:
    """Write the shards that are missing."""
    shards, tasks = {}, []
    for split, part in parts.items():
        rows = {item.stem_path: k for k, item in enumerate(part.sounds)} if part.paired else {}
        shards[split] = math.ceil(max(len(part.images), len(part.sounds)) / ROWS_PER_SHARD)
        for k in writer.missing(split, shards[split]):
            here = slice(k * ROWS_PER_SHARD, (k + 1) * ROWS_PER_SHARD)
            images = [(i, rows.get(i.stem_path, -1), part.mask(i)) for i in part.images[here]]
            tasks.append((str(writer.folder), str(root), split, k, images, part.sounds[here], settings))
    line = Progress(sum(len(t[4]) + len(t[5]) for t in tasks), f"packing {root.name}", "files", progress)
    for task, _ in over_cores(_pack_shard, tasks, workers):
        line.add(len(task[4]) + len(task[5]))
    return shards


def _pack_shard(folder, root, split, shard, images, sounds, settings) -> None:
    """Read, resize or resample, and write the rows of one shard."""
    image_rows = []
    for item, clip, mask in images:
        image = resize_short_side(read_image(Path(root, item.file)), settings["image_size"])
        objects = b""
        if mask is not None:
            objects = encode_png(_fit(read_mask(Path(root, mask.file)), image.shape[:2]))
        row = {"id": item.file, "clip": clip, "label": item.label, "kind": "photo", "time": -1.0}
        jpeg = encode_jpeg(image, settings["quality"])
        image_rows.append({**row, "jpeg": jpeg, "objects": objects, "factors": "{}"})
    sound_rows = []
    for item in sounds:
        wave, rate = read_sound(Path(root, item.file))
        audio = to_int16(resample(wave, rate, settings["sample_rate"])).astype("<i2").tobytes()
        row = {"id": item.file, "label": item.label, "kind": "recording", "factors": "{}"}
        sound_rows.append({**row, "audio": audio})
    write_shard(folder, split, shard, image_rows, sound_rows)


def _fit(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A mask on the pixels of its picture, nearest value: (h, w) uint8 of 0 and 1."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(shape, mask.shape, strict=True)
    )
    return mask[rows[:, None], columns].astype(np.uint8)
