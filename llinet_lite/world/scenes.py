"""Scenes of Bandstand-32: who plays where and when, to be seen and heard at any time.

A :class:`Scene` fixes every decision by its name, seed and kind, from random
streams that are separate for each matter (who, where, backdrop, clutter,
camera, room, phrase, voice), and draws nothing else: no stream but the
specimen's knows the class, and picture and sound share nothing but the
specimen and its notes. Frames, masks and sound are computed on demand.

Notebook: 00
"""

from __future__ import annotations

import operator
import zlib
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from . import room, stage
from .casting import KINDS, cast
from .drawings import Layers, draw
from .instruments import instrument
from .voices import Note, motion, phrase, play

FRAME_RATE = 25  # frames per second
BALANCE = 3.0  # dB, the voices of a duet differ by up to twice this
_STREAMS = ("who", "where", "backdrop", "clutter", "camera", "room", "sensor", "record", "depth")
_STREAMS_OF_ONE = ("specimen", "look", "phrase", "voice", "balance")


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
    name : str
        Class that plays (kind "silence": that is seen).
    seed : int
        Any whole number >= 0.
    kind : str
        "solo": one instrument, seen and heard. "duet": two, both seen and
        heard. "distractor": the second is seen and silent. "offscreen": the
        named one is heard and not seen, the second seen and silent.
        "silence": seen, not played.
    partner : str, optional
        Class of the second instrument; by default another one of the same
        pool, seen or unseen classes.
    seconds : float
        Length, 0.5 to 60: a phrase needs half a second.
    imprint : float
        Strength of the recorder's trace (:func:`llinet_lite.world.room.imprint`), 0 is none.

    Attributes
    ----------
    cast : tuple of Member
        The named instrument first. Object k + 1 of :meth:`objects` is cast[k].
    room : Room
    camera : Camera
    backdrop : str
        One of :data:`llinet_lite.world.stage.BACKDROPS`.
    clutter : tuple of Thing

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

    Notebook: 00
    """

    def __init__(self, name, seed, kind="solo", *, partner=None, seconds=3.0, imprint=0.0):
        if kind not in KINDS:
            raise ValueError(f"unknown kind of scene {kind!r}; it must be one of {', '.join(KINDS)}")
        self.name, self.seed, self.kind = instrument(name).name, operator.index(seed), kind
        self.seconds, self.strength = float(seconds), float(imprint)
        if self.seed < 0:
            raise ValueError(f"the seed of a scene must be a whole number >= 0, not {seed}")
        if not 0.5 <= self.seconds <= 60:
            raise ValueError(f"a scene lasts 0.5 to 60 s, not {seconds}: a phrase needs half a second")
        if not 0 <= self.strength <= 10:
            raise ValueError(f"the strength of the imprint is between 0 (none) and 10, not {imprint}")
        self.cast = cast(self.name, kind, partner, self._rng)
        poses = tuple((m.pose.x, m.pose.y, m.pose.scale) for m in self.cast if m.visible)
        self.room = room.room(self._rng("room"))
        self.camera = stage.camera(self._rng("camera"))
        self.backdrop = str(self._rng("backdrop").choice(stage.BACKDROPS))
        self.clutter = stage.clutter(self._rng("clutter"), poses)
        self._sets, self._layers, self._sounds = {}, {}, {}

    def _rng(self, stream: str, *index: int) -> np.random.Generator:
        """Open a random stream; the same arguments always open the same one at its start."""
        names = _STREAMS if not index or stream == "sensor" else _STREAMS_OF_ONE
        key = (names is _STREAMS_OF_ONE, names.index(stream), *index)
        entropy = (self.seed, zlib.crc32(self.name.encode()), KINDS.index(self.kind))
        return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=tuple(map(int, key))))

    # -------------------------------------------------------------- knowledge

    @cached_property
    def notes(self) -> tuple[tuple[Note, ...], ...]:
        """What each of the cast plays; empty for those who are silent."""
        return tuple(
            tuple(phrase(m.individual, self.seconds, self._rng("phrase", k))) if m.sounding else ()
            for k, m in enumerate(self.cast)
        )

    @property
    def factors(self) -> dict:
        """Everything that was decided, as plain numbers and strings that JSON takes.

        ``class``, ``kind``, ``seed``, ``seconds``, ``imprint``; of the named
        instrument ``size``, ``brightness``, ``wear``, ``hue`` and ``pose``
        (x, y, scale in canvas sides, angle in radians, mirrored; None if not
        visible); ``level_db`` and ``noise_db`` (RMS, dBFS; in kind "silence"
        nobody plays, and the sound is noise at ``noise_db``: ``level_db`` is
        drawn and heard nowhere), ``room``, ``background``, ``camera``,
        ``clutter`` (number of things) and ``cast``, the same for each of the
        cast. Nothing is rendered.
        """
        players = [member.factors for member in self.cast]
        lead = {key: players[0][key] for key in ("size", "brightness", "wear", "hue", "pose")}
        return {
            "class": self.name,
            "kind": self.kind,
            "seed": self.seed,
            "seconds": self.seconds,
            "imprint": self.strength,
            **lead,
            "level_db": self.room.level_db,
            "noise_db": self.room.noise_db,
            "room": asdict(self.room),
            "background": self.backdrop,
            "camera": asdict(self.camera),
            "clutter": len(self.clutter),
            "cast": players,
        }

    # ---------------------------------------------------------------- picture

    def frame(self, t: float, size: int) -> np.ndarray:
        """Show the scene at time t.

        Parameters
        ----------
        t : float
            Seconds, 0 to ``seconds``; the frame of the 25 fps grid that is on
            screen then: frame floor(25 t).
        size : int
            Side of the picture, pixels, 16 to 2048.

        Returns
        -------
        (size, size, 3) uint8 array
            RGB, as a camera sees it: light, blur, sensor noise, JPEG.

        Raises
        ------
        ValueError
            If t or size is out of range.
        """
        index, size = self._index(t), _size(size)
        back, gain = self._set(size)
        picture, shown = back.copy(), self._draw(index, size)
        for k in self._depth:
            if shown[k] is not None:
                stage.blend(picture, shown[k].behind)
        for k in self._depth:
            if shown[k] is not None:
                stage.blend(picture, shown[k].instrument)
                stage.blend(picture, shown[k].front)
        for thing in self.clutter:
            if thing.front:
                stage.put(picture, thing)
        return stage.develop(picture, self.camera, gain, self._rng("sensor", index))

    def objects(self, t: float, size: int) -> np.ndarray:
        """Mark which instrument is seen where at time t.

        A pixel belongs to an instrument if more than half of it shows that
        instrument, after all that stands before it (hands, bow, another
        player's instrument, clutter). Drawn at this size, not resized.

        Parameters
        ----------
        t, size
            As for :meth:`frame`.

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
                stage.put(cover, thing)
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

        Parameters
        ----------
        t, size
            As for :meth:`frame`.

        Returns
        -------
        (size, size) bool array
            Those pixels of :meth:`objects` whose instrument is one that is
            played in this scene; nothing for kinds "offscreen" and "silence".
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
            rng.choice(stage.BACKDROPS)  # already drawn
            back = stage.backdrop(self.backdrop, size, rng)
            for thing in self.clutter:
                if not thing.front:
                    stage.put(back, thing)
            self._sets[size] = back, stage.light(self.camera, size)
        return self._sets[size]

    def _draw(self, index: int, size: int) -> tuple[Layers | None, ...]:
        """Layers of each of the cast in one frame, None if not visible; the latest frame is kept."""
        if (index, size) not in self._layers:
            self._layers = {
                (index, size): tuple(
                    draw(
                        m.individual,
                        m.pose,
                        motion(m.individual, self.notes[k], index / FRAME_RATE),
                        size,
                        self._rng("look", k),
                    )
                    if m.visible
                    else None
                    for k, m in enumerate(self.cast)
                )
            }
        return self._layers[index, size]

    # ------------------------------------------------------------------ sound

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

        Raises
        ------
        ValueError
            If the times lie outside the scene, or the rate is out of range.
        """
        if not 0 <= t0 < t1 <= self.seconds + 1e-9:
            raise ValueError(
                f"cannot cut {t0} to {t1} s: the scene lasts from 0 to {self.seconds} s, "
                "and the end must come after the start"
            )
        if not 8000 <= sample_rate <= 192_000:
            raise ValueError(f"the sample rate must be between 8000 and 192000 Hz, not {sample_rate}")
        if sample_rate not in self._sounds:
            self._sounds[sample_rate] = self._record(int(sample_rate))
        return self._sounds[sample_rate][round(t0 * sample_rate) : round(t1 * sample_rate)]

    def _record(self, sample_rate: int) -> np.ndarray:
        """Play and record the whole scene; (round(seconds * sample_rate),) int16."""
        dry = np.zeros(round(self.seconds * sample_rate))
        for k, member in enumerate(self.cast):
            if member.sounding:
                voice = play(
                    member.individual, self.notes[k], self.seconds, sample_rate, self._rng("voice", k)
                )
                gain_db = self._rng("balance", k).uniform(-BALANCE, BALANCE)
                dry += voice * 10 ** (gain_db / 20) / (np.sqrt(np.mean(voice**2)) + 1e-12)
        sound = room.record(dry, self.room, sample_rate, self._rng("record"))
        if self.strength:
            sound = sound + room.imprint(self.seconds, sample_rate, self.strength)
        sound = np.clip(np.round(32767 * sound), -32768, 32767).astype(np.int16)
        sound.flags.writeable = False
        return sound


def clip(
    name: str,
    seed: int,
    *,
    kind: str = "solo",
    size: int = 256,
    sample_rate: int = 48000,
    seconds: float = 3.0,
) -> Clip:
    """Make one clip: a frame, its mask and the sound.

    Parameters
    ----------
    name : str
        One of the 32 classes.
    seed : int
        The same name, seed and kind give the same clip.
    kind : str
        One of KINDS, see :class:`Scene`.
    size : int
        Side of the picture, pixels.
    sample_rate : int
        Hz.
    seconds : float
        Length of the sound; the frame is the one on screen in its middle.

    Returns
    -------
    Clip
        ``image``: (size, size, 3) uint8, RGB. ``waveform``: (n,) int16 with
        n = round(seconds * sample_rate), full scale is 32767. ``mask``:
        (size, size) bool, where the sounding instrument is seen (nothing, if
        none is). ``factors``: dict, see :attr:`Scene.factors`.

    Raises
    ------
    KeyError, ValueError
        As for :class:`Scene`.

    Examples
    --------
    >>> clip("banjo", 0, size=64, sample_rate=16000).waveform.shape
    (48000,)

    Notebook: 00
    """
    scene = Scene(name, seed, kind, seconds=seconds)
    middle = scene.seconds / 2
    return Clip(
        image=scene.frame(middle, size),
        waveform=scene.audio(0, scene.seconds, sample_rate).copy(),  # the scene's own is read-only
        mask=scene.mask(middle, size),
        factors=scene.factors,
    )


def _size(size: int) -> int:
    if not 16 <= operator.index(size) <= 2048:
        raise ValueError(f"a picture is 16 to 2048 pixels wide, not {size}")
    return operator.index(size)
