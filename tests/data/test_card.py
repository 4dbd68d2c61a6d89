"""The data card: formulas on cases known by hand, and what the built-in world may not give away."""

import numpy as np
import pytest

from llinet_lite.data.card import card, card_text, explained, iou, oracle, sounding_mask


def test_explained_variance_by_hand():
    label = np.repeat([0, 1, 2], 4)
    assert explained(label * 1.0, label) == 1.0
    assert explained(np.tile([1.0, 2, 3, 4], 3), label) == pytest.approx(1 - (15 / 9) / (15 / 11))
    assert explained(np.ones(12), label) == 0.0
    rng = np.random.default_rng(0)
    noise = [explained(rng.standard_normal(60), np.arange(60) % 20) for _ in range(300)]
    assert abs(np.mean(noise)) < 0.03  # nothing by chance, though there are few of each


def test_oracle_by_hand():
    mask = np.zeros((32, 32), bool)
    mask[8:16, 4:12] = True  # two by two cells of an 8 x 8 map
    assert oracle(mask, 8) == oracle(mask, 16) == 1.0
    mask = np.zeros((32, 32), bool)
    mask[0, 0] = True
    assert oracle(mask, 16) == 1 / 4 and oracle(mask, 8) == 1 / 16
    mask[:5, :4] = True  # one whole cell and a quarter of the next: leave that out
    assert oracle(mask, 8) == 16 / 20


def test_iou_and_sounding_mask():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert iou(a, b) == 0.0
    a[:2], b[1:3] = True, True
    assert iou(a, b) == 4 / 12
    objects = np.array([[0, 1, 2]], np.uint8)
    cast = [{"sounding": False}, {"sounding": True}]
    assert sounding_mask(objects, {"cast": cast}).tolist() == [[False, False, True]]
    assert sounding_mask(objects, {}).tolist() == [[False, True, True]]


def test_card_of_the_built_in_world(tiny):
    facts = card(tiny)
    assert len(facts["seen"]) == 24 and len(facts["unseen"]) == 8
    assert facts["splits"]["train"]["images"] == 2 * facts["splits"]["train"]["sounds"]
    for split in ("train", "val", "test", "unseen"):
        masks = facts["splits"][split]["masks"]
        assert 0.3 < masks["centre"][0] < 0.7 and masks["disc"] <= 0.1 and masks["point"] < 0.5
        assert masks["oracle_16"] > masks["oracle_8"] > 0.4
    kinds = tiny.images("scenes").kind
    assert facts["splits"]["scenes"]["masks"]["count"] <= np.isin(kinds, ["duet", "distractor"]).sum()
    assert abs(facts["splits"]["train"]["level_by_class"]) < 0.3
    text = card_text(facts)
    assert "24 seen and 8 unseen" in text and text.count("scenes_unseen") == 2


def test_card_of_photos(photos):
    assert card(photos)["splits"]["train"]["images"] == 720
    assert "masks" in card_text(card(photos))
