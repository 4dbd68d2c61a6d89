"""From a store to batches: audio-visual pairs, class pairs, and evaluation sets.

Who is paired with whom, when the sound starts, how the picture is cropped and
every later draw are functions of (seed, epoch): they are drawn for a whole
epoch at once, before anything is read. So a batch is known by its number, in
whatever process it is read, and a training that stops can go on exactly.

A network that is to learn correspondence must not be able to see it in the
picture or the sound alone. Mismatched pairs are therefore made by exchanging
the sounds (with their start times) *among the mismatched rows* of an epoch:
each picture and each second of sound comes up equally often on both sides,
and every sound is centred on a video frame. Objects that Sound (section 3.3)
reports what happens otherwise: if mismatched sounds start anywhere, the
network recognises the 0.04 s grid and scores 87.6 instead of 81.9 %.
That naive sampling is ``grid=None``.

Notebook: 01
"""

from __future__ import annotations

import numpy as np

from llinet_lite.data.rows import DRAWS, Batches, Rows, Source, derange, spread
from llinet_lite.data.store import Store

PAIRS, MATCHES, ITEMS = ("sampled", "all"), ("clip", "class"), ("pair", "image", "sound")
_ORDER, _SHUFFLE, _LIST = 0, 1, 2  # purposes of a random stream


def _rng(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, purpose])))


