"""Maps over pictures, and how named protocols judge them.

Notebook: 03, 07
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from llinet_lite.data.store import Store
from llinet_lite.metrics.localization import (
    baselines,
    by_group,
    compare,
    evaluate,
    size_groups,
    success_curve,
)
from llinet_lite.show import figures
from llinet_lite.sounding.located import Located
from llinet_lite.sounding.pointing import Duets

SCALES = {"probability": "probability of correspondence", "maximum": "share of the map's maximum"}


def _pixels(store: Store, split: str, of: Located, k: int) -> np.ndarray:
    """Return picture k as the network saw it, the centre crop, (H, W, 3) uint8."""
    image, side = store.images(split).image(int(of.row[k])), of.objects.shape[1]
    top, left = ((size - side + 1) // 2 for size in image.shape[:2])
    return image[top : top + side, left : left + side]


def _name(store: Store, label: int) -> str:
    return store.classes[int(label)]["name"]


def map_wall(
    store: Store, split: str, of: Located, which: Sequence[int], *, scale: str = "probability"
) -> Figure:
    """Draw some pictures, three in a row, under the maps for their own sounds.

    Parameters
    ----------
    store, split
        What `of` was made from.
    of : Located
    which : sequence of int
        Numbers of pictures in `of`.
    scale : {"probability", "maximum"}
        What the colours say: the maps are probabilities, as AVOL-Net's; or, for maps on no fixed scale, as
        LLINet's, the share of each map's maximum.
    """
    maps = _coloured(of.maps("own")[:, None].cpu().numpy(), scale)[:, 0]
    rows = -(-len(which) // 3)
    fig, axes = plt.subplots(rows, 3, figsize=(9, 3.2 * rows), layout="constrained", squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, k in zip(axes.flat, which, strict=False):
        picture = _pixels(store, split, of, k)
        figures.overlay(ax, picture, maps[k], of.masks[k], title=_name(store, of.label[k]))
    fig.colorbar(figures.COLORS, ax=axes, label=SCALES[scale], fraction=0.02, aspect=30)
    return fig


def _coloured(maps: np.ndarray, scale: str) -> np.ndarray:
    """Bring maps (N, K, h, w) to [0, 1]; "maximum": by the largest value of each picture's K maps."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}, not {scale!r}")
    if scale == "probability":
        return maps
    top = maps.max((1, 2, 3), keepdims=True)
    return maps / np.where(top > 0, top, 1)


def duet_wall(
    store: Store, split: str, tried: Duets, *, count: int = 4, scale: str = "probability"
) -> Figure:
    """Draw duets under the maps for the sound of either instrument, for silence and for a third class.

    With `scale="maximum"` the four maps of a picture share one scale, so that a sound that leaves it dark
    looks dark; see :func:`map_wall`.
    """
    of = tried.scenes
    silent = of.maps("silence")
    every = np.stack([part.cpu().numpy() for part in (tried.first, tried.second, silent, tried.third)], 1)
    every = _coloured(every, scale)
    rows = []
    for k in np.linspace(0, len(of.label) - 1, min(count, len(of.label))).astype(int):
        first, second = of.objects[k] == 1, of.objects[k] == 2
        names = _name(store, of.label[k]), _name(store, tried.partner[k])
        picture = _pixels(store, split, of, k)
        rows.append(
            figures.HeatRow(f"{names[0]} and\n{names[1]}", picture, every[k], [first, second, None, None])
        )
    fig = figures.heat_wall(rows, ["the first's sound", "the second's sound", "silence", "a third class"])
    fig.axes[-1].set_ylabel(SCALES[scale] if scale == "probability" else "share of the picture's maximum")
    return fig


def protocol_rows(of: Located, protocols: Sequence[str]) -> pd.DataFrame:
    """Judge the maps of a split by several protocols, beside shuffled sounds, silence and constants.

    Returns
    -------
    DataFrame
        One row per answer, one column per protocol: its headline number with its 95 % interval, "-" for an
        answer that the protocol has no use for.
    """
    columns, answers = {}, {}
    for name in protocols:
        rows = {of.title: "own", "shuffled sound": "shuffled", "silence": "silence"}
        judged = {row: evaluate(of.maps(s), of.masks, name, clips=of.clip) for row, s in rows.items()}
        judged |= baselines(of.masks, name, clips=of.clip)
        table = compare(judged)
        cells = [f"{value:.1%} [{low:.1%}, {high:.1%}]" for value, low, high in table.iloc[:, :3].to_numpy()]
        columns[f"{name}, {table.columns[0]}"] = pd.Series(cells, index=table.index)
        answers |= dict.fromkeys(judged)
    return pd.DataFrame(columns).reindex(list(answers)).fillna("-")


def disc_figure(store: Store, split: str, of: Located, which: Sequence[int]) -> Figure:
    """Draw on some pictures the disc that covers half of each, what a median cut makes of a constant."""
    fig, axes = plt.subplots(1, len(which), figsize=(9, 3.2), layout="constrained")
    for ax, k in zip(np.atleast_1d(axes), which, strict=True):
        picture = _pixels(store, split, of, k)
        figures.discs(ax, picture, np.sqrt(0.5 / np.pi), of.masks[k], title=_name(store, of.label[k]))
    return fig


def success_figure(of: Located, protocol: str = "lvs2021") -> Figure:
    """Draw success over the overlap that is asked for: of the maps, of constants, and of the best maps."""
    judged = {of.title: evaluate(of.maps("own"), of.masks, protocol)}
    constant = baselines(of.masks, protocol)
    judged |= {name: constant[name] for name in ("centre disc", "whole image", "oracle ceiling")}
    curves = {name: success_curve(result.iou) for name, result in judged.items()}
    return figures.success_curves(curves)


def by_size(of: Located) -> pd.DataFrame:
    """Return the pointing test by the size of the instrument; chance is the share of pixels it covers."""
    result, sizes = evaluate(of.maps("own"), of.masks, "objects2018", clips=of.clip), size_groups(of.masks)
    table = by_group(result, sizes)
    table["chance"] = [of.masks[sizes == size].mean() for size in table.index]
    return table.reindex([size for size in ("small", "medium", "large") if size in table.index]).round(3)
