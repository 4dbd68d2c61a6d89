"""Nearest neighbours in large databases: one call for exact and approximate search, nDCG of what it finds.

Exact search compares a query with every item; the approximate kinds look at a part of the database, and
`recall` tells what they miss. Below about a million items exact search is fast enough.

Notebook: 02
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import faiss
import numpy as np
import torch
from torch import Tensor

from llinet_lite.metrics.relevance import Relevance
from llinet_lite.metrics.retrieval import check_own, dcg_gain, discounts, ratio

__all__ = ["KINDS", "Index", "ndcg_from_ids", "random_from_labels", "recall"]

KINDS = ("exact", "hnsw", "ivfpq")
CODEWORDS = 256  # of a product quantiser with 8 bits
POINTS_PER_CENTROID = 39  # what faiss asks for to train one centroid
LEAST_IVFPQ = CODEWORDS * POINTS_PER_CENTROID  # 9,984 vectors
LINKS, EFFORT = 32, 200  # HNSW: neighbours linked to an item, candidates looked at for them
CELLS = 2**22  # entries of a matrix that are worked on at once


class Index:
    """A database of vectors that answers which of them are nearest to a query.

    Make one with :meth:`build` or :meth:`load`.

    Attributes
    ----------
    kind : "exact", "hnsw" or "ivfpq"
    dimension : int
    count : int, vectors in the database

    Notebook: 02
    """

    def __init__(self, kind: str, index: faiss.Index):
        self.kind, self._index = kind, index
        self.dimension, self.count = index.d, index.ntotal

    @classmethod
    def build(cls, vectors: Tensor, kind: str = "exact", *, seed: int = 0) -> Index:
        """Index a database.

        Built in one thread, so that vectors, kind and seed decide the index, whatever the machine's cores.

        Parameters
        ----------
        vectors : Tensor (N, D) float32
        kind : "exact", "hnsw" or "ivfpq"
            "exact" compares with all vectors (4 D bytes each). "hnsw" walks a graph of neighbours (Malkov and
            Yashunin 2018; 4 D + 270 bytes each). "ivfpq" looks into the nearest of about 4 sqrt(N) cells and
            keeps a vector in about D / 2 bytes (Jegou, Douze and Schmid 2011); at least 9,984 vectors, and a
            minute or more to learn from them.
        seed : int, of the graph's levels and of the clusterings; without effect on "exact"

        Raises
        ------
        ValueError
            If the kind is unknown, vectors are not finite (N, D), or too few for "ivfpq".
        """
        vectors = _array(vectors, "vectors")
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, not {kind!r}.")
        count, dimension = vectors.shape
        if kind == "ivfpq" and count < LEAST_IVFPQ:
            raise ValueError(
                f'kind "ivfpq" learns {CODEWORDS} codewords from at least {LEAST_IVFPQ} vectors; there are '
                f'{count}. Take "exact", which is fast for so few, or "hnsw".'
            )
        if kind == "exact":
            index = faiss.IndexFlatL2(dimension)
        elif kind == "hnsw":
            index = faiss.IndexHNSWFlat(dimension, LINKS)
            index.hnsw.efConstruction = EFFORT
            index.hnsw.rng = faiss.RandomGenerator(seed)
        else:
            index = _ivfpq(count, dimension, seed)
        with _one_thread():
            index.train(vectors)
            index.add(vectors)
        return cls(kind, index)

    def search(self, queries: Tensor, k: int = 30, exclude: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Find the k nearest vectors of every query.

        Parameters
        ----------
        queries : Tensor (Q, D) float32
        k : int
        exclude : Tensor (Q,) int64, optional
            Item of the database that is the query's own, to be left out.

        Returns
        -------
        distances : Tensor (Q, k) float32
            Euclidean, rising; of "ivfpq", to the compressed vectors.
        ids : Tensor (Q, k) int64
            Positions in the database, equal distances in its order. Where fewer than k are found, -1, at
            distance inf.
        """
        queries = _array(queries, "queries")
        if queries.shape[1] != self.dimension:
            raise ValueError(f"queries have {queries.shape[1]} values, the database {self.dimension}.")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}.")
        if exclude is not None:
            check_own(exclude, len(queries), self.count)
        wanted = k if exclude is None else k + 1
        square, ids = self._index.search(queries, wanted, params=self._effort(wanted))
        distances, ids = self._distances(queries, square, ids), torch.from_numpy(ids)
        if exclude is not None:
            distances = distances.where(ids != exclude[:, None], torch.inf)
            ids = ids.where(ids != exclude[:, None], -1)
        last = ids.where(ids >= 0, self.count)
        order = last.argsort(dim=1)  # equal distances in the order of the database
        order = order.gather(1, distances.gather(1, order).argsort(dim=1, stable=True))[:, :k]
        return distances.gather(1, order), ids.gather(1, order)

    def _effort(self, k: int) -> faiss.SearchParameters | None:
        """Look at more candidates than are asked for; faiss by itself at 16 for a graph, 1 cell of an IVF."""
        if self.kind == "hnsw":
            return faiss.SearchParametersHNSW(efSearch=max(EFFORT, 2 * k))
        if self.kind == "ivfpq":
            return faiss.SearchParametersIVF(nprobe=max(1, self._index.nlist // 8))
        return None

    def _distances(self, queries: np.ndarray, square: np.ndarray, ids: np.ndarray) -> Tensor:
        """Distances of what was found, (Q, k) float32; anew in float64 where the vectors are kept.

        faiss computes |q|^2 + |x|^2 - 2 q x in float32, which is off by as much as 1e-3 for the nearest.
        Rounded as in `score_embeddings`, so that the same distances tie.
        """
        distances = np.sqrt(np.maximum(square, 0))
        if self.kind != "ivfpq":
            step = max(1, CELLS // (ids.shape[1] * self.dimension))
            for start in range(0, len(ids), step):
                rows = slice(start, start + step)
                kept = self._index.reconstruct_batch(np.maximum(ids[rows], 0).ravel())
                kept = kept.reshape(*ids[rows].shape, -1).astype(np.float64)  # (q k, D) -> (q, k, D)
                distances[rows] = np.linalg.norm(kept - queries[rows, None], axis=2)
        return torch.from_numpy(np.where(ids >= 0, distances, np.float32(np.inf)))

    def save(self, path: str | PathLike) -> None:
        """Write the index to `path`, and its kind, size and checksum to `path`.json."""
        path = Path(path)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            faiss.write_index(self._index, str(temporary))
            card = {
                "kind": self.kind,
                "dimension": self.dimension,
                "count": self.count,
                "sha256": _sha256(temporary),
            }
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _card(path).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | PathLike) -> Index:
        """Read an index that :meth:`save` wrote.

        The checksum finds a file that is damaged or was exchanged, not one that was forged together with its
        card: do not load an index from a source you do not trust, build it from the vectors.

        Raises
        ------
        FileNotFoundError
            If the file or its card is missing.
        ValueError
            If the file is not the one that its card describes.
        """
        path = Path(path)
        for part in (path, _card(path)):
            if not part.is_file():
                raise FileNotFoundError(f"no index at {path}: {part.name} is missing; build and save it.")
        try:
            card = json.loads(_card(path).read_text(encoding="utf-8"))
            kind, sha256, shape = card["kind"], card["sha256"], (card["count"], card["dimension"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{_card(path)} is no card of an index ({error}); build it again.") from error
        if _sha256(path) != sha256:
            raise ValueError(
                f"{path} is not the file that {_card(path).name} describes (sha256 differs): damaged, or of "
                "another origin. It was not read; build and save the index again."
            )
        index = faiss.read_index(str(path))
        if kind not in KINDS or (index.ntotal, index.d) != shape:
            raise ValueError(f"{path} holds {index.ntotal} x {index.d}, its card says {kind} {shape}.")
        return cls(kind, index)


def _ivfpq(count: int, dimension: int, seed: int) -> faiss.IndexIVFPQ:
    cells = max(1, min(round(4 * math.sqrt(count)), count // POINTS_PER_CENTROID))
    parts = next(m for m in range(max(1, dimension // 2), 0, -1) if dimension % m == 0)
    index = faiss.IndexIVFPQ(faiss.IndexFlatL2(dimension), dimension, cells, parts, 8)
    index.cp.seed = index.pq.cp.seed = seed
    index.pq.cp.niter = 10  # of 25: less than half the time, for half a point of recall
    return index


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _array(vectors: Tensor, name: str) -> np.ndarray:
    array = np.ascontiguousarray(torch.as_tensor(vectors).detach().cpu().numpy(), dtype=np.float32)
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise ValueError(f"{name} must be (n, D), not empty and finite; got shape {array.shape}.")
    return array


def _card(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recall(index: Index, exact: Index, queries: Tensor, k: int = 30) -> float:
    """Share of the k nearest vectors (by exact search) that an approximate index finds, mean over queries.

    Parameters
    ----------
    index, exact : Index, of the same vectors; `exact` of kind "exact"
    queries : Tensor (Q, D) float32
    k : int

    Notebook: 02
    """
    if exact.kind != "exact" or (index.count, index.dimension) != (exact.count, exact.dimension):
        raise ValueError(
            "recall compares an index with an exact one of the same vectors; got "
            f"{index.kind} {index.count} x {index.dimension}, {exact.kind} {exact.count} x {exact.dimension}."
        )
    k = min(k, exact.count)
    found, truth = index.search(queries, k)[1], exact.search(queries, k)[1]
    hits = (found[:, :, None] == truth[:, None, :]).any(dim=1)  # (Q, k, k) -> (Q, k)
    return float(hits.double().mean())


def ndcg_from_ids(
    ids: Tensor,
    query_labels,
    database_labels,
    relevance: Relevance,
    k: int = 30,
    gain: str = "linear",
    exclude: Tensor | None = None,
) -> Tensor:
    """nDCG@k of what an index found; :func:`~llinet_lite.metrics.retrieval.ndcg` without its (Q, N) matrices.

    The ideal ranking is that of the whole database, from the number of its items of every class.

    Parameters
    ----------
    ids : Tensor (Q, >= k) int64
        As :meth:`Index.search` gives them with the same `exclude`; -1 is a place with nothing.
    query_labels, database_labels : labels of Q queries and N items, as `Relevance.grades` takes them
    relevance : Relevance
    k : int
    gain : "linear" or "exponential"
    exclude : Tensor (Q,) int64, optional
        The query's own item, which counts neither in the ranking nor in the ideal.

    Returns
    -------
    Tensor (Q,) float64 in [0, 1]

    Raises
    ------
    ValueError
        If ids do not fit the labels or k, or hold an item that is to be left out.

    Notebook: 02
    """
    table, query, database = relevance.grades(query_labels, database_labels)
    places = min(k, len(database))
    if k < 1 or ids.ndim != 2 or len(ids) != len(query) or ids.shape[1] < places:
        raise ValueError(
            f"ids must be ({len(query)}, at least {places}) for {len(query)} queries and k = {k}; "
            f"got {tuple(ids.shape)}."
        )
    if ids.min() < -1 or ids.max() >= len(database):
        raise ValueError(f"ids must be -1 or positions in the database of {len(database)} items.")
    if exclude is not None and (ids == exclude[:, None]).any():
        raise ValueError("ids hold the query's own item: search with the same `exclude`.")
    ids = ids[:, :places]
    grade = table[query[:, None], database[ids.clamp(min=0)]].where(ids >= 0, 0)  # (Q, places)
    ideal, _ = _ideal_and_mean(table, query, database, k, gain, exclude)
    return ratio((dcg_gain(grade, gain) * discounts(places)).sum(1), ideal)


def random_from_labels(
    query_labels,
    database_labels,
    relevance: Relevance,
    k: int = 30,
    gain: str = "linear",
    exclude: Tensor | None = None,
) -> Tensor:
    """Expected nDCG@k of a random ranking, (Q,) float64; parameters as `ndcg_from_ids`."""
    table, query, database = relevance.grades(query_labels, database_labels)
    ideal, mean = _ideal_and_mean(table, query, database, k, gain, exclude)
    places = min(k, len(database) - (exclude is not None))
    return ratio(mean * discounts(places).sum(), ideal)


def _ideal_and_mean(
    table: Tensor, query: Tensor, database: Tensor, k: int, gain: str, exclude: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the ideal DCG and the mean gain of the database for every query, (Q,) and (Q,) float64.

    Both depend only on the query's row of the table and the column of its own item, so they are computed
    once for every such case.
    """
    own = torch.full_like(query, -1)
    if exclude is not None:
        check_own(exclude, len(query), len(database))
        own = database[exclude]
    cases, case = torch.stack([query, own], 1).unique(dim=0, return_inverse=True)
    count = torch.bincount(database, minlength=table.shape[1]).repeat(len(cases), 1)  # (U, B)
    left_out = cases[:, 1] >= 0
    count[left_out, cases[left_out, 1]] -= 1
    grade, order = table[cases[:, 0]].sort(dim=1, descending=True)
    count, gains = count.gather(1, order), dcg_gain(grade, gain)  # (U, B), best first
    end = count.cumsum(1).clamp(max=k)  # the last of the first k places that a class takes
    sums = torch.cat([torch.zeros(1, dtype=torch.float64), discounts(k).cumsum(0)])  # (k + 1,)
    weight = sums[end].diff(dim=1, prepend=sums.new_zeros(len(cases), 1))  # (U, B)
    ideal = (gains * weight).sum(1)
    mean = (gains * count).sum(1) / count.sum(1).clamp(min=1)
    return ideal[case], mean[case]
