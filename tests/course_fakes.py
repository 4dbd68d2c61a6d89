"""Lessons of a few cells that leave what a lesson leaves without the package, and a course of two of them."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from llinet_lite.course import Course

PARAMETERS = (
    'profile = "laptop"\ndata = ""\nrate = 1e-3\nsteps = 3\nflip = True\nsizes = (4, 8)  # a = b\nword = "a"'
)
# What a lesson does, without the package, so that a kernel starts quickly.
RECORD = """
import json, os, pathlib
run = profile + ("-" + pathlib.Path(data).name if data else "")
folder = pathlib.Path(os.environ["LLINET_RUNS"], run, NAME)
folder.mkdir(parents=True, exist_ok=True)
with open(folder.with_suffix(".count"), "a") as log:
    log.write("x")
"""
VALUES = {
    "name": "accuracy",
    "value": 0.8,
    "low": 0.7,
    "high": 0.9,
    "chance": 0.5,
    "paper": 0.876,
    "seeds": [0],
}
REAL = """
from llinet_lite.course import Lesson
from llinet_lite.results import Result
lesson = Lesson(NAME, profile=profile, data=data)
lesson.record(Result("accuracy", .8, .7, .9, .5, .876, seeds=(0,), n=100, profile=profile, minutes=.1))
"""


def entry(**changes: object) -> str:
    """Return the code that writes metrics.json with one result, some of its fields changed."""
    content = {"results": [VALUES | {"profile": "smoke", "unit": "", "minutes": 0.1} | changes]}
    return f"_ = (folder / 'metrics.json').write_text({json.dumps(content)!r})"


ENTRY = entry()
NOTHING = "_ = (folder / 'metrics.json').write_text(json.dumps({'results': []}))"


def notebook(folder: Path, name: str, *code: str, parameters: str = PARAMETERS) -> Path:
    cells = [new_markdown_cell(f"# About {name}")]
    if parameters:
        cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    cells += [new_code_cell(source.replace("NAME", repr(name))) for source in code]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    path = folder / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return path


def runs_of(course: Course, name: str) -> int:
    """How many times a notebook ran."""
    log = course.folder / f"{name}.count"
    return len(log.read_text()) if log.is_file() else 0


def two_lessons(folder: Path) -> Course:
    """Return a course of two lessons, with its notebooks and runs in the folder."""
    for name in ("00_first", "01_second"):
        notebook(folder / "notebooks", name, RECORD, ENTRY)
    return Course(runs=folder / "runs", notebooks=folder / "notebooks")
