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

from llinet_lite.data.store import Store
from llinet_lite.experiments import correspondence
from llinet_lite.experiments.embedding import Embedded, Items, embed, items_of
from llinet_lite.experiments.maps import PROTOCOL, LocalizationMaps, LocalizationTable, shown_in_all
from llinet_lite.experiments.runs import IMPRINT, Run, held_out, pair_list, plans, train_or_load
from llinet_lite.experiments.standins import seen_labels
from llinet_lite.experiments.zero_shot import CHOICES
from llinet_lite.metrics.intervals import Cell, Interval
from llinet_lite.metrics.localization import evaluate
from llinet_lite.metrics.relevance import relevance_of
from llinet_lite.metrics.retrieval import ndcg, score_embeddings
from llinet_lite.results import Result, Table
from llinet_lite.workspace import Workspace

if TYPE_CHECKING:
    from llinet_lite.models.trunks import Trunk

ACCURACY, NDCG = "AVC accuracy", "nDCG@30, im-aud"
METRICS = {"unseen": "mAP, unseen", "test": "mAP, seen"}  # by split
LAST = 32  # the released loader's batch
CHOSEN = 2000  # random choices of one query per class
KNOWN = tomllib.loads((Path(__file__).parents[1] / "differences.toml").read_text(encoding="utf-8"))
# Plans that are trained beside "brief", and beside "avenet-brief".
LLINET = (
    "gate-batch", "gate-none", "bn-train", "scale-1", "zero", "all", "distinct", "decay-image", "decay-tenth"
)  # fmt: skip
AVENET = ("unsigned", "softmax-twice", "stride-1")


@dataclass(frozen=True)
class Effect:
    """One difference in one metric and, once it was run, what it is worth; a share."""

    key: str  # of differences.toml
    metric: str
    # The compared way minus ours: positive where it gives the higher number. Bounds of NaN: one seed, whose
    # spread is not known. None: not measured.
    effect: Interval | None = None
    seeds: tuple[int, ...] = ()
    minutes: float = 0.0  # of training the networks behind it
    note: str = ""

    @property
    def about(self) -> dict:
        """What differences.toml says: group, question, paper, code, ours, argument, compared, sentence."""
        return KNOWN[self.key]

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


def listed(keys: Iterable[str], known: Iterable[Result] = ()) -> list[Effect]:
    """Return the differences of these keys, in every metric, with numbers where `known` results have them."""
    by_name, found = {result.name: result for result in known}, []
    for e in [Effect(key, metric) for key in keys for metric in KNOWN[key]["metrics"]]:
        if one := by_name.get(e.name):
            spread = (np.nan, np.nan) if one.low is None else (one.low, one.high)
            e = replace(e, effect=Interval(one.value, *spread, one.n), seeds=one.seeds, minutes=one.minutes)
        found.append(e)
    return found


def _measured(key: str, effect: Interval, seeds, minutes=0.0, note="", metric="") -> Effect:
    return Effect(key, metric or KNOWN[key]["metrics"][0], effect, tuple(seeds), float(minutes), note)


def _mean(values, clips, weights: Sequence[float] | None = None, lowest: float = -np.inf) -> Interval:
    """Interval of a weighted sum of means over parts (S, P, Q), as `Cell.mean` has it; not below `lowest`."""
    return Cell.mean(values, clips, weights=weights, limits=(lowest, np.inf)).interval().rounded()


# ---- LLINet: training


def trained(workspace: Workspace, trunk: Trunk, seeds: Sequence[int]) -> list[Effect]:
    """Train or load every variant of LLINET, and compare it with "brief" of the same seeds.

    One effect per split of METRICS that the store has: mAP of both directions, paired over queries and seeds.
    """
    store, known = workspace.store(("train", "val", "unseen")), plans(workspace.profile)

    def searched(name: str) -> tuple[dict[str, np.ndarray], float]:
        return _search((train_or_load(workspace, known[name], seed, trunk=trunk) for seed in seeds), store)

    brief, _ = searched("brief")
    return [e for key in LLINET for e in _compared(key, *searched(key), brief, store, seeds)]


