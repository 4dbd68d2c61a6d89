"""Features against librosa, augmentation against its definition."""

import math

import librosa
import numpy as np
import pytest
import torch

from llinet_lite.features import (
    AudioGain,
    Draw,
    ImageAugment,
    LogMel,
    LogSpectrogram,
    centre_crop,
    random_crop,
    resize_short_side,
    to_image,
    to_waveform,
)

RNG = np.random.default_rng(0)


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


def draws(n: int, **columns) -> torch.Tensor:
    table = torch.full((n, 8), 0.5)
    for name, value in columns.items():
        table[:, Draw[name]] = torch.as_tensor(value)
    return table


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
        stft = librosa.stft(
            wave.astype(np.float32), n_fft=n_fft, hop_length=hop, win_length=window, pad_mode="reflect"
        )
        want = (np.log(np.abs(stft[:, : shape[1]]) + 1e-3) + 2) / 3
        np.testing.assert_allclose(result, want, atol=1e-4, err_msg=name)


def test_log_spectrogram_sees_a_tone_in_its_bin_and_a_click_in_its_frame():
    t = torch.arange(48_000) / 48_000
    tone = LogSpectrogram()(torch.sin(2 * torch.pi * 3000 * t)[None])[0, 0]
    assert (tone[:, 5:-5].argmax(0) == 32).all()  # 3000 Hz / (48000 Hz / 512)
    click = torch.zeros(1, 48_000)
    click[0, 77 * 240] = 1
    energy = LogSpectrogram()(click)[0, 0].mean(0)
    assert energy.argmax() == 77
    silence = torch.cat([energy[:76], energy[79:]])
    torch.testing.assert_close(silence, torch.full_like(silence, (math.log(1e-3) + 2) / 3))


def test_log_spectrogram_keeps_float32_under_autocast_and_on_many_clips():
    wave = torch.rand(40, 16_000) - 0.5
    module = LogSpectrogram(16_000, hop_seconds=0.010)
    with torch.autocast("cpu", torch.bfloat16):
        inside = module(wave)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, torch.cat([module(clip[None]) for clip in wave]), rtol=0, atol=1e-6)


def test_log_spectrogram_of_the_2017_paper_and_its_refusals():
    assert LogSpectrogram(frames=199)(torch.zeros(1, 48_000)).shape == (1, 1, 257, 199)
    with pytest.raises(ValueError, match="give 100 frames of hop 240, not 200; give at least 48000 samples"):
        LogSpectrogram(frames=200)(torch.zeros(1, 24_000))
    with pytest.raises(TypeError, match="use to_waveform"):
        LogSpectrogram()(torch.zeros(1, 48_000, dtype=torch.int16))
    with pytest.raises(ValueError, match="at least 257 samples"):
        LogSpectrogram()(torch.zeros(1, 200))
    with pytest.raises(ValueError, match="shorter than the window of 480"):
        LogSpectrogram(n_fft=256)


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


def test_to_waveform_and_to_image():
    audio = to_waveform(torch.tensor([[-32768, 0, 16384, 32767]], dtype=torch.int16))
    assert audio.tolist() == [[-1.0, 0.0, 0.5, 32767 / 32768]]
    pixels = torch.randint(0, 256, (2, 4, 5, 3), dtype=torch.uint8)
    image = to_image(pixels)
    assert image.shape == (2, 3, 4, 5) and image.is_contiguous(memory_format=torch.channels_last)
    assert image[1, 2, 3, 4] == pixels[1, 3, 4, 2] / 255
    with pytest.raises(TypeError, match="int16"):
        to_waveform(torch.zeros(1, 4, dtype=torch.int32))
    with pytest.raises(TypeError, match="uint8"):
        to_image(torch.zeros(2, 3, 4, 4))


def test_augmentation_in_the_middle_of_its_ranges_changes_nothing():
    image = torch.rand(3, 3, 6, 6)
    torch.testing.assert_close(ImageAugment()(image, draws(3)), image)
    wave = torch.rand(3, 50)
    torch.testing.assert_close(AudioGain()(wave, draws(3)), wave)


