"""Pictures of zero-shot recognition: the table, the balance of seen and unseen, the gate, the prototypes.

Which class is taken for which draws :func:`matrices.confusion`.

Notebook: 08
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from llinet_lite.show.localization import STYLES, Measured, check_shares, table_bars
from llinet_lite.show.plots import PALETTE
from llinet_lite.show.spaces import name_points

__all__ = ["accuracy_bars", "gate_histogram", "gzsl_bars", "prototype_map", "seen_unseen_curve"]

GZSL = {
    "tr": "tr, accuracy on\nseen classes",
    "ts": "ts, accuracy on\nunseen classes",
    "hm": "hm, harmonic\nmean",
}
KINDS = {"picture": "o", "sound": "x", "prototype": "*"}


def accuracy_bars(
    rows: Mapping[str, Measured],
    *,
    chance: float,
    paper: Mapping[str, float] | None = None,
    xlabel: str = "accuracy among the unseen classes",
) -> Figure:
    """Draw zero-shot accuracy, one bar with its interval per method.

    Parameters
    ----------
    rows : mapping of method to (value, low, high)
        Shares, 0 to 1.
    chance : float
        What guessing gets, a share.
    paper : mapping of method to float, optional
        Published shares, hollow diamonds; on other data.
    xlabel : str

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a value is no share, or a published method has no row.

    Source: LLINet (2020), its table of recognition.

    Notebook: 08
    """
    return table_bars(
        {method: {"accuracy": score} for method, score in rows.items()},
        paper={method: {"accuracy": value} for method, value in (paper or {}).items()},
        constants={"chance": {"accuracy": chance}},
        panels={"accuracy": xlabel},
    )


def gzsl_bars(
    rows: Mapping[str, Mapping[str, Measured]],
    *,
    chance: Mapping[str, float],
    paper: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """Draw generalized zero-shot accuracy: a panel each for seen and unseen classes and their harmonic mean.

    Parameters
    ----------
    rows : mapping of method to mapping of "tr", "ts", "hm" to (value, low, high)
        Shares, 0 to 1.
    chance : mapping of "tr", "ts", "hm" to float
        What guessing among all classes gets.
    paper : mapping of method to mapping of "tr", "ts", "hm" to float, optional
        Published shares, hollow diamonds; on other data.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a column is unknown or has no chance, a value is no share, or a published method has no row.

    Source: LLINet (2020), its table of recognition.

    Notebook: 08
    """
    return table_bars(rows, paper=paper, constants={"chance": chance}, panels=GZSL)


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
        Two (P,) arrays, shares, in the order of the sweep, and the area under the curve (AUSUC), which
        the legend states.
    points : mapping of name to (tr, ts), optional
        Where a calibration stops. A curve's point, under the curve's name, is drawn in its colour; any
        other gets a marker and a name of its own.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there is no curve, tr and ts differ in shape, or a value is no share.

    Source: Chao et al. (2016), *An empirical study and analysis of generalized zero-shot learning*.

    Notebook: 08
    """
    points = points or {}
    top = _top_of_curves(curves, points)
    fig, ax = plt.subplots(figsize=(7.6, 4.4), layout="constrained")
    _iso_means(ax, top)
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
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    fig.legend(handles=entries, loc="outside right upper", fontsize=8)
    return fig


def _top_of_curves(curves: Mapping, points: Mapping) -> float:
    """Check curves and points; return where both axes end."""
    if not curves:
        raise ValueError("there is no curve to draw: give at least one")
    for name, (tr, ts, _) in curves.items():
        if np.shape(tr) != np.shape(ts) or np.ndim(tr) != 1:
            raise ValueError(f"{name}: tr {np.shape(tr)} and ts {np.shape(ts)} are two rows of one length")
    pairs = [*((tr, ts) for tr, ts, _ in curves.values()), *points.values()]
    values = np.concatenate([np.ravel(side) for pair in pairs for side in pair])
    check_shares([*values, *(area for *_, area in curves.values())])
    return min(1.0, np.ceil(10 * values.max() + 0.2) / 10)


def _iso_means(ax: Axes, top: float) -> None:
    """Draw the lines of equal harmonic mean, every tenth, and name them at the right edge."""
    for h in np.arange(1, round(10 * top)) / 10:
        tr = np.linspace(h * top / (2 * top - h), top, 200)  # from ts = top to tr = top
        ax.plot(tr, h * tr / (2 * tr - h), color="0.85", linewidth=1, zorder=0)
        end = h * top / (2 * top - h)
        ax.annotate(
            f"hm {100 * h:.0f} %",
            (top, end),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color="0.5",
        )


