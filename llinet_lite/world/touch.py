"""Who plays, how, and on what time grid: what all voices share.

Notebook: 00
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import synthesis as syn
from .instruments import Individual, Instrument
from .phrases import Note

CONTROL = 400  # Hz, rate at which pitch and loudness curves are computed


@dataclass(frozen=True)
class Touch:
    """How this player plays in this clip.

    Attributes
    ----------
    hard : float
        -1 (soft mallet, flesh, slack lips) to 1 (hard mallet, nail, tight lips).
    place : float
        Where a string is plucked, bowed or picked up: 0 (bridge) to 1 (middle).
    wobble : float
        0 to 1: depth of vibrato or tremolo, mistuning of paired parts.
    rate : float
        Vibrato rate, Hz.
    noises : numpy.random.Generator
        For everything that is drawn per sample, so that the draws above do
        not depend on the sample rate.
    """

    hard: float
    place: float
    wobble: float
    rate: float
    noises: np.random.Generator


@dataclass(frozen=True)
class Session:
    """One call of :func:`play`: who plays, how, and on what time grid."""

    individual: Individual
    touch: Touch
    n: int
    sample_rate: int

    @property
    def row(self) -> Instrument:
        return self.individual.instrument

    @property
    def raised(self) -> float:
        """Frequency ratio of this specimen's body to its class's: a bigger body is lower."""
        return 2.0 ** (self.individual.transposition / 12)

    @property
    def cutoff(self) -> float:
        """Frequency above which a stroke of middle strength excites less and less, Hz."""
        return 320.0 * 2.0 ** (5.0 * self.individual.brightness + 0.5 * self.touch.hard)

    def body(self, notes_low: float = 1.0) -> list[tuple[float, float, float]]:
        """Formants (Hz, gain, Q) of the resonating body, scaled to class length and specimen size."""
        table = BODIES.get((self.row.exciter, self.row.resonator)) or BODIES.get(self.row.resonator, ())
        scale = self.raised * (self.row.length**-1.4 if self.row.resonator in BOXES else 1.0)
        return [(centre * scale * notes_low, gain, q) for centre, gain, q in table]


def hertz(midi):
    """Frequency of a MIDI number, 69 -> 440 Hz."""
    return 440.0 * 2.0 ** ((np.asarray(midi) - 69) / 12)


# Formants (Hz, gain, Q): for BOXES at a length of 1 m, scaled by length ** -1.4, which puts the air and
# top modes of guitar, mandolin, violin, cello and bass near those measured (F & R, chapters 9 and 10)
BOXES = ("neck and box", "box and strings", "frame and strings")
BODIES = {
    ("plucked", "neck and box"): [(102, 2.5, 12), (205, 2.5, 15), (390, 1.5, 12), (1000, 0.7, 2)],
    ("bowed", "neck and box"): [(137, 2.0, 12), (230, 2.5, 15), (275, 2.5, 15), (1250, 1.6, 1.6)],
    "neck and membrane": [(290, 2.0, 8), (462, 1.5, 8), (1100, 2.5, 2), (2600, 3.5, 1.5)],
    "box and strings": [(130, 1.2, 8), (290, 1.2, 8), (900, 0.6, 3)],
    "frame and strings": [(260, 1.0, 5), (520, 0.8, 5)],
    "solid body": [(2600, 0.8, 1.5)],
    ("single reed", "cylindrical tube"): [(1500, 0.6, 2), (3000, 0.5, 3)],
    ("single reed", "conical tube"): [(620, 1.6, 2.5), (1250, 1.2, 3), (2800, 1.2, 3)],
    ("lip reed", "cylindrical tube"): [(1300, 1.2, 1.5), (2600, 0.8, 2)],
    ("lip reed", "conical tube"): [(420, 1.5, 1.8), (850, 0.4, 2.5)],
    ("bag", "conical tube"): [(1100, 2.5, 2.5), (2300, 3.0, 3), (3600, 1.5, 3)],
    "reed bank": [(800, 0.8, 1.5), (2200, 1.2, 2)],
}


def bodies(notes: tuple[Note, ...]) -> dict[float, list[Note]]:
    """Notes by pitch: each pitch is one string, bar, skin or bell, struck again and again."""
    bodies: dict[float, list[Note]] = {}
    for note in sorted(notes, key=lambda note: note.onset):
        bodies.setdefault(round(note.midi, 3), []).append(note)
    return bodies


def strokes(s: Session, modes: syn.Modes, notes: list[Note], brighter: float = 1.0) -> list:
    """Strokes for :func:`synthesis.ring`: the harder, the brighter; each lands a little elsewhere."""
    out = []
    for note in notes:
        cutoff = brighter * s.cutoff * (0.35 + 0.9 * note.velocity)
        force = note.velocity / (1.0 + (modes.frequency / cutoff) ** 2)
        out.append((note.onset, note.onset + note.duration, force))
    return out


def knocks(s: Session, notes: tuple[Note, ...], low: float, high: float, seconds: float) -> np.ndarray:
    """Noise of every attack: a burst of unit RMS per note that dies within ``seconds``; louder with wear."""
    out, length = np.zeros(s.n), max(int(seconds * s.sample_rate), 2)
    pool = syn.noise(8 * length, low, high, s.sample_rate, s.touch.noises)
    shape = np.exp(-5.0 * np.arange(length) / length)
    for k, note in enumerate(notes):
        start = int(note.onset * s.sample_rate)
        burst = (0.2 + 1.8 * s.individual.wear) * note.velocity * shape
        burst = burst * pool[(k % 7) * length : (k % 7 + 1) * length]
        out[start : start + length] += burst[: s.n - start]
    return out


def samples(s: Session, start: float, stop: float) -> tuple[int, int]:
    """First sample and end sample of a span in seconds, inside the clip."""
    return min(int(np.ceil(start * s.sample_rate)), s.n), int(np.clip(stop * s.sample_rate, 0, s.n))


def fading(t: np.ndarray, end: float, rate: float = 45.0) -> np.ndarray:
    """1 until ``end`` (s), then an exponential at ``rate`` (1/s), (n,); 0 at the last sample."""
    return np.exp(-rate * np.maximum(t - end, 0.0)) * np.minimum(1.0, (t[-1] - t) / 0.004)
