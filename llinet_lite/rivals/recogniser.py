"""What the four zero-shot recognition rivals of LLINet have in common.

Notebook: 08
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from llinet_lite.losses import full_precision, unit
from llinet_lite.training import NotFiniteError

__all__ = ["Examples", "Recogniser", "descend", "one_scale", "positive", "width"]


@dataclass(frozen=True)
class Examples:
    """What a recogniser learns from, checked: float32 on one device, class vectors of length 1.

    Attributes
    ----------
    images : Tensor (N, F), as the recogniser's `standardised` leaves them
    labels : Tensor (N,) int64, 0 to K - 1
    classes : Tensor (K, D)
    unseen : Tensor (U, D) or None
    sounds : tuple of Tensor (M, D) and Tensor (M,) int64, or None

    Notebook: 08
    """

    images: Tensor
    labels: Tensor
    classes: Tensor
    unseen: Tensor | None
    sounds: tuple[Tensor, Tensor] | None


class Recogniser(nn.Module):
    """One rival: tells how well a picture and the vector of a class fit, also of classes it never saw.

    A picture is F numbers of a frozen trunk, pooled. A class is a vector of D numbers that says how it sounds
    (the mean embedding of its clips), scaled to length 1 here: means of unit vectors are of unequal length.

    Parameters
    ----------
    features : int, F: of a picture; 2048 in the papers
    semantics : int, D: of a class vector

    Attributes
    ----------
    title : str, for tables
    grid : tuple of dict, options to choose among on classes held out of training; the first is as published
    needs_unseen : bool, whether `learn` reads the class vectors of unseen classes, though none of their
        pictures: to be said beside the method's result

    Notebook: 08
    """

    title: ClassVar[str]
    grid: ClassVar[tuple[dict, ...]]
    needs_unseen: ClassVar[bool] = False

    def __init__(self, *, features: int, semantics: int):
        super().__init__()
        positive(features=features, semantics=semantics)
        self.features, self.semantics = int(features), int(semantics)
        self.register_buffer("shift", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("learned", torch.tensor(False))

    def learn(
        self,
        images: Tensor,
        labels: Tensor,
        classes: Tensor,
        *,
        unseen: Tensor | None = None,
        sounds: tuple[Tensor, Tensor] | None = None,
        epochs: int = 60,
        seed: int = 0,
        quiet: bool = True,
    ) -> Recogniser:
        """Train from the beginning, on the device of the pictures; forgets what was learned before.

        Parameters
        ----------
        images : Tensor (N, F)
        labels : Tensor (N,) integer, 0 to K - 1
        classes : Tensor (K, D), class vectors of the training classes
        unseen : Tensor (U, D), class vectors of unseen classes; read where `needs_unseen`
        sounds : tuple of Tensor (M, D) and Tensor (M,), vectors of single clips of the training classes, and
            their labels; read by LDE if asked
        epochs : int, passes over the pictures; a closed form takes none
        seed : int, of weights, order and dropout: the same seed gives the same result on the same device
        quiet : bool, print nothing

        Returns
        -------
        Recogniser
            This one, in eval mode.

        Raises
        ------
        ValueError
            If shapes do not fit, numbers are not finite, labels name no class, or a class vector is zero.
        NotFiniteError
            If the loss becomes infinite or not a number.
        """
        if epochs < 1:
            raise ValueError(f"epochs must be 1 or more, not {epochs}.")
        examples = self._checked(images, labels, classes, unseen, sounds)
        with torch.random.fork_rng(), torch.autocast(examples.images.device.type, enabled=False):
            torch.manual_seed(seed)
            self.cpu().float().start()  # drawn on the CPU: the same weights for every device
            self.to(examples.images.device)
            with torch.no_grad():
                self.measure(examples.images)
                images = self.standardised(examples.images)
            told = (examples.labels, examples.classes, examples.unseen, examples.sounds)
            self.train().fit(Examples(images, *told), epochs=epochs, quiet=quiet)
        self.learned.fill_(True)
        return self.eval()

    @torch.no_grad()
    def scores(self, images: Tensor, classes: Tensor) -> Tensor:
        """How well every picture and every class fit, without dropout whatever the mode.

        Parameters
        ----------
        images : Tensor (B, F)
        classes : Tensor (C, D), class vectors, seen in training or not

        Returns
        -------
        Tensor (B, C), higher = more alike; their unit is the method's own
        """
        images, classes = self._pictures(images), self._vectors(classes, "classes").to(self.shift.dtype)
        with torch.autocast(images.device.type, enabled=False):
            parts = [self.compare(self.standardised(part), classes) for part in images.split(1024)]
        return torch.cat(parts)

    def embed(self, images: Tensor) -> Tensor | None:
        """Pictures (B, F) -> (B, D), where they are compared; None if they are compared as they are."""
        return None

    def start(self) -> None:
        """Draw the weights anew."""

    def measure(self, images: Tensor) -> None:
        """Set `shift` and `spread` by the training pictures (N, F); left at 0 and 1: as they are."""

    def standardised(self, images: Tensor) -> Tensor:
        """Pictures (B, F), less `shift` and divided by `spread`."""
        return (images - self.shift) / self.spread

    def fit(self, examples: Examples, *, epochs: int, quiet: bool) -> None:
        """Learn from examples; torch's generator is seeded already."""
        raise NotImplementedError

    def compare(self, images: Tensor, classes: Tensor) -> Tensor:
        """Scores (B, C) of standardised pictures (B, F) and class vectors (C, D) of length 1."""
        raise NotImplementedError

    def _pictures(self, images: Tensor) -> Tensor:
        if not self.learned:
            raise RuntimeError(f"This {self.title} knows nothing yet: call learn first, or load a state.")
        return _finite(images, "images", self.features).to(self.shift.dtype)

    def _vectors(self, classes: Tensor, name: str) -> Tensor:
        classes = _finite(classes, name, self.semantics)
        if not classes.any(1).all():
            raise ValueError(f"{name} hold a vector of zeros, which says nothing: are there clips of each?")
        return unit(classes)

    def _checked(self, images, labels, classes, unseen, sounds) -> Examples:
        if self.needs_unseen and unseen is None:
            raise ValueError(f"{self.title} reads the class vectors of unseen classes: give learn `unseen`.")
        images = _finite(images, "images", self.features).detach().float()
        on = {"device": images.device, "dtype": torch.float32}
        classes = self._vectors(classes, "classes").detach().to(**on)
        if unseen is not None:
            unseen = self._vectors(unseen, "unseen").detach().to(**on)
        if sounds is not None:
            clips = self._vectors(sounds[0], "the clips of sounds").detach().to(**on)
            sounds = clips, _labels(sounds[1], "the labels of sounds", clips, classes)
        return Examples(images, _labels(labels, "labels", images, classes), classes, unseen, sounds)


