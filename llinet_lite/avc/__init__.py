"""TEMPORARY: what lesson 09 still takes from the old correspondence package."""

from llinet_lite.avc.evaluation import Score, pair_list
from llinet_lite.avc.plans import plans
from llinet_lite.avc.runs import Run, difference, evaluate, train_or_load
from llinet_lite.avc.search import Method, Table, published_frame, relevance, retrieval_methods, search
from llinet_lite.avc.spaces import Vectors, align, combine, embed, matched, vectors
from llinet_lite.avc.task import Plan, Senses, build, matching

__all__ = [
    "Method",
    "Plan",
    "Run",
    "Score",
    "Senses",
    "Table",
    "Vectors",
    "align",
    "build",
    "combine",
    "difference",
    "embed",
    "evaluate",
    "matched",
    "matching",
    "pair_list",
    "plans",
    "published_frame",
    "relevance",
    "retrieval_methods",
    "search",
    "train_or_load",
    "vectors",
]
