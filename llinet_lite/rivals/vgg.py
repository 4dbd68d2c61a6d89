"""VGG16: features of a network that learned from labels, on ImageNet or, offline, on the seen classes.

Notebook: 02
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from llinet_lite.features import standardize
from llinet_lite.models.trunks import NORMALIZATIONS, read_weights, refuse_another

_BLOCKS = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))  # channels / width; 2x2 maxima after each block


class VGG16(nn.Module):
    """Thirteen 3x3 convolutions in five blocks, then three linear layers; parts named as in torchvision.

    Source: Simonyan and Zisserman (2015), *Very deep convolutional networks for large-scale image
    recognition*, configuration D: width 64, 224 px, 1000 classes, no batch normalization, 138.36 million
    parameters.

    Parameters
    ----------
    width : int, channels of the first block; both hidden linear layers have 64 width units
    size : int, side of the images, pixels, 32 or more; other images are resized to it
    batch_norm : bool, batch normalization after every convolution: later than the paper, and what lets
        thirteen layers learn from random weights in a few epochs
    """

    def __init__(self, classes: int, width=64, size: int = 224, *, batch_norm=True, dropout: float = 0.5):
        super().__init__()
        if size < 32:
            raise ValueError(f"five pools leave nothing of {size} px: size must be 32 or more.")
        self.size, self.hidden = size, 64 * width
        layers, inside = [], 3
        for block in _BLOCKS:
            for factor in block:
                layers.append(nn.Conv2d(inside, factor * width, 3, padding=1))
                layers += [nn.BatchNorm2d(factor * width)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                inside = factor * width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(inside * (size // 32) ** 2, self.hidden), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(self.hidden, self.hidden), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(self.hidden, classes),
        )  # fmt: skip

    def embed_image(self, image: Tensor) -> Tensor:
        """Images (B, 3, H, W) float in [0, 1] -> last hidden layer (B, hidden), not negative."""
        return self.classifier[:5](self._flat(image))

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, 3, H, W) float in [0, 1] -> logits (B, classes)."""
        return self.classifier(self._flat(image))

    def _flat(self, image: Tensor) -> Tensor:
        from torchvision.transforms.v2.functional import resize

        if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
            found = f"{tuple(image.shape)} {image.dtype}"
            raise TypeError(f"VGG16 takes (B, 3, H, W) floats in [0, 1], got {found}: see features.to_image.")
        image = resize(image, [self.size, self.size], antialias=True)
        image = standardize(image, *NORMALIZATIONS["imagenet"])
        return self.features(image).flatten(1)  # (B, 8 width, n, n) -> (B, 8 width n^2)


def vgg16_imagenet(path: str | Path) -> VGG16:
    """VGG16 with ImageNet's weights, frozen, in eval mode; from torchvision's file vgg16-397923af.pth."""
    path = Path(path)
    state = read_weights(path)
    with torch.device("meta"):  # 138 million random numbers less
        network = VGG16(1000, batch_norm=False)
    refuse_another(path, "torchvision's vgg16", network.state_dict(), state)
    network.load_state_dict(state, assign=True)
    return network.requires_grad_(False).eval()
