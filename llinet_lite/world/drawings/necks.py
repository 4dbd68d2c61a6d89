"""Strings on a neck, plucked and bowed: guitars, mandolin, banjo, sitar; violin, cello, double bass.

Each is drawn upright (end of the body at y = 0, head at y = -length) and then tilted into the player's arms.

Notebook: 00
"""

# ruff: noqa: I001

from __future__ import annotations

import numpy as np

from .painter import BEHIND, shade
from .parts import (
    across, arm, bow, box, dome, ellipse, ellipses, f_hole, fist, frets, hand, knobs, person, plain, smooth,
    strings, symmetric, taper,
)  # fmt: skip

__all__ = [
    "banjo", "cello", "double_bass", "electric_guitar", "guitar", "mandolin", "sitar", "ukulele", "violin",
]  # fmt: skip

# Right halves of the bodies, body length 1
_GUITAR = symmetric((
    (0, -1.0), (0.17, -0.995), (0.265, -0.93), (0.285, -0.82), (0.258, -0.70), (0.240, -0.62), (0.265, -0.52),
    (0.335, -0.41), (0.384, -0.27), (0.368, -0.12), (0.27, -0.02), (0.13, -0.003), (0, 0)), 4)  # fmt: skip
_TEARDROP = symmetric((
    (0, -1.0), (0.08, -0.985), (0.15, -0.90), (0.25, -0.74), (0.34, -0.54), (0.378, -0.34), (0.34, -0.15),
    (0.20, -0.025), (0, 0)), 4)  # fmt: skip
_GOURD = symmetric((
    (0, -1.0), (0.13, -0.985), (0.20, -0.90), (0.34, -0.76), (0.46, -0.56), (0.475, -0.36), (0.40, -0.15),
    (0.22, -0.02), (0, 0)), 4)  # fmt: skip
