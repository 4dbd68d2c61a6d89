"""The benchmark's arithmetic; its times are never asserted."""

from __future__ import annotations

import dataclasses
import json
import math
import os

import cv2
import numpy as np
import pytest
import torch

from llinet_lite import bench
from llinet_lite.course.profiles import PROFILES
from llinet_lite.data.bandstand import WorldSet
from llinet_lite.data.store import Store

TINY = WorldSet("tiny", 32, 8000, 1.2, 2, train_share=0.0001, held_out=1, mixed=1)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder with the store of TINY, and the row of its build."""
    folder = tmp_path_factory.mktemp("bench")
    return folder, bench.world_rows(folder, [TINY])


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


def state():
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return affinity, torch.get_num_threads(), cv2.getNumThreads()


def test_one_core_is_one_core_and_is_given_back():
    before = state()
    with pytest.raises(KeyError), bench.one_core():
        affinity, threads, opencv = state()
        assert threads == opencv == 1 and (affinity is None or len(affinity) == 1)
        raise KeyError
    assert state() == before


def test_build_and_import_measure_what_they_did(built, monkeypatch):
    folder, rows = built
    assert [row.unit for row in rows] == ["clips/s"] and rows[0].ours > 0
    assert rows[0].name == "world build, 32 px, 8 kHz, 1 process(es)"  # 24 clips are one shard
    monkeypatch.setattr("llinet_lite.data.parallel.cores", lambda: 1)
    row = bench.import_row(folder, Store(folder / "tiny"))
    imported = Store(folder / "imported")
    assert row.unit == "files/s" and row.ours > 0
    assert imported.manifest["excluded"] == []
    counts = {name: (part["images"], part["sounds"]) for name, part in imported.splits.items()}
    assert counts == {"train": (12, 12), "unseen": (12, 12)}
    written = [path for path in (folder / "files").rglob("*.*") if path.is_file()]
    assert len(written) == 48  # one picture and one sound of each of 24 clips


def test_unpacked_sounds_are_the_store_s(built, tmp_path):
    store = Store(built[0] / "tiny")
    files = bench.unpack(store, tmp_path, 5)
    assert len(files) == 5 and all(path.is_file() for pair in files for path in pair)
    assert len({sound.read_bytes() for _, sound in files}) == 5


def test_samples_are_compared_three_ways(built, tmp_path):
    before, store = state(), Store(built[0] / "tiny")
    rows = bench.batch_rows(store, 28, bench.unpack(store, tmp_path, 4), repeats=1)
    assert ["LogMel" in row.name for row in rows] == [False, True]
    assert rows[0].plain == rows[1].plain > 0 and all(row.ratio > 0 for row in rows)
    assert state() == before


def test_librosa_computes_what_logmel_computes():
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype(np.float32)
    ours = bench.LogMel(16000)
    expected = bench.librosa_mel(sound, ours)
    np.testing.assert_allclose(ours(torch.from_numpy(sound)[None])[0].T.numpy(), expected, atol=1e-4)


def test_features_and_training_steps_run():
    assert [row.name.split(",")[0] for row in bench.feature_rows(clips=2, repeats=1)] == [
        "LogSpectrogram",
        "LogMel",
    ]
    row = bench.training_row(dataclasses.replace(PROFILES["smoke"], width=2), CPU, 4, repeats=1)
    assert row.unit == "pairs/s" and row.ratio > 0 and "batch 4" in row.name


def test_batches_of_the_training_steps():
    full = [(profile.name, batch) for profile, batch in bench.steps(CPU, quick=False)]
    own = [(name, PROFILES[name].batch_size) for name in ("smoke", "laptop")]
    assert full == [*own, ("gpu", 8)]
    assert [profile.name for profile, _ in bench.steps(CPU, quick=True)] == ["smoke", "laptop"]
    assert {batch for _, batch in bench.steps(torch.device("cuda"), quick=False)} == {128}
