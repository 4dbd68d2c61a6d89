"""LLINet and its rivals on a pretended GPU, as the profiles of paper size run them: no activations kept."""

from __future__ import annotations

import dataclasses
import importlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from device_fakes import pretended_cuda
from zeroshot_fakes import SETTINGS, items

from llinet_lite import sounding
from llinet_lite.features.image import _colours
from llinet_lite.models import VGGish
from llinet_lite.profiles import PROFILES
from llinet_lite.rivals import RECOGNITION
from llinet_lite.zeroshot.plans import plans

evaluation, exam, hearing, recognition, runs, watch = (
    importlib.import_module(f"llinet_lite.zeroshot.{name}")
    for name in ("evaluation", "exam", "sounding", "recognition", "runs", "watch")
)
LARGE = dataclasses.replace(SETTINGS, name="laptop", keep_activations=False, epochs_llinet=30)
PLANS = plans(LARGE)
IN_A_STEP = ("image.py", "sound.py", "vggish.py", "trunks.py", "task.py", "ours.py", "objectives.py")


@pytest.fixture
def there(lesson, trunk, monkeypatch):
    """A lesson, its trunk and its VGGish on the pretended GPU, and what waited."""
    monkeypatch.setitem(PROFILES, "laptop", LARGE)
    plans_of = {name: dataclasses.replace(plan, epochs=1) for name, plan in PLANS.items()}
    with torch.random.fork_rng(), pretended_cuda() as waits:
        torch.manual_seed(0)
        vggish = VGGish(8, classes=24).freeze()
        yield SimpleNamespace(
            lesson=lesson(), trunk=trunk.to("cuda"), vggish=vggish.to("cuda"), waits=waits, plans=plans_of
        )
        trunk.to("cpu")
    _colours.cache_clear()  # what lies on a pretended GPU must not outlive it


@pytest.mark.parametrize("name", ["llinet", "vggish", "bn-train", "decay-image", "sir", "scan", "timam"])
def test_a_method_trains_and_searches_there(there, store, name):
    run = runs.train_or_load(there.lesson, there.plans[name], there.trunk, vggish=there.vggish)
    steps = [place for place in there.waits if place.startswith(IN_A_STEP) and "_colours" not in place]
    assert not steps
    assert next(run.model.parameters()).is_cuda
    found = run.embed(store, "unseen", LARGE)
    assert not found.scores.is_cuda and found.scores.isfinite().all()
    if name == "llinet":
        maps = hearing.locate(run, store, "unseen", LARGE)
        assert set(np.unique(sounding.pointing([maps]).rows["own sound"])) <= {0.0, 1.0}


def test_what_lessons_look_at_comes_back(there, store):
    matrices, labels = watch.snapshots(there.lesson, there.trunk, there.plans["llinet"], at=(0, 1))
    assert len(matrices) == 2 and all(m.shape == (len(labels),) * 2 for m in matrices.values())
    losses, hits = watch.overfit(there.lesson, there.trunk, there.plans["llinet"], size=4, steps=2)
    assert len(losses) == 2 and 0 <= hits <= 1
    part = exam.features(store, "val", LARGE, there.trunk, there.vggish)
    assert np.isfinite(part.image).all() and np.isfinite(part.sound).all()


@pytest.mark.parametrize("method", sorted(RECOGNITION))
def test_recognisers_learn_there(there, method):
    rng, label = np.random.default_rng(0), np.repeat(np.arange(3), 8)
    image, sound = rng.random((24, 6)), rng.normal(size=(24, 5))
    train = exam.Part(image.astype(np.float32), sound.astype(np.float32), items(label))
    some = exam.Exam(train, train, train)
    model = recognition.Learned(method, some, {}, epochs=1, seed=0)
    scores = model(image, rng.normal(size=(5, 5)))
    assert scores.shape == (24, 5) and scores.dtype == np.float64 and np.isfinite(scores).all()
    assert next(iter(model._known.values())).shift.is_cuda


def test_the_optimizer_of_llinet_is_fused_only_there(there, trunk):
    """On the CPU its numbers are published: they stay those of the plain one."""
    model = evaluation_model(there)
    here = model.optimizer()([torch.nn.Parameter(torch.zeros(2))])
    far = model.optimizer()([torch.nn.Parameter(torch.zeros(2, device="cuda"))])
    assert not here.defaults["fused"] and far.defaults["fused"]
    assert isinstance(here, torch.optim.SGD) and isinstance(far, torch.optim.SGD)


def evaluation_model(there):
    """A LLINet that was never trained."""
    from llinet_lite.zeroshot.task import build

    return build(there.plans["llinet"], there.trunk, LARGE, 20, 0)
