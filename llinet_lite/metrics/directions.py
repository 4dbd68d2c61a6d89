"""Images and sounds retrieve each other, in four directions and under a protocol that can be printed.

A number of nDCG means nothing without its gain, its ideal ranking, what became of the query's own item, and
the value of a random ranking: `protocols` states the first three and `reference_rows` gives the last.

Notebook: 02
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from llinet_lite.metrics.relevance import Relevance
from llinet_lite.metrics.retrieval import ndcg, oracle_row, random_row, same_class_row, score_embeddings

__all__ = ["DIRECTIONS", "Protocol", "cross_modal", "protocols", "reference_rows"]

DIRECTIONS = ("im-im", "im-aud", "aud-im", "aud-aud")  # query-database


@dataclass(frozen=True)
class Protocol:
    """What one number of nDCG was measured with; print it beside the number.

    Attributes
    ----------
    k : int
    gain : "linear" or "exponential"
    C : int
        Relevance of the same class.
    relevance : str
        Where class distances come from.
    database : int
        Items in the database, the query's own included.
    own : "in", "out" or "none"
        Whether the query's own clip stays in the database, or has no item there.
    """

    k: int
    gain: str
    C: int
    relevance: str
    database: int
    own: str

    def __str__(self) -> str:
        own = {
            "in": "the query's own clip stays in",
            "out": "the query's own clip is left out",
            "none": "no clip of the query's own",
        }[self.own]
        gain = {"linear": "r", "exponential": "2^r - 1"}[self.gain]
        return (
            f"nDCG@{self.k}, {self.gain} gain {gain}, r = {self.C} - d, d from {self.relevance}; database of "
            f"{self.database} items, {own}; ideal ranking over all of it; ties in its order"
        )


def _directions(sizes, own: str, pair: str) -> Iterator[tuple[str, int, int, Tensor | None, str]]:
    """Yield (name, side of the query, side of the database, exclude, state of the own clip).

    `sizes`: images and sounds, None for a side that is missing.
    """
    if own not in ("in", "out") or pair not in ("in", "out", "none"):
        raise ValueError(
            f'own must be "in" or "out", pair "in", "out" or "none"; got own={own!r}, pair={pair!r}.'
        )
    if None not in sizes and pair != "none" and sizes[0] != sizes[1]:
        raise ValueError(
            f"{sizes[0]} images and {sizes[1]} sounds are not pairs of one clip each; for images and sounds "
            'that share only their classes give pair="none".'
        )
    for i, name in enumerate(DIRECTIONS):
        query, database = divmod(i, 2)
        if sizes[query] is not None and sizes[database] is not None:
            state = own if query == database else pair
            yield name, query, database, torch.arange(sizes[query]) if state == "out" else None, state


def _sizes(image_labels, audio_labels) -> tuple[int | None, int | None]:
    return tuple(None if labels is None else len(labels) for labels in (image_labels, audio_labels))


def cross_modal(
    image: Tensor | None,
    audio: Tensor | None,
    image_labels,
    audio_labels,
    relevance: Relevance,
    *,
    k: int = 30,
    gain: str = "linear",
    own: str = "out",
    pair: str = "in",
) -> dict[str, Tensor]:
    """Retrieve images and sounds by images and by sounds; the nearest embedding is the best answer.

    Parameters
    ----------
    image, audio : Tensor (n, D), (m, D), or None
        Embeddings in one space. None where a method has no such embedding, or none in the same space:
        only the other sense's direction is measured then.
    image_labels, audio_labels : labels of n images and m sounds, as `Relevance.grades` takes them
    relevance : Relevance
    k : int
    gain : "linear" or "exponential"
    own : "in" or "out"
        Whether the query itself is in the database when the database is of its own sense. The paper does
        not say; "out" by default, since it is always the nearest.
    pair : "in", "out" or "none"
        Whether the other half of the query's clip (image i, sound i) is in the database of the other sense.
        "in" by default, since finding it is the task. "none": images and sounds share only their classes.

    Returns
    -------
    dict of Tensor (queries,) float64
        "im-im", "im-aud", "aud-im", "aud-aud" (query-database), as far as there are embeddings.

    Raises
    ------
    ValueError
        If embeddings and labels do not fit, or the two spaces have different sizes.

    Notebook: 02
    """
    embeddings, labels = (image, audio), (image_labels, audio_labels)
    for name, given, its in zip(("image", "audio"), embeddings, labels, strict=True):
        if given is not None and (its is None or len(given) != len(its)):
            count = "none" if its is None else len(its)
            raise ValueError(f"{len(given)} {name} embeddings need as many labels; got {count}.")
    sizes = _sizes(*embeddings)
    rows = {}
    for name, query, database, exclude, _ in _directions(sizes, own, pair):
        scores = score_embeddings(embeddings[query], embeddings[database]).cpu()
        rows[name] = ndcg(scores, relevance.between(labels[query], labels[database]), k, gain, exclude)
    return rows


def reference_rows(
    image_labels,
    audio_labels,
    relevance: Relevance,
    *,
    k: int = 30,
    gain: str = "linear",
    own: str = "out",
    pair: str = "in",
) -> dict[str, dict[str, Tensor]]:
    """Rows that every table needs: "random", "same class" and "oracle", each as `cross_modal` returns it."""
    rows = {"random": {}, "same class": {}, "oracle": {}}
    labels = (image_labels, audio_labels)
    for name, query, database, exclude, _ in _directions(_sizes(*labels), own, pair):
        graded = relevance.between(labels[query], labels[database])
        rows["random"][name] = random_row(graded, k, gain, exclude)
        rows["same class"][name] = same_class_row(graded, relevance.C, k, gain, exclude)
        rows["oracle"][name] = oracle_row(graded, k, gain, exclude)
    return rows


def protocols(
    image_labels,
    audio_labels,
    relevance: Relevance,
    *,
    k: int = 30,
    gain: str = "linear",
    own: str = "out",
    pair: str = "in",
) -> dict[str, Protocol]:
    """State what the numbers of `cross_modal`, called with the same arguments, are measured with."""
    sizes = _sizes(image_labels, audio_labels)
    return {
        name: Protocol(k, gain, relevance.C, relevance.source, sizes[database], state)
        for name, _, database, _, state in _directions(sizes, own, pair)
    }
