"""metrics.json, the numbers that a lesson leaves behind: written whole, checked when written and when read.

Notebook: 01
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import LessonFailed

if TYPE_CHECKING:
    from llinet_lite.results import Result


def write_json(path: Path, content: object) -> None:
    """Write `content` as JSON so that a reader sees the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def as_entry(result: Result) -> dict:
    """Return a result as a dictionary that JSON can hold."""
    return json.loads(json.dumps(dataclasses.asdict(result), default=_plain))


def _plain(value: object) -> object:
    for convert in ("tolist", "item"):  # numpy and torch, arrays and scalars
        if hasattr(value, convert):
            return getattr(value, convert)()
    return str(value)


def fault(entry: dict) -> str:
    """Return what is wrong with an entry of metrics.json, or an empty text."""
    missing = {"name", "value", "low", "high", "chance", "paper", "seeds", "profile"} - entry.keys()
    if missing:
        return f"lacks {', '.join(sorted(missing))}"
    value, low, high = entry["value"], entry["low"], entry["high"]
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return f"value is {value!r}, must be a finite number"
    if low is not None and high is not None and not low <= value <= high:
        return f"value {value} lies outside its interval [{low}, {high}]"
    return ""


def metrics(path: Path) -> dict:
    """Return a lesson's metrics.json.

    Raises
    ------
    LessonFailed
        If it is missing, is no JSON, or holds a number that cannot be one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        faults = [f"{r.get('name', r)}: {fault(r)}" for r in content["results"] if fault(r)]
    except FileNotFoundError:
        raise LessonFailed(
            f"{path.parent.name} wrote no metrics.json: it must call lesson.record(...) before its end"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LessonFailed(f"{path} is not a valid list of results: {error!r}") from None
    if faults:
        raise LessonFailed(f"{path}: {'; '.join(faults)}")
    return content
