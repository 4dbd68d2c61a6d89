"""What lessons 07 and 08 show beside their tables."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from test_zeroshot_recognition import exam

from llinet_lite.metrics import recognition as measures
from llinet_lite.metrics.intervals import Interval
from llinet_lite.zeroshot import recognition_pages, sounding_pages
from llinet_lite.zeroshot.recognition import nearest
from llinet_lite.zeroshot.recognition_pages import (
    CHOICES,
    ask_ours,
    choice_results,
    choices_frame,
    prototype_choices,
    prototype_figure,
)


def pair(noise: float):
    return exam(noise), exam(noise)


def test_ours_are_asked_with_held_out_prototypes_by_the_cosine():
    asked = [pair(2.0)]
    last = asked[0][1]
    unseen = list(last.columns[1])
    said = measures.predict(last.ask(nearest())[1], unseen)
    want = measures.class_mean(last.labels(last.unseen_items), said, unseen)
    assert ask_ours(asked).value == pytest.approx(want)


def test_choices_are_compared_with_the_honest_one():
    found = prototype_choices({"LLINet": [pair(2.0)]})
    assert [choice for _, choice in found] == list(CHOICES)
    honest, none = found["LLINet", next(iter(CHOICES))]
    assert none is None
    for (_, choice), (cell, gain) in list(found.items())[1:]:
        assert gain.value == pytest.approx(cell.value - honest.value), choice
    lesson = SimpleNamespace(settings=SimpleNamespace(name="smoke"), data_hash="x")
    names = [row.name for row in choice_results(found, lesson, (0,))]
    assert names == [f"acc, LLINet: {choice}" for choice in list(CHOICES)[1:]]
    assert choices_frame(found).shape == (4, 2) and choices_frame(found).iloc[0, 1] == "-"


def test_the_plane_has_one_star_per_unseen_class(monkeypatch):
    drawn = {}
    monkeypatch.setattr(recognition_pages.spaces, "tsne", lambda vectors, seed: np.asarray(vectors)[:, :2])
    monkeypatch.setattr(recognition_pages, "names", lambda store, labels: [f"class {k}" for k in labels])
    monkeypatch.setattr(recognition_pages, "prototype_map", lambda *a: drawn.update(a=a) or plt.figure())
    plt.close(prototype_figure(None, exam(0.3)))
    points, labels, kinds, names = drawn["a"]
    assert kinds.count("prototype") == 3 == len(names) and len(points) == len(labels) == len(kinds)
    assert labels[-3:].tolist() == [0, 1, 2]


def test_duets_stand_side_by_side():
    test = SimpleNamespace(rows={"moves": Interval(0.5, 0.4, 0.6, 9)})
    frame = sounding_pages.side_by_side({"LLINet": test, "AVOL-Net": test})
    assert frame.loc["moves", "LLINet"] == "0.5 [0.4, 0.6]" and list(frame) == ["LLINet", "AVOL-Net"]
    assert sounding_pages.side_by_side({}) is None


def test_peaks_are_shares_of_the_solos_median():
    fig = sounding_pages.peaks_figure({"solo": np.array([1.0, 2.0, 3.0]), "silence": np.array([4.0, 4.0])})
    medians = [line.get_xdata()[0] for line in fig.axes[0].lines if line.get_color() != "0.8"]
    assert 1.0 in medians and 2.0 in medians
    plt.close(fig)


def test_thresholds_are_chosen_on_classes_that_the_seed_never_trained_on(monkeypatch):
    monkeypatch.setattr(sounding_pages, "held_out", lambda store, seed: np.array([seed, 7]))

    class Maps:
        label = np.array([0, 1, 7, 1])

        def pick(self, which):
            return self.label[which].tolist()

    runs = {"LLINet": [SimpleNamespace(seed=0), SimpleNamespace(seed=1)]}
    found = sounding_pages.held_out_maps(
        runs, {"LLINet": lambda run, store, split, settings: Maps()}, None, None
    )
    assert found == {"LLINet": [[0, 7], [1, 7, 1]]}
