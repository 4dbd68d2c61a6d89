"""Scenery and rooms: the same at every size and sample rate, whatever is played in them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from llinet_lite.world import room, scenery
from llinet_lite.world.drawings import Pose


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", scenery.BACKDROPS)
@pytest.mark.parametrize("size", [17, 64, 128])
def test_backdrops_are_pictures(kind, size):
    picture = scenery.backdrop(kind, size, generator())
    assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert np.array_equal(picture, scenery.backdrop(kind, size, generator()))
    assert picture.std() > 3


@pytest.mark.parametrize("kind", scenery.BACKDROPS)
def test_a_backdrop_is_the_same_at_every_size(kind):
    agreement = []
    for seed in range(8):
        small = scenery.backdrop(kind, 64, generator(seed)).astype(float)
        big = cv2.resize(scenery.backdrop(kind, 256, generator(seed)), (64, 64), interpolation=cv2.INTER_AREA)
        agreement.append(np.abs(small - big).mean() / (np.abs(small - np.roll(big, 23, axis=1)).mean() + 1))
    assert np.median(agreement) < 0.5


def test_clutter_in_front_keeps_clear():
    for seed in range(300):
        for thing in scenery.clutter(generator(seed), [Pose(0.4, 0.6, 0.5)]):
            gap = np.hypot(thing.x - 0.4, thing.y - 0.6)
            assert not thing.front or gap >= 0.48 * (0.5 + thing.scale)
    counts = [len(scenery.clutter(generator(seed), ())) for seed in range(300)]
    assert min(counts) == 0 and max(counts) == 4  # three behind, one in front


def test_blend_is_the_over_operator():
    rng = generator()
    canvas = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    layer = rng.integers(0, 256, (40, 40, 4), dtype=np.uint8)
    layer[:10] = 0
    alpha = layer[..., 3:] / 255
    expected = canvas * (1 - alpha) + layer[..., :3] * alpha
    before = canvas.copy()
    scenery.blend(canvas, layer)
    assert np.abs(canvas - expected).max() <= 1
    assert np.array_equal(canvas[:10], before[:10])
    empty = before.copy()
    scenery.blend(empty, np.zeros((40, 40, 4), np.uint8))
    assert np.array_equal(empty, before)


def rms_db(sound):
    return 20 * np.log10(np.sqrt(np.mean(np.square(sound))))


def sines(sample_rate, seconds=2.0):
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    return sum(np.sin(2 * np.pi * f * t + f) * np.exp(-t) for f in (220, 667, 1800, 3100))


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


@pytest.mark.parametrize("noise", room.NOISES)
def test_noise_is_the_same_below_8_khz_at_16_and_48_khz(noise):
    place = replace(room.room(generator(5)), noise=noise, high=6000.0)
    slow = room.background(place, 2.0, 16000, generator(1))
    fast = room.background(place, 2.0, 48000, generator(1))
    low = np.fft.irfft(np.fft.rfft(fast)[: slow.size // 2 + 1], slow.size) / 3
    assert np.corrcoef(slow, low)[0, 1] > 0.999
    many = np.concatenate([room.background(place, 2.0, 16000, generator(s)) for s in range(30)])
    assert rms_db(many) == pytest.approx(0, abs=1)


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


@pytest.mark.parametrize("sample_rate", [16000, 22050, 48000])
def test_the_imprint_ticks_25_times_a_second(sample_rate):
    trace = room.imprint(2.0, sample_rate)
    assert trace.size == 2 * sample_rate
    assert 20 * np.log10(np.abs(trace).max()) == pytest.approx(-45, abs=0.1)
    phase = np.mod(np.arange(trace.size) / sample_rate + 0.02, 0.04) - 0.02
    assert not trace[np.abs(phase) > 0.0011].any()
    assert len(np.flatnonzero(np.diff((np.abs(trace) > 1e-3).astype(int)) == 1)) >= 49
    assert np.array_equal(room.imprint(2.0, sample_rate, 2.0), 2 * trace)
