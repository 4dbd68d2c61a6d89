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

PAPER_C = 20  # what the paper takes for the longest path
ONTOLOGY_C = 11  # the longest path there is in AudioSet's ontology, with a virtual root
INSTRUMENT_C = 9  # the longest path between the 110 classes of AudioSet-Instruments


@dataclass(frozen=True, eq=False)
class Relevance:
    r"""Graded relevance of classes.

    .. math:: r_{ij} = C - d_{ij}

    with d the number of edges between classes i and j in a family tree.

    Source: Arandjelovic and Zisserman, *Objects that Sound* (2018), appendix A.2.

    Attributes
    ----------
    names : tuple of n str
        Class names; a label is a position in this list.
    distances : (n, n) int array
        Distances d, at least 0, symmetric, 0 on the diagonal.
    source : str
        Where the distances come from, to be printed beside every number: "family tree",
        "AudioSet ontology" or "same class only".
    C : int
        Relevance of a clip of the same class; at least the largest distance, for no relevance is negative.

    Examples
    --------
    >>> relevance_of(["violin", "cello", "gong"]).between([0], [0, 1, 2])
    tensor([[20., 18., 15.]])

    Notebook: 02
    """

    names: tuple[str, ...]
    distances: np.ndarray
    source: str
    C: int = PAPER_C

    def __post_init__(self):
        d, n = np.asarray(self.distances), len(self.names)
        if d.shape != (n, n) or (d < 0).any() or (d != d.T).any() or np.diagonal(d).any():
            raise ValueError(
                f"distances must be ({n}, {n}) for {n} names, at least 0, symmetric and 0 on the diagonal; "
                f"got shape {d.shape}."
            )
        longest = int(d.max(initial=1))
        if longest > self.C:
            raise ValueError(
                f"C = {self.C} is below the longest distance, {longest}: relevance C - d would be negative. "
                f"Give C >= {longest} (the paper: {PAPER_C})."
            )

    def between(self, query_labels, database_labels) -> Tensor:
        """Relevance of every clip of the database to every query, (Q, N) float32, 0 to C; integer labels."""
        labels = [np.asarray(part) for part in (query_labels, database_labels)]
        for part in labels:
            if part.ndim != 1 or not part.size or not np.issubdtype(part.dtype, np.integer):
                raise ValueError(f"labels must be (n,) integers; got {part.dtype} of shape {part.shape}.")
            if part.min() < 0 or part.max() >= len(self.names):
                raise ValueError(f"labels run to {part.max()}, but there are {len(self.names)} classes.")
        return torch.as_tensor((self.C - np.asarray(self.distances))[np.ix_(*labels)], dtype=torch.float32)


def relevance_of(
    names: Sequence[str], *, ontology: str | PathLike | None = None, C: int = PAPER_C
) -> Relevance:
    """Grade classes by the best family tree there is for them.

    Parameters
    ----------
    names : sequence of n str
        Class names in the order of their labels; case, hyphens and underscores do not matter.
    ontology : path-like, optional
        AudioSet's ``ontology.json``. Without it, classes that are all of the built-in world are graded by its
        family tree (the same distances), and others by :func:`same_class`; `source` says which.
    C : int
        Relevance of the same class: PAPER_C (20), ONTOLOGY_C (11), INSTRUMENT_C (9) or another.
        It decides much with linear gain, and hardly anything with exponential gain.

    Raises
    ------
    FileNotFoundError, ValueError
        If the ontology cannot be read or lacks a class.

    Notebook: 02
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
