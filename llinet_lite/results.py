"""A result: a number with its interval, seeds, chance level, profile and data, and tables beside the papers'.

Notebook: 01
"""

import contextlib
import json
import math
import os
import platform
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import t as student

from llinet_lite.checkpoint import write_atomic

__all__ = [
    "Result",
    "ResultError",
    "interval_over_seeds",
    "machine",
    "markdown",
    "over_seeds",
    "read",
    "table",
    "write",
    "write_json",
]


class ResultError(ValueError):
    """A result that cannot be right; the message says which field, why and what to give."""


@dataclass(frozen=True)
class Result:
    """One number of a table and everything that is needed to believe it.

    Attributes
    ----------
    name : str, what was measured, e.g. "L3-Net, AVC accuracy"
    value : float
    low, high : float or None, bounds of its 95 % interval; None if there is none (one seed, no bootstrap)
    chance : float or None, the value of guessing
    paper : float or None, the published value, in the same unit
    unit : str, "" for a share in [0, 1], shown in per cent; else shown beside the number ("s", "nats")
    seeds : tuple of int, the runs behind the number
    n : int, decisions or items it was measured on
    profile : str, "smoke", "laptop", "gpu" or "paper"
    data_hash : str, content hash of the store
    device : str
    minutes : float, training and evaluation of all seeds

    Raises
    ------
    ResultError
        If a field is of the wrong type or out of range.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    paper: float | None = None
    unit: str = ""
    seeds: tuple[int, ...] = ()
    n: int = 0
    profile: str = ""
    data_hash: str = ""
    device: str = ""
    minutes: float = 0.0

    def __post_init__(self):
        for field in ("name", "unit", "profile", "data_hash", "device"):
            self._need(isinstance(getattr(self, field), str), field, "must be text")
        self._need(bool(self.name.strip()), "name", "must not be empty")
        object.__setattr__(self, "seeds", self._seeds())
        for field in ("value", "low", "high", "chance", "paper", "minutes"):
            object.__setattr__(self, field, self._number(field))
        self._need(
            (self.low is None) == (self.high is None), "low", "must come with high, or both be left out"
        )
        if self.low is not None:
            rule = f"must lie in its interval [{self.low}, {self.high}]"
            self._need(self.low <= self.value <= self.high, "value", rule)
        self._need(_is_whole(self.n) and self.n >= 0, "n", "must be a whole number, zero or more")
        object.__setattr__(self, "n", int(self.n))
        self._need(self.minutes >= 0, "minutes", "must not be negative")

    def _need(self, holds: bool, field: str, rule: str) -> None:
        if not holds:
            raise ResultError(f"Result {self.name!r}: {field} {rule}; it is {getattr(self, field)!r}.")

    def _number(self, field: str) -> float | None:
        value = getattr(self, field)
        if value is None and field not in ("value", "minutes"):
            return None
        numeric = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        self._need(numeric and math.isfinite(value), field, "must be a finite number")
        return float(value)

    def _seeds(self) -> tuple[int, ...]:
        right = isinstance(self.seeds, tuple | list) and all(map(_is_whole, self.seeds))
        self._need(right, "seeds", "must be a list of whole numbers")
        self._need(len(set(self.seeds)) == len(self.seeds), "seeds", "must differ from one another")
        return tuple(int(seed) for seed in self.seeds)

    @property
    def above_chance(self) -> bool | None:
        """Whether the whole interval lies above chance; None without interval or chance."""
        return None if self.low is None or self.chance is None else self.low > self.chance

    def shown(self) -> str:
        """The number as tables print it: 81.2 [79.9, 82.4] (a share in per cent)."""
        value, low, high = (_format(number, self.unit) for number in (self.value, self.low, self.high))
        return value if self.low is None else f"{value} [{low}, {high}]"

    def to_json(self) -> dict:
        """The fields as JSON values."""
        return asdict(self) | {"seeds": list(self.seeds)}

    @classmethod
    def from_json(cls, record: dict) -> "Result":
        """The result that `to_json` described; unknown or missing fields are an error."""
        names = ", ".join(field.name for field in fields(cls))
        if not isinstance(record, dict):
            raise ResultError(f"A result is a JSON object with {names}; this is {record!r}.")
        unknown = sorted(set(record) - {field.name for field in fields(cls)})
        missing = sorted({"name", "value"} - set(record))
        if unknown or missing:
            problem = f"unknown fields {unknown}" if unknown else f"missing fields {missing}"
            raise ResultError(f"Result {record.get('name')!r} has {problem}; the fields are {names}.")
        return cls(**record)


def _is_whole(value) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _format(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{100 * value:.1f}" if unit == "" else f"{value:.4g}"


def interval_over_seeds(values, level: float = 0.95) -> tuple[float, float | None, float | None]:
    r"""Mean over runs with different seeds, and its Student interval.

    .. math:: \bar x \pm t_{(1 + level)/2,\;k - 1}\; s / \sqrt k

    Parameters
    ----------
    values : (k,) float, one per seed
    level : float

    Returns
    -------
    (mean, low, high); low and high are None for a single seed, which tells nothing about its spread
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
        raise ResultError(
            f"interval_over_seeds takes a list of finite numbers, one per seed; got {values!r}."
        )
    mean, k = float(values.mean()), len(values)
    if k == 1:
        return mean, None, None
    half = float(student.ppf(0.5 + level / 2, k - 1) * values.std(ddof=1) / math.sqrt(k))
    return mean, mean - half, mean + half


