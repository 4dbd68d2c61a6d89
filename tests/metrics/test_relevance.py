"""Relevance of classes and clips: by hand, by brute force over label pairs, and from the real ontology."""

import json

import networkx as nx
import numpy as np
import pytest
import torch

from llinet_lite.metrics import relevance as graded
from llinet_lite.metrics.relevance import Relevance, relevance_of, same_class
from llinet_lite.world import family
from llinet_lite.world.instruments import INSTRUMENTS, SEEN

NAMES = [row.name for row in INSTRUMENTS]


@pytest.fixture
def ontology(real):
    path = real / "annotations" / "audioset" / "ontology.json"
    if not path.is_file():
        pytest.skip("no AudioSet ontology among the real data")
    return path


def small_ontology(folder):
    """Make an ontology in which bongo and gong are sisters, and xylophone has a second name."""
    nodes = [
        {"id": "a", "name": "Percussion", "child_ids": ["b", "c"]},
        {"id": "b", "name": "Bongo drum", "child_ids": []},
        {"id": "c", "name": "Gong", "child_ids": []},
        {"id": "d", "name": "Marimba, xylophone", "child_ids": ["e"]},
        {"id": "e", "name": "Vibraphone, vibes", "child_ids": []},
        {"id": "f", "name": "Room, hall", "child_ids": []},
        {"id": "g", "name": "Church, hall", "child_ids": []},
    ]
    file = folder / "ontology.json"
    file.write_text(json.dumps(nodes), encoding="utf-8")
    return file


def test_the_built_in_classes_use_their_family_tree():
    every = relevance_of(NAMES)
    assert every.source == "family tree" and every.C == 20
    labels = torch.arange(32)
    assert np.array_equal(every.between(labels, labels), 20 - family.distances())
    part = relevance_of([row.name.upper().replace(" ", "_") for row in SEEN], C=9)
    kept = [row.label for row in SEEN]
    assert np.array_equal(part.distances, family.distances()[np.ix_(kept, kept)])
    assert part.source == "family tree" and part.between([0], [0]).item() == 9


def test_other_classes_know_only_their_own_class():
    own = relevance_of(["violin", "theremin", "hang"], C=7)
    assert own.source == "same class only"
    assert own.between([0, 2], [0, 1, 2]).tolist() == [[7, 0, 0], [0, 0, 7]]
    assert np.array_equal(same_class(["a", "b"]).distances, [[0, 20], [20, 0]])


def test_an_ontology_is_searched_by_any_of_a_nodes_names(tmp_path):
    file = small_ontology(tmp_path)
    found = relevance_of(["bongo_drum", "gong", "Xylophone", "vibes"], ontology=file)
    assert found.source == "AudioSet ontology"
    # bongo - percussion - gong; bongo - percussion - (root) - marimba - vibraphone
    assert found.distances.tolist() == [[0, 2, 3, 4], [2, 0, 3, 4], [3, 3, 0, 1], [4, 4, 1, 0]]


def test_a_name_that_is_missing_or_means_two_nodes_is_an_error(tmp_path):
    file = small_ontology(tmp_path)
    with pytest.raises(ValueError, match=r"no node named bongo;.*similar names: .*Bongo drum"):
        family.ontology_distances(file, ["gong", "bongo"])
    with pytest.raises(ValueError, match="no node named hall"):
        family.ontology_distances(file, ["hall"])
    with pytest.raises(ValueError, match=r"no node named zzz;.*nearest in meaning\.$"):
        family.ontology_distances(file, ["zzz"])


def test_the_papers_examples_in_the_real_ontology(ontology):
    found = relevance_of(["Acoustic guitar", "electric guitar", "drum"], ontology=ontology)
    assert found.distances[0].tolist() == [0, 2, 5]
    assert found.between([0], [0, 1, 2]).tolist() == [[20, 18, 15]]


def test_the_real_ontology_agrees_with_the_family_tree(ontology):
    assert np.array_equal(relevance_of(NAMES, ontology=ontology).distances, relevance_of(NAMES).distances)


def test_the_named_longest_paths_are_those_of_the_real_ontology(ontology):
    nodes = json.loads(ontology.read_text(encoding="utf-8"))
    names = {node["id"]: node["name"] for node in nodes}
    tree = nx.DiGraph((names[node["id"]], names[child]) for node in nodes for child in node["child_ids"])
    assert family.ontology_distances(ontology, list(names.values())).max() == graded.ONTOLOGY_C
    roots = ("Musical instrument", "Singing", "Tools")
    instruments = sorted(set(roots).union(*(nx.descendants(tree, root) for root in roots)))
    assert len(instruments) == 110  # AudioSet-Instruments
    assert family.ontology_distances(ontology, instruments).max() == graded.INSTRUMENT_C


def test_several_labels_take_the_best_pair():
    kin = relevance_of(NAMES)
    rng = np.random.default_rng(0)
    queries = [set(rng.choice(32, rng.integers(1, 4), replace=False).tolist()) for _ in range(15)]
    database = [rng.choice(32, rng.integers(1, 4)).tolist() for _ in range(20)]  # may name a class twice
    wanted = [[max(20 - family.distances()[i, j] for i in q for j in c) for c in database] for q in queries]
    assert np.array_equal(kin.between(queries, database), wanted)
    table, query, columns = kin.grades(queries, database)
    assert np.array_equal(table[query][:, columns], wanted)
    assert table.shape[0] == len({tuple(sorted(q)) for q in queries})


def test_one_label_in_a_set_is_one_label():
    kin, labels = relevance_of(NAMES), [3, 3, 17, 0]
    wanted = kin.between(torch.tensor(labels), np.array(labels))
    assert torch.equal(kin.between([{i} for i in labels], [(i,) for i in labels]), wanted)
    assert torch.equal(kin.between(labels, labels), wanted)


def test_refusals():
    with pytest.raises(ValueError, match="C = 5 is below the longest distance, 6"):
        relevance_of(NAMES, C=5)
    with pytest.raises(ValueError, match="symmetric"):
        Relevance(("a", "b"), np.array([[0, 1], [2, 0]]), "by hand")
    with pytest.raises(ValueError, match=r"distances must be \(3, 3\)"):
        Relevance(("a", "b", "c"), np.zeros((2, 2), int), "by hand")
    pair = same_class(["a", "b"])
    with pytest.raises(ValueError, match="at least one label"):
        pair.between([{0}, set()], [0])
    with pytest.raises(ValueError, match="from 0 to 2, but there are 2 classes"):
        pair.between([0, 2], [0])
    with pytest.raises(ValueError, match=r"got float32 of shape \(2,\)"):
        pair.between(torch.zeros(2), [0])
