"""What a difference between paper, code and good practice is worth: its effect, interval, table and figure.

Notebook: 09
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from llinet_lite.metrics.intervals import Cell, Interval
from llinet_lite.results import Result
from llinet_lite.show import figures as show

# Whose way is compared with ours.
COMPARED = ("paper", "code", "documentation", "practice")


@dataclass(frozen=True)
class Effect:
    """One difference and, once it was run, what it is worth in one metric.

    Attributes
    ----------
    key : str
        Short name; differences with several metrics have several effects of one key.
    group : str
        Heading.
    question : str
        What they differ in, as "softmax axis of the gate".
    paper, code, ours : str
        What each does.
    argument : str
        How the compared way is asked for, as `LLINet(gate="batch")`.
    sentence : str
        What to remember; true whatever the number is.
    compared : one of COMPARED
        Whose way is compared with ours; "practice": one that others take.
    metric : str
        As "mAP, unseen"; a share.
    effect : Interval or None
        The compared way minus ours: positive where it gives the higher number. Bounds of NaN: one seed, its
        spread is not known. None: not measured.
    seeds : tuple of int
        Of the networks behind it.
    minutes : float
        Of training them.
    note : str
        What the run shows beside the effect; may be empty.

    Raises
    ------
    ValueError
        If `compared` is none of COMPARED, or the effect is no difference of shares inside its interval.
    """

    key: str
    group: str
    question: str
    paper: str
    code: str
    ours: str
    argument: str
    sentence: str
    compared: str = "code"
    metric: str = ""
    effect: Interval | None = None
    seeds: tuple[int, ...] = ()
    minutes: float = 0.0
    note: str = ""

    def __post_init__(self):
        if self.compared not in COMPARED:
            raise ValueError(f"compared must be one of {', '.join(COMPARED)}, not {self.compared!r}")
        if self.effect is not None:
            show.check_gap(self.name, (self.effect.value, self.effect.low, self.effect.high))

    @property
    def name(self) -> str:
        """Name of its result: "<key>, <metric>"."""
        return f"{self.key}, {self.metric}"

    @property
    def verdict(self) -> str:
        """Say whether the compared way gives more: "higher", "lower", "not shown" or "not measured"."""
        if self.effect is None:
            return "not measured"
        return "higher" if self.effect.low > 0 else "lower" if self.effect.high < 0 else "not shown"

    @property
    def worth(self) -> str:
        """Effect and interval in percentage points, as "+1.2 [-0.3, +2.6]"; "-" if not measured."""
        if self.effect is None:
            return "-"
        value, low, high = (100 * x for x in (self.effect.value, self.effect.low, self.effect.high))
        return f"{value:+.1f} " + ("(one seed)" if np.isnan(low) else f"[{low:+.1f}, {high:+.1f}]")

    def in_metric(self, metric: str) -> Effect:
        """Return the same difference, to be measured in this metric."""
        return replace(self, metric=metric)

    def measured(
        self, effect: Interval, seeds: Iterable[int] = (), minutes: float = 0.0, note: str = ""
    ) -> Effect:
        """Return the same with its number."""
        return replace(self, effect=effect, seeds=tuple(seeds), minutes=float(minutes), note=note)


def frame(effects: Sequence[Effect]) -> pd.DataFrame:
    """One row per effect, by question: who does what, how it is asked for, what it is worth in points."""
    lines = [
        {
            "question": e.question,
            "group": e.group,
            "paper": e.paper,
            "code": e.code,
            "ours": e.ours,
            "argument": e.argument,
            "compared": e.compared,
            "metric": e.metric,
            "worth, points": e.worth,
            "compared minus ours": e.verdict,
            "seeds": len(e.seeds),
            "note": e.note or "-",
            "remember": e.sentence,
        }
        for e in effects
    ]
    return pd.DataFrame(lines).set_index("question")


def figure(effects: Sequence[Effect], *, limit: float | None = None) -> Figure:
    """Draw all that was measured, by group.

    Parameters
    ----------
    effects : sequence of Effect
    limit : float, optional
        Where the axis ends, a share: see :func:`llinet_lite.show.figures.effects`.

    Raises
    ------
    ValueError
        If nothing was measured.
    """
    rows = [
        (e.question, e.effect.value, e.effect.low, e.effect.high, e.metric, e.group)
        for e in effects
        if e.effect is not None
    ]
    return show.effects(rows, limit=limit, xlabel="the compared way minus ours (percentage points)")


def results(effects: Sequence[Effect], lesson, seeds: Sequence[int] = ()) -> list[Result]:
    """Return what was measured as results: "<key>, <metric>", a difference of shares.

    Parameters
    ----------
    effects : sequence of Effect
    lesson : Lesson
    seeds : sequence of int
        Of effects that do not name theirs.
    """
    known = {"profile": lesson.settings.name, "data_hash": lesson.data_hash}
    return [
        Result(
            e.name, e.effect.value, *_bounds(e.effect), n=e.effect.n,
            seeds=e.seeds or tuple(seeds), minutes=e.minutes, **known,
        )
        for e in effects
        if e.effect is not None
    ]  # fmt: skip


def _bounds(effect: Interval) -> tuple[float | None, float | None]:
    return (None, None) if np.isnan(effect.low) else (effect.low, effect.high)


def published(lesson, effects: Sequence[Effect]) -> list[Effect]:
    """Take the numbers of effects from the lesson's published results, where nothing is trained.

    Parameters
    ----------
    lesson : Lesson
    effects : sequence of Effect
        With or without numbers, as :data:`llinet_lite.audit.llinet.TRAINED`.

    Returns
    -------
    list of Effect
        In the same order; what was not published has no number.
    """
    known = {result.name: result for result in lesson.published_results()}
    found = []
    for e in effects:
        one = known.get(e.name)
        spread = (np.nan, np.nan) if one is None or one.low is None else (one.low, one.high)
        number = None if one is None else Interval(one.value, *spread, one.n)
        about = (one.seeds, one.minutes) if number else ((), 0.0)
        found.append(replace(e, effect=number, seeds=about[0], minutes=about[1]))
    return found


# --------------------------------------------------------------------------------------------- intervals


def mean_interval(values, clips, weights: Sequence[float] | None = None, lowest: float = -np.inf) -> Interval:
    """Interval of a weighted sum of means over parts (S, P, Q), as `Cell.mean` has it; not below `lowest`."""
    return Cell.mean(values, clips, weights=weights, limits=(lowest, np.inf)).interval().rounded()


def over_seeds(values: Sequence[float], lowest: float = -1.0) -> Interval:
    """Student's interval of a difference of which every seed has one number, cut to what is possible."""
    return Cell(values, n=len(values), limits=(lowest, 1.0)).interval().rounded()
