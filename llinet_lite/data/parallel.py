"""TEMPORARY: wave B removes this. The names that callers still import; see :mod:`llinet_lite.data.store`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from joblib import cpu_count

from llinet_lite.data import store

__all__ = ["Progress", "ahead", "cores", "over_cores", "spare_threads"]


class Progress:
    """A bar that is added to."""

    def __init__(self, total: int, label: str, unit: str, enabled: bool = True):
        from tqdm import tqdm

        self.bar = tqdm(desc=label, total=total, unit=f" {unit}", disable=not enabled, mininterval=1)

    def add(self, count: int) -> None:
        """Count ``count`` more units as done."""
        self.bar.update(count)
        if self.bar.n >= (self.bar.total or 0):
            self.bar.close()


def over_cores(function: Callable, tasks: Iterable[tuple], workers: int | None = None) -> Iterator[tuple]:
    """Yield (task, result)."""
    tasks = list(tasks)
    return zip(tasks, store.over_cores(function, tasks, workers), strict=True)


def cores() -> int:
    """Cores that this process may use."""
    return cpu_count()


def spare_threads() -> int:
    """Threads for reading ahead: one core is left to compute, at most 8; none on fewer than four cores."""
    return min(8, cores() - 1) if cores() >= 4 else 0


def ahead(load: Callable, places: Iterable, threads: int) -> Iterator:
    """Yield ``load(place)`` for every place, in order; threads work on the next ones meanwhile."""
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
