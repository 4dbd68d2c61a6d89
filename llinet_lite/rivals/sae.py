"""SAE: one matrix that leads from images to class vectors, and its transpose that leads back.

Notebook: 08
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from llinet_lite.rivals.base import Examples, Recognizer, positive

RIDGE = 1e-6  # epsilon


def sae_matrix(images: Tensor, classes: Tensor, lam: float) -> Tensor:
    r"""The matrix W (k, d) that encodes and decodes with least error, for images (N, d) and classes (N, k).

    .. math:: L(W) = \|X - W^T S\|^2 + \lambda \|W X - S\|^2 + \epsilon \|W\|^2

    with X the images and S their class vectors, transposed, is least where

    .. math:: (S S^T + \epsilon I)\, W + W\, (\lambda X X^T) = (1 + \lambda)\, S X^T

    Both factors of W are symmetric, so with their axes U, V and eigenvalues a, b

    .. math:: W = U \left[ \frac{(U^T C V)_{ij}}{a_i + b_j} \right] V^T, \qquad C = (1 + \lambda) S X^T

    which for 2048 features takes seconds where a general solver takes half a minute. With fewer classes than
    k, S S^T has no inverse, and X X^T has none if features are dead; epsilon, small beside any image's share,
    keeps the sums above 0.

    Source: Kodirov, Xiang and Gong, *Semantic Autoencoder for Zero-Shot Learning* (2017); epsilon is ours.
    """
    images, classes = images.double(), classes.double()
    a, u = torch.linalg.eigh(classes.T @ classes)  # (k,), (k, k)
    b, v = torch.linalg.eigh(lam * (images.T @ images))  # (d,), (d, d)
    right = (1 + lam) * u.T @ (classes.T @ images) @ v  # (k, d)
    # no eigenvalue is below 0 but by rounding
    return u @ (right / (a.clamp(min=0)[:, None] + b.clamp(min=0)[None] + RIDGE)) @ v.T


class SAE(Recognizer):
    r"""Semantic autoencoder: W encodes an image as a class vector, W^T decodes it, in closed form.

    Score "V->S": cos(W x, s_c), images go to class vectors; "S->V": cos(x, W^T s_c), class vectors go to
    images. The rows of W are scaled to length 1 for the scores, as in their code for AwA. W: `sae_matrix`, in
    float64; nothing is drawn, `epochs` and `seed` change nothing. Source: Kodirov, Xiang and Gong (2017) and
    their code, without its demo's normalization of image features. Published numbers of it could not be
    reproduced by others (CUB 61.4, about 40).

    Parameters
    ----------
    lam : float, lambda. Published: 5e5 (AwA), 0.2 (CUB, attributes reduced before), 5 (ImageNet); another
        implementation finds 0.08 to 80. It belongs to the size of both sides: to be chosen on held-out
        classes, for each direction by itself
    direction : "S->V", clearly better in published generalized recognition, or "V->S"
    scaled : bool, divide images by one number, their root mean square length, so that they are as long as
        class vectors: W and W^T can only both fit where lengths agree. Ours; False: as they are
    """

    title = "SAE"
    grid = tuple({"lam": lam, "direction": way} for lam in (0.2, 5.0, 80.0) for way in ("S->V", "V->S"))

    def __init__(self, *, lam: float = 0.2, direction: str = "S->V", scaled: bool = True, **sizes: int):
        super().__init__(**sizes)
        positive(lam=lam)
        if direction not in ("V->S", "S->V"):
            raise ValueError(f'direction must be "V->S" or "S->V", not {direction!r}.')
        self.lam, self.direction, self.scaled = lam, direction, scaled
        self.register_buffer("matrix", torch.zeros(self.semantics, self.features))  # W as found, (D, F)

    def measure(self, images: Tensor) -> None:
        length = images.square().sum(1).mean().sqrt()
        self.spread[:] = length if self.scaled and length > 0 else 1.0

    def fit(self, examples: Examples, epochs: int) -> None:
        """Solve for W; on the CPU, since not every accelerator has float64."""
        classes = examples.classes[examples.labels]  # (N, D)
        self.matrix[:] = sae_matrix(examples.images.cpu(), classes.cpu(), self.lam).float()

    def compare(self, images: Tensor, classes: Tensor) -> Tensor:
        """Cosines (B, C), among class vectors or among images."""
        rows = F.normalize(self.matrix, dim=1)
        left, right = (images @ rows.T, classes) if self.direction == "V->S" else (images, classes @ rows)
        return F.normalize(left, dim=1) @ F.normalize(right, dim=1).T
