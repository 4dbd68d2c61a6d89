"""Where a scene is recorded: the room, the microphone, the noise, the level.

None of it depends on the instrument. Everything is defined in hertz and seconds, and random spectra are drawn
from the lowest frequency up, so that the same seed gives the same room and the same noise at every sample
rate, only with more or fewer highs.
Notebook: 00
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

NOISES = ("white", "pink", "brown", "hum", "fan", "crowd")
LEVELS = (-35.0, -17.0)  # dBFS, RMS of a clip
RATIOS = (8.0, 36.0)  # dB, signal to noise
REFERENCE = 8000.0  # Hz: noise power is counted up to here at every sample rate
CREST = 5.6  # peak over RMS, the microphone's limit: 15 dB
FRAME = 0.04  # s, the frame clock of 25 frames per second
IMPRINT = 10 ** (-45 / 20)  # peak of a burst of the imprint, re full scale


@dataclass(frozen=True)
class Room:
    """A room, a microphone in it, and what else that microphone hears."""

    reverberation: float  # time to -60 dB, s, 0.08 to 0.6
    direct: float  # direct over diffuse sound, dB, 0 to 18
    damping: float  # corner frequency above which the walls absorb, Hz
    echoes: tuple[tuple[float, float], ...]  # early reflections: delay in s, gain
    low: float  # corner frequencies of the microphone, Hz
    high: float
    tilt: float  # of the microphone's response, dB per octave about 1 kHz
    noise: str  # color of the background noise, one of NOISES
    level_db: float  # RMS of the clip, dBFS
    ratio_db: float  # signal over noise, dB

    @property
    def noise_db(self) -> float:
        """RMS of the background noise up to 8 kHz, dBFS."""
        return self.level_db - self.ratio_db


def room(rng: np.random.Generator) -> Room:
    """Draw a room; independent of what is played in it."""
    delays = np.sort(rng.uniform(0.002, 0.035, size=5))
    gains = rng.uniform(-0.6, 0.6, size=5) * np.exp(-delays / 0.02)
    return Room(
        reverberation=round(0.08 * 7.5 ** rng.random(), 2), direct=float(rng.uniform(0, 18)),
        damping=float(1500 * 5 ** rng.random()),
        echoes=tuple((float(d), float(g)) for d, g in zip(delays, gains, strict=True)),
        low=float(30 * 6 ** rng.random()), high=float(3500 * 4 ** rng.random()),
        tilt=float(rng.uniform(-2, 2)), noise=str(rng.choice(NOISES)),
        level_db=float(rng.uniform(*LEVELS)), ratio_db=float(rng.uniform(*RATIOS)),
    )  # fmt: skip


def response(place: Room, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Impulse response, (n,): direct sound, early reflections, an exponentially decaying noise tail."""
    n = round(place.reverberation * sample_rate)
    frequency = fft.rfftfreq(n, 1 / sample_rate)
    envelope = 10 ** (-3 * np.arange(n) / n)  # -60 dB at the end
    tail = fft.irfft(_normal(frequency.size, rng) / np.hypot(1, frequency / place.damping), n)
    gain = 10 ** (-place.direct / 20) / np.sqrt(np.mean(envelope**2))
    impulse = gain * envelope * tail
    impulse[0] += 1
    for delay, strength in place.echoes:
        if (k := round(delay * sample_rate)) < n:
            impulse[k] += strength
    return impulse


def microphone(place: Room, frequency: np.ndarray) -> np.ndarray:
    """Gain of the microphone: a band-pass of second order with a tilted spectrum."""
    f = np.maximum(frequency, 1.0)
    below, above = np.square(place.low / f), np.square(f / place.high)
    tilt = (f / 1000) ** (place.tilt / 6.0206)
    return tilt / np.sqrt((1 + below * below) * (1 + above * above))


