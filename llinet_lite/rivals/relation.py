"""Relation Net: a network that judges whether an image and a class belong together.

Notebook: 08
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from llinet_lite.losses import full_precision
from llinet_lite.rivals.base import Examples, Recognizer, descend, one_scale, positive


def relation_loss(relations: Tensor, targets: Tensor) -> Tensor:
    r"""Squared error of relations (B, C) that should be 1 for the right class and 0 for every other.

    .. math:: L = \frac{1}{BC} \sum_{ic} (r_{ic} - [c = y_i])^2

    Source: Sung et al., *Learning to Compare: Relation Network for Few-Shot Learning* (2018). With C classes
    there is one 1 among C - 1 zeros; nothing makes up for that.
    """
    relations = full_precision(relations)
    wanted = F.one_hot(targets.long(), relations.shape[1]).to(relations.dtype)  # (B, C)
    return (relations - wanted).square().mean()


class RelationNet(Recognizer):
    r"""Relation network: r(x, s) = sigmoid(FC(ReLU(FC([g(s); x])))), g(s) = ReLU(FC(ReLU(FC s))).

    Loss: `relation_loss` of the images of a batch with the classes present in it. Score: r.

    Source: Sung et al. (2018) and their zero-shot code: g is D-1024-2048, the relation 4096-400-1 (CUB: both
    hidden layers 1200), here both at most 2 F; Adam with 1e-5, weight decay 1e-5 on g alone, batch 32 (64
    here), 500 000 steps, the rate halved after each 200 000: here after 40 % and 80 % of the run. Its
    README's numbers need early stopping by the test classes; here nothing is stopped early. Weights start as
    torch starts them. Images are divided by their root mean square, one number.

    A squared error with one 1 among K - 1 zeros is nearly as small for r = 1 / K everywhere. A start at r =
    1/2 leads there at once, and with a rate for short runs the units are dead on arrival: hence `prior`.

    Parameters
    ----------
    penalty : float, weight decay of g, 1e-5
    standard : bool, subtract from class vectors the mean of the training classes and divide by their root
        mean square, one number: mean sounds of classes have much in common. Ours; False as published
    prior : bool, begin with a bias for r = 1 / K, K training classes. Ours; False as published
    rate : float, multiplies the published learning rate, 1e-5, for runs of a thousand steps
    """

    title = "RelationNet"
    grid = ({"penalty": 1e-5}, {"penalty": 1e-4}, {"rate": 10.0}, {"rate": 30.0})

    def __init__(
        self, *, penalty: float = 1e-5, standard: bool = True, prior: bool = True, rate=100.0, **sizes: int
    ):
        super().__init__(**sizes)
        features, semantics = self.features, self.semantics
        positive(rate=rate)
        positive(penalty=penalty, or_zero=True)
        self.penalty, self.standard, self.prior, self.rate = penalty, standard, prior, rate
        hidden, relation = min(1024, 2 * features), min(400, 2 * features)
        self.register_buffer("middle", torch.zeros(semantics))
        self.register_buffer("scale", torch.ones(()))
        self.g = nn.Sequential(
            nn.Linear(semantics, hidden), nn.ReLU(), nn.Linear(hidden, features), nn.ReLU()
        )
        self.first, self.second = nn.Linear(2 * features, relation), nn.Linear(relation, 1)

    def start(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()

    def measure(self, images: Tensor) -> None:
        self.spread[:] = one_scale(images)

    def compare(self, images: Tensor, classes: Tensor) -> Tensor:
        # the first layer takes [g; x]: its halves are applied apart and added, B + C products, not B C
        of_class, of_image = self.first.weight.split(self.features, dim=1)  # 2 x (R, F)
        g = F.linear(self.g((classes - self.middle) / self.scale), of_class, self.first.bias)  # (C, R)
        both = F.linear(images, of_image)[:, None] + g[None]  # (B, 1, R) + (1, C, R) -> (B, C, R)
        return torch.sigmoid(self.second(torch.relu(both))).squeeze(2)  # (B, C, 1) -> (B, C)

    def fit(self, examples: Examples, epochs: int) -> None:
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
        descend(adam, loss, examples, epochs=epochs, decay=lambda step, steps: 0.5 ** int(2.5 * step / steps))
