"""SIR: a recurrent network that listens, attention that sums up, and all pairs of the batch compared.

Notebook: 06
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from llinet_lite.losses import cosines, negatives, unit
from llinet_lite.models.towers import image_head
from llinet_lite.rivals.base import Rival
from llinet_lite.rivals.hinge import hinge_costs
from llinet_lite.training import adam

__all__ = ["SIR", "RecurrentEncoder", "VectorialAttention", "mean_hinge"]

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}
LOWEST = 1e-6  # learning rate between two cycles
CYCLE = 4  # epochs


def mean_hinge(
    scores: Tensor, allowed: Tensor, margin: float = 0.2, hardest: int | None = None
) -> tuple[Tensor, Tensor]:
    r"""Every wrong pair of the batch a hinge, and their mean.

    .. math:: L_{I \to A} = \frac{1}{B^2} \sum_{i \ne j} [m + S_{ij} - S_{ii}]_+, \qquad
              L_{A \to I} = \frac{1}{B^2} \sum_{i \ne j} [m + S_{ij} - S_{jj}]_+

    The diagonal and what is masked count as 0 in the mean. Their sum is 2 m (B - 1) / B, 0.39 for m = 0.2
    and B = 32, if all embeddings are equal and none is masked: a loss that stays there has collapsed.

    Parameters
    ----------
    scores : Tensor (B, B), S: [i, j] of picture i and sound j
    allowed : Tensor (B, B) bool, symmetric: which j counts for i
    margin : float, m
    hardest : int n, 1 or more, or None: only the n largest costs of every item, and the mean over n B of
        them; the paper's "importance sampling"

    Returns
    -------
    image_to_audio, audio_to_image : Tensor, a scalar each

    Notebook: 06
    """
    first, second = hinge_costs(scores, allowed, margin)
    if hardest is not None:
        count = min(hardest, len(scores))
        first, second = first.topk(count, dim=1).values, second.topk(count, dim=0).values
    return first.mean(), second.mean()


class VectorialAttention(nn.Module):
    r"""Sum up a sequence, with a weight of its own for every feature of every step.

    .. math:: \alpha_t = \mathrm{softmax}_t(W_2 \tanh(W_1 h_t + b_1) + b_2), \qquad
              e = \sum_t \alpha_t \odot h_t

    Parameters
    ----------
    size : int, of h_t
    hidden : int, of W_1 h_t

    Notebook: 06
    """

    def __init__(self, size: int, hidden: int = 128):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(size, hidden), nn.Linear(hidden, size)

    def forward(self, steps: Tensor) -> Tensor:
        """(B, T, size) -> (B, size)."""
        return (self.fc2(torch.tanh(self.fc1(steps))).softmax(1) * steps).sum(1)


class RecurrentEncoder(nn.Module):
    """The paper's own audio encoder: log-mel (B, T, 40), T at least 6 -> (B, 32 width), not normalised.

    A convolution over 6 frames with stride 2, four bidirectional recurrent layers, vectorial attention. At
    width 64: 64 channels, 1024 units in each direction, 128 in the attention, 2048 out. Steps that pad a
    batch of unequal clips would get attention as any other, as in the authors' code; clips here are equal.

    Parameters
    ----------
    width : int, channels of the convolution
    cell : "gru", as the paper has it, or "lstm", as the authors' code has it now
    bands : int; 39 features in the paper

    Notebook: 06
    """

    def __init__(self, width: int = 64, cell: str = "gru", bands: int = 40):
        super().__init__()
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {', '.join(CELLS)}, not {cell!r}.")
        units = 16 * width
        self.size = 2 * units
        self.conv = nn.Conv1d(bands, width, 6, stride=2, bias=False)
        nn.init.xavier_uniform_(self.conv.weight)
        self.recurrent = CELLS[cell](width, units, num_layers=4, batch_first=True, bidirectional=True)
        self.attention = VectorialAttention(self.size, 2 * width)

    def forward(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, bands) -> (B, 32 width)."""
        frames = self.conv(logmel.transpose(1, 2))  # (B, bands, T) -> (B, width, T')
        # Under autocast cuDNN's recurrent networks take float16, in which most gradients here are zero.
        on_gpu = frames.device.type == "cuda"
        with torch.autocast("cuda", enabled=False) if on_gpu else nullcontext():
            frames = frames.float() if on_gpu else frames
            steps, _ = self.recurrent(frames.transpose(1, 2))  # (B, T', width) -> (B, T', 32 width)
        return self.attention(steps)


class SIR(Rival):
    r"""Speech to image retrieval: a linear layer for the picture, a recurrent network for the sound.

    .. math:: L = L_{I \to A} + L_{A \to I}

    of `mean_hinge`, with the dot product of unit vectors. LLINet's page leaves this rival its recurrent
    network and attention.

    Source: Merkx, Frank and Ernestus, *Language learning using Speech to Image retrieval* (2019), and the
    authors' code. They average the embeddings of the weights at the end of every cycle of the learning rate;
    that takes several trained networks, and is no part of this one.

    Parameters
    ----------
    features, classes, width, same_class : see `Rival`; published is same_class="all"
    size : int, of the embeddings of `encoder="shared"`; those of "own" are 32 width
    encoder : "own", `RecurrentEncoder` and one linear layer for the picture, or "shared", the audio encoder
        and image head of all rivals
    cell : "gru" or "lstm", of "own"
    margin : float, m
    hardest : int or None, see `mean_hinge`

    Notebook: 06
    """

    title = "SIR"
    learning_rate = 2e-4

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        width: int = 64,
        size: int = 1024,
        encoder: str = "own",
        cell: str = "gru",
        same_class: str = "mask",
        margin: float = 0.2,
        hardest: int | None = None,
    ):
        super().__init__(features=features, classes=classes, width=width, size=size)
        if encoder not in ("own", "shared"):
            raise ValueError(f'encoder must be "own" or "shared", not {encoder!r}.')
        if hardest is not None and hardest < 1:
            raise ValueError(f"hardest is how many negatives of an item count, at least 1; got {hardest}.")
        self.same_class, self.margin, self.hardest = same_class, margin, hardest
        if encoder == "own":
            self.audio = RecurrentEncoder(width, cell)
            self.size = self.audio.size
            self.image = nn.Linear(features, self.size)
            nn.init.xavier_uniform_(self.image.weight)
        else:
            self.image = image_head(features, size)

    def embed_image(self, seen: dict[str, Tensor]) -> Tensor:
        """Activations of the trunk -> embeddings (B, D) of length 1."""
        return unit(self.image(seen["pooled"]))

    def embed_audio(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, 40) -> embeddings (B, D) of length 1."""
        return unit(self.audio(logmel))

    def loss(
        self, seen: dict[str, Tensor], logmel: Tensor, labels: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean hinge over all pairs in both directions, see the class."""
        scores = cosines(self.embed_image(seen), self.embed_audio(logmel))
        allowed = negatives(labels, self.same_class)
        first, second = mean_hinge(scores, allowed, self.margin, self.hardest)
        return first + second, {"image_to_audio": first.detach(), "audio_to_image": second.detach()}

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """Adam at 2e-4 times `rate`, the highest of the cycle."""
        return adam(self.learning_rate * rate, 0.0)

    def schedule(self, epochs: int) -> Callable[[float], float]:
        """Cosine from 1e-6 up to 2e-4 and back every 4 epochs; stretched so that the last cycle ends."""
        low, cycle = LOWEST / self.learning_rate, epochs / max(1, round(epochs / CYCLE))
        return lambda epoch: low + (1 - low) * (1 - math.cos(2 * math.pi * epoch / cycle)) / 2
