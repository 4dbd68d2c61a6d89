"""Average precision by the class that is asked for, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from llinet_lite.metrics.retrieval import precision_by_class


def test_precision_by_class_is_the_average_precision_of_each_class():
    rng = np.random.default_rng(5)
    scores, labels = torch.from_numpy(rng.normal(size=(7, 40))), rng.integers(0, 4, 40)
    found = precision_by_class(scores, labels, range(4))
    for k in range(4):
        oracle = [average_precision_score(labels == k, row) for row in scores.numpy()]
        np.testing.assert_allclose(found[:, k], oracle, atol=1e-12)
    with pytest.raises(ValueError, match="class 9 has no item"):
        precision_by_class(scores, labels, [9])
    with pytest.raises(ValueError, match="need a label per column"):
        precision_by_class(scores, labels[:3], [0])
