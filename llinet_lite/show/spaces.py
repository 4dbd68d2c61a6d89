"""Pictures of a shared space: a map of it, its distances and their calibration, and the retrieval table.

Notebook: 02
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from llinet_lite.show.plots import CHANCE, PALETTE
from llinet_lite.show.retrieval import table_bars
from llinet_lite.world.instruments import instrument

# The branches of the family tree below "Musical instrument"; classes that hang from it directly are others.
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
DIRECTIONS = {
    "im-im": "picture → picture",
    "im-aud": "picture → sound",
    "aud-im": "sound → picture",
    "aud-aud": "sound → sound",
}


def tsne(
    vectors: np.ndarray, seed: int = 0, *, metric: str = "euclidean", perplexity: float = 30.0
) -> np.ndarray:
    """Lay vectors out on a plane so that near ones stay near (van der Maaten and Hinton 2008).

    It starts from the first two principal components, so that a seed gives one
    map. Neighbourhoods can be read from it; distances between groups, and
    their sizes, cannot.

    Parameters
    ----------
    vectors : (N, D) array
    seed : int
    metric : "euclidean" or "cosine"
        Between unit vectors both give the same neighbours.
    perplexity : float
        About how many neighbours count, less than N.

    Returns
    -------
    (N, 2) float32 array

    Raises
    ------
    ValueError
        If there are not more vectors than `perplexity`.

    Notebook: 02
    """
    from sklearn.manifold import TSNE

    if len(vectors) <= perplexity:
        raise ValueError(
            f"{len(vectors)} vectors cannot have about {perplexity:g} neighbours each: "
            "give more vectors or a smaller perplexity"
        )
    layout = TSNE(init="pca", random_state=seed, metric=metric, perplexity=perplexity)
    return layout.fit_transform(np.asarray(vectors, np.float32))


def family_of(name: str) -> str:
    """Return the branch of the family tree that a class of the built-in world is on, one of FAMILIES.

    Raises
    ------
    KeyError
        If there is no such class.
    """
    return BRANCHES.get(instrument(name).family[1], OTHERS)


def map_of_space(
    ax: Axes,
    points: np.ndarray,
    labels: Sequence[int],
    modality: Sequence[str],
    names: Sequence[str],
    families: Sequence[str] | None = None,
    *,
    title: str = "",
    legend: bool = True,
) -> None:
    """Draw a plane of pictures (dots) and sounds (crosses), with the name of each class at its medoid.

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
        Family of each class, one of FAMILIES, which gives the colour; :func:`family_of`
        knows those of the built-in world. Without it all points are of one colour.
    title : str
    legend : bool
        False beside another map with the same legend.

    Raises
    ------
    ValueError
        If the lengths differ, or a modality or family is unknown.

    Notebook: 02
    """
    points, labels, modality = np.asarray(points), np.asarray(labels), np.asarray(modality)
    if not len(points) == len(labels) == len(modality):
        raise ValueError(
            f"{len(points)} points, {len(labels)} labels, {len(modality)} modalities: one of each is needed"
        )
    if unknown := set(modality.tolist()) - set(MARKERS):
        raise ValueError(f"a modality is one of {', '.join(MARKERS)}, not {sorted(unknown)}")
    if families and (unknown := set(families) - set(FAMILIES)):
        raise ValueError(f"a family is one of {', '.join(FAMILIES)}, not {sorted(unknown)}")
    color = [_color(family) for family in families] if families else [PALETTE[0]] * len(names)
    shade = np.array(color)[labels]  # (N, 3)
    for kind, marker in MARKERS.items():
        mine = modality == kind
        ax.scatter(*points[mine].T, c=shade[mine], marker=marker, s=16, linewidths=0.9, alpha=0.65)
    ax.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)", title=title)
    shown = np.unique(labels)
    anchors = np.stack([_medoid(points[labels == k]) for k in shown])  # (C, 2)
    name_points(ax, anchors, [names[k] for k in shown], [color[k] for k in shown])
    if legend:
        _map_legend(ax, [family for family in FAMILIES if families and family in families])


def _color(family: str) -> tuple[float, float, float]:
    """Colour of a family: the palette's, and grey for the others."""
    return (0.45, 0.45, 0.45) if family == OTHERS else PALETTE[FAMILIES.index(family)]


def _map_legend(ax: Axes, families: Sequence[str]) -> None:
    entries = [Line2D([], [], linestyle="", marker=m, color="0.3", label=kind) for kind, m in MARKERS.items()]
    entries += [Line2D([], [], linestyle="", marker="s", color=_color(f), label=f) for f in families]
    ax.legend(
        handles=entries,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.06),
        ncols=5,
        fontsize=8,
        columnspacing=1.2,
        handletextpad=0.2,
    )


