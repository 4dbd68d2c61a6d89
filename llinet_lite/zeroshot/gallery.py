"""What lesson 06 looks at: answers one can hear, what is mixed up, what the released protocol measures.

Notebook: 06
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from IPython.display import HTML
from torch import Tensor

from llinet_lite.data.store import Store
from llinet_lite.metrics.intervals import clip_bootstrap
from llinet_lite.metrics.retrieval import (
    chance_mean_average_precision,
    class_confusion,
    cosine_scores,
    nearest,
    released_map_of_scores,
)
from llinet_lite.show import Card, figures
from llinet_lite.show import nearest as page
from llinet_lite.world.instruments import INSTRUMENTS, instrument
from llinet_lite.zeroshot.evaluation import Embedded, Items
from llinet_lite.zeroshot.runs import Run, watched

SECOND = 1.0  # of sound in a gallery's players
CHOICES = 500  # random choices of one query per class
DROP_LAST = 32  # the released loader's batch: the last one is dropped if it is not full


def gallery(
    store: Store, split: str, found: Embedded, *, direction: str, count: int = 3, answers: int = 5
) -> list[HTML]:
    """Return queries of classes that are spread over the split, each with its nearest answers.

    Parameters
    ----------
    store, split
        What `found` was embedded from.
    found : Embedded
    direction : {"I2A", "A2I"}
    count, answers : int
        Queries, and answers of each.
    """
    items, scores = found.items, found.scores if direction == "I2A" else found.scores.T
    labels = items.image_label if direction == "I2A" else items.sound_label
    classes = np.unique(labels)
    chosen = classes[np.linspace(0, len(classes) - 1, count).round().astype(int)]
    queries = [int(np.flatnonzero(labels == label)[0]) for label in chosen]
    best = nearest(scores[queries], answers)
    picture = direction == "I2A"
    return [
        page(
            _item(store, split, found, query, picture),
            [_item(store, split, found, k, not picture, int(labels[query])) for k in row.tolist()],
        )
        for query, row in zip(queries, best, strict=True)
    ]


def _item(store: Store, split: str, found: Embedded, k: int, picture: bool, asked: int | None = None) -> Card:
    items = found.items
    label = int((items.image_label if picture else items.sound_label)[k])
    verdict = {} if asked is None else {"right": label == asked}
    name = store.classes[label]["name"]
    if picture:
        return Card(name, image=store.images(split).image(int(items.image_row[k])), **verdict)
    sounds, row, rate = store.sounds(split), int(items.sound_row[k]), store.sample_rate
    length = min(int(SECOND * rate), int(sounds.length[row]))
    start = (int(sounds.length[row]) - length) // 2
    return Card(name, waveform=sounds.audio(row, start, length), sample_rate=rate, **verdict)


def confusions(found: Embedded, *, direction: str) -> np.ndarray:
    """Return the share (K, K) of first answers of each class, by the class of the query, labels rising."""
    items, scores = found.items, found.scores if direction == "I2A" else found.scores.T
    pair = (items.image_label, items.sound_label)
    queries, gallery_labels = pair if direction == "I2A" else pair[::-1]
    return np.asarray(class_confusion(scores, queries, gallery_labels, np.unique(queries).tolist()))


def families(names: Sequence[str]) -> list[str]:
    """Return the branch of the family tree of every class of the built-in world."""
    return [figures.family_of(name) for name in names]


def attribute_distances(names: Sequence[str]) -> np.ndarray:
    """Return how far the classes (K, K) of the built-in world are apart in their physical attributes.

    Exciter, resonator and material count 1 each where they differ; length (octaves), register (its middle),
    decay and brightness count their difference in standard deviations over the 32 classes, divided by 4.
    """
    rows = [instrument(name) for name in names]
    kinds = np.array([[row.exciter, row.resonator, row.material] for row in rows])
    numbers = np.array([_numbers(row) for row in rows])
    spread = np.array([_numbers(row) for row in INSTRUMENTS]).std(0)
    different = (kinds[:, None] != kinds[None]).sum(2)
    return different + (np.abs(numbers[:, None] - numbers[None]) / spread).sum(2) / 4


def _numbers(row) -> list[float]:
    return [np.log2(row.length), (row.low + row.high) / 2, row.decay, row.brightness]


def two_protocols(
    runs: Mapping[str, Sequence[Run]], found: Mapping[str, Sequence[Embedded]]
) -> tuple[dict[str, dict], dict[str, dict]]:
    """Return mAP over all queries, and over one query per class as the released code has it, by method.

    Returns
    -------
    honest : dict of str to dict of str to (value, low, high)
        Interval over clips and seeds.
    released : dict of the same form
        The value takes the first query of each class; low and high are the 2.5 and 97.5 % quantiles over
        random choices of the queries, with seed 0's network.
    """
    honest, released = {}, {}
    for name in runs:
        honest[name], released[name] = {}, {}
        results = [one.retrieval() for one in found[name]]
        first = found[name][0]
        for direction in ("I2A", "A2I"):
            clips = first.items.image_clip if direction == "I2A" else first.items.sound_clip
            values = np.stack([np.asarray(result[direction].precisions) for result in results])
            cell = clip_bootstrap(values, clips)
            honest[name][f"mAP {direction}"] = (cell.value, cell.low, cell.high)
            low, high = _spread(values[0], first, direction)
            released[name][f"mAP {direction}"] = (_released(first, direction), low, high)
    return honest, released


def within_and_across(found: Mapping[str, Sequence[Embedded]]) -> pd.DataFrame:
    """Tabulate R@1 within each sense beside R@1 across, of seed 0: is it the features that fail, or the link?

    Within a sense the query itself does not count. Methods without one vector per item have no row. The last
    row is chance.
    """
    rows, chance = {}, {}
    for name, (first, *_) in found.items():
        if first.image.ndim != 2:
            continue
        images, sounds = first.items.image_label, first.items.sound_label
        across = first.retrieval()
        rows[name] = {
            "picture to picture": _within(first.image, images),
            "sound to sound": _within(first.audio, sounds),
            "picture to sound": across["I2A"].recall_at_1,
            "sound to picture": across["A2I"].recall_at_1,
        }
        chance = {
            "picture to picture": _relevant(images, images, own=1),
            "sound to sound": _relevant(sounds, sounds, own=1),
            "picture to sound": _relevant(images, sounds),
            "sound to picture": _relevant(sounds, images),
        }
    return pd.DataFrame.from_dict(rows | {"chance": chance}, orient="index").map("{:.1%}".format)


def _relevant(queries: np.ndarray, items: np.ndarray, own: int = 0) -> float:
    """Share of items of the query's class, mean over queries; `own` of the query's items do not count."""
    return float(((queries[:, None] == items[None]).sum(1) - own).mean() / (len(items) - own))


def _within(vectors: Tensor, labels: np.ndarray) -> float:
    scores = cosine_scores(vectors, vectors).fill_diagonal_(-torch.inf)
    return float((labels[scores.argmax(1).numpy()] == labels).mean())


def _released(found: Embedded, direction: str) -> float:
    """The released code's mAP, under the name of what it really ranks."""
    images, sounds = _pairs(found.items)
    scores, labels = found.scores[images][:, sounds], found.items.image_label[images]
    measured = released_map_of_scores(scores, labels, min(DROP_LAST, len(labels)))
    return measured.image_to_audio if direction == "I2A" else measured.audio_to_image


