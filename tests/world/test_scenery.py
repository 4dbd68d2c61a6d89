"""The stage: the same picture at every size, varied, and developed as a camera would."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from llinet_lite.world import scenery as stage
from llinet_lite.world.drawings import Pose


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", stage.BACKDROPS)
@pytest.mark.parametrize("size", [17, 64, 128])
def test_backdrops_are_pictures(kind, size):
    picture = stage.backdrop(kind, size, generator())
    assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert np.array_equal(picture, stage.backdrop(kind, size, generator()))
    assert picture.std() > 3


@pytest.mark.parametrize("kind", stage.BACKDROPS)
def test_a_backdrop_is_the_same_at_every_size(kind):
    agreement = []
    for seed in range(8):
        small = stage.backdrop(kind, 64, generator(seed)).astype(float)
        big = cv2.resize(stage.backdrop(kind, 256, generator(seed)), (64, 64), interpolation=cv2.INTER_AREA)
        agreement.append(np.abs(small - big).mean() / (np.abs(small - np.roll(big, 23, axis=1)).mean() + 1))
    assert np.median(agreement) < 0.5


@pytest.mark.parametrize("kind", stage.BACKDROPS)
def test_backdrops_vary(kind):
    pictures = np.stack([stage.backdrop(kind, 32, generator(seed)) for seed in range(30)]).astype(float)
    assert pictures.mean(axis=(1, 2)).std(axis=0).mean() > 15  # overall colour
    assert pictures.std(axis=0).mean() > 25  # every pixel


def test_clutter_in_front_keeps_clear():
    for seed in range(300):
        for thing in stage.clutter(generator(seed), [Pose(0.4, 0.6, 0.5)]):
            gap = np.hypot(thing.x - 0.4, thing.y - 0.6)
            assert not thing.front or gap >= 0.48 * (0.5 + thing.scale)
    counts = [len(stage.clutter(generator(seed), ())) for seed in range(300)]
    assert min(counts) == 0 and max(counts) == 4  # three behind, one in front


@pytest.mark.parametrize("kind", stage.THINGS)
def test_things_are_drawn_where_they_are(kind):
    thing = stage.Thing(kind, 0.3, 0.6, 0.3, 0.4, (200, 100, 50), True)
    cover = np.zeros((100, 100, 4), np.uint8)
    stage.put(cover, thing)
    y, x = np.nonzero(cover[..., 3])
    assert y.size > 50
    assert np.hypot(x / 100 - 0.3, y / 100 - 0.6).max() < 0.3 * 0.75 + 0.02
    canvas = np.zeros((100, 100, 3), np.uint8)
    stage.put(canvas, thing)
    assert np.array_equal(canvas.any(axis=-1), cover[..., :3].any(axis=-1))


def test_blend_is_the_over_operator():
    rng = generator()
    canvas = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    layer = rng.integers(0, 256, (40, 40, 4), dtype=np.uint8)
    layer[:10] = 0
    alpha = layer[..., 3:] / 255
    expected = canvas * (1 - alpha) + layer[..., :3] * alpha
    before = canvas.copy()
    stage.blend(canvas, layer)
    assert np.abs(canvas - expected).max() <= 1
    assert np.array_equal(canvas[:10], before[:10])
    empty = before.copy()
    stage.blend(empty, np.zeros((40, 40, 4), np.uint8))
    assert np.array_equal(empty, before)


def test_light_follows_the_camera():
    eye = replace(
        stage.camera(generator()), exposure=1.2, cast=(1.1, 1.0, 0.9), slope=(0.5, 0.0), vignette=0.0
    )
    gain = stage.light(eye, 64)
    assert gain.shape == (64, 64, 3) and gain.dtype == np.float32
    assert gain.mean(axis=(0, 1)) == pytest.approx(1.2 * np.array(eye.cast), rel=1e-4)
    assert gain[0, -1, 1] / gain[0, 0, 1] > 1.5
    assert stage.light(replace(eye, vignette=0.4), 64)[0, 0, 0] < gain[0, 0, 0]


def test_development_is_mild_and_repeatable():
    picture = stage.backdrop("room", 128, generator(2))
    for seed in range(20):
        eye = stage.camera(generator(seed))
        gain = stage.light(eye, 128)
        shot = stage.develop(picture, eye, gain, generator(1))
        assert shot.shape == picture.shape and shot.dtype == np.uint8
        assert np.array_equal(shot, stage.develop(picture, eye, gain, generator(1)))
        assert not np.array_equal(shot, stage.develop(picture, eye, gain, generator(2)))
        ideal = np.clip(picture * gain, 0, 255)
        assert np.corrcoef(shot.ravel(), ideal.ravel())[0, 1] > 0.8


def test_red_stays_red_through_the_camera():
    eye = stage.Camera(1.0, (1.0, 1.0, 1.0), (0.0, 0.0), 0.0, 0.0, 1.0, 95)
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    shot = stage.develop(red, eye, stage.light(eye, 32), generator())
    assert shot.mean(axis=(0, 1)) == pytest.approx([200, 0, 0], abs=6)
