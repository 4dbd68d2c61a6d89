"""The built-in world as a store: counts, seeds, and the same bytes whatever happens on the way."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from data_fakes import TINY

from llinet_lite.data import bandstand
from llinet_lite.data.bandstand import SPLITS, WORLD_SETS, WorldSet, build, store_folder
from llinet_lite.data.store import Store, StoreError
from llinet_lite.world.instruments import INSTRUMENTS
from llinet_lite.world.scenes import Scene


def test_full_counts_are_the_published_ones():
    plan = WORLD_SETS["laptop"]
    assert [len(plan.clips(split)) for split in SPLITS] == [2857, 480, 480, 747, 192, 192]
    for split in ("train", "unseen"):
        counts = Counter(take.label for take in plan.clips(split))
        assert counts == {k: r.count for k, r in enumerate(INSTRUMENTS) if r.seen == (split == "train")}
    assert set(Counter(take.label for take in plan.clips("val")).values()) == {20}


@pytest.mark.parametrize("name", WORLD_SETS)
def test_no_scene_comes_up_twice(name):
    plan = WORLD_SETS[name]
    seeds = [take.seed for split in SPLITS for take in plan.clips(split)]
    other = dataclasses.replace(plan, seed=1)
    seeds += [take.seed for split in SPLITS for take in other.clips(split)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("split", ["scenes", "scenes_unseen"])
def test_mixed_scenes_are_balanced_and_stay_in_their_pool(split):
    takes = WORLD_SETS["laptop"].clips(split)
    pool = {row.name for row in INSTRUMENTS if row.seen == (split == "scenes")}
    counts = Counter((take.label, take.kind) for take in takes)
    assert len(set(counts.values())) == 1 and len(counts) == 4 * len(pool)
    for take in takes:
        assert INSTRUMENTS[take.label].name in pool
        if take.kind == "silence":
            assert take.partner is None
        else:
            assert take.partner in pool - {INSTRUMENTS[take.label].name}


def test_frames_lie_on_the_grid_with_a_second_around_them(tiny):
    for split in tiny.splits:
        time = tiny.images(split).time.astype(float)
        assert np.abs(time / 0.04 - np.rint(time / 0.04)).max() < 1e-4
        assert time.min() >= 0.5 and time.max() <= TINY.seconds - 0.5
        assert (np.diff(time.reshape(-1, TINY.frames), axis=1) > 0).all()
    assert WORLD_SETS["laptop"].grid[[0, -1]].tolist() == [13, 62]


@pytest.mark.parametrize(("split", "row"), [("train", 5), ("scenes", 0), ("scenes", 11), ("unseen", 2)])
def test_rows_are_the_scenes(tiny, split, row):
    images, sounds = tiny.images(split), tiny.sounds(split)
    facts = sounds.factors(row)
    own = {"partner": facts["partner"], "seconds": TINY.seconds}
    scene = Scene(facts["name"], facts["seed"], sounds.kind[row], **own)
    assert INSTRUMENTS[sounds.label[row]].name == facts["name"]
    np.testing.assert_array_equal(sounds.audio(row), scene.audio(0.0, TINY.seconds, TINY.sample_rate))
    shown = np.flatnonzero(images.clip == row).tolist()
    assert len(shown) == TINY.frames
    for i in shown:
        t = float(images.time[i])
        frame = scene.frame(t, TINY.image_size)
        assert np.abs(images.image(i).astype(int) - frame).mean() < 6
        np.testing.assert_array_equal(images.objects(i), scene.objects(t, TINY.image_size))


def test_all_kinds_are_there(tiny):
    assert set(tiny.images("scenes").kind) == {"duet", "distractor", "offscreen", "silence"}
    assert set(tiny.images("train").kind) == {"solo"}
    assert not tiny.sounds("scenes").factors(9).get("cast", [{}])[0].get("sounding", False)


def test_two_processes_and_piecewise_building_give_the_same_bytes(tmp_path, tiny, capfd):
    build(tmp_path / "s", TINY, ["test"], workers=1, progress=False)
    assert list(Store(tmp_path / "s").splits) == ["test"]
    again = build(tmp_path / "s", TINY, workers=2)
    said = capfd.readouterr().err
    assert "GB and" in said and "2 processes" in said and "clips/s, done in" in said and "\r" not in said
    assert again.content_hash == tiny.content_hash
    for split, facts in tiny.splits.items():
        assert again.splits[split]["sha256"] == facts["sha256"]
    again.verify()


def test_a_finished_store_is_opened_not_built(tiny, monkeypatch, capfd):
    monkeypatch.setattr(bandstand, "render", None)
    assert build(tiny.folder, TINY).content_hash == tiny.content_hash
    assert capfd.readouterr().err == ""


def test_killed_build_goes_on_and_ends_with_the_same_bytes(tmp_path, tiny):
    folder = tmp_path / "s"
    arguments = f"{str(folder)!r}, {TINY!r}, workers=2, progress=False"
    script = f"from llinet_lite.data.bandstand import *\nbuild({arguments})"
    process = subprocess.Popen([sys.executable, "-c", script])
    until = time.monotonic() + 50
    while time.monotonic() < until and len(list(folder.glob("*/*.arrow"))) < 3:
        assert process.poll() is None, "the build ended before it could be killed"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # the workers notice and end
    done = {path: path.stat().st_mtime_ns for path in folder.glob("*/*.arrow")}
    assert len(done) >= 3 and not (folder / "manifest.json").exists()
    store = build(folder, TINY, workers=1, progress=False)
    assert store.content_hash == tiny.content_hash
    whole = [path for path in done if path.with_name(path.name.replace("images", "sounds")) in done]
    assert whole and all(path.stat().st_mtime_ns == done[path] for path in whole)
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize("change", [{"imprint": 1.0}, {"seed": 1}, {"image_size": 40}])
def test_other_settings_are_never_mixed(tiny, change):
    with pytest.raises(StoreError, match=f"other settings .*{next(iter(change))}: .*rebuild"):
        build(tiny.folder, dataclasses.replace(TINY, **change), progress=False)


def test_another_version_of_the_world_is_another_plan(tiny, monkeypatch):
    monkeypatch.setattr(bandstand, "WORLD_VERSION", bandstand.WORLD_VERSION + 1)
    with pytest.raises(StoreError, match="world: "):
        build(tiny.folder, TINY, progress=False)


def test_imprint_changes_the_sound_only():
    take = TINY.clips("train")[3]
    plain = bandstand.render(TINY, "train", 3, take)
    marked = bandstand.render(dataclasses.replace(TINY, imprint=1.0), "train", 3, take)
    assert [row["jpeg"] for row in plain[0]] == [row["jpeg"] for row in marked[0]]
    assert [row["time"] for row in plain[0]] == [row["time"] for row in marked[0]]
    trace = np.frombuffer(marked[1]["audio"], "<i2").astype(int) - np.frombuffer(plain[1]["audio"], "<i2")
    assert trace.any() and np.abs(trace).max() < 1000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_size", 0),
        ("sample_rate", 16001),
        ("seconds", 0.9),
        ("frames", 0),
        ("seed", -1),
        ("imprint", 10.5),
    ],
)
def test_settings_are_checked(field, value):
    with pytest.raises(ValueError, match=f"WorldSet.{field} must"):
        WorldSet(**{field: value})


def test_more_frames_than_there_are():
    with pytest.raises(ValueError, match="has 5 frames, not 20"):
        WorldSet(seconds=1.2, frames=20)


def test_small_disk_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(bandstand.shutil, "disk_usage", lambda _: type("Free", (), {"free": 10**6}))
    with pytest.raises(StoreError, match=r"4948 clips need about 0\.\d GB, 0.0 GB are free"):
        build(tmp_path / "s", WORLD_SETS["laptop"], progress=False)


def test_unknown_split(tmp_path):
    with pytest.raises(ValueError, match="no split 'dev'"):
        build(tmp_path / "s", TINY, ["dev"])


def test_a_split_without_clips_is_left_out(tmp_path, capfd, monkeypatch):
    plan = dataclasses.replace(TINY, train_share=0.0, unseen_share=0.0, mixed=1)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"no clips in train: raise train_share above 0"):
        build("s", plan, ["train", "val"], workers=1)
    assert not (tmp_path / "s" / "manifest.json").exists()
    store = build("s", plan, workers=1)
    assert list(store.splits) == ["val", "test", "scenes", "scenes_unseen"]
    said = capfd.readouterr().err
    assert "(val, test, scenes, scenes_unseen)" in said and "-> s\n" in said
    assert build(tmp_path / "s", plan).content_hash == store.content_hash  # opened, not built


@pytest.mark.parametrize(
    ("folder", "seen"),
    [("a/b", "a/b"), ("../c", "../c"), ("../../d/e", "e"), ("../../../f", "f"), (".", ".")],
)
def test_what_is_announced_names_no_path_of_one_machine(tmp_path, monkeypatch, folder, seen):
    here = tmp_path / "up" / "here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert bandstand._nearby(here / folder) == seen
    assert bandstand._nearby(folder) == seen


def test_estimates_keep_the_promised_sizes():
    assert WORLD_SETS["laptop"].estimate()[1] < 1.0
    assert WORLD_SETS["gpu"].estimate()[1] < 6.0
    assert str(store_folder("c", WorldSet("laptop", seed=3))).endswith("bandstand-laptop-seed=3")
