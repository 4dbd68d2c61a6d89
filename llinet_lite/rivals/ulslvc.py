"""ULSLVC: spoken captions and images, told apart from one random impostor.

Notebook: 06
"""

from collections.abc import Callable

import torch
from torch import Tensor

from llinet_lite.losses import cosines, negatives
from llinet_lite.models.towers import image_head
from llinet_lite.rivals.base import Rival, hinge_costs


def draw_impostors(allowed: Tensor) -> Tensor:
    """One j of every i in `allowed` (B, B), all equally likely -> (B,) integer; 0 for an i without any."""
    lots = torch.rand(allowed.shape, device=allowed.device)
    return lots.masked_fill(~allowed, -1.0).argmax(1)


def impostor_hinge(
    scores: Tensor, allowed: Tensor, audios: Tensor, images: Tensor, margin: float = 1.0
) -> tuple[Tensor, Tensor]:
    r"""One wrong audio for every image, and one wrong image for every audio.

    .. math:: L_{I \to A} = \frac1B \sum_i [m + S_{i a_i} - S_{ii}]_+, \qquad
              L_{A \to I} = \frac1B \sum_i [m + S_{v_i i} - S_{ii}]_+

    with a (B,) the impostor of every image, v (B,) that of every audio; one that is not allowed costs
    nothing. Between unit vectors, with m = 1 as published, the hinge is at work until a pair's cosine is
    larger by 1: a loss of 1 to 2 is no sign of failure. See `hinge_costs`.
    """
    first, second = hinge_costs(scores, allowed, margin)
    return first.gather(1, audios[:, None]).mean(), second.gather(0, images[None, :]).mean()


class ULSLVC(Rival):
    r"""Unsupervised learning of spoken language with visual context: a margin to one random impostor.

    .. math:: L = L_{I \to A} + L_{A \to I}

    of `impostor_hinge`, with the dot product of unit vectors. Impostors are drawn anew in every step.

    Source: Harwath, Torralba and Glass (2016); loss and optimizer as in the authors' later DAVEnet code, as
    the first paper's (batch 128, rate 1e-5, 50 epochs) are not confirmed. The variants that match parts of an
    image with frames of an audio belong to the later papers.
    """

    title = "ULSLVC"
    learning_rate = 1e-3

    def __init__(self, *, same_class: str = "mask", margin: float = 1.0, **sizes: int):
        super().__init__(**sizes)
        self.same_class, self.margin = same_class, margin
        self.image = image_head(self.features, self.size)

    def loss(self, inputs: tuple[dict, Tensor], batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
        scores = cosines(self.embed_image(inputs[0]), self.embed_audio(inputs[1]))
        allowed = negatives(batch["label"], self.same_class)
        audios, images = draw_impostors(allowed), draw_impostors(allowed)
        first, second = impostor_hinge(scores, allowed, audios, images, self.margin)
        return first + second, {"image_to_audio": first.detach(), "audio_to_image": second.detach()}

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """SGD with momentum 0.9 and weight decay 5e-7."""
        return lambda parameters: torch.optim.SGD(
            parameters, self.learning_rate * rate, momentum=0.9, weight_decay=5e-7, fused=True
        )

    def schedule(self, epochs: int) -> Callable[[float], float]:
        """A tenth after every two fifths of the run: published every 40 of 100 epochs."""
        return lambda epoch: 0.1 ** int(5 * epoch // (2 * epochs))
