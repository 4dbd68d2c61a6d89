"""The course's figures: one style, units on every axis, chance beside every score.

A function draws on the axes it is given or returns a new figure, which
:func:`llinet_lite.show.figure` shows with alt text.

Notebook: 00 to 09
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, PercentFormatter

from llinet_lite.world.instruments import instrument

PALETTE = sns.color_palette("colorblind")
CHANCE = {"color": "0.35", "linestyle": "--", "linewidth": 1}
HOLLOW = {
    "linestyle": "",
    "marker": "D",
    "markersize": 6,
    "markerfacecolor": "none",
    "markeredgecolor": "0.1",
}
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
DIRECTIONS = {
    "im-im": "picture → picture",
    "im-aud": "picture → sound",
    "aud-im": "sound → picture",
    "aud-aud": "sound → sound",
}
TABLE_1 = {  # columns of LLINet's Table 1, query first
    "mAP I2A": "mAP\npicture → sound",
    "R@1 I2A": "R@1\npicture → sound",
    "mAP A2I": "mAP\nsound → picture",
    "R@1 A2I": "R@1\nsound → picture",
}
Measured = tuple[float, float, float]  # value, low and high end of its interval; nan where not known
Row = Mapping[str, float]  # column -> value


def use_style() -> None:
    """Switch matplotlib to the course's style; called on import of `llinet_lite.show`."""
    sizes = {"font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10}
    look = {"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 88, "legend.frameon": False}
    sns.set_theme(context="notebook", style="ticks", palette=PALETTE, rc=look | sizes)


def _percent(*axes) -> None:
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1, decimals=0))


def _check_shares(values: Iterable[float]) -> list[float]:
    """Refuse what is no share from 0 to 1; return what is not nan."""
    values = [value for value in values if not np.isnan(value)]
    if wrong := [value for value in values if not 0 <= value <= 1]:
        raise ValueError(f"values are shares from 0 to 1, not {wrong[0]:g}: divide percent by 100")
    return values


def _end(values: Iterable[float]) -> float:
    """Where an axis of shares ends: a tenth above all, so that whole markers fit."""
    return min(1.0, np.ceil(10 * max(values) + 0.2) / 10)


# ---------------------------------------------------------------- tables


