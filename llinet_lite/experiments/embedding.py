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
import torch
from torch import Tensor, nn

from llinet_lite.data.bandstand import first_images
from llinet_lite.data.batches import Batches, EvaluationSet
from llinet_lite.data.store import Store
from llinet_lite.experiments.methods import CORRESPONDENCE, Inputs, look, own_trunk
from llinet_lite.experiments.standins import fingerprint
from llinet_lite.features import LogMel, to_image
from llinet_lite.losses import float32_arithmetic

if TYPE_CHECKING:
    from llinet_lite.experiments.runs import Run
    from llinet_lite.models.trunks import Trunk
    from llinet_lite.profiles import Profile

ITEMS, PAIRS = 64, 128  # items embedded, and pairs judged at once


def activations(
    trunk: Trunk, store: Store, split: str, *, crop: int, taps: Sequence[str], rows: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Return what a frozen trunk makes of the images of a split, computed once and kept beside the store.

    Kept as float16 and mapped into memory, they take the trunk out of the training step. The price is
    augmentation: images are cropped in the middle and never mirrored.

    Parameters
    ----------
    trunk : Trunk
        With `frozen_bn="eval"`: else an activation depends on the batch.
    store : Store
    split : str
    crop : int
        Side of the crop from the middle, pixels.
    taps : sequence of str
        See :func:`look`.
    rows : (n,) int array, optional
        Only these images are computed, unless all of them are there. Default: all.

    Returns
    -------
    dict of str to array (N, ...) float16, in the order of the image table, or of `rows`
    """
    if trunk.frozen_bn != "eval":
        raise ValueError('activations of a trunk with frozen_bn="train" depend on the batch: none are kept.')
    folder = store.folder / "activations" / f"{trunk.name}-{fingerprint(trunk)}-{crop}"
    mark = store.splits[split]["sha256"][:8]  # a store that is built anew has other images
    paths = {tap: folder / f"{split}-{mark}-{tap}.npy" for tap in taps}
    if rows is not None:
        if all(path.is_file() for path in paths.values()):
            return {tap: array[rows] for tap, array in _mapped(paths).items()}
        mark += "-" + hashlib.sha256(np.asarray(rows, np.int64).tobytes()).hexdigest()[:8]
        paths = {tap: folder / f"{split}-{mark}-{tap}.npy" for tap in taps}
    if missing := {tap: path for tap, path in paths.items() if not path.is_file()}:
        _compute(trunk, store, split, crop, missing, rows)
    return _mapped(paths)


def _mapped(paths: dict[str, Path]) -> dict[str, np.ndarray]:
    return {tap: np.load(path, mmap_mode="r", allow_pickle=False) for tap, path in paths.items()}


@torch.no_grad()
def _compute(trunk: Trunk, store: Store, split: str, crop: int, paths: dict[str, Path], rows) -> None:
    images = EvaluationSet(store, split, batch_size=ITEMS, image_crop=crop, item="image")
    if rows is not None:
        images.rows = images.rows.take(rows)
    count, at = len(images.rows.label), next(trunk.parameters()).device
    first = look(trunk, torch.zeros(1, 3, crop, crop, device=at), tuple(paths))
    size = sum(2 * count * tap.numel() for tap in first.values())
    print(f"activations of {count:,} images of {split} ({trunk.title}): {size / 1e6:,.0f} MB", flush=True)
    next(iter(paths.values())).parent.mkdir(parents=True, exist_ok=True)
    unfinished = {tap: path.with_name(f".{path.name}.{os.getpid()}") for tap, path in paths.items()}
    arrays = {
        tap: np.lib.format.open_memmap(
            unfinished[tap], mode="w+", dtype=np.float16, shape=(count, *first[tap].shape[1:])
        )
        for tap in paths
    }
    training, start = trunk.training, 0
    trunk.eval()
    try:
        for batch in images:
            for tap, values in look(trunk, to_image(batch["image"].to(at)), tuple(paths)).items():
                arrays[tap][start : start + len(values)] = values.cpu().numpy()
            start += len(batch["image"])
        for tap, array in arrays.items():
            array.flush()
            os.replace(unfinished[tap], paths[tap])
    finally:
        trunk.train(training)
        for path in unfinished.values():
            path.unlink(missing_ok=True)


def matching(store: Store, split: str = "train") -> str:
    """Return "clip" where images have an audio of their own, "class" where they are paired by class."""
    return "class" if (store.images(split).clip < 0).all() else "clip"


def at_once(view: str) -> int:
    """How many pairs are judged at once; fewer where each is a video."""
    return PAIRS // 4 if view == "frames" else PAIRS


@dataclass(frozen=True)
class Items:
    """The images and audio of a split that are compared: rows of the store's tables, and their labels.

    Attributes
    ----------
    image_row, audio_row : (N,), (M,) int
    image_label, audio_label : (N,), (M,) int
    image_clip, audio_clip : (N,), (M,) int
        What the bootstrap draws; what belongs to no clip stands for itself.
    paired : bool
        Whether image i and audio i are of one moment; else they share classes only.
    """

    image_row: np.ndarray
    audio_row: np.ndarray
    image_label: np.ndarray
    audio_label: np.ndarray
    image_clip: np.ndarray
    audio_clip: np.ndarray
    paired: bool = False

    def kept(self, image: np.ndarray, audio: np.ndarray) -> Items:
        """These images and audio only, masks (N,) and (M,)."""
        sides = {"image": image, "audio": audio}
        names = [f"{side}_{what}" for side in sides for what in ("row", "label", "clip")]
        return replace(self, **{name: getattr(self, name)[sides[name[:5]]] for name in names})


def items_of(store: Store, split: str, classes: Sequence[int] | None = None, most: int = 0) -> Items:
    """List one image of every clip and every audio of a split.

    Parameters
    ----------
    store : Store
    split : str
    classes : sequence of int, optional
        Labels that take part; default: all.
    most : int
        At most so many images and audios of a class, the first ones; 0: all.
    """
    images, sounds = store.images(split), store.sounds(split)
    by_class = bool((images.clip < 0).any())
    image = np.arange(len(images)) if by_class else first_images(images)
    chosen = []
    for rows, table in ((image, images), (np.arange(len(sounds)), sounds)):
        label = np.asarray(table.label)[rows]
        keep = np.ones(len(rows), bool) if classes is None else np.isin(label, classes)
        if most:
            keep &= rank_in_class(label) < most
        chosen.append((rows[keep], label[keep].astype(np.int64)))
    (image, image_label), (audio, audio_label) = chosen
    image_clip = np.arange(len(image)) if by_class else np.asarray(images.clip)[image].astype(np.int64)
    audio_clip = np.arange(len(audio)) if by_class else audio
    return Items(image, audio, image_label, audio_label, image_clip, audio_clip)


def rank_in_class(label: np.ndarray) -> np.ndarray:
    """Which of its class every item is, from 0, (N,)."""
    order = np.argsort(label, kind="stable")
    ranks = np.empty(len(label), int)
    ranks[order] = np.arange(len(label)) - np.searchsorted(label[order], label[order])
    return ranks


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
        from llinet_lite.metrics.retrieval import class_retrieval

        return class_retrieval(self.scores, self.items.image_label, self.items.audio_label)


def embed(run: Run, store: Store, split: str, items: Items | None = None, *, every: bool = False) -> Embedded:
    """Embed the items of a split with any method, on the CPU.

    Retrieval methods: `items`, by default one image of every clip and every audio, crops from the middle and
    whole audio (as much as the shortest of the split has), in float32. Correspondence networks: of each clip
    one image, or with `every` all of them, as the plan's view shows it, and the second around it; photos and
    recordings that share classes only one by one.
    """
    if run.plan.method in CORRESPONDENCE:
        view = ("frame" if every else "middle") if run.plan.view == "frame" else run.plan.view
        at = next(run.method.parameters()).device
        inputs = run.inputs.to(at)
        return vectors(
            store,
            split,
            run.profile,
            lambda batch: run.method.embed_image(inputs.image(batch)),
            lambda batch: run.method.embed_audio(inputs.audio(batch)),
            view=view,
            at=at,
        )
    return embedded(run.method, run.trunk, store, split, run.profile, items)


@torch.inference_mode()
def vectors(
    store: Store,
    split: str,
    profile: Profile,
    see: Callable | None,
    hear: Callable | None,
    *,
    view: str = "middle",
    at: str | torch.device = "cpu",
) -> Embedded:
    """Return vectors of length 1 of a split: of an image and the second around it for each clip.

    Parameters
    ----------
    see, hear : callable or None
        Batch -> vectors of its images, of its audio; None: the result has None there.
    view : {"frame", "middle", "frames", "flow"}
        What `see` takes: "middle" is one image of each clip, "frame" every image with its audio.
    at : device of what `see` and `hear` run on
    """

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
    at, training = next(method.parameters()).device, method.training
    inputs = Inputs(getattr(method, "ear", None) or LogMel(store.sample_rate), trunk, method.needs).to(at)
    shortest = int(store.sounds(split).length.min()) / store.sample_rate  # items do not change one another
    sounds = EvaluationSet(store, split, batch_size=ITEMS, item="sound", seconds=shortest)
    sounds.rows = sounds.rows.take(items.audio_row)
    method.eval()
    try:
        with float32_arithmetic(at):
            image = torch.cat(
                [method.embed_image(x).float() for x in looks(inputs, store, split, profile, items.image_row)]
            )
            audio = torch.cat(
                [method.embed_audio(inputs.audio({"audio": b["audio"].to(at)})).float() for b in sounds]
            )
            scores = method.scores(image, audio)
    finally:
        method.train(training)
    return Embedded(items, image.cpu(), audio.cpu(), scores.cpu())


def looks(inputs: Inputs, store: Store, split: str, profile: Profile, rows: np.ndarray) -> Iterator[dict]:
    """What a trunk makes of images, batch by batch: kept, or computed now."""
    crop, at = profile.llinet_crop, next(inputs.trunk.parameters()).device
    if profile.keep_activations and inputs.trunk.frozen_bn == "eval":
        kept = activations(inputs.trunk, store, split, crop=crop, taps=inputs.needs, rows=rows)
        for start in range(0, len(rows), ITEMS):
            part = {tap: np.array(values[start : start + ITEMS]) for tap, values in kept.items()}
            yield {tap: torch.from_numpy(values).to(at).float() for tap, values in part.items()}
        return
    images = EvaluationSet(store, split, batch_size=ITEMS, image_crop=crop, item="image")
    images.rows = images.rows.take(rows)
    for batch in images:
        yield inputs.image({"image": batch["image"].to(at)})