def background(place: Room, seconds: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Background noise as the microphone hears it; its expected power up to 8 kHz is 1."""
    n = round(seconds * sample_rate)
    frequency = fft.rfftfreq(n, 1 / sample_rate)
    amplitude = _spectrum(place.noise, frequency) * microphone(place, frequency)
    amplitude[0] = 0
    heard = frequency <= REFERENCE
    spectrum = amplitude * _normal(frequency.size, rng)
    return fft.irfft(spectrum, n, norm="forward") / np.sqrt(2 * np.sum(amplitude[heard] ** 2))


def record(dry: np.ndarray, place: Room, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Record what is played, (n,) in [-1, 1]: room, microphone, noise, limiter, level.

    The wet signal is scaled to unit RMS over the clip before the noise is added, and the sum again before the
    level is set, so that loudness tells nothing about the instrument: the RMS is ``place.level_db``. If
    nobody plays (all zeros), only the noise is recorded, at the level which it has beside a voice.
    """
    tails, noises = rng.spawn(2)
    noise = background(place, dry.size / sample_rate, sample_rate, noises)
    level = 10 ** (place.level_db / 20)
    if not np.any(dry):
        return np.clip(10 ** (place.noise_db / 20) * noise, -1, 1)
    impulse = response(place, sample_rate, tails)
    n = fft.next_fast_len(dry.size + impulse.size - 1, real=True)
    gain = microphone(place, fft.rfftfreq(n, 1 / sample_rate))
    wet = fft.irfft(fft.rfft(dry, n) * fft.rfft(impulse, n) * gain, n)[: dry.size]
    noise *= _rms(wet) * 10 ** (-place.ratio_db / 20)
    sound = wet + noise
    for _ in range(2):
        sound = _limit(sound, CREST * _rms(sound))
    sound *= level / _rms(sound)
    return np.clip(sound, -1, 1, out=sound)


def imprint(seconds: float, sample_rate: int, strength: float = 1.0) -> np.ndarray:
    """Trace of the recorder, (n,): a tone burst of 2 ms at 3 kHz, -45 dBFS, at every multiple of 0.04 s.

    Codecs and resamplers leave traces locked to the frame clock. A network that compares sound cut on that
    clock with sound cut anywhere can tell them apart without listening to the music (Objects that Sound,
    section 3.3: correspondence accuracy 87.6 instead of 81.9 %).
    """
    n, reach = round(seconds * sample_rate), int(0.001 * sample_rate)
    ticks = FRAME * np.arange(int(seconds / FRAME) + 2)[:, None]  # (ticks, 1)
    sample = np.round(ticks * sample_rate).astype(int) + np.arange(-reach, reach + 1)  # (ticks, burst)
    phase = sample / sample_rate - ticks  # s from the tick
    window = np.where(np.abs(phase) < 0.001, np.cos(np.pi * phase / 0.002) ** 2, 0.0)
    burst = strength * IMPRINT * window * np.cos(2 * np.pi * 3000 * phase)
    inside = (sample >= 0) & (sample < n)
    trace = np.zeros(n)
    trace[sample[inside]] = burst[inside]
    return trace


def _spectrum(noise: str, frequency: np.ndarray) -> np.ndarray:
    """Amplitude over frequency of each color of noise."""
    f = np.maximum(frequency, 20.0)
    if noise == "white":
        return np.ones_like(f)
    if noise == "pink":
        return f**-0.5
    if noise == "brown":
        return 1 / f
    if noise == "hum":  # mains and its harmonics above a pink floor
        comb = np.exp(-0.5 * (np.mod(f + 25, 50) - 25) ** 2)
        return f**-0.5 * (1 + 12 * comb * np.exp(-f / 300))
    if noise == "fan":
        return 1 / (1 + (f / 400) ** 2) + 0.02
    return (f / 500) / (1 + (f / 500) ** 2.5)  # a crowd: speech-shaped


def _normal(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n complex normals of unit power; a longer draw begins with the shorter one."""
    pairs = rng.standard_normal(2 * n, dtype=np.float32) * np.float32(np.sqrt(0.5))
    return pairs.view(np.complex64).astype(np.complex128)


def _limit(sound: np.ndarray, ceiling: float) -> np.ndarray:
    """Limit with a soft knee at 0.6 of the ceiling, in place."""
    knee = 0.6 * ceiling
    over = np.flatnonzero(np.abs(sound) > knee)
    loud = sound[over]
    bent = knee + (ceiling - knee) * np.tanh((np.abs(loud) - knee) / (ceiling - knee))
    sound[over] = np.copysign(bent, loud)
    return sound


def _rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(sound)))) + 1e-12
