"""The attention explorer: choose an image and a sound, and see where networks hear it.

A :class:`Localizer` is what is asked of a network; :class:`Stage` gives every answer without a widget;
:class:`Explorer` is the widget, and explorer.js draws what it sends.

Notebook: 07, 10
"""

from __future__ import annotations

import base64
import io
import re
import threading
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import NamedTuple

import anywidget
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import soundfile
import torch
import traitlets
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from torch import Tensor

from llinet_lite.data.bandstand import WORLD_VERSION, first_images
from llinet_lite.data.media import MediaError, open_audio, open_image, resample, resize_short_side, to_int16
from llinet_lite.data.store import Store
from llinet_lite.metrics.localization import Rule, overlap, resize
from llinet_lite.show import figures
from llinet_lite.show.page import jpeg_uri, mp3_uri
from llinet_lite.world.scenes import Scene

SCALES = {"probability": "probability", "maximum": "share of the map's maximum"}
BATCH, KEPT = 32, 128  # items embedded at once; items of no split that are kept embedded
STEP, STEPS = 0.2, 40  # of a film: seconds from map to map at least, and maps at most
MEGABYTES, SHORTEST, LONGEST = 20, 1.0, 60.0  # of an uploaded file; seconds of an uploaded sound
KINDS = ("own sound", "another class", "mixture", "silence", "uploaded", "recorded")
BROUGHT = {"sound": "uploaded", "recording": "recorded"}  # what a message brings, and its kind then
PHOTO = -1  # number of the uploaded photo


# ---------------------------------------------------------------- what is asked of a network


class ImageFeatures(NamedTuple):
    """Cells (N, D, h, w) of images and, where a network has one, a vector (N, E) of each whole image."""

    cells: Tensor
    vector: Tensor | None = None


class AudioFeatures(NamedTuple):
    """Keys (M, D') that make maps, D' = 0 if the map hears nothing; vectors (M, E) for search, if others."""

    key: Tensor
    vector: Tensor | None = None


@dataclass(frozen=True)
class Localizer:
    """A network that localizes sounds, whichever it is.

    Attributes
    ----------
    title : str
    side : int
        Of the square that it sees, pixels.
    embed_image : callable
        Images (N, side, side, 3) uint8 -> ImageFeatures, or cells and vectors.
    embed_audio : callable
        Sounds (M, n) int16, of the store's sample rate -> AudioFeatures, or keys and vectors.
    heat : callable
        Cells (N, D, h, w), keys (N, D') -> maps (N, h, w), larger where the sound is more likely.
    match : callable
        ImageFeatures of N, AudioFeatures of M -> (N, M), larger where image and sound belong together.
    fit : callable, optional
        Vector of one cell (D,), AudioFeatures of M -> (M,), larger where the sound fits the cell; None for
        a map in which no sound takes part.
    scale : {"probability", "maximum"}
        What a threshold of the map is a share of: 1, or the map's own maximum.
    measure : str
        What `match` returns, as "cosine".
    whole : float, optional
        Seconds that it hears where no moment is asked for; None: all that there is.
    window : float
        Seconds that it hears around a moment.
    """

    title: str
    side: int
    embed_image: Callable[[np.ndarray], ImageFeatures]
    embed_audio: Callable[[np.ndarray], AudioFeatures]
    heat: Callable[[Tensor, Tensor], Tensor]
    match: Callable[[ImageFeatures, AudioFeatures], Tensor]
    fit: Callable[[Tensor, AudioFeatures], Tensor] | None
    scale: str
    measure: str
    whole: float | None
    window: float

    def __post_init__(self):
        if self.scale not in SCALES:
            raise ValueError(f"{self.title}: scale must be one of {', '.join(SCALES)}, not {self.scale!r}")
        for name, kind in (("embed_image", ImageFeatures), ("embed_audio", AudioFeatures)):
            embed = getattr(self, name)
            object.__setattr__(self, name, lambda batch, embed=embed, kind=kind: kind(*embed(batch)))

    def around(self, seconds: float) -> float:
        """Return how much it hears around a moment of a sound of so many seconds."""
        return self.window if self.whole else min(self.window, seconds)


def _pick(features: NamedTuple, k: int) -> NamedTuple:
    return features._make(None if each is None else each[k : k + 1] for each in features)


def _joined(parts: Sequence[NamedTuple]) -> NamedTuple:
    columns = zip(*parts, strict=True)
    return parts[0]._make(None if column[0] is None else torch.cat(column) for column in columns)


def _batches(items: Sequence) -> Iterator[Sequence]:
    return (items[k : k + BATCH] for k in range(0, len(items), BATCH))


# ---------------------------------------------------------------- images and sounds


