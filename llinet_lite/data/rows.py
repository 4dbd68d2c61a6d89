"""The rows of an epoch and how they are read: pictures cropped, sounds cut, as tensors.

Notebook: 01
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch.utils.data import Dataset

from llinet_lite.data.motion import FIELDS, Motion, first_pictures
from llinet_lite.data.parallel import ahead, spare_threads
from llinet_lite.data.store import Store
from llinet_lite.world.room import imprint

DRAWS = 8  # uniforms per row for augmentation on the device
VIEWS = ("frame", "middle", "frames", "flow")  # what a network sees of a clip


@dataclass
class Rows:
    """What the rows of an epoch consist of; arrays of equal length n.

    Attributes
    ----------
    image, sound : (n,) int
        Rows of the store's tables.
    start : (n,) int
        First sample of the sound.
    label : (n,) int
        Class of the picture.
    match : (n,) int
        1 the sound belongs to the picture, 0 it does not.
    group : (n,) int
        Rows with the same group match one another.
    crop : (n, 2) float
        Place of the crop, 0 (top, left) to 1.
    draws : (n, 8) float32
        Uniforms in [0, 1) for augmentation.
    """

    image: np.ndarray
    sound: np.ndarray
    start: np.ndarray
    label: np.ndarray
    match: np.ndarray
    group: np.ndarray
    crop: np.ndarray
    draws: np.ndarray

    def arrays(self) -> list[np.ndarray]:
        """All arrays, in the order above."""
        return [getattr(self, field.name) for field in fields(self)]

    def take(self, order) -> Rows:
        """The rows ``order`` of every array."""
        return Rows(*(array[order] for array in self.arrays()))


class Batches(Dataset):
    """The batches of one epoch: ``len(batches)``, ``batches[i]``.

    Give it to ``DataLoader(batches, batch_size=None, num_workers=k)``: the
    tensors are the same for every k. ``sampler=range(i, len(batches))`` goes
    on at batch i.

    Notes
    -----
    A batch is a dict of tensors, B rows:
    image (B, H, W, 3) uint8; audio (B, n) int16; label, match, group, index
    (B,) int64; draws (B, 8) float32. ``index`` is the row of the image table
    (of the sound table, where there are no images). Objects (B, H, W) uint8
    where masks were asked for. The view "frames" has frames (B, 25, H, W, 3)
    uint8 in place of image, the view "flow" also has flow (B, 20, H, W) int8:
    u, v of field 0, u, v of field 1 ...; all cropped alike.
    """

    def __init__(self, source: Source, rows: Rows, batch_size: int, objects: bool = False):
        self.source, self.rows, self.batch_size, self.objects = source, rows, batch_size, objects

    def __len__(self) -> int:
        return -(-len(self.rows.label) // self.batch_size)

    def __iter__(self):
        return ahead(self.__getitem__, range(len(self)), spare_threads())

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
    """Reads the pictures and the sounds of one split; the part that all data sets here share."""

    def __init__(
        self, store: Store, split: str, image_crop: int | None, seconds: float | None, view: str = "frame"
    ):
        if view not in VIEWS:
            raise ValueError(f"view must be one of {', '.join(VIEWS)}, not {view!r}")
        self.store, self.split, self.image_crop, self.view = store, split, image_crop, view
        self.images, self.sounds = store.images(split), store.sounds(split)
        # rows of the image table that take part
        self.pool = np.arange(len(self.images)) if view == "frame" else first_pictures(self.images)
        self.motion = Motion(store, split) if view in ("frames", "flow") else None
        self.length = 0  # samples of a window; 0: no sounds
        self.trace = None  # the recorder imprint of a whole clip, (n,) float, added to every window
        size = store.manifest["image_size"]
        if image_crop is not None and not 1 <= image_crop <= size:
            raise ValueError(
                f"image_crop is {image_crop}, but the pictures in {store.folder} have {size} pixels"
            )
        if image_crop is None and seconds == 0:
            raise ValueError("a batch needs image_crop or seconds")
        if seconds != 0:
            self._set_length(seconds)

    def _set_length(self, seconds: float | None) -> None:
        lengths, rate = self.sounds.length, self.store.sample_rate
        shortest, longest = int(lengths.min()), int(lengths.max())
        if seconds is None and shortest != longest:
            raise ValueError(
                f"the sounds of {self.split} last {shortest / rate:.2f} to {longest / rate:.2f} s; "
                "whole sounds (seconds=None) need equal lengths: give seconds"
            )
        self.length = shortest if seconds is None else round(seconds * rate)
        if not 0 < self.length <= shortest:
            short = self.sounds.id[int(lengths.argmin())]
            raise ValueError(
                f"a window of {seconds} s does not fit the shortest sound of {self.split}, "
                f"{short} with {shortest / rate:.2f} s"
            )

    def __getstate__(self):  # worker processes map the files anew
        return {key: value for key, value in self.__dict__.items() if key not in ("images", "sounds")}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.images, self.sounds = self.store.images(self.split), self.store.sounds(self.split)

    def read_images(self, rows: Rows, objects: bool) -> dict[str, np.ndarray]:
        """Decode and crop what the view shows, and the masks if wanted; see :class:`Batches`."""
        size, batch = self.image_crop, defaultdict(list)
        for row, place in zip(rows.image.tolist(), rows.crop, strict=True):
            name, picture = self._picture(row)
            sides = picture.shape[-3:-1]
            top, left = (int(p * (side - size + 1)) for p, side in zip(place, sides, strict=True))
            window = (..., slice(top, top + size), slice(left, left + size))
            batch[name].append(picture[(*window, slice(None))])
            if self.view == "flow":
                batch["flow"].append(self._flow(row)[window])
            if objects:
                batch["objects"].append(self._mask(row)[window])
        return {name: np.stack(parts) for name, parts in batch.items()}

    def _picture(self, row: int) -> tuple[str, np.ndarray]:
        """One frame (H, W, 3), or all of them (25, H, W, 3), and their name in a batch."""
        if self.view == "frames":
            return "frames", self.motion.frames(np.searchsorted(self.pool, row))
        return "image", self.images.image(row)

    def _flow(self, row: int) -> np.ndarray:
        fields = self.motion.flow(np.searchsorted(self.pool, row))
        return fields.reshape(2 * FIELDS, *fields.shape[2:])  # (10, 2, H, W) -> (20, H, W)

    def _mask(self, row: int) -> np.ndarray:
        index = self.images.objects(row)
        if index is None:
            raise ValueError(f"{self.split} holds no masks ({self.images.id[row]})")
        return index

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

    def set_imprint(self, strength: float) -> None:
        """Add the recorder imprint, locked to each clip's frame clock, to every window that is read.

        Parameters
        ----------
        strength : float
            0 is none; see :func:`llinet_lite.world.room.imprint`.
        """
        rate, longest = self.store.sample_rate, int(self.sounds.length.max())
        self.trace = imprint(longest / rate, rate, strength) * 32768 if strength else None

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
            raise ValueError(f"split {self.split} holds pictures of {name} but no sound of it")
        return order[rng.integers(first, last)]

    def rows(self, image, sound, start, rng: np.random.Generator | None) -> Rows:
        """Matched rows with draws; without a generator, centre crops and draws of one half."""
        n = len(image)
        crop = np.full((n, 2), 0.5) if rng is None else rng.random((n, 2))
        draws = np.full((n, DRAWS), 0.5, np.float32) if rng is None else rng.random((n, DRAWS), np.float32)
        label = self.images.label[image].astype(np.int64)
        return Rows(image, sound, start, label, np.ones(n, np.int64), label, crop, draws)


def derange(group: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random permutation p with ``group[p[k]] != group[k]`` for every k.

    Raises
    ------
    ValueError
        One group holds more than half of the rows, so there is none.
    """
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
    raise ValueError(f"batches of {size} cannot avoid two pictures of one clip; use a smaller batch_size")
