"""What lesson 09 changes of a training run: which rates fall, how fast, and what is heard through."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from zeroshot_fakes import SETTINGS

from llinet_lite.classifier import seen_labels
from llinet_lite.models import Ear, LLINet, VGGish
from llinet_lite.old_road import fit
from llinet_lite.zeroshot import CHANGED, OURS, Plan, plans
from llinet_lite.zeroshot.ours import Ours
from llinet_lite.zeroshot.runs import grown_on, trained_part
from llinet_lite.zeroshot.task import Senses, build


class Still:
    """Four batches of nothing."""

    def epoch(self, e):
        return [{"index": torch.zeros(1)}] * 4


def rates(trunk, **options) -> dict[str, list[float]]:
    """Learning rates of the three parts before every step of a run of four steps."""
    model, seen = Ours(LLINet(trunk, width=2, size=8), solver="adam", **options), []

    def step(network, batch):
        seen.append([group["lr"] for group in made[0].param_groups])
        return sum(weight.sum() for weight in network.parameters() if weight.requires_grad), {}

    made = []

    def optimizer(weights):
        made.append(model.optimizer()(weights))
        return made[0]

    fit(model, step, Still(), epochs=1, run_dir=None, quiet=True, device="cpu",
        optimizer=optimizer, schedule=model.schedule(1))  # fmt: skip
    return seen


def test_all_rates_are_halved_after_every_tenth(trunk):
    found = rates(trunk)
    want = [1e-3 * 0.5 ** int(10 * k / 4) for k in range(4)]  # at 0, 1/4, 1/2, 3/4 of the run
    assert [values[0] for values in found] == pytest.approx(want)
    assert rates(trunk, decay=0.1)[2][0] == pytest.approx(1e-3 * 0.1**5)


def test_only_the_rate_of_the_pictures_path_falls_as_released(trunk):
    found = rates(trunk, decayed="image")
    assert [values[0] for values in found] == pytest.approx([values[0] for values in rates(trunk)])
    assert all(values[1:] == [1e-3, 1e-3] for values in found)
    with pytest.raises(ValueError, match="decayed must be"):
        Ours(LLINet(trunk, width=2, size=8), decayed="audio")


def test_a_plan_that_hears_through_vggish_needs_and_uses_its_ear(store, trunk):
    plan = Plan("vggish", OURS, 1, options={"audio": "vggish", "solver": "adam"})
    assert plan.hears == "vggish" and plans(SETTINGS)["llinet"].hears == "logmel"
    with pytest.raises(ValueError, match="give its ear"):
        build(plan, trunk, SETTINGS, 20, 0)
    ear = Ear(VGGish(2), store.sample_rate)
    model = build(plan, trunk, SETTINGS, 20, 0, ear)
    audio = torch.randint(-9000, 9000, (3, store.sample_rate), dtype=torch.int16)
    heard = Senses(store.sample_rate, None, model.needs, ear=model.ear).hear(audio)
    assert heard.shape == (3, ear.size) and torch.equal(heard, ear(audio.float() / 32768))
    assert model.embed_audio(heard).norm(dim=1).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    assert not any(name.startswith("ear.") or ".trunk." in name for name in trained_part(model))
    assert not any(weight.requires_grad for weight in ear.parameters())


def test_weights_name_the_ear_they_grew_with(store, trunk):
    ears = [Ear(VGGish(2), store.sample_rate) for _ in range(2)]
    marks = {grown_on(trunk), *(grown_on(trunk, ear) for ear in ears)}
    assert len(marks) == 3 and len(seen_labels(store)) == 24


def test_changed_plans_are_short_and_change_one_option():
    settings = dataclasses.replace(SETTINGS, epochs_audit=3, epochs_llinet=7)
    known = plans(settings)
    brief = known["brief"]
    assert brief.epochs == 3 and brief.options == known["llinet"].options
    for name in set(CHANGED) - {"brief", "baseline"}:
        plan = known[name]
        assert plan.epochs == 3 and len(plan.options.items() - brief.options.items()) == 1, name
