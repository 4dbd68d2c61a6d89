"""How well a network tells which audio belongs to an image, what it confuses, and the 0.04 s shortcut.

Notebook: 01, 02, 03, 09
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from llinet_lite.data.batches import Batches, EvaluationSet
from llinet_lite.data.store import Store
from llinet_lite.experiments.runs import IMPRINT, Run, judge, pair_list, plans, publish, train_or_load
from llinet_lite.metrics.intervals import DIFFERENCE, Interval, clip_bootstrap
from llinet_lite.profiles import Profile
from llinet_lite.results import Result, papers
from llinet_lite.workspace import Workspace

BATCH = 128  # items embedded at once


@dataclass(frozen=True)
class Pair:
    """A pair: both classes, whether they match, its image (H, W, 3) uint8, its second of audio (n,) int16."""

    image_class: str
    audio_class: str
    match: bool
    image: np.ndarray
    audio: np.ndarray


def look_up(pairs: Batches, k: int) -> Pair:
    """Return pair `k` of a list of pairs."""
    rows, source = pairs.rows, pairs.source
    names = [c["name"] for c in source.store.classes]
    batch, place = pairs[k // pairs.batch_size], k % pairs.batch_size
    return Pair(
        names[int(rows.label[k])],
        names[int(source.sounds.label[rows.sound[k]])],
        bool(rows.match[k]),
        batch["image"][place].numpy(),
        batch["audio"][place].numpy(),
    )


@dataclass(frozen=True)
class Score:
    """Answers of a network to a fixed list of pairs.

    Attributes
    ----------
    probability : (n,) float
        What the network gives to "corresponds".
    match : (n,) int
        The truth.
    interval : Interval
        Accuracy; the interval draws clips, because pairs share them.
    pairs : Batches
        The list.
    """

    probability: np.ndarray
    match: np.ndarray
    interval: Interval
    pairs: Batches

    @property
    def right(self) -> np.ndarray:
        """Which pairs are answered rightly, (n,) bool."""
        return (self.probability > 0.5) == self.match.astype(bool)

    @property
    def items(self) -> np.ndarray:
        """What each pair shares with others, (n, 2): clips, or photos and recordings apart."""
        return shared_items(self.pairs)

    def most_sure(self, count: int) -> dict[str, list[int]]:
        """Return the `count` surest pairs of each kind, surest first: "right match" -> numbers of pairs."""
        said, match = self.probability > 0.5, self.match == 1
        kinds = {
            "right match": said & match,
            "right mismatch": ~said & ~match,
            "wrong match": said & ~match,
            "wrong mismatch": ~said & match,
        }
        order = np.argsort(-np.abs(self.probability - 0.5), kind="stable")
        return {name: [int(k) for k in order if which[k]][:count] for name, which in kinds.items()}


def shared_items(pairs: Batches) -> np.ndarray:
    """Return what each pair shares with others, (n, 2)."""
    rows, clip = pairs.rows, pairs.source.images.clip
    if (clip < 0).all():
        return np.stack([rows.image, len(clip) + rows.sound], axis=1)
    return np.stack([clip[rows.image], rows.sound], axis=1)


def evaluate(
    run: Run, store: Store, *, split: str = "test", grid: float | None = 0.04, imprint: float = 0.0
) -> Score:
    """Judge the fixed pairs of a split, clean and on the grid unless told otherwise.

    Parameters
    ----------
    run : Run
        Of a correspondence network.
    store : Store
    split : str
    grid : float or None
        None: naive mismatched audio, which starts anywhere.
    imprint : float
        Strength of the recorder imprint in the audio.

    Returns
    -------
    Score
        Its interval (95 %) draws the items that pairs share.
    """
    pairs = pair_list(store, split, run.profile, grid=grid, imprint=imprint, view=run.plan.view)
    probability = judge(run.method, run.inputs, pairs)
    match = pairs.rows.match
    interval = clip_bootstrap((probability > 0.5) == match.astype(bool), shared_items(pairs))
    return Score(probability, match, interval, pairs)


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

    Returns
    -------
    matrix : (C, C) float
        [i, j]: images of class i with audio of class j, all pairs of the split but a clip with itself; NaN
        where there is no such pair.
    classes : list of str
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
    at = next(run.method.parameters()).device
    inputs, crop = run.inputs.to(at), run.profile.image_crop if item == "image" else None
    parts = []
    for batch in EvaluationSet(store, split, batch_size=BATCH, image_crop=crop, item=item):
        batch = {key: value.to(at) for key, value in batch.items()}
        if item == "image":
            parts.append(run.method.embed_image(inputs.image(batch)))
        else:
            parts.append(run.method.embed_audio(inputs.audio(batch)))
    return torch.cat(parts)


# ---- the shortcut: what naive sampling of mismatched audio gives away


def shortcut(
    workspace: Workspace, seeds: Sequence[int] = (0,)
) -> tuple[dict[tuple[str, str], list[Score]], list[Result]]:
    """Train or load the networks of the shortcut experiment; judge each on its own pairs and on clean ones.

    "naive" and "grid" go on from the network "l3net-all" of the same seed; "ears" never sees an image.

    Returns
    -------
    scores : dict of (plan, pairs) to list of Score, one per seed
        Plans "naive", "grid" and "ears"; pairs "own" (sampled as in training, with the imprint) and "clean".
    results : list of Result
        "shortcut: naive, own pairs" and so on.
    """
    store, known, scores, results = workspace.store(("test",)), plans(workspace.profile), {}, []
    for name, of_seeds in (("naive", seeds), ("grid", seeds), ("ears", (0,))):
        plan = known[f"l3net-{name}"]
        runs = [train_or_load(workspace, plan, seed) for seed in of_seeds]
        own = {"grid": plan.batches.get("grid", 0.04), "imprint": plan.batches["imprint"]}
        first = []
        for kind, how in (("own", own), ("clean", {})):
            found = scores[name, kind] = [evaluate(run, store, **how) for run in runs]
            paper = papers()["AVC accuracy, L3-Net"].get(name) if kind == "own" else None
            title = f"shortcut: {name}, {kind} pairs"
            results.append(accuracy(title, found, runs, workspace, paper))
            first.append(accuracy(title, found[:1], runs[:1], workspace, paper))
        publish(workspace, runs[0], first)
    return scores, results


def imprint_example(profile: Profile, name: str = "cello", seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return the same second of audio without and with the recorder imprint, (n,) int16 each."""
    from llinet_lite.world.scenes import Scene

    both = (Scene(name, seed, seconds=2.0, imprint=strength) for strength in (0.0, IMPRINT))
    return tuple(scene.audio(0.0, 1.0, profile.sample_rate) for scene in both)
