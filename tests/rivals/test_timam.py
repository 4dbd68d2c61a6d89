"""TIMAM: the game of encoders and discriminator, gradient by gradient."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from llinet_lite.rivals.timam import TIMAM, discriminator_loss, reverse_gradient

LABELS = torch.tensor([0, 1, 0, 2])


def small(**options) -> TIMAM:
    torch.manual_seed(0)
    return TIMAM(features=6, classes=3, width=2, size=8, hidden=4, **options).double().eval()


def batch():
    generator = torch.Generator().manual_seed(1)
    pooled, logmel = torch.rand(4, 6, generator=generator), torch.randn(4, 24, 40, generator=generator)
    return {"pooled": pooled.double()}, logmel.double(), LABELS


def gradients(rival: TIMAM, loss) -> dict[str, torch.Tensor]:
    names, weights = zip(*rival.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=True)
    return dict(zip(names, found, strict=True))


def test_the_discriminators_loss_is_a_loop():
    image, audio = [0.3, -2.0, 5.0], [1.0, 0.0, -4.0]
    wanted = -sum(math.log(1 / (1 + math.exp(-d))) for d in image) / 3
    wanted -= sum(math.log(1 - 1 / (1 + math.exp(-d))) for d in audio) / 3
    logits = tuple(torch.tensor(side, dtype=torch.float64) for side in (image, audio))
    assert discriminator_loss(*logits).item() == pytest.approx(wanted, rel=1e-12)
    assert discriminator_loss(torch.zeros(3), torch.zeros(3)).item() == pytest.approx(2 * math.log(2))
    # senses exchanged and the sides of the decision with them: the same game
    assert discriminator_loss(-logits[1], -logits[0]).item() == pytest.approx(wanted, rel=1e-12)
    assert gradcheck(discriminator_loss, tuple(tensor.requires_grad_() for tensor in logits))
    extreme = torch.tensor([1e4, -1e4], requires_grad=True)
    discriminator_loss(extreme, extreme).backward()
    assert torch.isfinite(extreme.grad).all()


@pytest.mark.parametrize("weight", [0.0, 0.3, 2.0])
def test_a_reversed_gradient_has_the_other_sign_and_the_weight(weight):
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    y = reverse_gradient(x, weight)
    assert torch.equal(x, y)
    (gradient,) = torch.autograd.grad(y.pow(3).sum(), x)
    torch.testing.assert_close(gradient, -weight * 3 * x.detach() ** 2)


def test_encoders_feel_the_weighted_reverse_and_the_discriminator_all_of_it():
    """Against the same loss without any reversal, parameter by parameter."""
    rival, (seen, logmel, _) = small(), batch()

    def deciding(judge):
        image, audio = rival.embed_image(seen), rival.embed_audio(logmel)
        return discriminator_loss(judge(image), judge(audio))

    plain = gradients(rival, deciding(lambda x: rival.discriminator(F.normalize(x, dim=1))))
    for weight in (0.0, 0.1, 1.0):
        game = gradients(rival, deciding(lambda x, weight=weight: rival.judge(x, weight)))
        for name, gradient in game.items():
            if name.startswith("discriminator"):
                torch.testing.assert_close(gradient, plain[name])
            elif gradient is not None:
                torch.testing.assert_close(gradient, -weight * plain[name], atol=1e-12, rtol=1e-9)
        felt = [name for name, gradient in game.items() if gradient is not None and "discr" not in name]
        assert any(name.startswith("audio") for name in felt) and "image.fc1.weight" in felt
    assert plain["image.fc1.weight"].abs().max() > 1e-6


def test_reversed_gradient_and_exchanged_labels_pull_the_same_way():
    d = torch.linspace(-4, 4, 9, dtype=torch.float64, requires_grad=True)
    nothing, sigma = torch.zeros(1, dtype=torch.float64), d.detach().sigmoid()
    (own,) = torch.autograd.grad(discriminator_loss(d, nothing), d)
    (exchanged,) = torch.autograd.grad(discriminator_loss(nothing, d), d)
    torch.testing.assert_close(-9 * own, 1 - sigma)
    torch.testing.assert_close(9 * exchanged, sigma)
    assert (-own * exchanged > 0).all() and -own[4] == exchanged[4]


@pytest.mark.parametrize("progress", [0.0, 0.5, 0.9])
def test_the_weight_grows_with_progress(progress):
    rival, given = small(adversarial=0.2), batch()
    _, logmel, labels = given
    whole = gradients(rival, rival.loss(*given, progress=progress)[0])
    image, audio = rival.embed_image(given[0]), rival.embed_audio(logmel)
    matching = gradients(rival, rival.matching(image, audio, labels)[0])
    game = gradients(rival, discriminator_loss(rival.judge(image, 1.0), rival.judge(audio, 1.0)))
    for name in ("image.fc2.weight", "audio.fc.weight"):
        wanted = matching[name] + 0.2 * progress * game[name]
        torch.testing.assert_close(whole[name], wanted)
    torch.testing.assert_close(whole["discriminator.fc1.weight"], game["discriminator.fc1.weight"])


def test_loss_is_the_sum_of_its_parts_and_accuracy_counts_decisions():
    rival, given = small(identity=0.5), batch()
    loss, parts = rival.loss(*given, progress=0.5)
    wanted = parts["image_to_audio"] + parts["audio_to_image"] + 0.5 * parts["classification"]
    torch.testing.assert_close(loss.detach(), wanted + parts["discriminator"])
    image = rival.judge(rival.embed_image(given[0])).tolist()
    audio = rival.judge(rival.embed_audio(given[1])).tolist()
    right = sum(d > 0 for d in image) + sum(d < 0 for d in audio)
    assert parts["discriminator_accuracy"].item() == pytest.approx(right / 8)


def test_the_discriminator_does_not_see_lengths():
    rival, x = small(), torch.randn(3, 8, dtype=torch.float64)
    torch.testing.assert_close(rival.judge(x), rival.judge(100 * x))


def test_a_zero_vector_and_one_class_are_finite():
    rival = small()
    x = torch.zeros(2, 8, dtype=torch.float64, requires_grad=True)
    matching, _ = rival.matching(x, x, torch.zeros(2, dtype=torch.long))
    loss = matching + discriminator_loss(rival.judge(x), rival.judge(x))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(x.grad).all()


def test_two_rates_in_one_optimizer():
    rival = small(discriminator_rate=3e-4)
    encoders, judge = rival.optimizer(0.5)(list(rival.parameters())).param_groups
    assert (encoders["lr"], judge["lr"]) == (1e-4, 1.5e-4)
    assert {id(p) for p in judge["params"]} == {id(p) for p in rival.discriminator.parameters()}
    assert len(encoders["params"]) + len(judge["params"]) == len(list(rival.parameters()))


@pytest.mark.parametrize("side", ["encoders", "discriminator"])
def test_one_backward_serves_both_sides_of_the_game(side):
    """Alone, the discriminator lowers the loss and the encoders raise it."""
    rival, (seen, logmel, _) = small(), batch()
    group = rival.optimizer(5.0)(list(rival.parameters())).param_groups[side == "discriminator"]
    take, losses = torch.optim.Adam(group["params"], 1e-3), []
    for _ in range(20):
        logits = (rival.judge(x) for x in (rival.embed_image(seen), rival.embed_audio(logmel)))
        loss = discriminator_loss(*logits)
        take.zero_grad()
        loss.backward()
        take.step()
        losses.append(loss.item())
    assert (losses[-1] < losses[0] - 0.01) if side == "discriminator" else (losses[-1] > losses[0] + 0.01)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match="adversarial is the weight"):
        small(adversarial=-0.1)
