"""Tubes, reeds and bellows: flute, clarinet, saxophone, brass, horns, bagpipes, harmonica, accordion.

Notebook: 00
"""

# ruff: noqa: I001

from __future__ import annotations

import numpy as np

from .painter import BEHIND, FRONT, hsv, mix, shade
from .outlines import body as body_outline
from .parts import (
    across, arc, arm, bell_mouth, box, boxes, columns, dome, ellipse, ellipses, fist, hand, knobs, moved,
    peaked, person, ribbon, rounded, sharps, smooth, taper, tube,
)  # fmt: skip


def _phase(p):
    """Number of the finger that is up now (None for a silent player)."""
    return int(2.0 + 1.99 * p.stroke_phase) % 4 if p.energy > 0.02 else None


def _line(x0, y0, x1, y1, n=8):
    return np.stack([np.linspace(x0, x1, n), np.linspace(y0, y1, n)], 1)


def _held_down(p, wear, left, right):
    """Two hands on a tube that hangs from the lips."""
    arm(p, (0.20, 0.27), (left[0] + 0.03, left[1]), wear, forearm=BEHIND)
    arm(p, (-0.20, 0.27), (right[0] - 0.03, right[1]), wear, forearm=BEHIND)
    hand(p, left[0] + 0.028, left[1] + 0.01, wear, angle=2.95, lifted=_phase(p), spread=0.9)
    hand(p, right[0] - 0.022, right[1], wear, angle=-0.25, lifted=_phase(p), spread=0.9)


def _held_across(p, wear, left, right):
    """Two hands on a tube that points away from the lips or past them."""
    arm(p, (0.18, 0.27), (left[0], left[1] + 0.05), wear, forearm=BEHIND)
    arm(p, (-0.20, 0.27), (right[0], right[1] + 0.05), wear, reach=0.76)
    hand(p, left[0], left[1] + 0.048, wear, angle=-1.57, lifted=_phase(p), spread=0.9)
    hand(p, right[0], right[1] + 0.050, wear, angle=-1.57, lifted=_phase(p), spread=0.9)


def clarinet(p):
    """A straight black tube with silver keys, a small bell, held downwards from the mouth."""
    length, wood, silver = p.length, p.body, p.finish("silver")
    black = p.finish("ebony")
    turn, mouth = -0.30, (0.0, 0.075)
    bore = 0.030 * p.stout
    with p.frame(*mouth, turn):
        y = np.array([0.0, 0.05, 0.10, 0.11, 0.5, 0.80, 0.88, 0.94, 0.98, 1.0]) * length
        w = np.array([0.35, 0.8, 1.0, 1.05, 1.0, 1.05, 1.3, 1.75, 2.3, 2.6]) * bore
        tube(p, np.stack([np.zeros(10), y], 1), w, wood, 0.0035, side=1)
        p.fill(taper(0, 0, 0.35 * bore, 0, 0.095 * length, 0.95 * bore), black.base)
        p.fill(taper(-0.002, 0.01, 0.15 * bore, -0.004, 0.09 * length, 0.3 * bore), black.glint)
        rings = np.array([0.10, 0.20, 0.52, 0.84]) * length
        p.fill(boxes(-0.62 * bore, rings - 0.006, 0.62 * bore, rings + 0.006), silver.line)
        p.fill(boxes(-0.60 * bore, rings - 0.004, 0.35 * bore, rings + 0.003), silver.glint)
        p.fill(box(-1.34 * bore, 0.985 * length, 1.34 * bore, length), silver.dark)
        p.fill(box(-1.30 * bore, 0.985 * length, 0.6 * bore, 0.995 * length), silver.glint)
        key = np.array([0.24, 0.29, 0.34, 0.39, 0.44, 0.57, 0.62, 0.67, 0.72, 0.77]) * length
        side = np.tile([0.0, 0.30, -0.10, 0.40, 0.0], 2) * bore
        rods = np.array([[[0.42, 0.22], [0.42, 0.49]], [[-0.40, 0.55], [-0.40, 0.81]]])
        p.stroke(rods * (bore, length), silver.base, 0.006)
        knobs(p, across(side, key), 0.011, silver, 0.002)
        levers = across((0.75, 0.8, -0.8, 0.8, 0.8, -0.8, -0.7), (0.26, 0.47, 0.60, 0.79, 0.75, 0.80, 0.20))
        p.fill(ellipses(levers * (bore, length), 0.010, 0.006), silver.light)
        left, right = p.to_own_frame(0.026, 0.33 * length), p.to_own_frame(-0.026, 0.66 * length)
    _held_down(p, person(p, 0, 0, facing=0, puff=0.4 * p.energy), left, right)


def flute(p):
    """A silver tube held crosswise, keys all along it, the lips over a plate near one end."""
    length, silver = p.length, p.body
    bore, turn = 0.028 * p.stout, 0.13
    with p.frame(0, 0.062, turn):
        x0 = -0.16 * length
        tube(p, _line(x0, 0, x0 + length, 0), bore, silver, 0.0030, side=1)
        p.fill(box(x0 - 0.004, -0.6 * bore, x0 + 0.012, 0.6 * bore), silver.dark)
        dome(p, ellipse(0, -0.1 * bore, 0.024, 0.62 * bore + 0.004, 16), silver, 0.003, levels=2)
        p.fill(ellipse(0, -0.2 * bore, 0.007, 0.005, 10), silver.line)
        ring = x0 + np.array([0.30, 0.80]) * length
        p.fill(boxes(ring - 0.007, -0.64 * bore, ring + 0.007, 0.64 * bore), silver.dark)
        p.fill(boxes(ring - 0.004, -0.60 * bore, ring + 0.002, 0.3 * bore), silver.glint)
        rod = ((x0 + 0.34 * length, -0.62 * bore), (x0 + 0.92 * length, -0.62 * bore))
        p.lines(rod[:1], rod[1:], silver.dark, 0.006)
        key = np.array([0.35, 0.40, 0.45, 0.49, 0.53, 0.57, 0.63, 0.67, 0.71, 0.75, 0.84, 0.89, 0.94])
        cups = across(x0 + key * length, -0.12 * bore)
        p.fill(ellipses(cups, 0.0125, 0.012), silver.line)
        p.fill(ellipses(cups, 0.0098, 0.0095), silver.light)
        p.fill(ellipses(cups, 0.0040, 0.004), silver.dark)
        left, right = p.to_own_frame(x0 + 0.42 * length, 0), p.to_own_frame(x0 + 0.69 * length, 0)
    _held_across(p, person(p, -0.02, -0.002, facing=1, puff=0.15 * p.energy), left, right)


