"""The doctor: a line per requirement, a fix for each failure, and no failure that goes unseen."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from llinet_lite import doctor
from llinet_lite.doctor import Finding, Trouble, examine


@pytest.mark.parametrize(
    "name", [name for name in doctor.CHECKS if name not in ("Jupyter kernel", "memory", "disk", "device")]
)
def test_this_environment_is_well(name):
    finding = examine(name, doctor.CHECKS[name])
    assert finding.ok, str(finding)
    assert finding.detail and not finding.fix


@pytest.mark.slow
def test_the_kernel_is_this_python():
    assert examine("Jupyter kernel", doctor.check_kernel).ok


def test_a_line_per_requirement_and_an_exit_code(capsys):
    def ill() -> str:
        raise Trouble("the drum has a hole", "mend the drum")

    def bare() -> str:
        raise ImportError("No module named 'drum'")

    assert doctor.run({"violin": lambda: "in tune"}) == 0
    assert doctor.run({"violin": lambda: "in tune", "drum": ill, "sticks": bare}) == 1
    said = capsys.readouterr().out
    assert "all is well" in said and "2 of 3 failed" in said
    lines = [line.split(maxsplit=2) for line in said.splitlines() if line[:4] in ("OK  ", "FAIL")]
    assert [line[:2] for line in lines[1:]] == [["OK", "violin"], ["FAIL", "drum"], ["FAIL", "sticks"]]
    assert "the drum has a hole\n      fix: mend the drum\n" in said
    assert "No module named 'drum'\n      fix: make setup\n" in said


def test_every_requirement_of_the_course_is_looked_at():
    assert set(doctor.CHECKS) == {
        "Python",
        "torch set",
        "audio decoding",
        "video decoding",
        "device",
        "memory",
        "disk",
        "fonts",
        "Jupyter kernel",
    }
    assert str(Finding("a", True, "b")).startswith("OK ") and str(Finding("a", False, "b", "c"))[:4] == "FAIL"


@pytest.mark.parametrize("version", [(3, 10), (3, 14), (2, 7), (4, 0)])
def test_another_python_is_refused(version):
    with pytest.raises(Trouble, match=rf"this is Python {version[0]}\.{version[1]}") as trouble:
        doctor.check_python(version)
    assert "PYTHON=python3.12" in trouble.value.fix


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_these_pythons_are_fine(version):
    said = doctor.check_python(version)
    assert Path(sys.prefix).name in said and sys.prefix not in said  # no path of this machine


def test_the_torch_set_is_the_one_that_pyproject_pins(root):
    pinned = (root / "pyproject.toml").read_text(encoding="utf-8")
    for name, version in doctor.TORCH_SET.items():
        assert f'"{name}=={version}"' in pinned


@pytest.mark.parametrize(("found", "ok"), [("2.11.0", True), ("2.11.0+cpu", True), ("2.12.0", False)])
def test_a_torch_of_another_set_is_refused(monkeypatch, found, ok):
    real = doctor.metadata.version
    monkeypatch.setattr(doctor.metadata, "version", lambda name: found if name == "torch" else real(name))
    finding = examine("torch set", doctor.check_torch)
    assert finding.ok == ok
    assert ok or (found in finding.detail and finding.fix == doctor.TORCH_FIX)


def test_a_torch_that_does_not_load_is_named(monkeypatch):
    def broken(name):
        if name == "torchvision":
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name)

    real = doctor.importlib.import_module
    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    finding = examine("torch set", doctor.check_torch)
    assert not finding.ok and "torchvision does not load: operator" in finding.detail
    assert finding.fix.endswith("--force-reinstall")


def test_a_format_that_cannot_be_written_is_named(monkeypatch):
    import soundfile

    real = soundfile.write

    def write(file, data, rate, format):
        if format == "MP3":
            raise soundfile.LibsndfileError(26)
        return real(file, data, rate, format=format)

    monkeypatch.setattr(soundfile, "write", write)
    finding = examine("audio decoding", doctor.check_audio)
    assert not finding.ok and finding.detail.startswith("MP3") and "soundfile" in finding.fix


def test_sound_that_comes_back_as_another_pitch_is_found(monkeypatch):
    import soundfile

    real = soundfile.read
    monkeypatch.setattr(soundfile, "read", lambda file: (real(file)[0][::2], 16_000))
    assert "880 Hz" in examine("audio decoding", doctor.check_audio).detail


def test_too_little_memory_or_disk_is_a_failure(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "NEEDED_MEMORY", 1e6)
    assert "--profile smoke" in examine("memory", doctor.check_memory).fix
    said = doctor.check_disk(tmp_path / "not" / "there")
    assert said.endswith(" there") and str(tmp_path) not in said
    monkeypatch.setattr(doctor, "NEEDED_DISK", 1e9)
    assert "LLINET_RUNS" in examine("disk", lambda: doctor.check_disk(tmp_path)).fix


def test_a_folder_without_leave_to_write_is_a_failure(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.os, "access", lambda place, mode: False)
    finding = examine("disk", lambda: doctor.check_disk(tmp_path / "new"))
    assert f"{tmp_path} cannot be written to" in finding.detail and "LLINET_RUNS" in finding.fix


def test_a_gpu_that_torch_cannot_use_is_a_failure(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor.check_device().startswith("CPU")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "driver" in examine("device", doctor.check_device).fix


def test_missing_letters_are_a_failure(monkeypatch, tmp_path):
    from matplotlib import font_manager

    monkeypatch.setattr(font_manager, "findfont", lambda *args, **kwargs: str(tmp_path / "none.ttf"))
    assert "matplotlib finds no font" in examine("fonts", doctor.check_fonts).detail
    assert not Path(tmp_path / "none.ttf").exists()
