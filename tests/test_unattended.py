"""The unattended run: a failure does not stop the rest, what is done stays done, all is collected."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from course_fakes import ENTRY, NOTHING, RECORD, VALUES, notebook
from typer.testing import CliRunner

from llinet_lite import __main__ as cli
from llinet_lite import doctor
from llinet_lite.course import (
    Course,
    Lesson,
    LessonFailed,
    engine,
    profile_named,
    report,
    results_folder,
    run,
    run_unattended,
    runner,
    sources,
)
from llinet_lite.course.unattended import LOG

NAMES = ("00_first", "01_second", "02_third")
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_unattended as t
t.engine.execute = t.Runner(slow="01_second")
t.sources.package_hash = lambda: "fixed"
course = t.Course(runs=Path({runs!r}), notebooks=Path({notebooks!r}))
t.run_unattended(course, examine=lambda: 0)
"""


class Runner:
    """In place of a kernel: notes what runs, writes metrics, fails or takes long where it is told to."""

    def __init__(self, broken: str = "", slow: str = ""):
        self.broken, self.slow, self.ran = broken, slow, []

    def __call__(self, source, target, parameters, progress):
        self.ran.append((source.stem, parameters))
        print(f"{source.stem} at work", flush=True)
        if source.stem == self.slow:
            time.sleep(60)
        if source.stem == self.broken:
            raise LessonFailed(f"{source.name} failed in its code cell 3:\n\n    1 / 0")
        folder = target.with_suffix("")
        folder.mkdir(parents=True, exist_ok=True)
        results = [] if source.stem == "00_first" else [VALUES | {"profile": parameters["profile"]}]
        (folder / "metrics.json").write_text(json.dumps({"lesson": source.stem, "results": results}))
        target.write_bytes(source.read_bytes())

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.ran]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Course:
    """A course of three notebooks with folders of its own."""
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    monkeypatch.setattr(sources, "package_hash", lambda: "fixed")
    for name in NAMES:
        notebook(tmp_path / "notebooks", name, RECORD, NOTHING if name == "00_first" else ENTRY)
    return Course(runs=tmp_path / "runs", notebooks=tmp_path / "notebooks")


@pytest.fixture
def runs(monkeypatch):
    """Put a runner in place of the kernels."""

    def put(**how) -> Runner:
        runner = Runner(**how)
        monkeypatch.setattr(engine, "execute", runner)
        return runner

    return put


def results(course: Course) -> list[str]:
    folder = Path(os.environ["LLINET_HOME"], "results") / course.folder.name
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_everything_runs_and_is_collected(place, runs, capsys):
    here, speeds = runs(), []

    def measure(path):
        speeds.append(path)
        path.write_text('{"rows": []}')

    assert run_unattended(place, examine=lambda: 0, measure=measure) == 0
    assert here.names == list(NAMES) and len(speeds) == 1
    assert results(place) == ["01_second.json", "02_third.json", "bench.json", "environment.json"]
    said = capsys.readouterr().out
    assert said.count("done ") >= 3 and "all is done" in said and "report: " in said
    log = (place.folder / LOG).read_text()
    assert log.startswith("\n== 20") and said in log

    assert run_unattended(place, examine=lambda: 0, measure=measure) == 0
    assert here.names == list(NAMES) and len(speeds) == 1, "nothing is done twice"
    again = (place.folder / LOG).read_text()
    assert again.startswith(log) and again.count("== 20") == 2
    assert again.count("done before and unchanged") == 3 and "measured before and unchanged" in again


def test_a_failure_is_said_at_the_end_and_alone_runs_again(place, runs, capsys):
    runs(broken="01_second")
    assert run_unattended(place, examine=lambda: 0) == 1
    said = capsys.readouterr().out
    assert "    1 / 0" in said, "the failing cell is shown where it happened"
    end = said[said.index("results: ") :]
    assert "1 of 3 lessons failed:\n01_second.ipynb failed in its code cell 3:" in end
    assert "the same command runs again what failed, and nothing else" in end and "all is done" not in said
    assert results(place) == ["02_third.json", "environment.json"]
    assert runner.state(place.folder)["01_second"]["status"] == "failed"

    mended = runs()
    assert run_unattended(place, examine=lambda: 0) == 0
    assert mended.names == ["01_second"]
    assert results(place) == ["01_second.json", "02_third.json", "environment.json"]


def test_without_go_on_a_course_stops_at_a_failure(place, runs):
    stopped = runs(broken="01_second")
    with pytest.raises(LessonFailed, match="01_second"):
        run(place)
    assert stopped.names == list(NAMES[:2])


def test_whatever_goes_wrong_in_one_lesson_the_others_run(place, monkeypatch, capsys):
    """A kernel that does not start is no failing cell, and ends no night's work either."""
    ran = []

    def execute(source, target, parameters, progress):
        ran.append(source.stem)
        if source.stem == "01_second":
            raise RuntimeError("Kernel didn't respond in 120 seconds")
        Runner()(source, target, parameters, progress)

    monkeypatch.setattr(engine, "execute", execute)
    assert run_unattended(place, examine=lambda: 0) == 1
    assert ran == list(NAMES)
    assert "01_second: RuntimeError: Kernel didn't respond in 120 seconds" in capsys.readouterr().out