def over_seeds(results) -> Result:
    """One result from runs of the same experiment that differ in their seeds.

    The interval is Student's over the seeds; of a single result, its own.

    Raises
    ------
    ResultError
        If name, unit, profile, data, sample, device or references differ, or a seed occurs twice.
    """
    results = list(results)
    if not results:
        raise ResultError("over_seeds needs at least one result.")
    first = results[0]
    same = ("name", "unit", "profile", "data_hash", "n", "paper", "chance", "device")
    for field in same:
        values = sorted({repr(getattr(result, field)) for result in results})
        if len(values) > 1:
            raise ResultError(
                f"Results of {first.name!r} differ in {field}: {', '.join(values)}; average only seeds of "
                "one experiment."
            )
    mean, low, high = interval_over_seeds([result.value for result in results])
    return Result(
        value=mean,
        low=first.low if low is None else low,
        high=first.high if high is None else high,
        seeds=tuple(seed for result in results for seed in result.seeds),
        minutes=sum(result.minutes for result in results),
        **{field: getattr(first, field) for field in same},
    )


def table(results, *, details: bool = True) -> pd.DataFrame:
    """Results beside the papers', a row each, as text; shares in per cent.

    Parameters
    ----------
    results : iterable of Result
    details : bool, with seeds, sample, profile, data, device and minutes

    Returns
    -------
    DataFrame
    """
    rows = []
    for result in results:
        row = {
            "name": result.name,
            "here [95 %]": result.shown(),
            "chance": _format(result.chance, result.unit),
            "paper": _format(result.paper, result.unit),
            "unit": result.unit or "%",
        }
        if details:
            row |= {
                "seeds": len(result.seeds),
                "n": result.n,
                "profile": result.profile,
                "data": result.data_hash[:8],
                "device": result.device,
                "minutes": f"{result.minutes:.1f}",
            }
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(frame: pd.DataFrame) -> str:
    """A table in Markdown; a vertical bar in a cell is escaped."""
    lines = [list(map(str, frame.columns)), ["---"] * frame.shape[1], *frame.astype(str).values.tolist()]
    rows = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "".join(f"| {row} |\n" for row in rows)


def machine() -> dict:
    """What the numbers were measured on: `processor`, `cores`, `memory_gib`, `accelerator`."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    memory = None
    with contextlib.suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gib": memory,
        "accelerator": accelerator,
    }


def write_json(path, content) -> Path:
    """Write JSON values, whole or not at all; returns the path. Not-a-number is an error, not JSON."""
    data = json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    write_atomic(path, data.encode())
    return Path(path)


def write(path, results) -> Path:
    """Write results as a JSON list, whole or not at all; returns the path."""
    return write_json(path, [result.to_json() for result in results])


def read(path) -> list[Result]:
    """Read the results of `write`.

    Raises
    ------
    ResultError
        If the file is missing, is not JSON, or holds something else than results.
    """
    try:
        records = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultError(f"{path} holds no readable results ({error}). Run the experiment again.") from error
    if not isinstance(records, list):
        raise ResultError(f"{path} must hold a JSON list of results, not {type(records).__name__}.")
    return [Result.from_json(record) for record in records]
