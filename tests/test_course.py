"""The runner: what it skips, where it goes on, what it refuses, what it shows when a notebook fails."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from course_fakes import (
    ENTRY,
    NOTHING,
    PARAMETERS,
    REAL,
    RECORD,
    entry,
    notebook,
    runs_of,
    two_lessons,
)

from llinet_lite.course import Course, CourseError, Lesson, LessonFailed, run, runner, sources
from llinet_lite.course.parameters import Parameter, assign, convert, declared
from llinet_lite.course.report import number


@pytest.fixture
def course(tmp_path, monkeypatch) -> Course:
    now = sources.package_hash()
    monkeypatch.setattr(sources, "package_hash", lambda: now)
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))  # no test writes into the project's own
    return two_lessons(tmp_path)


def test_weights_from_outside_that_come_or_change_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("LLINET_TRUNK", "LLINET_VGGISH", "LLINET_VGG16"):
        monkeypatch.delenv(name, raising=False)
    hashes = [sources.outside_weights_hash(tmp_path / "data")]
    for place in ("weights", "torch/hub/checkpoints", "mine"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "resnet101.pth").write_bytes(b"x")
        hashes.append(sources.outside_weights_hash(tmp_path / "data"))
    assert hashes[2] == hashes[3], "nothing names that folder"
    for place in ("mine", "mine/resnet101.pth"):
        monkeypatch.setenv("LLINET_TRUNK", str(tmp_path / place))
        hashes.append(sources.outside_weights_hash(tmp_path / "data"))
    (tmp_path / "mine" / "resnet101.pth").write_bytes(b"longer")
    hashes.append(sources.outside_weights_hash(tmp_path / "data"))
    assert len(set(hashes)) == len(hashes) - 1


def test_a_run_leaves_what_it_promises(course, capsys):
    notebook(course.notebooks, "01_second", RECORD, REAL)
    before = {p.name: p.read_bytes() for p in course.notebooks.iterdir()}
    page = run(course)
    assert {p.name: p.read_bytes() for p in course.notebooks.iterdir()} == before, "a source was touched"
    assert page == course.folder / "report.html"
    for name in ("00_first", "01_second"):
        assert json.loads((course.folder / name / "metrics.json").read_text())["results"][0]["value"] == 0.8
        executed = nbformat.read(course.folder / f"{name}.ipynb", as_version=4)
        assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")
        assert (course.folder / f"{name}.html").is_file()
    said = capsys.readouterr().out
    assert "[2/2] 01_second: cell 4 of 4" in said and "done" in said  # papermill's own cell is the fourth
    html = page.read_text()
    for needed in ("accuracy", "0.876", "0.7 to 0.9", "01_second.html", "About 00_first"):
        assert needed in html
    assert "http://" not in html and "https://" not in html and "<script" not in html
    assert json.loads((course.folder / "environment.json").read_text())["packages"]["torch"]


def test_what_is_done_and_unchanged_is_skipped(course, capsys, monkeypatch):
    run(course)
    capsys.readouterr()
    run(course)
    assert capsys.readouterr().out.count("done before and unchanged") == 2
    assert runs_of(course, "00_first") == runs_of(course, "01_second") == 1

    notebook(course.notebooks, "01_second", RECORD, ENTRY + "\nprint(1)")
    run(course)
    assert (runs_of(course, "00_first"), runs_of(course, "01_second")) == (1, 2)

    (course.folder / "00_first" / "metrics.json").write_text("{")
    run(course)
    assert (runs_of(course, "00_first"), runs_of(course, "01_second")) == (2, 2)

    monkeypatch.setattr(sources, "package_hash", lambda: "another package")
    run(course)
    assert (runs_of(course, "00_first"), runs_of(course, "01_second")) == (3, 3)


def test_new_outputs_alone_do_not_make_a_notebook_run_again(course):
    path = course.notebooks / "00_first.ipynb"
    before = sources.notebook_hash(path)
    page = nbformat.read(path, as_version=4)
    page.cells[1].outputs = [nbformat.v4.new_output("stream", text="hello")]
    page.cells[1].execution_count = 7
    nbformat.write(page, path)
    assert sources.notebook_hash(path) == before
    page.cells[1].source += "\nextra = 1"
    nbformat.write(page, path)
    assert sources.notebook_hash(path) != before


def test_other_parameters_run_again_and_reach_the_notebook(course):
    notebook(course.notebooks, "01_second", RECORD, "print(rate, steps, flip, sizes, word)", ENTRY)
    run(course)
    given = [("rate", "1e-4"), ("steps", "7"), ("flip", "no"), ("sizes", "1, 2"), ("word", 'say "#=1"')]
    run(Course(runs=course.runs, notebooks=course.notebooks, only="01", given=given))
    assert (runs_of(course, "00_first"), runs_of(course, "01_second")) == (1, 2)
    executed = nbformat.read(course.folder / "01_second.ipynb", as_version=4)
    said = [out.text for cell in executed.cells if cell.cell_type == "code" for out in cell.outputs]
    assert said == ['0.0001 7 False [1, 2] say "#=1"\n']


def test_a_failing_notebook_stops_the_course_and_shows_its_cell(course, capsys):
    notebook(course.notebooks, "00_first", RECORD, "print('fine')", "wrong = 1 / 0  # here", ENTRY)
    with pytest.raises(LessonFailed) as failure:
        run(course)
    for needed in ("00_first.ipynb", "wrong = 1 / 0  # here", "ZeroDivisionError: division by zero"):
        assert needed in str(failure.value)
    assert "\x1b" not in str(failure.value)
    assert runs_of(course, "01_second") == 0
    assert runner.state(course.folder)["00_first"]["status"] == "failed"
    assert "ZeroDivisionError" in (course.folder / "report.html").read_text()

    notebook(course.notebooks, "00_first", RECORD, ENTRY)  # mended: goes on, and finishes
    run(course)
    assert runner.state(course.folder)["00_first"]["status"] == "done"
    assert runs_of(course, "01_second") == 1


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("pass", "wrote no metrics.json"),
        (entry(value=float("nan")), "finite"),
        (entry(low=0.85), "its interval"),
        ("(folder / 'metrics.json').write_text('[]')", "not a valid list"),
    ],
)
def test_metrics_must_be_there_and_be_numbers(course, code, says):
    notebook(course.notebooks, "00_first", RECORD, code)
    with pytest.raises(LessonFailed, match=says):
        run(course)


def test_a_lesson_that_dies_says_where(course):
    notebook(course.notebooks, "00_first", RECORD, "import os; os._exit(1)")
    with pytest.raises(LessonFailed, match="ended in cell 4 of 4"):
        run(course)


def test_metrics_of_an_earlier_run_do_not_pass_for_new_ones(course):
    run(course)
    notebook(course.notebooks, "00_first", RECORD)
    with pytest.raises(LessonFailed, match="wrote no metrics"):
        run(course)


def test_a_killed_run_goes_on_where_it_stopped(course):
    notebook(course.notebooks, "01_second", RECORD, "import time; print('asleep'); time.sleep(600)", ENTRY)
    command = [sys.executable, "-m", "llinet_lite", "course", "--runs", str(course.runs)]
    command += ["--notebooks", str(course.notebooks)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while runs_of(course, "01_second") == 0 and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert runner.state(course.folder)["00_first"]["status"] == "done"
    assert runner.state(course.folder)["01_second"]["status"] == "running"
    notebook(course.notebooks, "01_second", RECORD, ENTRY)
    run(course)
    assert runs_of(course, "00_first") == 1
    assert runner.state(course.folder)["01_second"]["status"] == "done"


def test_ctrl_c_says_how_to_go_on(course):
    notebook(course.notebooks, "01_second", RECORD, "import time; print('asleep'); time.sleep(600)", ENTRY)
    command = [sys.executable, "-m", "llinet_lite", "course", "--runs", str(course.runs)]
    command += ["--notebooks", str(course.notebooks)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # what a shell starts in the background, as these tests may be, ignores Ctrl-C; so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 90
    while runs_of(course, "01_second") == 0 and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=180)
    assert process.returncode == 130, said
    assert "llinet: stopped; the same command goes on where it stopped" in said, said
    assert "llinet_lite/" not in said, "a traceback of ours (a dying kernel may log one of its own)"
    assert runner.state(course.folder)["00_first"]["status"] == "done"
    assert runner.state(course.folder)["01_second"]["status"] == "stopped"


def test_to_publish_is_to_run_again(course, monkeypatch, tmp_path):
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    asked = dataclasses.replace(course, profile="laptop", only="00", retrain=True)
    for publish, runs in ((False, 1), (False, 1), (True, 2), (True, 3)):
        run(dataclasses.replace(asked, publish=publish))
        assert runs_of(asked, "00_first") == runs


def test_one_seed_does_not_replace_the_results_of_three(course, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    asked = dataclasses.replace(course, profile="laptop", only="00", retrain=True, publish=True)
    kept = tmp_path / "results" / "laptop" / "00_first.json"
    for seeds, publish, keep, values in (
        ([0, 1, 2], True, False, [0, 1, 2]),
        ([0], True, False, [0, 1, 2]),
        ([0], True, True, [0]),
    ):
        notebook(course.notebooks, "00_first", RECORD, entry(seeds=seeds))
        run(dataclasses.replace(asked, publish=publish, keep=keep))
        assert json.loads(kept.read_text())["results"][0]["seeds"] == values
    assert "results of 00_first stay, with their 3 seeds: this run had 1" in capsys.readouterr().out


def test_two_runs_in_one_folder_are_refused(course):
    course.folder.mkdir(parents=True)
    with runner._alone(course.folder), pytest.raises(CourseError, match="another run is at work"):
        run(course)


def test_from_and_only(course):
    base = {"runs": course.runs, "notebooks": course.notebooks}
    run(Course(**base, start="01"))
    assert (runs_of(course, "00_first"), runs_of(course, "01_second")) == (0, 1)
    run(Course(**base, only="00_first"))
    assert (runs_of(course, "00_first"), runs_of(course, "01_second")) == (1, 1)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"profile": "huge"}, "no profile 'huge': choose one of smoke, laptop, gpu, paper"),
        ({"only": "07"}, "no notebook '07'.*00_first, 01_second"),
        ({"only": "00", "start": "01"}, "exclude each other"),
        ({"given": [("nosuch", "1")]}, r"no parameter|has a parameter 'nosuch'"),
        ({"given": [("x=1\nimport os", "1")]}, "has a parameter"),
        ({"given": [("steps", "1.5")]}, "steps.*int, default 3"),
        ({"given": [("flip", "perhaps")]}, "flip.*bool, default True"),
        ({"given": [("sizes", "1,b")]}, "sizes.*tuple of int"),
        ({"given": [("steps", "1"), ("steps", "2")]}, "more than once"),
        ({"given": [("profile", "gpu")]}, "--profile"),
        ({"data": Path("/no/such/folder")}, "does not exist"),
        ({"publish": True, "profile": "laptop"}, "--publish goes with --retrain"),
        ({"publish": True, "retrain": True}, "--publish goes with --retrain and --profile laptop"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_runs(course, asked, says):
    with pytest.raises(ValueError, match=f"(?s){says}"):
        run(Course(runs=course.runs, notebooks=course.notebooks, **asked))
    assert not course.runs.exists()


def test_an_unknown_parameter_is_answered_with_the_valid_ones(course):
    with pytest.raises(CourseError) as refusal:
        run(Course(runs=course.runs, notebooks=course.notebooks, given=[("lr", "1")]))
    assert "rate (float, default 0.001)" in str(refusal.value)
    assert "sizes (tuple of int, default (4, 8))" in str(refusal.value)


def test_a_parameter_goes_to_the_notebooks_that_declare_it():
    known = {"a": {"x": Parameter("x", 1)}, "b": {"x": Parameter("x", 1.0), "y": Parameter("y", None)}}
    assert assign([("x", "2"), ("y", "1e-4")], known) == {"a": {"x": 2}, "b": {"x": 2.0, "y": 1e-4}}
    assert isinstance(assign([("x", "2")], known)["b"]["x"], float)


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        (1e-3, "1e-4", 1e-4),
        (1, "-3", -3),
        (True, "FALSE", False),
        ("a", "1e-4", "1e-4"),
        ((0,), "(1,)", (1,)),
        ([0.5], "1e-1 , 2", [0.1, 2.0]),
        ((), "1,'a'", (1, "a")),
        (None, "None", None),
        (None, "true", True),
    ],
)
def test_values_take_the_type_of_the_default(default, text, value):
    got = convert(Parameter("p", default), text)
    assert got == value and type(got) is type(value)


def test_what_is_computed_is_no_parameter(tmp_path):
    path = notebook(tmp_path, "00_x", parameters='profile = "smoke"\nepochs = 2 * 3')
    with pytest.raises(CourseError, match="epochs = 2 \\* 3"):
        declared(path)
    path.write_text("not a notebook")
    with pytest.raises(CourseError, match="is not a notebook"):
        declared(path)


def test_a_notebook_without_profile_is_refused(course):
    notebook(course.notebooks, "02_third", "print(1)", parameters="")
    with pytest.raises(CourseError, match="declares no parameter `profile`"):
        run(course)


def test_own_data_have_a_folder_of_their_own_and_their_hash_counts(course, tmp_path):
    data = tmp_path / "mine"
    data.mkdir()
    (data / "a.txt").write_text("a")
    notebook(course.notebooks, "00_first", RECORD, ENTRY, parameters='profile = "laptop"')  # takes no data
    mine = Course(runs=course.runs, notebooks=course.notebooks, data=data)
    assert mine.folder == course.runs / "smoke-mine"
    for _ in range(2):
        run(mine)
    assert (runs_of(mine, "00_first"), runs_of(mine, "01_second")) == (0, 1)
    (data / "b.txt").write_text("b")
    run(mine)
    assert runs_of(mine, "01_second") == 2


def test_runs_never_go_into_the_notebooks_folder(course):
    with pytest.raises(CourseError, match="cannot go into the folder of the notebooks"):
        run(Course(runs=course.notebooks, notebooks=course.notebooks))


def test_results_are_kept_when_asked_for(course, monkeypatch, tmp_path):
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    notebook(course.notebooks, "00_first", RECORD, NOTHING)  # a lesson without a number
    run(course)
    assert not (tmp_path / "results").exists()
    run(dataclasses.replace(course, keep=True))
    assert [p.relative_to(tmp_path) for p in tmp_path.glob("results/*/*")] == [
        Path("results/smoke/01_second.json")
    ]
    assert runs_of(course, "01_second") == 1, "to keep is no reason to run again"
    monkeypatch.setenv("LLINET_RUNS", str(course.runs))
    lesson = Lesson("01_second", profile="smoke")
    assert [result.value for result in lesson.published_results()] == [0.8]
    row = lesson.results_table().iloc[0]
    assert list(row.index) == ["result", "value", "low", "high", "chance", "paper", "seeds", "minutes"]
    assert (row.result, row.value, row.seeds, row.paper) == ("accuracy", 0.8, 1, 0.876)
    assert len(Lesson("01_second", profile="gpu").results_table()) == 0
    kept = (tmp_path / "results/smoke/01_second.json").read_text()
    assert str(tmp_path) not in kept and json.loads(kept)["machine"]["packages"]["torch"]


def test_retrain_reaches_only_the_notebooks_that_declare_it(course):
    notebook(
        course.notebooks,
        "01_second",
        RECORD,
        "print(retrain)",
        ENTRY,
        parameters=PARAMETERS + "\nretrain = False",
    )
    run(dataclasses.replace(course, retrain=True))
    executed = nbformat.read(course.folder / "01_second.ipynb", as_version=4)
    assert "True\n" in [
        out.text for cell in executed.cells if cell.cell_type == "code" for out in cell.outputs
    ]
    injected = nbformat.read(course.folder / "00_first.ipynb", as_version=4).cells[2].source
    assert "retrain" not in injected and 'profile = "smoke"' in injected


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "", "\u2013"),
        (0.87654, "", "0.877"),
        (81.94, "%", "81.9"),
        (-0.5, "", "\u22120.5"),
        ("n/a", "", "n/a"),
    ],
)
def test_numbers_in_the_report(value, unit, text):
    assert number(value, unit) == text
