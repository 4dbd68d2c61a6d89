"""Scenes of Bandstand-32: who plays where and when, to be seen and heard at any time.

A :class:`Scene` fixes every decision by its name, seed and kind, from random streams that are separate for
each matter (who, where, backdrop, clutter, camera, room, phrase, voice), and draws nothing else: no stream
but the specimen's knows the class, and image and audio share nothing but the specimen and its notes. A
network could find a sounding instrument without listening, were it always in the middle, so positions are
spread evenly. Frames, masks and audio are computed on demand.
Notebook: 00
"""

from __future__ import annotations

import itertools
import operator
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from . import room, scenery
from .drawings import Layers, Pose, draw
from .instruments import SEEN, UNSEEN, Individual, Instrument, individual, instrument
from .voices import Note, motion, phrase, play

FRAME_RATE = 25  # frames per second
BALANCE = 3.0  # dB, the voices of a duet differ by up to twice this
KINDS = ("solo", "duet", "distractor", "offscreen", "silence")
SCALES = (0.34, 0.74)  # longest side of an instrument, canvas sides
MARGIN = 0.43  # an instrument's center stays this share of its longest side inside the canvas
APART = 0.48  # two instruments' centers are at least this share of the sum of their longest sides apart
TURN = 0.45  # radians, greatest turn to either side
_STREAMS = ("who", "where", "backdrop", "clutter", "camera", "room", "sensor", "record", "depth")
_STREAMS_OF_ONE = ("specimen", "look", "phrase", "voice", "balance")


# ----------------------------------------------------------------------------------------------- the cast


@dataclass(frozen=True)
class Member:
    """One of the cast: a class, its specimen, and its pose (None if it is not visible)."""

    name: str
    sounding: bool
    visible: bool
    individual: Individual
    pose: Pose | None

    @property
    def factors(self) -> dict:
        """Class, role, specimen and pose as plain numbers and strings."""
        return {
            "class": self.name,
            "sounding": self.sounding,
            "visible": self.visible,
            **{key: getattr(self.individual, key) for key in ("size", "brightness", "wear", "hue")},
            "pose": asdict(self.pose) if self.visible else None,
        }


def cast(
    row: Instrument, kind: str, partner: str | Instrument | None, stream: Callable
) -> tuple[Member, ...]:
    """Cast a scene; ``stream`` opens a random stream by name (and by member)."""
    rows = [row]
    if kind in ("duet", "distractor", "offscreen"):
        rows.append(_partner(row, partner, stream("who")))
    elif partner is not None:
        raise ValueError(f"a scene of kind {kind!r} has no partner, but {partner!r} was given")
    sounding = {"duet": (True, True), "silence": (False,)}.get(kind, (True, False))
    visible = (kind != "offscreen", True)[: len(rows)]
    poses = iter(place(sum(visible), stream("where")))
    members = []
    for k, each in enumerate(rows):
        one = individual(each, stream("specimen", k))
        members.append(Member(each.name, sounding[k], visible[k], one, next(poses) if visible[k] else None))
    return tuple(members)


def place(count: int, rng: np.random.Generator) -> tuple[Pose, ...]:
    """Draw where instruments stand, how big they are seen, how they are turned.

    One alone is uniform along x and y and log-uniform in scale. Two are drawn anew until they are far enough
    apart, which makes them smaller on average.
    """
    while True:
        poses = []
        for _ in range(count):
            scale = SCALES[0] * (SCALES[1] / SCALES[0]) ** rng.random()
            sides, (u, v) = rng.choice((-1, 1), 2), rng.random(2)
            x, y = 0.5 + sides[0] * _offset(scale, u), 0.5 + sides[1] * _offset(scale, v)
            angle, mirrored = rng.uniform(-TURN, TURN), rng.random() < 0.5
            poses.append(Pose(float(x), float(y), float(scale), float(angle), bool(mirrored)))
        pairs = itertools.combinations(poses, 2)
        if all(np.hypot(a.x - b.x, a.y - b.y) - APART * (a.scale + b.scale) >= 0 for b, a in pairs):
            return tuple(poses)


def _partner(row: Instrument, partner: str | Instrument | None, rng: np.random.Generator) -> Instrument:
    if partner is not None:
        if (other := instrument(partner)).name == row.name:
            raise ValueError(f"the partner of {row.name!r} must be of another class")
        return other
    pool = SEEN if row.seen else UNSEEN
    return instrument(str(rng.choice([other.name for other in pool if other.name != row.name])))


