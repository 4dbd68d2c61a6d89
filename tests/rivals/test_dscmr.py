"""DSCMR: its three terms against plain loops, and the values their formulas imply."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from llinet_lite.rivals.dscmr import DSCMR, invariance_loss, label_loss, similarity_loss

LABELS = torch.tensor([0, 1, 0, 2, 1])


def embeddings(count: int = 5, size: int = 4):
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(count, size, generator=generator).double() for _ in range(2))


def small(**options) -> DSCMR:
    torch.manual_seed(0)
    return DSCMR(features=6, classes=3, width=2, size=4, **options).double().eval()


def batch():
    generator = torch.Generator().manual_seed(1)
    pooled, logmel = torch.rand(5, 6, generator=generator), torch.randn(5, 24, 40, generator=generator)
    return {"pooled": pooled.double()}, logmel.double(), LABELS


def test_every_term_is_a_loop():
    u, v = embeddings()
    predicted = u[:, :3]
    total = similar = apart = 0.0
    for i, y in enumerate(LABELS.tolist()):
        total += math.dist(predicted[i].tolist(), [float(k == y) for k in range(3)])
        apart += math.dist(u[i].tolist(), v[i].tolist())
        for j, other in enumerate(LABELS.tolist()):
            g = (u[i] @ v[j] / (u[i].norm() * v[j].norm())).item() / 2
            similar += math.log(1 + math.exp(g)) - (y == other) * g
    assert label_loss(predicted, LABELS).item() == pytest.approx(total / 5, rel=1e-6)
    assert similarity_loss(u, v, LABELS).item() == pytest.approx(similar / 25, rel=1e-10)
    assert invariance_loss(u, v).item() == pytest.approx(apart / 5, rel=1e-6)


def test_a_pair_costs_474_at_best_and_693_at_a_right_angle():
    east, north = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    labels = torch.tensor([0])
    assert similarity_loss(east, 2 * east, labels).item() == pytest.approx(0.474, abs=5e-4)
    assert similarity_loss(east, north, labels).item() == pytest.approx(0.693, abs=5e-4)
    assert similarity_loss(east, -east, labels).item() == pytest.approx(0.974, abs=5e-4)
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])  # two classes, as far apart as can be
    assert similarity_loss(opposite, opposite, torch.arange(2)).item() == pytest.approx(0.474, abs=5e-4)


def test_gradients():
    u, v = (tensor.requires_grad_() for tensor in embeddings())
    assert gradcheck(lambda u: label_loss(u, LABELS), u)
    assert gradcheck(lambda u, v: similarity_loss(u, v, LABELS), (u, v))
    assert gradcheck(invariance_loss, (u, v))


def test_the_loss_is_the_weighted_sum_of_what_is_reported():
    rival, given = small(alpha=0.5, beta=0.25), batch()
    loss, parts = rival.loss(*given)
    u, v = rival.embed_image(given[0]), rival.embed_audio(given[1])
    senses = ((u, v), (u, u), (v, v))
    j2 = sum(similarity_loss(left, right, LABELS) for left, right in senses)
    torch.testing.assert_close(parts["similarity"], j2.detach())
    wanted = parts["label_image"] + parts["label_audio"] + 0.5 * j2 + 0.25 * parts["invariance"]
    torch.testing.assert_close(loss, wanted)
    assert parts["label_audio"] == label_loss(rival.classifier(v), LABELS)


def test_published_weights_sizes_and_optimizer():
    with torch.device("meta"):
        rival = DSCMR(features=2048, classes=24)
    assert (rival.alpha, rival.beta) == (1e-3, 1e-1)
    assert rival.image_fc.weight.shape == (2048, 2048) and rival.audio_fc.weight.shape == (2048, 512)
    assert rival.common.weight.shape == (1024, 2048) and rival.classifier.weight.shape == (24, 1024)
    (group,) = small().optimizer(2.0)([torch.nn.Parameter(torch.ones(1))]).param_groups
    assert (group["lr"], group["betas"]) == (2e-4, (0.5, 0.999))


def test_space_and_classifier_are_shared():
    rival, (seen, logmel, _) = small(), batch()
    names = {"image": rival.embed_image(seen), "audio": rival.embed_audio(logmel)}
    for name, embedding in names.items():
        gradient = torch.autograd.grad(embedding.sum(), list(rival.parameters()), allow_unused=True)
        met = {n for (n, _), g in zip(rival.named_parameters(), gradient, strict=True) if g is not None}
        assert {"common.weight", f"{name}_fc.weight"} <= met
        assert f"{'audio' if name == 'image' else 'image'}_fc.weight" not in met


def test_order_of_the_batch_and_of_the_senses():
    u, v = embeddings()
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(
        similarity_loss(u[order], v[order], LABELS[order]), similarity_loss(u, v, LABELS)
    )
    torch.testing.assert_close(similarity_loss(u, v, LABELS), similarity_loss(v, u, LABELS))
    torch.testing.assert_close(invariance_loss(u, v), invariance_loss(v, u))


@pytest.mark.parametrize("case", ["identical", "zero", "one class", "two", "perfect"])
def test_value_and_gradient_are_finite(case):
    count = 2 if case == "two" else 5
    u, v = (tensor.float() for tensor in embeddings(count))
    labels = torch.zeros(count, dtype=torch.long) if case == "one class" else LABELS[:count]
    if case == "identical":
        u, v = u[:1].repeat(count, 1), u[:1].repeat(count, 1)
    if case == "zero":
        u[0], v[1] = 0, 0
    if case == "perfect":  # every root is taken at zero
        u = v = torch.nn.functional.one_hot(labels, 4).float()
    u, v = u.clone().requires_grad_(), v.clone().requires_grad_()
    loss = label_loss(u, labels) + similarity_loss(u, v, labels) + invariance_loss(u, v)
    loss.backward()
    assert all(torch.isfinite(tensor).all() for tensor in (loss, u.grad, v.grad))
    if case == "perfect":
        assert label_loss(u, labels) < 1e-3 and invariance_loss(u, v) < 1e-3


def test_half_precision_is_computed_in_float32():
    u, v = (tensor.float() for tensor in embeddings())
    with torch.autocast("cpu", torch.bfloat16):
        assert similarity_loss(u, v, LABELS) == similarity_loss(u.clone(), v, LABELS)
        got = similarity_loss(u, v, LABELS)
    assert got == similarity_loss(u, v, LABELS)
    assert label_loss(u.bfloat16(), LABELS).dtype == invariance_loss(u.bfloat16(), v).dtype == torch.float32
