"""From a store to batches: audio-visual pairs, class pairs, images, and evaluation sets.

All draws of an epoch are made at once, before anything is read, as functions of (seed, epoch): so a batch is
known by its number, in whatever process it is read, and a training that stops can go on exactly.

Mismatched pairs are made by exchanging the sounds (with their start times) *among the mismatched rows* of an
epoch: neither the image nor the sound alone tells whether they match, and every sound is centered on a frame.
Otherwise the network recognizes the 0.04 s grid and scores 87.6 instead of 81.9 % (Objects that Sound,
section 3.3): that naive sampling is ``grid=None``.
Notebook: 01
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import joblib
import numpy as np
import torch
from torch.utils.data import Dataset

from llinet_lite.data.bandstand import FIELDS, MotionTable, first_images
from llinet_lite.data.store import Store
from llinet_lite.world import room

DRAWS = 8  # uniforms per row for augmentation on the device
VIEWS = ("frame", "middle", "frames", "flow")  # what a network sees of a clip
PAIRS, MATCHES, ITEMS = ("sampled", "all"), ("clip", "class"), ("pair", "image", "sound")
_ORDER, _SHUFFLE, _LIST = 0, 1, 2  # purposes of a random stream


def _rng(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, purpose])))


def _known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def _fits(batch_size: int, least: int, most: int, what: str) -> None:
    if not least <= batch_size <= most:
        raise ValueError(f"batch_size must lie between {least} and {most}, {what}, not {batch_size}")


# ------------------------------------------------------------------ rows and how they are read


@dataclass
class Rows:
    """What the rows of an epoch consist of; arrays of equal length n."""

    image: np.ndarray  # (n,) int, row of the store's images
    sound: np.ndarray  # (n,) int, row of the store's sounds
    start: np.ndarray  # (n,) int, first sample of the sound
    label: np.ndarray  # (n,) int, class of the image
    match: np.ndarray  # (n,) int, 1 the sound belongs to the image, 0 it does not
    group: np.ndarray  # (n,) int, rows with the same group match one another
    crop: np.ndarray  # (n, 2) float, place of the crop, 0 (top, left) to 1
    draws: np.ndarray  # (n, 8) float32, uniforms in [0, 1) for augmentation

    def take(self, order) -> Rows:
        """The rows ``order`` of every array."""
        return Rows(*(array[order] for array in vars(self).values()))


class Batches(Dataset):
    """The batches of one epoch: ``len(batches)``, ``batches[i]``.

    A batch is a dict of tensors, B rows: image (B, H, W, 3) uint8 (or frames (B, 25, H, W, 3), and flow
    (B, 20, H, W) int8: u, v of field 0, u, v of field 1 ...); objects (B, H, W) uint8; audio (B, n) int16;
    label, match, group, index (B,) int64; draws (B, 8) float32. ``index`` is the row of the image table (of
    the sound table, where there are no images).
    """

    def __init__(self, source: Source, rows: Rows, batch_size: int, objects: bool = False):
        self.source, self.rows, self.batch_size, self.objects = source, rows, batch_size, objects

    def __len__(self) -> int:
        return -(-len(self.rows.label) // self.batch_size)

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """All batches in order; threads read the next ones where there are cores to spare."""
        if joblib.cpu_count() < 4:
            yield from map(self.__getitem__, range(len(self)))
            return
        threads, coming = min(8, joblib.cpu_count() - 1), deque()
        with ThreadPoolExecutor(threads) as pool:
            for i in range(len(self) + threads):
                if i < len(self):
                    coming.append(pool.submit(self.__getitem__, i))
                if i >= threads:
                    yield coming.popleft().result()

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        if not 0 <= i < len(self):
            raise IndexError(f"batch {i} of {len(self)}")
        rows = self.rows.take(slice(i * self.batch_size, (i + 1) * self.batch_size))
        source, batch = self.source, {}
        if source.image_crop:
            batch |= source.read_images(rows, self.objects)
        if source.length:
            batch["audio"] = source.read_sounds(rows)
        index = rows.image if source.image_crop else rows.sound
        whole = {"label": rows.label, "match": rows.match, "group": rows.group, "index": index}
        batch |= {key: np.ascontiguousarray(value, np.int64) for key, value in whole.items()}
        batch["draws"] = np.ascontiguousarray(rows.draws, np.float32)
        return {key: torch.from_numpy(value) for key, value in batch.items()}


class Source:
    """Reads the images and the sounds of one split; `seconds` 0: no sounds."""

    images = property(lambda self: self.store.images(self.split))  # a worker process maps the files anew
    sounds = property(lambda self: self.store.sounds(self.split))

    def __init__(self, store: Store, split: str, image_crop: int | None, seconds: float, view="frame"):
        _known("view", view, VIEWS)
        self.store, self.split, self.image_crop, self.view = store, split, image_crop, view
        # rows of the image table that take part
        self.pool = np.arange(len(self.images)) if view == "frame" else first_images(self.images)
        self.motion = MotionTable(store, split) if view in ("frames", "flow") else None
        self.length = 0  # samples of a window; 0: no sounds
        self.trace = None  # the recorder imprint of a whole clip, (n,) float, added to every window
        size = store.manifest["image_size"]
        if image_crop is not None and not 1 <= image_crop <= size:
            raise ValueError(f"image_crop is {image_crop}, but the images in {store.folder} have {size} px")
        if seconds:
            rate, shortest = store.sample_rate, int(self.sounds.length.min())
            self.length = round(seconds * rate)
            if not 0 < self.length <= shortest:
                name = self.sounds.id[int(self.sounds.length.argmin())]
                raise ValueError(
                    f"a window of {seconds} s does not fit the shortest sound of {split}, "
                    f"{name} with {shortest / rate:.2f} s"
                )

    def read_images(self, rows: Rows, objects: bool) -> dict[str, np.ndarray]:
        """Decode and crop what the view shows, and the masks if wanted; see :class:`Batches`."""
        size, batch = self.image_crop, defaultdict(list)
        for row, place in zip(rows.image.tolist(), rows.crop, strict=True):
            moving = np.searchsorted(self.pool, row)  # row of the motion table
            if self.view == "frames":
                name, image = "frames", self.motion.frames(moving)  # (25, H, W, 3)
            else:
                name, image = "image", self.images.image(row)  # (H, W, 3)
            sides = image.shape[-3:-1]
            top, left = (int(p * (side - size + 1)) for p, side in zip(place, sides, strict=True))
            window = (..., slice(top, top + size), slice(left, left + size))
            batch[name].append(image[(*window, slice(None))])
            if self.view == "flow":
                flow = self.motion.flow(moving)  # (10, 2, H, W)
                batch["flow"].append(flow.reshape(2 * FIELDS, *flow.shape[2:])[window])
            if objects:
                mask = self.images.objects(row)
                if mask is None:
                    raise ValueError(f"{self.split} holds no masks ({self.images.id[row]})")
                batch["objects"].append(mask[window])
        return {name: np.stack(parts) for name, parts in batch.items()}

    def read_sounds(self, rows: Rows) -> np.ndarray:
        """(B, n) int16: one window per row."""
        audio = np.empty((len(rows.sound), self.length), np.int16)
        for k, (row, start) in enumerate(zip(rows.sound.tolist(), rows.start.tolist(), strict=True)):
            window = self.sounds.audio(row, start, self.length)
            if self.trace is not None:
                traced = np.rint(window + self.trace[start : start + self.length])
                window = np.clip(traced, -32768, 32767)
            audio[k] = window
        return audio

    def anywhere(self, sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Start samples, uniform over all windows that fit."""
        return rng.integers(0, self.sounds.length[sound] - self.length + 1)

    def same_class(
        self, label: np.ndarray, rng: np.random.Generator, sounds: np.ndarray | None = None
    ) -> np.ndarray:
        """A uniformly drawn sound of each given class; `sounds`: their labels, if not the table's."""
        sounds = self.sounds.label if sounds is None else sounds
        order = np.argsort(sounds, kind="stable")
        ranked = sounds[order]
        first, last = np.searchsorted(ranked, label, "left"), np.searchsorted(ranked, label, "right")
        if (first == last).any():
            name = self.store.classes[int(label[first == last][0])]["name"]
            raise ValueError(f"split {self.split} holds images of {name} but no sound of it")
        return order[rng.integers(first, last)]

    def rows(self, image, sound, start, rng: np.random.Generator | None) -> Rows:
        """Matched rows with draws; without a generator, center crops and draws of one half."""
        n = len(image)
        crop = np.full((n, 2), 0.5) if rng is None else rng.random((n, 2))
        draws = np.full((n, DRAWS), 0.5, np.float32) if rng is None else rng.random((n, DRAWS), np.float32)
        label = self.images.label[image].astype(np.int64)
        return Rows(image, sound, start, label, np.ones(n, np.int64), label, crop, draws)


