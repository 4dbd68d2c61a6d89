"""Voices of struck bodies: bars, tubes, bells, bowls, gongs, pans, skins, and hammered strings.

Notebook: 00
"""

from __future__ import annotations

import numpy as np

from . import synthesis as syn
from .phrases import Note, decay_time
from .touch import Session, bodies, hertz, knocks, samples, strokes


def _tail(modes: syn.Modes, exponent: float = 1.0) -> syn.Modes:
    """Modes whose rate grows with their frequency relative to the first, as material losses do."""
    return syn.Modes(
        modes.frequency, modes.rate * (modes.frequency / modes.frequency[0]) ** exponent, modes.gain
    )


def _even(ratios, f: float, decay: float, gains, exponent: float) -> syn.Modes:
    ratios = np.asarray(ratios)
    rate = np.full(len(ratios), syn.RATE_OF_60_DB / decay)
    gains = np.broadcast_to(np.asarray(gains, float), ratios.shape)
    return _tail(syn.Modes(f * ratios, rate, gains), exponent)


def _bar(s: Session, f: float, decay: float) -> syn.Modes:
    """Wooden bars are undercut (1 : 4 : 10) over a tube that feeds the first mode; steel ones are plain."""
    if s.row.material == "wood":
        return _even(syn.TUNED_BAR, f, decay, (1.0, 0.5, 0.35, 0.15), 0.9)
    return _even(syn.FREE_BAR, f, decay, (1.0, 0.9, 0.6, 0.4, 0.2), 0.8)


def _tube_bell(s: Session, f: float, decay: float) -> syn.Modes:
    """A tube rings as a bar with free ends does; being slightly oval, it beats."""
    modes = _even(syn.FREE_BAR, f, decay, (1.0, 0.9, 0.7, 0.5, 0.3), 0.35)
    return modes.split((1.0 + 4.0 * s.touch.wobble) * np.arange(1, 6) ** 0.5)


def _bowl(s: Session, f: float, decay: float) -> syn.Modes:
    """A thick bell has tuned partials around its strike note; a thin bowl those of a ring; all beat."""
    if s.row.brightness > 0.4:
        gains = np.array([0.5, 0.8, 0.9, 0.5, 1.0, 0.4, 0.4, 0.7, 0.5, 0.3, 0.2])
        return _even(syn.BELL, f, decay, gains, 0.75).split(0.6 + 1.2 * s.touch.wobble)
    modes = _even(syn.bowl_ratios(5), f, decay, (1.0, 1.6, 1.4, 0.7, 0.3), 0.5)
    return modes.split((0.8 + 2.0 * s.touch.wobble) * np.array([1, 1.6, 2.1, 2.5, 3.0]))


def _plate(s: Session, f: float, decay: float) -> syn.Modes:
    """A gong: dense modes; the high ones are fed by the low ones and bloom after the stroke."""
    ratios = syn.plate_ratios(180)
    ratios = np.concatenate([ratios[:28], ratios[28:72:2], ratios[72::6]])  # (68,)
    uneven = np.cos(1.7 * np.arange(len(ratios)) ** 2 + 3.0 * s.touch.place)  # every gong is hammered by hand
    ratios = ratios * (1 + 0.015 * uneven)
    modes = _even(ratios, f, decay, (0.6 + 0.4 * uneven) / (1 + 0.04 * ratios), 0.42)
    low = modes.where(ratios < 4).scaled(1.3)
    high = modes.where(ratios >= 4).scaled(1.3)
    return low + high.blooming(0.04 + 0.12 * (high.frequency / 2000.0) ** 0.5)


def _pan(s: Session, f: float, decay: float) -> syn.Modes:
    """A note of a pan is tuned 1 : 2 : 3; the octave and the twelfth grow out of the first mode."""
    first = _even([1.0], f, decay, 1.0, 0)
    rest = _even(np.array([2.0, 3.0, 4.03, 5.1, 6.15]), f, decay, (1.3, 0.8, 0.6, 0.35, 0.25), 0.6)
    return first + rest.blooming(0.03)


def _head(s: Session, f: float, decay: float) -> syn.Modes:
    """A skin: ideal membrane, or harmonic where it is loaded with paste (drums that come in pairs)."""
    if s.row.parts > 1:
        return _even(syn.LOADED_MEMBRANE, f, decay, (0.7, 1.0, 0.9, 0.5, 0.3), 0.6)
    ratios = syn.membrane_ratios(16)
    return _even(ratios, f, decay, 1.0 / ratios**0.5, 0.8)


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
        if s.row.parts > 1 and midi == min(skins) and len(skins) > 1:
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
