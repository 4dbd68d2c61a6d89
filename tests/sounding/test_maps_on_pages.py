"""What is drawn of maps and told of protocols, against the evaluator and against maps by hand."""

from __future__ import annotations

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from sounding_fakes import Album, seeing, squares

from llinet_lite import sounding
from llinet_lite.metrics.localization import baselines, evaluate


@pytest.fixture(autouse=True)
def no_figures():
    yield
    plt.close("all")


@pytest.fixture
def located():
    """Random maps of 4 x 4 cells, between 0 and 9."""
    objects, rng = squares(24), np.random.default_rng(1)
    located = seeing(objects, np.arange(24) % 4)
    cells = torch.from_numpy(9 * rng.random((24, 3, 4, 4)).astype(np.float32))
    return dataclasses.replace(located, cells=cells)


def test_protocols_stand_side_by_side_each_with_its_own_rows(located):
    rows = sounding.protocol_rows(located, ("lvs2021", "objects2018", "adaptive"))
    assert list(rows.columns) == ["lvs2021, cIoU", "objects2018, pointing", "adaptive, cIoU"]
    assert list(rows.index[:3]) == ["Dot", "shuffled sound", "silence"]
    for column, protocol in zip(rows.columns, ("lvs2021", "objects2018", "adaptive"), strict=True):
        judged = {
            "Dot": evaluate(located.maps("own"), located.masks, protocol),
            "silence": evaluate(located.maps("silence"), located.masks, protocol),
            **baselines(located.masks, protocol),
        }
        for name, result in judged.items():
            shown = rows.loc[name, column]
            assert shown.startswith(f"{result.value:.1%} ["), (name, column)
            low, high = (float(end.strip(" %]")) for end in shown.split("[")[1].split(","))
            assert low <= round(100 * result.value, 1) <= high, (name, column)
    assert rows.loc["whole image", "objects2018, pointing"] == "-", "a point is no area"
    assert rows.loc["image centre", "lvs2021, cIoU"] == "-"


def test_success_falls_with_the_overlap_and_the_ceiling_is_on_top(located):
    figure = sounding.success_figure(located)
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) > 5}
    assert {"Dot", "centre disc", "whole image", "oracle ceiling"} <= set(lines)
    for name, shares in lines.items():
        assert (np.diff(shares) <= 1e-9).all(), name
        assert (np.asarray(lines["oracle ceiling"]) >= np.asarray(shares) - 1e-9).all(), name


def test_sizes_share_out_the_pictures():
    objects = np.zeros((9, 20, 20), np.uint8)
    for k, side in enumerate((4, 4, 4, 10, 10, 10, 16, 16, 16)):
        objects[k, 2 : 2 + side, 2 : 2 + side] = 1
    table = sounding.by_size(seeing(objects, np.arange(9) % 3))
    assert list(table.index) == ["small", "medium", "large"] and list(table.n) == [3, 3, 3]
    assert (table.pointing == 1).all(), "the map is the mask"


def shown_maps(figure) -> list[np.ndarray]:
    """The maps under which pictures are drawn, in order."""
    return [ax.images[1].get_array().data for ax in figure.axes if len(ax.images) == 2]


def test_maps_on_no_fixed_scale_are_drawn_as_shares_of_their_maximum(located):
    album, maps = Album(24), located.maps("own").numpy()
    with pytest.raises(ValueError, match="probabilities from 0 to 1"):
        sounding.map_wall(album, "test", located, [0, 5])
    figure = sounding.map_wall(album, "test", located, [5, 0], scale="maximum")
    for shown, k in zip(shown_maps(figure), (5, 0), strict=True):
        assert np.allclose(shown, maps[k] / maps[k].max())
    assert figure.axes[-1].get_ylabel() == "share of the map's maximum"
    picture = figure.axes[0].images[0].get_array()
    weights = np.array([0.299, 0.587, 0.114])
    assert np.allclose(picture, 0.25 + 0.75 * album.pictures[5][4:20, 4:20] @ weights / 255)
    calm = dataclasses.replace(located, cells=located.cells / 10)
    figure = sounding.map_wall(album, "test", calm, [0])
    assert figure.axes[-1].get_ylabel() == "probability of correspondence"
    assert np.allclose(shown_maps(figure)[0], maps[0] / 10)
    with pytest.raises(ValueError, match="scale must be one of probability, maximum"):
        sounding.map_wall(album, "test", calm, [0], scale="logits")


def test_a_map_of_zeros_stays_dark(located):
    dark = dataclasses.replace(located, cells=torch.zeros_like(located.cells))
    figure = sounding.map_wall(Album(24), "test", dark, [0], scale="maximum")
    assert (shown_maps(figure)[0] == 0).all()


def test_the_four_maps_of_a_duet_share_one_scale(located):
    maps = [located.maps("own") * factor for factor in (1.0, 2.0, 0.5)]
    tried = sounding.Duets(located, *maps, (located.label + 1) % 4)
    figure = sounding.duet_wall(Album(24), "scenes", tried, count=2, scale="maximum")
    shown = np.stack(shown_maps(figure)).reshape(2, 4, 4, 4)
    for row, k in zip(shown, (0, 23), strict=True):
        own = located.maps("own")[k].numpy()
        top = 2 * own.max()
        assert np.allclose(row, np.stack([own, 2 * own, 0 * own, own / 2]) / top)
    assert figure.axes[-1].get_ylabel() == "share of the picture's maximum"
    captions = [ax.get_title() for ax in figure.axes if " and\n" in ax.get_title()]
    assert captions == ["class 0 and\nclass 1", "class 3 and\nclass 0"]
