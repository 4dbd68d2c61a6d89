"""Networks that are trained once and then loaded: checkpoints, warm starts, reference weights, results."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from avc_fakes import SETTINGS, fresh

from llinet_lite import avc, workspace
from llinet_lite.avc.plans import plans
from llinet_lite.avc.task import WARM_RATE
from llinet_lite.checkpoint import rounded
from llinet_lite.data.bandstand import WORLD_VERSION
from llinet_lite.data.batches import PairBatches
from llinet_lite.metrics.intervals import Interval, clip_bootstrap
from llinet_lite.models import AVENet, AVENetMF, AVENetOF


def same(first, second) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def plan_of(lesson, name: str, family: str = "avenet"):
    return plans(lesson.settings, family=family)[name]


# -------------------------------------------------------------------------------- trained once


def test_a_second_call_loads_the_finished_network(lesson, monkeypatch):
    here = lesson(retrain=True)
    plan = plan_of(here, "all")
    first = avc.train_or_load(here, plan)
    folder = here.training_dir / "avenet-all-1-0"
    assert (folder / "best.safetensors").is_file() and not first.loaded
    log = (folder / "last.ckpt").read_bytes()

    def refuse(self, e):
        if e >= plan.epochs or not (folder / "last.ckpt").exists():
            raise AssertionError(f"epoch {e} is read again")
        return read(self, e)

    read = PairBatches.epoch
    monkeypatch.setattr(PairBatches, "epoch", refuse)
    again = avc.train_or_load(here, plan)
    assert same(first.model, again.model) and again.validation == first.validation
    assert again.calibration == first.calibration and again.minutes == first.minutes
    assert (folder / "last.ckpt").read_bytes() == log, "no epoch was trained again"
    assert not again.model.training


def test_another_lesson_goes_on_from_the_same_folder(lesson):
    first = avc.train_or_load(lesson("02_a", retrain=True), plan_of(lesson(), "shuffled"))
    second = avc.train_or_load(lesson("03_b", retrain=True), plan_of(lesson(), "shuffled"))
    assert same(first.model, second.model)
    assert not (lesson("02_a").folder / "training").exists()


def test_the_folder_carries_epochs_and_seed(lesson):
    one, two = lesson(retrain=True), lesson(retrain=True, overrides={"epochs_control": 2})
    assert one.training_dir == two.training_dir
    runs = [
        avc.train_or_load(here, plan_of(here, "shuffled"), seed=s)
        for here, s in ((one, 0), (two, 0), (one, 5))
    ]
    assert [len(run.validation) for run in runs] == [1, 2, 1]
    names = sorted(folder.name for folder in one.training_dir.iterdir())
    assert names == ["avenet-shuffled-1-0", "avenet-shuffled-1-5", "avenet-shuffled-2-0"]
    assert not same(runs[0].model, runs[2].model)


def test_the_weights_of_a_run_are_those_that_are_published(lesson):
    run = avc.train_or_load(lesson(retrain=True), plan_of(lesson(), "shuffled"), seed=1)
    assert same(run.model, fresh("avenet").model) is False
    for value in run.model.state_dict().values():
        if value.is_floating_point():
            assert torch.equal(value, value.half().float()), "rounded to 16 bits"


def test_the_calibration_history_begins_before_training(lesson):
    here = lesson(retrain=True, overrides={"epochs_ave": 2})
    run = avc.train_or_load(here, plan_of(here, "all"), seed=3)
    start = avc.build(here.settings, 3, "avenet")
    assert len(run.calibration) == len(run.validation) + 1 == 3
    assert run.calibration[0] == (start.slope, start.threshold) == pytest.approx((-6.0, 1.3))
    last = run.model
    assert any(pair == pytest.approx((last.slope, last.threshold), abs=0.01) for pair in run.calibration[1:])


def test_networks_without_a_calibration_layer_have_no_history_of_it(lesson):
    here = lesson(retrain=True)
    for family in ("l3net", "avolnet"):
        run = avc.train_or_load(here, plan_of(here, "shuffled", family))
        assert run.calibration == [] and len(run.validation) == 1


@pytest.mark.parametrize(("name", "kind"), [("single", AVENet), ("mf", AVENetMF), ("of", AVENetOF)])
def test_motion_goes_on_from_the_trained_network(lesson, name, kind):
    here = lesson(retrain=True)
    run = avc.train_or_load(here, plan_of(here, name))
    start = avc.train_or_load(here, plan_of(here, "all"))  # trained on the way, now loaded
    assert type(run.model) is kind and type(start.model) is AVENet
    assert run.calibration[0] == (start.model.slope, start.model.threshold), "not that of a fresh network"
    assert len(run.calibration) == 2
    steps = len(
        PairBatches(here.store(), "train", batch_size=8, image_crop=32, pairs="all", view="middle").epoch(0)
    )
    before, after = start.model.state_dict(), run.model.state_dict()
    moved = max(
        (after[k] - before[k]).abs().max() for k in before if k.startswith("audio_head") and "weight" in k
    )
    assert 0 < moved < 1.2 * WARM_RATE * SETTINGS.learning_rate * steps + 1e-3, (
        "at most a rate per step, rounded"
    )
    assert (here.training_dir / f"avenet-{name}-1+1-0").is_dir(), "the start has its epochs in the name"


def test_a_warm_start_from_a_longer_training_is_another_run(lesson):
    """The folder must tell what a run began from: else the checkpoint of another start passes for it."""
    short, long = lesson(retrain=True), lesson(retrain=True, overrides={"epochs_ave": 3})
    for here in (short, long):
        avc.train_or_load(here, plan_of(here, "single"))
    names = sorted(folder.name for folder in short.training_dir.iterdir())
    assert {"avenet-all-1-0", "avenet-all-3-0"} <= set(names)
    assert sum(name.startswith("avenet-single") for name in names) == 2


# --------------------------------------------------------------------------- reference weights


def test_published_networks_come_back_with_all_that_is_known_of_them(lesson):
    maker = lesson(retrain=True, publish=True)
    run = avc.train_or_load(maker, plan_of(maker, "all"))
    avc.publish(maker, run, [])
    loaded = avc.train_or_load(lesson(), plan_of(maker, "all"))
    assert loaded.loaded and same(loaded.model, run.model) and not loaded.model.training
    assert (loaded.validation, loaded.minutes) == (run.validation, run.minutes)
    assert [tuple(pair) for pair in loaded.calibration] == run.calibration
    for other in (lesson(retrain=True), lesson(overrides={"epochs_ave": 2})):
        assert not avc.train_or_load(other, plan_of(maker, "all")).loaded
    assert not avc.train_or_load(lesson(), plan_of(maker, "all"), seed=1).loaded, "they are of seed 0"


def test_what_is_loaded_or_of_another_seed_is_not_published_again(lesson):
    maker = lesson(retrain=True, publish=True)
    for run in (fresh("avenet", seed=1), dataclasses.replace(fresh("avenet"), loaded=True)):
        avc.publish(maker, run, [])
    avc.publish(lesson(retrain=True), fresh("avenet"), [])
    assert not list(workspace.WEIGHTS.glob("avenet-*"))


@pytest.mark.parametrize(
    ("change", "loads", "says"),
    [
        ({}, True, ""),
        ({"world": WORLD_VERSION + 1}, False, "another plan or world"),
        ({"plan": {"name": "shuffled", "pairs": "sampled"}}, False, "another plan or world"),
        ({"data_hash": "0" * 64}, True, "bytes differ slightly"),
    ],
)
def test_reference_weights_are_checked_against_plan_world_and_data(lesson, capsys, change, loads, says):
    maker = lesson(retrain=True, publish=True)
    maker.store()
    plan = plan_of(maker, "shuffled")
    avc.publish(maker, avc.Run(plan, 0, fresh("avenet").model, [0.5], 0.1, False, [(-6.0, 1.3)]), [])
    card = workspace.WEIGHTS / "avenet-shuffled.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    capsys.readouterr()
    run = avc.train_or_load(lesson(), plan)
    assert run.loaded is loads
    out = capsys.readouterr().out
    assert says in out and bool(out) == bool(says)


def test_another_lessons_weights_are_loaded_even_when_retraining(lesson):
    maker = lesson("01_audio_visual_correspondence", retrain=True, publish=True)
    run = avc.train_or_load(maker, plan_of(maker, "shuffled", "l3net"))
    avc.publish(maker, run, [])
    plan = plan_of(maker, "shuffled", "l3net")
    assert avc.train_or_load(lesson("02_ave_net", retrain=True), plan).loaded
    assert not avc.train_or_load(lesson("01_audio_visual_correspondence", retrain=True), plan).loaded


# ----------------------------------------------------------------------------------- numbers


def scored(correct: np.ndarray, pairs=None) -> avc.Score:
    """A score with the given right (1) and wrong (0) answers to matched pairs."""
    share = float(correct.mean())
    interval = Interval(share, max(0, share - 0.05), min(1, share + 0.05), len(correct))
    return avc.Score(np.where(correct, 0.9, 0.1), np.ones(len(correct), int), interval, pairs)


def test_one_seed_keeps_the_bootstrap_and_several_get_students_error_too(lesson, store):
    here = lesson()
    here.store()
    runs = [dataclasses.replace(fresh("avenet", seed=s), minutes=1.5) for s in range(3)]
    pairs = avc.pair_list(store, "test", SETTINGS, match="clip", view="middle")
    count = len(pairs.rows.match)
    order = np.random.default_rng(0).permutation(count)
    scores = [scored(order < share * count, pairs) for share in (0.4, 0.5, 0.6)]
    one = avc.result("x", scores[:1], runs[:1], here, paper=0.8)
    alone = clip_bootstrap(order < 0.4 * count, scores[0].items)
    assert (one.value, one.low, one.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert (one.chance, one.paper, one.n, one.seeds, one.minutes) == (0.5, 0.8, count, (0,), 1.5)
    three = avc.result("x", scores, runs, here)
    values = [score.interval.value for score in scores]
    half = 4.302653 * np.std(values, ddof=1) / np.sqrt(3)  # Student's t for two degrees of freedom
    assert three.value == pytest.approx(np.mean(values)) and (three.high - three.low) / 2 > half
    assert three.seeds == (0, 1, 2) and three.minutes == 4.5 and three.data_hash == here.data_hash


def test_the_difference_of_two_networks_is_the_mean_over_pairs_and_seeds(store):
    pairs = avc.pair_list(store, "test", SETTINGS, match="clip", view="middle")
    rng, count = np.random.default_rng(0), len(pairs.rows.match)
    answers = rng.random((2, 3, count)) < np.array([0.9, 0.4])[:, None, None]
    first, second = ([scored(one, pairs) for one in of] for of in answers)
    found = avc.difference(first, second)
    assert found.value == pytest.approx(answers[0].mean() - answers[1].mean())
    assert found.low < found.value < found.high and found.low > 0
    same_network = avc.difference(first, first)
    assert (same_network.value, same_network.low, same_network.high) == (0, 0, 0)


def test_a_network_is_judged_on_the_view_that_it_was_trained_with(store):
    run = fresh("avenet-of", view="flow")
    score = avc.evaluate(run, store, SETTINGS)
    usual = avc.evaluate(fresh("avenet", view="middle"), store, SETTINGS)
    assert score.pairs.source.view == "flow" and len(score.match) == 2 * len(store.sounds("test"))
    assert np.array_equal(score.items, usual.items), "the same pairs, so they can be compared one by one"
    both = avc.evaluate(fresh("avenet"), store, SETTINGS)
    assert len(both.match) == 2 * len(store.images("test"))


def test_rounding_for_publication_changes_the_network_in_place():
    model = fresh("avolnet").model
    with torch.no_grad():
        model.conv7.bias.fill_(1 / 3)
    state = rounded(model)
    assert state["conv7.bias"].dtype == torch.float16
    assert model.conv7.bias.item() == torch.tensor(1 / 3).half().item()
