"""Zero-shot recognition: who is asked about what, with whose audio; what is chosen where; what is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from scipy.spatial.distance import cdist
from sklearn.metrics import balanced_accuracy_score

from llinet_lite.experiments import runs, standins, zero_shot
from llinet_lite.experiments.embedding import Items
from llinet_lite.experiments.zero_shot import CALIBRATIONS, CHOICES, HONEST, GZSLSplit, Part, nearest
from llinet_lite.metrics import recognition as measures
from llinet_lite.results import papers
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


def answered(pair, gate=None, seed: int = 0):
    gate = gate or zero_shot.SeenClassifier.of(*pair)
    return zero_shot.predictions(pair, [split.scores(nearest()) for split in pair], gate, seed)


def test_columns_are_seen_classes_then_unseen_ones():
    split = small()
    assert split.columns == ([0, 1], [2, 3])
    assert split.labels[0].tolist() == [0, 1] and split.labels[1].tolist() == [3] * 10 + [2] * 10


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


def test_prototypes_are_means_of_training_audio_and_with_test_of_all_audio_of_unseen_classes():
    split = small()
    _, unseen = split.scores(lambda images, vectors: np.tile(vectors[:, 0], (len(images), 1)), "test")
    items = split.unseen_items.items
    want = [1.5, 0] + [items.audio_clip[items.audio_label == k].mean() for k in (3, 9)]
    assert np.allclose(unseen, want)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: small().scores(lambda images, vectors: images, "own"), "prototypes must be one of"),
        (lambda: nearest("manhattan"), "distance must be one of"),
        # one clip of each class: a half is empty
        (lambda: GZSLSplit(part([2]), part([2]), part([9, 3])).prototypes(1), "two or more clips"),
    ],
)
def test_refusals(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()


def test_the_split_for_choosing_is_of_seen_classes_only(monkeypatch):
    parts = {
        "train": part(np.repeat(np.arange(6), 60)),
        "val": part(np.repeat(np.arange(6), 2)),
        "test": part(np.repeat(np.arange(6), 3)),
        "unseen": part([7, 7, 8, 8]),
    }
    monkeypatch.setattr(zero_shot, "held_out", lambda store, seed: np.array([1, 4]))
    choosing, final = zero_shot.splits(parts.__getitem__, None, 0)
    assert choosing.seen.tolist() == [0, 2, 3, 5] and choosing.unseen.tolist() == [1, 4]
    assert len(choosing.unseen_items.image) == 2 * runs.PER_CLASS and len(choosing.seen_items.image) == 8
    assert choosing.unseen_items.items.image_row.tolist() == [*range(60, 100), *range(240, 280)]
    assert final.seen.tolist() == list(range(6)) and final.unseen.tolist() == [7, 8]


@pytest.mark.parametrize("keep", [True, False])
def test_splits_of_networks_hold_what_they_embed(tiny_workspace, keep):
    workspace = tiny_workspace(keep_activations=keep)
    store, profile = workspace.store(), workspace.profile
    trunk, vggish = standins.chosen_trunk(workspace), standins.chosen_vggish(workspace)
    ((choosing, final),) = zero_shot.feature_splits(store, profile, trunk, vggish, [0])
    assert np.array_equal(choosing.unseen, runs.held_out(store, 0)) and len(final.seen) == 24
    items = final.unseen_items.items
    seen = runs.activations(trunk, store, "unseen", crop=profile.llinet_crop, taps=("pooled",))["pooled"]
    assert np.allclose(final.unseen_items.image, np.float32(seen[items.image_row]), rtol=2e-3)
    run = runs.train_or_load(workspace, runs.plans(profile)["llinet"], trunk=trunk)
    ((_, own),) = zero_shot.own_splits(store, {"LLINet": [run]})["LLINet"]
    found = runs.embed(run, store, "unseen")
    for side in ("image", "audio"):
        assert np.array_equal(getattr(own.unseen_items, side), getattr(found, side))


# ---- scores and calibration


def test_nearest_is_scipys_distance():
    images, vectors = RNG.normal(size=(9, 5)), RNG.normal(size=(4, 5))
    assert np.allclose(nearest()(images, vectors), 1 - cdist(images, vectors, "cosine"))
    plain = nearest("euclidean", unit=False)(images, vectors)
    assert np.allclose(plain, -cdist(images, vectors, "sqeuclidean"))
    scaled = nearest("euclidean")(images, vectors)
    assert np.array_equal(scaled.argsort(1), nearest()(images, vectors).argsort(1))


@pytest.mark.parametrize("method", RECOGNITION)
def test_every_rival_answers_and_learns_once_or_once_for_each_half(method, monkeypatch):
    split, kind, learned = clouds(0.05), RECOGNITION[method], []
    learn = kind.learn
    monkeypatch.setattr(kind, "learn", lambda self, *a, **k: learned.append(1) or learn(self, *a, **k))
    seen, unseen = split.scores(zero_shot.learned(method, split, kind.grid[0], epochs=2, seed=0))
    assert seen.shape == (80, 7) and unseen.shape == (60, 7) and np.isfinite(unseen).all()
    assert len(learned) == (2 if kind.needs_unseen else 1)


def test_options_are_those_best_for_the_classes_that_play_unseen(monkeypatch):
    split, grid = clouds(0.01), ({"sign": -1}, {"sign": 1}, {"sign": 2})
    monkeypatch.setitem(RECOGNITION, "SAE", type("Fake", (), {"grid": grid}))
    signed = lambda method, split, options, **_: lambda *of: options["sign"] * nearest()(*of)  # noqa: E731
    monkeypatch.setattr(zero_shot, "learned", signed)
    assert zero_shot.chosen_options("SAE", split, epochs=1, seed=0) == {"sign": 1}, "the first of the best"


def test_a_perfect_method_is_perfect_without_a_gate_and_the_classifier_knows_the_seen_classes():
    pair = clouds(0.01), clouds(0.01)
    said, logits = answered(pair), zero_shot.SeenClassifier.of(*pair).final
    assert said.zsl.all() and said.curve.area == pytest.approx(1) and set(said.hits) == set(CALIBRATIONS)
    assert all(side.all() for how in ("none", "stacking") for side in said.hits[how])
    assert logits[0].shape == (80, SEEN) and logits[1].shape == (60, SEEN)
    assert (logits[0].argmax(1) == pair[1].labels[0]).mean() > 0.9


def test_calibration_looks_at_the_first_split_only():
    pair = clouds(1.5), clouds(1.5)
    gate, (tried, final) = zero_shot.SeenClassifier.of(*pair), [split.scores(nearest()) for split in pair]
    one = zero_shot.predictions(pair, (tried, final), gate, 0)
    other = zero_shot.predictions(pair, (tried, (final[0][:, ::-1], final[1][:, ::-1])), gate, 0)
    assert one.chosen == other.chosen
    assert one.hits["none"][1].sum() != other.hits["none"][1].sum()


# ---- tables


def noisy(split: GZSLSplit, noise: float) -> GZSLSplit:
    """The same split as another network sees it."""
    parts = (split.train, split.seen_items, split.unseen_items)
    return GZSLSplit(
        *(replace(one, image=one.image + noise * RNG.normal(size=one.image.shape)) for one in parts)
    )


def class_mean(right, labels) -> float:
    return float(np.mean([right[labels == k].mean() for k in np.unique(labels)]))


@pytest.mark.parametrize("seeds", [1, 3])
def test_cells_are_class_means_harmonic_means_and_areas_over_seeds(seeds):
    choosing, final = clouds(2.0), clouds(2.0)
    of = [answered((choosing, noisy(final, 0.5 * k)), seed=k) for k in range(seeds)]
    table = zero_shot.recognition_table({"LLINet": of}, final, {"LLINet": 2.0})
    want = [balanced_accuracy_score(final.labels[1], one.confused) for one in of]
    assert table.interval("LLINet", "acc").value == pytest.approx(np.mean(want))
    for how in CALIBRATIONS:
        means = [[class_mean(*side) for side in zip(one.hits[how], final.labels, strict=True)] for one in of]
        expected = [*np.mean(means, 0), np.mean([measures.harmonic_mean(*both) for both in means])]
        for m, value in zip(("tr", "ts", "hm"), expected, strict=True):
            cell = table.interval("LLINet", f"{m} ({how})")
            assert cell.value == pytest.approx(value) and 0 <= cell.low <= cell.value <= cell.high <= 1
    areas = [one.curve.area for one in of]
    value, *bounds = table.interval("LLINet", "AUSUC").numbers
    assert value == pytest.approx(np.mean(areas))
    student = scipy.stats.t.interval(0.95, seeds - 1, value, scipy.stats.sem(areas)) if seeds > 1 else None
    assert bounds == ([None, None] if seeds == 1 else pytest.approx(np.clip(student, 0, 1)))
    assert table.chance["acc"] == 1 / 3 and table.chance["hm (gate)"] == 1 / 7
    assert table.published("LLINet", "hm (gate)") == papers()["hm"]["LLINet"]
    assert table.published("LLINet", "hm (stacking)") is None


def test_choices_are_compared_with_the_honest_one():
    pair = clouds(2.0), clouds(2.0)
    table = zero_shot.choices_table({"LLINet": [pair]}, (0,))
    assert list(table.values) == [f"LLINet: {choice}" for choice in CHOICES]
    said = measures.predict(pair[1].scores(nearest())[1], pair[1].columns[1])
    honest = table.interval(f"LLINet: {HONEST}", "acc").value
    assert honest == pytest.approx(measures.class_mean(pair[1].labels[1], said, pair[1].columns[1]))
    for choice in list(CHOICES)[1:]:
        acc, worth = (table.interval(f"LLINet: {choice}", column).value for column in ("acc", "worth"))
        assert worth == pytest.approx(acc - honest)


def test_all_methods_answer_the_splits_of_their_seed(monkeypatch, capsys):
    pairs = [(clouds(1.0), clouds(1.0)) for _ in range(2)]
    monkeypatch.setattr(zero_shot, "learned", lambda *a, **k: nearest())
    rows, minutes = zero_shot.evaluate(pairs, {"LLINet": pairs}, (0, 1), epochs=3)
    assert [*minutes, "LLINet"] == list(rows) and all(
        [one.seed for one in of] == [0, 1] for of in rows.values()
    )
    for k, pair in enumerate(pairs):
        assert np.array_equal(rows["LLINet"][k].zsl, answered(pair).zsl)
    assert rows["SAE"][0].chosen["options"] == RECOGNITION["SAE"].grid[0]
    assert "DCN, seed 1" in capsys.readouterr().out
