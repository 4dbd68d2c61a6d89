"""Zero-shot recognition against scikit-learn, a loop over every bias or threshold, and arithmetic."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import auc, balanced_accuracy_score, f1_score, recall_score

from llinet_lite.metrics.recognition import (
    GZSLCurve,
    certainty,
    class_mean,
    confidence,
    gate_curve,
    gated,
    gzsl,
    harmonic_mean,
    predict,
)

SEEN, UNSEEN = np.array([0, 2, 3, 6]), np.array([1, 4, 5])


def labels_of(classes, items, rng):
    """Unequal classes, each with an item."""
    share = np.arange(1, len(classes) + 1) / np.arange(1, len(classes) + 1).sum()
    return rng.permutation(np.r_[classes, rng.choice(classes, items - len(classes), p=share)])


def task(seed=0, skill=1.0, lead=0.7, levels=None, items=(60, 40)):
    """Scores of items of both kinds that favour the right class, and all seen ones; rounded if `levels`."""
    rng = np.random.default_rng(seed)
    out = []
    for classes, count in zip((SEEN, UNSEEN), items, strict=True):
        labels = labels_of(classes, count, rng)
        scores = rng.standard_normal((count, 7)) + skill * (labels[:, None] == np.arange(7))
        scores[:, SEEN] += lead
        out += [scores if levels is None else np.round(scores * levels) / levels, labels]
    return out


def by_loop(scores, labels, classes, bias):
    """Class mean with a bias on seen classes, item by item in plain Python."""
    right, count = dict.fromkeys(classes.tolist(), 0), dict.fromkeys(classes.tolist(), 0)
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        held = [score - bias * (column in SEEN) for column, score in enumerate(row)]
        count[label] += 1
        right[label] += held.index(max(held)) == label
    return sum(right[one] / count[one] for one in right) / len(right)


def test_class_means_are_scikit_learns():
    rng = np.random.default_rng(0)
    labels = labels_of(np.arange(5), 200, rng)
    predicted = np.where(rng.random(200) < 0.5, labels, rng.integers(0, 5, 200))
    got = class_mean(torch.from_numpy(labels), torch.from_numpy(predicted), torch.tensor([3, 0, 4, 1, 2]))
    assert got == pytest.approx(balanced_accuracy_score(labels, predicted), abs=1e-15)


def test_predict_looks_only_at_allowed_columns():
    scores = np.array([[9.0, 1.0, 2.0, 3.0], [9.0, 5.0, 2.0, 3.0]], np.float32)
    assert predict(scores, [3, 1, 2]).tolist() == [3, 1]
    assert predict(torch.from_numpy(scores), torch.tensor([0, 1])).tolist() == [0, 0]
    assert predict(np.where(scores > 4, np.nan, scores), [2, 3]).tolist() == [3, 3]


def test_ties_do_not_help():
    labels = labels_of(np.arange(4), 100, np.random.default_rng(0))
    flat = predict(np.full((100, 4), 0.3), [3, 2, 1, 0])
    assert set(flat.tolist()) == {0}, "the lowest number, whatever the order of among"
    assert class_mean(labels, flat, range(4)) == 0.25


def test_harmonic_mean():
    # the F1 of a precision and a recall: 3 hits of 4 answers and of 5 items
    wanted = f1_score([1] * 5 + [0], [1] * 3 + [0] * 2 + [1])
    assert harmonic_mean(3 / 4, 3 / 5) == pytest.approx(wanted, abs=1e-15)
    assert harmonic_mean(0, 0) == 0 and harmonic_mean(0, 1) == 0
    assert round(harmonic_mean(68.6, 39.4), 1) == 50.1, "as published"
    assert harmonic_mean([0.0, 1.0], [0.0, 0.5]) == pytest.approx([0, 2 / 3])


@pytest.mark.parametrize("levels", [None, 2, 4])  # rounded scores: many items turn at once
@pytest.mark.parametrize("seed", [0, 1])
def test_every_point_is_what_a_loop_finds(seed, levels):
    first, labels_first, second, labels_second = data = task(seed, levels=levels)
    found = gzsl(*data, SEEN, UNSEEN)
    assert len(found.curve.values) == len(found.curve.turns) + 1 > 10
    seen_only = class_mean(labels_first, predict(first, SEEN), SEEN)
    assert (found.curve.tr[0], found.curve.ts[0]) == pytest.approx((seen_only, 0), abs=1e-15)
    assert (found.curve.tr[-1], found.curve.ts[-1]) == pytest.approx((0, found.zsl), abs=1e-15)
    assert (np.diff(found.curve.values) > 0).all()
    for bias, tr, ts in zip(found.curve.values, found.curve.tr, found.curve.ts, strict=True):
        assert tr == pytest.approx(by_loop(first, labels_first, SEEN, bias), abs=1e-12)
        assert ts == pytest.approx(by_loop(second, labels_second, UNSEEN, bias), abs=1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_bias_of_a_dense_grid_finds_another_point(seed):
    first, labels_first, second, labels_second = data = task(seed, items=(20, 15), levels=8)
    found = gzsl(*data, SEEN)
    points = set(zip(found.curve.tr.round(12), found.curve.ts.round(12), strict=True))
    grid = (np.arange(-6, 7, 1 / 16) + 1 / 32).tolist()  # between all multiples of 1 / 8
    sides = (first, labels_first, SEEN), (second, labels_second, UNSEEN)
    swept = [tuple(by_loop(*side, bias) for side in sides) for bias in grid]
    assert {(round(tr, 12), round(ts, 12)) for tr, ts in swept} == points
    tr, ts = zip(*sorted(swept, key=lambda point: (point[0], -point[1])), strict=True)
    wanted = auc([0, *tr, tr[-1]], [ts[0], *ts, 0])
    assert found.ausuc == pytest.approx(wanted, abs=1e-12)
    best = max(harmonic_mean(*point) for point in swept)
    chosen = found.curve.best()
    assert max(found.curve.hm) == pytest.approx(best, abs=1e-12)
    assert gzsl(*data, SEEN, bias=chosen).hm == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("bias", [0.0, 0.5, -1.0])
def test_the_operating_point(bias):
    first, labels_first, second, labels_second = data = task(3)
    found = gzsl(*data, SEEN, bias=bias)
    tr = by_loop(first, labels_first, SEEN, bias)
    ts = by_loop(second, labels_second, UNSEEN, bias)
    assert (found.tr, found.ts) == pytest.approx((tr, ts), abs=1e-12)
    assert found.hm == pytest.approx(2 * tr * ts / (tr + ts), abs=1e-12)
    lowered = [scores - bias * np.isin(np.arange(7), SEEN) for scores in (first, second)]
    assert found.hits_seen.tolist() == (lowered[0].argmax(1) == labels_first).tolist()
    assert found.hits_unseen.tolist() == (lowered[1].argmax(1) == labels_second).tolist()
    assert found.zsl == pytest.approx(class_mean(labels_second, predict(second, UNSEEN), UNSEEN))
    assert found.hits_zsl.mean() == (predict(second, UNSEEN) == labels_second).mean()


def one_hot(labels):
    return (labels[:, None] == np.arange(7)).astype(float)


def test_a_perfect_classifier_has_everything():
    _, first, _, second = task()
    found = gzsl(one_hot(first), first, one_hot(second), second, SEEN)
    assert [found.tr, found.ts, found.hm, found.ausuc, found.zsl] == [1] * 5
    assert found.curve.best() == 0, "in the middle of -1 and 1"


@pytest.mark.parametrize(("known", "ruled_out"), [(SEEN, UNSEEN), (UNSEEN, SEEN)])
def test_one_that_knows_only_one_kind_has_no_area(known, ruled_out):
    _, first, _, second = task()
    scores = [one_hot(first), one_hot(second)]
    for one in scores:
        one[:, ruled_out] = -np.inf
    found = gzsl(scores[0], first, scores[1], second, SEEN)
    assert (found.tr, found.ts) == ((1, 0) if known is SEEN else (0, 1))
    assert found.ausuc == 0 and found.hm == 0 and found.curve.values.tolist() == [0]


def test_the_best_value_is_far_from_any_turn():
    tr, ts = np.array([1, 0.8, 0.8, 0.6, 0]), np.array([0, 0.6, 0.5, 0.8, 0.9])
    curve = GZSLCurve(np.array([0.0, 1.0, 2.0, 6.0]), tr, ts)
    assert curve.values.tolist() == [-6, 0.5, 1.5, 4, 12]
    assert curve.best() == 4, "of two that are equal, 0.5 and 4, the wider"
    turns = np.array([1.0, np.nextafter(1, 2), 2.0])
    close = GZSLCurve(turns, np.array([1, 1, 0.1, 0]), np.array([0, 1, 1, 1.0]))
    assert turns[0] < close.best() <= turns[1], "even between neighbouring floats"
    alone = GZSLCurve(np.array([1.0]), np.array([1, 0.0]), np.array([0, 1.0]))
    assert alone.values.tolist() == [0, 2] and alone.best() == 0


def test_confidence_and_certainty():
    logits = torch.from_numpy(np.random.default_rng(0).standard_normal((20, 5)) * 4)
    wanted = torch.distributions.Categorical(logits=logits / 3)
    assert confidence(logits, 3.0) == pytest.approx(wanted.probs.max(1).values.numpy(), abs=1e-14)
    assert certainty(logits, 3.0) == pytest.approx(-wanted.entropy().numpy(), abs=1e-12)
    assert confidence([[1e4, 0.0]])[0] == 1 and certainty([[1e4, 0.0]])[0] == 0
    assert confidence(np.zeros((1, 4))) == 0.25 and certainty(np.zeros((1, 4))) == pytest.approx(-math.log(4))


def gate_task(seed=0, digits=None):
    """Scores of both experts that favour the right class, and how sure the first is; rounded if `digits`."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(7), [4, 8, 12, 16, 20, 24, 16]))  # unequal classes
    scores = rng.standard_normal((100, 7)) + 2.0 * (labels[:, None] == np.arange(7))
    sure = confidence(scores[:, SEEN], 2.0)
    sure = sure if digits is None else sure.round(digits)
    return scores[:, SEEN], scores[:, UNSEEN], sure, labels, SEEN, UNSEEN


