"""VGGish: what a sound is, in 128 numbers for every 0.96 s of it.

Notebook: 04
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from llinet_lite.features import BANDS, FRAMES, VGGishExamples
from llinet_lite.losses import full_precision
from llinet_lite.models.towers import initialise
from llinet_lite.models.trunk_weights import read_weights

__all__ = ["FILE", "VARIABLE", "Ear", "VGGish", "find_vggish_weights", "load_vggish_weights"]

FILE = "vggish-10086976.pth"  # the public weights in PyTorch's form
VARIABLE = "LLINET_VGGISH"
_BLOCKS = (1, "M", 2, "M", 4, 4, "M", 8, 8, "M")  # channels / width; M: 2x2 maxima


class VGGish(nn.Module):
    """Six 3x3 convolutions in four blocks, then three linear layers, a ReLU after each of the nine.

    VGG's configuration A, less its last block. There is no batch normalisation, so weights start as He's. At
    width 64 it has 72.14 million parameters, nine tenths of them in the first two linear layers. The maps
    are flattened by time, frequency and channel, the channel last, as in TensorFlow.

    The last ReLU is that of the first release and of the public port to PyTorch; TensorFlow's later releases
    leave it to the user, with the same weights. The release also rotates the 128 numbers by a PCA and rounds
    them to 8 bits, for the data set's own files; that is not applied here.

    Source: Hershey et al. (2017), *CNN architectures for large-scale audio classification*, and the VGGish
    released with AudioSet.

    Parameters
    ----------
    width : int
        Channels of the first block; 64 in the release. The hidden linear layers have width squared units,
        4096 in the release, so that a narrow network stays a small file.
    size : int
        Of the embeddings; 128 in the release.
    classes : int
        Of a linear classifier on the embeddings; 0: none, as in the release.

    Attributes
    ----------
    features, embeddings : Sequential, with the parameter names of the public port
    classifier : Linear, only with classes
    title : str, for tables: what the weights are; to be set by who trains it

    Notebook: 04
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
        initialise(self)
        if classes:
            self.classifier = nn.Linear(size, classes)
            nn.init.normal_(self.classifier.weight, std=0.01)  # small: all classes start nearly alike
            nn.init.zeros_(self.classifier.bias)

    def forward(self, examples: Tensor) -> Tensor:
        """Embed examples.

        Parameters
        ----------
        examples : Tensor (B, P, 96, 64) float, as from :class:`llinet_lite.features.VGGishExamples`

        Returns
        -------
        Tensor (B, P, size), not negative

        Raises
        ------
        ValueError
            If the shape is another, or there is no example.
        """
        shape = tuple(examples.shape)
        if examples.ndim != 4 or shape[1] < 1 or shape[2:] != (FRAMES, BANDS):
            raise ValueError(
                f"VGGish takes examples (B, P, {FRAMES}, {BANDS}), P at least 1, got {shape}: see "
                "features.VGGishExamples."
            )
        maps = self.features(examples.flatten(0, 1)[:, None])  # (B, P, 96, 64) -> (B P, 1, 96, 64)
        flat = maps.permute(0, 2, 3, 1).flatten(1)  # (B P, 8 width, 6, 4) -> (B P, 6 4 8 width)
        return self.embeddings(flat).unflatten(0, shape[:2])  # (B P, size) -> (B, P, size)

    def logits(self, examples: Tensor) -> Tensor:
        """Examples (B, P, 96, 64) -> logits (B, classes) of each sound, from the mean of its embeddings.

        Raises
        ------
        ValueError
            If the network has no classifier.
        """
        if not self.classes:
            raise ValueError(f"{self.title} has no classifier: make it with classes, and train it.")
        return self.classifier(self(examples).mean(1))

    def freeze(self) -> VGGish:
        """Let no weight learn from here on, and evaluate; returns self."""
        return self.requires_grad_(False).eval()


