"""CCA against scikit-learn, a generalised eigenproblem, and pairs whose correlations are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
import torch
from safetensors.torch import load, save

from llinet_lite.rivals.cca import CCA, GRID, PAPER, paired_rank


def pairs(count: int, *, shared: int, size: tuple[int, int], noise: float = 1.0, seed: int = 0):
    """Features (N, d_x), (N, d_y) of pairs with `shared` common causes; the causes' effects are fixed."""
    fixed, free = np.random.default_rng(99), np.random.default_rng(seed)
    effects = [fixed.normal(size=(shared, d)) for d in size]
    cause = free.normal(size=(count, shared))
    return [
        torch.from_numpy(cause @ effect + noise * free.normal(size=(count, effect.shape[1])))
        for effect in effects
    ]


def turned(count: int, rho: list[float], size: tuple[int, int], seed: int = 0):
    """Gaussian pairs whose canonical correlations are `rho`, each view mixed by a matrix of full rank."""
    rng = np.random.default_rng(seed)
    x, y = (rng.normal(size=(count, d)) for d in size)
    k = len(rho)
    y[:, :k] = x[:, :k] * rho + y[:, :k] * np.sqrt(1 - np.square(rho))
    return [
        torch.from_numpy(v @ rng.normal(size=(v.shape[1],) * 2) + rng.normal(size=v.shape[1])) for v in (x, y)
    ]


@pytest.mark.parametrize("r", [0.0, 0.3])
def test_the_maps_solve_the_generalised_eigenproblem(r):
    x, y = pairs(400, shared=3, size=(9, 7))
    cca = CCA(7, r, normalise=False).fit(x, y)
    joint = np.cov(torch.cat([x, y], 1).numpy().T)
    left, right = joint.copy(), np.zeros_like(joint)
    left[:9, :9] = left[9:, 9:] = 0
    for part in (slice(0, 9), slice(9, 16)):
        c = joint[part, part]
        right[part, part] = c + r * np.trace(c) / len(c) * np.eye(len(c))
    values, vectors = scipy.linalg.eigh(left, right)
    np.testing.assert_allclose(cca.correlations, values[::-1][:7], rtol=1e-9)
    maps = torch.cat(cca._maps).numpy()  # (9 + 7, 7); an eigenvector has norm 1 in `right`, its halves 1/2
    expected = vectors[:, ::-1][:, :7] * np.sqrt(2)
    np.testing.assert_allclose(maps, expected * np.sign((maps * expected).sum(0)), rtol=1e-6, atol=1e-9)


def test_scikit_learn_finds_the_same_correlations():
    from sklearn.cross_decomposition import CCA as Iterative

    x, y = pairs(1500, shared=16, size=(64, 64), noise=3.0)
    theirs = Iterative(16, scale=False, max_iter=2000).fit(x.numpy(), y.numpy())
    u, v = theirs.transform(x.numpy(), y.numpy())
    expected = [np.corrcoef(u[:, k], v[:, k])[0, 1] for k in range(16)]
    ours = CCA(16, 0.0).fit(x, y).correlations
    assert 0.3 < ours[-1] < ours[0] < 0.99
    np.testing.assert_allclose(ours, sorted(expected, reverse=True), atol=1e-2)


def test_known_correlations_are_found():
    rho = [0.9, 0.6, 0.3]
    cca = CCA(5, 0.0).fit(*turned(100_000, rho, (8, 5)))
    np.testing.assert_allclose(cca.correlations[:3], rho, atol=0.01)
    assert cca.correlations[3:].max() < 0.02


def test_projections_of_the_training_pairs_are_white_and_correlate_component_by_component():
    x, y = turned(300, [0.9, 0.5], (10, 6))
    cca = CCA(6, 0.0, normalise=False).fit(x, y)
    u, v = cca.transform_image(x).double(), cca.transform_audio(y).double()
    joint = torch.cat([u, v], 1).T.cov()
    one, d = torch.eye(6), cca.correlations.diag()
    expected = torch.cat([torch.cat([one, d], 1), torch.cat([d, one], 1)])
    torch.testing.assert_close(joint, expected, atol=1e-5, rtol=0)
    assert u.mean(0).abs().max() < 1e-5


