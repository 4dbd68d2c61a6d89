"""What another training gives beside the intervals of the first."""

from __future__ import annotations

import json

import pytest

from llinet_lite.course import replication


def keep(folder, run, lesson, *rows):
    known = {"chance": None, "paper": None, "profile": "laptop", "unit": "", "minutes": 0.0, "n": 9}
    entries = [known | dict(zip(("name", "value", "low", "high", "seeds"), row, strict=True)) for row in rows]
    path = folder / run / f"{lesson}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"results": entries}), encoding="utf-8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LLINET_RESULTS", str(tmp_path))
    return tmp_path


def test_what_lies_outside_is_counted(folder):
    three, one = [0, 1, 2], [0]
    rows = (("a", 0.5, 0.4, 0.6, three), ("b", 0.5, 0.4, 0.6, three), ("c", 0.5, 0.4, 0.6, one))
    keep(folder, "laptop", "01_x", *rows, ("constant", 0.1, 0.0, 0.2, []))
    again = [("a", 0.6, 0.5, 0.7, one), ("b", 0.61, 0.5, 0.7, one), ("c", 0.9, 0.8, 1.0, one)]
    keep(folder, "laptop-again", "01_x", *again, ("new", 0.5, 0.4, 0.6, one))
    frame = replication()
    assert frame.loc["01_x"].tolist() == [2, 1, 0.5], "c has one seed, and new no number before"
    assert frame.loc["all"].tolist() == [2, 1, 0.5]


def test_an_earlier_run_of_a_lesson_goes_first(folder):
    keep(folder, "laptop", "07_x", ("a", 0.5, 0.4, 0.6, [0, 1, 2]))
    keep(folder, "laptop-earlier", "07_x", ("a", 0.9, 0.8, 1.0, [0, 1, 2]))
    keep(folder, "laptop-again", "07_x", ("a", 0.5, 0.4, 0.6, [0]))
    assert replication().loc["all", "outside"] == 1
    assert replication(first=("laptop",)).loc["all", "outside"] == 0
