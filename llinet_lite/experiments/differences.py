"""Paper versus code: what they do otherwise than this package, and what each difference is worth.

The descriptions are data, differences.toml; what changes the training is trained, beside a network of as few
epochs, the rest is asked of trained networks.

Notebook: 09
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from llinet_lite.data.store import Store
from llinet_lite.experiments import correspondence, search
from llinet_lite.experiments.embedding import Embedded, Items, items_of
from llinet_lite.experiments.maps import PROTOCOL, LocalizationMaps, LocalizationTable, shown_in_all
from llinet_lite.experiments.runs import IMPRINT, Run, embed, held_out, pair_list, plans, train_or_load
from llinet_lite.experiments.standins import seen_labels
from llinet_lite.experiments.zero_shot import CHOICES
from llinet_lite.metrics.intervals import Cell, Interval
from llinet_lite.metrics.localization import evaluate
from llinet_lite.metrics.relevance import relevance_of
from llinet_lite.results import Result, Table
from llinet_lite.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from llinet_lite.models.trunks import Trunk

ACCURACY, NDCG, DIRECTION = "AVC accuracy", "nDCG@30, im-aud", "im-aud"
METRICS = {"unseen": "mAP, unseen", "test": "mAP, seen"}  # by split
LAST = 32  # the released loader's batch
CHOSEN = 2000  # random choices of one query per class
ROUNDING = 1e-12  # two ways to the same probability in float64 may differ by less
# Plans that are trained beside "brief", and beside "avenet-brief".
LLINET = (
    "gate-batch", "gate-none", "bn-train", "scale-1", "zero", "all", "distinct", "decay-image", "decay-tenth"
)  # fmt: skip
AVENET = ("unsigned", "softmax-twice", "stride-1")


@dataclass(frozen=True)
class Effect:
    """One difference in one metric and, once it was run, what it is worth.

    Attributes
    ----------
    key : str
        Short name; a difference with several metrics has several effects of one key.
    about : dict
        Of differences.toml: group, question, paper, code, ours, argument, compared, sentence.
    metric : str
        As "mAP, unseen"; a share.
    effect : Interval or None
        The compared way minus ours: positive where it gives the higher number. Bounds of NaN: one seed, its
        spread is not known. None: not measured.
    seeds : tuple of int
        Of the networks behind it.
    minutes : float
        Of training them.
    note : str
        What the run shows beside the effect.
    """

    key: str
    about: dict
    metric: str
    effect: Interval | None = None
    seeds: tuple[int, ...] = ()
    minutes: float = 0.0
    note: str = ""

    @property
    def name(self) -> str:
        """Name of its result: "<key>, <metric>"."""
        return f"{self.key}, {self.metric}"

    @property
    def verdict(self) -> str:
        """Say whether the compared way gives more: "higher", "lower", "not shown" or "not measured"."""
        if self.effect is None:
            return "not measured"
        return "higher" if self.effect.low > 0 else "lower" if self.effect.high < 0 else "not shown"

    @property
    def worth(self) -> str:
        """Effect and interval in percentage points, as "+1.2 [-0.3, +2.6]"; "-" if not measured."""
        if self.effect is None:
            return "-"
        value, low, high = (100 * x for x in (self.effect.value, self.effect.low, self.effect.high))
        return f"{value:+.1f} " + ("(one seed)" if np.isnan(low) else f"[{low:+.1f}, {high:+.1f}]")


def listed(keys: Iterable[str]) -> list[Effect]:
    """Return the differences of these keys, in every metric, without numbers."""
    known = tomllib.loads((Path(__file__).parents[1] / "differences.toml").read_text(encoding="utf-8"))
    return [Effect(key, known[key], metric) for key in keys for metric in known[key]["metrics"]]


def _measured(key: str, effect: Interval, seeds=(), minutes=0.0, note="", metric="") -> Effect:
    one = next(e for e in listed([key]) if metric in ("", e.metric))
    return replace(one, effect=effect, seeds=tuple(seeds), minutes=float(minutes), note=note)


def frame(effects: Sequence[Effect]) -> pd.DataFrame:
    """One row per effect, by question: who does what, how it is asked for, what it is worth in points."""
    import pandas as pd

    said = ("group", "paper", "code", "ours", "argument", "compared")
    lines = [
        {"question": e.about["question"]}
        | {name: e.about[name] for name in said}
        | {"metric": e.metric, "worth, points": e.worth, "compared minus ours": e.verdict}
        | {"seeds": len(e.seeds), "note": e.note or "-", "remember": e.about["sentence"]}
        for e in effects
    ]
    return pd.DataFrame(lines).set_index("question")


def results(effects: Sequence[Effect], workspace: Workspace, seeds: Sequence[int] = ()) -> list[Result]:
    """Return what was measured as results; `seeds` of effects that do not name theirs."""
    known = {"profile": workspace.profile.name, "data_hash": workspace.data_hash}
    return [
        Result(
            e.name, *e.effect.numbers, n=e.effect.n, seeds=e.seeds or tuple(seeds), minutes=e.minutes, **known
        )
        for e in effects
        if e.effect is not None
    ]


def published(effects: Sequence[Effect], known: Sequence[Result]) -> list[Effect]:
    """Take the numbers of effects from published results, where nothing is trained."""
    by_name, found = {result.name: result for result in known}, []
    for e in effects:
        one = by_name.get(e.name)
        if one is not None:
            spread = (np.nan, np.nan) if one.low is None else (one.low, one.high)
            e = replace(e, effect=Interval(one.value, *spread, one.n), seeds=one.seeds, minutes=one.minutes)
        found.append(e)
    return found


def _mean(values, clips, weights: Sequence[float] | None = None, lowest: float = -np.inf) -> Interval:
    """Interval of a weighted sum of means over parts (S, P, Q), as `Cell.mean` has it; not below `lowest`."""
    return Cell.mean(values, clips, weights=weights, limits=(lowest, np.inf)).interval().rounded()


# ---- LLINet: training


def trained(workspace: Workspace, trunk: Trunk, seeds: Sequence[int]) -> list[Effect]:
    """Train or load every variant of LLINET, and compare it with "brief" of the same seeds.

    Returns
    -------
    list of Effect
        For every difference one effect per split of METRICS that the store has: mean of the mAP of both
        directions, paired over queries and seeds. On `test` every seed searches the classes it trained on.
    """
    store, known = workspace.store(("train", "val", "unseen")), plans(workspace.profile)

    def searched(name: str) -> tuple[dict[str, np.ndarray], float]:
        return _search((train_or_load(workspace, known[name], seed, trunk=trunk) for seed in seeds), store)

    brief, _ = searched("brief")
    return [e for key in LLINET for e in _compared(key, *searched(key), brief, store, seeds)]


def attention(matching: Sequence[Run], ours: Sequence[Run], store: Store) -> list[Effect]:
    """Compare LLINets without the attention loss ("matching") with ours ("llinet") of the same seeds."""
    seeds = [run.seed for run in ours]
    if seeds != [run.seed for run in matching]:
        raise ValueError(f"give runs of the same seeds: {[run.seed for run in matching]} and {seeds}")
    first, second = (_search(runs, store) for runs in (matching, ours))
    return _compared("attention", *first, second[0], store, seeds)


def _search(runs: Iterable[Run], store: Store) -> tuple[dict[str, np.ndarray], float]:
    """Average precisions (S, 2, Q) of all runs by split, and the minutes of their training."""
    values, minutes = {split: [] for split in METRICS if split in store.splits}, 0.0
    for run in runs:  # one at a time: networks need not be kept
        minutes += run.minutes
        own = np.setdiff1d(seen_labels(store), held_out(store, run.seed))
        for split, of in values.items():
            items = items_of(store, split, own if split == "test" else None)
            of.append(_precisions(embed(run, store, split, items), items_of(store, split)))
    return {split: np.stack(of) for split, of in values.items()}, minutes


def _compared(key: str, first, minutes: float, second, store: Store, seeds) -> list[Effect]:
    return [
        _measured(
            key, _mean(first[split] - second[split], _clips(store, split)), seeds, minutes,
            metric=METRICS[split],
        )
        for split in first
    ]  # fmt: skip


def _precisions(found: Embedded, among: Items) -> np.ndarray:
    """Average precision of every image and every audio `among` all, (2, N + M).

    Row 0 is image to audio, in the first N columns; row 1 is audio to image, in the others; NaN where
    nothing was asked.
    """
    images = np.isin(among.image_row, found.items.image_row)
    audio = np.isin(among.audio_row, found.items.audio_row)
    values, both = np.full((2, len(images) + len(audio)), np.nan), found.retrieval()
    values[0, np.flatnonzero(images)] = both["I2A"].precisions
    values[1, len(images) + np.flatnonzero(audio)] = both["A2I"].precisions
    return values


def _clips(store: Store, split: str) -> np.ndarray:
    """Clip of every image and every audio of a split, (N + M,); those that have none stand alone."""
    items = items_of(store, split)
    alone = (np.asarray(store.images(split).clip) < 0).any()
    return np.concatenate([items.image_clip, items.audio_clip + alone * len(items.image_clip)])


# ---- LLINet: evaluation


def retrieval(runs: Sequence[Run], store: Store) -> list[Effect]:
    """Ask trained LLINets, one per seed, for the mAP of unseen classes as the released code has it.

    Returns
    -------
    list of Effect
        One query per class: the interval covers 95 % of random choices of the queries. Names of the columns
        exchanged, and the last batch dropped: clips and seeds are drawn. Epoch chosen on the test set:
        Student's interval over seeds, on the images and audio that were watched in training.
    """
    seeds, clips = [run.seed for run in runs], _clips(store, "unseen")
    found = [embed(run, store, "unseen") for run in runs]
    whole = np.stack([_precisions(one, one.items) for one in found])  # (S, 2, N + M)
    less = np.stack([_precisions(_without_last(one), one.items) for one in found])
    left = np.isfinite(less[0, 0]).sum()
    dropped = _mean(np.concatenate([less, whole], axis=1), clips, (0.5, 0.5, -0.5, -0.5))
    gains = [max(e["unseen"] for e in run.curve) - run.curve[run.chosen]["unseen"] for run in runs]
    gain = Cell(gains, n=len(gains), limits=(0.0, 1.0)).interval().rounded()
    note = f"{left} of {len(found[0].items.image_row)} images are left"
    return [
        _measured("one-query", _one_query(whole, found[0].items), seeds),
        _measured("swapped-names", _mean(whole, clips, (-1.0, 1.0)), seeds),
        _measured("drop-last", dropped, seeds, note=note),
        _measured("epoch-on-test", gain, seeds),
    ]


def _one_query(values: np.ndarray, items: Items) -> Interval:
    """Mean of one query per class minus that of all, of values (S, 2, N + M) of both directions."""
    mean = values[:, 0, : len(items.image_label)].mean(0), values[:, 1, len(items.image_label) :].mean(0)
    classes = np.unique(items.image_label)
    rank = np.random.default_rng(0).random((len(classes), CHOSEN))
    rank[:, 0] = 0  # the first item, as released
    picked = np.zeros(CHOSEN)
    for precision, label in zip(mean, (items.image_label, items.audio_label), strict=True):
        for k, ranks in zip(classes, rank, strict=True):
            own = precision[label == k]
            picked += own[(ranks * len(own)).astype(int)] / (2 * len(classes))
    picked -= np.mean([precision.mean() for precision in mean])
    return Interval(picked[0], *np.quantile(picked[1:], [0.025, 0.975]), len(classes)).rounded()


def _without_last(found: Embedded) -> Embedded:
    """Keep full batches of images and of audio only; of fewer than a batch, all."""
    items = found.items
    image, audio = (
        np.arange(len(label)) < len(label) // min(LAST, len(label)) * min(LAST, len(label))
        for label in (items.image_label, items.audio_label)
    )
    both = np.intersect1d(items.image_label[image], items.audio_label[audio])  # else there is no answer
    image &= np.isin(items.image_label, both)
    audio &= np.isin(items.audio_label, both)
    kept = {
        f"{side}_{what}": getattr(items, f"{side}_{what}")[keep]
        for side, keep in (("image", image), ("audio", audio))
        for what in ("row", "label", "clip")
    }
    return Embedded(Items(**kept), found.image[image], found.audio[audio], found.scores[image][:, audio])


def localization(
    table: LocalizationTable, located: Mapping[str, Sequence[LocalizationMaps]], name: str = "LLINet"
) -> list[Effect]:
    """Judge one method's maps with the released threshold, with the released masks, and with both.

    Parameters
    ----------
    table : LocalizationTable
        Its honest column is ours.
    located : mapping of method to sequence of LocalizationMaps
        What the table was made from.
    name : str
        The method.
    """
    shown, honest, seeds = shown_in_all(located), table.values[name]["mIoU"], table.seeds[name]
    parts, k = [one.pick(shown) for one in located[name]], table.k[name]["honest"]
    if len(parts) != len(honest) or not all(np.array_equal(one.clip, table.clips) for one in parts):
        raise ValueError(f"the table is of other images or seeds of {name} than those given: localize both")
    judged = [(one.maps("own"), one.masks) for one in parts]
    tests = [evaluate(*of, PROTOCOL, k="test") for of in judged]
    masks = [
        evaluate(*of, PROTOCOL, k=best, mask_resize="bicubic") for of, best in zip(judged, k, strict=True)
    ]
    on_test = ", ".join(str(one.settings["k"]).split()[0] for one in tests)
    note = f"k = {on_test} instead of {', '.join(map(str, k))}"

    def worth(ious, **limit) -> Interval:  # (S, N) -> (S, 1, N)
        return _mean((np.asarray(ious) - honest)[:, None], table.clips, **limit)

    return [  # the best k of these images is not worse on them than another
        _measured("k-on-test", worth([one.iou for one in tests], lowest=0.0), seeds, note=note),
        _measured("mask-resize", worth([one.iou for one in masks]), seeds),
        _measured("localization-released", worth(table.values[name]["mIoU as released"]), seeds),
    ]


def recognition(table: Table, name: str = "LLINet", seeds: Sequence[int] = ()) -> list[Effect]:
    """Take what the released prototypes and distance are worth from `zero_shot.choices_table`."""
    keys = ("euclidean", "prototypes-test", "recognition-released")
    asked = zip(keys, list(CHOICES)[1:], strict=True)
    return [_measured(key, table.interval(f"{name}: {choice}", "worth"), seeds) for key, choice in asked]


# ---- AVE-Net, AVOL-Net, L3-Net


def _plan(workspace: Workspace, name: str):
    return plans(workspace.profile, None if workspace.is_world else workspace.store())[name]


def avenet_trained(workspace: Workspace, seeds: Sequence[int]) -> list[Effect]:
    """Train or load every variant of AVENET, and compare it with "avenet-brief" of the same seeds.

    "stride-1" costs four times as much as the others, so it is trained with the first seed only.

    Returns
    -------
    list of Effect
        Accuracy on the test pairs, paired over pairs and seeds; of "unsigned" also retrieval, and in its
        note the slope of the calibration layer before and after training (below zero: near = match).
    """
    store, seeds, effects = workspace.store(("test",)), list(seeds), []
    brief = [train_or_load(workspace, _plan(workspace, "avenet-brief"), seed) for seed in seeds]
    scores = [correspondence.evaluate(run, store) for run in brief]
    for key in AVENET:
        own = seeds[:1] if key == "stride-1" else seeds
        runs = [train_or_load(workspace, _plan(workspace, f"avenet-{key}"), seed) for seed in own]
        found = [correspondence.evaluate(run, store) for run in runs]
        gap, note = correspondence.difference(found, scores[: len(own)]), ""
        about = {"seeds": own, "minutes": sum(run.minutes for run in runs)}
        if key == "unsigned":
            slopes = (f"{run.calibration[0][0]:+.1f} to {run.network.slope:+.1f}" for run in runs)
            note = "slope " + ", ".join(slopes)
        effects.append(_measured(key, gap, **about, note=note, metric=ACCURACY))
        if key == "unsigned":
            values = [_ndcg(store, of)[0] for of in (runs, brief)]
            effects.append(_measured(key, _over_queries(*values), **about, note=note, metric=NDCG))
    return effects


def avenet_evaluated(workspace: Workspace) -> list[Effect]:
    """Measure what needs no training of its own, with the networks of seed 0 of lessons 01 to 03."""
    return [*gain(workspace), softmax_or_sigmoid(workspace), shortcut(workspace)]


def gain(workspace: Workspace) -> list[Effect]:
    """Rank with AVE-Net, and at random, and count with either gain of nDCG; queries are drawn."""
    store, run = workspace.store(("test",)), train_or_load(workspace, _plan(workspace, "avenet-all"))
    linear, exponential = (_ndcg(store, [run], gain=name) for name in ("linear", "exponential"))
    effects = []
    for metric, *values in zip((NDCG, f"{NDCG}, random"), linear, exponential, strict=True):
        note = " and ".join(f"{value.mean():.3f}" for value in values) + " (linear, exponential)"
        effects.append(_measured("gain-linear", _over_queries(*values), [0], note=note, metric=metric))
    return effects


def _ndcg(store: Store, runs: Sequence[Run], gain: str = "exponential") -> tuple[np.ndarray, np.ndarray]:
    """nDCG@30 of every image that looks for audio: of the networks (S, Q), and of a random ranking."""
    vectors = [embed(run, store, "test") for run in runs]
    methods = {"AVE-Net": search.Method(vectors, "", [run.seed for run in runs])}
    relevance = relevance_of([c["name"] for c in store.classes])
    values = search.ndcg_table(methods, relevance, gain=gain).values
    return tuple(values[row][f"nDCG@30 {gain}, {DIRECTION}"] for row in ("AVE-Net", "random"))


def _over_queries(first: np.ndarray, second: np.ndarray) -> Interval:
    """First minus second of values (S, Q), each query a clip of its own."""
    return _mean((first - second)[:, None], np.arange(first.shape[1]))  # (S, Q) -> (S, 1, Q)


def softmax_or_sigmoid(workspace: Workspace) -> Effect:
    """Compute the map of AVOL-Net both ways, for a batch of test pairs."""
    run, store = train_or_load(workspace, _plan(workspace, "avolnet-all")), workspace.store(("test",))
    at = next(run.method.parameters()).device
    batch = pair_list(store, "test", run.profile)[0]
    with torch.inference_mode():
        image, audio = run.inputs.to(at)({key: x.to(at) for key, x in batch.items()})
        logits = run.network.logit_map(run.method.embed_image(image), run.method.embed_audio(audio))
    return _measured("softmax-sigmoid", same_probability(logits), [0], note=f"{logits.numel()} cells")


def same_probability(logits: Tensor) -> Interval:
    r"""Show that the softmax over two logits, one of which is 0, is a sigmoid: 0, over so many numbers.

    .. math:: \frac{e^s}{e^0 + e^s} = \sigma(s)

    ArithmeticError if the two differ by more than rounding in float64.
    """
    s = logits.detach().cpu().double()  # not every device has float64
    softmax = torch.stack([torch.zeros_like(s), s], dim=-1).softmax(-1)[..., 1]
    apart = float((softmax - s.sigmoid()).abs().max())
    if not apart < ROUNDING:
        raise ArithmeticError(f"softmax of (0, s) and sigmoid of s differ by {apart:g}: look for NaN in s")
    return Interval(0.0, 0.0, 0.0, s.numel())


def shortcut(workspace: Workspace) -> Effect:
    """Ask L3-Net that sees black images: naive pairs with an imprint minus clean ones."""
    run, store = train_or_load(workspace, _plan(workspace, "l3net-ears")), workspace.store(("test",))
    naive = correspondence.evaluate(run, store, grid=None, imprint=IMPRINT)
    clean = correspondence.evaluate(run, store)
    note = f"{naive.interval.value:.1%} and {clean.interval.value:.1%}"
    return _measured("naive-pairs", other_pairs(naive, clean), [0], note=note)


def other_pairs(first: correspondence.Score, second: correspondence.Score) -> Interval:
    """Accuracy on one list of pairs minus that on another of the same clips; clips are drawn."""
    right = [score.right for score in (first, second)]
    values = np.full((1, 2, sum(map(len, right))), np.nan)
    values[0, 0, : len(right[0])], values[0, 1, len(right[0]) :] = right
    return _mean(values, np.concatenate([first.items, second.items]), (1.0, -1.0))
