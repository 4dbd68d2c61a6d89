"""The correspondence losses against plain loops and finite differences."""

import math

import pytest
import torch

from llinet_lite.objectives import all_pairs_avc_loss, avc_accuracy, avc_loss


def test_sampled_loss_is_a_plain_loop():
    torch.manual_seed(0)
    logits, match = torch.randn(6, 2).double(), torch.tensor([1, 0, 0, 1, 1, 0])
    total = 0.0
    for (no, yes), corresponds in zip(logits.tolist(), match.tolist(), strict=True):
        chosen = yes if corresponds else no
        total -= chosen - math.log(math.exp(no) + math.exp(yes))
    assert avc_loss(logits, match).item() == pytest.approx(total / 6, rel=1e-12)
    assert avc_loss(torch.zeros(6, 2), match).item() == pytest.approx(math.log(2))


def test_a_second_softmax_keeps_the_loss_high():
    """Of the surest right answer it is ln(1 + 1/e), and half as much is lost for the surest wrong one."""
    sure = torch.tensor([[-50.0, 50.0], [50.0, -50.0]]).double()
    match = torch.tensor([1, 0])
    assert avc_loss(sure, match).item() == pytest.approx(0, abs=1e-12)
    assert avc_loss(sure, match, softmax="twice").item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert avc_loss(sure, 1 - match, softmax="twice").item() == pytest.approx(math.log(1 + math.e))
    logits = torch.randn(4, 4, 2).double()
    twice = avc_loss(logits, torch.arange(4), "all", "twice")
    assert twice == avc_loss(logits.softmax(-1), torch.arange(4), "all")
    with pytest.raises(ValueError, match="softmax must be"):
        avc_loss(sure, match, softmax="never")


@pytest.mark.parametrize("group", [[0, 1, 2, 3, 4], [0, 1, 0, 2, 1], [7, 7, 7, 7, 3]])
def test_all_pairs_loss_is_a_double_loop(group):
    torch.manual_seed(0)
    logits = 3 * torch.randn(5, 5, 2).double()
    halves = {True: [], False: []}
    for i in range(5):
        for j in range(5):
            matched = group[i] == group[j]
            log_p = torch.log_softmax(logits[i, j], -1)
            halves[matched].append(-log_p[1 if matched else 0].item())
    want = 0.5 * (sum(halves[True]) / len(halves[True]) + sum(halves[False]) / len(halves[False]))
    got = avc_loss(logits, torch.tensor(group), pairs="all")
    assert got.item() == pytest.approx(want, rel=1e-12)
    assert got == all_pairs_avc_loss(logits, torch.tensor(group))


def test_all_pairs_loss_at_chance_right_and_wrong():
    group = torch.arange(4)
    assert all_pairs_avc_loss(torch.zeros(4, 4, 2), group).item() == pytest.approx(math.log(2))
    sign = 50 * (2 * torch.eye(4) - 1)
    right = torch.stack([-sign, sign], -1)
    assert all_pairs_avc_loss(right, group) < 1e-6
    assert all_pairs_avc_loss(-right, group).item() == pytest.approx(100)


def test_every_half_weighs_the_same_however_large_the_batch():
    n = 10
    always_yes = torch.stack([torch.full((n, n), -2.0), torch.full((n, n), 2.0)], -1)
    want = 0.5 * (math.log(1 + math.exp(-4)) + math.log(1 + math.exp(4)))
    assert all_pairs_avc_loss(always_yes, torch.arange(n)).item() == pytest.approx(want)
    assert avc_accuracy(always_yes, torch.arange(n), "all").item() == pytest.approx(0.5)


def test_one_group_only_counts_the_matched_half():
    loss = all_pairs_avc_loss(torch.zeros(3, 3, 2), torch.zeros(3, dtype=torch.long))
    assert loss.item() == pytest.approx(0.5 * math.log(2))


def test_gradients():
    torch.manual_seed(0)
    logits = torch.randn(4, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: all_pairs_avc_loss(z, torch.tensor([0, 1, 0, 2])), logits)
    flat = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: avc_loss(z, torch.tensor([0, 1, 1, 0])), flat)


def test_extreme_logits_stay_finite_and_half_precision_is_summed_in_float32():
    logits = torch.tensor([[1e4, -1e4]]).repeat(3, 3, 1).reshape(3, 3, 2).requires_grad_()
    loss = all_pairs_avc_loss(logits, torch.arange(3))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()
    assert avc_loss(torch.zeros(2, 2, dtype=torch.bfloat16), torch.tensor([0, 1])).dtype == torch.float32
    assert (
        all_pairs_avc_loss(torch.zeros(2, 2, 2, dtype=torch.bfloat16), torch.arange(2)).dtype == torch.float32
    )


def test_accuracy_of_sampled_and_all_pairs():
    logits = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert avc_accuracy(logits, torch.tensor([1, 0, 0, 0])).item() == 0.75
    grid = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]).reshape(2, 2, 2)
    assert avc_accuracy(grid, torch.arange(2), "all").item() == pytest.approx(0.5 * (1.0 + 0.5))


def test_refusals():
    with pytest.raises(ValueError, match='choose "sampled" or "all"'):
        avc_loss(torch.zeros(2, 2), torch.zeros(2), pairs="some")
    with pytest.raises(ValueError, match=r"takes logits \(B, B, 2\) and labels \(B,\)"):
        all_pairs_avc_loss(torch.zeros(2, 3, 2), torch.zeros(2))
    with pytest.raises(ValueError, match=r"takes logits \(B, 2\)"):
        avc_loss(torch.zeros(2, 3), torch.zeros(2))
