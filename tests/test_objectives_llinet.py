"""LLINet's losses against plain loops, values known in closed form and finite differences."""

import math
from functools import partial

import pytest
import torch
from torch.autograd import gradcheck

from llinet_lite import objectives
from llinet_lite.objectives import (
    attended,
    attention_loss,
    attention_map,
    llinet_loss,
    matching_loss,
    negatives,
    similarity_matrix,
)

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])
WAYS = ("all", "mask", "zero")


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


# ---- the matching loss


@pytest.mark.parametrize(
    ("scale", "same_class"), [(10.0, "mask"), (1.0, "zero"), (10.0, "all"), (3.0, "zero")]
)
def test_matching_loss_is_a_double_loop(pairs, scale, same_class):
    """The released and the printed form, and two in between."""
    want = loop_loss(*pairs, LABELS, scale, same_class)
    got = matching_loss(*pairs, LABELS, scale=scale, same_class=same_class)
    assert got.item() == pytest.approx(want, rel=1e-12)
    single = matching_loss(*(x.float() for x in pairs), LABELS, scale=scale, same_class=same_class)
    assert single.item() == pytest.approx(want, rel=1e-6)


def test_the_released_form_is_the_default(pairs):
    assert matching_loss(*pairs, LABELS).item() == pytest.approx(loop_loss(*pairs, LABELS, 10, "mask"))


def test_similarity_matrix_by_way(pairs):
    other = (LABELS[:, None] == LABELS) & ~torch.eye(6, dtype=torch.bool)
    plain = torch.cosine_similarity(pairs[0][:, None], pairs[1][None], dim=-1)
    for same_class, instead in (("mask", -math.inf), ("zero", 0.0)):
        got = similarity_matrix(*pairs, LABELS, scale=4.0, same_class=same_class)
        assert (got[other] == instead).all()
        assert torch.allclose(got[~other], 4 * plain[~other], rtol=1e-12)
    assert torch.allclose(
        similarity_matrix(*pairs, LABELS, scale=4.0, same_class="all"), 4 * plain, rtol=1e-12
    )
    distinct = similarity_matrix(*pairs, torch.arange(6), same_class="distinct")
    assert distinct.equal(similarity_matrix(*pairs, torch.arange(6), same_class="all"))


def test_a_zero_still_counts_in_the_denominator():
    """Two pairs of one class, all embeddings equal, scale 1: softmax of (1, 0), not (1, -inf) or (1, 1)."""
    same, labels = torch.ones(2, 3), torch.tensor([4, 4])
    for same_class, want in (("zero", 0.6265234), ("mask", 0.0), ("all", 1.3862944)):
        loss = matching_loss(same, same, labels, scale=1.0, same_class=same_class)
        assert loss.item() == pytest.approx(want, abs=1e-6)
    assert 2 * math.log(1 + math.exp(-1)) == pytest.approx(0.6265234, abs=1e-7)


@pytest.mark.parametrize("n", [2, 32])
def test_collapse_gives_two_logarithms(n):
    same = torch.ones(n, 4)
    loss = matching_loss(same, same, torch.zeros(n, dtype=torch.long), same_class="all")
    assert loss.item() == pytest.approx(2 * math.log(n), rel=1e-6)


def test_masked_pairs_do_not_count():
    """Turn a sound towards another picture of its class: only that similarity changes."""
    labels = torch.tensor([0, 0, 1])
    image = torch.eye(4, dtype=torch.float64)[:3]
    audio = torch.tensor([[0.6, 0.0, 0.0, 0.8], [0.0, 0.6, 0.0, 0.8], [0.0, 0.0, 0.6, 0.8]]).double()
    turned = audio.clone()
    turned[0] = torch.tensor([0.6, 0.8, 0.0, 0.0])  # cosine with picture 1: 0 -> 0.8
    before, after = (similarity_matrix(image, a, labels, same_class="all") for a in (audio, turned))
    assert (before != after).nonzero().tolist() == [[1, 0]]
    for same_class in WAYS:
        losses = [matching_loss(image, a, labels, same_class=same_class).item() for a in (audio, turned)]
        assert (losses[0] == losses[1]) == (same_class != "all")


@pytest.mark.parametrize("same_class", WAYS)
def test_order_side_and_length_of_pairs_do_not_matter(pairs, same_class):
    image, audio = pairs
    want = matching_loss(image, audio, LABELS, same_class=same_class).item()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled = matching_loss(image[order], audio[order], LABELS[order], same_class=same_class)
    swapped = matching_loss(audio, image, LABELS, same_class=same_class)
    longer = matching_loss(image * 7, audio / 9, LABELS + 3, same_class=same_class)
    assert [loss.item() for loss in (shuffled, swapped, longer)] == pytest.approx([want] * 3, rel=1e-12)


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


