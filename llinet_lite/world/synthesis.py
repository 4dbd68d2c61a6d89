"""Physical models of sound: what vibrates, how long, and what colors it.

Two kernels make every voice of the built-in world:

* :func:`ring`, modal synthesis: a struck or plucked body is a sum of damped sinusoids.
* :func:`scan`, a wavetable that is read at any pitch (vibrato, glides) while its spectrum changes along a
  second axis (loudness, time or vowel).

Around them stand the tables of physics: mode ratios of bars, membranes, bowls, bells, plates and strings,
spectra of reeds, lips and air jets, and resonances of bodies.
Notebook: 00
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import ndimage, signal, special

BAND = 0.45  # no partial above this share of the sample rate
LEVEL = 0.08  # common RMS of every voice
TABLE = 2048  # samples of one cycle in a wavetable
RATE_OF_60_DB = float(np.log(1000.0))  # amplitude decay rate (1/s) times the time to -60 dB (s)


@dataclass(frozen=True)
class Modes:
    """M damped modes of a vibrating body."""

    frequency: np.ndarray  # (M,) Hz
    rate: np.ndarray  # (M,) amplitude decay, 1/s: a mode falls by 60 dB in ln(1000) / rate seconds
    gain: np.ndarray  # (M,) amplitude after a stroke of strength 1

    def __add__(self, other: Modes) -> Modes:
        """Both sets of modes at once."""
        names = ("frequency", "rate", "gain")
        return Modes(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))

    def where(self, keep: np.ndarray) -> Modes:
        """The modes for which ``keep``, (M,) bool, is true."""
        return Modes(self.frequency[keep], self.rate[keep], self.gain[keep])

    def scaled(self, factor: np.ndarray | float) -> Modes:
        """The same modes with their gains multiplied by a number or an (M,) array."""
        return Modes(self.frequency, self.rate, self.gain * factor)

    def blooming(self, onset: np.ndarray | float) -> Modes:
        """Modes that swell: ``exp(-rate t) - exp(-t / onset)`` instead of ``exp(-rate t)``; onset in s."""
        fast = np.broadcast_to(1.0 / np.asarray(onset, float), self.rate.shape)
        return self + Modes(self.frequency, self.rate + fast, -self.gain)

    def split(self, hertz: np.ndarray | float) -> Modes:
        """Each mode as a pair ``hertz`` apart, which beats at that rate (a bowl is never quite round)."""
        half = np.asarray(hertz) / 2
        lower = Modes(self.frequency - half, self.rate, 0.55 * self.gain)
        return lower + Modes(self.frequency + half, self.rate, 0.45 * self.gain)


# ------------------------------------------------------------------ kernels


def _powers(base: np.ndarray, count: int) -> np.ndarray:
    """``base ** k`` for k = 0 .. count - 1 by doubling: (M,) complex -> (count, M)."""
    out = np.ones((count, len(base)), complex)
    done, step = 1, base
    while done < count:
        more = min(done, count - done)
        np.multiply(out[:more], step, out=out[done : done + more])
        done, step = done + more, step * step
    return out


def _add_exponentials(out, poles, state, sample_rate):
    """Add ``Im(sum_m state_m exp(poles_m k / sample_rate))`` to out[k]: one real matrix product."""
    width = int(np.clip(2 ** np.ceil(np.log2(max(len(out), 1)) / 2), 16, 512))
    rows = -(-len(out) // width)
    coarse = _powers(np.exp(poles * (width / sample_rate)), rows) * state  # (rows, M)
    fine = _powers(np.exp(poles / sample_rate), width)  # (width, M)
    left = np.concatenate([coarse.real, coarse.imag], axis=1)  # (rows, 2M)
    right = np.concatenate([fine.imag, fine.real], axis=1)  # (width, 2M)
    out += (left @ right.T).ravel()[: len(out)]  # (rows, width) -> (n,)


def _fill(out, start, stop, poles, state, floor, sample_rate):
    """Let modes ring from sample start to stop, dropping those that have died; returns the end state."""
    chunk, alive, now = int(0.08 * sample_rate), np.flatnonzero(abs(state) > floor), start
    state = state.copy()
    while now < stop and len(alive):
        end = min(now + chunk, stop)
        _add_exponentials(out[now:end], poles[alive], state[alive], sample_rate)
        state[alive] *= np.exp(poles[alive] * ((end - now) / sample_rate))
        dead = alive[abs(state[alive]) <= floor]
        alive = alive[abs(state[alive]) > floor]
        state[dead] = 0.0
        now, chunk = end, 2 * chunk
    return state


def ring(
    modes: Modes,
    strokes: list[tuple[float, float, np.ndarray | float]],
    n: int,
    sample_rate: int,
    damping=45.0,
) -> np.ndarray:
    """Sound, (n,), of one body struck or plucked at given times.

    x(t) = sum over modes m and strokes k of g_m s_km exp(-rate_m (t - t_k)) sin(2 pi f_m (t - t_k))

    Each stroke is (onset s, end s, strength: a number or (M,)), in order of onset; between its end and the
    next onset the body is damped by ``damping`` (1/s) more. A body struck again goes on ringing, so between
    two strokes there is one complex amplitude per mode, however many strokes came before (J.-M. Adrien, "The
    missing link: modal synthesis", 1991).
    """
    out = np.zeros(n)
    keep = (modes.frequency > 0) & (modes.frequency < BAND * sample_rate)
    gain = modes.gain[keep]
    if not strokes or not keep.any():
        return out
    poles = -modes.rate[keep] + 2j * np.pi * modes.frequency[keep]
    state, floor = np.zeros(len(gain), complex), 6e-5 * abs(gain).max()
    edges = [min(int(np.ceil(onset * sample_rate)), n) for onset, _, _ in strokes] + [n]
    for k, (onset, end, strength) in enumerate(strokes):
        start, following = edges[k], edges[k + 1]
        strength = strength[keep] if isinstance(strength, np.ndarray) else strength
        state = state + strength * gain * np.exp(poles * (start / sample_rate - onset))
        middle = int(np.clip(round(end * sample_rate), start, following))
        state = _fill(out, start, middle, poles, state, floor, sample_rate)
        state = _fill(out, middle, following, poles - damping, state, floor, sample_rate)
    return out


def cycles(spectra: np.ndarray, limit: int) -> np.ndarray:
    """Wavetables of sine partials: (K, H) amplitudes of harmonics 1..H -> (K, TABLE + 1).

    Only harmonics 1..limit are kept. The last column repeats the first for interpolation.
    """
    spectra = np.atleast_2d(spectra)
    kept = max(min(limit, spectra.shape[1], TABLE // 4), 0)
    bins = np.zeros((len(spectra), TABLE // 2 + 1), complex)
    bins[:, 1 : kept + 1] = -0.5j * TABLE * spectra[:, :kept]
    table = np.fft.irfft(bins, TABLE, axis=1)
    return np.concatenate([table, table[:, :1]], axis=1)


def scan(tables: np.ndarray, phase: np.ndarray, position: np.ndarray | None = None) -> np.ndarray:
    """Read wavetables (K, TABLE + 1) at phases (n,), cycles, between the first (position 0) and last (1)."""
    point = (phase - np.floor(phase)) * TABLE
    index = np.minimum(point.astype(np.intp), TABLE - 1)
    point -= index
    flat, width = tables.ravel(), tables.shape[1]
    if len(tables) == 1 or position is None:
        low = flat.take(index)
        return low + point * (flat.take(index + 1) - low)
    place = np.clip(position, 0.0, 1.0) * (len(tables) - 1)
    row = np.minimum(place.astype(np.intp), len(tables) - 2)
    place -= row
    index += row * width
    low, high = flat.take(index), flat.take(index + width)
    low += point * (flat.take(index + 1) - low)
    high += point * (flat.take(index + width + 1) - high)
    return low + place * (high - low)


# ------------------------------------------------------- what vibrates, and how

# (beta_m / beta_1)^2 of cosh(beta) cos(beta) = 1, the bar with free ends: 1, 2.757, 5.404, 8.933, 13.345
# (Fletcher & Rossing, The Physics of Musical Instruments, 2.15)
FREE_BAR = (np.array([4.730040745, 7.853204624, 10.995607838, 14.137165491, 17.27875966]) / 4.730040745) ** 2
# a marimba bar is undercut so that its partials are tuned (F & R, 19.3)
TUNED_BAR = np.array([1.0, 4.0, 10.0, 17.6])
# Hum, prime, tierce, quint, nominal, and the partials above (F & R, 21.2)
BELL = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.5, 2.667, 3.0, 4.0, 5.33, 6.67])
# a loaded Indian head has five nearly harmonic groups (Raman, 1934; F & R, 18.5)
LOADED_MEMBRANE = np.array([1.0, 2.0, 3.01, 4.01, 4.98])


@lru_cache
def membrane_ratios(count: int) -> np.ndarray:
    """Lowest ``count`` frequencies of an ideal circular membrane over the first: 1, 1.594, 2.136, 2.296, ...

    f_mn / f_01 = j_mn / j_01 with j_mn the n-th zero of the Bessel function J_m
    (Rayleigh, The Theory of Sound, 1877, 206).
    """
    zeros = np.concatenate([special.jn_zeros(m, count) for m in range(count)])
    return np.sort(zeros)[:count] / special.jn_zeros(0, 1)[0]


def bowl_ratios(count: int) -> np.ndarray:
    """Flexural modes of a thin ring or bowl with n = 2, 3, ... nodal diameters over the first: 1, 2.83, ...

    f_n proportional to n (n^2 - 1) / sqrt(n^2 + 1) (Love, The Mathematical Theory of Elasticity, 293).
    """
    n = np.arange(2, 2 + count)
    rate = n * (n**2 - 1) / np.sqrt(n**2 + 1)
    return rate / rate[0]


@lru_cache
def plate_ratios(count: int) -> np.ndarray:
    """Modes of a free circular plate by Chladni's law over the first: f_mn proportional to (m + 2n)^1.8.

    The exponent is 2 for a flat plate; domed and rimmed gongs lie lower (F & R, 3.6 and 20.2). Modes that
    the law would put at one frequency are spread by 4 % of it per nodal circle.
    """
    m, n = np.meshgrid(np.arange(0, 26), np.arange(0, 12), indexing="ij")
    used = m + 2 * n >= 2
    ratio = ((m + 2 * n) / 2.0)[used] ** 1.8 * (1 - 0.04 * n[used])
    ratio = np.sort(ratio)[:count]
    return ratio / ratio[0]


def loop_rate(frequency: np.ndarray, fundamental: float, softness: float) -> np.ndarray:
    """Decay rates (1/s) of a Karplus-Strong string loop that averages two points ``softness`` seconds apart.

    At each of the ``fundamental`` round trips a second a partial keeps cos(pi f softness) of its
    amplitude: rate = -f_0 ln cos(pi f softness) (Karplus & Strong, 1983; Jaffe & Smith, 1983, eq. 9).
    """
    kept = np.cos(np.minimum(np.pi * np.abs(frequency) * softness, 0.4999 * np.pi))
    return -fundamental * np.log(kept)


def string_modes(
    fundamental: float, decay: float, softness: float, position: float, stiffness=0.0, highest=20000.0
) -> Modes:
    """Modes of a plucked or hammered string: the poles of a Karplus-Strong loop, solved for.

    f_n = n f_0 sqrt((1 + B n^2) / (1 + B)) up to ``highest`` (Hz), amplitudes |sin(pi n position)| / n, with
    B the stiffness (Fletcher, 1964); ``decay`` is the time to -60 dB (s) of what only the body takes.
    """
    n = np.arange(1, max(int(min(highest, 0.5 / softness) / fundamental), 1) + 1)
    frequency = fundamental * n * np.sqrt((1 + stiffness * n**2) / (1 + stiffness))
    rate = RATE_OF_60_DB / decay + loop_rate(frequency, fundamental, softness)
    return Modes(frequency, rate, np.abs(np.sin(np.pi * n * position)) / n)


# --------------------------------------------------------- what colors a sound


def response(frequency: np.ndarray, formants) -> np.ndarray:
    """Magnitude of a body: 1 + sum over formants of gain / sqrt(1 + Q^2 (f / f_c - f_c / f)^2).

    ``formants`` is a sequence of (center Hz, gain, Q).
    """
    total, f = np.ones_like(np.asarray(frequency, float)), np.maximum(frequency, 1.0)
    for center, gain, q in formants:
        total = total + gain / np.sqrt(1 + (q * (f / center - center / f)) ** 2)
    return total


def resonate(x: np.ndarray, formants, sample_rate: int) -> np.ndarray:
    """Pass a signal, (n,), through the same body as parallel two-pole resonators."""
    out = x.copy()
    for center, gain, q in formants:
        if center < BAND * sample_rate:
            b, a = signal.iirpeak(center, q, fs=sample_rate)
            out += gain * signal.lfilter(b, a, x)
    return out


def odd_even(frequency: np.ndarray, leak: float = 0.05, cutoff: float = 1500.0) -> np.ndarray:
    """Weights of harmonics 1..H at ``frequency`` Hz in a closed cylinder: odd ones 1, even ones ``leak``.

    Above the cutoff of the open tone holes the tube no longer selects, and even ones come back.
    """
    even = np.arange(1, len(frequency) + 1) % 2 == 0
    back = np.clip((frequency / cutoff - 1.0) / 2.0, 0.0, 1.0)
    return np.where(even, leak + (0.6 - leak) * back, 1.0)


def brass_spectra(frequency: np.ndarray, cutoff: float, levels: np.ndarray) -> np.ndarray:
    """Spectra of a lip reed at several loudnesses: (H,), (K,) -> (K, H).

    The louder, the steeper the wave front in the bore and the higher its spectrum reaches:
    amplitude exp(-f / (cutoff (0.25 + 1.5 level^1.5))) times the horn's own rise below the cutoff
    (Beauchamp, 1975; Hirschberg et al., 1996).
    """
    reach = cutoff * (0.25 + 1.5 * np.asarray(levels)[:, None] ** 1.5)  # (K, 1)
    rise = frequency / np.sqrt(frequency**2 + (0.6 * cutoff) ** 2)
    return rise * np.exp(-frequency / reach)


@lru_cache
def _band(low: float, high: float, sample_rate: int):
    high = min(high, 0.47 * sample_rate)
    return signal.butter(1, (min(low, 0.8 * high), high), "bandpass", fs=sample_rate)


def noise(n: int, low: float, high: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Noise between two frequencies (Hz) with unit RMS, (n,)."""
    if n == 0:
        return np.zeros(0)
    x = signal.lfilter(*_band(round(low, -1), round(high, -1), sample_rate), rng.standard_normal(n))
    return x / max(np.sqrt(np.mean(x**2)), 1e-12)


def leveled(x: np.ndarray, start: int, stop: int, sample_rate: int) -> np.ndarray:
    """Scale so that the RMS of samples start..stop is LEVEL and no peak exceeds 1.

    Sharp peaks are turned down by a gain that moves slowly (5 ms), and the rest is brought up again.
    """
    for _ in range(4):
        x = x * (LEVEL / max(np.sqrt(np.mean(x[start:stop] ** 2)), 1e-12))
        if np.abs(x).max() <= 0.98:
            return x
        window = 2 * int(0.005 * sample_rate) + 1
        peaks = ndimage.maximum_filter1d(np.abs(x), 2 * window + 1)
        x = x * ndimage.uniform_filter1d(np.minimum(1.0, 0.8 / np.maximum(peaks, 1e-9)), window)
    return x * min(1.0, 0.98 / np.abs(x).max())
