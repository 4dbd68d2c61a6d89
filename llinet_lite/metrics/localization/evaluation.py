"""`evaluate`: the one way in, which checks what it is given.

Notebook: 03
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llinet_lite.metrics.localization.protocols import PROTOCOLS, Task
from llinet_lite.metrics.localization.result import Localization

__all__ = ["evaluate", "task"]


def evaluate(maps, masks, protocol: str = "strict", *, clips=None, empty="refuse", **options) -> Localization:
    r"""Judge heat maps by the named protocol.

    ============== =====================================================================================
    `objects2018`  the largest cell's centre falls on the object (Arandjelovic and Zisserman 2018)
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
    maps : (N, h, w) floats, array or tensor, higher where the sound is; taken as float32.
        `iiou`: (N, K, h, w), the map of each of K sounds
    masks : (N, H, W) bool, where the sounding objects are; all False: nothing in the image sounds (silence,
        off-screen). A float map of agreement in [0, 1], see `consensus`, where a protocol measures cIoU.
        `iiou`: (N, K, H, W), all False for sounds that an image has not
    protocol : str
    clips : (N,) the clip of each image, for the bootstrap; None: every image is its own
    empty : "refuse", or "fail": images in which nothing sounds count as not located, as in the released code
        (two clips of VGG-SS have boxes without area). Only for protocols that need an object in every image
    **options
        Fields of `Rule` (size, interpolation, align_corners, level, normalise, keep) change the published
        choice; `result.text` shows it. `llinet2020`: k ("test", as released; "validation" with
        validation=(maps, masks); or 2 ... 6), mask_resize ("nearest", Pillow before 7; "bicubic", from 7, any
        touched cell). `slavc2022`, `strict`: confidence (N,), else the mean of the map's highest quarter.
        `universal`: quantile (.75) of the maxima of the negatives of this set or of negatives=(M, h, w), or
        level

    Returns
    -------
    Localization

    Raises
    ------
    ValueError
        If a shape, a type or an option does not fit, a map holds NaN or infinity, an object is missing where
        one is needed, or no image has one.

    Notebook: 03
    """
    job, options = task(maps, masks, protocol, clips=clips, empty=empty, **options)
    return PROTOCOLS[protocol].run(job, **options)


def task(maps, masks, protocol: str, *, clips=None, empty="refuse", **options) -> tuple[Task, dict]:
    """Check the arguments of `evaluate`; return the task and the protocol's own options."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"There is no protocol {protocol!r}; choose one of {', '.join(PROTOCOLS)}.")
    known = PROTOCOLS[protocol]
    if unknown := [name for name in options if name not in (*known.changes, *known.options)]:
        accepted = ", ".join((*known.changes, *known.options)) or "no option"
        raise ValueError(f"{protocol} does not know {', '.join(unknown)}; it takes {accepted}.")
    own = {name: value for name, value in options.items() if name in known.options}
    if own.get("validation") is not None:
        held_out, _ = task(*own["validation"], protocol)
        own["validation"] = (held_out.maps, held_out.masks)
    rule = replace(known.rule, **{name: value for name, value in options.items() if name not in own})
    maps, masks, images = _arrays(maps, masks, protocol)
    positive = _positive(masks, images, protocol, empty)
    clips = np.arange(images) if clips is None else np.asarray(clips)
    if clips.shape != (images,):
        raise ValueError(f"clips must name one clip for each of {images} images, got shape {clips.shape}.")
    failed = int((positive & ~masks.reshape(images, -1).any(1)).sum())
    return Task(protocol, rule, maps, masks, positive, clips, failed), own


def _arrays(maps, masks, protocol: str):
    """Maps and masks as three axes each, and the number of images."""
    maps = maps if hasattr(maps, "ndim") else np.asarray(maps)
    masks, axes = np.asarray(masks), 4 if protocol == "iiou" else 3
    form = "(N, K, H, W)" if axes == 4 else "(N, H, W)"
    if masks.ndim != axes or maps.ndim != axes:
        raise ValueError(
            f"{protocol} needs maps and masks {form}, got {tuple(maps.shape)} and {masks.shape}."
        )
    if masks.shape[: axes - 2] != tuple(maps.shape[: axes - 2]) or 0 in (*masks.shape, *maps.shape):
        raise ValueError(
            "There must be images, and one mask for every map: maps are "
            f"{tuple(maps.shape)}, masks {masks.shape}."
        )
    if masks.dtype != bool:
        _refuse_no_consensus(masks, protocol)
    images = len(masks)
    if axes == 4:
        maps = maps.reshape(-1, *maps.shape[2:])  # (N, K, h, w) -> (N K, h, w)
        masks = masks.reshape(-1, *masks.shape[2:])
    return maps, masks, images


def _refuse_no_consensus(masks: np.ndarray, protocol: str) -> None:
    if masks.dtype.kind != "f":
        raise ValueError(
            f"masks must be bool, got {masks.dtype}; write masks > 0 (or > 127 for pictures read from JPEG)."
        )
    if not PROTOCOLS[protocol].consensus:
        raise ValueError(f"{protocol} needs masks of yes and no (bool), got {masks.dtype}.")
    if not ((masks >= 0) & (masks <= 1)).all():
        raise ValueError("Maps of agreement must lie in [0, 1]; see consensus().")


def _positive(masks: np.ndarray, images: int, protocol: str, empty: str) -> np.ndarray:
    """Which images have a sounding object, (N,) bool."""
    if empty not in ("refuse", "fail"):
        raise ValueError(f"empty must be 'refuse' or 'fail', not {empty!r}.")
    positive = masks.reshape(images, -1).any(1)
    if not positive.any():
        raise ValueError(f"No mask has a single pixel: {protocol} has nothing to find.")
    if PROTOCOLS[protocol].negatives:
        if empty == "fail":
            raise ValueError(f"In {protocol} an empty mask means that nothing sounds; leave empty alone.")
        return positive
    if not positive.all() and empty == "refuse":
        raise ValueError(
            f"{protocol} needs a sounding object in every image; {int((~positive).sum())} of {images} masks "
            f"are empty, the first at {int((~positive).argmax())}. Leave them out, count them as failures "
            "with empty='fail', or use slavc2022, strict or universal, which know silence."
        )
    return np.ones(images, bool)
