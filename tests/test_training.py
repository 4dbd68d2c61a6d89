"""The training loop: a hand-written loop, resume after SIGKILL, bad steps, Ctrl-C, several processes."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from llinet_lite.experiments.methods import staircase
from llinet_lite.files import CheckpointError, alone_in, load_weights, save_weights
from llinet_lite.rivals.base import adam
from llinet_lite.training import NotFiniteError, choose_precision, fit, overfit_one_batch, seed_of


class Batches:
    """Points in the plane, left or right of a line: everything a function of (seed, epoch, i)."""

    def __init__(self, count=12, poisoned=(), pause=0.0):
        self.count, self.poisoned, self.pause = count, poisoned, pause

    def epoch(self, epoch):
        return Epoch(self, epoch)


class Epoch:
    def __init__(self, batches, epoch):
        self.batches, self.number = batches, epoch

    def __len__(self):
        return self.batches.count

    def __getitem__(self, i):
        time.sleep(self.batches.pause)
        generator = torch.Generator().manual_seed(1000 * self.number + i)
        x = torch.randn(16, 1, 6, 6, generator=generator)
        label = (x.mean((1, 2, 3)) > 0).long()
        if (self.number, i) in self.batches.poisoned:
            x[3, 0, 2, 2] = float("nan")
        return {"x": x, "label": label, "index": torch.arange(16) + 100 * i}


class Inputs(nn.Module):
    def forward(self, batch):
        return batch["x"]


class Method(nn.Module):
    """A small network with what `fit` asks of a method."""

    def __init__(self, network=None, make=None, clip_norm=None, times=1.0, every=1):
        super().__init__()
        torch.manual_seed(0)
        self.network = network or nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 2)
        )
        self.make, self.clip_norm, self.times, self.every = make, clip_norm, times, every

    def loss(self, x, batch):
        logits = self.network(x)
        right = (logits.argmax(1) == batch["label"]).float().mean()
        return self.times * nn.functional.cross_entropy(logits.float(), batch["label"]), {"right": right}

    def optimizer(self, rate):
        return self.make or adam(1e-2 * rate, 1e-5)

    def schedule(self, epochs):
        return staircase(0.5, self.every) if self.every else None


def linear(**more):
    torch.manual_seed(0)
    return Method(nn.Sequential(nn.Flatten(), nn.Linear(36, 2)), **more)


def validate(method):
    batch = Batches().epoch(999)[0]
    return {"accuracy": (method.network(batch["x"]).argmax(1) == batch["label"]).float().mean()}


def train(folder, method=None, batches=None, **more):
    method = method or Method()
    usual = {"epochs": 3, "run_dir": folder, "validate": validate, "quiet": True, "device": "cpu"}
    return method, fit(method, Inputs(), batches or Batches(), **(usual | more))


def fingerprint(model):
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def without_times(records):
    return [{k: v for k, v in line.items() if k not in ("seconds", "samples_per_second")} for line in records]


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
import test_training as t
if __name__ == "__main__":
    method, history = t.train({folder!r}, {method}, t.Batches(pause={pause}), workers={workers}, {more})
    print("weights", t.fingerprint(method), flush=True)
    print("log", t.without_times(history.epochs), flush=True)
"""


def start(tmp_path, folder, workers=0, pause=0.0, more="", method="None"):
    path, tests = tmp_path / f"script{workers}.py", str(Path(__file__).parent)
    names = {"folder": str(folder), "workers": workers, "pause": pause, "more": more, "method": method}
    path.write_text(SCRIPT.format(tests=tests, **names))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, str(path)], text=True, start_new_session=True, **pipes)


def wait_for(path, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"The run wrote no {path}: {process.communicate()[0]}")


