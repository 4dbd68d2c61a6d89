"""DCN against plain loops and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from llinet_lite.rivals.dcn import DCN, dcn_loss

LABELS = torch.tensor([0, 1, 0, 2, 1])


def scores(columns: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(5, columns, generator=torch.Generator().manual_seed(seed)).double()


def softmax(row: list) -> list:
    total = sum(map(math.exp, row))
    return [math.exp(value) / total for value in row]


def test_loss_against_loops():
    f, g = scores(3), scores(4, 1)
    total = 0.0
    for i, y in enumerate(LABELS.tolist()):
        total -= math.log(softmax([0.7 * value for value in f[i].tolist()])[y])
        total -= 2.5 * sum(q * math.log(q) for q in softmax([0.3 * value for value in g[i].tolist()]))
    got = dcn_loss(f, LABELS, g, l_ce=0.7, l_e=0.3, weight=2.5)
    assert got.item() == pytest.approx(total / 5, rel=1e-12)


def test_equal_scores_cost_logarithms_and_the_entropy_is_minimised():
    assert dcn_loss(torch.zeros(5, 3), LABELS, torch.zeros(5, 8)).item() == pytest.approx(math.log(24))
    decided = 1e4 * torch.eye(8)[:5]
    assert dcn_loss(torch.zeros(5, 3), LABELS, decided, l_e=1.0).item() == pytest.approx(math.log(3))


def test_gradients_and_order():
    f, g = scores(3).requires_grad_(), scores(4, 1).requires_grad_()
    assert gradcheck(lambda f, g: dcn_loss(f, LABELS, g, l_e=0.5), (f, g))
    order, columns = torch.tensor([3, 0, 4, 2, 1]), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        dcn_loss(f[order], LABELS[order], g[order][:, columns]), dcn_loss(f, LABELS, g)
    )


def test_without_the_entropy_unseen_classes_are_not_read():
    assert dcn_loss(scores(3), LABELS, None, weight=0.0) == dcn_loss(scores(3), LABELS, scores(4), weight=0.0)
    assert DCN(features=4, semantics=3).needs_unseen
    assert not DCN(features=4, semantics=3, weight=0.0).needs_unseen
    with pytest.raises(ValueError, match="give unseen, or a weight of 0"):
        dcn_loss(scores(3), LABELS, None)


def test_pictures_are_standardised_as_published():
    images = (
        torch.randn(7, 4, generator=torch.Generator().manual_seed(2)) * torch.tensor([1.0, 5, 0.1, 1]) + 3
    )
    images[:, 3] = 0.1  # its mean rounds: the deviation is not exactly 0
    dcn = DCN(features=4, semantics=3)
    dcn.measure(images)
    wanted = torch.zeros(7, 4).double()
    for column in range(3):
        values = images[:, column].tolist()
        mean = sum(values) / 7
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 7)
        wanted[:, column] = torch.tensor([(value - mean) / deviation for value in values])
    wanted /= wanted.abs().max()
    torch.testing.assert_close(dcn.standardised(images).double(), wanted, rtol=1e-5, atol=1e-6)
    other = images[:1].clone()
    other[0, 3] = 9.0  # a feature that never varied in training says nothing in tests
    assert torch.equal(dcn.standardised(other), dcn.standardised(images[:1]))


def test_scores_against_loops():
    dcn = DCN(features=4, semantics=3, hidden=5).double()
    dcn.start()
    dcn.learned.fill_(True)
    images, classes = scores(4)[:2], scores(3, 3)[:4]
    (w1, b1), (w2, b2) = ((layer.weight.tolist(), layer.bias.tolist()) for layer in (dcn.first, dcn.second))
    for i, x in enumerate(images.tolist()):
        hidden = [
            max(0.0, b + sum(p * q for p, q in zip(row, x, strict=True)))
            for row, b in zip(w1, b1, strict=True)
        ]
        phi = [
            math.tanh(b + sum(p * q for p, q in zip(row, hidden, strict=True)))
            for row, b in zip(w2, b2, strict=True)
        ]
        assert dcn.embed(images)[i].tolist() == pytest.approx(phi, rel=1e-10)
        for c, s in enumerate(classes.tolist()):
            wanted = sum(p * 10 * math.tanh(q / math.hypot(*s)) for p, q in zip(phi, s, strict=True))
            assert dcn.scores(images, classes)[i, c].item() == pytest.approx(wanted, rel=1e-10)


def test_dropout_is_there_in_training_alone():
    dcn = DCN(features=64, semantics=3)
    dcn.start()
    x = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(dcn.train().phi(x), dcn.eval().phi(x))
    assert not torch.equal(dcn.phi(x, drop=True), dcn.phi(x))


@pytest.mark.parametrize(("features", "hidden"), [(2048, 1024), (128, 256)])
def test_sizes_and_first_weights(features, hidden):
    dcn = DCN(features=features, semantics=64)
    dcn.start()
    assert dcn.first.weight.shape == (hidden, features)
    assert dcn.first.weight.std().item() == pytest.approx(0.01 * math.sqrt(2048 / features), rel=0.05)
    assert dcn.second.weight.std().item() == pytest.approx(0.03 * math.sqrt(1024 / hidden), rel=0.05)


@pytest.mark.parametrize("wrong", [{"l_ce": 0.0}, {"weight": -1.0}, {"dropout": 1.0}, {"rate": float("inf")}])
def test_what_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DCN(features=4, semantics=3, **wrong)
