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
    """Minus the Euclidean distance of every query to every item of the database.

    Of (Q, D) and (N, D), (Q, N) float32. Computed in float64 and rounded, so that equal embeddings tie and
    rankings are the same on every machine. Distances below a millionth of the largest norm are 0.
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
    """Cosine of every image (N, D) and every sound (M, D), (N, M) float32, as LLINet compares them.

    Rounded as in :func:`score_embeddings`; a vector of zeros has cosine 0 with all.
    """
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
    ties : "stable" or "average"
        Equal scores are ranked in the order of the database, or get the mean over all their orders
        (McSherry and Najork 2008; scikit-learn's default).

    Examples
    --------
    >>> ndcg(torch.tensor([[0.9, 0.2, 0.7]]), torch.tensor([[1, 3, 2]]), k=2)
    tensor([0.5307], dtype=torch.float64)

    Notebook: 02
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
    """Images and sounds that retrieve each other, and all that a number of nDCG depends on.

    Attributes
    ----------
    image_labels, audio_labels : (n,), (m,) integers, or None
    relevance, k, gain : as for :func:`ndcg`
    own : "in" or "out"
        Whether the query itself is in a database of its own modality, where it is always the nearest. The
        paper does not say.
    pair : "in", "out" or "none"
        Whether the other half of the query's clip (image i, sound i) is in a database of the other modality.
        "none": images and sounds share only their classes.

    Notebook: 02
    """

    image_labels: object
    audio_labels: object
    relevance: Relevance
    k: int = 30
    gain: str = "linear"
    own: str = "out"
    pair: str = "in"

    def __post_init__(self):
        if self.own not in ("in", "out") or self.pair not in ("in", "out", "none"):
            raise ValueError(f'own is "in" or "out", pair may be "none"; got {self.own!r}, {self.pair!r}.')
        sizes = [None if labels is None else len(labels) for labels in self._labels]
        if None not in sizes and self.pair != "none" and sizes[0] != sizes[1]:
            raise ValueError(
                f'{sizes} images and sounds are no pairs; if they share only classes give pair="none".'
            )

    @property
    def _labels(self) -> tuple:
        return self.image_labels, self.audio_labels

    def _each(self, sides: Sequence) -> Iterator[tuple[str, int, int, str, Tensor | None]]:
        """Direction, sides of query and database, state of the query's own clip, item to leave out."""
        for i, name in enumerate(DIRECTIONS):
            query, database = divmod(i, 2)
            if sides[query] is not None and sides[database] is not None:
                state = self.own if query == database else self.pair
                own = torch.arange(len(sides[query])) if state == "out" else None
                yield name, query, database, state, own

    def _graded(self, query: int, database: int) -> Tensor:
        return self.relevance.between(self._labels[query], self._labels[database])

    def ndcg(self, image: Tensor | None, audio: Tensor | None) -> dict[str, Tensor]:
        """nDCG of every query by direction, of embeddings (n, D), (m, D) in one space, or None if missing."""
        sides = (image, audio)
        for given, its in zip(sides, self._labels, strict=True):
            if given is not None and (its is None or len(given) != len(its)):
                raise ValueError(f"{len(given)} embeddings need as many labels; got {its and len(its)}.")
        rows = {}
        for name, query, database, _, own in self._each(sides):
            scores = score_embeddings(sides[query], sides[database]).cpu()
            rows[name] = ndcg(scores, self._graded(query, database), self.k, self.gain, own)
        return rows

    def references(self) -> dict[str, dict[str, Tensor]]:
        """Rows that every table needs, each as of :meth:`ndcg`; "random" is exact."""
        rows = {"random": {}, "same class": {}, "oracle": {}}
        for name, query, database, _, own in self._each(self._labels):
            graded, how = self._graded(query, database), (self.k, self.gain, own)
            rows["random"][name] = ndcg(torch.zeros(1, 1).expand(graded.shape), graded, *how, ties="average")
            same = (graded == self.relevance.C).float()
            rows["same class"][name] = ndcg(same, graded, *how, ties="average")
            rows["oracle"][name] = ndcg(graded.double(), graded, *how)
        return rows

    def statements(self) -> dict[str, str]:
        """What the numbers of each direction are measured with, to be printed beside them."""
        owns = {
            "in": "the query's own clip stays in",
            "out": "the query's own clip is left out",
            "none": "no clip of the query's own",
        }
        gain = {"linear": "r", "exponential": "2^r - 1"}[self.gain]
        start = f"nDCG@{self.k}, {self.gain} gain {gain}, r = {self.relevance.C} - d, d from "
        return {
            name: f"{start}{self.relevance.source}; database of {len(self._labels[database])} items, "
            f"{owns[state]}; ideal ranking over all of it; ties in its order"
            for name, _, database, state, _ in self._each(self._labels)
        }


