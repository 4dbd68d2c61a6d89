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

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return pictures (B, 3, H, W) in [0, 1] and log-spectrograms (B, 1, F, T)."""
        draws = batch["draws"] if self.augment else None
        return self.see(batch["image"], draws), self.hear(batch["audio"], draws)


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
    start : str
        Name of the plan whose network is trained on; "" starts from random weights.
    """

    name: str
    pairs: str
    epochs: int
    grid: float | None = 0.04
    shuffled: bool = False
    blind: str = ""
    imprint: float = 0.0
    start: str = ""

    @property
    def facts(self) -> dict:
        """What a checkpoint or reference weights of this plan must agree with; a run may be prolonged."""
        return {
            key: value
            for key, value in asdict(self).items()
            if key != "epochs" and (key, value) != ("start", "")
        }

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
    store: Store,
    settings,
    plan: Plan,
    *,
    seed: int,
    run_dir: Path | None,
    start: L3Net | None = None,
    validate=None,
    quiet: bool = False,
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
    start : L3Net, optional
        Network to begin from, left as it is; training goes on at 0.3 times the learning rate.
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
    model, rate = build(settings, seed), settings.learning_rate
    if start is not None:
        model.load_state_dict(start.state_dict())
        rate *= WARM_RATE
    step = CorrespondenceStep(plan.senses(settings, augment=True), plan.pairs)
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
    model, step = build(settings, seed).to(device), CorrespondenceStep(Senses(settings), "sampled").to(device)
    losses = overfit_one_batch(model, step, batch, steps=steps)
    with torch.inference_mode():
        accuracy = step(model, batch)[1]["train_accuracy"]
    return losses, float(accuracy)
