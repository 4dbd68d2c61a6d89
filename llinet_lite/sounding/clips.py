"""A trained network and somebody's clips: what it makes of each, and three questions to all of them.

Nothing is trained here. A listener (:class:`llinet_lite.show.explorer.Localizer`) sees one picture of
every clip and hears the second of sound around it.

Notebook: 10
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import normalize

from llinet_lite.data.batches import Batches, EvaluationSet, Rows, Source
from llinet_lite.data.store import Store
from llinet_lite.show import figures
from llinet_lite.show.explorer import AudioFeatures, ImageFeatures, Localizer

BATCH = 64  # clips sensed at once
SECOND = 1.0  # of sound around each picture
ROLLS = 2000  # permutations against which luck is measured


@dataclass(frozen=True)
class Clips:
    """The clips of a store as a network senses them, split after split.

    Attributes
    ----------
    listener : Localizer
    image : (N, S, S, 3) uint8
        The earliest picture of every clip, the square in its middle.
    audio : (N, n) int16
        The second of sound around it.
    seen, heard : ImageFeatures, AudioFeatures
        Of N pictures and N sounds.
    label : (N,) int
    file : tuple of str
        The clips' names in the store.
    time : (N,) float
        When the picture is shown, seconds into the clip.
    """

    listener: Localizer
    image: np.ndarray
    audio: np.ndarray
    seen: ImageFeatures
    heard: AudioFeatures
    label: np.ndarray
    file: tuple[str, ...]
    time: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @torch.inference_mode()
    def match(self) -> np.ndarray:
        """Return how well every picture matches every sound, (N, N); its own sound is on the diagonal."""
        return self.listener.match(self.seen, self.heard).cpu().numpy()

    @torch.inference_mode()
    def maps(self, shift: int = 0) -> Tensor:
        """Return the maps (N, h, w) in [0, 1]; with `shift`, every picture hears the clip so much further on.

        Of a network without a scale: the share of each map's maximum.
        """
        heats = self.listener.heat(self.seen.cells, self.heard.key.roll(shift, 0)).cpu()
        if self.listener.scale == "probability":
            return heats
        return heats / heats.amax((1, 2), keepdim=True).clamp_min(1e-12)

    def moved(self, shift: int = 1) -> float:
        """Return the share of the pictures whose highest cell is another one for another clip's sound."""
        own, other = (self.maps(by).flatten(1).argmax(1) for by in (0, shift))  # (N, h, w) -> (N, h w)
        return float((own != other).double().mean())


@torch.inference_mode()
def sense(listener: Localizer, store: Store) -> Clips:
    """Show one picture of every clip of a store to a network, and let it hear the second around it.

    Parameters
    ----------
    listener : Localizer
        Of :func:`llinet_lite.avc.listener` or :func:`llinet_lite.zeroshot.listener`.
    store : Store
        Whose pictures belong to clips, as those of videos do.

    Returns
    -------
    Clips

    Raises
    ------
    ValueError
        If pictures and sounds are paired by class only.

    Notebook: 10
    """
    image, audio, label, file, time = [], [], [], [], []
    for split in store.splits:
        source, rows = _one_each(store, split, listener.side)
        for batch in Batches(source, rows, BATCH):
            image.append(batch["image"].numpy())
            audio.append(batch["audio"].numpy())
        label.append(rows.label)
        time.append(source.images.time[rows.image])
        file += [source.sounds.id[clip] for clip in rows.sound]
    seen = _joined(ImageFeatures, [listener.embed_image(part) for part in image], ("cells", "vector"))
    heard = _joined(AudioFeatures, [listener.embed_audio(part) for part in audio], ("key", "vector"))
    image, audio, label, time = (np.concatenate(parts) for parts in (image, audio, label, time))
    return Clips(listener, image, audio, seen, heard, label, tuple(file), time)


