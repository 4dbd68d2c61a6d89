"""Attributes -> picture and exact mask: one drawing per class of Bandstand-32.

Every drawing is made in metres in the instrument's own pose, with the player
at human scale, and is then placed on the canvas by a :class:`Pose`. The longest
side of the instrument at rest is `scale` times the canvas whatever the class,
so position and extent tell nothing about it; how big the specimen is can be
seen against its player and its fittings.

Notebook: 00
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import boards, bowed, brass, lutes, mallets, percussion, winds
from .painter import Layers, Painter

DRAWINGS = {
    "accordion": winds.accordion,
    "bagpipes": winds.bagpipes,
    "banjo": lutes.banjo,
    "bell": percussion.bell,
    "cello": bowed.cello,
    "chime": percussion.chime,
    "clarinet": winds.clarinet,
    "didgeridoo": brass.didgeridoo,
    "double bass": bowed.double_bass,
    "drum": percussion.drum,
    "electric guitar": lutes.electric_guitar,
    "flute": winds.flute,
    "french horn": brass.french_horn,
    "glockenspiel": mallets.glockenspiel,
    "gong": percussion.gong,
    "guitar": lutes.guitar,
    "harmonica": winds.harmonica,
    "harp": boards.harp,
    "mandolin": lutes.mandolin,
    "marimba": mallets.marimba,
    "piano": boards.piano,
    "saxophone": winds.saxophone,
    "shofar": brass.shofar,
    "singing bowl": percussion.singing_bowl,
    "sitar": lutes.sitar,
    "steel guitar": boards.steel_guitar,
    "steel pan": mallets.steel_pan,
    "tabla": percussion.tabla,
    "trumpet": brass.trumpet,
    "ukulele": lutes.ukulele,
    "violin": bowed.violin,
    "zither": boards.zither,
}


@dataclass(frozen=True)
class Pose:
    """Where a drawing is placed on a square canvas.

    Attributes
    ----------
    x, y : float
        Centre of the instrument as fractions of the canvas side, from the upper left corner.
    scale : float
        Longest side of the instrument (before it is turned) as a fraction of the canvas side.
    angle : float
        Turn about the centre, radians, clockwise on the screen.
    mirrored : bool
        Left and right exchanged (before the turn).
    """

    x: float = 0.5
    y: float = 0.5
    scale: float = 0.6
    angle: float = 0.0
    mirrored: bool = False

    def __post_init__(self):
        if not self.scale > 0:
            raise ValueError(f"the scale of a pose must be positive, not {self.scale}")


def sketch(individual, motion, rng: np.random.Generator) -> Painter:
    """Record the drawing of one individual without rasterising it.

    Parameters
    ----------
    individual : Individual
    motion : Motion
        `stroke` in [-1, 1], `energy` in [0, 1].
    rng : numpy.random.Generator
        Look-variations; the number of draws depends on nothing.

    Returns
    -------
    Painter
        Its `extent` is in metres; its `render(pose, pixels)` gives the layers.

    Raises
    ------
    KeyError
        If there is no drawing of the class.
    """
    name = individual.instrument.name
    if name not in DRAWINGS:
        raise KeyError(f"no drawing of {name!r}; there are drawings of {', '.join(sorted(DRAWINGS))}")
    painter = Painter(individual, motion, rng)
    DRAWINGS[name](painter)
    return painter


def draw(individual, pose: Pose, motion, pixels: int, rng: np.random.Generator) -> Layers:
    """Draw an individual at a pose and a moment.

    Parameters
    ----------
    individual : Individual
        The specimen: size, brightness, wear and hue show.
    pose : Pose
        Place, scale, angle and mirroring on the canvas.
    motion : Motion
        `stroke` in [-1, 1] (struck, plucked: 1 away, -1 in contact; bowed:
        place of the bow), `energy` in [0, 1]. Changes only what moves.
    pixels : int
        Side of the square canvas.
    rng : numpy.random.Generator
        Draws look-variations only; the same state gives the same layers.

    Returns
    -------
    Layers
        instrument, front, behind: each (pixels, pixels, 4) uint8, straight alpha.

    Raises
    ------
    ValueError
        If the canvas has no pixels.
    KeyError
        If there is no drawing of the class.
    """
    if pixels < 1:
        raise ValueError(f"a canvas needs at least one pixel a side, not {pixels}")
    return sketch(individual, motion, rng).render(pose, pixels)


__all__ = ["DRAWINGS", "Layers", "Pose", "draw", "sketch"]
