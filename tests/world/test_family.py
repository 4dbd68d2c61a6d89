"""The family tree: unit edges, the paper's examples, and the same distances as the real ontology."""

import itertools
import json
import os
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from llinet_lite.world import family
from llinet_lite.world.instruments import INSTRUMENTS, instrument

REAL = Path(os.environ.get("LLINET_REAL", Path(__file__).parents[2].parent / "shared" / "real"))
ONTOLOGY = REAL / "annotations" / "audioset" / "ontology.json"
needs_ontology = pytest.mark.skipif(
    not ONTOLOGY.is_file(),
    reason=f"no AudioSet ontology at {ONTOLOGY}; set LLINET_REAL to the folder of real data",
)


NAMES = [row.name for row in INSTRUMENTS]


def distance(a, b):
    return int(family.distances()[instrument(a).label, instrument(b).label])


def test_it_is_one_tree_with_all_classes():
    tree = family.tree()
    assert nx.is_tree(tree)
    assert {row.family[-1] for row in INSTRUMENTS} <= set(tree)


def test_parents_that_are_classes_are_one_node():
    for parent, child in (("bell", "chime"), ("drum", "tabla"), ("guitar", "electric guitar")):
        assert distance(parent, child) == 1


def test_distances_are_a_metric():
    d = family.distances()
    assert d.shape == (32, 32) and d.dtype == np.int64
    assert np.array_equal(d, d.T)
    assert np.array_equal(d == 0, np.eye(32, dtype=bool))
    assert (d[:, None, :] <= d[:, :, None] + d.T[None]).all()  # triangle
    assert d.max() == 6


def test_examples_by_hand():
    assert distance("violin", "cello") == 2  # by way of bowed strings
    assert distance("electric guitar", "steel guitar") == 2  # the paper's acoustic : electric
    assert distance("electric guitar", "drum") == 5  # the paper's guitar : drum
    assert distance("Singing_Bowl", "gong") == 3


def test_the_shared_matrix_cannot_be_written():
    with pytest.raises(ValueError):
        family.distances()[0, 1] = 7


@needs_ontology
def test_the_real_ontology_gives_the_same_distances():
    assert np.array_equal(family.ontology_distances(ONTOLOGY, NAMES), family.distances())


@needs_ontology
def test_the_tree_is_the_branch_of_the_real_ontology():
    nodes = json.loads(ONTOLOGY.read_text(encoding="utf-8"))
    names = {node["id"]: node["name"] for node in nodes}
    edges = {frozenset((n["name"].lower(), names[c].lower())) for n in nodes for c in n["child_ids"]}
    assert all(frozenset((a.lower(), b.lower())) in edges for a, b in family.tree().edges)


def test_a_small_ontology_with_two_parents(tmp_path):
    paths = [row.family for row in INSTRUMENTS]
    children = {}
    for path in paths:
        for parent, child in itertools.pairwise(path):
            children.setdefault(parent, set()).add(child)
    names = sorted({name for path in paths for name in path})
    nodes = [{"id": n, "name": n, "child_ids": sorted(children.get(n, ()))} for n in names]
    nodes.append({"id": "things", "name": "Sounds of things", "child_ids": ["Bell", "Gong"]})
    file = tmp_path / "ontology.json"
    file.write_text(json.dumps(nodes), encoding="utf-8")
    measured = family.ontology_distances(file, NAMES)
    bell, gong = (next(r.label for r in INSTRUMENTS if r.name == n) for n in ("bell", "gong"))
    assert (
        measured[bell, gong] == 2 < family.distances()[bell, gong]
    )  # a shorter way through the other parent


def test_bad_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json"):
        family.ontology_distances(tmp_path / "nowhere.json", NAMES)
    broken = tmp_path / "broken.json"
    broken.write_text("[{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"broken\.json is not AudioSet's ontology"):
        family.ontology_distances(broken, NAMES)
    part = tmp_path / "part.json"
    part.write_text(json.dumps([{"id": "1", "name": "Music", "child_ids": []}]), encoding="utf-8")
    with pytest.raises(ValueError, match="no node named Accordion"):
        family.ontology_distances(part, NAMES)
