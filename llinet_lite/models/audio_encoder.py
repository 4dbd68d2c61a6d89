"""LLINet's audio encoder: a log-mel spectrogram read as a picture by a small residual network.

Notebook: 04
"""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.models.towers import initialise

__all__ = ["AudioEncoder", "ResidualBlock"]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation, and a shortcut around them.

    The shortcut is a 1x1 convolution (with a bias) and a batch normalisation where the block changes the
    size, else the input as it is.
    """

    def __init__(self, inside: int, outside: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outside)
        self.shortcut = nn.Identity()
        if inside != outside or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, T, M) -> (B, outside, T / stride, M / stride), not negative."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class AudioEncoder(nn.Module):
    """Log-mel spectrogram (B, T, bands) -> embedding (B, size), not normalised.

    Convolution 7x7 with stride 2 and 3x3 maxima, two stages of two residual blocks (2 w channels, stride 1;
    8 w channels, stride 2), mean over time and frequency, one linear layer. At width 64, for 303 frames of 40
    bands: 64 x 152 x 20, 64 x 76 x 10, 128 x 76 x 10, 512 x 38 x 5, 512, 1024.

    Source: LLINet (2020); its page draws two residual blocks, its released code has these four. LLINet
    divides the embedding by its length, the rivals in part do not: that is left to the caller.

    Parameters
    ----------
    width : int, channels of the first convolution; 64 in the paper
    size : int, of the embedding; 1024 in the paper

    Notebook: 04
    """

    def __init__(self, width: int = 64, size: int = 1024):
        super().__init__()
        self.width, self.size, self.features = width, size, 8 * width
        first = OrderedDict(
            conv=nn.Conv2d(1, width, 7, 2, 3, bias=False),
            norm=nn.BatchNorm2d(width),
            relu=nn.ReLU(inplace=True),
            pool=nn.MaxPool2d(3, 2, 1),
        )
        self.conv1 = nn.Sequential(first)
        self.stage1 = nn.Sequential(ResidualBlock(width, 2 * width), ResidualBlock(2 * width, 2 * width))
        self.stage2 = nn.Sequential(
            ResidualBlock(2 * width, 8 * width, 2), ResidualBlock(8 * width, 8 * width)
        )
        initialise(self)
        self.fc = nn.Linear(self.features, size)

    def maps(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, bands) -> feature maps (B, 8 width, about T / 8, bands / 8)."""
        if logmel.ndim != 3:
            raise ValueError(
                f"AudioEncoder takes log-mel (B, T, bands), got {tuple(logmel.shape)}: see features.LogMel."
            )
        return self.stage2(self.stage1(self.conv1(logmel.unsqueeze(1))))  # (B, T, M) -> (B, 1, T, M)

    def pooled(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, bands) -> features (B, 8 width), the mean over the maps, not negative."""
        return self.maps(logmel).mean((2, 3))

    def forward(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, bands) -> embedding (B, size)."""
        return self.fc(self.pooled(logmel))
