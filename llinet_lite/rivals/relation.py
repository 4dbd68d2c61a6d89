"""Relation Net: a network that judges whether a picture and a class belong together.

Notebook: 08
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision
from llinet_lite.rivals.recogniser import Examples, Recogniser, descend, one_scale, positive, width

__all__ = ["RelationNet", "relation_loss"]


def relation_loss(relations: Tensor, targets: Tensor) -> Tensor:
    r"""Squared error of relations that should be 1 for the right class and 0 for every other.

    .. math:: L = \frac{1}{BC} \sum_{ic} (r_{ic} - [c = y_i])^2

    Source: Sung et al., *Learning to Compare: Relation Network for Few-Shot Learning* (2018). With C classes
    there is one 1 among C - 1 zeros; nothing makes up for that.

    Parameters
    ----------
    relations : Tensor (B, C), r in [0, 1]
    targets : Tensor (B,) integer, y, 0 to C - 1

    Returns
    -------
    Tensor, a scalar; (C - 1) / C^2 where all relations are 1 / C

    Notebook: 08
    """
    relations = full_precision(relations)
    wanted = F.one_hot(targets.long(), relations.shape[1]).to(relations.dtype)  # (B, C)
    return (relations - wanted).square().mean()


class RelationNet(Recogniser):
    r"""Relation network: r(x, s) = sigmoid(FC(ReLU(FC([g(s); x])))), g(s) = ReLU(FC(ReLU(FC s))).

    Loss: :func:`relation_loss` of the pictures of a batch with the classes present in it. Score: r.

    Source: Sung et al. (2018) and their zero-shot code: g is D-1024-2048, the relation 4096-400-1 (CUB: both
    hidden layers 1200), Adam with 1e-5, weight decay 1e-5 on g alone, batch 32, 500 000 steps, the rate
    halved after each 200 000: here after 40 % and 80 % of the run. Its README's numbers need early stopping
    by the test classes; here nothing is stopped early. Weights start as torch starts them. Pictures are
    divided by their root mean square, one number.

    A squared error with one 1 among K - 1 zeros is nearly as small for r = 1 / K everywhere. A start at r =
    1/2 leads there at once, and with a rate for short runs the units are dead on arrival: hence `prior`.

    Parameters
    ----------
    features, semantics : see :class:`llinet_lite.rivals.recogniser.Recogniser`
    hidden : int, of g, default 1024 as published where F is 2048, at most 2 F; 1200 published for CUB
    relation : int, hidden units of the relation, default 400 as published, at most 2 F; 1200 for CUB
    penalty : float, weight decay of g, 1e-5
    standard : bool, subtract from class vectors the mean of the training classes and divide by their root
        mean square, one number: mean sounds of classes have much in common. Ours; False as published. On
        synthetic classes with a linear link (24 seen, 8 unseen, 480 steps, two worlds) it took the accuracy
        on unseen ones from 0.50 to 0.80
    prior : bool, begin with a bias for r = 1 / K, K training classes. Ours; False as published
    rate : float, multiplies the published learning rate, 1e-5, for runs of a thousand steps, not half a
        million. On those synthetic classes 10, 30, 100, 300 gave 0.78, 0.76, 0.80, 0.76: it hardly matters,
        and 100 learns the seen classes fully
    batch : int, 64; 32 published

    Notebook: 08
    """

    title = "RelationNet"
    grid = ({"penalty": 1e-5}, {"penalty": 1e-4}, {"rate": 10.0}, {"rate": 30.0})

    def __init__(
        self,
        *,
        features: int,
        semantics: int,
        hidden: int | None = None,
        relation: int | None = None,
        penalty: float = 1e-5,
        standard: bool = True,
        prior: bool = True,
        rate: float = 100.0,
        batch: int = 64,
    ):
        super().__init__(features=features, semantics=semantics)
        hidden, relation = hidden or width(1024, features), relation or width(400, features)
        positive(rate=rate, batch=batch)
        if not 0 <= penalty < float("inf"):
            raise ValueError(f"penalty is the weight decay of g, 0 or more, not {penalty}.")
        self.penalty, self.rate, self.batch = penalty, rate, batch
        self.standard, self.prior = bool(standard), bool(prior)
        self.register_buffer("middle", torch.zeros(semantics))
        self.register_buffer("scale", torch.ones(()))
        self.g = nn.Sequential(
            nn.Linear(semantics, hidden), nn.ReLU(), nn.Linear(hidden, features), nn.ReLU()
        )
        self.first, self.second = nn.Linear(2 * features, relation), nn.Linear(relation, 1)

    def start(self) -> None:
        """Draw the weights anew."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()

    def measure(self, images: Tensor) -> None:
        """The one scale of the training pictures (N, F)."""
        self.spread[:] = one_scale(images)

    def compare(self, images: Tensor, classes: Tensor) -> Tensor:
        """Relations (B, C) in [0, 1].

        The first layer takes [g; x]: its two halves are applied apart and added, B + C products in place of
        B C.
        """
        of_class, of_image = self.first.weight.split(self.features, dim=1)  # 2 x (R, F)
        g = F.linear(self.g((classes - self.middle) / self.scale), of_class, self.first.bias)  # (C, R)
        both = F.linear(images, of_image)[:, None] + g[None]  # (B, 1, R) + (1, C, R) -> (B, C, R)
        return torch.sigmoid(self.second(torch.relu(both))).squeeze(2)  # (B, C, 1) -> (B, C)

    def fit(self, examples: Examples, *, epochs: int, quiet: bool) -> None:
        """Adam on :func:`relation_loss`."""
        if self.standard:
            self.middle[:] = examples.classes.mean(0)
            self.scale.fill_(one_scale(examples.classes - self.middle))
        if self.prior:
            nn.init.constant_(self.second.bias, -math.log(max(len(examples.classes) - 1, 1)))

        def loss(chosen: Tensor) -> Tensor:
            present, targets = examples.labels[chosen].unique(return_inverse=True)
            return relation_loss(self.compare(examples.images[chosen], examples.classes[present]), targets)

        judge = [*self.first.parameters(), *self.second.parameters()]
        groups = [{"params": self.g.parameters(), "weight_decay": self.penalty}, {"params": judge}]
        adam = torch.optim.Adam(groups, 1e-5 * self.rate, fused=True)
        descend(
            self, adam, loss, len(examples.images), batch=self.batch, epochs=epochs, quiet=quiet,
            decay=lambda step, steps: 0.5 ** int(2.5 * step / steps),
        )  # fmt: skip
