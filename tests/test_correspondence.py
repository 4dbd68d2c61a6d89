"""Scores of correspondence networks against oracles and loops; what they confuse."""

import numpy as np
import pytest
import torch

from llinet_lite.experiments import correspondence, runs
from llinet_lite.experiments.correspondence import Score, evaluate
from llinet_lite.metrics.intervals import clip_bootstrap
from llinet_lite.world.room import imprint


@pytest.fixture
def fresh(tiny_workspace):
    """Maker of runs whose networks are as they begin: plan name -> Run."""
    workspace = tiny_workspace()

    def make(name: str, seed: int = 0) -> runs.Run:
        plan = runs.plans(workspace.profile)[name]
        method, inputs = runs.fresh(workspace, plan, seed)
        return runs.Run(plan, workspace.profile, seed, method.eval(), inputs, [], 0, 1.5, False)

    return make


@pytest.fixture
def pairs(tiny_store, tiny_workspace):
    return runs.pair_list(tiny_store, "test", tiny_workspace().profile)


def said(right: np.ndarray, pairs) -> Score:
    """A score whose answers are right where told."""
    return Score(np.where(pairs.rows.match.astype(bool) == right, 0.9, 0.1), pairs)


def test_a_score_counts_right_answers(pairs):
    match = pairs.rows.match.astype(bool)
    for probability, share in ((match, 1.0), (~match, 0.0)):
        score = Score(probability.astype(float), pairs)
        assert score.interval.value == share == score.right.mean() and score.interval.n == len(match)


def test_the_imprint_is_added_at_the_phase_of_the_clip(tiny_store, tiny_workspace):
    profile = tiny_workspace().profile
    naive = {"profile": profile, "grid": None}
    traced, clean = (runs.pair_list(tiny_store, "test", **naive, imprint=one) for one in (2.0, 0.0))
    trace = imprint(2.0, 16000, 2.0) * 32768
    for k in (0, 1):
        start = int(traced.rows.start[k])
        added = traced[0]["audio"][k].numpy().astype(float) - clean[0]["audio"][k].numpy()
        assert np.abs(added - trace[start : start + 16000]).max() <= 1


def test_items_are_clips_or_photos_and_recordings_apart(tiny_photos, tiny_workspace, pairs):
    match = pairs.rows.match == 1
    items = Score(match, pairs).items
    assert (items[match, 0] == items[match, 1]).all(), "one clip"
    assert (items[~match, 0] != items[~match, 1]).all()
    apart = runs.pair_list(tiny_photos, "test", tiny_workspace().profile)
    items = Score(apart.rows.match, apart).items
    assert not set(items[:, 0]) & set(items[:, 1])


def test_a_network_is_judged_on_the_view_that_it_was_trained_with(tiny_store, fresh):
    names = "avenet-of", "avenet-single", "avenet-all"
    flow, middle, both = (evaluate(fresh(name), tiny_store) for name in names)
    assert flow.pairs.source.view == "flow" and len(flow.match) == 2 * len(tiny_store.sounds("test"))
    assert np.array_equal(flow.items, middle.items), "the same pairs, so they can be compared one by one"
    assert len(both.match) == 2 * len(tiny_store.images("test"))


def test_one_seed_keeps_the_bootstrap_and_several_get_students_error_too(tiny_workspace, fresh, pairs):
    workspace, count = tiny_workspace(), len(pairs.rows.match)
    order = np.random.default_rng(0).permutation(count)
    scores = [said(order < share * count, pairs) for share in (0.4, 0.5, 0.6)]
    trained = [fresh("avenet-all", seed) for seed in range(3)]
    one = correspondence.accuracy("one", scores[:1], trained[:1], workspace, 0.8)
    three = correspondence.accuracy("three", scores, trained, workspace)
    alone = clip_bootstrap(order < 0.4 * count, scores[0].items)
    assert one.bounds == alone.numbers
    assert (one.chance, one.paper, one.n, one.seeds, one.minutes) == (0.5, 0.8, count, (0,), 1.5)
    values = [score.interval.value for score in scores]
    half = 4.302653 * np.std(values, ddof=1) / np.sqrt(3)  # Student's t for two degrees of freedom
    assert three.value == pytest.approx(np.mean(values)) and (three.high - three.low) / 2 > half
    assert (three.seeds, three.minutes, three.paper) == ((0, 1, 2), 4.5, None)


def test_the_difference_of_two_networks_is_the_mean_over_pairs_and_seeds(pairs):
    rng, count = np.random.default_rng(0), len(pairs.rows.match)
    answers = rng.random((2, 3, count)) < np.array([0.9, 0.4])[:, None, None]
    first, second = ([said(one, pairs) for one in of] for of in answers)
    found = correspondence.difference(first, second)
    assert found.value == pytest.approx(answers[0].mean() - answers[1].mean())
    assert 0 < found.low < found.value < found.high
    assert correspondence.difference(first, first).numbers == (0, 0, 0)


def test_distances_are_those_that_the_network_decides_by(fresh, pairs):
    run = fresh("avenet-all")
    distance = correspondence.distances(run, pairs)
    assert distance.shape == pairs.rows.match.shape and (distance >= 0).all() and (distance <= 2).all()
    weight, bias = (w.detach().cpu().numpy() for w in (run.network.fc3.weight[:, 0], run.network.fc3.bias))
    logits = distance[:, None] * weight + bias
    expected = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    assert np.allclose(runs.judge(run.method, run.inputs, pairs), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["l3net-all", "avolnet-all"])
def test_the_class_matrix_is_the_mean_over_pairs_of_classes(tiny_store, fresh, name):
    run, images, sounds = fresh(name), tiny_store.images("test"), tiny_store.sounds("test")
    matrix, classes = correspondence.class_matrix(run, tiny_store, "test")
    present, answers = np.unique(images.label), []
    assert matrix.shape == (len(classes), len(classes)) == (len(present),) * 2
    for r in np.flatnonzero(images.label == present[1]):
        for c in np.flatnonzero(sounds.label == present[2]):
            image = torch.from_numpy(images.image(int(r)))[None, 4:-4, 4:-4]
            start = (int(sounds.length[c]) - 16000) // 2
            heard = torch.from_numpy(sounds.audio(int(c), start, 16000).copy())[None]
            with torch.inference_mode():
                seen, heard = run.inputs({"image": image, "audio": heard})
                logits = run.network.pairs(run.network.embed_image(seen), run.network.embed_audio(heard))
            answers.append(float(logits.softmax(1)[0, 1]))
    assert matrix[1, 2] == pytest.approx(np.mean(answers), abs=1e-4)