def saxophone(p):
    """A conical tube: crook, straight body with keys, bow, bell turned up."""
    s, brass, black = p.length / 0.70, p.body, p.finish("ebony")
    wide = p.stout * s
    pearl = p.finish("ivory")
    path = smooth(((-0.150, -0.005), (-0.090, -0.050), (-0.020, -0.055), (0.010, 0.0), (0.020, 0.12),
                   (0.034, 0.28), (0.048, 0.45), (0.075, 0.555), (0.135, 0.600), (0.200, 0.565),
                   (0.225, 0.48), (0.240, 0.37), (0.262, 0.285), (0.285, 0.24)), False, 5)  # fmt: skip
    at = np.linspace(0, 1, len(path))
    bore = np.interp(at, [0, 0.15, 0.3, 0.6, 0.75, 0.86, 0.93, 0.97, 1.0],
                     [0.016, 0.022, 0.034, 0.066, 0.084, 0.102, 0.135, 0.175, 0.225])  # fmt: skip
    with p.frame(0.13 * s, 0.075, 0.0):
        lift = path * s
        rod = lift[(at > 0.24) & (at < 0.60)]
        p.stroke(moved(rod, 0.045 * wide, 0), brass.line, 0.007)
        tube(p, lift, bore * wide, brass, 0.0045, side=1)
        bell_mouth(p, 0.290 * s, 0.232 * s, 0.112 * wide, 0.036 * wide, brass, 0.005)
        p.stroke(lift[:5], black.base, 0.022)
        p.fill(ellipse(*lift[7], 0.014, 0.018, 10), brass.line)
        cups = lift[(at > 0.26) & (at < 0.60)][::3]
        radius = np.linspace(0.013, 0.026, len(cups))
        for c, r in zip(cups, radius, strict=True):
            knobs(p, moved([c], 0.010, 0), r * s, brass, 0.003)
        p.fill(ellipses(rod[2::3] - (0.026 * wide, 0), 0.0095), pearl.base)
        big = np.array([[0.232, 0.50], [0.246, 0.40], [0.15, 0.598]]) * s
        knobs(p, big, 0.033 * s, brass, 0.004)
        p.stroke(np.array([[0.06, 0.50], [0.22, 0.43]]) * s, brass.line, 0.012)
        p.stroke(np.array([[0.06, 0.50], [0.22, 0.43]]) * s, brass.light, 0.006)
        left, right = p.to_own_frame(0.026 * s, 0.17 * s), p.to_own_frame(0.045 * s, 0.40 * s)
    wear = person(p, -0.06, 0.0, facing=1, puff=0.6 * p.energy)
    with p.on(BEHIND):
        p.stroke([(-0.12, 0.17), (0.15, 0.28)], (40, 36, 40), 0.016)
    arm(p, (0.13, 0.27), (left[0] + 0.04, left[1]), wear, forearm=BEHIND)
    arm(p, (-0.27, 0.27), (right[0] - 0.05, right[1]), wear)
    hand(p, left[0] + 0.050, left[1], wear, angle=3.0, lifted=_phase(p), spread=0.9)
    hand(p, right[0] - 0.045, right[1], wear, angle=-0.1, lifted=_phase(p), spread=0.9)


# ------------------------------------------------------------------------------------- bags and bellows


def _pipe(p, x0, y0, x1, y1, width, rings=(0.35, 0.68)):
    """A turned drone pipe with ivory ferrules and a flared top."""
    center = _line(x0, y0, x1, y1, 10)
    w = width * np.array([0.75, 0.75, 0.8, 1.05, 0.85, 0.85, 1.1, 0.95, 1.1, 1.7])
    tube(p, center, w, p.body, 0.0045)
    ivory = p.finish("ivory")
    for r in (*rings, 0.97):
        a, b = (center[0] + (center[-1] - center[0]) * at for at in (r - 0.018, r + 0.018))
        for wide, tone in ((1.45 if r < 0.9 else 1.9, ivory.dark), (1.2 if r < 0.9 else 1.6, ivory.base)):
            p.fill(taper(*a, width * wide, *b, width * wide), tone)


def _tartan_bag(p, bag, s, cloth, stripe):
    middle = bag.mean(axis=0)
    p.fill((bag - middle) * 1.035 + middle, shade(cloth, 0.45))
    p.fill(bag, shade(cloth, 0.8))
    p.fill((bag - middle) * 0.86 + middle - 0.008, cloth)
    v = np.array([-0.36, 0.0, 0.36])
    h = 0.82 * np.sqrt(1 - v**2)
    low, high = middle + across(0.21 * s * v, -0.125 * s * h), middle + across(0.21 * s * v, 0.125 * s * h)
    p.lines(low, high, stripe, 0.022 * s)
    left, right = middle + across(-0.17 * s * h, 0.14 * s * v), middle + across(0.17 * s * h, 0.14 * s * v)
    p.lines(left, right, stripe, 0.016 * s)
    p.lines(low, high, (232, 206, 110), 0.004)


