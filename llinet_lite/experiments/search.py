"""Retrieval: graded nDCG in four directions with its rivals, and class retrieval of unseen classes.

Notebook: 02, 05, 06, 09
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from llinet_lite.data.store import Store
from llinet_lite.experiments.embedding import Embedded
from llinet_lite.experiments.runs import Run, embed, plans, train_or_load, vectors
from llinet_lite.experiments.standins import chosen_vgg16
from llinet_lite.features import to_image
from llinet_lite.metrics.intervals import clip_bootstrap
from llinet_lite.metrics.relevance import Relevance
from llinet_lite.metrics.retrieval import (
    FourDirections,
    class_confusion,
    cosine_scores,
    precision_by_class,
    released_map_of_scores,
)
from llinet_lite.results import Table, papers
from llinet_lite.rivals.cca import CCA
from llinet_lite.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("mAP I2A", "R@1 I2A", "mAP A2I", "R@1 A2I")
CHOICES = 500  # random choices of one query per class
DROP_LAST = 32  # the released loader's batch: the last one is dropped if it is not full


# ---- graded retrieval in four directions: Objects that Sound


@dataclass(frozen=True)
class Method:
    """One row of the nDCG table: its vectors (one Embedded per seed), and what it learned from.

    An Embedded without images, or without audio, has None there.
    """

    vectors: list[Embedded]
    note: str
    seeds: Sequence[int]
    minutes: float = 0.0


def ndcg_methods(
    workspace: Workspace,
    networks: Mapping[str, Sequence[Run]],
    *,
    vgg_weights: str = "",
    split: str = "test",
) -> dict[str, Method]:
    """Train or load every rival of the table and embed a split with it.

    Parameters
    ----------
    workspace : Workspace
    networks : mapping of str to sequence of Run
        AVE-Nets by the name they have in the table, one per seed; rivals use the same seeds.
    vgg_weights : str
        File of ImageNet's weights of VGG16, or "" to look in the usual places.
    split : str
    """
    parts = ("train", "val", split)
    profile, store = workspace.profile, workspace.store(parts)
    seeds = [run.seed for run in next(iter(networks.values()))]
    plan = plans(profile, None if workspace.is_world else store)["l3net-all"]
    l3 = [train_or_load(workspace, plan, seed) for seed in seeds]
    heard = [[embed(run, store, part, every=part == "train") for part in parts] for run in l3]
    cost = {"seeds": seeds, "minutes": sum(run.minutes for run in l3)}
    methods = {"L3-Net": Method([of[2] for of in heard], "correspondence, all pairs; no alignment", **cost)}
    methods |= _aligned("L3-Net + CCA", heard, **cost)
    seen, title = [], ""
    for seed in seeds:
        if not seen or title != "VGG16-ImageNet":  # ImageNet's network is one and the same for all seeds
            network, title, note = chosen_vgg16(workspace, seed, vgg_weights)
            at = next(network.parameters()).device
            known = [_images(network, store, part, profile, at) for part in parts]
        seen.append(known)
    methods[title] = Method([of[2] for of in seen], note, seeds)
    both = [
        [replace(image, audio=audio.audio) for image, audio in zip(*of, strict=True)]
        for of in zip(seen, heard, strict=True)
    ]
    methods |= _aligned(f"{title} + L3 audio, CCA", both, **cost)
    for name, runs in networks.items():
        note = f"correspondence, {runs[0].plan.pairs} pairs"
        own = [embed(run, store, split) for run in runs]
        methods[name] = Method(own, note, [run.seed for run in runs], sum(run.minutes for run in runs))
    return methods


def _images(network, store: Store, split: str, profile, at) -> Embedded:
    """The images of a split as VGG16 sees them: of "train" every one, else one of each clip."""
    view = "frame" if split == "train" else "middle"
    return vectors(
        store,
        split,
        profile,
        lambda batch: network.embed_image(to_image(batch["image"])),
        None,
        view=view,
        at=at,
    )


def _aligned(
    name: str, spaces: Sequence[Sequence[Embedded]], seeds: Sequence[int], minutes: float = 0.0
) -> dict[str, Method]:
    """Fit both variants of CCA for every seed's (train, val, test): "<name>, paper" and "<name>, tuned"."""
    paper, tuned, chosen = [], [], []
    for train, val, test in spaces:
        pairs = matched(train)
        size = min(128, len(pairs[0]) - 1, *(part.shape[1] for part in pairs))
        paper.append(_align(CCA.paper(size).fit(*pairs), test))
        best, _ = CCA.tuned(*pairs, *matched(val), components=size)
        tuned.append(_align(best, test))
        chosen.append(f"r = {best.regularization:g}, p = {best.power:g}")
    how = f"{size} components"
    return {
        f"{name}, paper": Method(paper, f"{how}, r = 1e-8", seeds, minutes),
        f"{name}, tuned": Method(tuned, f"{how}; on validation: {'; '.join(chosen)}", seeds, minutes),
    }


