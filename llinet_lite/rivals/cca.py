"""Canonical correlation analysis: align the features of two networks that never met.

Notebook: 02
"""

from copy import copy
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from llinet_lite.rivals.base import positive

PAPER = 1e-8  # regularization of the published variant: against rounding only
GRID = (PAPER, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
POWERS = (0.0, 1.0)


class CCA:
    r"""Linear maps A of images and B of audios whose components correlate most, in closed form.

    .. math:: (C_x + r_x I)^{-1/2}\, C_{xy}\, (C_y + r_y I)^{-1/2} = U D V^T, \qquad
        A = (C_x + r_x I)^{-1/2} U_k D_k^p, \quad B = (C_y + r_y I)^{-1/2} V_k D_k^p

    with C the covariances of N training pairs (divisor N - 1), D the canonical correlations, and
    r_x = `regularization` * trace(C_x) / d_x, a share of the mean variance of a feature, so that the scale of
    the features does not matter; r_y alike. Computed in float64. Directions in which the training features do
    not vary are left out: nothing is known of them.

    Source: Hotelling (1936), *Relations between two sets of variates*; the ridge: Vinod (1976), *Canonical
    ridge and econometrics of joint production*. A baseline of *Objects that Sound* (2018), with 128
    components and projections of length 1; solver and regularization are not named there.

    Parameters
    ----------
    components : int, k, at most d_x, d_y and N - 1; 128 as published
    regularization : float, 0 or more. Too little of it, and the training pairs correlate perfectly but no
        others do. 1e-8, against rounding, stands for the published variant
    power : float, p, weight of a component by its correlation: 0 as published; 1 counts on what correlates

    Attributes
    ----------
    correlations : Tensor (components,) float64, D_k, falling, of the training pairs

    Examples
    --------
    >>> x = torch.eye(9)[:, :4]
    >>> cca = CCA(components=2).fit(x, x @ torch.ones(4, 3).tril())
    >>> cca.transform_image(x).shape
    torch.Size([9, 2])
    """

    def __init__(self, components: int = 128, regularization: float = PAPER, *, power: float = 0.0):
        if components < 1:
            raise ValueError(f"components must be 1 or more, not {components}.")
        positive(regularization=regularization, power=power, or_zero=True)
        self.components, self.regularization, self.power = components, regularization, power
        self.correlations = None

    @classmethod
    def tuned(
        cls, images: Tensor, audios: Tensor, val_images: Tensor, val_audios: Tensor, *, components: int = 128
    ) -> tuple[Self, list[tuple[float, float, float]]]:
        """Fit to training pairs with the regularization and the power that do best on validation pairs.

        Every combination of `GRID` and `POWERS` is judged by `paired_rank` on val_images (M, d_x) and
        val_audios (M, d_y). Returns the first of the best, and (regularization, power, score) of all.
        """
        pairs, fitted, tried = _Pairs(images, audios), [], []
        for regularization in GRID:
            solved = cls(components, regularization)._solve(pairs)
            for power in POWERS:
                cca = copy(solved)
                cca.power = power
                score = paired_rank(cca.transform_image(val_images), cca.transform_audio(val_audios))
                fitted.append(cca)
                tried.append((regularization, power, score))
        best = max(range(len(tried)), key=lambda k: tried[k][2])
        return fitted[best], tried

    def fit(self, images: Tensor, audios: Tensor) -> Self:
        """Find the maps that suit pairs (N, d_x), (N, d_y), row i of both one pair; returns this CCA."""
        return self._solve(_Pairs(images, audios))

    def _solve(self, pairs: "_Pairs") -> Self:
        limits = {"d_x": len(pairs.image.mean), "d_y": len(pairs.audio.mean), "N - 1": pairs.count - 1}
        if self.components > min(limits.values()):
            said = ", ".join(f"{name} = {value}" for name, value in limits.items())
            raise ValueError(f"{self.components} components are too many: at most the least of {said}.")
        image, audio = (view.whitening(self.regularization) for view in (pairs.image, pairs.audio))
        left, correlations, right = torch.linalg.svd(image.T @ pairs.cross @ audio, full_matrices=False)
        k = self.components
        self.correlations, self._means = correlations[:k].clamp(max=1), (pairs.image.mean, pairs.audio.mean)
        self._maps = image @ left[:, :k], audio @ right[:k].T  # (d_x, k), (d_y, k)
        return self

    def transform_image(self, images: Tensor) -> Tensor:
        """Project image features (M, d_x) to (M, components) float32, of length 1."""
        return self._projected(images, 0, "images")

    def transform_audio(self, audios: Tensor) -> Tensor:
        """Project audio features (M, d_y) to (M, components) float32, of length 1."""
        return self._projected(audios, 1, "audios")

    def _projected(self, features: Tensor, side: int, name: str) -> Tensor:
        if self.correlations is None:
            raise RuntimeError("This CCA has no maps yet: call fit with training pairs first.")
        features, mean = _double(features, name), self._means[side]
        if features.shape[1] != len(mean):
            raise ValueError(f"{name} have {features.shape[1]} features, fit saw {len(mean)}.")
        projected = (features - mean) @ self._maps[side] * self.correlations**self.power
        return F.normalize(projected, dim=1).float()


def paired_rank(images: Tensor, audios: Tensor) -> float:
    r"""Mean reciprocal rank of the partner among all candidates, over both directions.

    .. math:: \frac{1}{2M} \sum_i \left( \frac{1}{\mathrm{rank}(a_i | v_i)} +
        \frac{1}{\mathrm{rank}(v_i | a_i)} \right)

    by the cosine of images and audios (M, k); among equals the partner comes last. About ln(M) / M by chance.
    """
    images, audios = _double(images, "images"), _double(audios, "audios")
    similarity = F.normalize(images, dim=1) @ F.normalize(audios, dim=1).T  # (M, M)
    own = similarity.diagonal()
    ranks = torch.cat([(similarity >= own[:, None]).sum(1), (similarity >= own).sum(0)])
    return float(ranks.double().reciprocal().mean())


def _double(features: Tensor, name: str) -> Tensor:
    """Features (N, d) as float64 on the CPU."""
    features = torch.as_tensor(features).detach().to("cpu", torch.float64)
    if features.ndim != 2:
        raise ValueError(f"{name} must be (items, features), not {tuple(features.shape)}.")
    if not features.isfinite().all():
        raise ValueError(f"{name} hold numbers that are not finite: look for a network that diverged.")
    return features


class _View:
    """One kind of feature: its mean (d,), and the axes (d, d) and variances (d,) of its covariance."""

    def __init__(self, features: Tensor, name: str):
        self.name, self.mean = name, features.mean(0)
        self.variances, self.axes = torch.linalg.eigh(features.T.cov())

    def whitening(self, regularization: float) -> Tensor:
        """W (d, d) with W^T (C + r I) W = I where the features vary, and 0 where they do not."""
        floor = len(self.variances) * torch.finfo(torch.float64).eps * self.variances.max()
        varies = self.variances > floor
        said = f"{self.name} vary in {int(varies.sum())} of {len(varies)} directions"
        if not varies.any():
            raise ValueError(f"{said}: all rows are the same; look for a dead network.")
        if regularization == 0 and not varies.all():
            raise ValueError(f"{said}: without regularization, more pairs are needed.")
        ridge = regularization * self.variances.mean()
        return self.axes * torch.where(varies, (self.variances + ridge).rsqrt(), 0.0)


class _Pairs:
    """What the solution needs of N pairs, with their cross-covariance (d_x, d_y)."""

    def __init__(self, images: Tensor, audios: Tensor):
        images, audios = _double(images, "images"), _double(audios, "audios")
        if len(images) != len(audios) or len(images) < 2:
            raise ValueError(f"{len(images)} images and {len(audios)} audios: two or more pairs are needed.")
        self.image, self.audio, self.count = _View(images, "images"), _View(audios, "audios"), len(images)
        self.cross = (images - self.image.mean).T @ (audios - self.audio.mean) / (len(images) - 1)
