"""The retrieval table: perfect, blind and random vectors, rivals that see validation only, and its text."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from avc_fakes import NAMES, SETTINGS, fresh, random_unit, vectors_of
from torch.nn.functional import one_hot

from llinet_lite import avc
from llinet_lite.avc.search import PAPER_NDCG, aligned
from llinet_lite.metrics.relevance import same_class
from llinet_lite.metrics.retrieval import DIRECTIONS
from llinet_lite.world.instruments import INSTRUMENTS

CLASSES = tuple(row.name for row in INSTRUMENTS[:8])
LABELS = np.repeat(np.arange(8), 12)
RELEVANCE = same_class(CLASSES)


def method(items, note: str = "", runs=()) -> avc.Method:
    return avc.Method(
        items if isinstance(items, list) else [items],
        note,
        [run.seed for run in runs],
        sum(run.minutes for run in runs),
    )


def perfect(labels=LABELS, **changes):
    vectors = one_hot(torch.from_numpy(labels), 8).float()
    return vectors_of(vectors, vectors, labels, **changes)


def noise(seed: int, size: int = 16):
    return vectors_of(random_unit(96, size, seed), random_unit(96, size, seed + 100), LABELS)


@pytest.mark.parametrize("gain", ["exponential", "linear"])
def test_vectors_that_know_the_class_reach_the_oracle(gain):
    table = avc.search({"perfect": method(perfect())}, RELEVANCE, gain=gain)
    assert list(table.rows) == ["random", "same class", "perfect", "oracle"]
    for direction in DIRECTIONS:
        for row in ("perfect", "oracle", "same class"):
            assert np.allclose(table.rows[row][direction], 1), "nothing is relevant but the class"
        assert table.mean("random", direction).value < 0.3


def test_vectors_that_know_nothing_are_like_a_random_ranking():
    table = avc.search({"noise": method([noise(s) for s in range(3)])}, RELEVANCE)
    for direction in DIRECTIONS:
        cell, chance = table.mean("noise", direction), table.mean("random", direction).value
        assert abs(cell.value - chance) < 0.03 and len(cell.each) == 3
    shuffled = np.random.default_rng(0).permutation(LABELS)
    right = perfect()
    wrong = dataclasses.replace(right, image_label=shuffled, audio_label=shuffled)
    table = avc.search({"permuted": method(wrong)}, RELEVANCE)
    for direction in ("im-im", "aud-aud"):
        gain = table.difference("permuted", "random", direction).interval()
        assert gain.low < 0.05 and abs(gain.value) < 0.1


def test_the_family_tree_separates_the_class_from_the_oracle():
    relevance = avc.search({"perfect": method(perfect())}, tree()).rows
    for direction in DIRECTIONS:
        assert relevance["same class"][direction].mean() < relevance["oracle"][direction].mean() == 1
        assert relevance["same class"][direction].mean() > relevance["random"][direction].mean()


def tree():
    from llinet_lite.metrics.relevance import relevance_of

    return relevance_of(CLASSES)


def test_the_own_item_is_left_out_within_a_sense_and_its_pair_is_found_across():
    """One clip per class: within a sense nothing relevant is left, across it is the pair alone."""
    labels = np.arange(8)
    table = avc.search({"perfect": method(perfect(labels))}, RELEVANCE, k=5)
    assert (table.rows["perfect"]["im-im"] == 0).all() and (table.rows["perfect"]["aud-aud"] == 0).all()
    assert (table.rows["perfect"]["im-aud"] == 1).all() and (table.rows["perfect"]["aud-im"] == 1).all()
    assert "own clip is left out" in table.statement.splitlines()[0]
    assert "own clip stays in" in table.statement.splitlines()[1]


def test_photos_and_recordings_have_no_pair_to_find():
    items = perfect(paired=False)
    table = avc.search({"perfect": method(items)}, RELEVANCE)
    assert "no clip of the query's own" in table.statement.splitlines()[1]
    few = dataclasses.replace(items, audio=items.audio[::3], audio_label=LABELS[::3], audio_row=np.arange(32))
    table = avc.search({"perfect": method(few)}, RELEVANCE)
    assert table.rows["perfect"]["im-aud"].shape == (1, 96) and table.rows["perfect"]["aud-im"].shape == (
        1,
        32,
    )
    assert np.allclose(table.rows["perfect"]["aud-im"], 1)


def test_methods_of_other_items_are_refused():
    other = perfect()
    other = dataclasses.replace(other, image_row=other.image_row + 1)
    with pytest.raises(ValueError, match="late was given other items"):
        avc.search({"first": method(perfect()), "late": method(other)}, RELEVANCE)


def test_a_method_without_sounds_has_one_direction_and_dashes_elsewhere():
    deaf = dataclasses.replace(noise(0, 20), audio=None)
    table = avc.search({"AVE-Net": method(noise(1)), "VGG16 (stand-in)": method(deaf)}, RELEVANCE)
    assert set(table.rows["VGG16 (stand-in)"]) == {"im-im"}
    assert table.mean("VGG16 (stand-in)", "im-aud") is None
    frame = table.frame()
    assert frame.index.name == "nDCG@30, exponential gain"
    assert list(frame.index) == ["random", "same class", "AVE-Net", "VGG16 (stand-in)", "oracle"]
    assert frame.loc["VGG16 (stand-in)", "im-aud"] == "-" != frame.loc["VGG16 (stand-in)", "im-im"]
    assert frame.loc["AVE-Net", "paper aud-im"] == "0.587" and frame.loc["oracle", "paper im-im"] == "-"
    cell = table.mean("AVE-Net", "im-im").interval()
    assert frame.loc["AVE-Net", "im-im"] == f"{cell.value:.3f} ± {(cell.high - cell.low) / 2:.3f}"
    figure = table.figure()
    assert len(figure.axes) == 4
    plt.close(figure)


def test_a_difference_is_taken_query_by_query():
    methods = {"a": method([noise(0), noise(1)]), "b": method([noise(2), noise(3)])}
    table = avc.search(methods, RELEVANCE)
    gap = table.difference("a", "b", "im-aud")
    a, b = table.rows["a"]["im-aud"], table.rows["b"]["im-aud"]
    assert gap.value == pytest.approx((a - b).mean())
    assert tuple(gap.each) == pytest.approx(tuple((a - b).mean(1)))
    alone = table.difference("a", "random", "im-aud")
    assert alone.value == pytest.approx(a.mean() - table.rows["random"]["im-aud"].mean())


def test_results_carry_the_paper_chance_seeds_and_what_was_counted(lesson):
    here = lesson()
    here.store()
    runs = [dataclasses.replace(fresh("avenet", seed=s), minutes=2.0) for s in (0, 1)]
    table = avc.search({"AVE-Net": method([noise(0), noise(1)], runs=runs)}, RELEVANCE, gain="linear", k=10)
    results = {row.name: row for row in table.results(here)}
    assert len(results) == 12, "random, same class and AVE-Net; an oracle is no result"
    row = results["nDCG@10 linear, im-aud, AVE-Net"]
    cell = table.mean("AVE-Net", "im-aud").interval()
    assert (row.value, row.low, row.high) == (cell.value, cell.low, cell.high)
    assert (row.paper, row.seeds, row.n, row.minutes, row.unit) == (0.561, (0, 1), 96, 4.0, "nDCG")
    assert row.chance == results["nDCG@10 linear, im-aud, random"].value
    assert row.data_hash == here.data_hash and table.title == "nDCG@10, linear gain"


def test_the_papers_table_is_whole():
    assert all(len(row) == len(DIRECTIONS) for row in PAPER_NDCG.values())
    assert set(PAPER_NDCG["random"]) == {0.407}
    for name, row in PAPER_NDCG.items():
        assert all(value is None or 0.3 < value < 0.7 for value in row), name


def test_relevance_follows_the_classes_of_the_store(store, photos):
    assert avc.relevance(store).source == "family tree"
    grades = avc.relevance(photos)
    assert grades.names == NAMES
    assert all(int(row.argmax()) == k for k, row in enumerate(grades.between(range(4), range(4))))


# ---------------------------------------------------------------------------------- rivals with CCA


def correlated(seed: int, count: int = 60):
    """Two senses that share three directions, the rest noise."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(count, 3, generator=generator)
    maps = torch.Generator().manual_seed(99)
    image, audio = (shared @ torch.randn(3, size, generator=maps) for size in (10, 7))
    image += 0.5 * torch.randn(image.shape, generator=generator)
    audio += 0.5 * torch.randn(audio.shape, generator=generator)
    return vectors_of(image, audio, np.arange(count) % 8)


