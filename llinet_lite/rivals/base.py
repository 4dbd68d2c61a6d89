"""What LLINet's rivals have in common: eight for retrieval, four for zero-shot recognition.

Notebook: 06 (Rival), 08 (Recognizer)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from llinet_lite.losses import cosines, full_precision, unit
from llinet_lite.models import AudioEncoder


def adam(lr: float, weight_decay: float = 0.0) -> Callable[[list], torch.optim.Optimizer]:
    """Parameters -> Adam with an L2 penalty."""
    return lambda parameters: torch.optim.Adam(parameters, lr, weight_decay=weight_decay, fused=True)


# ---- retrieval


def hinge_costs(scores: Tensor, allowed: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    r"""What every wrong partner costs, in both directions.

    .. math:: c^{I \to A}_{ij} = [m + S_{ij} - S_{ii}]_+, \qquad c^{A \to I}_{ij} = [m + S_{ij} - S_{jj}]_+

    where (i, j) is allowed, see `losses.negatives`, else 0; S (B, B) with the pairs on the diagonal. DAR,
    ULSLVC, SIR and SCAN sum or average these costs, or pick among them.
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or scores.shape != allowed.shape:
        found = f"{tuple(scores.shape)} and {tuple(allowed.shape)}"
        raise ValueError(f"A hinge compares pairs: scores and allowed must both be (B, B), got {found}.")
    scores = full_precision(scores)
    own = scores.diagonal()
    costs = (torch.relu(margin + scores - own[:, None]), torch.relu(margin + scores - own[None, :]))
    return tuple(cost.masked_fill(~allowed, 0.0) for cost in costs)


