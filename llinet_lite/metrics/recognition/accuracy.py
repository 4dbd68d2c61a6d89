"""Accuracy class by class, so that a class with many pictures counts no more than one with few.

Notebook: 08
"""

from __future__ import annotations

import numpy as np

__all__ = ["chance", "class_mean", "harmonic_mean", "per_class_accuracy", "predict"]


def per_class_accuracy(labels, predicted, classes) -> np.ndarray:
    """Share of right answers in each class.

    Parameters
    ----------
    labels : (N,) integers, the true classes; items of a class that is not in `classes` are left out
    predicted : (N,) integers; an answer that is not in `classes` is wrong like any other
    classes : (K,) integers, each once

    Returns
    -------
    (K,) float64 in [0, 1], in the order of `classes`

    Raises
    ------
    ValueError
        If a class has no item: its share is 0 / 0, and calling it 0 would change the mean.

    Notebook: 08
    """
    labels, classes = as_labels(labels, "labels"), as_classes(classes, "classes")
    predicted = as_labels(predicted, "predicted")
    if predicted.shape != labels.shape:
        raise ValueError(f"labels {labels.shape} and predicted {predicted.shape} must be of the same items.")
    check_all_have_items(labels, classes)
    right = labels == predicted
    return np.array([right[labels == one].mean() for one in classes])


def class_mean(labels, predicted, classes) -> float:
    r"""Mean of :func:`per_class_accuracy`, which has the parameters and the errors.

    .. math:: acc_Y = \frac{1}{|Y|} \sum_{c \in Y} \frac{\#\text{right in } c}{\#\text{items of } c}

    Source: Xian et al. (2018), *Zero-shot learning: a comprehensive evaluation of the good, the bad and the
    ugly*. Where classes differ in size it is not the share of right items.

    Notebook: 08
    """
    return float(per_class_accuracy(labels, predicted, classes).mean())


def predict(scores, among) -> np.ndarray:
    """Class of the highest score among those that may be answered.

    Parameters
    ----------
    scores : (N, C) float; column j is class j, higher is better; -inf for a class that is ruled out
    among : (K,) integers, the classes that may be answered

    Returns
    -------
    (N,) integers
        Of equal scores the class with the lowest number, right or wrong. So a network that gives every class
        one score answers one class, and its class mean is 1 / K, chance.

    Raises
    ------
    ValueError
        For scores that are NaN or +inf, or a class without a column.

    Notebook: 08
    """
    scores, among = as_table(scores, "scores"), np.sort(as_classes(among, "among"))
    check_columns(among, scores.shape[1], "among")
    return among[best_column(scores[:, among], "scores")]


def harmonic_mean(tr, ts):
    """Harmonic mean 2 tr ts / (tr + ts) of two accuracies, or of two arrays of them; 0 if both are 0.

    Notebook: 08
    """
    tr, ts = np.asarray(tr, np.float64), np.asarray(ts, np.float64)
    total = tr + ts
    mean = 2 * tr * ts / np.where(total > 0, total, 1)
    return float(mean) if mean.ndim == 0 else mean


def chance(classes) -> float:
    """Class mean of uniform guessing among `classes` (K,): 1 / K, whatever the sizes of the classes.

    Guessing among seen and unseen classes together, tr, ts and hm are all 1 / (S + U).

    Notebook: 08
    """
    return 1 / len(as_classes(classes, "classes"))


# ------------------------------------------------------------------------------------------------- checks


def as_labels(labels, name: str) -> np.ndarray:
    """Return labels as a list of integers."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name} must be a list of at least one integer class; got shape {labels.shape} {labels.dtype}."
        )
    return labels


def as_classes(classes, name: str) -> np.ndarray:
    """Return classes as a list of integers, each once."""
    classes = as_labels(classes, name)
    if len(np.unique(classes)) < len(classes):
        raise ValueError(f"{name} must name each class once; got {classes.tolist()}.")
    return classes


def as_table(scores, name: str) -> np.ndarray:
    """Return scores as float64, items by classes."""
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or not scores.size:
        raise ValueError(f"{name} must be (items, classes) and not empty; got shape {scores.shape}.")
    return scores


def best_column(scores: np.ndarray, name: str) -> np.ndarray:
    """First column of the highest score, (N,); scores may be -inf, but neither NaN nor +inf."""
    if not (scores < np.inf).all():  # False for NaN too
        item = int(np.flatnonzero(~(scores < np.inf).all(1))[0])
        raise ValueError(f"{name} of item {item} are NaN or +inf, so no class is best; look at the network.")
    return scores.argmax(1)


def check_columns(classes: np.ndarray, columns: int, name: str) -> None:
    """Raise if a class has no column."""
    wrong = classes[(classes < 0) | (classes >= columns)]
    if len(wrong):
        raise ValueError(f"{name} has class {wrong[0]}, but the scores have columns 0 to {columns - 1}.")


def check_all_have_items(labels: np.ndarray, classes: np.ndarray) -> None:
    """Raise if a class has no item."""
    missing = np.setdiff1d(classes, labels).tolist()
    if missing:
        raise ValueError(f"no item is of class {missing}: leave such classes out, or complete the items.")
