"""LLINet (*Look, Listen and Infer*, 2020): both encoders, the attention layer, the map and the losses.

Notebook: 04
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from llinet_lite.show.diagrams.boxes import (
    BOX,
    JOINED,
    PICTURE,
    SOUND,
    arrow,
    box,
    canvas,
    map_picture,
    shape_text,
    wire,
)

SIZE, PITCH, FIRST = (10.0, 5.5), 1.085, 0.42  # of the page; between columns; the first one's centre; inches
PICTURE_ROW, GATE_ROW, MAP_ROW, TRANSFORM_ROW, SOUND_ROW = 4.5, 3.5, 2.3, 1.4, 0.5  # heights, inches
LOCAL_BUS = 2.83  # height of the line along which the local features travel
ACROSS, UP = BOX[0] / 2, BOX[1] / 2
LOOKS = {  # colour, opacity of the filling, outline
    "trained, picture side": (PICTURE, 0.3, "-"),
    "trained, sound side": (SOUND, 0.3, "-"),
    "frozen": ("0.45", 0.3, "--"),
    "without weights": ("0.45", 0.0, "-"),
    "loss": (JOINED, 0.3, "-"),
}
EYE, EAR, FROZEN, PLAIN, LOSS = LOOKS
Node = tuple[int, str, str, str]  # column, text of a box, its look, what leaves it to the right


def llinet(
    *,
    crop: int = 244,
    early: Sequence[int] = (512, 31, 31),
    late: Sequence[int] = (1024, 16, 16),
    top: Sequence[int] = (2048, 8, 8),
    frames: int = 303,
    bands: int = 40,
    width: int = 64,
    size: int = 1024,
    blocks: Sequence[str] = ("stem\nlayer1\nlayer2", "layer3", "layer4"),
) -> Figure:
    """Draw LLINet: what is trained in colour, what stays as it was pretrained grey with a dashed outline.

    Parameters
    ----------
    crop : int
        Side of the picture, pixels.
    early, late, top : 3 int each
        Shapes (C, H, W) at the three taps of the frozen image network. The local features
        have the shape of `late`, and the transformed sound has as many numbers as they have channels.
    frames, bands : int
        Size of the log-mel spectrogram.
    width : int
        Channels of the first convolution of the audio encoder.
    size : int
        Length of the embeddings.
    blocks : sequence of 3 str
        Layers of the image network up to each tap.

    Raises
    ------
    ValueError
        If a tap has not three sizes, or there are not three blocks.

    Source: LLINet (2020); by default with its sizes.

    Notebook: 04
    """
    for name, given in {"early": early, "late": late, "top": top, "blocks": blocks}.items():
        if len(given) != 3:
            wanted = "texts, one up to each tap" if name == "blocks" else "sizes (C, H, W)"
            raise ValueError(f"{name} takes 3 {wanted}, got {tuple(given)!r}")
    fig, ax = canvas(*SIZE)
    _picture(ax, crop, (early, late, top), size, blocks)
    _gate(ax, shape_text(*late))
    _attention(ax, late)
    _sound(ax, (frames, bands), width, size)
    _transform(ax, late[0], size)
    handles = [
        Patch(facecolor=to_rgba(color, fill), edgecolor=color, linestyle=outline, label=name)
        for name, (color, fill, outline) in LOOKS.items()
    ]
    ax.legend(handles=handles, loc="upper center", ncols=len(handles), fontsize=8, borderaxespad=0.2)
    return fig


def _at(column: float) -> float:
    return FIRST + column * PITCH


def _chain(ax: Axes, y: float, nodes: Sequence[Node], *, below: bool = False) -> None:
    """Draw boxes along a row, an arrow from each to the next, and beside it what travels there."""
    for column, text, look, _ in nodes:
        color, fill, outline = LOOKS[look]
        box(ax, _at(column), y, text, color, fill=fill, outline=outline)
    lift, va = (-UP - 0.06, "top") if below else (UP + 0.06, "bottom")
    for (column, _, _, leaves), (following, *_) in pairwise(nodes):
        arrow(ax, (_at(column) + ACROSS, y), (_at(following) - ACROSS, y))
        ax.text(_at((column + following) / 2), y + lift, leaves, ha="center", va=va, fontsize=7.5)


def _picture(ax: Axes, crop: int, taps: Sequence[Sequence[int]], size: int, blocks: Sequence[str]) -> None:
    early, late, top = (shape_text(*tap) for tap in taps)
    features = str(taps[2][0])
    nodes = [
        (0, "picture", PLAIN, shape_text(3, crop, crop)),
        (1, blocks[0], FROZEN, early),
        (2, blocks[1], FROZEN, late),
        (3, "times", PLAIN, late),
        (4, blocks[2], FROZEN, top),
        (5, "mean\nover\ncells", PLAIN, features),
        (6, "fc1\nReLU", EYE, features),
        (7, "fc2", EYE, f"$v'$  {size}"),
        (8, "matching\nloss $L_m$", LOSS, ""),
    ]
    _chain(ax, PICTURE_ROW, nodes)


def _gate(ax: Axes, late: str) -> None:
    """The way from the first tap through the attention layer back to the picture's row."""
    fork, end = _at(1.5), (_at(2) - ACROSS, GATE_ROW)
    wire(ax, (fork, PICTURE_ROW), (fork, GATE_ROW), end)
    nodes = [
        (2, "attention\nlayer", EYE, rf"$\bar{{v}}$  {late}"),
        (3, "softmax\n+ 1", PLAIN, ""),
    ]
    _chain(ax, GATE_ROW, nodes)
    arrow(ax, (_at(3), GATE_ROW + UP), (_at(3), PICTURE_ROW - UP))
    middle = (GATE_ROW + PICTURE_ROW) / 2
    ax.text(_at(3) + 0.06, middle, late, ha="left", va="center", fontsize=7.5)


