"""Figures: what is drawn is what was given, with units, intervals, chance and the paper's values."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from llinet_lite.results import Table
from llinet_lite.show import figures

ODD = "$_{a$"  # of a file or a class: no formula
ROWS = {
    "LLINet": {"mAP": (0.4, 0.35, 0.45), "R@1": (0.5, 0.42, 0.58)},
    ODD: {"mAP": (0.3, 0.25, 0.36)},
}
HITS = {"LLINet": [1, 0, 1, 0], ODD: [0, 0, 1, 0]}
NAMES = ["violin", "cello", "drum", "banjo", "harp", "bell"]


@pytest.fixture(autouse=True)
def closed():
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


def legend(fig) -> list[str]:
    boxes = [*fig.legends, *(ax.get_legend() for ax in fig.axes if ax.get_legend())]
    return [text.get_text() for box in boxes for text in box.get_texts()]


def drawn(ax, marker: str) -> list[tuple[float, float]]:
    """Points that were drawn with a marker."""
    return [(x, y) for line in ax.lines if line.get_marker() == marker for x, y in line.get_xydata()]


def named(ax) -> dict[str, float]:
    """Where the vertical lines of an axis stand."""
    return {name: line.get_xdata()[0] for line in ax.lines if (name := line.get_label())[0] != "_"}


def test_a_table_draws_value_interval_chance_and_paper():
    fig = figures.table(ROWS, chance={"mAP": 0.1, "R@1": 0.05}, paper={"LLINet": {"mAP": 0.49}})
    first, second = fig.axes
    assert [bar.get_width() for bar in first.patches] == [0.4, 0.3]
    assert [bar.get_width() for bar in second.patches] == [0.5]
    assert [text.get_text() for text in second.texts] == ["-"], "CMPM has no R@1"
    assert [0.35, 0.45] in [list(line.get_xdata()) for line in first.lines]
    assert drawn(first, "D") == [(0.49, 0)] and not drawn(second, "D")
    assert (named(first)["chance"], named(second)["chance"]) == (0.1, 0.05)
    assert legend(fig) == ["measured", "its interval", "paper, other data", "chance"]
    assert first.get_ylim()[0] > first.get_ylim()[1], "the first row stands on top"


def test_a_table_marks_controls_constants_and_values_beside():
    beside = {"center": {ODD: {"mAP": 0.2}}}
    constants = {"disc": {"mAP": 0.2}, "whole image": {"mAP": 0.25}}
    fig = figures.table(
        ROWS | {"LLINet": {"mAP": (0.4, np.nan, np.nan)}}, {"mAP": "mean average precision"},
        controls=[ODD], constants=constants, beside=beside,
    )  # fmt: skip
    (ax,) = fig.axes
    assert [bar.get_alpha() for bar in ax.patches] == [0.45, 0.18]
    assert named(ax) == {"center": 0.2, "disc": 0.2, "whole image": 0.25} and drawn(ax, "s") == [(0.2, 1)]
    assert legend(fig) == ["measured", "control", "its interval", "center", "disc", "whole image"]


def test_a_table_of_results_brings_intervals_chance_and_paper():
    hits = {name: {"acc": np.array([hits]), "tr": np.array([hits])} for name, hits in HITS.items()}
    measured = Table(hits, np.arange(4), chance={"acc": 0.1, "tr": 0.2}, paper={"acc": {"LLINet": 0.4}})
    fig = figures.table(measured, {"acc": "accuracy"})
    assert len(fig.axes) == 1 and [bar.get_width() for bar in fig.axes[0].patches] == [0.5, 0.25]
    interval = measured.interval(ODD, "acc")
    assert [interval.low, interval.high] in [list(line.get_xdata()) for line in fig.axes[0].lines]
    assert named(fig.axes[0])["chance"] == 0.1 and drawn(fig.axes[0], "D") == [(0.4, 0)]


def test_effects_are_colored_where_zero_is_outside():
    rows = [
        ("up", 0.1, 0.05, 0.2, "mAP", "one"),
        ("down", -0.6, -0.7, -0.5, "mIoU", "two"),
        ("none", 0.01, -0.1, 0.1, "mAP", "one"),
    ]
    ax = figures.effects(rows, limit=0.3).axes[0]
    names = [text.get_text() for text in ax.get_yticklabels()]
    assert names == ["one", "up", "none", "two", "down"], "rows of a group stand together"
    assert drawn(ax, "o") == [(10, 1), (1, 2)] and drawn(ax, "<") == [(-30, 4)]
    colors = [line.get_color() for line in ax.lines if line.get_marker() in "o<"]
    assert colors == [figures.ABOVE, figures.OPEN, figures.BELOW]
    assert {"+10.0", "−60.0", "mIoU"} <= {text.get_text() for text in ax.texts}  # noqa: RUF001
    bare = figures.effects([("a", 0.1, np.nan, np.nan)]).axes[0]
    assert drawn(bare, "o") == [(10, 0)] and not bare.texts


@pytest.mark.parametrize(("wrong", "said"), [
    (lambda: figures.table({"a": {"mAP": (40, 30, 50)}}), "divide percent"),
    (lambda: figures.effects([("a", 0.3, 0.4, 0.5)]), "does not lie in"),
    (lambda: figures.effects([("a", 30, 20, 40)]), "divide percentage points"),
    (lambda: figures.confusion(np.ones((2, 2)), ["a", "b"]), "sums to 1"),
    (lambda: figures.overlay(plt.axes(), np.zeros((4, 4, 3)), np.ones((2, 2)) * 3), "sigmoid"),
])  # fmt: skip
def test_refusals(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()


def test_a_spectrogram_and_curves_have_units():
    ax = plt.axes()
    figures.spectrogram(
        ax, np.random.default_rng(0).normal(size=(9, 20)), seconds=1.0, top_hz=8000, title=ODD
    )
    assert ax.get_xlabel() == "time (s)" and ax.get_ylabel() == "frequency (kHz)"
    assert ax.get_xlim() == (0, 1) and ax.get_ylim() == (0, 8)
    fig = figures.curves({ODD: [0.5, 0.7]}, xlabel="epoch", ylabel="accuracy", chance=0.4)
    assert drawn(fig.axes[0], "o") == [(1, 0.5), (2, 0.7)] and legend(fig) == [ODD, "chance"]


def test_success_curves_put_the_papers_points_beside_the_curve_of_their_name():
    t = np.linspace(0, 1, 5)
    fig = figures.success_curves({"A": (t, 1 - t), "B": (t, 1 - t)}, {"A": ([0.5], [0.4])}, {"disc": (t, t)})
    assert drawn(fig.axes[0], "D") == [(0.5, 0.4)]
    assert legend(fig) == ["A", "B", "disc", "paper: other data and rule"]


def test_a_confusion_puts_families_together():
    shares = np.full((6, 6), 0.1) + 0.4 * np.eye(6)
    ax = figures.confusion(shares, NAMES, ["bowed", "bowed", "drums", "plucked", "plucked", "others"]).axes[0]
    frames = [box.get_xy() for box in ax.patches if isinstance(box, Rectangle) and not box.get_fill()]
    assert frames == [(0, 0), (2, 2), (3, 3)], "others are no family"
    assert "50 % on average" in ax.get_title()
    figures.confusion(np.eye(2), [ODD, "b"])


def test_points_are_named_and_no_name_covers_another():
    ax = plt.subplots(figsize=(8, 6), layout="constrained")[1]
    ax.set(xlim=(0, 1), ylim=(0, 1))
    figures.name_points(ax, dict(zip(NAMES, np.full((6, 2), 0.5) + 0.01 * np.eye(6, 2), strict=True)))
    assert [text.get_text() for text in ax.texts] == NAMES and len(ax.lines) == len(NAMES)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    figures.name_points(ax, {ODD: (0.5, 0.5)})
    assert {figures.family_of(name) for name in NAMES} <= set(figures.FAMILIES)


def test_an_overlay_points_at_the_largest_cell():
    image, heat = np.full((40, 80, 3), 128, np.uint8), np.zeros((4, 8))
    heat[1, 6] = 0.7
    mask = np.zeros((40, 80), bool)
    mask[10:20, 60:70] = True
    _, (hit, miss, none) = plt.subplots(1, 3)
    figures.overlay(hit, image, heat, mask, title=ODD)
    assert drawn(hit, "x") == [(65, 15)] and hit.get_title() == f"{ODD}\nhit, max 0.70"
    figures.overlay(miss, image, heat, ~mask)
    figures.overlay(none, image, heat, np.zeros((40, 80), bool))
    assert miss.get_title() == "miss, max 0.70" and none.get_title() == "max 0.70"
    rows = [(ODD, image, np.stack([heat, heat]), [mask, None])]
    assert len(figures.heat_wall(rows, ["own", "silence"]).axes) == 4
    wall = figures.map_wall([("a", image, heat, mask)] * 4, "maximum").axes
    assert [ax.get_title() for ax in wall[3:5]] == ["a\nhit, max 0.70", ""]
