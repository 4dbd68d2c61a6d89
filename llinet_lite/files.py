"""Files that are whole or not there, and folders that one process makes at a time."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path


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


@contextlib.contextmanager
def alone_in(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder that is being made; a second process waits for the first."""
    import filelock

    folder.mkdir(parents=True, exist_ok=True)
    held = filelock.FileLock(folder / ".lock")
    try:
        held.acquire(timeout=0)
    except filelock.Timeout:
        say(f"another process is at work in {folder}: waiting for it")
        held.acquire()
    try:
        yield
    finally:
        held.release()
