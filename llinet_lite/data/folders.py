"""INSTRUMENT-32CLASS folders, or any of that layout, as a store.

The layout::

    train/<class>/{sound,video}                    seen classes
    test_without_seg/<class>/{sound,video}         unseen classes
    test/<class>/{sound,video,segment}             unseen classes, with masks

In ``train`` a sound belongs to every picture of its class, unless both carry
the same names throughout; in the test folders the files of one name are one
clip. The splits of the store are those of the built-in world: ``train``,
``val`` and ``test`` (held out of train), ``unseen`` (test_without_seg) and
``scenes_unseen`` (test). Index pickles are never opened, since a pickle can
run code; the folders are walked instead. Whatever is left out stands in the
manifest with its reason.

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

from llinet_lite.data.checks import Finding, inspect
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
SPLITS = ("train", "val", "test", "unseen", "scenes_unseen")


@dataclass
class _Part:
    """One split of the store to be: its files by role, and how pictures find their sounds."""

    images: list[Listing] = field(default_factory=list)
    sounds: list[Listing] = field(default_factory=list)
    masks: dict[str, Listing] = field(default_factory=dict)  # by path of the picture
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
    _mislabelled(listings, findings, excluded, warnings)
    parts = _split(listings, holdout)
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


def _mislabelled(listings, findings, excluded: dict, warnings: list) -> None:
    """Files that cannot be trusted to show or sound their class; copies."""
    copies = defaultdict(list)
    for item in listings:
        if item.file not in excluded and item.role != "segment":
            copies[findings[item.file].sha256].append(item)
        if item.claims:
            text = f"its name says {item.claims}, its folder says {item.name}; move or rename it"
            excluded.setdefault(item.file, f"mislabelled: {text}")
    for group in copies.values():
        names = sorted({item.name for item in group})
        for k, item in enumerate(group):
            if len(names) > 1:
                other = next(o.file for o in group if o.name != item.name)
                text = f"the same content lies under {' and '.join(names)}, as {other}"
                excluded.setdefault(item.file, f"mislabelled: {text}")
            elif k and item.split == "train":
                excluded.setdefault(item.file, f"copy: the same content as {group[0].file}")
            elif k and item.split == group[k - 1].split:
                text = f"copy, kept: the same content as {group[k - 1].file}"
                warnings.append({"file": item.file, "reason": text})


def _split(listings: list[Listing], holdout: float) -> dict[str, _Part]:
    """Give every file its split; its place is decided by its name, whatever else is there or broken."""
    train = [item for item in listings if item.split == "train" and item.role != "segment"]
    ranked = defaultdict(list)
    for item in train:
        ranked[item.name, item.role].append(item)
    place = {}
    for items in ranked.values():
        items.sort(key=lambda item: hashlib.sha256(item.stem.encode()).hexdigest())
        each = max(1, round(len(items) * holdout / 2)) if holdout and len(items) >= 3 else 0
        place |= {item.file: "val" if k < each else "test" for k, item in enumerate(items[: 2 * each])}
    parts: dict[str, _Part] = defaultdict(_Part)
    for item in listings:
        part = parts[place.get(item.file) or TARGETS.get(item.split, "train")]
        if item.role == "segment":
            part.masks[item.stem_path] = item
        else:
            (part.images if item.role == "video" else part.sounds).append(item)
    photos, recordings = ({i.stem_path for i in train if i.role == role} for role in ("video", "sound"))
    for split, part in parts.items():
        part.paired = photos == recordings if split in ("train", "val", "test") else True
    return {split: parts[split] for split in SPLITS if split in parts}


def _pair(split: str, part: _Part, excluded: dict, warnings: list) -> None:
    """Drop what is excluded, what has no partner of its name, and, with masks, what has no mask."""
    twins: dict[tuple[str, str], str] = {}
    for item in part.items:
        first = twins.setdefault((item.role, item.stem_path), item.file)
        if first != item.file:
            excluded.setdefault(item.file, f"ambiguous: {first} has the same name")
    sounds = {item.stem_path for item in part.sounds}
    if part.paired and not any(item.stem_path in sounds for item in part.images):
        part.paired = False
        text = "no picture has a sound of the same name: pictures and sounds are paired by class only"
        warnings.append({"file": split, "reason": text})
    if split == "scenes_unseen":
        for item in part.images:
            mask = part.mask(item)
            if mask is None or mask.file in excluded:
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


def _refuse_empty(parts: dict[str, _Part], classes, excluded: dict) -> None:
    """An empty class or split is an error that lists what was found."""
    problems = []
    for split, part in parts.items():
        wanted = {name for name, seen in classes if seen == (split in ("train", "val", "test"))}
        for items, what in ((part.images, "picture"), (part.sounds, "sound")):
            empty = sorted(wanted - {item.name for item in items}) if split in ("train", "unseen") else []
            if not items:
                problems.append(f"split {split} is left without a single usable {what}")
            elif empty:
                problems.append(f"split {split} is left without a usable {what} of {', '.join(empty)}")
    if problems:
        reasons = "\n".join(f"  {file}: {reason}" for file, reason in list(excluded.items())[:20])
        raise FolderError(
            "; ".join(problems) + f".\nLeft out ({len(excluded)} files):\n{reasons or '  none'}"
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