@dataclass(frozen=True)
class Picture:
    """An image, and who is in it.

    Attributes
    ----------
    key, caption, name : str
        A unique mark; what it is called in the list; the class it stands under, "" for a reader's photo.
    image : (H, W, 3) uint8
        All of it; a localizer sees the square in its middle.
    objects : (H, W) uint8, optional
        0 is background, k + 1 the k-th player; None where there are no masks.
    players : tuple of int
        Class of every player, whether it can be seen or not.
    index, sound : int, optional
        Its place among the explorer's pictures, and that of its own sound, or of one of its class.
    time : float, optional
        Its moment in that sound, seconds.
    film : callable, optional
        Seconds -> image and objects, for a clip of the built-in world.
    """

    key: str
    caption: str
    name: str
    image: np.ndarray
    objects: np.ndarray | None = None
    players: tuple[int, ...] = ()
    index: int | None = None
    sound: int | None = None
    time: float | None = None
    film: Callable[[float], tuple[np.ndarray, np.ndarray]] | None = field(default=None, repr=False)

    @property
    def told(self) -> str:
        """What the status line calls it."""
        height, width = self.image.shape[:2]
        return f"{self.caption} (its middle square)" if not self.name and height != width else self.caption

    @property
    def labels(self) -> frozenset[int]:
        """Classes that can be seen; all players' where there are no masks."""
        shown = self.objects is None or np.isin(np.arange(len(self.players)) + 1, self.objects)
        return frozenset(np.array(self.players, int)[shown].ravel().tolist())

    def at(self, time: float) -> Picture:
        """Return the frame of its clip at a time; itself where there is no film."""
        if self.film is None:
            return self
        image, objects = self.film(round(time, 2))
        return replace(self, key=f"{self.key} at {time:.2f} s", image=image, objects=objects, index=None)

    def truth(self, sound: Sound) -> np.ndarray | None:
        """Return where the classes that sound are seen, (H, W) bool; None where that is not known."""
        if self.objects is None or sound.labels is None:
            return None
        return np.isin(self.objects, [k + 1 for k, c in enumerate(self.players) if c in sound.labels])


