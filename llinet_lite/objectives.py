"""What the networks are asked to do: the losses of the papers.

Notebook: 01 (audio-visual correspondence).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["all_pairs_avc_loss", "avc_accuracy", "avc_loss"]


def _check(logits: Tensor, labels: Tensor, axes: int, name: str) -> None:
    leading = tuple(logits.shape[:axes])
    if logits.ndim != axes + 1 or logits.shape[-1] != 2 or any(size != len(labels) for size in leading):
        wanted = "(B, 2)" if axes == 1 else "(B, B, 2)"
        raise ValueError(
            f"{name} takes logits {wanted} and labels (B,), got {tuple(logits.shape)}, {tuple(labels.shape)}."
        )


def avc_loss(logits: Tensor, target: Tensor, pairs: str = "sampled") -> Tensor:
    r"""Audio-visual correspondence: two-way cross-entropy, class 1 = corresponds.

    .. math:: L = -\frac1B \sum_i \ln \mathrm{softmax}(z_i)_{y_i}

    with `pairs="sampled"`, as published (*Look, Listen and Learn*, section 2: half of the pairs are drawn
    matched, half mismatched). With `pairs="all"` every picture of the batch is judged with every sound:
    `all_pairs_avc_loss`.

    Parameters
    ----------
    logits : Tensor (B, 2) if sampled, (B, B, 2) if all
    target : Tensor (B,) integer: if sampled 1 = corresponds, 0 = does not; if all, the group of each pair
    pairs : "sampled" or "all"

    Returns
    -------
    Tensor, a scalar in nats; ln 2 = 0.693 for a network that cannot tell

    Notebook: 01
    """
    if pairs == "all":
        return all_pairs_avc_loss(logits, target)
    if pairs != "sampled":
        raise ValueError(f'pairs {pairs!r} is unknown; choose "sampled" or "all".')
    _check(logits, target, 1, "avc_loss")
    return F.cross_entropy(logits.float() if logits.dtype != torch.float64 else logits, target.long())


def all_pairs_avc_loss(logits: Tensor, group: Tensor) -> Tensor:
    r"""Every pair of the batch a decision, matched and mismatched halves weighted equally.

    .. math:: L = \frac12 \frac{1}{|M|} \sum_{(i,j) \in M} -\ln p_{ij1}
              + \frac12 \frac{1}{|U|} \sum_{(i,j) \in U} -\ln p_{ij0}, \qquad M = \{(i, j): g_i = g_j\}

    U holds the other pairs, p is the softmax of the logits. With a group per clip M is the diagonal (plus
    repeats of a clip), with a group per class every picture matches every sound of its class. Its expectation
    is that of the sampled loss on half matched, half mismatched pairs; only B^2 decisions come for the price
    of B pairs. Where a batch has no mismatched pair at all (one group), that half is zero. On several devices
    each judges its own pairs.

    Parameters
    ----------
    logits : Tensor (B, B, 2): [i, j] judges picture i with sound j
    group : Tensor (B,) integer: pairs with the same group match each other

    Returns
    -------
    Tensor, a scalar in nats

    Notebook: 01
    """
    _check(logits, group, 2, "all_pairs_avc_loss")
    logits = logits.float() if logits.dtype != torch.float64 else logits
    match = group[:, None] == group[None, :]  # (B, B)
    # -ln softmax(z)_1 = softplus(z_0 - z_1): one number per pair instead of two
    against = logits[..., 0] - logits[..., 1]  # (B, B)
    cost = F.softplus(torch.where(match, against, -against))
    matched = match.to(cost.dtype)
    halves = [(cost * half).sum() / half.sum().clamp(min=1) for half in (matched, 1 - matched)]
    return 0.5 * (halves[0] + halves[1])


def avc_accuracy(logits: Tensor, target: Tensor, pairs: str = "sampled") -> Tensor:
    """Share of right decisions, as a tensor on the device (no wait for it); arguments as `avc_loss`.

    With `pairs="all"` the mean of the shares among matched and among mismatched pairs: 0.5 is chance in both
    cases.
    """
    said = logits[..., 1] > logits[..., 0]
    if pairs == "sampled":
        return (said == target.bool()).float().mean()
    match = target[:, None] == target[None, :]  # (B, B)
    right = (said == match).float()
    return 0.5 * sum((right * kind).sum() / kind.sum().clamp(min=1) for kind in (match, ~match))
