"""From waveform and picture to what the networks see, in batches, on the device.

Everything here is a function of its arguments: augmentation takes its randomness from `draws`, uniform
numbers in [0, 1) that the batch carries, so a training step is a function of (seed, epoch, index) and can be
repeated exactly.

Notebook: 01 (log-spectrogram, augmentation), 04 (log-mel).
"""

from collections.abc import Iterator
from enum import IntEnum
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "AudioGain",
    "Draw",
    "ImageAugment",
    "LogMel",
    "LogSpectrogram",
    "centre_crop",
    "random_crop",
    "resize_short_side",
    "to_image",
    "to_waveform",
]


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


def to_waveform(audio: Tensor) -> Tensor:
    """Integers of a recording to numbers in [-1, 1).

    Parameters
    ----------
    audio : Tensor (..., n) int16, or floating point, which passes as float32

    Returns
    -------
    Tensor (..., n) float32 in [-1, 1)
    """
    if audio.dtype == torch.int16:
        return audio.to(torch.float32) / 32768.0
    if audio.is_floating_point():
        return audio.to(torch.float32)
    raise TypeError(f"to_waveform takes int16 or floating-point audio, got {audio.dtype}; convert it first.")


def to_image(images: Tensor) -> Tensor:
    """Pixels of photographs to numbers in [0, 1], colours first.

    Parameters
    ----------
    images : Tensor (B, H, W, 3) uint8

    Returns
    -------
    Tensor (B, 3, H, W) float32 in [0, 1]; the memory order stays that of the input, which is channels_last
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        found = f"{tuple(images.shape)} {images.dtype}"
        raise TypeError(f"to_image takes (B, H, W, 3) uint8 pictures, got {found}; reorder or convert them.")
    return images.permute(0, 3, 1, 2).to(torch.float32) / 255.0  # (B, H, W, 3) -> (B, 3, H, W)


def _check_waveform(waveform: Tensor, shortest: int, name: str) -> Tensor:
    """Refuse what is not (B, samples) floating point of at least `shortest` samples; return it as float32."""
    if waveform.ndim != 2 or not waveform.is_floating_point():
        found = f"{tuple(waveform.shape)} {waveform.dtype}"
        raise TypeError(f"{name} takes (B, samples) floating-point audio, got {found}; use to_waveform.")
    if waveform.shape[-1] < shortest:
        raise ValueError(
            f"{name} needs at least {shortest} samples, got {waveform.shape[-1]}; give more sound."
        )
    return waveform.to(torch.float32)


@cache
def _window(length: int, n_fft: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Hann window of `length` samples in the middle of (n_fft,) zeros; periodic, as spectra need it."""
    with torch.inference_mode(False):
        window = torch.hann_window(length, dtype=torch.float64)
        left = (n_fft - length) // 2
        return F.pad(window, (left, n_fft - length - left)).to(device, dtype)


