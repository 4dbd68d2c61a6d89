"""Retrieval: graded nDCG in four directions with its rivals, and class retrieval of unseen classes.

Notebook: 02, 05, 06, 09
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from llinet_lite.data.bandstand import INVENTED_SETS
from llinet_lite.data.store import JoinedStore, Store
from llinet_lite.experiments.embedding import Embedded, Items, embed, items_of, looks, vectors
from llinet_lite.experiments.methods import Inputs
from llinet_lite.experiments.runs import Run, plans, train_or_load
from llinet_lite.experiments.standins import chosen_vgg16, sounds_of
from llinet_lite.features import LogMel, to_image, to_waveform
from llinet_lite.metrics.relevance import Relevance
from llinet_lite.metrics.retrieval import FourDirections
from llinet_lite.models.trunks import Trunk
from llinet_lite.profiles import Profile
from llinet_lite.results import Result, Table, papers
from llinet_lite.rivals.cca import CCA
from llinet_lite.workspace import Workspace
from llinet_lite.world import INSTRUMENTS
from llinet_lite.world.instruments import coordinates

SUFFIX = {"unseen": "", "invented": ", invented classes"}  # of the results of a split
FOLDS = 3  # of the clips, where unseen classes are learned
COLUMNS = ("mAP I2A", "R@1 I2A", "mAP A2I", "R@1 A2I")

# ---- graded retrieval in four directions: Objects that Sound


@dataclass(frozen=True)
class Method:
    """One row of the nDCG table: one Embedded per seed, its image or audio None if the method has none."""

    vectors: list[Embedded]
    note: str  # what it learned from
    seeds: Sequence[int]
    minutes: float = 0.0


def ndcg_methods(
    workspace: Workspace, networks: Mapping[str, Sequence[Run]], *, vgg_weights: str = "", split: str = "test"
) -> dict[str, Method]:
    """Train or load every rival of the table and embed a split with it.

    `networks` are AVE-Nets by the name they have in the table, one per seed; rivals use the same seeds.
    `vgg_weights` is a file of ImageNet's weights of VGG16, or "" to look in the usual places.
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
            known = [_images(network, store, part, profile) for part in parts]
        seen.append(known)
    methods[title] = Method([of[2] for of in seen], note, seeds)
    both = [
        [replace(image, audio=audio.audio) for image, audio in zip(*of, strict=True)]
        for of in zip(seen, heard, strict=True)
    ]
    methods |= _aligned(f"{title} + L3 audio, CCA", both, **cost)
    for name, runs in networks.items():
        own, note = [embed(run, store, split) for run in runs], f"correspondence, {runs[0].plan.pairs} pairs"
        methods[name] = Method(own, note, [run.seed for run in runs], sum(run.minutes for run in runs))
    return methods


def _images(network: nn.Module, store: Store, split: str, profile: Profile) -> Embedded:
    """The images of a split as VGG16 sees them: of "train" every one, else one of each clip."""
    view, at = "frame" if split == "train" else "middle", next(network.parameters()).device
    see = lambda batch: network.embed_image(to_image(batch["image"]))  # noqa: E731
    return vectors(store, split, profile, see, None, view=view, at=at)


def _aligned(
    name: str, spaces: Sequence[Sequence[Embedded]], seeds: Sequence[int], minutes: float = 0.0
) -> dict[str, Method]:
    """Fit both variants of CCA for every seed's (train, val, test): "<name>, paper" and "<name>, tuned"."""
    paper, tuned, chosen = [], [], []
    for train, val, test in spaces:
        pairs = matched(train)
        size = min(128, len(pairs[0]) - 1, *(part.shape[1] for part in pairs))
        paper.append(_align(CCA(size).fit(*pairs), test))
        best, _ = CCA.tuned(*pairs, *matched(val), components=size)
        tuned.append(_align(best, test))
        chosen.append(f"r = {best.regularization:g}, p = {best.power:g}")
    how = f"{size} components"
    return {
        f"{name}, paper": Method(paper, f"{how}, r = 1e-8", seeds, minutes),
        f"{name}, tuned": Method(tuned, f"{how}; on validation: {'; '.join(chosen)}", seeds, minutes),
    }


def matched(found: Embedded, draws: int = 4) -> tuple[Tensor, Tensor]:
    """Return image and audio vectors (n, D), (n, E) row by row, as a rival is fitted to them.

    Where images and audio share classes only, each image gets `draws` random recordings of its class.
    """
    items = found.items
    if items.paired:
        return found.image, found.audio
    order = np.argsort(items.audio_label, kind="stable")
    ranked, label = items.audio_label[order], np.repeat(items.image_label, draws)
    first, last = np.searchsorted(ranked, label, "left"), np.searchsorted(ranked, label, "right")
    kept = first < last  # a class of images without audio teaches nothing
    audio = order[np.random.default_rng(0).integers(first[kept], last[kept])]
    return found.image[np.repeat(np.arange(len(found.image)), draws)[kept]], found.audio[audio]


