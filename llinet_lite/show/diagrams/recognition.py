"""Zero-shot recognition: a class is the mean of its sounds, a picture goes to the nearest one.

Notebook: 08
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from llinet_lite.show.diagrams.boxes import (
    BOX,
    JOINED,
    PICTURE,
    SOUND,
    arrow,
    box,
    canvas,
    shape_text,
    wire,
)

__all__ = ["generalized", "zero_shot"]

PITCH, FIRST = 1.36, 0.5  # between columns; the first one's centre; inches
ACROSS, UP = BOX[0] / 2, BOX[1] / 2
TOP, MIDDLE, BOTTOM, SOUNDS = 3.3, 2.3, 1.3, 0.5  # heights of the rows of the generalized task, inches
GATE = (0.45, 0.3)  # half its width and height, inches
WEIGHTLESS = "0.45"  # colour of boxes that only compute


def _check_sizes(**sizes: int | Sequence[int]) -> None:
    for name, size in sizes.items():
        if np.min(size) < 1:
            raise ValueError(f"{name} is a size, 1 or more, not {size!r}")


def _at(column: float) -> float:
    return FIRST + column * PITCH


def _note(ax: Axes, x: float, y: float, text: str, *, ha: str = "center", va: str = "bottom") -> None:
    """Write what an arrow carries beside it; the text's edge, not its middle, lies at (x, y)."""
    ax.text(x, y, text, ha=ha, va=va, fontsize=7.5, linespacing=1.15)


def zero_shot(
    *, crop: int = 244, frames: int = 303, bands: int = 40, size: int = 1024, unseen: int = 8
) -> Figure:
    r"""Draw zero-shot recognition: sounds make prototypes, and a picture gets the class of the nearest one.

    .. math:: p_c = \frac{1}{n_c} \sum_i a'_{c,i}, \qquad \hat c = \arg\min_c \lVert v' - p_c \rVert_2

    Parameters
    ----------
    crop : int
        Side of the picture, pixels.
    frames, bands : int
        Size of the log-mel spectrograms.
    size : int
        Length of the embeddings.
    unseen : int
        Classes, none of which is known from training.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a size is below 1.

    Source: LLINet (2020); by default with its sizes.

    Notebook: 08
    """
    _check_sizes(crop=crop, frames=frames, bands=bands, size=size, unseen=unseen)
    fig, ax = canvas(8.7, 2.6)
    middle, side, left = 1.4, 2.0, _at(2.5) + 0.4  # of the space; inches
    sound, picture, right = middle + 0.6, middle - 0.6, left + side
    _prototypes(ax, 0, sound, (frames, bands), size)
    eye = [("picture", PICTURE, shape_text(3, crop, crop)), ("image\nencoder", PICTURE, "")]
    _chain(ax, 0, picture, eye)
    _space(ax, left, middle, side, unseen)
    for column, y, text in ((2, sound, f"$p_c$  {unseen}x{size}"), (1, picture, f"$v'$  {size}")):
        start = _at(column) + ACROSS
        arrow(ax, (start, y), (left, y))
        _note(ax, (start + left) / 2, y + 0.06, text)
    last = right + 0.85 + ACROSS
    arrow(ax, (right, middle), (last - ACROSS, middle))
    _note(ax, right + 0.425, middle + 0.06, f"{unseen}\ndistances")
    box(ax, last, middle, "arg min", JOINED)
    arrow(ax, (last + ACROSS, middle), (last + ACROSS + 0.8, middle))
    _note(ax, last + ACROSS + 0.4, middle + 0.06, f"1 of {unseen}\nclasses")
    return fig


def _chain(ax: Axes, column: int, y: float, steps: Sequence[tuple[str, str, str]]) -> None:
    """Draw boxes (text, colour, what leaves it) from a column on, with arrows between them."""
    for k, (text, color, leaves) in enumerate(steps, column):
        box(ax, _at(k), y, text, color, fill=0 if color == WEIGHTLESS else 0.2)
        if k + 1 < column + len(steps):
            arrow(ax, (_at(k) + ACROSS, y), (_at(k + 1) - ACROSS, y))
            _note(ax, _at(k + 0.5), y + 0.06, leaves)


def _prototypes(ax: Axes, column: int, y: float, area: tuple[int, int], size: int) -> None:
    """Draw three boxes from a column on: the sounds of a class, the audio encoder, the mean."""
    steps = [
        ("sounds\nof class c", SOUND, f"n x {shape_text(*area)}"),
        ("audio\nencoder", SOUND, f"n x {size}"),
        ("mean\nover n", WEIGHTLESS, ""),
    ]
    _chain(ax, column, y, steps)


def _space(ax: Axes, left: float, middle: float, side: float, unseen: int) -> None:
    """Draw a made-up space: prototypes as stars, a picture as a dot, and its distances to the stars."""
    ax.add_patch(Rectangle((left, middle - side / 2), side, side, fill=False, edgecolor="0.7"))
    count = min(unseen, 8)
    turn = 2 * np.pi * np.arange(count) / count
    radius = side * np.resize([0.40, 0.30, 0.38, 0.34, 0.41], count)
    stars = np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius[:, None] + (
        left + side / 2,
        middle,
    )  # (K, 2)
    dot = np.array([left + 0.56 * side, middle - 0.06 * side])
    nearest = np.linalg.norm(stars - dot, axis=1).argmin()
    for k, star in enumerate(stars):
        mine = {"color": "0.2", "linewidth": 1.6} if k == nearest else {"color": "0.75", "linewidth": 0.8}
        ax.plot(*np.stack([dot, star]).T, **mine, zorder=1)
    ax.plot(*stars.T, "*", color=SOUND, markeredgecolor="0.2", markeredgewidth=0.6, markersize=12)
    ax.plot(*dot, "o", color=PICTURE, markeredgecolor="0.2", markeredgewidth=0.6, markersize=8)
    legend = {"★": (SOUND, "prototype $p_c$"), "●": (PICTURE, "picture $v'$")}
    for x, (glyph, (color, text)) in zip((0.02, 0.62), legend.items(), strict=True):
        y = middle - side / 2 - 0.06
        ax.text(left + x * side, y, glyph, color=color, va="top", fontsize=8)
        ax.text(left + x * side + 0.16, y, text, va="top", fontsize=7.5)


