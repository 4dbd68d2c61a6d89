"""Tables: a model beside what needs no model, and where it succeeds.

Notebook: 03
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from llinet_lite.metrics.localization.result import Localization

__all__ = ["by_group", "compare", "size_groups"]


def compare(rows: Mapping[str, Localization]) -> pd.DataFrame:
    """Set results of one protocol on the same images side by side.

    Usual rows: the model, the model with shuffled audio, the model with silence, and those of `baselines`:
    ``compare({"AVOL-Net": result, "shuffled audio": shuffled, "silence": silent, **baselines(masks)})``.

    Parameters
    ----------
    rows : mapping of row name -> Localization

    Returns
    -------
    DataFrame, one row each: the headline number with `low` and `high` of its bootstrap interval, the
    protocol's other numbers, and `n`, the number of images; shares, not per cent

    Raises
    ------
    ValueError
        If the rows are of different protocols, or of images with and without a sounding object in another
        order.

    Notebook: 03
    """
    if not rows:
        raise ValueError("There is nothing to compare: give at least one row.")
    first = next(iter(rows.values()))
    for name, row in rows.items():
        if row.protocol != first.protocol or not np.array_equal(row.positive, first.positive):
            raise ValueError(
                f"All rows must come from one protocol on the same images; {name!r} is of {row.text}, the "
                f"first of {first.text}."
            )
    return pd.DataFrame({name: _line(row) for name, row in rows.items()}).T.astype({"n": int})


def by_group(result: Localization, groups) -> pd.DataFrame:
    """Split a result by class, by size or by anything else.

    Parameters
    ----------
    result : Localization
    groups : (N,) the group of each image, as its class or `size_groups(masks)`

    Returns
    -------
    DataFrame, one row per group in order of first appearance, columns as `compare`. Groups in which nothing
    sounds are left out: a number of located objects has no meaning there

    Notebook: 03
    """
    groups = np.asarray(groups)
    if groups.shape != result.iou.shape:
        raise ValueError(f"groups must name one group for each of {len(result.iou)} images.")
    names = list(dict.fromkeys(groups[result.positive].tolist()))
    return compare_groups({name: result.subset(groups == name) for name in names})


def compare_groups(parts: Mapping[str, Localization]) -> pd.DataFrame:
    """`compare` for results of different images."""
    return pd.DataFrame({name: _line(part) for name, part in parts.items()}).T.astype({"n": int})


def size_groups(masks, edges: tuple[float, float] = (0.1, 0.4)) -> np.ndarray:
    """Name the size of each image's sounding object by its share of the image.

    Parameters
    ----------
    masks : (N, H, W) bool, or a map of agreement, of which every pixel above 0 counts
    edges : from which share an object is "medium", and from which "large"

    Returns
    -------
    (N,) of "small", "medium", "large", or "none" where the mask is empty

    Notebook: 03
    """
    share = np.count_nonzero(np.asarray(masks), axis=(1, 2)) / np.prod(np.shape(masks)[1:])
    names = np.array(["small", "medium", "large"])[np.digitize(share, edges)]
    return np.where(share == 0, "none", names)


def _line(result: Localization) -> dict[str, float]:
    interval = result.interval()
    headline, *others = result.measures
    numbers = result.numbers
    line = {headline: interval.value, "low": interval.low, "high": interval.high}
    return line | {name: numbers[name] for name in others} | {"n": interval.n}
