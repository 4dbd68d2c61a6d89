"""What the eight retrieval rivals of LLINet have in common.

Notebook: 06
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from llinet_lite.losses import cosines
from llinet_lite.models.llinet import AudioEncoder

__all__ = ["Rival"]


class Rival(nn.Module):
    """One rival: encoders on top of the shared trunk, its own loss, optimizer and way to compare.

    Every rival gets the same frozen trunk for pictures, whose activations are its input, and the same kind of
    audio encoder, trained by the rival itself, in place of the one it was published with (LLINet's page: "we
    replace their text encoders by our audio encoder").

    Parameters
    ----------
    features : int, F: channels of the trunk's last map
    classes : int, K: training classes; labels are 0 to K - 1
    width : int, of the audio encoder; 64 in the paper
    size : int, D: of the embeddings; 1024 in the paper
    same_class : "all", "mask" or "distinct", see :func:`llinet_lite.losses.negatives`; a rival whose
        loss reads the labels does not take it

    Attributes
    ----------
    title : str, for tables
    needs : tuple of str, of "pooled" (B, F), "map" (B, F, h, w), "teacher" (B, T) class probabilities
    learning_rate : float, as published
    clip_norm : float or None, largest norm of the gradient

    Notebook: 06
    """

    title: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ("pooled",)
    learning_rate: ClassVar[float]
    clip_norm: ClassVar[float | None] = None

    def __init__(self, *, features: int, classes: int, width: int = 64, size: int = 1024):
        super().__init__()
        self.features, self.classes, self.size = features, classes, size
        self.audio = AudioEncoder(width, size)

    def embed_image(self, seen: dict[str, Tensor]) -> Tensor:
        """Activations of the frozen trunk, named as in `needs` -> embeddings (B, D)."""
        raise NotImplementedError

    def embed_audio(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, 40) -> embeddings (B, D)."""
        raise NotImplementedError

    def scores(self, image: Tensor, audio: Tensor) -> Tensor:
        """How well every picture and every sound fit, (N, D), (M, D) -> (N, M); the cosine unless said."""
        return cosines(image, audio)

    def loss(
        self, seen: dict[str, Tensor], logmel: Tensor, labels: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch of pairs.

        Parameters
        ----------
        seen : dict of Tensor, as for `embed_image`
        logmel : Tensor (B, T, 40)
        labels : Tensor (B,) integer, 0 to K - 1
        progress : float in [0, 1), share of the training that is done; for what is raised or lowered

        Returns
        -------
        loss : Tensor, a scalar
        parts : dict of str to Tensor, its terms and what should be watched, detached
        """
        raise NotImplementedError

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """Make the published optimizer; `rate` multiplies its learning rate, for runs shorter than theirs."""
        raise NotImplementedError

    def schedule(self, epochs: int) -> Callable[[float], float] | None:
        """Factor on the learning rate by epoch, of a run of so many epochs; None: constant."""
        return None
