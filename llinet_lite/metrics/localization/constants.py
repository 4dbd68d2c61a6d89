"""What can be reached without looking: the rows that belong beside every result.

Notebook: 03
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from llinet_lite.metrics.localization.evaluation import task
from llinet_lite.metrics.localization.protocols import PROTOCOLS, Task, touched
from llinet_lite.metrics.localization.result import Localization
from llinet_lite.metrics.localization.rules import Rule, blocks, resize

__all__ = ["baselines", "best_radius", "centre_disc", "oracle_maps"]

RADII = np.arange(0.05, 0.75, 0.05)  # of the shorter side
OF_THE_MODEL = ("confidence", "negatives", "validation", "k")


def baselines(
    masks,
    protocol: str = "strict",
    *,
    radius: float | None = None,
    validation=None,
    train=None,
    clips=None,
    **options,
) -> dict[str, Localization]:
    """Judge maps that no network made, by the same protocol on the same masks.

    oracle ceiling
        the best possible order of the pixels, without ties: what the rule itself leaves to reach. With the
        median rule an object that fills less than a quarter of the image cannot be located
    ground-truth mask as map
        the mask itself, 1 inside and 0 outside. Where it falls far below the oracle or rises above it, ties
        decide: at the median, > may cut nothing away and >= everything
    centre disc
        the same disc in the middle of every image. Where the rule fixes how much is predicted, the map falls
        off with the distance from the centre and the radius plays no part
    mean mask
        the average of the other images' masks: where objects usually are
    whole image
        everything is predicted
    image centre (`objects2018` in place of the last and of the disc)
        the pixel in the middle

    Maps have the size at which the protocol cuts; values are moved so that .5 falls on an absolute level.
    What depends on a network (k of `llinet2020`, confidence, negatives) is not taken over: k is the best on
    the test set, in the constant's favour; confidences and negatives come from the constant's own maps.

    Parameters
    ----------
    masks : as for `evaluate`
    protocol : str
    radius : float, of the disc, as a share of the image's shorter side; None: chosen on `validation`
    validation : (M, H, W) bool, masks to choose the radius on; None: the best on the test masks, which is an
        upper bound, and the row's name says so
    train : (M, H, W) bool, masks to average; None: for each image, the mean of the other images' masks
    clips, **options : as for `evaluate`

    Returns
    -------
    dict of row name -> Localization

    Notebook: 03
    """
    options = {name: value for name, value in options.items() if name not in OF_THE_MODEL}
    bench = _Bench(masks, protocol, clips=clips, **options)
    rows = {
        "oracle ceiling": bench.judge(lambda part: oracle_maps(bench.truth[part])),
        "ground-truth mask as map": bench.judge(lambda part: bench.truth[part].astype(np.float32)),
    }
    if protocol == "objects2018":
        centre = _pixel(bench.size)
        rows["image centre"] = bench.judge(lambda part: _repeat(centre, part))
        return rows | {"mean mask": bench.judge(_mean_mask(bench.truth, train))}
    name = "centre disc"
    if not bench.knows_radius:
        radius = 0.5
    elif radius is None and validation is not None:
        radius = best_radius(validation, protocol, **options)
    elif radius is None:
        name, radius = "centre disc (best radius on test: an upper bound)", bench.best_radius()
    rows[name] = bench.disc(radius)
    rows["mean mask"] = bench.judge(_mean_mask(bench.truth, train))
    rows["whole image"] = bench.whole_image()
    return rows


def oracle_maps(masks: np.ndarray) -> np.ndarray:
    """Maps that put every pixel of the object above every other, without ties.

    Values from .875 inside and below .125 outside (in between by agreement, if masks are maps of agreement);
    within each part they fall off with the distance from the image's centre.

    Parameters
    ----------
    masks : (n, H, W) bool or float in [0, 1]

    Returns
    -------
    (n, H, W) float32 in [0, 1]

    Notebook: 03
    """
    inside = masks.astype(np.float32)
    return 0.75 * inside + 0.125 * (inside > 0) + 0.125 * _ramp(masks.shape[1:])


def centre_disc(size: tuple[int, int], radius: float) -> np.ndarray:
    """Map of a disc in the middle: values as `oracle_maps` of the disc's mask.

    Parameters
    ----------
    size : (H, W)
    radius : float, as a share of the shorter side; .5 touches it

    Returns
    -------
    (H, W) float32 in [0, 1]

    Notebook: 03
    """
    return oracle_maps((_distance(size) <= radius * min(size))[None])[0]


def best_radius(masks, protocol: str = "strict", **options) -> float:
    """Radius of the centre disc with the best headline number on these masks, of .05, .1 ... .7.

    Notebook: 03
    """
    return _Bench(masks, protocol, **options).best_radius()


class _Bench:
    """Masks of one test, ready for maps that are made block by block."""

    def __init__(self, masks, protocol: str, **options):
        masks = np.asarray(masks)
        blank = np.broadcast_to(np.float32(0), masks.shape)
        self.task, self.options = task(blank, masks, protocol, **options)
        self.run = PROTOCOLS[protocol].run
        self.truth = _at_size(self.task, self.options)
        self.size = self.truth.shape[1:]
        level = self.options.get("level", self.task.rule.level)
        absolute = not isinstance(level, str) and level is not None
        self.knows_radius = absolute or protocol == "llinet2020"
        # constants live around .5; a level on another scale, as of logits, is met by moving them
        self.shift = level - 0.5 if absolute and not self.task.rule.normalise else 0.0

    def judge(self, make: Callable[[slice], np.ndarray], rule: Rule | None = None) -> Localization:
        """Run the protocol on the maps that `make` gives for a slice of the images."""
        maps = _Made(self.truth.shape, lambda part: make(part) + np.float32(self.shift))
        return self.run(replace(self.task, maps=maps, rule=rule or self.task.rule), **self.options)

    def disc(self, radius: float) -> Localization:
        """Judge one disc, the same for all images."""
        disc = centre_disc(self.size, radius)
        result = self.judge(lambda part: _repeat(disc, part))
        if not self.knows_radius:
            return result
        return replace(result, settings={**result.settings, "radius": round(radius, 3)})

    def best_radius(self) -> float:
        """Radius of RADII with the best headline number; the smallest of equals."""
        return float(RADII[int(np.argmax([self.disc(radius).value for radius in RADII]))])

    def whole_image(self) -> Localization:
        """Judge the prediction of everything."""
        ones = np.ones(self.size, np.float32)
        rule = replace(self.task.rule, level=0.5, normalise=False, keep=">=")
        result = self.judge(lambda part: _repeat(ones, part), rule)
        return replace(result, settings={**result.settings, "map": "everything is predicted"})


class _Made:
    """Maps that are made when a block is asked for: those of a whole test set need a gigabyte."""

    def __init__(self, shape: tuple[int, ...], make: Callable[[slice], np.ndarray]):
        self.shape, self.ndim, self.make = shape, len(shape), make

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> torch.Tensor:
        return torch.from_numpy(self.make(part))


def _at_size(task: Task, options: dict) -> np.ndarray:
    """Masks at the size at which the protocol cuts, brought there as it does."""
    if options.get("mask_resize") == "bicubic":
        return touched(task.masks, task.rule.size)
    if task.rule.size in (None, task.masks.shape[1:]):
        return task.masks
    blank = np.broadcast_to(np.float32(0), (len(task.masks), 1, 1))
    return np.concatenate([masks for _, _, masks in blocks(blank, task.masks, task.rule.size)])


def _repeat(one: np.ndarray, part: slice) -> np.ndarray:
    """The same map for every image of the slice."""
    return np.repeat(one[None], part.stop - part.start, axis=0)


def _distance(size: tuple[int, int]) -> np.ndarray:
    """Distance of every pixel's centre from the image's centre, in pixels, (H, W)."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in size)
    return np.hypot(y[:, None], x[None])


