"""LLINet and its rivals on classes that they never saw: training, embedding, tables and figures.

Notebook: 04 to 09
"""

from llinet_lite.experiments.zero_shot import nearest
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
from llinet_lite.zeroshot.localization import LocalizationTable, localize
from llinet_lite.zeroshot.pages import class_counts, classes_of, examples, pictures, trunk_report, walk
from llinet_lite.zeroshot.plans import CHANGED, OURS, Plan, plans, plans_frame, table_plans
from llinet_lite.zeroshot.recognition_pages import own_exams, prototype_choices
from llinet_lite.zeroshot.runs import Run, held_out, publish, train_or_load
from llinet_lite.zeroshot.sounding import HEATS, duets, locate, peaks, usual_map
from llinet_lite.zeroshot.sounding_pages import held_out_maps, locate_usual, peaks_figure, side_by_side
from llinet_lite.zeroshot.table import COLUMNS, RetrievalTable, published_frame, search
from llinet_lite.zeroshot.tagger import chosen_vggish
from llinet_lite.zeroshot.trunks import chosen_trunk, sizes_for
from llinet_lite.zeroshot.watch import (
    contrastive,
    overfit,
    same_class_share,
    similarity_gradient,
    snapshots,
)

__all__ = [
    "CHANGED",
    "COLUMNS",
    "HEATS",
    "OURS",
    "Embedded",
    "LocalizationTable",
    "Plan",
    "RetrievalTable",
    "Run",
    "activations",
    "attribute_distances",
    "chosen_trunk",
    "chosen_vggish",
    "class_counts",
    "classes_of",
    "confusions",
    "contrastive",
    "duets",
    "embed",
    "examples",
    "families",
    "gallery",
    "held_out",
    "held_out_maps",
    "items_of",
    "localize",
    "locate",
    "locate_usual",
    "names",
    "nearest",
    "overfit",
    "own_exams",
    "peaks",
    "peaks_figure",
    "pictures",
    "plans",
    "plans_frame",
    "prototype_choices",
    "publish",
    "published_frame",
    "same_class_share",
    "search",
    "side_by_side",
    "similarity_gradient",
    "sizes_for",
    "snapshots",
    "table_plans",
    "train_or_load",
    "trunk_report",
    "two_protocols",
    "usual_map",
    "walk",
    "watched_chance",
    "within_and_across",
]