def bagpipes(p):
    """Bag under the arm, three drones over the shoulder, blow-pipe and chanter."""
    s = p.length / 0.80
    hue = 340 + 220 * p.look[9]
    cloth, stripe = hsv(hue, 0.65, 0.48), hsv(hue + 150, 0.45, 0.34)
    squeeze = 1 - 0.03 * p.energy * (1 - p.stroke_phase)
    bag = smooth(((-0.20, -0.02), (-0.10, -0.09), (0.06, -0.11), (0.19, -0.06), (0.235, 0.04), (0.19, 0.15),
                  (0.06, 0.20), (-0.07, 0.16), (-0.16, 0.08)))  # fmt: skip
    if p.shape.outline:
        oval = body_outline(p.shape.outline, p.shape.waist) + np.array([0.0, 0.5])
        bag = oval[:, ::-1] * (0.46, 0.46) + np.array([0.02, 0.045])
    bag = bag * (s * p.stout, s * p.stout * squeeze)
    for x0, x1, top in ((0.02, 0.06, -0.36), (0.08, 0.20, -0.40), (0.14, 0.36, -0.53))[4 - p.parts :]:
        _pipe(p, x0 * s, -0.06 * s, x1 * s, top * s, 0.032)
    cord = smooth(((0.06, -0.30), (0.12, -0.265), (0.18, -0.29), (0.28, -0.36)), False, 4)
    p.stroke(cord * s, mix(cloth, (240, 200, 90), 0.5), 0.010)
    _pipe(p, -0.12 * s, -0.04 * s, -0.16 * s, -0.23 * s, 0.024, rings=(0.3,))
    if p.shape.under == "skin":
        dome(p, bag, p.finish("skin"), 0.006, levels=4)
    else:
        _tartan_bag(p, bag, s, cloth, stripe)
    chanter = _line(-0.17 * s, 0.02 * s, -0.13 * s, 0.40 * s)
    bore = np.array([0.024, 0.024, 0.025, 0.027, 0.029, 0.032, 0.038, 0.060])
    if p.row.resonator == "cylindrical tube":
        bore = np.full(8, 0.032)
    tube(p, chanter, bore, p.body, 0.004)
    holes = chanter[2:7]
    p.fill(ellipses(holes, 0.0055), p.finish("ivory").light)
    p.fill(ellipse(*chanter[-1], 0.034, 0.012, 16), p.finish("ivory").base)
    hx, hy = -0.13 * s + 0.01, -0.23 * s - 0.065
    wear = person(p, hx, hy, facing=-1, puff=0.4 + 0.5 * p.energy)
    for side, reach in ((1, 0.14), (-1, 0.28)):
        x, y = -0.165 * s + reach * 0.1 * s, reach * s
        layer = FRONT if side < 0 else BEHIND
        arm(p, (hx + 0.20 * side, hy + 0.27), (x + 0.06 * side, y), wear, elbow=(side, 0.3), forearm=layer)
        hand(p, x + 0.045 * side, y, wear, angle=3.14 if side > 0 else 0.0, lifted=_phase(p), spread=0.9)


def harmonica(p):
    """Ten holes between two cover plates, at the lips, in two hands."""
    w, silver, wood = p.length, p.body, p.finish("dark wood")
    h = 0.30 * w * p.stout * p.shape.depth
    slide = 0.010 * p.stroke_phase * (p.energy > 0.02)
    outline = rounded(-w / 2, -h / 2, w / 2, h / 2, 0.22 * h)
    dome(p, outline, silver, 0.0025, levels=3, rim=0.97)
    p.fill(box(-0.44 * w, -0.40 * h, 0.44 * w, -0.30 * h), silver.glint)
    p.fill(box(-0.485 * w, -0.17 * h, 0.485 * w, 0.17 * h), silver.line)
    p.fill(box(-0.480 * w, -0.145 * h, 0.480 * w, 0.145 * h), wood.base)
    x = np.linspace(-0.43, 0.43, p.parts) * w
    half = 0.029 * w
    p.fill(boxes(x - half, -0.115 * h, x + half, 0.115 * h), (16, 12, 12))
    p.fill(boxes(x + half * 1.05, -0.115 * h, x + half * 1.35, 0.115 * h), wood.glint)
    p.lines([[-0.30 * w, 0.33 * h]], [[0.30 * w, 0.33 * h]], silver.dark, 0.0022)
    screws = np.array([[-0.455, -0.33], [0.455, -0.33], [-0.455, 0.33], [0.455, 0.33]])
    p.fill(ellipses(screws * (w, h), 0.0022), silver.line)
    wear = person(p, slide, -0.075, facing=0, puff=0.7 * p.energy)
    for side in (-1, 1):
        x = side * (0.5 * w + 0.030)
        flap = 0.25 * p.energy * p.stroke_phase * (side > 0)
        arm(p, (0.20 * side, 0.20), (x + 0.035 * side, 0.06), wear, elbow=(side, 0.3), forearm=BEHIND)
        hand(p, x + 0.030 * side, 0.048, wear, angle=-1.57 - side * (0.55 - flap), spread=0.95)


