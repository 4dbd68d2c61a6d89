"""Paper versus code: nothing is forgotten, signs and pairing, and what the released protocol is worth."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from llinet_lite.experiments import differences as module
from llinet_lite.experiments import runs
from llinet_lite.experiments.embedding import Embedded, items_of
from llinet_lite.experiments.maps import LocalizationMaps, localize
from llinet_lite.experiments.runs import ABLATIONS, held_out
from llinet_lite.experiments.zero_shot import CHOICES
from llinet_lite.metrics.intervals import Cell, Interval
from llinet_lite.metrics.localization import evaluate
from llinet_lite.metrics.retrieval import released_map_of_scores
from llinet_lite.profiles import PROFILES
from llinet_lite.results import Result, Table

LABELS = np.repeat(np.arange(24, 32), [9, 4, 7, 5, 6, 3, 4, 6])  # 44 pairs of eight unseen classes
SEEN = np.repeat(np.arange(24), 3)
CLIPS = np.stack([np.repeat(np.arange(40), 3), np.tile(np.arange(40), 3)], axis=1)  # of 120 pairs


class Rows:
    def __init__(self, split):
        self.label = LABELS if split == "unseen" else SEEN
        self.clip, self.time = np.arange(len(self.label)), np.zeros(len(self.label))

    def __len__(self):
        return len(self.label)


WORLD = SimpleNamespace(splits=("unseen", "train", "val", "test"), images=Rows, sounds=Rows)


def skilled(labels, skill, seed):
    noise = torch.randn(len(labels), len(labels), generator=torch.Generator().manual_seed(seed))
    return noise + skill * torch.from_numpy(labels[:, None] == labels)


def run_of(skill, seed=0, curve=(), chosen=0):
    """A network whose scores are better by `skill`, apart from noise that all networks of a seed share."""
    scores = {"unseen": skilled(LABELS, skill, seed), "test": skilled(SEEN, skill, seed + 50)}
    epochs = [{"unseen": value} for value in curve]
    known = {"plan": SimpleNamespace(classes=0), "minutes": 1.5, "curve": epochs, "chosen": chosen}
    return SimpleNamespace(scores=scores, seed=seed, **known)


def embed(run, store, split, items=None):
    """The scores of such a run; of vectors there are none."""
    items = items or items_of(store, split)
    scores = run.scores[split][items.image_row][:, items.audio_row]
    return Embedded(items, *(torch.zeros(size, 1) for size in scores.shape), scores)


def precision(scores, labels):
    """Average precision of every image and every audio, (2, N), by scikit-learn."""
    both = scores.numpy(), scores.numpy().T
    each = average_precision_score
    return np.array([[each(labels == k, row) for k, row in zip(labels, s, strict=True)] for s in both])


def test_every_difference_is_described_whole_and_asked_for_by_its_argument():
    known = module.KNOWN
    assert len(known) == 26
    for key, of in known.items():
        assert all(of.values()) and of["compared"] in ("paper", "code", "documentation", "practice"), key
        assert of.get(of["compared"]) != of["ours"], f"{key}: they do as we do"
    assert set(module.LLINET) == ABLATIONS.keys() - {"brief"}
    named = runs.plans(PROFILES["smoke"])
    plans = {key: named[key] for key in module.LLINET} | {"attention": named["matching"]}
    plans |= {key: named[f"avenet-{key}"] for key in module.AVENET}
    for key, plan in plans.items():
        usual = named["llinet" if key == "attention" else "avenet-brief" if key in module.AVENET else "brief"]
        changed = plan.batches.items() - usual.batches.items() or plan.options.items() - usual.options.items()
        said = [f"{k}={v if v is False or v is True else json.dumps(v)}" for k, v in changed]
        assert said and all(text in known[key]["argument"] for text in said), key


def test_an_effect_says_what_it_is_worth_and_comes_back_from_its_result():
    bare = module.listed(["gate-batch", "epoch-on-test", "zero"])
    high = replace(bare[0], effect=Interval(0.02, 0.01, 0.03, 74), seeds=(0, 1), minutes=2.5)
    low = replace(bare[1], effect=Interval(-0.05, -0.06, -0.04, 74), seeds=(0, 1))
    one = replace(bare[2], effect=Interval(0.1, math.nan, math.nan, 1), seeds=(0,))
    every = [high, low, one, *bare[3:]]
    assert [e.verdict for e in every[:4]] == ["higher", "lower", "not shown", "not measured"]
    worth = ["+2.0 [+1.0, +3.0]", "-5.0 [-6.0, -4.0]", "+10.0 (one seed)", "-", "-"]
    assert [e.worth for e in every] == worth
    kept = [
        Result(e.name, *e.effect.numbers, n=e.effect.n, seeds=e.seeds, minutes=e.minutes) for e in every[:3]
    ]
    back = module.listed(["gate-batch", "epoch-on-test", "zero"], kept)
    assert back[:2] == [high, low] and [e.effect for e in back[3:]] == [None, None]


def test_signs_are_those_of_the_compared_way(monkeypatch):
    """The mean of both directions over seeds; each seed searches the seen classes that it trained on."""
    skills = {"gate-batch": 0.0, "scale-1": 2.5}
    trained = lambda workspace, plan, seed, trunk: run_of(skills.get(plan.name, 1.0), seed)  # noqa: E731
    monkeypatch.setattr(module, "train_or_load", trained)
    monkeypatch.setattr(module, "embed", embed)
    workspace = SimpleNamespace(profile=PROFILES["smoke"], store=lambda splits=(): WORLD)
    effects = {e.name: e for e in module.trained(workspace, None, range(3))}
    for name, split, labels in (("unseen", "unseen", LABELS), ("seen", "test", SEEN)):
        assert effects[f"scale-1, mAP, {name}"].verdict == "higher"
        same = effects[f"bn-train, mAP, {name}"].effect
        assert same.value == same.low == same.high == 0, "paired: equal networks"
        gaps = []
        for seed in range(3):
            rows = np.flatnonzero(~np.isin(labels, held_out(WORLD, seed)))
            each = [run_of(skill, seed).scores[split][rows][:, rows] for skill in (0.0, 1.0)]
            gaps.append(np.subtract(*(precision(scores, labels[rows]).mean() for scores in each)))
        found = effects[f"gate-batch, mAP, {name}"]
        assert found.effect.value == pytest.approx(np.mean(gaps), abs=1e-6) and found.verdict == "lower"


def test_the_released_map_of_unseen_classes(monkeypatch):
    monkeypatch.setattr(module, "embed", embed)
    chosen = [((0.2, 0.5, 0.3), 2), ((0.4, 0.1, 0.1), 0), ((0.1, 0.2, 0.4), 1)]
    each = [run_of(1.0, seed, *about) for seed, about in enumerate(chosen)]
    asked = {e.key: e for e in module.retrieval(each, WORLD)}
    scores = [run.scores["unseen"] for run in each]
    full = np.stack([precision(s, LABELS) for s in scores])  # (S, 2, N)
    released = [released_map_of_scores(s, LABELS, drop_last=None) for s in scores]
    released = np.mean([(one.image_to_audio, one.audio_to_image) for one in released])
    found = asked["one-query"].effect
    assert found.value == pytest.approx(released - full.mean(), abs=1e-6) and found.n == 8
    swapped = np.subtract(*full.mean((0, 2))[::-1])
    assert asked["swapped-names"].effect.value == pytest.approx(swapped, abs=1e-6)
    left = np.mean([precision(s[:32, :32], LABELS[:32]).mean() for s in scores])
    assert asked["drop-last"].effect.value == pytest.approx(left - full.mean(), abs=1e-6)
    assert asked["drop-last"].note == "32 of 44 images are left"
    found = asked["epoch-on-test"].effect
    assert found.value == pytest.approx(0.4 / 3) and found.low == 0


def located(seed: int, count: int = 30) -> LocalizationMaps:
    """Squares on images of 32 pixels, and maps of 16 cells that find them more or less."""
    rng, objects = np.random.default_rng(seed // 10), np.zeros((count, 32, 32), np.uint8)
    for image in objects:
        top, left = rng.integers(1, 20, 2)
        image[top : top + 9, left : left + 9] = 1
    cells = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(objects).float()[:, None], 16)
    cells = cells + 0.5 * torch.rand(cells.shape, generator=torch.Generator().manual_seed(seed))
    rows, kind = np.arange(count), np.full(count, "solo")
    heat, label = lambda cells, _: cells[:, 0], np.repeat([24, 25, 26], count // 3)
    hears = cells, torch.ones(count, 0), torch.ones(0)
    return LocalizationMaps(heat, "maximum", *hears, objects, label, rows, rows, kind)


def test_threshold_and_masks_are_judged_apart_and_together():
    of = {"LLINet": [located(seed) for seed in range(2)]}
    table = localize(of, {"LLINet": [located(10 + seed) for seed in range(2)]})
    found = {e.key: e for e in module.localization(table, of)}
    honest, tests, masks = table.values["LLINet"]["mIoU"], [], []
    for one, k in zip(of["LLINet"], table.k["LLINet"], strict=True):
        ious = [evaluate(one.maps(), one.masks, "llinet2020", k=c).iou for c in range(2, 7)]
        tests.append(max(ious, key=lambda iou: np.mean(iou[:, None] >= np.linspace(0, 1, 51))))
        masks.append(evaluate(one.maps(), one.masks, "llinet2020", k=k, mask_resize="bicubic").iou)
    released = table.values["LLINet"]["mIoU as released"]
    for key, ious in (("k-on-test", tests), ("mask-resize", masks), ("localization-released", released)):
        assert found[key].effect.value == pytest.approx((np.stack(ious) - honest).mean())
    assert found["k-on-test"].effect.low >= 0 and found["k-on-test"].note.startswith("k = ")


def test_recognition_takes_the_choices_of_lesson_08():
    gain = dict(zip(CHOICES, (0.0, 0.1, 0.2, 0.3), strict=True))
    rows = {f"LLINet: {c}": {"worth": Cell([g], n=9, limits=(-1, 1))} for c, g in gain.items()}
    found = module.recognition(Table(rows), (0,))
    worth = {e.key: e.effect.value for e in found}
    assert worth == {"euclidean": 0.1, "prototypes-test": 0.2, "recognition-released": 0.3}


def test_two_lists_of_pairs():
    right = np.random.default_rng(0).random(120) < 0.8
    one, poor = (SimpleNamespace(right=r, items=CLIPS[: len(r)]) for r in (right, ~right[:60]))
    assert module.other_pairs(one, one) == Interval(0.0, 0.0, 0.0, 240)
    found = module.other_pairs(one, poor)
    assert found.value == pytest.approx(right.mean() - 1 + right[:60].mean()) and found.low > 0


def test_networks_are_trained_and_compared(tiny_workspace, trunk, monkeypatch):
    """Truly, if not for long: gates over the batch, and every AVE-Net."""
    monkeypatch.setattr(module, "LLINET", ("gate-batch",))
    workspace = tiny_workspace()
    effects = module.trained(workspace, trunk, (0,))
    effects += module.avenet_trained(workspace, (0,))
    assert [e.name for e in effects[2:4]] == ["unsigned, AVC accuracy", "unsigned, nDCG@30, im-aud"]
    assert effects[2].note.startswith("slope ") and len(effects) == 6
    effects += [*module.gain(workspace), module.softmax_or_sigmoid(workspace), module.shortcut(workspace)]
    assert all(e.effect.low <= e.effect.value <= e.effect.high and e.seeds == (0,) for e in effects)
    assert effects[7].effect.value > 0, "linear gain flatters a random ranking"