class PairBatches:
    """Audio-visual pairs for correspondence training.

    Parameters
    ----------
    store : Store
    split : str
    batch_size : int
        Rows per batch, B. Rows that fill no batch wait for another epoch.
    image_crop : int
        Side of the random crop, pixels.
    seconds : float
        Length of the sound window.
    pairs : {"sampled", "all"}
        "sampled": half of the rows match, half do not, as published. "all":
        every row matches, and the loss makes the mismatched pairs of a batch.
    match : {"clip", "class"}
        A mismatched sound is from another clip, or from another class.
    grid : float or None
        Sounds of both kinds are centred on frames, multiples of ``grid``
        seconds. None: mismatched sounds start at any sample (the shortcut).
    misalign : float
        Largest shift between the frame and the centre of its sound, seconds,
        in steps of 0.04 s and alike for both kinds; the augmentation of
        Look, Listen and Learn. 0 is none.
    seed : int
    shuffle_pairs : bool
        Control: which sound belongs to which picture is a fixed random
        permutation. Nothing can be learned from it that holds elsewhere.
    imprint : float
        Strength of the recorder imprint that is added to the sounds as they are read; 0 is none.
    view : {"frame", "middle", "frames", "flow"}
        What is seen. "frame": every picture of the split. The other three take the first picture of every
        clip and share their pairs and draws: "middle" shows that picture alone, "frames" the 25 frames
        around it, "flow" that picture and ten fields of optical flow (*Objects that Sound*, section 3.2).
        "frames" and "flow" need :func:`llinet_lite.data.motion.build_motion`.

    Raises
    ------
    ValueError
        Settings that the store cannot fulfil; the message says which.
    StoreError
        The frames or the flow are not built.

    Examples
    --------
    >>> data = PairBatches(store, "train", batch_size=64, image_crop=112, seed=0)   # doctest: +SKIP
    >>> loader = DataLoader(data.epoch(3), batch_size=None, num_workers=2)          # doctest: +SKIP

    Notebook: 01
    """

    def __init__(
        self,
        store: Store,
        split: str,
        *,
        batch_size: int,
        image_crop: int,
        seconds: float = 1.0,
        pairs: str = "sampled",
        match: str = "clip",
        grid: float | None = 0.04,
        misalign: float = 0.0,
        seed: int = 0,
        shuffle_pairs: bool = False,
        imprint: float = 0.0,
        view: str = "frame",
    ):
        for name, value, known in (("pairs", pairs, PAIRS), ("match", match, MATCHES)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        self.source = Source(store, split, image_crop, seconds, view)
        self.source.set_imprint(imprint)
        self.batch_size, self.pairs, self.match, self.grid = batch_size, pairs, match, grid
        self.misalign, self.seed, self.shuffle_pairs = misalign, seed, shuffle_pairs
        count = len(self.source.pool)
        if not 2 <= batch_size <= count:
            raise ValueError(
                f"batch_size must lie between 2 and {count}, the pictures of {split}, not {batch_size}"
            )
        clip = self.source.images.clip
        self.by_class = bool((clip < 0).all())
        if not self.by_class and (clip < 0).any():
            raise ValueError(f"only some pictures of {split} belong to a clip; import them again")
        if self.by_class and match == "clip":
            raise ValueError(f"photos and sounds of {split} are paired by class only: use match='class'")
        self._check_times()

    def _check_times(self) -> None:
        """Every frame on the grid, every window inside its sound."""
        source = self.source
        time = source.images.time
        timed = time >= 0
        self.timed = bool(timed.all())
        if not self.timed:
            if timed.any():
                raise ValueError(f"only some pictures of {source.split} have a time; import them again")
            return
        if self.grid and np.abs(time / self.grid - np.rint(time / self.grid)).max() > 1e-3:
            raise ValueError(f"the frames of {source.split} are not on a grid of {self.grid} s")
        start = self._centred(np.arange(len(time)))
        over = (start < 0) | (start + source.length > source.sounds.length[source.images.clip])
        if over.any():
            k = int(np.flatnonzero(over)[0])
            window = source.length / source.store.sample_rate
            raise ValueError(
                f"{window} s of sound around {source.images.id[k]} leave its clip: use fewer seconds"
            )

    def _centred(self, image: np.ndarray) -> np.ndarray:
        time = self.source.images.time[image].astype(np.float64)
        return np.rint(time * self.source.store.sample_rate).astype(np.int64) - self.source.length // 2

    def _own(self, image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The sound that belongs to each picture, and where its window starts."""
        source = self.source
        fixed = _rng(self.seed, 0, _SHUFFLE)
        if self.by_class:
            label = source.images.label
            sound = source.same_class((fixed.permutation(label) if self.shuffle_pairs else label)[image], rng)
        else:
            sound = source.images.clip[image].astype(np.int64)
            sound = fixed.permutation(len(source.sounds))[sound] if self.shuffle_pairs else sound
        if not self.timed:
            return sound, source.anywhere(sound, rng)
        return sound, self._shifted(self._centred(image), source.sounds.length[sound] - source.length, rng)

    def _shifted(self, start: np.ndarray, last: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Shift windows by whole frames, uniform over the shifts that stay inside the clip."""
        step = round((self.grid or 0.04) * self.source.store.sample_rate)
        most = int(self.misalign * self.source.store.sample_rate / step + 1e-9)
        if most == 0:
            return start
        low, high = np.maximum(-most, -(start // step)), np.minimum(most, (last - start) // step)
        return start + step * rng.integers(low, high + 1)

    def matched(self, image: np.ndarray, rng, draws: np.random.Generator | None = None) -> Rows:
        """Pictures with their own sounds, and the group that decides what else would match.

        Parameters
        ----------
        image : (n,) int
            Rows of the image table.
        rng : np.random.Generator
            For sounds and shifts.
        draws : np.random.Generator, optional
            For crops and draws; None: centre crops and draws of one half.
        """
        sound, start = self._own(image, rng)
        rows = self.source.rows(image, sound, start, draws)
        group = self.source.sounds.label[sound] if self.match == "class" else self.source.images.clip[image]
        rows.group = group.astype(np.int64)
        return rows

    def _mismatch(self, rows: Rows, which: np.ndarray, rng: np.random.Generator) -> None:
        """Exchange the sounds of the rows ``which`` among themselves until none is where it belongs."""
        other = which[derange(rows.group[which], rng)]
        rows.sound[which], rows.start[which] = rows.sound[other], rows.start[other]
        rows.match[which] = 0
        if self.grid is None:
            rows.start[which] = self.source.anywhere(rows.sound[which], rng)

    def epoch(self, e: int) -> Batches:
        """The batches of epoch ``e``, a function of (seed, e) alone.

        Parameters
        ----------
        e : int
            0, 1, 2 ...

        Returns
        -------
        batches : Batches
        """
        rng, size, pool = _rng(self.seed, e, _ORDER), self.batch_size, self.source.pool
        if self.pairs == "all" and self.match == "clip":
            image = pool[spread(self.source.images.clip[pool], size, rng)]
            return Batches(self.source, self.matched(image, rng, rng), size)
        rows = self.matched(pool[rng.permutation(len(pool))[: len(pool) // size * size]], rng, rng)
        if self.pairs == "sampled":
            place = rng.random((len(rows.image) // size, size)).argsort(
                axis=1
            )  # (batches, B): a shuffled 0 .. B-1
            half = size // 2 + (rng.random((len(place), 1)) < 0.5) * (size % 2)
            self._mismatch(rows, np.flatnonzero((place >= half).reshape(-1)), rng)
        return Batches(self.source, rows, size)

    def fixed(self, count: int | None = None) -> Batches:
        """A fixed list for evaluation: every picture once with its own sound and once with a wrong one.

        Centre crops, draws of one half; a function of the seed alone.

        Parameters
        ----------
        count : int, optional
            Number of pairs (even); default: twice the number of pictures that take part.
        """
        rng = _rng(self.seed, 0, _LIST)
        image = rng.permutation(len(self.source.pool))
        image = self.source.pool[np.sort(image if count is None else image[: count // 2])]
        right = self.matched(image, rng)
        wrong = right.take(np.arange(len(image)))
        self._mismatch(wrong, np.arange(len(image)), rng)
        both = [np.stack(two, 1) for two in zip(right.arrays(), wrong.arrays(), strict=True)]  # (n, 2, ...)
        return Batches(
            self.source, Rows(*(array.reshape(-1, *array.shape[2:]) for array in both)), self.batch_size
        )


def evaluation_pairs(
    store: Store, split: str, *, batch_size: int, image_crop: int, count=None, **settings
) -> Batches:
    """The fixed, balanced list of pairs on which correspondence is measured.

    Every picture comes up twice, with its own sound and with a wrong one, so
    no property of a picture or a sound alone predicts the answer.

    Parameters
    ----------
    store, split, batch_size, image_crop
        As for :class:`PairBatches`.
    count : int, optional
        Number of pairs; default: all.
    **settings
        seconds, match, grid, seed, imprint, view of :class:`PairBatches`.

    Returns
    -------
    batches : Batches
        The last one may be smaller.

    Notebook: 01
    """
    batches = PairBatches(store, split, batch_size=2, image_crop=image_crop, **settings).fixed(count)
    return Batches(batches.source, batches.rows, batch_size)


class EvaluationSet(Batches):
    """Every item of a split exactly once, in the order of the store, centre crops.

    Parameters
    ----------
    store, split, batch_size, image_crop
        As for :class:`PairBatches`; the last batch may be smaller.
    item : {"pair", "image", "sound"}
        Pictures with their own sounds (centred on the frame), pictures alone,
        or sounds alone (from the middle of the clip).
    seconds : float or None
        Length of the window; None: the whole sound.
    objects : bool
        Add the masks to the batches.
    view : {"frame", "middle", "frames", "flow"}
        As for :class:`PairBatches`.

    Notebook: 02
    """

    def __init__(
        self,
        store: Store,
        split: str,
        *,
        batch_size,
        image_crop=None,
        seconds=1.0,
        item="pair",
        objects=False,
        view="frame",
    ):
        if item not in ITEMS:
            raise ValueError(f"item must be one of {', '.join(ITEMS)}, not {item!r}")
        if item != "sound" and image_crop is None:
            raise ValueError(f"item={item!r} reads pictures: give image_crop")
        if item == "sound" and view != "frame":
            raise ValueError(f"item='sound' shows no pictures: leave out view={view!r}")
        rows, source = getattr(self, f"_{item}s")(store, split, image_crop, seconds, view)
        super().__init__(source, rows, batch_size, objects)

    @staticmethod
    def _pairs(store, split, image_crop, seconds, view):
        if (store.images(split).clip < 0).any():
            raise ValueError(f"{split} is paired by class only: use item='image' and item='sound'")
        whole = Source(store, split, image_crop, seconds, view)
        if seconds is None:
            image = whole.pool
            sound = whole.images.clip[image].astype(np.int64)
            return whole.rows(image, sound, np.zeros_like(sound), None), whole
        pairs = PairBatches(store, split, batch_size=2, image_crop=image_crop, seconds=seconds, view=view)
        return pairs.matched(whole.pool, _rng(0, 0, _LIST)), pairs.source

    @staticmethod
    def _images(store, split, image_crop, seconds, view):
        source = Source(store, split, image_crop, 0, view)
        image = source.pool
        return source.rows(image, image, image, None), source

    @staticmethod
    def _sounds(store, split, image_crop, seconds, view):
        source = Source(store, split, None, seconds)
        sound = np.arange(len(source.sounds))
        label, half = source.sounds.label.astype(np.int64), np.full((len(sound), DRAWS), 0.5, np.float32)
        start = (source.sounds.length - source.length) // 2
        return Rows(sound, sound, start, label, np.ones_like(label), label, half[:, :2], half), source
