"""The whole benchmark, row after row.

Notebook: 01, 02, 05, 06
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from llinet_lite.bench.by_class import SIZES, class_rows
from llinet_lite.bench.core import Row, line
from llinet_lite.bench.data import PLANS, batch_rows, feature_rows, import_row, unpack, world_rows
from llinet_lite.bench.llinet import llinet_rows, llinet_sizes
from llinet_lite.bench.search import index_rows, indexes, ndcg_rows, torchmetrics_ndcg
from llinet_lite.bench.training import NETWORKS, compiled_row, steps, training_row
from llinet_lite.data.parallel import cores
from llinet_lite.data.store import Store
from llinet_lite.profiles import PROFILES


def run(*, quick: bool = False, full: bool = False, say: Callable[[str], None] = print) -> list[Row]:
    """Measure every row; about ten minutes on 2 CPU cores, a good hour if full.

    Parameters
    ----------
    quick : bool
        Leave out the training steps at paper size and the indexes that take long to build.
    full : bool
        Build the approximate indexes of a million vectors too.
    say : callable
        Takes the line of each row as it is ready.

    Raises
    ------
    ValueError
        If the run is to be both quick and full.
    ImportError
        If torchmetrics, a rival, is not installed.
    """
    if quick and full:
        raise ValueError("a benchmark cannot be both quick and full: leave out one of the two.")
    torchmetrics_ndcg()  # if it is missing, say so before minutes of work
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = Path(tempfile.mkdtemp(prefix="llinet-bench-"))
    rows: list[Row] = []

    def add(new: list[Row]) -> None:
        rows.extend(new)
        for row in new:
            say(line(row))

    say(f"{cores()} processes for the build and the import; {device.type} for the training steps")
    try:
        add(world_rows(folder))
        stores = [Store(folder / plan.name) for plan in PLANS]
        add([import_row(folder, stores[0])])
        for store, crop in zip(stores, (112, 224), strict=True):
            add(batch_rows(store, crop, unpack(store, folder / f"unpacked-{crop}", 40)))
        add(feature_rows())
        for network in NETWORKS:
            for profile, batch in steps(device, quick):
                add([training_row(network, profile, device, batch)])
        if device.type == "cuda" and not quick:
            try:
                add([compiled_row("AVE-Net", PROFILES["gpu"], device, 128)])
            except Exception as error:  # no C compiler, no Triton: all other rows are worth having
                say(f"AVE-Net could not be compiled here: {type(error).__name__}: {error}")
        for profile, batch in llinet_sizes(device, quick):
            add(llinet_rows(profile, device, batch))
        add(ndcg_rows())
        for items in SIZES:
            add(class_rows(items))
        for count, kinds in indexes(quick, full):
            add(index_rows(count, kinds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return rows
