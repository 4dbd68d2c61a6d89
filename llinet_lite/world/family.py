"""The family tree of the 32 classes, for graded relevance in retrieval.

Objects that Sound (ECCV 2018, appendix A.2) grades a retrieved clip by the
shortest path between its class and the query's in the AudioSet ontology:
acoustic guitar to electric guitar is 2, to drum is 5. The built-in world
carries the branch of that ontology which holds its 32 classes
(:attr:`Instrument.family <llinet_lite.world.instruments.Instrument.family>`),
so that no download is needed; :func:`from_ontology` reads the real file and
finds the same distances.

Notebook: 02
"""

from __future__ import annotations

import json
from functools import cache
from os import PathLike
from pathlib import Path

import networkx as nx
import numpy as np

from .instruments import INSTRUMENTS, instrument

ROOT = "Musical instrument"


@cache
def tree() -> nx.Graph:
    """Build the family tree of the 32 classes.

    Returns
    -------
    networkx.Graph
        Nodes are names of the AudioSet ontology, edges join parent and child
        and have unit length. A class that is the parent of another (Bell,
        Drum, Guitar) is one node, not two. Frozen: it is shared.
    """
    graph = nx.Graph()
    for row in INSTRUMENTS:
        nx.add_path(graph, row.family)
    return nx.freeze(graph)


@cache
def distances() -> np.ndarray:
    """All shortest paths between the classes.

    Returns
    -------
    (32, 32) int64 array, read-only
        Number of edges between classes in the order of INSTRUMENTS;
        symmetric, zero on the diagonal, at most 6.
    """
    return _between([row.family[-1] for row in INSTRUMENTS], tree())


def distance(a: str, b: str) -> int:
    """Shortest path between two classes, in edges.

    Parameters
    ----------
    a, b : str
        Class names, as :func:`~llinet_lite.world.instruments.instrument` takes them.

    Raises
    ------
    KeyError
        If a name is not one of the 32 classes.

    Examples
    --------
    >>> distance("guitar", "electric guitar")
    1
    """
    return int(distances()[instrument(a).label, instrument(b).label])


def from_ontology(path: str | PathLike) -> np.ndarray:
    """Measure the distances in the real AudioSet ontology.

    Thirty-eight of its nodes have several parents, so this is a graph and
    not a tree; its seven top-level nodes are joined by one virtual root.

    Parameters
    ----------
    path : path-like
        ``ontology.json`` as published with AudioSet.

    Returns
    -------
    (32, 32) int64 array, read-only
        As :func:`distances`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not the ontology, or lacks one of the 32 classes.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no ontology at {path}: give the path of AudioSet's ontology.json")
    try:
        nodes = json.loads(path.read_text(encoding="utf-8"))
        names = {node["id"]: node["name"] for node in nodes}
        edges = [(names[node["id"]], names[child]) for node in nodes for child in node["child_ids"]]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not AudioSet's ontology ({type(error).__name__}: {error}); expected a JSON list "
            "of nodes with id, name and child_ids; download ontology.json again"
        ) from error
    graph = nx.Graph(edges)
    children = {child for _, child in edges}
    graph.add_edges_from(("", name) for name in names.values() if name not in children)  # virtual root
    by_plain_name = {name.lower(): name for name in graph}
    wanted = [row.family[-1] for row in INSTRUMENTS]
    missing = [name for name in wanted if name.lower() not in by_plain_name]
    if missing:
        raise ValueError(f"{path} has no node named {', '.join(missing)}; is it the complete ontology.json?")
    return _between([by_plain_name[name.lower()] for name in wanted], graph)


def _between(nodes: list[str], graph: nx.Graph) -> np.ndarray:
    """Shortest paths between the given nodes, as a read-only (n, n) array."""
    matrix = np.empty((len(nodes), len(nodes)), dtype=np.int64)
    for i, node in enumerate(nodes):
        lengths = nx.single_source_shortest_path_length(graph, node)
        matrix[i] = [lengths[other] for other in nodes]
    matrix.flags.writeable = False
    return matrix
