"""How well the nearest items answer a query: nDCG with graded relevance, recall at 1 and average precision.

*Objects that Sound* grades answers by the family tree of their classes and measures nDCG in four directions;
LLINet calls an answer of the query's class right, every other wrong. Chance is known exactly for all of them.
Scores are (queries, database), higher is nearer; equal scores are ranked in the order of the database.
Notebook: 02, 06
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from llinet_lite.metrics.relevance import Relevance

DIRECTIONS = ("im-im", "im-aud", "aud-im", "aud-aud")  # query-database
CELLS = 2**20  # entries of a matrix that are worked on at once


def score_embeddings(queries: Tensor, database: Tensor) -> Tensor:
    """Minus the Euclidean distance of queries (Q, D) to the items of a database (N, D), (Q, N) float32.

    Computed in float64 and rounded, so that equal embeddings tie and rankings are the same on every machine.
    Distances below a millionth of the largest norm are 0.
    """
    queries, database = _of_one_space(queries, database)
    norms, out = database.square().sum(1), []
    for part in queries.split(max(1, CELLS // max(1, len(database)))):
        norm = part.square().sum(1, keepdim=True)
        square = (part @ database.T).mul_(-2).add_(norms).add_(norm)  # (q, N)
        square.masked_fill_(square < 1e-12 * (norm + norms.max()), 0)
        out.append(-square.sqrt_().float())  # a float32 root is not the same on every machine
    return torch.cat(out)


def cosine_scores(image: Tensor, audio: Tensor) -> Tensor:
    """Cosine of images (N, D) and sounds (M, D), (N, M) float32, rounded as :func:`score_embeddings`."""
    image, audio = (F.normalize(part, dim=1) for part in _of_one_space(image, audio))
    step = max(1, CELLS // max(1, len(audio)))
    return torch.cat([(part @ audio.T).float() for part in image.split(step)])


def nearest(scores: Tensor, k: int) -> Tensor:
    """Items with the k highest scores of every query, best first, (Q, k) int64; the same on every machine."""
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
    r"""Normalized discounted cumulative gain at k, (Q,) float64 in [0, 1].

    .. math:: \mathrm{nDCG@}k = \frac{\sum_{i=1}^{k} g(r_{\pi(i)}) / \log_2(1 + i)}
                                     {\sum_{i=1}^{k} g(r_{\sigma(i)}) / \log_2(1 + i)}

    with pi the ranking by score and sigma the ideal ranking, by relevance, of the whole database; 0 where
    nothing is relevant, as in scikit-learn.

    Source: Jarvelin and Kekalainen (2002), *Cumulated gain-based evaluation of IR techniques*; gain
    2^r - 1: Burges et al. (2005). *Objects that Sound* does not say which gain it takes.

    Parameters
    ----------
    scores, relevance : Tensor (Q, N), finite; relevance at least 0
    k : int, places that count; a database smaller than k is ranked whole
    gain : "linear" (r, as scikit-learn) or "exponential" (2^r - 1)
    exclude : Tensor (Q,) int64, optional
        Item of the database that is the query's own; left out of the ranking and of the ideal ranking.
    ties : "stable" (equal scores in the order of the database) or "average" (mean over all their orders:
        McSherry and Najork 2008; scikit-learn's default)

    Examples
    --------
    >>> ndcg(torch.tensor([[0.9, 0.2, 0.7]]), torch.tensor([[1, 3, 2]]), k=2)
    tensor([0.5307], dtype=torch.float64)
    """
    _check(scores, relevance, "relevance", ties)
    low, high = (float(bound) for bound in relevance.aminmax())
    if not (low >= 0 and np.isfinite(high)) or k < 1:
        raise ValueError(f"relevance must be finite, at least 0, and k at least 1; got {low} to {high}, {k}.")
    queries, count = scores.shape
    if exclude is not None and (exclude.shape != (queries,) or exclude.min() < 0 or exclude.max() >= count):
        raise ValueError(f"exclude must be ({queries},) positions in the database, 0 to {count - 1}.")
    places = min(k, count)
    step = max(1, CELLS // max(count, places**2 if ties == "average" else 1))
    if exclude is not None:  # last, and worth nothing
        own = exclude[:, None].to(scores.device)
        scores, relevance = scores.scatter(1, own, -torch.inf), relevance.scatter(1, own, 0)
    parts = zip(scores.split(step), relevance.split(step), strict=True)
    return torch.cat([_ndcg(*part, places, gain, ties) for part in parts])


def _ndcg(scores: Tensor, relevance: Tensor, k: int, gain: str, ties: str) -> Tensor:
    ids = nearest(scores, k)
    gains = _gain(relevance.gather(1, ids), gain)  # (q, k)
    if ties == "average":
        gains = _expected_gains(scores, _gain(relevance, gain), ids, gains)
    ideal = _gain(relevance.topk(k, dim=1).values, gain)
    weights = 1 / torch.log2(torch.arange(2, k + 2, dtype=torch.float64, device=scores.device))
    dcg, ideal = (gains * weights).sum(1), (ideal * weights).sum(1)
    if not torch.isfinite(ideal).all():
        raise ValueError("2^r - 1 is too large for a float64; scale relevance below 1000.")
    return torch.where(ideal > 0, dcg / ideal.where(ideal > 0, 1), 0)


def _gain(relevance: Tensor, gain: str) -> Tensor:
    if gain == "linear":
        return relevance.double()
    if gain == "exponential":
        return torch.exp2(relevance.double()) - 1
    raise ValueError(f'gain must be "linear" or "exponential", not {gain!r}.')


def _expected_gains(scores: Tensor, all_gains: Tensor, ids: Tensor, gains: Tensor) -> Tensor:
    """Mean gain at each place over all orders of equal scores: (q, N), (q, N), (q, k), (q, k) -> (q, k)."""
    values = scores.gather(1, ids)  # (q, k), falling
    same = (values[:, :, None] == values[:, None, :]).double()  # (q, k, k)
    inside = (same @ gains[:, :, None])[..., 0] / same.sum(-1)  # runs of equal scores that end by place k
    edge = scores == values[:, -1:]  # the last run may go on behind place k
    last = all_gains.masked_fill(~edge, 0).sum(1, keepdim=True) / edge.sum(1, keepdim=True)
    return torch.where(values == values[:, -1:], last, inside)


@dataclass(frozen=True, eq=False)
class FourDirections:
    """Images and sounds that retrieve each other; within its own modality no query finds itself."""

    image_labels: Sequence[int]
    audio_labels: Sequence[int]
    relevance: Relevance
    k: int = 30
    gain: str = "linear"
    paired: bool = True  # image i and sound i are of one clip, which stays in; else they share only classes

    def _each(self) -> Iterator[tuple[str, int, int, Tensor, Tensor | None]]:
        """Direction, sides of query and database, relevance, item to leave out."""
        labels = self.image_labels, self.audio_labels
        for i, name in enumerate(DIRECTIONS):
            query, database = divmod(i, 2)
            own = torch.arange(len(labels[query])) if query == database else None
            yield name, query, database, self.relevance.between(labels[query], labels[database]), own

    def ndcg(self, image: Tensor | None, audio: Tensor | None) -> dict[str, Tensor]:
        """nDCG of every query by direction, of embeddings (n, D), (m, D) in one space, or None if missing."""
        sides = (image, audio)
        return {
            name: ndcg(score_embeddings(sides[a], sides[b]).cpu(), graded, self.k, self.gain, own)
            for name, a, b, graded, own in self._each()
            if sides[a] is not None and sides[b] is not None
        }

    def references(self) -> dict[str, dict[str, Tensor]]:
        """Rows that every table needs, each as of :meth:`ndcg`: "random" (exact) and "same class"."""
        rows = {"random": {}, "same class": {}}
        for name, _, _, graded, own in self._each():
            same = (graded == self.relevance.C).float()
            for row, scores in (("random", torch.zeros_like(same)), ("same class", same)):
                rows[row][name] = ndcg(scores, graded, self.k, self.gain, own, ties="average")
        return rows

    def statements(self) -> dict[str, str]:
        """What the numbers of each direction are measured with, to be printed beside them."""
        gain = {"linear": "r", "exponential": "2^r - 1"}[self.gain]
        within = "the query's own clip is left out"
        across = "the query's own clip stays in" if self.paired else "no clip of the query's own"
        start = f"nDCG@{self.k}, {self.gain} gain {gain}, r = {self.relevance.C} - d, d from "
        return {
            name: f"{start}{self.relevance.source}; database of {graded.shape[1]} items, "
            f"{across if own is None else within}; ideal ranking over all of it; ties in its order"
            for name, _, _, graded, own in self._each()
        }


def average_precision(scores: Tensor, relevant: Tensor, ties: str = "stable") -> Tensor:
    r"""Average precision of every query over the ranking of the whole database, (Q,) float64 on the CPU.

    .. math:: AP = \frac{1}{R} \sum_{i:\, \pi(i)\ \text{relevant}}
                   \frac{\#\{\text{relevant items at places } 1 \dots i\}}{i}

    with pi the ranking by score, and R the number of relevant items. A query without any is refused: its AP
    is 0 / 0, and leaving it out, or calling it 0, would change the mean.

    `scores` are finite floats, `relevant` is bool, (Q, N) each; `ties` as of :func:`ndcg`: with "average", a
    network that gives every pair one score gets chance.

    Examples
    --------
    >>> average_precision(torch.tensor([[0.9, 0.2, 0.7]]), torch.tensor([[True, True, False]]))
    tensor([0.8333], dtype=torch.float64)
    """
    _check(scores, relevant, "relevant", ties)
    empty = (~relevant.any(1)).nonzero()[:, 0].tolist()
    if relevant.dtype != torch.bool or empty:
        none = f"{len(empty)} have none: {empty[:1]}"
        raise ValueError(f"relevant must be bool, with some for each query; {none}.")
    scores, relevant = scores.detach().cpu(), relevant.cpu()
    scores = scores if scores.dtype == torch.float64 else scores.float()
    step, own = max(1, CELLS // scores.shape[1]), _expected_precision if ties == "average" else _precision
    parts = zip(scores.split(step), relevant.split(step), strict=True)
    return torch.cat([own(score.contiguous(), mine) for score, mine in parts])


def _precision(scores: Tensor, relevant: Tensor) -> Tensor:
    """AP of some queries (q,), equal scores in the order of the database."""
    hit = relevant.gather(1, scores.argsort(dim=1, descending=True, stable=True))
    places = torch.arange(1, hit.shape[1] + 1, dtype=torch.float64)
    return (hit.cumsum(1) * hit / places).sum(1) / hit.sum(1)


def mean_average_precision(scores: Tensor, relevant: Tensor, ties: str = "stable") -> float:
    """Mean over the queries of :func:`average_precision`."""
    return float(average_precision(scores, relevant, ties).mean())


def chance_average_precision(relevant, items: int) -> Tensor:
    r"""Expected average precision of a random ranking, exactly, for R = `relevant` of N = `items`.

    .. math:: E[AP] = \frac{1}{N} \left[H_N + \frac{R - 1}{N - 1} (N - H_N)\right],
              \quad H_N = 1 + \tfrac12 + \dots + \tfrac1N

    That is more than the share R / N, most of all for few relevant items.
    """
    relevant = torch.as_tensor(relevant)
    if relevant.numel() and not 1 <= int(relevant.min()) <= int(relevant.max()) <= items:
        raise ValueError(f"relevant must be 1 to {items}, the size of the database; got {relevant}.")
    none, end = torch.zeros_like(relevant), torch.full_like(relevant, items)
    return _precision_in_run(none, relevant, none, end, _harmonic(items))  # one run of equal scores


def _expected_precision(scores: Tensor, relevant: Tensor) -> Tensor:
    """AP of some queries (q,), the mean over all orders of equal scores."""
    total = relevant.sum(1, keepdim=True)
    # in NumPy: torch would order the items too, at a price
    falling, own = (np.sort(part.numpy(), axis=1) for part in (-scores, (-scores).where(relevant, torch.inf)))
    falling, own = torch.from_numpy(falling), torch.from_numpy(own[:, : int(total.max())].copy())  # (q, R)
    higher, until = (torch.searchsorted(falling, own, right=right) for right in (False, True))
    own_higher, own_until = (torch.searchsorted(own, own, right=right) for right in (False, True))
    share = _precision_in_run(own_higher, own_until - own_higher, higher, until, _harmonic(scores.shape[1]))
    real = torch.arange(own.shape[1]) < total  # rows with fewer relevant items are filled up
    return share.where(real, 0).sum(1) / total[:, 0]


def _precision_in_run(hits: Tensor, relevant: Tensor, start: Tensor, end: Tensor, harmonic: Tensor) -> Tensor:
    r"""Mean precision at a relevant item that stands anywhere in a run of equal scores.

    Before the run are `start` = s items, `hits` = h of them relevant; the run ends at `end` = s + t and holds
    `relevant` = r. With c = (r - 1) / (t - 1) and the harmonic numbers H,

    .. math:: \frac{1}{t} \sum_{j=1}^{t} \frac{h + 1 + (j - 1)\, c}{s + j}
              = \frac{1}{t} \left[(h + 1 - (s + 1)\, c)(H_{s+t} - H_s) + c\, t\right]
    """
    size = (end - start).clamp(min=1)  # of what only fills a row up, 0
    chance = (relevant - 1).double() / (size - 1).clamp(min=1)
    span = harmonic[end] - harmonic[start]
    mean = (hits + 1 - (start + 1) * chance) * span / size + chance
    return torch.where(size == 1, (hits + 1).double() / (start + 1), mean)


def _harmonic(count: int) -> Tensor:
    """Harmonic numbers H_0 to H_count, (count + 1,) float64."""
    return F.pad(torch.arange(1, count + 1, dtype=torch.float64).reciprocal().cumsum(0), (1, 0))


@dataclass(frozen=True, eq=False)
class ClassRetrieval:
    """One direction of class-level retrieval, with what a random ranking gets on average."""

    hits: (
        Tensor  # (Q,) float64, whether the nearest item has the query's class; of equally near ones the share
    )
    precisions: Tensor  # (Q,) float64, average precision
    chance_hit: float
    chance_precision: float

    @property
    def recall_at_1(self) -> float:
        """Share of hits, R@1."""
        return float(self.hits.mean())

    @property
    def mean_average_precision(self) -> float:
        """Mean of the precisions, mAP."""
        return float(self.precisions.mean())


def class_retrieval(scores: Tensor, image_labels, audio_labels) -> dict[str, ClassRetrieval]:
    """R@1 and mAP by class of both directions, "I2A" (images are queries) and "A2I", from scores (N, M).

    Every item is a query once; the other half of its own clip stays in the database, as in LLINet's code. Of
    equal scores both are the mean over all orders, so that a collapsed network is at chance.
    """
    images, sounds = _labels_of(scores, image_labels, audio_labels)
    found = {}
    for name, score, queries, gallery in (("I2A", scores, images, sounds), ("A2I", scores.T, sounds, images)):
        same = queries[:, None] == gallery
        found[name] = ClassRetrieval(
            _share_at_the_top(score, same),
            average_precision(score, same, ties="average"),
            chance_recall_at_1(queries, gallery),
            chance_mean_average_precision(queries, gallery),
        )
    return found


def recall_at_1(scores: Tensor, query_labels, gallery_labels) -> float:
    """Share of queries whose nearest item has their class; chance is the share of the class, not 1 / N.

    Where several are equally near, the share of those that have it: the mean over all orders.
    """
    queries, gallery = _labels_of(scores, query_labels, gallery_labels)
    return float(_share_at_the_top(scores, queries[:, None] == gallery).mean())


def _share_at_the_top(scores: Tensor, same: Tensor) -> Tensor:
    """Of the items with a query's highest score (Q, N), the share of the right class, (Q,) float64."""
    top = (scores == scores.amax(1, keepdim=True)).cpu()
    return (top & same).sum(1) / top.sum(1).double()


def chance_recall_at_1(query_labels, gallery_labels) -> float:
    """Expected R@1 of a random ranking: the mean over queries of their class's share of the gallery."""
    return float(_own_class(query_labels, gallery_labels).double().mean()) / len(gallery_labels)


def chance_mean_average_precision(query_labels, gallery_labels) -> float:
    """Expected mAP of a random ranking: the mean over queries of `chance_average_precision`."""
    relevant = _own_class(query_labels, gallery_labels)
    return float(chance_average_precision(relevant, len(gallery_labels)).mean())


def _own_class(query_labels, gallery_labels) -> Tensor:
    """How many items of the gallery are of the query's class, (Q,) int64."""
    queries = _labels(query_labels, len(query_labels), "query")
    gallery = _labels(gallery_labels, len(gallery_labels), "gallery")
    return (queries[:, None] == gallery).sum(1)


@dataclass(frozen=True)
class ReleasedMap:
    """The mAP of LLINet's released code; see :func:`released_map`."""

    audio_to_image: float  # sounds are queries, images are ranked
    image_to_audio: float
    queries: tuple[int, ...]  # positions of the items that are queries, one per class
    items: int  # how many are ranked

    @property
    def mAPi2a(self) -> float:
        """What the released code calls image to audio: it ranks images for sounds."""
        return self.audio_to_image


def released_map(image: Tensor, audio: Tensor, labels, drop_last: int | None = 32) -> ReleasedMap:
    """LLINet's mAP as its released code measures it, of embeddings (N, D) of N pairs.

    One query per class, its first item (arbitrary: the released sort is not stable); the names of the two
    directions are exchanged; the test loader drops the last batch of `drop_last`, if it is not full.
    """
    if len(image) != len(audio):
        raise ValueError(f"image and audio must be pairs; got {len(image)} images and {len(audio)} sounds.")
    return released_map_of_scores(cosine_scores(image, audio), labels, drop_last)


def released_map_of_scores(scores: Tensor, labels, drop_last: int | None = 32) -> ReleasedMap:
    """:func:`released_map` from scores (N, N) of every image and every sound."""
    labels = _labels(labels, len(scores), "image")
    kept = len(labels) if drop_last is None else len(labels) // drop_last * drop_last
    if not kept:
        raise ValueError(f"{len(labels)} items make no full batch of {drop_last}; drop_last=None keeps all.")
    labels, scores = labels[:kept], scores[:kept, :kept].cpu()
    queries = [int((labels == label).int().argmax()) for label in labels.unique()]  # each class's first
    relevant = labels[queries, None] == labels
    return ReleasedMap(
        audio_to_image=mean_average_precision(scores.T[queries], relevant),
        image_to_audio=mean_average_precision(scores[queries], relevant),
        queries=tuple(queries),
        items=kept,
    )


def _of_one_space(queries: Tensor, database: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings (Q, D) and (N, D) in float64."""
    if queries.ndim != 2 or database.ndim != 2 or queries.shape[1] != database.shape[1]:
        shapes = f"{tuple(queries.shape)}, {tuple(database.shape)}"
        raise ValueError(f"not of one space: {shapes}. Two sizes need a common space: CCA.")
    queries, database = queries.double(), database.double()
    if not (torch.isfinite(queries).all() and torch.isfinite(database).all()):
        raise ValueError("an embedding is NaN or infinite; find its item before you rank anything.")
    return queries, database


def _check_finite(scores: Tensor) -> None:
    if not scores.is_floating_point() or not torch.isfinite(torch.stack(scores.aminmax())).all():
        raise ValueError("scores must be finite floats; look for NaN in the embeddings they come from.")


def _check(scores: Tensor, other: Tensor, name: str, ties: str) -> None:
    if scores.ndim != 2 or scores.shape != other.shape or not scores.numel():
        raise ValueError(f"scores and {name} must be (queries, items), not {scores.shape} and {other.shape}.")
    _check_finite(scores)
    if ties not in ("stable", "average"):
        raise ValueError(f'ties must be "stable" or "average", not {ties!r}.')


def _labels(labels, count: int, what: str) -> Tensor:
    labels = torch.as_tensor(labels).cpu()
    if labels.shape != (count,) or labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"{what} labels must be ({count},) integers; got {labels.shape} {labels.dtype}.")
    return labels


def _labels_of(scores: Tensor, query_labels, gallery_labels) -> tuple[Tensor, Tensor]:
    if scores.ndim != 2 or not scores.numel():
        raise ValueError(f"scores must be (queries, database) and not empty; got {tuple(scores.shape)}.")
    _check_finite(scores)
    return _labels(query_labels, len(scores), "query"), _labels(gallery_labels, scores.shape[1], "gallery")
