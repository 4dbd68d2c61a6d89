"""Measuring where a network localizes the sound, by the named protocols of the papers.

Published numbers are made by rules that differ in size, interpolation, threshold and ties, and a rule can be
met by a map that depends on neither image nor audio. Here each rule has a name, every result tells all of its
choices, and constants judged by the same rule stand beside it.
Notebook: 03, 07
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from llinet_lite.metrics.intervals import UNBOUNDED, Cell, Interval, drawn_weights
from llinet_lite.metrics.recognition import harmonic_mean

PIXELS = 2**22  # of one block: about 80 maps of 224 x 224
KS = (2, 3, 4, 5, 6)  # LLINet's thresholds, in tenths of the maximum
RADII = np.arange(0.05, 0.75, 0.05)  # of the centre disc, as a share of the shorter side
CUT = ("interpolation", "align_corners", "level", "normalise", "keep")
SHAPE = ("interpolation", "align_corners")


@dataclass(frozen=True)
class Rule:
    """Size, interpolation and threshold: the choices that a localization number depends on."""

    size: tuple[int, int] | None  # (H, W) that maps and masks are brought to; None: the masks' own
    interpolation: str = "bilinear"  # "bicubic", "nearest": of the maps; masks are taken by nearest pixel
    align_corners: bool = False  # whether the outer cells' centers are put on the outer pixels' centers
    level: str | float = "median"  # half the image is predicted; "true size": as the mask; or a number
    of_maximum: bool = False  # whether a number is a share of the map's maximum
    normalise: bool = False  # whether a map is first brought to [0, 1] by its own minimum and maximum
    keep: str = ">="  # or ">". With ties this decides: of two values, ">" at the median may predict nothing

    def __post_init__(self):
        known = {"interpolation": ("bilinear", "bicubic", "nearest"), "keep": (">", ">=")}
        if isinstance(self.level, str):
            known["level"] = ("median", "true size")
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} must be one of {', '.join(values)}, not {getattr(self, name)!r}.")
        if isinstance(self.size, int):
            object.__setattr__(self, "size", (self.size, self.size))

    def predict(self, maps: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Cut maps (n, H, W) at the level; the masks (n, H, W) tell "true size" how much to predict."""
        flat = maps.reshape(len(maps), -1)  # (n, H, W) -> (n, H W)
        if self.normalise:
            low, spread = flat.min(1, keepdims=True), np.ptp(flat, axis=1, keepdims=True)
            flat = np.where(spread > 0, (flat - low) / np.where(spread > 0, spread, 1), flat)
        cut = self._cut(flat, truth)[:, None]
        return (flat > cut if self.keep == ">" else flat >= cut).reshape(maps.shape)

    def _cut(self, flat: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Level of each map, (n,)."""
        if not isinstance(self.level, str):
            cut = np.full(len(flat), self.level, flat.dtype)
            return cut * flat.max(1) if self.of_maximum else cut
        count, ordered = flat.shape[1], np.sort(flat, axis=1)
        if self.level == "median":
            return ordered[:, count // 2]
        areas = np.count_nonzero(truth, axis=(1, 2))
        return np.where(areas > 0, ordered[np.arange(len(flat)), count - np.maximum(areas, 1)], np.inf)


def resize(
    maps: Tensor, size: tuple[int, int], interpolation: str = "bilinear", align_corners: bool = False
) -> Tensor:
    """Interpolate maps (n, h, w) to (n, H, W), in double: rounding would break ties, and ties decide."""
    if maps.shape[1:] == tuple(size):
        return maps
    mode = "nearest-exact" if interpolation == "nearest" else interpolation
    corners = None if interpolation == "nearest" else align_corners
    large = F.interpolate(maps[:, None].double(), size=tuple(size), mode=mode, align_corners=corners)
    return large[:, 0].to(maps.dtype)


def shrunk(masks: np.ndarray, size: tuple[int, int], how: str = "nearest") -> np.ndarray:
    """Masks (N, H, W) bool of a size, by nearest pixel, or "bicubic" (Pillow's from 7 on), cut above 0."""
    if masks.shape[1:] == tuple(size):
        return masks
    if how == "nearest":
        sides = zip(size, masks.shape[1:], strict=True)
        rows, columns = ((2 * np.arange(n) + 1) * of // (2 * n) for n, of in sides)
        return masks[:, rows][:, :, columns]
    white = torch.from_numpy(masks.astype(np.uint8) * 255)[:, None]  # Pillow rounds between its passes
    return F.interpolate(white, size=size, mode="bicubic", antialias=True)[:, 0].numpy() > 0


def overlap(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intersection and union, two (n,) in pixels, of predictions with masks (n, H, W) bool."""
    inside, union = prediction & truth, prediction | truth
    return np.count_nonzero(inside, axis=(1, 2)), np.count_nonzero(union, axis=(1, 2))


def points(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixel (row, column), (n, 2) int64, that each map (n, h, w) points at in an image of `size` (H, W).

    The center of its largest cell, of equal ones the first in reading order: column j of w is at
    x = (j + .5) W / w; with 14 x 14 cells and 224 pixels, x = 16 (j + .5).
    """
    height, width = maps.shape[1:]
    cell = maps.flatten(1).argmax(1)  # (n, h, w) -> (n, h w) -> (n,)
    row, column = cell // width, cell % width
    y = (2 * row + 1) * size[0] // (2 * height)  # floor of the centre, in whole numbers
    x = (2 * column + 1) * size[1] // (2 * width)
    return torch.stack([y, x], dim=1)


def hits(maps: Tensor, masks: np.ndarray) -> np.ndarray:
    """Whether the highest cell of each map (n, h, w) lies on its mask (n, H, W) bool, (n,) bool."""
    row, column = points(maps.cpu(), masks.shape[1:]).T.numpy()
    return masks[np.arange(len(masks)), row, column]


def rank(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel average precision and best IoU of every image, two (n,); 0 where the mask is empty.

    A threshold t predicts P_t pixels, T_t of them in the mask of G. Over all different values, falling,
    AP is the sum of (T_t - T_{t-1}) / G * T_t / P_t, best IoU the maximum of T_t / (G + P_t - T_t).
    """
    # The bits of a float32 read as an integer keep its order, except that negative numbers run backwards; one
    # sort of integers, each with its mask bit (0 inside) below it, is several times faster than an argsort.
    flat = np.ascontiguousarray(maps, np.float32).reshape(len(maps), -1) + np.float32(0)  # no -0
    bits = flat.view(np.int32)
    order = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    keys = (-order << 1) | ~masks.reshape(len(masks), -1)
    keys.sort(axis=1)
    hits, shown = np.cumsum((keys & 1) ^ 1, axis=1), np.arange(1, keys.shape[1] + 1)
    ends = np.ones(keys.shape, bool)  # last pixel of each group of equal values
    ends[:, :-1] = keys[:, 1:] >> 1 != keys[:, :-1] >> 1
    area = hits[:, -1:]
    best = np.where(ends, hits / (area + shown - hits), 0).max(1)
    precisions = [
        (np.diff(h[e], prepend=0) * (h[e] / shown[e])).sum() for h, e in zip(hits, ends, strict=True)
    ]
    return np.array(precisions) / np.maximum(area[:, 0], 1), best


def success_curve(ious, count: int = 21) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds and share of images (N,) with IoU >= t, both (count,); LLINet's code has 51."""
    thresholds = np.linspace(0, 1, count)
    return thresholds, (np.asarray(ious)[:, None] >= thresholds).mean(0)


def trapezoid_share(iou: np.ndarray, points: int) -> np.ndarray:
    """Each image's share of the area under the success curve by trapezoids, its IoU rounded, (N,)."""
    return np.where(np.isnan(iou), np.nan, _area(iou[:, None] >= np.linspace(0, 1, points)))


def step_share(iou: np.ndarray, points: int) -> np.ndarray:
    """Share of thresholds that each IoU (..., N) meets; NaN stays. Its mean is the "AUC" of LLINet's code."""
    return np.where(np.isnan(iou), np.nan, (iou[..., None] >= np.linspace(0, 1, points)).mean(-1))


def _area(met: np.ndarray) -> np.ndarray:
    return (met[:, 1:].sum(1) + met[:, :-1].sum(1)) / (2 * (met.shape[1] - 1))


@dataclass(frozen=True, eq=False)
class Localization:
    """Outcome of one protocol on one set of maps, with all its choices and the names of its numbers."""

    protocol: str
    settings: Mapping[str, object]
    measures: tuple[str, ...]  # the first is the headline
    iou: np.ndarray  # (N,); precision for `mask_ap`; NaN for `objects2018` and where nothing sounds
    success: np.ndarray  # (N,) bool, IoU of at least .5, or the point hit; False where nothing sounds
    positive: np.ndarray  # (N,) bool, whether anything sounds in the image
    clips: np.ndarray  # (N,) the clip of each image; the bootstrap draws clips
    confidence: np.ndarray | None = None  # (N,) how sure the map is that something sounds
    predicted: np.ndarray | None = None  # (N,) share of the image that is predicted to sound

    @property
    def text(self) -> str:
        """The protocol and all its settings in one line."""
        said = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        silent = int((~self.positive).sum())
        return f"{self.protocol}: {said}; {len(self.iou)} images, {silent} of them with nothing sounding"

    @property
    def numbers(self) -> dict[str, float]:
        """Every number of the protocol by its name, as shares (not per cent)."""
        once = np.ones((1, len(self.iou)))
        return {name: float(MEASURES[name](self, once)[0]) for name in self.measures}

    @property
    def value(self) -> float:
        """The headline number."""
        return self.numbers[self.measures[0]]

    def cell(self, measure: str | None = None) -> Cell:
        """One of `measures` (default: the headline), and the same computed anew when clips are drawn."""
        name = self.measures[0] if measure is None else measure
        if name not in self.measures:
            raise ValueError(f"{self.protocol} gives {', '.join(self.measures)}, not {name!r}.")
        weights = drawn_weights(self.clips, len(self.iou))
        drawn = np.concatenate([MEASURES[name](self, some.astype(float)) for some in weights])
        value = MEASURES[name](self, np.ones((1, len(self.iou))))
        return Cell(value, drawn[:, None], len(self.iou), UNBOUNDED)

    def interval(self, measure: str | None = None) -> Interval:
        """Bootstrap interval of a number: clips are drawn with replacement, the number computed anew."""
        return self.cell(measure).interval()


def _mean(values: np.ndarray, of: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of values (N,), NaN left out, over the images `of` for each row of weights (D, N) -> (D,)."""
    valid = of & ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights[:, valid] @ values[valid]) / weights[:, valid].sum(1)


def _by_confidence(r: Localization, w: np.ndarray, number: str) -> np.ndarray:
    """AP of the images, or the best F1 with its precision and recall, (D,).

    `strict` tries every confidence. SLAVC's code tries about ten for F1; for AP about 200, from the second
    highest down, each precision being the best at this or any lower one, and leaves out the step to the
    first recall.
    """
    levels, precision, recall = _precision_recall(r, w)
    if r.protocol != "strict":
        rising = np.sort(r.confidence)
        step = max(1, len(rising) // (200 if number == "AP" else 10))
        at = np.searchsorted(-levels, -(rising[:-1][::-step] if number == "AP" else rising[::step]))
        precision, recall = precision[:, at], recall[:, at]
    elif number == "AP":
        return (np.diff(recall, axis=1, prepend=0) * precision).sum(1)
    if number == "AP":
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        return (best[:, :-1] * np.diff(recall, axis=1)).sum(1)
    f1 = harmonic_mean(precision, recall)
    best = f1.argmax(1)[:, None]
    of = {"max-F1": f1, "precision": precision, "recall": recall}[number]
    return np.take_along_axis(of, best, axis=1)[:, 0]


def _precision_recall(r: Localization, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Confidences (T,), falling, and precision and recall (D, T) of the images at least as sure.

    Such an image is *detected*, and a true positive (TP) if it was also located. The two ways to count recall
    differ in the positives that were detected in the wrong place:

    .. math:: R_\text{strict} = \frac{TP}{\text{all positives}}, \qquad
        R_\text{slavc} = \frac{TP}{TP + \text{positives not detected}}
    """
    order = np.argsort(-r.confidence, kind="stable")
    falling, drawn = r.confidence[order], w[:, order]
    ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)  # last of each group of ties
    located, found = (np.cumsum(drawn * of[order], axis=1)[:, ends] for of in (r.success, r.positive))
    total = found[:, -1:]
    sure = total if r.protocol == "strict" else located + (total - found)
    return falling[ends], _ratio(located, np.cumsum(drawn, axis=1)[:, ends]), _ratio(located, sure)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part / whole, 1 where there is nothing to share, as the released code has it."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 1.0)


# name -> function of a result and of weights of its images (D, N) -> (D,)
MEASURES: dict[str, Callable[[Localization, np.ndarray], np.ndarray]] = {
    **dict.fromkeys(
        ("pointing", "cIoU", "IIoU", "success"),
        lambda r, w: _mean(r.success.astype(float), r.positive, w),
    ),
    **dict.fromkeys(("mIoU", "max-IoU", "mAP"), lambda r, w: _mean(r.iou, r.positive, w)),
    **dict.fromkeys(("AUC", "IAUC"), lambda r, w: _mean(trapezoid_share(r.iou, 21), r.positive, w)),
    "AUC51": lambda r, w: _mean(step_share(r.iou, 51), r.positive, w),
    **{name: partial(_by_confidence, number=name) for name in ("AP", "max-F1", "precision", "recall")},
    "1 - pIA": lambda r, w: 1 - _mean(r.predicted, ~r.positive, w),
    # area under the share of negatives whose predicted share is at most t
    "AUC-N": lambda r, w: _mean(_area(r.predicted[:, None] <= np.linspace(0, 1, 21)), ~r.positive, w),
    "F-LOC": lambda r, w: harmonic_mean(MEASURES["mIoU"](r, w), MEASURES["1 - pIA"](r, w)),
    "F-AUC": lambda r, w: harmonic_mean(MEASURES["AUC"](r, w), MEASURES["AUC-N"](r, w)),
}


@dataclass(frozen=True, eq=False)
class Task:
    """Checked maps (N, h, w) and masks (N, H, W), N K of each for `iiou`, with the rule that cuts them."""

    protocol: str
    rule: Rule
    maps: object
    masks: np.ndarray  # of the rule's size
    positive: np.ndarray  # (N,) images that count as having a sounding object
    clips: np.ndarray
    failed: int = 0  # images without an object that count as not located all the same

    def over(self, function: Callable, resized: bool = True) -> tuple[np.ndarray, ...]:
        """Concatenate what a function of maps (n, H, W), or (n, h, w), and masks (n, H, W) gives by block."""
        size, parts = self.masks.shape[1:], []
        step = max(1, PIXELS // max(np.prod(size), np.prod(self.maps.shape[1:])))
        for start in range(0, len(self.masks), step):
            maps = self.maps[start : start + step]
            # a copy, because torch takes no read-only and no backward array
            maps = maps.detach().cpu() if isinstance(maps, Tensor) else torch.from_numpy(np.array(maps))
            if not maps.is_floating_point():
                raise ValueError(f"maps must be floats, got {maps.dtype}; convert them with .float().")
            finite = maps.isfinite().flatten(1).all(1)
            if not finite.all():
                bad = start + int((~finite).nonzero()[0])
                raise ValueError(f"map {bad} holds NaN or infinity; look at the network that made it.")
            maps = maps.float()
            if resized:
                maps = resize(maps, size, self.rule.interpolation, self.rule.align_corners)
            parts.append(function(maps.numpy(), self.masks[start : start + step]))
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def outcome(self, maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """IoU (0 where nothing is predicted and nothing is there) and share predicted, two (n,)."""
        prediction = self.rule.predict(maps, masks)
        inside, union = overlap(prediction, masks)
        return inside / np.maximum(union, 1), prediction.mean((1, 2))

    def settings(self, *names: str) -> dict[str, object]:
        """The rule's choices in words."""
        size = "{}x{}".format(*self.masks.shape[1:]) + (" (the masks')" if self.rule.size is None else "")
        return {"size": size} | {name: getattr(self.rule, name) for name in names}

    def result(self, measures, settings, iou, success=None, **arrays) -> Localization:
        """Pack an outcome; `iou` becomes NaN and `success` (IoU >= .5) False where nothing sounds."""
        success = (iou >= 0.5 if success is None else success) & self.positive
        iou = np.where(self.positive, iou, np.nan)
        if self.failed:
            settings = {**settings, "empty": f"fail ({self.failed} masks)"}
        return Localization(
            self.protocol, settings, measures, iou, success, self.positive, self.clips, **arrays
        )


def _objects2018(task: Task) -> Localization:
    (found,) = task.over(lambda maps, masks: (hits(torch.from_numpy(maps), masks),), resized=False)
    grid = "{}x{}".format(*task.maps.shape[1:])
    settings = {"point": f"centre of the largest cell of {grid}", **task.settings()}
    return task.result(("pointing",), settings, np.full(len(task.masks), np.nan), found)


def _located(task: Task) -> Localization:
    iou, share = task.over(task.outcome)
    settings = {**task.settings(*CUT), "success": "IoU >= .5"}
    return task.result(("cIoU", "AUC", "mIoU"), settings, iou, predicted=share)


def _llinet2020(task: Task, k="test", mask_resize="nearest") -> Localization:
    if k not in ("test", *KS):
        raise ValueError(f"k must be 'test' or one of {KS}, not {k!r}.")
    (ious,) = task.over(lambda maps, masks: (_of_tenths(maps, masks, task.rule),))
    said = {"cut": "map > k/10 of its maximum", "k": k, **task.settings(*SHAPE)}
    if k == "test":
        shares = [step_share(column, 51).mean() for column in ious.T]
        k = KS[int(np.argmax(shares))]  # the smallest of equals
        said |= {"k": k, "chosen on": "the test set"}
    said |= {"mask_resize": mask_resize, "AUC51": "plain mean of success at 0, .02, ... 1"}
    return task.result(("mIoU", "AUC51", "success"), said, ious[:, KS.index(k)])


def _of_tenths(maps: np.ndarray, masks: np.ndarray, rule: Rule) -> np.ndarray:
    """IoU of every image at every k, (n, 5)."""
    if maps.min() < 0:
        raise ValueError("llinet2020 cuts at a share of the maximum: no negative values; take a ReLU.")
    cuts = (replace(rule, level=k / 10, of_maximum=True).predict(maps, masks) for k in KS)
    pairs = (overlap(prediction, masks) for prediction in cuts)
    return np.stack([inside / (union + 1e-5) for inside, union in pairs], axis=1)


def _detected(task: Task) -> Localization:
    iou, share, confidence = task.over(lambda m, t: (*task.outcome(m, t), _top_quarter(m)))
    strict = task.protocol == "strict"
    settings = task.settings(*CUT) | {"success": "IoU >= .5"}
    settings["confidence"] = "mean of the map's highest quarter"
    settings["recall"] = "TP / all positives" if strict else "TP / (TP + positives not detected)"
    settings["thresholds"] = "every confidence" if strict else "about 200 for AP, about 10 for max-F1"
    names = ("AP", "max-F1", "precision", "recall", "cIoU", "AUC")
    return task.result(names, settings, iou, confidence=confidence, predicted=share)


def _top_quarter(maps: np.ndarray) -> np.ndarray:
    """Mean of the highest quarter of each map's pixels, rounded up, (n,)."""
    flat = maps.reshape(len(maps), -1)
    quarter = -(-flat.shape[1] // 4)
    return np.partition(flat, -quarter, axis=1)[:, -quarter:].mean(1, dtype=float)


def _universal(task: Task) -> Localization:
    silent = ~task.positive
    if not silent.any():
        raise ValueError("universal takes its level from masks in which nothing sounds; there are none.")
    (maxima,) = task.over(lambda maps, _: (maps.max((1, 2)),))
    task = replace(task, rule=replace(task.rule, level=float(np.quantile(maxima[silent], 0.75))))
    iou, share = task.over(task.outcome)
    names = ("F-LOC", "cIoU", "AUC", "mIoU", "1 - pIA", "AUC-N", "F-AUC")
    source = "quantile 0.75 of the maxima of the negatives"
    settings = {**task.settings(*CUT), "level from": source, "success": "IoU >= .5"}
    return task.result(names, settings, iou, predicted=share)


def _ranked(task: Task) -> Localization:
    precision, best = task.over(rank)
    settings = task.settings(*SHAPE)
    if task.protocol == "mask_ap":
        settings |= {"mAP": "mean of the images' pixel average precision"}
        return task.result(("mAP",), settings, precision, best >= 0.5)
    settings |= {"level": "each image's best, chosen with its mask"}
    return task.result(("max-IoU", "success"), settings, best)


def _iiou(task: Task) -> Localization:
    iou, _ = task.over(task.outcome)
    there = task.masks.any((1, 2)).reshape(len(task.positive), -1)  # (N K,) -> (N, K)
    worst = np.where(there, iou.reshape(there.shape), np.inf).min(1)
    settings = {**task.settings(*CUT), "success": "IoU >= .5 for every sounding object"}
    return task.result(("IIoU", "IAUC"), settings, np.where(there.any(1), worst, 0.0))


@dataclass(frozen=True)
class Protocol:
    """How a protocol is run, its rule as published, and what it accepts."""

    run: Callable[..., Localization]  # function of a Task and of `options`
    rule: Rule
    changes: tuple[str, ...] = ("size", *CUT)  # fields of the rule that may be changed
    options: tuple[str, ...] = ()  # what else may be given
    negatives: bool = False  # whether images in which nothing sounds belong to it


_FULL = (224, 224)
_SLAVC = Rule(_FULL, "bicubic", align_corners=True)
PROTOCOLS: dict[str, Protocol] = {
    "objects2018": Protocol(_objects2018, Rule(None), ()),
    "llinet2020": Protocol(_llinet2020, Rule((16, 16), keep=">"), ("size", *SHAPE), ("k", "mask_resize")),
    "lvs2021": Protocol(_located, Rule(_FULL, normalise=True, keep=">")),
    "ezvsl2022": Protocol(_located, Rule(_FULL, align_corners=True, normalise=True)),
    "slavc2022": Protocol(_detected, _SLAVC, negatives=True),
    "strict": Protocol(_detected, _SLAVC, negatives=True),
    "adaptive": Protocol(_located, Rule(None, level="true size")),
    "universal": Protocol(_universal, Rule(None, keep=">"), ("size", *SHAPE, "keep"), negatives=True),
    "mask_ap": Protocol(_ranked, Rule(None), ("size", *SHAPE)),
    "max_iou": Protocol(_ranked, Rule(None), ("size", *SHAPE)),
    "iiou": Protocol(_iiou, Rule(None, normalise=True, keep=">")),
}


def evaluate(maps, masks, protocol: str = "strict", *, clips=None, empty="refuse", **options) -> Localization:
    r"""Judge heat maps by the named protocol.

    ============== =====================================================================================
    `objects2018`  the largest cell's center falls on the object (Arandjelovic and Zisserman 2018)
    `llinet2020`   16 x 16, map > k/10 of its maximum; mIoU and 51-point mean, k chosen on the test set
    `lvs2021`      bilinear to 224, > median; share with cIoU >= .5, 21-point AUC (Chen et al. 2021)
    `ezvsl2022`    the same with align_corners and >= (Mo and Morgado 2022; FNAC, SLAVC's plain test)
    `slavc2022`    with silent and off-screen sounds: AP, max-F1 as released (Mo and Morgado 2022)
    `strict`       as `slavc2022`, but recall = TP / all positives and every threshold is tried
    `adaptive`     as many pixels as the mask has, and ties, are predicted (Senocak et al. 2024, with >)
    `universal`    one threshold for all, above most maxima of negatives (Juanola et al. 2024)
    `mask_ap`      mean over images of the pixels' average precision: no threshold
    `max_iou`      IoU at each image's best threshold, chosen with its mask: an upper bound
    `iiou`         every sounding object of an image must succeed (Senocak et al. 2024)
    ============== =====================================================================================

    A number is comparable only with numbers of the same protocol; `result.text` says every choice.

    Parameters
    ----------
    maps : (N, h, w) floats, higher where the sound is. `iiou`: (N, K, h, w), the map of each of K sounds
    masks : (N, H, W) bool, where the sounding objects are; all False: nothing in the image sounds.
        `iiou`: (N, K, H, W), all False for sounds that an image has not
    protocol : str
    clips : (N,) the clip of each image, for the bootstrap; None: every image is its own
    empty : "refuse", or "fail": images in which nothing sounds count as not located, as in the released code
    **options
        Fields of `Rule` (size, interpolation, align_corners, level, normalise, keep) change the published
        choice; `result.text` shows it. `llinet2020`: k ("test", as released, or 2 ... 6), mask_resize
        ("nearest", Pillow before 7; "bicubic", from 7, any touched cell)

    Examples
    --------
    >>> maps, masks = np.zeros((1, 2, 2)), np.zeros((1, 4, 4), bool)
    >>> maps[0, 0, 1] = 1.0
    >>> masks[0, :2, 2:] = True
    >>> evaluate(maps, masks, "objects2018").numbers
    {'pointing': 1.0}
    """
    job, options = _task(maps, masks, protocol, clips=clips, empty=empty, **options)
    return PROTOCOLS[protocol].run(job, **options)


def _task(maps, masks, protocol: str, *, clips=None, empty="refuse", **options) -> tuple[Task, dict]:
    """Check the arguments of `evaluate`; return the task and the protocol's own options."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"There is no protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}.")
    known = PROTOCOLS[protocol]
    if unknown := [name for name in options if name not in (*known.changes, *known.options)]:
        accepted = ", ".join((*known.changes, *known.options)) or "no option"
        raise ValueError(f"{protocol} does not know {', '.join(unknown)}; it takes {accepted}.")
    own = {name: options.pop(name) for name in known.options if name in options}
    rule, how = replace(known.rule, **options), own.get("mask_resize", "nearest")
    if how not in ("nearest", "bicubic"):
        raise ValueError(f"mask_resize must be 'nearest' or 'bicubic', not {how!r}.")
    maps, masks = maps if hasattr(maps, "ndim") else np.asarray(maps), np.asarray(masks)
    axes, images = (4 if protocol == "iiou" else 3), len(masks)
    if masks.ndim != axes or maps.ndim != axes:
        form = "(N, K, H, W)" if axes == 4 else "(N, H, W)"
        raise ValueError(f"{protocol} needs maps and masks {form}; got {maps.shape}, {masks.shape}.")
    if masks.shape[: axes - 2] != tuple(maps.shape[: axes - 2]) or 0 in (*masks.shape, *maps.shape):
        raise ValueError(f"There must be images, one mask for every map; got {maps.shape}, {masks.shape}.")
    if masks.dtype != bool:
        raise ValueError(f"{protocol} needs masks of yes and no (bool), got {masks.dtype}: masks > 0.")
    # (N, K, h, w) -> (N K, h, w)
    maps, masks = (part.reshape(-1, *part.shape[-2:]) for part in (maps, masks))
    there = masks.reshape(images, -1).any(1)
    positive = _positive(there, protocol, empty)
    clips = np.arange(images) if clips is None else np.asarray(clips)
    if clips.shape != (images,):
        raise ValueError(f"clips must name one clip for each of {images} images, got shape {clips.shape}.")
    masks = shrunk(masks, rule.size or masks.shape[1:], how)
    return Task(protocol, rule, maps, masks, positive, clips, int((positive & ~there).sum())), own


def _positive(there: np.ndarray, protocol: str, empty: str) -> np.ndarray:
    """Which images count as having a sounding object, (N,) bool, of which ones have."""
    if empty not in ("refuse", "fail"):
        raise ValueError(f"empty must be 'refuse' or 'fail', not {empty!r}.")
    if not there.any():
        raise ValueError(f"No mask has a single pixel: {protocol} has nothing to find.")
    if PROTOCOLS[protocol].negatives:
        if empty == "fail":
            raise ValueError(f"In {protocol} an empty mask means that nothing sounds; leave empty alone.")
        return there
    if not there.all() and empty == "refuse":
        empty = (~there).sum()
        raise ValueError(f"{protocol}: {empty} masks are empty; empty='fail' counts them as failures.")
    return np.ones(len(there), bool)


def baselines(
    masks, protocol: str = "strict", *, validation=None, train=None, **options
) -> dict[str, Localization]:
    """Judge maps that no network made, by the same protocol on the same masks.

    "oracle ceiling": the best possible order of the pixels, what the rule itself leaves to reach;
    "ground-truth mask as map", which differs where ties decide; "centre disc", the same in every image; "mean
    mask", where objects usually are; "whole image"; for `objects2018` "image centre" not disc and whole.

    Parameters
    ----------
    masks, protocol, **options : as for `evaluate`
    validation : (M, H, W) bool, on which `llinet2020` chooses the disc's radius; None: on the test masks. The
        other protocols predict a given share of the image, whatever the radius
    train : (M, H, W) bool, masks to average; None: for each image, the mean of the other images' masks
    """
    task, own = _without_maps(masks, protocol, **options)
    truth, size, radius = task.masks, task.masks.shape[1:], 0.5
    if protocol == "llinet2020":
        other = task if validation is None else _without_maps(validation, protocol, **options)[0]
        radius = max(RADII, key=lambda radius: _constant(other, own, centre_disc(size, radius)).value)
    constants = {"oracle ceiling": oracle_maps(truth), "ground-truth mask as map": truth.astype(np.float32)}
    if protocol == "objects2018":
        constants["image centre"] = np.zeros(size, np.float32)
        constants["image centre"][size[0] // 2, size[1] // 2] = 1
    else:
        constants["centre disc"] = centre_disc(size, radius)
    constants["mean mask"] = _mean_mask(truth, train)
    rows = {name: _constant(task, own, maps) for name, maps in constants.items()}
    if protocol != "objects2018":
        everything = replace(task, rule=replace(task.rule, level=0.5, normalise=False, keep=">="))
        rows["whole image"] = _constant(everything, own, np.ones(size, np.float32))
    return rows


def _without_maps(masks, protocol: str, **options) -> tuple[Task, dict]:
    masks = np.asarray(masks)
    return _task(np.broadcast_to(np.float32(0), masks.shape), masks, protocol, **options)


def _constant(task: Task, options: dict, maps: np.ndarray) -> Localization:
    """Run a protocol on maps that no network made, or on one map (H, W) for all images."""
    task = replace(task, maps=np.broadcast_to(maps, task.masks.shape))
    return PROTOCOLS[task.protocol].run(task, **options)


def _mean_mask(truth: np.ndarray, train) -> np.ndarray:
    """Mean of `train`, (H, W), or for each image the mean of the other images' masks, (N, H, W)."""
    if train is not None:
        mean = torch.from_numpy(np.asarray(train).mean(0, dtype=np.float32))[None]
        return resize(mean, truth.shape[1:])[0].numpy()
    total, there = truth.sum(0, dtype=float), truth.any((1, 2), keepdims=True)
    if there.sum() < 2:
        raise ValueError("The mean of the other masks needs two masks with an object; give train=masks.")
    return ((total - truth) / (there.sum() - there)).astype(np.float32)


def oracle_maps(masks: np.ndarray) -> np.ndarray:
    """Maps (n, H, W) without ties: from .875 inside, below .125 outside, falling from the center outward."""
    order = np.argsort(-_distance(masks.shape[1:]), axis=None, kind="stable")
    ramp = np.empty(order.size, np.float32)  # all different values in [0, 1)
    ramp[order] = np.arange(order.size) / order.size
    return np.float32(0.875) * masks + np.float32(0.125) * ramp.reshape(masks.shape[1:])


def centre_disc(size: tuple[int, int], radius: float) -> np.ndarray:
    """Map (H, W) of a disc in the middle, as `oracle_maps`; the radius is a share of the shorter side."""
    return oracle_maps((_distance(size) <= radius * min(size))[None])[0]


def _distance(size: tuple[int, int]) -> np.ndarray:
    """Distance of every pixel's center from the image's center, in pixels, (H, W)."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in size)
    return np.hypot(y[:, None], x[None])


def size_groups(masks: np.ndarray) -> np.ndarray:
    """Name each image's sounding object by its share of the image: "small", "medium", "large" or "none"."""
    share = masks.mean((1, 2))
    names = np.array(["small", "medium", "large"])[np.digitize(share, (0.1, 0.4))]
    return np.where(share == 0, "none", names)
