"""Where AVOL-Net hears a sound in the pictures of a split, and with which sounds that is tried.

Notebook: 03
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from llinet_lite.avc.evaluation import BATCH
from llinet_lite.avc.runs import Run
from llinet_lite.avc.task import Senses, matching
from llinet_lite.data.batches import EvaluationSet
from llinet_lite.data.store import Store
from llinet_lite.models import AVOLNet

# Objects of a scene that are seen and heard, by their number in the masks.
SOUNDING = {"solo": (1,), "duet": (1, 2), "distractor": (1,), "offscreen": (), "silence": (), "photo": (1,)}


@dataclass(frozen=True)
class Located:
    """The pictures of a split, cell by cell, and the sounds that they are tried with.

    Attributes
    ----------
    model : AVOLNet
    cells : (N, D, h, w) float32 Tensor
        Vector of every cell of every picture.
    sound : (N, D) float32 Tensor
        Vector of each picture's own sound; where pictures and sounds share classes only, of a sound of
        its class.
    silence : (D,) float32 Tensor
        Vector of a second of zeros.
    objects : (N, H, W) uint8 array
        0 is background, k + 1 is the k-th instrument of the scene.
    label, row, clip : (N,) int array
        Class of the instrument that is named first, row of the store's image table, and what the bootstrap
        draws.
    kind : (N,) array of str
        Kind of scene.
    """

    model: AVOLNet
    cells: Tensor
    sound: Tensor
    silence: Tensor
    objects: np.ndarray
    label: np.ndarray
    row: np.ndarray
    clip: np.ndarray
    kind: np.ndarray

    @cached_property
    def masks(self) -> np.ndarray:
        """(N, H, W) bool: where an instrument is seen that is heard; nothing in some kinds of scene."""
        return np.stack([np.isin(m, SOUNDING[kind]) for m, kind in zip(self.objects, self.kind, strict=True)])

    @torch.inference_mode()
    def maps(self, sound: Tensor | str = "own", *, seed: int = 0) -> Tensor:
        """Return the maps of all pictures for their own sounds or for others.

        Parameters
        ----------
        sound : {"own", "shuffled", "silence"}, or Tensor (N, D)
            "shuffled" gives each picture the sound of another one, of another class.
        seed : int
            Of the shuffling.

        Returns
        -------
        Tensor (N, h, w) float32 in [0, 1]
        """
        if isinstance(sound, str):
            sound = {"own": self._own, "shuffled": self._shuffled, "silence": self._silent}[sound](seed)
        parts = zip(self.cells.split(BATCH), sound.split(BATCH), strict=True)
        return torch.cat([self.model.heat(cells, heard) for cells, heard in parts])

    def _own(self, _) -> Tensor:
        return self.sound

    def _silent(self, _) -> Tensor:
        return self.silence.expand(len(self.cells), -1)

    def _shuffled(self, seed: int) -> Tensor:
        return self.sound[other_class(self.label, seed)]

    def pick(self, which) -> Located:
        """Return the same for some pictures; `which` (N,) bool or indices."""
        arrays = {name: getattr(self, name)[which] for name in ("cells", "sound", "objects")}
        arrays |= {name: getattr(self, name)[which] for name in ("label", "row", "clip", "kind")}
        return Located(self.model, silence=self.silence, **arrays)

    def one_of_each_class(self) -> list[int]:
        """Return the first picture of every class that shows its instrument."""
        shown = self.masks.any((1, 2))
        return [int(np.flatnonzero((self.label == k) & shown)[0]) for k in np.unique(self.label[shown])]


def other_class(label: np.ndarray, seed: int) -> np.ndarray:
    """Return for every item the number of a random one of another class, (N,).

    Raises
    ------
    ValueError
        If all items are of one class.
    """
    if len(label) and (label == label[0]).all():
        raise ValueError(f"all {len(label)} items are of one class: no other class's sound can be tried")
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(np.flatnonzero(label != own)) for own in label])


@torch.inference_mode()
def locate(run: Run, store: Store, split: str, settings, *, seed: int = 0) -> Located:
    """Return the cells and the sounds of every picture of a split.

    Parameters
    ----------
    run : Run
        Of an AVOL-Net.
    store : Store
    split : str
        One with masks.
    settings : Profile
    seed : int
        Of the sounds, where pictures and sounds share classes only.

    Raises
    ------
    ValueError
        If the split holds no masks.
    """
    model, senses = run.model, Senses(settings)
    device = next(model.parameters()).device
    senses = senses.to(device)
    paired = matching(store, split) == "clip"
    item = "pair" if paired else "image"
    batches = EvaluationSet(
        store, split, batch_size=BATCH, image_crop=settings.image_crop, item=item, objects=True
    )
    cells, sounds, objects = [], [], []
    for batch in batches:
        cells.append(model.embed_image(senses.see(batch["image"].to(device))).float())
        if paired:
            sounds.append(model.embed_audio(senses.hear(batch["audio"].to(device))).float())
        objects.append(batch["objects"].numpy())
    images, rows = store.images(split), batches.rows.image
    label = images.label[rows].astype(np.int64)
    sound = torch.cat(sounds) if paired else sounds_of(run, store, split, settings, label, seed=seed)
    zeros = torch.zeros(1, store.sample_rate, dtype=torch.int16, device=device)
    silence = model.embed_audio(senses.hear(zeros))[0].float()
    clip = images.clip[rows] if paired else rows
    return Located(
        model, torch.cat(cells), sound, silence, np.concatenate(objects), label, rows, clip, images.kind[rows]
    )


@torch.inference_mode()
def sounds_of(
    run: Run, store: Store, split: str, settings, labels: Sequence[int], *, seed: int = 0
) -> Tensor:
    """Return the vectors of random recordings of the given classes, (n, D): the middle second of each.

    Raises
    ------
    ValueError
        If the split has no sound of a class.
    """
    device = next(run.model.parameters()).device
    senses, parts = Senses(settings).to(device), []
    batches = EvaluationSet(store, split, batch_size=BATCH, item="sound")
    for batch in batches:
        parts.append(run.model.embed_audio(senses.hear(batch["audio"].to(device))).float())
    picks = batches.source.same_class(np.asarray(labels), np.random.default_rng(seed))
    return torch.cat(parts)[picks]
