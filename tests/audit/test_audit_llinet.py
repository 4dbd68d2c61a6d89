"""LLINet's differences: all plans are covered, signs, pairing, and what the released protocol is worth."""

from __future__ import annotations

import dataclasses
import importlib
import json

import numpy as np
import pytest
import torch
from audit_fakes import SETTINGS, Knowing, Split, skilled, trunk_of
from scipy.stats import t as student
from sklearn.metrics import average_precision_score

from llinet_lite.audit import llinet
from llinet_lite.metrics.intervals import Interval
from llinet_lite.metrics.localization import evaluate
from llinet_lite.metrics.retrieval import released_map_of_scores
from llinet_lite.sounding import Located
from llinet_lite.zeroshot.localization import localize
from llinet_lite.zeroshot.plans import CHANGED, plans
from llinet_lite.zeroshot.recognition_pages import CHOICES
from llinet_lite.zeroshot.runs import held_out

MODULE = importlib.import_module("llinet_lite.audit.llinet")
LABELS = np.repeat(np.arange(24, 32), [9, 4, 7, 5, 6, 3, 4, 6])  # 44 pairs of eight unseen classes
SEEN = np.repeat(np.arange(24), 3)
WORLD = Split(unseen=LABELS, train=SEEN, val=SEEN, test=SEEN)
BY_CLASS = Split(paired=False, unseen=LABELS, train=SEEN)


def run_of(skill: float, seed: int = 0, **facts) -> Knowing:
    """A network whose scores are better by `skill`, apart from noise that all networks of a seed share."""
    scores = {"unseen": skilled(LABELS, skill, seed), "test": skilled(SEEN, skill, seed + 50)}
    return Knowing(scores, seed=seed, **facts)


def curve(*unseen: float) -> list[dict]:
    return [{"mAP": 0.0, "unseen": value} for value in unseen]


def precision(scores, labels) -> np.ndarray:
    """Average precision of every picture and every sound, (2, N), place by place."""
    found = []
    for ranked in (scores.numpy(), scores.numpy().T):
        for label, row in zip(labels, ranked, strict=True):
            right = (labels == label)[np.argsort(-row)]
            found.append(sum(right[: k + 1].mean() for k in np.flatnonzero(right)) / right.sum())
    return np.reshape(found, (2, -1))


def test_the_oracle_is_that_of_scikit_learn():
    scores = skilled(LABELS, 1.0)
    rows = (scores.numpy()[3], scores.numpy().T[5])
    expected = [average_precision_score(LABELS[k] == LABELS, r) for k, r in zip((3, 5), rows, strict=True)]
    assert precision(scores, LABELS)[[0, 1], [3, 5]] == pytest.approx(expected)


# ------------------------------------------------------------------------------------ nothing is forgotten


def test_every_changed_plan_is_described():
    keys = [e.key for e in llinet.DIFFERENCES]
    assert len(set(keys)) == len(keys) and set(keys) == CHANGED.keys() - {"brief", "baseline"}
    names = [e.name for e in llinet.TRAINED]
    assert len(set(names)) == 2 * len(keys) and "gate-batch, mAP, seen" in names


@pytest.mark.parametrize("difference", [*llinet.DIFFERENCES, llinet.ATTENTION], ids=lambda e: e.key)
def test_the_argument_is_what_the_plan_changes(difference):
    plan = plans(SETTINGS)["matching" if difference.key == "attention" else difference.key]
    changes = {k: v for k, v in plan.options.items() if k != "solver"}
    said = [f"{k}={json.dumps(v)}" for k, v in changes.items()]
    assert all(text in difference.argument for text in said) or plan.distinct
    assert "distinct=True" in difference.argument or not plan.distinct


def test_every_difference_is_described_whole():
    every = [value for value in vars(llinet).values() if isinstance(value, llinet.Effect)]
    every += llinet.DIFFERENCES
    assert len({e.key for e in every}) == len(every) == len(CHANGED) - 2 + 11
    for e in every:
        assert all((e.group, e.question, e.paper, e.code, e.ours, e.argument, e.sentence)), e.key
        assert e.sentence.endswith(".") and len(e.sentence) < 190 and e.effect is None
        assert e.compared != "paper" or e.paper != e.ours, f"{e.key}: the paper does as we do"
        assert e.compared != "code" or e.code != e.ours, f"{e.key}: the code does as we do"


