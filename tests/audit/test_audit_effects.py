"""Effects as a table, a figure and results, and the interval of a difference over seeds and clips."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from audit_fakes import HIGHER
from scipy.stats import t as student

from llinet_lite import audit
from llinet_lite.audit import COMPARED, Effect
from llinet_lite.audit.effects import mean_interval, over_seeds
from llinet_lite.metrics.intervals import Interval, clip_bootstrap

BARE = Effect("gate", "network", "axis", "cells", "batch", "cells", 'LLINet(gate="batch")', "Name it.")
MEASURED = [
    BARE.in_metric("mAP, unseen").measured(HIGHER, (0, 1), 2.5, "slope"),
    BARE.in_metric("mAP, seen").measured(Interval(-0.05, -0.07, -0.03, 100), (0, 1)),
    dataclasses.replace(BARE, key="scale", question="scale", group="loss", metric="mIoU").measured(
        Interval(0.0, -0.01, 0.01, 9)
    ),
]
LESSON = SimpleNamespace(settings=SimpleNamespace(name="laptop"), data_hash="0" * 64)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


# ------------------------------------------------------------------------------------ table, figure, results


def test_an_effect_says_what_it_is_worth():
    assert [e.verdict for e in MEASURED] == ["higher", "lower", "not shown"]
    assert MEASURED[0].worth == "+2.0 [+1.0, +3.0]" and MEASURED[1].worth == "-5.0 [-7.0, -3.0]"
    assert (BARE.worth, BARE.verdict, MEASURED[0].name) == ("-", "not measured", "gate, mAP, unseen")
    assert MEASURED[0].seeds == (0, 1) and MEASURED[0].minutes == 2.5 and MEASURED[0].note == "slope"
    touching = BARE.measured(Interval(0.1, 0.0, 0.2, 5))
    assert touching.verdict == "not shown", "zero is not excluded"


@pytest.mark.parametrize("wrong", [Interval(0.5, 0.6, 0.7, 1), Interval(0.5, 0.4, 1.7, 1)])
def test_what_is_no_difference_of_shares_is_refused(wrong):
    with pytest.raises(ValueError, match="gate"):
        BARE.measured(wrong)


def test_somebody_must_be_compared():
    with pytest.raises(ValueError, match="compared must be one of paper, code"):
        dataclasses.replace(BARE, compared="rumour")
    for who in COMPARED:
        assert dataclasses.replace(BARE, compared=who).compared == who


def test_the_frame_has_a_row_per_effect():
    frame = audit.frame([*MEASURED, BARE])
    assert list(frame.index) == ["axis", "axis", "scale", "axis"] and frame.index.name == "question"
    assert frame["worth, points"].tolist() == [
        "+2.0 [+1.0, +3.0]",
        "-5.0 [-7.0, -3.0]",
        MEASURED[2].worth,
        "-",
    ]
    assert frame["compared minus ours"].tolist()[-1] == "not measured" and frame["seeds"].tolist() == [
        2,
        2,
        0,
        0,
    ]
    for column in ("group", "paper", "code", "ours", "argument", "compared", "metric", "note", "remember"):
        assert frame[column].astype(bool).iloc[:3].all()


def test_the_figure_draws_what_was_measured():
    ax = audit.figure([*MEASURED, BARE], limit=0.1).axes[0]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["network", "axis", "axis", "loss", "scale"]
    said = [text.get_text() for text in ax.texts]
    assert said == ["+2.0", "mAP, unseen", "−5.0", "mAP, seen", "+0.0", "mIoU"]  # noqa: RUF001
    assert "minus ours" in ax.get_xlabel() and ax.get_xlim() == pytest.approx((-10, 10))
    with pytest.raises(ValueError, match="no effect to draw"):
        audit.figure([BARE])


def test_results_are_differences_of_shares():
    first, second, third = audit.results([*MEASURED, BARE], LESSON, seeds=(7,))
    assert (first.name, first.value, first.low, first.high) == ("gate, mAP, unseen", 0.02, 0.01, 0.03)
    assert (first.seeds, first.n, first.minutes, first.unit) == ((0, 1), 747, 2.5, "")
    assert (first.profile, first.data_hash) == ("laptop", "0" * 64) and first.shown() == "2.0 [1.0, 3.0]"
    assert second.name == "gate, mAP, seen" and (third.name, third.seeds) == ("scale, mIoU", (7,))


def test_published_numbers_come_back():
    kept = audit.results(MEASURED, LESSON)
    lesson = SimpleNamespace(published_results=lambda: kept[:2])
    bare = [dataclasses.replace(e, effect=None, seeds=(), minutes=0.0, note="") for e in MEASURED]
    back = audit.published(lesson, bare)
    assert [e.effect for e in back] == [MEASURED[0].effect, MEASURED[1].effect, None]
    assert back[0].seeds == (0, 1) and back[0].minutes == 2.5 and back[2].verdict == "not measured"
    assert audit.frame(back)["worth, points"].tolist() == [MEASURED[0].worth, MEASURED[1].worth, "-"]
    stale = audit.published(SimpleNamespace(published_results=list), MEASURED)
    assert all(e.effect is None for e in stale), "a number that is not published is not shown"


# ----------------------------------------------------------------------------------------------- intervals


def test_one_part_without_gaps_is_the_interval_of_the_tables():
    rng = np.random.default_rng(0)
    for seeds in (1, 3):
        values, clips = rng.random((seeds, 60)), np.repeat(np.arange(20), 3)
        one, other = mean_interval(values[:, None], clips), clip_bootstrap(values, clips)
        assert dataclasses.astuple(one) == pytest.approx(dataclasses.astuple(other), abs=1e-12)


def test_the_value_is_the_mean_of_the_seeds_of_the_parts():
    rng = np.random.default_rng(1)
    values = rng.random((3, 2, 50))
    values[rng.random(values.shape) < 0.4] = np.nan
    expected = []
    for seed in values:
        parts = [[x for x in part if not np.isnan(x)] for part in seed]
        expected.append(0.25 * sum(parts[0]) / len(parts[0]) - 2 * sum(parts[1]) / len(parts[1]))
    found = mean_interval(values, np.arange(50), (0.25, -2.0))
    assert found.value == pytest.approx(np.mean(expected)) and found.low < found.value < found.high
    assert found.n == np.isfinite(values).any((0, 1)).sum()


def test_the_interval_is_that_of_a_slow_bootstrap():
    rng = np.random.default_rng(2)
    shift = np.array([0.0, 0.05, 0.1])[:, None, None]  # of the seeds
    values, clips = rng.random((3, 2, 90)) + shift, np.repeat(np.arange(45), 2)
    values[0, 0, :30], values[1, 1, 60:] = np.nan, np.nan
    drawn, error = [], np.std([np.nanmean(of, axis=1).mean() for of in values], ddof=1) / np.sqrt(3)
    for _ in range(3000):
        rows = (2 * rng.integers(0, 45, 45)[:, None] + [0, 1]).ravel()  # both queries of each drawn clip
        mean = np.mean([np.nanmean(of[:, rows], axis=1).mean() for of in values])
        drawn += list(mean + error * rng.standard_t(2, 20))
    found = mean_interval(values, clips)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.008)


def test_what_cannot_be_is_not_in_the_interval():
    """Student knows no limits: two seeds that differ have an interval on both sides of zero."""
    values = np.repeat(np.array([[[0.0]], [[0.2]]]), 30, 2)
    free, cut = (mean_interval(values, np.arange(30), **limit) for limit in ({}, {"lowest": 0.0}))
    assert free.low < 0 == cut.low and free.high == cut.high and free.value == cut.value


def test_what_is_hard_for_both_parts_cancels():
    hard = np.random.default_rng(3).random(200)
    parts = np.stack([hard + 0.05, hard])[None]
    paired = mean_interval(parts, np.arange(200), (1.0, -1.0))
    assert (paired.low, paired.high) == pytest.approx((0.05, 0.05))
    apart = mean_interval(parts[:, :1], np.arange(200))
    assert apart.high - apart.low > 0.05


def test_values_that_nobody_asked_are_refused():
    with pytest.raises(ValueError, match="no row empty"):
        mean_interval(np.full((1, 1, 4), np.nan), np.arange(4))


def test_over_seeds_is_students_and_one_seed_tells_nothing():
    values = [0.02, 0.05, 0.035]
    low, high = student.interval(0.95, 2, np.mean(values), np.std(values, ddof=1) / np.sqrt(3))
    found = over_seeds(values)
    assert (found.value, found.low, found.high, found.n) == pytest.approx((np.mean(values), low, high, 3))
    one = over_seeds([0.1], lowest=0.0)
    assert one.value == 0.1 and np.isnan([one.low, one.high]).all()
    shown = MEASURED[0].measured(one, seeds=(0,))
    assert (shown.worth, shown.verdict) == ("+10.0 (one seed)", "not shown")
    (kept,) = audit.results([shown], LESSON)
    assert (kept.value, kept.low, kept.high) == (0.1, None, None)
    wide = over_seeds([0.0, 0.9], lowest=0.0)
    assert (wide.low, wide.high) == (0.0, 1.0), "no difference of shares lies beyond"


def test_an_interval_holds_its_value():
    assert Interval(0.3, 0.1, 0.2, 4).rounded() == Interval(0.3, 0.1, 0.3, 4)
    assert Interval(0.0, 0.1, 0.2, 4).rounded() == Interval(0.0, 0.0, 0.2, 4)
