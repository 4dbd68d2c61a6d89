"""Intervals of class means and of their harmonic mean, over seeds and clips, which are drawn within a class.

A class mean belongs to its classes, so every class keeps its number of clips in every draw. Seeds enter as in
:func:`llinet_lite.metrics.seeds.with_seeds`. A class of one clip adds no spread, and which classes were
chosen is not drawn: the intervals are of these classes.

Notebook: 08
"""

from __future__ import annotations

import numpy as np

from llinet_lite.metrics.correspondence import Interval
from llinet_lite.metrics.recognition.accuracy import as_labels, harmonic_mean
from llinet_lite.metrics.seeds import DIFFERENCE, with_seeds

__all__ = ["class_mean_difference", "class_mean_interval", "harmonic_difference", "harmonic_interval"]


def class_mean_interval(
    hits, labels, clips, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Bootstrap interval of a class mean over seeds and items.

    Parameters
    ----------
    hits : (S, N) of 0 and 1, the right answers of every seed; (N,) for one
    labels : (N,) integers
    clips : (N,) the clip that each item comes from; the same clips are drawn for all seeds
    draws : int, number of bootstrap samples
    level : float
    seed : int

    Returns
    -------
    Interval, percentile bounds around the mean over seeds of the class mean

    Raises
    ------
    ValueError
        If shapes do not fit, hits are not 0 and 1, or a clip is of two classes.

    Notebook: 08
    """
    hits, strata = _hits(hits, labels, "hits"), _strata(labels, clips)
    rng = np.random.default_rng(seed)
    drawn = _drawn(hits, strata, draws, rng)
    return with_seeds(_means(hits, strata), drawn, hits.shape[1], level=level)


def class_mean_difference(
    first, second, labels, clips, *, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Bootstrap interval of the class mean of `first` minus that of `second` on the same items.

    The same clips are drawn for both, so what is hard for both cancels. Arguments as
    :func:`class_mean_interval`; seed s of one is compared with seed s of the other, and a method of one seed
    with all seeds.

    Notebook: 08
    """
    first, second = _hits(first, labels, "first"), _hits(second, labels, "second")
    _check_seeds(first, second)
    strata, rng = _strata(labels, clips), np.random.default_rng(seed)
    gain = first - second  # (S, N); a mean of differences is a difference of means
    drawn, how = _drawn(gain, strata, draws, rng), {"level": level, "limits": DIFFERENCE}
    return with_seeds(_means(gain, strata), drawn, gain.shape[1], **how)


def harmonic_interval(
    hits_seen,
    labels_seen,
    clips_seen,
    hits_unseen,
    labels_unseen,
    clips_unseen,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of the harmonic mean of tr and ts.

    Its value is the mean over seeds of each seed's harmonic mean, not that of the mean tr and ts; a seed is
    drawn with both its accuracies.

    Parameters
    ----------
    hits_seen, labels_seen, clips_seen : (S, N), (N,), (N,)
        As for :func:`class_mean_interval`.
    hits_unseen, labels_unseen, clips_unseen : (S, M), (M,), (M,)
        Of the same seeds.
    draws, level, seed
        As for :func:`class_mean_interval`.

    Returns
    -------
    Interval, over N + M decisions

    Notebook: 08
    """
    rng = np.random.default_rng(seed)
    value, drawn = _harmonics(
        (hits_seen,), labels_seen, clips_seen, (hits_unseen,), labels_unseen, clips_unseen, draws, rng
    )
    items = len(labels_seen) + len(labels_unseen)
    return with_seeds(value[0], drawn[0], items, level=level)


def harmonic_difference(
    first_seen,
    second_seen,
    labels_seen,
    clips_seen,
    first_unseen,
    second_unseen,
    labels_unseen,
    clips_unseen,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Bootstrap interval of the harmonic mean of `first` minus that of `second` on the same items.

    Arguments as :func:`harmonic_interval`, with the hits of two methods on either side; seeds as
    :func:`class_mean_difference`.

    Notebook: 08
    """
    rng, seen, unseen = np.random.default_rng(seed), (first_seen, second_seen), (first_unseen, second_unseen)
    value, drawn = _harmonics(seen, labels_seen, clips_seen, unseen, labels_unseen, clips_unseen, draws, rng)
    _check_seeds(*value)
    items = len(labels_seen) + len(labels_unseen)
    how = {"level": level, "limits": DIFFERENCE}
    return with_seeds(value[0] - value[1], drawn[0] - drawn[1], items, **how)


# ---------------------------------------------------------------------------------------------- the draws


def _harmonics(seen, labels_seen, clips_seen, unseen, labels_unseen, clips_unseen, draws: int, rng):
    """Harmonic mean of every seed (S,), and as drawn (draws, S), of each of some methods."""
    sides = []
    for name, methods, labels, clips in (
        ("seen", seen, labels_seen, clips_seen),
        ("unseen", unseen, labels_unseen, clips_unseen),
    ):
        methods, strata = [_hits(one, labels, f"{name} hits") for one in methods], _strata(labels, clips)
        rows = np.cumsum([len(one) for one in methods])[:-1]
        every = np.concatenate(methods)  # all methods at once, so that they share the drawn clips
        sides.append(
            (
                np.split(_means(every, strata), rows),
                np.split(_drawn(every, strata, draws, rng), rows, axis=1),
            )
        )
    (tr, tr_drawn), (ts, ts_drawn) = sides
    for a, b in zip(tr, ts, strict=True):
        if len(a) != len(b):
            raise ValueError(f"seen hits are of {len(a)} seeds and unseen hits of {len(b)}; give the same.")
    return list(map(harmonic_mean, tr, ts)), list(map(harmonic_mean, tr_drawn, ts_drawn))


def _means(values: np.ndarray, strata: list[list[np.ndarray]]) -> np.ndarray:
    """Class mean of every seed, (S,)."""
    return np.mean([values[:, np.concatenate(clips)].mean(1) for clips in strata], axis=0)


def _drawn(values: np.ndarray, strata: list[list[np.ndarray]], draws: int, rng) -> np.ndarray:
    """Class means (draws, S) when the clips of every class are drawn with replacement."""
    total = np.zeros((draws, len(values)))
    for clips in strata:
        sums = np.stack([values[:, items].sum(1) for items in clips])  # (clips, S)
        sizes = np.array([len(items) for items in clips], np.float64)
        chosen = rng.integers(0, len(clips), (draws, len(clips))) + np.arange(draws)[:, None] * len(clips)
        # how often each clip was drawn; faster than multinomial
        times = np.bincount(chosen.ravel(), minlength=chosen.size).reshape(chosen.shape).astype(np.float64)
        total += (times @ sums) / (times @ sizes)[:, None]  # (draws, clips) @ (clips, S)
    return total / len(strata)


def _strata(labels, clips) -> list[list[np.ndarray]]:
    """Items of every clip of every class."""
    labels, clips = as_labels(labels, "labels"), np.asarray(clips)
    if clips.shape != labels.shape:
        raise ValueError(f"clips must be {labels.shape}, one for every item; got shape {clips.shape}.")
    strata: dict[int, list[np.ndarray]] = {}
    order = np.argsort(clips, kind="stable")
    starts = np.flatnonzero(clips[order][1:] != clips[order][:-1]) + 1
    for items in np.split(order, starts):
        if len(set(labels[items].tolist())) > 1:
            raise ValueError(
                f"clip {clips[items[0]]} is of two classes; clips are drawn within a class, so number them "
                "over all classes, and give a clip one class."
            )
        strata.setdefault(int(labels[items[0]]), []).append(items)
    return list(strata.values())


def _hits(hits, labels, name: str) -> np.ndarray:
    """Hits as (S, N) float64."""
    hits, count = np.atleast_2d(np.asarray(hits)), len(labels)
    if hits.ndim != 2 or not hits.size or hits.shape[1] != count or not np.isin(hits, (0, 1)).all():
        raise ValueError(f"{name} must be (seeds, {count}) of 0 and 1; got shape {hits.shape}.")
    return hits.astype(np.float64)


def _check_seeds(first: np.ndarray, second: np.ndarray) -> None:
    if len({1, len(first), len(second)}) > 2:
        raise ValueError(
            f"the methods have {len(first)} and {len(second)} seeds; give as many of both, or one of one."
        )
