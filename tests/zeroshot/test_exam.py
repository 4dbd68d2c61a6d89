"""The exam of zero-shot recognition: who is asked about what, and with whose sounds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from llinet_lite.zeroshot import exam as module
from llinet_lite.zeroshot.evaluation import Items
from llinet_lite.zeroshot.exam import Exam, Part, exams, halves
from llinet_lite.zeroshot.runs import PER_CLASS


def part(labels, clips=None, *, size: int = 3) -> Part:
    """As many pictures as sounds; the first number of every vector is the clip it belongs to."""
    labels = np.asarray(labels)
    clips = np.arange(len(labels)) if clips is None else np.asarray(clips)
    vectors = np.zeros((len(labels), size), np.float32)
    vectors[:, 0], vectors[:, 1] = clips, labels
    rows = np.arange(len(labels))
    return Part(vectors, vectors.copy(), Items(rows, rows, labels, labels, clips, clips))


def small() -> Exam:
    """Seen classes 5 and 2, unseen classes 3 and 9: columns 2, 5, 3, 9."""
    return Exam(part([5, 2, 2]), part([2, 5], [0, 1]), part(np.repeat([9, 3], 10)))


def test_columns_are_seen_classes_then_unseen_ones():
    exam = small()
    assert exam.seen.tolist() == [2, 5] and exam.unseen.tolist() == [3, 9]
    assert [list(side) for side in exam.columns] == [[0, 1], [2, 3]]
    assert exam.labels(exam.seen_items).tolist() == [0, 1]
    assert exam.labels(exam.unseen_items).tolist() == [3] * 10 + [2] * 10


def test_halves_keep_clips_together_and_are_even_in_every_class():
    label, clip = np.repeat([0, 1, 2], 8), np.tile(np.repeat(np.arange(4), 2), 3)
    half = halves(label, clip)
    for k in range(3):
        assert half[label == k].sum() == 4
        for c in range(4):
            assert len(set(half[(label == k) & (clip == c)])) == 1
    order = np.random.default_rng(0).permutation(len(label))
    assert np.array_equal(halves(label[order], clip[order]), half[order])


def test_no_picture_of_an_unseen_class_is_asked_with_its_own_sound():
    exam, asked = small(), []

    def scores(images, vectors):
        asked.append((images, vectors))
        return np.zeros((len(images), len(vectors)))

    exam.ask(scores)
    clips, labels = exam.unseen_items.items.image_clip, exam.unseen_items.items.image_label
    for images, vectors in asked[2:]:  # the unseen items come last
        for column, k in ((2, 3), (3, 9)):
            own = set(images[images[:, 1] == k][:, 0].astype(int))
            others = [c for c in clips[labels == k] if c not in own]
            assert len(own) == 5 and vectors[column, 0] == pytest.approx(np.mean(others))


def test_prototypes_of_the_test_are_the_means_of_all_sounds():
    exam = small()
    _, unseen = exam.ask(lambda images, vectors: np.tile(vectors[:, 0], (len(images), 1)), "test")
    clips, labels = exam.unseen_items.items.sound_clip, exam.unseen_items.items.sound_label
    want = [exam.train.sound[exam.train.items.sound_label == k][:, 0].mean() for k in (2, 5)]
    want += [clips[labels == k].mean() for k in (3, 9)]
    assert np.allclose(unseen, want)


def test_seen_prototypes_come_from_the_training_sounds_alone():
    vectors = small().prototypes(0)[:2]
    assert vectors[:, 0].tolist() == [1.5, 0] and vectors[:, 1].tolist() == [2, 5]


def test_what_does_not_fit_is_refused():
    exam = small()
    with pytest.raises(ValueError, match="prototypes must be one of"):
        exam.ask(lambda images, vectors: images, "own")
    lonely = Exam(exam.train, exam.seen_items, part([9, 3]))  # one clip each: a half is empty
    with pytest.raises(ValueError, match="two or more clips"):
        lonely.prototypes(1)


def test_the_exam_for_choosing_is_of_seen_classes_only(monkeypatch):
    labels = np.repeat(np.arange(6), 60)
    splits = {
        "train": part(labels),
        "val": part(np.repeat(np.arange(6), 2)),
        "test": part(np.repeat(np.arange(6), 3)),
        "unseen": part([7, 7, 8, 8]),
    }
    monkeypatch.setattr(module, "held_out", lambda store, seed: np.array([1, 4]))
    choosing, final = exams(splits.__getitem__, SimpleNamespace(), 0)
    assert choosing.seen.tolist() == [0, 2, 3, 5] and choosing.unseen.tolist() == [1, 4]
    assert len(choosing.unseen_items.image) == 2 * PER_CLASS and len(choosing.seen_items.image) == 8
    assert set(choosing.train.items.image_label) == {0, 2, 3, 5}
    assert final.seen.tolist() == list(range(6)) and final.unseen.tolist() == [7, 8]
    assert len(final.seen_items.image) == 18


def test_of_keeps_the_first_of_every_class():
    kept = part([1, 0, 1, 1, 0]).of([1], most=2)
    assert kept.items.image_row.tolist() == [0, 2] and kept.image[:, 0].tolist() == [0, 2]
    assert kept.items.sound_label.tolist() == [1, 1]
