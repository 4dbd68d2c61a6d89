"""The questions of zero-shot recognition: which pictures are asked about, and what is known of each class.

A class is known by a vector, the mean of its sounds' vectors (its prototype). For seen classes these are the
training sounds. For unseen classes they must come from sounds that are not those of the pictures asked about:
every class's clips are dealt into two halves, and the pictures of one half are asked with the sounds of the
other.

Notebook: 08
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from llinet_lite.data.batches import EvaluationSet
from llinet_lite.data.store import Store
from llinet_lite.features import to_image
from llinet_lite.models import VGGish
from llinet_lite.models.trunks import Trunk
from llinet_lite.models.vggish import Ear
from llinet_lite.zeroshot.activations import activations, see
from llinet_lite.zeroshot.evaluation import BATCH, Items, items_of, rank_in_class
from llinet_lite.zeroshot.runs import PER_CLASS, Run, held_out
from llinet_lite.zeroshot.tagger import hear

PROTOTYPES = ("held-out", "test")


@dataclass(frozen=True)
class Part:
    """Pictures and sounds of some classes as vectors.

    Attributes
    ----------
    image : (N, F) float32
    sound : (M, D) float32
    items : Items
        Their rows in the store, labels and clips.
    """

    image: np.ndarray
    sound: np.ndarray
    items: Items

    def of(self, classes: Sequence[int], most: int = 0) -> Part:
        """Return the part with these classes only, at most so many pictures and sounds of each (0: all)."""
        kept = {}
        for side in ("image", "sound"):
            label = getattr(self.items, f"{side}_label")
            keep = np.isin(label, classes)
            if most:
                keep &= rank_in_class(label) < most
            kept[side] = np.flatnonzero(keep)
        items = {
            f"{side}_{what}": getattr(self.items, f"{side}_{what}")[rows]
            for side, rows in kept.items()
            for what in ("row", "label", "clip")
        }
        return Part(self.image[kept["image"]], self.sound[kept["sound"]], Items(**items))


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
class Exam:
    """Pictures of seen and of unseen classes, and what is known of each class.

    Columns of all scores are the seen classes, then the unseen ones, each in rising order of their labels.

    Attributes
    ----------
    train : Part
        Of the seen classes, to learn from.
    seen_items, unseen_items : Part
        Pictures that are asked about; the sounds of `unseen_items` tell what the unseen classes are.
    """

    train: Part
    seen_items: Part
    unseen_items: Part

    @property
    def seen(self) -> np.ndarray:
        """Labels (S,) of the seen classes, rising."""
        return np.unique(self.train.items.image_label)

    @property
    def unseen(self) -> np.ndarray:
        """Labels (U,) of the unseen classes, rising."""
        return np.unique(self.unseen_items.items.image_label)

    @property
    def columns(self) -> tuple[range, range]:
        """Columns of the seen and of the unseen classes."""
        count = len(self.seen)
        return range(count), range(count, count + len(self.unseen))

    def labels(self, part: Part) -> np.ndarray:
        """Columns (N,) of a part's pictures."""
        order = np.concatenate([self.seen, self.unseen])
        rising = np.argsort(order)
        return rising[np.searchsorted(order, part.items.image_label, sorter=rising)]

    def prototypes(self, half: int | None = None) -> np.ndarray:
        """Mean vector of every class (S + U, D), not normalised; of unseen classes from one half, or all."""
        known = [_means(self.train, self.seen, None)]
        known.append(_means(self.unseen_items, self.unseen, half))
        return np.concatenate(known)

    def ask(self, scores: Callable[[np.ndarray, np.ndarray], np.ndarray], prototypes: str = "held-out"):
        """Score all pictures with all classes.

        Parameters
        ----------
        scores : callable
            Pictures (n, F) and class vectors (S + U, D) -> scores (n, S + U).
        prototypes : {"held-out", "test"}
            "held-out": unseen classes are known by the sounds of the other half of the clips. "test": by all
            test sounds, the picture's own among them, as in LLINet's released code.

        Returns
        -------
        seen, unseen : (N, S + U), (M, S + U) float64
        """
        if prototypes not in PROTOTYPES:
            raise ValueError(f"prototypes must be one of {', '.join(PROTOTYPES)}, not {prototypes!r}")
        count, answers = len(self.seen) + len(self.unseen), []
        for part in (self.seen_items, self.unseen_items):
            answer = np.empty((len(part.image), count))
            half = halves(part.items.image_label, part.items.image_clip)
            for own in (0, 1):
                vectors = self.prototypes(None if prototypes == "test" else 1 - own)
                if (half == own).any():
                    answer[half == own] = scores(part.image[half == own], vectors)
            answers.append(answer)
        return answers[0], answers[1]


