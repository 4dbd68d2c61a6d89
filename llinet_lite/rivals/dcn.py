"""DCN: a classifier with class vectors for weights, made less sure of seen and more of unseen classes.

Notebook: 08
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision
from llinet_lite.rivals.base import Examples, Recognizer, descend, positive

DROPOUT, SCALE = 0.5, 10.0


def dcn_loss(
    seen: Tensor, labels: Tensor, unseen: Tensor | None, *, l_ce: float = 2.0, l_e=0.03, weight: float = 1.0
) -> Tensor:
    r"""Cross-entropy over seen classes, plus how undecided the same images are among unseen ones.

    .. math:: L = -\frac1B \sum_i \ln \mathrm{softmax}(l_{ce} f_i)_{y_i} + w \frac1B \sum_i H(q_i), \quad
        q_i = \mathrm{softmax}(l_e f'_i), \quad H(q) = -\sum_c q_c \ln q_c

    with f (B, K) scores of seen, f' (B, U) of unseen classes, which are not read where w = 0. The entropy is
    minimized: an image of a seen class should be like some unseen classes and unlike others. The factors l
    are inverse temperatures. ln K + w ln U where all scores are equal.

    Source: Liu, Long, Wang and Jordan, *Generalized Zero-Shot Learning with Deep Calibration Network*
    (2018), equations as in their code.
    """
    loss = F.cross_entropy(l_ce * full_precision(seen), labels.long())
    if not weight:
        return loss
    logs = (l_e * full_precision(unseen)).log_softmax(1)  # (B, U)
    return loss - weight * (logs.exp() * logs).sum(1).mean()


class DCN(Recognizer):
    r"""Deep calibration network: images go to the class vectors, f_c(x) = phi(x) . w_c.

    phi is FC ReLU dropout FC tanh, F -> hidden -> D; w_c = 10 tanh(s_c) with the class vector s_c of length
    1, fixed. Loss: `dcn_loss`. Images: less the mean of training images and divided by their standard
    deviation, feature by feature, then divided by the largest absolute value of all; a feature that does not
    vary becomes 0 (the released code overwrites one deviation by 1 instead).

    Source: Liu et al. (2018) and their code: hidden 1024 (here at most 2 F), dropout 0.5, weights drawn from
    N(0, 0.01) and N(0, 0.03), Adam with 1e-4 (1 + 0.01 t)^-0.75 at step t, batch 64, 100 000 steps, no weight
    decay (the paper has one). There dropout stays on in tests, so that its numbers are noisy; here it does
    not. Here weights start with 0.01 sqrt(2048 / F) and 0.03 sqrt(1024 / hidden): the same outputs at any
    size.

    Parameters
    ----------
    l_ce : float, factor on the scores of seen classes. Published for generalized recognition: 2 (AWA), 5
        (SUN, CUB), 3 (aPY); without unseen classes in the loss: 2, 10, 8, 3. It belongs to the size of w_c
        and thus to D: to be chosen anew
    l_e : float, factor on the scores of unseen classes. Published: 0.03 (AWA, CUB), 0.1 (SUN), 1 (aPY)
    weight : float, of the entropy, 1 as published; 0 leaves it out (aPY, and plain zero-shot recognition)
    rate : float, multiplies the published learning rate, for runs of a thousand steps
    """

    title = "DCN"
    needs_unseen = True
    grid = tuple(
        {"l_ce": l_ce, "l_e": l_e, "weight": weight}
        for l_ce, l_e, weight in (
            (2.0, 0.03, 1.0), (0.5, 0.03, 1.0), (0.1, 0.03, 1.0),
            (0.5, 0.1, 1.0), (2.0, 0.03, 0.0), (0.5, 0.03, 0.0),
        )
    )  # fmt: skip

    def __init__(
        self, *, l_ce: float = 2.0, l_e: float = 0.03, weight: float = 1.0, rate: float = 3.0, **sizes: int
    ):
        super().__init__(**sizes)
        positive(l_ce=l_ce, l_e=l_e, rate=rate)
        positive(weight=weight, or_zero=True)
        self.needs_unseen, self.rate = weight > 0, rate
        self.how = {"l_ce": l_ce, "l_e": l_e, "weight": weight}
        hidden = min(1024, 2 * self.features)
        self.first, self.second = nn.Linear(self.features, hidden), nn.Linear(hidden, self.semantics)

    def start(self) -> None:
        for layer, spread, inputs in ((self.first, 0.01, 2048), (self.second, 0.03, 1024)):
            nn.init.normal_(layer.weight, std=spread * (inputs / layer.in_features) ** 0.5)
            nn.init.zeros_(layer.bias)

    def measure(self, images: Tensor) -> None:
        # largest by its absolute value; the released code takes the signed maximum
        spread, self.shift[:] = images.std(0, correction=0), images.mean(0)
        # a constant feature's deviation is rounding: divided by infinity it stays 0, in tests too
        dead = spread <= 1e-6 * images.abs().amax(0)
        self.spread[:] = spread.masked_fill(dead, torch.inf)
        largest = self.standardized(images).abs().max()
        self.spread *= torch.where(largest > 0, largest, torch.ones_like(largest))

    def phi(self, images: Tensor, drop: bool = False) -> Tensor:
        """Standardized images (B, F) -> (B, D) in (-1, 1); dropout only if told, whatever the mode."""
        hidden = F.dropout(torch.relu(self.first(images)), DROPOUT, training=drop)
        return torch.tanh(self.second(hidden))

    def compare(self, images: Tensor, classes: Tensor) -> Tensor:
        return self.phi(images) @ (SCALE * torch.tanh(classes)).T

    def fit(self, examples: Examples, epochs: int) -> None:
        seen = (SCALE * torch.tanh(examples.classes)).T  # (D, K)
        unseen = (SCALE * torch.tanh(examples.unseen)).T if self.needs_unseen else None

        def loss(chosen: Tensor) -> Tensor:
            phi = self.phi(examples.images[chosen], drop=True)
            among = phi @ unseen if unseen is not None else None
            return dcn_loss(phi @ seen, examples.labels[chosen], among, **self.how)

        adam = torch.optim.Adam(self.parameters(), 1e-4 * self.rate, fused=True)
        descend(adam, loss, examples, epochs=epochs, decay=lambda step, steps: (1 + 0.01 * step) ** -0.75)
