"""The vectors that networks and rivals give to the pictures and sounds of a split.

Notebook: 02
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from llinet_lite.avc.evaluation import batch_size
from llinet_lite.avc.runs import Run
from llinet_lite.avc.task import Senses, matching
from llinet_lite.data.batches import Batches, EvaluationSet
from llinet_lite.data.store import Store
from llinet_lite.rivals.cca import CCA

See = Callable[[dict[str, Tensor]], Tensor]  # a batch of the store -> vectors (B, D)


@dataclass(frozen=True)
class Vectors:
    """The pictures and the sounds of a split as vectors of unit length.

    Attributes
    ----------
    image : (N, D) float32 Tensor, or None
        None where a method has nothing to say about pictures.
    audio : (M, E) float32 Tensor, or None
    image_label, audio_label : (N,), (M,) int array
        Class of each item.
    image_row, audio_row : (N,), (M,) int array
        Rows of the store's tables.
    paired : bool
        Whether picture i and sound i are of one moment; else they share classes only.
    """

    image: Tensor | None
    audio: Tensor | None
    image_label: np.ndarray
    audio_label: np.ndarray
    image_row: np.ndarray
    audio_row: np.ndarray
    paired: bool


def _unit(x: Tensor) -> Tensor:
    return nn.functional.normalize(x.float(), dim=1)


@torch.inference_mode()
def _vectors(batches: Batches, device, *functions: See | None) -> list[Tensor | None]:
    parts = [[] for _ in functions]
    for batch in batches:
        batch = {key: value.to(device) for key, value in batch.items()}
        for part, function in zip(parts, functions, strict=True):
            if function is not None:
                part.append(_unit(function(batch)).cpu())
    return [torch.cat(part) if part else None for part in parts]


def vectors(
    store: Store,
    split: str,
    settings,
    see: See | None,
    hear: See | None,
    *,
    view: str = "middle",
    device: str | torch.device = "cpu",
) -> Vectors:
    """Return the vectors of a split: of one frame and the second around it for each clip.

    Parameters
    ----------
    store : Store
    split : str
    settings : Profile
    see, hear : callable or None
        Batch -> vectors of its pictures, of its sounds.
    view : {"frame", "middle", "frames", "flow"}
        What `see` takes. "middle" is one picture of each clip, "frame" every picture with its sound.
    device : device of what `see` and `hear` run on

    Returns
    -------
    Vectors
        Of photos and recordings that are paired by class only: every photo, and the middle second of
        every sound.
    """
    crop = {"batch_size": batch_size(view), "image_crop": settings.image_crop}
    if matching(store, split) == "clip":
        batches = EvaluationSet(store, split, view=view, **crop)
        image, audio = _vectors(batches, device, see, hear)
        rows = batches.rows
        sounds = store.sounds(split)
        return Vectors(image, audio, rows.label, sounds.label[rows.sound], rows.image, rows.sound, True)
    pictures = EvaluationSet(store, split, item="image", **crop)
    sounds = EvaluationSet(store, split, item="sound", batch_size=batch_size(view))
    (image,), (audio,) = _vectors(pictures, device, see), _vectors(sounds, device, hear)
    labels, rows = (pictures.rows.label, sounds.rows.label), (pictures.rows.image, sounds.rows.sound)
    return Vectors(image, audio, *labels, *rows, False)


def embed(run: Run, store: Store, split: str, settings, *, every: bool = False) -> Vectors:
    """Return the vectors of a trained network: AVE-Net's embeddings, or L3-Net's features before its head.

    Of each clip one picture is embedded, or, for fitting a rival, `every` one.
    """
    device = next(run.model.parameters()).device
    senses = Senses(settings).to(device)
    return vectors(
        store,
        split,
        settings,
        lambda batch: run.model.embed_image(senses.image(batch)),
        lambda batch: run.model.embed_audio(senses.sound(batch)),
        view=("frame" if every else "middle") if run.plan.view == "frame" else run.plan.view,
        device=device,
    )


def combine(pictures: Vectors, sounds: Vectors) -> Vectors:
    """Return the pictures of one method with the sounds of another, for the same items."""
    if not (np.array_equal(pictures.image_row, sounds.image_row) and pictures.paired == sounds.paired):
        raise ValueError("both must be vectors of the same items: embed the same split in the same way")
    return replace(pictures, audio=sounds.audio)


def matched(items: Vectors, *, draws: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return picture vectors and sound vectors row by row, as a rival is fitted to them.

    Where pictures and sounds share classes only, each picture gets `draws` random sounds of its class.

    Returns
    -------
    (n, D), (n, E) Tensor
    """
    if items.paired:
        return items.image, items.audio
    rng = np.random.default_rng(seed)
    order = np.argsort(items.audio_label, kind="stable")
    ranked = items.audio_label[order]
    label = np.repeat(items.image_label, draws)
    first, last = np.searchsorted(ranked, label, "left"), np.searchsorted(ranked, label, "right")
    kept = first < last  # a class of pictures without a sound teaches nothing
    sound = order[rng.integers(first[kept], last[kept])]
    return items.image[np.repeat(np.arange(len(items.image)), draws)[kept]], items.audio[sound]


def align(cca: CCA, items: Vectors) -> Vectors:
    """Return the same items in the space that a fitted CCA shares between pictures and sounds."""
    image, audio = cca.transform_image(items.image), cca.transform_audio(items.audio)
    return replace(items, image=_unit(torch.as_tensor(image)), audio=_unit(torch.as_tensor(audio)))
