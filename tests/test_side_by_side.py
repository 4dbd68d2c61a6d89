"""Lessons that run side by side: what shares the machine, what stops, what is said."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from course_fakes import ENTRY, RECORD, notebook, two_lessons

from llinet_lite.course import Course, CourseError, LessonFailed, run, runner
from llinet_lite.course.side_by_side import lessons_at_once
from llinet_lite.data import parallel

BESIDE = """
import time
began = time.time()
while not (folder.parent / OTHER).is_dir() and time.time() < began + 240:
    time.sleep(0.05)
assert (folder.parent / OTHER).is_dir(), "the other lesson did not start beside this one"
"""


@pytest.fixture
def course(tmp_path, monkeypatch) -> Course:
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))  # no test writes into the project's own
    return two_lessons(tmp_path)


@pytest.fixture
def pair(course) -> Course:
    """Three lessons, of which the last two wait for each other."""
    for name, other in (("01_second", "02_third"), ("02_third", "01_second")):
        notebook(course.notebooks, name, RECORD, BESIDE.replace("OTHER", repr(other)), ENTRY)
    return dataclasses.replace(course, at_once=2)


def test_two_lessons_run_at_once_after_the_first(pair, capfd):
    run(pair)
    said = capfd.readouterr().out
    assert re.search(r"00_first: cell \d of \d, \d+ s  done(?s:.*)\[[23]/3\]", said), "the first ran alone"
    assert "[2/3]" not in said[: said.index("00_first")] and "[3/3]" not in said[: said.index("00_first")]
    assert {entry["status"] for entry in runner.state(pair.folder).values()} == {"done"}
    executed = nbformat.read(pair.folder / "02_third.ipynb", as_version=4)
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
    html = (pair.folder / "report.html").read_text()
    assert "01_second.html" in html and "02_third.html" in html
    run(pair)
    assert capfd.readouterr().out.count("done before and unchanged") == 3


def test_a_failure_beside_another_lesson_stops_both(pair):
    slow = "import time; time.sleep(600)"
    notebook(pair.notebooks, "01_second", RECORD, BESIDE.replace("OTHER", "'02_third'"), "1 / 0  # here")
    notebook(pair.notebooks, "02_third", RECORD, slow, ENTRY)
    began = time.monotonic()
    with pytest.raises(LessonFailed, match=r"(?s)01_second.*1 / 0  # here.*ZeroDivisionError"):
        run(pair)
    assert time.monotonic() - began < 120
    states = {name: entry["status"] for name, entry in runner.state(pair.folder).items()}
    assert states == {"00_first": "done", "01_second": "failed", "02_third": "stopped"}


def test_others_go_on_beside_a_failure_if_told(pair):
    notebook(pair.notebooks, "01_second", RECORD, "1 / 0  # here", ENTRY)
    with pytest.raises(LessonFailed, match="1 of 3 lessons failed"):
        run(dataclasses.replace(pair, go_on=True))
    assert runner.state(pair.folder)["02_third"]["status"] == "done"


def test_cores_are_shared_by_what_runs_at_once(course, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for at_once in (1, 2, 1000):
        with runner._kernel_environment(course, at_once):
            threads = os.environ.get("OMP_NUM_THREADS")
        assert threads == {1: None, 2: str(max(1, parallel.cores() // 2)), 1000: "1"}[at_once]


@pytest.mark.parametrize(
    ("cores", "free", "gpu", "at_once"),
    [(2, 20e9, False, 2), (1, 20e9, False, 1), (2, 7e9, False, 1), (16, 99e9, True, 1)],
)
def test_how_many_at_once(monkeypatch, cores, free, gpu, at_once):
    import psutil
    import torch

    monkeypatch.setattr(parallel, "cores", lambda: cores)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": free})())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert lessons_at_once() == at_once
    assert lessons_at_once(3) == 3


def test_weights_are_published_one_lesson_at_a_time(course):
    asked = dataclasses.replace(course, profile="laptop", retrain=True, publish=True, at_once=2)
    with pytest.raises(CourseError, match="one lesson at a time"):
        run(asked)


def test_a_lesson_whose_process_dies_is_named(pair):
    kill = (
        "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"  # as the system does when memory runs out
    )
    notebook(pair.notebooks, "01_second", RECORD, BESIDE.replace("OTHER", "'02_third'"), kill)
    with pytest.raises(LessonFailed, match=r"01_second: its process ended with exit code -9.*memory"):
        run(pair)


def test_no_lesson_outlives_a_killed_runner(pair):
    left = "import os; (folder / 'pid').write_text(str(os.getppid())); import time; time.sleep(600)"
    notebook(pair.notebooks, "01_second", RECORD, left, ENTRY)
    command = [sys.executable, "-m", "llinet_lite", "course", "--runs", str(pair.runs), "--at-once", "2"]
    command += ["--notebooks", str(pair.notebooks)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    told, deadline = pair.folder / "01_second" / "pid", time.monotonic() + 90
    while not (told.is_file() and told.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    lesson = psutil.Process(int(told.read_text()))
    process.kill()
    process.wait()
    assert not psutil.wait_procs([lesson], timeout=30)[1], "the lesson goes on without its runner"
