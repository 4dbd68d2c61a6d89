"""What one sense tells of class and specimen."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from llinet_lite.avc import one_sense
from llinet_lite.data.bandstand import WorldSet, build
from llinet_lite.profiles import PROFILES

SETTINGS = dataclasses.replace(PROFILES["smoke"], image_size=40, image_crop=32, width=2)


def test_an_unknown_sense_is_refused():
    with pytest.raises(ValueError, match="sense"):
        one_sense.OneSense("nose", 2, 32)


def test_each_sense_takes_its_own_tensor():
    image, sound = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 129, 100)
    seen, heard = one_sense.OneSense("image", 2, 32).eval(), one_sense.OneSense("sound", 2, 32).eval()
    assert torch.equal(seen.features(image, sound), seen.features(image, sound + 1))
    assert torch.equal(heard.features(image, sound), heard.features(image + 1, sound))


def test_what_is_measured_is_a_share_and_correlations(tmp_path):
    plan = WorldSet("tiny", 40, 16000, 2.0, 2, train_share=0.03, held_out=1, mixed=1)
    store = build(tmp_path / "tiny", plan, splits=("train", "test"), workers=1, progress=False)
    told = one_sense.measure(store, SETTINGS, "sound", epochs=1, quiet=True)
    assert 0 <= told.accuracy.low <= told.accuracy.value <= told.accuracy.high <= 1
    assert told.accuracy.n == len(store.images("test"))
    assert set(told.correlation) == {"size", "brightness"}
    assert all(-1 <= r <= 1 for r in told.correlation.values())
