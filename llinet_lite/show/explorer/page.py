"""What the page of the explorer is told: pictures, maps and players as text, and the line that says it all.

Notebook: 07
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np

from llinet_lite.data.media import resize_short_side
from llinet_lite.show.explorer.items import Picture, Sound, crop
from llinet_lite.show.explorer.listener import SCALES
from llinet_lite.show.explorer.stage import Answer, Stage, cell_of
from llinet_lite.show.page import audible, jpeg_uri, mp3

SECONDS = 1.0  # of a player in a list
AHEAD = 400  # sounds whose players are made before they are asked for
KEPT = 64  # whole sounds whose players are kept
THUMB = 96  # pixels of a picture in a list
QUALITY = 88


def colours() -> list[list[int]]:
    """Return the 256 colours of a map, red, green and blue from 0 to 255: those of the course's figures."""
    table = matplotlib.colormaps["magma"](np.arange(256))[:, :3]
    return np.rint(table * 255).astype(int).tolist()


def bits(mask: np.ndarray | None) -> str | None:
    """Pack a mask (H, W) bool row by row, eight pixels a byte, highest bit first, as base64."""
    return None if mask is None else base64.b64encode(np.packbits(mask).tobytes()).decode()


def canvas(answer: Answer) -> dict:
    """Return what one canvas shows."""
    return {
        "title": answer.title,
        "side": answer.image.shape[0],
        "image": jpeg_uri(answer.image, QUALITY),
        "grid": list(answer.heat.shape),
        "heat": [float(f"{value:.6g}") for value in answer.heat.ravel()],
        "scale": answer.scale,
        "flat": answer.flat,
        "mask": bits(answer.truth),
    }


class Shelf:
    """Players and small pictures of a stage, made once: an MP3 takes 10 ms per second of sound.

    Parameters
    ----------
    stage : Stage
        The players of its sounds are made at once, as far as they are `AHEAD` or fewer.
    """

    def __init__(self, stage: Stage):
        self.stage = stage
        self._made: dict[str, str] = {}
        self._whole: dict[str, str] = {}
        if len(stage.sounds) <= AHEAD:
            for sound in stage.sounds:
                self.player(sound)

    def player(self, sound: Sound) -> str:
        """Return the middle of one of the stage's sounds as the source of a player."""
        if sound.key not in self._made:
            self._made[sound.key] = player(sound, SECONDS)
        return self._made[sound.key]

    def whole(self, sound: Sound) -> str:
        """Return all of a sound as the source of a player; those of the last sounds are kept."""
        if sound.key not in self._whole:
            self._whole[sound.key] = player(sound)
            if len(self._whole) > KEPT:
                self._whole.pop(next(iter(self._whole)))
        return self._whole[sound.key]

    def thumb(self, picture: Picture) -> str:
        """Return one of the stage's pictures, small."""
        if picture.key not in self._made:
            self._made[picture.key] = jpeg_uri(resize_short_side(picture.image, THUMB), QUALITY)
        return self._made[picture.key]

    def sound_tile(self, sound: Sound, score: float, asked: frozenset[int]) -> dict:
        """Return one sound of a list; `asked` are the classes that are right, none if they are not known."""
        tile = {"caption": sound.caption, "score": f"{score:.2g}", "audio": self.player(sound)}
        return tile | {"right": bool(asked & sound.labels) if asked else None}

    def picture_tile(self, picture: Picture, score: float, asked: frozenset[int]) -> dict:
        """Return one picture of a list, with its sound where it has one of its own."""
        tile = {"caption": picture.caption, "score": f"{score:.2g}", "image": self.thumb(picture)}
        if picture.time is not None:
            tile["audio"] = self.player(self.stage.sounds[picture.sound])
        return tile | {"right": bool(asked & picture.labels) if asked else None}

    def found(self, names: Sequence[str], picture: Picture, sound: Sound, time: float | None) -> dict:
        """Return the nearest sounds of a picture and pictures of a sound, listener by listener."""
        stage, told = self.stage, {"sounds": [], "pictures": []}
        known = sound.labels or frozenset()
        for name in names:
            about = {"title": name, "measure": stage.listeners[name].measure}
            sounds = stage.nearest_sounds(name, picture)
            told["sounds"].append(about | {"tiles": [self.sound_tile(*s, picture.labels) for s in sounds]})
            pictures = stage.nearest_pictures(name, sound, time)
            told["pictures"].append(about | {"tiles": [self.picture_tile(*p, known) for p in pictures]})
        return told

    def fitting(self, names: Sequence[str], picture: Picture, spot: Sequence[float]) -> list[dict]:
        """Return the sounds that fit a spot, listener by listener; a note where the map hears nothing."""
        stage, told = self.stage, []
        for name in names:
            rows, columns = stage.seen(name, picture).cells.shape[2:]
            row, column = cell_of(spot, (rows, columns))
            entry = {"title": name, "measure": f"cell in row {row + 1}, column {column + 1}", "tiles": []}
            best = stage.fitting(name, picture, spot)
            if best is None:
                entry["note"] = "No sound takes part in this map: each fits a spot as well as any other."
            else:
                there = seen_at(picture, spot, stage.listeners[name].side, (rows, columns))
                entry["tiles"] = [self.sound_tile(*each, there) for each in best]
            told.append(entry)
        return told


