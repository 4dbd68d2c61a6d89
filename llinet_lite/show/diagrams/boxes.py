"""Boxes, arrows and what is written on them. Distances on the page are inches.

Notebook: 01, 02, 03, 04
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

PAGE = 10.0  # widest drawing, inches
BOX = (0.62, 0.56)  # a box, inches
WIDEST_PITCH = 1.15  # from box to box where there is room, inches
TAIL = 0.25  # room for the arrow that leaves the last box, inches
PICTURE, SOUND, JOINED, MOTION = "C0", "C1", "C2", "C9"  # colours of the course's palette
Step = tuple[str, str]  # text of a box, shape that leaves it
Point = tuple[float, float]


def shape_text(*sizes: int) -> str:
    """Write a shape as 3x8x8."""
    return "x".join(map(str, sizes))


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Open an empty page whose data units are inches."""
    fig = plt.figure(figsize=(width, height))
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.axis("off")
    return fig, ax


def pitch_of(boxes: int) -> float:
    """From box to box in a row of so many, inches."""
    return min(WIDEST_PITCH, (PAGE - TAIL) / boxes)


def box(
    ax: Axes, x: float, y: float, text: str, color: str, *, fill: float = 0.2, outline: str = "-"
) -> None:
    """Draw a box with its centre at (x, y), filled with an opacity of `fill`."""
    width, height = BOX
    place = {"xy": (x - width / 2, y - height / 2), "width": width, "height": height}
    round_corners = "round,pad=0,rounding_size=0.07"
    look = {"facecolor": to_rgba(color, fill), "edgecolor": color, "linestyle": outline}
    ax.add_patch(FancyBboxPatch(**place, boxstyle=round_corners, **look))
    ax.text(x, y, text, ha="center", va="center", fontsize=7.5, linespacing=1.1)


def arrow(ax: Axes, start: Point, end: Point) -> None:
    """Draw an arrow from one point to another."""
    style = {"arrowstyle": "->", "color": "0.3", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", end, start, arrowprops=style)


def stream(
    ax: Axes, x: float, y: float, steps: Sequence[Step], color: str, *, pitch: float, below: bool = False
) -> Point:
    """Draw boxes to the right of x, an arrow between them; return where the last one ends."""
    half = BOX[0] / 2
    for k, (text, shape) in enumerate(steps):
        here = x + k * pitch
        box(ax, here, y, text, color)
        if k + 1 < len(steps):
            arrow(ax, (here + half, y), (here + pitch - half, y))
        lift = (BOX[1] / 2 + 0.06) * (-1 if below else 1)
        ax.text(here + pitch / 2, y + lift, shape, ha="center", va="top" if below else "bottom", fontsize=7.5)
    return x + (len(steps) - 1) * pitch + half, y


def map_picture(ax: Axes, x: float, y: float, side: float, cells: int) -> None:
    """Draw a made-up map of cells x cells, bright in one place, with its centre at (x, y)."""
    rows, columns = np.mgrid[:cells, :cells] / max(cells - 1, 1)
    blob = np.exp(-12 * ((rows - 0.65) ** 2 + (columns - 0.35) ** 2))
    lines = np.linspace(-side / 2, side / 2, cells + 1)
    ax.pcolormesh(x + lines, y + lines, blob[::-1], cmap="magma")


def wire(ax: Axes, *points: Point) -> None:
    """Draw a line with corners through the points, with an arrow head at the last."""
    ax.plot(*zip(*points[:-1], strict=True), color="0.3", linewidth=1, solid_joinstyle="miter")
    arrow(ax, *points[-2:])