class Ear(nn.Module):
    """Waveforms to VGGish's embeddings, the mean over the examples of a sound; frozen, and always evaluating.

    Parameters
    ----------
    vggish : VGGish
        Is frozen, not copied.
    sample_rate : int, Hz

    Attributes
    ----------
    size : int
    title : str

    Notebook: 04
    """

    def __init__(self, vggish: VGGish, sample_rate: int):
        super().__init__()
        self.vggish = vggish.freeze()
        self.examples = VGGishExamples(sample_rate).to(next(vggish.parameters()).device)
        self.size, self.title = vggish.size, vggish.title
        self.eval()

    def train(self, mode: bool = True) -> Ear:
        """Stay in evaluation, whatever `mode` is."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, waveform: Tensor) -> Tensor:
        """Sounds (B, samples) float in [-1, 1) -> (B, size) float32, not negative, without gradient."""
        return full_precision(self.vggish(self.examples(waveform))).mean(1)


def find_vggish_weights(weights: str | Path | None = None, nearby: Iterable[str | Path] = ()) -> Path:
    """Find the file of VGGish's public weights; nothing is downloaded.

    A place that is named, by `weights` or else by the environment variable LLINET_VGGISH, is the only one
    looked at. If none is named: the folders `nearby`, then torch's folder of downloaded weights, there only
    for vggish-10086976.pth. In a folder that file comes first, else it must be one file alone whose name
    starts with "vggish" and ends in .pth or .safetensors; files of PCA parameters do not count.

    Parameters
    ----------
    weights : path of a file or folder, optional
    nearby : paths of folders, which need not exist

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        If there is none; the message says where it was looked for, and what to do.
    ValueError
        If a folder holds several candidates.

    Notebook: 04
    """
    named = {"weights": weights, f"${VARIABLE}": os.environ.get(VARIABLE)}
    where = next((where for where, place in named.items() if place), None)
    if where:
        path = Path(named[where]).expanduser()
        found, looked = path if path.is_file() else _in_folder(path), [f"{path} ({where})"]
    else:
        cached = Path(torch.hub.get_dir()) / "checkpoints" / FILE
        folders = [Path(folder).expanduser() for folder in nearby]
        candidates = [*map(_in_folder, folders), cached if cached.is_file() else None]
        found = next(filter(None, candidates), None)
        looked = [*map(str, folders), f"{cached.parent} (torch's cache)"]
    if found is None:
        raise FileNotFoundError(
            f"No weights of VGGish: looked at {', '.join(looked)}. They are the file {FILE} of the public "
            "port to PyTorch, and are never downloaded from here: put it into one of these folders, or name "
            f"it by `weights` or the environment variable {VARIABLE}. Without it, a stand-in can be trained "
            "on the seen classes, to be named so beside its numbers."
        )
    return found


def _in_folder(folder: Path) -> Path | None:
    """Return the public file in a folder, else the one that starts with its name, else None."""
    present = sorted(path for path in folder.glob("vggish*") if path.suffix in (".pth", ".safetensors"))
    present = [path for path in present if "pca" not in path.name]  # the release's other file
    public = [path for path in present if path.name == FILE]
    if public or len(present) < 2:
        return next(iter(public or present), None)
    found = ", ".join(path.name for path in present)
    raise ValueError(f"{folder} holds several files of weights for VGGish: {found}. Name the one to take.")


def load_vggish_weights(vggish: VGGish, path: str | Path) -> VGGish:
    """Give VGGish the weights of a file, .pth or .safetensors; returns the network.

    The names are those of the public port: `features.N`, `embeddings.N`, and `classifier` if the network has
    one. What begins with `pproc.` is the PCA of the 8-bit embeddings, which is not applied, and is left out.
    `title` then names the file, or the release if it is the public one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file cannot be read, or holds another network; the network is then as it was.

    Notebook: 04
    """
    path = Path(path)
    state = read_weights(path, "standin")  # a name without files of torchvision, so without their checksums
    state = {key: value for key, value in state.items() if not key.startswith("pproc.")}
    _refuse_another(path, vggish, state)
    vggish.load_state_dict(state)
    vggish.title = "VGGish as released with AudioSet" if path.name == FILE else f"VGGish, {path.stem}"
    return vggish


def _refuse_another(path: Path, vggish: VGGish, state: dict[str, Tensor]) -> None:
    """Raise ValueError unless the file has just the layers of the network, in their sizes."""
    wanted = vggish.state_dict()
    faults = {
        "lacks": [key for key in wanted if key not in state],
        "has besides": [key for key in state if key not in wanted],
        "has in another size": [k for k in wanted if k in state and state[k].shape != wanted[k].shape],
    }
    said = [f"{fault} {len(keys)} tensors ({keys[0]} ...)" for fault, keys in faults.items() if keys]
    if said:
        raise ValueError(
            f"{path} holds another network than VGGish of width {vggish.width} with {vggish.classes} "
            f"classes, or a part of it: it {', '.join(said)}. Make the network as it was saved (the release "
            "has width 64 and no classes), or name a whole file."
        )
