"""The correspondence task from data to number: what a network senses, how it is trained, how it is judged.

Notebook: 01
"""

from llinet_lite.avc.evaluation import Pair, Score, class_matrix, judge, look_up, pair_list, score
from llinet_lite.avc.experiments import (
    PAPER,
    Run,
    Shortcut,
    above_chance,
    evaluate,
    imprint_example,
    plans,
    publish,
    result,
    shortcut,
    train_or_load,
)
from llinet_lite.avc.task import CorrespondenceStep, Plan, Senses, build, matching, overfit, train

__all__ = [
    "PAPER",
    "CorrespondenceStep",
    "Pair",
    "Plan",
    "Run",
    "Score",
    "Senses",
    "Shortcut",
    "above_chance",
    "build",
    "class_matrix",
    "evaluate",
    "imprint_example",
    "judge",
    "look_up",
    "matching",
    "overfit",
    "pair_list",
    "plans",
    "publish",
    "result",
    "score",
    "shortcut",
    "train",
    "train_or_load",
]