def _attention(ax: Axes, late: Sequence[int]) -> None:
    """The localization map, and the picture as the sound weighs it."""
    grid = shape_text(*late[1:])
    nodes = [
        (3, "dot\nproduct\nper cell", PLAIN, f"$s$  {grid}"),
        (4, "", PLAIN, grid),
        (5, "softmax\n+ 1", PLAIN, grid),
        (6, "weigh,\nsum\nover cells", PLAIN, rf"$\hat{{v}}$  {late[0]}"),
        (8, "attention\nloss $L_a$", LOSS, ""),
    ]
    _chain(ax, MAP_ROW, nodes)
    map_picture(ax, _at(4), MAP_ROW, 0.46, max(late[1:]))
    ax.text(_at(4), MAP_ROW - UP - 0.06, "localization map", ha="center", va="top", fontsize=7.5)
    fork, top = _at(2.5), MAP_ROW + UP
    wire(ax, (fork, GATE_ROW), (fork, LOCAL_BUS), (_at(6), LOCAL_BUS), (_at(6), top))
    arrow(ax, (_at(3), LOCAL_BUS), (_at(3), top))
    ax.text(_at(4.5), LOCAL_BUS + 0.06, rf"$\bar{{v}}$  {shape_text(*late)}", ha="center", fontsize=7.5)


def _sound(ax: Axes, area: tuple[int, int], width: int, size: int) -> None:
    halves = [area]
    for _ in range(3):  # the first convolution, the pooling, stage 2: each halves, rounding up
        halves.append(tuple(-(-n // 2) for n in halves[-1]))
    after = [shape_text(*half) for half in halves]
    nodes = [
        (0, "log-mel", PLAIN, after[0]),
        (1, "conv 7x7\nstride 2", EAR, f"{width}x{after[1]}"),
        (2, "max pool\nstride 2", PLAIN, f"{width}x{after[2]}"),
        (3, "stage 1\n2 blocks", EAR, f"{2 * width}x{after[2]}"),
        (4, "stage 2\n2 blocks\nstride 2", EAR, f"{8 * width}x{after[3]}"),
        (5, "mean\nover\nmap", PLAIN, str(8 * width)),
        (6, "fc", EAR, str(size)),
        (7, "unit\nlength", PLAIN, ""),
    ]
    _chain(ax, SOUND_ROW, nodes, below=True)


def _transform(ax: Axes, local: int, size: int) -> None:
    """The two ways of the sound's embedding: to the matching loss, and through W to the map and its loss."""
    color, fill, outline = LOOKS[EAR]
    box(ax, _at(7), TRANSFORM_ROW, "$W$\nReLU", color, fill=fill, outline=outline)
    bottom, middle = SOUND_ROW + UP, (SOUND_ROW + TRANSFORM_ROW) / 2
    arrow(ax, (_at(7), bottom), (_at(7), TRANSFORM_ROW - UP))
    ax.text(_at(7) + 0.06, middle, f"$a'$  {size}", ha="left", va="center", fontsize=7.5)
    right, end = SIZE[0] - 0.15, _at(8) + ACROSS
    wire(ax, (_at(7) + ACROSS, SOUND_ROW), (right, SOUND_ROW), (right, PICTURE_ROW), (end, PICTURE_ROW))
    ax.text(_at(8), SOUND_ROW + 0.06, f"$a'$  {size}", ha="center", fontsize=7.5)
    for side, column, middle in ((-1, 3, 5), (1, 8, 7.65)):
        turn = (_at(column), TRANSFORM_ROW)
        wire(ax, (_at(7) + side * ACROSS, TRANSFORM_ROW), turn, (_at(column), MAP_ROW - UP))
        ax.text(_at(middle), TRANSFORM_ROW + 0.06, rf"$\bar{{a}}$  {local}", ha="center", fontsize=7.5)
    total = (_at(8), GATE_ROW - 0.05)
    for loss, side in ((PICTURE_ROW - UP, 0.12), (MAP_ROW + UP, -0.12)):
        arrow(ax, (_at(8), loss), (_at(8), total[1] + side))
    ax.text(*total, "$L = L_m + L_a$", ha="center", va="center", fontsize=8)
