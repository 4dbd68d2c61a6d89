"""nDCG: how well the nearest items of one sense or the other answer a query, with graded relevance.

What to rank is in `directions`; what counts as a good answer, in `relevance`.

Notebook: 02
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from llinet_lite.metrics.correspondence import Interval, resampled_means
from llinet_lite.metrics.seeds import DIFFERENCE, SHARE, with_seeds

__all__ = [
    "SeedMean",
    "compare",
    "dcg_gain",
    "discounts",
    "ndcg",
    "nearest",
    "oracle_row",
    "random_row",
    "same_class_row",
    "score_embeddings",
    "summarize",
]

CELLS = 2**20  # entries of a matrix that are worked on at once


def dcg_gain(relevance: Tensor, gain: str = "linear") -> Tensor:
    """Gain of an item: its relevance r ("linear", as scikit-learn), or 2^r - 1 ("exponential"); float64."""
    if gain == "linear":
        return relevance.double()
    if gain == "exponential":
        return torch.exp2(relevance.double()) - 1
    raise ValueError(f'gain must be "linear" or "exponential", not {gain!r}.')


def discounts(k: int, device=None) -> Tensor:
    """Weights 1 / log2(1 + place) of places 1 to k, (k,) float64."""
    return 1 / torch.log2(torch.arange(2, k + 2, dtype=torch.float64, device=device))


def nearest(scores: Tensor, k: int) -> Tensor:
    """Items with the k highest scores, best first; ties go to the item that comes first in the database.

    Parameters
    ----------
    scores : Tensor (Q, N) float, higher is nearer
    k : int, at most N

    Returns
    -------
    Tensor (Q, k) int64, columns of `scores`; the same on every machine
    """
    count = scores.shape[1]
    values, ids = scores.topk(min(k + 1, count), dim=1)
    ids, last = ids[:, :k], values[:, k - 1 : k]
    cut = (values[:, k:] == last).any(1)  # rows in which place k cuts through a run of equal scores
    if cut.any():
        rows, edge = scores[cut], last[cut]
        first = torch.arange(count, 0, -1, dtype=torch.int32, device=scores.device)  # earlier is higher
        key = torch.where(rows > edge, 2 * count, torch.where(rows == edge, first, 0))
        ids[cut] = key.topk(k, dim=1).indices
    ids = ids.sort(dim=1).values
    order = scores.gather(1, ids).sort(dim=1, descending=True, stable=True).indices
    return ids.gather(1, order)


def ndcg(
    scores: Tensor,
    relevance: Tensor,
    k: int = 30,
    gain: str = "linear",
    exclude: Tensor | None = None,
    ties: str = "stable",
) -> Tensor:
    r"""Normalised discounted cumulative gain at k, of every query.

    .. math:: \mathrm{nDCG@}k = \frac{\sum_{i=1}^{k} g(r_{\pi(i)}) / \log_2(1 + i)}
                                     {\sum_{i=1}^{k} g(r_{\sigma(i)}) / \log_2(1 + i)}

    with pi the ranking by score and sigma the ideal ranking, by relevance, of the whole database.

    Source: Jarvelin and Kekalainen (2002), *Cumulated gain-based evaluation of IR techniques*; gain
    2^r - 1: Burges et al. (2005). *Objects that Sound* does not say which gain it takes.

    Parameters
    ----------
    scores : Tensor (Q, N) float, finite; higher is nearer, e.g. minus a distance
    relevance : Tensor (Q, N), finite, at least 0
    k : int, places that count; a database smaller than k is ranked whole
    gain : "linear" (r) or "exponential" (2^r - 1)
    exclude : Tensor (Q,) int64, optional
        Item of the database that is the query's own; left out of the ranking and of the ideal ranking.
    ties : "stable" or "average"
        Equal scores are ranked in the order of the database, or get the mean over all their orders
        (McSherry and Najork 2008; scikit-learn's default).

    Returns
    -------
    Tensor (Q,) float64 in [0, 1]; 0 for a query to which nothing is relevant, as in scikit-learn

    Raises
    ------
    ValueError
        For shapes that do not fit, values that are not finite, or an unknown gain or way with ties.

    Notebook: 02
    """
    _check(scores, relevance, k, exclude, ties)
    places = min(k, scores.shape[1])
    step = max(1, CELLS // max(scores.shape[1], places**2 if ties == "average" else 1))
    parts = []
    for start in range(0, len(scores), step):
        rows = slice(start, start + step)
        score, grade = scores[rows], relevance[rows]
        if exclude is not None:  # last, and worth nothing
            own = exclude[rows, None].to(scores.device)
            score, grade = score.scatter(1, own, -torch.inf), grade.scatter(1, own, 0)
        parts.append(_ndcg(score, grade, places, gain, ties))
    return torch.cat(parts)


def _ndcg(scores: Tensor, relevance: Tensor, k: int, gain: str, ties: str) -> Tensor:
    """Return nDCG of some queries, k <= N."""
    ids = nearest(scores, k)
    gains = dcg_gain(relevance.gather(1, ids), gain)  # (q, k)
    if ties == "average":
        gains = _expected_gains(scores, dcg_gain(relevance, gain), ids, gains)
    ideal = dcg_gain(relevance.topk(k, dim=1).values, gain)
    weights = discounts(k, scores.device)
    return ratio((gains * weights).sum(1), (ideal * weights).sum(1))


def _expected_gains(scores: Tensor, all_gains: Tensor, ids: Tensor, gains: Tensor) -> Tensor:
    """Mean gain at each place over all orders of equal scores: (q, N), (q, N), (q, k), (q, k) -> (q, k)."""
    values = scores.gather(1, ids)  # (q, k), falling
    same = (values[:, :, None] == values[:, None, :]).double()  # (q, k, k)
    inside = (same @ gains[:, :, None])[..., 0] / same.sum(-1)  # runs of equal scores that end by place k
    edge = scores == values[:, -1:]  # the last run may go on behind place k
    last = all_gains.masked_fill(~edge, 0).sum(1, keepdim=True) / edge.sum(1, keepdim=True)
    return torch.where(values == values[:, -1:], last, inside)


def ratio(dcg: Tensor, ideal: Tensor) -> Tensor:
    """DCG over the ideal DCG, (Q,); 0 where the ideal is 0.

    Raises
    ------
    ValueError
        If the ideal DCG is not finite: 2^r is too large for a float64.
    """
    if not torch.isfinite(ideal).all():
        raise ValueError(
            "2^r - 1 is too large for a float64: exponential gain needs relevance below 1000; scale it down."
        )
    return torch.where(ideal > 0, dcg / ideal.where(ideal > 0, 1), 0)


def _check(scores: Tensor, relevance: Tensor, k: int, exclude: Tensor | None, ties: str) -> None:
    if scores.ndim != 2 or scores.shape != relevance.shape or not scores.numel():
        raise ValueError(
            "scores and relevance must both be (queries, database) and not empty; got "
            f"{tuple(scores.shape)} and {tuple(relevance.shape)}."
        )
    check_finite(scores)
    low, high = (float(bound) for bound in relevance.aminmax())
    if not (low >= 0 and np.isfinite(high)):
        raise ValueError(f"relevance must be finite and at least 0; it runs from {low} to {high}.")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    if ties not in ("stable", "average"):
        raise ValueError(f'ties must be "stable" or "average", not {ties!r}.')
    if exclude is not None:
        check_own(exclude, *scores.shape)


def check_finite(scores: Tensor) -> None:
    """Refuse scores that are no floats, or NaN or infinite; they are not empty."""
    if not scores.is_floating_point() or not torch.isfinite(torch.stack(scores.aminmax())).all():
        raise ValueError("scores must be finite floats; look for NaN in the embeddings they come from.")


def check_own(exclude: Tensor, queries: int, count: int) -> None:
    """Refuse places of the queries' own items that are not (Q,) positions in a database of `count` items."""
    if exclude.shape != (queries,) or exclude.min() < 0 or exclude.max() >= count:
        raise ValueError(
            f"exclude must be ({queries},) positions in the database, 0 to {count - 1}: "
            f"one item to leave out for every query; got shape {tuple(exclude.shape)}."
        )


def of_one_space(queries: Tensor, database: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings (Q, D) and (N, D) in float64; refuse what is not of one space or not finite."""
    if queries.ndim != 2 or database.ndim != 2 or queries.shape[1] != database.shape[1]:
        raise ValueError(
            "queries and database must be (Q, D) and (N, D), vectors of one space; got "
            f"{tuple(queries.shape)} and {tuple(database.shape)}. Spaces of two sizes need a common one: CCA."
        )
    queries, database = queries.double(), database.double()
    if not (torch.isfinite(queries).all() and torch.isfinite(database).all()):
        raise ValueError("an embedding is NaN or infinite; find its item before you rank anything.")
    return queries, database


def score_embeddings(queries: Tensor, database: Tensor) -> Tensor:
    """Minus the Euclidean distance of every query to every item of the database.

    Computed in float64 and rounded to float32, so that equal embeddings tie and rankings are the same on
    every machine. Distances below a millionth of the largest norm are 0.

    Parameters
    ----------
    queries : Tensor (Q, D) float
    database : Tensor (N, D) float, of the same space

    Returns
    -------
    Tensor (Q, N) float32, at most 0; higher is nearer

    Raises
    ------
    ValueError
        If shapes do not fit or an embedding is not finite.

    Notebook: 02
    """
    queries, database = of_one_space(queries, database)
    norms, out = database.square().sum(1), []
    for part in queries.split(max(1, CELLS // max(1, len(database)))):
        norm = part.square().sum(1, keepdim=True)
        square = (part @ database.T).mul_(-2).add_(norms).add_(norm)  # (q, N)
        square.masked_fill_(square < 1e-12 * (norm + norms.max()), 0)
        out.append(-square.sqrt_().float())  # a float32 root is not the same on every machine
    return torch.cat(out)


# -------------------------------------------------------------------- what a number is to be compared with


def random_row(relevance: Tensor, k: int = 30, gain: str = "linear", exclude: Tensor | None = None) -> Tensor:
    """Expected nDCG of a random ranking of each query, exactly: the mean over all orders; see `ndcg`."""
    nothing = torch.zeros(1, 1, device=relevance.device).expand(relevance.shape)
    return ndcg(nothing, relevance, k, gain, exclude, ties="average")


def same_class_row(
    relevance: Tensor, C: float, k: int = 30, gain: str = "linear", exclude: Tensor | None = None
) -> Tensor:
    """Expected nDCG of a ranking that knows the class and nothing of the family.

    Items of relevance C (the query's class) come first, in random order, then all others, in random order.
    """
    return ndcg((relevance == C).float(), relevance, k, gain, exclude, ties="average")


def oracle_row(relevance: Tensor, k: int = 30, gain: str = "linear", exclude: Tensor | None = None) -> Tensor:
    """Return nDCG of the ranking by relevance itself: 1, but 0 for a query to which nothing is relevant."""
    return ndcg(relevance.double(), relevance, k, gain, exclude)


# --------------------------------------------------------------------------------------- how sure we can be


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds and queries.

    Attributes
    ----------
    interval : Interval
        Mean over all seeds and queries; its bounds tell how much it hangs on test clips and on trainings.
    seeds : tuple of float
        Mean of every seed.
    """

    interval: Interval
    seeds: tuple[float, ...]

    def __str__(self) -> str:
        mean = self.interval
        each = ", ".join(f"{seed:.3f}" for seed in self.seeds)
        return f"{mean.value:.3f} [{mean.low:.3f}, {mean.high:.3f}] (seeds {each})"


def summarize(
    values, *, level: float = 0.95, draws: int = 2000, seed: int = 0, limits: tuple[float, float] = SHARE
) -> SeedMean:
    """Mean over seeds and queries, with its interval; queries are drawn with replacement.

    Parameters
    ----------
    values : Tensor or array (S, Q), or (Q,) for one seed; e.g. nDCG of every query
    level : float, probability that the interval covers the truth
    draws : int, number of bootstrap samples
    seed : int
    limits : (low, high)
        What is possible; seeds as in :func:`llinet_lite.metrics.seeds.with_seeds`.

    Notebook: 02
    """
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"values must be finite, (seeds, queries) or (queries,); got shape {values.shape}.")
    drawn = resampled_means(values.T, np.arange(values.shape[1]), draws, seed)  # (draws, S)
    means = values.mean(1)
    interval = with_seeds(means, drawn, values.shape[1], level=level, limits=limits)
    return SeedMean(interval, tuple(float(mean) for mean in means))


def compare(first, second, *, level: float = 0.95, draws: int = 2000, seed: int = 0) -> SeedMean:
    """Mean of `first` minus `second` on the same queries; what is hard for both cancels.

    Parameters as `summarize`; seed s of one is compared with seed s of the other, and a method without
    seeds, (Q,), with all seeds.
    """
    first, second = (np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in (first, second))
    if first.shape[1] != second.shape[1] or len({1, len(first), len(second)}) > 2:
        raise ValueError(
            f"first {first.shape} and second {second.shape} must be (seeds, queries) over the same queries "
            "and seeds; one of them may have no seeds."
        )
    return summarize(first - second, level=level, draws=draws, seed=seed, limits=DIFFERENCE)
