"""LDE: imagine from its vector what pictures of a class are like, and take the nearest.

Notebook: 08
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision
from llinet_lite.rivals.recogniser import Examples, Recogniser, descend, one_scale, positive, width

__all__ = ["LDE", "lde_loss"]


def lde_loss(imagined: Tensor, images: Tensor, weights: Iterable[Tensor] = (), lam: float = 1e-3) -> Tensor:
    r"""Squared error of the imagined features, and a penalty on the weights that imagined them.

    .. math:: L = \frac{1}{BF} \sum_i \|g(s_{y_i}) - x_i\|^2 + \lambda \frac12 \sum_k \|\theta_k\|^2

    Source: Zhang, Xiang and Gong, *Learning a Deep Embedding Model for Zero-Shot Learning* (2017), the
    factor 1/2 and the biases among theta as in their code.

    Parameters
    ----------
    imagined, images : Tensor (B, F), g and x
    weights : iterable of Tensor, theta: weights and biases
    lam : float, lambda

    Returns
    -------
    Tensor, a scalar

    Notebook: 08
    """
    if imagined.shape != images.shape:
        raise ValueError(
            "Each imagined picture is compared with one picture: give as many, "
            f"not {tuple(imagined.shape)} and {tuple(images.shape)}."
        )
    loss = (full_precision(imagined) - full_precision(images)).square().mean()
    return loss + lam * sum(0.5 * weight.square().sum() for weight in weights)


class LDE(Recogniser):
    r"""Learned deep embedding ("DEM"): class vectors go to the pictures, g(s) = ReLU(W2 ReLU(W1 s)).

    Going that way makes fewer hubs, vectors that are nearest to nearly everything. Loss: :func:`lde_loss`;
    score: minus the squared Euclidean distance of x and g(s_c).

    Source: Zhang, Xiang and Gong (2017) and their code: 85-1600-2048 (AwA) and 312-300-2048 (CUB), weights
    from N(0, 0.1) cut off at two deviations, biases 0.1, Adam with 1e-4 (CUB 1e-5), batch 64 (CUB 100), up
    to a million steps, stopped early by the test classes; here nothing is stopped early. Pictures are divided
    by their root mean square, one number: the loss and lambda then mean the same for every trunk.

    Parameters
    ----------
    features, semantics : see :class:`llinet_lite.rivals.recogniser.Recogniser`
    hidden : int, default 1600 as published where F is 2048, at most 2 F; 300 to 1600 published
    lam : float, lambda, 1e-3 (AwA); published: 1e-5 (SUN) to 1e-2 (CUB). There are only as many inputs as
        classes: to be chosen on held-out ones
    sounds : bool, imagine every picture twice, from the vector of its class and from that of one clip of it,
        drawn anew in each step: more inputs to learn from. Not published
    output_relu : bool, as published; it needs pictures without negative features, such as means after a ReLU
    score : "euclidean" or "cosine"
    rate : float, multiplies the published learning rate, 1e-4, for runs of a thousand steps, not a million.
        On synthetic classes with a linear link (24 seen, 8 unseen, 720 steps, three worlds) 1, 3, 10, 30 gave
        0.89, 0.94, 0.95, 0.94 on unseen ones; lambda 1e-2 there imagines nearly the same picture for all
    batch : int, 64

    Raises
    ------
    ValueError
        In `learn`, if pictures have negative features but g has not; if `sounds` but no clips are given.

    Notebook: 08
    """

    title = "LDE"
    grid = (
        {"lam": 1e-3},
        {"lam": 1e-5},
        {"lam": 1e-4},
        {"lam": 1e-2},
        {"lam": 1e-3, "sounds": True},
        {"lam": 1e-4, "sounds": True},
    )

    def __init__(
        self,
        *,
        features: int,
        semantics: int,
        hidden: int | None = None,
        lam: float = 1e-3,
        sounds: bool = False,
        output_relu: bool = True,
        score: str = "euclidean",
        rate: float = 10.0,
        batch: int = 64,
    ):
        super().__init__(features=features, semantics=semantics)
        hidden = hidden or width(1600, features)
        positive(rate=rate, batch=batch)
        if not 0 <= lam < float("inf"):
            raise ValueError(f"lam is the weight of the penalty, 0 or more, not {lam}.")
        if score not in ("euclidean", "cosine"):
            raise ValueError(f'score must be "euclidean" or "cosine", not {score!r}.')
        self.lam, self.sounds, self.output_relu, self.score = lam, bool(sounds), bool(output_relu), score
        self.rate, self.batch = rate, batch
        self.first, self.second = nn.Linear(semantics, hidden), nn.Linear(hidden, features)

    def start(self) -> None:
        """Draw the weights anew."""
        for layer in (self.first, self.second):
            nn.init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2)
            nn.init.constant_(layer.bias, 0.1)

    def measure(self, images: Tensor) -> None:
        """Refuse pictures (N, F) that no ReLU reaches; their one scale."""
        if self.output_relu and bool((images < 0).any()):
            raise ValueError(
                "LDE ends in a ReLU and cannot reach negative features: give features after a ReLU, or "
                "output_relu=False."
            )
        self.spread[:] = one_scale(images)

    def imagine(self, classes: Tensor) -> Tensor:
        """Vectors (C, D) of length 1, of classes or clips -> g, standardised pictures (C, F)."""
        imagined = self.second(torch.relu(self.first(classes)))
        return torch.relu(imagined) if self.output_relu else imagined

    def compare(self, images: Tensor, classes: Tensor) -> Tensor:
        """Minus the squared distance of x and g(s_c), or their cosine, (B, C)."""
        imagined = self.imagine(classes)
        if self.score == "cosine":
            return F.normalize(images, dim=1) @ F.normalize(imagined, dim=1).T
        # not by |x|^2 - 2 x.g + |g|^2: near a class vector that difference is rounding
        return -torch.cdist(images, imagined, compute_mode="donot_use_mm_for_euclid_dist").square()

    def fit(self, examples: Examples, *, epochs: int, quiet: bool) -> None:
        """Adam on :func:`lde_loss`."""
        clips = _Clips.of(examples) if self.sounds else None

        def loss(chosen: Tensor) -> Tensor:
            images, labels = examples.images[chosen], examples.labels[chosen]
            vectors = examples.classes[labels]  # (b, D)
            if clips is not None:
                images, vectors = images.repeat(2, 1), torch.cat([vectors, clips.draw(labels)])  # (2 b, .)
            return lde_loss(self.imagine(vectors), images, self.parameters(), self.lam)

        adam = torch.optim.Adam(self.parameters(), 1e-4 * self.rate, fused=True)
        descend(self, adam, loss, len(examples.images), batch=self.batch, epochs=epochs, quiet=quiet)


class _Clips:
    """Single clips, sorted by class, to draw one of a class from."""

    def __init__(self, vectors: Tensor, labels: Tensor, classes: int):
        self.vectors = vectors[labels.argsort(stable=True)]
        self.counts = labels.bincount(minlength=classes)
        self.starts = self.counts.cumsum(0) - self.counts

    @classmethod
    def of(cls, examples: Examples) -> _Clips:
        if examples.sounds is None:
            raise ValueError("LDE with sounds=True learns from single clips too: give learn `sounds`.")
        clips = cls(*examples.sounds, len(examples.classes))
        without = (clips.counts[examples.labels.unique()] == 0).sum()
        if without:
            raise ValueError(f"sounds hold no clip of {int(without)} of the classes that have pictures.")
        return clips

    def draw(self, labels: Tensor) -> Tensor:
        """Labels (b,) -> vectors (b, D) of one clip each."""
        share = torch.rand(len(labels), device=labels.device)
        return self.vectors[self.starts[labels] + (share * self.counts[labels]).long()]