def test_the_command_takes_the_seeds_of_the_profile(monkeypatch, place):
    asked = []
    monkeypatch.setattr("llinet_lite.course.run_unattended", lambda course, **_: asked.append(course) or 0)
    for arguments in ([], ["--seeds", "2"]):
        CliRunner().invoke(cli.app, ["unattended", "--no-bench", *arguments], catch_exceptions=False)
    assert [course.given for course in asked] == [[("seeds", "0")], [("seeds", "2")]]
    taken = [Lesson("01_x", profile="gpu", seeds=tuple(range(int(of.given[0][1])))).settings for of in asked]
    assert [len(settings.seeds) for settings in taken] == [len(profile_named("gpu").seeds), 2]


def test_results_that_are_kept_keep_their_date_and_machine(place, runs, monkeypatch):
    runs()
    assert run_unattended(place, examine=lambda: 0) == 0
    path = results_folder() / place.folder.name / "01_second.json"
    before = path.read_text()
    monkeypatch.setattr(report, "environment", lambda: {"gpu": "another one"})
    monkeypatch.setattr(report, "write_environment", lambda folder: None)
    assert run_unattended(place, examine=lambda: 0) == 0
    assert path.read_text() == before, "it was not measured again"


def test_a_machine_that_does_not_do_runs_nothing(place, runs, capsys):
    idle = runs()
    assert run_unattended(place, examine=lambda: 2) == 1
    assert not idle.ran and "nothing was run: mend what is marked FAIL" in capsys.readouterr().out


def test_a_speed_that_cannot_be_measured_is_a_failure_but_no_loss(place, runs, capsys):
    runs()

    def measure(path):
        raise ImportError("torchmetrics is not installed")

    assert run_unattended(place, examine=lambda: 0, measure=measure) == 1
    assert "speed was not measured: ImportError: torchmetrics is not installed" in capsys.readouterr().out
    assert results(place) == ["01_second.json", "02_third.json", "environment.json"]
    assert run_unattended(place, examine=lambda: 0, measure=lambda path: path.write_text("{}")) == 0
    assert "bench.json" in results(place)


def test_a_killed_run_goes_on_where_it_stopped(place, runs):
    """SIGKILL in the second lesson: the first is not run again."""
    here = {"tests": str(Path(__file__).parent), "runs": str(place.runs), "notebooks": str(place.notebooks)}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(**here)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if "01_second at work" in line:
            break
    else:
        raise AssertionError(f"the second lesson never began: {''.join(said)}")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert runner.state(place.folder)["01_second"]["status"] == "running"
    assert "01_second at work" in (place.folder / LOG).read_text(), "the log is there up to the last line"
    rest = runs()
    assert run_unattended(place, examine=lambda: 0) == 0
    assert rest.names == list(NAMES[1:])


def test_ctrl_c_ends_it_and_what_is_done_stays_done(place, monkeypatch):
    class Interrupted(Runner):
        def __call__(self, source, *rest):
            if source.stem == "01_second":
                raise KeyboardInterrupt
            super().__call__(source, *rest)

    monkeypatch.setattr(engine, "execute", Interrupted())
    before = sys.stdout
    with pytest.raises(KeyboardInterrupt):
        run_unattended(place, examine=lambda: 0)
    assert sys.stdout is before
    assert {k: v["status"] for k, v in runner.state(place.folder).items()} == {
        "00_first": "done",
        "01_second": "stopped",
    }


# ----------------------------------------------------------------------------------- the requirements


def test_profiles_of_paper_size_ask_for_a_gpu_and_more_of_all(monkeypatch, tmp_path):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    small, large = doctor.checks_for("smoke", tmp_path), doctor.checks_for("gpu", tmp_path)
    assert set(small) == set(doctor.CHECKS) and set(large) == {*doctor.CHECKS, "GPU"}
    finding = doctor.examine("GPU", large["GPU"])
    assert not finding.ok and "no CUDA device" in finding.detail and "--profile laptop" in finding.fix
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "small GPU")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (8e9, 12e9))
    finding = doctor.examine("GPU", large["GPU"])
    assert not finding.ok and finding.detail.startswith("8 of 12 GB are free on small GPU")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (140e9, 141e9))
    assert doctor.examine("GPU", large["GPU"]).detail == "small GPU, 140 GB free"
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: shutil_usage(free=50e9))
    assert doctor.examine("disk", small["disk"]).ok
    assert "stores and runs take" in doctor.examine("disk", large["disk"]).detail


def shutil_usage(free: float):
    """What shutil.disk_usage returns."""
    import shutil

    return shutil._ntuple_diskusage(100e9, 100e9 - free, free)
