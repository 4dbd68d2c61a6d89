"""nDCG against scikit-learn, torchmetrics and brute force; reference rows against simulation."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score
from torch.nn.functional import normalize

from llinet_lite.metrics.correspondence import clip_bootstrap
from llinet_lite.metrics.directions import DIRECTIONS, Protocol, cross_modal, protocols, reference_rows
from llinet_lite.metrics.relevance import relevance_of, same_class
from llinet_lite.metrics.retrieval import (
    compare,
    ndcg,
    nearest,
    oracle_row,
    random_row,
    same_class_row,
    score_embeddings,
    summarize,
)
from llinet_lite.world.instruments import INSTRUMENTS

GAINS = ("linear", "exponential")
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


# ---- the measure


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize(("k", "count"), [(1, 50), (5, 50), (30, 50), (50, 50), (99, 50), (30, 2)])
def test_it_is_scikit_learns(k, count, gain):
    scores, relevance = task(count=count)
    got = ndcg(scores, relevance, k, gain)
    assert got.dtype == torch.float64 and got.shape == (20,)
    assert got.numpy() == pytest.approx(by_scikit_learn(scores, relevance, k, gain), abs=1e-12)
    assert torch.equal(ndcg(scores, relevance, k, gain, ties="average"), got) or torch.allclose(
        ndcg(scores, relevance, k, gain, ties="average"), got, atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("k", [1, 5, 30])
def test_it_is_torchmetrics(k):
    functional = pytest.importorskip("torchmetrics.functional.retrieval", reason="torchmetrics is not here")
    scores, relevance = task()
    rows = zip(scores, relevance, strict=True)
    wanted = [functional.retrieval_normalized_dcg(s, r, top_k=k) for s, r in rows]
    assert ndcg(scores, relevance, k).numpy() == pytest.approx(np.array(wanted), abs=1e-6)


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


def test_averaged_ties_are_the_mean_over_all_orders():
    scores, relevance = torch.tensor([[1.0, 0.0, 0.0, 0.0, 2.0]]), torch.tensor([[1, 5, 0, 2, 3]])
    orders = [[4, 0, *rest] for rest in itertools.permutations((1, 2, 3))]
    each = [by_hand(-np.argsort(order), relevance[0].tolist(), 3, "linear") for order in orders]
    assert ndcg(scores, relevance, 3, ties="average").item() == pytest.approx(np.mean(each), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_it_is_the_plain_definition(data):
    count, k = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 14))
    gain = data.draw(st.sampled_from(GAINS))
    scores = data.draw(st.lists(st.sampled_from([-2.5, -1.0, -0.5, 0.0]), min_size=count, max_size=count))
    relevance = data.draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
    got = ndcg(torch.tensor([scores]), torch.tensor([relevance]), k, gain).item()
    assert got == pytest.approx(by_hand(scores, relevance, k, gain), abs=1e-12)
    assert 0 <= got <= 1 + 1e-12


def test_nearest_is_a_stable_sort_whatever_is_equal():
    generator = torch.Generator().manual_seed(0)
    for values in (1, 2, 7, 10_000):
        scores = torch.randint(values, (40, 200), generator=generator).float() - 3
        wanted = scores.sort(dim=1, descending=True, stable=True).indices
        for k in (1, 10, 199, 200):
            assert torch.equal(nearest(scores, k), wanted[:, :k])


def test_the_ideal_is_that_of_the_whole_database():
    scores, relevance = torch.tensor([[3.0, 2.0, 1.0, 0.0]]), torch.tensor([[0, 1, 0, 2]])
    found = 1 / np.log2(3)
    assert ndcg(scores, relevance, 2).item() == pytest.approx(found / (2 + 1 / np.log2(3)))  # not found / 1


def test_nothing_relevant_is_zero_as_in_scikit_learn():
    scores, relevance = task(queries=3)
    relevance[1] = 0
    got = ndcg(scores, relevance)
    assert got[1] == 0 == ndcg_score([relevance[1].numpy()], [scores[1].numpy()])
    assert (got[[0, 2]] > 0).all()
    assert oracle_row(relevance).tolist() == [1, 0, 1] and random_row(relevance)[1] == 0


@pytest.mark.parametrize("ties", ["stable", "average"])
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


def test_pieces_of_a_large_matrix_make_the_whole(monkeypatch):
    scores, relevance = task()
    scores = torch.round(scores * 8) / 8
    own = torch.arange(20)
    whole = [ndcg(scores, relevance, 30, exclude=own, ties=ties) for ties in ("stable", "average")]
    distances = score_embeddings(scores, scores)
    monkeypatch.setattr("llinet_lite.metrics.retrieval.graded.CELLS", 130)
    pieces = [ndcg(scores, relevance, 30, exclude=own, ties=ties) for ties in ("stable", "average")]
    assert torch.equal(torch.stack(whole), torch.stack(pieces))
    assert torch.equal(score_embeddings(scores, scores), distances)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_short_floats_are_ranked_as_they_are(dtype):
    scores, relevance = task()
    assert torch.equal(ndcg(scores.to(dtype), relevance), ndcg(scores.to(dtype).double(), relevance))


# ---- distances


def test_scores_are_minus_distances():
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(30, 16, generator=generator)
    database = torch.randn(40, 16, generator=generator)
    wanted = -(queries.double()[:, None] - database.double()).square().sum(-1).sqrt()
    got = score_embeddings(queries, database)
    assert got.dtype == torch.float32
    assert torch.allclose(got.double(), wanted, rtol=1e-6, atol=0)
    assert torch.equal(got.argmax(1), wanted.argmax(1))


def test_equal_embeddings_tie_and_an_item_is_at_no_distance_of_itself():
    generator = torch.Generator().manual_seed(0)
    some = normalize(torch.randn(257, 128, generator=generator), dim=1)
    twice = torch.cat([some, some])
    scores = score_embeddings(some, twice)
    assert torch.equal(scores[:, :257], scores[:, 257:])
    assert (scores.diagonal() == 0).all() and (scores < 0).sum() == 257 * 512
    assert torch.equal(nearest(scores, 2), torch.stack([torch.arange(257), torch.arange(257) + 257], 1))


# ---- reference rows


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("k", [3, 12, 30])
def test_the_random_row_is_the_mean_of_random_rankings(k, gain):
    _, relevance = task(queries=4, count=20, best=4)
    own = torch.tensor([3, 0, 19, 7])
    scores = torch.rand(4 * 3000, 20, generator=torch.Generator().manual_seed(0))
    for exclude in (None, own):
        left_out = None if exclude is None else exclude.repeat(3000)
        draws = ndcg(scores, relevance.repeat(3000, 1), k, gain, left_out).reshape(3000, 4)
        error = draws.std(0) / 3000**0.5
        assert ((draws.mean(0) - random_row(relevance, k, gain, exclude)).abs() < 4 * error + 1e-12).all()


@pytest.mark.parametrize("gain", GAINS)
def test_the_random_row_is_the_mean_gain_at_every_place(gain):
    _, relevance = task()
    gains = relevance.double() if gain == "linear" else 2 ** relevance.double() - 1
    weights = 1 / np.log2(np.arange(2, 32))
    ideal = gains.sort(dim=1, descending=True).values[:, :30].numpy() @ weights
    wanted = gains.mean(1).numpy() * weights.sum() / ideal
    assert random_row(relevance, 30, gain).numpy() == pytest.approx(wanted, abs=1e-12)


def test_the_same_class_row_knows_the_class_alone():
    labels = torch.arange(32).repeat(5)
    graded = KIN.between(labels, labels)
    own = torch.arange(160)
    generator = torch.Generator().manual_seed(0)
    for k in (3, 30):  # four others are of the same class
        got = same_class_row(graded, 20, k, "exponential", own)
        draws = [
            ndcg((graded == 20) + 0.9 * torch.rand(graded.shape, generator=generator), graded, k,
                 "exponential", own)
            for _ in range(400)
        ]  # fmt: skip
        assert torch.allclose(got, torch.stack(draws).mean(0), atol=0.01)
        assert (random_row(graded, k, "exponential", own) < got).all() and (got <= 1 + 1e-12).all()
    assert torch.allclose(same_class_row(graded, 20, 3, "linear", own), torch.ones(160, dtype=torch.float64))


def test_the_oracle_is_one_and_nobody_beats_it():
    scores, relevance = task()
    own = torch.arange(20)
    assert oracle_row(relevance, exclude=own).numpy() == pytest.approx(np.ones(20), abs=1e-15)
    assert (ndcg(scores, relevance, exclude=own) <= 1).all()


# ---- four directions


@pytest.fixture(scope="module")
def clips():
    """Images and sounds of 64 clips: class means, the clip's own part, noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(32).repeat(2)
    centre = 2 * torch.randn(32, 12, generator=generator)[labels]
    clip = torch.randn(64, 12, generator=generator)
    image, audio = (
        normalize(centre + clip + 0.5 * torch.randn(64, 12, generator=generator)) for _ in range(2)
    )
    return image, audio, labels