def _offset(scale: float, u: float) -> float:
    """Distance from the middle of the canvas along one axis, for uniform u in [0, 1).

    Were each instrument placed uniformly where it fits, the big ones would crowd the middle. Instead the
    density of the distance r, given the reach R(scale) = 1/2 - MARGIN scale, is A'(r) / A(R) on [0, R], with
    A such that over log-uniform scales r is uniform up to the greatest reach, R1: with P the distribution of
    R, d ln A / dr = 1 / (r - R1 P(r)).
    """
    reach = 0.5 - MARGIN * scale
    return float(np.interp(np.interp(reach, _REACH, _LOG_A) + np.log(max(u, 1e-9)), _LOG_A, _REACH))


def _reach_table() -> tuple[np.ndarray, np.ndarray]:
    """ln A over r, for :func:`_offset`."""
    widest = 0.5 - MARGIN * SCALES[0]
    r = widest * np.concatenate([np.geomspace(1e-9, 0.2, 500), 1 - np.geomspace(0.8, 1e-6, 4000)[1:]])
    scale = np.minimum((0.5 - r) / MARGIN, SCALES[1])
    share = 1 - np.log(scale / SCALES[0]) / np.log(SCALES[1] / SCALES[0])  # P(r)
    slope = 1 / (r - widest * share)
    steps = np.diff(r) * np.sqrt(slope[1:] * slope[:-1])
    return r, np.concatenate([[0.0], np.cumsum(steps)])


_REACH, _LOG_A = _reach_table()


# ---------------------------------------------------------------------------------------------- the scene


@dataclass(frozen=True)
class Clip:
    """A frame, the sound around it, and what there is to know about them; see :func:`clip`."""

    image: np.ndarray
    waveform: np.ndarray
    mask: np.ndarray
    factors: dict


