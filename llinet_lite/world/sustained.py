"""Voices that are fed as long as they sound: bows, reeds, lips, air jets, bellows and bags.

Notebook: 00
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import synthesis as syn
from .phrases import Note
from .touch import CONTROL, Session, hertz, knocks, samples

LEVELS = np.linspace(0.0, 1.0, 6)  # loudnesses at which spectra are tabulated
# exciter: attack s, release s, vibrato semitones, slide-in semitones, unsteadiness semitones
HABITS = {
    "bowed": (0.07, 0.06, 0.28, 0.25, 0.03),
    "single reed": (0.035, 0.035, 0.10, 0.15, 0.02),
    "lip reed": (0.035, 0.045, 0.10, 0.35, 0.03),
    "air jet": (0.055, 0.05, 0.18, 0.10, 0.03),
    "free reed": (0.04, 0.04, 0.04, 0.30, 0.01),
    "bag": (0.012, 0.012, 0.0, 0.0, 0.01),
}
Spectra = Callable[[Session, np.ndarray], np.ndarray]


def _curves(s: Session, note: Note, k: int, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequency (Hz) and loudness (0 to 1) of one note on a grid of times (s) after its onset."""
    attack, release, vibrato, scoop, drift = HABITS[s.row.exciter]
    natural = s.row.parts == 1  # no keys, no valves: the lips alone find the note, and slip
    attack = attack * (1.0 - 0.4 * s.touch.hard) * (0.7 if note.duration < 0.2 else 1.0)
    depth = vibrato * s.touch.wobble * np.clip((grid - 0.12) / 0.25, 0.0, 1.0)
    semitones = depth * np.sin(2 * np.pi * s.touch.rate * (note.onset + grid))
    semitones -= scoop * (3.0 if natural else 1.0) * ((k % 3 == 0) or natural) * np.exp(-grid / 0.035)
    wander = np.sin(2 * np.pi * 1.7 * (note.onset + grid) + k) + np.sin(2 * np.pi * 4.3 * grid + 2.0 * k)
    semitones += drift * (4.0 if natural else 1.0) * wander
    rise = np.clip(grid / attack, 0.0, 1.0)
    fall = np.clip((note.duration + release - grid) / release, 0.0, 1.0)
    swell = 0.86 + 0.14 * np.sin(np.pi * np.clip(grid / max(note.duration, 0.05), 0, 1))
    if s.row.exciter == "lip reed":  # the tongue lets go: louder, brighter for a moment
        swell = 0.82 + 0.18 * np.exp(-grid / 0.08)
    if s.row.exciter == "free reed" and s.row.length < 0.2:  # cupped hands open and close
        swell = swell * (1 - 0.45 * s.touch.wobble * (0.5 + 0.5 * np.sin(2 * np.pi * s.touch.rate * grid)))
    level = note.velocity * swell * np.sin(0.5 * np.pi * np.minimum(rise, fall)) ** 2
    return float(hertz(note.midi)) * 2.0 ** (semitones / 12), level


def _line(s: Session, notes: tuple[Note, ...], spectra: Spectra, cents: float = 0.0):
    """A line of notes from wavetables that brighten with loudness: signal (n,) and its loudness (n,)."""
    out, loud = np.zeros(s.n), np.zeros(s.n)
    release = HABITS[s.row.exciter][1]
    for k, note in enumerate(notes):
        start, end = samples(s, note.onset, note.onset + note.duration + release)
        if end <= start:
            continue
        t = np.arange(end - start) / s.sample_rate + (start / s.sample_rate - note.onset)
        grid = np.arange(int(t[-1] * CONTROL) + 2) / CONTROL
        pitch, level = _curves(s, note, k, grid)
        pitch = pitch * 2.0 ** (cents / 1200)
        # np.interp of an even grid: (m,) -> (n,)
        frequency, level = np.interp(t, grid, pitch), np.interp(t, grid, level)
        limit = int(syn.BAND * s.sample_rate / pitch.max())
        partials = float(hertz(note.midi)) * np.arange(1, max(min(limit, int(16000.0 / pitch[0])), 1) + 1)
        table = spectra(s, partials)
        table = table / np.sqrt(np.sum(table**2, axis=1, keepdims=True))
        phase = np.cumsum(frequency) / s.sample_rate
        out[start:end] += level * syn.scan(syn.cycles(table, limit), phase, level)
        loud[start:end] += level
    return out, loud


