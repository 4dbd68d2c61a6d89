"""Pictures of zero-shot localization: the table of methods, the success plot, and what the sound is worth.

Notebook: 07, 08
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from llinet_lite.show.audit import axis_of_gaps, check_gap, gap_legend, gap_line
from llinet_lite.show.plots import CHANCE, PALETTE

__all__ = ["audio_use", "check_shares", "success_plot", "table_bars"]

TABLE = {"mIoU": "mIoU", "AUC": "AUC (area under the success plot)"}  # columns of the table, and their names
Measured = tuple[float, float, float]  # value, low and high end of its interval
Curve = tuple[Sequence[float], Sequence[float]]  # thresholds and shares
HOLLOW = {"linestyle": "", "marker": "D", "markerfacecolor": "none", "markersize": 6}
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))


def table_bars(
    rows: Mapping[str, Mapping[str, Measured]],
    *,
    paper: Mapping[str, Mapping[str, float]] | None = None,
    constants: Mapping[str, Mapping[str, float]] | None = None,
    controls: Collection[str] = (),
    panels: Mapping[str, str] = TABLE,
) -> Figure:
    """Draw a table of scores: one panel per column, one bar with its interval per row.

    Parameters
    ----------
    rows : mapping of row to mapping of column to (value, low, high)
        Shares, 0 to 1. A row that has no number in a column gets a dash.
    paper : mapping of row to mapping of column to float, optional
        Published values, hollow diamonds; on other data, so to be compared in order and not in height.
    constants : mapping of name to mapping of column to float, optional
        What needs no network (a centre disc, the oracle ceiling, chance): dashed lines, named on top.
    controls : collection of str
        Rows drawn lighter: a network asked with another clip's sound, or with silence.
    panels : mapping of column to what its axis is called

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no row, a column, a control or a published row is unknown, a constant lacks a column, or
        a value is no share: 36.8 stands for 0.368.

    Source: LLINet (2020), its table of localization.

    Notebook: 07, 08
    """
    paper, constants = paper or {}, constants or {}
    top = _top_of_table(rows, paper, constants, controls, panels)
    size = (min(10, 2.4 + 3.8 * len(panels)), 1.6 + 0.34 * len(rows))
    fig, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for ax, (column, title) in zip(axes[0], panels.items(), strict=True):
        ax.set(xlim=(0, top), xlabel=title)
        for y, (name, row) in enumerate(rows.items()):
            _bar(ax, y, row.get(column), paper.get(name, {}).get(column), lighter=name in controls)
        _named_lines(ax, {name: line[column] for name, line in constants.items()})
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].set_yticks(range(len(rows)), list(rows), fontsize=9)
    axes[0, 0].set_ylim(len(rows) - 0.4, -0.6)
    entries = [
        Line2D([], [], color=PALETTE[0], linewidth=6, alpha=0.45, label="measured"),
        Line2D([], [], color=PALETTE[0], linewidth=2.5, label="its interval"),
    ]
    if controls:
        entries.insert(1, Line2D([], [], color=PALETTE[0], linewidth=6, alpha=0.18, label="control"))
    if paper:
        entries.append(Line2D([], [], **HOLLOW, markeredgecolor="0.1", label="paper, other data"))
    fig.legend(handles=entries, loc="outside lower center", ncols=len(entries), fontsize=8)
    return fig


def _top_of_table(
    rows: Mapping[str, Mapping[str, Measured]],
    paper: Mapping[str, Mapping[str, float]],
    constants: Mapping[str, Mapping[str, float]],
    controls: Collection[str],
    panels: Mapping[str, str],
) -> float:
    """Check the names and the values of a table; return where its axes end."""
    if not rows:
        raise ValueError("there is no score to draw: give at least one row")
    known = {column for table in (rows, paper, constants) for row in table.values() for column in row}
    if unknown := known - set(panels):
        raise ValueError(f"columns are {', '.join(panels)}, not {', '.join(sorted(unknown))}")
    if absent := {*controls, *paper} - set(rows):
        raise ValueError(f"{', '.join(sorted(absent))} is not among the rows {', '.join(rows)}")
    for name, line in constants.items():
        if absent := set(panels) - set(line):
            raise ValueError(
                f"{name} has a line in every panel: that of {', '.join(sorted(absent))} is missing"
            )
    values = [value for row in rows.values() for cell in row.values() for value in cell]
    values += [value for table in (paper, constants) for row in table.values() for value in row.values()]
    check_shares(values)
    return min(1.0, np.ceil(10 * max(values) + 0.2) / 10)  # whole markers fit


def check_shares(values: Iterable[float]) -> None:
    """Refuse what is no share from 0 to 1.

    Raises
    ------
    ValueError
        It names the first such value.

    Notebook: 07, 08
    """
    wrong = [value for value in values if not 0 <= value <= 1]
    if wrong:
        raise ValueError(f"values are shares from 0 to 1, not {wrong[0]:g}: divide percent by 100")


def _bar(ax: Axes, y: int, score: Measured | None, published: float | None, *, lighter: bool) -> None:
    if score is None:
        ax.text(0.01, y, "-", va="center", transform=ax.get_yaxis_transform())
    else:
        value, low, high = score
        ax.barh(y, value, height=0.62, color=PALETTE[0], alpha=0.18 if lighter else 0.45)
        ax.plot([low, high], [y, y], color=PALETTE[0], linewidth=2.5, solid_capstyle="butt")
    if published is not None:
        ax.plot(published, y, **HOLLOW, markeredgecolor="0.1", zorder=4)


def _named_lines(ax: Axes, lines: Mapping[str, float]) -> None:
    """Draw vertical lines, each named above the axes; several names are slanted, near ones fanned out."""
    slant = {"rotation": 30, "rotation_mode": "anchor"} if len(lines) > 1 else {"ha": "center"}
    step = 0.08 * ax.get_xlim()[1]
    link = {"arrowstyle": "-", "color": CHANCE["color"], "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    above = ("data", "axes fraction")
    place = -np.inf
    for name, x in sorted(lines.items(), key=lambda line: line[1]):
        place = max(x, place + step)
        ax.axvline(x, **CHANCE)
        ax.annotate("", (x, 1), (place, 1.05), xycoords=above, textcoords=above, arrowprops=link)
        ax.text(place, 1.06, name, transform=ax.get_xaxis_transform(), fontsize=8, color="0.25", **slant)


def success_plot(
    curves: Mapping[str, Curve],
    paper: Mapping[str, Curve] | None = None,
    constants: Mapping[str, Curve] | None = None,
) -> Figure:
    """Draw the share of pictures whose overlap with the truth reaches a threshold, beside the paper's.

    :func:`heat.success_curves` draws curves alone; here each may have published points of its colour.

    Parameters
    ----------
    curves : mapping of name to (thresholds, shares)
        Two sequences of one length, 0 to 1. The first curve is drawn strongest.
    paper : mapping of name to (thresholds, shares), optional
        Published points, hollow markers in the colour of the curve of the same name.
    constants : mapping of name to (thresholds, shares), optional
        Curves of what needs no network, in grey.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If thresholds and shares differ in length, a value is no share, or published points have no curve.

    Source: LLINet (2020), its success plot.

    Notebook: 07
    """
    paper, constants = paper or {}, constants or {}
    if alone := set(paper) - set(curves):
        raise ValueError(f"published points of {', '.join(sorted(alone))}: there is no curve of that name")
    for name, (thresholds, shares) in [*curves.items(), *paper.items(), *constants.items()]:
        if len(thresholds) != len(shares):
            raise ValueError(f"{name}: {len(thresholds)} thresholds for {len(shares)} shares")
        check_shares([*thresholds, *shares])
    fig, ax = plt.subplots(figsize=(7.6, 3.8), layout="constrained")
    for k, (name, curve) in enumerate(constants.items()):
        ax.plot(*curve, color="0.55", linestyle=STYLES[1 + k % 5], linewidth=1.3, label=name)
    for k, (name, curve) in enumerate(curves.items()):
        look = {"color": PALETTE[k], "linestyle": STYLES[k % 6], "linewidth": 1.7 if k else 2.6}
        ax.plot(*curve, **look, label=name)
        if name in paper:
            ax.plot(*paper[name], **HOLLOW, markeredgecolor=PALETTE[k], markeredgewidth=1.4)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="overlap threshold t (intersection over union)")
    ax.set_ylabel("share of pictures with overlap ≥ t")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    lines = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    entries = [lines[name] for name in (*curves, *constants)]
    if paper:
        entries.append(Line2D([], [], **HOLLOW, markeredgecolor="0.3", label="paper: other data and rule"))
    fig.legend(handles=entries, loc="outside right upper", fontsize=8)
    return fig


def audio_use(rows: Mapping[str, Measured], *, xlabel: str = "") -> Figure:
    """Draw what a network loses without its own sound: a difference with its interval around zero.

    A network that finds the object without listening has a gap of zero. Colour says that the interval
    excludes zero.

    Parameters
    ----------
    rows : mapping of name to (value, low, high)
        Score with its own sound minus score with another's or with silence, shares, -1 to 1, as paired
        differences over the same pictures.
    xlabel : str
        What the score is; by default mIoU.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no row, low <= value <= high does not hold, or a value is no difference of shares.

    Notebook: 07
    """
    if not rows:
        raise ValueError("there is no gap to draw: give at least one row")
    for name, gap in rows.items():
        check_gap(name, gap)
    fig, ax = plt.subplots(figsize=(7.4, 1.5 + 0.34 * len(rows)), layout="constrained")
    for y, gap in enumerate(rows.values()):
        gap_line(ax, y, *gap)
    ax.set_yticks(range(len(rows)), list(rows), fontsize=9)
    axis_of_gaps(ax, len(rows), xlabel or "mIoU with its own sound minus without it (percentage points)")
    gap_legend(fig)
    return fig
