"""The losses of the eight retrieval rivals against plain loops, and what their formulas imply."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from llinet_lite.losses import negatives
from llinet_lite.rivals import CME, SCAN, SIR, TIMAM
from llinet_lite.rivals.cme import cosine_pair_loss, draw_pairs, root_classification_loss
from llinet_lite.rivals.cmpm import cmpc_loss, cmpm_loss, projection_loss
from llinet_lite.rivals.dar import ranking_loss, transfer_loss
from llinet_lite.rivals.dscmr import invariance_loss, label_loss, similarity_loss
from llinet_lite.rivals.scan import attention_scores, hardest_hinge, sum_hinge
from llinet_lite.rivals.sir import RecurrentEncoder, VectorialAttention, mean_hinge
from llinet_lite.rivals.timam import discriminator_loss, reverse_gradient
from llinet_lite.rivals.ulslvc import draw_impostors, impostor_hinge

LABELS = torch.tensor([0, 1, 0, 2, 1])
SIZES = {"features": 6, "classes": 3, "width": 2, "size": 8}


def vectors(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return tuple(2 * torch.randn(*shape, generator=random).double() for _ in range(2))


def costs(s: torch.Tensor, same_class: str, margin: float) -> tuple[list, list]:
    """Cost of every audio to every image, and of every image to every audio, by loops."""
    allow, s = negatives(LABELS, same_class).tolist(), s.tolist()
    first = [[max(0.0, margin + s[i][j] - s[i][i]) * allow[i][j] for j in range(5)] for i in range(5)]
    second = [[max(0.0, margin + s[i][j] - s[j][j]) * allow[i][j] for j in range(5)] for i in range(5)]
    return first, second


@pytest.mark.parametrize("same_class", ["all", "mask"])
def test_hinges_are_loops(same_class):
    s, allow = vectors(5, 5)[0] / 4, negatives(LABELS, same_class)
    first, second = costs(s, same_class, 0.2)
    sums = [sum(map(sum, side)) for side in (first, second)]
    assert [x.item() for x in mean_hinge(s, allow)] == pytest.approx([x / 25 for x in sums])
    assert sum_hinge(s, allow).item() == pytest.approx(sum(sums))
    hardest = sum(map(max, first)) + sum(map(max, zip(*second, strict=True)))
    assert hardest_hinge(s, allow).item() == pytest.approx(float(hardest))
    audios, images = torch.tensor([3, 0, 1, 4, 2]), torch.tensor([1, 3, 4, 0, 2])
    first, second = costs(s, same_class, 1.0)
    wanted = sum(first[i][audios[i]] for i in range(5)) / 5, sum(second[images[i]][i] for i in range(5)) / 5
    got = impostor_hinge(s, allow, audios, images)
    assert [x.item() for x in got] == pytest.approx([float(x) for x in wanted])
    x, z = vectors(5, 4)
    cosine = torch.stack([F.cosine_similarity(v, z) for v in x])
    wanted = [sum(map(sum, side)) / 5 for side in costs(cosine, same_class, 0.2)]
    assert [x.item() for x in ranking_loss(x, z, allow)] == pytest.approx([float(x) for x in wanted])
    for rule in (sum_hinge, hardest_hinge, mean_hinge):
        assert gradcheck(lambda s, rule=rule: rule(s, allow), s.clone().requires_grad_())
    assert sum_hinge(s, negatives(torch.zeros(5), "mask")) == 0  # of one class nothing is left


@pytest.mark.parametrize("same_class", ["all", "mask"])
def test_every_impostor_is_drawn_equally_often_and_nothing_else(same_class):
    torch.manual_seed(0)
    allow = negatives(LABELS, same_class)
    drawn = torch.stack([draw_impostors(allow) for _ in range(3000)])
    share = F.one_hot(drawn, 5).double().mean(0)  # (3000, B) -> (B, B)
    assert not share[~allow].any()
    torch.testing.assert_close(share, allow / allow.sum(1, keepdim=True).double(), atol=0.04, rtol=0)


# ---- DAR


def test_transfer_is_a_loop_and_nothing_where_the_teacher_is_met():
    logits, other = vectors(4, 6)
    teacher = other.softmax(1)
    teacher[0] = torch.eye(6)[2]  # a teacher without doubt
    total = 0.0
    for z, g in zip(logits.tolist(), teacher.tolist(), strict=True):
        mass = sum(map(math.exp, z))
        total += sum(p * math.log(p / (math.exp(x) / mass)) for x, p in zip(z, g, strict=True) if p)
    assert transfer_loss(logits, teacher).item() == pytest.approx(total / 4, rel=1e-10)
    assert transfer_loss(teacher[1:].log() + 3, teacher[1:]).abs() < 1e-12
    assert gradcheck(lambda z: transfer_loss(z, teacher), logits.requires_grad_())


# ---- SIR


def test_attention_weighs_every_feature_by_itself_and_the_encoder_has_the_papers_sizes():
    torch.manual_seed(0)
    attention, h = VectorialAttention(3, 4).double(), vectors(2, 5, 3)[0]
    for b in range(2):
        logits = [attention.fc2(torch.tanh(attention.fc1(step))).tolist() for step in h[b]]
        for k in range(3):
            mass = [math.exp(logit[k]) for logit in logits]
            wanted = sum(m * h[b, t, k].item() for t, m in enumerate(mass)) / sum(mass)
            assert attention(h)[b, k].item() == pytest.approx(wanted)
    with torch.device("meta"):
        encoder = RecurrentEncoder()
        assert encoder(torch.empty(2, 101, 40)).shape == (2, 2048) and encoder.recurrent.hidden_size == 1024
        assert encoder.conv(torch.empty(2, 40, 101)).shape == (2, 64, 48)
    assert SIR(**SIZES).size == 64


# ---- SCAN


def one_score(query, context, sharpness: float, slope: float) -> float:
    """Score of two sets of vectors (Q, D), (C, D); the attended vector is formed."""
    x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (np.array(query), np.array(context)))
    s = np.array([[max(a @ b, slope * (a @ b)) for b in y] for a in x])
    for j in range(len(y)):
        s[:, j] /= math.sqrt(sum(value**2 for value in s[:, j])) or 1.0
    relevance = []
    for a, row in zip(x, s, strict=True):
        mass = np.exp(sharpness * row)
        attended = sum(w * b for w, b in zip(mass / mass.sum(), y, strict=True))
        relevance.append(a @ attended / np.linalg.norm(attended))
    return sum(relevance) / len(relevance)


def test_attention_scores_are_loops_in_blocks_or_whole():
    query, context = vectors(3, 4, 6)[0], vectors(2, 5, 6, seed=1)[1]
    expected = [[one_score(x, y, 4.0, 0.1) for y in context.tolist()] for x in query.tolist()]
    got = attention_scores(query, context, 4.0)
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)
    for block in (1, 50, 90):
        torch.testing.assert_close(attention_scores(3 * query, context, 4.0, block=block), got)
    for attention, sharpness in (("t-i", 9), ("i-t", 4)):  # 3 images of 4 cells, 2 audios of 5 steps
        pair = (lambda v, a: (a, v)) if attention == "t-i" else (lambda v, a: (v, a))
        wanted = [[one_score(*pair(v, a), sharpness, 0.1) for a in context.tolist()] for v in query.tolist()]
        found = SCAN(**SIZES, attention=attention).scores(query, context)
        torch.testing.assert_close(found, torch.tensor(wanted).double(), rtol=1e-6, atol=1e-6)
    inputs = query[..., :3].contiguous().requires_grad_(), context[..., :3].contiguous().requires_grad_()
    assert gradcheck(attention_scores, inputs)
    zero = torch.zeros(3, 4, 6).double().requires_grad_()
    attention_scores(zero, context).sum().backward()
    assert torch.isfinite(zero.grad).all()


def test_cells_steps_and_the_warm_up():
    torch.manual_seed(0)
    model, logmel = SCAN(**SIZES, same_class="all").eval(), torch.randn(5, 40, 40)
    inputs = {"map": torch.rand(5, 6, 3, 3)}, logmel
    image, audio = model.embed_image(inputs[0]), model.embed_audio(logmel)
    assert image.shape == (5, 9, 8) and audio.shape == (5, 5, 8)
    cell = model.image(inputs[0]["map"][2, :, 1, 2])  # row 1, column 2 of 3
    torch.testing.assert_close(image[2, 5], cell / cell.norm())
    step = model.audio.fc(model.audio.maps(logmel)[3, :, 4].mean(1))
    torch.testing.assert_close(audio[3, 4], step / step.norm())
    scores, allow = model.scores(image, audio), negatives(LABELS, "all")
    for progress, rule in ((0.0, sum_hinge), (0.09, sum_hinge), (0.1, hardest_hinge), (0.9, hardest_hinge)):
        loss, _ = model.loss(inputs, {"label": LABELS, "progress": progress})
        torch.testing.assert_close(loss, rule(scores, allow))


# ---- DSCMR


def test_every_term_of_dscmr_is_a_loop():
    u, v = vectors(5, 4)
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
    u, v = u.requires_grad_(), v.requires_grad_()
    assert gradcheck(lambda u: label_loss(u, LABELS), u)
    assert gradcheck(lambda u, v: similarity_loss(u, v, LABELS), (u, v))
    assert gradcheck(invariance_loss, (u, v))


def test_a_perfect_batch_has_a_finite_slope():
    u = F.one_hot(LABELS, 3).float().requires_grad_()
    (label_loss(u, LABELS) + invariance_loss(u, u.detach())).backward()  # every root is taken at zero
    assert torch.isfinite(u.grad).all()


# ---- CMPM, TIMAM


def one_direction(x: list, z: list, labels: list) -> float:
    total = 0.0
    for i, anchor in enumerate(x):
        logits = [sum(a * b for a, b in zip(anchor, other, strict=True)) / math.hypot(*other) for other in z]
        mass = [math.exp(logit) for logit in logits]
        for j in range(len(z)):
            p = mass[j] / sum(mass)
            q = (labels[i] == labels[j]) / labels.count(labels[i])
            total += p * math.log(p / (q + 1e-8) + 1e-8)
    return total / len(x)


def test_cmpm_and_cmpc_are_loops():
    x, z = vectors(5, 4)
    there, back = (one_direction(a.tolist(), b.tolist(), LABELS.tolist()) for a, b in ((x, z), (z, x)))
    assert projection_loss(x, z, LABELS).item() == pytest.approx(there, rel=1e-10)
    assert cmpm_loss(x, z, LABELS).item() == pytest.approx(there + back, rel=1e-10)
    weight = vectors(3, 4, seed=5)[0]
    total = 0.0
    for i, y in enumerate(LABELS.tolist()):
        for a, b in ((x[i], z[i]), (z[i], x[i])):
            onto = (a @ b / b.square().sum()).item()
            logits = [onto * (b @ row / row.norm()).item() for row in weight]
            total += math.log(sum(map(math.exp, logits))) - logits[y]
    assert cmpc_loss(x, z, LABELS, 7 * weight).item() == pytest.approx(total / 5, rel=1e-10)
    inputs = x.requires_grad_(), z.requires_grad_(), weight.requires_grad_()
    assert gradcheck(lambda x, z, w: cmpm_loss(x, z, LABELS) + cmpc_loss(x, z, LABELS, w), inputs)
    with pytest.raises(ValueError, match="3 images and 2 audios"):
        cmpm_loss(torch.ones(3, 4), torch.ones(2, 4), torch.arange(3))


def test_at_unit_length_cmpm_cannot_converge():
    labels = torch.arange(16).repeat(2)
    unit = F.normalize(torch.eye(16).double() - 1 / 16, dim=1)[labels]  # as far apart as 16 classes can be
    assert cmpm_loss(unit, unit, labels) > 20
    assert cmpm_loss(60 * unit, 60 * unit, labels) < 1e-3


def test_the_discriminators_loss_is_a_loop_and_its_gradient_reversed():
    v, a = (side[:, 0] for side in vectors(4, 1))
    total = -sum(math.log(1 / (1 + math.exp(-d))) for d in v.tolist())
    total -= sum(math.log(1 - 1 / (1 + math.exp(-d))) for d in a.tolist())
    assert discriminator_loss(v, a).item() == pytest.approx(total / 4)
    x = torch.randn(3).requires_grad_()
    reverse_gradient(x, 0.3).square().sum().backward()
    torch.testing.assert_close(x.grad, -0.3 * 2 * x.detach())


def test_timam_plays_both_sides_of_the_game_in_one_pass():
    torch.manual_seed(0)
    rival = TIMAM(**SIZES, adversarial=0.2).double().eval()
    inputs = {"pooled": torch.rand(5, 6).double()}, torch.randn(5, 24, 40).double()
    loss, parts = rival.loss(inputs, {"label": LABELS, "progress": 0.5})
    image, audio = rival.embed_image(inputs[0]), rival.embed_audio(inputs[1])
    matching = rival.matching(image, audio, LABELS)[0]
    plain = [rival.discriminator(F.normalize(x, dim=1))[:, 0] for x in (image, audio)]  # without reversal
    game = discriminator_loss(*plain)
    torch.testing.assert_close(loss, matching + game)
    right = (plain[0] > 0).double().mean() / 2 + (plain[1] < 0).double().mean() / 2
    assert parts["discriminator_accuracy"].item() == pytest.approx(right.item())
    for weight, sign in ((rival.image.fc2.weight, -0.1), (rival.discriminator.fc1.weight, 1.0)):
        found, first, second = (
            torch.autograd.grad(x, weight, retain_graph=True, allow_unused=True)[0]
            for x in (loss, matching, game)
        )
        torch.testing.assert_close(found, (0 if first is None else first) + sign * second)
    groups = rival.optimizer(0.5)(list(rival.parameters())).param_groups
    assert [group["lr"] for group in groups] == [1e-4, 5e-5]


# ---- CME


def test_pairs_keep_the_share_and_negatives_are_of_other_classes():
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 2, 3, 3, 1])
    partners = torch.zeros(10, 10)
    for _ in range(2000):
        partner, negative = draw_pairs(labels)
        assert negative.sum() == 6 and torch.equal(partner[~negative], torch.arange(10)[~negative])
        partners[torch.arange(10), partner] += 1 / 2000
    for i in range(10):  # own with 0.4, every audio of another class alike
        others = labels[i] != labels
        wanted = torch.where(others, 0.6 / others.sum(), 0.0)
        wanted[i] = 0.4
        torch.testing.assert_close(partners[i], wanted, atol=0.05, rtol=0)
    partner, negative = draw_pairs(torch.zeros(5, dtype=torch.long))
    assert not negative.any() and torch.equal(partner, torch.arange(5))


def test_both_losses_of_cme_are_loops():
    image, audio = vectors(8, 3)
    negative, total = torch.arange(8) % 2 == 0, 0.0
    for x, z, wrong in zip(image.tolist(), audio.tolist(), negative.tolist(), strict=True):
        cosine = sum(a * b for a, b in zip(x, z, strict=True)) / math.hypot(*x) / math.hypot(*z)
        total += max(0.0, cosine - 0.3) / 0.7 if wrong else 1 - cosine
    assert cosine_pair_loss(image, audio, negative, 0.3).item() == pytest.approx(total / 8, rel=1e-10)
    sides = image.requires_grad_(), audio.requires_grad_()
    assert gradcheck(lambda x, z: cosine_pair_loss(x, z, negative, 0.3), sides)
    logits, total = vectors(5, 3), 0.0
    for side in logits:
        for row, y in zip(side.tolist(), LABELS.tolist(), strict=True):
            for k, z in enumerate(row):
                p = 1 / (1 + math.exp(-z))
                total -= math.log(p if k == y else 1 - p)
    got = root_classification_loss(*logits, LABELS)
    assert got.item() == pytest.approx(math.sqrt(total / 5), rel=1e-8)
    sure = (200 * (2 * F.one_hot(LABELS, 3) - 1.0)).requires_grad_()
    root_classification_loss(sure, sure, LABELS).backward()  # the root is taken at zero
    assert torch.isfinite(sure.grad).all()


def test_lambda_is_raised_and_silent_units_are_counted():
    torch.manual_seed(0)
    rival = CME(**SIZES | {"size": 64}, classification=0.5, classification_from=0.4).eval()
    inputs = {"pooled": torch.rand(5, 6)}, torch.randn(5, 24, 40)
    for progress, weight in ((0.0, 0.0), (0.39, 0.0), (0.4, 0.5), (0.9, 0.5)):
        loss, parts = rival.loss(inputs, {"label": LABELS, "progress": progress})
        torch.testing.assert_close(loss.detach(), parts["cosine"] + weight * parts["classification"])
    with torch.no_grad():
        rival.image_stack[-2].weight.zero_()
        rival.image_stack[-2].bias.fill_(-1.0)
    parts = rival.loss(inputs, {"label": LABELS})[1]
    assert parts["zero_vectors"].item() == pytest.approx(0.5) and parts["dead_units"] >= 0.5
