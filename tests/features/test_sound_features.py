"""Sound features against librosa, gain against its definition."""

import math

import librosa
import numpy as np
import pytest
import torch
from feature_fakes import draws

from llinet_lite.features import AudioGain, LogMel, LogSpectrogram, to_waveform

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


def test_to_waveform():
    audio = to_waveform(torch.tensor([[-32768, 0, 16384, 32767]], dtype=torch.int16))
    assert audio.tolist() == [[-1.0, 0.0, 0.5, 32767 / 32768]]
    with pytest.raises(TypeError, match="int16"):
        to_waveform(torch.zeros(1, 4, dtype=torch.int32))


def test_gain_is_one_number_per_clip():
    wave = torch.rand(3, 40) - 0.5
    torch.testing.assert_close(AudioGain()(wave, draws(3)), wave)
    scaled = AudioGain()(wave, draws(3, GAIN=[0.0, 0.5, 1.0]))
    torch.testing.assert_close(scaled, wave * torch.tensor([[0.9], [1.0], [1.1]]))
    with pytest.raises(ValueError, match=r"draws must be \(3, 8\)"):
        AudioGain()(wave, torch.rand(2, 8))