def attention(matching: Sequence[Run], ours: Sequence[Run], store: Store) -> list[Effect]:
    """Compare LLINets without the attention loss ("matching") with ours ("llinet") of the same seeds."""
    first, second = (_search(runs, store) for runs in (matching, ours))
    return _compared("attention", *first, second[0], store, [run.seed for run in ours])


def _search(runs: Iterable[Run], store: Store) -> tuple[dict[str, np.ndarray], float]:
    """Average precisions (S, 2, Q) of all runs by split, and the minutes of their training."""
    values, minutes = {split: [] for split in METRICS if split in store.splits}, 0.0
    for run in runs:  # one at a time: networks need not be kept
        minutes += run.minutes
        # on `test` every seed searches the classes that it trained on
        out = () if run.plan.classes else held_out(store, run.seed)
        own = np.setdiff1d(seen_labels(store), out)
        for split, of in values.items():
            items = items_of(store, split, own if split == "test" else None)
            of.append(_precisions(embed(run, store, split, items), items_of(store, split)))
    return {split: np.stack(of) for split, of in values.items()}, minutes


def _compared(key: str, first, minutes: float, second, store: Store, seeds) -> list[Effect]:
    gaps = {split: _mean(first[split] - second[split], _clips(store, split)) for split in first}
    return [_measured(key, gap, seeds, minutes, metric=METRICS[split]) for split, gap in gaps.items()]


