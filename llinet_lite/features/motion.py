"""From 25 frames, or ten fields of optical flow, to tensors, in batches, on the device.

Notebook: 02
"""

import torch
from torch import Tensor

from llinet_lite.features.draws import Draw, column_of
from llinet_lite.features.image import ImageAugment


def to_frames(frames: Tensor) -> Tensor:
    """Pixels of short videos to numbers in [0, 1], colours first.

    Parameters
    ----------
    frames : Tensor (B, T, H, W, 3) uint8

    Returns
    -------
    Tensor (B, 3, T, H, W) float32 in [0, 1]; the memory order stays that of the input, channels_last_3d

    Raises
    ------
    TypeError
        If shape or type are others.

    Notebook: 02
    """
    if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[-1] != 3:
        found = f"{tuple(frames.shape)} {frames.dtype}"
        raise TypeError(f"to_frames takes (B, T, H, W, 3) uint8 frames, got {found}; convert them.")
    return frames.permute(0, 4, 1, 2, 3).to(torch.float32) / 255.0  # (B, T, H, W, 3) -> (B, 3, T, H, W)


def to_flow(flow: Tensor) -> Tensor:
    """Quantised optical flow to numbers in [-1, 1].

    Parameters
    ----------
    flow : Tensor (B, 2 n, H, W) int8
        n fields, u (to the right) before v (down); 127 is the largest flow that is kept
        (:attr:`llinet_lite.data.motion.Motion.limit`: 20 pixels per frame in pictures of 256 pixels).

    Returns
    -------
    Tensor (B, 2 n, H, W) float32 in [-1, 1], in units of that largest flow

    Raises
    ------
    TypeError
        If shape or type are others.

    Notebook: 02
    """
    if flow.dtype != torch.int8 or flow.ndim != 4 or flow.shape[1] % 2:
        found = f"{tuple(flow.shape)} {flow.dtype}"
        raise TypeError(f"to_flow takes (B, 2 n, H, W) int8 fields, got {found}; quantise them first.")
    return flow.to(torch.float32).clamp_(min=-127) / 127.0


def augment_frames(augment: ImageAugment, frames: Tensor, draws: Tensor) -> Tensor:
    """Change short videos as pictures are changed, every frame of a video alike.

    Parameters
    ----------
    augment : ImageAugment
    frames : Tensor (B, 3, T, H, W) float in [0, 1]
    draws : Tensor (B, 8) uniform in [0, 1)

    Returns
    -------
    Tensor (B, 3, T, H, W) in [0, 1]

    Notebook: 02
    """
    batch, _, time = frames.shape[:3]
    still = frames.transpose(1, 2).flatten(0, 1)  # (B, 3, T, H, W) -> (B T, 3, H, W)
    changed = augment(still, draws.repeat_interleave(time, 0))
    return changed.unflatten(0, (batch, time)).transpose(1, 2)  # -> (B, 3, T, H, W)


def flip_flow(flow: Tensor, draws: Tensor) -> Tensor:
    """Mirror those fields whose pictures :class:`ImageAugment` mirrors; what went right then goes left.

    Parameters
    ----------
    flow : Tensor (B, 2 n, H, W) float, u before v
    draws : Tensor (B, 8) uniform in [0, 1)

    Returns
    -------
    Tensor (B, 2 n, H, W)

    Notebook: 02
    """
    place = torch.arange(flow.shape[1], device=flow.device)  # made there: sending numbers makes the CPU wait
    sign = (2 * (place % 2) - 1).to(flow.dtype)[:, None, None]  # u, v, u, v ...: (2 n, 1, 1)
    return torch.where(column_of(draws, Draw.FLIP, flow, ndim=4) < 0.5, sign * flow.flip(-1), flow)
