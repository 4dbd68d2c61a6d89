"""Strings over a frame, a case or a board: harp, piano, zither, steel guitar.

Notebook: 00
"""

# ruff: noqa: I001

from __future__ import annotations

import numpy as np

from .painter import BEHIND, FRONT, shade
from .outlines import body as body_outline
from .parts import (
    across, arm, bow, box, boxes, dome, ellipse, ellipses, fist, hand, moved, person, plain, sharps, smooth,
    stick, taper, tube,
)  # fmt: skip


def _dips(p, amount):
    """Offsets of the two hands from their strings or keys: they play in turn, meters."""
    return amount * p.lift, amount * (1 - p.lift) if p.energy > 0.02 else amount


def _finger(p):
    """Number of the finger that is up now, None if nobody plays."""
    return int(4 * p.lift) if p.energy > 0.02 else None


def harp(p):
    """Column, soundboard against the shoulder, curved neck, strings of falling length."""
    h, wood, brass = p.length, p.body, p.finish("brass")
    wide = p.stout * h / 1.7
    column, foot, shoulder = -0.46 * wide, -0.03, (0.40 * wide, -0.74 * h)
    neck = smooth(((column, -0.965 * h), (-0.30 * wide, -0.955 * h), (-0.12 * wide, -0.84 * h),
                   (0.08 * wide, -0.745 * h), (0.26 * wide, -0.755 * h), shoulder), False, 6)  # fmt: skip
    board = np.array([[-0.34 * wide, -0.10 * h], shoulder])
    share = np.linspace(0.06, 0.93, p.parts)[:, None]
    low = board[0] + (board[1] - board[0]) * share
    x = low[:, 0] - 0.012
    high = np.stack([x, np.interp(x, neck[:, 0], neck[:, 1])], 1)
    red = p.finish("felt").base
    p.lines(high, low, (172, 146, 104), 0.007)
    p.lines(high[::7], low[::7], red, 0.008)
    p.lines(high[3::7], low[3::7], (52, 44, 44), 0.008)
    sound = np.linspace(0, 1, 8)[:, None]
    spine = board[0] + (board[1] - board[0]) * sound + (0.035, 0.02)
    tube(p, spine, np.linspace(0.19, 0.10, 8) * p.stout, wood, 0.010, side=1)
    p.lines(low[:1] + 0.01, low[-1:] + 0.01, wood.line, 0.012)
    tube(p, across(column, np.linspace(-0.95 * h, -0.07 * h, 6)), 0.075 * p.stout, wood, 0.008)
    p.lines([[column - 0.02, -0.93 * h]], [[column - 0.02, -0.10 * h]], wood.glint, 0.008)
    tube(p, neck, 0.075 * p.stout, wood, 0.008)
    p.fill(ellipses(high - (0, 0.004), 0.008), brass.glint)
    dome(p, ellipse(column, -0.965 * h, 0.075 * p.stout, 0.050 * p.stout), wood, 0.008)
    for y, half in ((-0.90 * h, 0.055), (-0.12 * h, 0.060)):
        p.fill(box(column - half, y - 0.018, column + half, y + 0.018), brass.dark)
        p.fill(box(column - half, y - 0.016, column + half * 0.4, y + 0.006), brass.light)
    plinth = np.array([[column - 0.10, foot], [column - 0.06, -0.10 * h], [-0.20 * wide, -0.10 * h],
                       [-0.08 * wide, foot]])  # fmt: skip
    plain(p, plinth, wood, 0.014)
    _harpist(p, wide, h)


def _harpist(p, wide, h):
    hx, hy = 0.62 * wide, -1.22
    wear = person(p, hx, hy, facing=-1, legs="sitting", torso=0.9)
    one, two = _dips(p, 0.05)
    for place, shift, layer in (
        ((-0.10 * wide, -0.50 * h), one, BEHIND),
        ((0.06 * wide, -0.60 * h), two, FRONT),
    ):
        x, y = place[0] + shift, place[1] + 0.3 * shift
        arm(p, (hx - 0.13, hy + 0.27), (x + 0.02, y), wear, forearm=layer)
        hand(p, x, y, wear, angle=3.3, layer=layer)