def descend(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor], Tensor],
    count: int,
    *,
    batch: int,
    epochs: int,
    decay: Callable[[int, int], float] | None = None,
    quiet: bool = True,
) -> None:
    """Minimise a loss over N examples in memory, in a new order every epoch.

    Parameters
    ----------
    model : Module, named in what is printed
    optimizer : Optimizer
    loss : callable, indices (b,) of examples -> a scalar
    count : int, N
    batch : int, examples per step, or a few less: an epoch is cut into steps of about the same size
    epochs : int
    decay : callable (step, steps of the run) -> factor on the learning rate; None: constant
    quiet : bool; if not, print one line at the end

    Raises
    ------
    NotFiniteError
        If the loss of an epoch is not finite.

    Notebook: 08
    """
    device = next(model.parameters()).device
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
            raise NotFiniteError(
                f"The loss of {type(model).__name__} in epoch {epoch} is {float(total)}: lower its rate."
            )
    if not quiet:
        print(f"{type(model).__name__}: {epochs * parts} steps, loss of the last epoch {float(total):.4g}")


def one_scale(images: Tensor) -> Tensor:
    """Root mean square of all numbers in pictures (N, F), a scalar; 1 if all are zero."""
    scale = images.square().mean().sqrt()
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def width(published: int, features: int) -> int:
    """Hidden units where a picture has F features: as `published` for F = 2048, never more than 2 F.

    Notebook: 08
    """
    return min(published, 2 * features)


def positive(**values: float) -> None:
    """Raise ValueError unless these are finite numbers above 0."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be a finite number above 0, not {value}.")


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
