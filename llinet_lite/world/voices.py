"""The voice of an instrument: its row of attributes, one specimen and notes -> waveform.

:func:`play` chooses by exciter, resonator and material what sounds. A specimen's size moves register and
formants together, its brightness tilts the spectrum, its wear makes the attack noisier. The physics is in
:mod:`~llinet_lite.world.synthesis`, the music in :mod:`~llinet_lite.world.phrases`.
Notebook: 00
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import synthesis as syn
from .instruments import Individual, Instrument
from .phrases import Motion, Note, decay_time, manner, motion, paired, phrase

__all__ = ["Motion", "Note", "motion", "phrase", "play"]

CONTROL = 400  # Hz, rate at which pitch and loudness curves are computed


@dataclass(frozen=True)
class Touch:
    """How this player plays in this clip."""

    hard: float  # -1 (soft mallet, flesh, slack lips) to 1 (hard mallet, nail, tight lips)
    place: float  # where a string is plucked, bowed or picked up: 0 (bridge) to 1 (middle)
    wobble: float  # 0 to 1: depth of vibrato or tremolo, mistuning of paired parts
    rate: float  # vibrato, Hz
    noises: np.random.Generator  # for what is drawn per sample, so that the above is the same at every rate


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

    def body(self) -> list[tuple[float, float, float]]:
        """Formants (Hz, gain, Q) of the resonating body, scaled to class length and specimen size."""
        table = BODIES.get((self.row.exciter, self.row.resonator)) or BODIES.get(self.row.resonator, ())
        scale = self.raised * (self.row.length**-1.4 if self.row.resonator in BOXES else 1.0)
        formants = [(center * scale, gain, q) for center, gain, q in table]
        if self.row.material in WALLS.get(self.row.resonator, ()):  # the wall rings along
            center, gain, q = WALL_FORMANTS[self.row.material]
            formants.append((center * self.raised, gain, q))
        return formants


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
# Formants (Hz, gain, Q) of walls of unusual stuff: hard ones ring high, soft ones low and broad
WALL_FORMANTS = {
    "glass": (4200.0, 3.0, 6.0), "clay": (480.0, 2.5, 1.5), "gourd": (320.0, 3.0, 2.5),
    "cane": (1700.0, 2.0, 3.0), "bone": (2900.0, 2.0, 3.0), "brass": (2300.0, 2.5, 5.0),
    "silver": (3300.0, 2.5, 6.0),
}  # fmt: skip
_ON_BOXES = ("glass", "clay", "gourd", "bone", "brass", "silver")
WALLS = dict.fromkeys((*BOXES, "neck and membrane"), _ON_BOXES)
WALLS |= dict.fromkeys(("cylindrical tube", "conical tube", "reed bank"), ("glass", "clay", "gourd", "cane"))
# What a bar, bell or plate loses more of (or less) in its high modes than wood and metal do
LOSSES = {"clay": 0.7, "gourd": 0.6, "bone": 0.35, "cane": 0.4, "glass": -0.2}


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


# ----------------------------------------------------------------------------------------- plucked strings
# a Karplus-Strong loop solved for its modes; the body is "commuted" into them: it weighs every mode by its
# response and adds its own short thump (Karjalainen, Valimaki & Janosy, 1993)


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
    center, gain, q = np.array(body).T
    modes = syn.Modes(center, np.pi * center / q + 12.0, gain)
    return syn.ring(modes, [(n.onset, n.onset + 1.0, n.velocity) for n in notes], s.n, s.sample_rate)


def plucked(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Strings over a box, a skin or a frame; strings in courses of two are a few cents apart."""
    out = np.zeros(s.n)
    for midi, group in bodies(notes).items():
        modes = _string(s, midi)
        modes = modes.scaled(syn.response(modes.frequency, s.body()))
        if paired(s.row):
            apart = 2.0 ** ((1.5 + 5.0 * s.touch.wobble) / 1200)
            modes = modes + syn.Modes(modes.frequency * apart, modes.rate, modes.gain).scaled(0.8)
        out += syn.ring(modes, strokes(s, modes, group, 3.0), s.n, s.sample_rate)
    skin = s.row.resonator == "neck and membrane"
    out += (0.16 if skin else 0.07) * _thump(s, notes)
    return out + (0.15 if skin else 0.12) * knocks(s, notes, 0.6 * s.cutoff, 3000.0 + 2.0 * s.cutoff, 0.012)


