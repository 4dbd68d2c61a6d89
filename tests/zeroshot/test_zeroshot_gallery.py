"""What lesson 06 looks at: galleries, confusions, distances of attributes, and the released protocol."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zeroshot_fakes import SETTINGS, by_cosine, found, fresh, random_scores

from llinet_lite.metrics.retrieval import chance_mean_average_precision, released_map
from llinet_lite.show.figures import FAMILIES, released_against_honest
from llinet_lite.world.instruments import INSTRUMENTS
from llinet_lite.zeroshot import (
    Plan,
    attribute_distances,
    classes_of,
    confusions,
    embed,
    families,
    gallery,
    items_of,
    names,
    two_protocols,
    watched_chance,
    within_and_across,
)
from llinet_lite.zeroshot.evaluation import Embedded
from llinet_lite.zeroshot.runs import held_out

LABELS = np.repeat([3, 8, 9], [13, 9, 18])  # 40 items


def vectors(seed: int, count: int = 40, size: int = 6, skill: float = 0.0, labels=LABELS) -> torch.Tensor:
    points = torch.randn(count, size, generator=torch.Generator().manual_seed(seed))
    points[:, 0] += skill * torch.from_numpy((labels == 3).astype(np.float32))
    return points


# --------------------------------------------------------------------------------- confusions, names


@pytest.mark.parametrize("direction", ["I2A", "A2I"])
def test_confusions_are_shares_of_first_answers(direction):
    heard = np.repeat([3, 8, 9], [4, 20, 6])
    scores = random_scores(40, 0, 30)
    shares = confusions(found(scores, LABELS, heard), direction=direction)
    matrix = scores.numpy() if direction == "I2A" else scores.numpy().T
    queries, answers = (LABELS, heard) if direction == "I2A" else (heard, LABELS)
    expected = np.zeros((3, 3))
    for label, row in zip(queries, matrix, strict=True):
        expected[[3, 8, 9].index(label), [3, 8, 9].index(answers[row.argmax()])] += 1
    np.testing.assert_allclose(shares, expected / expected.sum(1, keepdims=True))
    np.testing.assert_allclose(shares.sum(1), 1)


def test_names_and_families_of_the_classes(store):
    assert names(store, [0, 5]) == [INSTRUMENTS[0].name, INSTRUMENTS[5].name]
    unseen = classes_of(store, "unseen")
    assert unseen == [row.name for row in INSTRUMENTS if not row.seen]
    branches = families(unseen)
    assert len(branches) == 8 and set(branches) <= set(FAMILIES)


# --------------------------------------------------------------------------------------- attributes


def test_attribute_distances_are_a_metric():
    every = [row.name for row in INSTRUMENTS]
    distances = attribute_distances(every)
    assert distances.shape == (32, 32) and np.isfinite(distances).all()
    np.testing.assert_array_equal(distances, distances.T)
    np.testing.assert_array_equal(np.diag(distances), 0)
    assert distances[~np.eye(32, dtype=bool)].min() > 0, "no two classes are alike"
    detour = distances[:, :, None] + distances[None]  # (i, k) + (k, j)
    assert (distances[:, None] <= detour + 1e-9).all()


def test_a_distance_counts_kinds_and_numbers():
    """Two classes by hand; who stands beside them changes nothing."""
    one, two = INSTRUMENTS[0], INSTRUMENTS[9]
    expected = sum(getattr(one, kind) != getattr(two, kind) for kind in ("exciter", "resonator", "material"))
    for number in (
        lambda row: np.log2(row.length),
        lambda row: (row.low + row.high) / 2,
        lambda row: row.decay,
        lambda row: row.brightness,
    ):
        spread = np.std([number(row) for row in INSTRUMENTS])
        expected += abs(number(one) - number(two)) / spread / 4
    pair = attribute_distances([one.name, two.name])
    assert pair[0, 1] == pytest.approx(expected)
    assert attribute_distances([row.name for row in INSTRUMENTS])[0, 9] == pytest.approx(expected)


# ------------------------------------------------------------------------------- the released protocol


def test_the_released_value_is_that_of_the_released_code():
    image, audio = vectors(0, skill=2.0), vectors(1, skill=2.0)
    embedded = {"LLINet": [by_cosine(image, audio, LABELS), by_cosine(vectors(2), vectors(3), LABELS)]}
    honest, released = two_protocols(embedded, embedded)
    theirs = released_map(image, audio, LABELS, drop_last=32)
    assert theirs.items == 32
    assert released["LLINet"]["mAP I2A"][0] == pytest.approx(theirs.image_to_audio, abs=1e-6)
    assert released["LLINet"]["mAP A2I"][0] == pytest.approx(theirs.audio_to_image, abs=1e-6)
    for column, direction in (("mAP I2A", "I2A"), ("mAP A2I", "A2I")):
        seeds = [one.retrieval()[direction].mean_average_precision for one in embedded["LLINet"]]
        value, low, high = honest["LLINet"][column]
        assert value == pytest.approx(np.mean(seeds)) and low <= value <= high


def test_the_spread_is_that_of_other_choices_of_queries():
    one = by_cosine(vectors(0, skill=1.0), vectors(1, skill=1.0), LABELS)
    _, released = two_protocols({"x": [one]}, {"x": [one]})
    _, low, high = released["x"]["mAP I2A"]
    precisions = one.retrieval()["I2A"].precisions.numpy()
    rng = np.random.default_rng(5)
    means = [np.mean([rng.choice(precisions[k == LABELS]) for k in (3, 8, 9)]) for _ in range(4000)]
    assert (low, high) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02) and low < high


def test_fewer_items_than_a_batch_are_all_kept():
    labels = np.array([0, 0, 1, 1, 1])
    image, audio = vectors(0, 5, labels=labels), vectors(1, 5, labels=labels)
    one = by_cosine(image, audio, labels)
    _, released = two_protocols({"x": [one]}, {"x": [one]})
    theirs = released_map(image, audio, labels, drop_last=None)
    assert released["x"]["mAP I2A"][0] == pytest.approx(theirs.image_to_audio, abs=1e-6)


def test_photos_are_paired_by_their_class():
    labels, heard = np.repeat([0, 1], [4, 3]), np.repeat([0, 1], [2, 5])
    image, audio = vectors(0, 7, labels=labels), vectors(1, 7, labels=heard)
    one = by_cosine(image, audio, labels, heard)
    _, released = two_protocols({"x": [one]}, {"x": [one]})
    pictures, sounds = [0, 1, 4, 5, 6], [0, 1, 2, 3, 4]
    theirs = released_map(image[pictures], audio[sounds], labels[pictures], drop_last=None)
    assert released["x"]["mAP I2A"][0] == pytest.approx(theirs.image_to_audio, abs=1e-6)
    assert released["x"]["mAP A2I"][0] == pytest.approx(theirs.audio_to_image, abs=1e-6)


def test_both_protocols_can_be_drawn():
    one = by_cosine(vectors(0), vectors(1), LABELS)
    honest, released = two_protocols({"x": [one]}, {"x": [one]})
    figure = released_against_honest(honest, released, chance=dict.fromkeys(honest["x"], 0.3))
    assert len(figure.axes) == 2


# ------------------------------------------------------------------------------- within and across


def test_within_a_sense_the_query_does_not_count():
    labels = np.array([0, 0, 1, 1])
    image = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.8, 0.2]])  # 3 is nearest to 1
    audio = torch.tensor([[1.0, 0.0], [0.8, 0.2], [0.0, 1.0], [0.1, 0.9]])
    frame = within_and_across(
        {"x": [by_cosine(image, audio, labels)], "sets": [found(random_scores(4, 0), labels)]}
    )
    assert list(frame.index) == ["x", "chance"], "a method without one vector per item has no row"
    assert frame.loc["x"].tolist() == ["75.0%", "100.0%", "75.0%", "75.0%"]
    assert frame.loc["chance"].tolist() == ["33.3%", "33.3%", "50.0%", "50.0%"]


def test_embeddings_of_a_whole_table_are_compared_within(store, trunk):
    embedded = fresh(Plan("cmpm", "CMPM", 1), trunk).embed(store, "unseen", SETTINGS)
    frame = within_and_across({"CMPM": [embedded]})
    images = embedded.image / embedded.image.norm(dim=1, keepdim=True)
    best = (images @ images.T - 9 * torch.eye(len(images))).argmax(1).numpy()
    labels = embedded.items.image_label
    assert frame.loc["CMPM", "picture to picture"] == f"{(labels[best] == labels).mean():.1%}"


# ------------------------------------------------------------------------------- gallery and chance


@pytest.mark.parametrize(("direction", "answer"), [("I2A", "<audio"), ("A2I", "<img")])
def test_a_gallery_shows_queries_of_spread_classes_and_their_nearest(store, direction, answer):
    items = items_of(store, "unseen")
    count = len(items.image_label)
    perfect = torch.from_numpy(items.image_label[:, None] == items.sound_label).float()
    right = Embedded(items, torch.zeros(count, 1), torch.zeros(count, 1), perfect)
    wrong = Embedded(items, torch.zeros(count, 1), torch.zeros(count, 1), -perfect)
    first, last = classes_of(store, "unseen")[0], classes_of(store, "unseen")[-1]
    pages = gallery(store, "unseen", right, direction=direction, count=2, answers=1)
    assert len(pages) == 2 and first in pages[0].data and last in pages[1].data
    assert all(answer in page.data for page in pages)
    assert all("wrong" not in page.data for page in pages)
    pages = gallery(store, "unseen", wrong, direction=direction, count=2, answers=3)
    assert all(page.data.count("wrong") >= 3 for page in pages)


def test_a_gallery_of_photos(photos, trunk):
    run = fresh(Plan("cmpm", "CMPM", 1), trunk)
    embedded = embed(run.model, trunk, photos, "unseen", SETTINGS)
    (page,) = gallery(photos, "unseen", embedded, direction="A2I", count=1, answers=2)
    assert "violin" in page.data


def test_chance_of_what_is_watched(store):
    chances = watched_chance(store)
    unseen = items_of(store, "unseen").image_label
    assert chances["unseen"] == pytest.approx(chance_mean_average_precision(unseen, unseen))
    held = items_of(store, "train", classes=held_out(store, 0)).image_label
    assert chances["mAP"] == pytest.approx(chance_mean_average_precision(held, held))


def test_chance_of_photos_is_the_mean_of_both_directions(photos):
    held = int(held_out(photos, 0)[0])
    assert watched_chance(photos) == {"mAP": 1.0, "unseen": 1.0} and 0 <= held < 4, "one class each"
