"""The experiments of lesson 01: networks that are trained once and then loaded, their scores, the shortcut.

Notebook: 01
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from llinet_lite.avc.evaluation import Score, judge, pair_list, score
from llinet_lite.avc.task import Plan, Senses, build, matching, train
from llinet_lite.data.store import Store
from llinet_lite.metrics.correspondence import is_above_chance
from llinet_lite.models import L3Net
from llinet_lite.results import Result, interval_over_seeds
from llinet_lite.world.instruments import SEEN

# Objects that Sound, AudioSet-Instruments: L3-Net; AVE-Net with and without the shortcut.
PAPER = {"sampled": 0.808, "naive": 0.876, "grid": 0.819}


IMPRINT = 2.0  # strength in the shortcut experiment: bursts of -39 dBFS
LONGEST = 4  # times the profile's epochs, for a small data set


def plans(settings, store: Store | None = None) -> dict[str, Plan]:
    """Return the experiments of the lesson by name.

    Parameters
    ----------
    settings : Profile
        Its epochs are those of the built-in world.
    store : Store, optional
        One's own data: a small set has short epochs, so it gets more of them, up to four times as
        many, to come nearer to the same number of steps.
    """
    times = 1
    if store is not None:
        usual = 2 * sum(row.count for row in SEEN)  # two pictures of each clip
        times = max(1, min(LONGEST, round(usual / len(store.images("train")))))
    control, short = settings.epochs_control * times, settings.epochs_shortcut
    rows = (
        Plan("all", "all", settings.epochs * times),
        Plan("sampled", "sampled", settings.epochs_sampled * times),
        Plan("shuffled", "all", control, shuffled=True),
        Plan("deaf", "all", control, blind="sound"),
        Plan("naive", "sampled", short, grid=None, imprint=IMPRINT),
        Plan("grid", "sampled", short, imprint=IMPRINT),
    )
    return {plan.name: plan for plan in rows}


@dataclass(frozen=True)
class Run:
    """A trained network and how it came about.

    Attributes
    ----------
    plan : Plan
    seed : int
    model : L3Net
        In eval mode.
    validation : list of float
        Accuracy on the validation pairs after each epoch.
    minutes : float
        Wall time of the training.
    loaded : bool
        True if reference weights were loaded.
    """

    plan: Plan
    seed: int
    model: L3Net
    validation: list[float]
    minutes: float
    loaded: bool

    def senses(self, settings) -> Senses:
        """Return what the network sees when it is judged."""
        return self.plan.senses(settings)


def published(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Round the weights to 16 bits, in place too, and return them: what is judged is what is published."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    return state


def train_or_load(lesson, plan: Plan, *, seed: int = 0) -> Run:
    """Load the reference weights of a plan, or train it where there are none.

    Parameters
    ----------
    lesson : Lesson
    plan : Plan
    seed : int
        Reference weights are those of seed 0.
    """
    name = f"l3net-{plan.name}"
    path = lesson.reference(name) if seed == 0 else None
    if path is not None:
        card = lesson.card(path)
        model = build(lesson.settings, seed)
        model.load_state_dict(load_file(path))
        return Run(plan, seed, model.eval(), card["validation"], card["minutes"], loaded=True)
    store = lesson.store(splits=("train", "val"))
    val = pair_list(
        store, "val", lesson.settings, match=matching(store, "val"), grid=plan.grid, imprint=plan.imprint
    )
    senses = plan.senses(lesson.settings)

    def validate(model) -> dict[str, float]:
        return {"accuracy": float(((judge(model, senses, val) > 0.5) == val.rows.match).mean())}

    print(f"training {plan.name}, seed {seed}: {plan.epochs} epochs", flush=True)
    model, history = train(
        store,
        lesson.settings,
        plan,
        seed=seed,
        run_dir=lesson.training_dir / f"{plan.name}-{seed}",
        validate=validate,
    )
    state = published(model)
    curve = [round(float(epoch["accuracy"]), 4) for epoch in history.epochs]
    minutes = round(sum(epoch["seconds"] for epoch in history.epochs) / 60, 2)
    if seed == 0:
        lesson.publish(name, state, seed=seed, validation=curve, minutes=minutes)
    return Run(plan, seed, model.eval(), curve, minutes, loaded=False)


def evaluate(
    run: Run, store: Store, settings, *, split: str = "test", grid: float | None = 0.04, imprint=0.0
) -> Score:
    """Judge the fixed test pairs of a split, clean and on the grid unless told otherwise."""
    pairs = pair_list(store, split, settings, match=matching(store, split), grid=grid, imprint=imprint)
    return score(run.model, run.senses(settings), pairs)


def result(
    name: str, scores: Sequence[Score], runs: Sequence[Run], lesson, paper: float | None = None
) -> Result:
    """Return the accuracies of several seeds as one result.

    Its interval is Student's over seeds for two seeds or more, else the bootstrap over clips.
    """
    values = [s.interval.value for s in scores]
    value, low, high = values[0], scores[0].interval.low, scores[0].interval.high
    if len(values) > 1:
        value, low, high = interval_over_seeds(values)
    return Result(
        name, value, low, high, chance=0.5, paper=paper, seeds=[r.seed for r in runs],
        n=scores[0].interval.n, profile=lesson.settings.name, data_hash=lesson.data_hash,
        device=str(next(runs[0].model.parameters()).device), minutes=sum(r.minutes for r in runs) / len(runs),
    )  # fmt: skip


@dataclass(frozen=True)
class Shortcut:
    """What the 0.04 s shortcut is worth.

    Attributes
    ----------
    scores : dict of (plan, pairs) to list of Score, one per seed
        Plans "naive" and "grid"; pairs "own" (sampled as in training, with the imprint) and "clean".
    results : list of Result
    """

    scores: dict[tuple[str, str], list[Score]]
    results: list[Result]

    @property
    def table(self) -> pd.DataFrame:
        """Accuracy and interval, one row per network and kind of test pair, beside the paper's."""
        rows = [(r.name.removeprefix("shortcut: "), r.value, r.low, r.high, r.paper) for r in self.results]
        return pd.DataFrame(rows, columns=["network, test pairs", "accuracy", "low", "high", "paper"]).round(
            3
        )

    @property
    def rows(self) -> list[tuple[str, float, float, float]]:
        """Rows for :func:`llinet_lite.show.plots.scores`."""
        return [(r.name.removeprefix("shortcut: "), r.value, r.low, r.high) for r in self.results]

    def _mean(self, plan: str, pairs: str) -> float:
        return float(np.mean([s.interval.value for s in self.scores[plan, pairs]]))

    @property
    def inflated(self) -> bool:
        """Whether naive sampling looks better on its own pairs, beyond the intervals of the first seed."""
        return self.scores["naive", "own"][0].interval.low > self.scores["grid", "own"][0].interval.high

    @property
    def not_better_on_clean(self) -> bool:
        """Whether the naive network is no better on clean pairs than the grid network beyond its interval."""
        return self._mean("naive", "clean") <= self.scores["grid", "clean"][0].interval.high