def piano(p):
    """An upright, seen from the player's side: case, desk, keyboard, pedals."""
    w, wood, ebony, ivory = p.length, p.body, p.finish("ebony"), p.finish("ivory")
    h = 0.80 * w * p.stout * p.shape.depth
    half, keys_y = w / 2, -0.47 * h
    _piano_case(p, w, h)
    for side in (-1, 1):  # legs of the key bed
        x = side * (half - 0.07)
        p.fill(taper(x, keys_y + 0.10, 0.075, x, 0.0, 0.05), wood.line)
        p.fill(taper(x, keys_y + 0.10, 0.045, x, -0.01, 0.03), wood.base)
    top, front = keys_y - 0.085, keys_y + 0.085
    p.fill(box(-half - 0.005, top - 0.035, half + 0.005, front + 0.085), wood.line)
    p.fill(box(-half + 0.005, front + 0.012, half - 0.005, front + 0.072), wood.light)
    p.fill(box(-half + 0.06, top - 0.012, half - 0.06, top + 0.003), p.finish("felt").base)
    n = p.parts
    wide = (w - 0.14) / n
    x = -half + 0.07 + wide * np.arange(n)
    p.fill(box(-half + 0.068, top, half - 0.068, front + 0.012), shade(ivory.dark, 0.8))
    p.fill(boxes(x + 0.004, top, x + wide - 0.004, front), ivory.base)
    sharp = -half + 0.07 + np.array(sharps(n)) * wide
    p.fill(boxes(sharp - 0.30 * wide, top, sharp + 0.30 * wide, top + 0.105), ebony.base)
    p.fill(boxes(sharp - 0.16 * wide, top, sharp + 0.10 * wide, top + 0.085), ebony.light)
    pedal = np.array([-0.06, 0.0, 0.06])
    p.fill(box(-0.13, -0.06, 0.13, -0.015), ebony.base)
    p.fill(boxes(pedal - 0.018, -0.05, pedal + 0.018, 0.01), p.finish("brass").light)
    _pianist(p, half, keys_y)


def _piano_case(p, w, h):
    """Case, lid, panels and the music on its desk."""
    wood, half = p.body, w / 2
    plain(p, box(-half + 0.02, -h, half - 0.02, -0.03), wood, 0.014)
    p.fill(box(-half, -h - 0.025, half, -h + 0.030), wood.line)
    p.fill(box(-half + 0.01, -h - 0.018, half - 0.01, -h + 0.006), wood.light)
    for x0, x1 in ((-0.45, -0.20), (-0.17, 0.17), (0.20, 0.45)):  # panels above the keys
        p.fill(box(x0 * w, -0.93 * h, x1 * w, -0.58 * h), wood.dark)
        p.fill(box(x0 * w + 0.014, -0.93 * h + 0.014, x1 * w, -0.58 * h), wood.light)
        p.fill(box(x0 * w + 0.016, -0.93 * h + 0.016, x1 * w - 0.012, -0.58 * h - 0.012), wood.base)
    p.fill(box(-0.42 * w, -0.32 * h, 0.42 * w, -0.10 * h), wood.dark)
    p.fill(box(-0.41 * w, -0.30 * h, 0.42 * w, -0.10 * h), wood.base)
    sheet = np.array([[-0.15, -0.62], [-0.14, -0.86], [0.14, -0.86], [0.15, -0.62]])
    p.fill(sheet * (w, h), p.finish("ivory").base)
    rows = np.linspace(-0.82, -0.67, 4) * h
    for x0, x1 in ((-0.125, -0.015), (0.015, 0.125)):
        p.lines(across(x0 * w, rows), across(x1 * w, rows), (90, 90, 96), 0.008)
    p.lines([[0, -0.86 * h]], [[0, -0.62 * h]], (150, 146, 136), 0.006)


def _pianist(p, half, keys_y):
    hx, hy = -half - 0.05, keys_y - 0.62
    wear = person(p, hx, hy, facing=1, legs="sitting", torso=0.85)
    one, two = _dips(p, 0.05)
    for reach, lift, shoulder in ((0.30, one, -0.02), (0.60, two, 0.15)):
        x, y = -half + reach, keys_y + 0.06 - lift
        arm(p, (hx + shoulder, hy + 0.27), (x - 0.05, y - 0.02), wear)
        hand(p, x, y - 0.02, wear, angle=0.9, lifted=_finger(p))