# ----------------------------------------------------------------------------------------------- training


class Trainer:
    """Hands out networks by plan and seed, and notes which were asked for."""

    def __init__(self, skills):
        self.skills, self.asked = skills, []

    def __call__(self, lesson, plan, trunk, *, seed):
        self.asked.append((plan.name, seed))
        return run_of(self.skills.get(plan.name, 1.0), seed)


class Class09:
    """A lesson on known labels."""

    settings = SETTINGS

    @staticmethod
    def store(splits=()):
        return WORLD


def test_signs_are_those_of_the_compared_way(monkeypatch):
    trainer = Trainer({"brief": 1.0, "gate-batch": 0.0, "scale-1": 2.5})
    monkeypatch.setattr(MODULE, "train_or_load", trainer)
    effects = {e.name: e for e in llinet.trained(Class09, None, seeds=range(4))}
    assert list(effects) == [e.name for e in llinet.TRAINED]
    for metric in ("mAP, unseen", "mAP, seen"):
        assert effects[f"gate-batch, {metric}"].verdict == "lower"
        assert effects[f"scale-1, {metric}"].verdict == "higher"
        same = effects[f"bn-train, {metric}"]
        assert same.effect.value == same.effect.low == same.effect.high == 0, "paired: equal networks"
    assert trainer.asked[:2] == [("brief", 0), ("brief", 1)] and trainer.asked.count(("brief", 0)) == 1
    assert all(e.seeds == (0, 1, 2, 3) and e.minutes == 6.0 for e in effects.values())


def test_the_mean_of_both_directions_over_seeds(monkeypatch):
    """Held-out clips are searched among the classes that each seed was trained on."""
    monkeypatch.setattr(MODULE, "train_or_load", Trainer({"gate-batch": 0.2}))
    monkeypatch.setattr(MODULE, "DIFFERENCES", llinet.DIFFERENCES[:1])
    effects = {e.name: e.effect for e in llinet.trained(Class09, None, seeds=range(3))}
    gaps = {"unseen": [], "seen": []}
    for seed in range(3):
        ours, theirs = run_of(1.0, seed).scores, run_of(0.2, seed).scores
        kept = np.flatnonzero(~np.isin(SEEN, held_out(WORLD, seed)))
        assert len(kept) == 60
        for name, split, rows in (("unseen", "unseen", np.arange(44)), ("seen", "test", kept)):
            labels = {"unseen": LABELS, "test": SEEN}[split][rows]
            both = [precision(s[split][rows][:, rows], labels).mean() for s in (theirs, ours)]
            gaps[name].append(both[0] - both[1])
    for name, of in gaps.items():
        found = effects[f"gate-batch, mAP, {name}"]
        assert found.value == pytest.approx(np.mean(of), abs=1e-6) and found.low <= found.value <= found.high
    assert effects["gate-batch, mAP, seen"].n == 2 * len(SEEN), "every seed leaves out other classes"


def test_without_a_test_split_only_unseen_classes_are_searched(monkeypatch):
    store = Split(unseen=LABELS, train=SEEN)
    effects = llinet.attention([run_of(2.0, 1)], [run_of(0.5, 1)], store, SETTINGS)
    assert [e.name for e in effects] == ["attention, mAP, unseen"] and effects[0].verdict == "higher"


def test_the_attention_loss_is_compared_seed_by_seed():
    matching, ours = ([run_of(skill, seed) for seed in (0, 1)] for skill in (0.0, 1.5))
    effects = llinet.attention(matching, ours, WORLD, SETTINGS)
    assert [e.verdict for e in effects] == ["lower", "lower"] and effects[0].seeds == (0, 1)
    with pytest.raises(ValueError, match=r"same seeds: \[1, 0\] and \[0, 1\]"):
        llinet.attention(matching[::-1], ours, WORLD, SETTINGS)


def test_items_without_clips_stand_alone():
    assert np.array_equal(llinet._clips(BY_CLASS, "unseen"), np.arange(88))
    assert np.array_equal(llinet._clips(WORLD, "unseen"), np.tile(np.arange(44), 2))


