"""Voices of plucked strings.

A plucked string is a Karplus-Strong loop solved for its modes
(:func:`~llinet_lite.world.synthesis.string_modes`), and the body is "commuted"
into them: it weighs every mode by its response and adds its own short thump
(Karjalainen, Valimaki & Janosy, 1993). Strings whose pitch slides are read
from wavetables instead.

Notebook: 00
"""

from __future__ import annotations

import numpy as np

from . import synthesis as syn
from .phrases import Note, decay_time, paired
from .touch import Session, bodies, fading, hertz, knocks, samples, strokes


def _string(s: Session, midi: float, stiffness: float = 4e-5) -> syn.Modes:
    """Modes of one string of this instrument, unit energy: softer strings lose their high partials sooner."""
    f = float(hertz(midi))
    lasting = 1.7 if s.row.material in ("steel", "cane") else 1.0  # wire loses less than gut or nylon
    softness = 0.5 / (4600.0 * lasting * 2.0 ** (1.9 * s.individual.brightness + 0.25 * s.touch.hard))
    place = 0.07 + 0.2 * s.touch.place + (0.15 if s.row.resonator == "frame and strings" else 0.0)
    decay = decay_time(s.row, midi - s.individual.transposition)
    modes = syn.string_modes(f, decay, softness, place, stiffness, highest=16000.0)
    return modes.scaled(1.0 / np.sqrt(np.sum(modes.gain**2)))


