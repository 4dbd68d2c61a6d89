"""The sound network beside log-mel: VGGish with its public weights, or a stand-in that learned to tag.

Notebook: 04, 06
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from llinet_lite.checkpoint import packed, unpacked
from llinet_lite.data.bandstand import WORLD_VERSION
from llinet_lite.data.batches import DRAWS, Batches, EvaluationSet, Rows, Source
from llinet_lite.data.store import Store
from llinet_lite.features import EXAMPLE_SECONDS, VGGishExamples, to_waveform
from llinet_lite.models import Ear, VGGish
from llinet_lite.models.vggish import VARIABLE, find_vggish_weights, load_vggish_weights
from llinet_lite.old_road import fit
from llinet_lite.training import History, adam

__all__ = ["SoundBatches", "chosen_vggish", "hear", "sound_hits", "train_tagger"]

NAME = "vggish-seen"  # of the stand-in's weights
BATCH = 64  # sounds heard at once


def chosen_vggish(lesson, weights: str = "") -> VGGish:
    """Return the frozen VGGish of a lesson, on the device that trains.

    Parameters
    ----------
    lesson : Lesson
    weights : str
        File or folder of the public weights; "" looks where the environment variable LLINET_VGGISH points to
        if it is set, else beside one's own data (a folder `weights`) and in torch's cache. If they are not
        there a stand-in takes their place, which is printed.

    Returns
    -------
    VGGish
        Its `title` says what it was trained on.

    Raises
    ------
    FileNotFoundError
        If a place was named, and no weights are there.
    ValueError
        If what is there are no weights of VGGish.
    """
    nearby = () if lesson.data is None else (lesson.data.parent / "weights",)
    try:
        path = find_vggish_weights(weights or None, nearby)
    except FileNotFoundError:
        if weights or os.environ.get(VARIABLE):  # who names a place means it
            raise
        print("no weights of VGGish at hand, so a stand-in takes the place of the public ones", flush=True)
        vggish = _stand_in(lesson)
    else:
        with torch.random.fork_rng():  # the weights that are replaced draw no numbers of the lesson's
            vggish = load_vggish_weights(VGGish(), path)
    return vggish.freeze().to("cuda" if torch.cuda.is_available() else "cpu")


def _stand_in(lesson) -> VGGish:
    """Load the published stand-in, or train one on the labels of the seen classes; one for all seeds."""
    settings, store = lesson.settings, lesson.store(splits=("train", "val"))
    classes = len(_labels(store))
    path = lesson.reference(NAME)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vggish = VGGish(settings.width, classes=classes)
    if path is not None and lesson.card(path)["world"] == WORLD_VERSION:
        vggish.load_state_dict(unpacked(load_file(path)))
    else:
        print(f"training the stand-in of VGGish: {settings.epochs_vggish} epochs", flush=True)
        history = train_tagger(
            vggish,
            store,
            batch_size=settings.batch_size,
            optimizer=adam(settings.learning_rate, settings.weight_decay),
            epochs=settings.epochs_vggish,
            seed=0,
            run_dir=lesson.training_dir / f"vggish-{settings.epochs_vggish}-0",
        )
        state = packed(vggish.state_dict())
        vggish.load_state_dict(unpacked(state))  # what is judged is what is published
        curve = [round(float(epoch["accuracy"]), 4) for epoch in history.epochs]
        minutes = round(sum(epoch["seconds"] for epoch in history.epochs) / 60, 2)
        lesson.publish(
            NAME, state, seed=0, results=[], validation=curve, minutes=minutes, world=WORLD_VERSION
        )
    vggish.title = f"stand-in: VGGish of width {settings.width}, trained to tag {classes} seen classes"
    return vggish


def _labels(store: Store) -> np.ndarray:
    """Return the labels (S,) of the training sounds, rising."""
    return np.unique(np.asarray(store.sounds("train").label, np.int64))


class SoundBatches:
    """Sounds of a split in random order, each cut at a random place, for taggers; no picture is read.

    Parameters
    ----------
    store : Store
    split : str
    batch_size : int
        Rows per batch. Rows that fill no batch wait for another epoch.
    seconds : float or None
        Length of the window; None: the whole sound.
    seed : int

    Raises
    ------
    ValueError
        If a batch is larger than the split, or the window longer than its shortest sound.

    Notebook: 04
    """

    def __init__(self, store: Store, split: str, *, batch_size: int, seconds: float | None, seed: int = 0):
        self.source, self.batch_size, self.seed = Source(store, split, None, seconds), batch_size, seed
        count = len(self.source.sounds)
        if not 1 <= batch_size <= count:
            raise ValueError(
                f"batch_size must lie between 1 and {count}, the sounds of {split}, not {batch_size}"
            )

    def epoch(self, e: int) -> Batches:
        """The batches of epoch ``e``, a function of (seed, e) alone: audio, label, index."""
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, e])))
        sounds = self.source.sounds
        sound = rng.permutation(len(sounds))[: len(sounds) // self.batch_size * self.batch_size]
        label, start = np.asarray(sounds.label, np.int64)[sound], self.source.anywhere(sound, rng)
        half = np.full((len(sound), DRAWS), 0.5, np.float32)  # nothing is cropped or augmented
        rows = Rows(sound, sound, start, label, np.ones_like(label), label, half[:, :2], half)
        return Batches(self.source, rows, self.batch_size)


class _TagStep(nn.Module):
    """One training step: log-mel examples, cross-entropy over the labels `seen` (S,)."""

    def __init__(self, sample_rate: int, seen: np.ndarray):
        super().__init__()
        self.examples = VGGishExamples(sample_rate)
        self.register_buffer("seen", torch.from_numpy(seen), persistent=False)

    def forward(self, model: VGGish, batch: dict[str, Tensor]) -> Tensor:
        """Return the loss."""
        logits = model.logits(self.examples(to_waveform(batch["audio"])))  # (B, S)
        return F.cross_entropy(logits, torch.searchsorted(self.seen, batch["label"]))


def train_tagger(
    model: VGGish,
    store: Store,
    *,
    batch_size: int,
    optimizer: Callable,
    epochs: int,
    seed: int,
    run_dir: Path | None,
    quiet: bool = False,
) -> History:
    """Train VGGish on the labels of the split `train`, one example of each sound an epoch, or go on with it.

    Parameters
    ----------
    model : VGGish
        With as many classes as `train` has labels; trained in place, and left with the weights of the epoch
        that is best on `val` if `run_dir` is given, else with the last one's.
    store : Store
    batch_size : int
        Sounds per step.
    optimizer : callable
        Parameters -> torch Optimizer; its rate falls to 0 along a cosine.
    epochs, seed : int
    run_dir : Path or None
        Where checkpoints go.

    Returns
    -------
    History
        `accuracy` is that on `val`.

    Raises
    ------
    ValueError
        If the network has another number of classes.
    """
    seen, rate = _labels(store), store.sample_rate
    if model.classes != len(seen):
        raise ValueError(
            f"VGGish has {model.classes} classes, the training sounds {len(seen)}: make it with {len(seen)}."
        )
    seconds = min(EXAMPLE_SECONDS, int(store.sounds("train").length.min()) / rate)
    history = fit(
        model,
        _TagStep(rate, seen),
        SoundBatches(store, "train", batch_size=batch_size, seconds=seconds, seed=seed),
        epochs=epochs,
        run_dir=run_dir,
        validate=lambda network: {"accuracy": sound_hits(network, store, "val").mean()},
        settings={"data": store.content_hash, "epochs": epochs, "batch_size": batch_size},
        seed=seed,
        optimizer=optimizer,
        schedule=lambda epoch: 0.5 * (1 + math.cos(math.pi * min(epoch / epochs, 1.0))),
        quiet=quiet,
    )
    if run_dir is not None:
        history.load_best(model)
    return history


@torch.no_grad()
def sound_hits(model: VGGish, store: Store, split: str) -> np.ndarray:
    """Return which sounds (n,) of a split a network of `train_tagger` names rightly, bool.

    Whole sounds are heard, or as much of each as the shortest of the split has, in the middle.
    """
    seen, device, hits = _labels(store), next(model.parameters()).device, []
    examples = VGGishExamples(store.sample_rate).to(device)
    model.eval()
    for batch in _sounds(store, split, None, None):
        said = model.logits(examples(to_waveform(batch["audio"].to(device)))).argmax(1).cpu().numpy()
        hits.append(seen[said] == batch["label"].numpy())
    return np.concatenate(hits)


def hear(
    ear: Ear, store: Store, split: str, rows: Sequence[int] | np.ndarray, seconds: float | None = None
) -> Tensor:
    """Return VGGish's embeddings of sounds.

    Parameters
    ----------
    ear : Ear
    store : Store
    split : str
    rows : (n,) int
        Rows of the split's sounds, in any order.
    seconds : float, optional
        Length of the window, in the middle of each sound. Default: the whole sounds, or as much of each as
        the shortest of the split has.

    Returns
    -------
    Tensor (n, size) float32, on the CPU
    """
    device, rows = next(ear.parameters()).device, np.asarray(rows, np.int64)
    heard = [torch.empty(0, ear.size)]
    with torch.autocast(device.type, enabled=False):
        for batch in _sounds(store, split, rows, seconds):
            heard.append(ear(to_waveform(batch["audio"].to(device))).cpu())
    return torch.cat(heard)


def _sounds(
    store: Store, split: str, rows: np.ndarray | None, seconds: float | None
) -> Iterator[dict[str, Tensor]]:
    """Batches of sounds from the middle, of `seconds` or as long as the shortest of the split."""
    if seconds is None:  # of the split, not of the rows: sounds do not change one another
        seconds = int(store.sounds(split).length.min()) / store.sample_rate
    sounds = EvaluationSet(store, split, batch_size=BATCH, item="sound", seconds=seconds)
    if rows is not None:
        sounds.rows = sounds.rows.take(rows)
    return iter(sounds)
