"""What lessons 02 and 03 show of a store: neighbours to hear, the space in the plane, maps over pictures.

Notebook: 02, 03
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from llinet_lite.avc.pointing import Duets
from llinet_lite.avc.sounding import Located
from llinet_lite.avc.spaces import Vectors
from llinet_lite.data.store import Store
from llinet_lite.metrics.localization import (
    baselines,
    by_group,
    compare,
    evaluate,
    size_groups,
    success_curve,
)
from llinet_lite.metrics.relevance import Relevance
from llinet_lite.metrics.retrieval import nearest, score_embeddings
from llinet_lite.show import heat, spaces
from llinet_lite.show.nearest import Item

SIDES = {"im": "image", "aud": "audio"}


def neighbours(
    store: Store,
    split: str,
    items: Vectors,
    direction: str,
    relevance: Relevance,
    *,
    query: int,
    count: int = 5,
) -> tuple[Item, list[Item]]:
    """Return a query and its nearest items, for :func:`llinet_lite.show.nearest.nearest`.

    Parameters
    ----------
    store, split
        What `items` were embedded from.
    items : Vectors
    direction : str
        "im-im", "im-aud", "aud-im" or "aud-aud": query and database.
    relevance : Relevance
    query : int
        Number of the query among `items`; within a sense it is not found itself.
    count : int
        Of nearest items; all of them where there are fewer.
    """
    asked, searched = (SIDES[side] for side in direction.split("-"))
    vector, database = getattr(items, asked)[query : query + 1], getattr(items, searched)
    scores = score_embeddings(vector, database)
    count = min(count, len(database) - (asked == searched))
    if asked == searched:
        scores[0, query] = -torch.inf
    label = int(getattr(items, f"{asked}_label")[query])
    labels = getattr(items, f"{searched}_label")
    grades = relevance.between([label], labels)[0]
    found = []
    for k in nearest(scores, count)[0].tolist():
        item = _item(store, split, items, searched, k)
        found.append(Item(**item, right=int(labels[k]) == label, relevance=float(grades[k])))
    return Item(**_item(store, split, items, asked, query)), found


def _item(store: Store, split: str, items: Vectors, side: str, k: int) -> dict:
    name = _name(store, getattr(items, f"{side}_label")[k])
    if side == "image":
        return {"caption": name, "image": store.images(split).image(int(items.image_row[k]))}
    sound, rate = store.sounds(split), store.sample_rate
    row = int(items.audio_row[k])
    start = (int(sound.length[row]) - rate) // 2
    if items.paired:  # the second around the picture, which was embedded
        start = round(float(store.images(split).time[int(items.image_row[k])]) * rate) - rate // 2
    return {"caption": name, "waveform": sound.audio(row, start, rate), "sample_rate": rate}


def space_figure(store: Store, items: Vectors, *, seed: int = 0) -> Figure:
    """Draw all pictures and sounds of a split in the plane, by t-SNE."""
    points = spaces.tsne(torch.cat([items.image, items.audio]).numpy(), seed=seed)
    labels = np.concatenate([items.image_label, items.audio_label])
    present = np.unique(labels)
    names = [_name(store, k) for k in present]
    kinds = ["picture"] * len(items.image) + ["sound"] * len(items.audio)
    fig, ax = plt.subplots(figsize=(9, 7.5), layout="constrained")
    spaces.map_of_space(ax, points, np.searchsorted(present, labels), kinds, names, _families(names))
    return fig


def _families(names: Sequence[str]) -> list[str] | None:
    """Return the families that colour the plane; None for classes that the built-in world has not."""
    try:
        return [spaces.family_of(name) for name in names]
    except KeyError:
        return None


def _pixels(store: Store, split: str, of: Located, k: int) -> np.ndarray:
    """Return picture k as the network saw it, the centre crop, (H, W, 3) uint8."""
    image, side = store.images(split).image(int(of.row[k])), of.objects.shape[1]
    top, left = ((size - side + 1) // 2 for size in image.shape[:2])
    return image[top : top + side, left : left + side]


def _name(store: Store, label: int) -> str:
    return store.classes[int(label)]["name"]


def map_wall(store: Store, split: str, of: Located, which: Sequence[int]) -> Figure:
    """Draw some pictures, three in a row, under the maps for their own sounds."""
    maps = of.maps("own").cpu().numpy()
    rows = -(-len(which) // 3)
    fig, axes = plt.subplots(rows, 3, figsize=(9, 3.2 * rows), layout="constrained", squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, k in zip(axes.flat, which, strict=False):
        picture = _pixels(store, split, of, k)
        heat.overlay(ax, picture, maps[k], of.masks[k], title=_name(store, of.label[k]))
    fig.colorbar(heat.COLORS, ax=axes, label="probability of correspondence", fraction=0.02, aspect=30)
    return fig


def duet_wall(store: Store, split: str, tried: Duets, *, count: int = 4) -> Figure:
    """Draw duets under the maps for the sound of either instrument, for silence and for a third class."""
    of = tried.scenes
    silent = of.maps("silence")
    every = np.stack([part.cpu().numpy() for part in (tried.first, tried.second, silent, tried.third)], 1)
    rows = []
    for k in np.linspace(0, len(of.label) - 1, min(count, len(of.label))).astype(int):
        first, second = of.objects[k] == 1, of.objects[k] == 2
        names = _name(store, of.label[k]), _name(store, tried.partner[k])
        picture = _pixels(store, split, of, k)
        rows.append(
            heat.HeatRow(f"{names[0]} and\n{names[1]}", picture, every[k], [first, second, None, None])
        )
    return heat.heat_wall(rows, ["the first's sound", "the second's sound", "silence", "a third class"])


def protocol_rows(of: Located, protocols: Sequence[str]) -> pd.DataFrame:
    """Judge the maps of a split by several protocols, beside shuffled sounds, silence and constants.

    Returns
    -------
    DataFrame
        One row per answer, one column per protocol: its headline number, "-" for an answer that the
        protocol has no use for.
    """
    columns, answers = {}, {}
    for name in protocols:
        rows = {"AVOL-Net": "own", "shuffled sound": "shuffled", "silence": "silence"}
        judged = {row: evaluate(of.maps(s), of.masks, name, clips=of.clip) for row, s in rows.items()}
        judged |= baselines(of.masks, name, clips=of.clip)
        table = compare(judged)
        columns[f"{name}, {table.columns[0]}"] = table.iloc[:, 0].map("{:.1%}".format)
        answers |= dict.fromkeys(judged)
    return pd.DataFrame(columns).reindex(list(answers)).fillna("-")


def disc_figure(store: Store, split: str, of: Located, which: Sequence[int]) -> Figure:
    """Draw on some pictures the disc that covers half of each, what a median cut makes of a constant."""
    fig, axes = plt.subplots(1, len(which), figsize=(9, 3.2), layout="constrained")
    for ax, k in zip(np.atleast_1d(axes), which, strict=True):
        picture = _pixels(store, split, of, k)
        heat.discs(ax, picture, np.sqrt(0.5 / np.pi), of.masks[k], title=_name(store, of.label[k]))
    return fig


def success_figure(of: Located, protocol: str = "lvs2021") -> Figure:
    """Draw success over the overlap that is asked for: of the maps, of constants, and of the best maps."""
    judged = {"AVOL-Net": evaluate(of.maps("own"), of.masks, protocol)}
    constant = baselines(of.masks, protocol)
    judged |= {name: constant[name] for name in ("centre disc", "whole image", "oracle ceiling")}
    curves = {name: success_curve(result.iou) for name, result in judged.items()}
    thresholds = next(iter(curves.values()))[0]
    return heat.success_curves(thresholds, {name: shares for name, (_, shares) in curves.items()})


def by_size(of: Located) -> pd.DataFrame:
    """Return the pointing test by the size of the instrument in the picture."""
    result = evaluate(of.maps("own"), of.masks, "objects2018", clips=of.clip)
    return by_group(result, size_groups(of.masks)).round(3)
