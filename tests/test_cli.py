"""The command line: what each command writes, and that a mistake ends in a sentence and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from llinet_lite.__main__ import joined, main

COMMANDS = ("doctor", "world", "import", "course", "report", "bench")


def llinet(capsys, *arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process; return its exit code and what it said."""
    capsys.readouterr()
    try:
        main([str(argument) for argument in arguments])
        code = 0
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_help_is_quick_and_complete():
    times = []
    for _ in range(3):
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "llinet_lite", "--help"], capture_output=True, text=True)
        times.append(time.monotonic() - began)
    assert done.returncode == 0 and all(command in done.stdout for command in COMMANDS)
    assert min(times) < 3, f"llinet --help takes {min(times):.1f} s: something heavy is imported"


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from llinet_lite import __main__; print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("command", [*COMMANDS, "world show", "world sheet", "world build"])
def test_every_command_explains_itself(capsys, command):
    code, out, _ = llinet(capsys, *command.split(), "--help")
    assert code == 0 and "Usage:" in out and len(out) > 200


def test_version(capsys):
    assert llinet(capsys, "--version")[:2] == (0, "llinet-lite 0.1.0\n")


def test_world_show_writes_a_picture_and_a_sound(capsys, tmp_path):
    from llinet_lite.data.media import read_audio, read_image

    code, out, _ = llinet(
        capsys, "world", "show", "violin", "--seed", 3, "--size", 64, "--out", tmp_path / "new"
    )
    assert code == 0
    stem = tmp_path / "new" / "violin-solo-3"
    assert f"{stem}.png" in out and f"{stem}.wav" in out
    image = read_image(f"{stem}.png")
    sound, rate = read_audio(f"{stem}.wav")
    assert image.shape == (64, 64, 3) and image.std() > 5
    assert rate == 48_000 and len(sound) == 144_000 and np.abs(sound).max() > 0.01


def test_world_sheet_writes_all_32_with_their_names(capsys, tmp_path):
    from llinet_lite.data.media import read_image

    code, out, _ = llinet(capsys, "world", "sheet", "--out", tmp_path / "s.png", "--size", 32, "--sounds")
    assert code == 0 and "32 instruments" in out
    for name in ("s.png", "s-sounds.png"):
        page = read_image(tmp_path / name)
        tiles = [page[6 + row * 50 :, 6 + column * 38 :][:32, :32] for row in range(4) for column in range(8)]
        assert len({tile.tobytes() for tile in tiles}) == 32 and all(tile.std() > 5 for tile in tiles)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["world", "show", "viola"], "there is no instrument 'viola': did you mean violin? Choose one of"),
        (["world", "show", "Violin"], "did you mean violin"),
        (["world", "show", "xyz"], "there is no instrument 'xyz': Choose one of accordion"),
        (["world", "show", "violin", "--kind", "duo"], "there is no kind of scene 'duo': did you mean"),
        (["world", "show", "violin", "--seed", "-1"], "seed"),
        (["world", "build", "--profile", "huge"], "no profile 'huge': choose one of smoke, laptop"),
        (["import", "/no/such/folder", "--out", "{tmp}/store"], "/no/such/folder"),
        (["course", "--only", "77"], "there is no notebook '77'"),
        (["course", "-p", "nosuch", "1"], "Valid parameters:"),
        (["course", "-p", "nosuch"], "give a name and a value, as in -p epochs 5"),
        (["course", "-p", "profile", "gpu"], "--profile"),
        (["course", "--data", "/no/such/folder"], "/no/such/folder does not exist"),
        (["course", "--publish"], "--publish goes with --retrain"),
        (["report", "--folder", "{tmp}"], "holds no run"),
        (["fiddle"], "No such command 'fiddle'"),
    ],
)
def test_a_mistake_ends_in_a_sentence_and_code_2(capsys, tmp_path, notebooks, arguments, says):
    if arguments[0] == "course":
        arguments = [*arguments, "--runs", tmp_path / "runs", "--notebooks", notebooks]
    code, _, err = llinet(capsys, *(str(text).replace("{tmp}", str(tmp_path)) for text in arguments))
    plain = " ".join(err.replace("\u2502", " ").split())
    assert code == 2 and says in plain, plain
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists() and not (tmp_path / "store" / "manifest.json").exists()


