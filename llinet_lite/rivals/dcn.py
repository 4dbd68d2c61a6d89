"""DCN: a classifier with class vectors for weights, made less sure of seen and more of unseen classes.

Notebook: 08
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision
from llinet_lite.rivals.recogniser import Examples, Recogniser, descend, positive, width

__all__ = ["DCN", "dcn_loss"]


def dcn_loss(
    seen: Tensor,
    labels: Tensor,
    unseen: Tensor | None,
    *,
    l_ce: float = 2.0,
    l_e: float = 0.03,
    weight: float = 1.0,
) -> Tensor:
    r"""Cross-entropy over seen classes, plus how undecided the same pictures are among unseen ones.

    .. math:: L = -\frac1B \sum_i \ln \mathrm{softmax}(l_{ce} f_i)_{y_i} + w \frac1B \sum_i H(q_i), \quad
        q_i = \mathrm{softmax}(l_e f'_i), \quad H(q) = -\sum_c q_c \ln q_c

    with f scores of seen, f' of unseen classes. The entropy is minimised: a picture of a seen class should be
    like some unseen classes and unlike others. The factors l are inverse temperatures.

    Source: Liu, Long, Wang and Jordan, *Generalized Zero-Shot Learning with Deep Calibration Network*
    (2018), equations as in their code.

    Parameters
    ----------
    seen : Tensor (B, K), f
    labels : Tensor (B,) integer, 0 to K - 1
    unseen : Tensor (B, U), f'; None where `weight` is 0
    l_ce, l_e, weight : float, l_ce, l_e, w; see :class:`DCN`

    Returns
    -------
    Tensor, a scalar in nats; ln K + w ln U where all scores are equal

    Notebook: 08
    """
    loss = F.cross_entropy(l_ce * full_precision(seen), labels.long())
    if not weight:
        return loss
    if unseen is None:
        raise ValueError("The entropy needs scores of unseen classes: give unseen, or a weight of 0.")
    logs = (l_e * full_precision(unseen)).log_softmax(1)  # (B, U)
    return loss - weight * (logs.exp() * logs).sum(1).mean()


class DCN(Recogniser):
    r"""Deep calibration network: pictures go to the class vectors, f_c(x) = phi(x) . w_c.

    phi is FC ReLU dropout FC tanh, F -> hidden -> D; w_c = 10 tanh(s_c) with the class vector s_c of length
    1, fixed. Loss: :func:`dcn_loss`. Pictures: less the mean of training pictures and divided by their
    standard deviation, feature by feature, then divided by the largest absolute value of all; a feature that
    does not vary becomes 0 (the released code overwrites one deviation by 1 instead).

    Source: Liu et al. (2018) and their code: hidden 1024, weights drawn from N(0, 0.01) and N(0, 0.03), Adam
    with 1e-4 (1 + 0.01 t)^-0.75 at step t, batch 64, 100 000 steps, no weight decay (the paper has one).
    There dropout stays on in tests, so that its numbers are noisy; here it does not. Here weights start with
    0.01 sqrt(2048 / F) and 0.03 sqrt(1024 / hidden): the same outputs at any size.

    Parameters
    ----------
    features, semantics : see :class:`llinet_lite.rivals.recogniser.Recogniser`
    hidden : int, default 1024 as published where F is 2048, at most 2 F
    l_ce : float, factor on the scores of seen classes. Published for generalized recognition: 2 (AWA), 5
        (SUN, CUB), 3 (aPY); without unseen classes in the loss: 2, 10, 8, 3. It belongs to the size of w_c:
        vectors of length 1 with D = 85 have entries of 0.11, with D = 1024 of 0.03, and 10 tanh does not
        change their ratio; so it is to be chosen anew
    l_e : float, factor on the scores of unseen classes. Published: 0.03 (AWA, CUB), 0.1 (SUN), 1 (aPY)
    weight : float, of the entropy, 1 as published; 0 leaves it out (aPY, and plain zero-shot recognition)
    dropout : float, share of hidden units left out in training, 0.5
    scale : float, 10: of the class vectors' tanh
    rate : float, multiplies the published learning rate, for runs of a thousand steps, not a hundred
        thousand. On synthetic classes with a linear link (24 seen, 8 unseen, 720 steps, three worlds) 1, 3,
        10, 30 gave 0.88, 0.89, 0.88, 0.70 on unseen ones
    penalty : float, weight decay; 0 as released
    batch : int, 64

    Notebook: 08
    """

    title = "DCN"
    needs_unseen = True
    grid = (
        {"l_ce": 2.0, "l_e": 0.03, "weight": 1.0},
        {"l_ce": 0.5, "l_e": 0.03, "weight": 1.0},
        {"l_ce": 0.1, "l_e": 0.03, "weight": 1.0},
        {"l_ce": 0.5, "l_e": 0.1, "weight": 1.0},
        {"l_ce": 2.0, "l_e": 0.03, "weight": 0.0},
        {"l_ce": 0.5, "l_e": 0.03, "weight": 0.0},
    )

    def __init__(
        self,
        *,
        features: int,
        semantics: int,
        hidden: int | None = None,
        l_ce: float = 2.0,
        l_e: float = 0.03,
        weight: float = 1.0,
        dropout: float = 0.5,
        scale: float = 10.0,
        rate: float = 3.0,
        penalty: float = 0.0,
        batch: int = 64,
    ):
        super().__init__(features=features, semantics=semantics)
        hidden = hidden or width(1024, features)
        positive(l_ce=l_ce, l_e=l_e, scale=scale, rate=rate, batch=batch)
        if weight < 0 or not 0 <= dropout < 1:
            raise ValueError(f"weight must be 0 or more, dropout in [0, 1), not {weight} and {dropout}.")
        self.needs_unseen = weight > 0
        self.how = {"l_ce": l_ce, "l_e": l_e, "weight": weight}
        self.dropout, self.scale, self.rate, self.penalty, self.batch = dropout, scale, rate, penalty, batch
        self.first, self.second = nn.Linear(features, hidden), nn.Linear(hidden, semantics)

    def start(self) -> None:
        """Draw the weights anew; biases are 0."""
        for layer, spread, inputs in ((self.first, 0.01, 2048), (self.second, 0.03, 1024)):
            nn.init.normal_(layer.weight, std=spread * (inputs / layer.in_features) ** 0.5)
            nn.init.zeros_(layer.bias)

    def measure(self, images: Tensor) -> None:
        """Mean, deviation and the one largest value of the training pictures (N, F)."""
        spread, self.shift[:] = images.std(0, correction=0), images.mean(0)
        # a constant feature's deviation is rounding: divided by infinity it stays 0, in tests too
        dead = spread <= 1e-6 * images.abs().amax(0)
        self.spread[:] = spread.masked_fill(dead, torch.inf)
        largest = self.standardised(images).abs().max()
        self.spread *= torch.where(largest > 0, largest, torch.ones_like(largest))

    def phi(self, images: Tensor, drop: bool = False) -> Tensor:
        """Standardised pictures (B, F) -> (B, D) in (-1, 1); dropout only if told, whatever the mode."""
        hidden = F.dropout(torch.relu(self.first(images)), self.dropout, training=drop)
        return torch.tanh(self.second(hidden))

    def weights(self, classes: Tensor) -> Tensor:
        """Class vectors (C, D) of length 1 -> w_c (C, D)."""
        return self.scale * torch.tanh(classes)

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        """Pictures (B, F) -> phi (B, D)."""
        return self.phi(self.standardised(self._pictures(images)))

    def compare(self, images: Tensor, classes: Tensor) -> Tensor:
        """phi(x) . w_c, (B, C)."""
        return self.phi(images) @ self.weights(classes).T

    def fit(self, examples: Examples, *, epochs: int, quiet: bool) -> None:
        """Adam on :func:`dcn_loss`."""
        seen = self.weights(examples.classes).T  # (D, K)
        unseen = self.weights(examples.unseen).T if self.needs_unseen else None

        def loss(chosen: Tensor) -> Tensor:
            phi = self.phi(examples.images[chosen], drop=True)
            among = phi @ unseen if unseen is not None else None
            return dcn_loss(phi @ seen, examples.labels[chosen], among, **self.how)

        adam = torch.optim.Adam(self.parameters(), 1e-4 * self.rate, weight_decay=self.penalty, fused=True)
        descend(
            self, adam, loss, len(examples.images), batch=self.batch, epochs=epochs, quiet=quiet,
            decay=lambda step, steps: (1 + 0.01 * step) ** -0.75,
        )  # fmt: skip
