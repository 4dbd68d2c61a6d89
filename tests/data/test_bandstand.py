"""The built-in world as a store: counts, seeds, frames, flow, and the same bytes whatever happens."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from llinet_lite.data import bandstand
from llinet_lite.data.bandstand import SPLITS, WORLD_SETS, MotionTable, WorldSet, build, build_motion
from llinet_lite.data.store import Store, StoreError, locked
from llinet_lite.world.instruments import INSTRUMENTS
from llinet_lite.world.scenes import Scene

SMALL = WorldSet("small", 16, 8000, 1.2, 1, train_share=0.01, unseen_share=0, held_out=1, mixed=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A world still smaller than tiny_store, built in this process."""
    return build(tmp_path_factory.mktemp("small") / "store", SMALL, workers=1, progress=False)


@pytest.fixture(scope="module")
def filmed(small, tmp_path_factory):
    """Its copy, with frames and flow of val and test."""
    store = copy_of(small, tmp_path_factory.mktemp("filmed") / "store")
    build_motion(store, ("val", "test"), workers=1, progress=False)
    return store


def copy_of(store: Store, folder) -> Store:
    shutil.copytree(store.folder, folder)
    return Store(folder)


def motion_bytes(store: Store) -> dict:
    return {(path.parent.name, path.name): path.read_bytes() for path in store.folder.glob("*/motion-*")}


# ------------------------------------------------------------------------ clips and plans


def test_full_counts_are_the_published_ones():
    plan = WORLD_SETS["laptop"]
    assert [len(plan.clips(split)) for split in SPLITS] == [2857, 480, 480, 747, 192, 192]
    for split in ("train", "unseen"):
        counts = Counter(take.label for take in plan.clips(split))
        assert counts == {k: r.count for k, r in enumerate(INSTRUMENTS) if r.seen == (split == "train")}
    assert set(Counter(take.label for take in plan.clips("val")).values()) == {20}
    assert plan.cost()[1] < 1e9 and WORLD_SETS["gpu"].cost()[1] < 6e9


