"""Zero-shot recognition: bars, the balance of seen and unseen, the gate, the prototypes, and the drawings."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from llinet_lite.show import diagrams, recognition
from llinet_lite.show.plots import CHANCE, PALETTE


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def words(fig) -> list[str]:
    return [text.get_text() for text in fig.legends[0].get_texts()]


def dashed(ax) -> list[float]:
    return [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == CHANCE["linestyle"]]


ACCURACY = {"DCN": (0.29, 0.25, 0.33), "LLINet": (0.55, 0.5, 0.6)}
COLUMNS = ("tr", "ts", "hm")
BALANCE = {name: dict.fromkeys(COLUMNS, score) for name, score in ACCURACY.items()}


def test_accuracy_has_a_bar_per_method_the_chance_line_and_the_paper():
    ax = recognition.accuracy_bars(ACCURACY, chance=0.125, paper={"LLINet": 0.567}).axes[0]
    assert [bar.get_width() for bar in ax.patches] == [0.29, 0.55] and dashed(ax) == [0.125]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"] == [0.567]
    assert "chance" in [text.get_text() for text in ax.texts]
    with pytest.raises(ValueError, match="divide percent by 100"):
        recognition.accuracy_bars(ACCURACY, chance=12.5)
    with pytest.raises(ValueError, match="SAE is not among the rows"):
        recognition.accuracy_bars(ACCURACY, chance=0.125, paper={"SAE": 0.577})


def test_gzsl_has_a_panel_each_for_seen_unseen_and_their_mean():
    chance = {"tr": 0.03, "ts": 0.04, "hm": 0.035}
    fig = recognition.gzsl_bars(BALANCE, chance=chance, paper={"LLINet": {"hm": 0.501}})
    assert [ax.get_xlabel().split(",")[0] for ax in fig.axes] == list(COLUMNS)
    for ax, column in zip(fig.axes, COLUMNS, strict=True):
        assert len(ax.patches) == 2 and dashed(ax) == [chance[column]]
    marks = [[line.get_xdata()[0] for line in ax.lines if line.get_marker() == "D"] for ax in fig.axes]
    assert marks == [[], [], [0.501]]
    with pytest.raises(ValueError, match="chance has a line in every panel: that of hm is missing"):
        recognition.gzsl_bars(BALANCE, chance={"tr": 0.03, "ts": 0.03})


SWEEP = np.linspace(0, 1, 30)
CURVES = {"LLINet": (0.7 * SWEEP, 0.5 * (1 - SWEEP), 0.175), "SAE": (0.6 * SWEEP, 0.4 * (1 - SWEEP), 0.12)}


def test_the_curve_says_its_area_and_where_calibration_stops():
    fig = recognition.seen_unseen_curve(CURVES, {"SAE": (0.3, 0.2), "paper": (0.686, 0.394)})
    ax = fig.axes[0]
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_array_equal(lines["LLINet, AUSUC 0.175"].get_xdata(), CURVES["LLINet"][0])
    stops = [line for line in ax.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in stops] == [(0.3, 0.2)]
    assert same_color(stops[0].get_color(), lines["SAE, AUSUC 0.120"].get_color())
    assert (lines["paper"].get_xdata()[0], lines["paper"].get_ydata()[0]) == (0.686, 0.394)
    said = ["LLINet, AUSUC 0.175", "SAE, AUSUC 0.120", "calibration stops here", "paper"]
    assert words(fig) == [*said, "same harmonic mean (hm)"]
    assert ax.get_xlim() == ax.get_ylim() == (0, 0.8)
    assert "calibration stops here" not in words(recognition.seen_unseen_curve(CURVES))


def test_along_a_grey_line_the_harmonic_mean_is_what_its_label_says():
    ax = recognition.seen_unseen_curve(CURVES).axes[0]
    grey = [line for line in ax.lines if same_color(line.get_color(), "0.85")]
    names = [text for text in ax.texts if text.get_text().startswith("hm")]
    assert [text.get_text() for text in names] == [f"hm {10 * k} %" for k in range(1, 8)]
    for line, name in zip(grey, names, strict=True):
        tr, ts = np.float64(line.get_data())
        said = int(name.get_text().split()[1]) / 100
        np.testing.assert_allclose(2 / (1 / tr + 1 / ts), said, rtol=1e-9)
        assert tr.max() <= 0.8 + 1e-9 and ts.max() <= 0.8 + 1e-9
        np.testing.assert_allclose(name.xy, (tr[-1], ts[-1]))


def test_a_curve_needs_two_rows_of_shares():
    with pytest.raises(ValueError, match="at least one"):
        recognition.seen_unseen_curve({})
    with pytest.raises(ValueError, match=r"SAE: tr \(3,\) and ts \(2,\)"):
        recognition.seen_unseen_curve({"SAE": (np.zeros(3), np.zeros(2), 0.1)})
    with pytest.raises(ValueError, match="not 68"):
        recognition.seen_unseen_curve(CURVES, {"paper": (68, 39)})
    assert not plt.get_fignums()


def test_the_histograms_sum_to_one_and_say_what_passes():
    seen, unseen = np.array([0.9, 0.8, 0.7, 0.2]), np.array([0.1, 0.3, 0.7])
    fig = recognition.gate_histogram(seen, unseen, 0.7)
    ax = fig.axes[0]
    assert words(fig) == [
        "seen classes: 75 % pass the gate",
        "unseen classes: 33 % pass the gate",
        "threshold θ = 0.70",
    ]
    for shape in ax.patches:  # an outline: its area is the sum of shares times the width of a bin, 1 / 25
        x, y = shape.get_xy().T
        area = abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
        np.testing.assert_allclose(area * 25, 1, rtol=1e-9)
    assert [tuple(line.get_xdata()) for line in ax.lines] == [(0.7, 0.7)]
    assert {text.get_text() for text in ax.texts} == {"← unseen", "seen →"}
    with pytest.raises(ValueError, match="no picture of unseen classes"):
        recognition.gate_histogram(seen, [], 0.7)
    with pytest.raises(ValueError, match="not 70"):
        recognition.gate_histogram(seen, unseen, 70)


NAMES = ["harp", "sitar"]
KINDS = ["picture", "picture", "sound", "sound", "prototype", "prototype"]
PLANE = np.array([[0, 0], [5, 5], [1, 0], [5, 6], [0.5, 0.5], [4.5, 5.5]])
LABELS = [0, 1, 0, 1, 0, 1]


def test_prototypes_are_stars_in_the_colour_of_their_class_and_carry_its_name():
    ax = recognition.prototype_map(PLANE, LABELS, KINDS, NAMES).axes[0]
    pictures, sounds, stars = ax.collections
    for drawn, rows in ((pictures, [0, 1]), (sounds, [2, 3]), (stars, [4, 5])):
        np.testing.assert_array_equal(drawn.get_offsets(), PLANE[rows])
    assert [same_color(c, PALETTE[k]) for k, c in enumerate(stars.get_facecolor())] == [True, True]
    assert [text.get_text() for text in ax.texts] == NAMES
    above = [text.get_position()[1] for text in ax.texts]
    assert above[0] > 0.5 and above[1] > 5.5
    assert [t.get_text() for t in ax.get_legend().get_texts()][-1] == "prototype: mean of the sounds"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1]}, "6 points, 2 labels, 6 kinds"),
        ({"kinds": ["film", *KINDS[1:]]}, "not .'film'"),
        ({"names": list("abcdefghijk")}, "11 classes for 10 colours"),
        ({"names": ["harp"]}, "labels from 0 to 1 do not fit 1 names"),
        ({"kinds": [*KINDS[:5], "sound"]}, r"prototypes are of the classes \[0\]"),
        ({"labels": [0, 1, 0, 1, 0, 0]}, r"prototypes are of the classes \[0, 0\]"),
    ],
)
def test_the_map_refuses_what_it_cannot_draw(change, message):
    given = {"labels": LABELS, "kinds": KINDS, "names": NAMES} | change
    with pytest.raises(ValueError, match=message):
        recognition.prototype_map(PLANE, **given)
    assert not plt.get_fignums()


LAPTOP = {"crop": 112, "frames": 101, "bands": 40, "size": 256, "unseen": 8}


@pytest.mark.parametrize("draw", [diagrams.zero_shot, diagrams.generalized])
@pytest.mark.parametrize("size", [{}, LAPTOP], ids=("paper", "laptop"))
def test_no_text_covers_another_or_leaves_its_box(draw, size):
    fig = draw(**size)
    assert fig.get_size_inches()[0] <= diagrams.PAGE
    fig.canvas.draw()
    boxes = {text: text.get_window_extent() for text in fig.findobj(Text) if text.get_text()}
    frames = [p.get_window_extent() for p in fig.axes[0].patches if isinstance(p, FancyBboxPatch)]
    for one, here in boxes.items():
        covered = [two.get_text() for two, there in boxes.items() if one is not two and here.overlaps(there)]
        assert not covered, f"{one.get_text()!r} covers {covered}"
        assert fig.bbox.x0 < here.x0 and here.x1 < fig.bbox.x1, f"{one.get_text()!r} is cut"
        if one.get_va() == one.get_ha() == "center":  # in a box or in the gate
            assert here.width < diagrams.BOX[0] * fig.dpi and here.height < diagrams.BOX[1] * fig.dpi
        else:
            assert not any(here.overlaps(frame) for frame in frames), f"{one.get_text()!r} touches a box"


def test_the_drawings_say_the_shapes_on_the_arrows():
    texts = [text.get_text() for text in diagrams.zero_shot(**LAPTOP).findobj(Text)]
    assert {"3x112x112", "n x 101x40", "n x 256", "$p_c$  8x256", "$v'$  256", "8\ndistances"} <= set(texts)
    texts = [text.get_text() for text in diagrams.generalized(**LAPTOP, seen=20).findobj(Text)]
    assert texts.count("$v'$  256") == 2 and {"20", "$q$  20", "$p_c$  8x256", "yes", "no"} <= set(texts)
    assert {"seen class\n(1 of 20)", "unseen class\n(1 of 8)", "classifier\nof seen\nclasses"} <= set(texts)


@pytest.mark.parametrize("unseen", [1, 5, 8, 100])
def test_the_strong_line_goes_to_the_nearest_prototype(unseen):
    ax = diagrams.zero_shot(unseen=unseen).axes[0]
    (stars,) = [np.stack(line.get_data(), axis=1) for line in ax.lines if line.get_marker() == "*"]
    (dot,) = [np.ravel(line.get_data()) for line in ax.lines if line.get_marker() == "o"]
    (strong,) = [line for line in ax.lines if line.get_linewidth() == 1.6]
    assert len(stars) == min(unseen, 8), "more stars would say no more"
    nearest = stars[((stars - dot) ** 2).sum(1).argmin()]
    np.testing.assert_allclose(np.stack(strong.get_data(), axis=1), [dot, nearest])


def test_drawings_refuse_sizes_below_one():
    with pytest.raises(ValueError, match="unseen is a size, 1 or more, not 0"):
        diagrams.zero_shot(unseen=0)
    with pytest.raises(ValueError, match="seen is a size"):
        diagrams.generalized(seen=-1)
    assert not plt.get_fignums()
