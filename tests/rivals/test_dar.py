"""DAR: transfer and ranking against plain loops, the shared tail, what a mask hides."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from pair_fakes import LABELS, SIZES, allowed, batch, costs, embeddings, score_matrix
from torch.autograd import gradcheck

from llinet_lite.losses import unit
from llinet_lite.rivals.dar import DAR, ranking_loss, transfer_loss
from llinet_lite.rivals.hinge import hinge_costs


def dar(**options) -> DAR:
    torch.manual_seed(0)
    return DAR(**SIZES, teacher_classes=7, **options)


@pytest.mark.parametrize("same_class", ["all", "mask"])
def test_hinge_costs_are_loops(same_class):
    scores, allow = score_matrix(), allowed(same_class)
    for got, expected in zip(hinge_costs(scores, allow, 0.3), costs(scores, allow, 0.3), strict=True):
        torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))


def test_hinge_costs_want_one_square():
    for wrong in (torch.zeros(5, 4), torch.zeros(4, 4), torch.zeros(5)):
        with pytest.raises(ValueError, match=r"must be \(B, B\)"):
            hinge_costs(wrong, allowed(), 0.2)


def test_unit_vectors_and_nothing_at_all():
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0], [3e-9, 4e-9]], requires_grad=True)
    length = unit(x).norm(dim=1)
    assert length.tolist() == pytest.approx([1, 0, 5e-3])
    length.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert unit(x.half()).dtype == torch.float32 and unit(x.double()).dtype == torch.float64


def test_transfer_is_a_loop_and_nothing_where_the_teacher_is_met():
    logits, other = embeddings(4, 6)
    teacher = other.softmax(1)
    teacher[0] = torch.eye(6)[2]  # a teacher without doubt
    total = 0.0
    for z, g in zip(logits.tolist(), teacher.tolist(), strict=True):
        mass = sum(map(math.exp, z))
        total += sum(p * math.log(p / (math.exp(x) / mass)) for x, p in zip(z, g, strict=True) if p)
    assert transfer_loss(logits, teacher).item() == pytest.approx(total / 4, rel=1e-10)
    assert transfer_loss(teacher[1:].log() + 3, teacher[1:]).abs() < 1e-12
    assert gradcheck(lambda z: transfer_loss(z, teacher), logits.requires_grad_())


@pytest.mark.parametrize("same_class", ["all", "mask"])
def test_ranking_is_a_loop(same_class):
    image, audio = embeddings(5, 4)
    cosine = [[F.cosine_similarity(v, a, dim=0).item() for a in audio] for v in image]
    expected = costs(torch.tensor(cosine, dtype=torch.float64), allowed(same_class), 0.2)
    got = ranking_loss(image, audio, allowed(same_class), 0.2)
    assert [x.item() for x in got] == pytest.approx([sum(map(sum, side)) / 5 for side in expected])
    swapped = ranking_loss(audio, image, allowed(same_class), 0.2)
    assert [x.item() for x in swapped] == pytest.approx([x.item() for x in got[::-1]])
    inputs = (image.requires_grad_(), audio.requires_grad_())
    assert gradcheck(lambda v, a: ranking_loss(v, a, allowed(same_class), 0.2), inputs)


def test_ranking_of_equal_activations_and_of_one_class():
    same = torch.ones(5, 4)
    assert [x.item() for x in ranking_loss(same, same, allowed())] == pytest.approx([0.8, 0.8])  # (B - 1) m
    one = allowed("mask", torch.zeros(5))
    image, audio = (x.requires_grad_() for x in embeddings(5, 4))
    loss = sum(ranking_loss(image, audio, one))
    loss.backward()
    assert loss == 0 and not image.grad.any()
    zero = torch.zeros(5, 4).double().requires_grad_()
    sum(ranking_loss(zero, audio.detach(), allowed())).backward()
    assert torch.isfinite(zero.grad).all()


def test_a_mask_hides_the_own_class():
    image, audio = embeddings(5, 4)
    turned = audio.clone()
    turned[2] = image[0]  # class 0, the best sound for picture 0

    def to_picture_0(sounds, same_class):
        return hinge_costs(unit(image) @ unit(sounds).T, allowed(same_class), 0.2)[0][0].sum()

    assert to_picture_0(turned, "mask") == to_picture_0(audio, "mask")
    assert to_picture_0(turned, "all") > to_picture_0(audio, "all") + 0.1


def test_the_loss_is_its_terms():
    seen, logmel, labels = batch()
    model = dar(same_class="all", margin=0.3, weight=2.0).eval()
    loss, parts = model.loss(seen, logmel, labels)
    image, audio = model.activations(model.image(seen["pooled"])), model.activations(model.audio(logmel))
    ranking = sum(sum(ranking_loss(image[h], audio[h], allowed(), 0.3)) for h in ("fc1", "fc2"))
    transfer = sum(transfer_loss(side["fc3"], seen["teacher"]) for side in (image, audio))
    torch.testing.assert_close(loss, transfer + 2 * ranking)
    torch.testing.assert_close(sum(parts.values()), (transfer + ranking).detach())
    last = dar(same_class="all", margin=0.3, layers=("fc2",)).eval().loss(seen, logmel, labels)[1]["ranking"]
    torch.testing.assert_close(last, sum(ranking_loss(image["fc2"], audio["fc2"], allowed(), 0.3)).detach())


def test_the_tail_is_shared_and_its_last_hidden_layer_is_the_embedding():
    seen, logmel, _ = batch()
    model = dar().eval()
    image, audio = model.embed_image(seen), model.embed_audio(logmel)
    assert image.shape == audio.shape == (5, 16) and image.min() >= 0
    torch.testing.assert_close(image.norm(dim=1), torch.ones(5))
    with torch.no_grad():
        model.tail["fc2"].bias += 1
    for before, after in ((image, model.embed_image(seen)), (audio, model.embed_audio(logmel))):
        assert not torch.allclose(before, after)
    assert model.tail["fc3"].out_features == 7 and dar(same_class="all").same_class == "all"


def test_optimizer_and_wrong_options():
    optimizer = dar().optimizer()(list(dar().parameters()))
    assert isinstance(optimizer, torch.optim.Adam) and optimizer.defaults["lr"] == 1e-4
    assert dar().schedule(30) is None
    with pytest.raises(ValueError, match="layers must name some of fc1, fc2"):
        dar(layers=("fc3",))
    with pytest.raises(ValueError, match="teacher_classes"):
        seen, logmel, labels = batch()
        dar().loss(seen | {"teacher": seen["teacher"][:, :5]}, logmel, labels)
    with pytest.raises(ValueError, match="distinct"):
        dar(same_class="distinct").loss(*batch()[:2], LABELS)
