"""From waveform, image and motion to what the networks take, in batches, on the device.

Everything here is a function of its arguments. Augmentation takes its randomness from `draws`, uniform
numbers in [0, 1) that the batch carries, so a training step is a function of (seed, epoch, index).
Notebook: 01 (log-spectrogram, augmentation), 02 (frames, optical flow), 04 (log-mel, VGGish's examples).
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Draw(IntEnum):
    """Which column of `draws` (B, 8) decides what; the same column never decides two things."""

    FLIP = 0
    BRIGHTNESS = 1
    SATURATION = 2
    ORDER = 3
    GAIN = 4


def _column(draws: Tensor, column: Draw, like: Tensor) -> Tensor:
    """One column of `draws` (B, 8) on the device of `like`, with as many axes: (B, 1, ...)."""
    if draws.ndim != 2 or draws.shape[0] != like.shape[0] or draws.shape[1] <= column:
        raise ValueError(
            f"draws must be ({like.shape[0]}, 8) uniform numbers, a row per sample, got {tuple(draws.shape)}."
        )
    return draws[:, column].to(like.device, like.dtype).reshape(-1, *[1] * (like.ndim - 1))


# ---- image


def to_image(images: Tensor) -> Tensor:
    """Pixels of photographs (B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [0, 1], channels_last."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        found = f"{tuple(images.shape)} {images.dtype}"
        raise TypeError(f"to_image takes (B, H, W, 3) uint8 images, got {found}; reorder or convert them.")
    return images.permute(0, 3, 1, 2).to(torch.float32) / 255.0  # (B, H, W, 3) -> (B, 3, H, W)


def standardize(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Subtract the mean of every color of (B, 3, H, W) and divide by its deviation, as torchvision does.

    The numbers are sent to a GPU once, not in every step, which would make the CPU wait for it.
    """
    middle, spread = (_colors(tuple(values), image.device, image.dtype) for values in (mean, std))
    return (image - middle) / spread


@cache
def _colors(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Three numbers as (3, 1, 1)."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device).reshape(3, 1, 1)


def center_crop(image: Tensor, size: int = 224) -> Tensor:
    """Cut the middle (B, 3, size, size) out of (B, 3, H, W)."""
    spare_y, spare_x = image.shape[-2] - size, image.shape[-1] - size
    if min(spare_y, spare_x) < 0:
        raise ValueError(f"A crop of {size} px does not fit into {tuple(image.shape)}.")
    top, left = spare_y // 2, spare_x // 2
    return image[..., top : top + size, left : left + size]


def flip(image: Tensor, draws: Tensor) -> Tensor:
    """Mirror half of the images (B, 3, H, W): those whose FLIP of `draws` (B, 8) is below 0.5."""
    return torch.where(_column(draws, Draw.FLIP, image) < 0.5, image.flip(-1), image)


class ImageAugment(nn.Module):
    """Flip, brightness and saturation, each decided by its column of `draws`.

    Brightness adds up to 32/255 to every color, saturation moves each pixel from or to its gray value by a
    factor from 0.5 to 1.5; which of the two comes first is drawn too. The papers name these changes without
    their strengths; these are those of the Inception networks of the same time.
    """

    def __init__(self):
        super().__init__()
        gray = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)  # ITU-R BT.601
        self.register_buffer("gray", gray, persistent=False)

    def forward(self, image: Tensor, draws: Tensor) -> Tensor:
        """Change images (B, 3, H, W) float in [0, 1] as `draws` (B, 8) say -> (B, 3, H, W) in [0, 1]."""
        image = flip(image, draws)
        step = (2 * _column(draws, Draw.BRIGHTNESS, image) - 1) * (32 / 255)
        factor = 0.5 + _column(draws, Draw.SATURATION, image)
        first = _column(draws, Draw.ORDER, image) < 0.5  # brightness first?
        image = (image + torch.where(first, step, 0.0)).clamp(0, 1)
        gray = (image * self.gray.to(image)).sum(1, keepdim=True)  # (B, 3, H, W) -> (B, 1, H, W)
        image = torch.lerp(gray, image, factor).clamp(0, 1)
        return (image + torch.where(first, 0.0, step)).clamp(0, 1)


# ---- motion


def to_frames(frames: Tensor) -> Tensor:
    """Pixels of short videos (B, T, H, W, 3) uint8 -> (B, 3, T, H, W) float32 in [0, 1], channels_last_3d."""
    if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[-1] != 3:
        found = f"{tuple(frames.shape)} {frames.dtype}"
        raise TypeError(f"to_frames takes (B, T, H, W, 3) uint8 frames, got {found}; convert them.")
    return frames.permute(0, 4, 1, 2, 3).to(torch.float32) / 255.0  # (B, T, H, W, 3) -> (B, 3, T, H, W)


def to_flow(flow: Tensor) -> Tensor:
    """Quantized flow (B, 2 n, H, W) int8, u (right) before v (down), 127 = 20 px of 256 -> in [-1, 1]."""
    if flow.dtype != torch.int8 or flow.ndim != 4 or flow.shape[1] % 2:
        found = f"{tuple(flow.shape)} {flow.dtype}"
        raise TypeError(f"to_flow takes (B, 2 n, H, W) int8 fields, got {found}; quantize them first.")
    return flow.to(torch.float32).clamp_(min=-127) / 127.0


def augment_frames(augment: ImageAugment, frames: Tensor, draws: Tensor) -> Tensor:
    """Change short videos (B, 3, T, H, W) as images are changed, every frame of a video alike."""
    batch, _, time = frames.shape[:3]
    still = frames.transpose(1, 2).flatten(0, 1)  # (B, 3, T, H, W) -> (B T, 3, H, W)
    changed = augment(still, draws.repeat_interleave(time, 0))
    return changed.unflatten(0, (batch, time)).transpose(1, 2)  # -> (B, 3, T, H, W)


def flip_flow(flow: Tensor, draws: Tensor) -> Tensor:
    """Mirror the fields (B, 2 n, H, W) where `flip` mirrors the images; what went right then goes left."""
    place = torch.arange(flow.shape[1], device=flow.device)  # made there: sending numbers makes the CPU wait
    sign = (2 * (place % 2) - 1).to(flow.dtype)[:, None, None]  # u, v, u, v ...: (2 n, 1, 1)
    return torch.where(_column(draws, Draw.FLIP, flow) < 0.5, sign * flow.flip(-1), flow)


# ---- audio


def to_waveform(audio: Tensor) -> Tensor:
    """Samples (..., n) int16 -> float32 in [-1, 1); floating point passes as float32."""
    if audio.dtype == torch.int16:
        return audio.to(torch.float32) / 32768.0
    if audio.is_floating_point():
        return audio.to(torch.float32)
    raise TypeError(f"to_waveform takes int16 or floating-point audio, got {audio.dtype}; convert it first.")


def _check_waveform(waveform: Tensor, shortest: int, name: str) -> Tensor:
    """Refuse what is not (B, samples) floating point of at least `shortest` samples; return it as float32."""
    if waveform.ndim != 2 or not waveform.is_floating_point():
        found = f"{tuple(waveform.shape)} {waveform.dtype}"
        raise TypeError(f"{name} takes (B, samples) floating-point audio, got {found}; use to_waveform.")
    if waveform.shape[-1] < shortest:
        raise ValueError(f"{name} needs at least {shortest} samples, got {waveform.shape[-1]}.")
    return waveform.to(torch.float32)


@cache
def _window(length: int, n_fft: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Hann window of `length` samples in the middle of (n_fft,) zeros; periodic, as spectra need it."""
    with torch.inference_mode(False):
        window = torch.hann_window(length, dtype=torch.float64)
        left = (n_fft - length) // 2
        return F.pad(window, (left, n_fft - length - left)).to(device, dtype)


def _spectra(waveform: Tensor, window: int, span: int, n_fft: int, hop: int, frames: int) -> Iterator[Tensor]:
    """Spectra of a few clips at a time, (b, T, n_fft // 2 + 1), of frames of `span` samples.

    In float64 as librosa's: in float32 the quiet bins beside a pure tone are rounding noise, which the
    logarithm brings up. A few clips at a time stay in the cache, so this costs a third more, not three times.
    """
    dtype = torch.float32 if waveform.device.type == "mps" else torch.float64  # MPS has no float64
    hann = _window(window, span, waveform.device, dtype)
    few = max(1, 2 ** (18 if waveform.device.type == "cpu" else 27) // (n_fft * frames))
    for part in waveform.split(few):
        yield torch.fft.rfft(part.unfold(-1, span, hop) * hann, n_fft)  # (b, n) -> (b, T, span), a view


def _powers(waveform: Tensor, window: int, n_fft: int, hop: int, pad_mode: str) -> Iterator[Tensor]:
    """Power spectra of centered frames, a few clips at a time: (b, 1 + samples // hop, n_fft // 2 + 1)."""
    padded = F.pad(waveform, (n_fft // 2, n_fft // 2), mode=pad_mode)
    for spectrum in _spectra(padded, window, n_fft, n_fft, hop, 1 + waveform.shape[-1] // hop):
        spectrum = spectrum.to(torch.complex64)
        yield spectrum.real.square() + spectrum.imag.square()


class LogSpectrogram(nn.Module):
    r"""Short-time Fourier transform of a second of sound, on a log scale, as a gray image.

    .. math:: S(f, t) = \frac{\ln(|X(f, t)| + \epsilon) - \mu}{\sigma}

    Window 10 ms (Hann), zero-padded to the next power of two, hop 5 ms: 257 x 200 for one second at 48 kHz
    (*Objects that Sound*, Fig. 2). Frame t is centered on sample t * hop, with the sound mirrored at both
    ends; the last one, centered on the first sample after the clip, is dropped: ``librosa.stft(y, n_fft=512,
    hop_length=240, win_length=480, pad_mode="reflect")[:, :200]``.

    The papers state neither logarithm, epsilon nor normalization. Chosen here: epsilon = 1e-3, about 100 dB
    below a full-scale sine; mu = -2 and sigma = 3, which bring music to about -2 to 2.

    Parameters
    ----------
    sample_rate : int, Hz
    window_seconds, hop_seconds : float, s
    n_fft : int, transform size in samples; None: next power of two >= window (512 at 48 kHz, 256 at 16 kHz)
    frames : int, keep only this many frames (199 for the 2017 paper); None: samples // hop

    Examples
    --------
    >>> LogSpectrogram()(torch.zeros(2, 48_000)).shape
    torch.Size([2, 1, 257, 200])
    """

    def __init__(
        self,
        sample_rate: int = 48_000,
        window_seconds: float = 0.010,
        hop_seconds: float = 0.005,
        n_fft: int | None = None,
        frames: int | None = None,
    ):
        super().__init__()
        self.sample_rate, self.frames = sample_rate, frames
        self.window_length, self.hop = round(window_seconds * sample_rate), round(hop_seconds * sample_rate)
        self.n_fft = n_fft if n_fft is not None else 1 << (self.window_length - 1).bit_length()
        if self.n_fft < self.window_length:
            raise ValueError(f"n_fft {self.n_fft} is shorter than the window of {self.window_length}.")

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, samples) float in [-1, 1) -> (B, 1, n_fft // 2 + 1, frames) float32, also under autocast."""
        waveform = _check_waveform(waveform, self.n_fft // 2 + 1, "LogSpectrogram")
        available = waveform.shape[-1] // self.hop
        frames = self.frames if self.frames is not None else available
        if frames > available:
            raise ValueError(f"{waveform.shape[-1]} samples give {available} frames, not {frames}.")
        parts = []
        with torch.autocast(waveform.device.type, enabled=False):
            for power in _powers(waveform, self.window_length, self.n_fft, self.hop, "reflect"):
                magnitude = power[:, :frames].sqrt()  # (b, T, F)
                parts.append(magnitude.add_(1e-3).log_().transpose(1, 2))  # -> (b, F, T)
            return torch.cat(parts).sub_(-2.0).div_(3.0).unsqueeze(1)  # (B, F, T) -> (B, 1, F, T)


class LogMel(nn.Module):
    r"""Log-mel spectrogram as LLINet takes it: windows of 25 ms every 10 ms, 40 bands, at the native rate.

    .. math:: M(t, m) = \ln\Big(\sum_f W_{mf}\,|X(f, t)|^2 + 10^{-6}\Big)

    with W the mel filters on Slaney's scale with Slaney's area normalization, that is
    ``librosa.feature.melspectrogram(y=y, sr=sr, n_fft=int(.025 * sr), hop_length=int(.010 * sr),
    n_mels=40)``: frames centered, zeros beyond both ends, Hann window, power 2.

    Examples
    --------
    >>> LogMel(48_000)(torch.zeros(2, 48_000)).shape
    torch.Size([2, 101, 40])
    """

    def __init__(self, sample_rate: int, bands: int = 40):
        super().__init__()
        import librosa  # here, so that L3-Net starts without waiting for it

        self.sample_rate = sample_rate
        self.n_fft, self.hop = int(0.025 * sample_rate), int(0.010 * sample_rate)
        mel = librosa.filters.mel(sr=sample_rate, n_fft=self.n_fft, n_mels=bands)  # (bands, n_fft // 2 + 1)
        self.register_buffer("mel", torch.from_numpy(mel).T.contiguous(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, samples) float in [-1, 1) -> (B, 1 + samples // hop, bands) float32, also under autocast."""
        waveform = _check_waveform(waveform, 1, "LogMel")
        parts = []
        with torch.autocast(waveform.device.type, enabled=False):
            for power in _powers(waveform, self.n_fft, self.n_fft, self.hop, "constant"):
                parts.append((power @ self.mel.float()).add_(1e-6).log_())  # (b, T, F) @ (F, 40)
            return torch.cat(parts)


class AudioGain(nn.Module):
    """One gain per clip, uniform in [0.9, 1.1], as in *Look, Listen and Learn*."""

    def forward(self, waveform: Tensor, draws: Tensor) -> Tensor:
        """Scale (B, samples) float by the gains of `draws` (B, 8); the result is not clipped."""
        return waveform * (1 + 0.1 * (2 * _column(draws, Draw.GAIN, waveform) - 1))


# ---- VGGish

RATE, BANDS, FRAMES = 16_000, 64, 96  # Hz; of one example
_WINDOW, _HOP, _N_FFT = 400, 160, 512  # samples: 25 ms, 10 ms
_SHORTEST = (FRAMES - 1) * _HOP + _WINDOW  # samples under one example
EXAMPLE_SECONDS = _SHORTEST / RATE  # 0.975 s of sound, as the last window reaches beyond its hop


def _vggish_bands() -> np.ndarray:
    """Weights (257, 64) from magnitudes to bands: triangles that are straight over mel, not over Hz."""

    def mel(hertz):
        return 1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0)  # HTK's scale

    edges = np.linspace(mel(125.0), mel(7500.0), BANDS + 2)
    lower, center, upper = edges[:-2], edges[1:-1], edges[2:]
    bins = mel(np.linspace(0.0, RATE / 2, _N_FFT // 2 + 1))[:, None]  # (257,) -> (257, 1)
    rising, falling = (bins - lower) / (center - lower), (upper - bins) / (upper - center)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0  # the constant part of a sound is in no band
    return weights


# As steep as resampy's "kaiser_best": through torchaudio's usual filter a tone of 8.6 kHz comes back as 7.4.
_STEEP = {
    "resampling_method": "sinc_interp_kaiser", "lowpass_filter_width": 64, "rolloff": 0.9475937167399596,
    "beta": 14.769656459379492,
}  # fmt: skip


class VGGishExamples(nn.Module):
    r"""Log-mel examples as VGGish was trained on: 96 frames of 10 ms, 64 bands.

    .. math:: M(t, m) = \ln\Big(\sum_f W_{fm}\,|X(f, t)| + 0.01\Big)

    The sound is resampled to 16 kHz. Frame t is the periodic Hann window on samples 160 t to 160 t + 399, in
    a transform of 512: nothing is padded at the ends, and X is a magnitude, not a power. W holds 64 bands
    between 125 and 7500 Hz on HTK's mel scale, triangles that are straight over mel; librosa's are straight
    over Hz. Every 96 frames are one example, none overlap, and frames that fill no example are dropped: n
    samples at 16 kHz make P = (1 + (n - 400) // 160) // 96 of them. A sound of fewer than 15 600 samples
    (0.975 s) is continued by zeros to one example, where the published code returns none.

    Source: Hershey et al. (2017), *CNN architectures for large-scale audio classification*, section 3.1, and
    the VGGish released with AudioSet.

    Examples
    --------
    >>> VGGishExamples(16_000)(torch.zeros(2, 32_000)).shape
    torch.Size([2, 2, 96, 64])
    """

    def __init__(self, sample_rate: int):
        super().__init__()
        self.sample_rate = sample_rate
        self.register_buffer("mel", torch.from_numpy(_vggish_bands()).float(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, samples) float in [-1, 1) -> (B, P, 96, 64) float32, P at least 1, also under autocast."""
        waveform = _check_waveform(waveform, 1, "VGGishExamples")
        with torch.autocast(waveform.device.type, enabled=False):
            if self.sample_rate != RATE:
                from torchaudio.functional import resample  # here, so that others start without it

                waveform = resample(waveform, self.sample_rate, RATE, **_STEEP)
            waveform = F.pad(waveform, (0, max(0, _SHORTEST - waveform.shape[-1])))
            examples = (1 + (waveform.shape[-1] - _WINDOW) // _HOP) // FRAMES
            waveform = waveform[:, : (examples * FRAMES - 1) * _HOP + _WINDOW]
            spectra = _spectra(waveform, _WINDOW, _WINDOW, _N_FFT, _HOP, examples * FRAMES)
            parts = [(x.abs().float() @ self.mel.float()).add_(0.01).log_() for x in spectra]
        return torch.cat(parts).unflatten(1, (examples, FRAMES))  # (B, P 96, 64) -> (B, P, 96, 64)