def test_the_best_published_value_for_a_batch_of_32():
    corners = simplex(32)
    losses = [matching_loss(corners, corners, torch.arange(32), scale=scale).item() for scale in (1.0, 10.0)]
    assert losses == pytest.approx([4.98, 0.002], abs=0.005)


# ---- the attention loss


def loop_attended(local, audio):
    """The equations, one number at a time: scores (B, cells) and pooled features (B, C)."""
    scores, pooled = [], []
    for v, a in zip(local.flatten(2).tolist(), audio.tolist(), strict=True):
        cells = list(zip(*v, strict=True))
        score = [sum(x * y for x, y in zip(cell, a, strict=True)) for cell in cells]
        total = sum(math.exp(s) for s in score)
        weights = [math.exp(s) / total + 1 for s in score]
        pooled.append(
            [sum(w * cell[c] for w, cell in zip(weights, cells, strict=True)) for c in range(len(a))]
        )
        scores.append(score)
    return torch.tensor(scores).double(), torch.tensor(pooled, dtype=torch.float64)


def test_attention_is_a_plain_loop(maps):
    scores, pooled = loop_attended(*maps)
    assert attention_map(*maps).shape == (6, 3, 2)
    assert torch.allclose(attention_map(*maps).flatten(1), scores, rtol=1e-6)
    assert torch.allclose(attended(*maps), pooled, rtol=1e-12)


@pytest.mark.parametrize(("scale", "same_class"), [(10.0, "mask"), (1.0, "zero")])
def test_attention_loss_is_a_plain_loop(maps, scale, same_class):
    want = loop_loss(loop_attended(*maps)[1], maps[1], LABELS, scale, same_class)
    got = attention_loss(*maps, LABELS, scale=scale, same_class=same_class)
    assert got.item() == pytest.approx(want, rel=1e-12)


def test_attention_goes_where_the_score_is_high():
    """One cell far above the others gets weight 2, the others 1."""
    local = torch.zeros(1, 2, 2, 2)
    local[0, :, 0, 1] = torch.tensor([9.0, 0.0])
    local[0, :, 1, 0] = torch.tensor([0.0, 5.0])
    assert attention_map(local, torch.tensor([[10.0, 1.0]])).tolist() == [[[0.0, 90.0], [5.0, 0.0]]]
    assert attended(local, torch.tensor([[10.0, 1.0]])).tolist() == [[18.0, 5.0]]
    assert attended(local, torch.zeros(1, 2)).tolist() == [[1.25 * 9, 1.25 * 5]], "no preference: 1 + 1/4"


def test_the_mean_over_cells_would_do_as_well_as_the_sum(maps):
    pooled = attended(*maps)
    assert matching_loss(pooled / 6, maps[1], LABELS).item() == pytest.approx(
        attention_loss(*maps, LABELS).item(), rel=1e-12
    )


def test_scores_of_any_size_stay_finite(maps):
    local, audio = (1e4 * x.float().requires_grad_() for x in maps)
    local.retain_grad()
    loss = attention_loss(local, audio, LABELS)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(local.grad).all()


# ---- both


def test_llinet_loss_is_the_weighted_sum(pairs, maps):
    matching, attention = matching_loss(*pairs, LABELS), attention_loss(*maps, LABELS)
    loss, parts = llinet_loss(*pairs, *maps, LABELS)
    assert loss.item() == pytest.approx((matching + attention).item(), rel=1e-12)
    loss, parts = llinet_loss(*pairs, *maps, LABELS, matching=0.5, attention=0.8)
    assert loss.item() == pytest.approx((0.5 * matching + 0.8 * attention).item(), rel=1e-12)
    assert parts == {"matching": matching, "attention": attention}, "before they are weighted"
    published = {"scale": 1.0, "same_class": "zero"}
    loss, _ = llinet_loss(*pairs, *maps, LABELS, **published)
    both = matching_loss(*pairs, LABELS, **published) + attention_loss(*maps, LABELS, **published)
    assert loss.item() == pytest.approx(both.item(), rel=1e-12)


def test_a_loss_of_weight_zero_is_not_computed(pairs, maps, monkeypatch):
    def never(*_, **__):
        raise AssertionError("computed")

    with monkeypatch.context() as patch:
        patch.setattr(objectives, "attention_loss", never)
        image = pairs[0].clone().requires_grad_()
        loss, parts = llinet_loss(image, pairs[1], None, None, LABELS, attention=0)
        assert list(parts) == ["matching"] and loss.requires_grad and not parts["matching"].requires_grad
        assert loss.item() == matching_loss(*pairs, LABELS).item()
    alone = attention_loss(*maps, LABELS).item()
    monkeypatch.setattr(objectives, "matching_loss", partial(_only, maps[1], objectives.matching_loss))
    loss, parts = llinet_loss(*pairs, *maps, LABELS, matching=0)
    assert list(parts) == ["attention"] and loss.item() == alone