def test_an_affine_change_of_one_view_changes_nothing_without_regularization():
    x, y = pairs(200, shared=4, size=(8, 8))
    rng = np.random.default_rng(1)
    mixed = x @ torch.from_numpy(rng.normal(size=(8, 8))) * 100 + 7
    one, other = CCA(5, 0.0).fit(x, y), CCA(5, 0.0).fit(mixed, y)
    torch.testing.assert_close(one.correlations, other.correlations)
    similarity = [cca.transform_image(v) @ cca.transform_audio(y).T for cca, v in ((one, x), (other, mixed))]
    torch.testing.assert_close(*similarity, atol=1e-5, rtol=0)


def test_regularization_knows_no_scale_and_lowers_correlations():
    x, y = pairs(200, shared=4, size=(8, 6))
    one, other = CCA(5, 0.1).fit(x, y), CCA(5, 0.1).fit(1000 * x - 3, y / 50)
    torch.testing.assert_close(one.correlations, other.correlations)
    torch.testing.assert_close(one.transform_image(x), other.transform_image(1000 * x - 3))
    correlations = [CCA(5, r).fit(x, y).correlations for r in (0.0, *GRID)]
    assert all((a >= b).all() for a, b in pairwise(correlations))


def test_power_weights_components_by_their_correlation():
    x, y = turned(500, [0.9, 0.4], (4, 4))
    zero, two = (CCA(3, 0.0, power=p, normalise=False).fit(x, y) for p in (0.0, 2.0))
    torch.testing.assert_close(
        two.transform_image(x), zero.transform_image(x) * zero.correlations.float() ** 2
    )
    torch.testing.assert_close(
        two.transform_audio(y), zero.transform_audio(y) * zero.correlations.float() ** 2
    )


def test_projections_have_unit_length_and_the_direction_of_the_plain_ones():
    x, y = pairs(100, shared=3, size=(6, 6))
    unit, plain = (CCA(4, 0.01, normalise=n).fit(x.float(), y.float()) for n in (True, False))
    for a, b in (
        (unit.transform_image(x), plain.transform_image(x)),
        (unit.transform_audio(y), plain.transform_audio(y)),
    ):
        assert a.dtype == torch.float32 and a.shape == (100, 4)
        torch.testing.assert_close(a, b / b.norm(dim=1, keepdim=True))


def test_more_components_than_pairs_support_overfit_and_validation_finds_the_cure():
    """20 common causes in 256 features, 600 pairs: 128 components as published, few, and tuned."""

    def draw(count, seed):
        return pairs(count, shared=20, size=(256, 256), noise=4.0, seed=seed)

    train, val, test = draw(600, 0), draw(200, 1), draw(200, 2)
    reached = {}
    published = CCA.paper(128).fit(*train)
    tuned, tried = CCA.tuned(*train, *val)
    for name, cca in {"paper": published, "tuned": tuned}.items():
        u, v = cca.transform_image(test[0]), cca.transform_audio(test[1])
        reached[name] = float(((u @ v.T).argmax(1) == torch.arange(200)).double().mean())
    assert published.correlations[-1] > 0.5  # of noise with noise
    assert reached["paper"] < 0.2 and reached["tuned"] > 0.95, reached
    assert tuned.regularization >= 0.1 and tuned.power == 1.0
    best = tried[tried.chosen]
    assert len(tried) == 2 * len(GRID) and len(best) == 1 and best.score.item() == tried.score.max()
    assert (best.regularization.item(), best.power.item()) == (tuned.regularization, tuned.power)


