"""The front end of VGGish against its published facts, written out with loops in float64."""

import math

import numpy as np
import pytest
import torch

from llinet_lite.features import VGGishExamples
from llinet_lite.features.vggish import EXAMPLE_SECONDS

ONE = 95 * 160 + 400  # samples under 96 windows of 400, one every 160
WINDOW = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)  # periodic Hann
DFT = np.exp(-2j * np.pi * np.outer(np.arange(400), np.arange(257)) / 512)  # of 400 samples and 112 zeros


def mel(hertz: float) -> float:
    return 1127 * math.log(1 + hertz / 700)


def bands() -> np.ndarray:
    """Triangles over mel, one weight at a time: (257, 64)."""
    low, high = mel(125), mel(7500)
    weights = np.zeros((257, 64))
    for band in range(64):
        left, middle, right = (low + (high - low) * (band + k) / 65 for k in range(3))
        for k in range(1, 257):
            here = mel(k * 8000 / 256)
            if left < here <= middle:
                weights[k, band] = (here - left) / (middle - left)
            elif middle < here < right:
                weights[k, band] = (right - here) / (right - middle)
    return weights


def written_out(wave: np.ndarray) -> np.ndarray:
    """(n,) at 16 kHz -> (P, 96, 64)."""
    weights, frames, start = bands(), [], 0
    while start + 400 <= len(wave):
        magnitude = np.abs((wave[start : start + 400] * WINDOW) @ DFT)
        frames.append(np.log(magnitude @ weights + 0.01))
        start += 160
    examples = [frames[k : k + 96] for k in range(0, len(frames) - 95, 96)]
    return np.array(examples)


def sounds(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    t = np.arange(n) / 16_000
    tone = np.sin(2 * np.pi * 440 * t)
    sweep = 0.5 * np.sin(2 * np.pi * (50 + 1800 * t) * t)
    return np.stack([tone, sweep + 0.1, np.clip(0.2 * rng.standard_normal(n), -1, 1), np.zeros(n)])


@pytest.mark.parametrize(("n", "examples"), [(ONE, 1), (2 * 96 * 160 + 239, 1), (2 * 96 * 160 + 240, 2)])
def test_the_examples_written_out(n, examples):
    waves = torch.tensor(sounds(n), dtype=torch.float32)
    got = VGGishExamples(16_000)(waves)
    assert got.shape == (4, examples, 96, 64) and got.dtype == torch.float32
    want = np.stack([written_out(wave) for wave in waves.double().numpy()])
    np.testing.assert_allclose(got.numpy(), want, atol=2e-5)
    torch.testing.assert_close(got[3], torch.full_like(got[3], math.log(0.01)))


def test_examples_follow_one_another_and_the_rest_is_dropped():
    waves = torch.tensor(sounds(50_000), dtype=torch.float32)
    got, module = VGGishExamples(16_000)(waves), VGGishExamples(16_000)
    assert got.shape[1] == 3
    for k in range(3):
        part = waves[:, k * 96 * 160 :][:, :ONE]
        torch.testing.assert_close(got[:, k : k + 1], module(part))


@pytest.mark.parametrize("n", [1, 399, 400, ONE - 1])
def test_what_fills_no_example_is_continued_by_zeros(n):
    waves = sounds(n)
    got = VGGishExamples(16_000)(torch.tensor(waves, dtype=torch.float32))
    assert got.shape == (4, 1, 96, 64)
    padded = np.zeros(ONE)
    padded[:n] = waves[1].astype(np.float32)
    np.testing.assert_allclose(got[1].numpy(), written_out(padded), atol=2e-5)


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000])
def test_another_rate_is_resampled(rate):
    module = VGGishExamples(rate)
    assert module(torch.zeros(1, round(EXAMPLE_SECONDS * rate))).shape == (1, 1, 96, 64)

    def chord(at):
        t = np.arange(3 * at) / at
        return sum(0.2 * np.sin(2 * np.pi * hertz * t) for hertz in (200, 660, 1500, 2400)).astype(np.float32)

    got = module(torch.from_numpy(chord(rate))[None])[0]
    want = written_out(chord(16_000).astype(np.float64))
    assert got.shape == want.shape == (3, 96, 64)
    loud = want > math.log(1.0)  # the bands of the four tones, which lie below half of every rate
    loud[0, :3] = False  # where the filter of the resampling meets the start
    assert loud.sum() > 500
    np.testing.assert_allclose(got.numpy()[loud], want[loud], atol=0.03)


def test_a_clip_is_the_same_alone_and_among_many_and_under_autocast():
    waves = torch.rand(13, ONE, generator=torch.Generator().manual_seed(0)) - 0.5
    module = VGGishExamples(16_000)
    together = module(waves)
    torch.testing.assert_close(together, torch.cat([module(wave[None]) for wave in waves]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(module(waves), together, rtol=0, atol=0)
    assert not module.state_dict(), "a network that holds it can be saved without it"


def test_what_is_no_sound_is_refused():
    module = VGGishExamples(16_000)
    with pytest.raises(TypeError, match=r"VGGishExamples takes .* got \(2, 9\) torch.int16; use to_waveform"):
        module(torch.zeros(2, 9, dtype=torch.int16))
    with pytest.raises(TypeError, match=r"takes \(B, samples\)"):
        module(torch.zeros(ONE))
    with pytest.raises(ValueError, match="needs at least 1 samples, got 0; give more sound"):
        module(torch.zeros(2, 0))
    with pytest.raises(ValueError, match="0 Hz is none"):
        VGGishExamples(0)
