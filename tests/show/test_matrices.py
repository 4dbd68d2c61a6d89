"""Similarities, gradients and confusions as pictures: sorted, marked, and with honest numbers above them."""

from __future__ import annotations

from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from scipy.stats import spearmanr

from llinet_lite.show import matrices

LABELS = [2, 0, 2, 1, 0, 2]
NAMES = ["harp", "drum", "bell", "gong"]
ORDER = [1, 4, 3, 0, 2, 5]  # by class, else as given
SAME = np.equal.outer(LABELS, LABELS) & ~np.eye(6, dtype=bool)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def panels(fig):
    return [ax for ax in fig.axes if ax.get_xlabel().startswith("sound")]


def batch(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (6, 6))


def test_similarities_are_sorted_by_class_on_one_scale():
    first, last = batch(0), 0.5 * batch(1)
    fig = matrices.similarity_panels({"epoch 0": first, "epoch 9": last}, LABELS, NAMES)
    one, two = panels(fig)
    np.testing.assert_allclose(one.images[0].get_array(), first[np.ix_(ORDER, ORDER)])
    np.testing.assert_allclose(two.images[0].get_array(), last[np.ix_(ORDER, ORDER)])
    both = np.concatenate([first, last])
    assert one.images[0].get_clim() == two.images[0].get_clim() == (both.min(), both.max())
    assert [text.get_text() for text in one.get_yticklabels()] == ["harp", "drum", "bell"]
    assert one.get_ylabel() == "picture" and len(fig.axes) == 3, "two panels and the colour bar"
    blocks = [(p.get_x(), p.get_width()) for p in one.patches if isinstance(p, Rectangle)]
    assert blocks == [(-0.5, 2), (1.5, 1), (2.5, 3)]


def test_the_title_says_how_alike_own_pairs_and_other_classes_are():
    matrix = np.where(np.eye(6, dtype=bool), 0.75, np.where(SAME, 0.5, -0.001))
    title = panels(matrices.similarity_panels({"epoch 3": matrix}, LABELS, NAMES))[0].get_title()
    assert title == "epoch 3\nown pairs 0.75, other classes 0.00"


def test_what_a_loss_leaves_out_is_hatched():
    def legend(matrix):
        fig = matrices.similarity_panels({"": matrix}, LABELS, NAMES)
        return [text.get_text() for text in fig.legends[0].get_texts()], panels(fig)[0]

    entries, ax = legend(np.where(SAME, np.nan, batch()))
    assert "no gradient" in entries and ax.patch.get_hatch()
    np.testing.assert_array_equal(ax.images[0].get_array().mask, SAME[np.ix_(ORDER, ORDER)])
    assert "no gradient" not in legend(batch())[0]


def test_gradients_are_centred_and_not_flattened_by_own_pairs():
    pull = np.where(np.eye(6, dtype=bool), -2.0, np.where(SAME, 0.02, 0.05))
    fig = matrices.gradient_panels({"all": pull, "mask": np.where(SAME, 0, pull)}, LABELS, NAMES)
    one, two = panels(fig)
    assert one.images[0].get_clim() == two.images[0].get_clim() == (-0.05, 0.05)
    assert one.get_title().endswith("on average +0.02") and two.get_title().endswith("on average +0")
    np.testing.assert_array_equal(one.lines[0].get_xydata(), np.tile(np.arange(6), (2, 1)).T)
    assert {"pairs of one class", "own pair"} == {text.get_text() for text in fig.legends[0].get_texts()}


def test_no_gradient_at_all_is_white():
    fig = matrices.gradient_panels({"zero": np.zeros((6, 6))}, LABELS, NAMES)
    assert panels(fig)[0].images[0].get_clim() == (-1, 1)


@pytest.mark.parametrize("draw", [matrices.similarity_panels, matrices.gradient_panels])
def test_what_is_no_batch_is_refused(draw):
    with pytest.raises(ValueError, match="epoch 1: a batch of 6 labels has no matrix of shape"):
        draw({"epoch 1": batch()[:5]}, LABELS, NAMES)
    with pytest.raises(ValueError, match="labels from 0 to 2 do not fit 2 names"):
        draw({"": batch()}, LABELS, NAMES[:2])
    with pytest.raises(ValueError, match="nan where they are left out"):
        draw({"": np.where(SAME, -np.inf, batch())}, LABELS, NAMES)
    with pytest.raises(ValueError, match="not all of them"):
        draw({"": np.full((6, 6), np.nan)}, LABELS, NAMES)
    with pytest.raises(ValueError, match="at least one"):
        draw({}, LABELS, NAMES)


CONFUSED = np.array([[0.8, 0.05, 0.15, 0], [0.1, 0.6, 0.1, 0.2], [0.25, 0, 0.5, 0.25], [0, 0.31, 0.19, 0.5]])


