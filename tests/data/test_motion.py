"""Frames and flow beside a store: what they show, how they are built, and the batches made of them."""

import json
import pickle
import shutil

import filelock
import numpy as np
import pytest
import torch
from data_fakes import TINY, fake_store
from torch.utils.data import DataLoader

from llinet_lite.data import motion as module
from llinet_lite.data.batches import EvaluationSet, PairBatches, evaluation_pairs
from llinet_lite.data.flow import optical_flow, quantise
from llinet_lite.data.motion import Motion, build_motion, first_pictures
from llinet_lite.data.store import Store
from llinet_lite.data.tables import StoreError, open_table
from llinet_lite.world.instruments import INSTRUMENTS
from llinet_lite.world.scenes import Scene

SPLITS = ("val", "test")
MOVING = ("middle", "frames", "flow")


def copy_of(store: Store, folder) -> Store:
    shutil.copytree(store.folder, folder)
    return Store(folder)


@pytest.fixture(scope="module")
def moving(tiny, tmp_path_factory):
    """The tiny world with frames and flow of two splits, built in this process."""
    store = copy_of(tiny, tmp_path_factory.mktemp("moving") / "store")
    build_motion(store, SPLITS, workers=1, progress=False)
    return store


def recorded(store: Store) -> dict:
    return json.loads((store.folder / "motion.json").read_text("utf-8"))


def pairs(store, view, **settings):
    settings = {"batch_size": 8, "image_crop": 26, "seconds": 0.5, "seed": 5, **settings}
    return PairBatches(store, "test", view=view, **settings)


# ------------------------------------------------------------- what it shows


def test_the_middle_frame_is_the_first_stored_picture_of_the_clip(moving):
    images, motion = moving.images("test"), Motion(moving, "test")
    assert len(motion) == len(moving.sounds("test"))
    for clip in range(len(motion)):
        own = np.flatnonzero(images.clip == clip)
        assert motion.image[clip] == own[images.time[own].argmin()]
        frames = motion.frames(clip)
        assert frames.shape == (25, 32, 32, 3) and frames.dtype == np.uint8
        np.testing.assert_array_equal(frames[12], images.image(motion.image[clip]))


def test_frames_and_flow_are_those_of_the_scene(moving):
    """Against the scenes of the plan, filmed here: every frame, and every field between the right two."""
    motion, limit = Motion(moving, "val"), 20 / 256 * 32
    assert motion.limit == limit
    for clip in (0, 7, 19):
        take = TINY.clips("val")[clip]
        scene = Scene(INSTRUMENTS[take.label].name, take.seed, take.kind, seconds=TINY.seconds)
        time = float(moving.images("val").time[motion.image[clip]])
        frames = np.stack([scene.frame(time + k * 0.04, 32) for k in range(-12, 13)])
        assert np.abs(motion.frames(clip).astype(int) - frames).mean(axis=(1, 2, 3)).max() < 6
        flow = motion.flow(clip)
        assert flow.shape == (10, 2, 32, 32) and flow.dtype == np.int8
        expected = optical_flow(frames[7:18]).clip(-limit, limit) / limit * 127
        assert np.abs(flow - expected).max() < 8 and np.abs(flow - expected).mean() < 0.6  # rounding, JPEG


def test_something_moves(moving):
    motion = Motion(moving, "test")
    fastest = [np.abs(motion.flow(i).astype(float)).max() * motion.limit / 127 for i in range(len(motion))]
    assert np.median(fastest) > 0.3  # pixels per frame
    changes = [np.ptp(motion.frames(i), axis=0).max() for i in range(len(motion))]
    assert (
        np.median(changes) > 60
    )  # grey levels, where most changes; sensor noise alone spans less than 40 nearly everywhere


def test_flow_points_where_things_go():
    rng = np.random.default_rng(0)
    first = np.repeat(rng.integers(0, 256, (12, 12, 3), np.uint8), 6, 0).repeat(6, 1)
    frames = np.stack([np.roll(first, (2 * k, -k), (0, 1)) for k in range(4)])  # down 2, left 1
    flow = optical_flow(frames)
    assert flow.shape == (3, 2, 72, 72) and flow.dtype == np.float32
    np.testing.assert_allclose(np.median(flow, axis=(2, 3)), [[-1, 2]] * 3, atol=0.1)


