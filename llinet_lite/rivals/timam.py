"""TIMAM: CMPM and CMPC, and a discriminator that must not tell embeddings of images from those of audios.

Notebook: 06
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, unit
from llinet_lite.rivals.cmpm import CMPM


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradient, None


def reverse_gradient(x: Tensor, weight: float) -> Tensor:
    r"""`x` as it is; its gradient times -`weight`.

    .. math:: R(x) = x, \qquad \frac{\partial R}{\partial x} = -w I

    Source: Ganin and Lempitsky, *Unsupervised Domain Adaptation by Backpropagation* (2015).
    """
    return _Reverse.apply(x, weight)


def discriminator_loss(image_logits: Tensor, audio_logits: Tensor) -> Tensor:
    r"""What the discriminator minimizes: images are class 1, audios class 0.

    .. math:: L_D = -\frac1B \sum_i \ln \sigma(d(v_i)) - \frac1B \sum_i \ln(1 - \sigma(d(a_i)))

    2 ln 2 = 1.386 nats for a discriminator that cannot tell. Behind `reverse_gradient` the encoders maximize
    it. To let them minimize L_D with exchanged labels would pull a logit the same way, with a gradient that
    does not fade where the discriminator is right and sure, but needs a second pass.
    """
    return F.softplus(-full_precision(image_logits)).mean() + F.softplus(full_precision(audio_logits)).mean()


class TIMAM(CMPM):
    r"""Text-image modality adversarial matching, with audios in place of texts.

    .. math:: L = L_M + w_{ID} L_{ID} + L_D \quad\text{with the gradient of } L_D \text{ times } -w
        \text{ where it enters the encoders}

    L_M is `cmpm_loss`, L_ID `cmpc_loss`, L_D `discriminator_loss` of embeddings of length 1, else lengths
    alone would tell the modalities apart. L contains L_D, which the encoders raise: watch the parts.

    Source: Sarafianos, Xu and Kakadiaris, *Adversarial Representation Learning for Text-to-Image Matching*
    (2019). Only its abstract and introduction were at hand, with the kinds of losses; their forms, the
    discriminator (256 units, LeakyReLU 0.2) and every number are from memory and not confirmed.

    Parameters
    ----------
    features, classes, width, size : see `Rival`
    identity : float, w_ID
    adversarial : float, w at the end of training (0.1 to 1); it grows from 0 in proportion to the progress
    discriminator_rate : float, its learning rate in Adam; the encoders have 2e-4
    """

    title = "TIMAM"

    def __init__(
        self, *, identity: float = 1.0, adversarial: float = 0.1, discriminator_rate=1e-4, **sizes: int
    ):
        super().__init__(cmpc=identity, **sizes)
        if not 0 <= adversarial < float("inf"):
            raise ValueError(f"adversarial is the weight of a loss, 0 or more, not {adversarial}.")
        self.adversarial, self.discriminator_rate = adversarial, discriminator_rate
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
        """Adam: encoders and classes 2e-4, discriminator `discriminator_rate`, both times `rate`."""

        def make(parameters: list) -> torch.optim.Optimizer:
            judge = list(self.discriminator.parameters())
            known = {id(weight) for weight in judge}
            groups = [
                {"params": [weight for weight in parameters if id(weight) not in known]},
                {"params": judge, "lr": rate * self.discriminator_rate},
            ]
            return torch.optim.Adam(groups, rate * self.learning_rate, fused=True)

        return make