def average_precision(scores: Tensor, relevant: Tensor, ties: str = "stable") -> Tensor:
    r"""Average precision of every query over the ranking of the whole database, (Q,) float64 on the CPU.

    .. math:: AP = \frac{1}{R} \sum_{i:\, \pi(i)\ \text{relevant}}
                   \frac{\#\{\text{relevant items at places } 1 \dots i\}}{i}

    with pi the ranking by score, and R the number of relevant items. A query without any is refused: its AP
    is 0 / 0, and leaving it out, or calling it 0, would change the mean.

    Parameters
    ----------
    scores : Tensor (Q, N) float, finite
    relevant : Tensor (Q, N) bool
    ties : "stable" or "average"
        Equal scores are ranked in the order of the database, or AP is its mean over all their orders. A
        network that gives every pair one score gets what the order of the database is worth with "stable",
        and chance with "average".

    Examples
    --------
    >>> average_precision(torch.tensor([[0.9, 0.2, 0.7]]), torch.tensor([[True, True, False]]))
    tensor([0.8333], dtype=torch.float64)

    Notebook: 06
    """
    _check(scores, relevant, "relevant", ties)
    empty = (~relevant.any(1)).nonzero()[:, 0].tolist()
    if relevant.dtype != torch.bool or empty:
        raise ValueError(
            f"relevant must be bool, with some for each query; {len(empty)} have none: {empty[:1]}."
        )
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
    r"""Expected average precision of a random ranking, exactly, for R = `relevant` of N = `items`.

    .. math:: E[AP] = \frac{1}{N} \left[H_N + \frac{R - 1}{N - 1} (N - H_N)\right],
              \quad H_N = 1 + \tfrac12 + \dots + \tfrac1N

    That is more than the share R / N, most of all for few relevant items. `relevant` is an int or a Tensor.
    """
    relevant = torch.as_tensor(relevant)
    if relevant.numel() and not 1 <= int(relevant.min()) <= int(relevant.max()) <= items:
        raise ValueError(f"relevant must be 1 to {items}, the size of the database; got {relevant}.")
    none, end = torch.zeros_like(relevant), torch.full_like(relevant, items)
    return _precision_in_run(none, relevant, none, end, _harmonic(items))  # one run of equal scores


def precision_by_class(scores: Tensor, gallery_labels, classes) -> Tensor:
    """Average precision of every query if each of K classes in turn were what it asks for, (Q, K)."""
    labels = torch.as_tensor(gallery_labels)
    if scores.ndim != 2 or labels.shape != scores.shape[1:]:
        raise ValueError(f"scores {tuple(scores.shape)} need a label per column, not {tuple(labels.shape)}.")
    _check_finite(scores)
    ranked = labels[scores.detach().cpu().argsort(dim=1, descending=True, stable=True)]  # (Q, N)
    places, parts = torch.arange(1, len(labels) + 1, dtype=torch.float64), []
    for label in classes:
        hit = ranked == label
        if not hit[0].any():
            raise ValueError(f"class {label} has no item in the database, so its precision is undefined.")
        parts.append((hit.cumsum(1) * hit / places).sum(1) / hit[0].sum())
    return torch.stack(parts, 1)


def _expected_precision(scores: Tensor, relevant: Tensor) -> tuple[Tensor, Tensor]:
    """AP of some queries, the mean over orders of equal scores, and where that order matters, (q,)."""
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


def _ascending(values: Tensor) -> Tensor:
    return torch.from_numpy(np.sort(values.numpy(), axis=1))  # torch would order the items too, at a price


def _without_ties(scores: Tensor) -> Tensor:
    """Minus the place of every item, (q, N) float64: equal scores follow the order of the database."""
    order = scores.sort(dim=1, descending=True, stable=True).indices
    places = torch.arange(scores.shape[1], dtype=torch.float64).expand(scores.shape)
    return torch.empty(scores.shape, dtype=torch.float64).scatter_(1, order, -places)


@dataclass(frozen=True, eq=False)
class ClassRetrieval:
    """One direction of class-level retrieval, query by query, with what a random ranking gets on average."""

    hits: Tensor  # (Q,) bool, the nearest item has the query's class
    precisions: Tensor  # (Q,) float64, average precision
    chance_hit: float
    chance_precision: float

    @property
    def recall_at_1(self) -> float:
        """Share of hits, R@1."""
        return float(self.hits.double().mean())

    @property
    def mean_average_precision(self) -> float:
        """Mean of the precisions, mAP."""
        return float(self.precisions.mean())


