"""Every answer of the explorer, without a widget: maps, overlap, nearest sounds and pictures, films.

Notebook: 07
"""

from __future__ import annotations

import time as clock
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from llinet_lite.data.store import Store
from llinet_lite.metrics.localization.rules import Rule, overlap, resize
from llinet_lite.show.explorer.items import Picture, Sound, crop, items_of, mixture, silence
from llinet_lite.show.explorer.listener import Heard, Listener, Seen

BATCH = 32  # pictures or sounds embedded at once
SLOW = 2.0  # seconds after which progress is said
KEPT = 128  # pictures and sounds that are no part of the split, and are kept embedded
STEP, STEPS = 0.2, 40  # of a film: seconds from map to map at least, and maps at most


@dataclass(frozen=True)
class Answer:
    """What one listener makes of a picture and a sound.

    Attributes
    ----------
    title : str
    image : (side, side, 3) uint8
        The square that it sees.
    heat : (h, w) float32
    scale : {"probability", "maximum"}
    truth : (side, side) bool, optional
        Where what sounds is seen; None if it is not seen, or not known.
    """

    title: str
    image: np.ndarray
    heat: np.ndarray
    scale: str
    truth: np.ndarray | None

    @property
    def peak(self) -> tuple[int, int, float]:
        """Row and column of the largest cell, from 0, and its value."""
        row, column = np.unravel_index(int(self.heat.argmax()), self.heat.shape)
        return int(row), int(column), float(self.heat[row, column])

    @property
    def flat(self) -> bool:
        """Whether the map is the same everywhere, so that no cell is its highest."""
        return float(np.ptp(self.heat)) <= 1e-6 * float(np.abs(self.heat).max())

    @property
    def shares(self) -> np.ndarray:
        """The map in [0, 1]: probabilities, or shares of its maximum; zeros where that is not positive."""
        if self.scale == "probability":
            return self.heat
        top = self.heat.max()
        return np.clip(self.heat / top, 0, 1) if top > 0 else np.zeros_like(self.heat)

    def prediction(self, threshold: float) -> np.ndarray:
        """Cut the map, interpolated to pixels, above a threshold: (side, side) bool."""
        maps = resize(torch.from_numpy(self.heat.copy())[None], self.image.shape[:2]).numpy()
        rule = Rule(None, level=float(threshold), of_maximum=self.scale == "maximum", keep=">")
        found = rule.predict(maps, np.zeros(maps.shape, bool))[0]
        return found if self.scale == "probability" or maps.max() > 0 else np.zeros_like(found)

    def iou(self, threshold: float) -> float | None:
        """Intersection over union of the prediction with the truth; None without a truth."""
        if self.truth is None:
            return None
        inside, union = overlap(self.prediction(threshold)[None], self.truth[None])
        return float(inside[0] / union[0])


