"""TIMAM: CMPM and CMPC, and a discriminator that must not tell pictures' embeddings from those of sounds.

Notebook: 06
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, unit
from llinet_lite.rivals.cmpm import CMPM

__all__ = ["TIMAM", "discriminator_loss", "reverse_gradient"]


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

    What comes before minimises -w times what comes after: both sides of a game are trained in one backward
    pass. Source: Ganin and Lempitsky, *Unsupervised Domain Adaptation by Backpropagation* (2015).

    Parameters
    ----------
    x : Tensor of any shape
    weight : float, w

    Returns
    -------
    Tensor, shaped like `x`

    Notebook: 06
    """
    return _Reverse.apply(x, weight)


def discriminator_loss(image_logits: Tensor, audio_logits: Tensor) -> Tensor:
    r"""What the discriminator minimises: pictures are class 1, sounds class 0.

    .. math:: L_D = -\frac1B \sum_i \ln \sigma(d(v_i)) - \frac1B \sum_i \ln(1 - \sigma(d(a_i)))

    Behind :func:`reverse_gradient` the encoders maximise it. The alternative is to let them minimise L_D with
    the labels exchanged, which needs a second pass. Both pull a logit d the same way. Of a picture, with
    sigma = sigma(d): the reversed gradient is 1 - sigma, that of exchanged labels sigma. They agree where the
    discriminator is undecided (1/2); where it is right and sure, the reversed one fades and the other does
    not.

    Parameters
    ----------
    image_logits, audio_logits : Tensor (B,), or any shape

    Returns
    -------
    Tensor, a scalar in nats; 2 ln 2 = 1.386 for a discriminator that cannot tell

    Notebook: 06
    """
    return F.softplus(-full_precision(image_logits)).mean() + F.softplus(full_precision(audio_logits)).mean()


class TIMAM(CMPM):
    r"""Text-image modality adversarial matching, with sounds in place of texts.

    .. math:: L = L_M + w_{ID} L_{ID} + L_D \quad\text{with the gradient of } L_D \text{ times } -w
        \text{ where it enters the encoders}

    L_M is :func:`~llinet_lite.rivals.cmpm.cmpm_loss`, L_ID
    :func:`~llinet_lite.rivals.cmpm.cmpc_loss`, L_D :func:`discriminator_loss`. The discriminator sees
    embeddings of length 1, else their lengths alone would tell the senses apart; it learns at full strength
    whatever w. The value of L contains L_D, which the encoders raise: watch the parts.

    Source: Sarafianos, Xu and Kakadiaris, *Adversarial Representation Learning for Text-to-Image Matching*
    (2019). Only its abstract and introduction were at hand: the kinds of losses are known from there; their
    forms, the discriminator and every number below, with both learning rates, are from memory and not
    confirmed.

    Parameters
    ----------
    features, classes, width, size : see :class:`llinet_lite.rivals.base.Rival`
    identity : float, w_ID; from memory
    adversarial : float, w at the end of training; from memory (0.1 to 1). It grows from 0 in proportion to
        `progress`, so that the encoders first learn what there is to hide
    hidden : int, units of the discriminator's first layer; not known
    slope : float, of its LeakyReLU; not known
    discriminator_rate : float, its learning rate in Adam; from memory, as the 2e-4 of the encoders

    Notebook: 06
    """

    title = "TIMAM"
    learning_rate = 2e-4

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        width: int = 64,
        size: int = 1024,
        identity: float = 1.0,
        adversarial: float = 0.1,
        hidden: int = 256,
        slope: float = 0.2,
        discriminator_rate: float = 1e-4,
    ):
        super().__init__(features=features, classes=classes, width=width, size=size, cmpc=identity)
        if not 0 <= adversarial < float("inf"):
            raise ValueError(f"adversarial is the weight of a loss, 0 or more, not {adversarial}.")
        self.adversarial, self.discriminator_rate = adversarial, discriminator_rate
        layers = OrderedDict(fc1=nn.Linear(size, hidden), relu=nn.LeakyReLU(slope), fc2=nn.Linear(hidden, 1))
        self.discriminator = nn.Sequential(layers)

    def judge(self, embeddings: Tensor, weight: float = 1.0) -> Tensor:
        """Logits (B,) that embeddings (B, D) are pictures'; `weight`: of the gradient that is reversed."""
        return self.discriminator(reverse_gradient(unit(embeddings), weight))[:, 0]  # (B, 1) -> (B,)

    def loss(
        self, seen: dict[str, Tensor], logmel: Tensor, labels: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See :meth:`llinet_lite.rivals.base.Rival.loss`; `progress` raises the weight w.

        `discriminator_accuracy` is the share of right decisions over both senses: near 1/2 when the encoders
        have won.
        """
        image, audio = self.embed_image(seen), self.embed_audio(logmel)
        matching, parts = self.matching(image, audio, labels)
        weight = self.adversarial * progress
        logits = self.judge(image, weight), self.judge(audio, weight)
        deciding = discriminator_loss(*logits)
        right = torch.cat([logits[0] > 0, logits[1] < 0]).float().mean()
        parts |= {"discriminator": deciding.detach(), "discriminator_accuracy": right}
        return matching + deciding, parts

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """Adam: encoders and classes 2e-4, discriminator `discriminator_rate`, both times `rate`."""

        def make(parameters: list) -> torch.optim.Optimizer:
            judge = {id(weight) for weight in self.discriminator.parameters()}
            groups = [
                {"params": [weight for weight in parameters if id(weight) not in judge]},
                {
                    "params": [weight for weight in parameters if id(weight) in judge],
                    "lr": rate * self.discriminator_rate,
                },
            ]
            return torch.optim.Adam(groups, rate * self.learning_rate, fused=True)

        return make
