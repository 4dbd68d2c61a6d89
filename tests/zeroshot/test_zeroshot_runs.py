"""Networks that are trained once and then loaded: what is held out, what chooses, what is published."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from zeroshot_fakes import SETTINGS, fresh, trunk_of

from llinet_lite import workspace, zeroshot
from llinet_lite.classifier import seen_labels
from llinet_lite.data.bandstand import WORLD_VERSION
from llinet_lite.data.batches import ClassPairs
from llinet_lite.zeroshot import OURS, Plan, held_out, publish, train_or_load
from llinet_lite.zeroshot.runs import PER_CLASS, rounded_part, trained_part, watched

MODULE = importlib.import_module("llinet_lite.zeroshot.runs")
PLAN = Plan("cmpm", "CMPM", 1)
OURS_HERE = Plan("llinet", OURS, 1, options={"solver": "adam"})


def with_classes(labels):
    """A store of which only the labels of the training pictures are known."""
    return SimpleNamespace(images=lambda split: SimpleNamespace(label=np.asarray(labels)))


def same(first, second) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


# --------------------------------------------------------------------------------------- held out


def test_every_seed_holds_out_other_classes(store):
    out = [held_out(store, seed) for seed in range(6)]
    assert sorted(np.concatenate(out)) == seen_labels(store).tolist() and len(out[0]) == 4
    assert all(np.array_equal(labels, np.sort(labels)) for labels in out)
    assert np.array_equal(held_out(store, 6), out[0]), "then they come again"


@pytest.mark.parametrize(("classes", "count"), [(24, 4), (22, 4), (20, 4), (19, 3), (10, 2), (5, 1), (3, 1)])
def test_few_classes_give_a_fifth(classes, count):
    labels = 2 * np.arange(classes)
    of = [held_out(with_classes(np.repeat(labels, 3)), seed) for seed in range(30)]
    assert all(len(set(out)) == count and set(out) <= set(labels) for out in of)
    apart = np.concatenate(of[: classes // count])
    assert len(set(apart)) == len(apart), "no class is held out twice before all others were"


def test_what_is_watched_are_held_out_classes_and_the_unseen_ones(store, photos):
    parts, out = watched(store, seed=1), held_out(store, 1)
    assert [split for split, _ in parts.values()] == ["train", "unseen"] and list(parts) == ["mAP", "unseen"]
    for _, items in parts.values():
        assert set(items.image_label) == set(items.sound_label)
    assert set(parts["mAP"][1].image_label) == set(out)
    assert not set(parts["unseen"][1].image_label) & set(seen_labels(store))
    assert np.bincount(parts["mAP"][1].image_label).max() <= PER_CLASS
    assert len(watched(photos, seed=0)["mAP"][1].image_label) == 6


def test_without_unseen_classes_none_are_watched(store):
    fewer = SimpleNamespace(images=store.images, sounds=store.sounds, splits={"train": {}})
    assert list(watched(fewer, seed=0)) == ["mAP"]


# -------------------------------------------------------------------------------------- training


def test_nothing_of_the_held_out_and_unseen_classes_is_trained_on(lesson, store, trunk, monkeypatch):
    rows, epoch = [], ClassPairs.epoch

    def noting(self, e):
        assert self.source.split == "train"
        rows.append(epoch(self, e).rows)
        return epoch(self, e)

    monkeypatch.setattr(ClassPairs, "epoch", noting)
    run = train_or_load(lesson(), PLAN, trunk, seed=1)
    label = {name: np.asarray(getattr(store, name)("train").label) for name in ("images", "sounds")}
    met = np.concatenate([[*label["images"][r.image], *label["sounds"][r.sound]] for r in rows])
    assert not set(met) & set(held_out(store, 1)) and len(set(met)) == 20
    assert run.model.classes == 20 and not run.loaded and run.seed == 1


@pytest.fixture
def scripted(monkeypatch):
    """Searches find what is told, epoch by epoch; returns what was embedded."""

    def script(**values):
        asked = []

        def told(model, trunk, store, split, settings, items):
            name = {"train": "mAP", "unseen": "unseen"}[split]
            asked.append((split, items, model.training))
            one = SimpleNamespace(mean_average_precision=values[name][sum(s == split for s, *_ in asked) - 1])
            other = SimpleNamespace(mean_average_precision=0.0)
            return SimpleNamespace(retrieval=lambda: {"I2A": one, "A2I": other})

        monkeypatch.setattr(MODULE, "embed", told)
        return asked

    return script


def test_the_epoch_is_chosen_on_held_out_classes_only(lesson, store, trunk, scripted):
    asked = scripted(mAP=(0.2, 0.8, 0.4), unseen=(0.9, 0.1, 0.95))
    run = train_or_load(lesson(), dataclasses.replace(PLAN, epochs=3), trunk)
    assert run.chosen == 1 and not run.model.training
    assert [epoch["mAP"] for epoch in run.curve] == [0.1, 0.4, 0.2]
    assert [epoch["unseen"] for epoch in run.curve] == [0.45, 0.05, 0.475]
    assert set(run.curve[0]) >= {"loss", "mAP", "unseen"} and "seconds" not in run.curve[0]
    assert run.minutes >= 0 and len(asked) == 6
    for split, items, training in asked:
        expected = held_out(store, 0) if split == "train" else np.unique(store.images("unseen").label)
        assert set(items.image_label) == set(items.sound_label) == set(expected) and not training
    scripted(mAP=(0.8,), unseen=(0.0,) * 3)
    first = train_or_load(lesson(), dataclasses.replace(PLAN, name="one"), trunk)
    assert not same(run.model, first.model)


def test_the_weights_are_those_of_the_chosen_epoch(lesson, trunk, scripted):
    scripted(mAP=(0.8, 0.2), unseen=(0.0, 1.0))
    two = train_or_load(lesson(), dataclasses.replace(PLAN, epochs=2), trunk)
    scripted(mAP=(0.8,) * 3, unseen=(0.0,) * 3)
    one = train_or_load(lesson(), PLAN, trunk)
    assert (two.chosen, one.chosen) == (0, 0) and same(two.model, one.model)


def test_a_second_call_loads_the_finished_network(lesson, trunk, monkeypatch):
    first = train_or_load(lesson(), PLAN, trunk)
    (folder,) = lesson().training_dir.iterdir()
    log = (folder / "last.ckpt").read_bytes()
    monkeypatch.setattr(MODULE, "embed", lambda *_: pytest.fail("validated again"))
    again = train_or_load(lesson("05_llinet_losses"), PLAN, trunk)
    assert same(first.model, again.model)
    assert (first.curve, first.chosen, first.minutes) == (again.curve, again.chosen, again.minutes)
    assert (folder / "last.ckpt").read_bytes() == log and not again.model.training


def test_another_trunk_epochs_seed_or_plan_is_another_run(lesson, trunk, scripted):
    scripted(mAP=(0.5,) * 9, unseen=(0.5,) * 9)
    here = lesson()
    for plan, on, seed in (
        (PLAN, trunk, 0), (PLAN, trunk, 2), (dataclasses.replace(PLAN, epochs=2), trunk, 0),
        (dataclasses.replace(PLAN, name="other"), trunk, 0), (PLAN, trunk_of(seed=1), 0),
    ):  # fmt: skip
        train_or_load(here, plan, on, seed=seed)
    assert len(list(here.training_dir.iterdir())) == 5


# -------------------------------------------------------------------------------- what is published


def test_what_is_judged_is_what_is_published(trunk):
    run = fresh(OURS_HERE, trunk)
    with torch.no_grad():
        run.model.network.image_head.fc1.bias.fill_(1 / 3)
        run.model.network.trunk.network.conv1.weight.fill_(1 / 3)
    state = rounded_part(run.model)
    assert state["network.image_head.fc1.bias"].dtype == torch.float16
    third = float(torch.tensor(1 / 3).half())
    assert run.model.network.image_head.fc1.bias[0].item() == third
    assert run.model.network.trunk.network.conv1.weight.unique().item() != third, "the trunk is not rounded"


def test_the_trunk_is_no_part_of_what_is_trained(trunk):
    run = fresh(OURS_HERE, trunk)
    frozen = run.model.state_dict().keys() - trained_part(run.model).keys()
    assert frozen == {f"network.trunk.{name}" for name in trunk.state_dict()}
    assert any(name.startswith("network.attention") for name in trained_part(run.model))
    rival = fresh(PLAN, trunk)
    assert trained_part(rival.model).keys() == rival.model.state_dict().keys()
    assert run.own_trunk is run.model.network.trunk and rival.own_trunk is trunk


@pytest.mark.parametrize("plan", [OURS_HERE, PLAN], ids=lambda plan: plan.name)
def test_published_networks_come_back(lesson, store, trunk, plan):
    maker = lesson(retrain=True, publish=True)
    maker.store()
    run = fresh(plan, trunk)
    with torch.no_grad():
        for weight in filter(lambda weight: weight.requires_grad, run.model.parameters()):
            weight += 1e-3 * torch.rand_like(weight)
    publish(maker, run, [])
    name = plan.name
    state = load_file(workspace.WEIGHTS / f"{name}.safetensors")
    assert state and not any("trunk" in key for key in state)
    small = {value.dtype for name, value in state.items() if value.ndim > 1 and not name.endswith(":scale")}
    assert small == {torch.int8}
    back = train_or_load(lesson(), plan, trunk)
    assert back.loaded and not back.model.training
    assert (back.curve, back.chosen, back.minutes) == (run.curve, run.chosen, run.minutes)
    ours, theirs = (one.embed(store, "unseen", SETTINGS) for one in (run, back))
    assert torch.equal(ours.scores, theirs.scores)
    other = fresh(plan, trunk).embed(store, "unseen", SETTINGS)
    assert not torch.equal(ours.scores, other.scores), "a fresh network of the seed would not do"
    card = lesson().card(workspace.WEIGHTS / f"{name}.safetensors")
    assert (card["world"], card["seed"], card["classes"]) == (WORLD_VERSION, 0, 20)


def published(lesson, on, **changes):
    """The path of a published card, its facts changed."""
    maker = lesson(retrain=True, publish=True)
    maker.store()
    publish(maker, fresh(PLAN, on), [])
    card = workspace.WEIGHTS / "cmpm.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))
    return card


@pytest.mark.parametrize(
    "changes",
    [{"world": WORLD_VERSION + 1}, {"plan": PLAN.facts | {"rate": 3.0}}, {"trunk": "ResNet-101, ImageNet"}],
    ids=lambda changes: next(iter(changes)),
)
def test_another_plan_world_or_trunk_is_refused_aloud(lesson, trunk, capsys, scripted, changes):
    published(lesson, trunk, **changes)
    scripted(mAP=(0.5,), unseen=(0.5,))
    run = train_or_load(lesson(), PLAN, trunk)
    out = capsys.readouterr().out
    assert not run.loaded
    assert "cmpm.safetensors belongs to another plan, world, trunk or ear, so this trains anew" in out


def test_a_trunk_that_was_trained_anew_does_not_fit(lesson, trunk, scripted):
    """Its title is the same, its weights are not."""
    published(lesson, trunk)
    scripted(mAP=(0.5,), unseen=(0.5,))
    other = trunk_of(seed=1)
    assert other.title == trunk.title
    assert train_or_load(lesson(), PLAN, trunk).loaded
    assert not train_or_load(lesson(), PLAN, other).loaded


def test_weights_of_other_layers_are_an_error(lesson, trunk):
    card = published(lesson, trunk)
    path = card.with_suffix(".safetensors")
    state = load_file(path)
    state.pop("image.fc1.bias")
    save_file(state, path)
    about = json.loads(card.read_text()) | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    card.write_text(json.dumps(about))
    with pytest.raises(RuntimeError, match=r"image\.fc1\.bias"):
        train_or_load(lesson(), PLAN, trunk)


def test_only_a_network_of_seed_0_that_was_trained_here_is_published(lesson, trunk, scripted):
    maker = lesson(retrain=True, publish=True)
    maker.store()
    for run in (fresh(PLAN, trunk, seed=1), fresh(PLAN, trunk, loaded=True)):
        publish(maker, run, [])
    publish(lesson(retrain=True), fresh(PLAN, trunk), [])
    assert not list(workspace.WEIGHTS.glob("*"))
    publish(maker, fresh(PLAN, trunk), [])
    scripted(mAP=(0.5,) * 2, unseen=(0.5,) * 2)
    assert train_or_load(lesson(), PLAN, trunk).loaded
    assert not train_or_load(lesson(), PLAN, trunk, seed=1).loaded, "they are of seed 0"
    assert not train_or_load(lesson(retrain=True), PLAN, trunk).loaded


def test_photos_are_trained_and_searched(lesson, photos, monkeypatch):
    monkeypatch.setattr(workspace, "world", lambda settings, **changes: photos)
    run = train_or_load(lesson(retrain=True), PLAN, trunk_of(classes=4))
    assert 0 <= run.curve[0]["mAP"] <= 1 and run.curve[0]["unseen"] == 1, "one unseen class: all are right"
    table, found = zeroshot.search({"CMPM": [run]}, photos, SETTINGS)
    assert found["CMPM"][0].scores.shape == (3, 5)
    assert table.row("CMPM").values("mAP A2I").shape == (1, 5)
