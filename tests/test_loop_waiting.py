"""Reading ahead, waiting for data, and a compiled step: none of it changes a number."""

from __future__ import annotations

import dataclasses
import threading
import time

import pytest
import torch
from test_training import TIMES, Batches, fingerprint, network, options, step, unbroken, without_times

from llinet_lite import loop
from llinet_lite.data import parallel
from llinet_lite.data.parallel import ahead
from llinet_lite.loop_parts import Pace, Waiting, pinned
from llinet_lite.training import fit

# ------------------------------------------------------------------------------------- reading ahead


@pytest.mark.parametrize("threads", [0, 1, 3, 50])
def test_results_come_in_order_whoever_is_first(threads):
    def load(place):
        time.sleep(0.002 * (place % 3))
        return place * place

    assert list(ahead(load, range(20), threads)) == [k * k for k in range(20)]
    assert list(ahead(load, [], threads)) == []


def test_no_more_is_read_than_is_soon_needed():
    begun, lock = [], threading.Lock()

    def load(place):
        with lock:
            begun.append(place)
        return place

    results = ahead(load, range(100), 3)
    assert next(results) == 0
    time.sleep(0.05)
    assert len(begun) <= 5
    results.close()  # who stops early leaves no thread at work
    time.sleep(0.02)
    count = len(begun)
    time.sleep(0.05)
    assert len(begun) == count and not [t for t in threading.enumerate() if t.name.startswith("reader")]


def test_what_fails_in_a_thread_fails_here_and_in_its_place():
    def load(place):
        if place == 4:
            raise ValueError("the fifth is broken")
        return place

    results = ahead(load, range(10), 3)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="the fifth is broken"):
        next(results)


@pytest.mark.parametrize(("count", "threads"), [(1, 0), (2, 0), (3, 0), (4, 3), (8, 7), (16, 8), (64, 8)])
def test_threads_are_for_cores_to_spare(monkeypatch, count, threads):
    monkeypatch.setattr(parallel, "cores", lambda: count)
    assert parallel.spare_threads() == threads


@pytest.mark.parametrize("threads", [1, 4])
def test_training_does_not_depend_on_threads(threads):
    want, whole = unbroken()
    got, history = unbroken(threads=threads)
    assert got == want and without_times(history.epochs) == without_times(whole.epochs)


# ------------------------------------------------------------------------------------------- waiting


def test_waiting_is_timed_and_the_work_between_is_not():
    waiting = Waiting()

    def slow():
        for k in range(3):
            time.sleep(0.03)
            yield k

    for _ in waiting.over(slow()):
        time.sleep(0.05)
    assert 0.09 <= waiting.seconds < 0.14
    assert list(waiting.over([])) == [] and waiting.seconds < 0.01, "an epoch starts at zero"


def test_an_epoch_says_which_share_it_waited(capsys, monkeypatch):
    """The batches take 20 ms each, the step of this network a few."""
    monkeypatch.setattr(loop, "LONG_WAITING", 0.0)
    slow = fit(network(), step, Batches(8, pause=0.02), **options(None, quiet=False, validate=None))
    said = [line for line in capsys.readouterr().out.splitlines() if "waiting" in line]
    assert len(said) == 1 and "of this epoch went by waiting for its batches: let more threads" in said[0]
    assert all(0.3 < epoch["waiting"] <= 1 for epoch in slow.epochs)
    assert all(epoch["waiting"] * epoch["seconds"] >= 8 * 0.02 for epoch in slow.epochs)
    assert f"{slow.epochs[0]['waiting']:.0%} of this epoch" in said[0]


def test_short_waiting_is_no_word_worth(capsys):
    history = fit(network(), step, Batches(8, pause=0.02), **options(None, quiet=False, epochs=1))
    assert history.epochs[0]["waiting"] > 0.3 and "waiting" not in capsys.readouterr().out


