"""Losses against plain loops, values known in closed form and finite differences."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from llinet_lite.losses import (
    all_pairs_avc_loss,
    attended,
    attention_loss,
    attention_map,
    avc_accuracy,
    avc_loss,
    clip_loss,
    cosines,
    llinet_loss,
    matching_loss,
    negatives,
    refuse_unequal,
    sigmoid_loss,
    similarity_matrix,
    supervised_contrastive_loss,
    unit,
)

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])
WAYS = ("all", "mask", "zero")


# ---- correspondence


def test_sampled_loss_is_a_plain_loop():
    torch.manual_seed(0)
    logits, match = torch.randn(6, 2).double(), torch.tensor([1, 0, 0, 1, 1, 0])
    total = 0.0
    for (no, yes), corresponds in zip(logits.tolist(), match.tolist(), strict=True):
        chosen = yes if corresponds else no
        total -= chosen - math.log(math.exp(no) + math.exp(yes))
    assert avc_loss(logits, match).item() == pytest.approx(total / 6, rel=1e-12)
    assert gradcheck(lambda z: avc_loss(z, match), logits.requires_grad_())
    assert avc_loss(torch.zeros(6, 2), match).item() == pytest.approx(math.log(2))


def test_a_second_softmax_keeps_the_loss_high():
    """Of the surest right answer it is ln(1 + 1/e), and half as much is lost for the surest wrong one."""
    sure = torch.tensor([[-50.0, 50.0], [50.0, -50.0]]).double()
    match = torch.tensor([1, 0])
    assert avc_loss(sure, match).item() == pytest.approx(0, abs=1e-12)
    assert avc_loss(sure, match, softmax="twice").item() == pytest.approx(math.log(1 + math.exp(-1)))
    assert avc_loss(sure, 1 - match, softmax="twice").item() == pytest.approx(math.log(1 + math.e))
    logits = torch.randn(4, 4, 2).double()
    twice = avc_loss(logits, torch.arange(4), "all", "twice")
    assert twice == avc_loss(logits.softmax(-1), torch.arange(4), "all")


@pytest.mark.parametrize("group", [[0, 1, 2, 3, 4], [0, 1, 0, 2, 1], [7, 7, 7, 7, 3]])
def test_all_pairs_loss_is_a_double_loop(group):
    torch.manual_seed(0)
    logits = 3 * torch.randn(5, 5, 2).double()
    halves = {True: [], False: []}
    for i in range(5):
        for j in range(5):
            matched = group[i] == group[j]
            log_p = torch.log_softmax(logits[i, j], -1)
            halves[matched].append(-log_p[1 if matched else 0].item())
    want = 0.5 * (sum(halves[True]) / len(halves[True]) + sum(halves[False]) / len(halves[False]))
    got = avc_loss(logits, torch.tensor(group), pairs="all")
    assert got.item() == pytest.approx(want, rel=1e-12)
    assert gradcheck(lambda z: all_pairs_avc_loss(z, torch.tensor(group)), logits.requires_grad_())


def test_extreme_logits_stay_finite_and_half_precision_is_summed_in_float32():
    logits = torch.tensor([1e4, -1e4]).expand(3, 3, 2).clone().requires_grad_()
    loss = all_pairs_avc_loss(logits, torch.arange(3))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()
    for pairs, shape in (("sampled", (2, 2)), ("all", (2, 2, 2))):
        zeros = torch.zeros(shape, dtype=torch.bfloat16)
        assert avc_loss(zeros, torch.tensor([0, 1]), pairs).dtype == torch.float32


def test_accuracy_of_sampled_and_all_pairs():
    logits = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert avc_accuracy(logits, torch.tensor([1, 0, 0, 0])).item() == 0.75
    grid = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]).reshape(2, 2, 2)
    assert avc_accuracy(grid, torch.arange(2), "all").item() == pytest.approx(0.5 * (1.0 + 0.5))
    assert avc_accuracy(torch.tensor([0.0, 1.0]).expand(3, 3, 2), torch.zeros(3), "all") == 1  # one group


# ---- matching and attention


@pytest.fixture
def pairs():
    """Six pictures and sounds (6, 5) in float64."""
    torch.manual_seed(0)
    return torch.randn(6, 5).double(), torch.randn(6, 5).double()


@pytest.fixture
def maps():
    """Local features (6, 5, 3, 2) and transformed sounds (6, 5), neither negative, in float64."""
    torch.manual_seed(1)
    return torch.rand(6, 5, 3, 2).double(), torch.rand(6, 5).double()


def cosine(v, a):
    dot = sum(x * y for x, y in zip(v, a, strict=True))
    return dot / math.sqrt(sum(x * x for x in v)) / math.sqrt(sum(y * y for y in a))


def loop_loss(image, audio, labels, scale, same_class):
    """The equations, one number at a time."""
    v, a, y, n = image.tolist(), audio.tolist(), labels.tolist(), len(labels)
    similarity = [[scale * cosine(v[i], a[j]) for j in range(n)] for i in range(n)]
    for i in range(n):
        for j in range(n):
            if i != j and y[i] == y[j] and same_class != "all":
                similarity[i][j] = 0.0 if same_class == "zero" else -math.inf
    total = 0.0
    for i in range(n):
        row = sum(math.exp(similarity[i][j]) for j in range(n))
        column = sum(math.exp(similarity[j][i]) for j in range(n))
        total += 2 * similarity[i][i] - math.log(row) - math.log(column)
    return -total / n


def simplex(n):
    """n unit vectors, each two with the cosine -1 / (n - 1)."""
    return torch.eye(n).double() - 1 / n


# the released and the printed form, and two in between
FORMS = pytest.mark.parametrize(
    ("scale", "same_class"), [(10, "mask"), (1, "zero"), (10, "all"), (3, "zero")]
)


@FORMS
def test_matching_loss_is_a_double_loop(pairs, scale, same_class):
    want = loop_loss(*pairs, LABELS, scale, same_class)
    got = matching_loss(*pairs, LABELS, scale=scale, same_class=same_class)
    assert got.item() == pytest.approx(want, rel=1e-12)


def test_similarity_matrix_by_way(pairs):
    other = (LABELS[:, None] == LABELS) & ~torch.eye(6, dtype=torch.bool)
    plain = torch.cosine_similarity(pairs[0][:, None], pairs[1][None], dim=-1)
    for same_class, instead in (("mask", -math.inf), ("zero", 0.0)):
        got = similarity_matrix(*pairs, LABELS, scale=4.0, same_class=same_class)
        assert (got[other] == instead).all()
        assert torch.allclose(got[~other], 4 * plain[~other], rtol=1e-12)
    every = similarity_matrix(*pairs, LABELS, scale=4.0, same_class="all")
    assert torch.allclose(every, 4 * plain, rtol=1e-12)
    distinct = similarity_matrix(*pairs, torch.arange(6), same_class="distinct")
    assert distinct.equal(similarity_matrix(*pairs, torch.arange(6), same_class="all"))


@pytest.mark.parametrize("scale", [1.0, 10.0])
@pytest.mark.parametrize("n", [2, 5, 32])
def test_a_bounded_cosine_bounds_the_loss(n, scale):
    """The simplex attains the stated minimum, a random step from it raises the loss, and nothing is below."""
    torch.manual_seed(0)
    lowest = 2 * math.log(1 + (n - 1) * math.exp(-scale * n / (n - 1)))
    corners, labels = simplex(n), torch.arange(n)
    assert matching_loss(corners, corners, labels, scale=scale).item() == pytest.approx(lowest, rel=1e-9)
    assert lowest >= 2 * math.log(1 + (n - 1) * math.exp(-2 * scale)) - 1e-12, "the bound of single cosines"
    for _ in range(20):
        off = corners + 0.1 * torch.randn(n, n).double()
        assert matching_loss(off, corners, labels, scale=scale).item() >= lowest
        far = torch.randn(2, n, n).double()
        assert matching_loss(*far, labels, scale=scale).item() >= lowest


def loop_attended(local, audio):
    """The equations, one number at a time: scores (B, cells) and pooled features (B, C)."""
    scores, pooled = [], []
    for v, a in zip(local.flatten(2).tolist(), audio.tolist(), strict=True):
        cells = list(zip(*v, strict=True))
        score = [sum(x * y for x, y in zip(cell, a, strict=True)) for cell in cells]
        total = sum(math.exp(s) for s in score)
        weights = [math.exp(s) / total + 1 for s in score]
        weighted = list(zip(weights, cells, strict=True))
        pooled.append([sum(w * cell[c] for w, cell in weighted) for c in range(len(a))])
        scores.append(score)
    return torch.tensor(scores).double(), torch.tensor(pooled, dtype=torch.float64)


def test_attention_is_a_plain_loop(maps):
    scores, pooled = loop_attended(*maps)
    assert attention_map(*maps).shape == (6, 3, 2)
    assert torch.allclose(attention_map(*maps).flatten(1), scores, rtol=1e-6)
    assert torch.allclose(attended(*maps), pooled, rtol=1e-12)


@FORMS
def test_attention_loss_is_a_plain_loop(maps, scale, same_class):
    want = loop_loss(loop_attended(*maps)[1], maps[1], LABELS, scale, same_class)
    got = attention_loss(*maps, LABELS, scale=scale, same_class=same_class)
    assert got.item() == pytest.approx(want, rel=1e-12)


def test_llinet_loss_is_the_weighted_sum(pairs, maps):
    matching, attention = matching_loss(*pairs, LABELS), attention_loss(*maps, LABELS)
    loss, parts = llinet_loss(*pairs, *maps, LABELS)
    assert loss.item() == pytest.approx((matching + attention).item(), rel=1e-12)
    loss, parts = llinet_loss(*pairs, *maps, LABELS, matching=0.5, attention=0.8)
    assert loss.item() == pytest.approx((0.5 * matching + 0.8 * attention).item(), rel=1e-12)
    assert parts == {"matching": matching, "attention": attention}, "before they are weighted"
    loss, parts = llinet_loss(*pairs, None, None, LABELS, attention=0)
    assert list(parts) == ["matching"] and loss == matching
    loss, parts = llinet_loss(None, None, *maps, LABELS, matching=0)
    assert list(parts) == ["attention"] and loss == attention


@pytest.mark.parametrize("labels", [LABELS[:4], torch.zeros(4, dtype=torch.long), torch.arange(4)])
@pytest.mark.parametrize("same_class", WAYS)
def test_gradients_are_finite_differences(pairs, maps, labels, same_class):
    image, audio, local, transformed = (x[:4].clone().requires_grad_() for x in (*pairs, *maps))
    ways = {"scale": 5.0, "same_class": same_class}
    assert gradcheck(lambda v, a: matching_loss(v, a, labels, **ways), (image, audio))
    assert gradcheck(lambda v, a: attention_loss(v, a, labels, **ways), (local, transformed))
    both = (image, audio, local, transformed)
    assert gradcheck(lambda *x: llinet_loss(*x, labels, attention=0.8, **ways)[0], both)


def _cases():
    torch.manual_seed(2)
    random, other = torch.randn(2, 5, 4)
    zero = random.clone()
    zero[2] = 0
    mixed = torch.tensor([0, 1, 0, 2, 1])
    return {
        "identical": (torch.ones(5, 4), torch.ones(5, 4), mixed),
        "a zero picture": (zero, other, mixed),
        "a zero sound": (other, zero, mixed),
        "all zero": (torch.zeros(5, 4), torch.zeros(5, 4), mixed),
        "one class": (random, other, torch.zeros(5, dtype=torch.long)),
        "no class twice": (random, other, torch.arange(5)),
        "two pairs": (random[:2], other[:2], mixed[:2]),
        "two pairs of a class": (random[:2], other[:2], mixed[:1].repeat(2)),
        "one pair": (random[:1], other[:1], mixed[:1]),
        "tiny": (1e-30 * random, 1e-30 * other, mixed),
        "huge": (1e15 * random, 1e15 * other, mixed),
    }


@pytest.mark.parametrize("same_class", WAYS)
@pytest.mark.parametrize("case", _cases())
def test_value_and_gradient_stay_finite(case, same_class):
    image, audio, labels = _cases()[case]
    image, audio = image.requires_grad_(), audio.requires_grad_()
    local = image[:, :, None, None] * torch.tensor([[1.0, 0.0], [0.5, 0.2]])  # (B, D) -> (B, D, 2, 2)
    loss, parts = llinet_loss(image, audio, local, audio, labels, same_class=same_class)
    loss.backward()
    assert torch.isfinite(loss) and all(torch.isfinite(part) and part >= 0 for part in parts.values())
    assert torch.isfinite(image.grad).all() and torch.isfinite(audio.grad).all()
    if case == "one pair":
        assert loss == 0 and not image.grad.any() and not audio.grad.any()


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(pairs, maps, half):
    """Also under autocast, which would turn a matrix product of float32 back to half precision."""
    rounded = [x.to(half) for x in (*pairs, *maps)]
    exact = [x.double() for x in rounded]
    want = llinet_loss(*exact, LABELS)
    with torch.autocast("cpu", dtype=half):
        for inputs in (rounded, [x.float() for x in exact]):
            loss, parts = llinet_loss(*inputs, LABELS)
            assert similarity_matrix(*inputs[:2], LABELS).dtype == torch.float32
            assert attention_map(*inputs[2:]).dtype == attended(*inputs[2:]).dtype == torch.float32
            assert loss.dtype == torch.float32 and loss.item() == pytest.approx(want[0].item(), rel=1e-6)
            for name, part in parts.items():
                assert part.item() == pytest.approx(want[1][name].item(), rel=1e-6)
        assert llinet_loss(*exact, LABELS)[0].dtype == torch.float64


def test_negatives_by_way():
    labels = torch.tensor([3, 5, 3])
    assert negatives(labels).tolist() == [[False, True, False], [True, False, True], [False, True, False]]
    assert negatives(labels, "all").tolist() == (~torch.eye(3, dtype=torch.bool)).tolist()
    assert negatives(labels[:2], "distinct").equal(negatives(labels[:2], "mask"))


def test_cosines_and_units_are_plain():
    image, audio = torch.randn(3, 4).double(), torch.randn(2, 4).double()
    for i in range(3):
        for j in range(2):
            want = cosine(image[i].tolist(), audio[j].tolist())
            assert cosines(image, audio)[i, j].item() == pytest.approx(want)
            assert (unit(image)[i] @ unit(audio)[j]).item() == pytest.approx(want)
    assert unit(torch.full((1, 4), 1e-9)).norm() < 0.01
    assert unit(torch.ones(1, 4).bfloat16()).dtype == torch.float32


ONES, Y = torch.ones(3, 2), torch.arange(3)
LOCAL = torch.ones(3, 4, 2, 2)


# ---- matching, as it is done since


def test_modern_losses_are_plain_loops_and_gradients_reach_their_scales():
    torch.manual_seed(0)
    image, audio = torch.randn(6, 4).double(), torch.randn(6, 4).double()
    tau, b = torch.tensor(7.0).double().log(), torch.tensor(-2.0).double()
    labels, cosine = LABELS.tolist(), cosines(image, audio).tolist()
    s = [[7.0 * value for value in row] for row in cosine]
    columns = [list(column) for column in zip(*s, strict=True)]
    softmax, sigmoid, contrast = 0.0, 0.0, 0.0
    for i in range(6):
        same = [j for j in range(6) if labels[j] == labels[i]]
        for row in (s[i], columns[i]):
            rivals = [j for j in range(6) if j == i or j not in same]
            softmax -= row[i] - math.log(sum(math.exp(row[j]) for j in rivals))
            total = math.log(sum(map(math.exp, row)))
            contrast -= sum(row[j] - total for j in same) / len(same)
        sigmoid += sum(math.log1p(math.exp((-1 if j in same else 1) * (s[i][j] - 2))) for j in range(6))
    pair = image, audio, LABELS
    assert clip_loss(*pair, tau).item() == pytest.approx(softmax / 12, rel=1e-12)
    assert sigmoid_loss(*pair, tau, b).item() == pytest.approx(sigmoid / 6, rel=1e-12)
    assert supervised_contrastive_loss(*pair, 7.0).item() == pytest.approx(contrast / 12, rel=1e-12)
    capped = clip_loss(*pair, torch.tensor(math.log(1000.0)))
    assert capped.item() == pytest.approx(clip_loss(*pair, torch.tensor(math.log(100.0))).item())
    given = [x.clone().requires_grad_() for x in (image, audio, tau, b)]
    assert gradcheck(lambda v, a, t, b: sigmoid_loss(v, a, LABELS, t, b), given)
    assert gradcheck(lambda v, a, t: clip_loss(v, a, LABELS, t), given[:3])
    assert gradcheck(lambda v, a, t: supervised_contrastive_loss(v, a, LABELS, t.exp()), given[:3])


@pytest.mark.parametrize(("call", "says"), [
    (lambda: avc_loss(torch.zeros(2, 2), torch.zeros(2), pairs="some"), 'choose "sampled" or "all"'),
    (lambda: all_pairs_avc_loss(torch.zeros(2, 3, 2), torch.zeros(2)), r"\(B, B, 2\) and labels \(B,\)"),
    (lambda: negatives(torch.tensor([3, 3]), "distinct"), "one item of a class"),
    (lambda: matching_loss(ONES, torch.ones(3, 4), Y), r"image \(B, D\), audio \(B, D\) and labels"),
    (lambda: matching_loss(ONES, ONES, Y, scale=0.0), "finite number above 0"),
    (lambda: attended(LOCAL, torch.ones(3, 5)), r"Attention takes local features \(B, C, h, w\)"),
    (lambda: llinet_loss(ONES, ONES, LOCAL, ONES, Y, matching=0, attention=0), "one of them above 0"),
    (lambda: llinet_loss(ONES, ONES, None, ONES, Y), "set attention=0"),
    (lambda: refuse_unequal(ONES, ONES[:2]), "3 images and 2 audios make no pairs"),
])  # fmt: skip
def test_refusals(call, says):
    with pytest.raises(ValueError, match=says):
        call()