@pytest.mark.parametrize(("own", "pair"), [("out", "in"), ("in", "out"), ("out", "none")])
def test_four_directions_are_four_calls(clips, own, pair):
    image, audio, labels = clips
    got = cross_modal(image, audio, labels, labels, KIN, k=10, gain="exponential", own=own, pair=pair)
    assert tuple(got) == DIRECTIONS
    diagonal = torch.arange(64)
    for name, queries, database, state in (
        ("im-im", image, image, own),
        ("im-aud", image, audio, pair),
        ("aud-im", audio, image, pair),
        ("aud-aud", audio, audio, own),
    ):
        scores = -torch.cdist(queries.double(), database.double())
        left_out = diagonal if state == "out" else None
        wanted = ndcg(scores, KIN.between(labels, labels), 10, "exponential", left_out)
        assert torch.allclose(got[name], wanted, atol=1e-9, rtol=0), name


def test_sets_that_share_only_classes(clips):
    image, audio, labels = clips
    with pytest.raises(ValueError, match=r'64 images and 40 sounds are not pairs.*pair="none"'):
        cross_modal(image, audio[:40], labels, labels[:40], KIN)
    got = cross_modal(image, audio[:40], labels, labels[:40], KIN, pair="none")
    assert {name: len(row) for name, row in got.items()} == dict(
        zip(DIRECTIONS, (64, 64, 40, 40), strict=True)
    )


