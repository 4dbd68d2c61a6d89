"""Table 1 of LLINet: class-level retrieval of unseen classes in both directions, every method, every seed.

Notebook: 06
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from llinet_lite.data.store import Store
from llinet_lite.metrics.intervals import DIFFERENCE, Interval, clip_bootstrap
from llinet_lite.metrics.retrieval import ClassRetrieval, class_confusion, precision_by_class
from llinet_lite.results import Result
from llinet_lite.show import figures
from llinet_lite.zeroshot.evaluation import Embedded, Items
from llinet_lite.zeroshot.runs import Run

COLUMNS = ("mAP I2A", "R@1 I2A", "mAP A2I", "R@1 A2I")
PAPER = {  # per cent; project page of LLINet
    "DAR": (13.3, 13.4, 13.6, 15.3),
    "ULSLVC": (13.4, 8.2, 20.1, 21.0),
    "SIR": (21.2, 20.9, 15.4, 12.8),
    "SCAN": (16.5, 16.7, 18.2, 15.0),
    "DSCMR": (14.8, 20.5, 18.1, 24.6),
    "TIMAM": (39.1, 28.5, 25.8, 25.0),
    "CMPM": (39.3, 28.9, 26.2, 25.8),
    "CME": (30.1, 25.7, 27.4, 30.8),
    "LLINet": (49.3, 41.1, 31.2, 38.3),
}


def paper_value(name: str, column: str) -> float | None:
    """Return the published value as a share, or None for a row that the paper does not have."""
    return PAPER[name][COLUMNS.index(column)] / 100 if name in PAPER else None


@dataclass(frozen=True)
class Row:
    """One method on the items of a split.

    Attributes
    ----------
    name : str
    found : sequence of dict of str to ClassRetrieval
        "I2A" and "A2I" of every seed.
    seeds : tuple of int
    minutes : float
        Training of all seeds.
    embedded : sequence of Embedded
        What was searched, of every seed.
    """

    name: str
    found: Sequence[Mapping[str, ClassRetrieval]]
    seeds: tuple[int, ...]
    minutes: float
    embedded: Sequence[Embedded] = ()

    def values(self, column: str) -> np.ndarray:
        """Return hits or average precisions of every query under every seed, (S, Q) float."""
        metric, direction = column.split()
        field = "precisions" if metric == "mAP" else "hits"
        return np.stack([np.asarray(getattr(one[direction], field), np.float64) for one in self.found])


def row_of(name: str, runs: Sequence[Run], embedded: Sequence[Embedded]) -> Row:
    """Search with every seed's embeddings of the same items."""
    found = [one.retrieval() for one in embedded]
    return Row(name, found, tuple(run.seed for run in runs), sum(run.minutes for run in runs), embedded)


