"""DSCMR: labels supervise the common space and a linear classifier that both modalities share.

Notebook: 06
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, refuse_unequal, unit
from llinet_lite.rivals.base import Rival

SMALL = 1e-8  # under the roots, whose slope is infinite at zero


def _length(x: Tensor) -> Tensor:  # (B, D) -> (B,)
    return (x.square().sum(1) + SMALL).sqrt()


def label_loss(predicted: Tensor, labels: Tensor) -> Tensor:
    r"""Half of J1: how far the classifier's output (B, K) is from the label, of one modality.

    .. math:: J_1 = \frac1B \sum_i \lVert P u_i - y_i \rVert_2 + \frac1B \sum_i \lVert P v_i - y_i \rVert_2

    with y one-hot and no activation after P. The lengths are not squared: an outlier pulls no harder than any
    other item. 1 for an output of zeros.
    """
    predicted = full_precision(predicted)
    return _length(predicted - F.one_hot(labels.long(), predicted.shape[1])).mean()


def similarity_loss(left: Tensor, right: Tensor, labels: Tensor) -> Tensor:
    r"""One of the three terms of J2: same class or not, decided by the cosine of embeddings (B, D).

    .. math:: \frac{1}{B^2} \sum_{ij} \ln(1 + e^{G_{ij}}) - [y_i = y_j]\, G_{ij}, \qquad
        G_{ij} = \tfrac12 \cos(u_i, v_j)

    J2 adds it for images with audios, images with images and audios with audios. It is nearly flat: a pair
    costs 0.693 at a right angle, 0.474 at best and 0.974 at worst.
    """
    refuse_unequal(left, right)
    with torch.autocast(left.device.type, enabled=False):
        g = unit(left) @ unit(right).T / 2  # (B, B)
    return (F.softplus(g) - (labels[:, None] == labels[None, :]) * g).mean()


def invariance_loss(image: Tensor, audio: Tensor) -> Tensor:
    r"""J3: how far the two embeddings (B, D) of a pair are apart.

    .. math:: J_3 = \frac1B \sum_i \lVert u_i - v_i \rVert_2
    """
    refuse_unequal(image, audio)
    return _length(full_precision(image) - full_precision(audio)).mean()


class DSCMR(Rival):
    r"""Deep supervised cross-modal retrieval.

    Each modality has one layer with ReLU of its own; a linear layer to the common space and a linear
    classifier are shared. Embeddings are not normalized.

    .. math:: L = J_1 + \alpha J_2 + \beta J_3, \qquad \alpha = 10^{-3}, \quad \beta = 10^{-1}

    Terms: `label_loss`, `similarity_loss`, `invariance_loss`. J1 outweighs the others, so the space is made
    for the classes of the training. Adam with 1e-4 and betas (0.5, 0.999).

    Source: Zhen, Hu et al., *Deep Supervised Cross-Modal Retrieval* (2019) and their code, with 1e-8 added
    under the roots. Sizes there, kept at `size` 1024: 2048 hidden units, 1024 in the common space.
    """

    title = "DSCMR"
    learning_rate = 1e-4

    def __init__(self, *, alpha: float = 1e-3, beta: float = 1e-1, **sizes: int):
        super().__init__(**sizes)
        self.alpha, self.beta = alpha, beta
        self.audio.fc = nn.Identity()  # the encoder's features are taken before it
        self.image_fc = nn.Linear(self.features, 2 * self.size)
        self.audio_fc = nn.Linear(self.audio.features, 2 * self.size)
        self.common = nn.Linear(2 * self.size, self.size)
        self.classifier = nn.Linear(self.size, self.classes)

    def embed_image(self, image: dict[str, Tensor]) -> Tensor:
        return self.common(F.relu(self.image_fc(image["pooled"])))

    def embed_audio(self, audio: Tensor) -> Tensor:
        return self.common(F.relu(self.audio_fc(self.audio.pooled(audio))))

    def loss(self, inputs: tuple[dict, Tensor], batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
        image, audio, labels = self.embed_image(inputs[0]), self.embed_audio(inputs[1]), batch["label"]
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
        return lambda parameters: torch.optim.Adam(
            parameters, rate * self.learning_rate, betas=(0.5, 0.999), fused=True
        )
