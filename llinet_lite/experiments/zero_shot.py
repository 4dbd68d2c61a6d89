"""Zero-shot recognition: naming an image by how its classes sound, LLINet beside four rivals.

A class is known by a vector, the mean of its audio's vectors (its prototype). For seen classes this is the
training audio. For unseen classes it must not come from the clips of the images asked about: every class's
clips are dealt into two halves, and the images of one half are asked with the audio of the other. Whatever
could be tuned (a rival's options, the bias of calibrated stacking, the thresholds of the gates) is chosen on
held-out seen classes that play the unseen ones, for all methods alike.

Notebook: 08, 09
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from llinet_lite.data.store import Store
from llinet_lite.experiments.embedding import (
    Items,
    embed,
    items_of,
    looks,
    rank_in_class,
)
from llinet_lite.experiments.methods import Inputs
from llinet_lite.experiments.runs import PER_CLASS, Run, held_out
from llinet_lite.experiments.standins import device, hear
from llinet_lite.metrics import recognition as measures
from llinet_lite.metrics.intervals import DIFFERENCE, Cell
from llinet_lite.models import Ear, VGGish
from llinet_lite.models.trunks import Trunk
from llinet_lite.profiles import Profile
from llinet_lite.results import Table, papers
from llinet_lite.rivals import RECOGNITION

PROTOTYPES = ("held-out", "test")
DISTANCES = ("cosine", "euclidean")
# Calibration -> how sure the classifier of the seen classes is, from its logits (N, S).
GATES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gate": measures.confidence,
    "gate, T = 3": partial(measures.confidence, temperature=3.0),
    "entropy gate": measures.certainty,
}
CALIBRATIONS = ("none", "stacking", *GATES)
PUBLISHED = "gate"  # the calibration of the paper's table
RECORDED = ("acc", *(f"{m} ({how})" for how in (PUBLISHED, "stacking") for m in ("tr", "ts", "hm")), "AUSUC")
# What is asked of LLINet's networks: prototypes and distance, without scaling.
HONEST = "held-out clips, cosine"
CHOICES = {
    HONEST: ("held-out", "cosine"),
    "held-out clips, Euclidean as released": ("held-out", "euclidean"),
    "the test clips' own, cosine": ("test", "cosine"),
    "the test clips' own, Euclidean (as released)": ("test", "euclidean"),
}
Scores = tuple[np.ndarray, np.ndarray]  # of images of seen and of unseen classes, (N, C) and (M, C)


@dataclass(frozen=True)
class Part:
    """Images (N, F) and audio (M, D) of some classes as vectors, and their rows, labels and clips."""

    image: np.ndarray
    audio: np.ndarray
    items: Items

    def of(self, classes: Sequence[int], most: int = 0) -> Part:
        """The part with these classes only, at most so many images and audios of each (0: all)."""
        kept, items = {}, {}
        for side in ("image", "audio"):
            label = getattr(self.items, f"{side}_label")
            keep = np.isin(label, classes) & (rank_in_class(label) < (most or len(label)))
            kept[side] = np.flatnonzero(keep)
            names = [f"{side}_{what}" for what in ("row", "label", "clip")]
            items |= {name: getattr(self.items, name)[kept[side]] for name in names}
        return Part(self.image[kept["image"]], self.audio[kept["audio"]], Items(**items))


def halves(label: np.ndarray, clip: np.ndarray, seed: int = 0) -> np.ndarray:
    """Deal the clips of every class into two halves, (N,) of 0 and 1; a function of the clips alone."""
    half = np.zeros(len(label), int)
    for k in np.unique(label):
        own = np.flatnonzero(label == k)
        clips, number = np.unique(clip[own], return_inverse=True)
        order = np.random.default_rng([seed, int(k)]).permutation(len(clips))
        half[own] = order[number] % 2
    return half


@dataclass(frozen=True)
class GZSLSplit:
    """Images of seen and of unseen classes that are asked about, and what is known of each class.

    Columns of all scores are the seen classes, then the unseen ones, each in rising order of their labels.
    """

    train: Part  # of the seen classes, to learn from
    seen_items: Part  # images that are asked about
    unseen_items: Part  # the same, and audio that tells what the unseen classes are

    @property
    def seen(self) -> np.ndarray:
        """Labels (S,) of the seen classes, rising."""
        return np.unique(self.train.items.image_label)

    @property
    def unseen(self) -> np.ndarray:
        """Labels (U,) of the unseen classes, rising."""
        return np.unique(self.unseen_items.items.image_label)

    @property
    def columns(self) -> tuple[list[int], list[int]]:
        """Columns of the seen and of the unseen classes."""
        count = len(self.seen)
        return list(range(count)), list(range(count, count + len(self.unseen)))

    @property
    def labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns (N,) and (M,) of the images asked about."""
        order = np.concatenate([self.seen, self.unseen])
        rising, parts = np.argsort(order), (self.seen_items, self.unseen_items)
        found = [np.searchsorted(order, part.items.image_label, sorter=rising) for part in parts]
        return rising[found[0]], rising[found[1]]

    @property
    def clips(self) -> tuple[np.ndarray, np.ndarray]:
        """Clips (N,) and (M,) of the images asked about."""
        return self.seen_items.items.image_clip, self.unseen_items.items.image_clip

    def prototypes(self, half: int | None = None) -> np.ndarray:
        """Mean vector of every class (S + U, D), not normalized; of unseen classes from one half, or all."""
        unseen = _means(self.unseen_items, self.unseen, half)
        return np.concatenate([_means(self.train, self.seen, None), unseen])

    def scores(self, score: Callable[[np.ndarray, np.ndarray], np.ndarray], prototypes="held-out") -> Scores:
        """Score all images with all classes, float64 (N, S + U) and (M, S + U).

        `score` takes images (n, F) and class vectors (S + U, D). With "held-out" `prototypes` unseen classes
        are known by the audio of the other half of the clips; with "test" by all test audio, the image's own
        among it, as in LLINet's released code.
        """
        if prototypes not in PROTOTYPES:
            raise ValueError(f"prototypes must be one of {', '.join(PROTOTYPES)}, not {prototypes!r}")
        found = []
        for part in (self.seen_items, self.unseen_items):
            table = np.empty((len(part.image), len(self.seen) + len(self.unseen)))
            half = halves(part.items.image_label, part.items.image_clip)
            for own in (0, 1):
                vectors = self.prototypes(None if prototypes == "test" else 1 - own)
                if (half == own).any():
                    table[half == own] = score(part.image[half == own], vectors)
            found.append(table)
        return found[0], found[1]


