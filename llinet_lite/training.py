"""The one training loop, and the files it keeps: checkpoints, best weights.

The batches of an epoch and every random draw follow from (seed, epoch, step), and a checkpoint holds the
rest. So a run that was killed and started again ends, on the CPU with the same number of threads, with
bitwise the same weights.

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

from llinet_lite.files import alone_in, write_whole

SECONDS_BETWEEN_LINES = 5.0
BEGINNING = {"epoch": 0, "position": 0, "step": 0, "counted": 0, "bad_in_row": 0, "bad_steps": 0}


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, read or continued; the message says which, why and what to do."""


class NotFiniteError(ArithmeticError):
    """Too many steps in a row had a loss or a gradient that is not finite."""


@dataclass
class History:
    """What a run did.

    `epochs` has a dict per epoch: `epoch` (from 0), `step`, means of the `loss` and its parts, the metrics of
    `validate`, `lr`, `samples_per_second`, `seconds`, `bad_steps`. `best` says which `epoch` had the best
    `value` of which `metric`, `bad_samples` the indices in skipped steps, `resumed_at` the step at which this
    call went on, or None.
    """

    epochs: list
    best: dict
    bad_samples: list
    folder: Path | None
    resumed_at: int | None

    @property
    def minutes(self) -> float:
        """Wall time of all epochs."""
        return round(sum(epoch["seconds"] for epoch in self.epochs) / 60, 2)

    def load_best(self, model: nn.Module) -> dict:
        """Put the best weights into `model`; returns what their file says of itself."""
        return load_weights(self.folder / "best.safetensors", model)