@pytest.mark.parametrize("digits", [None, 1, 2])
def test_the_gate_is_what_a_loop_finds(digits):
    seen, unseen, sure, labels, *_ = data = gate_task(digits=digits)
    curve = gate_curve(*data)
    for threshold, tr, ts in zip(curve.values, curve.tr, curve.ts, strict=True):
        rows = zip(seen, unseen, sure, strict=True)
        answers = [SEEN[s.argmax()] if c >= threshold else UNSEEN[u.argmax()] for s, u, c in rows]
        assert gated(seen, unseen, sure, threshold, SEEN, UNSEEN).tolist() == answers
        assert tr == pytest.approx(recall_score(labels, answers, labels=SEEN, average="macro"), abs=1e-12)
        assert ts == pytest.approx(recall_score(labels, answers, labels=UNSEEN, average="macro"), abs=1e-12)
    tried = {}
    for threshold in [*np.unique(sure).tolist(), 2.0]:  # every threshold that asks other items
        answers = gated(seen, unseen, sure, threshold, SEEN, UNSEEN)
        tried[threshold] = tuple(class_mean(labels, answers, side) for side in (SEEN, UNSEEN))
    points = set(zip(curve.tr.round(12), curve.ts.round(12), strict=True))
    assert {(round(tr, 12), round(ts, 12)) for tr, ts in tried.values()} == points
    tr, ts = zip(*sorted(tried.values(), key=lambda point: (point[0], -point[1])), strict=True)
    assert curve.area == pytest.approx(auc([0, *tr, tr[-1]], [ts[0], *ts, 0]), abs=1e-12)
    chosen = gated(seen, unseen, sure, curve.best(), SEEN, UNSEEN)
    got = harmonic_mean(*(class_mean(labels, chosen, side) for side in (SEEN, UNSEEN)))
    assert got == pytest.approx(max(harmonic_mean(*point) for point in tried.values()), abs=1e-12)


