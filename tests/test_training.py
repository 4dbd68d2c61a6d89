"""The training loop: exact resume after SIGKILL, atomic files, bad steps, Ctrl-C, several processes."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from llinet_lite.checkpoint import CheckpointError, load_weights
from llinet_lite.training import NotFiniteError, adam, fast_bf16, fit, overfit_one_batch, staircase


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


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 2)
    )


def step(model, batch):
    logits = model(batch["x"])
    right = (logits.argmax(1) == batch["label"]).float().mean()
    return nn.functional.cross_entropy(logits.float(), batch["label"]), {"right": right}


def validate(model):
    batch = Batches().epoch(999)[0]
    with torch.no_grad():
        return {"accuracy": (model(batch["x"]).argmax(1) == batch["label"]).float().mean()}


def options(folder, **more):
    usual = {"epochs": 3, "run_dir": folder, "optimizer": adam(1e-2), "validate": validate, "quiet": True}
    return usual | {"device": "cpu", "schedule": staircase(0.5, 1), "log_every": 5} | more


def fingerprint(model):
    digest = hashlib.sha256()
    for name, value in model.state_dict().items():
        digest.update(name.encode() + value.contiguous().numpy().tobytes())
    return digest.hexdigest()


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
import test_training as t
if __name__ == "__main__":
    model = t.network()
    t.fit(model, t.step, t.Batches(pause={pause}), **t.options({folder!r}, workers={workers}, {more}))
    print("weights", t.fingerprint(model), flush=True)
"""


# A process that hangs says where after four minutes, and ends. DDP must go first, see `leave_together`.
WATCH = """
import faulthandler, gc
import torch.distributed
from torch.nn.parallel import DistributedDataParallel
faulthandler.dump_traceback_later(240, exit=True)
destroy = torch.distributed.destroy_process_group

def watched():
    alone = not any(type(thing) is DistributedDataParallel for thing in gc.get_objects())
    print("destroyed without DDP:", alone, flush=True)
    destroy()

torch.distributed.destroy_process_group = watched
"""


def start(tmp_path, folder, workers=0, pause=0.0, more=""):
    path = tmp_path / f"script{workers}.py"
    here = str(Path(__file__).parent)
    path.write_text(SCRIPT.format(tests=here, folder=str(folder), workers=workers, pause=pause, more=more))
    return subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def unbroken(**more):
    model, threads = network(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        history = fit(model, step, Batches(), **options(None, **more))
    finally:
        torch.set_num_threads(threads)
    return fingerprint(model), history


TIMES = ("seconds", "samples_per_second", "waiting")


def without_times(records):
    return [{k: v for k, v in line.items() if k not in TIMES} for line in records]


def wait_for_log(folder, process, lines):
    log, deadline = folder / "log.jsonl", time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if log.exists() and log.read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.01)
    raise AssertionError(f"The run wrote no log: {process.communicate()[0]}")


def test_a_run_killed_at_a_random_moment_ends_with_the_same_weights(tmp_path):
    """With 0 and with 2 workers, at the same time."""
    want, whole = unbroken()
    rng, saving = random.Random(), "save_steps=1, save_seconds=1e9"
    folders = {workers: tmp_path / f"workers{workers}" for workers in (0, 2)}
    killed = {w: start(tmp_path, folder, w, pause=0.03, more=saving) for w, folder in folders.items()}
    for workers, process in killed.items():
        wait_for_log(folders[workers], process, rng.randint(1, 5))
        time.sleep(rng.random() * 0.2)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert (folders[workers] / "last.ckpt").exists()
        (folders[workers] / ".last.ckpt.1234.tmp").write_bytes(b"half")
        with open(folders[workers] / "log.jsonl", "ab") as file:
            file.write(b'{"kind": "steps", "st')
    more = f"quiet=False, {saving}"
    again = {w: start(tmp_path, folder, w, more=more) for w, folder in folders.items()}
    for workers, folder in folders.items():
        output = again[workers].communicate()[0]
        assert f"weights {want}" in output, output
        assert not list(folder.glob(".*.tmp"))
        records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        for kind, lines in (("epoch", whole.epochs), ("steps", whole.steps)):
            kept = [
                {k: v for k, v in line.items() if k != "kind"} for line in records if line["kind"] == kind
            ]
            assert without_times(kept) == without_times(lines)


def test_a_finished_run_is_read_and_can_be_prolonged(tmp_path):
    want, _ = unbroken()
    first = fit(network(), step, Batches(), **options(tmp_path, epochs=2))
    assert len(first.epochs) == 2 and first.resumed_at is None
    model = network()
    longer = fit(model, step, Batches(), **options(tmp_path))
    assert longer.resumed_at == 24 and len(longer.epochs) == 3
    again = network()
    same = fit(again, step, Batches(), **options(tmp_path))
    assert fingerprint(again) == fingerprint(model)
    assert same.epochs == longer.epochs and same.steps == longer.steps and same.best == longer.best
    assert fresh_weights(tmp_path) == fresh_weights(tmp_path / "other")
    assert len(want) == 64


