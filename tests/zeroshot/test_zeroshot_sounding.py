"""Where LLINet hears a sound: cells, sounds and maps against the network itself, picture by picture."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from zeroshot_fakes import ABLATION, DIRECT, RATE, SETTINGS, WORLD, fresh, photo_rows

from llinet_lite import sounding, zeroshot
from llinet_lite.data.bandstand import build
from llinet_lite.data.store import StoreWriter
from llinet_lite.features import LogMel, to_image, to_waveform
from llinet_lite.metrics.localization import evaluate
from llinet_lite.sounding import other_class
from llinet_lite.world.instruments import instrument
from llinet_lite.zeroshot.sounding import duets, locate, peaks, usual_map


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Solos and mixed scenes of the unseen classes."""
    small = dataclasses.replace(WORLD, mixed=2, unseen_share=0.01)
    folder = tmp_path_factory.mktemp("scenes") / "tiny"
    return build(folder, small, splits=("unseen", "scenes_unseen"), workers=1, progress=False)


@pytest.fixture(scope="module")
def runs(trunk):
    return {name: fresh(plan, trunk) for name, plan in ABLATION.items()}


@pytest.fixture(scope="module")
def solos(runs, world):
    return locate(runs["llinet"], world, "unseen", DIRECT)


def picture(store, split: str, k: int) -> torch.Tensor:
    """Centre crop of a picture as a network sees it, (1, 3, 32, 32)."""
    return to_image(torch.from_numpy(store.images(split).image(k)[4:36, 4:36].copy())[None])


def samples(store, split: str, row: int) -> torch.Tensor:
    """A whole sound, (1, n) int16."""
    table = store.sounds(split)
    return torch.from_numpy(np.array(table.audio(row, 0, int(table.length[row]))))[None]


def heard(run, audio: torch.Tensor) -> torch.Tensor:
    """Transformed vector of a sound, (1, C)."""
    network = run.model.network
    return network.transform(network.embed_audio(LogMel(RATE)(to_waveform(audio))))


@torch.no_grad()
def test_maps_are_those_of_the_network_for_the_whole_sound_of_the_clip(runs, world, solos):
    images, network = world.images("unseen"), runs["llinet"].model.network
    assert np.array_equal(solos.row, np.arange(len(images))) and np.array_equal(solos.clip, images.clip)
    own, silent = solos.maps(), solos.maps("silence")
    order = other_class(solos.label, 0)
    wrong = solos.maps("shuffled", seed=0)
    for k in (0, 5, len(images) - 1):
        seen, clip = picture(world, "unseen", k), int(images.clip[k])
        mel = LogMel(RATE)(to_waveform(samples(world, "unseen", clip)))
        assert torch.allclose(own[k], network.localize(seen, mel)[0], rtol=1e-4, atol=1e-5)
        mute = LogMel(RATE)(torch.zeros(1, 2 * RATE))
        assert torch.allclose(silent[k], network.localize(seen, mute)[0], rtol=1e-4, atol=1e-5)
        other = int(images.clip[order[k]])
        mel = LogMel(RATE)(to_waveform(samples(world, "unseen", other)))
        assert torch.allclose(wrong[k], network.localize(seen, mel)[0], rtol=1e-4, atol=1e-5)


def test_masks_are_cropped_like_the_pictures(world, solos):
    images = world.images("unseen")
    for k in (0, 3):
        assert np.array_equal(solos.objects[k], images.objects(k)[4:36, 4:36])
    assert set(solos.kind) == {"solo"} and np.array_equal(solos.label, images.label)