def accordion(p):
    """Bellows between a case with piano keys and a case with buttons."""
    s = p.length / 0.45
    red, ivory, ebony, silver = p.body, p.finish("ivory"), p.finish("ebony"), p.finish("silver")
    high = 0.215 * s * p.stout * p.shape.depth
    open_ = 1 + 0.10 * p.stroke_phase * (p.energy > 0.02)
    left, right, lean = -0.105 * s, 0.105 * s * open_, 0.03 * open_
    _bellows(p, left - 0.01, right + 0.01, high, lean)
    _treble_side(p, left, s, high, red, ivory, ebony, silver)
    with p.moving(), p.frame(right, lean, 0.06 * open_):
        _bass_side(p, s, high, red, silver, ebony)
    p.span((left - 0.145 * s, -1.08 * high), (0.222 * s + 0.06 * high, 0.038 + 1.08 * high))
    hx, hy = -0.02, -0.34
    wear = person(p, hx, hy, facing=0, legs="sitting")
    with p.on(FRONT):
        p.stroke([(hx - 0.11, hy + 0.17), (left - 0.01, -0.97 * high)], (44, 34, 34), 0.030)
    keys, bass = (-0.235 * s, 0.12 * high), (right + 0.12 * s, lean + 0.1 * high)
    arm(p, (hx - 0.21, hy + 0.28), (keys[0] - 0.03, keys[1] + 0.08), wear, elbow=(-1, 0.4))
    hand(p, keys[0] - 0.018, keys[1] + 0.05, wear, angle=-0.75, lifted=_phase(p), spread=0.9)
    arm(p, (hx + 0.21, hy + 0.28), (bass[0] + 0.02, bass[1] + 0.05), wear, elbow=(1, 0.4), forearm=BEHIND)
    hand(p, bass[0] + 0.015, bass[1], wear, angle=3.5, spread=0.9)


def _bellows(p, left, right, high, lean, folds=15):
    """Folds from `left` to `right`; the right end hangs `lean` lower."""
    ebony, edge = p.finish("ebony"), shade(p.body.light, 1.05)
    x = np.linspace(left, right, 2 * folds + 1)
    zig = np.where(np.arange(2 * folds + 1) % 2, 0.94, 1.0) * high
    fall = np.linspace(0, lean, 2 * folds + 1)
    top, bottom = across(x, fall - zig), across(x, fall + zig)
    with p.moving():
        p.fill(np.concatenate([top, bottom[::-1]]), ebony.dark)
        p.lines(top[::2], bottom[::2], ebony.base, 0.005)
        p.lines(top[1::2], bottom[1::2], edge, 0.005)


def _treble_side(p, left, s, high, red, ivory, ebony, silver):
    """The case with the piano keyboard, on the player's right hand."""
    case = rounded(left - 0.085 * s, -1.06 * high, left, 1.06 * high, 0.020)
    dome(p, case, red, 0.008, levels=4)
    grille = np.linspace(-0.72, 0.72, 7) * high
    p.lines(across(left - 0.065 * s, grille), across(left - 0.022 * s, grille), silver.glint, 0.010)
    x0, x1 = left - 0.14 * s, left - 0.082 * s
    if p.shape.stops == "buttons":
        n = p.parts // 2
        y, x = np.meshgrid(np.linspace(-0.8, 0.8, n) * high, x0 + np.array([0.012, 0.042]) * s)
        p.fill(rounded(x0 - 0.006, -0.95 * high, x1 + 0.004, 0.95 * high, 0.02), red.dark)
        knobs(p, across(x.ravel(), y.ravel()), 0.30 * high / n + 0.006, ivory, 0.002)
        return
    n = p.parts * 7 // 10
    tall = 1.92 * high / n
    y = -0.96 * high + tall * np.arange(n)
    p.fill(box(x0 - 0.006, -0.98 * high, x1 + 0.004, 0.98 * high), ebony.base)
    p.fill(boxes(x0, y + 0.0022, x1, y + tall - 0.0022), ivory.base)
    sharp = y[sharps(n)]
    p.fill(boxes(x1 - 0.032 * s, sharp - 0.28 * tall, x1, sharp + 0.28 * tall), ebony.base)


def _bass_side(p, s, high, red, silver, ebony):
    """The case with the bass buttons, on the player's left hand."""
    case = rounded(0, -1.06 * high, 0.095 * s, 1.06 * high, 0.030)
    dome(p, case, red, 0.008, levels=4)
    rows, columns = np.meshgrid(np.linspace(-0.62, 0.62, 7) * high, np.array([0.030, 0.058]) * s)
    p.fill(ellipses(np.stack([columns.ravel(), rows.ravel()], 1), 0.0095), silver.line)
    p.fill(ellipses(np.stack([columns.ravel(), rows.ravel()], 1), 0.0075), silver.glint)
    p.stroke([(0.098 * s, -0.85 * high), (0.112 * s, 0), (0.098 * s, 0.85 * high)], ebony.base, 0.016)


# --------------------------------------------------------------------------------- any tube, at any lips


def _course(p, start):
    """Center line (48, 2) of a tube from (0, 0), whose heading (radians) turns, coils and sways."""
    shape, at = p.shape, np.linspace(0, 1, 48)
    turn = np.clip((at - 0.35) / 0.55, 0, 1)
    coil = np.clip((at - 0.16) / 0.68, 0, 1)
    heading = start + shape.bend * turn * turn * (3 - 2 * turn) + 2 * np.pi * shape.coils * coil
    heading = heading + shape.sway * np.sin(2 * np.pi * (1.0 + (shape.sway > 0.8)) * at)
    line = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), axis=0)
    line -= line[0]
    return line * (p.length / np.ptp(line, axis=0).max())


def _bore(p, line):
    """Widths (48,) along a tube: cylinder or cone, and the flare of its bell."""
    at, row = np.linspace(0, 1, 48), p.row
    way = np.hypot(*np.diff(line, axis=0).T).sum()
    width = 0.034 * p.stout * (p.length / 0.6) ** 0.5
    width *= 1.0 if p.shape.coils < 0.5 else 0.7
    shape = 0.34 + 2.2 * at if row.resonator == "conical tube" else np.ones(48)
    opening = 2.4 if row.resonator == "conical tube" else 3.4
    bell = p.shape.flare * opening * np.clip((at - 0.80) / 0.20, 0, 1) ** 2.2
    return width * (shape + bell) * min(1.0, 0.5 + 0.5 * way)


