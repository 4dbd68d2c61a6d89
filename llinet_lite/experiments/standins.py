"""The frozen networks that methods stand on: public weights where they are at hand, else stand-ins.

A stand-in learns the labels of the seen classes, once, and is then loaded. It is to be named so beside its
numbers.

Notebook: 02 (VGG16), 04 (the trunk of LLINet, VGGish)
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.data.bandstand import WORLD_VERSION, first_images
from llinet_lite.data.batches import DRAWS, Batches, EvaluationSet, ImageBatches, Rows, Source
from llinet_lite.data.store import Store
from llinet_lite.features import EXAMPLE_SECONDS, ImageAugment, VGGishExamples, to_image, to_waveform
from llinet_lite.metrics.intervals import clip_bootstrap
from llinet_lite.metrics.retrieval import chance_recall_at_1
from llinet_lite.models.trunks import (
    LITE,
    Trunk,
    build_trunk,
    lite_weights,
    load_trunk_weights,
    published_files,
)
from llinet_lite.models.vggish import VGGish, load_vggish_weights
from llinet_lite.results import Result
from llinet_lite.rivals.base import adam
from llinet_lite.rivals.vgg import VGG16, vgg16_imagenet
from llinet_lite.training import fit
from llinet_lite.workspace import WEIGHTS_VERSION, Workspace

STAND_IN, PAPER = "standin", "resnet101"
SIZES = {"image_size": 256, "image_crop": 224}  # of photographs, for a trunk of ImageNet
VGG_RATE = 0.3  # of the profile's learning rate; at the whole of it VGG16 learned more slowly
HEARD = 64  # sounds heard at once


def device() -> str:
    """Where networks run: "cuda" if there is a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def seen_labels(store: Store) -> np.ndarray:
    """Return the labels (S,) of the training images, rising."""
    return np.unique(np.asarray(store.images("train").label, np.int64))


def fingerprint(network: nn.Module) -> str:
    """Return a name of what a frozen network computes: of its weights and, for a trunk, its normalization."""
    said = f"{network.name} {network.normalization}" if isinstance(network, Trunk) else network.title
    mark = hashlib.sha256(said.encode())
    for name, value in sorted(network.state_dict().items()):
        if "num_batches_tracked" not in name:
            mark.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return mark.hexdigest()[:12]


# ---- weights as they are published


def rounded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights in 16 bits."""
    return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}


def packed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Pack weights: 8 bits for matrices and kernels, 16 for the rest.

    Every row of a weight (of a matrix, or of a kernel by its output channel) becomes whole numbers of -127 to
    127 times the row's scale, max |w| / 127 in bfloat16, kept as "<name>:scale". Packing what was unpacked
    gives the same numbers again.
    """
    small = {}
    for name, value in state.items():
        if not value.is_floating_point():
            small[name] = value
        elif value.ndim < 2:
            small[name] = value.half()
        else:
            rows = value.float().flatten(1)  # (out, ...) -> (out, n)
            scale = (rows.abs().amax(1, keepdim=True) / 127).bfloat16()
            whole = (rows / scale.float().clamp(min=1e-30)).round().clamp(-127, 127)
            small[name], small[f"{name}:scale"] = whole.to(torch.int8).view(value.shape), scale
    return small


