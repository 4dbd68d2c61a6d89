"""ULSLVC: the impostor's draw, its hinge against plain loops, the paper's own encoder."""

from __future__ import annotations

import pytest
import torch
from pair_fakes import LABELS, SIZES, allowed, batch, costs, embeddings, score_matrix
from torch import nn
from torch.autograd import gradcheck

from llinet_lite.losses import cosines
from llinet_lite.rivals.ulslvc import ULSLVC, ConvolutionalEncoder, draw_impostors, impostor_hinge

SOUNDS, PICTURES = torch.tensor([3, 0, 1, 4, 2]), torch.tensor([1, 3, 4, 0, 2])


def ulslvc(**options) -> ULSLVC:
    torch.manual_seed(0)
    return ULSLVC(**SIZES, **options)


@pytest.mark.parametrize("same_class", ["all", "mask"])
def test_the_hinge_is_a_loop(same_class):
    scores, allow = score_matrix(), allowed(same_class)
    first, second = costs(scores, allow, 1.0)
    expected = [
        sum(first[i][SOUNDS[i]] for i in range(5)) / 5,
        sum(second[PICTURES[i]][i] for i in range(5)) / 5,
    ]
    got = impostor_hinge(scores, allow, SOUNDS, PICTURES)
    assert [x.item() for x in got] == pytest.approx(expected)
    swapped = impostor_hinge(scores.T, allow, PICTURES, SOUNDS)
    assert [x.item() for x in swapped] == pytest.approx(expected[::-1])
    inputs = tuple(x.requires_grad_() for x in embeddings(5, 4))
    assert gradcheck(lambda v, a: impostor_hinge(cosines(v, a), allow, SOUNDS, PICTURES), inputs)


def test_the_order_of_the_batch_does_not_matter():
    order, scores = torch.tensor([4, 2, 0, 1, 3]), score_matrix()
    new = order.argsort()  # where an item has gone
    moved = impostor_hinge(scores[order][:, order], allowed(), new[SOUNDS[order]], new[PICTURES[order]])
    assert [x.item() for x in moved] == pytest.approx(
        [x.item() for x in impostor_hinge(scores, allowed(), SOUNDS, PICTURES)]
    )


def test_equal_scores_cost_the_margin():
    assert [x.item() for x in impostor_hinge(torch.zeros(5, 5), allowed(), SOUNDS, PICTURES)] == [1, 1]


@pytest.mark.parametrize("same_class", ["all", "mask"])
def test_every_negative_is_drawn_equally_often_and_nothing_else(same_class):
    torch.manual_seed(0)
    allow = allowed(same_class)
    drawn = torch.stack([draw_impostors(allow) for _ in range(3000)])
    share = nn.functional.one_hot(drawn, 5).double().mean(0)  # (3000, B) -> (B, B)
    assert not share[~allow].any()
    torch.testing.assert_close(share, allow / allow.sum(1, keepdim=True).double(), atol=0.04, rtol=0)


def test_the_draw_is_the_generators():
    torch.manual_seed(3)
    first, second = draw_impostors(allowed()), [draw_impostors(allowed()) for _ in range(5)]
    torch.manual_seed(3)
    assert torch.equal(draw_impostors(allowed()), first)
    assert any(not torch.equal(first, other) for other in second)


def test_one_class_leaves_nothing_to_do():
    allow = allowed("mask", torch.zeros(5))
    scores = score_matrix().requires_grad_()
    loss = sum(impostor_hinge(scores, allow, draw_impostors(allow), draw_impostors(allow)))
    loss.backward()
    assert loss == 0 and not scores.grad.any()


def test_a_pair_of_the_own_class_never_counts_if_masked():
    torch.manual_seed(0)
    scores, moved = score_matrix(), score_matrix()
    moved[0, 2] = moved[2, 0] = moved[1, 4] = 50.0
    for same_class, kept in (("mask", True), ("all", False)):
        draws = [[draw_impostors(allowed(same_class)) for _ in range(2)] for _ in range(30)]
        equal = [
            torch.equal(torch.stack(impostor_hinge(scores, a, *d)), torch.stack(impostor_hinge(moved, a, *d)))
            for a in [allowed(same_class)]
            for d in draws
        ]
        assert all(equal) == kept