def matched(found: Embedded, *, draws: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return image and audio vectors (n, D), (n, E) row by row, as a rival is fitted to them.

    Where images and audio share classes only, each image gets `draws` random recordings of its class.
    """
    items = found.items
    if items.paired:
        return found.image, found.audio
    rng = np.random.default_rng(seed)
    order = np.argsort(items.audio_label, kind="stable")
    ranked = items.audio_label[order]
    label = np.repeat(items.image_label, draws)
    first, last = np.searchsorted(ranked, label, "left"), np.searchsorted(ranked, label, "right")
    kept = first < last  # a class of images without audio teaches nothing
    audio = order[rng.integers(first[kept], last[kept])]
    return found.image[np.repeat(np.arange(len(found.image)), draws)[kept]], found.audio[audio]


def _align(cca: CCA, found: Embedded) -> Embedded:
    both = cca.transform_image(found.image), cca.transform_audio(found.audio)
    image, audio = (torch.nn.functional.normalize(torch.as_tensor(x).float(), dim=1) for x in both)
    return replace(found, image=image, audio=audio)


def _directions(found: Embedded, relevance: Relevance, gain: str, k: int, missing: bool = False):
    items = found.items
    labels = [
        None if missing and side is None else label
        for side, label in ((found.image, items.image_label), (found.audio, items.audio_label))
    ]
    pair = "in" if items.paired else "none"
    return FourDirections(*labels, relevance, k=k, gain=gain, own="out", pair=pair)


def ndcg_table(
    methods: Mapping[str, Method], relevance: Relevance, *, gain: str = "exponential", k: int = 30
) -> Table:
    """Score every method in the four directions, under the rows of a random ranking and of the same class.

    Parameters
    ----------
    methods : mapping of str to Method
        All of the same items.
    relevance : Relevance
    gain : {"exponential", "linear"}
    k : int

    Returns
    -------
    Table
        Columns "nDCG@30 exponential, im-aud" and so on; every query is a clip of its own. A ranking by the
        relevance itself has 1 everywhere.

    Raises
    ------
    ValueError
        If two methods are of different items.
    """
    first = next(iter(methods.values())).vectors[0]
    known = _directions(first, relevance, gain, k).references()
    rows = {name: {d: v.numpy()[None] for d, v in known[name].items()} for name in ("random", "same class")}
    for name, method in methods.items():
        for found in method.vectors:
            if not np.array_equal(found.items.image_row, first.items.image_row):
                raise ValueError(f"{name} was given other items than the first method: embed the same split")
        scored = [
            _directions(v, relevance, gain, k, missing=True).ndcg(v.image, v.audio) for v in method.vectors
        ]
        rows[name] = {d: torch.stack([one[d] for one in scored]).numpy() for d in scored[0]}
    title = f"nDCG@{k} {gain}, "
    queries = {d: np.arange(values.shape[1]) for d, values in rows["random"].items()}
    return Table(
        {name: {title + d: values for d, values in of.items()} for name, of in rows.items()},
        {title + d: clips for d, clips in queries.items()},
        {title + d: float(values.mean()) for d, values in rows["random"].items()},
        {title + d: papers()[f"nDCG@30, {d}"] for d in queries},
        "nDCG",
        {name: method.seeds for name, method in methods.items()},
        {name: method.minutes for name, method in methods.items()},
    )


def ndcg_protocol(
    methods: Mapping[str, Method], relevance: Relevance, *, gain: str = "exponential", k: int = 30
) -> str:
    """What the numbers of each direction are measured with, a line each, to be printed beside them."""
    first = next(iter(methods.values())).vectors[0]
    stated = _directions(first, relevance, gain, k).statements()
    return "\n".join(f"{direction:8} {protocol}" for direction, protocol in stated.items())


# ---- class retrieval in both directions: Look, Listen and Infer


def _sides(found: Embedded, direction: str) -> tuple[Tensor, np.ndarray, np.ndarray, np.ndarray]:
    """Scores, labels of queries and of gallery, clips of queries, of "I2A" or "A2I"."""
    items = found.items
    if direction == "I2A":
        return found.scores, items.image_label, items.audio_label, items.image_clip
    return found.scores.T, items.audio_label, items.image_label, items.audio_clip


def class_table(
    runs: Mapping[str, Sequence[Run]], store: Store, split: str = "unseen"
) -> tuple[Table, dict[str, list[Embedded]]]:
    """Embed a split with every network, and search it in both directions: Table 1 of LLINet.

    Parameters
    ----------
    runs : mapping of str to sequence of Run
        Networks by the name of their row, one per seed.
    store : Store
    split : str

    Returns
    -------
    table : Table
        Columns COLUMNS, on the same items; chance is that of a random ranking, exactly.
    found : dict of str to list of Embedded
        Of every seed, by the name of the row.
    """
    found = {name: [embed(run, store, split) for run in of] for name, of in runs.items()}
    values, chance = {}, {}
    for name, of in found.items():
        results = [one.retrieval() for one in of]
        values[name] = {}
        for column in COLUMNS:
            metric, direction = column.split()
            field = "precisions" if metric == "mAP" else "hits"
            each = [np.asarray(getattr(one[direction], field), np.float64) for one in results]
            values[name][column] = np.stack(each)  # (S, Q)
            one = results[0][direction]
            chance[column] = one.chance_precision if metric == "mAP" else one.chance_hit
    first = next(iter(found.values()))[0]
    clips = {column: _sides(first, column.split()[1])[3] for column in COLUMNS}
    seeds = {name: [run.seed for run in of] for name, of in runs.items()}
    minutes = {name: sum(run.minutes for run in of) for name, of in runs.items()}
    return Table(values, clips, chance, seeds=seeds, minutes=minutes), found


def luck(
    found: Mapping[str, Sequence[Embedded]], metric: str = "R@1", *, draws: int = 20_000
) -> pd.DataFrame:
    """Compare a metric with what the same clusters, linked at random, would get.

    Each modality may keep its classes apart and the link between the two still be arbitrary. Then each class
    of one answers for some class of the other, and eight lucky or unlucky links decide: the classes, not the
    clips, are what was drawn. Here the classes of the answers are permuted, for every seed on its own. The
    mean of R@1 stays at chance, its spread does not; of mAP even the mean rises above that of a random order,
    because clusters are found whole or not at all.

    Returns
    -------
    DataFrame
        For every method and direction: the metric, mean and 95 % quantile of random links, and p, the share
        of random links that do as well.
    """
    import pandas as pd

    lines = {}
    for name, of in found.items():
        for direction in ("I2A", "A2I"):
            tables = [_answers(one, direction, metric) for one in of]
            linked = [_random_links(table, draws, seed) for seed, table in enumerate(tables)]
            random, real = np.mean(linked, axis=0), float(np.mean([np.trace(table) for table in tables]))
            p = (1 + (random >= real - 1e-12).sum()) / (1 + draws)
            cells = (f"{real:.1%}", f"{random.mean():.1%}", f"{np.quantile(random, 0.95):.1%}", f"{p:.3f}")
            columns = (metric, "mean of random links", "95 % of random links", "p")
            lines[name, direction] = dict(zip(columns, cells, strict=True))
    return pd.DataFrame.from_dict(lines, orient="index")


def _answers(found: Embedded, direction: str, metric: str) -> np.ndarray:
    """Part (K, K) of the metric that queries of class i add if class j is what they ask for."""
    scores, queries, gallery, _ = _sides(found, direction)
    classes, counts = np.unique(queries, return_counts=True)
    if metric == "R@1":
        shares = np.asarray(class_confusion(scores, queries, gallery, classes.tolist()))
        return shares * counts[:, None] / counts.sum()
    each = precision_by_class(scores, gallery, classes.tolist()).numpy()  # (Q, K)
    return np.stack([each[queries == label].sum(0) for label in classes]) / len(queries)


def _random_links(table: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Metric (draws,) if the classes of the answers are permuted at random."""
    count = len(table)
    order = np.random.default_rng(seed).random((draws, count)).argsort(1)  # (draws, K)
    return table[np.arange(count), order].sum(1)


def confusions(found: Embedded, direction: str) -> np.ndarray:
    """Return the share (K, K) of first answers of each class, by the class of the query, labels rising."""
    scores, queries, gallery, _ = _sides(found, direction)
    return np.asarray(class_confusion(scores, queries, gallery, np.unique(queries).tolist()))


def within_and_across(found: Mapping[str, Sequence[Embedded]]) -> pd.DataFrame:
    """Tabulate R@1 within each modality beside R@1 across, of seed 0: do the features fail, or the link?

    Within a modality the query itself does not count. Methods without one vector per item have no row. The
    last row is chance.
    """
    import pandas as pd

    def share(queries, items, own=0):
        return float(((queries[:, None] == items[None]).sum(1) - own).mean() / (len(items) - own))

    def within(vectors, labels):
        scores = cosine_scores(vectors, vectors).fill_diagonal_(-torch.inf)
        return float((labels[scores.argmax(1).numpy()] == labels).mean())

    columns = ("image to image", "audio to audio", "image to audio", "audio to image")
    rows = {}
    for name, (first, *_) in found.items():
        if first.image.ndim == 2:
            image, audio, across = first.items.image_label, first.items.audio_label, first.retrieval()
            rows[name] = (within(first.image, image), within(first.audio, audio))
            rows[name] += (across["I2A"].recall_at_1, across["A2I"].recall_at_1)
    rows["chance"] = share(image, image, 1), share(audio, audio, 1), share(image, audio), share(audio, image)
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).map("{:.1%}".format)


