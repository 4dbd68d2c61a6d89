"""What every measurement shares: the row of the table, the stopwatch, one core, and the file.

Notebook: 01
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from llinet_lite.data.parallel import cores


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name, unit : str
    ours, plain : float
        Rates, more is better; `plain` is NaN where there is nothing to compare with, `ours` where the row
        was left out.
    against : str
        What the plain way is.
    recall : float
        Of an approximate search: the share of the 30 nearest that it finds, in [0, 1]; NaN for other rows.
    note : str
        What the reader should know to judge the numbers.
    """

    name: str
    unit: str
    ours: float
    plain: float = float("nan")
    against: str = ""
    recall: float = float("nan")
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster than the plain way."""
        return self.ours / self.plain


def rates(ways: list[Callable[[], int]], *, repeats: int = 5, warm: bool = True) -> list[float]:
    """Time several ways of doing one thing, taking turns.

    Parameters
    ----------
    ways : list of callables
        Each does a round of work and returns how many items it handled.
    repeats : int
        Rounds per way; medians are reported.
    warm : bool
        Do one round of each before the clock runs.

    Returns
    -------
    list of float
        Items per second.
    """
    if warm:
        for way in ways:
            way()
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for times, way in zip(taken, ways, strict=True):
            start = time.perf_counter()
            items = way()
            times.append(items / (time.perf_counter() - start))
    return [statistics.median(times) for times in taken]


@contextmanager
def one_core() -> Iterator[None]:
    """Leave one core to everything inside: affinity (on Linux), torch, OpenCV, BLAS, OpenMP; undone after."""
    import cv2
    from threadpoolctl import threadpool_limits

    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    threads, opencv = torch.get_num_threads(), cv2.getNumThreads()
    try:
        with threadpool_limits(1):
            torch.set_num_threads(1)
            cv2.setNumThreads(1)
            if before:
                os.sched_setaffinity(0, {min(before)})
            yield
    finally:
        if before:
            os.sched_setaffinity(0, before)
        cv2.setNumThreads(opencv)
        torch.set_num_threads(threads)


def line(row: Row) -> str:
    """Return one row of the table as plain text."""
    ours = "-" if np.isnan(row.ours) else f"{row.ours:.1f}"
    parts = [f"{row.name:66} {ours:>9} {row.unit:9}"]
    if not np.isnan(row.plain):
        parts.append(f"{row.plain:9.1f}  {row.ratio:6.1f}x  {row.against}")
    if not np.isnan(row.recall):
        parts.append(f"recall@30 {row.recall:.3f}")
    return "  ".join([*parts, row.note]).rstrip()


def save(rows: list[Row], path: Path) -> None:
    """Write the rows, the machine and the date as JSON."""
    from llinet_lite.results import machine, write_json

    content = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "processes": cores(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "rows": [
            {key: None if value != value else value for key, value in asdict(row).items()}
            | {"ratio": None if np.isnan(row.plain) else round(row.ratio, 2)}
            for row in rows
        ],
    }
    write_json(path, content)


def load(path: Path) -> dict:
    """Read what :func:`save` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
