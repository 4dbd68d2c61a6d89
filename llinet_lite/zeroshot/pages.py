"""What lesson 04 shows: the classes, examples to hear, what a trunk is worth, the walk through every tensor.

Notebook: 04
"""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from llinet_lite.classifier import class_hits, seen_labels
from llinet_lite.data.batches import EvaluationSet
from llinet_lite.data.store import Store
from llinet_lite.features import LogMel, center_crop, to_image, to_waveform
from llinet_lite.metrics.intervals import clip_bootstrap
from llinet_lite.metrics.retrieval import chance_recall_at_1
from llinet_lite.models import LLINet
from llinet_lite.models.trunks import Trunk
from llinet_lite.results import Result
from llinet_lite.zeroshot.activations import see
from llinet_lite.zeroshot.evaluation import items_of


def classes_of(store: Store, split: str) -> list[str]:
    """Return the names of the classes of a split, in the order of their labels."""
    return [store.classes[label]["name"] for label in np.unique(np.asarray(store.images(split).label))]


def class_counts(store: Store) -> Figure:
    """Draw how many clips (or pictures without a clip) every class has, seen classes first."""
    fig, axes = plt.subplots(2, 1, figsize=(9, 4.4), layout="constrained", height_ratios=(1, 1))
    for ax, split, title in zip(axes, ("train", "unseen"), ("seen, training", "unseen, test"), strict=True):
        labels, counts = np.unique(items_of(store, split).image_label, return_counts=True)
        names = [store.classes[label]["name"] for label in labels]
        ax.bar(names, counts, color="C0" if split == "train" else "C1", width=0.7)
        ax.set(ylabel="pictures", title=f"{title}: {len(labels)} classes, {counts.sum():,} pictures")
        ax.tick_params(axis="x", rotation=40)
        plt.setp(ax.get_xticklabels(), ha="right", rotation_mode="anchor")
    return fig


@dataclass(frozen=True)
class Example:
    """A picture (H, W, 3) uint8 and a sound (n,) int16 of one class."""

    name: str
    image: np.ndarray
    audio: np.ndarray


def examples(store: Store, split: str, count: int = 3) -> list[Example]:
    """Return the first item of `count` classes that are spread over the split."""
    items = items_of(store, split)
    labels = np.unique(items.image_label)
    chosen = labels[np.linspace(0, len(labels) - 1, count).round().astype(int)]
    images, sounds = store.images(split), store.sounds(split)
    found = []
    for label in chosen:
        image = int(items.image_row[np.flatnonzero(items.image_label == label)[0]])
        sound = int(items.sound_row[np.flatnonzero(items.sound_label == label)[0]])
        audio = np.array(sounds.audio(sound, 0, int(sounds.length[sound])))  # a copy: tensors are writable
        found.append(Example(store.classes[int(label)]["name"], images.image(image), audio))
    return found


def pictures(store: Store, split: str, *, count: int, crop: int) -> Tensor:
    """Return one picture of each of the first `count` clips, (count, 3, crop, crop) in [0, 1]."""
    rows = items_of(store, split).image_row[:count]
    images = np.stack([store.images(split).image(int(row)) for row in rows])
    return center_crop(to_image(torch.from_numpy(images)), crop)


def trunk_report(lesson, trunk: Trunk) -> list[Result]:
    """Measure a trunk: the seen classes it can name, and whether unseen classes lie together in its features.

    Parameters
    ----------
    lesson : Lesson
    trunk : Trunk

    Returns
    -------
    list of Result
        The accuracy on held-out clips of the seen classes (a stand-in's only), then R@1 among the pictures of
        the unseen classes with this trunk and with one of random weights: is the nearest other picture of the
        same class?
    """
    settings, store = lesson.settings, lesson.store()
    about = {"profile": settings.name, "data_hash": lesson.data_hash, "seeds": (0,)}
    report = []
    if trunk.name == "standin":
        hits = class_hits(trunk, store, "test", settings.llinet_crop)
        interval = clip_bootstrap(hits, _clips(store, "test"))
        report.append(
            Result(
                "seen classes named, held-out clips", interval.value, interval.low, interval.high,
                chance=1 / len(seen_labels(store)), n=interval.n, **about,
            )
        )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = Trunk(trunk.name, width=settings.width, classes=max(trunk.classes, 1))
    device = next(trunk.parameters()).device
    for name, one in (("trained", trunk), ("random weights", untrained.freeze().eval().to(device))):
        hits, labels = _nearest_picture(one, store, settings.llinet_crop)
        others = len(labels) - 1  # the query itself is no answer
        chance = (len(labels) * chance_recall_at_1(labels, labels) - 1) / others
        interval = clip_bootstrap(hits, np.arange(len(hits)))
        report.append(
            Result(
                f"nearest picture of the same unseen class, {name}", interval.value, interval.low,
                interval.high, chance=chance, n=interval.n, **about,
            )
        )  # fmt: skip
    return report


def _clips(store: Store, split: str) -> np.ndarray:
    clip = np.asarray(store.images(split).clip)
    return np.arange(len(clip)) if (clip < 0).any() else clip