def unpacked(small: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the float32 weights that `packed` packed, rounded."""
    state = {}
    for name, value in small.items():
        if name.endswith(":scale"):
            continue
        scale = small.get(f"{name}:scale")
        if scale is None:
            state[name] = value.float() if value.is_floating_point() else value
        else:
            state[name] = (value.flatten(1).float() * scale.float()).view(value.shape)
    return state


# ---- learning labels


class Classifier(nn.Module):
    """A network that learns the labels of its inputs, as a method of `training.fit`.

    Parameters
    ----------
    network : Module
    logits : callable
        What the inputs give -> logits (B, S).
    seen : (S,) int, rising
        Labels of the store.
    rate, weight_decay : float
        Of Adam; the rate falls to 0 along a cosine.
    """

    clip_norm = None

    def __init__(
        self, network: nn.Module, logits: Callable, seen: np.ndarray, rate: float, weight_decay: float
    ):
        super().__init__()
        self.network, self.logits, self.rate, self.weight_decay = network, logits, rate, weight_decay
        self.register_buffer("seen", torch.from_numpy(seen), persistent=False)

    def loss(self, inputs: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        """Cross-entropy of the labels."""
        return F.cross_entropy(self.logits(inputs), torch.searchsorted(self.seen, batch["label"])), {}

    def optimizer(self, rate: float = 1.0) -> Callable:
        """Adam with an L2 penalty."""
        return adam(rate * self.rate, self.weight_decay)

    def schedule(self, epochs: int) -> Callable[[float], float]:
        """From 1 to 0 along a cosine."""
        return lambda epoch: 0.5 * (1 + math.cos(math.pi * min(epoch / epochs, 1.0)))


class AugmentedImages(nn.Module):
    """Batch -> images (B, 3, H, W), changed by its draws."""

    def __init__(self):
        super().__init__()
        self.augment = ImageAugment()

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Flip, brightness, saturation."""
        return self.augment(to_image(batch["image"]), batch["draws"])


class HeardExamples(nn.Module):
    """Batch -> VGGish's examples (B, P, 96, 64) of its audio."""

    def __init__(self, sample_rate: int):
        super().__init__()
        self.examples = VGGishExamples(sample_rate)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Log-mel examples."""
        return self.examples(to_waveform(batch["audio"]))


class SoundBatches:
    """Audio of the split `train` in random order, each cut at a random place; no image is read.

    Parameters
    ----------
    store : Store
    batch_size : int
        Rows that fill no batch wait for another epoch.
    seconds : float
        Length of the window.
    seed : int
    """

    def __init__(self, store: Store, *, batch_size: int, seconds: float, seed: int = 0):
        self.source, self.batch_size, self.seed = Source(store, "train", None, seconds), batch_size, seed
        if not 1 <= batch_size <= len(self.source.sounds):
            raise ValueError(f"batch_size must lie between 1 and {len(self.source.sounds)}, not {batch_size}")

    def epoch(self, e: int) -> Batches:
        """The batches of epoch ``e``, a function of (seed, e) alone: audio, label, index."""
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, e])))
        sounds = self.source.sounds
        sound = rng.permutation(len(sounds))[: len(sounds) // self.batch_size * self.batch_size]
        label, start = np.asarray(sounds.label, np.int64)[sound], self.source.anywhere(sound, rng)
        half = np.full((len(sound), DRAWS), 0.5, np.float32)  # nothing is cropped or augmented
        rows = Rows(sound, sound, start, label, np.ones_like(label), label, half[:, :2], half)
        return Batches(self.source, rows, self.batch_size)


def learned(
    workspace: Workspace, name: str, folder: str, network: nn.Module, pack: Callable, unpack: Callable,
    seed: int, epochs: int, train: Callable,
) -> nn.Module:  # fmt: skip
    """Load the packaged stand-in `name` into a network, or let `train(run_dir)` -> History train it."""
    from safetensors.torch import load_file

    path = workspace.weights(name) if seed == 0 else None
    if path is not None and workspace.card(path)["world"] == WORLD_VERSION:
        network.load_state_dict(unpack(load_file(path)))
        return network.eval()
    print(f"training {name}, seed {seed}: {epochs} epochs", flush=True)
    history = train(workspace.training_dir(f"{folder}-{epochs}-{seed}"))
    state = pack(network.state_dict())
    network.load_state_dict(unpack(state))  # what is judged is what is published
    if seed == 0:
        curve = [{"accuracy": round(float(epoch["accuracy"]), 4)} for epoch in history.epochs]
        facts = {"curve": curve, "chosen": history.best["epoch"], "minutes": history.minutes}
        versions = {"world": WORLD_VERSION, "weights_version": WEIGHTS_VERSION}
        workspace.publish(name, state, seed=0, plan={"name": name, "epochs": epochs}, **facts, **versions)
    return network.eval()


def train_classifier(
    network: nn.Module, store: Store, *, rate: float, weight_decay: float, batch_size: int, image_crop: int,
    epochs: int, seed: int, run_dir, **settings,
):  # fmt: skip
    """Train a network, images -> logits, on the labels of `train`; the epoch best on `val` is kept."""
    method = Classifier(network, network, seen_labels(store), rate, weight_decay)
    sizes = {"batch_size": batch_size, "image_crop": image_crop}
    history = fit(
        method, AugmentedImages(), ImageBatches(store, "train", **sizes, seed=seed), epochs=epochs,
        run_dir=run_dir, seed=seed,
        validate=lambda method: {"accuracy": class_hits(method.network, store, "val", image_crop).mean()},
        settings={"data": store.content_hash, "epochs": epochs, **sizes, **settings},
    )  # fmt: skip
    history.load_best(method)
    return history


def train_tagger(
    network: VGGish, store: Store, *, rate: float, weight_decay: float, batch_size: int, epochs: int,
    seed: int, run_dir,
):  # fmt: skip
    """Train VGGish on the labels of the audio of `train`, one example of each an epoch."""
    seen = np.unique(np.asarray(store.sounds("train").label, np.int64))
    seconds = min(EXAMPLE_SECONDS, int(store.sounds("train").length.min()) / store.sample_rate)
    method = Classifier(network, network.logits, seen, rate, weight_decay)
    history = fit(
        method, HeardExamples(store.sample_rate),
        SoundBatches(store, batch_size=batch_size, seconds=seconds, seed=seed), epochs=epochs,
        run_dir=run_dir, seed=seed,
        validate=lambda method: {"accuracy": sound_hits(method.network, store, "val").mean()},
        settings={"data": store.content_hash, "epochs": epochs, "batch_size": batch_size},
    )  # fmt: skip
    history.load_best(method)
    return history


@torch.no_grad()
def class_hits(network: nn.Module, store: Store, split: str, image_crop: int) -> np.ndarray:
    """Return which images (n,) of a split a network names rightly, bool."""
    seen, at, hits = seen_labels(store), next(network.parameters()).device, []
    network.eval()
    for batch in EvaluationSet(store, split, batch_size=128, image_crop=image_crop, item="image"):
        said = network(to_image(batch["image"].to(at))).argmax(1).cpu().numpy()
        hits.append(seen[said] == batch["label"].numpy())
    return np.concatenate(hits)


@torch.no_grad()
def sound_hits(network: VGGish, store: Store, split: str) -> np.ndarray:
    """Return which audio (n,) of a split VGGish names rightly, bool; whole, or as long as the shortest."""
    seen, at, hits = np.unique(store.sounds("train").label), next(network.parameters()).device, []
    examples = VGGishExamples(store.sample_rate).to(at)
    network.eval()
    for batch in sounds_of(store, split):
        said = network.logits(examples(to_waveform(batch["audio"].to(at)))).argmax(1).cpu().numpy()
        hits.append(seen[said] == batch["label"].numpy())
    return np.concatenate(hits)


def sounds_of(store: Store, split: str, rows=None, seconds: float | None = None) -> EvaluationSet:
    """Batches of audio from the middle, of `seconds` or as long as the shortest of the split."""
    if seconds is None:  # of the split, not of the rows: items do not change one another
        seconds = int(store.sounds(split).length.min()) / store.sample_rate
    sounds = EvaluationSet(store, split, batch_size=HEARD, item="sound", seconds=seconds)
    if rows is not None:
        sounds.rows = sounds.rows.take(rows)
    return sounds


def hear(
    ear: nn.Module, store: Store, split: str, rows: Sequence[int], seconds: float | None = None
) -> Tensor:
    """Return VGGish's embeddings (n, size) of the audio in these rows of a split, float32, on the CPU."""
    at, rows = next(ear.parameters()).device, np.asarray(rows, np.int64)
    heard = [torch.empty(0, ear.size)]
    with torch.autocast(at.type, enabled=False):
        for batch in sounds_of(store, split, rows, seconds):
            heard.append(ear(to_waveform(batch["audio"].to(at))).cpu())
    return torch.cat(heard)


# ---- the three networks


def sizes_for(trunk: str, data: str = "") -> dict[str, int]:
    """Return what a profile must be overridden with: networks of ImageNet want larger photographs."""
    return dict(SIZES) if data and trunk and trunk not in (STAND_IN, "auto") else {}


@functools.lru_cache(maxsize=2)
def chosen_trunk(workspace: Workspace, name: str = "", weights: str = "") -> Trunk:
    """Return the frozen trunk of LLINet and its rivals, on the device that trains.

    Parameters
    ----------
    workspace : Workspace
    name : str
        A name of :class:`llinet_lite.models.trunks.Trunk`, or "" for the profile's own. "auto" is ResNet-101
        if ImageNet's weights of it are at hand, else the stand-in; which of the two is printed.
    weights : str
        File or folder of ImageNet's weights; "" looks in the workspace's places.

    Returns
    -------
    Trunk
        In eval mode; its `title` says what it was trained on.

    Raises
    ------
    FileNotFoundError
        If a trunk or a place was named, and its weights are not there.
    """
    name = name or workspace.profile.trunk
    if name == "auto":
        try:
            _imagenet_file(workspace, PAPER, weights)
            name = PAPER
        except FileNotFoundError:
            if weights:  # who names a place means it
                raise
            print(f"no weights of {PAPER} at hand, so a stand-in takes the place of ImageNet's", flush=True)
            name = STAND_IN
    if name == STAND_IN:
        return _trunk_stand_in(workspace).to(device())
    trunk = build_trunk(name)
    load_trunk_weights(trunk, _imagenet_file(workspace, name, weights))
    return trunk.freeze().eval().to(device())


def _imagenet_file(workspace: Workspace, name: str, weights: str):
    if name == LITE and not weights:
        return lite_weights()
    return workspace.public_weights([*published_files(name), f"{name}*"], weights)


def _trunk_stand_in(workspace: Workspace) -> Trunk:
    profile, store = workspace.profile, workspace.store(("train", "val"))
    classes = len(seen_labels(store))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = build_trunk(STAND_IN, width=profile.width, classes=classes)
    how = {
        "rate": profile.learning_rate,
        "weight_decay": profile.weight_decay,
        "epochs": profile.epochs_trunk,
    }
    how |= {"batch_size": profile.batch_size, "image_crop": profile.llinet_crop, "seed": 0}
    learned(
        workspace, "trunk-seen", "trunk", trunk, rounded, dict, 0, profile.epochs_trunk,
        lambda run_dir: train_classifier(trunk, store, run_dir=run_dir, **how),
    )  # fmt: skip
    title = f"stand-in: ResNet-18 of width {profile.width}, trained on the labels of {classes} seen classes"
    trunk.title = title
    return trunk.freeze().eval()


@functools.lru_cache(maxsize=2)
def chosen_vggish(workspace: Workspace, weights: str = "") -> VGGish:
    """Return the frozen VGGish: with its public weights, from a named file or a place of the workspace, or a
    stand-in, which is printed; its `title` says what it was trained on.
    """
    try:
        path = workspace.public_weights(["vggish-10086976.pth", "vggish*"], weights)
    except FileNotFoundError:
        if weights:
            raise
        print("no weights of VGGish at hand, so a stand-in takes the place of the public ones", flush=True)
        vggish = _vggish_stand_in(workspace)
    else:
        with torch.random.fork_rng():  # the weights that are replaced draw no numbers of the lesson's
            vggish = load_vggish_weights(VGGish(), path)
    return vggish.freeze().to(device())


def _vggish_stand_in(workspace: Workspace) -> VGGish:
    profile, store = workspace.profile, workspace.store(("train", "val"))
    classes = len(np.unique(store.sounds("train").label))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vggish = VGGish(profile.width, classes=classes)
    how = {"rate": profile.learning_rate, "weight_decay": profile.weight_decay, "seed": 0}
    how |= {"batch_size": profile.batch_size, "epochs": profile.epochs_vggish}
    learned(
        workspace, "vggish-seen", "vggish", vggish, packed, unpacked, 0, profile.epochs_vggish,
        lambda run_dir: train_tagger(vggish, store, run_dir=run_dir, **how),
    )  # fmt: skip
    vggish.title = f"stand-in: VGGish of width {profile.width}, trained to tag {classes} seen classes"
    return vggish


def chosen_vgg16(workspace: Workspace, seed: int = 0, weights: str = "") -> tuple[VGG16, str, str]:
    """Return VGG16 with ImageNet's weights, or the seed's stand-in; its title; what it learned from."""
    try:
        network = vgg16_imagenet(workspace.public_weights(["vgg16-397923af.pth", "vgg16*"], weights))
        return network.to(device()), "VGG16-ImageNet", "labels of ImageNet"
    except FileNotFoundError:
        if weights:
            raise
    print("no weights of VGG16 at hand, so a stand-in takes the place of ImageNet's", flush=True)
    profile, store = workspace.profile, workspace.store(("train", "val"))
    size = max(32, min(profile.image_crop, 4 * profile.width))  # a narrow network sees smaller images
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = VGG16(len(seen_labels(store)), profile.width, size, dropout=0.0)
    how = {"rate": VGG_RATE * profile.learning_rate, "weight_decay": profile.weight_decay, "size": size}
    how |= {"batch_size": profile.batch_size, "image_crop": profile.image_crop, "epochs": profile.epochs_vgg}
    learned(
        workspace, "vgg16-seen", "vgg16-seen", network, rounded, dict, seed, profile.epochs_vgg,
        lambda run_dir: train_classifier(network, store, run_dir=run_dir, seed=seed, **how),
    )  # fmt: skip
    note = "stand-in: this profile's VGG16, trained on the labels of the seen classes"
    return network, "VGG16 (stand-in)", note


@torch.no_grad()
def trunk_report(workspace: Workspace, trunk: Trunk) -> list[Result]:
    """Measure a trunk: which seen classes it names, and whether unseen classes lie together in its features.

    Returns
    -------
    list of Result
        The accuracy on held-out clips of the seen classes (a stand-in's only), then R@1 among the images of
        the unseen classes with this trunk and with one of random weights: is the nearest other image of the
        same class?
    """
    profile, store, at = workspace.profile, workspace.store(), next(trunk.parameters()).device
    about = {"profile": profile.name, "data_hash": workspace.data_hash, "seeds": (0,)}
    report, name = [], "seen classes named, held-out clips"
    if trunk.name == STAND_IN:
        clip = np.asarray(store.images("test").clip)
        clips = np.arange(len(clip)) if (clip < 0).any() else clip
        found = clip_bootstrap(class_hits(trunk, store, "test", profile.llinet_crop), clips)
        report.append(Result(name, *found.numbers, chance=1 / len(seen_labels(store)), n=found.n, **about))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = Trunk(trunk.name, width=profile.width, classes=max(trunk.classes, 1))
    images = store.images("unseen")
    rows = np.arange(len(images)) if (images.clip < 0).any() else first_images(images)
    labels = np.asarray(images.label)[rows].astype(np.int64)
    chance = (len(labels) * chance_recall_at_1(labels, labels) - 1) / (
        len(labels) - 1
    )  # the query is no answer
    for name, one in (("trained", trunk), ("random weights", untrained.freeze().eval().to(at))):
        batches = EvaluationSet(store, "unseen", batch_size=64, image_crop=profile.llinet_crop, item="image")
        batches.rows = batches.rows.take(rows)
        features = [one.pool(one.top(one.late(one.early(to_image(b["image"].to(at)))))) for b in batches]
        unit = F.normalize(torch.cat(features).float() - torch.cat(features).float().mean(0))
        nearest = (unit @ unit.T).fill_diagonal_(-torch.inf).cpu().argmax(1).numpy()
        found = clip_bootstrap(labels[nearest] == labels, np.arange(len(labels)))
        title = f"nearest picture of the same unseen class, {name}"
        report.append(Result(title, *found.numbers, chance=chance, n=found.n, **about))
    return report
