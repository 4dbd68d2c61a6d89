"""Pictures of retrieval: the table of methods, curves over the epochs, and what a protocol is worth.

Notebook: 02, 06
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from llinet_lite.show.plots import CHANCE, PALETTE

TABLE_1 = {  # columns of the paper's Table 1, query first, and what stands above them
    "mAP I2A": "mAP\npicture → sound",
    "R@1 I2A": "R@1\npicture → sound",
    "mAP A2I": "mAP\nsound → picture",
    "R@1 A2I": "R@1\nsound → picture",
}
Measured = tuple[float, float, float]  # value, low and high end of its interval
_HOLLOW = {"markerfacecolor": "none", "markeredgecolor": "0.1", "markersize": 6}


def table_bars(
    rows: Mapping[str, Mapping[str, Measured]],
    *,
    chance: Mapping[str, float],
    paper: Mapping[str, Mapping[str, float]],
    panels: Mapping[str, str] = TABLE_1,
    xlabel: str = "",
    percent: bool = True,
    top: float | None = None,
) -> Figure:
    """Draw a retrieval table: one panel per column, one bar with its interval per method.

    Parameters
    ----------
    rows : mapping of method to mapping of column to (value, low, high)
        Shares, 0 to 1. A method that has no number in a column gets a dash.
    chance : mapping of column to float
        What a random ranking of the same gallery gets, in every column.
    paper : mapping of method to mapping of column to float
        Published values, hollow diamonds; on other data, so to be compared in order and not in height.
    panels : mapping of column to title
        Columns to draw, left to right.
    xlabel : str
    percent : bool
        Write the shares on the axes as percent.
    top : float, optional
        End of the axes; by default a tenth above all that is drawn.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is unknown or a value is no share: 49.3 stands for 0.493.

    Notebook: 02, 06
    """
    drawn = _drawn_values(rows, chance, paper, panels)
    top = top or min(1.0, np.ceil(10 * max(drawn) + 0.2) / 10)  # whole markers fit
    fig, axes = plt.subplots(
        1,
        len(panels),
        figsize=(10, 1.5 + 0.34 * len(rows)),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, (column, title) in zip(axes[0], panels.items(), strict=True):
        for y, (method, row) in enumerate(rows.items()):
            _bar(ax, y, row.get(column), paper.get(method, {}).get(column))
        ax.axvline(chance[column], **CHANCE)
        ax.set(xlim=(0, top), xlabel=xlabel, title=title)
    if percent:
        axes[0, 0].xaxis.set_major_locator(MaxNLocator(3))
        axes[0, 0].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    else:
        axes[0, 0].set_xticks([0, top / 2, top], ["0", f"{top / 2:g}", f"{top:g}"])
    axes[0, 0].set_yticks(range(len(rows)), list(rows), fontsize=9)
    axes[0, 0].invert_yaxis()
    entries = [
        Line2D([], [], color=PALETTE[0], linewidth=6, alpha=0.45, label="measured"),
        Line2D([], [], color=PALETTE[0], linewidth=2, label="its interval"),
        Line2D([], [], linestyle="", marker="D", **_HOLLOW, label="paper, other data"),
        Line2D([], [], label="random ranking", **CHANCE),
    ]
    fig.legend(handles=entries, loc="outside lower center", ncols=4, fontsize=8)
    return fig


def _drawn_values(
    rows: Mapping[str, Mapping[str, Measured]],
    chance: Mapping[str, float],
    paper: Mapping[str, Mapping[str, float]],
    panels: Mapping[str, str],
) -> list[float]:
    """Check that columns are known and values are shares; return all the values."""
    known = {column for row in (*rows.values(), *paper.values(), chance) for column in row}
    if unknown := known - set(panels):
        raise ValueError(f"columns are {', '.join(panels)}, not {', '.join(sorted(unknown))}")
    if missing := set(panels) - set(chance):
        raise ValueError(f"every panel has a chance line: that of {', '.join(sorted(missing))} is missing")
    values = [value for row in rows.values() for cell in row.values() for value in cell]
    values += [value for row in (*paper.values(), chance) for value in row.values()]
    _check_shares(values)
    return values


def _check_shares(values: Iterable[float]) -> None:
    wrong = [value for value in values if not 0 <= value <= 1]
    if wrong:
        raise ValueError(f"values are shares from 0 to 1, not {wrong[0]:g}: divide percent by 100")


def _bar(ax: Axes, y: int, score: Measured | None, published: float | None) -> None:
    if score is None:
        ax.text(0.02, y, "-", va="center")
    else:
        value, low, high = score
        ax.barh(y, value, height=0.62, color=PALETTE[0], alpha=0.45)
        ax.plot([low, high], [y, y], color=PALETTE[0], linewidth=2.5, solid_capstyle="butt")
    if published is not None:
        ax.plot(published, y, "D", **_HOLLOW)


def learning_curves(
    curves: Mapping[str, Sequence[float]],
    *,
    chance: float,
    chosen: Mapping[str, int],
    unseen: Mapping[str, Sequence[float]] | None = None,
    unseen_chance: float | None = None,
    ylabel: str = "mAP",
    columns: int = 5,
) -> Figure:
    """Draw a metric by epoch, one small panel per method, and the epoch that was chosen by it.

    With `unseen`, the metric on the test classes stands beside it, dashed: at its value in the chosen
    epoch (filled), which is to be reported, and at its best (hollow), which would be found by looking
    at the test set.

    Parameters
    ----------
    curves : mapping of method to sequence of float
        Metric on held-out pairs of seen classes after epoch 1, 2, ..., shares from 0 to 1.
    chance : float
        What a random ranking gets of these.
    chosen : mapping of method to int
        Epoch, counted from 1, whose network was kept.
    unseen : mapping of method to sequence of float, optional
        The same metric on pairs of unseen classes, after the same epochs; methods may be missing.
    unseen_chance : float, optional
        What a random ranking gets of those; needed with `unseen`.
    ylabel : str
        What the metric is.
    columns : int
        Panels per row.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a chosen epoch is missing or not among those drawn, curves of one method differ in length,
        a value is no share, or `unseen` comes without its chance.

    Notebook: 06
    """
    unseen = unseen or {}
    _check_curves(curves, chosen, unseen, unseen_chance)
    columns = min(columns, len(curves))
    rows = -(-len(curves) // columns)
    size = (max(4.0, 2 * columns), 0.9 + 1.75 * rows)
    fig, axes = plt.subplots(
        rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for ax in axes.flat[len(curves) :]:
        ax.set_visible(False)
    for k, (method, ax) in enumerate(zip(curves, axes.flat, strict=False)):
        _learning(ax, np.asarray(curves[method]), chosen[method], chance, PALETTE[0], "-")
        if method in unseen:
            values = np.asarray(unseen[method])
            _learning(ax, values, chosen[method], unseen_chance, PALETTE[1], "--")
            ax.plot(1 + values.argmax(), values.max(), "D", **_HOLLOW)
        ax.axvline(chosen[method], color="0.75", linewidth=1, zorder=0)
        ax.set_title(method, fontsize=9)
        ax.tick_params(labelsize=8, labelbottom=k + columns >= len(curves))
        if k % columns == 0:
            ax.set_ylabel(ylabel)
        if k + columns >= len(curves):
            ax.set_xlabel("epoch", fontsize=9)
    axes[0, 0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[0, 0].set_ylim(bottom=0)
    fig.legend(handles=_learning_legend(bool(unseen)), loc="outside lower center", ncols=3, fontsize=8)
    return fig


def _check_curves(
    curves: Mapping[str, Sequence[float]],
    chosen: Mapping[str, int],
    unseen: Mapping[str, Sequence[float]],
    unseen_chance: float | None,
) -> None:
    if unseen and unseen_chance is None:
        raise ValueError("curves of unseen classes have a chance of their own: give unseen_chance")
    if unknown := set(unseen) - set(curves):
        raise ValueError(
            f"{', '.join(sorted(unknown))}: unseen classes only, the seen classes' curve is missing"
        )
    for method, values in curves.items():
        if not 1 <= chosen.get(method, 0) <= len(values):
            raise ValueError(f"{method}: epoch {chosen.get(method)} is not one of 1 to {len(values)}")
        if method in unseen and len(unseen[method]) != len(values):
            raise ValueError(
                f"{method}: {len(values)} epochs on seen and {len(unseen[method])} on unseen classes"
            )
        _check_shares([*values, *unseen.get(method, ())])


def _learning(ax: Axes, values: np.ndarray, epoch: int, chance: float, color: tuple, line: str) -> None:
    ax.plot(np.arange(1, len(values) + 1), values, line, color=color, linewidth=1.6)
    ax.plot(epoch, values[epoch - 1], "o", color=color, markersize=5)
    ax.axhline(chance, **{**CHANCE, "linestyle": ":", "color": color})


def _learning_legend(unseen: bool) -> list[Line2D]:
    entries = [
        Line2D([], [], color=PALETTE[0], label="held-out pairs of seen classes"),
        Line2D(
            [], [], color="0.75", marker="o", markerfacecolor="0.3", label="chosen epoch, by seen classes"
        ),
        Line2D([], [], color="0.3", linestyle=":", label="random ranking"),
    ]
    if unseen:
        entries[1:1] = [Line2D([], [], color=PALETTE[1], linestyle="--", label="unseen (test) classes")]
        entries.append(
            Line2D([], [], linestyle="", marker="D", **_HOLLOW, label="best epoch on the test classes")
        )
    return entries


def released_against_honest(
    honest: Mapping[str, Mapping[str, Measured]],
    released: Mapping[str, Mapping[str, Measured]],
    *,
    chance: Mapping[str, float],
    panels: Mapping[str, str] | None = None,
) -> Figure:
    """Draw mAP over all queries beside that over one query per class, which the released code computes.

    Above each panel stands how many pairs of methods change their order between the two.

    Parameters
    ----------
    honest : mapping of method to mapping of column to (value, low, high)
        mAP over all queries, shares, with its interval.
    released : the same
        mAP over the first query of each class; low and high are quantiles of the same over random
        choices of these queries, so that the value may lie outside.
    chance : mapping of column to float
        What a random ranking gets.
    panels : mapping of column to title, optional
        By default the two columns of mAP of TABLE_1. A column says what the query is; the released
        code prints the two the other way round.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the two do not have the same methods and columns, or a value is no share.

    Notebook: 06
    """
    panels = panels or {column: title for column, title in TABLE_1.items() if column.startswith("mAP")}
    if list(honest) != list(released):
        raise ValueError(
            f"methods differ: {list(honest)} over all queries, {list(released)} over one per class"
        )
    for rows in (honest, released):
        lacking = [f"{method}, {c}" for method, row in rows.items() for c in panels if c not in row]
        if lacking:
            raise ValueError(f"there is no value for {'; '.join(lacking)}")
        _check_shares(value for row in rows.values() for column in panels for value in row[column])
    fig, axes = plt.subplots(
        1,
        len(panels),
        figsize=(10, 1.5 + 0.4 * len(honest)),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, (column, title) in zip(axes[0], panels.items(), strict=True):
        for y, method in enumerate(honest):
            _two_protocols(ax, y, honest[method][column], released[method][column])
        ax.axvline(chance[column], **CHANCE)
        title = title.replace("\n", ", ")
        ax.set_title(f"{title}\n{_order_changes(honest, released, column)}", fontsize=10)
        ax.set_xlabel("mAP")
    axes[0, 0].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].set_xlim(left=0)
    axes[0, 0].set_yticks(range(len(honest)), list(honest), fontsize=9)
    axes[0, 0].invert_yaxis()
    entries = [
        Line2D([], [], color=PALETTE[0], marker="o", linewidth=2.5, label="all queries, with interval"),
        Line2D([], [], linestyle="", marker="D", **_HOLLOW, label="first query of each class (as released)"),
        Line2D([], [], color=PALETTE[1], linewidth=7, alpha=0.35, label="random queries, one per class"),
        Line2D([], [], label="random ranking", **CHANCE),
    ]
    fig.legend(handles=entries, loc="outside lower center", ncols=4, fontsize=8)
    return fig


def _two_protocols(ax: Axes, y: int, honest: Measured, released: Measured) -> None:
    value, low, high = honest
    ax.plot(released[1:], [y + 0.17] * 2, color=PALETTE[1], linewidth=7, alpha=0.35, solid_capstyle="butt")
    ax.plot(released[0], y + 0.17, "D", **_HOLLOW)
    ax.plot([low, high], [y - 0.17] * 2, color=PALETTE[0], linewidth=2.5, solid_capstyle="butt")
    ax.plot(value, y - 0.17, "o", color=PALETTE[0], markersize=6)


def _order_changes(
    honest: Mapping[str, Mapping[str, Measured]], released: Mapping[str, Mapping[str, Measured]], column: str
) -> str:
    """Count the pairs of methods of which the better one by all queries is not so by one query per class."""
    pairs = list(combinations(honest, 2))
    turned = [
        (a, b)
        for a, b in pairs
        if (honest[a][column][0] - honest[b][column][0]) * (released[a][column][0] - released[b][column][0])
        < 0
    ]
    return f"{len(turned)} of {len(pairs)} pairs of methods change order"