def zither(p):
    """A flat box with one straight and one curved side, a fretted edge and many open strings."""
    w, wood, ebony, steel = p.length, p.body, p.finish("ebony"), p.finish("silver")
    d = 0.50 * w * p.stout
    outline = np.concatenate([
        np.array([[-0.49 * w, 0.0], [0.49 * w, 0.0], [0.49 * w, 0.46 * d]]),
        smooth(((0.49 * w, 0.46 * d), (0.36 * w, 0.52 * d), (0.20 * w, 0.66 * d), (0.04 * w, 0.92 * d),
                (-0.16 * w, d), (-0.36 * w, 0.90 * d), (-0.49 * w, 0.60 * d)), False, 4)])  # fmt: skip
    p.fill(moved(outline, 0.004, 0.020), wood.line)  # thickness of the box
    dome(p, outline, wood, 0.007, levels=4, rim=0.95)
    hole = (-0.14 * w, 0.60 * d)
    p.fill(ellipse(*hole, 0.19 * d), wood.light)
    p.fill(ellipse(*hole, 0.15 * d), shade(wood.line, 0.45))
    p.fill(box(-0.40 * w, 0.02 * d, 0.34 * w, 0.20 * d), ebony.base)  # fretboard
    x = -0.40 * w + 0.9 * w * (1 - 2.0 ** (-np.arange(1, 23) / 12))
    p.lines(across(x, 0.02 * d), across(x, 0.20 * d), steel.base, 0.003)
    p.fill(box(-0.485 * w, 0.01 * d, -0.435 * w, 0.60 * d), wood.dark)
    p.fill(box(0.425 * w, 0.01 * d, 0.485 * w, 0.45 * d), wood.dark)
    n = p.parts
    y0, y1 = np.linspace(0.04, 0.58, n) * d, np.linspace(0.04, 0.43, n) * d
    even = (np.arange(n) % 2) * 0.018 * w
    left, right = across(-0.455 * w - even, y0), across(0.44 * w + even, y1)
    p.lines(left, right, (250, 246, 236), 0.0022)
    p.fill(ellipses(left, 0.0055), steel.base)
    p.fill(ellipses(right, 0.0055), steel.glint)
    _over_strings(p, w, d)


def _over_strings(p, w, d):
    """Who plays a board that lies before him: two hands, two hammers, or a bow and a hand."""
    hx, hy = 0.0, -0.50
    wear = person(p, hx, hy, legs="none", facing=0)
    one, two = _dips(p, 0.05)
    if p.row.exciter == "bowed":
        frog = bow(p, 0.12 * w, 0.30 * d, 0.60, 1.25, 0.7 * p.stroke_phase, wear)
        arm(p, (hx + 0.20, hy + 0.27), frog, wear, elbow=(1, 0.3))
        fist(p, *frog, wear, angle=1.3)
    for side, reach, lift in ((-1, -0.24, one), (1, 0.24, two)):
        if side > 0 and p.row.exciter == "bowed":
            continue
        x, y = reach * w, 0.02 * d - lift
        if p.row.exciter == "struck":
            grip, tip = (1.05 * x + 0.06 * side, -0.16 - 1.4 * lift), (0.55 * x, 0.30 * d - 2.6 * lift)
            arm(p, (hx + 0.20 * side, hy + 0.27), grip, wear, elbow=(side, 0.3))
            stick(p, grip, tip, 0.016, width=0.011)
            fist(p, *grip, wear, angle=0.3 * side)
            continue
        arm(p, (hx + 0.20 * side, hy + 0.27), (x, y - 0.03), wear, elbow=(side, 0.3))
        hand(p, x, y, wear, angle=1.57 + 0.25 * side, lifted=_finger(p))


