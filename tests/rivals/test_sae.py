"""SAE against scipy's solver, its own stationarity, and plain loops."""

from __future__ import annotations

import math

import pytest
import scipy.linalg
import torch

from llinet_lite.rivals.sae import RIDGE, SAE, sae_loss, sae_matrix

LAMBDAS = [0.01, 0.2, 5.0, 5e5]


def problem(count: int = 40, features: int = 9, size: int = 6, classes: int = 4, seed: int = 0):
    """Pictures (N, d) with one dead feature, and of each the vector (N, k) of one of few classes."""
    random = torch.Generator().manual_seed(seed)
    vectors = torch.nn.functional.normalize(torch.randn(classes, size, generator=random).double(), dim=1)
    images = torch.randn(count, features, generator=random).double()
    images[:, -1] = 0
    return images, vectors[torch.arange(count) % classes]


def test_objective_against_loops():
    images, classes = problem(5, 4, 3)
    w = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).double()
    total = 0.1 * sum(value**2 for value in w.flatten().tolist())
    for x, s in zip(images.tolist(), classes.tolist(), strict=True):
        for j in range(4):
            total += (x[j] - sum(w[i, j].item() * s[i] for i in range(3))) ** 2
        for i in range(3):
            total += 0.7 * (sum(w[i, j].item() * x[j] for j in range(4)) - s[i]) ** 2
    assert sae_loss(w, images, classes, 0.7, 0.1).item() == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("lam", LAMBDAS)
def test_solution_is_that_of_a_general_solver(lam):
    images, classes = problem(size=4, classes=8)  # of full rank, so that both solvers are exact
    images = images[:, :-1]
    x, s = images.T.numpy(), classes.T.numpy()
    a = s @ s.T + RIDGE * torch.eye(4).double().numpy()
    wanted = scipy.linalg.solve_sylvester(a, lam * x @ x.T, (1 + lam) * s @ x.T)
    torch.testing.assert_close(
        sae_matrix(images, classes, lam), torch.from_numpy(wanted), rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("lam", LAMBDAS)
def test_solution_is_the_minimum_though_classes_are_few_and_a_feature_is_dead(lam):
    images, classes = problem()
    w = sae_matrix(images, classes, lam).requires_grad_()
    loss = sae_loss(w, images, classes, lam)
    (gradient,) = torch.autograd.grad(loss, w)
    (at_zero,) = torch.autograd.grad(
        sae_loss(z := torch.zeros_like(w).requires_grad_(), images, classes, lam), z
    )
    assert gradient.abs().max() < 1e-9 * at_zero.abs().max()
    random = torch.Generator().manual_seed(3)
    for size in (1e-2, 1.0):
        for _ in range(20):
            other = w.detach() + size * torch.randn(*w.shape, generator=random).double()
            assert sae_loss(other, images, classes, lam) > loss
    assert w.detach()[:, -1].abs().max() < 1e-9  # nothing is made up for the dead feature


@pytest.mark.parametrize("unit_rows", [True, False])
@pytest.mark.parametrize("direction", ["V->S", "S->V"])
def test_scores_against_loops(direction, unit_rows):
    images, vectors = problem(12, 5, 3)
    labels, classes = torch.arange(12) % 4, 7 * vectors[:4]
    sae = SAE(features=5, semantics=3, lam=2.0, direction=direction, unit_rows=unit_rows, scaled=False)
    sae.learn(images, labels, classes, epochs=1)
    w = sae_matrix(images.float(), vectors, 2.0)
    if unit_rows:
        w = torch.stack([row / math.hypot(*row.tolist()) for row in w])
    got = sae.scores(images, classes)
    for i in range(12):
        for c in range(4):
            if direction == "V->S":
                a, b = [(w[k] * images[i]).sum().item() for k in range(3)], vectors[c].tolist()
            else:
                a, b = images[i].tolist(), [(w[:, j] * vectors[c]).sum().item() for j in range(5)]
            dot = sum(p * q for p, q in zip(a, b, strict=True))
            assert got[i, c].item() == pytest.approx(dot / math.hypot(*a) / math.hypot(*b), abs=1e-5)
    torch.testing.assert_close(sae.embed(images).double(), images @ w.T, rtol=1e-4, atol=1e-5)


def test_scaled_pictures_are_as_long_as_class_vectors():
    images, vectors = problem()
    sae = SAE(features=9, semantics=6).learn(30 * images, torch.arange(40) % 4, vectors[:4], epochs=1)
    assert sae.standardised(30 * images).square().sum(1).mean().item() == pytest.approx(1.0, rel=1e-5)
    small = SAE(features=9, semantics=6).learn(images, torch.arange(40) % 4, vectors[:4], epochs=1)
    torch.testing.assert_close(small.matrix, sae.matrix, rtol=1e-3, atol=1e-5)


def test_centred_means_are_zero_on_both_sides():
    images, vectors = problem()
    labels = (torch.arange(40) % 4).clamp(max=2)  # unequal classes
    sae = SAE(features=9, semantics=6, centred=True).learn(images + 5, labels, vectors[:4], epochs=1)
    assert sae.standardised((images + 5).float()).mean(0).abs().max() < 1e-6
    torch.testing.assert_close(sae.middle.double(), vectors[:4][labels].mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wrong", [{"lam": 0.0}, {"lam": float("nan")}, {"direction": "both"}])
def test_what_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SAE(features=4, semantics=3, **wrong)