def _align(cca: CCA, found: Embedded) -> Embedded:
    both = cca.transform_image(found.image), cca.transform_audio(found.audio)
    image, audio = (nn.functional.normalize(torch.as_tensor(x).float(), dim=1) for x in both)
    return replace(found, image=image, audio=audio)


def ndcg_table(methods: Mapping[str, Method], relevance: Relevance, *, gain: str = "exponential") -> Table:
    """Score every method in the four directions, under the rows of a random ranking and of the same class.

    Columns "nDCG@30 exponential, im-aud" and so on; every query is a clip of its own. A ranking by the
    relevance itself has 1 everywhere. The gain is "exponential" or "linear".
    """
    directions = four_directions(methods, relevance, gain)
    known, first = directions.references(), next(iter(methods.values())).vectors[0]
    rows = {name: {d: values.numpy()[None] for d, values in of.items()} for name, of in known.items()}
    for name, method in methods.items():
        if any(not np.array_equal(v.items.image_row, first.items.image_row) for v in method.vectors):
            raise ValueError(f"{name} was given other items than the first method: embed the same split")
        scored = [directions.ndcg(v.image, v.audio) for v in method.vectors]
        rows[name] = {d: torch.stack([one[d] for one in scored]).numpy() for d in scored[0]}
    title = f"nDCG@{directions.k} {gain}, "
    return Table(
        {name: {title + d: values for d, values in of.items()} for name, of in rows.items()},
        {title + d: np.arange(values.shape[1]) for d, values in rows["random"].items()},
        {title + d: float(values.mean()) for d, values in rows["random"].items()},
        {title + d: papers()[f"nDCG@30, {d}"] for d in rows["random"]},
        "nDCG",
        {name: method.seeds for name, method in methods.items()},
        {name: method.minutes for name, method in methods.items()},
    )


def four_directions(methods: Mapping[str, Method], relevance: Relevance, gain: str) -> FourDirections:
    """The protocol of the table, which states what its numbers are measured with."""
    items = next(iter(methods.values())).vectors[0].items
    return FourDirections(items.image_label, items.audio_label, relevance, gain=gain, paired=items.paired)


# ---- class retrieval in both directions: Look, Listen and Infer


def class_table(
    runs: Mapping[str, Sequence[Run]], store: Store, split: str = "unseen"
) -> tuple[Table, dict[str, list[Embedded]]]:
    """Embed a split with every network, and search it in both directions: Table 1 of LLINet.

    `runs` are networks by the name of their row, one per seed. Return the table with columns COLUMNS, whose
    intervals draw classes, and where chance is that of a random ranking, exactly; and what every seed
    embedded, by the name of the row.
    """
    found = {name: [embed(run, store, split) for run in of] for name, of in runs.items()}
    values, chance = {}, {}
    for name, of in found.items():
        searched, values[name] = [one.retrieval() for one in of], {}
        for d in ("I2A", "A2I"):
            values[name][f"mAP {d}"] = np.stack([one[d].precisions.numpy() for one in searched])  # (S, Q)
            values[name][f"R@1 {d}"] = np.stack([one[d].hits.numpy() for one in searched])
            one = searched[0][d]
            chance |= {f"mAP {d}": one.chance_precision, f"R@1 {d}": one.chance_hit}
    items = next(iter(found.values()))[0].items
    drawn = {c: items.image_label if c.endswith("I2A") else items.audio_label for c in COLUMNS}
    seeds = {name: [run.seed for run in of] for name, of in runs.items()}
    minutes = {name: sum(run.minutes for run in of) for name, of in runs.items()}
    return Table(values, drawn, chance, seeds=seeds, minutes=minutes), found


# ---- ceilings: what attributes, true or predicted, and supervision reach on unseen classes


@dataclass(frozen=True)
class Senses:
    """What simple learners get of a split: features of images (N, F) and of audio (M, G), and the items."""

    image: np.ndarray
    audio: np.ndarray
    items: Items


def senses(store: JoinedStore, split: str, trunk: Trunk, profile: Profile) -> Senses:
    """Pooled features of the trunk, and of the log-mel mean, deviation, maximum and mean change over time."""
    items, hearing = items_of(store, split), LogMel(store.sample_rate)
    inputs = Inputs(nn.Identity(), trunk, ("pooled",))
    seen = [x["pooled"].float().cpu() for x in looks(inputs, store, split, profile, items.image_row)]
    heard = []
    for batch in sounds_of(store, split, items.audio_row):
        mel = hearing(to_waveform(batch["audio"]))  # (B, T, 40)
        change = mel.diff(dim=1)
        heard.append(torch.cat([mel.mean(1), mel.std(1), mel.amax(1), change.abs().mean(1)], dim=1))
    return Senses(torch.cat(seen).numpy(), torch.cat(heard).numpy(), items)


