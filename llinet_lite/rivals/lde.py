"""LDE: imagine from its vector what images of a class are like, and take the nearest.

Notebook: 08
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from llinet_lite.losses import full_precision
from llinet_lite.rivals.base import Examples, Recognizer, descend, one_scale, positive


def lde_loss(imagined: Tensor, images: Tensor, weights: Iterable[Tensor] = (), lam: float = 1e-3) -> Tensor:
    r"""Squared error of the imagined features (B, F), and a penalty on the weights that imagined them.

    .. math:: L = \frac{1}{BF} \sum_i \|g(s_{y_i}) - x_i\|^2 + \lambda \frac12 \sum_k \|\theta_k\|^2

    Source: Zhang, Xiang and Gong, *Learning a Deep Embedding Model for Zero-Shot Learning* (2017), the
    factor 1/2 and the biases among theta as in their code.
    """
    if imagined.shape != images.shape:
        found = f"{tuple(imagined.shape)} and {tuple(images.shape)}"
        raise ValueError(f"Each imagined image is compared with one image: give as many, not {found}.")
    loss = (full_precision(imagined) - full_precision(images)).square().mean()
    return loss + lam * sum(0.5 * weight.square().sum() for weight in weights)


class LDE(Recognizer):
    r"""Learned deep embedding ("DEM"): class vectors go to the images, g(s) = ReLU(W2 ReLU(W1 s)).

    Going that way makes fewer hubs, vectors that are nearest to nearly everything. Loss: `lde_loss`; score:
    minus the squared Euclidean distance of x and g(s_c).

    Source: Zhang, Xiang and Gong (2017) and their code: 85-1600-2048 (AwA) and 312-300-2048 (CUB), here 1600
    but at most 2 F; weights from N(0, 0.1) cut off at two deviations, biases 0.1, Adam with 1e-4 (CUB 1e-5),
    batch 64 (CUB 100), up to a million steps, stopped early by the test classes; here nothing is stopped
    early. Images are divided by their root mean square, one number: the loss and lambda then mean the same
    for every trunk.

    Parameters
    ----------
    lam : float, lambda, 1e-3 (AwA); published: 1e-5 (SUN) to 1e-2 (CUB). There are only as many inputs as
        classes: to be chosen on held-out ones
    sounds : bool, imagine every image twice, from the vector of its class and from that of one clip of it,
        drawn anew in each step: more inputs to learn from. Not published
    rate : float, multiplies the published learning rate, 1e-4, for runs of a thousand steps
    """

    title = "LDE"
    grid = (
        *({"lam": lam} for lam in (1e-3, 1e-5, 1e-4, 1e-2)),
        *({"lam": lam, "sounds": True} for lam in (1e-3, 1e-4)),
    )

    def __init__(self, *, lam: float = 1e-3, sounds: bool = False, rate: float = 10.0, **sizes: int):
        super().__init__(**sizes)
        positive(rate=rate)
        positive(lam=lam, or_zero=True)
        self.lam, self.sounds, self.rate = lam, sounds, rate
        hidden = min(1600, 2 * self.features)
        self.first, self.second = nn.Linear(self.semantics, hidden), nn.Linear(hidden, self.features)

    def start(self) -> None:
        for layer in (self.first, self.second):
            nn.init.trunc_normal_(layer.weight, std=0.1, a=-0.2, b=0.2)
            nn.init.constant_(layer.bias, 0.1)

    def measure(self, images: Tensor) -> None:
        if bool((images < 0).any()):
            raise ValueError("LDE ends in a ReLU and cannot reach negative features: give some after a ReLU.")
        self.spread[:] = one_scale(images)

    def imagine(self, classes: Tensor) -> Tensor:
        """Vectors (C, D) of length 1, of classes or clips -> g, standardized images (C, F)."""
        return torch.relu(self.second(torch.relu(self.first(classes))))

    def compare(self, images: Tensor, classes: Tensor) -> Tensor:
        # not by |x|^2 - 2 x.g + |g|^2: near a class vector that difference is rounding
        distance = torch.cdist(images, self.imagine(classes), compute_mode="donot_use_mm_for_euclid_dist")
        return -distance.square()

    def fit(self, examples: Examples, epochs: int) -> None:
        draw = _clips(examples) if self.sounds else None

        def loss(chosen: Tensor) -> Tensor:
            images, labels = examples.images[chosen], examples.labels[chosen]
            vectors = examples.classes[labels]  # (b, D)
            if draw is not None:
                images, vectors = images.repeat(2, 1), torch.cat([vectors, draw(labels)])  # (2 b, .)
            return lde_loss(self.imagine(vectors), images, self.parameters(), self.lam)

        adam = torch.optim.Adam(self.parameters(), 1e-4 * self.rate, fused=True)
        descend(adam, loss, examples, epochs=epochs)


def _clips(examples: Examples) -> Callable[[Tensor], Tensor]:
    """A function that draws clips: labels (b,) -> vectors (b, D) of one clip each."""
    if examples.clips is None:
        raise ValueError("LDE with sounds=True learns from single clips too: give learn `sounds`.")
    vectors, labels = examples.clips
    vectors, counts = vectors[labels.argsort(stable=True)], labels.bincount(minlength=len(examples.classes))
    starts, without = counts.cumsum(0) - counts, (counts[examples.labels.unique()] == 0).sum()
    if without:
        raise ValueError(f"sounds hold no clip of {int(without)} of the classes that have images.")

    def draw(labels: Tensor) -> Tensor:
        share = torch.rand(len(labels), device=labels.device)
        return vectors[starts[labels] + (share * counts[labels]).long()]

    return draw
