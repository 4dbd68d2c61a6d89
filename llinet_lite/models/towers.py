"""The two convolutional towers that L3-Net, AVE-Net and AVOL-Net share.

Notebook: 01
"""

import math
from collections import OrderedDict

import pandas as pd
import torch
from torch import Tensor, nn

__all__ = ["STRIDES", "AudioTower", "GlobalMax", "VisionTower", "initialise", "layer_table"]

STRIDES = {"2017": 1, "2018": 2}  # of conv1_1: Look, Listen and Learn; Objects that Sound


class GlobalMax(nn.Module):
    """The largest value of each channel, (B, C, H, W) -> (B, C).

    `amax` and not adaptive max pooling: its gradient is deterministic on every device (shared among ties).
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C)."""
        return maps.amax(dim=(-2, -1))


def _convolution(inside: int, outside: int, stride: int = 1, padding=(1, 1)) -> nn.Sequential:
    """3x3 convolution, batch normalisation, ReLU; the normalisation's shift takes the place of a bias."""
    layers = OrderedDict(
        conv=nn.Conv2d(inside, outside, 3, stride, padding, bias=False),
        norm=nn.BatchNorm2d(outside),
        relu=nn.ReLU(inplace=True),
    )
    return nn.Sequential(layers)


def initialise(module: nn.Module) -> nn.Module:
    """He's normal initialisation for every convolution and linear layer, biases zero; returns the module.

    The spread is sqrt(2 / fan_in), which keeps the size of activations through ReLU layers (He et al. 2015,
    eq. 10).
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


class _Tower(nn.Module):
    """Four blocks of two convolutions; 2x2 maxima after three of them, the global maximum after the last."""

    channels: int
    first_padding: tuple[int, int]  # of conv1_1 when its stride is 2: (vertical, horizontal)

    def __init__(self, variant: str = "2018", width: int = 64):
        super().__init__()
        if variant not in STRIDES:
            raise ValueError(
                f"variant {variant!r} is unknown; choose one of {', '.join(map(repr, STRIDES))}."
            )
        if width < 1:
            raise ValueError(f"width is the number of channels of the first block, at least 1; got {width}.")
        self.variant, self.width, self.features = variant, width, 8 * width
        stride = STRIDES[variant]
        layers, inside = OrderedDict(), self.channels
        for block in range(1, 5):
            outside = width * 2 ** (block - 1)
            first = {"stride": stride, "padding": self.first_padding} if block == 1 and stride == 2 else {}
            layers[f"conv{block}_1"] = _convolution(inside, outside, **first)
            layers[f"conv{block}_2"] = _convolution(outside, outside)
            if block < 4:
                layers[f"pool{block}"] = nn.MaxPool2d(2)
            inside = outside
        self.trunk = nn.Sequential(layers)
        self.pool4 = GlobalMax()
        initialise(self)

    def maps(self, x: Tensor) -> Tensor:
        """Feature maps of conv4_2, (B, channels, H, W) -> (B, 8 width, H', W'); where AVOL-Net goes on."""
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"{type(self).__name__} takes (B, {self.channels}, H, W), got {tuple(x.shape)}.")
        return self.trunk(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, 8 width)."""
        return self.pool4(self.maps(x))


class VisionTower(_Tower):
    """Picture (B, 3, H, W) -> features (B, 8 width).

    At 224 x 224 and width 64: conv4_2 is 28 x 28 x 512 with `variant="2017"` (*Look, Listen and Learn*, Fig.
    2) and 14 x 14 x 512 with `variant="2018"` (*Objects that Sound*, Fig. 2a: stride 2 in conv1_1, a quarter
    of the cost).

    Notebook: 01
    """

    channels = 3
    first_padding = (1, 1)


class AudioTower(_Tower):
    """Log-spectrogram (B, 1, F, T) -> features (B, 8 width).

    At 257 bins and width 64: conv4_2 is 32 x 24 x 512 for 199 frames with `variant="2017"` and 16 x 12 x 512
    for 200 frames with `variant="2018"`. There conv1_1 pads time but not frequency: the figure's 128 x 100
    needs it so, padding both axes would give 129 x 100 (*Objects that Sound*, Fig. 2b).

    Notebook: 01
    """

    channels = 1
    first_padding = (0, 1)


def _multiplications(layer: nn.Module, output: Tensor) -> int:
    """Multiply-accumulate operations of one layer for one sample."""
    if isinstance(layer, nn.Conv2d):
        return math.prod(output.shape[1:]) * layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    if isinstance(layer, nn.Linear):
        return math.prod(output.shape[1:]) * layer.in_features
    return 0


def layer_table(model: nn.Module, *inputs: Tensor) -> pd.DataFrame:
    """The size of every layer's output, as the figures of the papers list them.

    Parameters
    ----------
    model : Module, left as it was; on the "meta" device nothing is computed and paper size costs nothing
    inputs : Tensor, what `model` takes

    Returns
    -------
    DataFrame, one row per convolution (after its ReLU), pool and linear layer: `layer`, `output` (without
    the batch axis), `parameters`, `macs` (multiply-accumulates for one sample)

    Examples
    --------
    >>> with torch.device("meta"):
    ...     table = layer_table(VisionTower(), torch.empty(1, 3, 224, 224))
    >>> table.output.iloc[-2]
    (512, 14, 14)

    Notebook: 01
    """
    rows = []

    def record(name, layer):
        def hook(_, __, output):
            parts = [layer, *layer.children()]
            macs = sum(_multiplications(part, output) for part in parts)
            count = sum(parameter.numel() for parameter in layer.parameters())
            rows.append((name.replace("trunk.", ""), tuple(output.shape[1:]), count, macs))

        return layer.register_forward_hook(hook)

    def is_row(layer):
        block = isinstance(layer, nn.Sequential) and any(isinstance(part, nn.Conv2d) for part in layer)
        return block or isinstance(layer, nn.MaxPool2d | GlobalMax | nn.Linear)

    hooks = [record(name, layer) for name, layer in model.named_modules() if is_row(layer)]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(*inputs)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return pd.DataFrame(rows, columns=["layer", "output", "parameters", "macs"])
