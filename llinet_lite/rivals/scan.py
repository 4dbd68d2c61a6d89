"""SCAN: every cell of the picture attends to the sound, or every step of the sound to the picture.

Notebook: 06
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import SHORTEST, negatives, unit
from llinet_lite.rivals.base import Rival
from llinet_lite.rivals.hinge import hinge_costs
from llinet_lite.training import adam

__all__ = ["SCAN", "attention_scores", "hardest_hinge", "sum_hinge"]

SHARPNESS = {"t-i": (9.0, 6.0), "i-t": (4.0, 5.0)}  # lambda 1 (attention) and lambda 2 (log-sum-exp)
POOLS = ("avg", "lse", "lse_mean")
BLOCK = 2**22  # 16 MB; about six such tensors at a time


def _refuse_unknown(pool: str) -> None:
    if pool not in POOLS:
        raise ValueError(f"pool must be one of {', '.join(POOLS)}, not {pool!r}.")


def _relevance(query: Tensor, context: Tensor, products: Tensor, lambda1: float, slope: float) -> Tensor:
    """Cosine of every query with what it attends to, (N, Q, D), (M, C, D), (M, C, C) -> (N, Q, M)."""
    (n, q, _), (m, c, _) = query.shape, context.shape
    fit = query.flatten(0, 1) @ context.flatten(0, 1).T  # (N, Q, D), (M, C, D) -> (N Q, M C)
    sharp = F.leaky_relu(fit, slope).view(n, q, m, c)
    sharp = F.normalize(sharp, dim=1, eps=SHORTEST)  # over the queries, for each of the context
    weight = (lambda1 * sharp).softmax(3).view(n * q, m, c)
    dot = (weight * fit.view(n * q, m, c)).sum(2)  # x . attended, (N Q, M)
    weight = weight.transpose(0, 1)  # (N Q, M, C) -> (M, N Q, C)
    square = (torch.bmm(weight, products) * weight).sum(2)  # |attended|^2, (M, N Q)
    return (dot / square.clamp(min=SHORTEST**2).sqrt().T).view(n, q, m)


def attention_scores(
    query: Tensor,
    context: Tensor,
    *,
    lambda1: float = 9.0,
    lambda2: float = 6.0,
    pool: str = "avg",
    slope: float = 0.1,
    block: int = BLOCK,
) -> Tensor:
    r"""How well a set of vectors is explained by what it finds in another set; for all pairs of sets.

    .. math:: s_{qc} = x_q \cdot y_c, \quad
        \bar s_{qc} = \frac{\mathrm{LeakyReLU}(s_{qc})}{\lVert \mathrm{LeakyReLU}(s_{\cdot c}) \rVert},
        \quad \alpha_{qc} = \mathrm{softmax}_c(\lambda_1 \bar s_{qc}), \quad
        R_q = \cos\Big(x_q, \sum_c \alpha_{qc} y_c\Big)

    and the score pools the relevance R of the Q queries: "avg" their mean, "lse"
    :math:`\lambda_2^{-1} \ln \sum_q e^{\lambda_2 R_q}`, "lse_mean" the same with the mean in place of the
    sum. "lse" as published grows with ln(Q) / lambda2, so that a longer clip fits everything better;
    "lse_mean" does not. The attended vector itself is not formed: its length comes from the products of the
    context with itself.

    Source: Lee et al., *Stacked Cross Attention* (2018), and the authors' code.

    Parameters
    ----------
    query : Tensor (N, Q, D), x; scaled to unit length here, as is the context
    context : Tensor (M, C, D), y
    lambda1 : float, sharpness of the attention
    lambda2 : float above 0, of the log-sum-exp
    pool : "avg", "lse" or "lse_mean"
    slope : float, of the ReLU where it is negative: 0.1 in the code; 0, perhaps, in the paper
    block : int, numbers of an attention map at a time: queries are taken in parts, so that it fits in memory

    Returns
    -------
    Tensor (N, M), in [-1, 1] if averaged; float32, float64 if given, also under autocast

    Notebook: 06
    """
    _refuse_unknown(pool)
    with torch.autocast(query.device.type, enabled=False):
        query, context = unit(query), unit(context)
        products = context @ context.mT  # (M, C, C)
        rows = max(1, block // (query.shape[1] * context.shape[0] * context.shape[1]))
        parts = [_relevance(part, context, products, lambda1, slope) for part in query.split(rows)]
        relevance = torch.cat(parts)  # (N, Q, M)
    if pool == "avg":
        return relevance.mean(1)
    pooled = (lambda2 * relevance).logsumexp(1) / lambda2
    return pooled if pool == "lse" else pooled - math.log(relevance.shape[1]) / lambda2


def sum_hinge(scores: Tensor, allowed: Tensor, margin: float = 0.2) -> Tensor:
    r"""Hinge of all wrong pairs, summed over the batch and both directions.

    .. math:: L = \sum_{i \ne j} [m + S_{ij} - S_{ii}]_+ + [m + S_{ij} - S_{jj}]_+

    Parameters as `hardest_hinge`; 2 B (B - 1) m if all scores are equal and none is masked.

    Notebook: 06
    """
    first, second = hinge_costs(scores, allowed, margin)
    return first.sum() + second.sum()


def hardest_hinge(scores: Tensor, allowed: Tensor, margin: float = 0.2) -> Tensor:
    r"""Hinge of the hardest wrong partner only, summed over the batch and both directions.

    .. math:: L = \sum_i \left[m + \max_{j \ne i} S_{ij} - S_{ii}\right]_+
                + \left[m + \max_{j \ne i} S_{ji} - S_{ii}\right]_+

    Parameters
    ----------
    scores : Tensor (B, B), S: [i, j] of picture i and sound j
    allowed : Tensor (B, B) bool, symmetric: which j is a negative for i; an item without one costs nothing
    margin : float, m

    Returns
    -------
    Tensor, a scalar; 2 B m if all scores are equal: a loss that stays there has collapsed

    Notebook: 06
    """
    first, second = hinge_costs(scores, allowed, margin)
    return first.amax(1).sum() + second.amax(0).sum()


class SCAN(Rival):
    """Stacked cross attention: a picture is its cells, a sound its time steps, a score compares the sets.

    "Regions" are the cells of the trunk's last map through one linear layer, "words" the time steps of the
    audio encoder's maps, averaged over the mel rows, through another. There is no embedding of a whole
    picture or sound: all pairs have to be compared, and class prototypes cannot be had.

    The loss is `hardest_hinge`. It is known to stick where all embeddings are equal; during the first share
    `warm_up` of the training it is therefore `sum_hinge`, which the authors' code also offers.

    Source: Lee et al., *Stacked Cross Attention for Image-Text Matching* (2018), and the authors' code, for
    Flickr30K; there a picture has 36 regions of a detector, and words come from a recurrent network.

    Parameters
    ----------
    features, classes, width, size, same_class : see `Rival`; published is same_class="all", but between
        pairs made by class the hardest negative is then nearly always of the same class
    attention : "t-i", steps of the sound attend to cells (lambda1 9, lambda2 6), or "i-t", cells to steps
        (4, 5)
    pool : "avg", "lse" or "lse_mean", see `attention_scores`
    slope : float, see `attention_scores`
    margin : float, m
    warm_up : float in [0, 1]; 0 as published

    Notebook: 06
    """

    title = "SCAN"
    needs: ClassVar[tuple[str, ...]] = ("map",)
    learning_rate = 2e-4
    clip_norm = 2.0

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        width: int = 64,
        size: int = 1024,
        attention: str = "t-i",
        pool: str = "avg",
        slope: float = 0.1,
        same_class: str = "mask",
        margin: float = 0.2,
        warm_up: float = 0.1,
    ):
        super().__init__(features=features, classes=classes, width=width, size=size)
        if attention not in SHARPNESS:
            raise ValueError(f"attention must be one of {', '.join(SHARPNESS)}, not {attention!r}.")
        _refuse_unknown(pool)
        self.attention, self.pool, self.slope = attention, pool, slope
        self.same_class, self.margin, self.warm_up = same_class, margin, warm_up
        self.image = nn.Linear(features, size)
        for layer in (self.image, self.audio.fc):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def embed_image(self, seen: dict[str, Tensor]) -> Tensor:
        """Activations of the trunk, (B, F, h, w) -> one vector of length 1 per cell (B, h w, D)."""
        return unit(self.image(seen["map"].flatten(2).mT))  # (B, F, h, w) -> (B, h w, F) -> (B, h w, D)

    def embed_audio(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, 40) -> one vector of length 1 per step (B, W, D), W about T / 8."""
        steps = self.audio.maps(logmel).mean(3).mT  # (B, 8 w, W, 5) -> (B, W, 8 w)
        return unit(self.audio.fc(steps))

    def scores(self, image: Tensor, audio: Tensor) -> Tensor:
        """Attention scores, pictures (N, R, D), sounds (M, W, D) -> (N, M)."""
        query, context = (audio, image) if self.attention == "t-i" else (image, audio)
        lambda1, lambda2 = SHARPNESS[self.attention]
        scores = attention_scores(
            query, context, lambda1=lambda1, lambda2=lambda2, pool=self.pool, slope=self.slope
        )
        return scores.T if self.attention == "t-i" else scores

    def loss(
        self, seen: dict[str, Tensor], logmel: Tensor, labels: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Hinge of the hardest, or while warming up of all negatives; see the class."""
        scores = self.scores(self.embed_image(seen), self.embed_audio(logmel))
        allowed = negatives(labels, self.same_class)
        every, hardest = (rule(scores, allowed, self.margin) for rule in (sum_hinge, hardest_hinge))
        loss = every if progress < self.warm_up else hardest
        return loss, {"sum": every.detach(), "hardest": hardest.detach()}

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """Adam at 2e-4 times `rate`."""
        return adam(self.learning_rate * rate, 0.0)

    def schedule(self, epochs: int) -> Callable[[float], float]:
        """A tenth from the middle of the run on: published at epoch 15 of 30."""
        return lambda epoch: 1.0 if 2 * epoch < epochs else 0.1