def table(
    rows: Mapping[str, Mapping[str, Measured]],
    columns: Mapping[str, str] | Sequence[str] | None = None,
    *,
    chance: Row | None = None,
    paper: Mapping[str, Row] | None = None,
    beside: Mapping[str, Mapping[str, Row]] | None = None,
    constants: Mapping[str, Row] | None = None,
    controls: Collection[str] = (),
    percent: bool = True,
    top: float | None = None,
) -> Figure:
    """Draw a table of scores: a panel per column, in it a bar with its interval per row.

    Parameters
    ----------
    rows : mapping of row to mapping of column to (value, low, high)
        Shares, 0 to 1; a missing number is a dash. Or a `results.Table`, which also brings chance and paper.
    columns : mapping of column to axis label, or sequence, optional
        Columns to draw, left to right; default: all.
    chance : mapping of column to float, optional
        A dashed line in every panel.
    paper : mapping of row to mapping of column to float, optional
        Published values, hollow diamonds; measured on other data, so compare the order, not the height.
    beside : mapping of name to (mapping of row to mapping of column to float), optional
        Other values to mark row by row, as the accuracy of pointing at the centre.
    constants : mapping of name to mapping of column to float, optional
        What needs no network (a centre disc): dashed lines, named above the panel.
    controls : collection of rows, optional
        Drawn lighter: a network asked with another clip's sound.
    percent : bool
        Whether axes are in percent.
    top : float, optional
        End of the axes; default: a tenth above all that is drawn.

    Raises
    ------
    ValueError
        If there is no row, a name is unknown, or a value is no share (36.8 stands for 0.368).

    Examples
    --------
    >>> scores = {"LLINet": {"mAP": (0.41, 0.37, 0.45)}, "CMPM": {"mAP": (0.35, 0.31, 0.39)}}
    >>> fig = table(scores, chance={"mAP": 0.125}, paper={"LLINet": {"mAP": 0.493}})
    """
    if not isinstance(rows, Mapping):
        measured, columns = rows, columns or rows.columns
        chance = chance or {c: measured.chance[c] for c in columns if c in measured.chance}
        paper = paper or {
            name: {c: known for c in columns if (known := measured.published(name, c)) is not None}
            for name in measured.values
        }
        paper = {name: line for name, line in paper.items() if line}
        rows = {
            name: {c: _bounds(measured.interval(name, c)) for c in columns if c in line}
            for name, line in measured.values.items()
        }
    if not rows:
        raise ValueError("there is no score to draw: give at least one row")
    columns = columns or list(dict.fromkeys(column for row in rows.values() for column in row))
    columns = columns if isinstance(columns, Mapping) else {column: column for column in columns}
    paper, beside, constants = paper or {}, beside or {}, constants or {}
    marked = {"paper, other data": paper, **beside}
    lines = [*constants.values(), *([chance] if chance else [])]
    _check_names(rows, columns, [line for of in marked.values() for line in of.values()], lines)
    if absent := {*controls, *(name for of in marked.values() for name in of)} - set(rows):
        raise ValueError(f"{', '.join(sorted(absent))} is not among the rows {', '.join(rows)}")
    drawn = [value for row in rows.values() for cell in row.values() if cell for value in cell]
    drawn += [value for line in lines for value in line.values()]
    drawn += [value for of in marked.values() for line in of.values() for value in line.values()]
    top = top or _end(_check_shares(drawn))
    many = len(rows) > 16
    size = (min(10, 2.4 + 3.8 * len(columns)), 1.6 + (0.24 if many else 0.34) * len(rows))
    fig, axes = plt.subplots(1, len(columns), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for ax, (column, title) in zip(axes[0], columns.items(), strict=True):
        for y, (name, row) in enumerate(rows.items()):
            _bar(ax, y, row.get(column), lighter=name in controls)
            for look, of in zip(_marks(marked), marked.values(), strict=True):
                if column in of.get(name, {}):
                    ax.plot(of[name][column], y, **look, zorder=4)
        if chance:
            ax.axvline(chance[column], **CHANCE)
        ax.set(xlim=(0, top), xlabel=title)
        ax.xaxis.set_major_locator(MaxNLocator(3 if len(columns) > 2 else 5, steps=[1, 2, 5, 10]))
        if percent:
            _percent(ax.xaxis)
        _named_lines(ax, {name: line[column] for name, line in constants.items()})
    axes[0, 0].set_yticks(range(len(rows)), list(rows), fontsize=9)
    axes[0, 0].set_ylim(len(rows) - 0.4, -0.6)
    entries = [Line2D([], [], color=PALETTE[0], linewidth=6, alpha=0.45, label="measured")]
    if controls:
        entries += [Line2D([], [], color=PALETTE[0], linewidth=6, alpha=0.18, label="control")]
    entries += [Line2D([], [], color=PALETTE[0], linewidth=2.5, label="its interval")]
    looks = zip(_marks(marked), marked.items(), strict=True)
    entries += [Line2D([], [], **look, label=name) for look, (name, of) in looks if of]
    entries += [Line2D([], [], **CHANCE, label="chance")] if chance else []
    fig.legend(handles=entries, loc="outside lower center", ncols=len(entries), fontsize=8)
    return fig


def _bounds(interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _check_names(rows, columns, marked, lines) -> None:
    """Refuse unknown columns, and lines that do not go through every panel."""
    if unknown := {column for row in (*rows.values(), *marked, *lines) for column in row} - set(columns):
        raise ValueError(f"columns are {', '.join(columns)}, not {', '.join(sorted(unknown))}")
    if missing := {column for line in lines for column in set(columns) - set(line)}:
        raise ValueError(f"every panel has its line: that of {', '.join(sorted(missing))} is missing")


def _marks(marked: Mapping) -> list[dict]:
    """Looks: hollow diamonds for the paper, squares, circles, ... for what else is marked."""
    others = [
        {"linestyle": "", "marker": marker, "color": PALETTE[1 + k], "markersize": 5}
        for k, marker in zip(range(len(marked) - 1), "so^v", strict=False)
    ]
    return [HOLLOW, *others]


def _bar(ax: Axes, y: int, score: Measured | None, *, lighter: bool) -> None:
    if score is None or np.isnan(score[0]):
        ax.text(0.01, y, "-", va="center", transform=ax.get_yaxis_transform())
        return
    value, *interval = score
    ax.barh(y, value, height=0.62, color=PALETTE[0], alpha=0.18 if lighter else 0.45)
    ax.plot(interval, [y, y], color=PALETTE[0], linewidth=2.5, solid_capstyle="butt")


def _named_lines(ax: Axes, lines: Row) -> None:
    """Draw vertical lines, each named above the axes; several names are slanted, near ones fanned out."""
    slant = {"rotation": 30, "rotation_mode": "anchor"} if len(lines) > 1 else {"ha": "center"}
    step, place = 0.08 * ax.get_xlim()[1], -np.inf
    link = {"arrowstyle": "-", "color": CHANCE["color"], "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    above = {"xycoords": ("data", "axes fraction"), "textcoords": ("data", "axes fraction")}
    for name, x in sorted(lines.items(), key=lambda line: line[1]):
        place = max(x, place + step)
        ax.axvline(x, **CHANCE)
        ax.annotate("", (x, 1), (place, 1.05), arrowprops=link, **above)
        ax.text(place, 1.06, name, transform=ax.get_xaxis_transform(), fontsize=8, color="0.25", **slant)


ABOVE, BELOW, OPEN = PALETTE[0], PALETTE[1], "0.6"  # interval above zero, below it, with zero inside


def effects(
    rows: Sequence[tuple], *, limit: float | None = None, xlabel: str = "difference (percentage points)"
) -> Figure:
    """Draw differences with their intervals around zero, a line each (a forest plot).

    A line is colored only if its interval excludes zero.

    Parameters
    ----------
    rows : sequence of (name, value, low, high) or (name, value, low, high, unit, group)
        Differences of shares, -1 to 1; low and high may be nan. With units, value and unit stand at the
        right; the rows of a group stand together under its name.
    limit : float, optional
        End of the axis on both sides, a share; what lies beyond becomes an arrowhead there.
    xlabel : str

    Raises
    ------
    ValueError
        If there is no row, or :func:`check_gap` refuses one.

    Examples
    --------
    >>> fig = effects([("LLINet", 0.12, 0.05, 0.2), ("AVOL-Net", 0.01, -0.02, 0.04)])
    """
    if not rows:
        raise ValueError("there is no effect to draw: give at least one row")
    for name, *gap in rows:
        check_gap(name, gap[:3])
    grouped = len(rows[0]) > 4
    lines = [] if grouped else [(row[0], row) for row in rows]  # a heading, or a row
    for group in dict.fromkeys(row[-1] for row in rows) if grouped else ():
        lines += [(group, None), *((row[0], row) for row in rows if row[-1] == group)]
    size = (9.5, 1.3 + 0.25 * len(lines)) if grouped else (7.4, 1.5 + 0.34 * len(lines))
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    ax.axvline(0, color="0.35", linewidth=1, zorder=1)
    for y, (_, row) in enumerate(lines):
        if row is None:
            ax.axhspan(y - 0.5, y + 0.5, color="0.95", linewidth=0, zorder=0)
            continue
        _gap_line(ax, y, *row[1:4], 100 * (limit or 1))
        if grouped:
            place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
            ax.annotate(_signed(100 * row[1], ".1f"), (1, y), (44, 0), ha="right", fontsize=9, **place)
            ax.annotate(row[4], (1, y), (52, 0), ha="left", fontsize=9, color="0.35", **place)
    ax.set_yticks(range(len(lines)), [text for text, _ in lines], fontsize=9)
    for label, (_, row) in zip(ax.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if row is None else "normal")
    if limit:
        ax.set_xlim(-100 * limit, 100 * limit)
    ax.set(ylim=(len(lines) - 0.5, -0.5), xlabel=xlabel, axisbelow=True)
    ax.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(lambda points, _: _signed(points, "g") if points else "0")
    ax.xaxis.grid(True, color="0.9", linewidth=0.8)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    meanings = {"interval above zero": ABOVE, "below zero": BELOW, "zero inside": OPEN}
    look = {"marker": "o", "linewidth": 2.2}
    entries = [Line2D([], [], color=color, label=label, **look) for label, color in meanings.items()]
    fig.legend(handles=entries, loc="outside lower center", ncols=3, fontsize=8)
    return fig


def check_gap(name: str, gap: Sequence[float]) -> None:
    """Refuse a (value, low, high) that is no difference of shares inside its interval; bounds may be nan."""
    value, low, high = (gap[0],) * 3 if np.isnan(gap[1]) and np.isnan(gap[2]) else gap
    if not low <= value <= high:
        raise ValueError(f"{name}: {value:g} does not lie in its interval from {low:g} to {high:g}")
    if low < -1 or high > 1:
        raise ValueError(f"{name}: differences of shares go from -1 to 1: divide percentage points by 100")


def _gap_line(ax: Axes, y: float, value: float, low: float, high: float, end: float) -> None:
    color = ABOVE if low > 0 else BELOW if high < 0 else OPEN
    left, middle, right = (min(max(100 * share, -end), end) for share in (low, value, high))
    marker = "o" if abs(100 * value) <= end else ">" if value > 0 else "<"
    ax.plot([left, right], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
    ax.plot(middle, y, marker, color=color, markersize=6, clip_on=False)


def _signed(points: float, how: str) -> str:
    return f"{points:+{how}}".replace("-", "−")  # noqa: RUF001, a minus as wide as the plus


# ---------------------------------------------------------------- images and sounds


def spectrogram(ax: Axes, levels: np.ndarray, *, seconds: float, top_hz: float, title: str = "") -> None:
    """Draw a log-spectrogram (F, T), low frequencies at the bottom; the last row is `top_hz`."""
    _levels(ax, levels, (0, seconds, 0, top_hz / 1000))
    ax.set(xlabel="time (s)", ylabel="frequency (kHz)", title=title)


def _levels(ax: Axes, levels: np.ndarray, extent: tuple[float, float, float, float]) -> None:
    low, high = np.quantile(levels, [0.05, 0.995])
    ax.imshow(levels, origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=high, extent=extent)


def logmel(ax: Axes, levels: np.ndarray, *, seconds: float, sample_rate: int, title: str = "") -> None:
    """Draw a log-mel spectrogram (T, M) of M bands on Slaney's scale, up to half the sample rate (Hz)."""
    import librosa

    bands = levels.shape[1]
    centers = librosa.mel_frequencies(bands + 2, fmin=0, fmax=sample_rate / 2)[1:-1]  # (M,) Hz
    _levels(ax, levels.T, (0, seconds, -0.5, bands - 0.5))
    marks = np.array([250, 500, 1000, 2000, 4000, 8000, 16000])
    marks = marks[(marks >= centers[0]) & (marks <= centers[-1])]
    ax.set_yticks(np.interp(marks, centers, np.arange(bands)), [str(hz) for hz in marks])
    ax.set(xlabel="time (s)", ylabel="mel band (center in Hz)", title=title)


def waveform(ax: Axes, samples: np.ndarray, sample_rate: int, *, title: str = "") -> None:
    """Draw a waveform, (n,) float in [-1, 1] or int16."""
    x = samples / 32768 if samples.dtype == np.int16 else samples
    ax.plot(np.arange(len(x)) / sample_rate, x, linewidth=0.5)
    ax.set(xlabel="time (s)", ylabel="amplitude", title=title, xlim=(0, len(x) / sample_rate))


def wall(
    images: Sequence[np.ndarray], captions: Sequence[str], *, columns: int = 8, size: float = 1.25
) -> Figure:
    """Hang images, each (H, W, 3) or (H, W), on a wall of `columns`; `size` is a tile's side in inches."""
    rows = -(-len(images) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(columns * size, rows * size * 1.18), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, caption in zip(axes.flat, images, captions, strict=False):
        ax.imshow(image, cmap="gray")
        ax.set_title(caption, fontsize=8, pad=2)
    fig.subplots_adjust(wspace=0.06, hspace=0.25)
    return fig


def outline(ax: Axes, image: np.ndarray, mask: np.ndarray, *, title: str = "") -> None:
    """Draw an (H, W, 3) image with the contour of an (H, W) bool mask."""
    ax.imshow(image)
    if mask.any():
        ax.contour(mask, levels=[0.5], colors=[PALETTE[1]], linewidths=1.6)
    ax.set_title(title, fontsize=9)
    ax.axis("off")


# ---------------------------------------------------------------- training


def curves(
    histories: Mapping[str, Sequence[float]], *, xlabel: str, ylabel: str, chance: float | None = None
) -> Figure:
    """Draw one line per named series against its position (1, 2, ...), with the chance line.

    Examples
    --------
    >>> fig = curves({"all pairs": [0.5, 0.6, 0.7]}, xlabel="epoch", ylabel="accuracy", chance=0.5)
    """
    fig, ax = plt.subplots(figsize=(6, 3.2))
    for k, (name, values) in enumerate(histories.items()):
        look = {"marker": "osD^vPX*"[k % 8], "markersize": 4}
        ax.plot(np.arange(1, len(values) + 1), values, label=name, **look)
    if chance is not None:
        ax.axhline(chance, label="chance", **CHANCE)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no half epoch
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend(fontsize=8)
    return fig


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
    """Draw a metric by epoch, a small panel per method, and the epoch that was chosen by it.

    With `unseen`, the metric on the test classes stands beside it, dashed: at its value in the chosen epoch
    (filled), which is to be reported, and at its best (hollow), which only the test set would find.

    Parameters
    ----------
    curves : mapping of method to sequence of float
        Metric on held-out pairs of seen classes after epoch 1, 2, ..., shares.
    chance : float
        What a random ranking gets of these.
    chosen : mapping of method to int
        Epoch, from 1, whose network was kept.
    unseen : mapping of method to sequence of float, optional
        The same metric on pairs of unseen classes; methods may be missing.
    unseen_chance : float, optional
        What a random ranking gets of those.
    ylabel : str
    columns : int
        Panels per row.
    """
    unseen, columns = unseen or {}, min(columns, len(curves))
    rows = -(-len(curves) // columns)
    size = (max(4.0, 2 * columns), 0.9 + 1.75 * rows)
    fig, axes = plt.subplots(
        rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for ax in axes.flat[len(curves) :]:
        ax.set_visible(False)
    for k, (method, ax) in enumerate(zip(curves, axes.flat, strict=False)):
        both = [(curves[method], chance, PALETTE[0], "-")]
        if method in unseen:
            both.append((unseen[method], unseen_chance, PALETTE[1], "--"))
            best = int(np.argmax(unseen[method]))
            ax.plot(1 + best, unseen[method][best], **HOLLOW)
        for values, level, color, line in both:
            _check_shares(values)
            ax.plot(np.arange(1, len(values) + 1), values, line, color=color, linewidth=1.6)
            ax.plot(chosen[method], values[chosen[method] - 1], "o", color=color, markersize=5)
            ax.axhline(level, **CHANCE | {"linestyle": ":", "color": color})
        ax.axvline(chosen[method], color="0.75", linewidth=1, zorder=0)
        ax.set_title(method, fontsize=9)
        ax.tick_params(labelsize=8, labelbottom=k + columns >= len(curves))
        if k % columns == 0:
            ax.set_ylabel(ylabel)
        if k + columns >= len(curves):
            ax.set_xlabel("epoch", fontsize=9)
    _percent(axes[0, 0].yaxis)
    axes[0, 0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes[0, 0].set_ylim(bottom=0)
    epoch = {"marker": "o", "markerfacecolor": "0.3", "label": "chosen epoch, by seen classes"}
    entries = [
        Line2D([], [], color=PALETTE[0], label="held-out pairs of seen classes"),
        *([Line2D([], [], color=PALETTE[1], linestyle="--", label="unseen (test) classes")] * bool(unseen)),
        Line2D([], [], color="0.75", **epoch),
        Line2D([], [], color="0.3", linestyle=":", label="random ranking"),
        *([Line2D([], [], **HOLLOW, label="best epoch on the test classes")] * bool(unseen)),
    ]
    fig.legend(handles=entries, loc="outside lower center", ncols=3, fontsize=8)
    return fig


# ---------------------------------------------------------------- matrices

OUTLINE = PALETTE[9]  # seen on dark and on light cells
LEFT_OUT = {"facecolor": "0.88", "edgecolor": "0.6", "hatch": "//////", "linewidth": 0}


def similarity_panels(
    matrices: Mapping[str, np.ndarray], labels: Sequence[int], names: Sequence[str]
) -> Figure:
    """Draw similarity matrices of one batch side by side, sorted by class, on one color scale.

    Each title states the mean similarity of own pairs and of pairs of different classes.

    Parameters
    ----------
    matrices : mapping of title to (B, B) array
        Row i is image i, column j is sound j. Entries that a loss leaves out are nan and hatched.
    labels : (B,) int
        Class of each pair, a position in `names`.
    names : sequence of str
    """
    matrices, labels = _of_one_batch(matrices, labels)
    numbers = np.concatenate([matrix[np.isfinite(matrix)] for matrix in matrices.values()])
    look = {"cmap": "magma", "vmin": numbers.min(), "vmax": numbers.max()}
    fig, axes, image = _panels(matrices, labels, names, [], **look)
    apart = labels[:, None] != labels[None]  # (B, B)
    for ax, (title, matrix) in zip(axes, matrices.items(), strict=True):
        own, others = _mean(np.diag(matrix)), _mean(matrix[apart])
        ax.set_title(f"{title}\nown pairs {own:z.2f}, other classes {others:z.2f}", fontsize=10)
    fig.colorbar(image, ax=axes, label="similarity", fraction=0.025, aspect=30, shrink=0.8)
    return fig


def gradient_panels(
    gradients: Mapping[str, np.ndarray], labels: Sequence[int], names: Sequence[str]
) -> Figure:
    """Draw the gradient of a loss by the similarities of a batch, a panel per way of computing it.

    Colors are centered at 0 and span the largest entry off the diagonal of all panels: own pairs, which are
    pulled together much harder, may lie beyond.

    Parameters
    ----------
    gradients : mapping of title to (B, B) array
        Derivative by the similarity of image i and sound j; nan where a loss leaves an entry out.
    labels, names :
        As for :func:`similarity_panels`.
    """
    gradients, labels = _of_one_batch(gradients, labels)
    off = ~np.eye(len(labels), dtype=bool)
    limit = max(np.nanmax(np.abs(matrix[off]), initial=0) for matrix in gradients.values()) or 1.0
    own = Line2D([], [], linestyle="", marker=".", color="0.1", label="own pair")
    look = {"cmap": "vlag", "vmin": -limit, "vmax": limit}
    fig, axes, image = _panels(gradients, labels, names, [own], **look)
    same = (labels[:, None] == labels[None]) & off
    for ax, (title, matrix) in zip(axes, gradients.items(), strict=True):
        ax.plot(range(len(labels)), range(len(labels)), ".", color="0.1", markersize=2.5)
        pull = _mean(matrix[same])
        said = "same class: no gradient" if np.isnan(pull) else f"same class, on average {pull:+.2g}"
        ax.set_title(f"{title}\n{said}", fontsize=10)
    label = "∂loss / ∂similarity\n(below 0: descent raises it)"
    fig.colorbar(image, ax=axes, label=label, fraction=0.025, aspect=30, shrink=0.8, extend="both")
    return fig


def _mean(values: np.ndarray) -> float:
    """Mean of what is not nan, nan where nothing is."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def _of_one_batch(matrices: Mapping[str, np.ndarray], labels) -> tuple[dict[str, np.ndarray], np.ndarray]:
    labels = np.asarray(labels)
    checked = {title: np.asarray(matrix, np.float64) for title, matrix in matrices.items()}
    for title, matrix in checked.items():
        if matrix.shape != (len(labels),) * 2 or np.isnan(matrix).all():
            raise ValueError(f"{title}: {matrix.shape} is no matrix of {len(labels)} pairs, or all is nan")
    return checked, labels


def _panels(matrices: Mapping[str, np.ndarray], labels: np.ndarray, names, marks, **look):
    """Draw matrices sorted by class, each class outlined, and a legend; also return the last image."""
    side = min(4.2, 8.6 / len(matrices))  # of a matrix, inches
    size = (len(matrices) * side + 1.4, side + 1.3)
    fig, axes = plt.subplots(1, len(matrices), figsize=size, squeeze=False, layout="constrained")
    order = np.argsort(labels, kind="stable")
    classes, first, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    for ax, matrix in zip(axes[0], matrices.values(), strict=True):
        image = ax.imshow(matrix[np.ix_(order, order)], interpolation="nearest", **look)
        ax.patch.set(**LEFT_OUT)  # seen through the entries that are nan
        for start, n in zip(first, sizes, strict=True):
            ax.add_patch(Rectangle((start - 0.5,) * 2, n, n, fill=False, edgecolor=OUTLINE, linewidth=1.3))
        ax.set(xticks=[], yticks=[], xlabel="sound (in the same order)")
    letters = min(9.0, 0.9 * 72 * side / len(labels))  # points: a name fits beside one row
    axes[0, 0].set_yticks(first + (sizes - 1) / 2, [names[k] for k in classes], fontsize=letters)
    axes[0, 0].tick_params(length=2)
    axes[0, 0].set_ylabel("picture")
    entries = [Patch(fill=False, edgecolor=OUTLINE, linewidth=1.3, label="pairs of one class"), *marks]
    if any(np.isnan(matrix).any() for matrix in matrices.values()):
        entries.append(Patch(**LEFT_OUT, label="no gradient"))
    fig.legend(handles=entries, loc="outside lower center", ncols=len(entries), fontsize=8)
    return fig, axes[0], image


def confusion(shares: np.ndarray, names: Sequence[str], families: Sequence[str] | None = None) -> Figure:
    """Draw which class the queries of each class get as their top answer, in percent of the row.

    Parameters
    ----------
    shares : (K, K) array
        Row: class of the query; column: class of the top answer. Each row sums to 1.
    names : sequence of K str
    families : sequence of K str, optional
        Puts the classes of a family beside each other, outlines them and names them at the right.
    """
    shares, count = np.asarray(shares, np.float64), len(names)
    if shares.shape != (count, count) or not np.allclose(shares.sum(1), 1, atol=1e-3):
        raise ValueError(f"shares {shares.shape} are ({count}, {count}) and each row sums to 1")
    kinds = list(dict.fromkeys(families or ()))
    order = sorted(range(count), key=lambda k: kinds.index(families[k]) if families else k)
    size = (min(10, 3.2 + 0.5 * count), min(9, 1.6 + 0.42 * count))
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    named = [names[k] for k in order]
    look = {"cmap": "Blues", "vmin": 0, "vmax": 100, "annot": True, "fmt": ".0f", "linewidths": 0.5}
    look |= {"annot_kws": {"fontsize": 8}, "cbar_kws": {"label": "share of the row (%)"}}
    sns.heatmap(100 * shares[np.ix_(order, order)], ax=ax, xticklabels=named, yticklabels=named, **look)
    right = 100 * np.diag(shares).mean()
    ax.set_title(f"right class first: {right:.0f} % on average over classes", fontsize=10)
    ax.set(xlabel="class of the top answer", ylabel="class of the query")
    plt.setp(ax.get_xticklabels(), rotation=40, ha="right", rotation_mode="anchor")
    for kind in kinds:
        rows = [row for row, k in enumerate(order) if families[k] == kind]
        if kind != OTHERS:  # no family
            corner, side = (rows[0], rows[0]), len(rows)
            ax.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=PALETTE[1], linewidth=2))
        ax.text(count + 0.15, rows[0] + len(rows) / 2, kind, va="center", fontsize=8, color="0.25")
    return fig


def rank_correlation(
    shares: np.ndarray, distances: np.ndarray, *, draws: int = 9999, seed: int = 0
) -> tuple[float, float]:
    r"""Return Spearman's rho of two (K, K) matrices off their diagonals, and a permutation p (Mantel 1967).

    Entries of a matrix are not independent, so whole classes are permuted, rows and columns together:

    .. math:: p = (1 + \#\{|\rho_\pi| \ge |\rho|\}) / (1 + \mathrm{draws})
    """
    from scipy.stats import rankdata

    off = ~np.eye(len(shares), dtype=bool)
    ranks = []
    for matrix in (np.asarray(shares, np.float64), np.asarray(distances, np.float64)):
        placed, rank = np.zeros(matrix.shape), rankdata(matrix[off])
        if not np.ptp(rank) > 0:
            raise ValueError("entries off the diagonal are all equal or not numbers: they have no order")
        placed[off] = (rank - rank.mean()) / rank.std()  # 0 on the diagonal, which then adds nothing
        ranks.append(placed)
    rng = np.random.default_rng(seed)
    rho = (ranks[0] * ranks[1]).sum() / off.sum()
    beyond = 0
    for _ in range(draws):
        order = rng.permutation(len(off))
        permuted = (ranks[0] * ranks[1][np.ix_(order, order)]).sum() / off.sum()
        beyond += abs(permuted) >= abs(rho) - 1e-12
    return float(rho), (1 + beyond) / (1 + draws)


def confusion_against(
    shares: np.ndarray, distances: np.ndarray, names: Sequence[str], *, named: int = 5, seed: int = 0
) -> Figure:
    """Draw how often a class is taken for another against how far the two are apart in attributes.

    The title states Spearman's rho and the p-value of :func:`rank_correlation`.

    Parameters
    ----------
    shares, distances : (K, K) array
        Row: class of the query; column: class of the answer. Diagonals are not drawn.
    names : sequence of K str
    named : int
        How many of the most frequent confusions get their names, query → answer.
    seed : int
        Of the permutation test.
    """
    rho, p = rank_correlation(shares, distances, seed=seed)
    rows, columns = np.nonzero(~np.eye(len(names), dtype=bool))
    points = np.stack([distances[rows, columns], 100 * shares[rows, columns]], axis=1)  # (K (K - 1), 2)
    fig, ax = plt.subplots(figsize=(7, 4.2))
    ax.scatter(*points.T, s=22, color=PALETTE[0], alpha=0.6, linewidths=0)
    ax.set(xlabel="distance of the two classes in attributes")
    ax.set(ylabel="queries that get the other class first (%)")
    p_text = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
    said = f"Spearman's rho = {rho:+.2f}, {p_text} (permuted classes), {len(points)} ordered pairs"
    ax.set_title(said, fontsize=10)
    ax.margins(0.06)
    ax.set_ylim(min(0, ax.get_ylim()[0]), 1.18 * points[:, 1].max())  # room for names above the points
    worst = np.argsort(-points[:, 1], kind="stable")[:named]
    texts = [f"{names[rows[k]]} → {names[columns[k]]}" for k in worst]
    _name_points(ax, points[worst], texts, ["0.4"] * len(worst))
    return fig


# ---------------------------------------------------------------- shared spaces

# Branches of the family tree below "Musical instrument"; classes that hang from it directly are others.
BRANCHES = {
    "Plucked string instrument": "plucked strings",
    "Bowed string instrument": "bowed strings",
    "Wind instrument, woodwind instrument": "winds",
    "Brass instrument": "winds",
    "Percussion": "percussion",
    "Keyboard (musical)": "keyboards",
    "Bell": "bells",
}
OTHERS = "others"
FAMILIES = (*dict.fromkeys(BRANCHES.values()), OTHERS)
MARKERS = {"picture": "o", "sound": "x"}


def family_of(name: str) -> str:
    """Return the branch of the family tree of a class of the built-in world, one of FAMILIES."""
    return BRANCHES.get(instrument(name).family[1], OTHERS)


def tsne(
    vectors: np.ndarray, seed: int = 0, *, metric: str = "euclidean", perplexity: float = 30.0
) -> np.ndarray:
    """Lay (N, D) vectors out on a plane, (N, 2), so that near ones stay near (van der Maaten, Hinton 2008).

    It starts from the first two principal components, so that a seed gives one map. Neighborhoods can be
    read from it; distances between groups, and their sizes, cannot.
    """
    from sklearn.manifold import TSNE

    if len(vectors) <= perplexity:
        raise ValueError(f"{len(vectors)} vectors are too few for perplexity {perplexity:g}: lower it")
    layout = TSNE(init="pca", random_state=seed, metric=metric, perplexity=perplexity)
    return layout.fit_transform(np.asarray(vectors, np.float32))


def map_of_space(
    ax: Axes,
    points: np.ndarray,
    labels: Sequence[int],
    modality: Sequence[str],
    names: Sequence[str],
    families: Sequence[str] | None = None,
) -> None:
    """Draw a plane of images (dots) and sounds (crosses), with the name of each class at its medoid.

    Parameters
    ----------
    ax : Axes
    points : (N, 2) array
        As from :func:`tsne`.
    labels : (N,) int
        Class of each point, a position in `names`.
    modality : (N,) str
        "picture" or "sound".
    names : sequence of C str
    families : sequence of C str, optional
        Family of each class, one of FAMILIES, which gives the color.
    """
    points, labels, modality = np.asarray(points), np.asarray(labels), np.asarray(modality)
    color = [_color(family) for family in families] if families else [PALETTE[0]] * len(names)
    shade = np.array(color)[labels]  # (N, 3)
    for kind, marker in MARKERS.items():
        mine = modality == kind
        ax.scatter(*points[mine].T, c=shade[mine], marker=marker, s=16, linewidths=0.9, alpha=0.65)
    ax.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
    shown = np.unique(labels)
    anchors = np.stack([_medoid(points[labels == k]) for k in shown])  # (C, 2)
    _name_points(ax, anchors, [names[k] for k in shown], [color[k] for k in shown])
    entries = [Line2D([], [], linestyle="", marker=m, color="0.3", label=kind) for kind, m in MARKERS.items()]
    known = [family for family in FAMILIES if families and family in families]
    entries += [Line2D([], [], linestyle="", marker="s", color=_color(f), label=f) for f in known]
    look = {"ncols": 5, "fontsize": 8, "columnspacing": 1.2, "handletextpad": 0.2}
    ax.legend(handles=entries, loc="upper center", bbox_to_anchor=(0.5, -0.06), **look)


def _color(family: str) -> tuple[float, float, float]:
    return (0.45, 0.45, 0.45) if family == OTHERS else PALETTE[FAMILIES.index(family)]


def _medoid(points: np.ndarray) -> np.ndarray:
    """Return the one of the (n, 2) points that is nearest to all: it lies among them, a mean may not."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)  # (n, n)
    return points[distances.sum(axis=1).argmin()]


def _name_points(ax: Axes, anchors: np.ndarray, names: Sequence[str], colors: Sequence[tuple]) -> None:
    """Write names above (C, 2) anchors, moved apart until none covers another, with a line to the anchor."""
    halo = [withStroke(linewidth=2.5, foreground="white")]
    look = {"ha": "center", "va": "center", "fontsize": 8, "path_effects": halo, "zorder": 4}
    texts = [ax.text(*anchor, name, **look) for anchor, name in zip(anchors, names, strict=True)]
    for text, anchor, center, color in zip(texts, anchors, _apart(ax, texts), colors, strict=True):
        text.set_position(center)
        ax.plot(*np.stack([anchor, center]).T, color=color, linewidth=0.8, zorder=3)


def _apart(ax: Axes, texts: Sequence, *, rounds: int = 400, gap: float = 3.0) -> np.ndarray:
    """Find centers, (C, 2) in data units, at which the texts do not overlap and lie inside the axes."""
    boxes = np.array([text.get_window_extent().bounds for text in texts])  # (C, 4): x, y, width, height
    half = boxes[:, 2:] / 2 + gap
    place = boxes[:, :2] + boxes[:, 2:] * (0.5, 1.5)  # a name stands above its anchor
    frame = ax.get_window_extent()
    low, high = np.array([frame.x0, frame.y0]) + half, np.array([frame.x1, frame.y1]) - half
    order = np.sign(np.subtract.outer(np.arange(len(texts)), np.arange(len(texts))))[..., None]
    for _ in range(rounds):
        place = np.clip(place, low, high)
        away = place[:, None] - place[None]  # (C, C, 2)
        deep = half[:, None] + half[None] - np.abs(away)
        touch = (deep > 0).all(-1) & (order[..., 0] != 0)
        if not touch.any():
            break
        side = np.where(away == 0, order, np.sign(away))
        shorter = np.arange(2) == deep.argmin(-1)[..., None]  # push along the axis of less overlap
        place = place + 0.55 * (touch[..., None] * shorter * side * deep).sum(1)
    return ax.transData.inverted().transform(place)


def prototype_map(
    points: np.ndarray, labels: Sequence[int], kinds: Sequence[str], names: Sequence[str]
) -> Figure:
    """Draw images, sounds and prototypes of at most ten classes on a plane, one color per class.

    Parameters
    ----------
    points : (N, 2) array
        As from :func:`tsne` of all vectors together, prototypes among them.
    labels : (N,) int
        Class of each point, a position in `names`.
    kinds : (N,) str
        "picture", "sound" or "prototype"; a class has one prototype, at which its name is written.
    names : sequence of K str
    """
    points, labels, kinds = np.asarray(points), np.asarray(labels), np.asarray(kinds)
    if len(names) > len(PALETTE):
        raise ValueError(f"{len(names)} classes for {len(PALETTE)} colors: draw the unseen classes only")
    fig, ax = plt.subplots(figsize=(7, 5.2))  # no layout engine: names are placed by what is on the page
    shade = np.array(PALETTE)[labels]  # (N, 3)
    looks = {
        "picture": ("o", 5, {"s": 18, "linewidths": 0, "alpha": 0.55}),
        "sound": ("x", 6, {"s": 20, "linewidths": 1, "alpha": 0.6}),
        "prototype": ("*", 12, {"s": 220, "linewidths": 1.2, "edgecolors": "black", "zorder": 3}),
    }
    entries = []
    for kind, (marker, size, look) in looks.items():
        mine = kinds == kind
        ax.scatter(*points[mine].T, c=shade[mine], marker=marker, **look)
        entries.append(Line2D([], [], linestyle="", marker=marker, color="0.3", markersize=size, label=kind))
    entries[-1].set_label("prototype: mean of the sounds")
    ax.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
    ax.margins(0.08)
    stars = np.flatnonzero(kinds == "prototype")
    tips = ax.transData.transform(points[stars])  # (K, 2), on the page
    tips[:, 1] += 0.11 * fig.dpi  # where a star ends, so that its name stands clear of it
    tips = ax.transData.inverted().transform(tips)
    _name_points(ax, tips, [names[k] for k in labels[stars]], shade[stars])
    ax.legend(handles=entries, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3, fontsize=8)
    return fig


def _histogram(ax: Axes, values: np.ndarray, bins: np.ndarray, color, line: str, label: str) -> None:
    """Draw a histogram that sums to 1, as a filled outline."""
    look = {"facecolor": (*color, 0.25), "edgecolor": color, "linestyle": line, "linewidth": 1.4}
    weights = np.full(len(values), 1 / len(values))
    ax.hist(values, bins, weights=weights, histtype="stepfilled", label=label, **look)


def calibration(
    histories: Mapping[str, np.ndarray],
    matched: np.ndarray,
    mismatched: np.ndarray,
    kept: tuple[float, float] | None = None,
) -> Figure:
    r"""Draw what AVE-Net's last layer learns: how near is near enough to belong together.

    The difference of its two logits is a line over the distance d, so that

    .. math:: p(\mathrm{match} \mid d) = \sigma\big(s\,(d - \theta)\big)

    with slope s (negative: near means match) and threshold theta, where p = 1/2. Left: both by epoch.
    Right: distances of matched and mismatched pairs with the curve.

    Parameters
    ----------
    histories : mapping of name to (E + 1, 2) array
        Slope and threshold before training and after each epoch.
    matched, mismatched : (n,), (m,) array
        Distances of test pairs, 0 to 2.
    kept : (slope, threshold), optional
        Of the network of these distances; default: the last of the first history.

    Source: *Objects that Sound* (2018), section 3.3.
    """
    fig = plt.figure(figsize=(10, 3.8), layout="constrained")
    grid = fig.add_gridspec(2, 2, width_ratios=(1, 1.35))
    top = fig.add_subplot(grid[0, 0])
    bottom = fig.add_subplot(grid[1, 0], sharex=top)
    for (name, history), marker in zip(histories.items(), "osD^vPX*", strict=False):
        for ax, values in zip((top, bottom), np.asarray(history).T, strict=True):
            ax.plot(values, marker=marker, markersize=3.5, label=name)
    top.axhline(0, **CHANCE)
    top.set(ylabel="slope s\n(below 0: near\nmeans match)")
    top.tick_params(labelbottom=False)
    top.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    bottom.set(xlabel="epoch (0 is before training)", ylabel="threshold θ\n(distance)")
    if bottom.get_ylim()[0] < 0 or bottom.get_ylim()[1] > 2:  # the threshold runs off where the slope is 0
        bottom.set_ylim(0, 2)
    slope, threshold = kept or next(iter(histories.values()))[-1]
    ax, bins, d = fig.add_subplot(grid[:, 1]), np.linspace(0, 2, 41), np.linspace(0, 2, 401)
    _histogram(ax, matched, bins, PALETTE[0], "-", "matched pairs")
    _histogram(ax, mismatched, bins, PALETTE[1], "--", "mismatched pairs")
    ax.axvline(threshold, color="0.2", linestyle=":", linewidth=1.4, label=f"threshold θ = {threshold:.2f}")
    ax.set(xlim=(0, 2), xlabel="Euclidean distance", ylabel="share of pairs")
    right = ax.twinx()
    right.plot(d, 1 / (1 + np.exp(-slope * (d - threshold))), color=PALETTE[2], linewidth=2)
    right.spines["right"].set_visible(True)
    right.set(ylim=(0, 1.02), ylabel="probability of a match")
    ax.plot([], [], color=PALETTE[2], linewidth=2, label="p(match), right axis")
    ax.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return fig


def released_against_honest(
    honest: Mapping[str, Mapping[str, Measured]],
    released: Mapping[str, Mapping[str, Measured]],
    *,
    chance: Row,
) -> Figure:
    """Draw mAP over all queries beside that over one query per class, which the released code computes.

    Above each panel stands how many pairs of methods change their order between the two.

    Parameters
    ----------
    honest : mapping of method to mapping of "mAP I2A" and "mAP A2I" to (value, low, high)
        mAP over all queries, shares, with its interval.
    released : the same
        mAP over the first query of each class; low and high are quantiles over random choices of these
        queries, so that the value may lie outside.
    chance : mapping of column to float
        What a random ranking gets.
    """
    panels = {column: title for column, title in TABLE_1.items() if column.startswith("mAP")}
    _check_shares(v for rows in (honest, released) for row in rows.values() for c in panels for v in row[c])
    shape = {"sharex": True, "sharey": True, "squeeze": False, "layout": "constrained"}
    fig, axes = plt.subplots(1, len(panels), figsize=(10, 1.5 + 0.4 * len(honest)), **shape)
    blue, wide = {"color": PALETTE[0]}, {"color": PALETTE[1], "linewidth": 7, "alpha": 0.35}
    for ax, (column, title) in zip(axes[0], panels.items(), strict=True):
        for y, method in enumerate(honest):
            (value, *interval), (first, *spread) = honest[method][column], released[method][column]
            ax.plot(spread, [y + 0.17] * 2, solid_capstyle="butt", **wide)
            ax.plot(first, y + 0.17, **HOLLOW)
            ax.plot(interval, [y - 0.17] * 2, linewidth=2.5, solid_capstyle="butt", **blue)
            ax.plot(value, y - 0.17, "o", markersize=6, **blue)
        ax.axvline(chance[column], **CHANCE)
        pairs = list(combinations(honest, 2))
        gaps = [[rows[a][column][0] - rows[b][column][0] for rows in (honest, released)] for a, b in pairs]
        turned = sum(one * other < 0 for one, other in gaps)
        said = f"{turned} of {len(pairs)} pairs of methods change order"
        ax.set_title(f"{title.replace(chr(10), ', ')}\n{said}", fontsize=10)
        ax.set_xlabel("mAP")
    _percent(axes[0, 0].xaxis)
    axes[0, 0].set_xlim(left=0)
    axes[0, 0].set_yticks(range(len(honest)), list(honest), fontsize=9)
    axes[0, 0].invert_yaxis()
    entries = [
        Line2D([], [], marker="o", linewidth=2.5, label="all queries, with interval", **blue),
        Line2D([], [], **HOLLOW, label="first query of each class (as released)"),
        Line2D([], [], label="random queries, one per class", **wide),
        Line2D([], [], label="random ranking", **CHANCE),
    ]
    fig.legend(handles=entries, loc="outside lower center", ncols=4, fontsize=8)
    return fig


# ---------------------------------------------------------------- localization

COLORS = ScalarMappable(Normalize(0, 1), "magma")  # of all maps: an empty map looks empty
_EDGE = [withStroke(linewidth=3, foreground="black")]  # keeps white lines visible on light images


def overlay(
    ax: Axes, image: np.ndarray, heat: np.ndarray, mask: np.ndarray | None = None, *, title: str = ""
) -> None:
    """Draw a map over its image, in grey, so that color says probability only.

    The map is interpolated bilinearly between the centers of its cells. With a mask, its contour is drawn,
    and a cross at the center of the largest cell; the title says whether that is a hit.

    Parameters
    ----------
    ax : Axes
    image : (H, W, 3) uint8 array
    heat : (h, w) array
        Probabilities, 0 to 1.
    mask : (H, W) bool array, optional
        Where the sounding object is seen; may be empty.
    title : str
        First line of the title; the second tells the outcome.
    """
    heat = np.asarray(heat, np.float64)
    if heat.ndim != 2 or not ((heat >= 0) & (heat <= 1)).all():
        raise ValueError(f"a map is a grid of probabilities, not {heat.shape}: logits need a sigmoid first")
    height, width = image.shape[:2]
    grey = 0.25 + 0.75 * image @ np.array([0.299, 0.587, 0.114]) / 255  # lifted: low probabilities darken it
    ax.imshow(grey, cmap="gray", vmin=0, vmax=1)
    look = {"interpolation": "bilinear", "cmap": COLORS.cmap, "norm": COLORS.norm, "alpha": 0.55}
    ax.imshow(heat, extent=(-0.5, width - 0.5, height - 0.5, -0.5), **look)
    outcome = f"max {heat.max():.2f}"
    if mask is not None and mask.any():
        contour(ax, mask)
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        y, x = int((row + 0.5) * height / heat.shape[0]), int((column + 0.5) * width / heat.shape[1])
        ax.plot(x, y, "x", color="white", markersize=8, markeredgewidth=1.8, path_effects=_EDGE)
        outcome = f"{'hit' if mask[y, x] else 'miss'}, {outcome}"
    ax.set_title(f"{title}\n{outcome}".strip(), fontsize=9)
    ax.axis("off")


def contour(ax: Axes, area: np.ndarray, style: str = "solid") -> None:
    ax.contour(area, levels=[0.5], colors="black", linewidths=2.4)
    ax.contour(area, levels=[0.5], colors="white", linewidths=1.2, linestyles=style)


SCALES = {"probability": "probability of correspondence", "maximum": "share of the highest value"}


def map_wall(rows: Sequence[tuple], scale: str = "probability", across: int = 3) -> Figure:
    """Draw images under their maps; rows of caption, image (H, W, 3), map (h, w) in [0, 1], mask or None.

    `scale` says what colors are: probabilities, or shares of each map's maximum.
    """
    down = -(-len(rows) // across)
    fig, axes = plt.subplots(down, across, figsize=(9, 3.2 * down), layout="constrained", squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (caption, image, heat, mask) in zip(axes.flat, rows, strict=False):
        overlay(ax, image, heat, mask, title=caption)
    fig.colorbar(COLORS, ax=axes, label=SCALES[scale], fraction=0.02, aspect=30)
    return fig


def heat_wall(rows: Sequence[tuple], columns: Sequence[str], scale: str = "probability") -> Figure:
    """Draw images, one per row, and beside each its maps for several sounds, named by `columns`.

    A row is caption, image (H, W, 3), maps (K, h, w) and, for each of them, a mask or None.
    """
    across = len(columns) + 1
    size = (min(10, 0.8 + 1.85 * across), 0.3 + 2.05 * len(rows))
    fig, axes = plt.subplots(len(rows), across, figsize=size, squeeze=False, layout="constrained")
    for line, (caption, image, heats, masks) in zip(axes, rows, strict=True):
        line[0].imshow(image)
        line[0].set_title(caption, fontsize=9)
        line[0].axis("off")
        for ax, heat, mask, name in zip(line[1:], heats, masks, columns, strict=True):
            overlay(ax, image, heat, mask, title=name)
    fig.colorbar(COLORS, ax=axes, label=SCALES[scale], fraction=0.02, aspect=30)
    return fig


def success_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    paper: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    constants: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
) -> Figure:
    """Draw the share of images whose overlap with the truth reaches a threshold, beside the paper's.

    Parameters
    ----------
    curves : mapping of name to (thresholds, shares)
        Two sequences of one length, 0 to 1; the first curve is drawn strongest.
    paper : mapping of name to (thresholds, shares), optional
        Published points, hollow, in the color of the curve of the same name.
    constants : mapping of name to (thresholds, shares), optional
        Curves of what needs no network, in grey.

    Source: LLINet (2020), its success plot.
    """
    paper, constants = paper or {}, constants or {}
    if alone := set(paper) - set(curves):
        raise ValueError(f"published points of {', '.join(sorted(alone))}: there is no curve of that name")
    pairs = [pair for of in (curves, paper, constants) for pair in of.values()]
    _check_shares(value for pair in pairs for side in pair for value in side)
    fig, ax = plt.subplots(figsize=(7.6, 3.8), layout="constrained")
    for k, (name, curve) in enumerate(constants.items()):
        ax.plot(*curve, color="0.55", linestyle=STYLES[1 + k % 5], linewidth=1.3, label=name)
    for k, (name, curve) in enumerate(curves.items()):
        look = {"color": PALETTE[k], "linestyle": STYLES[k % 6], "linewidth": 1.7 if k else 2.6}
        ax.plot(*curve, **look, label=name)
        if name in paper:
            ax.plot(*paper[name], **HOLLOW | {"markeredgecolor": PALETTE[k], "markeredgewidth": 1.4})
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="overlap threshold t (intersection over union)")
    ax.set_ylabel("share of pictures with overlap ≥ t")
    ax.locator_params(nbins=5)
    lines = {line.get_label(): line for line in ax.lines}
    entries = [lines[name] for name in (*curves, *constants)]
    if paper:
        entries.append(Line2D([], [], **HOLLOW, label="paper: other data and rule"))
    fig.legend(handles=entries, loc="outside right upper", fontsize=8)
    return fig


def discs(
    ax: Axes, image: np.ndarray, radius: float, mask: np.ndarray | None = None, *, title: str = ""
) -> None:
    """Draw the disc in the center of every image, of a radius in its shorter sides, and a mask's contour."""
    height, width = image.shape[:2]
    ax.imshow(image)
    if mask is not None and mask.any():
        contour(ax, mask)
    center, size = ((width - 1) / 2, (height - 1) / 2), radius * min(height, width)
    ax.add_patch(Circle(center, size, facecolor=(*PALETTE[1], 0.3), edgecolor=PALETTE[1], linewidth=2))
    ax.set_title(title, fontsize=9)
    ax.axis("off")


# ---------------------------------------------------------------- recognition


def seen_unseen_curve(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray, float]],
    points: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    r"""Draw accuracy on unseen against accuracy on seen classes while a calibration is swept.

    Along a grey line the harmonic mean h is the same,

    .. math:: t_s = h\,t_r / (2\,t_r - h)

    Parameters
    ----------
    curves : mapping of name to (tr, ts, area)
        Two (P,) arrays, shares, in the order of the sweep, and the area under the curve (AUSUC).
    points : mapping of name to (tr, ts), optional
        Where a calibration stops: a curve's own in its color, any other with a marker and name of its own.

    Source: Chao et al. (2016), *An empirical study and analysis of generalized zero-shot learning*.
    """
    points = points or {}
    pairs = [*((tr, ts) for tr, ts, _ in curves.values()), *points.values()]
    top = _end(_check_shares(v for pair in pairs for side in pair for v in np.ravel(side)))
    fig, ax = plt.subplots(figsize=(7.6, 4.4), layout="constrained")
    for h in np.arange(1, round(10 * top)) / 10:
        end = h * top / (2 * top - h)
        tr = np.linspace(end, top, 200)  # from ts = top to tr = top
        ax.plot(tr, h * tr / (2 * tr - h), color="0.85", linewidth=1, zorder=0)
        said = {"textcoords": "offset points", "va": "center", "fontsize": 7, "color": "0.5"}
        ax.annotate(f"hm {100 * h:.0f} %", (top, end), (4, 0), **said)
    entries = []
    for k, (name, (tr, ts, area)) in enumerate(curves.items()):
        look = {"color": PALETTE[k], "linestyle": STYLES[k % 6], "linewidth": 2.4 if k == 0 else 1.7}
        entries += ax.plot(tr, ts, **look, label=f"{name}, AUSUC {area:.3f}")
        if name in points:
            ax.plot(*points[name], "o", color=PALETTE[k], markeredgecolor="white", markersize=9, zorder=4)
    if set(points) & set(curves):
        entries.append(Line2D([], [], linestyle="", marker="o", color="0.3", label="calibration stops here"))
    others = [name for name in points if name not in curves]
    for name, marker in zip(others, "Ds^vP*X" * len(others), strict=False):
        look = {"linestyle": "", "marker": marker, "color": "0.15", "markersize": 7, "zorder": 4}
        entries += ax.plot(*points[name], **look, label=name)
    entries.append(Line2D([], [], color="0.8", linewidth=1, label="same harmonic mean (hm)"))
    ax.set(xlim=(0, top), ylim=(0, top), aspect="equal")
    ax.set(xlabel="tr, accuracy on seen classes", ylabel="ts, accuracy on unseen classes")
    ax.locator_params(nbins=5)
    _percent(ax.xaxis, ax.yaxis)
    fig.legend(handles=entries, loc="outside right upper", fontsize=8)
    return fig


def gate_histogram(seen: np.ndarray, unseen: np.ndarray, threshold: float) -> Figure:
    """Draw how sure the classifier of seen classes is of images of seen and of unseen classes.

    An image at or above the threshold goes to the seen classes, one below it to the unseen ones.

    Parameters
    ----------
    seen, unseen : (N,), (M,) array
        Confidences of test images, 0 to 1.
    threshold : float
    """
    groups = {"seen": np.asarray(seen, float), "unseen": np.asarray(unseen, float)}
    _check_shares([*groups["seen"], *groups["unseen"], threshold])
    fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for (kind, values), color, line in zip(groups.items(), PALETTE, ("-", "--"), strict=False):
        label = f"{kind} classes: {100 * (values >= threshold).mean():.0f} % pass the gate"
        _histogram(ax, values, np.linspace(0, 1, 26), color, line, label)
    ax.axvline(threshold, color="0.2", linestyle=":", linewidth=1.6, label=f"threshold θ = {threshold:.2f}")
    ax.margins(y=0.12)
    for x, text, side in ((threshold - 0.012, "← unseen", "right"), (threshold + 0.012, "seen →", "left")):
        if 0.12 < x < 0.88:  # there is room for the word
            ax.text(x, 0.99, text, ha=side, va="top", fontsize=8, transform=ax.get_xaxis_transform())
    ax.set(xlim=(0, 1), xlabel="confidence: largest probability of a seen class", ylabel="share of pictures")
    _percent(ax.yaxis)
    fig.legend(loc="outside lower center", ncols=3, fontsize=8)
    return fig


def walk(image: np.ndarray, logmel: np.ndarray, image_path: dict, audio_path: dict) -> Figure:
    """Draw the tensors (1, ...) on an image's path above those on an audio's; maps by channels."""
    columns = max(len(image_path), len(audio_path)) + 1
    fig, axes = plt.subplots(2, columns, figsize=(1.75 * columns, 4.6), layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    axes[0, 0].imshow(image)
    axes[1, 0].imshow(logmel.T, origin="lower", aspect="auto", cmap="magma")
    axes[0, 0].set_title("image", fontsize=9)
    axes[1, 0].set_title("log-mel", fontsize=9)
    for row, tensors in zip(axes, (image_path, audio_path), strict=True):
        for ax, (name, tensor) in zip(row[1:], tensors.items(), strict=False):
            _channels(ax, tensor[0])
            ax.set_title(f"{name}\n{' x '.join(map(str, tensor[0].shape))}", fontsize=8)
    return fig


def _channels(ax, tensor) -> None:
    """Six channels of a map (C, h, w), those that vary most, or a vector (D,) as bars."""
    if tensor.ndim == 1:
        ax.axis("on")
        ax.bar(np.arange(min(len(tensor), 40)), tensor[:40].numpy(), width=1.0)
        ax.set(xticks=[], xlabel=f"first {min(len(tensor), 40)}")
        ax.tick_params(labelsize=6)
        return
    order = tensor.flatten(1).std(1).argsort(descending=True)[:6]
    tiles = []
    for channel in tensor[order]:
        span = (channel.max() - channel.min()).clamp(min=1e-6)
        tiles.append(np.pad(((channel - channel.min()) / span).numpy(), 1, constant_values=np.nan))
    long = tensor.shape[-2] > 2 * tensor.shape[-1]  # an audio's: time to the right
    if long:
        tiles = [tile.T[::-1] for tile in tiles]
    mosaic = np.vstack([np.hstack(tiles[k : k + 2]) for k in range(0, len(tiles), 2)])
    ax.imshow(mosaic, cmap="viridis", aspect="auto" if long else "equal", interpolation="nearest")
