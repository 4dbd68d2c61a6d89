"""Naming the class of a picture by how its classes sound: LLINet and four rivals, one exam, one calibration.

Everything that could be tuned (a rival's options, the bias of calibrated stacking, the thresholds of the
gates) is chosen on held-out seen classes that play the unseen ones, for all methods alike.

Notebook: 08
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from llinet_lite.metrics import recognition as measures
from llinet_lite.rivals import RECOGNITION
from llinet_lite.zeroshot.exam import Exam

DISTANCES = ("cosine", "euclidean")
# Calibration -> how sure the classifier of the seen classes is, from its logits (N, S).
GATES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gate": measures.confidence,
    "gate, T = 3": lambda logits: measures.confidence(logits, temperature=3.0),
    "entropy gate": measures.certainty,
}
CALIBRATIONS = ("none", "stacking", *GATES)
Scores = tuple[np.ndarray, np.ndarray]  # of the seen and of the unseen items, (N, C) and (M, C)


def nearest(distance: str = "cosine", *, unit: bool = True) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return the score of pictures (n, D) with prototypes (C, D): how near they are in a shared space.

    Parameters
    ----------
    distance : {"cosine", "euclidean"}
        "euclidean": minus the squared distance. LLINet's released code takes it, without scaling anything:
        then 2 v . p - |p|^2 decides, so that long prototypes, of classes whose clips agree, attract.
    unit : bool
        With "euclidean": scale pictures and prototypes to length 1 first, which orders as the cosine does.
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, not {distance!r}")

    def scores(images: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        images, vectors = np.asarray(images, np.float64), np.asarray(vectors, np.float64)
        if distance == "cosine" or unit:
            images, vectors = _unit(images), _unit(vectors)
        if distance == "cosine":
            return images @ vectors.T
        squares = (images**2).sum(1)[:, None] + (vectors**2).sum(1)[None]
        return 2 * images @ vectors.T - squares

    return scores


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)


class Learned:
    """A rival with given options, trained when it is first asked.

    Parameters
    ----------
    method : str
        A key of :data:`llinet_lite.rivals.RECOGNITION`.
    exam : Exam
        Whose `train` it learns from.
    options : mapping
    epochs, seed : int
    """

    def __init__(self, method: str, exam: Exam, options: Mapping, *, epochs: int, seed: int):
        self.kind, self.exam, self.options = RECOGNITION[method], exam, dict(options)
        self.epochs, self.seed = epochs, seed
        self._known: dict[bytes, torch.nn.Module] = {}

    def __call__(self, images: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Pictures (n, F) and class vectors (C, D) -> scores (n, C)."""
        count = len(self.exam.seen)
        # who reads the vectors of unseen classes learns anew for other ones
        key = vectors.tobytes() if self.kind.needs_unseen else b""
        if key not in self._known:
            self._known[key] = self._learn(vectors[:count], vectors[count:])
        model = self._known[key]
        return model.scores(_tensor(images), _tensor(vectors)).cpu().double().numpy()

    def _learn(self, seen: np.ndarray, unseen: np.ndarray) -> torch.nn.Module:
        train, order = self.exam.train, self.exam.seen
        model = self.kind(features=train.image.shape[1], semantics=seen.shape[1], **self.options)
        image_label, sound_label = (
            torch.from_numpy(np.searchsorted(order, labels))
            for labels in (train.items.image_label, train.items.sound_label)
        )
        return model.learn(
            _tensor(train.image), image_label, _tensor(seen), unseen=_tensor(unseen),
            sounds=(_tensor(train.sound), sound_label), epochs=self.epochs, seed=self.seed,
        )  # fmt: skip


def _tensor(values: np.ndarray) -> torch.Tensor:
    """Float32, on the device that trains."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.from_numpy(np.asarray(values, np.float32)).to(device)


def zero_shot(exam: Exam, scores: Scores) -> float:
    """Class mean of the unseen items among unseen classes."""
    unseen = list(exam.columns[1])
    return measures.class_mean(exam.labels(exam.unseen_items), measures.predict(scores[1], unseen), unseen)


def chosen_options(method: str, exam: Exam, *, epochs: int, seed: int) -> tuple[dict, list[float]]:
    """Return the options of a rival that name the classes playing unseen best, and the accuracy of each.

    Classes are known by all their sounds here: for both halves alike, a rival learns once.
    """
    grid = RECOGNITION[method].grid
    found = [
        zero_shot(exam, exam.ask(Learned(method, exam, options, epochs=epochs, seed=seed), "test"))
        for options in grid
    ]
    return dict(grid[int(np.argmax(found))]), found


@dataclass(frozen=True)
class Gatekeeper:
    """A classifier of the seen classes, and what it says of the items of both exams.

    Attributes
    ----------
    choosing, final : pair of (N, S) and (M, S) arrays
        Logits of the seen and of the unseen items.
    """

    choosing: Scores
    final: Scores

    @classmethod
    def of(cls, choosing: Exam, final: Exam, seed: int = 0) -> Gatekeeper:
        """Fit a linear classifier (logistic regression) to each exam's training pictures."""
        return cls(*(_logits(exam, seed) for exam in (choosing, final)))


