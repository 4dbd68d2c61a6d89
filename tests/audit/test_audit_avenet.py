"""AVE-Net's differences: all plans are covered, pairing over pairs and clips, and identities that are one."""

from __future__ import annotations

import importlib
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from audit_fakes import SETTINGS, score

from llinet_lite import avc
from llinet_lite.audit import Effect, avenet
from llinet_lite.metrics.intervals import Interval

MODULE = importlib.import_module("llinet_lite.audit.avenet")
CLIPS = np.stack([np.repeat(np.arange(40), 3), np.tile(np.arange(40), 3)], axis=1)  # 120 pairs
CHANGES = ("variant", "sign_init", "softmax")


def answers(share: float, seed: int = 0, items=CLIPS):
    return score(np.random.default_rng(seed).random(len(items)) < share, items)


# ------------------------------------------------------------------------------------ nothing is forgotten


def test_every_changed_plan_is_described():
    known = avc.plans(SETTINGS, family="avenet")
    changed = {name: plan.facts for name, plan in known.items() if plan.facts.keys() & set(CHANGES)}
    assert avenet.DIFFERENCES.keys() == changed.keys() and "brief" in known
    for name, facts in changed.items():
        said = [f"{k}={json.dumps(facts[k])}" for k in CHANGES if k in facts]
        said = [text.replace("false", "False") for text in said]
        assert len(said) == 1 and said[0] in avenet.DIFFERENCES[name].argument
    assert {e.key for e in avenet.TRAINED} == changed.keys()


def test_every_difference_is_described_whole():
    every = [value for value in vars(avenet).values() if isinstance(value, Effect)]
    assert len({e.key for e in every}) == len(every) == 6
    for e in every:
        assert all((e.group, e.question, e.paper, e.code, e.ours, e.argument, e.sentence)), e.key
        assert e.sentence.endswith(".") and len(e.sentence) < 190 and e.effect is None
        assert e.compared != "code" or e.code != e.ours, f"{e.key}: the code does as we do"


# ----------------------------------------------------------------------------------------------- intervals


def test_two_lists_of_pairs_share_their_clips():
    one = answers(0.7)
    assert avenet.other_pairs(one, one) == Interval(0.0, 0.0, 0.0, 240)
    lucky, poor = answers(0.9, 1), answers(0.5, 2, CLIPS[:60])
    found = avenet.other_pairs(lucky, poor)
    assert found.value == pytest.approx(lucky.interval.value - poor.interval.value) and found.low > 0
    assert found.n == 180


def test_two_logits_of_which_one_is_zero():
    logits = torch.linspace(-40, 40, 999)
    assert avenet.same_probability(logits) == Interval(0.0, 0.0, 0.0, 999)
    by_hand = [math.exp(s) / (1 + math.exp(s)) for s in (-2.0, 0.0, 1.5)]
    assert torch.tensor([-2.0, 0.0, 1.5]).double().sigmoid().tolist() == pytest.approx(by_hand)
    with pytest.raises(ArithmeticError, match="look for NaN"):
        avenet.same_probability(torch.tensor([0.0, math.nan]))


# ------------------------------------------------------------------------------------- training, evaluation


class Trainer:
    """Hands out runs by plan and seed, and notes which were asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, lesson, plan, *, seed=0):
        self.asked.append((plan.name, seed))
        model = SimpleNamespace(slope=-6.0 if seed else 2.5)
        return SimpleNamespace(plan=plan, seed=seed, minutes=2.0, calibration=[(0.4, 1.0)], model=model)


def test_signs_seeds_and_slopes(monkeypatch):
    trainer, skill = Trainer(), {"brief": 0.7, "unsigned": 0.7, "softmax-twice": 0.4, "stride-1": 0.95}
    ranked = {"brief": 0.6, "unsigned": 0.2}
    monkeypatch.setattr(avc, "train_or_load", trainer)
    monkeypatch.setattr(avc, "evaluate", lambda run, *_: answers(skill[run.plan.name], run.seed))

    def of_queries(lesson, runs):
        return np.stack([np.full(30, ranked[run.plan.name]) for run in runs]), None

    monkeypatch.setattr(MODULE, "_ndcg", of_queries)
    here = SimpleNamespace(settings=SETTINGS, is_world=True, store=lambda splits=(): None)
    effects = {e.name: e for e in avenet.trained(here, seeds=(0, 1))}
    assert list(effects) == [e.name for e in avenet.TRAINED]
    assert effects["unsigned, AVC accuracy"].effect == Interval(0.0, 0.0, 0.0, 120)
    assert effects["unsigned, nDCG@30, im-aud"].effect == Interval(-0.4, -0.4, -0.4, 30)
    assert effects["unsigned, AVC accuracy"].note == "slope +0.4 to +2.5, +0.4 to -6.0"
    assert effects["softmax-twice, AVC accuracy"].verdict == "lower"
    assert effects["stride-1, AVC accuracy"].verdict == "higher"
    assert effects["stride-1, AVC accuracy"].seeds == (0,) and ("stride-1", 1) not in trainer.asked
    assert effects["softmax-twice, AVC accuracy"].minutes == 4.0 and trainer.asked.count(("brief", 0)) == 1


def test_networks_are_trained_and_compared(lesson):
    effects = avenet.trained(lesson(), seeds=(0,))
    assert [e.name for e in effects] == [e.name for e in avenet.TRAINED]
    for e in effects:
        assert e.effect.low <= e.effect.value <= e.effect.high and e.seeds == (0,) and e.effect.n > 0
    assert effects[0].note.startswith("slope ")


def test_gain_and_probability_of_a_network(lesson):
    """With linear gain a cousin is nearly as good as the class itself."""
    here = lesson()
    of_network, of_random = avenet.gain(here)
    assert (of_network.name, of_random.name) == (
        "gain-linear, nDCG@30, im-aud",
        "gain-linear, nDCG@30, im-aud, random",
    )
    assert of_random.effect.value > 0, "linear gain flatters a random ranking"
    assert of_network.note.endswith("(linear, exponential)") and of_network.seeds == (0,)
    linear, exponential = (float(x) for x in of_random.note.split(" (")[0].split(" and "))
    assert of_random.effect.value == pytest.approx(linear - exponential, abs=2e-3)
    same = avenet.softmax_or_sigmoid(here)
    assert same.effect == Interval(0.0, 0.0, 0.0, same.effect.n) and same.note == f"{same.effect.n} cells"
    assert same.verdict == "not shown"


def test_the_blind_network_is_asked_twice(lesson, monkeypatch):
    asked = []

    def evaluate(run, store, settings, **how):
        asked.append((run.plan.name, run.plan.blind, how))
        return answers(0.9 if how else 0.5, 3)

    monkeypatch.setattr(avc, "evaluate", evaluate)
    monkeypatch.setattr(avc, "train_or_load", Trainer())
    effect = avenet.shortcut(lesson())
    assert effect.verdict == "higher" and effect.name == "naive-pairs, AVC accuracy, blind"
    assert asked == [("ears", "image", {"grid": None, "imprint": 2.0}), ("ears", "image", {})]
    assert "grid=None, imprint=2.0" in effect.argument and "%" in effect.note