def test_a_confusion_prints_percent_with_queries_in_rows():
    ax = matrices.confusion(CONFUSED, NAMES).axes[0]
    printed = np.array([float(text.get_text()) for text in ax.texts]).reshape(4, 4)
    np.testing.assert_allclose(printed, 100 * CONFUSED, atol=0.51)
    assert [text.get_text() for text in ax.get_yticklabels()] == NAMES
    assert ax.get_ylabel() == "class of the query" and ax.get_xlabel() == "class of the top answer"
    assert "60 %" in ax.get_title(), "mean of the diagonal"


def test_families_stand_together():
    families = ["strings", "percussion", "others", "percussion"]
    ax = matrices.confusion(CONFUSED, NAMES, families).axes[0]
    order = [0, 1, 3, 2]
    assert [text.get_text() for text in ax.get_xticklabels()] == [NAMES[k] for k in order]
    printed = np.array([float(text.get_text()) for text in ax.texts[:16]]).reshape(4, 4)
    np.testing.assert_allclose(printed, 100 * CONFUSED[np.ix_(order, order)], atol=0.51)
    assert [text.get_text() for text in ax.texts[16:]] == ["strings", "percussion", "others"]
    assert [(p.get_x(), p.get_width()) for p in ax.patches] == [(0, 1), (1, 2)], "others are no family"


def test_counts_and_missing_names_are_refused():
    with pytest.raises(ValueError, match="divide each row"):
        matrices.confusion(10 * CONFUSED, NAMES)
    with pytest.raises(ValueError, match="3 classes need a matrix of 3 x 3"):
        matrices.confusion(CONFUSED, NAMES[:3])
    with pytest.raises(ValueError, match="one each"):
        matrices.confusion(CONFUSED, NAMES, ["strings"])


def test_rank_correlation_is_scipys_and_its_test_permutes_classes():
    rng = np.random.default_rng(3)
    shares, distances = rng.uniform(size=(5, 5)), rng.integers(0, 4, (5, 5))
    off = ~np.eye(5, dtype=bool)
    rho, p = matrices.rank_correlation(shares, distances, draws=4000)
    assert rho == pytest.approx(spearmanr(shares[off], distances[off]).statistic)
    turned = [distances[np.ix_(order, order)][off] for order in permutations(range(5))]
    chances = np.array([spearmanr(shares[off], other).statistic for other in turned])
    assert p == pytest.approx((np.abs(chances) >= abs(rho) - 1e-12).mean(), abs=0.03)
    assert matrices.rank_correlation(shares, distances, draws=4000) == (rho, p), "one seed, one answer"


def test_the_diagonal_does_not_count():
    rng = np.random.default_rng(4)
    shares, distances = rng.uniform(size=(6, 6)), rng.uniform(size=(6, 6))
    changed = distances + 100 * np.eye(6)
    assert matrices.rank_correlation(shares, distances) == matrices.rank_correlation(shares, changed)


def test_what_has_no_order_is_refused():
    with pytest.raises(ValueError, match="shares off the diagonal are all equal"):
        matrices.rank_correlation(np.eye(5), np.arange(25).reshape(5, 5))
    with pytest.raises(ValueError, match=r"distances .* not numbers"):
        matrices.rank_correlation(np.arange(25).reshape(5, 5), np.full((5, 5), np.nan))
    with pytest.raises(ValueError, match="at least 4 classes"):
        matrices.rank_correlation(np.eye(3), np.eye(3))


def test_confusions_against_distances_name_the_worst_without_overlap():
    rng = np.random.default_rng(5)
    names = [f"instrument number {k}" for k in range(8)]
    shares, distances = rng.dirichlet(np.ones(8), 8), rng.integers(1, 4, (8, 8))
    fig = matrices.confusion_against(shares, distances, names, named=6)
    (ax,) = fig.axes
    off = ~np.eye(8, dtype=bool)
    np.testing.assert_allclose(
        ax.collections[0].get_offsets(), np.stack([distances[off], 100 * shares[off]], axis=1)
    )
    rho, p = matrices.rank_correlation(shares, distances)
    assert f"rho = {rho:+.2f}, p = {p:.3f}" in ax.get_title() and "56 ordered pairs" in ax.get_title()
    row, column = np.unravel_index(np.where(off, shares, 0).argmax(), shares.shape)
    assert ax.texts[0].get_text() == f"{names[row]} → {names[column]}" and len(ax.texts) == 6
    fig.canvas.draw()
    boxes, frame = [text.get_window_extent() for text in ax.texts], ax.get_window_extent()
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    with pytest.raises(ValueError, match="7 classes"):
        matrices.confusion_against(shares, distances, names[:7])
