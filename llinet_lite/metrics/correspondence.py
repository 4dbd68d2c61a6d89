"""How well a network tells matching pictures and sounds from mismatched ones, and how sure we can be.

A test clip takes part in several pairs, so pairs are not independent and the textbook interval is too narrow;
the bootstrap here draws clips, not pairs.

Notebook: 01
"""

import numpy as np
from scipy.stats import norm

from llinet_lite.metrics.intervals import Interval

__all__ = [
    "Interval",
    "accuracy",
    "balanced_accuracy",
    "chance",
    "clip_bootstrap",
    "is_above_chance",
    "resampled_means",
    "wilson",
]


def _flags(values, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{name} must be a list of at least one decision, got shape {array.shape}.")
    if not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} must hold only 0 and 1 (or False and True).")
    return array.astype(bool)


def accuracy(said, match) -> float:
    """Share of right decisions; `said`, `match` (n,) of 0 and 1."""
    said, match = _flags(said, "said"), _flags(match, "match")
    return float((said == match).mean())


def balanced_accuracy(said, match) -> float:
    """Mean of the shares of right decisions among matched and among mismatched pairs; chance is 0.5.

    Raises
    ------
    ValueError
        If one of the two kinds of pair is missing.
    """
    said, match = _flags(said, "said"), _flags(match, "match")
    if match.all() or not match.any():
        raise ValueError("Balanced accuracy needs matched and mismatched pairs; the list has only one kind.")
    return float(0.5 * ((said == match)[match].mean() + (said == match)[~match].mean()))


def chance(match) -> float:
    """Accuracy of always giving the more frequent answer; 0.5 for a balanced list."""
    share = _flags(match, "match").mean()
    return float(max(share, 1 - share))


def wilson(correct, level: float = 0.95) -> Interval:
    r"""Wilson's score interval for a share of independent decisions.

    .. math:: \frac{p + z^2/2n \pm z\sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Source: Wilson (1927), *Probable inference, the law of succession, and statistical inference*.

    Parameters
    ----------
    correct : (n,) of 0 and 1
    level : float, probability that the interval covers the truth
    """
    correct = _flags(correct, "correct")
    n, share, z = len(correct), correct.mean(), norm.ppf(0.5 + level / 2)
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)
    return Interval(float(share), float(min(low, share)), float(max(high, share)), n)


def _clip_pairs(clips, n: int) -> np.ndarray:
    """Clip numbers 0..k-1 of each pair's picture and sound, (n, 2)."""
    clips = np.asarray(clips)
    clips = np.stack([clips, clips], axis=1) if clips.ndim == 1 else clips
    if clips.shape != (n, 2):
        raise ValueError(f"clips must be (n,) or (n, 2) for n = {n} decisions, got shape {clips.shape}.")
    return np.unique(clips, return_inverse=True)[1].reshape(n, 2)


def resampled_means(values: np.ndarray, clips, draws: int, seed: int) -> np.ndarray:
    """Means of `values` (n,) or (n, k) when clips are drawn with replacement, (draws,) or (draws, k).

    A pair of clips drawn a and b times counts a * b times; a clip with itself, a times.
    """
    pairs = _clip_pairs(clips, len(values))
    same = pairs[:, 0] == pairs[:, 1]
    count, rng, means = pairs.max() + 1, np.random.default_rng(seed), []
    for start in range(0, draws, 200):
        size = min(200, draws - start)
        times = rng.multinomial(count, np.full(count, 1 / count), size=size)  # (size, clips)
        weight = times[:, pairs[:, 0]] * np.where(same, 1, times[:, pairs[:, 1]])  # (size, n)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (weight @ values) / weight.sum(1).reshape(-1, *[1] * (values.ndim - 1))
        means.append(mean)
    means = np.concatenate(means)
    return means[np.isfinite(means.reshape(len(means), -1)).all(1)]


def clip_bootstrap(correct, clips, *, level: float = 0.95, draws: int = 2000, seed: int = 0) -> Interval:
    """Bootstrap interval of an accuracy whose pairs share clips.

    Clips, not pairs, are drawn with replacement, and a pair counts as often as both of its clips were drawn
    (the vertex bootstrap: Snijders and Borgatti 1999, *Non-parametric standard errors and tests for network
    statistics*).

    Parameters
    ----------
    correct : (n,) of 0 and 1
    clips : (n,) the clip of each decision, or (n, 2) the clips that its picture and its sound come from
    level : float
    draws : int, number of bootstrap samples
    seed : int

    Returns
    -------
    Interval, percentile bounds around the plain accuracy

    Notebook: 01
    """
    correct = _flags(correct, "correct").astype(float)
    means = resampled_means(correct, clips, draws, seed)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(float(correct.mean()), float(low), float(high), len(correct))


def is_above_chance(interval: Interval, chance: float = 0.5) -> bool:
    """Whether the whole interval lies above `chance`."""
    return interval.low > chance
