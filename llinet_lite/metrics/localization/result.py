"""What a protocol says of a set of maps: per-image outcomes, numbers, intervals.

Notebook: 03
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from llinet_lite.metrics.correspondence import Interval
from llinet_lite.metrics.localization.measures import (
    Curve,
    f1_score,
    step_share,
    trapezoid_share,
    weighted_mean,
)

__all__ = ["Localization", "difference"]

BATCH = 200  # bootstrap samples at once


@dataclass(frozen=True, eq=False)
class Localization:
    """Outcome of one protocol on one set of maps.

    Attributes
    ----------
    protocol : str
    settings : mapping, every choice that the numbers depend on
    measures : tuple of str, the numbers it gives; the first is its headline
    iou : (N,) float64, IoU of each image; pixel average precision for `mask_ap`; NaN where undefined
        (`objects2018`, which asks for a point, and images in which nothing sounds)
    success : (N,) bool, IoU of at least .5, or the point hit; False where nothing sounds
    positive : (N,) bool, whether anything sounds in the image
    clips : (N,) the clip of each image; the bootstrap draws clips
    confidence : (N,) float or None, how sure the map is that something sounds (`slavc2022`, `strict`)
    predicted : (N,) float or None, share of the image that is predicted to sound
    """

    protocol: str
    settings: Mapping[str, object]
    measures: tuple[str, ...]
    iou: np.ndarray
    success: np.ndarray
    positive: np.ndarray
    clips: np.ndarray
    confidence: np.ndarray | None = None
    predicted: np.ndarray | None = None

    @property
    def text(self) -> str:
        """The protocol and all its settings in one line."""
        said = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        silent = int((~self.positive).sum())
        return f"{self.protocol}: {said}; {len(self.iou)} images, {silent} of them with nothing sounding"

    @property
    def numbers(self) -> dict[str, float]:
        """Every number of the protocol by its name, as shares (not per cent)."""
        once = np.ones((1, len(self.iou)))
        return {name: float(MEASURES[name](self, once)[0]) for name in self.measures}

    @property
    def value(self) -> float:
        """The headline number."""
        return self.numbers[self.measures[0]]

    def interval(
        self, measure: str | None = None, *, level: float = 0.95, draws: int = 2000, seed: int = 0
    ) -> Interval:
        """Bootstrap interval of a number: clips are drawn with replacement, the number computed anew.

        Parameters
        ----------
        measure : one of `measures`; None: the headline
        level : float
        draws : int, number of bootstrap samples
        seed : int

        Returns
        -------
        Interval, percentile bounds; for a success rate exactly those of `correspondence.clip_bootstrap`

        Notebook: 03
        """
        compute = self._measure(measure)
        value = float(compute(self, np.ones((1, len(self.iou))))[0])
        samples = np.concatenate([compute(self, w) for w in _weights(self.clips, draws, seed)])
        return _percentiles(value, samples, level, len(self.iou))

    def subset(self, which) -> Localization:
        """The same outcome for some images only; `which` (N,) bool or indices."""
        arrays = ("iou", "success", "positive", "clips", "confidence", "predicted")
        kept = {a: getattr(self, a)[which] for a in arrays if getattr(self, a) is not None}
        return replace(self, **kept)

    def _measure(self, name: str | None) -> Callable[[Localization, np.ndarray], np.ndarray]:
        name = self.measures[0] if name is None else name
        if name not in self.measures:
            raise ValueError(f"{self.protocol} gives {', '.join(self.measures)}, not {name!r}.")
        return MEASURES[name]

    def __str__(self) -> str:
        rest = "".join(f", {name} {value:.1%}" for name, value in list(self.numbers.items())[1:])
        return f"{self.measures[0]} {self.interval()}{rest} ({self.text})"


def difference(
    first: Localization,
    second: Localization,
    measure: str | None = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Number of `first` minus that of `second` on the same images, with its bootstrap interval.

    With `second` the same network given shuffled audio, or silence, this is the audio-use gap: what the map
    owes to the sound. Both see the same drawn clips each time, so what is hard for both cancels.

    Raises
    ------
    ValueError
        If the two were made by different protocols or on different images.

    Notebook: 03
    """
    same = first.protocol == second.protocol and len(first.iou) == len(second.iou)
    if not same or (first.positive != second.positive).any() or (first.clips != second.clips).any():
        raise ValueError(
            "The two results must come from one protocol on the same images in the same order; got "
            f"{first.text!r} and {second.text!r}."
        )
    compute = first._measure(measure)

    def gap(weights):
        return compute(first, weights) - compute(second, weights)

    samples = np.concatenate([gap(w) for w in _weights(first.clips, draws, seed)])
    return _percentiles(float(gap(np.ones((1, len(first.iou))))[0]), samples, level, len(first.iou))


