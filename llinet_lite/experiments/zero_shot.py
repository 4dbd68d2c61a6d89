"""Zero-shot recognition: naming an image by how its classes sound, LLINet beside four rivals.

A class is known by the mean of its audio's vectors, its prototype. For unseen classes it must not come from
the clips of the images asked about: every class's clips are dealt into two halves, and the images of one half
are asked with the audio of the other. Whatever could be tuned (a rival's options, bias, thresholds) is chosen
on held-out seen classes that play the unseen ones, for all methods alike.
Notebook: 08, 09
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from llinet_lite.data.store import Store
from llinet_lite.experiments.embedding import Items, embed, items_of, looks, rank_in_class
from llinet_lite.experiments.methods import Inputs
from llinet_lite.experiments.runs import PER_CLASS, Run, held_out
from llinet_lite.experiments.standins import device, hear
from llinet_lite.metrics import recognition as measures
from llinet_lite.metrics.intervals import DIFFERENCE, Cell
from llinet_lite.models import Ear, VGGish
from llinet_lite.models.trunks import Trunk
from llinet_lite.profiles import Profile
from llinet_lite.results import Table
from llinet_lite.rivals import RECOGNITION


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors (N, D) to length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)


def cosine(images: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
    """Cosine of images (n, D) and prototypes (C, D), (n, C)."""
    return unit_length(np.float64(images)) @ unit_length(np.float64(prototypes)).T


def euclidean(images: np.ndarray, prototypes: np.ndarray) -> np.ndarray:
    """Minus the squared distance of images (n, D) and prototypes (C, D), (n, C), as LLINet's released code.

    Neither is scaled, so 2 v . p - |p|^2 decides: long prototypes, of classes whose clips agree, attract.
    """
    images, prototypes = np.float64(images), np.float64(prototypes)
    return 2 * images @ prototypes.T - ((images**2).sum(1)[:, None] + (prototypes**2).sum(1))


# Calibration -> how sure the classifier of the seen classes is, from its logits (N, S).
GATES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gate": measures.confidence,
    "gate, T = 3": partial(measures.confidence, temperature=3.0),
    "entropy gate": measures.certainty,
}
CALIBRATIONS = ("none", "stacking", *GATES)
PUBLISHED = "gate"  # the calibration of the paper's table
# What is asked of LLINet's networks: whether prototypes are of the images' own clips too, and the score.
HONEST = "held-out clips, cosine"
CHOICES = {
    HONEST: (False, cosine),
    "held-out clips, Euclidean as released": (False, euclidean),
    "the test clips' own, cosine": (True, cosine),
    "the test clips' own, Euclidean (as released)": (True, euclidean),
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
        labels = self.items.image_label, self.items.audio_label
        image, audio = (np.isin(k, classes) & (rank_in_class(k) < (most or len(k))) for k in labels)
        return Part(self.image[image], self.audio[audio], self.items.kept(image, audio))


def halves(label: np.ndarray, clip: np.ndarray) -> np.ndarray:
    """Deal the clips of every class into two halves, (N,) of 0 and 1; a function of the clips alone."""
    half = np.zeros(len(label), int)
    for k in np.unique(label):
        own = np.flatnonzero(label == k)
        clips, number = np.unique(clip[own], return_inverse=True)
        order = np.random.default_rng([0, int(k)]).permutation(len(clips))
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
        seen, unseen = self.seen_items.items.image_label, self.unseen_items.items.image_label
        return np.searchsorted(self.seen, seen), len(self.seen) + np.searchsorted(self.unseen, unseen)

    @property
    def clips(self) -> tuple[np.ndarray, np.ndarray]:
        """Clips (N,) and (M,) of the images asked about."""
        return self.seen_items.items.image_clip, self.unseen_items.items.image_clip

    def prototypes(self, half: int | None = None) -> np.ndarray:
        """Mean vector of every class (S + U, D), not normalized; of unseen classes from one half, or all."""
        unseen = _means(self.unseen_items, self.unseen, half)
        return np.concatenate([_means(self.train, self.seen, None), unseen])

    def scores(self, score: Callable, own: bool = False) -> Scores:
        """Score all images with all classes, float64 (N, S + U) and (M, S + U).

        `score` takes images (n, F) and class vectors (S + U, D); unseen classes are known by the audio of the
        other half of the clips, or by all, the images' `own` among it, as in LLINet's released code.
        """
        found = []
        for part in (self.seen_items, self.unseen_items):
            table = np.empty((len(part.image), len(self.seen) + len(self.unseen)))
            half = halves(part.items.image_label, part.items.image_clip)
            for k in np.unique(half):
                table[half == k] = score(part.image[half == k], self.prototypes(None if own else 1 - k))
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


def splits(parts: Callable[[str], Part], store: Store, seed: int, unseen: str = "unseen") -> Pair:
    """Return the split on which everything is chosen, and the one that is reported, of `test` and `unseen`.

    In the first, images of `val` are asked about the seen classes, and others play the unseen ones: as many
    invented classes of `choose`, drawn by the seed; without these, seen classes that `held_out` keeps from a
    seed's training, which then are none.
    """
    train, val, asked = parts("train"), parts("val"), parts(unseen)
    if "choose" in store.splits:
        named, others = train.of(np.unique(val.items.image_label)), parts("choose")
        count = len(np.unique(parts("unseen").items.image_label))
        drawn = np.random.default_rng(seed).choice(np.unique(others.items.image_label), count, replace=False)
        return (
            GZSLSplit(named, val, others.of(drawn)),
            GZSLSplit(named, parts("test"), asked),
        )
    out = held_out(store, seed)
    kept = np.setdiff1d(train.items.image_label, out)
    choosing = GZSLSplit(train.of(kept), val.of(kept), train.of(out, most=PER_CLASS))
    return choosing, GZSLSplit(train, parts("test"), asked)


def _named(store: Store, split: str, most: int = 0) -> Items:
    """The items of a split; of `train` those of the named classes alone."""
    many = split == "train" and "choose" in store.splits
    return items_of(store, split, np.unique(store.images("val").label) if many else None, most)


def feature_splits(
    store: Store, profile: Profile, trunk: Trunk, vggish: VGGish, seeds: Sequence[int],
    unseen: str = "unseen", parts: dict | None = None,
) -> list[Pair]:  # fmt: skip
    """Return both splits as frozen networks see and hear them, a pair per seed, for rivals and gate.

    `parts` keeps what was seen and heard for another call.
    """
    known = {} if parts is None else parts

    @torch.no_grad()
    def part(name: str) -> Part:
        if name not in known:
            items, inputs = _named(store, name), Inputs(nn.Identity(), trunk, ("pooled",))
            seen = [x["pooled"].float().cpu() for x in looks(inputs, store, name, profile, items.image_row)]
            audio = hear(Ear(vggish, store.sample_rate), store, name, items.audio_row)
            known[name] = Part(torch.cat(seen).numpy(), audio.numpy(), items)
        return known[name]

    return [splits(part, store, seed, unseen) for seed in seeds]


def own_splits(
    store: Store, runs: Mapping[str, Sequence[Run]], unseen: str = "unseen", parts: dict | None = None
) -> dict[str, list[Pair]]:
    """Return both splits as LLINet's networks embed them, a pair per seed: v' not normalized, a' unit.

    `parts` keeps what was embedded for another call.
    """
    known = {} if parts is None else parts

    def part(row: str, run: Run, name: str) -> Part:
        key = row, run.seed, name
        if key not in known:
            found = embed(run, store, name, _named(store, name, most=PER_CLASS if name == "train" else 0))
            known[key] = Part(found.image.numpy(), found.audio.numpy(), found.items)
        return known[key]

    return {
        row: [splits(partial(part, row, run), store, run.seed, unseen) for run in of]
        for row, of in runs.items()
    }


def learned(method: str, split: GZSLSplit, options: Mapping, *, epochs: int, seed: int) -> Callable:
    """Return the score of a rival, a key of RECOGNITION; it is trained when it is first asked."""
    kind, train, known = RECOGNITION[method], split.train, {}
    labels = [np.searchsorted(split.seen, k) for k in (train.items.image_label, train.items.audio_label)]
    image_label, audio_label = map(torch.from_numpy, labels)

    def score(images: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        # who reads the vectors of unseen classes learns anew for other ones
        key = vectors.tobytes() if kind.needs_unseen else b""
        if key not in known:
            seen, unseen = np.split(vectors, [len(split.seen)])
            model = kind(features=train.image.shape[1], semantics=vectors.shape[1], **options)
            known[key] = model.learn(
                _tensor(train.image), image_label, _tensor(seen), unseen=_tensor(unseen),
                sounds=(_tensor(train.audio), audio_label), epochs=epochs, seed=seed,
            )  # fmt: skip
        return known[key].scores(_tensor(images), _tensor(vectors)).cpu().double().numpy()

    return score


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, np.float32)).to(device())


def seen_logits(split: GZSLSplit) -> Scores:
    """Logits (N, S) and (M, S) of a linear classifier of the seen classes, fitted to the training images."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, random_state=0))
    model.fit(split.train.image, split.train.items.image_label)
    said = [model.decision_function(part.image) for part in (split.seen_items, split.unseen_items)]
    if said[0].ndim == 1:  # of two classes scikit-learn gives one column
        said = [np.stack([-one, one], 1) / 2 for one in said]
    return said[0], said[1]