class Stage:
    """Pictures, sounds and listeners; every vector of the split is computed once, here.

    Parameters
    ----------
    listeners : mapping of title to Listener
    store : Store
    split : str
    most : int
        At most so many pictures and sounds of a class, spread evenly over the split; 0: all.

    Raises
    ------
    ValueError
        If there is no listener, the split is empty, or a sound is shorter than what a listener hears.
    """

    def __init__(self, listeners: Mapping[str, Listener], store: Store, split: str, *, most: int = 20):
        if not listeners:
            raise ValueError("the explorer needs a listener: see avc.listener and zeroshot.listener")
        if most < 0:
            raise ValueError(f"most must be 0 (all) or more pictures of a class, not {most}")
        if not len(store.images(split)) or not len(store.sounds(split)):
            raise ValueError(f"split {split!r} holds no pictures or no sounds: choose another one")
        self.listeners, self.names = dict(listeners), [each["name"] for each in store.classes]
        self.rate, self.size = store.sample_rate, store.manifest["image_size"]
        self.pictures, self.sounds = items_of(store, split, most)
        # Of every sound of the split as much is heard as its shortest has, so that none has an advantage.
        self.common = int(store.sounds(split).length.min()) / self.rate
        self._kept: OrderedDict[tuple, Seen | Heard] = OrderedDict()
        said = _progress(len(self.listeners) * (len(self.pictures) + len(self.sounds)))
        self._vectors = {name: self._embed(of, said) for name, of in self.listeners.items()}

    @torch.inference_mode()
    def _embed(self, of: Listener, said: Callable[[int], None]) -> tuple[Seen, Heard]:
        seen, heard = [], []
        for part in _parts(self.pictures):
            seen.append(of.see(np.stack([crop(picture.image, of.side) for picture in part])))
            said(len(part))
        for part in _parts(self.sounds):
            heard.append(of.hear(np.stack([sound.piece(of.whole or self.common, None) for sound in part])))
            said(len(part))
        return (
            Seen(_joined([each.cells for each in seen]), _joined([each.vector for each in seen])),
            Heard(_joined([each.key for each in heard]), _joined([each.vector for each in heard])),
        )

    # ---- what is seen and heard

    def own_sound(self, picture: Picture) -> Sound:
        """Return the picture's own sound, to be listened to at the picture's moment.

        Raises
        ------
        ValueError
            If it has none.
        """
        if picture.sound is None:
            raise ValueError(f"{picture.caption} has no sound of its own: choose another sound")
        return _at(self.sounds[picture.sound], picture.time)

    def sound_of(self, label: int, picture: Picture) -> Sound:
        """Return a sound of a class, another one for every picture of a class in turn.

        Raises
        ------
        ValueError
            If there is none.
        """
        known = [sound for sound in self.sounds if sound.labels == {label}]
        known = known or [sound for sound in self.sounds if label in sound.labels]
        if not known:
            raise ValueError(f"the split has no sound of {self.names[label]}: choose another class")
        return known[(picture.index or 0) % len(known)]

    def choose(self, kind: str, picture: Picture, label: int) -> Sound:
        """Return "own sound", "another class", their "mixture", or "silence" as long as the sounds."""
        if kind == "silence":
            return silence(self.rate, round(self.common * self.rate))
        if kind == "own sound":
            return self.own_sound(picture)
        other = self.sound_of(label, picture)
        return other if kind == "another class" else mixture(self.own_sound(picture), other)

    def classes(self) -> list[int]:
        """Return the classes of which there are sounds."""
        return sorted(set().union(*(sound.labels for sound in self.sounds)))

    @torch.inference_mode()
    def seen(self, name: str, picture: Picture) -> Seen:
        """Return a picture as a listener sees it, a batch of one."""
        if picture.index is not None:
            return self._vectors[name][0].pick(picture.index)
        of = self.listeners[name]
        return self._keep((name, picture.key), lambda: of.see(crop(picture.image, of.side)[None]))

    @torch.inference_mode()
    def heard(self, name: str, sound: Sound, time: float | None = None) -> Heard:
        """Return a sound as a listener hears it, a batch of one: around a time, or as a whole."""
        of = self.listeners[name]
        seconds, centre = (of.whole, sound.moment) if time is None else (of.around(sound.seconds), time)
        if time is None and sound.index is not None and (seconds is None or centre is None):
            return self._vectors[name][1].pick(sound.index)
        piece = sound.piece(seconds, centre)  # too short a sound is refused here
        return self._keep((name, sound.key, seconds, centre), lambda: of.hear(np.array(piece)[None]))

    def _keep(self, key: tuple, make) -> Seen | Heard:
        if key not in self._kept:
            self._kept[key] = make()
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    # ---- answers

    @torch.inference_mode()
    def answer(self, name: str, picture: Picture, sound: Sound, time: float | None = None) -> Answer:
        """Return a listener's map; at a time of a clip, of the frame that is seen then."""
        of, frame = self.listeners[name], picture if time is None else picture.at(time)
        heat = of.heat(self.seen(name, frame).cells, self.heard(name, sound, time).key)[0]
        return self._told(name, frame, sound, heat)

    def _told(self, name: str, frame: Picture, sound: Sound, heat: Tensor) -> Answer:
        of = self.listeners[name]
        image = crop(frame.image, of.side)
        truth = truth_of(frame, sound)
        truth = None if truth is None else crop(truth, of.side)
        shown = truth if truth is not None and truth.any() else None
        return Answer(of.title, image, heat.float().cpu().numpy(), of.scale, shown)

    @torch.inference_mode()
    def film(
        self, names: Sequence[str], picture: Picture, sound: Sound
    ) -> tuple[list[float], dict[str, list[Answer]]]:
        """Return moments of a sound, every 0.2 s (at most 40), and every listener's maps for them."""
        count = min(STEPS, max(2, int(sound.seconds / STEP) + 1))
        times = [round(float(t), 3) for t in np.linspace(0, sound.seconds, count)]
        frames = [picture.at(t) for t in times]
        films = {}
        for name in names:
            of = self.listeners[name]
            if picture.film is None:
                cells = self.seen(name, picture).cells.expand(count, -1, -1, -1)
            else:
                squares = [crop(frame.image, of.side) for frame in frames]
                cells = _joined([of.see(np.stack(part)).cells for part in _parts(squares)])
            pieces = [sound.piece(of.around(sound.seconds), t) for t in times]
            keys = _joined([of.hear(np.stack(part)).key for part in _parts(pieces)])
            heats = of.heat(cells, keys)
            films[name] = [self._told(name, f, sound, h) for f, h in zip(frames, heats, strict=True)]
        return times, films

    @torch.inference_mode()
    def nearest_sounds(self, name: str, picture: Picture, count: int = 4) -> list[tuple[Sound, float]]:
        """Return the sounds of the split that match a picture best, with their scores."""
        scores = self.listeners[name].match(self.seen(name, picture), self._vectors[name][1])[0]
        return _best(self.sounds, scores, count)

    @torch.inference_mode()
    def nearest_pictures(
        self, name: str, sound: Sound, time: float | None = None, count: int = 4
    ) -> list[tuple[Picture, float]]:
        """Return the pictures of the split that match a sound best, with their scores."""
        scores = self.listeners[name].match(self._vectors[name][0], self.heard(name, sound, time))[:, 0]
        return _best(self.pictures, scores, count)

    @torch.inference_mode()
    def fitting(
        self, name: str, picture: Picture, spot: Sequence[float], count: int = 4
    ) -> list[tuple[Sound, float]] | None:
        """Return the sounds that fit a spot best; None for a listener whose map hears nothing.

        Parameters
        ----------
        name : str
        picture : Picture
        spot : (y, x), each 0 to 1, in sides of the square that the listener sees
        count : int
        """
        of = self.listeners[name]
        if of.fit is None:
            return None
        cells = self.seen(name, picture).cells
        row, column = cell_of(spot, cells.shape[2:])
        return _best(self.sounds, of.fit(cells[0, :, row, column], self._vectors[name][1]), count)


