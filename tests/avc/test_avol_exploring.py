"""AVOL-Net in the explorer: its maps and matches are those of the network, by `locate` and by itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from avc_fakes import RATE, SETTINGS, WORLD, fresh

from llinet_lite import avc
from llinet_lite.data.bandstand import build
from llinet_lite.show.explorer import Explorer, Stage


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A solo clip of every seen class."""
    folder = tmp_path_factory.mktemp("solos") / "tiny"
    return build(folder, WORLD, splits=("test",), workers=1, progress=False)


@pytest.fixture(scope="module")
def run():
    return fresh("avolnet")


@pytest.fixture(scope="module")
def stage(run, store):
    return Stage({"AVOL-Net": avc.listener(run, store, SETTINGS)}, store, "test", most=0)


def test_maps_are_those_of_locate(run, store, stage):
    located = avc.locate(run, store, "test", SETTINGS)
    own, silent = located.maps("own"), located.maps("silence")
    rows = [int(np.flatnonzero(located.clip == k)[0]) for k in sorted(set(located.clip.tolist()))]
    assert len(rows) == len(stage.pictures)
    for picture in stage.pictures[::5]:
        k = rows[picture.index]  # the first picture of every clip, class by class, as the clips are
        answer = stage.answer("AVOL-Net", picture, stage.own_sound(picture))
        assert np.allclose(answer.heat, own[k], atol=1e-5)
        truth = located.masks[k]
        assert (answer.truth is None) == (not truth.any())
        assert answer.truth is None or np.array_equal(answer.truth, truth)
        dark = stage.answer("AVOL-Net", picture, stage.choose("silence", picture, 0))
        assert np.allclose(dark.heat, silent[k], atol=1e-5)


@torch.no_grad()
def test_a_moment_is_the_second_around_it(run, store, stage):
    picture = stage.pictures[3]
    sound = stage.own_sound(picture)
    start = round(0.3 * RATE)  # 0.8 s less half a second
    samples = torch.from_numpy(np.array(store.sounds("test").audio(picture.sound, start, RATE)))[None]
    expected = run.model.embed_audio(avc.Senses(SETTINGS).hear(samples))
    assert torch.allclose(stage.heard("AVOL-Net", sound, 0.8).key, expected, atol=1e-5)


@torch.no_grad()
def test_a_pair_matches_as_its_best_cell_says(run, stage):
    picture = stage.pictures[2]
    scores = {s.key: score for s, score in stage.nearest_sounds("AVOL-Net", picture, 99)}
    seen = stage.seen("AVOL-Net", picture)
    for sound in stage.sounds[::6]:
        key = run.model.embed_audio(
            avc.Senses(SETTINGS).hear(torch.tensor(sound.piece(1.0, None).copy())[None])
        )
        assert scores[sound.key] == pytest.approx(float(run.model.heat(seen.cells, key).max()), abs=1e-5)
    fitting = {s.key: score for s, score in stage.fitting("AVOL-Net", picture, (0.1, 0.9), 99)}
    for sound in stage.sounds[::6]:
        heat = run.model.heat(
            seen.cells, stage.localizers["AVOL-Net"].embed_audio(sound.piece(1.0, None)[None].copy()).key
        )
        assert fitting[sound.key] == pytest.approx(float(heat[0, 0, -1]), abs=1e-5)


def test_photos_are_explored_with_sounds_of_their_class(run, photos):
    tool = Explorer({"AVOL-Net": avc.listener(run, photos, SETTINGS)}, photos, "test")
    assert "own sound (cello)" in tool.status and "IoU" in tool.status
    picture = tool.stage.pictures[0]
    assert tool.stage.own_sound(picture).labels == {0} and picture.time is None


def test_what_does_not_fit_is_refused(store):
    with pytest.raises(ValueError, match="l3net makes no maps"):
        avc.listener(fresh("l3net"), store, SETTINGS)
    with pytest.raises(ValueError, match="the sounds have 16000 Hz, the profile 8000"):
        avc.listener(fresh("avolnet"), store, dataclasses.replace(SETTINGS, sample_rate=8000))
