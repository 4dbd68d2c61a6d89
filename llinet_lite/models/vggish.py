"""VGGish: what a sound is, in 128 numbers for every 0.96 s of it.

Notebook: 04
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from llinet_lite.features import BANDS, FRAMES, VGGishExamples
from llinet_lite.losses import full_precision
from llinet_lite.models.towers import initialize
from llinet_lite.models.trunks import read_weights, refuse_another

FILE = "vggish-10086976.pth"  # the public weights in PyTorch's form
_BLOCKS = (1, "M", 2, "M", 4, 4, "M", 8, 8, "M")  # channels / width; M: 2x2 maxima


class VGGish(nn.Module):
    """Six 3x3 convolutions in four blocks, then three linear layers, a ReLU after each of the nine.

    VGG's configuration A, less its last block. There is no batch normalization, so weights start as He's. At
    width 64 it has 72.14 million parameters, nine tenths of them in the first two linear layers. The maps
    are flattened by time, frequency and channel, the channel last, as in TensorFlow.

    The last ReLU is that of the first release and of the public port to PyTorch; TensorFlow's later releases
    leave it to the user, with the same weights. The release also rotates the 128 numbers by a PCA and rounds
    them to 8 bits, for the data set's own files; that is not applied here.

    Source: Hershey et al. (2017), *CNN architectures for large-scale audio classification*, and the VGGish
    released with AudioSet.

    Parameters
    ----------
    width : int, channels of the first block; the hidden linear layers have width squared units
    size : int, of the embeddings
    classes : int, of a linear classifier on the embeddings; 0: none, as in the release
    """

    def __init__(self, width: int = 64, size: int = 128, classes: int = 0):
        super().__init__()
        self.width, self.size, self.classes = width, size, classes
        self.title = f"VGGish of width {width}, untrained"
        layers, inside, hidden = [], 1, width**2
        for block in _BLOCKS:
            if block == "M":
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(inside, block * width, 3, padding=1), nn.ReLU(inplace=True)]
                inside = block * width
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(inside * (FRAMES // 16) * (BANDS // 16), hidden), nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden), nn.ReLU(inplace=True),
            nn.Linear(hidden, size), nn.ReLU(inplace=True),
        )  # fmt: skip
        initialize(self)
        if classes:
            self.classifier = nn.Linear(size, classes)
            nn.init.normal_(self.classifier.weight, std=0.01)  # small: all classes start nearly alike
            nn.init.zeros_(self.classifier.bias)

    def forward(self, examples: Tensor) -> Tensor:
        """Examples (B, P, 96, 64) of `VGGishExamples` -> embeddings (B, P, size), not negative."""
        shape = tuple(examples.shape)
        if examples.ndim != 4 or shape[1] < 1 or shape[2:] != (FRAMES, BANDS):
            raise ValueError(f"VGGish takes examples (B, P, {FRAMES}, {BANDS}), P at least 1, got {shape}.")
        maps = self.features(examples.flatten(0, 1)[:, None])  # (B, P, 96, 64) -> (B P, 1, 96, 64)
        flat = maps.permute(0, 2, 3, 1).flatten(1)  # (B P, 8 width, 6, 4) -> (B P, 6 4 8 width)
        return self.embeddings(flat).unflatten(0, shape[:2])  # (B P, size) -> (B, P, size)

    def logits(self, examples: Tensor) -> Tensor:
        """Examples (B, P, 96, 64) -> logits (B, classes) of each sound, from the mean of its embeddings."""
        if not self.classes:
            raise ValueError(f"{self.title} has no classifier: make it with classes, and train it.")
        return self.classifier(self(examples).mean(1))

    def freeze(self) -> VGGish:
        """Let no weight learn from here on, and evaluate; returns self."""
        return self.requires_grad_(False).eval()


class Ear(nn.Module):
    """Waveforms to VGGish's embeddings, the mean over a sound's examples; frozen, always evaluating."""

    def __init__(self, vggish: VGGish, sample_rate: int):
        super().__init__()
        self.vggish = vggish.freeze()
        self.examples = VGGishExamples(sample_rate).to(next(vggish.parameters()).device)
        self.size, self.title = vggish.size, vggish.title
        self.eval()

    def train(self, mode: bool = True) -> Ear:
        """Stay in evaluation."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> Tensor:
        """Sounds (B, samples) float in [-1, 1) -> (B, size) float32, not negative, without gradient."""
        return full_precision(self.vggish(self.examples(waveform))).mean(1)


def load_vggish_weights(vggish: VGGish, path: str | Path) -> VGGish:
    """Give VGGish the weights of a file, .pth or .safetensors; returns the network.

    The names are those of the public port; its PCA (`pproc.`) of the 8-bit embeddings is left out. `title`
    then names the file, or the release if it is the public one.
    """
    path = Path(path)
    state = {key: value for key, value in read_weights(path).items() if not key.startswith("pproc.")}
    what = f"VGGish of width {vggish.width} with {vggish.classes} classes"
    refuse_another(path, what, vggish.state_dict(), state)
    vggish.load_state_dict(state)
    vggish.title = "VGGish as released with AudioSet" if path.name == FILE else f"VGGish, {path.stem}"
    return vggish
