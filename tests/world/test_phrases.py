"""Notes that fit an instrument, and motions that fit its notes."""

from dataclasses import replace

import numpy as np
import pytest

from llinet_lite.world.instruments import INSTRUMENTS, Individual, individual, instrument
from llinet_lite.world.phrases import decay_time, manner
from llinet_lite.world.voices import Motion, Note, motion, phrase, play

NAMES = [row.name for row in INSTRUMENTS]
RINGING = [row.name for row in INSTRUMENTS if row.decay > 0]


def typical(name):
    return Individual(instrument(name), 1.0, instrument(name).brightness, 0.2, 0.0)


def performance(name, seed, seconds=3.0):
    rng = np.random.default_rng(seed)
    specimen = individual(instrument(name), rng)
    return specimen, phrase(specimen, seconds, rng), rng


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [1.0, 3.0, 10.0])
def test_phrases_fit_the_instrument(name, seconds):
    row = instrument(name)
    for seed in range(10):
        specimen, notes, _ = performance(name, seed, seconds)
        onsets = np.array([note.onset for note in notes])
        assert 0 < onsets[0] < 0.4 and np.all(np.diff(onsets) >= 0) and onsets[-1] < seconds
        assert np.diff(np.append(onsets, seconds)).max() < 1.7
        for note in notes:
            written = note.midi - specimen.transposition
            assert row.low - 0.01 <= written <= row.high + 0.01
            assert note.duration > 0 and note.onset + note.duration <= seconds + 0.01
            assert 0 < note.velocity <= 1


def test_natural_tubes_have_natural_notes():
    rng = np.random.default_rng(3)
    low = instrument("shofar").low
    for note in phrase(typical("shofar"), 10.0, rng):
        ratio = 2 ** ((note.midi - (low - 12)) / 12)
        assert ratio == pytest.approx(round(ratio), abs=1e-6) and ratio > 1.9
    assert len({note.midi for note in phrase(typical("didgeridoo"), 10.0, rng)}) == 1


def test_manners_follow_from_attributes():
    guitar = instrument("guitar")
    assert manner(guitar) == "strum"
    assert manner(replace(guitar, parts=8)) == "tremolo"
    assert manner(replace(guitar, resonator="frame and strings")) == "arpeggio"
    assert manner(replace(instrument("french horn"), parts=1)) == "natural"


def test_phrases_differ_between_seeds_and_length_is_checked():
    assert performance("piano", 1)[1] == performance("piano", 1)[1] != performance("piano", 2)[1]
    with pytest.raises(ValueError, match=r"0\.5 to 60"):
        phrase(typical("violin"), 0.1, np.random.default_rng(0))


def test_decay_time_is_the_class_value_in_the_middle():
    harp = instrument("harp")
    assert decay_time(harp, (harp.low + harp.high) / 2) == pytest.approx(harp.decay)
    assert decay_time(harp, 48 + 24) == pytest.approx(decay_time(harp, 48) / 2)


# --------------------------------------------------------------------------- motion


@pytest.mark.parametrize("name", NAMES)
def test_motion_is_bounded_continuous_and_deterministic(name):
    specimen, notes, _ = performance(name, 4)
    moments = np.arange(0, 3, 0.002)
    moves = [motion(specimen, notes, float(t)) for t in moments]
    stroke, energy = np.array([(m.stroke, m.energy) for m in moves]).T
    assert np.all(np.abs(stroke) <= 1) and np.all((energy >= 0) & (energy <= 1))
    assert np.abs(np.diff(stroke)).max() < 0.2
    assert np.ptp(stroke) > 0.3 and energy.max() > 0.4
    assert moves[700] == motion(specimen, notes, float(moments[700]))
    assert motion(specimen, notes, 0.0).energy == 0.0


@pytest.mark.parametrize("name", RINGING)
def test_strokes_land_on_their_onsets(name):
    specimen, notes, _ = performance(name, 6)
    for note in notes:
        assert motion(specimen, notes, note.onset).stroke == -1.0
        assert motion(specimen, notes, note.onset + 0.004).stroke > -1.0
    assert motion(specimen, notes, notes[0].onset - 0.2).stroke == 1.0
    assert motion(specimen, notes, notes[-1].onset + 0.3).stroke == 1.0


def test_bow_turns_at_each_onset():
    notes = (Note(0.1, 0.5, 60, 0.8), Note(0.6, 0.4, 62, 0.8), Note(1.0, 0.5, 64, 0.8))
    violin = typical("violin")
    assert [motion(violin, notes, t).stroke for t in (0.0, 0.1, 0.6, 1.0, 1.5, 2.0)] == [1, 1, -1, 1, -1, -1]
    assert motion(violin, notes, 0.35).stroke == pytest.approx(0.0)


def test_fingers_follow_the_pitch():
    notes = (Note(0.1, 0.5, 60, 0.8), Note(0.6, 0.4, 72, 0.8), Note(1.0, 0.5, 66, 0.8))
    assert [motion(typical("flute"), notes, t).stroke for t in (0.3, 0.9, 1.4)] == [-1.0, 1.0, 0.0]


def test_energy_of_one_note():
    note = (Note(0.1, 1.0, 60, 0.8),)
    assert motion(typical("flute"), note, 0.6).energy == pytest.approx(0.8)
    assert motion(typical("flute"), note, 1.15).energy == pytest.approx(0.8 * np.exp(-1))
    guitar = typical("guitar")
    assert motion(guitar, note, 0.1).energy == pytest.approx(0.8)
    half = 0.1 + decay_time(guitar.instrument, 60) / 3
    assert motion(guitar, note, half).energy == pytest.approx(0.8 * np.exp(-1))


def test_a_silent_player_is_still():
    for name in NAMES:
        assert {motion(typical(name), (), t) for t in (0.0, 0.7, 2.9)} == {Motion(1.0, 0.0)}


def test_energy_follows_the_sound():
    for name in ("guitar", "gong", "violin", "trumpet", "piano", "flute"):
        specimen, notes, rng = performance(name, 8)
        x = play(specimen, notes, 3.0, 16000, rng)
        frames = np.arange(0, 3, 0.04)
        seen = np.array([motion(specimen, notes, t).energy for t in frames])
        heard = np.sqrt(np.convolve(x**2, np.ones(640) / 640, "same"))[(frames * 16000).astype(int)]
        assert np.corrcoef(seen, heard)[0, 1] > 0.5, name
