"""Embedding a split with any method: what a frozen trunk makes of its images, which items, their vectors.

Notebook: 02, 04, 06
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from llinet_lite.data.bandstand import first_images
from llinet_lite.data.batches import Batches, EvaluationSet
from llinet_lite.data.store import Store
from llinet_lite.experiments.methods import CORRESPONDENCE, Inputs, look, own_trunk
from llinet_lite.experiments.standins import fingerprint, sounds_of
from llinet_lite.features import LogMel, to_image
from llinet_lite.losses import float32_arithmetic
from llinet_lite.metrics.retrieval import class_retrieval

if TYPE_CHECKING:
    from llinet_lite.experiments.runs import Run
    from llinet_lite.models.trunks import Trunk
    from llinet_lite.profiles import Profile

ITEMS, PAIRS = 64, 128  # items embedded, and pairs judged at once


def activations(
    trunk: Trunk, store: Store, split: str, *, crop: int, taps: Sequence[str], rows: np.ndarray | None = None
) -> dict[str, Tensor]:
    """Return what a frozen trunk makes of the images of a split, computed once and kept beside the store.

    Tensors (N, ...) bfloat16 by tap, see :func:`look`, in the order of the image table or of `rows` (n,).
    Read from a mapped file, they take the trunk out of the training step. The price is augmentation: images
    are cropped in the middle, to `crop` pixels, and never mirrored. The trunk must have frozen_bn="eval".
    """
    if trunk.frozen_bn != "eval":
        raise ValueError('activations of a trunk with frozen_bn="train" depend on the batch: none are kept.')
    folder = store.folder / "activations" / f"{trunk.name}-{fingerprint(trunk)}-{crop}"
    mark, part = store.splits[split]["sha256"][:8], rows  # a store that is built anew has other images
    if rows is not None and not all((folder / f"{split}-{mark}-{tap}.npy").is_file() for tap in taps):
        mark, part = f"{mark}-{hashlib.sha256(np.asarray(rows, np.int64).tobytes()).hexdigest()[:8]}", None
    paths = {tap: folder / f"{split}-{mark}-{tap}.npy" for tap in taps}
    if missing := {tap: path for tap, path in paths.items() if not path.is_file()}:
        _compute(trunk, images_of(store, split, crop, rows), missing)
    # numpy has no bfloat16, so files hold its bits; "c": torch wants arrays that could be written
    kept = {tap: np.load(path, mmap_mode="c", allow_pickle=False) for tap, path in paths.items()}
    kept = {tap: torch.from_numpy(array).view(torch.bfloat16) for tap, array in kept.items()}
    return kept if part is None else {tap: values[part] for tap, values in kept.items()}


@torch.no_grad()
def _compute(trunk: Trunk, images: EvaluationSet, paths: dict[str, Path]) -> None:
    count, crop, at = len(images.rows.label), images.source.image_crop, next(trunk.parameters()).device
    first = look(trunk, torch.zeros(1, 3, crop, crop, device=at), tuple(paths))
    size = sum(2 * count * tap.numel() for tap in first.values())
    split = images.source.split
    print(f"activations of {count:,} images of {split} ({trunk.title}): {size / 1e6:,.0f} MB", flush=True)
    next(iter(paths.values())).parent.mkdir(parents=True, exist_ok=True)
    unfinished = {tap: path.with_name(f".{path.name}.{os.getpid()}") for tap, path in paths.items()}
    arrays, start = {}, 0
    try:
        for tap, path in unfinished.items():
            shape = (count, *first[tap].shape[1:])
            arrays[tap] = np.lib.format.open_memmap(path, mode="w+", dtype=np.int16, shape=shape)
        for batch in images:
            for tap, values in look(trunk, to_image(batch["image"].to(at)), tuple(paths)).items():
                bits = values.bfloat16().cpu().view(torch.int16)
                arrays[tap][start : start + len(values)] = bits.numpy()
            start += len(batch["image"])
        for tap, array in arrays.items():
            array.flush()
            os.replace(unfinished[tap], paths[tap])
    finally:
        for path in unfinished.values():
            path.unlink(missing_ok=True)


def images_of(store: Store, split: str, crop: int, rows: np.ndarray | None = None) -> EvaluationSet:
    """Batches of images of a split, cropped from the middle: all, or these rows."""
    images = EvaluationSet(store, split, batch_size=ITEMS, image_crop=crop, item="image")
    if rows is not None:
        images.rows = images.rows.take(rows)
    return images


def matching(store: Store, split: str = "train") -> str:
    """Return "clip" where images have an audio of their own, "class" where they are paired by class."""
    return "class" if (store.images(split).clip < 0).all() else "clip"


def at_once(view: str) -> int:
    """How many pairs are judged at once; fewer where each is a video."""
    return PAIRS // 4 if view == "frames" else PAIRS


@dataclass(frozen=True)
class Items:
    """The images and audio of a split that are compared, (N,) and (M,) int: rows of the store's tables."""

    image_row: np.ndarray
    audio_row: np.ndarray
    image_label: np.ndarray
    audio_label: np.ndarray
    image_clip: np.ndarray  # what the bootstrap draws; what belongs to no clip stands for itself
    audio_clip: np.ndarray
    paired: bool = False  # whether image i and audio i are of one moment; else they share classes only

    def kept(self, image: np.ndarray, audio: np.ndarray) -> Items:
        """These images and audio only, masks (N,) and (M,)."""
        sides = {"image": image, "audio": audio}
        names = [f"{side}_{what}" for side in sides for what in ("row", "label", "clip")]
        return replace(self, **{name: getattr(self, name)[sides[name[:5]]] for name in names})


