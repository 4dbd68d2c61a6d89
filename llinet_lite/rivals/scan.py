"""SCAN: every step of the audio attends to the image, or every cell of the image to the audio.

Notebook: 06
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import SHORTEST, negatives, unit
from llinet_lite.rivals.base import Rival, hinge_costs

SHARPNESS = {"t-i": 9.0, "i-t": 4.0}  # lambda
BLOCK = 2**22  # numbers of an attention map at a time, 16 MB; about six such tensors exist


def attention_scores(query: Tensor, context: Tensor, sharpness=9.0, *, block: int = BLOCK) -> Tensor:
    r"""How well a set of vectors is explained by what it finds in another set; for all pairs of sets.

    .. math:: s_{qc} = x_q \cdot y_c, \quad
        \bar s_{qc} = \frac{\mathrm{LeakyReLU}(s_{qc})}{\lVert \mathrm{LeakyReLU}(s_{\cdot c}) \rVert},
        \quad \alpha_{qc} = \mathrm{softmax}_c(\lambda \bar s_{qc}), \quad
        R = \frac1Q \sum_q \cos\Big(x_q, \sum_c \alpha_{qc} y_c\Big)

    with queries x (N, Q, D) and contexts y (M, C, D), both scaled to length 1 here -> R (N, M). The attended
    vector itself is not formed: its length comes from the products of the context with itself. Queries are
    taken in parts, so that only `block` numbers of a map are in memory.

    Source: Lee et al., *Stacked Cross Attention* (2018), and the authors' code: of their two ways to pool,
    the mean; the LeakyReLU's slope is 0.1 there, in the paper perhaps 0.
    """
    with torch.autocast(query.device.type, enabled=False):
        query, context = unit(query), unit(context)
        products = context @ context.mT  # (M, C, C)
        rows = max(1, block // (query.shape[1] * context.shape[0] * context.shape[1]))
        parts = [_relevance(part, context, products, sharpness) for part in query.split(rows)]
        return torch.cat(parts).mean(1)  # (N, Q, M) -> (N, M)


def _relevance(query: Tensor, context: Tensor, products: Tensor, sharpness: float) -> Tensor:
    """Cosine of every query with what it attends to, (N, Q, D), (M, C, D), (M, C, C) -> (N, Q, M)."""
    (n, q, _), (m, c, _) = query.shape, context.shape
    fit = query.flatten(0, 1) @ context.flatten(0, 1).T  # (N, Q, D), (M, C, D) -> (N Q, M C)
    sharp = F.leaky_relu(fit, 0.1).view(n, q, m, c)
    sharp = F.normalize(sharp, dim=1, eps=SHORTEST)  # over the queries, for each of the context
    weight = (sharpness * sharp).softmax(3).view(n * q, m, c)
    dot = (weight * fit.view(n * q, m, c)).sum(2)  # x . attended, (N Q, M)
    weight = weight.transpose(0, 1)  # (N Q, M, C) -> (M, N Q, C)
    square = (torch.bmm(weight, products) * weight).sum(2)  # |attended|^2, (M, N Q)
    return (dot / square.clamp(min=SHORTEST**2).sqrt().T).view(n, q, m)


def sum_hinge(scores: Tensor, allowed: Tensor, margin: float = 0.2) -> Tensor:
    r"""Hinge of all wrong pairs, summed over the batch and both directions.

    .. math:: L = \sum_{i \ne j} [m + S_{ij} - S_{ii}]_+ + [m + S_{ij} - S_{jj}]_+

    2 B (B - 1) m if all scores are equal and none is masked, see `hinge_costs`.
    """
    first, second = hinge_costs(scores, allowed, margin)
    return first.sum() + second.sum()


def hardest_hinge(scores: Tensor, allowed: Tensor, margin: float = 0.2) -> Tensor:
    r"""Hinge of the hardest wrong partner only, summed over the batch and both directions.

    .. math:: L = \sum_i \left[m + \max_{j \ne i} S_{ij} - S_{ii}\right]_+
                + \left[m + \max_{j \ne i} S_{ji} - S_{ii}\right]_+

    2 B m if all scores are equal: a loss that stays there has collapsed. See `hinge_costs`.
    """
    first, second = hinge_costs(scores, allowed, margin)
    return first.amax(1).sum() + second.amax(0).sum()


class SCAN(Rival):
    """Stacked cross attention: an image is its cells, an audio its time steps, a score compares the sets.

    "Regions" are the cells of the trunk's last map through one linear layer, "words" the time steps of the
    audio encoder's maps, averaged over the mel rows, through another. There is no embedding of a whole image
    or audio: all pairs have to be compared, and class prototypes cannot be had. The loss is `hardest_hinge`.
    It is known to stick where all embeddings are equal; during the first share `warm_up` of the training it
    is therefore `sum_hinge`, which the authors' code also offers.

    Source: Lee et al., *Stacked Cross Attention for Image-Text Matching* (2018), and the authors' code, for
    Flickr30K; there an image has 36 regions of a detector, and words come from a recurrent network.

    `attention` is "t-i", steps of the audio attend to cells (lambda 9), or "i-t", cells to steps (4);
    `warm_up` is 0 as published. With same_class="all", as published, the hardest negative between pairs made
    by class is nearly always of the same class.
    """

    title = "SCAN"
    needs = ("map",)
    learning_rate = 2e-4
    clip_norm = 2.0

    def __init__(
        self, *, attention: str = "t-i", same_class: str = "mask", margin=0.2, warm_up=0.1, **sizes: int
    ):
        super().__init__(**sizes)
        if attention not in SHARPNESS:
            raise ValueError(f"attention must be one of {', '.join(SHARPNESS)}, not {attention!r}.")
        self.attention, self.same_class, self.margin, self.warm_up = attention, same_class, margin, warm_up
        self.image = nn.Linear(self.features, self.size)
        for layer in (self.image, self.audio.fc):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def embed_image(self, image: dict[str, Tensor]) -> Tensor:
        """Activations of the trunk, (B, F, h, w) -> one vector of length 1 per cell (B, h w, D)."""
        return unit(self.image(image["map"].flatten(2).mT))  # (B, F, h, w) -> (B, h w, F) -> (B, h w, D)

    def embed_audio(self, audio: Tensor) -> Tensor:
        """Log-mel (B, T, 40) -> one vector of length 1 per step (B, W, D), W about T / 8."""
        steps = self.audio.maps(audio).mean(3).mT  # (B, 8 w, W, 5) -> (B, W, 8 w)
        return unit(self.audio.fc(steps))

    def scores(self, image: Tensor, audio: Tensor) -> Tensor:
        """`attention_scores` of images (N, R, D) and audios (M, W, D) -> (N, M)."""
        sharpness = SHARPNESS[self.attention]
        if self.attention == "t-i":
            return attention_scores(audio, image, sharpness).T
        return attention_scores(image, audio, sharpness)

    def loss(self, inputs: tuple[dict, Tensor], batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
        scores = self.scores(self.embed_image(inputs[0]), self.embed_audio(inputs[1]))
        allowed = negatives(batch["label"], self.same_class)
        every, hardest = (rule(scores, allowed, self.margin) for rule in (sum_hinge, hardest_hinge))
        loss = every if batch.get("progress", 0.0) < self.warm_up else hardest
        return loss, {"sum": every.detach(), "hardest": hardest.detach()}

    def schedule(self, epochs: int) -> Callable[[float], float]:
        """A tenth from the middle of the run on: published at epoch 15 of 30."""
        return lambda epoch: 1.0 if 2 * epoch < epochs else 0.1
