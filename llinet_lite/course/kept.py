"""Results that are kept: copies of a lesson's metrics.json in `results/`, and the table made from them.

Notebook: 01
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CourseError
from .places import kept_file, results_folder
from .record import metrics, write_json

if TYPE_CHECKING:
    import pandas as pd

    from llinet_lite.results import Result

COLUMNS = ("result", "value", "low", "high", "chance", "paper", "seeds", "minutes")
# What of the machine a reader needs beside a number; no name, no path.
_MACHINE = ("commit", "python", "processor cores", "memory GB", "gpu", "packages")


def keep(written: Path, run: str, machine: dict) -> Path:
    """Copy a lesson's metrics.json into the folder of published results.

    What is kept already keeps its date and its machine: a lesson that was done before is not measured again.

    Parameters
    ----------
    written : Path
        `<run folder>/<lesson>/metrics.json`.
    run : str
        Name of the run, as "laptop" or "laptop-photos".
    machine : dict
        As :func:`llinet_lite.course.report.environment` returns it.

    Raises
    ------
    LessonFailed
        If there are no valid metrics.
    """
    content = metrics(written)
    known = {key: machine[key] for key in _MACHINE if key in machine}
    target = results_folder() / run / f"{written.parent.name}.json"
    if target.is_file() and metrics(target)["results"] == content["results"]:
        return target
    write_json(target, content | {"date": time.strftime("%Y-%m-%d"), "machine": known})
    return target


def seeds_of(written: Path) -> int:
    """Return how many seeds the results of a metrics.json have, at most."""
    return max((len(entry["seeds"]) for entry in metrics(written)["results"]), default=0)


def kept_seeds(run: str, lesson: str) -> int:
    """Return how many seeds the kept results of a lesson have, at most; 0 if none are kept."""
    path = kept_file(run, lesson)
    return seeds_of(path) if path.is_file() else 0


def kept(run: str, lesson: str) -> list[Result]:
    """Return the results that are kept of a lesson; none if none are.

    Raises
    ------
    CourseError
        If the file is not what :func:`keep` writes.
    """
    from llinet_lite.results import Result, ResultError

    path = kept_file(run, lesson)
    if not path.is_file():
        return []
    try:
        return [Result.from_json(entry) for entry in metrics(path)["results"]]
    except (RuntimeError, ResultError) as error:
        raise CourseError(f"{path} holds no valid results: {error} Restore it, or publish again") from error


def table(results: list[Result]) -> pd.DataFrame:
    """Return results as a table with the columns `COLUMNS`, numbers rounded to three digits."""
    import pandas as pd

    rows = [
        (r.name, r.value, r.low, r.high, r.chance, r.paper, len(r.seeds), round(r.minutes, 1))
        for r in results
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    numbers = ["value", "low", "high", "chance", "paper"]
    frame[numbers] = frame[numbers].astype(float).round(3)
    return frame
