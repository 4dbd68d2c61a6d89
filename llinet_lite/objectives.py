"""What the networks are asked to do: the losses of the papers.

Notebook: 01 (audio-visual correspondence), 05 (matching and attention).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "all_pairs_avc_loss",
    "attended",
    "attention_loss",
    "attention_map",
    "avc_accuracy",
    "avc_loss",
    "llinet_loss",
    "matching_loss",
    "negatives",
    "similarity_matrix",
]

SAME_CLASS = ("all", "mask", "distinct")
SHORTEST = 1e-6  # a vector shorter than this counts less in the cosine, and its gradient stays finite


def _precise(x: Tensor) -> Tensor:
    """`x` in float32 at least."""
    return x if x.dtype == torch.float64 else x.float()


def _check(logits: Tensor, labels: Tensor, axes: int, name: str) -> None:
    leading = tuple(logits.shape[:axes])
    if logits.ndim != axes + 1 or logits.shape[-1] != 2 or any(size != len(labels) for size in leading):
        wanted = "(B, 2)" if axes == 1 else "(B, B, 2)"
        raise ValueError(
            f"{name} takes logits {wanted} and labels (B,), got {tuple(logits.shape)}, {tuple(labels.shape)}."
        )


def avc_loss(logits: Tensor, target: Tensor, pairs: str = "sampled", softmax: str = "once") -> Tensor:
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
    softmax : "once", or "twice", a known mistake: probabilities are given to a loss that takes logits, so no
        decision can cost less than ln(1 + 1/e) = 0.313 nats

    Returns
    -------
    Tensor, a scalar in nats; ln 2 = 0.693 for a network that cannot tell

    Notebook: 01, 09
    """
    if softmax not in ("once", "twice"):
        raise ValueError(f'softmax must be "once" or "twice", not {softmax!r}.')
    if softmax == "twice":
        logits = _precise(logits).softmax(-1)
    if pairs == "all":
        return all_pairs_avc_loss(logits, target)
    if pairs != "sampled":
        raise ValueError(f'pairs {pairs!r} is unknown; choose "sampled" or "all".')
    _check(logits, target, 1, "avc_loss")
    return F.cross_entropy(_precise(logits), target.long())


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
    logits = _precise(logits)
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


def negatives(labels: Tensor, same_class: str = "mask") -> Tensor:
    """Which item j of a batch is a negative for item i.

    Where a picture is paired with any sound of its class, another pair of the same class is no wrong answer,
    and an objective that only knows pairs is punished for seeing that.

    Parameters
    ----------
    labels : Tensor (B,) integer
    same_class : "all" (every other item, as most papers have it), "mask" (items of other classes only) or
        "distinct" (every other item, and the batch must not have two of a class)

    Returns
    -------
    Tensor (B, B) bool, False on the diagonal

    Raises
    ------
    ValueError
        For another `same_class`, or "distinct" where a class comes twice.

    Notebook: 05
    """
    if same_class not in SAME_CLASS:
        raise ValueError(f"same_class must be one of {', '.join(SAME_CLASS)}, not {same_class!r}.")
    same = labels[:, None] == labels[None, :]  # (B, B)
    if same_class == "mask":
        return ~same
    if same_class == "distinct" and int(same.sum()) > len(labels):
        raise ValueError(
            'same_class="distinct" needs a batch with one item of a class; draw such batches, or mask.'
        )
    return ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)


