"""The table of localization, against overlaps counted in loops."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from llinet_lite.metrics.intervals import clip_bootstrap
from llinet_lite.metrics.localization import baselines, evaluate, resize
from llinet_lite.sounding import Located, other_class
from llinet_lite.zeroshot.localization import COLUMNS, PAPER, LocalizationTable, localize
from llinet_lite.zeroshot.sounding import HEATS

LESSON = SimpleNamespace(settings=SimpleNamespace(name="laptop"), data_hash="abc")
SIDE = 16  # of pictures and maps alike, the grid of the protocol: nothing is interpolated


def located(seed: int, count: int = 30, heat: str = "transformed", masks: int = 0) -> Located:
    """Pictures with a block each, and cells that are brighter on it."""
    rng, blocks = np.random.default_rng(seed), np.random.default_rng(1000 + masks)
    objects = np.zeros((count, SIDE, SIDE), np.uint8)
    for picture in objects:
        top, left, height, width = (*blocks.integers(0, 8, 2), *blocks.integers(2, 9, 2))
        picture[top : top + height, left : left + width] = 1
    cells = rng.random((count, 3, SIDE, SIDE)) + rng.random((count, 3, 1, 1)) * objects[:, None]
    sound = torch.from_numpy(rng.random((count, 3)).astype(np.float32))
    rows = np.arange(count)
    return Located(
        "LLINet", HEATS[heat], torch.from_numpy(cells.astype(np.float32)), sound, torch.zeros(3), objects,
        rows % 5, rows, rows // 2, np.full(count, "solo"),
    )  # fmt: skip


def overlaps(maps, masks, k: int) -> np.ndarray:
    """IoU of every picture, counted pixel by pixel."""
    found = []
    for heat, mask in zip(np.asarray(maps, np.float32), masks, strict=True):
        cut, inside, union = np.float32(k / 10) * heat.max(), 0, 0
        for value, true in zip(heat.ravel(), mask.ravel(), strict=True):
            inside += bool(value > cut and true)
            union += bool(value > cut or true)
        found.append(inside / (union + 1e-5))
    return np.array(found)


def auc51(iou: np.ndarray) -> float:
    return float(np.mean([[one >= t / 50 for t in range(51)] for one in iou]))


def best_k(of: Located) -> int:
    scores = {k: auc51(overlaps(of.maps(), of.masks, k)) for k in range(2, 7)}
    return max(scores, key=lambda k: (scores[k], -k))


@pytest.fixture(scope="module")
def solos():
    return {
        "Baseline": [located(1, heat="mean"), located(2, heat="mean")],
        "LLINet": [located(3), located(4)],
    }


@pytest.fixture(scope="module")
def held_out():
    return {
        "Baseline": [located(11, 20, "mean", masks=1), located(12, 20, "mean", masks=1)],
        "LLINet": [located(13, 20, masks=1), located(14, 24, masks=2)],
    }


@pytest.fixture(scope="module")
def table(solos, held_out) -> LocalizationTable:
    return localize(solos, held_out)


@pytest.fixture(autouse=True)
def no_figures():
    yield
    plt.close("all")


def test_k_is_chosen_on_validation_and_the_overlaps_are_those_of_loops(table, solos, held_out):
    for name in solos:
        for seed, (of, part) in enumerate(zip(solos[name], held_out[name], strict=True)):
            k = best_k(part)
            assert table.row(name).k["honest"][seed] == k
            expected = overlaps(of.maps(), of.masks, k)
            assert table.values(name)[seed] == pytest.approx(expected, abs=1e-12)
            assert table.values(name, "AUC51")[seed].mean() == pytest.approx(auc51(expected))


def test_as_released_k_is_the_best_of_the_test_set(table, solos):
    """At the grid of the protocol the released way to shrink a mask leaves it as it is."""
    for name, of in solos.items():
        for seed, one in enumerate(of):
            k = best_k(one)
            assert table.row(name).k["released"][seed] == k
            found = table.values(name, "mIoU as released")[seed]
            assert found == pytest.approx(overlaps(one.maps(), one.masks, k), abs=1e-12)
        released = table.interval(name, "AUC51 as released").value
        assert released >= table.interval(name, "AUC51").value, "it chose with the answers at hand"


def test_without_validation_half_of_the_maximum_is_cut(solos):
    table = localize(solos)
    assert table.row("LLINet").k["honest"] == (5, 5) and not table.validated
    of = solos["LLINet"][1]
    assert table.values("LLINet")[1] == pytest.approx(overlaps(of.maps(), of.masks, 5), abs=1e-12)


def test_controls_hear_other_sounds_at_the_methods_own_k(table, solos):
    assert table.names("method") == ["Baseline", "LLINet"]
    assert table.names("control") == ["LLINet, shuffled sound", "LLINet, silence"]
    for seed, of in enumerate(solos["LLINet"]):
        wrong = torch.einsum("bchw,bc->bhw", of.cells, of.sound[other_class(of.label, seed)])
        k = table.row("LLINet").k["honest"][seed]
        expected = overlaps(wrong, of.masks, k)
        assert table.values("LLINet, shuffled sound")[seed] == pytest.approx(expected, abs=1e-12)


def test_a_map_of_zeros_predicts_nothing(table):
    """Silence is zero here, as where the transformation's ReLU lets nothing through."""
    assert (table.values("LLINet, silence") == 0).all()
    assert table.interval("LLINet, silence", "AUC51").value == pytest.approx(1 / 51)
    assert np.isfinite(table.values("LLINet, silence", "mIoU as released")).all()


