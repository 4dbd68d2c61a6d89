"""Sound localization of LLINet: the table of methods with its controls, and what other protocols say of it.

Notebook: 07
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from llinet_lite.data.store import Store
from llinet_lite.metrics.intervals import DIFFERENCE, Cell, Interval, clip_bootstrap
from llinet_lite.metrics.localization import (
    PROTOCOLS,
    Localization,
    baselines,
    evaluate,
    resize,
    size_groups,
    step_share,
    success_curve,
    touched,
)
from llinet_lite.results import Result
from llinet_lite.show import figures
from llinet_lite.sounding import CONTROLS, LISTENING, Located
from llinet_lite.sounding.protocols import DISC, short, shown_in_all

PROTOCOL = "llinet2020"
GRID = PROTOCOLS[PROTOCOL].rule.size
# Column -> (measure, rule). "honest": k/10 of the maximum with k chosen on validation maps, masks by nearest
# pixel. "released": k chosen on the test set, and every cell that a mask touches belongs to it.
COLUMNS = {
    "mIoU": ("mIoU", "honest"),
    "AUC51": ("AUC51", "honest"),
    "mIoU as released": ("mIoU", "released"),
    "AUC51 as released": ("AUC51", "released"),
}
FIXED_K = 5  # where there is no validation: half of the maximum
PAPER = {  # per cent, mIoU and AUC; project page of LLINet
    "Baseline": (24.1, 24.6),
    "Baseline+AM": (32.3, 32.7),
    "LLINet": (36.8, 37.1),
    "AVOL-Net": (26.7, 27.1),
}
PAPER_SUCCESS = {  # thresholds and shares, read off the paper's plot
    "LLINet": ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (0.92, 0.79, 0.63, 0.43, 0.25, 0.13)),
    "AVOL-Net": ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), (0.80, 0.52, 0.35, 0.24, 0.15, 0.09)),
}
WHOLE, CEILING = "whole image", "oracle ceiling"
CONSTANTS = (DISC, "mean mask", WHOLE)


def paper_value(name: str, column: str) -> float | None:
    """Return the published value as a share; None for a row or a rule that the paper does not have."""
    measure, rule = COLUMNS[column]
    if name not in PAPER or rule == "honest":
        return None
    return PAPER[name][("mIoU", "AUC51").index(measure)] / 100


@dataclass(frozen=True)
class Row:
    """One answer on all pictures.

    Attributes
    ----------
    name : str
    kind : {"method", "control", "constant"}
    method : str
        Whose maps these are; "" for a constant.
    ious : dict of str to (S, N) array
        Overlap of every picture under every seed, by rule.
    k : dict of str to tuple of int
        Tenths of the maximum at which each seed's maps are cut, by rule; of a constant the best on the test
        set, in its favour.
    """

    name: str
    kind: str
    method: str
    ious: Mapping[str, np.ndarray]
    k: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class LocalizationTable:
    """mIoU and AUC of several methods on the same pictures, with their controls and constants.

    Attributes
    ----------
    rows : sequence of Row
        Methods, each followed by its controls, then constants.
    label, clip : (N,) int array
        Class of each picture, and what the bootstrap draws.
    size : (N,) array of str
        "small", "medium" or "large": see :func:`llinet_lite.metrics.localization.size_groups`.
    validated : bool
        Whether k was chosen on validation maps; else it is 5 for all.
    """

    rows: Sequence[Row]
    label: np.ndarray
    clip: np.ndarray
    size: np.ndarray
    validated: bool

    def row(self, name: str) -> Row:
        """Return the row of that name.

        Raises
        ------
        KeyError
            If there is none.
        """
        known = {row.name: row for row in self.rows}
        if name not in known:
            raise KeyError(f"there is no row {name!r}: choose one of {', '.join(known)}")
        return known[name]

    def names(self, kind: str) -> list[str]:
        """Return the rows of a kind: "method", "control" or "constant"."""
        return [row.name for row in self.rows if row.kind == kind]

    def values(self, name: str, column: str = "mIoU") -> np.ndarray:
        """Return a number for every picture under every seed, (S, N): their mean is the cell."""
        measure, rule = COLUMNS[column]
        iou = self.row(name).ious[rule]
        return iou if measure == "mIoU" else np.stack([step_share(one, 51) for one in iou])

    def interval(self, name: str, column: str = "mIoU") -> Interval:
        """Return a cell: mean over seeds and pictures, and an interval over seeds and clips."""
        return self._intervals[self.row(name).name, column]

    @cached_property
    def _intervals(self) -> dict[tuple[str, str], Interval]:
        """Every cell; the clips are drawn once for all cells."""
        cells = {(row.name, column): self.values(row.name, column) for row in self.rows for column in COLUMNS}
        return {key: cell.interval() for key, cell in Cell.means(cells, self.clip).items()}

    def difference(self, first: str, second: str, column: str = "mIoU") -> Interval:
        """Return how much better one row is than another, picture by picture and seed by seed.

        "LLINet" minus "LLINet, shuffled sound" is the audio-use gap: what its maps owe to the right sound.
        """
        both = [self.values(name, column) for name in (first, second)]
        if len({len(values) for values in both} | {1}) > 2:
            raise ValueError(
                f"{first} has {len(both[0])} seeds and {second} {len(both[1])}: pair as many of both"
            )
        return clip_bootstrap(both[0] - both[1], self.clip, limits=DIFFERENCE)

    def gaps(self, column: str = "mIoU") -> dict[str, Interval]:
        """Return, for every control, what its method loses: method minus control."""
        return {
            row.name: self.difference(row.method, row.name, column)
            for row in self.rows
            if row.kind == "control"
        }

    def frame(self) -> pd.DataFrame:
        """One row per answer: our values with intervals, the paper's values, every seed's k, and seeds."""
        lines = {}
        for row in self.rows:
            lines[row.name] = {column: str(self.interval(row.name, column)) for column in COLUMNS}
            if row.name in PAPER:
                paper = zip(("paper mIoU", "paper AUC"), PAPER[row.name], strict=True)
                lines[row.name] |= {title: f"{value:.1f}%" for title, value in paper}
            lines[row.name]["k"] = " ".join(map(str, row.k["honest"]))
            if row.kind != "constant":
                lines[row.name]["seeds"] = str(len(row.ious["honest"]))
        return pd.DataFrame.from_dict(lines, orient="index").fillna("-")

    def results(self, lesson, runs: Mapping[str, Sequence]) -> list[Result]:
        """Return every cell and every gap as a result; its chance is what predicting everything gets.

        Parameters
        ----------
        lesson : Lesson
        runs : mapping of method to its runs, for their seeds and minutes
        """
        known = {"n": len(self.label), "profile": lesson.settings.name, "data_hash": lesson.data_hash}
        found = []
        for column in COLUMNS:
            chance = self.interval(WHOLE, column).value
            for row in self.rows:
                of = runs.get(row.method, ())
                about = {"seeds": [run.seed for run in of], "minutes": sum(run.minutes for run in of)}
                cell, paper = self.interval(row.name, column), paper_value(row.name, column)
                about |= {"chance": chance, "paper": paper}
                found.append(Result(f"{column}, {row.name}", *_numbers(cell), **about, **known))
        for name, gap in self.gaps().items():
            method = self.row(name).method
            seeds = [run.seed for run in runs.get(method, ())]
            title = f"mIoU, {method} minus {name.removeprefix(f'{method}, ')}"
            found.append(Result(title, *_numbers(gap), chance=0.0, seeds=seeds, **known))
        return found

    def curves(
        self, names: Sequence[str] = (), *, rule: str = "honest"
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return, by row, 51 thresholds and the share of pictures whose overlap reaches each; all seeds."""
        names = names or [row.name for row in self.rows]
        return {name: success_curve(self.row(name).ious[rule].ravel(), 51) for name in names}

    def by(self, groups: np.ndarray) -> pd.DataFrame:
        """Return the honest mIoU of every row but the ceiling by group: a row per group, and n, its pictures.

        Parameters
        ----------
        groups : (N,)
            Group of each picture.
        """
        lines = {}
        for group in dict.fromkeys(np.asarray(groups).tolist()):
            which = np.asarray(groups) == group
            cells = {r.name: float(r.ious["honest"][:, which].mean()) for r in self.rows if r.name != CEILING}
            lines[group] = {"n": int(which.sum())} | cells
        return pd.DataFrame.from_dict(lines, orient="index").round(3)

    def by_class(self, store: Store) -> pd.DataFrame:
        """Return the honest mIoU class by class; the first row's best class first."""
        names = np.array([each["name"] for each in store.classes])
        return self.by(names[self.label]).sort_values(self.rows[0].name, ascending=False)

    def by_size(self) -> pd.DataFrame:
        """Return the honest mIoU by the size of the instrument in the picture, small ones first."""
        frame = self.by(self.size)
        return frame.loc[[size for size in ("small", "medium", "large") if size in frame.index]]

    def figure(self) -> Figure:
        """Draw the mIoU, honest and by the rule of the paper, whose values stand beside the second only."""
        panels = {"mIoU": "mIoU, honest", "mIoU as released": "mIoU as released"}
        shown = [row.name for row in self.rows if row.kind != "constant"]
        cells = {name: {c: _numbers(self.interval(name, c)) for c in panels} for name in shown}
        paper = {name: {c: p for c in panels if (p := paper_value(name, c)) is not None} for name in shown}
        paper = {name: line for name, line in paper.items() if line}
        lines = {
            name: {c: self.interval(name, c).value for c in panels}
            for name in self.names("constant")
            if name != CEILING  # at 100 %, it would press all bars to the left
        }
        controls = self.names("control")
        return figures.table(cells, panels, paper=paper, constants=lines, controls=controls)

    def success_figure(self) -> Figure:
        """Draw the share of pictures over the overlap that is asked for, beside the paper's points."""
        methods = self.names("method")
        paper = {name: points for name, points in PAPER_SUCCESS.items() if name in methods}
        constants = [name for name in self.names("constant") if name != "mean mask"]
        return figures.success_curves(self.curves(methods), paper=paper, constants=self.curves(constants))

    def gaps_figure(self) -> Figure:
        """Draw what each method loses without its own sound."""
        rows = [(name, *_numbers(gap)) for name, gap in self.gaps().items()]
        label = "mIoU with its own sound minus without it (percentage points)"
        return figures.effects(rows, xlabel=label)