def test_the_loop_is_the_loop_one_would_write_by_hand():
    method, history = train(None, validate=None, precision="fp32", epochs=2)
    hand = Method()
    optimizer = torch.optim.Adam(hand.parameters(), 1e-2, weight_decay=1e-5, fused=True)
    hand.train()
    for epoch in range(2):
        losses = []
        for i in range(12):
            batch = Batches().epoch(epoch)[i]
            optimizer.param_groups[0]["lr"] = 1e-2 * 0.5**epoch
            torch.manual_seed(seed_of(0, epoch, i, 0))
            loss, _ = hand.loss(batch["x"], batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        assert history.epochs[epoch]["loss"] == sum(losses) / 12
    assert fingerprint(method) == fingerprint(hand)


def test_a_run_killed_at_a_random_moment_ends_with_the_same_weights(tmp_path):
    """With 0 and with 2 workers, at the same time."""
    whole, history = train(None)
    rng, saving = random.Random(), "save_seconds=0.0"
    folders = {workers: tmp_path / f"workers{workers}" for workers in (0, 2)}
    killed = {w: start(tmp_path, folder, w, pause=0.15, more=saving) for w, folder in folders.items()}
    for workers, process in killed.items():
        wait_for(folders[workers] / "last.ckpt", process)
        time.sleep(rng.random())
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        (folders[workers] / ".last.ckpt.1234.tmp").write_bytes(b"half")
    again = {w: start(tmp_path, folder, w, more=saving) for w, folder in folders.items()}
    for workers, folder in folders.items():
        output = again[workers].communicate()[0]
        assert f"weights {fingerprint(whole)}" in output, output
        assert f"log {without_times(history.epochs)}" in output
        assert not list(folder.glob(".*.tmp"))


def test_a_finished_run_is_read_and_can_be_prolonged(tmp_path):
    whole, _ = train(None)
    _, first = train(tmp_path, epochs=2)
    assert len(first.epochs) == 2 and first.resumed_at is None
    method, longer = train(tmp_path)
    assert longer.resumed_at == 24 and len(longer.epochs) == 3
    again, same = train(tmp_path)
    assert fingerprint(again) == fingerprint(method) == fingerprint(whole)
    assert same.epochs == longer.epochs and same.best == longer.best
    fresh, history = train(tmp_path, fresh=True)
    assert history.resumed_at is None and fingerprint(fresh) == fingerprint(whole)


def test_bf16_channels_last_resumes_exactly_too(tmp_path):
    settings = {"precision": "bf16"}
    whole, _ = train(None, **settings)
    train(tmp_path, epochs=1, **settings)
    broken, _ = train(tmp_path, **settings)
    assert fingerprint(broken) == fingerprint(whole)
    assert all(weight.dtype == torch.float32 for weight in broken.parameters())


def test_it_learns_and_reports(tmp_path, capsys):
    _, history = train(tmp_path, batches=Batches(40), quiet=False)
    assert history.epochs[-1]["loss"] < 0.5 * history.epochs[0]["loss"] + 0.2
    assert history.epochs[-1]["right"] > 0.75
    assert [line["lr"] for line in history.epochs] == pytest.approx([1e-2, 5e-3, 2.5e-3])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[0].startswith("epoch 1/3 done  loss ")
    assert "samples/s" in lines[0] and "left" in lines[0] and "in all" in lines[2]
    values = [line["accuracy"] for line in history.epochs]
    highest = max(values)
    assert history.best == {"epoch": values.index(highest), "metric": "accuracy", "value": highest}
    best = Method()
    notes = history.load_best(best)
    assert notes["value"] == history.best["value"] and notes["settings"]["seed"] == 0
    assert float(validate(best.eval())["accuracy"]) == history.best["value"]


def test_the_best_epoch_is_kept_and_ties_go_to_the_first(tmp_path):
    values = iter([float("nan"), 0.5, 0.9, 0.9, 0.2])
    method = Method()
    states = []

    def measure(method):
        states.append(fingerprint(method))
        return {"mAP": next(values)}

    how = {"epochs": 5, "validate": measure, "select": "mAP", "precision": "fp32"}
    _, history = train(tmp_path, method, Batches(2), **how)
    assert history.best == {"epoch": 2, "metric": "mAP", "value": 0.9}
    assert history.epochs[0]["mAP"] is None
    history.load_best(method)
    assert fingerprint(method) == states[2] and len(set(states)) == 5


def test_a_bad_step_changes_nothing_and_its_samples_are_known():
    poisoned, history = train(None, batches=Batches(3, poisoned={(0, 2)}), epochs=1, validate=None)
    clean, _ = train(None, batches=Batches(2), epochs=1, validate=None)
    assert fingerprint(poisoned) == fingerprint(clean)  # the running means, too
    assert history.bad_samples == list(range(200, 216))
    assert history.epochs[0]["bad_steps"] == 1 and history.epochs[0]["loss"] > 0
    after, _ = train(None, batches=Batches(6, poisoned={(0, 2)}), epochs=1)
    assert all(torch.isfinite(value).all() for value in after.state_dict().values())


def test_too_many_bad_steps_in_a_row_stop_the_run(tmp_path, monkeypatch):
    bad = {(0, i) for i in (1, 2, 4, 5, 6)}
    with pytest.raises(NotFiniteError, match=r"in 3 steps in a row, up to epoch 1/3, batch 7.*\[100, 101"):
        monkeypatch.setattr("llinet_lite.training.BAD_STEPS_ALLOWED", 3)
        train(tmp_path, batches=Batches(poisoned=bad))


def test_gradients_are_clipped_and_groups_may_keep_their_rate():
    norms, rates = [], []

    class Spy(torch.optim.SGD):
        def step(self, *arguments):
            weights = [w for group in self.param_groups for w in group["params"]]
            norms.append(torch.cat([w.grad.flatten() for w in weights]).norm().item())
            rates.append([group["lr"] for group in self.param_groups])
            return super().step(*arguments)

    def make(weights):
        return Spy([{"params": weights[:1]}, {"params": weights[1:], "scheduled": False}], 1e-3)

    train(None, Method(make=make, clip_norm=0.5, times=1e6), Batches(3), epochs=2)
    assert norms == pytest.approx([0.5] * 6, rel=1e-4)
    assert rates == [[1e-3, 1e-3]] * 3 + [[5e-4, 1e-3]] * 3


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path):
    whole, _ = train(None)
    folder = tmp_path / "run"
    process = start(tmp_path, folder, workers=2, pause=0.05, more="quiet=False")
    wait_for(folder / "last.ckpt", process)
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert f"a checkpoint is in {folder}; the same call goes on from it" in output
    assert "KeyboardInterrupt" in output
    assert f"weights {fingerprint(whole)}" in start(tmp_path, folder).communicate()[0]