def _means(part: Part, classes: np.ndarray, half: int | None) -> np.ndarray:
    label = part.items.sound_label
    keep = np.ones(len(label), bool)
    if half is not None:
        keep = halves(label, part.items.sound_clip) == half
    absent = [int(k) for k in classes if not (keep & (label == k)).any()]
    if absent:
        raise ValueError(f"no sound tells what the classes {absent} are: each needs two or more clips")
    return np.stack([part.sound[keep & (label == k)].mean(0, dtype=np.float64) for k in classes])


def exams(gather: Callable[[str], Part], store: Store, seed: int) -> tuple[Exam, Exam]:
    """Return the exam on which everything is chosen, and the one that is reported.

    The first is of seen classes only: those that `held_out` keeps from a seed's training play the unseen
    ones, and pictures of `val` are asked about the others. The second is of the splits `test` and `unseen`.

    Parameters
    ----------
    gather : callable
        Split -> Part, as :func:`features` and :func:`embeddings` with their other arguments.
    store : Store
    seed : int
    """
    train = gather("train")
    out = held_out(store, seed)
    kept = np.setdiff1d(np.unique(train.items.image_label), out)
    choosing = Exam(train.of(kept), gather("val").of(kept), train.of(out, most=PER_CLASS))
    return choosing, Exam(train, gather("test"), gather("unseen"))


def features(store: Store, split: str, settings, trunk: Trunk, vggish: VGGish) -> Part:
    """Return what frozen networks make of a split: pooled features of the trunk, VGGish's of the sounds."""
    items = items_of(store, split)
    image = _pooled(store, split, settings, trunk, items)
    sound = hear(Ear(vggish, store.sample_rate), store, split, items.sound_row)
    return Part(image, sound.numpy(), items)


@torch.no_grad()
def _pooled(store: Store, split: str, settings, trunk: Trunk, items: Items) -> np.ndarray:
    if settings.keep_activations:
        taken = {"taps": ("pooled",), "rows": items.image_row}
        kept = activations(trunk, store, split, image_crop=settings.llinet_crop, **taken)
        return np.asarray(kept["pooled"], np.float32)

    pictures = EvaluationSet(store, split, batch_size=BATCH, image_crop=settings.llinet_crop, item="image")
    pictures.rows = pictures.rows.take(items.image_row)
    device = next(trunk.parameters()).device
    parts = [see(trunk, to_image(batch["image"].to(device)), ("pooled",))["pooled"] for batch in pictures]
    return torch.cat(parts).float().cpu().numpy()


def embeddings(store: Store, split: str, settings, run: Run) -> Part:
    """Return a split as a trained LLINet embeds it: pictures v', not normalised, and sounds a', unit.

    Of `train`, which gives prototypes only, the first 40 of every class.
    """
    items = items_of(store, split, most=PER_CLASS if split == "train" else 0)
    found = run.embed(store, split, settings, items)
    return Part(found.image.numpy(), found.audio.numpy(), found.items)


def feature_exams(
    store: Store, settings, trunk: Trunk, vggish: VGGish, seeds: Sequence[int]
) -> list[tuple[Exam, Exam]]:
    """Return both exams in the features of frozen networks, one pair per seed; computes every split once."""
    parts = {
        split: features(store, split, settings, trunk, vggish) for split in ("train", "val", "test", "unseen")
    }
    return [exams(parts.__getitem__, store, seed) for seed in seeds]


def own_exams(
    store: Store, settings, ours: Mapping[str, Sequence[Run]]
) -> dict[str, list[tuple[Exam, Exam]]]:
    """Return both exams in the spaces of LLINet's networks, one pair per seed; embeds every split once."""
    return {
        name: [exams(partial(_embedded, store, settings, run), store, run.seed) for run in runs]
        for name, runs in ours.items()
    }


def _embedded(store: Store, settings, run: Run, split: str) -> Part:
    return embeddings(store, split, settings, run)