def _thump(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """The body's own modes, which every pluck excites."""
    body = s.body()
    if not body:
        return np.zeros(s.n)
    centre, gain, q = np.array(body).T
    modes = syn.Modes(centre, np.pi * centre / q + 12.0, gain)
    return syn.ring(modes, [(n.onset, n.onset + 1.0, n.velocity) for n in notes], s.n, s.sample_rate)


def plucked(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Strings over a box, a skin or a frame; strings in courses of two are a few cents apart."""
    out = np.zeros(s.n)
    for midi, group in bodies(notes).items():
        modes = _string(s, midi)
        modes = modes.scaled(syn.response(modes.frequency, s.body()))
        if paired(s.row):
            second = syn.Modes(
                modes.frequency * 2.0 ** ((1.5 + 5.0 * s.touch.wobble) / 1200), modes.rate, modes.gain
            )
            modes = modes + second.scaled(0.8)
        out += syn.ring(modes, strokes(s, modes, group, 3.0), s.n, s.sample_rate)
    skin = s.row.resonator == "neck and membrane"
    out += (0.16 if skin else 0.07) * _thump(s, notes)
    return out + (0.15 if skin else 0.12) * knocks(s, notes, 0.6 * s.cutoff, 3000.0 + 2.0 * s.cutoff, 0.012)


def electric(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """A solid body: the pickup combs the string's velocity, the amplifier clips it gently.

    The clipper is the cubic x - x^3 / 3, which at most triples a frequency:
    only partials below 0.15 of the sample rate (and 2400 Hz) are driven.
    """
    low, high = np.zeros(s.n), np.zeros(s.n)
    edge = min(2400.0, syn.BAND * s.sample_rate / 3)
    for midi, group in bodies(notes).items():
        modes = _string(s, midi, stiffness=8e-5)
        n = np.arange(1, len(modes.gain) + 1)
        pickup = n**0.6 * (0.15 + np.abs(np.sin(np.pi * n * (0.09 + 0.12 * s.touch.wobble))))
        modes = modes.scaled(pickup * syn.response(modes.frequency, s.body()))
        for part, band in ((low, modes.frequency < edge), (high, modes.frequency >= edge)):
            some = modes.where(band)
            if len(some.gain):
                part += syn.ring(some, strokes(s, some, group, 1.5), s.n, s.sample_rate)
    peak = max(np.abs(low).max(), 1e-9)
    driven = np.clip(low * ((0.9 + 0.8 * s.touch.hard * s.touch.hard) / peak), -1.0, 1.0)
    out = driven - driven**3 / 3 + high * (0.6 / peak)
    return out + 0.02 * knocks(s, notes, 800.0, 4000.0, 0.01)


def glided(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Strings whose pitch slides: under a steel bar, or pulled sideways over a curved bridge.

    A curved bridge (jawari) keeps feeding high partials: a formant sweeps
    down through the spectrum while the note decays (Raman, 1921). Under
    the played strings lie others that ring along.
    """
    out, curved, last = np.zeros(s.n), s.row.material == "cane", None
    for k, note in enumerate(notes):
        start, end = samples(s, note.onset, note.onset + note.duration + 0.12)
        if end - start < 2:
            continue
        t = np.arange(end - start) / s.sample_rate
        bend = _bend(s, note, last, k, t)
        frequency = float(hertz(note.midi)) * 2.0 ** (bend / 12)
        times = t[-1] * np.linspace(0, 1, 20) ** 2
        spectra = _jawari(s, note, times) if curved else _steel(s, note, times)
        table = syn.cycles(spectra, int(syn.BAND * s.sample_rate / frequency.max()))
        sound = syn.scan(table, np.cumsum(frequency) / s.sample_rate, np.sqrt(t / t[-1]))
        out[start:end] += note.velocity * fading(t, note.duration) * sound
        last = note
    if curved:
        out += 0.16 * _sympathetic(s, notes)
    out += 0.05 * _thump(s, notes)
    return out + 0.05 * knocks(s, notes, 0.5 * s.cutoff, 1.5 * s.cutoff + 2000.0, 0.012)


def _bend(s: Session, note: Note, last: Note | None, k: int, t: np.ndarray) -> np.ndarray:
    """Semitones from the written pitch, (n,): a slide from the last note, then vibrato."""
    curved = s.row.material == "cane"
    away = 0.0 if last is None else float(np.clip(last.midi - note.midi, -7, 7))
    if curved:
        away = float(np.clip(away, -2, 2)) if k % 3 == 0 else 0.0
    slide = away * 0.5 * (1 + np.cos(np.pi * np.minimum(t / (0.12 if curved else 0.24), 1.0)))
    depth = (0.05 if curved else 0.12 + 0.2 * s.touch.wobble) * np.clip((t - 0.2) / 0.3, 0, 1)
    return slide + depth * np.sin(2 * np.pi * s.touch.rate * t)


def _decaying(s: Session, midi: float, times: np.ndarray) -> tuple[np.ndarray, syn.Modes]:
    """Amplitudes (K, H) of a string's partials at K times after the pluck, and its modes."""
    modes = _string(s, midi, stiffness=0.0)
    weight = modes.gain * syn.response(modes.frequency, s.body())
    return weight * np.exp(-modes.rate * times[:, None]), modes


def _steel(s: Session, note: Note, times: np.ndarray) -> np.ndarray:
    """Spectra (K, H) of a steel string, the harder plucked the brighter."""
    spectra, modes = _decaying(s, note.midi, times)
    return spectra / (1 + (modes.frequency / (3.0 * s.cutoff * (0.35 + 0.9 * note.velocity))) ** 2)


def _jawari(s: Session, note: Note, times: np.ndarray) -> np.ndarray:
    """Spectra (K, H) of a string on a curved bridge: a formant falls from the 26th to the 5th partial."""
    spectra, modes = _decaying(s, note.midi, times)
    n = np.arange(1, len(modes.gain) + 1)
    centre = 5.0 + (14.0 + 7.0 * s.touch.hard) * np.exp(-times[:, None] / 0.35)
    buzz = np.exp(-(((n - centre) / (2.0 + 0.25 * centre)) ** 2))
    reach = np.exp(-modes.frequency / (1.2 * s.cutoff * s.raised))
    slow = np.exp(-times[:, None] * syn.RATE_OF_60_DB / (0.8 * s.row.decay))
    return spectra * reach + (0.10 + 0.12 * s.individual.brightness) * buzz * slow * np.sqrt(reach)


def _sympathetic(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Thin strings tuned to the notes of the phrase swell under it."""
    pitches = sorted({round(note.midi, 3) for note in notes})[: s.row.parts // 2 + 1]
    modes = [_string(s, midi, stiffness=0.0) for midi in pitches]
    every = modes[0].where(np.arange(len(modes[0].gain)) < 7)
    for more in modes[1:]:
        every = every + more.where(np.arange(len(more.gain)) < 7)
    every = every.where(every.frequency < 6000.0).blooming(0.12)
    return syn.ring(every, [(n.onset, 1e3, n.velocity) for n in notes], s.n, s.sample_rate)
