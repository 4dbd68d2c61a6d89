"""Average precision, where an item of the database is relevant or not, and its exact value by chance.

Notebook: 06
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from llinet_lite.metrics.retrieval.graded import CELLS, check_finite

__all__ = ["average_precision", "chance_average_precision", "mean_average_precision", "precision_by_class"]


def average_precision(scores: Tensor, relevant: Tensor, ties: str = "stable") -> Tensor:
    r"""Average precision of every query, over the ranking of the whole database.

    .. math:: AP = \frac{1}{R} \sum_{i:\, \pi(i)\ \text{relevant}}
                   \frac{\#\{\text{relevant items at places } 1 \dots i\}}{i}

    with pi the ranking by score, and R the number of relevant items. Only the order of the scores counts;
    they may be negative.

    Parameters
    ----------
    scores : Tensor (Q, N) float, finite; higher is nearer
    relevant : Tensor (Q, N) bool; every query has at least one relevant item
    ties : "stable" or "average"
        Equal scores are ranked in the order of the database, or AP is its mean over all their orders. A
        network that gives every pair one score gets what the order of the database is worth with "stable",
        and chance with "average".

    Returns
    -------
    Tensor (Q,) float64 in (0, 1], on the CPU

    Raises
    ------
    ValueError
        For shapes that do not fit, scores that are not finite, an unknown way with ties, or a query without
        relevant items: its AP is 0 / 0, and leaving it out, or calling it 0, would change the mean.

    Notebook: 06
    """
    _check(scores, relevant, ties)
    scores, relevant = scores.detach().cpu(), relevant.cpu()
    scores = scores if scores.dtype == torch.float64 else scores.float()
    step, parts = max(1, CELLS // scores.shape[1]), []
    for score, mine in zip(scores.split(step), relevant.split(step), strict=True):
        values, mixed = _expected_precision(score.contiguous(), mine)
        if ties == "stable" and mixed.any():
            values[mixed] = _expected_precision(_without_ties(score[mixed]), mine[mixed])[0]
        parts.append(values)
    return torch.cat(parts)


def mean_average_precision(scores: Tensor, relevant: Tensor, ties: str = "stable") -> float:
    """Mean over the queries of :func:`average_precision`, which has the parameters and the errors."""
    return float(average_precision(scores, relevant, ties).mean())


def chance_average_precision(relevant, items: int) -> Tensor:
    r"""Expected average precision of a random ranking, exactly: the mean over all orders.

    .. math:: E[AP] = \frac{1}{N} \left[H_N + \frac{R - 1}{N - 1} (N - H_N)\right],
              \quad H_N = 1 + \tfrac12 + \dots + \tfrac1N

    A relevant item is at place i with chance 1 / N, and each of the i - 1 places before it holds one of the
    other R - 1 with chance (R - 1) / (N - 1). That is more than the share R / N, most of all for few relevant
    items.

    Parameters
    ----------
    relevant : int or Tensor of int
        R, relevant items, 1 to N, of one query or of each.
    items : int
        N, of the database.

    Returns
    -------
    Tensor float64, of the shape of `relevant`

    Raises
    ------
    ValueError
        If R is not 1 to N.

    Notebook: 06
    """
    relevant = torch.as_tensor(relevant)
    if relevant.numel() and not 1 <= int(relevant.min()) <= int(relevant.max()) <= items:
        raise ValueError(
            f"relevant must be 1 to {items}, the size of the database; it runs from {int(relevant.min())} to "
            f"{int(relevant.max())}."
        )
    none, end = torch.zeros_like(relevant), torch.full_like(relevant, items)
    return _precision_in_run(none, relevant, none, end, _harmonic(items))  # one run of equal scores


def _expected_precision(scores: Tensor, relevant: Tensor) -> tuple[Tensor, Tensor]:
    """AP of some queries, (q,), the mean over the orders of equal scores; rows in which that order matters.

    The places of the relevant items are looked up among the sorted scores: sorting values is several times
    faster than ordering items, and few items are relevant.
    """
    total = relevant.sum(1, keepdim=True)
    falling = _ascending(-scores)
    own = _ascending(torch.where(relevant, -scores, torch.inf))[:, : int(total.max())].contiguous()  # (q, R)
    higher, until = (torch.searchsorted(falling, own, right=right) for right in (False, True))
    own_higher, own_until = (torch.searchsorted(own, own, right=right) for right in (False, True))
    tied = own_until - own_higher
    share = _precision_in_run(own_higher, tied, higher, until, _harmonic(scores.shape[1]))
    real = torch.arange(own.shape[1]) < total  # rows with fewer relevant items are filled up
    return share.where(real, 0).sum(1) / total[:, 0], (real & (tied < until - higher)).any(1)


def _precision_in_run(hits: Tensor, relevant: Tensor, start: Tensor, end: Tensor, harmonic: Tensor) -> Tensor:
    r"""Mean precision at a relevant item that stands anywhere in a run of equal scores.

    `start` = s items are before the run, `hits` = h of them relevant; `end` = s + t with the run, in which
    `relevant` = r of t are. A relevant item is at place s + j, j = 1 to t, with equal chance, and each of the
    j - 1 places before it in the run holds one of the other r - 1 with chance c = (r - 1) / (t - 1):

    .. math:: \frac{1}{t} \sum_{j=1}^{t} \frac{h + 1 + (j - 1)\, c}{s + j}
              = \frac{1}{t} \left[(h + 1 - (s + 1)\, c)(H_{s+t} - H_s) + c\, t\right]

    with the harmonic numbers H. Without ties, t = 1, it is (h + 1) / (s + 1), and computed so: without error.
    """
    size = (end - start).clamp(min=1)  # of what only fills a row up, 0
    chance = (relevant - 1).double() / (size - 1).clamp(min=1)
    span = harmonic[end] - harmonic[start]
    mean = (hits + 1 - (start + 1) * chance) * span / size + chance
    return torch.where(size == 1, (hits + 1).double() / (start + 1), mean)


def _harmonic(count: int) -> Tensor:
    """Harmonic numbers H_0 to H_count, (count + 1,) float64."""
    return F.pad(torch.arange(1, count + 1, dtype=torch.float64).reciprocal().cumsum(0), (1, 0))


def _ascending(values: Tensor) -> Tensor:
    return torch.from_numpy(np.sort(values.numpy(), axis=1))  # torch would order the items too, at a price


def _without_ties(scores: Tensor) -> Tensor:
    """Minus the place of every item, (q, N) float64: equal scores follow the order of the database."""
    order = scores.sort(dim=1, descending=True, stable=True).indices
    places = torch.arange(scores.shape[1], dtype=torch.float64).expand(scores.shape)
    return torch.empty(scores.shape, dtype=torch.float64).scatter_(1, order, -places)


def _check(scores: Tensor, relevant: Tensor, ties: str) -> None:
    matrix = scores.ndim == 2 and scores.numel() > 0
    if not matrix or relevant.shape != scores.shape or relevant.dtype != torch.bool:
        raise ValueError(
            "scores must be (queries, database) floats, not empty, and relevant as many bool; got "
            f"{tuple(scores.shape)} and {tuple(relevant.shape)} {relevant.dtype}."
        )
    check_finite(scores)
    if ties not in ("stable", "average"):
        raise ValueError(f'ties must be "stable" or "average", not {ties!r}.')
    empty = (~relevant.any(1)).nonzero()[:, 0].tolist()
    if empty:
        raise ValueError(
            f"nothing is relevant to {len(empty)} of {len(scores)} queries (first: query {empty[0]}), and "
            "their average precision is undefined. Leave them out of the queries, and say so, or complete "
            "the database."
        )


def precision_by_class(scores: Tensor, gallery_labels, classes) -> Tensor:
    """Average precision of every query if the items of one class, then of the next, were what it asks for.

    Parameters
    ----------
    scores : Tensor (Q, N) float, finite; higher is nearer; ties are ranked in the order of the database
    gallery_labels : (N,) integers
    classes : sequence of K labels
        Each has an item.

    Returns
    -------
    Tensor (Q, K) float64
        In the column of a query's own class stands its :func:`average_precision`.

    Raises
    ------
    ValueError
        If scores are not finite or do not fit the labels, or a class has no item.

    Notebook: 06
    """
    labels = torch.as_tensor(gallery_labels)
    if scores.ndim != 2 or labels.shape != scores.shape[1:]:
        raise ValueError(f"scores {tuple(scores.shape)} need a label per column, not {tuple(labels.shape)}.")
    check_finite(scores)
    ranked = labels[scores.detach().cpu().argsort(dim=1, descending=True, stable=True)]  # (Q, N)
    places, parts = torch.arange(1, len(labels) + 1, dtype=torch.float64), []
    for label in classes:
        hit = ranked == label
        if not hit[0].any():
            raise ValueError(f"class {label} has no item in the database, so its precision is undefined.")
        parts.append((hit.cumsum(1) * hit / places).sum(1) / hit[0].sum())
    return torch.stack(parts, 1)