def _powers(waveform: Tensor, length: int, n_fft: int, hop: int, pad_mode: str) -> Iterator[Tensor]:
    """Power spectra of a few clips at a time, (b, 1 + samples // hop, n_fft // 2 + 1) float32.

    The transform runs in float64 as librosa's does: in float32 the quiet bins beside a pure tone are
    rounding noise, which the logarithm brings up. A few clips at a time stay in the cache, so this costs a
    third more, not three times.
    """
    dtype = torch.float32 if waveform.device.type == "mps" else torch.float64  # MPS has no float64
    window = _window(length, n_fft, waveform.device, dtype)
    numbers = n_fft * (1 + waveform.shape[-1] // hop)  # per clip
    few = max(1, 2 ** (18 if waveform.device.type == "cpu" else 27) // numbers)
    for part in waveform.split(few):
        padded = F.pad(part, (n_fft // 2, n_fft // 2), mode=pad_mode)
        frames = padded.unfold(-1, n_fft, hop)  # (b, samples + n_fft) -> (b, T, n_fft), a view
        spectrum = torch.fft.rfft(frames * window).to(torch.complex64)
        yield spectrum.real.square() + spectrum.imag.square()


class LogSpectrogram(nn.Module):
    r"""Short-time Fourier transform of a second of sound, on a log scale, as a grey picture.

    .. math:: S(f, t) = \frac{\ln(|X(f, t)| + \epsilon) - \mu}{\sigma}

    Window 10 ms (Hann), zero-padded to the next power of two, hop 5 ms: at 48 kHz 480 samples in a
    transform of 512, hop 240, hence 257 x 200 for one second (*Look, Listen and Learn*, section 3;
    *Objects that Sound*, Fig. 2). Frame t is centred on sample t * hop, with the sound mirrored at both
    ends; the last frame, centred on the first sample after the clip, is dropped, which leaves exactly
    samples // hop frames: ``librosa.stft(y, n_fft=512, hop_length=240, win_length=480,
    pad_mode="reflect")[:, :200]``.

    The papers state neither logarithm, epsilon nor normalisation. Chosen here: natural logarithm of the
    magnitude; epsilon = 1e-3, about 100 dB below the peak of a full-scale sine and near the rounding noise
    of 16-bit sound; mu = -2 and sigma = 3, constants that bring music to the range of about -2 to 2 and
    keep its loudness.

    Parameters
    ----------
    sample_rate : int, Hz
    window_seconds, hop_seconds : float, s
    n_fft : int, transform size in samples; None: next power of two >= window (512 at 48 kHz, 256 at 16 kHz)
    frames : int, keep only this many frames (199 for the 2017 paper); None: samples // hop
    epsilon, mean, std : float, as in the equation

    Examples
    --------
    >>> import torch
    >>> LogSpectrogram()(torch.zeros(2, 48_000)).shape
    torch.Size([2, 1, 257, 200])
    >>> LogSpectrogram(16_000, hop_seconds=0.010)(torch.zeros(2, 16_000)).shape
    torch.Size([2, 1, 129, 100])

    Notebook: 01
    """

    def __init__(
        self,
        sample_rate: int = 48_000,
        window_seconds: float = 0.010,
        hop_seconds: float = 0.005,
        n_fft: int | None = None,
        frames: int | None = None,
        *,
        epsilon: float = 1e-3,
        mean: float = -2.0,
        std: float = 3.0,
    ):
        super().__init__()
        self.sample_rate = sample_rate
        self.window_length = round(window_seconds * sample_rate)
        self.hop = round(hop_seconds * sample_rate)
        if self.window_length < 2 or self.hop < 1:
            raise ValueError(
                f"A window of {window_seconds} s and a hop of {hop_seconds} s at {sample_rate} Hz are "
                f"{self.window_length} and {self.hop} samples; choose longer ones."
            )
        self.n_fft = n_fft if n_fft is not None else 1 << (self.window_length - 1).bit_length()
        if self.n_fft < self.window_length:
            raise ValueError(
                f"n_fft {self.n_fft} is shorter than the window of {self.window_length} samples; choose "
                "a larger transform or a shorter window."
            )
        self.frames, self.epsilon, self.mean, self.std = frames, epsilon, mean, std

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform a batch of clips.

        Parameters
        ----------
        waveform : Tensor (B, samples) float in [-1, 1)

        Returns
        -------
        Tensor (B, 1, n_fft // 2 + 1, frames) float32, also under autocast

        Raises
        ------
        TypeError, ValueError
            If the shape, the type or the length does not fit.
        """
        waveform = _check_waveform(waveform, self.n_fft // 2 + 1, "LogSpectrogram")
        available = waveform.shape[-1] // self.hop
        frames = self.frames if self.frames is not None else available
        if frames > available:
            raise ValueError(
                f"{waveform.shape[-1]} samples give {available} frames of hop {self.hop}, not {frames}; "
                f"give at least {frames * self.hop} samples or ask for fewer frames."
            )
        parts = []
        with torch.autocast(waveform.device.type, enabled=False):
            for power in _powers(waveform, self.window_length, self.n_fft, self.hop, "reflect"):
                magnitude = power[:, :frames].sqrt()  # (b, T, F)
                parts.append(magnitude.add_(self.epsilon).log_().transpose(1, 2))  # -> (b, F, T)
            return torch.cat(parts).sub_(self.mean).div_(self.std).unsqueeze(1)  # (B, F, T) -> (B, 1, F, T)


class LogMel(nn.Module):
    r"""Log-mel spectrogram as LLINet takes it: windows of 25 ms every 10 ms, 40 bands, at the native rate.

    .. math:: M(t, m) = \ln\Big(\sum_f W_{mf}\,|X(f, t)|^2 + 10^{-6}\Big)

    with W the mel filters on Slaney's scale with Slaney's area normalisation, that is
    ``librosa.feature.melspectrogram(y=y, sr=sr, n_fft=int(.025 * sr), hop_length=int(.010 * sr),
    n_mels=40)``: frames centred, zeros beyond both ends, Hann window, power 2.

    Parameters
    ----------
    sample_rate : int, Hz
    bands : int
    epsilon : float, added to the power

    Notebook: 04
    """

    def __init__(self, sample_rate: int, bands: int = 40, epsilon: float = 1e-6):
        super().__init__()
        import librosa  # here, so that L3-Net starts without waiting for it

        self.sample_rate, self.epsilon = sample_rate, epsilon
        self.n_fft, self.hop = int(0.025 * sample_rate), int(0.010 * sample_rate)
        if self.hop < 1:
            raise ValueError(
                f"A sample rate of {sample_rate} Hz is too low for a hop of 10 ms; give it in Hz."
            )
        mel = librosa.filters.mel(sr=sample_rate, n_fft=self.n_fft, n_mels=bands)  # (bands, n_fft // 2 + 1)
        self.register_buffer("mel", torch.from_numpy(mel).T.contiguous(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform a batch of clips.

        Parameters
        ----------
        waveform : Tensor (B, samples) float in [-1, 1)

        Returns
        -------
        Tensor (B, 1 + samples // hop, bands) float32, also under autocast
        """
        waveform = _check_waveform(waveform, 1, "LogMel")
        parts = []
        with torch.autocast(waveform.device.type, enabled=False):
            for power in _powers(waveform, self.n_fft, self.n_fft, self.hop, "constant"):
                parts.append((power @ self.mel.float()).add_(self.epsilon).log_())  # (b, T, F) @ (F, 40)
            return torch.cat(parts)


def _column(draws: Tensor, column: Draw, like: Tensor, *, ndim: int) -> Tensor:
    """One column of `draws` (B, 8) on the device of `like`, shaped (B, 1, ...) with `ndim` axes."""
    if draws.ndim != 2 or draws.shape[0] != like.shape[0] or draws.shape[1] <= column:
        raise ValueError(
            f"draws must be ({like.shape[0]}, 8) uniform numbers, a row per sample, got {tuple(draws.shape)}."
        )
    return draws[:, column].to(like.device, like.dtype).reshape(-1, *[1] * (ndim - 1))


class ImageAugment(nn.Module):
    """Flip, brightness and saturation, each decided by its column of `draws`.

    Brightness adds up to `brightness` to every colour, saturation moves each pixel from or to its grey value
    by a factor in `saturation`; which of the two comes first is drawn too. The papers name these changes
    without their strengths; +-32/255 and [0.5, 1.5] are those of the Inception networks of the same time.

    Parameters
    ----------
    flip : bool, mirror half of the pictures
    brightness : float, largest step, in units of the [0, 1] range
    saturation : (float, float), smallest and largest factor

    Notebook: 01
    """

    def __init__(self, flip: bool = True, brightness: float = 32 / 255, saturation=(0.5, 1.5)):
        super().__init__()
        self.flip, self.brightness, self.saturation = flip, brightness, tuple(saturation)
        grey = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)  # ITU-R BT.601
        self.register_buffer("grey", grey, persistent=False)

    def _saturate(self, image: Tensor, factor: Tensor) -> Tensor:
        grey = (image * self.grey.to(image)).sum(1, keepdim=True)  # (B, 3, H, W) -> (B, 1, H, W)
        return torch.lerp(grey, image, factor).clamp(0, 1)

    def forward(self, image: Tensor, draws: Tensor) -> Tensor:
        """Change a batch of pictures.

        Parameters
        ----------
        image : Tensor (B, 3, H, W) float in [0, 1]
        draws : Tensor (B, 8) uniform in [0, 1)

        Returns
        -------
        Tensor (B, 3, H, W) in [0, 1]
        """
        if self.flip:
            image = torch.where(_column(draws, Draw.FLIP, image, ndim=4) < 0.5, image.flip(-1), image)
        step = (2 * _column(draws, Draw.BRIGHTNESS, image, ndim=4) - 1) * self.brightness
        low, high = self.saturation
        factor = low + (high - low) * _column(draws, Draw.SATURATION, image, ndim=4)
        first = _column(draws, Draw.ORDER, image, ndim=4) < 0.5  # brightness first?
        image = (image + torch.where(first, step, 0.0)).clamp(0, 1)
        image = self._saturate(image, factor)
        return (image + torch.where(first, 0.0, step)).clamp(0, 1)


class AudioGain(nn.Module):
    """One gain for the whole clip, uniform in [1 - strength, 1 + strength]; 10 % in *Look, Listen and Learn*.

    Notebook: 01
    """

    def __init__(self, strength: float = 0.10):
        super().__init__()
        if not 0 <= strength < 1:
            raise ValueError(f"strength is a share of the volume in [0, 1), got {strength}.")
        self.strength = strength

    def forward(self, waveform: Tensor, draws: Tensor) -> Tensor:
        """Scale (B, samples) float by the gains of `draws` (B, 8); the result is not clipped."""
        return waveform * (1 + self.strength * (2 * _column(draws, Draw.GAIN, waveform, ndim=2) - 1))


def resize_short_side(image: Tensor, size: int = 256) -> Tensor:
    """Scale a batch of equally large pictures so that the shorter side is `size` pixels.

    Parameters
    ----------
    image : Tensor (B, 3, H, W) float
    size : int, pixels

    Returns
    -------
    Tensor (B, 3, H', W') with min(H', W') == size, anti-aliased
    """
    height, width = image.shape[-2:]
    scale = size / min(height, width)
    shape = (size, round(width * scale)) if height <= width else (round(height * scale), size)
    if shape == (height, width):
        return image
    return F.interpolate(image, shape, mode="bilinear", align_corners=False, antialias=True)


def _check_crop(image: Tensor, size: int) -> tuple[int, int]:
    spare = image.shape[-2] - size, image.shape[-1] - size
    if min(spare) < 0:
        raise ValueError(
            f"A crop of {size} pixels does not fit into a picture of {image.shape[-2]} x {image.shape[-1]}; "
            "use resize_short_side first or ask for a smaller crop."
        )
    return spare


def centre_crop(image: Tensor, size: int = 224) -> Tensor:
    """Cut the middle (B, 3, size, size) out of (B, 3, H, W)."""
    spare_y, spare_x = _check_crop(image, size)
    top, left = spare_y // 2, spare_x // 2
    return image[..., top : top + size, left : left + size]


def random_crop(image: Tensor, draws: Tensor, size: int = 224) -> Tensor:
    """Cut one square out of each picture, at the place its `draws` say; every place is equally likely.

    Parameters
    ----------
    image : Tensor (B, 3, H, W)
    draws : Tensor (B, 8) uniform in [0, 1)
    size : int, pixels

    Returns
    -------
    Tensor (B, 3, size, size)
    """
    spare_y, spare_x = _check_crop(image, size)
    place = draws.to(image.device, torch.float64)
    top = (_column(draws, Draw.CROP_Y, place, ndim=1) * (spare_y + 1)).long().clamp(max=spare_y)
    left = (_column(draws, Draw.CROP_X, place, ndim=1) * (spare_x + 1)).long().clamp(max=spare_x)
    steps = torch.arange(size, device=image.device)
    sample = torch.arange(len(image), device=image.device)[:, None, None]
    rows, columns = (top[:, None] + steps)[:, :, None], (left[:, None] + steps)[:, None, :]
    cropped = image.permute(0, 2, 3, 1)[sample, rows, columns]  # (B, H, W, 3) -> (B, size, size, 3)
    return cropped.permute(0, 3, 1, 2)