def _air(s: Session, loud: np.ndarray, low: float, high: float) -> np.ndarray:
    """Noise of bow or breath that follows the loudness, (n,); louder on a worn instrument."""
    return (0.6 + 0.8 * s.individual.wear) * loud * syn.noise(s.n, low, high, s.sample_rate, s.touch.noises)


def _tilt(s: Session, frequency: np.ndarray, low: float, octaves: float) -> np.ndarray:
    """Low-pass exp(-f / cutoff) at each loudness, (K, H); the cutoff rises by ``octaves`` with brightness."""
    cutoff = low * 2.0 ** (octaves * s.individual.brightness + 0.3 * s.touch.hard)
    return np.exp(-frequency / (cutoff * (0.55 + 0.75 * LEVELS[:, None])))


# ---------------------------------------------------------------- spectra, (H,) Hz -> (K, H)


def _saw(s: Session, frequency: np.ndarray) -> np.ndarray:
    """Helmholtz motion of a bowed string is a sawtooth, 1 / n, weaker where the bow sits on a node."""
    n = np.arange(1, len(frequency) + 1)
    node = 0.35 + 0.65 * np.abs(np.sin(np.pi * n * (0.08 + 0.05 * s.touch.place)))
    return node / n**0.9 * _tilt(s, frequency, 900.0, 3.3)


def _reed(s: Session, frequency: np.ndarray) -> np.ndarray:
    """A beating reed: odd harmonics in a cylinder, all in a cone."""
    n = np.arange(1, len(frequency) + 1)
    tube = odd = syn.odd_even(frequency, leak=0.04, cutoff=1500.0 * s.raised)
    if s.row.resonator == "conical tube":
        tube = np.ones_like(odd)
    return tube / n**0.7 * _tilt(s, frequency, 700.0, 3.0) * syn.response(frequency, s.body())


def _lips(s: Session, frequency: np.ndarray) -> np.ndarray:
    """Lips on a horn: the spectrum reaches higher the louder the note; a raw horn has no smooth bell."""
    cutoff = 320.0 * 2.0 ** (2.6 * s.individual.brightness + 0.2 * s.touch.hard) * s.raised
    spectra = syn.brass_spectra(frequency, cutoff, LEVELS) * syn.response(frequency, s.body())
    if s.row.material == "bone":
        n = np.arange(1, len(frequency) + 1)
        spectra = spectra * (0.45 + 0.55 * np.cos(1.9 * n + 3.0 * s.touch.place) ** 2)
    return spectra


def _jet(s: Session, frequency: np.ndarray) -> np.ndarray:
    """An air jet: few harmonics, the octave growing with the blow (Fletcher & Rossing, 16.8)."""
    n = np.arange(1, len(frequency) + 1)
    slope = (2.0 - 1.6 * s.individual.brightness) * (1.25 - 0.6 * LEVELS[:, None]) - 0.15 * s.touch.hard
    return np.exp(-slope * (n - 1)) * np.where(n == 2, 1.0 + 0.8 * s.touch.place, 1.0)


def _tongue(s: Session, frequency: np.ndarray) -> np.ndarray:
    """A free or double reed chops the air at any loudness: strong harmonics under the formants of its box."""
    n = np.arange(1, len(frequency) + 1)
    return n**-0.5 * _tilt(s, frequency, 800.0, 2.8)[4:5] * syn.response(frequency, s.body())


# ---------------------------------------------------------------- players


