"""Recall at 1 and mean average precision, where an answer is right if it is of the query's class.

That is how LLINet measures retrieval between classes that no network has trained on. What a random ranking
reaches is known exactly (`chance_recall_at_1`, `chance_average_precision`); intervals and differences are
those of nDCG, `summarize` and `compare`, which take hits and average precisions alike.

Notebook: 06
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from llinet_lite.metrics.retrieval.graded import CELLS, check_finite, nearest, of_one_space
from llinet_lite.metrics.retrieval.precision import (
    average_precision,
    chance_average_precision,
    mean_average_precision,
)

__all__ = [
    "ClassRetrieval",
    "ReleasedMap",
    "chance_mean_average_precision",
    "chance_recall_at_1",
    "class_confusion",
    "class_retrieval",
    "cosine_scores",
    "hit_at_1",
    "recall_at_1",
    "released_map",
    "released_map_of_scores",
]


def cosine_scores(image: Tensor, audio: Tensor) -> Tensor:
    """Cosine of every image and every sound, as LLINet compares them.

    Computed in float64 and rounded to float32, so that equal embeddings tie and rankings are the same on
    every machine.

    Parameters
    ----------
    image : Tensor (N, D) float, of any length; a vector of zeros has cosine 0 with all
    audio : Tensor (M, D) float, of the same space

    Returns
    -------
    Tensor (N, M) float32 in [-1, 1]

    Raises
    ------
    ValueError
        If shapes do not fit or an embedding is not finite.

    Notebook: 06
    """
    image, audio = (F.normalize(part, dim=1) for part in of_one_space(image, audio))
    step = max(1, CELLS // max(1, len(audio)))
    return torch.cat([(part @ audio.T).float() for part in image.split(step)])


# -------------------------------------------------------------------------------------------- recall at 1


def hit_at_1(scores: Tensor, query_labels, gallery_labels) -> Tensor:
    """Whether the nearest item has the query's class.

    Parameters
    ----------
    scores : Tensor (Q, N) float, finite; of equal scores the first item of the database is nearest
    query_labels, gallery_labels : (Q,), (N,) integers

    Returns
    -------
    Tensor (Q,) bool, on the CPU

    Raises
    ------
    ValueError
        If scores and labels do not fit.

    Notebook: 06
    """
    queries, gallery = _labels_of(scores, query_labels, gallery_labels)
    return gallery[scores.argmax(1).cpu()] == queries


def recall_at_1(scores: Tensor, query_labels, gallery_labels) -> float:
    """Share of the queries of :func:`hit_at_1`, whose nearest item has their class; R@1 by class.

    Retrieval by instance, where only the query's own clip is right, is another task: here all items of the
    class are right, so chance is the share of the class and not 1 / N.
    """
    return float(hit_at_1(scores, query_labels, gallery_labels).double().mean())


def class_confusion(
    scores: Tensor, query_labels, gallery_labels, classes: Sequence[int], k: int = 1
) -> Tensor:
    """What classes the nearest items of a class's queries have.

    Parameters
    ----------
    scores : Tensor (Q, N) float, finite
    query_labels, gallery_labels : (Q,), (N,) integers
    classes : sequence of K labels
        In the order of rows and columns; every one has a query.
    k : int, at most N: answers that count, the same for all

    Returns
    -------
    Tensor (K, K) float64
        Entry i, j: share of class j among the first k answers to queries of class i. Rows sum to 1, and for
        k = 1 the diagonal is the recall at 1 of every class.

    Raises
    ------
    ValueError
        If scores and labels do not fit, a label is not in `classes`, or a class has no query.

    Notebook: 06
    """
    queries, gallery = _labels_of(scores, query_labels, gallery_labels)
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k must be 1 to {len(gallery)}, the size of the database; got {k}.")
    rows, columns = (_places(labels, classes) for labels in (queries, gallery))
    count = len(classes)
    missing = sorted(set(range(count)) - set(rows.tolist()))
    if missing:
        raise ValueError(
            f"class {classes[missing[0]]} has no query, so its row is undefined; leave it out of `classes`."
        )
    found = columns[nearest(scores, k).cpu()]  # (Q, k)
    times = torch.bincount((rows[:, None] * count + found).flatten(), minlength=count**2)
    times = times.double().reshape(count, count)  # (K K,) -> (K, K)
    return times / times.sum(1, keepdim=True)


def _places(labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Position of every label in `classes`, (n,)."""
    same = labels[:, None] == torch.as_tensor(classes)
    if not (same.sum(1) == 1).all():
        wrong = int(labels[same.sum(1) != 1][0])
        raise ValueError(f"label {wrong} must be in classes, {list(classes)}, once.")
    return same.int().argmax(1)


def _labels(labels, count: int, what: str) -> Tensor:
    labels = torch.as_tensor(labels).cpu()
    if labels.shape != (count,) or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"{what} labels must be ({count},) integers, one class for every item; got {tuple(labels.shape)} "
            f"{labels.dtype}."
        )
    return labels


def _labels_of(scores: Tensor, query_labels, gallery_labels) -> tuple[Tensor, Tensor]:
    if scores.ndim != 2 or not scores.numel():
        raise ValueError(f"scores must be (queries, database) and not empty; got {tuple(scores.shape)}.")
    check_finite(scores)
    return _labels(query_labels, len(scores), "query"), _labels(gallery_labels, scores.shape[1], "gallery")


