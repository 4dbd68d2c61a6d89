"""The packed store: what goes in comes out, whole or not at all."""

import json
import pickle

import numpy as np
import pytest

from llinet_lite.data.bandstand import InventedSet, build
from llinet_lite.data.store import (
    JoinedStore,
    Store,
    StoreError,
    StoreWriter,
    over_cores,
    shard_path,
    write_shard,
)


def test_rows_come_back(fake):
    images, sounds = fake.images("train"), fake.sounds("train")
    assert (len(images), len(sounds)) == (720, 240) and (sounds.length == 16000).all()
    np.testing.assert_array_equal(images.clip, np.repeat(np.arange(240), 3))
    np.testing.assert_array_equal(images.label, np.repeat(sounds.label, 3))
    for i in (0, 7, 61, 719, -1):
        clip = images.clip[i]
        code = [clip // 64 % 8 * 32, clip // 8 % 8 * 32, clip % 8 * 32]
        assert np.abs(images.image(i)[:, :8].astype(int) - code).max() < 12
        np.testing.assert_array_equal(images.objects(i)[:, 12:], 1)
        assert images.factors(i) == {"clip": clip}
    assert images.kind[0] == "solo" and sounds.id[3] == "train/3"
    with pytest.raises(IndexError, match="row 720 of a table with 720 rows"):
        images.image(720)
    twin = pickle.loads(pickle.dumps(fake))  # as to a worker process
    assert twin.content_hash == fake.content_hash and "train 720/240" in repr(twin)


def test_audio_is_a_view_and_never_padded(fake):
    sounds = fake.sounds("train")
    window = sounds.audio(100, 4321, 800)
    np.testing.assert_array_equal(window, np.arange(4321, 5121))
    assert not window.flags.owndata and not window.flags.writeable
    assert len(sounds.audio(0)) == 16000 and len(sounds.audio(0, 15000)) == 1000
    for start, length in ((-1, 10), (15991, 10), (0, 16001)):
        with pytest.raises(ValueError, match="leave sound 0"):
            sounds.audio(0, start, length)


def test_hash_knows_the_rows_and_not_the_shards(tmp_path, write):
    def one_sample(images, sounds):
        audio = bytearray(sounds[-1]["audio"])
        audio[-1] ^= 1
        sounds[-1]["audio"] = bytes(audio)

    def one_time(images, sounds):
        images[0]["time"] += 0.04

    how = {"a": {}, "b": {"per_shard": 7}, "c": {"change": one_sample}, "d": {"change": one_time}}
    found = {name: write(tmp_path / name, {"x": [0] * 30}, **one).content_hash for name, one in how.items()}
    assert found["a"] == found["b"] and len(set(found.values())) == 3


def test_damage_is_found_and_named(tmp_path, write):
    made = write(tmp_path / "s", {"train": [0] * 40})
    made.verify()
    path, manifest = shard_path(made.folder, "train", "sounds", 1), made.folder / "manifest.json"
    data = bytearray(path.read_bytes())
    data[-5000] ^= 255
    path.write_bytes(data)
    with pytest.raises(StoreError, match="not those that were built"):
        Store(made.folder).verify()
    with StoreWriter(made.folder, made.manifest["plan"]) as writer:
        assert writer.finished
        with pytest.raises(StoreError, match="not the rows that were built first; delete the folder"):
            writer.finish({}, {"train": 2})
    with pytest.raises(StoreError, match="no split 'dev'; there are train"):
        made.sounds("dev")
    for damage, message in (
        (lambda: path.write_bytes(data[:50]), r"sounds-00001.arrow: this shard is damaged"),
        (path.unlink, "missing; build the store again"),
        (lambda: manifest.write_text(json.dumps({**made.manifest, "format": 99})), "format 99"),
        (lambda: manifest.write_text("{"), "cannot be read .*; delete it and build"),
        (manifest.unlink, "begun but not finished"),
        ((made.folder / "plan.json").unlink, r"no manifest.json.*llinet world build"),
    ):
        damage()
        with pytest.raises(StoreError, match=message):
            Store(made.folder).sounds("train")


def test_a_folder_is_begun_resumed_and_refused(tmp_path):
    plan, other = {"image_size": 128, "seed": 0}, {"image_size": 256, "seed": 0}
    with StoreWriter(tmp_path / "s", plan) as writer:
        write_shard(writer.folder, "train", 0, [], [])
        with pytest.raises(StoreError, match="another process"), StoreWriter(tmp_path / "s", plan):
            pass
    stale = tmp_path / "s" / "train" / "images-00001.arrow.4242.tmp"
    stale.write_bytes(b"half a shard")
    with (
        pytest.raises(StoreError, match=r"other settings \(image_size: 128 there, 256 now\).*delete"),
        StoreWriter(tmp_path / "s", other),
    ):
        pass
    with StoreWriter(tmp_path / "s", plan) as writer:
        assert writer.missing("train", 2) == [1] and not stale.exists()
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match="not empty"), StoreWriter(tmp_path, {}):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_come_back_with_their_results(workers):
    assert list(over_cores(divmod, [(7, 2), (9, 4)], workers)) == [(3, 1), (2, 1)]
    assert list(over_cores(divmod, [], workers)) == []
    with pytest.raises(ZeroDivisionError):
        list(over_cores(divmod, [(1, 1), (1, 0)], workers))


def test_joined_stores_are_one_after_the_other(tmp_path, tiny_store):
    plan = InventedSet("few", 40, 16000, 2.0, 1, mixed=1, classes=20, takes=2)
    invented = build(tmp_path / "invented", plan, workers=1, progress=False)
    parts = {"train": {0: "train", 1: "train"}, "invented": {1: "test"}}
    both = pickle.loads(pickle.dumps(JoinedStore([tiny_store, invented], parts)))
    first, images, sounds = len(tiny_store.images("train")), both.images("train"), both.sounds("train")
    assert [row["name"] for row in both.classes[32:34]] == ["inv-0000", "inv-0001"]
    assert len(images) == first + 32 == both.splits["train"]["images"]
    assert set(images.label[first:]) == set(range(32, 48)) and images.time.shape == images.label.shape
    assert (sounds.label[images.clip] == images.label).all()
    assert both.images("invented").clip.tolist() == [0, 1, 2, 3] and set(both.sounds("invented").label) == {
        50,
        51,
    }
    assert set(invented.images("scenes").kind) == {"duet", "distractor", "offscreen", "silence"}
    assert (images.image(first) == invented.images("train").image(0)).all()
    assert (sounds.audio(-1 + len(sounds), 0, 9) == invented.sounds("train").audio(31, 0, 9)).all()
    assert both.content_hash != tiny_store.content_hash
    with pytest.raises(StoreError, match="sample_rate of"):
        invented.manifest["sample_rate"] = 8000
        JoinedStore([tiny_store, invented], parts)
