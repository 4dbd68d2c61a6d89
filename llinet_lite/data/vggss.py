"""VGG-SS: where the sound comes from in 5,158 clips of VGGSound, as boxes drawn by hand.

Source: Chen et al., *Localizing Visual Sounds the Hard Way* (CVPR 2021).

Notebook: 03
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["BoxedClip", "read_boxes", "read_list", "union_masks"]


@dataclass(frozen=True, eq=False)
class BoxedClip:
    """One annotated clip.

    Attributes
    ----------
    id : str, video and start in seconds, as "zpWuikVorYg_000032"
    label : str, class of VGGSound
    boxes : (k, 4) float64, left, top, right, bottom as shares of width and height, cut to [0, 1]
    """

    id: str
    label: str
    boxes: np.ndarray


def read_boxes(path: str | Path, ids: Iterable[str] | None = None) -> list[BoxedClip]:
    """Read the file of boxes, `vggss.json`.

    The published file holds 5,158 clips of 221 classes and 5,941 boxes. 18 boxes have no area: 14
    coordinates are about -3e16 and some boxes are points or lines. They are kept, so that the counts are
    the published ones; two clips have no other box, and their masks are empty.

    Parameters
    ----------
    path : str or Path
    ids : the clips wanted, in this order, as `read_list` gives them; None: all, in the file's order

    Returns
    -------
    list of BoxedClip

    Raises
    ------
    ValueError
        If the file is no list of clips, a box has not four finite numbers, a clip is there twice, or one of
        `ids` is missing.

    Notebook: 03
    """
    try:
        rows = json.loads(Path(path).read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); copy vggss.json again.") from None
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} must be a list of clips; got {type(rows).__name__}. Is it vggss.json?")
    clips = [_clip(row, k, path) for k, row in enumerate(rows)]
    by_id = {clip.id: clip for clip in clips}
    if len(by_id) < len(clips):
        raise ValueError(f"{path}: {len(clips) - len(by_id)} clips are listed more than once.")
    if ids is None:
        return clips
    wanted = list(ids)
    if missing := [name for name in wanted if name not in by_id]:
        raise ValueError(f"{path} has no boxes for {len(missing)} of {len(wanted)} clips, as {missing[0]!r}.")
    return [by_id[name] for name in wanted]


def _clip(row, k: int, path) -> BoxedClip:
    try:
        name, label, boxes = str(row["file"]), str(row["class"]), np.asarray(row["bbox"], float)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}, clip {k}: needs 'file', 'class' and 'bbox' ({type(error).__name__}: {error})."
        ) from None
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"{path}, clip {k} ({name}): every box needs four finite numbers.")
    return BoxedClip(name, label, boxes.clip(0, 1))


def read_list(path: str | Path) -> list[str]:
    """Read a test list, one clip a line: all 5,158, or 2,564 of heard and 2,575 of unheard classes.

    Raises
    ------
    ValueError
        If the list is empty or names a clip twice.

    Notebook: 03
    """
    names = [line.strip() for line in Path(path).read_text("utf-8").splitlines() if line.strip()]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{path} must name at least one clip, and each once; it has {len(names)} lines.")
    return names


def union_masks(clips: Sequence[BoxedClip], size: int = 224) -> np.ndarray:
    """Draw the boxes: a pixel is sounding if any box of the clip holds it.

    Corners are cut to whole pixels (3.9 becomes 3) and the right and lower ones are left out, as the public
    evaluations do it.

    Parameters
    ----------
    clips : sequence of BoxedClip
    size : int, height and width in pixels

    Returns
    -------
    (N, size, size) bool; all False where no box of the clip has an area

    Notebook: 03
    """
    masks = np.zeros((len(clips), size, size), bool)
    for mask, clip in zip(masks, clips, strict=True):
        for left, top, right, bottom in (clip.boxes * size).astype(int):
            mask[top:bottom, left:right] = True
    return masks
