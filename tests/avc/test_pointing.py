"""Does the map point at what is heard: masks of every kind of scene, baselines, duets, intervals."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
import torch
from avc_fakes import RATE, SETTINGS, fresh, photo_rows, seeing

from llinet_lite import avc
from llinet_lite.avc.pointing import Duets, Pointing, boxed, hits, nearer, over_clips
from llinet_lite.avc.sounding import SOUNDING, other_class, sounds_of
from llinet_lite.data.store import StoreWriter
from llinet_lite.features import to_image
from llinet_lite.metrics.correspondence import clip_bootstrap
from llinet_lite.metrics.localization import evaluate
from llinet_lite.world.instruments import SEEN, instrument
from llinet_lite.world.scenes import Scene


def squares(count: int, seed: int = 0, size: int = 16) -> np.ndarray:
    """Pictures with object 1 on the left and object 2 on the right, (count, size, size) uint8."""
    rng, objects = np.random.default_rng(seed), np.zeros((count, size, size), np.uint8)
    for picture in objects:
        for k in (1, 2):
            top, left = rng.integers(0, size - 5), rng.integers(0, size // 2 - 4) + (k - 1) * size // 2
            picture[top : top + 4, left : left + 4] = k
    return objects


@pytest.fixture(scope="module")
def run():
    return fresh("avolnet")


@pytest.fixture(scope="module")
def scenes(run, store):
    return avc.locate(run, store, "scenes", SETTINGS)


@pytest.fixture(scope="module")
def solos(run, store):
    return avc.locate(run, store, "test", SETTINGS)


# ------------------------------------------------------------------------- what is located


@pytest.mark.parametrize(
    ("kind", "seen"), [("duet", {1, 2}), ("distractor", {1}), ("offscreen", set()), ("silence", set())]
)
def test_masks_hold_what_is_seen_and_heard(scenes, kind, seen):
    assert set(SOUNDING[kind]) == seen
    which = scenes.kind == kind
    assert which.sum() == 6
    for mask, objects in zip(scenes.masks[which], scenes.objects[which], strict=True):
        assert np.array_equal(mask, np.isin(objects, list(seen)))
    assert scenes.masks[which].any() == bool(seen)
    if kind == "distractor":
        assert (scenes.objects[which] == 2).any(), "the silent instrument is in the picture"


def test_masks_are_those_of_the_scenes_themselves(scenes, store):
    """Against the scenes, filmed here; the mask is the centre crop of theirs."""
    images = store.images("scenes")
    for k in range(0, len(scenes.row), 3):
        facts = images.factors(int(scenes.row[k]))
        scene = Scene(facts["name"], facts["seed"], facts["kind"], partner=facts["partner"], seconds=2.0)
        whole = scene.mask(float(images.time[scenes.row[k]]), 40)
        assert np.array_equal(scenes.masks[k], whole[4:36, 4:36])


def test_every_picture_has_its_cells_and_its_own_second(run, solos, store):
    images = store.images("test")
    assert np.array_equal(solos.row, np.arange(len(images))) and np.array_equal(solos.clip, images.clip)
    assert solos.cells.shape[:2] == (48, 128) and solos.sound.shape == (48, 128)
    k = 7
    picture = torch.from_numpy(images.image(k)[4:36, 4:36].copy())[None]
    start = round((float(images.time[k]) - 0.5) * RATE)
    samples = torch.from_numpy(np.array(store.sounds("test").audio(int(images.clip[k]), start, RATE)))
    with torch.no_grad():
        cells = run.model.embed_image(to_image(picture))
        heard = run.model.embed_audio(avc.Senses(SETTINGS).hear(samples[None]))
        assert torch.allclose(solos.maps("own")[k], run.model.heat(cells, heard)[0], atol=1e-5)
        silence = run.model.embed_audio(avc.Senses(SETTINGS).hear(torch.zeros(1, RATE, dtype=torch.int16)))
        assert torch.allclose(solos.maps("silence")[k], run.model.heat(cells, silence)[0], atol=1e-5)


def test_maps_take_any_sound_and_the_choice_is_named(solos):
    other = solos.sound.flip(0)
    expected = solos.model.heat(solos.cells, other)
    assert torch.allclose(solos.maps(other), expected, atol=1e-6)
    with pytest.raises(KeyError):
        solos.maps("noise")


def test_some_of_the_pictures_are_picked_with_all_that_is_theirs(scenes):
    for which in (scenes.kind == "duet", np.flatnonzero(scenes.kind == "duet")):
        duets = scenes.pick(which)
        assert len(duets.cells) == len(duets.sound) == len(duets.label) == len(duets.masks) == 6
        assert set(duets.kind) == {"duet"} and set(duets.clip) == set(scenes.clip[scenes.kind == "duet"])
    assert torch.equal(duets.maps("own"), scenes.maps("own")[:6])


def test_one_picture_of_every_class_that_is_seen(solos, scenes):
    chosen = solos.one_of_each_class()
    assert [int(solos.label[k]) for k in chosen] == sorted(set(solos.label)) and len(chosen) == len(SEEN)
    for k in scenes.one_of_each_class():
        assert scenes.masks[k].any()


def test_shuffled_sounds_are_of_another_class_and_follow_the_seed(solos):
    for seed in range(5):
        order = other_class(solos.label, seed)
        assert (solos.label[order] != solos.label).all()
        assert torch.equal(solos.maps("shuffled", seed=seed), solos.maps(solos.sound[order]))
    assert not np.array_equal(other_class(solos.label, 0), other_class(solos.label, 1))
    counts = np.bincount(np.concatenate([other_class(solos.label, s) for s in range(40)]), minlength=48)
    assert counts.min() > 10, "every sound is tried"
    with pytest.raises(ValueError, match="all 3 items are of one class"):
        other_class(np.zeros(3, int), 0)


def test_random_recordings_are_of_the_classes_asked_for(run, store):
    labels = np.array([3, 0, 3, 20])
    found = sounds_of(run, store, "test", SETTINGS, labels, seed=1)
    sounds, rows = store.sounds("test"), []
    for label in labels:
        (row,) = np.flatnonzero(sounds.label == label)  # one clip of each class
        middle = (int(sounds.length[row]) - RATE) // 2
        rows.append(torch.from_numpy(np.array(sounds.audio(int(row), middle, RATE))))
    with torch.no_grad():
        expected = run.model.embed_audio(avc.Senses(SETTINGS).hear(torch.stack(rows)))
    assert torch.allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match="no sound of it"):
        sounds_of(run, store, "test", SETTINGS, [31])


def test_photos_are_tried_with_a_sound_of_their_class(run, photos):
    located = avc.locate(run, photos, "test", SETTINGS)
    assert set(located.kind) == {"photo"} and located.masks.any((1, 2)).all()
    assert np.array_equal(located.clip, np.arange(12)), "every photo is drawn by itself"
    every = sounds_of(run, photos, "test", SETTINGS, np.arange(4).repeat(200))
    for k, label in enumerate(located.label):
        own = every[200 * label : 200 * (label + 1)]
        assert (own - located.sound[k]).abs().amax(1).min() < 1e-5
    other = avc.locate(run, photos, "test", SETTINGS, seed=1)
    assert not torch.equal(other.sound, located.sound)


def test_pictures_without_masks_are_refused(run, tmp_path):
    images, sounds = photo_rows("test", 2, 2)
    bare = [row | {"objects": b""} for row in images]
    manifest = {"name": "bare", "sample_rate": RATE, "seconds": 1.5, "image_size": 40}
    classes = [{"name": f"class {k}", "seen": True} for k in range(4)]
    with StoreWriter(tmp_path / "bare", {"bare": 1}) as writer:
        writer.add_shard("test", 0, bare, sounds)
        store = writer.finish(manifest | {"classes": classes}, {"test": 1})
    with pytest.raises(ValueError, match="test holds no masks"):
        avc.locate(run, store, "test", SETTINGS)


# -------------------------------------------------------------------------- the pointing test


def test_maps_that_are_the_masks_hit_always_and_silence_points_at_the_corner():
    objects = squares(40)
    label = np.arange(40) % 5
    test = avc.pointing([seeing(objects, label), seeing(objects, label)])
    assert test.interval("own sound").value == 1
    assert test.rows["own sound"].shape == test.rows["shuffled sound"].shape == (2, 40)
    corner = float((objects[:, 0, 0] == 1).mean())
    assert test.interval("silence").value == pytest.approx(corner), "of equal cells the first"
    assert test.interval("image centre").value == pytest.approx(float((objects[:, 8, 8] == 1).mean()))
    assert test.interval("chance").value == pytest.approx(16 / 256)
    assert test.beats("image centre") and test.beats("silence") and not test.beats("shuffled sound")


def test_a_map_that_points_beside_the_mask_never_hits():
    located = seeing(squares(30), np.arange(30) % 3)
    wrong = dataclasses.replace(located, sound=torch.eye(3)[[1]].repeat(30, 1))  # asks for the other object
    test = avc.pointing([wrong])
    assert test.interval("own sound").value == 0 and not test.beats("image centre")


@pytest.mark.parametrize("cells", [1, 2, 4, 8])
def test_the_point_is_the_centre_of_the_cell(cells):
    rng = np.random.default_rng(cells)
    maps, masks = torch.from_numpy(rng.random((20, cells, cells))), rng.random((20, 16, 16)) < 0.5
    expected = []
    for one, mask in zip(maps.numpy(), masks, strict=True):
        i, j = np.unravel_index(one.argmax(), one.shape)
        expected.append(mask[int((i + 0.5) * 16 / cells), int((j + 0.5) * 16 / cells)])
    assert np.array_equal(hits(maps, masks), expected)


def test_the_pointing_test_is_the_protocol_of_the_paper(solos):
    test = avc.pointing([solos], "outline")
    result = evaluate(solos.maps("own"), solos.masks, "objects2018", clips=solos.clip)
    ours, theirs = test.interval("own sound"), result.interval()
    assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high))


def test_pictures_that_show_nothing_of_the_instrument_are_left_out(scenes):
    test = avc.pointing([scenes])
    assert len(test.clip) == len(test.label) == int(scenes.masks.any((1, 2)).sum()) == 12
    assert all(row.shape == (1, 12) for row in test.rows.values())


def test_shuffled_sounds_differ_from_seed_to_seed():
    objects, label = squares(30), np.arange(30) % 3
    located = seeing(objects, label)
    located = dataclasses.replace(located, sound=torch.eye(3)[label])
    rows = avc.pointing([located] * 3).rows["shuffled sound"]
    assert not np.array_equal(rows[0], rows[1])


def test_intervals_draw_clips():
    """Two pictures of a clip that always agree are worth one; so the interval is wider by sqrt(2)."""
    rng = np.random.default_rng(0)
    right = rng.random(200) < 0.6
    values = np.repeat(right, 2)[None].astype(float)
    clips = np.repeat(np.arange(200), 2)
    found = over_clips(values, clips)
    expected = clip_bootstrap(right, np.arange(200))
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
    alone = over_clips(values, np.arange(400))
    ratio = (found.high - found.low) / (alone.high - alone.low)
    assert 1.25 < ratio < 1.6 and (found.n, alone.n) == (200, 400)


def test_every_picture_counts_once_in_clips_of_unlike_size():
    values, clip = np.array([[1.0, 1, 1, 0, 0]]), np.array([4, 4, 4, 9, 7])
    cell = over_clips(values, clip)
    assert cell.value == pytest.approx(0.6) and cell.n == 3
    assert (cell.low, cell.high) == (0, 1)
    two = over_clips(np.stack([values[0], 1 - values[0]]), clip)
    assert (two.value, two.low, two.high) == pytest.approx((0.5, 0.5, 0.5)), "seeds are averaged first"


def test_results_and_tables_say_every_row(lesson, solos, store):
    here = lesson("03_avol_net")
    here.store()
    test = avc.pointing([solos, solos])
    rows = {
        row.name: row for row in test.results("seen classes", here, [fresh("avolnet", s) for s in (0, 1)])
    }
    assert list(rows) == [f"pointing, seen classes, {name}" for name in test.rows]
    own = rows["pointing, seen classes, own sound"]
    assert (own.paper, own.seeds, own.n, own.profile) == (0.817, (0, 1), 48, "laptop")
    assert own.chance == pytest.approx(boxed(solos.masks).mean())
    assert rows["pointing, seen classes, image centre"].paper == 0.572
    frame = avc.pointing_frame({"seen": test, "again": test})
    assert list(frame.columns) == ["seen", "again", "paper"] and list(frame.index) == list(test.rows)
    assert frame.loc["own sound", "paper"] == "81.7%" and frame.loc["chance", "paper"] == "-"
    assert frame.loc["own sound", "seen"] == str(test.interval("own sound"))


def test_classes_are_told_apart_best_first(store):
    objects = squares(40)
    label = np.array([0, 1]).repeat(20)
    located = seeing(objects, label, clip=np.arange(40) // 2)
    located = dataclasses.replace(located, sound=torch.eye(3)[label])  # class 1 asks for the wrong object
    rows = avc.pointing([located]).by_class(store)
    names = [c["name"] for c in store.classes]
    assert [(name, value) for name, value, *_ in rows] == [(names[0], 1.0), (names[1], 0.0)]
    centre = (objects[:, 8, 8] == 1).reshape(2, 20).mean(1)
    assert [row[4] for row in rows] == pytest.approx(centre)


def test_beating_asks_for_intervals_apart():
    rng = np.random.default_rng(0)
    low, high = (rng.random((1, 300)) < share for share in (0.50, 0.53))
    rows = {"own sound": high.astype(float), "near": low.astype(float), "far": np.zeros((1, 300))}
    test = Pointing(rows, np.arange(300), np.zeros(300, int))
    assert test.beats("far") and not test.beats("near") and not test.beats("own sound")


def test_the_box_spans_the_outline_and_is_what_counts_by_default():
    rng = np.random.default_rng(0)
    masks = rng.random((12, 9, 11)) < 0.05
    for mask, box in zip(masks, boxed(masks), strict=True):
        expected = np.zeros_like(mask)
        if mask.any():
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            expected[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        assert np.array_equal(box, expected)
    objects = squares(20)
    objects[:, ::2] = 0  # combs: their boxes are fuller than they
    located = seeing(objects, np.arange(20) % 4)
    areas = {r: avc.pointing([located], r).interval("chance").value for r in ("box", "outline")}
    assert areas["box"] > areas["outline"]
    assert avc.pointing([located]).interval("chance").value == areas["box"]
    with pytest.raises(ValueError, match="region must be one of box, outline"):
        avc.pointing([located], "disc")


def test_nearer_is_decided_by_the_closest_pixel():
    maps = torch.zeros(2, 8, 8)
    maps[0, 2, 2], maps[1, 6, 6] = 1, 1
    first, second = np.zeros((2, 2, 8, 8), bool)
    first[:, 0, 0], second[:, 7, 7] = True, True
    assert nearer(maps, first, second).tolist() == [True, False]
    assert nearer(maps, second, first).tolist() == [False, True]


# ------------------------------------------------------------------------------------- duets


@pytest.fixture(scope="module")
def tried(run, store):
    return avc.duets(run, store, "scenes", SETTINGS)


def test_duets_show_both_instruments(tried, store):
    scenes = tried.scenes
    assert 0 < len(scenes.label) <= 6 and set(scenes.kind) == {"duet"}
    assert all({1, 2} <= set(np.unique(objects)) for objects in scenes.objects)
    for row, label, partner in zip(scenes.row, scenes.label, tried.partner, strict=True):
        facts = store.images("scenes").factors(int(row))
        assert instrument(facts["name"]).label == label and instrument(facts["partner"]).label == partner
        assert label != partner


def test_the_third_class_is_neither_of_both(monkeypatch, run, store):
    asked = []

    def listen(run, store, split, settings, labels, *, seed=0):
        asked.append((split, np.asarray(labels), seed))
        return sounds_of(run, store, split, settings, labels, seed=seed)

    monkeypatch.setattr(sys.modules[Duets.__module__], "sounds_of", listen)
    found = [avc.duets(run, store, "scenes", SETTINGS, seed=seed) for seed in range(4)]
    for duets, (first, second, third) in zip(found, zip(*[iter(asked)] * 3, strict=True), strict=True):
        assert {first[0], second[0], third[0]} == {"test"} and len({first[2], second[2], third[2]}) == 3
        assert np.array_equal(first[1], duets.scenes.label) and np.array_equal(second[1], duets.partner)
        assert (third[1] != duets.scenes.label).all() and (third[1] != duets.partner).all()
        assert set(third[1]) <= set(store.sounds("test").label)
    assert not np.array_equal(asked[2][1], asked[5][1]), "the seed decides"


def test_duets_are_tried_with_solo_sounds_of_both_classes(tried, run, store):
    for maps, labels, seed in ((tried.first, tried.scenes.label, 0), (tried.second, tried.partner, 1)):
        sound = sounds_of(run, store, "test", SETTINGS, labels, seed=seed)
        assert torch.allclose(maps, run.model.heat(tried.scenes.cells, sound), atol=1e-5)


def by_hand(objects, first: int, second: int, third: int, clip=None) -> Duets:
    """Duets whose maps light up the given object for each sound; 3 is nowhere."""
    label = np.zeros(len(objects), int)
    scenes = seeing(objects, label, "duet", clip)
    maps = [torch.from_numpy(objects == k).float() for k in (first, second, third)]
    return Duets(scenes, *maps, label + 1)


def test_heat_that_follows_the_sound_moves(lesson):
    objects = squares(24)
    objects[:, 0, 0] = 0  # a map of zeros points at the first cell
    follows = avc.follows([by_hand(objects, 1, 2, 3)])
    values = {name: cell.value for name, cell in follows.rows.items()}
    assert values == {
        "on its box": 1, "on its outline": 1, "nearer to it": 1, "moves": 1,
        "on either box, a third class's sound": 0,
        "mean map, own sound": pytest.approx((objects == 1).mean()), "mean map, silence": 0,
    }  # fmt: skip
    here = lesson("03_avol_net")
    here.store()
    rows = follows.results(here, [fresh("avolnet")])
    assert [row.name for row in rows] == [f"duets: {name}" for name in values]
    assert rows[0].n == 24 and rows[0].seeds == (0,) and follows["moves"].low == 1
    assert list(follows.frame().columns) == ["value", "low", "high", "scenes"]


def test_heat_that_stays_on_one_instrument_does_not_move():
    follows = avc.follows([by_hand(squares(24), 1, 1, 1)])
    assert [follows[row].value for row in ("on its outline", "nearer to it", "moves")] == [0.5, 0.5, 0]
    assert follows["on either box, a third class's sound"].value == 1


def test_both_must_hold_in_one_picture_of_one_network():
    objects = squares(24)
    follows = avc.follows([by_hand(objects, 1, 1, 3), by_hand(objects, 2, 2, 3)])
    assert follows["nearer to it"].value == 0.5
    assert follows["moves"].value == 0, "each network stays"


def test_scenes_are_counted_not_pictures():
    follows = avc.follows([by_hand(squares(24), 1, 2, 3, clip=np.arange(24) // 2)])
    assert follows["moves"].n == 12


def test_mean_maps_are_those_of_own_sound_and_of_silence():
    duets = by_hand(squares(24), 1, 2, 3)
    half = dataclasses.replace(duets.scenes, silence=torch.tensor([0.5, 0.0, 0.0]))
    follows = avc.follows([dataclasses.replace(duets, scenes=half)])
    own, silent = (follows[f"mean map, {sound}"].value for sound in ("own sound", "silence"))
    assert (own, silent) == pytest.approx((16 / 256, 8 / 256))


def test_peaks_are_told_by_kind_of_scene(run, store, solos, scenes):
    found = avc.peaks(run, store, SETTINGS)
    assert list(found) == [
        "solo",
        "duet",
        "distractor",
        "offscreen",
        "silence",
        "solo, another class's sound",
    ]
    assert np.allclose(found["solo"], solos.maps("own").flatten(1).max(1).values)
    assert np.allclose(found["solo, another class's sound"], solos.maps("shuffled").flatten(1).max(1).values)
    for kind in SOUNDING.keys() - {"solo", "photo"}:
        expected = scenes.maps("own").flatten(1).max(1).values.numpy()[scenes.kind == kind]
        assert np.allclose(found[kind], expected)