def _one_each(store: Store, split: str, side: int) -> tuple[Source, Rows]:
    """The earliest picture of every clip of a split, with the second of sound around it."""
    if (store.images(split).clip < 0).any():
        raise ValueError(f"{split} is paired by class only: search it with zeroshot.embed, or give videos")
    source = Source(store, split, side, SECOND, "middle")
    image = source.pool
    moment = np.rint(source.images.time[image].astype(np.float64) * store.sample_rate).astype(np.int64)
    return source, source.rows(image, source.images.clip[image], moment - source.length // 2, None)


def _joined(kind, parts: list, names: Sequence[str]):
    """Many batches of ImageFeatures or AudioFeatures as one; what a network does not have stays None."""
    columns = [[getattr(part, name) for part in parts] for name in names]
    return kind(*(None if column[0] is None else torch.cat(column) for column in columns))


def own_ranks(scores: np.ndarray) -> np.ndarray:
    r"""Return the rank of every query's own answer, (N,), 1 for the best.

    .. math:: r_i = 1 + \#\{j: s_{ij} > s_{ii}\} + \tfrac12 \#\{j \ne i: s_{ij} = s_{ii}\}

    Parameters
    ----------
    scores : (N, N)
        Own pairs on the diagonal.

    Notebook: 10
    """
    own = np.diag(scores)[:, None]
    return 1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2


def luck(scores: np.ndarray, *, seed: int = 0) -> float:
    """Return how often a random assignment of the sounds gives a mean rank as good as the true one.

    Parameters
    ----------
    scores : (N, N)
        Own pairs on the diagonal.
    seed : int
        Of 2000 permutations; the true assignment counts as one of them, so the value is never 0.

    Returns
    -------
    p : float
        Of a permutation test that needs no labels.

    Notebook: 10
    """
    rng, true = np.random.default_rng(seed), own_ranks(scores).mean()
    tried = [own_ranks(scores[:, rng.permutation(len(scores))]).mean() for _ in range(ROLLS)]
    return (1 + sum(rank <= true for rank in tried)) / (1 + ROLLS)


@torch.inference_mode()
def prototypes(
    listener: Localizer, store: Store, splits: Sequence[str], *, most: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return what the classes of a store sound like to a network: the mean of some embeddings of each.

    .. math:: \mu_c = \tfrac1{n_c} \sum_{i: y_i = c} a_i / \lVert a_i \rVert

    Parameters
    ----------
    listener : Localizer
        One with a vector per sound.
    store : Store
    splits : sequence of str
        Where the sounds are.
    most : int
        Sounds of each class, the first ones of a split; their middle second is heard.

    Returns
    -------
    labels : (K,) int, rising
    means : (K, D) float32

    Notebook: 10
    """
    found = {}
    for split in splits:
        sounds = EvaluationSet(store, split, batch_size=BATCH, item="sound", seconds=SECOND)
        label = store.sounds(split).label
        for k in np.unique(label):
            rows = sounds.rows.take(np.flatnonzero(label == k)[:most])
            vectors = normalize(listener.embed_audio(sounds.source.read_sounds(rows)).vector, dim=1)
            found[int(k)] = vectors.mean(0).cpu().numpy()
    labels = sorted(found)
    return np.array(labels), np.stack([found[k] for k in labels])


def rank_figure(scores: dict[str, np.ndarray]) -> Figure:
    """Draw the rank of every sound for every picture, one panel per network."""
    fig, axes = plt.subplots(
        1, len(scores), figsize=(5 * len(scores), 4.4), layout="constrained", squeeze=False
    )
    for ax, (name, values) in zip(axes[0], scores.items(), strict=True):
        ranks = np.argsort(np.argsort(-values, axis=1), axis=1) + 1
        drawn = ax.imshow(ranks, cmap="magma_r", vmin=1)
        ax.set(title=name, xlabel="sound of clip number", ylabel="picture of clip number")
    fig.colorbar(drawn, ax=axes, label="rank of the sound for the picture, 1: best")
    return fig


def clip_maps(
    clips: dict[str, Clips], which: Sequence[int], masks: dict[str, np.ndarray], captions: Sequence[str]
) -> Figure:
    """Draw some pictures under the maps of several networks, one row for each.

    Parameters
    ----------
    clips : dict of str to Clips
        By the name of the network.
    which : sequence of int
        Numbers of the clips.
    masks : dict of str to (N, S, S) bool
        Where the thing that sounds is seen, by the name of the network; all False where nobody knows.
    captions : sequence of N str
    """
    size = (2.3 * len(which), 2.7 * len(clips))
    fig, axes = plt.subplots(len(clips), len(which), figsize=size, layout="constrained", squeeze=False)
    for line, (name, of) in zip(axes, clips.items(), strict=True):
        maps = of.maps().numpy()
        for ax, k in zip(line, which, strict=True):
            title = f"{name}\n{captions[k]}"
            figures.overlay(ax, of.image[k], maps[k].clip(0, 1), masks[name][k], title=title)
    return fig
