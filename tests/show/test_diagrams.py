"""Drawings of networks: the shapes on the arrows are those of the networks, and nothing covers anything."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from llinet_lite.models.towers import AudioTower, VisionTower, layer_table
from llinet_lite.show import diagrams

SIZES = [
    {"crop": 224, "bins": 257, "frames": 200, "width": 64},
    {"crop": 112, "bins": 129, "frames": 100, "width": 16},
    {"crop": 65, "bins": 131, "frames": 99, "width": 8},
]
LAPTOP = {
    "crop": 112,
    "early": (32, 28, 28),
    "late": (64, 14, 14),
    "top": (128, 7, 7),
    "frames": 101,
    "width": 16,
    "size": 256,
    "blocks": ("conv1\nconv2", "conv3", "conv4"),
}


def laptop():
    return diagrams.llinet(**LAPTOP)


DRAWINGS = [diagrams.ave_net, diagrams.avol_net, diagrams.ave_mf, diagrams.ave_of, diagrams.llinet, laptop]


def said(fig) -> list[str]:
    texts = [text.get_text() for text in fig.findobj(Text) if text.get_text()]
    plt.close(fig)
    return texts


def blocks(tower, *shape) -> list[str]:
    """Output of the last layer of each block, measured on the network."""
    with torch.device("meta"):
        table = layer_table(tower, torch.empty(1, *shape))
    sizes = dict(zip(table.layer, table.output, strict=True))
    return ["x".join(map(str, sizes[name])) for name in ("pool1", "pool2", "pool3", "conv4_2")]


@pytest.mark.parametrize("size", SIZES)
def test_the_shapes_are_those_of_the_towers(size):
    picture, sound = (3, size["crop"], size["crop"]), (1, size["bins"], size["frames"])
    with torch.device("meta"):
        eye, ear = VisionTower(width=size["width"]), AudioTower(width=size["width"])
    steps = diagrams.tower_steps(("picture", "in"), picture[1:], size["width"])
    assert [shape for _, shape in steps] == ["in", *blocks(eye, *picture)]
    steps = diagrams.tower_steps(("sound", "in"), sound[1:], size["width"], sound=True)
    assert [shape for _, shape in steps] == ["in", *blocks(ear, *sound)]
    for draw in (diagrams.ave_net, diagrams.avol_net):
        assert {*blocks(eye, *picture), *blocks(ear, *sound)} <= set(said(draw(**size)))


def test_ave_net_has_the_layers_of_the_figure_in_order():
    texts = [text.replace("\n", " ") for text in said(diagrams.ave_net(size=96))]
    layers = ["fc1 ReLU", "fc2", "L2 norm", "Eucl. distance", "fc3 scale and shift", "softmax"]
    places = [texts.index(layer) for layer in layers]
    assert places == sorted(places) and texts.count("L2 norm") == 2
    assert texts.count("96") == 6, "fc1, fc2 and the norm leave 96 numbers in both towers"


def test_the_map_of_avol_net_is_as_large_as_conv4():
    texts = said(diagrams.avol_net(crop=112, width=16))
    assert texts.count("1x7x7") == 3 and texts.count("128x7x7") == 3  # conv4 (8 x 16), conv5, conv6


def test_the_frames_of_ave_mf_are_those_of_its_network():
    models = pytest.importorskip("llinet_lite.models.avenet_motion", reason="AVE+MF is not there")
    with torch.device("meta"):
        measured = blocks(models.VideoTower(width=16), 3, 25, 112, 112)
    texts = said(diagrams.ave_mf(crop=112, width=16))
    assert texts.index("3x25x112x112") < min(texts.index(shape) for shape in measured)
    with pytest.raises(ValueError, match="5 numbers"):
        diagrams.ave_mf(lengths=(25, 13))


def test_ave_of_joins_both_streams_before_conv4():
    texts = said(diagrams.ave_of(crop=224, width=64, flows=10))
    assert "20x224x224" in texts and texts.count("256x14x14") == 2
    assert texts.count("512x14x14") == 2, "after the concatenation and after conv4"


@pytest.mark.parametrize("draw", DRAWINGS)
def test_no_text_covers_another_or_leaves_its_box(draw):
    fig = draw()
    assert fig.get_size_inches()[0] <= diagrams.PAGE
    fig.canvas.draw()
    boxes = {text: text.get_window_extent() for text in fig.findobj(Text) if text.get_text()}
    for one, here in boxes.items():
        covered = [two.get_text() for two, there in boxes.items() if one is not two and here.overlaps(there)]
        assert not covered, f"{one.get_text()!r} covers {covered}"
        if one.get_va() == one.get_ha() == "center":  # the shapes on the arrows stand above or below
            assert here.width < diagrams.BOX[0] * fig.dpi and here.height < diagrams.BOX[1] * fig.dpi
    plt.close(fig)


def test_two_streams_says_every_step_and_shape():
    texts = said(diagrams.two_streams([("image", "3x8x8")], [("sound", "1x9x9")], [("concat", "16")]))
    assert set(texts) == {"image", "3x8x8", "sound", "1x9x9", "concat", "16"}


def test_llinet_says_the_shapes_of_the_paper():
    texts = said(diagrams.llinet())
    picture = ["3x244x244", "512x31x31", "1024x16x16", "2048x8x8", "2048"]
    sound = ["303x40", "64x152x20", "64x76x10", "128x76x10", "512x38x5", "512", "1024"]
    for road in (picture, sound):
        places = [texts.index(shape) for shape in road]
        assert places == sorted(places), "in the order in which they are passed"
    assert texts.count("2048") == 2 and texts.count("1024x16x16") == 3
    assert "$v'$  1024" in texts and texts.count("$a'$  1024") == 2
    assert "$s$  16x16" in texts and texts.count(r"$\bar{a}$  1024") == 2 and r"$\hat{v}$  1024" in texts


@pytest.mark.parametrize(
    "size", [{"frames": 303, "width": 64, "size": 1024}, LAPTOP], ids=("paper", "laptop")
)
def test_the_shapes_of_llinets_sound_are_those_of_its_encoder(size):
    from llinet_lite.models.audio_encoder import AudioEncoder

    with torch.device("meta"):
        ear, logmel = AudioEncoder(size["width"], size["size"]), torch.empty(1, 1, size["frames"], 40)
        after = [ear.conv1[:3](logmel), ear.conv1(logmel)]
        after += [ear.stage1(after[-1]), ear.maps(logmel[:, 0])]
    measured = ["x".join(map(str, maps.shape[1:])) for maps in after]
    texts = said(diagrams.llinet(**size))
    assert [texts.index(shape) for shape in measured] == sorted(texts.index(shape) for shape in measured)


def test_the_transformed_sound_of_llinet_fits_the_local_features():
    texts = said(laptop())
    assert texts.count("64x14x14") == 3 and texts.count(r"$\bar{a}$  64") == 2 and "$v'$  256" in texts


def test_llinet_shows_what_is_frozen():
    fig = diagrams.llinet()
    boxes = [patch for patch in fig.axes[0].patches if isinstance(patch, FancyBboxPatch)]
    frozen = [patch for patch in boxes if patch.get_linestyle() == "--"]
    names = [text.get_text() for text in fig.axes[0].texts]
    assert len(frozen) == 3 and {"layer3", "layer4", "attention\nlayer"} <= set(names)
    middles = np.array([patch.get_bbox().get_points().mean(0) for patch in frozen])  # (3, 2)
    inside = [
        t.get_text() for t in fig.axes[0].texts if np.abs(middles - t.get_position()).max(1).min() < 0.01
    ]
    assert inside == ["stem\nlayer1\nlayer2", "layer3", "layer4"]
    legend = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert legend == ["trained, picture side", "trained, sound side", "frozen", "without weights", "loss"]
    plt.close(fig)


def test_llinet_refuses_a_tap_that_is_no_map():
    with pytest.raises(ValueError, match="late takes 3 sizes"):
        diagrams.llinet(late=(64,))
    with pytest.raises(ValueError, match="blocks takes 3 texts"):
        diagrams.llinet(blocks=("conv1", "conv2"))
