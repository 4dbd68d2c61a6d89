"""R@1 and mAP by class against scikit-learn and brute force; chance against every order there is."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, confusion_matrix
from sklearn.metrics.pairwise import cosine_similarity

from llinet_lite.metrics.retrieval import (
    average_precision,
    chance_average_precision,
    chance_mean_average_precision,
    chance_recall_at_1,
    class_confusion,
    class_retrieval,
    compare,
    cosine_scores,
    hit_at_1,
    mean_average_precision,
    recall_at_1,
    released_map,
    summarize,
)

TIES = ("stable", "average")


def by_hand(relevant):
    """AP of one ranking, a list of bool, by its definition."""
    hits = [place for place, one in enumerate(relevant, 1) if one]
    return sum(nth / place for nth, place in enumerate(hits, 1)) / len(hits)


def over_all_orders(scores, relevant):
    """Mean AP over all orders that fall, in plain Python."""
    orders = itertools.permutations(range(len(scores)))
    falling = [order for order in orders if all(scores[i] >= scores[j] for i, j in itertools.pairwise(order))]
    return math.fsum(by_hand([relevant[i] for i in order]) for order in falling) / len(falling)


def task(queries=30, count=60, share=0.2, seed=0):
    """Scores below 0 without ties; the first item is relevant to all."""
    rng = np.random.default_rng(seed)
    relevant = rng.random((queries, count)) < share
    relevant[:, 0] = True
    return torch.from_numpy(-rng.random((queries, count)) - 0.1), torch.from_numpy(relevant)


def classes(items=200, sounds=150, count=5, seed=0):
    """Scores that favour the own class, and labels, of unequal classes 10, 11, ..."""
    rng = np.random.default_rng(seed)
    share = np.arange(1, count + 1) / np.arange(1, count + 1).sum()
    image, audio = (np.r_[:count, rng.choice(count, n - count, p=share)] + 10 for n in (items, sounds))
    scores = rng.standard_normal((items, sounds)) + 1.0 * (image[:, None] == audio)
    return torch.from_numpy(scores), torch.from_numpy(image), torch.from_numpy(audio)


# ---- average precision


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [-3.0, 0.0, 0.6])  # all below 0, as they are, of both signs
def test_it_is_scikit_learns(offset, dtype, ties):
    scores, relevant = task()
    scores = (scores + offset).to(dtype)
    assert all(len(row.unique()) == 60 for row in scores), "no ties"
    wanted = [average_precision_score(r, s) for r, s in zip(relevant.numpy(), scores.numpy(), strict=True)]
    got = average_precision(scores, relevant, ties)
    assert got.dtype == torch.float64 and got.shape == (30,)
    assert got.numpy() == pytest.approx(np.array(wanted), abs=1e-12)
    assert mean_average_precision(scores, relevant, ties) == pytest.approx(np.mean(wanted), abs=1e-12)


def test_values_that_are_known():
    scores = torch.tensor([[0.4, 0.3, 0.2, 0.1]])
    for relevant, value in (
        ([1, 1, 0, 0], 1.0),
        ([1, 1, 1, 1], 1.0),
        ([0, 1, 0, 0], 0.5),
        ([0, 0, 0, 1], 0.25),
        ([1, 0, 1, 0], (1 + 2 / 3) / 2),
    ):
        assert average_precision(scores, torch.tensor([relevant]).bool()).tolist() == [value]


def test_a_perfect_ranking_is_exactly_1():
    _, relevant = task(count=700)
    scores = relevant.float() - torch.rand(30, 700, generator=torch.Generator().manual_seed(0)) - 3
    assert (average_precision(scores, relevant) == 1).all()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ties_follow_the_database_or_are_averaged(data):
    count = data.draw(st.integers(1, 6))
    scores = data.draw(st.lists(st.sampled_from([-2.5, -1.0, 0.0, 3.0]), min_size=count, max_size=count))
    relevant = data.draw(st.lists(st.booleans(), min_size=count, max_size=count).filter(any))
    given_ = torch.tensor([scores]), torch.tensor([relevant])
    stable = [relevant[i] for i in sorted(range(count), key=lambda i: (-scores[i], i))]
    assert average_precision(*given_).item() == pytest.approx(by_hand(stable), abs=1e-12)
    wanted = over_all_orders(scores, relevant)
    assert average_precision(*given_, ties="average").item() == pytest.approx(wanted, abs=1e-12)


def test_minus_zero_is_zero():
    scores, relevant = torch.tensor([[-0.0, 0.0, -1.0]]), torch.tensor([[False, True, False]])
    assert average_precision(scores, relevant).item() == 0.5
    assert average_precision(scores, relevant, "average").item() == 0.75


@pytest.mark.parametrize("ties", TIES)
def test_order_of_queries_and_of_items_does_not_matter(ties):
    scores, relevant = task()
    if ties == "average":
        scores = torch.round(scores * 8) / 8
    queries, items = (torch.randperm(n, generator=torch.Generator().manual_seed(n)) for n in (30, 60))
    got = average_precision(scores[queries][:, items], relevant[queries][:, items], ties)
    assert torch.allclose(got, average_precision(scores, relevant, ties)[queries], atol=1e-14, rtol=0)


def test_pieces_of_a_large_matrix_make_the_whole(monkeypatch):
    scores, relevant = task()
    scores = torch.round(scores * 8) / 8
    image, audio = torch.randn(2, 20, 16, generator=torch.Generator().manual_seed(0))
    whole = torch.stack([average_precision(scores, relevant, ties) for ties in TIES])
    cosine = cosine_scores(image, audio)
    for module in ("precision", "by_class"):
        monkeypatch.setattr(f"llinet_lite.metrics.retrieval.{module}.CELLS", 130)
    pieces = torch.stack([average_precision(scores, relevant, ties) for ties in TIES])
    assert torch.allclose(pieces, whole, atol=1e-15, rtol=0)
    assert torch.allclose(cosine_scores(image, audio), cosine, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats_are_ranked_as_they_are(dtype):
    scores, relevant = task()
    scores = scores.to(dtype).requires_grad_()
    for ties in TIES:
        got = average_precision(scores, relevant, ties)
        assert torch.equal(got, average_precision(scores.double(), relevant, ties)) and not got.requires_grad


# ---- chance


def test_chance_is_the_mean_over_all_orders():
    for count in range(1, 8):
        for relevant in range(1, count + 1):
            places = itertools.combinations(range(count), relevant)
            each = [by_hand([i in chosen for i in range(count)]) for chosen in places]
            assert chance_average_precision(relevant, count).item() == pytest.approx(np.mean(each), abs=1e-13)


def test_chance_is_the_formula():
    for count, relevant in ((747, 150), (747, 54), (10, 1), (2, 1)):
        harmonic = math.fsum(1 / i for i in range(1, count + 1))
        wanted = (harmonic + (relevant - 1) / (count - 1) * (count - harmonic)) / count
        assert chance_average_precision(relevant, count).item() == pytest.approx(wanted, abs=1e-13)
    got = chance_average_precision(torch.tensor([[1, 4], [7, 7]]), 7)
    assert got.shape == (2, 2) and got.dtype == torch.float64 and got[1].tolist() == pytest.approx([1, 1])
    assert (got[0] > torch.tensor([1 / 7, 4 / 7])).all()


def test_chance_is_the_mean_of_random_rankings():
    """Of the test set of INSTRUMENT-32CLASS: its eight classes have these sizes."""
    labels = torch.arange(8).repeat_interleave(torch.tensor([150, 70, 113, 77, 54, 62, 150, 71]))
    rng = torch.Generator().manual_seed(0)
    found = [class_retrieval(torch.rand(747, 747, generator=rng), labels, labels)["I2A"] for _ in range(12)]
    for values, chance, known in (
        (torch.stack([one.hits.double() for one in found]), chance_recall_at_1(labels, labels), 0.144),
        (
            torch.stack([one.precisions for one in found]),
            chance_mean_average_precision(labels, labels),
            0.151,
        ),
    ):
        error = values.std() / values.numel() ** 0.5
        assert abs(values.mean() - chance) < 4 * error and chance == pytest.approx(known, abs=5e-4)
    assert (found[0].chance_hit, found[0].chance_precision) == (
        chance_recall_at_1(labels, labels),
        chance_mean_average_precision(labels, labels),
    )


def test_chance_of_unlike_sides():
    assert chance_recall_at_1([0, 0, 1, 7], [0, 1, 1]) == pytest.approx((1 / 3 + 1 / 3 + 2 / 3 + 0) / 4)
    one, two = chance_average_precision(torch.tensor([1, 2]), 3).tolist()
    assert chance_mean_average_precision([0, 0, 1], [0, 1, 1]) == pytest.approx((2 * one + two) / 3)
    with pytest.raises(
        ValueError, match=r"relevant must be 1 to 3, the size of the database; it runs from 0"
    ):
        chance_mean_average_precision([0, 7], [0, 1, 1])


def test_one_score_for_all_is_chance_when_ties_are_averaged():
    _, image, audio = classes()
    nothing = torch.zeros(200, 150)
    for found in class_retrieval(nothing, image, audio, ties="average").values():
        assert found.mean_average_precision == pytest.approx(found.chance_precision, abs=1e-13)


# ---- recall at 1, confusion


def test_hits_are_nearest_items_of_the_class():
    scores, image, audio = classes()
    wanted = [int(audio[max(range(150), key=lambda j: row[j])]) for row in scores.tolist()]
    hits = hit_at_1(scores, image, audio)
    assert hits.dtype == torch.bool and hits.tolist() == [
        a == int(b) for a, b in zip(wanted, image, strict=True)
    ]
    assert recall_at_1(scores, image.tolist(), audio.numpy()) == np.mean(hits.tolist())
    assert 0.3 < recall_at_1(scores, image, audio) < 1


def test_of_equal_scores_the_first_item_is_nearest():
    scores = torch.tensor([[1.0, 2.0, 2.0], [5.0, 5.0, 5.0]])
    assert hit_at_1(scores, [7, 7], [7, 8, 7]).tolist() == [False, True]


def test_confusion_is_scikit_learns():
    scores, image, audio = classes()
    order = [12, 10, 14, 13, 11]
    got = class_confusion(scores, image, audio, order)
    answers = audio[scores.argmax(1)]
    wanted = confusion_matrix(image, answers, labels=order, normalize="true")
    assert got.numpy() == pytest.approx(wanted, abs=1e-15)
    hits = hit_at_1(scores, image, audio)
    assert got.diagonal().tolist() == pytest.approx([hits[image == c].double().mean().item() for c in order])


def test_confusion_of_the_first_answers():
    scores, image, audio = classes()
    got = class_confusion(scores, image, audio, range(10, 15), k=7)
    wanted = np.zeros((5, 5))
    for row, own in zip(scores.tolist(), image.tolist(), strict=True):
        for item in sorted(range(150), key=lambda j: -row[j])[:7]:
            wanted[own - 10, int(audio[item]) - 10] += 1
    assert got.numpy() == pytest.approx(wanted / wanted.sum(1, keepdims=True), abs=1e-15)
    whole = class_confusion(scores, image, audio, range(10, 15), k=150)
    assert (whole == whole[0]).all()  # the shares of the database


# ---- both directions


def test_both_directions_are_two_calls():
    scores, image, audio = classes()
    found = class_retrieval(scores, image, audio)
    assert list(found) == ["I2A", "A2I"]
    for name, score, queries, gallery in (("I2A", scores, image, audio), ("A2I", scores.T, audio, image)):
        one, same = found[name], (queries[:, None] == gallery).numpy()
        wanted = [average_precision_score(r, s) for r, s in zip(same, score.numpy(), strict=True)]
        assert one.precisions.numpy() == pytest.approx(np.array(wanted), abs=1e-12)
        assert one.mean_average_precision == pytest.approx(np.mean(wanted), abs=1e-12)
        assert torch.equal(one.hits, hit_at_1(score, queries, gallery))
        assert one.recall_at_1 == recall_at_1(score, queries, gallery)
        assert one.chance_hit == pytest.approx(same.mean())
    swapped = class_retrieval(scores.T, audio, image)
    assert torch.equal(swapped["A2I"].precisions, found["I2A"].precisions)
    assert torch.equal(swapped["I2A"].hits, found["A2I"].hits)


def test_it_goes_into_the_intervals():
    first, second = (class_retrieval(*classes(seed=seed))["I2A"] for seed in (0, 0))
    found = summarize(first.hits)
    assert found.interval.value == pytest.approx(first.recall_at_1) and found.interval.n == 200
    assert found.interval.low < found.interval.value < found.interval.high
    both = summarize(torch.stack([first.precisions, second.precisions / 2]))
    assert both.seeds == pytest.approx((first.mean_average_precision, second.mean_average_precision / 2))
    assert compare(first.precisions, second.precisions).interval.value == 0


# ---- cosine


def test_cosine_scores_are_cosines():
    image, audio = torch.randn(2, 30, 16, generator=torch.Generator().manual_seed(0))
    image[3] = 0
    got = cosine_scores(5 * image, audio[:20])
    assert got.dtype == torch.float32 and got.shape == (30, 20) and (got[3] == 0).all()
    assert got.numpy() == pytest.approx(cosine_similarity(image.numpy(), audio[:20].numpy()), abs=1e-6)
    with pytest.raises(ValueError, match=r"Spaces of two sizes"):
        cosine_scores(image, audio[:, :8])
    with pytest.raises(ValueError, match="NaN or infinite"):
        cosine_scores(image / 0, audio)


# ---- the released code


def three_classes():
    """Six pairs of three classes on a circle: angles of images and sounds, in degrees."""
    image, audio = torch.tensor([[0.0, 50, 20, 120, 300, 70], [8.0, 88, 200, 40, 310, 130]]).deg2rad()
    labels = torch.tensor([4, 2, 9, 4, 2, 9])
    return *(3 * torch.stack([angle.cos(), angle.sin()], 1) for angle in (image, audio)), labels


def test_the_released_map_by_hand():
    """First items: 1 of class 2, 0 of class 4, 2 of class 9.

    Sounds in the order of their distance from images at 50, 0 and 20 degrees:
    3 1 0 5 4 2, 0 3 4 1 5 2 and 0 3 1 4 5 2; the class's own are 1 4, 0 3 and 2 5.
    Images from sounds at 88, 8 and 200 degrees:
    5 3 1 2 0 4, 0 2 1 5 4 3 and 3 4 5 1 0 2; own 1 4, 0 3, 2 5.
    """
    got = released_map(*three_classes(), drop_last=None)
    assert got.queries == (1, 0, 2) and got.items == 6
    image_to_audio = np.mean([(1 / 2 + 2 / 5) / 2, (1 + 1) / 2, (1 / 5 + 2 / 6) / 2])
    audio_to_image = np.mean([(1 / 3 + 2 / 6) / 2, (1 + 2 / 6) / 2, (1 / 3 + 2 / 6) / 2])
    assert got.image_to_audio == pytest.approx(image_to_audio, abs=1e-12)
    assert got.audio_to_image == pytest.approx(audio_to_image, abs=1e-12)
    assert got.mAPi2a == got.audio_to_image != got.image_to_audio == got.mAPa2i  # the names are exchanged


def test_the_released_loader_drops_its_last_batch():
    labels = torch.arange(8).repeat_interleave(torch.tensor([150, 70, 113, 77, 54, 62, 150, 71]))
    image, audio = torch.randn(2, 747, 12, generator=torch.Generator().manual_seed(0))
    got, full = (released_map(image, audio, labels, drop_last=size) for size in (32, None))
    assert (got.items, full.items) == (736, 747)
    assert got.queries == full.queries == (0, 150, 220, 333, 410, 464, 526, 676)
    assert got == released_map(image[:736], audio[:736], labels[:736], drop_last=None) != full
    assert got == released_map(image, audio, labels)


def test_the_released_map_is_the_mean_over_its_queries():
    image, audio, labels = three_classes()
    scores = cosine_scores(image, audio)
    every, got = class_retrieval(scores, labels, labels), released_map(image, audio, labels, None)
    assert got.image_to_audio == pytest.approx(every["I2A"].precisions[[1, 0, 2]].mean().item())
    assert got.audio_to_image == pytest.approx(every["A2I"].precisions[[1, 0, 2]].mean().item())


# ---- refusals


def test_refusals_of_average_precision():
    scores, relevant = task(queries=3, count=4)
    with pytest.raises(ValueError, match=r"got \(3, 4\) and \(3, 2\) torch.bool"):
        average_precision(scores, relevant[:, :2])
    with pytest.raises(ValueError, match=r"relevant as many bool; got \(3, 4\) and \(3, 4\) torch.int64"):
        average_precision(scores, relevant.long())
    with pytest.raises(ValueError, match="not empty"):
        average_precision(scores[:0], relevant[:0])
    with pytest.raises(ValueError, match="scores must be finite floats"):
        average_precision(scores / 0, relevant)
    with pytest.raises(ValueError, match="ties must be"):
        average_precision(scores, relevant, "random")
    relevant[1] = False
    with pytest.raises(ValueError, match=r"nothing is relevant to 1 of 3 queries \(first: query 1\)"):
        average_precision(scores, relevant)
    for wrong in (0, 5):
        with pytest.raises(ValueError, match=f"relevant must be 1 to 4.*runs from {wrong} to {wrong}"):
            chance_average_precision(wrong, 4)


def test_refusals_of_labels():
    scores, image, audio = classes()
    with pytest.raises(ValueError, match=r"query labels must be \(200,\) integers.*got \(199,\)"):
        hit_at_1(scores, image[1:], audio)
    with pytest.raises(ValueError, match=r"gallery labels must be \(150,\) integers.*torch.float64"):
        class_retrieval(scores, image, audio.double())
    with pytest.raises(ValueError, match=r"\(queries, database\) and not empty; got \(0, 150\)"):
        hit_at_1(scores[:0], [], audio)
    with pytest.raises(ValueError, match="scores must be finite floats"):
        hit_at_1(scores * torch.nan, image, audio)
    with pytest.raises(ValueError, match=r"label 14 must be in classes, \[10, 11, 12, 13\], once"):
        class_confusion(scores, image, audio, [10, 11, 12, 13])
    with pytest.raises(ValueError, match="label 10 must be in classes"):
        class_confusion(scores, image, audio, [10, 10, 11, 12, 13, 14])
    with pytest.raises(ValueError, match="class 15 has no query"):
        class_confusion(scores, image, audio, range(10, 16))
    for k in (0, 151):
        with pytest.raises(ValueError, match=f"k must be 1 to 150.*got {k}"):
            class_confusion(scores, image, audio, range(10, 15), k)


def test_refusals_of_the_released_map():
    image, audio, labels = three_classes()
    with pytest.raises(ValueError, match=r"6 items make no full batch of 32.*drop_last=None"):
        released_map(image, audio, labels)
    with pytest.raises(ValueError, match="got 6 images and 5 sounds"):
        released_map(image, audio[:5], labels)
