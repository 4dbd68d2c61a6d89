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

from llinet_lite.data.batches import EvaluationSet
from llinet_lite.experiments.embedding import ITEMS, at_once, looks, matching
from llinet_lite.experiments.methods import LLINET, Inputs, own_trunk
from llinet_lite.experiments.runs import held_out
from llinet_lite.features import LogMel
from llinet_lite.losses import cosines
from llinet_lite.metrics import localization as metrics
from llinet_lite.metrics.intervals import Cell, Interval
from llinet_lite.metrics.localization import Localization, evaluate
from llinet_lite.results import Result, Table

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
    """The images of a split, cell by cell, and the sounds that they are tried with."""

    heat: Callable[[Tensor, Tensor], Tensor]  # cells (b, D, h, w), sounds (b, D') -> maps (b, h, w)
    scale: str  # "probability", or "maximum": maps are on no fixed scale
    cells: Tensor  # (N, D, h, w) float32
    sound: Tensor  # (N, D') float32, each image's own sound, or one of its class; D' = 0: maps hear nothing
    silence: Tensor  # (D',) float32, of zeros that last as long
    objects: np.ndarray  # (N, H, W) uint8, 0 is background, k + 1 is the k-th instrument of the scene
    label: np.ndarray  # (N,) int, class of the first instrument
    row: np.ndarray  # (N,) int, of the store's image table
    clip: np.ndarray  # (N,) int, what the bootstrap draws
    kind: np.ndarray  # (N,) str, of scene

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
        """Return maps (N, h, w) for the sounds "own", "silence", (N, D'), or "shuffled": of other classes."""
        if isinstance(sound, str) and sound == "shuffled":
            sound = self.sound[other_class(self.label, seed)]
        elif isinstance(sound, str):
            sound = {"own": self.sound, "silence": self.silence.expand(len(self.cells), -1)}[sound]
        parts = zip(self.cells.split(BATCH), sound.split(BATCH), strict=True)
        return torch.cat([self.heat(cells, heard) for cells, heard in parts])

    def peaks(self, sound: str = "own") -> np.ndarray:
        """Return the highest value of every image's map, (N,)."""
        return self.maps(sound).amax((1, 2)).cpu().numpy()

    def pick(self, which) -> LocalizationMaps:
        """Keep some images; `which` (N,) bool or indices."""
        parts = ("cells", "sound", "objects", "label", "row", "clip", "kind")
        return replace(self, **{name: getattr(self, name)[which] for name in parts})

    def one_of_each_class(self) -> list[int]:
        """Return the first image of every class that shows its instrument."""
        shown = self.shown
        return [int(np.flatnonzero((self.label == k) & shown)[0]) for k in np.unique(self.label[shown])]


def other_class(label: np.ndarray, seed: int) -> np.ndarray:
    """Return for every item the number of a random one of another class, (N,)."""
    if len(label) and (label == label[0]).all():
        raise ValueError(f"all {len(label)} items are of one class: no other class's sound can be tried")
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(np.flatnonzero(label != own)) for own in label])


def usual_map(run: Run) -> str:
    """Return the kind of map that a network was trained for: see :func:`locate`."""
    if run.plan.method == AVOL:
        return "sigmoid of a product"
    if run.plan.method != LLINET:
        raise ValueError(f"{run.plan.method} has one vector per image, no cells: it makes no maps")
    if run.method.attention:
        return "transformed"
    return "mean" if run.network.gate == "none" else "gate"


class _AVOLNetAsked:
    """AVOL-Net with what it sees and hears: images and audio -> what is compared."""

    scale = measure = "probability"
    seconds, listens = 1.0, True

    def __init__(self, run: Run, store: Store):
        self.network, self.at = run.network, next(run.method.parameters()).device
        self.inputs, self.heat = run.inputs.to(self.at), run.network.heat
        self.side, self.batch, self.window = run.profile.image_crop, at_once("frame"), self.seconds

    def see(self, image: Tensor) -> tuple[Tensor, None]:  # (N, S, S, 3) -> cells (N, D, h, w)
        return self.network.embed_image(self.inputs.image({"image": image.to(self.at)})).float(), None

    def hear(self, audio: Tensor) -> tuple[Tensor, None]:  # (M, n) -> (M, D)
        return self.network.embed_audio(self.inputs.audio({"audio": audio.to(self.at)})).float(), None

    def cells(self, store: Store, split: str) -> Tensor:
        images = EvaluationSet(store, split, item="image", batch_size=self.batch, image_crop=self.side)
        return torch.cat([self.see(batch["image"])[0] for batch in images])

    def match(self, seen, heard) -> Tensor:
        return self.network.all_pairs(seen[0], heard[0]).softmax(-1)[..., 1]  # (N, M, 2) -> (N, M)

    def fit(self, cell: Tensor, heard) -> Tensor:
        cells = cell[None, :, None, None].expand(len(heard[0]), -1, -1, -1)  # (D,) -> (M, D, 1, 1)
        return self.network.heat(cells, heard[0])[:, 0, 0]


