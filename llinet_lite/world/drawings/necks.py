"""Strings on a neck, plucked or bowed, over a box, a skin, a gourd or a solid body.

Each is drawn upright (end of the body at y = 0, head at y = -length) and then tilted into the player's arms.
The shape says how top and neck are made, the exciter how it is held.
Notebook: 00
"""

# ruff: noqa: I001

from __future__ import annotations

import numpy as np

from .painter import BEHIND, shade
from .outlines import body as body_outline, polar
from .parts import (
    across, arm, bow, box, dome, ellipse, ellipses, f_hole, fist, frets, hand, knobs, person, plain, smooth,
    strings, taper,
)  # fmt: skip

_HORNED = smooth((
    (-0.07, -0.80), (-0.16, -0.86), (-0.235, -1.0), (-0.315, -0.99), (-0.335, -0.85), (-0.28, -0.66),
    (-0.30, -0.48), (-0.37, -0.30), (-0.36, -0.12), (-0.22, 0.0), (0.06, -0.015), (0.30, -0.02),
    (0.405, -0.14), (0.40, -0.32), (0.30, -0.50), (0.275, -0.64), (0.33, -0.80), (0.325, -0.9), (0.26, -0.9),
    (0.17, -0.76), (0.07, -0.73)), True, 4)  # fmt: skip
_GUARD = smooth((
    (-0.07, -0.74), (-0.17, -0.80), (-0.26, -0.90), (-0.23, -0.70), (-0.16, -0.50), (-0.14, -0.36),
    (0.02, -0.33), (0.16, -0.20), (0.31, -0.16), (0.28, -0.36), (0.20, -0.52), (0.20, -0.68), (0.12, -0.70),
    (0.07, -0.66)), True, 3)  # fmt: skip


def _fingerboard(p, nut, end, w0, w1, count, tones, wire, dots=True):
    """A fingerboard from the nut to its end over the body, with frets and inlays."""
    p.fill(taper(0, nut, w0 + 0.008, 0, end, w1 + 0.008), tones.line)
    p.fill(taper(0, nut, w0, 0, end, w1), tones.base)
    y = frets(p, nut, end, count, w0, w1, wire, 0.0025)
    if dots and len(y):
        marks = [i for i in (2, 4, 6, 8, 11, 14, 16) if i + 1 < len(y)]
        p.fill(ellipses([(0, 0.5 * (y[i] + y[i - 1])) for i in marks], 0.0045), wire)
    p.fill(box(-w0 / 2, nut - 0.005, w0 / 2, nut + 0.002), p.finish("ivory").base)


def _head(p, top, nut, w0, w1, per_side, tones, slots=False):
    """A head with `per_side` tuning pegs left and right (pegs at human scale)."""
    shape = np.array([[-0.5 * w0, nut], [-0.5 * w1, nut - 0.25 * (nut - top)], [-0.55 * w1, top],
                      [0, top - 0.05 * (nut - top)], [0.55 * w1, top], [0.5 * w1, nut - 0.25 * (nut - top)],
                      [0.5 * w0, nut]])  # fmt: skip
    y = np.linspace(top + 0.16 * (nut - top), nut - 0.32 * (nut - top), per_side)
    silver, ivory = p.finish("silver"), p.finish("ivory")
    for side in (-1, 1):
        edge = side * (0.5 * w1 + 0.020)
        p.lines(across(0, y), across(edge, y), silver.dark, 0.006)
        p.fill(ellipses(across(edge, y), 0.011, 0.009), silver.line)
        p.fill(ellipses(across(edge, y), 0.008, 0.006), ivory.base)
    plain(p, shape, tones, 0.005)
    if slots:
        for side in (-1, 1):
            x = side * 0.24 * w1
            p.fill(box(x - 0.11 * w1, y[0] - 0.01, x + 0.11 * w1, y[-1] + 0.01), tones.line)
    else:
        posts = [(side * 0.26 * w1, v) for side in (-1, 1) for v in y]
        p.fill(ellipses(posts, 0.0055), silver.glint)


