"""Can this video be used, and which clips of it? One look at one file from outside.

Notebook: 10
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from llinet_lite.data.bandstand import FRAME, WINDOW
from llinet_lite.data.folders import SILENT
from llinet_lite.data.media import (
    MediaError,
    VideoInfo,
    cut_video,
    encode_jpeg,
    probe_video,
    resize_short_side,
    to_int16,
)
from llinet_lite.data.video_lists import Listed

OFFSET = 0.1  # seconds between the beginnings of sound and picture that are worth a word


@dataclass
class Checked:
    """What a look at one clip's file found.

    Attributes
    ----------
    sha256 : str
        Of the file; "" if it cannot be read.
    clips : list of (float, float, int)
        Of the clips that can be used: start on the file's clock and length, seconds, and number of pictures.
    reason : str
        Why nothing of it can be used; "" if something can.
    notes : list of str
        What is worth knowing about a file that can be used.
    """

    sha256: str = ""
    clips: list[tuple[float, float, int]] = field(default_factory=list)
    reason: str = ""
    notes: list[str] = field(default_factory=list)


def check(root: Path, item: Listed, settings: dict) -> tuple[Checked, list[dict], list[dict]]:
    """Read a clip's file to its end, judge it, and make the rows of what can be used.

    Parameters
    ----------
    root : Path
    item : Listed
    settings : dict
        sample_rate, image_size, frames, seconds, min_seconds, quality: as for
        :func:`llinet_lite.data.videos.import_videos`.

    Returns
    -------
    found : Checked
        With a ``reason`` if nothing can be used. Never raises for a bad file.
    images, sounds : list of dict
        Rows of the store's tables, without ``label``; ``clip`` counts the sounds here.

    Notebook: 10
    """
    path, found = root / item.file, Checked()
    images, sounds = [], []
    try:
        with open(path, "rb") as file:
            found.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        info = probe_video(path)
    except (OSError, MediaError) as error:
        found.reason = getattr(error, "reason", None) or f"cannot be read: {error.strerror or error}"
        return found, images, sounds
    begin, end = _span(item, info)
    facts = {"size": [info.width, info.height], "rate": round(info.rate, 2), "turned": info.turned}
    for start, length in _clips(begin, end, settings):
        try:
            pictures, sound = _rows(path, item, start, length, settings, facts)
        except MediaError as error:
            found.reason = found.reason or error.reason
            found.notes.append(f"in part: {start:.1f} to {start + length:.1f} s left out, {error.reason}")
            continue
        images += [{**row, "clip": len(sounds)} for row in pictures]
        sounds.append(sound)
        found.clips.append((start, length, len(pictures)))
    if found.clips:
        found.reason = ""
    elif not found.reason:
        need = f"at least {settings['min_seconds']:g} s are needed"
        found.reason = f"too short: {max(0.0, end - begin):.2f} s of picture with sound, {need}"
    found.notes += _notes(info)
    return found, images, sounds


def _span(item: Listed, info: VideoInfo) -> tuple[float, float]:
    """The part of a file that its row asks for; all of it, if it was cut to that length already."""
    if item.span is None or info.seconds <= item.span[1] - item.span[0] + 1:
        return info.start, info.end
    return max(info.start, item.span[0]), min(info.end, item.span[1])


def _clips(begin: float, end: float, settings: dict) -> list[tuple[float, float]]:
    """Cut a span into clips, whole numbers of frames long: (start, length) in seconds."""
    longest, clips = math.floor(settings["seconds"] / FRAME + 1e-9), []
    while True:
        count = min(longest, math.floor((end - begin) / FRAME + 0.01))  # time stamps are rounded
        if count * FRAME < settings["min_seconds"] - 1e-9:
            return clips
        clips.append((begin, round(count * FRAME, 2)))
        begin += count * FRAME


def times_of(file: str, start: float, length: float, count: int) -> np.ndarray:
    """When to look: times on the 0.04 s grid whose second of sound lies inside the clip, drawn by its name.

    Returns
    -------
    times : (at most count,) float
        Seconds from the clip's beginning, rising.
    """
    first, last = math.ceil(WINDOW / 2 / FRAME - 1e-9), math.floor((length - WINDOW / 2) / FRAME + 1e-9)
    seed = int.from_bytes(hashlib.sha256(f"{Path(file).name}@{start:.2f}".encode()).digest()[:8], "little")
    grid = np.arange(first, last + 1)
    return np.sort(np.random.default_rng(seed).choice(grid, min(count, len(grid)), replace=False)) * FRAME


def _rows(path, item, start: float, length: float, settings: dict, facts: dict) -> tuple[list[dict], dict]:
    """Decode a clip and make its rows; a :class:`MediaError` says why it cannot be used."""
    times = times_of(item.file, start, length, settings["frames"])
    pictures, wave = cut_video(path, start, length, times, settings["sample_rate"])
    level = 10 * np.log10(np.mean(np.square(wave, dtype=np.float64)) + 1e-20)
    if level < SILENT:
        limit = f"{level:.0f} dB relative to full scale (limit {SILENT:.0f})"
        raise MediaError(path, f"silent: {limit}; check its sound track")
    if all(picture.reshape(-1, 3).std(axis=0).max() < 1.0 for picture in pictures):
        raise MediaError(path, "empty: every picture is one flat colour; check its picture track")
    about = json.dumps({"labels": item.labels, "start": start, "seconds": length, **facts})
    shared, name = {"kind": "video", "factors": about}, f"{item.file}@{start:.2f}"
    rows = []
    for time, picture in zip(times.tolist(), pictures, strict=True):
        jpeg = encode_jpeg(resize_short_side(picture, settings["image_size"]), settings["quality"])
        rows.append({"id": f"{name}+{time:.2f}", "time": time, "jpeg": jpeg, "objects": b"", **shared})
    return rows, {"id": name, "audio": to_int16(wave).astype("<i2").tobytes(), **shared}


def _notes(info: VideoInfo) -> list[str]:
    notes = [f"portrait: {info.width} x {info.height} pixels, kept upright"] * (info.height > info.width)
    notes += [f"turned: by {info.turned} degrees, as its metadata say"] * bool(info.turned)
    notes += [f"stretched: its pixels are not square; now {info.width} x {info.height}"] * (not info.square)
    low, high = (1000 * step for step in info.steps)
    text = f"variable frame rate: {low:.0f} to {high:.0f} ms between pictures, placed by their time stamps"
    notes += [text] * info.varies
    if abs(info.lead) > OFFSET:
        who, when = ("sound", info.lead) if info.lead > 0 else ("picture", -info.lead)
        notes.append(f"late {who}: it begins {when:.2f} s after the rest, and so does the clip")
    return notes