class _LLINetAsked:
    """LLINet or one of its baselines: images -> cells and vectors, audio -> keys of the map and vectors."""

    scale, measure, seconds = "maximum", "cosine", None

    def __init__(self, run: Run, store: Store):
        heat = usual_map(run)
        self.network, self.heat, self.listens = run.network, HEATS[heat], heat == "transformed"
        self.profile, self.at = run.profile, next(run.network.parameters()).device
        self.trained = heat != "mean"  # the attention layer; else the cells are the frozen trunk's own
        hearing = getattr(run.method, "ear", None) or LogMel(store.sample_rate)
        self.inputs = Inputs(hearing, own_trunk(run.method, run.trunk), run.method.needs).to(self.at)
        self.side, self.batch, self.window = run.profile.llinet_crop, ITEMS, run.profile.llinet_seconds

    def see(self, image: Tensor) -> tuple[Tensor, Tensor]:  # -> (N, C, h, w), (N, D)
        seen = self.inputs.image({"image": image.to(self.at)})
        vector, local = self.network.attend(seen["early"], seen["late"])
        return (local if self.trained else F.relu(seen["late"])).float(), vector.float()

    def hear(self, audio: Tensor) -> tuple[Tensor, Tensor]:  # -> (M, C), (M, D)
        vector = self.network.embed_audio(self.inputs.audio({"audio": audio.to(self.at)}))
        key = self.network.transform(vector).float() if self.listens else vector.new_zeros(len(vector), 0)
        return key, vector.float()

    def cells(self, store: Store, split: str) -> Tensor:
        tap, rows = "early" if self.trained else "late", np.arange(len(store.images(split)))
        inputs = Inputs(self.inputs.hearing, self.inputs.trunk, (tap,))
        batches = (seen[tap].float() for seen in looks(inputs, store, split, self.profile, rows))
        cells = self.network.local_features if self.trained else F.relu
        return torch.cat([cells(x).float() for x in batches])

    def match(self, seen, heard) -> Tensor:
        return cosines(seen[1], heard[1])

    @property
    def fit(self) -> Callable | None:  # as the attention loss compares a cell (C,) with sounds (M, C)
        return (lambda cell, heard: F.cosine_similarity(cell[None], heard[0])) if self.listens else None


def _asked(run: Run, store: Store) -> _AVOLNetAsked | _LLINetAsked:
    return (_AVOLNetAsked if run.plan.method == AVOL else _LLINetAsked)(run, store)


def _sounds(network, store: Store, split: str) -> EvaluationSet:
    """All sounds of a split: the middle second of each, or as much as the shortest has."""
    seconds = network.seconds or int(store.sounds(split).length.min()) / store.sample_rate
    return EvaluationSet(store, split, batch_size=network.batch, item="sound", seconds=seconds)


def _keys(network, items: EvaluationSet) -> Tensor:
    """What maps take of the sounds of all items, (N, D')."""
    starts, size = range(0, len(items.rows.sound), network.batch), network.batch
    parts = (items.rows.take(slice(k, k + size)) for k in starts)
    return torch.cat([network.hear(torch.from_numpy(items.source.read_sounds(part)))[0] for part in parts])


