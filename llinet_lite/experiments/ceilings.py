"""How much there was to find: what attributes, true or predicted, and supervision reach on unseen classes.

Notebook: 06, 08
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from llinet_lite.data.bandstand import INVENTED_SETS
from llinet_lite.experiments.embedding import Embedded, Items, items_of, looks
from llinet_lite.experiments.methods import Inputs
from llinet_lite.experiments.standins import sounds_of
from llinet_lite.features import LogMel, to_waveform
from llinet_lite.world import INSTRUMENTS
from llinet_lite.world.instruments import coordinates

if TYPE_CHECKING:
    from llinet_lite.data.store import JoinedStore
    from llinet_lite.models.trunks import Trunk
    from llinet_lite.profiles import Profile

FOLDS = 3


@dataclass(frozen=True)
class Senses:
    """What simple learners get of a split: features of images (N, F) and of audio (M, G), and the items."""

    image: np.ndarray
    audio: np.ndarray
    items: Items


def senses(store: JoinedStore, split: str, trunk: Trunk, profile: Profile) -> Senses:
    """Pooled features of the trunk, and of the log-mel mean, deviation, maximum and mean change over time."""
    items, hearing = items_of(store, split), LogMel(store.sample_rate)
    inputs = Inputs(nn.Identity(), trunk, ("pooled",))
    seen = [x["pooled"].float().cpu() for x in looks(inputs, store, split, profile, items.image_row)]
    heard = []
    for batch in sounds_of(store, split, items.audio_row):
        mel = hearing(to_waveform(batch["audio"]))  # (B, T, 40)
        change = mel.diff(dim=1)
        heard.append(torch.cat([mel.mean(1), mel.std(1), mel.amax(1), change.abs().mean(1)], dim=1))
    return Senses(torch.cat(seen).numpy(), torch.cat(heard).numpy(), items)


def attributes(store: JoinedStore, profile: Profile) -> np.ndarray:
    """The point (C, A) of every class of a store of named and invented classes; see `world.distance`."""
    rows = {row.name: row for row in (*INSTRUMENTS, *INVENTED_SETS[profile.name].rows)}
    return np.stack([coordinates(rows[each["name"]]) for each in store.classes])


def predicted(train: Senses, test: Senses, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points that images (N, A) and audio (M, A) of `test` seem to have to who learned them on `train`."""
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = []
    for sense in ("image", "audio"):
        how = {"early_stopping": True, "n_iter_no_change": 3, "tol": 1e-3, "random_state": 0}
        model = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(128,), alpha=1.0, **how))
        model.fit(getattr(train, sense), points[getattr(train.items, f"{sense}_label")])
        found.append(model.predict(getattr(test, sense)))
    return found[0], found[1]


def matched(image: np.ndarray, audio: np.ndarray, items: Items) -> Embedded:
    """Images and audio compared by their points: the nearer, the better."""
    first, second = (torch.from_numpy(np.asarray(part, np.float32)) for part in (image, audio))
    return Embedded(items, first, second, -torch.cdist(first, second))


def by_attributes(train: Senses, test: Senses, points: np.ndarray) -> dict[str, Embedded]:
    """Search by attributes, "true attributes" and "predicted attributes": what LLINet could do with them."""
    true = points[test.items.image_label], points[test.items.audio_label]
    both = {"true attributes": true, "predicted attributes": predicted(train, test, points)}
    return {name: matched(*pair, test.items) for name, pair in both.items()}


def named_by_attributes(found: Embedded, points: np.ndarray) -> dict[str, np.ndarray]:
    """Which images (N,) and audio (M,) are nearest to the true point of their class, of all in the test."""
    right = {}
    for sense in ("image", "audio"):
        label = getattr(found.items, f"{sense}_label")
        classes = np.unique(label)
        away = torch.cdist(getattr(found, sense), torch.from_numpy(points[classes]).float())
        right[sense] = classes[away.argmin(1).numpy()] == label
    return right


def supervised(test: Senses) -> dict[str, np.ndarray]:
    """Which images (N,) and audio (M,) a classifier names rightly that learned the unseen classes themselves.

    Logistic regression of either sense, on the other folds of the clips: the senses are good enough for this.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    right = {}
    for sense in ("image", "audio"):
        label = getattr(test.items, f"{sense}_label")
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        right[sense] = cross_val_predict(model, getattr(test, sense), label, cv=folds) == label
    return right


def limits(
    store: JoinedStore, split: str, trunk: Trunk, profile: Profile, train: Senses
) -> dict[str, dict[str, float]]:
    """What is reachable on a split: ceiling -> R@1 and mAP of both directions, and the share named rightly.

    "true attributes" and "predicted attributes", learned from `train`, are compared with each other, and, to
    name an image or an audio, with the true ones of the candidates; "supervision" only names.
    """
    test, points, found = senses(store, split, trunk, profile), attributes(store, profile), {}
    for name, one in by_attributes(train, test, points).items():
        found[name] = {}
        for direction, searched in one.retrieval().items():
            found[name][f"mAP {direction}"] = searched.mean_average_precision
            found[name][f"R@1 {direction}"] = searched.recall_at_1
        found[name] |= _shares(named_by_attributes(one, points))
    return found | {"supervision": _shares(supervised(test))}


def _shares(right: dict[str, np.ndarray]) -> dict[str, float]:
    return {f"acc, {sense}": float(of.mean()) for sense, of in right.items()}
