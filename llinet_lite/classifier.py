"""A network learns the labels of pictures: how stand-ins for networks trained on ImageNet come about.

Notebook: 02 (VGG16), 04 (the trunk of LLINet)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.data.batches import EvaluationSet, ImageBatches
from llinet_lite.data.store import Store
from llinet_lite.features import ImageAugment, to_image
from llinet_lite.old_road import fit
from llinet_lite.training import History

__all__ = ["class_hits", "seen_labels", "train_classifier"]


class _ClassStep(nn.Module):
    """One training step: augment, classify, cross-entropy over the labels `seen` (S,)."""

    def __init__(self, seen: np.ndarray):
        super().__init__()
        self.augment = ImageAugment()
        self.register_buffer("seen", torch.from_numpy(seen), persistent=False)

    def forward(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss."""
        logits = model(self.augment(to_image(batch["image"]), batch["draws"]))  # (B, S)
        return F.cross_entropy(logits, torch.searchsorted(self.seen, batch["label"]))


def train_classifier(
    model: nn.Module,
    store: Store,
    *,
    batch_size: int,
    image_crop: int,
    optimizer: Callable,
    epochs: int,
    seed: int,
    run_dir: Path | None,
    settings: dict | None = None,
    quiet: bool = False,
) -> History:
    """Train a network on the labels of the split `train`, or go on with it.

    Parameters
    ----------
    model : Module
        Pictures (B, 3, H, W) in [0, 1] -> logits (B, classes of `train`); trained in place, and left with the
        weights of the epoch that is best on `val` if `run_dir` is given, else with the last one's.
    store : Store
    batch_size, image_crop : int
        Pictures per step, and side of their random crops, pixels.
    optimizer : callable
        Parameters -> torch Optimizer; its rate falls to 0 along a cosine.
    epochs, seed : int
    run_dir : Path or None
        Where checkpoints go.
    settings : dict, optional
        What else a checkpoint must agree with.

    Returns
    -------
    History
        `accuracy` is that on `val`.

    Notebook: 02, 04
    """
    shape = {"batch_size": batch_size, "image_crop": image_crop}
    history = fit(
        model,
        _ClassStep(seen_labels(store)),
        ImageBatches(store, "train", **shape, seed=seed),
        epochs=epochs,
        run_dir=run_dir,
        validate=lambda network: {"accuracy": class_hits(network, store, "val", image_crop).mean()},
        settings={"data": store.content_hash, "epochs": epochs, **shape, **(settings or {})},
        seed=seed,
        optimizer=optimizer,
        schedule=lambda epoch: 0.5 * (1 + math.cos(math.pi * min(epoch / epochs, 1.0))),
        quiet=quiet,
    )
    if run_dir is not None:
        history.load_best(model)
    return history


@torch.no_grad()
def class_hits(model: nn.Module, store: Store, split: str, image_crop: int) -> np.ndarray:
    """Return which pictures (n,) of a split a network of `train_classifier` names rightly, bool.

    With `store.images(split).clip` they are what :func:`llinet_lite.metrics.intervals.clip_bootstrap`
    makes an interval from.

    Notebook: 02, 04
    """
    seen, device, hits = seen_labels(store), next(model.parameters()).device, []
    model.eval()
    for batch in EvaluationSet(store, split, batch_size=128, image_crop=image_crop, item="image"):
        said = model(to_image(batch["image"].to(device))).argmax(1).cpu().numpy()
        hits.append(seen[said] == batch["label"].numpy())
    return np.concatenate(hits)


def seen_labels(store: Store) -> np.ndarray:
    """Return the labels (S,) of the training pictures, rising."""
    return np.unique(np.asarray(store.images("train").label, np.int64))
