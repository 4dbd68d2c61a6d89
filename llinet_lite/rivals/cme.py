"""CME: cosines of matching and mismatched pairs, and a classifier that both senses share.

Notebook: 06
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, negatives, refuse_unequal, unit
from llinet_lite.models.towers import center_rows, initialize
from llinet_lite.rivals.base import Rival
from llinet_lite.rivals.ulslvc import draw_impostors
from llinet_lite.training import adam

__all__ = ["CME", "cosine_pair_loss", "draw_pairs", "root_classification_loss"]

IMAGE_SIZES = (2000, 2000, 700, 700, 250)  # layers of the paper, the last is the embedding
AUDIO_SIZES = (450, 450, 250, 250, 250)
SMALL = 1e-8  # under the root, whose slope is infinite at zero


def draw_pairs(labels: Tensor, negative_share: float = 0.6) -> tuple[Tensor, Tensor]:
    """Give every picture of the batch a sound: its own, or one of another class.

    Drawn with torch's generator of the device; negatives are `round(negative_share * B)` pictures, each with
    any sound of another class. In a batch of one class there are none.

    Parameters
    ----------
    labels : Tensor (B,) integer
    negative_share : float in [0, 1]

    Returns
    -------
    partner : Tensor (B,) integer, the sound of each picture
    negative : Tensor (B,) bool

    Notebook: 06
    """
    count, device = len(labels), labels.device
    allowed = negatives(labels, "mask")  # (B, B)
    chosen = torch.randperm(count, device=device) < round(negative_share * count)
    negative = chosen & allowed.any(1)
    return torch.where(negative, draw_impostors(allowed), torch.arange(count, device=device)), negative


def cosine_pair_loss(image: Tensor, audio: Tensor, negative: Tensor, margin: float = 0.2) -> Tensor:
    r"""Cosine 1 for a matching pair, at most the margin for a mismatched one.

    .. math:: L = \frac1P \sum_i \ell_i, \qquad \ell_i = \begin{cases} 1 - c_i & \text{positive} \\
        \max(0, c_i - m) / (1 - m) & \text{negative} \end{cases}

    with c the cosine. Source: Suris et al., *Cross-modal Embeddings for Video and Audio Retrieval* (2018), m
    = 0.2.

    Parameters
    ----------
    image, audio : Tensor (P, D); row i of both is one pair
    negative : Tensor (P,) bool
    margin : float in [0, 1), m

    Returns
    -------
    Tensor, a scalar; 0 to 1 for embeddings that are not negative

    Notebook: 06
    """
    refuse_unequal(image, audio)
    cosine = (unit(image) * unit(audio)).sum(1)  # (P,)
    return torch.where(negative, F.relu(cosine - margin) / (1 - margin), 1 - cosine).mean()


def root_classification_loss(image_logits: Tensor, audio_logits: Tensor, labels: Tensor) -> Tensor:
    r"""Root of the cross-entropy of sigmoids, one per class, of both senses.

    .. math:: L = \sqrt{\frac1B \sum_{ik} H(t_{ik}, \sigma(z^v_{ik})) + \frac1B \sum_{ik} H(t_{ik},
        \sigma(z^a_{ik})) + \epsilon}

    with t one-hot, H the binary cross-entropy: the published loss knows several labels of an item, here each
    has one. Source: as :func:`cosine_pair_loss`; epsilon = 1e-8 is added, for the slope of the root at 0.

    Parameters
    ----------
    image_logits, audio_logits : Tensor (B, K)
    labels : Tensor (B,) integer, 0 to K - 1

    Returns
    -------
    Tensor, a scalar; sqrt(2 K ln 2) for logits of zero

    Notebook: 06
    """
    refuse_unequal(image_logits, audio_logits)
    target = F.one_hot(labels.long(), image_logits.shape[1])
    total = torch.zeros((), device=image_logits.device)
    for logits in (image_logits, audio_logits):
        logits = full_precision(logits)
        total = total + (F.softplus(logits) - target * logits).sum(1).mean()
    return (total + SMALL).sqrt()


def _stack(features: int, sizes: tuple[int, ...]) -> nn.Sequential:
    """Linear layers, each with ReLU."""
    layers = []
    for inside, outside in pairwise((features, *sizes)):
        layers += [center_rows(initialize(nn.Linear(inside, outside))), nn.ReLU()]
    return nn.Sequential(*layers)


class CME(Rival):
    r"""Cross-modal embeddings for video and audio retrieval.

    Pooled features of length 1 go through layers with ReLU (pictures 2000, 2000, 700, 700, 250; sounds 450,
    450, 250, 250, 250) and become vectors of length 1 that are not negative, so that cosines lie in [0, 1]. A
    sigmoid classifier is shared.

    .. math:: L = L_{\cos} + \lambda \sqrt{L_{CE}}

    Terms: :func:`cosine_pair_loss` of the pairs of :func:`draw_pairs` and :func:`root_classification_loss`.
    Adam with 1e-4, L2 penalty 1e-8, gradients clipped to length 1. A unit that ReLU silences for good is
    lost, and a vector of zeros fits nothing: parts report both.

    Source: Suris et al. (2018) and their code, whose inputs are YouTube-8M features (1024 and 128). It starts
    lambda at 0, without which the training does not work by its own account, and raises it later.

    Parameters
    ----------
    features, classes, width : see :class:`llinet_lite.rivals.base.Rival`
    size : int, 1024 for the layers of the paper; others scale all of them with it, rounded up, the embedding
        too: 250 at 1024, 63 at 256. The attribute `size` is the embedding's
    margin : float, m
    negative_share : float, share of mismatched pairs
    classification : float, lambda once it is raised; from memory of the paper, not confirmed
    classification_from : float, the `progress` at which it is raised from 0; not known

    Notes
    -----
    The paper does not say how the layers start. Here: He's weights with centred rows, see
    :func:`llinet_lite.models.towers.linear_head`.

    Notebook: 06
    """

    title = "CME"
    learning_rate = 1e-4
    clip_norm = 1.0

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        width: int = 64,
        size: int = 1024,
        margin: float = 0.2,
        negative_share: float = 0.6,
        classification: float = 0.02,
        classification_from: float = 0.5,
    ):
        image_sizes, audio_sizes = (
            tuple(math.ceil(layer * size / 1024) for layer in sizes) for sizes in (IMAGE_SIZES, AUDIO_SIZES)
        )
        super().__init__(features=features, classes=classes, width=width, size=image_sizes[-1])
        self.margin, self.negative_share = margin, negative_share
        self.classification, self.classification_from = classification, classification_from
        self.audio.fc = nn.Identity()  # the encoder's features are taken before it
        self.image_stack = _stack(features, image_sizes)
        self.audio_stack = _stack(self.audio.features, audio_sizes)
        self.classifier = nn.Linear(self.size, classes)

    def _embed(self, stack: nn.Module, features: Tensor) -> Tensor:
        return unit(stack(unit(features)))

    def embed_image(self, seen: dict[str, Tensor]) -> Tensor:
        """Pooled features (B, F) in `seen` -> embeddings (B, D) of length 1 (0 if all units are silent)."""
        return self._embed(self.image_stack, seen["pooled"])

    def embed_audio(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, 40) -> embeddings (B, D) of length 1 (0 if all units are silent)."""
        return self._embed(self.audio_stack, self.audio.pooled(logmel))

    def loss(
        self, seen: dict[str, Tensor], logmel: Tensor, labels: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See :meth:`llinet_lite.rivals.base.Rival.loss`; `progress` raises lambda, pairs are drawn anew.

        `dead_units` is the share of units of the two embeddings that are zero for the whole batch,
        `zero_vectors` the share of embeddings that are zero.
        """
        image, audio = self.embed_image(seen), self.embed_audio(logmel)
        partner, negative = draw_pairs(labels, self.negative_share)
        cosine = cosine_pair_loss(image, audio[partner], negative, self.margin)
        root = root_classification_loss(self.classifier(image), self.classifier(audio), labels)
        weight = self.classification if progress >= self.classification_from else 0.0
        silent = torch.stack([image, audio]).detach() == 0  # (2, B, D)
        parts = {
            "cosine": cosine.detach(),
            "classification": root.detach(),
            "dead_units": silent.all(1).float().mean(),
            "zero_vectors": silent.all(2).float().mean(),
        }
        return cosine + weight * root, parts

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """Adam, 1e-4 times `rate`, L2 penalty 1e-8."""
        return adam(rate * self.learning_rate, 1e-8)
