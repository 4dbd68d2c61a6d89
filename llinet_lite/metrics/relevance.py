"""How relevant one clip is to another: the nearer their classes in a family tree, the more.

Notebook: 02
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np
import torch
from torch import Tensor

from llinet_lite.world import family
from llinet_lite.world.instruments import instrument

__all__ = ["INSTRUMENT_C", "ONTOLOGY_C", "PAPER_C", "Relevance", "relevance_of", "same_class"]

PAPER_C = 20  # what the paper takes for the longest path
ONTOLOGY_C = 11  # the longest path there is in AudioSet's ontology, with a virtual root
INSTRUMENT_C = 9  # the longest path between the 110 classes of AudioSet-Instruments


@dataclass(frozen=True, eq=False)
class Relevance:
    r"""Graded relevance of classes.

    .. math:: r_{ij} = C - d_{ij}

    with d the number of edges between classes i and j. Between clips with several labels r is the maximum
    over the pairs of labels.

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

    def grades(self, query_labels, database_labels) -> tuple[Tensor, Tensor, Tensor]:
        """Relevance in its compact form: one row or column for every different (set of) label(s).

        Parameters
        ----------
        query_labels, database_labels : (Q,), (N,)
            Integer labels (tensor, array or list), or for each clip a collection of its labels.

        Returns
        -------
        table : (A, B) float32 Tensor
            Relevance of every different query to every different clip of the database, 0 to C.
        query : (Q,) int64 Tensor, 0 to A - 1, the row of each query
        database : (N,) int64 Tensor, 0 to B - 1, the column of each clip of the database

        Raises
        ------
        ValueError
            If a clip has no label, or a label is not a position in `names`.
        """
        matrix = self.C - np.asarray(self.distances)
        (rows, query), (columns, database) = (self._sets(part) for part in (query_labels, database_labels))
        best = np.stack([matrix[list(labels)].max(0) for labels in rows])  # (A, n)
        table = np.stack([best[:, list(labels)].max(1) for labels in columns], axis=1)  # (A, B)
        return torch.as_tensor(table, dtype=torch.float32), query, database

    def between(self, query_labels, database_labels) -> Tensor:
        """Relevance of every clip of the database to every query, (Q, N) float32; labels as in `grades`."""
        table, query, database = self.grades(query_labels, database_labels)
        return table[query][:, database]

    def _sets(self, labels) -> tuple[list[tuple[int, ...]], Tensor]:
        """Return the different sets of labels, and which of them each clip has."""
        plain = isinstance(labels, Tensor | np.ndarray) or not all(isinstance(c, Collection) for c in labels)
        if not plain:
            clips = [tuple(sorted({int(label) for label in clip})) for clip in labels]
            sets = sorted(set(clips))
            place = {labels: i for i, labels in enumerate(sets)}
            index = np.array([place[clip] for clip in clips])
        else:
            labels = np.asarray(labels)
            if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
                raise ValueError(
                    f"labels must be (n,) integers, or a sequence of collections of integers; got "
                    f"{labels.dtype} of shape {labels.shape}."
                )
            present, index = np.unique(labels, return_inverse=True)
            sets = [(int(label),) for label in present]
        if not sets or not all(sets):
            raise ValueError("every clip needs at least one label; leave clips without labels out.")
        low, high = min(map(min, sets)), max(map(max, sets))
        if low < 0 or high >= len(self.names):
            raise ValueError(f"labels run from {low} to {high}, but there are {len(self.names)} classes.")
        return sets, torch.as_tensor(index, dtype=torch.int64)


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
        If the ontology cannot be read or lacks a class; see
        :func:`~llinet_lite.world.family.ontology_distances`.

    Notebook: 02
    """
    names = tuple(names)
    if ontology is not None:
        return Relevance(names, family.ontology_distances(ontology, names), "AudioSet ontology", C)
    try:
        labels = [instrument(name).label for name in names]
    except KeyError:
        return same_class(names, C=C)
    return Relevance(names, family.distances()[np.ix_(labels, labels)], "family tree", C)


def same_class(names: Sequence[str], *, C: int = PAPER_C) -> Relevance:
    """Grade C for the same class and 0 for every other: relevance without a family tree."""
    return Relevance(tuple(names), C * (1 - np.eye(len(names), dtype=np.int64)), "same class only", C)