def test_networks_are_trained_and_compared(lesson, monkeypatch):
    """Truly, if not for long: a gate over the batch, and a trunk that drifts."""
    chosen = [e for e in llinet.DIFFERENCES if e.key in ("gate-batch", "bn-train")]
    monkeypatch.setattr(MODULE, "DIFFERENCES", chosen)
    effects = llinet.trained(lesson(), trunk_of(), seeds=(0,))
    assert [e.name for e in effects] == [f"{e.key}, {m}" for e in chosen for m in llinet.METRICS.values()]
    for e in effects:
        assert e.effect.low <= e.effect.value <= e.effect.high and e.seeds == (0,) and e.effect.n > 0
    assert any(e.effect.value for e in effects), "a gate over the batch is another network"


# --------------------------------------------------------------------------------------------- evaluation


def released(run) -> np.ndarray:
    found = released_map_of_scores(run.scores["unseen"], LABELS, drop_last=None)
    return np.array([found.image_to_audio, found.audio_to_image])


@pytest.fixture(scope="module")
def runs():
    chosen = [(curve(0.2, 0.5, 0.3), 2), (curve(0.4, 0.1, 0.1), 0), (curve(0.1, 0.2, 0.4), 1)]
    return [run_of(1.0, seed, curve=c, chosen=k) for seed, (c, k) in enumerate(chosen)]


@pytest.fixture(scope="module")
def asked(runs):
    return {e.key: e for e in llinet.retrieval(runs, WORLD, SETTINGS)}


def test_one_query_per_class_is_what_the_released_code_takes(runs, asked):
    full = [precision(run.scores["unseen"], LABELS).mean() for run in runs]
    expected = np.mean([released(run).mean() for run in runs]) - np.mean(full)
    found = asked["one-query"].effect
    assert found.value == pytest.approx(expected, abs=1e-6) and found.n == 8
    assert found.low <= found.value <= found.high and asked["one-query"].seeds == (0, 1, 2)


def test_its_interval_is_the_spread_over_other_queries(runs, asked):
    every = np.mean([precision(run.scores["unseen"], LABELS) for run in runs], axis=(0, 1))
    spread = np.sqrt(sum(every[k == LABELS].var() for k in np.unique(LABELS))) / 8
    found = asked["one-query"].effect
    assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.15)
    few = llinet.retrieval(runs[:1], WORLD, SETTINGS)[0].effect
    assert few.high - few.low > found.high - found.low, "the mean over seeds is calmer than one seed"


def test_a_swapped_column_holds_the_other_direction(runs, asked):
    both = np.mean([precision(run.scores["unseen"], LABELS) for run in runs], axis=(0, 2))
    assert asked["swapped-names"].effect.value == pytest.approx(both[1] - both[0], abs=1e-6)


def test_the_last_items_are_dropped(runs, asked):
    gaps = [
        precision(run.scores["unseen"][:32, :32], LABELS[:32]).mean()
        - precision(run.scores["unseen"], LABELS).mean()
        for run in runs
    ]
    found = asked["drop-last"]
    assert found.effect.value == pytest.approx(np.mean(gaps), abs=1e-6)
    assert found.note == "32 of 44 pictures are left" and found.effect.low <= found.effect.value


def test_of_less_than_a_batch_nothing_is_dropped():
    few = Split(unseen=LABELS[:20], train=SEEN)
    run = Knowing(skilled(LABELS[:20], 1.0), curve=curve(0.5))
    found = llinet.retrieval([run], few, SETTINGS)
    assert found[2].effect == Interval(0.0, 0.0, 0.0, 40)
    assert found[3].effect.value == 0 and found[3].worth == "+0.0 (one seed)"


def test_items_by_class_are_asked_too(runs):
    found = {e.key: e.effect for e in llinet.retrieval(runs, BY_CLASS, SETTINGS)}
    whole = {e.key: e.effect for e in llinet.retrieval(runs, WORLD, SETTINGS)}
    assert {k: e.value for k, e in found.items()} == pytest.approx({k: e.value for k, e in whole.items()})


def test_the_epoch_chosen_on_the_test_set_is_the_best(asked):
    gains = [0.2, 0.0, 0.2]
    low, high = student.interval(0.95, 2, np.mean(gains), np.std(gains, ddof=1) / np.sqrt(3))
    found = asked["epoch-on-test"].effect
    assert (found.value, found.high) == pytest.approx((np.mean(gains), high)) and found.low == max(low, 0)


# -------------------------------------------------------------------------------- localization, recognition


