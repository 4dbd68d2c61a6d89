"""The image network that LLINet and its rivals stand on: with ImageNet's weights, or a stand-in.

Notebook: 04
"""

from __future__ import annotations

import os

import torch
from safetensors.torch import load_file

from llinet_lite.checkpoint import rounded
from llinet_lite.classifier import seen_labels, train_classifier
from llinet_lite.data.bandstand import WORLD_VERSION
from llinet_lite.models.trunks import VARIABLE, Trunk, build_trunk, find_weights, load_trunk_weights
from llinet_lite.training import adam

STAND_IN = "standin"
SIZES = {"image_size": 256, "image_crop": 224}  # of pictures, for a trunk of ImageNet
PAPER = "resnet101"


def sizes_for(trunk: str, data: str = "") -> dict[str, int]:
    """Return what a lesson's profile must be overridden with: networks of ImageNet want larger photographs.

    Parameters
    ----------
    trunk : str
        As the lesson's parameter: "" for the profile's own.
    data : str
        Folder of one's own data, or "" for the built-in world, whose pictures keep their size.
    """
    return dict(SIZES) if data and trunk and trunk not in (STAND_IN, "auto") else {}


def chosen_trunk(lesson, name: str = "", weights: str = "") -> Trunk:
    """Return the frozen trunk of a lesson, on the device that trains.

    Parameters
    ----------
    lesson : Lesson
    name : str
        A name of :class:`llinet_lite.models.trunks.Trunk`, or "" for the profile's own. "auto" is ResNet-101
        if ImageNet's weights of it are at hand, else the stand-in; which of the two is printed.
    weights : str
        File or folder of ImageNet's weights; "" looks where the environment variable LLINET_TRUNK points to
        if it is set, else beside one's own data (a folder `weights`) and in torch's cache.

    Returns
    -------
    Trunk
        In eval mode; its `title` says what it was trained on.

    Raises
    ------
    FileNotFoundError
        If a trunk or a place was named, and its weights are not there.
    ValueError
        If there is no trunk of that name.
    """
    name = name or lesson.settings.trunk
    device = "cuda" if torch.cuda.is_available() else "cpu"
    nearby = () if lesson.data is None else (lesson.data.parent / "weights",)
    if name == "auto":
        try:
            find_weights(PAPER, weights or None, nearby)
        except FileNotFoundError:
            if weights or os.environ.get(VARIABLE):  # who names a place means it
                raise
            print(f"no weights of {PAPER} at hand, so a stand-in takes the place of ImageNet's", flush=True)
            name = STAND_IN
        else:
            name = PAPER
    if name == STAND_IN:
        return _stand_in(lesson).to(device)
    trunk = build_trunk(name)
    load_trunk_weights(trunk, find_weights(name, weights or None, nearby))
    return trunk.freeze().eval().to(device)


def _stand_in(lesson) -> Trunk:
    """Load the published stand-in, or train one on the labels of the seen classes; one for all seeds."""
    settings, store = lesson.settings, lesson.store(splits=("train", "val"))
    classes = len(seen_labels(store))
    title = f"stand-in: ResNet-18 of width {settings.width}, trained on the labels of {classes} seen classes"
    path = lesson.reference("trunk-seen")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = build_trunk(STAND_IN, width=settings.width, classes=classes)
    if path is not None and lesson.card(path)["world"] == WORLD_VERSION:
        trunk.load_state_dict(load_file(path))
    else:
        print(f"training the stand-in of the trunk: {settings.epochs_trunk} epochs", flush=True)
        folder = lesson.training_dir / f"trunk-{settings.epochs_trunk}-0"
        history = train_classifier(
            trunk,
            store,
            batch_size=settings.batch_size,
            image_crop=settings.llinet_crop,
            optimizer=adam(settings.learning_rate, settings.weight_decay),
            epochs=settings.epochs_trunk,
            seed=0,
            run_dir=folder,
        )
        state = rounded(trunk)
        curve = [round(float(epoch["accuracy"]), 4) for epoch in history.epochs]
        minutes = round(sum(epoch["seconds"] for epoch in history.epochs) / 60, 2)
        lesson.publish(
            "trunk-seen", state, seed=0, results=[], validation=curve, minutes=minutes, world=WORLD_VERSION
        )
    trunk.title = title
    return trunk.freeze().eval()