def _means(part: Part, classes: np.ndarray, half: int | None) -> np.ndarray:
    label = part.items.audio_label
    keep = np.ones(len(label), bool) if half is None else halves(label, part.items.audio_clip) == half
    absent = [int(k) for k in classes if not (keep & (label == k)).any()]
    if absent:
        raise ValueError(f"no audio tells what the classes {absent} are: each needs two or more clips")
    return np.stack([part.audio[keep & (label == k)].mean(0, dtype=np.float64) for k in classes])


Pair = tuple[GZSLSplit, GZSLSplit]  # for choosing, and the final one


def splits(parts: Callable[[str], Part], store: Store, seed: int) -> Pair:
    """Return the split on which everything is chosen, and the one that is reported; `parts(name)` -> Part.

    The first is of seen classes only: those that `held_out` keeps from a seed's training play the unseen
    ones, and images of `val` are asked about the others. The second is of the store's `test` and `unseen`.
    """
    train, out = parts("train"), held_out(store, seed)
    kept = np.setdiff1d(np.unique(train.items.image_label), out)
    choosing = GZSLSplit(train.of(kept), parts("val").of(kept), train.of(out, most=PER_CLASS))
    return choosing, GZSLSplit(train, parts("test"), parts("unseen"))


def feature_splits(
    store: Store, profile: Profile, trunk: Trunk, vggish: VGGish, seeds: Sequence[int]
) -> list[Pair]:
    """Return both splits as frozen networks see and hear them, a pair per seed, for rivals and gate."""
    names = "train", "val", "test", "unseen"
    parts = {name: _features(store, name, profile, trunk, vggish) for name in names}
    return [splits(parts.__getitem__, store, seed) for seed in seeds]


