"""VGG16 in the retrieval table: with ImageNet's weights where they are, else trained on the seen classes.

Notebook: 02
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from llinet_lite.avc.spaces import Vectors, vectors
from llinet_lite.checkpoint import rounded
from llinet_lite.classifier import seen_labels, train_classifier
from llinet_lite.data.bandstand import WORLD_VERSION
from llinet_lite.features import to_image
from llinet_lite.rivals.vgg import VGG16, vgg16_imagenet
from llinet_lite.training import adam

NAME = "vgg16-seen"  # of the stand-in's weights
FILE, VARIABLE = "vgg16-397923af.pth", "LLINET_VGG16"  # of torchvision's weights
RATE = 0.3  # of the profile's learning rate; at the whole of it thirteen layers learned more slowly


def weights_file(weights: str = "") -> Path:
    """The named file, that of the environment variable, or torchvision's own in torch's cache."""
    path = Path(weights or os.environ.get(VARIABLE) or Path(torch.hub.get_dir()) / "checkpoints" / FILE)
    if not path.is_file():
        raise FileNotFoundError(f"No ImageNet weights of VGG16 at {path}: name them by {VARIABLE}.")
    return path


def vgg_vectors(
    lesson, parts: Sequence[str], seeds: Sequence[int], weights: str = ""
) -> tuple[str, list[list[Vectors]], str]:
    """Return the pictures of some splits as VGG16 sees them.

    Parameters
    ----------
    lesson : Lesson
    parts : sequence of str
        Splits; of "train" every picture, else one of each clip.
    seeds : sequence of int
        Of the stand-in; ImageNet's network is one and the same for all.
    weights : str
        File of ImageNet's weights, or "" to look where torchvision keeps them.

    Returns
    -------
    title : str
        "VGG16-ImageNet", or "VGG16 (stand-in)".
    vectors : list of list of Vectors
        One list per seed, one Vectors per split, without sounds.
    note : str
    """
    store, settings = lesson.store(splits=tuple(parts)), lesson.settings

    def see(model: nn.Module) -> list[Vectors]:
        device = next(model.parameters()).device

        def look(batch):
            return model.embed_image(to_image(batch["image"]))

        return [
            vectors(
                store,
                part,
                settings,
                look,
                None,
                view="frame" if part == "train" else "middle",
                device=device,
            )
            for part in parts
        ]

    try:
        known = vgg16_imagenet(weights_file(weights))
    except FileNotFoundError:
        if weights or os.environ.get(VARIABLE):  # a file that was named must be there
            raise
        print(f"no {FILE} in torch's cache, so a stand-in takes the place of ImageNet's VGG16", flush=True)
    else:
        known.to("cuda" if torch.cuda.is_available() else "cpu")
        return "VGG16-ImageNet", [see(known)] * len(seeds), "labels of ImageNet"
    stand_ins = [_stand_in(lesson, store, seed) for seed in seeds]
    note = "stand-in: this profile's VGG16, trained on the labels of the seen classes"
    return "VGG16 (stand-in)", [see(model) for model in stand_ins], note


def _stand_in(lesson, store, seed: int) -> VGG16:
    """Load the published stand-in, or train one."""
    settings, path = lesson.settings, lesson.reference(NAME) if seed == 0 else None
    size = max(32, min(settings.image_crop, 4 * settings.width))  # a narrow network sees smaller pictures
    if path is not None and lesson.card(path)["world"] == WORLD_VERSION:
        model = VGG16(len({*store.images("train").label.tolist()}), settings.width, size)
        model.load_state_dict(load_file(path))
        return model.eval()
    print(f"training {NAME}, seed {seed}: {settings.epochs_vgg} epochs", flush=True)
    folder = lesson.training_dir / f"{NAME}-{settings.epochs_vgg}-{seed}"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = VGG16(len(seen_labels(store)), settings.width, size, dropout=0.0)
    history = train_classifier(
        model,
        store,
        batch_size=settings.batch_size,
        image_crop=settings.image_crop,
        optimizer=adam(RATE * settings.learning_rate, settings.weight_decay),
        epochs=settings.epochs_vgg,
        seed=seed,
        run_dir=folder,
        settings={"size": model.size},
    )
    state = rounded(model)
    if seed == 0:
        minutes = round(sum(epoch["seconds"] for epoch in history.epochs) / 60, 2)
        curve = [round(float(epoch["accuracy"]), 4) for epoch in history.epochs]
        lesson.publish(
            NAME, state, seed=0, results=[], validation=curve, minutes=minutes, world=WORLD_VERSION
        )
    return model.eval()
