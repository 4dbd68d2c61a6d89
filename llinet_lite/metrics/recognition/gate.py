"""Two experts and a gate: how sure the classifier of the seen classes is decides who answers.

LLINet's way: a classifier trained on the seen classes answers where it is sure; elsewhere the nearest
prototype of an unseen class does. An item is right only if it goes to the right expert and that one is right.

Notebook: 08
"""

from __future__ import annotations

import numpy as np
from scipy.special import entr, softmax

from llinet_lite.metrics.recognition.accuracy import (
    as_classes,
    as_labels,
    as_table,
    best_column,
    check_all_have_items,
)
from llinet_lite.metrics.recognition.curve import Curve

__all__ = ["best_threshold", "certainty", "confidence", "gate_curve", "gated"]


def confidence(logits, temperature: float = 1.0) -> np.ndarray:
    r"""Highest probability of the classifier, :math:`\max_c \mathrm{softmax}(x / T)_c`.

    Parameters
    ----------
    logits : (N, S) float
    temperature : float, above 0; above 1 it tells the sure from the very sure

    Returns
    -------
    (N,) float64 in [1 / S, 1]

    Notebook: 08
    """
    return _probabilities(logits, temperature).max(1)


def certainty(logits, temperature: float = 1.0) -> np.ndarray:
    r"""Minus the entropy of the classifier, :math:`\sum_c p_c \ln p_c` in nats: higher is surer.

    Parameters
    ----------
    logits, temperature
        As for :func:`confidence`.

    Returns
    -------
    (N,) float64 in [-ln S, 0]

    Notebook: 08
    """
    return -entr(_probabilities(logits, temperature)).sum(1)


def _probabilities(logits, temperature: float) -> np.ndarray:
    logits = as_table(logits, "logits")
    if not np.isfinite(logits).all():
        raise ValueError("logits must be finite; look at the classifier.")
    if not 0 < temperature < np.inf:
        raise ValueError(f"temperature must be finite and above 0, not {temperature}.")
    return softmax(logits / temperature, axis=1)


def gated(seen_scores, unseen_scores, sure, threshold: float, seen_classes, unseen_classes) -> np.ndarray:
    """Answer of the seen expert where it is sure enough, else that of the unseen expert.

    Parameters
    ----------
    seen_scores : (N, S) float, of the seen expert; column j is `seen_classes[j]`, higher is better
    unseen_scores : (N, U) float, of the unseen expert; column j is `unseen_classes[j]`
    sure : (N,) float, as from :func:`confidence`
    threshold : float; `sure >= threshold` asks the seen expert
    seen_classes, unseen_classes : (S,), (U,) integers without a common one

    Returns
    -------
    (N,) integers; of equal scores of one expert, the class of the first column

    Raises
    ------
    ValueError
        If shapes do not fit, a class is named twice, or a value is NaN.

    Notebook: 08
    """
    seen, unseen, sure = _answers(seen_scores, unseen_scores, sure, seen_classes, unseen_classes)
    if np.isnan(threshold):
        raise ValueError("threshold must be a number, not NaN.")
    return np.where(sure >= threshold, seen, unseen)


def gate_curve(seen_scores, unseen_scores, sure, labels, seen_classes, unseen_classes) -> Curve:
    """tr and ts of :func:`gated` for every threshold there is, exactly.

    An item's answer changes once, where the threshold passes how sure it is. So the thresholds that matter
    are the values of `sure` themselves, and no grid is needed.

    Parameters
    ----------
    seen_scores, unseen_scores, sure, seen_classes, unseen_classes
        As for :func:`gated`; items of both kinds together, in any order.
    labels : (N,) integers, which tell the two kinds apart; every class has an item

    Returns
    -------
    Curve

    Raises
    ------
    ValueError
        As :func:`gated`, and if a label is neither seen nor unseen, or a class has no item.

    Notebook: 08
    """
    seen, unseen, sure = _answers(seen_scores, unseen_scores, sure, seen_classes, unseen_classes)
    labels = as_labels(labels, "labels")
    seen_classes, unseen_classes = np.asarray(seen_classes), np.asarray(unseen_classes)
    classes = np.r_[seen_classes, unseen_classes]
    if labels.shape != sure.shape or not np.isin(labels, classes).all():
        raise ValueError(f"labels must be ({len(sure)},) of the classes {classes.tolist()}.")
    check_all_have_items(labels, classes)
    # the other items exchange one wrong answer for another, if any
    turns = np.unique(sure[((seen == labels) | (unseen == labels)) & np.isfinite(sure)])
    starts = np.r_[-np.inf, turns]  # of the intervals

    def gone(right: np.ndarray) -> np.ndarray:
        """How many of some items have left the seen expert in each interval, (G,)."""
        return np.searchsorted(np.sort(sure[right]), starts, side="right")

    tr, ts = np.zeros(len(starts)), np.zeros(len(starts))
    for one in seen_classes:
        mine, right = labels == one, (labels == one) & (seen == one)
        tr += (right.sum() - gone(right)) / mine.sum()
    for one in unseen_classes:
        mine, right = labels == one, (labels == one) & (unseen == one)
        ts += gone(right) / mine.sum()
    return Curve(turns, tr / len(seen_classes), ts / len(unseen_classes))


def best_threshold(seen_scores, unseen_scores, sure, labels, seen_classes, unseen_classes) -> float:
    """Threshold of the highest harmonic mean on these items, by :meth:`Curve.best`.

    Use items of validation, where held-out seen classes play the unseen ones. Parameters as
    :func:`gate_curve`.

    Notebook: 08
    """
    return gate_curve(seen_scores, unseen_scores, sure, labels, seen_classes, unseen_classes).best()


def _answers(
    seen_scores, unseen_scores, sure, seen_classes, unseen_classes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answer of either expert and how sure the first is, (N,) each."""
    answers = []
    for name, scores, classes in (
        ("seen", seen_scores, seen_classes),
        ("unseen", unseen_scores, unseen_classes),
    ):
        scores, classes = as_table(scores, f"{name}_scores"), as_classes(classes, f"{name}_classes")
        if scores.shape[1] != len(classes):
            raise ValueError(
                f"{name}_scores has {scores.shape[1]} columns for {len(classes)} {name} classes."
            )
        answers.append(classes[best_column(scores, f"{name}_scores")])
    check_apart(seen_classes, unseen_classes)
    sure = np.asarray(sure, np.float64)
    if not len(answers[0]) == len(answers[1]) == sure.size or sure.ndim != 1 or np.isnan(sure).any():
        raise ValueError(
            f"seen_scores, unseen_scores and sure must be of the same items, and sure without NaN; got "
            f"{len(answers[0])}, {len(answers[1])} and shape {sure.shape}."
        )
    return answers[0], answers[1], sure


def check_apart(seen_classes, unseen_classes) -> None:
    """Raise if a class is seen and unseen."""
    both = np.intersect1d(seen_classes, unseen_classes).tolist()
    if both:
        raise ValueError(f"class {both} is both seen and unseen; name it once.")