def _numbers(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def localize(
    located: Mapping[str, Sequence[Located]],
    validation: Mapping[str, Sequence[Located]] | None = None,
    *,
    listening: Collection[str] = LISTENING,
) -> LocalizationTable:
    """Judge the maps of several methods by the protocol of LLINet, honestly and as released.

    Parameters
    ----------
    located : mapping of method to sequence of Located
        One per seed, all of the same pictures; crops and grids may differ from method to method, not from
        seed to seed. Pictures that do not show their instrument in every crop are left out.
    validation : mapping of method to sequence of Located, optional
        As many seeds, of pictures of other classes, on which k, the disc's radius and the mean mask are
        chosen. Default: k is 5 for all, and disc and mean mask are made from the test masks.
    listening : collection of str
        Methods that are tried with shuffled sounds and with silence too, their maps cut at the method's k.

    Raises
    ------
    ValueError
        If methods were given other pictures, or a method has not as many validation parts as seeds.

    Notebook: 07
    """
    shown = shown_in_all(located)
    held_out = validation or {name: [None] * len(of) for name, of in located.items()}
    if odd := [name for name in located if len(held_out.get(name, ())) != len(located[name])]:
        raise ValueError(f"give one validation part for every seed of {', '.join(odd)}")
    rows, (lead, *_) = [], located
    for name, of in located.items():
        seeds = [one.pick(shown) for one in of]
        parts = [part and part.pick(part.masks.any((1, 2))) for part in held_out[name]]
        masks = _small(seeds[0].masks)
        own = _method(name, seeds, parts, masks)
        rows += [own, *(_control(own, seeds, masks, title) for title in CONTROLS if name in listening)]
        if name == lead:
            first, constants = seeds[0], _constants(seeds[0], parts[0], masks)
    size = size_groups(first.masks)
    return LocalizationTable([*rows, *constants], first.label, first.clip, size, validation is not None)


def _row(
    name: str, kind: str, method: str, honest: Sequence[Localization], released: Sequence[Localization]
) -> Row:
    rules = {"honest": honest, "released": released}
    ious = {rule: np.stack([one.iou for one in of]) for rule, of in rules.items()}
    return Row(name, kind, method, ious, {rule: tuple(map(_tenths, of)) for rule, of in rules.items()})


def _tenths(result: Localization) -> int:
    """k, which the result names first of what it says of it."""
    return int(str(result.settings["k"]).split()[0])


def _small(masks: np.ndarray) -> dict[str, np.ndarray]:
    """Shrink masks (N, H, W) to the size at which they are judged, by rule: once for all that is judged."""
    nearest = resize(torch.from_numpy(masks).float(), GRID, "nearest").numpy() > 0
    return {"honest": nearest, "released": touched(masks, GRID)}


def _judge(maps: Tensor, masks: np.ndarray, k: int | str = "test") -> Localization:
    """Evaluate on shrunk masks; of a small instrument nothing may be left, which nobody can find then."""
    return evaluate(maps, masks, PROTOCOL, k=k, empty="fail")


def _method(
    name: str, seeds: Sequence[Located], parts: Sequence[Located | None], masks: Mapping[str, np.ndarray]
) -> Row:
    """Judge a method's maps for the pictures' own sounds."""
    honest, released = [], []
    for of, part in zip(seeds, parts, strict=True):
        maps, k = of.maps("own"), FIXED_K
        if part is not None:
            k = _tenths(_judge(part.maps("own"), _small(part.masks)["honest"]))
        honest.append(_judge(maps, masks["honest"], k))
        released.append(_judge(maps, masks["released"]))
    return _row(name, "method", name, honest, released)


def _control(own: Row, seeds: Sequence[Located], masks: Mapping[str, np.ndarray], title: str) -> Row:
    """Judge a method's maps for wrong sounds or none, cut where its own maps are."""
    maps = [of.maps(CONTROLS[title], seed=seed) for seed, of in enumerate(seeds)]
    judged = [
        [_judge(one, masks[rule], k) for one, k in zip(maps, own.k[rule], strict=True)]
        for rule in ("honest", "released")
    ]
    return _row(f"{own.name}, {title}", "control", own.name, *judged)


def _constants(of: Located, part: Located | None, masks: Mapping[str, np.ndarray]) -> list[Row]:
    """Judge what needs no network, and the mask itself on the grid of the maps."""
    held_out = None if part is None else _small(part.masks)["honest"]
    rules = [
        short(baselines(masks["honest"], PROTOCOL, validation=held_out, train=held_out, empty="fail")),
        short(baselines(masks["released"], PROTOCOL, empty="fail")),
    ]
    height, width = of.cells.shape[2:]
    grid, covered = f"mask on {height} x {width} cells", _covered(of.masks, (height, width))
    for rule, small in zip(rules, masks.values(), strict=True):
        rule[grid] = _judge(covered, small)
    return [
        _row(name, "constant", "", *([rule[name]] for rule in rules)) for name in (CEILING, grid, *CONSTANTS)
    ]


def _covered(masks: np.ndarray, grid: tuple[int, int]) -> Tensor:
    """Return the share of every cell that the mask covers, (N, h, w): the best that a coarse map can say."""
    return F.adaptive_avg_pool2d(torch.from_numpy(masks).float()[:, None], grid)[:, 0]
