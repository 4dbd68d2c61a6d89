"""The forest plot of the audit: every difference has its line, and only what excludes zero is coloured."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color

from llinet_lite.show import audit

ROWS = [
    ("held-out threshold", -0.03, -0.05, -0.01, "mIoU", "localization"),
    ("all queries", 0.04, 0.01, 0.07, "mAP", "retrieval"),
    ("gate over space", 0.004, -0.01, 0.02, "mIoU", "localization"),
]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def intervals(ax) -> dict[float, tuple]:
    """Height of each interval, its two ends in points and its colour."""
    lines = [line for line in ax.lines if line.get_marker() == "None" and len(set(line.get_ydata())) == 1]
    return {line.get_ydata()[0]: (*np.round(line.get_xdata(), 6), line.get_color()) for line in lines}


def test_rows_stand_under_their_groups_in_points_with_metric_and_value():
    ax = audit.effects(ROWS).axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["localization", "held-out threshold", "gate over space", "retrieval", "all queries"]
    bold = [label.get_text() for label in ax.get_yticklabels() if label.get_fontweight() == "bold"]
    assert bold == ["localization", "retrieval"]
    drawn = intervals(ax)
    assert {y: ends[:2] for y, ends in drawn.items()} == {1: (-5, -1), 2: (-1, 2), 4: (1, 7)}
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["−3.0", "mIoU", "+0.4", "mIoU", "+4.0", "mAP"]  # noqa: RUF001, true minus signs
    heights = [text.xy[1] for text in ax.texts]
    assert heights == [1, 1, 2, 2, 4, 4]
    assert "percentage points" in ax.get_xlabel()


def test_only_an_interval_without_zero_is_coloured():
    drawn = intervals(audit.effects(ROWS).axes[0])
    assert same_color(drawn[1][2], audit.BELOW) and same_color(drawn[4][2], audit.ABOVE)
    assert same_color(drawn[2][2], audit.OPEN)
    touching = [("nothing", 0.0, 0.0, 0.0, "hm", "g"), ("edge", 0.02, 0.0, 0.04, "hm", "g")]
    drawn = intervals(audit.effects(touching).axes[0])
    assert all(same_color(color, audit.OPEN) for *_, color in drawn.values()), "zero is an end: not excluded"


def test_there_is_a_zero_line():
    lines = [line for line in audit.effects(ROWS).axes[0].lines if set(line.get_xdata()) == {0}]
    assert [tuple(line.get_ydata()) for line in lines] == [(0, 1)], "from the bottom to the top of the axes"


def test_what_lies_beyond_the_limit_becomes_an_arrow_head_and_keeps_its_number():
    rows = [
        *ROWS,
        ("shortcut", 0.31, 0.28, 0.34, "AVC", "pairs"),
        ("other way", -0.4, -0.5, -0.05, "AVC", "pairs"),
    ]
    ax = audit.effects(rows, limit=0.1).axes[0]
    assert ax.get_xlim() == (-10, 10)
    heads = {line.get_marker(): line.get_xdata()[0] for line in ax.lines if line.get_marker() in "<>"}
    assert heads == {">": 10, "<": -10}
    assert "+31.0" in [text.get_text() for text in ax.texts]
    assert intervals(ax)[7][:2] == (-10, -5)


def test_25_rows_stay_readable():
    rng = np.random.default_rng(0)
    rows = []
    for k in range(25):
        value, half = 0.05 * rng.normal(), 0.02 * rng.random() + 0.005
        name = f"number {k}: a difference with quite a name"
        rows.append((name, value, value - half, value + half, "accuracy, unseen", f"group {k % 5}"))
    fig = audit.effects(rows)
    assert fig.get_size_inches().max() < 10
    fig.canvas.draw()
    (ax,) = fig.axes
    texts = [*ax.texts, *ax.get_yticklabels(), *fig.legends[0].get_texts(), ax.xaxis.label]
    boxes = {text: text.get_window_extent() for text in texts}
    assert len(boxes) == 2 * 25 + 25 + 5 + 3 + 1
    page = fig.bbox
    for text, here in boxes.items():
        assert page.x0 <= here.x0 and here.x1 <= page.x1, f"{text.get_text()!r} is cut"
        covered = [t.get_text() for t, there in boxes.items() if t is not text and here.overlaps(there)]
        assert not covered, f"{text.get_text()!r} covers {covered}"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a", 0.5, 0.6, 0.7, "mAP", "g"), "does not lie in its interval"),
        (("a", float("nan"), 0.0, 0.1, "mAP", "g"), "does not lie in its interval"),
        (("a", 4.0, 1.0, 7.0, "mAP", "g"), "divide percentage points by 100"),
        (("a", -0.5, -2.0, 0.1, "mAP", "g"), "divide percentage points by 100"),
    ],
)
def test_what_is_no_difference_of_shares_is_refused(row, message):
    with pytest.raises(ValueError, match=f"a: .*{message}"):
        audit.effects([row])
    assert not plt.get_fignums(), "no figure is left open"


def test_no_rows_and_no_axis_are_refused():
    with pytest.raises(ValueError, match="at least one row"):
        audit.effects([])
    with pytest.raises(ValueError, match="above zero, not 0"):
        audit.effects(ROWS, limit=0)
