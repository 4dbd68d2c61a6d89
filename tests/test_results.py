"""Results: checks, intervals over seeds, tables, files."""

import json

import numpy as np
import pytest
from scipy.stats import t as student

from llinet_lite.results import (
    Result,
    ResultError,
    interval_over_seeds,
    machine,
    markdown,
    over_seeds,
    read,
    table,
    write,
    write_json,
)

GOOD = Result(
    "L3-Net, AVC accuracy", 0.812, 0.799, 0.824, 0.5, 0.808, "", (0,), 4000, "laptop", "ab" * 32, "cpu", 12.5
)


def changed(**fields):
    return Result.from_json(GOOD.to_json() | fields)


def test_json_round_trip():
    assert Result.from_json(json.loads(json.dumps(GOOD.to_json()))) == GOOD
    numpy = Result("x", np.float32(0.5), seeds=[np.int64(3)], n=np.int64(7))
    assert Result.from_json(json.loads(json.dumps(numpy.to_json()))) == numpy


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": " "}, "name must not be empty"),
        ({"name": 3}, "name must be text; it is 3"),
        ({"value": float("nan")}, "value must be a finite number; it is nan"),
        ({"value": None}, "value must be a finite number"),
        ({"value": "0.8"}, "value must be a finite number; it is '0.8'"),
        ({"value": True}, "value must be a finite number"),
        ({"value": 0.9}, r"value must lie in its interval \[0.799, 0.824\]; it is 0.9"),
        ({"low": None}, "low must come with high"),
        ({"n": 1.5}, "n must be a whole number"),
        ({"n": -1}, "n must be a whole number, zero or more; it is -1"),
        ({"seeds": [1, 1]}, "seeds must differ"),
        ({"seeds": [0.5]}, "seeds must be a list of whole numbers"),
        ({"seeds": 3}, "seeds must be a list of whole numbers"),
        ({"minutes": -2}, "minutes must not be negative"),
        ({"colour": "red"}, r"unknown fields \['colour'\]; the fields are name, value, low"),
    ],
)
def test_wrong_fields_are_named(fields, sentence):
    with pytest.raises(ResultError, match=sentence):
        changed(**fields)


def test_above_chance():
    assert GOOD.above_chance is True
    assert changed(low=0.49).above_chance is False
    assert changed(low=None, high=None).above_chance is None
    assert changed(chance=None).above_chance is None


def test_interval_over_seeds_is_students():
    values = [0.80, 0.83, 0.78]
    mean, low, high = interval_over_seeds(values)
    want = student.interval(0.95, 2, np.mean(values), np.std(values, ddof=1) / 3**0.5)
    assert mean == pytest.approx(np.mean(values)) and (low, high) == pytest.approx(want)
    assert interval_over_seeds([0.7]) == (0.7, None, None)
    for bad in ([], [np.nan], [[1.0]]):
        with pytest.raises(ResultError, match="one per seed"):
            interval_over_seeds(bad)


def test_over_seeds():
    runs = [changed(value=v, seeds=[s], low=None, high=None) for s, v in enumerate((0.80, 0.83, 0.78))]
    together = over_seeds(runs)
    assert together.seeds == (0, 1, 2) and together.minutes == 37.5 and together.n == 4000
    assert (together.value, together.low, together.high) == interval_over_seeds([0.80, 0.83, 0.78])
    assert over_seeds([GOOD]) == GOOD
    with pytest.raises(ResultError, match="differ in data_hash"):
        over_seeds([GOOD, changed(data_hash="cd", seeds=[1])])
    with pytest.raises(ResultError, match="seeds must differ"):
        over_seeds([GOOD, GOOD])
    with pytest.raises(ResultError, match="at least one"):
        over_seeds([])


def test_table_and_markdown():
    frame = table([GOOD, Result("a | b", 12.348, unit="s")])
    assert frame["here [95 %]"].tolist() == ["81.2 [79.9, 82.4]", "12.35"]
    assert frame["paper"].tolist() == ["80.8", ""] and frame["chance"].tolist() == ["50.0", ""]
    assert frame["unit"].tolist() == ["%", "s"] and frame["data"][0] == "abababab"
    assert list(table([GOOD], details=False)) == ["name", "here [95 %]", "chance", "paper", "unit"]
    lines = markdown(frame).splitlines()
    assert lines[1].startswith("| --- |") and "a \\| b" in lines[3] and len(lines) == 4


def test_machine_and_json(tmp_path):
    assert machine()["cores"] >= 1 and machine()["processor"]
    assert json.loads(write_json(tmp_path / "a.json", machine()).read_text()) == machine()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_files(tmp_path):
    path = write(tmp_path / "deep" / "results.json", [GOOD, changed(seeds=[1])])
    assert read(path) == [GOOD, changed(seeds=[1])]
    assert [item.name for item in path.parent.iterdir()] == ["results.json"]
    with pytest.raises(ResultError, match="holds no readable results"):
        read(tmp_path / "absent.json")
    path.write_text("{}")
    with pytest.raises(ResultError, match="must hold a JSON list"):
        read(path)
    path.write_text("[3]")
    with pytest.raises(ResultError, match="this is 3"):
        read(path)
