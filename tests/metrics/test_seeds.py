"""Intervals over clips and seeds: against bootstrap and Student, and by how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from llinet_lite.metrics.correspondence import clip_bootstrap
from llinet_lite.metrics.seeds import DIFFERENCE, over_clips_and_seeds, with_seeds


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_one_seed_has_the_bootstrap_over_clips(share):
    rng = np.random.default_rng(0)
    hits, clips = rng.random(60) < share, np.repeat(np.arange(20), 3)
    one, other = over_clips_and_seeds(hits[None], clips), clip_bootstrap(hits, clips)
    assert (one.value, one.low, one.high, one.n) == pytest.approx(
        (other.value, other.low, other.high, other.n)
    )


def test_the_mean_lies_inside_and_equal_seeds_change_nothing():
    rng = np.random.default_rng(1)
    for values in (rng.random((1, 40)), rng.random((3, 40)), np.full((3, 40), 1 / 3), np.zeros((2, 5))):
        found = over_clips_and_seeds(values, np.arange(values.shape[1]))
        assert found.low <= found.value <= found.high and found.value == pytest.approx(values.mean())
        repeated = over_clips_and_seeds(np.repeat(values[:1], 4, 0), np.arange(values.shape[1]))
        one = over_clips_and_seeds(values[:1], np.arange(values.shape[1]))
        assert (repeated.low, repeated.high) == pytest.approx((one.low, one.high))


def test_it_widens_with_the_spread_of_the_seeds():
    rng = np.random.default_rng(2)
    values, widths = rng.random((3, 200)), []
    for spread in (0.0, 0.1, 0.3):
        found = over_clips_and_seeds(values + spread * np.array([[-1], [0], [1]]), np.arange(200))
        widths.append(found.high - found.low)
        assert found.value == pytest.approx(values.mean())
    assert widths[0] < widths[1] < widths[2] and widths[2] > 0.4


def test_queries_of_one_clip_are_drawn_together():
    values = np.repeat(np.random.default_rng(3).random((1, 10)), 20, 1)
    apart, together = (
        over_clips_and_seeds(values, c) for c in (np.arange(200), np.repeat(np.arange(10), 20))
    )
    assert together.high - together.low > 3 * (apart.high - apart.low)


def test_the_level_is_the_share_of_the_draws():
    values = np.random.default_rng(4).random((1, 500))
    wide, narrow = (over_clips_and_seeds(values, np.arange(500), level=level) for level in (0.95, 0.5))
    deviation = values.std() / np.sqrt(500)
    assert wide.high - wide.low == pytest.approx(2 * 1.96 * deviation, rel=0.1)
    assert narrow.high - narrow.low == pytest.approx(2 * 0.674 * deviation, rel=0.1)


def test_where_clips_do_not_matter_it_is_students():
    """SciPy's own interval of the mean of three numbers."""
    values = np.array([0.50, 0.56, 0.53])
    found = over_clips_and_seeds(np.repeat(values[:, None], 20, 1), np.arange(20))
    error = scipy.stats.sem(values)
    expected = scipy.stats.t.interval(0.95, 2, values.mean(), error)
    assert (found.low, found.high) == pytest.approx(expected, abs=0.05 * error)
    assert found.high > values.max() and found.low < values.min(), "seeds drawn with replacement end there"


def test_shares_and_differences_stay_possible():
    values = np.repeat(np.array([[0.9], [0.1]]), 30, 1)
    assert over_clips_and_seeds(values, np.arange(30)).low == 0
    assert over_clips_and_seeds(values, np.arange(30)).high == 1
    gap = over_clips_and_seeds(values - 0.5, np.arange(30), limits=DIFFERENCE)
    assert (gap.low, gap.high) == (-1, 1)


def test_the_other_way_round_it_is_the_mirror_image():
    rng = np.random.default_rng(5)
    gain = rng.normal(0.1, 0.3, (3, 80))
    one, back = (over_clips_and_seeds(x, np.arange(80), limits=DIFFERENCE) for x in (gain, -gain))
    assert (back.low, back.high) == pytest.approx((-one.high, -one.low), abs=1e-12)


@pytest.mark.parametrize(
    ("clips", "seeds", "least"),
    [(0.02, 0.04, 0.93), (0.04, 0.02, 0.93), (0.04, 0.0, 0.93), (0.0, 0.04, 0.93)],
)
def test_it_holds_the_truth_as_often_as_it_says(clips, seeds, least):
    """Three seeds, whose spread and that of the clips' mean are given; drawing seeds holds it less often."""
    rng, trials, held, drawing = np.random.default_rng(6), 600, 0, 0
    choices = np.array(np.meshgrid(*[range(3)] * 3)).reshape(3, -1)  # every draw of three seeds
    for _ in range(trials):
        each = 0.5 + clips * rng.standard_normal() + seeds * rng.standard_normal(3)
        drawn = each + clips * rng.standard_normal((300, 1))
        found = with_seeds(each, drawn, 100)
        held += found.low <= 0.5 <= found.high
        low, high = np.quantile(drawn[:, choices].mean(1), [0.025, 0.975])
        drawing += low <= 0.5 <= high
    assert least <= held / trials
    if seeds > clips:
        assert drawing / trials < 0.9 < held / trials


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="drawn"):
        with_seeds([0.1, 0.2], np.zeros((10, 3)), 5)