class Rival(nn.Module):
    """A retrieval rival: encoders on top of the shared trunk, its own loss, optimizer and scores.

    Every rival gets the activations of the same frozen trunk for images, and the same kind of audio encoder,
    trained by the rival itself, in place of the encoder it was published with (LLINet's page: "we replace
    their text encoders by our audio encoder").

    Parameters
    ----------
    features : int, F: channels of the trunk's last map
    classes : int, K: training classes
    width : int, of the audio encoder; 64 in the paper
    size : int, D: of the embeddings; 1024 in the paper

    Those that know pairs, not labels, also take `same_class`, see `losses.negatives`; all publish "all".
    """

    title: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ("pooled",)  # (B, F); or "map" (B, F, h, w), "teacher" (B, T)
    learning_rate: ClassVar[float]  # as published, like the next two
    weight_decay: ClassVar[float] = 0.0
    clip_norm: ClassVar[float | None] = None  # largest norm of the gradient

    def __init__(self, *, features: int, classes: int, width: int = 64, size: int = 1024):
        super().__init__()
        self.features, self.classes, self.size = features, classes, size
        self.audio = AudioEncoder(width, size)

    def embed_image(self, image: dict[str, Tensor]) -> Tensor:
        """Activations of the trunk, named as in `needs` -> embeddings (B, D); of length 1 unless said."""
        return unit(self.image(image["pooled"]))

    def embed_audio(self, audio: Tensor) -> Tensor:
        """Log-mel (B, T, 40) -> embeddings (B, D); of length 1 unless said."""
        return unit(self.audio(audio))

    def scores(self, image: Tensor, audio: Tensor) -> Tensor:
        """How well every image and every audio fit, (N, D), (M, D) -> (N, M); the cosine unless said."""
        return cosines(image, audio)

    def loss(self, inputs: tuple[dict, Tensor], batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch of pairs, and its terms and what should be watched by name, detached.

        `inputs` is what `embed_image` and `embed_audio` take; `batch` has "label" (B,), 0 to K - 1, and may
        have "progress" in [0, 1), the share of the training that is done.
        """
        raise NotImplementedError

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """The published optimizer; `rate` multiplies its learning rate, for runs shorter than theirs."""
        return adam(self.learning_rate * rate, self.weight_decay)

    def schedule(self, epochs: int) -> Callable[[float], float] | None:
        """Factor on the learning rate by epoch, of a run of so many epochs; None: constant."""
        return None


# ---- recognition


@dataclass(frozen=True)
class Examples:
    """What a recognizer learns from, checked: float32 on one device, class vectors of length 1."""

    images: Tensor  # (N, F), standardized
    labels: Tensor  # (N,) int64, 0 to K - 1
    classes: Tensor  # (K, D)
    unseen: Tensor | None  # (U, D)
    clips: tuple[Tensor, Tensor] | None  # (M, D) and (M,) int64


class Recognizer(nn.Module):
    """A recognition rival: how well do an image and the vector of a class fit, also of classes never seen?

    An image is F numbers of a frozen trunk, pooled. A class is a vector of D numbers that says how it sounds
    (the mean embedding of its clips), scaled to length 1 here: means of unit vectors are of unequal length.

    `features` is F, 2048 in the papers, `semantics` is D.
    """

    title: ClassVar[str]
    grid: ClassVar[tuple[dict, ...]]  # options to choose among on held-out classes; the first as published
    needs_unseen: ClassVar[bool] = False  # whether `learn` reads the vectors of unseen classes: to be said

    def __init__(self, *, features: int, semantics: int):
        super().__init__()
        positive(features=features, semantics=semantics)
        self.features, self.semantics = features, semantics
        self.register_buffer("shift", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("learned", torch.tensor(False))

    def learn(
        self, images: Tensor, labels: Tensor, classes: Tensor, *, unseen: Tensor | None = None,
        sounds: tuple[Tensor, Tensor] | None = None, epochs: int = 60, seed: int = 0,
    ) -> Self:  # fmt: skip
        """Train from the beginning, on the device of the images, and return this recognizer in eval mode.

        Images (N, F) with labels (N,), 0 to K - 1; class vectors (K, D) of the training classes and, where
        `needs_unseen`, (U, D) of unseen ones. `sounds` are vectors (M, D) of single clips and their labels
        (M,), which LDE reads if asked. A closed form takes no epochs. The same seed, of weights, order and
        dropout, gives the same result on the same device.
        """
        if epochs < 1:
            raise ValueError(f"epochs must be 1 or more, not {epochs}.")
        if self.needs_unseen and unseen is None:
            raise ValueError(f"{self.title} reads the class vectors of unseen classes: give learn `unseen`.")
        images = _finite(images, "images", self.features).detach().float()
        classes = self._vectors(classes, "classes").detach().to(images)
        labels = _labels(labels, "labels", images, classes)
        if unseen is not None:
            unseen = self._vectors(unseen, "unseen").detach().to(images)
        if sounds is not None:
            clips = self._vectors(sounds[0], "the clips of sounds").detach().to(images)
            sounds = clips, _labels(sounds[1], "the labels of sounds", clips, classes)
        with torch.random.fork_rng(), torch.autocast(images.device.type, enabled=False):
            torch.manual_seed(seed)
            self.cpu().float().start()  # drawn on the CPU: the same weights for every device
            self.to(images.device)
            with torch.no_grad():
                self.measure(images)
                images = self.standardized(images)
            self.train().fit(Examples(images, labels, classes, unseen, sounds), epochs)
        self.learned.fill_(True)
        return self.eval()

    @torch.no_grad()
    def scores(self, images: Tensor, classes: Tensor) -> Tensor:
        """How well images (B, F) and classes (C, D), seen or not, fit -> (B, C); in a unit of the method."""
        if not self.learned:
            raise RuntimeError(f"This {self.title} knows nothing yet: call learn first, or load a state.")
        images = _finite(images, "images", self.features).to(self.shift.dtype)
        classes = self._vectors(classes, "classes").to(self.shift.dtype)
        with torch.autocast(images.device.type, enabled=False):
            parts = [self.compare(self.standardized(part), classes) for part in images.split(1024)]
        return torch.cat(parts)

    def start(self) -> None:
        """Draw the weights anew."""

    def measure(self, images: Tensor) -> None:
        """Set `shift` and `spread` by the training images (N, F); left at 0 and 1: as they are."""

    def standardized(self, images: Tensor) -> Tensor:
        """Images (B, F), less `shift` and divided by `spread`."""
        return (images - self.shift) / self.spread

    def fit(self, examples: Examples, epochs: int) -> None:
        """Learn from examples; torch's generator is seeded already."""
        raise NotImplementedError

    def compare(self, images: Tensor, classes: Tensor) -> Tensor:
        """Scores (B, C) of standardized images (B, F) and class vectors (C, D) of length 1."""
        raise NotImplementedError

    def _vectors(self, classes: Tensor, name: str) -> Tensor:
        classes = _finite(classes, name, self.semantics)
        if not classes.any(1).all():
            raise ValueError(f"{name} hold a vector of zeros, which says nothing: are there clips of each?")
        return unit(classes)


def descend(
    optimizer: torch.optim.Optimizer, loss: Callable[[Tensor], Tensor], examples: Examples, *, epochs: int,
    batch: int = 64, decay: Callable[[int, int], float] | None = None,
) -> None:  # fmt: skip
    """Minimize `loss` (indices of examples -> scalar), in a new order and about equal parts every epoch.

    `decay` (step, steps of the run) gives a factor on the learning rate.
    """
    count, device = len(examples.images), examples.images.device
    parts = math.ceil(count / batch)
    rates = [group["lr"] for group in optimizer.param_groups]
    for epoch in range(epochs):
        total = torch.zeros((), device=device)
        for part, chosen in enumerate(torch.randperm(count).to(device).tensor_split(parts)):
            factor = decay(epoch * parts + part, epochs * parts) if decay else 1.0
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = factor * rate
            value = loss(chosen)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += value.detach() / parts
        if not total.isfinite():
            raise ArithmeticError(f"The loss in epoch {epoch} is {float(total)}: lower the rate.")


def one_scale(values: Tensor) -> Tensor:
    """Root mean square of all numbers, a scalar; 1 if all are zero."""
    scale = values.square().mean().sqrt()
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def positive(*, or_zero: bool = False, **values: float) -> None:
    """Raise ValueError unless these are finite numbers above 0, or 0 where that is allowed."""
    for name, value in values.items():
        if not 0 <= value < math.inf or (value == 0 and not or_zero):
            least = "0 or more" if or_zero else "above 0"
            raise ValueError(f"{name} must be a finite number, {least}, not {value}.")


def _finite(vectors: Tensor, name: str, size: int) -> Tensor:
    if vectors.ndim != 2 or vectors.shape[1] != size or not len(vectors):
        raise ValueError(f"{name} must be (one or more, {size}), not {tuple(vectors.shape)}.")
    if not vectors.isfinite().all():
        raise ValueError(f"{name} hold numbers that are not finite: look for a network that diverged.")
    return full_precision(vectors)


def _labels(labels: Tensor, name: str, items: Tensor, classes: Tensor) -> Tensor:
    if labels.shape != (len(items),) or labels.is_floating_point():
        raise ValueError(f"{name} must be {len(items)} integers, not {labels.dtype} {tuple(labels.shape)}.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(classes):
        raise ValueError(f"{name} must be rows of classes, 0 to {len(classes) - 1}, not {low} to {high}.")
    return labels.to(items.device, torch.int64)
