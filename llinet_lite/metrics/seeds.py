"""Intervals of a mean over trainings: what the choice of clips leaves open, and what the seeds do.

Clips are many, so they are drawn with replacement. Seeds are few: a mean of three that were drawn with
replacement never lies beyond the extreme one, and such an interval holds the truth in three cases of four
where nineteen of twenty are meant. So the seeds' part is Student's, as for any mean of few measurements.

Notebook: 06
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.stats import t as student

from llinet_lite.metrics.correspondence import Interval, resampled_means

__all__ = ["over_clips_and_seeds", "with_seeds"]

DRAWS = 2000
SHARE = (0.0, 1.0)
DIFFERENCE = (-1.0, 1.0)  # of two shares


def with_seeds(
    values, drawn, n: int, *, level: float = 0.95, limits: tuple[float, float] = SHARE
) -> Interval:
    r"""Interval of a mean over seeds from what each of them reaches when clips are drawn.

    Every draw of the clips gets every error of the seeds: the quantiles of :math:`t_{S-1}\, s / \sqrt S`,
    Student's distribution times the standard error over seeds. With one seed nothing is known of their
    spread, and only clips are drawn.

    Parameters
    ----------
    values : (S,) float
        Of every seed, on all clips.
    drawn : (draws, S) float
        The same when clips are drawn with replacement, the same clips for all seeds.
    n : int
        Decisions or items.
    level : float
    limits : (low, high)
        What is possible: 0 to 1 for a share, -1 to 1 for a difference of two.

    Returns
    -------
    Interval
        Percentile bounds around the mean over seeds. What differs from seed to seed *and* from clip to clip
        is counted in both parts, so the interval is rather too wide than too narrow.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Notebook: 06
    """
    values, drawn = np.asarray(values, np.float64), np.asarray(drawn, np.float64)
    if values.ndim != 1 or drawn.ndim != 2 or drawn.shape[1:] != values.shape or not drawn.size:
        raise ValueError(
            f"values must be (seeds,) and drawn (draws, seeds); got {values.shape} and {drawn.shape}"
        )
    seeds, means = len(values), drawn.mean(1)
    if seeds > 1:
        error = values.std(ddof=1) / np.sqrt(seeds)
        means = means[:, None] + error * _student(seeds - 1)  # (draws, 1), (K,) -> (draws, K)
    low, high = np.clip(np.quantile(means, [0.5 - level / 2, 0.5 + level / 2]), *limits)
    value = float(values.mean())
    # where all draws are alike, rounding must not leave the value outside its own interval
    return Interval(value, min(float(low), value), max(float(high), value), n)


@cache
def _student(degrees: int, count: int = 101) -> np.ndarray:
    """Quantiles of Student's distribution, equally likely and symmetric around zero, (count,)."""
    upper = student.isf((np.arange(count // 2) + 0.5) / count, degrees)
    return np.concatenate([-upper, [0.0], upper[::-1]])


def over_clips_and_seeds(
    values, clips, *, level: float = 0.95, limits: tuple[float, float] = SHARE, draws: int = DRAWS
) -> Interval:
    """Interval of the mean of a number that every query has under every seed; see :func:`with_seeds`.

    Parameters
    ----------
    values : (S, Q) float
    clips : (Q,), or (Q, 2) for pairs
        What the queries share; the same clips are drawn for all seeds.
    level, limits
        As for :func:`with_seeds`.
    draws : int

    Returns
    -------
    Interval, over Q queries

    Notebook: 06
    """
    values = np.asarray(values, np.float64)
    drawn = resampled_means(values.T, clips, draws, 0)  # (draws, S)
    return with_seeds(values.mean(1), drawn, values.shape[1], level=level, limits=limits)
