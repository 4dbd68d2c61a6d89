"""Features against librosa, torchvision, published facts written out in float64, and their definitions."""

import math

import librosa
import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import normalize

from llinet_lite.features import (
    EXAMPLE_SECONDS,
    AudioGain,
    Draw,
    ImageAugment,
    LogMel,
    LogSpectrogram,
    VGGishExamples,
    augment_frames,
    center_crop,
    flip_flow,
    standardize,
    to_flow,
    to_frames,
    to_image,
    to_waveform,
)

RNG = np.random.default_rng(0)
GRAY = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


def draws(n: int, **columns) -> torch.Tensor:
    """All draws 0.5 but the columns named."""
    table = torch.full((n, 8), 0.5)
    for name, value in columns.items():
        table[:, Draw[name]] = torch.as_tensor(value)
    return table


# ---- image and motion


def test_to_image_and_frames():
    pixels = torch.randint(0, 256, (2, 5, 4, 6, 3), dtype=torch.uint8)
    frames = to_frames(pixels)
    assert frames.shape == (2, 3, 5, 4, 6) and frames.dtype == torch.float32
    assert frames.is_contiguous(memory_format=torch.channels_last_3d)
    image = to_image(pixels[:, 1].contiguous())
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(frames[:, :, 1], image) and image[1, 2, 3, 4] == pixels[1, 1, 3, 4, 2] / 255


def test_colors_are_standardized_as_by_torchvision():
    for image in (torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 4, dtype=torch.float64)):
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        assert torch.equal(standardize(image, mean, std), normalize(image, mean, std))


def test_flip_brightness_and_saturation():
    image = 0.25 + 0.5 * torch.rand(2, 3, 6, 6)
    augment = ImageAugment()
    flipped = augment(image, draws(2, FLIP=[0.0, 0.9]))
    torch.testing.assert_close(flipped, torch.stack([image[0].flip(-1), image[1]]))
    brighter = augment(image, draws(2, BRIGHTNESS=[0.0, 0.75]))
    torch.testing.assert_close(brighter, torch.stack([image[0] - 32 / 255, image[1] + 16 / 255]))
    gray = (image * GRAY).sum(1, keepdim=True)
    half = augment(image, draws(2, SATURATION=0.0))
    torch.testing.assert_close(half, (image + gray) / 2)
    more = augment(image, draws(2, SATURATION=0.75))
    torch.testing.assert_close(more, (gray + 1.25 * (image - gray)).clamp(0, 1))


def test_order_of_brightness_and_saturation_is_drawn_and_range_is_kept():
    image = torch.rand(2, 3, 4, 4)
    first = ImageAugment()(image, draws(2, BRIGHTNESS=1.0, SATURATION=1.0, ORDER=0.1))
    second = ImageAugment()(image, draws(2, BRIGHTNESS=1.0, SATURATION=1.0, ORDER=0.9))
    assert not torch.equal(first, second)
    for result in (first, second):
        assert result.min() >= 0 and result.max() <= 1
    # brightness first: one factor for colours that were clipped at 1 before the saturation
    bright = (image + 32 / 255).clamp(0, 1)
    gray = (bright * GRAY).sum(1, keepdim=True)
    torch.testing.assert_close(first, (gray + 1.5 * (bright - gray)).clamp(0, 1))


def test_to_flow():
    fields = torch.tensor([-128, -127, 0, 64, 127], dtype=torch.int8).expand(1, 2, 3, 5)
    expected = torch.tensor([-1, -1, 0, 64 / 127, 1]).expand(1, 2, 3, 5)
    torch.testing.assert_close(to_flow(fields), expected)


def test_every_frame_is_changed_like_an_image_with_the_draws_of_its_video():
    frames = to_frames(torch.randint(0, 256, (6, 4, 5, 7, 3), dtype=torch.uint8))
    table = torch.rand(6, 8, generator=torch.Generator().manual_seed(1))
    augment = ImageAugment()
    changed = augment_frames(augment, frames, table)
    assert changed.shape == frames.shape and not torch.equal(changed, frames)
    for t in range(4):
        torch.testing.assert_close(changed[:, :, t], augment(frames[:, :, t], table))


def test_flipping_mirrors_the_fields_and_turns_u_round():
    flow = torch.rand(2, 6, 3, 5) - 0.5
    flipped = flip_flow(flow, draws(2, FLIP=[0.0, 0.9]))
    assert torch.equal(flipped[1], flow[1])
    assert torch.equal(flipped[0, 0::2], -flow[0, 0::2].flip(-1))
    assert torch.equal(flipped[0, 1::2], flow[0, 1::2].flip(-1))


# ---- audio


def sounds(rate: int, n: int) -> dict:
    t = np.arange(n) / rate
    sine = np.sin(2 * np.pi * 440 * t)
    return {
        "noise": np.clip(0.2 * RNG.standard_normal(n), -1, 1),
        "full-scale tone": sine,
        "quiet 16-bit tone": np.round(200 * sine) / 32768,
        "decay": np.exp(-20 * t) * np.sin(2 * np.pi * 1234.5 * t),
        "silence": np.zeros(n),
    }


