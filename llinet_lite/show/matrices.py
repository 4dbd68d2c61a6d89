"""Pictures of matrices: similarities within a batch, the gradients that move them, and confusions.

Row i is picture i of a batch and column j is sound j, so that own pairs lie on the diagonal.

Notebook: 05, 06
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from scipy.stats import rankdata

from llinet_lite.show.plots import PALETTE
from llinet_lite.show.spaces import OTHERS, name_points

OUTLINE = PALETTE[9]  # seen on dark and on light cells
LEFT_OUT = {"facecolor": "0.88", "edgecolor": "0.6", "hatch": "//////", "linewidth": 0}


def similarity_panels(
    matrices: Mapping[str, np.ndarray], labels: Sequence[int], names: Sequence[str]
) -> Figure:
    """Draw similarity matrices of one batch side by side, sorted by class, on one colour scale.

    Each title states the mean similarity of own pairs and of pairs of different classes.

    Parameters
    ----------
    matrices : mapping of title to (B, B) array
        Row i is picture i, column j is sound j. Entries that a loss leaves out are nan and hatched.
    labels : (B,) int
        Class of each pair, a position in `names`.
    names : sequence of str

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a matrix is not (B, B), has no number in it, or a label has no name.

    Notebook: 05
    """
    matrices, labels, order = _of_one_batch(matrices, labels, names)
    low, high = (
        f([f(matrix[np.isfinite(matrix)]) for matrix in matrices.values()]) for f in (np.min, np.max)
    )
    fig, axes, images = _panels(matrices, labels, order, names, cmap="magma", vmin=low, vmax=high)
    apart = labels[:, None] != labels[None]  # (B, B)
    for ax, (title, matrix) in zip(axes, matrices.items(), strict=True):
        own, others = _mean(np.diag(matrix)), _mean(matrix[apart])
        ax.set_title(f"{title}\nown pairs {own:z.2f}, other classes {others:z.2f}", fontsize=10)
    fig.colorbar(images[-1], ax=axes, label="similarity", fraction=0.025, aspect=30, shrink=0.8)
    _explain(fig, matrices, [])
    return fig


def gradient_panels(
    gradients: Mapping[str, np.ndarray], labels: Sequence[int], names: Sequence[str]
) -> Figure:
    """Draw the gradient of a loss by the similarities of a batch, one panel per way of computing it.

    Colours are centred at 0 and span the largest entry off the diagonal of all panels: own pairs,
    which are pulled together much harder, may lie beyond.

    Parameters
    ----------
    gradients : mapping of title to (B, B) array
        Derivative by the similarity of picture i and sound j; nan where a loss leaves an entry out.
    labels, names :
        As for :func:`similarity_panels`.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        As for :func:`similarity_panels`.

    Notebook: 05
    """
    gradients, labels, order = _of_one_batch(gradients, labels, names)
    off = ~np.eye(len(labels), dtype=bool)
    limit = max(np.nanmax(np.abs(matrix[off]), initial=0) for matrix in gradients.values()) or 1.0
    look = {"cmap": "vlag", "vmin": -limit, "vmax": limit}
    fig, axes, images = _panels(gradients, labels, order, names, **look)
    same = (labels[:, None] == labels[None]) & off
    for ax, (title, matrix) in zip(axes, gradients.items(), strict=True):
        ax.plot(range(len(labels)), range(len(labels)), ".", color="0.1", markersize=2.5)
        pull = _mean(matrix[same])
        said = "same class: no gradient" if np.isnan(pull) else f"same class, on average {pull:+.2g}"
        ax.set_title(f"{title}\n{said}", fontsize=10)
    label = "∂loss / ∂similarity\n(below 0: descent raises it)"
    fig.colorbar(images[-1], ax=axes, label=label, fraction=0.025, aspect=30, shrink=0.8, extend="both")
    _explain(fig, gradients, [Line2D([], [], linestyle="", marker=".", color="0.1", label="own pair")])
    return fig


def _mean(values: np.ndarray) -> float:
    """Mean of what is not nan, nan where nothing is."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def _of_one_batch(
    matrices: Mapping[str, np.ndarray], labels: Sequence[int], names: Sequence[str]
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Check matrices of a batch; return them as float64, the labels, and the order that sorts by class."""
    labels = np.asarray(labels)
    checked = {title: np.asarray(matrix, np.float64) for title, matrix in matrices.items()}
    if not checked:
        raise ValueError("there is no matrix to draw: give at least one")
    for title, matrix in checked.items():
        if matrix.shape != (len(labels),) * 2:
            raise ValueError(
                f"{title}: a batch of {len(labels)} labels has no matrix of shape {matrix.shape}"
            )
        if np.isinf(matrix).any() or np.isnan(matrix).all():
            raise ValueError(
                f"{title}: entries are finite, or nan where they are left out, but not all of them"
            )
    if labels.min() < 0 or labels.max() >= len(names):
        raise ValueError(f"labels from {labels.min()} to {labels.max()} do not fit {len(names)} names")
    return checked, labels, np.argsort(labels, kind="stable")


def _panels(
    matrices: Mapping[str, np.ndarray], labels: np.ndarray, order: np.ndarray, names: Sequence[str], **look
) -> tuple[Figure, Sequence[Axes], list[AxesImage]]:
    """Draw matrices side by side, sorted, with an outline around each class, its name at the left."""
    across = len(matrices)
    side = min(4.2, 8.6 / across)  # of a matrix, inches
    fig, axes = plt.subplots(
        1, across, figsize=(across * side + 1.4, side + 1.3), squeeze=False, layout="constrained"
    )
    classes, first, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    letters = min(9.0, 0.9 * 72 * side / len(labels))  # points: a name fits beside one row
    images = []
    for ax, matrix in zip(axes[0], matrices.values(), strict=True):
        images.append(ax.imshow(matrix[np.ix_(order, order)], interpolation="nearest", **look))
        ax.patch.set(**LEFT_OUT)  # seen through the entries that are nan
        for start, n in zip(first, sizes, strict=True):
            ax.add_patch(Rectangle((start - 0.5,) * 2, n, n, fill=False, edgecolor=OUTLINE, linewidth=1.3))
        ax.set(xticks=[], yticks=[], xlabel="sound (in the same order)")
    axes[0, 0].set_yticks(first + (sizes - 1) / 2, [names[k] for k in classes], fontsize=letters)
    axes[0, 0].tick_params(length=2)
    axes[0, 0].set_ylabel("picture")
    return fig, axes[0], images


def _explain(fig: Figure, matrices: Mapping[str, np.ndarray], marks: Sequence[Line2D]) -> None:
    entries = [Patch(fill=False, edgecolor=OUTLINE, linewidth=1.3, label="pairs of one class"), *marks]
    if any(np.isnan(matrix).any() for matrix in matrices.values()):
        entries.append(Patch(**LEFT_OUT, label="no gradient"))
    fig.legend(handles=entries, loc="outside lower center", ncols=len(entries), fontsize=8)


def confusion(shares: np.ndarray, names: Sequence[str], families: Sequence[str] | None = None) -> Figure:
    """Draw which class the queries of each class get as their top answer, in percent of the row.

    Parameters
    ----------
    shares : (K, K) array
        Row: class of the query; column: class of the top answer. Each row sums to 1.
    names : sequence of K str
    families : sequence of K str, optional
        Puts classes of one family beside each other, outlines them and names them at the right;
        `spaces.OTHERS` are not outlined.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If a row does not sum to 1, or names or families are not K.

    Notebook: 06
    """
    shares = _square(shares, names)
    if not np.allclose(shares.sum(1), 1, atol=1e-3) or shares.min() < 0:
        raise ValueError(
            f"rows are shares that sum to 1, not to {np.round(shares.sum(1), 3).tolist()}: "
            "divide each row of counts by its sum"
        )
    if families is not None and len(families) != len(names):
        raise ValueError(f"{len(families)} families for {len(names)} classes: one each is needed")
    kinds = list(dict.fromkeys(families)) if families else []
    order = (
        sorted(range(len(names)), key=lambda k: kinds.index(families[k])) if families else range(len(names))
    )
    order, count = list(order), len(names)
    fig, ax = plt.subplots(
        figsize=(min(10, 3.2 + 0.5 * count), min(9, 1.6 + 0.42 * count)), layout="constrained"
    )
    named = [names[k] for k in order]
    look = {
        "cmap": "Blues",
        "vmin": 0,
        "vmax": 100,
        "annot": True,
        "fmt": ".0f",
        "annot_kws": {"fontsize": 8},
    }
    bar = {"label": "share of the row (%)"}
    cells = 100 * shares[np.ix_(order, order)]
    sns.heatmap(cells, ax=ax, **look, xticklabels=named, yticklabels=named, cbar_kws=bar, linewidths=0.5)
    ax.set(xlabel="class of the top answer", ylabel="class of the query")
    ax.set_title(
        f"right class first: {100 * np.diag(shares).mean():.0f} % on average over classes", fontsize=10
    )
    ax.tick_params(axis="x", rotation=40)
    plt.setp(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
    for kind in kinds:
        _family(ax, kind, [row for row, k in enumerate(order) if families[k] == kind], count)
    return fig


def _family(ax: Axes, kind: str, rows: Sequence[int], count: int) -> None:
    """Write the name of a family at the right edge, and outline its block; others are no family."""
    start, size = rows[0], len(rows)
    if kind != OTHERS:
        ax.add_patch(Rectangle((start, start), size, size, fill=False, edgecolor=PALETTE[1], linewidth=2))
    ax.text(count + 0.15, start + size / 2, kind, va="center", fontsize=8, color="0.25")


def _square(matrix: np.ndarray, names: Sequence[str]) -> np.ndarray:
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (len(names),) * 2:
        raise ValueError(
            f"{len(names)} classes need a matrix of {len(names)} x {len(names)}, not {matrix.shape}"
        )
    return matrix


def rank_correlation(
    shares: np.ndarray, distances: np.ndarray, *, draws: int = 9999, seed: int = 0
) -> tuple[float, float]:
    r"""Spearman's rho of two (K, K) matrices off their diagonals, with a permutation test (Mantel 1967).

    The entries of a matrix are not independent, so whole classes are permuted: rows and columns of
    `distances` together. The p-value counts permutations whose rho is at least as far from 0,

    .. math:: p = (1 + \#\{|\rho_\pi| \ge |\rho|\}) / (1 + \mathrm{draws})

    Parameters
    ----------
    shares, distances : (K, K) array
        Diagonals do not count.
    draws : int
        Permutations of the classes.
    seed : int

    Returns
    -------
    rho, p : float
        In [-1, 1] and (0, 1].

    Raises
    ------
    ValueError
        If the matrices are not square and of one shape, K < 4, or all entries of one are equal.

    Notebook: 06
    """
    shares, distances = np.asarray(shares, np.float64), np.asarray(distances, np.float64)
    count = len(shares)
    if shares.shape != (count, count) or distances.shape != shares.shape or count < 4:
        raise ValueError(
            f"two square matrices of at least 4 classes are needed, not {shares.shape} and {distances.shape}"
        )
    off = ~np.eye(count, dtype=bool)
    ranks = []
    for what, matrix in {"shares": shares, "distances": distances}.items():
        placed, rank = np.zeros((count, count)), rankdata(matrix[off])
        if not np.ptp(rank) > 0:
            raise ValueError(f"the {what} off the diagonal are all equal or not numbers: they have no order")
        placed[off] = (rank - rank.mean()) / rank.std()  # 0 on the diagonal, which then adds nothing
        ranks.append(placed)
    rng = np.random.default_rng(seed)
    rho = (ranks[0] * ranks[1]).sum() / off.sum()
    beyond = 0
    for _ in range(draws):
        order = rng.permutation(count)
        chance = (ranks[0] * ranks[1][np.ix_(order, order)]).sum() / off.sum()
        beyond += abs(chance) >= abs(rho) - 1e-12
    return float(rho), (1 + beyond) / (1 + draws)


def confusion_against(
    shares: np.ndarray,
    distances: np.ndarray,
    names: Sequence[str],
    *,
    xlabel: str = "distance of the two classes in attributes",
    named: int = 5,
    seed: int = 0,
) -> Figure:
    """Draw how often a class is taken for another against how far the two are apart.

    The title states Spearman's rho and the p-value of :func:`rank_correlation`.

    Parameters
    ----------
    shares : (K, K) array
        As for :func:`confusion`; the diagonal is not drawn.
    distances : (K, K) array
        Distance of query's class (row) and answer's class (column).
    names : sequence of K str
    xlabel : str
        What the distance is, and its unit.
    named : int
        How many of the most frequent confusions get their names, written query → answer.
    seed : int
        Of the permutation test.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the matrices are not (K, K), or as for :func:`rank_correlation`.

    Notebook: 06
    """
    shares, distances = _square(shares, names), _square(distances, names)
    rho, p = rank_correlation(shares, distances, seed=seed)
    rows, columns = np.nonzero(~np.eye(len(names), dtype=bool))
    points = np.stack([distances[rows, columns], 100 * shares[rows, columns]], axis=1)  # (K (K - 1), 2)
    fig, ax = plt.subplots(figsize=(7, 4.2))
    ax.scatter(*points.T, s=22, color=PALETTE[0], alpha=0.6, linewidths=0)
    ax.set(xlabel=xlabel, ylabel="queries that get the other class first (%)")
    p_text = f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
    ax.set_title(
        f"Spearman's rho = {rho:+.2f}, {p_text} (permuted classes), {len(points)} ordered pairs", fontsize=10
    )
    ax.margins(0.06)
    ax.set_ylim(min(0, ax.get_ylim()[0]), 1.18 * points[:, 1].max())  # room for names above the points
    worst = np.argsort(-points[:, 1], kind="stable")[:named]
    texts = [f"{names[rows[k]]} → {names[columns[k]]}" for k in worst]
    name_points(ax, points[worst], texts, ["0.4"] * len(worst))
    return fig