def test_both_variants_of_cca_are_fitted_and_said():
    spaces = [(correlated(0), correlated(1), correlated(2)), (correlated(3), correlated(4), correlated(5))]
    rows = aligned("L3-Net + CCA", spaces, [0], 0.0)
    assert list(rows) == ["L3-Net + CCA, paper", "L3-Net + CCA, tuned"]
    paper, tuned = rows.values()
    assert paper.note == "7 components, r = 1e-8" and len(paper.vectors) == len(tuned.vectors) == 2
    assert "on validation: r = " in tuned.note and tuned.note.count(";") == 2, "one choice for every seed"
    assert tuned.vectors[0].image.shape == (60, 7)


def test_test_items_decide_nothing_about_the_maps():
    """Permuted test vectors give the permuted projections, and the same choice of regularization."""
    train, val, test = correlated(0), correlated(1), correlated(2)
    order = np.random.default_rng(0).permutation(60)
    mixed = vectors_of(test.image[order], test.audio[order.copy()[::-1].copy()], test.image_label)
    rows, other = (aligned("x", [(train, val, part)], [], 0.0) for part in (test, mixed))
    for name in rows:
        assert rows[name].note == other[name].note
        ours, theirs = rows[name].vectors[0], other[name].vectors[0]
        assert torch.allclose(ours.image[order], theirs.image, atol=1e-6)
        assert torch.allclose(ours.audio[order[::-1].copy()], theirs.audio, atol=1e-6)