class Scene:
    """One recorded scene, with ground truth.

    Parameters
    ----------
    name : str or Instrument
        Class that plays (kind "silence": that is seen): one of the 32 by name, or any row.
    seed : int
        Any whole number >= 0.
    kind : str
        "solo": one instrument, seen and heard. "duet": two, both seen and heard. "distractor": the second is
        seen and silent. "offscreen": the named one is heard and not seen, the second seen and silent.
        "silence": seen, not played.
    partner : str or Instrument, optional
        Class of the second instrument; by default one of the named classes, seen or unseen as the first is.
    seconds : float
        Length, 0.5 to 60: a phrase needs half a second.
    imprint : float
        Strength of the recorder's trace (:func:`llinet_lite.world.room.imprint`), 0 is none, at most 10.

    Attributes
    ----------
    cast : tuple of Member
        The named instrument first. Object k + 1 of :meth:`objects` is cast[k].
    room, camera, backdrop, clutter
        Where it is recorded, and what is seen of it.

    Raises
    ------
    KeyError
        If a class is unknown.
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> scene = Scene("cello", 7)
    >>> scene.frame(1.5, 128).shape, scene.audio(1.0, 2.0, 16000).shape
    ((128, 128, 3), (16000,))
    """

    def __init__(self, name, seed, kind="solo", *, partner=None, seconds=3.0, imprint=0.0):
        if kind not in KINDS:
            raise ValueError(f"unknown kind of scene {kind!r}; it must be one of {', '.join(KINDS)}")
        self.instrument, self.seed, self.kind = instrument(name), operator.index(seed), kind
        self.name = self.instrument.name
        self.seconds, self.strength = float(seconds), float(imprint)
        if self.seed < 0:
            raise ValueError(f"the seed of a scene must be a whole number >= 0, not {seed}")
        if not 0.5 <= self.seconds <= 60:
            raise ValueError(f"a scene lasts 0.5 to 60 s, not {seconds}: a phrase needs half a second")
        if not 0 <= self.strength <= 10:
            raise ValueError(f"the strength of the imprint is between 0 (none) and 10, not {imprint}")
        self.cast = cast(self.instrument, kind, partner, self._rng)
        self.room = room.room(self._rng("room"))
        self.camera = scenery.camera(self._rng("camera"))
        self.backdrop = str(self._rng("backdrop").choice(scenery.BACKDROPS))
        self.clutter = scenery.clutter(self._rng("clutter"), [m.pose for m in self.cast if m.visible])
        self._sets, self._layers, self._sounds = {}, {}, {}

    def _rng(self, stream: str, *index: int) -> np.random.Generator:
        """Open a random stream; the same arguments always open the same one at its start."""
        names = _STREAMS if not index or stream == "sensor" else _STREAMS_OF_ONE
        key = (names is _STREAMS_OF_ONE, names.index(stream), *index)
        entropy = (self.seed, zlib.crc32(self.name.encode()), KINDS.index(self.kind))
        return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=tuple(map(int, key))))

    @cached_property
    def notes(self) -> tuple[tuple[Note, ...], ...]:
        """What each of the cast plays; empty for those who are silent."""
        streams = [self._rng("phrase", k) for k in range(len(self.cast))]
        pairs = zip(self.cast, streams, strict=True)
        return tuple(phrase(m.individual, self.seconds, rng) if m.sounding else () for m, rng in pairs)

    @property
    def factors(self) -> dict:
        """Everything that was decided, as plain numbers and strings that JSON takes; nothing is rendered.

        ``class``, ``kind``, ``seed``, ``seconds``, ``imprint``; of the named instrument ``size``,
        ``brightness``, ``wear``, ``hue`` and ``pose`` (x, y, scale in canvas sides, angle in radians,
        mirrored; None if not visible); ``level_db`` and ``noise_db`` (RMS, dBFS; in kind "silence" the sound
        is noise at ``noise_db``), ``room``, ``background``, ``camera``, ``clutter`` (number of things) and
        ``cast``, the same for each of the cast.
        """
        players = [member.factors for member in self.cast]
        lead = {key: players[0][key] for key in ("size", "brightness", "wear", "hue", "pose")}
        return {
            "class": self.name, "kind": self.kind, "seed": self.seed, "seconds": self.seconds,
            "imprint": self.strength, **lead, "level_db": self.room.level_db, "noise_db": self.room.noise_db,
            "room": asdict(self.room), "background": self.backdrop, "camera": asdict(self.camera),
            "clutter": len(self.clutter), "cast": players,
        }  # fmt: skip

    def frame(self, t: float, size: int) -> np.ndarray:
        """Show the scene at time t.

        Parameters
        ----------
        t : float
            Seconds, 0 to ``seconds``; shown is frame floor(25 t) of the 25 fps grid.
        size : int
            Side of the picture, pixels, 16 to 2048.

        Returns
        -------
        (size, size, 3) uint8 array
            RGB, as a camera sees it: light, blur, sensor noise, JPEG.
        """
        index, size = self._index(t), _size(size)
        back, gain = self._set(size)
        picture, shown = back.copy(), self._draw(index, size)
        for k in self._depth:
            if shown[k] is not None:
                scenery.blend(picture, shown[k].behind)
        for k in self._depth:
            if shown[k] is not None:
                scenery.blend(picture, shown[k].instrument)
                scenery.blend(picture, shown[k].front)
        for thing in self.clutter:
            if thing.front:
                scenery.put(picture, thing)
        return scenery.develop(picture, self.camera, gain, self._rng("sensor", index))

    def objects(self, t: float, size: int) -> np.ndarray:
        """Mark which instrument is seen where at time t.

        A pixel belongs to an instrument if more than half of it shows that instrument, after all that stands
        before it (hands, bow, another player's instrument, clutter). Drawn at this size, not resized.

        Returns
        -------
        (size, size) uint8 array
            0 is background, k + 1 is cast[k].
        """
        index, size = self._index(t), _size(size)
        shown, marks = self._draw(index, size), np.zeros((size, size), np.uint8)
        cover = np.zeros((size, size, 4), np.uint8)
        for thing in self.clutter:
            if thing.front:
                scenery.put(cover, thing)
        free = 255.0 - cover[..., 3]  # what is left to see, 0 to 255, from front to back
        for k in reversed(self._depth):
            if shown[k] is not None:
                free *= 1 - shown[k].front[..., 3] / 255
                alpha = shown[k].instrument[..., 3] / 255
                marks[free * alpha > 127] = k + 1
                free *= 1 - alpha
        return marks

    def mask(self, t: float, size: int) -> np.ndarray:
        """Mark where a sounding instrument is seen at time t.

        Returns
        -------
        (size, size) bool array
            Those pixels of :meth:`objects` whose instrument is one that is played in this scene; nothing for
            kinds "offscreen" and "silence".
        """
        sounding = [k + 1 for k, member in enumerate(self.cast) if member.sounding and member.visible]
        return np.isin(self.objects(t, size), sounding)

    @cached_property
    def _depth(self) -> tuple[int, ...]:
        """Order of the cast from back to front."""
        return tuple(int(k) for k in self._rng("depth").permutation(len(self.cast)))

    def _index(self, t: float) -> int:
        if not -1e-9 <= t <= self.seconds + 1e-9:
            raise ValueError(f"there is no frame at {t} s: the scene lasts from 0 to {self.seconds} s")
        return min(max(int(t * FRAME_RATE + 1e-6), 0), int(np.ceil(self.seconds * FRAME_RATE - 1e-6)) - 1)

    def _set(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Backdrop with the clutter behind, (size, size, 3) uint8, and the light on it; once per size."""
        if size not in self._sets:
            rng = self._rng("backdrop")
            rng.choice(scenery.BACKDROPS)  # already drawn
            back = scenery.backdrop(self.backdrop, size, rng)
            for thing in self.clutter:
                if not thing.front:
                    scenery.put(back, thing)
            self._sets[size] = back, scenery.light(self.camera, size)
        return self._sets[size]

    def _draw(self, index: int, size: int) -> tuple[Layers | None, ...]:
        """Layers of each of the cast in one frame, None if not visible; the latest frame is kept."""
        if (index, size) not in self._layers:
            shown: list[Layers | None] = [None] * len(self.cast)
            for k, m in enumerate(self.cast):
                if m.visible:
                    move = motion(m.individual, self.notes[k], index / FRAME_RATE)
                    shown[k] = draw(m.individual, m.pose, move, size, self._rng("look", k))
            self._layers = {(index, size): tuple(shown)}
        return self._layers[index, size]

    def audio(self, t0: float, t1: float, sample_rate: int) -> np.ndarray:
        """Cut the recording.

        Parameters
        ----------
        t0, t1 : float
            Start and end, seconds, 0 <= t0 < t1 <= ``seconds``.
        sample_rate : int
            Hz, 8000 to 192000. Notes, room and level are the same at every rate.

        Returns
        -------
        (n,) int16 array
            Samples round(t0 * sample_rate) to round(t1 * sample_rate).
        """
        if not 0 <= t0 < t1 <= self.seconds + 1e-9:
            raise ValueError(f"cannot cut {t0} to {t1} s: the scene lasts from 0 to {self.seconds} s")
        if not 8000 <= sample_rate <= 192_000:
            raise ValueError(f"the sample rate must be between 8000 and 192000 Hz, not {sample_rate}")
        if sample_rate not in self._sounds:
            self._sounds[sample_rate] = self._record(int(sample_rate))
        return self._sounds[sample_rate][round(t0 * sample_rate) : round(t1 * sample_rate)]

    def _record(self, sample_rate: int) -> np.ndarray:
        """Play and record the whole scene; (round(seconds * sample_rate),) int16."""
        dry = np.zeros(round(self.seconds * sample_rate))
        for k, m in enumerate(self.cast):
            if m.sounding:
                voice = play(m.individual, self.notes[k], self.seconds, sample_rate, self._rng("voice", k))
                gain_db = self._rng("balance", k).uniform(-BALANCE, BALANCE)
                dry += voice * 10 ** (gain_db / 20) / (np.sqrt(np.mean(voice**2)) + 1e-12)
        sound = room.record(dry, self.room, sample_rate, self._rng("record"))
        if self.strength:
            sound = sound + room.imprint(self.seconds, sample_rate, self.strength)
        sound = np.clip(np.round(32767 * sound), -32768, 32767).astype(np.int16)
        sound.flags.writeable = False
        return sound


def clip(name: str | Instrument, seed: int, *, kind="solo", size=256, sample_rate=48000, seconds=3.0) -> Clip:
    """Make one clip: a frame, its mask and the sound.

    Parameters
    ----------
    name, seed, kind, seconds
        As for :class:`Scene`: the same name, seed and kind give the same clip.
    size : int
        Side of the image, pixels.
    sample_rate : int
        Hz.

    Returns
    -------
    Clip
        ``image``: (size, size, 3) uint8, RGB, the frame on screen in the middle of the sound. ``waveform``:
        (n,) int16 with n = round(seconds * sample_rate), full scale is 32767. ``mask``: (size, size) bool,
        where the sounding instrument is seen (nothing, if none is). ``factors``: dict, see
        :attr:`Scene.factors`.

    Examples
    --------
    >>> clip("banjo", 0, size=64, sample_rate=16000).waveform.shape
    (48000,)
    """
    scene = Scene(name, seed, kind, seconds=seconds)
    middle = scene.seconds / 2
    waveform = scene.audio(0, scene.seconds, sample_rate).copy()  # the scene's own is read-only
    return Clip(scene.frame(middle, size), waveform, scene.mask(middle, size), scene.factors)


def sheet(
    rows: Sequence[str | Instrument], columns: int = 8, *, seed: int = 0, size: int = 128
) -> np.ndarray:
    """One picture of many classes, row by row, (height, columns * size, 3) uint8; the rest of it is black."""
    tiles = [Scene(row, seed).frame(1.5, size) for row in rows]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    lines = [np.concatenate(tiles[k : k + columns], axis=1) for k in range(0, len(tiles), columns)]
    return np.concatenate(lines)


def _size(size: int) -> int:
    if not 16 <= operator.index(size) <= 2048:
        raise ValueError(f"an image is 16 to 2048 pixels wide, not {size}")
    return operator.index(size)