def attributes(store: JoinedStore, profile: Profile) -> np.ndarray:
    """The point (C, A) of every class of a store of named and invented classes; see `world.distance`."""
    rows = {row.name: row for row in (*INSTRUMENTS, *INVENTED_SETS[profile.name].rows)}
    return np.stack([coordinates(rows[each["name"]]) for each in store.classes])


def predicted(train: Senses, test: Senses, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points that images (N, A) and audio (M, A) of `test` seem to have to who learned them on `train`."""
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = []
    for sense in ("image", "audio"):
        how = {"early_stopping": True, "n_iter_no_change": 3, "tol": 1e-3, "random_state": 0}
        model = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(128,), alpha=1.0, **how))
        model.fit(getattr(train, sense), points[getattr(train.items, f"{sense}_label")])
        found.append(model.predict(getattr(test, sense)))
    return found[0], found[1]


def by_distance(image: np.ndarray, audio: np.ndarray, items: Items) -> Embedded:
    """Images and audio compared by their points: the nearer, the better."""
    first, second = (torch.from_numpy(np.asarray(part, np.float32)) for part in (image, audio))
    return Embedded(items, first, second, -torch.cdist(first, second))


def by_attributes(train: Senses, test: Senses, points: np.ndarray) -> dict[str, Embedded]:
    """Search by attributes, "true attributes" and "predicted attributes": what LLINet could do with them."""
    true = points[test.items.image_label], points[test.items.audio_label]
    both = {"true attributes": true, "predicted attributes": predicted(train, test, points)}
    return {name: by_distance(*pair, test.items) for name, pair in both.items()}


def named_by_attributes(found: Embedded, points: np.ndarray) -> dict[str, np.ndarray]:
    """Which images (N,) and audio (M,) are nearest to the true point of their class, of all in the test."""
    right = {}
    for sense in ("image", "audio"):
        label = getattr(found.items, f"{sense}_label")
        classes = np.unique(label)
        away = torch.cdist(getattr(found, sense), torch.from_numpy(points[classes]).float())
        right[sense] = classes[away.argmin(1).numpy()] == label
    return right


def supervised(test: Senses) -> dict[str, np.ndarray]:
    """Which images (N,) and audio (M,) a classifier names rightly that learned the unseen classes themselves.

    Logistic regression of either sense, on the other folds of the clips: the senses are good enough for this.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    right = {}
    for sense in ("image", "audio"):
        label = getattr(test.items, f"{sense}_label")
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        right[sense] = cross_val_predict(model, getattr(test, sense), label, cv=folds) == label
    return right


def limits(
    store: JoinedStore, split: str, trunk: Trunk, profile: Profile, train: Senses
) -> dict[str, dict[str, float]]:
    """What is reachable on a split: ceiling -> R@1 and mAP of both directions, and the share named rightly.

    "true attributes" and "predicted attributes", learned from `train`, are compared with each other, and, to
    name an image or an audio, with the true ones of the candidates; "supervision" only names.
    """
    test, points, found = senses(store, split, trunk, profile), attributes(store, profile), {}
    for name, one in by_attributes(train, test, points).items():
        found[name] = {}
        for direction, searched in one.retrieval().items():
            found[name][f"mAP {direction}"] = searched.mean_average_precision
            found[name][f"R@1 {direction}"] = searched.recall_at_1
        found[name] |= _shares(named_by_attributes(one, points))
    return found | {"supervision": _shares(supervised(test))}


def ceilings(store: JoinedStore, trunk: Trunk, profile: Profile) -> dict[tuple[str, str], dict[str, float]]:
    """What is reachable on named unseen and on invented classes: (split, ceiling) -> :func:`limits`."""
    known = senses(store, "train", trunk, profile)
    found = {split: limits(store, split, trunk, profile, known) for split in SUFFIX}
    return {(split, f"ceiling: {name}"): line for split, of in found.items() for name, line in of.items()}


def ceiling_results(reached: Mapping[tuple[str, str], Mapping[str, float]], about: dict) -> list[Result]:
    """Name what :func:`ceilings` returned: "R@1 I2A, ceiling: true attributes, invented classes"."""
    return [
        Result(f"{column}, {name}{SUFFIX[split]}", value, None, None, **about)
        for (split, name), line in reached.items()
        for column, value in line.items()
    ]


def _shares(right: dict[str, np.ndarray]) -> dict[str, float]:
    return {f"acc, {sense}": float(of.mean()) for sense, of in right.items()}
