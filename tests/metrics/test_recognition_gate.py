"""Gates between two experts against scikit-learn and a loop over every threshold."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import auc, recall_score

from llinet_lite.metrics.recognition import (
    best_threshold,
    certainty,
    class_mean,
    confidence,
    gate_curve,
    gated,
    harmonic_mean,
)

SEEN, UNSEEN = np.array([0, 2, 3, 6]), np.array([1, 4, 5])


def test_confidence_and_certainty():
    logits, temperature = np.random.default_rng(0).standard_normal((20, 5)) * 4, 3.0
    for row, high, sure in zip(
        logits.tolist(), confidence(logits, temperature), certainty(logits, temperature), strict=True
    ):
        parts = [math.exp(value / temperature) for value in row]
        shares = [part / math.fsum(parts) for part in parts]
        assert high == pytest.approx(max(shares), abs=1e-14)
        assert sure == pytest.approx(math.fsum(share * math.log(share) for share in shares), abs=1e-14)
    entropy = torch.distributions.Categorical(logits=torch.from_numpy(logits)).entropy()
    assert certainty(torch.from_numpy(logits)) == pytest.approx(-entropy.numpy(), abs=1e-12)
    assert confidence(np.zeros((1, 4)))[0] == 0.25
    assert certainty(np.zeros((1, 4)))[0] == pytest.approx(-math.log(4))
    assert confidence([[1e4, 0.0]])[0] == 1 and certainty([[1e4, 0.0]])[0] == 0


def gate_task(seed=0, digits=None):
    """Scores of both experts that favour the right class, and how sure the first is; rounded if `digits`."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(7), [4, 8, 12, 16, 20, 24, 16]))  # unequal classes
    scores = rng.standard_normal((100, 7)) + 2.0 * (labels[:, None] == np.arange(7))
    sure = confidence(scores[:, SEEN], 2.0)
    return (
        scores[:, SEEN],
        scores[:, UNSEEN],
        sure if digits is None else sure.round(digits),
        labels,
        SEEN,
        UNSEEN,
    )


@pytest.mark.parametrize("digits", [None, 1, 2])
def test_the_gate_is_what_a_loop_finds(digits):
    seen, unseen, sure, labels, *_ = data = gate_task(digits=digits)
    curve = gate_curve(*data)
    for threshold, tr, ts in zip(curve.values, curve.tr, curve.ts, strict=True):
        answers = [
            SEEN[s.argmax()] if c >= threshold else UNSEEN[u.argmax()]
            for s, u, c in zip(seen, unseen, sure, strict=True)
        ]
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
    chosen = gated(seen, unseen, sure, best_threshold(*data), SEEN, UNSEEN)
    got = harmonic_mean(*(class_mean(labels, chosen, side) for side in (SEEN, UNSEEN)))
    assert got == pytest.approx(max(harmonic_mean(*point) for point in tried.values()), abs=1e-12)


def test_at_the_threshold_the_seen_expert_answers():
    assert gated([[0, 1]] * 3, [[0]] * 3, [0.4, 0.5, 0.6], 0.5, [7, 8], [9]).tolist() == [9, 8, 8]
    assert gated([[1, 1]], [[0]], [1.0], 0.5, [8, 7], [9]).tolist() == [8], "the first column"


def test_a_gate_that_knows_decides_for_two_perfect_experts():
    labels = np.array([0, 1, 2, 3])
    scores = np.eye(4)
    curve = gate_curve(scores[:, :2], scores[:, 2:], [0.9, 0.8, 0.4, 0.1], labels, [0, 1], [2, 3])
    assert curve.area == 1 and curve.best() == pytest.approx(0.6)
    upside_down = gate_curve(scores[:, :2], scores[:, 2:], [0.1, 0.4, 0.8, 0.9], labels, [0, 1], [2, 3])
    assert upside_down.area == 0 and upside_down.hm.max() == 0
    no_idea = gate_curve(scores[:, :2], scores[:, 2:], [0.5] * 4, labels, [0, 1], [2, 3])
    assert no_idea.area == 0.5, "a diagonal from (1, 0) to (0, 1)"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sure": np.full(100, np.nan)}, "without NaN"),
        ({"sure": np.zeros(99)}, "same items"),
        ({"seen_scores": np.zeros((100, 3))}, "3 columns for 4 seen"),
        ({"unseen_scores": np.zeros((99, 3))}, "same items"),
        ({"unseen_scores": np.full((100, 3), np.nan)}, "unseen_scores of item 0 are NaN"),
        ({"unseen_classes": [0, 1, 4]}, r"class \[0\] is both"),
        ({"labels": np.full(100, 8)}, "of the classes"),
        ({"labels": np.full(100, 0)}, "no item is of class"),
        ({"labels": np.zeros(99, int)}, r"\(100,\)"),
    ],
)
def test_errors_of_the_gate(change, says):
    names = ("seen_scores", "unseen_scores", "sure", "labels", "seen_classes", "unseen_classes")
    with pytest.raises(ValueError, match=says):
        gate_curve(**(dict(zip(names, gate_task(), strict=True)) | change))


@pytest.mark.parametrize("temperature", [0, -1, np.inf, np.nan])
def test_errors_of_confidence(temperature):
    with pytest.raises(ValueError, match="temperature"):
        confidence([[0.0, 1.0]], temperature)
    with pytest.raises(ValueError, match="finite"):
        certainty([[0.0, np.inf]])
    with pytest.raises(ValueError, match="threshold"):
        gated([[0, 1]], [[0]], [0.4], np.nan, [7, 8], [9])
