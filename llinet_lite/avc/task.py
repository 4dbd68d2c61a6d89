"""Training a network on the correspondence task: batches -> senses -> network -> loss.

Notebook: 01, 02, 03
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from llinet_lite.data.batches import PairBatches
from llinet_lite.data.store import Store
from llinet_lite.features import (
    AudioGain,
    ImageAugment,
    LogSpectrogram,
    augment_frames,
    flip_flow,
    to_flow,
    to_frames,
    to_image,
    to_waveform,
)
from llinet_lite.losses import avc_accuracy, avc_loss
from llinet_lite.models import AVENet, AVENetMF, AVENetOF, AVOLNet, L3Net
from llinet_lite.old_road import fit, overfit_one_batch
from llinet_lite.training import History, adam, staircase

BLIND = ("", "image", "sound")
NETWORKS = {
    "l3net": L3Net,
    "avenet": AVENet,
    "avenet-mf": AVENetMF,
    "avenet-of": AVENetOF,
    "avolnet": AVOLNet,
}
WARM_RATE = 0.3  # of the learning rate, where a trained network goes on


class Senses(nn.Module):
    """From a batch of the store to the two tensors that a network sees, on the device of the batch.

    Parameters
    ----------
    settings : Profile
        Its sample rate and spectrogram sizes.
    augment : bool
        Flip, brightness, saturation and gain by the batch's `draws`; for training.
    blind : {"", "image", "sound"}
        Control: replace the pictures by black, or the sounds by silence.

    Notebook: 01
    """

    def __init__(self, settings, *, augment: bool = False, blind: str = ""):
        super().__init__()
        if blind not in BLIND:
            raise ValueError(f"blind must be one of {BLIND}, not {blind!r}")
        rate = settings.sample_rate
        self.spectrogram = LogSpectrogram(
            rate, settings.window / rate, settings.hop / rate, settings.n_fft, settings.frames
        )
        self.image_augment, self.gain = ImageAugment(), AudioGain()
        self.augment, self.blind = augment, blind

    def see(self, image: Tensor, draws: Tensor | None = None) -> Tensor:
        """Return pictures (B, H, W, 3) uint8 as (B, 3, H, W) in [0, 1], changed by `draws` if given."""
        image = to_image(image)
        if draws is not None:
            image = self.image_augment(image, draws)
        return torch.zeros_like(image) if self.blind == "image" else image

    def hear(self, audio: Tensor, draws: Tensor | None = None) -> Tensor:
        """Return sounds (B, n) int16 as log-spectrograms (B, 1, F, T), their gain by `draws` if given."""
        sound = to_waveform(audio)
        if draws is not None:
            sound = self.gain(sound, draws)
        return self.spectrogram(torch.zeros_like(sound) if self.blind == "sound" else sound)

    def image(self, batch: dict[str, Tensor]) -> Tensor:
        """Return what is seen of a batch: pictures (B, 3, H, W), or what its view adds to them.

        Frames give (B, 3, T, H, W); flow is stacked onto the picture, (B, 3 + 20, H, W).
        """
        draws = batch["draws"] if self.augment else None
        if "frames" in batch:
            frames = to_frames(batch["frames"])
            return frames if draws is None else augment_frames(self.image_augment, frames, draws)
        image = self.see(batch["image"], draws)
        if "flow" not in batch:
            return image
        flow = to_flow(batch["flow"])
        return torch.cat([image, flow if draws is None else flip_flow(flow, draws)], dim=1)

    def sound(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the log-spectrograms (B, 1, F, T) of a batch."""
        return self.hear(batch["audio"], batch["draws"] if self.augment else None)

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return what is seen, (B, 3, H, W) in [0, 1] for pictures, and log-spectrograms (B, 1, F, T)."""
        return self.image(batch), self.sound(batch)


class CorrespondenceStep(nn.Module):
    """One training step: batch -> loss and accuracy.

    Parameters
    ----------
    senses : Senses
    pairs : {"sampled", "all"}
    softmax : {"once", "twice"}
        See :func:`llinet_lite.losses.avc_loss`.
    """

    def __init__(self, senses: Senses, pairs: str, softmax: str = "once"):
        super().__init__()
        self.senses, self.pairs, self.softmax = senses, pairs, softmax

    def forward(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, and the share of right decisions by name."""
        image, sound = self.senses(batch)
        if self.pairs == "all":
            logits = model.all_pairs(model.embed_image(image), model.embed_audio(sound))  # (B, B, 2)
            target = batch["group"]
        else:
            logits = model.pairs(model.embed_image(image), model.embed_audio(sound))  # (B, 2)
            target = batch["match"]
        loss = avc_loss(logits, target, self.pairs, self.softmax)
        return loss, {"train_accuracy": avc_accuracy(logits.detach(), target, self.pairs)}


