"""Small stores that the zero-shot tests share; only activations are written into them."""

import dataclasses

import pytest
from zeroshot_fakes import SETTINGS, SPLITS, WORLD, photo_store, trunk_of

from llinet_lite import workspace
from llinet_lite.course import Lesson
from llinet_lite.data.bandstand import build
from llinet_lite.profiles import PROFILES


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """The built-in world with a clip or two per class."""
    folder = tmp_path_factory.mktemp("world") / "tiny"
    return build(folder, WORLD, splits=SPLITS, workers=1, progress=False)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Photos and recordings of five classes, paired by class only."""
    return photo_store(tmp_path_factory.mktemp("photos") / "store")


@pytest.fixture(scope="session")
def trunk():
    """A frozen trunk with random weights."""
    return trunk_of()


@pytest.fixture
def lesson(store, tmp_path, monkeypatch):
    """Maker of lessons under a tiny laptop profile on the tiny world, with folders of their own."""
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("LLINET_TRUNK", raising=False)
    monkeypatch.setattr(workspace, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setitem(PROFILES, "laptop", dataclasses.replace(SETTINGS, name="laptop"))
    monkeypatch.setattr(workspace, "world", lambda settings, **changes: store)

    def make(name: str = "06_cross_modal_retrieval", **changes) -> Lesson:
        return Lesson(name, **({"profile": "laptop"} | changes))

    return make
