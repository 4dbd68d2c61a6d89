"""From per-image outcomes to the numbers of a table.

Every measure takes weights, how often each image counts, so that the bootstrap asks for the same number on
drawn images.

Notebook: 03
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "Curve",
    "auc",
    "f1_score",
    "mean_success",
    "step_share",
    "success_curve",
    "trapezoid_share",
    "weighted_mean",
]


def success_curve(ious, thresholds=21) -> tuple[np.ndarray, np.ndarray]:
    """Share of images with IoU >= t, threshold by threshold.

    Parameters
    ----------
    ious : (N,) float in [0, 1]
    thresholds : (T,) float, or how many from 0 to 1: 21 (every .05) in most papers, 51 (every .02) in
        LLINet's code

    Returns
    -------
    thresholds (T,), shares (T,)

    Notebook: 03, 07
    """
    thresholds = np.linspace(0, 1, thresholds) if np.ndim(thresholds) == 0 else np.asarray(thresholds, float)
    return thresholds, (np.asarray(ious)[:, None] >= thresholds).mean(0)


def auc(iou, points: int = 21) -> float:
    r"""Area under the success curve, by the trapezoidal rule.

    .. math:: \int_0^1 \frac{1}{N} \sum_i [\mathrm{IoU}_i \ge t]\, dt = \frac{1}{N} \sum_i \mathrm{IoU}_i

    so beside the mean IoU it tells nothing: the sum only rounds every IoU to the middle of its step, by at
    most half a step (.025 with 21 points), and over many images the rounding cancels.

    Notebook: 03
    """
    return float(trapezoid_share(np.asarray(iou, float), points).mean())


def mean_success(iou, points: int = 51) -> float:
    """Plain mean of the success curve, as LLINet's code computes its "AUC".

    The first threshold, 0, is always met, which lifts the mean: about .98 mean IoU + .01 with 51 points.

    Notebook: 03
    """
    return float(step_share(np.asarray(iou, float), points).mean())


def trapezoid_share(iou: np.ndarray, points: int) -> np.ndarray:
    """Each image's share of the trapezoidal area, (N,); NaN stays."""
    met = iou[:, None] >= np.linspace(0, 1, points)  # (N, points)
    area = (met[:, 1:].sum(1) + met[:, :-1].sum(1)) / (2 * (points - 1))
    return np.where(np.isnan(iou), np.nan, area)


def step_share(iou: np.ndarray, points: int) -> np.ndarray:
    """Each image's share of thresholds met, (N,); NaN stays."""
    met = (iou[:, None] >= np.linspace(0, 1, points)).mean(1)
    return np.where(np.isnan(iou), np.nan, met)


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of the values (N,) that are not NaN, for each row of weights (D, N) -> (D,); NaN where none."""
    valid = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights[:, valid] @ values[valid]) / weights[:, valid].sum(1)


class Curve:
    r"""Precision and recall when an image counts as "something sounds here" above a confidence.

    An image is *detected* if its confidence reaches the threshold; a detected image is a true positive (TP)
    if it was also located, else a false positive (FP): nothing sounds in it, or the map is in the wrong
    place. Precision is TP / (TP + FP). The two ways to count recall differ in the positives that were
    detected in the wrong place:

    .. math:: R_\text{strict} = \frac{TP}{\text{all positives}}, \qquad
        R_\text{slavc} = \frac{TP}{TP + \text{positives not detected}}

    The second leaves them out of both sums: with a threshold that detects everything, it is 1.

    Parameters
    ----------
    confidence : (N,) float
    located : (N,) bool, right place; False for images in which nothing sounds
    positive : (N,) bool, something sounds
    weights : (D, N), how often each image counts
    strict : bool, which recall

    Attributes
    ----------
    thresholds : (T,) the different confidences, falling
    precision, recall : (D, T); precision is 1 where nothing is detected
    """

    def __init__(self, confidence, located, positive, weights, strict: bool):
        order = np.argsort(-confidence, kind="stable")
        falling = confidence[order]
        ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)  # last of each group of ties
        drawn = weights[:, order]

        def up_to(flags):
            return np.cumsum(drawn * flags[order], axis=1)[:, ends]

        hits, detected, found = up_to(located), up_to(np.ones_like(located)), up_to(positive)
        total = found[:, -1:]
        self.thresholds = falling[ends]
        self.precision = _ratio(hits, detected)
        self.recall = _ratio(hits, total if strict else hits + (total - found))

    def average_precision(self) -> np.ndarray:
        r"""Sum over falling thresholds, :math:`\sum_t (R_t - R_{t-1}) P_t` with R = 0 at first, (D,)."""
        steps = np.diff(self.recall, axis=1, prepend=0)
        return (steps * self.precision).sum(1)

    def best(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Best F1 over all thresholds, and precision and recall there, each (D,)."""
        return self._best(np.arange(len(self.thresholds)))

    def released_average_precision(self, confidence: np.ndarray) -> np.ndarray:
        """Average precision as SLAVC's code computes it, (D,).

        About 200 thresholds, from the second highest confidence down; precision is made to fall, each value
        being the best at this or any lower threshold; the step to the first threshold's recall is left out.
        """
        skip = max(1, len(confidence) // 200)
        at = self._at(np.sort(confidence)[:-1][::-skip])
        precision = np.maximum.accumulate(self.precision[:, at][:, ::-1], axis=1)[:, ::-1]
        return (precision[:, :-1] * np.diff(self.recall[:, at], axis=1)).sum(1)

    def released_best(self, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`best` over the about ten thresholds that SLAVC's code tries."""
        return self._best(self._at(np.sort(confidence)[:: max(1, len(confidence) // 10)]))

    def _best(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        precision, recall = self.precision[:, at], self.recall[:, at]
        f1 = f1_score(precision, recall)
        k = f1.argmax(1)[:, None]
        return tuple(np.take_along_axis(a, k, axis=1)[:, 0] for a in (f1, precision, recall))

    def _at(self, thresholds: np.ndarray) -> np.ndarray:
        """Columns of these confidences."""
        return np.searchsorted(-self.thresholds, -thresholds)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part / whole, 1 where there is nothing to share, as the released code has it."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 1.0)


def f1_score(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """Harmonic mean, 0 where both are 0; NaN stays."""
    both = precision + recall
    return np.where(both == 0, 0.0, 2 * precision * recall / np.where(both == 0, 1, both))
