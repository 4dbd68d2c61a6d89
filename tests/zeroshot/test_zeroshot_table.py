"""Table 1: every cell recomputed, intervals over clips and seeds, and the names of its results."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from zeroshot_fakes import SETTINGS, found, fresh, random_scores

from llinet_lite.zeroshot import COLUMNS, OURS, Plan, RetrievalTable, published_frame, search
from llinet_lite.zeroshot.table import PAPER, paper_value, row_of

LABELS = np.repeat([3, 8, 9], [9, 6, 12])
HEARD = np.repeat([3, 8, 9], [5, 7, 8])


def runs_of(seeds: int, minutes: float = 1.5):
    return [SimpleNamespace(seed=seed, minutes=minutes) for seed in range(seeds)]


def table_of(**rows) -> RetrievalTable:
    """A table of methods, each given by the scores of its seeds."""
    rows = {name.replace("_", ", "): [found(s, LABELS, HEARD) for s in of] for name, of in rows.items()}
    items = next(iter(rows.values()))[0].items
    return RetrievalTable([row_of(name, runs_of(len(of)), of) for name, of in rows.items()], items)


def scores(seed: int, skill: float = 0.0) -> torch.Tensor:
    right = torch.from_numpy(LABELS[:, None] == HEARD)
    return random_scores(len(LABELS), seed, len(HEARD)) + skill * right


LESSON = SimpleNamespace(settings=SimpleNamespace(name="laptop"), data_hash="0" * 64)


# ----------------------------------------------------------------------------------------- cells


def test_cells_are_what_scikit_learn_finds():
    seeds = [scores(0, 0.5), scores(1, 0.5)]
    table = table_of(LLINet=seeds)
    for column in COLUMNS:
        metric, direction = column.split()
        expected = []
        for matrix in seeds:
            ranked = matrix.numpy() if direction == "I2A" else matrix.numpy().T
            queries, gallery = (LABELS, HEARD) if direction == "I2A" else (HEARD, LABELS)
            for label, row in zip(queries, ranked, strict=True):
                right = gallery == label
                hit = right[np.argmax(row)]
                expected.append(average_precision_score(right, row) if metric == "mAP" else hit)
        values = table.row("LLINet").values(column)
        np.testing.assert_allclose(values.ravel(), expected, atol=1e-7)
        assert table.interval("LLINet", column).value == pytest.approx(np.mean(expected))
        assert table.interval("LLINet", column).n == values.shape[1]


def test_chance_is_what_random_rankings_get():
    table = table_of(LLINet=[scores(seed) for seed in range(60)])
    for column in COLUMNS:
        mean = table.row("LLINet").values(column).mean()
        assert table.chance(column) == pytest.approx(mean, abs=0.02)


def test_a_difference_is_taken_query_by_query_and_seed_by_seed():
    good, bad = [scores(s, 1.0) for s in range(4)], [scores(s) for s in range(4)]
    table = table_of(LLINet=good, CMPM=bad)
    for column in COLUMNS:
        one = table.difference("LLINet", "CMPM", column)
        cells = [table.interval(name, column) for name in ("LLINet", "CMPM")]
        assert one.value == pytest.approx(cells[0].value - cells[1].value) and one.low > 0
        zero = table.difference("CMPM", "CMPM", column)
        assert (zero.value, zero.low, zero.high) == (0, 0, 0)


def test_the_frame_stands_beside_the_paper():
    frame = table_of(DAR=[scores(0)], DAR_unmasked=[scores(1)], LLINet=[scores(2, 9), scores(3, 9)]).frame()
    assert list(frame.index) == ["chance", "oracle", "DAR", "DAR, unmasked", "LLINet"]
    assert list(frame.columns) == [*COLUMNS, *[f"paper {column}" for column in COLUMNS], "seeds"]
    assert frame.loc["LLINet", "mAP I2A"] == "100.0% [100.0%, 100.0%]" and frame.loc["LLINet", "seeds"] == "2"
    assert frame.loc["LLINet", "paper R@1 A2I"] == "38.3%" and frame.loc["DAR", "paper mAP I2A"] == "13.3%"
    assert (frame.loc["DAR, unmasked", [f"paper {column}" for column in COLUMNS]] == "-").all()
    assert frame.loc["oracle", "R@1 I2A"] == "100.0%" and frame.loc["chance", "seeds"] == "-"


def test_published_values_are_shares_of_the_papers_table():
    assert set(PAPER) == {"DAR", "ULSLVC", "SIR", "SCAN", "DSCMR", "TIMAM", "CMPM", "CME", OURS}
    assert paper_value("LLINet", "mAP I2A") == 0.493 and paper_value("CME", "R@1 A2I") == 0.308
    assert paper_value("LLINet, shuffled labels", "mAP I2A") is None


def test_results_carry_what_is_needed_to_believe_them():
    table = table_of(DAR=[scores(0)], LLINet=[scores(1, 1.0), scores(2, 1.0)])
    results = {result.name: result for result in table.results(LESSON)}
    assert list(results) == [f"{column}, {name}" for name in ("DAR", "LLINet") for column in COLUMNS]
    one = results["mAP I2A, LLINet"]
    assert (one.seeds, one.n, one.minutes, one.paper) == ((0, 1), len(LABELS), 3.0, 0.493)
    assert (one.profile, one.data_hash, one.chance) == ("laptop", "0" * 64, table.chance("mAP I2A"))
    cell = table.interval("LLINet", "mAP I2A")
    assert (one.value, one.low, one.high) == (cell.value, cell.low, cell.high)
    assert results["R@1 A2I, DAR"].n == len(HEARD) and results["R@1 A2I, DAR"].seeds == (0,)


def test_published_results_come_back_as_the_cells():
    table = table_of(DAR_unmasked=[scores(0)], LLINet=[scores(1, 1.0), scores(2, 1.0)])
    lesson = SimpleNamespace(published_results=lambda run: table.results(LESSON))
    frame, shown = published_frame(lesson), table.frame()
    assert list(frame.index) == ["DAR, unmasked", "LLINet"]
    assert frame[list(COLUMNS)].equals(shown.loc[frame.index, list(COLUMNS)])
    assert frame.loc["LLINet", ["seeds", "minutes"]].tolist() == ["2", "3.0"]
    assert published_frame(SimpleNamespace(published_results=lambda run: [])).empty


def test_luck_counts_classes_and_not_clips():
    """Clusters without a fault, linked rightly or in a ring: R@1 says 100 % or 0, chance is far from both."""
    labels = np.repeat(np.arange(6), 20)
    ring = (labels + 1) % 6
    linked = {
        name: torch.from_numpy(1.0 * (answers[:, None] == labels) + 1e-3 * np.eye(120))
        for name, answers in (("right", labels), ("ring", ring))
    }
    rows = [row_of(name, runs_of(1), [found(s, labels, labels)]) for name, s in linked.items()]
    luck = RetrievalTable(rows, found(linked["right"], labels, labels).items).luck(draws=5000)
    assert luck.loc["right", "I2A"].tolist()[0] == "100.0%"
    assert float(luck.loc["right", "I2A"]["p"]) == pytest.approx(1 / 720, abs=2e-3)
    assert luck.loc["ring", "A2I"].tolist()[0] == "0.0%" and luck.loc["ring", "A2I"]["p"] == "1.000"
    spread = float(luck.loc["right", "I2A"]["95 % of random links"].rstrip("%"))
    assert spread >= 100 * 2 / 6, "two lucky links of six are no rarity"
    assert float(luck.loc["right", "I2A"]["mean of random links"].rstrip("%")) == pytest.approx(
        100 / 6, abs=1
    )


def test_a_mean_precision_above_a_random_order_shows_no_link():
    """Three clusters of ten, found whole: the own one is first, second or last with the same chance."""
    labels = np.repeat(np.arange(3), 10)
    clusters = torch.from_numpy(
        -1.0 * ((labels[:, None] - labels) % 3) - 1e-6 * np.arange(30)  # the query's own class first
    )
    one = found(clusters, labels, labels)
    table = RetrievalTable([row_of("whole", runs_of(1), [one])], one.items)
    luck = table.luck("mAP", draws=50_000).loc["whole", "I2A"]
    by_place = [np.mean([k / (10 * place + k) for k in range(1, 11)]) for place in range(3)]
    assert luck["mAP"] == "100.0%"
    assert float(luck["mean of random links"].rstrip("%")) == pytest.approx(100 * np.mean(by_place), abs=1)
    assert np.mean(by_place) > table.chance("mAP I2A") + 0.05


def test_every_seed_is_shown():
    table = table_of(DAR=[scores(0)], LLINet=[scores(1, 1.0), scores(2, 1.0)])
    frame = table.seeds_frame("mAP A2I")
    values = table.row("LLINet").values("mAP A2I").mean(1)
    assert frame.loc["LLINet"].tolist() == [f"{value:.1%}" for value in values]
    assert frame.loc["DAR", "seed 1"] == "-"


def test_the_figure_draws_every_method_in_four_panels():
    figure = table_of(DAR=[scores(0)], LLINet=[scores(1, 1.0)]).figure()
    assert len(figure.axes) == 4
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["DAR", "LLINet"]


def test_networks_are_searched_on_the_same_items(store, trunk):
    plans = {"CMPM": Plan("cmpm", "CMPM", 1), "LLINet": Plan("llinet", OURS, 1)}
    runs = {name: [fresh(plan, trunk, seed) for seed in (0, 1)] for name, plan in plans.items()}
    table, embedded = search(runs, store, SETTINGS)
    assert list(embedded) == ["CMPM", "LLINet"] and table.row("LLINet").seeds == (0, 1)
    assert table.row("LLINet").minutes == 1.0
    clips = len(store.sounds("unseen"))
    for name, of in embedded.items():
        assert table.row(name).values("mAP I2A").shape == (2, clips)
        direct = of[1].retrieval()["A2I"].mean_average_precision
        assert table.row(name).values("mAP A2I")[1].mean() == pytest.approx(direct)
        assert not torch.equal(of[0].scores, of[1].scores)
    assert table.items is embedded["CMPM"][0].items
