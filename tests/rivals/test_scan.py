"""SCAN: its attention and its hinges against plain loops, pools, blocks, collapse, warm-up."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pair_fakes import LABELS, SIZES, allowed, batch, costs, embeddings, score_matrix
from torch.autograd import gradcheck

from llinet_lite.rivals.scan import SCAN, attention_scores, hardest_hinge, sum_hinge


def scan(**options) -> SCAN:
    torch.manual_seed(0)
    return SCAN(**SIZES, **options)


def sets(n: int = 3, q: int = 4, m: int = 2, c: int = 5, size: int = 6):
    return embeddings(n, q, size)[0], embeddings(m, c, size, seed=1)[1]


def one_score(query, context, lambda1: float, lambda2: float, pool: str, slope: float) -> float:
    """Score of two sets of vectors (Q, D), (C, D); the attended vector is formed."""
    x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (np.array(query), np.array(context)))
    s = np.array([[max(a @ b, slope * (a @ b)) for b in y] for a in x])
    for j in range(len(y)):
        s[:, j] /= math.sqrt(sum(value**2 for value in s[:, j])) or 1.0
    relevance = []
    for a, row in zip(x, s, strict=True):
        mass = np.exp(lambda1 * row)
        attended = sum(w * b for w, b in zip(mass / mass.sum(), y, strict=True))
        relevance.append(a @ attended / np.linalg.norm(attended))
    if pool == "avg":
        return sum(relevance) / len(relevance)
    total = sum(math.exp(lambda2 * r) for r in relevance)
    return math.log(total / (len(relevance) if pool == "lse_mean" else 1)) / lambda2


@pytest.mark.parametrize("slope", [0.1, 0.0])
@pytest.mark.parametrize("pool", ["avg", "lse", "lse_mean"])
def test_scores_are_loops(pool, slope):
    query, context = sets()
    options = {"lambda1": 4.0, "lambda2": 5.0, "pool": pool, "slope": slope}
    expected = [[one_score(x, y, **options) for y in context.tolist()] for x in query.tolist()]
    got = attention_scores(query, context, **options)
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(got, attention_scores(3 * query, 0.2 * context, **options))


@pytest.mark.parametrize("pool", ["avg", "lse"])
def test_gradients_of_the_scores(pool):
    inputs = tuple(x.requires_grad_() for x in sets(size=3))
    assert gradcheck(lambda x, y: attention_scores(x, y, pool=pool), inputs)


@pytest.mark.parametrize("block", [1, 50, 90])
def test_blocks_change_nothing(block):
    query, context = sets(n=7)
    torch.testing.assert_close(
        attention_scores(query, context, block=block), attention_scores(query, context)
    )


def test_a_longer_clip_gains_with_lse_only():
    query, context = sets()
    longer = query.repeat_interleave(2, dim=1)
    gain = {
        pool: attention_scores(longer, context, pool=pool) - attention_scores(query, context, pool=pool)
        for pool in ("avg", "lse", "lse_mean")
    }
    # the norm over the queries grows by sqrt(2): the attention is softer, as with lambda1 / sqrt(2)
    softer = {
        pool: attention_scores(query, context, lambda1=9 / 2**0.5, pool=pool)
        - attention_scores(query, context, pool=pool)
        for pool in gain
    }
    for pool, extra in (("avg", 0.0), ("lse_mean", 0.0), ("lse", math.log(2) / 6)):
        torch.testing.assert_close(gain[pool], softer[pool] + extra)


def test_both_forms_have_their_roles_and_lambdas():
    image, audio = sets(n=3, q=4, m=2, c=5)  # 3 pictures of 4 cells, 2 sounds of 5 steps
    ti, it = scan(attention="t-i"), scan(attention="i-t", pool="lse")
    expected = [[one_score(a, v, 9, 6, "avg", 0.1) for a in audio.tolist()] for v in image.tolist()]
    torch.testing.assert_close(ti.scores(image, audio), torch.tensor(expected).double(), rtol=1e-6, atol=1e-6)
    expected = [[one_score(v, a, 4, 5, "lse", 0.1) for a in audio.tolist()] for v in image.tolist()]
    torch.testing.assert_close(it.scores(image, audio), torch.tensor(expected).double(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", ["identical", "zero", "cancel"])
def test_scores_of_odd_sets_are_finite(case):
    query, context = (x.float() for x in sets())
    if case == "identical":
        query, context = torch.ones(3, 4, 6), torch.ones(2, 5, 6)
    if case == "zero":
        query[0], context[1, 2] = 0, 0
    if case == "cancel":
        context[:, :2] = torch.stack([context[:, 0], -context[:, 0]], 1)
        query[:], context = context[0, 0].flip(0).roll(1), context[:, :2]
    inputs = query.requires_grad_(), context.requires_grad_()
    for pool in ("avg", "lse"):
        scores = attention_scores(*inputs, pool=pool)
        gradient = torch.autograd.grad(scores.sum(), inputs)
        assert all(torch.isfinite(x).all() for x in (scores, *gradient))
        if case == "identical" and pool == "avg":
            torch.testing.assert_close(scores, torch.ones(3, 2))


@pytest.mark.parametrize("same_class", ["all", "mask"])
def test_hinges_are_loops(same_class):
    scores, allow = score_matrix(), allowed(same_class)
    first, second = costs(scores, allow, 0.2)
    columns = list(zip(*second, strict=True))
    hardest = sum(map(max, first)) + sum(map(max, columns))
    assert hardest_hinge(scores, allow).item() == pytest.approx(hardest)
    assert sum_hinge(scores, allow).item() == pytest.approx(sum(map(sum, first)) + sum(map(sum, columns)))
    order = torch.tensor([4, 2, 0, 1, 3])
    for rule in (hardest_hinge, sum_hinge):
        value = rule(scores, allow)
        moved = rule(scores[order][:, order], allowed(same_class, LABELS[order]))
        torch.testing.assert_close(moved, value)
        torch.testing.assert_close(rule(scores.T, allow), value)  # both directions are in the sum
        assert gradcheck(lambda s, rule=rule: rule(s, allow), score_matrix().requires_grad_())


@pytest.mark.parametrize("count", [2, 32, 128])
def test_a_collapsed_space_has_a_known_loss(count):
    vectors, allow = torch.ones(count, 2, 3), allowed("all", torch.arange(count))
    scores = attention_scores(vectors, vectors)
    assert hardest_hinge(scores, allow).item() == pytest.approx(2 * count * 0.2, rel=1e-5)  # 51.2 for 128
    assert sum_hinge(scores, allow).item() == pytest.approx(2 * count * (count - 1) * 0.2, rel=1e-5)


def test_mask_and_one_class():
    scores, changed = score_matrix(), score_matrix()
    changed[0, 2] = changed[4, 1] = 9.0
    for rule in (hardest_hinge, sum_hinge):
        assert rule(changed, allowed("mask")) == rule(scores, allowed("mask"))
        assert rule(changed, allowed()) > rule(scores, allowed()) + 1
        assert rule(scores, allowed("mask", torch.zeros(5))) == 0


@pytest.mark.parametrize("frames", [40, 101])
def test_cells_and_steps(frames):
    seen, logmel, _ = batch(frames=frames)
    model = scan().eval()
    image, audio = model.embed_image(seen), model.embed_audio(logmel)
    assert image.shape == (5, 9, 16) and audio.shape == (5, math.ceil(frames / 8), 16)
    for side in (image, audio):
        torch.testing.assert_close(side.norm(dim=2), torch.ones(side.shape[:2]))
    cell = model.image(seen["map"][2, :, 1, 2])  # row 1, column 2 of 3
    torch.testing.assert_close(image[2, 5], cell / cell.norm())
    step = model.audio.fc(model.audio.maps(logmel)[3, :, 4].mean(1))
    torch.testing.assert_close(audio[3, 4], step / step.norm())


def test_it_warms_up_with_all_negatives():
    seen, logmel, labels = batch()
    model = scan(same_class="all").eval()
    scores = model.scores(model.embed_image(seen), model.embed_audio(logmel))
    for progress, rule in ((0.0, sum_hinge), (0.09, sum_hinge), (0.1, hardest_hinge), (0.9, hardest_hinge)):
        loss, parts = model.loss(seen, logmel, labels, progress)
        torch.testing.assert_close(loss, rule(scores, allowed()))
    torch.testing.assert_close(parts["hardest"], loss.detach())
    torch.testing.assert_close(parts["sum"], sum_hinge(scores, allowed()).detach())
    published = scan(same_class="all", warm_up=0.0).eval().loss(seen, logmel, labels, 0.0)[0]
    torch.testing.assert_close(published, hardest_hinge(scores, allowed()))


@pytest.mark.parametrize("attention", ["t-i", "i-t"])
def test_the_hardest_hinge_learns_one_batch(attention):
    seen, logmel, labels = batch()
    model, losses = scan(attention=attention), []
    optimizer = model.optimizer(20.0)(list(model.parameters()))
    for _ in range(60):
        loss, _ = model.loss(seen, logmel, labels, 0.0 if len(losses) < 20 else 0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * 2 * 5 * 0.2


def test_optimizer_schedule_and_wrong_options():
    model = scan()
    optimizer = model.optimizer()(list(model.parameters()))
    assert isinstance(optimizer, torch.optim.Adam) and optimizer.defaults["lr"] == 2e-4
    assert model.clip_norm == 2 and model.needs == ("map",)
    assert [model.schedule(30)(epoch) for epoch in (0, 14.9, 15, 29)] == [1, 1, 0.1, 0.1]
    with pytest.raises(ValueError, match="one of t-i, i-t"):
        scan(attention="both")
    with pytest.raises(ValueError, match="one of avg, lse, lse_mean"):
        scan(pool="max")
    with pytest.raises(ValueError, match="one of avg, lse, lse_mean"):
        attention_scores(*sets(), pool="max")
