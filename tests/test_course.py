"""Lessons, and the course that runs them: order, parameters, skipping, failures, Ctrl-C."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from llinet_lite import course as runner
from llinet_lite import workspace
from llinet_lite.course import Course, Lesson, LessonFailed, run
from llinet_lite.results import Result

PARAMETERS = 'profile = "laptop"\ndata = ""\nrate = 1e-3  # a step\nsteps = 3\nflip = True\nword = "a"'
# what a lesson does, without the package, so that a kernel starts quickly
RECORD = """
import json, os, pathlib
run = profile + ("-" + pathlib.Path(data).name if data else "")
folder = pathlib.Path(os.environ["LLINET_RUNS"], run, NAME)
folder.mkdir(parents=True, exist_ok=True)
with open(folder.with_suffix(".count"), "a") as log:
    log.write("x")
"""
VALUES = Result("accuracy", 0.8, 0.7, 0.9, 0.5, 0.876, seeds=(0,), profile="smoke").to_json()
ENTRY = f"_ = (folder / 'metrics.json').write_text({json.dumps({'results': [VALUES]})!r})"
NOTHING = "_ = (folder / 'metrics.json').write_text(json.dumps({'results': []}))"


def notebook(folder: Path, name: str, *code: str, parameters: str = PARAMETERS) -> Path:
    cells = [new_markdown_cell(f"# About {name}")]
    cells.append(new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    cells += [new_code_cell(source.replace("NAME", repr(name))) for source in code]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    path = folder / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return path


def count(course: Course, name: str) -> int:
    """How many times a notebook ran."""
    log = course.folder / f"{name}.count"
    return len(log.read_text()) if log.is_file() else 0


def state(course: Course) -> dict[str, str]:
    known = json.loads((course.folder / "state.json").read_text())
    return {name: entry["status"] for name, entry in known.items()}


@pytest.fixture
def course(tmp_path, monkeypatch) -> Course:
    """A course of two lessons in a home of its own, without weights."""
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    monkeypatch.setattr(workspace, "WEIGHTS", tmp_path / "packaged")
    for name in ("00_first", "01_second"):
        notebook(tmp_path / "notebooks", name, RECORD, ENTRY)
    return Course(notebooks=tmp_path / "notebooks", at_once=1)


def test_a_course_runs_once_and_then_only_what_changed(course, capsys, tmp_path):
    page = run(course).read_text()
    assert "00_first.html" in page and "80.0 [70.0, 90.0]" in page and page.count("done") == 2
    assert (course.folder / "01_second.html").is_file()
    assert "[2/2] 01_second: done after" in capsys.readouterr().out
    run(course)
    assert capsys.readouterr().out.count("done before and unchanged") == 2
    run(dataclasses.replace(course, given=(("steps", "5"),)))
    notebook(course.notebooks, "00_first", RECORD, ENTRY, "print('another')")
    run(dataclasses.replace(course, given=(("steps", "5"),)))
    (course.folder / "01_second" / "metrics.json").unlink()
    noted = course.folder / "state.json"
    noted.write_text(json.dumps(json.loads(noted.read_text()) | {"x": [], "y": {}, "z": 1}))
    run(dataclasses.replace(course, given=(("steps", "5"),)))
    assert (count(course, "00_first"), count(course, "01_second")) == (3, 3)
    assert course.folder == tmp_path / "runs" / "smoke"
    noted.write_text("[]")
    assert runner._state(course.folder) == {}


def test_an_installed_package_takes_the_notebooks_that_are_here(course, tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "PACKAGE", tmp_path / "site-packages" / "llinet_lite")
    monkeypatch.chdir(tmp_path)
    assert Course().notebooks == course.notebooks


def test_what_makes_a_lesson_run_again(course, tmp_path, monkeypatch):
    path = course.notebooks / "00_first.ipynb"
    marks = [runner._mark(course, path, {}), runner._mark(course, path, {"a": 1})]
    (tmp_path / "mine").mkdir()
    with_data = dataclasses.replace(course, data=tmp_path / "mine")
    marks.append(runner._mark(with_data, path, {}))
    (tmp_path / "mine" / "a.jpg").touch()
    marks.append(runner._mark(with_data, path, {}))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vgg16.pth").touch()
    marks.append(runner._mark(course, path, {}))
    monkeypatch.setattr(workspace, "WEIGHTS_VERSION", 99)
    marks.append(runner._mark(course, path, {}))
    page = nbformat.read(path, 4)
    page.cells[-1].outputs = [nbformat.v4.new_output("stream", text="an output is no change")]
    nbformat.write(page, path)
    assert runner._mark(course, path, {}) == marks[-1]
    assert len(set(marks)) == 6


def test_parameters_reach_the_notebooks_in_their_types(course, tmp_path):
    told = "(folder / 'told').write_text(repr([profile, data, rate, steps, flip, word, os.getcwd()]))"
    notebook(course.notebooks, "00_first", RECORD, NOTHING, told)
    given = (("rate", "2"), ("steps", "4"), ("flip", "false"), ("word", "7"))
    run(dataclasses.replace(course, given=given, only="00"))
    told = (course.folder / "00_first" / "told").read_text()
    assert told == repr(["smoke", "", 2.0, 4, False, "7", str(course.notebooks)])


def test_a_failing_cell_is_shown_and_the_first_lesson_stays_done(course):
    notebook(course.notebooks, "01_second", RECORD, ENTRY, "wrong = 1 / 0")
    with pytest.raises(LessonFailed, match=r"(?s)failed in its code cell 5.*wrong = 1 / 0.*Zero"):
        run(course)
    assert state(course) == {"00_first": "done", "01_second": "failed"}
    with pytest.raises(LessonFailed):
        run(course)
    assert (count(course, "00_first"), count(course, "01_second")) == (1, 2)


def test_of_a_full_disk_the_first_fault_is_shown(course, monkeypatch):
    def full(path, data):
        raise OSError(28, f"{path}: no space left")

    monkeypatch.setattr(runner, "write_whole", full)
    notebook(course.notebooks, "00_first", RECORD, "raise OSError(28, 'last.ckpt: no space left')")
    with pytest.raises(LessonFailed, match=r"last\.ckpt: no space left"):
        run(course)
    with pytest.raises(OSError, match=r"01_second\.ipynb: no space left"):
        run(dataclasses.replace(course, only="01"))
    assert not [path for path in course.folder.glob("*.*") if path.suffix in (".html", ".ipynb", ".json")]


def test_a_page_asks_nothing_of_the_network(course):
    bar = "for k in '19':\n    print(k, '%', end='\\r')"
    path = notebook(course.notebooks, "00_first", RECORD, NOTHING, bar)
    text = "# About $\\\\bar v_i$\\n\\n$$a^\\\\top$$\\n\\n![a dot](dot.svg)"
    path.write_text(path.read_text().replace("# About 00_first", text))
    (course.notebooks / "dot.svg").write_text("<svg/>")
    run(dataclasses.replace(course, only="00"))
    text = (course.folder / "00_first.html").read_text()
    assert text.count("<math") == 2 and 'src="data:image/svg+xml' in text
    assert "9 %" in text and "1 %" not in text, "of a bar the last line stays"
    assert not re.search(r"<(script|link|img)\b[^>]*(src|href)=[\"']?http|import\(|@import|url\(http", text)


def test_keep_going_two_at_a_time(course):
    notebook(course.notebooks, "00_first", RECORD, "1 / 0")
    notebook(course.notebooks, "02_third", RECORD, "import os; os._exit(1)")
    notebook(course.notebooks, "03_fourth", RECORD)
    before = dict(os.environ)
    with pytest.raises(LessonFailed) as failure:
        run(dataclasses.replace(course, keep_going=True, at_once=2))
    said = str(failure.value)
    assert said.startswith("3 of 4 lessons failed") and "02_third.ipynb: its Python process ended" in said
    assert "03_fourth wrote no metrics.json" in said
    assert state(course)["01_second"] == "done" and dict(os.environ) == before


def test_two_lessons_overlap(course):
    meet = """
