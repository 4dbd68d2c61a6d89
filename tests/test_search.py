"""Retrieval tables: cells against scikit-learn and by hand, and rivals fitted by seed."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch.nn.functional import normalize, one_hot

from llinet_lite.experiments import runs, search
from llinet_lite.experiments.embedding import Embedded, Items
from llinet_lite.metrics.relevance import relevance_of, same_class
from llinet_lite.metrics.retrieval import DIRECTIONS
from llinet_lite.world.instruments import INSTRUMENTS

CLASSES = tuple(row.name for row in INSTRUMENTS[:8])
LABELS = np.repeat(np.arange(8), 12)
IMAGES, AUDIO = np.repeat([3, 8, 9], [9, 6, 12]), np.repeat([3, 8, 9], [5, 7, 8])  # another number of each


def items(image, audio=None, paired=False) -> Items:
    audio = image if audio is None else audio
    rows = np.arange(len(image)), np.arange(len(audio))
    return Items(*rows, np.asarray(image), np.asarray(audio), *rows, paired)


def unit(*shape, seed) -> torch.Tensor:
    return normalize(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), dim=1)


def of_scores(scores, image=IMAGES, audio=AUDIO) -> Embedded:
    return Embedded(items(image, audio), torch.zeros(len(image), 1), torch.zeros(len(audio), 1), scores)


def skilled(seed, skill=0.0) -> Embedded:
    right = torch.from_numpy(IMAGES[:, None] == AUDIO)
    return of_scores(torch.rand(right.shape, generator=torch.Generator().manual_seed(seed)) + skill * right)


# ---- graded retrieval


def perfect(labels=LABELS) -> Embedded:
    both = one_hot(torch.from_numpy(labels), 8).float()
    return Embedded(items(labels, paired=True), both, both)


def noise(seed) -> Embedded:
    return Embedded(items(LABELS, paired=True), unit(96, 16, seed=seed), unit(96, 16, seed=seed + 100))


def rows_of(**embedded) -> dict[str, search.Method]:
    return {name: search.Method(of, "", range(len(of)), len(of)) for name, of in embedded.items()}


@pytest.mark.parametrize("gain", ["exponential", "linear"])
def test_vectors_that_know_the_class_and_vectors_that_know_nothing(gain):
    methods = rows_of(perfect=[perfect()], noise=[noise(s) for s in range(3)])
    table = search.ndcg_table(methods, same_class(CLASSES), gain=gain)
    assert list(table.values) == ["random", "same class", "perfect", "noise"]
    assert table.columns == [f"nDCG@30 {gain}, {direction}" for direction in DIRECTIONS]
    for column in table.columns:
        assert table.interval("perfect", column).value == pytest.approx(1)
        chance = table.interval("random", column).value
        assert chance == table.chance[column] < 0.3
        assert abs(table.interval("noise", column).value - chance) < 0.03
        assert table.difference("perfect", "noise", column).low > 0.5


def test_the_own_clip_is_left_out_within_and_found_across():
    """One clip per class: within a modality nothing relevant is left, across it is the pair alone."""
    methods = rows_of(perfect=[perfect(np.arange(8))])
    table = search.ndcg_table(methods, same_class(CLASSES))
    found = [table.interval("perfect", column).value for column in table.columns]
    assert found == [0, 1, 1, 0]
    stated = search.four_directions(methods, same_class(CLASSES), "linear").statements()
    assert list(stated) == list(DIRECTIONS)
    assert "own clip is left out" in stated["im-im"] and "own clip stays in" in stated["im-aud"]


def test_a_method_without_audio_has_images_only_and_other_items_are_refused(tiny_workspace):
    deaf = dataclasses.replace(noise(1), audio=None)
    table = search.ndcg_table(rows_of(**{"VGG16-ImageNet": [deaf]}), same_class(CLASSES))
    (found,) = (row for row in table.results(tiny_workspace()) if row.name.endswith("VGG16-ImageNet"))
    assert (found.name, found.paper) == ("nDCG@30 exponential, im-im, VGG16-ImageNet", 0.6)
    late = dataclasses.replace(noise(0), items=items(LABELS[:-1], paired=True))
    with pytest.raises(ValueError, match="other items than the first"):
        search.ndcg_table(rows_of(first=[noise(0)], late=[late]), same_class(CLASSES))


def test_rivals_are_fitted_to_pairs_of_a_class_where_there_are_no_clips():
    labels, heard = np.array([0, 1, 1, 5]), np.array([1, 0, 1, 0, 0])  # nothing to hear of class 5
    image, audio = torch.arange(4.0)[:, None], torch.arange(5.0)[:, None]
    seen, found = search.matched(Embedded(items(labels, heard), image, audio))
    assert seen.ravel().tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert (labels[seen.ravel().int()] == heard[found.ravel().int()]).all()
    one = perfect()
    assert search.matched(one) == (one.image, one.audio), "clips keep their own audio"


def test_every_rival_of_the_table_on_the_same_items(tiny_workspace, tiny_store):
    workspace = tiny_workspace()
    known = runs.plans(workspace.profile)
    ave = [runs.train_or_load(workspace, known["avenet-all"], seed) for seed in (0, 1)]
    methods = search.ndcg_methods(workspace, {"AVE-Net": ave})
    vgg = "VGG16 (stand-in)"
    assert list(methods) == [
        "L3-Net", "L3-Net + CCA, paper", "L3-Net + CCA, tuned", vgg,
        f"{vgg} + L3 audio, CCA, paper", f"{vgg} + L3 audio, CCA, tuned", "AVE-Net",
    ]  # fmt: skip
    table = search.ndcg_table(methods, relevance_of([c["name"] for c in tiny_store.classes]))
    clips = len(tiny_store.sounds("test"))
    for name, method in methods.items():
        assert [len(found.image) for found in method.vectors] == [clips, clips]
        assert table.values[name][table.columns[0]].shape == (2, clips)
        lengths = torch.cat([found.image.norm(dim=1) for found in method.vectors])
        torch.testing.assert_close(lengths, torch.ones_like(lengths))
    assert methods[vgg].vectors[0].audio is None
    assert table.minutes["AVE-Net"] == sum(run.minutes for run in ave)


# ---- class retrieval


def table_of(monkeypatch, **embedded):
    """Table 1 of methods that are given by what they embed, seed by seed."""
    monkeypatch.setattr(search, "embed", lambda run, store, split: run.found)
    given = {
        name: [SimpleNamespace(found=one, seed=seed, minutes=1.5) for seed, one in enumerate(of)]
        for name, of in embedded.items()
    }
    return search.class_table(given, None)[0]


def test_cells_are_what_scikit_learn_finds(monkeypatch, tiny_workspace):
    seeds = [skilled(0, 0.5), skilled(1, 0.5)]
    table = table_of(monkeypatch, LLINet=seeds, CMPM=[skilled(2)] * 2)
    assert table.columns == list(search.COLUMNS)
    for column in search.COLUMNS:
        metric, direction = column.split()
        expected = []
        for one in seeds:
            ranked = one.scores.numpy() if direction == "I2A" else one.scores.numpy().T
            queries, gallery = (IMAGES, AUDIO) if direction == "I2A" else (AUDIO, IMAGES)
            for label, row in zip(queries, ranked, strict=True):
                right = gallery == label
                precision = average_precision_score(right, row)
                expected.append(precision if metric == "mAP" else right[row.argmax()])
        np.testing.assert_allclose(table.values["LLINet"][column].ravel(), expected, atol=1e-7)
        assert table.interval("LLINet", column).value == pytest.approx(np.mean(expected))
        less = table.interval("LLINet", column).value - table.interval("CMPM", column).value
        assert table.difference("LLINet", "CMPM", column).value == pytest.approx(less)
    one = {result.name: result for result in table.results(tiny_workspace())}["R@1 A2I, LLINet"]
    assert (one.seeds, one.n, one.minutes) == ((0, 1), len(AUDIO), 3.0) and one.paper == pytest.approx(0.383)
