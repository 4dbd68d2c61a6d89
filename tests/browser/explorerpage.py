"""The attention explorer as a reader meets it: by the names that its controls are announced with."""

from __future__ import annotations

import base64
import io
import re
from typing import NamedTuple

import matplotlib
import numpy as np
import soundfile
from labpage import LabPage
from PIL import Image
from playwright.sync_api import Locator

NETWORK = "LLINet"  # the listener that the tests look at


class Line(NamedTuple):
    """What the status says of one listener's map: rows and columns from 0."""

    peak: tuple[int, int]
    grid: tuple[int, int]
    iou: str  # as it stands there, "" for none

    @property
    def place(self) -> np.ndarray:
        """The peak's (x, y), in shares of the canvas."""
        return (np.array(self.peak[::-1]) + 0.5) / self.grid[::-1]


class ExplorerPage:
    """The explorer in the notebook that is open."""

    def __init__(self, lab: LabPage):
        self.lab = lab
        self.region = lab.notebook.get_by_role("region", name="attention explorer", exact=True)
        with lab.waiting("the attention explorer on the page"):
            self.region.wait_for()
        named = self.region.get_by_role
        self.picture, self.sound, self.other = (
            named("combobox", name=name, exact=True) for name in ("picture", "sound", "other class")
        )
        self.opacity, self.threshold, self.time = (
            named("slider", name=name, exact=True) for name in ("opacity", "threshold", "time")
        )
        self.film = self.region.locator("audio:not([controls])")  # the player that "play" starts

    def button(self, name: str) -> Locator:
        return self.region.get_by_role("button", name=name, exact=True)

    def listed(self, name: str) -> Locator:
        """One of the lists, as "nearest sounds"."""
        return self.region.get_by_role("region", name=name, exact=True)

    @property
    def status(self) -> str:
        """The line that says it all."""
        return self.region.get_by_role("status").inner_text()

    def told(self, pattern: str, after: str = "") -> str:
        """Wait until the status is not `after` and holds `pattern`; return it."""

        def holds():
            return self.status != after and re.search(pattern, self.status, re.DOTALL | re.MULTILINE)

        self.lab.until(holds, lambda: f"{pattern!r} in the status, which says: {self.status}")
        return self.status

    def canvas(self, listener: str) -> Locator:
        """The canvas of one listener."""
        name = re.compile(rf"^picture with the map of {re.escape(listener)}\b")
        return self.region.locator("canvas").and_(self.lab.page.get_by_label(name))

    @property
    def listeners(self) -> list[str]:
        """The listeners that can be shown."""
        return [box.locator("..").inner_text().strip() for box in self.region.get_by_role("checkbox").all()]

    def pixels(self, listener: str) -> np.ndarray:
        """Return what a canvas shows: (H, W, 3) int16."""
        uri = self.canvas(listener).evaluate("canvas => canvas.toDataURL('image/png')")
        image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
        return np.asarray(image.convert("RGB"), np.int16)

    def settled(self, listener: str) -> np.ndarray:
        """Return the pixels once the picture is decoded and they stand still for a moment."""
        canvas = self.canvas(listener)
        self.lab.until(lambda: not canvas.get_attribute("aria-busy"), f"the picture of {listener}")
        seen = []

        def still():
            self.lab.page.wait_for_timeout(120)
            seen.append(self.pixels(listener))
            return len(seen) > 2 and all(np.array_equal(seen[-1], before) for before in seen[-3:-1])

        self.lab.until(still, f"the canvas of {listener} to stand still")
        return seen[-1]

    def line(self, listener: str) -> Line:
        """What the status says of one listener."""
        (line,) = re.findall(rf"^{re.escape(listener)}: .*$", self.status, re.MULTILINE)
        place = re.search(r"in row (\d+), column (\d+) of (\d+) x (\d+)", line).groups()
        row, column, rows, columns = map(int, place)
        found = re.search(r"IoU (\d\.\d\d)", line)
        return Line((row - 1, column - 1), (rows, columns), found.group(1) if found else "")

    def caption(self, listener: str) -> str:
        """What stands below a canvas."""
        return self.canvas(listener).locator("xpath=../figcaption").inner_text()

    def slide(self, slider: Locator, share: float) -> float:
        """Click a slider at a share of its length; return its value."""
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        slider.click(position={"x": share * box["width"], "y": box["height"] / 2})
        return float(slider.input_value())

    def click_picture(self, listener: str, x: float, y: float) -> None:
        """Click in a picture, at shares of its width and height."""
        canvas = self.canvas(listener)
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        canvas.click(position={"x": x * box["width"], "y": y * box["height"]})

    def upload(self, what: str, name: str, data: bytes) -> None:
        """Choose a file for "upload a photo" or "upload a sound"."""
        chooser = self.region.locator("input[type=file]").and_(self.lab.page.get_by_label(what))
        chooser.set_input_files({"name": name, "mimeType": "", "buffer": data})


def changed(first: np.ndarray, second: np.ndarray, levels: int = 8) -> float:
    """Return the share of pixels of which a colour differs by more than `levels` of 255; 1 for new sizes."""
    if first.shape != second.shape:
        return 1.0
    return float((np.abs(first - second).max(-1) > levels).mean())


def cells(pixels: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Read a map back from a canvas of opacity 1: the value of every cell, (h, w) from 0 to 1.

    Colours are looked up beside the middle of each cell, where a cross leaves them free.
    """
    colours = np.rint(matplotlib.colormaps["magma"](np.arange(256))[:, :3] * 255)
    (h, w), side, values = grid, len(pixels), []
    for down, right in ((0.28, 0.5), (0.72, 0.5), (0.5, 0.28), (0.5, 0.72)):
        y = ((np.arange(h) + down) * side / h).astype(int)
        x = ((np.arange(w) + right) * side / w).astype(int)
        seen = pixels[np.ix_(y, x)]  # (h, w, 3)
        values.append(np.abs(seen[..., None, :] - colours).sum(-1).argmin(-1) / 255)
    return np.mean(values, 0)


def around(pixels: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return the colour at a place of a canvas, in shares of it: the median of 7 x 7 pixels."""
    column, row = round(x * len(pixels)), round(y * len(pixels))
    return np.median(pixels[row - 3 : row + 4, column - 3 : column + 4], (0, 1))


# ------------------------------------------------------------- words, and what the tests bring


def words(of: Locator) -> str:
    """What stands in a part of the page, in one line."""
    return " ".join(of.inner_text().split())


def heard_in(status: str) -> str:
    """How the status names the sound."""
    return re.search(r"heard: (.*)\.$", status, re.MULTILINE).group(1)


def photo() -> np.ndarray:
    """A picture, (200, 320, 3) uint8: a bright disc on a slope of colour."""
    y, x = np.mgrid[:200, :320]
    image = np.stack([x * 255 // 320, y * 255 // 200, np.full_like(x, 90)], -1).astype(np.uint8)
    image[(x - 220) ** 2 + (y - 80) ** 2 < 40**2] = (250, 240, 120)
    return image


def png(image: np.ndarray) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def whistle() -> bytes:
    """A wav file of 2.5 s: a tone that rises from 300 to 900 Hz, 44.1 kHz."""
    time = np.arange(int(2.5 * 44100)) / 44100
    file = io.BytesIO()
    soundfile.write(file, 0.4 * np.sin(2 * np.pi * (300 + 120 * time) * time), 44100, format="WAV")
    return file.getvalue()
