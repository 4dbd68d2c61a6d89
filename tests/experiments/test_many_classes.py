"""Training on named and invented classes together."""

import numpy as np
import pytest
import torch

from llinet_lite.data import bandstand
from llinet_lite.data.batches import ClassPairs
from llinet_lite.experiments.embedding import embed
from llinet_lite.experiments.runs import Plan, train_or_load
from llinet_lite.models.trunks import Trunk

FEW = bandstand.InventedSet("tiny", 40, 16000, 2.0, 2, mixed=1, classes=20, takes=2)


@pytest.fixture
def many(tiny_workspace, monkeypatch):
    monkeypatch.setitem(bandstand.INVENTED_SETS, "laptop", FEW)
    return tiny_workspace(classes=24 + 16)


def test_two_items_of_each_class_that_a_batch_draws(many):
    store = many.with_invented()
    pairs = ClassPairs(store, "train", batch_size=16, image_crop=None, twice=True, seed=3)
    batches = pairs.epoch(1)
    labels = batches.rows.label.reshape(-1, 8, 2)
    assert (labels[:, :, 0] == labels[:, :, 1]).all() and len(labels) == len(store.images("train")) // 16
    assert all(len(np.unique(batch)) == 8 for batch in labels)
    drawn = np.unique(labels[:, :, 0], return_counts=True)[1]
    assert len(drawn) > 24 and drawn.max() <= len(labels)
    assert (store.sounds("train").label[batches.rows.sound] == batches.rows.label).all()
    assert torch.equal(pairs.epoch(1)[0]["audio"], batches[0]["audio"])
    with pytest.raises(ValueError, match="batch_size must lie between 2 and 80"):
        ClassPairs(store, "train", batch_size=81, image_crop=None, twice=True)


@pytest.mark.parametrize("method", ["LLINet", "CLIP"])
def test_an_epoch_is_chosen_on_invented_classes_that_no_batch_has(many, method, capsys):
    torch.manual_seed(0)
    trunk = Trunk("standin", width=8, classes=24).freeze().eval()
    plan = Plan("many", method, 2, {}, {"classes": 24 + 12})
    run = train_or_load(many, plan, trunk=trunk)
    assert run.chosen == int(np.argmax([epoch["mAP"] for epoch in run.curve]))
    found = embed(run, many.with_invented(), "invented")
    assert set(found.items.image_label) == {50, 51} == set(found.items.audio_label)
    assert set(embed(run, many.with_invented(), "unseen").items.image_label) == set(range(24, 32))
    with pytest.raises(ValueError, match="asks for 99 classes, there are 40"):
        train_or_load(many, Plan("more", method, 1, {}, {"classes": 99}), trunk=trunk)