def test_a_sense_that_is_missing_has_no_directions(clips):
    image, audio, labels = clips
    full = cross_modal(image, audio, labels, labels, KIN)
    seen = cross_modal(image, None, labels, labels, KIN)
    heard = cross_modal(None, audio, None, labels, KIN)
    assert tuple(seen) == ("im-im",) and tuple(heard) == ("aud-aud",)
    for name, row in (seen | heard).items():
        assert torch.equal(row, full[name])
    with pytest.raises(ValueError, match=r"Spaces of two sizes need a common one: CCA"):
        cross_modal(image, audio[:, :8], labels, labels, KIN)


def test_reference_rows_and_protocols_go_with_the_numbers(clips):
    image, audio, labels = clips
    setting = {"k": 10, "gain": "exponential", "own": "out", "pair": "out"}
    rows = reference_rows(labels, labels, KIN, **setting)
    method = cross_modal(image, audio, labels, labels, KIN, **setting)
    assert tuple(rows) == ("random", "same class", "oracle")
    for name in DIRECTIONS:
        random, same, oracle = (rows[row][name].mean() for row in rows)
        assert random < method[name].mean() < oracle == pytest.approx(1) and random < same < oracle
    stated = protocols(labels, labels[:40], KIN, own="in", pair="none")
    assert [p.database for p in stated.values()] == [64, 40, 64, 40]
    assert [p.own for p in stated.values()] == ["in", "none", "none", "in"]


def test_a_protocol_states_everything():
    said = str(protocols([0, 1], None, KIN, k=5, gain="exponential")["im-im"])
    assert said == (
        "nDCG@5, exponential gain 2^r - 1, r = 20 - d, d from family tree; database of 2 items, the query's "
        "own clip is left out; ideal ranking over all of it; ties in its order"
    )
    other = str(Protocol(30, "linear", 11, "AudioSet ontology", 4361, "in"))
    assert "nDCG@30, linear gain r, r = 11 - d, d from AudioSet ontology" in other
    assert "4361 items, the query's own clip stays in" in other
    assert "no clip of the query's own" in str(Protocol(30, "linear", 11, "same class only", 9, "none"))


# ---- intervals


def test_the_interval_of_one_seed_is_the_clip_bootstrap():
    hits = (np.random.default_rng(0).random(300) < 0.6).astype(float)
    got, wanted = summarize(torch.from_numpy(hits)), clip_bootstrap(hits, np.arange(300))
    assert got.interval == wanted and got.seeds == (wanted.value,)


