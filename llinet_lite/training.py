"""One training loop for all networks: progress, checkpoints, exact resume, one or several devices.

A run is a function of its settings: the order of an epoch and every random draw follow from (seed, epoch,
index), the generator of torch is set from (seed, epoch, step) before each step, and a checkpoint holds the
rest. So a run that was killed and started again ends, on the CPU with the same number of threads, with
bitwise the same weights.

Notebook: 01
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import nn

from llinet_lite.checkpoint import CheckpointError, alone_in, load_weights
from llinet_lite.data.parallel import spare_threads
from llinet_lite.loop import Options, Run
from llinet_lite.loop_parts import Interrupt, NotFiniteError, StepModule, leave_together, to_device

__all__ = [
    "CheckpointError",
    "History",
    "NotFiniteError",
    "adam",
    "choose_precision",
    "fast_bf16",
    "fit",
    "load_weights",
    "overfit_one_batch",
    "staircase",
]


@dataclass
class History:
    """What a run did.

    Attributes
    ----------
    epochs : list of dict, one per epoch: `epoch` (from 0), `step`, `loss` and the scalars of the step (means
        over the epoch), the metrics of `validate`, `lr`, `samples_per_second`, `seconds`, `waiting` (share
        of the epoch in which the loop waited for its batches), `bad_steps`
    steps : list of dict, one per `log_every` steps, with means since the one before
    best : dict, `epoch`, `metric` and `value` of the best validation
    bad_samples : list of int, indices of the samples in skipped steps
    folder : Path or None
    resumed_at : int or None, the step (counted over the whole run) at which this call went on
    """

    epochs: list = field(default_factory=list)
    steps: list = field(default_factory=list)
    best: dict = field(default_factory=dict)
    bad_samples: list = field(default_factory=list)
    folder: Path | None = None
    resumed_at: int | None = None

    @classmethod
    def of(cls, run: Run) -> "History":
        """What `run` logged; the log of a resumed run holds the part before, too."""
        lines = {"epoch": [], "steps": []}
        for line in run.log.records:
            lines[line["kind"]].append({name: value for name, value in line.items() if name != "kind"})
        bad = sorted(set(run.bad["samples"]))
        return cls(lines["epoch"], lines["steps"], run.best_yet, bad, run.folder, run.resumed_at)

    def frame(self) -> pd.DataFrame:
        """The epochs as a table."""
        return pd.DataFrame(self.epochs)

    def load_best(self, model: nn.Module) -> dict:
        """Put the best weights into `model`; returns what the file says of itself."""
        if self.folder is None:
            raise CheckpointError("This run kept no files: give fit a run_dir to have its best weights.")
        return load_weights(self.folder / "best.safetensors", model)


def staircase(factor: float = 0.94, every: int = 16) -> Callable[[float], float]:
    """Learning-rate schedule factor ** (epoch // every); *Objects that Sound*: x 0.94 every 16 epochs."""
    return lambda epoch: factor ** (int(epoch) // every)


def adam(lr: float = 1e-4, weight_decay: float = 1e-5) -> Callable:
    """Make Adam with an L2 penalty, as both papers do; fused, so a bad step is skipped without a wait."""
    return lambda parameters: torch.optim.Adam(parameters, lr, weight_decay=weight_decay, fused=True)


def fast_bf16(device: str) -> bool:
    """Whether this machine's `device` ("cpu", "cuda", ...) computes in bfloat16: asked, not assumed."""
    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return False
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


def _device(device: str) -> str:
    """The device to use, "cpu", "cuda" or "mps"; an unavailable one is refused."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, available in here.items() if available)
    if not here.get(device, False):
        available = ", ".join(name for name in here if here[name])
        raise ValueError(f'device {device!r} is not available here; use "auto" or one of: {available}.')
    return device


def choose_precision(device, precision: str = "auto") -> str:
    """Fabric's name of the precision to train in.

    Parameters
    ----------
    device : str or torch.device
    precision : "auto" (bfloat16 where `fast_bf16`), "bf16" or "fp32"

    Returns
    -------
    "bf16-mixed" or "32-true"
    """
    auto = "bf16-mixed" if fast_bf16(torch.device(device).type) else "32-true"
    names = {"auto": auto, "bf16": "bf16-mixed", "fp32": "32-true"}
    if precision not in names:
        raise ValueError(f"precision {precision!r} is unknown; choose one of {', '.join(map(repr, names))}.")
    return names[precision]


def _threads(device: str, threads: int | str) -> int:
    """Threads that read ahead: on the CPU none unless told, since the step needs the cores itself."""
    if threads == "auto":
        return spare_threads() if device == "cuda" else 0
    return threads


def _fabric(device: str, devices: int, precision: str) -> Fabric:
    """Fabric without its remark on the precision, which would differ in notebooks from machine to machine."""
    log = logging.getLogger("lightning_fabric")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        return Fabric(accelerator=device, devices=devices, precision=precision)
    finally:
        log.setLevel(level)


def overfit_one_batch(
    model: nn.Module, step: Callable, batch: dict, steps: int = 60, lr: float = 1e-3
) -> list:
    """Train on one and the same batch: a network and a loss that are wired correctly reach a loss near zero.

    Parameters
    ----------
    model, step : as for `fit`
    batch : dict of Tensor
    steps : int
    lr : float, of Adam

    Returns
    -------
    list of float, the loss before each step

    Notebook: 01
    """
    device = next(model.parameters()).device
    batch, losses = to_device(batch, device), []
    module = StepModule(model, step).to(device).train()
    optimizer = adam(lr, 0.0)(module.parameters())
    for _ in range(steps):
        loss, _scalars = module(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return torch.stack(losses).tolist()


def fit(
    model: nn.Module,
    step: Callable,
    batches,
    *,
    epochs: int,
    run_dir=None,
    optimizer: Callable | None = None,
    schedule: Callable[[float], float] | None = None,
    validate: Callable | None = None,
    select: str = "accuracy",
    best: str = "max",
    settings: dict | None = None,
    seed: int = 0,
    precision: str = "auto",
    channels_last: bool | str = "auto",
    device: str = "auto",
    devices: int = 1,
    workers: int = 0,
    threads: int | str = "auto",
    compiled: bool | str = False,
    clip_norm: float | None = None,
    save_seconds: float = 60.0,
    save_steps: int | None = None,
    log_every: int = 50,
    bad_steps_allowed: int = 5,
    fresh: bool = False,
    quiet: bool = False,
) -> History:
    """Train `model`, or go on where an earlier call with the same `run_dir` stopped.

    Parameters
    ----------
    model : Module, trained in place and left on the device with the last epoch's weights
    step : callable (model, batch) -> loss, or (loss, dict of scalar tensors to report); if it is a Module,
        its parameters are trained and its buffers moved along
    batches : object whose `epoch(e)` gives a sequence of batches (`len`, `[i]`), each a dict of tensors and
        a function of (seed, e, i); with several devices each takes every n-th
    epochs : int
    run_dir : folder for `last.ckpt`, `best.safetensors`, `log.jsonl`; None: nothing is kept. Of two processes
        that train in one folder the second waits, and ends with what the first made
    optimizer : callable parameters -> torch Optimizer; None: `adam()`
    schedule : callable epoch -> factor on the learning rate, called with fractions of epochs too
    validate : callable model -> dict of float, after each epoch, in eval mode without gradients
    select, best : the metric that chooses the best weights, and whether "max" or "min" is best; without
        `validate` the last weights are the best
    settings : dict of JSON values that describe the run (data hash, batch size, ...): a checkpoint made with
        others is refused. Seed, precision, optimizer and network are added; `epochs` is not, so that a run
        can be prolonged
    seed : int, of dropout and the like; the batches bring their own
    precision : "auto" (bfloat16 where the machine computes in it, else float32), "bf16", "fp32"
    channels_last : bool, or "auto": with bfloat16
    device : "auto", "cpu", "cuda", "mps"
    devices : int; more than one: distributed data parallel (gloo on CPU, nccl on CUDA), from a script, not
        from a notebook
    workers : int, processes that load batches; the result does not depend on it
    threads : int, that read batches ahead where there are no workers, or "auto": on a GPU, as many as there
        are cores to spare; the result does not depend on it
    compiled : bool, whether torch.compile translates the step (for long runs on a GPU), or the name of one of
        its backends; checkpoints hold nothing of it
    clip_norm : float or None, largest norm of the gradient
    save_seconds, save_steps : a checkpoint after so many seconds or steps, and after every epoch
    log_every : int, steps between lines in the log
    bad_steps_allowed : int, steps in a row with a loss or gradient that is not finite before NotFiniteError;
        such a step changes nothing
    fresh : bool, start anew even if there is a checkpoint
    quiet : bool, print nothing

    Returns
    -------
    History

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged, was made with other settings, or the disk is full.
    NotFiniteError
        After too many bad steps in a row, with their samples.
    KeyboardInterrupt
        After Ctrl-C, once a checkpoint is written.

    Notebook: 01
    """
    name = _device(device)
    options = Options(
        epochs, schedule, validate, select, best, seed, workers, _threads(name, threads), compiled, clip_norm,
        save_seconds, save_steps, log_every, bad_steps_allowed, quiet,
    )  # fmt: skip
    run = Run(model, step, batches, run_dir, options)
    plan = {"precision": choose_precision(name, precision), "seed": seed, "clip_norm": clip_norm}
    bf16 = plan["precision"] == "bf16-mixed"
    plan["channels_last"] = bf16 if channels_last == "auto" else bool(channels_last)
    fabric = _fabric(name, devices, plan["precision"])
    held = run.folder if devices == 1 else None  # several devices train in one folder together
    cards = [fabric.device] if name == "cuda" else []
    with alone_in(held, lambda line: None if quiet else print(line, flush=True)):
        run.prepare(fabric, optimizer or adam(), plan | (settings or {}), fresh)
        with torch.random.fork_rng(cards), Interrupt() as run.interrupt:
            run.train()
    if devices > 1:
        leave_together(run)
    return History.of(run)
