"""Training LLINet and its rivals: pairs of a class -> trunk and log-mel -> network -> loss.

Notebook: 05, 06
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from llinet_lite.data.batches import Batches, ClassPairs
from llinet_lite.data.store import Store
from llinet_lite.features import LogMel, flip, to_image, to_waveform
from llinet_lite.models import LLINet
from llinet_lite.models.towers import image_head
from llinet_lite.models.trunks import Trunk
from llinet_lite.old_road import fit
from llinet_lite.rivals import RETRIEVAL, Rival
from llinet_lite.training import History
from llinet_lite.zeroshot.activations import ActivationBatches, activations, see
from llinet_lite.zeroshot.ours import Ours
from llinet_lite.zeroshot.plans import OURS, Plan

NETWORK = ("gate", "frozen_bn")  # options of LLINet itself, the others are those of its losses


class Senses(nn.Module):
    """From a batch of the store to a trunk's activations and log-mel spectrograms, on the batch's device.

    Parameters
    ----------
    sample_rate : int, Hz
    trunk : Trunk or None
        For batches that bring pictures, not activations.
    needs : sequence of str
        Which activations.
    mirror : bool
        Mirror half of the pictures, by their `draws`; for training.
    ear : Module, optional
        Waveforms (B, n) -> what the method hears, as :class:`llinet_lite.models.Ear`. Default: log-mel.

    Notebook: 04
    """

    def __init__(
        self,
        sample_rate: int,
        trunk: Trunk | None,
        needs: Sequence[str],
        *,
        mirror: bool = False,
        ear: nn.Module | None = None,
    ):
        super().__init__()
        self.ear, self.trunk = LogMel(sample_rate) if ear is None else ear, trunk
        self.needs, self.mirror = tuple(needs), mirror

    def hear(self, audio: Tensor) -> Tensor:
        """Sounds (B, n) int16 -> log-mel (B, T, 40), or what the ear makes of them."""
        return self.ear(to_waveform(audio))

    def look(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Activations of a batch: those it brings, or what the trunk makes of its pictures."""
        if "image" not in batch:
            return {tap: batch[tap].float() for tap in self.needs}
        image = to_image(batch["image"])
        if self.mirror:
            image = flip(image, batch["draws"])
        return see(self.trunk, image, self.needs)

    def forward(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Activations by name, and log-mel (B, T, 40) or what the ear makes of the sounds."""
        return self.look(batch), self.hear(batch["audio"])


class PairStep(nn.Module):
    """One training step: batch -> loss and its terms.

    Parameters
    ----------
    senses : Senses
    classes : (K,) int, rising
        Labels of the store that take part; the method sees them as 0 to K - 1.
    """

    def __init__(self, senses: Senses, classes: np.ndarray):
        super().__init__()
        self.senses = senses
        self.register_buffer("classes", torch.as_tensor(classes, dtype=torch.int64), persistent=False)

    def forward(self, method: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its terms; `progress`, a number, is 0 for a batch without it."""
        seen, heard = self.senses(batch)
        labels = torch.searchsorted(self.classes, batch["label"])
        if isinstance(method, Rival):
            return method.loss((seen, heard), batch | {"label": labels})
        return method.loss(seen, heard, labels, batch.get("progress", 0.0))


class TrainingBatches:
    """Class pairs with what a method needs of the pictures, and the share of the training that is done.

    Parameters
    ----------
    pairs : ClassPairs
    epochs : int
    seen : dict of str to array, optional
        Activations of the split's pictures, for pairs that read no pictures.
    """

    def __init__(self, pairs: ClassPairs, epochs: int, seen: dict[str, np.ndarray] | None = None):
        self.pairs, self.epochs, self.seen = pairs, epochs, seen

    def epoch(self, e: int) -> _Progressing:
        """The batches of epoch `e`."""
        batches = self.pairs.epoch(e)
        batches = batches if self.seen is None else ActivationBatches(batches, self.seen)
        return _Progressing(batches, e, self.epochs)


class _Progressing:
    def __init__(self, batches: Batches, epoch: int, epochs: int):
        self.batches, self.number, self.epochs = batches, epoch, epochs

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        batch = self.batches[i]
        done = (self.number + i / len(self)) / self.epochs
        return batch | {"progress": float(np.float32(done))}  # no tensor: reading one would wait for the GPU


def build(
    plan: Plan, trunk: Trunk, settings, classes: int, seed: int, ear: nn.Module | None = None
) -> nn.Module:
    """Return a fresh network of the plan's method; its weights are a function of the seed alone.

    Parameters
    ----------
    plan : Plan
    trunk : Trunk
    settings : Profile
    classes : int
        Number of training classes.
    seed : int
    ear : Ear, optional
        What a plan with the option `audio="vggish"` hears through; others take none.

    Raises
    ------
    ValueError
        If the plan hears through VGGish and there is no ear.
    """
    sizes = {"width": settings.width, "size": settings.embedding}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if plan.method == OURS:
            own = {name: value for name, value in plan.options.items() if name in NETWORK}
            rest = {name: value for name, value in plan.options.items() if name not in (*NETWORK, "audio")}
            if plan.hears != "logmel":
                if ear is None:
                    raise ValueError(f"the plan {plan.name!r} hears through VGGish: give its ear")
                own["audio"] = image_head(ear.size, settings.embedding)
                rest["ear"] = ear
            return Ours(LLINet(trunk, **own, **sizes), **rest)
        kind, more = RETRIEVAL[plan.method], {}
        if "teacher" in kind.needs:
            more["teacher_classes"] = trunk.classes
        return kind(features=trunk.features, classes=classes, **(sizes | more | plan.options))


def ear_of(model: nn.Module) -> nn.Module | None:
    """Return what a method hears through; None for log-mel."""
    return getattr(model, "ear", None)


def cached(plan: Plan, settings) -> bool:
    """Whether the plan trains from kept activations: where the profile does and the trunk is the same."""
    return settings.keep_activations and plan.options.get("frozen_bn", "eval") == "eval"


def train(
    store: Store,
    settings,
    plan: Plan,
    trunk: Trunk,
    classes: Sequence[int],
    *,
    seed: int,
    run_dir: Path | None,
    validate=None,
    ear: nn.Module | None = None,
    quiet: bool = False,
) -> tuple[nn.Module, History]:
    """Train one method, or go on where an earlier call was stopped.

    Parameters
    ----------
    store : Store
        Its split `train` is used.
    settings : Profile
    plan : Plan
    trunk : Trunk
        Frozen.
    classes : sequence of int
        Labels that are trained on.
    seed : int
        Of the weights, the pairs and the windows.
    run_dir : Path or None
        Where checkpoints go.
    validate : callable, optional
        model -> dict with "mAP", on which the best epoch is chosen.
    ear : Ear, optional
        See :func:`build`.

    Returns
    -------
    model : Module
        With the best epoch's weights if `validate` and `run_dir` were given, else the last one's.
    history : History
    """
    model = build(plan, trunk, settings, len(classes), seed, ear)
    keep = cached(plan, settings)
    seen = None
    if keep:
        seen = activations(trunk, store, "train", image_crop=settings.llinet_crop, taps=model.needs)
    size = min(settings.batch_size, len(classes)) if plan.distinct else settings.batch_size
    pairs = ClassPairs(
        store, "train", batch_size=size,
        image_crop=None if keep else settings.llinet_crop, seconds=settings.llinet_seconds,
        classes=classes, distinct=plan.distinct, shuffle_labels=plan.shuffled, seed=seed,
    )  # fmt: skip
    own_trunk = model.network.trunk if plan.method == OURS else trunk
    senses = Senses(
        store.sample_rate, None if keep else own_trunk, model.needs, mirror=True, ear=ear_of(model)
    )
    facts = {"data": store.content_hash, "batch_size": pairs.batch_size, "plan": plan.facts}
    history = fit(
        model,
        PairStep(senses, np.sort(classes)),
        TrainingBatches(pairs, plan.epochs, seen),
        epochs=plan.epochs,
        run_dir=run_dir,
        validate=validate,
        select="mAP",
        settings=facts | {"classes": [int(c) for c in classes], "trunk": trunk.title},
        seed=seed,
        optimizer=model.optimizer(plan.rate),
        schedule=model.schedule(plan.epochs),
        clip_norm=model.clip_norm,
        compiled=settings.compiled,
        quiet=quiet,
    )
    if run_dir is not None and validate is not None:
        history.load_best(model)
    return model, history