@torch.no_grad()
def _features(store: Store, name: str, profile: Profile, trunk: Trunk, vggish: VGGish) -> Part:
    items, inputs = items_of(store, name), Inputs(nn.Identity(), trunk, ("pooled",))
    seen = [x["pooled"].float().cpu() for x in looks(inputs, store, name, profile, items.image_row)]
    audio = hear(Ear(vggish, store.sample_rate), store, name, items.audio_row)
    return Part(torch.cat(seen).numpy(), audio.numpy(), items)


def own_splits(store: Store, runs: Mapping[str, Sequence[Run]]) -> dict[str, list[Pair]]:
    """Return both splits as LLINet's networks embed them, a pair per seed: v' not normalized, a' unit."""

    def part(run: Run, name: str) -> Part:
        found = embed(run, store, name, items_of(store, name, most=PER_CLASS if name == "train" else 0))
        return Part(found.image.numpy(), found.audio.numpy(), found.items)

    return {row: [splits(partial(part, run), store, run.seed) for run in of] for row, of in runs.items()}


def nearest(distance: str = "cosine", *, unit: bool = True) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return the score of images (n, D) with prototypes (C, D): how near they are in a shared space.

    "euclidean" is minus the squared distance. LLINet's released code takes it without scaling (`unit` False):
    then 2 v . p - |p|^2 decides, so that long prototypes, of classes whose clips agree, attract. Scaled to
    length 1 it orders as the cosine does.

    Examples
    --------
    >>> image, prototypes = np.array([[2.0, 2.2]]), np.array([[1.0, 0.0], [0.0, 0.4]])
    >>> [int(nearest(how, unit=False)(image, prototypes).argmax()) for how in DISTANCES]
    [1, 0]
    """
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, not {distance!r}")

    def score(images: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        images, vectors = np.asarray(images, np.float64), np.asarray(vectors, np.float64)
        if distance == "cosine" or unit:
            images, vectors = unit_length(images), unit_length(vectors)
        if distance == "cosine":
            return images @ vectors.T
        squares = (images**2).sum(1)[:, None] + (vectors**2).sum(1)[None]
        return 2 * images @ vectors.T - squares

    return score


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors (N, D) to length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)


def learned(method: str, split: GZSLSplit, options: Mapping, *, epochs: int, seed: int) -> Callable:
    """Return the score of a rival, a key of RECOGNITION; it is trained when it is first asked."""
    kind, train, known = RECOGNITION[method], split.train, {}
    image_label, audio_label = (
        torch.from_numpy(np.searchsorted(split.seen, labels))
        for labels in (train.items.image_label, train.items.audio_label)
    )

    def learn(seen: np.ndarray, unseen: np.ndarray) -> nn.Module:
        model = kind(features=train.image.shape[1], semantics=seen.shape[1], **options)
        return model.learn(
            _tensor(train.image), image_label, _tensor(seen), unseen=_tensor(unseen),
            sounds=(_tensor(train.audio), audio_label), epochs=epochs, seed=seed,
        )  # fmt: skip

    def score(images: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        count = len(split.seen)
        # who reads the vectors of unseen classes learns anew for other ones
        key = vectors.tobytes() if kind.needs_unseen else b""
        if key not in known:
            known[key] = learn(vectors[:count], vectors[count:])
        return known[key].scores(_tensor(images), _tensor(vectors)).cpu().double().numpy()

    return score


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.float32)).to(device())


def chosen_options(method: str, split: GZSLSplit, *, epochs: int, seed: int) -> dict:
    """Return the options of a rival that name the classes playing unseen best.

    Classes are known by all their audio here: for both halves alike, a rival learns once.
    """
    grid, found, unseen = RECOGNITION[method].grid, [], split.columns[1]
    for options in grid:
        scores = split.scores(learned(method, split, options, epochs=epochs, seed=seed), "test")
        found.append(measures.class_mean(split.labels[1], measures.predict(scores[1], unseen), unseen))
    return dict(grid[int(np.argmax(found))])


@dataclass(frozen=True)
class SeenClassifier:
    """Logits of a classifier of the seen classes for the images of both splits: (N, S) and (M, S) each."""

    choosing: Scores
    final: Scores

    @classmethod
    def of(cls, choosing: GZSLSplit, final: GZSLSplit, seed: int = 0) -> SeenClassifier:
        """Fit a linear classifier (logistic regression) to each split's training images."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        found = []
        for split in (choosing, final):
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, random_state=seed))
            model.fit(split.train.image, split.train.items.image_label)
            said = [model.decision_function(part.image) for part in (split.seen_items, split.unseen_items)]
            if said[0].ndim == 1:  # of two classes scikit-learn gives one column
                said = [np.stack([-one, one], 1) / 2 for one in said]
            found.append(tuple(said))
        return cls(*found)