import time
mine, other = folder / "here", folder.parent / OTHER / "here"
mine.touch()
end = time.time() + 60
while not other.exists() and time.time() < end:
    time.sleep(0.05)
assert other.exists()
"""
    for name, other in (("00_first", "01_second"), ("01_second", "00_first")):
        notebook(course.notebooks, name, RECORD, meet.replace("OTHER", repr(other)), NOTHING)
    run(dataclasses.replace(course, at_once=2))
    assert set(state(course).values()) == {"done"}


SLEEPS = """
import subprocess, time
child = subprocess.Popen(["sleep", "600"])
(folder / "pid").write_text(str(child.pid))
time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_a_stopped_course_leaves_no_process(course, how):
    notebook(course.notebooks, "01_second", RECORD, SLEEPS, ENTRY)
    command = [sys.executable, "-m", "llinet_lite", "course", "--notebooks", str(course.notebooks)]
    started = subprocess.Popen(
        [*command, "--at-once", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background jobs
    )  # fmt: skip
    pid, done = course.folder / "01_second" / "pid", course.folder / "state.json"
    deadline = time.monotonic() + 60
    while not (pid.is_file() and pid.read_text() and done.is_file()) and time.monotonic() < deadline:
        time.sleep(0.1)
    stopped = how == signal.SIGINT
    children = psutil.Process(started.pid).children(recursive=stopped)  # a kernel outlives no killed parent
    assert len(children) >= 1 + stopped
    started.send_signal(how)
    code = started.wait(timeout=60)
    assert not psutil.wait_procs(children, timeout=30)[1]
    if stopped:
        assert code == 130 and b"the same command goes on" in started.stdout.read()
        assert state(course) == {"00_first": "done", "01_second": "stopped"}
    else:
        psutil.Process(int(pid.read_text())).kill()


def test_results_are_kept_when_asked_for(course, tmp_path):
    notebook(course.notebooks, "00_first", RECORD, NOTHING)  # a lesson without a number
    run(course)
    assert not (tmp_path / "results").exists()
    run(dataclasses.replace(course, keep=True))
    kept = tmp_path / "results/smoke/01_second.json"
    assert list(tmp_path.glob("results/*/*")) == [kept] and count(course, "01_second") == 1
    content = json.loads(kept.read_text())
    assert content["date"] and content["machine"]["packages"]["torch"]
    assert str(tmp_path) not in kept.read_text()
    lesson = Lesson("01_second", profile="smoke")
    assert [result.value for result in lesson.published_results()] == [0.8]
    row = lesson.results_table().iloc[0]
    assert row.tolist()[:6] == ["accuracy", "80.0 [70.0, 90.0]", "50.0", "87.6", "%", 1]
    assert len(Lesson("01_second", profile="gpu").results_table()) == 0


@pytest.mark.parametrize(("changes", "says"), [
    ({"only": "07"}, "no notebook '07'"),
    ({"only": "00", "start": "01"}, "exclude each other"),
    ({"given": (("nosuch", "1"),)}, "takes each of these once: flip, rate, steps, word"),
    ({"given": (("profile", "gpu"),)}, "takes each of these once"),
    ({"given": (("steps", "1.5"),)}, "'1.5' is not of its type, int: 3"),
    ({"given": (("rate", "fast"),)}, "not of its type, float"),
    ({"notebooks": Path("nosuch")}, "there is no notebook in"),
])  # fmt: skip
def test_refusals(course, changes, says):
    with pytest.raises(ValueError, match=says):
        run(dataclasses.replace(course, **changes))
    assert not course.folder.exists()


def test_two_runs_in_one_folder_are_refused(course):
    course.folder.mkdir(parents=True)
    with runner.filelock.FileLock(course.folder / ".lock"), pytest.raises(ValueError, match="another run is"):
        run(course)


def test_a_lesson_records_shows_and_says_what_it_costs(course, monkeypatch):
    import matplotlib.pyplot as plt

    lesson = Lesson("01_audio_visual_correspondence", profile="smoke", seeds=2, overrides={"epochs": 0})
    lesson.record()
    path = lesson.folder / "metrics.json"
    assert json.loads(path.read_text())["results"] == []
    lesson.record(Result("a", 0.5), Result("b", 0.5))
    lesson.record(Result("a", 0.25, 0.2, 0.3))
    content = json.loads(path.read_text())
    assert [(r["name"], r["value"]) for r in content["results"]] == [("a", 0.25), ("b", 0.5)]
    assert (content["profile"], content["data"]) == ("smoke", "built-in world")
    assert lesson.profile.seeds == (0, 1)
    fig = plt.figure()
    lesson.figure(fig, "empty", "An empty figure, with nothing to see in it.")
    assert (lesson.folder / "figures" / "empty.png").is_file()
    assert "| `smoke` | 2 CPU cores | 2.9 | 2 GB |" in lesson.cost_box().data
