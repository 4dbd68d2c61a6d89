"""Embedding a split: which items, in which order, and the same numbers whatever else is asked for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from zeroshot_fakes import SETTINGS, by_cosine, found, random_scores, trunk_of

from llinet_lite.features import LogMel, to_image, to_waveform
from llinet_lite.metrics.retrieval import chance_mean_average_precision
from llinet_lite.zeroshot import OURS, Plan, embed, items_of
from llinet_lite.zeroshot.activations import see
from llinet_lite.zeroshot.task import build

CMPM, OURS_HERE = Plan("cmpm", "CMPM", 1), Plan("llinet", OURS, 1)
PICTURES = dataclasses.replace(SETTINGS, keep_activations=False)


@pytest.fixture(scope="module")
def model(trunk):
    return build(CMPM, trunk, SETTINGS, 20, 0)


# ------------------------------------------------------------------------------------------ items


def test_a_clip_is_one_picture_and_one_sound(store):
    items, images = items_of(store, "train"), store.images("train")
    clips = len(store.sounds("train"))
    assert items.sound_row.tolist() == items.sound_clip.tolist() == list(range(clips))
    assert np.array_equal(images.clip[items.image_row], items.image_clip)
    for clip, row in zip(items.image_clip, items.image_row, strict=True):
        mine = np.flatnonzero(np.asarray(images.clip) == clip)
        assert images.time[row] == images.time[mine].min(), "the first one"
    assert sorted(items.image_clip) == list(range(clips))
    assert np.array_equal(items.image_label, images.label[items.image_row])
    assert np.array_equal(items.sound_label, store.sounds("train").label)
    assert items.image_label.dtype == np.int64


def test_classes_and_the_largest_number_of_a_class(store, photos):
    everything = items_of(store, "train")
    label, count = np.unique(everything.image_label, return_counts=True)
    chosen = label[[0, 5, int(count.argmax())]]
    part = items_of(store, "train", classes=chosen)
    assert np.array_equal(part.image_row, everything.image_row[np.isin(everything.image_label, chosen)])
    assert set(part.sound_label) == set(chosen)
    for most in (1, 3):
        few = items_of(photos, "train", classes=[1, 3], most=most)
        assert few.image_label.tolist() == [1] * most + [3] * most
        assert few.image_row.tolist() == [*range(6, 6 + most), *range(18, 18 + most)], "the first ones"
        assert few.sound_row.tolist() == [*range(4, 4 + most), *range(12, 12 + most)]
    assert len(items_of(photos, "train", most=5).image_row) == 20
    assert len(items_of(photos, "train", most=5).sound_row) == 16, "there are four of each class"


def test_photos_stand_for_themselves(photos):
    items = items_of(photos, "unseen")
    assert items.image_row.tolist() == items.image_clip.tolist() == [0, 1, 2]
    assert items.sound_row.tolist() == items.sound_clip.tolist() == [0, 1, 2, 3, 4]
    assert set(items.image_label) == set(items.sound_label) == {4}


# ------------------------------------------------------------------------------------- embedding


@torch.no_grad()
@pytest.mark.parametrize("plan", [CMPM, OURS_HERE, Plan("scan", "SCAN", 1)], ids=lambda plan: plan.name)
def test_embeddings_are_those_of_the_single_item(store, trunk, plan):
    model = build(plan, trunk, SETTINGS, 20, 0).eval()
    all_of = embed(model, trunk, store, "val", SETTINGS)
    images, sounds = store.images("val"), store.sounds("val")
    for k in (0, 11, 23):
        image = torch.from_numpy(images.image(int(all_of.items.image_row[k]))[None, 4:36, 4:36].copy())
        seen = see(trunk, to_image(image), model.needs)
        audio = sounds.audio(k, 0, int(sounds.length[k]))
        logmel = LogMel(store.sample_rate)(to_waveform(torch.from_numpy(np.array(audio))[None]))
        torch.testing.assert_close(all_of.image[k], model.embed_image(seen)[0], rtol=0.02, atol=0.02)
        torch.testing.assert_close(all_of.audio[k], model.embed_audio(logmel)[0], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(all_of.scores, model.scores(all_of.image, all_of.audio))


def test_it_is_exact_repeatable_and_leaves_the_mode_as_it_was(store, trunk, model):
    with torch.random.fork_rng():
        for training in (True, False):
            model.train(training)
            state = {name: value.clone() for name, value in model.state_dict().items()}
            found = [embed(model, trunk, store, "unseen", SETTINGS) for _ in range(2)]
            assert model.training is training and not found[0].image.requires_grad
            assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
            for part in ("image", "audio", "scores"):
                one, two = (getattr(f, part) for f in found)
                assert one.dtype == torch.float32 and torch.equal(one, two)
    model.train()
    with torch.autocast("cpu", torch.bfloat16):
        under = embed(model, trunk, store, "unseen", SETTINGS)
    assert torch.equal(under.scores, found[0].scores), "in 32 bits, and in eval mode, also when training"


def test_the_mode_comes_back_after_an_error(store, trunk):
    model = build(CMPM, trunk, SETTINGS, 20, 0).train()
    model.embed_audio = lambda logmel: 1 / 0
    with pytest.raises(ZeroDivisionError):
        embed(model, trunk, store, "unseen", SETTINGS)
    assert model.training


@pytest.mark.parametrize("plan", [CMPM, OURS_HERE], ids=lambda plan: plan.name)
def test_kept_activations_and_pictures_give_the_same(store, trunk, plan):
    model = build(plan, trunk, SETTINGS, 20, 0)
    kept, read = (embed(model, trunk, store, "unseen", settings) for settings in (SETTINGS, PICTURES))
    assert not torch.equal(kept.image, read.image), "kept in 16 bits"
    torch.testing.assert_close(kept.image, read.image, rtol=0.02, atol=0.02)
    assert torch.equal(kept.audio, read.audio)


@pytest.mark.parametrize("settings", [SETTINGS, PICTURES], ids=["kept", "pictures"])
def test_items_come_in_their_order_and_do_not_depend_on_one_another(store, photos, trunk, model, settings):
    for of, split in ((store, "train"), (photos, "train")):
        everything = embed(model, trunk, of, split, settings)
        items = items_of(of, split, classes=np.unique(everything.items.image_label)[[3, 1]])
        part = embed(model, trunk, of, split, settings, items)
        assert part.items is items
        rows = [everything.items.image_row.tolist().index(k) for k in items.image_row]
        torch.testing.assert_close(part.image, everything.image[rows], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(part.audio, everything.audio[items.sound_row], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(part.image, everything.image[rows[::-1]], rtol=1e-2), "they do differ"
        assert part.scores.shape == (len(items.image_row), len(items.sound_row))


def test_sounds_of_unlike_length_are_cut_in_the_middle(photos, trunk):
    """Also for classes all of whose sounds are longer than the shortest of the split."""
    heard = []

    class Listening(nn.Module):
        needs = ("pooled",)

        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(1))

        def embed_image(self, seen):
            return seen["pooled"]

        def embed_audio(self, logmel):
            heard.append(logmel)
            return logmel.mean(1)

        def scores(self, image, audio):
            return image[:, :1] @ audio[:, :1].T

    items = items_of(photos, "train", classes=[3])  # 1.5 s, where class 0 has 1.2 s
    embed(Listening(), trunk, photos, "train", SETTINGS, items)
    sounds, rate = photos.sounds("train"), photos.sample_rate
    assert {int(k) for k in sounds.length} == {round(s * rate) for s in (1.2, 1.3, 1.4, 1.5)}
    shortest, start = round(1.2 * rate), round(0.15 * rate)
    audio = np.stack([sounds.audio(int(row), start, shortest) for row in items.sound_row])
    assert torch.equal(torch.cat(heard), LogMel(rate)(to_waveform(torch.from_numpy(audio))))


def test_a_drifting_trunk_is_read_in_eval_mode(store):
    plan = Plan("x", OURS, 1, options={"frozen_bn": "train"})
    model = build(plan, trunk_of(), SETTINGS, 20, 0).train()
    own = model.network.trunk
    before = {name: value.clone() for name, value in own.state_dict().items()}
    one, two = (embed(model, own, store, "unseen", SETTINGS) for _ in range(2))
    assert torch.equal(one.image, two.image) and own.network.bn1.training
    assert all(torch.equal(before[name], value) for name, value in own.state_dict().items())


# -------------------------------------------------------------------------------------- searching


def test_a_collapsed_network_gets_chance():
    labels = np.array([0] * 7 + [1] * 3 + [2] * 5)
    same_all = by_cosine(torch.ones(15, 4), torch.ones(15, 4), labels).retrieval()
    chance = chance_mean_average_precision(labels, labels)
    for one in same_all.values():
        assert one.mean_average_precision == pytest.approx(chance) == pytest.approx(one.chance_precision)


def test_both_directions_are_searched_in_one_matrix():
    labels, heard = np.array([0, 0, 1]), np.array([0, 1, 1, 1])
    scores = random_scores(3, 0, 4)
    scores[:, 0] += 9  # every picture finds sound 0
    both = found(scores, labels, heard).retrieval()
    assert both["I2A"].hits.tolist() == [True, True, False]
    own = labels[scores.argmax(0).numpy()] == heard
    assert both["A2I"].hits.tolist() == own.tolist()