# Left and right edges (widths) of boards at five depths, from the player's side outwards
_EDGES = {
    "trapezoid": ((-0.49, -0.45, -0.41, -0.37, -0.33), (0.49, 0.45, 0.41, 0.37, 0.33)),
    "box": ((-0.49, -0.50, -0.50, -0.50, -0.49), (0.49, 0.50, 0.50, 0.50, 0.49)),
    "wedge": ((-0.30, -0.46, -0.48, -0.46, -0.30), (-0.08, 0.20, 0.50, 0.20, -0.08)),
    "wing": ((-0.49, -0.49, -0.48, -0.46, -0.40), (0.49, 0.40, 0.24, 0.08, -0.06)),
    "boat": ((-0.30, -0.45, -0.50, -0.45, -0.30), (0.30, 0.45, 0.50, 0.45, 0.30)),
}


def board(p):
    """A shallow box with strings along it; its two ends are a blend, and one may lay a skin over it."""
    if p.shape.outline[0][0] == "zither":
        return zither(p)
    w, wood, ebony, steel = p.length, p.body, p.finish("ebony"), p.finish("silver")
    d = 0.42 * w * p.stout * p.shape.depth
    left, right = sum(share * np.array(_EDGES[name]) for name, share in p.shape.outline)
    v = np.linspace(0, 1, 25)
    ends = [np.interp(v, np.linspace(0, 1, 5), edge) * w for edge in (left, right)]
    outline = np.concatenate([across(ends[1], v * d), across(ends[0], v * d)[::-1]])
    p.fill(moved(outline, 0.004, 0.10 * d + 0.012), wood.line)  # thickness of the box
    p.fill(moved(outline, 0.0, 0.09 * d + 0.006), wood.dark)
    dome(p, outline, wood, 0.007, levels=4, rim=0.96)
    for x, y, r in ((-0.22, 0.34, 0.09), (0.16, 0.60, 0.07)):
        p.fill(ellipse(x * w, y * d, 1.3 * r * d), wood.light)
        p.fill(ellipse(x * w, y * d, r * d), shade(wood.line, 0.4))
    at = np.linspace(0.07, 0.93, p.parts)
    a, b = (across(np.interp(at, v, end) * 0.93, at * d) for end in ends)
    for end in (a, b):
        p.stroke(end, ebony.base, 0.030 * w)
    if p.shape.frets:  # a bridge under each string, as they please
        foot = a + (b - a) * (0.22 + 0.5 * at[:, None])
        p.fill(boxes(foot[:, 0] - 0.010 * w, foot[:, 1] - 0.012 * w, foot[:, 0] + 0.010 * w, foot[:, 1]),
               p.finish("ivory").base)  # fmt: skip
    p.lines(a, b, (250, 246, 236), 0.0026)
    for end in (a, b):
        p.fill(ellipses(end, 0.0075), steel.glint)
    return _over_strings(p, w, d)


def lyre(p):
    """A body below, two arms and a crossbar above it, strings between; plucked or bowed."""
    h, wood, ebony = p.length, p.body, p.finish("ebony")
    body, skin = p.shape.body * h, p.finish("skin")
    outline = body_outline(p.shape.outline, p.shape.waist) * (1.15 * body * p.stout, -body)
    outline = moved(outline, 0, -body)
    wide = np.abs(outline[:, 0]).max()
    for side in (-1, 1):
        points = ((0.55 * wide, -0.75 * body), (0.98 * wide, -1.10 * body), (0.92 * wide, -0.75 * h),
                  (1.12 * wide, -h))  # fmt: skip
        tube(p, smooth(tuple((side * x, y) for x, y in points), False, 5), 0.050 * p.stout, wood, 0.006)
    bar = np.array([[-1.30 * wide, -0.965 * h], [1.30 * wide, -0.965 * h]])
    tube(p, bar, 0.048 * p.stout, wood, 0.006, side=1)
    dome(p, outline, wood, 0.010, levels=4)
    if p.shape.under == "skin":
        p.fill(moved(moved(outline, 0, 0.5 * body) * 0.86, 0, -0.5 * body), shade(skin.line, 0.9))
        dome(p, moved(moved(outline, 0, 0.5 * body) * 0.83, 0, -0.5 * body), skin, 0, levels=3)
    else:
        p.fill(ellipse(0, -0.62 * body, 0.14 * body), shade(wood.line, 0.4))
    n, b = p.parts, -0.26 * body
    top = across(np.linspace(-0.72, 0.72, n) * wide, -0.965 * h)
    foot = across(np.linspace(-0.22, 0.22, n) * wide, b)
    p.fill(box(-0.30 * wide, b - 0.012, 0.30 * wide, b + 0.016), ebony.base)
    p.lines(top, foot, (250, 246, 236), 0.0035)
    p.fill(ellipses(top, 0.012), ebony.base)
    hx, hy = 0.10, -0.62 * h - 0.42
    wear = person(p, hx, hy, legs="sitting", facing=-1)
    if p.row.exciter == "bowed":
        frog = bow(p, 0, -0.52 * body - 0.08, 0.62, np.pi - 0.12, 0.7 * p.stroke_phase, wear)
        arm(p, (hx + 0.20, hy + 0.27), frog, wear)
        fist(p, *frog, wear, angle=0.2)
    else:
        x, y = 0.30 * wide + 0.05 * p.lift, 0.5 * (b - 0.965 * h)
        arm(p, (hx + 0.20, hy + 0.27), (x + 0.05, y), wear)
        hand(p, x + 0.03, y, wear, angle=3.2, lifted=_finger(p))
    arm(p, (hx - 0.20, hy + 0.27), (-0.45 * wide, 0.55 * (b - 0.965 * h)), wear, forearm=BEHIND)
    hand(p, -0.45 * wide, 0.55 * (b - 0.965 * h), wear, angle=0.1, layer=BEHIND)


