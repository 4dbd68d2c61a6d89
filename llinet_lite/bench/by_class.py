"""Speed of retrieval by class: R@1 and mAP of both directions.

Notebook: 06
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from llinet_lite.bench.core import Row, one_core, rates
from llinet_lite.metrics.retrieval import class_retrieval, cosine_scores

SIZES = (747, 5000)  # LLINet's test set, and one as large as that of Objects that Sound
DIMENSION = 1024  # of LLINet's embeddings
CLASSES = 8


def class_rows(items: int = 5000, *, sample: int = 500, repeats: int = 3) -> list[Row]:
    """Queries per second of R@1 and mAP from embeddings, one core, against scikit-learn query by query.

    `items` images and as many sounds, of 8 classes, have embeddings of 1024 values, and every one is a query.
    Ours takes all of them at once. The rival, whose time grows with the number of queries, takes the first
    images and the first sounds only; it multiplies in float32, each direction for itself.

    Parameters
    ----------
    items : int
    sample : int, images, and sounds, that the rival takes as queries
    repeats : int

    Raises
    ------
    RuntimeError
        If the values differ.
    """
    image, audio, labels = _pairs(items)
    few = min(sample, items)

    def ours() -> Tensor:
        """Hits and average precisions, (2, 2, items)."""
        found = class_retrieval(cosine_scores(image, audio), labels, labels)
        return torch.stack([torch.stack([way.hits.double(), way.precisions]) for way in found.values()])

    def by_sklearn() -> Tensor:
        ways = ((image[:few], audio), (audio[:few], image))
        return torch.stack([_query_by_query(*way, labels) for way in ways])

    with one_core():
        _refuse_other(ours()[..., :few], by_sklearn())
        fast, plain = rates(
            [lambda way=way: way()[:, 0].numel() for way in (ours, by_sklearn)], repeats=repeats
        )
    name = f"R@1 and mAP, both directions, {items:,} x {items:,}, 1 core"
    return [Row(name, "queries/s", fast, plain, f"scikit-learn, query by query, {2 * few:,} of the queries")]


def _pairs(items: int) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings (items, 1024) of images and sounds around the mean of their class, and the classes."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(items) % CLASSES
    centre = 0.2 * torch.randn(CLASSES, DIMENSION, generator=rng)[labels]
    image, audio = (centre + torch.randn(items, DIMENSION, generator=rng) for _ in range(2))
    return image, audio, labels


def _query_by_query(queries: Tensor, gallery: Tensor, labels: Tensor) -> Tensor:
    """Hits and average precisions of the queries, (2, q); item i of both has label i."""
    from sklearn.metrics import average_precision_score
    from sklearn.metrics.pairwise import cosine_similarity

    classes = labels.numpy()
    found = []
    for own, scores in zip(classes, cosine_similarity(queries.numpy(), gallery.numpy()), strict=False):
        hit = classes[scores.argmax()] == own
        found.append((hit, average_precision_score(classes == own, scores)))
    return torch.from_numpy(np.array(found, dtype=np.float64).T)  # (q, 2) -> (2, q)


def _refuse_other(ours: Tensor, theirs: Tensor) -> None:
    off = float((ours - theirs).mean(-1).abs().max())
    if not off < 1e-5:  # float32 exchanges a few neighbours
        raise RuntimeError(
            f"R@1 or mAP differs from that of scikit-learn by {off:.2g}: one of the two is wrong, and their "
            "speeds are not to be compared. Run tests/metrics/test_retrieval_by_class.py."
        )