def items_of(store: Store, split: str, classes: Sequence[int] | None = None, most: int = 0) -> Items:
    """One image of every clip and every audio of a split.

    `classes` are the labels that take part (default: all); of each at most the first `most` (0: all).
    """
    images, sounds = store.images(split), store.sounds(split)
    by_class = matching(store, split) == "class"

    def chosen(table, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        label = np.asarray(table.label, np.int64)[rows]
        keep = np.ones(len(rows), bool) if classes is None else np.isin(label, classes)
        if most:
            keep &= rank_in_class(label) < most
        return rows[keep], label[keep]

    image, image_label = chosen(images, np.arange(len(images)) if by_class else first_images(images))
    audio, audio_label = chosen(sounds, np.arange(len(sounds)))
    clips = (np.asarray(images.clip, np.int64)[image], audio)
    if by_class:
        clips = np.arange(len(image)), np.arange(len(audio))
    return Items(image, audio, image_label, audio_label, *clips)


def rank_in_class(label: np.ndarray) -> np.ndarray:
    """Which of its class every item is, from 0, (N,)."""
    return pd.Series(label).groupby(label).cumcount().to_numpy()


@dataclass(frozen=True)
class Embedded:
    """The items of a split as one method embeds them: image (N, ...), audio (M, ...), scores (N, M).

    Correspondence networks: vectors of length 1, and no scores, which their retrieval does not use.
    """

    items: Items
    image: Tensor
    audio: Tensor
    scores: Tensor | None = None

    def retrieval(self) -> dict:
        """Search by class in both directions, "I2A" and "A2I": name -> ClassRetrieval."""
        return class_retrieval(self.scores, self.items.image_label, self.items.audio_label)


def embed(run: Run, store: Store, split: str, items: Items | None = None, *, every: bool = False) -> Embedded:
    """Embed the items of a split with any method, on the CPU.

    Retrieval methods: `items`, by default one image of every clip and every audio, as long as the shortest of
    the split. Correspondence networks: of each clip one image, or with `every` all, as the plan's view shows
    it, and the second around it; photos and recordings that share classes only one by one.
    """
    if run.plan.method not in CORRESPONDENCE:
        return embedded(run.method, run.trunk, store, split, run.profile, items)
    view = ("frame" if every else "middle") if run.plan.view == "frame" else run.plan.view
    at = next(run.method.parameters()).device
    inputs = run.inputs.to(at)
    see = lambda batch: run.method.embed_image(inputs.image(batch))  # noqa: E731
    hear = lambda batch: run.method.embed_audio(inputs.audio(batch))  # noqa: E731
    return vectors(store, split, run.profile, see, hear, view=view, at=at)


@torch.inference_mode()
def vectors(
    store: Store, split: str, profile: Profile, see: Callable | None, hear: Callable | None, *, view="middle",
    at: str | torch.device = "cpu",
) -> Embedded:  # fmt: skip
    """Vectors of length 1 of one image of each clip, or "frame": of every one, and the second around it."""
    crop = {"batch_size": at_once(view), "image_crop": profile.image_crop}
    paired = matching(store, split) == "clip"
    if paired:
        images = sounds = EvaluationSet(store, split, view=view, **crop)
        image, audio = _vectors(images, at, see, hear)
    else:
        images = EvaluationSet(store, split, item="image", **crop)
        sounds = EvaluationSet(store, split, item="sound", batch_size=at_once(view))
        (image,), (audio,) = _vectors(images, at, see), _vectors(sounds, at, hear)
    rows = images.rows.image, sounds.rows.sound
    labels = images.rows.label, store.sounds(split).label[rows[1]].astype(np.int64)
    clips = (store.images(split).clip[rows[0]], rows[1]) if paired else (np.arange(len(r)) for r in rows)
    return Embedded(Items(*rows, *labels, *clips, paired), image, audio)


def _vectors(batches: Batches, at, *functions: Callable | None) -> list[Tensor | None]:
    parts = [[] for _ in functions]
    for batch in batches:
        batch = {key: value.to(at) for key, value in batch.items()}
        for part, function in zip(parts, functions, strict=True):
            if function is not None:
                part.append(nn.functional.normalize(function(batch).float(), dim=1).cpu())
    return [torch.cat(part) if part else None for part in parts]


@torch.no_grad()
def embedded(
    method: nn.Module, trunk: Trunk, store: Store, split: str, profile: Profile, items: Items | None = None
) -> Embedded:
    """Embed items with a retrieval method that is not in a run."""
    items, trunk = items or items_of(store, split), own_trunk(method, trunk)
    at = next(method.parameters()).device
    inputs = Inputs(getattr(method, "ear", None) or LogMel(store.sample_rate), trunk, method.needs).to(at)
    with float32_arithmetic(at):
        seen = looks(inputs, store, split, profile, items.image_row)
        image = torch.cat([method.embed_image(activation).float() for activation in seen])
        heard = (inputs.audio({"audio": b["audio"].to(at)}) for b in sounds_of(store, split, items.audio_row))
        audio = torch.cat([method.embed_audio(one).float() for one in heard])
        scores = method.scores(image, audio)
    return Embedded(items, image.cpu(), audio.cpu(), scores.cpu())


def looks(inputs: Inputs, store: Store, split: str, profile: Profile, rows: np.ndarray) -> Iterator[dict]:
    """What a trunk makes of images, batch by batch: kept, or computed now."""
    crop, at = profile.llinet_crop, next(inputs.trunk.parameters()).device
    if profile.keep_activations and inputs.trunk.frozen_bn == "eval":
        kept = activations(inputs.trunk, store, split, crop=crop, taps=inputs.needs, rows=rows)
        for start in range(0, len(rows), ITEMS):
            yield {tap: values[start : start + ITEMS].to(at).float() for tap, values in kept.items()}
        return
    for batch in images_of(store, split, crop, rows):
        yield inputs.image({"image": batch["image"].to(at)})