@dataclass(frozen=True)
class Sound:
    """A waveform, (n,) int16, and the classes that sound, None if unknown.

    `index` is its place among the explorer's sounds; `moment`, in seconds, is where to listen when only a
    part is heard, by default the middle.
    """

    key: str
    caption: str
    waveform: np.ndarray
    rate: int
    labels: frozenset[int] | None = None
    index: int | None = None
    moment: float | None = None

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.waveform) / self.rate

    def piece(self, seconds: float | None, center: float | None) -> np.ndarray:
        """Return `seconds` around a center (moved inside the sound), or of the middle; all of it for None."""
        if seconds is None:
            return self.waveform
        length, total = round(seconds * self.rate), len(self.waveform)
        if length > total:
            said = f"{self.caption} lasts {self.seconds:.2f} s, but {seconds:g} s are heard at once"
            raise ValueError(f"{said}: choose a longer sound")
        start = (total - length) // 2
        if center is not None:
            start = min(max(int(np.rint(center * self.rate)) - length // 2, 0), total - length)
        return self.waveform[start : start + length]


def crop(image: np.ndarray, side: int) -> np.ndarray:
    """Return the square in the middle of an image or mask, as evaluation sets cut it."""
    if min(image.shape[:2]) < side:
        size = f"{image.shape[1]} x {image.shape[0]} pixels"
        raise ValueError(f"a picture of {size} holds no square of {side}: build the store with larger ones")
    top, left = (int(0.5 * (size - side + 1)) for size in image.shape[:2])
    return image[top : top + side, left : left + side]


def _spread(labels: np.ndarray, most: int) -> np.ndarray:
    """Return rows, at most so many of every class, spread evenly over its rows; 0: all."""
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        few = np.linspace(0, len(rows) - 1, min(most or len(rows), len(rows))).round().astype(int)
        chosen.append(rows[few])
    return np.concatenate(chosen)  # class by class


def _film(facts: dict, size: int) -> Callable[[float], tuple[np.ndarray, np.ndarray]]:
    """Film the clip of the built-in world that these factors describe; the scene is made at first use."""
    scene = None

    @lru_cache(maxsize=64)
    def frame(time: float) -> tuple[np.ndarray, np.ndarray]:
        nonlocal scene
        if scene is None:
            about = {key: facts[key] for key in ("partner", "seconds", "imprint")}
            scene = Scene(facts["name"], facts["seed"], facts["kind"], **about)
        time = min(max(time, 0.0), scene.seconds)
        return scene.frame(time, size), scene.objects(time, size)

    return frame


def items_of(store: Store, split: str, most: int) -> tuple[list[Picture], list[Sound]]:
    """List one picture of every clip with its sound, or photos and recordings of every class."""
    images, sounds = store.images(split), store.sounds(split)
    by_class = bool((images.clip < 0).any())
    rows = np.arange(len(images)) if by_class else first_images(images)
    rows = rows[_spread(images.label[rows], most)]
    heard = _spread(sounds.label, most) if by_class else images.clip[rows].astype(int)
    names = [each["name"] for each in store.classes]

    def cast(facts: dict, label: int) -> list[tuple[int, bool]]:
        known = facts.get("cast", [{"class": names[label], "sounding": True}])  # a photo shows its class
        return [(names.index(member["class"]), member["sounding"]) for member in known]

    told, pictures, counts = [], [], dict.fromkeys(range(len(names)), 0)
    for k, row in enumerate(heard.tolist()):
        sounding = frozenset(c for c, plays in cast(sounds.factors(row), int(sounds.label[row])) if plays)
        caption = labels_of(names, sounding) or "nobody"
        told.append(Sound(f"sound {k}", caption, sounds.audio(row), store.sample_rate, sounding, k))
    is_world = store.manifest.get("plan", {}).get("world") == WORLD_VERSION
    for k, row in enumerate(rows.tolist()):
        label, facts, kind = int(images.label[row]), images.factors(row), str(images.kind[row])
        counts[label] += 1
        caption = f"{names[label]} {counts[label]}" + ("" if kind in ("solo", "photo") else f", {kind}")
        own = np.flatnonzero(sounds.label[heard] == label) if by_class else np.array([k])
        picture = Picture(
            f"picture {k}", caption, names[label], images.image(row), images.objects(row),
            tuple(c for c, _ in cast(facts, label)), k,
            sound=int(own[(counts[label] - 1) % len(own)]) if len(own) else None,
            time=float(images.time[row]) if not by_class and images.time[row] >= 0 else None,
            film=_film(facts, store.manifest["image_size"]) if is_world and "cast" in facts else None,
        )  # fmt: skip
        pictures.append(picture)
    return pictures, told


def labels_of(names: Sequence[str], labels: frozenset[int]) -> str:
    """Return the names of classes in a sentence."""
    return " and ".join(names[c] for c in sorted(labels))


def mixture(first: Sound, second: Sound) -> Sound:
    """Mix two sounds, equally loud, as long as the shorter one; the first one's moment stays."""
    length = min(len(first.waveform), len(second.waveform))
    parts = [sound.waveform[:length].astype(np.float32) / 32768 for sound in (first, second)]
    loud = [max(float(np.sqrt(np.mean(part**2))), 1e-9) for part in parts]
    mixed = parts[0] + parts[1] * (loud[0] / loud[1])
    wave = to_int16(mixed / max(1.0, float(np.abs(mixed).max())))
    labels = None if None in (first.labels, second.labels) else first.labels | second.labels
    key, caption = f"{first.key} + {second.key}", f"{first.caption} with {second.caption}"
    return Sound(key, caption, wave, first.rate, labels, None, first.moment)


def silence(rate: int, length: int) -> Sound:
    """Return zeros."""
    return Sound("silence", "silence", np.zeros(length, np.int16), rate, frozenset())


# ---------------------------------------------------------------- what a reader brings


def _named(name: str, data: bytes, fix: str) -> str:
    """Return the bare name of a file, and refuse one that is empty or too big."""
    name = PurePath(name.replace("\\", "/")).name[:80] or "the file"
    if not data:
        raise MediaError(name, f"the file is empty (0 bytes); {fix}")
    if len(data) > MEGABYTES * 10**6:
        size = f"{len(data) / 1e6:.0f} MB, more than {MEGABYTES}"
        raise MediaError(name, f"the file has {size}; choose a smaller one")
    return name


@contextmanager
def _mended(fix: str) -> Iterator[None]:
    """Say with the error how to mend it, and leave out the names of Python's objects."""
    try:
        yield
    except MediaError as error:
        reason = re.sub(r"\.?\s*Error opening <.*?>", "", error.reason).strip(" .").replace("::", ":")
        raise MediaError(error.path, f"{reason}; {fix}") from error


def _opaque(data: bytes) -> bytes:
    """Bring an image of 16 bits to 8, and lay one that shines through on white; others stay as they are."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.mode.startswith("I;16"):  # Pillow's own conversion cuts off all above 255
                image = Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8))
            elif opened.has_transparency_data and opened.width * opened.height < Image.MAX_IMAGE_PIXELS:
                image = opened.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
            else:
                return data
            png = io.BytesIO()
            image.save(png, "PNG", compress_level=1, exif=opened.getexif())
            return png.getvalue()
    except Exception:  # the reader says what is wrong with it
        return data


def photo(name: str, data: bytes, size: int) -> Picture:
    """Read a reader's photo, its shorter side brought to `size` pixels, or raise MediaError, one sentence."""
    fix = "choose a JPEG or PNG picture"
    name = _named(name, data, fix)
    with _mended(fix):
        image, _ = open_image(name, _opaque(data))
    if max(image.shape[:2]) > 20 * min(image.shape[:2]):
        raise MediaError(name, "the picture is a strip, over 20 times as long as wide; cut a part out of it")
    return Picture(f"photo {name} {hash(data)}", name, "", resize_short_side(image, size))


def recording(name: str, data: bytes, rate: int, shortest: float = SHORTEST) -> Sound:
    """Read a reader's sound of 1 to 60 s as one channel of a rate, or raise MediaError, one sentence."""
    fix = "choose a wav, flac, ogg or mp3 file"
    name = _named(name, data, fix)

    def check(seconds: float, least: float) -> None:
        if not least <= seconds <= LONGEST:
            said = f"choose a sound of {shortest:g} to {LONGEST:g} s"
            raise MediaError(name, f"lasts {seconds:.2f} s; {said}")

    try:  # the header first: 20 MB of mp3 may be an hour of sound
        info = soundfile.info(io.BytesIO(data))
        seconds = info.frames / info.samplerate if info.frames < 2**62 else 0.0
    except Exception:  # the reader says what is wrong with it
        seconds = 0.0
    check(seconds, 0.0)
    with _mended(fix):
        wave, found, _ = open_audio(name, data)
    check(len(wave) / found, shortest)
    wave = resample(np.ascontiguousarray(wave.mean(1)), found, rate)
    wave = wave / max(1.0, float(np.abs(wave).max()))  # float files may exceed 1
    return Sound(f"sound of {name} {hash(data)}", name, to_int16(wave), rate)


# ---------------------------------------------------------------- answers


@dataclass(frozen=True)
class Answer:
    """What a localizer makes of an image and a sound: its square, the map, and where it is true."""

    title: str
    image: np.ndarray  # (side, side, 3) uint8
    heat: np.ndarray  # (h, w) float32
    scale: str
    truth: np.ndarray | None  # (side, side) bool

    @property
    def peak(self) -> tuple[int, int, float]:
        """Row and column of the largest cell, from 0, and its value."""
        row, column = np.unravel_index(int(self.heat.argmax()), self.heat.shape)
        return int(row), int(column), float(self.heat[row, column])

    @property
    def flat(self) -> bool:
        """Whether the map is the same everywhere, so that no cell is its highest."""
        return float(np.ptp(self.heat)) <= 1e-6 * float(np.abs(self.heat).max())

    @property
    def shares(self) -> np.ndarray:
        """The map in [0, 1]: probabilities, or shares of its maximum; zeros where that is not positive."""
        if self.scale == "probability":
            return self.heat
        top = self.heat.max()
        return np.clip(self.heat / top, 0, 1) if top > 0 else np.zeros_like(self.heat)

    def prediction(self, threshold: float) -> np.ndarray:
        """Cut the map, interpolated to pixels, above a threshold: (side, side) bool."""
        maps = resize(torch.from_numpy(self.heat.copy())[None], self.image.shape[:2]).numpy()
        rule = Rule(None, level=float(threshold), of_maximum=self.scale == "maximum", keep=">")
        found = rule.predict(maps, np.zeros(maps.shape, bool))[0]
        return found if self.scale == "probability" or maps.max() > 0 else np.zeros_like(found)

    def iou(self, threshold: float) -> float | None:
        """Intersection over union of the prediction with the truth; None without a truth."""
        if self.truth is None:
            return None
        inside, union = overlap(self.prediction(threshold)[None], self.truth[None])
        return float(inside[0] / union[0])

    def canvas(self) -> dict:
        """Return what the page draws; a mask is packed row by row, eight pixels a byte, as base64."""
        mask = None if self.truth is None else base64.b64encode(np.packbits(self.truth).tobytes()).decode()
        return {
            "title": self.title, "side": len(self.image), "image": jpeg_uri(self.image, 88),
            "grid": list(self.heat.shape), "heat": [float(f"{value:.6g}") for value in self.heat.ravel()],
            "scale": self.scale, "flat": self.flat, "mask": mask,
        }  # fmt: skip


class Stage:
    """Pictures, sounds and localizers; every vector of the split is computed once, here.

    Parameters
    ----------
    localizers : mapping of title to Localizer
    store : Store
    split : str
    most : int
        At most so many pictures and sounds of a class, spread evenly over the split; 0: all.
    """

    def __init__(self, localizers: Mapping[str, Localizer], store: Store, split: str, *, most: int = 20):
        if not localizers or not len(store.images(split)) or not len(store.sounds(split)):
            raise ValueError(f"the explorer needs a localizer, and pictures and sounds in split {split!r}")
        self.localizers, self.names = dict(localizers), [each["name"] for each in store.classes]
        self.rate, self.size = store.sample_rate, store.manifest["image_size"]
        self.pictures, self.sounds = items_of(store, split, most)
        # Of every sound of the split as much is heard as its shortest has, so that none has an advantage.
        self.common = int(store.sounds(split).length.min()) / self.rate
        self._kept: dict[tuple, ImageFeatures | AudioFeatures] = {}
        self._begun = self._said = clock.monotonic()
        self._vectors = {name: self._embed(of, k) for k, (name, of) in enumerate(self.localizers.items())}

    @torch.inference_mode()
    def _embed(self, of: Localizer, before: int) -> tuple[ImageFeatures, AudioFeatures]:
        images, sounds, every = [], [], len(self.pictures) + len(self.sounds)
        for part in _batches(self.pictures):
            images.append(of.embed_image(np.stack([crop(picture.image, of.side) for picture in part])))
            self._progress(before * every + BATCH * len(images), every)
        for part in _batches(self.sounds):
            pieces = [sound.piece(of.whole or self.common, None) for sound in part]
            sounds.append(of.embed_audio(np.stack(pieces)))
            self._progress(before * every + len(self.pictures) + BATCH * len(sounds), every)
        return _joined(images), _joined(sounds)

    def _progress(self, done: int, every: int) -> None:
        """Say every two seconds how far it is."""
        if (now := clock.monotonic()) - self._said > 2.0:
            self._said, total = now, every * len(self.localizers)
            said = f"{min(done, total)} of {total} pictures and sounds, {now - self._begun:.0f} s"
            print(f"explorer: {said}", flush=True)

    def own_sound(self, picture: Picture) -> Sound:
        """Return the picture's own sound, to be listened to at the picture's moment."""
        if picture.sound is None:
            raise ValueError(f"{picture.caption} has no sound of its own: choose another sound")
        sound = self.sounds[picture.sound]
        return sound if picture.time is None else replace(sound, moment=picture.time)

    def sound_of(self, label: int, picture: Picture) -> Sound:
        """Return a sound of a class, another one for every picture of a class in turn."""
        known = [sound for sound in self.sounds if sound.labels == {label}]
        known = known or [sound for sound in self.sounds if label in sound.labels]
        if not known:
            raise ValueError(f"the split has no sound of {self.names[label]}: choose another class")
        return known[(picture.index or 0) % len(known)]

    def choose(self, kind: str, picture: Picture, label: int) -> Sound:
        """Return "own sound", "another class", their "mixture", or "silence" as long as the sounds."""
        if kind == "silence":
            return silence(self.rate, round(self.common * self.rate))
        if kind == "own sound":
            return self.own_sound(picture)
        other = self.sound_of(label, picture)
        return other if kind == "another class" else mixture(self.own_sound(picture), other)

    def classes(self) -> list[int]:
        """Return the classes of which there are sounds."""
        return sorted(set().union(*(sound.labels for sound in self.sounds)))

    @torch.inference_mode()
    def seen(self, name: str, picture: Picture) -> ImageFeatures:
        """Return a picture as a localizer sees it, a batch of one."""
        if picture.index is not None:
            return _pick(self._vectors[name][0], picture.index)
        of = self.localizers[name]
        return self._keep((name, picture.key), lambda: of.embed_image(crop(picture.image, of.side)[None]))

    @torch.inference_mode()
    def heard(self, name: str, sound: Sound, time: float | None = None) -> AudioFeatures:
        """Return a sound as a localizer hears it, a batch of one: around a time, or as a whole."""
        of = self.localizers[name]
        seconds, center = (of.whole, sound.moment) if time is None else (of.around(sound.seconds), time)
        if time is None and sound.index is not None and (seconds is None or center is None):
            return _pick(self._vectors[name][1], sound.index)
        piece = sound.piece(seconds, center)  # too short a sound is refused here
        return self._keep((name, sound.key, seconds, center), lambda: of.embed_audio(np.array(piece)[None]))

    def _keep(self, key: tuple, make: Callable) -> NamedTuple:
        self._kept[key] = self._kept.pop(key, None) or make()  # the last used stands last
        if len(self._kept) > KEPT:
            self._kept.pop(next(iter(self._kept)))
        return self._kept[key]

    @torch.inference_mode()
    def answer(self, name: str, picture: Picture, sound: Sound, time: float | None = None) -> Answer:
        """Return a localizer's map; at a time of a clip, of the frame that is seen then."""
        of, frame = self.localizers[name], picture if time is None else picture.at(time)
        heat = of.heat(self.seen(name, frame).cells, self.heard(name, sound, time).key)[0]
        return self._told(of, frame, sound, heat)

    def _told(self, of: Localizer, frame: Picture, sound: Sound, heat: Tensor) -> Answer:
        truth = frame.truth(sound)
        truth = None if truth is None else crop(truth, of.side)
        truth = truth if truth is not None and truth.any() else None
        return Answer(of.title, crop(frame.image, of.side), heat.float().cpu().numpy(), of.scale, truth)

    @torch.inference_mode()
    def film(self, names: Sequence[str], picture: Picture, sound: Sound) -> tuple[list[float], dict]:
        """Return moments of a sound, every 0.2 s (at most 40), and every localizer's maps for them."""
        count = min(STEPS, max(2, int(sound.seconds / STEP) + 1))
        times = [round(float(t), 3) for t in np.linspace(0, sound.seconds, count)]
        frames, films = [picture.at(t) for t in times], {}
        for name in names:
            of = self.localizers[name]
            if picture.film is None:
                cells = self.seen(name, picture).cells.expand(count, -1, -1, -1)
            else:
                squares = [crop(frame.image, of.side) for frame in frames]
                cells = _joined([of.embed_image(np.stack(part)) for part in _batches(squares)]).cells
            pieces = [sound.piece(of.around(sound.seconds), t) for t in times]
            keys = _joined([of.embed_audio(np.stack(part)) for part in _batches(pieces)]).key
            heats = of.heat(cells, keys)
            films[name] = [self._told(of, f, sound, h) for f, h in zip(frames, heats, strict=True)]
        return times, films

    @torch.inference_mode()
    def nearest_sounds(self, name: str, picture: Picture, count: int = 4) -> list[tuple[Sound, float]]:
        """Return the sounds of the split that match a picture best, with their scores."""
        scores = self.localizers[name].match(self.seen(name, picture), self._vectors[name][1])[0]
        return _best(self.sounds, scores, count)

    @torch.inference_mode()
    def nearest_pictures(
        self, name: str, sound: Sound, time: float | None = None, count: int = 4
    ) -> list[tuple[Picture, float]]:
        """Return the pictures of the split that match a sound best, with their scores."""
        scores = self.localizers[name].match(self._vectors[name][0], self.heard(name, sound, time))[:, 0]
        return _best(self.pictures, scores, count)

    @torch.inference_mode()
    def fitting(
        self, name: str, picture: Picture, spot: Sequence[float], count: int = 4
    ) -> list[tuple[Sound, float]] | None:
        """Return the sounds that fit a spot (y, x), 0 to 1, best; None for a map that hears nothing."""
        of = self.localizers[name]
        if of.fit is None:
            return None
        cells = self.seen(name, picture).cells
        row, column = cell_of(spot, cells.shape[2:])
        return _best(self.sounds, of.fit(cells[0, :, row, column], self._vectors[name][1]), count)


def _best(items: Sequence, scores: Tensor, count: int) -> list[tuple]:
    order = torch.argsort(scores, descending=True, stable=True)[:count].tolist()
    return [(items[k], float(scores[k])) for k in order]


def cell_of(spot: Sequence[float], grid: Sequence[int]) -> tuple[int, int]:
    """Return row and column of the cell that a spot (y, x) of the unit square lies in."""
    row, column = (min(int(place * cells), cells - 1) for place, cells in zip(spot, grid, strict=True))
    return max(row, 0), max(column, 0)


def seen_at(picture: Picture, spot: Sequence[float], side: int, grid: Sequence[int]) -> frozenset[int]:
    """Classes whose players touch the cell of a spot; none where there are no masks, or nobody is there."""
    if picture.objects is None:
        return frozenset()
    area = (
        slice(k * side // n, -(-(k + 1) * side // n)) for k, n in zip(cell_of(spot, grid), grid, strict=True)
    )
    there = np.unique(crop(picture.objects, side)[tuple(area)])
    return frozenset(c for k, c in enumerate(picture.players) if k + 1 in there)


# ---------------------------------------------------------------- the widget


class Explorer(anywidget.AnyWidget):
    """See where networks hear a sound in a picture, ask a spot for its sounds, and bring photos and sounds.

    Every control of the page is an attribute here: set it, and `status` states the answer.

    Parameters
    ----------
    localizers : mapping of title to Localizer
        Shown side by side.
    store : Store
    split : str
        What is chosen from, and searched.
    most : int
        At most so many pictures and sounds of a class, spread evenly over the split; 0: all.

    Attributes
    ----------
    picture : int
        Number of the picture, from 0; -1 for an uploaded photo.
    sound : {"own sound", "another class", "mixture", "silence", "uploaded", "recorded"}
    other : str
        Class of "another class" and of "mixture".
    time : float
        Moment of the sound, seconds; -1: each localizer hears as much as it was tested on.
    threshold, opacity : float
        0 to 1.
    shown : list of str
        Titles of the localizers that answer.
    spot : list of float
        (y, x) in sides of the picture, or empty.
    status : str
        The answer in words, or what went wrong.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")

    picture = traitlets.Int(0).tag(sync=True)
    sound = traitlets.Enum(KINDS, "own sound").tag(sync=True)
    other = traitlets.Unicode().tag(sync=True)
    time = traitlets.Float(-1.0).tag(sync=True)
    threshold = traitlets.Float(0.5, min=0, max=1).tag(sync=True)
    opacity = traitlets.Float(0.55, min=0, max=1).tag(sync=True)
    shown = traitlets.List(traitlets.Unicode()).tag(sync=True)
    spot = traitlets.List(traitlets.Float()).tag(sync=True)
    # what the page shows
    status = traitlets.Unicode().tag(sync=True)
    menu = traitlets.Dict().tag(sync=True)
    scene = traitlets.Dict().tag(sync=True)
    clip = traitlets.Dict().tag(sync=True)
    found = traitlets.Dict().tag(sync=True)
    fitting = traitlets.List().tag(sync=True)
    brought = traitlets.Dict().tag(sync=True)

    def __init__(self, localizers: Mapping[str, Localizer], store: Store, split: str, *, most: int = 20):
        self.stage, self.split = Stage(localizers, store, split, most=most), split
        self.answers: dict[str, Answer] = {}
        self._now: tuple[Picture, Sound] | None = None
        self._photo: Picture | None = None
        self._sounds: dict[str, Sound] = {}
        self._parts: dict[tuple[str, str], list[bytes]] = {}
        # An MP3 takes 10 ms per second of sound: seconds of the split are kept, and the last 64 whole sounds.
        self._tiles: dict[str, str] = {}
        self._whole = lru_cache(64)(lambda key: mp3_uri(self._shown()[1].waveform, self.stage.rate))
        # A cell may set an attribute while the reader moves a control: Jupyter has a thread for each.
        self._lock, self._answering = threading.RLock(), 0
        colors = np.rint(matplotlib.colormaps["magma"](np.arange(256))[:, :3] * 255).astype(int).tolist()
        menu = {
            "pictures": [{"caption": p.caption, "group": p.name} for p in self.stage.pictures],
            "classes": [self.stage.names[c] for c in self.stage.classes()],
            "listeners": list(self.stage.localizers), "colours": colors,
        }  # fmt: skip
        super().__init__(menu=menu, shown=list(self.stage.localizers), other=menu["classes"][0])
        self._update(self._first)
        self.observe(self._chosen, names=["picture", "sound", "other", "time", "shown"])
        self.observe(lambda _: self._is_own() or self._update(self._say), names=["threshold"])
        self.observe(lambda _: self._is_own() or self._update(self._ask), names=["spot"])
        self.on_msg(self._received)

    def __repr__(self) -> str:
        count = f"{len(self.stage.pictures)} pictures and {len(self.stage.sounds)} sounds of {self.split}"
        return f"Explorer({', '.join(self.stage.localizers)}; {count})"

    # ---- from the page to the stage

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Change what is shown in one message, one thread at a time, and do not answer one's own changes."""
        with self._lock:
            outer, self._answering = self._answering, threading.get_ident()
            try:
                with self.hold_sync():
                    yield
            finally:
                self._answering = outer

    def _is_own(self) -> bool:
        """Whether it is this answer itself that changes something."""
        return self._answering == threading.get_ident()

    def _update(self, answer: Callable[[], None], of: str = "change") -> None:
        """Answer, or say in the status line why not; the page is told what it was that was answered."""
        with self._quietly():
            try:
                answer()
            except (ValueError, RuntimeError, OSError) as error:  # of files, stores and networks
                self.status = f"{str(error).rstrip('. ')}."
        self.send({"type": "said", "of": of})  # the line may say the same as before, and the page wait

    def _chosen(self, change) -> None:
        def answer() -> None:
            if change.name == "picture":
                self.spot = []
                self._leave_own_sound()
            if change.name in ("picture", "sound", "other"):
                self.time = -1.0
            self._show()

        if not self._is_own():
            self._update(answer)

    def _received(self, _widget, content: dict, buffers: list) -> None:
        """Take a message of the page: parts of a file, or the wish for a film."""
        if content.get("type") == "film":
            self._update(self._film, "film")
        elif content.get("type") == "file":
            key = content["kind"], str(content["name"])
            parts = self._parts.setdefault(key, [])  # a whole file is too big a message
            if content["part"] != len(parts):  # a part was lost, or the file comes anew
                parts.clear()
            if content["part"] == len(parts):
                parts.append(b"".join(bytes(part) for part in buffers))
            if content["part"] + 1 >= content["parts"] or sum(map(len, parts)) > MEGABYTES * 10**6:
                self._update(lambda: self._bring(*key, content["part"] + 1))

    def _bring(self, kind: str, name: str, count: int) -> None:
        """Read a file of which so many parts were sent."""
        parts = self._parts.pop((kind, name))
        if len(parts) != count:
            raise MediaError(name, "a part of the file was lost on its way here; choose it again")
        if kind == "photo":
            self.bring_photo(name, b"".join(parts))
        else:
            self.bring_sound(name, b"".join(parts), BROUGHT[kind])

    def bring_photo(self, name: str, data: bytes) -> None:
        """Show a photo, given as the bytes of its file; it needs a sound that is not its own."""
        self._photo = photo(name, data, self.stage.size)
        with self._quietly():
            self.brought = self.brought | {"photo": self._photo.caption}
            self.picture, self.time, self.spot = PHOTO, -1.0, []
            self._leave_own_sound()
            self._show()

    def bring_sound(self, name: str, data: bytes, kind: str = "uploaded") -> None:
        """Hear a sound, given as the bytes of its file."""
        needed = [max(of.window, of.whole) for of in self.stage.localizers.values() if of.whole]
        self._sounds[kind] = recording(name, data, self.stage.rate, max([SHORTEST, *needed]))
        with self._quietly():
            self.brought = self.brought | {kind: self._sounds[kind].caption}
            self.sound, self.time = kind, -1.0
            self._show()

    def _leave_own_sound(self) -> None:
        """Choose another sound for an uploaded photo, which has none of its own."""
        if self.picture == PHOTO and self.sound in ("own sound", "mixture"):
            self.sound = next(iter(self._sounds), "another class")

    # ---- from the stage to the page

    def _first(self) -> None:
        label = self.stage.pictures[0].players[0]
        others = [c for c in self.stage.classes() if c != label]
        if others:
            self.other = self.stage.names[others[0]]
        try:
            self._show()
        except ValueError:  # no sound of its own
            self.sound = "another class"
            self._show()

    def _current(self) -> tuple[Picture, Sound]:
        if self.picture == PHOTO and self._photo is None:
            raise ValueError("there is no uploaded photo yet: upload one, or choose a picture of the list")
        if not PHOTO <= self.picture < len(self.stage.pictures):
            raise ValueError(f"picture must be 0 to {len(self.stage.pictures) - 1}, not {self.picture}")
        picture = self._photo if self.picture == PHOTO else self.stage.pictures[self.picture]
        if self.sound in BROUGHT.values():
            if self.sound not in self._sounds:
                what = "upload a sound" if self.sound == "uploaded" else "record one"
                raise ValueError(f"no sound was {self.sound} yet: {what} first")
            return picture, self._sounds[self.sound]
        if self.other not in self.stage.names:
            raise ValueError(f"there is no class {self.other!r}: choose one of the list")
        return picture, self.stage.choose(self.sound, picture, self.stage.names.index(self.other))

    def _shown(self) -> tuple[Picture, Sound]:
        if self._now is None:
            raise ValueError(f"nothing is shown yet: {self.status or 'choose a picture that has a sound'}")
        return self._now

    def _moment(self) -> float | None:
        return None if self.time < 0 else min(self.time, self._shown()[1].seconds)

    def _frame(self) -> Picture:
        """Return the picture that is shown: at a time of a clip, the frame of that time."""
        picture, time = self._shown()[0], self._moment()
        return picture if time is None else picture.at(time)

    def _names(self) -> list[str]:
        return [name for name in self.stage.localizers if name in self.shown]

    def _title(self) -> str:
        picture, sound = self._shown()
        moment = "" if self._moment() is None else f", around {self._moment():.2f} s"
        heard = sound.caption if self.sound == "silence" else f"{self.sound} ({sound.caption})"
        return f"{picture.told}, heard: {heard}{moment}"

    def _show(self) -> None:
        stage, names = self.stage, self._names()
        picture, sound = self._current()
        time = None if self.time < 0 else min(self.time, sound.seconds)
        answers = {name: stage.answer(name, picture, sound, time) for name in names}
        self._now, self.answers = (picture, sound), answers
        canvases = [answer.canvas() for answer in answers.values()]
        key = f"{picture.key} | {sound.key} | {names}"
        self.scene = {"key": key, "time": self.time, "canvases": canvases, "caption": self._title()}
        if self.clip.get("key") != sound.key:
            silent = self.sound == "silence"
            uri, seconds = ("", 0) if silent else (self._whole(sound.key), round(sound.seconds, 2))
            self.clip = {"key": sound.key, "seconds": seconds, "audio": uri}
        frame, found = self._frame(), {"sounds": [], "pictures": []}
        for name in names:
            about = {"title": name, "measure": stage.localizers[name].measure}
            sounds = [self._tile(*one, picture.labels) for one in stage.nearest_sounds(name, frame)]
            pictures = stage.nearest_pictures(name, sound, time)
            pictures = [self._tile(*one, sound.labels or frozenset()) for one in pictures]
            found["sounds"].append(about | {"tiles": sounds})
            found["pictures"].append(about | {"tiles": pictures})
        self.found = found
        self._ask()

    def _tile(self, item: Picture | Sound, score: float, asked: frozenset[int]) -> dict:
        """Return one item of a list; `asked` are the classes that are right, none if they are not known."""
        right = bool(asked & item.labels) if asked else None
        tile, sound = {"caption": item.caption, "score": f"{score:.2g}", "right": right}, item
        if isinstance(item, Picture):
            if item.key not in self._tiles:
                self._tiles[item.key] = jpeg_uri(resize_short_side(item.image, 96), 88)
            tile["image"] = self._tiles[item.key]
            sound = None if item.time is None else self.stage.sounds[item.sound]
        if sound and sound.key not in self._tiles:
            self._tiles[sound.key] = mp3_uri(sound.piece(min(1.0, sound.seconds), None), sound.rate)
        return tile | ({"audio": self._tiles[sound.key]} if sound else {})

    def _ask(self) -> None:
        stage, frame, told = self.stage, self._frame(), []
        for name in self._names() if self.spot else ():
            grid = stage.seen(name, frame).cells.shape[2:]
            row, column = cell_of(self.spot, grid)
            entry = {"title": name, "measure": f"cell in row {row + 1}, column {column + 1}", "tiles": []}
            best = stage.fitting(name, frame, self.spot)
            if best is None:
                entry["note"] = "No sound takes part in this map: each fits a spot as well as any other."
            else:
                there = seen_at(frame, self.spot, stage.localizers[name].side, grid)
                entry["tiles"] = [self._tile(*one, there) for one in best]
            told.append(entry)
        self.fitting = told
        self._say()

    def _say(self) -> None:
        """State picture, sound, and each localizer's peak, overlap and best match."""
        self.status = "\n".join([f"{self._title()}.", *(self._line(name) for name in self.answers)])

    def _line(self, name: str) -> str:
        answer, frame = self.answers[name], self._frame()
        row, column, value = answer.peak
        grid = " x ".join(map(str, answer.heat.shape))
        peak = f"peak {value:.3g} in row {row + 1}, column {column + 1} of {grid}"
        peak = f"{value:.3g}, the same everywhere" if answer.flat else peak
        iou, unit = answer.iou(self.threshold), "the maximum" if answer.scale == "maximum" else answer.scale
        said = self._without_truth() if iou is None else f"IoU {iou:.2f} at {self.threshold:.2f} of {unit}"
        ((best, _),) = self.stage.nearest_sounds(name, frame, 1)
        labels = self._shown()[0].labels
        verdict = (" (right)" if best.labels & labels else " (wrong)") if labels else ""
        line = f"{answer.title}: {peak}, {said}, best match {best.caption}{verdict}"
        if self.spot:
            fit = self.stage.fitting(name, frame, self.spot, 1)
            fits = "no sound takes part in the map" if fit is None else "fits the spot best: "
            line += f", {fits}{fit[0][0].caption if fit else ''}"
        return line + "."

    def _without_truth(self) -> str:
        """Say why there is no overlap to measure."""
        picture, sound = self._shown()
        if sound.labels is None:
            return "no IoU: what sounds here is not known"
        if not sound.labels:
            return "no IoU: nobody plays"
        why = "this picture has no mask" if picture.objects is None else "what sounds is not in the picture"
        return f"no IoU: {why}"

    def _film(self) -> None:
        """Send the maps of all moments of the sound, for the page to show while it plays."""
        picture, sound = self._shown()
        times, films = self.stage.film(self._names(), picture, sound)
        canvases = [[answer.canvas() for answer in answers] for answers in films.values()]
        if picture.film is None:  # the picture stands still: it is there already
            canvases = [[one | {"image": None} for one in frames] for frames in canvases]
        self.send({"type": "film", "key": self.scene["key"], "times": times, "canvases": canvases})

    def still(self) -> tuple[Figure, str]:
        """Return what is shown now as a figure with its alt text, for readers without a kernel.

        The outline of what sounds is solid, that of the map above the threshold dashed, the cross is the
        highest cell.
        """
        picture, title, threshold = self._frame(), self._title(), self.threshold
        count = len(self.answers) + 1
        fig, axes = plt.subplots(1, count, figsize=(min(10, 0.9 + 2.5 * count), 3.4), layout="constrained")
        axes = np.atleast_1d(axes)
        axes[0].imshow(picture.image)
        axes[0].set_title(picture.caption, fontsize=9)
        axes[0].axis("off")
        told = []
        for ax, answer in zip(axes[1:], self.answers.values(), strict=True):
            pointed = None if answer.flat else answer.truth  # a map without a highest cell gets no cross
            figures.overlay(ax, answer.image, answer.shares, pointed)
            if answer.flat and answer.truth is not None:
                figures.contour(ax, answer.truth)
            prediction = answer.prediction(threshold)
            if prediction.any() and not prediction.all():
                figures.contour(ax, prediction, "dashed")
            iou = answer.iou(threshold)
            said = "no IoU" if iou is None else f"IoU {iou:.2f}"
            ax.set_title(f"{answer.title}\n{said}", fontsize=9)
            told.append(f"{answer.title} {said}")
        fig.suptitle(title, fontsize=10)
        marks = [
            Line2D([], [], color="0.2", label="what sounds"),
            Line2D([], [], color="0.2", linestyle="--", label=f"map above {threshold:.2f} of its scale"),
            Line2D([], [], color="0.2", linestyle="", marker="x", label="highest cell"),
        ]
        fig.legend(handles=marks, loc="outside lower center", ncols=3, fontsize=8)
        alt = (
            f"Still of the attention explorer: {title}. Beside the picture the maps of {', '.join(told)}, at "
            f"threshold {threshold:.2f}: solid is the outline of what sounds, dashed that of the map above "
            "it and a cross the highest cell."
        )
        return fig, alt
