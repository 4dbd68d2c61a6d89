"""The voice of an instrument: attributes -> waveform.

:func:`play` turns notes into sound. What is computed follows from the row of
attributes (exciter, resonator, material, length, register, decay, brightness,
parts) and from the :class:`~llinet_lite.world.instruments.Individual`: its
size moves register and formants together, its brightness tilts the spectrum,
its wear makes the attack noisier.

The music is in :mod:`~llinet_lite.world.phrases`, the physics in
:mod:`~llinet_lite.world.synthesis`, and the players in
:mod:`~llinet_lite.world.struck`, :mod:`~llinet_lite.world.plucked` and
:mod:`~llinet_lite.world.sustained`.

Notebook: 00
"""

from __future__ import annotations

import numpy as np

from . import synthesis as syn
from .instruments import Individual, Instrument
from .phrases import Motion, Note, manner, motion, phrase
from .plucked import electric, glided, plucked
from .struck import drummed, struck
from .sustained import bag, bellows, blown, bowed, drone
from .touch import Session, Touch

__all__ = ["Motion", "Note", "motion", "phrase", "play"]


def play(
    individual: Individual,
    notes: tuple[Note, ...],
    seconds: float,
    sample_rate: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The dry sound of an instrument that plays these notes.

    Parameters
    ----------
    individual : Individual
    notes : tuple of Note
        From :func:`phrase`, in order of onset; () is silence.
    seconds : float
        Length, s.
    sample_rate : int
        Hz, at least 4000. No partial lies above 0.45 of it.
    rng : numpy.random.Generator
        Touch and noise. The same state gives the same sound, and the same
        pitches and touch at every sample rate.

    Returns
    -------
    (round(seconds * sample_rate),) float64 array
        RMS :data:`~llinet_lite.world.synthesis.LEVEL` from the first onset to the end of the last
        note, the same for all classes; peak at most 1.

    Raises
    ------
    ValueError
        If the sample rate is below 4000 Hz or a note starts outside the clip.

    Notebook: 00
    """
    if sample_rate < 4000:
        raise ValueError(f"a sample rate of {sample_rate} Hz cannot hold these instruments; use 4000 or more")
    n = round(seconds * sample_rate)
    hard, place, wobble, rate = rng.uniform((-1, 0, 0, 4.6), (1, 1, 1, 6.4))
    touch = Touch(hard, place, wobble, rate, np.random.default_rng(rng.integers(2**63)))
    if not notes:
        return np.zeros(n)
    outside = [note for note in notes if not 0 <= note.onset < seconds]
    if outside:
        raise ValueError(f"the note at {outside[0].onset} s lies outside a clip of {seconds} s")
    session = Session(individual, touch, n, sample_rate)
    out = _player(session.row)(session, notes)
    start = int(notes[0].onset * sample_rate)
    stop = min(int(np.ceil(max(note.onset + note.duration for note in notes) * sample_rate)), n)
    return syn.levelled(out, start, stop, sample_rate)


def _player(row: Instrument):
    """What sounds an instrument: by its resonator or manner where they matter, else by its exciter."""
    if row.resonator == "membrane":
        return drummed
    if row.resonator == "solid body":
        return electric
    if row.exciter == "plucked":
        return glided if row.material in ("cane", "steel") else plucked
    if manner(row) == "drone":
        return drone
    by_exciter = {"struck": struck, "bowed": bowed, "free reed": bellows, "bag": bag}
    return by_exciter.get(row.exciter, blown)
