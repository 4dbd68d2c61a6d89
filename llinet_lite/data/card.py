"""The data card of a store: what is in it, and what no network may get for nothing.

Notebook: 00
"""

from __future__ import annotations

import numpy as np

from llinet_lite.data.store import Store

DISC = 0.35  # radius of the centre disc, as a share of the shorter side


def card(store: Store, limit: int = 400) -> dict:
    """Measure a store.

    Parameters
    ----------
    store : Store
    limit : int
        Masks and sounds looked at per split, evenly spread.

    Returns
    -------
    facts : dict
        name, content_hash, sample_rate, image_size, seen, unseen (classes),
        hours, and per split in ``splits``: images, sounds, smallest, largest
        (clips per class), level_db (mean, standard deviation), level_by_class
        (share of the variance of loudness that the class explains, less what
        it would explain by chance) and, where there are masks, ``masks``: see
        :func:`mask_facts`.

    Notebook: 00
    """
    rate = store.sample_rate
    facts = {
        key: store.manifest[key] for key in ("name", "content_hash", "sample_rate", "image_size", "seconds")
    }
    facts["seen"] = [row["name"] for row in store.classes if row["seen"]]
    facts["unseen"] = [row["name"] for row in store.classes if not row["seen"]]
    facts["excluded"], facts["warnings"] = len(store.manifest["excluded"]), len(store.manifest["warnings"])
    lengths = [store.sounds(split).length.sum() for split in store.splits]
    facts["hours"] = round(float(sum(lengths)) / rate / 3600, 3)
    facts["splits"] = {split: _split_facts(store, split, limit) for split in store.splits}
    return facts


def _spread(count: int, limit: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(limit, count)).astype(int))


def _split_facts(store: Store, split: str, limit: int) -> dict:
    images, sounds = store.images(split), store.sounds(split)
    counts = np.unique(sounds.label, return_counts=True)[1]
    picked = _spread(len(sounds), limit)
    power = [np.mean(np.square(sounds.audio(int(i)), dtype=np.float64)) for i in picked]
    level = 10 * np.log10(np.maximum(power, 1e-3) / 32768**2)
    facts = {"images": len(images), "sounds": len(sounds)}
    facts |= {"smallest": int(counts.min()), "largest": int(counts.max())}
    facts["level_db"] = [round(float(level.mean()), 1), round(float(level.std()), 1)]
    facts["level_by_class"] = round(explained(level, sounds.label[picked]), 3)
    masks = mask_facts(store, split, limit)
    return facts | ({"masks": masks} if masks else {})


def explained(values: np.ndarray, label: np.ndarray) -> float:
    r"""Share of a variance that the class explains, corrected for chance (epsilon squared).

    .. math:: \epsilon^2 = 1 - \frac{SS_{within} / (n - k)}{SS_{total} / (n - 1)}

    Kelley, *An unbiased correlation ratio measure*, PNAS 1935.

    Parameters
    ----------
    values : (n,) float
    label : (n,) int
        k different classes.

    Returns
    -------
    share : float
        About 0 if the class says nothing, 1 if it says all.
    """
    groups = [values[label == k] for k in np.unique(label)]
    total, n = np.square(values - values.mean()).sum(), len(values)
    if total == 0 or n <= len(groups) or len(groups) < 2:
        return 0.0
    within = sum(np.square(group - group.mean()).sum() for group in groups)
    return float(1 - (within / (n - len(groups))) / (total / (n - 1)))


