"""Put figures, images, sounds and exercises on a notebook page so that everybody can read them.

Every image carries alt text: :func:`figure` and :func:`gallery` refuse to show one without. Sounds are MP3
players inside the page; they need no server and keep the notebook small.
Notebook: 00
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import soundfile
from IPython.display import HTML, display
from matplotlib import colormaps
from matplotlib.figure import Figure

from llinet_lite.world import INSTRUMENTS, KINDS, Clip, clip

DPI = 88
SHORTEST_ALT = 20  # characters; a shorter text cannot say what one should see


def _checked(alt: str) -> str:
    if len(alt.strip()) < SHORTEST_ALT:
        raise ValueError(f"alt text {alt!r} is too short: say in a sentence what one should see")
    return " ".join(alt.split())


def figure(fig: Figure, alt: str) -> None:
    """Show a matplotlib figure with alt text, a sentence that says what one should see, then close it."""
    alt = _checked(alt)
    png = io.BytesIO()
    fig.savefig(png, format="png", dpi=DPI, bbox_inches="tight", metadata={"Description": alt})
    plt.close(fig)
    data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": f"Figure: {alt}"}
    display(data, raw=True, metadata={"image/png": {"alt": alt}})


# ---------------------------------------------------------------- sounds


def audible(waveform: np.ndarray, peak: float = 0.5) -> np.ndarray:
    """Bring a quiet recording to one listening level: (n,) int16 or float to float32 with that peak."""
    x = waveform.astype(np.float32)
    return x * (peak / max(float(np.abs(x).max()), 1e-9))


def mp3_uri(waveform: np.ndarray, sample_rate: int) -> str:
    """Return a mono waveform, (n,) int16 or float, made audible, as the source of a player."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audible(waveform), sample_rate, format="MP3", subtype="MPEG_LAYER_III")
    return "data:audio/mpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _player(waveform: np.ndarray, sample_rate: int, label: str) -> str:
    return (
        f'<audio controls preload="none" aria-label="{html.escape(label)}" style="width:100%;height:32px" '
        f'src="{mp3_uri(waveform, sample_rate)}"></audio>'
    )


def sound(waveform: np.ndarray, sample_rate: int, label: str) -> None:
    """Show a player of a waveform, (n,) int16 or float, with its label; the level is evened out."""
    body = _player(waveform, sample_rate, label)
    display(HTML(f'<div style="max-width:420px">{html.escape(label)}<br>{body}</div>'))


def sound_image(waveform: np.ndarray, sample_rate: int, *, size: int = 128) -> np.ndarray:
    """Draw a sound as (size, size, 3) uint8: time to the right, mel frequency to 8 kHz upwards, 70 dB."""
    import librosa

    sound = waveform.astype(np.float32) / (32768 if waveform.dtype == np.int16 else 1)
    look = {"n_fft": 2048, "hop_length": 256, "n_mels": 96, "fmax": min(8000, sample_rate / 2)}
    power = librosa.feature.melspectrogram(y=sound, sr=sample_rate, **look)
    level = librosa.power_to_db(power, ref=max(float(power.max()), 1e-12), top_db=70)  # (96, T), 0 is loudest
    shade = cv2.resize(level[::-1] / 70 + 1, (size, size), interpolation=cv2.INTER_AREA)
    return (colormaps["magma"](np.clip(shade, 0, 1))[..., :3] * 255).astype(np.uint8)


# ---------------------------------------------------------------- galleries


@dataclass(frozen=True)
class Card:
    """One tile of a gallery: an image, a sound, or both."""

    caption: str  # shown under the image
    image: np.ndarray | None = None  # (H, W, 3) uint8
    alt: str = ""  # alt text, which `gallery` needs with an image
    waveform: np.ndarray | None = None  # (n,) int16 or float
    sample_rate: int = 0  # Hz, needed with a waveform
    right: bool | None = None  # for `nearest`: whether it is of the query's class
    relevance: float | None = None  # for `nearest`: graded

    def __post_init__(self):
        if self.waveform is not None and self.sample_rate <= 0:
            raise ValueError(f"{self.caption}: a sound needs its sample rate, not {self.sample_rate}")


def jpeg_uri(image: np.ndarray, quality: int = 85) -> str:
    """Return an (H, W, 3) uint8 RGB image as a data URI (JPEG)."""
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def gallery_html(cards: Sequence[Card], *, width: int = 140) -> str:
    """Return the HTML of a wrapping row of tiles, each `width` pixels wide."""
    tiles = "".join(_tile(card, width) for card in cards)
    return f'<div style="display:flex;flex-wrap:wrap;gap:12px">{tiles}</div>'


def _tile(card: Card, width: int) -> str:
    image = sounding = ""
    if card.image is not None:
        source, alt = jpeg_uri(card.image), html.escape(_checked(card.alt))
        image = f'<img src="{source}" alt="{alt}" style="width:100%;height:auto;border-radius:4px">'
    if card.waveform is not None:
        sounding = _player(card.waveform, card.sample_rate, f"sound: {card.caption}")
    caption = f'<div style="font-size:90%;line-height:1.3">{html.escape(card.caption)}</div>'
    return f'<div style="width:{width}px">{image}{caption}{sounding}</div>'


