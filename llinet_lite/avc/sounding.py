"""Where AVOL-Net hears a sound in the pictures of a split, and with which sounds that is tried.

Notebook: 03
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from llinet_lite.avc.evaluation import BATCH
from llinet_lite.avc.runs import Run
from llinet_lite.avc.task import Senses, matching
from llinet_lite.data.batches import EvaluationSet
from llinet_lite.data.store import Store
from llinet_lite.sounding import Located


@torch.inference_mode()
def locate(run: Run, store: Store, split: str, settings, *, seed: int = 0) -> Located:
    """Return the cells and the sounds of every picture of a split.

    Parameters
    ----------
    run : Run
        Of an AVOL-Net.
    store : Store
    split : str
        One with masks.
    settings : Profile
    seed : int
        Of the sounds, where pictures and sounds share classes only.

    Raises
    ------
    ValueError
        If the split holds no masks.
    """
    model, senses = run.model, Senses(settings)
    device = next(model.parameters()).device
    senses = senses.to(device)
    paired = matching(store, split) == "clip"
    item = "pair" if paired else "image"
    batches = EvaluationSet(
        store, split, batch_size=BATCH, image_crop=settings.image_crop, item=item, objects=True
    )
    cells, sounds, objects = [], [], []
    for batch in batches:
        cells.append(model.embed_image(senses.see(batch["image"].to(device))).float())
        if paired:
            sounds.append(model.embed_audio(senses.hear(batch["audio"].to(device))).float())
        objects.append(batch["objects"].numpy())
    images, rows = store.images(split), batches.rows.image
    label = images.label[rows].astype(np.int64)
    sound = torch.cat(sounds) if paired else sounds_of(run, store, split, settings, label, seed=seed)
    zeros = torch.zeros(1, store.sample_rate, dtype=torch.int16, device=device)
    silence = model.embed_audio(senses.hear(zeros))[0].float()
    clip = images.clip[rows] if paired else rows
    seen = torch.cat(cells), sound, silence, np.concatenate(objects)
    return Located("AVOL-Net", model.heat, *seen, label, rows, clip, images.kind[rows])


@torch.inference_mode()
def sounds_of(
    run: Run, store: Store, split: str, settings, labels: Sequence[int], *, seed: int = 0
) -> Tensor:
    """Return the vectors of random recordings of the given classes, (n, D): the middle second of each.

    Raises
    ------
    ValueError
        If the split has no sound of a class.
    """
    device = next(run.model.parameters()).device
    senses, parts = Senses(settings).to(device), []
    batches = EvaluationSet(store, split, batch_size=BATCH, item="sound")
    for batch in batches:
        parts.append(run.model.embed_audio(senses.hear(batch["audio"].to(device))).float())
    picks = batches.source.same_class(np.asarray(labels), np.random.default_rng(seed))
    return torch.cat(parts)[picks]
