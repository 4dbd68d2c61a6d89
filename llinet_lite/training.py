"""The one training loop, and the files it keeps: checkpoints, best weights.

The batches of an epoch and every random draw follow from (seed, epoch, step), and a checkpoint holds the
rest: a run that was killed and started again ends, on the CPU with the same number of threads, with bitwise
the same weights.
Notebook: 01
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from llinet_lite.files import alone_in, load_checkpoint, load_weights, save_weights, write_whole

SECONDS_BETWEEN_LINES = 5.0
BAD_STEPS_ALLOWED = 5  # in a row
BEGINNING = {"epoch": 0, "position": 0, "step": 0, "counted": 0, "bad_in_row": 0, "bad_steps": 0}


class NotFiniteError(ArithmeticError):
    """Too many steps in a row had a loss or a gradient that is not finite."""


@dataclass
class History:
    """What a run did."""

    epochs: list  # a dict each: epoch, step, means of the loss and its parts, validate's metrics, speed
    best: dict  # epoch, metric, value
    bad_samples: list  # indices in skipped steps
    folder: Path | None
    resumed_at: int | None  # step at which this call went on

    @property
    def minutes(self) -> float:
        return round(sum(epoch["seconds"] for epoch in self.epochs) / 60, 2)

    def load_best(self, model: nn.Module) -> dict:
        return load_weights(self.folder / "best.safetensors", model)


class Step(nn.Module):
    """Inputs, network and loss in one module, so that autocast and DDP see all of it."""

    def __init__(self, method: nn.Module, inputs: nn.Module):
        super().__init__()
        self.method, self.inputs = method, inputs

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.method.loss(self.inputs(batch), batch)


def fit(
    method: nn.Module, inputs: nn.Module, batches, *, epochs: int, run_dir: str | Path | None = None,
    seed: int = 0, rate: float = 1.0, settings: dict | None = None,
    validate: Callable[[nn.Module], dict] | None = None, select: str = "accuracy",
    workers: int = 0, precision: str = "auto", device: str = "auto", devices: int = 1,
    save_seconds: float = 60.0, fresh: bool = False, quiet: bool = False,
) -> History:  # fmt: skip
    """Train a method, or go on where an earlier call with the same `run_dir` stopped.

    Parameters
    ----------
    method : Module
        Left with the last epoch's weights. It brings `loss(inputs, batch)` -> (loss, dict of its parts),
        `optimizer(rate)` -> callable parameters -> torch Optimizer, `schedule(epochs)` -> callable epoch ->
        factor on the learning rate (or None: 1), and `clip_norm`, the largest norm of its gradient (or None).
    inputs : Module
        Batch -> what the method's loss takes.
    batches : object
        Its `epoch(e)` gives a sequence of batches (`len`, `[i]`), dicts of tensors that are a function of
        (seed, e, i). With several devices each takes every n-th.
    run_dir : path, optional
        Folder of `last.ckpt` and `best.safetensors`; None: nothing is kept.
    rate : float
        Factor on the method's learning rate.
    validate : callable, optional
        Method -> dict of float, after each epoch, in eval mode. The epoch with the highest `select` is the
        best; without `validate` the last is.
    settings : dict, optional
        JSON values that describe the run: a checkpoint with others is refused. `epochs` is not among them,
        so that a run can be prolonged.
    workers : int
        Processes that load batches; they change no result.
    precision : {"auto", "bf16", "fp32"}
        "auto": bfloat16 where the machine computes in it. With it convolutions have channels last in memory.
    device, devices : {"auto", "cpu", "cuda"}, int
        More than one: distributed data parallel (gloo on CPUs, nccl on GPUs), from a script.
    save_seconds : float
        Between two checkpoints within an epoch; there is one after each epoch.
    fresh, quiet : bool
        Start anew even if there is a checkpoint; print nothing.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged or was made with other settings.
    NotFiniteError
        After BAD_STEPS_ALLOWED steps in a row with a loss or gradient that is not finite, with their
        samples. Such a step changes nothing.
    KeyboardInterrupt
        After Ctrl-C, once a checkpoint is written.
    """
    from lightning_fabric import Fabric

    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    name = choose_precision(place, precision)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # its remarks differ by machine
    fabric = Fabric(accelerator=place, devices=devices, precision=name)
    fabric.launch()
    step = Step(method, inputs).to(fabric.device)
    if name == "bf16-mixed":
        _channels_last(step)
    weights = [weight for weight in step.parameters() if weight.requires_grad]
    optimizer, clip_norm = method.optimizer(rate)(weights), method.clip_norm
    schedule = method.schedule(epochs) or (lambda epoch: 1.0)
    run = _Run(fabric, step, optimizer, epochs, None if run_dir is None else Path(run_dir), quiet)
    run.describe(batches, {"precision": name, "seed": seed, "clip_norm": clip_norm} | (settings or {}))
    with contextlib.ExitStack() as stack:
        if run_dir is not None and devices == 1:  # several devices train in one folder together
            stack.enter_context(alone_in(run.folder, run.say))
        run.resume(fresh)
        stack.enter_context(torch.random.fork_rng([fabric.device] if place == "cuda" else []))
        interrupted = stack.enter_context(_interrupt())
        wrapped, optimizer = fabric.setup(step, optimizer)
        for epoch in range(run.state["epoch"], epochs):
            wrapped.train()
            for i, batch in run.batches(batches.epoch(epoch), workers, seed):
                torch.manual_seed(seed_of(seed, epoch, i, fabric.global_rank))  # so that resume is exact
                for group in optimizer.param_groups:
                    factor = schedule(epoch + i / run.per_epoch) if group.get("scheduled", True) else 1.0
                    group["lr"] = group["initial_lr"] * factor
                before = [buffer.clone() for buffer in step.buffers()]
                loss, parts = wrapped(fabric.to_device(batch))
                fabric.backward(loss)
                norm = nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
                if clip_norm is not None:
                    nn.utils.clip_grads_with_norm_(weights, clip_norm, norm)
                finite = torch.isfinite(loss.detach()) & torch.isfinite(norm)
                finite, stop = run.agreed(finite, interrupted())
                if finite:
                    optimizer.step()
                else:
                    for buffer, old in zip(step.buffers(), before, strict=True):
                        buffer.copy_(old)
                optimizer.zero_grad()
                run.log(batch, {"loss": loss, **parts}, finite)
                if stop:
                    run.stop()
                if i + 1 < run.per_epoch and time.monotonic() - run.saved_at > save_seconds:
                    run.save()
            torch.manual_seed(seed_of(seed, epoch, "validate"))
            run.end_epoch(validate, select)
            if run.agreed(True, interrupted())[1]:
                run.stop()
    if devices > 1:
        fabric.barrier()
        del wrapped  # DDP first, then the connection: the other way round a process may hang at its end
        torch.distributed.destroy_process_group()
    bad = sorted(set(run.state["bad"]))
    return History(run.state["records"], run.state["best"], bad, run.folder, run.resumed_at)


class _Run:
    """What the loop of `fit` remembers: `state` is what a checkpoint holds beside weights and optimizer."""

    def __init__(self, fabric, step, optimizer, epochs, folder, quiet):
        self.fabric, self.step, self.optimizer = fabric, step, optimizer
        self.epochs, self.folder, self.talks = epochs, folder, fabric.is_global_zero and not quiet
        self.state = BEGINNING | {"sums": {}, "best": {}, "bad": [], "records": []}
        self.first_step, self.resumed_at = 0, None
        self.started = self.saved_at = self.spoke_at = time.monotonic()
        for group in optimizer.param_groups:
            group["initial_lr"] = float(group["lr"])

    def describe(self, batches, settings: dict) -> None:
        """Everything that a checkpoint must agree with."""
        shapes = [(name, tuple(value.shape)) for name, value in self.step.state_dict().items()]
        defaults = json.dumps(self.optimizer.defaults, sort_keys=True, default=str)
        count, processes = len(batches.epoch(0)), self.fabric.world_size
        self.per_epoch = count // processes
        if self.per_epoch == 0:
            raise ValueError("An epoch has no batch for each process: take smaller batches or more data.")
        self.settings = json.loads(json.dumps(settings)) | {
            "network": hashlib.sha256(repr(shapes).encode()).hexdigest()[:12],
            "optimizer": f"{type(self.optimizer).__name__} {defaults}",
            "batches_per_epoch": count,
            "processes": processes,
        }

    def resume(self, fresh: bool) -> None:
        """Clear what a killed process left, then go on from the checkpoint if there is one."""
        if self.folder is None:
            return
        last, best = self.folder / "last.ckpt", self.folder / "best.safetensors"
        if self.fabric.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in [*self.folder.glob(".*.tmp"), *([last, best] if fresh else [])]:
                path.unlink(missing_ok=True)
        self.fabric.barrier()
        if not last.exists():
            return
        saved = load_checkpoint(last, self.settings)
        self.step.load_state_dict(saved["module"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.state = {name: saved[name] for name in self.state}
        self.first_step = self.resumed_at = self.state["step"]
        if self.state["epoch"] < self.epochs:
            self.say(f"going on at {self.place}, from {last}")

    def save(self) -> None:
        self.saved_at = time.monotonic()
        if self.folder is not None and self.fabric.is_global_zero:
            parts = {"module": self.step.state_dict(), "optimizer": self.optimizer.state_dict()}
            buffer = io.BytesIO()
            torch.save({"settings": self.settings, **parts, **self.state}, buffer)
            write_whole(self.folder / "last.ckpt", buffer.getvalue())

    def batches(self, sequence, workers: int, seed: int) -> Iterator[tuple[int, dict]]:
        """The batches that are left in this epoch for this process, numbered."""
        world, rank, first = self.fabric.world_size, self.fabric.global_rank, self.state["position"]
        self.epoch_started, self.epoch_samples = time.monotonic(), 0
        loader = DataLoader(
            sequence,
            batch_size=None,
            sampler=range(first * world + rank, self.per_epoch * world, world),
            num_workers=workers,
            pin_memory=self.fabric.device.type == "cuda",
            generator=torch.Generator().manual_seed(seed_of(seed, self.state["epoch"], "workers")),
        )
        return enumerate(loader, first)

    def agreed(self, good, asked: bool) -> tuple[bool, bool]:
        """All processes take a step or none does; Ctrl-C in one of them stops all."""
        if self.fabric.world_size > 1:
            flags = torch.tensor([float(not good), float(asked)], device=self.fabric.device)
            bad, asked = self.fabric.all_reduce(flags, reduce_op="sum").tolist()
            good = not bad
        return bool(good), bool(asked)

    def log(self, batch: dict, numbers: dict, finite: bool) -> None:
        """Count one step, print a line now and then; stop after too many bad steps in a row."""
        state = self.state
        state["position"], state["step"] = state["position"] + 1, state["step"] + 1
        size = next(len(value) for value in batch.values() if isinstance(value, Tensor))
        self.epoch_samples += size * self.fabric.world_size
        if finite:
            values = torch.stack([torch.as_tensor(v).detach().float().cpu() for v in numbers.values()])
            for name, value in zip(numbers, values.tolist(), strict=True):
                state["sums"][name] = state["sums"].get(name, 0.0) + value
            state["counted"], state["bad_in_row"] = state["counted"] + 1, 0
        else:
            state["bad_in_row"], state["bad_steps"] = state["bad_in_row"] + 1, state["bad_steps"] + 1
            state["bad"] += batch["index"].tolist() if "index" in batch else []
        if state["bad_in_row"] >= BAD_STEPS_ALLOWED:
            raise NotFiniteError(
                f"The loss or its gradient was not finite in {state['bad_in_row']} steps in a row, up to "
                f"{self.place}; they changed no weight. Their samples: {state['bad'][:20]}: look at them, "
                "lower the learning rate or give the method a clip_norm."
            )
        if time.monotonic() - self.spoke_at > SECONDS_BETWEEN_LINES:
            self.say(self.place, self.means)

    @property
    def speed(self) -> float:
        return self.epoch_samples / max(time.monotonic() - self.epoch_started, 1e-9)

    @property
    def place(self) -> str:
        epoch, batch = self.state["epoch"] + 1, self.state["position"]
        return f"epoch {epoch}/{self.epochs}, batch {batch}/{self.per_epoch}"

    @property
    def means(self) -> dict[str, float]:
        return {name: value / self.state["counted"] for name, value in self.state["sums"].items()}

    def end_epoch(self, validate: Callable | None, select: str) -> None:
        """Validate, keep the best weights, log, save."""
        self.step.eval()
        with torch.no_grad(), self.fabric.autocast():
            metrics = {} if validate is None else validate(self.step.method)
        metrics = {name: float(value) for name, value in metrics.items()}
        if metrics and select not in metrics:
            raise ValueError(f"validate gives {', '.join(metrics)}, not {select!r}; select one of these.")
        self._keep_best(metrics, select)
        state = self.state
        record = {"epoch": state["epoch"], "step": state["step"], **self.means, **metrics}
        record |= {"lr": self.optimizer.param_groups[0]["lr"], "samples_per_second": self.speed}
        record |= {"seconds": time.monotonic() - self.epoch_started, "bad_steps": state["bad_steps"]}
        state["records"].append({k: None if math.isnan(value) else value for k, value in record.items()})
        state |= {"epoch": state["epoch"] + 1, "position": 0, "sums": {}, "counted": 0}
        self.save()
        shown = {name: value for name, value in record.items() if name in (*metrics, "loss")}
        self.say(f"epoch {state['epoch']}/{self.epochs} done", shown)

    def _keep_best(self, metrics: dict, select: str) -> None:
        """Write the weights if they are the best so far (without validation: always)."""
        best, value = self.state["best"], metrics.get(select)
        if value is not None and (math.isnan(value) or (best and value <= best["value"])):
            return
        metric = select if metrics else None
        self.state["best"] = {"epoch": self.state["epoch"], "metric": metric, "value": value}
        if self.folder is not None and self.fabric.is_global_zero:
            notes = self.state["best"] | {"settings": self.settings}
            save_weights(self.folder / "best.safetensors", self.step.method, notes)

    def stop(self) -> None:
        self.save()
        kept = f"a checkpoint is in {self.folder}; the same call goes on from it"
        how = kept if self.folder else "nothing was kept, since there is no run_dir"
        message = f"stopped after {self.state['step']} steps, in epoch {self.state['epoch'] + 1}: {how}"
        self.say(message)
        raise KeyboardInterrupt(message)

    def say(self, line: str, numbers: dict[str, float] | None = None) -> None:
        """Print a line; behind numbers, if there are any, samples per second and the time left."""
        self.spoke_at = time.monotonic()
        if numbers is not None:
            spent, done = self.spoke_at - self.started, self.state["step"] - self.first_step
            todo = self.per_epoch * self.epochs - self.state["step"]
            what, seconds = ("left", spent / done * todo) if done and todo > 0 else ("in all", spent)
            shown = [f"{name} {value:.4f}" for name, value in numbers.items()]
            ends = f"{self.speed:.0f} samples/s", f"{timedelta(seconds=round(seconds))} {what}"
            line = "  ".join([line, *shown, *ends])
        if self.talks:
            print(line, flush=True)


@contextlib.contextmanager
def _interrupt() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed, for the loop to see between two steps; a second one stops at once."""
    asked, main = threading.Event(), threading.current_thread() is threading.main_thread()

    def note(*_):
        if asked.is_set():
            raise KeyboardInterrupt("stopped in the middle of a step; the last checkpoint is where to go on")
        asked.set()

    before = signal.signal(signal.SIGINT, note) if main else None
    try:
        yield asked.is_set
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