def test_quantised_flow_is_near_and_bounded():
    flow = np.linspace(-5, 5, 1001)
    levels = quantise(flow, 2.0)
    assert levels.dtype == np.int8 and levels.min() == -127 and levels.max() == 127
    np.testing.assert_allclose(levels * 2.0 / 127, flow.clip(-2, 2), atol=0.5 * 2 / 127 + 1e-9)


def test_first_pictures_in_any_order(fake):
    class Table:
        clip, time = np.array([3, 0, 3, 1, 0, 3]), np.array([0.8, 0.6, 0.7, 0.5, 0.52, 0.9])

    assert first_pictures(Table()).tolist() == [2, 3, 4]
    rows = first_pictures(fake.images("train"))
    assert rows.tolist() == list(range(0, len(fake.images("train")), 3))


# ------------------------------------------------------------- how it is built


def test_the_store_stays_as_it_was(moving, tiny):
    assert (moving.folder / "manifest.json").read_bytes() == (tiny.folder / "manifest.json").read_bytes()
    again = Store(moving.folder)
    again.verify()
    assert again.content_hash == tiny.content_hash


def test_two_processes_give_the_same_and_say_what_they_do(tmp_path, tiny, moving, capfd):
    store = copy_of(tiny, tmp_path / "s")
    motion = build_motion(store, SPLITS, workers=2)
    said = capfd.readouterr().err
    clips = sum(len(part) for part in motion.values())
    assert f"{clips} clips (val, test), about 0.0" in said and "2 processes" in said
    assert f"{clips} of {clips} clips" in said and str(tmp_path) not in said
    assert recorded(store)["splits"] == recorded(moving)["splits"]
    for part in motion.values():
        part.verify()


def test_what_is_built_is_not_built_again(moving, monkeypatch, capfd):
    monkeypatch.setattr(module, "_film", None)
    assert list(build_motion(moving, SPLITS)) == list(SPLITS)
    assert capfd.readouterr().err == ""


def test_a_build_goes_on_where_it_stopped(tmp_path, tiny, moving, monkeypatch):
    store, film = copy_of(tiny, tmp_path / "s"), module._film

    def stop(store, split, row):
        if split == "test":
            raise KeyboardInterrupt
        return film(store, split, row)

    monkeypatch.setattr(module, "_film", stop)
    with pytest.raises(KeyboardInterrupt):
        build_motion(store, SPLITS, workers=1, progress=False)
    done = {path: path.stat().st_mtime_ns for path in store.folder.glob("*/motion-*.arrow")}
    assert {path.parent.name for path in done} == {"val"}
    with pytest.raises(StoreError, match="build them with build_motion"):
        Motion(store, "val")
    monkeypatch.setattr(module, "_film", film)
    build_motion(store, SPLITS, workers=1, progress=False)
    assert recorded(store)["splits"] == recorded(moving)["splits"]
    assert {path: path.stat().st_mtime_ns for path in done} == done


@pytest.mark.parametrize("change", ["pictures", "recipe"])
def test_motion_of_other_pictures_or_another_recipe_is_never_used(tmp_path, moving, change):
    store, facts = copy_of(moving, tmp_path / "s"), recorded(moving)
    (facts["splits"]["test"] if change == "pictures" else facts["recipe"])[change] = "another"
    (store.folder / "motion.json").write_text(json.dumps(facts), "utf-8")
    with pytest.raises(StoreError, match="no frames and no flow of these pictures"):
        Motion(store, "test")
    shard = store.folder / "test" / "motion-00000.arrow"
    written = shard.stat().st_mtime_ns
    build_motion(store, ["test"], workers=1, progress=False)["test"].verify()
    assert shard.stat().st_mtime_ns > written
    assert recorded(store)["splits"]["test"] == recorded(moving)["splits"]["test"]