def _only(expected, function, image, audio, *rest, **ways):
    """`function`, for these sounds alone."""
    assert audio is expected, "the embeddings were compared"
    return function(image, audio, *rest, **ways)


# ---- gradients, numbers, precision


@pytest.mark.parametrize("labels", [LABELS[:4], torch.zeros(4, dtype=torch.long), torch.arange(4)])
@pytest.mark.parametrize("same_class", WAYS)
def test_gradients_are_finite_differences(pairs, maps, labels, same_class):
    image, audio, local, transformed = (x[:4].clone().requires_grad_() for x in (*pairs, *maps))
    ways = {"scale": 5.0, "same_class": same_class}
    assert gradcheck(lambda v, a: matching_loss(v, a, labels, **ways), (image, audio))
    assert gradcheck(lambda v, a: attention_loss(v, a, labels, **ways), (local, transformed))
    both = (image, audio, local, transformed)
    assert gradcheck(lambda *x: llinet_loss(*x, labels, attention=0.8, **ways)[0], both)


def test_gradients_of_the_parts(pairs, maps):
    maps = [x[:3].clone().requires_grad_() for x in maps]
    assert gradcheck(attention_map, maps) and gradcheck(attended, maps)
    image, audio = (x.clone().requires_grad_() for x in pairs)
    assert gradcheck(lambda v, a: similarity_matrix(v, a, LABELS, same_class="zero"), (image, audio))


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


def test_a_zero_vector_fits_everything_equally_and_has_a_bounded_gradient():
    image, audio = torch.zeros(3, 2, requires_grad=True), torch.eye(3)[:, :2]
    loss = matching_loss(image, audio, torch.arange(3))
    loss.backward()
    assert loss.item() == pytest.approx(2 * math.log(3))
    assert 0 < image.grad.abs().max() <= 2 * 10 / 1e-6


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


# ---- who is a negative, refusals


def test_negatives_by_way():
    labels = torch.tensor([3, 5, 3])
    assert negatives(labels).tolist() == [[False, True, False], [True, False, True], [False, True, False]]
    assert negatives(labels, "all").tolist() == (~torch.eye(3, dtype=torch.bool)).tolist()
    assert negatives(labels[:2], "distinct").equal(negatives(labels[:2], "mask"))
    with pytest.raises(ValueError, match="one item of a class"):
        negatives(labels, "distinct")
    with pytest.raises(ValueError, match="one of all, mask, distinct, not 'zero'"):
        negatives(labels, "zero")


def test_pairs_of_other_shapes_are_refused():
    three, labels = torch.ones(3, 2), torch.arange(3)
    wrong = [
        (three, torch.ones(2, 2), labels),
        (three, torch.ones(3, 4), labels),
        (three, three, labels[:2]),
        (three, three, labels[:, None]),
        (three[0], three[0], labels[:2]),
        (three[:0], three[:0], labels[:0]),
    ]
    for arguments in wrong:
        for function in (similarity_matrix, matching_loss):
            with pytest.raises(ValueError, match=r"image \(B, D\), audio \(B, D\) and labels \(B,\)"):
                function(*arguments)
    with pytest.raises(ValueError, match=r"got \(3, 2\), \(2, 2\), \(3,\)\."):
        matching_loss(*wrong[0])


def test_local_features_of_other_shapes_are_refused():
    local = torch.ones(3, 4, 2, 2)
    for audio in (torch.ones(3, 5), torch.ones(2, 4), torch.ones(4)):
        with pytest.raises(ValueError, match=r"Attention takes local features \(B, C, h, w\)"):
            attended(local, audio)
    with pytest.raises(ValueError, match=r"got \(3, 4, 4\), \(3, 4\)\."):
        attention_map(local.flatten(2), torch.ones(3, 4))
    with pytest.raises(ValueError, match="at least one cell"):
        attention_map(local[..., :0], torch.ones(3, 4))
    with pytest.raises(ValueError, match=r"labels \(B,\)"):
        attention_loss(local, torch.ones(3, 4), torch.arange(2))


def test_other_ways_are_refused(pairs, maps):
    with pytest.raises(ValueError, match="one of all, mask, distinct or zero, not 'none'"):
        matching_loss(*pairs, LABELS, same_class="none")
    with pytest.raises(ValueError, match="draw such batches, or mask"):
        matching_loss(*pairs, LABELS, same_class="distinct")
    for scale in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="finite number above 0"):
            matching_loss(*pairs, LABELS, scale=scale)
    for weights in ({"matching": 0, "attention": 0}, {"attention": -1}, {"matching": math.nan}):
        with pytest.raises(ValueError, match="one of them above 0"):
            llinet_loss(*pairs, *maps, LABELS, **weights)
    for missing in ((None, maps[1]), (maps[0], None)):
        with pytest.raises(ValueError, match="set attention=0"):
            llinet_loss(*pairs, *missing, LABELS)