# Where an instrument that is `length` m long is held: pluck x, y (bodies), fret x, y (lengths), middle of the
# body (bodies), the head's offset from there, swing of the hand, m
_HOLDS = {
    "flat top": ((0.55, 1.0), (-0.055, -0.72, 0.040, -0.80, -0.6, 0.02, -0.36, 0.035),
                 (-0.02, -0.50, 0.045, -0.78, -0.6, 0.0, -0.50, 0.045)),
    "carved top": ((0.62, 1.0), (-0.05, -0.5, 0.042, -0.76, -0.6, 0.02, -0.42, 0.035),
                   (-0.05, -0.5, 0.045, -0.76, -0.6, 0.0, -0.52, 0.045)),
    "skin": ((0.60, 0.95), (-0.06, -0.675, 0.042, -0.72, -0.8, 0.02, -0.40, 0.045),
             (-0.07, -0.675, 0.046, -0.72, -0.8, 0.0, -0.48, 0.045)),
    "solid": ((0.0, 1.0),) + 2 * ((-0.03, -0.42, 0.045, -0.72, -0.55, -0.02, -0.56, 0.045),),
    "gourd": ((0.60, 1.2), (-0.05, -0.60, 0.045, -0.70, -0.6, 0.02, -0.42, 0.04),
              (-0.06, -0.72, 0.055, -0.66, -0.6, 0.06, -0.62, 0.04)),
    "fiddle": ((0.60, 1.0), (-0.04, -0.48, 0.035, -0.84, -0.6, 0.02, -0.40, 0.035),
               (-0.04, -0.48, 0.040, -0.80, -0.6, 0.0, -0.52, 0.045)),
}  # fmt: skip


def _at_length(p, lengths, *values):
    """Values given at two lengths (m), at the class's own."""
    return [float(np.interp(p.row.length, lengths, pair)) for pair in zip(*values, strict=True)]


def neck(p):
    """An instrument with a neck, in the arms of who plucks or bows it."""
    body = p.shape.body * p.length
    if p.row.exciter == "bowed":
        _bowed(p, body)
    else:
        _plucked(p, body)


def _plucked(p, body):
    """Neck to the side, one hand over the strings, the other on the neck."""
    turn = p.shape.tilt
    x, y, fx, fy, middle, dx, dy, swing = _at_length(p, *_HOLDS[p.shape.build])
    if p.shape.build == "skin":  # its width and its length grow alike
        y, middle = -0.5 + p.stout * (y + 0.5), -0.5 + p.stout * (middle + 0.5)
    with p.frame(0, 0, turn):
        BODIES[p.shape.build](p, body)
        px, py = p.to_own_frame(x, y * body)
        fx, fy = p.to_own_frame(fx, fy * p.length)
        mx, my = p.to_own_frame(0, middle * body)
        plug, end = p.to_own_frame(0.30 * body, -0.06 * body), p.to_own_frame(0.75 * body, 0.35 * body)
    if p.shape.build == "solid":  # the cable
        with p.on(BEHIND):
            p.stroke([plug, ((plug[0] + end[0]) / 2 - 0.05, end[1]), end], (28, 28, 30), 0.012)
    hx, hy = mx + dx, my + dy
    wear = person(p, hx, hy, facing=1, legs=p.shape.legs)
    across = (np.cos(turn), np.sin(turn))
    off = swing * (p.stroke_phase + 0.15)
    px, py = px - across[0] * off, py - across[1] * off
    arm(p, (hx - 0.20, hy + 0.26), (px, py), wear)
    hand(p, px, py, wear, angle=turn - 0.75)
    arm(p, (hx + 0.20, hy + 0.26), (fx, fy), wear, forearm=BEHIND)
    lifted = int(2 + 1.9 * p.stroke_phase) % 4 if p.energy > 0.02 else None
    hand(p, fx, fy, wear, angle=turn + np.pi + 0.35, lifted=lifted)