def _progress(total: int) -> Callable[[int], None]:
    """Count pictures and sounds, and say how far it is every two seconds."""
    begun = said = clock.monotonic()
    done = 0

    def count(more: int) -> None:
        nonlocal said, done
        done += more
        now = clock.monotonic()
        if now - said > SLOW:
            said = now
            print(f"explorer: {done} of {total} pictures and sounds, {now - begun:.0f} s", flush=True)

    return count


def cell_of(spot: Sequence[float], grid: Sequence[int]) -> tuple[int, int]:
    """Return row and column of the cell that a spot (y, x) of the unit square lies in."""
    row, column = (min(int(place * cells), cells - 1) for place, cells in zip(spot, grid, strict=True))
    return max(row, 0), max(column, 0)


def truth_of(picture: Picture, sound: Sound) -> np.ndarray | None:
    """Return where the classes that sound are seen, (H, W) bool; None without masks or for unknown sounds."""
    if picture.objects is None or sound.labels is None:
        return None
    return np.isin(picture.objects, [k + 1 for k, c in enumerate(picture.players) if c in sound.labels])


def _at(sound: Sound, moment: float | None) -> Sound:
    return sound if moment is None else Sound(**(vars(sound) | {"moment": moment}))


def _best(items: Sequence, scores: Tensor, count: int) -> list[tuple]:
    order = torch.argsort(scores, descending=True, stable=True)[:count].tolist()
    return [(items[k], float(scores[k])) for k in order]


def _parts(items: Sequence) -> Iterator[Sequence]:
    return (items[k : k + BATCH] for k in range(0, len(items), BATCH))


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    return None if parts[0] is None else torch.cat(list(parts))
