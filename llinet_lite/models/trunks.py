"""Image networks of torchvision, frozen and cut open where LLINet and its rivals take their features.

Notebook: 04
"""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

from llinet_lite.features import standardize
from llinet_lite.models.trunk_weights import (
    TITLES,
    find_weights,
    read_weights,
    refuse_unknown,
    torchvision_files,
)

__all__ = ["FROZEN_BN", "NORMALISATIONS", "Trunk", "build_trunk", "find_weights", "load_trunk_weights"]

FROZEN_BN = ("eval", "train")
NORMALISATIONS = {  # mean and standard deviation of red, green, blue
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "released": ([0.5] * 3, [0.5] * 3),
}
# Networks that are one list of layers: where `late` and `top` begin, and the channels of the three taps.
_CUTS = {"squeezenet1_0": (7, 11, (256, 512, 512)), "mobilenet_v2": (7, 14, (32, 96, 1280))}


class _StandIn(ResNet):
    """ResNet-18 for small pictures: `width` channels in the first stage, no maximum after conv1."""

    def __init__(self, width: int, classes: int):
        with torch.device("meta"):  # of the parent's layers only those without weights are kept
            super().__init__(BasicBlock, [2, 2, 2, 2])
        self.inplanes = width
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1, self.maxpool = nn.BatchNorm2d(width), nn.Identity()
        self.layer1 = self._make_layer(BasicBlock, width, 2)
        self.layer2 = self._make_layer(BasicBlock, 2 * width, 2, stride=2)
        self.layer3 = self._make_layer(BasicBlock, 4 * width, 2, stride=2)
        self.layer4 = self._make_layer(BasicBlock, 8 * width, 2, stride=2)
        self.fc = nn.Linear(8 * width, classes)
        for layer in self.modules():  # as torchvision starts ResNet-18
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