@torch.inference_mode()
def locate(run: Run, store: Store, split: str) -> LocalizationMaps:
    r"""Return the cells and the sounds of every image of a split with masks, for AVOL-Net or LLINet.

    AVOL-Net hears the second around each image. LLINet hears all of its sound; with the local features v_bar
    (C, h, w) and the transformed audio a_bar = ReLU(W a' + b) its map is the first of

    .. math:: s_i = \bar v_i \cdot \bar a, \qquad
              g_i = \tfrac1C \sum_c \mathrm{softmax}_i(\bar v_{ci}), \qquad
              m_i = \tfrac1C \sum_c \bar v_{ci}

    that was trained: s, the published map, with the attention loss, which alone trains W; else the gate g,
    which opens the image's own path, if there is one; else m, of the frozen trunk's features. How the
    published Baseline makes its map is not stated; released code has the branch m. No sound takes part in g
    and m. Where images and sounds share classes only, each image hears a random one of its class.
    """
    network, images, paired = _asked(run, store), store.images(split), matching(store, split) == "clip"
    cells, rows, sounds = network.cells(store, split), np.arange(len(images)), _sounds(network, store, split)
    objects = [images.objects(row) for row in rows]
    if any(mask is None for mask in objects):
        raise ValueError(f"{split} holds no masks: what is localized there cannot be judged")
    label = images.label.astype(np.int64)
    if not network.listens:
        sound = cells.new_zeros(len(cells), 0)
    elif paired and network.seconds:
        around = EvaluationSet(store, split, batch_size=network.batch, image_crop=network.side)
        sound = _keys(network, around)
    else:
        own = images.clip if paired else sounds.source.same_class(label, np.random.default_rng(0))
        sound = _keys(network, sounds)[own.astype(int)]
    silence = network.hear(torch.zeros(1, sounds.source.length, dtype=torch.int16))[0][0]
    return LocalizationMaps(
        *(network.heat, network.scale, cells, sound, silence),
        np.stack([_middle(mask, network.side) for mask in objects]),
        *(label, rows, images.clip if paired else rows, images.kind),
    )


def held_out_maps(runs: Mapping[str, Sequence[Run]], store: Store) -> dict[str, list[LocalizationMaps]]:
    """Return every network's maps of classes that LLINet's seed does not train on.

    They are invented ones, of `choose`; without these the held-out seen classes of `val`.
    """

    def of_held_out(run: Run) -> LocalizationMaps:
        if "choose" in store.splits:
            return locate(run, store, "choose")
        maps = locate(run, store, "val")
        return maps.pick(np.isin(maps.label, held_out(store, run.seed)))

    return {name: [of_held_out(run) for run in of] for name, of in runs.items()}


def localizer(run: Run, store: Store, *, title: str = "") -> dict:
    """Return what `show.explorer.Localizer` takes, by name: the maps of :func:`locate`, for any sound.

    AVOL-Net: image and sound match as well as the best cell says. LLINet: by the cosine of their embeddings.
    """
    if store.sample_rate != run.profile.sample_rate:
        raise ValueError(f"the network hears {run.profile.sample_rate} Hz, the store has {store.sample_rate}")
    network = _asked(run, store)
    names = ("side", "heat", "match", "fit", "scale", "measure", "window")
    return {name: getattr(network, name) for name in names} | {
        "title": title or run.plan.method,
        "embed_image": lambda images: network.see(torch.from_numpy(images)),
        "embed_audio": lambda audio: network.hear(torch.from_numpy(audio)),
        "whole": network.seconds,
    }


# ---- does the heat follow the sound?


def boxed(masks: np.ndarray) -> np.ndarray:
    """Return the smallest upright box around each mask, (N, H, W) bool: what a person would annotate."""

    def spanned(seen: np.ndarray) -> np.ndarray:  # (N, n) -> from the first True to the last
        return np.logical_or.accumulate(seen, 1) & np.logical_or.accumulate(seen[:, ::-1], 1)[:, ::-1]

    return spanned(masks.any(2))[:, :, None] & spanned(masks.any(1))[:, None]


