"""CCA against scikit-learn, a generalized eigenproblem, and pairs whose correlations are known."""

import numpy as np
import pytest
import scipy.linalg
import torch

from llinet_lite.rivals.cca import CCA, GRID, paired_rank


def pairs(count: int, *, shared: int, size: tuple[int, int], noise: float = 1.0, seed: int = 0):
    """Features (N, d_x), (N, d_y) of pairs with `shared` common causes; the causes' effects are fixed."""
    fixed, free = np.random.default_rng(99), np.random.default_rng(seed)
    effects = [fixed.normal(size=(shared, d)) for d in size]
    cause = free.normal(size=(count, shared))
    return [torch.from_numpy(cause @ e + noise * free.normal(size=(count, e.shape[1]))) for e in effects]


def turned(count: int, rho: list[float], size: tuple[int, int]):
    """Gaussian pairs whose canonical correlations are `rho`, each view mixed by a matrix of full rank."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(count, d)) for d in size)
    k = len(rho)
    y[:, :k] = x[:, :k] * rho + y[:, :k] * np.sqrt(1 - np.square(rho))
    mixed = [v @ rng.normal(size=(v.shape[1],) * 2) + rng.normal(size=v.shape[1]) for v in (x, y)]
    return [torch.from_numpy(v) for v in mixed]


@pytest.mark.parametrize("r", [0.0, 0.3])
def test_the_maps_solve_the_generalized_eigenproblem(r):
    x, y = pairs(400, shared=3, size=(9, 7))
    cca = CCA(7, r).fit(x, y)
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


def test_known_correlations_are_found_and_weigh_the_components():
    x, y = turned(100_000, [0.9, 0.6, 0.3], (8, 5))
    cca, weighted = CCA(5, 0.0).fit(x, y), CCA(5, 0.0, power=2.0).fit(x, y)
    np.testing.assert_allclose(cca.correlations[:3], [0.9, 0.6, 0.3], atol=0.01)
    assert cca.correlations[3:].max() < 0.02
    plain = (x[:9] - x.mean(0)) @ cca._maps[0]
    for found, wanted in ((cca, plain), (weighted, plain * cca.correlations**2)):
        projected = found.transform_image(x[:9])
        assert projected.dtype == torch.float32
        torch.testing.assert_close(projected, (wanted / wanted.norm(dim=1, keepdim=True)).float())


def test_more_components_than_pairs_support_overfit_and_validation_finds_the_cure():
    """20 common causes in 256 features, 600 pairs: 128 components as published, and tuned."""
    parts = zip((600, 200, 200), range(3), strict=True)
    train, val, test = (pairs(n, shared=20, size=(256, 256), noise=4.0, seed=seed) for n, seed in parts)
    published, (tuned, tried), reached = CCA(128).fit(*train), CCA.tuned(*train, *val), {}
    for name, cca in {"paper": published, "tuned": tuned}.items():
        u, v = cca.transform_image(test[0]), cca.transform_audio(test[1])
        reached[name] = float(((u @ v.T).argmax(1) == torch.arange(200)).double().mean())
    assert published.correlations[-1] > 0.5  # of noise with noise
    assert reached["paper"] < 0.2 and reached["tuned"] > 0.95, reached
    assert tuned.regularization >= 0.1 and tuned.power == 1.0 and len(tried) == 2 * len(GRID)
    best = max(score for _, _, score in tried)
    assert (tuned.regularization, tuned.power, best) in tried


def test_paired_rank_counts_by_hand():
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    audios = torch.tensor([[0.9, 0.1], [0.1, 0.9], [1.0, 0.0]])
    # Ranks of the partners: 2, 1, 3 among audios; 1, 2 (of two equal images, the partner last), 3 back.
    assert paired_rank(images, audios) == pytest.approx((1 / 2 + 1 + 1 / 3 + 1 + 1 / 2 + 1 / 3) / 6)
    assert paired_rank(torch.ones(5, 2), torch.ones(5, 2)) == pytest.approx(1 / 5)


X, Y = pairs(50, shared=2, size=(8, 6))
WRONG = {
    "at most the least of d_x = 8, d_y = 6, N - 1 = 49": lambda: CCA().fit(X, Y),
    "images vary in 6 of 8 directions": lambda: CCA(3, 0.0).fit(X[:7], Y[:7]),
    "audios vary in 0 of 6 directions": lambda: CCA(3).fit(X, torch.full_like(Y, 0.5)),
    "audios hold numbers that are not finite": lambda: CCA(3).fit(X, Y.log()),
    "images hold numbers that are not": lambda: paired_rank(
        torch.full((3, 2), float("nan")), torch.ones(3, 2)
    ),
    "no maps yet": lambda: CCA(3).transform_image(X),
    "images have 6 features, fit saw 8": lambda: CCA(3).fit(X, Y).transform_image(Y),
}


@pytest.mark.parametrize("said", WRONG)
def test_what_is_refused(said):
    with pytest.raises((ValueError, RuntimeError), match=said):
        WRONG[said]()