def bow_harp(p):
    """A neck that grows in a curve out of a hollow body, and strings between them."""
    h, wood, gourd = p.length, p.body, p.finish("gourd") if p.shape.under == "gourds" else p.body
    wide, bend = p.stout * h, 0.30 + 0.30 * p.shape.bend
    outline = body_outline(p.shape.outline, p.shape.waist)
    neck = smooth(((0.10, -0.10), (-0.22, -0.16), (-0.22 - 0.45 * bend, -0.45), (-0.30 * bend - 0.10, -0.80),
                   (0.10, -0.98)), False, 6) * (wide, h)  # fmt: skip
    n = p.parts
    top = neck[(np.linspace(0.52, 0.97, n) * (len(neck) - 1)).astype(int)]
    low = across(np.linspace(-0.08, 0.52, n) * wide, -0.11 * h)
    p.lines(top, low, (172, 146, 104), 0.006)
    p.lines(top[::3], low[::3], (250, 246, 236), 0.006)
    with p.frame(-0.24 * wide, -0.10 * h, -np.pi / 2):
        dome(p, moved(outline, 0, 1.0) * (0.62 * wide * p.shape.depth, 0.92 * wide), gourd, 0.010, levels=5)
    p.lines(low[:1] - 0.02, moved(low[-1:], 0.02, -0.02), wood.line, 0.016)
    tube(p, neck, np.linspace(0.075, 0.045, len(neck)) * p.stout, wood, 0.007)
    p.fill(ellipses(top, 0.013), p.finish("ebony").base)
    hx, hy = 0.66 * wide, -0.45 * h - 0.55
    wear = person(p, hx, hy, facing=-1, legs="sitting", torso=0.9)
    one, two = _dips(p, 0.05)
    for x, y, shift, layer in ((0.02 * wide, -0.46 * h, one, BEHIND), (0.20 * wide, -0.40 * h, two, FRONT)):
        arm(p, (hx - 0.13, hy + 0.27), (x + shift + 0.02, y), wear, forearm=layer)
        hand(p, x + shift, y + 0.3 * shift, wear, angle=3.3, layer=layer)


