"""The voices: each family's mark, what is heard of the specimen, and the promises that a scene relies on."""

from dataclasses import replace

import librosa
import numpy as np
import pytest

from llinet_lite.world import synthesis as syn
from llinet_lite.world.instruments import INSTRUMENTS, Individual, individual, instrument
from llinet_lite.world.phrases import manner
from llinet_lite.world.voices import Note, hertz, motion, phrase, play

RATE = 16000
NAMES = [row.name for row in INSTRUMENTS]
SUSTAINED = [row.name for row in INSTRUMENTS if row.decay == 0]
RINGING = [row.name for row in INSTRUMENTS if row.decay > 0]


def typical(name, size=1.0, brightness=None, wear=0.2):
    row = instrument(name)
    return Individual(row, size, row.brightness if brightness is None else brightness, wear, 0.0)


def middle(name):
    return (instrument(name).low + instrument(name).high) // 2


def sound(name, midi, *, seconds=1.5, velocity=0.8, rate=RATE, seed=0, **specimen):
    """One long note."""
    note = Note(0.05, seconds - 0.1, float(midi), velocity)
    return play(typical(name, **specimen), (note,), seconds, rate, np.random.default_rng(seed))


def spectrum(x, rate=RATE, pad=4):
    return np.fft.rfftfreq(pad * len(x), 1 / rate), np.abs(np.fft.rfft(x * np.hanning(len(x)), pad * len(x)))


def peak_near(x, f, cents=80.0, rate=RATE):
    """Frequency and height of the highest spectral peak within some cents of f."""
    frequency, height = spectrum(x, rate)
    near = np.abs(1200 * np.log2(np.maximum(frequency, 1.0) / f)) < cents
    k = np.flatnonzero(near)[np.argmax(height[near])]
    return frequency[k], height[k]


def performance(name, seed, seconds=3.0, rate=RATE):
    """A drawn specimen, its notes and their sound."""
    rng = np.random.default_rng(seed)
    one = individual(instrument(name), rng)
    notes = phrase(one, seconds, rng)
    return one, notes, play(one, notes, seconds, rate, rng)


def centroid(x, rate=RATE):
    frequency, height = spectrum(x, rate, pad=1)
    return np.sum(frequency * height**2) / np.sum(height**2)


