"""The command line: what each command writes, and that a mistake ends in a sentence and exit code 2."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from test_course import ENTRY, RECORD, notebook

from llinet_lite import __main__ as program
from llinet_lite.__main__ import joined, main
from llinet_lite.data import bandstand
from llinet_lite.data.store import Store, StoreError

COMMANDS = ("course", "world", "import", "results", "doctor")


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


def test_help_is_complete_and_imports_nothing_heavy(capsys):
    code = (
        "import sys; from llinet_lite.__main__ import app, main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.endswith("set()\n") and all(command in done.stdout for command in COMMANDS)
    assert llinet(capsys, "--version")[:2] == (0, "llinet-lite 0.1.0\n")


@pytest.mark.parametrize("command", [*COMMANDS, "world show", "world sheet", "world build"])
def test_every_command_explains_itself(capsys, command):
    code, out, _ = llinet(capsys, *command.split(), "--help")
    assert code == 0 and "Usage:" in out and len(out) > 200


def test_world_show_and_sheet(capsys, tmp_path):
    from llinet_lite.data.media import open_audio, open_image

    out = tmp_path / "new"
    code, said, _ = llinet(capsys, "world", "show", "violin", "--seed", 3, "--size", 64, "--out", out)
    assert code == 0 and f"{out / 'violin-solo-3'}.png" in said
    image, *_ = open_image(out / "violin-solo-3.png")
    sound = open_audio(out / "violin-solo-3.wav")
    assert image.shape == (64, 64, 3) and image.std() > 5
    assert sound.rate == 48_000 and len(sound.wave) == 144_000 and np.abs(sound.wave).max() > 0.01
    code, said, _ = llinet(capsys, "world", "sheet", "--out", tmp_path / "s.png", "--size", 32)
    page, *_ = open_image(tmp_path / "s.png")
    tiles = [page[32 * row :, 32 * column :][:32, :32] for row in range(4) for column in range(8)]
    assert code == 0 and "violin" in said and len({tile.tobytes() for tile in tiles}) == 32


def test_world_build_builds_a_damaged_shard_again_once_it_is_deleted(capsys, tmp_path, monkeypatch):
    plan = bandstand.WorldSet("smoke", 40, 8000, 1.2, 1, train_share=0, unseen_share=0, held_out=1, mixed=1)
    monkeypatch.setitem(bandstand.WORLD_SETS, "smoke", plan)
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    build = ("world", "build", "--profile", "smoke")
    assert llinet(capsys, *build)[0] == 0
    made = Store(next(tmp_path.glob("runs/data/bandstand*")))
    path = made.folder / "test" / "images-00000.arrow"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(StoreError, match=r"images-00000\.arrow: .*damaged.*delete it and build again"):
        made.images("test")
    path.unlink()
    assert llinet(capsys, *build)[0] == 0 and Store(made.folder).content_hash == made.content_hash
    Store(made.folder).verify()


@pytest.mark.parametrize(("arguments", "says"), [
    (["world", "show", "viola"], "no instrument 'viola' in the built-in world; did you mean violin?"),
    (["world", "show", "violin", "--kind", "duo"], "unknown kind of scene 'duo'; it must be one of"),
    (["world", "show", "violin", "--seed", "-1"], "seed"),
    (["world", "build", "--profile", "huge"], "no profile 'huge': choose one of smoke, laptop"),
    (["import", "/no/such/folder", "--out", "{tmp}/store"], "/no/such/folder"),
    (["import", "{tmp}", "--out", "{tmp}/store", "--unseen", "dog"], "holds no videos"),
    (["course", "-p", "nosuch", "1"], "takes each of these once: flip, rate"),
    (["course", "-p", "nosuch"], "give a name and a value, as in -p epochs 5"),
    (["course", "--data", "/no/such/folder"], "/no/such/folder does not exist"),
    (["results", "nosuch"], "results/nosuch keeps no results"),
    (["fiddle"], "No such command 'fiddle'"),
])  # fmt: skip
def test_a_mistake_ends_in_a_sentence_and_code_2(capsys, tmp_path, arguments, says):
    notebook(tmp_path / "notebooks", "00_x")
    if arguments[0] == "course":
        arguments = [*arguments, "--runs", tmp_path / "runs", "--notebooks", tmp_path / "notebooks"]
    code, _, err = llinet(capsys, *(str(text).replace("{tmp}", str(tmp_path)) for text in arguments))
    plain = " ".join(err.replace("\u2502", " ").split())
    assert code == 2 and says in plain and "Traceback" not in err, plain
    assert not (tmp_path / "runs").exists() and not (tmp_path / "store" / "manifest.json").exists()


def test_course_runs_with_its_parameters_and_fails_with_code_1(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    notebook(tmp_path / "notebooks", "00_x", RECORD, ENTRY, "assert steps < 9, 'too many'; steps")
    where = ["--runs", tmp_path / "mine", "--notebooks", tmp_path / "notebooks"]
    code, out, _ = llinet(capsys, "course", *where, "-p", "steps", 5, "--keep")
    assert code == 0 and f"index: {tmp_path / 'mine' / 'smoke' / 'index.html'}" in out
    executed = json.loads((tmp_path / "mine" / "smoke" / "00_x.ipynb").read_text())
    assert executed["cells"][-1]["outputs"][0]["data"]["text/plain"] == ["5"]
    code, out, _ = llinet(capsys, "results", "smoke")
    assert code == 0 and "| accuracy | 80.0 [70.0, 90.0] | 50.0 | 87.6 |" in out
    code, _, err = llinet(capsys, "course", *where, "-p", "steps=9")
    assert code == 1 and "AssertionError: too many" in err and "assert steps < 9" in err


def test_results_write_the_readme_and_say_what_held(capsys, tmp_path, monkeypatch, root):
    code, out, _ = llinet(capsys, "results", "--claims")
    assert code == 0 and out.count("| held |") >= 10
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    text = (root / "README.md").read_text("utf-8")
    (tmp_path / "README.md").write_text(text.replace("86.5", "12.3"), "utf-8")
    assert llinet(capsys, "results", "--write")[0] == 0
    assert (tmp_path / "README.md").read_text("utf-8") == text, "run `llinet results --write`"


def test_the_doctor_says_how_to_mend_what_fails(capsys, monkeypatch):
    lines = llinet(capsys, "doctor", "--profile", "smoke")[1].splitlines()
    names = ("Python", "torch set", "audio files", "video files", "device", "memory", "disk")
    assert all(line.startswith(f"OK    {name}") for line, name in zip(lines, names, strict=False)), lines
    monkeypatch.setattr(program, "TORCH", ("torch==0.1",))
    code, out, _ = llinet(capsys, "doctor", "--profile", "paper")
    assert code == 1 and "FAIL  torch set" in out and "fix: pip install torch==0.1" in out


def test_parameters_are_joined():
    assert joined(["-p", "a", "1", "-p", "b=2", "--keep"]) == ["-p", "a=1", "-p", "b=2", "--keep"]
    assert joined(["-p"]) == ["-p"] and joined(["-p", "a", "--keep"]) == ["-p", "a", "--keep"]


def test_a_mistake_shows_its_traceback_when_asked(tmp_path):
    command = [sys.executable, "-m", "llinet_lite", "results", "nosuch"]
    shown = subprocess.run(command, env=os.environ | {"LLINET_DEBUG": "1"}, capture_output=True, text=True)
    assert "Traceback" in shown.stderr
