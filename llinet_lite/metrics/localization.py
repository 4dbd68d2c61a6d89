"""Measuring where a network localizes the sound, by the named protocols of the papers.

Published numbers are made by rules that differ in size, interpolation, threshold and ties, and a rule can be
met by a map that depends on neither image nor audio. Here each rule has a name, every result tells all of its
choices, and constants judged by the same rule stand beside it.

Notebook: 03, 07
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from llinet_lite.metrics.intervals import UNBOUNDED, Cell, Interval, drawn_weights

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
        level = "a number" if not isinstance(self.level, str) else self.level
        for name, given, known in (
            ("interpolation", self.interpolation, ("bilinear", "bicubic", "nearest")),
            ("keep", self.keep, (">", ">=")),
            ("level", level, ("median", "true size", "a number")),
        ):
            if given not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {given!r}.")
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
        count = flat.shape[1]
        if self.level == "median":
            return _smallest(flat, count // 2 + 1)
        if self.level == "true size":
            areas = np.count_nonzero(truth, axis=(1, 2))
            pairs = zip(flat, areas, strict=True)
            return np.array([_smallest(m[None], count - g + 1)[0] if g else np.inf for m, g in pairs])
        cut = np.full(len(flat), self.level, flat.dtype)
        return cut * flat.max(1) if self.of_maximum else cut


def _smallest(flat: np.ndarray, k: int) -> np.ndarray:
    """The k-th smallest value of each row, counted from 1, (n,)."""
    return np.partition(flat, int(k) - 1, axis=1)[:, int(k) - 1]  # twice as fast as torch's kthvalue


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


def _resized(maps: Tensor, size: tuple[int, int], rule: Rule) -> np.ndarray:
    return resize(maps, size, rule.interpolation, rule.align_corners).numpy()


def touched(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Shrink masks as Pillow from version 7 does by default: every cell that a mask touches is in it."""
    white = torch.from_numpy(masks).float()[:, None]
    small = F.interpolate(white, size=size, mode="bicubic", antialias=True)[:, 0]
    return (small * 255).round().numpy() > 0


