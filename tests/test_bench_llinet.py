"""The benchmark of LLINet's training step: both sides do the same work; its times are never asserted."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing

import numpy as np
import pytest
import torch

from llinet_lite import bench, training
from llinet_lite.bench import llinet
from llinet_lite.profiles import PROFILES

CPU = torch.device("cpu")
TINY = dataclasses.replace(PROFILES["smoke"], width=8, embedding=8, llinet_pixels=48, llinet_seconds=0.4)
BATCH = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Samples of TINY and their activations."""
    place = tmp_path_factory.mktemp("samples")
    llinet._write(TINY, CPU, BATCH, place)
    return place


@pytest.fixture
def precision(monkeypatch):
    """Choose in what the machine would train."""
    return lambda name: monkeypatch.setattr(training, "choose_precision", lambda device: name)


@pytest.fixture
def unweighed(monkeypatch):
    """Leave out the processes that memory is measured in."""
    monkeypatch.setattr(llinet, "_memory", lambda *given: math.nan)


def weights(step):
    return {name: weight.detach().clone() for name, weight in step.model.named_parameters()}


def test_the_ways_take_the_same_step(folder, precision):
    precision("32-true")
    steps = {way: llinet._Step(way, TINY, CPU, folder) for way in llinet.WAYS}
    before = weights(steps["plain"])
    for step in steps.values():
        assert [step(), step()] == [BATCH] * 2
    after = weights(steps["plain"])
    changes = {name: after[name] - before[name] for name in before}
    moved = {name for name, change in changes.items() if change.any()}
    assert moved == {name for name in before if not name.startswith("network.trunk.")}
    length = torch.cat([change.flatten() for change in changes.values()]).norm()
    for way in ("kept", "recomputed"):
        gap = [(weight - after[name]).flatten() for name, weight in weights(steps[way]).items()]
        # of the activations float16 keeps eleven bits
        assert torch.cat(gap).norm() < {"kept": 1e-2, "recomputed": 1e-3}[way] * length, way


def test_only_ours_is_in_half_precision_with_channels_last(folder, precision):
    precision("bf16-mixed")
    for way in llinet.WAYS:
        step = llinet._Step(way, TINY, CPU, folder)
        ours, weight = way != "plain", step.model.network.attention[0].conv1.weight
        kinds, hook = (
            [],
            step.model.network.attention.register_forward_hook(
                lambda *given: kinds.append(given[-1].dtype)  # noqa: B023
            ),
        )
        step()
        hook.remove()
        assert kinds == [torch.bfloat16 if ours else torch.float32]
        assert weight.is_contiguous(memory_format=torch.channels_last) == ours
        assert set(step.arrays) == {
            "audio", "label", *(("early", "late") if way == "kept" else ("image",))
        }  # fmt: skip
        assert all(isinstance(array, np.memmap) for array in step.arrays.values())


def test_the_trunk_of_random_weights_fits_float16(tmp_path):
    llinet._write(dataclasses.replace(TINY, trunk="auto"), CPU, 2, tmp_path)
    for tap, shape in {"early": (2, 512, 6, 6), "late": (2, 1024, 3, 3)}.items():
        values = np.load(tmp_path / f"{tap}.npy")
        assert (values.dtype, values.shape) == (np.float16, shape)
        assert 0.1 < values.astype(np.float32).std() < 100


def test_rows_of_the_step(unweighed):
    kept, recomputed = bench.llinet_rows(TINY, CPU, BATCH, repeats=1)
    assert kept.name == f"LLINet step, smoke size: 48 px, batch {BATCH}, trunk kept"
    assert recomputed.name == kept.name.replace("kept", "recomputed")
    assert kept.unit == recomputed.unit == "samples/s" and kept.plain == recomputed.plain
    assert min(kept.ratio, recomputed.ratio) > 0
    assert (
        "stand-in of width 8 and librosa" in kept.against
        and f"{training.choose_precision(CPU)}" in kept.against
    )


@pytest.mark.parametrize("wrong", ["log-mel", "late"])
def test_speeds_of_different_inputs_are_refused(wrong, unweighed, monkeypatch):
    if wrong == "log-mel":
        right = llinet.librosa_mel
        monkeypatch.setattr(llinet, "librosa_mel", lambda *given: right(*given) + 0.5)
    else:
        write = llinet._write

        def shuffled(profile, device, batch, folder):
            write(profile, device, batch, folder)
            np.save(folder / "late.npy", np.load(folder / "late.npy")[::-1])

        monkeypatch.setattr(llinet, "_write", shuffled)
    with pytest.raises(RuntimeError, match=f"trunk kept: its {wrong} is .* the plain step's"):
        bench.llinet_rows(TINY, CPU, BATCH, repeats=1)


@pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="Windows tells no memory"
)
def test_memory_is_the_step_s_own(folder):
    import resource

    np.ones(10**8)  # 0.8 GB, which a child would inherit as its peak if it were started directly
    before = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9
    small = llinet._memory("kept", TINY, CPU, folder)
    assert 0.2 < small < before - 0.4


def test_sizes_of_the_step():
    def named(sizes):
        return [(profile.name, batch) for profile, batch in sizes]

    assert named(bench.llinet_sizes(CPU, quick=True)) == [("laptop", 32)]
    assert named(bench.llinet_sizes(CPU, quick=False)) == [("laptop", 32), ("gpu", 24)]
    assert named(bench.llinet_sizes(torch.device("cuda"), quick=False)) == [("laptop", 128), ("gpu", 128)]
