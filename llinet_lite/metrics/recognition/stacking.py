r"""Calibrated stacking: one table of scores for all classes, and a bias that holds the seen classes back.

.. math:: \hat y = \arg\max_{c \in S \cup U} f_c(x) - \gamma\, [c \in S]

Source: Chao et al. (2016), *An empirical study and analysis of generalized zero-shot learning for object
recognition in the wild*. It is a gate like any other: an item is called seen as long as its best seen score
is ahead of its best unseen one by the bias or more. So the curve is `gate_curve`'s, with that lead for how
sure.

Notebook: 08
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llinet_lite.metrics.recognition.accuracy import (
    as_classes,
    as_labels,
    as_table,
    best_column,
    check_columns,
    class_mean,
    harmonic_mean,
    predict,
)
from llinet_lite.metrics.recognition.curve import Curve
from llinet_lite.metrics.recognition.gate import check_apart, gate_curve, gated

__all__ = ["GZSL", "best_bias", "gzsl", "stacked"]


@dataclass(frozen=True, eq=False)
class GZSL:
    """Generalised zero-shot recognition of one network; every accuracy is a class mean.

    Attributes
    ----------
    tr, ts : float, of seen and of unseen items among all classes, at the bias that was asked for
    zsl : float, of unseen items among unseen classes
    seen_only : float, of seen items among seen classes
    curve : Curve, tr and ts for every bias
    hits_seen, hits_unseen : (N,), (M,) bool, the right answers behind tr and ts, as for `harmonic_interval`
    hits_zsl : (M,) bool, those behind zsl, as for `class_mean_interval`

    Notebook: 08
    """

    tr: float
    ts: float
    zsl: float
    seen_only: float
    curve: Curve
    hits_seen: np.ndarray
    hits_unseen: np.ndarray
    hits_zsl: np.ndarray

    @property
    def hm(self) -> float:
        """Harmonic mean of tr and ts."""
        return harmonic_mean(self.tr, self.ts)

    @property
    def ausuc(self) -> float:
        """Area under the curve of seen and unseen accuracy."""
        return self.curve.area

    @property
    def bias(self) -> np.ndarray:
        """Biases of the curve, (G,), one between any two at which tr or ts changes."""
        return self.curve.values

    @property
    def curve_tr(self) -> np.ndarray:
        """tr at every `bias`, (G,)."""
        return self.curve.tr

    @property
    def curve_ts(self) -> np.ndarray:
        """ts at every `bias`, (G,)."""
        return self.curve.ts


def stacked(scores, bias: float, seen_classes, unseen_classes=None) -> np.ndarray:
    """Class of the highest score once `bias` is taken from the scores of seen classes.

    Parameters
    ----------
    scores : (N, C) float; column j is class j, higher is better; -inf for a class that is ruled out
    bias : float
    seen_classes, unseen_classes : (S,), (U,) integers; by default all other columns are unseen

    Returns
    -------
    (N,) integers
        If the best seen and the best unseen class are level, the seen one; of equals on one side the class
        with the lowest number.

    Raises
    ------
    ValueError
        For scores that are NaN, +inf or all -inf, or classes that do not fit the columns.

    Notebook: 08
    """
    scores = as_table(scores, "scores")
    seen, unseen = _sides(scores, seen_classes, unseen_classes)
    return gated(scores[:, seen], scores[:, unseen], _lead(scores, seen, unseen), bias, seen, unseen)


def gzsl(
    scores_seen_items,
    labels_seen,
    scores_unseen_items,
    labels_unseen,
    seen_classes,
    unseen_classes=None,
    bias: float = 0.0,
) -> GZSL:
    """Recognise items of seen and unseen classes, among all classes and among their own kind.

    Parameters
    ----------
    scores_seen_items, scores_unseen_items : (N, C), (M, C) float; column j is class j, as for :func:`stacked`
    labels_seen, labels_unseen : (N,), (M,) integers; every class has an item
    seen_classes, unseen_classes : (S,), (U,) integers; by default all other columns are unseen
    bias : float, for tr, ts and hm; choose it with :func:`best_bias` on other items than these

    Returns
    -------
    GZSL

    Raises
    ------
    ValueError
        As :func:`stacked`, if a label is of the wrong side, a class has no item, or shapes do not fit.

    Notebook: 08
    """
    both, labels, seen, unseen = _pooled(
        scores_seen_items, labels_seen, scores_unseen_items, labels_unseen, seen_classes, unseen_classes
    )
    mine, others = (np.isin(labels, side) for side in (seen, unseen))
    answers, zsl = stacked(both, bias, seen, unseen), predict(both[others], unseen)
    return GZSL(
        tr=class_mean(labels[mine], answers[mine], seen),
        ts=class_mean(labels[others], answers[others], unseen),
        zsl=class_mean(labels[others], zsl, unseen),
        seen_only=class_mean(labels[mine], predict(both[mine], seen), seen),
        curve=_curve(both, labels, seen, unseen),
        hits_seen=(answers == labels)[mine],
        hits_unseen=(answers == labels)[others],
        hits_zsl=zsl == labels[others],
    )


def best_bias(
    scores_seen_items, labels_seen, scores_unseen_items, labels_unseen, seen_classes, unseen_classes=None
) -> float:
    """Bias of the highest harmonic mean on these items, by :meth:`Curve.best`.

    Use items of validation, where held-out seen classes play the unseen ones; chosen on the test items it is
    not a result. Parameters as :func:`gzsl`; columns that are neither seen nor unseen are not looked at.

    Notebook: 08
    """
    return _curve(
        *_pooled(
            scores_seen_items, labels_seen, scores_unseen_items, labels_unseen, seen_classes, unseen_classes
        )
    ).best()


def _curve(scores: np.ndarray, labels: np.ndarray, seen: np.ndarray, unseen: np.ndarray) -> Curve:
    lead = _lead(scores, seen, unseen)
    return gate_curve(scores[:, seen], scores[:, unseen], lead, labels, seen, unseen)


def _lead(scores: np.ndarray, seen: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """How far the best seen score is ahead of the best unseen one, (N,); the bias that makes them level."""
    for side in (seen, unseen):
        best_column(scores[:, side], "scores")  # for its check
    ahead, behind = (scores[:, side].max(1) for side in (seen, unseen))
    none = np.flatnonzero(np.maximum(ahead, behind) == -np.inf)
    if len(none):
        raise ValueError(f"all scores of item {none[0]} are -inf, so it has no answer; keep one class.")
    return ahead - behind


def _sides(scores: np.ndarray, seen_classes, unseen_classes) -> tuple[np.ndarray, np.ndarray]:
    """Seen and unseen classes, ascending, so that ties go to the lowest number."""
    seen = np.sort(as_classes(seen_classes, "seen_classes"))
    others = np.setdiff1d(np.arange(scores.shape[1]), seen) if unseen_classes is None else unseen_classes
    unseen = np.sort(as_classes(others, "unseen_classes"))
    check_apart(seen, unseen)
    check_columns(seen, scores.shape[1], "seen_classes")
    check_columns(unseen, scores.shape[1], "unseen_classes")
    return seen, unseen


def _pooled(
    scores_seen_items, labels_seen, scores_unseen_items, labels_unseen, seen_classes, unseen_classes
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Scores (N + M, C) and labels (N + M,) of all items, seen ones first, and the classes of either side."""
    first = as_table(scores_seen_items, "scores_seen_items")
    second = as_table(scores_unseen_items, "scores_unseen_items")
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            "items of both kinds need a score for every class; the scores have "
            f"{first.shape[1]} and {second.shape[1]} columns."
        )
    seen, unseen = _sides(first, seen_classes, unseen_classes)
    labels_seen = _labels_of(labels_seen, len(first), seen, "labels_seen")
    labels_unseen = _labels_of(labels_unseen, len(second), unseen, "labels_unseen")
    return np.concatenate([first, second]), np.r_[labels_seen, labels_unseen], seen, unseen


def _labels_of(labels, items: int, side: np.ndarray, name: str) -> np.ndarray:
    labels = as_labels(labels, name)
    if len(labels) != items:
        raise ValueError(f"{name} has {len(labels)} labels for {items} items.")
    wrong = labels[~np.isin(labels, side)]
    if len(wrong):
        raise ValueError(f"{name} has class {wrong[0]}, which is not one of that side, {side.tolist()}.")
    return labels
