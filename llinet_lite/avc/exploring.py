"""AVOL-Net in the explorer: what it sees, what it hears, and where.

Notebook: 03, 07
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from llinet_lite.avc.runs import Run
from llinet_lite.avc.task import Senses
from llinet_lite.data.store import Store
from llinet_lite.models import AVOLNet
from llinet_lite.show.explorer import AudioFeatures, ImageFeatures, Localizer

SECOND = 1.0  # of sound that AVOL-Net hears at once


def listener(run: Run, store: Store, settings, *, title: str = "AVOL-Net") -> Localizer:
    """Return an AVOL-Net for `show.explorer.Explorer`: maps of :func:`llinet_lite.avc.locate`, any sound.

    A picture and a sound match as much as the best cell says; a spot is asked for the probability of its
    cell. The second around the picture's moment is heard, the middle one where there is no moment.

    Parameters
    ----------
    run : Run
        Of an AVOL-Net.
    store : Store
        What the explorer shows: its sample rate must be the network's.
    settings : Profile
    title : str

    Raises
    ------
    ValueError
        If the run is of another network, or the store has another sample rate than the profile.

    Notebook: 03, 07
    """
    model = run.model
    if not isinstance(model, AVOLNet):
        raise ValueError(f"{run.plan.network} makes no maps: give a run of an AVOL-Net")
    if store.sample_rate != settings.sample_rate:
        raise ValueError(
            f"the sounds have {store.sample_rate} Hz, the profile {settings.sample_rate}: build the store "
            "under this profile"
        )
    device = next(model.parameters()).device
    senses = Senses(settings).to(device)

    def see(pictures: np.ndarray) -> ImageFeatures:
        return ImageFeatures(model.embed_image(senses.see(torch.from_numpy(pictures).to(device))).float())

    def hear(sounds: np.ndarray) -> AudioFeatures:
        return AudioFeatures(model.embed_audio(senses.hear(torch.from_numpy(sounds).to(device))).float())

    def match(seen: ImageFeatures, heard: AudioFeatures) -> Tensor:
        return model.all_pairs(seen.cells, heard.key).softmax(-1)[..., 1]  # (N, M, 2) -> (N, M)

    def fit(cell: Tensor, heard: AudioFeatures) -> Tensor:
        cells = cell[None, :, None, None].expand(len(heard.key), -1, -1, -1)  # (D,) -> (M, D, 1, 1)
        return model.heat(cells, heard.key)[:, 0, 0]

    return Localizer(
        title, settings.image_crop, see, hear, model.heat, match, fit,
        scale="probability", measure="probability", whole=SECOND, window=SECOND,
    )  # fmt: skip
