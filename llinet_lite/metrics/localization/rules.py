"""How a heat map becomes a yes or no for every pixel, and how that is compared with the truth.

Notebook: 03
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

__all__ = ["Rule", "blocks", "consensus", "overlap", "resize", "smallest"]

PIXELS = 2**22  # of one block: about 80 maps of 224 x 224


@dataclass(frozen=True)
class Rule:
    """Size, interpolation and threshold: the choices that a localization number depends on.

    Attributes
    ----------
    size : (H, W) that maps and masks are brought to; None: the masks' own
    interpolation : "bilinear", "bicubic" or "nearest", of the maps; masks are always taken by nearest pixel
    align_corners : bool, whether the outer cells' centres are put on the outer pixels' centres
    level : where to cut. "median": the value at place n // 2 of the n sorted pixels, so half the image is
        predicted; "true size": the g-th largest value of an image whose mask has g pixels; or a number
    of_maximum : bool, whether a number is a share of the map's maximum
    normalise : bool, whether a map is first brought to [0, 1] by its own minimum and maximum
    keep : ">" or ">=", what a pixel's value must be to the level. With ties this decides: of a map with
        two values, ">" at the median may predict nothing and ">=" everything
    """

    size: tuple[int, int] | None
    interpolation: str = "bilinear"
    align_corners: bool = False
    level: str | float = "median"
    of_maximum: bool = False
    normalise: bool = False
    keep: str = ">="

    def __post_init__(self):
        if self.interpolation not in ("bilinear", "bicubic", "nearest"):
            raise ValueError(
                f"interpolation must be bilinear, bicubic or nearest, not {self.interpolation!r}."
            )
        if self.keep not in (">", ">="):
            raise ValueError(f"keep must be '>' or '>=', not {self.keep!r}.")
        if isinstance(self.level, str) and self.level not in ("median", "true size"):
            raise ValueError(f"level must be 'median', 'true size' or a number, not {self.level!r}.")
        if isinstance(self.size, int):
            object.__setattr__(self, "size", (self.size, self.size))

    def resize(self, maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Bring maps (n, h, w) to (n, H, W)."""
        return resize(maps, size, self.interpolation, self.align_corners)

    def predict(self, maps: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Cut maps (n, H, W) at the level; the masks (n, H, W) tell "true size" how much to predict."""
        flat = maps.reshape(len(maps), -1)  # (n, H, W) -> (n, H W)
        if self.normalise:
            flat = _min_max(flat)
        cut = self._cut(flat, truth)[:, None]
        return (flat > cut if self.keep == ">" else flat >= cut).reshape(maps.shape)

    def _cut(self, flat: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Level of each map, (n,)."""
        count = flat.shape[1]
        if self.level == "median":
            return smallest(flat, count // 2 + 1)
        if self.level == "true size":
            areas = np.count_nonzero(truth, axis=(1, 2))
            pairs = zip(flat, areas, strict=True)
            return np.array([smallest(m[None], count - g + 1)[0] if g else np.inf for m, g in pairs])
        cut = np.full(len(flat), self.level, flat.dtype)
        return cut * flat.max(1) if self.of_maximum else cut


def smallest(flat: np.ndarray, k: int) -> np.ndarray:
    """The k-th smallest value of each row, counted from 1, (n,)."""
    return np.partition(flat, int(k) - 1, axis=1)[:, int(k) - 1]  # twice as fast as torch's kthvalue


def _min_max(flat: np.ndarray) -> np.ndarray:
    """Bring every row to [0, 1]; a constant row stays."""
    low, high = flat.min(1, keepdims=True), flat.max(1, keepdims=True)
    spread = high - low
    return np.where(spread > 0, (flat - low) / np.where(spread > 0, spread, 1), flat)


def resize(
    maps: torch.Tensor, size: tuple[int, int], interpolation: str = "bilinear", align_corners: bool = False
) -> torch.Tensor:
    """Interpolate maps (n, h, w) to (n, H, W); unchanged where they have that size already.

    In double precision, so that equal cells stay equal: rounding would break ties, and ties decide.
    """
    if maps.shape[1:] == tuple(size):
        return maps
    mode = "nearest-exact" if interpolation == "nearest" else interpolation
    corners = None if interpolation == "nearest" else align_corners
    large = F.interpolate(maps[:, None].double(), size=tuple(size), mode=mode, align_corners=corners)
    return large[:, 0].to(maps.dtype)


def overlap(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Intersection and union of predictions with masks or consensus maps.

    .. math:: I = \sum_p P_p g_p, \qquad U = \sum_p g_p + \sum_p P_p [g_p = 0]

    so that cIoU = I / U (Senocak et al. 2018, *Learning to Localize Sound Source in Visual Scenes*); with a
    mask of 0 and 1 this is the usual intersection over union.

    Parameters
    ----------
    prediction : (n, H, W) bool
    truth : (n, H, W) bool, or float in [0, 1], how many annotators agree on a pixel

    Returns
    -------
    two (n,) float64, in pixels
    """
    if truth.dtype == bool:
        inside = np.count_nonzero(prediction & truth, axis=(1, 2)).astype(float)
        area = np.count_nonzero(truth, axis=(1, 2))
    else:
        inside = (prediction * truth).sum((1, 2), dtype=float)
        area = truth.sum((1, 2), dtype=float)
    outside = np.count_nonzero(prediction & (truth == 0), axis=(1, 2))
    return inside, area + outside


def consensus(annotations, enough: int = 2) -> np.ndarray:
    r"""Merge several annotators' masks into one map of agreement, as Flickr-SoundNet does it.

    .. math:: g_p = \min(1, \tfrac{1}{e} \sum_a m_{ap})

    with e = `enough`: a pixel that two annotators marked counts fully, one that a single one marked half.

    Parameters
    ----------
    annotations : (..., A, H, W) bool, one mask per annotator
    enough : int, how many make full agreement

    Returns
    -------
    (..., H, W) float32 in [0, 1]

    Notebook: 03
    """
    annotations = np.asarray(annotations)
    if annotations.dtype != bool or annotations.ndim < 3:
        raise ValueError(
            f"annotations must be bool (..., A, H, W), got {annotations.dtype} {annotations.shape}."
        )
    return np.minimum(annotations.sum(-3) / enough, 1).astype(np.float32)


def blocks(maps, masks, size: tuple[int, int] | None) -> Iterator[tuple[slice, torch.Tensor, np.ndarray]]:
    """Go through maps (N, h, w) and masks (N, H, W) block by block.

    Yields
    ------
    slice, maps (n, h, w) float32, masks (n, *size) by nearest pixel
    """
    height, width = masks.shape[1:] if size is None else size
    step = max(1, PIXELS // max(height * width, maps.shape[1] * maps.shape[2]))
    for start in range(0, len(masks), step):
        part = slice(start, min(start + step, len(masks)))
        yield part, _read_maps(maps, part), _read_masks(masks, part, (height, width))


def _read_maps(maps, part: slice) -> torch.Tensor:
    block = maps[part]
    # a copy, because torch takes no read-only and no backward array
    block = block.detach().cpu() if isinstance(block, torch.Tensor) else torch.from_numpy(np.array(block))
    if not block.is_floating_point():
        raise ValueError(f"maps must be floats, got {block.dtype}; convert them with .float().")
    finite = block.isfinite().flatten(1).all(1)
    if not finite.all():
        bad = part.start + int((~finite).nonzero()[0])
        raise ValueError(f"map {bad} holds NaN or infinity; look at the network that made it.")
    return block.float()


def _read_masks(masks, part: slice, size: tuple[int, int]) -> np.ndarray:
    block = masks[part]
    if block.shape[1:] == size:
        return block
    return resize(torch.as_tensor(block).float(), size, "nearest").numpy().astype(block.dtype)
