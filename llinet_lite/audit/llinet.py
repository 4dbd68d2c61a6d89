"""LLINet: what the paper, its released code and good practice do otherwise than we, and what that is worth.

What changes the training is trained, beside a LLINet of as few epochs; the rest is asked of trained networks.

Notebook: 09
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from llinet_lite.audit.effects import Effect, mean_interval, over_seeds
from llinet_lite.classifier import seen_labels
from llinet_lite.data.store import Store
from llinet_lite.metrics.intervals import Interval
from llinet_lite.metrics.localization import evaluate
from llinet_lite.models.trunks import Trunk
from llinet_lite.sounding import Located
from llinet_lite.sounding.protocols import shown_in_all
from llinet_lite.zeroshot.evaluation import Embedded, Items, items_of
from llinet_lite.zeroshot.localization import PROTOCOL, LocalizationTable
from llinet_lite.zeroshot.plans import plans
from llinet_lite.zeroshot.recognition_pages import CHOICES
from llinet_lite.zeroshot.runs import Run, held_out, train_or_load

NETWORK, LOSS, TRAINING, EVALUATION = (f"LLINet: {x}" for x in ("network", "loss", "training", "evaluation"))
METRICS = {"unseen": "mAP, unseen", "test": "mAP, seen"}  # by split
LAST = 32  # the released loader's batch
CHOSEN = 2000  # random choices of one query per class

# By the name of their plan.
DIFFERENCES = (
    Effect(
        "gate-batch", NETWORK, "softmax axis of the gate",
        paper="positions of the picture", ours="cells of each channel", argument='LLINet(gate="batch")',
        code="none is named, so the pictures of the batch; here 64 at a time, in the order of the split",
        sentence="Name the axis of every softmax: over the batch, embeddings depend on their neighbours.",
    ),
    Effect(
        "gate-none", NETWORK, "the gate itself",
        paper="with it", code="with it", ours="with it", argument='LLINet(gate="none")', compared="practice",
        sentence="What a module is worth is what is lost without it: train that network, too.",
    ),
    Effect(
        "bn-train", NETWORK, "batch normalization of the frozen trunk",
        paper="not stated", code="train mode: weights are frozen, statistics drift", ours="eval mode",
        argument='LLINet(frozen_bn="train")',
        sentence="A trunk without gradients is not frozen: in train mode its batch statistics go on moving.",
    ),
    Effect(
        "scale-1", LOSS, "scale of the cosines",
        paper="none: 1", code="10", ours="10", argument="matching_loss(scale=1.0)", compared="paper",
        sentence="A cosine ends at 1: among 32 unmasked pairs the matching loss without a scale cannot fall "
        "below 4.98 of its 6.93 nats, so the scale belongs to the method.",
    ),
    Effect(
        "zero", LOSS, "other pairs of the same class: 0",
        paper="similarity 0, which counts as exp(0)", code="minus infinity: left out", ours="left out",
        argument='matching_loss(same_class="zero")', compared="paper",
        sentence="To leave something out of a softmax set it to minus infinity: 0 still counts as 1.",
    ),
    Effect(
        "all", LOSS, "other pairs of the same class: wrong answers",
        paper="mask", code="mask", ours="mask", compared="practice",
        argument='matching_loss(same_class="all")',
        sentence="Where pairs are made by class, another pair of the class is no wrong answer.",
    ),
    Effect(
        "distinct", LOSS, "other pairs of the same class: none in a batch",
        paper="mask", code="mask", ours="mask", compared="practice", argument="ClassPairs(distinct=True)",
        sentence="A sampler can do the work of a mask, but of batches no larger than the number of classes.",
    ),
    Effect(
        "decay-image", TRAINING, "whose learning rate falls",
        paper="not stated", code="the picture's path's", ours="all parts'", argument='Ours(decayed="image")',
        sentence="Three optimizers need three schedules: a rate that no schedule holds never falls.",
    ),
    Effect(
        "decay-tenth", TRAINING, "how far the learning rate falls",
        paper="not stated; the code's documentation: to a tenth", code="to a half", ours="to a half",
        argument="Ours(decay=0.1)", compared="documentation",
        sentence="Documentation and code can differ by a factor of five: read the line that runs.",
    ),
)  # fmt: skip
ATTENTION = Effect(
    "attention", LOSS, "attention loss where retrieval is trained",
    paper="matching and attention", code="matching", ours="both", argument="llinet_loss(attention=0.0)",
    sentence="A method is what its command runs: the released one for retrieval has no attention loss.",
)  # fmt: skip
TRAINED = tuple(e.in_metric(metric) for e in DIFFERENCES for metric in METRICS.values())

ONE_QUERY = Effect(
    "one-query", EVALUATION, "queries of the mAP",
    paper="not stated", code="one per class, its first item", ours="every item",
    argument="released_map(drop_last=None)", metric=METRICS["unseen"],
    sentence="One query per class is one number per class, of the item that comes first: ask with all items.",
)  # fmt: skip
SWAPPED = Effect(
    "swapped-names", EVALUATION, "what the column I2A holds",
    paper="not stated", code="images ranked for sounds", ours="sounds ranked for images",
    argument="ReleasedMap.mAPi2a", metric="mAP I2A, unseen",
    sentence="Wrong names of two directions never look wrong: test a metric where the answer is known.",
)  # fmt: skip
DROP_LAST = Effect(
    "drop-last", EVALUATION, "last batch of the test set",
    paper="747 test pairs", code="dropped: 736 of 747 items are left", ours="all items",
    argument="released_map(drop_last=32)", metric=METRICS["unseen"],
    sentence="drop_last is for training: a test loses items by it, of the last class if they come sorted.",
)  # fmt: skip
EPOCH = Effect(
    "epoch-on-test", EVALUATION, "what chooses the epoch",
    paper="not stated", code="the test set", ours="held-out seen classes",
    argument='fit(select="unseen")', metric=METRICS["unseen"],
    sentence="An epoch chosen on the test set can only raise its number: choose on what is not reported.",
)  # fmt: skip
TEST_K = Effect(
    "k-on-test", EVALUATION, "what chooses the maps' threshold",
    paper="not stated", code="the test masks: k/10 of the maximum, k = 2 to 6", ours="validation masks",
    argument='evaluate(k="test")', metric="mIoU, unseen",
    sentence="A threshold is a parameter: one that was chosen on the test masks has seen the answers.",
)  # fmt: skip
MASK_RESIZE = Effect(
    "mask-resize", EVALUATION, "how masks become 16 x 16 cells",
    paper="not stated", code="Pillow's default; from version 7 every touched cell", ours="nearest pixel",
    argument='evaluate(mask_resize="bicubic")', metric="mIoU, unseen",
    sentence="A library's default can change the truth itself: name the filter, and pin the version.",
)  # fmt: skip
LOCALIZED = Effect(
    "localization-released", EVALUATION, "threshold and masks together",
    paper="not stated", code="both", ours="neither",
    argument='evaluate(k="test", mask_resize="bicubic")', metric="mIoU, unseen",
    sentence="Numbers of two protocols cannot be compared, however alike the protocols look.",
)  # fmt: skip
PROTOTYPES = Effect(
    "prototypes-test", EVALUATION, "whose sounds make a prototype",
    paper="sounds of the class", code="those of the test clips themselves",
    ours="those of the other half of the clips", argument='ask(prototypes="test")', metric="acc, unseen",
    sentence="A prototype of the test clips has heard the own sound of every picture that it judges.",
)  # fmt: skip
EUCLIDEAN = Effect(
    "euclidean", EVALUATION, "distance to a prototype",
    paper="not stated", code="Euclidean, of vectors of any length", ours="cosine",
    argument='nearest("euclidean", unit=False)', metric="acc, unseen",
    sentence="Ask with the distance that was trained: in a Euclidean one a prototype's length has a say.",
)  # fmt: skip
RECOGNISED = Effect(
    "recognition-released", EVALUATION, "prototypes and distance together",
    paper="not stated", code="both", ours="neither",
    argument='nearest("euclidean", unit=False), prototypes="test"', metric="acc, unseen",
    sentence="What two changes do together need not be the sum of what each does: run the pair, too.",
)  # fmt: skip


# ---------------------------------------------------------------------------------------------- training


def trained(lesson, trunk: Trunk, *, seeds: Sequence[int]) -> list[Effect]:
    """Train or load a LLINet for every one of DIFFERENCES, and compare it with "brief" of the same seeds.

    Parameters
    ----------
    lesson : Lesson
    trunk : Trunk
        Of :func:`llinet_lite.zeroshot.trunks.chosen_trunk`.
    seeds : sequence of int

    Returns
    -------
    list of Effect
        For every difference one effect per split of METRICS that the store has: mean of the mAP of both
        directions, paired over queries and seeds. On `test` every seed searches the classes it trained on.

    Notebook: 09
    """
    store, settings = lesson.store(splits=("train", "val", "unseen")), lesson.settings
    known = plans(settings)

    def searched(name: str) -> tuple[dict[str, np.ndarray], float]:
        runs = (train_or_load(lesson, known[name], trunk, seed=seed) for seed in seeds)
        return _search(runs, store, settings)

    brief, _ = searched("brief")
    return [
        e
        for difference in DIFFERENCES
        for e in _compared(difference, *searched(difference.key), brief, store, seeds)
    ]


def attention(matching: Sequence[Run], ours: Sequence[Run], store: Store, settings) -> list[Effect]:
    """Compare LLINets without the attention loss ("matching") with ours ("llinet") of the same seeds.

    Returns
    -------
    list of Effect
        As :func:`trained` returns them: matching alone minus both.

    Raises
    ------
    ValueError
        If their seeds differ.

    Notebook: 09
    """
    seeds = [run.seed for run in ours]
    if seeds != [run.seed for run in matching]:
        raise ValueError(f"give runs of the same seeds: {[run.seed for run in matching]} and {seeds}")
    first, second = (_search(runs, store, settings) for runs in (matching, ours))
    return _compared(ATTENTION, *first, second[0], store, seeds)


def _search(runs: Iterable[Run], store: Store, settings) -> tuple[dict[str, np.ndarray], float]:
    """Average precisions (S, 2, Q) of all runs by split, and the minutes of their training."""
    values = {split: [] for split in METRICS if split in store.splits}
    minutes = 0.0
    for run in runs:  # one at a time: networks need not be kept
        minutes += run.minutes
        own = np.setdiff1d(seen_labels(store), held_out(store, run.seed))
        for split, of in values.items():
            items = items_of(store, split, own if split == "test" else None)
            of.append(_precisions(run.embed(store, split, settings, items), items_of(store, split)))
    return {split: np.stack(of) for split, of in values.items()}, minutes


def _compared(difference: Effect, first, minutes: float, second, store: Store, seeds) -> list[Effect]:
    return [
        difference.in_metric(METRICS[split]).measured(
            mean_interval(first[split] - second[split], _clips(store, split)), seeds, minutes
        )
        for split in first
    ]


def _precisions(found: Embedded, among: Items) -> np.ndarray:
    """Average precision of every picture and every sound `among` all, (2, N + M).

    Row 0 is picture to sound, in the first N columns; row 1 is sound to picture, in the others; NaN where
    nothing was asked.
    """
    pictures = np.isin(among.image_row, found.items.image_row)
    sounds = np.isin(among.sound_row, found.items.sound_row)
    values, both = np.full((2, len(pictures) + len(sounds)), np.nan), found.retrieval()
    values[0, np.flatnonzero(pictures)] = both["I2A"].precisions
    values[1, len(pictures) + np.flatnonzero(sounds)] = both["A2I"].precisions
    return values


def _clips(store: Store, split: str) -> np.ndarray:
    """Clip of every picture and every sound of a split, (N + M,); those that have none stand alone."""
    items = items_of(store, split)
    alone = (np.asarray(store.images(split).clip) < 0).any()
    return np.concatenate([items.image_clip, items.sound_clip + alone * len(items.image_clip)])


# -------------------------------------------------------------------------------------------- evaluation


def retrieval(runs: Sequence[Run], store: Store, settings) -> list[Effect]:
    """Ask trained LLINets, one per seed, for the mAP of unseen classes as the released code has it.

    Returns
    -------
    list of Effect
        One query per class: the interval covers 95 % of random choices of the queries. Names of the columns
        exchanged, and the last batch dropped: clips and seeds are drawn. Epoch chosen on the test set:
        Student's interval over seeds, on the pictures and sounds that were watched in training.

    Notebook: 09
    """
    seeds, clips = [run.seed for run in runs], _clips(store, "unseen")
    found = [run.embed(store, "unseen", settings) for run in runs]
    whole = np.stack([_precisions(one, one.items) for one in found])  # (S, 2, N + M)
    less = np.stack([_precisions(_without_last(one), one.items) for one in found])
    left = np.isfinite(less[0, 0]).sum()
    dropped = mean_interval(np.concatenate([less, whole], axis=1), clips, (0.5, 0.5, -0.5, -0.5))
    gains = [max(e["unseen"] for e in run.curve) - run.curve[run.chosen]["unseen"] for run in runs]
    note = f"{left} of {len(found[0].items.image_row)} pictures are left"
    return [
        ONE_QUERY.measured(_one_query(whole, found[0].items), seeds),
        SWAPPED.measured(mean_interval(whole, clips, (-1.0, 1.0)), seeds),
        DROP_LAST.measured(dropped, seeds, note=note),
        EPOCH.measured(over_seeds(gains, lowest=0.0), seeds),
    ]


def _one_query(values: np.ndarray, items: Items) -> Interval:
    """Mean of one query per class minus that of all, of values (S, 2, N + M) of both directions."""
    mean = values[:, 0, : len(items.image_label)].mean(0), values[:, 1, len(items.image_label) :].mean(0)
    classes = np.unique(items.image_label)
    rank = np.random.default_rng(0).random((len(classes), CHOSEN))
    rank[:, 0] = 0  # the first item, as released
    picked = np.zeros(CHOSEN)
    for precision, label in zip(mean, (items.image_label, items.sound_label), strict=True):
        for k, ranks in zip(classes, rank, strict=True):
            own = precision[label == k]
            picked += own[(ranks * len(own)).astype(int)] / (2 * len(classes))
    picked -= np.mean([precision.mean() for precision in mean])
    return Interval(picked[0], *np.quantile(picked[1:], [0.025, 0.975]), len(classes)).rounded()


def _without_last(found: Embedded) -> Embedded:
    """Keep full batches of pictures and of sounds only; of fewer than a batch, all."""
    items = found.items
    image, sound = (
        np.arange(len(label)) < len(label) // min(LAST, len(label)) * min(LAST, len(label))
        for label in (items.image_label, items.sound_label)
    )
    both = np.intersect1d(items.image_label[image], items.sound_label[sound])  # else there is no answer
    image &= np.isin(items.image_label, both)
    sound &= np.isin(items.sound_label, both)
    parts = {"image": image, "sound": sound}
    kept = {
        f"{side}_{what}": getattr(items, f"{side}_{what}")[keep]
        for side, keep in parts.items()
        for what in ("row", "label", "clip")
    }
    scores = found.scores[image][:, sound]
    return Embedded(Items(**kept), found.image[image], found.audio[sound], scores)


def localization(
    table: LocalizationTable,
    located: Mapping[str, Sequence[Located]],
    *,
    name: str = "LLINet",
    seeds: Sequence[int] = (),
) -> list[Effect]:
    """Judge one method's maps with the released threshold, with the released masks, and with both.

    Parameters
    ----------
    table : LocalizationTable
        Of :func:`llinet_lite.zeroshot.localization.localize`; its honest column is ours.
    located : mapping of method to sequence of Located
        What the table was made from.
    name : str
        The method.
    seeds : sequence of int
        Of its networks.

    Raises
    ------
    ValueError
        If the table is of other pictures or seeds.

    Notebook: 09
    """
    shown, row = shown_in_all(located), table.row(name)
    parts, honest = [one.pick(shown) for one in located[name]], row.ious["honest"]
    if len(parts) != len(honest) or not all(np.array_equal(one.clip, table.clip) for one in parts):
        raise ValueError(f"the table is of other pictures or seeds of {name} than those given: localize both")
    judged = [(one.maps("own"), one.masks) for one in parts]
    tests = [evaluate(*of, PROTOCOL, k="test") for of in judged]
    masks = [
        evaluate(*of, PROTOCOL, k=k, mask_resize="bicubic")
        for of, k in zip(judged, row.k["honest"], strict=True)
    ]
    on_test = ", ".join(str(one.settings["k"]).split()[0] for one in tests)
    note = f"k = {on_test} instead of {', '.join(map(str, row.k['honest']))}"

    def worth(ious, **limit) -> Interval:  # (S, N) -> (S, 1, N)
        return mean_interval((np.asarray(ious) - honest)[:, None], table.clip, **limit)

    return [  # the best k of these pictures is not worse on them than another
        TEST_K.measured(worth([one.iou for one in tests], lowest=0.0), seeds, note=note),
        MASK_RESIZE.measured(worth([one.iou for one in masks]), seeds),
        LOCALIZED.measured(worth(row.ious["released"]), seeds),
    ]


def recognition(
    found: Mapping[tuple[str, str], tuple[Interval, Interval | None]],
    *,
    name: str = "LLINet",
    seeds: Sequence[int] = (),
) -> list[Effect]:
    """Take what the released prototypes and distance are worth from the choices of lesson 08.

    Parameters
    ----------
    found : mapping
        Of :func:`llinet_lite.zeroshot.recognition_pages.prototype_choices`.
    name : str
        Row of the method.
    seeds : sequence of int
        Of its networks.

    Notebook: 09
    """
    asked = {(prototypes, distance): choice for choice, (prototypes, distance, _) in CHOICES.items()}
    effects = {
        ("test", "cosine"): PROTOTYPES,
        ("held-out", "euclidean"): EUCLIDEAN,
        ("test", "euclidean"): RECOGNISED,
    }
    return [e.measured(found[name, asked[how]][1], seeds) for how, e in effects.items()]
