"""SIR: the mean hinge against plain loops, attention, the own encoder, the cycle of the learning rate."""

from __future__ import annotations

import math

import pytest
import torch
from pair_fakes import LABELS, SIZES, allowed, batch, costs, embeddings, score_matrix
from torch.autograd import gradcheck

from llinet_lite.losses import cosines
from llinet_lite.rivals.sir import SIR, RecurrentEncoder, VectorialAttention, mean_hinge


def sir(**options) -> SIR:
    torch.manual_seed(0)
    return SIR(**SIZES, **options)


@pytest.mark.parametrize("hardest", [None, 1, 2, 99])
@pytest.mark.parametrize("same_class", ["all", "mask"])
def test_the_hinge_is_a_loop(same_class, hardest):
    scores, allow = score_matrix(), allowed(same_class)
    first, second = costs(scores, allow, 0.2)
    columns = [list(column) for column in zip(*second, strict=True)]
    n = min(hardest or 5, 5)
    expected = [sum(sum(sorted(row)[-n:]) for row in rows) / (5 * n) for rows in (first, columns)]
    assert [x.item() for x in mean_hinge(scores, allow, 0.2, hardest)] == pytest.approx(expected)
    swapped = mean_hinge(scores.T, allow, 0.2, hardest)
    assert [x.item() for x in swapped] == pytest.approx(expected[::-1])
    inputs = tuple(x.requires_grad_() for x in embeddings(5, 4))
    assert gradcheck(lambda v, a: mean_hinge(cosines(v, a), allow, 0.2, hardest), inputs)


@pytest.mark.parametrize("count", [2, 32])
def test_a_collapsed_space_has_a_known_loss(count):
    same = torch.ones(count, 6)
    loss = sum(mean_hinge(cosines(same, same), allowed("all", torch.arange(count)), 0.2))
    assert loss.item() == pytest.approx(2 * 0.2 * (count - 1) / count)


def test_order_mask_and_one_class():
    scores, order = score_matrix(), torch.tensor([4, 2, 0, 1, 3])
    for same_class in ("all", "mask"):
        moved = mean_hinge(scores[order][:, order], allowed(same_class, LABELS[order]))
        torch.testing.assert_close(moved, mean_hinge(scores, allowed(same_class)))
    changed = scores.clone()
    changed[0, 2] = changed[4, 1] = 9.0
    torch.testing.assert_close(mean_hinge(changed, allowed("mask")), mean_hinge(scores, allowed("mask")))
    assert mean_hinge(changed, allowed())[0] > mean_hinge(scores, allowed())[0] + 0.1
    assert mean_hinge(scores, allowed("mask", torch.zeros(5))) == (0, 0)


def test_attention_is_a_loop():
    torch.manual_seed(0)
    attention, steps = VectorialAttention(3, 2).double(), embeddings(2, 4, 3)[0]
    out = attention(steps)
    w1, b1, w2, b2 = (p.tolist() for layer in (attention.fc1, attention.fc2) for p in layer.parameters())
    for b in range(2):
        energy = []
        for h in steps[b].tolist():
            inner = [
                math.tanh(sum(w * x for w, x in zip(r, h, strict=True)) + c)
                for r, c in zip(w1, b1, strict=True)
            ]
            energy.append(
                [sum(w * x for w, x in zip(r, inner, strict=True)) + c for r, c in zip(w2, b2, strict=True)]
            )
        for d in range(3):
            mass = [math.exp(step[d]) for step in energy]
            expected = sum(m * steps[b, t, d].item() for t, m in enumerate(mass)) / sum(mass)
            assert out[b, d].item() == pytest.approx(expected, rel=1e-10)


def test_the_own_encoder_has_the_papers_sizes():
    with torch.device("meta"):
        encoder = RecurrentEncoder()
        assert encoder.conv(torch.empty(1, 40, 303)).shape == (1, 64, 149)
        assert encoder(torch.empty(2, 303, 40)).shape == (2, 2048)
    assert (encoder.recurrent.num_layers, encoder.recurrent.hidden_size) == (4, 1024)
    assert encoder.recurrent.bidirectional and encoder.conv.bias is None
    assert encoder.attention.fc1.weight.shape == (128, 2048)
    assert isinstance(encoder.recurrent, torch.nn.GRU)
    assert isinstance(RecurrentEncoder(4, "lstm").recurrent, torch.nn.LSTM)


@pytest.mark.parametrize("frames", [6, 40])
@pytest.mark.parametrize("options", [{}, {"cell": "lstm"}, {"encoder": "shared"}])
def test_embeddings_and_loss(options, frames):
    seen, logmel, labels = batch(frames=frames)
    model = sir(same_class="all", hardest=2, **options).eval()
    image, audio = model.embed_image(seen), model.embed_audio(logmel)
    assert model.size == (16 if "encoder" in options else 128)  # 32 width
    for side in (image, audio):
        assert side.shape == (5, model.size)
        torch.testing.assert_close(side.norm(dim=1), torch.ones(5))
    loss, parts = model.loss(seen, logmel, labels)
    torch.testing.assert_close(loss, sum(mean_hinge(image @ audio.T, allowed(), 0.2, 2)))
    torch.testing.assert_close(loss.detach(), sum(parts.values()))
    loss.backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_the_learning_rate_goes_round_every_four_epochs():
    model = sir()
    optimizer = model.optimizer()(list(model.parameters()))
    assert isinstance(optimizer, torch.optim.Adam) and optimizer.defaults["lr"] == 2e-4
    rate = [2e-4 * model.schedule(32)(epoch) for epoch in (0, 1, 2, 3, 4, 30, 32)]
    middle = (2e-4 + 1e-6) / 2
    assert rate == pytest.approx([1e-6, middle, 2e-4, middle, 1e-6, 2e-4, 1e-6])
    for epochs in (1, 2, 7, 10):  # the last cycle ends with the run
        factors = [model.schedule(epochs)(epochs * step / 1000) for step in range(1001)]
        assert factors[-1] == pytest.approx(0.005) and max(factors) == pytest.approx(1, abs=1e-3)


def test_wrong_options():
    for options, said in (
        ({"encoder": "both"}, '"own" or "shared"'),
        ({"cell": "rnn"}, "one of gru, lstm"),
        ({"hardest": 0}, "at least 1"),
    ):
        with pytest.raises(ValueError, match=said):
            sir(**options)
