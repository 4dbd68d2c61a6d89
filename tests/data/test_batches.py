"""Batches: nothing but the pair itself tells whether it matches, and a batch is known by its number."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from llinet_lite.data.bandstand import MotionTable, first_images
from llinet_lite.data.batches import (
    ClassPairs,
    EvaluationSet,
    ImageBatches,
    PairBatches,
    derange,
    evaluation_pairs,
    spread,
)
from llinet_lite.data.store import StoreError

RATE, SIZE, FRAMES = 8000, 24, 3
LABELS = [label for label, count in enumerate([60, 50, 40, 30, 20, 16, 12, 12]) for _ in range(count)]
COUNTS = np.bincount(LABELS)  # clips per class
COMMON = {"batch_size": 32, "image_crop": 16, "seconds": 1.0, "seed": 5}
GRID = RATE // 25


def pairs(store, split="train", **settings):
    return PairBatches(store, split, **{**COMMON, **settings})


def classes(store, **changes):
    return ClassPairs(
        store, "train", **{"batch_size": 16, "image_crop": None, "seconds": 0.5, "seed": 3, **changes}
    )


def images(store, **changes):
    return ImageBatches(store, "train", **{"batch_size": 30, "image_crop": 16, "seed": 1, **changes})


def moving(store, view, **settings):
    return PairBatches(store, "test", view=view, **{"batch_size": 8, "image_crop": 32, "seed": 5, **settings})


def many(data, epochs=12):
    """The rows of several epochs, as one dict of arrays."""
    rows = [data.epoch(e).rows for e in range(epochs)]
    return {key: np.concatenate([getattr(row, key) for row in rows]) for key in vars(rows[0])}


def same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert one[key].dtype == other[key].dtype and torch.equal(one[key], other[key]), key


def probe(features, match, seed=0):
    """Held-out accuracy of logistic regression on one-hot and number features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    return cross_val_score(LogisticRegression(C=0.1, max_iter=200), features, match, cv=4).mean()


def digest(rows) -> str:
    data = b"".join(np.ascontiguousarray(array).tobytes() for array in vars(rows).values())
    return hashlib.sha256(data).hexdigest()[:12]


@pytest.mark.parametrize(("make", "settings", "recorded"), [
    (pairs, {}, "4c3763962c02"),
    (pairs, {"pairs": "all", "batch_size": 15}, "c09f5ef8dc51"),
    (pairs, {"grid": None}, "e0b748ade242"),
    (pairs, {"match": "class", "shuffle_pairs": True}, "ae85b2cc50c5"),
    (pairs, {"view": "middle"}, "4e4c2c0e9093"),
    (classes, {}, "b7e49ca25377"),
    (classes, {"distinct": True, "batch_size": 3}, "45d268011563"),
    (classes, {"shuffle_labels": True, "classes": [6, 2, 3]}, "338283379c26"),
    (images, {}, "f9393ecca524"),
])  # fmt: skip
def test_an_epoch_is_a_function_of_seed_and_number_and_never_changes(fake, make, settings, recorded):
    """The draws of every trained network: whoever changes them raises WEIGHTS_VERSION and records them."""
    one, other = make(fake, **settings), make(fake, **settings)
    assert digest(one.epoch(2).rows) == digest(other.epoch(2).rows) == recorded
    others = [one.epoch(0), one.epoch(1), make(fake, **settings, seed=9).epoch(0)]
    assert len({digest(batches.rows) for batches in others}) == 3


def test_tensors_hold_what_the_rows_say_in_whatever_process(fake):
    batches = pairs(fake).epoch(0)
    assert len(batches) == 720 // 32
    batch, rows = batches[2], batches.rows.take(slice(64, 96))
    assert batch["match"].sum() == 16
    assert batch["image"].dtype == torch.uint8 and batch["draws"].shape == (32, 8)
    np.testing.assert_array_equal(batch["audio"].numpy(), rows.start[:, None] + np.arange(RATE))
    np.testing.assert_array_equal(batch["index"].numpy(), rows.image)
    for image, row, place in zip(batch["image"].numpy(), rows.image, rows.crop, strict=True):
        top, left = (int(p * (SIZE - 16 + 1)) for p in place)
        whole = fake.images("train").image(row)
        np.testing.assert_array_equal(image, whole[top : top + 16, left : left + 16])
    for workers in (1, 2):
        read = list(DataLoader(batches, batch_size=None, num_workers=workers, sampler=range(2, len(batches))))
        same(read[0], batch)
        same(read[-1], list(batches)[-1])
    with pytest.raises(IndexError):
        batches[len(batches)]


