"""AVOL-Net: where in the image is the thing that sounds?

Notebook: 03
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, refuse_unequal
from llinet_lite.models.towers import AudioTower, VisionTower, center_rows, initialize, linear_head


class ScaleAndShift(nn.Conv2d):
    """AVOL-Net's conv7, a 1x1 convolution of one channel: w x + b of any shape, in float32 at least."""

    def __init__(self, size: int):
        super().__init__(1, 1, 1)
        nn.init.constant_(self.weight, size**-0.5)  # see the notes of AVOLNet
        nn.init.constant_(self.bias, -1.0)

    def forward(self, x: Tensor) -> Tensor:
        return full_precision(x) * self.weight.squeeze() + self.bias


class AVOLNet(nn.Module):
    r"""A vector for every cell of the image, one for the audio, and the best cell decides.

    .. math:: z_{ij} = w \, v_{ij} \cdot a + b, \qquad m_{ij} = \sigma(z_{ij}), \qquad
              p = \max_{ij} m_{ij} = \sigma(\max_{ij} z_{ij})

    with v_ij the image's vector at cell (i, j) (the tower's maps without their global maximum, then conv5
    with ReLU and conv6, both 1x1), a the audio's (tower, fc1 with ReLU, fc2), and w, b the scale and shift of
    conv7. Nothing is normalized to length 1, so that background may answer weakly. Training asks for p = 1
    where image and audio correspond and 0 where not: some cell must match, or none may (multiple-instance
    learning), and the map m shows which.

    Source: Arandjelovic and Zisserman, *Objects that Sound* (2018), Fig. 4 and section 4; sigmoid and
    logistic loss as in its second version (the text of the first speaks of a softmax, its figure shows the
    sigmoid). 9.54 million parameters at width 64. No batch normalization after conv5: the paper names none.

    Parameters
    ----------
    variant : "2018" (stride 2 in conv1_1, as published) or "2017" (stride 1)
    width : int, channels of the first block; 64 in the paper
    size : int, of the vectors; 128 in the paper, whatever the width

    Notes
    -----
    The paper does not say how the layers after the towers start. conv5, conv6, fc1 and fc2: He's weights with
    centered rows, see :func:`llinet_lite.models.towers.linear_head`. conv7: a positive weight, since a large
    product shall mean "corresponds"; 1 / sqrt(size), since the products start with a standard deviation of 4
    to 6 and a mean maximum over 49 cells of 9 to 12; bias -1, so that training begins undecided, with p near
    0.5. Its sign is not constrained later.
    """

    def __init__(self, variant: str = "2018", width: int = 64, size: int = 128):
        super().__init__()
        self.vision = VisionTower(variant, width)
        self.audio = AudioTower(variant, width)
        self.variant, self.width, self.size = variant, width, size
        self.conv5 = center_rows(initialize(nn.Conv2d(self.vision.features, size, 1)))
        self.conv6 = center_rows(initialize(nn.Conv2d(size, size, 1)))
        self.audio_head = linear_head(self.audio.features, size)
        self.conv7 = ScaleAndShift(size)

    def embed_image(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) float in [0, 1] -> vectors of its cells (B, size, h, w); 14 x 14 at 224 px."""
        return self.conv6(F.relu(self.conv5(self.vision.maps(image))))

    def embed_audio(self, spectrogram: Tensor) -> Tensor:
        """Log-spectrogram (B, 1, F, T) -> vectors (B, size), of any length."""
        return self.audio_head(self.audio(spectrogram))

    def logit_map(self, image_vectors: Tensor, audio_vectors: Tensor) -> Tensor:
        """Logit of every cell of image i with audio i: (B, size, h, w), (B, size) -> (B, h, w)."""
        refuse_unequal(image_vectors, audio_vectors)
        _check(image_vectors, audio_vectors)
        products = torch.einsum("bdhw,bd->bhw", image_vectors, audio_vectors)
        return self.conv7(products[:, None])[:, 0]  # (B, h, w) -> (B, 1, h, w) -> (B, h, w)

    def heat(self, image_vectors: Tensor, audio_vectors: Tensor) -> Tensor:
        """Probability of every cell (B, h, w); its largest value is that of the pair to correspond."""
        return self.logit_map(image_vectors, audio_vectors).sigmoid()

    def pairs(self, image_vectors: Tensor, audio_vectors: Tensor) -> Tensor:
        r"""Judge pair i = (image i, audio i): (B, size, h, w), (B, size) -> logits (B, 2).

        The two are (0, z) with z the largest logit of the map: softmax over them is the sigmoid of z, so
        their two-way cross-entropy is the logistic loss of the paper exactly.

        .. math:: -\ln\frac{e^z}{e^0 + e^z} = -\ln\sigma(z), \qquad
                  -\ln\frac{e^0}{e^0 + e^z} = -\ln(1 - \sigma(z))
        """
        return _two_classes(self.logit_map(image_vectors, audio_vectors))

    def all_pairs(self, image_vectors: Tensor, audio_vectors: Tensor) -> Tensor:
        """Judge every image with every audio: (B, size, h, w), (C, size) -> logits (B, C, 2)."""
        _check(image_vectors, audio_vectors)
        return _two_classes(self.conv7(torch.einsum("bdhw,cd->bchw", image_vectors, audio_vectors)))

    def forward(self, image: Tensor, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """Judge pair i: -> logit (B,), whose sigmoid is its probability, and that of every cell (B, h, w)."""
        refuse_unequal(image, spectrogram)
        logits = self.logit_map(self.embed_image(image), self.embed_audio(spectrogram))
        return logits.amax((-2, -1)), logits.sigmoid()


def _check(image_vectors: Tensor, audio_vectors: Tensor) -> None:
    fits = image_vectors.ndim == 4 and audio_vectors.ndim == 2
    if not fits or image_vectors.shape[1] != audio_vectors.shape[1]:
        found = f"{tuple(image_vectors.shape)} and {tuple(audio_vectors.shape)}"
        raise ValueError(f"AVOLNet compares vectors (B, size, h, w) with vectors (B, size), got {found}.")


def _two_classes(logit_maps: Tensor) -> Tensor:
    """Logits of the maps' cells (..., h, w) -> of the pairs (..., 2)."""
    logit = logit_maps.amax((-2, -1))
    return torch.stack([torch.zeros_like(logit), logit], dim=-1)
