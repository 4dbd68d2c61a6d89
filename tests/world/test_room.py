"""Rooms: the same at every sample rate, and at the level that was decided, whatever is played."""

from dataclasses import replace

import numpy as np
import pytest

from llinet_lite.world import room


def generator(seed=0):
    return np.random.default_rng(seed)


def rms_db(sound):
    return 20 * np.log10(np.sqrt(np.mean(np.square(sound))))


def sines(sample_rate, seconds=2.0):
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    return sum(np.sin(2 * np.pi * f * t + f) * np.exp(-t) for f in (220, 667, 1800, 3100))


def transfer(place, sample_rate, frequencies):
    """Frequency response of the room at the given frequencies, Hz."""
    impulse = room.response(place, sample_rate, generator(3))
    return np.abs(
        np.exp(-2j * np.pi * np.outer(frequencies, np.arange(impulse.size)) / sample_rate) @ impulse
    )


def test_factors_are_in_their_ranges():
    places = [room.room(generator(seed)) for seed in range(200)]
    assert all(0.08 <= p.reverberation <= 0.6 for p in places)
    assert all(room.LEVELS[0] <= p.level_db <= room.LEVELS[1] for p in places)
    assert all(room.RATIOS[0] <= p.level_db - p.noise_db <= room.RATIOS[1] for p in places)
    assert {p.noise for p in places} == set(room.NOISES)
    assert np.ptp([p.level_db for p in places]) > 15


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100, 48000])
def test_impulse_response_decays_by_60_db(sample_rate):
    place = replace(room.room(generator(1)), reverberation=0.4, direct=0.0, damping=8000.0, echoes=())
    impulse = room.response(place, sample_rate, generator(2))
    assert impulse.size == round(0.4 * sample_rate)
    energy = 10 * np.log10(np.cumsum(np.square(impulse[::-1]))[::-1])  # Schroeder's backward integral
    t = np.arange(impulse.size) / sample_rate
    early = (t > 0.01) & (t < 0.2)
    slope = np.polyfit(t[early], energy[early], 1)[0]
    assert -60 / slope == pytest.approx(0.4, rel=0.15)


def test_the_room_is_the_same_at_16_and_48_khz():
    place = room.room(generator(5))
    frequencies = np.linspace(100, 6000, 60)
    slow, fast = transfer(place, 16000, frequencies), transfer(place, 48000, frequencies)
    assert np.corrcoef(slow, fast)[0, 1] > 0.95


@pytest.mark.parametrize("noise", room.NOISES)
def test_noise_is_the_same_below_8_khz_at_16_and_48_khz(noise):
    place = replace(room.room(generator(5)), noise=noise, high=6000.0)
    slow = room.background(place, 2.0, 16000, generator(1))
    fast = room.background(place, 2.0, 48000, generator(1))
    low = np.fft.irfft(np.fft.rfft(fast)[: slow.size // 2 + 1], slow.size) / 3
    assert np.corrcoef(slow, low)[0, 1] > 0.999
    many = np.concatenate([room.background(place, 2.0, 16000, generator(s)) for s in range(30)])
    assert rms_db(many) == pytest.approx(0, abs=1)


def test_colours_of_noise_differ():
    def centroid(noise):
        place = replace(room.room(generator(5)), noise=noise, low=30.0, high=14000.0, tilt=0.0)
        power = np.abs(np.fft.rfft(room.background(place, 2.0, 16000, generator(1)))) ** 2
        return power @ np.linspace(0, 8000, power.size) / power.sum()

    assert centroid("white") > centroid("pink") > centroid("crowd") > centroid("brown")


def test_the_microphone_is_a_tilted_band():
    place = replace(room.room(generator(5)), low=100.0, high=5000.0, tilt=0.0)
    gain = room.microphone(place, np.array([0.0, 100.0, 1000.0, 5000.0, 20000.0]))
    assert gain[0] < 1e-3 and gain[4] < 0.07
    assert gain[[1, 3]] == pytest.approx(np.sqrt(0.5), rel=0.01)
    assert gain[2] == pytest.approx(1, abs=0.01)
    octave = room.microphone(replace(place, tilt=2.0), np.array([1000.0, 2000.0]))
    level = room.microphone(place, np.array([1000.0, 2000.0]))
    assert 20 * np.log10(octave[1] / octave[0] * level[0] / level[1]) == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize("sample_rate", [16000, 48000])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
def test_level_does_not_depend_on_what_is_played(sample_rate, scale):
    click = np.zeros(2 * sample_rate)
    click[sample_rate // 2 :: sample_rate // 2] = 1
    for dry in (sines(sample_rate), click, np.sign(sines(sample_rate))):
        place = room.room(generator(int(scale * 10)))
        sound = room.record(scale * dry, place, sample_rate, generator(1))
        assert sound.shape == dry.shape and np.abs(sound).max() < 1
        assert rms_db(sound) == pytest.approx(place.level_db, abs=0.01)


def test_ratio_of_signal_to_noise():
    loud, quiet = (
        replace(room.room(generator(4)), ratio_db=ratio, noise="white", high=14000.0)
        for ratio in (100.0, 10.0)
    )
    clean, noisy = (room.record(sines(16000), place, 16000, generator(1)) for place in (loud, quiet))
    gain = clean @ noisy / (clean @ clean)
    assert rms_db(gain * clean) - rms_db(noisy - gain * clean) == pytest.approx(10, abs=0.7)


def test_silence_is_noise_at_its_own_level():
    place = room.room(generator(8))
    sound = room.record(np.zeros(48000), place, 16000, generator(1))
    assert rms_db(sound) == pytest.approx(place.noise_db, abs=2)


def test_same_seed_same_sound():
    place = room.room(generator(8))
    one, two = (room.record(sines(16000), place, 16000, generator(1)) for _ in range(2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, room.record(sines(16000), place, 16000, generator(2)))


@pytest.mark.parametrize("sample_rate", [16000, 22050, 48000])
def test_the_imprint_ticks_25_times_a_second(sample_rate):
    trace = room.imprint(2.0, sample_rate)
    assert trace.size == 2 * sample_rate
    assert 20 * np.log10(np.abs(trace).max()) == pytest.approx(-45, abs=0.1)
    phase = np.mod(np.arange(trace.size) / sample_rate + 0.02, 0.04) - 0.02
    assert not trace[np.abs(phase) > 0.0011].any()
    assert len(np.flatnonzero(np.diff((np.abs(trace) > 1e-3).astype(int)) == 1)) >= 49
    assert np.array_equal(room.imprint(2.0, sample_rate, 2.0), 2 * trace)