def _flat_top(p, body):
    """A flat top with a round hole: body, rosette, bridge, neck, head."""
    wood, dark, slots = p.body, p.finish("dark wood"), p.row.length > 0.8
    neck, outline = p.shape.neck, body_outline(p.shape.outline, p.shape.waist)
    hole_y, hole_r, bridge_y, bridge_w = _at_length(
        p, (0.55, 1.0), (-0.60, 0.125, -0.22, 0.17), (-0.66, 0.105, -0.24, 0.20)
    )
    length, wide = p.length, p.stout
    nut = -length + 0.155 * length
    p.fill(taper(0, nut, neck[0] + 0.010, 0, -body, neck[1] + 0.014), wood.line)
    _head(p, -length, nut, neck[0], neck[0] + 0.020, p.parts // 2, dark if slots else wood, slots)
    plate = outline * (body * wide, body)
    dome(p, plate, wood, line=0.020 * body, levels=5)
    p.stroke(plate * 0.955 + (0, -0.022 * body), wood.light, 0.008 * body, closed=True)
    center = (0, hole_y * body)
    p.fill(ellipse(*center, hole_r * body * 1.32), wood.line)
    p.fill(ellipse(*center, hole_r * body * 1.20), wood.light)
    p.fill(ellipse(*center, hole_r * body), shade(wood.line, 0.40))
    ebony, pale = p.finish("ebony"), p.finish("ivory").base
    end, b = (hole_y - 0.8 * hole_r) * body, bridge_y * body
    _fingerboard(p, nut, end, *neck, p.shape.frets, ebony, p.finish("silver").base)
    p.fill(box(-bridge_w * body, b - 0.02 * body, bridge_w * body, b + 0.028 * body), ebony.base)
    p.lines([[-0.55 * bridge_w * body, b]], [[0.55 * bridge_w * body, b]], pale, 0.014 * body)
    half0, half1 = 0.40 * neck[0], 0.50 * neck[1]
    ends = ((-half0, nut), (half0, nut)), ((-half1, b), (half1, b))
    strings(p, *ends, p.parts, pale, 0.0012)


def _carved_top(p, body):
    """An arched top with f-holes, a tailpiece and strings in pairs."""
    length, (w0, w1) = p.length, p.shape.neck
    wood, ebony, pale = p.body, p.finish("ebony"), p.finish("ivory").base
    nut = -0.80 * length
    p.fill(taper(0, nut, w0 + 0.008, 0, -body, w1 + 0.010), wood.line)
    _head(p, -length, nut, w0 + 0.002, w0 + 0.030, p.parts // 2, wood)
    plate = body_outline(p.shape.outline, p.shape.waist) * (body * p.stout, body)
    dome(p, plate, wood, line=0.024 * body, levels=5)
    p.stroke(plate * 0.94 + (0, -0.03 * body), pale, 0.009 * body, closed=True)
    for side in (-1, 1):
        x = side * 0.20 * body * p.stout
        f_hole(p, x, -0.40 * body, 0.24 * body, side, shade(wood.line, 0.4), 0.02 * body)
    _fingerboard(p, nut, -0.60 * body, w0, w1, p.shape.frets, ebony, p.finish("silver").base)
    bridge = -0.34 * body
    silver = p.finish("silver")
    p.fill(taper(0, -0.12 * body, 0.07, 0, -0.005, 0.05), silver.dark)
    p.fill(taper(0, -0.11 * body, 0.055, 0, -0.01, 0.035), silver.light)
    p.fill(box(-0.045, bridge - 0.006, 0.045, bridge + 0.008), ebony.base)
    courses = max(p.parts // 2, 2)
    x = np.repeat(np.linspace(-1, 1, courses), 2) + np.tile([-0.11, 0.11], courses)
    y = np.ones(2 * courses)
    p.lines(across(0.375 * w0 * x, y * nut), across(0.020 * x, y * bridge), pale, 0.001)
    p.lines(across(0.020 * x, y * bridge), across(0.018 * x, -0.11 * body * y), pale, 0.001)


def _pot(p, hub, shape, radius):
    """Skin, rim, tension hoop and brackets, over an outline (n, 2) about (0, 0)."""
    rim = p.finish("silver") if p.row.material == "skin" else p.body
    skin = p.body if p.row.material == "skin" else p.finish("skin")
    angle = np.arange(20) * 2 * np.pi / 20 + 0.157
    spoke = polar(shape, angle)
    p.lines(hub + spoke * radius * 0.95, hub + spoke * (radius + 0.012), rim.line, 0.016)
    for zoom, tone in ((1.0, rim.line), (0.975, rim.glint), (0.90, rim.line)):
        p.fill(hub + shape * (radius * zoom), tone)
    dome(p, hub + shape * (radius * 0.875), skin, line=0, levels=4)
    knobs(p, hub + spoke * (radius + 0.010), 0.008, rim)


def _skin(p, body):
    """Strings over a skin in a ring of brackets; an odd string has its peg half-way up the neck."""
    length, (w0, w1) = p.length, p.shape.neck
    radius = 0.5 * body * p.stout
    hub = (0, -0.5 * body)
    wood, silver, ebony = p.finish("dark wood"), p.finish("silver"), p.finish("ebony")
    pale = p.finish("ivory").base
    nut, odd = -0.84 * length, p.parts % 2
    p.fill(taper(0, nut, w0 + 0.008, 0, hub[1], w1 + 0.008), wood.line)
    _head(p, -length, nut, w0, w0 + 0.026, p.parts // 2, wood)
    shape = 2 * body_outline(p.shape.outline, p.shape.waist) + np.array([0.0, 1.0])
    _pot(p, np.array(hub), shape, radius)
    edge = hub[1] - 0.80 * radius
    _fingerboard(p, nut, edge, w0, w1, p.shape.frets, ebony, silver.base)
    fifth = nut + 0.26 * (edge - nut)
    if odd:
        p.lines([[-0.015, fifth]], [[-0.045, fifth]], silver.dark, 0.008)
        p.fill(ellipse(-0.048, fifth, 0.012, 0.010, 10), pale)
    bridge, tail = hub[1] + 0.32 * radius, hub[1] + 0.95 * radius
    p.fill(box(-0.040, bridge - 0.005, 0.040, bridge + 0.007), wood.base)
    p.fill(taper(0, hub[1] + 0.72 * radius, 0.030, 0, tail, 0.045), silver.dark)
    gauge = shade(silver.line, 0.8)
    over, at_bridge = ((-0.012, edge), (0.018, edge)), ((-0.024, bridge), (0.024, bridge))
    strings(p, over, at_bridge, p.parts, gauge, 0.0016)
    strings(p, ((-0.013, nut), (0.013, nut)), over, p.parts - odd, pale, 0.0012)
    if odd:
        p.lines([[-0.017, fifth]], [[-0.016, edge]], pale, 0.0012)
    strings(p, at_bridge, ((-0.012, tail - 0.04), (0.012, tail - 0.04)), p.parts, gauge, 0.0016)


def _solid(p, body):
    """A solid body with horns, pick-ups, knobs and pegs in line."""
    length = p.length
    metal, neck, silver, ebony = p.body, p.finish("wood"), p.finish("silver"), p.finish("ebony")
    pale = p.finish("ivory").base
    nut = -0.835 * length
    head = smooth(((-0.024, nut), (-0.036, nut - 0.03), (-0.044, -length + 0.02), (-0.01, -length - 0.01),
                   (0.030, -length + 0.02), (0.022, nut - 0.05), (0.026, nut)), True, 3)  # fmt: skip
    y = np.linspace(nut - 0.030, -length + 0.022, p.parts)
    p.lines(across(-0.02, y), across(-0.066, y), silver.dark, 0.007)
    p.fill(ellipses(across(-0.066, y), 0.011, 0.008), silver.base)
    plain(p, head, neck, 0.005)
    p.fill(ellipses(across(-0.014, y), 0.005), silver.line)
    plate = _HORNED * (body * p.stout, body)
    dome(p, plate, metal, line=0.022 * body, levels=4, rim=0.95)
    p.fill(_GUARD * (body * p.stout, body), shade(pale, 0.94))
    _fingerboard(p, nut, -0.66 * body, *p.shape.neck, p.shape.frets, neck, silver.line)
    for v, slant in ((-0.575, 0), (-0.455, 0), (-0.33, 0.035)):
        p.fill(taper(-0.044, (v + slant) * body, 0.040, 0.044, (v - slant) * body, 0.040), ebony.base)
        poles = across(np.linspace(-0.028, 0.028, 6), np.linspace(v + slant, v - slant, 6) * body)
        p.fill(ellipses(poles, 0.0045), silver.glint)
    p.fill(box(-0.042, -0.235 * body, 0.042, -0.165 * body), silver.line)
    p.fill(box(-0.038, -0.228 * body, 0.038, -0.18 * body), silver.light)
    knobs(p, [(0.095, -0.30 * body), (0.118, -0.225 * body), (0.135, -0.15 * body)], 0.017, ebony, 0.003)
    ends = ((-0.018, nut), (0.018, nut)), ((-0.026, -0.20 * body), (0.026, -0.20 * body))
    strings(p, *ends, p.parts, silver.glint, 0.001)


def _gourd(p, body):
    """A bulging body, a long neck with arched frets and pegs along it, perhaps a second gourd."""
    length, (w0, w1) = p.length, p.shape.neck
    gourd, brass, pale = p.body, p.finish("brass"), p.finish("ivory").base
    if p.parts > 6:
        dome(p, ellipse(0.055, -0.80 * length, 0.095 * p.stout, 0.105 * p.stout), gourd, 0.008)
    y = np.linspace(-0.985 * length, -0.60 * length, p.parts)
    side = np.where(np.arange(p.parts) < p.parts // 2, 1, -1) * 1.0
    p.lines(across(0, y), np.stack([side * (w0 / 2 + 0.035), y], 1), gourd.line, 0.014)
    knobs(p, np.stack([side * (w0 / 2 + 0.042), y], 1), 0.020, gourd, 0.002)
    plate = body_outline(p.shape.outline, p.shape.waist)
    dome(p, plate * (body * p.stout, body), gourd, line=0.010, levels=5)
    p.stroke(plate * (0.88 * body * p.stout, 0.88 * body) + (0, -0.06 * body), pale, 0.007, closed=True)
    p.fill(taper(0, -length, w0 + 0.010, 0, -0.88 * body, w1 + 0.012), gourd.line)
    p.fill(taper(0, -length + 0.006, w0, 0, -0.90 * body, w1), gourd.base)
    p.fill(taper(-0.026, -length + 0.006, 0.014, -0.032, -0.90 * body, 0.016), gourd.light)
    y = -0.86 * length + 0.60 * length * np.linspace(0, 1, p.shape.frets) ** 0.86
    bend = np.array([[-0.50, 0.012], [-0.25, 0.0], [0.0, -0.004], [0.25, 0.0], [0.50, 0.012]])
    if len(y):
        p.stroke(bend[None] * (w0 * 1.12, 1) + across(0, y)[:, None], brass.line, 0.009)
        p.stroke(bend[None] * (w0 * 1.12, 1) + across(0, y - 0.002)[:, None], brass.light, 0.005)
    bridge = -0.42 * body
    p.fill(box(-0.052, bridge - 0.014, 0.052, bridge + 0.014), gourd.line)
    p.fill(box(-0.047, bridge - 0.012, 0.047, bridge + 0.008), pale)
    silver, over = p.finish("silver"), ((-0.034, bridge), (0.034, bridge))
    strings(p, ((-0.024, -0.9 * length), (0.024, -0.9 * length)), over, p.parts, silver.glint, 0.0014)
    strings(p, over, ((-0.010, -0.03 * body), (0.010, -0.03 * body)), p.parts, silver.light, 0.0014)


# ------------------------------------------------------------------------------------------------- bowed


def _scrolled(p, top, nut, joint, width, black):
    """Scroll, peg box, pegs and the neck's wood, from the scroll's `top` to the `joint` with the body."""
    wood = p.body
    p.fill(taper(0, nut - 0.01, width * 1.35, 0, joint + 0.02, width * 1.6), wood.line)
    p.fill(taper(0, nut, width * 0.9, 0, joint + 0.02, width * 1.2), wood.base)
    p.fill(taper(0, nut, width * 1.3, 0, top + width * 0.6, width * 0.95), wood.line)
    p.fill(taper(0, nut, width * 0.95, 0, top + width * 0.6, width * 0.65), wood.base)
    p.fill(ellipse(0, top + width * 0.62, width * 0.85, width * 0.62, 16), wood.line)
    p.fill(ellipse(0, top + width * 0.62, width * 0.62, width * 0.42, 16), wood.light)
    peg = 0.5 * width + 0.022
    y = top + (nut - top) * np.linspace(0.38, 0.80, p.parts)
    side = np.where(np.arange(p.parts) % 2, -1, 1) * peg
    p.lines(across(0, y), across(side, y), black.base, width * 0.26)
    p.lines(across(side, y - width * 0.22), across(side, y + width * 0.22), black.base, width * 0.32)


def _fiddle(p, body):
    """An arched top with f-holes, a scroll, a fingerboard without frets; long ones stand on a pin."""
    length, width, outline = p.length, p.shape.neck[0], body_outline(p.shape.outline, p.shape.waist)
    endpin = 0.0 if p.row.length < 0.75 else 0.19 if p.row.length < 1.5 else 0.13
    black, wood = p.finish("ebony"), p.body
    wide = p.stout
    nut = -length + 0.17 * (length - body) + 2.2 * width
    if endpin:
        steel = p.finish("silver")
        p.fill(taper(0, -0.02, 0.022, 0, endpin, 0.012), steel.dark)
        p.fill(taper(-0.003, -0.02, 0.008, -0.002, endpin, 0.005), steel.glint)
    _scrolled(p, -length, nut, -body, width, black)
    plate = outline * (body * wide, body)
    dome(p, plate, wood, line=0.022 * body, levels=5)
    p.stroke(plate * 0.93 + (0, -0.035 * body), wood.line, 0.007 * body, closed=True)
    for side in (-1, 1):
        x, ink = side * 0.118 * body * wide, shade(wood.line, 0.45)
        f_hole(p, x, -0.41 * body, 0.21 * body, side, ink, 0.016 * body)
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


def _finger(p):
    """The finger that is off the string: it changes with the stroke while there is sound."""
    return int(2 + 2 * p.stroke_phase * (p.energy > 0.02)) % 4


def _bowed(p, body):
    """Under the chin, between the knees, or standing beside it: by length, as hands allow."""
    length, build = p.length, BODIES[p.shape.build]
    chin, knees = p.row.length < 0.75, p.row.length < 1.5
    at, turn = ((-0.05, 0.165), 1.22) if chin else ((0, 0), 0.16 if knees else 0.10)
    with p.frame(*at, turn):
        head = p.to_own_frame(-0.19, -1.02 * 1.2)
        build(p, body)
        if chin and p.shape.build == "fiddle":
            rest = smooth(((-0.02, -0.01), (-0.11, -0.02), (-0.135, -0.10), (-0.09, -0.15), (-0.03, -0.09)))
            p.fill(rest * body / 0.36 * 0.62 * (1, 1), p.finish("ebony").base)
        grip = p.to_own_frame(0.025, -0.86 * length) if chin else p.to_own_frame(0.03, -0.80 * length)
        place = p.to_own_frame(0, (-0.475 if chin else -0.47 if knees else -0.46) * body)
    if chin:
        hx, hy, lean, angle, reach, swing = -0.06, 0.0, 0.0, turn + np.pi + 0.06, 0.72, 0.8
    elif knees:
        hx, hy, lean, angle, reach, swing = head[0] - 0.07, -1.02, 0.03, -0.10, 0.71, 0.75
    else:
        hx, hy, lean, angle, reach, swing = -0.17, -1.46, -0.10, -0.06, 0.70, 0.7
    legs = "sitting" if knees and not chin else "standing"
    wear = person(p, hx, hy, facing=1 if chin else -1, legs=legs, lean=lean)
    frog = bow(p, *place, reach, angle, swing * p.stroke_phase, wear)
    near = hx - (0.19 if chin else 0.20 if knees else 0.21), hy + 0.26
    far = (0.12, 0.26) if chin else (hx + 0.20, hy + 0.26)
    arm(p, near, frog, wear)
    fist(p, *frog, wear, angle=1.4 if chin else 0.2)
    arm(p, far, grip, wear, forearm=BEHIND)
    hand(p, *grip, wear, angle=-1.2 if chin else 3.3, lifted=_finger(p))


BODIES = {
    "flat top": _flat_top, "carved top": _carved_top, "skin": _skin, "solid": _solid, "gourd": _gourd,
    "fiddle": _fiddle,
}  # fmt: skip
BUILDS = dict.fromkeys(BODIES, neck)
