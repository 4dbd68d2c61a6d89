"""Where a network localizes sounds: its maps, whether it listens, and how named protocols judge them.

One harness for AVOL-Net, LLINet and LLINet's two baselines.

Notebook: 03, 07, 09, 10
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from llinet_lite.data.batches import Batches, EvaluationSet, Source
from llinet_lite.experiments.embedding import ITEMS, activations, at_once, matching
from llinet_lite.experiments.methods import LLINET, Inputs, look, own_trunk
from llinet_lite.experiments.runs import held_out
from llinet_lite.features import LogMel, to_image
from llinet_lite.losses import cosines
from llinet_lite.metrics.intervals import Cell, Interval
from llinet_lite.metrics.localization import (
    PROTOCOLS,
    Localization,
    baselines,
    evaluate,
    on_mask,
    points,
    resize,
    size_groups,
    step_share,
    touched,
)
from llinet_lite.results import Result, Table, papers
from llinet_lite.world.instruments import instrument

if TYPE_CHECKING:
    import pandas as pd

    from llinet_lite.data.store import Store
    from llinet_lite.experiments.runs import Run
    from llinet_lite.workspace import Workspace

AVOL = "AVOL-Net"
BATCH = 64  # maps made at once
# Objects of a scene that are seen and heard, by their number in the masks.
SOUNDING = {"solo": (1,), "duet": (1, 2), "distractor": (1,), "offscreen": (), "silence": (), "photo": (1,)}
CONTROLS = {"shuffled sound": "shuffled", "silence": "silence"}
# LLINet's local features (b, C, h, w) and transformed audio (b, C) -> maps (b, h, w).
HEATS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "transformed": lambda cells, sound: torch.einsum("bchw,bc->bhw", cells, sound),
    "mean": lambda cells, _: cells.mean(1),
    "gate": lambda cells, _: cells.flatten(2).softmax(2).mean(1).view_as(cells[:, 0]),
}


# ---- maps


@dataclass(frozen=True)
class LocalizationMaps:
    """The images of a split, cell by cell, and the sounds that they are tried with.

    Attributes
    ----------
    title : str
        Of the network.
    heat : callable
        Cells (b, D, h, w), sounds (b, D') -> maps (b, h, w), larger where the sound is more likely.
    scale : {"probability", "maximum"}
        Whether maps are probabilities, or on no fixed scale.
    cells : (N, D, h, w) float32 Tensor
        Vector of every cell of every image.
    sound : (N, D') float32 Tensor
        Vector of each image's own sound; where images and sounds share classes only, of a sound of its class.
        D' = 0 for maps in which no sound takes part.
    silence : (D',) float32 Tensor
        Vector of zeros that last as long as the sounds.
    objects : (N, H, W) uint8 array
        0 is background, k + 1 is the k-th instrument of the scene.
    label, row, clip : (N,) int array
        Class of the instrument that is named first, row of the store's image table, what the bootstrap draws.
    kind : (N,) array of str
        Kind of scene.
    """

    title: str
    heat: Callable[[Tensor, Tensor], Tensor]
    scale: str
    cells: Tensor
    sound: Tensor
    silence: Tensor
    objects: np.ndarray
    label: np.ndarray
    row: np.ndarray
    clip: np.ndarray
    kind: np.ndarray

    @cached_property
    def masks(self) -> np.ndarray:
        """(N, H, W) bool: where an instrument is seen that is heard; nothing in some kinds of scene."""
        return np.stack([np.isin(m, SOUNDING[kind]) for m, kind in zip(self.objects, self.kind, strict=True)])

    @property
    def shown(self) -> np.ndarray:
        """(N,) bool: whether an instrument that is heard is seen at all."""
        return self.masks.any((1, 2))

    @property
    def listens(self) -> bool:
        """Whether the sound takes part in the maps."""
        return self.sound.shape[1] > 0

    @torch.inference_mode()
    def maps(self, sound: Tensor | str = "own", *, seed: int = 0) -> Tensor:
        """Return the maps (N, h, w) of all images for their own sounds or for others.

        Parameters
        ----------
        sound : {"own", "shuffled", "silence"}, or Tensor (N, D')
            "shuffled" gives each image the sound of another one, of another class.
        seed : int
            Of the shuffling.
        """
        if isinstance(sound, str):
            make = {
                "own": lambda: self.sound,
                "shuffled": lambda: self.sound[other_class(self.label, seed)],
                "silence": lambda: self.silence.expand(len(self.cells), -1),
            }
            sound = make[sound]()
        parts = zip(self.cells.split(BATCH), sound.split(BATCH), strict=True)
        return torch.cat([self.heat(cells, heard) for cells, heard in parts])

    def pick(self, which) -> LocalizationMaps:
        """Return the same for some images; `which` (N,) bool or indices."""
        parts = ("cells", "sound", "objects", "label", "row", "clip", "kind")
        return replace(self, **{name: getattr(self, name)[which] for name in parts})

    def one_of_each_class(self) -> list[int]:
        """Return the first image of every class that shows its instrument."""
        return [
            int(np.flatnonzero((self.label == k) & self.shown)[0]) for k in np.unique(self.label[self.shown])
        ]


def other_class(label: np.ndarray, seed: int) -> np.ndarray:
    """Return for every item the number of a random one of another class, (N,)."""
    if len(label) and (label == label[0]).all():
        raise ValueError(f"all {len(label)} items are of one class: no other class's sound can be tried")
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(np.flatnonzero(label != own)) for own in label])


def usual_map(run: Run) -> str:
    """Return the kind of map that a network was trained for.

    AVOL-Net's is the sigmoid of a product. LLINet's is "transformed" with the attention loss; without it the
    transformation W keeps its random start, so "gate" where there is a gate, and "mean" where there is none.
    """
    if run.plan.method == AVOL:
        return "sigmoid of a product"
    if run.plan.method != LLINET:
        raise ValueError(
            f"{run.plan.method} has no vector for every cell: only {AVOL} and {LLINET} make maps"
        )
    if run.method.attention:
        return "transformed"
    return "mean" if run.network.gate == "none" else "gate"


class _AsksAVOLNet:
    """AVOL-Net: every cell's vector, and that of one second of audio."""

    scale, measure, seconds, listens = "probability", "probability", 1.0, True

    def __init__(self, run: Run, store: Store, heat: str = ""):
        self.network, self.at = run.network, next(run.method.parameters()).device
        self.inputs, self.heat = run.inputs.to(self.at), run.network.heat
        self.side, self.batch, self.window = run.profile.image_crop, at_once("frame"), self.seconds

    def see(self, image: Tensor) -> tuple[Tensor, None]:
        """Images (N, S, S, 3) uint8 -> cells (N, D, h, w)."""
        return self.network.embed_image(self.inputs.image({"image": image.to(self.at)})).float(), None

    def hear(self, audio: Tensor) -> tuple[Tensor, None]:
        """Audio (M, n) int16 -> vectors (M, D)."""
        return self.network.embed_audio(self.inputs.audio({"audio": audio.to(self.at)})).float(), None

    def cells(self, images: EvaluationSet, k: int, batch: dict[str, Tensor]) -> Tensor:
        """Cells of a batch of a split."""
        return self.see(batch["image"])[0]

    def match(self, seen, heard) -> Tensor:
        """Probability of the best cell, (N, M)."""
        return self.network.all_pairs(seen[0], heard[0]).softmax(-1)[..., 1]  # (N, M, 2) -> (N, M)

    def fit(self, cell: Tensor, heard) -> Tensor:
        """Probability of one cell (D,) with every sound, (M,)."""
        cells = cell[None, :, None, None].expand(len(heard[0]), -1, -1, -1)  # (D,) -> (M, D, 1, 1)
        return self.network.heat(cells, heard[0])[:, 0, 0]


class _AsksLLINet:
    """LLINet: local features of every cell, and transformed whole audio."""

    scale, measure, seconds = "maximum", "cosine", None

    def __init__(self, run: Run, store: Store, heat: str = ""):
        heat = heat or usual_map(run)
        if heat not in HEATS:
            raise ValueError(f"heat must be one of {', '.join(HEATS)}, not {heat!r}")
        if heat == "gate" and run.network.gate == "none":
            raise ValueError('this network has no gate (gate="none"): its map is "mean"')
        self.network, self.heat, self.listens = run.network, HEATS[heat], heat == "transformed"
        self.trunk, self.at = own_trunk(run.method, run.trunk), next(run.network.parameters()).device
        # Without either the attention layer was never trained: the cells are the frozen trunk's own.
        self.trained = bool(run.method.attention) or run.network.gate != "none"
        self.tap = "early" if self.trained else "late"
        hearing = getattr(run.method, "ear", None) or LogMel(store.sample_rate)
        self.inputs = Inputs(hearing, self.trunk, run.method.needs).to(self.at)
        self.side, self.batch, self.window = run.profile.llinet_crop, ITEMS, run.profile.llinet_seconds
        self.keep, self.kept = run.profile.keep_activations and self.trunk.frozen_bn == "eval", {}

    def see(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, S, S, 3) uint8 -> cells (N, C, h, w), embeddings (N, D)."""
        seen = self.inputs.image({"image": image.to(self.at)})
        vector, local = self.network.attend(seen["early"], seen["late"])
        return (local if self.trained else seen["late"]).float(), vector.float()

    def hear(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Audio (M, n) int16 -> transformed (M, C), or (M, 0) if not heard; embeddings (M, D)."""
        vector = self.network.embed_audio(self.inputs.audio({"audio": audio.to(self.at)}))
        key = self.network.transform(vector).float() if self.listens else vector.new_zeros(len(vector), 0)
        return key, vector.float()

    def cells(self, images: EvaluationSet, k: int, batch: dict[str, Tensor]) -> Tensor:
        """Cells of batch `k` of a split, from kept activations where the profile keeps them."""
        if self.keep:
            source = images.source
            if source.split not in self.kept:
                kept = activations(self.trunk, source.store, source.split, crop=self.side, taps=(self.tap,))
                self.kept[source.split] = kept[self.tap]
            part = self.kept[source.split][k * ITEMS : (k + 1) * ITEMS]
            values = torch.from_numpy(np.array(part)).to(self.at)
        else:
            values = look(self.trunk, to_image(batch["image"].to(self.at)), (self.tap,))[self.tap]
        values = values.float()
        return self.network.attention(values).float() if self.trained else values

    def match(self, seen, heard) -> Tensor:
        """Cosines of embeddings, (N, M), as in retrieval."""
        return cosines(seen[1], heard[1])

    @property
    def fit(self) -> Callable | None:
        """Cosine of one cell (C,) with every transformed sound, (M,), as the attention loss compares them."""
        return (lambda cell, heard: F.cosine_similarity(cell[None], heard[0])) if self.listens else None


def _asked(run: Run, store: Store, heat: str = ""):
    usual_map(run)  # refuses what makes no maps
    return (_AsksAVOLNet if run.plan.method == AVOL else _AsksLLINet)(run, store, heat)


def _sounds(network, store: Store, split: str) -> EvaluationSet:
    """All sounds of a split: the middle second of each, or as much as the shortest has."""
    seconds = network.seconds or int(store.sounds(split).length.min()) / store.sample_rate
    return EvaluationSet(store, split, batch_size=network.batch, item="sound", seconds=seconds)


@torch.inference_mode()
def locate(run: Run, store: Store, split: str, *, heat: str = "", seed: int = 0) -> LocalizationMaps:
    r"""Return the cells and the sounds of every image of a split, for AVOL-Net or LLINet.

    LLINet, with the local features v_bar (C, h, w), and the transformed audio a_bar = ReLU(W a' + b):

    .. math:: s_i = \bar v_i \cdot \bar a, \qquad
              m_i = \tfrac1C \sum_c \bar v_{ci}, \qquad
              g_i = \tfrac1C \sum_c \mathrm{softmax}_i(\bar v_{ci})

    Parameters
    ----------
    run : Run
    store : Store
    split : str
        One with masks.
    heat : {"", "transformed", "mean", "gate"}
        Of LLINet; default :func:`usual_map`. "transformed": s, the published map; each image's own whole
        sound is heard. Without the attention loss W was never trained, and s weighs the channels at random.
        "mean": m, in which the sound plays no part; how the published Baseline makes its map is not stated,
        the released code has such a branch. "gate": g, what opens the image's own path, the one map that the
        matching loss alone trains.
    seed : int
        Of the sounds, where images and sounds share classes only.

    Returns
    -------
    LocalizationMaps
        AVOL-Net hears the second around each image.

    Notebook: 03, 07
    """
    network, paired = _asked(run, store, heat), matching(store, split) == "clip"
    around = paired and network.seconds is not None
    images = EvaluationSet(
        store, split, batch_size=network.batch, image_crop=network.side,
        item="pair" if around else "image", objects=True,
    )  # fmt: skip
    cells, sound, objects = [], [], []
    for k, batch in enumerate(images):
        cells.append(network.cells(images, k, batch))
        objects.append(batch["objects"].numpy())
        if around:
            sound.append(network.hear(batch["audio"])[0])
    cells, table, rows = torch.cat(cells), store.images(split), images.rows.image
    label, clip = table.label[rows].astype(np.int64), table.clip[rows] if paired else rows
    sounds = _sounds(network, store, split)
    if not network.listens:
        sound = cells.new_zeros(len(cells), 0)
    elif around:
        sound = torch.cat(sound)
    else:
        own = (
            clip.astype(np.int64) if paired else sounds.source.same_class(label, np.random.default_rng(seed))
        )
        sound = _keys(network, sounds)[own]
    silence = network.hear(torch.zeros(1, sounds.source.length, dtype=torch.int16))[0][0]
    return LocalizationMaps(
        run.plan.method, network.heat, network.scale, cells, sound, silence, np.concatenate(objects), label,
        rows, clip, table.kind[rows],
    )  # fmt: skip


def _keys(network, sounds: EvaluationSet) -> Tensor:
    return torch.cat([network.hear(batch["audio"])[0] for batch in sounds])


def held_out_maps(runs: Mapping[str, Sequence[Run]], store: Store) -> dict[str, list[LocalizationMaps]]:
    """Return every network's maps of `val`, of the seen classes only that its seed does not train on.

    AVOL-Net has trained on them; it gets the same images for its threshold.
    """
    found = {}
    for name, of in runs.items():
        parts = [(run, locate(run, store, "val")) for run in of]
        found[name] = [part.pick(np.isin(part.label, held_out(store, run.seed))) for run, part in parts]
    return found


def localizer(run: Run, store: Store, *, title: str = "", heat: str = "") -> dict:
    """Return what `show.explorer.Localizer` takes, by name: maps of :func:`locate`, for any sound.

    AVOL-Net: image and sound match as much as the best cell says, and the second around the image's moment is
    heard. LLINet: they match by the cosine of their embeddings, and all of the sound is heard.

    Notebook: 07, 10
    """
    if store.sample_rate != run.profile.sample_rate:
        raise ValueError(
            f"{run.profile.name} networks hear {run.profile.sample_rate} Hz, not {store.sample_rate}"
        )
    network = _asked(run, store, heat)
    return {
        "title": title or run.plan.method, "side": network.side,
        "embed_image": lambda images: network.see(torch.from_numpy(images)),
        "embed_audio": lambda audio: network.hear(torch.from_numpy(audio)),
        "heat": network.heat, "match": network.match, "fit": network.fit, "scale": network.scale,
        "measure": network.measure, "whole": network.seconds, "window": network.window,
    }  # fmt: skip


# ---- pointing: does the highest cell lie on what is heard?


def hits(maps: Tensor, masks: np.ndarray) -> np.ndarray:
    """Return whether the highest cell of each map (N, h, w) lies on its mask (N, H, W), (N,) bool."""
    masks = torch.from_numpy(masks)
    return on_mask(points(maps.cpu(), masks.shape[1:]), masks).numpy()


def boxed(masks: np.ndarray) -> np.ndarray:
    """Return the smallest upright box around each mask, (N, H, W) bool: what a person would annotate."""

    def spanned(seen: np.ndarray) -> np.ndarray:  # (N, n) -> from the first True to the last
        return np.logical_or.accumulate(seen, 1) & np.logical_or.accumulate(seen[:, ::-1], 1)[:, ::-1]

    return spanned(masks.any(2))[:, :, None] & spanned(masks.any(1))[:, None]


def nearer(maps: Tensor, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return whether the highest cell of each map is nearer to the first mask than to the second, (N,)."""
    from scipy.ndimage import distance_transform_edt

    pixels = points(maps.cpu(), first.shape[1:]).numpy()
    away = np.array(
        [
            [distance_transform_edt(~mask)[row, column] for mask in masks]
            for (row, column), *masks in zip(pixels, first, second, strict=True)
        ]
    )  # (N, 2), pixels to the nearest one of either mask
    return away[:, 0] < away[:, 1]


def pointing(located: Mapping[str, Sequence[LocalizationMaps]], seeds: Sequence[int] = ()) -> Table:
    """Run the pointing test, with the box around the instrument and with the very pixels that show it.

    Parameters
    ----------
    located : mapping of title to sequence of LocalizationMaps
        Of one split, one per seed; images that show nothing of their instrument are left out.
    seeds : sequence of int
        Of the networks.

    Returns
    -------
    Table
        Rows "own sound", "image centre", "shuffled sound", "silence" and "chance", the share of the image
        that the instrument covers; a column "pointing, <title>, box" and one "..., outline" for each title.

    Notebook: 03
    """
    values, clips = {}, {}
    for title, of in located.items():
        shown = of[0].shown
        masks, maps = of[0].masks[shown], {"own sound": [one.maps()[shown] for one in of]}
        maps["shuffled sound"] = [one.maps("shuffled", seed=seed)[shown] for seed, one in enumerate(of)]
        maps["silence"] = [one.maps("silence")[shown] for one in of]
        for region, area in (("box", boxed(masks)), ("outline", masks)):
            found = {name: [hits(one, area) for one in each] for name, each in maps.items()}
            found["image centre"] = [area[:, area.shape[1] // 2, area.shape[2] // 2]]
            found["chance"] = [area.mean((1, 2))]
            column = f"pointing, {title}, {region}"
            clips[column] = of[0].clip[shown]
            for name in ("own sound", "image centre", "shuffled sound", "silence", "chance"):
                values.setdefault(name, {})[column] = np.stack(found[name]).astype(float)
    chance = {column: float(each.mean()) for column, each in values["chance"].items()}
    paper = dict.fromkeys(clips, papers()["pointing"])
    return Table(values, clips, chance, paper, seeds=dict.fromkeys(values, tuple(seeds)))


# ---- duets: does the heat follow the sound?


@dataclass(frozen=True)
class Duets:
    """Images of two instruments, both seen, with the sounds of either.

    Attributes
    ----------
    scenes : LocalizationMaps
    first, second, third : (N, h, w) float32 Tensor
        Maps for a solo sound of the first class, of the second, and of a class that is not there.
    partner : (N,) int array
        Class of the second instrument.
    """

    scenes: LocalizationMaps
    first: Tensor
    second: Tensor
    third: Tensor
    partner: np.ndarray


@torch.inference_mode()
def duets(run: Run, store: Store, split: str, solos: str, *, seed: int = 0) -> Duets:
    """Try the duets of a split with solo sounds of their two classes, and of a third.

    Parameters
    ----------
    run : Run
    store : Store
        A built-in world.
    split : str
        "scenes" or "scenes_unseen".
    solos : str
        Split that the recordings are from: other instruments of the class than those in the image.
    seed : int
        Which recordings.

    Notebook: 03, 07
    """
    scenes = locate(run, store, split)
    both = [(scenes.objects == k).any((1, 2)) for k in (1, 2)]
    scenes = scenes.pick((scenes.kind == "duet") & both[0] & both[1])
    images = store.images(split)
    partner = np.array([instrument(images.factors(int(row))["partner"]).label for row in scenes.row])
    rng, classes = np.random.default_rng(seed), np.unique(store.sounds(solos).label)
    third = np.array([rng.choice(np.setdiff1d(classes, p)) for p in zip(scenes.label, partner, strict=True)])
    network = _asked(run, store)
    sounds = _sounds(network, store, solos)
    keys = _keys(network, sounds)
    maps = [
        scenes.maps(keys[sounds.source.same_class(labels, np.random.default_rng(seed + k))])
        for k, labels in enumerate((scenes.label, partner, third))
    ]
    return Duets(scenes, *maps, partner)


def follows(tried: Mapping[str, Sequence[Duets]], runs: Mapping[str, Sequence[Run]] = {}) -> Table:
    """Measure, over the networks of several seeds, whether the heat goes where the sound is.

    Returns
    -------
    Table
        A row per network. With the sound of either instrument, the highest cell lies "on its box", "on its
        outline", "nearer to it" than to the other instrument (chance 0.5); "moves": nearer to the first with
        the first's sound and to the second with the second's, in one image; "on either box, a third class's
        sound". "mean map, own sound" and "mean map, silence": the mean over all cells, of maps that are
        probabilities; their ratio, "mean map, silence / own sound": below 1 where silence darkens the map.

    Notebook: 03, 07
    """
    values = {}
    for name, of in tried.items():
        scenes = of[0].scenes
        outline = [scenes.objects == k for k in (1, 2)]
        box = [boxed(mask) for mask in outline]
        near = np.stack([[nearer(d.first, *outline), ~nearer(d.second, *outline)] for d in of])
        own, silent = (
            np.stack([d.scenes.maps(sound).mean((1, 2)).cpu().numpy() for d in of]).astype(float)
            for sound in ("own", "silence")
        )
        if not own.any(1).all():
            raise ValueError(f"the maps of {name} are zero everywhere: the network is dead")
        share = [
            np.stack([(hits(d.first, r[0]) * 0.5 + hits(d.second, r[1]) * 0.5) for d in of])
            for r in (box, outline)
        ]
        found = {"on its box": share[0], "on its outline": share[1]}
        found |= {"nearer to it": near.mean(1), "moves": near.all(1)}
        found["on either box, a third class's sound"] = np.stack([hits(d.third, box[0] | box[1]) for d in of])
        cells = {key: Cell.mean(each.astype(float), scenes.clip) for key, each in found.items()}
        means = [Cell.mean(each, scenes.clip, limits=(0, np.inf)) for each in (own, silent)]
        if scenes.scale == "probability":
            cells |= dict(zip(("mean map, own sound", "mean map, silence"), means, strict=True))
        cells["mean map, silence / own sound"] = means[1] / means[0]
        values[name] = {key: replace(cell, n=len(np.unique(scenes.clip))) for key, cell in cells.items()}
    seeds = {name: [run.seed for run in of] for name, of in runs.items()}
    chance = {"nearer to it": 0.5, "moves": 0.25}  # of a coin
    return Table(values, chance=chance, paper={}, unit="share", seeds=seeds)


def duet_results(table: Table, workspace: Workspace) -> list[Result]:
    """Return the results of :func:`follows`, named "duets: <measure>", after the network's name if many."""
    found = []
    for result in table.results(workspace):
        measure, name = result.name.rsplit(", ", 1)
        title = f"duets: {measure}" if len(table.values) == 1 else f"{name}: duets: {measure}"
        found.append(replace(result, name=title))
    return found


def peaks(run: Run, store: Store, solos: str, mixed: str) -> dict[str, np.ndarray]:
    """Return the highest map value of every image by kind of scene; of solos also with another class's sound.

    Notebook: 03, 07
    """
    alone, scenes = locate(run, store, solos), locate(run, store, mixed)

    def highest(of: LocalizationMaps, sound: str) -> np.ndarray:
        return of.maps(sound).amax((1, 2)).cpu().numpy()

    heights, kinds = highest(scenes, "own"), ("duet", "distractor", "offscreen", "silence")
    rows = {"solo": highest(alone, "own")} | {kind: heights[scenes.kind == kind] for kind in kinds}
    return rows | {"solo, another class's sound": highest(alone, "shuffled")}


# ---- what figures draw


def map_rows(of: LocalizationMaps, store: Store, split: str, which: Sequence[int]) -> list[tuple]:
    """Return class, image as the network saw it, map for its own sound, mask, for `figures.map_wall`."""
    maps = _colored(of, of.maps()[:, None])[:, 0]
    return [(_name(store, of.label[k]), _pixels(of, store, split, k), maps[k], of.masks[k]) for k in which]


def duet_rows(tried: Duets, store: Store, split: str, count: int = 4) -> list[tuple]:
    """Return both classes, the image, four maps, their masks, for `figures.heat_wall`.

    The maps are for the sound of either instrument, for silence and for a third class; where they have no
    scale of their own they share one, so that a sound that leaves the image dark looks dark.
    """
    of, rows = tried.scenes, []
    maps = _colored(of, torch.stack([tried.first, tried.second, of.maps("silence"), tried.third], 1))
    for k in np.linspace(0, len(of.label) - 1, min(count, len(of.label))).astype(int):
        names = f"{_name(store, of.label[k])} and\n{_name(store, tried.partner[k])}"
        masks = [of.objects[k] == 1, of.objects[k] == 2, None, None]
        rows.append((names, _pixels(of, store, split, k), maps[k], masks))
    return rows


def _pixels(of: LocalizationMaps, store: Store, split: str, k: int) -> np.ndarray:
    image, side = store.images(split).image(int(of.row[k])), of.objects.shape[1]
    top, left = ((size - side + 1) // 2 for size in image.shape[:2])
    return image[top : top + side, left : left + side]


def _colored(of: LocalizationMaps, maps: Tensor) -> np.ndarray:
    """Bring maps (N, K, h, w) to [0, 1]: by the largest value of each image's K maps, if of no scale."""
    maps = maps.cpu().numpy()
    top = maps.max((1, 2, 3), keepdims=True)
    return maps if of.scale == "probability" else maps / np.where(top > 0, top, 1)


def _name(store: Store, label: int) -> str:
    return store.classes[int(label)]["name"]


# ---- protocols


PROTOCOL = "llinet2020"
GRID = PROTOCOLS[PROTOCOL].rule.size
FIXED_K = 5  # where there is no validation: half of the maximum
DISC, WHOLE, CEILING = "centre disc", "whole image", "oracle ceiling"
SOLO_PROTOCOLS = ("objects2018", "lvs2021", "ezvsl2022", "adaptive", "mask_ap", "max_iou")
MIXED_PROTOCOLS = ("slavc2022", "strict", "universal")  # they know images in which nothing sounds


def shown_in_all(located: Mapping[str, Sequence[LocalizationMaps]]) -> np.ndarray:
    """Return which images show a sounding instrument in every method's crop, (N,) bool."""
    lead, *_ = located
    first = located[lead][0]
    for name, seeds in located.items():
        for part, one in (("row", first), ("label", first), ("clip", first), ("objects", seeds[0])):
            if not all(np.array_equal(getattr(of, part), getattr(one, part)) for of in seeds):
                raise ValueError(
                    f"{name} was given other images than {lead if one is first else 'its first seed'}"
                )
    return np.all([seeds[0].shown for seeds in located.values()], axis=0)


def _constants(masks: np.ndarray, protocol: str, **options) -> dict[str, Localization]:
    """`baselines`, with a disc that is called a disc, however its radius was chosen."""
    found = baselines(masks, protocol, **options)
    return {DISC if name.startswith(DISC) else name: result for name, result in found.items()}


def all_protocols(
    solos: Mapping[str, Sequence[LocalizationMaps]],
    mixed: Mapping[str, Sequence[LocalizationMaps]] | None = None,
    tried: Mapping[str, Sequence[Duets]] | None = None,
) -> pd.DataFrame:
    """Judge the same maps by every other named protocol, beside controls and constants.

    Parameters
    ----------
    solos, mixed : mapping of method to sequence of LocalizationMaps
        One per seed; of images of one instrument, and of all kinds of scene.
    tried : mapping of method to sequence of Duets
        A duet's shuffled sound is that of a third class.

    Returns
    -------
    DataFrame
        A column per protocol, its headline number, mean over seeds; "-" for rows that it has no use for.

    Notebook: 07
    """
    import pandas as pd

    shown = np.flatnonzero(shown_in_all(solos))
    picked = {name: [one.pick(shown) for one in of] for name, of in solos.items()}
    columns = {}
    groups = (
        (SOLO_PROTOCOLS, picked, _alone),
        (MIXED_PROTOCOLS, mixed or {}, _alone),
        (("iiou",), tried or {}, _in_duet),
    )
    for known, of, judge in groups:
        tests = {title: seeds for name, each in of.items() for title, seeds in judge(name, each).items()}
        for protocol in known if tests else ():
            judged = {
                name: [evaluate(maps, masks, protocol, clips=clips) for maps, masks, clips in seeds]
                for name, seeds in tests.items()
            }
            _, masks, clips = next(iter(tests.values()))[0]
            judged |= {name: [one] for name, one in _constants(masks, protocol, clips=clips).items()}
            measure = next(iter(judged.values()))[0].measures[0]
            cells = {name: f"{np.mean([one.value for one in of]):.1%}" for name, of in judged.items()}
            columns[f"{protocol}, {measure}"] = pd.Series(cells)
    rows = dict.fromkeys(name for cells in columns.values() for name in cells.index)
    return pd.DataFrame(columns).reindex(list(rows)).fillna("-")


def _sounds_for(name: str, listens: bool) -> dict[str, str]:
    """Row -> which sound its maps hear."""
    return {name: "own"} | {f"{name}, {title}": sound for title, sound in CONTROLS.items() if listens}


def _alone(name: str, of: Sequence[LocalizationMaps]) -> dict[str, list[tuple]]:
    """Row -> maps, masks and clips of every seed."""
    rows = _sounds_for(name, of[0].listens).items()
    return {row: [(o.maps(sound, seed=s), o.masks, o.clip) for s, o in enumerate(of)] for row, sound in rows}


def _in_duet(name: str, of: Sequence[Duets]) -> dict[str, list[tuple]]:
    """The same with two maps of every duet, (N, 2, h, w): for the sound of either, or a wrong one twice."""
    rows = {row: [] for row in _sounds_for(name, of[0].scenes.listens)}
    for one in of:
        masks = np.stack([one.scenes.objects == k for k in (1, 2)], axis=1)
        pairs = (one.first, one.second), (one.third,) * 2, (one.scenes.maps("silence"),) * 2
        for seeds, pair in zip(rows.values(), pairs, strict=False):
            seeds.append((torch.stack(pair, dim=1), masks, one.scenes.clip))
    return rows


# ---- LLINet's table


@dataclass(frozen=True, eq=False)
class LocalizationTable(Table):
    """mIoU and AUC of several methods on the same images, with their controls and constants.

    Columns "mIoU" and "AUC51" are honest: k/10 of the maximum with k chosen on validation maps, masks shrunk
    by nearest pixel. "mIoU as released" and "AUC51 as released": k chosen on the test set, and every cell
    that a mask touches belongs to it.

    Attributes
    ----------
    kind : mapping of row to {"method", "control", "constant"}
        Methods, each followed by its controls, then constants.
    k : mapping of row to mapping of {"honest", "released"} to tuple of int
        Tenths of the maximum at which each seed's maps are cut; of a constant the best on the test set.
    label : (N,) int array
    size : (N,) array of str
        See :func:`llinet_lite.metrics.localization.size_groups`.
    """

    kind: Mapping[str, str] = field(default_factory=dict)
    k: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    label: np.ndarray | None = None
    size: np.ndarray | None = None

    def names(self, kind: str) -> list[str]:
        """Return the rows of a kind."""
        return [name for name, of in self.kind.items() if of == kind]

    def gaps(self) -> dict[str, Interval]:
        """Return, for every control, what its method loses in honest mIoU: the audio-use gap."""
        return {
            name: self.difference(name.rsplit(", ", 1)[0], name, "mIoU") for name in self.names("control")
        }

    def by(self, groups: np.ndarray) -> pd.DataFrame:
        """Return the honest mIoU of every row but the ceiling by group (N,), and n, the images of a group."""
        import pandas as pd

        lines, names = {}, [name for name in self.values if name != CEILING]
        for group in dict.fromkeys(np.asarray(groups).tolist()):
            which = np.asarray(groups) == group
            cells = {name: float(self.values[name]["mIoU"][:, which].mean()) for name in names}
            lines[group] = {"n": int(which.sum())} | cells
        return pd.DataFrame.from_dict(lines, orient="index").round(3)

    def frame(self, columns=None) -> pd.DataFrame:
        """As :meth:`Table.frame`, and every seed's k."""
        frame = super().frame(columns)
        k = {name: " ".join(map(str, each["honest"])) for name, each in self.k.items()}
        return frame.assign(k=[k.get(name, "-") for name in frame.index])

    def results(self, workspace, columns=None) -> list[Result]:
        """As :meth:`Table.results`, and the gaps."""
        about = {"profile": workspace.profile.name, "data_hash": workspace.data_hash, "n": len(self.label)}
        found = super().results(workspace, columns)
        for name, gap in self.gaps().items():
            title, seeds = "mIoU, {} minus {}".format(*name.rsplit(", ", 1)), tuple(self.seeds.get(name, ()))
            found.append(Result(title, *gap.numbers, chance=0.0, seeds=seeds, **about))
        return found


def localize(
    located: Mapping[str, Sequence[LocalizationMaps]],
    validation: Mapping[str, Sequence[LocalizationMaps]] | None = None,
    runs: Mapping[str, Sequence[Run]] = {},
) -> LocalizationTable:
    """Judge the maps of several methods by the protocol of LLINet, honestly and as released.

    Parameters
    ----------
    located : mapping of method to sequence of LocalizationMaps
        One per seed, all of the same images; crops and grids may differ from method to method, not from
        seed to seed. Images that do not show their instrument in every crop are left out.
    validation : mapping of method to sequence of LocalizationMaps, optional
        As many seeds, of images of other classes, on which k, the disc's radius and the mean mask are
        chosen. Default: k is 5 for all, and disc and mean mask are made from the test masks.
    runs : mapping of method to sequence of Run
        For seeds and minutes.

    Notebook: 07
    """
    shown, (lead, *_) = shown_in_all(located), located
    held = validation or {name: [None] * len(of) for name, of in located.items()}
    if odd := [name for name in located if len(held.get(name, ())) != len(located[name])]:
        raise ValueError(f"give one validation part for every seed of {', '.join(odd)}")
    judged, kind = {}, {}  # row -> the results of every seed by the honest rule, and as released
    for name, of in located.items():
        seeds = [one.pick(shown) for one in of]
        parts = [part and part.pick(part.shown) for part in held[name]]
        masks = _small(seeds[0].masks)
        chosen = [_tenths(_judge(p.maps(), _small(p.masks)[0])) if p else FIXED_K for p in parts]
        own = [one.maps() for one in seeds]
        judged[name] = (
            [_judge(maps, masks[0], k) for maps, k in zip(own, chosen, strict=True)],
            [_judge(maps, masks[1]) for maps in own],
        )
        kind[name] = "method"
        for title, sound in CONTROLS.items() if seeds[0].listens else ():
            wrong = [one.maps(sound, seed=seed) for seed, one in enumerate(seeds)]
            kind[f"{name}, {title}"] = "control"
            judged[f"{name}, {title}"] = tuple(  # cut where the method's own maps are
                [_judge(maps, small, _tenths(one)) for maps, one in zip(wrong, rule, strict=True)]
                for small, rule in zip(masks, judged[name], strict=True)
            )
        if name == lead:
            first, constants = seeds[0], _without_network(seeds[0], parts[0], masks)
    judged, kind = judged | constants, kind | dict.fromkeys(constants, "constant")
    values = {}
    for name, rules in judged.items():
        honest, released = (np.stack([one.iou for one in rule]) for rule in rules)
        values[name] = {"mIoU": honest, "AUC51": np.stack([step_share(one, 51) for one in honest])}
        values[name] |= {"mIoU as released": released}
        values[name] |= {"AUC51 as released": np.stack([step_share(one, 51) for one in released])}
    k = {
        row: dict(zip(("honest", "released"), (tuple(map(_tenths, of)) for of in rules), strict=True))
        for row, rules in judged.items()
    }
    trained = {row: runs.get(row.rsplit(", ", 1)[0], ()) for row in judged}
    paper = {
        f"{name} as released": papers()[f"{known} as released"]
        for name, known in (("mIoU", "mIoU"), ("AUC51", "AUC"))
    }
    return LocalizationTable(
        values, first.clip,
        chance={column: float(each.mean(-1).mean()) for column, each in values[WHOLE].items()},
        paper=paper,
        seeds={row: [run.seed for run in of] for row, of in trained.items()},
        minutes={row: sum(run.minutes for run in of) for row, of in trained.items()},
        kind=kind, k=k, label=first.label, size=size_groups(first.masks),
    )  # fmt: skip


def _tenths(result: Localization) -> int:
    """k, which the result names first of what it says of it."""
    return int(str(result.settings["k"]).split()[0])


def _small(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrink masks (N, H, W) to the size at which they are judged, honestly and as released, once for all."""
    return resize(torch.from_numpy(masks).float(), GRID, "nearest").numpy() > 0, touched(masks, GRID)


def _judge(maps: Tensor, masks: np.ndarray, k: int | str = "test") -> Localization:
    """Evaluate on shrunk masks; of a small instrument nothing may be left, which nobody can find then."""
    return evaluate(maps, masks, PROTOCOL, k=k, empty="fail")


def _without_network(of: LocalizationMaps, part: LocalizationMaps | None, masks) -> dict[str, tuple]:
    """Judge constants, and the mask itself on the grid of the maps: the best that a coarse map can say."""
    held = None if part is None else _small(part.masks)[0]
    rules = [
        _constants(masks[0], PROTOCOL, validation=held, train=held, empty="fail"),
        _constants(masks[1], PROTOCOL, empty="fail"),
    ]
    height, width = of.cells.shape[2:]
    grid = f"mask on {height} x {width} cells"
    covered = F.adaptive_avg_pool2d(torch.from_numpy(of.masks).float()[:, None], (height, width))[:, 0]
    for rule, small in zip(rules, masks, strict=True):
        rule[grid] = _judge(covered, small)
    rows = (CEILING, grid, DISC, "mean mask", WHOLE)
    return {name: tuple([rule[name]] for rule in rules) for name in rows}


# ---- clips of one's own: an image of each, and the second of sound around it


@dataclass(frozen=True)
class Clips:
    """The clips of a store as a network sees and hears them, split after split.

    Attributes
    ----------
    network : object
        That embeds and compares.
    image : (N, S, S, 3) uint8
        The earliest image of every clip, the square in its middle.
    audio : (N, n) int16
        The second around it.
    seen, heard : tuple of Tensor
        Cells (N, D, h, w) and image embeddings; audio (N, D') for the cells, and audio embeddings.
    label : (N,) int
    file : tuple of str
        The clips' names in the store.
    time : (N,) float
        Of the image, seconds into the clip.

    Notebook: 10
    """

    network: object = field(repr=False)
    image: np.ndarray
    audio: np.ndarray
    seen: tuple
    heard: tuple
    label: np.ndarray
    file: tuple[str, ...]
    time: np.ndarray

    @torch.inference_mode()
    def match(self) -> np.ndarray:
        """Return how well every image matches every audio, (N, N); its own is on the diagonal."""
        return self.network.match(self.seen, self.heard).cpu().numpy()

    @torch.inference_mode()
    def maps(self, shift: int = 0) -> Tensor:
        """Return maps (N, h, w) in [0, 1]; with `shift`, every image with the audio so many clips further on.

        Of a network without a scale: the share of each map's maximum.
        """
        heats = self.network.heat(self.seen[0], self.heard[0].roll(shift, 0)).cpu()
        if self.network.scale == "probability":
            return heats
        return heats / heats.amax((1, 2), keepdim=True).clamp_min(1e-12)


@torch.inference_mode()
def clips(run: Run, store: Store) -> Clips:
    """Show a network one image of every clip of a store, and the second around it.

    Parameters
    ----------
    run : Run
        AVOL-Net or LLINet.
    store : Store
        Whose images belong to clips, as those of videos do; else ValueError.

    Notebook: 10
    """
    network, parts, file = _asked(run, store), [], []
    for split in store.splits:
        if (store.images(split).clip < 0).any():
            raise ValueError(f"{split} is paired by class only: use runs.embed, or give videos")
        source = Source(store, split, network.side, 1.0, "middle")
        row = source.pool
        moment = np.rint(source.images.time[row].astype(np.float64) * store.sample_rate).astype(np.int64)
        rows = source.rows(row, source.images.clip[row], moment - source.length // 2, None)
        batches = list(Batches(source, rows, BATCH))
        image, audio = (torch.cat([batch[name] for batch in batches]) for name in ("image", "audio"))
        parts.append((image, audio, rows.label, source.images.time[rows.image]))
        file += [source.sounds.id[clip] for clip in rows.sound]
    image, audio, label, time = (np.concatenate(column) for column in zip(*parts, strict=True))
    seen, heard = _in_parts(network.see, image), _in_parts(network.hear, audio)
    return Clips(network, image, audio, seen, heard, label, tuple(file), time)


def _in_parts(embed: Callable[[Tensor], tuple], items: np.ndarray) -> tuple:
    parts = [embed(part) for part in torch.from_numpy(items).split(BATCH)]
    return tuple(None if column[0] is None else torch.cat(column) for column in zip(*parts, strict=True))
