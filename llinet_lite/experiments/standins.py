"""The frozen networks that methods stand on: public weights where they are at hand, else stand-ins.

A stand-in learns the labels of the seen classes, once, and is then loaded; its numbers are to say so.
Notebook: 02 (VGG16), 04 (the trunk of LLINet, VGGish)
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.data.bandstand import WORLD_VERSION
from llinet_lite.data.batches import Batches, EvaluationSet, ImageBatches
from llinet_lite.data.store import JoinedStore, Store
from llinet_lite.features import EXAMPLE_SECONDS, ImageAugment, VGGishExamples, to_image, to_waveform
from llinet_lite.models.trunks import (
    LITE,
    Trunk,
    build_trunk,
    lite_weights,
    load_trunk_weights,
    published_files,
)
from llinet_lite.models.vggish import VGGish, load_vggish_weights
from llinet_lite.profiles import profile_named
from llinet_lite.rivals.base import adam
from llinet_lite.rivals.vgg import VGG16, vgg16_imagenet
from llinet_lite.training import fit
from llinet_lite.workspace import WEIGHTS_VERSION, Workspace

STAND_IN, PAPER = "standin", "resnet101"
VGG_RATE = 0.3  # of the profile's learning rate; at the whole of it VGG16 learned more slowly
AT_ONCE = 128  # images named at once
HEARD = 64  # sounds heard at once


def device() -> str:
    """Where networks run: "cuda" if there is a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def seen_labels(store: Store) -> np.ndarray:
    """Labels (S,) of the training images, rising."""
    return np.unique(np.asarray(store.images("train").label, np.int64))


def fingerprint(network: nn.Module) -> str:
    """Name of what a frozen network computes: of its weights and, for a trunk, its normalization."""
    said = f"{network.name} {network.normalization}" if isinstance(network, Trunk) else network.title
    mark = hashlib.sha256(said.encode())
    for name, value in sorted(network.state_dict().items()):
        if "num_batches_tracked" not in name:
            mark.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return mark.hexdigest()[:12]


# ---- weights as they are published


def packed(state: dict[str, Tensor], bits: int = 8) -> dict[str, Tensor]:
    """Pack weights: 8 bits for matrices and kernels, 16 for the rest; or 16 for all.

    In 8 bits every row of a weight (of a matrix, or of a kernel by its output channel) becomes whole numbers
    of -127 to 127 times the row's scale, max |w| / 127 in bfloat16, kept as "<name>:scale". Packing what was
    unpacked gives the same numbers again.
    """
    small = {}
    for name, value in state.items():
        if not value.is_floating_point():
            small[name] = value
        elif bits == 16 or value.ndim < 2:
            small[name] = value.half()
        else:
            rows = value.float().flatten(1)  # (out, ...) -> (out, n)
            scale = (rows.abs().amax(1, keepdim=True) / 127).bfloat16()
            whole = (rows / scale.float().clamp(min=1e-30)).round().clamp(-127, 127)
            small[name], small[f"{name}:scale"] = whole.to(torch.int8).view(value.shape), scale
    return small


def unpacked(small: dict[str, Tensor]) -> dict[str, Tensor]:
    """The float32 weights that `packed` packed, rounded."""
    state = {}
    for name, value in small.items():
        if f"{name}:scale" in small:
            scale = small[f"{name}:scale"].float()
            state[name] = (value.flatten(1).float() * scale).view(value.shape)
        elif not name.endswith(":scale"):
            state[name] = value.float() if value.is_floating_point() else value
    return state


# ---- learning labels