def steel_guitar(p):
    """A pedal steel: a console of strings on four legs, a steel bar, a pedal bar."""
    steel, ebony, wood = p.body, p.finish("ebony"), p.finish("dark wood")
    silver = p.finish("silver")
    half, d, tall = p.length / 2, 0.33 * p.stout, 0.60 * p.stout
    _console_legs(p, half, tall)
    plain(p, box(-half, 0.02, half, 0.125 * p.stout), steel, 0.010)  # apron
    p.fill(box(-half + 0.015, 0.035, half - 0.015, 0.055), steel.glint)
    p.fill(box(-half + 0.015, 0.085, half - 0.015, 0.115), steel.dark)
    scale = np.array([half, d])
    plain(p, np.array([[-0.96, -0.8], [0.96, -0.8], [1, 0.08], [-1, 0.08]]) * scale, steel, 0.008)
    p.fill(np.array([[-0.70, -0.66], [0.42, -0.66], [0.43, -0.10], [-0.72, -0.10]]) * scale, ebony.base)
    x = -0.71 * half + 1.55 * half * (1 - 2.0 ** (-np.arange(1, 19) / 12))
    p.lines(across(x, -0.66 * d), across(x, -0.10 * d), (118, 116, 112), 0.004)
    p.fill(ellipses(across(0.5 * (x[2:9:2] + x[1:8:2]), -0.38 * d), 0.012), (226, 190, 90))
    p.fill(np.array([[-0.94, -0.74], [-0.73, -0.74], [-0.75, -0.04], [-0.97, -0.04]]) * scale, wood.base)
    p.fill(box(0.50 * half, -0.68 * d, 0.62 * half, -0.06 * d), ebony.base)
    p.fill(box(0.76 * half, -0.74 * d, 0.90 * half, -0.02 * d), silver.dark)
    p.fill(box(0.77 * half, -0.72 * d, 0.84 * half, -0.04 * d), silver.glint)
    n = p.parts
    y = np.linspace(-0.62, -0.14, n) * d
    pegs = across(np.linspace(-0.92, -0.78, n) * half, np.where(np.arange(n) % 2, -0.66, -0.14) * d)
    p.lines(pegs, across(-0.72 * half, y), silver.glint, 0.003)
    p.fill(ellipses(pegs, 0.011, 0.009), silver.glint)
    p.lines(across(-0.72 * half, y), across(0.82 * half, y), silver.glint, 0.0035)
    _steel_player(p, half, d)


def _console_legs(p, half, tall):
    """Four legs, the pedal bar, its rods and pedals."""
    silver, ebony = p.finish("silver"), p.finish("ebony")
    for x in (-0.80 * half, 0.80 * half):
        p.fill(taper(0.92 * x, -0.10, 0.018, 0.98 * x, tall - 0.10, 0.015), shade(silver.dark, 0.8))
    for x in (-0.93 * half, 0.93 * half):
        tube(p, np.array([[x, 0.10], [x, tall]]), 0.022, silver, 0.003)
        p.fill(ellipse(x, tall, 0.018, 0.010, 10), ebony.base)
    p.stroke([(-0.93 * half, tall - 0.12), (0.93 * half, tall - 0.12)], silver.line, 0.036)
    p.stroke([(-0.93 * half, tall - 0.125), (0.93 * half, tall - 0.125)], silver.base, 0.022)
    pedal = np.array([-0.70, -0.48, -0.26, -0.04]) * half
    p.lines(across(pedal, 0.08), across(pedal, tall - 0.12), silver.dark, 0.008)
    p.fill(boxes(pedal - 0.024, tall - 0.13, pedal + 0.024, tall - 0.01), silver.line)
    p.fill(boxes(pedal - 0.018, tall - 0.125, pedal + 0.018, tall - 0.03), silver.light)


def _steel_player(p, half, d):
    hx, hy = 0.08, -0.68
    wear = person(p, hx, hy, facing=-1, legs="sitting")
    slide = -0.24 * half + 0.05 * half * p.stroke_phase
    arm(p, (hx - 0.20, hy + 0.27), (slide - 0.03, -0.95 * d), wear)
    with p.on(FRONT):
        p.stroke([(slide, -0.78 * d), (slide, 0.0)], (70, 76, 84), 0.030)
        p.stroke([(slide - 0.004, -0.76 * d), (slide - 0.004, -0.02)], (226, 232, 238), 0.012)
    hand(p, slide - 0.02, -0.78 * d, wear, angle=1.5)
    x, y = 0.50 * half, -0.62 * d - 0.05 * p.lift
    arm(p, (hx + 0.20, hy + 0.27), (x, y - 0.04), wear)
    hand(p, x, y, wear, angle=1.8)


BUILDS = {
    "harp": harp, "case": piano, "board": board, "lyre": lyre, "bow harp": bow_harp, "console": steel_guitar,
}  # fmt: skip