def test_verify_finds_a_changed_byte_and_a_shard_of_another_split_is_refused(tmp_path, moving):
    store = copy_of(moving, tmp_path / "s")
    shard = store.folder / "test" / "motion-00000.arrow"
    jpeg = Motion(store, "test")._rows._bytes(3, "flow").tobytes()
    data = bytearray(shard.read_bytes())
    data[bytes(data).index(jpeg) + len(jpeg) // 2] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreError, match="not those that were built"):
        Motion(Store(store.folder), "test").verify()
    facts = recorded(store)
    facts["splits"]["train"] = {**facts["splits"]["val"], "pictures": store.splits["train"]["sha256"]}
    (store.folder / "motion.json").write_text(json.dumps(facts), "utf-8")
    shutil.copy(shard, store.folder / "train" / "motion-00000.arrow")
    with pytest.raises(StoreError, match=r"belong to other pictures; delete motion\.json"):
        Motion(store, "train")
    (store.folder / "motion.json").write_text("{", "utf-8")
    with pytest.raises(StoreError, match=r"motion\.json: damaged .*; delete it and build again"):
        Motion(store, "val")


def test_stores_that_do_not_move(photos, fake, tiny, moving):
    for store in (photos, fake):
        for call in (build_motion, Motion):
            with pytest.raises(StoreError, match="photos do not move"):
                call(store, "train")
    with pytest.raises(ValueError, match="photos do not move"):
        PairBatches(photos, "train", batch_size=8, image_crop=16, match="class", view="middle")
    with pytest.raises(StoreError, match=r'build them with build_motion\(store, \["train"\]\)'):
        PairBatches(moving, "train", batch_size=8, image_crop=16, view="flow")
    with pytest.raises(StoreError, match="no split 'rest'"):
        build_motion(tiny, ["rest"])


def test_a_build_that_cannot_be(tmp_path, tiny, monkeypatch):
    store = copy_of(tiny, tmp_path / "s")
    with filelock.FileLock(store.folder / ".lock"), pytest.raises(StoreError, match="another process"):
        build_motion(store, ["val"], workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
        with pytest.raises(StoreError, match=r"clips need about .* GB, 0\.0 GB are free"):
            build_motion(store, ["val"], workers=1)
    with monkeypatch.context() as patch:
        patch.setattr(module, "Scene", lambda name, seed, *a, **k: Scene(name, seed + 1, *a, **k))
        with pytest.raises(StoreError, match=r"now shows val/.* otherwise than it is stored"):
            build_motion(store, ["val"], workers=1, progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(module, "WORLD_VERSION", 99)
        with pytest.raises(StoreError, match="built-in world, this is 99"):
            build_motion(store, ["val"])


# ------------------------------------------------------------------- batches


@pytest.mark.parametrize("settings", [{}, {"pairs": "all"}, {"match": "class", "misalign": 0.1}])
def test_all_views_of_a_clip_have_the_same_pairs_and_draws(moving, settings):
    first = first_pictures(moving.images("test"))
    for e in (0, 3):
        rows = [pairs(moving, view, **settings).epoch(e).rows for view in MOVING]
        assert sorted(rows[0].image) == sorted(first) if len(first) % 8 == 0 else len(rows[0].image) >= 8
        for other in rows[1:]:
            for one, two in zip(rows[0].arrays(), other.arrays(), strict=True):
                np.testing.assert_array_equal(one, two)
    lists = [
        evaluation_pairs(moving, "test", batch_size=9, image_crop=26, seconds=0.5, seed=2, view=view)
        for view in MOVING
    ]
    for other in lists:
        for one, two in zip(lists[0].rows.arrays(), other.rows.arrays(), strict=True):
            np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(np.sort(lists[0].rows.image), np.repeat(first, 2))
    assert lists[0].rows.match.mean() == 0.5


def test_batches_hold_what_the_view_names_all_cropped_alike(moving):
    images, motion = moving.images("test"), Motion(moving, "test")
    middle, frames, flow = (pairs(moving, view).epoch(1)[1] for view in MOVING)
    rows = pairs(moving, "flow").epoch(1).rows.take(slice(8, 16))
    assert {"image", "frames", "flow"} & middle.keys() == {"image"}
    assert {"image", "frames", "flow"} & frames.keys() == {"frames"}
    assert frames["frames"].shape == (8, 25, 26, 26, 3) and frames["frames"].dtype == torch.uint8
    assert flow["flow"].shape == (8, 20, 26, 26) and flow["flow"].dtype == torch.int8
    for key in ("audio", "label", "match", "group", "index", "draws"):
        assert torch.equal(middle[key], frames[key]) and torch.equal(middle[key], flow[key])
    assert torch.equal(middle["image"], flow["image"])
    assert torch.equal(middle["image"], frames["frames"][:, 12])
    assert len({tuple(place) for place in (rows.crop * 7).astype(int)}) > 1
    for k, (image, place) in enumerate(zip(rows.image, rows.crop, strict=True)):
        top, left = (int(p * 7) for p in place)
        whole = motion.flow(int(np.flatnonzero(motion.image == image)[0]))
        for field in range(10):
            for part in range(2):
                cut = whole[field, part, top : top + 26, left : left + 26]
                np.testing.assert_array_equal(flow["flow"][k, 2 * field + part], cut)
        np.testing.assert_array_equal(
            middle["image"][k], images.image(int(image))[top : top + 26, left : left + 26]
        )


@pytest.mark.parametrize("view", ["frames", "flow"])
def test_workers_read_the_same_and_training_can_go_on_anywhere(moving, view):
    batches = pairs(moving, view).epoch(2)
    read = list(DataLoader(batches, batch_size=None, num_workers=1))
    assert len(read) == len(batches) == len(Motion(moving, "test")) // 8
    for one, two in zip(read, batches, strict=True):
        assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    sent = pickle.loads(pickle.dumps(batches))  # as to a spawned process
    assert len(pickle.dumps(batches)) < 20_000 and torch.equal(sent[1][view], read[1][view])
    last = next(iter(DataLoader(batches, batch_size=None, sampler=range(len(batches) - 1, len(batches)))))
    assert torch.equal(last["index"], batches[len(batches) - 1]["index"])


@pytest.mark.parametrize("view", MOVING)
def test_evaluation_sets_show_every_clip_once(moving, view):
    first = first_pictures(moving.images("test"))
    for item in ("pair", "image"):
        items = EvaluationSet(
            moving, "test", batch_size=7, image_crop=26, seconds=0.5, item=item, view=view, objects=True
        )
        assert torch.cat([batch["index"] for batch in items]).tolist() == first.tolist()
        batch = items[0]
        assert (batch["frames"] if view == "frames" else batch["image"]).shape[-3:] == (26, 26, 3)
        assert ("audio" in batch) == (item == "pair") and batch["objects"].shape == (7, 26, 26)
        masks = [moving.images("test").objects(int(row))[3:29, 3:29] for row in first[:7]]
        np.testing.assert_array_equal(batch["objects"], np.stack(masks))
    whole = EvaluationSet(moving, "test", batch_size=7, image_crop=26, seconds=None, view=view)
    np.testing.assert_array_equal(whole.rows.sound, moving.images("test").clip[first])


def test_views_that_cannot_be(moving):
    with pytest.raises(ValueError, match="view must be one of frame, middle, frames, flow, not 'film'"):
        pairs(moving, "film")
    with pytest.raises(ValueError, match="item='sound' shows no pictures: leave out view='flow'"):
        EvaluationSet(moving, "test", batch_size=8, item="sound", view="flow")
    clips = len(Motion(moving, "test"))
    with pytest.raises(ValueError, match=f"between 2 and {clips}, the pictures of test, not {clips + 1}"):
        pairs(moving, "middle", batch_size=clips + 1)


def test_one_picture_per_clip_is_the_same_by_either_name(tmp_path):
    """Where every clip has one picture, "frame" and "middle" mean the same rows, pairs and draws."""

    def thin(images, sounds):
        images[:] = images[::3]

    store = fake_store(tmp_path / "s", {"train": [0, 1] * 9}, per_shard=60, change=thin)
    for settings in ({"pairs": "all"}, {"pairs": "sampled"}):
        one, two = (
            PairBatches(store, "train", batch_size=4, image_crop=16, view=view, **settings).epoch(1).rows
            for view in ("frame", "middle")
        )
        for left, right in zip(one.arrays(), two.arrays(), strict=True):
            np.testing.assert_array_equal(left, right)


def test_other_libraries_can_open_the_shards(moving):
    rows = open_table(moving.folder, "test", "motion", 1)
    assert rows.column_names == ["image", "frames", "flow"] and len(rows) == len(Motion(moving, "test"))
