"""Speed of retrieval: nDCG of many queries, and indexes of up to a million vectors.

Notebook: 02
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from llinet_lite.bench.core import Row, one_core, rates
from llinet_lite.metrics.neighbours import KINDS, Index, recall
from llinet_lite.metrics.retrieval import ndcg

PLACES = 30  # that count: nDCG@30, recall@30
DIMENSION = 128  # of AVE-Net's embeddings
APPROXIMATE = tuple(kind for kind in KINDS if kind != "exact")
HARDEST = "uniformly random vectors, the hardest case of an approximate index"
LEFT_OUT = "left out, it takes long to build in one thread; llinet bench --full does it"


def torchmetrics_ndcg() -> Callable[..., Tensor]:
    """Return torchmetrics' nDCG of one query.

    Raises
    ------
    ImportError
        If torchmetrics is not installed; the course itself does not need it.
    """
    try:
        from torchmetrics.functional.retrieval import retrieval_normalized_dcg
    except ImportError as error:
        raise ImportError(
            "the benchmark times nDCG against torchmetrics, which is not installed: run `make setup`, or "
            "install torchmetrics into this environment."
        ) from error
    return retrieval_normalized_dcg


def ndcg_rows(queries: int = 5000, database: int = 5000, *, sample: int = 500, repeats: int = 3) -> list[Row]:
    """Queries per second of nDCG@30 (linear gain), one core, against scikit-learn and torchmetrics.

    Scores are normal, relevance is uniform on 0 to 20. Ours takes all queries at once; the rivals, whose time
    grows with the number of queries, take the first ones only. Scores in float64 do not tie, so all three
    mean the same number.

    Parameters
    ----------
    queries, database : int
    sample : int, queries that the rivals take
    repeats : int

    Raises
    ------
    ImportError
        If torchmetrics is not installed.
    RuntimeError
        If the values differ.
    """
    from sklearn.metrics import ndcg_score

    rng = torch.Generator().manual_seed(0)
    scores = torch.randn(queries, database, generator=rng, dtype=torch.float64)
    relevance = torch.randint(0, 21, (queries, database), generator=rng).double()
    few = list(zip(scores[:sample], relevance[:sample], strict=True))
    one_query = torchmetrics_ndcg()

    def by_sklearn() -> Tensor:  # which gives the mean alone
        mean = ndcg_score(relevance[:sample].numpy(), scores[:sample].numpy(), k=PLACES)
        return torch.full((len(few),), mean, dtype=torch.float64)

    def by_torchmetrics() -> Tensor:
        return torch.stack([one_query(score, grade, top_k=PLACES) for score, grade in few])

    with one_core():
        ours = ndcg(scores[:sample], relevance[:sample], PLACES)
        _refuse_other(ours.mean(), by_sklearn(), "scikit-learn")
        _refuse_other(ours, by_torchmetrics(), "torchmetrics")
        ways = (lambda: ndcg(scores, relevance, PLACES), by_sklearn, by_torchmetrics)
        found = rates([lambda way=way: len(way()) for way in ways], repeats=repeats)
    name = f"nDCG@{PLACES}, {queries:,} x {database:,}, 1 core"
    rivals = ("scikit-learn", "torchmetrics, query by query")
    return [
        Row(name, "queries/s", found[0], plain, f"{rival}, {len(few)} of the queries")
        for rival, plain in zip(rivals, found[1:], strict=True)
    ]


def _refuse_other(ours: Tensor, theirs: Tensor, rival: str) -> None:
    off = float((ours - theirs).abs().max())
    if not off < 1e-5:  # torchmetrics computes in float32
        raise RuntimeError(
            f"nDCG@{PLACES} differs from that of {rival} by {off:.2g}: one of the two is wrong, and their "
            "speeds are not to be compared. Run tests/metrics/test_retrieval.py."
        )


def index_rows(count: int, approximate: Sequence[str] = APPROXIMATE, *, repeats: int = 3) -> list[Row]:
    """Vectors per second of the build and queries per second of the search, one core, for each kind of index.

    The vectors are uniformly random directions, which have no clusters to search in: the hardest case of an
    approximate index. A build is timed once. Searches are for the 30 nearest of up to 1,000 queries, 200
    where there are a million vectors; the rival of the approximate ones is the exact one, and their rows
    have the recall.

    Parameters
    ----------
    count : int, vectors of 128 values
    approximate : sequence of str
        Kinds to measure beside "exact"; those not named get a row that says they were left out.
    repeats : int, rounds of the search
    """
    database, queries = _directions(count, 0), _directions(min(1000, 2 * 10**8 // count), 1)
    what = f"{count:,} x {DIMENSION}, 1 core"
    built: dict[str, Index] = {}
    rows = []
    with one_core():
        for kind in ("exact", *APPROXIMATE):
            name = f"index build, {kind}, {what}"
            if kind not in ("exact", *approximate):
                rows.append(Row(name, "vectors/s", float("nan"), note=LEFT_OUT))
                continue
            start = time.perf_counter()
            built[kind] = Index.build(database, kind)
            seconds = time.perf_counter() - start
            rows.append(Row(name, "vectors/s", count / seconds, note=f"{seconds:.3g} s"))
        ways = [lambda index=index: len(index.search(queries, PLACES)[1]) for index in built.values()]
        exact, *others = rates(ways, repeats=repeats)
        rows.append(Row(f"index search, exact, {what}", "queries/s", exact))
        for kind, rate in zip(list(built)[1:], others, strict=True):
            share = recall(built[kind], built["exact"], queries, PLACES)
            name = f"index search, {kind}, {what}"
            rows.append(Row(name, "queries/s", rate, exact, "exact", share, HARDEST))
    return rows


def _directions(count: int, seed: int) -> Tensor:
    """Vectors (count, 128) of length 1, uniform on the sphere."""
    rng = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, DIMENSION, generator=rng), dim=1)


def indexes(quick: bool, full: bool) -> list[tuple[int, Sequence[str]]]:
    """Sizes of the databases, and the approximate kinds of index that are built of each."""
    if quick:
        return [(10_000, ("hnsw",))]
    return [(10_000, APPROXIMATE), (100_000, APPROXIMATE), (1_000_000, APPROXIMATE if full else ())]