def fresh_weights(folder):
    model = network()
    fit(model, step, Batches(), **options(folder, fresh=True))
    return fingerprint(model)


def test_bf16_channels_last_resumes_exactly_too(tmp_path):
    settings = {"precision": "bf16", "channels_last": True}
    whole, broken = network(), network()
    fit(whole, step, Batches(), **options(None, **settings))
    fit(broken, step, Batches(), **options(tmp_path, epochs=1, **settings))
    broken = network()
    fit(broken, step, Batches(), **options(tmp_path, **settings))
    assert fingerprint(broken) == fingerprint(whole)
    assert all(weight.dtype == torch.float32 for weight in broken.parameters())


def test_it_learns_and_reports(tmp_path, capsys):
    history = fit(network(), step, Batches(40), **options(tmp_path, quiet=False))
    assert history.epochs[-1]["loss"] < 0.5 * history.epochs[0]["loss"] + 0.2
    assert history.epochs[-1]["right"] > 0.75
    assert [line["lr"] for line in history.epochs] == pytest.approx([1e-2, 5e-3, 2.5e-3])
    assert [line["step"] for line in history.steps] == list(range(5, 121, 5))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and lines[0].startswith("epoch 1/3 done  loss ")
    assert "samples/s" in lines[0] and "left" in lines[0] and "in all" in lines[2]
    frame = history.frame()
    assert frame["accuracy"].max() == history.best["value"]
    assert frame["accuracy"].idxmax() == history.best["epoch"]
    best = network()
    notes = history.load_best(best)
    assert notes["value"] == history.best["value"] and notes["settings"]["seed"] == 0
    assert float(validate(best.eval())["accuracy"]) == history.best["value"]


def test_the_best_epoch_is_kept_and_ties_go_to_the_first(tmp_path):
    values = iter([0.5, 0.9, 0.9, 0.2])
    history = fit(
        network(),
        step,
        Batches(2),
        **options(tmp_path, epochs=4, validate=lambda _: {"accuracy": next(values)}),
    )
    assert history.best == {"epoch": 1, "metric": "accuracy", "value": 0.9}
    values = iter([0.5, 0.9, float("nan"), 0.2])
    history = fit(
        network(), step, Batches(2),
        **options(tmp_path / "b", epochs=4, validate=lambda _: {"d": next(values)}, select="d", best="min"),
    )  # fmt: skip
    assert history.best["epoch"] == 3
    assert history.epochs[2]["d"] is None
    with pytest.raises(ValueError, match="validate gives d, not 'accuracy'; select one of these"):
        fit(network(), step, Batches(2), **options(None, validate=lambda _: {"d": 1.0}))


def test_other_settings_are_refused_by_name(tmp_path):
    fit(network(), step, Batches(), **options(tmp_path, epochs=1, settings={"data": "aaa", "batch": 16}))
    with pytest.raises(CheckpointError, match=r"data is 'bbb' now and was 'aaa'.*fresh=True") as error:
        fit(network(), step, Batches(), **options(tmp_path, settings={"data": "bbb", "batch": 16}))
    assert "batch" not in str(error.value).replace("batches", "")
    same = {"data": "aaa", "batch": 16}
    with pytest.raises(CheckpointError, match="seed is 1 now and was 0"):
        fit(network(), step, Batches(), **options(tmp_path, settings=same, seed=1))
    with pytest.raises(CheckpointError, match=r"optimizer is .*0\.001.* now and was .*0\.01"):
        fit(network(), step, Batches(), **options(tmp_path, settings=same, optimizer=adam(1e-3)))
    with pytest.raises(CheckpointError, match="network is"):
        fit(nn.Sequential(network(), nn.Linear(2, 2)), step, Batches(), **options(tmp_path, settings=same))
    with pytest.raises(CheckpointError, match="batches_per_epoch is 11 now and was 12"):
        fit(network(), step, Batches(11), **options(tmp_path, settings=same))
    assert fit(network(), step, Batches(11), **options(tmp_path, fresh=True)).resumed_at is None


def test_a_damaged_checkpoint_is_a_sentence(tmp_path):
    fit(network(), step, Batches(), **options(tmp_path, epochs=1))
    path = tmp_path / "last.ckpt"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        CheckpointError, match=r"last\.ckpt cannot be read .* Delete it to start the run anew"
    ):
        fit(network(), step, Batches(), **options(tmp_path))


