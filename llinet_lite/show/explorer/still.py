"""The explorer as a figure, for pages that nobody computes.

Notebook: 07
"""

from __future__ import annotations

from collections.abc import Iterable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from llinet_lite.show import figures as heat
from llinet_lite.show.explorer.items import Picture
from llinet_lite.show.explorer.stage import Answer


def still(answers: Iterable[Answer], picture: Picture, threshold: float, title: str) -> tuple[Figure, str]:
    """Draw the answers of several listeners side by side, and say in words what one should see.

    The outline of what sounds is solid, that of the map above the threshold dashed, the cross is the
    highest cell.

    Returns
    -------
    Figure, alt text

    Notebook: 07
    """
    answers = list(answers)
    count = len(answers) + 1
    fig, axes = plt.subplots(1, count, figsize=(min(10, 0.9 + 2.5 * count), 3.4), layout="constrained")
    axes[0].imshow(picture.image)
    axes[0].set_title(picture.caption, fontsize=9)
    axes[0].axis("off")
    told = []
    for ax, answer in zip(axes[1:], answers, strict=True):
        pointed = None if answer.flat else answer.truth  # a map without a highest cell gets no cross
        heat.overlay(ax, answer.image, answer.shares, pointed, title=answer.title)
        if answer.flat and answer.truth is not None:
            _outline(ax, answer.truth, "solid")
        prediction = answer.prediction(threshold)
        if prediction.any() and not prediction.all():
            _outline(ax, prediction, "dashed")
        iou = answer.iou(threshold)
        said = "no IoU" if iou is None else f"IoU {iou:.2f}"
        ax.set_title(f"{answer.title}\n{said}", fontsize=9)
        told.append(f"{answer.title} {said}")
    fig.suptitle(title, fontsize=10)
    marks = [
        Line2D([], [], color="0.2", label="what sounds"),
        Line2D([], [], color="0.2", linestyle="--", label=f"map above {threshold:.2f} of its scale"),
        Line2D([], [], color="0.2", linestyle="", marker="x", label="highest cell"),
    ]
    fig.legend(handles=marks, loc="outside lower center", ncols=3, fontsize=8)
    alt = (
        f"Still of the attention explorer: {title}. Beside the picture the maps of {', '.join(told)}, "
        f"at threshold {threshold:.2f}: solid is the outline of what sounds, dashed that of the map above it "
        "and a cross the highest cell."
    )
    return fig, alt


def _outline(ax: Axes, area: np.ndarray, style: str) -> None:
    ax.contour(area, levels=[0.5], colors="black", linewidths=2.2)
    ax.contour(area, levels=[0.5], colors="white", linewidths=1.2, linestyles=style)
