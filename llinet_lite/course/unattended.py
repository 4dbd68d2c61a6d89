"""The whole course with nobody watching: look at the machine, run every lesson, measure speed, collect.

A lesson that fails does not keep the next ones from running; at the end it is said which failed. The same
command goes on where it stopped: done lessons are not run again, trainings go on from their checkpoints.
What is printed is in `runs/<profile>/unattended.log` too, and all results are in `results/<profile>/`.

Notebook: 00
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from . import sources
from .errors import LessonFailed
from .places import results_folder
from .record import write_json
from .runner import Course, run, state

LOG, SPEED, ENVIRONMENT = "unattended.log", "bench.json", "environment.json"


def run_unattended(
    course: Course, *, examine: Callable[[], int], measure: Callable[[Path], object] | None = None
) -> int:
    """Run the course to its end, whatever fails on the way, and collect its results.

    Parameters
    ----------
    course : Course
        Its results are kept, and it goes on after a failure, whatever its own `keep` and `go_on` say.
    examine : callable
        Looks at the machine, prints what it finds and returns how many requirements are not met; if any,
        nothing is run.
    measure : callable, optional
        Measures speeds and writes them into the file that it is given; not asked again for the same source.

    Returns
    -------
    int
        0 if all is done, 1 if the machine does not do or something failed.

    Raises
    ------
    CourseError
        If something was asked for that cannot be done.
    KeyboardInterrupt
        After Ctrl-C; what is done stays done.

    Notebook: 00
    """
    course = replace(course, keep=True, go_on=True)
    with _written_to(course.folder / LOG):
        if examine():
            print("nothing was run: mend what is marked FAIL, then start the same command again")
            return 1
        failures = []
        try:
            print(f"report: {run(course)}")
        except LessonFailed as failure:
            failures.append(str(failure))
        if measure is not None:
            failures += _measured(course, measure)
        _collect(course)
        for line in _summary(course):
            print(line)
        print("\n".join(failures) if failures else "all is done")
        if failures:
            print("the same command runs again what failed, and nothing else")
        return 1 if failures else 0


def _measured(course: Course, measure: Callable[[Path], object]) -> list[str]:
    """Measure speeds once for this source; return what went wrong, if anything."""
    mark, known = course.folder / ".bench", sources.package_hash()
    if (course.folder / SPEED).is_file() and mark.is_file() and mark.read_text("utf-8") == known:
        print("speed: measured before and unchanged")
        return []
    try:
        measure(course.folder / SPEED)
    except Exception as error:  # whatever it is, the results are still to be collected
        return [f"speed was not measured: {type(error).__name__}: {error}"]
    mark.write_text(known, "utf-8")
    return []


def _collect(course: Course) -> None:
    """Copy what is known of the machine and its speed to the lessons' results."""
    for name in (ENVIRONMENT, SPEED):
        if (course.folder / name).is_file():
            content = json.loads((course.folder / name).read_text("utf-8"))
            write_json(results_folder() / course.folder.name / name, content)


def _summary(course: Course) -> list[str]:
    """One line per lesson: how it went, and its minutes."""
    known = state(course.folder)
    lines = [
        f"{name:<34} {entry.get('status', 'unknown'):<8} {entry.get('seconds', 0) / 60:6.1f} min"
        for name, entry in sorted(known.items())
    ]
    return [*lines, f"results: {results_folder() / course.folder.name}"]


class _Both:
    """A stream that writes to a terminal and to a log; it is no terminal, so lines are not drawn over."""

    def __init__(self, shown: TextIO, log: TextIO):
        self.shown, self.log, self.encoding = shown, log, shown.encoding

    def write(self, text: str) -> int:
        self.log.write(text)
        return self.shown.write(text)

    def flush(self) -> None:
        self.log.flush()
        self.shown.flush()

    def isatty(self) -> bool:
        return False


@contextlib.contextmanager
def _written_to(path: Path) -> Iterator[None]:
    """Append what is printed to a file, whole lines at once, so that a killed run leaves its log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", buffering=1) as log:
        log.write(f"\n== {time.strftime('%F %T')}\n")
        shown = (contextlib.redirect_stdout, sys.stdout), (contextlib.redirect_stderr, sys.stderr)
        with contextlib.ExitStack() as both:
            for redirect, stream in shown:
                both.enter_context(redirect(_Both(stream, log)))
            yield