def pipe(p):
    """A tube of any course, bore, bell, stops and material, at the lips of its player."""
    row, tones = p.row, p.body
    ground = row.length > 1.15
    aside = row.exciter == "air jet" and p.shape.coils == 0 and abs(p.shape.bend) < 1
    start = np.pi / 2 - (0.95 if ground else 0.30)
    if aside or (row.exciter == "lip reed" and not ground):
        start = 0.06
    line = _course(p, start)
    if aside:
        line = line - 0.16 * line[-1]
    width = _bore(p, line)
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    with p.frame(0.0 if aside else 0.02, 0.066, 0.0):
        tube(p, line, width, tones, 0.004, side=1)
        if p.shape.flare > 0.15:
            with p.frame(*line[-1], np.arctan2(along[-1, 1], along[-1, 0]) + np.pi / 2):
                bell_mouth(p, 0, 0, 0.52 * width[-1], 0.17 * width[-1], tones, 0.004)
        _knots(p, line, width, along)
        _stopped(p, line, width, along)
        _mouthpiece(p, line, width, along, aside)
        where = (20, 32) if aside else (10, 15) if ground else (12, 26)
        hold = [p.to_own_frame(*line[k]) for k in where]
    puff = {"lip reed": 0.8, "air jet": 0.15}.get(row.exciter, 0.45) * p.energy
    wear = person(p, -0.02 if aside else 0.0, 0.0, facing=int(aside), puff=puff)
    (_held_across if aside or row.exciter == "lip reed" else _held_down)(p, wear, *hold)


def _knots(p, line, width, along):
    """Joints of cane, ridges of bone, rings of metal on wood."""
    normal = np.stack([-along[:, 1], along[:, 0]], 1)
    every = {
        "cane": (7, 0.010, p.body.line), "bone": (3, 0.005, p.body.dark),
        "wood": (12, 0.012, p.finish("brass").light), "dark wood": (11, 0.011, p.finish("silver").glint),
    }  # fmt: skip
    if p.row.material in every:
        step, thick, color = every[p.row.material]
        rows = np.arange(5, 45, step)
        half = 0.52 * width[rows, None]
        p.lines(line[rows] - normal[rows] * half, line[rows] + normal[rows] * half, color, thick)


def _stopped(p, line, width, along):
    """Keys with their cups, bare holes, or valves beside the tube."""
    count = int(np.clip(p.parts, 3, 14))
    rows = np.linspace(11, 37, count).astype(int)
    silver = p.finish("brass" if p.row.material in ("silver", "steel") else "silver")
    if p.shape.stops == "holes":
        p.fill(ellipses(line[rows], 0.006 + 0.08 * width[20]), shade(p.body.line, 0.35))
    elif p.shape.stops == "keys":
        normal = np.stack([-along[:, 1], along[:, 0]], 1)
        rod = line[9:39] + normal[9:39] * (0.62 * width[9:39, None])
        p.stroke(rod, silver.line, 0.009)
        p.stroke(rod, silver.light, 0.005)
        for k in rows:
            knobs(p, line[[k]], 0.007 + 0.28 * width[k], silver, 0.003)
    elif p.shape.stops == "valves":
        depth, number = _valve_down(p)
        x, y = line[11] + (0.0, 0.5 * width[11])
        for k, at in enumerate(x + 0.036 * np.arange(3)):
            tube(p, np.array([[at, y - 0.05], [at, y + 0.075]]), 0.027, silver, 0.003, side=1)
            with p.moving():
                top = y - 0.070 + 0.013 * depth * (k == number)
                p.lines([[at, y - 0.05]], [[at, top]], silver.dark, 0.007)
                p.fill(ellipse(at, top, 0.011, 0.006, 10), p.finish("ivory").base)


def _mouthpiece(p, line, width, along, aside):
    """What the lips touch: a cup, a beak with its reed, a hole, or a gourd that holds free reeds."""
    silver, black, w = p.finish("silver"), p.finish("ebony"), max(width[4], 0.02)
    with p.frame(*line[0], np.arctan2(along[0, 1], along[0, 0]) - np.pi / 2):
        if p.row.exciter == "lip reed":
            p.fill(taper(0, -0.045, 0.040, 0, 0.0, 0.016), silver.line)
            p.fill(taper(0, -0.043, 0.034, 0, 0.0, 0.011), silver.light)
        elif p.row.exciter == "single reed":
            p.fill(taper(0, -0.015, 0.35 * w, 0, 0.085, 1.02 * w), black.base)
            p.fill(taper(-0.15 * w, 0.0, 0.1 * w, -0.2 * w, 0.07, 0.2 * w), black.glint)
            p.fill(box(-0.56 * w, 0.050, 0.56 * w, 0.062), silver.glint)
        elif p.row.exciter == "free reed":
            dome(p, ellipse(0, 0.055, 0.055, 0.075), p.finish("gourd"), 0.005, levels=3)
            p.fill(taper(0, -0.045, 0.016, 0, 0.0, 0.024), p.finish("cane").base)
    if p.row.exciter == "air jet":
        at = line[8] if aside else line[2]
        plate = black.base if p.row.material == "silver" else silver.line
        p.fill(ellipse(*at, 0.020, 0.5 * w + 0.003, 16), plate)
        p.fill(ellipse(*at, 0.010, 0.006, 10), (18, 14, 14))


