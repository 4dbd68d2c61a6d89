"""Violin, cello and double bass: one body of parts, three proportions.

Notebook: 00
"""

from __future__ import annotations

import numpy as np

from .materials import shade
from .painter import BEHIND
from .parts import across, box, dome, ellipse, f_hole, smooth, strings, symmetric, taper
from .players import arm, bow, fist, hand, person

# Right half of the top plate, body length 1, from the neck (0, -1) to the button (0, 0)
_VIOLIN = symmetric((
    (0, -1), (0.12, -0.992), (0.205, -0.93), (0.238, -0.83), (0.226, -0.72), (0.195, -0.65), (0.222, -0.628),
    (0.226, -0.622), (0.165, -0.56), (0.150, -0.49), (0.178, -0.41), (0.250, -0.374), (0.252, -0.366),
    (0.236, -0.345), (0.280, -0.26), (0.296, -0.17), (0.262, -0.06), (0.15, -0.008), (0, 0)), 4)  # fmt: skip
_BASS = symmetric((
    (0, -1.0), (0.050, -1.0), (0.072, -0.95), (0.130, -0.87), (0.200, -0.79), (0.238, -0.70), (0.232, -0.645),
    (0.220, -0.625), (0.232, -0.605), (0.180, -0.55), (0.168, -0.48), (0.196, -0.41), (0.262, -0.375),
    (0.255, -0.345), (0.300, -0.25), (0.318, -0.16), (0.285, -0.05), (0.16, -0.006), (0, 0)), 4)  # fmt: skip


def _neck(p, top, nut, joint, width, black):
    """Scroll, peg box, pegs and the neck's wood, from the scroll's `top` to the `joint` with the body."""
    wood = p.body
    p.fill(taper(0, nut - 0.01, width * 1.35, 0, joint + 0.02, width * 1.6), wood.line)
    p.fill(taper(0, nut, width * 0.9, 0, joint + 0.02, width * 1.2), wood.base)
    p.fill(taper(0, nut, width * 1.3, 0, top + width * 0.6, width * 0.95), wood.line)
    p.fill(taper(0, nut, width * 0.95, 0, top + width * 0.6, width * 0.65), wood.base)
    p.fill(ellipse(0, top + width * 0.62, width * 0.85, width * 0.62, 16), wood.line)
    p.fill(ellipse(0, top + width * 0.62, width * 0.62, width * 0.42, 16), wood.light)
    peg = 0.5 * width + 0.022
    y = top + (nut - top) * np.array([0.38, 0.52, 0.66, 0.80])
    side = np.array([1, -1, 1, -1]) * peg
    p.lines(across(0, y), across(side, y), black.base, width * 0.26)
    p.lines(across(side, y - width * 0.22), across(side, y + width * 0.22), black.base, width * 0.32)


def _fiddle(p, body, top, outline, width, endpin=0.0):
    """An upright instrument: body from y = -`body` to 0, scroll at y = -`top`."""
    black, wood = p.finish("ebony"), p.body
    wide = p.stout
    nut = -top + 0.17 * (top - body) + 2.2 * width
    if endpin:
        steel = p.finish("silver")
        p.fill(taper(0, -0.02, 0.022, 0, endpin, 0.012), steel.dark)
        p.fill(taper(-0.003, -0.02, 0.008, -0.002, endpin, 0.005), steel.glint)
    _neck(p, -top, nut, -body, width, black)
    plate = outline * (body * wide, body)
    dome(p, plate, wood, line=0.022 * body, levels=5)
    p.stroke(plate * 0.93 + (0, -0.035 * body), wood.line, 0.007 * body, closed=True)
    for side in (-1, 1):
        f_hole(
            p,
            side * 0.118 * body * wide,
            -0.41 * body,
            0.21 * body,
            side,
            shade(wood.line, 0.45),
            0.016 * body,
        )
    bridge = -0.37 * body
    p.fill(taper(0, -0.20 * body, 1.5 * width, 0, -0.02 * body, 0.8 * width), black.base)  # tailpiece
    p.lines([[-0.4 * width, -0.19 * body]], [[-0.25 * width, -0.05 * body]], black.light, 0.2 * width)
    p.fill(taper(0, nut, width, 0, -0.585 * body, 1.55 * width), black.base)  # fingerboard
    p.fill(taper(-0.32 * width, nut, 0.25 * width, -0.45 * width, -0.585 * body, 0.35 * width), black.light)
    pale = p.finish("ivory").base
    p.fill(box(-1.15 * width, bridge - 0.010 * body, 1.15 * width, bridge + 0.018 * body), wood.line)
    p.fill(box(-1.05 * width, bridge - 0.012 * body, 1.05 * width, bridge + 0.006 * body), pale)
    gauge = 0.05 * width
    strings(p, ((-0.36 * width, nut), (0.36 * width, nut)), ((-0.8 * width, bridge), (0.8 * width, bridge)),
            p.parts, pale, gauge)  # fmt: skip
    strings(p, ((-0.8 * width, bridge), (0.8 * width, bridge)),
            ((-0.55 * width, -0.19 * body), (0.55 * width, -0.19 * body)), p.parts, pale, gauge)  # fmt: skip


