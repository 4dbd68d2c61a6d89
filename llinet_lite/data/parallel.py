"""Many tasks over all cores, with a progress line, killed with their parent; reading ahead in threads.

Notebook: 00
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from threadpoolctl import threadpool_limits


class Progress:
    """One line with the rate and the time left, on stderr: rewritten on a terminal, repeated elsewhere.

    Parameters
    ----------
    total : int
    label, unit : str
        As in "world train: 320 of 2857 clips, 96 clips/s, 26 s left".
    enabled : bool
    """

    def __init__(self, total: int, label: str, unit: str, enabled: bool = True):
        self.total, self.label, self.unit, self.enabled = total, label, unit, enabled
        self.done, self.begun, self.shown = 0, time.monotonic(), time.monotonic()
        self.live = sys.stderr.isatty()

    def add(self, count: int) -> None:
        """Count ``count`` more units as done."""
        self.done += count
        now = time.monotonic()
        last = self.done >= self.total
        if self.enabled and (last or now - self.shown > (0.2 if self.live else 5.0)):
            self.shown = now
            rate = self.done / max(now - self.begun, 1e-9)
            took, left = now - self.begun, (self.total - self.done) / rate
            left = f"done in {took:.0f} s" if last else f"{left:.0f} s left"
            text = f"{self.label}: {self.done} of {self.total} {self.unit}, {rate:.1f} {self.unit}/s, {left}"
            start, end = ("\r", "\x1b[K" + "\n" * last) if self.live else ("", "\n")
            print(start + text, end=end, file=sys.stderr, flush=True)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spare_threads() -> int:
    """Threads for reading ahead: one core is left to compute, at most 8; none on fewer than four cores."""
    return min(8, cores() - 1) if cores() >= 4 else 0


def ahead(load: Callable, places: Iterable, threads: int) -> Iterator:
    """Yield ``load(place)`` for every place, in order; threads work on the next ones meanwhile.

    Pictures are decoded and sounds copied outside Python's lock (the GIL), so threads do it side by side, and
    start at once where processes would take a second.

    Parameters
    ----------
    load : callable
        Of a place alone, so that the result does not depend on the number of threads.
    places : iterable
    threads : int
        Results that are held ready are at most one more. 0: nothing is read ahead.
    """
    if threads < 1:
        yield from map(load, places)
        return
    pool, coming = ThreadPoolExecutor(threads, "reader"), deque()
    try:
        for place in places:
            coming.append(pool.submit(load, place))
            if len(coming) > threads:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """One thread per worker; Ctrl-C is the parent's affair; no worker outlives a killed parent."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    threadpool_limits(1)
    parent = multiprocessing.parent_process().sentinel

    def follow():
        multiprocessing.connection.wait([parent])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _can_spawn() -> bool:
    """A new interpreter must be able to load the main script again (not when it came from a pipe)."""
    script = getattr(sys.modules["__main__"], "__file__", None)
    return script is None or Path(script).exists()


def over_cores(function: Callable, tasks: Iterable[tuple], workers: int | None = None) -> Iterator[tuple]:
    """Call ``function(*task)`` for every task and yield (task, result) as they finish.

    Parameters
    ----------
    function : callable
        Defined at the top of a module, so that a spawned process finds it.
    tasks : iterable of tuple
    workers : int, optional
        Processes; default: one per core, 1: in this process.

    Raises
    ------
    RuntimeError
        A process died (often for lack of memory).
    """
    tasks = list(tasks)
    workers = min(workers or cores(), len(tasks))
    if workers <= 1 or not _can_spawn():
        with threadpool_limits(1):
            for task in tasks:
                yield task, function(*task)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        futures = {pool.submit(function, *task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process ended unexpectedly, most often for lack of memory (or because a script starts "
            "this without `if __name__ == '__main__':`). Run it again: what is finished is kept; "
            "workers=1 needs the least memory."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