def raft(p):
    """Pipes side by side at the lips, blown across their ends, or standing in a cup with a reed in each."""
    n, tones, reeds = p.parts, p.body, p.row.exciter == "free reed"
    high, band = p.length, p.finish("felt" if p.row.material != "cane" else "dark wood").base
    w = min(0.034, 0.36 / n) * p.stout * (high / 0.35) ** 0.5
    x = (np.arange(n) - (n - 1) / 2) * 1.12 * w
    share = np.linspace(1.0, 0.42, n)
    ends = (-1.0 if reeds else 1.0) * high * (peaked(share) if p.shape.bend else share)
    columns(p, x, w, np.minimum(0, ends), np.maximum(0, ends), tones)
    p.fill(ellipses(across(x, ends if reeds else 0.0), 0.5 * w, 0.16 * w), shade(tones.line, 0.5))
    wide = x[-1] + 0.6 * w
    for y in np.array([0.14, 0.36]) * np.sign(ends[0]) * high:
        p.stroke([(-wide, y), (wide, y)], band, 0.05 * high)
    hx, hy = (-wide - 0.07, -0.03) if reeds else (0.0, -0.068)
    if reeds:
        cup = p.finish("gourd" if p.shape.under == "gourds" else "dark wood")
        dome(p, ellipse(0, 0.055, wide * 1.12, 0.085, 28), cup, 0.006, levels=4)
        p.fill(taper(-1.1 * wide, 0.045, 0.03, -wide - 0.06, 0.038, 0.022), p.finish("ivory").base)
    wear = person(p, hx + 0.01 * p.stroke_phase, hy, facing=int(reeds), puff=0.4 * p.energy)
    for side in (-1, 1):
        x, y = side * (wide + 0.012), 0.10 if reeds else 0.30 * high * (1.0 if side < 0 else 0.7)
        at = (x + 0.038 * side, y + 0.05)
        arm(p, (hx + 0.20 * side, 0.22), at, wear, elbow=(side, 0.3), forearm=BEHIND)
        hand(p, x, y, wear, angle=np.pi / 2 + side * 2.2, lifted=_phase(p), spread=0.9)


def vessel(p):
    """A hollow vessel with a spout and holes, in both hands before the lips."""
    length, tones = p.length, p.body
    outline = body_outline(p.shape.outline, p.shape.waist) + np.array([0.0, 0.5])
    with p.frame(0, 0.5 * length * 0.42 + 0.10, np.pi / 2 - 0.10):
        shell = outline * (0.95 * length * p.stout * p.shape.depth, length)
        dome(p, shell, tones, 0.006, levels=5)
        p.stroke(shell * 0.80, tones.dark, 0.004, closed=True)
        count = int(np.clip(p.parts, 4, 10))
        a = np.linspace(0, 2 * np.pi, count, endpoint=False) + 0.4
        holes = np.stack([0.17 * np.cos(a), 0.26 * np.sin(a)], 1) * length
        p.fill(ellipses(holes, 0.022 * length + 0.002), shade(tones.line, 0.35))
    p.fill(taper(0.0, 0.060, 0.030, 0.0, 0.135, 0.052), tones.line)
    p.fill(taper(0.0, 0.062, 0.022, 0.0, 0.135, 0.044), tones.light)
    wear = person(p, 0, -0.01, facing=0, puff=0.3 * p.energy)
    for side in (-1, 1):
        x, y = side * (0.44 * length + 0.045), 0.30 * length + 0.13
        arm(p, (0.20 * side, 0.27), (x + 0.05 * side, y + 0.03), wear, elbow=(side, 0.4), forearm=BEHIND)
        hand(p, x, y, wear, angle=np.pi / 2 + side * 2.0, lifted=_phase(p), spread=0.9)


# --------------------------------------------------------------------------------------------- lip reeds


def _valve_down(p):
    """Depth of the valve that is pressed and its number."""
    if p.energy <= 0.02:
        return 0.0, 0
    return 0.5 * (1 - p.stroke_phase), int(1.5 + 1.49 * p.stroke_phase)


def trumpet(p):
    """Mouthpiece, long loop of tube, three valves, wide bell, held level."""
    s, brass, silver, pearl = p.length / 0.50, p.body, p.finish("silver"), p.finish("ivory")
    wide = p.stout
    pipe = 0.017 * wide
    turn = 0.06
    with p.frame(0.105, 0.068, turn):
        low = 0.085 * s * wide
        tube(p, np.array([[0.03, 0], [0.12, 0], [0.24, 0], [0.36, 0]]) * (s, 1), pipe, brass, 0.003, side=1)
        bend = arc(0.36 * s, low / 2, 0.045 * s, low / 2, -np.pi / 2, np.pi / 2, 12)
        tube(p, np.concatenate([bend, [[0.20 * s, low]]]), pipe, brass, 0.003, side=1)
        back = arc(0.11 * s, low * 0.62, 0.040 * s, low * 0.38, np.pi / 2, 3 * np.pi / 2, 10)
        tube(p, np.concatenate([[[0.20 * s, low]], back]), pipe, brass, 0.003, side=1)
        x = np.array([0.11, 0.20, 0.27, 0.33, 0.38, 0.42, 0.455, 0.48, 0.50]) * s
        w = np.array([1.0, 1.05, 1.25, 1.7, 2.4, 3.4, 4.8, 6.2, 7.6]) * 0.0165 * wide
        bell = across(x, low * 0.24)
        tube(p, bell, w, brass, 0.0035, side=1)
        bell_mouth(p, 0.503 * s, low * 0.24, 0.013 * wide, 0.066 * wide, brass, 0.003)
        _valves(p, s, low, brass, silver, pearl)
        p.fill(taper(-0.004, 0, 0.024, 0.018, 0, 0.016), silver.dark)
        p.fill(taper(0.016, 0, 0.014, 0.05 * s, 0, 0.012), silver.base)
        p.fill(box(-0.006, -0.013, 0.0, 0.013), silver.glint)
        p.fill(ellipse(0.345 * s, -0.5 * pipe - 0.010, 0.014, 0.010, 10), brass.line)
        left, right = p.to_own_frame(0.215 * s, low * 0.85), p.to_own_frame(0.225 * s, -0.045)
    _trumpeter(p, left, right)