class Classifier(nn.Module):
    """A network that learns the labels of images, or VGGish those of audio, as a method of `training.fit`."""

    clip_norm = None

    def __init__(self, network: nn.Module, store: Store, rate: float = 0.0, weight_decay: float = 0.0):
        super().__init__()
        self.network, self.rate, self.weight_decay = network, rate, weight_decay
        self.hears = isinstance(network, VGGish)
        self.look = VGGishExamples(store.sample_rate) if self.hears else ImageAugment()
        table = store.sounds("train") if self.hears else store.images("train")
        labels = np.unique(np.asarray(table.label, np.int64))
        self.register_buffer("seen", torch.from_numpy(labels), persistent=False)  # (S,), rising

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Batch -> logits (B, S); while it trains, images are changed by the batch's draws."""
        if self.hears:
            return self.network.logits(self.look(to_waveform(batch["audio"])))
        image = to_image(batch["image"])
        return self.network(self.look(image, batch["draws"]) if self.training else image)

    def loss(self, _inputs, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        """Cross-entropy of the labels."""
        return F.cross_entropy(self(batch), torch.searchsorted(self.seen, batch["label"])), {}

    def optimizer(self, rate: float = 1.0) -> Callable:
        """Adam with an L2 penalty."""
        return adam(rate * self.rate, self.weight_decay)

    def schedule(self, epochs: int) -> Callable[[float], float]:
        """From 1 to 0 along a cosine."""
        return lambda epoch: 0.5 * (1 + math.cos(math.pi * min(epoch / epochs, 1.0)))

    @torch.no_grad()
    def hits(self, store: Store, split: str, image_crop: int | None = None) -> np.ndarray:
        """Which images (n,) of a split, or which audio, are named rightly, bool."""
        if self.hears:
            batches = sounds_of(store, split)
        else:
            batches = EvaluationSet(store, split, batch_size=AT_ONCE, image_crop=image_crop, item="image")
        self.eval()
        found = []
        for batch in batches:
            batch = {name: value.to(self.seen.device) for name, value in batch.items()}
            found.append(self.seen[self(batch).argmax(1)] == batch["label"])
        return torch.cat(found).cpu().numpy()


class SoundBatches:
    """Audio of the split `train` in random order, each cut at a random place; no image is read."""

    def __init__(self, store: Store, *, batch_size: int, seconds: float, seed: int = 0):
        self.all = EvaluationSet(store, "train", batch_size=batch_size, item="sound", seconds=seconds)
        self.batch_size, self.seed = batch_size, seed

    def epoch(self, e: int) -> Batches:
        """The batches of epoch ``e``, a function of (seed, e) alone: audio, label, index."""
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, e])))
        count = len(self.all.rows.sound)
        sound = rng.permutation(count)[: count // self.batch_size * self.batch_size]
        rows = self.all.rows.take(sound)
        rows.start = self.all.source.anywhere(sound, rng)
        return Batches(self.all.source, rows, self.batch_size)


def stand_in(
    workspace: Workspace, store: Store | JoinedStore, name: str, make: Callable, epochs: int, *, seed=0,
    rate=1.0, image_crop=0,
) -> nn.Module:  # fmt: skip
    """Make a network and load its packaged weights, or train it; the epoch that is best on `val` is kept.

    `rate` is a factor on the profile's learning rate, `image_crop` for a network that sees.
    """
    from safetensors.torch import load_file

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = make()
    profile = workspace.profile
    path = workspace.weights(f"{name}-seen") if seed == 0 else None
    if path is not None and workspace.card(path)["world"] == WORLD_VERSION:
        network.load_state_dict(unpacked(load_file(path)))
        return network.eval()
    print(f"training {name}-seen, seed {seed}: {epochs} epochs", flush=True)
    method = Classifier(network, store, rate * profile.learning_rate, profile.weight_decay)
    sizes = {"batch_size": profile.batch_size}
    if method.hears:
        seconds = min(EXAMPLE_SECONDS, shortest(store, "train"))
        batches = SoundBatches(store, **sizes, seconds=seconds, seed=seed)
    else:
        sizes["image_crop"] = image_crop
        batches = ImageBatches(store, "train", **sizes, seed=seed)
    history = fit(
        method, nn.Identity(), batches, epochs=epochs, seed=seed,
        run_dir=workspace.training_dir(f"{name}-{epochs}-{seed}"),
        validate=lambda method: {"accuracy": method.hits(store, "val", image_crop).mean()},
        settings={"data": store.content_hash, "epochs": epochs, **sizes},
    )  # fmt: skip
    history.load_best(method)
    state = packed(network.state_dict(), 8 if method.hears else 16)
    network.load_state_dict(unpacked(state))  # what is judged is what is published
    if seed == 0:
        curve = [{"accuracy": round(float(epoch["accuracy"]), 4)} for epoch in history.epochs]
        facts = {"curve": curve, "chosen": history.best["epoch"], "minutes": history.minutes}
        versions = {"world": WORLD_VERSION, "weights_version": WEIGHTS_VERSION}
        plan = {"name": f"{name}-seen", "epochs": epochs}
        workspace.publish(plan["name"], state, seed=0, plan=plan, **facts, **versions)
    return network.eval()


def shortest(store: Store, split: str) -> float:
    """Length of the shortest audio of a split, seconds."""
    return int(store.sounds(split).length.min()) / store.sample_rate


def sounds_of(store: Store, split: str, rows: Sequence[int] | None = None) -> EvaluationSet:
    """Batches of audio from the middle, as long as the shortest of the split."""
    # of the split, not of the rows: items do not change one another
    sounds = EvaluationSet(store, split, batch_size=HEARD, item="sound", seconds=shortest(store, split))
    if rows is not None:
        sounds.rows = sounds.rows.take(rows)
    return sounds


def hear(ear: nn.Module, store: Store, split: str, rows: np.ndarray) -> Tensor:
    """VGGish's embeddings (n, size) of the audio in these rows of a split, float32, on the CPU."""
    at = next(ear.parameters()).device
    with torch.autocast(at.type, enabled=False):
        heard = [ear(to_waveform(b["audio"].to(at))).cpu() for b in sounds_of(store, split, rows)]
    return torch.cat(heard)


# ---- the three networks


def sizes_for(profile: str, trunk: str, data: str = "") -> dict[str, int]:
    """Return what a profile must be overridden with: networks of ImageNet want larger photographs."""
    chosen = trunk or profile_named(profile).trunk
    return {"image_size": 256, "image_crop": 224} if data and chosen not in ("auto", STAND_IN) else {}


def _public(workspace: Workspace, what: str, patterns: Sequence[str], named: str) -> Path | None:
    """File of public weights; None, which is printed, where there is none and no place was named."""
    try:
        return workspace.public_weights(patterns, named)
    except FileNotFoundError:
        if named:  # who names a place means it
            raise
    print(f"no weights of {what} at hand, so a stand-in takes their place", flush=True)
    return None


@functools.lru_cache(maxsize=2)
def chosen_trunk(workspace: Workspace, name: str = "", weights: str = "") -> Trunk:
    """Return the frozen trunk of LLINet and its rivals; its `title` says what it was trained on.

    `name` is one of :class:`llinet_lite.models.trunks.Trunk`, or "" for the profile's own. "auto" is
    ResNet-101 if ImageNet's weights of it are at hand, else the stand-in, which is printed. `weights` is a
    file or folder; "" looks in the workspace's places. What is named and not there is a FileNotFoundError.
    """
    name, path = name or workspace.profile.trunk, None
    kind = PAPER if name == "auto" else name
    patterns = [*published_files(kind), f"{kind}*"]
    if name == "auto":
        path = _public(workspace, PAPER, patterns, weights)
    elif name == LITE and not weights:
        path = lite_weights()
    elif name != STAND_IN:
        path = workspace.public_weights(patterns, weights)
    if path is not None:
        return load_trunk_weights(build_trunk(kind), path).freeze().eval().to(device())
    profile, store = workspace.profile, workspace.store(("train", "val"))
    classes = len(seen_labels(store))
    width, crop = profile.width, profile.llinet_crop
    make = functools.partial(Trunk, STAND_IN, width=width, classes=classes)
    trunk = stand_in(workspace, store, "trunk", make, profile.epochs_trunk, image_crop=crop)
    trunk.title = f"stand-in: ResNet-18 of width {width}, trained on the labels of {classes} seen classes"
    return trunk.freeze().eval().to(device())


@functools.lru_cache(maxsize=2)
def chosen_vggish(workspace: Workspace, weights: str = "") -> VGGish:
    """Return the frozen VGGish, with its public weights or as a stand-in, which its `title` says.

    `weights` names their file or folder; "" looks in the workspace's places.
    """
    path = _public(workspace, "VGGish", ["vggish-10086976.pth", "vggish*"], weights)
    if path is not None:
        with torch.random.fork_rng():  # the weights that are replaced draw no numbers of the lesson's
            return load_vggish_weights(VGGish(), path).freeze().to(device())
    profile, store = workspace.profile, workspace.with_invented(("train", "val"))
    classes = len(np.unique(store.sounds("train").label))
    make = functools.partial(VGGish, profile.width, classes=classes)
    vggish = stand_in(workspace, store, "vggish", make, profile.epochs_vggish)
    vggish.title = f"stand-in: VGGish of width {profile.width}, trained to tag {classes} seen classes"
    return vggish.freeze().to(device())


def chosen_vgg16(workspace: Workspace, seed: int = 0, weights: str = "") -> tuple[VGG16, str, str]:
    """Return VGG16 with ImageNet's weights, or the seed's stand-in; its title; what it learned from."""
    path = _public(workspace, "VGG16", ["vgg16-397923af.pth", "vgg16*"], weights)
    if path is not None:
        return vgg16_imagenet(path).to(device()), "VGG16-ImageNet", "labels of ImageNet"
    profile, store = workspace.profile, workspace.store(("train", "val"))
    crop = profile.image_crop
    size = max(32, min(crop, 4 * profile.width))  # a narrow network sees smaller images
    make = functools.partial(VGG16, len(seen_labels(store)), profile.width, size, dropout=0.0)
    how = {"seed": seed, "rate": VGG_RATE, "image_crop": crop}
    network = stand_in(workspace, store, "vgg16", make, profile.epochs_vgg, **how)
    note = "stand-in: this profile's VGG16, trained on the labels of the seen classes"
    return network, "VGG16 (stand-in)", note