def violin(p):
    """Under the chin, nearly level, with the bow across it."""
    length, body = p.length, 0.595 * p.length
    x, y, turn = -0.05, 0.165, 1.22
    wear = person(p, -0.06, 0.0, facing=1, legs="standing")
    with p.frame(x, y, turn):
        _fiddle(p, body, length, _VIOLIN, 0.029)
        black = p.finish("ebony")
        rest = smooth(((-0.02, -0.01), (-0.11, -0.02), (-0.135, -0.10), (-0.09, -0.15), (-0.03, -0.09)))
        p.fill(rest * body / 0.36 * 0.62 * (1, 1), black.base)
        grip = p.to_own_frame(0.025, -0.86 * length)
        place = p.to_own_frame(0, -0.475 * body)
    frog = bow(p, *place, 0.72, turn + np.pi + 0.06, 0.8 * p.stroke_phase, wear)
    arm(p, (-0.25, 0.26), frog, wear)
    fist(p, *frog, wear, angle=1.4)
    arm(p, (0.12, 0.26), grip, wear, forearm=BEHIND)
    hand(p, *grip, wear, angle=-1.2, lifted=_finger(p))


def _finger(p):
    """The finger that is off the string: it changes with the stroke while there is sound."""
    return int(2 + 2 * p.stroke_phase * (p.energy > 0.02)) % 4


def cello(p):
    """Between the knees of a seated player, on its endpin."""
    length, body = p.length, 0.62 * p.length
    turn = 0.16
    with p.frame(0, 0, turn):
        head = p.to_own_frame(-0.19, -1.02 * 1.2)
        _fiddle(p, body, length, _VIOLIN, 0.050, endpin=0.19)
        grip = p.to_own_frame(0.03, -0.80 * length)
        place = p.to_own_frame(0, -0.47 * body)
    hx, hy = head[0] - 0.07, -1.02
    wear = person(p, hx, hy, facing=-1, legs="sitting", lean=0.03)
    frog = bow(p, *place, 0.71, -0.10, 0.75 * p.stroke_phase, wear)
    arm(p, (hx - 0.20, hy + 0.26), frog, wear)
    fist(p, *frog, wear, angle=0.2)
    arm(p, (hx + 0.20, hy + 0.26), grip, wear, forearm=BEHIND)
    hand(p, *grip, wear, angle=3.3, lifted=_finger(p))


def double_bass(p):
    """Taller than the player who stands beside it; sloping shoulders."""
    length, body = p.length, 0.60 * p.length
    turn = 0.10
    with p.frame(0, 0, turn):
        _fiddle(p, body, length, _BASS, 0.060, endpin=0.13)
        grip = p.to_own_frame(0.03, -0.80 * length)
        place = p.to_own_frame(0, -0.46 * body)
    hx, hy = -0.17, -1.46
    wear = person(p, hx, hy, facing=-1, legs="standing", lean=-0.10)
    frog = bow(p, *place, 0.70, -0.06, 0.7 * p.stroke_phase, wear)
    arm(p, (hx - 0.21, hy + 0.26), frog, wear)
    fist(p, *frog, wear, angle=0.2)
    arm(p, (hx + 0.20, hy + 0.26), grip, wear, forearm=BEHIND)
    hand(p, *grip, wear, angle=3.3, lifted=_finger(p))


__all__ = ["cello", "double_bass", "violin"]
