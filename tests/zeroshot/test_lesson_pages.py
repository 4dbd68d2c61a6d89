"""What lesson 07 shows beside its table."""

from __future__ import annotations

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np

from llinet_lite.metrics.intervals import Interval
from llinet_lite.zeroshot import sounding_pages


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
