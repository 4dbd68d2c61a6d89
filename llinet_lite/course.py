"""Lessons, and the course: run the notebooks in order, skip what is done and unchanged, show what failed.

A run lives in one folder, `runs/<profile>/`, or `runs/<profile>-<name>/` with data of one's own: an executed
copy of every notebook and its HTML, a folder per lesson with metrics.json and figures, state.json, which says
how each lesson went, and index.html.
Notebook: 00
"""

from __future__ import annotations

import ast
import contextlib
import html
import io
import json
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import filelock
from joblib import cpu_count

from llinet_lite import results, workspace
from llinet_lite.files import write_whole
from llinet_lite.profiles import COSTS, PROFILES, overridden, profile_named
from llinet_lite.results import Result
from llinet_lite.workspace import REFERENCE, Workspace, data_mark, digest, home, runs_folder

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown
    from matplotlib.figure import Figure

# What a notebook's process is started with. A thread that waits spins for microseconds and then sleeps: where
# it sleeps at once, small networks train 1.7 times as slowly on two idle cores; where it spins for long, all
# are slow on busy ones. And memory that is given back after every step would have to be mapped again.
KERNEL = {
    "GOMP_SPINCOUNT": "5000",
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}
GIGABYTES = 4.0  # of free memory for each of two lessons at a time
# Of nbconvert's page what a file can hold: no require.js, no MathJax, no Mermaid from elsewhere.
PAGE = """{% extends "index.html.j2" %}
{% block html_head_js %}{% endblock %}{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}{% block html_head_css %}
<style>img { max-width: 100% !important; height: auto !important } math { overflow-x: auto }</style>
{% endblock %}"""
_NOTES = threading.Lock()


class LessonFailed(RuntimeError):
    """A notebook did not reach its end, or left no metrics; the message shows where."""


class Lesson:
    """What a notebook asks for: its profile, its places, and where its numbers and figures go.

    Parameters
    ----------
    name : str, of the notebook without its ending, as "01_audio_visual_correspondence"
    profile : "smoke", "laptop", "gpu" or "paper"
    data : str or Path, empty for the built-in world; else as of :class:`Workspace`
    seeds : how many seeds (3 is 0, 1, 2), or which; default: the profile's
    overrides : numbers of the profile to set otherwise, as `{"epochs": 5}`; zero leaves the profile's value
    retrain, publish : bool, see :class:`Workspace`

    Attributes
    ----------
    workspace : Workspace
    profile : Profile, with `seeds` and `overrides`
    folder : Path, `runs/<profile>/<name>`
    """

    def __init__(
        self, name: str, *, profile: str = "laptop", data: str | Path = "",
        seeds: int | Iterable[int] | None = None, overrides: Mapping[str, float] | None = None,
        retrain: bool = False, publish: bool = False,
    ):  # fmt: skip
        import pandas as pd

        self.name = name
        self.profile = overridden(profile_named(profile), overrides or {})
        if seeds:
            chosen = tuple(range(seeds) if isinstance(seeds, int) else seeds)
            self.profile = replace(self.profile, seeds=chosen)
        place = Path(data).expanduser().resolve() if str(data) else None
        self.workspace = Workspace(self.profile, place, retrain=retrain, publish=publish, lesson=name)
        self.profile = self.workspace.profile
        self.folder = self.workspace.run_dir / name
        self._results: dict[str, Result] = {}
        pd.set_option("display.max_rows", None, "display.max_colwidth", None)  # notebooks show whole tables

    def record(self, *measured: Result) -> None:
        """Write results into metrics.json, which every lesson leaves; one of the same name is replaced."""
        self._results |= {result.name: result for result in measured}
        data = self.workspace.data.name if self.workspace.data else "built-in world"
        content = {"lesson": self.name, "profile": self.profile.name, "data": data}
        content["results"] = [result.to_json() for result in self._results.values()]
        _write_json(self.folder / "metrics.json", content)

    def figure(self, fig: Figure, name: str, alt: str) -> None:
        """Keep a figure as `figures/<name>.png` and show it; `alt` says in a sentence what one should see."""
        from llinet_lite.show import figure

        png = io.BytesIO()
        fig.savefig(png, format="png", bbox_inches="tight")
        write_whole(self.folder / "figures" / f"{name}.png", png.getvalue())
        figure(fig, alt)

    def published_results(self, run: str = "") -> list[Result]:
        """This lesson's results as `results/` keeps them, of its own run or of another, as "gpu"."""
        return results.kept(run or self.workspace.run_dir.name, self.name, home())

    def results_table(self) -> pd.DataFrame:
        """:meth:`published_results` as a table."""
        return results.table(self.published_results())

    def cost_box(self) -> Markdown:
        """Minutes and memory of this lesson under each profile, and of training its published weights."""
        from IPython.display import Markdown

        cards = [Workspace.card(path) for path in workspace.WEIGHTS.glob("*.safetensors")]
        anew = sum(card.get("minutes", 0.0) for card in cards if card["lesson"] == self.name)
        rows = ["| profile | for | minutes | memory |", "|---|---|---|---|"]
        for profile in PROFILES.values():
            cost = COSTS.get(profile.name, {}).get(self.name)
            minutes, memory = (f"{cost[0]:g}", f"{cost[1]:g} GB") if cost else ["not measured"] * 2
            if profile.name == REFERENCE and anew >= 1:
                minutes += f" with the reference weights, {anew:.0f} more to train them anew"
            rows.append(f"| `{profile.name}` | {profile.device} | {minutes} | {memory} |")
        return Markdown("\n".join(rows))


