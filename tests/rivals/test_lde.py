"""LDE against plain loops and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from llinet_lite.rivals.lde import LDE, _Clips, lde_loss


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def test_loss_against_loops():
    g, x, weights = draws(5, 4), draws(5, 4, seed=1), [draws(3, 2, seed=2), draws(3, seed=3)]
    error = sum((a - b) ** 2 for a, b in zip(g.flatten().tolist(), x.flatten().tolist(), strict=True)) / 20
    penalty = sum(value**2 for weight in weights for value in weight.flatten().tolist()) / 2
    assert lde_loss(g, x, weights, 0.3).item() == pytest.approx(error + 0.3 * penalty, rel=1e-12)
    assert lde_loss(g, x).item() == pytest.approx(error, rel=1e-12)


def test_gradients_and_order():
    g, x, weight = (draws(5, 4, seed=seed).requires_grad_() for seed in range(3))
    assert gradcheck(lambda g, x, w: lde_loss(g, x, [w], 0.1), (g, x, weight))
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(lde_loss(g[order], x[order]), lde_loss(g, x))


@pytest.mark.parametrize("relu", [True, False])
def test_scores_against_loops(relu):
    images, classes = draws(2, 6).abs(), draws(3, 4, seed=1)
    for score in ("euclidean", "cosine"):
        lde = LDE(features=6, semantics=4, hidden=5, score=score, output_relu=relu).double()
        lde.start()
        lde.learned.fill_(True)
        layers = [(layer.weight.tolist(), layer.bias.tolist()) for layer in (lde.first, lde.second)]
        for c, s in enumerate(classes.tolist()):
            g = [value / math.hypot(*s) for value in s]
            for number, (weight, bias) in enumerate(layers):
                g = [
                    b + sum(p * q for p, q in zip(row, g, strict=True))
                    for row, b in zip(weight, bias, strict=True)
                ]
                g = [max(0.0, value) for value in g] if number == 0 or relu else g
            for i, x in enumerate(images.tolist()):
                if score == "euclidean":
                    wanted = -sum((p - q) ** 2 for p, q in zip(x, g, strict=True))
                else:
                    dot = sum(p * q for p, q in zip(x, g, strict=True))
                    wanted = dot / math.hypot(*x) / math.hypot(*g)
                assert lde.scores(images, classes)[i, c].item() == pytest.approx(wanted, rel=1e-9)


def test_negative_features_are_refused_but_where_g_reaches_them():
    images, labels, classes = draws(6, 4).float(), torch.arange(3).repeat(2), draws(3, 5).float()
    with pytest.raises(ValueError, match=r"negative features.*output_relu=False"):
        LDE(features=4, semantics=5).learn(images, labels, classes, epochs=1)
    LDE(features=4, semantics=5, output_relu=False).learn(images, labels, classes, epochs=1)
    LDE(features=4, semantics=5).learn(images.abs(), labels, classes, epochs=1)


def test_clips_are_of_the_right_class_and_all_are_drawn():
    labels = torch.tensor([2, 0, 2, 1, 2, 0])
    vectors = torch.stack([labels, torch.arange(6)], 1).float()
    asked = torch.arange(3).repeat(200)
    torch.manual_seed(0)
    drawn = _Clips(vectors, labels, 3).draw(asked)
    assert torch.equal(drawn[:, 0].long(), asked)
    counts = drawn[:, 1].long().bincount(minlength=6)
    assert counts[3] == 200 and (counts[[1, 5]] > 70).all() and (counts[[0, 2, 4]] > 40).all()


def test_sounds_are_read_where_asked_and_must_cover_the_pictures():
    images, labels, classes = draws(6, 4).abs().float(), torch.arange(3).repeat(2), draws(3, 5).float()
    sounds = draws(9, 5, seed=4).float(), torch.arange(3).repeat(3)

    def learned(on, given):
        lde = LDE(features=4, semantics=5, sounds=on).learn(images, labels, classes, sounds=given, epochs=2)
        return lde.scores(images, classes)

    assert torch.equal(learned(False, sounds), learned(False, None))
    assert not torch.equal(learned(True, sounds), learned(False, sounds))
    with pytest.raises(ValueError, match="give learn `sounds`"):
        learned(True, None)
    with pytest.raises(ValueError, match="no clip of 1 of the classes"):
        learned(True, (sounds[0], sounds[1].clamp(max=1)))


@pytest.mark.parametrize(("features", "hidden"), [(2048, 1600), (128, 256)])
def test_sizes_and_first_weights(features, hidden):
    lde = LDE(features=features, semantics=16)
    lde.start()
    assert lde.second.weight.shape == (features, hidden)
    # a normal cut off at two deviations has 0.774 of the variance
    assert lde.second.weight.std().item() == pytest.approx(0.1 * math.sqrt(0.774), rel=0.02)
    assert lde.second.weight.abs().max() <= 0.2 and (lde.first.bias == 0.1).all()


def test_what_is_refused():
    with pytest.raises(ValueError, match="lam"):
        LDE(features=4, semantics=3, lam=-1.0)
    with pytest.raises(ValueError, match="score"):
        LDE(features=4, semantics=3, score="dot")
    with pytest.raises(ValueError, match=r"\(2, 4\) and \(1, 4\)"):
        lde_loss(torch.ones(2, 4), torch.ones(1, 4))
