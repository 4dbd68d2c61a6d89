r"""How well images of classes that no network has trained on are named, alone and among those it has.

Zero-shot: images of unseen classes, and only unseen classes as answers. Generalized zero-shot (GZSL): images
of both kinds, and every class is an answer. All accuracies are means over classes: a class with many images
counts no more than one with few. A generalized answer is a trade between the two kinds, of which a
:class:`GZSLCurve` holds all: for two experts and a gate (LLINet: a classifier of the seen classes answers
where it is sure, elsewhere the nearest prototype of an unseen class), and for calibrated stacking,

.. math:: \hat y = \arg\max_{c \in S \cup U} f_c(x) - \gamma\, [c \in S]

(Chao et al. 2016, *An empirical study and analysis of generalized zero-shot learning for object recognition
in the wild*), which is a gate too: an item is called seen as long as its best seen score leads its best
unseen one by the bias or more.

Notebook: 08
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llinet_lite.metrics.intervals import Cell


def class_mean(labels, predicted, classes) -> float:
    r"""Mean over classes of the share of right answers, where each class has an item.

    .. math:: acc_Y = \frac{1}{|Y|} \sum_{c \in Y} \frac{\#\text{right in } c}{\#\text{items of } c}

    Source: Xian et al. (2018), *Zero-shot learning: a comprehensive evaluation of the good, the bad and the
    ugly*. Where classes differ in size it is not the share of right items.
    """
    labels, classes = _as_labels(labels, "labels"), _as_classes(classes, "classes")
    right = labels == _as_labels(predicted, "predicted", len(labels))
    _check_items(labels, classes)
    return float(np.mean([right[labels == one].mean() for one in classes]))


def predict(scores, among) -> np.ndarray:
    """Class (N,) of the highest score (N, C) among those that may be answered; column j is class j.

    Of equal scores the class with the lowest number. Scores of a class that is ruled out may be -inf.
    """
    scores, among = _as_table(scores, "scores"), np.sort(_as_classes(among, "among"))
    _check_columns(among, scores.shape[1], "among")
    return among[_best_column(scores[:, among], "scores")]


def harmonic_mean(tr, ts):
    """Harmonic mean 2 tr ts / (tr + ts) of two accuracies, or of two arrays of them; 0 if both are 0."""
    tr, ts = np.asarray(tr, np.float64), np.asarray(ts, np.float64)
    total = tr + ts
    mean = 2 * tr * ts / np.where(total > 0, total, 1)
    return float(mean) if mean.ndim == 0 else mean


def harmonic(seen, unseen) -> Cell:
    """Harmonic mean of tr and ts under every seed, of (hits (S, N), labels, clips); see `Cell.class_mean`."""
    rng = np.random.default_rng(0)
    tr, ts = (Cell.class_mean(*side, rng=rng) for side in (seen, unseen))
    return tr.combine(ts, harmonic_mean, tr.limits, tr.n + ts.n)


@dataclass(frozen=True, eq=False)
class GZSLCurve:
    """Accuracy of seen and unseen classes for every value of a threshold or bias.

    At a low value all items are called seen, at a high one all unseen. Accuracies change only at `turns`, and
    are constant between two of them, so G = T + 1 points are the whole curve.
    """

    turns: np.ndarray  # (T,) ascending, T may be 0; at a turn itself its items are still called seen
    tr: np.ndarray  # (G,) class mean of the seen classes, never rising
    ts: np.ndarray  # (G,) class mean of the unseen classes, never falling

    @property
    def values(self) -> np.ndarray:
        """One value for each point, (G,): the middle between two turns, and one beyond either end."""
        if not len(self.turns):
            return np.zeros(1)
        first, last = self.turns[0], self.turns[-1]
        reach = (last - first) or max(1.0, abs(last))  # so that the ends scale with the scores
        middle = self.turns[:-1] / 2 + self.turns[1:] / 2
        # of two neighbouring floats the middle is one of them, and the lower belongs to the point before
        middle = np.maximum(middle, np.nextafter(self.turns[:-1], np.inf))
        return np.r_[first - reach, middle, last + reach]

    @property
    def hm(self) -> np.ndarray:
        """Harmonic mean of every point, (G,)."""
        return harmonic_mean(self.tr, self.ts)

    @property
    def outline(self) -> tuple[np.ndarray, np.ndarray]:
        """tr and ts, (G + 2,) each, by rising tr, from (0, first ts) to (last tr, 0)."""
        return np.r_[0, self.tr[::-1], self.tr[0]], np.r_[self.ts[-1], self.ts[::-1], 0]

    @property
    def area(self) -> float:
        """Area under ts over tr, by trapezoids along `outline`; for calibrated stacking this is AUSUC."""
        tr, ts = self.outline
        return float(np.trapezoid(ts, tr))

    def best(self) -> float:
        """Return the value with the highest harmonic mean, to be chosen on items of validation.

        Of points that are equally good, the one whose turns lie farthest apart, in their middle; of these the
        first. The two ends, open to one side, are taken only if nothing between them is as good.
        """
        hm = self.hm
        width = np.r_[0, np.diff(self.turns), 0][: len(hm)]
        good = hm >= hm.max() * (1 - 1e-12)  # equal but for rounding
        return float(self.values[np.where(good, width, -1).argmax()])


# ---- gate


def confidence(logits, temperature: float = 1.0) -> np.ndarray:
    r"""Highest probability (N,) of logits (N, S), :math:`\max_c \mathrm{softmax}(x / T)_c`."""
    return _probabilities(logits, temperature).max(1)


def certainty(logits, temperature: float = 1.0) -> np.ndarray:
    r"""Minus the entropy of the classifier, :math:`\sum_c p_c \ln p_c` in nats: higher is surer, (N,)."""
    from scipy.special import entr

    return -entr(_probabilities(logits, temperature)).sum(1)


def _probabilities(logits, temperature: float) -> np.ndarray:
    from scipy.special import softmax

    logits = _as_table(logits, "logits")
    if not np.isfinite(logits).all() or not 0 < temperature < np.inf:
        raise ValueError(f"logits must be finite, and the temperature above 0; got T = {temperature}.")
    return softmax(logits / temperature, axis=1)


def gated(seen_scores, unseen_scores, sure, threshold: float, seen_classes, unseen_classes) -> np.ndarray:
    """Answer (N,) of the seen expert where it is sure enough (`sure >= threshold`), else of the unseen one.

    Scores are (N, S) and (N, U), column j of the j-th of the expert's classes; `sure` (N,), as from
    :func:`confidence`.
    """
    seen, unseen, sure = _answers(seen_scores, unseen_scores, sure, seen_classes, unseen_classes)
    if np.isnan(threshold):
        raise ValueError("threshold must be a number, not NaN.")
    return np.where(sure >= threshold, seen, unseen)


def gate_curve(seen_scores, unseen_scores, sure, labels, seen_classes, unseen_classes) -> GZSLCurve:
    """tr and ts of :func:`gated` for every threshold there is, exactly; `labels` (N,) tell the kinds apart.

    An item's answer changes once, where the threshold passes how sure it is: no grid is needed.
    """
    seen, unseen, sure = _answers(seen_scores, unseen_scores, sure, seen_classes, unseen_classes)
    labels = _as_labels(labels, "labels", len(sure))
    classes = np.r_[np.asarray(seen_classes), np.asarray(unseen_classes)]
    if not np.isin(labels, classes).all():
        raise ValueError(f"labels must be of the classes {classes.tolist()}.")
    _check_items(labels, classes)
    # the other items exchange one wrong answer for another, if any
    turns = np.unique(sure[((seen == labels) | (unseen == labels)) & np.isfinite(sure)])
    starts = np.r_[-np.inf, turns]  # of the intervals

    def gone(right: np.ndarray) -> np.ndarray:
        """How many of some items have left the seen expert in each interval, (G,)."""
        return np.searchsorted(np.sort(sure[right]), starts, side="right")

    tr, ts = np.zeros(len(starts)), np.zeros(len(starts))
    for one in seen_classes:
        mine, right = labels == one, (labels == one) & (seen == one)
        tr += (right.sum() - gone(right)) / mine.sum()
    for one in unseen_classes:
        mine, right = labels == one, (labels == one) & (unseen == one)
        ts += gone(right) / mine.sum()
    return GZSLCurve(turns, tr / len(seen_classes), ts / len(unseen_classes))


def _answers(seen_scores, unseen_scores, sure, seen_classes, unseen_classes):
    """Answer of either expert and how sure the first is, (N,) each."""
    sides, answers = (("seen", seen_scores, seen_classes), ("unseen", unseen_scores, unseen_classes)), []
    for name, scores, classes in sides:
        scores, classes = _as_table(scores, f"{name}_scores"), _as_classes(classes, f"{name}_classes")
        if scores.shape[1] != len(classes):
            raise ValueError(f"{name}_scores has {scores.shape[1]} columns for {len(classes)} {name} classes")
        answers.append(classes[_best_column(scores, f"{name}_scores")])
    shared = np.intersect1d(seen_classes, unseen_classes).tolist()
    if shared:
        raise ValueError(f"class {shared} is both seen and unseen; name it once.")
    sure = np.asarray(sure, np.float64)
    if not len(answers[0]) == len(answers[1]) == sure.size or sure.ndim != 1 or np.isnan(sure).any():
        raise ValueError(f"scores and sure must be of the same items, without NaN; got {sure.shape}.")
    return answers[0], answers[1], sure


@dataclass(frozen=True, eq=False)
class GZSL:
    """Generalized zero-shot recognition of one network; every accuracy is a class mean."""

    tr: float  # of seen items among all classes, at the bias that was asked for
    ts: float  # the same of unseen items
    zsl: float  # of unseen items among the unseen classes
    curve: GZSLCurve  # of every bias
    hits_seen: np.ndarray  # the right answers behind tr, ts and zsl
    hits_unseen: np.ndarray
    hits_zsl: np.ndarray

    @property
    def hm(self) -> float:
        """Harmonic mean of tr and ts."""
        return harmonic_mean(self.tr, self.ts)

    @property
    def ausuc(self) -> float:
        """Area under the curve of seen and unseen accuracy."""
        return self.curve.area


def gzsl(
    scores_seen_items,
    labels_seen,
    scores_unseen_items,
    labels_unseen,
    seen_classes,
    unseen_classes=None,
    bias=0.0,
) -> GZSL:
    """Recognize items of seen and unseen classes, among all classes and among their own kind.

    Parameters
    ----------
    scores_seen_items, scores_unseen_items : (N, C), (M, C) float; column j is class j; -inf: ruled out
    labels_seen, labels_unseen : (N,), (M,) integers; every class has an item
    seen_classes, unseen_classes : (S,), (U,) integers; by default all other columns are unseen
    bias : float
        Taken from the scores of seen classes; choose it by `curve.best()` on other items than these, where
        held-out seen classes play the unseen ones. If the best seen and the best unseen class are level, the
        seen one is the answer.

    Examples
    --------
    >>> gzsl([[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]], [0, 1], [[1.5, 0.0, 1.0]], [2], [0, 1], bias=0.6).hm
    1.0
    """
    tables = [_as_table(scores, "scores of items") for scores in (scores_seen_items, scores_unseen_items)]
    if tables[0].shape[1] != tables[1].shape[1]:
        raise ValueError(f"the scores have {tables[0].shape[1]} and {tables[1].shape[1]} columns.")
    both, (seen, unseen) = np.concatenate(tables), _sides(tables[0], seen_classes, unseen_classes)
    first = _of_side(labels_seen, "labels_seen", len(tables[0]), seen)
    second = _of_side(labels_unseen, "labels_unseen", len(tables[1]), unseen)
    labels, count = np.concatenate([first, second]), len(first)
    experts = both[:, seen], both[:, unseen], _lead(both[:, seen], both[:, unseen])
    answers, zsl = gated(*experts, bias, seen, unseen), predict(tables[1], unseen)
    return GZSL(
        tr=class_mean(first, answers[:count], seen),
        ts=class_mean(second, answers[count:], unseen),
        zsl=class_mean(second, zsl, unseen),
        curve=gate_curve(*experts, labels, seen, unseen),
        hits_seen=answers[:count] == first,
        hits_unseen=answers[count:] == second,
        hits_zsl=zsl == second,
    )


def _lead(seen: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """How far the best seen score is ahead of the best unseen one, (N,); the bias that makes them level."""
    ahead, behind = seen.max(1), unseen.max(1)
    none = np.flatnonzero(np.maximum(ahead, behind) == -np.inf)
    if len(none):
        raise ValueError(f"all scores of item {none[0]} are -inf, so it has no answer; keep one class.")
    return ahead - behind


def _sides(scores: np.ndarray, seen_classes, unseen_classes) -> tuple[np.ndarray, np.ndarray]:
    """Seen and unseen classes, ascending, so that ties go to the lowest number."""
    seen = np.sort(_as_classes(seen_classes, "seen_classes"))
    others = np.setdiff1d(np.arange(scores.shape[1]), seen) if unseen_classes is None else unseen_classes
    unseen = np.sort(_as_classes(others, "unseen_classes"))
    _check_columns(np.r_[seen, unseen], scores.shape[1], "seen_classes or unseen_classes")
    return seen, unseen


def _of_side(labels, name: str, count: int, side: np.ndarray) -> np.ndarray:
    labels = _as_labels(labels, name, count)
    wrong = labels[~np.isin(labels, side)]
    if len(wrong):
        raise ValueError(f"{name} has class {wrong[0]}, not of that side, {side.tolist()}.")
    return labels


# ---- checks


def _as_labels(labels, name: str, count: int | None = None) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name} must be a list of at least one integer; got {labels.shape} {labels.dtype}.")
    if count is not None and len(labels) != count:
        raise ValueError(f"{name} has {len(labels)} labels for {count} items.")
    return labels


def _as_classes(classes, name: str) -> np.ndarray:
    classes = _as_labels(classes, name)
    if len(np.unique(classes)) < len(classes):
        raise ValueError(f"{name} must name each class once; got {classes.tolist()}.")
    return classes


def _as_table(scores, name: str) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or not scores.size:
        raise ValueError(f"{name} must be (items, classes) and not empty; got shape {scores.shape}.")
    return scores


def _best_column(scores: np.ndarray, name: str) -> np.ndarray:
    """First column of the highest score, (N,); scores may be -inf, but neither NaN nor +inf."""
    if not (scores < np.inf).all():  # False for NaN too
        item = int(np.flatnonzero(~(scores < np.inf).all(1))[0])
        raise ValueError(f"{name} of item {item} are NaN or +inf, so no class is best; look at the network.")
    return scores.argmax(1)


def _check_columns(classes: np.ndarray, columns: int, name: str) -> None:
    wrong = classes[(classes < 0) | (classes >= columns)]
    if len(wrong):
        raise ValueError(f"{name} has class {wrong[0]}, but the scores have columns 0 to {columns - 1}.")


def _check_items(labels: np.ndarray, classes: np.ndarray) -> None:
    missing = np.setdiff1d(classes, labels).tolist()
    if missing:
        raise ValueError(f"no item is of class {missing}: leave such classes out, or complete the items.")
