"""Differences between two measurements, with their intervals, around zero.

Notebook: 07, 09
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from llinet_lite.show.plots import PALETTE

__all__ = ["axis_of_gaps", "check_gap", "effects", "gap_legend", "gap_line"]

ABOVE, BELOW, OPEN = PALETTE[0], PALETTE[1], "0.6"  # interval above zero, below it, with zero inside
Effect = tuple[str, float, float, float, str, str]  # name, value, low, high, metric, group


def effects(
    rows: Sequence[Effect],
    *,
    limit: float | None = None,
    xlabel: str = "change of the metric (percentage points)",
) -> Figure:
    """Draw what each of many changes is worth, one line per change (a forest plot).

    Only a line whose interval excludes zero is coloured. The metric and the value stand at the right,
    so that small effects can be read beside large ones.

    Parameters
    ----------
    rows : sequence of (name, value, low, high, unit, group)
        What was changed; difference of shares, -1 to 1, with its interval; the metric it is a difference
        of; the heading it stands under. Rows of one group are drawn together, in the order given.
    limit : float, optional
        End of the axis on both sides, a share; what lies beyond is drawn as an arrow head at the edge.
    xlabel : str

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no row, low <= value <= high does not hold, a value is no difference of shares, or the
        limit is not above zero.

    Notebook: 09
    """
    if not rows:
        raise ValueError("there is no effect to draw: give at least one row")
    if limit is not None and not limit > 0:
        raise ValueError(f"the axis ends at plus and minus limit, which is above zero, not {limit:g}")
    for name, value, low, high, *_ in rows:
        check_gap(name, (value, low, high))
    lines = []  # what stands on every line of the page: a heading or a row
    for group in dict.fromkeys(row[-1] for row in rows):
        lines += [(group, None), *((row[0], row) for row in rows if row[-1] == group)]
    fig, ax = plt.subplots(figsize=(9.5, 1.3 + 0.25 * len(lines)), layout="constrained")
    for y, (_, row) in enumerate(lines):
        if row is None:
            ax.axhspan(y - 0.5, y + 0.5, color="0.95", linewidth=0, zorder=0)
        else:
            gap_line(ax, y, *row[1:4], limit=limit)
    ax.set_yticks(range(len(lines)), [text for text, _ in lines], fontsize=9)
    for label, (_, row) in zip(ax.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if row is None else "normal")
    _name_metrics(ax, [row for _, row in lines])
    axis_of_gaps(ax, len(lines), xlabel, limit)
    gap_legend(fig)
    return fig


def check_gap(name: str, gap: tuple[float, float, float]) -> None:
    """Refuse a (value, low, high) that is no difference of shares with its interval, or with bounds of NaN.

    Raises
    ------
    ValueError
        If low <= value <= high does not hold, or one of them lies outside -1 to 1.

    Notebook: 07, 09
    """
    value, low, high = gap
    if math.isnan(low) and math.isnan(high):  # the spread is not known
        low = high = value
    if not low <= value <= high:
        raise ValueError(f"{name}: {value:g} does not lie in its interval from {low:g} to {high:g}")
    if low < -1 or high > 1:
        raise ValueError(f"{name}: differences of shares go from -1 to 1: divide percentage points by 100")


def gap_line(
    ax: Axes, y: float, value: float, low: float, high: float, *, limit: float | None = None
) -> None:
    """Draw one difference of shares and its interval at height y, in percentage points.

    Parameters
    ----------
    ax : Axes
    y : float
    value, low, high : float
        Shares, -1 to 1; with bounds of NaN only the value is drawn.
    limit : float, optional
        A value beyond it is drawn as an arrow head there; an interval ends there.

    Notebook: 07, 09
    """
    color = ABOVE if low > 0 else BELOW if high < 0 else OPEN
    end = 100 * (limit or 1)
    left, middle, right = (min(max(100 * share, -end), end) for share in (low, value, high))
    marker = "o" if abs(100 * value) <= end else ">" if value > 0 else "<"
    ax.plot([left, right], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
    ax.plot(middle, y, marker, color=color, markersize=6, clip_on=False)


def axis_of_gaps(ax: Axes, lines: int, xlabel: str, limit: float | None = None) -> None:
    """Set up the axes of differences: so many lines from the top, a zero line, percentage points."""
    ax.axvline(0, color="0.35", linewidth=1, zorder=1)
    if limit:
        ax.set_xlim(-100 * limit, 100 * limit)
    ax.set(ylim=(lines - 0.5, -0.5), xlabel=xlabel)
    ax.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(lambda points, _: _signed(points, "g") if points else "0")
    ax.xaxis.grid(True, color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def _name_metrics(ax: Axes, rows: Sequence[Effect | None]) -> None:
    """Write value and metric of each row at the right of the axes, in two columns."""
    for y, row in enumerate(rows):
        if row is not None:
            place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
            ax.annotate(_signed(100 * row[1], ".1f"), (1, y), (44, 0), ha="right", fontsize=9, **place)
            ax.annotate(row[4], (1, y), (52, 0), ha="left", fontsize=9, color="0.35", **place)


def _signed(points: float, how: str) -> str:
    return f"{points:+{how}}".replace("-", "−")  # noqa: RUF001, a minus as wide as the plus


def gap_legend(fig: Figure) -> None:
    """Say below the figure what the colours of :func:`gap_line` mean."""
    meanings = {"interval above zero": ABOVE, "below zero": BELOW, "zero inside": OPEN}
    entries = [
        Line2D([], [], color=color, marker="o", linewidth=2.2, label=label)
        for label, color in meanings.items()
    ]
    fig.legend(handles=entries, loc="outside lower center", ncols=3, fontsize=8)