def test_validation_items_decide_about_the_tuned_variant_only():
    """Validation pairs of which nothing is right take another choice; the paper's has none."""
    train, val, test = correlated(0, 12), correlated(1), correlated(2)
    rows = aligned("x", [(train, val, test)], [], 0.0)
    notes = set()
    for seed in range(6):
        wrong = dataclasses.replace(val, audio=random_unit(60, 7, seed))
        other = aligned("x", [(train, wrong, test)], [], 0.0)
        assert torch.equal(other["x, paper"].vectors[0].image, rows["x, paper"].vectors[0].image)
        notes.add(other["x, tuned"].note)
    assert len(notes | {rows["x, tuned"].note}) > 1


def test_few_training_pairs_leave_fewer_components():
    rows = aligned("x", [(correlated(0, 5), correlated(1), correlated(2))], [], 0.0)
    assert rows["x, paper"].note.startswith("4 components") and rows["x, paper"].vectors[0].image.shape == (
        60,
        4,
    )


# ------------------------------------------------------------------------------------- all of the table


def test_the_whole_table_of_a_lesson(lesson):
    here = lesson(retrain=True)
    store = here.store()
    runs = [fresh("avenet"), fresh("avenet", seed=1)]
    flow = [fresh("avenet-of", seed, view="flow") for seed in (0, 1)]
    methods = avc.retrieval_methods(here, {"AVE-Net": runs, "AVE+OF": flow})
    assert list(methods) == [
        "L3-Net", "L3-Net + CCA, paper", "L3-Net + CCA, tuned", "VGG16 (stand-in)",
        "VGG16 (stand-in) + L3 audio, CCA, paper", "VGG16 (stand-in) + L3 audio, CCA, tuned",
        "AVE-Net", "AVE+OF",
    ]  # fmt: skip
    assert all(len(row.vectors) == 2 for row in methods.values()), "rivals for the same seeds"
    assert methods["L3-Net"].seeds == [0, 1]
    assert methods["VGG16 (stand-in)"].vectors[0].audio is None
    assert "stand-in" in methods["VGG16 (stand-in)"].note and "all pairs" in methods["AVE-Net"].note
    table = avc.search(methods, avc.relevance(store))
    assert list(table.rows["VGG16 (stand-in)"]) == ["im-im"]
    full = [name for name in table.rows if name != "VGG16 (stand-in)"]
    assert all(list(table.rows[name]) == list(DIRECTIONS) for name in full)
    assert len(table.results(here)) == 4 * (len(full) - 1) + 1


def test_rivals_of_photos_are_fitted_to_pairs_of_a_class(photos, lesson, monkeypatch):
    from llinet_lite import workspace

    monkeypatch.setattr(workspace, "world", lambda settings, **changes: photos)
    methods = avc.retrieval_methods(lesson(retrain=True), {"AVE-Net": [fresh("avenet")]})
    table = avc.search(methods, avc.relevance(photos))
    assert table.rows["L3-Net + CCA, tuned"]["im-aud"].shape == (1, len(photos.images("test")))
    assert SETTINGS.batch_size <= len(photos.images("train"))


def test_published_numbers_come_back_as_the_table(lesson):
    here = lesson("02_ave_net")
    here.store()
    table = avc.search({"perfect": method([perfect(), perfect()]), "noise": method(noise(1))}, RELEVANCE)
    frame, shown = avc.published_frame(table.results(here)), table.frame()
    assert [name for name, _ in frame.index] == ["random", "same class", "perfect", "noise"]
    for name, seeds in frame.index:
        assert list(frame.loc[(name, seeds)]) == list(shown.loc[name, list(frame.columns)])
    assert avc.published_frame([]).empty and avc.published_frame(table.results(here), "linear").empty
