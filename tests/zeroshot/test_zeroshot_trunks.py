"""Which trunk a lesson stands on: the stand-in, trained once, ImageNet's weights, and nothing silent."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from llinet_lite import workspace
from llinet_lite.models.trunks import build_trunk
from llinet_lite.zeroshot import chosen_trunk, sizes_for, trunks


def same(first, second) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.parametrize(("name", "larger"), [("", 0), ("standin", 0), ("auto", 0), ("resnet50", 224)])
def test_networks_of_imagenet_want_larger_pictures(name, larger):
    assert sizes_for(name, "photos").get("image_crop", 0) == larger
    sizes_for(name, "photos")["image_crop"] = -1
    assert sizes_for(name, "photos").get("image_crop", 0) == larger, "nobody changes the table"
    assert not sizes_for(name), "the built-in world has pictures of one size"


def test_the_stand_in_is_trained_once_and_says_what_it_is(lesson, capsys):
    state = torch.get_rng_state()
    trunk = chosen_trunk(lesson(retrain=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert trunk.title == "stand-in: ResNet-18 of width 8, trained on the labels of 24 seen classes"
    assert trunk.frozen and not trunk.training and trunk.classes == 24
    assert not any(weight.requires_grad for weight in trunk.parameters())
    assert all(torch.equal(weight, weight.half().float()) for weight in trunk.parameters()), "as published"
    assert "training the stand-in of the trunk: 1 epochs" in capsys.readouterr().out
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = build_trunk("standin", width=4, classes=24)
    assert not same(trunk, untrained)
    (folder,) = lesson().training_dir.iterdir()
    log = (folder / "last.ckpt").read_bytes()
    assert same(chosen_trunk(lesson(retrain=True), "standin"), trunk)
    assert (folder / "last.ckpt").read_bytes() == log and folder.name == "trunk-1-0"


def test_the_published_stand_in_is_loaded_unless_of_another_world(lesson, capsys):
    trunk = chosen_trunk(lesson("04_llinet_encoders", retrain=True, publish=True))
    card = workspace.WEIGHTS / "trunk-seen.json"
    about = json.loads(card.read_text())
    assert len(about["validation"]) == 1 and 0 <= about["validation"][0] <= 1 and about["minutes"] >= 0
    capsys.readouterr()
    again = chosen_trunk(lesson(retrain=True))
    assert same(again, trunk) and again.title == trunk.title and "training" not in capsys.readouterr().out
    card.write_text(json.dumps(about | {"world": -1}))
    chosen_trunk(lesson())
    assert "training the stand-in" in capsys.readouterr().out


def test_auto_says_that_a_stand_in_takes_the_place(lesson, capsys):
    trunk = chosen_trunk(lesson(), "auto")
    out = capsys.readouterr().out
    assert "no weights of resnet101 at hand, so a stand-in takes the place of ImageNet's" in out
    assert trunk.title.startswith("stand-in")


@pytest.fixture
def small_paper(monkeypatch, tmp_path):
    """ResNet-18 in the place of the paper's trunk, and a file of its weights."""
    monkeypatch.setattr(trunks, "PAPER", "resnet18")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = build_trunk("resnet18").network
    folder = tmp_path / "weights of mine"
    folder.mkdir()
    path = folder / "resnet18.safetensors"
    save_file(network.state_dict(), path)
    return path, network


def test_weights_that_are_named_are_taken(lesson, small_paper, monkeypatch):
    path, network = small_paper
    for name, weights in (("resnet18", path), ("auto", path.parent)):
        trunk = chosen_trunk(lesson(), name, str(weights))
        assert torch.equal(trunk.network.conv1.weight, network.conv1.weight)
        assert trunk.name == "resnet18" and trunk.frozen and not trunk.training
    monkeypatch.setenv("LLINET_TRUNK", str(path))
    assert torch.equal(chosen_trunk(lesson(), "auto").network.conv1.weight, network.conv1.weight)


def test_weights_beside_ones_own_data_are_found(lesson, small_paper, tmp_path):
    path, network = small_paper
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "weights").symlink_to(path.parent)
    here = lesson(data=tmp_path / "mine" / "data")
    assert torch.equal(chosen_trunk(here, "auto").network.conv1.weight, network.conv1.weight)


@pytest.mark.parametrize(
    ("name", "weights"), [("resnet50", ""), ("resnet18", "nosuch.pth"), ("auto", "nosuch")]
)
def test_a_trunk_or_file_that_is_named_and_missing_is_an_error(lesson, tmp_path, name, weights):
    with pytest.raises(FileNotFoundError, match="No weights of ResNet"):
        chosen_trunk(lesson(), name, str(tmp_path / weights) if weights else "")
    assert not lesson().training_dir.exists(), "nothing was trained in their place"


def test_a_place_that_the_environment_names_is_meant(lesson, tmp_path, monkeypatch):
    monkeypatch.setenv("LLINET_TRUNK", str(tmp_path / "nosuch.pth"))
    with pytest.raises(FileNotFoundError, match=r"nosuch\.pth \(\$LLINET_TRUNK\)"):
        chosen_trunk(lesson(), "auto")


def test_an_unknown_trunk_is_an_error(lesson):
    with pytest.raises(ValueError, match="vgg"):
        chosen_trunk(lesson(), "vgg")
