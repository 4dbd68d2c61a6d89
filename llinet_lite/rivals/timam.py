"""TIMAM: CMPM and CMPC, and a discriminator that must not tell embeddings of images from those of audios.

Notebook: 06
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, unit
from llinet_lite.rivals.base import positive
from llinet_lite.rivals.cmpm import CMPM


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    """`x` as it is; its gradient times -`weight` (Ganin and Lempitsky, 2015)."""
    x = x.view_as(x)
    if x.requires_grad:
        x.register_hook(lambda gradient: -weight * gradient)
    return x


def discriminator_loss(image_logits: Tensor, audio_logits: Tensor) -> Tensor:
    r"""What the discriminator minimizes: images are class 1, audios class 0.

    .. math:: L_D = -\frac1B \sum_i \ln \sigma(d(v_i)) - \frac1B \sum_i \ln(1 - \sigma(d(a_i)))

    2 ln 2 = 1.386 nats for a discriminator that cannot tell. Behind `reverse_gradient` the encoders maximize
    it.
    """
    return F.softplus(-full_precision(image_logits)).mean() + F.softplus(full_precision(audio_logits)).mean()


class TIMAM(CMPM):
    r"""Text-image modality adversarial matching, with audios in place of texts.

    .. math:: L = L_M + L_{ID} + L_D \quad\text{with the gradient of } L_D \text{ times } -w
        \text{ where it enters the encoders}

    L_M is `cmpm_loss`, L_ID `cmpc_loss`, L_D `discriminator_loss` of embeddings of length 1, else lengths
    alone would tell the modalities apart. L contains L_D, which the encoders raise: watch the parts.

    Source: Sarafianos, Xu and Kakadiaris, *Adversarial Representation Learning for Text-to-Image Matching*
    (2019). Only its abstract and introduction were at hand, with the kinds of losses; their forms, the
    discriminator (256 units, LeakyReLU 0.2) and every number are from memory and not confirmed.
    `adversarial` is w at the end of training (0.1 to 1); it grows from 0 in proportion to the progress.
    """

    title = "TIMAM"

    def __init__(self, *, adversarial: float = 0.1, **sizes: int):
        super().__init__(cmpc=1.0, **sizes)
        positive(adversarial=adversarial, or_zero=True)
        self.adversarial = adversarial
        layers = OrderedDict(fc1=nn.Linear(self.size, 256), relu=nn.LeakyReLU(0.2), fc2=nn.Linear(256, 1))
        self.discriminator = nn.Sequential(layers)

    def judge(self, embeddings: Tensor, weight: float = 1.0) -> Tensor:
        """Logits (B,) that embeddings (B, D) are of images; `weight`: of the gradient that is reversed."""
        return self.discriminator(reverse_gradient(unit(embeddings), weight))[:, 0]  # (B, 1) -> (B,)

    def loss(self, inputs: tuple[dict, Tensor], batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
        """See the class; `discriminator_accuracy` is near 1/2 when the encoders have won."""
        image, audio = self.embed_image(inputs[0]), self.embed_audio(inputs[1])
        matching, parts = self.matching(image, audio, batch["label"])
        weight = self.adversarial * batch.get("progress", 0.0)
        logits = self.judge(image, weight), self.judge(audio, weight)
        deciding = discriminator_loss(*logits)
        right = torch.cat([logits[0] > 0, logits[1] < 0]).float().mean()
        parts |= {"discriminator": deciding.detach(), "discriminator_accuracy": right}
        return matching + deciding, parts

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """Adam: encoders and classes 2e-4, discriminator 1e-4, both times `rate`."""

        def make(parameters: list) -> torch.optim.Optimizer:
            judge = list(self.discriminator.parameters())
            known = {id(weight) for weight in judge}
            others = [weight for weight in parameters if id(weight) not in known]
            groups = [{"params": others}, {"params": judge, "lr": rate * 1e-4}]
            return torch.optim.Adam(groups, rate * self.learning_rate, fused=True)

        return make
