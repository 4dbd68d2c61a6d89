"""The uniform numbers that a batch carries: which one decides what.

Notebook: 01
"""

from enum import IntEnum

from torch import Tensor


class Draw(IntEnum):
    """Which column of `draws` (B, 8) decides what; the same column never decides two things."""

    FLIP = 0
    BRIGHTNESS = 1
    SATURATION = 2
    ORDER = 3
    GAIN = 4
    CROP_Y = 5
    CROP_X = 6
    FREE = 7


def column_of(draws: Tensor, column: Draw, like: Tensor, *, ndim: int) -> Tensor:
    """One column of `draws` (B, 8) on the device of `like`, shaped (B, 1, ...) with `ndim` axes."""
    if draws.ndim != 2 or draws.shape[0] != like.shape[0] or draws.shape[1] <= column:
        raise ValueError(
            f"draws must be ({like.shape[0]}, 8) uniform numbers, a row per sample, got {tuple(draws.shape)}."
        )
    return draws[:, column].to(like.device, like.dtype).reshape(-1, *[1] * (ndim - 1))
