"""One evaluator, named protocols: what each paper counts as a sound that was located.

Notebook: 03
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from llinet_lite.metrics.localization.measures import mean_success
from llinet_lite.metrics.localization.pointing import on_mask, points
from llinet_lite.metrics.localization.ranking import rank
from llinet_lite.metrics.localization.result import Localization
from llinet_lite.metrics.localization.rules import Rule, blocks, overlap, smallest

__all__ = ["PROTOCOLS", "Protocol", "Task", "touched"]

KS = (2, 3, 4, 5, 6)  # LLINet's thresholds, in tenths of the maximum


@dataclass(frozen=True, eq=False)
class Task:
    """Checked maps and masks with the rule that cuts them.

    Attributes
    ----------
    protocol : str
    rule : Rule
    maps : (N, h, w) floats; (N K, h, w) for `iiou`
    masks : (N, H, W) bool or consensus; (N K, H, W) for `iiou`
    positive : (N,) bool, images that count as having a sounding object
    clips : (N,)
    failed : int, images without an object that count as not located all the same
    """

    protocol: str
    rule: Rule
    maps: object
    masks: np.ndarray
    positive: np.ndarray
    clips: np.ndarray
    failed: int = 0

    def blocks(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Go through maps and masks at the rule's size: slice, maps and masks (n, H, W)."""
        for part, maps, masks in blocks(self.maps, self.masks, self.rule.size):
            yield part, self.rule.resize(maps, masks.shape[1:]).numpy(), masks

    def ious(self) -> tuple[np.ndarray, np.ndarray]:
        """IoU of each map with its mask, and the share of the image predicted, two (number of maps,)."""
        iou, share = np.zeros(len(self.masks)), np.zeros(len(self.masks))
        for part, maps, masks in self.blocks():
            iou[part], share[part] = _outcome(self.rule.predict(maps, masks), masks)
        return iou, share

    def settings(self, *names: str) -> dict[str, object]:
        """The rule's choices in words."""
        size = self.masks.shape[1:] if self.rule.size is None else self.rule.size
        said = {"size": f"{size[0]}x{size[1]}" + (" (the masks')" if self.rule.size is None else "")}
        return said | {name: getattr(self.rule, name) for name in names}

    def result(self, measures, settings, iou, success, **arrays) -> Localization:
        """Pack an outcome; `iou` becomes NaN and `success` False where nothing sounds."""
        iou = np.where(self.positive, iou, np.nan)
        success = success & self.positive
        if self.failed:
            settings = {**settings, "empty": f"fail ({self.failed} masks)"}
        return Localization(
            self.protocol, settings, measures, iou, success, self.positive, self.clips, **arrays
        )


