"""Plans, the interface of all methods, their inputs, training once and loading, packaged weights."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from llinet_lite import workspace as places
from llinet_lite.experiments import embedding, methods, runs, standins
from llinet_lite.experiments.methods import CORRESPONDENCE, METHODS
from llinet_lite.experiments.runs import Plan, plans, train_or_load
from llinet_lite.features import LogMel
from llinet_lite.files import CheckpointError
from llinet_lite.models.trunks import Trunk
from llinet_lite.profiles import PROFILES
from llinet_lite.workspace import WEIGHTS, Workspace

SMALL = {f.name: 1 for f in dataclasses.fields(PROFILES["smoke"]) if f.name.startswith("epochs")}
SMALL |= {"image_size": 40, "image_crop": 32, "width": 8, "embedding": 16, "batch_size": 8, "classes": 0}
PROFILE = dataclasses.replace(PROFILES["smoke"], **SMALL)
CARDS = sorted(WEIGHTS.glob("*.json"))
KNOWN = plans(PROFILE)


def same(first, second):
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


# ---- plans


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_plans(profile):
    known = plans(profile)
    assert len(known) == 7 + 10 + 2 + 4 + bool(profile.classes) + 11 + 8 + 3 + 4
    assert {plan.method for plan in known.values()} == set(METHODS) and len(METHODS) == 17
    assert all(json.loads(json.dumps(plan.facts)) == plan.facts for plan in known.values())
    short = profile.epochs_rivals < 30
    assert known["cmpm"].options.get("rate", 1.0) == (3.0 if short else 1.0)
    assert known["llinet"].options["solver"] == ("adam" if profile.epochs_llinet < 30 else "sgd")
    assert (known["avenet-mf"].start == "avenet-all") == profile.motion_starts_warm


def test_small_data_get_more_epochs_and_an_unknown_method_is_refused():
    few, many = (SimpleNamespace(images=lambda split, n=n: [0] * n) for n in (100, 6000))
    assert plans(PROFILE, few)["l3net-all"].epochs == 4 and plans(PROFILE, many)["l3net-all"].epochs == 1
    assert plans(PROFILE, few)["llinet"].epochs == 1
    with pytest.raises(ValueError, match="no method 'ViT': choose one of L3-Net, AVE-Net"):
        Plan("vit", "ViT", 1)


def test_held_out_classes_are_dealt_out(tiny_store):
    dealt = [set(runs.held_out(tiny_store, seed)) for seed in range(5)]
    assert [len(out) for out in dealt] == [4] * 5 and len(set.union(*dealt)) == 20


# ---- methods


@pytest.mark.parametrize(
    "name", ["l3net-sampled", "l3net-all", "avenet-all", "avenet-mf", "avenet-of", "avolnet-all"]
)
def test_correspondence_networks_have_the_interface(name, tiny_store):
    plan = KNOWN[name]
    method = runs.build(plan, PROFILE, seed=0)
    again = runs.build(plan, PROFILE, seed=0)
    assert same(method, again) and not same(method, runs.build(plan, PROFILE, seed=1))
    batch = runs.training_pairs(plan, tiny_store, PROFILE, 0).epoch(0)[0]
    image, audio = runs.inputs_of(plan, PROFILE, augment=True)(batch)
    loss, parts = method.loss((image, audio), batch)
    assert loss.ndim == 0 and 0 <= parts["train_accuracy"] <= 1
    method.eval()
    a, b = method.embed_image(image), method.embed_audio(audio)
    pairs = torch.softmax(method.network.pairs(a, b), 1)[:, 1]
    torch.testing.assert_close(method.scores(a, b).diagonal(), pairs, rtol=1e-4, atol=1e-5)
    optimizer = method.optimizer(0.5)(list(method.parameters()))
    assert optimizer.param_groups[0]["lr"] == 0.5 * PROFILE.learning_rate
    assert method.schedule(9)(16) == pytest.approx(0.94) and method.clip_norm is None


@pytest.mark.parametrize("name", [plan.name for plan in KNOWN.values() if plan.method not in CORRESPONDENCE])
def test_retrieval_methods_have_the_interface(name, tiny_store, trunk):
    plan = KNOWN[name]
    if plan.options.get("audio") == "vggish":
        pytest.skip("needs an ear: see test_a_plan_may_hear_through_vggish")
    classes = standins.seen_labels(tiny_store)
    method = runs.build(plan, PROFILE, seed=0, trunk=trunk, classes=len(classes))
    assert same(method, runs.build(plan, PROFILE, seed=0, trunk=trunk, classes=len(classes)))
    direct = dataclasses.replace(PROFILE, keep_activations=False)
    batch = runs.class_batches(plan, tiny_store, direct, method, trunk, classes, 0).epoch(0)[0]
    inputs = runs.inputs_of(plan, PROFILE, method, methods.own_trunk(method, trunk), augment=True)(batch)
    loss, parts = method.loss(inputs, batch)
    assert loss.ndim == 0 and loss.isfinite() and parts
    assert all(not part.requires_grad for part in parts.values())
    method.eval()
    scores = method.scores(method.embed_image(inputs[0]), method.embed_audio(inputs[1]))
    assert scores.shape == (8, 8)
    weights = [weight for weight in method.parameters() if weight.requires_grad]
    optimizer = method.optimizer(1.0)(weights)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(weights)
    schedule = method.schedule(10)
    assert schedule is None or 0 <= schedule(5.0) <= 1
    assert not any("trunk" in key for key in runs.trained_part(method))


def test_llinet_halves_its_rates_after_every_tenth(trunk):
    schedule = runs.build(KNOWN["brief"], PROFILE, 0, trunk=trunk).schedule(100)
    assert [schedule(epoch) for epoch in (0, 9.99, 10, 29.9, 30)] == [1, 1, 0.5, 0.25, 0.125]
    image = runs.build(KNOWN["decay-image"], PROFILE, 0, trunk=trunk)
    groups = image.optimizer(1.0)([*image.parameters()]).param_groups
    assert [group["scheduled"] for group in groups] == [True, False, False]
    with pytest.raises(ValueError, match="solver"):
        methods.LLINetMethod(image.network, solver="lion")


# ---- inputs


def test_a_blind_network_sees_black_and_a_deaf_one_silence(tiny_store):
    batch = runs.training_pairs(KNOWN["l3net-all"], tiny_store, PROFILE, 0).epoch(0)[0]
    image, audio = runs.inputs_of(KNOWN["l3net-all"], PROFILE)(batch)
    assert image.std() > 0 and audio.std() > 0
    assert runs.inputs_of(KNOWN["l3net-ears"], PROFILE).image(batch).abs().max() == 0
    deaf = runs.inputs_of(KNOWN["l3net-deaf"], PROFILE, augment=True).audio(batch)
    assert deaf.std() < 1e-5 and deaf.shape == audio.shape == (8, 1, PROFILE.bins, PROFILE.frames)


def test_kept_activations_are_those_of_the_trunk(tiny_store, trunk):
    taps = ("early", "late", "pooled", "teacher")
    kept = embedding.activations(trunk, tiny_store, "val", crop=32, taps=taps)
    batch = next(iter(embedding.EvaluationSet(tiny_store, "val", batch_size=64, image_crop=32, item="image")))
    now = methods.Inputs(LogMel(16000), trunk, taps).image(batch)
    for tap in taps:
        assert kept[tap].dtype == torch.bfloat16
        torch.testing.assert_close(kept[tap].float(), now[tap], rtol=2**-8, atol=1e-6)
    few = embedding.activations(trunk, tiny_store, "val", crop=32, taps=taps, rows=np.array([5, 2]))
    assert all(torch.equal(few[tap], kept[tap][[5, 2]]) for tap in taps)
    moving = Trunk("standin", width=8, classes=24, frozen_bn="train").freeze()
    with pytest.raises(ValueError, match="depend on the batch"):
        embedding.activations(moving, tiny_store, "val", crop=32, taps=taps)


def test_batches_say_class_and_progress(tiny_store, trunk):
    classes = np.setdiff1d(standins.seen_labels(tiny_store), [0, 5])
    method = runs.build(KNOWN["distinct"], PROFILE, 0, trunk=trunk, classes=len(classes))
    batches = runs.class_batches(KNOWN["distinct"], tiny_store, PROFILE, method, trunk, classes, 0)
    batches.epochs = 4
    epoch = batches.epoch(2)
    batch = epoch[1]
    assert batch["progress"] == np.float32((2 + 1 / len(epoch)) / 4)
    assert len(set(batch["label"].tolist())) == 8 and int(batch["label"].max()) < len(classes)
    rows = epoch.batches.rows.image[8:16]
    assert np.array_equal(classes[batch["label"]], tiny_store.images("train").label[rows])
    kept = embedding.activations(trunk, tiny_store, "train", crop=32, taps=("early",))["early"]
    assert torch.equal(batch["early"], kept[rows])


# ---- trained once, then loaded


@pytest.mark.parametrize("name", ["avenet-all", "avenet-of", "cmpm"])
def test_a_second_call_loads_what_the_first_trained(tiny_workspace, trunk, name, tiny_store):
    here, plan = tiny_workspace(retrain=True), KNOWN[name]
    first = train_or_load(here, plan, trunk=trunk)
    folder = next(here.training_dir().glob(f"{name}-*"))
    before = (folder / "last.ckpt").read_bytes()
    again = train_or_load(here, plan, trunk=trunk)
    assert same(first.method, again.method) and not again.method.training and not again.loaded
    assert first.curve == again.curve and len(first.curve) == 1 and first.chosen == 0
    assert (folder / "last.ckpt").read_bytes() == before, "no epoch was trained again"
    assert not same(first.method, train_or_load(here, plan, 1, trunk=trunk).method)
    longer = dataclasses.replace(plan, epochs=2)
    assert len(train_or_load(here, longer, trunk=trunk).curve) == 2
    found = embedding.embed(first, tiny_store, "unseen" if name == "cmpm" else "test")
    assert len(found.image) == len(found.items.image_row) and len(found.audio) == len(found.items.audio_row)
    if name == "cmpm":
        assert set(first.curve[0]) >= {"loss", "mAP", "unseen"} and set(found.retrieval()) == {"I2A", "A2I"}
    else:
        assert found.items.paired and len(first.calibration) == 2
        torch.testing.assert_close(found.image.norm(dim=1), torch.ones(len(found.image)))


def test_direct_images_and_photos_are_trained_on(tiny_workspace, tiny_photos, trunk):
    direct = tiny_workspace(keep_activations=False)
    assert 0 <= train_or_load(direct, KNOWN["bn-train"], trunk=trunk).curve[0]["mAP"] <= 1
    photos = tiny_workspace()
    photos._store = tiny_photos
    few = Trunk("standin", width=8, classes=4).freeze().eval()
    run = train_or_load(photos, KNOWN["llinet"], trunk=few)
    assert embedding.embed(run, tiny_photos, "unseen").scores.shape == (6, 10)
    pairs = train_or_load(photos, dataclasses.replace(KNOWN["l3net-sampled"], epochs=1))
    found = embedding.embed(pairs, tiny_photos, "test")
    assert not found.items.paired and (len(found.image), len(found.audio)) == (12, 16)


def test_another_trunk_or_batch_size_is_another_training(tiny_workspace, trunk):
    here = tiny_workspace()
    train_or_load(here, KNOWN["cmpm"], trunk=trunk)
    other = Trunk("standin", width=8, classes=24).freeze().eval()
    train_or_load(here, KNOWN["cmpm"], trunk=other)
    assert len(list(here.training_dir().glob("cmpm-*"))) == 2
    with pytest.raises(CheckpointError, match="plan is"):
        train_or_load(here, dataclasses.replace(KNOWN["cmpm"], options={"rate": 2.0}), trunk=trunk)


def test_a_plan_may_hear_through_vggish(tiny_workspace, trunk, tiny_store):
    here = tiny_workspace()
    vggish = standins.chosen_vggish(here)
    run = train_or_load(here, KNOWN["vggish"], trunk=trunk, vggish=vggish)
    found = embedding.embed(run, tiny_store, "unseen")
    heard = standins.hear(run.method.ear, tiny_store, "unseen", found.items.audio_row)
    with torch.no_grad():
        torch.testing.assert_close(run.method.embed_audio(heard), found.audio)
    assert not any(key.startswith("ear.") for key in runs.trained_part(run.method))


@pytest.mark.parametrize("name", ["avenet-all", "llinet"])
def test_what_is_published_is_loaded_as_it_was(tiny_workspace, trunk, name, capsys):
    maker, plan = tiny_workspace(retrain=True, publish=True, lesson="06_x"), KNOWN[name]
    run = train_or_load(maker, plan, trunk=trunk)
    runs.publish(maker, run, [])
    reader = tiny_workspace()
    loaded = train_or_load(reader, plan, trunk=trunk)
    assert not reader.data_hash, "weights need no world"
    assert loaded.loaded and same(loaded.method, run.method) and not loaded.method.training
    assert (loaded.curve, loaded.chosen, loaded.minutes) == (run.curve, run.chosen, run.minutes)
    assert loaded.calibration == run.calibration
    assert not train_or_load(tiny_workspace(), plan, 1, trunk=trunk).loaded, "they are of seed 0"
    assert not train_or_load(tiny_workspace(retrain=True, lesson="06_x"), plan, trunk=trunk).loaded
    card = places.WEIGHTS / f"{name}.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"weights_version": -1}))
    assert not train_or_load(tiny_workspace(), plan, trunk=trunk).loaded
    assert f"{name}.safetensors belongs to another plan, world or trunk" in capsys.readouterr().out
    before = card.read_bytes()
    runs.publish(maker, dataclasses.replace(run, loaded=True), [])
    runs.publish(maker, dataclasses.replace(run, seed=1), [])
    assert card.read_bytes() == before


@pytest.mark.parametrize(("name", "most"), [("l3net-sampled", 0.35), ("llinet", 2.0)])
def test_one_batch_is_learned_by_heart(tiny_workspace, trunk, name, most):
    losses, right = runs.overfit(tiny_workspace(), KNOWN[name], size=8, steps=30, trunk=trunk)
    assert len(losses) == 30 and losses[-1] < most < losses[0] and right >= 0.75


# ---- the weights that the package holds


@pytest.mark.parametrize("card", CARDS, ids=lambda path: path.stem)
def test_cards_of_packaged_weights_are_of_today(card):
    """Else a lesson would silently train for minutes what it has; test_frozen.py holds plans and answers."""
    about = json.loads(card.read_text())
    assert (about["world"], about["weights_version"], about["seed"]) == (2, places.WEIGHTS_VERSION, 0)
    assert len(about["curve"]) == about["plan"]["epochs"] > about["chosen"]


# ---- stand-ins


@pytest.mark.parametrize("name", ["trunk", "vggish", "vgg16"])
def test_a_stand_in_is_trained_once_and_says_what_it_is(tiny_workspace, name):
    def choose(workspace):
        chosen = getattr(standins, f"chosen_{name}")(workspace)
        network, title = chosen[:2] if name == "vgg16" else (chosen, chosen.title)
        assert "stand-in" in title and not network.training
        return network

    maker = tiny_workspace(retrain=True, publish=True, lesson="04_x")
    first = choose(maker)
    card = Workspace.card(places.WEIGHTS / f"{name}-seen.safetensors")
    assert card["plan"] == {"name": f"{name}-seen", "epochs": 1} and 0 <= card["curve"][0]["accuracy"] <= 1
    assert same(choose(tiny_workspace()), first)
    path = places.WEIGHTS / f"{name}-seen.safetensors"
    path.unlink()
    before = (next(maker.training_dir().glob(f"{name}*")) / "last.ckpt").read_bytes()
    assert same(choose(tiny_workspace(retrain=True)), first), "from its checkpoint"
    assert (next(maker.training_dir().glob(f"{name}*")) / "last.ckpt").read_bytes() == before


def test_packing_twice_changes_nothing():
    torch.manual_seed(0)
    state = {"w": torch.randn(5, 3, 2, 2), "b": torch.randn(5), "n": torch.tensor(7)}
    small = standins.packed(state)
    assert small["w"].dtype == torch.int8 and small["b"].dtype == torch.float16 and small["n"] == 7
    back = standins.unpacked(small)
    step = state["w"].flatten(1).abs().amax(1) / 127
    assert ((back["w"] - state["w"]).flatten(1).abs().amax(1) <= 0.51 * step + 0.01 * 127 * step).all()
    assert all(torch.equal(a, b) for a, b in zip(standins.packed(back).values(), small.values(), strict=True))


def test_sizes_of_photographs():
    photographs = {"image_size": 256, "image_crop": 224}
    assert standins.sizes_for("smoke", "resnet101", "photos") == photographs
    assert standins.sizes_for("laptop", "", "photos") == photographs and not standins.sizes_for("laptop", "")
    assert not standins.sizes_for("laptop", "standin", "photos") and not standins.sizes_for("smoke", "", "a")
