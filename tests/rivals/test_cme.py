"""CME: pairs, cosines, the root of the classification, and units that fall silent."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck

from llinet_lite.rivals.cme import CME, cosine_pair_loss, draw_pairs, root_classification_loss

LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 2, 3, 3, 1])


def small(**options) -> CME:
    torch.manual_seed(0)
    return CME(features=6, classes=4, width=4, size=64, **options).double().eval()


def batch():
    generator = torch.Generator().manual_seed(1)
    pooled, logmel = torch.rand(10, 6, generator=generator), torch.randn(10, 24, 40, generator=generator)
    return {"pooled": pooled.double()}, logmel.double(), LABELS


def test_pairs_keep_the_share_and_negatives_are_of_other_classes():
    torch.manual_seed(0)
    partners = torch.zeros(10, 10)
    for _ in range(2000):
        partner, negative = draw_pairs(LABELS)
        assert negative.sum() == 6
        assert (LABELS[partner[negative]] != LABELS[negative]).all()
        assert torch.equal(partner[~negative], torch.arange(10)[~negative])
        partners[torch.arange(10), partner] += 1
    shares = partners / 2000
    for i in range(10):  # own with 0.4, every sound of another class alike
        others = LABELS[i] != LABELS
        wanted = torch.where(others, 0.6 / others.sum(), 0.0)
        wanted[i] = 0.4
        torch.testing.assert_close(shares[i], wanted, atol=0.05, rtol=0)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_is_an_argument(share):
    assert draw_pairs(LABELS, share)[1].sum() == round(10 * share)


def test_one_class_has_no_negatives_and_the_seed_decides():
    partner, negative = draw_pairs(torch.zeros(5, dtype=torch.long))
    assert not negative.any() and torch.equal(partner, torch.arange(5))
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        drawn.append(draw_pairs(LABELS)[0])
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_cosine_loss_is_a_loop():
    torch.manual_seed(0)
    image, audio = torch.randn(8, 3).double(), torch.randn(8, 3).double()
    negative = torch.arange(8) % 2 == 0
    total = 0.0
    for x, z, wrong in zip(image.tolist(), audio.tolist(), negative.tolist(), strict=True):
        cosine = sum(a * b for a, b in zip(x, z, strict=True)) / math.hypot(*x) / math.hypot(*z)
        total += max(0.0, cosine - 0.3) / 0.7 if wrong else 1 - cosine
    assert cosine_pair_loss(image, audio, negative, 0.3).item() == pytest.approx(total / 8, rel=1e-10)
    swapped = cosine_pair_loss(audio, image, negative, 0.3)
    torch.testing.assert_close(cosine_pair_loss(image, audio, negative, 0.3), swapped)
    image.requires_grad_()
    audio.requires_grad_()
    assert gradcheck(lambda x, z: cosine_pair_loss(x, z, negative, 0.3), (image, audio))


def test_cosine_loss_at_its_ends():
    axes, wrong = torch.eye(3), torch.ones(3, dtype=torch.bool)
    assert cosine_pair_loss(axes, axes, ~wrong) == 0
    assert cosine_pair_loss(axes, axes.roll(1, 0), wrong) == 0
    assert cosine_pair_loss(axes, axes, wrong).item() == pytest.approx(1)
    assert cosine_pair_loss(axes, axes.roll(1, 0), ~wrong) == 1


def test_classification_is_a_loop():
    torch.manual_seed(0)
    logits = torch.randn(10, 4).double(), torch.randn(10, 4).double()
    total = 0.0
    for side in logits:
        for row, y in zip(side.tolist(), LABELS.tolist(), strict=True):
            for k, z in enumerate(row):
                p = 1 / (1 + math.exp(-z))
                total -= math.log(p if k == y else 1 - p)
    got = root_classification_loss(*logits, LABELS)
    assert got.item() == pytest.approx(math.sqrt(total / 10), rel=1e-8)
    torch.testing.assert_close(root_classification_loss(*logits[::-1], LABELS), got)
    flat = torch.zeros(10, 4)
    assert root_classification_loss(flat, flat, LABELS).item() == pytest.approx(math.sqrt(8 * math.log(2)))
    for side in logits:
        side.requires_grad_()
    assert gradcheck(lambda x, z: root_classification_loss(x, z, LABELS), logits)


def test_a_perfect_classification_has_a_finite_slope():
    logits = (200 * (2 * torch.nn.functional.one_hot(LABELS, 4) - 1.0)).requires_grad_()
    loss = root_classification_loss(logits, logits, LABELS)
    loss.backward()
    assert loss < 1e-3 and torch.isfinite(logits.grad).all()


def test_lambda_is_zero_first_and_raised_later():
    rival, given = small(classification=0.5, classification_from=0.4), batch()
    for progress, weight in ((0.0, 0.0), (0.39, 0.0), (0.4, 0.5), (0.9, 0.5)):
        torch.manual_seed(5)
        loss, parts = rival.loss(*given, progress=progress)
        torch.testing.assert_close(loss.detach(), parts["cosine"] + weight * parts["classification"])
        gradient = torch.autograd.grad(loss, rival.classifier.weight)[0]
        assert bool(gradient.abs().max() > 0) == bool(weight)


def test_the_rival_uses_the_drawn_pairs_and_each_its_own_label():
    rival, (seen, logmel, labels) = small(negative_share=0.5), batch()
    torch.manual_seed(7)
    _, parts = rival.loss(seen, logmel, labels)
    torch.manual_seed(7)
    partner, negative = draw_pairs(labels, 0.5)
    image, audio = rival.embed_image(seen), rival.embed_audio(logmel)
    torch.testing.assert_close(parts["cosine"], cosine_pair_loss(image, audio[partner], negative).detach())
    root = root_classification_loss(rival.classifier(image), rival.classifier(audio), labels)
    torch.testing.assert_close(parts["classification"], root.detach())


def test_a_batch_in_another_order_with_the_same_pairs_loses_the_same():
    rival, (seen, logmel, labels) = small(), batch()
    image, audio = rival.embed_image(seen), rival.embed_audio(logmel)
    partner, negative = draw_pairs(labels)
    order = torch.randperm(10)
    moved = cosine_pair_loss(image[order], audio[partner[order]], negative[order])
    torch.testing.assert_close(moved, cosine_pair_loss(image, audio[partner], negative))


def test_embeddings_have_length_1_are_not_negative_and_ignore_the_length_of_the_features():
    rival, (seen, logmel, _) = small(), batch()
    image, audio = rival.embed_image(seen), rival.embed_audio(logmel)
    for embedding in (image, audio):
        assert (embedding >= 0).all()
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(10).double())
    torch.testing.assert_close(rival.embed_image({"pooled": 50 * seen["pooled"]}), image)
    scores = rival.scores(image, audio)
    assert scores.min() >= 0 and scores.max() <= 1 + 1e-12
    torch.testing.assert_close(scores, image @ audio.T)


def test_silent_units_and_zero_vectors_are_counted_and_stay_finite():
    rival, given = small(), batch()
    last = rival.image_stack[-2]
    with torch.no_grad():
        last.weight[:4] = 0
        last.bias[:4] = -1.0
    _, parts = rival.loss(*given)
    image, audio = rival.embed_image(given[0]), rival.embed_audio(given[1])
    silent = [(embedding == 0).all(0).sum().item() for embedding in (image, audio)]
    assert silent[0] >= 4
    assert parts["dead_units"].item() == pytest.approx(sum(silent) / (2 * rival.size))
    assert parts["zero_vectors"] == 0
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(-1.0)
    loss, parts = rival.loss(*given, progress=0.9)
    assert parts["zero_vectors"].item() == pytest.approx(0.5) and parts["dead_units"] >= 0.5
    loss.backward()
    assert all(torch.isfinite(weight.grad).all() for weight in rival.parameters())


@pytest.mark.parametrize("case", ["identical", "zero", "two"])
def test_value_and_gradient_are_finite(case):
    count = 2 if case == "two" else 4
    image = torch.rand(count, 3)
    if case == "identical":
        image[:] = image[0]
    audio = image.clone()
    if case == "zero":
        image[0], audio[1] = 0, 0
    image.requires_grad_()
    audio.requires_grad_()
    partner, negative = draw_pairs(LABELS[:count])
    loss = cosine_pair_loss(image, audio[partner], negative)
    loss = loss + root_classification_loss(image, audio, LABELS[:count])
    loss.backward()
    assert all(torch.isfinite(tensor).all() for tensor in (loss, image.grad, audio.grad))


def test_published_layers_and_optimizer():
    with torch.device("meta"):
        rival, scaled = (CME(features=2048, classes=24, size=size) for size in (1024, 256))

    def outputs(stack):
        return [layer.out_features for layer in stack if isinstance(layer, torch.nn.Linear)]

    assert outputs(rival.image_stack) == [2000, 2000, 700, 700, 250] and rival.size == 250
    assert outputs(rival.audio_stack) == [450, 450, 250, 250, 250]
    assert outputs(scaled.image_stack) == [500, 500, 175, 175, 63] and scaled.size == 63
    assert outputs(scaled.audio_stack) == [113, 113, 63, 63, 63]
    assert isinstance(rival.image_stack[-1], torch.nn.ReLU) and rival.clip_norm == 1.0
    (group,) = small().optimizer(5.0)([torch.nn.Parameter(torch.ones(1))]).param_groups
    assert (group["lr"], group["weight_decay"]) == (5e-4, 1e-8)
