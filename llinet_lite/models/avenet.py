"""AVE-Net: one space for pictures and sounds, in which near means "belongs together".

Notebook: 02
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, refuse_unequal
from llinet_lite.models.towers import AudioTower, Tower, VisionTower, linear_head

__all__ = ["AVENet", "Calibration"]

EPSILON = 1e-8  # under the root: moves a distance of 0.1 by 5e-8


class Calibration(nn.Linear):
    """AVE-Net's fc3: a distance (...) -> two logits (..., 2), z_c = w_c d + b_c, in float32 at least.

    With `sign_init` the logits start at -3 d + 3.9 for "corresponds" and 3 d - 3.9 for "does not", which are
    equal at the distance 1.3; two random unit vectors are about sqrt(2) = 1.41 apart. The signs are not
    constrained later. Without, as PyTorch starts a linear layer: with any sign.
    """

    def __init__(self, sign_init: bool = True):
        super().__init__(1, 2)
        if sign_init:
            with torch.no_grad():
                self.weight.copy_(torch.tensor([[3.0], [-3.0]]))
                self.bias.copy_(torch.tensor([-3.9, 3.9]))

    def forward(self, distance: Tensor) -> Tensor:
        """Distance (...) -> logits (..., 2)."""
        return full_precision(distance)[..., None] * self.weight[:, 0] + self.bias


class AVENet(nn.Module):
    r"""Two towers, two unit vectors, and their distance as the only thing that decides.

    .. math:: v = \frac{f(x)}{\lVert f(x) \rVert}, \quad a = \frac{g(s)}{\lVert g(s) \rVert}, \quad
              d = \sqrt{\lVert v - a \rVert^2 + \epsilon}, \quad z = w\,d + b

    with f and g a tower (global maximum at its end), fc1 with ReLU and fc2 without, and z the logits of the
    calibration layer fc3. Since d is all that the decision sees, training has to align the two senses: the
    embeddings serve retrieval as they are. The root makes d the distance itself, not its square; epsilon
    = 1e-8 keeps its gradient finite where the two coincide.

    Source: Arandjelovic and Zisserman, *Objects that Sound* (2018), Fig. 2d and section 3.3 ("Initialization
    for the AVE-Net"). 9.54 million parameters at width 64.

    Parameters
    ----------
    variant : "2018" (stride 2 in conv1_1, as published) or "2017" (stride 1)
    width : int, channels of the first block; 64 in the paper
    size : int, of the embedding; 128 in the paper, whatever the width
    sign_init : bool
        Start the calibration layer with the sign "small distance = corresponds". Nothing else asks for it:
        from the other sign the network can learn to put matching pairs far apart, as good for the loss and
        useless for retrieval. False shows that. The paper states the sign alone; the size is ours.

    Notes
    -----
    The paper does not say how fc1 and fc2 start: see :func:`llinet_lite.models.towers.linear_head`.

    Notebook: 02
    """

    vision_tower: type[Tower] = VisionTower

    def __init__(self, variant: str = "2018", width: int = 64, size: int = 128, sign_init: bool = True):
        super().__init__()
        self.vision = self.vision_tower(variant, width)
        self.audio = AudioTower(variant, width)
        self.variant, self.width, self.size = variant, width, size
        self.vision_head = linear_head(self.vision.features, size)
        self.audio_head = linear_head(self.audio.features, size)
        self.fc3 = Calibration(sign_init)

    def embed_image(self, image: Tensor) -> Tensor:
        """Picture (B, 3, H, W) float in [0, 1] -> embeddings (B, size) of length 1, float32 or float64."""
        return F.normalize(full_precision(self.vision_head(self.vision(image))), dim=-1)

    def embed_audio(self, spectrogram: Tensor) -> Tensor:
        """Log-spectrogram (B, 1, F, T) -> embeddings (B, size) of length 1, float32 or float64."""
        return F.normalize(full_precision(self.audio_head(self.audio(spectrogram))), dim=-1)

    def distance(self, image_embeddings: Tensor, audio_embeddings: Tensor) -> Tensor:
        """Euclidean distance of pair i = (picture i, sound i): two times (B, size) -> (B,) in [0, 2]."""
        refuse_unequal(image_embeddings, audio_embeddings)
        return _euclidean(image_embeddings, audio_embeddings)

    def distances(self, image_embeddings: Tensor, audio_embeddings: Tensor) -> Tensor:
        """Euclidean distance of every picture to every sound.

        The differences are formed one by one, B C size numbers: exact also for near vectors, where
        sqrt(2 - 2 v.a) loses half of the digits. For the ranking of a large database 2 - 2 v.a will do.

        Parameters
        ----------
        image_embeddings : Tensor (B, size)
        audio_embeddings : Tensor (C, size)

        Returns
        -------
        Tensor (B, C) in [0, 2]
        """
        return _euclidean(image_embeddings[:, None], audio_embeddings[None])  # (B, 1, size), (1, C, size)

    def calibrate(self, distance: Tensor) -> Tensor:
        """Distance (...) -> logits (..., 2); class 1 = corresponds."""
        return self.fc3(distance)

    @property
    def slope(self) -> float:
        """Logit of "corresponds" less that of "does not", per unit of distance; negative: near = match."""
        return (self.fc3.weight[1, 0] - self.fc3.weight[0, 0]).item()

    @property
    def threshold(self) -> float:
        """The distance where both logits are equal; outside [0, 2] every pair gets the same answer."""
        shift = (self.fc3.bias[1] - self.fc3.bias[0]).detach()
        return (-shift / self.slope).item()

    def pairs(self, image_embeddings: Tensor, audio_embeddings: Tensor) -> Tensor:
        """Judge pair i = (picture i, sound i): two times (B, size) -> logits (B, 2)."""
        return self.calibrate(self.distance(image_embeddings, audio_embeddings))

    def all_pairs(self, image_embeddings: Tensor, audio_embeddings: Tensor) -> Tensor:
        """Judge every picture with every sound.

        Parameters
        ----------
        image_embeddings : Tensor (B, size)
        audio_embeddings : Tensor (C, size), usually C = B

        Returns
        -------
        Tensor (B, C, 2): [i, j] are the logits of picture i with sound j, as `pairs` gives them
        """
        return self.calibrate(self.distances(image_embeddings, audio_embeddings))

    def forward(self, image: Tensor, spectrogram: Tensor) -> Tensor:
        """Judge pair i = (picture i, sound i).

        Parameters
        ----------
        image : Tensor (B, 3, H, W) float in [0, 1]
        spectrogram : Tensor (B, 1, F, T) float

        Returns
        -------
        Tensor (B, 2): logits; class 1 = corresponds
        """
        refuse_unequal(image, spectrogram)
        return self.pairs(self.embed_image(image), self.embed_audio(spectrogram))


def _euclidean(one: Tensor, other: Tensor) -> Tensor:
    """Distance along the last axis; the others broadcast."""
    if one.shape[-1] != other.shape[-1]:
        raise ValueError(
            f"Embeddings of {one.shape[-1]} and {other.shape[-1]} numbers have no distance; take both from "
            "one network."
        )
    return ((one - other).square().sum(-1) + EPSILON).sqrt()