@dataclass(frozen=True)
class Predictions:
    """What one method under one seed answered on the final split."""

    zsl: np.ndarray  # (M,) images of unseen classes named rightly among the unseen classes, bool
    confused: np.ndarray  # (M,) what they were called, columns
    hits: dict[str, tuple[np.ndarray, np.ndarray]]  # calibration -> (N,), (M,) right among all classes
    curve: measures.GZSLCurve  # of calibrated stacking; its area is the AUSUC
    gate_curve: measures.GZSLCurve
    chosen: dict[str, float]  # on the classes playing unseen: calibration -> bias or threshold


def predictions(pair: Pair, scores: Sequence[Scores], gates: Sequence[Scores]) -> Predictions:
    """Calibrate a method on the first split and let it answer the second; `gates` as of `seen_logits`."""
    (first, last), (tried, final) = pair, scores
    chosen = {"stacking": _gzsl(first, tried).curve.best()}
    plain, biased = _gzsl(last, final), _gzsl(last, final, chosen["stacking"])
    hits = {how: (one.hits_seen, one.hits_unseen) for how, one in (("none", plain), ("stacking", biased))}
    for name, sure in GATES.items():
        chosen[name] = measures.gate_curve(*_experts(first, tried, gates[0], sure)).best()
        seen, unseen, surely, labels, *classes = _experts(last, final, gates[1], sure)
        said = measures.gated(seen, unseen, surely, chosen[name], *classes)
        hits[name] = tuple(np.split(said == labels, [len(last.labels[0])]))
    swept = measures.gate_curve(*_experts(last, final, gates[1], GATES["gate"]))
    confused = measures.predict(final[1], last.columns[1])
    return Predictions(plain.hits_zsl, confused, hits, plain.curve, swept, chosen)


