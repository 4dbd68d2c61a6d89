"""CME: cosines of matching and mismatched pairs, and a classifier that both modalities share.

Notebook: 06
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, negatives, refuse_unequal, unit
from llinet_lite.models.towers import center_rows, initialize
from llinet_lite.rivals.base import Rival
from llinet_lite.rivals.ulslvc import draw_impostors

IMAGE_SIZES = (2000, 2000, 700, 700, 250)  # layers of the paper, the last is the embedding
AUDIO_SIZES = (450, 450, 250, 250, 250)
SMALL = 1e-8  # under the root, whose slope is infinite at zero


def draw_pairs(labels: Tensor, negative_share: float = 0.6) -> tuple[Tensor, Tensor]:
    """Which audio each image gets (B,): its own, or, for a share of them, one of another class (B,) bool."""
    count, device = len(labels), labels.device
    allowed = negatives(labels, "mask")  # (B, B)
    chosen = torch.randperm(count, device=device) < round(negative_share * count)
    negative = chosen & allowed.any(1)
    return torch.where(negative, draw_impostors(allowed), torch.arange(count, device=device)), negative


def cosine_pair_loss(image: Tensor, audio: Tensor, negative: Tensor, margin: float = 0.2) -> Tensor:
    r"""Cosine 1 for a matching pair, at most the margin for a mismatched one.

    .. math:: L = \frac1P \sum_i \ell_i, \qquad \ell_i = \begin{cases} 1 - c_i & \text{positive} \\
        \max(0, c_i - m) / (1 - m) & \text{negative} \end{cases}

    with c the cosine of row i of image and audio (P, D), and `negative` (P,) bool. Source: Suris et al.,
    *Cross-modal Embeddings for Video and Audio Retrieval* (2018), m = 0.2.
    """
    refuse_unequal(image, audio)
    cosine = (unit(image) * unit(audio)).sum(1)  # (P,)
    return torch.where(negative, F.relu(cosine - margin) / (1 - margin), 1 - cosine).mean()


def root_classification_loss(image_logits: Tensor, audio_logits: Tensor, labels: Tensor) -> Tensor:
    r"""Root of the cross-entropy of sigmoids, one per class, of both modalities' logits (B, K).

    .. math:: L = \sqrt{\frac1B \sum_{ik} H(t_{ik}, \sigma(z^v_{ik})) + \frac1B \sum_{ik} H(t_{ik},
        \sigma(z^a_{ik})) + \epsilon}

    with t one-hot, H the binary cross-entropy: the published loss knows several labels of an item, here each
    has one. sqrt(2 K ln 2) for logits of zero. Source: Suris et al. (2018); epsilon = 1e-8 is added, for the
    slope of the root at 0.
    """
    refuse_unequal(image_logits, audio_logits)
    target = F.one_hot(labels.long(), image_logits.shape[1])
    total = torch.zeros((), device=image_logits.device)
    for logits in (image_logits, audio_logits):
        logits = full_precision(logits)
        total = total + (F.softplus(logits) - target * logits).sum(1).mean()
    return (total + SMALL).sqrt()


def _stack(features: int, sizes: tuple[int, ...]) -> nn.Sequential:
    layers = []
    for inside, outside in pairwise((features, *sizes)):
        layers += [center_rows(initialize(nn.Linear(inside, outside))), nn.ReLU()]
    return nn.Sequential(*layers)


class CME(Rival):
    r"""Cross-modal embeddings for video and audio retrieval.

    Pooled features of length 1 go through layers with ReLU, see `IMAGE_SIZES`, and become vectors of length 1
    that are not negative, so that cosines lie in [0, 1]. A sigmoid classifier is shared.

    .. math:: L = L_{\cos} + \lambda \sqrt{L_{CE}}

    Terms: `cosine_pair_loss` of the pairs of `draw_pairs` and `root_classification_loss`. Adam with 1e-4, L2
    penalty 1e-8, gradients clipped to length 1. A unit that ReLU silences for good is lost, and a vector of
    zeros fits nothing: parts report both.

    Source: Suris et al. (2018) and their code. It starts lambda at 0, without which the training does not
    work by its own account, and raises it later. The paper does not say how the layers start: here with He's
    weights and centered rows, see `towers.linear_head`.

    `size` is 1024 for the layers of the paper; all scale with it, the embedding too: 63 at 256. lambda is
    `classification` (from memory of the paper) from the progress `classification_from` on (not known).
    """

    title = "CME"
    learning_rate = 1e-4
    weight_decay = 1e-8
    clip_norm = 1.0

    def __init__(
        self, *, size: int = 1024, margin: float = 0.2, negative_share: float = 0.6,
        classification: float = 0.02, classification_from: float = 0.5, **sizes: int,
    ):  # fmt: skip
        image_sizes, audio_sizes = (
            tuple(math.ceil(layer * size / 1024) for layer in layers) for layers in (IMAGE_SIZES, AUDIO_SIZES)
        )
        super().__init__(size=image_sizes[-1], **sizes)
        self.margin, self.negative_share = margin, negative_share
        self.classification, self.classification_from = classification, classification_from
        self.audio.fc = nn.Identity()  # the encoder's features are taken before it
        self.image_stack = _stack(self.features, image_sizes)
        self.audio_stack = _stack(self.audio.features, audio_sizes)
        self.classifier = nn.Linear(self.size, self.classes)

    def embed_image(self, image: dict[str, Tensor]) -> Tensor:
        """Pooled features (B, F) -> embeddings (B, D) of length 1 (0 if all units are silent)."""
        return unit(self.image_stack(unit(image["pooled"])))

    def embed_audio(self, audio: Tensor) -> Tensor:
        """Log-mel (B, T, 40) -> embeddings (B, D) of length 1 (0 if all units are silent)."""
        return unit(self.audio_stack(unit(self.audio.pooled(audio))))

    def loss(self, inputs: tuple[dict, Tensor], batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
        """`dead_units` is the share of units that are zero for the whole batch, both embeddings together."""
        image, audio, labels = self.embed_image(inputs[0]), self.embed_audio(inputs[1]), batch["label"]
        partner, negative = draw_pairs(labels, self.negative_share)
        cosine = cosine_pair_loss(image, audio[partner], negative, self.margin)
        root = root_classification_loss(self.classifier(image), self.classifier(audio), labels)
        raised = batch.get("progress", 0.0) >= self.classification_from
        silent = torch.stack([image, audio]).detach() == 0  # (2, B, D)
        parts = {
            "cosine": cosine.detach(),
            "classification": root.detach(),
            "dead_units": silent.all(1).float().mean(),
            "zero_vectors": silent.all(2).float().mean(),
        }
        return cosine + (self.classification if raised else 0.0) * root, parts
