"""ULSLVC: spoken captions and pictures, told apart from one random impostor.

Notebook: 06
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from llinet_lite.losses import cosines, negatives, unit
from llinet_lite.models.towers import image_head
from llinet_lite.rivals.base import Rival
from llinet_lite.rivals.hinge import hinge_costs

__all__ = ["ULSLVC", "ConvolutionalEncoder", "draw_impostors", "impostor_hinge"]


def draw_impostors(allowed: Tensor) -> Tensor:
    """For every item one of its negatives, all equally likely, from torch's generator of the device.

    Parameters
    ----------
    allowed : Tensor (B, B) bool, which j is a negative for i

    Returns
    -------
    Tensor (B,) integer; 0 for an item without a negative, see `impostor_hinge`

    Notebook: 06
    """
    lots = torch.rand(allowed.shape, device=allowed.device)
    return lots.masked_fill(~allowed, -1.0).argmax(1)


def impostor_hinge(
    scores: Tensor, allowed: Tensor, sounds: Tensor, pictures: Tensor, margin: float = 1.0
) -> tuple[Tensor, Tensor]:
    r"""One wrong sound for every picture, and one wrong picture for every sound.

    .. math:: L_{I \to A} = \frac1B \sum_i [m + S_{i s_i} - S_{ii}]_+, \qquad
              L_{A \to I} = \frac1B \sum_i [m + S_{p_i i} - S_{ii}]_+

    Parameters
    ----------
    scores : Tensor (B, B), S: [i, j] of picture i and sound j
    allowed : Tensor (B, B) bool, symmetric; an impostor that is not allowed costs nothing
    sounds : Tensor (B,) integer, s: the impostor of every picture
    pictures : Tensor (B,) integer, p: the impostor of every sound
    margin : float, m; 1 as published: between unit vectors the hinge is then at work until a pair's cosine
        is larger by 1, and a loss of 1 to 2 is no sign of failure

    Returns
    -------
    image_to_audio, audio_to_image : Tensor, a scalar each; m if all scores are equal

    Notebook: 06
    """
    first, second = hinge_costs(scores, allowed, margin)
    return first.gather(1, sounds[:, None]).mean(), second.gather(0, pictures[None, :]).mean()


class ConvolutionalEncoder(nn.Module):
    """The paper's own audio encoder: log-mel (B, T, 40), T at least 10 -> (B, size), not negative.

    A convolution over all bands and 5 frames, two more over 25 frames, each with ReLU; maxima of 4 with
    stride 2 after the first two, the maximum over all time after the last. The paper has clips of ten
    seconds; in 101 or 303 frames the convolutions of 25 would not fit or see hardly anything, so all three
    are padded to keep the length: the first by its edge frames (a zero is no silence in log-mel), the others
    with zeros, the floor of a ReLU.

    Parameters
    ----------
    width : int, channels of the first convolution; the second has 8 times as many. 64 in the paper
    size : int, channels of the third; 1024 in the paper
    bands : int

    Notebook: 06
    """

    def __init__(self, width: int = 64, size: int = 1024, bands: int = 40):
        super().__init__()
        layers = OrderedDict(
            conv1=nn.Conv1d(bands, width, 5, padding="same", padding_mode="replicate"),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool1d(4, 2),
            conv2=nn.Conv1d(width, 8 * width, 25, padding="same"),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool1d(4, 2),
            conv3=nn.Conv1d(8 * width, size, 25, padding="same"),
            relu3=nn.ReLU(),
        )
        self.layers = nn.Sequential(layers)
        for layer in (self.layers.conv1, self.layers.conv2, self.layers.conv3):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, bands) -> (B, size)."""
        return self.layers(logmel.transpose(1, 2)).amax(2)  # (B, bands, T) -> (B, size, T') -> (B, size)


class ULSLVC(Rival):
    r"""Unsupervised learning of spoken language with visual context: a margin to one random impostor.

    .. math:: L = L_{I \to A} + L_{A \to I}

    of `impostor_hinge`, with the dot product of unit vectors. An impostor comes from torch's own generator,
    anew in every step.

    Source: Harwath, Torralba and Glass (2016); loss and optimizer as in the authors' later DAVEnet code, as
    the first paper's (batch 128, rate 1e-5, 50 epochs) are not confirmed. The variants that match parts of a
    picture with frames of a sound belong to the later papers.

    Parameters
    ----------
    features, classes, width, size, same_class : see `Rival`; published is same_class="all"
    encoder : "shared", the audio encoder and image head of all rivals, as in LLINet's comparison, or "own",
        `ConvolutionalEncoder` and one linear layer for the picture
    margin : float, m

    Notebook: 06
    """

    title = "ULSLVC"
    learning_rate = 1e-3

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        width: int = 64,
        size: int = 1024,
        encoder: str = "shared",
        same_class: str = "mask",
        margin: float = 1.0,
    ):
        super().__init__(features=features, classes=classes, width=width, size=size)
        if encoder not in ("shared", "own"):
            raise ValueError(f'encoder must be "shared" or "own", not {encoder!r}.')
        self.same_class, self.margin = same_class, margin
        self.image = image_head(features, size) if encoder == "shared" else nn.Linear(features, size)
        if encoder == "own":
            self.audio = ConvolutionalEncoder(width, size)

    def embed_image(self, seen: dict[str, Tensor]) -> Tensor:
        """Activations of the trunk -> embeddings (B, D) of length 1."""
        return unit(self.image(seen["pooled"]))

    def embed_audio(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, 40) -> embeddings (B, D) of length 1."""
        return unit(self.audio(logmel))

    def loss(
        self, seen: dict[str, Tensor], logmel: Tensor, labels: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Hinge to one impostor in each direction, see the class."""
        scores = cosines(self.embed_image(seen), self.embed_audio(logmel))
        allowed = negatives(labels, self.same_class)
        sounds, pictures = draw_impostors(allowed), draw_impostors(allowed)
        first, second = impostor_hinge(scores, allowed, sounds, pictures, self.margin)
        return first + second, {"image_to_audio": first.detach(), "audio_to_image": second.detach()}

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """SGD at 1e-3 times `rate`, momentum 0.9, weight decay 5e-7."""
        return lambda parameters: torch.optim.SGD(
            parameters, self.learning_rate * rate, momentum=0.9, weight_decay=5e-7, fused=True
        )

    def schedule(self, epochs: int) -> Callable[[float], float]:
        """A tenth after every two fifths of the run: published every 40 of 100 epochs."""
        return lambda epoch: 0.1 ** int(5 * epoch // (2 * epochs))