def _trumpeter(p, left, right):
    """The player holds the valves at `left` and presses them at `right`."""
    wear = person(p, 0, 0, facing=1, puff=0.7 * p.energy)
    depth, number = _valve_down(p)
    arm(p, (0.17, 0.28), (left[0], left[1] + 0.05), wear, forearm=BEHIND)
    with p.on(BEHIND):
        p.fill(ellipse(left[0], left[1] + 0.012, 0.042, 0.05, 16), shade(wear.skin, 0.8))
    arm(p, (-0.20, 0.28), (right[0] - 0.055, right[1] + 0.015), wear)
    y = right[1] - 0.012 + 0.010 * depth
    hand(p, right[0] - 0.045, y, wear, angle=0.25, lifted=number, fingers=3, spread=0.7)


def _valves(p, s, low, brass, silver, pearl):
    depth, number = _valve_down(p)
    for i, x in enumerate(np.array([0.180, 0.215, 0.250]) * s):
        tube(p, np.array([[x, -0.028], [x, low + 0.030]]), 0.026, brass, 0.003, side=1)
        p.fill(box(x - 0.014, -0.034, x + 0.014, -0.024), silver.dark)
        p.fill(box(x - 0.014, low + 0.026, x + 0.014, low + 0.036), silver.dark)
        down = 0.013 * depth * (i == number)
        with p.moving():
            p.lines([[x, -0.034]], [[x, -0.050 + down]], silver.dark, 0.007)
            p.fill(ellipse(x, -0.052 + down, 0.010, 0.005, 10), pearl.base)
    top = p.to_own_frame(0.180 * s, -0.057)
    p.span(top, top)


def french_horn(p):
    """A coiled tube, three rotary valves, a very wide bell in which the hand rests."""
    s, brass, silver = p.length / 0.60, p.body, p.finish("silver")
    wide = p.stout
    pipe = 0.021 * wide
    with p.frame(0.0, 0.0, 0.0):
        coil = arc(0, 0, 0.165 * s, 0.165 * s, -2.6, 3.2, 34)
        lead = np.array([[-0.245, -0.20], [-0.20, -0.155]]) * s
        tube(p, np.concatenate([lead, coil[:1]]), pipe * 0.6, brass, 0.003)
        tube(p, arc(-0.01 * s, 0.005 * s, 0.118 * s, 0.118 * s, -2.2, 3.6, 30), pipe * 0.8, brass, 0.003)
        tube(p, arc(-0.02 * s, 0.0, 0.075 * s, 0.075 * s, -1.0, 4.2, 22), pipe * 0.7, brass, 0.003)
        tube(p, coil, pipe, brass, 0.0035)
        for x, y0, y1 in ((-0.105, -0.05, 0.09), (-0.060, -0.07, 0.07), (0.035, -0.12, 0.02)):
            loop = np.array([[x, y0], [x, y1], [x + 0.022, y1 + 0.012], [x + 0.044, y1], [x + 0.044, y0]]) * s
            tube(p, smooth(tuple(map(tuple, loop)), False, 4), pipe * 0.6, brass, 0.003)
        depth, number = _valve_down(p)
        hubs = np.array([[-0.095, -0.085], [-0.048, -0.098], [0.0, -0.110]]) * s
        knobs(p, hubs, 0.024, silver, 0.003)
        flare = smooth(((-0.162, 0.03), (-0.150, 0.10), (-0.10, 0.165), (-0.01, 0.200), (0.08, 0.205),
                        (0.145, 0.20), (0.185, 0.19)), False, 4) * s  # fmt: skip
        at = np.linspace(0, 1, len(flare))
        bore = wide * np.interp(at, [0, 0.4, 0.7, 0.88, 1], [0.022, 0.040, 0.085, 0.160, 0.255]) * s
        tube(p, flare, bore, brass, 0.004)
        _horn_bell(p, s * wide, s)
        paddles = hubs + np.array([[-0.045, -0.040]]) * s
        with p.moving():
            paddles[number] += 0.012 * depth
            p.lines(hubs, paddles, silver.light, 0.009)
        p.fill(taper(*(lead[0] - 0.035), 0.022, *lead[0], 0.012), silver.base)
        lips = lead[0] - 0.035
    _hornist(p, s, lips, hubs[1], number)


def _hornist(p, s, lips, valve, number):
    hx, hy = lips[0] - 0.04, lips[1] - 0.075
    wear = person(p, hx, hy, facing=1, legs="sitting", puff=0.6 * p.energy, lean=0.04)
    hub = (valve[0] - 0.062 * s, valve[1] - 0.035 * s)
    arm(p, (hx + 0.19, hy + 0.28), (hub[0] - 0.01, hub[1]), wear, forearm=BEHIND)
    hand(p, hub[0] - 0.012, hub[1] - 0.012, wear, angle=0.55, lifted=number, fingers=3, spread=0.8)
    arm(p, (hx - 0.17, hy + 0.28), (0.165 * s, 0.21 * s), wear, forearm=BEHIND, reach=0.65)


def _horn_bell(p, size, s):
    """The open bell, seen into the throat."""
    brass = p.body
    with p.frame(0.205 * s, 0.185 * s, 0.02):
        p.fill(ellipse(0, 0, 0.128 * size + 0.004, 0.142 * size + 0.004, 44), brass.line)
        p.fill(ellipse(0, 0, 0.128 * size, 0.142 * size, 44), brass.glint)
        p.fill(ellipse(0, 0, 0.117 * size, 0.131 * size, 44), brass.base)
        p.fill(ellipse(-0.006, 0, 0.090 * size, 0.104 * size), brass.dark)
        p.fill(ellipse(-0.014, 0, 0.060 * size, 0.072 * size), mix(brass.dark, brass.line, 0.6))
        p.fill(ellipse(-0.020, 0, 0.032 * size, 0.040 * size), shade(brass.line, 0.5))
        p.stroke(arc(0, 0, 0.104 * size, 0.117 * size, 2.6, 4.4, 12), brass.glint, 0.010)


