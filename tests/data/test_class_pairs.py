"""Class pairs: every picture with a sound of its class, and batches without a class twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from data_fakes import FRAMES, LABELS, RATE, fake_store

from llinet_lite.data.class_pairs import ClassPairs

COUNTS = np.bincount(LABELS)  # clips per class: 60, 50, 40, 30, 20, 16, 12, 12


def pairs(store, **changes):
    how = {"batch_size": 16, "image_crop": None, "seconds": 0.5, "seed": 3}
    return ClassPairs(store, "train", **(how | changes))


def labels_of(store, rows) -> tuple[np.ndarray, np.ndarray]:
    """Classes of the pictures and of the sounds, from the tables themselves."""
    return store.images("train").label[rows.image], store.sounds("train").label[rows.sound]


def same(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.arrays(), other.arrays(), strict=True))


@pytest.mark.parametrize("distinct", [False, True])
@pytest.mark.parametrize("kind", ["fake", "photos"])
def test_every_picture_has_a_sound_of_its_class(request, kind, distinct):
    store = request.getfixturevalue(kind)
    data = pairs(store, distinct=distinct, batch_size=5)
    for e in range(3):
        rows = data.epoch(e).rows
        picture, sound = labels_of(store, rows)
        np.testing.assert_array_equal(picture, sound)
        np.testing.assert_array_equal(rows.label, picture)
        np.testing.assert_array_equal(rows.group, picture)
        assert rows.match.all() and (rows.start >= 0).all()
        assert (rows.start + RATE // 2 <= store.sounds("train").length[rows.sound]).all()


def test_every_picture_comes_once_and_the_sound_is_any_of_its_class(fake):
    data, drawn = pairs(fake), []
    for e in range(40):
        rows = data.epoch(e).rows
        assert len(set(rows.image)) == len(rows.image) == FRAMES * len(LABELS) // 16 * 16
        drawn.append(rows.sound[rows.label == 7])
    times = np.bincount(np.concatenate(drawn), minlength=len(LABELS))
    assert not times[:-12].any() and times[-12:].min() > 0.7 * times[-12:].mean(), "12 clips of class 7"


def test_an_epoch_is_a_function_of_seed_and_number(fake):
    one = pairs(fake).epoch(4)
    assert same(one.rows, pairs(fake).epoch(4).rows)
    for other in (pairs(fake).epoch(5), pairs(fake, seed=4).epoch(4)):
        assert not np.array_equal(one.rows.image, other.rows.image)
        assert not np.array_equal(one.rows.sound, other.rows.sound)
    for how in ({"distinct": True, "batch_size": 4}, {"shuffle_labels": True}):
        assert same(pairs(fake, **how).epoch(2).rows, pairs(fake, **how).epoch(2).rows)
        assert not same(pairs(fake, **how).epoch(2).rows, pairs(fake, **how).epoch(3).rows)


@pytest.mark.parametrize("how", [{}, {"distinct": True, "batch_size": 3}, {"shuffle_labels": True}])
def test_only_the_named_classes_take_part(fake, how):
    for e in range(4):
        picture, sound = labels_of(fake, pairs(fake, classes=[6, 2, 3], **how).epoch(e).rows)
        assert set(picture) == set(sound) == {2, 3, 6}


def test_without_pictures_a_batch_has_the_row_of_its_sound(fake):
    data = pairs(fake)
    batch = data.epoch(0)[1]
    assert "image" not in batch and batch["audio"].shape == (16, RATE // 2)
    assert np.array_equal(batch["index"], data.epoch(0).rows.sound[16:32])
    shown = pairs(fake, image_crop=16).epoch(0)[1]
    assert shown["image"].shape == (16, 16, 16, 3)
    assert np.array_equal(shown["index"], data.epoch(0).rows.image[16:32]), "the same draws"
    assert torch.equal(shown["audio"], batch["audio"]) and torch.equal(shown["label"], batch["label"])


# -------------------------------------------------------------------------------------- distinct


@pytest.mark.parametrize("size", [1, 4, 8])
def test_no_class_comes_twice_in_a_batch(fake, size):
    data = pairs(fake, distinct=True, batch_size=size)
    for e in range(3):
        batches = data.epoch(e)
        label = batches.rows.label.reshape(-1, size)
        assert len(label) == len(batches) == FRAMES * len(LABELS) // size
        assert all(len(set(row)) == size for row in label)


def test_classes_come_as_often_as_they_are_frequent(fake):
    drawn = np.concatenate([pairs(fake, distinct=True, batch_size=1).epoch(e).rows.label for e in range(8)])
    share = np.bincount(drawn) / len(drawn)
    np.testing.assert_allclose(share, COUNTS / COUNTS.sum(), atol=0.02)
    several = [pairs(fake, distinct=True, batch_size=4).epoch(e).rows.label for e in range(8)]
    times = np.bincount(np.concatenate(several))
    assert (np.diff(times[[0, 2, 4, 6]]) < 0).all(), "the more clips, the more often"


def test_all_pictures_of_a_class_are_shown_before_one_comes_again(fake):
    rows = pairs(fake, distinct=True, batch_size=8).epoch(0).rows  # every class in each of 90 batches
    for label, clips in enumerate(COUNTS):
        shown = rows.image[rows.label == label]
        deck = FRAMES * clips
        assert len(set(shown[:deck])) == min(deck, len(shown))
        for k in range(deck, len(shown)):
            assert shown[k] == shown[k - deck]


# ------------------------------------------------------------------------------------- shuffled


def test_shuffled_labels_break_the_agreement_and_keep_the_counts(fake):
    data = pairs(fake, shuffle_labels=True)
    assert np.array_equal(np.bincount(data.sound_label), COUNTS)
    assert not np.array_equal(data.sound_label, fake.sounds("train").label)
    picture, sound = labels_of(fake, data.epoch(0).rows)
    by_chance = ((COUNTS / COUNTS.sum()) ** 2).sum()
    assert (picture == sound).mean() == pytest.approx(by_chance, abs=0.1)
    told = data.sound_label[data.epoch(0).rows.sound]
    np.testing.assert_array_equal(told, picture, "a picture's sounds are always the same ones")
    assert np.array_equal(data.sound_label, pairs(fake, shuffle_labels=True).sound_label), "once for all"
    assert not np.array_equal(data.sound_label, pairs(fake, shuffle_labels=True, seed=4).sound_label)
    assert np.array_equal(fake.sounds("train").label, LABELS), "the store is as it was"


def test_shuffling_stays_among_the_classes_that_take_part(fake):
    data = pairs(fake, shuffle_labels=True, classes=[0, 4])
    others = ~np.isin(LABELS, [0, 4])
    assert np.array_equal(data.sound_label[others], np.array(LABELS)[others])
    assert np.array_equal(np.bincount(data.sound_label), COUNTS)


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 721}, "between 1 and 720, the pictures of train, not 721"),
        ({"batch_size": 0}, "not 0"),
        ({"batch_size": 37, "classes": [7]}, "between 1 and 36, the pictures of train"),
        ({"batch_size": 9, "distinct": True}, "between 1 and 8, the classes of train, not 9"),
        ({"batch_size": 3, "distinct": True, "classes": [0, 1]}, "between 1 and 2, the classes"),
        ({"classes": [99]}, "between 1 and 0"),
        ({"image_crop": 25}, "image_crop is 25"),
        ({"seconds": 2.5}, "does not fit the shortest sound of train"),
    ],
)
def test_what_cannot_be_had_is_refused(fake, changes, message):
    with pytest.raises(ValueError, match=message):
        pairs(fake, **changes)


def test_a_class_without_a_sound_is_refused(tmp_path):
    def silent(images, sounds):
        for row in sounds:
            row["label"] = min(row["label"], 1)

    store = fake_store(tmp_path / "store", {"train": [0, 0, 1, 2]}, change=silent)
    with pytest.raises(ValueError, match="train holds pictures of class 2 but no sound of it"):
        pairs(store, batch_size=2).epoch(0)
    assert len(pairs(store, batch_size=2, classes=[0, 1]).epoch(0)) == 4
