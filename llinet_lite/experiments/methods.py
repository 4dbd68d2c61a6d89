"""The fourteen methods that are trained, each with one interface, and what they see and hear.

A method has `embed_image`, `embed_audio`, `scores`, `loss(inputs, batch)`, `optimizer(rate)`,
`schedule(epochs)` and `clip_norm`; `needs` names the activations of the frozen trunk that it takes for
images, none of a correspondence network.
Notebook: 01, 02, 03, 05, 06
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from llinet_lite import features, models
from llinet_lite.losses import avc_accuracy, avc_loss, cosines, llinet_loss
from llinet_lite.rivals import MODERN, RETRIEVAL
from llinet_lite.rivals.base import adam

if TYPE_CHECKING:
    from llinet_lite.models.trunks import Trunk

LLINET = "LLINet"


def staircase(factor: float = 0.94, every: int = 16) -> Callable[[float], float]:
    """Learning-rate schedule factor ** (epoch // every); *Objects that Sound*: x 0.94 every 16 epochs."""
    return lambda epoch: factor ** (int(epoch) // every)


class Correspondence(nn.Module):
    """A correspondence network as a method, with the optimizer of both papers: Adam.

    `pairs="all"`: every pair of a batch is a decision; "sampled": each row is one, half of them matched, as
    published. `softmax`: see :func:`llinet_lite.losses.avc_loss`.
    """

    clip_norm = None
    needs = ()  # no activations of a trunk

    def __init__(self, network, *, pairs="all", softmax="once", learning_rate=1e-4, weight_decay=1e-5):
        super().__init__()
        self.network, self.pairs, self.softmax = network, pairs, softmax
        self.learning_rate, self.weight_decay = learning_rate, weight_decay

    def embed_image(self, image: Tensor) -> Tensor:
        """Images (B, 3, H, W), or what the network's view adds to them -> what it compares."""
        return self.network.embed_image(image)

    def embed_audio(self, spectrogram: Tensor) -> Tensor:
        """Log-spectrograms (B, 1, F, T) -> what the network compares."""
        return self.network.embed_audio(spectrogram)

    def scores(self, image: Tensor, audio: Tensor) -> Tensor:
        """Probability of "corresponds" for every image with every audio, (N, M)."""
        return torch.softmax(self.network.all_pairs(image, audio).float(), -1)[..., 1]

    def loss(self, inputs: tuple[Tensor, Tensor], batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        """Loss of a batch of pairs, and the share of right decisions."""
        image, audio = self.embed_image(inputs[0]), self.embed_audio(inputs[1])
        if self.pairs == "all":
            logits, target = self.network.all_pairs(image, audio), batch["group"]  # (B, B, 2)
        else:
            logits, target = self.network.pairs(image, audio), batch["match"]  # (B, 2)
        loss = avc_loss(logits, target, self.pairs, self.softmax)
        return loss, {"train_accuracy": avc_accuracy(logits.detach(), target, self.pairs)}

    def optimizer(self, rate: float = 1.0) -> Callable:
        """Adam with an L2 penalty."""
        return adam(rate * self.learning_rate, self.weight_decay)

    def schedule(self, epochs: int) -> Callable[[float], float]:
        """The learning rate falls every 16 epochs."""
        return staircase()


class LLINetMethod(nn.Module):
    """LLINet as a method: its losses, its optimizer.

    `attention` is the weight of the attention loss; 0 trains the matching loss alone, as the released code
    does for retrieval and recognition. `scale` and `same_class` are those of
    :func:`llinet_lite.losses.matching_loss`; scale is 10 as released, 1 as printed. The solver "sgd" is as
    published, "adam" is for short runs. `decay` multiplies the rate after every tenth of the run: 0.5 as
    released, 0.1 as documented there; `decayed` "image": of the image's path alone, as released. A frozen
    `ear` makes of waveforms (B, n) what the network's audio part takes. Default: log-mel spectrograms.
    """

    needs = ("early", "late")
    clip_norm = None

    def __init__(
        self, network: models.LLINet, *, attention=1.0, scale=10.0, same_class="mask", solver="sgd",
        decay=0.5, decayed="all", ear: nn.Module | None = None,
    ):  # fmt: skip
        super().__init__()
        if solver not in ("sgd", "adam") or decayed not in ("all", "image"):
            raise ValueError(f'solver "sgd" or "adam", decayed "all" or "image": not {solver!r}, {decayed!r}')
        self.network, self.attention, self.solver, self.ear = network, attention, solver, ear
        self.decay, self.decayed = decay, decayed
        self.how = {"scale": scale, "same_class": same_class}

    def embed_image(self, seen: dict[str, Tensor]) -> Tensor:
        """Activations "early", "late" -> embeddings (B, D)."""
        return self.network.attend(seen["early"], seen["late"])[0]

    def embed_audio(self, heard: Tensor) -> Tensor:
        """Log-mel (B, T, 40), or what `ear` gives -> embeddings (B, D) of length 1."""
        return self.network.embed_audio(heard)

    def scores(self, image: Tensor, audio: Tensor) -> Tensor:
        """Cosines (N, M) of embeddings (N, D), (M, D)."""
        return cosines(image, audio)

    def loss(self, inputs: tuple[dict, Tensor], batch: dict[str, Tensor]) -> tuple[Tensor, dict]:
        """Loss of a batch of pairs and its terms."""
        image, local = self.network.attend(inputs[0]["early"], inputs[0]["late"])
        audio = self.network.embed_audio(inputs[1])
        transformed = self.network.transform(audio) if self.attention else None
        how = self.how | {"attention": self.attention}
        return llinet_loss(image, audio, local, transformed, batch["label"], **how)

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """Make the optimizer; `rate` multiplies its learning rate."""

        def make(weights: list) -> torch.optim.Optimizer:
            groups = weights
            if self.decayed == "image":
                parts = self.network.parameter_groups()
                groups = [part | {"scheduled": part["name"] == "image"} for part in parts]
            if self.solver == "adam":
                return torch.optim.Adam(groups, 1e-3 * rate, weight_decay=1e-5, fused=True)
            there = {"fused": True} if weights[0].is_cuda else {}
            return torch.optim.SGD(groups, 1e-3 * rate, momentum=0.9, weight_decay=1e-3, **there)

        return make

    def schedule(self, epochs: int) -> Callable[[float], float]:
        """The rate falls after every tenth of the run: every 10 of 100 epochs.

        As released, but for one epoch: that code counts from 1, so its first drop comes at index 9, not 10.
        """
        return lambda epoch: self.decay ** int(10 * epoch / epochs + 1e-9)


CORRESPONDENCE = {
    "L3-Net": models.L3Net,
    "AVE-Net": models.AVENet,
    "AVE+MF": models.AVENetMF,
    "AVE+OF": models.AVENetOF,
    "AVOL-Net": models.AVOLNet,
}
# Name -> the network's class, or that of the whole method.
METHODS = CORRESPONDENCE | {LLINET: models.LLINet} | RETRIEVAL | MODERN


class Inputs(nn.Module):
    """From a batch of the store to what a method takes, on the device of the batch.

    `audio` makes of waveforms (B, n) what the method hears: LogSpectrogram, LogMel or Ear. A method that
    stands on a `trunk` `needs` its activations, which batches bring, or the trunk makes from their images.
    `augment` changes what is given by the batch's draws: flip, brightness, saturation and gain; for methods
    on a trunk flip alone. `blind` is a control: "image" shows black, "audio" plays silence.
    """

    def __init__(
        self, audio: nn.Module, trunk: Trunk | None = None, needs: Sequence[str] = (), *, augment=False,
        blind="",
    ):  # fmt: skip
        super().__init__()
        self.hearing, self.trunk, self.needs = audio, trunk, tuple(needs)
        self.augment, self.blind = augment, blind
        self.image_augment, self.gain = features.ImageAugment(), features.AudioGain()

    def image(self, batch: dict[str, Tensor]) -> Tensor | dict[str, Tensor]:
        """Images (B, 3, H, W) in [0, 1]; frames (B, 3, T, H, W); flow stacked onto the image; activations."""
        if self.needs and "image" not in batch:
            return {tap: _channels_last(batch[tap].float()) for tap in self.needs}
        draws = batch["draws"] if self.augment else None
        if "frames" in batch:
            frames = features.to_frames(batch["frames"])
            return frames if draws is None else features.augment_frames(self.image_augment, frames, draws)
        image = features.to_image(batch["image"])
        if self.needs:
            return look(self.trunk, image if draws is None else features.flip(image, draws), self.needs)
        if draws is not None:
            image = self.image_augment(image, draws)
        if self.blind == "image":
            image = torch.zeros_like(image)
        if "flow" not in batch:
            return image
        flow = features.to_flow(batch["flow"])
        return torch.cat([image, flow if draws is None else features.flip_flow(flow, draws)], dim=1)

    def audio(self, batch: dict[str, Tensor]) -> Tensor:
        """Log-spectrograms (B, 1, F, T), log-mel (B, T, 40), or VGGish's embeddings."""
        waveform = features.to_waveform(batch["audio"])
        if self.augment and not self.needs:
            waveform = self.gain(waveform, batch["draws"])
        return self.hearing(torch.zeros_like(waveform) if self.blind == "audio" else waveform)

    def forward(self, batch: dict[str, Tensor]) -> tuple:
        """Return what a method sees and hears of a batch."""
        return self.image(batch), self.audio(batch)


def _channels_last(x: Tensor) -> Tensor:
    """Maps (B, C, h, w) as convolutions on a CPU want them; vectors as they are."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


@torch.no_grad()
def look(trunk: Trunk, image: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
    """Return what a frozen trunk makes of images (B, 3, H, W) float in [0, 1].

    The taps are "early" (layer2), "late" (layer3), "map" (layer4) (B, C, h, w); "pooled" (B, F), the mean of
    the map; "teacher" (B, T), the class probabilities of the trunk's own classifier.
    """
    early = trunk.early(image)
    late = trunk.late(early)
    seen = {"early": early, "late": late}
    if set(taps) - seen.keys():
        last = trunk.top(late)
        seen |= {"map": last, "pooled": trunk.pool(last)}
        if "teacher" in taps:
            seen["teacher"] = trunk.logits(last).float().softmax(1)
    return {tap: seen[tap] for tap in taps}


def own_trunk(method: nn.Module, trunk: Trunk | None) -> Trunk | None:
    """The trunk as the method uses it: LLINet may treat its batch normalization otherwise."""
    return getattr(getattr(method, "network", None), "trunk", trunk)
