"""How well pictures of classes that no network has trained on are named, alone and among those it has.

Zero-shot: pictures of unseen classes, and only unseen classes as answers. Generalised zero-shot: pictures of
both kinds, and every class is an answer. All accuracies are means over classes (`accuracy`). A generalised
answer is a trade between the two kinds: `curve` holds all of it, `gate` makes it with two experts and a
threshold, `stacking` with one table of scores and a bias. `intervals` is over clips and seeds.

Notebook: 08
"""

from llinet_lite.metrics.recognition.accuracy import (
    chance,
    class_mean,
    harmonic_mean,
    per_class_accuracy,
    predict,
)
from llinet_lite.metrics.recognition.curve import Curve
from llinet_lite.metrics.recognition.gate import best_threshold, certainty, confidence, gate_curve, gated
from llinet_lite.metrics.recognition.intervals import (
    class_mean_difference,
    class_mean_interval,
    harmonic_difference,
    harmonic_interval,
)
from llinet_lite.metrics.recognition.stacking import GZSL, best_bias, gzsl, stacked

__all__ = [
    "GZSL",
    "Curve",
    "best_bias",
    "best_threshold",
    "certainty",
    "chance",
    "class_mean",
    "class_mean_difference",
    "class_mean_interval",
    "confidence",
    "gate_curve",
    "gated",
    "gzsl",
    "harmonic_difference",
    "harmonic_interval",
    "harmonic_mean",
    "per_class_accuracy",
    "predict",
    "stacked",
]
