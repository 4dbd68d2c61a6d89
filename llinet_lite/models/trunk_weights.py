"""Weights of image networks: where their files are, and whether they are whole. Nothing is downloaded.

Notebook: 04
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import get_model_weights

__all__ = ["TITLES", "VARIABLE", "find_weights", "read_weights", "refuse_unknown", "torchvision_files"]

VARIABLE = "LLINET_TRUNK"
TITLES = {
    "resnet18": "ResNet-18",
    "resnet34": "ResNet-34",
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "squeezenet1_0": "SqueezeNet 1.0",
    "mobilenet_v2": "MobileNet v2",
    "standin": "stand-in",
}


def refuse_unknown(what: str, value: str, known: Iterable[str]) -> None:
    """Raise ValueError unless `value` is one of the known ones, which the message lists."""
    known = tuple(known)
    if value not in known:
        raise ValueError(f"{what} {value!r} is unknown; choose one of {', '.join(map(repr, known))}.")


def torchvision_files(name: str) -> dict[str, str]:
    """File names of torchvision's weights of a network -> what they were trained on, the oldest first.

    {"resnet101-63fe2227.pth": "ImageNet", "resnet101-cd907fc2.pth": "ImageNet V2"}; the hexadecimal digits
    begin the sha256 of the file. The authors of LLINet had the first kind. None of "standin".

    Notebook: 04
    """
    refuse_unknown("trunk", name, TITLES)
    kinds = () if name == "standin" else get_model_weights(name)
    return {kind.url.rpartition("/")[2]: f"ImageNet {kind.name[-2:]}".removesuffix(" V1") for kind in kinds}


def find_weights(name: str, weights: str | Path | None = None, nearby: Iterable[str | Path] = ()) -> Path:
    """Find the file of weights of an image network.

    A place that is named, by `weights` or else by the environment variable LLINET_TRUNK, is the only one
    looked at. If none is named: the folders `nearby`, then torch's folder of downloaded weights, there only
    for torchvision's own file. In a folder torchvision's file comes first, else it must be one file alone
    whose name starts with `name` and ends in .pth or .safetensors.

    Parameters
    ----------
    name : str, one of `TITLES`
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
        If the name is unknown, or a folder holds several candidates.

    Notebook: 04
    """
    files = torchvision_files(name)
    named = {"weights": weights, f"${VARIABLE}": os.environ.get(VARIABLE)}
    where = next((where for where, place in named.items() if place), None)
    if where:
        path = Path(named[where]).expanduser()
        found, looked = path if path.is_file() else _in_folder(path, name), [f"{path} ({where})"]
    else:
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        folders = [Path(folder).expanduser() for folder in nearby]
        candidates = [_in_folder(folder, name) for folder in folders]
        candidates += [cache / file for file in files if (cache / file).is_file()]
        found, looked = next(filter(None, candidates), None), [*map(str, folders), f"{cache} (torch's cache)"]
    if found is None:
        raise FileNotFoundError(_missing(name, looked))
    return found


def _in_folder(folder: Path, name: str) -> Path | None:
    """Return torchvision's file in a folder, else the one that starts with the name, else None."""
    present = sorted(path for path in folder.glob(f"{name}*") if path.suffix in (".pth", ".safetensors"))
    theirs = [folder / file for file in torchvision_files(name) if folder / file in present]
    if theirs or len(present) < 2:
        return next(iter(theirs or present), None)
    found = ", ".join(path.name for path in present)
    raise ValueError(f"{folder} holds several files of weights for {name}: {found}. Name the one to take.")


def _missing(name: str, looked: list[str]) -> str:
    said = f"No weights of {TITLES[name]} ({name}): looked at {', '.join(looked)}. "
    if name == "standin":
        return (
            said + "The stand-in is trained on the seen classes: train it, or name the file of its weights."
        )
    return said + (
        f"They are torchvision's file {next(iter(torchvision_files(name)))}, and are never downloaded from "
        "here: put it into one of these folders, or name it by `weights` or the environment variable "
        f'{VARIABLE}. Without it, use the stand-in, trunk="standin", to be named so beside its numbers.'
    )


def read_weights(path: str | Path, name: str) -> dict[str, Tensor]:
    """Read a file of weights of the network `name`; floating-point values come as float32.

    Returns
    -------
    dict of str to Tensor, on the CPU; the names as in the file, less "network." of a saved `Trunk`

    Raises
    ------
    ValueError
        If the file cannot be read, holds anything but tensors, or is torchvision's own and its sha256 does
        not start as its name says.

    Notebook: 04
    """
    path = Path(path)
    if path.name in torchvision_files(name):
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()[:8]
        if not path.stem.endswith(f"-{found}"):
            raise ValueError(f"{path} is damaged: its sha256 starts with {found}. Replace it.")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # each reader has its own kinds
        raise ValueError(f"{path} cannot be read as weights, .pth or .safetensors: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds more than named tensors: save the network's state_dict alone.")
    return {
        key.removeprefix("network."): value.float() if value.is_floating_point() else value
        for key, value in state.items()
    }
