"""The retrieval table of Objects that Sound: every method through one harness, on the same items.

Notebook: 02
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from llinet_lite.avc.plans import plans
from llinet_lite.avc.runs import Run, train_or_load
from llinet_lite.avc.spaces import Vectors, align, combine, embed, matched
from llinet_lite.avc.standin import vgg_vectors
from llinet_lite.data.store import Store
from llinet_lite.metrics.intervals import DIFFERENCE, Cell, Interval
from llinet_lite.metrics.relevance import Relevance, relevance_of
from llinet_lite.metrics.retrieval import DIRECTIONS, FourDirections
from llinet_lite.results import Result
from llinet_lite.rivals.cca import CCA
from llinet_lite.show import figures

# nDCG@30 in Table 1 of Objects that Sound (and, for AVE+OF, its appendix B); the gain is not stated there.
PAPER_NDCG = {
    "random": (0.407, 0.407, 0.407, 0.407),
    "L3-Net": (0.567, 0.418, 0.385, 0.653),
    "L3-Net + CCA, paper": (0.578, 0.531, 0.560, 0.649),
    "VGG16-ImageNet": (0.600, None, None, None),
    "VGG16-ImageNet + L3 audio, CCA, paper": (0.493, 0.458, 0.464, 0.618),
    "AVE-Net": (0.604, 0.561, 0.587, 0.665),
    "AVE+OF": (0.608, 0.558, 0.588, 0.665),
}


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes
    ----------
    vectors : list of Vectors
        One per seed.
    note : str
        What it has learnt from, and how it was tuned.
    seeds : sequence of int
    minutes : float
        Of training the networks behind it.
    """

    vectors: list[Vectors]
    note: str
    seeds: Sequence[int]
    minutes: float = 0.0


@dataclass(frozen=True)
class Table:
    """nDCG of every method, query by query.

    Attributes
    ----------
    rows : dict of str to dict of str to array (S, Q)
        Method -> direction -> value of every query under every seed; first "random", then "same class",
        and "oracle" last.
    gain, statement : str
        Gain, and all protocols in words.
    methods : dict of str to Method
    k : int
        Places that count.
    """

    rows: dict[str, dict[str, np.ndarray]]
    gain: str
    statement: str
    methods: Mapping[str, Method]
    k: int = 30

    @property
    def title(self) -> str:
        """What the numbers are, as "nDCG@30, exponential gain"."""
        return f"nDCG@{self.k}, {self.gain} gain"

    def mean(self, name: str, direction: str) -> Cell | None:
        """Return a cell: interval over queries and seeds, value for every seed; None where there is none."""
        values = self.rows[name].get(direction)
        return None if values is None else Cell.mean(values, np.arange(values.shape[1]))

    def difference(self, first: str, second: str, direction: str) -> Cell:
        """Return how much better one row is than another, compared query by query."""
        gain = self.rows[first][direction] - self.rows[second][direction]  # (S, Q)
        return Cell.mean(gain, np.arange(gain.shape[1]), limits=DIFFERENCE)

    def frame(self) -> pd.DataFrame:
        """One row per method: value and half-width of the interval in each direction, then the paper's."""
        columns = {d: [self._cell(name, d) for name in self.rows] for d in DIRECTIONS}
        for k, direction in enumerate(DIRECTIONS):
            columns[f"paper {direction}"] = [
                _or_dash(PAPER_NDCG.get(name, (None,) * 4)[k]) for name in self.rows
            ]
        return pd.DataFrame(columns, index=pd.Index(self.rows, name=self.title))

    def _cell(self, name: str, direction: str) -> str:
        cell = self.mean(name, direction)
        if cell is None:
            return "-"
        interval = cell.interval()
        return f"{interval.value:.3f} ± {(interval.high - interval.low) / 2:.3f}"

    def figure(self) -> Figure:
        """Draw the table, one panel per direction, beside the random line and the paper's values."""
        drawn = [name for name in self.rows if name not in ("random", "oracle")]
        cells = {name: {d: self.mean(name, d) for d in DIRECTIONS} for name in drawn}
        scores = {
            name: {d: _numbers(cell.interval()) for d, cell in row.items() if cell}
            for name, row in cells.items()
        }
        chance = {d: self.mean("random", d).value for d in DIRECTIONS}
        paper = {
            name: {d: value for d, value in zip(DIRECTIONS, PAPER_NDCG[name], strict=True) if value}
            for name in drawn
            if name in PAPER_NDCG
        }
        columns = {d: f"nDCG@{self.k}\n{title}" for d, title in figures.DIRECTIONS.items()}
        fig = figures.table(scores, columns, chance=chance, paper=paper, percent=False, top=1.0)
        fig.suptitle(f"{self.gain} gain", fontsize=9)
        return fig

    def results(self, lesson) -> list[Result]:
        """Return every cell as a result; the interval is over queries and seeds."""
        rows = []
        for name in self.rows:
            for k, direction in enumerate(DIRECTIONS):
                cell = self.mean(name, direction)
                if cell is None or name == "oracle":
                    continue
                method = self.methods.get(name)
                rows.append(
                    Result(
                        f"nDCG@{self.k} {self.gain}, {direction}, {name}",
                        *_numbers(cell.interval()),
                        chance=self.mean("random", direction).value,
                        paper=PAPER_NDCG.get(name, (None,) * 4)[k],
                        unit="nDCG",
                        seeds=method.seeds if method else (),
                        n=cell.n,
                        profile=lesson.settings.name,
                        data_hash=lesson.data_hash,
                        minutes=method.minutes if method else 0.0,
                    )
                )
        return rows