def class_retrieval(
    scores: Tensor, image_labels, audio_labels, ties: str = "stable"
) -> dict[str, ClassRetrieval]:
    """R@1 and mAP of both directions, "I2A" (images are queries) and "A2I"; relevance is the class.

    Every item is a query once; the other half of its own clip stays in the database, as in LLINet's code.
    `scores` (N, M) tell how well every image fits every sound; `ties` as for :func:`average_precision`.

    Notebook: 06
    """
    images, sounds = _labels_of(scores, image_labels, audio_labels)
    found = {}
    for name, score, queries, gallery in (("I2A", scores, images, sounds), ("A2I", scores.T, sounds, images)):
        found[name] = ClassRetrieval(
            hit_at_1(score, queries, gallery),
            average_precision(score, queries[:, None] == gallery, ties),
            chance_recall_at_1(queries, gallery),
            chance_mean_average_precision(queries, gallery),
        )
    return found


def hit_at_1(scores: Tensor, query_labels, gallery_labels) -> Tensor:
    """Whether the nearest item of each query has its class, (Q,) bool, on the CPU."""
    queries, gallery = _labels_of(scores, query_labels, gallery_labels)
    return gallery[scores.argmax(1).cpu()] == queries


def recall_at_1(scores: Tensor, query_labels, gallery_labels) -> float:
    """Share of the queries whose nearest item has their class, R@1 by class.

    All items of the class are right, so chance is the share of the class and not 1 / N.
    """
    return float(hit_at_1(scores, query_labels, gallery_labels).double().mean())


def chance_recall_at_1(query_labels, gallery_labels) -> float:
    """Expected R@1 of a random ranking: the mean over queries of their class's share of the gallery."""
    return float(_own_class(query_labels, gallery_labels).double().mean()) / len(gallery_labels)


def chance_mean_average_precision(query_labels, gallery_labels) -> float:
    """Expected mAP of a random ranking: the mean over queries of `chance_average_precision`."""
    relevant = _own_class(query_labels, gallery_labels)
    return float(chance_average_precision(relevant, len(gallery_labels)).mean())


def class_confusion(
    scores: Tensor, query_labels, gallery_labels, classes: Sequence[int], k: int = 1
) -> Tensor:
    """Share of class j among the first k answers to queries of class i, (K, K); rows sum to 1."""
    queries, gallery = _labels_of(scores, query_labels, gallery_labels)
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k must be 1 to {len(gallery)}, the size of the database; got {k}.")
    if not set(classes) == set(queries.tolist()) >= set(gallery.tolist()):
        raise ValueError(f"classes {list(classes)} must be those of the queries, and of the database.")
    found = gallery[nearest(scores, k).cpu()]  # (Q, k)
    rows = [torch.stack([found[queries == one] == other for other in classes]) for one in classes]
    return torch.stack([row.double().mean((1, 2)) for row in rows])  # (K, q, k) each -> (K, K)


def _own_class(query_labels, gallery_labels) -> Tensor:
    """How many items of the gallery are of the query's class, (Q,) int64."""
    queries = _labels(query_labels, len(query_labels), "query")
    gallery = _labels(gallery_labels, len(gallery_labels), "gallery")
    classes, sizes = gallery.unique(return_counts=True)
    return ((queries[:, None] == classes) * sizes).sum(1)  # (Q, K) -> (Q,)


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

    Three things differ from :func:`class_retrieval`. There is one query per class, the first item of the
    class (the released sort is not stable, so its choice is arbitrary). The names of the two directions are
    exchanged, which the recall at 1 of the same code does not do; whether the published columns are, is not
    known. And the loader of the test set drops the last batch of `drop_last`, if it is not full.
    """
    if len(image) != len(audio):
        raise ValueError(f"image and audio must be pairs; got {len(image)} images and {len(audio)} sounds.")
    return released_map_of_scores(cosine_scores(image, audio), labels, drop_last)


def released_map_of_scores(
    scores: Tensor, labels, drop_last: int | None = 32, queries: Sequence[int] | None = None
) -> ReleasedMap:
    """`released_map` from scores (N, N); `queries` are positions, default: the first item of each class."""
    labels = _labels(labels, len(scores), "image")
    kept = len(labels) if drop_last is None else len(labels) // drop_last * drop_last
    if not kept:
        raise ValueError(f"{len(labels)} items make no full batch of {drop_last}; drop_last=None keeps all.")
    labels, scores = labels[:kept], scores[:kept, :kept].cpu()
    if queries is None:
        queries = [int((labels == label).int().argmax()) for label in labels.unique()]  # each class's first
    queries = [int(query) for query in queries]
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
        raise ValueError(
            f"not of one space: {queries.shape}, {database.shape}. Two sizes need a common space: CCA."
        )
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
