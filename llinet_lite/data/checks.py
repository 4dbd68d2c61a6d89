"""Is this file what it should be? One look at one picture, sound or mask from outside.

Notebook: 04
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from llinet_lite.data.media import (
    IMAGE_SUFFIXES,
    SOUND_SUFFIXES,
    MediaError,
    open_image,
    open_sound,
    read_bytes,
)

SILENT = -60.0  # dB relative to full scale (RMS): quieter is silence
CLIPPED = 1e-3  # share of samples at full scale that is worth a word
SUFFIXES = {"sound": SOUND_SUFFIXES, "video": IMAGE_SUFFIXES, "segment": IMAGE_SUFFIXES}
_SAME = {"MPEG": "MP3", "WAVEX": "WAV", "RF64": "WAV", "MPO": "JPEG"}  # formats that go by a family name


@dataclass(frozen=True)
class Finding:
    """What a look at one file found.

    Attributes
    ----------
    file : str
        Path relative to the data set.
    role : {"sound", "video", "segment"}
        The folder that it lies in.
    sha256 : str
        Of the file's bytes; "" if it cannot be read.
    sample_rate, samples : int
        Of a sound (Hz, per channel).
    size : tuple of int
        Of a picture or mask (width, height).
    reason : str
        Why it cannot be used; "" if it can.
    notes : tuple of str
        What is worth knowing about a file that can be used.
    """

    file: str
    role: str
    sha256: str = ""
    sample_rate: int = 0
    samples: int = 0
    size: tuple[int, int] = (0, 0)
    reason: str = ""
    notes: tuple[str, ...] = ()


def inspect(root: str, file: str, role: str, min_seconds: float) -> Finding:
    """Read a file to its end and judge it.

    Parameters
    ----------
    root, file : str
        Folder of the data set, and the file relative to it.
    role : {"sound", "video", "segment"}
    min_seconds : float
        Shortest sound that can be used.

    Returns
    -------
    finding : Finding
        With a ``reason`` if the file cannot be used. Never raises for a bad file.
    """
    path, found = Path(root, file), Finding(file, role)
    suffixes = SUFFIXES[role]
    expected = suffixes.get(path.suffix.lower())
    if expected is None:
        return replace(found, reason=f"not used: in {role}/ the suffix must be one of {', '.join(suffixes)}")
    try:
        data = read_bytes(path)
        found = replace(found, sha256=hashlib.sha256(data).hexdigest())
        look = {"sound": _look_sound, "video": _look_image, "segment": _look_mask}[role]
        found, kind = look(found, path, data, min_seconds)
    except MediaError as error:
        return replace(found, reason=error.reason)
    kind = _SAME.get(kind, kind)
    if kind != expected:
        found = replace(found, notes=(*found.notes, f"its content is {kind}, its name says {expected}"))
    return found


def _look_sound(found: Finding, path: Path, data: bytes, min_seconds: float) -> tuple[Finding, str]:
    wave, info = open_sound(path, data)
    samples, channels = wave.shape
    mono = wave.mean(axis=1)
    level = 10 * np.log10(np.mean(np.square(mono, dtype=np.float64)) + 1e-20)
    notes = [f"{channels} channels, mixed to one"] * (channels > 1)
    full = float(np.mean(np.abs(wave) >= 0.999))
    notes += [f"clipped: {100 * full:.1f} % of its samples are at full scale"] * (full > CLIPPED)
    reason = ""
    if samples < min_seconds * info.sample_rate:
        reason = f"too short: {samples / info.sample_rate:.2f} s, at least {min_seconds} s are needed"
    elif level < SILENT:
        mixed = " after the mix to one channel" if channels > 1 else ""
        reason = f"silent{mixed}: {level:.0f} dB relative to full scale (limit {SILENT:.0f})"
    found = replace(found, sample_rate=info.sample_rate, samples=samples, reason=reason, notes=tuple(notes))
    return found, info.format


def _look_image(found: Finding, path: Path, data: bytes, _) -> tuple[Finding, str]:
    image, kind = open_image(path, data, "RGB")
    flat = float(image.reshape(-1, 3).std(axis=0).max()) < 1.0
    size = (image.shape[1], image.shape[0])
    return replace(found, size=size, reason="empty: one flat colour" if flat else ""), kind


def _look_mask(found: Finding, path: Path, data: bytes, _) -> tuple[Finding, str]:
    image, kind = open_image(path, data, "L")
    share = float((image > 127).mean())
    reason = "" if 0 < share < 1 else f"the mask is {'full' if share else 'empty'}"
    return replace(found, size=(image.shape[1], image.shape[0]), reason=reason), kind


def mislabelled(listings: list, findings: dict[str, Finding], excluded: dict, warnings: list) -> None:
    """Exclude files that cannot be trusted to show or sound their class, and copies.

    Parameters
    ----------
    listings : list of Listing
        The files of the data set.
    findings : dict of Finding
        By file.
    excluded : dict of str
        Reason by file; added to.
    warnings : list of dict
        ``file`` and ``reason``; added to. Copies in the test folders are kept with a word.

    Notes
    -----
    What is excluded already makes no other file a copy. Of several copies the
    first whose name both a picture and a sound bear stays, else the first.
    """
    for item in listings:
        if item.claims:
            text = f"its name says {item.claims}, its folder says {item.name}; move or rename it"
            excluded.setdefault(item.file, f"mislabelled: {text}")
    good = [item for item in listings if item.file not in excluded and item.role != "segment"]
    photos, recordings = ({i.stem_path for i in good if i.role == role} for role in ("video", "sound"))
    both, copies = photos & recordings, defaultdict(list)
    for item in sorted(good, key=lambda item: item.stem_path not in both):
        copies[findings[item.file].sha256].append(item)
    for group in copies.values():
        _judge_copies(group, excluded, warnings)


def _judge_copies(group: list, excluded: dict, warnings: list) -> None:
    """What becomes of files with the same content."""
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
