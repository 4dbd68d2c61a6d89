"""The two tables of zero-shot recognition: six methods, every calibration, every seed.

Notebook: 08
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from llinet_lite.data.store import Store
from llinet_lite.metrics import recognition as measures
from llinet_lite.metrics.intervals import DIFFERENCE, Cell, Interval
from llinet_lite.results import Result, interval_over_seeds
from llinet_lite.rivals import RECOGNITION
from llinet_lite.zeroshot.exam import Exam
from llinet_lite.zeroshot.recognition import (
    CALIBRATIONS,
    Answers,
    Gatekeeper,
    Learned,
    answers,
    chosen_options,
    nearest,
)

PAPER = {  # per cent: acc | tr, ts, hm; project page of LLINet
    "DCN": (29.8, 48.0, 26.0, 33.7),
    "LDE": (51.7, 61.7, 39.9, 48.5),
    "RelationNet": (55.4, 60.8, 40.0, 48.0),
    "SAE": (57.7, 63.7, 38.7, 48.1),
    "LLINet": (56.7, 68.6, 39.4, 50.1),
    "LLINet (VGGish)": (62.2, 68.7, 41.7, 51.9),
}
MEASURES = ("acc", "tr", "ts", "hm")
PUBLISHED = "gate"  # the calibration of the paper's table


def paper_value(name: str, measure: str) -> float | None:
    """Return the published value as a share, or None for a row that the paper does not have."""
    return PAPER[name][MEASURES.index(measure)] / 100 if name in PAPER else None


@dataclass(frozen=True)
class RecognitionTable:
    """Zero-shot and generalised zero-shot recognition of several methods on the same items.

    Attributes
    ----------
    rows : mapping of str to sequence of Answers
        One per seed.
    exam : Exam
        The final one; items and labels are those of every row.
    """

    rows: Mapping[str, Sequence[Answers]]
    exam: Exam

    def _items(self, seen: bool) -> tuple[np.ndarray, np.ndarray]:
        part = self.exam.seen_items if seen else self.exam.unseen_items
        return self.exam.labels(part), part.items.image_clip

    def _hits(self, name: str, measure: str, calibration: str) -> np.ndarray:
        """Right answers (S, items) behind "acc", "tr" or "ts"."""
        if measure == "acc":
            return np.stack([one.zsl for one in self.rows[name]])
        return np.stack([one.hits[calibration][("tr", "ts").index(measure)] for one in self.rows[name]])

    def interval(self, name: str, measure: str, calibration: str = PUBLISHED) -> Interval:
        """Return a number with the interval that draws clips (class by class) and seeds.

        Parameters
        ----------
        name : str
        measure : {"acc", "tr", "ts", "hm"}
        calibration : one of CALIBRATIONS; "acc" has none
        """
        if measure == "hm":
            both = [(self._hits(name, m, calibration), *self._items(m == "tr")) for m in ("tr", "ts")]
            return measures.harmonic(*both).interval()
        hits = self._hits(name, measure, calibration)
        return Cell.class_mean(hits, *self._items(measure == "tr")).interval()

    def difference(self, first: str, second: str) -> Interval:
        """Return how much more accurate one method is than another on unseen classes (acc), paired."""
        hits = [self._hits(name, "acc", "none").astype(float) for name in (first, second)]
        return Cell.class_mean(hits[0] - hits[1], *self._items(False), limits=DIFFERENCE).interval()

    def means_between(self) -> bool:
        """Whether every harmonic mean lies between its tr and ts, under all calibrations."""
        for name in self.rows:
            for how in CALIBRATIONS:
                tr, ts, hm = (self.interval(name, m, how).value for m in ("tr", "ts", "hm"))
                if not min(tr, ts) - 1e-9 <= hm <= max(tr, ts) + 1e-9:
                    return False
        return True

    def chance(self, measure: str) -> float:
        """Class mean of uniform guessing: among unseen classes for "acc", among all classes else."""
        seen, unseen = self.exam.columns
        return measures.chance(unseen if measure == "acc" else range(len(seen) + len(unseen)))

    def area(self, name: str, of: str = "curve") -> tuple[float, ...]:
        """AUSUC of every seed: of calibrated stacking ("curve") or of the gate ("gate_curve")."""
        return tuple(getattr(one, of).area for one in self.rows[name])

    def frame(self, calibration: str = PUBLISHED) -> pd.DataFrame:
        """Chance and every method: acc | tr, ts, hm with intervals, AUSUC, and the paper's values."""
        lines = {"chance": {m: f"{self.chance(m):.1%}" for m in MEASURES}}
        for name in self.rows:
            cells = {m: self.interval(name, m, calibration) for m in MEASURES}
            line = {m: f"{c.value:.1%} [{c.low:.1%}, {c.high:.1%}]" for m, c in cells.items()}
            line["AUSUC"] = f"{np.mean(self.area(name)):.3f}"
            known = {m: paper_value(name, m) for m in MEASURES}
            line |= {f"paper {m}": "-" if v is None else f"{v:.1%}" for m, v in known.items()}
            lines[name] = line | {"seeds": str(len(self.rows[name]))}
        frame = pd.DataFrame.from_dict(lines, orient="index").fillna("-")
        return frame.loc[:, (frame != "-").any()]

    def calibrations(self) -> pd.DataFrame:
        """tr, ts and hm of every method under every calibration, per cent, and the areas of both curves."""
        lines = {}
        for name in self.rows:
            line = {}
            for how in CALIBRATIONS:
                cells = [self.interval(name, m, how).value for m in ("tr", "ts", "hm")]
                line[how] = " / ".join(f"{100 * v:.0f}" for v in cells)
            line["AUSUC"] = f"{np.mean(self.area(name)):.3f}"
            line["area, gate"] = f"{np.mean(self.area(name, 'gate_curve')):.3f}"
            lines[name] = line
        return pd.DataFrame.from_dict(lines, orient="index")

    def by_class(self, store: Store) -> pd.DataFrame:
        """Share of each unseen class named rightly, mean over seeds: methods by classes."""
        labels, _ = self._items(False)
        names = [store.classes[int(k)]["name"] for k in self.exam.unseen]
        lines = {}
        for name in self.rows:
            hits = self._hits(name, "acc", "none").mean(0)
            lines[name] = [f"{hits[labels == k].mean():.0%}" for k in self.exam.columns[1]]
        return pd.DataFrame.from_dict(lines, orient="index", columns=names)

    def confusion(self, name: str) -> np.ndarray:
        """Share of the pictures of unseen class i that seed 0 called class j, (U, U)."""
        labels, _ = self._items(False)
        columns = list(self.exam.columns[1])
        return _shares(self.rows[name][0], labels, columns)

    def luck(self, *, draws: int = 20_000) -> pd.DataFrame:
        """Compare acc with what the same answers would get if classes were linked at random.

        Pictures of a class tend to get the same answer, right or wrong. So the classes of the answers are
        permuted, for every seed on its own: with eight classes a few lucky links decide.

        Returns
        -------
        DataFrame
            acc, the 95 % quantile of random links, and p, the share of random links that do as well.
        """
        labels, _ = self._items(False)
        columns, lines = np.array(self.exam.columns[1]), {}
        rng = np.random.default_rng(0)
        for name, of in self.rows.items():
            linked, real = np.zeros(draws), 0.0
            for one in of:
                shares = np.array(
                    [[(one.confused[labels == i] == j).mean() for j in columns] for i in columns]
                )
                order = rng.random((draws, len(columns))).argsort(1)
                linked += shares[np.arange(len(columns)), order].mean(1) / len(of)
                real += np.trace(shares) / len(columns) / len(of)
            p = (1 + (linked >= real - 1e-12).sum()) / (1 + draws)
            lines[name] = (f"{real:.1%}", f"{np.quantile(linked, 0.95):.1%}", f"{p:.3f}")
        columns = ["acc", "95 % of random links", "p"]
        return pd.DataFrame.from_dict(lines, orient="index", columns=columns)

    def results(self, lesson, minutes: Mapping[str, float] | None = None) -> list[Result]:
        """Return acc, tr, ts, hm (gate and stacking) and AUSUC of every method as results."""
        return [
            one for name in self.rows for one in self._results(name, lesson, (minutes or {}).get(name, 0.0))
        ]

    def _results(self, name: str, lesson, minutes: float) -> list[Result]:
        known = {"seeds": tuple(one.seed for one in self.rows[name]), "profile": lesson.settings.name}
        known |= {"data_hash": lesson.data_hash, "minutes": minutes}
        cells = [("acc", "acc", PUBLISHED)]
        cells += [(f"{m} ({how})", m, how) for how in (PUBLISHED, "stacking") for m in MEASURES[1:]]
        found = []
        for title, measure, how in cells:
            cell = self.interval(name, measure, how)
            more = {"chance": self.chance(measure), "n": cell.n} | known
            more["paper"] = paper_value(name, measure) if how == PUBLISHED else None
            found.append(Result(f"{title}, {name}", cell.value, cell.low, cell.high, **more))
        areas = self.area(name)
        mean, low, high = interval_over_seeds(areas)  # of one seed: no interval
        if low is not None:
            low, high = max(low, 0.0), min(high, 1.0)
        return [*found, Result(f"AUSUC, {name}", mean, low, high, unit="share", n=len(areas), **known)]