def overfit_one_batch(method: nn.Module, inputs: nn.Module, batch: dict, steps=60, lr=1e-3) -> list[float]:
    """Train on one batch; returns the loss before each step, which goes to zero if all is wired rightly."""
    device = next(method.parameters()).device
    batch = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items()}
    step, losses = Step(method, inputs).to(device).train(), []
    optimizer = torch.optim.Adam(step.parameters(), lr, fused=True)
    for _ in range(steps):
        loss, _parts = step(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return torch.stack(losses).tolist()


def seed_of(*parts) -> int:
    """A generator's seed from numbers and words."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8], "little") >> 1


def choose_precision(device: str | torch.device, precision: str = "auto") -> str:
    """Fabric's name of a precision "bf16" or "fp32"; "auto": bfloat16 where the machine computes in it."""
    if precision == "auto":
        cuda, cpu = torch.device(device).type == "cuda", torch.cpu
        on_gpu = cuda and torch.cuda.is_bf16_supported(including_emulation=False)
        fast = on_gpu if cuda else cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
        precision = "bf16" if fast else "fp32"
    return {"bf16": "bf16-mixed", "fp32": "32-true"}[precision]


def _channels_last(module: nn.Module) -> None:
    """Keep the weights of convolutions, in two and in three dimensions, with channels last in memory."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for tensor in module.parameters():
        if tensor.ndim in layouts:
            tensor.data = tensor.data.contiguous(memory_format=layouts[tensor.ndim])
