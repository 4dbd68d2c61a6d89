"""The vectors of a split: one per clip and view, of unit length, and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from avc_fakes import RATE, SETTINGS, fresh, random_unit, vectors_of
from torch.nn.functional import normalize

from llinet_lite import avc
from llinet_lite.avc.spaces import vectors
from llinet_lite.data.bandstand import first_images
from llinet_lite.features import LogSpectrogram, to_image, to_waveform
from llinet_lite.rivals.cca import CCA

VIEWS = {"middle": "avenet", "frames": "avenet-mf", "flow": "avenet-of"}


def centre(image: np.ndarray, side: int = 32) -> np.ndarray:
    top = (len(image) - side) // 2
    return image[top : top + side, top : top + side]


def spectrogram(samples: np.ndarray) -> torch.Tensor:
    """Straight from the definition of the profile."""
    s = SETTINGS
    layer = LogSpectrogram(RATE, s.window / RATE, s.hop / RATE, s.n_fft, s.frames)
    return layer(to_waveform(torch.from_numpy(np.array(samples))[None]))


@pytest.mark.parametrize("view", VIEWS)
def test_every_clip_has_one_picture_and_the_second_around_it(store, view):
    run = fresh(VIEWS[view], view=view)
    items = avc.embed(run, store, "test", SETTINGS)
    images, clips = store.images("test"), len(store.sounds("test"))
    assert items.image.shape == items.audio.shape == (clips, 128) and items.paired
    for part in (items.image, items.audio):
        assert part.dtype == torch.float32 and torch.allclose(part.norm(dim=1), torch.ones(clips), atol=1e-5)
    assert np.array_equal(items.image_row, first_images(images))
    assert np.array_equal(items.audio_row, images.clip[items.image_row])
    assert np.array_equal(items.image_label, images.label[items.image_row])
    assert np.array_equal(items.audio_label, store.sounds("test").label[items.audio_row])


@pytest.mark.parametrize("network", ["l3net", "avenet"])
def test_vectors_are_the_networks_own_for_what_the_store_holds(store, network):
    run = fresh(network)
    items = avc.embed(run, store, "test", SETTINGS)
    images, sounds = store.images("test"), store.sounds("test")
    for k in (0, 5, 23):
        row, clip = int(items.image_row[k]), int(items.audio_row[k])
        picture = to_image(torch.from_numpy(centre(images.image(row)).copy())[None])
        start = round((float(images.time[row]) - 0.5) * RATE)
        with torch.no_grad():
            seen = normalize(run.model.embed_image(picture))[0]
            heard = normalize(run.model.embed_audio(spectrogram(sounds.audio(clip, start, RATE))))[0]
        assert torch.allclose(items.image[k], seen, atol=1e-5)
        assert torch.allclose(items.audio[k], heard, atol=1e-5)


def test_for_fitting_every_picture_is_embedded(store):
    items = avc.embed(fresh("l3net"), store, "train", SETTINGS, every=True)
    assert np.array_equal(items.image_row, np.arange(len(store.images("train"))))
    assert len(items.audio) == len(items.image), "each with its own second of sound"
    assert items.image.shape[1] == 8 * SETTINGS.width


def test_a_method_may_say_nothing_about_one_sense(store, photos):
    for data in (store, photos):
        blind = vectors(data, "test", SETTINGS, None, lambda batch: batch["audio"][:, :5].float())
        deaf = vectors(data, "test", SETTINGS, lambda batch: batch["image"].flatten(1).float(), None)
        assert blind.image is None and blind.audio.shape[1] == 5
        assert deaf.audio is None and len(deaf.image) == len(deaf.image_label)


def test_photos_and_recordings_are_embedded_apart(photos):
    run = fresh("avenet")
    items = avc.embed(run, photos, "test", SETTINGS)
    assert not items.paired
    assert len(items.image) == len(photos.images("test")) == 12
    assert len(items.audio) == len(photos.sounds("test")) == 16
    assert np.array_equal(items.image_label, photos.images("test").label)
    assert np.array_equal(items.audio_label, photos.sounds("test").label)
    middle = photos.sounds("test").audio(7, RATE // 4, RATE)  # of one and a half seconds
    with torch.no_grad():
        assert torch.allclose(items.audio[7], run.model.embed_audio(spectrogram(middle))[0], atol=1e-5)


def test_pictures_of_one_method_meet_the_sounds_of_another(store):
    pictures, sounds = (avc.embed(fresh("l3net", seed), store, "test", SETTINGS) for seed in (0, 1))
    both = avc.combine(pictures, sounds)
    assert torch.equal(both.image, pictures.image) and torch.equal(both.audio, sounds.audio)
    assert both.paired and np.array_equal(both.image_row, pictures.image_row)


def test_combining_refuses_other_items(store, photos):
    middle = avc.embed(fresh("l3net"), store, "test", SETTINGS)
    every = avc.embed(fresh("l3net"), store, "test", SETTINGS, every=True)
    with pytest.raises(ValueError, match="vectors of the same items"):
        avc.combine(middle, every)
    apart = vectors_of(middle.image, middle.audio, middle.image_label, paired=False)
    alike = vectors_of(middle.image, middle.audio, middle.image_label)
    with pytest.raises(ValueError, match="embed the same split in the same way"):
        avc.combine(alike, apart)


def test_pairs_of_clips_are_matched_as_they_are(store):
    items = avc.embed(fresh("l3net"), store, "val", SETTINGS)
    image, audio = avc.matched(items)
    assert torch.equal(image, items.image) and torch.equal(audio, items.audio)


def test_items_that_share_classes_only_are_matched_within_a_class():
    photo, record = np.array([0, 0, 1, 2, 2, 3]), np.array([2, 1, 0, 1, 2, 2, 0])  # none of class 3
    items = vectors_of(
        torch.eye(6), torch.eye(7), photo, paired=False, audio_labels=record
    )  # a vector says which item it is of
    image, audio = avc.matched(items, draws=50, seed=1)
    pictures, sounds = image.argmax(1).numpy(), audio.argmax(1).numpy()
    assert np.array_equal(photo[pictures], record[sounds])
    assert np.array_equal(np.bincount(pictures, minlength=6), [50, 50, 50, 50, 50, 0])
    for k, label in enumerate(photo[:5]):
        assert set(sounds[pictures == k]) == set(np.flatnonzero(record == label)), "every sound of the class"
    again, other = avc.matched(items, draws=50, seed=1), avc.matched(items, draws=50, seed=2)
    assert torch.equal(again[1], audio) and not torch.equal(other[1], audio)


def test_aligned_items_are_the_projections_of_the_same_items():
    labels = np.arange(40) % 8
    image, audio = random_unit(40, 6, 0), random_unit(40, 5, 1)
    items = vectors_of(image, audio, labels)
    cca = CCA.paper(4).fit(image, audio)
    found = avc.align(cca, items)
    assert torch.allclose(found.image, normalize(cca.transform_image(image)), atol=1e-6)
    assert torch.allclose(found.audio, normalize(cca.transform_audio(audio)), atol=1e-6)
    assert torch.allclose(found.audio.norm(dim=1), torch.ones(40), atol=1e-5)
    assert found.image_label is items.image_label and found.paired
