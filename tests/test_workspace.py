"""Where things lie: stores known by their plan, trainings by sizes and data, weights by their cards."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from llinet_lite import workspace
from llinet_lite.profiles import PROFILES, overridden
from llinet_lite.results import Result
from llinet_lite.workspace import Workspace

LAPTOP = PROFILES["laptop"]
STATE = {"a": torch.arange(3.0).half(), "b": torch.ones(2, dtype=torch.int64)}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """A home of its own, and a package without weights."""
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(workspace, "WEIGHTS", tmp_path / "packaged")
    (tmp_path / "mine").mkdir()
    return tmp_path


def test_places_below_the_home(here, monkeypatch, root):
    assert Workspace(LAPTOP).run_dir == here / "runs" / "laptop"
    assert Workspace(LAPTOP, here / "mine").run_dir.name == "laptop-mine"
    monkeypatch.delenv("LLINET_HOME")
    assert workspace.home() == root


def test_a_training_is_known_by_sizes_data_and_version(here, monkeypatch):
    folder = Workspace(LAPTOP).training_dir("x")
    same = dataclasses.replace(LAPTOP, seeds=(5,), epochs=99)
    assert folder.name == "x" and Workspace(same).training_dir("x") == folder
    others = Workspace(dataclasses.replace(LAPTOP, width=5)), Workspace(LAPTOP, here / "mine")
    found = {other.training_dir().name for other in others}
    (here / "mine" / "a.jpg").write_bytes(b"x")
    found.add(others[1].training_dir().name)
    monkeypatch.setattr(workspace, "WEIGHTS_VERSION", 99)
    found.add(Workspace(LAPTOP).training_dir().name)
    assert len(found | {folder.parent.name}) == 5


def test_a_store_is_known_by_its_plan(here, monkeypatch):
    from llinet_lite.data import bandstand

    built = []

    def build(folder, plan):
        built.append((folder, plan))
        return SimpleNamespace(splits=dict.fromkeys(bandstand.SPLITS), folder=folder)

    monkeypatch.setattr(bandstand, "build", build)
    place = Workspace(LAPTOP)
    assert place.store(("train",)) is place.store()
    place.store(imprint=1.0)
    monkeypatch.setattr(bandstand, "WORLD_VERSION", 99)
    Workspace(LAPTOP).store()
    assert [plan.imprint for _, plan in built] == [0.0, 1.0, 0.0]
    assert len({folder for folder, _ in built}) == 3
    assert all(folder.parent == here / "runs" / "data" for folder, _ in built)
    with pytest.raises(ValueError, match="has no split nosuch"):
        place.store(("train", "nosuch"))


def test_weights_come_back_with_their_card_where_they_belong(here):
    maker = Workspace(LAPTOP, retrain=True, publish=True, lesson="06_x")
    result = Result("mAP", 0.5, seeds=(0,))
    path = maker.publish("net-a", STATE, seed=0, results=[result], minutes=1.5)
    card = maker.card(path)
    assert card["metrics"] == [result.to_json()] and card["minutes"] == 1.5 and card["seed"] == 0
    assert card["command"].startswith("llinet course --profile laptop --only 06 --retrain --publish")
    assert all(torch.equal(value, STATE[name]) for name, value in load_file(path).items())
    assert Workspace(LAPTOP).weights("net-a") == path
    assert Workspace(dataclasses.replace(LAPTOP, seeds=(0,))).weights("net-a") == path
    assert Workspace(LAPTOP, retrain=True, lesson="07_y").weights("net-a") == path, "of an earlier lesson"
    for other in (
        Workspace(PROFILES["smoke"]),
        Workspace(LAPTOP, here / "mine"),
        Workspace(dataclasses.replace(LAPTOP, epochs=1)),
        Workspace(LAPTOP, retrain=True, lesson="06_x"),
    ):
        assert other.weights("net-a") is None
    assert Workspace(LAPTOP).weights("net-b") is None and Workspace(LAPTOP).publish("c", {}, seed=0) is None
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match="not the file that its card describes"):
        Workspace(LAPTOP).weights("net-a")
    for damaged in ("{", "[]", "{}"):
        path.with_suffix(".json").write_text(damaged)
        with pytest.raises(ValueError, match=r"net-a\.json is damaged .*or delete both"):
            Workspace(LAPTOP).weights("net-a")


def test_the_packaged_weights_have_their_cards(root):
    paths = sorted((root / "llinet_lite" / "weights").glob("*.safetensors"))
    for path in paths:
        card = Workspace.card(path)
        assert card["profile"] == "laptop" and card["bytes"] == path.stat().st_size, path.name
    assert sum(path.stat().st_size for path in paths) <= 55_000_000


def test_public_weights_are_found_in_one_order(here, tmp_path):
    place = Workspace(LAPTOP, here / "mine")
    patterns = ("net-1.pth", "net*")
    cache, near = tmp_path / "torch" / "hub" / "checkpoints", here / "weights"
    cache.mkdir(parents=True)
    (cache / "net-2.pth").touch()
    with pytest.raises(FileNotFoundError, match=r"no net-1.pth or net\* in .*nothing is downloaded"):
        place.public_weights(patterns)
    (cache / "net-1.pth").touch()
    assert place.public_weights(patterns) == cache / "net-1.pth"
    near.mkdir()
    (near / "net-3.safetensors").touch()
    (near / "net-3.txt").touch()
    assert place.public_weights(patterns) == near / "net-3.safetensors"
    (near / "net-4.pth").touch()
    with pytest.raises(ValueError, match="several files"):
        place.public_weights(patterns)
    assert place.public_weights(patterns, near / "net-4.pth") == near / "net-4.pth"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        place.public_weights(patterns, "nowhere")


@pytest.mark.parametrize(("make", "says"), [
    (lambda here: Workspace(LAPTOP, publish=True), "nothing else is a reference"),
    (lambda here: Workspace(LAPTOP, here / "mine").store(imprint=1.0), "built-in world only"),
    (lambda here: Workspace(dataclasses.replace(LAPTOP, name="x")).store(), "no built-in world"),
    (lambda here: Workspace.card(here / "no.safetensors"), "has no card"),
    (lambda here: overridden(LAPTOP, {"nosuch": 1}), "overrides no number"),
    (lambda here: overridden(LAPTOP, {"width": -1}), "width is -1, must be 1 or more"),
    (lambda here: overridden(LAPTOP, {"image_crop": 999}), "a crop is larger"),
    (lambda here: dataclasses.replace(LAPTOP, hop=999), "needs hop <= window"),
])  # fmt: skip
def test_refusals(here, make, says):
    with pytest.raises(ValueError, match=says):
        make(here)


def test_profiles():
    assert overridden(LAPTOP, {"epochs": 0, "width": 4}) == dataclasses.replace(LAPTOP, width=4)
    assert (LAPTOP.bins, LAPTOP.llinet_crop, PROFILES["gpu"].llinet_crop) == (129, 112, 244)
    assert json.dumps(dataclasses.asdict(LAPTOP))
