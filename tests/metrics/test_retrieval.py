"""Retrieval against scikit-learn and brute force; chance against every order there is."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, ndcg_score
from sklearn.metrics.pairwise import cosine_similarity
from torch.nn.functional import normalize

from llinet_lite.metrics.relevance import relevance_of
from llinet_lite.metrics.retrieval import (
    DIRECTIONS,
    FourDirections,
    average_precision,
    chance_average_precision,
    class_retrieval,
    cosine_scores,
    mean_average_precision,
    ndcg,
    nearest,
    recall_at_1,
    released_map,
    score_embeddings,
)
from llinet_lite.world.instruments import INSTRUMENTS

GAINS, TIES = ("linear", "exponential"), ("stable", "average")
KIN = relevance_of([row.name for row in INSTRUMENTS])


def task(queries=20, count=50, seed=0, best=20):
    """Scores below 0 without ties, and whole relevance 0 to `best`."""
    rng = np.random.default_rng(seed)
    scores = -rng.random((queries, count)) - 0.1
    relevance = rng.integers(0, best + 1, (queries, count))
    return torch.from_numpy(scores), torch.from_numpy(relevance)


def by_scikit_learn(scores, relevance, k, gain, ignore_ties=False):
    gains = relevance.double().numpy() if gain == "linear" else 2.0 ** relevance.double().numpy() - 1
    rows = zip(gains, scores.double().numpy(), strict=True)
    return [ndcg_score([g], [s], k=k, ignore_ties=ignore_ties) for g, s in rows]


def by_hand(scores, relevance, k, gain):
    """One query, plain Python: rank by score, then by place in the database."""
    value = (lambda r: r) if gain == "linear" else (lambda r: 2.0**r - 1)

    def dcg(ranking):
        return sum(value(relevance[i]) / np.log2(place + 2) for place, i in enumerate(ranking[:k]))

    everything = range(len(scores))
    ideal = dcg(sorted(everything, key=lambda i: -relevance[i]))
    return dcg(sorted(everything, key=lambda i: (-scores[i], i))) / ideal if ideal else 0.0


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize(("k", "count"), [(1, 50), (5, 50), (30, 50), (50, 50), (99, 50), (30, 2)])
def test_it_is_scikit_learns(k, count, gain):
    scores, relevance = task(count=count)
    relevance[1] = 0  # nothing relevant: 0
    got = ndcg(scores, relevance, k, gain)
    assert got.dtype == torch.float64 and got.shape == (20,)
    assert got.numpy() == pytest.approx(by_scikit_learn(scores, relevance, k, gain), abs=1e-12)
    assert torch.allclose(ndcg(scores, relevance, k, gain, ties="average"), got, atol=1e-12, rtol=0)


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("k", [1, 4, 12, 40])
def test_equal_scores_follow_the_database_or_are_averaged(k, gain):
    scores, relevance = task()
    scores = torch.round(scores * 4) / 4  # five values: place k always cuts a run of equal scores
    stable = [by_hand(s, r, k, gain) for s, r in zip(scores.tolist(), relevance.tolist(), strict=True)]
    assert ndcg(scores, relevance, k, gain).numpy() == pytest.approx(stable, abs=1e-12)
    averaged = by_scikit_learn(scores, relevance, k, gain)
    assert ndcg(scores, relevance, k, gain, ties="average").numpy() == pytest.approx(averaged, abs=1e-12)
    assert np.abs(np.array(stable) - averaged).max() > 1e-3


def test_nearest_is_a_stable_sort_whatever_is_equal():
    generator = torch.Generator().manual_seed(0)
    for values in (1, 2, 7, 10_000):
        scores = torch.randint(values, (40, 200), generator=generator).float() - 3
        wanted = scores.sort(dim=1, descending=True, stable=True).indices
        for k in (1, 10, 199, 200):
            assert torch.equal(nearest(scores, k), wanted[:, :k])


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("k", [1, 10, 49, 50, 70])
def test_leaving_the_own_item_out_is_deleting_it(k, ties):
    scores, relevance = task()
    scores = torch.round(scores * 8) / 8
    own = torch.randint(50, (20,), generator=torch.Generator().manual_seed(1))
    kept = torch.arange(50) != own[:, None]
    less = [part[kept].reshape(20, 49) for part in (scores, relevance)]  # (20, 50) -> (20, 49)
    before = scores.clone(), relevance.clone()
    for gain in GAINS:
        got = ndcg(scores, relevance, k, gain, own, ties)
        assert torch.allclose(got, ndcg(*less, k, gain, ties=ties), atol=1e-12, rtol=0)
    assert torch.equal(scores, before[0]) and torch.equal(relevance, before[1])


def test_scores_are_minus_distances_and_equal_embeddings_tie():
    some = normalize(torch.randn(257, 128, generator=torch.Generator().manual_seed(0)), dim=1)
    scores = score_embeddings(some, torch.cat([some, some]))
    wanted = -(some.double()[:, None] - some.double()).square().sum(-1).sqrt()
    assert scores.dtype == torch.float32
    assert torch.allclose(scores[:, :257].double(), wanted, rtol=1e-6, atol=0)
    assert torch.equal(scores[:, :257], scores[:, 257:])
    assert (scores.diagonal() == 0).all() and (scores < 0).sum() == 257 * 512
    assert torch.equal(nearest(scores, 2), torch.stack([torch.arange(257), torch.arange(257) + 257], 1))


@pytest.mark.parametrize("gain", GAINS)
def test_the_random_row_is_the_mean_gain_at_every_place(gain):
    _, relevance = task()
    gains = relevance.double() if gain == "linear" else 2 ** relevance.double() - 1
    weights = 1 / np.log2(np.arange(2, 32))
    ideal = gains.sort(dim=1, descending=True).values[:, :30].numpy() @ weights
    wanted = gains.mean(1).numpy() * weights.sum() / ideal
    got = ndcg(torch.zeros(relevance.shape), relevance, 30, gain, ties="average")
    assert got.numpy() == pytest.approx(wanted, abs=1e-12)


@pytest.fixture(scope="module")
def clips():
    """Images and sounds of 64 clips: class means, the clip's own part, noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(32).repeat(2)
    centre = 2 * torch.randn(32, 12, generator=generator)[labels]
    clip = torch.randn(64, 12, generator=generator)
    return *(normalize(centre + clip + 0.5 * torch.randn(64, 12, generator=generator)) for _ in "IA"), labels


