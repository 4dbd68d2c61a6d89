"""Intervals of class means and harmonic means against closed forms and a bootstrap in plain loops."""

import numpy as np
import pytest

from llinet_lite.metrics.recognition import (
    class_mean,
    class_mean_difference,
    class_mean_interval,
    harmonic_difference,
    harmonic_interval,
    harmonic_mean,
)


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


def test_values_are_means_over_seeds():
    seen, unseen = answers(), answers(sizes=(30, 10), share=0.3, first=3, seed=1)
    tr, ts = class_means(*seen[:2]), class_means(*unseen[:2])
    one = class_mean_interval(*seen)
    assert one.value == pytest.approx(np.mean(tr), abs=1e-12) and one.n == 250
    both = harmonic_interval(*seen, *unseen)
    assert both.value == pytest.approx(np.mean(list(map(harmonic_mean, tr, ts))), abs=1e-12) and both.n == 330
    assert one.low < one.value < one.high and both.low < both.value < both.high
    assert class_mean_interval(*seen) == one, "the same again"


def test_one_seed_and_single_items_have_the_binomial_width():
    hits, labels, clips = answers(1, (200, 100, 400), per_clip=1)
    got = class_mean_interval(hits[0], labels, clips, draws=10_000)
    shares = [hits[0, labels == one].mean() for one in range(3)]
    variance = sum(p * (1 - p) / n for p, n in zip(shares, (200, 100, 400), strict=True)) / 9
    assert (got.high - got.low) / (2 * 1.96) == pytest.approx(variance**0.5, rel=0.04)
    wide = class_mean_interval(hits[0], labels, clips, draws=10_000, level=0.99)
    assert (wide.high - wide.low) / (2 * 2.576) == pytest.approx(variance**0.5, rel=0.04)


def test_a_clip_is_drawn_as_a_whole():
    hits, labels, clips = answers(1, (60, 60), per_clip=1)
    narrow = class_mean_interval(hits, labels, clips)
    copies = [np.repeat(part, 4, axis=-1) for part in (hits, labels, clips)]
    assert class_mean_interval(*copies) == narrow.__class__(narrow.value, narrow.low, narrow.high, 480)


def test_a_loop_finds_the_same_intervals():
    seen, unseen = answers(sizes=(12, 8), per_clip=3), answers(sizes=(9, 7), share=0.4, first=2, seed=1)
    drawn = loop_bootstrap((seen, unseen), 1500, 5)
    means = [np.array(class_means(*side[:2])) for side in (seen, unseen)]
    tr = with_error(drawn[:, 0], means[0])
    hm = with_error(harmonic_mean(drawn[:, 0], drawn[:, 1]), harmonic_mean(*means))
    for got, wanted in (
        (class_mean_interval(*seen, draws=8000), tr),
        (harmonic_interval(*seen, *unseen, draws=8000), hm),
    ):
        assert (got.low, got.high) == pytest.approx(np.quantile(wanted, [0.025, 0.975]), abs=0.012)
        assert got.high - got.low > 0.1, "far wider than the tolerance"


def test_seeds_widen_the_interval():
    _, labels, clips = answers()
    hits = np.zeros((3, len(labels)), bool)
    hits[0] = True  # clips do not matter; Student's interval of 0, 0 and 1 is wider than what is possible
    got = class_mean_interval(hits, labels, clips)
    assert (got.low, got.value, got.high) == pytest.approx((0, 1 / 3, 1))
    both = harmonic_interval(hits, labels, clips, hits, labels + 3, clips)
    assert (both.low, both.value, both.high) == pytest.approx((0, 1 / 3, 1)), "both accuracies of one seed"


