"""Does a network point at what it hears, and does it listen at all?

Notebook: 03, 07
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from llinet_lite.data.store import Store
from llinet_lite.metrics.intervals import SHARE, Cell, Interval
from llinet_lite.metrics.localization import on_mask, points
from llinet_lite.results import Result
from llinet_lite.sounding.located import Located
from llinet_lite.world.instruments import instrument

REGIONS = ("box", "outline")
MEANS = ("mean map, own sound", "mean map, silence")
CHANCE = {"nearer to it": 0.5, "moves": 0.25}  # of a coin in duets
PAPER_POINTING = {"own sound": 0.817, "image centre": 0.572}  # AVOL-Net: Objects that Sound, 14 x 14 cells


def hits(maps: Tensor, masks: np.ndarray) -> np.ndarray:
    """Return whether the highest cell of each map (N, h, w) lies on its mask (N, H, W), (N,) bool."""
    masks = torch.from_numpy(masks)
    return on_mask(points(maps.cpu(), masks.shape[1:]), masks).numpy()


def boxed(masks: np.ndarray) -> np.ndarray:
    """Return the smallest upright box around each mask, (N, H, W) bool: what a person would annotate."""

    def spanned(seen: np.ndarray) -> np.ndarray:  # (N, n) -> from the first True to the last
        return np.logical_or.accumulate(seen, 1) & np.logical_or.accumulate(seen[:, ::-1], 1)[:, ::-1]

    return spanned(masks.any(2))[:, :, None] & spanned(masks.any(1))[:, None]


def nearer(maps: Tensor, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return whether the highest cell of each map is nearer to the first mask than to the second, (N,)."""
    pixels = points(maps.cpu(), first.shape[1:]).numpy()
    away = np.array(
        [
            [distance_transform_edt(~mask)[row, column] for mask in masks]
            for (row, column), *masks in zip(pixels, first, second, strict=True)
        ]
    )  # (N, 2), pixels to the nearest one of either mask
    return away[:, 0] < away[:, 1]


