"""The inside of `training.fit`: one step, one epoch, what is saved, what is printed.

Notebook: 01
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from llinet_lite.checkpoint import (
    JsonLines,
    load_checkpoint,
    plain,
    refuse_other_settings,
    remove_stale,
    save_checkpoint,
    save_weights,
)
from llinet_lite.data.parallel import ahead
from llinet_lite.loop_parts import (
    Guard,
    Interrupt,
    Meter,
    NotFiniteError,
    Pace,
    StepModule,
    Waiting,
    batch_size,
    channels_last,
    duration,
    pinned,
    seed_of,
    to_device,
)

__all__ = ["Options", "Run"]

SECONDS_BETWEEN_LINES = 5.0
STEPS_BETWEEN_SYNCS = 25  # on an accelerator: how far its queue may run ahead of the checks
MUCH_WAITING, LONG_WAITING = 0.3, 1.0  # for batches: share and seconds of an epoch that are worth a word


@dataclass(frozen=True)
class Options:
    """How to run; `training.fit` explains each."""

    epochs: int
    schedule: Callable | None
    validate: Callable | None
    select: str
    best: str
    seed: int
    workers: int
    threads: int
    compiled: bool | str
    clip_norm: float | None
    save_seconds: float
    save_steps: int | None
    log_every: int
    bad_steps_allowed: int
    quiet: bool

    def __post_init__(self):
        names = ("epochs", "log_every", "bad_steps_allowed", "workers", "threads")
        for name, least in zip(names, (1, 1, 1, 0, 0), strict=True):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if self.best not in ("max", "min"):
            raise ValueError(f'best must be "max" or "min", got {self.best!r}.')


class Run:
    """The state of one training run."""

    def __init__(self, model: nn.Module, step: Callable, batches, run_dir, options: Options):
        self.batches, self.options = batches, options
        self.folder = None if run_dir is None else Path(run_dir)
        self.model, self.module = model, StepModule(model, step)
        self.epoch = self.position = self.step = 0  # next epoch, next batch in it, steps done
        self.in_epoch, self.window, self.best_yet = Meter(), Meter(), {}
        self.bad = {"in_row": 0, "total": 0, "samples": []}
        self.pending, self.resumed_at, self.interrupt = [], None, Interrupt()
        self.waiting, self.said_waiting = Waiting(), False

    def prepare(self, fabric, make_optimizer: Callable, settings: dict, fresh: bool) -> None:
        """Bring network and optimizer to the device and, if there is one, to the checkpoint's state."""
        self.fabric = fabric
        fabric.launch()
        self.talks = fabric.is_global_zero and not self.options.quiet
        self.module.to(fabric.device)
        if settings["channels_last"]:
            channels_last(self.module)
        optimizer = make_optimizer([weight for weight in self.module.parameters() if weight.requires_grad])
        for group in optimizer.param_groups:
            group["initial_lr"] = float(group["lr"])
        self.settings = self._describe(settings, optimizer)
        self._open(fresh)
        if self.folder is not None and (self.folder / "last.ckpt").exists():
            self._resume(optimizer)
        if compiled := self.options.compiled:  # in place: the names of the weights stay
            self.module.compile(backend="inductor" if compiled is True else compiled)
        self.wrapped, self.optimizer = fabric.setup(self.module, optimizer)
        self.guard = Guard(fabric, self.module, self.optimizer, self.options.clip_norm)
        self.pace = Pace(fabric.device)
        self.sync_every = 1 if fabric.device.type == "cpu" else STEPS_BETWEEN_SYNCS

    def _describe(self, settings: dict, optimizer) -> dict:
        """Everything that a checkpoint must agree with."""
        shapes = [(name, tuple(value.shape)) for name, value in self.module.state_dict().items()]
        defaults = json.dumps(plain(optimizer.defaults), sort_keys=True)
        own = {
            "network": hashlib.sha256(repr(shapes).encode()).hexdigest()[:12],
            "optimizer": f"{type(optimizer).__name__} {defaults}",
            "batches_per_epoch": len(self.batches.epoch(0)),
            "processes": self.fabric.world_size,
        }
        return plain(own | settings)

    def _open(self, fresh: bool) -> None:
        """Clear what a killed process left; with `fresh`, clear everything."""
        self.log = JsonLines()
        if self.folder is None:
            return
        if self.fabric.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_stale(self.folder)
            if fresh or not (self.folder / "last.ckpt").exists():
                for name in ("last.ckpt", "best.safetensors", "log.jsonl"):
                    (self.folder / name).unlink(missing_ok=True)
            self.log = JsonLines(self.folder / "log.jsonl")
        self.fabric.barrier()

    def _resume(self, optimizer) -> None:
        path = self.folder / "last.ckpt"
        state = load_checkpoint(path)
        refuse_other_settings(path, state.get("settings", {}), self.settings)
        self.module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.position, self.step = state["epoch"], state["position"], state["step"]
        self.in_epoch, self.window = Meter(state["in_epoch"]), Meter(state["window"])
        self.best_yet, self.bad, self.resumed_at = state["best"], state["bad"], state["step"]

        def old(line):
            return line["step"] <= self.step if line["kind"] == "steps" else line["epoch"] < self.epoch

        if self.fabric.is_global_zero:
            self.log.keep(old)
        if self.epoch < self.options.epochs:
            where = f"epoch {self.epoch + 1}/{self.options.epochs}, batch {self.position + 1}"
            self.say(f"going on at {where}, from {path}")

    def save(self) -> None:
        """Write the checkpoint (first process only)."""
        self.flush()
        self.saved_at, self.saved_step = time.monotonic(), self.step
        if self.folder is None or not self.fabric.is_global_zero:
            return
        state = {
            "settings": self.settings,
            "module": self.module.state_dict(),
            "optimizer": self.guard.raw.state_dict(),
            "epoch": self.epoch,
            "position": self.position,
            "step": self.step,
            "in_epoch": self.in_epoch.state(),
            "window": self.window.state(),
            "best": self.best_yet,
            "bad": self.bad,
        }
        save_checkpoint(self.folder / "last.ckpt", state)

    def train(self) -> None:
        """All epochs that are left."""
        self.started = self.saved_at = self.spoke_at = time.monotonic()
        self.saved_step = self.first_step = self.step
        while self.epoch < self.options.epochs:
            self.train_epoch()
            self.end_epoch()
            if self.stop_asked():
                self.stop()

    def loader(self, sequence) -> Iterable:
        """The rest of the epoch for this process, loaded by `workers` processes or else by `threads`."""
        world, rank = self.fabric.world_size, self.fabric.global_rank
        places = range(self.position * world + rank, self.per_epoch * world, world)
        pin = self.fabric.device.type == "cuda"
        if self.options.threads and not self.options.workers:
            load = (lambda place: pinned(sequence[place])) if pin else sequence.__getitem__
            return ahead(load, places, self.options.threads)
        return DataLoader(
            sequence,
            batch_size=None,
            sampler=places,
            num_workers=self.options.workers,
            pin_memory=pin,
            generator=torch.Generator().manual_seed(seed_of(self.options.seed, self.epoch, "workers")),
        )

    def train_epoch(self) -> None:
        """The batches that are left in this epoch."""
        sequence = self.batches.epoch(self.epoch)
        self.per_epoch = len(sequence) // self.fabric.world_size
        if self.per_epoch == 0:
            raise ValueError(
                f"Epoch {self.epoch + 1} has {len(sequence)} batches for {self.fabric.world_size} processes; "
                "make the batches smaller or give more data."
            )
        self.epoch_started, self.epoch_samples = time.monotonic(), 0
        self.wrapped.train()
        for batch in self.waiting.over(self.loader(sequence)):
            self.one_step(batch)
            if self.stop_asked():
                self.stop()
            if self.position == self.per_epoch:
                continue  # end_epoch saves and reports
            if self.save_is_due():
                self.save()
            if self.talks and time.monotonic() - self.spoke_at > SECONDS_BETWEEN_LINES:
                self.report()

    def one_step(self, batch: dict) -> None:
        """One batch: forward, backward, the guarded step of the optimizer."""
        options = self.options
        torch.manual_seed(seed_of(options.seed, self.epoch, self.position, self.fabric.global_rank))
        now = self.epoch + self.position / self.per_epoch
        factor = 1.0 if options.schedule is None else options.schedule(now)
        for group in self.guard.raw.param_groups:
            group["lr"] = group["initial_lr"] * (factor if group.get("scheduled", True) else 1.0)
        self.guard.before()
        loss, scalars = self.wrapped(to_device(batch, self.fabric.device))
        self.fabric.backward(loss)
        finite = self.guard.step(loss)
        self.optimizer.zero_grad()
        self.pace.step()
        numbers = {"loss": loss, **scalars}
        values = [torch.as_tensor(value, device=loss.device).detach().float() for value in numbers.values()]
        self.pending.append((finite, torch.stack(values), list(numbers), batch.get("index")))
        self.position, self.step = self.position + 1, self.step + 1
        self.epoch_samples += batch_size(batch) * self.fabric.world_size
        if self.step % self.sync_every == 0 or self.position == self.per_epoch:
            self.flush()
            self.refuse_bad_row()
        if self.step % options.log_every == 0:
            self.flush()
            place = {"kind": "steps", "step": self.step, "epoch": self.epoch}
            self.log.append(place | self.window.means() | {"lr": self.lr})
            self.window = Meter()

    @property
    def lr(self) -> float:
        """The learning rate of the first group now."""
        return self.guard.raw.param_groups[0]["lr"]

    def flush(self) -> None:
        """Read the numbers of the steps since the last call; the only wait for an accelerator."""
        if not self.pending:
            return
        flags = torch.stack([entry[0] for entry in self.pending]).tolist()
        for good, (_, values, names, index) in zip(flags, self.pending, strict=True):
            if good:
                self.bad["in_row"] = 0
                numbers = dict(zip(names, values.tolist(), strict=True))
                self.in_epoch.add(numbers)
                self.window.add(numbers)
            else:
                self.bad["in_row"] += 1
                self.bad["total"] += 1
                self.bad["samples"] += [] if index is None else index.tolist()
        self.pending = []

    def refuse_bad_row(self) -> None:
        """Stop after too many bad steps in a row."""
        if self.bad["in_row"] < self.options.bad_steps_allowed:
            return
        samples = self.bad["samples"]
        raise NotFiniteError(
            f"The loss or its gradient was not finite in {self.bad['in_row']} steps in a row, up to "
            f"epoch {self.epoch + 1}, batch {self.position}; they changed no weight. Their samples are "
            f"{samples[:20]}{' ...' if len(samples) > 20 else ''}: look at them, lower the learning rate or "
            "give clip_norm."
        )

    def end_epoch(self) -> None:
        """Validate, keep the best weights, log, save."""
        self.flush()
        seconds = time.monotonic() - self.epoch_started
        metrics = self.measure()
        record = {"kind": "epoch", "epoch": self.epoch, "step": self.step, **self.in_epoch.means(), **metrics}
        record |= {
            "lr": self.lr,
            "samples_per_second": self.epoch_samples / max(seconds, 1e-9),
            "seconds": seconds,
            "waiting": self.waiting.seconds / max(seconds, 1e-9),
            "bad_steps": self.bad["total"],
        }
        self.keep_best(metrics)
        self.log.append(record)
        self.epoch, self.position, self.in_epoch = self.epoch + 1, 0, Meter()
        self.save()
        shown = [f"{name} {value:.4f}" for name, value in record.items() if name in (*metrics, "loss")]
        rate = f"{record['samples_per_second']:.0f} samples/s"
        self.say(f"epoch {self.epoch}/{self.options.epochs} done  {'  '.join(shown)}  {rate}  {self.left()}")
        self.say_waiting(record["waiting"])

    def say_waiting(self, share: float) -> None:
        """One sentence, once a run, where the data are slower than the step."""
        if share > MUCH_WAITING and self.waiting.seconds > LONG_WAITING and not self.said_waiting:
            self.said_waiting = True
            how = "let more threads or workers read them, or keep the data on a faster disk"
            self.say(f"{share:.0%} of this epoch went by waiting for its batches: {how}")

    def measure(self) -> dict:
        """The metrics of `validate`, in eval mode."""
        if self.options.validate is None:
            return {}
        torch.manual_seed(seed_of(self.options.seed, self.epoch, "validate"))
        self.module.eval()
        with torch.no_grad(), self.fabric.autocast():
            metrics = {name: float(value) for name, value in self.options.validate(self.model).items()}
        if self.options.select not in metrics:
            raise ValueError(
                f"validate gives {', '.join(metrics)}, not {self.options.select!r}; select one of these."
            )
        return metrics

    def keep_best(self, metrics: dict) -> None:
        """Write the weights if they are the best so far (without validation: always)."""
        name = self.options.select if metrics else None
        value = metrics.get(name)
        if value is not None:
            sign = 1 if self.options.best == "max" else -1
            if math.isnan(value) or (self.best_yet and sign * value <= sign * self.best_yet["value"]):
                return
        self.best_yet = {"epoch": self.epoch, "metric": name, "value": value}
        if self.folder is not None and self.fabric.is_global_zero:
            notes = self.best_yet | {"settings": self.settings}
            save_weights(self.folder / "best.safetensors", self.model, notes)

    def save_is_due(self) -> bool:
        """Whether enough seconds or steps went by since the last checkpoint."""
        every = self.options.save_steps
        by_steps = every is not None and self.step - self.saved_step >= every
        by_time = time.monotonic() - self.saved_at > self.options.save_seconds
        return self.folder is not None and (by_steps or by_time)

    def stop_asked(self) -> bool:
        """Whether someone pressed Ctrl-C; all processes agree on the answer."""
        if self.fabric.world_size == 1:
            return self.interrupt.asked
        if self.step % self.sync_every:
            return False
        asked = torch.tensor(float(self.interrupt.asked), device=self.fabric.device)
        return bool(self.fabric.all_reduce(asked, reduce_op="sum"))

    def stop(self) -> None:
        """Save and leave, saying how to go on."""
        self.save()
        how = "nothing was kept, since there is no run_dir"
        if self.folder is not None:
            how = f"a checkpoint is in {self.folder}; the same call goes on from it"
        message = f"stopped after {self.step} steps, in epoch {self.epoch + 1}: {how}"
        self.say(message)
        raise KeyboardInterrupt(message)

    def left(self) -> str:
        """The time that is left, from the speed so far."""
        spent, done = time.monotonic() - self.started, self.step - self.first_step
        todo = self.per_epoch * self.options.epochs - self.step
        return f"{duration(spent / done * todo)} left" if done and todo > 0 else f"{duration(spent)} in all"

    def report(self) -> None:
        """One line on where the run is."""
        self.flush()
        shown = "  ".join(f"{name} {value:.4f}" for name, value in self.in_epoch.means().items())
        rate = self.epoch_samples / max(time.monotonic() - self.epoch_started, 1e-9)
        place = f"epoch {self.epoch + 1}/{self.options.epochs}  batch {self.position}/{self.per_epoch}"
        self.say(f"{place}  {shown}  {rate:.0f} samples/s  {self.left()}")

    def say(self, line: str) -> None:
        """Print one line, at once."""
        self.spoke_at = time.monotonic()
        if self.talks:
            print(line, flush=True)
