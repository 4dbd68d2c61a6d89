"""Ceilings on made-up senses: what can be read off is found, what cannot is at chance."""

import numpy as np
import pytest

from llinet_lite.experiments import search
from llinet_lite.experiments.embedding import Items


def senses(points, classes, each, noise, rng):
    label = np.repeat(classes, each)
    sense = [points[label] @ rng.standard_normal((6, 12)) for _ in range(2)]
    sense = [part + noise * rng.standard_normal(part.shape) for part in sense]
    row = np.arange(len(label))
    return search.Senses(*sense, Items(row, row, label, label, row, row))


@pytest.mark.parametrize(("noise", "low", "high"), [(0.05, 0.9, 1.0), (1000.0, 0.0, 0.3)])
def test_attributes_and_supervision_find_what_the_senses_hold(noise, low, high):
    rng = np.random.default_rng(0)
    points = rng.standard_normal((60, 6))
    maps = rng.integers(2**31)
    train, test = (
        senses(points, classes, 8, noise, np.random.default_rng(maps))
        for classes in (range(50), range(50, 60))
    )
    found = search.by_attributes(train, test, points)
    assert found["true attributes"].retrieval()["I2A"].recall_at_1 == 1
    for hits in found["predicted attributes"].retrieval().values():
        assert low <= hits.recall_at_1 <= high
    for right in (
        search.named_by_attributes(found["predicted attributes"], points),
        search.supervised(test),
    ):
        assert all(low <= right[sense].mean() <= high for sense in ("image", "audio"))
