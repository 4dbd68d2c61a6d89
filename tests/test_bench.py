"""The benchmark's arithmetic; its times are never asserted."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sys
import time

import cv2
import faiss
import numpy as np
import pytest
import torch

from llinet_lite import bench
from llinet_lite.bench import by_class, search, suite
from llinet_lite.data.bandstand import WorldSet
from llinet_lite.data.store import Store
from llinet_lite.features import LogMel
from llinet_lite.metrics.neighbours import KINDS
from llinet_lite.profiles import PROFILES

TINY = WorldSet("tiny", 32, 8000, 1.2, 2, train_share=0.0001, held_out=1, mixed=1)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Folder with the store of TINY, and the row of its build."""
    folder = tmp_path_factory.mktemp("bench")
    return folder, bench.world_rows(folder, [TINY])


def test_ways_take_turns_and_medians_are_reported(monkeypatch):
    clock = iter([0.0, 1.0, 1.0, 3.0, 3.0, 3.5, 3.5, 4.5, 4.5, 6.5, 6.5, 7.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
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


def test_a_row_tells_recall_and_what_was_left_out(tmp_path):
    nothing = float("nan")
    rows = [
        bench.Row("search", "queries/s", 40.0, 10.0, "exact", recall=0.25, note="hard"),
        bench.Row("build", "vectors/s", nothing, note="left out"),
    ]
    assert bench.line(rows[0]).endswith("4.0x  exact  recall@30 0.250  hard")
    assert bench.line(rows[1]).split() == ["build", "-", "vectors/s", "left", "out"]
    bench.save(rows, tmp_path / "bench.json")
    search, build = bench.load(tmp_path / "bench.json")["rows"]
    assert (search["recall"], search["note"], search["ratio"]) == (0.25, "hard", 4.0)
    assert (build["ours"], build["recall"], build["note"]) == (None, None, "left out")


def state():
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return affinity, torch.get_num_threads(), cv2.getNumThreads(), faiss.omp_get_max_threads()


def test_one_core_is_one_core_and_is_given_back():
    before = state()
    with pytest.raises(KeyError), bench.one_core():
        affinity, *threads = state()
        assert threads == [1, 1, 1] and (affinity is None or len(affinity) == 1)
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
    ours = LogMel(16000)
    expected = bench.librosa_mel(sound, ours)
    np.testing.assert_allclose(ours(torch.from_numpy(sound)[None])[0].T.numpy(), expected, atol=1e-4)


def test_both_features_are_measured():
    rows = bench.feature_rows(clips=2, repeats=1)
    assert [row.name.split(",")[0] for row in rows] == ["LogSpectrogram", "LogMel"]


@pytest.mark.parametrize("network", bench.NETWORKS)
def test_training_steps_run(network, monkeypatch):
    made = []
    kind = bench.NETWORKS[network]
    monkeypatch.setitem(bench.NETWORKS, network, lambda width: made.append(kind(width=width)) or made[-1])
    profile = dataclasses.replace(PROFILES["smoke"], width=2)
    row = bench.training_row(network, profile, CPU, 4, repeats=1)
    assert row.unit == "pairs/s" and row.ratio > 0
    assert row.name == f"{network} step, smoke size: 64 px, width 2, batch 4"
    assert len(made) == 2  # one for each way
    for model in made:
        assert all(part.grad is not None for part in model.parameters())


def test_batches_of_the_training_steps():
    full = [(profile.name, batch) for profile, batch in bench.steps(CPU, quick=False)]
    own = [(name, PROFILES[name].batch_size) for name in ("smoke", "laptop")]
    assert full == [*own, ("gpu", 8)]
    assert [profile.name for profile, _ in bench.steps(CPU, quick=True)] == ["smoke", "laptop"]
    assert {batch for _, batch in bench.steps(torch.device("cuda"), quick=False)} == {128}


# ---- retrieval


def test_ndcg_is_timed_against_two_rivals_that_agree():
    before = state()
    rows = bench.ndcg_rows(12, 100, sample=5, repeats=1)
    assert {row.name for row in rows} == {"nDCG@30, 12 x 100, 1 core"}
    assert [row.against.split(",")[0] for row in rows] == ["scikit-learn", "torchmetrics"]
    assert all("5 of the queries" in row.against and row.ratio > 0 for row in rows)
    assert rows[0].ours == rows[1].ours and state() == before


def test_speeds_of_different_values_are_refused(monkeypatch):
    right = search.ndcg
    monkeypatch.setattr(search, "ndcg", lambda *given: right(*given) + 1e-3)
    with pytest.raises(RuntimeError, match=r"differs from that of scikit-learn by 0\.001"):
        bench.ndcg_rows(4, 50, sample=4, repeats=1)


def test_retrieval_by_class_is_timed_against_a_rival_that_agrees():
    before = state()
    (row,) = bench.class_rows(40, sample=6, repeats=1)
    assert row.name == "R@1 and mAP, both directions, 40 x 40, 1 core" and row.unit == "queries/s"
    assert row.against.endswith("12 of the queries") and row.ratio > 0 and state() == before
    (row,) = bench.class_rows(24, sample=500, repeats=1)
    assert row.against.endswith("48 of the queries")


def test_speeds_of_different_precisions_are_refused(monkeypatch):
    right = by_class.class_retrieval
    monkeypatch.setattr(by_class, "class_retrieval", lambda scores, *labels: right(-scores, *labels))
    with pytest.raises(RuntimeError, match="R@1 or mAP differs from that of scikit-learn"):
        bench.class_rows(40, sample=6, repeats=1)


def test_without_torchmetrics_nothing_is_begun(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.retrieval", None)
    monkeypatch.setattr(suite, "world_rows", lambda folder: pytest.fail("begun"))
    with pytest.raises(ImportError, match="torchmetrics, which is not installed: run `make setup`"):
        bench.run(say=lambda text: None)


def test_indexes_are_built_searched_and_left_out_aloud():
    rows = {row.name.split(", 300")[0]: row for row in bench.index_rows(300, ("hnsw",), repeats=1)}
    assert list(rows) == [
        *(f"index build, {kind}" for kind in KINDS),
        "index search, exact",
        "index search, hnsw",
    ]
    exact, hnsw = rows["index search, exact"], rows["index search, hnsw"]
    assert math.isnan(exact.plain) and math.isnan(exact.recall)
    assert hnsw.plain == exact.ours > 0 and hnsw.recall > 0.99 and "hardest" in hnsw.note
    build, missing = rows["index build, hnsw"], rows["index build, ivfpq"]
    assert build.note.endswith(" s") and build.ours == pytest.approx(300 / float(build.note[:-2]), rel=0.01)
    assert math.isnan(missing.ours) and missing.note.startswith("left out")


def test_recall_is_that_of_the_index_searched(monkeypatch):
    build = search.Index.build
    half = torch.arange(300)[:, None] % 2 * 2 - 1  # every second vector is turned round, and not found again
    wrong = lambda vectors, kind: build(vectors if kind == "exact" else vectors * half, kind)  # noqa: E731
    monkeypatch.setattr(search.Index, "build", wrong)
    *_, row = bench.index_rows(300, ("hnsw",), repeats=1)
    assert 0.2 < row.recall < 0.8


def test_a_million_vectors_are_indexed_only_when_asked():
    sizes = dict(bench.indexes(quick=False, full=False))
    assert list(sizes) == [10**4, 10**5, 10**6] and sizes[10**6] == ()
    assert all(set(kinds) == set(KINDS[1:]) for _, kinds in bench.indexes(quick=False, full=True))
    assert [size for size, _ in bench.indexes(quick=True, full=False)] == [10**4]


# ---- the whole


def test_quick_and_full_exclude_each_other():
    with pytest.raises(ValueError, match="both quick and full"):
        bench.run(quick=True, full=True)


def test_the_whole_measures_every_part(monkeypatch):
    """With the world of TINY, and a row that names itself and its sizes in place of every other part."""
    folders, said = [], []

    def named(name, sizes, alone):
        row = lambda *given, **_: bench.Row(" ".join(map(str, (name, *given[:sizes]))), "x/s", 1.0)  # noqa: E731
        monkeypatch.setattr(suite, name, row if alone else lambda *given, **_: [row(*given)])

    several = {"batch_rows": 0, "feature_rows": 0, "llinet_rows": 1}
    several |= {"ndcg_rows": 0, "class_rows": 1, "index_rows": 2}
    for name, sizes in several.items():
        named(name, sizes, alone=False)
    for name, sizes in {"import_row": 0, "training_row": 2}.items():
        named(name, sizes, alone=True)
    monkeypatch.setattr(suite, "PLANS", (TINY, TINY))
    monkeypatch.setattr(suite, "unpack", lambda *given: None)
    monkeypatch.setattr(
        suite, "world_rows", lambda folder: folders.append(folder) or bench.world_rows(folder, [TINY])
    )
    monkeypatch.setattr(suite, "steps", lambda device, quick: [("laptop", 32), ("paper", 8)])
    monkeypatch.setattr(suite, "llinet_sizes", lambda device, quick: [("laptop", 32), ("paper", 24)])
    rows = bench.run(quick=True, say=said.append)
    steps = [f"training_row {network} {size}" for network in bench.NETWORKS for size in ("laptop", "paper")]
    assert [row.name for row in rows[1:]] == [
        *("import_row", "batch_rows", "batch_rows", "feature_rows"),
        *(*steps, "llinet_rows laptop", "llinet_rows paper"),
        *("ndcg_rows", "class_rows 747", "class_rows 5000", "index_rows 10000 ('hnsw',)"),
    ]
    assert said[1:] == [bench.line(row) for row in rows]
    assert len(folders) == 1 and not folders[0].exists()