def precision_by_hand(relevant):
    """AP of one ranking, a list of bool, by its definition."""
    hits = [place for place, one in enumerate(relevant, 1) if one]
    return sum(nth / place for nth, place in enumerate(hits, 1)) / len(hits)


def over_all_orders(scores, relevant):
    """Mean AP over all orders that fall, in plain Python."""
    orders = itertools.permutations(range(len(scores)))
    falling = [order for order in orders if all(scores[i] >= scores[j] for i, j in itertools.pairwise(order))]
    return math.fsum(precision_by_hand([relevant[i] for i in order]) for order in falling) / len(falling)


def precision_task(queries=30, count=60, share=0.2, seed=0):
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


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [-3.0, 0.0, 0.6])  # all below 0, as they are, of both signs
def test_average_precision_is_scikit_learns(offset, dtype, ties):
    scores, relevant = precision_task()
    scores = (scores + offset).to(dtype)
    wanted = [average_precision_score(r, s) for r, s in zip(relevant.numpy(), scores.numpy(), strict=True)]
    got = average_precision(scores, relevant, ties)
    assert got.dtype == torch.float64 and got.numpy() == pytest.approx(np.array(wanted), abs=1e-12)
    assert mean_average_precision(scores, relevant, ties) == pytest.approx(np.mean(wanted), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_ties_follow_the_database_or_are_averaged(data):
    count = data.draw(st.integers(1, 6))
    scores = data.draw(st.lists(st.sampled_from([-2.5, -1.0, 0.0, 3.0]), min_size=count, max_size=count))
    relevant = data.draw(st.lists(st.booleans(), min_size=count, max_size=count).filter(any))
    given_ = torch.tensor([scores]), torch.tensor([relevant])
    stable = [relevant[i] for i in sorted(range(count), key=lambda i: (-scores[i], i))]
    assert average_precision(*given_).item() == pytest.approx(precision_by_hand(stable), abs=1e-12)
    wanted = over_all_orders(scores, relevant)
    assert average_precision(*given_, ties="average").item() == pytest.approx(wanted, abs=1e-12)


def test_chance_is_the_mean_over_all_orders():
    for count in range(1, 8):
        for relevant in range(1, count + 1):
            places = itertools.combinations(range(count), relevant)
            each = [precision_by_hand([i in chosen for i in range(count)]) for chosen in places]
            assert chance_average_precision(relevant, count).item() == pytest.approx(np.mean(each), abs=1e-13)


def test_both_directions_are_two_calls():
    scores, image, audio = classes()
    found = class_retrieval(scores, image, audio)
    assert list(found) == ["I2A", "A2I"]
    for name, score, queries, gallery in (("I2A", scores, image, audio), ("A2I", scores.T, audio, image)):
        one, same = found[name], (queries[:, None] == gallery).numpy()
        wanted = [average_precision_score(r, s) for r, s in zip(same, score.numpy(), strict=True)]
        assert one.precisions.numpy() == pytest.approx(np.array(wanted), abs=1e-12)
        assert one.mean_average_precision == pytest.approx(np.mean(wanted), abs=1e-12)
        nearest_item = [max(range(len(row)), key=lambda j, row=row: row[j]) for row in score.tolist()]
        assert one.hits.tolist() == [float(r[j]) for r, j in zip(same, nearest_item, strict=True)]
        assert one.recall_at_1 == recall_at_1(score, queries.tolist(), gallery.numpy())
        assert 0.3 < one.recall_at_1 < 1 and one.chance_hit == pytest.approx(same.mean())
    for one in class_retrieval(torch.zeros(200, 150), image, audio).values():
        assert one.mean_average_precision == pytest.approx(one.chance_precision, abs=1e-13)


def test_equal_scores_count_by_the_mean_over_all_orders():
    labels = np.array([0] + [1] * 9)
    assert recall_at_1(torch.zeros(10, 10), labels, labels) == pytest.approx(0.82)
    found = class_retrieval(torch.zeros(10, 10), labels, labels)["I2A"]
    assert found.recall_at_1 == pytest.approx(found.chance_hit) == pytest.approx(0.82)
    assert recall_at_1(torch.tensor([[2.0, 2, 1]]), [0], [0, 1, 0]) == 0.5


def test_cosine_scores_are_cosines():
    image, audio = torch.randn(2, 30, 16, generator=torch.Generator().manual_seed(0))
    image[3] = 0
    got = cosine_scores(5 * image, audio[:20])
    assert got.dtype == torch.float32 and got.shape == (30, 20) and (got[3] == 0).all()
    assert got.numpy() == pytest.approx(cosine_similarity(image.numpy(), audio[:20].numpy()), abs=1e-6)


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
    assert got.mAPi2a == got.audio_to_image != got.image_to_audio  # the names are exchanged


def test_the_released_loader_drops_its_last_batch():
    labels = torch.arange(8).repeat_interleave(torch.tensor([150, 70, 113, 77, 54, 62, 150, 71]))
    image, audio = torch.randn(2, 747, 12, generator=torch.Generator().manual_seed(0))
    got, full = (released_map(image, audio, labels, drop_last=size) for size in (32, None))
    assert (got.items, full.items) == (736, 747)
    assert got.queries == full.queries == (0, 150, 220, 333, 410, 464, 526, 676)
    assert got == released_map(image[:736], audio[:736], labels[:736], drop_last=None) != full
    assert got == released_map(image, audio, labels)


def test_four_directions_are_four_calls(clips):
    image, audio, labels = clips
    directions = FourDirections(labels, labels, KIN, k=10, gain="exponential")
    got, references = directions.ndcg(image, audio), directions.references()
    assert tuple(got) == DIRECTIONS
    pairs = itertools.product((image, audio), repeat=2)
    for name, (queries, database) in zip(DIRECTIONS, pairs, strict=True):
        scores = -torch.cdist(queries.double(), database.double())
        left_out = torch.arange(64) if queries is database else None
        wanted = ndcg(scores, KIN.between(labels, labels), 10, "exponential", left_out)
        assert torch.allclose(got[name], wanted, atol=1e-9, rtol=0), name
        random, same = (row[name].mean() for row in references.values())
        assert random < got[name].mean() < 1 and random < same < 1
    for side, alone in ((0, "im-im"), (1, "aud-aud")):
        only = directions.ndcg(*(part if k == side else None for k, part in enumerate((image, audio))))
        assert list(only) == [alone] and torch.equal(only[alone], got[alone])


def test_sets_that_share_only_classes(clips):
    image, audio, labels = clips
    directions = FourDirections(labels, labels[:40], KIN, k=5, gain="exponential", paired=False)
    assert [len(row) for row in directions.ndcg(image, audio[:40]).values()] == [64, 64, 40, 40]
    start = "nDCG@5, exponential gain 2^r - 1, r = 20 - d, d from family tree; database of 64 items, "
    owns = {"im-im": "the query's own clip is left out", "aud-im": "no clip of the query's own"}
    for direction, own in owns.items():
        said = directions.statements()[direction]
        assert said == f"{start}{own}; ideal ranking over all of it; ties in its order"


S, R = task(queries=3, count=4)
P, HIT = precision_task(queries=3, count=4)
NONE = HIT & (torch.arange(3)[:, None] != 1)
Z = torch.zeros


@pytest.mark.parametrize(("call", "says"), [
    (lambda: ndcg(S, R[:, :2]), "must be .queries, items."),
    (lambda: ndcg(S / 0, R), "finite floats"),
    (lambda: ndcg(S, R - 30), "relevance must be finite"),
    (lambda: ndcg(S, R * 200, gain="exponential"), "too large"),
    (lambda: score_embeddings(Z(2, 3), Z(2, 4)), "Two sizes need"),
    (lambda: average_precision(P, HIT.long()), "must be bool"),
    (lambda: average_precision(P, NONE), r"1 have none: \[1\]"),
    (lambda: chance_average_precision(0, 4), "relevant must be 1 to 4"),
    (lambda: recall_at_1(P, [0, 1], [0, 1, 2, 3]), r"query labels must be \(3,\) integers"),
    (lambda: released_map(*three_classes()), "no full batch of 32"),
])  # fmt: skip
def test_what_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
