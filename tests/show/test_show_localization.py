"""The localization table, the success plot beside the paper's, and what the sound is worth."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color

from llinet_lite.show import audit, localization
from llinet_lite.show.plots import CHANCE, PALETTE

ROWS = {
    "LLINet": {"mIoU": (0.355, 0.32, 0.39), "AUC": (0.36, 0.33, 0.4)},
    "LLINet, silence": {"mIoU": (0.27, 0.24, 0.3)},
    "AVOL-Net": {"mIoU": (0.26, 0.23, 0.29), "AUC": (0.27, 0.24, 0.3)},
}
PAPER = {"LLINet": {"mIoU": 0.368, "AUC": 0.371}}
CONSTANTS = {
    "oracle": {"mIoU": 0.86, "AUC": 0.85},
    "centre disc": {"mIoU": 0.31, "AUC": 0.32},
    "mean mask": {"mIoU": 0.32, "AUC": 0.33},
}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def words(fig) -> list[str]:
    return [text.get_text() for text in fig.legends[0].get_texts()]


def dashed(ax) -> list[float]:
    return [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == CHANCE["linestyle"]]


def table():
    return localization.table_bars(ROWS, paper=PAPER, constants=CONSTANTS, controls=["LLINet, silence"])


def test_a_panel_has_a_bar_an_interval_and_the_papers_diamond_per_row():
    left, right = table().axes
    assert [bar.get_width() for bar in left.patches] == [0.355, 0.27, 0.26]
    assert [bar.get_width() for bar in right.patches] == [0.36, 0.27]
    assert [text.get_text() for text in right.texts if text.get_text() == "-"] == ["-"]
    spans = [tuple(line.get_xdata()) for line in left.lines if len(line.get_xdata()) == 2]
    assert {(0.32, 0.39), (0.24, 0.3), (0.23, 0.29)} <= set(spans)
    for ax, value in ((left, 0.368), (right, 0.371)):
        diamonds = [line for line in ax.lines if line.get_marker() == "D"]
        assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in diamonds] == [(value, 0)]
        assert diamonds[0].get_markerfacecolor() == "none"
    assert [label.get_text() for label in left.get_yticklabels()] == list(ROWS)
    assert left.get_ylim()[0] > left.get_ylim()[1], "the first row is on top"


def test_controls_are_lighter_and_told_in_the_legend():
    fig = table()
    opacity = [bar.get_alpha() for bar in fig.axes[0].patches]
    assert opacity[1] < opacity[0] == opacity[2]
    assert words(fig) == ["measured", "control", "its interval", "paper, other data"]
    assert words(localization.table_bars(ROWS)) == ["measured", "its interval"]


def test_constants_are_lines_with_names_that_do_not_stand_on_each_other():
    fig = table()
    fig.canvas.draw()
    for ax, column in zip(fig.axes, ("mIoU", "AUC"), strict=True):
        assert sorted(dashed(ax)) == sorted(line[column] for line in CONSTANTS.values())
        names = {text.get_text(): text.get_position()[0] for text in ax.texts if text.get_text() in CONSTANTS}
        assert sorted(names, key=names.get) == ["centre disc", "mean mask", "oracle"]
        assert (
            names["mean mask"] - names["centre disc"] > 0.07
            and names["oracle"] == CONSTANTS["oracle"][column]
        )


def test_axes_end_above_all_that_is_drawn_and_read_percent():
    ax = localization.table_bars(ROWS, constants={"oracle": {"mIoU": 0.86, "AUC": 0.85}}).axes[0]
    assert ax.get_xlim() == (0, 0.9)
    assert localization.table_bars(ROWS).axes[1].get_xlim() == (0, 0.5)
    ax.figure.canvas.draw()
    assert "20%" in [label.get_text() for label in ax.get_xticklabels()]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"paper": {"LLINet": {"mIoU": 36.8}}}, r"not 36\.8: divide percent by 100"),
        ({"paper": {"LLINet": {"IoU": 0.3}}}, "columns are mIoU, AUC, not IoU"),
        ({"paper": {"LLINET": {"mIoU": 0.3}}}, "LLINET is not among the rows"),
        ({"controls": ["silence"]}, "silence is not among the rows"),
        ({"constants": {"centre disc": {"mIoU": 0.3}}}, "that of AUC is missing"),
    ],
)
def test_the_table_refuses_what_it_cannot_draw(given, message):
    with pytest.raises(ValueError, match=message):
        localization.table_bars(ROWS, **given)
    with pytest.raises(ValueError, match="at least one row"):
        localization.table_bars({})
    assert not plt.get_fignums()


THRESHOLDS = np.linspace(0, 1, 51)
CURVES = {"LLINet": (THRESHOLDS, 1 - THRESHOLDS), "AVOL-Net": (THRESHOLDS, (1 - THRESHOLDS) ** 2)}
POINTS = {"AVOL-Net": ([0.1, 0.2], [0.8, 0.52])}


def test_published_points_are_hollow_and_of_the_curves_colour():
    fig = localization.success_plot(CURVES, POINTS, {"centre disc": (THRESHOLDS, (1 - THRESHOLDS) ** 3)})
    lines = {line.get_label(): line for line in fig.axes[0].lines}
    for name, (_, shares) in CURVES.items():
        np.testing.assert_array_equal(lines[name].get_ydata(), shares)
    assert lines["LLINet"].get_linewidth() > lines["AVOL-Net"].get_linewidth()
    marks = [line for line in fig.axes[0].lines if line.get_marker() == "D"]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in marks] == [([0.1, 0.2], [0.8, 0.52])]
    assert marks[0].get_markerfacecolor() == "none"
    assert same_color(marks[0].get_markeredgecolor(), lines["AVOL-Net"].get_color())
    assert same_color(lines["AVOL-Net"].get_color(), PALETTE[1]) and same_color(
        lines["centre disc"].get_color(), "0.55"
    )
    assert words(fig) == ["LLINet", "AVOL-Net", "centre disc", "paper: other data and rule"]


def test_the_success_plot_refuses_points_without_a_curve_and_percent():
    with pytest.raises(ValueError, match="points of CME: there is no curve"):
        localization.success_plot(CURVES, {"CME": ([0.1], [0.8])})
    with pytest.raises(ValueError, match="AVOL-Net: 2 thresholds for 1 shares"):
        localization.success_plot(CURVES, {"AVOL-Net": ([0.1, 0.2], [0.8])})
    with pytest.raises(ValueError, match="not 80"):
        localization.success_plot(CURVES, {"AVOL-Net": ([0.1], [80])})
    assert not plt.get_fignums()


def test_the_gap_is_in_points_around_a_zero_line():
    rows = {"LLINet, silence": (0.085, 0.05, 0.12), "Baseline, silence": (0.0, 0.0, 0.0)}
    ax = localization.audio_use(rows).axes[0]
    spans = {tuple(np.round(line.get_xdata(), 6)): line.get_color() for line in ax.lines}
    assert same_color(spans[5.0, 12.0], audit.ABOVE), "zero is excluded"
    assert [
        line.get_ydata() for line in ax.lines if set(line.get_xdata()) == {0} and len(line.get_xdata()) == 2
    ]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(rows)
    assert "percentage points" in ax.get_xlabel()
    with pytest.raises(ValueError, match=r"LLINet: .*divide percentage points by 100"):
        localization.audio_use({"LLINet": (8.5, 5.0, 12.0)})
    with pytest.raises(ValueError, match="at least one row"):
        localization.audio_use({})


def test_nothing_written_covers_another():
    for fig in (
        table(),
        localization.success_plot(CURVES, POINTS),
        localization.audio_use({"a": (0.1, 0.0, 0.2)}),
    ):
        fig.canvas.draw()
        texts = [text for ax in fig.axes for text in (*ax.texts, *ax.get_yticklabels(), ax.xaxis.label)]
        flat = [t for t in (*texts, *fig.legends[0].get_texts()) if t.get_visible() and not t.get_rotation()]
        boxes = {text: text.get_window_extent() for text in flat if text.get_text()}
        assert len(boxes) >= 4
        for text, here in boxes.items():
            covered = [t.get_text() for t, there in boxes.items() if t is not text and here.overlaps(there)]
            assert not covered, f"{text.get_text()!r} covers {covered}"
