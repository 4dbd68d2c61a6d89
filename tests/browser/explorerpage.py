"""The attention explorer as a reader meets it: by the names that its controls are announced with."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
from labpage import LabPage
from PIL import Image
from playwright.sync_api import Locator


class ExplorerPage:
    """The explorer in the notebook that is open.

    Parameters
    ----------
    lab : LabPage
    """

    def __init__(self, lab: LabPage):
        self.lab = lab
        self.region = lab.notebook.get_by_role("region", name="attention explorer", exact=True)
        with lab.waiting("the attention explorer on the page"):
            self.region.wait_for()
        self.picture, self.sound, self.other = (
            self.region.get_by_role("combobox", name=name, exact=True)
            for name in ("picture", "sound", "other class")
        )
        self.opacity, self.threshold, self.time = (
            self.region.get_by_role("slider", name=name, exact=True)
            for name in ("opacity", "threshold", "time")
        )

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
        boxes = self.region.get_by_role("checkbox")
        return [
            box.get_attribute("aria-label") or box.locator("..").inner_text().strip() for box in boxes.all()
        ]

    def pixels(self, listener: str) -> np.ndarray:
        """Return what a canvas shows: (H, W, 3) int16."""
        uri = self.canvas(listener).evaluate("canvas => canvas.toDataURL('image/png')")
        image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
        return np.asarray(image.convert("RGB"), np.int16)

    def settled(self, listener: str) -> np.ndarray:
        """Return the pixels once they stand still for a moment."""
        seen = [self.pixels(listener)]

        def still():
            self.lab.page.wait_for_timeout(200)
            seen.append(self.pixels(listener))
            return np.array_equal(seen[-1], seen[-2])

        self.lab.until(still, f"the canvas of {listener} to stand still")
        return seen[-1]

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
