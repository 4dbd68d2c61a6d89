"""Looking into the training of LLINet: one batch learnt by heart, similarity matrices on the way.

Notebook: 05, 08
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from llinet_lite.classifier import seen_labels
from llinet_lite.data.batches import ClassPairs
from llinet_lite.features import to_image
from llinet_lite.models import VGGish
from llinet_lite.models.trunks import Trunk
from llinet_lite.models.vggish import Ear
from llinet_lite.old_road import overfit_one_batch
from llinet_lite.zeroshot.activations import ActivationBatches, activations, see
from llinet_lite.zeroshot.plans import Plan
from llinet_lite.zeroshot.task import PairStep, Senses, build, ear_of

HASTE = 1e-3  # learning rate of the short runs here, with Adam


def one_batch(
    lesson, trunk: Trunk, *, split: str, size: int, distinct: bool, seed: int = 0
) -> dict[str, Tensor]:
    """Return one batch of class pairs with the activations that LLINet needs, sorted by class.

    Parameters
    ----------
    lesson : Lesson
    trunk : Trunk
    split : str
    size : int
        Pairs; at most the number of seen classes if `distinct`.
    distinct : bool
        No class twice.
    seed : int
    """
    store, settings = lesson.store(), lesson.settings
    how = {"seconds": settings.llinet_seconds, "classes": seen_labels(store), "seed": seed}
    size = min(size, len(seen_labels(store))) if distinct else min(size, len(store.images(split)))
    taps = ("early", "late")
    if settings.keep_activations:
        pairs = ClassPairs(store, split, batch_size=size, image_crop=None, distinct=distinct, **how)
        first = pairs.epoch(0)
        shown = {"taps": taps, "rows": first.rows.image[:size]}  # of these only: a split takes half a minute
        seen = activations(trunk, store, split, image_crop=settings.llinet_crop, **shown)
        batch = first[0] | {tap: torch.from_numpy(np.array(values)) for tap, values in seen.items()}
    else:
        crop = settings.llinet_crop
        pairs = ClassPairs(store, split, batch_size=size, image_crop=crop, distinct=distinct, **how)
        device = next(trunk.parameters()).device
        batch = {name: value.to(device) for name, value in pairs.epoch(0)[0].items()}
        batch |= Senses(store.sample_rate, trunk, taps).to(device).look(batch)
        del batch["image"]
    order = batch["label"].argsort(stable=True)
    return {name: value[order] for name, value in batch.items()}


def _step(lesson, trunk: Trunk, plan: Plan, seed: int, vggish: VGGish | None = None):
    store = lesson.store()
    classes = seen_labels(store)
    ear = None if vggish is None else Ear(vggish, store.sample_rate)
    model = build(plan, trunk, lesson.settings, len(classes), seed, ear).to(next(trunk.parameters()).device)
    return model, PairStep(Senses(store.sample_rate, None, model.needs, ear=ear_of(model)), classes)


def overfit(
    lesson,
    trunk: Trunk,
    plan: Plan,
    *,
    seed: int = 0,
    size: int = 24,
    steps: int = 60,
    vggish: VGGish | None = None,
):
    """Learn one batch of distinct classes by heart; `vggish` is for a plan that hears through it.

    Returns
    -------
    losses : list of float
        Before each step.
    hits : float
        Share of its pictures whose nearest sound, after the last step and in training mode, is their own.
    """
    batch = one_batch(lesson, trunk, split="val", size=size, distinct=True, seed=seed)
    model, step = _step(lesson, trunk, plan, seed, vggish)
    losses = overfit_one_batch(model, step, batch, steps=steps, lr=HASTE)
    scores = _scores(model.train(), step, batch)
    return losses, float((scores.argmax(1) == torch.arange(len(scores))).float().mean())


@torch.no_grad()
def _scores(model, step: PairStep, batch: dict[str, Tensor]) -> Tensor:
    device = next(model.parameters()).device
    seen, heard = step.senses.to(device)({name: value.to(device) for name, value in batch.items()})
    return model.scores(model.embed_image(seen), model.embed_audio(heard)).float().cpu()


def snapshots(
    lesson, trunk: Trunk, plan: Plan, *, at: Sequence[int] = (0, 25, 100), seed: int = 0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Train for a few steps, and keep the cosines of a fixed batch of held-out clips on the way.

    Parameters
    ----------
    lesson, trunk, plan, seed
    at : sequence of int, rising
        Steps before which the matrix is kept.

    Returns
    -------
    matrices : dict of str to (B, B) array
        "before training", "after 25 steps", ...: picture by sound, one pair of every seen class.
    labels : (B,) int
        Labels of the rows, rising.
    """
    store, settings = lesson.store(), lesson.settings
    held = one_batch(lesson, trunk, split="val", size=10**6, distinct=True, seed=seed)
    model, step = _step(lesson, trunk, plan, seed)
    device = next(model.parameters()).device
    step.to(device)
    optimizer = torch.optim.Adam([w for w in model.parameters() if w.requires_grad], HASTE)
    matrices, done, epoch = {}, 0, 0
    while True:
        for batch in _training_batches(store, trunk, settings, model.needs, seed, epoch):
            if done in at:
                name = f"after {done} steps" if done else "before training"
                matrices[name] = _scores(model.eval(), step, held).numpy()
            if done >= at[-1]:
                return matrices, held["label"].cpu().numpy()
            model.train()
            torch.manual_seed(done)
            loss, _ = step(model, {name: value.to(device) for name, value in batch.items()})
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
        epoch += 1


def _training_batches(store, trunk, settings, needs, seed, epoch):
    crop, keep = settings.llinet_crop, settings.keep_activations
    pairs = ClassPairs(
        store, "train", batch_size=settings.batch_size, image_crop=None if keep else crop,
        seconds=settings.llinet_seconds, seed=seed,
    )  # fmt: skip
    batches = pairs.epoch(epoch)
    if keep:
        batches = ActivationBatches(batches, activations(trunk, store, "train", image_crop=crop, taps=needs))
    for i in range(len(batches)):
        batch = batches[i]
        if not keep:
            device = next(trunk.parameters()).device
            batch |= see(trunk, to_image(batch.pop("image").to(device)), needs)
        yield batch


def same_class_share(labels: np.ndarray, batch_size: int, *, batches: int = 2000, seed: int = 0) -> float:
    """Share of the items of a random batch that meet another item of their class in it.

    Parameters
    ----------
    labels : (N,) int
        Class of every item of the training set.
    batch_size : int
    batches : int
        Random batches that are looked at.
    seed : int
    """
    rng, met = np.random.default_rng(seed), 0
    for _ in range(batches):
        batch = labels[rng.permutation(len(labels))[:batch_size]]
        met += int((np.bincount(batch)[batch] > 1).sum())
    return met / (batches * batch_size)


def similarity_gradient(loss, similarity: Tensor) -> np.ndarray:
    """Gradient of a loss of similarities (B, B) by them, as an array."""
    similarity = similarity.detach().double().requires_grad_(True)
    loss(similarity).backward()
    return similarity.grad.numpy()


def contrastive(similarity: Tensor) -> Tensor:
    """Both cross-entropies of a matrix of scaled similarities (B, B) against its diagonal."""
    own = torch.arange(len(similarity))
    return F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)