def bowed(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Sawtooth and bow noise through the body, so that vibrato moves the harmonics under the formants."""
    out, loud = _line(s, notes, _saw)
    noise = _air(s, loud, 0.9 * s.cutoff, 3000.0 + 2.0 * s.cutoff)
    out = syn.resonate(out + 0.03 * noise, s.body(), s.sample_rate)
    return out + 0.15 * knocks(s, notes, 600.0, 1.5 * s.cutoff + 1500.0, 0.05)


def blown(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Reeds, lips and jets: a line of harmonics and breath, with a chiff at every tongued note."""
    spectra = {"air jet": _jet, "lip reed": _lips}.get(s.row.exciter, _reed)
    out, loud = _line(s, notes, spectra)
    jet = s.row.exciter == "air jet"
    mean = float(hertz(np.mean([note.midi for note in notes])))
    air = (
        _air(s, loud, 0.8 * mean, (3.0 + 10.0 * s.individual.brightness) * mean)
        if jet
        else _air(s, loud, 800.0, 5000.0)
    )
    out += (0.055 if jet else 0.012) * air
    return out + (0.12 if jet else 0.10) * knocks(s, notes, 800.0, 5000.0, 0.04)


def bellows(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Free reeds: in a box two per note, some cents apart, that beat; in the hand one, bent and cupped."""
    out, loud = _line(s, notes, _tongue)
    if s.row.length > 0.2:
        second, _ = _line(s, notes, _tongue, cents=5.0 + 11.0 * s.touch.wobble)
        out += 0.9 * second
    out += 0.02 * _air(s, loud, 1500.0, 6000.0)
    return out + 0.06 * knocks(s, notes, 300.0, 3000.0, 0.02)


def bag(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """A chanter over drones that never stop: one an octave below its tonic, a pair; one two octaves below."""
    out, loud = _line(s, notes, _tongue)
    tonic = s.row.low + s.individual.transposition
    start, end = samples(s, notes[0].onset, max(note.onset + note.duration for note in notes) + 0.02)
    t = np.arange(end - start) / s.sample_rate
    fade = np.minimum(1.0, np.minimum(t, t[-1] - t) / 0.02)
    drones = [(-12, 0.0, 0.30), (-12, 2.0 + 3.0 * s.touch.wobble, 0.30), (-24, 1.0, 0.35)]
    for below, cents, gain in drones[: s.row.parts - 1]:
        f = float(hertz(tonic + below + cents / 100))
        limit = int(syn.BAND * s.sample_rate / f)
        n = np.arange(1, min(limit, 60) + 1)
        spectrum = n**-0.9 * np.exp(-n * f / (2500.0 + 1500.0 * s.individual.brightness))
        table = syn.cycles(spectrum / np.sqrt(np.sum(spectrum**2)), limit)
        out[start:end] += gain * fade * syn.scan(table, f * t + 0.3 * gain)
    return out + 0.01 * _air(s, loud, 1500.0, 6000.0)


def drone(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Lips drone on one mode of a long tube while tongue and cheeks move two formants in rhythm.

    The vocal tract cuts bands out of the drone; what stays between them
    sounds as a formant (Tarnopolsky et al., Nature 2005).
    """
    f = float(hertz(notes[0].midi))
    start, end = samples(s, notes[0].onset, max(note.onset + note.duration for note in notes))
    grid = np.arange(s.n * CONTROL // s.sample_rate + 2) / CONTROL
    vowel, level = np.zeros_like(grid), np.full_like(grid, 0.62)
    for note in notes:
        after = grid - note.onset
        pulse = np.clip(after / 0.05, 0, 1) * np.exp(-np.maximum(after, 0) / (0.5 * note.duration))
        vowel = np.maximum(vowel, note.velocity * pulse)
        level = np.maximum(level, 0.62 + 0.38 * note.velocity * pulse)
    t = np.arange(end - start) / s.sample_rate
    at = t + start / s.sample_rate
    pitch = f * 2.0 ** (0.15 / 12 * np.interp(at, grid, vowel))
    limit = int(syn.BAND * s.sample_rate / pitch.max())
    table = syn.cycles(_vowels(s, f * np.arange(1, min(limit, int(6000 / f)) + 1)), limit)
    fade = np.minimum(1.0, np.minimum(t, t[-1] - t) / 0.03)
    loud = np.zeros(s.n)
    loud[start:end] = fade * np.interp(at, grid, level)
    out = loud.copy()
    out[start:end] *= syn.scan(table, np.cumsum(pitch) / s.sample_rate, np.interp(at, grid, vowel))
    return (
        out
        + 0.015 * _air(s, loud, 300.0, 600.0 + 4000.0 * s.individual.brightness)
        + 0.05 * knocks(s, notes, 300.0, 2000.0, 0.06)
    )


def _vowels(s: Session, frequency: np.ndarray) -> np.ndarray:
    """Spectra (7, H) of the drone from "oo" to "ee", each of unit energy."""
    n = np.arange(1, len(frequency) + 1)
    lips = syn.odd_even(frequency, leak=0.45, cutoff=700.0) / n**1.0
    lips = lips * np.exp(-frequency / (380.0 * 2.0 ** (2.6 * s.individual.brightness + 0.3 * s.touch.hard)))
    rows = []
    for place in np.linspace(0, 1, 7):
        high = (700.0 + 1300.0 * place) * (0.85 + 0.3 * s.touch.place)
        low = 350.0 + 150.0 * place
        rows.append(lips * syn.response(frequency, [(low, 2.0, 4), (high, 40.0 * (0.15 + place), 8)]))
    return np.array([row / np.sqrt(np.sum(row**2)) for row in rows])
