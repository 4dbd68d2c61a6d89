"""What DAR, ULSLVC, SIR and SCAN share: what a wrong partner costs by a hinge.

Notebook: 06
"""

import torch
from torch import Tensor

from llinet_lite.losses import full_precision

__all__ = ["hinge_costs"]


def hinge_costs(scores: Tensor, allowed: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    r"""What every wrong partner costs, in both directions.

    .. math:: c^{I \to A}_{ij} = [m + S_{ij} - S_{ii}]_+, \qquad c^{A \to I}_{ij} = [m + S_{ij} - S_{jj}]_+

    where (i, j) is allowed, else 0. Each of the four rivals sums or averages these, or picks among them.

    Parameters
    ----------
    scores : Tensor (B, B), [i, j] of picture i and sound j; the diagonal are the pairs
    allowed : Tensor (B, B) bool, symmetric and False on the diagonal: see `losses.negatives`
    margin : float, m

    Returns
    -------
    image_to_audio : Tensor (B, B), [i, j] the cost of sound j to picture i
    audio_to_image : Tensor (B, B), [i, j] the cost of picture i to sound j

    Raises
    ------
    ValueError
        If the scores are no square, or not of the shape of `allowed`.

    Examples
    --------
    >>> scores = torch.tensor([[0.9, 0.8], [0.3, 0.4]])
    >>> hinge_costs(scores, ~torch.eye(2, dtype=torch.bool), 0.2)[0]
    tensor([[0.0000, 0.1000],
            [0.1000, 0.0000]])

    Notebook: 06
    """
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or scores.shape != allowed.shape:
        raise ValueError(
            "A hinge compares pairs with each other: scores and allowed must be (B, B), got "
            f"{tuple(scores.shape)} and {tuple(allowed.shape)}."
        )
    scores = full_precision(scores)
    own = scores.diagonal()
    costs = (torch.relu(margin + scores - own[:, None]), torch.relu(margin + scores - own[None, :]))
    return tuple(cost.masked_fill(~allowed, 0.0) for cost in costs)
