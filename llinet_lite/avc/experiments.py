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
from llinet_lite.data.bandstand import WORLD_VERSION
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
        Plan("naive", "sampled", short, grid=None, imprint=IMPRINT, start="all"),
        Plan("grid", "sampled", short, imprint=IMPRINT, start="all"),
        Plan("ears", "sampled", short, grid=None, imprint=IMPRINT, blind="image"),
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


def _loaded(lesson, plan: Plan) -> Run | None:
    """Return the reference network of this plan and world, or None where there is none."""
    path = lesson.reference(f"l3net-{plan.name}")
    if path is None:
        return None
    card = lesson.card(path)
    if (card["plan"], card["world"]) != (plan.facts, WORLD_VERSION):
        print(
            f"the reference weights {path.name} belong to another plan or world, so this trains anew",
            flush=True,
        )
        return None
    if card["data_hash"] != lesson.store().content_hash:
        print(
            f"{path.name} was trained on a world whose bytes differ slightly (another platform)", flush=True
        )
    model = build(lesson.settings, 0)
    model.load_state_dict(load_file(path))
    return Run(plan, 0, model.eval(), card["validation"], card["minutes"], loaded=True)


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
    start = train_or_load(lesson, plans(lesson.settings)[plan.start], seed=seed).model if plan.start else None
    store, settings = lesson.store(splits=("train", "val")), lesson.settings
    val = pair_list(
        store, "val", settings, match=matching(store, "val"), grid=plan.grid, imprint=plan.imprint
    )
    senses = plan.senses(settings)

    def validate(model) -> dict[str, float]:
        return {"accuracy": float(((judge(model, senses, val) > 0.5) == val.rows.match).mean())}

    print(f"training {plan.name}, seed {seed}: {plan.epochs} epochs", flush=True)
    folder = lesson.training_dir / f"{plan.name}-{seed}"
    model, history = train(store, settings, plan, seed=seed, run_dir=folder, start=start, validate=validate)
    published(model)
    curve = [round(float(epoch["accuracy"]), 4) for epoch in history.epochs]
    minutes = round(sum(epoch["seconds"] for epoch in history.epochs) / 60, 2)
    return Run(plan, seed, model.eval(), curve, minutes, loaded=False)


def publish(lesson, run: Run, measured: Sequence[Result]) -> None:
    """Put a network of seed 0 that was trained here into the package, if the lesson was asked to publish."""
    if run.loaded or run.seed:
        return
    lesson.publish(
        f"l3net-{run.plan.name}",
        published(run.model),
        seed=run.seed,
        results=measured,
        validation=run.validation,
        minutes=run.minutes,
        plan=run.plan.facts,
        world=WORLD_VERSION,
    )


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
        device=str(next(runs[0].model.parameters()).device), minutes=sum(r.minutes for r in runs),
    )  # fmt: skip


@dataclass(frozen=True)
class Shortcut:
    """What the 0.04 s shortcut is worth.

    Attributes
    ----------
    scores : dict of (plan, pairs) to list of Score, one per seed
        Plans "naive", "grid" and "ears"; pairs "own" (sampled as in training, with the imprint) and "clean".
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

    def mean(self, plan: str, pairs: str) -> float:
        """Return the accuracy of a network on a kind of pairs, mean over seeds."""
        return float(np.mean([s.interval.value for s in self.scores[plan, pairs]]))

    @property
    def inflated(self) -> bool:
        """Whether naive scores higher on its own pairs than grid does on its own, and than on clean ones."""
        own = self.mean("naive", "own")
        return own > max(self.mean("grid", "own"), self.mean("naive", "clean"))

    @property
    def not_better_on_clean(self) -> bool:
        """Whether naive is no better than grid on clean pairs."""
        return self.mean("naive", "clean") <= self.mean("grid", "clean")


def shortcut(lesson, seeds: Sequence[int] = (0,)) -> Shortcut:
    """Train or load the networks of the shortcut experiment; judge each on its own pairs and on clean ones.

    "naive" and "grid" go on from the network "all" of the same seed; "ears" never sees a picture.
    """
    settings, scores, results = lesson.settings, {}, []
    known = plans(settings)
    store = lesson.store(splits=("test",))
    for name, of_seeds in (("naive", seeds), ("grid", seeds), ("ears", (0,))):
        runs = [train_or_load(lesson, known[name], seed=seed) for seed in of_seeds]
        own, first = {"grid": known[name].grid, "imprint": known[name].imprint}, []
        for kind, how in (("own", own), ("clean", {})):
            scores[name, kind] = [evaluate(run, store, settings, **how) for run in runs]
            paper = PAPER.get(name) if kind == "own" else None
            title = f"shortcut: {name}, {kind} pairs"
            results.append(result(title, scores[name, kind], runs, lesson, paper))
            first.append(result(title, scores[name, kind][:1], runs[:1], lesson, paper))
        publish(lesson, runs[0], first)
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
