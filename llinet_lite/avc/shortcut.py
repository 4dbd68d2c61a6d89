"""The shortcut experiment of lesson 01: what naive sampling of mismatched sounds gives away.

Notebook: 01
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from llinet_lite.avc.evaluation import Score
from llinet_lite.avc.plans import IMPRINT, PAPER, plans
from llinet_lite.avc.runs import evaluate, publish, result, train_or_load
from llinet_lite.results import Result


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
        """Rows for :func:`llinet_lite.show.figures.table`."""
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
            paper = PAPER["l3net"].get(name) if kind == "own" else None
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