def gate_histogram(seen: np.ndarray, unseen: np.ndarray, threshold: float) -> Figure:
    """Draw how sure the classifier of seen classes is of pictures of seen and of unseen classes.

    A picture at or above the threshold goes to the seen classes, one below it to the unseen ones.

    Parameters
    ----------
    seen, unseen : (N,), (M,) array
        Confidences of test pictures, 0 to 1; both histograms sum to 1.
    threshold : float

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If there are no pictures of one kind, or a value is no share.

    Notebook: 08
    """
    groups = {"seen": np.asarray(seen, float), "unseen": np.asarray(unseen, float)}
    for kind, values in groups.items():
        if not len(values):
            raise ValueError(f"there is no picture of {kind} classes: the gate needs both kinds")
    check_shares([*groups["seen"], *groups["unseen"], threshold])
    fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
    bins = np.linspace(0, 1, 26)
    for (kind, values), color, line in zip(groups.items(), PALETTE, ("-", "--"), strict=False):
        share = np.full(len(values), 1 / len(values))
        passing = 100 * (values >= threshold).mean()
        look = {"facecolor": (*color, 0.25), "edgecolor": color, "linestyle": line, "linewidth": 1.4}
        label = f"{kind} classes: {passing:.0f} % pass the gate"
        ax.hist(values, bins, weights=share, histtype="stepfilled", label=label, **look)
    ax.axvline(threshold, color="0.2", linestyle=":", linewidth=1.6, label=f"threshold θ = {threshold:.2f}")
    ax.margins(y=0.12)
    for x, text, side in ((threshold - 0.012, "← unseen", "right"), (threshold + 0.012, "seen →", "left")):
        if 0.12 < x < 0.88:  # there is room for the word
            ax.text(x, 0.99, text, ha=side, va="top", fontsize=8, transform=ax.get_xaxis_transform())
    ax.set(xlim=(0, 1), xlabel="confidence: largest probability of a seen class", ylabel="share of pictures")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    fig.legend(loc="outside lower center", ncols=3, fontsize=8)
    return fig


def prototype_map(
    points: np.ndarray, labels: Sequence[int], kinds: Sequence[str], names: Sequence[str]
) -> Figure:
    """Draw pictures, sounds and prototypes of a few classes on a plane, one colour per class.

    :func:`spaces.map_of_space` colours by family and knows no prototypes; this is for the unseen classes.

    Parameters
    ----------
    points : (N, 2) array
        As from `spaces.tsne` of all vectors together, prototypes among them.
    labels : (N,) int
        Class of each point, a position in `names`.
    kinds : (N,) str
        "picture", "sound" or "prototype"; every class has one prototype, at which its name is written.
    names : sequence of K str
        At most ten classes: the palette has no more colours.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If lengths differ, a kind or a class is unknown, classes are too many or one has not one prototype.

    Notebook: 08
    """
    points, labels, kinds = np.asarray(points), np.asarray(labels), np.asarray(kinds)
    _check_map(points, labels, kinds, names)
    fig, ax = plt.subplots(figsize=(7, 5.2))  # no layout engine: names are placed by what is on the page
    shade = np.array(PALETTE)[labels]  # (N, 3)
    looks = {
        "picture": {"s": 18, "linewidths": 0, "alpha": 0.55},
        "sound": {"s": 20, "linewidths": 1, "alpha": 0.6},
        "prototype": {"s": 220, "linewidths": 1.2, "edgecolors": "black", "zorder": 3},
    }
    for kind, marker in KINDS.items():
        mine = kinds == kind
        ax.scatter(*points[mine].T, c=shade[mine], marker=marker, **looks[kind])
    ax.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
    ax.margins(0.08)
    stars = np.flatnonzero(kinds == "prototype")
    tips = ax.transData.transform(points[stars])  # (K, 2), on the page
    tips[:, 1] += 0.11 * fig.dpi  # where a star ends, so that its name stands clear of it
    tips = ax.transData.inverted().transform(tips)
    name_points(ax, tips, [names[k] for k in labels[stars]], shade[stars])
    entries = [
        Line2D([], [], linestyle="", marker=marker, color="0.3", markersize=size, label=kind)
        for (kind, marker), size in zip(KINDS.items(), (5, 6, 12), strict=True)
    ]
    entries[-1].set_label("prototype: mean of the sounds")
    ax.legend(handles=entries, loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=3, fontsize=8)
    return fig


def _check_map(points: np.ndarray, labels: np.ndarray, kinds: np.ndarray, names: Sequence[str]) -> None:
    if not len(points) == len(labels) == len(kinds):
        raise ValueError(
            f"{len(points)} points, {len(labels)} labels, {len(kinds)} kinds: one of each is needed"
        )
    if unknown := set(kinds.tolist()) - set(KINDS):
        raise ValueError(f"a kind is one of {', '.join(KINDS)}, not {sorted(unknown)}")
    if len(names) > len(PALETTE):
        raise ValueError(f"{len(names)} classes for {len(PALETTE)} colours: draw the unseen classes only")
    if labels.min() < 0 or labels.max() >= len(names):
        raise ValueError(f"labels from {labels.min()} to {labels.max()} do not fit {len(names)} names")
    own = sorted(labels[kinds == "prototype"].tolist())
    if own != sorted(set(labels.tolist())):
        raise ValueError(f"every class has one prototype; prototypes are of the classes {own}")
