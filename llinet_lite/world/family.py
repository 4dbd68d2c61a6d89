"""The family tree of the 32 classes, for graded relevance in retrieval.

Objects that Sound (ECCV 2018, appendix A.2) grades a retrieved clip by the shortest path between its class
and the query's in the AudioSet ontology: acoustic guitar to electric guitar is 2, to drum is 5. The branch of
that ontology which holds the 32 classes stands in :attr:`Instrument.family
<llinet_lite.world.instruments.Instrument.family>`, so no download is needed; :func:`ontology_distances` reads
the real file and finds the same distances, and those of any other classes.
Notebook: 02
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from functools import cache
from os import PathLike
from pathlib import Path

import networkx as nx
import numpy as np

from .instruments import INSTRUMENTS, Instrument, instrument, plain_name


@cache
def distances(rows: tuple[Instrument, ...] = INSTRUMENTS) -> np.ndarray:
    """All shortest paths between classes, in edges.

    Parameters
    ----------
    rows : tuple of n Instrument
        By default the 32 named classes. Invented ones hang on the same tree: by their exciter, then by their
        resonator.

    Returns
    -------
    (n, n) int64 array, read-only
        In the order of the rows; symmetric, zero on the diagonal, at most 6.

    Examples
    --------
    >>> int(distances()[instrument("guitar").label, instrument("electric guitar").label])
    1
    """
    tree = nx.Graph()
    for row in rows:  # a class that is the parent of another (Bell, Drum, Guitar) is one node
        nx.add_path(tree, row.family)
    return _between([row.family[-1] for row in rows], tree)


def ontology_distances(path: str | PathLike, names: Sequence[str]) -> np.ndarray:
    """Distances (n, n) of any named classes in AudioSet's ``ontology.json``, edges; read-only.

    Thirty-eight of its nodes have several parents, so this is a graph and not a tree; its seven top-level
    nodes are joined by one virtual root. A name is a class of the built-in world, a node, or one of the names
    that a node lists between commas; case, hyphens and underscores do not matter.
    """
    path = Path(path)
    graph = _read_ontology(path)
    nodes = _by_plain_name(graph)
    wanted = [_node_name(name) for name in names]
    missing = list(dict.fromkeys(name for name in wanted if plain_name(name) not in nodes))
    if missing:
        near = [nodes[p] for name in missing for p in difflib.get_close_matches(plain_name(name), nodes, n=2)]
        raise ValueError(
            f"{path} has no node named {', '.join(missing)}; name the node that is nearest in meaning"
            + (f" (similar names: {', '.join(dict.fromkeys(near))})." if near else ".")
        )
    return _between([nodes[plain_name(name)] for name in wanted], graph)


def _read_ontology(path: Path) -> nx.Graph:
    """Nodes are names, edges join parent and child; a virtual root "" joins the top-level nodes."""
    if not path.is_file():
        raise FileNotFoundError(f"no ontology at {path}: give the path of AudioSet's ontology.json")
    try:
        nodes = json.loads(path.read_text(encoding="utf-8"))
        names = {node["id"]: node["name"] for node in nodes}
        edges = [(names[node["id"]], names[child]) for node in nodes for child in node["child_ids"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not AudioSet's ontology ({error!r}); download ontology.json again"
        ) from error
    graph = nx.Graph(edges)
    children = {child for _, child in edges}
    graph.add_edges_from(("", name) for name in names.values() if name not in children)  # virtual root
    return graph


def _node_name(name: str) -> str:
    """The ontology's name of a class of the built-in world; any other name as it is."""
    try:
        return instrument(name).family[-1]
    except KeyError:
        return name


def _by_plain_name(graph: nx.Graph) -> dict[str, str]:
    """Node of every whole name, and of every name between commas that only one node has."""
    parts: dict[str, list[str]] = {}
    for node in filter(None, graph):
        for part in node.split(","):
            parts.setdefault(plain_name(part), []).append(node)
    single = {part: nodes[0] for part, nodes in parts.items() if len(nodes) == 1}
    return single | {plain_name(node): node for node in graph if node}


def _between(nodes: list[str], graph: nx.Graph) -> np.ndarray:
    """Shortest paths between the given nodes, as a read-only (n, n) array."""
    matrix = np.empty((len(nodes), len(nodes)), dtype=np.int64)
    for i, node in enumerate(nodes):
        lengths = nx.single_source_shortest_path_length(graph, node)
        matrix[i] = [lengths[other] for other in nodes]
    matrix.flags.writeable = False
    return matrix