def _ramp(size: tuple[int, int]) -> np.ndarray:
    """All different values in [0, 1), falling with the distance from the centre, (H, W) float32."""
    order = np.argsort(-_distance(size), axis=None, kind="stable")
    ramp = np.empty(order.size, np.float32)
    ramp[order] = np.arange(order.size) / order.size
    return ramp.reshape(size)


def _pixel(size: tuple[int, int]) -> np.ndarray:
    """Map with a single 1, on the pixel that holds the image's centre, (H, W)."""
    centre = np.zeros(size, np.float32)
    centre[size[0] // 2, size[1] // 2] = 1
    return centre


def _mean_mask(truth: np.ndarray, train) -> Callable[[slice], np.ndarray]:
    """Maker of the mean-mask maps: from `train`, or without each image's own mask."""
    if train is not None:
        mean = torch.from_numpy(np.asarray(train).mean(0, dtype=np.float32))[None]
        fixed = resize(mean, truth.shape[1:])[0].numpy()
        return lambda part: _repeat(fixed, part)
    total, count = truth.sum(0, dtype=float), int(truth.any((1, 2)).sum())
    if count < 2:
        raise ValueError("The mean of the other masks needs two masks with an object; give train=masks.")

    def others(part: slice) -> np.ndarray:
        own = truth[part]
        left = count - own.any((1, 2), keepdims=True)
        return ((total - own) / left).astype(np.float32)

    return others
