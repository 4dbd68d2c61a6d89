"""Small stores that the tests of the data room share."""

import pytest
from data_fakes import LABELS, TINY, fake_store

from llinet_lite.data.bandstand import build


@pytest.fixture(scope="session")
def fake(tmp_path_factory):
    """240 clips of 8 classes, three frames each."""
    return fake_store(tmp_path_factory.mktemp("fake") / "store", {"train": LABELS, "val": LABELS[::4]})


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Photos and sounds that are paired by class only."""

    def by_class(images, sounds):
        for row in images:
            row |= {"clip": -1, "time": -1.0, "kind": "photo"}

    return fake_store(tmp_path_factory.mktemp("photos") / "store", {"train": LABELS}, change=by_class)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The built-in world, very small, built in this process."""
    return build(tmp_path_factory.mktemp("tiny") / "store", TINY, workers=1, progress=False)
