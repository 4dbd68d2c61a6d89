"""The pointing test: does the brightest cell of the map lie on the object?

Notebook: 03
"""

from __future__ import annotations

import torch

__all__ = ["on_mask", "points"]


def points(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    r"""Pixel that each map points at: the centre of its largest cell.

    .. math:: x = (j + \tfrac12)\, W / w, \qquad y = (i + \tfrac12)\, H / h

    for the cell in row i and column j of an h x w map over an H x W image; with 14 x 14 cells and 224 pixels,
    x = 16 (j + .5). Of equal cells the first in reading order counts.

    Parameters
    ----------
    maps : Tensor (n, h, w)
    size : (H, W)

    Returns
    -------
    Tensor (n, 2) int64, row and column of the pixel

    Notebook: 03
    """
    height, width = maps.shape[1:]
    cell = maps.flatten(1).argmax(1)  # (n, h, w) -> (n, h w) -> (n,)
    row, column = cell // width, cell % width
    y = (2 * row + 1) * size[0] // (2 * height)  # floor of the centre, in whole numbers
    x = (2 * column + 1) * size[1] // (2 * width)
    return torch.stack([y, x], dim=1)


def on_mask(pixels: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Whether pixels (n, 2) lie on their masks (n, H, W) bool, (n,) bool."""
    return masks[torch.arange(len(masks)), pixels[:, 0], pixels[:, 1]]