def overlap(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Intersection and union, two (n,) in pixels, of predictions with masks or maps of agreement (n, H, W).

    .. math:: I = \sum_p P_p g_p, \qquad U = \sum_p g_p + \sum_p P_p [g_p = 0]

    so that I / U is cIoU (Senocak et al. 2018, *Learning to Localize Sound Source in Visual Scenes*).
    """
    if truth.dtype == bool:
        inside = np.count_nonzero(prediction & truth, axis=(1, 2)).astype(float)
        area = np.count_nonzero(truth, axis=(1, 2))
    else:
        inside = (prediction * truth).sum((1, 2), dtype=float)
        area = truth.sum((1, 2), dtype=float)
    return inside, area + np.count_nonzero(prediction & (truth == 0), axis=(1, 2))


def points(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixel (row, column), (n, 2) int64, that each map (n, h, w) points at in an image of `size` (H, W).

    The center of its largest cell, of equal ones the first in reading order: column j of w is at
    x = (j + .5) W / w; with 14 x 14 cells and 224 pixels, x = 16 (j + .5).

    Notebook: 03
    """
    height, width = maps.shape[1:]
    cell = maps.flatten(1).argmax(1)  # (n, h, w) -> (n, h w) -> (n,)
    row, column = cell // width, cell % width
    y = (2 * row + 1) * size[0] // (2 * height)  # floor of the centre, in whole numbers
    x = (2 * column + 1) * size[1] // (2 * width)
    return torch.stack([y, x], dim=1)


def on_mask(pixels: Tensor, masks: Tensor) -> Tensor:
    """Whether pixels (n, 2) lie on their masks (n, H, W) bool, (n,) bool."""
    return masks[torch.arange(len(masks)), pixels[:, 0], pixels[:, 1]]


def rank(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Pixel average precision and best IoU of every image, two (n,); 0 where the mask is empty.

    At a threshold, P_t of the image is predicted, T_t of that inside the mask of G pixels; over all different
    values, falling: AP is the sum of (T_t - T_{t-1}) / G * T_t / P_t, best IoU that of T_t / (G + P_t - T_t).
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


def _blocks(maps, masks, size: tuple[int, int] | None) -> Iterator[tuple[slice, Tensor, np.ndarray]]:
    """Go through maps (N, h, w) float32 and masks (N, *size), by nearest pixel, block by block."""
    size = masks.shape[1:] if size is None else size
    step = max(1, PIXELS // max(size[0] * size[1], maps.shape[1] * maps.shape[2]))
    for start in range(0, len(masks), step):
        part = slice(start, min(start + step, len(masks)))
        block = maps[part]
        # a copy, because torch takes no read-only and no backward array
        block = block.detach().cpu() if isinstance(block, Tensor) else torch.from_numpy(np.array(block))
        if not block.is_floating_point():
            raise ValueError(f"maps must be floats, got {block.dtype}; convert them with .float().")
        finite = block.isfinite().flatten(1).all(1)
        if not finite.all():
            bad = start + int((~finite).nonzero()[0])
            raise ValueError(f"map {bad} holds NaN or infinity; look at the network that made it.")
        truth = masks[part]
        if truth.shape[1:] != size:
            truth = resize(torch.as_tensor(truth).float(), size, "nearest").numpy().astype(truth.dtype)
        yield part, block.float(), truth


def success_curve(ious, thresholds=21) -> tuple[np.ndarray, np.ndarray]:
    """Share of images (N,) with IoU >= t: thresholds (T,), shares (T,).

    `thresholds` are values, or how many from 0 to 1: 21 (every .05) in most papers, 51 in LLINet's code.

    Notebook: 03, 07
    """
    thresholds = np.linspace(0, 1, thresholds) if np.ndim(thresholds) == 0 else np.asarray(thresholds, float)
    return thresholds, (np.asarray(ious)[:, None] >= thresholds).mean(0)


def trapezoid_share(iou: np.ndarray, points: int) -> np.ndarray:
    """Each image's share of the area under the success curve by trapezoids, (N,); NaN stays.

    The area is the mean IoU, every IoU rounded to the middle of its step: beside it it tells nothing.
    """
    return np.where(np.isnan(iou), np.nan, _area(iou[:, None] >= np.linspace(0, 1, points)))


def step_share(iou: np.ndarray, points: int) -> np.ndarray:
    """Share of thresholds that each IoU (..., N) meets; NaN stays. Its mean is the "AUC" of LLINet's code."""
    return np.where(np.isnan(iou), np.nan, (iou[..., None] >= np.linspace(0, 1, points)).mean(-1))


def _area(met: np.ndarray) -> np.ndarray:
    return (met[:, 1:].sum(1) + met[:, :-1].sum(1)) / (2 * (met.shape[1] - 1))


class PrecisionRecall:
    r"""Precision and recall (D, T) when an image counts as "something sounds here" above a confidence.

    An image is *detected* if its confidence reaches the threshold, a true positive (TP) if it was also
    located. The two ways to count recall differ in the positives that were detected in the wrong place:

    .. math:: R_\text{strict} = \frac{TP}{\text{all positives}}, \qquad
        R_\text{slavc} = \frac{TP}{TP + \text{positives not detected}}

    `weights` (D, N) say how often each image counts; `thresholds` (T,) are the confidences, falling.
    """

    def __init__(self, confidence, located, positive, weights, strict: bool):
        order = np.argsort(-confidence, kind="stable")
        falling = confidence[order]
        ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)  # last of each group of ties
        drawn = weights[:, order]
        hits, detected, found = (
            np.cumsum(drawn * flags[order], axis=1)[:, ends]
            for flags in (located, np.ones_like(located), positive)
        )
        total = found[:, -1:]
        self.thresholds = falling[ends]
        self.precision = _ratio(hits, detected)
        self.recall = _ratio(hits, total if strict else hits + (total - found))

    def average_precision(self) -> np.ndarray:
        """Sum over falling thresholds of (R_t - R_{t-1}) P_t with R = 0 at first, (D,)."""
        return (np.diff(self.recall, axis=1, prepend=0) * self.precision).sum(1)

    def best(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Best F1 over all thresholds, and precision and recall there, each (D,)."""
        return self._best(np.arange(len(self.thresholds)))

    def released_average_precision(self, confidence: np.ndarray) -> np.ndarray:
        """Average precision as SLAVC's code computes it, (D,).

        About 200 thresholds, from the second highest confidence down; each precision is the best at this or
        any lower threshold; the step to the first threshold's recall is left out.
        """
        tried = np.sort(confidence)[:-1][:: -max(1, len(confidence) // 200)]
        at = np.searchsorted(-self.thresholds, -tried)
        precision = np.maximum.accumulate(self.precision[:, at][:, ::-1], axis=1)[:, ::-1]
        return (precision[:, :-1] * np.diff(self.recall[:, at], axis=1)).sum(1)

    def released_best(self, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`best` over the about ten thresholds that SLAVC's code tries."""
        tried = np.sort(confidence)[:: max(1, len(confidence) // 10)]
        return self._best(np.searchsorted(-self.thresholds, -tried))

    def _best(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        precision, recall = self.precision[:, at], self.recall[:, at]
        f1 = _f1(precision, recall)
        k = f1.argmax(1)[:, None]
        return tuple(np.take_along_axis(a, k, axis=1)[:, 0] for a in (f1, precision, recall))


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part / whole, 1 where there is nothing to share, as the released code has it."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 1.0)


def _f1(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    both = precision + recall
    return np.where(both == 0, 0.0, 2 * precision * recall / np.where(both == 0, 1, both))


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

    def cell(self, measure: str | None = None, draws: int = 2000) -> Cell:
        """One of `measures` (default: the headline), and the same computed anew when clips are drawn.

        The difference to the cell of shuffled audio is the audio-use gap: what the map owes to the sound.
        """
        name = self.measures[0] if measure is None else measure
        if name not in self.measures:
            raise ValueError(f"{self.protocol} gives {', '.join(self.measures)}, not {name!r}.")
        weights = drawn_weights(self.clips, len(self.iou), draws)
        drawn = np.concatenate([MEASURES[name](self, some.astype(float)) for some in weights])
        value = MEASURES[name](self, np.ones((1, len(self.iou))))
        return Cell(value, drawn[:, None], len(self.iou), UNBOUNDED)

    def interval(self, measure: str | None = None) -> Interval:
        """Bootstrap interval of a number: clips are drawn with replacement, the number computed anew."""
        return self.cell(measure).interval()

    def subset(self, which) -> Localization:
        """The same outcome for some images only; `which` (N,) bool or indices."""
        arrays = ("iou", "success", "positive", "clips", "confidence", "predicted")
        kept = {a: getattr(self, a)[which] for a in arrays if getattr(self, a) is not None}
        return replace(self, **kept)


def _mean(values: np.ndarray, of: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of values (N,), NaN left out, over the images `of` for each row of weights (D, N) -> (D,)."""
    valid = of & ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights[:, valid] @ values[valid]) / weights[:, valid].sum(1)


def _success(r: Localization, w: np.ndarray) -> np.ndarray:
    return _mean(r.success.astype(float), r.positive, w)


def _mean_iou(r: Localization, w: np.ndarray) -> np.ndarray:
    return _mean(r.iou, r.positive, w)


def _auc(r: Localization, w: np.ndarray) -> np.ndarray:
    return _mean(trapezoid_share(r.iou, 21), r.positive, w)


def _left_dark(r: Localization, w: np.ndarray) -> np.ndarray:
    return 1 - _mean(r.predicted, ~r.positive, w)


def _negative_auc(r: Localization, w: np.ndarray) -> np.ndarray:
    """Area under the share of negatives whose predicted share is at most t, 21 thresholds."""
    return _mean(_area(r.predicted[:, None] <= np.linspace(0, 1, 21)), ~r.positive, w)


def _ranked_by_confidence(r: Localization, w: np.ndarray, number: str):
    """AP of the images, or best F1 with its precision and recall, strictly or as released."""
    curve = PrecisionRecall(r.confidence, r.success, r.positive, w, strict=r.protocol == "strict")
    if r.protocol == "strict":
        return curve.average_precision() if number == "AP" else curve.best()
    return (curve.released_average_precision if number == "AP" else curve.released_best)(r.confidence)


MEASURES: dict[str, Callable[[Localization, np.ndarray], np.ndarray]] = {
    **dict.fromkeys(("pointing", "cIoU", "IIoU", "success"), _success),
    **dict.fromkeys(("mIoU", "max-IoU", "mAP"), _mean_iou),
    **dict.fromkeys(("AUC", "IAUC"), _auc),
    "AUC51": lambda r, w: _mean(step_share(r.iou, 51), r.positive, w),
    "AP": lambda r, w: _ranked_by_confidence(r, w, "AP"),
    "max-F1": lambda r, w: _ranked_by_confidence(r, w, "F1")[0],
    "precision": lambda r, w: _ranked_by_confidence(r, w, "F1")[1],
    "recall": lambda r, w: _ranked_by_confidence(r, w, "F1")[2],
    "1 - pIA": _left_dark,
    "AUC-N": _negative_auc,
    "F-LOC": lambda r, w: _f1(_success(r, w), _left_dark(r, w)),
    "F-AUC": lambda r, w: _f1(_auc(r, w), _negative_auc(r, w)),
}


@dataclass(frozen=True, eq=False)
class Task:
    """Checked maps (N, h, w) and masks (N, H, W), N K of each for `iiou`, with the rule that cuts them."""

    protocol: str
    rule: Rule
    maps: object
    masks: np.ndarray
    positive: np.ndarray  # (N,) images that count as having a sounding object
    clips: np.ndarray
    failed: int = 0  # images without an object that count as not located all the same

    def blocks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Go through maps and masks at the rule's size: slice, maps and masks (n, H, W)."""
        for part, maps, masks in _blocks(self.maps, self.masks, self.rule.size):
            yield part, _resized(maps, masks.shape[1:], self.rule), masks

    def outcome(self, maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """IoU (0 where nothing is predicted and nothing is there) and share predicted, two (n,)."""
        prediction = self.rule.predict(maps, masks)
        inside, union = overlap(prediction, masks)
        return inside / np.where(union > 0, union, 1), prediction.mean((1, 2))

    def over(self, function: Callable) -> tuple[np.ndarray, ...]:
        """Concatenate what a function of maps and masks gives block by block."""
        parts = [function(maps, masks) for _, maps, masks in self.blocks()]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def settings(self, *names: str) -> dict[str, object]:
        """The rule's choices in words."""
        size = self.masks.shape[1:] if self.rule.size is None else self.rule.size
        said = {"size": f"{size[0]}x{size[1]}" + (" (the masks')" if self.rule.size is None else "")}
        return said | {name: getattr(self.rule, name) for name in names}

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
    hits = [
        on_mask(points(maps, masks.shape[1:]), torch.from_numpy(masks)).numpy()
        for _, maps, masks in _blocks(task.maps, task.masks, None)
    ]
    grid = "{}x{}".format(*task.maps.shape[1:])
    settings = {"point": f"centre of the largest cell of {grid}", **task.settings()}
    return task.result(("pointing",), settings, np.full(len(task.masks), np.nan), np.concatenate(hits))


def _located(task: Task) -> Localization:
    iou, share = task.over(task.outcome)
    settings = {**task.settings(*CUT), "success": "IoU >= .5"}
    return task.result(("cIoU", "AUC", "mIoU"), settings, iou, predicted=share)


def _llinet2020(task: Task, k="test", validation=None, mask_resize="nearest") -> Localization:
    if k not in ("test", "validation", *KS):
        raise ValueError(f"k must be 'test', 'validation' or one of {KS}, not {k!r}.")
    if (k == "validation") != (validation is not None):
        raise ValueError("k='validation' goes with validation=(maps, masks), and only with it.")
    if mask_resize not in ("nearest", "bicubic"):
        raise ValueError(f"mask_resize must be 'nearest' or 'bicubic', not {mask_resize!r}.")
    said = {"test": " (chosen on the test set)", "validation": " (chosen on validation)"}.get(k, "")
    if k == "validation":
        k = _best_k(_of_tenths(*validation, task.rule, mask_resize))
    ious = _of_tenths(task.maps, task.masks, task.rule, mask_resize)
    k = _best_k(ious) if k == "test" else k
    settings = {"k": f"{k}{said}", "cut": "map > k/10 of its maximum", **task.settings(*SHAPE)}
    settings |= {"mask_resize": mask_resize, "AUC51": "plain mean of success at 0, .02, ... 1"}
    return task.result(("mIoU", "AUC51", "success"), settings, ious[:, KS.index(k)])


def _best_k(ious: np.ndarray) -> int:
    """The k whose 51-point success mean is highest; the smallest of equals."""
    return KS[int(np.argmax([float(step_share(column, 51).mean()) for column in ious.T]))]


def _of_tenths(maps, masks, rule: Rule, mask_resize: str) -> np.ndarray:
    """IoU of every image at every k, (N, 5)."""
    masks = touched(np.asarray(masks), rule.size) if mask_resize == "bicubic" else np.asarray(masks)
    ious = np.zeros((len(masks), len(KS)))
    for part, block, truth in _blocks(maps, masks, rule.size):
        if block.min() < 0:
            raise ValueError("llinet2020 cuts at a share of the maximum: no negative values; take a ReLU.")
        block = _resized(block, truth.shape[1:], rule)
        for column, k in enumerate(KS):
            prediction = replace(rule, level=k / 10, of_maximum=True).predict(block, truth)
            inside, union = overlap(prediction, truth)
            ious[part, column] = inside / (union + 1e-5)
    return ious


def _detected(task: Task, confidence=None) -> Localization:
    said = "mean of the map's highest quarter" if confidence is None else "given"
    iou, share, brightness = task.over(lambda m, t: (*task.outcome(m, t), _top_quarter(m)))
    confidence = brightness if confidence is None else np.asarray(confidence, float)
    if confidence.shape != task.positive.shape or not np.isfinite(confidence).all():
        raise ValueError(f"confidence must be {task.positive.shape} finite numbers; got {confidence.shape}.")
    strict = task.protocol == "strict"
    settings = {**task.settings(*CUT), "success": "IoU >= .5", "confidence": said}
    settings["recall"] = "TP / all positives" if strict else "TP / (TP + positives not detected)"
    settings["thresholds"] = "every confidence" if strict else "about 200 for AP, about 10 for max-F1"
    names = ("AP", "max-F1", "precision", "recall", "cIoU", "AUC")
    return task.result(names, settings, iou, confidence=confidence, predicted=share)


def _top_quarter(maps: np.ndarray) -> np.ndarray:
    """Mean of the highest quarter of each map's pixels, (n,)."""
    flat = maps.reshape(len(maps), -1)
    quarter = -(-flat.shape[1] // 4)  # rounded up
    least = _smallest(flat, flat.shape[1] - quarter + 1)[:, None]
    above = flat > least
    total = (flat * above).sum(1, dtype=float) + least[:, 0] * (quarter - above.sum(1))
    return total / quarter


def _universal(task: Task, level=None, quantile=0.75, negatives=None) -> Localization:
    silent, source = ~task.positive, "given"
    if negatives is not None and (negatives.ndim != 3 or len(negatives) == 0):
        raise ValueError(f"negatives must be maps (M, h, w), got shape {tuple(negatives.shape)}.")
    if level is not None and negatives is not None:
        raise ValueError("Give the level, or negatives to take it from, not both.")
    if level is None:
        if negatives is None and not silent.any():
            raise ValueError("universal needs masks in which nothing sounds, negatives=maps or level=number.")
        maps, which = (task.maps, silent) if negatives is None else (negatives, slice(None))
        like = np.broadcast_to(task.masks[:1], (len(maps), *task.masks.shape[1:]))
        (maxima,) = replace(task, maps=maps, masks=like).over(lambda m, _: (m.max((1, 2)),))
        level = float(np.quantile(maxima[which], quantile))
        source = "the negatives of this set" if negatives is None else "negatives given"
        source = f"quantile {quantile} of the maxima of {source}"
    task = replace(task, rule=replace(task.rule, level=level))
    iou, share = task.over(task.outcome)
    names = ("cIoU", "AUC", "mIoU")
    if silent.any():
        names = ("F-LOC", *names, "1 - pIA", "AUC-N", "F-AUC")
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
    consensus: bool = True  # whether masks may be maps of agreement


_FULL = (224, 224)
_SLAVC = Rule(_FULL, "bicubic", align_corners=True)
PROTOCOLS: dict[str, Protocol] = {
    "objects2018": Protocol(_objects2018, Rule(None), (), consensus=False),
    "llinet2020": Protocol(
        _llinet2020, Rule((16, 16), keep=">"), ("size", *SHAPE),
        ("k", "validation", "mask_resize"), consensus=False,
    ),
    "lvs2021": Protocol(_located, Rule(_FULL, normalise=True, keep=">")),
    "ezvsl2022": Protocol(_located, Rule(_FULL, align_corners=True, normalise=True)),
    "slavc2022": Protocol(_detected, _SLAVC, options=("confidence",), negatives=True),
    "strict": Protocol(_detected, _SLAVC, options=("confidence",), negatives=True),
    "adaptive": Protocol(_located, Rule(None, level="true size")),
    "universal": Protocol(
        _universal, Rule(None, keep=">"), ("size", *SHAPE, "keep"),
        ("level", "quantile", "negatives"), negatives=True,
    ),
    "mask_ap": Protocol(_ranked, Rule(None), ("size", *SHAPE), consensus=False),
    "max_iou": Protocol(_ranked, Rule(None), ("size", *SHAPE), consensus=False),
    "iiou": Protocol(_iiou, Rule(None, normalise=True, keep=">"), consensus=False),
}  # fmt: skip


def evaluate(maps, masks, protocol: str = "strict", *, clips=None, empty="refuse", **options) -> Localization:
    r"""Judge heat maps by the named protocol.

    ============== =====================================================================================
    `objects2018`  the largest cell's center falls on the object (Arandjelovic and Zisserman 2018)
    `llinet2020`   16 x 16, map > k/10 of its maximum; mIoU and 51-point mean, k chosen on the test set
    `lvs2021`      bilinear to 224, > median; share with cIoU >= .5, 21-point AUC (Chen et al. 2021)
    `ezvsl2022`    the same with align_corners and >= (Mo and Morgado 2022; FNAC, SLAVC's plain test)
    `slavc2022`    with silent and off-screen sounds: AP, max-F1 as released (Mo and Morgado 2022)
    `strict`       as `slavc2022`, but recall = TP / all positives and every threshold is tried
    `adaptive`     as many pixels as the mask has are predicted (Senocak et al. 2024)
    `universal`    one threshold for all, above most negatives' maxima (Juanola et al. 2024)
    `mask_ap`      mean over images of the pixels' average precision: no threshold
    `max_iou`      IoU at each image's best threshold, chosen with its mask: an upper bound
    `iiou`         every sounding object of an image must succeed (Senocak et al. 2024)
    ============== =====================================================================================

    A number is comparable only with numbers of the same protocol; `result.text` says every choice.

    Parameters
    ----------
    maps : (N, h, w) floats, higher where the sound is. `iiou`: (N, K, h, w), the map of each of K sounds
    masks : (N, H, W) bool, where the sounding objects are; all False: nothing in the image sounds.
        Where a protocol measures cIoU, also the share of annotators who agree on each pixel.
        `iiou`: (N, K, H, W), all False for sounds that an image has not
    protocol : str
    clips : (N,) the clip of each image, for the bootstrap; None: every image is its own
    empty : "refuse", or "fail": images in which nothing sounds count as not located, as in the released code
    **options
        Fields of `Rule` (size, interpolation, align_corners, level, normalise, keep) change the published
        choice; `result.text` shows it. `llinet2020`: k ("test", as released; "validation" with
        validation=(maps, masks); or 2 ... 6), mask_resize ("nearest", Pillow before 7; "bicubic", from 7, any
        touched cell). `slavc2022`, `strict`: confidence (N,), else the mean of the map's highest quarter.
        `universal`: quantile (.75) of the maxima of the negatives of this set or of negatives=(M, h, w), or
        level

    Examples
    --------
    >>> maps, masks = np.zeros((1, 2, 2)), np.zeros((1, 4, 4), bool)
    >>> maps[0, 0, 1] = 1.0
    >>> masks[0, :2, 2:] = True
    >>> evaluate(maps, masks, "objects2018").numbers
    {'pointing': 1.0}

    Notebook: 03, 07
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
    own = {name: value for name, value in options.items() if name in known.options}
    if own.get("validation") is not None:
        held_out, _ = _task(*own["validation"], protocol)
        own["validation"] = (held_out.maps, held_out.masks)
    rule = replace(known.rule, **{name: value for name, value in options.items() if name not in own})
    maps, masks = maps if hasattr(maps, "ndim") else np.asarray(maps), np.asarray(masks)
    axes, images = (4 if protocol == "iiou" else 3), len(masks)
    if masks.ndim != axes or maps.ndim != axes:
        form = "(N, K, H, W)" if axes == 4 else "(N, H, W)"
        raise ValueError(f"{protocol} needs maps and masks {form}; got {maps.shape}, {masks.shape}.")
    if masks.shape[: axes - 2] != tuple(maps.shape[: axes - 2]) or 0 in (*masks.shape, *maps.shape):
        raise ValueError(f"There must be images, one mask for every map; got {maps.shape}, {masks.shape}.")
    if masks.dtype != bool:
        if masks.dtype.kind != "f" or not known.consensus:
            raise ValueError(f"{protocol} needs masks of yes and no (bool), got {masks.dtype}: masks > 0.")
        if not ((masks >= 0) & (masks <= 1)).all():
            raise ValueError("Maps of agreement must lie in [0, 1].")
    maps, masks = (
        part.reshape(-1, *part.shape[-2:]) for part in (maps, masks)
    )  # (N, K, h, w) -> (N K, h, w)
    there = masks.reshape(images, -1).any(1)
    positive = _positive(there, protocol, empty)
    clips = np.arange(images) if clips is None else np.asarray(clips)
    if clips.shape != (images,):
        raise ValueError(f"clips must name one clip for each of {images} images, got shape {clips.shape}.")
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
        raise ValueError(
            f"{protocol}: {(~there).sum()} masks are empty; empty='fail' counts them as failures."
        )
    return np.ones(len(there), bool)


def baselines(
    masks, protocol: str = "strict", *, radius=None, validation=None, train=None, clips=None, **options
) -> dict[str, Localization]:
    """Judge maps that no network made, by the same protocol on the same masks.

    "oracle ceiling": the best possible order of the pixels, what the rule itself leaves to reach;
    "ground-truth mask as map", which differs where ties decide; "centre disc", the same in every image; "mean
    mask", where objects usually are; "whole image"; for `objects2018` "image centre" not disc and whole.

    What depends on a network (k, confidence, negatives) is not taken over but chosen in the constant's favor.

    Parameters
    ----------
    masks, protocol, clips, **options : as for `evaluate`
    radius : float, of the disc, as a share of the image's shorter side; None: chosen on `validation`
    validation : (M, H, W) bool, masks to choose the radius on; None: the best on the test masks
    train : (M, H, W) bool, masks to average; None: for each image, the mean of the other images' masks

    Notebook: 03
    """
    of_the_model = ("confidence", "negatives", "validation", "k")
    options = {name: value for name, value in options.items() if name not in of_the_model}
    bench = _Bench(masks, protocol, clips=clips, **options)
    rows = {
        "oracle ceiling": bench.judge(oracle_maps(bench.truth)),
        "ground-truth mask as map": bench.judge(bench.truth.astype(np.float32)),
    }
    if protocol == "objects2018":
        centre = np.zeros(bench.size, np.float32)
        centre[bench.size[0] // 2, bench.size[1] // 2] = 1
        return rows | {"image centre": bench.judge(centre), "mean mask": bench.judge(bench.mean_mask(train))}
    name = "centre disc"
    if not bench.knows_radius:
        radius = 0.5
    elif radius is None and validation is not None:
        radius = _Bench(validation, protocol, **options).best_radius()
    elif radius is None:
        radius = bench.best_radius()
    rows[name] = bench.disc(radius)
    rows["mean mask"] = bench.judge(bench.mean_mask(train))
    rule = replace(bench.task.rule, level=0.5, normalise=False, keep=">=")
    rows["whole image"] = bench.judge(np.ones(bench.size, np.float32), rule, map="everything is predicted")
    return rows


def oracle_maps(masks: np.ndarray) -> np.ndarray:
    """Maps (n, H, W) float32 that put every pixel of the object above every other, without ties.

    Values from .875 inside and below .125 outside (in between by agreement, if masks are maps of agreement);
    within each part they fall off with the distance from the image's center.
    """
    inside = masks.astype(np.float32)
    order = np.argsort(-_distance(masks.shape[1:]), axis=None, kind="stable")
    ramp = np.empty(order.size, np.float32)  # all different values in [0, 1)
    ramp[order] = np.arange(order.size) / order.size
    return 0.75 * inside + 0.125 * (inside > 0) + 0.125 * ramp.reshape(masks.shape[1:])


def centre_disc(size: tuple[int, int], radius: float) -> np.ndarray:
    """Map (H, W) of a disc in the middle, as `oracle_maps`; the radius is a share of the shorter side."""
    return oracle_maps((_distance(size) <= radius * min(size))[None])[0]


def _distance(size: tuple[int, int]) -> np.ndarray:
    """Distance of every pixel's center from the image's center, in pixels, (H, W)."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in size)
    return np.hypot(y[:, None], x[None])


class _Bench:
    """Masks of one test at the size at which the protocol cuts, and constant maps judged on them."""

    def __init__(self, masks, protocol: str, **options):
        masks = np.asarray(masks)
        self.task, self.options = _task(
            np.broadcast_to(np.float32(0), masks.shape), masks, protocol, **options
        )
        rule, masks = self.task.rule, self.task.masks
        if self.options.get("mask_resize") == "bicubic":
            self.truth = touched(masks, rule.size)
        else:
            blank = np.broadcast_to(np.float32(0), (len(masks), 1, 1))
            self.truth = np.concatenate([part for _, _, part in _blocks(blank, masks, rule.size)])
        self.size, level = self.truth.shape[1:], self.options.get("level", rule.level)
        absolute = not isinstance(level, str) and level is not None
        self.knows_radius = absolute or protocol == "llinet2020"
        # constants live around .5; a level on another scale, as of logits, is met by moving them
        self.shift = np.float32(level - 0.5 if absolute and not rule.normalise else 0.0)

    def judge(self, maps: np.ndarray, rule: Rule | None = None, **said) -> Localization:
        """Run the protocol on maps, or on one map (H, W) for all images; `said` joins the settings."""
        maps = np.broadcast_to(maps + self.shift, self.truth.shape)
        task = replace(self.task, maps=maps, rule=rule or self.task.rule)
        result = PROTOCOLS[task.protocol].run(task, **self.options)
        return replace(result, settings={**result.settings, **said})

    def disc(self, radius: float) -> Localization:
        said = {"radius": round(radius, 3)} if self.knows_radius else {}
        return self.judge(centre_disc(self.size, radius), **said)

    def best_radius(self) -> float:
        """Radius of RADII with the best headline number; the smallest of equals."""
        return float(RADII[int(np.argmax([self.disc(radius).value for radius in RADII]))])

    def mean_mask(self, train) -> np.ndarray:
        """The mean of `train`, or of the other images' masks for each image."""
        if train is not None:
            mean = torch.from_numpy(np.asarray(train).mean(0, dtype=np.float32))[None]
            return resize(mean, self.size)[0].numpy()
        total, there = self.truth.sum(0, dtype=float), self.truth.any((1, 2), keepdims=True)
        if there.sum() < 2:
            raise ValueError("The mean of the other masks needs two masks with an object; give train=masks.")
        return ((total - self.truth) / (there.sum() - there)).astype(np.float32)


def compare(rows: Mapping[str, Localization]):
    """Results of one protocol on the same images side by side, as a DataFrame with a row each.

    The headline number with `low` and `high` of its interval, the protocol's other numbers, and `n`, the
    number of images; shares, not per cent. Usual rows: the model, with shuffled audio, with silence, and
    those of :func:`baselines`.

    Notebook: 03
    """
    first = next(iter(rows.values()))
    for row in rows.values():
        if row.protocol != first.protocol or not np.array_equal(row.positive, first.positive):
            raise ValueError(
                f"All rows must be of one protocol and the same images: {row.text}; {first.text}."
            )
    return _frame(rows)


def by_group(result: Localization, groups):
    """Split a result by group (N,), as class or size: a row each, columns as `compare`.

    Groups in which nothing sounds are left out: a number of located objects has no meaning there.
    """
    groups = np.asarray(groups)
    if groups.shape != result.iou.shape:
        raise ValueError(f"groups must name one group for each of {len(result.iou)} images.")
    names = list(dict.fromkeys(groups[result.positive].tolist()))
    return _frame({name: result.subset(groups == name) for name in names})


def _frame(rows: Mapping[str, Localization]):
    import pandas as pd

    lines = {}
    for name, row in rows.items():
        interval, (headline, *others), numbers = row.interval(), row.measures, row.numbers
        lines[name] = {headline: interval.value, "low": interval.low, "high": interval.high}
        lines[name] |= {other: numbers[other] for other in others} | {"n": interval.n}
    return pd.DataFrame(lines).T.astype({"n": int})


def size_groups(masks, edges: tuple[float, float] = (0.1, 0.4)) -> np.ndarray:
    """Name each image's sounding object by its share of the image: "small", "medium", "large" or "none"."""
    share = np.count_nonzero(np.asarray(masks), axis=(1, 2)) / np.prod(np.shape(masks)[1:])
    names = np.array(["small", "medium", "large"])[np.digitize(share, edges)]
    return np.where(share == 0, "none", names)