def _gzsl(split: GZSLSplit, scores: Scores, bias: float = 0.0) -> measures.GZSL:
    return measures.gzsl(scores[0], split.labels[0], scores[1], split.labels[1], *split.columns, bias=bias)


def _experts(split: GZSLSplit, scores: Scores, logits: Scores, sure: Callable) -> tuple:
    """Both experts' scores, how sure the first is, labels, and classes, images of both kinds together."""
    seen, unseen = split.columns
    first, second = np.concatenate(logits), np.concatenate(scores)[:, unseen]
    return first, second, sure(first), np.concatenate(split.labels), seen, unseen


def choices_table(ours: Mapping[str, Sequence[Pair]], seeds: Sequence[int]) -> Table:
    """Ask LLINet's networks in every way of CHOICES: rows "<row of ours>: <choice>".

    Columns are "acc", and "worth", its difference from the honest choice on the same images.
    """
    values, chance = {}, {}
    for name, pairs in ours.items():
        final = [split for _, split in pairs]
        labels, clips, unseen = final[0].labels[1], final[0].clips[1], final[0].columns[1]
        chance, right = {"acc": 1 / len(unseen)}, {}
        for choice, (own, score) in CHOICES.items():
            said = [measures.predict(split.scores(score, own)[1], unseen) for split in final]
            right[choice] = np.stack(said) == labels
            values[f"{name}: {choice}"] = line = {"acc": Cell.class_mean(right[choice], labels, clips)}
            if choice != HONEST:
                worth = right[choice].astype(float) - right[HONEST]
                line["worth"] = Cell.class_mean(worth, labels, clips, limits=DIFFERENCE)
    return Table(values, chance=chance, seeds=dict.fromkeys(values, tuple(seeds)))