def shortcut(lesson, seeds: Sequence[int] = (0,)) -> Shortcut:
    """Train or load the naive and the grid network, and judge each on its own pairs and on clean ones."""
    settings, scores, results = lesson.settings, {}, []
    known = plans(settings)
    store = lesson.store(splits=("test",))
    for name in ("naive", "grid"):
        runs = [train_or_load(lesson, known[name], seed=seed) for seed in seeds]
        own = {"grid": known[name].grid, "imprint": known[name].imprint}
        for kind, how in (("own", own), ("clean", {})):
            scores[name, kind] = [evaluate(run, store, settings, **how) for run in runs]
            paper = PAPER[name] if kind == "own" else None
            results.append(result(f"shortcut: {name}, {kind} pairs", scores[name, kind], runs, lesson, paper))
    return Shortcut(scores, results)


def imprint_example(settings, *, name: str = "cello", seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return the same second of sound without and with the recorder imprint, (n,) int16 each."""
    from llinet_lite.world.scenes import Scene

    def second(strength: float) -> np.ndarray:
        return Scene(name, seed, seconds=2.0, imprint=strength).audio(0.0, 1.0, settings.sample_rate)

    return second(0.0), second(IMPRINT)


def above_chance(scores: Sequence[Score]) -> bool:
    """Whether every seed is above chance by more than its interval."""
    return all(is_above_chance(s.interval) for s in scores)
