"""A network and somebody's clips: what is sensed, ranks against SciPy's, luck against all orders."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from llinet_lite.data.media import encode_jpeg
from llinet_lite.data.store import StoreWriter
from llinet_lite.show.explorer import AudioFeatures, ImageFeatures, Localizer
from llinet_lite.sounding.clips import luck, own_ranks, prototypes, sense

RATE, SIDE = 1000, 8


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two splits of clips with two pictures each; a grey value tells the clip, a sample its place."""
    folder, clips = tmp_path_factory.mktemp("store") / "s", {"train": [0, 1, 1], "test": [2]}
    with StoreWriter(folder, {}) as writer:
        for number, (split, labels) in enumerate(clips.items()):
            images, sounds = [], []
            for row, label in enumerate(labels):
                shared = {"label": label, "kind": "video", "factors": "{}"}
                grey = np.full((SIDE, SIDE + 4, 3), 10 + 20 * (row + 3 * number), np.uint8)
                audio = np.arange(2000, dtype="<i2") + 100 * label
                sounds.append({"id": f"{split}{row}", "audio": audio.tobytes(), **shared})
                for time in (1.0 + 0.04 * row, 1.2):
                    more = {"clip": row, "time": time, "jpeg": encode_jpeg(grey), "objects": b""}
                    images.append({"id": f"{split}{row}+{time}", **more, **shared})
            writer.add_shard(split, 0, images, sounds)
        names = [{"name": name, "seen": True} for name in "abc"]
        facts = {"name": "fake", "sample_rate": RATE, "seconds": 2.0, "image_size": SIDE, "classes": names}
        return writer.finish(facts, {"train": 1, "test": 1})


@pytest.fixture
def listener():
    """Cells are the grey value plus the column; a sound is its first sample and a constant."""

    def see(pictures):
        grey = torch.from_numpy(pictures).float()[:, ::4, ::4, 0]  # (N, 2, 2)
        return ImageFeatures((grey + torch.arange(2.0))[:, None], grey.mean((1, 2))[:, None])

    def hear(sounds):
        first = torch.from_numpy(np.array(sounds)).float()[:, :1]
        return AudioFeatures(first, torch.cat([first, torch.full_like(first, 300.0)], 1))

    def match(seen, heard):
        return -(seen.vector - heard.vector[:, :1].T).abs()

    def heat(cells, key):
        return cells[:, 0] * key[:, :, None]

    return Localizer("fake", SIDE, see, hear, heat, match, None, "maximum", "distance", None, 1.0)


def test_every_clip_is_sensed_once_with_the_second_around_its_picture(store, listener):
    clips = sense(listener, store)
    assert len(clips) == 4 and clips.file == ("train0", "train1", "train2", "test0")
    assert clips.label.tolist() == [0, 1, 1, 2]
    assert clips.time == pytest.approx([1.0, 1.04, 1.08, 1.0])
    assert clips.image.shape == (4, SIDE, SIDE, 3) and clips.audio.shape == (4, RATE)
    first = np.rint(clips.time * RATE) - RATE // 2 + 100 * clips.label  # the sample that says its place
    assert clips.audio[:, 0].tolist() == first.tolist()
    assert np.abs(clips.image[:, 4, 4, 0].astype(int) - [10, 30, 50, 70]).max() <= 2


def test_matches_and_maps_are_the_listeners(store, listener):
    clips = sense(listener, store)
    grey, sound = clips.image[:, ::4, ::4, 0].mean((1, 2)), clips.audio[:, 0]
    expected = -np.abs(grey[:, None] - sound[None])
    np.testing.assert_allclose(clips.match(), expected, atol=1e-4)
    maps = clips.maps()
    assert maps.shape == (4, 2, 2) and maps.amax((1, 2)).tolist() == [1, 1, 1, 1]
    assert (maps[:, :, 1] > maps[:, :, 0]).all() and clips.moved() == 0.0


def test_the_highest_cell_moves_where_the_sound_moves_it(store, listener):
    def heat(cells, key):  # another cell for every sound
        return torch.nn.functional.one_hot((key[:, 0] / 20).long() % 4, 4).float().reshape(-1, 2, 2)

    moving = Localizer(*(heat if k == "heat" else v for k, v in vars(listener).items()))
    clips = sense(moving, store)
    cells = (clips.audio[:, 0] // 20) % 4
    assert clips.moved() == (cells != np.roll(cells, 1)).mean() > 0


def test_photos_are_refused_with_what_to_do(tmp_path, listener):
    with StoreWriter(tmp_path / "s", {}) as writer:
        shared = {"label": 0, "kind": "photo", "factors": "{}"}
        image = {"clip": -1, "time": -1.0, "jpeg": encode_jpeg(np.zeros((SIDE, SIDE, 3), np.uint8))}
        sound = {"id": "s", "audio": bytes(2 * 2000), **shared}
        writer.add_shard("train", 0, [{"id": "i", "objects": b"", **image, **shared}], [sound])
        facts = {"name": "p", "sample_rate": RATE, "seconds": 2.0, "image_size": SIDE}
        photos = writer.finish(facts | {"classes": [{"name": "a", "seen": True}]}, {"train": 1})
    with pytest.raises(ValueError, match=r"by class only.*zeroshot\.embed"):
        sense(listener, photos)


def test_ranks_are_scipys():
    scores = np.random.default_rng(0).integers(0, 6, (9, 9)).astype(float)  # with many ties
    expected = [rankdata(-row, method="average")[i] for i, row in enumerate(scores)]
    np.testing.assert_array_equal(own_ranks(scores), expected)


def test_luck_is_the_share_of_all_assignments():
    scores = np.random.default_rng(3).normal(size=(5, 5)) + 0.8 * np.eye(5)
    true = own_ranks(scores).mean()
    every = [own_ranks(scores[:, list(order)]).mean() <= true for order in itertools.permutations(range(5))]
    assert luck(scores) == pytest.approx(np.mean(every), abs=0.03)
    assert luck(scores, seed=1) != luck(scores, seed=2) and luck(100 * np.eye(30)) == pytest.approx(1 / 2001)


def test_prototypes_are_the_means_of_unit_vectors(store, listener):
    labels, means = prototypes(listener, store, ("train", "test"))
    assert labels.tolist() == [0, 1, 2]
    for label, mean in zip(labels, means, strict=True):
        vector = np.array([500.0 + 100 * label, 300.0])  # the middle second begins at sample 500
        np.testing.assert_allclose(mean, vector / np.linalg.norm(vector), rtol=1e-5)
    assert prototypes(listener, store, ("train",), most=1)[0].tolist() == [0, 1]