def test_queries_and_seeds_widen_the_interval():
    rng = np.random.default_rng(0)
    hard = rng.random(400)
    values = hard + 0.3 * rng.standard_normal((3, 400)) + np.array([[0.0], [0.1], [0.2]])
    got = summarize(values)
    assert got.seeds == pytest.approx(values.mean(1)) and got.interval.value == pytest.approx(values.mean())
    queries, seeds = values.mean(0).std() / 20, values.mean(1).std(ddof=1) / np.sqrt(3)
    half = (got.interval.high - got.interval.low) / 2
    assert max(1.96 * queries, 4.2 * seeds) < half < 1.96 * queries + 4.4 * seeds
    assert got.interval.n == 400 and got == summarize(values) != summarize(values, seed=1)


def test_a_paired_difference_cancels_what_is_hard_for_both():
    rng = np.random.default_rng(0)
    hard = rng.random(200)
    first = hard + 0.02 + 0.02 * rng.standard_normal((3, 200))
    second = hard + 0.02 * rng.standard_normal((3, 200))
    difference, alone = compare(first, second), summarize(first)
    assert difference.interval.low > 0.01 and difference.interval.value == pytest.approx(0.02, abs=0.005)
    assert difference.interval.high - difference.interval.low < 0.2 * (
        alone.interval.high - alone.interval.low
    )
    assert len(difference.seeds) == 3
    assert compare(first, hard).seeds == pytest.approx((first - hard).mean(1))
    assert str(compare([0.5, 0.25], [0.25, 0.25], level=0.5)).startswith("0.125 [0.")


# ---- refusals


def test_refusals_of_the_measure():
    scores, relevance = task(queries=2, count=3)
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(2, 2\)"):
        ndcg(scores, relevance[:, :2])
    with pytest.raises(ValueError, match="not empty"):
        ndcg(scores[:0], relevance[:0])
    with pytest.raises(ValueError, match="scores must be finite floats"):
        ndcg(scores.masked_fill(scores > -0.5, torch.nan), relevance)
    with pytest.raises(ValueError, match="scores must be finite floats"):
        ndcg(relevance, relevance)
    with pytest.raises(ValueError, match="relevance must be finite and at least 0"):
        ndcg(scores, relevance - 21)
    with pytest.raises(ValueError, match="relevance must be finite and at least 0"):
        ndcg(scores, relevance.float() * torch.nan)
    with pytest.raises(ValueError, match="k must be at least 1"):
        ndcg(scores, relevance, 0)
    with pytest.raises(ValueError, match="gain must be"):
        ndcg(scores, relevance, gain="log")
    with pytest.raises(ValueError, match="ties must be"):
        ndcg(scores, relevance, ties="random")
    with pytest.raises(ValueError, match="too large for a float64"):
        ndcg(scores, relevance + 2000, gain="exponential")
    for bad in (torch.tensor([0]), torch.tensor([0, 3]), torch.tensor([-1, 0])):
        with pytest.raises(ValueError, match=r"exclude must be \(2,\) positions in the database, 0 to 2"):
            ndcg(scores, relevance, exclude=bad)


def test_refusals_around_it(clips):
    image, audio, labels = clips
    with pytest.raises(ValueError, match="NaN or infinite"):
        score_embeddings(image / 0, audio)
    with pytest.raises(ValueError, match="64 image embeddings need as many labels; got 63"):
        cross_modal(image, audio, labels[:63], labels, KIN)
    with pytest.raises(ValueError, match="64 audio embeddings need as many labels; got none"):
        cross_modal(None, audio, None, None, KIN)
    with pytest.raises(ValueError, match="got own='yes', pair='in'"):
        cross_modal(image, audio, labels, labels, same_class("abc"), own="yes")
    with pytest.raises(ValueError, match="values must be finite"):
        summarize([0.5, np.nan])
    with pytest.raises(ValueError, match="over the same queries"):
        compare(np.zeros((2, 5)), np.zeros((2, 6)))
    with pytest.raises(ValueError, match="and seeds"):
        compare(np.zeros((2, 5)), np.zeros((3, 5)))


def test_a_constant_lies_in_its_own_interval():
    for value in (0.1445049884897186, 0.1, 1 / 3):
        for count in (3, 81, 200):
            mean = summarize(np.full((1, count), value)).interval
            assert mean.low <= mean.value <= mean.high
