"""What lesson 02 shows of a store: neighbours to hear, the space in the plane.

Notebook: 02
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from llinet_lite.avc.spaces import Vectors
from llinet_lite.data.store import Store
from llinet_lite.metrics.relevance import Relevance
from llinet_lite.metrics.retrieval import nearest, score_embeddings
from llinet_lite.show import Card, figures

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
) -> tuple[Card, list[Card]]:
    """Return a query and its nearest items, for :func:`llinet_lite.show.nearest`.

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
        found.append(Card(**item, right=int(labels[k]) == label, relevance=float(grades[k])))
    return Card(**_item(store, split, items, asked, query)), found


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
    points = figures.tsne(torch.cat([items.image, items.audio]).numpy(), seed=seed)
    labels = np.concatenate([items.image_label, items.audio_label])
    present = np.unique(labels)
    names = [_name(store, k) for k in present]
    kinds = ["picture"] * len(items.image) + ["sound"] * len(items.audio)
    fig, ax = plt.subplots(figsize=(9, 7.5), layout="constrained")
    figures.map_of_space(ax, points, np.searchsorted(present, labels), kinds, names, _families(names))
    return fig


def _families(names: Sequence[str]) -> list[str] | None:
    """Return the families that colour the plane; None for classes that the built-in world has not."""
    try:
        return [figures.family_of(name) for name in names]
    except KeyError:
        return None


def _name(store: Store, label: int) -> str:
    return store.classes[int(label)]["name"]
