"""The family tree: unit edges, the paper's examples, and the same distances as the real ontology."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from llinet_lite.world import family
from llinet_lite.world.instruments import INSTRUMENTS, instrument

REAL = Path(os.environ.get("LLINET_REAL", Path(__file__).parents[2].parent / "shared" / "real"))
ONTOLOGY = REAL / "annotations" / "audioset" / "ontology.json"
NAMES = [row.name for row in INSTRUMENTS]


def distance(a, b):
    return int(family.distances()[instrument(a).label, instrument(b).label])


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


@pytest.mark.skipif(not ONTOLOGY.is_file(), reason=f"no AudioSet ontology at {ONTOLOGY}: set LLINET_REAL")
def test_the_real_ontology_gives_the_same_distances():
    assert np.array_equal(family.ontology_distances(ONTOLOGY, NAMES), family.distances())


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