def _outcome(prediction: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU (0 where nothing is predicted and nothing is there) and share predicted, two (n,)."""
    inside, union = overlap(prediction, masks)
    return inside / np.where(union > 0, union, 1), prediction.mean((1, 2))


CUT = ("interpolation", "align_corners", "level", "normalise", "keep")
SHAPE = ("interpolation", "align_corners")


def _objects2018(task: Task) -> Localization:
    hit = np.zeros(len(task.masks), bool)
    for part, maps, masks in blocks(task.maps, task.masks, None):
        hit[part] = on_mask(points(maps, masks.shape[1:]), torch.from_numpy(masks)).numpy()
    grid = "{}x{}".format(*task.maps.shape[1:])
    settings = {"point": f"centre of the largest cell of {grid}", **task.settings()}
    return task.result(("pointing",), settings, np.full(len(hit), np.nan), hit)


def _located(task: Task) -> Localization:
    iou, share = task.ious()
    settings = {**task.settings(*CUT), "success": "IoU >= .5"}
    return task.result(("cIoU", "AUC", "mIoU"), settings, iou, iou >= 0.5, predicted=share)


def _llinet2020(task: Task, k="test", validation=None, mask_resize="nearest") -> Localization:
    if k not in ("test", "validation", *KS):
        raise ValueError(f"k must be 'test', 'validation' or one of {KS}, not {k!r}.")
    if (k == "validation") != (validation is not None):
        raise ValueError("k='validation' goes with validation=(maps, masks), and only with it.")
    if mask_resize not in ("nearest", "bicubic"):
        raise ValueError(f"mask_resize must be 'nearest' or 'bicubic', not {mask_resize!r}.")
    sizes = {"rule": task.rule, "mask_resize": mask_resize}
    said = {"test": " (chosen on the test set)", "validation": " (chosen on validation)"}.get(k, "")
    if k == "validation":
        k = _best_k(_of_tenths(*validation, **sizes))
    ious = _of_tenths(task.maps, task.masks, **sizes)
    k = _best_k(ious) if k == "test" else k
    iou = ious[:, KS.index(k)]
    settings = {"k": f"{k}{said}", "cut": "map > k/10 of its maximum", **task.settings(*SHAPE)}
    settings |= {"mask_resize": mask_resize, "AUC51": "plain mean of success at 0, .02, ... 1"}
    return task.result(("mIoU", "AUC51", "success"), settings, iou, iou >= 0.5)


def _best_k(ious: np.ndarray) -> int:
    """The k whose 51-point success mean is highest; the smallest of equals."""
    return KS[int(np.argmax([mean_success(column) for column in ious.T]))]


def _of_tenths(maps, masks, rule: Rule, mask_resize: str) -> np.ndarray:
    """IoU of every image at every k, (N, 5)."""
    masks = np.asarray(masks)
    if mask_resize == "bicubic":
        masks = touched(masks, rule.size)
    ious = np.zeros((len(masks), len(KS)))
    for part, block, truth in blocks(maps, masks, rule.size):
        if block.min() < 0:
            raise ValueError(
                "llinet2020 cuts at a share of the map's maximum, which means nothing where a map has "
                "negative values; give it probabilities, or maps after a ReLU."
            )
        block = rule.resize(block, truth.shape[1:]).numpy()
        for column, k in enumerate(KS):
            prediction = replace(rule, level=k / 10, of_maximum=True).predict(block, truth)
            inside, union = overlap(prediction, truth)
            ious[part, column] = inside / (union + 1e-5)
    return ious


def touched(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Shrink masks as Pillow from version 7 does by default: every cell that a mask touches is in it."""
    white = torch.from_numpy(masks).float()[:, None]
    small = F.interpolate(white, size=size, mode="bicubic", antialias=True)[:, 0]
    return (small * 255).round().numpy() > 0


def _detected(task: Task, confidence=None) -> Localization:
    said = "mean of the map's highest quarter" if confidence is None else "given"
    iou, share, brightness = (np.zeros(len(task.masks)) for _ in range(3))
    for part, maps, masks in task.blocks():
        iou[part], share[part] = _outcome(task.rule.predict(maps, masks), masks)
        if confidence is None:
            brightness[part] = _top_quarter(maps)
    confidence = brightness if confidence is None else np.asarray(confidence, float)
    if confidence.shape != task.positive.shape or not np.isfinite(confidence).all():
        raise ValueError(
            f"confidence must be {task.positive.shape} finite numbers, got shape {confidence.shape}."
        )
    strict = task.protocol == "strict"
    settings = {**task.settings(*CUT), "success": "IoU >= .5", "confidence": said}
    settings["recall"] = "TP / all positives" if strict else "TP / (TP + positives not detected)"
    settings["thresholds"] = "every confidence" if strict else "about 200 for AP, about 10 for max-F1"
    names = ("AP", "max-F1", "precision", "recall", "cIoU", "AUC")
    return task.result(names, settings, iou, iou >= 0.5, confidence=confidence, predicted=share)


def _top_quarter(maps: np.ndarray) -> np.ndarray:
    """Mean of the highest quarter of each map's pixels, (n,)."""
    flat = maps.reshape(len(maps), -1)
    quarter = -(-flat.shape[1] // 4)  # rounded up
    least = smallest(flat, flat.shape[1] - quarter + 1)[:, None]
    above = flat > least
    total = (flat * above).sum(1, dtype=float) + least[:, 0] * (quarter - above.sum(1))
    return total / quarter


def _universal(task: Task, level=None, quantile=0.75, negatives=None) -> Localization:
    silent = ~task.positive
    if negatives is not None and (negatives.ndim != 3 or len(negatives) == 0):
        raise ValueError(f"negatives must be maps (M, h, w), got shape {tuple(negatives.shape)}.")
    if level is not None and negatives is not None:
        raise ValueError("Give the level, or negatives to take it from, not both.")
    if level is None:
        if negatives is None and not silent.any():
            raise ValueError(
                "universal takes its threshold from images in which nothing sounds, and every mask here has "
                "an object: add pictures with silence or off-screen sounds (mask all False), or give "
                "negatives=maps or level=number."
            )
        source = "the negatives of this set" if negatives is None else "negatives given"
        maps, masks = (task.maps, task.masks) if negatives is None else (negatives, task.masks)
        maxima = _maxima(maps, masks, task.rule)
        level = float(np.quantile(maxima if negatives is not None else maxima[silent], quantile))
        source = f"quantile {quantile} of the maxima of {source}"
    else:
        source = "given"
    task = replace(task, rule=replace(task.rule, level=level))
    iou, share = task.ious()
    names = ("cIoU", "AUC", "mIoU")
    if silent.any():
        names = ("F-LOC", *names, "1 - pIA", "AUC-N", "F-AUC")
    settings = {**task.settings(*CUT), "level from": source, "success": "IoU >= .5"}
    return task.result(names, settings, iou, iou >= 0.5, predicted=share)


def _maxima(maps, masks: np.ndarray, rule: Rule) -> np.ndarray:
    """Largest value of each map at the size at which it is cut, (number of maps,)."""
    size = masks.shape[1:] if rule.size is None else rule.size
    like = np.broadcast_to(masks[:1], (len(maps), *masks.shape[1:]))
    parts = [rule.resize(block, size).amax((1, 2)).numpy() for _, block, _ in blocks(maps, like, size)]
    return np.concatenate(parts)


def _ranked(task: Task) -> Localization:
    precision, best = np.zeros(len(task.masks)), np.zeros(len(task.masks))
    for part, maps, masks in task.blocks():
        precision[part], best[part] = rank(maps, masks)
    if task.protocol == "mask_ap":
        settings = {**task.settings(*SHAPE), "mAP": "mean of the images' pixel average precision"}
        return task.result(("mAP",), settings, precision, best >= 0.5)
    settings = {**task.settings(*SHAPE), "level": "each image's best, chosen with its mask"}
    return task.result(("max-IoU", "success"), settings, best, best >= 0.5)


def _iiou(task: Task) -> Localization:
    images = len(task.positive)
    iou, _ = task.ious()
    there = task.masks.any((1, 2)).reshape(images, -1)  # (N K,) -> (N, K)
    worst = np.where(there, iou.reshape(images, -1), np.inf).min(1)
    worst = np.where(there.any(1), worst, 0.0)
    settings = {**task.settings(*CUT), "success": "IoU >= .5 for every sounding object"}
    return task.result(("IIoU", "IAUC"), settings, worst, worst >= 0.5)


@dataclass(frozen=True)
class Protocol:
    """How a protocol is run, its rule as published, and what it accepts.

    Attributes
    ----------
    run : function of a Task and of `options`
    rule : Rule
    changes : tuple of str, fields of the rule that may be changed
    options : tuple of str, what else may be given
    negatives : bool, whether images in which nothing sounds belong to it
    consensus : bool, whether masks may be maps of agreement
    """

    run: Callable[..., Localization]
    rule: Rule
    changes: tuple[str, ...] = ("size", *CUT)
    options: tuple[str, ...] = ()
    negatives: bool = False
    consensus: bool = True


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