def shofar(p):
    """A ram's horn, curved and ridged, widening to an open end."""
    s, bone = p.length / 0.50, p.body
    path = smooth(((0.0, 0.0), (0.07, 0.045), (0.16, 0.075), (0.26, 0.070), (0.345, 0.015), (0.395, -0.075),
                   (0.425, -0.17), (0.470, -0.235)), False, 6) * s  # fmt: skip
    at = np.linspace(0, 1, len(path))
    w = np.interp(at, [0, 0.05, 0.35, 0.7, 0.92, 1], [0.026, 0.020, 0.036, 0.066, 0.092, 0.104]) * p.stout * s
    with p.frame(0.045, 0.070, 0.0):
        tube(p, path, w, bone, 0.004)
        along = np.gradient(path, axis=0)
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        normal = np.stack([-along[:, 1], along[:, 0]], 1)
        rows = np.arange(7, len(path) - 3, 2)
        a = path[rows] + normal[rows] * w[rows, None] * 0.5
        b = path[rows] - normal[rows] * w[rows, None] * 0.15 + along[rows] * 0.010
        p.lines(a, b, bone.dark, 0.0045)
        p.stroke(path[3:-4] + normal[3:-4] * w[3:-4, None] * 0.18, mix(bone.dark, bone.line, 0.4), 0.003)
        tip = p.finish("dark wood")
        p.fill(ribbon(path[:6], w[:6] * 0.9), mix(bone.dark, tip.base, 0.5))
        with p.frame(*path[-1], np.arctan2(*along[-1][::-1]) + np.pi / 2):
            bell_mouth(p, 0, 0, 0.054 * p.stout * s, 0.022 * p.stout * s, bone, 0.004)
        hold = [p.to_own_frame(*path[int(r * len(path))]) for r in (0.34, 0.66)]
    wear = person(p, 0, 0, facing=1, puff=0.8 * p.energy)
    press = 0.008 * p.stroke_phase * (p.energy > 0.02)
    arm(p, (-0.19, 0.28), (hold[0][0] - 0.02, hold[0][1] + 0.03), wear)
    arm(p, (0.19, 0.28), (hold[1][0], hold[1][1] + 0.05), wear, forearm=BEHIND)
    fist(p, hold[0][0] - 0.01, hold[0][1] + 0.018 + press, wear, angle=0.1)
    fist(p, hold[1][0], hold[1][1] + 0.030 + press, wear, angle=-0.8)


def didgeridoo(p):
    """A long wooden tube from the lips of a seated player to the ground, with painted bands."""
    length, wood = p.length, p.body
    turn = -0.98
    wide = p.stout * 0.066
    with p.frame(0, 0.072, turn):
        y = np.linspace(0, 1, 14) * length
        bulge = np.array([0.66, 0.62, 0.66, 0.70, 0.74, 0.76, 0.80, 0.86, 0.90, 0.95, 1.05, 1.15, 1.32, 1.55])
        wave = 0.010 * np.sin(np.linspace(0, 7, 14))
        center = across(wave, y)
        tube(p, center, wide * bulge, wood, 0.006, side=1)
        _painted_bands(p, y, wide * bulge / 2, wave)
        p.fill(ellipse(0, 0, 0.024, 0.016, 16), (60, 40, 24))
        with p.frame(wave[-1], length, 0):
            dome(p, ellipse(0, 0, wide * 0.78, 0.020, 16), p.finish("dark wood"), 0.004, levels=1)
        hold = p.to_own_frame(0.0, 0.30 * length)
    puff = 0.4 + 0.6 * p.energy * (0.6 + 0.4 * p.stroke_phase)
    wear = person(p, -0.04, 0.0, facing=1, legs="crossed", puff=puff)
    tap = 0.012 * p.stroke_phase * (p.energy > 0.02)
    arm(p, (0.16, 0.28), (hold[0], hold[1] + 0.06), wear, forearm=BEHIND)
    arm(p, (-0.22, 0.28), (hold[0] - 0.10, hold[1] + 0.04), wear)
    hand(p, hold[0] - 0.07, hold[1] + 0.015 + tap, wear, angle=0.1)


def _painted_bands(p, y, half, middle):
    """Earth-colored bands with pale edges and dots round a tube of half-widths `half` along `y`."""
    length = y[-1]
    earth = ((122, 38, 22), (34, 24, 20), (208, 150, 60))
    bands = ((0.10, 0.17), (0.24, 0.27), (0.36, 0.50), (0.57, 0.60), (0.68, 0.80), (0.88, 0.91))
    for i, (start, stop) in enumerate(bands):
        v = np.linspace(start, stop, 9) * length
        left = across(np.interp(v, y, middle - half), v)
        right = across(np.interp(v, y, middle + half), v)
        p.fill(np.concatenate([left, right[::-1]]), earth[i % 3])
        p.lines(left[[0, -1]], right[[0, -1]], (244, 232, 206), 0.010)
    dots = np.array([0.12, 0.15, 0.38, 0.41, 0.44, 0.47, 0.70, 0.73, 0.76]) * length
    for x in (-0.014, 0.014):
        p.fill(ellipses(across(x, dots), 0.0075), (246, 236, 212))


BUILDS = {
    "pipe": pipe, "raft": raft, "vessel": vessel,
    "keyed pipe": clarinet, "cross pipe": flute, "hooked pipe": saxophone, "looped pipe": trumpet,
    "coiled pipe": french_horn, "ridged horn": shofar, "painted pipe": didgeridoo, "bag": bagpipes,
    "comb": harmonica, "bellows": accordion,
}  # fmt: skip
