"""DSCMR: labels supervise the common space and a linear classifier that both senses share.

Notebook: 06
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, refuse_unequal, unit
from llinet_lite.rivals.base import Rival

__all__ = ["DSCMR", "invariance_loss", "label_loss", "similarity_loss"]

SMALL = 1e-8  # under the roots, whose slope is infinite at zero


def _length(x: Tensor) -> Tensor:
    """(B, D) -> (B,)."""
    return (x.square().sum(1) + SMALL).sqrt()


def label_loss(predicted: Tensor, labels: Tensor) -> Tensor:
    r"""Half of J1: how far the classifier's output is from the label, one of the two senses.

    .. math:: J_1 = \frac1B \sum_i \lVert P u_i - y_i \rVert_2 + \frac1B \sum_i \lVert P v_i - y_i \rVert_2

    with y one-hot and no activation after P. The lengths are not squared: an outlier pulls no harder than any
    other item. Source: Zhen, Hu et al., *Deep Supervised Cross-Modal Retrieval* (2019).

    Parameters
    ----------
    predicted : Tensor (B, K), P u
    labels : Tensor (B,) integer, 0 to K - 1

    Returns
    -------
    Tensor, a scalar; 1 for an output of zeros

    Notebook: 06
    """
    predicted = full_precision(predicted)
    return _length(predicted - F.one_hot(labels.long(), predicted.shape[1])).mean()


def similarity_loss(left: Tensor, right: Tensor, labels: Tensor) -> Tensor:
    r"""One of the three terms of J2: same class or not, decided by the cosine.

    .. math:: \frac{1}{B^2} \sum_{ij} \ln(1 + e^{G_{ij}}) - [y_i = y_j]\, G_{ij}, \qquad
        G_{ij} = \tfrac12 \cos(u_i, v_j)

    J2 adds it for pictures with sounds, pictures with pictures and sounds with sounds. It is nearly flat: a
    pair costs 0.693 at a right angle and 0.474 at best. Source: as :func:`label_loss`.

    Parameters
    ----------
    left, right : Tensor (B, D), embeddings
    labels : Tensor (B,) integer

    Returns
    -------
    Tensor, a scalar in nats, 0.474 to 0.974

    Notebook: 06
    """
    refuse_unequal(left, right)
    with torch.autocast(left.device.type, enabled=False):
        g = unit(left) @ unit(right).T / 2  # (B, B)
    return (F.softplus(g) - (labels[:, None] == labels[None, :]) * g).mean()


def invariance_loss(image: Tensor, audio: Tensor) -> Tensor:
    r"""J3: how far the two embeddings of a pair are apart.

    .. math:: J_3 = \frac1B \sum_i \lVert u_i - v_i \rVert_2

    Source: as :func:`label_loss`.

    Parameters
    ----------
    image, audio : Tensor (B, D); row i of both is one pair

    Returns
    -------
    Tensor, a scalar

    Notebook: 06
    """
    refuse_unequal(image, audio)
    return _length(full_precision(image) - full_precision(audio)).mean()


class DSCMR(Rival):
    r"""Deep supervised cross-modal retrieval.

    Each sense has one layer with ReLU of its own; a linear layer to the common space and a linear classifier
    are shared.

    .. math:: L = J_1 + \alpha J_2 + \beta J_3, \qquad \alpha = 10^{-3}, \quad \beta = 10^{-1}

    Terms: :func:`label_loss`, :func:`similarity_loss`, :func:`invariance_loss`. J1 outweighs the others, so
    the space is made for the classes of the training. Adam with 1e-4 and betas (0.5, 0.999).

    Source: Zhen, Hu et al. (2019) and their code, with 1e-8 added under the roots. Sizes there, kept at
    `size` 1024: 2048 hidden units, 1024 in the common space. Inputs here: the trunk's pooled features, the
    audio encoder's, which is trained along.

    Parameters
    ----------
    features, classes, width, size : see :class:`llinet_lite.rivals.base.Rival`; 2 `size` hidden units
    alpha, beta : float, weights of J2 and J3

    Notebook: 06
    """

    title = "DSCMR"
    learning_rate = 1e-4

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        width: int = 64,
        size: int = 1024,
        alpha: float = 1e-3,
        beta: float = 1e-1,
    ):
        super().__init__(features=features, classes=classes, width=width, size=size)
        self.alpha, self.beta = alpha, beta
        self.audio.fc = nn.Identity()  # the encoder's features are taken before it
        self.image_fc = nn.Linear(features, 2 * size)
        self.audio_fc = nn.Linear(self.audio.features, 2 * size)
        self.common = nn.Linear(2 * size, size)
        self.classifier = nn.Linear(size, classes)

    def embed_image(self, seen: dict[str, Tensor]) -> Tensor:
        """Pooled features (B, F) in `seen` -> embeddings (B, D), not normalised."""
        return self.common(F.relu(self.image_fc(seen["pooled"])))

    def embed_audio(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, 40) -> embeddings (B, D), not normalised."""
        return self.common(F.relu(self.audio_fc(self.audio.pooled(logmel))))

    def loss(
        self, seen: dict[str, Tensor], logmel: Tensor, labels: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See :meth:`llinet_lite.rivals.base.Rival.loss`; `progress` changes nothing here."""
        image, audio = self.embed_image(seen), self.embed_audio(logmel)
        parts = {
            "label_image": label_loss(self.classifier(image), labels),
            "label_audio": label_loss(self.classifier(audio), labels),
            "similarity": similarity_loss(image, audio, labels)
            + similarity_loss(image, image, labels)
            + similarity_loss(audio, audio, labels),
            "invariance": invariance_loss(image, audio),
        }
        j1 = parts["label_image"] + parts["label_audio"]
        loss = j1 + self.alpha * parts["similarity"] + self.beta * parts["invariance"]
        return loss, {name: value.detach() for name, value in parts.items()}

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """Adam, 1e-4 times `rate`, betas (0.5, 0.999)."""
        return lambda parameters: torch.optim.Adam(
            parameters, rate * self.learning_rate, betas=(0.5, 0.999), fused=True
        )
