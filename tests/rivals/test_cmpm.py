"""CMPM and CMPC against plain loops, finite differences and what the paper's figures imply."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch.autograd import gradcheck

from llinet_lite.rivals.cmpm import CMPM, SMALL, cmpc_loss, cmpm_loss, projection_loss

LABELS = torch.tensor([0, 1, 0, 2, 1])


def embeddings(count: int = 5, size: int = 4, scale: float = 2.0, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(scale * torch.randn(count, size, generator=generator).double() for _ in range(2))


def looped(x: list, z: list, labels: list) -> float:
    """One direction, number by number."""
    total = 0.0
    for i, anchor in enumerate(x):
        logits = [sum(a * b for a, b in zip(anchor, other, strict=True)) / math.hypot(*other) for other in z]
        mass = [math.exp(logit) for logit in logits]
        for j in range(len(z)):
            p = mass[j] / sum(mass)
            q = (labels[i] == labels[j]) / labels.count(labels[i])
            total += p * math.log(p / (q + 1e-8) + 1e-8)
    return total / len(x)


def test_both_directions_are_loops():
    x, z = embeddings()
    there, back = (looped(a.tolist(), b.tolist(), LABELS.tolist()) for a, b in ((x, z), (z, x)))
    assert there != pytest.approx(back, rel=1e-3)
    assert projection_loss(x, z, LABELS).item() == pytest.approx(there, rel=1e-10)
    assert projection_loss(z, x, LABELS).item() == pytest.approx(back, rel=1e-10)
    assert cmpm_loss(x, z, LABELS).item() == pytest.approx(there + back, rel=1e-10)


def test_classification_is_a_loop():
    x, z = (tensor.tolist() for tensor in embeddings())
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(5)).double()
    total = 0.0
    for i, y in enumerate(LABELS.tolist()):
        for a, b in ((x[i], z[i]), (z[i], x[i])):
            onto = sum(p * q for p, q in zip(a, b, strict=True)) / math.hypot(*b) ** 2
            logits = [
                onto * sum(p * q for p, q in zip(b, row, strict=True)) / math.hypot(*row)
                for row in weight.tolist()
            ]
            total += math.log(sum(map(math.exp, logits))) - logits[y]
    got = cmpc_loss(*embeddings(), LABELS, weight)
    assert got.item() == pytest.approx(total / 5, rel=1e-10)
    assert cmpc_loss(*embeddings(), LABELS, 7 * weight).item() == pytest.approx(got.item(), rel=1e-10)


def test_gradients():
    x, z = (tensor.requires_grad_() for tensor in embeddings())
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(5)).double().requires_grad_()
    assert gradcheck(lambda x, z: cmpm_loss(x, z, LABELS), (x, z))
    assert gradcheck(lambda x, z, w: cmpc_loss(x, z, LABELS, w), (x, z, weight))


def test_nothing_is_lost_where_p_is_q():
    assert cmpm_loss(torch.zeros(6, 4), torch.zeros(6, 4), torch.zeros(6)).abs() < 1e-6  # uniform, one class
    own = 60 * torch.eye(6).double()  # each chooses its own, classes are distinct
    assert cmpm_loss(own, own, torch.arange(6)).abs() < 1e-6
    pairs = 60 * torch.eye(3).double().repeat(2, 1)  # two of a class, each with half
    assert cmpm_loss(pairs, pairs, torch.arange(3).repeat(2)).abs() < 1e-6


def test_uniform_probabilities_at_32_with_two_of_a_class():
    flat, labels = torch.zeros(32, 8), torch.arange(16).repeat(2)
    assert projection_loss(flat, flat, labels).item() == pytest.approx(13.85, abs=0.005)


def test_probability_on_a_wrong_item_costs_the_logarithm_of_epsilon():
    crossed = 60 * torch.eye(2).double()
    loss = projection_loss(crossed, crossed.flip(0), torch.arange(2))
    assert loss.item() == pytest.approx(-math.log(SMALL), rel=1e-6)


def test_unit_length_is_warned_of_and_cannot_converge():
    labels = torch.arange(16).repeat(2)
    simplex = torch.eye(16).double() - 1 / 16  # as far apart as 16 classes can be
    unit = torch.nn.functional.normalize(simplex, dim=1)[labels]
    with pytest.warns(UserWarning, match="length 1.*Leave out the normalisation"):
        best = cmpm_loss(unit, unit, labels)
    mass = (unit @ unit.T).softmax(1)[labels[:, None] == labels].reshape(32, 2).sum(1)
    assert mass.max() < 0.165 and best > 20
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cmpm_loss(60 * unit, 60 * unit, labels) < 1e-3
        cmpm_loss(unit, 1.01 * unit, labels)


def test_order_of_the_batch_and_of_the_senses():
    x, z = embeddings()
    order, weight = torch.tensor([3, 0, 4, 2, 1]), torch.eye(4).double()[:3]
    for loss in (projection_loss, cmpm_loss, lambda *given: cmpc_loss(*given, weight)):
        torch.testing.assert_close(loss(x[order], z[order], LABELS[order]), loss(x, z, LABELS))
    torch.testing.assert_close(cmpm_loss(x, z, LABELS), cmpm_loss(z, x, LABELS))
    torch.testing.assert_close(cmpc_loss(x, z, LABELS, weight), cmpc_loss(z, x, LABELS, weight))


@pytest.mark.parametrize("case", ["identical", "zero", "one class", "two", "long"])
def test_value_and_gradient_are_finite(case):
    count = 2 if case == "two" else 5
    x, z = (tensor.float() for tensor in embeddings(count))
    labels = torch.zeros(count, dtype=torch.long) if case == "one class" else LABELS[:count]
    if case == "identical":
        x, z = x[:1].repeat(count, 1), x[:1].repeat(count, 1)
    if case == "zero":
        x[0], z[1] = 0, 0
    if case == "long":
        x, z = 1e4 * x, 1e4 * z
    weight = torch.eye(4)[:3].requires_grad_()
    x.requires_grad_()
    z.requires_grad_()
    loss = cmpm_loss(x, z, labels) + cmpc_loss(x, z, labels, weight)
    loss.backward()
    assert all(torch.isfinite(tensor).all() for tensor in (loss, x.grad, z.grad, weight.grad))


def test_half_precision_is_computed_in_float32():
    x, z = (tensor.float() for tensor in embeddings())
    with torch.autocast("cpu", torch.bfloat16):
        got = cmpm_loss(x, z, LABELS), cmpc_loss(x, z, LABELS, torch.eye(4)[:3])
    assert got[0] == cmpm_loss(x, z, LABELS) and got[1] == cmpc_loss(x, z, LABELS, torch.eye(4)[:3])
    assert cmpm_loss(x.bfloat16(), z.bfloat16(), LABELS).dtype == torch.float32


@pytest.mark.parametrize("cmpc", [False, True, 0.5])
def test_the_rival_adds_the_classification_where_asked(cmpc):
    torch.manual_seed(0)
    rival = CMPM(features=6, classes=3, width=2, size=8, cmpc=cmpc).double().eval()
    seen, logmel = {"pooled": torch.rand(5, 6).double()}, torch.randn(5, 24, 40).double()
    loss, parts = rival.loss(seen, logmel, LABELS)
    image, audio = rival.embed_image(seen), rival.embed_audio(logmel)
    wanted = cmpm_loss(image, audio, LABELS)
    if cmpc:
        wanted = wanted + float(cmpc) * cmpc_loss(image, audio, LABELS, rival.weight)
    torch.testing.assert_close(loss, wanted)
    assert ("classification" in parts) == ("weight" in dict(rival.named_parameters())) == bool(cmpc)
    torch.testing.assert_close(parts["image_length"], image.norm(dim=1).mean().detach())
    assert parts["image_to_audio"] == projection_loss(image, audio, LABELS)
    assert parts["audio_to_image"] == projection_loss(audio, image, LABELS)


def test_the_published_optimizer():
    rival = CMPM(features=6, classes=3, width=2, size=8)
    (group,) = rival.optimizer(0.5)(list(rival.parameters())).param_groups
    assert (group["lr"], group["weight_decay"], group["eps"]) == (1e-4, 4e-5, 1e-8)


def test_what_is_refused():
    with pytest.raises(ValueError, match="weight of the classification"):
        CMPM(features=6, classes=3, width=2, size=8, cmpc=-1.0)
    with pytest.raises(ValueError, match="3 images and 2 audios"):
        cmpm_loss(torch.ones(3, 4), torch.ones(2, 4), torch.arange(3))
