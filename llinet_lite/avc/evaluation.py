"""How well a network tells which sound belongs to a picture, and what it confuses.

Notebook: 01, 02, 03
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from llinet_lite.avc.task import Senses
from llinet_lite.data.batches import Batches, EvaluationSet, evaluation_pairs
from llinet_lite.data.store import Store
from llinet_lite.losses import float32_arithmetic
from llinet_lite.metrics.intervals import Interval, clip_bootstrap
from llinet_lite.models import AVENet

BATCH = 128  # pairs judged at once


@dataclass(frozen=True)
class Pair:
    """A pair: both classes, whether they match, picture (H, W, 3) uint8, second of sound (n,) int16."""

    picture: str
    sound: str
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
    def items(self) -> np.ndarray:
        """What each pair shares with others, (n, 2): clips, or photos and sounds apart."""
        return _items(self.pairs)

    def pair(self, k: int) -> Pair:
        """Look up pair `k` of the list."""
        return look_up(self.pairs, k)

    def most_sure(self, count: int) -> dict[str, list[int]]:
        """Return the `count` surest pairs of each kind, surest first, each picture once.

        Returns
        -------
        dict
            "right match", "right mismatch", "wrong match", "wrong mismatch" -> numbers of pairs; a
            kind that does not occur has an empty list.
        """
        said = self.probability > 0.5
        kinds = {
            "right match": said & (self.match == 1),
            "right mismatch": ~said & (self.match == 0),
            "wrong match": said & (self.match == 0),
            "wrong mismatch": ~said & (self.match == 1),
        }
        sureness = np.abs(self.probability - 0.5)
        order = np.argsort(-sureness, kind="stable")
        return {name: [int(k) for k in order if which[k]][:count] for name, which in kinds.items()}


def batch_size(view: str) -> int:
    """Return how many pairs are judged at once; fewer where each is a video."""
    return BATCH // 4 if view == "frames" else BATCH


@torch.inference_mode()
def judge(model: nn.Module, senses: Senses, pairs: Batches) -> np.ndarray:
    """Return the probability of "corresponds" for every pair of a list, (n,) float, in float32 arithmetic."""
    model.eval()
    device, answers = next(model.parameters()).device, []
    senses = senses.to(device)
    with float32_arithmetic(device):
        for batch in pairs:
            image, sound = senses({key: value.to(device) for key, value in batch.items()})
            logits = model.pairs(model.embed_image(image), model.embed_audio(sound))  # (B, 2)
            answers.append(torch.softmax(logits, dim=1)[:, 1].cpu())
    return torch.cat(answers).numpy()


def pair_list(
    store: Store,
    split: str,
    settings,
    *,
    match: str,
    grid: float | None = 0.04,
    imprint: float = 0.0,
    seed: int = 0,
    view: str = "frame",
) -> Batches:
    """Return the fixed, balanced list of pairs of a split; half of them match.

    Parameters
    ----------
    settings : Profile
    match : "clip" or "class"
        Mismatched sounds are of another clip, or of another class.
    grid : float or None
        None: naive mismatched sounds, which start anywhere.
    imprint : float
        Strength of the recorder imprint in the sounds.
    view : str
        See :class:`~llinet_lite.avc.task.Plan`.
    """
    return evaluation_pairs(
        store, split, batch_size=batch_size(view), image_crop=settings.image_crop,
        match=match, grid=grid, imprint=imprint, seed=seed, view=view,
    )  # fmt: skip


def score(model: nn.Module, senses: Senses, pairs: Batches) -> Score:
    """Judge a list of pairs and count the right answers.

    Returns
    -------
    Score
        Its interval (95 %) draws the items that pairs share: clips, or photos and sounds apart
        where these are paired by class only.
    """
    probability = judge(model, senses, pairs)
    rows = pairs.rows
    interval = clip_bootstrap((probability > 0.5) == rows.match.astype(bool), _items(pairs))
    return Score(probability, rows.match, interval, pairs)


def _items(pairs: Batches) -> np.ndarray:
    """Return what each pair shares with others, (n, 2): clips, or photos and sounds apart."""
    rows, clip = pairs.rows, pairs.source.images.clip
    if (clip < 0).all():
        return np.stack([rows.image, len(clip) + rows.sound], axis=1)
    return np.stack([clip[rows.image], rows.sound], axis=1)


@torch.inference_mode()
def distances(model: AVENet, senses: Senses, pairs: Batches) -> np.ndarray:
    """Return the distance of the two halves of every pair of a list, (n,) float in [0, 2]."""
    device, parts = next(model.parameters()).device, []
    model.eval()
    senses = senses.to(device)
    for batch in pairs:
        image, sound = senses({key: value.to(device) for key, value in batch.items()})
        parts.append(model.distance(model.embed_image(image), model.embed_audio(sound)).cpu())
    return torch.cat(parts).numpy()


@torch.inference_mode()
def class_matrix(
    model: nn.Module, senses: Senses, store: Store, split: str, settings
) -> tuple[np.ndarray, list[str]]:
    """Return the mean probability of "corresponds" for every class of picture with every class of sound.

    Returns
    -------
    matrix : (C, C) float
        [i, j]: pictures of class i with sounds of class j, all pairs of the split but a clip with itself;
        NaN where there is no such pair.
    classes : list of str
    """
    images, sounds = store.images(split), store.sounds(split)
    model.eval()
    seen = _embedded(model, senses, store, split, settings, "image")  # (N, 8 * width)
    heard = _embedded(model, senses, store, split, settings, "sound")  # (M, 8 * width)
    rows = [torch.softmax(model.all_pairs(part, heard).float(), -1)[..., 1] for part in seen.split(64)]
    probability = torch.cat(rows).cpu().numpy()  # (N, M)
    other = (images.clip[:, None] != np.arange(len(sounds))).astype(float)
    present = np.unique(np.concatenate([images.label, sounds.label]))
    picture, sound = (np.equal.outer(table.label, present).astype(float) for table in (images, sounds))
    count = picture.T @ other @ sound
    total = picture.T @ (probability * other) @ sound
    matrix = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return matrix, [store.classes[int(k)]["name"] for k in present]


def _embedded(
    model: nn.Module, senses: Senses, store: Store, split: str, settings, item: str
) -> torch.Tensor:
    """Return the features of every picture, or of the middle second of every sound, (N, 8 * width)."""
    device, parts = next(model.parameters()).device, []
    senses = senses.to(device)
    crop = settings.image_crop if item == "image" else None
    for batch in EvaluationSet(store, split, batch_size=BATCH, image_crop=crop, item=item):
        if item == "image":
            parts.append(model.embed_image(senses.see(batch["image"].to(device))))
        else:
            parts.append(model.embed_audio(senses.hear(batch["audio"].to(device))))
    return torch.cat(parts)
