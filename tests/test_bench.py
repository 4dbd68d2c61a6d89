"""The benchmark's arithmetic; its times are never asserted."""

from __future__ import annotations

import json
import math

from llinet_lite import bench


def test_ways_take_turns_and_medians_are_reported(monkeypatch):
    clock = iter([0.0, 1.0, 1.0, 3.0, 3.0, 3.5, 3.5, 4.5, 4.5, 6.5, 6.5, 7.5])
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(clock))
    order = []

    def way(name):
        return lambda: order.append(name) or 10

    first, second = bench.rates([way("a"), way("b")], repeats=3, warm=False)
    assert order == ["a", "b"] * 3
    assert first == 10 / 1.0 and second == 10 / 1.0


def test_a_row_without_a_rival_has_no_ratio(tmp_path):
    rows = [bench.Row("import", "files/s", 20.0), bench.Row("step", "pairs/s", 30.0, 10.0, "the plain loop")]
    assert math.isnan(rows[0].ratio) and rows[1].ratio == 3.0
    assert "3.0x" in bench.line(rows[1]) and "x " not in bench.line(rows[0])
    bench.save(rows, tmp_path / "bench.json")
    kept = json.loads((tmp_path / "bench.json").read_text("utf-8"))
    assert kept["rows"][1]["ratio"] == 3.0 and kept["rows"][0]["plain"] is None
    assert bench.load(tmp_path / "bench.json") == kept