def _logits(exam: Exam, seed: int) -> Scores:
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, random_state=seed))
    model.fit(exam.train.image, exam.train.items.image_label)
    said = [model.decision_function(part.image) for part in (exam.seen_items, exam.unseen_items)]
    if said[0].ndim == 1:  # of two classes scikit-learn gives one column
        said = [np.stack([-one, one], 1) / 2 for one in said]
    return said[0], said[1]


@dataclass(frozen=True)
class Answers:
    """What one method under one seed answered in the final exam.

    Attributes
    ----------
    seed : int
    zsl : (M,) bool
        Unseen items named rightly among the unseen classes.
    confused : (M,) int
        What they were called, columns.
    hits : dict of str to pair of (N,), (M,) bool
        Calibration -> seen and unseen items named rightly among all classes.
    curve : Curve
        Of calibrated stacking; its area is the AUSUC.
    gate_curve : Curve
        Of the gate.
    chosen : dict
        What was chosen on the classes playing unseen: bias, thresholds, options.
    """

    seed: int
    zsl: np.ndarray
    confused: np.ndarray
    hits: dict[str, tuple[np.ndarray, np.ndarray]]
    curve: measures.GZSLCurve
    gate_curve: measures.GZSLCurve
    chosen: dict


def answers(
    exams: tuple[Exam, Exam], scores: tuple[Scores, Scores], gate: Gatekeeper, seed: int, chosen: dict
) -> Answers:
    """Calibrate a method on the first exam and let it answer the second.

    Parameters
    ----------
    exams, scores : pairs
        For choosing, and the final one.
    gate : Gatekeeper
    seed : int
    chosen : dict
        What else was chosen, for the record.
    """
    (first, exam), (tried, final) = exams, scores
    bias = measures.best_bias(*_told(first, tried), *map(list, first.columns))
    labels = exam.labels(exam.seen_items), exam.labels(exam.unseen_items)
    plain = measures.gzsl(*_told(exam, final), *map(list, exam.columns))
    biased = measures.gzsl(*_told(exam, final), *map(list, exam.columns), bias=bias)
    hits = {
        "none": (plain.hits_seen, plain.hits_unseen),
        "stacking": (biased.hits_seen, biased.hits_unseen),
    }
    thresholds = {}
    for name, sure in GATES.items():
        thresholds[name] = measures.best_threshold(*_experts(first, tried, gate.choosing, sure))
        seen, unseen, surely, _, *classes = _experts(exam, final, gate.final, sure)
        said = measures.gated(seen, unseen, surely, thresholds[name], *classes)
        right = said == np.concatenate(labels)
        hits[name] = right[: len(labels[0])], right[len(labels[0]) :]
    confused = measures.predict(final[1], list(exam.columns[1]))
    return Answers(
        seed, plain.hits_zsl, confused, hits, plain.curve,
        measures.gate_curve(*_experts(exam, final, gate.final, GATES["gate"])),
        {"bias": bias, "thresholds": thresholds} | chosen,
    )  # fmt: skip


def _told(exam: Exam, scores: Scores) -> tuple:
    """Scores and labels in the order in which `gzsl` takes them."""
    return scores[0], exam.labels(exam.seen_items), scores[1], exam.labels(exam.unseen_items)


def _experts(exam: Exam, scores: Scores, logits: Scores, sure) -> tuple:
    """Both experts' scores, how sure the first is, labels, and classes, items of both kinds together."""
    seen, unseen = map(list, exam.columns)
    first, second = np.concatenate(logits), np.concatenate(scores)[:, unseen]
    labels = np.concatenate([exam.labels(exam.seen_items), exam.labels(exam.unseen_items)])
    return first, second, sure(first), labels, seen, unseen
