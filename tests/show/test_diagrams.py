"""The drawings of the networks in notebooks/figures: every shape on an arrow is one of the network's."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from llinet_lite.models import AVENet, AVENetMF, AVENetOF, AVOLNet, L3Net, LLINet
from llinet_lite.models.towers import layer_table

TIMES = "\N{MULTIPLICATION SIGN}"
FIGURES = Path(__file__).parents[2] / "notebooks" / "figures"
IMAGE, AUDIO = (1, 3, 224, 224), (1, 1, 257, 200)


def said(name: str) -> list[str]:
    """Texts of a drawing, each with all its parts."""
    root = ElementTree.parse(FIGURES / f"{name}.svg").getroot()
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


def shapes_on_arrows(name: str) -> set[tuple[int, ...]]:
    """Shapes of two and more axes; (1, 1) and (7, 7) in a box are sizes of kernels."""
    found = {match for text in said(name) for match in re.findall(rf"\d+(?:{TIMES}\d+)+", text)}
    return {tuple(map(int, match.split(TIMES))) for match in found} - {(1, 1), (7, 7)}


def table_shapes(model, *inputs) -> set[tuple[int, ...]]:
    table = layer_table(model, *(torch.empty(shape, device="meta") for shape in inputs))
    return set(table.output) | {shape[1:] for shape in inputs}


CASES = {
    "l3_net": (L3Net, IMAGE),
    "ave_net": (AVENet, IMAGE),
    "ave_mf": (AVENetMF, (1, 3, 25, 224, 224)),
    "ave_of": (AVENetOF, (1, 23, 224, 224)),
    "avol_net": (AVOLNet, IMAGE),
}


@pytest.mark.parametrize("name", CASES)
def test_the_shapes_are_those_of_the_network(name):
    network, image = CASES[name]
    with torch.device("meta"):
        known = table_shapes(network(width=64), image, AUDIO)
    if name == "ave_of":  # the frame and its flow enter as one tensor
        known |= {(3, 224, 224), (20, 224, 224)}
    if name == "avol_net":  # the map goes through conv7 as a batch of numbers
        known |= {(1, 14, 14)}
    drawn = shapes_on_arrows(name)
    assert len(drawn) >= 5 and drawn <= known, sorted(drawn - known)


def test_the_shapes_of_llinet_are_those_of_the_paper():
    with torch.device("meta"):
        network = LLINet(trunk="resnet101")
        early, late = network.see(torch.empty(1, 3, 244, 244))
        known = {tuple(t.shape[1:]) for t in (early, late, *network.attend(early, late))}
        known |= table_shapes(network.audio, (1, 303, 40))
    known |= {(3, 244, 244), (2048, 8, 8), late.shape[2:]}
    known |= {(64, 152, 20)}  # conv1 before its pool, which is one row of the table
    drawn = shapes_on_arrows("llinet")
    assert drawn <= known, sorted(drawn - known)
    embedding = network.attend(early, late)[0].shape[1]
    assert any(text.endswith(f"  {embedding}") for text in said("llinet"))
    for name in ("zero_shot", "generalized"):
        assert shapes_on_arrows(name) <= known | {(8, embedding)} and said(name)


def test_every_lesson_shows_its_drawings():
    lessons = "".join(path.read_text() for path in sorted(FIGURES.parent.glob("*.ipynb")))
    shown = set(re.findall(r"\(figures/(\w+\.svg)\)", lessons))
    assert {path.name for path in FIGURES.glob("*.svg")} == shown
