"""A result, a table of them beside chance and the papers' numbers, and what results say about claims.

Published numbers are data in papers.toml, claims in claims.toml. `results/<run>/<lesson>.json` keeps what a
lesson measured; the tables of README.md, and the verdicts on claims, follow from these files.
Notebook: 01
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from llinet_lite.metrics.intervals import Cell, Interval

HERE = Path(__file__).resolve().parent
SEEDS = 3  # of published numbers; another number of seeds is said beside the value
README = tomllib.loads((HERE / "readme.toml").read_text(encoding="utf-8"))  # its columns and rows


class ResultError(ValueError):
    """A result that cannot be right; the message says which field, why and what to give."""


@dataclass(frozen=True)
class Result:
    """One number of a table and everything that is needed to believe it.

    Examples
    --------
    >>> Result("AVC accuracy, all", 0.865, 0.843, 0.887, chance=0.5, seeds=(0, 1, 2)).shown()
    '86.5 [84.3, 88.7]'
    """

    name: str  # what was measured: "<column>, <row>" of its table
    value: float
    low: float | None = None  # bounds of its 95 % interval; None if there is none (one seed, no bootstrap)
    high: float | None = None
    chance: float | None = None  # the value of guessing
    paper: float | None = None  # the published value, in the same unit
    unit: str = ""  # "" for a share in [0, 1], shown in per cent; else shown beside the number ("s", "nats")
    seeds: tuple[int, ...] = ()  # the runs behind the number
    n: int = 0  # decisions or items it was measured on
    profile: str = ""
    data_hash: str = ""  # content hash of the store
    device: str = ""
    minutes: float = 0.0  # training and evaluation of all seeds

    def __post_init__(self):
        if not str(self.name).strip():
            raise ResultError("a result needs a name")
        for name in ("value", "low", "high", "chance", "paper", "minutes"):
            number = getattr(self, name)
            if number is None and name not in ("value", "minutes"):
                continue
            if not isinstance(number, int | float | np.number) or not math.isfinite(number):
                raise ResultError(f"result {self.name!r}: {name} is {number!r}, must be a finite number")
            object.__setattr__(self, name, float(number))
        object.__setattr__(self, "seeds", tuple(int(seed) for seed in self.seeds))
        object.__setattr__(self, "n", int(self.n))
        if (self.low is None) != (self.high is None):
            raise ResultError(f"result {self.name!r}: low and high go together, or are both left out")
        if self.low is not None and not self.low <= self.value <= self.high:
            raise ResultError(f"result {self.name!r}: {self.value} is not in [{self.low}, {self.high}]")
        if len(set(self.seeds)) < len(self.seeds) or min(self.n, self.minutes) < 0:
            raise ResultError(f"result {self.name!r}: a seed occurs twice, or n or minutes are negative")

    @property
    def bounds(self) -> tuple[float, float | None, float | None]:
        """Value, low and high."""
        return self.value, self.low, self.high

    def shown(self, *, sign: bool = False) -> str:
        """The number as tables print it: 81.2 [79.9, 82.4] (a share in per cent)."""
        return _interval(self.bounds, self.unit, sign)

    def to_json(self) -> dict:
        """The fields as JSON values."""
        return asdict(self) | {"seeds": list(self.seeds)}


def _number(value: float | None, unit: str, sign: bool = False, other: str = ".4g") -> str:
    if value is None:
        return ""
    plus = "+" if sign else ""
    return f"{100 * value:{plus}.1f}" if unit in ("", "share") else f"{value:{plus}{other}}"


def _interval(bounds: tuple, unit: str, sign: bool = False) -> str:
    value, low, high = (_number(number, unit, sign) for number in bounds)
    return f"{value} [{low}, {high}]" if low else value


# ------------------------------------------------------------------------------------------------- the table


@dataclass(frozen=True, eq=False)
class Table:
    """Several methods on the same items: numbers with intervals beside chance and the papers'.

    Examples
    --------
    >>> import numpy as np
    >>> hits = {"LLINet": {"R@1": np.array([[1, 0, 1, 1]])}, "CME": {"R@1": np.array([[1, 0, 0, 0]])}}
    >>> both = Table(hits, clips=np.arange(4), chance={"R@1": 0.25})
    >>> both.interval("LLINet", "R@1").value, both.difference("LLINet", "CME", "R@1").value
    (0.75, 0.5)
    """

    # row -> column -> a Cell, or an array (S, N) of what every item gave under every seed, drawn by `clips`
    values: Mapping[str, Mapping[str, Cell | np.ndarray]]
    clips: np.ndarray | Mapping[str, np.ndarray] | None = None  # of every item: (N,) or (N, 2), or by column
    chance: Mapping[str, float] = field(default_factory=dict)  # by column
    paper: Mapping[str, Mapping[str, float]] | None = None  # column -> row; by default those of `papers`
    unit: str = ""  # as of a Result
    seeds: Mapping[str, Iterable[int]] = field(default_factory=dict)  # by row
    minutes: Mapping[str, float] = field(default_factory=dict)  # by row
    _cells: dict = field(default_factory=dict, repr=False)

    @property
    def columns(self) -> list[str]:
        """Columns, in the order of their first row."""
        return list(dict.fromkeys(column for row in self.values.values() for column in row))

    def cell(self, row: str, column: str) -> Cell:
        """The number of a row under every seed and every draw of clips."""
        if (row, column) not in self._cells:
            self._cells[row, column] = self._drawn(self.values[row][column], column)
        return self._cells[row, column]

    def _drawn(self, values, column: str, **limits) -> Cell:
        from llinet_lite.metrics.intervals import Cell

        if isinstance(values, Cell):
            return values
        clips = self.clips[column] if isinstance(self.clips, Mapping) else self.clips
        return Cell.mean(values, clips, **limits)

    def interval(self, row: str, column: str) -> Interval:
        """Mean over seeds and items, with an interval over both."""
        return self.cell(row, column).interval()

    def difference(self, row: str, other: str, column: str) -> Interval:
        """How much more one row has than another, item by item and seed by seed."""
        first, second = (self.values[name][column] for name in (row, other))
        if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
            return self._drawn(first - second, column, limits=(-1, 1)).interval()
        return (self.cell(row, column) - self.cell(other, column)).interval()

    def without(self, *rows: str) -> Table:
        """The same table without these rows."""
        return replace(self, values={name: of for name, of in self.values.items() if name not in rows})

    def published(self, row: str, column: str) -> float | None:
        """The paper's number, or None."""
        return (papers() if self.paper is None else self.paper).get(column, {}).get(row)

    def results(self, workspace, columns: Iterable[str] | None = None) -> list[Result]:
        """Every cell as a result named "<column>, <row>"; a `workspace` says profile and data."""
        about = {"unit": self.unit, "profile": workspace.profile.name, "data_hash": workspace.data_hash}
        return [
            Result(
                f"{column}, {row}", *self.interval(row, column).numbers, chance=self.chance.get(column),
                paper=self.published(row, column), seeds=tuple(self.seeds.get(row, ())),
                n=self.cell(row, column).n, minutes=self.minutes.get(row, 0.0), **about,
            )
            for row, cells in self.values.items()
            for column in columns or self.columns
            if column in cells
        ]  # fmt: skip

    def frame(self, columns: Iterable[str] | None = None) -> pd.DataFrame:
        """A row for chance and for every method: our numbers with intervals, then the papers'."""
        import pandas as pd

        columns = list(columns or self.columns)
        lines = {"chance": {c: _number(self.chance.get(c), self.unit) for c in columns}}
        for row, cells in self.values.items():
            line = {c: _interval(self.interval(row, c).numbers, self.unit) for c in columns if c in cells}
            line |= {f"paper {c}": _number(self.published(row, c), self.unit) for c in columns}
            lines[row] = line | {"seeds": str(len(tuple(self.seeds.get(row, ()))) or "")}
        frame = pd.DataFrame.from_dict(lines, orient="index").fillna("").replace("", "-")
        return frame.loc[:, (frame != "-").any()]


