"""Pictures cell by cell, the sounds that they are tried with, and the maps that a network makes of both.

Notebook: 03, 07
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

BATCH = 64  # maps made at once
# Objects of a scene that are seen and heard, by their number in the masks.
SOUNDING = {"solo": (1,), "duet": (1, 2), "distractor": (1,), "offscreen": (), "silence": (), "photo": (1,)}


@dataclass(frozen=True)
class Located:
    """The pictures of a split, cell by cell, and the sounds that they are tried with.

    Attributes
    ----------
    title : str
        Of the network.
    heat : callable
        Cells (b, D, h, w), sounds (b, D') -> maps (b, h, w), larger where the sound is more likely.
    cells : (N, D, h, w) float32 Tensor
        Vector of every cell of every picture.
    sound : (N, D') float32 Tensor
        Vector of each picture's own sound; where pictures and sounds share classes only, of a sound of
        its class.
    silence : (D',) float32 Tensor
        Vector of zeros, heard as long as the sounds.
    objects : (N, H, W) uint8 array
        0 is background, k + 1 is the k-th instrument of the scene.
    label, row, clip : (N,) int array
        Class of the instrument that is named first, row of the store's image table, and what the bootstrap
        draws.
    kind : (N,) array of str
        Kind of scene.
    """

    title: str
    heat: Callable[[Tensor, Tensor], Tensor]
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
        sound : {"own", "shuffled", "silence"}, or Tensor (N, D')
            "shuffled" gives each picture the sound of another one, of another class.
        seed : int
            Of the shuffling.

        Returns
        -------
        Tensor (N, h, w) float32
            Probabilities of AVOL-Net; of LLINet on no fixed scale.
        """
        if isinstance(sound, str):
            sound = {"own": self._own, "shuffled": self._shuffled, "silence": self._silent}[sound](seed)
        parts = zip(self.cells.split(BATCH), sound.split(BATCH), strict=True)
        return torch.cat([self.heat(cells, heard) for cells, heard in parts])

    def _own(self, _) -> Tensor:
        return self.sound

    def _silent(self, _) -> Tensor:
        return self.silence.expand(len(self.cells), -1)

    def _shuffled(self, seed: int) -> Tensor:
        return self.sound[other_class(self.label, seed)]

    def pick(self, which) -> Located:
        """Return the same for some pictures; `which` (N,) bool or indices."""
        parts = ("cells", "sound", "objects", "label", "row", "clip", "kind")
        return replace(self, **{name: getattr(self, name)[which] for name in parts})

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