def test_the_next_batch_is_read_while_a_step_is_at_work():
    """Each step waits until the batch after its own has been read, which only another thread can do."""
    read = [threading.Event() for _ in range(5)]
    read[-1].set()

    class Told(Batches):
        def epoch(self, epoch):
            sequence, parent = super().epoch(epoch), self

            class Epoch(type(sequence)):
                def __getitem__(self, i):
                    if i:
                        read[i - 1].set()
                    return super().__getitem__(i) | {"place": torch.full((16,), i)}

            return Epoch(parent, epoch)

    def patient_step(model, batch):
        assert read[int(batch["place"][0])].wait(20), "the next batch was not read in this step"
        return step(model, batch)

    fit(network(), patient_step, Told(5), **options(None, epochs=1, threads=1))


def test_the_share_is_no_setting_of_a_checkpoint(tmp_path):
    fit(network(), step, Batches(), **options(tmp_path, epochs=1))
    longer = fit(network(), step, Batches(), **options(tmp_path, threads=2, epochs=2))
    assert longer.resumed_at == 12 and "waiting" in longer.epochs[0] and "waiting" in TIMES


def test_the_queue_of_a_gpu_is_kept_short(monkeypatch):
    """Events stand for steps: the third may be handed over only when the first is done."""
    done = []

    class Event:
        def record(self):
            self.number = len(done)

        def synchronize(self):
            done.append(self)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    pace, counts = Pace(torch.device("cuda")), []
    for _ in range(5):
        pace.step()
        counts.append(len(done))
    assert counts == [0, 0, 1, 2, 3]
    Pace(torch.device("cpu")).step()
    assert len(done) == 3


def test_batches_are_pinned_whatever_they_hold(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self + 1)
    batch = {"x": torch.zeros(2), "more": [torch.zeros(1), "word"], "progress": 0.5}
    got = pinned(batch)
    assert got["x"].tolist() == [1, 1] and got["more"] == [torch.ones(1), "word"] and got["progress"] == 0.5


def test_numbers_of_threads_are_checked():
    with pytest.raises(ValueError, match="threads must be at least 0, got -1"):
        fit(network(), step, Batches(), **options(None, threads=-1))


# ------------------------------------------------------------------------------------------ compiled


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_step_gives_the_same_losses_and_weights(tmp_path, backend):
    torch._dynamo.reset()
    plain, compiled = network(), network()
    want = fit(plain, step, Batches(4), **options(None, epochs=2))
    torch._dynamo.utils.counters.clear()
    got = fit(compiled, step, Batches(4), **options(tmp_path, epochs=1, compiled=backend))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1, "nothing was compiled"
    got = fit(network(), step, Batches(4), **options(tmp_path, epochs=2))  # goes on without
    pairs = list(zip(want.epochs, got.epochs, strict=True))
    assert all(one["loss"] == pytest.approx(other["loss"], rel=1e-6) for one, other in pairs)
    if backend == "eager":
        assert pairs[0][0]["loss"] == pairs[0][1]["loss"]
    names = torch.load(tmp_path / "last.ckpt", weights_only=True)["module"]
    assert set(names) == {f"model.{name}" for name in plain.state_dict()}
    best = network()
    got.load_best(best)
    assert set(best.state_dict()) == set(plain.state_dict())
    assert fingerprint(compiled) != fingerprint(network())


def test_the_benchmark_compares_a_step_compiled_and_as_it_is_written(monkeypatch):
    from llinet_lite.bench.training import compiled_row
    from llinet_lite.profiles import PROFILES

    tiny = dataclasses.replace(PROFILES["smoke"], image_crop=32, width=2)
    asked = []
    monkeypatch.setattr(torch, "compile", lambda function: asked.append(function) or function)
    with torch.backends.mkldnn.flags(enabled=False):
        row = compiled_row("L3-Net", tiny, torch.device("cpu"), 4, repeats=1)
    assert len(asked) == 1 and row.ours > 0 and row.plain > 0
    assert row.name == "L3-Net step, compiled: 32 px, width 2, batch 4"