def _write_json(path: Path, content: object) -> Path:
    return write_whole(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


# ------------------------------------------------------------------------------------------------ the course


@dataclass(frozen=True)
class Course:
    """What was asked for: the options of `llinet course`."""

    profile: str = "smoke"
    only: str = ""
    start: str = ""
    data: Path | None = None
    given: tuple[tuple[str, str], ...] = ()  # parameters of the notebooks, as typed
    retrain: bool = False
    publish: bool = False
    keep: bool = False
    keep_going: bool = False
    at_once: int = 0  # 0: two where there are two cores and 8 GB free, and no GPU
    runs: Path | None = None  # by default HOME/runs
    notebooks: Path | None = None  # by default those of the checkout, else ./notebooks

    def __post_init__(self):  # in full, as the notebooks run in another folder
        beside = workspace.PACKAGE.parent / "notebooks"  # none where the package is installed
        places = {"notebooks": beside if beside.is_dir() else Path("notebooks")}
        places |= {"runs": runs_folder(), "data": None}
        for name, usual in places.items():
            path = getattr(self, name) or usual
            object.__setattr__(self, name, path and path.expanduser().resolve())

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return self.runs / (self.profile if self.data is None else f"{self.profile}-{self.data.name}")


def run(course: Course) -> Path:
    """Run the course and return its index page; ValueError before anything ran, LessonFailed after."""
    import pandas.io.formats.html  # noqa: F401 - for the index: a Ctrl-C in the middle of an import may be lost

    plan, failures = _plan(course), []
    course.folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = filelock.FileLock(course.folder / ".lock").acquire(timeout=0)
    except filelock.Timeout:
        raise ValueError(f"another run is at work in {course.folder}: wait, or name another --runs") from None
    at_once = 1 if course.publish else course.at_once or _lessons_at_once()
    with lock, _kernel_environment(course, at_once), _threads(at_once) as (pool, stop, lessons):
        for number, (notebook, parameters) in enumerate(plan.items(), start=1):
            place = f"[{number}/{len(plan)}] {notebook.stem}"
            lessons[pool.submit(_lesson, course, notebook, parameters, place, stop)] = notebook.stem
        for future in as_completed(lessons):
            with _after(future.exception()):
                _index(course)
            try:
                future.result()
                _keep(course, lessons[future])
            except LessonFailed as failure:
                if not course.keep_going:
                    raise
                failures.append(str(failure).splitlines()[0])
                print(failure, flush=True)
    if failures:
        raise LessonFailed(f"{len(failures)} of {len(plan)} lessons failed:\n" + "\n".join(failures))
    return _index(course)


def _lessons_at_once() -> int:
    import psutil

    room = psutil.virtual_memory().available / 1e9 >= 2 * GIGABYTES
    return 2 if room and cpu_count() > 1 and not shutil.which("nvidia-smi") else 1


def _plan(course: Course) -> dict[Path, dict[str, object]]:
    """The notebooks to run, in order, each with all its parameters."""
    from papermill import inspect_notebook

    options = {"retrain": course.retrain, "publish": course.publish}
    Workspace(profile_named(course.profile), course.data, **options)  # refuses what cannot be
    options |= {"profile": course.profile, "data": str(course.data or "")}
    every = sorted(course.notebooks.glob("[0-9]*.ipynb"))
    if not every:
        raise ValueError(f"there is no notebook in {course.notebooks}: run llinet from a copy of the course")
    if course.only and course.start:
        raise ValueError("--only and --from exclude each other: give one of them")
    wanted = course.only or course.start or every[0].stem
    found = [i for i, path in enumerate(every) if wanted in (path.stem, path.stem.split("_")[0])]
    if not found:
        names = ", ".join(path.stem for path in every)
        raise ValueError(f"there is no notebook {wanted!r}: give a number such as 01, or one of {names}")
    chosen = every[found[0] : found[0] + 1 if course.only else None]
    known = {path: inspect_notebook(str(path)) for path in chosen}
    if course.data is not None:
        known = {path: declared for path, declared in known.items() if "data" in declared}
    given, free = dict(course.given), set().union(*known.values()) - options.keys()
    if len(given) < len(course.given) or not given.keys() <= free:
        were = ", ".join(name for name, _ in course.given)
        raise ValueError(f"-p takes each of these once: {', '.join(sorted(free))}; given were {were}")
    return {
        path: {name: value for name, value in options.items() if name in declared}
        | {name: _typed(declared[name], text) for name, text in given.items() if name in declared}
        for path, declared in known.items()
    }


def _typed(parameter: dict, text: str) -> object:
    """What was typed, in the type of the notebook's default."""
    default = ast.literal_eval(parameter["default"])
    if isinstance(default, str):
        return text
    try:
        value = ast.literal_eval(text.capitalize() if isinstance(default, bool) else text)
    except (ValueError, SyntaxError):
        value = None
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        kind = type(default).__name__
        raise ValueError(f"parameter {parameter['name']}: {text!r} is not of its type, {kind}: {default!r}")
    return value


@contextlib.contextmanager
def _kernel_environment(course: Course, at_once: int) -> Iterator[None]:
    """Set what the notebooks' processes inherit, and put it back after; they run in the notebooks' folder."""
    before = dict(os.environ)
    os.environ.update(LLINET_HOME=str(home()), LLINET_RUNS=str(course.runs), JUPYTER_PREFER_ENV_PATH="1")
    threads = {"OMP_NUM_THREADS": str(max(1, cpu_count() // at_once))} if at_once > 1 else {}
    for name, value in (KERNEL | threads).items():  # more threads than cores would wait for each other
        os.environ.setdefault(name, value)
    os.environ.pop("MPLBACKEND", None)  # the notebook's own way to show figures
    try:
        with contextlib.chdir(course.notebooks):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _threads(at_once: int) -> Iterator[tuple[ThreadPoolExecutor, threading.Event, dict[Future, str]]]:
    """Run lessons side by side; however it is left, by Ctrl-C too, no process stays."""
    import psutil

    pool, stop, lessons = ThreadPoolExecutor(at_once), threading.Event(), {}
    try:
        yield pool, stop, lessons
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        while not all(future.done() for future in lessons):  # the kernels, and what they started
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            time.sleep(0.2)


def _mark(course: Course, notebook: Path, parameters: dict) -> str:
    """Hash of all that a lesson's outcome depends on: notebook, parameters, data, weights and versions."""
    from llinet_lite import __version__

    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    said = [[cell["cell_type"], cell["metadata"].get("tags"), "".join(cell["source"])] for cell in cells]
    cards = [path.read_bytes() for path in sorted(workspace.WEIGHTS.glob("*.json"))]
    near = [] if course.data is None else [course.data.parent / "weights"]
    outside = [path.name for place in (home() / "weights", *near) for path in sorted(place.glob("*"))]
    versions = (__version__, str(workspace.WEIGHTS_VERSION))
    data = data_mark(profile_named(course.profile), course.data)
    return digest(json.dumps([said, parameters]), data, *versions, *outside, *cards)


def _lesson(course: Course, notebook: Path, parameters: dict, place: str, stop: threading.Event) -> None:
    """Run one notebook unless it is done and unchanged; note in state.json how it went."""
    name, began, status, saved = notebook.stem, time.monotonic(), "failed", deque(maxlen=1)
    executed, measured = course.folder / notebook.name, course.folder / name / "metrics.json"
    mark, before = _mark(course, notebook, parameters), _state(course.folder).get(name, {})
    done = (before.get("status"), before.get("hash")) == ("done", mark) and measured.is_file()
    if done and not course.publish:  # to publish is to run: the weights that it wrote before may be gone
        print(f"{place}: done before and unchanged", flush=True)
        return
    measured.unlink(missing_ok=True)
    print(f"{place}: started at {time.strftime('%H:%M:%S')}", flush=True)
    try:
        _execute(notebook, executed, parameters, saved)
        if not measured.is_file():
            raise LessonFailed(f"{name} wrote no metrics.json: it must call lesson.record(...)")
        _show(notebook, executed, saved)
        status = "done"
    finally:
        seconds = time.monotonic() - began
        status = "stopped" if stop.is_set() and status == "failed" else status
        print(f"{place}: {status} after {seconds:.0f} s", flush=True)
        entry = {"hash": mark, "status": status, "seconds": round(seconds, 1)}
        with _after(status != "done"), _NOTES:
            known = _state(course.folder) | {name: entry}
            _write_json(course.folder / "state.json", dict(sorted(known.items())))
        with _after(status != "done"):
            _show(notebook, executed, saved if status == "failed" else ())


def _after(fault: object) -> contextlib.AbstractContextManager:
    """The first fault is the one that is shown: after it, that the disk is full is no news."""
    return contextlib.suppress(*[OSError] * bool(fault))


def _show(notebook: Path, executed: Path, saved: Iterable[str]) -> None:
    """Write an executed notebook, and a page of it that asks nothing of the network and holds its figures."""
    import nbformat
    from latex2mathml.converter import convert
    from nbconvert import HTMLExporter
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    def formula(body: str, display: str = "inline") -> str:  # browsers draw MathML without a script
        try:
            return convert(body, xmlns="", display=display).replace(' xmlns=""', "")  # HTML knows the name
        except Exception:  # what cannot be read stays as it was typed
            return html.escape(f"${body}$")

    class Renderer(IPythonRenderer):
        inline_math = staticmethod(formula)
        block_math = staticmethod(partial(formula, display="block"))

    def markdown(source: str) -> str:
        renderer = Renderer(escape=False, embed_images=True, path=str(notebook.parent))
        return MarkdownWithMath(renderer=renderer).render(source)

    for text in saved:
        write_whole(executed, text.encode())
        content = nbformat.reads(text, 4)
        content.metadata.pop("widgets", None)  # their manager is elsewhere: what they print stands for them
        exporter = HTMLExporter(raw_template=PAGE)
        exporter.register_filter("markdown2html", markdown)
        exporter.register_preprocessor(CoalesceStreamsPreprocessor(), enabled=True)  # a bar's last line only
        page, _ = exporter.from_notebook_node(content, {"metadata": {"name": notebook.stem}})
        write_whole(executed.with_suffix(".html"), page.encode())


def _execute(notebook: Path, executed: Path, parameters: dict, saved: deque[str]) -> None:
    """Run a notebook by papermill into `saved`; LessonFailed shows the failing cell and its traceback."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from nbconvert.filters import strip_ansi

    bar = {"desc": notebook.stem, "disable": None, "leave": False}  # on a terminal only
    quiet = ["--log-level=ERROR"]  # the kernel's own log, not the notebook's output
    # Papermill would write after every cell, in place: on a full disk that hides what the cell says of it.
    kept = SimpleNamespace(write=lambda text, path: saved.append(text), pretty_path=str)
    papermill.iorw.papermill_io.register(str(executed), kept)
    try:
        papermill.execute_notebook(
            str(notebook), str(executed), parameters, kernel_name="python3", progress_bar=bar,
            start_timeout=120, iopub_timeout=60, extra_arguments=quiet,
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        trace = strip_ansi("\n".join(error.traceback)).rstrip() or f"{error.ename}: {error.evalue}"
        cell = "\n".join(f"    {line}" for line in error.source.splitlines())
        raise LessonFailed(
            f"{notebook.name} failed in its code cell {error.exec_count}:\n\n{cell}\n\n{trace}\n\n"
            f"The notebook as far as it came: {executed}"
        ) from None
    except DeadKernelError:
        raise LessonFailed(
            f"{notebook.name}: its Python process ended, most likely for want of memory: close other "
            f"programs, run one lesson at a time (--at-once 1), or take a smaller profile"
        ) from None
    except Exception as error:
        raise LessonFailed(f"{notebook.name}: {type(error).__name__}: {error}") from error


def _state(folder: Path) -> dict[str, dict]:
    """What state.json of a run says of each lesson; nothing of those of which it says nothing valid."""
    try:
        known = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        needed = {"hash", "status", "seconds"}
        return {name: one for name, one in known.items() if isinstance(one, dict) and one.keys() >= needed}
    except (OSError, ValueError, AttributeError):
        return {}


def _keep(course: Course, lesson: str) -> None:
    """Copy the results of a lesson into HOME/results; unchanged ones keep their date and machine."""
    written = course.folder / lesson / "metrics.json"
    target = home() / "results" / course.folder.name / f"{lesson}.json"
    new = results.read(written) if course.keep else []
    if new and not (target.is_file() and results.read(target) == new):
        content = json.loads(written.read_text(encoding="utf-8"))
        _write_json(target, content | {"date": time.strftime("%Y-%m-%d"), "machine": results.machine()})
        print(f"kept: {target}", flush=True)


def _index(course: Course) -> Path:
    """Write index.html: the executed notebooks, how they went, and one table of their results."""
    lines, measured = [], []
    for name, entry in _state(course.folder).items():
        link = f'<a href="{name}.html">{name}</a>' if (course.folder / f"{name}.html").is_file() else name
        lines.append(f"<li>{link}: {entry['status']}, {entry['seconds'] / 60:.1f} min</li>")
        with contextlib.suppress(results.ResultError):  # a failed lesson may have left none
            found = results.read(course.folder / name / "metrics.json")
            measured += [replace(result, name=f"{name[:2]} {result.name}") for result in found]
    table = results.table(measured).to_html(index=False, border=0) if measured else ""
    title = html.escape(f"llinet-lite, {course.folder.name}")
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px sans-serif;margin:2em auto;max-width:70em;overflow-x:auto}"
        "td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ddd}</style>"
        f"<h1>{title}</h1><ul>{''.join(lines)}</ul>{table}</html>"
    )
    return write_whole(course.folder / "index.html", page.encode())
