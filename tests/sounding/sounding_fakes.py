"""Pictures, sounds and maps that are known by heart, for the tests of localization."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from llinet_lite.sounding import Located

LESSON = SimpleNamespace(settings=SimpleNamespace(name="laptop"), data_hash="abc")
RUNS = [SimpleNamespace(seed=seed, minutes=1.5) for seed in range(2)]
CLASSES = [{"name": f"class {k}"} for k in range(9)]


def dot(cells: Tensor, sound: Tensor) -> Tensor:
    """The map is the product of the cells with the sound, nothing else."""
    return torch.einsum("bdhw,bd->bhw", cells, sound)


def squares(count: int, seed: int = 0, size: int = 16) -> np.ndarray:
    """Pictures with object 1 on the left and object 2 on the right, (count, size, size) uint8."""
    rng, objects = np.random.default_rng(seed), np.zeros((count, size, size), np.uint8)
    for picture in objects:
        for k in (1, 2):
            top, left = rng.integers(0, size - 5), rng.integers(0, size // 2 - 4) + (k - 1) * size // 2
            picture[top : top + 4, left : left + 4] = k
    return objects


def seeing(objects: np.ndarray, label: np.ndarray, kind: str = "solo", clip=None) -> Located:
    """Pictures whose cells are their pixels: channel k is 1 on object k + 1, and the own sound asks for 0."""
    cells = torch.stack([torch.from_numpy(objects == k + 1).float() for k in range(3)], dim=1)
    sound = torch.eye(3)[:1].repeat(len(objects), 1)
    rows = np.arange(len(objects))
    clip = rows if clip is None else np.asarray(clip)
    kinds = np.full(len(objects), kind)
    return Located("Dot", dot, cells, sound, torch.zeros(3), objects, np.asarray(label), rows, clip, kinds)


class Album:
    """In place of a store: pictures that are larger than what a network saw of them."""

    classes = CLASSES

    def __init__(self, count: int, size: int = 24):
        self.pictures = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)

    def images(self, split: str):
        """The table of pictures of any split."""
        return SimpleNamespace(image=lambda row: self.pictures[row])
