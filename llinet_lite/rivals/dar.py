"""DAR: one tail for all senses, taught by a network that knows pictures, and a ranking of its activations.

Notebook: 06
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import cosines, full_precision, negatives, unit
from llinet_lite.models.towers import image_head, initialize
from llinet_lite.rivals.base import Rival
from llinet_lite.rivals.hinge import hinge_costs
from llinet_lite.training import adam

__all__ = ["DAR", "ranking_loss", "transfer_loss"]

LAYERS = ("fc1", "fc2")  # hidden layers of the tail


def transfer_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    r"""How far a network is from the teacher's view of the picture of each pair.

    .. math:: L_{KL} = \frac1B \sum_i \sum_k g_{ik} \ln \frac{g_{ik}}{\mathrm{softmax}(z_i)_k}

    Parameters
    ----------
    logits : Tensor (B, T), z
    teacher : Tensor (B, T), g: probabilities of the teacher's T classes; 0 is allowed

    Returns
    -------
    Tensor, a scalar in nats, 0 at least

    Raises
    ------
    ValueError
        If the teacher has another number of classes.

    Notebook: 06
    """
    if logits.shape != teacher.shape:
        raise ValueError(
            f"The teacher gives probabilities {tuple(teacher.shape)}, the tail logits {tuple(logits.shape)}: "
            "build DAR with teacher_classes as the teacher has them."
        )
    return F.kl_div(full_precision(logits).log_softmax(1), full_precision(teacher), reduction="batchmean")


def ranking_loss(image: Tensor, audio: Tensor, allowed: Tensor, margin: float = 0.2) -> tuple[Tensor, Tensor]:
    r"""Rank the own partner before every other, by the cosine of one layer's activations.

    .. math:: L_{I \to A} = \frac1B \sum_i \sum_{j \ne i} [m - \cos(h^v_i, h^a_i) + \cos(h^v_i, h^a_j)]_+

    Parameters
    ----------
    image, audio : Tensor (B, D), activations; pair i is row i of both
    allowed : Tensor (B, B) bool, which j counts for i: see `losses.negatives`
    margin : float, m

    Returns
    -------
    image_to_audio, audio_to_image : Tensor, a scalar each; (B - 1) m if all activations are equal and none
        is masked

    Notebook: 06
    """
    first, second = hinge_costs(cosines(image, audio), allowed, margin)
    return first.sum() / len(first), second.sum() / len(second)


class DAR(Rival):
    r"""Deep aligned representations: heads of picture and sound, then one tail of three layers for both.

    .. math:: L = L_{KL}(f_v) + L_{KL}(f_a) + \lambda \sum_h (L_{I \to A} + L_{A \to I})

    with `transfer_loss` of both senses to the teacher's probabilities for the picture, and `ranking_loss` on
    hidden layers h of the tail. An embedding is the tail's last hidden layer, of unit length.

    Source: Aytar, Vondrick and Torralba, *See, Hear, and Read* (2017). No code of the authors is public;
    margin, weight, layers and optimizer are not confirmed by a public source: the values here are
    assumptions. Sums over the batch are divided by B, both losses alike.

    Parameters
    ----------
    features, classes, width, size, same_class : see `Rival`; published is same_class="all"
    teacher_classes : int, T: of the frozen trunk as a classifier, the tail's outputs; 1000 for ImageNet
    margin : float, m; an assumption
    weight : float, lambda; an assumption
    layers : tuple of "fc1", "fc2": the ranked hidden layers; an assumption

    Notebook: 06
    """

    title = "DAR"
    needs: ClassVar[tuple[str, ...]] = ("pooled", "teacher")
    learning_rate = 1e-4

    def __init__(
        self,
        *,
        features: int,
        classes: int,
        width: int = 64,
        size: int = 1024,
        teacher_classes: int = 1000,
        same_class: str = "mask",
        margin: float = 0.2,
        weight: float = 1.0,
        layers: tuple[str, ...] = LAYERS,
    ):
        super().__init__(features=features, classes=classes, width=width, size=size)
        if not layers or set(layers) - set(LAYERS):
            raise ValueError(f"layers must name some of {', '.join(LAYERS)}, not {layers!r}.")
        self.same_class, self.margin, self.weight, self.layers = same_class, margin, weight, layers
        self.image = image_head(features, size)
        tail = OrderedDict(
            fc1=nn.Linear(size, size), fc2=nn.Linear(size, size), fc3=nn.Linear(size, teacher_classes)
        )
        self.tail = initialize(nn.ModuleDict(tail))

    def activations(self, x: Tensor) -> dict[str, Tensor]:
        """Output of a head (B, D) -> the tail's layers: "fc1", "fc2" (B, D), not negative, "fc3" (B, T)."""
        first = F.relu(self.tail["fc1"](x))
        second = F.relu(self.tail["fc2"](first))
        return {"fc1": first, "fc2": second, "fc3": self.tail["fc3"](second)}

    def embed_image(self, seen: dict[str, Tensor]) -> Tensor:
        """Activations of the trunk -> embeddings (B, D) of length 1."""
        return unit(self.activations(self.image(seen["pooled"]))["fc2"])

    def embed_audio(self, logmel: Tensor) -> Tensor:
        """Log-mel (B, T, 40) -> embeddings (B, D) of length 1."""
        return unit(self.activations(self.audio(logmel))["fc2"])

    def loss(
        self, seen: dict[str, Tensor], logmel: Tensor, labels: Tensor, progress: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Transfer and ranking, see the class."""
        image = self.activations(self.image(seen["pooled"]))
        audio = self.activations(self.audio(logmel))
        transfer = [transfer_loss(sense["fc3"], seen["teacher"]) for sense in (image, audio)]
        allowed = negatives(labels, self.same_class)
        ranked = [ranking_loss(image[h], audio[h], allowed, self.margin) for h in self.layers]
        ranking = torch.stack([term for pair in ranked for term in pair]).sum()
        loss = sum(transfer) + self.weight * ranking
        parts = {"transfer_image": transfer[0], "transfer_audio": transfer[1], "ranking": ranking}
        return loss, {name: part.detach() for name, part in parts.items()}

    def optimizer(self, rate: float = 1.0) -> Callable[[list], torch.optim.Optimizer]:
        """Adam at 1e-4 times `rate`."""
        return adam(self.learning_rate * rate, 0.0)