def _weights(clips: np.ndarray, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image counts, (up to BATCH, N) at a time, as in `correspondence.clip_bootstrap`."""
    number = np.unique(clips, return_inverse=True)[1]
    count, rng = number.max() + 1, np.random.default_rng(seed)
    for start in range(0, draws, BATCH):
        times = rng.multinomial(count, np.full(count, 1 / count), size=min(BATCH, draws - start))
        yield times[:, number].astype(float)


def _percentiles(value: float, samples: np.ndarray, level: float, n: int) -> Interval:
    samples = samples[np.isfinite(samples)]  # a draw may hold no positive at all
    low, high = np.quantile(samples, [0.5 - level / 2, 0.5 + level / 2])
    return Interval(value, float(low), float(high), n)


def _of_positives(values: np.ndarray, r: Localization) -> np.ndarray:
    return np.where(r.positive, values, np.nan)


def _of_negatives(values: np.ndarray, r: Localization) -> np.ndarray:
    return np.where(r.positive, np.nan, values)


def _success(r: Localization, w: np.ndarray) -> np.ndarray:
    return weighted_mean(_of_positives(r.success.astype(float), r), w)


def _mean_iou(r: Localization, w: np.ndarray) -> np.ndarray:
    return weighted_mean(_of_positives(r.iou, r), w)


def _auc(r: Localization, w: np.ndarray) -> np.ndarray:
    return weighted_mean(_of_positives(trapezoid_share(r.iou, 21), r), w)


def _llinet_auc(r: Localization, w: np.ndarray) -> np.ndarray:
    return weighted_mean(_of_positives(step_share(r.iou, 51), r), w)


def _left_dark(r: Localization, w: np.ndarray) -> np.ndarray:
    return 1 - weighted_mean(_of_negatives(r.predicted, r), w)


def _negative_auc(r: Localization, w: np.ndarray) -> np.ndarray:
    """Area under the share of negatives whose predicted share is at most t, 21 thresholds."""
    met = r.predicted[:, None] <= np.linspace(0, 1, 21)  # (N, 21)
    area = (met[:, 1:].sum(1) + met[:, :-1].sum(1)) / 40
    return weighted_mean(_of_negatives(area, r), w)


def _curve(r: Localization, w: np.ndarray) -> Curve:
    return Curve(r.confidence, r.success, r.positive, w, strict=r.protocol == "strict")


def _average_precision(r: Localization, w: np.ndarray) -> np.ndarray:
    curve = _curve(r, w)
    if r.protocol == "strict":
        return curve.average_precision()
    return curve.released_average_precision(r.confidence)


def _best(r: Localization, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    curve = _curve(r, w)
    return curve.best() if r.protocol == "strict" else curve.released_best(r.confidence)


MEASURES: dict[str, Callable[[Localization, np.ndarray], np.ndarray]] = {
    "pointing": _success,
    "cIoU": _success,
    "IIoU": _success,
    "success": _success,
    "mIoU": _mean_iou,
    "max-IoU": _mean_iou,
    "mAP": _mean_iou,
    "AUC": _auc,
    "IAUC": _auc,
    "AUC51": _llinet_auc,
    "AP": _average_precision,
    "max-F1": lambda r, w: _best(r, w)[0],
    "precision": lambda r, w: _best(r, w)[1],
    "recall": lambda r, w: _best(r, w)[2],
    "1 - pIA": _left_dark,
    "AUC-N": _negative_auc,
    "F-LOC": lambda r, w: f1_score(_success(r, w), _left_dark(r, w)),
    "F-AUC": lambda r, w: f1_score(_auc(r, w), _negative_auc(r, w)),
}
