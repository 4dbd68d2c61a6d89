"""What lesson 08 looks at beside its table: prototypes in the plane, and the released protocol.

Notebook: 08
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from llinet_lite.data.store import Store
from llinet_lite.metrics import recognition as measures
from llinet_lite.metrics.intervals import DIFFERENCE, Cell, Interval
from llinet_lite.results import Result
from llinet_lite.show import figures
from llinet_lite.zeroshot.exam import Exam
from llinet_lite.zeroshot.gallery import names
from llinet_lite.zeroshot.recognition import nearest

SHOWN = 25  # pictures and sounds of a class in the plane
# What is asked of LLINet's networks: prototypes, distance, whether all is scaled to length 1.
CHOICES = {
    "held-out clips, cosine": ("held-out", "cosine", True),
    "held-out clips, Euclidean as released": ("held-out", "euclidean", False),
    "the test clips' own, cosine": ("test", "cosine", True),
    "the test clips' own, Euclidean (as released)": ("test", "euclidean", False),
}


def _hits(exam: Exam, choice: str) -> np.ndarray:
    prototypes, distance, unit = CHOICES[choice]
    unseen = list(exam.columns[1])
    said = measures.predict(exam.ask(nearest(distance, unit=unit), prototypes)[1], unseen)
    return said == exam.labels(exam.unseen_items)


def ask_ours(asked: Sequence[tuple[Exam, Exam]], choice: str = "held-out clips, cosine") -> Interval:
    """Return the zero-shot accuracy of LLINet's networks, one per seed, with its interval.

    Parameters
    ----------
    asked : sequence of pairs of Exam
        As :func:`llinet_lite.zeroshot.exam.own_exams` makes them, of one row.
    choice : one of CHOICES
    """
    papers = [final for _, final in asked]
    part = papers[0].unseen_items
    hits = np.stack([_hits(exam, choice) for exam in papers])
    return Cell.class_mean(hits, papers[0].labels(part), part.items.image_clip).interval()


def prototype_choices(
    ours: Mapping[str, Sequence[tuple[Exam, Exam]]],
) -> dict[tuple[str, str], tuple[Interval, Interval | None]]:
    """Ask LLINet's networks in every way of CHOICES.

    Parameters
    ----------
    ours : mapping of row to its exams, one pair per seed
        As :func:`llinet_lite.zeroshot.exam.own_exams` makes them.

    Returns
    -------
    dict of (row, choice) to (accuracy, difference from the first choice on the same pictures, None for it)
    """
    found = {}
    for name, asked in ours.items():
        papers = [final for _, final in asked]
        part = papers[0].unseen_items
        told = papers[0].labels(part), part.items.image_clip
        hits = {choice: np.stack([_hits(exam, choice) for exam in papers]) for choice in CHOICES}
        honest = hits[next(iter(CHOICES))]
        for choice, of in hits.items():
            gain = of.astype(float) - honest  # (S, N)
            gain = None if of is honest else Cell.class_mean(gain, *told, limits=DIFFERENCE).interval()
            found[name, choice] = Cell.class_mean(of, *told).interval(), gain
    return found


def choices_frame(found: Mapping[tuple[str, str], tuple[Interval, Interval | None]]) -> pd.DataFrame:
    """One row per network and choice: accuracy, and what the choice is worth."""
    lines = {
        key: {"acc": _percent(cell), "worth": "-" if gain is None else _percent(gain, sign=True)}
        for key, (cell, gain) in found.items()
    }
    return pd.DataFrame.from_dict(lines, orient="index")


def _percent(cell: Interval, *, sign: bool = False) -> str:
    how = "+.1%" if sign else ".1%"
    return f"{cell.value:{how}} [{cell.low:{how}}, {cell.high:{how}}]"


def choice_results(
    found: Mapping[tuple[str, str], tuple[Interval, Interval | None]], lesson, seeds: Sequence[int]
) -> list[Result]:
    """Return what every choice is worth as a result: "acc, <row>: <choice>"."""
    known = {"seeds": tuple(seeds), "profile": lesson.settings.name, "data_hash": lesson.data_hash}
    return [
        Result(f"acc, {name}: {choice}", cell.value, cell.low, cell.high, n=cell.n, **known)
        for (name, choice), (cell, gain) in found.items()
        if gain is not None
    ]


def prototype_figure(store: Store, exam: Exam, *, seed: int = 0) -> Figure:
    """Draw pictures, sounds and prototypes of the unseen classes in a network's space, by t-SNE."""
    part, unseen = exam.unseen_items.of(exam.unseen, most=SHOWN), exam.unseen
    prototypes = exam.prototypes()[len(exam.seen) :]
    vectors = np.concatenate([_unit(part.image), _unit(part.sound), _unit(prototypes)]).astype(np.float32)
    labels = np.searchsorted(unseen, np.concatenate([part.items.image_label, part.items.sound_label, unseen]))
    kinds = ["picture"] * len(part.image) + ["sound"] * len(part.sound) + ["prototype"] * len(unseen)
    return figures.prototype_map(figures.tsne(vectors, seed=seed), labels, kinds, names(store, unseen))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
