"""Files that are whole or not there, folders that one process makes at a time, checkpoints and weights."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, read or continued; the message says which, why and what to do."""


def write_whole(path: str | Path, data: bytes) -> Path:
    """Write a file so that it holds all of `data` or what was there before, whatever happens meanwhile."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise
        raise OSError(
            error.errno,
            f"{path}: no space left on the disk for {len(data) / 1e6:.1f} MB more. What was there is intact: "
            "free some space and run the same command again",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def refuse_worker() -> None:
    """End a spawned process that still imports its parent's script: it would wait for its parent's lock."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        guard = 'put the script\'s code below `if __name__ == "__main__":`'
        raise SystemExit(f"every worker process runs your script again, from its first line: {guard}")


@contextlib.contextmanager
def alone_in(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder that is being made, by a lock beside it; a second process waits for the first."""
    import filelock

    refuse_worker()
    folder.parent.mkdir(parents=True, exist_ok=True)
    held = filelock.FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        say(f"another process is at work in {folder}: waiting for it")
        held.acquire()
    try:
        yield
    finally:
        held.release()


def load_checkpoint(path: Path, settings: dict) -> dict:
    """Read a checkpoint (tensors and plain values: no code is run); one with other settings is refused."""
    import torch

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
    import torch
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
        anew = f"where a run left it, delete the folder {Path(path).parent}, then the run trains anew"
        raise CheckpointError(f"{path} holds no weights of this network ({error}); {anew}") from error
    return {name: json.loads(value) for name, value in notes.items()}
