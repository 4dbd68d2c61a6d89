"""SAE: one matrix that leads from pictures to class vectors, and its transpose that leads back.

Notebook: 08
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from llinet_lite.rivals.recogniser import Examples, Recogniser, positive

__all__ = ["SAE", "sae_loss", "sae_matrix"]

RIDGE = 1e-6


def sae_loss(matrix: Tensor, images: Tensor, classes: Tensor, lam: float, ridge: float = RIDGE) -> Tensor:
    r"""Error of decoding plus that of encoding with one and the same matrix.

    .. math:: L(W) = \|X - W^T S\|^2 + \lambda \|W X - S\|^2 + \epsilon \|W\|^2

    Source: Kodirov, Xiang and Gong, *Semantic Autoencoder for Zero-Shot Learning* (2017), without the last
    term; see :func:`sae_matrix`.

    Parameters
    ----------
    matrix : Tensor (k, d), W
    images : Tensor (N, d), X transposed
    classes : Tensor (N, k), S transposed: the class vector of every picture
    lam, ridge : float, lambda and epsilon

    Returns
    -------
    Tensor, a scalar

    Notebook: 08
    """
    decoded, encoded = images - classes @ matrix, images @ matrix.T - classes  # (N, d), (N, k)
    return decoded.square().sum() + lam * encoded.square().sum() + ridge * matrix.square().sum()


def sae_matrix(images: Tensor, classes: Tensor, lam: float, ridge: float = RIDGE) -> Tensor:
    r"""The matrix at which :func:`sae_loss` is least: the solution of a Sylvester equation.

    .. math:: (S S^T + \epsilon I)\, W + W\, (\lambda X X^T) = (1 + \lambda)\, S X^T

    Both factors of W are symmetric, so with their axes U, V and eigenvalues a, b

    .. math:: W = U \left[ \frac{(U^T C V)_{ij}}{a_i + b_j} \right] V^T, \qquad C = (1 + \lambda) S X^T

    which for 2048 features takes seconds where a general solver takes half a minute. With fewer classes than
    k, S S^T has no inverse, and X X^T has none if features are dead; epsilon, small beside any picture's
    share, keeps the sums above 0.

    Source: Kodirov, Xiang and Gong (2017); epsilon is ours.

    Parameters
    ----------
    images : Tensor (N, d), X transposed
    classes : Tensor (N, k), S transposed
    lam, ridge : float, lambda and epsilon, above 0

    Returns
    -------
    Tensor (k, d) float64, W

    Notebook: 08
    """
    positive(lam=lam, ridge=ridge)
    images, classes = images.double(), classes.double()
    a, u = torch.linalg.eigh(classes.T @ classes)  # (k,), (k, k)
    b, v = torch.linalg.eigh(lam * (images.T @ images))  # (d,), (d, d)
    right = (1 + lam) * u.T @ (classes.T @ images) @ v  # (k, d)
    # no eigenvalue is below 0 but by rounding
    return u @ (right / (a.clamp(min=0)[:, None] + b.clamp(min=0)[None] + ridge)) @ v.T


class SAE(Recogniser):
    r"""Semantic autoencoder: W encodes a picture as a class vector, W^T decodes it, in closed form.

    Score "V->S": cos(W x, s_c), pictures go to class vectors; "S->V": cos(x, W^T s_c), class vectors go to
    pictures. W: :func:`sae_matrix`, in float64; nothing is drawn, `epochs` and `seed` change nothing.

    Source: Kodirov, Xiang and Gong (2017) and their code. Published numbers of it could not be reproduced by
    others (CUB 61.4, about 40).

    Parameters
    ----------
    features, semantics : see :class:`llinet_lite.rivals.recogniser.Recogniser`
    lam : float, lambda. Published: 5e5 (AwA), 0.2 (CUB, attributes reduced before), 5 (ImageNet); another
        implementation finds 0.08 to 80. It belongs to the size of both sides: to be chosen on held-out
        classes, for each direction by itself
    direction : "S->V", clearly better in published generalized recognition, or "V->S"
    unit_rows : bool, scale the rows of W to length 1 for the scores, as in their code for AwA
    scaled : bool, divide pictures by one number, their root mean square length, so that they are as long as
        class vectors: W and W^T can only both fit where lengths agree. Ours; False: as they are
    centred : bool, subtract the training pictures' mean picture, and from class vectors the mean over
        training pictures. Ours; False as published

    Notebook: 08
    """

    title = "SAE"
    grid = tuple({"lam": lam, "direction": way} for lam in (0.2, 5.0, 80.0) for way in ("S->V", "V->S"))

    def __init__(
        self,
        *,
        features: int,
        semantics: int,
        lam: float = 0.2,
        direction: str = "S->V",
        unit_rows: bool = True,
        scaled: bool = True,
        centred: bool = False,
    ):
        super().__init__(features=features, semantics=semantics)
        positive(lam=lam)
        if direction not in ("V->S", "S->V"):
            raise ValueError(f'direction must be "V->S" or "S->V", not {direction!r}.')
        self.lam, self.direction, self.unit_rows = lam, direction, bool(unit_rows)
        self.scaled, self.centred = bool(scaled), bool(centred)
        self.register_buffer("matrix", torch.zeros(semantics, features))  # W as found, (D, F)
        self.register_buffer("middle", torch.zeros(semantics))

    def measure(self, images: Tensor) -> None:
        """Mean picture and mean length of the training pictures (N, F), where asked."""
        self.shift[:] = images.mean(0) if self.centred else 0.0
        length = (images - self.shift).square().sum(1).mean().sqrt()
        self.spread[:] = length if self.scaled and length > 0 else 1.0

    def fit(self, examples: Examples, *, epochs: int, quiet: bool) -> None:
        """Solve for W; on the CPU, since not every accelerator has float64."""
        classes = examples.classes[examples.labels]  # (N, D)
        self.middle[:] = classes.mean(0) if self.centred else 0.0
        self.matrix[:] = sae_matrix(examples.images.cpu(), (classes - self.middle).cpu(), self.lam).float()
        if not quiet:
            print(f"SAE: solved for {len(classes)} pictures")

    def _rows(self) -> Tensor:
        return F.normalize(self.matrix, dim=1) if self.unit_rows else self.matrix

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Pictures (B, F) -> W x (B, D)."""
        return self.standardised(self._pictures(images)) @ self._rows().T

    def compare(self, images: Tensor, classes: Tensor) -> Tensor:
        """Cosines (B, C), among class vectors or among pictures."""
        rows, classes = self._rows(), classes - self.middle
        left, right = (images @ rows.T, classes) if self.direction == "V->S" else (images, classes @ rows)
        return F.normalize(left, dim=1) @ F.normalize(right, dim=1).T
