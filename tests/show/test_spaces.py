"""Maps of a space, distances with their calibration, and the retrieval table."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import silhouette_score

from llinet_lite.show import spaces
from llinet_lite.show.plots import CHANCE
from llinet_lite.world import SEEN

RNG = np.random.default_rng(0)
NAMES = [row.name for row in SEEN]
FAMILIES = [spaces.family_of(name) for name in NAMES]


@pytest.fixture
def ax():
    fig, ax = plt.subplots(figsize=(5, 5))
    yield ax
    plt.close(fig)


def two_groups(n: int = 30) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat([0, 1], n)
    return RNG.normal(size=(2 * n, 8)) + 20 * labels[:, None] * np.eye(8)[0], labels


def test_tsne_keeps_groups_apart_and_repeats_itself():
    vectors, labels = two_groups()
    points = spaces.tsne(vectors, 3, perplexity=10)
    assert points.shape == (60, 2) and silhouette_score(points, labels) > 0.5
    np.testing.assert_array_equal(points, spaces.tsne(vectors, 3, perplexity=10))


def test_cosine_does_not_see_lengths():
    vectors, labels = two_groups()
    longer = vectors * RNG.uniform(0.01, 100, size=(len(vectors), 1))
    assert silhouette_score(spaces.tsne(longer, 0, metric="cosine", perplexity=10), labels) > 0.5


def test_tsne_of_too_few_says_what_to_do():
    with pytest.raises(ValueError, match="smaller perplexity"):
        spaces.tsne(np.zeros((30, 4)))


def test_families_are_the_branches_of_the_tree():
    assert spaces.family_of("cello") == "bowed strings" == spaces.family_of("double bass")
    assert spaces.family_of("trumpet") == spaces.family_of("clarinet") == "winds"
    assert spaces.family_of("chime") == spaces.family_of("bell") == "bells"
    assert spaces.family_of("accordion") == spaces.OTHERS
    assert set(FAMILIES) == set(spaces.FAMILIES), "every family has a seen class"
    with pytest.raises(KeyError, match="did you mean violin"):
        spaces.family_of("violine")


def draw_map(ax, points, labels, **more):
    modality = np.tile(["picture", "sound"], len(labels) // 2)
    spaces.map_of_space(ax, points, labels, modality, NAMES, FAMILIES, **more)


def test_names_of_a_crowded_map_do_not_cover_each_other(ax):
    labels = np.repeat(np.arange(len(NAMES)), 4)
    draw_map(ax, RNG.normal(size=(len(labels), 2)) * 0.01, labels)
    assert [text.get_text() for text in ax.texts] == NAMES
    boxes = [text.get_window_extent() for text in ax.texts]
    overlaps = [(i, j) for i, a in enumerate(boxes) for j, b in enumerate(boxes[:i]) if a.overlaps(b)]
    assert not overlaps


def test_a_name_stays_near_its_class_where_there_is_room(ax):
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    labels = np.repeat(np.arange(4), 10)
    draw_map(ax, centres[labels] + RNG.normal(size=(40, 2)) * 0.2, labels)
    for text, centre in zip(ax.texts, centres, strict=True):
        assert np.abs(np.array(text.get_position()) - centre).max() < 1.5


def test_long_names_at_the_edge_stay_on_the_map(ax):
    points = np.repeat([[0.0, 0.0], [1.0, 1.0]], 4, axis=0)
    draw_map(ax, points, np.repeat([NAMES.index("singing bowl"), NAMES.index("saxophone")], 4))
    frame = ax.get_window_extent()
    for text in ax.texts:
        box = text.get_window_extent()
        assert frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1


def test_pictures_and_sounds_differ_by_marker_and_families_by_colour(ax):
    labels = np.repeat([NAMES.index("cello"), NAMES.index("violin"), NAMES.index("drum")], 4)
    draw_map(ax, RNG.normal(size=(12, 2)), labels)
    dots, crosses = ax.collections
    assert len(dots.get_offsets()) == len(crosses.get_offsets()) == 6
    assert len(dots.get_paths()[0].vertices) != len(crosses.get_paths()[0].vertices)
    assert len(np.unique(dots.get_facecolors(), axis=0)) == 2, "cello and violin are one family"
    entries = [text.get_text() for text in ax.get_legend().get_texts()]
    assert entries[:2] == ["picture", "sound"] and "bowed strings" in entries


def test_a_map_refuses_what_does_not_fit(ax):
    points = np.zeros((2, 2))
    with pytest.raises(ValueError, match="one of each"):
        spaces.map_of_space(ax, points, [0], ["picture", "sound"], ["harp"])
    with pytest.raises(ValueError, match="modality"):
        spaces.map_of_space(ax, points, [0, 0], ["picture", "smell"], ["harp"])
    with pytest.raises(ValueError, match="family"):
        spaces.map_of_space(ax, points, [0, 0], ["picture", "sound"], ["harp"], ["harps"])


def test_histograms_sum_to_one_and_the_curve_is_logistic(ax):
    matched, mismatched = RNG.uniform(0.2, 1, 50), RNG.uniform(1, 2, 400)
    spaces.distance_histogram(ax, matched, mismatched, slope=-6.0, threshold=1.05)
    for patch in ax.patches:  # one outline each: every share is drawn as a step up and a step down
        assert patch.get_xy()[:, 1].max() <= 1
    heights = [np.histogram(d, np.linspace(0, 2, 41))[0].max() / len(d) for d in (matched, mismatched)]
    np.testing.assert_allclose([patch.get_xy()[:, 1].max() for patch in ax.patches], heights)
    right = next(other for other in ax.figure.axes if other is not ax)
    d, p = right.lines[0].get_data()
    np.testing.assert_allclose(p, expit(-6.0 * (d - 1.05)), atol=1e-12)
    assert right.get_ylabel() and ax.get_xlabel() == "Euclidean distance"


def test_calibration_shows_every_run_and_judges_by_the_first():
    epochs = np.arange(6)
    histories = {
        "right sign": np.stack([-1.0 - epochs, 1.3 - 0.05 * epochs], axis=1),
        "wrong sign": np.stack([1.0 + epochs, 1.4 + 0 * epochs], axis=1),
    }
    fig = spaces.calibration(histories, RNG.uniform(0, 1, 20), RNG.uniform(1, 2, 20))
    slope, threshold, distances = fig.axes[:3]
    np.testing.assert_array_equal(slope.lines[1].get_ydata(), 1.0 + epochs)
    np.testing.assert_array_equal(threshold.lines[0].get_ydata(), histories["right sign"][:, 1])
    assert any("1.05" in text.get_text() for text in distances.get_legend().get_texts())
    plt.close(fig)


def test_a_threshold_that_runs_off_does_not_flatten_the_rest():
    history = np.array([[1.0, 1.3], [0.01, 250.0], [-2.0, 1.1]])
    fig = spaces.calibration({"wrong sign": history}, np.ones(5), np.ones(5))
    assert fig.axes[1].get_ylim() == (0, 2)
    plt.close(fig)


def test_the_retrieval_table_shows_value_interval_paper_and_random():
    scores = {
        "VGG16": {"im-im": (0.5, 0.45, 0.55)},
        "AVE-Net": dict.fromkeys(spaces.DIRECTIONS, (0.6, 0.55, 0.66)),
    }
    random = dict.fromkeys(spaces.DIRECTIONS, 0.3)
    fig = spaces.ndcg_bars(scores, random=random, paper={"AVE-Net": {"im-aud": 0.561}})
    first, second = fig.axes[:2]
    assert [bar.get_width() for bar in first.patches] == [0.5, 0.6]
    assert [bar.get_width() for bar in second.patches] == [0.6]
    assert [text.get_text() for text in second.texts] == ["-"], "VGG16 hears nothing"
    drawn = [tuple(np.ravel(line.get_xdata())) for line in second.lines]
    assert (0.55, 0.66) in drawn and (0.561,) in drawn
    assert any(
        line.get_linestyle() == CHANCE["linestyle"] and 0.3 in line.get_xdata() for line in second.lines
    )
    assert [label.get_text() for label in first.get_yticklabels()] == list(scores)
    plt.close(fig)