@dataclass(frozen=True)
class Plan:
    """One training experiment.

    Attributes
    ----------
    name : str
        Unique among the plans of its network's family.
    pairs : {"sampled", "all"}
    epochs : int
    grid : float or None
        Grid of the mismatched sounds, seconds; None is the naive sampling.
    shuffled : bool
        Control: every picture is declared to match one fixed, wrong sound.
    blind : {"", "image", "sound"}
        Control: a sense that is switched off.
    imprint : float
        Strength of the recorder imprint in the training sounds.
    start : str
        Name of the plan, of the same family, whose network is trained on; "" starts from
        random weights.
    network : str
        One of NETWORKS.
    view : {"frame", "middle", "frames", "flow"}
        What is seen of a clip; see :class:`llinet_lite.data.batches.PairBatches`.
    variant : {"2018", "2017"}
        Towers with stride 2 in their first convolution, or without.
    sign_init : bool
        Of AVE-Net's calibration layer: whether it starts with near = match.
    softmax : {"once", "twice"}
        See :func:`llinet_lite.losses.avc_loss`.
    """

    name: str
    pairs: str
    epochs: int
    grid: float | None = 0.04
    shuffled: bool = False
    blind: str = ""
    imprint: float = 0.0
    start: str = ""
    network: str = "l3net"
    view: str = "frame"
    variant: str = "2018"
    sign_init: bool = True
    softmax: str = "once"

    @property
    def family(self) -> str:
        """Name of the network without its variant: "avenet" for AVE-Net, AVE+MF and AVE+OF."""
        return self.network.split("-")[0]

    @property
    def facts(self) -> dict:
        """What a checkpoint or reference weights of this plan must agree with; a run may be prolonged."""
        usual = {"start": "", "network": "l3net", "view": "frame"}  # not said
        usual |= {"variant": "2018", "sign_init": True, "softmax": "once"}
        return {
            key: value
            for key, value in asdict(self).items()
            if key != "epochs" and (key not in usual or usual[key] != value)
        }

    def senses(self, settings, *, augment: bool = False) -> Senses:
        """Return what a network of this plan sees."""
        return Senses(settings, augment=augment, blind=self.blind)


def matching(store: Store, split: str = "train") -> str:
    """Return "clip" where pictures have a sound of their own, "class" where they are paired by class."""
    return "class" if (store.images(split).clip < 0).all() else "clip"


def build(
    settings, seed: int, network: str = "l3net", *, variant: str = "2018", sign_init: bool = True
) -> nn.Module:
    """Return a fresh network of the profile's width; its weights are a function of the seed alone."""
    more = {} if sign_init else {"sign_init": False}  # only AVE-Net has a sign to start with
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return NETWORKS[network](variant=variant, width=settings.width, **more)


def warm(settings, seed: int, plan: Plan, start: nn.Module) -> nn.Module:
    """Return a network that begins as `start` does, turned into the plan's network where that differs."""
    kind = NETWORKS[plan.network]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if not isinstance(start, kind):
            return kind.from_single_frame(start)
        model = kind(variant="2018", width=settings.width)
        model.load_state_dict(start.state_dict())
        return model


def train(
    store: Store,
    settings,
    plan: Plan,
    *,
    seed: int,
    run_dir: Path | None,
    start: nn.Module | None = None,
    validate=None,
    quiet: bool = False,
) -> tuple[nn.Module, History]:
    """Train one network, or go on where an earlier call was stopped.

    Parameters
    ----------
    store : Store
        Its split `train` is used.
    settings : Profile
    plan : Plan
    seed : int
        Of the weights, the pairs and the augmentation.
    run_dir : Path or None
        Where checkpoints go.
    start : Module, optional
        Network to begin from, left as it is (AVE+MF and AVE+OF begin from an AVE-Net); training
        goes on at 0.3 times the learning rate.
    validate : callable, optional
        model -> dict with "accuracy", on which the best epoch is chosen.

    Returns
    -------
    model : Module
        With the best epoch's weights if `validate` and `run_dir` were given, else the last one's.
    history : History
    """
    batches = PairBatches(
        store, "train", batch_size=settings.batch_size, image_crop=settings.image_crop, pairs=plan.pairs,
        match=matching(store), grid=plan.grid, seed=seed, shuffle_pairs=plan.shuffled, imprint=plan.imprint,
        view=plan.view,
    )  # fmt: skip
    rate = settings.learning_rate
    if start is None:
        how = {"variant": plan.variant, "sign_init": plan.sign_init}
        model = build(settings, seed, plan.network, **how)
    else:
        model, rate = warm(settings, seed, plan, start), WARM_RATE * rate
    step = CorrespondenceStep(plan.senses(settings, augment=True), plan.pairs, plan.softmax)
    facts = {"data": store.content_hash, "batch_size": settings.batch_size, "plan": plan.facts}
    history = fit(
        model,
        step,
        batches,
        epochs=plan.epochs,
        run_dir=run_dir,
        validate=validate,
        settings=facts,
        seed=seed,
        optimizer=adam(rate, settings.weight_decay),
        schedule=staircase(),
        compiled=settings.compiled,
        quiet=quiet,
    )
    if run_dir is not None and validate is not None:
        history.load_best(model)
    return model, history


def overfit(
    store: Store, settings, *, seed: int, count: int = 32, steps: int = 60, network: str = "l3net"
) -> tuple[list[float], float]:
    """Learn one batch of sampled pairs by heart.

    Returns
    -------
    losses : list of float
        Before each step.
    accuracy : float
        On the same pairs, after the last step.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pairs = PairBatches(
        store,
        "val",
        batch_size=min(count, len(store.images("val"))),
        image_crop=settings.image_crop,
        pairs="sampled",
        match=matching(store, "val"),
        seed=seed,
    )
    batch = {key: value.to(device) for key, value in pairs.epoch(0)[0].items()}
    model = build(settings, seed, network).to(device)
    step = CorrespondenceStep(Senses(settings), "sampled").to(device)
    losses = overfit_one_batch(model, step, batch, steps=steps)
    with torch.inference_mode():
        accuracy = step(model, batch)[1]["train_accuracy"]
    return losses, float(accuracy)
