"""L3-Net: does this sound belong to this picture?

Notebook: 01
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import refuse_unequal
from llinet_lite.models.towers import AudioTower, VisionTower, center_rows, initialize


class L3Net(nn.Module):
    r"""Two towers, their features side by side, two linear layers, two classes.

    .. math:: z = W_2\,\mathrm{ReLU}(W_1 [v; a] + b_1) + b_2

    with v the image's and a the audio's features. Since W_1 [v; a] = V v + A a, the first fused layer
    splits into an image part and an audio part: `all_pairs` judges all B^2 pairs of a batch for the towers'
    price of B.

    Source: Arandjelovic and Zisserman, *Look, Listen and Learn* (2017), Fig. 2; as used in *Objects that
    Sound* (2018), Fig. 2c. 9.50 million parameters at width 64 (9.51 with the convolution biases that batch
    normalization makes idle, left out here).

    Parameters
    ----------
    variant : "2017" (stride 1 in conv1_1) or "2018" (stride 2)
    width : int, channels of the first block; 64 in the papers
    hidden : int, units of the fused layer; 128 in the papers, whatever the width

    Notes
    -----
    The papers do not say how the head starts. Features come out of a ReLU and a maximum, so all of them have
    the same large positive mean. With He's weights alone that mean decides which hidden units are on, the
    same ones for every pair. So each row of W_1 starts with mean zero over the image part and over the audio
    part: the mean cancels and the units answer to the pair.
    """

    def __init__(self, variant: str = "2018", width: int = 64, hidden: int = 128):
        super().__init__()
        self.vision = VisionTower(variant, width)
        self.audio = AudioTower(variant, width)
        self.variant, self.width, self.features = variant, width, self.vision.features
        self.fc1 = initialize(nn.Linear(2 * self.features, hidden))
        center_rows(self.fc1, parts=2)  # image part, audio part
        self.fc2 = initialize(nn.Linear(hidden, 2))

    def embed_image(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) float in [0, 1] -> features (B, 8 width), not negative."""
        return self.vision(image)

    def embed_audio(self, spectrogram: Tensor) -> Tensor:
        """Log-spectrogram (B, 1, F, T) -> features (B, 8 width), not negative."""
        return self.audio(spectrogram)

    def pairs(self, image_features: Tensor, audio_features: Tensor) -> Tensor:
        """Judge pair i = (image i, audio i): two times (B, 8 width) -> logits (B, 2)."""
        both = torch.cat([image_features, audio_features], dim=-1)  # (B, 16 width)
        return self.fc2(F.relu(self.fc1(both)))

    def all_pairs(self, image_features: Tensor, audio_features: Tensor) -> Tensor:
        """Judge every image with every audio: (B, 8 width), (C, 8 width) -> logits (B, C, 2)."""
        image_part, audio_part = self.fc1.weight.split(self.features, dim=1)
        image = F.linear(image_features, image_part, self.fc1.bias)  # (B, hidden)
        audio = F.linear(audio_features, audio_part)  # (C, hidden)
        return self.fc2(F.relu(image[:, None] + audio[None]))  # (B, C, hidden) -> (B, C, 2)

    def forward(self, image: Tensor, spectrogram: Tensor) -> Tensor:
        """Judge pair i: (B, 3, H, W) in [0, 1], (B, 1, F, T) -> logits (B, 2); class 1 = corresponds."""
        refuse_unequal(image, spectrogram)
        return self.pairs(self.embed_image(image), self.embed_audio(spectrogram))
