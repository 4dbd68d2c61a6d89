"""Figures: what is drawn is what was given, with units, intervals, chance and the paper's values."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Circle, Rectangle
from scipy.stats import spearmanr

from llinet_lite.results import Table
from llinet_lite.show import figures
from llinet_lite.show.figures import CHANCE

ROWS = {
    "LLINet": {"mAP": (0.4, 0.35, 0.45), "R@1": (0.5, 0.42, 0.58)},
    "CMPM": {"mAP": (0.3, 0.25, 0.36)},
}
HITS = {"LLINet": [1, 0, 1, 0], "CMPM": [0, 0, 1, 0]}
NAMES = ["violin", "cello", "drum", "banjo", "harp", "bell"]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def legend(fig) -> list[str]:
    boxes = [*fig.legends, *(ax.get_legend() for ax in fig.axes if ax.get_legend())]
    return [text.get_text() for box in boxes for text in box.get_texts()]


def drawn(ax, marker: str) -> list[tuple[float, float]]:
    """Points that were drawn with a marker."""
    return [(x, y) for line in ax.lines if line.get_marker() == marker for x, y in line.get_xydata()]


def upright(ax) -> list[float]:
    return [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == CHANCE["linestyle"]]


def test_a_table_draws_value_interval_chance_and_paper():
    fig = figures.table(ROWS, chance={"mAP": 0.1, "R@1": 0.05}, paper={"LLINet": {"mAP": 0.49}})
    first, second = fig.axes
    assert [bar.get_width() for bar in first.patches] == [0.4, 0.3]
    assert [bar.get_width() for bar in second.patches] == [0.5]
    assert [text.get_text() for text in second.texts] == ["-"], "CMPM has no R@1"
    assert [0.35, 0.45] in [list(line.get_xdata()) for line in first.lines]
    assert drawn(first, "D") == [(0.49, 0)] and not drawn(second, "D")
    assert (upright(first), upright(second)) == ([0.1], [0.05])
    assert (first.get_xlabel(), second.get_xlabel()) == ("mAP", "R@1")
    assert legend(fig) == ["measured", "its interval", "paper, other data", "chance"]
    assert first.get_ylim()[0] > first.get_ylim()[1], "the first row stands on top"


def test_a_table_marks_controls_constants_and_values_beside():
    beside = {"center": {"CMPM": {"mAP": 0.2}}}
    constants = {"disc": {"mAP": 0.2}, "whole image": {"mAP": 0.25}}
    fig = figures.table(
        ROWS | {"LLINet": {"mAP": (0.4, np.nan, np.nan)}}, {"mAP": "mean average precision"},
        controls=["CMPM"], constants=constants, beside=beside,
    )  # fmt: skip
    (ax,) = fig.axes
    assert [bar.get_alpha() for bar in ax.patches] == [0.45, 0.18]
    assert upright(ax) == [0.2, 0.25] and drawn(ax, "s") == [(0.2, 1)]
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["disc", "whole image"]
    assert legend(fig) == ["measured", "control", "its interval", "center"]


def test_a_table_of_results_brings_intervals_chance_and_paper():
    hits = {name: {"acc": np.array([hits]), "tr": np.array([hits])} for name, hits in HITS.items()}
    measured = Table(hits, np.arange(4), chance={"acc": 0.1, "tr": 0.2}, paper={"acc": {"LLINet": 0.4}})
    fig = figures.table(measured, {"acc": "accuracy"})
    assert len(fig.axes) == 1 and [bar.get_width() for bar in fig.axes[0].patches] == [0.5, 0.25]
    interval = measured.interval("CMPM", "acc")
    assert [interval.low, interval.high] in [list(line.get_xdata()) for line in fig.axes[0].lines]
    assert upright(fig.axes[0]) == [0.1] and drawn(fig.axes[0], "D") == [(0.4, 0)]


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


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: figures.table({}), "at least one row"),
        (lambda: figures.table({"a": {"mAP": (40, 30, 50)}}), "divide percent"),
        (lambda: figures.table(ROWS, paper={"SAE": {"mAP": 0.1}}), "SAE is not among"),
        (lambda: figures.table(ROWS, ["mAP"]), "columns are mAP, not R@1"),
        (lambda: figures.table(ROWS, chance={"mAP": 0.1}), "that of R@1 is missing"),
        (lambda: figures.effects([]), "at least one row"),
        (lambda: figures.effects([("a", 0.3, 0.4, 0.5)]), "does not lie in"),
        (lambda: figures.effects([("a", 30, 20, 40)]), "divide percentage points"),
        (lambda: figures.success_curves({}, {"LLINet": ([0.5], [0.5])}), "no curve of that name"),
        (lambda: figures.confusion(np.ones((2, 2)), ["a", "b"]), "sums to 1"),
        (lambda: figures.rank_correlation(np.eye(4), np.eye(4)), "no order"),
        (lambda: figures.tsne(np.eye(5)), "perplexity"),
        (lambda: figures.similarity_panels({"a": np.ones((2, 3))}, [0, 1], NAMES), "no matrix"),
        (lambda: figures.overlay(plt.axes(), np.zeros((4, 4, 3)), np.ones((2, 2)) * 3), "sigmoid"),
    ],
)  # fmt: skip
def test_refusals(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()


def test_a_spectrogram_has_units_and_a_log_mel_names_its_bands_in_hertz():
    """A tone of 1 kHz is brightest in the row that the axis calls 1000."""
    import librosa

    left, right = plt.subplots(1, 2)[1]
    figures.spectrogram(left, np.random.default_rng(0).normal(size=(9, 20)), seconds=1.0, top_hz=8000)
    assert left.get_xlabel() == "time (s)" and left.get_ylabel() == "frequency (kHz)"
    assert left.get_xlim() == (0, 1) and left.get_ylim() == (0, 8)
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    mel = librosa.feature.melspectrogram(y=tone, sr=16000, n_mels=40, fmin=0, fmax=8000)
    figures.logmel(right, np.log(mel + 1e-6).T, seconds=1.0, sample_rate=16000)
    row = dict(zip([text.get_text() for text in right.get_yticklabels()], right.get_yticks(), strict=True))
    assert abs(right.images[0].get_array()[:, 15].argmax() - row["1000"]) <= 0.5
    assert list(row) == ["250", "500", "1000", "2000", "4000"], "bands end below 8000 Hz"


def test_learning_curves_mark_the_chosen_epoch_and_the_best_on_the_test_classes():
    fig = figures.learning_curves(
        {"A": [0.1, 0.4, 0.3], "B": [0.2, 0.1]}, chance=0.1, chosen={"A": 2, "B": 1},
        unseen={"A": [0.1, 0.2, 0.3]}, unseen_chance=0.15,
    )  # fmt: skip
    first, second = (ax for ax in fig.axes if ax.get_visible())
    assert sorted(drawn(first, "o")) == [(2, 0.2), (2, 0.4)] and drawn(first, "D") == [(3, 0.3)]
    assert drawn(second, "o") == [(1, 0.2)] and not drawn(second, "D")
    assert "best epoch on the test classes" in legend(fig)


def test_matrices_are_sorted_by_class_and_hatched_where_nothing_is():
    matrix = np.arange(16.0).reshape(4, 4)
    matrix[0, 2] = np.nan
    fig = figures.similarity_panels({"a": matrix}, [1, 0, 1, 0], NAMES)
    order = [1, 3, 0, 2]
    np.testing.assert_array_equal(
        fig.axes[0].images[0].get_array().filled(np.nan), matrix[np.ix_(order, order)]
    )
    assert "no gradient" in legend(fig) and "own pairs 7.50" in fig.axes[0].get_title()
    fig = figures.gradient_panels({"a": matrix - 8, "b": np.eye(4)}, [1, 0, 1, 0], NAMES)
    image = fig.axes[0].images[0]
    assert image.norm.vmin == -image.norm.vmax == -7, "the diagonal does not count"
    assert "own pair" in legend(fig)


def test_a_confusion_puts_families_together():
    shares = np.full((6, 6), 0.1) + 0.4 * np.eye(6)
    ax = figures.confusion(shares, NAMES, ["bowed", "bowed", "drums", "plucked", "plucked", "others"]).axes[0]
    frames = [box.get_xy() for box in ax.patches if isinstance(box, Rectangle) and not box.get_fill()]
    assert frames == [(0, 0), (2, 2), (3, 3)], "others are no family"
    assert "50 % on average" in ax.get_title()


def test_the_rank_correlation_is_spearmans_and_its_p_is_small_for_what_is_related():
    rng = np.random.default_rng(0)
    distances = rng.random((8, 8))
    shares = 1 / (0.2 + distances) + 0.1 * rng.random((8, 8))
    off = ~np.eye(8, dtype=bool)
    rho, p = figures.rank_correlation(shares, distances, draws=199)
    assert rho == pytest.approx(spearmanr(shares[off], distances[off]).statistic) and p == 1 / 200
    assert figures.rank_correlation(rng.random((8, 8)), distances, draws=199)[1] > 0.05
    ax = figures.confusion_against(shares, distances, [*NAMES, "oud", "lute"], named=3).axes[0]
    assert f"{rho:+.2f}" in ax.get_title() and len(ax.texts) == 3
    assert len(ax.collections[0].get_offsets()) == 56


def test_the_plane_names_every_class_once_and_no_name_covers_another():
    points = np.random.default_rng(0).normal(size=(60, 2))
    fig, ax = plt.subplots(figsize=(8, 6))
    kinds = ["picture", "sound"] * 30
    figures.map_of_space(ax, points, np.arange(60) % 6, kinds, NAMES, [figures.family_of(n) for n in NAMES])
    assert sorted(text.get_text() for text in ax.texts) == sorted(NAMES)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    assert {"picture", "sound", "bowed strings"} <= set(legend(fig))
    stars = figures.prototype_map(
        np.r_[points, points[:6]], np.r_[np.arange(60) % 6, np.arange(6)], kinds + ["prototype"] * 6, NAMES
    )
    assert sorted(text.get_text() for text in stars.axes[0].texts) == sorted(NAMES)


def test_calibration_draws_one_half_at_the_threshold():
    history = np.array([[-1.0, 0.5], [-6.0, 1.1]])
    fig = figures.calibration({"seed 0": history}, np.full(5, 0.4), np.full(4, 1.6), kept=(-8.0, 1.0))
    curve = next(line for ax in fig.axes for line in ax.lines if len(line.get_xdata()) == 401)
    assert np.interp(1.0, *curve.get_data()) == pytest.approx(0.5)
    assert "threshold θ = 1.00" in legend(fig)


def test_an_overlay_points_at_the_largest_cell():
    image, heat = np.full((40, 80, 3), 128, np.uint8), np.zeros((4, 8))
    heat[1, 6] = 0.7
    mask = np.zeros((40, 80), bool)
    mask[10:20, 60:70] = True
    _, (hit, miss, none) = plt.subplots(1, 3)
    figures.overlay(hit, image, heat, mask, title="AVOL-Net")
    assert drawn(hit, "x") == [(65, 15)] and hit.get_title() == "AVOL-Net\nhit, max 0.70"
    figures.overlay(miss, image, heat, ~mask)
    figures.overlay(none, image, heat, np.zeros((40, 80), bool))
    assert miss.get_title() == "miss, max 0.70" and none.get_title() == "max 0.70"
    rows = [("a", image, np.stack([heat, heat]), [mask, None])]
    assert len(figures.heat_wall(rows, ["own", "silence"]).axes) == 4
    wall = figures.map_wall([("a", image, heat, mask)] * 4, "maximum").axes
    assert [ax.get_title() for ax in wall[3:5]] == ["a\nhit, max 0.70", ""]
    figures.discs(none, image, 0.25, mask)
    assert [patch.radius for patch in none.patches if isinstance(patch, Circle)] == [10]


def test_seen_against_unseen_and_the_gate():
    tr = np.linspace(0.1, 0.8, 9)
    fig = figures.seen_unseen_curve(
        {"LLINet": (tr, tr[::-1], 0.3)}, {"LLINet": (0.4, 0.5), "gate": (0.3, 0.2)}
    )
    assert legend(fig)[:3] == ["LLINet, AUSUC 0.300", "calibration stops here", "gate"]
    assert drawn(fig.axes[0], "o") == [(0.4, 0.5)] and drawn(fig.axes[0], "D") == [(0.3, 0.2)]
    same = next(line for line in fig.axes[0].lines if line.get_color() == "0.85")
    x, y = same.get_data()
    np.testing.assert_allclose(2 * x * y / (x + y), 0.1)
    fig = figures.gate_histogram(np.array([0.9, 0.4]), np.array([0.1, 0.2, 0.7, 0.3]), 0.5)
    assert {f"{kind} % pass the gate" for kind in ("seen classes: 50", "unseen classes: 25")} < set(
        legend(fig)
    )
