"""Files that are whole or absent: checkpoints, weights, result files, the log of a run.

Notebook: 01
"""

import contextlib
import errno
import io
import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

__all__ = [
    "CheckpointError",
    "JsonLines",
    "alone_in",
    "load_checkpoint",
    "load_weights",
    "packed",
    "plain",
    "refuse_other_settings",
    "remove_stale",
    "rounded",
    "save_checkpoint",
    "save_weights",
    "unpacked",
    "write_atomic",
]


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, read or continued; the message says which, why and what to do."""


def _sync_folder(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # POSIX: a new name is on the disk only once its folder is
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_atomic(path, data: bytes) -> None:
    """Write `data` so that `path` holds either all of it or what was there before, whatever happens.

    A temporary file in the same folder is written, flushed to the disk, then takes the name.

    Raises
    ------
    CheckpointError
        If the disk is full; the old file is untouched and the temporary one removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        kept = "the previous file is intact" if path.exists() else "nothing was written"
        raise CheckpointError(
            f"No space left for {path} ({len(data) / 2**20:.1f} MiB): {kept}. Free space there and start "
            "again; a training run goes on from its last checkpoint."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def alone_in(folder: Path | None, say: Callable[[str], None], lock: Path | None = None) -> Iterator[None]:
    """Hold a folder that is being made; while another process holds it, wait: what it ends with is ours, too.

    The lock is the system's own, so a killed process leaves none behind.

    Parameters
    ----------
    folder : Path, or None: there is nothing to hold
    say : callable
        Told once if there is somebody to wait for.
    lock : Path, optional
        File to lock, where something else than `.lock` in the folder.
    """
    if folder is None:
        yield
        return
    lock = lock or folder / ".lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = filelock.FileLock(lock)
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        say(f"another process is at work in {folder}: waiting for what it ends with")
        held.acquire()
    try:
        yield
    finally:
        held.release()


def remove_stale(folder) -> list[Path]:
    """Remove the temporary files that a killed process left in `folder`; returns them."""
    stale = sorted(Path(folder).glob(".*.tmp"))
    for path in stale:
        path.unlink(missing_ok=True)
    return stale


def plain(value):
    """`value` as JSON can hold it: tensors and numpy scalars as numbers, not-a-number as None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


class JsonLines:
    """A log with one JSON record a line, each appended by a single write.

    Parameters
    ----------
    path : path, or None to keep the records in memory only
    """

    def __init__(self, path=None):
        self.path = None if path is None else Path(path)
        self.records = [] if self.path is None or not self.path.exists() else self._read()

    def _read(self) -> list[dict]:
        records = []
        for line in self.path.read_bytes().split(b"\n"):
            try:
                records.append(json.loads(line))
            except ValueError:  # empty, or the half line that a killed process left
                continue
        return records

    def append(self, record: dict) -> None:
        """Add one record."""
        record = plain(record)
        self.records.append(record)
        if self.path is not None:
            with open(self.path, "ab", buffering=0) as file:
                file.write(json.dumps(record).encode() + b"\n")

    def keep(self, wanted) -> None:
        """Keep only the records for which `wanted(record)` is true."""
        self.records = [record for record in self.records if wanted(record)]
        if self.path is not None:
            lines = [json.dumps(record).encode() + b"\n" for record in self.records]
            write_atomic(self.path, b"".join(lines))


def save_checkpoint(path, state: dict) -> None:
    """Write a dictionary of tensors and plain values for `load_checkpoint`, atomically."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def load_checkpoint(path) -> dict:
    """Read our own resume file (tensors and plain values only: no code is run), onto the CPU.

    Raises
    ------
    CheckpointError
        If the file is damaged or is no checkpoint of ours.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}: {reason}). "
            "Delete it to start the run anew."
        ) from error


def save_weights(path, model: torch.nn.Module, metadata: dict | None = None) -> None:
    """Write the weights as safetensors, with `metadata` (JSON values) in the header, atomically."""
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in model.state_dict().items()
    }
    notes = {name: json.dumps(plain(value)) for name, value in (metadata or {}).items()}
    write_atomic(path, save_tensors(tensors, notes))


def load_weights(path, model: torch.nn.Module) -> dict:
    """Put weights of `save_weights` into `model`; returns their metadata.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, or of another network (the first differing layer is named).
    """
    try:
        data = Path(path).read_bytes()
        tensors = load_tensors(data)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} holds no readable weights ({error}). Train them or copy them again."
        ) from error
    own = model.state_dict()
    for name in [*own, *tensors]:
        here = tuple(own[name].shape) if name in own else "missing"
        there = tuple(tensors[name].shape) if name in tensors else "missing"
        if here != there:
            raise CheckpointError(
                f"{path} is of another network: {name} is {there} in the file and {here} in the model. "
                "Build the model with the variant and width of the file."
            )
    model.load_state_dict(tensors)
    length = int.from_bytes(data[:8], "little")  # the safetensors header: its length, then JSON
    notes = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return {name: json.loads(value) for name, value in notes.items()}


def refuse_other_settings(path, saved: dict, now: dict) -> None:
    """Raise CheckpointError, naming the fields, if a checkpoint was made with other settings."""
    different = [
        f"{name} is {now.get(name, 'absent')!r} now and was {saved.get(name, 'absent')!r}"
        for name in sorted({*saved, *now})
        if saved.get(name, "absent") != now.get(name, "absent")
    ]
    if different:
        raise CheckpointError(
            f"{path} was made with other settings: {'; '.join(different)}. Give the old settings, another "
            "folder, or fresh=True to start anew."
        )


def rounded(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Round the weights to 16 bits, in place too, and return them: what is judged is what is published."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    return state


def packed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Pack weights for publication: 8 bits for matrices and kernels, 16 for the rest.

    Every row of a weight (of a matrix, or of a kernel by its output channel) becomes whole numbers of -127 to
    127 times the row's scale, max |w| / 127 in bfloat16, kept as "<name>:scale". Packing what was unpacked
    gives the same numbers again.

    Parameters
    ----------
    state : dict of str to Tensor

    Returns
    -------
    dict of str to Tensor, for safetensors
    """
    small = {}
    for name, value in state.items():
        if not value.is_floating_point():
            small[name] = value
        elif value.ndim < 2:
            small[name] = value.half()
        else:
            rows = value.float().flatten(1)  # (out, ...) -> (out, n)
            scale = (rows.abs().amax(1, keepdim=True) / 127).bfloat16()
            whole = (rows / scale.float().clamp(min=1e-30)).round().clamp(-127, 127)
            small[name], small[f"{name}:scale"] = whole.to(torch.int8).view(value.shape), scale
    return small


def unpacked(small: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the float32 weights that `packed` packed, rounded."""
    state = {}
    for name, value in small.items():
        if name.endswith(":scale"):
            continue
        scale = small.get(f"{name}:scale")
        if scale is None:
            state[name] = value.float() if value.is_floating_point() else value
        else:
            state[name] = (value.flatten(1).float() * scale.float()).view(value.shape)
    return state