def test_nothing_is_mismatched_with_itself_and_no_group_comes_twice():
    rng = np.random.default_rng(0)
    for group in ([0, 1], [0, 0, 1, 1], [0] * 50 + [1] * 25 + [2] * 25, list(range(9)) * 3):
        group = np.array(group)
        order = derange(group, rng)
        assert sorted(order) == list(range(len(group))) and (group[order] != group).all()
    group = np.repeat(np.arange(20), 2)
    order = spread(group, 20, rng)
    assert sorted(order) == list(range(40)) and all(len(set(group[order[k : k + 20]])) == 20 for k in (0, 20))


def test_rows_are_what_they_say(fake):
    """Matched: the clip's own sound, centred on the frame. Mismatched: another clip's, on another frame."""
    images = fake.images("train")
    for match in ("clip", "class"):
        rows = pairs(fake, match=match).epoch(1).rows
        good, bad = rows.match == 1, rows.match == 0
        own = images.clip[rows.image]
        centre = rows.start + RATE // 2
        np.testing.assert_array_equal(rows.sound[good], own[good])
        np.testing.assert_array_equal(centre[good], np.rint(images.time[rows.image[good]] * RATE))
        assert (rows.sound[bad] != own[bad]).all()
        np.testing.assert_array_equal(rows.label, images.label[rows.image])
        group = own if match == "clip" else rows.label
        np.testing.assert_array_equal(rows.group, group)
        # Exactly as often as matched: the mismatched rows exchange their own sounds among themselves.
        places = np.rint(images.time[rows.image[bad]] * RATE).astype(int)
        exchanged = sorted(zip(rows.sound[bad], centre[bad], strict=True))
        assert exchanged == sorted(zip(own[bad], places, strict=True))
        if match == "class":
            assert (np.array(LABELS)[rows.sound[bad]] != rows.label[bad]).all()


