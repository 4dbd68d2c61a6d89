"""All that `results/` keeps, read once, and how its numbers are printed in the tables made from it.

Notebook: 01
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CourseError, LessonFailed
from .record import metrics

if TYPE_CHECKING:
    from llinet_lite.results import Result

# Runs that have a column, and its title.
COLUMNS = {"laptop": "laptop", "gpu": "gpu", "laptop-traindata": "real photos"}
NONE = "-"
SEEDS = 3  # published numbers; another number of seeds is printed beside the value
BETWEEN = " \u00b7 "  # middle dot
_RAISED = str.maketrans("0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
_MINUS, _PLAIN = str.maketrans("-", "\u2212"), str.maketrans("\u2212", "-")
_SHARES = ("", "share")  # units of a number in [0, 1] that is printed in per cent


@dataclass(frozen=True)
class Page:
    """One lesson of one run.

    Attributes
    ----------
    run, lesson : str
        As "laptop" and "02_ave_net".
    results : dict of str to Result
        By name.
    data, date : str
        Of the measurement.
    machine : dict
        As :func:`llinet_lite.course.kept.keep` writes it.
    """

    run: str
    lesson: str
    results: dict[str, Result]
    data: str = ""
    date: str = ""
    machine: dict | None = None

    @property
    def number(self) -> str:
        """Number of the lesson, as "02"."""
        return self.lesson.split("_")[0]

    @property
    def place(self) -> str:
        """Say what it was measured on, in words; no name, no path."""
        return machine_text(self.machine or {})


class Measured:
    """What was measured, by run and lesson.

    Parameters
    ----------
    pages : iterable of Page

    Raises
    ------
    CourseError
        If a run has two pages of one lesson.
    """

    def __init__(self, pages: Iterable[Page]):
        self.pages = sorted(pages, key=lambda page: (page.lesson, _rank(page.run), page.run))
        self._known = {(page.run, page.number): page for page in self.pages}
        if len(self._known) < len(self.pages):
            raise CourseError("a run has two files of one lesson number in results/: remove the older one")

    @classmethod
    def read(cls, folder: Path) -> Measured:
        """Read every `<run>/<lesson>.json` of the folder of published results.

        Raises
        ------
        CourseError
            If there is none, or one is not what `llinet course --keep` writes.
        """
        pages = [_page(path) for path in sorted(folder.glob("*/[0-9]*.json"))]
        if not pages:
            raise CourseError(
                f"{folder} holds no results: `llinet course --profile laptop --keep` writes them"
            )
        return cls(pages)

    @property
    def lessons(self) -> dict[str, str]:
        """Name of every lesson by its number, as {"02": "02_ave_net"}."""
        return {page.number: page.lesson for page in self.pages}

    @property
    def runs(self) -> list[str]:
        """Names of the runs, those with a column first."""
        return sorted({page.run for page in self.pages}, key=lambda run: (_rank(run), run))

    def of(self, run: str) -> list[Page]:
        """Return the pages of a run, by lesson."""
        return [page for page in self.pages if page.run == run]

    def result(self, run: str, reference: str) -> Result | None:
        """Return a result by lesson number and name, as "02 AVC accuracy, all"; None if not measured."""
        number, _, name = reference.partition(" ")
        page = self._known.get((run, number))
        return page.results.get(name) if page else None

    def link(self, number: str, folder: str = "") -> str:
        """Return a Markdown link to a lesson; its bare number if nothing of it was measured."""
        lesson = self.lessons.get(number)
        return f"[{number}]({folder}{lesson}.ipynb)" if lesson else number


def _rank(run: str) -> int:
    return list(COLUMNS).index(run) if run in COLUMNS else len(COLUMNS)


def _page(path: Path) -> Page:
    from llinet_lite.results import Result, ResultError

    try:
        content = metrics(path)
        found = [Result.from_json(entry) for entry in content["results"]]
    except (LessonFailed, ResultError) as error:
        raise CourseError(f"{path} holds no valid results: {error} Restore it, or measure again") from error
    about = {key: content.get(key, "") for key in ("data", "date")}
    return Page(
        path.parent.name, path.stem, {r.name: r for r in found}, machine=content.get("machine"), **about
    )


# ----------------------------------------------------------------------------------------------- in words


def machine_text(machine: dict) -> str:
    """Return cores, memory, GPU and torch as words: "2 CPU cores, 25 GB, no GPU, torch 2.11.0"."""
    cores, memory, gpu = (machine.get(key) for key in ("processor cores", "memory GB", "gpu"))
    torch = (machine.get("packages") or {}).get("torch")
    words = [
        f"{cores} CPU cores" if cores else "",
        f"{memory:.0f} GB" if memory else "",
        "no GPU" if gpu == "none" else gpu or "",
        f"torch {torch}" if torch else "",
    ]
    return ", ".join(word for word in words if word) or "a machine that was not noted"


def one(value: float | None, unit: str = "", *, sign: bool = False, digits: int = 0) -> str:
    """Return a number: a share in per cent with one digit, anything else with three; NONE for none.

    Parameters
    ----------
    value : float or None
    unit : str
        Of its :class:`llinet_lite.results.Result`.
    sign : bool
        Print a plus, too: for differences.
    digits : int
        How many more.
    """
    if value is None:
        return NONE
    scaled, places = (100 * value, 1 + digits) if unit in _SHARES else (value, 3 + digits)
    rounded = round(scaled, places) + 0.0  # no minus before a zero
    return f"{rounded:{'+' if sign else ''}.{places}f}".translate(_MINUS)


def bounds(value: float, low: float | None, high: float | None, unit: str = "", *, sign: bool = False) -> str:
    """Return a number with its interval: "86.2 [84.4, 88.0]".

    A difference gets one more digit where a bound would read zero and is not.
    """
    if low is None:
        return one(value, unit, sign=sign)
    hidden = any(bound and not float(one(bound, unit).translate(_PLAIN)) for bound in (low, high))
    first, *ends = (
        one(number, unit, sign=sign, digits=int(sign and hidden)) for number in (value, low, high)
    )
    return f"{first} [{', '.join(ends)}]"


def short(result: Result | None, *, sign: bool = False) -> str:
    """Return a number for a narrow cell: "86.2 ± 1.8", the larger half of its interval, and its seeds.

    A raised figure counts the seeds where they are not SEEDS; a constant has none.
    """
    if result is None:
        return NONE
    text = one(result.value, result.unit, sign=sign)
    if result.low is not None:
        half = max(result.high - result.value, result.value - result.low)
        text += f" \u00b1 {one(half, result.unit)}"
    count = len(result.seeds)
    return text if count in (0, SEEDS) else text + str(count).translate(_RAISED)


def joined(cells: Iterable[str], *, merge: bool = True) -> str:
    """Return several cells as one: NONE if all are, and equal ones once where they may be merged."""
    cells = list(cells)
    one_is_enough = set(cells) == {NONE} or (merge and len(set(cells)) == 1)
    return cells[0] if one_is_enough else BETWEEN.join(cells)
