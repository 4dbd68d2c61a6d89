"""The index against brute force, its files against damage, nDCG of what it finds against full matrices."""

import json

import faiss
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from llinet_lite.metrics.neighbours import (
    KINDS,
    LEAST_IVFPQ,
    Index,
    ndcg_from_ids,
    random_from_labels,
    recall,
)
from llinet_lite.metrics.relevance import relevance_of
from llinet_lite.metrics.retrieval import ndcg, nearest, random_row, score_embeddings
from llinet_lite.world.instruments import INSTRUMENTS

KIN = relevance_of([row.name for row in INSTRUMENTS])
GAINS = ("linear", "exponential")


def vectors(count, dimension=8, seed=0):
    """Unit vectors around 32 classes."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(32, dimension, generator=torch.Generator().manual_seed(9))
    labels = torch.randint(32, (count,), generator=generator)
    noise = torch.randn(count, dimension, generator=generator)
    return normalize(centres[labels] + 0.5 * noise, dim=1), labels


@pytest.fixture(scope="module")
def large():
    """Database, queries, and an index of every kind."""
    database, queries = vectors(LEAST_IVFPQ)[0], vectors(60, seed=1)[0]
    return database, queries, {kind: Index.build(database, kind, seed=3) for kind in KINDS}


def test_exact_search_is_brute_force(large):
    database, queries, indexes = large
    scores = score_embeddings(queries, database)
    distances, ids = indexes["exact"].search(queries, 30)
    assert torch.equal(ids, nearest(scores, 30))
    assert torch.allclose(distances, -scores.gather(1, ids), rtol=1e-6, atol=0)
    assert distances.dtype == torch.float32 and ids.dtype == torch.int64


def test_many_queries_are_answered_in_pieces(large, monkeypatch):
    _, queries, indexes = large
    whole = indexes["hnsw"].search(queries)
    monkeypatch.setattr("llinet_lite.metrics.neighbours.CELLS", 7 * 30 * 8)
    for before, after in zip(whole, indexes["hnsw"].search(queries), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize(("kind", "least"), [("hnsw", 0.99), ("ivfpq", 0.7)])
def test_approximate_search_finds_most(large, kind, least):
    database, queries, indexes = large
    index, exact = indexes[kind], indexes["exact"]
    share = recall(index, exact, queries)
    assert least < share <= 1
    distances, ids = index.search(queries)
    truth = exact.search(queries)[1]
    by_sets = [len(set(a) & set(b)) / 30 for a, b in zip(ids.tolist(), truth.tolist(), strict=True)]
    assert share == pytest.approx(np.mean(by_sets))
    assert (distances.diff(dim=1) >= 0).all()
    true = (database[ids] - queries[:, None]).norm(dim=2)
    assert torch.allclose(distances, true, atol=1e-6 if kind == "hnsw" else 0.2)


def test_recall_counts_what_is_missed(large):
    _, queries, indexes = large
    assert recall(indexes["exact"], indexes["exact"], queries) == 1

    class Poor:
        kind, count, dimension = "poor", LEAST_IVFPQ, 8

        def search(self, queries, k):
            distances, ids = indexes["exact"].search(queries, k)
            return distances, ids.where(torch.arange(k) < 12, -1)

    assert recall(Poor(), indexes["exact"], queries) == pytest.approx(12 / 30)


@pytest.mark.parametrize("kind", KINDS)
def test_the_own_item_is_left_out(large, kind):
    database, _, indexes = large
    own = torch.arange(0, 5000, 50)
    near, ids = indexes[kind].search(database[own], 10, exclude=own)
    assert ids.shape == (100, 10) and (ids != own[:, None]).all() and (ids >= 0).all()
    every, all_ids = indexes[kind].search(database[own], 11)
    for i, item in enumerate(own.tolist()):
        kept = all_ids[i] != item
        assert torch.equal(ids[i], all_ids[i][kept][:10]) and torch.equal(near[i], every[i][kept][:10])


def test_an_item_is_at_no_distance_of_itself_and_copies_keep_their_order():
    """With so many queries faiss itself is off by 1e-3."""
    some, _ = vectors(3000, dimension=128)
    index = Index.build(torch.cat([some, some]))
    distances, ids = index.search(some, 2)
    assert (distances == 0).all()
    assert torch.equal(ids, torch.stack([torch.arange(3000), torch.arange(3000) + 3000], 1))


@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_a_small_database_is_found_whole_and_padded(kind):
    some, _ = vectors(5)
    distances, ids = Index.build(some, kind).search(some, 8, exclude=torch.arange(5))
    assert (ids[:, 4:] == -1).all() and torch.isinf(distances[:, 4:]).all()
    for i, row in enumerate(ids[:, :4].tolist()):
        assert sorted([*row, i]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["hnsw", "ivfpq"])
def test_the_seed_decides_the_index_and_threads_do_not(large, kind):
    database, _, indexes = large
    first = faiss.serialize_index(indexes[kind]._index)
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(2)
    try:
        again = faiss.serialize_index(Index.build(database, kind, seed=3)._index)
        assert faiss.omp_get_max_threads() == 2
        if kind == "hnsw":
            assert not np.array_equal(
                faiss.serialize_index(Index.build(database, kind, seed=4)._index), first
            )
    finally:
        faiss.omp_set_num_threads(threads)
    assert np.array_equal(first, again)


# ---- files


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_index_answers_the_same(large, kind, tmp_path):
    _, queries, indexes = large
    index = indexes[kind]
    index.save(tmp_path / "clips.faiss")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips.faiss", "clips.faiss.json"]
    loaded = Index.load(tmp_path / "clips.faiss")
    assert (loaded.kind, loaded.count, loaded.dimension) == (kind, LEAST_IVFPQ, 8)
    for before, after in zip(index.search(queries), loaded.search(queries), strict=True):
        assert torch.equal(before, after)


def test_a_file_that_was_changed_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "clips.faiss"
    Index.build(vectors(20)[0]).save(path)
    card = json.loads((tmp_path / "clips.faiss.json").read_text())
    assert {key: card[key] for key in ("kind", "dimension", "count")} == {
        "kind": "exact",
        "dimension": 8,
        "count": 20,
    }
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(faiss, "read_index", lambda *_: pytest.fail("a file of unknown content was read"))
    with pytest.raises(ValueError, match=r"clips\.faiss is not the file .*sha256 differs"):
        Index.load(path)
    (tmp_path / "clips.faiss.json").write_text("[]")
    with pytest.raises(ValueError, match="no card of an index"):
        Index.load(path)
    (tmp_path / "clips.faiss.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"clips\.faiss\.json is missing"):
        Index.load(path)


def test_a_card_of_another_shape_is_refused(tmp_path):
    path, card = tmp_path / "clips.faiss", tmp_path / "clips.faiss.json"
    Index.build(vectors(20)[0]).save(path)
    card.write_text(json.dumps(json.loads(card.read_text()) | {"count": 21}))
    with pytest.raises(ValueError, match=r"holds 20 x 8, its card says exact \(21, 8\)"):
        Index.load(path)


def test_a_failed_write_leaves_the_old_index(tmp_path, monkeypatch):
    path = tmp_path / "clips.faiss"
    Index.build(vectors(20)[0]).save(path)

    def full(index, name):
        with open(name, "wb") as file:
            file.write(b"half")
        raise RuntimeError("no space left")

    monkeypatch.setattr(faiss, "write_index", full)
    with pytest.raises(RuntimeError, match="no space"):
        Index.build(vectors(30)[0]).save(path)
    assert len(list(tmp_path.iterdir())) == 2 and Index.load(path).count == 20


# ---- nDCG


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("k", [1, 30, 400])
@pytest.mark.parametrize("several", [False, True])
def test_ndcg_of_ids_is_ndcg_of_matrices(k, gain, several):
    database, labels = vectors(300)
    if several:
        labels = [{int(a), int(b)} for a, b in zip(labels, labels.roll(1), strict=True)]
    index, graded = Index.build(database), KIN.between(labels, labels)
    scores = score_embeddings(database, database)
    for own in (None, torch.arange(300)):
        ids = index.search(database, k, exclude=own)[1]
        got = ndcg_from_ids(ids, labels, labels, KIN, k, gain, own)
        assert torch.allclose(got, ndcg(scores, graded, k, gain, own), atol=1e-12, rtol=0)
        wanted = random_row(graded, k, gain, own)
        assert torch.allclose(
            random_from_labels(labels, labels, KIN, k, gain, own), wanted, atol=1e-12, rtol=0
        )


def test_the_own_item_may_be_anything_of_another_set():
    """Queries of one sense, a database of the other, in which each query's clip has other labels."""
    (queries, labels), (database, others) = vectors(40), vectors(90, seed=2)
    own = torch.randperm(90, generator=torch.Generator().manual_seed(0))[:40]
    ids = Index.build(database).search(queries, 30, exclude=own)[1]
    got = ndcg_from_ids(ids, labels, others, KIN, gain="exponential", exclude=own)
    scores, graded = score_embeddings(queries, database), KIN.between(labels, others)
    assert torch.allclose(got, ndcg(scores, graded, gain="exponential", exclude=own), atol=1e-12, rtol=0)


