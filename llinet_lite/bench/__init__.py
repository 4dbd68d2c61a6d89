"""Speed, measured in one run: what the package does against the usual way of doing it.

A row with a rival times both ways in turn, on the same data and in the same process,
and reports medians, so a ratio holds whatever else the machine was doing. The rows of
the world build, of the import and of the building of an index have no rival and are
single runs, start of the processes included. Nothing here is asserted anywhere: a ratio
is a fact about one machine on one day.

Notebook: 01, 02, 05, 06
"""

from llinet_lite.bench.by_class import class_rows
from llinet_lite.bench.core import Row, line, load, one_core, rates, save
from llinet_lite.bench.data import (
    PLANS,
    batch_rows,
    feature_rows,
    import_row,
    librosa_mel,
    unpack,
    world_rows,
)
from llinet_lite.bench.llinet import llinet_rows, llinet_sizes
from llinet_lite.bench.search import index_rows, indexes, ndcg_rows
from llinet_lite.bench.suite import run
from llinet_lite.bench.training import NETWORKS, steps, training_row

__all__ = [
    "NETWORKS",
    "PLANS",
    "Row",
    "batch_rows",
    "class_rows",
    "feature_rows",
    "import_row",
    "index_rows",
    "indexes",
    "librosa_mel",
    "line",
    "llinet_rows",
    "llinet_sizes",
    "load",
    "ndcg_rows",
    "one_core",
    "rates",
    "run",
    "save",
    "steps",
    "training_row",
    "unpack",
    "world_rows",
]
