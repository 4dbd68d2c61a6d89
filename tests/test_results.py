"""Results, tables, published numbers and the verdicts on claims."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from llinet_lite import results
from llinet_lite.profiles import PROFILES
from llinet_lite.results import Claim, Result, ResultError, Table, claims, difference, papers

GOOD = Result("accuracy", 0.8, 0.7, 0.9, 0.5, 0.876, "", (0, 1, 2), 100, "laptop", "ab12", "cpu", 1.5)


def changed(**fields) -> Result:
    return dataclasses.replace(GOOD, **fields)


def test_a_result_survives_json_and_is_shown():
    assert Result(**json.loads(json.dumps(GOOD.to_json()))) == GOOD
    assert GOOD.shown() == "80.0 [70.0, 90.0]" and changed(low=None, high=None).shown() == "80.0"
    assert changed(value=0.12345, low=None, high=None, unit="nats").shown() == "0.1235"
    assert GOOD.shown(sign=True) == "+80.0 [+70.0, +90.0]"
    rough = Result("a", np.float32(0.5), seeds=[np.int64(1)], n=np.int64(3), minutes=2)
    assert json.dumps(rough.to_json()) and (rough.seeds, rough.n, rough.minutes) == ((1,), 3, 2.0)


@pytest.mark.parametrize(("make", "says"), [
    (lambda: changed(name=" "), "needs a name"),
    (lambda: changed(value=float("nan")), "value is nan"),
    (lambda: changed(value=0.95), r"0.95 is not in \[0.7, 0.9\]"),
    (lambda: changed(seeds=(1, 1)), "a seed occurs twice"),
    (lambda: results.readme(f"{results.END} {results.BEGIN}"), "must hold each of these lines once"),
])  # fmt: skip
def test_refusals(make, says):
    with pytest.raises(ResultError, match=says):
        make()


@pytest.mark.parametrize(
    "text",
    ["hello", "[]", '{"results": [3]}', '{"results": [{"name": "a"}]}', '{"results": [{"a": 1}]}', ""],
)
def test_files_that_hold_no_results(tmp_path, text):
    if text:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(ResultError, match=r"a.json holds no results"):
        results.read(tmp_path / "a.json")


def test_tables_of_results():
    frame = results.table([GOOD])
    assert frame.iloc[0].tolist()[:7] == ["accuracy", "80.0 [70.0, 90.0]", "50.0", "87.6", "%", 3, 100]
    assert list(results.table([GOOD], details=False)) == ["name", "here [95 %]", "chance", "paper", "unit"]
    lines = results.markdown(results.table([changed(name="a | b")], details=False)).splitlines()
    assert lines[1].startswith("| --- |") and "a \\| b" in lines[2]


# ---- the table of an experiment


@pytest.fixture
def table() -> Table:
    rng = np.random.default_rng(0)
    values = {
        name: {"mAP I2A": rng.random((seeds, 40)), "R@1 I2A": (rng.random((seeds, 40)) < 0.3) * 1.0}
        for name, seeds in (("LLINet", 3), ("CME", 3), ("ours", 1))
    }
    return Table(
        values, clips=np.arange(40) // 2, chance={"mAP I2A": 0.1}, seeds={"LLINet": (0, 1, 2)},
        minutes={"LLINet": 4.5},
    )  # fmt: skip


def test_a_table_gives_intervals_results_and_a_frame(table):
    from llinet_lite.metrics.intervals import Cell

    assert table.columns == ["mAP I2A", "R@1 I2A"]
    own, clips = table.values["LLINet"]["mAP I2A"], np.arange(40) // 2
    assert table.interval("LLINet", "mAP I2A") == Cell.mean(own, clips).interval()
    worth = Cell.mean(own - table.values["CME"]["mAP I2A"], clips, limits=(-1, 1)).interval()
    assert table.difference("LLINet", "CME", "mAP I2A") == worth
    cells = {"a": {"x": Cell.mean(own, clips)}, "b": {"x": Cell.mean(own[:1], clips)}}
    made = Table(cells)
    assert made.interval("a", "x") == table.interval("LLINet", "mAP I2A")
    assert made.difference("a", "b", "x").value == pytest.approx(own.mean() - own[0].mean())
    place = SimpleNamespace(profile=PROFILES["smoke"], data_hash="ab")
    found = {result.name: result for result in table.results(place)}
    one = found["mAP I2A, LLINet"]
    assert (one.chance, one.paper, one.seeds, one.n, one.minutes) == (0.1, 0.493, (0, 1, 2), 40, 4.5)
    assert (one.profile, one.data_hash) == ("smoke", "ab") and found["mAP I2A, ours"].paper is None
    frame = table.frame()
    assert list(frame.index) == ["chance", "LLINet", "CME", "ours"]
    assert frame.loc["LLINet", "paper mAP I2A"] == "49.3" and frame.loc["chance", "mAP I2A"] == "10.0"
    assert frame.loc["ours", "paper mAP I2A"] == "-"


def test_published_numbers():
    known = papers()
    assert known["mAP I2A"]["CMPM"] == 39.3 / 100 and known["pointing"]["own sound"] == 0.817
    assert known["nDCG@30, im-aud"]["AVE-Net"] == 0.561 and known["hm"]["LLINet (VGGish)"] == 51.9 / 100
    numbers = [v for column, rows in known.items() if column != "success plot" for v in rows.values()]
    assert len(numbers) > 90 and all(0 < value < 1 for value in numbers)


# ---- what is kept


@pytest.fixture
def keep(tmp_path, monkeypatch):
    """Keep results of lesson 01 of a run in a checkout of its own."""
    monkeypatch.setattr(results, "HERE", tmp_path / "llinet_lite")
    monkeypatch.setattr(results.kept, "__defaults__", (tmp_path,))

    def write(run: str, *rows: Result) -> None:
        path = tmp_path / "results" / run / "01_x.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"results": [row.to_json() for row in rows]}))

    return write


def row(name, value, low, high, seeds=3, **more) -> Result:
    return Result(name, value, low, high, seeds=tuple(range(seeds)), **more)


def test_interval_of_a_difference():
    value, low, high = difference((0.8, 0.7, 0.9), (0.5, 0.4, 0.6))
    assert (value, low, high) == pytest.approx((0.3, 0.3 - 0.02**0.5, 0.3 + 0.02**0.5))
    assert difference((0.8, 0.75, 0.9), (0.5, 0.5, 0.5)) == pytest.approx((0.3, 0.25, 0.4))
    assert difference((0.8, None, None), (0.5, 0.4, 0.6)) == (pytest.approx(0.3), None, None)


def claim(*higher: str, margin: float = 0.0) -> Claim:
    return Claim("", "", "", "", higher=higher, margin=margin)


@pytest.mark.parametrize(("higher", "margin", "verdict"), [
    (["01 high > 01 low"], 0, "held"),
    (["01 low > 01 high"], 0, "did not hold"),
    (["01 high > chance", "01 low > 01 mid"], 0, "not decided"),
    (["01 high > 0.5"], 0, "held"),
    (["0.5 > 01 high"], 0, "did not hold"),
    (["01 {high|nosuch} > 01 low"], 0, "not decided"),
    (["01 nosuch > 01 low"], 0, "not tested here"),
    (["01 mid > chance"], 0, "not tested here"),
    (["01 mid > 01 low"], 0, "not decided"),
    (["01 mid > 01 low"], 0.2, "held"),
    (["01 bare > 01 low"], 0, "not decided"),
    (["01 alone > 0.45"], 0, "not decided"),
    (["01 alone > 0.35"], 0, "held"),
    (["01 mIoU, Baseline > 0.45"], 0, "held"),
    (["01 R@1 I2A, X > 0.45"], 0, "not decided"),
    (["0.58 > 01 acc, X"], 0, "not decided"),
    (["0.62 > 01 acc, X"], 0, "held"),
])  # fmt: skip
def test_verdicts(keep, higher, margin, verdict):
    tight = (0.5, 0.49, 0.51)
    rows = [row("high", 0.8, 0.75, 0.85, chance=0.5), row("mid", 0.5, 0.3, 0.7), row("low", 0.4, 0.38, 0.42)]
    rows += [row("bare", 0.9, None, None), row("alone", *tight, 1), row("mIoU, Baseline", *tight, 1)]
    keep("laptop", *rows, row("R@1 I2A, X", *tight), row("acc, X", *tight))
    assert claim(*higher, margin=margin).judge() == verdict


def test_braces_stand_for_several_comparisons():
    assert claim("01 {a|b}, x > 01 {a|b}, {y|z}").pairs() == [
        ("01 a, x", "01 a, y"), ("01 a, x", "01 a, z"), ("01 b, x", "01 b, y"), ("01 b, x", "01 b, z"),
    ]  # fmt: skip


def test_the_claims_of_the_papers():
    """Every comparison names results that lessons keep; the verdicts are those of lesson 09."""
    words = [one.judge() for one in claims()]
    assert len(words) == 39
    counts = {word: words.count(word) for word in (results.HELD, results.NOT_HELD, results.UNTESTED)}
    assert counts == {"held": 12, "did not hold": 2, "not tested here": 2}
    for one in claims():
        for pair in one.pairs():
            for name in pair:
                number = name == "chance" or name.replace(".", "").isdigit()
                assert number or results.lookup("laptop", name), f"{name} is not among the results"
    frame = results.claims_frame()
    assert frame.verdict.tolist() == words and frame.loc[[7, 29], "lesson"].tolist() == ["02", "09"]
    assert frame.loc[1, "measured [95 %]"] == "01 AVC accuracy, all 86.5 [84.3, 88.7] > chance 50.0"