_STRAT = smooth((
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
    if dots:
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


def _played(p, turn, pluck, fret, body_mid, *, head, legs="standing", swing=0.045, lean=0.0):
    """The player: `pluck`, `fret`, `body_mid` are places in the upright frame turned by `turn`."""
    with p.frame(0, 0, turn):
        px, py = p.to_own_frame(*pluck)
        fx, fy = p.to_own_frame(*fret)
        mx, my = p.to_own_frame(*body_mid)
    hx, hy = mx + head[0], my + head[1]
    wear = person(p, hx, hy, facing=1, legs=legs, lean=lean)
    across = (np.cos(turn), np.sin(turn))
    off = swing * (p.stroke_phase + 0.15)
    px, py = px - across[0] * off, py - across[1] * off
    arm(p, (hx - 0.20, hy + 0.26), (px, py), wear)
    hand(p, px, py, wear, angle=turn - 0.75)
    arm(p, (hx + 0.20, hy + 0.26), (fx, fy), wear, forearm=BEHIND)
    lifted = int(2 + 1.9 * p.stroke_phase) % 4 if p.energy > 0.02 else None
    hand(p, fx, fy, wear, angle=turn + np.pi + 0.35, lifted=lifted)


def _boxed(p, body, outline, hole_y, hole_r, bridge_y, bridge_w, neck, head, frets_, slots=False):
    """A flat-topped guitar: body, rosette, bridge, neck (w0, w1), head (width, pegs per side)."""
    wood, dark = p.body, p.finish("dark wood")
    length, wide = p.length, p.stout
    nut = -length + 0.155 * length
    p.fill(taper(0, nut, neck[0] + 0.010, 0, -body, neck[1] + 0.014), wood.line)
    _head(p, -length, nut, neck[0], head[0], head[1], dark if slots else wood, slots)
    plate = outline * (body * wide, body)
    dome(p, plate, wood, line=0.020 * body, levels=5)
    p.stroke(plate * 0.955 + (0, -0.022 * body), wood.light, 0.008 * body, closed=True)
    center = (0, hole_y * body)
    p.fill(ellipse(*center, hole_r * body * 1.32), wood.line)
    p.fill(ellipse(*center, hole_r * body * 1.20), wood.light)
    p.fill(ellipse(*center, hole_r * body), shade(wood.line, 0.40))
    ebony, pale = p.finish("ebony"), p.finish("ivory").base
    end, b = (hole_y - 0.8 * hole_r) * body, bridge_y * body
    _fingerboard(p, nut, end, *neck, frets_, ebony, p.finish("silver").base)
    p.fill(box(-bridge_w * body, b - 0.02 * body, bridge_w * body, b + 0.028 * body), ebony.base)
    p.lines([[-0.55 * bridge_w * body, b]], [[0.55 * bridge_w * body, b]], pale, 0.014 * body)
    half0, half1 = 0.40 * neck[0], 0.50 * neck[1]
    ends = ((-half0, nut), (half0, nut)), ((-half1, b), (half1, b))
    strings(p, *ends, p.parts, pale, 0.0012)


def guitar(p):
    """Six strings, round hole, waisted body nearly half of the length."""
    body, turn = 0.49 * p.length, 1.12
    with p.frame(0, 0, turn):
        _boxed(p, body, _GUITAR, -0.66, 0.105, -0.24, 0.20, (0.052, 0.060), (0.072, 3), 19, True)
    _played(p, turn, (-0.02, -0.50 * body), (0.045, -0.78 * p.length), (0, -0.6 * body), head=(0.0, -0.50),
            legs="sitting")  # fmt: skip


def ukulele(p):
    """Four strings; a small guitar held against the chest."""
    body, turn = 0.455 * p.length, 1.05
    with p.frame(0, 0, turn):
        _boxed(p, body, _GUITAR, -0.60, 0.125, -0.22, 0.17, (0.036, 0.042), (0.056, 2), 12)
    _played(p, turn, (-0.055, -0.72 * body), (0.040, -0.80 * p.length), (0, -0.6 * body), head=(0.02, -0.36),
            swing=0.035)  # fmt: skip


def mandolin(p):
    """Four pairs of strings on a drop-shaped body."""
    length, body, turn = p.length, 0.53 * p.length, 1.10
    wood, ebony, pale = p.body, p.finish("ebony"), p.finish("ivory").base
    with p.frame(0, 0, turn):
        nut = -0.80 * length
        p.fill(taper(0, nut, 0.040, 0, -body, 0.050), wood.line)
        _head(p, -length, nut, 0.034, 0.062, 4, wood)
        plate = _TEARDROP * (body * p.stout, body)
        dome(p, plate, wood, line=0.024 * body, levels=5)
        p.stroke(plate * 0.94 + (0, -0.03 * body), pale, 0.009 * body, closed=True)
        for side in (-1, 1):
            x = side * 0.20 * body * p.stout
            f_hole(p, x, -0.40 * body, 0.24 * body, side, shade(wood.line, 0.4), 0.02 * body)
        _fingerboard(p, nut, -0.60 * body, 0.032, 0.040, 17, ebony, p.finish("silver").base)
        bridge = -0.34 * body
        silver = p.finish("silver")
        p.fill(taper(0, -0.12 * body, 0.07, 0, -0.005, 0.05), silver.dark)
        p.fill(taper(0, -0.11 * body, 0.055, 0, -0.01, 0.035), silver.light)
        p.fill(box(-0.045, bridge - 0.006, 0.045, bridge + 0.008), ebony.base)
        x = np.repeat(np.linspace(-1, 1, 4), 2) + np.tile([-0.11, 0.11], 4)
        y = np.ones(8)
        p.lines(across(0.012 * x, y * nut), across(0.020 * x, y * bridge), pale, 0.001)
        p.lines(across(0.020 * x, y * bridge), across(0.018 * x, -0.11 * body * y), pale, 0.001)
    _played(p, turn, (-0.05, -0.5 * body), (0.042, -0.76 * length), (0, -0.6 * body), head=(0.02, -0.42),
            swing=0.035)  # fmt: skip


def _banjo_pot(p, hub, radius):
    """Skin, rim, tension hoop and brackets."""
    silver = p.finish("silver")
    angle = np.arange(20) * 2 * np.pi / 20 + 0.157
    spoke = np.stack([np.cos(angle), np.sin(angle)], 1)
    p.lines(hub + spoke * radius * 0.95, hub + spoke * (radius + 0.012), silver.line, 0.016)
    p.fill(ellipse(*hub, radius, n=44), silver.line)
    p.fill(ellipse(*hub, radius * 0.975, n=44), silver.glint)
    p.fill(ellipse(*hub, radius * 0.90, n=44), silver.line)
    dome(p, ellipse(*hub, radius * 0.875, n=44), p.body, line=0, levels=4)
    knobs(p, hub + spoke * (radius + 0.010), 0.008, silver)


def banjo(p):
    """Five strings over a round skin in a ring of brackets; the fifth peg sits half-way up the neck."""
    length, turn = p.length, 1.08
    radius = 0.150 * length * p.stout
    hub = (0, -0.150 * length)
    wood, silver, ebony = p.finish("dark wood"), p.finish("silver"), p.finish("ebony")
    pale = p.finish("ivory").base
    with p.frame(0, 0, turn):
        nut = -0.84 * length
        p.fill(taper(0, nut, 0.044, 0, hub[1], 0.054), wood.line)
        _head(p, -length, nut, 0.036, 0.062, 2, wood)
        _banjo_pot(p, np.array(hub), radius)
        edge = hub[1] - 0.80 * radius
        _fingerboard(p, nut, edge, 0.036, 0.046, 20, ebony, silver.base)
        fifth = nut + 0.26 * (edge - nut)
        p.lines([[-0.015, fifth]], [[-0.045, fifth]], silver.dark, 0.008)
        p.fill(ellipse(-0.048, fifth, 0.012, 0.010, 10), pale)
        bridge, tail = hub[1] + 0.32 * radius, hub[1] + 0.95 * radius
        p.fill(box(-0.040, bridge - 0.005, 0.040, bridge + 0.007), wood.base)
        p.fill(taper(0, hub[1] + 0.72 * radius, 0.030, 0, tail, 0.045), silver.dark)
        gauge = shade(silver.line, 0.8)
        over, at_bridge = ((-0.012, edge), (0.018, edge)), ((-0.024, bridge), (0.024, bridge))
        strings(p, over, at_bridge, p.parts, gauge, 0.0016)
        strings(p, ((-0.013, nut), (0.013, nut)), over, p.parts - 1, pale, 0.0012)
        p.lines([[-0.017, fifth]], [[-0.016, edge]], pale, 0.0012)
        strings(p, at_bridge, ((-0.012, tail - 0.04), (0.012, tail - 0.04)), p.parts, gauge, 0.0016)
    _played(p, turn, (-0.07, hub[1] - 0.35 * radius), (0.046, -0.72 * length), (0, hub[1] - radius * 0.6),
            head=(0.0, -0.48))  # fmt: skip


def electric_guitar(p):
    """A solid body with horns, pick-ups, knobs and six pegs in line."""
    length, turn = p.length, 1.02
    body = 0.45 * length
    metal, neck, silver, ebony = p.body, p.finish("wood"), p.finish("silver"), p.finish("ebony")
    pale = p.finish("ivory").base
    with p.frame(0, 0, turn):
        nut = -0.835 * length
        head = smooth(((-0.024, nut), (-0.036, nut - 0.03), (-0.044, -length + 0.02), (-0.01, -length - 0.01),
                       (0.030, -length + 0.02), (0.022, nut - 0.05), (0.026, nut)), True, 3)  # fmt: skip
        y = np.linspace(nut - 0.030, -length + 0.022, 6)
        p.lines(across(-0.02, y), across(-0.066, y), silver.dark, 0.007)
        p.fill(ellipses(across(-0.066, y), 0.011, 0.008), silver.base)
        plain(p, head, neck, 0.005)
        p.fill(ellipses(across(-0.014, y), 0.005), silver.line)
        plate = _STRAT * (body * p.stout, body)
        dome(p, plate, metal, line=0.022 * body, levels=4, rim=0.95)
        p.fill(_GUARD * (body * p.stout, body), shade(pale, 0.94))
        _fingerboard(p, nut, -0.66 * body, 0.044, 0.056, 21, neck, silver.line)
        for v, slant in ((-0.575, 0), (-0.455, 0), (-0.33, 0.035)):
            p.fill(taper(-0.044, (v + slant) * body, 0.040, 0.044, (v - slant) * body, 0.040), ebony.base)
            poles = across(np.linspace(-0.028, 0.028, 6), np.linspace(v + slant, v - slant, 6) * body)
            p.fill(ellipses(poles, 0.0045), silver.glint)
        p.fill(box(-0.042, -0.235 * body, 0.042, -0.165 * body), silver.line)
        p.fill(box(-0.038, -0.228 * body, 0.038, -0.18 * body), silver.light)
        knobs(p, [(0.095, -0.30 * body), (0.118, -0.225 * body), (0.135, -0.15 * body)], 0.017, ebony, 0.003)
        ends = ((-0.018, nut), (0.018, nut)), ((-0.026, -0.20 * body), (0.026, -0.20 * body))
        strings(p, *ends, p.parts, silver.glint, 0.001)
        plug, end = p.to_own_frame(0.30 * body, -0.06 * body), p.to_own_frame(0.75 * body, 0.35 * body)
    with p.on(BEHIND):
        p.stroke([plug, ((plug[0] + end[0]) / 2 - 0.05, end[1]), end], (28, 28, 30), 0.012)
    _played(p, turn, (-0.03, -0.42 * body), (0.045, -0.72 * length), (0, -0.55 * body), head=(-0.02, -0.56))


def sitar(p):
    """A gourd, a long broad neck with arched frets, pegs along it and a second gourd at the top."""
    length, turn = p.length, 0.72
    body = 0.31 * length
    gourd, brass, pale = p.body, p.finish("brass"), p.finish("ivory").base
    w0, w1 = 0.072, 0.090
    with p.frame(0, 0, turn):
        dome(p, ellipse(0.055, -0.80 * length, 0.095 * p.stout, 0.105 * p.stout), gourd, 0.008)
        y = np.linspace(-0.985 * length, -0.60 * length, 7)
        side = np.where(np.arange(7) < 3, 1, -1) * 1.0
        p.lines(across(0, y), np.stack([side * (w0 / 2 + 0.035), y], 1), gourd.line, 0.014)
        knobs(p, np.stack([side * (w0 / 2 + 0.042), y], 1), 0.020, gourd, 0.002)
        dome(p, _GOURD * (body * p.stout, body), gourd, line=0.010, levels=5)
        p.stroke(_GOURD * (0.88 * body * p.stout, 0.88 * body) + (0, -0.06 * body), pale, 0.007, closed=True)
        p.fill(taper(0, -length, w0 + 0.010, 0, -0.88 * body, w1 + 0.012), gourd.line)
        p.fill(taper(0, -length + 0.006, w0, 0, -0.90 * body, w1), gourd.base)
        p.fill(taper(-0.026, -length + 0.006, 0.014, -0.032, -0.90 * body, 0.016), gourd.light)
        y = -0.86 * length + 0.60 * length * np.linspace(0, 1, 17) ** 0.86
        bend = np.array([[-0.50, 0.012], [-0.25, 0.0], [0.0, -0.004], [0.25, 0.0], [0.50, 0.012]])
        p.stroke(bend[None] * (w0 * 1.12, 1) + across(0, y)[:, None], brass.line, 0.009)
        p.stroke(bend[None] * (w0 * 1.12, 1) + across(0, y - 0.002)[:, None], brass.light, 0.005)
        bridge = -0.42 * body
        p.fill(box(-0.052, bridge - 0.014, 0.052, bridge + 0.014), gourd.line)
        p.fill(box(-0.047, bridge - 0.012, 0.047, bridge + 0.008), pale)
        silver, over = p.finish("silver"), ((-0.034, bridge), (0.034, bridge))
        strings(p, ((-0.024, -0.9 * length), (0.024, -0.9 * length)), over, p.parts, silver.glint, 0.0014)
        strings(p, over, ((-0.010, -0.03 * body), (0.010, -0.03 * body)), p.parts, silver.light, 0.0014)
    _played(p, turn, (-0.06, -0.72 * body), (0.055, -0.66 * length), (0, -0.6 * body), head=(0.06, -0.62),
            legs="crossed", swing=0.04)  # fmt: skip


# ------------------------------------------------------------------------------------------------- bowed

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
