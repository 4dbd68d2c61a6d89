"""DAR: one tail for both modalities, taught by a network that knows images, and a ranking of its activations.

Notebook: 06
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import cosines, full_precision, negatives, unit
from llinet_lite.models.towers import image_head, initialize
from llinet_lite.rivals.base import Rival, hinge_costs


def transfer_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    r"""How far a network's logits z (B, T) are from the teacher's probabilities g (B, T) for the image.

    .. math:: L_{KL} = \frac1B \sum_i \sum_k g_{ik} \ln \frac{g_{ik}}{\mathrm{softmax}(z_i)_k}
    """
    if logits.shape != teacher.shape:
        found = f"{tuple(logits.shape)} and {tuple(teacher.shape)}"
        raise ValueError(f"DAR needs the teacher's number of classes as teacher_classes, got {found}.")
    return F.kl_div(full_precision(logits).log_softmax(1), full_precision(teacher), reduction="batchmean")


def ranking_loss(image: Tensor, audio: Tensor, allowed: Tensor, margin: float = 0.2) -> tuple[Tensor, Tensor]:
    r"""Rank the own partner before every other, by the cosine of one layer's activations (B, D).

    .. math:: L_{I \to A} = \frac1B \sum_i \sum_{j \ne i} [m - \cos(h^v_i, h^a_i) + \cos(h^v_i, h^a_j)]_+

    Both directions; each is (B - 1) m if all activations are equal and every j is `allowed`.
    """
    first, second = hinge_costs(cosines(image, audio), allowed, margin)
    return first.sum() / len(first), second.sum() / len(second)


class DAR(Rival):
    r"""Deep aligned representations: a head for each modality, then one tail of three layers for both.

    .. math:: L = L_{KL}(f_v) + L_{KL}(f_a) + \lambda \sum_h (L_{I \to A} + L_{A \to I})

    with `transfer_loss` of both to the teacher's probabilities for the image, and `ranking_loss` on both
    hidden layers h of the tail. An embedding is the tail's last hidden layer, of length 1.

    Source: Aytar, Vondrick and Torralba, *See, Hear, and Read* (2017). No code of the authors is public;
    margin, weight lambda, layers and optimizer are not confirmed by a public source: the values here are
    assumptions. Sums over the batch are divided by B, both losses alike. The tail has `teacher_classes`
    outputs, those of the frozen trunk as a classifier.
    """

    title = "DAR"
    needs = ("pooled", "teacher")
    learning_rate = 1e-4

    def __init__(
        self, *, teacher_classes: int = 1000, same_class: str = "mask", margin=0.2, weight=1.0, **sizes: int
    ):
        super().__init__(**sizes)
        self.same_class, self.margin, self.weight = same_class, margin, weight
        self.image = image_head(self.features, self.size)
        outputs = {"fc1": self.size, "fc2": self.size, "fc3": teacher_classes}
        self.tail = nn.ModuleDict({name: nn.Linear(self.size, out) for name, out in outputs.items()})
        initialize(self.tail)

    def activations(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Output of a head (B, D) -> the tail's two hidden layers (B, D), not negative, and logits (B, T)."""
        first = F.relu(self.tail["fc1"](x))
        second = F.relu(self.tail["fc2"](first))
        return first, second, self.tail["fc3"](second)

    def embed_image(self, image: dict[str, Tensor]) -> Tensor:
        return unit(self.activations(self.image(image["pooled"]))[1])

    def embed_audio(self, audio: Tensor) -> Tensor:
        return unit(self.activations(self.audio(audio))[1])

    def loss(self, inputs: tuple[dict, Tensor], batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
        image = self.activations(self.image(inputs[0]["pooled"]))
        audio = self.activations(self.audio(inputs[1]))
        transfer = [transfer_loss(layers[2], inputs[0]["teacher"]) for layers in (image, audio)]
        allowed = negatives(batch["label"], self.same_class)
        ranked = [ranking_loss(image[h], audio[h], allowed, self.margin) for h in (0, 1)]
        ranking = torch.stack([term for pair in ranked for term in pair]).sum()
        loss = sum(transfer) + self.weight * ranking
        parts = {"transfer_image": transfer[0], "transfer_audio": transfer[1], "ranking": ranking}
        return loss, {name: part.detach() for name, part in parts.items()}
