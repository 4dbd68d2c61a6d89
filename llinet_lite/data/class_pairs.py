"""Pictures, each with a random sound of the same class: the training pairs of LLINet.

Notebook: 04
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llinet_lite.data.rows import Batches, Source
from llinet_lite.data.store import Store

_SHUFFLE = 1  # purpose of a random stream, beside those of the epochs


class ClassPairs:
    """Pictures, each with a sound of its class that is drawn anew in every epoch.

    Parameters
    ----------
    store : Store
    split : str
    batch_size : int
        Rows per batch, B. Rows that fill no batch wait for another epoch.
    image_crop : int or None
        Side of the random crop, pixels; None: no picture is read (`index` is then the row of the sound).
    seconds : float or None
        Length of the window, anywhere in the sound; None: the whole sound.
    classes : sequence of int, optional
        Labels that take part; default: all of the split.
    distinct : bool
        No class twice in a batch. Every batch draws B classes, each as likely as it is frequent, and takes
        the next picture of each.
    shuffle_labels : bool
        Control: the labels of the sounds are permuted once, so a picture is paired with sounds of any class.
    seed : int

    Raises
    ------
    ValueError
        If a batch is larger than the split (`distinct`: than the number of classes), or a class has no sound.

    Notebook: 04
    """

    def __init__(
        self,
        store: Store,
        split: str,
        *,
        batch_size: int,
        image_crop: int | None,
        seconds: float | None = 1.0,
        classes: Sequence[int] | None = None,
        distinct: bool = False,
        shuffle_labels: bool = False,
        seed: int = 0,
    ):
        self.source, self.batch_size, self.seed = Source(store, split, image_crop, seconds), batch_size, seed
        label = self.source.images.label
        self.pool = np.arange(len(label)) if classes is None else np.flatnonzero(np.isin(label, classes))
        most, what = len(self.pool), "the pictures"
        if distinct:
            most, what = len(np.unique(label[self.pool])), "the classes"
        if not 1 <= batch_size <= most:
            raise ValueError(f"batch_size must lie between 1 and {most}, {what} of {split}, not {batch_size}")
        self.distinct, self.sound_label = distinct, np.asarray(self.source.sounds.label)
        if shuffle_labels:
            taking_part = np.flatnonzero(np.isin(self.sound_label, label[self.pool]))
            order = self._rng(0, _SHUFFLE).permutation(taking_part)
            self.sound_label = self.sound_label.copy()
            self.sound_label[taking_part] = self.sound_label[order]

    def _rng(self, epoch: int, purpose: int = 0) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, epoch, purpose])))

    def epoch(self, e: int) -> Batches:
        """The batches of epoch ``e``, a function of (seed, e): every row matches, ``group`` is the class."""
        rng = self._rng(e)
        image = self._one_of_a_class(rng) if self.distinct else rng.permutation(self.pool)
        image = image[: len(image) // self.batch_size * self.batch_size]
        sound = self.source.same_class(self.source.images.label[image], rng, self.sound_label)
        rows = self.source.rows(image, sound, self.source.anywhere(sound, rng), rng)
        return Batches(self.source, rows, self.batch_size)

    def _one_of_a_class(self, rng: np.random.Generator) -> np.ndarray:
        """Rows of pictures, no two of a class within a batch; as many batches as the split fills."""
        label = self.source.images.label[self.pool]
        names, count = np.unique(label, return_counts=True)
        decks = {name: rng.permutation(self.pool[label == name]) for name in names}
        dealt, share = dict.fromkeys(names, 0), count / count.sum()
        rows = []
        for _ in range(len(self.pool) // self.batch_size):
            for name in rng.choice(names, self.batch_size, replace=False, p=share):
                rows.append(decks[name][dealt[name] % len(decks[name])])
                dealt[name] += 1
        return np.array(rows, np.int64)
