"""Canonical correlation analysis: align the features of two networks that never met.

Notebook: 02
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["CCA", "GRID", "PAPER", "paired_rank"]

PAPER = 1e-8  # regularization of the published variant: against rounding only
GRID = (PAPER, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


class CCA:
    r"""Linear maps A of pictures and B of sounds whose components correlate most, in closed form.

    .. math:: (C_x + r_x I)^{-1/2}\, C_{xy}\, (C_y + r_y I)^{-1/2} = U D V^T, \qquad
        A = (C_x + r_x I)^{-1/2} U_k D_k^p, \quad B = (C_y + r_y I)^{-1/2} V_k D_k^p

    with C the covariances of N training pairs (divisor N - 1), D the canonical correlations, and
    r_x = `regularization` * trace(C_x) / d_x, a share of the mean variance of a feature, so that the scale of
    the features does not matter; r_y alike. Computed in float64.

    Source: Hotelling (1936), *Relations between two sets of variates*; the ridge: Vinod (1976), *Canonical
    ridge and econometrics of joint production*. A baseline of *Objects that Sound* (2018), with 128
    components and projections of unit length; solver and regularization are not named there.

    Parameters
    ----------
    components : int
        k, at most d_x, d_y and N - 1.
    regularization : float
        0 or more. Too little of it, and the training pairs correlate perfectly but no others do.
    power : float
        p, weight of a component by its correlation: 0 as published; 1 counts on what correlates.
    normalise : bool
        Scale projections to unit length, as published.

    Attributes
    ----------
    correlations : Tensor (components,) float64
        D_k, falling, 0 to 1: of the training pairs, lowered by the regularization.

    Notes
    -----
    Directions in which the training features do not vary are left out: nothing is known of them.

    Examples
    --------
    >>> x = torch.eye(9)[:, :4]
    >>> cca = CCA(components=2).fit(x, x @ torch.ones(4, 3).tril())
    >>> cca.transform_image(x).shape
    torch.Size([9, 2])

    Notebook: 02
    """

    def __init__(
        self,
        components: int = 128,
        regularization: float = PAPER,
        *,
        power: float = 0.0,
        normalise: bool = True,
    ):
        if components < 1:
            raise ValueError(f"components must be 1 or more, not {components}.")
        for name, value in (("regularization", regularization), ("power", power)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} must be a finite number, 0 or more, not {value}.")
        self.components, self.regularization = int(components), float(regularization)
        self.power, self.normalise = float(power), bool(normalise)
        self.correlations = None

    @classmethod
    def paper(cls, components: int = 128) -> CCA:
        """Return the published variant, not yet fitted: r = 1e-8, p = 0, unit length."""
        return cls(components)

    @classmethod
    def tuned(
        cls,
        images: Tensor,
        audios: Tensor,
        val_images: Tensor,
        val_audios: Tensor,
        *,
        components: int = 128,
        regularizations: Sequence[float] = GRID,
        powers: Sequence[float] = (0.0, 1.0),
        score: Callable[[Tensor, Tensor], float] | None = None,
    ) -> tuple[CCA, pd.DataFrame]:
        """Fit to training pairs with the regularization and the power that do best on validation pairs.

        Parameters
        ----------
        images, audios : Tensor (N, d_x), (N, d_y)
            Features of the training pairs.
        val_images, val_audios : Tensor (M, d_x), (M, d_y)
            Features of the validation pairs.
        components : int
        regularizations, powers : sequence of float
            Every combination is tried.
        score : callable, optional
            Projections of the validation pairs, (M, k) and (M, k), -> float, larger is better; default:
            :func:`paired_rank`.

        Returns
        -------
        cca : CCA
            The first of the best.
        tried : DataFrame
            `regularization`, `power`, `score` and `chosen`, one row per combination.

        Notebook: 02
        """
        pairs, judge, fitted, rows = _Pairs.of(images, audios), score or paired_rank, [], []
        for regularization in regularizations:
            solved = cls(components, regularization)._solve(pairs)
            for power in powers:
                cca = copy(solved)
                cca.power = float(power)
                value = judge(cca.transform_image(val_images), cca.transform_audio(val_audios))
                fitted.append(cca)
                rows.append((cca.regularization, cca.power, float(value)))
        tried = pd.DataFrame(rows, columns=["regularization", "power", "score"])
        best = int(tried.score.argmax())
        return fitted[best], tried.assign(chosen=tried.index == best)

    def fit(self, images: Tensor, audios: Tensor) -> CCA:
        """Find the maps that suit these pairs.

        Parameters
        ----------
        images, audios : Tensor (N, d_x), (N, d_y)
            Row i of both is one pair.

        Returns
        -------
        CCA
            This one.

        Raises
        ------
        ValueError
            If these are no pairs of finite features, if there are fewer features or pairs than components,
            or if the features span too little to do without regularization.
        """
        return self._solve(_Pairs.of(images, audios))

    def _solve(self, pairs: _Pairs) -> CCA:
        limits = {"d_x": len(pairs.image.mean), "d_y": len(pairs.audio.mean), "N - 1": pairs.count - 1}
        if self.components > min(limits.values()):
            said = ", ".join(f"{name} = {value}" for name, value in limits.items())
            raise ValueError(
                f"{self.components} components are more than these features have ({said}): ask for at most "
                f"{min(limits.values())}."
            )
        image, audio = (view.whitening(self.regularization) for view in (pairs.image, pairs.audio))
        left, correlations, right = torch.linalg.svd(image.T @ pairs.cross @ audio, full_matrices=False)
        k = self.components
        self.correlations, self._means = correlations[:k].clamp(max=1), (pairs.image.mean, pairs.audio.mean)
        self._maps = image @ left[:, :k], audio @ right[:k].T  # (d_x, k), (d_y, k)
        return self

    def transform_image(self, images: Tensor) -> Tensor:
        """Project picture features (M, d_x) to (M, components) float32, of unit length if `normalise`."""
        return self._transform(images, 0, "images")

    def transform_audio(self, audios: Tensor) -> Tensor:
        """Project sound features (M, d_y) to (M, components) float32, of unit length if `normalise`."""
        return self._transform(audios, 1, "audios")

    def _transform(self, features: Tensor, side: int, name: str) -> Tensor:
        if self.correlations is None:
            raise RuntimeError("This CCA has no maps yet: call fit with training pairs first.")
        features, mean = _double(features, name), self._means[side]
        if features.shape[1] != len(mean):
            raise ValueError(f"{name} have {features.shape[1]} features, fit saw {len(mean)}.")
        projected = (features - mean) @ self._maps[side] * self.correlations**self.power
        return (F.normalize(projected, dim=1) if self.normalise else projected).float()

    def state(self) -> dict[str, Tensor]:
        """Return everything as tensors by name, for safetensors."""
        options = torch.tensor([self.regularization, self.power, self.normalise], dtype=torch.float64)
        names = ("image_mean", "audio_mean", "image_map", "audio_map", "correlations", "options")
        tensors = (*self._means, *self._maps, self.correlations, options)
        return {name: tensor.contiguous() for name, tensor in zip(names, tensors, strict=True)}

    @classmethod
    def from_state(cls, state: dict[str, Tensor]) -> CCA:
        """Return the fitted CCA that gave this `state`."""
        regularization, power, normalise = state["options"].tolist()
        cca = cls(len(state["correlations"]), regularization, power=power, normalise=bool(normalise))
        cca.correlations = state["correlations"]
        cca._means = state["image_mean"], state["audio_mean"]
        cca._maps = state["image_map"], state["audio_map"]
        return cca


def paired_rank(images: Tensor, audios: Tensor) -> float:
    r"""Mean reciprocal rank of the partner among all candidates, over both directions.

    .. math:: \frac{1}{2M} \sum_i \left( \frac{1}{\mathrm{rank}(a_i | v_i)} +
        \frac{1}{\mathrm{rank}(v_i | a_i)} \right)

    by cosine similarity; among equals the partner comes last.

    Parameters
    ----------
    images, audios : Tensor (M, k)
        Row i of both is one pair.

    Returns
    -------
    float
        1 if every partner comes first; about ln(M) / M by chance.

    Notebook: 02
    """
    similarity = F.normalize(images, dim=1) @ F.normalize(audios, dim=1).T  # (M, M)
    own = similarity.diagonal()
    ranks = torch.cat([(similarity >= own[:, None]).sum(1), (similarity >= own).sum(0)])
    return float(ranks.double().reciprocal().mean())


def _double(features: Tensor, name: str) -> Tensor:
    """Return features (N, d) as float64 on the CPU."""
    features = torch.as_tensor(features).detach().to("cpu", torch.float64)
    if features.ndim != 2:
        raise ValueError(f"{name} must be (items, features), not {tuple(features.shape)}.")
    if not features.isfinite().all():
        raise ValueError(f"{name} hold numbers that are not finite: look for a network that diverged.")
    return features


@dataclass(frozen=True)
class _View:
    """One kind of feature: its mean (d,), and the axes (d, d) and variances (d,) of its covariance."""

    name: str
    mean: Tensor
    axes: Tensor
    variances: Tensor

    @classmethod
    def of(cls, features: Tensor, name: str) -> _View:
        variances, axes = torch.linalg.eigh(features.T.cov())
        return cls(name, features.mean(0), axes, variances)

    def whitening(self, regularization: float) -> Tensor:
        """Return W (d, d) with W^T (C + r I) W = I where the features vary, and 0 where they do not."""
        floor = len(self.variances) * torch.finfo(torch.float64).eps * self.variances.max()
        varies = self.variances > floor
        said = f"{self.name} vary in {int(varies.sum())} of {len(varies)} directions"
        if not varies.any():
            raise ValueError(f"{said}: all rows are the same; look for a dead network.")
        if regularization == 0 and not varies.all():
            raise ValueError(
                f"{said}, so their covariance has no inverse: give more pairs, or a regularization above 0 "
                f"(the published variant here has {PAPER:g})."
            )
        ridge = regularization * self.variances.mean()
        return self.axes * torch.where(varies, (self.variances + ridge).rsqrt(), 0.0)


@dataclass(frozen=True)
class _Pairs:
    """What the solution needs of N pairs; the same for every regularization."""

    image: _View
    audio: _View
    cross: Tensor  # (d_x, d_y), covariance between pictures and sounds
    count: int

    @classmethod
    def of(cls, images: Tensor, audios: Tensor) -> _Pairs:
        images, audios = _double(images, "images"), _double(audios, "audios")
        if len(images) != len(audios) or len(images) < 2:
            raise ValueError(f"{len(images)} images and {len(audios)} audios: two or more pairs are needed.")
        image, audio = _View.of(images, "images"), _View.of(audios, "audios")
        cross = (images - image.mean).T @ (audios - audio.mean) / (len(images) - 1)
        return cls(image, audio, cross, len(images))
