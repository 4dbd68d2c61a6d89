"""The retrieval table, the curves over the epochs, and the released protocol beside the honest one."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from llinet_lite.show import retrieval
from llinet_lite.show.plots import CHANCE

CHANCES = {"mAP I2A": 0.15, "R@1 I2A": 0.14, "mAP A2I": 0.16, "R@1 A2I": 0.13}
ROWS = {
    "DAR": dict.fromkeys(CHANCES, (0.2, 0.17, 0.23)),
    "LLINet": dict.fromkeys(CHANCES, (0.4, 0.36, 0.44)),
}
PAPER = {"LLINet": {"mAP I2A": 0.493}}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(ax) -> list[tuple]:
    return [tuple(np.ravel(line.get_xdata())) for line in ax.lines]


def words(legend) -> list[str]:
    return [text.get_text() for text in legend.get_texts()]


def test_table_1_has_four_panels_with_value_interval_chance_and_paper():
    fig = retrieval.table_bars(ROWS, chance=CHANCES, paper=PAPER)
    assert [ax.get_title() for ax in fig.axes] == list(retrieval.TABLE_1.values())
    for ax, column in zip(fig.axes, CHANCES, strict=True):
        assert [bar.get_width() for bar in ax.patches] == [0.2, 0.4]
        assert (0.36, 0.44) in drawn(ax)
        lines = [line for line in ax.lines if line.get_linestyle() == CHANCE["linestyle"]]
        assert [set(line.get_xdata()) for line in lines] == [{CHANCES[column]}]
    assert [(0.493,) in drawn(ax) for ax in fig.axes] == [True, False, False, False]
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == list(ROWS)
    assert "paper, other data" in words(fig.legends[0])


def test_shares_are_shown_in_percent_and_the_axes_end_above_the_largest():
    ax = retrieval.table_bars(ROWS, chance=CHANCES, paper=PAPER).axes[2]
    assert ax.get_xlim() == (0, 0.6), "0.493 needs room for its marker"
    ax.figure.canvas.draw()
    assert "20%" in [text.get_text() for text in ax.get_xticklabels()]
    full = {"oracle": {"mAP I2A": (1.0, 1.0, 1.0)}}
    assert retrieval.table_bars(full, chance=CHANCES, paper={}).axes[0].get_xlim() == (0, 1)


def test_a_method_without_a_number_gets_a_dash():
    fig = retrieval.table_bars({"one way": {"mAP I2A": (0.2, 0.1, 0.3)}}, chance=CHANCES, paper={})
    assert [[text.get_text() for text in ax.texts] for ax in fig.axes] == [[], ["-"], ["-"], ["-"]]


def test_percent_for_shares_and_unknown_columns_are_refused():
    with pytest.raises(ValueError, match=r"not 49\.3: divide percent by 100"):
        retrieval.table_bars(ROWS, chance=CHANCES, paper={"LLINet": {"mAP I2A": 49.3}})
    with pytest.raises(ValueError, match="not nan"):
        retrieval.table_bars({"DAR": {"mAP I2A": (float("nan"),) * 3}}, chance=CHANCES, paper={})
    with pytest.raises(ValueError, match=r"columns are .* not R@5 I2A"):
        retrieval.table_bars({"DAR": {"R@5 I2A": (0.1, 0, 0.2)}}, chance=CHANCES, paper={})
    with pytest.raises(ValueError, match="R@1 A2I is missing"):
        retrieval.table_bars(ROWS, chance={c: v for c, v in CHANCES.items() if c != "R@1 A2I"}, paper={})


SEEN = {"CME": [0.1, 0.3, 0.25], "LLINet": [0.2, 0.4, 0.5, 0.45]}
UNSEEN = {"LLINet": [0.15, 0.35, 0.3, 0.2]}
CHOSEN = {"CME": 2, "LLINet": 3}


def test_curves_mark_the_chosen_epoch_and_what_the_test_set_would_have_chosen():
    fig = retrieval.learning_curves(
        SEEN, chance=0.04, chosen=CHOSEN, unseen=UNSEEN, unseen_chance=0.14, columns=2
    )
    one, two = fig.axes
    assert [ax.get_title() for ax in fig.axes] == list(SEEN) and one.get_xlabel() == "epoch"
    assert all(ax.get_xlabel() == "epoch" for ax in fig.axes) and one.get_ylabel() == "mAP"
    points = [tuple(line.get_xydata()[0]) for line in two.lines if len(line.get_xdata()) == 1]
    assert points == [(3, 0.5), (3, 0.3), (2, 0.35)], (
        "chosen on seen, the same epoch on unseen, best on unseen"
    )
    dashed = [line for line in two.lines if line.get_linestyle() == "--"]
    np.testing.assert_array_equal(dashed[0].get_xydata(), np.stack([[1, 2, 3, 4], UNSEEN["LLINet"]], 1))
    flat = [line.get_ydata()[0] for line in two.lines if line.get_linestyle() == ":"]
    assert flat == [0.04, 0.14], "each set of classes has its own chance"
    assert not any(line.get_linestyle() == "--" for line in one.lines), "CME has no curve on unseen classes"
    assert "best epoch on the test classes" in words(fig.legends[0])


def test_without_unseen_classes_nothing_speaks_of_them():
    fig = retrieval.learning_curves(SEEN, chance=0.04, chosen=CHOSEN)
    assert not any("test" in word for word in words(fig.legends[0]))


def test_panels_that_are_not_needed_are_not_seen():
    names = [f"method {k}" for k in range(7)]
    fig = retrieval.learning_curves(
        dict.fromkeys(names, (0.1, 0.2)), chance=0.04, chosen=dict.fromkeys(names, 1), columns=5
    )
    assert [ax.get_title() for ax in fig.axes if ax.get_visible()] == names and len(fig.axes) == 10


def test_curves_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="CME: epoch 4 is not one of 1 to 3"):
        retrieval.learning_curves(SEEN, chance=0.04, chosen={**CHOSEN, "CME": 4})
    with pytest.raises(ValueError, match="CME: epoch None"):
        retrieval.learning_curves(SEEN, chance=0.04, chosen={"LLINet": 1})
    with pytest.raises(ValueError, match="give unseen_chance"):
        retrieval.learning_curves(SEEN, chance=0.04, chosen=CHOSEN, unseen=UNSEEN)
    with pytest.raises(ValueError, match="LLINet: 4 epochs on seen and 2 on unseen"):
        retrieval.learning_curves(
            SEEN, chance=0.04, chosen=CHOSEN, unseen={"LLINet": [0.1, 0.2]}, unseen_chance=0.1
        )
    with pytest.raises(ValueError, match="DAR: unseen classes only"):
        retrieval.learning_curves(SEEN, chance=0.04, chosen=CHOSEN, unseen={"DAR": [0.1]}, unseen_chance=0.1)
    with pytest.raises(ValueError, match="divide percent by 100"):
        retrieval.learning_curves({"CME": [40.0]}, chance=0.04, chosen={"CME": 1})


def test_the_released_protocol_stands_beside_the_honest_one():
    released = {  # DAR overtakes in one direction only; a drawn value may lie outside its quantiles
        "DAR": {"mAP I2A": (0.5, 0.1, 0.35), "mAP A2I": (0.2, 0.1, 0.35)},
        "LLINet": {"mAP I2A": (0.3, 0.25, 0.6), "mAP A2I": (0.45, 0.25, 0.6)},
    }
    fig = retrieval.released_against_honest(ROWS, released, chance=CHANCES)
    there, back = fig.axes
    assert there.get_title() == "mAP, picture → sound\n1 of 1 pairs of methods change order"
    assert back.get_title() == "mAP, sound → picture\n0 of 1 pairs of methods change order"
    assert {(0.5,), (0.1, 0.35), (0.2,), (0.17, 0.23)} <= set(drawn(there))
    assert [text.get_text() for text in there.get_yticklabels()] == list(ROWS)
    assert "random queries, one per class" in words(fig.legends[0])


def test_protocols_of_different_methods_are_refused():
    with pytest.raises(ValueError, match="methods differ"):
        retrieval.released_against_honest(ROWS, {"DAR": ROWS["DAR"]}, chance=CHANCES)
    lacking = {"DAR": ROWS["DAR"], "LLINet": {"mAP I2A": (0.3, 0.2, 0.4)}}
    with pytest.raises(ValueError, match="no value for LLINet, mAP A2I"):
        retrieval.released_against_honest(ROWS, lacking, chance=CHANCES)