def _centre(masks: np.ndarray) -> np.ndarray:
    return masks[:, masks.shape[1] // 2, masks.shape[2] // 2]


def over_clips(values: np.ndarray, clip: np.ndarray, limits: tuple[float, float] = SHARE) -> Interval:
    """Return the mean of values (S, N) of S seeds over N pictures; `n` is the number of clips."""
    return replace(Cell.mean(values, clip, limits=limits), n=len(np.unique(clip))).interval()


def ratio_over_clips(above: np.ndarray, below: np.ndarray, clip: np.ndarray) -> Interval:
    """Return the ratio of two means (S, N) of every seed, averaged over seeds; interval as the means'.

    Raises
    ------
    ValueError
        If the lower one of a seed is zero throughout.
    """
    if not below.any(1).all():
        raise ValueError("a ratio to a map that is zero everywhere: the network that draws it is dead")
    ratio = Cell.mean(above, clip) / Cell.mean(below, clip)
    return replace(ratio, n=len(np.unique(clip))).interval()


@dataclass(frozen=True)
class Pointing:
    """The pointing test on one split.

    Attributes
    ----------
    rows : dict of str to (S, N) array
        "own sound", "image centre", "shuffled sound", "silence", "chance": hit or not, picture by picture,
        under every seed; "chance" is the share of the picture that the instrument covers.
    clip, label : (N,) int array
    """

    rows: dict[str, np.ndarray]
    clip: np.ndarray
    label: np.ndarray

    def interval(self, name: str) -> Interval:
        """Return the accuracy of a row, mean over seeds, with an interval over clips and seeds."""
        return over_clips(self.rows[name], self.clip)

    def beats(self, other: str) -> bool:
        """Whether the network with its own sounds is better than another row, beyond both intervals."""
        return self.interval("own sound").low > self.interval(other).high

    def results(
        self, title: str, lesson, runs: Sequence, *, paper: Mapping[str, float] = PAPER_POINTING
    ) -> list[Result]:
        """Return every row as a result named by `title`.

        Parameters
        ----------
        title : str
        lesson : Lesson
        runs : sequence
            Of the network, for their seeds.
        paper : mapping of row to share
            Published values; default: AVOL-Net's.
        """
        known = {"seeds": [run.seed for run in runs], "profile": lesson.settings.name}
        known |= {"data_hash": lesson.data_hash, "n": len(self.clip)}
        chance = self.interval("chance").value
        return [
            Result(f"pointing, {title}, {name}", *_numbers(self.interval(name)), chance,
                   paper.get(name), **known)
            for name in self.rows
        ]  # fmt: skip

    def by_class(self, store: Store) -> list[tuple[str, float, float, float, float]]:
        """Return class, accuracy, its interval, and that of the image centre; best class first."""
        rows = []
        for k in np.unique(self.label):
            which = self.label == k
            cell = over_clips(self.rows["own sound"][:, which], self.clip[which])
            centre = float(self.rows["image centre"][:, which].mean())
            rows.append((store.classes[int(k)]["name"], *_numbers(cell), centre))
        return sorted(rows, key=lambda row: -row[1])


def _numbers(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def pointing(located: Sequence[Located], region: str = "box") -> Pointing:
    """Run the pointing test for the networks of several seeds, on the same pictures.

    Pictures that show nothing of their instrument are left out.

    Parameters
    ----------
    located : sequence of Located
        Of the same split, one per seed.
    region : {"box", "outline"}
        What counts as the instrument: the box around it, or the very pixels that show it. The paper's
        annotation was made by hand; its shape is not stated.
    """
    if region not in REGIONS:
        raise ValueError(f"region must be one of {', '.join(REGIONS)}, not {region!r}")
    first = located[0]
    shown = first.masks.any((1, 2))
    masks = first.masks[shown]
    masks = boxed(masks) if region == "box" else masks
    rows = {
        "own sound": [hits(of.maps("own")[shown], masks) for of in located],
        "image centre": [_centre(masks)],
        "shuffled sound": [hits(of.maps("shuffled", seed=s)[shown], masks) for s, of in enumerate(located)],
        "silence": [hits(of.maps("silence")[shown], masks) for of in located],
        "chance": [masks.mean((1, 2))],
    }
    return Pointing(
        {name: np.stack(row).astype(float) for name, row in rows.items()},
        first.clip[shown],
        first.label[shown],
    )


def pointing_frame(
    tests: Mapping[str, Pointing], *, paper: Mapping[str, float] = PAPER_POINTING
) -> pd.DataFrame:
    """Return the tests side by side: a row per answer, a column per test, and the paper's value if any."""
    columns = {title: [str(test.interval(name)) for name in test.rows] for title, test in tests.items()}
    names = list(next(iter(tests.values())).rows)
    if paper:
        columns["paper"] = [f"{paper[n]:.1%}" if n in paper else "-" for n in names]
    return pd.DataFrame(columns, index=pd.Index(names, name="the highest cell lies on the instrument"))


@dataclass(frozen=True)
class Duets:
    """Pictures of two instruments with the sounds of either.

    Attributes
    ----------
    scenes : Located
        Duets in which both instruments are seen.
    first, second, third : (N, h, w) float32 Tensor
        Maps for a solo sound of the first class, of the second, and of a class that is not there.
    partner : (N,) int array
        Class of the second instrument.
    """

    scenes: Located
    first: Tensor
    second: Tensor
    third: Tensor
    partner: np.ndarray


def duets(
    scenes: Located,
    store: Store,
    split: str,
    sounds_of: Callable[[np.ndarray, int], Tensor],
    *,
    solos: str,
    seed: int = 0,
) -> Duets:
    """Try the duets among scenes with solo sounds of their two classes, and of a third.

    Parameters
    ----------
    scenes : Located
        Of a whole split of mixed scenes.
    store : Store
        A built-in world.
    split : str
        What `scenes` are: "scenes" or "scenes_unseen".
    sounds_of : callable
        Labels (n,), seed -> vectors (n, D') of random recordings of these classes.
    solos : str
        Split that the recordings are from: other instruments of the class than those in the picture.
    seed : int
        Which recordings.
    """
    both = [(scenes.objects == k).any((1, 2)) for k in (1, 2)]
    scenes = scenes.pick((scenes.kind == "duet") & both[0] & both[1])
    images = store.images(split)
    partner = np.array([instrument(images.factors(int(row))["partner"]).label for row in scenes.row])
    third = _third(scenes.label, partner, np.unique(store.sounds(solos).label), seed)
    asked = enumerate((scenes.label, partner, third))
    return Duets(scenes, *(scenes.maps(sounds_of(labels, seed + k)) for k, labels in asked), partner)


def _third(first: np.ndarray, second: np.ndarray, classes: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([rng.choice(np.setdiff1d(classes, pair)) for pair in zip(first, second, strict=True)])


@dataclass(frozen=True)
class Follows:
    """Whether the heat follows the sound in duets: what is measured -> value with interval over scenes."""

    rows: dict[str, Interval]

    def __getitem__(self, name: str) -> Interval:
        return self.rows[name]

    def frame(self) -> pd.DataFrame:
        """One row per measurement."""
        rows = [(name, *_numbers(cell), CHANCE.get(name), cell.n) for name, cell in self.rows.items()]
        return (
            pd.DataFrame(rows, columns=["in duets", "value", "low", "high", "chance", "scenes"])
            .set_index("in duets")
            .round(3)
        )

    def results(self, lesson, runs: Sequence, *, probabilities: bool) -> list[Result]:
        """Return the rows as results.

        Parameters
        ----------
        lesson : Lesson
        runs : sequence
            Of the network, for their seeds.
        probabilities : bool
            Whether the maps are probabilities. The means of others have no scale: only their ratio is kept.
        """
        known = {"seeds": [run.seed for run in runs], "profile": lesson.settings.name, "unit": "share"}
        return [
            Result(
                f"duets: {name}",
                *_numbers(cell),
                CHANCE.get(name),
                n=cell.n,
                data_hash=lesson.data_hash,
                **known,
            )
            for name, cell in self.rows.items()
            if probabilities or name not in MEANS
        ]


def follows(tried: Sequence[Duets]) -> Follows:
    """Measure, over the networks of several seeds, whether the heat goes where the sound is.

    Returns
    -------
    Follows
        With the sound of either instrument: the highest cell "on its box", "on its outline", "nearer to it"
        than to the other instrument (chance 0.5); "moves": nearer to the first with the first's sound and to
        the second with the second's, in one picture; "on either box, a third class's sound". And
        "mean map, own sound", "mean map, silence": the mean over all cells, a probability of AVOL-Net; and
        their ratio, "mean map, silence / own sound": below 1 where silence darkens the map.
    """
    scenes = tried[0].scenes
    outline = [scenes.objects == k for k in (1, 2)]
    box = [boxed(mask) for mask in outline]
    near = np.stack([[nearer(d.first, *outline), ~nearer(d.second, *outline)] for d in tried])
    sounds = [(d.first, d.second) for d in tried]

    def share(regions) -> np.ndarray:
        return np.stack(
            [np.mean([hits(m, r) for m, r in zip(of, regions, strict=True)], axis=0) for of in sounds]
        )

    rows = {
        "on its box": share(box),
        "on its outline": share(outline),
        "nearer to it": near.mean(1),
        "moves": near.all(1),
        "on either box, a third class's sound": np.stack([hits(d.third, box[0] | box[1]) for d in tried]),
    }
    found = {name: over_clips(values.astype(float), scenes.clip) for name, values in rows.items()}
    own, silent = (
        np.stack([d.scenes.maps(sound).mean((1, 2)).cpu().numpy() for d in tried]).astype(float)
        for sound in ("own", "silence")
    )
    for title, means in zip(MEANS, (own, silent), strict=True):  # not every map is made of probabilities
        found[title] = over_clips(means, scenes.clip, limits=(0, np.inf))
    return Follows(found | {"mean map, silence / own sound": ratio_over_clips(silent, own, scenes.clip)})


def peaks(alone: Located, scenes: Located) -> dict[str, np.ndarray]:
    """Return the highest map value of every picture by kind of scene; solos also with a wrong sound.

    Parameters
    ----------
    alone, scenes : Located
        Of a split of solos, and of one of mixed scenes.
    """

    def highest(of: Located, sound: str) -> np.ndarray:
        return of.maps(sound).amax((1, 2)).cpu().numpy()

    heights = highest(scenes, "own")
    rows = {"solo": highest(alone, "own")}
    rows |= {kind: heights[scenes.kind == kind] for kind in ("duet", "distractor", "offscreen", "silence")}
    return rows | {"solo, another class's sound": highest(alone, "shuffled")}
