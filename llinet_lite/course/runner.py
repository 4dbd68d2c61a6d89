"""Run the notebooks in order, skip what is done and unchanged, and stop at a failure with its cell shown.

A run lives in one folder, `runs/<profile>/` (`runs/<profile>-<name>/` with data of
one's own): an executed copy of every notebook and its HTML, a folder per lesson with
metrics.json and figures, environment.json, state.json and report.html. state.json
holds, per lesson, a hash of all that its outcome depends on; a lesson whose hash has
not changed since it was done is not run again.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from llinet_lite.profiles import profile_named
from llinet_lite.workspace import REFERENCE

from . import sources
from .errors import CourseError, LessonFailed
from .kept import keep, kept_seeds, seeds_of
from .parameters import assign, declared
from .places import cache_folder, run_name, runs_folder
from .record import metrics, write_json
from .side_by_side import lessons_at_once, side_by_side

# What a notebook's process is started with. A thread that waits spins for microseconds and then sleeps: where
# it sleeps at once, small networks train 1.7 times as slowly on two idle cores; where it spins for long, all
# are slow on busy ones. And memory that is given back after every step would have to be mapped again.
KERNEL = {
    "GOMP_SPINCOUNT": "5000",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}


@dataclass(frozen=True)
class Course:
    """What was asked for.

    Attributes
    ----------
    profile : str
    only, start : str
        Number or name of the one lesson to run, or of the first; empty for all.
    data : Path, optional
        Data of one's own.
    given : list of (str, str)
        Parameters as typed.
    retrain, publish : bool
        Train even where there are reference weights; write them into the package, and the
        results into `results/`.
    keep : bool
        Write the results into `results/<name of the run>/`.
    go_on : bool
        Run the other notebooks where one failed, and say so at the end.
    at_once : int
        Lessons that run at a time, sharing the cores; 0: as many as the machine has room for.
    runs, notebooks : Path
        Folder of all runs; folder of the course.
    """

    profile: str = "smoke"
    only: str = ""
    start: str = ""
    data: Path | None = None
    given: list[tuple[str, str]] = field(default_factory=list)
    retrain: bool = False
    publish: bool = False
    keep: bool = False
    go_on: bool = False
    at_once: int = 1
    runs: Path = field(default_factory=runs_folder)
    notebooks: Path = sources.PACKAGE.parent / "notebooks"

    @property
    def folder(self) -> Path:
        return self.runs / run_name(self.profile, self.data)


def run(course: Course) -> Path:
    """Run the course and return its report.

    Raises
    ------
    CourseError
        If something was asked for that cannot be done; nothing has run then.
    LessonFailed
        If a notebook failed; what was done before stays done.
    """
    plan, failures = _plan(course), []
    from . import report

    course.folder.mkdir(parents=True, exist_ok=True)
    at_once = 1 if course.publish else min(lessons_at_once(course.at_once), len(plan))
    with _alone(course.folder), _kernel_environment(course, at_once):
        report.write_environment(course.folder)
        shared = _shared_hash(course)
        tasks = {
            notebook.stem: (course, notebook, parameters, shared, f"[{number}/{len(plan)}]")
            for number, (notebook, parameters) in enumerate(plan, start=1)
        }
        try:
            for lesson, failure in _outcomes(tasks, at_once):
                if failure is None:
                    _keep(course, lesson)
                elif not course.go_on:
                    raise failure
                else:
                    failures.append(str(failure))
                    print(failure, flush=True)
                report.write(course.folder)
        finally:
            page = report.write(course.folder)
    if failures:
        firsts = [failure.strip().splitlines()[0] for failure in failures]
        raise LessonFailed(f"{len(failures)} of {len(plan)} lessons failed:\n" + "\n".join(firsts))
    return page


def _outcomes(tasks: dict[str, tuple], at_once: int) -> Iterator[tuple[str, LessonFailed | None]]:
    """Run the lessons and yield (name, its failure or None) as they end."""
    if at_once > 1:
        with contextlib.closing(side_by_side(_lesson, tasks, at_once)) as ends:
            yield from ends
        return
    for name, task in tasks.items():
        try:
            _lesson(*task)
        except LessonFailed as failure:
            yield name, failure
        except (CourseError, KeyboardInterrupt):
            raise
        except Exception as error:  # a kernel that does not start, a full disk: the others may still run
            failure = LessonFailed(f"{name}: {type(error).__name__}: {error}")
            failure.__cause__ = error
            yield name, failure
        else:
            yield name, None


def _keep(course: Course, lesson: str) -> None:
    """Copy the results of a lesson that succeeded, if it has any and this was asked for.

    To publish the weights of one seed does not undo a table of three: that stays, and it is said.
    """
    from . import report

    written = course.folder / lesson / "metrics.json"
    if not (course.keep or course.publish) or not metrics(written)["results"]:
        return
    before, now = kept_seeds(course.folder.name, lesson), seeds_of(written)
    if now < before and not course.keep:
        print(
            f"results of {lesson} stay, with their {before} seeds: this run had {now}; --keep replaces them"
        )
    else:
        print(f"kept: {keep(written, course.folder.name, report.environment())}", flush=True)


def _plan(course: Course) -> list[tuple[Path, dict[str, object]]]:
    """Return the notebooks to run, in order, each with all its parameters."""
    profile_named(course.profile)
    if course.data is not None and not course.data.is_dir():
        raise CourseError(f"the data folder {course.data} does not exist: check the path given to --data")
    if course.publish and (course.data is not None or not course.retrain or course.profile != REFERENCE):
        raise CourseError(
            f"--publish goes with --retrain and --profile {REFERENCE} on the built-in world: "
            f"nothing else is a reference (--keep keeps the results of any run)"
        )
    if course.publish and course.at_once > 1:
        raise CourseError("--publish runs one lesson at a time: each needs the weights published before it")
    chosen = _chosen(course)
    known = {notebook.stem: declared(notebook) for notebook in chosen}
    for notebook in chosen:
        if "profile" not in known[notebook.stem]:
            raise CourseError(f"{notebook} declares no parameter `profile` in a cell tagged `parameters`")
    if course.data is not None:
        chosen = [notebook for notebook in chosen if "data" in known[notebook.stem]]
        if not chosen:
            raise CourseError("none of the notebooks asked for works on data of one's own")
        known = {notebook.stem: known[notebook.stem] for notebook in chosen}
    values = assign(course.given, known)
    options = {
        "profile": course.profile,
        "data": str(course.data) if course.data else "",
        "retrain": course.retrain,
        "publish": course.publish,
    }
    return [
        (nb, {k: v for k, v in options.items() if k in known[nb.stem]} | values[nb.stem]) for nb in chosen
    ]


def _chosen(course: Course) -> list[Path]:
    everything = sorted(course.notebooks.glob("[0-9]*.ipynb"))
    if not everything:
        raise CourseError(f"there is no notebook in {course.notebooks}: run llinet from a copy of the course")
    if course.runs.resolve() == course.notebooks.resolve():
        raise CourseError("runs cannot go into the folder of the notebooks: name another one with --runs")
    if course.only and course.start:
        raise CourseError("--only and --from exclude each other: give one of them")
    if course.only:
        return [everything[_place(everything, course.only)]]
    return everything[_place(everything, course.start) :] if course.start else everything


def _place(notebooks: list[Path], wanted: str) -> int:
    found = [i for i, nb in enumerate(notebooks) if nb.stem == wanted or nb.stem.split("_")[0] == wanted]
    if len(found) != 1:
        names = ", ".join(nb.stem for nb in notebooks)
        raise CourseError(f"there is no notebook {wanted!r}: give a number such as 01, or one of {names}")
    return found[0]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the run's folder, so that two runs do not write into it at once; released even by a crash."""
    try:
        import fcntl
    except ImportError:  # Windows has no such lock; the course runs there without
        yield
        return
    with (folder / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CourseError(
                f"another run is at work in {folder}: wait for it, or name another --runs"
            ) from None
        yield


@contextlib.contextmanager
def _kernel_environment(course: Course, at_once: int = 1) -> Iterator[None]:
    """Set what the notebooks' processes inherit, and put it back after; they run in another folder."""
    from llinet_lite.data.parallel import cores

    before = dict(os.environ)
    os.environ.update(
        LLINET_RUNS=str(course.runs.resolve()),
        JUPYTER_PREFER_ENV_PATH="1",
    )
    if os.environ.get("LLINET_CACHE"):  # by default it lies among the runs
        os.environ["LLINET_CACHE"] = str(cache_folder())
    for name, value in KERNEL.items():
        os.environ.setdefault(name, value)
    if at_once > 1:  # more threads than cores would wait for each other
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // at_once)))
    os.environ.pop("MPLBACKEND", None)  # the notebook's own way to show figures
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _shared_hash(course: Course) -> str:
    weights = "" if course.retrain else sources.weights_hash()
    outside = sources.outside_weights_hash(course.data)
    return sources.digest(sources.package_hash(), weights, sources.data_hash(course.data), outside)


def _lesson(course: Course, notebook: Path, parameters: dict, shared: str, place: str) -> None:
    """Run one notebook unless it is done and unchanged; note in state.json how it went."""
    from . import engine, report

    said = json.dumps(parameters, sort_keys=True)
    mark = sources.digest(sources.notebook_hash(notebook), said, shared)
    folder, executed = course.folder / notebook.stem, course.folder / notebook.name
    # To publish is to run: the weights that it wrote before may be gone, which no hash here knows.
    if not course.publish and _done(course.folder, notebook.stem, mark):
        print(f"{place} {notebook.stem}: done before and unchanged", flush=True)
        return
    for old in (folder / "metrics.json", folder / "figures" / "figures.json"):
        old.unlink(missing_ok=True)
    entry = {"hash": mark, "status": "running", "parameters": parameters, "began": time.strftime("%F %T")}
    _note(course.folder, notebook.stem, entry)
    # beside another lesson no line is rewritten: both would write into it
    alone = multiprocessing.parent_process() is None
    progress = engine.Progress(f"{place} {notebook.stem}", rewrite=alone)
    try:
        engine.execute(notebook, executed, _for_papermill(parameters), progress)
        metrics(folder / "metrics.json")
    except BaseException as error:
        failed = isinstance(error, LessonFailed)
        progress.show(end="failed" if failed else "stopped")
        entry |= {"status": "failed" if failed else "stopped", "error": str(error)}
        raise
    else:
        entry["status"] = "done"
        progress.show(end="done")
    finally:
        _note(course.folder, notebook.stem, entry | {"seconds": round(progress.seconds, 1)})
        report.export(executed)


def _for_papermill(parameters: dict[str, object]) -> dict[str, object]:
    """Return the parameters with lists for tuples, which papermill would write as text."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in parameters.items()}


def state(folder: Path) -> dict[str, dict]:
    """Return what state.json in the folder of a run says of each lesson; empty without a valid one."""
    try:
        return json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        print(f"{folder / 'state.json'} is damaged ({error}): every lesson runs again", file=sys.stderr)
        return {}


def _note(folder: Path, lesson: str, entry: dict) -> None:
    with filelock.FileLock(folder / ".state.lock"):
        write_json(folder / "state.json", state(folder) | {lesson: entry})


def _done(folder: Path, lesson: str, mark: str) -> bool:
    entry = state(folder).get(lesson, {})
    if (
        entry.get("status") != "done"
        or entry.get("hash") != mark
        or not (folder / f"{lesson}.ipynb").is_file()
    ):
        return False
    try:
        metrics(folder / lesson / "metrics.json")
    except LessonFailed:
        return False
    return True