def test_constants_stand_below_with_the_ceiling_first(table, solos):
    names = table.names("constant")
    assert names == ["oracle ceiling", "mask on 16 x 16 cells", "centre disc", "mean mask", "whole image"]
    masks = solos["Baseline"][0].masks
    assert table.values("whole image")[0] == pytest.approx(masks.mean((1, 2)), abs=1e-6)
    assert table.values("mask on 16 x 16 cells")[0] == pytest.approx(1, abs=1e-5), "the grid of the masks"
    assert table.interval("oracle ceiling").value == pytest.approx(1, abs=1e-5)


def test_a_coarse_grid_has_a_ceiling_of_its_own(solos):
    coarse = [dataclasses.replace(of, cells=of.cells[..., ::4, ::4]) for of in solos["LLINet"]]
    table = localize({"LLINet": coarse})
    assert 0.5 < table.interval("mask on 4 x 4 cells").value < 0.95


def test_a_cell_is_the_mean_over_seeds_and_pictures_and_its_interval_draws_both(table):
    for name in ("LLINet", "Baseline", "centre disc"):
        for column in COLUMNS:
            values, cell = table.values(name, column), table.interval(name, column)
            assert cell.value == pytest.approx(values.mean()) and cell.n == 30
            expected = clip_bootstrap(values, np.arange(30) // 2)
            assert (cell.low, cell.high) == pytest.approx((expected.low, expected.high))
    every = localize({"LLINet": [located(3)]})
    wide = [located(3), dataclasses.replace(located(3), cells=torch.ones(30, 3, SIDE, SIDE))]
    both = localize({"LLINet": wide}).interval("LLINet")
    one = every.interval("LLINet")
    assert both.high - both.low > one.high - one.low, "seeds differ"


def test_differences_are_paired(table):
    gap = table.difference("LLINet", "LLINet, shuffled sound")
    expected = table.values("LLINet") - table.values("LLINet, shuffled sound")
    assert gap.value == pytest.approx(expected.mean()) and gap.low <= gap.value <= gap.high
    assert table.gaps() == {
        "LLINet, shuffled sound": gap,
        "LLINet, silence": table.difference("LLINet", "LLINet, silence"),
    }
    same = table.difference("LLINet", "LLINet")
    assert (same.low, same.value, same.high) == (0, 0, 0)
    above = table.difference("LLINet", "centre disc", "AUC51")
    each = [table.interval(name, "AUC51").value for name in ("LLINet", "centre disc")]
    assert above.value == pytest.approx(each[0] - each[1]), "a constant has one seed for all"
    with pytest.raises(KeyError, match="no row 'AVOL-Net'"):
        table.difference("LLINet", "AVOL-Net")


def test_unlike_numbers_of_seeds_have_no_difference():
    of = [located(seed) for seed in range(3)]
    table = localize({"LLINet": of, "AVOL-Net": of[:2]})
    with pytest.raises(ValueError, match="LLINet has 3 seeds and AVOL-Net 2"):
        table.difference("LLINet", "AVOL-Net")


def test_a_map_that_does_not_listen_has_no_gap(solos):
    table = localize({"LLINet": solos["Baseline"]})
    for gap in table.gaps().values():
        assert (gap.low, gap.value, gap.high) == (0, 0, 0)


def test_the_frame_sets_the_papers_numbers_beside_ours(table):
    frame = table.frame()
    assert list(frame.columns) == [*COLUMNS, "paper mIoU", "paper AUC", "k", "seeds"]
    assert frame.loc["LLINet", "mIoU"] == str(table.interval("LLINet"))
    assert frame.loc["LLINet", ["paper mIoU", "paper AUC"]].tolist() == ["36.8%", "37.1%"]
    assert frame.loc["LLINet, silence", "paper mIoU"] == frame.loc["centre disc", "seeds"] == "-"
    assert frame.loc["LLINet", "seeds"] == "2" and len(frame.loc["LLINet", "k"].split()) == 2


def test_results_say_every_cell_and_gap(table):
    runs = {name: [SimpleNamespace(seed=seed, minutes=2.5) for seed in (0, 1)] for name in PAPER}
    found = {row.name: row for row in table.results(LESSON, runs)}
    assert len(found) == len(COLUMNS) * len(table.rows) + 2
    cell = found["mIoU, LLINet"]
    assert (cell.seeds, cell.n, cell.minutes, cell.paper) == ((0, 1), 30, 5.0, None)
    assert cell.chance == pytest.approx(table.interval("whole image").value)
    released = found["AUC51 as released, LLINet"]
    assert released.paper == 0.371, "the published number was made as released"
    assert released.value == table.interval("LLINet", "AUC51 as released").value
    assert found["mIoU, LLINet, silence"].seeds == (0, 1) and found["mIoU, whole image"].seeds == ()
    gap = found["mIoU, LLINet minus shuffled sound"]
    assert (gap.value, gap.chance) == (table.gaps()["LLINet, shuffled sound"].value, 0)


def test_curves_are_shares_of_pictures(table):
    thresholds, shares = table.curves(["LLINet"])["LLINet"]
    flat = table.values("LLINet").ravel()
    for t, share in zip(thresholds, shares, strict=True):
        assert share == pytest.approx(np.mean([one >= t for one in flat]))
    assert set(table.curves()) == {row.name for row in table.rows}


def test_groups_share_out_the_pictures(table, solos):
    store = SimpleNamespace(classes=[{"name": f"class {k}"} for k in range(5)])
    frame = table.by_class(store)
    assert frame["n"].tolist() == [6] * 5 and (np.diff(frame["Baseline"]) <= 0).all()
    which = solos["LLINet"][0].label == 3
    expected = table.values("LLINet")[:, which].mean()
    assert frame.loc["class 3", "LLINet"] == pytest.approx(expected, abs=5e-4)
    assert "oracle ceiling" not in frame
    sizes = table.by_size()
    share = solos["LLINet"][0].masks.mean((1, 2))
    assert sizes.loc["small", "n"] == (share < 0.1).sum() and sizes["n"].sum() == 30


def test_pictures_that_a_crop_does_not_show_are_left_out(solos, held_out):
    blind = solos["LLINet"][0].objects.copy()
    blind[[0, 7]] = 0
    bare = held_out["LLINet"][0].objects.copy()
    bare[3] = 0
    pair = [dataclasses.replace(of, objects=blind) for of in solos["LLINet"]]
    part = [dataclasses.replace(held_out["LLINet"][0], objects=bare)] * 2
    table = localize({"Baseline": solos["Baseline"], "LLINet": pair}, held_out | {"LLINet": part})
    assert table.values("Baseline").shape == table.values("LLINet").shape == (2, 28)
    assert np.array_equal(table.clip, np.delete(np.arange(30) // 2, [0, 7]))


def test_masks_of_any_size_are_judged_as_the_evaluator_does(solos, held_out):
    """Masks are shrunk once here; some of a single pixel vanish, and count as not found."""
    large, part = (
        dataclasses.replace(of[0], objects=of[0].objects.repeat(3, 1).repeat(3, 2))
        for of in (solos["LLINet"], held_out["LLINet"])
    )
    large.objects[:4] = 0
    large.objects[:4, 6, [6, 7, 9, 11]] = 1
    table = localize({"LLINet": [large]}, {"LLINet": [part]})
    how = {"k": "validation", "validation": (part.maps(), part.masks)}
    honest = evaluate(large.maps(), large.masks, "llinet2020", **how)
    assert table.values("LLINet")[0] == pytest.approx(honest.iou, abs=1e-12)
    assert (resize(torch.from_numpy(large.masks).float(), (16, 16), "nearest").sum((1, 2)) == 0).sum() > 0
    released = evaluate(large.maps(), large.masks, "llinet2020", mask_resize="bicubic")
    assert table.values("LLINet", "mIoU as released")[0] == pytest.approx(released.iou, abs=1e-12)
    constants = baselines(large.masks, "llinet2020", validation=part.masks, train=part.masks)
    for name in ("centre disc", "mean mask", "whole image", "oracle ceiling"):
        assert table.values(name)[0] == pytest.approx(constants[name].iou, abs=1e-12), name
    upper = baselines(large.masks, "llinet2020", mask_resize="bicubic")
    disc = next(result for name, result in upper.items() if name.startswith("centre disc"))
    assert table.values("centre disc", "mIoU as released")[0] == pytest.approx(disc.iou, abs=1e-12)


def test_what_cannot_be_compared_is_refused(solos, held_out):
    with pytest.raises(ValueError, match="AVOL-Net was given other pictures than Baseline"):
        localize(solos | {"AVOL-Net": [located(5, 20)]})
    with pytest.raises(ValueError, match="LLINet was given other pictures than its first seed"):
        localize({"Baseline": solos["Baseline"], "LLINet": [located(3), located(3, masks=5)]})
    with pytest.raises(ValueError, match="validation part for every seed of LLINet"):
        localize(solos, held_out | {"LLINet": held_out["LLINet"][:1]})


def test_figures_show_methods_controls_and_the_papers_points(table):
    ticks = [label.get_text() for label in table.figure().axes[0].get_yticklabels()]
    assert ticks == ["Baseline", "LLINet", "LLINet, shuffled sound", "LLINet, silence"]
    drawn = [line.get_ydata() for line in table.success_figure().axes[0].lines]
    expected = table.curves(["LLINet"])["LLINet"][1]
    assert any(np.array_equal(line, expected) for line in drawn)
    assert any(list(line) == [0.92, 0.79, 0.63, 0.43, 0.25, 0.13] for line in drawn)
    assert len(table.gaps_figure().axes[0].get_yticklabels()) == 2