def test_tuning_asks_the_given_score_about_validation_pairs_only():
    x, y = pairs(60, shared=2, size=(5, 5))
    asked = []

    def score(images, audios):
        asked.append((images, audios))
        return [0.1, 0.7, 0.7, 0.2][len(asked) - 1]

    cca, tried = CCA.tuned(
        x[:50], y[:50], x[50:], y[50:], components=3, regularizations=(PAPER, 1.0), powers=(0, 1), score=score
    )
    assert tried.score.tolist() == [0.1, 0.7, 0.7, 0.2] and tried.chosen.tolist() == [
        False,
        True,
        False,
        False,
    ]
    assert (cca.regularization, cca.power) == (PAPER, 1.0)  # the first of two equals
    for (images, audios), (r, p) in zip(asked, tried[["regularization", "power"]].values, strict=True):
        alone = CCA(3, r, power=p).fit(x[:50], y[:50])
        torch.testing.assert_close(images, alone.transform_image(x[50:]))
        torch.testing.assert_close(audios, alone.transform_audio(y[50:]))


def test_paired_rank_counts_by_hand():
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    audios = torch.tensor([[0.9, 0.1], [0.1, 0.9], [1.0, 0.0]])
    # Ranks of the partners: 2, 1, 3 among sounds; 1, 2 (of two equal pictures, the partner last), 3 back.
    expected = (1 / 2 + 1 + 1 / 3 + 1 + 1 / 2 + 1 / 3) / 6
    assert paired_rank(images, audios) == pytest.approx(expected)
    assert paired_rank(audios, audios) == 1.0
    assert paired_rank(torch.ones(5, 2), torch.ones(5, 2)) == pytest.approx(1 / 5)


def test_what_is_stored_is_what_was_fitted():
    x, y = pairs(80, shared=2, size=(7, 5))
    cca = CCA(4, 0.2, power=1.0, normalise=False).fit(x, y)
    again = CCA.from_state(load(save(cca.state())))
    assert (again.components, again.regularization, again.power, again.normalise) == (4, 0.2, 1.0, False)
    assert torch.equal(again.transform_image(x), cca.transform_image(x))
    assert torch.equal(again.transform_audio(y), cca.transform_audio(y))
    assert torch.equal(again.correlations, cca.correlations)


def test_a_dead_feature_says_nothing_when_it_comes_alive():
    x, y = pairs(200, shared=3, size=(6, 6))
    x[:, 2] = 0.25
    cca = CCA.paper(6).fit(x, y)
    assert cca.correlations[-1] < 1e-6
    alive = x.clone()
    alive[:, 2] = 5.0
    torch.testing.assert_close(cca.transform_image(alive), cca.transform_image(x))


def test_refusals_are_sentences():
    x, y = pairs(50, shared=2, size=(8, 6))
    with pytest.raises(
        ValueError, match=r"128 components are more .*d_x = 8, d_y = 6, N - 1 = 49\): ask for at most 6"
    ):
        CCA.paper().fit(x, y)
    with pytest.raises(ValueError, match="at most 4"):
        CCA(5).fit(x[:5], y[:5])
    with pytest.raises(ValueError, match=r"images vary in 6 of 8 directions, .*regularization above 0"):
        CCA(3, 0.0).fit(x[:7], y[:7])
    assert CCA(3).fit(x[:7], y[:7]).correlations.min() > 0.99  # with a little: over-fitting, no error
    with pytest.raises(ValueError, match="audios vary in 0 of 6 directions: all rows are the same"):
        CCA(3).fit(x, torch.full_like(y, 0.5))
    with pytest.raises(ValueError, match="50 images and 49 audios"):
        CCA(3).fit(x, y[1:])
    with pytest.raises(ValueError, match=r"images must be \(items, features\), not \(50, 8, 1\)"):
        CCA(3).fit(x[..., None], y)
    with pytest.raises(ValueError, match="audios hold numbers that are not finite"):
        CCA(3).fit(x, y.log())
    with pytest.raises(ValueError, match="components must be 1 or more, not 0"):
        CCA(0)
    with pytest.raises(ValueError, match=r"regularization must be a finite number, 0 or more, not -1"):
        CCA(3, -1.0)
    with pytest.raises(ValueError, match=r"power must be a finite number"):
        CCA(3, power=float("nan"))
    with pytest.raises(RuntimeError, match="no maps yet: call fit"):
        CCA(3).transform_image(x)
    with pytest.raises(ValueError, match="images have 6 features, fit saw 8"):
        CCA(3).fit(x, y).transform_image(y)