def changed(**change):
    names = ("scores_seen_items", "labels_seen", "scores_unseen_items", "labels_unseen")
    return lambda: gzsl(**(dict(zip(names, task(), strict=True)) | {"seen_classes": SEEN} | change))


def gate(**change):
    names = ("seen_scores", "unseen_scores", "sure", "labels", "seen_classes", "unseen_classes")
    return lambda: gate_curve(**(dict(zip(names, gate_task(), strict=True)) | change))


@pytest.mark.parametrize(("call", "says"), [
    (lambda: class_mean([0, 0], [0, 0], [0, 1, 2]), r"no item is of class \[1, 2\]"),
    (lambda: predict([[0.0, np.nan]], [0, 1]), "item 0 are NaN"),
    (lambda: predict([[0.0, 1.0]], [0, 2]), "class 2"),
    (changed(scores_seen_items=np.full((60, 7), np.nan)), "item 0 are NaN"),
    (changed(scores_unseen_items=np.full((40, 7), -np.inf)), "all scores of item 60 are -inf"),
    (changed(labels_seen=np.full(60, 1)), "labels_seen has class 1"),
    (changed(labels_unseen=np.full(40, 1)), r"no item is of class \[4, 5\]"),
    (gate(unseen_classes=[0, 4, 5]), r"class \[0\] is both"),
    (gate(sure=np.full(100, np.nan)), "without NaN"),
    (lambda: confidence([[0.0, 1.0]], 0), "temperature"),
])  # fmt: skip
def test_what_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
