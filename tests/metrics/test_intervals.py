"""Intervals against SciPy, Student and loops, and by how often they hold the truth."""

import numpy as np
import pytest
import scipy.stats

from llinet_lite.metrics.intervals import DIFFERENCE, UNBOUNDED, Cell, clip_bootstrap, wilson
from llinet_lite.metrics.recognition import class_mean, harmonic, harmonic_mean


def test_wilsons_interval_by_its_formula():
    got, z = wilson([1] * 7 + [0] * 3), scipy.stats.norm.ppf(0.975)
    centre, half = 0.7 + z**2 / 20, z * (0.7 * 0.3 / 10 + z**2 / 400) ** 0.5
    assert got.numbers == pytest.approx((0.7, *np.array([centre - half, centre + half]) / (1 + z**2 / 10)))
    assert wilson([0, 0]).low == 0 and wilson([True] * 5).high == 1 and got.n == 10


def test_clip_bootstrap_covers_the_truth_when_two_clips_make_a_pair():
    """Difficulty belongs to clips: pair (i, j) is right with the mean of two clip effects."""
    covered, trials = {"clips": 0, "wilson": 0}, 150
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        effect = rng.beta(0.3, 0.3, 60)
        pairs = np.concatenate([np.stack([np.arange(60), np.roll(np.arange(60), k)], 1) for k in range(1, 9)])
        correct = rng.random(len(pairs)) < effect[pairs].mean(1)
        found = {"clips": clip_bootstrap(correct, pairs), "wilson": wilson(correct)}
        for name, interval in found.items():
            covered[name] += interval.low <= 0.5 <= interval.high
    assert covered["clips"] >= 0.88 * trials
    assert covered["wilson"] < 0.8 * trials


def test_queries_of_one_clip_are_drawn_together():
    values = np.repeat(np.random.default_rng(3).random((1, 10)), 20, 1)
    apart, together = (clip_bootstrap(values, c) for c in (np.arange(200), np.repeat(np.arange(10), 20)))
    assert together.high - together.low > 3 * (apart.high - apart.low)


def test_shares_and_differences_stay_possible():
    values = np.repeat(np.array([[0.9], [0.1]]), 30, 1)
    shares = clip_bootstrap(values, np.arange(30))
    assert (shares.low, shares.high) == (0, 1)
    gap = clip_bootstrap(values - 0.5, np.arange(30), limits=DIFFERENCE)
    assert (gap.low, gap.high) == (-1, 1)


@pytest.mark.parametrize(("clips", "seeds"), [(0.02, 0.04), (0.04, 0.02), (0.04, 0.0), (0.0, 0.04)])
def test_it_holds_the_truth_as_often_as_it_says(clips, seeds):
    """Three seeds, whose spread and that of the clips' mean are given; drawing seeds holds it less often."""
    rng, trials, held, drawing = np.random.default_rng(6), 600, 0, 0
    choices = np.array(np.meshgrid(*[range(3)] * 3)).reshape(3, -1)  # every draw of three seeds
    for _ in range(trials):
        each = 0.5 + clips * rng.standard_normal() + seeds * rng.standard_normal(3)
        drawn = each + clips * rng.standard_normal((300, 1))
        found = Cell(each, drawn, 100).interval()
        held += found.low <= 0.5 <= found.high
        low, high = np.quantile(drawn[:, choices].mean(1), [0.025, 0.975])
        drawing += low <= 0.5 <= high
    assert held / trials >= 0.93
    if seeds > clips:
        assert drawing / trials < 0.9 < held / trials


def answers(seeds=3, sizes=(40, 25, 60), per_clip=2, share=0.6, first=0, seed=0):
    """Hits (S, N), labels, clips; items of one clip are alike, and classes differ in size."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(first, first + len(sizes)), np.array(sizes) * per_clip)
    clips = np.repeat(np.arange(sum(sizes)), per_clip)
    hard = rng.random(sum(sizes))[clips]
    hits = rng.random((seeds, len(labels))) < np.clip(share + 0.6 * (0.5 - hard), 0, 1)
    order = rng.permutation(len(labels))
    return hits[:, order], labels[order], clips[order]


def loop_bootstrap(sides, draws, seed):
    """Class means (draws, sides, S), clip by clip in plain Python."""
    rng, out = np.random.default_rng(seed), []
    for _ in range(draws):
        row = []
        for hits, labels, clips in sides:
            shares = []
            for one in np.unique(labels):
                own = np.unique(clips[labels == one])
                items = np.concatenate([np.flatnonzero(clips == clip) for clip in rng.choice(own, len(own))])
                shares.append(hits[:, items].mean(1))
            row.append(np.mean(shares, axis=0))
        out.append(row)
    return np.array(out)


def with_error(drawn, values):
    """Means over seeds (draws * 9,) with an error of Student's distribution added at random."""
    error = np.random.default_rng(7).standard_t(len(values) - 1, (len(drawn), 9)) * values.std(ddof=1)
    return (drawn.mean(1)[:, None] + error / np.sqrt(len(values))).ravel()


