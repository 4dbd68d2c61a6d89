"""LLINet: an image, an audio, and which part of the image sounds.

Notebook: 04
"""

import copy
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision, refuse_unequal
from llinet_lite.models.towers import image_head, initialize
from llinet_lite.models.trunks import OPTIONS, Trunk, refuse_unknown

GATES = {"spatial": 2, "batch": 0, "none": None}  # axis of the softmax over local features (B, C, h w)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalization; a 1x1 in the shortcut where the size changes."""

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
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class AudioEncoder(nn.Module):
    """Log-mel spectrogram (B, T, bands) -> embedding (B, size), not normalized.

    Convolution 7x7 with stride 2 and 3x3 maxima, two stages of two residual blocks (2 w channels, stride 1;
    8 w channels, stride 2), mean over time and frequency, one linear layer. At width 64, for 303 frames of 40
    bands: 64 x 152 x 20, 64 x 76 x 10, 128 x 76 x 10, 512 x 38 x 5, 512, 1024.

    Source: LLINet (2020); its page draws two residual blocks, its released code has these four. LLINet
    divides the embedding by its length, the rivals in part do not: that is left to the caller.

    Parameters
    ----------
    width : int, channels of the first convolution; 64 in the paper
    size : int, of the embedding; 1024 in the paper
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
        initialize(self)
        self.fc = nn.Linear(self.features, size)

    def maps(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, bands) -> feature maps (B, 8 width, about T / 8, bands / 8)."""
        if logmel.ndim != 3:
            raise ValueError(f"AudioEncoder takes log-mel (B, T, bands), got {tuple(logmel.shape)}.")
        return self.stage2(self.stage1(self.conv1(logmel.unsqueeze(1))))  # (B, T, M) -> (B, 1, T, M)

    def pooled(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, bands) -> features (B, 8 width), the mean over the maps, not negative."""
        return self.maps(logmel).mean((2, 3))

    def forward(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, bands) -> embedding (B, size)."""
        return self.fc(self.pooled(logmel))


