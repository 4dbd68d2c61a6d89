"""The 32 drawings: exact place and extent, motion, determinism, attributes that show."""

from __future__ import annotations

import itertools
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest

from llinet_lite.world.drawings import BUILDS, Layers, Pose, draw, sketch
from llinet_lite.world.instruments import INSTRUMENTS, Individual, instrument

Motion = namedtuple("Motion", "stroke energy")
REST = Motion(1.0, 0.0)
NAMES = [row.name for row in INSTRUMENTS]
CENTERED = Pose(0.5, 0.5, 0.6, 0.0, False)


def specimen(name, *, size=1.0, brightness=None, wear=0.3, hue=0.0):
    row = instrument(name)
    return Individual(row, size, row.brightness if brightness is None else brightness, wear, hue)


def layers(name, pose=CENTERED, motion=REST, pixels=128, seed=0, **attributes) -> Layers:
    return draw(specimen(name, **attributes), pose, motion, pixels, np.random.default_rng(seed))


def solid(layer):
    return layer[:, :, 3] >= 128


def bounds(layer):
    """Left, top, right, bottom of what is at least faintly covered, pixels."""
    y, x = np.nonzero(layer[:, :, 3] > 40)
    return x.min(), y.min(), x.max() + 1, y.max() + 1


def test_a_drawing_follows_the_row_and_not_the_name():
    for row in INSTRUMENTS:
        assert row.shape.build in BUILDS
        one, other = (
            draw(Individual(each, 1.0, 0.5, 0.3, 0.0), CENTERED, REST, 32, np.random.default_rng(0))
            for each in (row, replace(row, name="nameless"))
        )
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_layers_are_uint8_images_of_the_canvas_with_something_on_each(name):
    drawn = layers(name, pixels=96)
    for layer in drawn:
        assert layer.shape == (96, 96, 4)
        assert layer.dtype == np.uint8
        assert solid(layer).sum() > 15
    assert not drawn.instrument[drawn.instrument[:, :, 3] == 0].any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [0.75, 1.33])
def test_longest_side_is_the_scale_and_the_center_is_the_pose(name, size):
    pose = Pose(0.55, 0.45, 0.7, 0.0, False)
    left, top, right, bottom = bounds(layers(name, pose, pixels=256, size=size).instrument)
    assert max(right - left, bottom - top) == pytest.approx(0.7 * 256, rel=0.05)
    assert (left + right) / 2 == pytest.approx(0.55 * 256, abs=4)
    assert (top + bottom) / 2 == pytest.approx(0.45 * 256, abs=4)


def test_number_of_draws_does_not_depend_on_class_or_motion():
    states = set()
    for name, motion in itertools.product(NAMES, (REST, Motion(-1.0, 1.0))):
        rng = np.random.default_rng(3)
        draw(specimen(name), CENTERED, motion, 32, rng)
        states.add(rng.random())
    assert len(states) == 1


@pytest.mark.parametrize("name", NAMES)
def test_motion_moves_the_player_but_hardly_the_instrument(name):
    moments = [layers(name, motion=Motion(stroke, 0.9)) for stroke in (1.0, 0.0, -1.0)]
    for a, b in itertools.pairwise(moments):
        changed = [np.abs(x.astype(int) - y).max(axis=2) > 30 for x, y in zip(a, b, strict=True)]
        assert sum(c.sum() for c in changed) > 8
        mask, other = solid(a.instrument), solid(b.instrument)
        assert (mask ^ other).sum() < 0.10 * mask.sum()


@pytest.mark.parametrize("name", [row.name for row in INSTRUMENTS if row.exciter == "bowed"])
def test_the_bow_slides_along_itself(name):
    fronts = [sketch(specimen(name), Motion(stroke, 0.5), np.random.default_rng(0)) for stroke in (-0.5, 0.5)]
    hair = [
        next(p for op, p in zip(f._ops, f._points, strict=True) if op[4] == (244, 240, 226)) for f in fronts
    ]
    shift, along = hair[1] - hair[0], hair[0][1] - hair[0][0]
    assert np.linalg.norm(shift[0]) > 0.1
    assert abs(shift[0, 0] * along[1] - shift[0, 1] * along[0]) < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_a_bigger_specimen_is_bigger_against_the_players_head(name):
    def area(size):
        painter = sketch(specimen(name, size=size), REST, np.random.default_rng(0))
        drawn = painter.render(CENTERED, 128)
        meters_per_pixel = painter.extent[1] / (0.6 * 128)
        return solid(drawn.instrument).sum() * meters_per_pixel**2

    # the player's head has the same size in meters in both
    assert area(1.33) > 1.8 * area(0.75)


@pytest.mark.parametrize("name", NAMES)
def test_a_brighter_specimen_looks_lighter(name):
    def luminance(brightness):
        drawn = layers(name, brightness=brightness).instrument
        return (drawn[solid(drawn)][:, :3] @ [0.299, 0.587, 0.114]).mean()

    assert luminance(0.9) > luminance(0.2) + 3


def test_wear_scratches_the_surface_but_not_the_mask():
    for name in NAMES:
        new, old = layers(name, wear=0.0).instrument, layers(name, wear=1.0).instrument
        assert np.array_equal(new[:, :, 3], old[:, :, 3])
        assert np.abs(new.astype(int) - old)[solid(new)].mean() > 2


def test_all_drawings_can_be_told_apart():
    small = {}
    for name in NAMES:
        drawn = layers(name, replace(CENTERED, scale=0.9), pixels=64).instrument.astype(float)
        small[name] = np.concatenate([drawn[:, :, :3] * drawn[:, :, 3:] / 255, drawn[:, :, 3:]], 2)
    for a, b in itertools.combinations(NAMES, 2):
        shape = (small[a][:, :, 3] > 127) | (small[b][:, :, 3] > 127)
        assert np.abs(small[a] - small[b])[shape].mean() > 18, (a, b)


def test_partly_outside_and_tiny_canvases_are_drawn_without_error():
    for name in ("violin", "harmonica", "gong"):
        drawn = layers(name, Pose(0.02, 0.98, 1.4, 2.0, True), pixels=48)
        assert drawn.instrument.shape == (48, 48, 4)
        assert layers(name, pixels=8).instrument[:, :, 3].any()
        assert not layers(name, Pose(5.0, 5.0, 0.3, 0.0, False), pixels=32).instrument.any()
