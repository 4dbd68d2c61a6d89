"""The correspondence task from data to number: what a network senses, how it is trained, how it is judged.

Notebook: 01, 02, 03
"""

from llinet_lite.avc.evaluation import Pair, Score, class_matrix, distances, judge, look_up, pair_list, score
from llinet_lite.avc.exploring import listener
from llinet_lite.avc.pages import neighbours, space_figure
from llinet_lite.avc.plans import PAPER, plans
from llinet_lite.avc.pointing import duets, peaks
from llinet_lite.avc.runs import Run, above_chance, difference, evaluate, publish, result, train_or_load
from llinet_lite.avc.search import (
    PAPER_NDCG,
    Method,
    Table,
    published_frame,
    relevance,
    retrieval_methods,
    search,
)
from llinet_lite.avc.shortcut import Shortcut, imprint_example, shortcut
from llinet_lite.avc.sounding import locate
from llinet_lite.avc.spaces import Vectors, align, combine, embed, matched, vectors
from llinet_lite.avc.task import CorrespondenceStep, Plan, Senses, build, matching, overfit, train
from llinet_lite.sounding import (
    PAPER_POINTING,
    Located,
    by_size,
    disc_figure,
    duet_wall,
    follows,
    map_wall,
    pointing,
    pointing_frame,
    protocol_rows,
    success_figure,
)

__all__ = [
    "PAPER",
    "PAPER_NDCG",
    "PAPER_POINTING",
    "CorrespondenceStep",
    "Located",
    "Method",
    "Pair",
    "Plan",
    "Run",
    "Score",
    "Senses",
    "Shortcut",
    "Table",
    "Vectors",
    "above_chance",
    "align",
    "build",
    "by_size",
    "class_matrix",
    "combine",
    "difference",
    "disc_figure",
    "distances",
    "duet_wall",
    "duets",
    "embed",
    "evaluate",
    "follows",
    "imprint_example",
    "judge",
    "listener",
    "locate",
    "look_up",
    "map_wall",
    "matched",
    "matching",
    "neighbours",
    "overfit",
    "pair_list",
    "peaks",
    "plans",
    "pointing",
    "pointing_frame",
    "protocol_rows",
    "publish",
    "published_frame",
    "relevance",
    "result",
    "retrieval_methods",
    "score",
    "search",
    "shortcut",
    "space_figure",
    "success_figure",
    "train",
    "train_or_load",
    "vectors",
]