@pytest.mark.parametrize("frames", [10, 101, 303])
def test_the_own_encoder_takes_short_clips(frames):
    torch.manual_seed(0)
    encoder = ConvolutionalEncoder(4, 16)
    logmel = torch.randn(2, frames, 40)
    out = encoder(logmel)
    assert out.shape == (2, 16) and out.min() >= 0
    first = encoder.layers.conv1(logmel.transpose(1, 2))
    assert first.shape == (2, 4, frames)
    weight, bias = (part.detach().double() for part in encoder.layers.conv1.parameters())
    padded = logmel.double()[:, [0, 0, *range(frames), -1, -1]]  # the edge frames again
    expected = [
        [(weight[c] * padded[0, t : t + 5].T).sum() + bias[c] for t in range(frames)] for c in range(4)
    ]
    torch.testing.assert_close(first[0].double(), torch.tensor(expected).double(), atol=1e-5, rtol=1e-5)


def test_the_own_encoder_has_the_papers_sizes_and_hears_every_frame():
    with torch.device("meta"):
        layers = ConvolutionalEncoder().layers
        assert layers(torch.empty(1, 40, 1024)).shape == (1, 1024, 254)
    kernels = [(layer.out_channels, layer.kernel_size) for layer in layers if isinstance(layer, nn.Conv1d)]
    assert kernels == [(64, (5,)), (512, (25,)), (1024, (25,))]
    torch.manual_seed(0)
    logmel = torch.randn(1, 101, 40, requires_grad=True)
    ConvolutionalEncoder(8, 64)(logmel).sum().backward()
    assert (logmel.grad.abs().sum(2) > 0).all()


@pytest.mark.parametrize("encoder", ["shared", "own"])
def test_embeddings_and_loss(encoder):
    seen, logmel, labels = batch()
    model = ulslvc(encoder=encoder, same_class="all").eval()
    image, audio = model.embed_image(seen), model.embed_audio(logmel)
    for side in (image, audio):
        assert side.shape == (5, 16)
        torch.testing.assert_close(side.norm(dim=1), torch.ones(5))
    torch.manual_seed(5)
    loss, parts = model.loss(seen, logmel, labels)
    torch.manual_seed(5)
    sounds, pictures = draw_impostors(allowed()), draw_impostors(allowed())
    torch.testing.assert_close(loss, sum(impostor_hinge(image @ audio.T, allowed(), sounds, pictures)))
    torch.testing.assert_close(loss.detach(), sum(parts.values()))


def test_the_own_encoder_learns_one_batch():
    seen, logmel, _ = batch()
    model, losses = ulslvc(encoder="own"), []
    optimizer = model.optimizer(10.0)(list(model.parameters()))
    for _ in range(40):
        torch.manual_seed(0)
        loss, _ = model.loss(seen, logmel, LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(weight.grad is not None for weight in model.parameters())
    assert losses[-1] < 0.8 * losses[0]


def test_optimizer_schedule_and_wrong_options():
    model = ulslvc()
    optimizer = model.optimizer()(list(model.parameters()))
    assert isinstance(optimizer, torch.optim.SGD)
    assert [optimizer.defaults[key] for key in ("lr", "momentum", "weight_decay")] == [1e-3, 0.9, 5e-7]
    factors = [model.schedule(100)(epoch) for epoch in (0, 39.9, 40, 79.9, 80, 99.9)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert [model.schedule(5)(epoch) for epoch in (1.9, 2, 4)] == pytest.approx([1, 0.1, 0.01])
    with pytest.raises(ValueError, match='"shared" or "own"'):
        ulslvc(encoder="both")