def test_flip_brightness_and_saturation():
    image = 0.25 + 0.5 * torch.rand(2, 3, 6, 6)
    augment = ImageAugment()
    torch.testing.assert_close(augment(image, draws(2, FLIP=[0.0, 0.9]))[0], image[0].flip(-1))
    torch.testing.assert_close(augment(image, draws(2, FLIP=[0.0, 0.9]))[1], image[1])
    torch.testing.assert_close(augment(image, draws(2, BRIGHTNESS=[0.0, 0.75]))[0], image[0] - 32 / 255)
    torch.testing.assert_close(augment(image, draws(2, BRIGHTNESS=[0.0, 0.75]))[1], image[1] + 16 / 255)
    weights = torch.tensor([0.299, 0.587, 0.114])
    grey = (image * weights[:, None, None]).sum(1, keepdim=True)
    half = augment(image, draws(2, SATURATION=0.0))
    torch.testing.assert_close(half, (image + grey) / 2)
    more = augment(image, draws(2, SATURATION=0.75))
    torch.testing.assert_close(more, (grey + 1.25 * (image - grey)).clamp(0, 1))


def test_order_of_brightness_and_saturation_is_drawn_and_range_is_kept():
    image = torch.rand(2, 3, 4, 4)
    first = ImageAugment()(image, draws(2, BRIGHTNESS=1.0, SATURATION=1.0, ORDER=0.1))
    second = ImageAugment()(image, draws(2, BRIGHTNESS=1.0, SATURATION=1.0, ORDER=0.9))
    assert not torch.equal(first, second)
    for result in (first, second):
        assert result.min() >= 0 and result.max() <= 1
    # brightness first: one factor for colours that were clipped at 1 before the saturation
    bright = (image + 32 / 255).clamp(0, 1)
    grey = (bright * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(first, (grey + 1.5 * (bright - grey)).clamp(0, 1))


def test_gain_is_one_number_per_clip():
    wave = torch.rand(3, 40) - 0.5
    scaled = AudioGain()(wave, draws(3, GAIN=[0.0, 0.5, 1.0]))
    torch.testing.assert_close(scaled, wave * torch.tensor([[0.9], [1.0], [1.1]]))
    with pytest.raises(ValueError, match=r"draws must be \(3, 8\)"):
        AudioGain()(wave, torch.rand(2, 8))


def test_crops_take_every_place_equally():
    image = torch.arange(7 * 9).reshape(1, 1, 7, 9).expand(400, 3, 7, 9).float()
    table = torch.rand(400, 8, generator=torch.Generator().manual_seed(0))
    crop = random_crop(image, table, 4)
    assert crop.shape == (400, 3, 4, 4)
    corner = crop[:, 0, 0, 0].long()
    assert set((corner // 9).tolist()) == {0, 1, 2, 3} and set((corner % 9).tolist()) == {0, 1, 2, 3, 4, 5}
    counts = torch.bincount(corner % 9, minlength=6)
    assert counts.min() > 400 / 6 - 4 * (400 / 6) ** 0.5
    for sample, start in zip(crop[:20], corner[:20].tolist(), strict=True):
        top, left = divmod(start, 9)
        assert torch.equal(sample, image[0, :, top : top + 4, left : left + 4])
    edge = draws(1, CROP_Y=1 - 1e-9, CROP_X=1 - 1e-9)
    assert torch.equal(random_crop(image[:1], edge, 4), image[:1, :, 3:, 5:])
    assert torch.equal(centre_crop(image[:1], 3), image[:1, :, 2:5, 3:6])
    with pytest.raises(ValueError, match="does not fit into a picture of 7 x 9"):
        random_crop(image, table, 8)


@pytest.mark.parametrize(("shape", "want"), [((300, 512), (256, 437)), ((512, 300), (437, 256))])
def test_resize_short_side(shape, want):
    assert resize_short_side(torch.rand(1, 3, *shape), 256).shape == (1, 3, *want)
    same = torch.rand(1, 3, 256, 300)
    assert resize_short_side(same, 256) is same
