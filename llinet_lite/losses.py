"""What the networks are asked to do: the losses of the papers, and the few helpers they share with models.

Notebook: 01 (audio-visual correspondence), 05 (matching and attention).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.backends import cudnn

SAME_CLASS = ("all", "mask", "distinct")
SHORTEST = 1e-6  # a vector shorter than this counts less in the cosine, and its gradient stays finite


# ---- helpers


def full_precision(x: Tensor) -> Tensor:
    """`x` in float32 at least: lengths, distances and logits lose too much in half precision."""
    return x if x.dtype == torch.float64 else x.float()


@contextmanager
def float32_arithmetic(device: torch.device) -> Iterator[None]:
    """Compute in float32 to the last digit: without autocast, and on a GPU without TF32."""
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        kept = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic")}
        with cudnn.flags(**kept, benchmark_limit=None, allow_tf32=False):
            yield


def unit(x: Tensor) -> Tensor:
    """Vectors (..., D) at length 1, in float32 at least; shorter ones than 1e-6 stay short."""
    return F.normalize(full_precision(x), dim=-1, eps=SHORTEST)


def cosines(image: Tensor, audio: Tensor) -> Tensor:
    """Cosine of every image with every audio, (N, D), (M, D) -> (N, M), in float32 also under autocast."""
    with torch.autocast(image.device.type, enabled=False):
        image, audio = full_precision(image), full_precision(audio)
        return F.normalize(image, dim=-1) @ F.normalize(audio, dim=-1).T


def refuse_unequal(images: Tensor, audios: Tensor) -> None:
    """Raise ValueError unless there are as many images as audios."""
    if len(images) != len(audios):
        raise ValueError(f"{len(images)} images and {len(audios)} audios make no pairs.")


# ---- correspondence


def avc_loss(logits: Tensor, target: Tensor, pairs: str = "sampled", softmax: str = "once") -> Tensor:
    r"""Audio-visual correspondence: two-way cross-entropy in nats, class 1 = corresponds.

    .. math:: L = -\frac1B \sum_i \ln \mathrm{softmax}(z_i)_{y_i}

    Logits (B, 2) and target (B,), 1 = corresponds, with `pairs="sampled"`, as published (*Look, Listen and
    Learn*, section 2: half of the pairs are drawn matched, half mismatched). Logits (B, B, 2) and groups (B,)
    with `pairs="all"`: see `all_pairs_avc_loss`. `softmax="twice"` is a known mistake: the loss is given
    probabilities in place of logits, so that no decision can cost less than ln(1 + 1/e) = 0.313.
    """
    if softmax not in ("once", "twice"):
        raise ValueError(f'softmax must be "once" or "twice", not {softmax!r}.')
    if softmax == "twice":
        logits = full_precision(logits).softmax(-1)
    if pairs == "all":
        return all_pairs_avc_loss(logits, target)
    if pairs != "sampled":
        raise ValueError(f'pairs {pairs!r} is unknown; choose "sampled" or "all".')
    _check(logits, target, "(B, 2)", "avc_loss")
    return F.cross_entropy(full_precision(logits), target.long())


def all_pairs_avc_loss(logits: Tensor, group: Tensor) -> Tensor:
    r"""Every pair of the batch a decision, matched and mismatched halves weighted equally.

    .. math:: L = \frac12 \frac{1}{|M|} \sum_{(i,j) \in M} -\ln p_{ij1}
              + \frac12 \frac{1}{|U|} \sum_{(i,j) \in U} -\ln p_{ij0}, \qquad M = \{(i, j): g_i = g_j\}

    U holds the other pairs, p is the softmax of the logits. Its expectation is that of the sampled loss on
    half matched, half mismatched pairs; only B^2 decisions come for the price of B pairs. Where a batch has
    no mismatched pair, that half is zero. On several devices each judges its own pairs.

    Parameters
    ----------
    logits : Tensor (B, B, 2): [i, j] judges image i with audio j
    group : Tensor (B,) integer, the clip or class of each pair: those with the same match each other
    """
    _check(logits, group, "(B, B, 2)", "all_pairs_avc_loss")
    logits = full_precision(logits)
    match = group[:, None] == group[None, :]  # (B, B)
    # -ln softmax(z)_1 = softplus(z_0 - z_1): one number per pair instead of two
    against = logits[..., 0] - logits[..., 1]  # (B, B)
    cost = F.softplus(torch.where(match, against, -against))
    return _balanced(cost, match)


def _balanced(values: Tensor, match: Tensor) -> Tensor:
    """Mean over matched pairs and mean over mismatched ones, half of each; (B, B), (B, B) bool."""
    return 0.5 * sum((values * kind).sum() / kind.sum().clamp(min=1) for kind in (match, ~match))


def _check(logits: Tensor, labels: Tensor, wanted: str, name: str) -> None:
    if tuple(logits.shape) != (len(labels),) * (wanted.count("B")) + (2,):
        found = f"{tuple(logits.shape)}, {tuple(labels.shape)}"
        raise ValueError(f"{name} takes logits {wanted} and labels (B,), got {found}.")


def avc_accuracy(logits: Tensor, target: Tensor, pairs: str = "sampled") -> Tensor:
    """Share of right decisions, 0.5 by chance; of all pairs the mean over matched and mismatched ones."""
    said = logits[..., 1] > logits[..., 0]
    if pairs == "sampled":
        return (said == target.bool()).float().mean()
    match = target[:, None] == target[None, :]  # (B, B)
    right = (said == match).float()
    shares = [(right * kind).sum() / kind.sum() for kind in (match, ~match)]
    return torch.stack(shares).nanmean()  # a batch of one group has no mismatched pair


# ---- matching


def negatives(labels: Tensor, same_class: str = "mask") -> Tensor:
    """Which item j of a batch is a negative for item i: (B,) integer -> (B, B) bool, False on the diagonal.

    `same_class` is "all" (every other item, as most papers have it), "mask" (items of other classes only:
    another pair of a class is no wrong answer) or "distinct" ("all", and two of a class are refused).
    """
    if same_class not in SAME_CLASS:
        raise ValueError(f"same_class must be one of {', '.join(SAME_CLASS)}, not {same_class!r}.")
    same = labels[:, None] == labels[None, :]  # (B, B)
    if same_class == "mask":
        return ~same
    if same_class == "distinct" and int(same.sum()) > len(labels):
        raise ValueError('same_class="distinct" needs a batch with one item of a class; or mask.')
    return ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)


def similarity_matrix(
    image: Tensor, audio: Tensor, labels: Tensor, *, scale: float | Tensor = 10.0, same_class: str = "mask"
) -> Tensor:
    r"""How similar every image of a batch is to every audio of it, as the matching loss reads it.

    .. math:: S_{ij} = t \cos(v_i, a_j), \qquad
        S_{ij} = -\infty \text{ or } 0 \text{ where } y_i = y_j \text{ and } i \ne j

    Source: LLINet (2020). As published, t = 1 and the similarity of another pair of the same class is 0,
    which still counts as exp(0) in a softmax (`scale=1, same_class="zero"`); its released code has t = 10
    and -inf, so that such a pair does not count at all (`scale=10, same_class="mask"`).

    Parameters
    ----------
    image, audio : Tensor (B, D), B at least 1; pair i is row i of both; of any length, see `unit`
    labels : Tensor (B,) integer, the class of each pair
    scale : float above 0, or a scalar Tensor that is learned; t: the inverse of the temperature
    same_class : what becomes of other pairs of the same class: "mask" (-inf), "zero" (0), "all" (they stay)
        or "distinct" (a batch that has any is refused)

    Returns
    -------
    Tensor (B, B), [i, j] image i and audio j, from -scale to scale; float32, float64 if given

    Examples
    --------
    >>> similarity_matrix(torch.eye(2), torch.eye(2), torch.tensor([0, 0]), scale=2.0)
    tensor([[2., -inf],
            [-inf, 2.]])
    """
    if image.ndim != 2 or image.shape != audio.shape or labels.shape != image.shape[:1] or not len(labels):
        found = f"{tuple(image.shape)}, {tuple(audio.shape)}, {tuple(labels.shape)}"
        raise ValueError(f"Pairs are image (B, D), audio (B, D) and labels (B,), B at least 1, got {found}.")
    if not isinstance(scale, Tensor) and not 0 < scale < float("inf"):
        raise ValueError(f"scale multiplies the cosines: a finite number above 0, not {scale}.")
    with torch.autocast(image.device.type, enabled=False):
        similarity = scale * unit(image) @ unit(audio).T  # (B, D), (B, D) -> (B, B)
    # "mask" and "zero" agree on who is no negative; they differ in what stands there instead
    apart = negatives(labels, "mask" if same_class == "zero" else same_class)
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return similarity.masked_fill(~(apart | own), 0.0 if same_class == "zero" else float("-inf"))


def matching_loss(
    image: Tensor, audio: Tensor, labels: Tensor, *, scale: float | Tensor = 10.0, same_class: str = "mask"
) -> Tensor:
    r"""LLINet's matching loss: find the own audio of every image, and the own image of every audio.

    .. math:: L_m = -\frac1B \sum_i \ln \frac{e^{S_{ii}}}{\sum_j e^{S_{ij}}}
        - \frac1B \sum_i \ln \frac{e^{S_{ii}}}{\sum_j e^{S_{ji}}}

    with S the `similarity_matrix`, which takes the same arguments. Source: LLINet (2020), L_m = L_IA + L_AI,
    there with `scale=1, same_class="zero"`; its released code: the defaults.

    Returns
    -------
    Tensor, a scalar in nats: 0 at least, 2 ln B if all embeddings are equal and none is masked

    Notes
    -----
    A cosine is bounded, and so is what a small scale t can reach: among B pairs of which none is masked

    .. math:: L_m \ge 2 \ln\left(1 + (B - 1)\, e^{-t B / (B - 1)}\right)

    which the corners of a regular simplex attain (by Jensen's inequality over rows and columns). For B = 32
    that is 4.98 of 2 ln 32 = 6.93 at t = 1, and 0.002 at t = 10.
    """
    similarity = similarity_matrix(image, audio, labels, scale=scale, same_class=same_class)
    own = torch.arange(len(similarity), device=similarity.device)
    return F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)


# ---- matching, as it is done since


def clip_loss(
    image: Tensor, audio: Tensor, labels: Tensor, log_scale: Tensor, same_class: str = "mask"
) -> Tensor:
    r"""CLIP's InfoNCE: half of `matching_loss`, with a scale that is learned.

    .. math:: L = \tfrac12 L_m \quad\text{with}\quad t = e^\tau, \; 1 \le t \le 100

    `log_scale` is tau, a scalar that starts at ln(1 / 0.07). Source: Radford et al., *Learning Transferable
    Visual Models From Natural Language Supervision* (2021), there with `same_class="all"`.
    """
    scale = log_scale.clamp(0.0, math.log(100)).exp()
    return matching_loss(image, audio, labels, scale=scale, same_class=same_class) / 2


def sigmoid_loss(image: Tensor, audio: Tensor, labels: Tensor, log_scale: Tensor, bias: Tensor) -> Tensor:
    r"""SigLIP's loss: every pair of the batch a decision of its own, right where the classes agree.

    .. math:: L = \frac1B \sum_{ij} \ln\left(1 + e^{-z_{ij} (t \cos(v_i, a_j) + b)}\right), \qquad
        z_{ij} = 1 \text{ if } y_i = y_j \text{ else } -1

    t = exp of `log_scale`, from 10; b = `bias`, from -10, as most pairs do not match. Source: Zhai et al.,
    *Sigmoid Loss for Language Image Pre-Training* (2023), there without classes: z = 1 for own pairs alone.
    """
    match = labels[:, None] == labels[None, :]  # (B, B)
    logits = similarity_matrix(image, audio, labels, scale=log_scale.exp(), same_class="all") + bias
    return F.softplus(torch.where(match, -logits, logits)).sum() / len(labels)


def supervised_contrastive_loss(
    image: Tensor, audio: Tensor, labels: Tensor, scale: float | Tensor = 10.0
) -> Tensor:
    r"""Supervised contrast across modalities: every item of the class is a right answer.

    .. math:: L = -\frac{1}{2B} \sum_i \frac{1}{|P_i|} \sum_{j \in P_i} \left(
        \ln \frac{e^{S_{ij}}}{\sum_k e^{S_{ik}}} + \ln \frac{e^{S_{ji}}}{\sum_k e^{S_{ki}}} \right), \qquad
        P_i = \{j: y_j = y_i\}

    with S the `similarity_matrix` of which nothing is masked. Source: Khosla et al., *Supervised Contrastive
    Learning* (2020), in the form for two modalities of Yang et al., UniCL (2022).
    """
    similarity = similarity_matrix(image, audio, labels, scale=scale, same_class="all")
    match = (labels[:, None] == labels[None, :]).to(similarity.dtype)
    right = match / match.sum(1, keepdim=True)  # (B, B), rows sum to 1
    both = similarity.log_softmax(1) + similarity.T.log_softmax(1)
    return -(right * both).sum(1).mean() / 2


# ---- attention


def attention_map(local: Tensor, audio: Tensor) -> Tensor:
    r"""Where in the image it sounds: the score of every cell.

    .. math:: s_{ik} = \bar v_{ik} \cdot \bar a_i

    for cell k of image i, (B, h, w), not negative where both inputs are not. Source: LLINet (2020).

    Parameters
    ----------
    local : Tensor (B, C, h, w), the local features; (B, 1024, 16, 16) in the paper
    audio : Tensor (B, C), the transformed embeddings of the audio, ReLU(W a')
    """
    if local.ndim != 4 or audio.shape != local.shape[:2] or not local.numel():
        found = f"{tuple(local.shape)}, {tuple(audio.shape)}"
        raise ValueError(f"Attention takes local features (B, C, h, w) and audio (B, C), got {found}.")
    # a product and a sum: autocast would turn a matrix product to half precision
    return (full_precision(local) * full_precision(audio)[:, :, None, None]).sum(1)  # -> (B, h, w)


def attended(local: Tensor, audio: Tensor) -> Tensor:
    r"""Local features of an image in one vector (B, C), those where it sounds weighted up.

    .. math:: \hat v_i = \sum_k \left(\mathrm{softmax}(s_i)_k + 1\right) \bar v_{ik}

    with s the `attention_map` and the softmax over the cells. The sum and the mean over the cells differ by
    a factor, which a cosine does not see. Source: LLINet (2020).
    """
    score = attention_map(local, audio)
    weight = score.flatten(1).softmax(1).view_as(score) + 1  # (B, h, w) -> (B, h w) -> (B, h, w)
    return (full_precision(local) * weight[:, None]).sum((2, 3))  # (B, C, h, w) -> (B, C)


def attention_loss(
    local: Tensor, audio: Tensor, labels: Tensor, *, scale: float = 10.0, same_class: str = "mask"
) -> Tensor:
    r"""LLINet's attention loss: the matching loss between attended images and transformed audio.

    .. math:: L_a = L_m(\hat v, \bar a)

    Every image is attended to by its own audio, and then compared with all. Source: LLINet (2020).
    """
    return matching_loss(attended(local, audio), audio, labels, scale=scale, same_class=same_class)


def llinet_loss(
    image: Tensor, audio: Tensor, local: Tensor | None, transformed: Tensor | None, labels: Tensor, *,
    matching: float = 1.0, attention: float = 1.0, scale: float = 10.0, same_class: str = "mask",
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    r"""What LLINet is trained with.

    .. math:: L = \gamma_m L_m(v', a') + \gamma_a L_a(\bar v, \bar a)

    As published both weights are 1. The released code does so for localization alone (its example has
    `attention=0.8`); for retrieval and recognition it trains `attention=0`, with which the transformation W
    learns nothing. A loss of weight 0 is not computed, and its inputs may be None.

    Parameters
    ----------
    image, audio : Tensor (B, D), the embeddings v' and a'
    local : Tensor (B, C, h, w), the local features
    transformed : Tensor (B, C), ReLU(W a')
    labels, scale, same_class : of both losses, see `similarity_matrix`
    matching, attention : float, the weights

    Returns
    -------
    loss : Tensor, a scalar in nats
    parts : dict, detached: "matching" and "attention" before they are weighted, without what has weight 0
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
