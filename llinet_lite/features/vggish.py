"""From waveform to the log-mel examples of 0.96 s that VGGish takes.

Notebook: 04
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.features.sound import _check_waveform, _window

RATE, BANDS, FRAMES = 16_000, 64, 96  # Hz; of one example
_WINDOW, _HOP, _N_FFT = 400, 160, 512  # samples: 25 ms, 10 ms
_LOWEST, _HIGHEST, _OFFSET = 125.0, 7500.0, 0.01  # Hz, Hz, what is added before the logarithm
_SHORTEST = (FRAMES - 1) * _HOP + _WINDOW  # samples under one example
EXAMPLE_SECONDS = _SHORTEST / RATE  # 0.975 s of sound, as the last window reaches beyond its hop


def _mel_matrix() -> np.ndarray:
    """Weights (257, 64) from magnitudes to bands: triangles that are straight over mel, not over Hz."""

    def mel(hertz):
        return 1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0)  # HTK's scale

    edges = np.linspace(mel(_LOWEST), mel(_HIGHEST), BANDS + 2)
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    bins = mel(np.linspace(0.0, RATE / 2, _N_FFT // 2 + 1))[:, None]  # (257,) -> (257, 1)
    rising, falling = (bins - lower) / (centre - lower), (upper - bins) / (upper - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0  # the constant part of a sound is in no band
    return weights


class VGGishExamples(nn.Module):
    r"""Log-mel examples as VGGish was trained on: 96 frames of 10 ms, 64 bands.

    .. math:: M(t, m) = \ln\Big(\sum_f W_{fm}\,|X(f, t)| + 0.01\Big)

    The sound is resampled to 16 kHz. Frame t is the periodic Hann window on samples 160 t to 160 t + 399, in
    a transform of 512: nothing is padded at the ends, and X is a magnitude, not a power. W holds 64 bands
    between 125 and 7500 Hz on HTK's mel scale, triangles that are straight over mel; librosa's are straight
    over Hz. Every 96 frames are one example, none overlap, and frames that fill no example are dropped: n
    samples at 16 kHz make P = (1 + (n - 400) // 160) // 96 of them.

    A sound of fewer than 15 600 samples (0.975 s) fills no example. It is continued by zeros to exactly one,
    where the published code returns none.

    Source: Hershey et al. (2017), *CNN architectures for large-scale audio classification*, section 3.1, and
    the VGGish released with AudioSet. That resamples by another filter (resampy's) than torchaudio's.

    Parameters
    ----------
    sample_rate : int, Hz, of the sounds that come

    Raises
    ------
    ValueError
        If the rate is not positive.

    Examples
    --------
    >>> import torch
    >>> VGGishExamples(48_000)(torch.zeros(2, 96_000)).shape
    torch.Size([2, 2, 96, 64])

    Notebook: 04
    """

    def __init__(self, sample_rate: int):
        super().__init__()
        if sample_rate < 1:
            raise ValueError(f"A sample rate of {sample_rate} Hz is none; give it in Hz.")
        self.sample_rate = sample_rate
        self.register_buffer("mel", torch.from_numpy(_mel_matrix()).float(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Transform a batch of sounds.

        Parameters
        ----------
        waveform : Tensor (B, samples) float in [-1, 1)

        Returns
        -------
        Tensor (B, P, 96, 64) float32, P at least 1, also under autocast

        Raises
        ------
        TypeError, ValueError
            If the shape or the type does not fit, or there are no samples.
        """
        waveform = _check_waveform(waveform, 1, "VGGishExamples")
        with torch.autocast(waveform.device.type, enabled=False):
            if self.sample_rate != RATE:
                from torchaudio.functional import resample  # here, so that others start without it

                waveform = resample(waveform, self.sample_rate, RATE)
            waveform = F.pad(waveform, (0, max(0, _SHORTEST - waveform.shape[-1])))
            examples = (1 + (waveform.shape[-1] - _WINDOW) // _HOP) // FRAMES
            waveform = waveform[:, : (examples * FRAMES - 1) * _HOP + _WINDOW]
            few = max(1, 2 ** (18 if waveform.device.type == "cpu" else 27) // (examples * FRAMES * _N_FFT))
            logmel = torch.cat([self._logmel(part) for part in waveform.split(few)])
        return logmel.unflatten(1, (examples, FRAMES))  # (B, P 96, 64) -> (B, P, 96, 64)

    def _logmel(self, waveform: Tensor) -> Tensor:
        """A few clips at a time, which stay in the cache; in float64 as in :class:`LogMel`."""
        dtype = torch.float32 if waveform.device.type == "mps" else torch.float64  # MPS has no float64
        frames = waveform.unfold(-1, _WINDOW, _HOP)  # (b, samples) -> (b, T, 400), a view
        spectrum = torch.fft.rfft(frames * _window(_WINDOW, _WINDOW, waveform.device, dtype), _N_FFT)
        magnitude = spectrum.abs().float()  # (b, T, 257)
        return (magnitude @ self.mel.float()).add_(_OFFSET).log_()  # -> (b, T, 64)