def derange(group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random permutation p with ``group[p[k]] != group[k]`` for every k; ValueError where there is none."""
    n = len(group)
    if n and np.unique(group, return_counts=True)[1].max() * 2 > n:
        raise ValueError(
            f"more than half of {n} rows belong together, so they cannot all be mismatched: "
            "pair with match='clip', or use more classes of like size"
        )
    p = rng.permutation(n)
    for _ in range(1000):
        bad = np.flatnonzero(group[p] == group)
        if not len(bad):
            return p
        for k, other in zip(bad, rng.integers(0, n, len(bad)), strict=True):
            if group[p[other]] != group[k] and group[p[k]] != group[other]:
                p[k], p[other] = p[other], p[k]
    raise ValueError("no way was found to mismatch all rows; use more clips or classes")


def spread(group: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random order in which no group comes up twice within one batch of ``size``."""
    order, used = rng.permutation(len(group)), len(group) // size * size
    for _ in range(1000):
        table = group[order[:used]].reshape(-1, size)  # (batches, size)
        ranks = np.argsort(table, axis=1, kind="stable")
        again = np.diff(np.take_along_axis(table, ranks, 1), axis=1) == 0
        batch, place = np.nonzero(again)
        if not len(batch):
            return order[:used]
        for b, k in zip(batch, ranks[batch, place + 1], strict=True):
            here, there = b * size + k, int(rng.integers(len(group)))
            mine = group[order[b * size : (b + 1) * size]]
            first = there // size * size
            theirs = group[order[first : first + size]] if there < used else ()
            if group[order[there]] not in mine and group[order[here]] not in theirs:
                order[here], order[there] = order[there], order[here]
    raise ValueError(f"batches of {size} cannot avoid two images of one clip; use a smaller batch_size")


# ---------------------------------------------------------------------------- training


class PairBatches:
    """Audio-visual pairs for correspondence training; ``data.epoch(3)`` are the :class:`Batches` of an epoch.

    Parameters
    ----------
    batch_size, image_crop, seconds
        Rows, side of the random crop in pixels, and length of the sound. Rows that fill no batch wait for
        another epoch.
    pairs : {"sampled", "all"}
        Half of the rows match, as published; or all, and the loss makes the mismatched pairs of a batch.
    match : {"clip", "class"}
        A mismatched sound is from another clip, or from another class.
    grid : float or None
        Frames are multiples of it, seconds. None: mismatched sounds start at any sample (the shortcut).
    shuffle_pairs : bool
        Control: which sound belongs to which image is a fixed random permutation.
    imprint : float
        Strength of :func:`llinet_lite.world.room.imprint`, added to the sounds as they are read.
    view : {"frame", "middle", "frames", "flow"}
        "frame": every image. The others take the first image of every clip, with the same pairs and draws:
        alone, with the 25 frames around it, or with ten fields of optical flow (see `build_motion`).
    """

    def __init__(
        self, store: Store, split: str, *, batch_size: int, image_crop: int, seconds: float = 1.0,
        pairs: str = "sampled", match: str = "clip", grid: float | None = 0.04, seed: int = 0,
        shuffle_pairs: bool = False, imprint: float = 0.0, view: str = "frame",
    ):  # fmt: skip
        _known("pairs", pairs, PAIRS)
        _known("match", match, MATCHES)
        self.source = source = Source(store, split, image_crop, seconds, view)
        self.batch_size, self.pairs, self.match, self.grid = batch_size, pairs, match, grid
        self.seed, self.shuffle_pairs = seed, shuffle_pairs
        if imprint:
            rate, longest = store.sample_rate, int(source.sounds.length.max())
            source.trace = room.imprint(longest / rate, rate, imprint) * 32768
        _fits(batch_size, 2, len(source.pool), f"the images of {split}")
        self.by_class = bool((source.images.clip < 0).any())
        if self.by_class and match == "clip":
            raise ValueError(f"photos and sounds of {split} are paired by class only: use match='class'")
        self._check_times()

    def _check_times(self) -> None:
        """Every frame on the grid, every window inside its sound."""
        source = self.source
        time = source.images.time
        self.timed = bool((time >= 0).all())
        if not self.timed:
            return
        if self.grid and np.abs(time / self.grid - np.rint(time / self.grid)).max() > 1e-3:
            raise ValueError(f"the frames of {source.split} are not on a grid of {self.grid} s")
        start = self._centered(np.arange(len(time)))
        over = (start < 0) | (start + source.length > source.sounds.length[source.images.clip])
        if over.any():
            seconds, image = source.length / source.store.sample_rate, source.images.id[int(over.argmax())]
            raise ValueError(f"{seconds} s of sound around {image} leave its clip: use fewer seconds")

    def _centered(self, image: np.ndarray) -> np.ndarray:
        time = self.source.images.time[image].astype(np.float64)
        return np.rint(time * self.source.store.sample_rate).astype(np.int64) - self.source.length // 2

    def matched(self, image: np.ndarray, rng, draws: np.random.Generator | None = None) -> Rows:
        """Images with their own sounds; `draws` for crops and draws, None: center crops and one half."""
        source, fixed = self.source, _rng(self.seed, 0, _SHUFFLE)
        if self.by_class:
            label = source.images.label
            sound = source.same_class((fixed.permutation(label) if self.shuffle_pairs else label)[image], rng)
        else:
            sound = source.images.clip[image].astype(np.int64)
            sound = fixed.permutation(len(source.sounds))[sound] if self.shuffle_pairs else sound
        start = self._centered(image) if self.timed else source.anywhere(sound, rng)
        rows = source.rows(image, sound, start, draws)
        group = source.sounds.label[sound] if self.match == "class" else source.images.clip[image]
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
        """The batches of epoch ``e``, a function of (seed, e) alone."""
        rng, size, pool = _rng(self.seed, e, _ORDER), self.batch_size, self.source.pool
        if self.pairs == "all" and self.match == "clip":
            image = pool[spread(self.source.images.clip[pool], size, rng)]
            return Batches(self.source, self.matched(image, rng, rng), size)
        rows = self.matched(pool[rng.permutation(len(pool))[: len(pool) // size * size]], rng, rng)
        if self.pairs == "sampled":
            place = rng.random((len(rows.image) // size, size)).argsort(axis=1)  # 0 .. B-1 shuffled, by batch
            half = size // 2 + (rng.random((len(place), 1)) < 0.5) * (size % 2)
            self._mismatch(rows, np.flatnonzero((place >= half).reshape(-1)), rng)
        return Batches(self.source, rows, size)


class ClassPairs:
    """Images, each with a sound of its class that is drawn anew in every epoch: the training pairs of LLINet.

    `image_crop` None: no image is read. `distinct`: no class twice in a batch, each as likely as it is
    frequent. `twice`: two images of each class that a batch draws, all classes equally likely. Control
    `shuffle_labels`: the labels of the sounds are permuted once.
    """

    def __init__(
        self, store: Store, split: str, *, batch_size: int, image_crop: int | None,
        seconds: float = 1.0, classes: Sequence[int] | None = None, distinct=False, twice=False,
        shuffle_labels: bool = False, seed: int = 0,
    ):  # fmt: skip
        self.source, self.batch_size, self.seed = Source(store, split, image_crop, seconds), batch_size, seed
        label = self.source.images.label
        self.pool = np.arange(len(label)) if classes is None else np.flatnonzero(np.isin(label, classes))
        if distinct or twice:
            most = len(np.unique(label[self.pool])) * (1 + twice)
            _fits(batch_size, 1 + twice, most, f"the classes of {split}")
        _fits(batch_size, 1, len(self.pool), f"the images of {split}")
        self.twice, self.by_class = twice, distinct or twice
        self.sound_label = np.asarray(self.source.sounds.label)
        if shuffle_labels:
            taking_part = np.flatnonzero(np.isin(self.sound_label, label[self.pool]))
            order = _rng(seed, 0, _SHUFFLE).permutation(taking_part)
            self.sound_label = self.sound_label.copy()
            self.sound_label[taking_part] = self.sound_label[order]

    def epoch(self, e: int) -> Batches:
        """The batches of epoch ``e``, a function of (seed, e): every row matches, ``group`` is the class."""
        rng = _rng(self.seed, e, _ORDER)
        image = self._by_class(rng) if self.by_class else rng.permutation(self.pool)
        image = image[: len(image) // self.batch_size * self.batch_size]
        sound = self.source.same_class(self.source.images.label[image], rng, self.sound_label)
        rows = self.source.rows(image, sound, self.source.anywhere(sound, rng), rng)
        return Batches(self.source, rows, self.batch_size)

    def _by_class(self, rng: np.random.Generator) -> np.ndarray:
        """Rows of images, one or two of each class that a batch draws; as many batches as the split fills."""
        label = self.source.images.label[self.pool]
        names, count = np.unique(label, return_counts=True)
        decks = {name: rng.permutation(self.pool[label == name]) for name in names}
        dealt, share, each = dict.fromkeys(names, 0), count / count.sum(), 1 + self.twice
        rows = []
        for _ in range(len(self.pool) // self.batch_size):
            drawn = rng.choice(names, self.batch_size // each, replace=False, p=None if self.twice else share)
            for name in np.repeat(drawn, each):
                rows.append(decks[name][dealt[name] % len(decks[name])])
                dealt[name] += 1
        return np.array(rows, np.int64)


class ImageBatches:
    """Images of a split in random order, cropped at random, without sounds: for classifiers."""

    def __init__(self, store: Store, split: str, *, batch_size: int, image_crop: int, seed: int = 0):
        self.source, self.batch_size, self.seed = Source(store, split, image_crop, 0), batch_size, seed
        _fits(batch_size, 1, len(self.source.images), f"the images of {split}")

    def epoch(self, e: int) -> Batches:
        """The batches of epoch ``e``, a function of (seed, e) alone: image, label, index, draws."""
        rng, count = _rng(self.seed, e, _ORDER), len(self.source.images)
        image = rng.permutation(count)[: count // self.batch_size * self.batch_size]
        nothing = np.zeros_like(image)  # no sounds
        return Batches(self.source, self.source.rows(image, nothing, nothing, rng), self.batch_size)


# -------------------------------------------------------------------------- evaluation


def evaluation_pairs(
    store: Store, split: str, *, batch_size: int, image_crop: int, count: int | None = None, **settings
) -> Batches:
    """The fixed list of `count` pairs (None: all) on which correspondence is measured, center crops.

    Every image comes up with its own sound and with a wrong one; ``settings`` as for :class:`PairBatches`.
    """
    data = PairBatches(store, split, batch_size=2, image_crop=image_crop, **settings)
    rng, pool = _rng(data.seed, 0, _LIST), data.source.pool
    image = rng.permutation(len(pool))
    image = pool[np.sort(image if count is None else image[: count // 2])]
    right = data.matched(image, rng)
    wrong = right.take(np.arange(len(image)))
    data._mismatch(wrong, np.arange(len(image)), rng)
    both = zip(vars(right).values(), vars(wrong).values(), strict=True)
    both = [np.stack(two, 1).reshape(-1, *two[0].shape[1:]) for two in both]  # right, wrong, right, wrong ...
    return Batches(data.source, Rows(*both), batch_size)


class EvaluationSet(Batches):
    """Every item of a split exactly once, in the order of the store, center crops.

    Parameters
    ----------
    batch_size, image_crop, seconds, view
        As for :class:`PairBatches`; the last batch may be smaller.
    item : {"pair", "image", "sound"}
        Images with their own sounds, images alone, or sounds alone (from the middle of the clip).
    objects : bool
        Add the masks to the batches.
    """

    def __init__(
        self, store: Store, split: str, *, batch_size: int, image_crop: int | None = None,
        seconds: float = 1.0, item: str = "pair", objects: bool = False, view: str = "frame",
    ):  # fmt: skip
        _known("item", item, ITEMS)
        if item != "sound" and image_crop is None:
            raise ValueError(f"item={item!r} reads images: give image_crop")
        if item == "sound":
            if view != "frame":
                raise ValueError(f"item='sound' shows no images: leave out view={view!r}")
            source = Source(store, split, None, seconds)
            sound, label = np.arange(len(source.sounds)), source.sounds.label.astype(np.int64)
            start = (source.sounds.length - source.length) // 2
            half = np.full((len(label), DRAWS), 0.5, np.float32)
            rows = Rows(sound, sound, start, label, np.ones_like(label), label, half[:, :2], half)
        elif item == "image":
            source = Source(store, split, image_crop, 0, view)
            rows = source.rows(source.pool, source.pool, source.pool, None)
        elif (store.images(split).clip < 0).any():
            raise ValueError(f"{split} is paired by class only: use item='image' and item='sound'")
        else:
            data = PairBatches(store, split, batch_size=2, image_crop=image_crop, seconds=seconds, view=view)
            source, rows = data.source, data.matched(data.source.pool, _rng(0, 0, _LIST))
        super().__init__(source, rows, batch_size, objects)
