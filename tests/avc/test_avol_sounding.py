"""AVOL-Net's pictures, sounds and maps: masks of every kind of scene, duets, photos, figures."""

from __future__ import annotations

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from avc_fakes import RATE, SETTINGS, fresh, photo_rows

from llinet_lite import avc
from llinet_lite.avc.sounding import sounds_of
from llinet_lite.data.store import StoreWriter
from llinet_lite.features import to_image
from llinet_lite.metrics.localization import evaluate
from llinet_lite.sounding import SOUNDING, other_class
from llinet_lite.world.instruments import SEEN, instrument
from llinet_lite.world.scenes import Scene


@pytest.fixture(autouse=True)
def no_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def run():
    return fresh("avolnet")


@pytest.fixture(scope="module")
def scenes(run, store):
    return avc.locate(run, store, "scenes", SETTINGS)


@pytest.fixture(scope="module")
def solos(run, store):
    return avc.locate(run, store, "test", SETTINGS)


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
    expected = solos.heat(solos.cells, other)
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


def test_the_pointing_test_is_the_protocol_of_the_paper(solos):
    test = avc.pointing([solos], "outline")
    result = evaluate(solos.maps("own"), solos.masks, "objects2018", clips=solos.clip)
    ours, theirs = test.interval("own sound"), result.interval()
    assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high))


def test_pictures_that_show_nothing_of_the_instrument_are_left_out(scenes):
    test = avc.pointing([scenes])
    assert len(test.clip) == len(test.label) == int(scenes.masks.any((1, 2)).sum()) == 12
    assert all(row.shape == (1, 12) for row in test.rows.values())


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

    monkeypatch.setattr(sys.modules["llinet_lite.avc.pointing"], "sounds_of", listen)
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


def test_the_wall_of_maps_has_a_place_for_every_picture(store, solos):
    chosen = solos.one_of_each_class()[:4]
    figure = avc.map_wall(store, "test", solos, chosen)
    names = [store.classes[int(solos.label[k])]["name"] for k in chosen]
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == 4 and all(t.startswith(n) for t, n in zip(titles, names, strict=True))
    for title, k in zip(titles, chosen, strict=True):
        hit = avc.pointing([solos.pick(np.array([k, (k + 2) % 48]))]).rows["own sound"][0, 0]
        assert ("hit" in title) == bool(hit)


def test_the_wall_of_duets_shows_no_picture_twice(store):
    tried = avc.duets(fresh("avolnet"), store, "scenes", SETTINGS)
    figure = avc.duet_wall(store, "scenes", tried, count=99)
    captions = [ax.get_title() for ax in figure.axes if " and\n" in ax.get_title()]
    assert len(captions) == len(tried.scenes.label)
    first = store.classes[int(tried.scenes.label[0])]["name"], store.classes[int(tried.partner[0])]["name"]
    assert captions[0] == " and\n".join(first)
    few = avc.duet_wall(store, "scenes", tried, count=2)
    assert sum(" and\n" in ax.get_title() for ax in few.axes) == 2


def test_pictures_are_shown_as_the_network_saw_them(store, solos):
    figure = avc.disc_figure(store, "test", solos, [0, 3])
    for ax, k in zip(figure.axes, (0, 3), strict=True):
        shown = ax.images[0].get_array()
        assert np.array_equal(shown, store.images("test").image(k)[4:36, 4:36])
        disc = ax.patches[0].get_radius()
        assert np.pi * disc**2 == pytest.approx(32 * 32 / 2, rel=1e-6), "half of the picture"
    plain = avc.disc_figure(store, "test", solos, [0])
    assert len(plain.axes) == 1