def _shares(one: Answers, labels: np.ndarray, columns) -> np.ndarray:
    """Share of the pictures of unseen class i that were called class j, (U, U)."""
    return np.array([[(one.confused[labels == i] == j).mean() for j in columns] for i in columns])


def sit(
    pairs: Sequence[tuple[Exam, Exam]],
    ours: Mapping[str, Sequence[tuple[Exam, Exam]]],
    seeds: Sequence[int],
    *,
    epochs: int,
) -> tuple[RecognitionTable, dict[str, float]]:
    """Let the four rivals and LLINet's networks sit the exam, one table for all seeds.

    Parameters
    ----------
    pairs : sequence of pairs of Exam
        Of features, for the rivals and the gates; one pair per seed.
    ours : mapping of row to its exams, one pair per seed
        As :func:`llinet_lite.zeroshot.exam.own_exams` makes them.
    seeds : sequence of int
    epochs : int
        Of the rivals' training.

    Returns
    -------
    table : RecognitionTable
    minutes : dict of str to float
        What the rivals' learning took, all seeds.
    """
    rows: dict[str, list[Answers]] = {name: [] for name in (*RECOGNITION, *ours)}
    minutes = dict.fromkeys(RECOGNITION, 0.0)
    for number, (seed, pair) in enumerate(zip(seeds, pairs, strict=True)):
        gate = Gatekeeper.of(*pair)
        for name in RECOGNITION:
            started = time.monotonic()
            rows[name].append(_rival(name, pair, gate, epochs, seed))
            minutes[name] += (time.monotonic() - started) / 60
            print(f"{name}, seed {seed}: {time.monotonic() - started:.0f} s", flush=True)
        for name, of in ours.items():
            asked = tuple(exam.ask(nearest()) for exam in of[number])
            rows[name].append(answers(of[number], asked, gate, seed, {}))
    return RecognitionTable(rows, pair[1]), minutes


def _rival(name: str, pair: tuple[Exam, Exam], gate: Gatekeeper, epochs: int, seed: int) -> Answers:
    options, tried = chosen_options(name, pair[0], epochs=epochs, seed=seed)
    asked = tuple(exam.ask(Learned(name, exam, options, epochs=epochs, seed=seed)) for exam in pair)
    return answers(pair, asked, gate, seed, {"options": options, "tried": tried})