# A process that hangs says where after four minutes. DDP must go first, else it may hang at its end.
WATCH = """
import faulthandler, gc, sys
import torch
import torch.distributed
from torch.nn.parallel import DistributedDataParallel
faulthandler.dump_traceback_later(240, exit=True)
destroy = torch.distributed.destroy_process_group

def watched():
    alone = not any(type(thing) is DistributedDataParallel for thing in gc.get_objects())
    sys.stdout.write("destroyed without DDP: " + str(alone) + "\\n")  # in one write
    sys.stdout.flush()
    destroy()

torch.distributed.destroy_process_group = watched
"""


def test_two_processes_train_as_one(tmp_path, monkeypatch):
    """Gloo: the gradient of two processes is the mean of theirs, so batches i and i + 1 act as one."""
    folder = tmp_path / "run"
    monkeypatch.setattr(sys.modules[__name__], "SCRIPT", WATCH + SCRIPT)
    more = "devices=2, epochs=1, precision='fp32', validate=None"
    sgd = "t.linear(make=lambda w: torch.optim.SGD(w, 0.1), every=0)"
    process = start(tmp_path, folder, more=more, method=sgd)
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert output.count("destroyed without DDP: True") == 2, output

    class Joined:
        def epoch(self, epoch):
            single = Batches().epoch(epoch)
            pairs = [(single[i], single[i + 1]) for i in range(0, 12, 2)]
            return [{name: torch.cat([a[name], b[name]]) for name in a} for a, b in pairs]

    alone = linear(make=lambda w: torch.optim.SGD(w, 0.1), every=0)
    train(None, alone, Joined(), epochs=1, precision="fp32", validate=None)
    both = linear()
    notes = load_weights(folder / "best.safetensors", both)
    assert notes["settings"]["processes"] == 2
    for one, other in zip(alone.parameters(), both.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_one_batch_is_learnt_by_heart():
    losses = overfit_one_batch(Method(), Inputs(), Batches().epoch(0)[0], steps=150, lr=2e-2)
    assert len(losses) == 150 and losses[0] > 0.4 and losses[-1] < 0.1


def test_the_result_leaves_the_generator_of_the_caller_alone():
    method = Method()
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    train(None, method, Batches(2), epochs=1)
    assert torch.equal(torch.rand(3), want)


def test_schedule_and_bf16():
    factor = staircase(0.94, 16)
    assert [factor(epoch) for epoch in (0, 15.99, 16, 40)] == pytest.approx([1, 1, 0.94, 0.94**2])
    if (flags := Path("/proc/cpuinfo")).exists():
        fast = any(name in flags.read_text() for name in ("avx512_bf16", "amx_tile"))
        assert choose_precision("cpu") == ("bf16-mixed" if fast else "32-true")
    assert choose_precision("cpu", "fp32") == "32-true"


@pytest.mark.parametrize(("wrong", "error", "sentence"), [
    ({"batches": Batches(0)}, ValueError, "no batch for each process"),
    ({"select": "mAP", "epochs": 2}, ValueError, "validate gives accuracy, not 'mAP'"),
    ({"settings": {"data": "b", "size": 16}}, CheckpointError, "data is 'b' now and was 'a'.*fresh"),
    ({"seed": 1}, CheckpointError, "seed is 1 now and was 0"),
    ({"rate": 0.1}, CheckpointError, r"optimizer is .*0\.001.* now and was .*0\.01"),
    ({"method": linear()}, CheckpointError, "network is"),
    ({"method": Method(clip_norm=1.0)}, CheckpointError, "clip_norm is 1.0 now and was None"),
    ({"batches": Batches(11)}, CheckpointError, "batches_per_epoch is 11 now and was 12"),
])  # fmt: skip
def test_refusals(tmp_path, wrong, error, sentence):
    usual = {"settings": {"data": "a", "size": 16}, "epochs": 1}
    train(tmp_path, **usual)
    with pytest.raises(error, match=sentence):
        train(tmp_path, **(usual | wrong))


def test_damaged_files_are_a_sentence(tmp_path):
    method, history = train(tmp_path, epochs=1)
    path, best = tmp_path / "last.ckpt", tmp_path / "best.safetensors"
    with pytest.raises(CheckpointError, match="no weights of this network"):
        load_weights(best, linear())
    for file in (path, best):
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"last\.ckpt cannot be read .* Delete it to start"):
        train(tmp_path)
    with pytest.raises(CheckpointError, match=f"no weights of this .*delete the folder {tmp_path}, then"):
        history.load_best(method)
    shutil.rmtree(tmp_path)
    train(tmp_path, method, epochs=1)[1].load_best(method)
    save_weights(best, method, {"value": 0.5})
    assert load_weights(best, method) == {"value": 0.5}


def test_a_second_process_waits_for_the_first(tmp_path):
    said, order = [], []

    def second():
        with alone_in(tmp_path, said.append):
            order.append("second")

    with alone_in(tmp_path, said.append):
        thread = threading.Thread(target=second)
        thread.start()
        while not said:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"] and "another process is at work in" in said[0]