@pytest.mark.parametrize(
    ("rate", "hop_seconds", "n_fft", "shape"),
    [(48_000, 0.005, 512, (257, 200)), (16_000, 0.010, 256, (129, 100)), (44_100, 0.005, 512, (257, 200))],
)
def test_log_spectrogram_is_librosas(rate, hop_seconds, n_fft, shape):
    module = LogSpectrogram(rate, hop_seconds=hop_seconds)
    waves = sounds(rate, rate)
    got = module(torch.tensor(np.stack(list(waves.values())), dtype=torch.float32))
    assert got.shape == (len(waves), 1, *shape) and got.dtype == torch.float32
    hop, window = round(hop_seconds * rate), round(0.010 * rate)
    for result, (name, wave) in zip(got[:, 0].numpy(), waves.items(), strict=True):
        sizes = {"n_fft": n_fft, "hop_length": hop, "win_length": window}
        stft = librosa.stft(wave.astype(np.float32), pad_mode="reflect", **sizes)
        want = (np.log(np.abs(stft[:, : shape[1]]) + 1e-3) + 2) / 3
        np.testing.assert_allclose(result, want, atol=1e-4, err_msg=name)


def test_log_spectrogram_keeps_float32_under_autocast_and_on_many_clips():
    wave = torch.rand(40, 16_000) - 0.5
    assert LogSpectrogram(frames=199)(torch.zeros(1, 48_000)).shape == (1, 1, 257, 199)  # the 2017 paper
    module = LogSpectrogram(16_000, hop_seconds=0.010)
    with torch.autocast("cpu", torch.bfloat16):
        inside = module(wave)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, torch.cat([module(clip[None]) for clip in wave]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
def test_log_mel_is_librosas(rate):
    waves = sounds(rate, rate + 123)
    got = LogMel(rate)(torch.tensor(np.stack(list(waves.values())), dtype=torch.float32))
    hop = int(0.010 * rate)
    assert got.shape == (len(waves), 1 + (rate + 123) // hop, 40)
    for result, (name, wave) in zip(got.numpy(), waves.items(), strict=True):
        power = librosa.feature.melspectrogram(
            y=wave.astype(np.float32), sr=rate, n_fft=int(0.025 * rate), hop_length=hop, n_mels=40
        )
        np.testing.assert_allclose(result, np.log(power + 1e-6).T, atol=1e-4, err_msg=name)


def test_waveform_and_gain():
    audio = to_waveform(torch.tensor([[-32768, 0, 16384, 32767]], dtype=torch.int16))
    assert audio.tolist() == [[-1.0, 0.0, 0.5, 32767 / 32768]]
    wave = torch.rand(3, 40) - 0.5
    scaled = AudioGain()(wave, draws(3, GAIN=[0.0, 0.5, 1.0]))
    torch.testing.assert_close(scaled, wave * torch.tensor([[0.9], [1.0], [1.1]]))


# ---- VGGish

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


def vggish_sounds(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    t = np.arange(n) / 16_000
    tone = np.sin(2 * np.pi * 440 * t)
    sweep = 0.5 * np.sin(2 * np.pi * (50 + 1800 * t) * t)
    return np.stack([tone, sweep + 0.1, np.clip(0.2 * rng.standard_normal(n), -1, 1), np.zeros(n)])


@pytest.mark.parametrize(("n", "examples"), [(ONE, 1), (2 * 96 * 160 + 239, 1), (2 * 96 * 160 + 240, 2)])
def test_the_examples_written_out(n, examples):
    waves = torch.tensor(vggish_sounds(n), dtype=torch.float32)
    got = VGGishExamples(16_000)(waves)
    assert got.shape == (4, examples, 96, 64) and got.dtype == torch.float32
    want = np.stack([written_out(wave) for wave in waves.double().numpy()])
    np.testing.assert_allclose(got.numpy(), want, atol=2e-5)
    torch.testing.assert_close(got[3], torch.full_like(got[3], math.log(0.01)))


@pytest.mark.parametrize("n", [1, 399, 400, ONE - 1])
def test_what_fills_no_example_is_continued_by_zeros(n):
    waves = vggish_sounds(n)
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


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_what_lies_above_half_of_the_new_rate_is_gone(rate):
    t = np.arange(2 * rate) / rate
    tone = torch.from_numpy(np.sin(2 * np.pi * 8600 * t).astype(np.float32))[None]
    assert VGGishExamples(rate)(tone)[0, 0, 10:].max() < math.log(0.01) + 0.3  # the floor; aliased it was 2.5


@pytest.mark.parametrize(("call", "error", "says"), [
    (lambda: to_image(torch.zeros(2, 3, 4, 4)), TypeError, "uint8 images, got"),
    (lambda: to_waveform(torch.zeros(1, 4, dtype=torch.int32)), TypeError, "int16"),
    (lambda: center_crop(torch.zeros(1, 3, 7, 9), 8), ValueError, "crop of 8 px does not fit"),
    (lambda: LogSpectrogram(frames=200)(torch.zeros(1, 24_000)), ValueError, "100 frames, not 200"),
    (lambda: LogSpectrogram()(torch.zeros(1, 200)), ValueError, "at least 257 samples"),
    (lambda: LogSpectrogram(n_fft=256), ValueError, "shorter than the window of 480"),
    (lambda: VGGishExamples(16_000)(torch.zeros(2, 0)), ValueError, "at least 1 samples, got 0"),
])  # fmt: skip
def test_refusals(call, error, says):
    with pytest.raises(error, match=says):
        call()
