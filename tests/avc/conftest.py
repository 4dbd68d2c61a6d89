"""Small stores that the tests of the correspondence task share; nothing writes into them."""

import dataclasses

import pytest
from avc_fakes import SETTINGS, SPLITS, WORLD, photo_store

from llinet_lite import workspace
from llinet_lite.course import Lesson
from llinet_lite.data.bandstand import build, build_motion
from llinet_lite.profiles import PROFILES


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """The built-in world with one test clip per class, three scenes of each kind, frames and flow."""
    folder = tmp_path_factory.mktemp("world") / "tiny"
    world = build(folder, WORLD, splits=SPLITS, workers=1, progress=False)
    build_motion(world, ("train", "val", "test"), workers=1, progress=False)
    return world


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Photos and recordings of four classes, paired by class only."""
    return photo_store(tmp_path_factory.mktemp("photos") / "store")


@pytest.fixture
def lesson(store, tmp_path, monkeypatch):
    """Maker of lessons under a tiny laptop profile on the tiny world, with folders of their own."""
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("LLINET_VGG16", raising=False)
    monkeypatch.setattr(workspace, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setitem(PROFILES, "laptop", dataclasses.replace(SETTINGS, name="laptop"))
    monkeypatch.setattr(workspace, "world", lambda settings, **changes: store)

    def make(name: str = "02_ave_net", **changes) -> Lesson:
        return Lesson(name, **({"profile": "laptop"} | changes))

    return make
