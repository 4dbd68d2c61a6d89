"""LLINet and its rivals on classes that they never saw: training, embedding, tables and figures.

Notebook: 04, 05, 06
"""

from llinet_lite.zeroshot.activations import activations
from llinet_lite.zeroshot.evaluation import Embedded, embed, items_of
from llinet_lite.zeroshot.gallery import (
    attribute_distances,
    confusions,
    families,
    gallery,
    names,
    two_protocols,
    watched_chance,
    within_and_across,
)
from llinet_lite.zeroshot.pages import class_counts, classes_of, examples, pictures, trunk_report, walk
from llinet_lite.zeroshot.plans import OURS, Plan, plans, plans_frame, table_plans
from llinet_lite.zeroshot.runs import Run, held_out, publish, train_or_load
from llinet_lite.zeroshot.table import COLUMNS, RetrievalTable, published_frame, search
from llinet_lite.zeroshot.trunks import chosen_trunk, sizes_for
from llinet_lite.zeroshot.watch import (
    contrastive,
    overfit,
    same_class_share,
    similarity_gradient,
    snapshots,
)

__all__ = [
    "COLUMNS",
    "OURS",
    "Embedded",
    "Plan",
    "RetrievalTable",
    "Run",
    "activations",
    "attribute_distances",
    "chosen_trunk",
    "class_counts",
    "classes_of",
    "confusions",
    "contrastive",
    "embed",
    "examples",
    "families",
    "gallery",
    "held_out",
    "items_of",
    "names",
    "overfit",
    "pictures",
    "plans",
    "plans_frame",
    "publish",
    "published_frame",
    "same_class_share",
    "search",
    "similarity_gradient",
    "sizes_for",
    "snapshots",
    "table_plans",
    "train_or_load",
    "trunk_report",
    "two_protocols",
    "walk",
    "watched_chance",
    "within_and_across",
]
