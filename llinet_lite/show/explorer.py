"""The attention explorer: choose an image and a sound, and see where networks hear it.

A :class:`Localizer` is what is asked of a network; :class:`Stage` gives every answer without a widget;
:class:`Explorer` is the widget, and explorer.js draws what it sends.
Notebook: 07, 10
"""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path, PurePath
from typing import NamedTuple

import anywidget
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor
from tqdm import tqdm

from llinet_lite.data.bandstand import WORLD_VERSION, first_images
from llinet_lite.data.media import MediaError, open_audio, open_image, resample, resize_short_side, to_int16
from llinet_lite.data.store import Store
from llinet_lite.metrics.localization import resize
from llinet_lite.show import figures
from llinet_lite.show.page import jpeg_uri, mp3_uri
from llinet_lite.world.scenes import Scene

BATCH, KEPT = 32, 128  # items embedded at once; kept embedded
STEP, STEPS = 0.2, 40  # of a film: seconds from map to map at least, and maps at most
MEGABYTES, SHORTEST, LONGEST = 20, 1.0, 60.0  # of an uploaded file; seconds of an uploaded sound
BROUGHT = ("uploaded", "recorded")
KINDS = ("own sound", "another class", "mixture", "silence", *BROUGHT)
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
    """A network that localizes sounds; `experiments.maps.localizer` returns these arguments for any run."""

    title: str
    side: int  # of the square that it sees, pixels
    embed_image: Callable[[np.ndarray], ImageFeatures]  # (N, side, side, 3) uint8 -> cells and vectors
    embed_audio: Callable[[np.ndarray], AudioFeatures]  # (M, n) int16 -> keys and vectors
    heat: Callable[[Tensor, Tensor], Tensor]  # cells (N, D, h, w), keys (N, D') -> (N, h, w)
    match: Callable[[ImageFeatures, AudioFeatures], Tensor]  # -> (N, M), larger if they belong together
    # A cell (D,), features of M sounds -> how well they fit it, (M,); None: the map hears nothing.
    fit: Callable[[Tensor, AudioFeatures], Tensor] | None
    scale: str  # what a threshold is a share of: 1 ("probability") or the "maximum" of the map
    measure: str  # what `match` returns, as "cosine"
    whole: float | None  # seconds that it hears where no moment is asked for; None: all that there is
    window: float  # seconds that it hears around a moment

    def __post_init__(self):
        if self.scale not in ("probability", "maximum"):
            raise ValueError(f"{self.title}: scale must be probability or maximum, not {self.scale!r}")
        for name, kind in (("embed_image", ImageFeatures), ("embed_audio", AudioFeatures)):
            embed = getattr(self, name)
            object.__setattr__(self, name, lambda batch, embed=embed, kind=kind: kind(*embed(batch)))

    def around(self, seconds: float) -> float:
        """Return how much it hears around a moment of a sound of so many seconds."""
        return self.window if self.whole else min(self.window, seconds)


def _embed(embed: Callable, items: Sequence[np.ndarray], tick: Callable) -> NamedTuple:
    """Embed images or sounds of one size, some at a time; `tick` is told how many."""
    parts = []
    for k in range(0, len(items), BATCH):
        parts.append(embed(np.stack(items[k : k + BATCH])))
        tick(len(items[k : k + BATCH]))
    columns = zip(*parts, strict=True)
    return parts[0]._make(None if column[0] is None else torch.cat(column) for column in columns)


# ---------------------------------------------------------------- images and sounds


