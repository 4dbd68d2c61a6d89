"""Tables of physics and kernels of sound, against independent oracles."""

import numpy as np
import pytest
from scipy import optimize, signal, special

from llinet_lite.world import synthesis as syn

RATE = 16000


def spectrum(x, rate=RATE, pad=4):
    return np.fft.rfftfreq(pad * len(x), 1 / rate), np.abs(np.fft.rfft(x * np.hanning(len(x)), pad * len(x)))


def height_near(x, f, cents, rate):
    frequency, height = spectrum(x, rate)
    return height[np.abs(1200 * np.log2(np.maximum(frequency, 1.0) / f)) < cents].max()


# ------------------------------------------------------------------- tables of physics


def test_free_bar_solves_the_frequency_equation():
    guesses = np.pi * (np.arange(1, 6) + 0.5)
    beta = [optimize.brentq(lambda b: np.cos(b) - 1 / np.cosh(b), g - 0.3, g + 0.3) for g in guesses]
    np.testing.assert_allclose(syn.FREE_BAR, (np.array(beta) / beta[0]) ** 2, rtol=1e-7)
    np.testing.assert_allclose(syn.FREE_BAR[:3], [1, 2.756, 5.404], atol=2e-3)


def test_membrane_modes_are_zeros_of_bessel_functions():
    ratios = syn.membrane_ratios(16)
    np.testing.assert_allclose(ratios[:6], [1, 1.594, 2.136, 2.296, 2.653, 2.918], atol=1e-3)
    first = special.jn_zeros(0, 1)[0]
    for ratio in ratios:  # every one is a zero of some J_m
        assert min(abs(special.jv(m, ratio * first)) for m in range(16)) < 1e-9


def test_string_modes_are_the_poles_of_a_karplus_strong_loop():
    """A loop of 100 samples that averages two neighbors has a delay of 100.5."""
    rate, length = 44100, 100
    a = np.zeros(length + 2)
    a[0], a[length], a[length + 1] = 1.0, -0.5, -0.5
    loop = signal.lfilter([1.0], a, np.eye(1, rate // 2)[0])
    fundamental = rate / (length + 0.5)
    modes = syn.string_modes(fundamental, 1e9, 1 / rate, 0.5)
    for n in (1, 2, 3, 5):
        assert modes.frequency[n - 1] == pytest.approx(fundamental * n)
        early, late = (height_near(loop[k : k + 8820], fundamental * n, 40, rate) for k in (2000, 10820))
        assert np.log(early / late) / 0.2 == pytest.approx(modes.rate[n - 1], rel=0.02, abs=0.02)


def test_brass_spectrum_rises_with_level():
    spectra = syn.brass_spectra(200.0 * np.arange(1, 20), 800.0, np.array([0.0, 0.5, 1.0]))
    share = spectra[:, 9] / spectra[:, 0]
    assert share[0] < share[1] < share[2]
    assert np.log(share[0]) - np.log(share[2]) == pytest.approx(-1800 / 800 * (1 / 0.25 - 1 / 1.75))


def test_resonate_matches_response():
    body = [(700.0, 4.0, 6.0), (2000.0, 2.0, 3.0)]
    t = np.arange(RATE) / RATE
    for f in (700.0, 2000.0):
        out = syn.resonate(np.sin(2 * np.pi * f * t), body, RATE)[RATE // 2 :]
        assert np.sqrt(2) * out.std() == pytest.approx(syn.response(np.array([f]), body)[0], rel=0.1)


# ------------------------------------------------------------------------- kernels


def direct(modes, strokes, n, rate):
    """The sum that ring() promises, term by term."""
    t, out = np.arange(n) / rate, np.zeros(n)
    for onset, _, strength in strokes:
        for f, r, g in zip(modes.frequency, modes.rate, modes.gain, strict=True):
            since = np.maximum(t - onset, 0)
            out += (t >= onset) * strength * g * np.exp(-r * since) * np.sin(2 * np.pi * f * since)
    return out


def test_ring_is_the_sum_of_damped_sinusoids():
    modes = syn.Modes(np.array([220.0, 555.0, 3100.0]), np.array([4.0, 6.0, 9.0]), np.array([1.0, 0.5, -0.3]))
    strokes = [(0.0101, 9.0, 1.0), (0.25003, 9.0, 0.6)]
    expected = direct(modes, strokes, 8000, RATE)
    np.testing.assert_allclose(syn.ring(modes, strokes, 8000, RATE), expected, atol=1e-9)


def test_ring_damps_after_the_end():
    modes = syn.Modes(np.array([400.0]), np.array([1.0]), np.array([1.0]))
    x = syn.ring(modes, [(0.0, 0.2, 1.0)], 8000, RATE, damping=50.0)
    early, late = np.abs(x[3000:3200]).max(), np.abs(x[4800:5000]).max()  # 0.1 s after the end
    assert late / early == pytest.approx(np.exp(-51 * 0.1 - 1 * 0.0125), rel=0.1)


def test_ring_leaves_out_what_the_sample_rate_cannot_hold():
    modes = syn.Modes(np.array([400.0, 7300.0]), np.full(2, 1.0), np.ones(2))
    frequency, height = spectrum(syn.ring(modes, [(0.0, 1.0, 1.0)], 8000, RATE))
    assert height[frequency > 7000].max() < 1e-3 * height.max()
    assert not syn.ring(modes.where(modes.frequency > 7000), [(0.0, 1.0, 1.0)], 100, RATE).any()


def test_split_modes_beat():
    modes = syn.Modes(np.array([500.0]), np.array([0.1]), np.array([1.0])).split(4.0)
    assert np.diff(modes.frequency)[0] == pytest.approx(4.0)
    assert modes.gain.sum() == pytest.approx(1.0)
    x = np.abs(syn.ring(modes, [(0.0, 2.0, 1.0)], RATE, RATE))
    assert x[1900:2100].max() < 0.2 * x[3900:4100].max()  # faint at 1/8 s, loud at 1/4 s


def test_cycles_and_scan_are_a_sum_of_sines():
    spectra = np.array([[1.0, 0.5, 0.0], [0.0, 0.5, 1.0]])
    phase, place = np.linspace(0, 7.3, 5000), np.linspace(0, 1, 5000)
    sines = np.sin(2 * np.pi * np.arange(1, 4)[:, None] * phase)  # (3, n)
    np.testing.assert_allclose(syn.scan(syn.cycles(spectra[0], 9), phase), spectra[0] @ sines, atol=2e-5)
    expected = (1 - place) * (spectra[0] @ sines) + place * (spectra[1] @ sines)
    np.testing.assert_allclose(syn.scan(syn.cycles(spectra, 9), phase, place), expected, atol=2e-5)
    np.testing.assert_allclose(syn.scan(syn.cycles(spectra[1], 2), phase), 0.5 * sines[1], atol=2e-5)


def test_leveled_tames_a_sharp_peak():
    x = 0.02 * np.random.default_rng(0).standard_normal(RATE)
    x[8000:8040] += 1.0
    y = syn.leveled(x, 0, RATE, RATE)
    assert np.abs(y).max() <= 1.0
    assert np.sqrt(np.mean(y**2)) == pytest.approx(syn.LEVEL, rel=0.05)
