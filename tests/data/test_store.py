"""The packed store: what goes in comes out, whole or not at all."""

import errno
import json
import os
import pickle

import numpy as np
import pytest
from data_fakes import FRAMES, LABELS, fake_rows, fake_store, pattern
from datasets import Dataset

from llinet_lite.data import store as store_module
from llinet_lite.data.store import Store, StoreError, StoreWriter, shard_path, write_atomic


def test_rows_come_back(fake):
    images, sounds = fake.images("train"), fake.sounds("train")
    assert (len(images), len(sounds)) == (FRAMES * len(LABELS), len(LABELS))
    np.testing.assert_array_equal(sounds.label, LABELS)
    np.testing.assert_array_equal(images.clip, np.repeat(np.arange(len(LABELS)), FRAMES))
    np.testing.assert_array_equal(images.label, np.repeat(LABELS, FRAMES))
    for i in (0, 7, 61, len(images) - 1, -1):
        assert np.abs(images.image(i).astype(int) - pattern(images.clip[i]))[:, :8].max() < 12
        np.testing.assert_array_equal(images.objects(i), pattern(images.clip[i])[..., 0] == 128)
        assert images.factors(i) == {"clip": images.clip[i]}
    assert images.kind[0] == "solo" and sounds.id[3] == "train/3"
    assert (sounds.length == 16000).all()
    with pytest.raises(IndexError, match="row 720 of a table with 720 rows"):
        images.image(720)


def test_audio_is_a_view_and_never_padded(fake):
    sounds = fake.sounds("train")
    window = sounds.audio(100, 4321, 800)
    np.testing.assert_array_equal(window, np.arange(4321, 5121))
    assert not window.flags.owndata and not window.flags.writeable
    assert len(sounds.audio(0)) == 16000 and len(sounds.audio(0, 15000)) == 1000
    for start, length in ((-1, 10), (15991, 10), (0, 16001)):
        with pytest.raises(ValueError, match="leave sound 0"):
            sounds.audio(0, start, length)


def test_plain_datasets_can_open_a_shard(fake):
    rows = Dataset.from_file(str(shard_path(fake.folder, "train", "sounds", 0)))
    assert rows[0]["id"] == "train/0" and len(rows[0]["audio"]) == 32000


def test_hash_knows_the_rows_and_not_the_shards(tmp_path, fake):
    splits = {"train": LABELS, "val": LABELS[::4]}
    assert fake_store(tmp_path / "a", splits, per_shard=7).content_hash == fake.content_hash

    def one_sample(images, sounds):
        audio = bytearray(sounds[-1]["audio"])
        audio[-1] ^= 1
        sounds[-1]["audio"] = bytes(audio)

    def one_time(images, sounds):
        images[0]["time"] += 0.04

    for name, change in (("b", one_sample), ("c", one_time)):
        assert fake_store(tmp_path / name, splits, change=change).content_hash != fake.content_hash


def test_verify_finds_a_changed_shard(tmp_path):
    made = fake_store(tmp_path / "s", {"train": LABELS[:40]})
    made.verify()
    path = shard_path(made.folder, "train", "sounds", 1)
    data = bytearray(path.read_bytes())
    data[-5000] ^= 255
    path.write_bytes(data)
    with pytest.raises(StoreError, match="not those that were built"):
        Store(made.folder).verify()


def test_damaged_and_missing_shards_and_manifests(tmp_path):
    made = fake_store(tmp_path / "s", {"train": LABELS[:40]})
    path = shard_path(made.folder, "train", "images", 1)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(StoreError, match=r"images-00001.arrow: this shard is damaged"):
        Store(made.folder).images("train")
    path.unlink()
    with pytest.raises(StoreError, match="missing; build the store again"):
        Store(made.folder).images("train")
    with pytest.raises(StoreError, match="no split 'dev'; there are train"):
        Store(made.folder).sounds("dev")
    manifest = made.folder / "manifest.json"
    manifest.write_text(json.dumps({**made.manifest, "format": 99}))
    with pytest.raises(StoreError, match="format 99"):
        Store(made.folder)
    manifest.write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        Store(made.folder)
    manifest.unlink()
    with pytest.raises(StoreError, match="begun but not finished"):
        Store(made.folder)
    with pytest.raises(StoreError, match=r"no manifest.json.*llinet world build"):
        Store(tmp_path / "nowhere")


def test_other_settings_are_refused_and_rebuilt_on_demand(tmp_path):
    with StoreWriter(tmp_path / "s", {"image_size": 128, "seed": 0}) as writer:
        writer.add_shard("train", 0, *fake_rows("train", [0, 1]))
    with (
        pytest.raises(StoreError, match=r"other settings \(image_size: 128 there, 256 now\).*rebuild"),
        StoreWriter(tmp_path / "s", {"image_size": 256, "seed": 0}),
    ):
        pass
    with StoreWriter(tmp_path / "s", {"image_size": 128, "seed": 0}) as writer:
        assert writer.missing("train", 2) == [1]
    with StoreWriter(tmp_path / "s", {"image_size": 256, "seed": 0}, rebuild=True) as writer:
        assert writer.missing("train", 2) == [0, 1]


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match="not empty"), StoreWriter(tmp_path, {}, rebuild=True):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_only_one_process_builds(tmp_path):
    with (
        StoreWriter(tmp_path / "s", {}),
        pytest.raises(StoreError, match="another process"),
        StoreWriter(tmp_path / "s", {}),
    ):
        pass


def test_stale_temporary_files_go(tmp_path):
    with StoreWriter(tmp_path / "s", {"a": 1}) as writer:
        writer.add_shard("train", 0, *fake_rows("train", [0, 1]))
    stale = tmp_path / "s" / "train" / "images-00001.arrow.4242.tmp"
    stale.write_bytes(b"half a shard")
    with StoreWriter(tmp_path / "s", {"a": 1}) as writer:
        assert not stale.exists()
        assert writer.missing("train", 1) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_is_said_and_leaves_nothing_behind(tmp_path, monkeypatch, call):
    write_atomic(tmp_path / "file", b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store_module.os, call, full)
    with pytest.raises(StoreError, match=r"no space left on the disk for 0.0 MB more.*finished are kept"):
        write_atomic(tmp_path / "file", b"new")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_store_travels_to_another_process(fake):
    twin = pickle.loads(pickle.dumps(fake))
    assert twin.content_hash == fake.content_hash
    np.testing.assert_array_equal(twin.sounds("val").audio(0, 5, 5), np.arange(5, 10))
    assert "train 720/240" in repr(twin)