def sounding_mask(objects: np.ndarray, factors: dict) -> np.ndarray:
    """Where the sounding instruments are: (H, W) bool, from an index image and its scene's factors.

    Without a ``cast`` in the factors (imported pictures) every object counts.
    """
    cast = factors.get("cast")
    if not cast:
        return objects > 0
    return np.isin(objects, [k + 1 for k, member in enumerate(cast) if member["sounding"]])


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two bool masks; 0 if both are empty."""
    union = np.logical_or(one, other).sum()
    return float(np.logical_and(one, other).sum() / union) if union else 0.0


def mask_facts(store: Store, split: str, limit: int = 400) -> dict | None:
    """What the masks of the sounding instruments give away, and what a coarse map can reach.

    Parameters
    ----------
    store : Store
    split : str
    limit : int
        Masks looked at.

    Returns
    -------
    facts : dict or None
        count (masks that are not empty); area (median share of the picture);
        centre (mean x, y); centre_by_class (share of the variance of x and y
        that the class explains); point (share of masks that cover the
        picture's centre); disc (share of masks with IoU >= 0.5 with a disc in
        the centre, its radius 0.35 of the side); oracle_16, oracle_8 (mean IoU
        of the best map of 16 x 16 or 8 x 8 whole cells: the ceiling of that
        protocol). None if there are no masks.

    Notebook: 07
    """
    images, rows = store.images(split), []
    clip = images.clip
    # One frame per clip: frames of one clip share their places and would count twice.
    chosen = np.unique(clip, return_index=True)[1] if (clip >= 0).all() else np.arange(len(images))
    for i in chosen[_spread(len(chosen), limit)].tolist():
        objects = images.objects(i)
        if objects is None:
            return None
        mask = sounding_mask(objects, images.factors(i))
        if mask.any():
            rows.append([int(images.label[i]), *_one_mask(mask)])
    if not rows:
        return None
    label, area, x, y, point, disc, fine, coarse = np.array(rows, float).T
    return {
        "count": len(rows),
        "area": round(float(np.median(area)), 3),
        "centre": [round(float(x.mean()), 3), round(float(y.mean()), 3)],
        "centre_by_class": [round(explained(x, label), 3), round(explained(y, label), 3)],
        "point": round(float(point.mean()), 3),
        "disc": round(float((disc >= 0.5).mean()), 3),
        "oracle_16": round(float(fine.mean()), 3),
        "oracle_8": round(float(coarse.mean()), 3),
    }


def _one_mask(mask: np.ndarray) -> tuple[float, ...]:
    height, width = mask.shape
    y, x = (np.arange(side) + 0.5 for side in mask.shape)
    distance = np.hypot((y - height / 2)[:, None], (x - width / 2)[None, :])
    across, down = mask.mean(axis=0), mask.mean(axis=1)
    centre = (across @ x / across.sum() / width, down @ y / down.sum() / height)
    disc = distance <= DISC * min(height, width)
    point = bool(mask[height // 2, width // 2])
    return mask.mean(), *centre, point, iou(mask, disc), oracle(mask, 16), oracle(mask, 8)


def oracle(mask: np.ndarray, cells: int) -> float:
    """Best IoU that a map of ``cells`` x ``cells`` whole cells can have with a mask.

    A cell raises an IoU of v exactly if the mask covers more than v / (1 + v)
    of it. So the best map is a threshold on that share, and all are tried.

    Parameters
    ----------
    mask : (H, W) bool
    cells : int

    Returns
    -------
    iou : float
    """
    rows, columns = (np.arange(side) * cells // side for side in mask.shape)
    place = (rows[:, None] * cells + columns).reshape(-1)
    size = np.bincount(place, minlength=cells**2)
    inside = np.bincount(place, mask.reshape(-1), cells**2)
    order = np.argsort(-inside / np.maximum(size, 1), kind="stable")
    hit, taken = np.cumsum(inside[order]), np.cumsum(size[order])
    return float((hit / (taken + mask.sum() - hit)).max())


def card_text(facts: dict) -> str:
    """A data card for a human reader; ``facts`` as from :func:`card`."""
    lines = [
        f"{facts['name']}   {facts['content_hash'][:16]}",
        f"{len(facts['seen'])} seen and {len(facts['unseen'])} unseen classes, {facts['hours']:.2f} hours "
        f"of sound at {facts['sample_rate']} Hz, pictures of {facts['image_size']} pixels",
        f"left out: {facts['excluded']} files, remarks: {facts['warnings']}",
        f"{'split':14}{'pictures':>9}{'sounds':>8}{'per class':>11}{'level dB':>14}{'by class':>10}",
    ]
    for split, row in facts["splits"].items():
        level = f"{row['level_db'][0]:.0f} +- {row['level_db'][1]:.0f}"
        per_class = f"{row['smallest']}-{row['largest']}"
        lines.append(
            f"{split:14}{row['images']:9}{row['sounds']:8}{per_class:>11}{level:>14}{row['level_by_class']:10.2f}"
        )
    heads = f"{'masks':14}{'area':>7}{'at centre':>11}{'centre disc':>13}"
    lines.append(heads + f"{'oracle 16, 8':>15}{'x, y by class':>16}")
    for split, row in facts["splits"].items():
        if "masks" in row:
            m = row["masks"]
            best = f"{m['oracle_16']:.2f}, {m['oracle_8']:.2f}"
            by = f"{m['centre_by_class'][0]:.2f}, {m['centre_by_class'][1]:.2f}"
            lines.append(f"{split:14}{m['area']:7.3f}{m['point']:11.3f}{m['disc']:13.3f}{best:>15}{by:>16}")
    return "\n".join(lines)