def _numbers(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def published_frame(results: Sequence[Result], gain: str = "exponential", k: int = 30) -> pd.DataFrame:
    """Return the nDCG among published results as :meth:`Table.frame` shows them; empty if there is none.

    Parameters
    ----------
    results : sequence of Result
        As :meth:`Table.results` made them.
    gain : {"exponential", "linear"}
    k : int
    """
    start, cells = f"nDCG@{k} {gain}, ", {}
    for r in results:
        if r.name.startswith(start):
            direction, method = r.name.removeprefix(start).split(", ", 1)
            half = (r.high - r.low) / 2
            cells.setdefault((method, len(r.seeds)), {})[direction] = f"{r.value:.3f} ± {half:.3f}"
    index = pd.MultiIndex.from_tuples(cells, names=[start.rstrip(", "), "seeds"]) if cells else None
    return pd.DataFrame(list(cells.values()), index=index, columns=list(DIRECTIONS)).fillna("-")


def relevance(store: Store, ontology: str = "") -> Relevance:
    """Grade the classes of a store: by AudioSet's ontology if its path is given, else by what is known."""
    return relevance_of([c["name"] for c in store.classes], ontology=ontology or None)


def search(
    methods: Mapping[str, Method], relevance: Relevance, *, gain: str = "exponential", k: int = 30
) -> Table:
    """Score every method in the four directions, between the random and the oracle row.

    Parameters
    ----------
    methods : mapping of str to Method
        All of the same items.
    relevance : Relevance
    gain : {"exponential", "linear"}
    k : int

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If two methods are of different items.
    """
    first = next(iter(methods.values())).vectors[0]
    labels = (first.image_label, first.audio_label)
    how = {"k": k, "gain": gain, "own": "out", "pair": "in" if first.paired else "none"}
    directions = FourDirections(*labels, relevance, **how)
    known = directions.references()
    rows = {name: {d: v.numpy()[None] for d, v in known[name].items()} for name in ("random", "same class")}
    for name, method in methods.items():
        for items in method.vectors:
            if not np.array_equal(items.image_row, first.image_row):
                raise ValueError(f"{name} was given other items than the first method: embed the same split")
        scored = [
            FourDirections(*_labels(v), relevance, **how).ndcg(v.image, v.audio) for v in method.vectors
        ]
        rows[name] = {d: torch.stack([one[d] for one in scored]).numpy() for d in scored[0]}
    rows["oracle"] = {d: v.numpy()[None] for d, v in known["oracle"].items()}
    stated = directions.statements()
    statement = "\n".join(f"{direction:8} {protocol}" for direction, protocol in stated.items())
    return Table(rows, gain, statement, methods, k)


def _labels(items: Vectors) -> tuple:
    return (
        None if items.image is None else items.image_label,
        None if items.audio is None else items.audio_label,
    )


def retrieval_methods(
    lesson, networks: Mapping[str, Sequence[Run]], *, vgg_weights: str = "", split: str = "test"
) -> dict[str, Method]:
    """Train or load every rival of the table and embed a split with it.

    Parameters
    ----------
    lesson : Lesson
    networks : mapping of str to sequence of Run
        AVE-Nets by the name they have in the table, one per seed; rivals use the same seeds.
    vgg_weights : str
        File of torchvision's VGG16 weights, or "" to look in its cache.
    split : str

    Returns
    -------
    dict of str to Method
    """
    settings, store = lesson.settings, lesson.store(splits=("train", "val", split))
    seeds = [run.seed for run in next(iter(networks.values()))]
    plan = plans(settings, None if lesson.is_world else store)["all"]
    l3 = [train_or_load(lesson, plan, seed=seed) for seed in seeds]
    parts = ("train", "val", split)
    heard = [[embed(run, store, part, settings, every=part == "train") for part in parts] for run in l3]
    cost = {"seeds": seeds, "minutes": sum(run.minutes for run in l3)}
    methods = {"L3-Net": Method([of[2] for of in heard], "correspondence, all pairs; no alignment", **cost)}
    methods |= aligned("L3-Net + CCA", heard, **cost)
    title, seen, vgg_note = vgg_vectors(lesson, parts, seeds, vgg_weights)
    methods[title] = Method([of[2] for of in seen], vgg_note, seeds)
    both = [[combine(v, h) for v, h in zip(*of, strict=True)] for of in zip(seen, heard, strict=True)]
    methods |= aligned(f"{title} + L3 audio, CCA", both, **cost)
    for name, runs in networks.items():
        vectors = [embed(run, store, split, settings) for run in runs]
        note, own = f"correspondence, {runs[0].plan.pairs} pairs", [run.seed for run in runs]
        methods[name] = Method(vectors, note, own, sum(run.minutes for run in runs))
    return methods


def aligned(
    name: str, spaces: Sequence[Sequence[Vectors]], seeds: Sequence[int], minutes: float
) -> dict[str, Method]:
    """Fit both variants of CCA for every seed: "<name>, paper" and "<name>, tuned".

    Parameters
    ----------
    name : str
    spaces : sequence of (train, val, test) Vectors, one per seed
    seeds : sequence of int
    minutes : float
        Of training the networks behind the vectors.
    """
    paper, tuned, chosen = [], [], []
    for train, val, test in spaces:
        pairs = matched(train)
        size = min(128, len(pairs[0]) - 1, *(part.shape[1] for part in pairs))
        paper.append(align(CCA.paper(size).fit(*pairs), test))
        best, _ = CCA.tuned(*pairs, *matched(val), components=size)
        tuned.append(align(best, test))
        chosen.append(f"r = {best.regularization:g}, p = {best.power:g}")
    return {
        f"{name}, paper": Method(paper, f"{size} components, r = 1e-8", seeds, minutes),
        f"{name}, tuned": Method(
            tuned, f"{size} components; on validation: {'; '.join(chosen)}", seeds, minutes
        ),
    }