@dataclass(frozen=True, eq=False)  # caches know it by its identity
class Picture:
    """An image, and who is in it."""

    caption: str
    name: str  # of the class that it stands under; "" for an uploaded photo
    image: np.ndarray  # (H, W, 3) uint8; a localizer sees the square in its middle
    objects: np.ndarray | None = None  # (H, W) uint8: 0 is background, k + 1 the k-th player
    players: tuple[int, ...] = ()  # class of every player, whether it can be seen or not
    index: int | None = None  # its place among the explorer's pictures
    sound: int | None = None  # place of its own sound, or of one of its class
    time: float | None = None  # its moment in that sound, seconds
    film: Callable[[float], Picture] | None = None  # its frame at a time of the sound, seconds

    @property
    def labels(self) -> frozenset[int]:
        """Classes that can be seen; all players' where there are no masks."""
        return frozenset(self.players) if self.objects is None else self._visible(self.objects)

    def _visible(self, objects: np.ndarray) -> frozenset[int]:
        return frozenset(c for k, c in enumerate(self.players) if (objects == k + 1).any())

    def within(self, side: int, cell: Sequence[int], grid: Sequence[int]) -> frozenset[int]:
        """Return the classes that touch a cell of a grid over the square of a side; none without masks."""
        if self.objects is None:
            return frozenset()
        edges = [(k * side // n, -(-(k + 1) * side // n)) for k, n in zip(cell, grid, strict=True)]
        rows, columns = (slice(*edge) for edge in edges)
        return self._visible(crop(self.objects, side)[rows, columns])

    def at(self, time: float | None) -> Picture:
        """Return the frame of its clip at a time; itself where there is no film."""
        return self if self.film is None or time is None else self.film(round(time, 2))

    def truth(self, sound: Sound, side: int) -> np.ndarray | None:
        """Return where in its square a class sounds, (side, side) bool; None: nowhere, or not known."""
        if self.objects is None or sound.labels is None:
            return None
        sounding = [k + 1 for k, c in enumerate(self.players) if c in sound.labels]
        truth = np.isin(crop(self.objects, side), sounding)
        return truth if truth.any() else None


@dataclass(frozen=True, eq=False)
class Sound:
    """A waveform, (n,) int16, and the classes that sound."""

    caption: str
    waveform: np.ndarray
    rate: int
    labels: frozenset[int] | None = None  # None: not known
    index: int | None = None  # its place among the explorer's sounds
    moment: float | None = None  # where to listen if only a part is heard, seconds; None: the middle

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


def _filmed(picture: Picture, facts: dict, size: int) -> Picture:
    """Add the film of the clip of the built-in world that these factors describe."""
    about = {key: facts[key] for key in ("partner", "seconds", "imprint")}
    scene = cache(lambda: Scene(facts["name"], facts["seed"], facts["kind"], **about))  # made at first use

    @lru_cache(maxsize=64)
    def frame(time: float) -> Picture:
        time = min(max(time, 0.0), scene().seconds)
        image, objects = scene().frame(time, size), scene().objects(time, size)
        return replace(picture, image=image, objects=objects, index=None)

    return replace(picture, film=frame)


def items_of(store: Store, split: str, most: int) -> tuple[list[Picture], list[Sound]]:
    """List one picture of every clip with its sound, or photos and recordings of every class."""
    images, sounds = store.images(split), store.sounds(split)
    by_class = bool((images.clip < 0).any())
    rows = np.arange(len(images)) if by_class else first_images(images)
    rows = rows[_spread(images.label[rows], most)]
    heard = _spread(sounds.label, most) if by_class else images.clip[rows].astype(int)
    names = [each["name"] for each in store.classes]
    is_world = store.manifest.get("plan", {}).get("world") == WORLD_VERSION

    def cast(facts: dict, label: int) -> list[tuple[int, bool]]:
        known = facts.get("cast", [{"class": names[label], "sounding": True}])  # a photo shows its class
        return [(names.index(member["class"]), member["sounding"]) for member in known]

    told, pictures, counts = [], [], dict.fromkeys(range(len(names)), 0)
    for k, row in enumerate(heard.tolist()):
        sounding = frozenset(c for c, plays in cast(sounds.factors(row), int(sounds.label[row])) if plays)
        caption = " and ".join(names[c] for c in sorted(sounding)) or "nobody"
        told.append(Sound(caption, sounds.audio(row), store.sample_rate, sounding, k))
    for k, row in enumerate(rows.tolist()):
        label, facts, kind = int(images.label[row]), images.factors(row), str(images.kind[row])
        counts[label] += 1
        caption = f"{names[label]} {counts[label]}" + ("" if kind in ("solo", "photo") else f", {kind}")
        own = np.flatnonzero(sounds.label[heard] == label) if by_class else np.array([k])
        picture = Picture(
            caption, names[label], images.image(row), images.objects(row),
            tuple(c for c, _ in cast(facts, label)), k,
            sound=int(own[(counts[label] - 1) % len(own)]) if len(own) else None,
            time=float(images.time[row]) if not by_class and images.time[row] >= 0 else None,
        )  # fmt: skip
        is_clip = is_world and "cast" in facts
        pictures.append(_filmed(picture, facts, store.manifest["image_size"]) if is_clip else picture)
    return pictures, told


def mixture(first: Sound, second: Sound) -> Sound:
    """Mix two sounds, equally loud, as long as the shorter one; the first one's moment stays."""
    length = min(len(first.waveform), len(second.waveform))
    parts = [sound.waveform[:length].astype(np.float32) / 32768 for sound in (first, second)]
    loud = [max(float(np.sqrt(np.mean(part**2))), 1e-9) for part in parts]
    mixed = parts[0] + parts[1] * (loud[0] / loud[1])
    wave = to_int16(mixed / max(1.0, float(np.abs(mixed).max())))
    caption = f"{first.caption} with {second.caption}"
    return Sound(caption, wave, first.rate, first.labels | second.labels, None, first.moment)


# ---------------------------------------------------------------- what a reader brings


@contextmanager
def _brought(name: str, data: bytes, fix: str) -> Iterator[str]:
    """Lend the bare name of a file; say in one sentence what is wrong with the file, and how to mend it."""
    name = PurePath(name.replace("\\", "/")).name[:80] or "the file"
    try:
        if not data:
            raise MediaError(name, "the file is empty (0 bytes)")
        if len(data) > MEGABYTES * 10**6:
            raise MediaError(name, f"the file has {len(data) / 1e6:.0f} MB, more than {MEGABYTES}")
        yield name
    except MediaError as error:
        raise MediaError(name, f"{error.reason.strip(' .')}; {fix}") from error


def photo(name: str, data: bytes, size: int) -> Picture:
    """Read a reader's photo, its shorter side brought to `size` pixels, or raise MediaError, one sentence."""
    with _brought(name, data, f"choose a JPEG or PNG picture of at most {MEGABYTES} MB") as name:
        image, *_ = open_image(name, data)
    caption = name if image.shape[0] == image.shape[1] else f"{name} (its middle square)"
    return Picture(caption, "", resize_short_side(image, size))


def recording(name: str, data: bytes, rate: int, shortest: float = SHORTEST) -> Sound:
    """Read a reader's sound of 1 to 60 s as one channel of a rate, or raise MediaError, one sentence."""
    fix = f"choose a sound of {shortest:g} to {LONGEST:g} s, as wav, flac, ogg, mp3 or m4a"
    with _brought(name, data, fix) as name:
        heard = open_audio(name, data, LONGEST)
        if len(heard.wave) < shortest * heard.rate:
            raise MediaError(name, f"lasts {len(heard.wave) / heard.rate:.2f} s")
    return Sound(name, to_int16(resample(heard.wave, heard.rate, rate)), rate)


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
        large = resize(torch.from_numpy(self.heat)[None], self.image.shape[:2])[0].numpy()
        top = large.max() if self.scale == "maximum" else 1
        return (large > threshold * top) & (top > 0)

    def iou(self, threshold: float) -> float | None:
        """Intersection over union of the prediction with the truth; None without a truth."""
        if self.truth is None:
            return None
        said = self.prediction(threshold)
        return float((said & self.truth).sum() / (said | self.truth).sum())

    def canvas(self) -> dict:
        """Return what the page draws; a mask is packed row by row, eight pixels a byte, as base64."""
        mask = None if self.truth is None else base64.b64encode(np.packbits(self.truth).tobytes()).decode()
        return {
            "title": self.title, "side": len(self.image), "image": jpeg_uri(self.image, 88),
            "grid": list(self.heat.shape), "heat": [float(f"{value:.6g}") for value in self.heat.ravel()],
            "scale": self.scale, "flat": self.flat, "mask": mask,
        }  # fmt: skip


class Found(NamedTuple):
    """What a search returns."""

    measure: str  # what the scores are
    right: frozenset[int] | None  # classes that were asked for, none where they are not known
    items: list[tuple[Picture | Sound, float]]  # with scores, the best first


class Stage:
    """Pictures, sounds and localizers, as :class:`Explorer` takes them; the split is embedded once, here."""

    def __init__(self, localizers: Mapping[str, Localizer], store: Store, split: str, *, most: int = 20):
        if not localizers or not len(store.images(split)) or not len(store.sounds(split)):
            raise ValueError(f"the explorer needs a localizer, and pictures and sounds in split {split!r}")
        self.localizers, self.names = dict(localizers), [each["name"] for each in store.classes]
        self.rate, self.size = store.sample_rate, store.manifest["image_size"]
        self.pictures, self.sounds = items_of(store, split, most)
        self.classes = sorted(set().union(*(sound.labels for sound in self.sounds)))  # that can be heard
        # Of every sound of the split as much is heard as its shortest has, so that none has an advantage.
        self.common = int(store.sounds(split).length.min()) / self.rate
        self.choose = lru_cache(KEPT)(self._choose)
        self.seen, self.heard = lru_cache(KEPT)(self._seen), lru_cache(KEPT)(self._heard)
        total = len(self.localizers) * (len(self.pictures) + len(self.sounds))
        with tqdm(total=total, desc="explorer", file=sys.stdout, delay=2, mininterval=2) as bar:
            self._vectors = {name: self._embed_all(of, bar.update) for name, of in self.localizers.items()}

    @torch.inference_mode()
    def _embed_all(self, of: Localizer, tick: Callable) -> tuple[ImageFeatures, AudioFeatures]:
        squares = [crop(picture.image, of.side) for picture in self.pictures]
        pieces = [sound.piece(of.whole or self.common, None) for sound in self.sounds]
        return _embed(of.embed_image, squares, tick), _embed(of.embed_audio, pieces, tick)

    def own_sound(self, picture: Picture) -> Sound:
        """Return the picture's own sound, to be listened to at the picture's moment."""
        if picture.sound is None:
            raise ValueError(f"{picture.caption} has no sound of its own: choose another sound")
        return replace(self.sounds[picture.sound], moment=picture.time)

    def others(self, picture: Picture) -> list[str]:
        """Return the classes that can be heard and are not in a picture."""
        return [self.names[c] for c in self.classes if c not in picture.players]

    def _choose(self, kind: str, picture: Picture, label: int) -> Sound:
        """Return "own sound", "another class", their "mixture", or "silence" as long as the sounds."""
        if kind == "silence":
            wave = np.zeros(round(self.common * self.rate), np.int16)
            return Sound(kind, wave, self.rate, frozenset())
        if kind == "own sound":
            return self.own_sound(picture)
        here = set(picture.players)
        known = [sound for sound in self.sounds if label in sound.labels and not sound.labels & here]
        known = [sound for sound in known if len(sound.labels) == 1] or known
        if not known:
            raise ValueError(f"the split has no sound of {self.names[label]} alone: choose another class")
        other = known[(picture.index or 0) % len(known)]  # another one for every picture, in turn
        return other if kind == "another class" else mixture(self.own_sound(picture), other)

    @torch.inference_mode()
    def _seen(self, name: str, picture: Picture) -> ImageFeatures:
        """Return a picture as a localizer sees it, a batch of one."""
        of = self.localizers[name]
        return of.embed_image(crop(picture.image, of.side)[None])

    @torch.inference_mode()
    def _heard(self, name: str, sound: Sound, time: float | None = None) -> AudioFeatures:
        """Return a sound as a localizer hears it, a batch of one: around a time, or as a whole."""
        of, common = self.localizers[name], None if sound.index is None else self.common
        seconds = of.whole or common if time is None else of.around(sound.seconds)
        return of.embed_audio(sound.piece(seconds, sound.moment if time is None else time).copy()[None])

    @torch.inference_mode()
    def answer(self, name: str, picture: Picture, sound: Sound, time: float | None = None) -> Answer:
        """Return a localizer's map; at a time of a clip, of the frame that is seen then."""
        of, frame = self.localizers[name], picture.at(time)
        heat = of.heat(self.seen(name, frame).cells, self.heard(name, sound, time).key)[0]
        image, truth = crop(frame.image, of.side), frame.truth(sound, of.side)
        return Answer(of.title, image, heat.float().cpu().numpy(), of.scale, truth)

    @torch.inference_mode()
    def search(
        self, name: str, frame: Picture, sound: Sound, time: float | None = None, spot: Sequence[float] = ()
    ) -> dict[str, Found]:
        """Return the best sounds for a frame, pictures for a sound and sounds for a spot, with scores."""
        of, (images, sounds), seen = self.localizers[name], self._vectors[name], self.seen(name, frame)
        pairs = of.match(seen, sounds)[0], of.match(images, self.heard(name, sound, time))[:, 0]
        found = {
            "nearest sounds": Found(of.measure, frame.labels, _best(self.sounds, pairs[0])),
            "nearest pictures": Found(of.measure, sound.labels, _best(self.pictures, pairs[1])),
        }
        if spot:
            grid = seen.cells.shape[2:]
            row, column = (min(max(int(place * n), 0), n - 1) for place, n in zip(spot, grid, strict=True))
            fits = of.fit and of.fit(seen.cells[0, :, row, column], sounds)
            found["sounds that fit this spot"] = Found(
                f"cell in row {row + 1}, column {column + 1}",
                frame.within(of.side, (row, column), grid),
                [] if fits is None else _best(self.sounds, fits),
            )
        return found


def _best(items: Sequence, scores: Tensor) -> list[tuple]:
    order = torch.argsort(scores, descending=True, stable=True)[:4].tolist()
    return [(items[k], float(scores[k])) for k in order]


# ---------------------------------------------------------------- the widget


class Explorer(anywidget.AnyWidget):
    """See where networks hear a sound in a picture, ask a spot for its sounds, and bring photos and sounds.

    Every control of the page is an attribute here: set it, and `status` states the answer.

    Parameters
    ----------
    localizers : mapping of title to Localizer
        Shown side by side.
    store, split : Store, str
        What is chosen from, and searched.
    most : int
        At most so many pictures and sounds of a class, spread evenly over the split; 0: all.
    """

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")

    picture = traitlets.Int(0).tag(sync=True)  # its number, from 0; -1 for an uploaded photo
    sound = traitlets.Enum(KINDS, "own sound").tag(sync=True)
    other = traitlets.Unicode().tag(sync=True)  # class of "another class" and of "mixture"
    time = traitlets.Float(-1.0).tag(sync=True)  # of the sound, seconds; -1: as much as each was tested on
    threshold = traitlets.Float(0.5, min=0, max=1).tag(sync=True)
    opacity = traitlets.Float(0.55, min=0, max=1).tag(sync=True)
    shown = traitlets.List(traitlets.Unicode()).tag(sync=True)  # titles of the localizers that answer
    spot = traitlets.List(traitlets.Float()).tag(sync=True)  # (y, x) in sides of the picture, or empty
    # what the page shows
    status = traitlets.Unicode().tag(sync=True)  # the answer in words, or what went wrong
    menu = traitlets.Dict().tag(sync=True)
    scene = traitlets.Dict().tag(sync=True)
    clip = traitlets.Dict().tag(sync=True)
    lists = traitlets.Dict().tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)  # rises with every answer: its words may be those of the last

    def __init__(self, localizers: Mapping[str, Localizer], store: Store, split: str, *, most: int = 20):
        self.stage = stage = Stage(localizers, store, split, most=most)
        self.split = split
        self.answers: dict[str, Answer] = {}
        self._asked = (
            self._now
        ) = ()  # what is chosen: picture and sound; what is shown: frame, sound and time
        self._photo: Picture | None = None
        self._sounds: dict[str, Sound] = {}
        self._parts: list[bytes] = []  # of the file that is on its way
        self._small = lru_cache(4096)(lambda picture: jpeg_uri(resize_short_side(picture.image, 96), 88))
        # An MP3 takes 10 ms per second of sound.
        self._mp3 = lru_cache(4096)(lambda sound, seconds: mp3_uri(sound.piece(seconds, None), sound.rate))
        # A cell may set an attribute while the reader moves a control: Jupyter has a thread for each.
        self._lock, self._busy = threading.RLock(), True
        first, titles = stage.pictures[0], list(stage.localizers)
        sound = "another class" if first.sound is None else "own sound"
        super().__init__(shown=titles, sound=sound, other=(stage.others(first) or stage.names)[0])
        self._show()
        self._busy = False
        asked = ["picture", "sound", "other", "time", "shown", "threshold", "spot"]
        self.observe(self._changed, names=asked)
        self.on_msg(self._received)

    def __repr__(self) -> str:
        count = f"{len(self.stage.pictures)} pictures and {len(self.stage.sounds)} sounds of {self.split}"
        return f"Explorer({', '.join(self.stage.localizers)}; {count})"

    # ---- from the page to the stage

    def _answer(self, change: Callable[[], None] = lambda: None) -> None:
        """Make a change and answer it, in one message to the page; where that fails the status says why."""
        with self._lock, self.hold_sync():
            self._busy = True
            try:
                change()
                self._show()
            except (ValueError, RuntimeError, OSError) as error:  # of files, stores and networks
                self.status = f"{str(error).rstrip('. ')}."
            finally:
                self._busy = False
            self.answered += 1

    def _changed(self, _change) -> None:
        with self._lock:
            if not self._busy:  # else it is an answer that changes something
                self._answer()

    def _received(self, _widget, content: dict, buffers: list) -> None:
        """Take a message of the page: a part of a file (a whole one is too big) or the wish for a film."""
        if content["type"] == "film":
            return self._answer(self._film)
        if content["part"] == 0:
            self._parts = []
        if content["part"] == len(self._parts) and sum(map(len, self._parts)) <= MEGABYTES * 10**6:
            self._parts.append(bytes(buffers[0]))
        if content["part"] + 1 == content["parts"]:
            parts, self._parts = self._parts, []
            self._answer(lambda: self._bring(content, parts))

    def _bring(self, content: dict, parts: list[bytes]) -> None:
        """Show the photo or the sound that a file holds."""
        kind, name, data = content["kind"], str(content["name"]), b"".join(parts)
        if len(parts) != content["parts"] and len(data) <= MEGABYTES * 10**6:
            raise MediaError(name, "a part of the file was lost on its way here; choose it again")
        if kind == "photo":
            self._photo, self.picture = photo(name, data, self.stage.size), PHOTO
        else:
            needed = [max(of.window, of.whole) for of in self.stage.localizers.values() if of.whole]
            self._sounds[kind] = recording(name, data, self.stage.rate, max([SHORTEST, *needed]))
            self.sound = kind

    # ---- from the stage to the page

    def _current(self) -> tuple[Picture, Sound]:
        """Return the picture and the sound that are chosen."""
        if self.picture == PHOTO and self._photo is None:
            raise ValueError("there is no uploaded photo yet: upload one, or choose a picture of the list")
        if not PHOTO <= self.picture < len(self.stage.pictures):
            raise ValueError(f"picture must be 0 to {len(self.stage.pictures) - 1}, not {self.picture}")
        picture = self._photo if self.picture == PHOTO else self.stage.pictures[self.picture]
        if self.picture == PHOTO and self.sound in ("own sound", "mixture"):  # it has none of its own
            self.sound = next(iter(self._sounds), "another class")
        if self.sound in BROUGHT:
            if self.sound not in self._sounds:
                raise ValueError(f"no sound was {self.sound} yet: upload or record one first")
            return picture, self._sounds[self.sound]
        if self.other not in self.stage.names:
            raise ValueError(f"there is no class {self.other!r}: choose one of the list")
        label, others = self.stage.names.index(self.other), self.stage.others(picture)
        if label in picture.players and others and self.sound in ("another class", "mixture"):
            self.other, label = others[0], self.stage.names.index(others[0])
        return picture, self.stage.choose(self.sound, picture, label)

    def _title(self) -> str:
        frame, sound, time = self._now
        heard = sound.caption if self.sound == "silence" else f"{self.sound} ({sound.caption})"
        return f"{frame.caption}, heard: {heard}" + ("" if time is None else f", around {time:.2f} s")

    def _show(self) -> None:
        """Answer what is chosen."""
        stage, asked = self.stage, self._current()
        if asked != self._asked:
            self.spot = self.spot if self._asked and asked[0] is self._asked[0] else []
            self.time = -1.0
        picture, sound = asked
        time = None if self.time < 0 else min(self.time, sound.seconds)
        names = [name for name in stage.localizers if name in self.shown]
        self.answers = {name: stage.answer(name, picture, sound, time) for name in names}
        self._asked, self._now = asked, (picture.at(time), sound, time)
        self.menu = self._menu()
        key = f"{id(picture)} {id(sound)} {names}"  # whose film it is
        self.scene = {"key": key, "canvases": [answer.canvas() for answer in self.answers.values()]}
        audio = "" if self.sound == "silence" else self._mp3(sound, None)
        self.clip = {"seconds": round(sound.seconds, 2), "audio": audio}
        found = {name: stage.search(name, *self._now, self.spot) for name in names}
        self.lists = self._lists(found)
        lines = [self._line(self.answers[name], best) for name, best in found.items()]
        self.status = "\n".join([f"{self._title()}.", *lines])

    def _menu(self) -> dict:
        """Return what can be chosen, and the colours of the maps."""
        stage, own = self.stage, [] if self._photo is None else [f"uploaded: {self._photo.caption}"]
        pictures = [(k, picture.caption, picture.name) for k, picture in enumerate(stage.pictures)]
        colors = matplotlib.colormaps["magma"](np.arange(256))[:, :3]
        return {
            "pictures": [(PHOTO, caption, "") for caption in own] + pictures,
            "sounds": [kind for kind in KINDS if kind not in BROUGHT or kind in self._sounds],
            "classes": [stage.names[c] for c in stage.classes], "listeners": list(stage.localizers),
            "colours": np.rint(255 * colors).astype(int).tolist(),
        }  # fmt: skip

    def _lists(self, found: dict[str, dict[str, Found]]) -> dict[str, list[dict]]:
        """Return the lists below the maps, by their headings: a row of each localizer's tiles."""
        lists = {}
        for title, searched in found.items():
            for heading, (measure, right, items) in searched.items():
                tiles = [self._tile(*item, right) for item in items]
                lists.setdefault(heading, []).append({"title": title, "measure": measure, "tiles": tiles})
        return lists

    def _tile(self, item: Picture | Sound, score: float, asked: frozenset[int] | None) -> dict:
        """Return one item of a list; `asked` are the classes that are right, none if they are not known."""
        right = bool(asked & item.labels) if asked else None
        tile, sound = {"caption": item.caption, "score": f"{score:.2g}", "right": right}, item
        if isinstance(item, Picture):
            tile["image"] = self._small(item)
            sound = None if item.time is None else self.stage.sounds[item.sound]
        if sound:
            tile["audio"] = self._mp3(sound, min(1.0, sound.seconds))
        return tile

    def _line(self, answer: Answer, found: dict[str, Found]) -> str:
        """State a localizer's peak, overlap and best match."""
        row, column, value = answer.peak
        grid = " x ".join(map(str, answer.heat.shape))
        peak = f"peak {value:.3g} in row {row + 1}, column {column + 1} of {grid}"
        peak = f"{value:.3g}, the same everywhere" if answer.flat else peak
        iou, unit = answer.iou(self.threshold), "the maximum" if answer.scale == "maximum" else answer.scale
        said = self._without_truth() if iou is None else f"IoU {iou:.2f} at {self.threshold:.2f} of {unit}"
        _, right, ((best, _), *_) = found["nearest sounds"]
        verdict = (" (right)" if best.labels & right else " (wrong)") if right else ""
        told = [peak, said, f"best match {best.caption}{verdict}"]
        if self.spot:
            fits = found["sounds that fit this spot"].items
            told.append(
                f"fits the spot best: {fits[0][0].caption}" if fits else "no sound takes part in the map"
            )
        return f"{answer.title}: {', '.join(told)}."

    def _without_truth(self) -> str:
        """Say why there is no overlap to measure."""
        frame, sound, _ = self._now
        if sound.labels is None:
            return "no IoU: what sounds here is not known"
        if not sound.labels:
            return "no IoU: nobody plays"
        why = "this picture has no mask" if frame.objects is None else "what sounds is not in the picture"
        return f"no IoU: {why}"

    def _film(self) -> None:
        """Send the maps of all moments of the sound, to be shown while it plays; None if that fails."""
        film = None
        try:
            (picture, sound), ask = self._asked, self.stage.answer
            count = min(STEPS, max(2, int(sound.seconds / STEP) + 1))
            times = np.linspace(0, sound.seconds, count).round(3).tolist()
            canvases = [[ask(name, picture, sound, t).canvas() for t in times] for name in self.answers]
            film = {"key": self.scene["key"], "times": times, "canvases": canvases}
        finally:
            self.send({"film": film})

    def still(self) -> tuple[Figure, str]:
        """Return what is shown now as a figure with its alt text, for readers without a kernel.

        The outline of what sounds is solid, that of the map above the threshold dashed, the cross is the
        highest cell.
        """
        frame, title, threshold = self._now[0], self._title(), self.threshold
        count = len(self.answers) + 1
        size = min(10, 0.9 + 2.5 * count), 3.4
        fig, axes = plt.subplots(1, count, figsize=size, layout="constrained", squeeze=False)
        axes[0, 0].imshow(frame.image)
        axes[0, 0].set_title(frame.caption, fontsize=9, **figures.PLAIN)
        axes[0, 0].axis("off")
        told = []
        for ax, answer in zip(axes[0, 1:], self.answers.values(), strict=True):
            # a map without a highest cell gets no cross
            figures.overlay(ax, answer.image, answer.shares, None if answer.flat else answer.truth)
            if answer.flat and answer.truth is not None:
                figures.contour(ax, answer.truth)
            prediction, iou = answer.prediction(threshold), answer.iou(threshold)
            if prediction.any() and not prediction.all():
                figures.contour(ax, prediction, "dashed")
            said = "no IoU" if iou is None else f"IoU {iou:.2f}"
            ax.set_title(f"{answer.title}\n{said}", fontsize=9)
            told.append(f"{answer.title} {said}")
        fig.suptitle(title, fontsize=10, **figures.PLAIN)
        looks = {
            "what sounds": {},
            f"map above {threshold:.2f} of its scale": {"linestyle": "--"},
            "highest cell": {"linestyle": "", "marker": "x"},
        }
        marks = [Line2D([], [], color="0.2", label=label, **look) for label, look in looks.items()]
        fig.legend(handles=marks, loc="outside lower center", ncols=3, fontsize=8)
        alt = (
            f"Still of the attention explorer: {title}. Beside the picture the maps of {', '.join(told)}, at "
            f"threshold {threshold:.2f}: solid is the outline of what sounds, dashed that of the map above "
            "it and a cross the highest cell."
        )
        return fig, alt
