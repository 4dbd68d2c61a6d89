"""SIR: a recurrent network that listens, attention that sums up, and all pairs of the batch compared.

Notebook: 06
"""

import math
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from llinet_lite.losses import cosines, negatives
from llinet_lite.rivals.base import Rival, hinge_costs


def mean_hinge(scores: Tensor, allowed: Tensor, margin: float = 0.2) -> tuple[Tensor, Tensor]:
    r"""Every wrong pair of the batch a hinge, and their mean.

    .. math:: L_{I \to A} = \frac{1}{B^2} \sum_{i \ne j} [m + S_{ij} - S_{ii}]_+, \qquad
              L_{A \to I} = \frac{1}{B^2} \sum_{i \ne j} [m + S_{ij} - S_{jj}]_+

    The diagonal and what is masked count as 0 in the mean. Their sum is 2 m (B - 1) / B, 0.39 for m = 0.2
    and B = 32, if all embeddings are equal and none is masked: a loss that stays there has collapsed.
    """
    first, second = hinge_costs(scores, allowed, margin)
    return first.mean(), second.mean()


class VectorialAttention(nn.Module):
    r"""Sum up a sequence, with a weight of its own for every feature of every step.

    .. math:: \alpha_t = \mathrm{softmax}_t(W_2 \tanh(W_1 h_t + b_1) + b_2), \qquad
              e = \sum_t \alpha_t \odot h_t
    """

    def __init__(self, size: int, hidden: int = 128):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(size, hidden), nn.Linear(hidden, size)

    def forward(self, steps: Tensor) -> Tensor:
        """(B, T, size) -> (B, size)."""
        return (self.fc2(torch.tanh(self.fc1(steps))).softmax(1) * steps).sum(1)


class RecurrentEncoder(nn.Module):
    """The paper's own audio encoder: log-mel (B, T, 40), T at least 6 -> (B, 32 width), not normalized.

    A convolution over 6 frames with stride 2, four bidirectional GRU layers, vectorial attention. At width
    64: 64 channels, 1024 units in each direction, 128 in the attention, 2048 out. The authors' code now has
    LSTMs in place of the paper's GRUs.
    """

    def __init__(self, width: int = 64, bands: int = 40):
        super().__init__()
        units = 16 * width
        self.size = 2 * units
        self.conv = nn.Conv1d(bands, width, 6, stride=2, bias=False)
        nn.init.xavier_uniform_(self.conv.weight)
        self.recurrent = nn.GRU(width, units, num_layers=4, batch_first=True, bidirectional=True)
        self.attention = VectorialAttention(self.size, 2 * width)

    def forward(self, logmel: Tensor) -> Tensor:
        frames = self.conv(logmel.transpose(1, 2))  # (B, bands, T) -> (B, width, T')
        # under autocast cuDNN's recurrent networks take float16, in which most gradients here are zero
        on_gpu = frames.device.type == "cuda"
        with torch.autocast("cuda", enabled=False) if on_gpu else nullcontext():
            frames = frames.float() if on_gpu else frames
            steps, _ = self.recurrent(frames.transpose(1, 2))  # (B, T', width) -> (B, T', 32 width)
        return self.attention(steps)


class SIR(Rival):
    r"""Speech to image retrieval: a linear layer for the image, a recurrent network for the audio.

    .. math:: L = L_{I \to A} + L_{A \to I}

    of `mean_hinge`, with the dot product of unit vectors. LLINet's page leaves this rival its recurrent
    network and attention, `RecurrentEncoder`.

    Source: Merkx, Frank and Ernestus, *Language learning using Speech to Image retrieval* (2019), and the
    authors' code. Left out are their mean over the networks at the end of every cycle of the learning rate,
    and "importance sampling", the largest costs alone. Embeddings have 32 width numbers; `size` is not used.
    """

    title = "SIR"
    learning_rate = 2e-4

    def __init__(self, *, same_class: str = "mask", margin: float = 0.2, width: int = 64, **sizes: int):
        super().__init__(width=width, **sizes)
        self.same_class, self.margin = same_class, margin
        self.audio = RecurrentEncoder(width)
        self.size = self.audio.size
        self.image = nn.Linear(self.features, self.size)
        nn.init.xavier_uniform_(self.image.weight)

    def loss(self, inputs: tuple[dict, Tensor], batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
        scores = cosines(self.embed_image(inputs[0]), self.embed_audio(inputs[1]))
        first, second = mean_hinge(scores, negatives(batch["label"], self.same_class), self.margin)
        return first + second, {"image_to_audio": first.detach(), "audio_to_image": second.detach()}

    def schedule(self, epochs: int) -> Callable[[float], float]:
        """Cosine from 1e-6 up to 2e-4 and back every 4 epochs; stretched so that the last cycle ends."""
        low, cycle = 1e-6 / self.learning_rate, epochs / max(1, round(epochs / 4))
        return lambda epoch: low + (1 - low) * (1 - math.cos(2 * math.pi * epoch / cycle)) / 2
