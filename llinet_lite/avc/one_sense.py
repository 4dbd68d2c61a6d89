"""Is the world teachable? What one sense alone tells of the class, and of the specimen below the class.

Seen classes should be recognisable from either sense, and not solved: 80 to 97 % by the tower that the
course uses. From the same features a linear map should read off the attributes of the specimen.

Notebook: 00
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from llinet_lite.avc.task import Senses
from llinet_lite.data.batches import EvaluationSet, PairBatches
from llinet_lite.data.store import Store
from llinet_lite.metrics.correspondence import Interval, clip_bootstrap
from llinet_lite.models.towers import AudioTower, VisionTower
from llinet_lite.old_road import fit
from llinet_lite.results import Result
from llinet_lite.training import adam

SENSES = ("image", "sound")
ATTRIBUTES = ("size", "brightness")  # of the specimen; both are seen and heard


class OneSense(nn.Module):
    """One tower and a linear classifier.

    Parameters
    ----------
    sense : {"image", "sound"}
    width : int
        Channels of the tower's first block.
    classes : int
    """

    def __init__(self, sense: str, width: int, classes: int):
        super().__init__()
        if sense not in SENSES:
            raise ValueError(f"sense must be one of {SENSES}, not {sense!r}")
        self.sense = sense
        self.tower = VisionTower(width=width) if sense == "image" else AudioTower(width=width)
        self.classify = nn.Linear(self.tower.features, classes)

    def features(self, image: Tensor, sound: Tensor) -> Tensor:
        """Return features (B, 8 width) of pictures (B, 3, H, W) or of log-spectrograms (B, 1, F, T)."""
        return self.tower(image if self.sense == "image" else sound)


@dataclass(frozen=True)
class Teachable:
    """What one sense tells.

    Attributes
    ----------
    sense : str
    accuracy : Interval
        Of the class, on held-out clips of seen classes.
    correlation : dict of str to float
        Of each attribute of the specimen with its linear prediction, within classes; 0 is chance.
    minutes : float
        Of training.
    """

    sense: str
    accuracy: Interval
    correlation: dict[str, float]
    minutes: float


def measure(
    store: Store, settings, sense: str, *, epochs: int, seed: int = 0, quiet: bool = False
) -> Teachable:
    """Train one sense with labels on `train`, choose nothing, and measure on `test`.

    Parameters
    ----------
    store : Store
        The built-in world.
    settings : Profile
    sense : {"image", "sound"}
    epochs : int
    seed : int
    """
    step = Senses(settings, augment=True)

    def loss(model, batch):
        step.to(batch["image"].device)
        return nn.functional.cross_entropy(model.classify(model.features(*step(batch))), batch["label"])

    batches = PairBatches(
        store, "train", batch_size=64, image_crop=settings.image_crop, pairs="all", seed=seed
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = OneSense(sense, settings.width, len(store.classes))
    start = time.perf_counter()
    fit(
        model,
        loss,
        batches,
        epochs=epochs,
        optimizer=adam(2e-3, 1e-5),
        schedule=lambda epoch: 0.5 * (1 + np.cos(np.pi * min(epoch / epochs, 1.0))),
        seed=seed,
        quiet=quiet,
    )
    minutes = (time.perf_counter() - start) / 60
    train, test = (_features(model, store, split, settings) for split in ("train", "test"))
    said = model.cpu().classify(torch.from_numpy(test[0])).argmax(1).numpy()
    clips = store.images("test").clip
    accuracy = clip_bootstrap(said == test[1], clips)
    correlation = {name: _correlation(store, train, test, name) for name in ATTRIBUTES}
    return Teachable(sense, accuracy, correlation, minutes)


def card(store: Store, settings, *, epochs: int = 14) -> list[Result]:
    """Return what both senses tell, as results for the data card.

    Parameters
    ----------
    store : Store
        The built-in world.
    settings : Profile
    epochs : int
        Of the pictures; the sounds need half as many.
    """
    known = {"profile": settings.name, "data_hash": store.content_hash, "seeds": (0,)}
    rows = []
    for sense, count in (("image", epochs), ("sound", epochs // 2)):
        told = measure(store, settings, sense, epochs=count)
        share = told.accuracy
        seen = sum(bool(c["seen"]) for c in store.classes)
        rows.append(
            Result(
                f"class from {sense} alone", share.value, share.low, share.high, 1 / seen, n=share.n, **known
            )
        )
        rows += [
            Result(
                f"{name} of the specimen from {sense} alone, correlation", r, chance=0.0, unit="r", **known
            )
            for name, r in told.correlation.items()
        ]
    return rows


@torch.inference_mode()
def _features(model: OneSense, store: Store, split: str, settings) -> tuple[np.ndarray, np.ndarray]:
    """Return features (N, D) and labels (N,) of every picture, or of the second around it."""
    device, rows, labels = next(model.parameters()).device, [], []
    senses = Senses(settings).to(device)
    model.eval()
    for batch in EvaluationSet(store, split, batch_size=128, image_crop=settings.image_crop):
        rows.append(model.features(*senses({key: value.to(device) for key, value in batch.items()})).cpu())
        labels.append(batch["label"])
    return torch.cat(rows).numpy(), torch.cat(labels).numpy()


def _correlation(store: Store, train, test, name: str) -> float:
    """Correlate an attribute with its ridge prediction, both without their class means."""
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    def target(split: str) -> np.ndarray:
        images = store.images(split)
        values = np.array([images.factors(i)[name] for i in range(len(images))])
        return np.log(values) if name == "size" else values

    def centred(values: np.ndarray, labels: np.ndarray, means: dict) -> np.ndarray:
        return values - np.array([means[label] for label in labels])

    scale = StandardScaler().fit(train[0])
    x = [scale.transform(features) for features, _ in (train, test)]
    y = [target("train"), target("test")]
    x_mean = {label: x[0][train[1] == label].mean(0) for label in np.unique(train[1])}
    y_mean = {label: y[0][train[1] == label].mean() for label in np.unique(train[1])}
    ridge = Ridge(alpha=100.0).fit(centred(x[0], train[1], x_mean), centred(y[0], train[1], y_mean))
    said = ridge.predict(centred(x[1], test[1], x_mean))
    return float(np.corrcoef(said, centred(y[1], test[1], y_mean))[0, 1])