def by_row(results: Iterable[Result], columns: Iterable[str]) -> pd.DataFrame:
    """Results named "<column>, <row>", a line per row, with its seeds and minutes; empty if there is none."""
    import pandas as pd

    lines, columns = {}, list(columns)
    for result in results:
        column = next((c for c in columns if result.name.startswith(f"{c}, ")), None)
        if column:
            line = lines.setdefault((result.name[len(column) + 2 :], len(result.seeds)), {})
            line |= {column: result.shown(), "seeds": len(result.seeds), "minutes": f"{result.minutes:.1f}"}
    frame = pd.DataFrame(list(lines.values()), columns=[*columns, "seeds", "minutes"]).fillna("-")
    return frame.set_index(pd.Index([name for name, _ in lines], dtype=object))


@cache
def papers() -> dict[str, dict[str, float]]:
    """Published numbers, column -> row -> value: those of papers.toml."""
    tables = tomllib.loads((HERE / "papers.toml").read_text(encoding="utf-8"))
    percent = tables.pop("infer")
    shares = {column: {row: value / 100 for row, value in rows.items()} for column, rows in percent.items()}
    return shares | {column: rows for paper in tables.values() for column, rows in paper.items()}


def table(results: Iterable[Result], *, details: bool = True) -> pd.DataFrame:
    """Results beside the papers', a row each, as text; with seeds, sample, profile and so on as `details`."""
    import pandas as pd

    rows = [
        {
            "name": one.name, "here [95 %]": one.shown(), "chance": _number(one.chance, one.unit),
            "paper": _number(one.paper, one.unit), "unit": one.unit or "%", "seeds": len(one.seeds),
            "n": one.n, "profile": one.profile, "data": one.data_hash[:8], "minutes": f"{one.minutes:.1f}",
        }
        for one in results
    ]  # fmt: skip
    return pd.DataFrame(rows).iloc[:, : None if details else 5]


