"""A lesson: its place, its settings, what it records, and the weights it publishes."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from llinet_lite.course import (
    PROFILES,
    CourseError,
    Lesson,
    profile_named,
    reference,
    runner,
    sources,
    stores,
)
from llinet_lite.course.record import as_entry, fault
from llinet_lite.results import Result


@pytest.fixture
def in_tmp(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("LLINET_RUNS", str(tmp_path))
    monkeypatch.setattr(sources, "WEIGHTS", tmp_path / "weights")
    return tmp_path


def result(**changes) -> Result:
    values = {"name": "accuracy", "value": 0.8, "low": 0.7, "high": 0.9, "chance": 0.5, "paper": 0.876}
    rest = {
        "unit": "",
        "seeds": (0,),
        "n": 10,
        "profile": "smoke",
        "data_hash": "",
        "device": "cpu",
        "minutes": 1,
    }
    return Result(**(values | rest | changes))


def test_lesson_places_and_settings(in_tmp):
    lesson = Lesson("01_x", profile="smoke", seeds=[3, 4])
    assert lesson.run_dir == in_tmp / "smoke" and lesson.folder == in_tmp / "smoke" / "01_x"
    assert lesson.settings.seeds == (3, 4) and PROFILES["smoke"].seeds == (0,)
    assert lesson.settings.bins == 129 and profile_named("gpu").bins == 257
    assert lesson.training_dir.parent == lesson.run_dir
    assert lesson.training_dir == Lesson("02_y", profile="smoke").training_dir, "lessons and seeds share it"
    assert lesson.training_dir.name != Lesson("01_x", profile="laptop").training_dir.name


def test_checkpoints_are_shared_by_runs_that_differ_in_length_only(in_tmp):
    plain = Lesson("01_x", profile="smoke").training_dir
    for name in ("epochs", "epochs_sampled", "epochs_ave", "epochs_avol", "epochs_motion", "epochs_vgg"):
        longer = Lesson("02_y", profile="smoke", overrides={name: 99})
        assert getattr(longer.settings, name) == 99 and longer.training_dir == plain
    for changes in ({"width": 12}, {"batch_size": 16}, {"learning_rate": 1e-4}, {"image_crop": 32}):
        assert Lesson("01_x", profile="smoke", overrides=changes).training_dir != plain


def test_checkpoints_are_named_after_the_code_that_trains(in_tmp, tmp_path):
    package = tmp_path / "package"
    trains = (
        "avc/task.py",
        "data/batches.py",
        "features/image.py",
        "models/avenet.py",
        "loop.py",
        "rivals/vgg.py",
    )
    shows = (
        "avc/search.py",
        "metrics/retrieval/graded.py",
        "rivals/cca.py",
        "show/heat.py",
        "course/lesson.py",
    )
    for name in trains + shows:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("x = 1\n")
        assert (sources.PACKAGE / name).is_file(), "a file of today's package"
    before = sources.training_hash(package)
    for name in trains + shows:
        (package / name).write_text("x = 2\n")
        assert (sources.training_hash(package) != before) == (name in trains), name
        (package / name).write_text("x = 1\n")
    assert sources.training_hash(package) == before


def test_lesson_records_and_replaces(in_tmp):
    lesson = Lesson("01_x", profile="smoke")
    lesson.record()
    assert runner.metrics(lesson.folder / "metrics.json")["results"] == []
    lesson.record(result(), result(name="other"))
    lesson.record(result(value=0.75))
    kept = runner.metrics(lesson.folder / "metrics.json")["results"]
    assert [(r["name"], r["value"]) for r in kept] == [("accuracy", 0.75), ("other", 0.8)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"value": float("inf")}, "finite"),
        ({"value": None}, "finite"),
        ({"value": 0.95}, "outside"),
        ({"value": 0.65}, "outside"),
        ({"low": None, "value": 7.0}, ""),
        ({"value": 0.9}, ""),
    ],
)
def test_what_is_wrong_with_an_entry(changes, says):
    entry = as_entry(result()) | changes
    assert says in fault(entry) and bool(says) == bool(fault(entry))
    assert "lacks chance, value" in fault({k: v for k, v in entry.items() if k not in ("chance", "value")})


def test_lesson_keeps_figures_with_their_alt_text(in_tmp):
    import matplotlib.pyplot as plt

    lesson = Lesson("01_x", profile="smoke")
    fig, ax = plt.subplots()
    ax.plot([0, 1])
    lesson.figure(fig, "line", "a line that rises from 0 to 1", show=False)
    assert (lesson.folder / "figures" / "line.png").stat().st_size > 1000
    assert json.loads((lesson.folder / "figures" / "figures.json").read_text()) == {
        "line": "a line that rises from 0 to 1"
    }
    assert not plt.get_fignums()


def test_reference_weights_come_back_and_are_checked(in_tmp):
    import torch
    from safetensors.torch import load_file

    state = torch.nn.Linear(3, 2).half().state_dict() | {"count": torch.tensor(3)}
    lesson = Lesson("01_x", profile="laptop", retrain=True, publish=True)
    path = lesson.publish("l3net-all", state, results=[result()], seed=5, minutes=1.5, note=["a"])
    card = lesson.card(path)
    assert card["minutes"] == 1.5 and card["note"] == ["a"] and card["seed"] == 5
    assert card["metrics"][0]["value"] == 0.8
    assert card["command"] == "llinet course --profile laptop --only 01 --retrain --publish"
    three = Lesson("01_x", profile="laptop", retrain=True, publish=True, seeds=3)
    assert lesson.card(three.publish("other", state, seed=0))["command"].endswith("--publish --seeds 3")
    for key, value in load_file(path).items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)  # dtype, too
    assert lesson.reference("l3net-all") is None, "retrain was asked for"
    assert Lesson("02_y", profile="laptop", retrain=True).reference("l3net-all") == path, "another lesson's"
    assert Lesson("02_y", profile="gpu", retrain=True).reference("l3net-all") is None
    assert Lesson("01_x", profile="laptop").reference("l3net-all") == path
    assert Lesson("01_x", profile="gpu").reference("l3net-all") is None, "other sizes"
    assert Lesson("01_x", profile="laptop").reference("nosuch") is None
    assert Lesson("01_x", profile="laptop", overrides={"width": 8}).reference("l3net-all") is None
    assert Lesson("01_x", profile="laptop", overrides={"width": 0}).reference("l3net-all") == path
    assert Lesson("01_x", profile="laptop").publish("third", state, seed=0) is None
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="not the file that its card describes"):
        Lesson("01_x", profile="laptop").reference("l3net-all")


def test_reference_weights_have_a_name_and_a_limit(in_tmp, monkeypatch):
    import torch

    with pytest.raises(ValueError, match="no name for weights"):
        reference.write("../x", {}, {})
    monkeypatch.setattr(reference, "LIMIT", 1000)
    with pytest.raises(ValueError, match="publish a smaller network"):
        reference.write("big", {"w": torch.zeros(1000)}, {})
    with pytest.raises(ValueError, match="an entry seed already"):
        reference.write("twice", {"w": torch.zeros(1)}, {"seed": 1}, {"seed": 2})
    for fact in (torch.zeros(1), float("nan")):
        with pytest.raises(ValueError, match="no JSON"):
            reference.write("odd", {"w": torch.zeros(1)}, {}, {"fact": fact})
    assert not list((in_tmp / "weights").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"epoch": 3}, "no 'epoch' to override: it has batch_size, embedding, epochs"),
        ({"name": "x"}, "no 'name' to override"),
        ({"epochs": 1.5}, "epochs is overridden by 1.5, must be of type int"),
        ({"width": True}, "width is overridden by True"),
        ({"width": -1}, "width is -1, must be 1 or more"),
        ({"image_crop": 4000}, "a crop of 4000 px out of 128 px"),
    ],
)
def test_overrides_are_checked(in_tmp, overrides, says):
    with pytest.raises(ValueError, match=says):
        Lesson("01_x", overrides=overrides)


def test_overrides_that_say_nothing_leave_the_profile(in_tmp):
    plain = Lesson("01_x", profile="laptop")
    same = Lesson(
        "01_x", profile="laptop", seeds=0, overrides={"epochs": 0, "width": 0, "learning_rate": 0.0}
    )
    assert same.settings == plain.settings and not same.overrides
    other = Lesson(
        "01_x", profile="laptop", seeds=2, overrides={"epochs": 7, "learning_rate": 1e-4, "width": 0}
    )
    assert (other.settings.epochs, other.settings.width) == (7, plain.settings.width)
    assert (other.settings.learning_rate, other.settings.seeds) == (1e-4, (0, 1))
    assert other.training_dir.name != plain.training_dir.name
    assert PROFILES["laptop"].epochs == plain.settings.epochs, "the profile itself is untouched"


def test_own_data_have_the_splits_they_have(in_tmp, monkeypatch):
    from types import SimpleNamespace

    from llinet_lite.course import stores

    store = SimpleNamespace(folder=in_tmp, splits={"train": {}, "val": {}}, content_hash="abc")
    monkeypatch.setattr(stores, "own", lambda path, settings: store)
    lesson = Lesson("01_x", data=in_tmp)
    assert not lesson.is_world and Lesson("01_x").is_world
    assert lesson.data_hash == ""
    assert lesson.store(("train",)) is store and lesson.data_hash == "abc"
    with pytest.raises(CourseError, match="has no split test, which 01_x needs; it has train, val"):
        lesson.store(("train", "test"))
    with pytest.raises(CourseError, match="imprint can be set for the built-in world only"):
        lesson.store(imprint=1.0)


def test_the_world_is_built_whole_so_that_its_hash_stays(in_tmp, monkeypatch):
    from types import SimpleNamespace

    from llinet_lite.data import bandstand

    def build(folder, plan, splits=None, workers=None):
        names = splits or bandstand.SPLITS
        return SimpleNamespace(folder=folder, splits=names, content_hash=f"{plan.imprint} {names}")

    monkeypatch.setattr(bandstand, "build", build)
    monkeypatch.setenv("LLINET_CACHE", str(in_tmp / "cache"))
    lesson = Lesson("01_x", profile="smoke")
    first = lesson.store(("val",))
    assert lesson.store(("test",)).content_hash == first.content_hash == lesson.data_hash
    assert first.folder.parent == in_tmp / "cache"
    other = lesson.store(imprint=1.0)
    assert other.folder != first.folder and other.content_hash != lesson.data_hash == first.content_hash


def test_publishing_needs_retraining_on_the_built_in_world(in_tmp):
    with pytest.raises(CourseError, match="publish goes with retrain=True"):
        Lesson("01_x", publish=True)
    with pytest.raises(CourseError, match="publish goes with retrain=True"):
        Lesson("01_x", publish=True, retrain=True, data=in_tmp)
    with pytest.raises(CourseError, match="publish goes with retrain=True"):
        Lesson("01_x", publish=True, retrain=True, overrides={"epochs": 3})
    with pytest.raises(CourseError, match="profile laptop as it is"):
        Lesson("01_x", publish=True, retrain=True, profile="gpu")
    with pytest.raises(CourseError, match="does not exist"):
        Lesson("01_x", data=in_tmp / "nosuch")


def test_the_cost_box_has_a_row_per_profile(in_tmp):
    box = Lesson("01_x", profile="smoke").cost_box().data
    assert [line.split("`")[1] for line in box.splitlines()[2:]] == list(PROFILES)


def test_profiles_are_those_of_the_course():
    assert list(PROFILES) == ["smoke", "laptop", "gpu", "paper"]
    shapes = {name: (p.image_crop, p.bins, p.frames, p.sample_rate) for name, p in PROFILES.items()}
    assert shapes["smoke"] == (64, 129, 100, 16_000) and shapes["laptop"] == (112, 129, 100, 16_000)
    assert shapes["gpu"] == shapes["paper"] == (224, 257, 200, 48_000)


def test_two_lessons_that_need_the_same_store_build_it_once(tmp_path, monkeypatch, capsys):
    from llinet_lite.data import bandstand

    inside, leave, built = threading.Event(), threading.Event(), []

    def build(target, plan, workers):
        built.append(target)
        inside.set()
        leave.wait(30)

    monkeypatch.setattr(bandstand, "build", build)
    settings = profile_named("smoke")
    lessons = [
        threading.Thread(target=stores.world, args=(settings,), kwargs={"folder": tmp_path / "store"})
        for _ in range(2)
    ]
    lessons[0].start()
    assert inside.wait(30)
    lessons[1].start()
    said, deadline = "", time.monotonic() + 30
    while "waiting" not in said and time.monotonic() < deadline:
        said += capsys.readouterr().out
        time.sleep(0.05)
    assert f"another process is at work in {tmp_path / 'store'}" in said and len(built) == 1
    leave.set()
    for lesson in lessons:
        lesson.join(30)
    assert len(built) == 2, "the second asks again, and finds what the first built"
    assert not (tmp_path / "store").exists(), "nothing but the builder makes the folder"