def located(seed: int, count: int = 30) -> Located:
    """Squares on pictures of 32 pixels, and maps of 16 cells that find them more or less."""
    rng = np.random.default_rng(seed // 10)  # seeds 0 to 9 see the same pictures
    objects = np.zeros((count, 32, 32), np.uint8)
    for picture in objects:
        top, left = rng.integers(1, 20, 2)
        picture[top : top + 9, left : left + 9] = 1
    hint = torch.from_numpy(objects).float()[:, None]
    cells = torch.nn.functional.adaptive_avg_pool2d(hint, 16)
    cells = cells + 0.5 * torch.rand(cells.shape, generator=torch.Generator().manual_seed(seed))
    rows, label = np.arange(count), np.repeat([24, 25, 26], count // 3)
    sound = torch.ones(count, 1)
    return Located(
        "Dot", lambda c, s: (c * s[:, :, None, None]).sum(1), cells, sound, torch.zeros(1), objects, label,
        rows, rows, np.full(count, "solo"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def maps():
    of = {"LLINet": [located(seed) for seed in range(2)]}
    held = {"LLINet": [located(10 + seed) for seed in range(2)]}
    return localize(of, held, listening=()), of


def test_threshold_and_masks_are_judged_apart_and_together(maps):
    table, of = maps
    found = {e.key: e for e in llinet.localization(table, of, seeds=(0, 1))}
    honest = table.values("LLINet", "mIoU")
    whole = found["localization-released"].effect
    assert whole.value == pytest.approx((table.values("LLINet", "mIoU as released") - honest).mean())
    tests, masks = [], []
    for one, k in zip(of["LLINet"], table.row("LLINet").k["honest"], strict=True):
        ious = {c: evaluate(one.maps(), one.masks, "llinet2020", k=c).iou for c in range(2, 7)}
        assert np.allclose(ious[k], honest[len(tests)])
        tests.append(max(ious.values(), key=lambda iou: np.mean(iou[:, None] >= np.linspace(0, 1, 51))))
        masks.append(evaluate(one.maps(), one.masks, "llinet2020", k=k, mask_resize="bicubic").iou)
    assert found["k-on-test"].effect.value == pytest.approx((np.stack(tests) - honest).mean())
    assert found["mask-resize"].effect.value == pytest.approx((np.stack(masks) - honest).mean())
    assert found["mask-resize"].effect.value != 0 and found["k-on-test"].note.startswith("k = ")
    for e in found.values():
        assert e.seeds == (0, 1) and e.effect.low <= e.effect.value <= e.effect.high and e.effect.n == 30


def test_the_best_threshold_of_several_is_not_worse_than_one_of_them(maps, monkeypatch):
    asked = []
    monkeypatch.setattr(MODULE, "mean_interval", lambda *_, **limit: asked.append(limit))
    llinet.localization(*maps, seeds=(0, 1))
    assert asked == [{"lowest": 0.0}, {}, {}]


def test_other_pictures_than_the_tables_are_refused(maps):
    table, of = maps
    for wrong in ({"LLINet": of["LLINet"][:1]}, {"LLINet": [one.pick(slice(9)) for one in of["LLINet"]]}):
        with pytest.raises(ValueError, match="other pictures or seeds of LLINet"):
            llinet.localization(table, wrong)


def test_recognition_takes_the_choices_of_lesson_08():
    worth = dict(zip(CHOICES, (None, 0.1, 0.2, 0.3), strict=True))
    found = {}
    for choice, value in worth.items():
        gain = None if value is None else Interval(value, value - 0.05, value + 0.05, 99)
        found["LLINet", choice] = (Interval(0.5, 0.4, 0.6, 99), gain)
    effects = {e.key: e for e in llinet.recognition(found, seeds=(0, 1, 2))}
    assert effects["euclidean"].effect.value == 0.1 and effects["prototypes-test"].effect.value == 0.2
    assert effects["recognition-released"].effect.value == 0.3
    assert all(e.verdict == "higher" and e.seeds == (0, 1, 2) for e in effects.values())
    with pytest.raises(KeyError):
        llinet.recognition(found, name="LLINet (VGGish)")


def test_descriptions_are_not_changed_by_measuring():
    assert all(dataclasses.astuple(e)[9:] == ("", None, (), 0.0, "") for e in llinet.DIFFERENCES)
