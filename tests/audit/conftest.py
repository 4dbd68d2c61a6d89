"""Photos and recordings that the tests of the audit share; only activations are written beside them."""

import dataclasses

import pytest
from audit_fakes import SETTINGS, photo_store

from llinet_lite import workspace
from llinet_lite.course import Lesson
from llinet_lite.profiles import PROFILES


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Noise of four seen classes and two unseen ones, paired by class only."""
    return photo_store(tmp_path_factory.mktemp("photos") / "store")


@pytest.fixture
def lesson(store, tmp_path, monkeypatch):
    """Maker of lessons under a tiny laptop profile on these photos, with folders of their own."""
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    monkeypatch.setattr(workspace, "WEIGHTS", tmp_path / "weights")
    monkeypatch.setitem(PROFILES, "laptop", dataclasses.replace(SETTINGS, name="laptop"))
    monkeypatch.setattr(workspace, "world", lambda settings, **changes: store)

    def make(name: str = "09_paper_versus_code", **changes) -> Lesson:
        return Lesson(name, **({"profile": "laptop"} | changes))

    return make
