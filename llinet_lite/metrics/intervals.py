r"""How sure a number is: over the clips it was measured on, and over the seeds it was trained with.

One idea serves every number. A :class:`Cell` holds the number under every seed, (S,), and the same number
when clips are drawn with replacement, (D, S), the same clips for all seeds. A mean, a class mean, a harmonic
mean, a difference and a ratio differ only in how these two arrays are made.

Clips are many, so they are drawn. Seeds are few: a mean of three that were drawn with replacement never lies
beyond the extreme one, and such an interval holds the truth in three cases of four instead of nineteen of
twenty. So every draw of the clips gets every error of the seeds, the quantiles of
:math:`t_{S-1}\, s/\sqrt S`. What differs from seed to seed *and* from clip to clip is counted twice, so the
interval is rather too wide than too narrow.

Notebook: 00, 06
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
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
    """A number under every seed, and under the same bootstrap draws: one cell of a table.

    Examples
    --------
    >>> hits = np.array([[1, 1, 0, 1], [1, 0, 0, 1]])  # two seeds, four items
    >>> first, second = Cell.mean(hits, np.arange(4)), Cell.mean(1 - hits[0], np.arange(4))
    >>> first.value, (first - second).value
    (0.625, 0.375)

    Notebook: 06
    """

    each: np.ndarray  # (S,) the number of every seed, on all clips
    draws: np.ndarray | None = None  # (D, S) when clips are drawn; rows with NaN do not count
    n: int = 0  # decisions or items
    limits: tuple[float, float] = SHARE  # what is possible

    def __post_init__(self):
        each = np.asarray(self.each, np.float64)
        draws = None if self.draws is None else np.asarray(self.draws, np.float64)
        if each.ndim != 1 or not each.size or not np.isfinite(each).all():
            raise ValueError(f"each must be finite, one number per seed; got {each!r}.")
        if draws is not None and (draws.ndim != 2 or draws.shape[1:] != each.shape or not draws.size):
            raise ValueError(f"draws must be (draws, {len(each)}), one column per seed; got {draws.shape}.")
        object.__setattr__(self, "each", each)
        object.__setattr__(self, "draws", draws)

    @property
    def value(self) -> float:
        """Mean over seeds."""
        return float(self.each.mean())

    def interval(self, limits: tuple[float, float] | None = None, level: float = 0.95) -> Interval:
        """Mean over seeds with its interval, cut to what is possible (`limits`, by default the cell's).

        With one seed nothing is known of the spread of seeds, and only clips are drawn; without draws the
        interval is Student's over seeds, and with neither the bounds are NaN.
        """
        value, seeds = self.value, len(self.each)
        spread = self.each.std(ddof=1) if seeds > 1 else np.nan
        if self.draws is None:
            from scipy.stats import t as student

            half = (
                student.ppf(0.5 + level / 2, seeds - 1) * spread / math.sqrt(seeds) if seeds > 1 else np.nan
            )
            bounds = [value - half, value + half]
        else:
            means = self.draws[np.isfinite(self.draws).all(1)].mean(1)
            if seeds > 1:
                means = means[:, None] + spread / np.sqrt(seeds) * _student(
                    seeds - 1
                )  # (D, 1), (K,) -> (D, K)
            bounds = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
        low, high = (float(bound) for bound in np.clip(bounds, *(limits or self.limits)))
        # where all draws are alike, rounding must not leave the value outside its own interval
        return Interval(value, min(low, value), max(high, value), self.n)

    def combine(self, other: Cell, function: Callable, limits: tuple[float, float], n: int = 0) -> Cell:
        """Function of two numbers of the same draws; seed s goes with seed s, one seed goes with all."""
        if len({1, len(self.each), len(other.each)}) > 2:
            raise ValueError(
                f"the cells have {len(self.each)} and {len(other.each)} seeds; give as many, or one."
            )
        draws = None
        if self.draws is not None and other.draws is not None:
            with np.errstate(invalid="ignore", divide="ignore"):
                draws = function(self.draws, other.draws)
        return Cell(function(self.each, other.each), draws, n or self.n, limits)

    def __sub__(self, other: Cell) -> Cell:
        """Difference of two numbers on the same drawn clips: what is hard for both cancels."""
        limits = self.limits[0] - other.limits[1], self.limits[1] - other.limits[0]
        return self.combine(other, np.subtract, limits)

    def __truediv__(self, other: Cell) -> Cell:
        """Ratio of two numbers that are not negative, on the same drawn clips."""
        if not other.each.all():
            raise ValueError("a ratio to a number that is zero under some seed is not defined.")
        return self.combine(other, np.divide, (0, np.inf))

    @classmethod
    def mean(
        cls, values, clips, *, weights=None, limits: tuple[float, float] = SHARE, draws: int = DRAWS
    ) -> Cell:
        r"""Mean over items, or a weighted sum of means over parts, when clips are drawn with replacement.

        .. math:: \sum_p w_p \frac{1}{|Q_{sp}|} \sum_{q \in Q_{sp}} x_{spq}

        Parameters
        ----------
        values : (S, N), (N,) for one seed, or (S, P, N) in P parts
            Number of every item under every seed; NaN where it was not asked. The difference of two methods
            is the mean of their difference item by item.
        clips : (N,) the clip of each item, or (N, 2) the clips that its two halves come from
            A pair counts as often as both of its clips were drawn (the vertex bootstrap: Snijders and
            Borgatti 1999, *Non-parametric standard errors and tests for network statistics*).
        weights : (P,) float, optional
            Default: the mean over parts.
        limits : (low, high)
        draws : int
        """
        values = np.asarray(values, np.float64)
        values = values[None] if values.ndim == 1 else values
        if values.ndim not in (2, 3) or not values.size or not np.isfinite(values).any(-1).all():
            raise ValueError(f"values must be ([[seeds, parts,] items), no row empty; got {values.shape}")
        asked = np.isfinite(values)
        drawn = _drawn_means(values.reshape(-1, values.shape[-1]), clips, draws)
        each = values.mean(-1) if asked.all() else np.where(asked, values, 0).sum(-1) / asked.sum(-1)
        if values.ndim == 3:
            parts = values.shape[1]
            weights = np.full(parts, 1 / parts) if weights is None else np.asarray(weights, np.float64)
            each, drawn = each @ weights, drawn.reshape(-1, *values.shape[:2]) @ weights
        return cls(each, drawn, int(asked.any(tuple(range(values.ndim - 1))).sum()), limits)

    @classmethod
    def means(cls, values: Mapping[Hashable, np.ndarray], clips, limits=SHARE) -> dict[Hashable, Cell]:
        """:meth:`mean` of many (S, N) on the same items; the clips are drawn once for all."""
        rows = {key: np.atleast_2d(np.asarray(each, np.float64)) for key, each in values.items()}
        drawn = _drawn_means(np.concatenate([*rows.values()]), clips, DRAWS)
        parts = np.split(drawn, np.cumsum([len(row) for row in rows.values()])[:-1], axis=1)
        pairs = zip(rows.items(), parts, strict=True)
        return {key: cls(row.mean(1), part, row.shape[1], limits) for (key, row), part in pairs}

    @classmethod
    def class_mean(
        cls, values, labels, clips, *, limits: tuple[float, float] = SHARE, draws: int = DRAWS, rng=0
    ) -> Cell:
        """Mean over classes of the mean over a class's items, when clips are drawn within each class.

        `values` (S, N) or (N,) are hits, or the differences of two methods' hits; each clip is of one class,
        which keeps its number of clips in every draw. Two sides of one number share a Generator `rng`.
        """
        values, labels = np.atleast_2d(np.asarray(values)).astype(np.float64), np.asarray(labels)
        if values.shape[1:] != labels.shape or not values.size or not (np.abs(values) <= 1).all():
            raise ValueError(
                f"values must be (seeds, {len(labels)}) hits or differences of hits; got {values.shape}."
            )
        rng, strata = np.random.default_rng(rng), _strata(labels, np.asarray(clips))
        each = np.mean([values[:, np.concatenate(own)].mean(1) for own in strata], axis=0)
        total = np.zeros((draws, len(values)))
        for own in strata:
            sums = np.stack([values[:, items].sum(1) for items in own])  # (clips, S)
            sizes = np.array([len(items) for items in own], np.float64)
            chosen = rng.integers(0, len(own), (draws, len(own))) + np.arange(draws)[:, None] * len(own)
            # how often each clip was drawn; faster than multinomial
            times = np.bincount(chosen.ravel(), minlength=chosen.size).reshape(chosen.shape).astype(float)
            total += (times @ sums) / (times @ sizes)[:, None]  # (draws, clips) @ (clips, S)
        return cls(each, total / len(strata), values.shape[1], limits)


def clip_bootstrap(values, clips, *, limits: tuple[float, float] = SHARE, level: float = 0.95) -> Interval:
    """Interval of a mean over items that share clips, as of an accuracy; arguments as for `Cell.mean`.

    Notebook: 00
    """
    return Cell.mean(values, clips, limits=limits).interval(level=level)


def wilson(correct, level: float = 0.95) -> Interval:
    r"""Wilson's score interval for a share of independent decisions; `correct` (n,) of 0 and 1.

    .. math:: \frac{p + z^2/2n \pm z\sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Source: Wilson (1927), *Probable inference, the law of succession, and statistical inference*.

    Notebook: 00
    """
    from scipy.stats import norm

    correct = np.asarray(correct)
    if correct.ndim != 1 or not len(correct) or not np.isin(correct, (0, 1)).all():
        raise ValueError(f"correct must be (n,) of 0 and 1, not empty; got shape {correct.shape}.")
    n, share, z = len(correct), correct.astype(bool).mean(), norm.ppf(0.5 + level / 2)
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return Interval(float(share), float(min(low, share)), float(max(high, share)), n)


def drawn_weights(clips, n: int, draws: int = DRAWS) -> Iterator[np.ndarray]:
    """How often each of n items counts when clips are drawn, (up to 200, n) integers at a time.

    A pair of clips drawn a and b times counts a * b times; a clip with itself, a times.
    """
    clips = np.asarray(clips)
    clips = np.stack([clips, clips], axis=1) if clips.ndim == 1 else clips
    if clips.shape != (n, 2):
        raise ValueError(f"clips must be (n,) or (n, 2) for n = {n} items, got shape {clips.shape}.")
    pairs = np.unique(clips, return_inverse=True)[1].reshape(n, 2)
    same, count, rng = pairs[:, 0] == pairs[:, 1], pairs.max() + 1, np.random.default_rng(0)
    for start in range(0, draws, 200):
        times = rng.multinomial(count, np.full(count, 1 / count), size=min(200, draws - start))
        yield times[:, pairs[:, 0]] * np.where(same, 1, times[:, pairs[:, 1]])


def _drawn_means(values: np.ndarray, clips, draws: int) -> np.ndarray:
    """Means of rows (R, N) over their finite values when clips are drawn, (draws, R)."""
    asked = np.isfinite(values)
    filled, every, parts = np.where(asked, values, 0), asked.all(), []
    for weights in drawn_weights(clips, values.shape[1], draws):
        counts = weights.sum(1, keepdims=True) if every else weights @ asked.T
        with np.errstate(invalid="ignore", divide="ignore"):  # a draw may ask nothing of a row
            parts.append((weights @ filled.T) / counts)
    return np.concatenate(parts)


def _strata(labels: np.ndarray, clips: np.ndarray) -> list[list[np.ndarray]]:
    """Items of every clip of every class."""
    if clips.shape != labels.shape or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels {labels.shape} {labels.dtype} must be integers, and clips as many.")
    strata: dict[int, list[np.ndarray]] = {}
    order = np.argsort(clips, kind="stable")
    starts = np.flatnonzero(clips[order][1:] != clips[order][:-1]) + 1
    for items in np.split(order, starts):
        if len(set(labels[items].tolist())) > 1:
            raise ValueError(f"clip {clips[items[0]]} is of two classes; number clips over all classes.")
        strata.setdefault(int(labels[items[0]]), []).append(items)
    return list(strata.values())


@cache
def _student(degrees: int, count: int = 101) -> np.ndarray:
    """Quantiles of Student's distribution, equally likely and symmetric around zero, (count,)."""
    from scipy.stats import t as student

    upper = student.isf((np.arange(count // 2) + 0.5) / count, degrees)
    return np.concatenate([-upper, [0.0], upper[::-1]])
