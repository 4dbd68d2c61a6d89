"""Pictures of localization: heat maps over pictures, pointing by class, success curves.

A map holds one probability per cell of a grid laid over the picture. All maps
share one scale from 0 to 1, so that an empty map looks empty.

Notebook: 03
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke

from llinet_lite.metrics.localization.pointing import on_mask, points
from llinet_lite.show.plots import PALETTE

COLORS = ScalarMappable(Normalize(0, 1), "magma")
COLUMNS = ("its own sound", "the other's sound", "silence", "another clip's sound")
_EDGE = [withStroke(linewidth=3, foreground="black")]  # keeps white lines visible on light pictures


def overlay(
    ax: Axes, image: np.ndarray, heat: np.ndarray, mask: np.ndarray | None = None, *, title: str = ""
) -> None:
    """Draw a map over its picture, in grey, so that colour says probability only.

    The map is interpolated bilinearly between the centres of its cells. With a
    mask, its contour is drawn, and a cross at the centre of the largest cell,
    where the map points; the title says whether it is a hit.

    Parameters
    ----------
    ax : Axes
    image : (H, W, 3) uint8 array
    heat : (h, w) array
        Probabilities, 0 to 1.
    mask : (H, W) bool array, optional
        Where the sounding object is seen. Without one, or with an empty one,
        there is nothing to point at: only the largest value is told.
    title : str
        First line of the title; the second tells the outcome.

    Raises
    ------
    ValueError
        If the map is no grid of probabilities, or the mask is not of the picture's size.

    Notebook: 03
    """
    heat = np.asarray(heat, np.float64)
    if heat.ndim != 2 or not ((heat >= 0) & (heat <= 1)).all():
        raise ValueError(
            f"a map is a grid of probabilities from 0 to 1, not {heat.shape} with values from "
            f"{heat.min():.3g} to {heat.max():.3g}: logits need a sigmoid first"
        )
    if mask is not None and mask.shape != image.shape[:2]:
        raise ValueError(f"a mask of {mask.shape} does not fit a picture of {image.shape[:2]}")
    height, width = image.shape[:2]
    grey = 0.25 + 0.75 * image @ np.array([0.299, 0.587, 0.114]) / 255  # lifted: low probabilities darken it
    ax.imshow(grey, cmap="gray", vmin=0, vmax=1)
    ax.imshow(
        heat,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="bilinear",
        cmap=COLORS.cmap,
        norm=COLORS.norm,
        alpha=0.55,
    )
    outcome = f"max {heat.max():.2f}"
    if mask is not None and mask.any():
        outcome = f"{_point(ax, heat, mask)}, {outcome}"
    ax.set_title(f"{title}\n{outcome}".strip(), fontsize=9)
    ax.axis("off")


def _point(ax: Axes, heat: np.ndarray, mask: np.ndarray) -> str:
    """Draw the mask's contour and the cross of the largest cell; say whether it lies in the mask."""
    _contour(ax, mask)
    pixel = points(torch.as_tensor(heat)[None], mask.shape)  # (1, 2)
    y, x = pixel[0].tolist()
    ax.plot(x, y, "x", color="white", markersize=8, markeredgewidth=1.8, path_effects=_EDGE)
    return "hit" if on_mask(pixel, torch.as_tensor(mask)[None]) else "miss"


def _contour(ax: Axes, mask: np.ndarray) -> None:
    ax.contour(mask, levels=[0.5], colors="black", linewidths=2.6)
    ax.contour(mask, levels=[0.5], colors="white", linewidths=1.2)


@dataclass(frozen=True)
class HeatRow:
    """One picture and what the network sees in it for several sounds.

    Attributes
    ----------
    caption : str
        Title of the picture.
    image : (H, W, 3) uint8 array
    heats : (K, h, w) array
        One map per sound, probabilities.
    masks : sequence of K (H, W) bool arrays or None
        Where the object of each sound is seen; None where there is none.
    """

    caption: str
    image: np.ndarray
    heats: np.ndarray
    masks: Sequence[np.ndarray | None]


