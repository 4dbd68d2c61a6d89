"""Measuring where a network hears the sound come from.

Published localization numbers are made by rules that differ in size, interpolation, threshold and ties, and
a rule can be met by a map that neither saw nor heard. Here each rule has a name, every result tells all of
its choices, and constants judged by the same rule stand beside it.

Notebook: 03
"""

from llinet_lite.metrics.localization.constants import baselines, best_radius, centre_disc, oracle_maps
from llinet_lite.metrics.localization.evaluation import evaluate
from llinet_lite.metrics.localization.measures import Curve, auc, mean_success, success_curve
from llinet_lite.metrics.localization.pointing import points
from llinet_lite.metrics.localization.protocols import PROTOCOLS
from llinet_lite.metrics.localization.report import by_group, compare, size_groups
from llinet_lite.metrics.localization.result import Localization, difference
from llinet_lite.metrics.localization.rules import Rule, consensus

__all__ = [
    "PROTOCOLS",
    "Curve",
    "Localization",
    "Rule",
    "auc",
    "baselines",
    "best_radius",
    "by_group",
    "centre_disc",
    "compare",
    "consensus",
    "difference",
    "evaluate",
    "mean_success",
    "oracle_maps",
    "points",
    "size_groups",
    "success_curve",
]
