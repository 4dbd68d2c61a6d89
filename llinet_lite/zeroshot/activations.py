"""What the frozen trunk makes of every picture, computed once and kept beside the store.

A frozen network gives the same picture the same activations in every epoch, as long as the picture is not
changed. Kept on disk as float16 and mapped into memory, they take the trunk out of the training step. The
price is augmentation: pictures are cropped in the middle and never mirrored.

Notebook: 04
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from llinet_lite.data.batches import Batches, EvaluationSet
from llinet_lite.data.parallel import Progress
from llinet_lite.data.store import Store
from llinet_lite.features import to_image
from llinet_lite.models.trunks import Trunk

TAPS = ("early", "late", "map", "pooled", "teacher")
BATCH = 64  # pictures computed at once


@torch.no_grad()
def see(trunk: Trunk, image: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
    """Return what a frozen trunk makes of pictures.

    Parameters
    ----------
    trunk : Trunk
    image : Tensor (B, 3, H, W) float in [0, 1]
    taps : sequence of str
        Of "early" (layer2), "late" (layer3), "map" (layer4) (B, C, h, w); "pooled" (B, F), the mean of the
        map; "teacher" (B, T), the class probabilities of the trunk's own classifier.

    Returns
    -------
    dict of str to Tensor

    Notebook: 04
    """
    early = trunk.early(image)
    late = trunk.late(early)
    seen = {"early": early, "late": late}
    if set(taps) - seen.keys():
        last = trunk.top(late)
        seen |= {"map": last, "pooled": trunk.pool(last)}
        if "teacher" in taps:
            seen["teacher"] = trunk.logits(last).float().softmax(1)
    return {tap: seen[tap] for tap in taps}


def fingerprint(network: Trunk | nn.Module) -> str:
    """Return a name of what a frozen network computes: of its weights and, for a trunk, its normalisation."""
    said = f"{network.name} {network.normalization}" if isinstance(network, Trunk) else network.title
    mark = hashlib.sha256(said.encode())
    for name, value in sorted(network.state_dict().items()):
        if "num_batches_tracked" not in name:
            mark.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return mark.hexdigest()[:12]


def activations(
    trunk: Trunk,
    store: Store,
    split: str,
    *,
    image_crop: int,
    taps: Sequence[str],
    rows: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Return the activations of the pictures of a split, computing those that are not there yet.

    Parameters
    ----------
    trunk : Trunk
        Frozen, in eval mode: with `frozen_bn="train"` an activation depends on the batch.
    store : Store
    split : str
    image_crop : int
        Side of the crop from the middle, pixels.
    taps : sequence of str
        See :func:`see`.
    rows : (n,) int array, optional
        Of the image table: only these pictures are computed, unless all of them are there. Default: all.

    Returns
    -------
    dict of str to array (N, ...) float16, mapped from the disk, in the order of the image table, or of `rows`

    Raises
    ------
    ValueError
        If the trunk's batch normalisations follow the batch.

    Notebook: 04
    """
    if trunk.frozen_bn != "eval":
        raise ValueError('activations of a trunk with frozen_bn="train" depend on the batch: none are kept.')
    folder = store.folder / "activations" / f"{trunk.name}-{fingerprint(trunk)}-{image_crop}"
    mark = store.splits[split]["sha256"][:8]  # a store that is built anew has other pictures
    paths = {tap: folder / f"{split}-{mark}-{tap}.npy" for tap in taps}
    if rows is not None:
        if all(path.is_file() for path in paths.values()):
            return {tap: array[rows] for tap, array in _mapped(paths).items()}
        mark += "-" + hashlib.sha256(np.asarray(rows, np.int64).tobytes()).hexdigest()[:8]
        paths = {tap: folder / f"{split}-{mark}-{tap}.npy" for tap in taps}
    missing = [tap for tap in taps if not paths[tap].is_file()]
    if missing:
        _compute(trunk, store, split, image_crop, {tap: paths[tap] for tap in missing}, rows)
    return _mapped(paths)


def _mapped(paths: dict[str, Path]) -> dict[str, np.ndarray]:
    return {tap: np.load(path, mmap_mode="r", allow_pickle=False) for tap, path in paths.items()}


def _compute(
    trunk: Trunk, store: Store, split: str, image_crop: int, paths: dict[str, Path], rows: np.ndarray | None
) -> None:
    pictures = EvaluationSet(store, split, batch_size=BATCH, image_crop=image_crop, item="image")
    if rows is not None:
        pictures.rows = pictures.rows.take(rows)
    count, device = len(pictures.rows.label), next(trunk.parameters()).device
    first = see(trunk, torch.zeros(1, 3, image_crop, image_crop, device=device), tuple(paths))
    size = sum(2 * count * tap.numel() for tap in first.values())
    print(f"activations of {count:,} pictures of {split} ({trunk.title}): {size / 1e6:,.0f} MB", flush=True)
    next(iter(paths.values())).parent.mkdir(parents=True, exist_ok=True)
    unfinished = {tap: path.with_name(f".{path.name}.{os.getpid()}") for tap, path in paths.items()}
    arrays = {
        tap: np.lib.format.open_memmap(
            unfinished[tap], mode="w+", dtype=np.float16, shape=(count, *first[tap].shape[1:])
        )
        for tap in paths
    }
    training, start = trunk.training, 0
    progress = Progress(count, f"activations of {split}", "pictures")
    trunk.eval()
    try:
        for batch in pictures:
            seen = see(trunk, to_image(batch["image"].to(device)), tuple(paths))
            for tap, values in seen.items():
                arrays[tap][start : start + len(values)] = values.cpu().numpy()
            start += len(batch["image"])
            with contextlib.redirect_stderr(sys.stdout):
                progress.add(len(batch["image"]))
        for tap, array in arrays.items():
            array.flush()
            os.replace(unfinished[tap], paths[tap])
    finally:
        trunk.train(training)
        for path in unfinished.values():
            path.unlink(missing_ok=True)


class ActivationBatches(Batches):
    """Batches whose pictures are replaced by their activations, under the names of the taps.

    Parameters
    ----------
    batches : Batches
        Read without pictures (`image_crop=None`).
    seen : dict of str to array (N, ...)
        As :func:`activations` returns them.
    """

    def __init__(self, batches: Batches, seen: dict[str, np.ndarray]):
        super().__init__(batches.source, batches.rows, batches.batch_size)
        self.seen = seen

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        batch = super().__getitem__(i)
        image = self.rows.image[i * self.batch_size : (i + 1) * self.batch_size]
        return batch | {tap: torch.from_numpy(values[image]) for tap, values in self.seen.items()}
