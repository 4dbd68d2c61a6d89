"""Figures with alt text, sounds with players, galleries, exercises, the browser of the world."""

from __future__ import annotations

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile

from llinet_lite.show import Card, Exercise, WorldBrowser, nearest, page

ALT = "a picture of something that can be described"
IMAGE, TONE = np.zeros((8, 8, 3), np.uint8), (3000 * np.sin(np.arange(8000))).astype(np.int16)


@pytest.fixture
def shown(monkeypatch):
    """What was displayed."""
    shown = []
    monkeypatch.setattr(page, "display", lambda data, **more: shown.append((data, more)))
    return shown


def test_a_figure_carries_its_alt_text_and_is_closed(shown):
    page.figure(plt.figure(), ALT)
    ((data, more),) = shown
    assert more["metadata"]["image/png"]["alt"] == ALT and data["text/plain"] == f"Figure: {ALT}"
    assert base64.b64decode(data["image/png"])[:8] == b"\x89PNG\r\n\x1a\n"
    assert not plt.get_fignums()


def test_a_player_plays_what_it_was_given(shown):
    page.sound(np.sin(2 * np.pi * 440 * np.arange(16000) / 16000) * 0.5, 16000, 'a "tone"')
    html = shown[0][0].data
    assert 'aria-label="a &quot;tone&quot;"' in html
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(html.split("base64,")[1].split('"')[0])))
    peak = np.argmax(np.abs(np.fft.rfft(sound))) * rate / len(sound)
    assert rate == 16000 and abs(peak - 440) < 2
    assert np.abs(page.audible(np.array([1, -3], np.int16))).max() == pytest.approx(0.5)
    assert not page.audible(np.zeros(4)).any(), "silence stays silent"


def test_a_gallery_names_every_image_and_sound():
    html = page.gallery_html([Card("harp <1>", IMAGE, ALT, TONE, 16000), Card("only text")])
    assert html.count("<img") == html.count(f'alt="{ALT}"') == 1
    assert html.count("<audio") == html.count("aria-label=") == 1
    assert "harp &lt;1&gt;" in html and "only text" in html


def test_what_was_found_is_seen_and_heard():
    """Images are images, sounds get a spectrogram and a player; right and wrong are words and borders."""
    query = Card("violin", waveform=TONE, sample_rate=8000)
    found = [Card("violin", IMAGE, right=True, relevance=20), Card("drum", IMAGE, right=False)]
    html = nearest(query, found).data
    assert html.count("<img") == 3 and html.count("<audio") == 1
    assert 'alt="query: sound; spectrogram of the sound of: violin"' in html
    places = [html.index(text) for text in ("dotted", "1. right, relevance 20", "dashed", "2. wrong")]
    assert places == sorted(places)


@pytest.mark.parametrize(("wrong", "said"), [
    (lambda: page.figure(plt.figure(), "plot"), "alt text"),
    (lambda: page.gallery_html([Card("harp", IMAGE)]), "alt text"),
    (lambda: Card("harp", waveform=TONE), "sample rate"),
    (lambda: nearest(Card("harp", IMAGE), [Card("drum", IMAGE)]), "Card.right"),
])  # fmt: skip
def test_refusals(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()
    plt.close("all")


def test_sound_images_rise_with_the_tone():
    time = np.arange(16000) / 16000
    low, high = (page.sound_image(np.sin(2 * np.pi * hz * time), 16000, size=64) for hz in (500, 3000))
    assert low[:, 32].sum(1).argmax() > high[:, 32].sum(1).argmax(), "higher tones stand higher"


def test_an_exercise_says_what_is_wrong(capsys):
    exercise = Exercise("Exercise 1", lambda n: None if n == 4 else "count the corners")
    for answer in (..., 3, 4):
        exercise(answer)
    Exercise("Exercise 2", lambda f: f())(lambda: 1 / 0)
    exercise.solve(4)
    said = capsys.readouterr().out.splitlines()
    assert "not answered yet" in said[0] and said[1].endswith("not yet: count the corners")
    assert said[2] == "Exercise 1: right!" and "ZeroDivisionError" in said[3]
    with pytest.raises(AssertionError, match="count the corners"):
        exercise.solve(5)


def test_the_browser_follows_its_controls():
    browser = WorldBrowser("violin", size=64)
    first, html = browser.clip.image, browser.page.value
    browser.seed.value = 7
    assert not np.array_equal(browser.clip.image, first) and browser.page.value != html
    browser.instrument.value, browser.kind.value = "tabla", "silence"
    assert "a tabla that nobody plays" in browser.page.value and not browser.clip.mask.any()