def _precisions(found: Embedded, among: Items) -> np.ndarray:
    """Average precision (2, N + M) of the images of all items, in row 0, and of the audio; NaN: not asked."""
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

    One query per class: the interval covers 95 % of random choices of the queries. Names of the columns
    exchanged, and the last batch dropped: clips and seeds are drawn. Epoch chosen on the test set: Student's
    interval over seeds, on the images and audio that were watched in training.
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
    labels = found.items.image_label, found.items.audio_label
    image, audio = (np.arange(len(k)) < len(k) // min(LAST, len(k)) * min(LAST, len(k)) for k in labels)
    both = np.intersect1d(labels[0][image], labels[1][audio])  # else there is no answer
    image, audio = image & np.isin(labels[0], both), audio & np.isin(labels[1], both)
    scores = found.scores[image][:, audio]
    return Embedded(found.items.kept(image, audio), found.image[image], found.audio[audio], scores)


def localization(table: LocalizationTable, located: Mapping[str, Sequence[LocalizationMaps]]) -> list[Effect]:
    """Judge LLINet's maps with the released threshold, with the released masks, and with both.

    The honest column of `table`, made from `located`, is ours.
    """
    shown, honest, seeds = shown_in_all(located), table.values["LLINet"]["mIoU"], table.seeds["LLINet"]
    parts, k = [one.pick(shown) for one in located["LLINet"]], table.k["LLINet"]
    judged = [(one.maps("own"), one.masks) for one in parts]
    tests = [evaluate(*of, PROTOCOL, k="test") for of in judged]
    masks = [
        evaluate(*of, PROTOCOL, k=best, mask_resize="bicubic") for of, best in zip(judged, k, strict=True)
    ]
    on_test = ", ".join(str(one.settings["k"]) for one in tests)
    note = f"k = {on_test} instead of {', '.join(map(str, k))}"

    def worth(ious, **limit) -> Interval:  # (S, N) -> (S, 1, N)
        return _mean((np.asarray(ious) - honest)[:, None], table.clips, **limit)

    return [  # the best k of these images is not worse on them than another
        _measured("k-on-test", worth([one.iou for one in tests], lowest=0.0), seeds, note=note),
        _measured("mask-resize", worth([one.iou for one in masks]), seeds),
        _measured("localization-released", worth(table.values["LLINet"]["mIoU as released"]), seeds),
    ]


def recognition(table: Table, seeds: Sequence[int]) -> list[Effect]:
    """Take what the released prototypes and distance are worth from `zero_shot.choices_table`."""
    keys = ("euclidean", "prototypes-test", "recognition-released")
    asked = zip(keys, list(CHOICES)[1:], strict=True)
    return [_measured(key, table.interval(f"LLINet: {choice}", "worth"), seeds) for key, choice in asked]


# ---- AVE-Net, AVOL-Net, L3-Net


def _plan(workspace: Workspace, name: str):
    return plans(workspace.profile, None if workspace.is_world else workspace.store())[name]


def avenet_trained(workspace: Workspace, seeds: Sequence[int]) -> list[Effect]:
    """Train or load every variant of AVENET, and compare it with "avenet-brief" of the same seeds.

    Accuracy on the test pairs, paired over pairs and seeds; of "unsigned" also retrieval, and in its note the
    slope of the calibration layer before and after training (below zero: near = match).
    """
    store, seeds, effects = workspace.store(("test",)), list(seeds), []
    brief = [train_or_load(workspace, _plan(workspace, "avenet-brief"), seed) for seed in seeds]
    scores = [correspondence.evaluate(run, store) for run in brief]
    for key in AVENET:
        own = seeds[:1] if key == "stride-1" else seeds  # it costs four times as much as the others
        runs = [train_or_load(workspace, _plan(workspace, f"avenet-{key}"), seed) for seed in own]
        found, note = [correspondence.evaluate(run, store) for run in runs], ""
        gaps = {ACCURACY: correspondence.difference(found, scores[: len(own)])}
        if key == "unsigned":
            note = ", ".join(f"{run.calibration[0][0]:+.1f} to {run.network.slope:+.1f}" for run in runs)
            note, gaps[NDCG] = f"slope {note}", _over_queries(*(_ndcg(store, of)[0] for of in (runs, brief)))
        cost = sum(run.minutes for run in runs)
        effects += [_measured(key, gap, own, cost, note, metric) for metric, gap in gaps.items()]
    return effects


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
    """nDCG@30 of every image that looks for audio: of the networks (S, Q), and of a random ranking (1, Q)."""
    found = [embed(run, store, "test") for run in runs]
    relevance, items = relevance_of([c["name"] for c in store.classes]), found[0].items
    grades = relevance.between(items.image_label, items.audio_label)
    values = [ndcg(score_embeddings(one.image, one.audio), grades, 30, gain) for one in found]
    random = ndcg(torch.zeros_like(grades), grades, 30, gain, ties="average")
    return torch.stack(values).numpy(), random[None].numpy()


def _over_queries(first: np.ndarray, second: np.ndarray) -> Interval:
    """First minus second of values (S, Q), each query a clip of its own."""
    return _mean((first - second)[:, None], np.arange(first.shape[1]))  # (S, Q) -> (S, 1, Q)


def softmax_or_sigmoid(workspace: Workspace) -> Effect:
    """Compute the map of AVOL-Net, a sigmoid, as a softmax over two logits of which one is 0: the same."""
    run, store = train_or_load(workspace, _plan(workspace, "avolnet-all")), workspace.store(("test",))
    at = next(run.method.parameters()).device
    batch = pair_list(store, "test", run.profile)[0]
    with torch.inference_mode():
        image, audio = run.inputs.to(at)({key: x.to(at) for key, x in batch.items()})
        logits = run.network.logit_map(run.method.embed_image(image), run.method.embed_audio(audio))
    s = logits.cpu().double()  # not every device has float64
    softmax = torch.stack([torch.zeros_like(s), s], -1).softmax(-1)[..., 1]
    torch.testing.assert_close(softmax, s.sigmoid(), rtol=0, atol=1e-12)
    return _measured("softmax-sigmoid", Interval(0.0, 0.0, 0.0, s.numel()), [0], note=f"{s.numel()} cells")


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
