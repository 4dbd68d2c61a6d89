"""What the order of a map's pixels is worth, at every threshold at once.

Notebook: 03
"""

from __future__ import annotations

import numpy as np

__all__ = ["rank"]


def rank(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Pixel average precision and best IoU of every image.

    The pixels are ordered by value. At a threshold t, P_t of the image is predicted, T_t of that inside the
    mask of G pixels:

    .. math:: AP = \sum_t \frac{T_t - T_{t-1}}{G} \frac{T_t}{P_t}, \qquad
        \mathrm{IoU}_\text{max} = \max_t \frac{T_t}{G + P_t - T_t}

    over all different values t, falling; pixels of equal value enter together.

    Parameters
    ----------
    maps : (n, H, W) float32
    masks : (n, H, W) bool

    Returns
    -------
    two (n,) float64; 0 where the mask is empty

    Notebook: 03
    """
    keys = _falling(maps, masks)  # (n, H W)
    inside = (keys & 1) ^ 1
    hits = np.cumsum(inside, axis=1)
    shown = np.arange(1, keys.shape[1] + 1)
    ends = np.ones(keys.shape, bool)  # last pixel of each group of equal values
    ends[:, :-1] = keys[:, 1:] >> 1 != keys[:, :-1] >> 1
    area = hits[:, -1:]
    best = np.where(ends, hits / (area + shown - hits), 0).max(1)
    precisions = [
        (np.diff(h[e], prepend=0) * (h[e] / shown[e])).sum() for h, e in zip(hits, ends, strict=True)
    ]
    return np.array(precisions) / np.maximum(area[:, 0], 1), best


def _falling(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Sort values, largest first, each with its mask bit (0 inside) below it, (n, H W) int64.

    The bits of a float32 read as an integer keep its order, except that negative numbers run backwards. One
    sort of integers is several times faster than ordering the pixels and looking the mask up.
    """
    flat = np.ascontiguousarray(maps, np.float32).reshape(len(maps), -1) + np.float32(0)  # no -0
    bits = flat.view(np.int32)
    order = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    keys = (-order << 1) | ~masks.reshape(len(masks), -1)
    keys.sort(axis=1)
    return keys
