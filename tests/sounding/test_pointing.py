"""Does the map point at what is heard: boxes, baselines, duets, intervals, by maps known by heart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import scipy.stats
import torch
from sounding_fakes import CLASSES, LESSON, RUNS, Album, seeing, squares

from llinet_lite import sounding
from llinet_lite.metrics.intervals import clip_bootstrap
from llinet_lite.sounding import Duets, Pointing, boxed, hits, nearer, over_clips
from llinet_lite.sounding.pointing import MEANS, ratio_over_clips


def test_maps_that_are_the_masks_hit_always_and_silence_points_at_the_corner():
    objects = squares(40)
    label = np.arange(40) % 5
    test = sounding.pointing([seeing(objects, label), seeing(objects, label)])
    assert test.interval("own sound").value == 1
    assert test.rows["own sound"].shape == test.rows["shuffled sound"].shape == (2, 40)
    corner = float((objects[:, 0, 0] == 1).mean())
    assert test.interval("silence").value == pytest.approx(corner), "of equal cells the first"
    assert test.interval("image centre").value == pytest.approx(float((objects[:, 8, 8] == 1).mean()))
    assert test.interval("chance").value == pytest.approx(16 / 256)
    assert test.beats("image centre") and test.beats("silence") and not test.beats("shuffled sound")


def test_a_map_that_points_beside_the_mask_never_hits():
    located = seeing(squares(30), np.arange(30) % 3)
    wrong = dataclasses.replace(located, sound=torch.eye(3)[[1]].repeat(30, 1))  # asks for the other object
    test = sounding.pointing([wrong])
    assert test.interval("own sound").value == 0 and not test.beats("image centre")


@pytest.mark.parametrize("cells", [1, 2, 4, 8])
def test_the_point_is_the_centre_of_the_cell(cells):
    rng = np.random.default_rng(cells)
    maps, masks = torch.from_numpy(rng.random((20, cells, cells))), rng.random((20, 16, 16)) < 0.5
    expected = []
    for one, mask in zip(maps.numpy(), masks, strict=True):
        i, j = np.unravel_index(one.argmax(), one.shape)
        expected.append(mask[int((i + 0.5) * 16 / cells), int((j + 0.5) * 16 / cells)])
    assert np.array_equal(hits(maps, masks), expected)


def test_shuffled_sounds_differ_from_seed_to_seed():
    objects, label = squares(30), np.arange(30) % 3
    located = seeing(objects, label)
    located = dataclasses.replace(located, sound=torch.eye(3)[label])
    rows = sounding.pointing([located] * 3).rows["shuffled sound"]
    assert not np.array_equal(rows[0], rows[1])


def test_intervals_draw_clips():
    """Two pictures of a clip that always agree are worth one; so the interval is wider by sqrt(2)."""
    rng = np.random.default_rng(0)
    right = rng.random(200) < 0.6
    values = np.repeat(right, 2)[None].astype(float)
    clips = np.repeat(np.arange(200), 2)
    found = over_clips(values, clips)
    expected = clip_bootstrap(right, np.arange(200))
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
    alone = over_clips(values, np.arange(400))
    ratio = (found.high - found.low) / (alone.high - alone.low)
    assert 1.25 < ratio < 1.6 and (found.n, alone.n) == (200, 400)


def test_every_picture_counts_once_in_clips_of_unlike_size():
    values, clip = np.array([[1.0, 1, 1, 0, 0]]), np.array([4, 4, 4, 9, 7])
    cell = over_clips(values, clip)
    assert cell.value == pytest.approx(0.6) and cell.n == 3
    assert (cell.low, cell.high) == (0, 1)
    two = over_clips(np.stack([values[0], 1 - values[0]]), clip)
    assert two.value == pytest.approx(0.5) and (two.low, two.high) == (0, 1), "two seeds that differ"


def test_results_and_tables_say_every_row():
    solos = seeing(squares(48), np.arange(48) % 6)
    test = sounding.pointing([solos, solos])
    rows = {row.name: row for row in test.results("seen classes", LESSON, RUNS)}
    assert list(rows) == [f"pointing, seen classes, {name}" for name in test.rows]
    own = rows["pointing, seen classes, own sound"]
    assert (own.paper, own.seeds, own.n, own.profile) == (0.817, (0, 1), 48, "laptop")
    assert own.chance == pytest.approx(boxed(solos.masks).mean())
    assert rows["pointing, seen classes, image centre"].paper == 0.572
    assert all(row.paper is None for row in test.results("seen classes", LESSON, RUNS, paper={}))
    frame = sounding.pointing_frame({"seen": test, "again": test})
    assert list(frame.columns) == ["seen", "again", "paper"] and list(frame.index) == list(test.rows)
    assert frame.loc["own sound", "paper"] == "81.7%" and frame.loc["chance", "paper"] == "-"
    assert frame.loc["own sound", "seen"] == str(test.interval("own sound"))
    assert list(sounding.pointing_frame({"seen": test}, paper={}).columns) == ["seen"]


def test_classes_are_told_apart_best_first():
    objects = squares(40)
    label = np.array([0, 1]).repeat(20)
    located = seeing(objects, label, clip=np.arange(40) // 2)
    located = dataclasses.replace(located, sound=torch.eye(3)[label])  # class 1 asks for the wrong object
    rows = sounding.pointing([located]).by_class(Album(1))
    names = [c["name"] for c in CLASSES]
    assert [(name, value) for name, value, *_ in rows] == [(names[0], 1.0), (names[1], 0.0)]
    centre = (objects[:, 8, 8] == 1).reshape(2, 20).mean(1)
    assert [row[4] for row in rows] == pytest.approx(centre)


def test_beating_asks_for_intervals_apart():
    rng = np.random.default_rng(0)
    low, high = (rng.random((1, 300)) < share for share in (0.50, 0.53))
    rows = {"own sound": high.astype(float), "near": low.astype(float), "far": np.zeros((1, 300))}
    test = Pointing(rows, np.arange(300), np.zeros(300, int))
    assert test.beats("far") and not test.beats("near") and not test.beats("own sound")


def test_the_box_spans_the_outline_and_is_what_counts_by_default():
    rng = np.random.default_rng(0)
    masks = rng.random((12, 9, 11)) < 0.05
    for mask, box in zip(masks, boxed(masks), strict=True):
        expected = np.zeros_like(mask)
        if mask.any():
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            expected[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        assert np.array_equal(box, expected)
    objects = squares(20)
    objects[:, ::2] = 0  # combs: their boxes are fuller than they
    located = seeing(objects, np.arange(20) % 4)
    areas = {r: sounding.pointing([located], r).interval("chance").value for r in ("box", "outline")}
    assert areas["box"] > areas["outline"]
    assert sounding.pointing([located]).interval("chance").value == areas["box"]
    with pytest.raises(ValueError, match="region must be one of box, outline"):
        sounding.pointing([located], "disc")


def test_nearer_is_decided_by_the_closest_pixel():
    maps = torch.zeros(2, 8, 8)
    maps[0, 2, 2], maps[1, 6, 6] = 1, 1
    first, second = np.zeros((2, 2, 8, 8), bool)
    first[:, 0, 0], second[:, 7, 7] = True, True
    assert nearer(maps, first, second).tolist() == [True, False]
    assert nearer(maps, second, first).tolist() == [False, True]


def by_hand(objects, first: int, second: int, third: int, clip=None) -> Duets:
    """Duets whose maps light up the given object for each sound; 3 is nowhere."""
    label = np.zeros(len(objects), int)
    scenes = seeing(objects, label, "duet", clip)
    maps = [torch.from_numpy(objects == k).float() for k in (first, second, third)]
    return Duets(scenes, *maps, label + 1)


def test_heat_that_follows_the_sound_moves():
    objects = squares(24)
    objects[:, 0, 0] = 0  # a map of zeros points at the first cell
    follows = sounding.follows([by_hand(objects, 1, 2, 3)])
    values = {name: cell.value for name, cell in follows.rows.items()}
    assert values == {
        "on its box": 1, "on its outline": 1, "nearer to it": 1, "moves": 1,
        "on either box, a third class's sound": 0,
        "mean map, own sound": pytest.approx((objects == 1).mean()), "mean map, silence": 0,
        "mean map, silence / own sound": 0,
    }  # fmt: skip
    rows = follows.results(LESSON, RUNS[:1], probabilities=True)
    assert [row.name for row in rows] == [f"duets: {name}" for name in values]
    without = follows.results(LESSON, RUNS[:1], probabilities=False)
    assert [row.name for row in without] == [r.name for r in rows if r.name[7:] not in MEANS]
    assert rows[0].n == 24 and rows[0].seeds == (0,) and follows["moves"].low == 1
    assert list(follows.frame().columns) == ["value", "low", "high", "chance", "scenes"]
    assert [row.chance for row in rows[2:4]] == [0.5, 0.25] and rows[0].chance is None


def test_heat_that_stays_on_one_instrument_does_not_move():
    follows = sounding.follows([by_hand(squares(24), 1, 1, 1)])
    assert [follows[row].value for row in ("on its outline", "nearer to it", "moves")] == [0.5, 0.5, 0]
    assert follows["on either box, a third class's sound"].value == 1


def test_both_must_hold_in_one_picture_of_one_network():
    objects = squares(24)
    follows = sounding.follows([by_hand(objects, 1, 1, 3), by_hand(objects, 2, 2, 3)])
    assert follows["nearer to it"].value == 0.5
    assert follows["moves"].value == 0, "each network stays"


def test_scenes_are_counted_not_pictures():
    follows = sounding.follows([by_hand(squares(24), 1, 2, 3, clip=np.arange(24) // 2)])
    assert follows["moves"].n == 12


def test_mean_maps_are_those_of_own_sound_and_of_silence():
    duets = by_hand(squares(24), 1, 2, 3)
    half = dataclasses.replace(duets.scenes, silence=torch.tensor([0.5, 0.0, 0.0]))
    follows = sounding.follows([dataclasses.replace(duets, scenes=half)])
    own, silent = (follows[f"mean map, {sound}"].value for sound in ("own sound", "silence"))
    assert (own, silent) == pytest.approx((16 / 256, 8 / 256))
    assert follows["mean map, silence / own sound"].value == pytest.approx(0.5)


def test_a_mean_map_without_a_scale_may_lie_above_one():
    duets = by_hand(squares(24), 1, 2, 3)
    loud = dataclasses.replace(duets.scenes, cells=1000 * duets.scenes.cells)
    found, known = (
        sounding.follows([dataclasses.replace(duets, scenes=of)])["mean map, own sound"]
        for of in (loud, duets.scenes)
    )
    assert found.value > 1
    bounds = found.value, found.low, found.high
    assert bounds == pytest.approx([1000 * x for x in (known.value, known.low, known.high)])
    values = np.array([[0.2, 0.4, 5.0, 7.0]])
    cell = over_clips(values, np.arange(4), limits=(0, np.inf))
    assert cell.low < cell.value < cell.high, "not cut at one"


def test_the_ratio_of_two_means_is_that_of_scipy():
    rng = np.random.default_rng(0)
    above, below = rng.random(400) + 0.5, rng.random(400) + 1
    found = ratio_over_clips(above[None], below[None], np.arange(400))
    oracle = scipy.stats.bootstrap(
        (above, below),
        lambda a, b, axis: a.mean(axis) / b.mean(axis),
        paired=True,
        method="percentile",
        rng=1,
    ).confidence_interval
    assert found.value == pytest.approx(above.mean() / below.mean())
    assert (found.low, found.high) == pytest.approx(oracle, abs=0.005)


def test_a_ratio_to_nothing_is_refused():
    with pytest.raises(ValueError, match="dead"):
        ratio_over_clips(np.ones((1, 3)), np.zeros((1, 3)), np.arange(3))


def test_peaks_are_the_highest_values_kind_by_kind():
    objects, label = squares(12), np.arange(12) % 3
    solos, scenes = seeing(objects, label), seeing(objects, label, "silence")
    scenes = dataclasses.replace(
        scenes,
        kind=np.array(["duet", "distractor", "offscreen", "silence"]).repeat(3),
        sound=scenes.sound * torch.arange(12.0)[:, None],
    )
    solos = dataclasses.replace(solos, sound=torch.eye(3)[label])
    found = sounding.peaks(solos, scenes)
    assert found["solo"].tolist() == [float((objects[k] == label[k] + 1).any()) for k in range(12)]
    assert found["duet"].tolist() == [0, 1, 2] and found["silence"].tolist() == [9, 10, 11]
    assert list(found)[-1] == "solo, another class's sound" and len(found) == 6