def similarity_matrix(
    image: Tensor, audio: Tensor, labels: Tensor, *, scale: float = 10.0, same_class: str = "mask"
) -> Tensor:
    r"""How similar every picture of a batch is to every sound of it, as the matching loss reads it.

    .. math:: S_{ij} = t \cos(v_i, a_j), \qquad
        S_{ij} = -\infty \text{ or } 0 \text{ where } y_i = y_j \text{ and } i \ne j

    Source: LLINet (2020). As published, t = 1 and the similarity of another pair of the same class is 0,
    which still counts as exp(0) in a softmax (`scale=1, same_class="zero"`); its released code has t = 10
    and -inf, so that such a pair does not count at all (`scale=10, same_class="mask"`).

    Parameters
    ----------
    image, audio : Tensor (B, D), B at least 1; pair i is row i of both; of any length. The cosine of a
        vector shorter than 1e-6, or zero, is scaled down with its length, so that its gradient is finite
    labels : Tensor (B,) integer, the class of each pair
    scale : float above 0, t: the inverse of the temperature
    same_class : what becomes of other pairs of the same class: "mask" (-inf), "zero" (0), "all" (they stay)
        or "distinct" (a batch that has any is refused); all but "zero" as in `negatives`

    Returns
    -------
    Tensor (B, B), [i, j] picture i and sound j, from -scale to scale; float32, float64 if given, also under
    autocast

    Raises
    ------
    ValueError
        For other shapes, another `same_class` or `scale`, or "distinct" where a class comes twice.

    Examples
    --------
    >>> similarity_matrix(torch.eye(3), torch.eye(3), torch.tensor([0, 0, 1]), scale=2.0)
    tensor([[2., -inf, 0.],
            [-inf, 2., 0.],
            [0., 0., 2.]])

    Notebook: 05
    """
    if image.ndim != 2 or image.shape != audio.shape or labels.shape != image.shape[:1] or not len(labels):
        raise ValueError(
            "Pairs are image (B, D), audio (B, D) and labels (B,) with B at least 1, "
            f"got {tuple(image.shape)}, {tuple(audio.shape)}, {tuple(labels.shape)}."
        )
    if not 0 < scale < float("inf"):
        raise ValueError(f"scale multiplies the cosines: it must be a finite number above 0, not {scale}.")
    if same_class not in (*SAME_CLASS, "zero"):
        raise ValueError(f"same_class must be one of {', '.join(SAME_CLASS)} or zero, not {same_class!r}.")
    with torch.autocast(image.device.type, enabled=False):
        image, audio = (F.normalize(_precise(side), dim=1, eps=SHORTEST) for side in (image, audio))
        similarity = scale * image @ audio.T  # (B, D), (B, D) -> (B, B)
    # "mask" and "zero" agree on who is no negative; they differ in what stands there instead
    apart = negatives(labels, "mask" if same_class == "zero" else same_class)
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return similarity.masked_fill(~(apart | own), 0.0 if same_class == "zero" else float("-inf"))


def matching_loss(
    image: Tensor, audio: Tensor, labels: Tensor, *, scale: float = 10.0, same_class: str = "mask"
) -> Tensor:
    r"""LLINet's matching loss: find the own sound of every picture, and the own picture of every sound.

    .. math:: L_m = -\frac1B \sum_i \ln \frac{e^{S_{ii}}}{\sum_j e^{S_{ij}}}
        - \frac1B \sum_i \ln \frac{e^{S_{ii}}}{\sum_j e^{S_{ji}}}

    with S the `similarity_matrix`. Source: LLINet (2020), L_m = L_IA + L_AI, there with `scale=1,
    same_class="zero"`; its released code: the defaults.

    Parameters
    ----------
    image, audio, labels, scale, same_class
        As `similarity_matrix` takes them.

    Returns
    -------
    Tensor, a scalar in nats: 0 at least, 2 ln B if all embeddings are equal and none is masked

    Notes
    -----
    A cosine is bounded, and so is what a small scale t can reach: among B pairs of which none is masked

    .. math:: L_m \ge 2 \ln\left(1 + (B - 1)\, e^{-t B / (B - 1)}\right)

    which the corners of a regular simplex attain (by Jensen's inequality over rows and columns, as the mean
    cosine of the wrong pairs is below that of the right ones by B / (B - 1) at most). For B = 32 that is
    4.98 of 2 ln 32 = 6.93 at t = 1, and 0.002 at t = 10.

    On several devices each compares its own pairs.

    Notebook: 05
    """
    similarity = similarity_matrix(image, audio, labels, scale=scale, same_class=same_class)
    own = torch.arange(len(similarity), device=similarity.device)
    return F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)


def attention_map(local: Tensor, audio: Tensor) -> Tensor:
    r"""Where in the picture it sounds: the score of every cell.

    .. math:: s_{ik} = \bar v_{ik} \cdot \bar a_i

    for cell k of picture i. Source: LLINet (2020).

    Parameters
    ----------
    local : Tensor (B, C, h, w), the local features; (B, 1024, 16, 16) in the paper
    audio : Tensor (B, C), the transformed embeddings of the sounds, ReLU(W a')

    Returns
    -------
    Tensor (B, h, w) of raw scores, not negative where both inputs are not; float32, float64 if given, also
    under autocast

    Notebook: 05
    """
    if local.ndim != 4 or audio.shape != local.shape[:2] or not local.numel():
        raise ValueError(
            "Attention takes local features (B, C, h, w) of at least one cell and transformed sounds (B, C), "
            f"got {tuple(local.shape)}, {tuple(audio.shape)}."
        )
    # a product and a sum: autocast would turn a matrix product to half precision
    return (_precise(local) * _precise(audio)[:, :, None, None]).sum(1)  # (B, C, h, w) -> (B, h, w)


