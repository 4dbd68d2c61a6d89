"""Where LLINet hears a sound in the pictures of a split, and with which sounds that is tried.

Notebook: 07
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from llinet_lite import sounding
from llinet_lite.data.batches import EvaluationSet
from llinet_lite.data.store import Store
from llinet_lite.features import to_image
from llinet_lite.sounding import Duets, Located
from llinet_lite.zeroshot.activations import activations, see
from llinet_lite.zeroshot.runs import Run
from llinet_lite.zeroshot.task import Senses, ear_of

BATCH = 64  # pictures and sounds at once
SPLITS = {"solos": "unseen", "mixed": "scenes_unseen"}  # of the built-in world, classes never seen


def _transformed(cells: Tensor, sound: Tensor) -> Tensor:
    return torch.einsum("bchw,bc->bhw", cells, sound)


def _mean(cells: Tensor, _) -> Tensor:
    return cells.mean(1)


def _gate(cells: Tensor, _) -> Tensor:
    return cells.flatten(2).softmax(2).mean(1).view_as(cells[:, 0])  # (B, C, h w) -> (B, h, w)


HEATS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "transformed": _transformed,
    "mean": _mean,
    "gate": _gate,
}


def usual_map(run: Run) -> str:
    """Return the map that a network was trained for: see :func:`locate`.

    "transformed" with the attention loss; without it the transformation W keeps its random start, so "gate"
    where there is a gate, and "mean" where there is none.
    """
    if run.model.attention:
        return "transformed"
    return "mean" if run.model.network.gate == "none" else "gate"


@torch.inference_mode()
def locate(
    run: Run, store: Store, split: str, settings, *, map: str = "transformed", seed: int = 0
) -> Located:
    r"""Return the cells and the sounds of every picture of a split.

    .. math:: s_i = \bar v_i \cdot \bar a, \qquad
              m_i = \tfrac1C \sum_c \bar v_{ci}, \qquad
              g_i = \tfrac1C \sum_c \mathrm{softmax}_i(\bar v_{ci})

    with the local features v_bar (C, h, w), and the transformed sound a_bar = ReLU(W a' + b).

    Parameters
    ----------
    run : Run
        Of a LLINet.
    store : Store
    split : str
        One with masks.
    settings : Profile
    map : {"transformed", "mean", "gate"}
        "transformed": s, the published map; each picture's own whole sound is heard. Without the attention
        loss W was never trained, and s weighs the channels at random. "mean": m, in which the sound plays no
        part; how the published Baseline makes its map is not stated, the released code has such a branch.
        "gate": g, what opens the picture's own path, the one map that the matching loss alone trains.
        Of a network without a gate and without the attention loss the attention layer was never trained: the
        cells are then the frozen trunk's own.
    seed : int
        Of the sounds, where pictures and sounds share classes only.

    Returns
    -------
    Located
        Its maps are not negative for a trunk that ends in ReLU, and on no fixed scale.

    Raises
    ------
    ValueError
        For a map that is not there; if the run is of a rival, which has no cells, or of a network without
        a gate for "gate"; if the split holds no masks, or pictures of a class of which it has no sound.

    Notebook: 07
    """
    _refuse(run, map)
    pictures = EvaluationSet(
        store, split, batch_size=BATCH, image_crop=settings.llinet_crop, item="image", objects=True
    )
    cells, objects = _look(run, store, split, settings, pictures)
    images, rows = store.images(split), pictures.rows.image
    label = images.label[rows].astype(np.int64)
    by_class = bool((images.clip < 0).any())
    if map == "transformed":
        vectors, silence = _hear(run, store, split)
        sound = vectors[
            _of_class(store, split, label, seed) if by_class else images.clip[rows].astype(np.int64)
        ]
    else:
        sound, silence = cells.new_zeros(len(cells), 0), cells.new_zeros(0)  # nothing is heard
    clip = rows if by_class else images.clip[rows]
    return Located(
        run.model.title, HEATS[map], cells, sound, silence, objects, label, rows, clip, images.kind[rows]
    )


def _refuse(run: Run, map: str) -> None:
    if map not in HEATS:
        raise ValueError(f"map must be one of {', '.join(HEATS)}, not {map!r}")
    network = getattr(run.model, "network", None)
    if network is None:
        raise ValueError(f"{run.plan.method} has one vector per picture, no cells: only LLINet makes maps")
    if map == "gate" and network.gate == "none":
        raise ValueError('this network has no gate (gate="none"): its map is "mean"')


def _look(run, store, split, settings, pictures) -> tuple[Tensor, np.ndarray]:
    """Cells (N, C, h, w) float32 of all pictures, and their masks (N, H, W) uint8."""
    network, trunk = run.model.network, run.own_trunk
    trained = run.model.attention or network.gate != "none"
    tap = "early" if trained else "late"
    device, seen = next(network.parameters()).device, None
    if settings.keep_activations and trunk.frozen_bn == "eval":
        seen = activations(trunk, store, split, image_crop=settings.llinet_crop, taps=(tap,))[tap]
    cells, objects = [], []
    for k, batch in enumerate(pictures):
        if seen is None:
            values = see(trunk, to_image(batch["image"].to(device)), (tap,))[tap]
        else:
            values = torch.from_numpy(np.array(seen[k * BATCH : (k + 1) * BATCH])).to(device)
        values = values.float()
        cells.append(values if tap == "late" else network.attention(values).float())
        objects.append(batch["objects"].numpy())
    return torch.cat(cells), np.concatenate(objects)


def _sounds(store: Store, split: str) -> EvaluationSet:
    """All sounds of a split, as much of each as the shortest has, in the middle."""
    shortest = int(store.sounds(split).length.min()) / store.sample_rate
    return EvaluationSet(store, split, batch_size=BATCH, item="sound", seconds=shortest)


@torch.inference_mode()
def _hear(run: Run, store: Store, split: str) -> tuple[Tensor, Tensor]:
    """Transformed sounds (M, C) of a whole split, and of zeros, (C,)."""
    network, sounds = run.model.network, _sounds(store, split)
    device = next(network.parameters()).device
    senses = Senses(store.sample_rate, None, (), ear=ear_of(run.model)).to(device)

    def heard(audio: Tensor) -> Tensor:
        return network.transform(network.embed_audio(senses.hear(audio.to(device)))).float()

    vectors = torch.cat([heard(batch["audio"]) for batch in sounds])
    return vectors, heard(torch.zeros(1, sounds.source.length, dtype=torch.int16))[0]


def _of_class(store: Store, split: str, labels: np.ndarray, seed: int) -> np.ndarray:
    """Random sounds of the classes, rows of the split's table, (n,)."""
    return _sounds(store, split).source.same_class(labels, np.random.default_rng(seed))


def duets(
    run: Run,
    store: Store,
    settings,
    *,
    split: str = SPLITS["mixed"],
    solos: str = SPLITS["solos"],
    seed: int = 0,
) -> Duets:
    """Try the duets of a split with solo sounds of their two classes, and of a third.

    Parameters
    ----------
    run : Run
        Of a LLINet with an attention loss.
    store : Store
        A built-in world.
    settings : Profile
    split, solos : str
        Split of the scenes, and of the recordings: other instruments than those in the picture.
    seed : int
        Which recordings.

    Notebook: 07
    """
    vectors, _ = _hear(run, store, solos)

    def sounds_of(labels: np.ndarray, seed: int) -> Tensor:
        return vectors[_of_class(store, solos, labels, seed)]

    scenes = locate(run, store, split, settings)
    return sounding.duets(scenes, store, split, sounds_of, solos=solos, seed=seed)


def peaks(
    run: Run, store: Store, settings, *, solos: str = SPLITS["solos"], mixed: str = SPLITS["mixed"]
) -> dict[str, np.ndarray]:
    """Return the highest map value of every picture by kind of scene; solos also with a wrong sound.

    Notebook: 07
    """
    return sounding.peaks(locate(run, store, solos, settings), locate(run, store, mixed, settings))