def _medoid(points: np.ndarray) -> np.ndarray:
    """Return the one of the (n, 2) points that is nearest to all: it lies among them, a mean may not."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)  # (n, n)
    return points[distances.sum(axis=1).argmin()]


def name_points(ax: Axes, anchors: np.ndarray, names: Sequence[str], colors: Sequence[tuple]) -> None:
    """Write names above (C, 2) anchors, moved apart until none covers another, with a line to the anchor."""
    halo = [withStroke(linewidth=2.5, foreground="white")]
    texts = [
        ax.text(*anchor, name, ha="center", va="center", fontsize=8, path_effects=halo, zorder=4)
        for anchor, name in zip(anchors, names, strict=True)
    ]
    for text, anchor, centre, color in zip(texts, anchors, _apart(ax, texts), colors, strict=True):
        text.set_position(centre)
        ax.plot(*np.stack([anchor, centre]).T, color=color, linewidth=0.8, zorder=3)


def _apart(ax: Axes, texts: Sequence[Text], *, rounds: int = 400, gap: float = 3.0) -> np.ndarray:
    """Find centres, (C, 2) in data units, at which the texts do not overlap and lie inside the axes."""
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


def calibration(
    histories: Mapping[str, np.ndarray],
    matched: np.ndarray,
    mismatched: np.ndarray,
    kept: tuple[float, float] | None = None,
) -> Figure:
    r"""Draw what AVE-Net's last layer learns: when two things are near enough to belong together.

    The difference of its two logits is a line over the distance d, so that

    .. math:: p(\mathrm{match} \mid d) = \sigma\big(s\,(d - \theta)\big)

    with slope s (negative: near means match) and threshold theta, where p = 1/2.
    Left: both over the epochs. Right: :func:`distance_histogram` with the layer
    of the network whose distances they are.

    Parameters
    ----------
    histories : mapping of name to (E + 1, 2) array
        Slope and threshold before training and after each epoch.
    matched, mismatched : (n,), (m,) array
        Distances of test pairs, 0 to 2.
    kept : (slope, threshold), optional
        Of that network, which is not always that of the last epoch; the last of the first history if absent.

    Source: *Objects that Sound* (2018), section 3.3.

    Notebook: 02
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
    low, high = bottom.get_ylim()
    if low < 0 or high > 2:  # where the slope passes 0 the threshold runs off; distances end at 2
        bottom.set_ylim(0, 2)
    slope, threshold = kept or next(iter(histories.values()))[-1]
    distance_histogram(fig.add_subplot(grid[:, 1]), matched, mismatched, slope=slope, threshold=threshold)
    return fig


def distance_histogram(
    ax: Axes, matched: np.ndarray, mismatched: np.ndarray, *, slope: float, threshold: float
) -> None:
    """Draw the distances of matched and mismatched pairs, and the probability of a match at each distance.

    Parameters
    ----------
    ax : Axes
        A second axis for the probability is added on its right.
    matched, mismatched : (n,), (m,) array
        Distances between unit vectors, 0 to 2; both histograms sum to 1.
    slope, threshold : float
        Of the logistic curve, as for :func:`calibration`.

    Notebook: 02
    """
    bins = np.linspace(0, 2, 41)
    for distances, label, color, line in (
        (matched, "matched pairs", PALETTE[0], "-"),
        (mismatched, "mismatched pairs", PALETTE[1], "--"),
    ):
        share = np.full(len(distances), 1 / len(distances))
        look = {"facecolor": (*color, 0.25), "edgecolor": color, "linestyle": line, "linewidth": 1.4}
        ax.hist(distances, bins, weights=share, histtype="stepfilled", label=label, **look)
    ax.axvline(threshold, color="0.2", linestyle=":", linewidth=1.4, label=f"threshold θ = {threshold:.2f}")
    ax.set(xlim=(0, 2), xlabel="Euclidean distance", ylabel="share of pairs")
    right = ax.twinx()
    d = np.linspace(0, 2, 401)
    right.plot(d, 1 / (1 + np.exp(-slope * (d - threshold))), color=PALETTE[2], linewidth=2)
    right.spines["right"].set_visible(True)
    right.set(ylim=(0, 1.02), ylabel="probability of a match")
    ax.plot([], [], color=PALETTE[2], linewidth=2, label="p(match), right axis")
    ax.legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def ndcg_bars(
    scores: Mapping[str, Mapping[str, tuple[float, float, float]]],
    *,
    random: Mapping[str, float],
    paper: Mapping[str, Mapping[str, float]],
    xlabel: str = "nDCG@30",
) -> Figure:
    """Draw the retrieval table: one panel per direction, one bar per method.

    Parameters
    ----------
    scores : mapping of method to mapping of direction to (value, low, high)
        Directions are the keys of DIRECTIONS, query first. A method that has no
        number in a direction (a picture network cannot hear) gets a dash.
    random : mapping of direction to float
        Mean score of a random ranking of the same database.
    paper : mapping of method to mapping of direction to float
        Published values, hollow diamonds; on other data, so to be compared in order and not in height.

    Notebook: 02
    """
    return table_bars(
        scores, chance=random, paper=paper, panels=DIRECTIONS, xlabel=xlabel, percent=False, top=1.0
    )