@dataclass(frozen=True)
class Predictions:
    """What one method under one seed answered on the final split."""

    seed: int
    zsl: np.ndarray  # (M,) images of unseen classes named rightly among the unseen classes, bool
    confused: np.ndarray  # (M,) what they were called, columns
    hits: dict[str, tuple[np.ndarray, np.ndarray]]  # calibration -> (N,), (M,) right among all classes
    curve: measures.GZSLCurve  # of calibrated stacking; its area is the AUSUC
    gate_curve: measures.GZSLCurve
    chosen: dict  # on the classes playing unseen: bias, thresholds, options


def predictions(
    pair: Pair, scores: Sequence[Scores], gate: SeenClassifier, seed: int, **chosen
) -> Predictions:
    """Calibrate a method on the first split and let it answer the second; `chosen` is kept as it is."""
    (first, last), (tried, final) = pair, scores
    bias = measures.best_bias(*_told(first, tried))
    plain, biased = (measures.gzsl(*_told(last, final), bias=b) for b in (0.0, bias))
    hits = {how: (one.hits_seen, one.hits_unseen) for how, one in (("none", plain), ("stacking", biased))}
    thresholds = {}
    for name, sure in GATES.items():
        thresholds[name] = measures.best_threshold(*_experts(first, tried, gate.choosing, sure))
        seen, unseen, surely, _, *classes = _experts(last, final, gate.final, sure)
        said = measures.gated(seen, unseen, surely, thresholds[name], *classes)
        right = said == np.concatenate(last.labels)
        hits[name] = tuple(np.split(right, [len(last.labels[0])]))
    swept = measures.gate_curve(*_experts(last, final, gate.final, GATES["gate"]))
    confused = measures.predict(final[1], last.columns[1])
    chosen = {"bias": bias, "thresholds": thresholds} | chosen
    return Predictions(seed, plain.hits_zsl, confused, hits, plain.curve, swept, chosen)


def _told(split: GZSLSplit, scores: Scores) -> tuple:
    """Scores, labels and classes in the order in which `gzsl` takes them."""
    return scores[0], split.labels[0], scores[1], split.labels[1], *split.columns


def _experts(split: GZSLSplit, scores: Scores, logits: Scores, sure: Callable) -> tuple:
    """Both experts' scores, how sure the first is, labels, and classes, images of both kinds together."""
    seen, unseen = split.columns
    first, second = np.concatenate(logits), np.concatenate(scores)[:, unseen]
    return first, second, sure(first), np.concatenate(split.labels), seen, unseen


