"""Training: what a method sees and hears, which labels it gets, and that a run is a function of its seed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from zeroshot_fakes import SETTINGS, trunk_of

from llinet_lite.classifier import seen_labels
from llinet_lite.data.batches import ClassPairs
from llinet_lite.features import Draw, LogMel, to_image, to_waveform
from llinet_lite.losses import matching_loss
from llinet_lite.training import CheckpointError
from llinet_lite.zeroshot import OURS, Plan, activations, plans
from llinet_lite.zeroshot.activations import see
from llinet_lite.zeroshot.ours import Ours
from llinet_lite.zeroshot.task import PairStep, Senses, TrainingBatches, build, cached, train

CLASSES = list(range(20))  # of the 24 seen ones
OURS_HERE = Plan("llinet", OURS, 1, options={"solver": "adam"})
CMPM = Plan("cmpm", "CMPM", 2)


def pairs(store, crop=32, **changes):
    return ClassPairs(store, "train", **({"batch_size": 8, "image_crop": crop, "seed": 0} | changes))


def same(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


# ---------------------------------------------------------------------------------- the two senses


def test_pictures_and_sounds_become_activations_and_log_mel(store, trunk):
    batch = pairs(store).epoch(0)[0]
    seen, logmel = Senses(store.sample_rate, trunk, ("late", "pooled"))(batch)
    direct = see(trunk, to_image(batch["image"]), ("late", "pooled"))
    assert list(seen) == ["late", "pooled"] and all(torch.equal(seen[tap], direct[tap]) for tap in seen)
    assert logmel.shape == (8, 101, 40)
    assert torch.equal(logmel, LogMel(store.sample_rate)(to_waveform(batch["audio"])))


def test_activations_that_a_batch_brings_are_taken_as_they_are(store):
    batch = pairs(store, None).epoch(0)[0] | {"pooled": torch.rand(8, 32).half(), "map": torch.rand(8, 1)}
    seen, _ = Senses(store.sample_rate, None, ("pooled",))(batch)
    assert list(seen) == ["pooled"] and torch.equal(seen["pooled"], batch["pooled"].float())


def test_pictures_are_mirrored_by_their_draws_and_only_in_training(store, trunk):
    batch = pairs(store).epoch(0)[0]
    batch["draws"] = torch.full((8, 8), 0.75)
    batch["draws"][::2, Draw.FLIP] = 0.25
    image = to_image(batch["image"])
    image[::2] = image[::2].flip(-1)
    mirrored = Senses(store.sample_rate, trunk, ("late",), mirror=True).look(batch)["late"]
    assert torch.equal(mirrored, see(trunk, image, ("late",))["late"])
    plain = Senses(store.sample_rate, trunk, ("late",)).look(batch)["late"]
    assert torch.equal(mirrored[1::2], plain[1::2]) and not torch.equal(mirrored[::2], plain[::2])


class Noting(nn.Module):
    """A method that writes down the labels and the progress it is told."""

    def __init__(self):
        super().__init__()
        self.told = []

    def loss(self, seen, logmel, labels, progress):
        self.told.append((labels.tolist(), progress))
        return torch.zeros(()), {}


def test_the_method_gets_labels_from_zero_and_a_rising_progress(store):
    method, step = Noting(), PairStep(Senses(store.sample_rate, None, ()), np.array([3, 5, 21]))
    data = TrainingBatches(pairs(store, None, batch_size=2, classes=[3, 5, 21]), epochs=2)
    for e in range(2):
        for i in range(len(data.epoch(e))):
            step(method, data.epoch(e)[i])
    labels, progress = zip(*method.told, strict=True)
    count = len(data.epoch(0))
    assert progress == pytest.approx([k / (2 * count) for k in range(2 * count)])
    expected = [{3: 0, 5: 1, 21: 2}[int(k)] for k in data.epoch(1)[0]["label"]]
    assert labels[count] == expected and {k for row in labels for k in row} == {0, 1, 2}


# ------------------------------------------------------------------------------------- the networks


@pytest.mark.parametrize("plan", [OURS_HERE, CMPM, Plan("dar", "DAR", 1)], ids=lambda plan: plan.name)
def test_a_network_is_a_function_of_its_seed_alone(trunk, plan):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, two, other = (build(plan, trunk, SETTINGS, 20, seed) for seed in (0, 0, 1))
    assert same(one, two) and not same(one, other)
    assert torch.equal(torch.get_rng_state(), before), "the caller's generator is left alone"


def test_options_reach_the_network_and_its_loss(trunk):
    options = {"gate": "batch", "frozen_bn": "train", "scale": 1.0, "same_class": "all", "attention": 0.0}
    method = build(Plan("x", OURS, 1, options=options), trunk, SETTINGS, 20, 0)
    assert (method.network.gate, method.network.trunk.frozen_bn) == ("batch", "train")
    assert method.how == {"scale": 1.0, "same_class": "all"} and method.attention == 0
    assert trunk.frozen_bn == "eval", "the shared trunk is as it was"
    rival = build(Plan("x", "SCAN", 1, options={"same_class": "all", "width": 2}), trunk, SETTINGS, 20, 0)
    assert rival.same_class == "all" and rival.audio.fc.in_features == 8 * 2
    with pytest.raises(ValueError, match='solver must be "sgd" or "adam"'):
        build(Plan("x", OURS, 1, options={"solver": "lbfgs"}), trunk, SETTINGS, 20, 0)


@pytest.mark.parametrize("name", [n for n, plan in plans(SETTINGS).items() if plan.hears == "logmel"])
def test_every_plan_learns_from_kept_activations(store, trunk, name):
    plan = plans(SETTINGS)[name]
    torch.manual_seed(0)
    model = build(plan, trunk, SETTINGS, len(CLASSES), 0).train()
    seen = activations(trunk, store, "train", image_crop=32, taps=model.needs)
    data = pairs(store, None, classes=CLASSES, distinct=plan.distinct)
    step = PairStep(Senses(store.sample_rate, None, model.needs), np.array(CLASSES))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = model.optimizer(plan.rate)(weights)
    before = [weight.detach().clone() for weight in weights]
    loss, parts = step(model, TrainingBatches(data, 1, seen).epoch(0)[0])
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss) and loss > 0 and all(torch.isfinite(v).all() for v in parts.values())
    moved = sum(not torch.equal(a, b) for a, b in zip(before, weights, strict=True))
    assert moved > len(weights) / 2, f"{moved} of {len(weights)} tensors learn"


def test_the_published_optimizer_of_llinet_and_the_one_for_short_runs(trunk):
    weights = [nn.Parameter(torch.zeros(1))]
    sgd, adam = (Ours(None, solver=solver).optimizer(2.0)(weights) for solver in ("sgd", "adam"))
    assert isinstance(sgd, torch.optim.SGD) and isinstance(adam, torch.optim.Adam)
    group = sgd.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (2e-3, 0.9, 1e-3)
    assert adam.param_groups[0]["lr"] == 2e-3
    rate = Ours(None).schedule(100)
    assert [rate(e) for e in (0, 9.99, 10, 25, 99)] == [1, 1, 0.5, 0.25, 0.5**9]
    assert [Ours(None).schedule(3)(e) for e in (0, 0.3, 2.99)] == [1, 0.5, 0.5**9]


def test_without_the_attention_loss_it_is_the_matching_loss_alone(store, trunk):
    batch = pairs(store).epoch(0)[0]
    seen, logmel = Senses(store.sample_rate, trunk, Ours.needs)(batch)
    totals = []
    for weight in (0.0, 1.0, 2.0):
        model = build(Plan("x", OURS, 1, options={"attention": weight}), trunk, SETTINGS, 24, 0).eval()
        with torch.no_grad():
            totals.append(float(model.loss(seen, logmel, batch["label"])[0]))
            embedded = model.embed_image(seen), model.embed_audio(logmel)
    matching = matching_loss(*embedded, batch["label"], scale=10.0, same_class="mask")
    assert totals[0] == pytest.approx(float(matching), rel=1e-5)
    assert totals[2] - totals[1] == pytest.approx(totals[1] - totals[0], rel=1e-4) and totals[1] > totals[0]


# -------------------------------------------------------------------------------------- training


def trained(store, plan=CMPM, settings=SETTINGS, trunk=None, **how):
    how = {"seed": 3, "run_dir": None, "quiet": True} | how
    return train(store, settings, plan, trunk or trunk_of(), CLASSES, **how)


def test_kept_activations_are_for_features_that_do_not_drift():
    drifting = Plan("x", OURS, 1, options={"frozen_bn": "train"})
    assert cached(OURS_HERE, SETTINGS) and not cached(drifting, SETTINGS)
    assert not cached(OURS_HERE, dataclasses.replace(SETTINGS, keep_activations=False))


def test_training_repeats_bit_for_bit_and_keeps_the_best(store, tmp_path):
    models = []
    for folder in ("a", "b"):
        told = iter((0.9, 0.1))
        model, history = trained(
            store, run_dir=tmp_path / folder, validate=lambda _, told=told: {"mAP": next(told)}
        )
        assert history.best["epoch"] == 0 and len(history.epochs) == 2
        models.append(model)
    assert same(*models)
    one = dataclasses.replace(CMPM, epochs=1)
    assert same(models[0], trained(store, one)[0]), "the first epoch was the best"
    assert not same(models[0], trained(store)[0]) and not same(models[0], trained(store, one, seed=4)[0])


def test_a_run_goes_on_and_refuses_the_checkpoint_of_another_plan(store, tmp_path):
    one = dataclasses.replace(CMPM, epochs=1)
    _, first = trained(store, one, run_dir=tmp_path / "run")
    _, again = trained(store, one, run_dir=tmp_path / "run")
    assert first.resumed_at is None and again.resumed_at == first.epochs[-1]["step"]
    with pytest.raises(CheckpointError, match="plan is"):
        trained(store, dataclasses.replace(one, rate=3.0), run_dir=tmp_path / "run")
    with pytest.raises(CheckpointError, match="classes is"):
        train(store, SETTINGS, one, trunk_of(), CLASSES[1:], seed=3, run_dir=tmp_path / "run", quiet=True)


@pytest.mark.parametrize("plan", [OURS_HERE, dataclasses.replace(CMPM, epochs=1)], ids=lambda plan: plan.name)
def test_training_from_pictures_learns_too_and_leaves_the_trunk_alone(store, plan):
    trunk = trunk_of()
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    settings = dataclasses.replace(SETTINGS, keep_activations=False)
    model, history = trained(store, plan, settings, trunk)
    assert np.isfinite(history.epochs[0]["loss"])
    assert not same(model, build(plan, trunk, settings, len(CLASSES), 3))
    assert all(torch.equal(before[name], value) for name, value in trunk.state_dict().items())
    if plan.method == OURS:
        own = model.network.trunk.state_dict()
        assert all(torch.equal(before[name], value) for name, value in own.items())


def test_the_statistics_of_a_drifting_trunk_move_and_its_weights_do_not(store):
    trunk, plan = trunk_of(), Plan("x", OURS, 1, options={"frozen_bn": "train", "solver": "adam"})
    model, _ = trained(store, plan, trunk=trunk)
    own, given = model.network.trunk.state_dict(), trunk.state_dict()
    moved = {name for name in own if not torch.equal(own[name], given[name])}
    assert "network.bn1.running_mean" in moved
    assert all("running" in name or "num_batches" in name for name in moved)


def test_distinct_batches_are_no_larger_than_the_number_of_classes(store, monkeypatch):
    sizes, epoch = [], ClassPairs.epoch

    def noting(self, e):
        sizes.append(self.batch_size)
        assert all(len(set(batch["label"].tolist())) == self.batch_size for batch in epoch(self, e))
        return epoch(self, e)

    monkeypatch.setattr(ClassPairs, "epoch", noting)
    plan = Plan("distinct", OURS, 1, options={"same_class": "distinct", "solver": "adam"}, distinct=True)
    trained(store, plan, dataclasses.replace(SETTINGS, batch_size=32))
    assert set(sizes) == {20}
    assert len(seen_labels(store)) == 24
