"""LLINet and its ablations in the explorer: maps of `locate`, matches of the embeddings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from zeroshot_fakes import ABLATION, DIRECT, fresh

from llinet_lite import zeroshot
from llinet_lite.show.explorer import Explorer, Stage


@pytest.fixture(scope="module")
def runs(trunk):
    return {name: fresh(plan, trunk) for name, plan in ABLATION.items()}


@pytest.fixture(scope="module")
def stage(runs, store):
    return Stage({n: zeroshot.listener(r, store, DIRECT) for n, r in runs.items()}, store, "unseen", most=0)


@pytest.mark.parametrize("name", ABLATION)
def test_maps_are_those_of_locate(runs, store, stage, name):
    located = zeroshot.locate_usual(runs[name], store, "unseen", DIRECT)
    own, silent = located.maps("own"), located.maps("silence")
    rows = [int(np.flatnonzero(located.clip == k)[0]) for k in sorted(set(located.clip.tolist()))]
    assert len(rows) == len(stage.pictures)
    for picture in stage.pictures[::4]:
        k = rows[picture.index]
        answer = stage.answer(name, picture, stage.own_sound(picture))
        assert np.allclose(answer.heat, own[k], rtol=1e-4, atol=1e-5)
        truth = located.masks[k]
        assert (answer.truth is None) == (not truth.any())
        assert answer.truth is None or np.array_equal(answer.truth, truth)
        dark = stage.answer(name, picture, stage.choose("silence", picture, 0))
        assert np.allclose(dark.heat, silent[k], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ABLATION)
def test_matches_are_the_scores_of_retrieval(runs, store, stage, name):
    found = runs[name].embed(store, "unseen", DIRECT)
    expected = found.scores.numpy()  # clip by clip
    for picture in stage.pictures[::6]:
        scores = {s.index: score for s, score in stage.nearest_sounds(name, picture, 99)}
        assert np.allclose([scores[k] for k in range(len(scores))], expected[picture.index], atol=1e-5)
        back = {
            p.index: score for p, score in stage.nearest_pictures(name, stage.own_sound(picture), count=99)
        }
        assert np.allclose([back[k] for k in range(len(back))], expected[:, picture.index], atol=1e-5)


@torch.no_grad()
def test_a_spot_is_compared_by_the_cosine(runs, stage):
    picture, network = stage.pictures[1], runs["llinet"].model.network
    fitting = {s.index: score for s, score in stage.fitting("llinet", picture, (0.6, 0.2), 99)}
    cells = stage.seen("llinet", picture).cells[0]
    rows, columns = cells.shape[1:]
    cell = cells[:, int(0.6 * rows), int(0.2 * columns)].double().numpy()
    for sound in stage.sounds[::5]:
        vector = stage.heard("llinet", sound).vector
        key = network.transform(vector)[0].double().numpy()
        cosine = cell @ key / (np.linalg.norm(cell) * np.linalg.norm(key))
        assert fitting[sound.index] == pytest.approx(cosine, abs=1e-5)
    assert stage.fitting("matching", picture, (0.6, 0.2)) is None, "no sound takes part in the gate"
    assert stage.fitting("baseline", picture, (0.6, 0.2)) is None


def test_photos_and_longer_recordings(runs, photos):
    tool = Explorer({"LLINet": zeroshot.listener(runs["llinet"], photos, DIRECT)}, photos, "unseen")
    assert "own sound (violin)" in tool.status and "cosine" in str(tool.found["sounds"][0]["measure"])
    tool.time = 0.7
    assert "around 0.70 s" in tool.status


def test_titles_and_maps_can_be_chosen(runs, store):
    plain = zeroshot.listener(runs["matching"], store, DIRECT)
    assert plain.title == "LLINet" and plain.scale == "maximum" and plain.fit is None
    heard = zeroshot.listener(runs["matching"], store, DIRECT, title="random W", map="transformed")
    assert heard.title == "random W" and heard.fit is not None


def test_what_makes_no_map_is_refused(runs, store, trunk):
    with pytest.raises(ValueError, match="map must be one of"):
        zeroshot.listener(runs["llinet"], store, DIRECT, map="attention")
    with pytest.raises(ValueError, match="has no gate"):
        zeroshot.listener(runs["baseline"], store, DIRECT, map="gate")
    with pytest.raises(ValueError, match="CMPM has one vector per picture"):
        zeroshot.listener(fresh(zeroshot.Plan("cmpm", "CMPM", 1), trunk), store, DIRECT)