def test_differences_are_paired():
    first, labels, clips = answers(seed=2)
    worse = first & (np.arange(first.shape[1]) % 10 > 0)
    unseen = answers(sizes=(30, 10), first=3, seed=1)
    gap = class_mean_difference(first, worse, labels, clips)
    a, b = class_mean_interval(first, labels, clips), class_mean_interval(worse, labels, clips)
    assert gap.value == pytest.approx(a.value - b.value, abs=1e-12)
    assert gap.low > 0 and gap.high - gap.low < 0.6 * (a.high - a.low)
    back = class_mean_difference(worse, first, labels, clips)
    assert (back.low, back.high) == pytest.approx((-gap.high, -gap.low), abs=1e-12)
    same = (first, worse, labels, clips, unseen[0], unseen[0], *unseen[1:])
    gap = harmonic_difference(*same)
    a, b = (harmonic_interval(one, labels, clips, *unseen) for one in (first, worse))
    assert gap.value == pytest.approx(a.value - b.value, abs=1e-12)
    assert gap.low > 0 and gap.high - gap.low < 0.6 * (a.high - a.low)
    none = harmonic_difference(first, first, labels, clips, unseen[0], unseen[0], *unseen[1:])
    assert (none.low, none.value, none.high) == (0, 0, 0)
    none = class_mean_difference(first, first, labels, clips)
    assert (none.low, none.value, none.high) == (0, 0, 0)


def test_a_method_of_one_seed_is_compared_with_all():
    first, labels, clips = answers(seed=2)
    unseen, unseen_labels, unseen_clips = answers(sizes=(30, 10), first=3, seed=1)
    alone = np.repeat(first[:1], 3, axis=0)
    assert class_mean_difference(first, first[0], labels, clips) == class_mean_difference(
        first, alone, labels, clips
    )
    got = harmonic_difference(first, first[0], labels, clips, unseen, unseen[0], unseen_labels, unseen_clips)
    alone_unseen = np.repeat(unseen[:1], 3, axis=0)
    wanted = harmonic_difference(
        first, alone, labels, clips, unseen, alone_unseen, unseen_labels, unseen_clips
    )
    assert (got.value, got.low, got.high) == pytest.approx((wanted.value, wanted.low, wanted.high), abs=1e-12)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng, truth, covered = np.random.default_rng(0), np.array([0.8, 0.4, 0.3, 0.5]), 0
    labels = np.repeat(np.arange(4), [30, 60, 40, 50])
    clips = np.arange(len(labels))
    wanted = harmonic_mean(truth[:2].mean(), truth[2:].mean())
    seen = labels < 2
    for trial in range(200):
        hits = rng.random(len(labels)) < truth[labels]
        got = harmonic_interval(
            hits[seen], labels[seen], clips[seen], hits[~seen], labels[~seen], clips[~seen],
            draws=300, seed=trial,
        )  # fmt: skip
        covered += got.low <= wanted <= got.high
    assert 0.89 < covered / 200 <= 0.99


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hits": [[1, 0, 2, 1]]}, "of 0 and 1"),
        ({"hits": [[1, 0, 1]]}, r"\(seeds, 4\)"),
        ({"clips": [0, 1, 2]}, "one for every item"),
        ({"clips": [0, 1, 1, 2]}, "clip 1 is of two classes"),
        ({"labels": [0.0, 0.0, 1.0, 1.0]}, "integer"),
    ],
)
def test_errors(change, says):
    fine = {"hits": [[1, 0, 1, 1]], "labels": [0, 0, 1, 1], "clips": [0, 1, 2, 3]}
    assert class_mean_interval(**fine).value == 0.75
    with pytest.raises(ValueError, match=says):
        class_mean_interval(**(fine | change))


def test_errors_of_seeds():
    two, three = np.ones((2, 2)), np.ones((3, 2))
    with pytest.raises(ValueError, match="3 and 2 seeds"):
        class_mean_difference(three, two, [0, 1], [0, 1])
    with pytest.raises(ValueError, match="3 seeds and unseen hits of 2"):
        harmonic_interval(three, [0, 1], [0, 1], two, [2, 3], [2, 3])
    with pytest.raises(ValueError, match="3 and 2 seeds"):
        harmonic_difference(three, two, [0, 1], [0, 1], three, two, [2, 3], [2, 3])
