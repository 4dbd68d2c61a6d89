"""What L3-Net, AVE-Net and AVOL-Net share: convolutional towers, linear heads, how their weights start.

Notebook: 01
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import pandas as pd

STRIDES = {"2017": 1, "2018": 2}  # of conv1_1: Look, Listen and Learn; Objects that Sound
_AXES = {2: "H, W", 3: "T, H, W"}
_CONVOLUTIONS = nn.Conv2d | nn.Conv3d


class GlobalMax(nn.Module):
    """The largest value of each channel, (B, C, H, W) or (B, C, T, H, W) -> (B, C)."""

    def forward(self, maps: Tensor) -> Tensor:
        # not adaptive max pooling: the gradient of amax is deterministic on every device (shared among ties)
        return maps.amax(dim=tuple(range(2, maps.ndim)))


def _convolution(inside: int, outside: int, axes: int, stride: int = 1, padding=1) -> nn.Sequential:
    """3x3 (3 axes: 3x3x3) convolution, batch normalization, whose shift takes the place of a bias, ReLU."""
    convolution, normalization = (nn.Conv2d, nn.BatchNorm2d) if axes == 2 else (nn.Conv3d, nn.BatchNorm3d)
    layers = OrderedDict(
        conv=convolution(inside, outside, 3, stride, padding, bias=False),
        norm=normalization(outside),
        relu=nn.ReLU(inplace=True),
    )
    return nn.Sequential(layers)


def blocks(inside: int, width: int, numbers, *, axes: int = 2, **first) -> nn.Sequential:
    """Blocks of two convolutions and, but for the fourth, a pool: 2x2, stride 2.

    Block n of `numbers` has width * 2 ** (n - 1) channels; `first` are stride and padding of conv1_1. With
    `axes` = 3 there is a time axis: pools 2x2x2, padded in time so that no frame is left out: of n they make
    n // 2 + 1 (no maximum sees the padding). The layers have the papers' names: conv1_1, conv1_2, pool1, ...
    """
    layers = OrderedDict()
    for number in numbers:
        outside = width * 2 ** (number - 1)
        layers[f"conv{number}_1"] = _convolution(inside, outside, axes, **(first if number == 1 else {}))
        layers[f"conv{number}_2"] = _convolution(outside, outside, axes)
        if number < 4:
            layers[f"pool{number}"] = nn.MaxPool2d(2) if axes == 2 else nn.MaxPool3d(2, padding=(1, 0, 0))
        inside = outside
    return nn.Sequential(layers)


def initialize(module: nn.Module) -> nn.Module:
    """Start all convolutions and linear layers with He's weights, N(0, 2 / fan_in), and biases zero."""
    for layer in module.modules():
        if isinstance(layer, _CONVOLUTIONS | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def center_rows(layer: nn.Module, parts: int = 1) -> nn.Module:
    """Start every row of a linear layer or 1x1 convolution with mean zero; returns the layer.

    For inputs that come out of a ReLU or a maximum: what they share, a positive mean, then cancels, and the
    units answer to what differs. With `parts` each of so many equal shares of the inputs is centered.
    """
    with torch.no_grad():
        shares = layer.weight.view(len(layer.weight), parts, -1)
        shares -= shares.mean(-1, keepdim=True)
    return layer


def linear_head(features: int, size: int) -> nn.Sequential:
    """fc1 with ReLU, fc2 without: features (B, features), not negative -> embeddings (B, size).

    Both start with He's weights and centered rows: else all pairs of embeddings begin at nearly one distance.
    """
    layers = OrderedDict(fc1=nn.Linear(features, size), relu=nn.ReLU(), fc2=nn.Linear(size, size))
    head = initialize(nn.Sequential(layers))
    center_rows(head.fc1)
    center_rows(head.fc2)
    return head


def image_head(features: int, size: int = 1024) -> nn.Sequential:
    """Pooled features of a trunk (B, features) -> (B, size): fc1 with ReLU, fc2 without, not normalized.

    fc1 is as wide as the features, 2048 in the paper, and at most twice as wide as the embedding.
    """
    hidden = min(features, 2 * size)
    layers = OrderedDict(fc1=nn.Linear(features, hidden), relu=nn.ReLU(), fc2=nn.Linear(hidden, size))
    head = nn.Sequential(layers)
    for layer in (head.fc1, head.fc2):
        nn.init.uniform_(layer.weight, -0.1, 0.1)  # as LLINet's released code starts them
    return head


class Tower(nn.Module):
    """Four blocks of two convolutions; 2x2 maxima after three of them, the global maximum after the last."""

    channels: int
    axes = 2
    first_padding: tuple[int, ...]  # of conv1_1 when its stride is 2: (vertical, horizontal)

    def __init__(self, variant: str = "2018", width: int = 64):
        super().__init__()
        if variant not in STRIDES:
            raise ValueError(f"variant {variant!r} is unknown; choose one of {', '.join(STRIDES)}.")
        if width < 1:
            raise ValueError(f"width is the number of channels of the first block, at least 1; got {width}.")
        self.variant, self.width, self.features = variant, width, 8 * width
        stride = STRIDES[variant]
        self.trunk = self.layers({"stride": stride, "padding": self.first_padding} if stride == 2 else {})
        self.pool4 = GlobalMax()
        initialize(self)

    def layers(self, first: dict) -> nn.Module:
        """Everything up to conv4_2; `first` is stride and padding of conv1_1."""
        return blocks(self.channels, self.width, range(1, 5), axes=self.axes, **first)

    def maps(self, x: Tensor) -> Tensor:
        """Feature maps of conv4_2, (B, channels, H, W) -> (B, 8 width, H', W'); where AVOL-Net goes on."""
        if x.ndim != 2 + self.axes or x.shape[1] != self.channels:
            wanted = f"(B, {self.channels}, {_AXES[self.axes]})"
            raise ValueError(f"{type(self).__name__} takes {wanted}, got {tuple(x.shape)}.")
        return self.trunk(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool4(self.maps(x))


class VisionTower(Tower):
    """Image (B, 3, H, W) -> features (B, 8 width).

    At 224 x 224 and width 64: conv4_2 is 28 x 28 x 512 with `variant="2017"` (*Look, Listen and Learn*, Fig.
    2) and 14 x 14 x 512 with `variant="2018"` (*Objects that Sound*, Fig. 2a: stride 2 in conv1_1, a quarter
    of the cost).
    """

    channels = 3
    first_padding = (1, 1)


class AudioTower(Tower):
    """Log-spectrogram (B, 1, F, T) -> features (B, 8 width).

    At 257 bins and width 64: conv4_2 is 32 x 24 x 512 for 199 frames with `variant="2017"` and 16 x 12 x 512
    for 200 frames with `variant="2018"`. There conv1_1 pads time but not frequency: the figure's 128 x 100
    needs it so, padding both axes would give 129 x 100 (*Objects that Sound*, Fig. 2b).
    """

    channels = 1
    first_padding = (0, 1)


_ROWS = _CONVOLUTIONS | nn.MaxPool2d | nn.MaxPool3d | GlobalMax | nn.Linear


def _multiplications(layer: nn.Module, output: Tensor) -> int:
    """Multiply-accumulate operations of one layer for one sample."""
    if isinstance(layer, _CONVOLUTIONS):
        return math.prod(output.shape[1:]) * layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    if isinstance(layer, nn.Linear):
        return math.prod(output.shape[1:]) * layer.in_features
    return 0


def layer_table(model: nn.Module, *inputs: Tensor) -> pd.DataFrame:
    """The size of every layer's output, as the figures of the papers list them.

    One row per convolution (after its ReLU), pool and linear layer: `layer`, `output` (without the batch
    axis), `parameters`, `macs` (multiply-accumulates for one sample). `inputs` is what `model` takes; on the
    "meta" device nothing is computed and paper size costs nothing.

    Examples
    --------
    >>> with torch.device("meta"):
    ...     table = layer_table(VisionTower(), torch.empty(1, 3, 224, 224))
    >>> table.output.iloc[-2]
    (512, 14, 14)
    """
    from pandas import DataFrame  # here, so that networks start without it

    rows = []

    def record(name, layer):
        def hook(_, __, output):
            parts = [layer, *layer.children()]
            macs = sum(_multiplications(part, output) for part in parts)
            count = sum(parameter.numel() for parameter in layer.parameters())
            rows.append((name.replace("trunk.", ""), tuple(output.shape[1:]), count, macs))

        return layer.register_forward_hook(hook)

    def is_block(layer):
        return isinstance(layer, nn.Sequential) and any(isinstance(part, _CONVOLUTIONS) for part in layer)

    in_block = {part for block in model.modules() if is_block(block) for part in block}
    hooks = [
        record(name, layer)
        for name, layer in model.named_modules()
        if is_block(layer) or (isinstance(layer, _ROWS) and layer not in in_block)
    ]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(*inputs)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return DataFrame(rows, columns=["layer", "output", "parameters", "macs"])
