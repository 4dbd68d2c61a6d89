"""VGG16: features of a network that learned from labels, on ImageNet or, offline, on the seen classes.

Notebook: 02
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models.vgg import make_layers
from torchvision.transforms.v2.functional import resize

from llinet_lite.classifier import seen_labels, train_classifier
from llinet_lite.data.store import Store
from llinet_lite.features import standardize
from llinet_lite.training import History, adam

__all__ = ["FILE", "VARIABLE", "VGG16", "train_vgg", "vgg16_imagenet"]

FILE = "vgg16-397923af.pth"  # torchvision's VGG16_Weights.IMAGENET1K_V1; its sha256 starts with 397923af
VARIABLE = "LLINET_VGG16"
RATE = 0.3  # of the profile's learning rate; at the whole of it thirteen layers learned more slowly
_BLOCKS = (1, 1, "M", 2, 2, "M", 4, 4, 4, "M", 8, 8, 8, "M", 8, 8, 8, "M")  # channels / width; M: 2x2 maxima
_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # of the colours of ImageNet


class VGG16(nn.Module):
    """Thirteen 3x3 convolutions in five blocks, then three linear layers; parts named as in torchvision.

    Source: Simonyan and Zisserman (2015), *Very deep convolutional networks for large-scale image
    recognition*, configuration D: width 64, 224 px, 1000 classes, no batch normalisation, 138.36 million
    parameters.

    Parameters
    ----------
    classes : int
    width : int
        Channels of the first block.
    size : int
        Side of the pictures, pixels, 32 or more. The last pool leaves (size // 32)^2 cells.
    hidden : int, optional
        Units of the two hidden linear layers; default 64 width, which is the paper's 4096 at width 64.
    batch_norm : bool
        Batch normalisation after every convolution: later than the paper, and what lets thirteen layers
        learn from random weights in a few epochs.
    dropout : float
        After both hidden linear layers.

    Notebook: 02
    """

    def __init__(
        self,
        classes: int,
        width: int = 64,
        size: int = 224,
        *,
        hidden: int | None = None,
        batch_norm: bool = True,
        dropout: float = 0.5,
    ):
        super().__init__()
        if size < 32:
            raise ValueError(f"five pools leave nothing of {size} px: size must be 32 or more.")
        self.size, self.hidden = size, hidden or 64 * width
        self.features = make_layers([b if b == "M" else b * width for b in _BLOCKS], batch_norm=batch_norm)
        self.classifier = nn.Sequential(
            nn.Linear(8 * width * (size // 32) ** 2, self.hidden), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(self.hidden, self.hidden), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(self.hidden, classes),
        )  # fmt: skip

    def embed_image(self, image: Tensor) -> Tensor:
        """Picture (B, 3, H, W) float in [0, 1] -> last hidden layer (B, hidden), not negative.

        Another size than `size` is resized to it, bilinear with antialiasing.
        """
        return self.classifier[:5](self._flat(image))

    def forward(self, image: Tensor) -> Tensor:
        """Picture (B, 3, H, W) float in [0, 1] -> logits (B, classes)."""
        return self.classifier(self._flat(image))

    def _flat(self, image: Tensor) -> Tensor:
        if image.ndim != 4 or image.shape[1] != 3 or not image.is_floating_point():
            found = f"{tuple(image.shape)} {image.dtype}"
            raise TypeError(f"VGG16 takes (B, 3, H, W) floats in [0, 1], got {found}: see features.to_image.")
        image = standardize(resize(image, [self.size, self.size], antialias=True), _MEAN, _STD)
        return self.features(image).flatten(1)  # (B, 8 width, n, n) -> (B, 8 width n^2)


def vgg16_imagenet(weights: str | Path | None = None) -> VGG16:
    """Return VGG16 as trained on ImageNet, for features; nothing is downloaded.

    Parameters
    ----------
    weights : path, optional
        The file, .pth or .safetensors. Default: the one that the environment variable LLINET_VGG16 names,
        or vgg16-397923af.pth in torch's folder of downloaded weights, where torchvision puts it.

    Returns
    -------
    VGG16
        Frozen, in eval mode; `embed_image` gives the 4096 units of the last hidden layer.

    Raises
    ------
    FileNotFoundError
        If there is no such file; the message says where it was looked for, and what to do without.
    ValueError
        If the file is damaged, or holds another network.

    Notebook: 02
    """
    path = _weights_file(weights)
    state = _read(path)
    with torch.device("meta"):  # 138 million random numbers less
        network = VGG16(1000, batch_norm=False)
    try:
        network.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    except (AttributeError, RuntimeError) as error:
        raise ValueError(f"{path} holds another network than torchvision's vgg16: {error}") from None
    return network.requires_grad_(False).eval()


def _weights_file(weights: str | Path | None) -> Path:
    cached = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    places = {"weights": weights, f"${VARIABLE}": os.environ.get(VARIABLE), "torch's cache": cached}
    where, path = next((where, Path(place).expanduser()) for where, place in places.items() if place)
    if path.is_file():
        return path
    raise FileNotFoundError(
        f"No ImageNet weights of VGG16 at {path} ({where}). They are torchvision's "
        f"VGG16_Weights.IMAGENET1K_V1, the file {FILE} of 528 MB, and are never downloaded from here: put it "
        f"at {cached}, or name it by `weights` or the environment variable {VARIABLE}. Without it, "
        "`train_vgg` trains VGG16 on the seen classes as a stand-in, to be named so beside its numbers."
    )


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file; torchvision's own file only if it is whole."""
    if path.name == FILE:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()[:8]
        if found not in FILE:
            raise ValueError(f"{path} is damaged: its sha256 starts with {found}. Replace it.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has its own kinds
        raise ValueError(f"{path} cannot be read as weights, .pth or .safetensors: {error}") from error


def train_vgg(
    store: Store,
    settings,
    *,
    seed: int,
    run_dir: Path | None,
    epochs: int,
    size: int | None = None,
    quiet: bool = False,
) -> tuple[VGG16, History]:
    """Train VGG16 with batch normalisation and no dropout on the labels of `train`, or go on with it.

    The stand-in for ImageNet's VGG16 where its weights are not at hand. It is the better informed of the
    two: it learns the very classes, in the very style of picture, that retrieval is tested on.

    Parameters
    ----------
    store : Store
        Splits `train`, whose classes are learned, and `val`, on which the best epoch is chosen.
    settings : Profile
        Its width, image_crop, batch_size, weight_decay and learning_rate, of which the run takes 0.3, falling
        to 0 along a cosine.
    seed : int
        Of the weights, the batches and dropout.
    run_dir : Path or None
        Where checkpoints go.
    epochs : int
    size : int, optional
        Side to which the network shrinks its pictures, pixels; default: image_crop. The cost of an epoch
        goes with its square.

    Returns
    -------
    model : VGG16
        With the best epoch's weights if `run_dir` was given, else the last one's.
    history : History
        `accuracy` is that on `val`.

    Notebook: 02
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = VGG16(len(seen_labels(store)), settings.width, size or settings.image_crop, dropout=0.0)
    history = train_classifier(
        model,
        store,
        batch_size=settings.batch_size,
        image_crop=settings.image_crop,
        optimizer=adam(RATE * settings.learning_rate, settings.weight_decay),
        epochs=epochs,
        seed=seed,
        run_dir=run_dir,
        settings={"size": model.size},
        quiet=quiet,
    )
    return model, history
