"""Invented instruments: reproducible, of many shapes, apart from the unseen, seen and heard, no shortcut."""

from __future__ import annotations

import importlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from llinet_lite.world import INSTRUMENTS, SEEN, UNSEEN, Scene, clip, distance, family, invented, sheet
from llinet_lite.world.drawings import BUILDS, Pose, draw
from llinet_lite.world.instruments import Individual, form, individual
from llinet_lite.world.voices import motion, phrase, play

table = importlib.import_module("llinet_lite.world.invented")
KINDS = {
    "neck": ("neck and box", "neck and membrane", "solid body"),
    "strings": ("frame and strings", "box and strings"),
    "solid": ("bar", "tube bell", "plate", "bowl", "pan"), "tube": ("cylindrical tube", "conical tube"),
    "blown": ("lip reed", "single reed", "free reed", "air jet", "bag"),
    "metal": ("brass", "silver", "steel"),
    "plant": ("wood", "dark wood", "cane", "gourd"),
}  # fmt: skip
KIND = {name: kind for kind, names in KINDS.items() for name in names}


@pytest.fixture(scope="module")
def rows():
    return invented(1000)


def by_hand(a, b):
    """The distance as its docstring states it."""
    total = 0.0
    weights = {"exciter": (1.0, 1.0), "resonator": (0.5, 1.2), "material": (0.6, 0.3)}
    for key, (own, kind) in weights.items():
        x, y = getattr(a, key), getattr(b, key)
        total += (x != y) * own**2 + (KIND.get(x, x) != KIND.get(y, y)) * kind**2
    octaves = {
        "length": 0.25 * np.log2(a.length / b.length),
        "register": (a.low + a.high - b.low - b.high) / 2 / 12 / 6,
        "decay": 0.15 * np.log2((0.1 + a.decay) / (0.1 + b.decay)),
        "parts": 0.12 * np.log2(a.parts / b.parts),
        "brightness": 0.7 * (a.brightness - b.brightness),
    }  # fmt: skip
    return np.sqrt(total + sum(value**2 for value in octaves.values()))


def test_the_same_seed_gives_the_same_and_the_first_do_not_depend_on_the_count(rows):
    table.invented.cache_clear()
    assert invented(30) == rows[:30] and invented(30, 1) != rows[:30]
    assert [row.name for row in rows[:2]] == ["inv-0000", "inv-0001"] and len({r.name for r in rows}) == 1000


def test_there_are_many_shapes_and_every_exciter_and_resonator(rows):
    assert len({form(row) for row in rows}) >= 600
    assert len({(row.shape.build, row.shape.outline) for row in rows}) >= 200
    assert {row.exciter for row in rows} == {row.exciter for row in INSTRUMENTS}
    assert {row.resonator for row in rows} == {row.resonator for row in INSTRUMENTS} - {"solid body"}
    pairs = {(row.exciter, row.resonator) for row in rows}
    assert len(pairs - {(row.exciter, row.resonator) for row in INSTRUMENTS}) >= 12  # hybrids


def test_distance_is_what_is_stated(rows):
    for a, b in itertools.combinations([*INSTRUMENTS, *rows[:20]], 2):
        assert distance(a, b) == pytest.approx(by_hand(a, b), abs=1e-9)
    assert distance(rows[0], rows[0]) == 0


def test_nothing_unseen_is_given_away(rows):
    for unseen in UNSEEN:
        nearest = min(distance(unseen, row) for row in SEEN)
        assert min(distance(unseen, row) for row in rows) >= nearest
        assert table.gives_away(unseen)
    own = {row.shape.build for row in UNSEEN} - {row.shape.build for row in SEEN}
    assert len(own) == 7 and not own & {row.shape.build for row in rows}
    outlines = {name for row in rows for name, _ in row.shape.outline}
    assert "bass" not in outlines  # the only build that seen and unseen share is the fiddle


def test_no_two_are_copies(rows):
    points = np.array([table.coordinates(row) for row in rows])
    apart = [np.linalg.norm(points[k + 1 :] - point, axis=1).min() for k, point in enumerate(points[:-1])]
    assert min(apart) >= table.APART - 1e-12


def test_too_many_are_refused(monkeypatch):
    monkeypatch.setattr(table, "APART", 3.0)
    with pytest.raises(ValueError, match=r"no room for 40 invented instruments 3\.0 apart"):
        invented(40, 9)