def nearer(maps: Tensor, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return whether the highest cell of each map is nearer to the first mask than to the second, (N,)."""
    from scipy.ndimage import distance_transform_edt

    pixels = metrics.points(maps.cpu(), first.shape[1:]).numpy()
    tried = zip(pixels, first, second, strict=True)
    away = [[distance_transform_edt(~m)[tuple(pixel)] for m in masks] for pixel, *masks in tried]
    return np.array([first < second for first, second in away])  # pixels to the nearest one of either mask


@dataclass(frozen=True)
class Duets:
    """Images of two instruments, both seen, with the sounds of either."""

    scenes: LocalizationMaps
    first: Tensor  # (N, h, w) maps for a solo sound of the first class,
    second: Tensor  # of the second,
    third: Tensor  # and of a class that is not there
    partner: np.ndarray  # (N,) int, class of the second instrument


@torch.inference_mode()
def duets(run: Run, store: Store, split: str, solos: str) -> Duets:
    """Try the duets of a split with solo sounds of their two classes, and of a third.

    The recordings are from the split `solos`, of other instruments of the class than those in the image.
    """
    scenes = locate(run, store, split)
    both = [(scenes.objects == k).any((1, 2)) for k in (1, 2)]
    scenes = scenes.pick((scenes.kind == "duet") & both[0] & both[1])
    images = store.images(split)
    label = {each["name"]: k for k, each in enumerate(store.classes)}
    partner = np.array([label[images.factors(int(row))["partner"]] for row in scenes.row])
    rng, classes = np.random.default_rng(0), np.unique(store.sounds(solos).label)
    third = np.array([rng.choice(np.setdiff1d(classes, p)) for p in zip(scenes.label, partner, strict=True)])
    network = _asked(run, store)
    sounds = _sounds(network, store, solos)
    keys, maps = _keys(network, sounds), []
    for k, labels in enumerate((scenes.label, partner, third)):
        picked = sounds.source.same_class(labels, np.random.default_rng(k))
        maps.append(scenes.maps(keys[picked]))
    return Duets(scenes, *maps, partner)


def follows(tried: Mapping[str, Sequence[Duets]], runs: Mapping[str, Sequence[Run]] = {}) -> Table:
    """Measure, over the networks of several seeds, whether the heat goes where the sound is.

    A row per network. With the sound of either instrument, the highest cell lies "on its box", "on its
    outline", "nearer to it" than to the other instrument; "moves": both answers are right in one image.
    "on either box, a third class's sound". "mean map, own sound" and "mean map, silence": the mean of all
    cells, of maps that are probabilities; and their ratio, below 1 where silence darkens the map.
    """
    values = {}
    for name, of in tried.items():
        scenes, shares = of[0].scenes, {}
        outline = [scenes.objects == k for k in (1, 2)]
        box = [boxed(mask) for mask in outline]
        for title, (one, two) in (("on its box", box), ("on its outline", outline)):
            shares[title] = [(1.0 * metrics.hits(d.first, one) + metrics.hits(d.second, two)) / 2 for d in of]
        near = np.stack([[nearer(d.first, *outline), ~nearer(d.second, *outline)] for d in of])  # (S, 2, N)
        shares |= {"nearer to it": near.mean(1), "moves": near.all(1)}
        shares["on either box, a third class's sound"] = [metrics.hits(d.third, box[0] | box[1]) for d in of]
        cells = {row: Cell.mean(np.array(each, float), scenes.clip) for row, each in shares.items()}
        means = ([d.scenes.maps(s).mean((1, 2)).cpu().numpy() for d in of] for s in ("own", "silence"))
        own, silent = (Cell.mean(mean, scenes.clip, limits=(0, np.inf)) for mean in means)
        if scenes.scale == "probability":
            cells |= {"mean map, own sound": own, "mean map, silence": silent}
        cells["mean map, silence / own sound"] = silent / own
        values[name] = {row: replace(cell, n=len(np.unique(scenes.clip))) for row, cell in cells.items()}
    seeds, chance = {name: [run.seed for run in of] for name, of in runs.items()}, {"moves": 0.25}
    return Table(values, chance=chance | {"nearer to it": 0.5}, paper={}, unit="share", seeds=seeds)


def duet_results(table: Table, workspace: Workspace) -> list[Result]:
    """Return the results of :func:`follows`, named "duets: <measure>", after the network's name if many."""
    found = [(*result.name.rsplit(", ", 1), result) for result in table.results(workspace)]
    one = len(table.values) == 1
    return [replace(r, name=f"duets: {what}" if one else f"{of}: duets: {what}") for what, of, r in found]


# ---- what figures draw


def map_rows(of: LocalizationMaps, store: Store, split: str, which: Sequence[int]) -> list[tuple]:
    """Return class, image as the network saw it, map for its own sound, mask, for `figures.map_wall`."""
    maps = _colored(of, of.maps()[:, None])[:, 0]
    return [(_name(store, of.label[k]), _pixels(of, store, split, k), maps[k], of.masks[k]) for k in which]


def duet_rows(tried: Duets, store: Store, split: str) -> list[tuple]:
    """Return both classes, the image, its maps and masks of four duets, for `figures.heat_wall`.

    The maps are for the sound of either, for silence and for a third class; where they have no scale of
    their own they share one, so that a sound that leaves the image dark looks dark.
    """
    of, rows = tried.scenes, []
    maps = _colored(of, torch.stack([tried.first, tried.second, of.maps("silence"), tried.third], 1))
    for k in np.linspace(0, len(of.label) - 1, min(4, len(of.label))).astype(int):
        names = f"{_name(store, of.label[k])} and\n{_name(store, tried.partner[k])}"
        masks = [of.objects[k] == 1, of.objects[k] == 2, None, None]
        rows.append((names, _pixels(of, store, split, k), maps[k], masks))
    return rows


def _middle(image: np.ndarray, side: int) -> np.ndarray:
    """Cut a square from the middle, as a network sees it."""
    top, left = ((size - side + 1) // 2 for size in image.shape[:2])
    return image[top : top + side, left : left + side]


def _pixels(of: LocalizationMaps, store: Store, split: str, k: int) -> np.ndarray:
    return _middle(store.images(split).image(int(of.row[k])), of.objects.shape[1])


def _colored(of: LocalizationMaps, maps: Tensor) -> np.ndarray:
    """Bring maps (N, K, h, w) to [0, 1]: by the largest value of each image's K maps, if of no scale."""
    maps = maps.cpu().numpy()
    top = maps.max((1, 2, 3), keepdims=True)
    return maps if of.scale == "probability" else maps / np.where(top > 0, top, 1)


def _name(store: Store, label: int) -> str:
    return store.classes[int(label)]["name"]


# ---- LLINet's table

PROTOCOL = "llinet2020"
GRID = metrics.PROTOCOLS[PROTOCOL].rule.size
FIXED_K = 5  # where there is no validation: half of the maximum


def shown_in_all(located: Mapping[str, Sequence[LocalizationMaps]]) -> np.ndarray:
    """Return which images show a sounding instrument in every method's crop, (N,) bool."""
    first = next(iter(located.values()))[0]
    for name, seeds in located.items():
        for part, one in (("row", first), ("label", first), ("clip", first), ("objects", seeds[0])):
            if not all(np.array_equal(getattr(of, part), getattr(one, part)) for of in seeds):
                raise ValueError(f"{name} was given other images ({part}) than the first method or seed")
    return np.all([seeds[0].shown for seeds in located.values()], axis=0)


@dataclass(frozen=True, eq=False)
class LocalizationTable(Table):
    """mIoU and AUC of several methods on the same images, each followed by its controls, then constants.

    Columns "mIoU" and "AUC51" are honest: k/10 of the maximum with k chosen on validation maps, masks shrunk
    by nearest pixel. "... as released": k chosen on the test set, and every cell that a mask touches belongs
    to it.
    """

    k: Mapping[str, Sequence[int]] = field(default_factory=dict)  # row -> honest k of every seed

    def gaps(self) -> dict[str, Interval]:
        """Return, for every control, what its method loses in honest mIoU: the audio-use gap."""
        controls = [row for row in self.values if row.rsplit(", ", 1)[-1] in CONTROLS]
        return {row: self.difference(row.rsplit(", ", 1)[0], row, "mIoU") for row in controls}

    def frame(self, columns=None) -> pd.DataFrame:
        """As :meth:`Table.frame`, and every seed's k."""
        frame = super().frame(columns)
        return frame.assign(k=[" ".join(map(str, self.k.get(row, "-"))) for row in frame.index])

    def results(self, workspace: Workspace, columns=None) -> list[Result]:
        """As :meth:`Table.results`, and the gaps."""
        about = {"profile": workspace.profile.name, "data_hash": workspace.data_hash, "n": len(self.clips)}
        found = super().results(workspace, columns)
        for row, gap in self.gaps().items():
            title = "mIoU, {} minus {}".format(*row.rsplit(", ", 1))
            found.append(Result(title, *gap.numbers, chance=0.0, seeds=self.seeds[row], **about))
        return found


def localize(
    located: Mapping[str, Sequence[LocalizationMaps]],
    validation: Mapping[str, Sequence[LocalizationMaps]] | None = None,
    runs: Mapping[str, Sequence[Run]] = {},
) -> LocalizationTable:
    """Judge the maps of several methods by the protocol of LLINet, honestly and as released.

    `located` has maps per seed by method, all of the same images; crops and grids may differ from method to
    method. Images that do not show their instrument in every crop are left out. On `validation`, as many
    seeds of other classes, k, the disc's radius and the mean mask are chosen; without it k is 5 and both are
    made from the test masks. `runs` give seeds and minutes.
    """
    shown = shown_in_all(located)
    judged, constants = {}, {}  # row -> of every seed what both rules say
    for name, of in located.items():
        seeds, held = [one.pick(shown) for one in of], None
        masks, k = _small(seeds[0].masks), [FIXED_K] * len(seeds)
        if validation is not None:
            parts = [part.pick(part.shown) for part in validation[name]]
            held = _small(parts[0].masks)[0]
            k = [_judge(part.maps(), _small(part.masks)[0]).settings["k"] for part in parts]
        own = [(one.maps(), best) for one, best in zip(seeds, k, strict=True)]
        judged[name] = [(_judge(maps, masks[0], best), _judge(maps, masks[1])) for maps, best in own]
        for title, sound in CONTROLS.items() if seeds[0].listens else ():
            wrong = [one.maps(sound, seed=seed) for seed, one in enumerate(seeds)]
            judged[f"{name}, {title}"] = [  # cut where the method's own maps are
                (_judge(maps, masks[0], one.settings["k"]), _judge(maps, masks[1], two.settings["k"]))
                for maps, (one, two) in zip(wrong, judged[name], strict=True)
            ]
        if not constants:
            first, constants = seeds[0], _without_network(seeds[0], masks, held)
    judged, values = judged | constants, {}
    for row, seeds in judged.items():
        for rule, of in zip(("", " as released"), zip(*seeds, strict=True), strict=True):
            iou = np.stack([one.iou for one in of])  # (S, N)
            values.setdefault(row, {})[f"mIoU{rule}"] = iou
            values[row][f"AUC51{rule}"] = metrics.step_share(iou, 51)
    trained = {row: runs.get(row.rsplit(", ", 1)[0], ()) for row in values}
    return LocalizationTable(
        values,
        first.clip,
        chance={column: float(each.mean()) for column, each in values["whole image"].items()},
        seeds={row: tuple(run.seed for run in of) for row, of in trained.items()},
        minutes={row: sum(run.minutes for run in of) for row, of in trained.items()},
        k={row: tuple(honest.settings["k"] for honest, _ in seeds) for row, seeds in judged.items()},
    )


def _small(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shrink masks (N, H, W) to the size at which they are judged, honestly and as released."""
    return metrics.shrunk(masks, GRID), metrics.shrunk(masks, GRID, "bicubic")


def _judge(maps: Tensor, masks: np.ndarray, k: int | str = "test") -> Localization:
    """Evaluate on shrunk masks; of a small instrument nothing may be left, which nobody can find then."""
    return evaluate(maps, masks, PROTOCOL, k=k, empty="fail")


def _without_network(of: LocalizationMaps, masks, held: np.ndarray | None) -> dict[str, list[tuple]]:
    """Judge constants, and the mask itself on the grid of the maps: the best that a coarse map can say."""
    height, width = of.cells.shape[2:]
    covered = F.adaptive_avg_pool2d(torch.from_numpy(of.masks).float()[:, None], (height, width))[:, 0]
    rules = []
    for small, other in zip(masks, (held, None), strict=True):
        rows = metrics.baselines(small, PROTOCOL, validation=other, train=other, empty="fail")
        rules.append(rows | {f"mask on {height} x {width} cells": _judge(covered, small)})
    order = ("oracle ceiling", f"mask on {height} x {width} cells", "centre disc", "mean mask", "whole image")
    return {row: [tuple(rule[row] for rule in rules)] for row in order}