class Step(nn.Module):
    """Inputs, network and loss in one module, so that autocast and DDP see all of it."""

    def __init__(self, method: nn.Module, inputs: nn.Module):
        super().__init__()
        self.method, self.inputs = method, inputs

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Batch -> loss, and its parts to be logged."""
        return self.method.loss(self.inputs(batch), batch)


def fit(
    method: nn.Module,
    inputs: nn.Module,
    batches,
    *,
    epochs: int,
    run_dir: str | Path | None = None,
    seed: int = 0,
    rate: float = 1.0,
    validate: Callable[[nn.Module], dict] | None = None,
    select: str = "accuracy",
    settings: dict | None = None,
    workers: int = 0,
    precision: str = "auto",
    channels_last: bool | str = "auto",
    device: str = "auto",
    devices: int = 1,
    save_seconds: float = 60.0,
    bad_steps_allowed: int = 5,
    fresh: bool = False,
    quiet: bool = False,
) -> History:
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
    epochs, seed : int
    run_dir : path, optional
        Folder of `last.ckpt` and `best.safetensors`; None: nothing is kept.
    rate : float
        Factor on the method's learning rate.
    validate : callable, optional
        Method -> dict of float, after each epoch, in eval mode. The epoch with the highest `select` is the
        best; without `validate` the last is.
    settings : dict, optional
        JSON values that describe the run: a checkpoint with others is refused. Network, optimizer, seed and
        precision are added; `epochs` is not, so that a run can be prolonged.
    workers : int
        Processes that load batches; the result does not depend on it.
    precision, channels_last : {"auto", "bf16", "fp32"}, {"auto", True, False}
        "auto": bfloat16 where the machine computes in it, and then convolutions with channels last in memory.
    device, devices : {"auto", "cpu", "cuda"}, int
        More than one: distributed data parallel (gloo on CPUs, nccl on GPUs), from a script.
    save_seconds : float
        Between two checkpoints within an epoch; there is one after each epoch.
    bad_steps_allowed : int
        Steps in a row with a loss or gradient that is not finite; such a step changes nothing.
    fresh, quiet : bool
        Start anew even if there is a checkpoint; print nothing.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged or was made with other settings.
    NotFiniteError
        After too many bad steps in a row, with their samples.
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
    channels_last = name == "bf16-mixed" if channels_last == "auto" else channels_last
    if channels_last:
        _channels_last(step)
    weights = [weight for weight in step.parameters() if weight.requires_grad]
    optimizer, clip_norm = method.optimizer(rate)(weights), method.clip_norm
    schedule = method.schedule(epochs) or (lambda epoch: 1.0)
    run = _Run(fabric, step, optimizer, epochs, None if run_dir is None else Path(run_dir), quiet)
    own = {"precision": name, "channels_last": channels_last, "seed": seed, "clip_norm": clip_norm}
    run.describe(batches, own | (settings or {}))
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
                before = run.buffers()
                loss, parts = wrapped(to_device(batch, fabric.device))
                fabric.backward(loss)
                norm = nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
                if clip_norm is not None:
                    nn.utils.clip_grads_with_norm_(weights, clip_norm, norm)
                finite = torch.isfinite(loss.detach()) & torch.isfinite(norm)
                finite, stop = run.agreed(finite, interrupted())
                if finite:
                    optimizer.step()
                else:
                    for buffer, old in before:
                        buffer.copy_(old)
                optimizer.zero_grad()
                run.log(batch, {"loss": loss, **parts}, finite, bad_steps_allowed)
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
    state = run.state
    return History(state["records"], state["best"], sorted(set(state["bad"])), run.folder, run.resumed_at)


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
        count = len(batches.epoch(0))
        self.per_epoch = count // self.fabric.world_size
        if self.per_epoch == 0:
            raise ValueError("An epoch has no batch for each process: take smaller batches or more data.")
        self.settings = json.loads(json.dumps(settings)) | {
            "network": hashlib.sha256(repr(shapes).encode()).hexdigest()[:12],
            "optimizer": f"{type(self.optimizer).__name__} {defaults}",
            "batches_per_epoch": count,
            "processes": self.fabric.world_size,
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
            self.say(f"going on at {self.place()}, from {last}")

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

    def buffers(self) -> list[tuple[Tensor, Tensor]]:
        """The buffers that a step in training mode changes (running means), each with a copy."""
        parts = [part for part in self.step.modules() if part.training]
        return [(buffer, buffer.clone()) for part in parts for buffer in part.buffers(recurse=False)]

    def agreed(self, good, asked: bool) -> tuple[bool, bool]:
        """All processes take a step or none does; Ctrl-C in one of them stops all."""
        if self.fabric.world_size > 1:
            flags = torch.tensor([float(not good), float(asked)], device=self.fabric.device)
            bad, asked = self.fabric.all_reduce(flags, reduce_op="sum").tolist()
            good = not bad
        return bool(good), bool(asked)

    def log(self, batch: dict, numbers: dict, finite: bool, bad_steps_allowed: int) -> None:
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
        if state["bad_in_row"] >= bad_steps_allowed:
            raise NotFiniteError(
                f"The loss or its gradient was not finite in {state['bad_in_row']} steps in a row, up to "
                f"{self.place()}; they changed no weight. Their samples: {state['bad'][:20]}: look at them, "
                "lower the learning rate or give the method a clip_norm."
            )
        if time.monotonic() - self.spoke_at > SECONDS_BETWEEN_LINES:
            self.say(f"{self.place()}  {_shown(self.means())}  {self.speed():.0f} samples/s  {self.left()}")

    def place(self) -> str:
        epoch, batch = self.state["epoch"] + 1, self.state["position"]
        return f"epoch {epoch}/{self.epochs}, batch {batch}/{self.per_epoch}"

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
        state, seconds = self.state, time.monotonic() - self.epoch_started
        record = {"epoch": state["epoch"], "step": state["step"], **self.means(), **metrics}
        record["lr"] = self.optimizer.param_groups[0]["lr"]
        record |= {"samples_per_second": self.speed(), "seconds": seconds, "bad_steps": state["bad_steps"]}
        self._keep_best(metrics, select)
        state["records"].append({k: None if math.isnan(value) else value for k, value in record.items()})
        state |= {"epoch": state["epoch"] + 1, "position": 0, "sums": {}, "counted": 0}
        self.save()
        shown = _shown({name: value for name, value in record.items() if name in (*metrics, "loss")})
        done = f"epoch {state['epoch']}/{self.epochs} done  {shown}"
        self.say(f"{done}  {record['samples_per_second']:.0f} samples/s  {self.left()}")

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

    def speed(self) -> float:
        return self.epoch_samples / max(time.monotonic() - self.epoch_started, 1e-9)

    def left(self) -> str:
        spent, done = time.monotonic() - self.started, self.state["step"] - self.first_step
        todo = self.per_epoch * self.epochs - self.state["step"]
        what, seconds = ("left", spent / done * todo) if done and todo > 0 else ("in all", spent)
        return f"{timedelta(seconds=round(seconds))} {what}"

    def say(self, line: str) -> None:
        self.spoke_at = time.monotonic()
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
    batch, losses = to_device(batch, device), []
    step = Step(method, inputs).to(device).train()
    optimizer = adam(lr, 0.0)(step.parameters())
    for _ in range(steps):
        loss, _parts = step(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return torch.stack(losses).tolist()


def staircase(factor: float = 0.94, every: int = 16) -> Callable[[float], float]:
    """Learning-rate schedule factor ** (epoch // every); *Objects that Sound*: x 0.94 every 16 epochs."""
    return lambda epoch: factor ** (int(epoch) // every)


def adam(lr: float = 1e-4, weight_decay: float = 1e-5) -> Callable[[list], torch.optim.Optimizer]:
    """Make Adam with an L2 penalty, as both correspondence papers do."""
    return lambda parameters: torch.optim.Adam(parameters, lr, weight_decay=weight_decay, fused=True)


def seed_of(*parts) -> int:
    """A generator's seed from numbers and words."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8], "little") >> 1


def choose_precision(device: str | torch.device, precision: str = "auto") -> str:
    """Fabric's name of a precision "bf16" or "fp32"; "auto": bfloat16 where the machine computes in it."""
    kind = torch.device(device).type
    fast = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if kind == "cpu":
        names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        fast = any(getattr(torch.cpu, name, lambda: False)() for name in names)
    auto = "bf16-mixed" if fast else "32-true"
    return {"auto": auto, "bf16": "bf16-mixed", "fp32": "32-true"}[precision]


def to_device(batch, device):
    """Move the tensors in a dict."""
    return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}


def _channels_last(module: nn.Module) -> None:
    """Keep the weights of convolutions, in two and in three dimensions, with channels last in memory."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for tensor in module.parameters():
        if tensor.ndim in layouts:
            tensor.data = tensor.data.contiguous(memory_format=layouts[tensor.ndim])


def _shown(numbers: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())


def load_checkpoint(path: Path, settings: dict) -> dict:
    """Read a checkpoint (tensors and plain values: no code is run); one with other settings is refused."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({reason}). Delete it to start the run anew."
        ) from error
    old = saved.get("settings", {})
    different = [
        f"{name} is {settings.get(name, 'absent')!r} now and was {old.get(name, 'absent')!r}"
        for name in sorted({*old, *settings})
        if old.get(name, "absent") != settings.get(name, "absent")
    ]
    if different:
        raise CheckpointError(
            f"{path} was made with other settings: {'; '.join(different)}. Give the old settings, another "
            "folder, or fresh=True to start anew."
        )
    return saved


def save_weights(path: str | Path, model: nn.Module, metadata: dict | None = None) -> None:
    """Write the weights as safetensors, with `metadata` (JSON values) in the header."""
    from safetensors.torch import save

    plainly = {"memory_format": torch.contiguous_format}
    tensors = {name: value.detach().cpu().clone(**plainly) for name, value in model.state_dict().items()}
    write_whole(path, save(tensors, {name: json.dumps(v) for name, v in (metadata or {}).items()}))


def load_weights(path: str | Path, model: nn.Module) -> dict:
    """Put weights of `save_weights` into `model`; returns their metadata."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            model.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{path} holds no weights of this network ({error}): train again.") from error
    return {name: json.loads(value) for name, value in notes.items()}
