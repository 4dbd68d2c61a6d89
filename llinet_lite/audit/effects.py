"""What a difference between paper, code and good practice is worth: its effect, interval, table and figure.

Notebook: 09
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from llinet_lite.metrics.correspondence import Interval, resampled_means
from llinet_lite.metrics.seeds import DRAWS, with_seeds
from llinet_lite.results import Result, interval_over_seeds
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


def mean_interval(
    values, clips, weights: Sequence[float] | None = None, level: float = 0.95, lowest: float = -np.inf
) -> Interval:
    r"""Bootstrap interval of a mean over seeds of a weighted sum of means over queries.

    .. math:: \frac1S \sum_s \sum_p w_p \frac{1}{|Q_{sp}|} \sum_{q \in Q_{sp}} x_{spq}

    Clips are drawn, the same for all seeds and parts; what is hard for both sides of a
    difference cancels, whether it is taken query by query or between parts.

    Parameters
    ----------
    values : (S, P, Q)
        Number of every query in every part (as a direction) under every seed; NaN where it was not asked.
    clips : (Q,), or (Q, 2) for pairs of clips
        What the queries share.
    weights : sequence of P float, optional
        Default: the mean over parts.
    level : float
    lowest : float
        What the mean cannot fall below.

    Returns
    -------
    Interval
        Its n counts queries that were asked at all.

    Raises
    ------
    ValueError
        If values are not (S, P, Q), or a part of a seed has no query.

    Notes
    -----
    Seeds as in :func:`llinet_lite.metrics.seeds.with_seeds`. Without NaN and with one part this is
    :func:`llinet_lite.metrics.seeds.over_clips_and_seeds`.
    """
    values = np.asarray(values, np.float64)
    asked = np.isfinite(values)
    if values.ndim != 3 or not values.size or not asked.any(2).all():
        raise ValueError(
            f"values must be (seeds, parts, queries), each part with a query that was asked; got shape "
            f"{values.shape}"
        )
    seeds, parts, queries = values.shape
    weights = np.full(parts, 1 / parts) if weights is None else np.asarray(weights, np.float64)
    filled = np.where(asked, values, 0)
    each = (filled.sum(2) / asked.sum(2)) @ weights  # (S,)
    both = np.concatenate([filled, asked]).reshape(2 * seeds * parts, queries)  # (2 S, P, Q) -> (2 S P, Q)
    drawn = resampled_means(both.T, clips, DRAWS, 0).reshape(-1, 2, seeds, parts)  # sums, counts
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw may ask a part nothing
        means = (drawn[:, 0] / drawn[:, 1]) @ weights  # (draws, S)
    means = means[np.isfinite(means).all(1)]
    found = with_seeds(each, means, int(asked.any((0, 1)).sum()), level=level, limits=(lowest, np.inf))
    return around(found.value, found.low, found.high, found.n)


def over_seeds(values: Sequence[float], lowest: float = -1.0) -> Interval:
    """Student's interval of a difference of which every seed has one number, cut to what is possible.

    One seed tells nothing of the spread: its bounds are NaN.
    """
    mean, low, high = interval_over_seeds(values)
    if low is None:
        return Interval(mean, np.nan, np.nan, len(values))
    return around(mean, max(low, lowest), min(high, 1.0), len(values))


def around(value: float, low: float, high: float, n: int) -> Interval:
    """Return an interval that holds its value, which may lie outside where it is no mean of the draws.

    Rounded to twelve digits: what is left of two equal numbers must not pass for an effect.
    """
    value, low, high = (round(float(number), 12) + 0.0 for number in (value, low, high))  # no -0.0
    return Interval(value, min(low, value), max(high, value), n)