def heat_wall(rows: Sequence[HeatRow], columns: Sequence[str] = COLUMNS) -> Figure:
    """Draw pictures, one per row, and beside each its maps for several sounds, on one scale.

    Parameters
    ----------
    rows : sequence of HeatRow
    columns : sequence of K str
        What is heard in each column.

    Raises
    ------
    ValueError
        If a row has not a map and a mask (or None) for every column.

    Notebook: 03
    """
    for row in rows:
        if not len(row.heats) == len(row.masks) == len(columns):
            raise ValueError(
                f"{row.caption}: {len(row.heats)} maps and {len(row.masks)} masks for {len(columns)} columns"
            )
    across = len(columns) + 1
    size = (min(10, 0.8 + 1.85 * across), 0.3 + 2.05 * len(rows))
    fig, axes = plt.subplots(len(rows), across, figsize=size, squeeze=False, layout="constrained")
    for line, row in zip(axes, rows, strict=True):
        line[0].imshow(row.image)
        line[0].set_title(row.caption, fontsize=9)
        line[0].axis("off")
        for ax, heat, mask, name in zip(line[1:], row.heats, row.masks, columns, strict=True):
            overlay(ax, row.image, heat, mask, title=name)
    fig.colorbar(COLORS, ax=axes, label="probability of correspondence", fraction=0.02, aspect=30)
    return fig


def pointing_bars(
    rows: Sequence[tuple[str, float, float, float, float]],
    *,
    paper: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Draw pointing accuracy by class, and what pointing at the centre of the picture would get.

    Parameters
    ----------
    rows : sequence of (name, value, low, high, centre)
        Shares of pictures whose largest cell lies on the sounding object, with
        their interval, and the same for the centre of the picture.
    paper : mapping of name to (value, centre), optional
        Published shares, drawn hollow in the row of the same name.

    Notebook: 03
    """
    fig, ax = plt.subplots(figsize=(8, 0.9 + 0.24 * len(rows)))
    for y, (name, value, low, high, centre) in enumerate(rows):
        ax.barh(y, value, height=0.66, color=PALETTE[0], alpha=0.45)
        ax.plot([low, high], [y, y], color=PALETTE[0], linewidth=2.5, solid_capstyle="butt")
        ax.plot(centre, y, "s", color=PALETTE[1], markersize=5)
        if paper and name in paper:
            ax.plot(paper[name][0], y, "D", markerfacecolor="none", markeredgecolor="0.1")
            ax.plot(paper[name][1], y, "s", markerfacecolor="none", markeredgecolor="0.1")
    ax.set_yticks(range(len(rows)), [row[0] for row in rows], fontsize=9)
    ax.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6), xlabel="pointing accuracy (share of pictures)")
    entries = [
        Line2D([], [], color=PALETTE[0], linewidth=6, alpha=0.45, label="network"),
        Line2D([], [], color=PALETTE[0], linewidth=2.5, label="its interval"),
        _marker("s", PALETTE[1], "centre of the picture"),
    ]
    if paper:
        entries += [_marker("D", "none", "paper, network"), _marker("s", "none", "paper, centre")]
    ax.legend(handles=entries, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    return fig


def _marker(marker: str, face, label: str) -> Line2D:
    edge = "0.1" if face == "none" else face
    return Line2D(
        [], [], linestyle="", marker=marker, markerfacecolor=face, markeredgecolor=edge, label=label
    )


def success_curves(thresholds: np.ndarray, curves: Mapping[str, np.ndarray]) -> Figure:
    """Draw the share of pictures whose overlap with the truth reaches a threshold.

    Parameters
    ----------
    thresholds : (T,) array
        Intersection over union, 0 to 1, as `metrics.localization.success_curve` gives them.
    curves : mapping of name to (T,) array
        Shares, 0 to 1; the first is the network's and is drawn strongest. What
        needs no network belongs beside it: a centre disc, the whole image, the
        best that maps of this grid can reach.

    Notebook: 03
    """
    fig, ax = plt.subplots(figsize=(6, 3.6))
    styles = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
    for k, (name, shares) in enumerate(curves.items()):
        look = {"color": PALETTE[k], "linestyle": styles[k % len(styles)], "linewidth": 1.6 if k else 2.6}
        ax.plot(thresholds, shares, label=name, **look)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="overlap threshold t (intersection over union)")
    ax.set_ylabel("share of pictures with overlap ≥ t")
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))
    return fig


def discs(
    ax: Axes, image: np.ndarray, radius: float, mask: np.ndarray | None = None, *, title: str = ""
) -> None:
    """Draw the disc that a localizer without eyes and ears marks in every picture, in its centre.

    Parameters
    ----------
    ax : Axes
    image : (H, W, 3) uint8 array
    radius : float
        In sides of the picture (of the shorter one), 0 to 0.71.
    mask : (H, W) bool array, optional
        Where the object is seen; its contour is drawn.
    title : str

    Notebook: 03
    """
    height, width = image.shape[:2]
    ax.imshow(image)
    if mask is not None and mask.any():
        _contour(ax, mask)
    centre, size = ((width - 1) / 2, (height - 1) / 2), radius * min(height, width)
    ax.add_patch(Circle(centre, size, facecolor=(*PALETTE[1], 0.3), edgecolor=PALETTE[1], linewidth=2))
    ax.set_title(title, fontsize=9)
    ax.axis("off")
