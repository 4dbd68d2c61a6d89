"""Attributes -> image and exact mask: one drawing per way to build an instrument.

What is drawn follows from the row (material, length, parts, exciter) and its shape, never from its name.
Every drawing is made in meters in the instrument's own pose, with the player at human scale, and is then
placed on the canvas by a :class:`Pose`. The longest side of the instrument at rest is `scale` times the
canvas whatever the class, so position and extent tell nothing about it; how big the specimen is can be seen
against its player and its fittings.
Notebook: 00
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import boards, necks, percussion, winds
from .painter import Layers, Painter

BUILDS = boards.BUILDS | necks.BUILDS | percussion.BUILDS | winds.BUILDS


@dataclass(frozen=True)
class Pose:
    """Where a drawing is placed on a square canvas."""

    x: float = 0.5  # center of the instrument, canvas sides from the upper left corner
    y: float = 0.5
    scale: float = 0.6  # longest side of the instrument before it is turned, canvas sides
    angle: float = 0.0  # turn about the center, radians, clockwise on the screen
    mirrored: bool = False  # left and right exchanged, before the turn


def sketch(individual, motion, rng: np.random.Generator) -> Painter:
    """Record the drawing of one individual without rasterizing it; its `extent` is in meters."""
    painter = Painter(individual, motion, rng)
    BUILDS[painter.shape.build](painter)
    return painter


def draw(individual, pose: Pose, motion, pixels: int, rng: np.random.Generator) -> Layers:
    """Draw an individual at a pose and a moment, on a square canvas; `rng` draws look-variations only."""
    return sketch(individual, motion, rng).render(pose, pixels)
