"""Relevance of classes: by hand, and from the real ontology."""

import numpy as np
import pytest
import torch

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


def test_the_papers_examples_in_the_real_ontology(ontology):
    found = relevance_of(["Acoustic guitar", "electric guitar", "drum"], ontology=ontology)
    assert found.distances[0].tolist() == [0, 2, 5]
    assert found.between([0], [0, 1, 2]).tolist() == [[20, 18, 15]]


def test_the_real_ontology_agrees_with_the_family_tree(ontology):
    assert np.array_equal(relevance_of(NAMES, ontology=ontology).distances, relevance_of(NAMES).distances)


PAIR = same_class(["a", "b"])


@pytest.mark.parametrize(("call", "says"), [
    (lambda: relevance_of(NAMES, C=5), "C = 5 is below the longest distance, 6"),
    (lambda: Relevance(("a", "b"), np.array([[0, 1], [2, 0]]), "by hand"), "symmetric"),
    (lambda: Relevance(("a", "b", "c"), np.zeros((2, 2), int), "by hand"), r"distances must be \(3, 3\)"),
    (lambda: PAIR.between([0, 2], [0]), "labels run to 2, but there are 2 classes"),
])  # fmt: skip
def test_what_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
