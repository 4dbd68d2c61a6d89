"""Looking into the training: one batch by heart, matrices on the way, who meets whom in a batch."""

from __future__ import annotations

import dataclasses
from math import comb

import numpy as np
import pytest
import torch
from zeroshot_fakes import SETTINGS

from llinet_lite.classifier import seen_labels
from llinet_lite.losses import matching_loss
from llinet_lite.profiles import PROFILES
from llinet_lite.zeroshot import (
    OURS,
    Plan,
    contrastive,
    overfit,
    same_class_share,
    similarity_gradient,
    snapshots,
)
from llinet_lite.zeroshot.watch import one_batch

PLAN = Plan("llinet", OURS, 1, options={"solver": "adam"})


@pytest.fixture(params=["kept", "pictures"])
def here(request, lesson, monkeypatch):
    """A lesson that keeps activations, and one that reads pictures."""
    changed = {"name": "laptop", "keep_activations": request.param == "kept"}
    monkeypatch.setitem(PROFILES, "laptop", dataclasses.replace(SETTINGS, **changed))
    return lesson()


# ------------------------------------------------------------------------------------- one batch


def test_one_batch_is_sorted_and_distinct(here, trunk):
    batch = one_batch(here, trunk, split="val", size=10, distinct=True)
    assert batch["label"].tolist() == sorted(set(batch["label"].tolist())) and len(batch["label"]) == 10
    assert batch["early"].shape == (10, 16, 8, 8) and batch["late"].shape == (10, 32, 4, 4)
    assert batch["audio"].shape == (10, 16000) and "image" not in batch
    again = one_batch(here, trunk, split="val", size=10, distinct=True)
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    whole = one_batch(here, trunk, split="val", size=10**6, distinct=True, seed=1)
    assert np.array_equal(whole["label"], seen_labels(here.store()))
    many = one_batch(here, trunk, split="val", size=10**6, distinct=False)
    assert len(many["label"]) == len(here.store().images("val"))


def test_activations_stay_with_their_pictures(here, trunk):
    """Sorting by class moves all of a row."""
    batch = one_batch(here, trunk, split="val", size=12, distinct=True)
    store = here.store()
    if "index" in batch and here.settings.keep_activations:
        assert np.array_equal(store.sounds("val").label[batch["index"]], batch["label"])
    images = store.images("val")
    rows = [k for k in range(len(images)) if images.label[k] in batch["label"].tolist()]
    pictures = torch.from_numpy(np.stack([images.image(k)[4:36, 4:36] for k in rows]))
    late = trunk.late(trunk.early(pictures.permute(0, 3, 1, 2).float() / 255))  # (n, C, h, w)
    if here.settings.keep_activations:  # crops are from the middle
        distance = (batch["late"].float()[:, None] - late[None]).abs().amax((2, 3, 4))
        nearest = distance.argmin(1).tolist()
        assert distance.min(1).values.max() < 0.01
        assert [int(images.label[rows[k]]) for k in nearest] == batch["label"].tolist()


def test_a_batch_is_learnt_by_heart(here, trunk):
    losses, hits = overfit(here, trunk, PLAN, size=6, steps=25)
    assert len(losses) == 25 and losses[-1] < 0.6 * losses[0]
    assert 6 * hits == pytest.approx(round(6 * hits), abs=1e-5) and hits > 0.5
    again, _ = overfit(here, trunk, PLAN, size=6, steps=2)
    assert again == pytest.approx(losses[:2], rel=1e-5)


# ------------------------------------------------------------------------------------- snapshots


def test_snapshots_are_cosines_of_one_pair_per_class(here, trunk):
    state = {name: value.clone() for name, value in trunk.state_dict().items()}
    matrices, labels = snapshots(here, trunk, PLAN, at=(0, 3, 9))
    assert list(matrices) == ["before training", "after 3 steps", "after 9 steps"]
    assert np.array_equal(labels, seen_labels(here.store()))
    for matrix in matrices.values():
        assert matrix.shape == (24, 24) and np.abs(matrix).max() <= 1 + 1e-5
    values = list(matrices.values())
    assert not np.array_equal(values[0], values[1]) and not np.array_equal(values[1], values[2])
    again, _ = snapshots(here, trunk, PLAN, at=(0, 3))
    assert np.array_equal(again["after 3 steps"], values[1]), "a function of the seed"
    assert all(torch.equal(state[name], value) for name, value in trunk.state_dict().items())


def test_snapshots_may_begin_after_the_first_step(lesson, trunk):
    matrices, _ = snapshots(lesson(), trunk, PLAN, at=(8,))
    assert list(matrices) == ["after 8 steps"], "an epoch has eight steps: it goes on into the next"


# -------------------------------------------------------------------------------- who meets whom


def test_the_share_of_items_that_meet_their_class():
    """An item meets none of its n - 1 fellows if the other B - 1 are all of the N - n others."""
    labels = np.repeat([0, 4, 5, 9], [1, 3, 6, 10])
    for size in (2, 5, 8):
        alone = [comb(20 - n, size - 1) / comb(19, size - 1) for n in (1, 3, 6, 10) for _ in range(n)]
        share = same_class_share(labels, size, batches=20_000)
        assert share == pytest.approx(1 - np.mean(alone), abs=0.015)
        assert share != same_class_share(labels, size, batches=20_000, seed=1)
    assert same_class_share(np.arange(9), 5) == 0 and same_class_share(np.zeros(9, int), 5) == 1
    assert same_class_share(labels, 20, batches=3) == pytest.approx(19 / 20), "all: the single one meets none"


# ------------------------------------------------------------------------------------- gradients


def test_the_contrastive_loss_is_the_matching_loss():
    generator = torch.Generator().manual_seed(0)
    image, audio = torch.randn(2, 5, 7, generator=generator).double()
    unit = [torch.nn.functional.normalize(side, dim=1) for side in (image, audio)]
    expected = matching_loss(image, audio, torch.arange(5), scale=10.0, same_class="all")
    assert float(contrastive(10 * unit[0] @ unit[1].T)) == pytest.approx(float(expected))


def test_the_gradient_is_that_of_finite_differences():
    similarity = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    found = similarity_gradient(lambda s: contrastive(3 * s), similarity)
    for i in range(4):
        for j in range(4):
            moved = [similarity.double().clone() for _ in range(2)]
            moved[0][i, j] += 1e-5
            moved[1][i, j] -= 1e-5
            high, low = (float(contrastive(3 * s)) for s in moved)
            assert found[i, j] == pytest.approx((high - low) / 2e-5, abs=1e-6)
    assert not similarity.requires_grad and found.dtype == np.float64