@torch.no_grad()
def _nearest_picture(trunk: Trunk, store: Store, crop: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether the nearest other picture, by the cosine, is of the same unseen class (N,), and the labels."""
    items, device = items_of(store, "unseen"), next(trunk.parameters()).device
    batches = EvaluationSet(store, "unseen", batch_size=64, image_crop=crop, item="image")
    batches.rows = batches.rows.take(items.image_row)
    features = [see(trunk, to_image(batch["image"].to(device)), ("pooled",))["pooled"] for batch in batches]
    unit = torch.nn.functional.normalize(torch.cat(features).float() - torch.cat(features).float().mean(0))
    scores = (unit @ unit.T).fill_diagonal_(-torch.inf).cpu()
    labels = items.image_label
    return labels[scores.argmax(1).numpy()] == labels, labels


@dataclass(frozen=True)
class Walk:
    """One picture and one sound in every tensor of LLINet; see :func:`walk`.

    Attributes
    ----------
    name : str
        Class of both.
    image : (H, W, 3) uint8
    logmel : (T, 40)
    seen, heard : dict of str to Tensor
        Tensors on the picture's and on the sound's path, without the batch axis, in order.
    """

    name: str
    image: np.ndarray
    logmel: np.ndarray
    seen: dict[str, Tensor]
    heard: dict[str, Tensor]

    def frame(self) -> pd.DataFrame:
        """One row per tensor: its shape, its mean, and the share of its values that are zero."""
        rows = [
            (path, name, tuple(t.shape), f"{t.mean():.3f}", f"{(t == 0).float().mean():.0%}")
            for path, tensors in (("picture", self.seen), ("sound", self.heard))
            for name, t in tensors.items()
        ]
        return pd.DataFrame(rows, columns=["path", "tensor", "shape", "mean", "zeros"]).set_index("path")

    def figure(self) -> Figure:
        """Draw the picture's path above the sound's, six channels of every map, embeddings as bars."""
        columns = max(len(self.seen), len(self.heard)) + 1
        fig, axes = plt.subplots(2, columns, figsize=(1.75 * columns, 4.6), layout="constrained")
        for ax in axes.flat:
            ax.axis("off")
        axes[0, 0].imshow(self.image)
        axes[1, 0].imshow(self.logmel.T, origin="lower", aspect="auto", cmap="magma")
        axes[0, 0].set_title(self.name, fontsize=9)
        axes[1, 0].set_title("log-mel", fontsize=9)
        for row, tensors in zip(axes, (self.seen, self.heard), strict=True):
            for ax, (name, tensor) in zip(row[1:], tensors.items(), strict=False):
                _draw(ax, tensor)
                ax.set_title(f"{name}\n{' x '.join(map(str, tensor.shape))}", fontsize=8)
        return fig


def _draw(ax, tensor: Tensor) -> None:
    """Six channels of a map (C, h, w), those that vary most, or a vector (D,) as bars."""
    if tensor.ndim == 1:
        ax.axis("on")
        ax.bar(np.arange(min(len(tensor), 40)), tensor[:40].numpy(), width=1.0)
        ax.set(xticks=[], xlabel=f"first {min(len(tensor), 40)}")
        ax.tick_params(labelsize=6)
        return
    order = tensor.flatten(1).std(1).argsort(descending=True)[:6]
    tiles = []
    for channel in tensor[order]:
        span = (channel.max() - channel.min()).clamp(min=1e-6)
        tiles.append(np.pad(((channel - channel.min()) / span).numpy(), 1, constant_values=np.nan))
    long = tensor.shape[-2] > 2 * tensor.shape[-1]  # a sound's: time to the right
    if long:
        tiles = [tile.T[::-1] for tile in tiles]
    mosaic = np.vstack([np.hstack(tiles[k : k + 2]) for k in range(0, len(tiles), 2)])
    ax.imshow(mosaic, cmap="viridis", aspect="auto" if long else "equal", interpolation="nearest")


@torch.no_grad()
def walk(network: LLINet, store: Store, split: str, *, row: int, settings) -> Walk:
    """Take one picture and the sound of the same row through every tensor of a network on the CPU."""
    items = items_of(store, split)
    image = store.images(split).image(int(items.image_row[row]))
    sounds, sound = store.sounds(split), int(items.sound_row[row])
    logmel = LogMel(store.sample_rate)(
        to_waveform(torch.from_numpy(np.array(sounds.audio(sound, 0, int(sounds.length[sound])))[None]))
    )  # (1, T, 40)
    picture = center_crop(to_image(torch.from_numpy(image[None])), settings.llinet_crop)
    early, late = network.see(picture)
    embedding, local = network.attend(early, late)
    gate = 1 + local.flatten(2).softmax(2).view_as(local)
    seen = {
        "layer 2": early, "layer 3 (frozen)": late, "attention": local, "gate": gate,
        "layer 4": network.trunk.top(late * gate), "v'": embedding,
    }  # fmt: skip
    audio, heard = network.audio, {}
    heard["conv 7x7, pool"] = audio.conv1(logmel.unsqueeze(1))
    heard["stage 1"] = audio.stage1(heard["conv 7x7, pool"])
    heard["stage 2"] = audio.stage2(heard["stage 1"])
    heard["a'"] = network.embed_audio(logmel)
    heard["transformed"] = network.transform(heard["a'"])
    heard["map"] = torch.einsum("bchw,bc->bhw", local, heard["transformed"])[:, None]
    return Walk(
        store.classes[int(items.image_label[row])]["name"],
        image,
        logmel[0].numpy(),
        {name: value[0] for name, value in seen.items()},
        {name: value[0] for name, value in heard.items()},
    )
