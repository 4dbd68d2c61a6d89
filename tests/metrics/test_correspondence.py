"""Accuracies and intervals against scikit-learn, SciPy and simulation."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from llinet_lite.metrics.correspondence import (
    Interval,
    accuracy,
    balanced_accuracy,
    chance,
    clip_bootstrap,
    is_above_chance,
    wilson,
)


def test_accuracies_are_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(20):
        said, match = rng.random(60) < 0.7, rng.random(60) < 0.3
        assert accuracy(said, match) == pytest.approx(accuracy_score(match, said))
        assert balanced_accuracy(said, match) == pytest.approx(balanced_accuracy_score(match, said))
    assert chance([1, 0, 1, 0]) == 0.5 and chance([1, 0, 0, 0]) == 0.75


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (7, 10), (812, 1000), (1, 3)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_is_scipys(right, n, level):
    got = wilson([1] * right + [0] * (n - right), level)
    want = binomtest(right, n).proportion_ci(level, method="wilson")
    assert (got.low, got.high) == pytest.approx((want.low, want.high), abs=1e-12)
    assert got.low <= got.value <= got.high and got.n == n


def test_clip_bootstrap_of_independent_decisions_is_about_wilson():
    correct = np.random.default_rng(1).random(800) < 0.75
    boot, formula = clip_bootstrap(correct, np.arange(800)), wilson(correct)
    assert boot.value == formula.value
    assert (boot.low, boot.high) == pytest.approx((formula.low, formula.high), abs=0.005)


def test_clip_bootstrap_knows_that_pairs_of_one_clip_are_not_independent():
    correct = np.repeat(np.random.default_rng(2).random(100) < 0.7, 8)  # eight copies tell nothing new
    clips = np.repeat(np.arange(100), 8)
    wide, one_each = clip_bootstrap(correct, clips), wilson(correct[::8])
    assert (wide.low, wide.high) == pytest.approx((one_each.low, one_each.high), abs=0.02)
    assert wide.high - wide.low > 2 * (wilson(correct).high - wilson(correct).low)


def test_clip_bootstrap_covers_the_truth_when_two_clips_make_a_pair():
    """Difficulty belongs to clips: pair (i, j) is right with the mean of two clip effects."""
    covered, trials = {"clips": 0, "wilson": 0}, 150
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        effect = rng.beta(0.3, 0.3, 60)
        pairs = np.concatenate([np.stack([np.arange(60), np.roll(np.arange(60), k)], 1) for k in range(1, 9)])
        correct = rng.random(len(pairs)) < effect[pairs].mean(1)
        for name, interval in (
            ("clips", clip_bootstrap(correct, pairs, draws=400)),
            ("wilson", wilson(correct)),
        ):
            covered[name] += interval.low <= 0.5 <= interval.high
    assert covered["clips"] >= 0.88 * trials
    assert covered["wilson"] < 0.8 * trials


def test_bootstrap_is_repeatable_and_names_are_arbitrary():
    correct = np.array([1, 0, 1, 1, 0, 1])
    pairs = np.array([["a", "b"], ["b", "c"], ["c", "a"], ["a", "a"], ["b", "b"], ["c", "c"]])
    first = clip_bootstrap(correct, pairs, seed=3)
    assert first == clip_bootstrap(correct, pairs, seed=3)
    assert first == clip_bootstrap(correct, np.vectorize("abc".index)(pairs), seed=3)


def test_above_chance_needs_the_whole_interval():
    assert is_above_chance(Interval(0.6, 0.51, 0.69, 100))
    assert not is_above_chance(Interval(0.6, 0.49, 0.71, 50))
    assert not is_above_chance(Interval(0.6, 0.55, 0.65, 50), chance=0.6)
    assert str(Interval(0.812, 0.8, 0.824, 9)) == "81.2% [80.0%, 82.4%]"


def test_refusals():
    with pytest.raises(ValueError, match="only one kind"):
        balanced_accuracy([1, 0], [1, 1])
    with pytest.raises(ValueError, match="at least one decision"):
        wilson([])
    with pytest.raises(ValueError, match="only 0 and 1"):
        accuracy([0.5, 1], [1, 1])
    with pytest.raises(ValueError, match=r"clips must be \(n,\) or \(n, 2\)"):
        clip_bootstrap([1, 0], [1, 2, 3])