def two_protocols(found: Mapping[str, Sequence[Embedded]]) -> tuple[dict[str, dict], dict[str, dict]]:
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
    for name, of in found.items():
        honest[name], released[name] = {}, {}
        results = [one.retrieval() for one in of]
        for direction in ("I2A", "A2I"):
            _, labels, _, clips = _sides(of[0], direction)
            values = np.stack([np.asarray(result[direction].precisions) for result in results])
            honest[name][f"mAP {direction}"] = clip_bootstrap(values, clips).numbers
            rng = np.random.default_rng(0)
            drawn = [rng.choice(values[0][labels == label], CHOICES) for label in np.unique(labels)]
            spread = (float(q) for q in np.quantile(np.mean(drawn, axis=0), [0.025, 0.975]))
            released[name][f"mAP {direction}"] = (released_precision(of[0], direction), *spread)
    return honest, released


def released_precision(found: Embedded, direction: str) -> float:
    """The released code's mAP, under the name of what it really ranks."""
    image, audio = found.items.image_label, found.items.audio_label
    rows = np.arange(len(image)), np.arange(len(audio))
    if not np.array_equal(image, audio):  # pairs: as many of a class as it has of both
        pairs = []
        for label in np.intersect1d(image, audio):
            both = np.flatnonzero(image == label), np.flatnonzero(audio == label)
            count = min(map(len, both))
            pairs.append([side[:count] for side in both])
        rows = tuple(np.concatenate(side) for side in zip(*pairs, strict=True))
    scores, labels = found.scores[rows[0]][:, rows[1]], image[rows[0]]
    measured = released_map_of_scores(scores, labels, min(DROP_LAST, len(labels)))
    return measured.image_to_audio if direction == "I2A" else measured.audio_to_image