def evaluate(
    pairs: Sequence[Pair], ours: Mapping[str, Sequence[Pair]], seeds: Sequence[int], *, epochs: int
) -> tuple[dict[str, list[Predictions]], dict[str, float]]:
    """Let the four rivals and LLINet's networks name the images of the final split, under every seed.

    `pairs`, one per seed, are of :func:`feature_splits`, for the rivals and the gates; `ours` of
    :func:`own_splits`; `epochs` of the rivals' training. Returned are the predictions of every method, one
    per seed, and the minutes that every rival's learning took, all seeds.
    """
    rows: dict[str, list[Predictions]] = {name: [] for name in (*RECOGNITION, *ours)}
    minutes = dict.fromkeys(RECOGNITION, 0.0)
    for number, (seed, pair) in enumerate(zip(seeds, pairs, strict=True)):
        gate = SeenClassifier.of(*pair)
        for name in RECOGNITION:
            started = time.monotonic()
            how = {"epochs": epochs, "seed": seed}
            options = chosen_options(name, pair[0], **how)
            scores = [split.scores(learned(name, split, options, **how)) for split in pair]
            rows[name].append(predictions(pair, scores, gate, seed, options=options))
            minutes[name] += (time.monotonic() - started) / 60
            print(f"{name}, seed {seed}: {time.monotonic() - started:.0f} s", flush=True)
        for name, of in ours.items():
            scores = [split.scores(nearest()) for split in of[number]]
            rows[name].append(predictions(of[number], scores, gate, seed))
    return rows, minutes


def recognition_table(
    rows: Mapping[str, Sequence[Predictions]], split: GZSLSplit, minutes: Mapping[str, float] | None = None
) -> Table:
    """Return acc, tr, ts and hm under every calibration, and AUSUC; clips are drawn within each class.

    Columns are "acc", "tr (gate)", "ts (gate)", "hm (gate)", "tr (stacking)", ..., "AUSUC"; `RECORDED` are
    those that are results. The paper's calibration is the gate; `split` is the final one.
    """
    three, every = ("tr", "ts", "hm"), len(split.seen) + len(split.unseen)
    chance = {f"{m} ({how})": 1 / every for how in CALIBRATIONS for m in three}
    paper = {f"{m} ({PUBLISHED})": papers()[m] for m in three} | {"acc": papers()["acc"]}
    values = {}
    for name, of in rows.items():
        line = {"acc": Cell.class_mean([one.zsl for one in of], split.labels[1], split.clips[1])}
        for how in CALIBRATIONS:
            hits = [np.stack(side) for side in zip(*(one.hits[how] for one in of), strict=True)]
            both = list(zip(hits, split.labels, split.clips, strict=True))
            cells = Cell.class_mean(*both[0]), Cell.class_mean(*both[1]), measures.harmonic(*both)
            line |= {f"{m} ({how})": cell for m, cell in zip(three, cells, strict=True)}
        areas = [one.curve.area for one in of]
        values[name] = line | {"AUSUC": Cell(areas, n=len(areas))}
    chance["acc"], seeds = 1 / len(split.unseen), {n: tuple(one.seed for one in of) for n, of in rows.items()}
    return Table(values, chance=chance, paper=paper, seeds=seeds, minutes=minutes or {})


def choices_table(ours: Mapping[str, Sequence[Pair]], seeds: Sequence[int]) -> Table:
    """Ask LLINet's networks in every way of CHOICES: released protocol against held-out clips and cosine.

    Rows are "<row of ours>: <choice>"; columns "acc", and "worth", its difference from the honest choice on
    the same images.
    """
    values, chance, honest = {}, {}, None
    for name, pairs in ours.items():
        final = [split for _, split in pairs]
        drawn, chance = (final[0].labels[1], final[0].clips[1]), {"acc": 1 / len(final[0].unseen)}
        for choice, (prototypes, distance) in CHOICES.items():
            scores = [split.scores(nearest(distance, unit=False), prototypes)[1] for split in final]
            said = [measures.predict(one, split.columns[1]) for one, split in zip(scores, final, strict=True)]
            right = np.stack(said) == drawn[0]
            values[f"{name}: {choice}"] = line = {"acc": Cell.class_mean(right, *drawn)}
            if choice == HONEST:
                honest = right
            else:
                line["worth"] = Cell.class_mean(right.astype(float) - honest, *drawn, limits=DIFFERENCE)
    return Table(values, chance=chance, seeds=dict.fromkeys(values, tuple(seeds)))