@pytest.mark.parametrize("name", [n for n in SUSTAINED if n not in ("bagpipes", "didgeridoo")])
def test_sustained_notes_are_in_tune(name):
    f = hertz(middle(name))
    x = sound(name, middle(name), seconds=2.0)[RATE // 2 :]
    found = librosa.yin(x, fmin=0.6 * f, fmax=1.7 * f, sr=RATE, frame_length=4096)
    assert abs(1200 * np.log2(np.median(found) / f)) < 20


@pytest.mark.parametrize("name", RINGING)
def test_plucked_and_struck_notes_are_in_tune(name):
    f = hertz(middle(name))
    x = sound(name, middle(name), seconds=2.0)[: int(1.2 * RATE)]
    assert abs(1200 * np.log2(peak_near(x, f)[0] / f)) < 20


def test_clarinet_has_odd_harmonics_and_saxophone_all():
    even_over_odd = {}
    for name in ("clarinet", "saxophone"):
        x = sound(name, 57)
        heights = [peak_near(x, hertz(57) * n)[1] for n in (1, 2, 3, 4)]
        even_over_odd[name] = (heights[1] + heights[3]) / (heights[0] + heights[2])
    assert even_over_odd["clarinet"] < 0.1
    assert even_over_odd["saxophone"] > 0.4


def test_bars_ring_with_their_own_partials():
    x = sound("glockenspiel", 84, rate=48000)
    for ratio in syn.FREE_BAR[:3]:
        found, height = peak_near(x, hertz(84) * ratio, rate=48000)
        assert found == pytest.approx(hertz(84) * ratio, rel=0.003)
        assert height > 8 * np.median(spectrum(x, 48000)[1])
    x = sound("marimba", 57)
    heights = [peak_near(x, hertz(57) * ratio)[1] for ratio in (1, 2.756, 4, 10)]
    assert heights[2] > 8 * heights[1] and heights[0] > heights[2] > heights[3]


def test_drum_is_a_membrane_and_tabla_is_harmonic():
    marks = {}
    for name in ("drum", "tabla"):
        x = sound(name, 53, wear=0.0)
        marks[name] = peak_near(x, 1.594 * hertz(53), 40)[1] / peak_near(x, 2.0 * hertz(53), 40)[1]
    assert marks["drum"] > 2 and marks["tabla"] < 0.2


@pytest.mark.parametrize("name", NAMES)
def test_play_keeps_its_promises(name):
    for seed in range(3):
        _, notes, x = performance(name, seed)
        first = int(notes[0].onset * RATE)
        assert x.shape == (3 * RATE,) and x.dtype == np.float64
        assert np.isfinite(x).all() and np.abs(x).max() <= 1.0
        assert first <= 0.4 * RATE and not x[: first - 1].any()
        rms = np.sqrt(np.mean(x[first:] ** 2))
        assert rms == pytest.approx(syn.LEVEL, rel=0.06)  # half a decibel
        for start in range(first, 2 * RATE + 1, RATE // 10):
            assert np.sqrt(np.mean(x[start : start + RATE] ** 2)) > 10 ** (-30 / 20) * rms
        assert performance(name, seed)[2].tobytes() == x.tobytes()
    assert np.abs(performance(name, 1)[2] - performance(name, 2)[2]).max() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_phrase_and_sound_do_not_depend_on_the_sample_rate(name):
    _, slow_notes, slow = performance(name, 5, seconds=1.5)
    _, fast_notes, fast = performance(name, 5, seconds=1.5, rate=48000)
    assert slow_notes == fast_notes
    fast = librosa.resample(fast, orig_sr=48000, target_sr=RATE)
    bands = [librosa.cqt(x, sr=RATE, fmin=32.7, n_bins=84, hop_length=256) for x in (slow, fast)]
    assert np.corrcoef(*(np.abs(band).mean(axis=1) for band in bands))[0, 1] > 0.97


@pytest.mark.parametrize("name", ["sitar", "violin", "glockenspiel", "electric guitar", "bagpipes"])
def test_nothing_folds_back(name):
    """A high note: every strong peak at 16 kHz is there at 48 kHz as well."""
    high = instrument(name).high
    a = spectrum(sound(name, high, wear=0.0), pad=1)[1]
    fast = librosa.resample(sound(name, high, rate=48000, wear=0.0), orig_sr=48000, target_sr=RATE)
    b = np.convolve(spectrum(fast, pad=1)[1] / a.max(), np.ones(41), "same")
    assert not ((a > 0.01 * a.max()) & (b < 0.01)).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [1.0, 3.0, 10.0])
def test_phrases_fit_the_instrument(name, seconds):
    row = instrument(name)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        specimen = individual(row, rng)
        notes = phrase(specimen, seconds, rng)
        onsets = np.array([note.onset for note in notes])
        assert 0 < onsets[0] < 0.4 and np.all(np.diff(onsets) >= 0) and onsets[-1] < seconds
        assert np.diff(np.append(onsets, seconds)).max() < 1.7
        for note in notes:
            written = note.midi - specimen.transposition
            assert row.low - 0.01 <= written <= row.high + 0.01
            assert note.duration > 0 and note.onset + note.duration <= seconds + 0.01
            assert 0 < note.velocity <= 1


def test_manners_follow_from_attributes():
    guitar = instrument("guitar")
    assert manner(guitar) == "strum"
    assert manner(replace(guitar, parts=8)) == "tremolo"
    assert manner(replace(guitar, resonator="frame and strings")) == "arpeggio"
    assert manner(replace(instrument("french horn"), parts=1)) == "natural"


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


@pytest.mark.parametrize("name", NAMES)
def test_bigger_is_lower_and_brighter_is_brighter(name):
    bright, low = instrument(name).brightness, []
    for size in (1.33, 0.75):
        notes = phrase(typical(name, size=size), 1.5, np.random.default_rng(1))
        low.append(np.mean([note.midi for note in notes]) + typical(name, size=0.75).transposition)
    assert low[1] - low[0] > 5.5  # half an octave
    sounds = [
        play(typical(name, brightness=b), notes, 1.5, 48000, np.random.default_rng(1))
        for b in (bright - 0.15, min(bright + 0.15, 1.0))
    ]
    dull, shiny = (centroid(x, 48000) for x in sounds)
    assert shiny > 1.02 * dull