@pytest.mark.parametrize("way", table.SPACE)
def test_every_combination_can_be_seen_and_heard(way):
    ranges, rng = table.SPACE[way], np.random.default_rng(1)
    for exciter, resonator in itertools.product(sorted(set(ranges.exciters)), ranges.resonators):
        row = next(r for r in iter(lambda x=exciter: table._draw("it", x, rng), None)
                   if (r.shape.build, r.resonator) == (way, resonator))  # fmt: skip
        for parts, length in zip(ranges.parts, ranges.length, strict=True):
            one = Individual(replace(row, parts=parts, length=length), 1.0, row.brightness, 0.3, 0.0)
            notes = phrase(one, 0.6, rng)
            sound = play(one, notes, 0.6, 8000, rng)
            assert np.isfinite(sound).all() and np.sqrt(np.mean(sound**2)) > 0.03
            layers = draw(one, Pose(), motion(one, notes, 0.3), 48, rng)
            assert (layers.instrument[..., 3] > 127).sum() > 20 and (layers.front[..., 3] > 127).any()
    assert way in BUILDS


def test_masks_are_exact_and_as_large_as_the_pose_says(rows):
    for k, row in enumerate(rows[:60]):
        scene = Scene(row, k, seconds=0.6)
        scene.clutter = ()
        member = scene.cast[0]
        move = motion(member.individual, scene.notes[0], 0.28)
        layers = draw(member.individual, member.pose, move, 64, scene._rng("look", 0))
        seen = layers.instrument[..., 3] * (1 - layers.front[..., 3] / 255)
        assert np.array_equal(scene.mask(0.3, 64), seen > 127)
        alone = draw(member.individual, Pose(), move, 128, np.random.default_rng(0)).instrument[..., 3] > 40
        sides = [np.ptp(np.flatnonzero(alone.any(axis=axis))) + 1 for axis in (0, 1)]
        assert max(sides) == pytest.approx(0.6 * 128, rel=0.12), (row.name, row.shape)


def test_bigger_is_lower_and_metal_rings_longer(rows):
    for resonator in ("neck and box", "membrane", "bowl", "cylindrical tube"):
        some = [row for row in rows if row.resonator == resonator]
        assert stats.spearmanr([r.length for r in some], [r.low for r in some]).statistic < -0.5
    bars = [row for row in rows if row.resonator == "bar" and row.decay]
    metal = [row.decay for row in bars if row.material in KINDS["metal"]]
    assert np.median(metal) > 2 * np.median([row.decay for row in bars if row.material not in KINDS["metal"]])


def test_an_instrument_stands_for_its_name(rows):
    made = clip(rows[3], 5, size=48, sample_rate=8000, seconds=1.0)
    assert made.factors["class"] == "inv-0003" and made.mask.any() and made.waveform.any()
    named = clip(INSTRUMENTS[4], 5, size=48, sample_rate=8000, seconds=1.0)
    assert np.array_equal(named.image, clip("cello", 5, size=48, sample_rate=8000, seconds=1.0).image)
    duet = Scene(rows[0], 1, "duet", partner=rows[1])
    assert [member.name for member in duet.cast] == ["inv-0000", "inv-0001"]
    assert Scene(rows[0], 1, "duet").cast[1].name in {row.name for row in SEEN}
    with pytest.raises(ValueError, match="must be of another class"):
        Scene(rows[0], 1, "duet", partner=rows[0])
    assert sheet(rows[:5], 3, size=32).shape == (64, 96, 3)


def test_family_is_exciter_then_resonator(rows):
    some = rows[:80]
    d = family.distances(some + INSTRUMENTS)
    assert np.array_equal(d[80:, 80:], family.distances())
    for i, j in itertools.combinations(range(80), 2):
        a, b = some[i], some[j]
        if a.exciter == b.exciter:
            assert d[i, j] == (2 if a.resonator == b.resonator else 4)
        elif a.family[1] != b.family[1]:
            assert d[i, j] == 6


def test_where_and_by_whom_it_is_played_does_not_know_the_class(rows):
    factors = [Scene(row, 2000 + seed).factors for row in rows for seed in range(2)]
    flat = [{**f, **f["room"], **f["camera"], **f["pose"]} for f in factors]
    looks = [Scene(row, 2000 + seed)._rng("look", 0).random(9) for row in rows for seed in range(2)]
    numbers = {key: np.array([f[key] for f in flat], float) for key in (
        "x", "y", "scale", "angle", "mirrored", "level_db", "noise_db", "reverberation", "exposure",
        "clutter", "size", "wear", "hue")}  # fmt: skip
    numbers |= {f"player {k}": column for k, column in enumerate(np.array(looks).T)}
    numbers["background"] = np.array([hash(f["background"]) % 97 for f in factors], float)
    p = []
    for attribute in ("exciter", "resonator", "material"):
        groups = np.repeat([getattr(row, attribute) for row in rows], 2)
        p += [stats.kruskal(*(x[groups == g] for g in np.unique(groups))).pvalue for x in numbers.values()]
    assert min(p) > 0.05 / len(p)


def test_the_draws_of_a_scene_do_not_depend_on_the_class(rows):
    states = set()
    for row in rows[:40]:
        rng = np.random.default_rng(3)
        draw(
            individual(row, rng), Pose(), motion(individual(row, np.random.default_rng(0)), (), 0.0), 16, rng
        )
        states.add(rng.random())
    assert len(states) == 1
