"""What was asked for and what was found, to be seen and heard.

Notebook: 02
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from IPython.display import HTML

from llinet_lite.show.display import Card, gallery_html
from llinet_lite.show.sheet import sound_picture

_ASKED = "2px dotted #777"
_BORDERS = {True: "3px solid #0173b2", False: "3px dashed #d55e00"}  # blue and vermilion of the palette


@dataclass(frozen=True)
class Item:
    """A picture, or a sound, as a query or as something found.

    Attributes
    ----------
    caption : str
        Usually its class.
    image : (H, W, 3) uint8, optional
    waveform : (n,) int16, optional
        A player is shown for it, and its spectrogram where there is no picture.
    sample_rate : int
        Needed with a waveform, Hz.
    right : bool, optional
        Whether it is of the query's class; needed for what was found.
    relevance : float, optional
        Its graded relevance, shown as it is.

    Raises
    ------
    ValueError
        If there is neither a picture nor a sound, or a sound without a sample rate.
    """

    caption: str
    image: np.ndarray | None = None
    waveform: np.ndarray | None = None
    sample_rate: int = 0
    right: bool | None = None
    relevance: float | None = None

    def __post_init__(self):
        if self.image is None and self.waveform is None:
            raise ValueError(f"{self.caption}: an item needs a picture or a sound")
        if self.waveform is not None and self.sample_rate <= 0:
            raise ValueError(f"{self.caption}: a sound needs its sample rate, not {self.sample_rate}")

    @property
    def kind(self) -> str:
        """What it is: "picture" or "sound"."""
        return "picture" if self.image is not None else "sound"


def nearest(query: Item, found: Sequence[Item], *, width: int = 120) -> HTML:
    """Show a query and what was found for it, nearest first, in any of the four directions.

    Pictures are tiles; sounds are players under their spectrogram. Whether a
    result is right is told by a word and by the border: solid for right,
    dashed for wrong. Five results of a second each make less than 150 kB.

    Parameters
    ----------
    query : Item
    found : sequence of Item
        Nearest first, each with `right` set.
    width : int
        Of a tile, pixels.

    Returns
    -------
    IPython.display.HTML
        The last line of a cell shows it; `display` shows several.

    Raises
    ------
    ValueError
        If nothing was found, or it is not known whether a result is right.

    Notebook: 02
    """
    if not found:
        raise ValueError(f"nothing was found for {query.caption}: give the nearest items, nearest first")
    unknown = [rank for rank, item in enumerate(found, 1) if item.right is None]
    if unknown:
        raise ValueError(f"results {unknown} do not say whether they are right: set Item.right")
    tiles = [_tile(query, f"query: {query.kind}", _ASKED, width)]
    for rank, item in enumerate(found, 1):
        tiles.append(_tile(item, f"{rank}. {_verdict(item)}", _BORDERS[item.right], width))
    row = '<div style="display:flex;flex-wrap:wrap;gap:8px;align-items:flex-start;margin-bottom:10px">'
    return HTML(f"{row}{''.join(tiles)}</div>")


def _verdict(item: Item) -> str:
    word = "right" if item.right else "wrong"
    return word if item.relevance is None else f"{word}, relevance {item.relevance:.3g}"


def _tile(item: Item, heading: str, border: str, width: int) -> str:
    """A heading over a picture or spectrogram with its caption, and a player if it sounds."""
    picture, what = item.image, "picture"
    if picture is None:
        picture, what = sound_picture(item.waveform, item.sample_rate, size=width), "spectrogram of the sound"
    alt = f"{heading}; {what} of: {item.caption}"
    card = Card(item.caption, picture, alt, item.waveform, item.sample_rate)
    return (
        f'<div style="border:{border};border-radius:6px;padding:5px;width:{width}px">'
        f'<div style="font-size:85%;font-weight:600;margin-bottom:3px">{html.escape(heading)}</div>'
        f"{gallery_html([card], width=width)}</div>"
    )