def test_kept_activations_change_nothing_but_their_rounding(runs, world, solos):
    kept = locate(runs["llinet"], world, "unseen", SETTINGS)
    assert torch.allclose(kept.cells, solos.cells, rtol=1e-2, atol=1e-2)
    assert not torch.equal(kept.cells, solos.cells), "16 bits were kept"
    assert torch.equal(kept.sound, solos.sound)
    late = locate(runs["baseline"], world, "unseen", SETTINGS, map="mean").cells
    direct = locate(runs["baseline"], world, "unseen", DIRECT, map="mean").cells
    assert torch.allclose(late, direct, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_the_mean_map_of_the_baseline_is_that_of_the_frozen_trunk(runs, world, trunk):
    located = locate(runs["baseline"], world, "unseen", DIRECT, map="mean")
    late = trunk.late(trunk.early(picture(world, "unseen", 4)))[0].double().numpy()
    assert np.allclose(located.maps()[4], sum(late) / len(late), atol=1e-5)
    assert torch.equal(located.maps(), located.maps("silence")), "the sound plays no part"
    assert torch.equal(located.maps(), located.maps("shuffled"))


@torch.no_grad()
def test_the_map_of_the_gate_is_its_softmax_over_positions(runs, world):
    run = runs["matching"]
    located = locate(run, world, "unseen", DIRECT, map="gate")
    local = run.model.network.embed_image(picture(world, "unseen", 2))[1][0].double().numpy()
    gate = [np.exp(c - c.max()) / np.exp(c - c.max()).sum() for c in local]
    assert np.allclose(located.maps()[2], np.mean(gate, axis=0), atol=1e-6)
    assert torch.allclose(located.maps().sum((1, 2)), torch.ones(len(located.row)), atol=1e-5)
    mean = locate(run, world, "unseen", DIRECT, map="mean").maps()[2]
    assert np.allclose(mean, local.mean(0), atol=1e-5), "v_bar, for the attention layer is trained"


def test_every_training_has_its_usual_map(runs):
    assert {name: usual_map(run) for name, run in runs.items()} == {
        "llinet": "transformed", "matching": "gate", "baseline": "mean",
    }  # fmt: skip


@torch.no_grad()
def test_photos_are_tried_with_a_sound_of_their_class(runs, photos):
    run = runs["llinet"]
    located = locate(run, photos, "train", DIRECT)
    assert np.array_equal(located.clip, np.arange(24)), "every photo is drawn by itself"
    labels, length = photos.sounds("train").label, int(photos.sounds("train").length.min())
    every = []
    for row in range(len(labels)):
        whole = samples(photos, "train", row)
        start = (whole.shape[1] - length) // 2
        every.append(heard(run, whole[:, start : start + length]))
    every = torch.cat(every)
    for label, sound in zip(located.label, located.sound, strict=True):
        assert (every[labels == label] - sound).abs().amax(1).min() < 1e-4
    again, other = (locate(run, photos, "train", DIRECT, seed=seed).sound for seed in (0, 1))
    assert torch.equal(again, located.sound) and not torch.equal(other, located.sound)


def test_a_dead_transformation_gives_a_map_of_zeros_that_can_be_judged(runs, world):
    """Where ReLU lets nothing through there is no maximum to cut at, and nothing is predicted."""
    run = fresh(ABLATION["llinet"], runs["llinet"].trunk)
    with torch.no_grad():
        run.model.network.transformation.bias.fill_(-1e6)
    located = locate(run, world, "unseen", DIRECT)
    assert (located.maps() == 0).all() and (located.maps("silence") == 0).all()
    shown = located.pick(located.masks.any((1, 2)))
    for rule in ({}, {"mask_resize": "bicubic"}, {"k": 4}):
        result = evaluate(shown.maps(), shown.masks, "llinet2020", **rule)
        assert result.value == 0 and np.isfinite(result.numbers["AUC51"])


def test_what_makes_no_map_is_refused(runs, world, trunk, tmp_path):
    with pytest.raises(ValueError, match="map must be one of transformed, mean, gate"):
        locate(runs["llinet"], world, "unseen", DIRECT, map="attention")
    with pytest.raises(ValueError, match="has no gate"):
        locate(runs["baseline"], world, "unseen", DIRECT, map="gate")
    rival = fresh(zeroshot.Plan("cmpm", "CMPM", 1), trunk)
    with pytest.raises(ValueError, match="CMPM has one vector per picture"):
        locate(rival, world, "unseen", DIRECT)
    images, sounds = photo_rows("test", range(2), 2, 2)
    manifest = {
        "name": "bare", "sample_rate": RATE, "seconds": 1.5, "image_size": 40,
        "classes": [{"name": f"class {k}", "seen": True} for k in range(2)],
    }  # fmt: skip
    with StoreWriter(tmp_path / "bare", {"bare": 1}) as writer:
        writer.add_shard("test", 0, [row | {"objects": b""} for row in images], sounds)
        bare = writer.finish(manifest, {"test": 1})
    with pytest.raises(ValueError, match="test holds no masks"):
        locate(runs["llinet"], bare, "test", DIRECT)


@torch.no_grad()
def test_duets_are_tried_with_solo_sounds_of_both_classes_and_of_a_third(runs, world):
    run = runs["llinet"]
    tried = duets(run, world, DIRECT)
    scenes, table = tried.scenes, world.sounds("unseen")
    assert len(scenes.row) and set(scenes.kind) == {"duet"}
    vectors = torch.cat([heard(run, samples(world, "unseen", row)) for row in range(len(table))])
    facts = [world.images("scenes_unseen").factors(int(row)) for row in scenes.row]
    assert [instrument(fact["partner"]).label for fact in facts] == tried.partner.tolist()
    for k, pair in enumerate(zip(scenes.label, tried.partner, strict=True)):
        first, second = (table.label == label for label in pair)
        wanted = (tried.first, first), (tried.second, second), (tried.third, ~(first | second))
        for maps, which in wanted:
            options = torch.einsum("chw,nc->nhw", scenes.cells[k], vectors[which])
            assert (options - maps[k]).abs().amax((1, 2)).min() < 1e-4
    with_seed = duets(run, world, DIRECT, seed=5)
    assert not torch.equal(with_seed.third, tried.third)
    assert sounding.follows([tried])["on its box"].n == len(np.unique(scenes.clip))


def test_peaks_are_those_of_the_maps(runs, world, solos):
    found = peaks(runs["llinet"], world, DIRECT)
    assert np.allclose(found["solo"], solos.maps().flatten(1).max(1).values)
    assert len(found["silence"]) == len(found["duet"]) == 4, "two scenes of two pictures"