def electric(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """A solid body: the pickup combs the string's velocity, the amplifier clips it gently, x - x^3 / 3.

    The cube triples a frequency: only partials below 0.15 of the sample rate (and 2400 Hz) are driven.
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

    A curved bridge (jawari) keeps feeding high partials: a formant sweeps down through the spectrum while
    the note decays (Raman, 1921). Under the played strings lie others that ring along.
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
    center = 5.0 + (14.0 + 7.0 * s.touch.hard) * np.exp(-times[:, None] / 0.35)
    buzz = np.exp(-(((n - center) / (2.0 + 0.25 * center)) ** 2))
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


# ----------------------------------------- bars, tubes, bells, bowls, gongs, pans, skins, hammered strings


def _modal(ratios, f: float, decay: float, gains, exponent: float) -> syn.Modes:
    """Modes at ``ratios`` over f (Hz); their rate grows with frequency, as material losses do."""
    frequency = f * np.asarray(ratios)
    rate = np.full(len(ratios), syn.RATE_OF_60_DB / decay) * (frequency / frequency[0]) ** exponent
    return syn.Modes(frequency, rate, np.broadcast_to(np.asarray(gains, float), frequency.shape))


def _bar(s: Session, f: float, decay: float) -> syn.Modes:
    """Wooden bars are undercut (1 : 4 : 10) over a tube that feeds the first mode; steel ones are plain."""
    if s.row.material in ("wood", "dark wood", "cane"):
        return _modal(syn.TUNED_BAR, f, decay, (1.0, 0.5, 0.35, 0.15), 0.9)
    return _modal(syn.FREE_BAR, f, decay, (1.0, 0.9, 0.6, 0.4, 0.2), 0.8)


def _tube_bell(s: Session, f: float, decay: float) -> syn.Modes:
    """A tube rings as a bar with free ends does; being slightly oval, it beats."""
    modes = _modal(syn.FREE_BAR, f, decay, (1.0, 0.9, 0.7, 0.5, 0.3), 0.35)
    return modes.split((1.0 + 4.0 * s.touch.wobble) * np.arange(1, 6) ** 0.5)


def _bowl(s: Session, f: float, decay: float) -> syn.Modes:
    """A thick bell has tuned partials around its strike note; a thin bowl those of a ring; all beat."""
    if s.row.brightness > 0.4:
        gains = np.array([0.5, 0.8, 0.9, 0.5, 1.0, 0.4, 0.4, 0.7, 0.5, 0.3, 0.2])
        return _modal(syn.BELL, f, decay, gains, 0.75).split(0.6 + 1.2 * s.touch.wobble)
    modes = _modal(syn.bowl_ratios(5), f, decay, (1.0, 1.6, 1.4, 0.7, 0.3), 0.5)
    return modes.split((0.8 + 2.0 * s.touch.wobble) * np.array([1, 1.6, 2.1, 2.5, 3.0]))


def _plate(s: Session, f: float, decay: float) -> syn.Modes:
    """A gong: dense modes; the high ones are fed by the low ones and bloom after the stroke."""
    ratios = syn.plate_ratios(180)
    ratios = np.concatenate([ratios[:28], ratios[28:72:2], ratios[72::6]])  # (68,)
    uneven = np.cos(1.7 * np.arange(len(ratios)) ** 2 + 3.0 * s.touch.place)  # every gong is hammered by hand
    ratios = ratios * (1 + 0.015 * uneven)
    modes = _modal(ratios, f, decay, (0.6 + 0.4 * uneven) / (1 + 0.04 * ratios), 0.42)
    low = modes.where(ratios < 4).scaled(1.3)
    high = modes.where(ratios >= 4).scaled(1.3)
    return low + high.blooming(0.04 + 0.12 * (high.frequency / 2000.0) ** 0.5)


def _pan(s: Session, f: float, decay: float) -> syn.Modes:
    """A note of a pan is tuned 1 : 2 : 3; the octave and the twelfth grow out of the first mode."""
    first = _modal([1.0], f, decay, 1.0, 0)
    rest = _modal(np.array([2.0, 3.0, 4.03, 5.1, 6.15]), f, decay, (1.3, 0.8, 0.6, 0.35, 0.25), 0.6)
    return first + rest.blooming(0.03)


def _head(s: Session, f: float, decay: float) -> syn.Modes:
    """A skin: ideal membrane, or harmonic where it is loaded with paste (drums that come in pairs)."""
    if s.row.parts > 1 and s.row.shape.hands:
        return _modal(syn.LOADED_MEMBRANE, f, decay, (0.7, 1.0, 0.9, 0.5, 0.3), 0.6)
    ratios = syn.membrane_ratios(16)
    return _modal(ratios, f, decay, 1.0 / ratios**0.5, 0.8)


def _piano(s: Session, f: float, decay: float) -> syn.Modes:
    """Stiff strings in mistuned pairs: a quick first decay and a long second one (Weinreich, 1977)."""
    modes = syn.string_modes(f, decay, 2.6e-5, 0.125, stiffness=2.5e-4 * (f / 220.0) ** 0.8, highest=9000.0)
    slow = syn.Modes(modes.frequency * 2.0 ** (1.2 / 1200), modes.rate, 0.4 * modes.gain)
    return syn.Modes(modes.frequency, 3.0 * modes.rate, modes.gain) + slow


_STRUCK = {
    "bar": _bar, "tube bell": _tube_bell, "bowl": _bowl, "plate": _plate, "pan": _pan,
    "membrane": _head, "box and strings": _piano,
}  # fmt: skip


def struck(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Mallets, hammers and clappers on bars, bells, pans and strings."""
    out = np.zeros(s.n)
    for midi, group in bodies(notes).items():
        f = float(hertz(midi))
        decay = decay_time(s.row, midi - s.individual.transposition)
        modes = _STRUCK[s.row.resonator](s, f, decay)
        if s.row.material in LOSSES:
            over = np.maximum(modes.frequency / f, 1.0) ** LOSSES[s.row.material]
            modes = syn.Modes(modes.frequency, modes.rate * over, modes.gain)
        modes = modes.scaled(syn.response(modes.frequency, s.body()))
        modes = modes.scaled(1.0 / np.sqrt(np.sum(modes.gain**2)))
        brighter = 1.0 + 0.5 * f / 500.0
        out += syn.ring(modes, strokes(s, modes, group, brighter), s.n, s.sample_rate, damping=25.0)
    hit = 0.13 if s.row.material in ("wood", "dark wood") else 0.03
    return out + hit * knocks(s, notes, 0.5 * s.cutoff, 2.0 * s.cutoff + 3000.0, 0.02)


def drummed(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Hands and sticks on skins: the place of the stroke differs, the low one of a pair bends upwards."""
    out, skins = np.zeros(s.n), bodies(notes)
    for midi, group in skins.items():
        f, decay = float(hertz(midi)), decay_time(s.row, midi - s.individual.transposition)
        modes = _head(s, f, decay)
        hits = []
        for k, (onset, end, force) in enumerate(strokes(s, modes, group, 0.9)):
            place = 0.5 + 0.5 * np.cos(np.arange(len(force)) * (0.7 + k % 3))
            hits.append((onset, end, force * (0.35 + place)))
        if s.row.shape.hands and midi == min(skins) and len(skins) > 1:
            out += 1.3 * _bent(s, group, modes)
        else:
            out += syn.ring(modes, hits, s.n, s.sample_rate)
    rattle = 0.5 if s.row.parts == 1 else 0.08
    return out + rattle * knocks(s, notes, 150.0, 0.6 * s.cutoff + 600.0, 0.08 if s.row.parts == 1 else 0.03)


def _bent(s: Session, notes: list[Note], modes: syn.Modes) -> np.ndarray:
    """A skin whose tension the hand changes: its pitch starts a third low and slides up."""
    out = np.zeros(s.n)
    base, rate = modes.frequency[0], modes.rate[0]
    for k, note in enumerate(notes):
        stop = notes[k + 1].onset if k + 1 < len(notes) else np.inf
        start, end = samples(s, note.onset, min(stop, note.onset + 1.2))
        t = np.arange(end - start) / s.sample_rate
        semitones = -(2.0 + 3.0 * s.touch.wobble) * np.exp(-t / 0.12)
        phase = np.cumsum(base * 2.0 ** (semitones / 12)) / s.sample_rate
        table = syn.cycles(np.array([1.0, 0.35, 0.12, 0.05]), int(syn.BAND * s.sample_rate / base))
        fade = np.minimum(1.0, (t[-1] - t) / 0.01) if len(t) else 1.0
        out[start:end] += note.velocity * np.exp(-0.8 * rate * t) * fade * syn.scan(table, phase)
    return out


# -------------------------------------------------------------- bows, reeds, lips, air jets, bellows, bags

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
    octave = np.where(n == 2, 1.0 + 0.8 * s.touch.place, 1.0)
    return np.exp(-slope * (n - 1)) * octave * syn.response(frequency, s.body())


def _tongue(s: Session, frequency: np.ndarray) -> np.ndarray:
    """A free or double reed chops the air at any loudness: strong harmonics under the formants of its box."""
    n = np.arange(1, len(frequency) + 1)
    tube = syn.odd_even(frequency, leak=0.12) if s.row.resonator == "cylindrical tube" else 1.0
    return tube * n**-0.5 * _tilt(s, frequency, 800.0, 2.8)[4:5] * syn.response(frequency, s.body())


def _friction(s: Session, frequency: np.ndarray) -> np.ndarray:
    """A rigid body under a bow or a wet finger: one mode, locked, and little above it."""
    n = np.arange(1, len(frequency) + 1)
    return n ** -(3.2 - 1.6 * s.individual.brightness) * _tilt(s, frequency, 900.0, 2.6)


# ---------------------------------------------------------------- players


def bowed(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Sawtooth and bow noise through the body, so that vibrato moves the harmonics under the formants."""
    out, loud = _line(s, notes, _friction if s.row.resonator in _STRUCK and not s.body() else _saw)
    noise = _air(s, loud, 0.9 * s.cutoff, 3000.0 + 2.0 * s.cutoff)
    out = syn.resonate(out + 0.03 * noise, s.body(), s.sample_rate)
    return out + 0.15 * knocks(s, notes, 600.0, 1.5 * s.cutoff + 1500.0, 0.05)


def blown(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Reeds, lips and jets: a line of harmonics and breath, with a chiff at every tongued note."""
    spectra = {"air jet": _jet, "lip reed": _lips}.get(s.row.exciter, _reed)
    out, loud = _line(s, notes, spectra)
    jet = s.row.exciter == "air jet"
    mean = float(hertz(np.mean([note.midi for note in notes])))
    band = (0.8 * mean, (3.0 + 10.0 * s.individual.brightness) * mean) if jet else (800.0, 5000.0)
    out += (0.055 if jet else 0.012) * _air(s, loud, *band)
    return out + (0.12 if jet else 0.10) * knocks(s, notes, 800.0, 5000.0, 0.04)


def bellows(s: Session, notes: tuple[Note, ...]) -> np.ndarray:
    """Free reeds: in a box two per note, some cents apart, that beat; in the hand one, bent and cupped."""
    out, loud = _line(s, notes, _tongue)
    if manner(s.row) == "chords":
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

    The vocal tract cuts bands out of the drone; what stays between them sounds as a formant
    (Tarnopolsky et al., Nature 2005).
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
    out = out + 0.015 * _air(s, loud, 300.0, 600.0 + 4000.0 * s.individual.brightness)
    return out + 0.05 * knocks(s, notes, 300.0, 2000.0, 0.06)


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


# ----------------------------------------------------------------------------------------------- who plays


def play(
    individual: Individual,
    notes: tuple[Note, ...],
    seconds: float,
    sample_rate: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The dry sound of an instrument that plays these notes, (round(seconds * sample_rate),) float64.

    No partial lies above 0.45 of the sample rate (Hz, at least 4000). From the first onset to the end of the
    last note the RMS is :data:`~llinet_lite.world.synthesis.LEVEL`, the same for all classes; the peak is at
    most 1. The same state of ``rng`` gives the same pitches and touch at every sample rate.
    """
    n = round(seconds * sample_rate)
    hard, place, wobble, rate = rng.uniform((-1, 0, 0, 4.6), (1, 1, 1, 6.4))
    touch = Touch(hard, place, wobble, rate, np.random.default_rng(rng.integers(2**63)))
    if not notes:
        return np.zeros(n)
    session = Session(individual, touch, n, sample_rate)
    out = _player(session.row)(session, notes)
    start = int(notes[0].onset * sample_rate)
    stop = min(int(np.ceil(max(note.onset + note.duration for note in notes) * sample_rate)), n)
    return syn.leveled(out, start, stop, sample_rate)


def _player(row: Instrument) -> Callable[[Session, tuple[Note, ...]], np.ndarray]:
    """What sounds an instrument: by its resonator or manner where they matter, else by its exciter."""
    if row.resonator == "membrane":
        return drummed
    if row.resonator == "solid body" and row.exciter == "plucked":
        return electric
    if row.exciter == "plucked":
        if row.resonator in _STRUCK and row.resonator != "box and strings":
            return struck
        return glided if row.material in ("cane", "steel") else plucked
    if manner(row) == "drone":
        return drone
    by_exciter = {"struck": struck, "bowed": bowed, "free reed": bellows, "bag": bag}
    return by_exciter.get(row.exciter, blown)
