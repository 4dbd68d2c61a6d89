"""The voices: each family's mark, what is heard of the specimen, and the promises that a scene relies on."""

import librosa
import numpy as np
import pytest
from scipy import signal

from llinet_lite.world import synthesis as syn
from llinet_lite.world.instruments import INSTRUMENTS, Individual, individual, instrument
from llinet_lite.world.voices import Note, phrase, play

RATE = 16000
NAMES = [row.name for row in INSTRUMENTS]
SUSTAINED = [row.name for row in INSTRUMENTS if row.decay == 0]


def typical(name, size=1.0, brightness=None, wear=0.2):
    row = instrument(name)
    return Individual(row, size, row.brightness if brightness is None else brightness, wear, 0.0)


def hertz(midi):
    return 440.0 * 2.0 ** ((midi - 69) / 12)


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


def centroid(x, rate=RATE):
    frequency, height = spectrum(x, rate, pad=1)
    return np.sum(frequency * height**2) / np.sum(height**2)


def performance(name, seed, seconds=3.0, rate=RATE):
    rng = np.random.default_rng(seed)
    specimen = individual(instrument(name), rng)
    notes = phrase(specimen, seconds, rng)
    return notes, play(specimen, notes, seconds, rate, rng)


# ------------------------------------------------------------------ each family's mark


