"""The parts of the training loop that can be looked at alone: means, Ctrl-C, the guard against bad steps.

Notebook: 01
"""

import hashlib
import json
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

__all__ = [
    "Guard",
    "Interrupt",
    "Meter",
    "NotFiniteError",
    "Pace",
    "StepModule",
    "Waiting",
    "batch_size",
    "channels_last",
    "duration",
    "leave_together",
    "pinned",
    "seed_of",
    "to_device",
]


STEPS_AHEAD = 2  # so that a GPU always has the next step at hand


class NotFiniteError(ArithmeticError):
    """Too many steps in a row had a loss or a gradient that is not finite."""


class StepModule(nn.Module):
    """The network and what is done with it as one module: devices, precision and DDP see every call."""

    def __init__(self, model: nn.Module, step: Callable):
        super().__init__()
        self.model, self.step = model, step

    def forward(self, batch: dict) -> tuple[Tensor, dict]:
        """Batch -> (loss, scalars to report)."""
        result = self.step(self.model, batch)
        return result if isinstance(result, tuple) else (result, {})


class Meter:
    """Running means of named numbers."""

    def __init__(self, state: dict | None = None):
        self.sums, self.count = (dict(state["sums"]), state["count"]) if state else ({}, 0)

    def add(self, values: dict) -> None:
        """Count one step's numbers."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def means(self) -> dict:
        """The mean of each number; empty if nothing was counted."""
        return {name: value / self.count for name, value in self.sums.items()}

    def state(self) -> dict:
        """What a checkpoint keeps."""
        return {"sums": dict(self.sums), "count": self.count}


class Waiting:
    """How long the loop waited for its batches.

    Attributes
    ----------
    seconds : float
        Since the start of the epoch.
    """

    seconds = 0.0

    def over(self, batches: Iterable) -> Iterator:
        """The same batches, timed from the demand for each until it was there."""
        self.seconds, batches = 0.0, iter(batches)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self.seconds += time.perf_counter() - began
            if batch is None:
                return
            yield batch


class Pace:
    """Keeps a GPU's queue short: at most `STEPS_AHEAD` steps are handed to it before the first is done.

    Else the CPU would ask for batches long before they are needed, and its waiting would say nothing of the
    GPU's. On the CPU, where a step is done when it returns, it does nothing.
    """

    def __init__(self, device: torch.device):
        self.running = deque() if device.type == "cuda" else None

    def step(self) -> None:
        """A step was handed over."""
        if self.running is None:
            return
        self.running.append(torch.cuda.Event())
        self.running[-1].record()
        if len(self.running) > STEPS_AHEAD:
            self.running.popleft().synchronize()


class Interrupt:
    """Ctrl-C sets a flag that the loop sees between two steps; a second Ctrl-C stops at once."""

    asked = False

    def _handle(self, *_):
        if self.asked:
            raise KeyboardInterrupt("stopped in the middle of a step; the last checkpoint is where to go on")
        self.asked = True

    def __enter__(self):
        self.main = threading.current_thread() is threading.main_thread()
        self.before = signal.signal(signal.SIGINT, self._handle) if self.main else None
        return self

    def __exit__(self, *_):
        if self.main:
            signal.signal(signal.SIGINT, self.before)


class Guard:
    """Lets a step happen only if its loss and gradient are finite; otherwise nothing changes.

    On an accelerator the decision stays there: a fused optimizer reads the flag `found_inf` on the device,
    buffers (the running means of batch normalisation) are put back by `torch.where`, and nobody waits. On the
    CPU, and for optimizers that are not fused, the flag is read.
    """

    def __init__(self, fabric, module: nn.Module, optimizer, clip_norm: float | None):
        self.fabric, self.clip_norm, self.optimizer = fabric, clip_norm, optimizer
        self.raw = getattr(optimizer, "optimizer", optimizer)  # Fabric wraps it
        self.module, self.buffers = module, None
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self.waits = fabric.device.type == "cpu" or not self.raw.defaults.get("fused")

    def before(self) -> None:
        """Remember the buffers that the forward pass may change: those of parts in training mode.

        A frozen trunk has hundreds of others, and each would cost a GPU three small jobs a step.
        """
        if self.buffers is None:
            parts = [part for part in self.module.modules() if part.training]
            self.buffers = [buffer for part in parts for buffer in part.buffers(recurse=False)]
        self.kept = [buffer.clone() for buffer in self.buffers]

    def step(self, loss: Tensor) -> Tensor:
        """Take or refuse the optimizer's step; returns the flag, a boolean on the device."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        finite = torch.isfinite(loss.detach()) & torch.isfinite(norm)
        if self.fabric.world_size > 1:
            finite = self.fabric.all_reduce(finite.float(), reduce_op="sum") == self.fabric.world_size
        if self.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.parameters, self.clip_norm, norm)
        # The first step of a momentum makes its memory, and a refused one would leave it unwritten.
        fresh = self.raw.defaults.get("momentum") and not self.raw.state
        if not self.waits and not fresh:
            self.raw.found_inf = (~finite).float()
            self.optimizer.step()
        elif bool(finite):
            self.optimizer.step()
            return finite
        for buffer, old in zip(self.buffers, self.kept, strict=True):
            buffer.copy_(torch.where(finite, buffer, old))
        return finite


def seed_of(*parts) -> int:
    """A generator's seed from numbers and words."""
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8], "little") >> 1


def channels_last(module: nn.Module) -> None:
    """Keep the weights of convolutions, in two and in three dimensions, with channels last in memory."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for tensor in module.parameters():
        if tensor.ndim in layouts:
            tensor.data = tensor.data.contiguous(memory_format=layouts[tensor.ndim])


def duration(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"


def to_device(batch, device):
    """Move the tensors in a dict, list or tuple."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


def pinned(batch):
    """Bring the tensors of a dict, list or tuple to memory from which a GPU fetches them by itself."""
    if isinstance(batch, Tensor):
        return batch.pin_memory()
    if isinstance(batch, dict):
        return {name: pinned(value) for name, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(pinned(value) for value in batch)
    return batch


def batch_size(batch: dict) -> int:
    """Number of samples: the length of the first tensor."""
    return next(len(value) for value in batch.values() if isinstance(value, Tensor))


def leave_together(run) -> None:
    """Close the connection between the processes of a run, once all have arrived.

    Left to the interpreter's end, its threads may still run when their objects go, and a process whose work
    is done aborts ("terminate called without an active exception"). A next run connects anew.

    DDP goes first. It shares the connection, and if it were the last to let go, the connection would end with
    Python's lock (the GIL) held: that end waits for gloo's threads, and a thread that still has a tensor to
    drop waits for the lock, forever. `destroy_process_group` lets go of the lock while it waits.
    """
    run.fabric.barrier()
    run.wrapped = None
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
