"""What was found for a query: to be seen, heard, and judged without colours."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from llinet_lite.show.nearest import Item, nearest
from llinet_lite.world import Scene

RATE = 16000


def item(seed: int, kind: str, right: bool | None = None, *, rate: int = RATE, **more) -> Item:
    scene = Scene("violin", seed)
    if kind == "picture":
        return Item("violin", image=scene.frame(1.5, 112), right=right, **more)
    return Item("violin", waveform=scene.audio(1, 2, rate), sample_rate=rate, right=right, **more)


class Page(HTMLParser):
    """Count what is on a page, and check that its tags close."""

    def __init__(self, page: str):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(page)
        assert not self.open, f"{self.open} are left open"

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.seen if name == tag]


@pytest.mark.parametrize("asked", ["picture", "sound"])
@pytest.mark.parametrize("found", ["picture", "sound"])
def test_all_four_directions_are_seen_heard_and_small(asked, found):
    page = nearest(item(0, asked), [item(seed, found, seed < 3) for seed in range(1, 6)]).data
    parsed = Page(page)
    pictures, players = parsed.all("img"), parsed.all("audio")
    assert len(pictures) == 6 and len(players) == (asked == "sound") + 5 * (found == "sound")
    assert all(len(picture["alt"]) >= 20 for picture in pictures)
    assert all("violin" in player["aria-label"] for player in players)
    assert len(page) < 150_000


def test_six_seconds_of_full_quality_stay_small():
    found = [item(seed, "sound", True, rate=48000) for seed in range(1, 6)]
    assert len(nearest(item(0, "sound", rate=48000), found).data) < 150_000


def test_right_and_wrong_are_told_by_words_and_lines():
    found = [item(1, "picture", True, relevance=20.0), item(2, "picture", False, relevance=17.5)]
    page = nearest(item(0, "picture"), found).data
    assert (
        "query: picture" in page and "1. right, relevance 20<" in page and "2. wrong, relevance 17.5" in page
    )
    borders = [re.match(r"border:\d+px (\w+)", d.get("style", "")) for d in Page(page).all("div")]
    assert [border[1] for border in borders if border] == ["dotted", "solid", "dashed"]
    assert [picture["alt"].split(";")[0] for picture in Page(page).all("img")] == [
        "query: picture",
        "1. right, relevance 20",
        "2. wrong, relevance 17.5",
    ]


def test_what_is_heard_is_what_was_found():
    tone = np.round(9000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.int16)
    page = nearest(item(0, "picture"), [Item("a tone", waveform=tone, sample_rate=RATE, right=True)]).data
    data = Page(page).all("audio")[0]["src"].split("base64,")[1]
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert rate == RATE and abs(np.argmax(np.abs(np.fft.rfft(sound))) * rate / len(sound) - 440) < 2


def test_captions_cannot_break_the_page():
    page = nearest(item(0, "picture"), [Item('<b>"x"', image=np.zeros((8, 8, 3), np.uint8), right=False)])
    assert "<b>" not in page.data and Page(page.data).all("img")[1]["alt"].endswith('<b>"x"')


def test_a_picture_that_sounds_has_both():
    scene = Scene("harp", 1)
    both = Item("harp", scene.frame(1, 64), scene.audio(0, 1, RATE), RATE, right=True)
    parsed = Page(nearest(item(0, "picture"), [both]).data)
    assert both.kind == "picture" and len(parsed.all("img")) == 2 and len(parsed.all("audio")) == 1


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match="picture or a sound"):
        Item("nothing")
    with pytest.raises(ValueError, match="sample rate"):
        Item("a sound", waveform=np.zeros(10, np.int16))
    with pytest.raises(ValueError, match="nothing was found"):
        nearest(item(0, "picture"), [])
    with pytest.raises(ValueError, match=r"results \[2\] do not say"):
        nearest(item(0, "picture"), [item(1, "picture", True), item(2, "picture")])
