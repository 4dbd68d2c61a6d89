"""LLINet as one of the methods that are trained and compared: its network, its losses, its optimizer.

Notebook: 05, 06
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from llinet_lite.losses import cosines, llinet_loss
from llinet_lite.models import LLINet


class Ours(nn.Module):
    """LLINet with the interface of :class:`llinet_lite.rivals.base.Rival`.

    Parameters
    ----------
    network : LLINet
    attention : float
        Weight of the attention loss; 0 trains the matching loss alone, as the released code does for
        retrieval and recognition.
    scale : float
        Of the cosines: 10 as released, 1 as printed.
    same_class : {"mask", "zero", "all", "distinct"}
        See :func:`llinet_lite.losses.matching_loss`.
    solver : {"sgd", "adam"}
        "sgd": as published, rate 1e-3, momentum 0.9, weight decay 1e-3. "adam": rate 1e-3, for short runs.
    decay : float
        Factor on the learning rate after every tenth of the run: 0.5 as released, 0.1 as documented there.
    decayed : {"all", "image"}
        Whose rate falls; the released code lowers that of the picture's path alone.
    ear : Module, optional
        Frozen; waveforms (B, n) -> what the network's audio part takes. Default: log-mel spectrograms.

    Notebook: 05
    """

    title = "LLINet"
    needs = ("early", "late")
    clip_norm = None

    def __init__(
        self,
        network: LLINet,
        *,
        attention: float = 1.0,
        scale: float = 10.0,
        same_class: str = "mask",
        solver: str = "sgd",
        decay: float = 0.5,
        decayed: str = "all",
        ear: nn.Module | None = None,
    ):
        super().__init__()
        if solver not in ("sgd", "adam"):
            raise ValueError(f'solver must be "sgd" or "adam", not {solver!r}')
        if decayed not in ("all", "image"):
            raise ValueError(f'decayed must be "all" or "image", not {decayed!r}')
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

    def loss(
        self, seen: dict[str, Tensor], heard: Tensor, labels: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a batch of pairs and its terms; `progress` changes nothing here."""
        image, local = self.network.attend(seen["early"], seen["late"])
        audio = self.network.embed_audio(heard)
        transformed = self.network.transform(audio) if self.attention else None
        return llinet_loss(image, audio, local, transformed, labels, attention=self.attention, **self.how)

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """Make the optimizer; `rate` multiplies its learning rate."""
        if self.solver == "adam":
            kind, more = torch.optim.Adam, {"weight_decay": 1e-5, "fused": True}
        else:
            kind, more = torch.optim.SGD, {"momentum": 0.9, "weight_decay": 1e-3}

        def make(weights: list) -> torch.optim.Optimizer:
            there = {"fused": True} if weights[0].is_cuda else {}  # a bad step is then skipped without a wait
            return kind(self._groups(weights), 1e-3 * rate, **(more | there))

        return make

    def _groups(self, weights: list) -> list:
        if self.decayed == "all":
            return weights
        parts = self.network.parameter_groups()
        return [part | {"scheduled": part["name"] == "image"} for part in parts]

    def schedule(self, epochs: int) -> Callable[[float], float]:
        """The rate falls after every tenth of the run: every 10 of 100 epochs, as released."""
        return lambda epoch: self.decay ** int(10 * epoch / epochs + 1e-9)
