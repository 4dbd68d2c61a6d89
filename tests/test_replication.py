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
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    return tmp_path / "results"


def test_what_differs_is_counted(folder):
    three, one = [0, 1, 2], [0]
    rows = [(name, 0.5, 0.4, 0.6, three) for name in ("inside", "outside", "apart below", "apart above")]
    keep(folder, "laptop-earlier", "01_x", *rows, ("c", 0.5, 0.4, 0.6, one), ("constant", 0.1, 0.0, 0.2, []))
    again = [("inside", 0.6, 0.5, 0.7, three), ("outside", 0.64, 0.54, 0.74, three)]
    again += [("apart below", 0.35, 0.1, 0.45, three), ("apart above", 0.65, 0.55, 0.9, three)]
    keep(folder, "laptop", "01_x", *again, ("c", 0.9, 0.8, 1.0, three), ("new", 0.5, 0.4, 0.6, three))
    frame = replication()
    assert frame.loc["01_x"].tolist() == [4, 3, 2], "c had one seed, and new no number before"
    assert frame.loc["all"].tolist() == [4, 3, 2]


def test_halves_that_face_each_other_count(folder):
    keep(folder, "laptop-earlier", "01_x", ("a", 0.5, 0.1, 0.51, [0, 1, 2]))
    keep(folder, "laptop", "01_x", ("a", 0.6, 0.59, 1.0, [0, 1, 2]))
    assert replication().loc["all", "apart"] == 1
    assert replication("laptop", "laptop-earlier").loc["all", "apart"] == 1, "the order does not matter"


def test_a_lesson_measured_once_compares_nothing(folder):
    keep(folder, "laptop-earlier", "07_x", ("a", 0.5, 0.4, 0.6, [0, 1, 2]))
    keep(folder, "laptop", "09_x", ("a", 0.5, 0.4, 0.6, [0, 1, 2]))
    frame = replication()
    assert "09_x" not in frame.index
    assert frame.loc["all"].tolist() == [0, 0, 0]
