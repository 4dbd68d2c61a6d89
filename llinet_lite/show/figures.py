"""Figures that several lessons draw: one style, units on every axis, chance beside every score.

A function draws on the axes it is given or returns a new figure, which
:func:`llinet_lite.show.figure` shows with alt text.
Notebook: 00 to 09
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, PercentFormatter

from llinet_lite.world.instruments import instrument

PALETTE = sns.color_palette("colorblind")
CHANCE = {"color": "0.35", "linestyle": "--", "linewidth": 1}
HOLLOW = {"linestyle": "", "marker": "D", "markersize": 6}
HOLLOW |= {"markerfacecolor": "none", "markeredgecolor": "0.1"}
PLAIN = {"parse_math": False}  # names of files and classes: a $ in them is a $
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
Measured = tuple[float, float, float]  # value, low and high end of its interval; nan where not known
Row = Mapping[str, float]  # column -> value
Curve = tuple[Sequence[float], Sequence[float]]  # x and y


def use_style() -> None:
    """Switch matplotlib to the course's style; called on import of `llinet_lite.show`."""
    sizes = {"font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10}
    look = {"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 88, "legend.frameon": False}
    sns.set_theme(context="notebook", style="ticks", palette=PALETTE, rc=look | sizes)


def _check_shares(values: Iterable[float]) -> list[float]:
    """Refuse what is no share from 0 to 1; return what is not nan."""
    values = [value for value in values if not np.isnan(value)]
    if wrong := [value for value in values if not 0 <= value <= 1]:
        raise ValueError(f"values are shares from 0 to 1, not {wrong[0]:g}: divide percent by 100")
    return values


# ---------------------------------------------------------------- tables


def table(
    rows: Mapping[str, Mapping[str, Measured]],
    columns: Mapping[str, str] | None = None,
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
    rows : row -> column -> (value, low, high)
        Shares, 0 to 1; a missing number is a dash. Or a `results.Table`, which also brings chance and paper.
    columns : column -> label of its axis; default: all columns
    chance : column -> value, a dashed line
    paper : row -> column -> value
        Published values, hollow diamonds; measured on other data, so compare the order, not the height.
    beside : name -> row -> column -> value, marked beside the bars, as the accuracy of pointing at the centre
    constants : name -> column -> value, lines for what needs no network (a centre disc)
    controls : rows that are drawn lighter, as a network asked with another clip's sound
    percent : bool, whether axes are in percent
    top : float, end of the axes; default: a tenth above all that is drawn
    """
    if not isinstance(rows, Mapping):
        rows, chance, paper = _of_results(rows, columns or rows.columns)
    if not rows:
        raise ValueError("there is no score to draw: give at least one row")
    columns = columns or {column: column for row in rows.values() for column in row}
    marks = [(HOLLOW | {"label": "paper, other data"}, paper or {})]
    for k, (name, of) in enumerate((beside or {}).items()):
        look = {"linestyle": "", "marker": "so^v"[k], "color": PALETTE[1 + k], "markersize": 5, "label": name}
        marks.append((look, of))
    marks = [(look, of) for look, of in marks if of]
    lines = [(_line(k) | {"label": name}, line) for k, (name, line) in enumerate((constants or {}).items())]
    lines += [(CHANCE | {"label": "chance"}, chance)] if chance else []
    drawn = [number for row in rows.values() for cell in row.values() for number in cell]
    drawn += [value for _, line in lines for value in line.values()]
    drawn += [value for _, of in marks for line in of.values() for value in line.values()]
    highest = max(_check_shares(drawn))
    top = top or min(1.0, np.ceil(10 * highest + 0.2) / 10)  # so that whole markers fit
    size = (min(10, 2.4 + 3.8 * len(columns)), 1.6 + (0.24 if len(rows) > 16 else 0.34) * len(rows))
    fig, axes = plt.subplots(1, len(columns), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for ax, (column, title) in zip(axes[0], columns.items(), strict=True):
        for y, (name, row) in enumerate(rows.items()):
            _bar(ax, y, row.get(column), lighter=name in controls)
            for look, of in marks:
                if column in of.get(name, {}):
                    ax.plot(of[name][column], y, **look, zorder=4)
        for look, line in lines:
            if column in line:
                ax.axvline(line[column], **look)
        ax.set(xlim=(0, top), xlabel=title)
        ax.xaxis.set_major_locator(MaxNLocator(3 if len(columns) > 2 else 5, steps=[1, 2, 5, 10]))
        if percent:
            ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes[0, 0].set_yticks(range(len(rows)), list(rows), fontsize=9, **PLAIN)
    axes[0, 0].set_ylim(len(rows) - 0.4, -0.6)
    bar = {"color": PALETTE[0], "linewidth": 6}
    entries = [Line2D([], [], **bar, alpha=0.45, label="measured")]
    entries += [Line2D([], [], **bar, alpha=0.18, label="control")] if controls else []
    entries += [Line2D([], [], color=PALETTE[0], linewidth=2.5, label="its interval")]
    entries += [Line2D([], [], **look) for look, _ in (*marks, *lines)]
    fig.legend(handles=entries, loc="outside lower center", ncols=min(5, len(entries)), fontsize=8)
    return fig


def _of_results(table, columns: Iterable[str]) -> tuple[dict, dict, dict]:
    """Rows, chance and the paper's numbers of a `results.Table`."""
    rows, paper = {}, {}
    for name, line in table.values.items():
        intervals = {c: table.interval(name, c) for c in columns if c in line}
        rows[name] = {c: (cell.value, cell.low, cell.high) for c, cell in intervals.items()}
        published = {c: table.published(name, c) for c in columns}
        paper[name] = {c: value for c, value in published.items() if value is not None}
    chance = {c: table.chance[c] for c in columns if c in table.chance}
    return rows, chance, {name: line for name, line in paper.items() if line}


def _bar(ax: Axes, y: int, score: Measured | None, *, lighter: bool) -> None:
    if score is None or np.isnan(score[0]):
        ax.text(0.01, y, "-", va="center", transform=ax.get_yaxis_transform())
        return
    value, *interval = score
    ax.barh(y, value, height=0.62, color=PALETTE[0], alpha=0.18 if lighter else 0.45)
    ax.plot(interval, [y, y], color=PALETTE[0], linewidth=2.5, solid_capstyle="butt")


def _line(k: int) -> dict:
    """Look of the k-th of the things that need no network."""
    return {"color": "0.4", "linestyle": STYLES[1 + k % 5], "linewidth": 1.3}


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
    limit : float, end of the axis on both sides, a share; what lies beyond becomes an arrowhead there
    xlabel : str
    """
    if not rows:
        raise ValueError("there is no effect to draw: give at least one row")
    for name, value, low, high, *_ in rows:
        if value < low or value > high:
            raise ValueError(f"{name}: {value:g} does not lie in its interval from {low:g} to {high:g}")
        if max(map(abs, (value, low, high))) > 1:
            raise ValueError(f"{name}: differences go from -1 to 1: divide percentage points by 100")
    grouped = len(rows[0]) > 4
    lines = [] if grouped else [(row[0], row) for row in rows]  # a heading, or a row
    for group in dict.fromkeys(row[-1] for row in rows) if grouped else ():
        lines += [(group, None), *((row[0], row) for row in rows if row[-1] == group)]
    size = (9.5, 1.3 + 0.25 * len(lines)) if grouped else (7.4, 1.5 + 0.34 * len(lines))
    fig, ax = plt.subplots(figsize=size, layout="constrained")
    ax.axvline(0, color="0.35", linewidth=1, zorder=1)
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    for y, (_, row) in enumerate(lines):
        if row is None:
            ax.axhspan(y - 0.5, y + 0.5, color="0.95", linewidth=0, zorder=0)
            continue
        _effect(ax, y, *row[1:4], limit or 1)
        if grouped:
            ax.annotate(_signed(100 * row[1], ".1f"), (1, y), (44, 0), ha="right", fontsize=9, **place)
            ax.annotate(row[4], (1, y), (52, 0), ha="left", fontsize=9, color="0.35", **place)
    ax.set_yticks(range(len(lines)), [text for text, _ in lines], fontsize=9, **PLAIN)
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


def _effect(ax: Axes, y: float, value: float, low: float, high: float, limit: float) -> None:
    color = ABOVE if low > 0 else BELOW if high < 0 else OPEN
    left, middle, right = 100 * np.clip([low, value, high], -limit, limit)
    marker = "o" if abs(value) <= limit else ">" if value > 0 else "<"
    ax.plot([left, right], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
    ax.plot(middle, y, marker, color=color, markersize=6, clip_on=False)


def _signed(points: float, how: str) -> str:
    return f"{points:+{how}}".replace("-", "−")  # noqa: RUF001, a minus as wide as the plus


# ---------------------------------------------------------------- curves


def spectrogram(ax: Axes, levels: np.ndarray, *, seconds: float, top_hz: float, title: str = "") -> None:
    """Draw a log-spectrogram (F, T), low frequencies at the bottom; the last row is `top_hz`."""
    low, high = np.quantile(levels, [0.05, 0.995])
    look = {"origin": "lower", "aspect": "auto", "cmap": "magma", "vmin": low, "vmax": high}
    ax.imshow(levels, extent=(0, seconds, 0, top_hz / 1000), **look)
    ax.set(xlabel="time (s)", ylabel="frequency (kHz)")
    ax.set_title(title, **PLAIN)


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
    plt.setp(ax.legend(fontsize=8).get_texts(), **PLAIN)
    return fig


def success_curves(
    curves: Mapping[str, Curve],
    paper: Mapping[str, Curve] | None = None,
    constants: Mapping[str, Curve] | None = None,
) -> Figure:
    """Draw the share of images whose overlap with the truth reaches a threshold, beside the paper's.

    All are name -> (thresholds, shares), 0 to 1. The first of `curves` is drawn strongest; points of `paper`
    are hollow, in the color of their curve; `constants`, which need no network, are grey.

    Source: LLINet (2020), its success plot.
    """
    paper, constants = paper or {}, constants or {}
    _check_shares(share for of in (curves, paper, constants) for pair in of.values() for share in pair[1])
    fig, ax = plt.subplots(figsize=(7.6, 3.8), layout="constrained")
    for k, (name, curve) in enumerate(curves.items()):
        look = {"color": PALETTE[k], "linestyle": STYLES[k % 6], "linewidth": 1.7 if k else 2.6}
        ax.plot(*curve, **look, label=name)
        if name in paper:
            ax.plot(*paper[name], **HOLLOW | {"markeredgecolor": PALETTE[k], "markeredgewidth": 1.4})
    for k, (name, curve) in enumerate(constants.items()):
        ax.plot(*curve, **_line(k), label=name, zorder=1)
    if paper:
        ax.plot([], [], **HOLLOW, label="paper: other data and rule")
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="overlap threshold t (intersection over union)")
    ax.set_ylabel("share of pictures with overlap ≥ t")
    ax.locator_params(nbins=5)
    fig.legend(loc="outside right upper", fontsize=8)
    return fig


# ---------------------------------------------------------------- classes

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
FAMILIES = dict(zip(dict.fromkeys(BRANCHES.values()), PALETTE, strict=False))  # name -> color
FAMILIES[OTHERS] = (0.45, 0.45, 0.45)


def family_of(name: str) -> str:
    """Return the branch of the family tree of a class of the built-in world, a key of FAMILIES."""
    return BRANCHES.get(instrument(name).family[1], OTHERS)


def confusion(shares: np.ndarray, names: Sequence[str], families: Sequence[str] | None = None) -> Figure:
    """Draw which class the queries of each class get as their top answer, in percent of the row.

    `shares` (K, K): a row for each class of the query, which sums to 1, a column for each class of the top
    answer. `families`, one per class, puts those of a family together, outlines and names them.
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
    sns.heatmap(100 * shares[np.ix_(order, order)], ax=ax, xticklabels=False, yticklabels=False, **look)
    right = 100 * np.diag(shares).mean()
    ax.set_title(f"right class first: {right:.0f} % on average over classes", fontsize=10)
    ax.set(xlabel="class of the top answer", ylabel="class of the query")
    slant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(np.arange(count) + 0.5, named, **slant, **PLAIN)
    ax.set_yticks(np.arange(count) + 0.5, named, **PLAIN)
    for kind in kinds:
        rows = [row for row, k in enumerate(order) if families[k] == kind]
        if kind != OTHERS:  # no family
            corner, side = (rows[0], rows[0]), len(rows)
            ax.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=PALETTE[1], linewidth=2))
        ax.text(count + 0.15, rows[0] + len(rows) / 2, kind, va="center", fontsize=8, color="0.25")
    return fig


def name_points(ax: Axes, points: Mapping[str, Sequence[float]]) -> None:
    """Write names above points (x, y), moved apart until none covers another, with a line to the point."""
    halo = [withStroke(linewidth=2.5, foreground="white")]
    look = {"ha": "center", "va": "center", "fontsize": 8, "path_effects": halo, "zorder": 4, **PLAIN}
    texts = [ax.text(*point, name, **look) for name, point in points.items()]
    ax.figure.draw_without_rendering()  # now the layout is done, and texts know how large they are
    for text, point, center in zip(texts, points.values(), _apart(ax, texts), strict=True):
        text.set_position(center)
        ax.plot(*np.stack([point, center]).T, color="0.4", linewidth=0.8, zorder=3)


def _apart(ax: Axes, texts: Sequence, rounds: int = 400, gap: float = 3.0) -> np.ndarray:
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


# ---------------------------------------------------------------- localization

COLORS = ScalarMappable(Normalize(0, 1), "magma")  # of all maps: an empty map looks empty
_EDGE = [withStroke(linewidth=3, foreground="black")]  # keeps white lines visible on light images


def overlay(
    ax: Axes, image: np.ndarray, heat: np.ndarray, mask: np.ndarray | None = None, *, title: str = ""
) -> None:
    """Draw a map over its image, in grey, so that color says probability only.

    The map is interpolated bilinearly between the centers of its cells. With a mask that is not empty, its
    contour is drawn, and a cross at the center of the largest cell; the title says whether that is a hit.

    Parameters
    ----------
    image : (H, W, 3) uint8
    heat : (h, w) probabilities, 0 to 1
    mask : (H, W) bool, where the sounding object is seen
    title : str, above the outcome
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
    ax.set_title(f"{title}\n{outcome}".strip(), fontsize=9, **PLAIN)
    ax.axis("off")


def contour(ax: Axes, area: np.ndarray, style: str = "solid") -> None:
    ax.contour(area, levels=[0.5], colors="black", linewidths=2.4)
    ax.contour(area, levels=[0.5], colors="white", linewidths=1.2, linestyles=style)


SCALES = {"probability": "probability of correspondence", "maximum": "share of the highest value"}


def map_wall(rows: Sequence[tuple], scale: str = "probability", across: int = 3) -> Figure:
    """Draw images under their maps; rows of caption, image (H, W, 3), map (h, w) in [0, 1], mask or None.

    Without a map the bare image is drawn. `scale` says what colors are: probabilities, or shares of each
    map's maximum.
    """
    down, side = -(-len(rows) // across), 8.2 / across
    size = (9, (side + 0.4) * down)
    fig, axes = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for ax, (caption, image, heat, mask) in zip(axes.flat, rows, strict=False):
        if heat is None:
            ax.imshow(image)
            ax.set_title(caption, fontsize=9, **PLAIN)
        else:
            overlay(ax, image, heat, mask, title=caption)
    fig.colorbar(COLORS, ax=axes, label=SCALES[scale], fraction=0.02, aspect=30)
    return fig


def heat_wall(rows: Sequence[tuple], columns: Sequence[str], scale: str = "probability") -> Figure:
    """Draw images, one per row, and beside each its maps for several sounds, named by `columns`.

    A row is caption, image (H, W, 3), maps (K, h, w) and, for each of them, a mask or None.
    """
    tiles = []
    for caption, image, heats, masks in rows:
        named = zip(columns, heats, masks, strict=True)
        tiles += [(caption, image, None, None), *((name, image, heat, mask) for name, heat, mask in named)]
    return map_wall(tiles, scale, across=len(columns) + 1)