def _pairs(items: Items) -> tuple[np.ndarray, np.ndarray]:
    """Positions of pictures and sounds that make pairs: as many of a class as it has of both."""
    image, sound = items.image_label, items.sound_label
    if np.array_equal(image, sound):
        return np.arange(len(image)), np.arange(len(sound))
    images, sounds = [], []
    for label in np.intersect1d(image, sound):
        pictures, heard = np.flatnonzero(image == label), np.flatnonzero(sound == label)
        count = min(len(pictures), len(heard))
        images.append(pictures[:count])
        sounds.append(heard[:count])
    return np.concatenate(images), np.concatenate(sounds)


def _spread(precisions: np.ndarray, found: Embedded, direction: str) -> tuple[float, float]:
    """Quantiles of the mean of one random query per class."""
    labels = found.items.image_label if direction == "I2A" else found.items.sound_label
    rng = np.random.default_rng(0)
    drawn = [rng.choice(precisions[labels == label], CHOICES) for label in np.unique(labels)]
    low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    return float(low), float(high)


def watched_chance(store: Store) -> dict[str, float]:
    """Return the mAP of guessing on what is watched during training: "mAP" (held-out) and "unseen"."""
    return {name: _chance(items) for name, (_, items) in watched(store, seed=0).items()}


def _chance(items) -> float:
    pair = (items.image_label, items.sound_label)
    return (chance_mean_average_precision(*pair) + chance_mean_average_precision(*pair[::-1])) / 2


def names(store: Store, labels: Sequence[int]) -> list[str]:
    """Return the names of labels of a store."""
    return [store.classes[int(label)]["name"] for label in labels]
