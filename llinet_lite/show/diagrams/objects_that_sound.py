"""Two-stream networks: L3-Net, AVE-Net and its variants with many frames, AVOL-Net.

The sizes follow from those of the picture and of the spectrogram by the
arithmetic of the layers, so that a drawing is true for the profile at hand.

Notebook: 01, 02, 03
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from llinet_lite.show.diagrams.boxes import (
    BOX,
    JOINED,
    MOTION,
    PICTURE,
    SOUND,
    TAIL,
    Step,
    arrow,
    canvas,
    map_picture,
    pitch_of,
    shape_text,
    stream,
)


def two_streams(picture: Sequence[Step], sound: Sequence[Step], joined: Sequence[Step]) -> Figure:
    """Draw a two-stream network with the shape on every arrow.

    Parameters
    ----------
    picture, sound, joined : sequence of (box text, shape that leaves the box)
        The two streams, left to right, and the boxes after they meet.

    Notebook: 01
    """
    return _two_streams((picture, sound), joined, (PICTURE, SOUND, JOINED))


def _two_streams(
    streams: tuple[Sequence[Step], Sequence[Step]], joined: Sequence[Step], colors: tuple[str, str, str]
) -> Figure:
    steps = max(map(len, streams))
    pitch = pitch_of(steps + len(joined))
    width = pitch * (steps + len(joined)) + TAIL
    fig, ax = canvas(width, 2.3)
    middle, x = 1.15, pitch * (steps + 0.5)
    for tower, color, side in zip(streams, colors, (1, -1), strict=False):
        end = stream(ax, pitch / 2, middle + 0.5 * side, tower, color, pitch=pitch, below=side < 0)
        arrow(ax, end, (x - BOX[0] / 2, middle + 0.14 * side))
    end = stream(ax, x, middle, joined, colors[2], pitch=pitch)
    arrow(ax, end, (width - 0.05, middle))
    return fig


def tower_steps(first: Step, area: tuple[int, int], width: int, *, sound: bool = False) -> list[Step]:
    """Boxes of a tower up to conv4, with the shapes that *Objects that Sound* (2018), Fig. 2a and 2b, gives.

    Parameters
    ----------
    first : (box text, shape)
        The box before conv1.
    area : (int, int)
        Rows and columns that enter: pixels, or frequency bins and frames.
    width : int
        Channels of the first block.
    sound : bool
        The first convolution of the audio tower does not pad the frequency axis.
    """
    rows, columns = area
    rows, columns = (rows - 1) // 2 if sound else -(-rows // 2), -(-columns // 2)  # conv1_1, stride 2
    steps = [first]
    for block in range(1, 5):
        text = f"conv{block}\n" + ("stride 2\n" if block == 1 else "")
        if block < 4:
            rows, columns, text = rows // 2, columns // 2, text + "pool"
        steps.append((text.strip(), shape_text(width * 2 ** (block - 1), rows, columns)))
    return steps


def _towers(crop: int, bins: int, frames: int, width: int) -> tuple[list[Step], list[Step]]:
    picture = tower_steps(("picture", shape_text(3, crop, crop)), (crop, crop), width)
    sound = tower_steps(("log-\nspec.", shape_text(1, bins, frames)), (bins, frames), width, sound=True)
    return picture, sound


def _vector_head(width: int, size: int) -> list[Step]:
    """pool4, fc1 and fc2, which make one vector of the maps of conv4."""
    return [("pool4\nglobal\nmax", str(8 * width)), ("fc1\nReLU", str(size)), ("fc2", str(size))]


def _unit_head(width: int, size: int) -> list[Step]:
    """The same, brought to unit length."""
    return [*_vector_head(width, size), ("L2\nnorm", str(size))]


def ave_net(
    *, crop: int = 224, bins: int = 257, frames: int = 200, width: int = 64, size: int = 128
) -> Figure:
    """Draw AVE-Net: two towers, two unit vectors, one distance (*Objects that Sound* (2018), Fig. 2d).

    Parameters
    ----------
    crop : int
        Side of the picture, pixels.
    bins, frames : int
        Size of the log-spectrogram.
    width : int
        Channels of the first block.
    size : int
        Length of the embeddings.

    Notebook: 02
    """
    picture, sound = _towers(crop, bins, frames, width)
    head = _unit_head(width, size)
    joined = [("Eucl.\ndistance", "1"), ("fc3\nscale\nand shift", "2"), ("softmax", "2")]
    return two_streams(picture + head, sound + head, joined)


def avol_net(
    *, crop: int = 224, bins: int = 257, frames: int = 200, width: int = 64, size: int = 128
) -> Figure:
    """Draw AVOL-Net: a vector per cell of the picture meets one of the sound (*Objects that Sound*, Fig. 4).

    Parameters
    ----------
    crop, bins, frames, width, size : int
        As for :func:`ave_net`.

    Notebook: 03
    """
    picture, sound = _towers(crop, bins, frames, width)
    cells = -(-crop // 2) // 8
    vectors, one_each = shape_text(size, cells, cells), shape_text(1, cells, cells)
    picture += [("conv5\n1x1\nReLU", vectors), ("conv6\n1x1", vectors)]
    sound += _vector_head(width, size)
    joined = [
        ("dot\nproduct\nper cell", one_each),
        ("conv7\n1x1", one_each),
        ("sigmoid", one_each),
        ("max\nover\ncells", "1"),
    ]
    fig = two_streams(picture, sound, joined)
    _map_above_the_last_arrow(fig.axes[0], cells, boxes=len(sound) + len(joined))
    return fig


def _map_above_the_last_arrow(ax: Axes, cells: int, *, boxes: int) -> None:
    """Picture of a correspondence map over the arrow that it travels along."""
    side = 0.46
    x, y = (boxes - 1) * pitch_of(boxes), 1.7  # middle of the arrow between the last two boxes; lower edge
    map_picture(ax, x, y + side / 2, side, cells)
    ax.plot([x, x], [1.18, 1.46], ":", [x, x], [1.63, y], ":", color="0.3", linewidth=1)
    ax.text(x, y + side + 0.05, "correspondence map", ha="center", va="bottom", fontsize=7.5)


def ave_mf(
    *, crop: int = 224, width: int = 64, lengths: Sequence[int] = (25, 7, 4, 3, 3), size: int = 128
) -> Figure:
    """Draw the vision network of AVE+MF: many frames, 3D convolutions (*Objects that Sound*, section 3.2).

    Parameters
    ----------
    crop, width, size : int
        As for :func:`ave_net`.
    lengths : sequence of 5 int
        Frames that enter and frames that leave each of the four blocks. The paper states
        the first only; the others are those of `models.AVENetMF`.

    Notebook: 02
    """
    if len(lengths) != 5:
        raise ValueError(f"lengths are those of the input and of 4 blocks: 5 numbers, not {list(lengths)}")
    flat = tower_steps((f"{lengths[0]}\nframes", shape_text(3, crop, crop)), (crop, crop), width)
    deep = []
    for (text, shape), length in zip(flat, lengths, strict=True):
        channels, area = shape.split("x", 1)
        text = text if text.endswith("frames") else text.replace("conv", "conv3d ", 1)
        deep.append((text, f"{channels}x{length}x{area}"))
    return _one_stream([*deep, *_unit_head(width, size)])


def _one_stream(steps: Sequence[Step]) -> Figure:
    pitch = pitch_of(len(steps))
    width = pitch * len(steps) + TAIL
    fig, ax = canvas(width, 0.95)
    end = stream(ax, pitch / 2, 0.4, steps, PICTURE, pitch=pitch)
    arrow(ax, end, (width - 0.05, 0.4))
    return fig


def ave_of(*, crop: int = 224, width: int = 64, flows: int = 10, size: int = 128) -> Figure:
    """Draw the vision network of AVE+OF: a frame and its motion, joined before conv4.

    *Objects that Sound* (2018), section 3.2 and appendix B: each stream ends after pool3.

    Parameters
    ----------
    crop, width, size : int
        As for :func:`ave_net`.
    flows : int
        Optical flow fields; each has two channels, right and down.

    Notebook: 02
    """
    frame = tower_steps(("frame", shape_text(3, crop, crop)), (crop, crop), width)
    motion = tower_steps(("optical\nflow", shape_text(2 * flows, crop, crop)), (crop, crop), width)
    conv4 = frame[-1]
    head = _unit_head(width, size)
    joined = [("concat", conv4[1]), conv4, *head]
    return _two_streams((frame[:-1], motion[:-1]), joined, (PICTURE, MOTION, PICTURE))