@pytest.mark.parametrize("name", WORLD_SETS)
def test_no_scene_comes_up_twice(name):
    plans = WORLD_SETS[name], dataclasses.replace(WORLD_SETS[name], seed=1)
    seeds = [take.seed for plan in plans for split in SPLITS for take in plan.clips(split)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("split", ["scenes", "scenes_unseen"])
def test_mixed_scenes_are_balanced_and_stay_in_their_pool(split):
    takes = WORLD_SETS["laptop"].clips(split)
    pool = {row.name for row in INSTRUMENTS if row.seen == (split == "scenes")}
    counts = Counter((take.label, take.kind) for take in takes)
    assert len(set(counts.values())) == 1 and len(counts) == 4 * len(pool)
    for take in takes:
        name = INSTRUMENTS[take.label].name
        assert name in pool
        assert take.partner is None if take.kind == "silence" else take.partner in pool - {name}


@pytest.mark.parametrize(("fields", "message"), [
    ({"image_size": 0}, "WorldSet.image_size must"),
    ({"sample_rate": 16001}, "WorldSet.sample_rate must"),
    ({"seconds": 0.9}, "WorldSet.seconds must"),
    ({"imprint": 10.5}, "WorldSet.imprint must"),
    ({"seconds": 1.2, "frames": 20}, "has 5 frames, not 20"),
])  # fmt: skip
def test_settings_are_checked(fields, message):
    with pytest.raises(ValueError, match=message):
        WorldSet(**fields)


# ---------------------------------------------------------------------- images and sounds


def test_the_bytes_are_those_of_this_version(small):
    """Whoever changes what a seed gives raises WORLD_VERSION and records the new hash here."""
    assert bandstand.WORLD_VERSION == 2
    assert small.content_hash == "d83b2694262811f995cecbb0807b4d925ed885baa06c75ab5a7119eeb9ddb813"


def test_frames_lie_on_the_grid_with_a_second_around_them(tiny_store):
    for split in tiny_store.splits:
        time = tiny_store.images(split).time.astype(float)
        assert np.abs(time / 0.04 - np.rint(time / 0.04)).max() < 1e-4
        assert time.min() >= 0.5 and time.max() <= 1.5
        assert (np.diff(time.reshape(-1, 2), axis=1) > 0).all()
    assert WORLD_SETS["laptop"].grid[[0, -1]].tolist() == [13, 62]


@pytest.mark.parametrize(("split", "row"), [("train", 5), ("scenes", 0), ("scenes", 11), ("unseen", 2)])
def test_rows_are_the_scenes(tiny_store, split, row):
    images, sounds = tiny_store.images(split), tiny_store.sounds(split)
    facts = sounds.factors(row)
    scene = Scene(facts["name"], facts["seed"], sounds.kind[row], partner=facts["partner"], seconds=2.0)
    assert INSTRUMENTS[sounds.label[row]].name == facts["name"]
    np.testing.assert_array_equal(sounds.audio(row), scene.audio(0.0, 2.0, 16000))
    shown = np.flatnonzero(images.clip == row).tolist()
    assert len(shown) == 2
    for i in shown:
        t = float(images.time[i])
        assert np.abs(images.image(i).astype(int) - scene.frame(t, 40)).mean() < 6
        np.testing.assert_array_equal(images.objects(i), scene.objects(t, 40))


def test_two_processes_and_piecewise_building_give_the_same_bytes(tmp_path, small, capfd, monkeypatch):
    build(tmp_path / "s", SMALL, ["test"], workers=1, progress=False)
    assert list(Store(tmp_path / "s").splits) == ["test"]
    again = build(tmp_path / "s", SMALL, workers=2)
    said = capfd.readouterr().err
    assert "minutes: about" in said and "GB -> s\n" in said and str(tmp_path) not in said
    assert again.content_hash == small.content_hash
    again.verify()
    monkeypatch.setattr(bandstand, "render", None)  # finished: opened, not built
    assert build(tmp_path / "s", SMALL).content_hash == small.content_hash
    assert capfd.readouterr().err == ""


def test_killed_build_goes_on_and_ends_with_the_same_bytes(tmp_path, tiny_store):
    folder, plan = tmp_path / "s", "WorldSet('tiny', 40, 16000, 2.0, 2, 0.01, 0.02, held_out=1, mixed=3)"
    script = (
        f"from llinet_lite.data.bandstand import *\nbuild({str(folder)!r}, {plan}, workers=2, progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    until = time.monotonic() + 50
    while time.monotonic() < until and len(list(folder.glob("*/*.arrow"))) < 3:
        assert process.poll() is None, "the build ended before it could be killed"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "manifest.json").exists()
    whole = [
        path for path in folder.glob("*/images*") if Path(str(path).replace("images", "sounds")).exists()
    ]
    done = {path: path.stat().st_mtime_ns for path in whole}
    store = build(folder, eval(plan, vars(bandstand)), workers=1, progress=False)
    assert store.content_hash == tiny_store.content_hash
    assert done and all(path.stat().st_mtime_ns == written for path, written in done.items())


def test_what_cannot_be_built_is_refused_before_anything_starts(tmp_path, small, filmed, monkeypatch):
    assert list(small.splits) == ["train", "val", "test", "scenes", "scenes_unseen"]  # none that is empty
    with pytest.raises(ValueError, match=r"no clips in unseen: raise its share above 0"):
        build(tmp_path / "s", SMALL, ["unseen", "val"])
    with pytest.raises(ValueError, match="no split 'dev'"):
        build(tmp_path / "s", SMALL, ["dev"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Free", (), {"free": 10**3}))
    with pytest.raises(StoreError, match=r"4948 clips .*need about 0\.\d GB, 0.0 GB are free"):
        build(tmp_path / "s", WORLD_SETS["laptop"], progress=False)
    with pytest.raises(StoreError, match=r"32 clips .*need about 0\.0 GB, 0.0 GB are free"):
        build_motion(small, ["val"], progress=False)
    monkeypatch.setattr(bandstand, "WORLD_VERSION", bandstand.WORLD_VERSION + 1)
    with pytest.raises(StoreError, match=r"other settings .*imprint: .*world: .*delete"):
        build(small.folder, dataclasses.replace(SMALL, imprint=1.0), progress=False)


# ------------------------------------------------------------------------ frames and flow


def test_frames_and_flow_are_those_of_the_scene(tiny_store):
    """Against the scenes filmed here: every frame, and every field between the right two."""
    images, motion, limit = tiny_store.images("val"), MotionTable(tiny_store, "val"), 20 / 256 * 40
    assert motion.limit == limit and len(motion) == len(tiny_store.sounds("val"))
    np.testing.assert_array_equal(motion.image, bandstand.first_images(images))
    for clip in (0, 7, 19):
        facts = images.factors(motion.image[clip])
        scene = Scene(facts["name"], facts["seed"], facts["kind"], seconds=2.0)
        time = float(images.time[motion.image[clip]])
        frames = np.stack([scene.frame(time + k * 0.04, 40) for k in range(-12, 13)])
        assert motion.frames(clip).shape == (25, 40, 40, 3)
        np.testing.assert_array_equal(motion.frames(clip)[12], images.image(motion.image[clip]))
        assert np.abs(motion.frames(clip).astype(int) - frames).mean(axis=(1, 2, 3)).max() < 6
        flow = motion.flow(clip)
        assert flow.shape == (10, 2, 40, 40) and flow.dtype == np.int8
        expected = bandstand.optical_flow(frames[7:18]).clip(-limit, limit) / limit * 127
        assert np.abs(flow - expected).max() < 8 and np.abs(flow - expected).mean() < 0.6  # rounding, JPEG
    fastest = [np.abs(motion.flow(i).astype(float)).max() * limit / 127 for i in range(len(motion))]
    assert np.median(fastest) > 0.3  # pixels per frame


def test_flow_points_where_things_go_and_is_quantized_within_its_bounds():
    rng = np.random.default_rng(0)
    first = np.repeat(rng.integers(0, 256, (12, 12, 3), np.uint8), 6, 0).repeat(6, 1)
    frames = np.stack([np.roll(first, (2 * k, -k), (0, 1)) for k in range(4)])  # down 2, left 1
    flow = bandstand.optical_flow(frames)
    assert flow.shape == (3, 2, 72, 72) and flow.dtype == np.float32
    np.testing.assert_allclose(np.median(flow, axis=(2, 3)), [[-1, 2]] * 3, atol=0.1)
    speed = np.linspace(-5, 5, 1001)
    levels = bandstand.quantize(speed, 2.0)
    assert levels.dtype == np.int8 and levels.min() == -127 and levels.max() == 127
    np.testing.assert_allclose(levels * 2.0 / 127, speed.clip(-2, 2), atol=0.5 * 2 / 127 + 1e-9)


def test_first_images_in_any_order():
    class Table:
        clip, time = np.array([3, 0, 3, 1, 0, 3]), np.array([0.8, 0.6, 0.7, 0.5, 0.52, 0.9])

    assert bandstand.first_images(Table()).tolist() == [2, 3, 4]


def test_motion_leaves_the_store_as_it_was_and_its_bytes_do_not_depend_on_processes(
    tmp_path, small, filmed, monkeypatch
):
    assert (filmed.folder / "manifest.json").read_bytes() == (small.folder / "manifest.json").read_bytes()
    Store(filmed.folder).verify()
    store = copy_of(small, tmp_path / "s")
    build_motion(store, ("val", "test"), workers=2, progress=False)
    assert motion_bytes(store) == motion_bytes(filmed) and len(motion_bytes(store)) == 2
    monkeypatch.setattr(bandstand, "_film", None)  # what is built is not built again
    assert list(build_motion(store, ("val", "test"))) == ["val", "test"]


def test_a_film_goes_on_where_it_stopped(tmp_path, small, filmed, monkeypatch):
    store, film = copy_of(small, tmp_path / "s"), bandstand._film

    def stop(store, split, row):
        if split == "test":
            raise KeyboardInterrupt
        return film(store, split, row)

    monkeypatch.setattr(bandstand, "_film", stop)
    with pytest.raises(KeyboardInterrupt):
        build_motion(store, ("val", "test"), workers=1, progress=False)
    done = {path: path.stat().st_mtime_ns for path in store.folder.glob("*/motion-*.arrow")}
    assert {path.parent.name for path in done} == {"val"} and len(MotionTable(store, "val")) == 24
    with pytest.raises(StoreError, match=r'build them with build_motion\(store, \["test"\]\)'):
        MotionTable(store, "test")
    monkeypatch.setattr(bandstand, "_film", film)
    build_motion(store, ("val", "test"), workers=1, progress=False)
    assert motion_bytes(store) == motion_bytes(filmed)
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_motion_of_other_images_or_another_recipe_is_never_used(filmed, monkeypatch):
    store = Store(filmed.folder)
    store.splits["test"]["sha256"] = "another"
    monkeypatch.setitem(bandstand.RECIPE, "motion", 99)
    for other, split in ((store, "test"), (filmed, "val")):
        with pytest.raises(StoreError, match="no frames and no flow of these images"):
            MotionTable(other, split)


def test_what_cannot_be_filmed(tmp_path, photos, small, monkeypatch):
    for call in (lambda: build_motion(photos, ["train"]), lambda: MotionTable(photos, "train")):
        with pytest.raises(StoreError, match="photos do not move"):
            call()
    with pytest.raises(StoreError, match="no split 'rest'"):
        build_motion(small, ["rest"])
    store = copy_of(small, tmp_path / "s")
    with locked(store.folder), pytest.raises(StoreError, match="another process"):
        build_motion(store, ["val"], workers=1)
    monkeypatch.setattr(bandstand, "WORLD_VERSION", 99)
    with pytest.raises(StoreError, match="version 99 of the built-in world; this is version 2"):
        build_motion(store, ["val"])