@pytest.mark.parametrize("waits", [True, False])
def test_a_bad_step_changes_nothing_and_its_samples_are_known(monkeypatch, waits):
    """Both ways to refuse: reading the flag, and leaving it on the device."""
    from llinet_lite import loop

    class Guard(loop.Guard):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.waits = waits

    monkeypatch.setattr(loop, "Guard", Guard)
    poisoned, clean = network(), network()
    history = fit(poisoned, step, Batches(3, poisoned={(0, 2)}), **options(None, epochs=1, validate=None))
    fit(clean, step, Batches(2), **options(None, epochs=1, validate=None, schedule=None))
    assert fingerprint(poisoned) == fingerprint(clean)
    assert history.bad_samples == list(range(200, 216))
    assert history.epochs[0]["bad_steps"] == 1 and history.epochs[0]["loss"] > 0
    after = network()
    fit(after, step, Batches(6, poisoned={(0, 2)}), **options(None, epochs=1))
    assert all(torch.isfinite(value).all() for value in after.state_dict().values())


def test_too_many_bad_steps_in_a_row_stop_the_run(tmp_path):
    bad = {(0, i) for i in (1, 2, 4, 5, 6)}
    with pytest.raises(
        NotFiniteError, match=r"in 3 steps in a row, up to epoch 1, batch 7.*\[100, 101.*clip_norm"
    ):
        fit(network(), step, Batches(poisoned=bad), **options(tmp_path, bad_steps_allowed=3))


def test_clipping():
    def huge(model, batch):
        return 1e6 * step(model, batch)[0]

    norms = []

    class Spy(torch.optim.SGD):
        def step(self, *arguments):
            weights = [w for group in self.param_groups for w in group["params"]]
            norms.append(torch.cat([w.grad.flatten() for w in weights]).norm().item())
            return super().step(*arguments)

    fit(
        network(),
        huge,
        Batches(3),
        **options(None, epochs=1, clip_norm=0.5, optimizer=lambda w: Spy(w, 1e-3)),
    )
    assert norms == pytest.approx([0.5] * 3, rel=1e-4)


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path):
    want, _ = unbroken()
    folder = tmp_path / "run"
    process = start(tmp_path, folder, workers=2, pause=0.05, more="quiet=False")
    wait_for_log(folder, process, 1)
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert f"a checkpoint is in {folder}; the same call goes on from it" in output
    assert "KeyboardInterrupt" in output
    assert f"weights {want}" in start(tmp_path, folder).communicate()[0]


def test_two_processes_train_as_one(tmp_path):
    """Gloo: the gradient of two processes is the mean of theirs, so batches i and i + 1 act as one."""
    code = SCRIPT.replace("t.network()", "torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 2))")
    code = code.replace("    model =", "    torch.manual_seed(0)\n    model =")
    more = "devices=2, epochs=1, optimizer=lambda w: torch.optim.SGD(w, 0.1), precision='fp32'"
    path, folder = tmp_path / "two.py", tmp_path / "run"
    here = str(Path(__file__).parent)
    code = code.format(tests=here, folder=str(folder), workers=0, pause=0, more=more)
    path.write_text(WATCH + code)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("destroyed without DDP: True") == 2, done.stdout

    class Joined:
        def epoch(self, epoch):
            single = Batches().epoch(epoch)
            pairs = [(single[i], single[i + 1]) for i in range(0, 12, 2)]
            return [{name: torch.cat([a[name], b[name]]) for name in a} for a, b in pairs]

    torch.manual_seed(0)
    alone = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    sgd = {"epochs": 1, "optimizer": lambda w: torch.optim.SGD(w, 0.1), "precision": "fp32"}
    fit(alone, step, Joined(), **options(None, **sgd))
    both = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    notes = load_weights(folder / "best.safetensors", both)
    assert notes["settings"]["processes"] == 2
    for one, other in zip(alone.parameters(), both.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_one_batch_is_learnt_by_heart():
    losses = overfit_one_batch(network(), step, Batches().epoch(0)[0], steps=150, lr=2e-2)
    assert len(losses) == 150 and losses[0] > 0.4 and losses[-1] < 0.1


def test_the_result_leaves_the_generator_of_the_caller_alone():
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    torch.manual_seed(5)
    fit(model, step, Batches(2), **options(None, epochs=1))
    assert torch.equal(torch.rand(3), want)


def test_schedule_precision_and_refusals():
    factor = staircase(0.94, 16)
    assert [factor(epoch) for epoch in (0, 15.99, 16, 40)] == pytest.approx([1, 1, 0.94, 0.94**2])
    flags = Path("/proc/cpuinfo")
    if flags.exists():
        text = flags.read_text()
        assert fast_bf16("cpu") == ("avx512_bf16" in text or "amx_tile" in text)
    assert fast_bf16("mps") is False and fast_bf16("cuda") in (True, torch.cuda.is_available())
    usual = (network(), step, Batches(2))
    for wrong, sentence in (
        ({"precision": "fp8"}, "precision 'fp8' is unknown; choose one of 'auto', 'bf16', 'fp32'"),
        ({"device": "tpu"}, "device 'tpu' is not available here"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"best": "most"}, 'best must be "max" or "min"'),
    ):
        with pytest.raises(ValueError, match=sentence):
            fit(*usual, **options(None, **wrong))
    with pytest.raises(ValueError, match="has 0 batches"):
        fit(network(), step, Batches(0), **options(None))
