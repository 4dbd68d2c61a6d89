"""Frames and flow as tensors: one change for a whole video, and flow that knows its direction."""

import cv2
import numpy as np
import pytest
import torch
from feature_fakes import draws

from llinet_lite.data.flow import optical_flow, quantise
from llinet_lite.features import (
    ImageAugment,
    augment_frames,
    flip_flow,
    to_flow,
    to_frames,
    to_image,
)


def moving_square(step: tuple[int, int], count: int = 3, size: int = 64) -> np.ndarray:
    """Frames (count, size, size, 3) of a textured square that moves by `step` (right, down) per frame."""
    rng = np.random.default_rng(3)
    back, square = (
        cv2.GaussianBlur(rng.integers(0, 256, (side, side, 3), np.uint8), (0, 0), 1.5) for side in (size, 24)
    )
    frames = np.stack([back] * count)
    for k, frame in enumerate(frames):
        left, top = 18 + k * step[0], 20 + k * step[1]
        frame[top : top + 24, left : left + 24] = square
    return frames


def test_to_frames():
    pixels = torch.randint(0, 256, (2, 5, 4, 6, 3), dtype=torch.uint8)
    frames = to_frames(pixels)
    assert frames.shape == (2, 3, 5, 4, 6) and frames.dtype == torch.float32
    assert frames.is_contiguous(memory_format=torch.channels_last_3d)
    for t in range(5):
        assert torch.equal(frames[:, :, t], to_image(pixels[:, t]))
    for wrong in (pixels[:, 0], pixels.float(), pixels.transpose(1, 4)):
        with pytest.raises(TypeError, match=r"\(B, T, H, W, 3\) uint8 frames, got"):
            to_frames(wrong)


def test_to_flow():
    fields = torch.tensor([-128, -127, 0, 64, 127], dtype=torch.int8).expand(1, 2, 3, 5)
    expected = torch.tensor([-1, -1, 0, 64 / 127, 1]).expand(1, 2, 3, 5)
    torch.testing.assert_close(to_flow(fields), expected)
    for wrong in (fields[:, :1], fields.float(), fields[0]):
        with pytest.raises(TypeError, match=r"\(B, 2 n, H, W\) int8 fields, got"):
            to_flow(wrong)


def test_every_frame_is_changed_like_a_picture_with_the_draws_of_its_video():
    frames = to_frames(torch.randint(0, 256, (6, 4, 5, 7, 3), dtype=torch.uint8))
    table = torch.rand(6, 8, generator=torch.Generator().manual_seed(1))
    augment = ImageAugment()
    changed = augment_frames(augment, frames, table)
    assert changed.shape == frames.shape and not torch.equal(changed, frames)
    for t in range(4):
        torch.testing.assert_close(changed[:, :, t], augment(frames[:, :, t], table))
    flips = augment_frames(augment, frames, draws(6, FLIP=[0.0, 0.9, 0.0, 0.9, 0.9, 0.9]))
    torch.testing.assert_close(flips[[0, 2]], frames[[0, 2]].flip(-1))
    torch.testing.assert_close(flips[[1, 3]], frames[[1, 3]])


def test_flipping_mirrors_the_fields_and_turns_u_round():
    flow = torch.rand(2, 6, 3, 5) - 0.5
    flipped = flip_flow(flow, draws(2, FLIP=[0.0, 0.9]))
    assert torch.equal(flipped[1], flow[1])
    assert torch.equal(flipped[0, 0::2], -flow[0, 0::2].flip(-1))
    assert torch.equal(flipped[0, 1::2], flow[0, 1::2].flip(-1))
    twice = flip_flow(flip_flow(flow, draws(2, FLIP=0.1)), draws(2, FLIP=0.1))
    assert torch.equal(twice, flow)


@pytest.mark.parametrize("step", [(2, 0), (-2, 1), (1, -2)])
def test_flow_of_a_mirrored_video_is_the_mirrored_flow(step):
    """Mirroring and estimating change places, for frames and flow that are mirrored by the same draws."""
    frames = moving_square(step)
    flow = optical_flow(frames)  # (2, 2, 64, 64)
    for field, k in zip(flow, range(2), strict=True):
        inside = field[:, 24 + k * step[1] : 40 + k * step[1], 22 + k * step[0] : 38 + k * step[0]]
        np.testing.assert_allclose(np.median(inside, axis=(1, 2)), step, atol=0.2)
    table = draws(1, FLIP=0.0)
    mirrored = augment_frames(ImageAugment(), to_frames(torch.from_numpy(frames)[None]), table)
    mirrored = (255 * mirrored[0]).round().to(torch.uint8).permute(1, 2, 3, 0).numpy()  # (T, H, W, 3)
    np.testing.assert_array_equal(mirrored, frames[:, :, ::-1])
    again = to_flow(torch.from_numpy(quantise(optical_flow(mirrored), 8.0)).flatten(0, 1)[None])
    turned = flip_flow(to_flow(torch.from_numpy(quantise(flow, 8.0)).flatten(0, 1)[None]), table)
    torch.testing.assert_close(again, turned, rtol=0, atol=2.5 / 127)
    assert (again - to_flow(torch.from_numpy(quantise(flow, 8.0)).flatten(0, 1)[None])).abs().max() > 0.1