class Trunk(nn.Module):
    """An image network cut at three taps, so that others can read it, branch off or step in between.

    picture -> `early` -> `late` -> `top` -> `pool`. In a ResNet `early` ends with layer2, `late` is layer3,
    whose cells LLINet's attention layer answers for, `top` is layer4. At 244 px, LLINet's size, ResNet-101
    gives 512 x 31 x 31, 1024 x 16 x 16, 2048 x 8 x 8, 2048; at 112 px the stand-in of width 16 gives
    32 x 28 x 28, 64 x 14 x 14, 128 x 7 x 7, 128. SqueezeNet is cut before features.7 and features.11,
    MobileNet v2 before features.7 and features.14. MobileNet's `early` and `late` may be negative, the other
    networks' are not.

    Its weights are random until `load_trunk_weights`; `build_trunk` does both.

    Parameters
    ----------
    name : str
        "resnet18", "resnet34", "resnet50", "resnet101", "squeezenet1_0" or "mobilenet_v2", torchvision's
        own; or "standin": ResNet-18 for small pictures, trained on the seen classes where ImageNet's weights
        are not at hand.
    width : int
        Channels of the stand-in's first stage; the other networks have theirs.
    classes : int
        Of the classifier; 1000 in ImageNet.
    normalisation : "imagenet" or "released"
        "imagenet": mean and deviation of the colours as torchvision's weights were trained. "released": 0.5
        for all, as LLINet's released code has it, with the same weights.
    frozen_bn : "eval" or "train"
        What the batch normalisations do in training once the trunk is frozen. "eval": they keep their
        statistics. "train": they use those of the batch and go on averaging, as in LLINet's released code,
        so the features drift although no weight changes.

    Attributes
    ----------
    network : Module, torchvision's, whose parameters keep its names
    stages : tuple of three Modules, the layers of `network` that `early`, `late` and `top` run
    title : str, for tables: the network and what its weights are; to be set by who trains it
    early_channels, local_channels, features : int, channels of `early`, `late` and `top`
    classes : int, 0 if the weights came without a classifier
    frozen : bool

    Notebook: 04
    """

    def __init__(
        self,
        name: str,
        *,
        width: int = 16,
        classes: int = 1000,
        normalisation: str = "imagenet",
        frozen_bn: str = "eval",
    ):
        super().__init__()
        refuse_unknown("trunk", name, TITLES)
        refuse_unknown("normalisation", normalisation, NORMALISATIONS)
        refuse_unknown("frozen_bn", frozen_bn, FROZEN_BN)
        self.name, self.classes, self.frozen = name, classes, False
        self.normalisation, self.frozen_bn = normalisation, frozen_bn
        self.kind = f"stand-in of width {width}" if name == "standin" else TITLES[name]
        self.title = f"{self.kind}, untrained"
        make = getattr(torchvision.models, name, None)
        self.network = make(num_classes=classes) if make else _StandIn(width, classes)
        self.stages, channels = _cut(self.network, name)  # a tuple, else every weight would have two names
        self.early_channels, self.local_channels, self.features = channels

    def early(self, image: Tensor) -> Tensor:
        """Picture (B, 3, H, W) float in [0, 1] -> first maps (B, early_channels, H', W')."""
        if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
            found = f"{tuple(image.shape)} {image.dtype}"
            raise TypeError(f"Trunk takes (B, 3, H, W) floats in [0, 1], got {found}: see features.to_image.")
        return self.stages[0](standardize(image, *NORMALISATIONS[self.normalisation]))

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
        """What `top` returned -> the classifier's logits (B, classes).

        Raises
        ------
        ValueError
            If the weights came without a classifier.
        """
        if not self.classes:
            raise ValueError(
                f"{self.title}: its weights came without a classifier, so it has no logits. Load a file "
                "that has one, or use what `top` and `pool` return."
            )
        if self.name == "squeezenet1_0":  # its classifier is a 1x1 convolution, then ReLU and the mean
            return self.network.classifier(top).flatten(1)  # (B, classes, 1, 1) -> (B, classes)
        return getattr(self.network, _head(self.network))(self.pool(top))

    def forward(self, image: Tensor) -> Tensor:
        """Picture (B, 3, H, W) float in [0, 1] -> logits (B, classes)."""
        return self.logits(self.top(self.late(self.early(image))))

    def freeze(self) -> Trunk:
        """Let no weight learn from here on; batch normalisation as `frozen_bn` says. Returns self."""
        self.frozen = True
        return self.requires_grad_(False).train(self.training)

    def train(self, mode: bool = True) -> Trunk:
        """Set training or evaluation; of a frozen trunk it reaches the batch normalisations at most."""
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
    first = (network.conv1, network.bn1, network.relu, network.maxpool, network.layer1, network.layer2)
    last = network.fc.in_features
    return (nn.Sequential(*first), network.layer3, network.layer4), (last // 4, last // 2, last)


def _head(network: nn.Module) -> str:
    """Return the name that torchvision gives the classifier."""
    return "fc" if isinstance(network, ResNet) else "classifier"


def build_trunk(
    name: str,
    weights: str | Path | None = None,
    *,
    width: int = 16,
    classes: int = 1000,
    normalisation: str = "imagenet",
    frozen_bn: str = "eval",
) -> Trunk:
    """Make a trunk: with random weights, free to be trained, or with weights from a file, frozen.

    Parameters
    ----------
    name, width, classes, normalisation, frozen_bn : see :class:`Trunk`
    weights : path of a file or folder, optional
        As for `find_weights`, which also says where files are if no path is at hand. Default: random
        weights, and `title` says "untrained".

    Returns
    -------
    Trunk

    Raises
    ------
    FileNotFoundError, ValueError
        See `find_weights` and `load_trunk_weights`.

    Notebook: 04
    """
    trunk = Trunk(name, width=width, classes=classes, normalisation=normalisation, frozen_bn=frozen_bn)
    if weights is None:
        return trunk
    return load_trunk_weights(trunk, find_weights(name, weights)).freeze()


def load_trunk_weights(trunk: Trunk, path: str | Path) -> Trunk:
    """Give a trunk the weights of a file, all of them or all but the classifier; returns the trunk.

    `title` then names the file, or ImageNet if it is torchvision's. Without the classifier `classes`
    becomes 0, and `logits` refuses. Counts of batches in batch normalisation may be missing: no result
    depends on them.

    Raises
    ------
    ValueError
        If the file is damaged, or holds another network or a part of it; the trunk is then as it was.

    Notebook: 04
    """
    path = Path(path)
    state = read_weights(path, trunk.name)
    head = _head(trunk.network)
    headless = not any(key.startswith(f"{head}.") for key in state)
    _refuse_another(path, trunk, state, headless)
    if headless:
        setattr(trunk.network, head, nn.Identity())
        trunk.classes = 0
    trunk.network.load_state_dict(state)  # batch normalisation itself fills in counts that are missing
    trunk.title = f"{trunk.kind}, {torchvision_files(trunk.name).get(path.name, path.stem)}"
    return trunk


def _refuse_another(path: Path, trunk: Trunk, state: dict[str, Tensor], headless: bool) -> None:
    """Raise ValueError unless the file has just the layers of the network, in their sizes."""
    head = f"{_head(trunk.network)}."
    wanted = {
        key: value.shape
        for key, value in trunk.network.state_dict().items()
        if not (key.endswith("num_batches_tracked") or (headless and key.startswith(head)))
    }
    found = {key: value.shape for key, value in state.items() if not key.endswith("num_batches_tracked")}
    missing = [key for key in wanted if key not in found]
    strange = [key for key in found if key not in wanted]
    resized = [key for key in wanted if key in found and found[key] != wanted[key]]
    faults = {"lacks": missing, "has besides": strange, "has in another size": resized}
    said = [f"{fault} {len(keys)} tensors ({keys[0]} ...)" for fault, keys in faults.items() if keys]
    if said:
        raise ValueError(
            f"{path} holds another network than {trunk.name} with {trunk.classes} classes, or a part of it: "
            f"it {', '.join(said)}. Name the network that it was made for, or a whole file."
        )