def class_means(hits, labels):
    """Class mean of every seed, from answers."""
    return [class_mean(labels, np.where(one, labels, -1), np.unique(labels)) for one in hits]


def test_a_loop_finds_the_same_intervals():
    seen, unseen = answers(sizes=(12, 8), per_clip=3), answers(sizes=(9, 7), share=0.4, first=2, seed=1)
    drawn = loop_bootstrap((seen, unseen), 1500, 5)
    means = [np.array(class_means(*side[:2])) for side in (seen, unseen)]
    tr = with_error(drawn[:, 0], means[0])
    hm = with_error(harmonic_mean(drawn[:, 0], drawn[:, 1]), harmonic_mean(*means))
    for cell, wanted in ((Cell.class_mean(*seen), tr), (harmonic(seen, unseen), hm)):
        got = cell.interval()
        assert (got.low, got.high) == pytest.approx(np.quantile(wanted, [0.025, 0.975]), abs=0.012)
        assert got.high - got.low > 0.1, "far wider than the tolerance"


def test_values_are_means_over_seeds_and_differences_are_paired():
    seen, unseen = answers(), answers(sizes=(30, 10), share=0.3, first=3, seed=1)
    tr, ts = class_means(*seen[:2]), class_means(*unseen[:2])
    one, both = Cell.class_mean(*seen), harmonic(seen, unseen)
    assert (one.value, one.n) == (pytest.approx(np.mean(tr), abs=1e-12), 250)
    assert both.each == pytest.approx(list(map(harmonic_mean, tr, ts)), abs=1e-12) and both.n == 330
    worse = seen[0] & (np.arange(250) % 10 > 0)
    gap = harmonic(seen, unseen) - harmonic((worse, *seen[1:]), unseen)
    assert gap.limits == DIFFERENCE and gap.interval().low > -0.01 and gap.value > 0
    assert np.ptp(gap.draws.mean(1)) < 0.6 * np.ptp(both.draws.mean(1))
    none = (both - both).interval()
    assert (none.low, none.value, none.high) == (0, 0, 0)
    plain = Cell.class_mean(seen[0].astype(float) - worse, *seen[1:], limits=DIFFERENCE)
    cells = one - Cell.class_mean(worse, *seen[1:])
    assert plain.draws == pytest.approx(cells.draws, abs=1e-12) and plain.each == pytest.approx(cells.each)
    alone = one - Cell.class_mean(worse[0], *seen[1:])
    assert alone.each == pytest.approx(one.each - class_means(worse[:1], seen[1])[0])


def test_parts_and_ratios():
    rng = np.random.default_rng(0)
    values, clips = rng.random((3, 60)), rng.integers(0, 20, 60)
    parts = np.where(rng.random((3, 2, 60)) < 0.7, rng.random((3, 2, 60)), np.nan)
    found = Cell.mean(parts, clips, weights=(1, -1), limits=DIFFERENCE)
    assert found.each == pytest.approx(np.nanmean(parts[:, 0], 1) - np.nanmean(parts[:, 1], 1))
    one = Cell.mean(values, clips)
    ratio = Cell.mean(values**2, clips) / one
    assert ratio.each == pytest.approx((values**2).mean(1) / values.mean(1)) and ratio.limits == (0, np.inf)
    assert one.draws.mean() == pytest.approx(values.mean(), abs=3 * values.std() / 60**0.5)


def test_it_is_students_without_draws_and_where_clips_do_not_matter():
    values = np.array([0.50, 0.56, 0.53])
    error = scipy.stats.sem(values)
    expected = scipy.stats.t.interval(0.95, 2, values.mean(), error)
    found = Cell(values, limits=UNBOUNDED).interval()
    drawn = clip_bootstrap(np.repeat(values[:, None], 20, 1), range(20))
    assert (found.low, found.high) == pytest.approx(expected)
    assert (drawn.low, drawn.high) == pytest.approx(expected, abs=0.05 * error)
    assert Cell([0.4]).interval().numbers == (0.4, None, None) and str(found) == "53.0% [45.5%, 60.5%]"
    nothing = Cell.mean(np.full((3, 9), 0.1) - 0.1 + 1e-16, np.arange(9), limits=DIFFERENCE)
    assert nothing.interval().rounded().numbers == (0, 0, 0)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: wilson([]), "not empty"),
    (lambda: clip_bootstrap([1, 0], [1, 2, 3]), r"clips must be \(n,\) or \(n, 2\)"),
    (lambda: clip_bootstrap([[np.nan] * 2], [1, 2]), "no row empty"),
    (lambda: Cell([np.nan]), "must be finite"),
    (lambda: Cell(np.ones(3)) - Cell(np.ones(2)), "3 and 2 seeds"),
    (lambda: Cell.class_mean([[1, 0, 2]], [0, 0, 1], [0, 1, 2]), "hits or differences"),
])  # fmt: skip
def test_what_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
