"""Embedding a split, and asking every picture for its sounds and every sound for its pictures.

Notebook: 06
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from llinet_lite.data.bandstand import first_images
from llinet_lite.data.batches import EvaluationSet
from llinet_lite.data.store import Store
from llinet_lite.features import to_image
from llinet_lite.losses import float32_arithmetic
from llinet_lite.metrics.retrieval import ClassRetrieval, class_retrieval
from llinet_lite.models.trunks import Trunk
from llinet_lite.zeroshot.activations import activations, see
from llinet_lite.zeroshot.task import Senses, ear_of

BATCH = 64  # items embedded at once


@dataclass(frozen=True)
class Items:
    """The pictures and sounds of a split that are searched: rows of the store's tables, and their labels.

    Attributes
    ----------
    image_row, sound_row : (N,), (M,) int
    image_label, sound_label : (N,), (M,) int
    image_clip, sound_clip : (N,), (M,) int
        What the bootstrap draws; pictures and sounds that belong to no clip stand for themselves.
    """

    image_row: np.ndarray
    sound_row: np.ndarray
    image_label: np.ndarray
    sound_label: np.ndarray
    image_clip: np.ndarray
    sound_clip: np.ndarray


def items_of(store: Store, split: str, classes: Sequence[int] | None = None, most: int = 0) -> Items:
    """List one picture of every clip and every sound of a split.

    Parameters
    ----------
    store : Store
    split : str
    classes : sequence of int, optional
        Labels that take part; default: all.
    most : int
        At most so many pictures and sounds of a class, the first ones; 0: all.
    """
    images, sounds = store.images(split), store.sounds(split)
    by_class = bool((images.clip < 0).any())
    image = np.arange(len(images)) if by_class else first_images(images)
    chosen = []
    for rows, table in ((image, images), (np.arange(len(sounds)), sounds)):
        label = np.asarray(table.label)[rows]
        keep = np.ones(len(rows), bool) if classes is None else np.isin(label, classes)
        if most:
            keep &= rank_in_class(label) < most
        chosen.append((rows[keep], label[keep].astype(np.int64)))
    (image, image_label), (sound, sound_label) = chosen
    image_clip = np.arange(len(image)) if by_class else np.asarray(images.clip)[image].astype(np.int64)
    sound_clip = np.arange(len(sound)) if by_class else sound
    return Items(image, sound, image_label, sound_label, image_clip, sound_clip)


def rank_in_class(label: np.ndarray) -> np.ndarray:
    """Which of its class every item is, from 0, (N,)."""
    order = np.argsort(label, kind="stable")
    ranks = np.empty(len(label), int)
    ranks[order] = np.arange(len(label)) - np.searchsorted(label[order], label[order])
    return ranks


@dataclass(frozen=True)
class Embedded:
    """The items of a split as one network embeds them: image (N, ...), audio (M, ...), scores (N, M)."""

    items: Items
    image: Tensor
    audio: Tensor
    scores: Tensor

    def retrieval(self) -> dict[str, ClassRetrieval]:
        """Search by class in both directions, "I2A" and "A2I"."""
        labels = self.items.image_label, self.items.sound_label
        return class_retrieval(self.scores, *labels, ties="average")  # what a collapsed network deserves


@torch.no_grad()
def embed(
    model: nn.Module, trunk: Trunk, store: Store, split: str, settings, items: Items | None = None
) -> Embedded:
    """Embed the items of a split in float32, crops from the middle and whole sounds.

    Where sounds differ in length, as much of each is heard as the shortest of the split has, in the middle.

    Parameters
    ----------
    model : Module
        A method of :func:`llinet_lite.zeroshot.task.build`.
    trunk : Trunk
    store : Store
    split : str
    settings : Profile
    items : Items, optional
        Default: all of the split.

    Returns
    -------
    Embedded
        On the CPU.
    """
    items = items or items_of(store, split)
    device, training = next(model.parameters()).device, model.training
    senses = Senses(store.sample_rate, trunk, model.needs, ear=ear_of(model)).to(device)
    model.eval()
    try:
        with float32_arithmetic(device):
            image = torch.cat(list(_images(model, trunk, store, split, settings, items, device)))
            audio = torch.cat(list(_sounds(model, senses, store, split, items, device)))
            scores = model.scores(image, audio)
    finally:
        model.train(training)
    return Embedded(items, image.cpu(), audio.cpu(), scores.cpu())


def _images(model, trunk, store, split, settings, items, device):
    rows = items.image_row
    if settings.keep_activations and trunk.frozen_bn == "eval":
        crop = settings.llinet_crop
        seen = activations(trunk, store, split, image_crop=crop, taps=model.needs, rows=rows)
        for start in range(0, len(rows), BATCH):
            part = slice(start, start + BATCH)
            copies = {tap: np.array(values[part]) for tap, values in seen.items()}  # of what only can be read
            batch = {tap: torch.from_numpy(copy).to(device).float() for tap, copy in copies.items()}
            yield model.embed_image(batch).float()
        return
    pictures = EvaluationSet(store, split, batch_size=BATCH, image_crop=settings.llinet_crop, item="image")
    pictures.rows = pictures.rows.take(rows)
    for batch in pictures:
        image = batch["image"].to(device)
        yield model.embed_image(see(trunk, to_image(image), model.needs)).float()


def _sounds(model, senses, store, split, items, device):
    table = store.sounds(split)
    shortest = int(table.length.min()) / store.sample_rate  # of the split: items do not change one another
    sounds = EvaluationSet(store, split, batch_size=BATCH, item="sound", seconds=shortest)
    sounds.rows = sounds.rows.take(items.sound_row)
    for batch in sounds:
        yield model.embed_audio(senses.hear(batch["audio"].to(device))).float()