@pytest.fixture
def notebooks(tmp_path):
    """A course of one notebook that needs no package."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    folder = tmp_path / "notebooks"
    folder.mkdir()
    parameters = 'profile = "smoke"\nseeds = 1\nepochs = 0'
    cells = [
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        new_code_cell(
            "import json, os, pathlib\n"
            "folder = pathlib.Path(os.environ['LLINET_RUNS'], profile, '00_x')\n"
            "folder.mkdir(parents=True, exist_ok=True)\n"
            "(folder / 'metrics.json').write_text(json.dumps({'results': []}))\n"
            "print(seeds, epochs)\n"
            "assert epochs < 9, 'too many'"
        ),
    ]
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / "00_x.ipynb")
    return folder


def test_course_runs_with_its_parameters_and_fails_with_code_1(capsys, tmp_path, notebooks):
    where = ["--runs", tmp_path / "runs", "--notebooks", notebooks]
    code, out, _ = llinet(capsys, "course", *where, "--seeds", 3, "-p", "epochs", 5)
    assert code == 0 and f"report: {tmp_path / 'runs' / 'smoke' / 'report.html'}" in out
    executed = json.loads((tmp_path / "runs" / "smoke" / "00_x.ipynb").read_text())
    assert executed["cells"][-1]["outputs"][0]["text"] == ["3 5\n"]
    code, out, _ = llinet(capsys, "report", "--folder", tmp_path / "runs" / "smoke")
    assert code == 0 and "report.html" in out
    code, _, err = llinet(capsys, "course", *where, "-p", "epochs=9")
    assert code == 1 and "AssertionError: too many" in err and "assert epochs < 9" in err


def test_import_packs_a_folder_and_says_what_it_left_out(capsys, tmp_path):
    from llinet_lite.data import media
    from llinet_lite.data.store import Store

    rng = np.random.default_rng(0)
    for name in ("bell", "harp"):
        for role in ("sound", "video"):
            (tmp_path / "mine" / "train" / name / role).mkdir(parents=True)
        for k in range(4):
            media.write_image(
                tmp_path / f"mine/train/{name}/video/{name}{k}.png",
                rng.integers(0, 255, (40, 40, 3), np.uint8),
            )
            sound = rng.uniform(-0.5, 0.5, 24_000)
            media.write_audio(tmp_path / f"mine/train/{name}/sound/{name}{k}.wav", sound, 16_000)
    (tmp_path / "mine/train/bell/video/bell9.jpg").write_bytes(b"no picture")
    store = tmp_path / "store"
    code, out, err = llinet(
        capsys,
        "import",
        tmp_path / "mine",
        "--out",
        store,
        "--sample-rate",
        16000,
        "--image-size",
        32,
        "--workers",
        1,
    )
    assert code == 0, err
    assert f"{store}: train" in out and "1 files left out" in out and "left out: 1" in err
    manifest = Store(store).manifest
    assert (
        manifest["excluded"][0]["file"] == "train/bell/video/bell9.jpg" and manifest["sample_rate"] == 16_000
    )


def test_build_makes_the_store_of_a_profile(capsys, tmp_path, monkeypatch):
    from llinet_lite.data import bandstand

    tiny = bandstand.WorldSet("smoke", 16, 8000, 1.2, 1, 0.0001, 0.0001, held_out=1, mixed=1)
    monkeypatch.setitem(bandstand.WORLD_SETS, "smoke", tiny)
    command = ("world", "build", "--profile", "smoke", "--out", tmp_path / "store", "--workers", 1)
    code, out, err = llinet(capsys, *command)
    assert code == 0, err
    assert f"{tmp_path / 'store'}: train 24 images 24 sounds" in out
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.arrow")}
    assert llinet(capsys, *command)[0] == 0
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.arrow")} == before


def test_bench_writes_its_table(capsys, tmp_path, monkeypatch):
    from llinet_lite import bench

    calls = []
    monkeypatch.setattr(bench, "run", lambda **how: calls.append(how) or ["a row"])
    monkeypatch.setattr(bench, "save", lambda rows, path: path.write_text(json.dumps(rows)))
    code, out, _ = llinet(capsys, "bench", "--quick", "--out", tmp_path / "new")
    assert code == 0 and calls == [{"quick": True, "full": False}] and "bench.json: 1 rows" in out
    assert (tmp_path / "new" / "bench.json").is_file()


def test_doctor_leaves_with_its_exit_code(capsys, monkeypatch):
    from llinet_lite import doctor

    monkeypatch.setattr(doctor, "run", lambda: 1)
    assert llinet(capsys, "doctor")[0] == 1


def test_debug_shows_the_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "llinet_lite", "world", "show", "viola"],
        env=os.environ | {"LLINET_DEBUG": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 and "Traceback" in done.stderr


def test_p_takes_a_name_and_a_value():
    assert joined(["course", "-p", "epochs", "5", "-p", "x=1", "--only", "01"]) == [
        "course", "-p", "epochs=5", "-p", "x=1", "--only", "01"
    ]  # fmt: skip
    assert joined(["course", "-p"]) == ["course", "-p"]
    assert joined(["-p", "rate", "-1"]) == ["-p", "rate=-1"]
