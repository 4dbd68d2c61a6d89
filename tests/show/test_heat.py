"""Heat maps over pictures: on one scale, in the right place, with an honest verdict."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from llinet_lite.show import heat

SIDE = 112
IMAGE = np.full((SIDE, SIDE, 3), 128, np.uint8)


@pytest.fixture
def ax():
    fig, ax = plt.subplots(figsize=(3, 3))
    yield ax
    plt.close(fig)


def spot(row: int, column: int, value: float = 0.9) -> np.ndarray:
    cells = np.full((7, 7), 0.1)
    cells[row, column] = value
    return cells


def mask_of(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[rows, columns] = True
    return mask


def test_the_map_lies_over_the_cell_it_speaks_of():
    """Pixels of the finished drawing: warmest around the centre of the largest cell, nowhere else."""
    fig = plt.figure(figsize=(SIDE / 50, SIDE / 50), dpi=50)
    ax = fig.add_axes((0, 0, 1, 1))
    heat.overlay(ax, IMAGE, spot(1, 5, 1.0))
    ax.set_title("")
    assert ax.get_ylim() == (SIDE - 0.5, -0.5), "the picture hangs upright, its first row on top"
    fig.canvas.draw()
    drawn = np.asarray(fig.canvas.buffer_rgba())[..., :3].sum(-1).astype(float)
    plt.close(fig)
    drawn -= drawn.min()
    rows, columns = np.mgrid[: drawn.shape[0], : drawn.shape[1]]
    bright = np.where(drawn > drawn.max() / 2, drawn, 0)
    centre = (bright * rows).sum() / bright.sum(), (bright * columns).sum() / bright.sum()
    assert np.allclose(centre, (1.5 * 16, 5.5 * 16), atol=2), centre


def test_scale_is_fixed_whatever_the_map_holds(ax):
    heat.overlay(ax, IMAGE, np.full((7, 7), 0.02))
    assert ax.images[1].get_clim() == (0, 1) and ax.images[1].get_interpolation() == "bilinear"
    assert ax.get_title() == "max 0.02"


@pytest.mark.parametrize(("columns", "verdict"), [(slice(80, 96), "hit"), (slice(0, 16), "miss")])
def test_the_verdict_is_that_of_the_pointing_test(ax, columns, verdict):
    heat.overlay(ax, IMAGE, spot(1, 5), mask_of(slice(16, 32), columns), title="violin")
    assert ax.get_title() == f"violin\n{verdict}, max 0.90"
    (cross,) = ax.lines
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (88, 24)


def test_without_a_sounding_object_nothing_is_judged(ax):
    heat.overlay(ax, IMAGE, spot(1, 5), np.zeros((SIDE, SIDE), bool), title="silence")
    assert ax.get_title() == "silence\nmax 0.90" and not ax.lines


def test_logits_and_strange_masks_are_refused(ax):
    with pytest.raises(ValueError, match="sigmoid"):
        heat.overlay(ax, IMAGE, spot(0, 0, 3.0))
    with pytest.raises(ValueError, match="sigmoid"):
        heat.overlay(ax, IMAGE, spot(0, 0, np.nan))
    with pytest.raises(ValueError, match="does not fit"):
        heat.overlay(ax, IMAGE, spot(0, 0), np.ones((7, 7), bool))


def test_the_wall_shows_every_sound_of_every_picture():
    mask = mask_of(slice(16, 32), slice(80, 96))
    row = heat.HeatRow("a duet", IMAGE, np.stack([spot(1, 5)] * 4), [mask, ~mask, None, None])
    fig = heat.heat_wall([row, row])
    titles = [ax.get_title() for ax in fig.axes[:5]]
    assert titles[0] == "a duet" and titles[1].startswith(f"{heat.COLUMNS[0]}\nhit")
    assert "miss" in titles[2] and not any(word in titles[3] for word in ("hit", "miss"))
    assert len(fig.axes) == 11 and fig.axes[-1].get_ylabel() == "probability of correspondence"
    assert fig.get_size_inches()[0] <= 10
    plt.close(fig)
    with pytest.raises(ValueError, match="a duet: 4 maps and 4 masks for 2 columns"):
        heat.heat_wall([row], columns=("one", "two"))


def test_pointing_shows_interval_centre_and_paper():
    rows = [("all classes", 0.7, 0.65, 0.75, 0.4), ("harp", 0.5, 0.3, 0.7, 0.6)]
    fig = heat.pointing_bars(rows, paper={"all classes": (0.817, 0.572)})
    (ax,) = fig.axes
    drawn = {(tuple(np.ravel(line.get_xdata())), float(np.ravel(line.get_ydata())[0])) for line in ax.lines}
    assert drawn == {
        ((0.65, 0.75), 0),
        ((0.4,), 0),
        ((0.817,), 0),
        ((0.572,), 0),
        ((0.3, 0.7), 1),
        ((0.6,), 1),
    }
    assert [bar.get_width() for bar in ax.patches] == [0.7, 0.5]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["all classes", "harp"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1], "first row on top"
    plt.close(fig)
    legend = heat.pointing_bars(rows).axes[0].get_legend().get_texts()
    assert not any("paper" in text.get_text() for text in legend)
    plt.close("all")


def test_success_curves_differ_by_line_and_colour():
    thresholds = np.linspace(0, 1, 21)
    curves = {
        name: (thresholds < k / 5) * 1.0 for k, name in enumerate(("net", "disc", "image", "ceiling"), 1)
    }
    (ax,) = heat.success_curves(thresholds, curves).axes
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), curves["disc"])
    assert len({line.get_linestyle() for line in ax.lines[:4]}) == 4
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(curves)
    assert ax.lines[0].get_linewidth() > ax.lines[1].get_linewidth()
    plt.close(ax.figure)


def test_the_disc_is_round_and_in_the_centre(ax):
    heat.discs(ax, IMAGE[:, :80], 0.25, mask_of(slice(0, 10), slice(0, 10))[:, :80], title="disc")
    (disc,) = ax.patches
    assert disc.get_radius() == 20 and disc.center == (39.5, 55.5)
    assert ax.get_title() == "disc" and ax.collections
