"""Put figures and sounds on a notebook page so that everybody can read them.

Every picture carries alt text: :func:`figure` and :func:`gallery` refuse to
show one without. Sounds are MP3 players inside the page; they need no server
and keep the notebook small.

Notebook: 00
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import matplotlib.pyplot as plt
import numpy as np
import soundfile
from IPython.display import HTML, display
from matplotlib.figure import Figure

DPI = 88
SHORTEST_ALT = 20  # characters; a shorter text cannot say what one should see


def _checked(alt: str) -> str:
    if len(alt.strip()) < SHORTEST_ALT:
        raise ValueError(f"alt text {alt!r} is too short: say in a sentence what one should see")
    return " ".join(alt.split())


def figure(fig: Figure, alt: str, *, dpi: int = DPI) -> None:
    """Show a matplotlib figure with alt text, then close it.

    Parameters
    ----------
    fig : Figure
    alt : str
        One sentence (20 characters or more) that says what one should see.
    dpi : int
        Pixels per inch of the PNG in the page.
    """
    alt = _checked(alt)
    png = io.BytesIO()
    fig.savefig(png, format="png", dpi=dpi, bbox_inches="tight", metadata={"Description": alt})
    plt.close(fig)
    display(
        {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": f"Figure: {alt}"},
        raw=True,
        metadata={"image/png": {"alt": alt}},
    )


def mp3(waveform: np.ndarray, sample_rate: int) -> bytes:
    """Encode a mono waveform, (n,) int16 or float in [-1, 1], as MP3."""
    if waveform.dtype != np.int16:
        waveform = np.round(np.clip(waveform, -1, 1) * 32767).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, sample_rate, format="MP3", subtype="MPEG_LAYER_III")
    return buffer.getvalue()


def audible(waveform: np.ndarray, peak: float = 0.5) -> np.ndarray:
    """Bring a quiet recording to one listening level: (n,) int16 or float to float32 with that peak."""
    x = waveform.astype(np.float32)
    return x * (peak / max(float(np.abs(x).max()), 1e-9))


def player(waveform: np.ndarray, sample_rate: int, label: str) -> str:
    """Return the HTML of an audio player; `label` is read aloud by screen readers."""
    data = base64.b64encode(mp3(waveform, sample_rate)).decode()
    return (
        f'<audio controls preload="none" aria-label="{html.escape(label)}" style="width:100%;height:32px" '
        f'src="data:audio/mpeg;base64,{data}"></audio>'
    )


def sound(waveform: np.ndarray, sample_rate: int, label: str) -> None:
    """Show one player with its label; the level is evened out for listening."""
    body = player(audible(waveform), sample_rate, label)
    display(HTML(f'<div style="max-width:420px">{html.escape(label)}<br>{body}</div>'))


@dataclass(frozen=True)
class Card:
    """One tile of a gallery.

    Attributes
    ----------
    caption : str
        Shown under the picture.
    image : (H, W, 3) uint8, optional
    alt : str
        Alt text, needed with an image.
    waveform : (n,) int16 or float, optional
    sample_rate : int
        Needed with a waveform, Hz.
    """

    caption: str
    image: np.ndarray | None = None
    alt: str = ""
    waveform: np.ndarray | None = None
    sample_rate: int = 0


def jpeg_uri(image: np.ndarray, quality: int = 85) -> str:
    """Return an (H, W, 3) uint8 RGB image as a data URI (JPEG)."""
    ok, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"an image of shape {image.shape} and type {image.dtype} cannot be written as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def _tile(card: Card, width: int) -> str:
    picture = ""
    if card.image is not None:
        alt = html.escape(_checked(card.alt))
        picture = f'<img src="{jpeg_uri(card.image)}" alt="{alt}" style="width:100%;border-radius:4px">'
    sounding = ""
    if card.waveform is not None:
        sounding = player(audible(card.waveform), card.sample_rate, f"sound: {card.caption}")
    caption = html.escape(card.caption)
    return (
        f'<div style="width:{width}px">{picture}'
        f'<div style="font-size:90%;line-height:1.3">{caption}</div>{sounding}</div>'
    )


def gallery_html(cards: Sequence[Card], *, width: int = 140) -> str:
    """Return the HTML of a wrapping row of tiles, each `width` pixels wide."""
    tiles = "".join(_tile(card, width) for card in cards)
    return f'<div style="display:flex;flex-wrap:wrap;gap:12px">{tiles}</div>'


def gallery(cards: Sequence[Card], *, width: int = 140) -> None:
    """Show pictures with alt text and sounds with players, side by side."""
    display(HTML(gallery_html(cards, width=width)))