@pytest.mark.parametrize("match", ["clip", "class"])
def test_image_or_sound_alone_tells_nothing(fake, match):
    """The marginals of image, sound, class, start and phase are the same for both kinds of row."""
    from scipy.stats import chi2_contingency

    rows = many(pairs(fake, match=match), 30)
    good, bad = rows["match"] == 1, rows["match"] == 0
    assert good.mean() == 0.5
    assert set(rows["start"] % GRID) == {RATE // 2 % GRID}
    sound_label = np.array(LABELS)[rows["sound"]]
    facts = {name: rows[name] for name in ("label", "start", "sound", "image")}
    for name, values in {**facts, "sound label": sound_label}.items():
        values = np.unique(values, return_inverse=True)[1]
        table = np.stack([np.bincount(values[k], minlength=values.max() + 1) for k in (good, bad)])
        assert chi2_contingency(table).pvalue > 1e-4, name
    for name in ("draws", "crop"):
        assert abs(rows[name][good].mean() - rows[name][bad].mean()) < 0.02
    for label, start in ((sound_label, rows["start"]), (rows["label"], 0 * rows["start"])):
        seen = np.concatenate([np.eye(8)[label], start[:, None] / 4000, np.sin(start[:, None] / 700)], axis=1)
        assert abs(probe(seen, rows["match"]) - 0.5) < 0.02


def test_naive_sampling_shows_in_the_phase_only_there(fake):
    rows = many(pairs(fake, grid=None))
    good, bad = rows["match"] == 1, rows["match"] == 0
    assert set(rows["start"][good] % GRID) == {RATE // 2 % GRID}
    phase = rows["start"][bad] % GRID
    assert len(set(phase)) > 0.9 * GRID and np.mean(phase == RATE // 2 % GRID) < 0.02
    assert rows["start"].min() >= 0 and rows["start"].max() <= RATE
    on_grid = (rows["start"] % GRID == RATE // 2 % GRID)[:, None]
    assert probe(on_grid, rows["match"]) > 0.95


def test_all_pairs_has_no_clip_twice_in_a_batch(fake):
    data = pairs(fake, pairs="all", batch_size=64)
    rows = many(data, 5)
    assert rows["match"].all()
    for groups in rows["group"].reshape(-1, 64):
        assert len(set(groups)) == 64
    np.testing.assert_array_equal(rows["sound"], fake.images("train").clip[rows["image"]])
    counts = np.bincount(rows["image"], minlength=720)
    assert counts.max() <= 5 and counts.min() >= 3  # 16 of 720 wait in each epoch
    np.testing.assert_array_equal(rows["group"], rows["sound"])
    by_class = pairs(fake, pairs="all", match="class").epoch(0).rows
    np.testing.assert_array_equal(by_class.group, by_class.label)


def test_shuffled_control_is_fixed_and_wrong(fake):
    rows = many(pairs(fake, shuffle_pairs=True))
    good = rows["match"] == 1
    own = fake.images("train").clip[rows["image"]]
    belongs = {}
    for clip, sound in zip(own[good], rows["sound"][good], strict=True):
        assert belongs.setdefault(clip, sound) == sound
    assert len(set(belongs.values())) == len(LABELS)
    assert np.mean([clip == sound for clip, sound in belongs.items()]) < 0.03
    for clip, sound in zip(own[~good], rows["sound"][~good], strict=True):
        assert belongs[clip] != sound
    assert set(rows["start"] % GRID) == {RATE // 2 % GRID}
    other = many(pairs(fake, shuffle_pairs=True, seed=6), 1)
    assert not np.array_equal(other["sound"][:50], rows["sound"][:50])


def test_photos_and_sounds_paired_by_class(photos):
    labels = np.array(LABELS)
    rows = many(pairs(photos, match="class"))
    np.testing.assert_array_equal(labels[rows["sound"]] == rows["label"], rows["match"] == 1)
    assert len(set(rows["sound"][rows["label"] == 7])) > 12
    assert len(set(rows["start"])) > 1000 and rows["start"].max() <= RATE
    good = rows["match"] == 1
    assert abs(rows["start"][good].mean() - rows["start"][~good].mean()) < 200
    shuffled = many(pairs(photos, match="class", shuffle_pairs=True), 6)
    good = shuffled["match"] == 1
    pseudo = {}
    for image, sound in zip(shuffled["image"][good], shuffled["sound"][good], strict=True):
        assert pseudo.setdefault(image, labels[sound]) == labels[sound]
    assert np.mean([LABELS[image // FRAMES] == label for image, label in pseudo.items()]) < 0.35
    np.testing.assert_array_equal(shuffled["group"][good], labels[shuffled["sound"][good]])
    assert pairs(photos, match="class", pairs="all").epoch(0)[0]["match"].all()


def test_evaluation_pairs_are_fixed_balanced_and_whole(fake):
    batches = evaluation_pairs(fake, "val", batch_size=50, image_crop=16, seed=1)
    rows, n = batches.rows, len(fake.images("val"))
    assert len(batches) == -(-2 * n // 50) and sum(len(batch["match"]) for batch in batches) == 2 * n
    for kind in (0, 1):
        np.testing.assert_array_equal(np.sort(rows.image[rows.match == kind]), np.arange(n))
    key = np.stack([rows.sound, rows.start], axis=1)
    wrong, right = (sorted(map(tuple, key[rows.match == kind])) for kind in (0, 1))
    assert wrong == right
    assert (fake.images("val").clip[rows.image] == rows.sound).tolist() == (rows.match == 1).tolist()
    assert (rows.crop == 0.5).all() and (rows.draws == 0.5).all()
    same(batches[1], evaluation_pairs(fake, "val", batch_size=50, image_crop=16, seed=1)[1])
    few = evaluation_pairs(fake, "val", batch_size=500, image_crop=16, count=40)
    assert len(few) == 1 and few[0]["match"].tolist() == [1, 0] * 20
    naive = evaluation_pairs(fake, "val", batch_size=50, image_crop=16, grid=None).rows
    assert len(set(naive.start[naive.match == 0] % GRID)) > 50


def test_evaluation_set_shows_everything_once(fake, photos):
    n = len(fake.images("val"))
    for item, count in (("pair", n), ("image", n), ("sound", n // FRAMES)):
        items = EvaluationSet(fake, "val", batch_size=50, image_crop=16, item=item)
        index = torch.cat([batch["index"] for batch in items])
        assert index.tolist() == list(range(count))
        assert ("image" in items[0]) == (item != "sound") and ("audio" in items[0]) == (item != "image")
    pair = EvaluationSet(fake, "val", batch_size=50, image_crop=16).rows
    np.testing.assert_array_equal(pair.start + RATE // 2, np.rint(fake.images("val").time * RATE))
    masks = EvaluationSet(fake, "val", batch_size=8, image_crop=16, item="image", objects=True)[0]["objects"]
    assert masks.shape == (8, 16, 16) and masks[:, :, 8:].all() and masks.dtype == torch.uint8
    middle = EvaluationSet(photos, "train", batch_size=8, item="sound")[0]["audio"]
    assert middle[0, 0] == RATE // 2


@pytest.mark.parametrize(("make", "settings", "message"), [
    (pairs, {"image_crop": 25}, r"image_crop is 25.* the images .* have 24 px"),
    (pairs, {"seconds": 2.5}, "does not fit the shortest sound of train"),
    (pairs, {"seconds": 1.5}, "of sound around .* leave its clip"),
    (pairs, {"view": "film"}, "view must be one of frame, middle, frames, flow, not 'film'"),
    (pairs, {"batch_size": 721}, "between 2 and 720"),
    (pairs, {"grid": 0.03}, "not on a grid of 0.03 s"),
    (classes, {"batch_size": 721}, "between 1 and 720, the images of train, not 721"),
    (classes, {"batch_size": 9, "distinct": True}, "between 1 and 8, the classes of train, not 9"),
])  # fmt: skip
def test_settings_that_cannot_be_met(fake, make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(fake, **settings)


def test_stores_that_cannot_be_paired(fake, photos, tmp_path, write):
    def silent(images, sounds):
        for row in sounds:
            row["label"] = min(row["label"], 1)

    lone = write(tmp_path / "s", {"train": [0] * 30 + [1] * 5})
    store = write(tmp_path / "t", {"train": [0, 0, 1, 2]}, change=silent)
    evaluated, mute = {"split": "train", "batch_size": 8}, {"item": "sound", "view": "flow"}
    for says, call in (
        ("paired by class only: use match='class'", lambda: pairs(photos)),
        ("photos do not move", lambda: pairs(photos, match="class", view="middle")),
        ("photos do not move", lambda: pairs(fake, view="flow")),
        (
            "item='sound' shows no images: leave out view='flow'",
            lambda: EvaluationSet(fake, **evaluated, **mute),
        ),
        ("paired by class only: use item='image'", lambda: EvaluationSet(photos, **evaluated, image_crop=16)),
        ("give image_crop", lambda: EvaluationSet(fake, **evaluated)),
        ("more than half", lambda: pairs(lone, match="class").epoch(0)),
        ("smaller batch_size", lambda: pairs(lone, pairs="all", batch_size=40).epoch(0)),
        ("train holds images of class 2 but no sound of it", lambda: classes(store, batch_size=2).epoch(0)),
    ):
        with pytest.raises((ValueError, StoreError), match=says):
            call()
    assert len(classes(store, batch_size=2, classes=[0, 1]).epoch(0)) == 4


# ------------------------------------------------------------------------------- class pairs, images


@pytest.mark.parametrize("distinct", [False, True])
def test_every_image_has_a_sound_of_its_class(fake, photos, distinct):
    for store in (fake, photos):
        rows = classes(store, distinct=distinct, batch_size=5).epoch(1).rows
        for label in (store.images("train").label[rows.image], store.sounds("train").label[rows.sound]):
            np.testing.assert_array_equal(label, rows.label)
        np.testing.assert_array_equal(rows.group, rows.label)
        assert rows.match.all() and (rows.start >= 0).all() and (rows.start + RATE // 2 <= 2 * RATE).all()


def test_every_image_comes_once_and_the_sound_is_any_of_its_class(fake):
    drawn = []
    for rows in (classes(fake).epoch(e).rows for e in range(40)):
        assert len(set(rows.image)) == len(rows.image) == 720
        drawn.append(rows.sound[rows.label == 7])
    times = np.bincount(np.concatenate(drawn), minlength=240)
    assert not times[:-12].any() and times[-12:].min() > 0.7 * times[-12:].mean(), "12 clips of class 7"


def test_without_images_a_batch_has_the_row_of_its_sound(fake):
    data = classes(fake)
    batch = data.epoch(0)[1]
    assert "image" not in batch and batch["audio"].shape == (16, RATE // 2)
    assert np.array_equal(batch["index"], data.epoch(0).rows.sound[16:32])
    shown = classes(fake, image_crop=16).epoch(0)[1]
    assert shown["image"].shape == (16, 16, 16, 3)
    assert np.array_equal(shown["index"], data.epoch(0).rows.image[16:32]), "the same draws"
    assert torch.equal(shown["audio"], batch["audio"]) and torch.equal(shown["label"], batch["label"])


def test_distinct_classes_come_once_a_batch_and_as_often_as_they_are_frequent(fake):
    for size in (1, 4, 8):
        batches = classes(fake, distinct=True, batch_size=size).epoch(0)
        assert len(batches) == 720 // size
        assert all(len(set(row)) == size for row in batches.rows.label.reshape(-1, size))
    drawn = np.concatenate([classes(fake, distinct=True, batch_size=1).epoch(e).rows.label for e in range(8)])
    np.testing.assert_allclose(np.bincount(drawn) / len(drawn), COUNTS / COUNTS.sum(), atol=0.02)
    rows = batches.rows  # every class in each of 90 batches: all images of a class before one comes again
    for label, clips in enumerate(COUNTS):
        shown, deck = rows.image[rows.label == label], FRAMES * clips
        assert len(set(shown[:deck])) == min(deck, len(shown))
        assert (shown[deck:] == shown[: max(0, len(shown) - deck)]).all()


def test_shuffled_labels_break_the_agreement_and_keep_the_counts(fake):
    data = classes(fake, shuffle_labels=True)
    rows = data.epoch(0).rows
    assert np.array_equal(np.bincount(data.sound_label), COUNTS)
    by_chance = ((COUNTS / COUNTS.sum()) ** 2).sum()
    assert (rows.label == np.array(LABELS)[rows.sound]).mean() == pytest.approx(by_chance, abs=0.1)
    np.testing.assert_array_equal(data.sound_label[rows.sound], rows.label, "always the same sounds")
    assert np.array_equal(data.sound_label, classes(fake, shuffle_labels=True).sound_label), "once for all"
    assert not np.array_equal(data.sound_label, classes(fake, shuffle_labels=True, seed=4).sound_label)
    assert np.array_equal(fake.sounds("train").label, LABELS), "the store is as it was"
    some, others = classes(fake, shuffle_labels=True, classes=[0, 4]), ~np.isin(LABELS, [0, 4])
    assert np.array_equal(some.sound_label[others], np.array(LABELS)[others])


# ---------------------------------------------------------------------------------- frames and flow


@pytest.mark.parametrize("settings", [{}, {"pairs": "all"}, {"match": "class"}])
def test_all_views_of_a_clip_have_the_same_pairs_and_draws(tiny_store, settings):
    first, how = first_images(tiny_store.images("test")), {"batch_size": 9, "image_crop": 32}
    trained, listed = [], []
    for view in ("middle", "frames", "flow"):
        trained.append(moving(tiny_store, view, **settings).epoch(3).rows)
        listed.append(evaluation_pairs(tiny_store, "test", view=view, **how).rows)
    assert len({digest(rows) for rows in trained}) == len({digest(rows) for rows in listed}) == 1
    assert set(trained[0].image) <= set(first)
    np.testing.assert_array_equal(np.sort(listed[0].image), np.repeat(first, 2))


def test_batches_hold_what_the_view_names_all_cropped_alike(tiny_store):
    motion = MotionTable(tiny_store, "test")
    *_, epoch = data = [moving(tiny_store, view).epoch(1) for view in ("middle", "frames", "flow")]
    (middle, frames, flow), rows = (batches[1] for batches in data), epoch.rows.take(slice(8, 16))
    sent = pickle.dumps(epoch)  # as to another process, without the rows of the store
    assert len(sent) < 20_000 and torch.equal(pickle.loads(sent)[1]["flow"], flow["flow"])
    assert frames["frames"].shape == (8, 25, 32, 32, 3) and frames["frames"].dtype == torch.uint8
    assert flow["flow"].shape == (8, 20, 32, 32) and flow["flow"].dtype == torch.int8
    assert middle.keys() == flow.keys() - {"flow"} == (frames.keys() | {"image"}) - {"frames"}
    for key in ("audio", "label", "match", "group", "index", "draws"):
        assert torch.equal(middle[key], frames[key]) and torch.equal(middle[key], flow[key])
    for image in (flow["image"], frames["frames"][:, 12]):
        assert torch.equal(middle["image"], image)
    assert len({tuple(place) for place in (rows.crop * 9).astype(int)}) > 1
    for k, (image, place) in enumerate(zip(rows.image, rows.crop, strict=True)):
        top, left = (int(p * 9) for p in place)
        whole = motion.flow(int(np.flatnonzero(motion.image == image)[0]))  # (10, 2, 40, 40)
        cut = whole[:, :, top : top + 32, left : left + 32].reshape(20, 32, 32)
        np.testing.assert_array_equal(flow["flow"][k], cut)


@pytest.mark.parametrize("view", ["middle", "frames", "flow"])
def test_evaluation_sets_show_every_clip_once(tiny_store, view):
    first, how = first_images(tiny_store.images("test")), {"batch_size": 7, "image_crop": 32, "view": view}
    items = EvaluationSet(tiny_store, "test", item="image", objects=True, **how)
    assert torch.cat([batch["index"] for batch in items]).tolist() == first.tolist()
    masks = [tiny_store.images("test").objects(int(row))[4:36, 4:36] for row in first[:7]]
    np.testing.assert_array_equal(items[0]["objects"], np.stack(masks))
    whole = EvaluationSet(tiny_store, "test", **how)
    np.testing.assert_array_equal(whole.rows.sound, tiny_store.images("test").clip[first])
