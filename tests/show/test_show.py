"""Figures with alt text, sounds with players, exercises that say what is wrong, the browser of the world."""

from __future__ import annotations

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
import torch

from llinet_lite.features import LogMel
from llinet_lite.show import Card, Exercise, display, plots
from llinet_lite.show.browse import WorldBrowser

ALT = "a picture of something that can be described"


def figure_data(monkeypatch, alt):
    shown = []
    monkeypatch.setattr(display, "display", lambda data, **more: shown.append((data, more)))
    fig, ax = plt.subplots()
    ax.plot([0, 1])
    display.figure(fig, alt)
    return shown[0]


def test_a_figure_carries_its_alt_text(monkeypatch):
    data, more = figure_data(monkeypatch, ALT)
    assert more["metadata"]["image/png"]["alt"] == ALT
    assert data["text/plain"] == f"Figure: {ALT}"
    assert base64.b64decode(data["image/png"])[:8] == b"\x89PNG\r\n\x1a\n"
    assert not plt.get_fignums(), "a figure that was shown must be closed"


def test_a_figure_without_a_real_alt_text_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="alt text"):
        figure_data(monkeypatch, "plot")
    plt.close("all")


def test_a_player_plays_what_it_was_given():
    tone = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000) * 0.5
    page = display.player(tone, 16000, 'a "tone"')
    assert 'aria-label="a &quot;tone&quot;"' in page
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(page.split("base64,")[1].split('"')[0])))
    peak = np.argmax(np.abs(np.fft.rfft(sound))) * rate / len(sound)
    assert rate == 16000 and abs(peak - 440) < 2


def test_listening_level_is_even_and_silence_stays_silent():
    assert np.abs(display.audible(np.array([1, -3], np.int16))).max() == pytest.approx(0.5)
    assert not display.audible(np.zeros(4)).any()


def test_a_gallery_names_every_picture_and_sound():
    picture, tone = np.zeros((8, 8, 3), np.uint8), np.zeros(1600, np.int16)
    page = display.gallery_html([Card("harp <1>", picture, ALT, tone, 16000), Card("only text")])
    assert page.count("<img") == page.count(f'alt="{ALT}"') == 1
    assert page.count("<audio") == page.count("aria-label=") == 1
    assert "harp &lt;1&gt;" in page and "only text" in page
    with pytest.raises(ValueError, match="alt text"):
        display.gallery_html([Card("harp", picture)])


def test_an_exercise_says_what_is_wrong(capsys):
    exercise = Exercise("Exercise 1", lambda n: None if n == 4 else "count the corners")
    for answer in (..., 3, 4):
        exercise(answer)
    said = capsys.readouterr().out.splitlines()
    assert "not answered yet" in said[0] and said[1].endswith("not yet: count the corners")
    assert said[2] == "Exercise 1: right!"


def test_an_answer_that_raises_is_told_so(capsys):
    Exercise("Exercise 2", lambda f: f())(lambda: 1 / 0)
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_a_solution_that_drifted_stops_the_notebook():
    exercise = Exercise("Exercise 3", lambda n: None if n == 4 else "count the corners")
    exercise.solve(4)
    with pytest.raises(AssertionError, match="count the corners"):
        exercise.solve(5)


def test_the_browser_follows_its_controls():
    browser = WorldBrowser("violin", size=64)
    first, page = browser.clip.image, browser.page.value
    browser.seed.value = 7
    assert not np.array_equal(browser.clip.image, first) and browser.page.value != page
    browser.instrument.value, browser.kind.value = "tabla", "silence"
    assert "a tabla that nobody plays" in browser.page.value and not browser.clip.mask.any()
    assert repr(browser) == repr(WorldBrowser("harp", size=64))


def test_scores_show_chance_and_paper():
    fig = plots.scores([("a", 0.6, 0.5, 0.7)], xlabel="accuracy", chance=0.5, paper={"a": 0.8})
    labels = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert labels == ["measured, with interval", "paper", "chance"]
    assert any(np.allclose(line.get_xdata(), 0.8) for line in fig.axes[0].lines if len(line.get_xdata()))
    plt.close(fig)


def test_a_spectrogram_has_units():
    fig, ax = plt.subplots()
    plots.spectrogram(ax, np.random.default_rng(0).normal(size=(9, 20)), seconds=1.0, top_hz=8000)
    assert ax.get_xlabel() == "time (s)" and ax.get_ylabel() == "frequency (kHz)"
    assert ax.get_xlim() == (0, 1) and ax.get_ylim() == (0, 8)
    plt.close(fig)


def test_a_log_mel_names_its_bands_in_hertz():
    """A tone of 1 kHz is brightest in the row that the axis calls 1000."""
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    levels = LogMel(16000)(torch.from_numpy(tone)[None])[0].numpy()  # (101, 40)
    fig, ax = plt.subplots()
    plots.logmel(ax, levels, seconds=1.0, sample_rate=16000)
    row = dict(zip([text.get_text() for text in ax.get_yticklabels()], ax.get_yticks(), strict=True))
    drawn = ax.images[0].get_array()
    assert drawn.shape == (40, 101) and abs(drawn[:, 50].argmax() - row["1000"]) <= 0.5
    assert list(row) == ["250", "500", "1000", "2000", "4000"], "bands end below 8000 Hz"
    assert ax.get_xlabel() == "time (s)" and "Hz" in ax.get_ylabel() and ax.get_xlim() == (0, 1)
    plt.close(fig)
    with pytest.raises(ValueError, match="one of the batch"):
        plots.logmel(ax, levels[None], seconds=1.0, sample_rate=16000)
