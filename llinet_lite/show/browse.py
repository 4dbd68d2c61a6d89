"""A small window into the built-in world: choose who plays, look and listen.

Notebook: 00
"""

from __future__ import annotations

import ipywidgets as widgets

from llinet_lite.show.display import Card, gallery_html
from llinet_lite.world import INSTRUMENTS, KINDS, Clip, clip

SECONDS = 2.0
SAMPLE_RATE = 16000


def describe(name: str, seed: int, kind: str) -> str:
    """Return the alt text of one clip of the world."""
    what = {
        "solo": f"a {name} being played",
        "duet": f"a {name} and another instrument, both playing",
        "distractor": f"a {name} being played beside a silent instrument",
        "offscreen": f"another, silent instrument; the {name} that sounds is out of the picture",
        "silence": f"a {name} that nobody plays",
    }[kind]
    return f"generated picture, seed {seed}: {what}"


class WorldBrowser(widgets.VBox):
    """Three controls, one picture, one sound.

    Parameters
    ----------
    name : str
        Instrument shown first.
    size : int
        Side of the picture, pixels.

    Attributes
    ----------
    instrument, kind, seed : ipywidgets controls
        Set their `.value` to drive the browser from code.
    clip : Clip
        What is shown now.
    """

    def __init__(self, name: str = "violin", *, size: int = 224):
        self.size = size
        style = {"description_width": "80px"}
        self.instrument = widgets.Dropdown(
            options=[row.name for row in INSTRUMENTS], value=name, description="instrument", style=style
        )
        self.kind = widgets.Dropdown(options=KINDS, value="solo", description="scene", style=style)
        self.seed = widgets.IntSlider(
            value=0, min=0, max=40, description="seed", continuous_update=False, style=style
        )
        self.page = widgets.HTML()
        self.clip: Clip
        super().__init__([self.instrument, self.kind, self.seed, self.page])
        for control in (self.instrument, self.kind, self.seed):
            control.observe(self._show, names="value")
        self._show()

    def _show(self, _change=None) -> None:
        name, kind, seed = self.instrument.value, self.kind.value, self.seed.value
        self.clip = clip(name, seed, kind=kind, size=self.size, sample_rate=SAMPLE_RATE, seconds=SECONDS)
        card = Card(
            f"{name}, {kind}, seed {seed}",
            self.clip.image,
            describe(name, seed, kind),
            self.clip.waveform,
            SAMPLE_RATE,
        )
        self.page.value = gallery_html([card], width=self.size)

    def __repr__(self) -> str:
        return "WorldBrowser(instrument, scene and seed controls over one picture and one sound)"