@pytest.mark.parametrize("name", [n for n in SUSTAINED if n not in ("bagpipes", "didgeridoo")])
def test_sustained_notes_are_in_tune(name):
    f = hertz(middle(name))
    x = sound(name, middle(name), seconds=2.0)[RATE // 2 :]
    found = librosa.yin(x, fmin=0.6 * f, fmax=1.7 * f, sr=RATE, frame_length=4096)
    assert abs(1200 * np.log2(np.median(found) / f)) < 20


@pytest.mark.parametrize("name", [r.name for r in INSTRUMENTS if r.decay > 0])
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


def test_singing_bowl_beats():
    x = sound("singing bowl", 64, seconds=4.0)
    sos = signal.butter(2, np.array([0.9, 1.1]) * hertz(64), "bandpass", fs=RATE, output="sos")
    envelope = np.log(np.abs(signal.hilbert(signal.sosfiltfilt(sos, x)))[RATE // 2 : -RATE // 4])
    trend = np.polyval(np.polyfit(np.arange(len(envelope)), envelope, 1), np.arange(len(envelope)))
    assert np.std(envelope - trend) > 0.2  # a pure decay would be a straight line


def test_bell_has_its_minor_third():
    x = sound("bell", 72, seconds=2.0)
    heights = {ratio: peak_near(x, hertz(72) * ratio, 30)[1] for ratio in (0.5, 1, 1.2, 1.35, 1.5, 2)}
    assert all(heights[r] > 10 * heights[1.35] for r in (0.5, 1, 1.2, 1.5, 2))


def test_gong_blooms():
    x = sound("gong", 42, wear=0.0)[int(0.05 * RATE) :]
    high = signal.sosfilt(signal.butter(4, 1500, "highpass", fs=RATE, output="sos"), x)
    first, then = (np.std(high[int(a * RATE) : int(b * RATE)]) for a, b in ((0.002, 0.012), (0.06, 0.12)))
    assert then > 3 * first  # it would fall without a bloom


def test_octave_of_a_pan_grows_out_of_its_first_mode():
    x = sound("steel pan", 72, wear=0.0)[int(0.05 * RATE) :]
    share = []
    for start in (16, 720):  # samples; 184 hold six periods
        t = np.arange(184) / RATE
        part = x[start : start + 184] * np.hanning(184)
        heights = [abs(np.sum(part * np.exp(-2j * np.pi * n * hertz(72) * t))) for n in (1, 2)]
        share.append(heights[1] / heights[0])
    assert share[1] > 2 * share[0]


@pytest.mark.parametrize("name", ["trumpet", "french horn", "shofar"])
def test_brass_brightens_with_loudness(name):
    soft, half, loud = (centroid(sound(name, middle(name), velocity=v)) for v in (0.2, 0.55, 0.95))
    assert soft * 1.08 < half < loud / 1.08


def test_trumpet_is_brighter_than_horn_and_flute_is_purest():
    assert centroid(sound("trumpet", 65)) > 1.3 * centroid(sound("french horn", 65))
    overtones = {}
    for name in ("flute", "violin", "trumpet", "saxophone"):
        x = sound(name, 72)
        overtones[name] = peak_near(x, 3 * hertz(72))[1] / peak_near(x, hertz(72))[1]
    assert overtones["flute"] == min(overtones.values()) < 0.2


def test_accordion_beats_and_bagpipes_drone():
    x = sound("accordion", 65, seconds=2.0)
    frequency, height = spectrum(x[RATE // 4 :], pad=8)
    near = np.abs(frequency - 3 * hertz(65)) < 25
    assert len(signal.find_peaks(height[near], height=0.3 * height[near].max())[0]) == 2  # two reeds
    low = instrument("bagpipes").low
    x = sound("bagpipes", low + 9, seconds=2.0)
    for below in (-12, -24):
        assert peak_near(x, hertz(low + below))[1] > 30 * np.median(spectrum(x)[1])


def test_didgeridoo_vowels_move():
    notes = tuple(Note(k / 2, 0.5, 38.0, 0.9) for k in range(6))
    x = play(typical("didgeridoo"), notes, 3.0, RATE, np.random.default_rng(0))
    high = signal.sosfiltfilt(signal.butter(4, (1200, 2200), "bandpass", fs=RATE, output="sos"), x)
    level = np.sqrt(np.convolve(high**2, np.ones(800) / 800, "same"))
    after = np.mean([level[int((note.onset + 0.08) * RATE)] for note in notes[1:]])
    before = np.mean([level[int((note.onset - 0.06) * RATE)] for note in notes[1:]])
    assert after > 2 * before


def test_steel_bar_slides():
    notes = (Note(0.05, 0.8, 57.0, 0.8), Note(0.85, 0.8, 62.0, 0.8))
    x = play(typical("steel guitar"), notes, 1.7, RATE, np.random.default_rng(0))
    found = librosa.yin(x, fmin=150, fmax=400, sr=RATE, frame_length=1024, hop_length=160)
    between = [f for f in found[86:108] if hertz(57.4) < f < hertz(61.6)]
    assert len(between) >= 4


def test_high_partials_die_first_on_a_string():
    x = sound("guitar", 52, seconds=2.0)
    early, late = x[int(0.1 * RATE) : int(0.5 * RATE)], x[int(0.9 * RATE) : int(1.3 * RATE)]
    fall = [peak_near(early, n * hertz(52))[1] / peak_near(late, n * hertz(52))[1] for n in (1, 8)]
    assert fall[1] > 2 * fall[0] > 2


def test_high_partials_die_first_in_a_bar():
    x = sound("glockenspiel", 84, seconds=1.2, rate=48000)
    early, late = x[int(0.1 * 48000) : int(0.4 * 48000)], x[int(0.6 * 48000) : int(0.9 * 48000)]
    fall = [
        peak_near(early, f, rate=48000)[1] / peak_near(late, f, rate=48000)[1]
        for f in hertz(84) * syn.FREE_BAR[:2]
    ]
    assert fall[1] > 2 * fall[0] > 2


def test_low_tabla_head_bends_upwards():
    notes = (Note(0.05, 1.2, 47.0, 0.8), Note(1.3, 0.15, 62.0, 0.3))
    x = play(typical("tabla", wear=0.0), notes, 1.5, RATE, np.random.default_rng(0))
    early, late = x[int(0.06 * RATE) : int(0.14 * RATE)], x[int(0.4 * RATE) : int(0.7 * RATE)]
    pitches = [spectrum(part, pad=32)[0][np.argmax(spectrum(part, pad=32)[1])] for part in (early, late)]
    assert pitches[1] == pytest.approx(hertz(47), rel=0.02)
    assert pitches[0] < 0.95 * pitches[1]


@pytest.mark.parametrize("name", ["piano", "guitar", "marimba", "gong"])
def test_harder_strokes_are_brighter(name):
    soft, hard = (sound(name, middle(name), velocity=v)[: RATE // 4] for v in (0.3, 1.0))
    assert centroid(hard) > 1.01 * centroid(soft)


@pytest.mark.parametrize(
    "name", ["steel guitar", "sitar", "electric guitar", "banjo", "tabla", "violin", "flute"]
)
def test_velocity_is_loudness(name):
    midi = float(middle(name))
    notes = (Note(0.05, 0.6, midi, 0.3), Note(0.8, 0.6, midi, 0.9))
    x = play(typical(name, wear=0.0), notes, 1.5, RATE, np.random.default_rng(0))
    soft, loud = (np.sqrt(np.mean(x[int(t * RATE) : int((t + 0.3) * RATE)] ** 2)) for t in (0.05, 0.8))
    assert loud > 1.8 * soft


# -------------------------------------------------------------- the specimen is heard


def lower_half(x):
    """Mean frequency of the lower half of a sound's energy: follows register, not brightness."""
    frequency, height = spectrum(x, pad=1)
    power = np.cumsum(height**2)
    half = power < 0.5 * power[-1]
    return np.sum((frequency * height**2)[half]) / np.sum((height**2)[half])


@pytest.mark.parametrize("name", NAMES)
def test_bigger_is_lower_and_brighter_is_brighter(name):
    """The same phrases on two specimens; several, so that chance does not decide."""
    row, lower, brighter = instrument(name), [], []
    big, small = typical(name, size=1.33), typical(name, size=0.75)
    for seed in range(6):
        pair, pitch = [], []
        for specimen in (big, small):
            rng = np.random.default_rng(seed)
            notes = phrase(specimen, 1.5, rng)
            pitch.append(np.mean([note.midi for note in notes]))
            pair.append(play(specimen, notes, 1.5, RATE, rng))
        assert pitch[1] - pitch[0] == pytest.approx(small.transposition - big.transposition)
        lower.append(lower_half(pair[1]) / lower_half(pair[0]))
        dull, bright = (
            play(typical(name, brightness=b), notes, 1.5, 48000, np.random.default_rng(seed))
            for b in (row.brightness - 0.15, min(row.brightness + 0.15, 1.0))
        )
        brighter.append(centroid(bright, 48000) / centroid(dull, 48000))
    assert np.mean(lower) > 1.1
    assert np.mean(brighter) > 1.02


@pytest.mark.parametrize("name", ["guitar", "piano", "violin", "trumpet", "drum", "flute"])
def test_wear_is_heard_as_noise_in_the_attack(name):
    share = []
    for wear in (0.0, 1.0):
        frequency, height = spectrum(
            sound(name, middle(name), wear=wear)[int(0.04 * RATE) : int(0.07 * RATE)]
        )
        share.append(np.sum(height[frequency > 3000] ** 2) / np.sum(height**2))
    assert share[1] > 1.1 * share[0]


# ------------------------------------------------------------- promises to a scene


@pytest.mark.parametrize("name", NAMES)
def test_play_keeps_its_promises(name):
    for seed in range(3):
        notes, x = performance(name, seed)
        first = int(notes[0].onset * RATE)
        assert x.shape == (3 * RATE,) and x.dtype == np.float64
        assert np.isfinite(x).all() and np.abs(x).max() <= 1.0
        assert first <= 0.4 * RATE and not x[: first - 1].any()
        rms = np.sqrt(np.mean(x[first:] ** 2))
        assert rms == pytest.approx(syn.LEVEL, rel=0.06)  # half a decibel
        for start in range(first, 2 * RATE + 1, RATE // 10):
            assert np.sqrt(np.mean(x[start : start + RATE] ** 2)) > 10 ** (-30 / 20) * rms
        assert performance(name, seed)[1].tobytes() == x.tobytes()
    assert np.abs(performance(name, 1)[1] - performance(name, 2)[1]).max() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_phrase_and_sound_do_not_depend_on_the_sample_rate(name):
    slow_notes, slow = performance(name, 5, seconds=1.5)
    fast_notes, fast = performance(name, 5, seconds=1.5, rate=48000)
    assert slow_notes == fast_notes
    fast = librosa.resample(fast, orig_sr=48000, target_sr=RATE)
    bands = [librosa.cqt(x, sr=RATE, fmin=32.7, n_bins=84, hop_length=256) for x in (slow, fast)]
    assert np.corrcoef(*(np.abs(band).mean(axis=1) for band in bands))[0, 1] > 0.97


@pytest.mark.parametrize(
    "name", ["sitar", "violin", "trumpet", "glockenspiel", "electric guitar", "bagpipes"]
)
def test_nothing_folds_back(name):
    """A high note: every strong peak at 16 kHz is there at 48 kHz as well."""
    high = instrument(name).high
    a = spectrum(sound(name, high, wear=0.0), pad=1)[1]
    fast = librosa.resample(sound(name, high, rate=48000, wear=0.0), orig_sr=48000, target_sr=RATE)
    b = np.convolve(spectrum(fast, pad=1)[1] / a.max(), np.ones(41), "same")
    assert not ((a > 0.01 * a.max()) & (b < 0.01)).any()


def test_no_notes_are_silence():
    assert not play(typical("violin"), (), 2.0, RATE, np.random.default_rng(0)).any()