def test_a_place_with_nothing_earns_nothing():
    ids = torch.tensor([[0, -1, 1], [0, 1, -1]])
    labels = torch.tensor([0, 0, 5])
    first, second = ndcg_from_ids(ids, torch.tensor([0, 0]), labels, KIN, k=3)
    ideal = 20 + 20 / np.log2(3) + 0.5 * KIN.between([0], [5]).item()
    assert first.item() == pytest.approx((20 + 10) / ideal)
    assert second.item() == pytest.approx((20 + 20 / np.log2(3)) / ideal)


# ---- refusals


def test_refusals(large):
    _, queries, indexes = large
    with pytest.raises(ValueError, match=r"kind must be one of .*'faiss'"):
        Index.build(queries, "faiss")
    with pytest.raises(
        ValueError, match=r'"ivfpq" learns 256 codewords from at least 9984 vectors; there are 60'
    ):
        Index.build(queries, "ivfpq")
    with pytest.raises(ValueError, match=r"vectors must be \(n, D\), not empty and finite"):
        Index.build(queries / 0)
    with pytest.raises(ValueError, match=r"queries must be \(n, D\).*\(8,\)"):
        indexes["exact"].search(queries[0])
    with pytest.raises(ValueError, match="queries have 7 values, the database 8"):
        indexes["exact"].search(queries[:, :7])
    with pytest.raises(ValueError, match="k must be at least 1"):
        indexes["exact"].search(queries, 0)
    with pytest.raises(ValueError, match="exclude must be"):
        indexes["exact"].search(queries, 5, exclude=torch.arange(3))
    with pytest.raises(ValueError, match="recall compares"):
        recall(indexes["exact"], indexes["hnsw"], queries)
    with pytest.raises(ValueError, match="recall compares"):
        recall(indexes["hnsw"], Index.build(queries), queries)


def test_refusals_of_ids():
    labels, ids = torch.arange(4), torch.tensor([[1, 2], [0, 3], [0, 1], [2, 0]])
    with pytest.raises(ValueError, match=r"ids must be \(4, at least 3\)"):
        ndcg_from_ids(ids, labels, labels, KIN, k=3)
    with pytest.raises(ValueError, match=r"ids must be \(3, at least 2\)"):
        ndcg_from_ids(ids, labels[:3], labels, KIN, k=2)
    with pytest.raises(ValueError, match="positions in the database of 4"):
        ndcg_from_ids(ids + 1, labels, labels, KIN, k=2)
    with pytest.raises(ValueError, match="hold the query's own item"):
        ndcg_from_ids(ids, labels, labels, KIN, k=2, exclude=torch.tensor([3, 2, 1, 1]))