class LLINet(nn.Module):
    r"""A frozen image trunk with a gate in its middle, an audio encoder, and a map between the two.

    .. math:: \bar v = \phi_A(u), \quad
              v' = \mathrm{FC}(\mathrm{pool}(\phi_T(\phi_L(u) \odot (1 + \mathrm{softmax}(\bar v))))), \\
              a' = \frac{\phi(x)}{\|\phi(x)\|}, \quad \bar a = \mathrm{ReLU}(W a' + b), \quad
              s_i = \bar v_i \cdot \bar a

    with u what the trunk's `early` gives (layer2), phi_L its `late` (layer3), phi_T its `top` (layer4), all
    frozen, and phi_A the attention layer: a second copy of `late`, starting from the same weights, that is
    trained. The local features v_bar open the gate of the image's own path and, with the transformed audio
    a_bar, say where the sound is: s_i, raw and not negative.

    Source: LLINet, *Look, Listen and Infer* (2020), and its released code. With ResNet-101 at 244 px u is
    512 x 31 x 31, v_bar 1024 x 16 x 16, v' and a' 1024 long. a' is divided by its length, v' is not: the
    losses compare by the cosine, nearest prototypes do not.

    Parameters
    ----------
    trunk : str or Trunk
        Name of an architecture, with random weights: others come from `build_trunk`. A Trunk is copied and
        the copy frozen, so that several networks can start from one.
    gate : "spatial", "batch" or "none"
        The axis of the softmax. "spatial": over the cells of each channel, as meant. "batch": over the
        images of the batch, as in the released code, whose softmax names no axis and so takes the first; an
        image's embedding then depends on the batch it is in, and alone its gate is 2 everywhere. "none":
        the gate is 1; the attention layer serves the map alone.
    width : int
        Channels of the audio encoder's first convolution, and of a stand-in made by name; 64 in the paper.
    size : int
        Of the embeddings; 1024 in the paper.
    frozen_bn, normalization : str, optional
        See `Trunk`; the released code has "train" and "released". Default: as the Trunk has them.
    audio : Module, optional
        What is heard (B, ...) -> (B, size). Default: the paper's encoder of log-mel (B, T, bands).
    """

    def __init__(
        self,
        trunk: str | Trunk = "resnet101", gate: str = "spatial", *, width: int = 64, size: int = 1024,
        frozen_bn: str | None = None, normalization: str | None = None, audio: nn.Module | None = None,
    ):  # fmt: skip
        super().__init__()
        refuse_unknown("gate", gate, GATES)
        self.gate, self.width, self.size = gate, width, size
        self.trunk = copy.deepcopy(trunk) if isinstance(trunk, Trunk) else Trunk(trunk, width=width)
        for name, value in (("frozen_bn", frozen_bn), ("normalization", normalization)):
            if value is not None:
                refuse_unknown(name, value, OPTIONS[name])
                setattr(self.trunk, name, value)
        self.attention = copy.deepcopy(self.trunk.stages[1]).requires_grad_(True)
        self.trunk.freeze()
        self.image_head = image_head(self.trunk.features, size)
        self.audio = AudioEncoder(width, size) if audio is None else audio
        self.transformation = nn.Linear(size, self.trunk.local_channels)
        self.train()

    @torch.no_grad()
    def see(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Image (B, 3, H, W) in [0, 1] -> what the frozen `early` and `late` give."""
        early = self.trunk.early(image)
        return early, self.trunk.late(early)

    def local_features(self, early: Tensor) -> Tensor:
        """What the attention layer makes of `early`: v_bar (B, C, h, w), not negative, as a ResNet ends."""
        return F.relu(self.attention(early))

    def attend(self, early: Tensor, late: Tensor) -> tuple[Tensor, Tensor]:
        """Attention layer, gate, top and head: -> embedding (B, size), local features v_bar (B, C, h, w)."""
        local = self.local_features(early)
        if (axis := GATES[self.gate]) is not None:
            cells = full_precision(local).flatten(2)  # (B, C, h, w) -> (B, C, h w)
            late = late * (1 + cells.softmax(axis).view_as(local))  # (B, C, h w) -> (B, C, h, w)
        return self.image_head(self.trunk.pool(self.trunk.top(late))), local

    def embed_image(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Image (B, 3, H, W) float in [0, 1] -> embedding (B, size), local features (B, C, h, w)."""
        return self.attend(*self.see(image))

    def embed_audio(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, bands) -> embedding (B, size) of length 1."""
        return F.normalize(full_precision(self.audio(logmel)), dim=-1)

    def transform(self, audio: Tensor) -> Tensor:
        """Embeddings of audio (B, size) -> a_bar (B, C), not negative, in the space of the cells."""
        return F.relu(self.transformation(audio))

    def localize(self, image: Tensor, logmel: Tensor) -> Tensor:
        """Score every cell of image i with audio i: -> (B, h, w), v_bar_i . a_bar, on no fixed scale."""
        with torch.no_grad():
            early = self.trunk.early(image)
        return self._scores(self.local_features(early), self.embed_audio(logmel))

    def forward(self, image: Tensor, logmel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Image and log-mel -> embeddings (B, size), (B, size), and scores of the cells (B, h, w)."""
        (embedding, local), audio = self.embed_image(image), self.embed_audio(logmel)
        return embedding, audio, self._scores(local, audio)

    def _scores(self, local: Tensor, audio: Tensor) -> Tensor:
        refuse_unequal(local, audio)
        return full_precision(torch.einsum("bchw,bc->bhw", local, self.transform(audio)))

    def parameter_groups(self) -> list[dict]:
        """What is trained: the released code has three optimizers, and lowers the rate of "image" alone."""
        image = [*self.attention.parameters(), *self.image_head.parameters()]
        return [
            {"name": "image", "params": image},
            {"name": "audio", "params": [*self.audio.parameters()]},
            {"name": "transform", "params": [*self.transformation.parameters()]},
        ]
