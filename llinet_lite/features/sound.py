"""From waveform to log-spectrogram, in batches, on the device.

Notebook: 01 (log-spectrogram, gain), 04 (log-mel)
"""

from collections.abc import Iterator
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.features.draws import Draw, column_of


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
        return waveform * (1 + self.strength * (2 * column_of(draws, Draw.GAIN, waveform, ndim=2) - 1))
