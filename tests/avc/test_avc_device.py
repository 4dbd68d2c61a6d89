"""The correspondence networks on a pretended GPU: nothing is mixed, and no step waits."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from avc_fakes import SETTINGS
from device_fakes import pretended_cuda

from llinet_lite import sounding
from llinet_lite.avc import evaluation, runs, spaces, task
from llinet_lite.avc.plans import plans

pointing, located = (importlib.import_module(f"llinet_lite.avc.{name}") for name in ("pointing", "sounding"))
IN_A_STEP = ("image.py", "sound.py", "motion.py", "objectives.py", "towers.py", "task.py", "loop_parts.py")


@pytest.mark.parametrize(
    ("family", "name"),
    [("l3net", "sampled"), ("avenet", "all"), ("avenet", "mf"), ("avenet", "of"), ("avolnet", "all")],
)
def test_a_network_trains_and_is_judged_there(lesson, store, family, name):
    with pretended_cuda() as waits:
        run = runs.train_or_load(lesson(), plans(SETTINGS, None, family)[name])
        assert next(run.model.parameters()).is_cuda
        steps = [place for place in waits if place.startswith(IN_A_STEP)]
        score = runs.evaluate(run, store, SETTINGS)
        assert runs.result("x", [score], [run], lesson()).device.startswith("cuda")
        if family == "avolnet":
            scenes = located.locate(run, store, "test", SETTINGS)
            rows = sounding.pointing([scenes]).rows
            assert set(np.unique(rows["own sound"])) <= {0.0, 1.0}
            assert sounding.follows([pointing.duets(run, store, "scenes", SETTINGS)]).rows
        elif name == "all":
            assert np.isfinite(evaluation.distances(run.model, run.senses(SETTINGS), score.pairs)).all()
            assert not spaces.embed(run, store, "test", SETTINGS).image.is_cuda
    assert not steps
    assert np.isfinite(score.probability).all()


def test_one_batch_is_learned_there_and_classes_are_compared(store):
    with pretended_cuda():
        losses, accuracy = task.overfit(store, SETTINGS, seed=0, count=8, steps=2)
        model = task.build(SETTINGS, 0, "l3net").to("cuda")
        matrix, names = evaluation.class_matrix(model, task.Senses(SETTINGS), store, "test", SETTINGS)
    assert len(losses) == 2 and 0 <= accuracy <= 1 and matrix.shape == (len(names),) * 2
