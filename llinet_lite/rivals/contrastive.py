"""What came after LLINet: the losses of CLIP, SigLIP and supervised contrast on the same two encoders.

Notebook: 06
"""

import math

import torch
from torch import Tensor, nn

from llinet_lite.losses import clip_loss, sigmoid_loss, supervised_contrastive_loss
from llinet_lite.models.towers import image_head
from llinet_lite.rivals.base import Rival


class CLIP(Rival):
    """Pooled features through FC ReLU FC, the audio encoder, and `losses.clip_loss` with its learned scale.

    Adam with 5e-4, CLIP's rate for its smaller networks. Source: Radford et al. (2021).
    """

    title = "CLIP"
    learning_rate = 5e-4
    scale_at_start = 1 / 0.07

    def __init__(self, *, same_class: str = "mask", **sizes: int):
        super().__init__(**sizes)
        self.same_class = same_class
        self.image = image_head(self.features, self.size)
        self.log_scale = nn.Parameter(torch.tensor(math.log(self.scale_at_start)))

    def matching(self, image: Tensor, audio: Tensor, labels: Tensor) -> Tensor:
        """The loss of embeddings."""
        return clip_loss(image, audio, labels, self.log_scale, self.same_class)

    def loss(self, inputs: tuple[dict, Tensor], batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self.matching(self.embed_image(inputs[0]), self.embed_audio(inputs[1]), batch["label"])
        return loss, {"scale": self.log_scale.detach().exp()}


class SigLIP(CLIP):
    """As CLIP, with `losses.sigmoid_loss`, its scale and its bias. Source: Zhai et al. (2023)."""

    title = "SigLIP"
    scale_at_start = 10.0

    def __init__(self, **sizes: int):
        super().__init__(**sizes)
        self.bias = nn.Parameter(torch.tensor(-10.0))

    def matching(self, image: Tensor, audio: Tensor, labels: Tensor) -> Tensor:
        return sigmoid_loss(image, audio, labels, self.log_scale, self.bias)


class SupCon(CLIP):
    """As CLIP, with `losses.supervised_contrastive_loss`, its scale learned. Source: Khosla et al. (2020)."""

    title = "SupCon"
    scale_at_start = 10.0

    def matching(self, image: Tensor, audio: Tensor, labels: Tensor) -> Tensor:
        return supervised_contrastive_loss(image, audio, labels, self.log_scale.exp())
