"""How well a network tells which audio belongs to an image, and what it confuses.

Notebook: 01, 02, 03, 09
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from llinet_lite.data.batches import Batches, EvaluationSet
from llinet_lite.data.store import Store
from llinet_lite.experiments.runs import Run, judge, pair_list
from llinet_lite.metrics.intervals import DIFFERENCE, Interval, clip_bootstrap
from llinet_lite.results import Result
from llinet_lite.workspace import Workspace

BATCH = 128  # items embedded at once


@dataclass(frozen=True)
class Score:
    """What a network gives to "corresponds" (n,) for a fixed list of pairs."""

    probability: np.ndarray
    pairs: Batches

    @property
    def match(self) -> np.ndarray:
        """The truth, (n,) int."""
        return self.pairs.rows.match

    @property
    def right(self) -> np.ndarray:
        """Which pairs are answered rightly, (n,) bool."""
        return (self.probability > 0.5) == self.match.astype(bool)

    @property
    def items(self) -> np.ndarray:
        """What each pair shares with others, (n, 2): clips, or photos and recordings apart."""
        rows, clip = self.pairs.rows, self.pairs.source.images.clip
        if (clip < 0).all():
            return np.stack([rows.image, len(clip) + rows.sound], axis=1)
        return np.stack([clip[rows.image], rows.sound], axis=1)

    @cached_property
    def interval(self) -> Interval:
        """Accuracy; the interval (95 %) draws clips, because pairs share them."""
        return clip_bootstrap(self.right, self.items)


def evaluate(
    run: Run, store: Store, *, split: str = "test", grid: float | None = 0.04, imprint: float = 0.0
) -> Score:
    """Judge the fixed pairs of a split, clean and on the grid unless told otherwise.

    With the `grid` None mismatched audio starts anywhere; `imprint` is the strength of the recorder's trace.
    """
    pairs = pair_list(store, split, run.profile, grid=grid, imprint=imprint, view=run.plan.view)
    return Score(judge(run.method, run.inputs, pairs), pairs)


def _right(scores: Sequence[Score]) -> np.ndarray:
    return np.array([score.right for score in scores], float)  # (S, n)


def accuracy(
    name: str, scores: Sequence[Score], runs: Sequence[Run], workspace: Workspace, paper: float | None = None
) -> Result:
    """Return the accuracies of several seeds as one result; its interval draws clips and seeds."""
    found = clip_bootstrap(_right(scores), scores[0].items)
    return Result(
        name, *found.numbers, chance=0.5, paper=paper, seeds=[run.seed for run in runs], n=found.n,
        profile=workspace.profile.name, data_hash=workspace.data_hash,
        device=str(next(runs[0].method.parameters()).device), minutes=sum(run.minutes for run in runs),
    )  # fmt: skip


def difference(first: Sequence[Score], second: Sequence[Score]) -> Interval:
    """Return how much more accurate one network is than another on the same pairs, mean over seeds."""
    return clip_bootstrap(_right(first) - _right(second), first[0].items, limits=DIFFERENCE)


@torch.inference_mode()
def distances(run: Run, pairs: Batches) -> np.ndarray:
    """Return AVE-Net's distance of the two halves of every pair of a list, (n,) float in [0, 2]."""
    at = next(run.method.parameters()).device
    parts, inputs = [], run.inputs.to(at)
    for batch in pairs:
        image, audio = inputs({key: value.to(at) for key, value in batch.items()})
        both = run.method.embed_image(image), run.method.embed_audio(audio)
        parts.append(run.network.distance(*both).cpu())
    return torch.cat(parts).numpy()


@torch.inference_mode()
def class_matrix(run: Run, store: Store, split: str) -> tuple[np.ndarray, list[str]]:
    """Return the mean probability of "corresponds" for every class of image with every class of audio.

    The matrix (C, C) has images of class i with audio of class j, all pairs of the split but a clip with
    itself, at [i, j]; NaN where there is no such pair. The list names the classes.
    """
    images, sounds = store.images(split), store.sounds(split)
    seen, heard = (_features(run, store, split, item) for item in ("image", "sound"))  # (N, D), (M, D)
    parts = [torch.softmax(run.network.all_pairs(part, heard).float(), -1)[..., 1] for part in seen.split(64)]
    probability = torch.cat(parts).cpu().numpy()  # (N, M)
    other = (images.clip[:, None] != np.arange(len(sounds))).astype(float)
    present = np.unique(np.concatenate([images.label, sounds.label]))
    image, audio = (np.equal.outer(table.label, present).astype(float) for table in (images, sounds))
    count = image.T @ other @ audio
    total = image.T @ (probability * other) @ audio
    matrix = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return matrix, [store.classes[int(k)]["name"] for k in present]


def _features(run: Run, store: Store, split: str, item: str) -> Tensor:
    """Features of every image, or of the middle second of every recording."""
    at, crop = next(run.method.parameters()).device, run.profile.image_crop if item == "image" else None
    inputs, kind = run.inputs.to(at), "image" if item == "image" else "audio"
    make, embed = getattr(inputs, kind), getattr(run.method, f"embed_{kind}")
    batches = EvaluationSet(store, split, batch_size=BATCH, image_crop=crop, item=item)
    return torch.cat([embed(make({k: value.to(at) for k, value in batch.items()})) for batch in batches])
