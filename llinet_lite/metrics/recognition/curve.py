"""The whole trade between seen and unseen classes: every pair of accuracies that one number can choose.

Notebook: 08
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.integrate import trapezoid

from llinet_lite.metrics.recognition.accuracy import harmonic_mean

__all__ = ["Curve"]


@dataclass(frozen=True, eq=False)
class Curve:
    """Accuracy of seen and unseen classes for every value of a threshold or bias.

    At a low value all items are called seen, at a high one all unseen. Accuracies change only at `turns`, and
    are constant between two of them, so G = T + 1 points are the whole curve.

    Attributes
    ----------
    turns : (T,) float64, ascending
        Values at which tr or ts changes; T may be 0. At a turn itself its items are still called seen.
    tr : (G,) float64 in [0, 1], class mean of the seen classes, never rising
    ts : (G,) float64 in [0, 1], class mean of the unseen classes, never falling

    Notebook: 08
    """

    turns: np.ndarray
    tr: np.ndarray
    ts: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """One value for each point, (G,): the middle between two turns, and one beyond either end.

        The ends lie as far beyond the turns as these span, so that they scale with the scores.
        """
        if not len(self.turns):
            return np.zeros(1)
        first, last = self.turns[0], self.turns[-1]
        reach = (last - first) or max(1.0, abs(last))
        middle = self.turns[:-1] / 2 + self.turns[1:] / 2
        # of two neighbouring floats the middle is one of them, and the lower belongs to the point before
        middle = np.maximum(middle, np.nextafter(self.turns[:-1], np.inf))
        return np.r_[first - reach, middle, last + reach]

    @property
    def hm(self) -> np.ndarray:
        """Harmonic mean of every point, (G,)."""
        return harmonic_mean(self.tr, self.ts)

    @property
    def outline(self) -> tuple[np.ndarray, np.ndarray]:
        """tr and ts, (G + 2,) each, by rising tr, from (0, first ts) to (last tr, 0)."""
        return np.r_[0, self.tr[::-1], self.tr[0]], np.r_[self.ts[-1], self.ts[::-1], 0]

    @property
    def area(self) -> float:
        """Area under ts over tr, by trapezoids along `outline`: 1 if perfect, 0 if one side is never right.

        For calibrated stacking this is AUSUC, Chao et al. (2016), *An empirical study and analysis of
        generalized zero-shot learning for object recognition in the wild*.
        """
        tr, ts = self.outline
        return float(trapezoid(ts, tr))

    def at(self, value: float) -> tuple[float, float]:
        """Return tr and ts at a value, as one that was chosen on other items."""
        point = np.searchsorted(self.turns, value, side="left")
        return float(self.tr[point]), float(self.ts[point])

    def best(self) -> float:
        """Return the value with the highest harmonic mean.

        It is the middle between its two turns, which is farthest from changing an answer. Of points that are
        equally good, the one whose turns lie farthest apart; of these the first. The two ends, open to
        one side, are taken only if nothing between them is as good. That also holds if all are 0.
        """
        hm = self.hm
        width = np.r_[0, np.diff(self.turns), 0][: len(hm)]
        good = hm >= hm.max() * (1 - 1e-12)  # equal but for rounding
        return float(self.values[np.where(good, width, -1).argmax()])
