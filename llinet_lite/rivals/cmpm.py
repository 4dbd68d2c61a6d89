"""CMPM and CMPC: projections of one modality on the other as probabilities, matched with the labels.

Notebook: 06
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, refuse_unequal, unit
from llinet_lite.models.towers import image_head
from llinet_lite.rivals.base import Rival, positive

SMALL = 1e-8  # inside the logarithm and under its fraction, as in the authors' code


def projection_loss(anchor: Tensor, other: Tensor, labels: Tensor) -> Tensor:
    r"""One direction of `cmpm_loss`: which of the others does an anchor's projection choose?

    .. math:: p_{ij} = \mathrm{softmax}_j(x_i \cdot \bar z_j), \quad
        q_{ij} = \frac{[y_i = y_j]}{\sum_k [y_i = y_k]}, \quad
        L = \frac1B \sum_{ij} p_{ij} \ln\left(\frac{p_{ij}}{q_{ij} + \epsilon} + \epsilon\right)

    with z of length 1 and x as long as it likes: the length is the sharpness of p. This is KL(p || q), not
    KL(q || p): probability on an item of another class costs about -ln epsilon = 18.4, while an item of the
    right class may go without.

    Source: Zhang and Lu, *Deep Cross-Modal Projection Learning for Image-Text Matching* (2018), with epsilon
    = 1e-8 in both places as in their code.
    """
    refuse_unequal(anchor, other)
    with torch.autocast(anchor.device.type, enabled=False):
        p = (full_precision(anchor) @ unit(other).T).softmax(1)  # (B, B)
        same = (labels[:, None] == labels[None, :]).to(p.dtype)
        q = same / same.sum(1, keepdim=True)
        return (p * torch.log(p / (q + SMALL) + SMALL)).sum(1).mean()


def cmpm_loss(image: Tensor, audio: Tensor, labels: Tensor) -> Tensor:
    """Cross-modal projection matching: `projection_loss` of images on audios plus audios on images.

    Parameters
    ----------
    image, audio : Tensor (B, D), embeddings, not normalized: of length 1 their projections lie in [-1, 1],
        the softmax stays nearly flat and the loss cannot fall
    labels : Tensor (B,) integer

    Returns
    -------
    Tensor, a scalar in nats; 2 x 13.85 for uniform p at B = 32 with two items of a class

    Examples
    --------
    >>> apart = 60 * torch.eye(3)
    >>> bool(cmpm_loss(apart, apart, torch.arange(3)).abs() < 1e-6)
    True
    """
    return projection_loss(image, audio, labels) + projection_loss(audio, image, labels)


def cmpc_loss(image: Tensor, audio: Tensor, labels: Tensor, weight: Tensor) -> Tensor:
    r"""Cross-modal projection classification: what the other modality confirms tells the class.

    .. math:: \hat x_i = (x_i \cdot \bar z_i)\, \bar z_i, \qquad
        L = -\frac1B \sum_i \ln \mathrm{softmax}(\bar W \hat x_i)_{y_i}
            - \frac1B \sum_i \ln \mathrm{softmax}(\bar W \hat z_i)_{y_i}

    and z-hat likewise, with the rows of W (K, D), one per class, scaled to length 1; no bias, no factor.
    2 ln K for a classifier that cannot tell. Source: Zhang and Lu (2018).
    """
    refuse_unequal(image, audio)
    with torch.autocast(image.device.type, enabled=False):
        image, audio = full_precision(image), full_precision(audio)
        classes = unit(weight).to(image.dtype)  # (K, D)
        loss = image.new_zeros(())
        for x, z in ((image, audio), (audio, image)):
            projected = (x * unit(z)).sum(1, keepdim=True) * unit(z)  # (B, D)
            loss = loss + F.cross_entropy(projected @ classes.T, labels.long())
        return loss


class CMPM(Rival):
    r"""Deep cross-modal projection learning, its matching loss alone or with its classification.

    Images: the trunk's pooled features through FC ReLU FC; audios: the audio encoder; neither normalized.
    Loss: `cmpm_loss`, plus `cmpc` times `cmpc_loss`. Adam with 2e-4 and weight decay 4e-5.

    Source: Zhang and Lu (2018) and their code. Encoders there: ResNet-152 or MobileNet and a bidirectional
    LSTM, each with one linear layer to 512. Left out is their moving average of the weights (0.9999), which
    needs more than 10 000 steps to forget how it began. `cmpc` = 1 is the sum as published, but LLINet's
    table says CMPM alone.
    """

    title = "CMPM"
    learning_rate = 2e-4
    weight_decay = 4e-5

    def __init__(self, *, cmpc: float = 0.0, **sizes: int):
        super().__init__(**sizes)
        positive(cmpc=cmpc, or_zero=True)
        self.cmpc = cmpc
        self.image = image_head(self.features, self.size)
        if self.cmpc:
            self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(self.classes, self.size)))

    def embed_image(self, image: dict[str, Tensor]) -> Tensor:
        """Pooled features (B, F) -> embeddings (B, D), not normalized."""
        return self.image(image["pooled"])

    def embed_audio(self, audio: Tensor) -> Tensor:
        """Log-mel (B, T, 40) -> embeddings (B, D), not normalized."""
        return self.audio(audio)

    def matching(self, image: Tensor, audio: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of embeddings (B, D) and its parts, with their mean lengths."""
        parts = {
            "image_to_audio": projection_loss(image, audio, labels),
            "audio_to_image": projection_loss(audio, image, labels),
        }
        loss = parts["image_to_audio"] + parts["audio_to_image"]
        if self.cmpc:
            parts["classification"] = cmpc_loss(image, audio, labels, self.weight)
            loss = loss + self.cmpc * parts["classification"]
        lengths = {"image_length": image, "audio_length": audio}
        parts |= {name: full_precision(vectors).norm(dim=1).mean() for name, vectors in lengths.items()}
        return loss, {name: value.detach() for name, value in parts.items()}

    def loss(self, inputs: tuple[dict, Tensor], batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
        return self.matching(self.embed_image(inputs[0]), self.embed_audio(inputs[1]), batch["label"])
