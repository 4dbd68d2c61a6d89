"""Activations that are kept: the trunk's own, computed once, whole or absent, for these very pictures."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from zeroshot_fakes import photo_store, trunk_of

from llinet_lite.data.batches import ClassPairs
from llinet_lite.models.trunks import Trunk
from llinet_lite.zeroshot.activations import TAPS, ActivationBatches, activations, fingerprint, see

MODULE = importlib.import_module("llinet_lite.zeroshot.activations")  # the package has a function of its name


def kept(store, trunk, split="train", crop=32, taps=TAPS):
    return activations(trunk, store, split, image_crop=crop, taps=taps)


def middle(store, split, crop=32):
    """Pictures cropped in the middle, (N, 3, crop, crop) in [0, 1]."""
    table, edge = store.images(split), (40 - crop) // 2
    pictures = np.stack([table.image(k) for k in range(len(table))])
    part = pictures[:, edge : edge + crop, edge : edge + crop]
    return torch.from_numpy(part).permute(0, 3, 1, 2).float() / 255


@pytest.fixture
def no_computing(monkeypatch):
    """From here on the trunk may not be asked for anything."""

    def refuse(*_):
        raise AssertionError("a trunk was run again")

    return lambda: monkeypatch.setattr(MODULE, "see", refuse)


@torch.no_grad()
def test_they_are_the_trunks_own_output(store, trunk):
    arrays, image = kept(store, trunk), middle(store, "train")
    early = trunk.early(image)
    late = trunk.late(early)
    last = trunk.top(late)
    own = {
        "early": early, "late": late, "map": last, "pooled": last.mean((2, 3)),
        "teacher": trunk(image).softmax(1),
    }  # fmt: skip
    assert list(arrays) == list(TAPS) and len(image) > 50
    for tap, value in own.items():
        assert arrays[tap].dtype == np.float16 and arrays[tap].shape == value.shape
        assert float(value.std()) > 0
        np.testing.assert_allclose(arrays[tap].astype(np.float32), value, rtol=2e-3, atol=1e-4)


def test_only_what_is_asked_for_is_run(trunk, monkeypatch):
    monkeypatch.setattr(Trunk, "top", lambda *_: pytest.fail("layer4 was run for nothing"))
    assert list(see(trunk, torch.rand(1, 3, 32, 32), ("late",))) == ["late"]


def test_they_are_computed_once(store, no_computing):
    trunk = trunk_of(seed=1)
    first = kept(store, trunk, "val", taps=("early", "pooled"))
    no_computing()
    again = kept(store, trunk_of(seed=1), "val", taps=("pooled", "early"))
    assert all(np.array_equal(first[tap], again[tap]) for tap in first)
    assert isinstance(again["early"], np.memmap) and not again["early"].flags.writeable
    with pytest.raises(AssertionError, match="run again"):
        kept(store, trunk, "val", taps=("early", "map"))


def test_another_trunk_crop_or_normalisation_has_a_folder_of_its_own(store):
    variants = [
        (trunk_of(seed=2), 32), (trunk_of(seed=3), 32), (trunk_of(seed=2), 24),
        (trunk_of(seed=2, normalization="released"), 32),
    ]  # fmt: skip
    arrays = [kept(store, trunk, "val", crop, ("pooled",))["pooled"] for trunk, crop in variants]
    assert len({array.filename for array in arrays}) == 4
    assert all(not np.array_equal(arrays[0], other) for other in arrays[1:])


def test_a_trunk_is_known_by_what_it_computes():
    one, same = trunk_of(seed=4), trunk_of(seed=4)
    same.network.bn1.num_batches_tracked += 5
    assert fingerprint(one) == fingerprint(same)
    same.network.bn1.running_mean[0] += 1e-3
    assert fingerprint(one) != fingerprint(same)


def test_a_store_that_is_built_anew_has_other_activations(tmp_path, trunk):
    first = np.array(kept(photo_store(tmp_path / "store"), trunk, "val", taps=("pooled",))["pooled"])
    second = kept(photo_store(tmp_path / "store", seed=1), trunk, "val", taps=("pooled",))["pooled"]
    assert first.shape == second.shape and not np.array_equal(first, second)


@pytest.mark.parametrize(("error", "seed"), [(KeyboardInterrupt, 10), (OSError, 11)])
def test_what_is_stopped_half_way_leaves_nothing(photos, monkeypatch, error, seed):
    trunk, batches = trunk_of(seed).train(), []

    def stopped(*arguments):
        batches.append(1)
        if len(batches) == 3:  # the first asks for the shapes
            raise error("stopped")
        return see(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(MODULE, "see", stopped)
        patch.setattr(MODULE, "BATCH", 10)
        with pytest.raises(error):
            kept(photos, trunk)
    folder = photos.folder / "activations" / f"standin-{fingerprint(trunk)}-32"
    assert len(batches) == 3 and folder.is_dir() and not list(folder.iterdir())
    assert trunk.training, "the mode is as it was"
    whole = kept(photos, trunk, taps=("early",))["early"]
    assert len(whole) == 24 and (whole != 0).reshape(24, -1).any(1).all()


def test_the_size_on_the_disk_is_said(photos, capsys):
    kept(photos, trunk_of(seed=6), "val", taps=("early", "late"))
    out = capsys.readouterr().out
    assert "activations of 8 pictures of val (stand-in of the tests): 0 MB" in out


def test_features_that_depend_on_the_batch_are_refused(store):
    with pytest.raises(ValueError, match='frozen_bn="train" depend on the batch'):
        kept(store, trunk_of(frozen_bn="train"))


def test_batches_get_the_rows_of_their_pictures(store, trunk):
    arrays = kept(store, trunk, taps=("early", "pooled"))
    pairs = ClassPairs(store, "train", batch_size=7, image_crop=None, seed=3)
    plain = pairs.epoch(1)
    batches = ActivationBatches(pairs.epoch(1), arrays)
    assert len(batches) == len(plain) >= 5
    for i, batch in enumerate(batches):
        rows = plain.rows.image[7 * i : 7 * i + 7]
        assert "image" not in batch
        for tap, values in arrays.items():
            np.testing.assert_array_equal(batch[tap].numpy(), np.stack([values[row] for row in rows]))
        assert all(torch.equal(batch[name], value) for name, value in plain[i].items())
        np.testing.assert_array_equal(batch["label"], store.images("train").label[rows])
    with pytest.raises(IndexError):
        batches[len(batches)]


def test_of_some_pictures_only_those_are_computed(store, no_computing, monkeypatch):
    trunk, rows, looked = trunk_of(seed=21), np.array([7, 3, 11]), []

    def counted(trunk, image, taps):
        looked.append(len(image))
        return see(trunk, image, taps)

    with monkeypatch.context() as patch:
        patch.setattr(MODULE, "see", counted)
        some = activations(trunk, store, "val", image_crop=32, taps=("early", "pooled"), rows=rows)
    assert looked == [1, 3], "one picture tells the shapes, three are computed"
    whole = kept(store, trunk, "val", taps=("early", "pooled"))
    for tap, values in some.items():
        np.testing.assert_array_equal(values, whole[tap][rows])
    no_computing()
    for given in (rows, rows[::-1]):  # of the second the whole split is there
        again = activations(trunk, store, "val", image_crop=32, taps=("early", "pooled"), rows=given)
        np.testing.assert_array_equal(again["early"], whole["early"][given])