def generalized(
    *,
    crop: int = 244,
    frames: int = 303,
    bands: int = 40,
    size: int = 1024,
    seen: int = 24,
    unseen: int = 8,
) -> Figure:
    r"""Draw generalized zero-shot recognition: a gate sends a picture to the seen or the unseen classes.

    .. math:: \hat c = \arg\max_{c\ \mathrm{seen}} q_c \ \text{ if } \max_c q_c \ge \theta,
        \ \text{ else } \arg\min_{c\ \mathrm{unseen}} \lVert v' - p_c \rVert_2

    with probabilities q of the seen classes, prototypes p of the unseen ones and the threshold θ.

    Parameters
    ----------
    crop : int
        Side of the picture, pixels.
    frames, bands : int
        Size of the log-mel spectrograms.
    size : int
        Length of the embeddings.
    seen, unseen : int
        Numbers of classes.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a size is below 1.

    Source: LLINet (2020), which states neither the gate's threshold nor how it is found.

    Notebook: 08
    """
    _check_sizes(crop=crop, frames=frames, bands=bands, size=size, seen=seen, unseen=unseen)
    fig, ax = canvas(9.6, 3.8)
    eye = [("picture", PICTURE, shape_text(3, crop, crop)), ("image\nencoder", PICTURE, "")]
    _chain(ax, 0, MIDDLE, eye)
    fork, gate = _at(1.5), _at(5)
    ax.plot((_at(1) + ACROSS, fork), (MIDDLE, MIDDLE), color="0.3", linewidth=1)
    wire(ax, (fork, MIDDLE), (fork, TOP), (_at(2) - ACROSS, TOP))
    wire(ax, (fork, MIDDLE), (fork, BOTTOM), (gate - ACROSS, BOTTOM))
    _note(ax, fork + 0.06, MIDDLE, f"$v'$  {size}", ha="left", va="center")
    _note(ax, _at(3), BOTTOM + 0.06, f"$v'$  {size}")
    _classifier(ax, gate, seen)
    _prototypes(ax, 2, SOUNDS, (frames, bands), size)
    wire(ax, (_at(4) + ACROSS, SOUNDS), (gate, SOUNDS), (gate, BOTTOM - UP))
    _note(ax, _at(4.5), SOUNDS + 0.06, f"$p_c$  {unseen}x{size}")
    _answers(ax, gate, {TOP: ("arg max", "seen", seen), BOTTOM: ("nearest\nproto-\ntype", "unseen", unseen)})
    return fig


def _classifier(ax: Axes, gate: float, seen: int) -> None:
    """Draw the classifier of the seen classes, and the way of its largest probability to the gate."""
    steps = [("classifier\nof seen\nclasses", PICTURE, str(seen)), ("softmax", WEIGHTLESS, "")]
    _chain(ax, 2, TOP, steps)
    arrow(ax, (_at(3) + ACROSS, TOP), (gate - ACROSS, TOP))
    _note(ax, _at(4), TOP + 0.06, f"$q$  {seen}")
    turn = _at(3.5)
    wire(ax, (turn, TOP), (turn, MIDDLE), (_at(4) - ACROSS, MIDDLE))
    box(ax, _at(4), MIDDLE, "largest\nof $q$", WEIGHTLESS, fill=0)
    _note(ax, _at(4), MIDDLE - UP - 0.06, "confidence", va="top")
    arrow(ax, (_at(4) + ACROSS, MIDDLE), (gate - GATE[0], MIDDLE))
    _note(ax, (_at(4) + ACROSS + gate - GATE[0]) / 2, MIDDLE + 0.06, "1")


def _answers(ax: Axes, gate: float, roads: Mapping[float, tuple[str, str, int]]) -> None:
    """Draw the gate, and above and below it, at the heights of the roads, the two ways to a class."""
    corners = [
        (gate - GATE[0], MIDDLE),
        (gate, MIDDLE + GATE[1]),
        (gate + GATE[0], MIDDLE),
        (gate, MIDDLE - GATE[1]),
    ]
    ax.add_patch(Polygon(corners, facecolor=to_rgba(JOINED, 0.2), edgecolor=JOINED))
    ax.text(gate, MIDDLE, r"$\geq \theta$ ?", ha="center", va="center", fontsize=9)
    for y, (text, kind, count) in roads.items():
        side = np.sign(y - MIDDLE)
        arrow(ax, (gate, MIDDLE + side * GATE[1]), (gate, y - side * UP))
        _note(ax, gate + 0.08, (y + MIDDLE) / 2, "yes" if side > 0 else "no", ha="left", va="center")
        box(ax, gate, y, text, PICTURE if side > 0 else SOUND)
        arrow(ax, (gate + ACROSS, y), (_at(6) - 0.1, y))
        _note(ax, _at(6), y, f"{kind} class\n(1 of {count})", ha="left", va="center")