# ------------------------------------------------------------------------------------------------- chance


def chance_recall_at_1(query_labels, gallery_labels) -> float:
    """Expected R@1 of a random ranking: the mean over queries of their class's share of the gallery."""
    return float(_own_class(query_labels, gallery_labels).double().mean()) / len(gallery_labels)


def chance_mean_average_precision(query_labels, gallery_labels) -> float:
    """Expected mAP of a random ranking: the mean over queries of `chance_average_precision`.

    Raises
    ------
    ValueError
        If a query's class is not in the gallery.
    """
    relevant = _own_class(query_labels, gallery_labels)
    return float(chance_average_precision(relevant, len(gallery_labels)).mean())


def _own_class(query_labels, gallery_labels) -> Tensor:
    """How many items of the gallery are of the query's class, (Q,) int64."""
    queries = _labels(query_labels, len(query_labels), "query")
    gallery = _labels(gallery_labels, len(gallery_labels), "gallery")
    classes, sizes = gallery.unique(return_counts=True)
    return ((queries[:, None] == classes) * sizes).sum(1)  # (Q, K) -> (Q,)


# --------------------------------------------------------------------------------------- a row of the table


@dataclass(frozen=True, eq=False)
class ClassRetrieval:
    """One direction of class-level retrieval, query by query.

    For an interval give the hits or precisions of one seed, or those of several stacked to (S, Q), to
    `summarize`; for the difference of two methods on the same queries, to `compare`.

    Attributes
    ----------
    hits : Tensor (Q,) bool, the nearest item has the query's class
    precisions : Tensor (Q,) float64, average precision
    chance_hit, chance_precision : float, what a random ranking gets on average

    Notebook: 06
    """

    hits: Tensor
    precisions: Tensor
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
    """R@1 and mAP of both directions, every item being a query once; relevance is the class.

    The other half of the query's own clip stays in the database, as in LLINet's code.

    Parameters
    ----------
    scores : Tensor (N, M) float, finite
        How well every image fits every sound; higher is better. One matrix for both directions.
    image_labels, audio_labels : (N,), (M,) integers
    ties : "stable" or "average", of :func:`average_precision`

    Returns
    -------
    dict
        "I2A": images are queries, sounds are ranked; "A2I": the other way round.

    Raises
    ------
    ValueError
        If scores and labels do not fit, or a query's class is missing among the items that are ranked.

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


@dataclass(frozen=True)
class ReleasedMap:
    """The mAP of LLINet's released code; see :func:`released_map`.

    Attributes
    ----------
    audio_to_image : float, sounds are queries, images are ranked
    image_to_audio : float, images are queries, sounds are ranked
    queries : tuple of int, positions of the items that are queries, one per class
    items : int, how many are ranked

    Notebook: 06
    """

    audio_to_image: float
    image_to_audio: float
    queries: tuple[int, ...]
    items: int

    @property
    def mAPi2a(self) -> float:
        """What the released code calls image to audio: it ranks images for sounds."""
        return self.audio_to_image

    @property
    def mAPa2i(self) -> float:
        """What the released code calls audio to image: it ranks sounds for images."""
        return self.image_to_audio


def released_map(image: Tensor, audio: Tensor, labels, drop_last: int | None = 32) -> ReleasedMap:
    """LLINet's mAP as its released code measures it, to stand beside the mAP over all queries.

    Three things differ from :func:`class_retrieval`. There is one query per class, the first item of the
    class, so with 8 classes the mean of 8 values. The names of the two directions are exchanged, which the
    recall at 1 of the same code does not do; whether the published columns are, is not known. And the loader
    of the test set drops the last batch if it is not full: of 747 items 736 are left.

    The released code sorts the items by class with a sort that is not stable, so its choice of the first item
    is arbitrary; here it is the first in the order given.

    Parameters
    ----------
    image, audio : Tensor (N, D) float, embeddings of the N pairs; compared by their cosine
    labels : (N,) integers
        Class of each pair. The authors' items come class by class, so the last class loses those dropped.
    drop_last : int or None
        Size of the loader's batches; None keeps all items.

    Returns
    -------
    ReleasedMap

    Raises
    ------
    ValueError
        If shapes do not fit, or there is no full batch.

    Notebook: 06
    """
    if len(image) != len(audio):
        raise ValueError(f"image and audio must be pairs; got {len(image)} images and {len(audio)} sounds.")
    return released_map_of_scores(cosine_scores(image, audio), labels, drop_last)


def released_map_of_scores(
    scores: Tensor, labels, drop_last: int | None = 32, queries: Sequence[int] | None = None
) -> ReleasedMap:
    """`released_map` from scores (N, N) of image i and sound j, for methods that do not compare by a cosine.

    Parameters
    ----------
    scores : Tensor (N, N) float
    labels, drop_last
        As for `released_map`.
    queries : sequence of int, optional
        Positions of the queries, one per class; default: the first item of each class.

    Notebook: 06
    """
    labels = _labels(labels, len(scores), "image")
    kept = len(labels) if drop_last is None else len(labels) // drop_last * drop_last
    if not kept:
        raise ValueError(
            f"{len(labels)} items make no full batch of {drop_last}, and the last batch is dropped: nothing "
            "is left. Give drop_last=None to keep all."
        )
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
