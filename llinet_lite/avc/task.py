"""Training a network on the correspondence task: batches -> senses -> network -> loss.

Notebook: 01
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from llinet_lite.data.batches import PairBatches
from llinet_lite.data.store import Store
from llinet_lite.features import AudioGain, ImageAugment, LogSpectrogram, to_image, to_waveform
from llinet_lite.models import L3Net
from llinet_lite.objectives import avc_accuracy, avc_loss
from llinet_lite.training import History, adam, fit, overfit_one_batch, staircase

BLIND = ("", "image", "sound")


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

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return pictures (B, 3, H, W) in [0, 1] and log-spectrograms (B, 1, F, T)."""
        image, sound = to_image(batch["image"]), to_waveform(batch["audio"])
        if self.augment:
            image, sound = self.image_augment(image, batch["draws"]), self.gain(sound, batch["draws"])
        if self.blind == "image":
            image = torch.zeros_like(image)
        if self.blind == "sound":
            sound = torch.zeros_like(sound)
        return image, self.spectrogram(sound)


class CorrespondenceStep(nn.Module):
    """One training step: batch -> loss and accuracy.

    Parameters
    ----------
    senses : Senses
    pairs : {"sampled", "all"}
        See :func:`llinet_lite.objectives.avc_loss`.
    """

    def __init__(self, senses: Senses, pairs: str):
        super().__init__()
        self.senses, self.pairs = senses, pairs

    def forward(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss, and the share of right decisions by name."""
        image, sound = self.senses(batch)
        if self.pairs == "all":
            logits = model.all_pairs(model.embed_image(image), model.embed_audio(sound))  # (B, B, 2)
            target = batch["group"]
        else:
            logits, target = model(image, sound), batch["match"]  # (B, 2)
        loss = avc_loss(logits, target, self.pairs)
        return loss, {"train_accuracy": avc_accuracy(logits.detach(), target, self.pairs)}


@dataclass(frozen=True)
class Plan:
    """One experiment of lesson 01.

    Attributes
    ----------
    name : str
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
    """

    name: str
    pairs: str
    epochs: int
    grid: float | None = 0.04
    shuffled: bool = False
    blind: str = ""
    imprint: float = 0.0

    def senses(self, settings, *, augment: bool = False) -> Senses:
        """Return what a network of this plan sees."""
        return Senses(settings, augment=augment, blind=self.blind)


def matching(store: Store, split: str = "train") -> str:
    """Return "clip" where pictures have a sound of their own, "class" where they are paired by class."""
    return "class" if (store.images(split).clip < 0).all() else "clip"


def build(settings, seed: int) -> L3Net:
    """Return a fresh L3-Net of the profile's width; its weights are a function of the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return L3Net(variant="2018", width=settings.width)


def train(
    store: Store, settings, plan: Plan, *, seed: int, run_dir: Path | None, validate=None, quiet: bool = False
) -> tuple[L3Net, History]:
    """Train one L3-Net, or go on where an earlier call was stopped.

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
    validate : callable, optional
        model -> dict with "accuracy", on which the best epoch is chosen.

    Returns
    -------
    model : L3Net
        With the best epoch's weights if `validate` and `run_dir` were given, else the last one's.
    history : History
    """
    batches = PairBatches(
        store, "train", batch_size=settings.batch_size, image_crop=settings.image_crop, pairs=plan.pairs,
        match=matching(store), grid=plan.grid, seed=seed, shuffle_pairs=plan.shuffled, imprint=plan.imprint,
    )  # fmt: skip
    model = build(settings, seed)
    step = CorrespondenceStep(plan.senses(settings, augment=True), plan.pairs)
    kind = {key: value for key, value in asdict(plan).items() if key != "epochs"}
    facts = {"data": store.content_hash, "batch_size": settings.batch_size, "plan": kind}
    history = fit(
        model,
        step,
        batches,
        epochs=plan.epochs,
        run_dir=run_dir,
        validate=validate,
        settings=facts,
        seed=seed,
        optimizer=adam(settings.learning_rate, settings.weight_decay),
        schedule=staircase(),
        quiet=quiet,
    )
    if run_dir is not None and validate is not None:
        history.load_best(model)
    return model, history


def overfit(
    store: Store, settings, *, seed: int, count: int = 32, steps: int = 60
) -> tuple[list[float], float]:
    """Learn one batch of sampled pairs by heart.

    Returns
    -------
    losses : list of float
        Before each step.
    accuracy : float
        On the same pairs, after the last step.
    """
    match = matching(store, "val")
    pairs = PairBatches(
        store,
        "val",
        batch_size=count,
        image_crop=settings.image_crop,
        pairs="sampled",
        match=match,
        seed=seed,
    )
    batch, model = pairs.epoch(0)[0], build(settings, seed)
    step = CorrespondenceStep(Senses(settings), "sampled")
    losses = overfit_one_batch(model, step, batch, steps=steps)
    with torch.inference_mode():
        accuracy = step(model, batch)[1]["train_accuracy"]
    return losses, float(accuracy)
