"""LLINet and its ablations in the explorer: what they see, what they hear, and where.

Notebook: 07
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from llinet_lite.data.store import Store
from llinet_lite.features import to_image
from llinet_lite.losses import cosines
from llinet_lite.show.explorer import AudioFeatures, ImageFeatures, Localizer
from llinet_lite.zeroshot.activations import see as look
from llinet_lite.zeroshot.runs import Run
from llinet_lite.zeroshot.sounding import HEATS, _refuse, usual_map
from llinet_lite.zeroshot.task import Senses, ear_of


def listener(run: Run, store: Store, settings, *, title: str = "", map: str = "") -> Localizer:
    """Return a LLINet for `show.explorer.Explorer`: maps of :func:`llinet_lite.zeroshot.locate`, any sound.

    Pictures and sounds match by the cosine of their embeddings, as in retrieval; a spot is asked for the
    cosine of its cell with the transformed sounds, as the attention loss compares them.

    Parameters
    ----------
    run : Run
        Of a LLINet.
    store : Store
        What the explorer shows.
    settings : Profile
    title : str
        Default: the network's own.
    map : {"transformed", "mean", "gate"}
        Default: the one that the network was trained for, see `usual_map`.

    Raises
    ------
    ValueError
        For a map that is not there, or a run of a rival, which has no cells.

    Notebook: 07
    """
    _refuse(run, map or "mean")  # what every LLINet can show
    map = map or usual_map(run)
    model, network, trunk = run.model, run.model.network, run.own_trunk
    device, listens = next(network.parameters()).device, map == "transformed"
    trained = model.attention or network.gate != "none"  # else its cells are the frozen trunk's own
    senses = Senses(store.sample_rate, None, (), ear=ear_of(model)).to(device)

    def see(pictures: np.ndarray) -> ImageFeatures:
        seen = look(trunk, to_image(torch.from_numpy(pictures).to(device)), ("early", "late"))
        vector, local = network.attend(seen["early"], seen["late"])
        return ImageFeatures((local if trained else seen["late"]).float(), vector.float())

    def hear(sounds: np.ndarray) -> AudioFeatures:
        vector = network.embed_audio(senses.hear(torch.from_numpy(sounds).to(device)))
        key = network.transform(vector).float() if listens else vector.new_zeros(len(vector), 0)
        return AudioFeatures(key, vector.float())

    def match(seen: ImageFeatures, heard: AudioFeatures) -> Tensor:
        return cosines(seen.vector, heard.vector)

    def fit(cell: Tensor, heard: AudioFeatures) -> Tensor:
        return cosine_similarity(cell[None], heard.key)  # (1, D), (M, D) -> (M,)

    return Localizer(
        title or model.title, settings.llinet_crop, see, hear, HEATS[map], match, fit if listens else None,
        scale="maximum", measure="cosine", whole=None, window=settings.llinet_seconds,
    )  # fmt: skip