def player(sound: Sound, seconds: float | None = None) -> str:
    """Return a sound, or its middle, as the source of a player."""
    wave = sound.piece(min(seconds or sound.seconds, sound.seconds), None)
    return "data:audio/mpeg;base64," + base64.b64encode(mp3(audible(wave), sound.rate)).decode()


def seen_at(picture: Picture, spot: Sequence[float], side: int, grid: Sequence[int]) -> frozenset[int]:
    """Classes whose players touch the cell of a spot; none where there are no masks, or nobody is there."""
    if picture.objects is None:
        return frozenset()
    objects, (row, column) = crop(picture.objects, side), cell_of(spot, grid)
    area = (slice(k * side // n, -(-(k + 1) * side // n)) for k, n in zip((row, column), grid, strict=True))
    there = np.unique(objects[tuple(area)])
    return frozenset(c for k, c in enumerate(picture.players) if k + 1 in there)


# ------------------------------------------------------------- in words


def without_truth(picture: Picture, sound: Sound) -> str:
    """Say why there is no overlap to measure."""
    if sound.labels is None:
        return "no IoU: what sounds here is not known"
    if not sound.labels:
        return "no IoU: nobody plays"
    if picture.objects is None:
        return "no IoU: this picture has no mask"
    return "no IoU: what sounds is not in the picture"


def status(
    stage: Stage, answers: Mapping[str, Answer], picture: Picture, sound: Sound, about: Mapping[str, object]
) -> str:
    """Return the lines that state picture, sound, and each listener's peak, overlap and best match.

    Parameters
    ----------
    answers : mapping of listener to Answer
    about : mapping
        "threshold"; "heard", how the sound was chosen; "time" or None; "spot" or ().
    """
    moment = "" if about["time"] is None else f", around {about['time']:.2f} s"
    named = sound.caption if about["heard"] == "silence" else f"{about['heard']} ({sound.caption})"
    parts = [f"{picture.told}, heard: {named}{moment}."]
    for name, answer in answers.items():
        parts.append(_line(stage, name, answer, picture, sound, about))
    return "\n".join(parts)


def _line(stage: Stage, name: str, answer: Answer, picture: Picture, sound: Sound, about) -> str:
    iou = answer.iou(about["threshold"])
    if iou is None:
        overlap = without_truth(picture, sound)
    else:
        overlap = f"IoU {iou:.2f} at {about['threshold']:.2f} of {_unit(answer)}"
    frame = picture if about["time"] is None else picture.at(about["time"])
    ((best, _),) = stage.nearest_sounds(name, frame, 1)
    match = f"best match {best.caption}{_verdict(best.labels, picture.labels)}"
    line = f"{answer.title}: {_peak(answer)}, {overlap}, {match}"
    if about["spot"]:
        fit = stage.fitting(name, frame, about["spot"], 1)
        line += (
            ", no sound takes part in the map"
            if fit is None
            else f", fits the spot best: {fit[0][0].caption}"
        )
    return line + "."


def _peak(answer: Answer) -> str:
    row, column, value = answer.peak
    if answer.flat:
        return f"{value:.3g}, the same everywhere"
    grid = " x ".join(map(str, answer.heat.shape))
    return f"peak {value:.3g} in row {row + 1}, column {column + 1} of {grid}"


def _unit(answer: Answer) -> str:
    return "the maximum" if answer.scale == "maximum" else SCALES[answer.scale]


def _verdict(labels: frozenset[int] | None, asked: frozenset[int]) -> str:
    if not asked or labels is None:
        return ""
    return " (right)" if labels & asked else " (wrong)"


def menu(stage: Stage) -> dict:
    """Return what never changes: pictures by class, classes that sound, listeners, colours."""
    return {
        "pictures": [{"caption": picture.caption, "group": picture.name} for picture in stage.pictures],
        "classes": [stage.names[c] for c in stage.classes()],
        "listeners": list(stage.listeners),
        "colours": colours(),
    }
