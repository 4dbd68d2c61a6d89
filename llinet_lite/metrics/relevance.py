"""How relevant one clip is to another: the nearer their classes in a family tree, the more.

Notebook: 02
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np
import torch
from torch import Tensor

from llinet_lite.world import family

PAPER_C = 20  # what the paper takes for the longest path; in AudioSet's ontology it is 11


@dataclass(frozen=True, eq=False)
class Relevance:
    r"""Graded relevance of classes, :math:`r_{ij} = C - d_{ij}` with d edges between them in a family tree.

    Source: Arandjelovic and Zisserman, *Objects that Sound* (2018), appendix A.2.
    """

    names: tuple[str, ...]  # a label is a position in this list
    distances: np.ndarray  # (n, n) int, symmetric, 0 on the diagonal
    source: str  # of the distances, to be printed beside every number
    C: int = PAPER_C  # relevance of the same class; at least the largest distance

    def __post_init__(self):
        d, n = np.asarray(self.distances), len(self.names)
        if d.shape != (n, n) or (d < 0).any() or (d != d.T).any() or np.diagonal(d).any():
            raise ValueError(f"distances must be ({n}, {n}), symmetric, 0 on the diagonal; got {d.shape}.")
        if d.max(initial=1) > self.C:
            longest = f"the longest distance, {d.max()}; the paper has {PAPER_C}"
            raise ValueError(f"C = {self.C} is below {longest}.")

    def between(self, query_labels, database_labels) -> Tensor:
        """Relevance of every clip of the database to every query, (Q, N) float32, 0 to C; integer labels."""
        labels = [np.asarray(part) for part in (query_labels, database_labels)]
        for part in labels:
            if part.ndim != 1 or not np.issubdtype(part.dtype, np.integer):
                raise ValueError(f"labels must be (n,) integers; got {part.dtype} of shape {part.shape}.")
            if not np.isin(part, np.arange(len(self.names))).all():
                raise ValueError(f"labels run to {part.max()}, but there are {len(self.names)} classes.")
        return torch.as_tensor((self.C - np.asarray(self.distances))[np.ix_(*labels)], dtype=torch.float32)


def relevance_of(
    names: Sequence[str], *, ontology: str | PathLike | None = None, C: int = PAPER_C
) -> Relevance:
    """Grade classes by the best family tree there is for them; `source` says which.

    Parameters
    ----------
    names : sequence of n str, in the order of their labels; case, hyphens and underscores do not matter
    ontology : path-like, optional
        AudioSet's ``ontology.json``; without it the built-in world's family tree (the same distances), and
        :func:`same_class` for other classes.
    C : int, relevance of the same class; it decides much with linear gain, hardly anything with exponential

    Examples
    --------
    >>> relevance_of(["violin", "cello", "gong"]).between([0], [0, 1, 2])
    tensor([[20., 18., 16.]])
    """
    names = tuple(names)
    if ontology is not None:
        return Relevance(names, family.ontology_distances(ontology, names), "AudioSet ontology", C)
    try:
        labels = [family.instrument(name).label for name in names]
    except KeyError:
        return same_class(names, C=C)
    return Relevance(names, family.distances()[np.ix_(labels, labels)], "family tree", C)


def same_class(names: Sequence[str], *, C: int = PAPER_C) -> Relevance:
    """Grade C for the same class and 0 for every other: relevance without a family tree."""
    return Relevance(tuple(names), C * (1 - np.eye(len(names), dtype=np.int64)), "same class only", C)
