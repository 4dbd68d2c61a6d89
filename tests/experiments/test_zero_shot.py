"""Zero-shot recognition: who is asked about what, with whose audio; what is chosen where; what is counted."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from llinet_lite.experiments import runs, standins, zero_shot
from llinet_lite.experiments.embedding import Items, activations, embed
from llinet_lite.experiments.zero_shot import CALIBRATIONS, CHOICES, HONEST, GZSLSplit, Part, cosine
from llinet_lite.metrics import recognition as measures
from llinet_lite.rivals import RECOGNITION

RNG = np.random.default_rng(0)
SEEN, UNSEEN, SIZE = 4, 3, 12


def part(labels, clips=None, *, size: int = 3) -> Part:
    """As many images as audios; the first number of every vector is the clip it belongs to."""
    labels, rows = np.asarray(labels), np.arange(len(labels))
    clips, vectors = rows if clips is None else np.asarray(clips), np.zeros((len(labels), size), np.float32)
    vectors[:, 0], vectors[:, 1] = clips, labels
    return Part(vectors, vectors.copy(), Items(rows, rows, labels, labels, clips, clips))


def small() -> GZSLSplit:  # columns 2, 5, 3, 9
    return GZSLSplit(part([5, 2, 2]), part([2, 5], [0, 1]), part(np.repeat([9, 3], 10)))


def spread(labels, centers, noise: float) -> Part:
    one = part(labels, size=SIZE)
    for name in ("image", "audio"):
        points = centers[labels] + noise * RNG.normal(size=(len(labels), SIZE))
        getattr(one, name)[:] = points.clip(0)  # as after a ReLU
    return one


def clouds(noise: float = 0.3, each: int = 20) -> GZSLSplit:
    """Classes 0 to 6 around points of one space: images and audio of a class belong together."""
    centers = np.abs(3 * RNG.normal(size=(SEEN + UNSEEN, SIZE)))
    seen, unseen = np.repeat(np.arange(SEEN), each), np.repeat(np.arange(SEEN, SEEN + UNSEEN), each)
    return GZSLSplit(*(spread(labels, centers, noise) for labels in (seen, seen, unseen)))


def test_columns_are_seen_classes_then_unseen_ones_and_prototypes_are_means_of_their_audio():
    split = small()
    assert split.columns == ([0, 1], [2, 3])
    assert split.labels[0].tolist() == [0, 1] and split.labels[1].tolist() == [3] * 10 + [2] * 10
    items = split.unseen_items.items
    _, unseen = split.scores(lambda images, vectors: np.tile(vectors[:, 0], (len(images), 1)), own=True)
    assert np.allclose(unseen, [1.5, 0] + [items.audio_clip[items.audio_label == k].mean() for k in (3, 9)])
    with pytest.raises(ValueError, match="two or more clips"):
        GZSLSplit(part([2]), part([2]), part([9, 3])).prototypes(1)


def test_halves_keep_clips_together_and_are_even_in_every_class():
    label, clip = np.repeat([0, 1, 2], 8), np.tile(np.repeat(np.arange(4), 2), 3)
    half = zero_shot.halves(label, clip)
    for k in range(3):
        assert half[label == k].sum() == 4
        assert all(len(set(half[(label == k) & (clip == c)])) == 1 for c in range(4))
    order = np.random.default_rng(0).permutation(len(label))
    assert np.array_equal(zero_shot.halves(label[order], clip[order]), half[order])


def test_no_image_of_an_unseen_class_is_asked_with_its_own_audio():
    split, asked = small(), []

    def score(images, vectors):
        asked.append((images, vectors))
        return np.zeros((len(images), len(vectors)))

    split.scores(score)
    clips, labels = split.clips[1], split.unseen_items.items.image_label
    for images, vectors in asked[2:]:  # the unseen classes come last
        for column, k in ((2, 3), (3, 9)):
            own = set(images[images[:, 1] == k][:, 0].astype(int))
            others = [c for c in clips[labels == k] if c not in own]
            assert len(own) == 5 and vectors[column, 0] == pytest.approx(np.mean(others))


def test_the_split_for_choosing_is_of_seen_classes_only(monkeypatch):
    each = {"train": 60, "val": 2, "test": 3}
    parts = {name: part(np.repeat(np.arange(6), n)) for name, n in each.items()}
    parts["unseen"] = part([7, 7, 8, 8])
    monkeypatch.setattr(zero_shot, "held_out", lambda store, seed: np.array([1, 4]))
    choosing, final = zero_shot.splits(parts.__getitem__, SimpleNamespace(splits=each), 0)
    assert choosing.seen.tolist() == [0, 2, 3, 5] and choosing.unseen.tolist() == [1, 4]
    assert len(choosing.unseen_items.image) == 2 * runs.PER_CLASS and len(choosing.seen_items.image) == 8
    assert choosing.unseen_items.items.image_row.tolist() == [*range(60, 100), *range(240, 280)]
    assert final.seen.tolist() == list(range(6)) and final.unseen.tolist() == [7, 8]
    parts["train"], parts["choose"] = (
        part(np.repeat([*range(6), 10, 11], 4)),
        part(np.repeat([12, 13, 14], 5)),
    )
    choosing, final = zero_shot.splits(parts.__getitem__, SimpleNamespace(splits=parts), 0)
    assert choosing.seen.tolist() == final.seen.tolist() == list(range(6))
    assert len(choosing.unseen) == 2 and set(choosing.unseen) < {12, 13, 14}
    assert set(choosing.train.items.image_label) == set(range(6))


@pytest.mark.parametrize("keep", [True, False])
def test_splits_of_networks_hold_what_they_embed(tiny_workspace, keep):
    workspace = tiny_workspace(keep_activations=keep)
    store, profile = workspace.store(), workspace.profile
    trunk, vggish = standins.chosen_trunk(workspace), standins.chosen_vggish(workspace)
    ((choosing, final),) = zero_shot.feature_splits(store, profile, trunk, vggish, [0])
    assert np.array_equal(choosing.unseen, runs.held_out(store, 0)) and len(final.seen) == 24
    items = final.unseen_items.items
    seen = activations(trunk, store, "unseen", crop=profile.llinet_crop, taps=("pooled",))["pooled"]
    assert np.allclose(final.unseen_items.image, seen[items.image_row].float(), rtol=2**-8)
    run = runs.train_or_load(workspace, runs.plans(profile)["llinet"], trunk=trunk)
    ((_, own),) = zero_shot.own_splits(store, {"LLINet": [run]})["LLINet"]
    found = embed(run, store, "unseen")
    for side in ("image", "audio"):
        assert np.array_equal(getattr(own.unseen_items, side), getattr(found, side))


# ---- scores and calibration


def test_scores_are_scipys_distances():
    images, vectors = RNG.normal(size=(9, 5)), RNG.normal(size=(4, 5))
    assert np.allclose(cosine(images, vectors), 1 - cdist(images, vectors, "cosine"))
    assert np.allclose(zero_shot.euclidean(images, vectors), -cdist(images, vectors, "sqeuclidean"))


@pytest.mark.parametrize("method", RECOGNITION)
def test_every_rival_answers_and_learns_once_or_once_for_each_half(method, monkeypatch):
    split, kind, learned = clouds(0.05), RECOGNITION[method], []
    learn = kind.learn
    monkeypatch.setattr(kind, "learn", lambda self, *a, **k: learned.append(1) or learn(self, *a, **k))
    seen, unseen = split.scores(zero_shot.learned(method, split, kind.grid[0], epochs=2, seed=0))
    assert seen.shape == (80, 7) and unseen.shape == (60, 7) and np.isfinite(unseen).all()
    assert len(learned) == (2 if kind.needs_unseen else 1)


def test_a_perfect_method_is_perfect_without_a_gate_and_the_classifier_knows_the_seen_classes():
    pair = clouds(0.01), clouds(0.01)
    gates = [zero_shot.seen_logits(split) for split in pair]
    said, logits = zero_shot.predictions(pair, [split.scores(cosine) for split in pair], gates), gates[1]
    assert said.zsl.all() and said.curve.area == pytest.approx(1) and set(said.hits) == set(CALIBRATIONS)
    assert all(side.all() for how in ("none", "stacking") for side in said.hits[how])
    assert logits[0].shape == (80, SEEN) and logits[1].shape == (60, SEEN)
    assert (logits[0].argmax(1) == pair[1].labels[0]).mean() > 0.9


def test_calibration_looks_at_the_first_split_only():
    pair = clouds(1.5), clouds(1.5)
    gates = [zero_shot.seen_logits(split) for split in pair]
    tried, final = (split.scores(cosine) for split in pair)
    one = zero_shot.predictions(pair, (tried, final), gates)
    other = zero_shot.predictions(pair, (tried, (final[0][:, ::-1], final[1][:, ::-1])), gates)
    assert one.chosen == other.chosen
    assert one.hits["none"][1].sum() != other.hits["none"][1].sum()


def test_choices_are_compared_with_the_honest_one():
    pair = clouds(2.0), clouds(2.0)
    table = zero_shot.choices_table({"LLINet": [pair]}, (0,))
    assert list(table.values) == [f"LLINet: {choice}" for choice in CHOICES]
    said = measures.predict(pair[1].scores(cosine)[1], pair[1].columns[1])
    honest = table.interval(f"LLINet: {HONEST}", "acc").value
    assert honest == pytest.approx(measures.class_mean(pair[1].labels[1], said, pair[1].columns[1]))
    for choice in list(CHOICES)[1:]:
        acc, worth = (table.interval(f"LLINet: {choice}", column).value for column in ("acc", "worth"))
        assert worth == pytest.approx(acc - honest)
