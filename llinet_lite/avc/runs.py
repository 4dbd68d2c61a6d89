"""Networks that are trained once and then loaded, and their scores.

Notebook: 01, 02, 03
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from safetensors.torch import load_file
from torch import nn

from llinet_lite.avc.evaluation import Score, judge, pair_list, score
from llinet_lite.avc.plans import plans
from llinet_lite.avc.task import Plan, Senses, build, matching, train
from llinet_lite.checkpoint import rounded
from llinet_lite.data.bandstand import WORLD_VERSION
from llinet_lite.data.store import Store
from llinet_lite.metrics.intervals import DIFFERENCE, Interval, clip_bootstrap
from llinet_lite.models import AVENet
from llinet_lite.results import Result


@dataclass(frozen=True)
class Run:
    """A trained network and how it came about.

    Attributes
    ----------
    plan : Plan
    seed : int
    model : Module
        In eval mode.
    validation : list of float
        Accuracy on the validation pairs after each epoch.
    minutes : float
        Wall time of the training.
    loaded : bool
        True if reference weights were loaded.
    calibration : list of (float, float)
        AVE-Net: slope and threshold of the calibration layer before training and after each epoch.
    """

    plan: Plan
    seed: int
    model: nn.Module
    validation: list[float]
    minutes: float
    loaded: bool
    calibration: list[tuple[float, float]] = field(default_factory=list)

    def senses(self, settings) -> Senses:
        """Return what the network sees when it is judged."""
        return self.plan.senses(settings)


def reference_name(plan: Plan) -> str:
    """Return the name of a plan's weights, as "avenet-all"."""
    return f"{plan.family}-{plan.name}"


def _loaded(lesson, plan: Plan) -> Run | None:
    """Return the reference network of this plan and world, or None where there is none."""
    path = lesson.reference(reference_name(plan))
    if path is None:
        return None
    card = lesson.card(path)
    usual = plans(lesson.settings, None, plan.family).get(plan.name)  # TEMPORARY: wave B removes this
    same = card["plan"] == plan.facts if "validation" in card else plan == usual
    if not same or card["world"] != WORLD_VERSION:
        print(
            f"the reference weights {path.name} belong to another plan or world, so this trains anew",
            flush=True,
        )
        return None
    if card["data_hash"] != lesson.store().content_hash:
        print(
            f"{path.name} was trained on a world whose bytes differ slightly (another platform)", flush=True
        )
    model = build(lesson.settings, 0, plan.network, variant=plan.variant, sign_init=plan.sign_init)
    model.load_state_dict(load_file(path))
    return Run(
        plan,
        0,
        model.eval(),
        [e["accuracy"] for e in card["curve"]] if "curve" in card else card["validation"],
        card["minutes"],
        True,
        card.get("calibration", []),
    )


def train_or_load(lesson, plan: Plan, *, seed: int = 0) -> Run:
    """Load the reference weights of a plan, or train it where there are none.

    Parameters
    ----------
    lesson : Lesson
    plan : Plan
    seed : int
        Reference weights are those of seed 0.
    """
    known = _loaded(lesson, plan) if seed == 0 else None
    if known is not None:
        return known
    start, length = None, str(plan.epochs)
    if plan.start:
        own = None if lesson.is_world else lesson.store(splits=("train",))
        first = plans(lesson.settings, own, plan.family)[plan.start]
        start = train_or_load(lesson, first, seed=seed).model
        length = f"{first.epochs}+{plan.epochs}"
    store, settings = lesson.store(splits=("train", "val")), lesson.settings
    if plan.view in ("frames", "flow"):
        lesson.motion(splits=("train", "val"))
    val = pair_list(
        store, "val", settings, match=matching(store, "val"), grid=plan.grid, imprint=plan.imprint,
        view=plan.view,
    )  # fmt: skip
    senses = plan.senses(settings)

    def validate(model) -> dict[str, float]:
        accuracy = float(((judge(model, senses, val) > 0.5) == val.rows.match).mean())
        if isinstance(model, AVENet):
            return {"accuracy": accuracy, "slope": model.slope, "threshold": model.threshold}
        return {"accuracy": accuracy}

    print(f"training {reference_name(plan)}, seed {seed}: {plan.epochs} epochs", flush=True)
    folder = lesson.training_dir / f"{reference_name(plan)}-{length}-{seed}"
    model, history = train(store, settings, plan, seed=seed, run_dir=folder, start=start, validate=validate)
    rounded(model)
    curve = [round(float(epoch["accuracy"]), 4) for epoch in history.epochs]
    minutes = round(sum(epoch["seconds"] for epoch in history.epochs) / 60, 2)
    layer = [(epoch["slope"], epoch["threshold"]) for epoch in history.epochs if "slope" in epoch]
    if layer:
        first = start or build(settings, seed, plan.network, variant=plan.variant, sign_init=plan.sign_init)
        layer.insert(0, (first.slope, first.threshold))
    return Run(plan, seed, model.eval(), curve, minutes, False, layer)


def publish(lesson, run: Run, measured: Sequence[Result]) -> None:
    """Put a network of seed 0 that was trained here into the package, if the lesson was asked to publish."""
    if run.loaded or run.seed:
        return
    lesson.publish(
        reference_name(run.plan),
        rounded(run.model),
        seed=run.seed,
        results=measured,
        validation=run.validation,
        minutes=run.minutes,
        plan=run.plan.facts,
        world=WORLD_VERSION,
        **({"calibration": run.calibration} if run.calibration else {}),
    )


def evaluate(
    run: Run, store: Store, settings, *, split: str = "test", grid: float | None = 0.04, imprint=0.0
) -> Score:
    """Judge the fixed test pairs of a split, clean and on the grid unless told otherwise."""
    pairs = pair_list(
        store, split, settings, match=matching(store, split), grid=grid, imprint=imprint,
        view=run.plan.view,
    )  # fmt: skip
    return score(run.model, run.senses(settings), pairs)


def result(
    name: str, scores: Sequence[Score], runs: Sequence[Run], lesson, paper: float | None = None
) -> Result:
    """Return the accuracies of several seeds as one result.

    Its interval draws clips; seeds as in :mod:`llinet_lite.metrics.intervals`.
    """
    found = clip_bootstrap(_right(scores), scores[0].items)
    return Result(
        name, found.value, found.low, found.high, chance=0.5, paper=paper, seeds=[r.seed for r in runs],
        n=found.n, profile=lesson.settings.name, data_hash=lesson.data_hash,
        device=str(next(runs[0].model.parameters()).device), minutes=sum(r.minutes for r in runs),
    )  # fmt: skip


def difference(first: Sequence[Score], second: Sequence[Score]) -> Interval:
    """Return how much more accurate one network is than another on the same pairs, mean over seeds."""
    return clip_bootstrap(_right(first) - _right(second), first[0].items, limits=DIFFERENCE)


def _right(scores: Sequence[Score]) -> np.ndarray:
    """Which pairs every seed answers rightly, (S, n) of 0.0 and 1.0."""
    return np.array([(s.probability > 0.5) == s.match.astype(bool) for s in scores], float)


def above_chance(scores: Sequence[Score]) -> bool:
    """Whether every seed is above chance by more than its interval."""
    return all(s.interval.low > 0.5 for s in scores)
