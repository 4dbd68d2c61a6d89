r"""How sure a number is: over the clips it was measured on, and over the seeds it was trained with.

A :class:`Cell` holds a number under every seed, (S,), and the same number when clips are drawn with
replacement, (D, S), the same clips for all seeds. A mean, a class mean, a harmonic mean, a difference and a
ratio differ only in how these two arrays are made.

Clips are many, so they are drawn. Seeds are few: a mean of three that were drawn with replacement never lies
beyond the extreme one, and such an interval holds the truth in three cases of four instead of nineteen of
twenty. So every draw of the clips gets every error of the seeds, the quantiles of :math:`t_{S-1} s/\sqrt S`.
What differs from seed to seed *and* from clip to clip is counted twice: the interval is rather too wide.

Notebook: 00, 06
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

DRAWS = 2000
SHARE = (0.0, 1.0)
DIFFERENCE = (-1.0, 1.0)  # of two shares
UNBOUNDED = (-np.inf, np.inf)


@dataclass(frozen=True)
class Interval:
    """A number and the bounds of its interval, over `n` decisions; NaN bounds: its spread is not known."""

    value: float
    low: float
    high: float
    n: int

    @property
    def numbers(self) -> tuple[float, float | None, float | None]:
        """Value and bounds as a result holds them: None where the spread is not known."""
        return (self.value, None, None) if math.isnan(self.low) else (self.value, self.low, self.high)

    def rounded(self) -> Interval:
        """The same to twelve digits: what is left of two equal numbers must not pass for an effect."""
        if math.isnan(self.low):
            return self
        value, low, high = (round(float(number), 12) + 0.0 for number in (self.value, self.low, self.high))
        return Interval(value, min(low, value), max(high, value), self.n)  # + 0.0 above: no -0.0

    def __str__(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


@dataclass(frozen=True, eq=False)
class Cell:
    """A number under every seed, and under the same bootstrap draws: one cell of a table."""

    each: np.ndarray  # (S,) the number of every seed, on all clips
    draws: np.ndarray | None = None  # (D, S) when clips are drawn; rows with NaN do not count
    n: int = 0  # decisions or items
    limits: tuple[float, float] = SHARE  # what is possible

    def __post_init__(self):
        each = np.asarray(self.each, np.float64)
        if each.ndim != 1 or not each.size or not np.isfinite(each).all():
            raise ValueError(f"each must be finite, one number per seed; got {each!r}.")
        object.__setattr__(self, "each", each)

    @property
    def value(self) -> float:
        """Mean over seeds."""
        return float(self.each.mean())

    def interval(self) -> Interval:
        """Mean over seeds with its 95 % interval, cut to what is possible.

        Of one seed only the clips are drawn; without draws the interval is Student's over seeds, and with
        neither the bounds are NaN.
        """
        value, seeds = self.value, len(self.each)
        error = self.each.std(ddof=1) / math.sqrt(seeds) if seeds > 1 else np.nan
        if self.draws is not None:
            means = self.draws[np.isfinite(self.draws).all(1)].mean(1)
            if seeds > 1:
                means = means[:, None] + error * _student(seeds - 1)  # (D, 1), (K,) -> (D, K)
            bounds = np.quantile(means, [0.025, 0.975])
        else:
            from scipy.stats import t as student

            half = student.ppf(0.975, seeds - 1) * error if seeds > 1 else np.nan
            bounds = [value - half, value + half]
        low, high = (float(bound) for bound in np.clip(bounds, *self.limits))
        # where all draws are alike, rounding must not leave the value outside its own interval
        return Interval(value, min(low, value), max(high, value), self.n)

    def combine(self, other: Cell, function: Callable, limits: tuple[float, float], n: int = 0) -> Cell:
        """Function of two numbers of the same draws; seed s goes with seed s, one seed goes with all."""
        if len({1, len(self.each), len(other.each)}) > 2:
            raise ValueError(f"cells of {len(self.each)} and {len(other.each)} seeds; give as many, or one.")
        with np.errstate(invalid="ignore", divide="ignore"):
            each = function(self.each, other.each)
            draws = None if self.draws is None or other.draws is None else function(self.draws, other.draws)
        return Cell(each, draws, n or self.n, limits)

    def __sub__(self, other: Cell) -> Cell:
        """Difference of two numbers on the same drawn clips: what is hard for both cancels."""
        limits = self.limits[0] - other.limits[1], self.limits[1] - other.limits[0]
        return self.combine(other, np.subtract, limits)

    def __truediv__(self, other: Cell) -> Cell:
        """Ratio of two numbers that are not negative, on the same drawn clips."""
        return self.combine(other, np.divide, (0, np.inf))

    @classmethod
    def mean(cls, values, clips, *, weights=None, limits: tuple[float, float] = SHARE) -> Cell:
        r"""Mean over items, or a weighted sum of means over parts, when clips are drawn with replacement.

        .. math:: \sum_p w_p \frac{1}{|Q_{sp}|} \sum_{q \in Q_{sp}} x_{spq}

        Parameters
        ----------
        values : (S, N), (N,) for one seed, or (S, P, N) in P parts
            Number of every item under every seed; NaN where it was not asked.
        clips : (N,) the clip of each item, or (N, 2) the clips that its two halves come from
            A pair counts as often as both of its clips were drawn (the vertex bootstrap: Snijders and
            Borgatti 1999, *Non-parametric standard errors and tests for network statistics*).
        weights : (P,) float, by default the mean over parts
        limits : (low, high), what is possible
        """
        values = np.atleast_2d(np.asarray(values, np.float64))
        if values.ndim not in (2, 3) or not values.size or not np.isfinite(values).any(-1).all():
            raise ValueError(f"values must be ([[seeds, parts,] items), no row empty; got {values.shape}")
        asked = np.isfinite(values)
        drawn = _drawn_means(values.reshape(-1, values.shape[-1]), clips)
        each = values.mean(-1) if asked.all() else np.where(asked, values, 0).sum(-1) / asked.sum(-1)
        if values.ndim == 3:
            parts = values.shape[1]
            weights = np.full(parts, 1 / parts) if weights is None else np.asarray(weights, np.float64)
            each, drawn = each @ weights, drawn.reshape(-1, *values.shape[:2]) @ weights
        return cls(each, drawn, int(asked.any(tuple(range(values.ndim - 1))).sum()), limits)

    @classmethod
    def class_mean(cls, values, labels, clips, *, limits: tuple[float, float] = SHARE, rng=0) -> Cell:
        """Mean over classes of the mean over a class's items, when clips are drawn within each class.

        `values` (S, N) or (N,) are hits, or differences of two methods' hits; each clip is of one class. Two
        sides of one number share a Generator `rng`.
        """
        values, labels, clips = np.atleast_2d(np.float64(values)), np.asarray(labels), np.asarray(clips)
        if values.shape[1:] != labels.shape or not values.size or not (np.abs(values) <= 1).all():
            raise ValueError(f"values must be (seeds, {len(labels)}) hits or differences of hits.")
        if clips.shape != labels.shape or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels {labels.shape} {labels.dtype} must be integers, and clips as many.")
        if np.unique(np.stack([clips, labels]), axis=1).shape[1] > len(np.unique(clips)):
            raise ValueError("a clip is of two classes; number clips over all classes.")
        rng, each, total = np.random.default_rng(rng), [], np.zeros((DRAWS, len(values)))
        for k in dict.fromkeys(labels[np.argsort(clips, kind="stable")].tolist()):
            own = values[:, labels == k]  # (S, n)
            number = np.unique(clips[labels == k], return_inverse=True)[1]  # which of the class's clips
            sums, sizes = np.stack([np.bincount(number, row) for row in own], axis=1), np.bincount(number)
            chosen = rng.integers(0, len(sizes), (DRAWS, len(sizes))) + np.arange(DRAWS)[:, None] * len(sizes)
            # how often each clip was drawn; faster than multinomial
            times = np.bincount(chosen.ravel(), minlength=chosen.size).reshape(chosen.shape).astype(float)
            total += (times @ sums) / (times @ sizes)[:, None]  # (draws, clips) @ (clips, S)
            each.append(own.mean(1))
        return cls(np.mean(each, axis=0), total / len(each), values.shape[1], limits)


def clip_bootstrap(values, clips, *, limits: tuple[float, float] = SHARE) -> Interval:
    """Interval of a mean over items that share clips, as of an accuracy; arguments as for `Cell.mean`."""
    return Cell.mean(values, clips, limits=limits).interval()


def wilson(correct) -> Interval:
    r"""Wilson's score interval for a share of independent decisions; `correct` (n,) of 0 and 1.

    .. math:: \frac{p + z^2/2n \pm z\sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Source: Wilson (1927), *Probable inference, the law of succession, and statistical inference*.
    """
    from scipy.stats import binomtest

    correct = np.asarray(correct)
    if correct.ndim != 1 or not len(correct) or not np.isin(correct, (0, 1)).all():
        raise ValueError(f"correct must be (n,) of 0 and 1, not empty; got shape {correct.shape}.")
    n, right = len(correct), int(correct.sum())
    bounds = binomtest(right, n).proportion_ci(0.95, method="wilson")
    return Interval(right / n, bounds.low, bounds.high, n)


def drawn_weights(clips, n: int) -> Iterator[np.ndarray]:
    """How often each of n items counts when clips are drawn DRAWS times, (200, n) integers at a time."""
    clips = np.asarray(clips)
    clips = np.stack([clips, clips], axis=1) if clips.ndim == 1 else clips
    if clips.shape != (n, 2):
        raise ValueError(f"clips must be (n,) or (n, 2) for n = {n} items, got shape {clips.shape}.")
    pairs = np.unique(clips, return_inverse=True)[1].reshape(n, 2)
    # a pair of clips drawn a and b times counts a * b times; a clip with itself, a times
    same, count, rng = pairs[:, 0] == pairs[:, 1], pairs.max() + 1, np.random.default_rng(0)
    for _ in range(DRAWS // 200):
        times = rng.multinomial(count, np.full(count, 1 / count), size=200)
        yield times[:, pairs[:, 0]] * np.where(same, 1, times[:, pairs[:, 1]])


def _drawn_means(values: np.ndarray, clips) -> np.ndarray:
    """Means of rows (R, N) over their finite values when clips are drawn, (DRAWS, R)."""
    asked = np.isfinite(values)
    filled, every, parts = np.where(asked, values, 0), asked.all(), []
    for weights in drawn_weights(clips, values.shape[1]):
        counts = weights.sum(1, keepdims=True) if every else weights @ asked.T
        with np.errstate(invalid="ignore", divide="ignore"):  # a draw may ask nothing of a row
            parts.append((weights @ filled.T) / counts)
    return np.concatenate(parts)


@cache
def _student(degrees: int) -> np.ndarray:
    """Quantiles of Student's distribution, equally likely and symmetric around zero, (101,)."""
    from scipy.stats import t as student

    upper = student.isf((np.arange(50) + 0.5) / 101, degrees)
    return np.concatenate([-upper, [0.0], upper[::-1]])