@dataclass(frozen=True)
class RetrievalTable:
    """R@1 and mAP of several methods on the same items, with chance and the published values.

    Attributes
    ----------
    rows : sequence of Row
    items : Items
    """

    rows: Sequence[Row]
    items: Items

    def row(self, name: str) -> Row:
        """Return the row of a method."""
        return next(row for row in self.rows if row.name == name)

    def chance(self, column: str) -> float:
        """What a random ranking gets on average, exactly."""
        metric, direction = column.split()
        one = self.rows[0].found[0][direction]
        return one.chance_precision if metric == "mAP" else one.chance_hit

    def _clips(self, column: str) -> np.ndarray:
        return self.items.image_clip if column.endswith("I2A") else self.items.sound_clip

    def interval(self, name: str, column: str) -> Interval:
        """Return a cell: mean over seeds and queries, and an interval over both."""
        return clip_bootstrap(self.row(name).values(column), self._clips(column))

    def difference(self, first: str, second: str, column: str) -> Interval:
        """Return how much better one method is than another, query by query and seed by seed."""
        both = [self.row(name).values(column) for name in (first, second)]
        return clip_bootstrap(both[0] - both[1], self._clips(column), limits=DIFFERENCE)

    def frame(self) -> pd.DataFrame:
        """One row for chance, the oracle and every method: our value, its interval, the paper's value."""
        lines = {"chance": {}, "oracle": {}}
        for column in COLUMNS:
            lines["chance"][column] = f"{self.chance(column):.1%}"
            lines["oracle"][column] = "100.0%"
        for row in self.rows:
            cells = {column: self.interval(row.name, column) for column in COLUMNS}
            lines[row.name] = {
                column: f"{cell.value:.1%} [{cell.low:.1%}, {cell.high:.1%}]"
                for column, cell in cells.items()
            }
            lines[row.name] |= {
                f"paper {column}": "-" if (p := paper_value(row.name, column)) is None else f"{p:.1%}"
                for column in COLUMNS
            }
            lines[row.name]["seeds"] = str(len(row.seeds))
        frame = pd.DataFrame.from_dict(lines, orient="index").fillna("-")
        return frame.loc[:, (frame != "-").any()]  # no columns of the paper where it has none of the rows

    def luck(self, metric: str = "R@1", *, draws: int = 20_000) -> pd.DataFrame:
        """Compare a metric with what the same clusters, linked at random, would get.

        Each sense may keep its classes apart and the link between the senses still be arbitrary. Then each
        class of one sense answers for some class of the other, and eight lucky or unlucky links decide: the
        classes, not the clips, are what was drawn. Here the classes of the answers are permuted, for every
        seed on its own. The mean of R@1 stays at chance, its spread does not; of mAP even the mean rises
        above that of a random order, because clusters are found whole or not at all.

        Parameters
        ----------
        metric : {"R@1", "mAP"}
        draws : int
            Random links.

        Returns
        -------
        DataFrame
            For every method and direction: the metric, mean and 95 % quantile of random links, and p, the
            share of random links that do as well.
        """
        lines = {}
        for row in self.rows:
            for direction in ("I2A", "A2I"):
                tables = [_answers(one, self.items, direction, metric) for one in row.embedded]
                linked = [_random_links(table, draws, seed) for seed, table in enumerate(tables)]
                luck, real = np.mean(linked, axis=0), float(np.mean([np.trace(table) for table in tables]))
                p = (1 + (luck >= real - 1e-12).sum()) / (1 + draws)
                cells = (f"{real:.1%}", f"{luck.mean():.1%}", f"{np.quantile(luck, 0.95):.1%}", f"{p:.3f}")
                columns = (metric, "mean of random links", "95 % of random links", "p")
                lines[row.name, direction] = dict(zip(columns, cells, strict=True))
        return pd.DataFrame.from_dict(lines, orient="index")

    def seeds_frame(self, column: str) -> pd.DataFrame:
        """Every seed's value of one column, methods by seeds: how much hangs on the training run."""
        values = {row.name: row.values(column).mean(1) for row in self.rows}
        width = max(len(row.seeds) for row in self.rows)
        return pd.DataFrame(
            {
                name: [f"{v:.1%}" for v in seeds] + ["-"] * (width - len(seeds))
                for name, seeds in values.items()
            }
        ).T.rename(columns=lambda seed: f"seed {seed}")

    def figure(self) -> Figure:
        """Draw the table, one panel per column, beside chance and the paper's values."""
        return figures.table(
            {
                row.name: {column: _numbers(self.interval(row.name, column)) for column in COLUMNS}
                for row in self.rows
            },
            figures.TABLE_1,
            chance={column: self.chance(column) for column in COLUMNS},
            paper={
                row.name: {column: paper_value(row.name, column) for column in COLUMNS}
                for row in self.rows
                if row.name in PAPER
            },
        )

    def results(self, lesson) -> list[Result]:
        """Return every cell as a result."""
        return [
            Result(
                f"{column}, {row.name}",
                *_numbers(self.interval(row.name, column)),
                chance=self.chance(column),
                paper=paper_value(row.name, column),
                seeds=row.seeds,
                n=np.size(row.values(column), 1),
                profile=lesson.settings.name,
                data_hash=lesson.data_hash,
                minutes=row.minutes,
            )
            for row in self.rows
            for column in COLUMNS
        ]


def _answers(found: Embedded, items: Items, direction: str, metric: str) -> np.ndarray:
    """Part (K, K) of the metric that queries of class i add if class j is what they ask for."""
    scores = found.scores if direction == "I2A" else found.scores.T
    pair = (items.image_label, items.sound_label)
    queries, gallery = pair if direction == "I2A" else pair[::-1]
    classes, counts = np.unique(queries, return_counts=True)
    if metric == "R@1":
        shares = np.asarray(class_confusion(scores, queries, gallery, classes.tolist()))
        return shares * counts[:, None] / counts.sum()
    each = precision_by_class(scores, gallery, classes.tolist()).numpy()  # (Q, K)
    return np.stack([each[queries == label].sum(0) for label in classes]) / len(queries)


def _random_links(table: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Metric (draws,) if the classes of the answers are permuted at random."""
    count = len(table)
    order = np.random.default_rng(seed).random((draws, count)).argsort(1)  # (draws, K)
    return table[np.arange(count), order].sum(1)


def search(
    runs: Mapping[str, Sequence[Run]], store: Store, settings, split: str = "unseen"
) -> tuple[RetrievalTable, dict[str, list[Embedded]]]:
    """Embed a split with every network, and search it in both directions.

    Parameters
    ----------
    runs : mapping of str to sequence of Run
        Networks by the name of their row, one per seed.
    store, settings, split
        See :func:`llinet_lite.zeroshot.evaluation.embed`.

    Returns
    -------
    table : RetrievalTable
    found : dict of str to list of Embedded
        Of every seed, by the name of the row.
    """
    found = {name: [run.embed(store, split, settings) for run in of] for name, of in runs.items()}
    rows = [row_of(name, runs[name], found[name]) for name in runs]
    return RetrievalTable(rows, next(iter(found.values()))[0].items), found


def published_frame(lesson, run: str = "") -> pd.DataFrame:
    """Return the cells among a lesson's published results, one row per method; empty if there is none.

    Parameters
    ----------
    lesson : Lesson
    run : str
        Name of a run, as "laptop-photos"; the lesson's own by default.
    """
    lines: dict[str, dict[str, str]] = {}
    for result in lesson.published_results(run):
        column, _, name = result.name.partition(", ")
        if column in COLUMNS:
            cell = f"{result.value:.1%} [{result.low:.1%}, {result.high:.1%}]"
            line = lines.setdefault(
                name, {"seeds": str(len(result.seeds)), "minutes": f"{result.minutes:.1f}"}
            )
            line[column] = cell
    order = [*COLUMNS, "seeds", "minutes"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=order if lines else None)


def _numbers(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high