def markdown(frame: pd.DataFrame) -> str:
    """A table in Markdown; a vertical bar in a cell is escaped."""
    lines = [list(map(str, frame.columns)), ["---"] * frame.shape[1], *frame.astype(str).values.tolist()]
    rows = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "".join(f"| {row} |\n" for row in rows)


# ------------------------------------------------------------------------------------------------- the files


def read(path: Path) -> list[Result]:
    """Read the results of a file that a lesson wrote; ResultError if it holds none."""
    try:
        records = json.loads(Path(path).read_text(encoding="utf-8"))["results"]
        return [Result(**record) for record in records]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultError(f"{path} holds no results: {error}") from error


def kept(run: str, lesson: str, home: Path = HERE.parent) -> list[Result]:
    """The results of a lesson, by name or number, in HOME/results, else in the checkout."""
    for place in (home, HERE.parent):
        for path in sorted((place / "results" / run).glob(f"{lesson}*.json")):
            return read(path)
    return []


def machine() -> dict:
    """What a reader needs to know of the machine that gave the numbers; no name, no path."""
    import psutil
    import torch

    git = ["git", "-C", str(HERE), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        commit = subprocess.run(git, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        commit = ""
    packages = ("torch", "torchvision", "torchaudio", "numpy", "scipy", "librosa", "datasets")
    return {
        "commit": commit or "unknown",
        "python": platform.python_version(),
        "processor cores": os.cpu_count(),
        "memory GB": round(psutil.virtual_memory().total / 1e9, 1),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "packages": {name: metadata.version(name) for name in packages},
    }


# ------------------------------------------------------------------------------------------------ the claims

HELD, NOT_HELD, OPEN, UNTESTED = "held", "did not hold", "not decided", "not tested here"
MARGIN = 0.10  # where an interval leaves out what matters most, only a larger difference decides
UNTRAINED = re.compile(r", Baseline$")  # its map is the frozen trunk's: another seed would change nothing
# of eight unseen classes, which are right or wrong as a whole
LINKED = re.compile(r"(?!.*invented classes)((R@1|mAP) (I2A|A2I)\b|(acc|ts|hm)\b)")


@dataclass(frozen=True)
class Claim:
    """What a paper or good practice claims, and the comparisons that must hold."""

    sentence: str
    paper: str  # published numbers, or who does what
    why: str  # how it is tested, and what limits that
    section: str  # who claims it
    lesson: str = ""  # where the course tests it; by default the lesson of its first result
    # "02 AVC accuracy, all > 01 AVC accuracy, all": lesson and name of a result, or a number, on either side,
    # "chance" for the chance level of the left one; "{a|b}" stands for both, equal braces for the same
    higher: tuple[str, ...] = ()
    margin: float = 0.0  # by so much the right side may be higher

    def __post_init__(self):
        if not self.lesson:
            object.__setattr__(self, "lesson", re.search(r"\b\d\d ", " ".join(self.pairs()[0]))[0].strip())

    def pairs(self) -> list[tuple[str, str]]:
        """The comparisons: (what should be higher, than what)."""
        return [tuple(text.split(" > ")) for texts in self.higher for text in _expanded(texts)]

    def measured(self, run: str = "laptop") -> list[Comparison]:
        """The comparisons of which a run keeps both sides."""
        found = []
        for names in self.pairs():
            first, second = (float(n) if re.fullmatch(r"[\d.]+", n) else lookup(run, n) for n in names)
            if names[1] == "chance":
                second = first and first.chance
            if first is not None and second is not None:
                found.append(Comparison(names, (first, second), self.margin))
        return found

    def judge(self, run: str = "laptop") -> str:
        """The verdict on the claim from the kept results of a run.

        * held: every difference lies above zero by its 95 % interval;
        * did not hold: at least one lies below, by an interval widened for their number (Bonferroni);
        * not tested here: nothing of it was measured; not decided: everything else.
        """
        measured = self.measured(run)
        if not measured:
            return UNTESTED
        from scipy.stats import norm

        widen = float(norm.isf(0.025 / len(measured)) / norm.isf(0.025))
        sure = [comparison.difference for comparison in measured if comparison.decides]
        if any(value + widen * (high - value) < 0 for value, _, high in sure):
            return NOT_HELD
        return HELD if len(sure) == len(self.pairs()) and all(low > 0 for _, low, _ in sure) else OPEN


@dataclass(frozen=True)
class Comparison:
    """Two results of which the first should be higher; a bare number, or chance, has no interval."""

    names: tuple[str, str]
    sides: tuple[Result | float, Result | float]
    margin: float = 0.0

    @property
    def difference(self) -> tuple[float, float | None, float | None]:
        """First minus second, plus the margin, with its interval."""
        bounds = (side.bounds if isinstance(side, Result) else (side,) * 3 for side in self.sides)
        return tuple(n if n is None else n + self.margin for n in difference(*bounds))

    @property
    def decides(self) -> bool:
        """Whether its interval is to be believed: small differences are not where it leaves too much out."""
        value, low, _ = self.difference
        measured = [side for side in self.sides if isinstance(side, Result)]
        one_seed = any(len(r.seeds) == 1 and not UNTRAINED.search(r.name) for r in measured)
        left_out = one_seed or any(LINKED.match(r.name) for r in measured)
        return low is not None and (not left_out or abs(value) > MARGIN)

    def __str__(self) -> str:
        unit, texts = next(side.unit for side in self.sides if isinstance(side, Result)), []
        for name, side in zip(self.names, self.sides, strict=True):
            if isinstance(side, Result):
                texts.append(f"{name} {side.shown(sign=name.startswith('09'))}")
            else:
                texts.append(f"{'chance ' * (name == 'chance')}{_number(side, unit)}")
        return " > ".join(texts)


def _expanded(text: str) -> list[str]:
    """All texts that "{a|b}" stands for; the same braces stand for the same."""
    groups, found = dict.fromkeys(re.findall(r"\{[^}]*\}", text)), [text]
    for group in groups:
        found = [one.replace(group, value) for one in found for value in group[1:-1].split("|")]
    return found


def difference(first: tuple, second: tuple) -> tuple:
    r"""Interval of a difference from the intervals (value, low, high) of its two sides.

    .. math:: a - b - \sqrt{(a - a^-)^2 + (b^+ - b)^2} \;\dots\; a - b + \sqrt{(a^+ - a)^2 + (b - b^-)^2}

    Source: Newcombe (1998), *Interval estimation for the difference between independent proportions*; Zou
    and Donner (2008). Too wide where both sides share their test clips.
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    if a_low is None or b_low is None:
        return a - b, None, None
    return a - b, a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)


def lookup(run: str, name: str) -> Result | None:
    """A kept result by lesson number and name, as "02 AVC accuracy, all"; None if it was not measured."""
    number, _, name = name.partition(" ")
    return next((result for result in kept(run, f"{number}_") if result.name == name), None)


@cache
def claims() -> tuple[Claim, ...]:
    """The claims of claims.toml."""
    sections = tomllib.loads((HERE / "claims.toml").read_text(encoding="utf-8"))
    return tuple(
        Claim(section=section, **claim | {"higher": tuple(claim.get("higher", ()))})
        for section, of in sections.items()
        for claim in of
    )


def claims_frame(run: str = "laptop", other: str = "laptop-traindata") -> pd.DataFrame:
    """Which claims held up, one a row, each with the comparison that comes out lowest."""
    import pandas as pd

    title, rows = README["runs"].get(other, {"title": other})["title"], []
    for claim in claims():
        lowest = min(claim.measured(run), key=lambda comparison: comparison.difference[0], default="-")
        row = {"section": claim.section, "claim": claim.sentence, "lesson": claim.lesson}
        row |= {"paper": claim.paper, "measured [95 %]": str(lowest), "verdict": claim.judge(run)}
        rows.append(row | {title: claim.judge(other), "why": claim.why})
    return pd.DataFrame(rows, index=range(1, len(rows) + 1))


# --------------------------------------------------------------------------------- what README.md shows

BEGIN = "<!-- results: begin; written by `llinet results --write`, do not edit it here -->"
END = "<!-- results: end -->"


def readme(text: str) -> str:
    """The text of README.md with the tables of the kept results between its two markers."""
    if (text.count(BEGIN), text.count(END)) != (1, 1) or text.index(BEGIN) > text.index(END):
        raise ResultError(f"README.md must hold each of these lines once, in this order:\n{BEGIN}\n{END}")
    import pandas as pd

    runs = {run: of for run, of in README["runs"].items() if (HERE.parent / "results" / run).is_dir()}
    rows = []
    for label, names in README["rows"].items():
        found = {run: [lookup(run, name) for name in _expanded(names)] for run in runs}
        known = [next((r for r in column if r), None) for column in zip(*found.values(), strict=True)]
        row = {"": label, "paper": _joined(_side(r, "paper") for r in known)}
        row |= {runs[run]["title"]: _joined(map(_short, of)) for run, of in found.items()}
        rows.append(row | {"chance": _joined(_side(r, "chance") for r in known)})
    about = "".join(f"* *{of['title']}* (`results/{run}`): {of['about']}.\n" for run, of in runs.items())
    block = markdown(pd.DataFrame(rows)) + "\n" + about
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n\n{block}\n{END}{rest.split(END)[1]}"


def _side(result: Result | None, name: str) -> str:
    return "-" if result is None else _number(getattr(result, name), result.unit, other=".3f") or "-"


def _short(result: Result | None) -> str:
    """A number for a narrow cell: "86.2\u00b11.8", its seeds raised where they are not `SEEDS`."""
    if result is None:
        return "-"
    text = _number(result.value, result.unit, other=".3f")
    if result.low is not None:
        half = max(result.high - result.value, result.value - result.low)
        text += f"\u00b1{_number(half, result.unit, other='.3f')}"
    raised = str.maketrans("0123456789", "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
    return text if len(result.seeds) in (0, SEEDS) else text + str(len(result.seeds)).translate(raised)


def _joined(cells: Iterable[str]) -> str:
    cells = list(cells)
    return cells[0] if len(set(cells)) == 1 else " \u00b7 ".join(cells)
