"""AVE-Net and its kin: what papers, public code and good practice do otherwise than we, and what it is worth.

Notebook: 09
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from llinet_lite import avc
from llinet_lite.audit.effects import Effect, mean_interval
from llinet_lite.avc.plans import IMPRINT
from llinet_lite.metrics.intervals import Interval

TRAINING, EVALUATION = "AVE-Net: training", "AVE-Net, AVOL-Net, L3-Net: evaluation"
ACCURACY, NDCG = "AVC accuracy", "nDCG@30, im-aud"
DIRECTION = "im-aud"
ROUNDING = 1e-12  # two ways to the same probability in float64 may differ by less

UNSIGNED = Effect(
    "unsigned", TRAINING, "start of the calibration layer",
    paper="near = match", code="slope near 0: PyTorch's default", ours="near = match, slope -6",
    argument="AVENet(sign_init=False)",
    sentence="By default the calibration layer starts with a slope near zero, of either sign, and in a short "
    "run the network does not get going: start it steep and negative, and log it.",
)  # fmt: skip
SOFTMAX_TWICE = Effect(
    "softmax-twice", TRAINING, "what the cross-entropy is given",
    paper="logits", code="probabilities: a softmax too many", ours="logits",
    argument='avc_loss(softmax="twice")', metric=ACCURACY,
    sentence="A cross-entropy that is given probabilities stops at ln(1 + 1/e) = 0.313 nats and says "
    "nothing: know the least value of your loss.",
)  # fmt: skip
STRIDE_1 = Effect(
    "stride-1", TRAINING, "stride of the first convolution",
    paper="2 (Objects that Sound), 1 (Look, Listen and Learn)", code="1 or 2", ours="2",
    argument='AVENet(variant="2017")', compared="paper", metric=ACCURACY,
    sentence="One name, two networks: stride 1 costs four times the arithmetic of stride 2, so say which "
    "was built.",
)  # fmt: skip
# By the name of their plan.
DIFFERENCES = {e.key: e for e in (UNSIGNED, SOFTMAX_TWICE, STRIDE_1)}
TRAINED = (UNSIGNED.in_metric(ACCURACY), UNSIGNED.in_metric(NDCG), SOFTMAX_TWICE, STRIDE_1)

GAIN = Effect(
    "gain-linear", EVALUATION, "gain of nDCG",
    paper="not stated", code="linear: r", ours="exponential: 2^r - 1",
    argument='ndcg(gain="linear")',
    sentence="A gain that is not stated moves a random ranking as well as a network: print gain and random "
    "value beside every nDCG.",
)  # fmt: skip
SIGMOID = Effect(
    "softmax-sigmoid", EVALUATION, "softmax or sigmoid over AVOL-Net's cells",
    paper="softmax in the text, sigmoid in the figure", code="sigmoid", ours="sigmoid",
    argument="softmax of (0, s)", compared="paper", metric="probability of a cell",
    sentence="A softmax over the two logits 0 and s is the sigmoid of s: before you run two versions, see "
    "whether they differ.",
)  # fmt: skip
SHORTCUT = Effect(
    "naive-pairs", EVALUATION, "where mismatched sounds start",
    paper="on the frames' 0.04 s grid", code="on a grid", ours="on the grid",
    argument="evaluate(grid=None, imprint=2.0)", compared="practice", metric="AVC accuracy, blind",
    sentence="Blind the network: what it still gets right tells how the pairs were made, not what it sees.",
)  # fmt: skip


def _plans(lesson, family: str) -> dict[str, avc.Plan]:
    return avc.plans(lesson.settings, None if lesson.is_world else lesson.store(), family)


# ---------------------------------------------------------------------------------------------- training


def trained(lesson, *, seeds: Sequence[int]) -> list[Effect]:
    """Train or load an AVE-Net for every one of DIFFERENCES, and compare it with "brief" of the same seeds.

    "stride-1" costs four times as much as the others, so it is trained with the first seed only.

    Parameters
    ----------
    lesson : Lesson
    seeds : sequence of int

    Returns
    -------
    list of Effect
        Accuracy on the test pairs, paired over pairs and seeds; of "unsigned" also retrieval, and in its
        note the slope of the calibration layer after training (below zero: near = match).

    Notebook: 09
    """
    known, seeds = _plans(lesson, "avenet"), list(seeds)
    brief = [avc.train_or_load(lesson, known["brief"], seed=seed) for seed in seeds]
    scores, effects = _scores(lesson, brief), []
    for name, difference in DIFFERENCES.items():
        own = seeds[:1] if difference is STRIDE_1 else seeds
        runs = [avc.train_or_load(lesson, known[name], seed=seed) for seed in own]
        about = {"seeds": own, "minutes": sum(run.minutes for run in runs)}
        gap = avc.difference(_scores(lesson, runs), scores[: len(own)])
        note = _slopes(runs) if difference is UNSIGNED else ""
        effects.append(difference.in_metric(ACCURACY).measured(gap, **about, note=note))
        if difference is UNSIGNED:
            values = [_ndcg(lesson, of)[0] for of in (runs, brief)]
            effects.append(difference.in_metric(NDCG).measured(_over_queries(*values), **about, note=note))
    return effects


def _scores(lesson, runs: Sequence[avc.Run]) -> list[avc.Score]:
    store = lesson.store(splits=("test",))
    return [avc.evaluate(run, store, lesson.settings) for run in runs]


def _slopes(runs: Sequence[avc.Run]) -> str:
    """Sign of the calibration layer of every seed in words."""
    return "slope " + ", ".join(f"{run.calibration[0][0]:+.1f} to {run.model.slope:+.1f}" for run in runs)


# -------------------------------------------------------------------------------------------- evaluation


def evaluated(lesson) -> list[Effect]:
    """Measure what needs no training of its own, with the networks of seed 0 of lessons 01 to 03.

    Notebook: 09
    """
    return [*gain(lesson), softmax_or_sigmoid(lesson), shortcut(lesson)]


def gain(lesson) -> list[Effect]:
    """Rank with the AVE-Net of lesson 02, and at random, and count with either gain; queries are drawn.

    Notebook: 09
    """
    run = avc.train_or_load(lesson, _plans(lesson, "avenet")["all"])
    linear, exponential = (_ndcg(lesson, [run], gain=name) for name in ("linear", "exponential"))
    effects = []
    for metric, *values in zip((NDCG, f"{NDCG}, random"), linear, exponential, strict=True):
        both = " and ".join(f"{value.mean():.3f}" for value in values)
        effects.append(
            GAIN.in_metric(metric).measured(_over_queries(*values), [0], note=f"{both} (linear, exponential)")
        )
    return effects


def _ndcg(lesson, runs: Sequence[avc.Run], *, gain: str = "exponential") -> tuple[np.ndarray, np.ndarray]:
    """nDCG@30 of every picture that looks for sounds: of the networks (S, Q), and of a random ranking."""
    store = lesson.store(splits=("test",))
    vectors = [avc.embed(run, store, "test", lesson.settings) for run in runs]
    methods = {"AVE-Net": avc.Method(vectors, "", [run.seed for run in runs])}
    rows = avc.search(methods, avc.relevance(store), gain=gain).rows
    return rows["AVE-Net"][DIRECTION], rows["random"][DIRECTION]


def _over_queries(first: np.ndarray, second: np.ndarray) -> Interval:
    """First minus second of values (S, Q), each query a clip of its own."""
    return mean_interval((first - second)[:, None], np.arange(first.shape[1]))  # (S, Q) -> (S, 1, Q)


def softmax_or_sigmoid(lesson) -> Effect:
    """Compute the map of the AVOL-Net of lesson 03 both ways, for a batch of test pairs.

    Raises
    ------
    ArithmeticError
        If they differ by more than rounding, which they cannot.

    Notebook: 09
    """
    run, store = avc.train_or_load(lesson, _plans(lesson, "avolnet")["all"]), lesson.store(splits=("test",))
    settings = lesson.settings
    device = next(run.model.parameters()).device
    batch = avc.pair_list(store, "test", settings, match=avc.matching(store, "test"))[0]
    with torch.inference_mode():
        image, sound = run.senses(settings).to(device)({key: x.to(device) for key, x in batch.items()})
        logits = run.model.logit_map(run.model.embed_image(image), run.model.embed_audio(sound))
    return SIGMOID.measured(same_probability(logits), [0], note=f"{logits.numel()} cells")


def same_probability(logits: Tensor) -> Interval:
    r"""Show that the softmax over two logits, one of which is 0, is a sigmoid.

    .. math:: \frac{e^s}{e^0 + e^s} = \sigma(s)

    Parameters
    ----------
    logits : Tensor (...)

    Returns
    -------
    Interval
        0, exactly, over so many numbers.

    Raises
    ------
    ArithmeticError
        If the two differ by more than rounding in float64.
    """
    s = logits.detach().cpu().double()  # not every device has float64
    softmax = torch.stack([torch.zeros_like(s), s], dim=-1).softmax(-1)[..., 1]
    apart = float((softmax - s.sigmoid()).abs().max())
    if not apart < ROUNDING:
        raise ArithmeticError(f"softmax of (0, s) and sigmoid of s differ by {apart:g}: look for NaN in s")
    return Interval(0.0, 0.0, 0.0, s.numel())


def shortcut(lesson) -> Effect:
    """Ask the network of lesson 01 that sees black pictures: naive pairs with an imprint minus clean ones.

    Notebook: 09
    """
    run, store = avc.train_or_load(lesson, _plans(lesson, "l3net")["ears"]), lesson.store(splits=("test",))
    naive = avc.evaluate(run, store, lesson.settings, grid=None, imprint=IMPRINT)
    clean = avc.evaluate(run, store, lesson.settings)
    note = f"{naive.interval.value:.1%} and {clean.interval.value:.1%}"
    return SHORTCUT.measured(other_pairs(naive, clean), [0], note=note)


def other_pairs(first: avc.Score, second: avc.Score) -> Interval:
    """Accuracy on one list of pairs minus that on another of the same clips; clips are drawn."""
    right = [(s.probability > 0.5) == s.match.astype(bool) for s in (first, second)]
    values = np.full((1, 2, sum(map(len, right))), np.nan)
    values[0, 0, : len(right[0])], values[0, 1, len(right[0]) :] = right
    return mean_interval(values, np.concatenate([first.items, second.items]), (1.0, -1.0))