def gallery(cards: Sequence[Card], *, width: int = 140) -> None:
    """Show images with alt text and sounds with players, side by side, each `width` pixels wide."""
    display(HTML(gallery_html(cards, width=width)))


def nearest(query: Card, found: Sequence[Card], *, width: int = 120) -> HTML:
    """Show a query and what was found for it, nearest first, in any of the four directions.

    Sounds are players under their spectrogram. Whether a result is right is told by a word and by the
    border: solid for right, dashed for wrong; each of `found` has `right` set. A tile is `width` pixels wide.
    """
    kind = "picture" if query.image is not None else "sound"
    tiles = [_framed(query, f"query: {kind}", "2px dotted #777", width)]
    for rank, card in enumerate(found, 1):
        if card.right is None:
            raise ValueError(f"result {rank} does not say whether it is right: set Card.right")
        told = "right" if card.right else "wrong"
        told += "" if card.relevance is None else f", relevance {card.relevance:.3g}"
        border = "3px solid #0173b2" if card.right else "3px dashed #d55e00"  # blue, vermilion
        tiles.append(_framed(card, f"{rank}. {told}", border, width))
    row = '<div style="display:flex;flex-wrap:wrap;gap:8px;align-items:flex-start;margin-bottom:10px">'
    return HTML(f"{row}{''.join(tiles)}</div>")


def _framed(card: Card, heading: str, border: str, width: int) -> str:
    image, what = card.image, "picture"
    if image is None:
        image, what = sound_image(card.waveform, card.sample_rate, size=width), "spectrogram of the sound"
    card = Card(card.caption, image, f"{heading}; {what} of: {card.caption}", card.waveform, card.sample_rate)
    return (
        f'<div style="border:{border};border-radius:6px;padding:5px;width:{width}px">'
        f'<div style="font-size:85%;font-weight:600;margin-bottom:3px">{html.escape(heading)}</div>'
        f"{gallery_html([card], width=width)}</div>"
    )


# ---------------------------------------------------------------- a window into the world

SECONDS, SAMPLE_RATE = 2.0, 16000
TOLD = {
    "solo": "a {} being played",
    "duet": "a {} and another instrument, both playing",
    "distractor": "a {} being played beside a silent instrument",
    "offscreen": "another, silent instrument; the {} that sounds is out of the picture",
    "silence": "a {} that nobody plays",
}


class WorldBrowser(widgets.VBox):
    """Look and listen into the built-in world: three controls, one image, one sound.

    `name` is the instrument shown first, `size` the side of the image in pixels. Set the `.value` of
    `instrument`, `kind` and `seed` to drive the browser from code; `clip` is what is shown now.
    """

    def __init__(self, name: str = "violin", *, size: int = 224):
        self.size = size
        style = {"style": {"description_width": "80px"}}
        names = [row.name for row in INSTRUMENTS]
        self.instrument = widgets.Dropdown(options=names, value=name, description="instrument", **style)
        self.kind = widgets.Dropdown(options=KINDS, value="solo", description="scene", **style)
        self.seed = widgets.IntSlider(0, 0, 40, description="seed", continuous_update=False, **style)
        self.page = widgets.HTML()
        self.clip: Clip
        super().__init__([self.instrument, self.kind, self.seed, self.page])
        for control in (self.instrument, self.kind, self.seed):
            control.observe(self._show, names="value")
        self._show()

    def _show(self, _change=None) -> None:
        name, kind, seed = self.instrument.value, self.kind.value, self.seed.value
        self.clip = clip(name, seed, kind=kind, size=self.size, sample_rate=SAMPLE_RATE, seconds=SECONDS)
        alt = f"generated picture, seed {seed}: {TOLD[kind].format(name)}"
        caption = f"{name}, {kind}, seed {seed}"
        card = Card(caption, self.clip.image, alt, self.clip.waveform, SAMPLE_RATE)
        self.page.value = gallery_html([card], width=self.size)

    def __repr__(self) -> str:
        return "WorldBrowser(instrument, scene and seed controls over one picture and one sound)"


# ---- exercises


@dataclass(frozen=True)
class Exercise:
    """One exercise: the reader's answer and the hidden solution go through the same check.

    Examples
    --------
    >>> half = Exercise("Exercise 1", lambda x: None if x == 0.5 else "think of a coin")
    >>> half(0.25)
    Exercise 1: not yet: think of a coin
    >>> half.solve(0.5)
    Exercise 1: the solution above passes the same check.
    """

    name: str
    # of an answer: None if right, else a sentence that says what is wrong
    verdict: Callable[[Any], str | None]

    def __call__(self, answer: Any) -> None:
        """Judge the reader's answer; None or ``...`` counts as not answered yet."""
        if answer is None or answer is ...:
            print(f"{self.name}: not answered yet. Replace the dots and run the cell again.")
            return
        try:
            wrong = self.verdict(answer)
        except Exception as error:  # whatever the reader's code raises is news for the reader
            wrong = f"your answer raised {type(error).__name__}: {error}"
        print(f"{self.name}: {'right!' if wrong is None else 'not yet: ' + wrong}")

    def solve(self, solution: Any) -> None:
        """Check the course's own solution; raises AssertionError if it is wrong."""
        wrong = self.verdict(solution)
        if wrong is not None:
            raise AssertionError(f"the solution of {self.name!r} does not solve it: {wrong}")
        print(f"{self.name}: the solution above passes the same check.")