def attended(local: Tensor, audio: Tensor) -> Tensor:
    r"""Local features of a picture in one vector, those where it sounds weighted up.

    .. math:: \hat v_i = \sum_k \left(\mathrm{softmax}(s_i)_k + 1\right) \bar v_{ik}

    with s the `attention_map` and the softmax over the cells. The sum and the mean over the cells differ by
    a factor, which a cosine does not see. Source: LLINet (2020).

    Parameters
    ----------
    local : Tensor (B, C, h, w)
    audio : Tensor (B, C), transformed

    Returns
    -------
    Tensor (B, C) float32, float64 if given

    Notebook: 05
    """
    score = attention_map(local, audio)
    weight = score.flatten(1).softmax(1).view_as(score) + 1  # (B, h, w) -> (B, h w) -> (B, h, w)
    return (_precise(local) * weight[:, None]).sum((2, 3))  # (B, C, h, w) -> (B, C)


def attention_loss(
    local: Tensor, audio: Tensor, labels: Tensor, *, scale: float = 10.0, same_class: str = "mask"
) -> Tensor:
    r"""LLINet's attention loss: the matching loss between attended pictures and transformed sounds.

    .. math:: L_a = L_m(\hat v, \bar a)

    Every picture is attended to by its own sound, and then compared with all. Source: LLINet (2020).

    Parameters
    ----------
    local : Tensor (B, C, h, w), as `attended` takes it
    audio : Tensor (B, C), transformed
    labels, scale, same_class
        As `similarity_matrix` takes them.

    Returns
    -------
    Tensor, a scalar in nats

    Notebook: 05
    """
    return matching_loss(attended(local, audio), audio, labels, scale=scale, same_class=same_class)


def llinet_loss(
    image: Tensor,
    audio: Tensor,
    local: Tensor | None,
    transformed: Tensor | None,
    labels: Tensor,
    *,
    matching: float = 1.0,
    attention: float = 1.0,
    scale: float = 10.0,
    same_class: str = "mask",
) -> tuple[Tensor, dict[str, Tensor]]:
    r"""What LLINet is trained with.

    .. math:: L = \gamma_m L_m(v', a') + \gamma_a L_a(\bar v, \bar a)

    As published both weights are 1. The released code does so for localization alone (its example has
    `attention=0.8`); for retrieval and zero-shot recognition it trains `attention=0`, with which the
    transformation W learns nothing. A loss of weight 0 is not computed.

    Parameters
    ----------
    image, audio : Tensor (B, D), the embeddings v' and a'
    local : Tensor (B, C, h, w), the local features; None will do if `attention` is 0
    transformed : Tensor (B, C), ReLU(W a'); None will do if `attention` is 0
    labels : Tensor (B,) integer
    matching, attention : float, the weights: 0 or more, and one of them above 0
    scale, same_class
        Of both losses, as `similarity_matrix` takes them.

    Returns
    -------
    loss : Tensor, a scalar in nats
    parts : dict of str to Tensor, detached: "matching" and "attention" before they are weighted, without
        what has weight 0

    Notebook: 05
    """
    weights = {"matching": matching, "attention": attention}
    if not all(0 <= weight < float("inf") for weight in weights.values()) or not any(weights.values()):
        raise ValueError(f"The weights must be finite, 0 or more, and one of them above 0, not {weights}.")
    if attention and (local is None or transformed is None):
        raise ValueError("The attention loss needs local and transformed: give both, or set attention=0.")
    ways = {"scale": scale, "same_class": same_class}
    parts = {}
    if matching:
        parts["matching"] = matching_loss(image, audio, labels, **ways)
    if attention:
        parts["attention"] = attention_loss(local, transformed, labels, **ways)
    loss = sum(weights[name] * part for name, part in parts.items())
    return loss, {name: part.detach() for name, part in parts.items()}
