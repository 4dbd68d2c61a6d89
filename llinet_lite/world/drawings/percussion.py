"""Struck bodies: bars, pans, skins, plates, bells and bowls.

Notebook: 00
"""

# ruff: noqa: I001

from __future__ import annotations

import numpy as np

from .painter import BEHIND, FRONT, Finish, hsv, mix, shade
from .outlines import bell as bell_outline, body as body_outline, shell as shell_side
from .parts import (
    across, arc, arm, bow, box, boxes, columns, dome, ellipse, ellipses, fist, hand, hollow, moved, peaked,
    person, plain, sharps, smooth, stick, taper, tube,
)  # fmt: skip


def _beat(p, rise=0.35):
    """Heights of two beating hands or sticks, 0 (contact) to 1: one strikes, the other waits."""
    return p.lift, (0.45 + rise * (1 - p.lift) if p.energy > 0.02 else 1.0)


# ------------------------------------------------------------------------------------------ bars and pans


def _mallets(p, hx, hy, targets, *, reach=0.22, head=0.02, tip, rise=0.14, legs="standing"):
    """The player behind, two mallets or hands over `targets`; the first strikes, the second waits."""
    wear = person(p, hx, hy, facing=0, legs=legs)
    if p.row.exciter == "bowed":
        return _rub(p, (hx, hy), targets[0], wear)
    for side, lift, (x, y) in zip((1, -1), _beat(p, 0.4), targets, strict=True):
        if p.shape.hands:
            x, y = x + 0.02 * side, y - 0.03 - rise * lift
            arm(p, (hx + 0.20 * side, hy + 0.28), (x + 0.03 * side, y - 0.01), wear, elbow=(side, 0.3))
            hand(p, x, y, wear, angle=np.pi / 2 + side * (0.7 - 0.3 * lift))
            continue
        end = (x, y - head - rise * lift)
        grip = (x + 0.10 * side, y - reach - 0.7 * rise * lift)
        arm(p, (hx + 0.20 * side, hy + 0.28), grip, wear, elbow=(side, 0.3))
        stick(p, grip, end, head, tip=tip, width=0.011)
        fist(p, *grip, wear, angle=0.3 * side)


def _rub(p, head, place, wear):
    """A bow drawn upright over an edge at `place`: what is rigid sings."""
    frog = bow(p, place[0], place[1], 0.60, 1.35, 0.7 * p.stroke_phase, wear)
    arm(p, (head[0] + 0.20, head[1] + 0.28), frog, wear, elbow=(1, 0.3))
    fist(p, *frog, wear, angle=1.4)
    arm(p, (head[0] - 0.20, head[1] + 0.28), (place[0] - 0.22, place[1] + 0.02), wear, forearm=BEHIND)


def _slanted(x0, x1, y0, y1, lean):
    """Bars (k, 4, 2) from top (y0) to bottom (y1); `lean` (k,) pulls the bottom outwards."""
    y0, y1, lean = (np.broadcast_to(np.asarray(v, float), np.shape(x0)) for v in (y0, y1, lean))
    corners = ((x0, y0), (x1, y0), (x1 + lean, y1), (x0 + lean, y1))
    return np.stack([np.stack(c, -1) for c in corners], 1)


def _bars(p, quads, tones, holes=True, line=0.005):
    """Bars with a dark edge, a lit upper left side and the cord's holes."""
    middle = quads.mean(axis=1, keepdims=True)
    p.fill(quads + np.sign(quads - middle) * line, tones.line)
    p.fill(quads, tones.base)
    lit = quads.copy()
    lit[:, 1] = 0.55 * quads[:, 0] + 0.45 * quads[:, 1]
    lit[:, 2] = 0.55 * quads[:, 3] + 0.45 * quads[:, 2]
    p.fill(lit, mix(tones.base, tones.light, 0.7))
    gloss = quads.copy()
    gloss[:, 2] = 0.78 * quads[:, 1] + 0.22 * quads[:, 2]
    gloss[:, 3] = 0.78 * quads[:, 0] + 0.22 * quads[:, 3]
    p.fill(gloss, tones.light)
    if holes:
        for share in (0.2, 0.8):
            spot = (1 - share) * (quads[:, 0] + quads[:, 1]) / 2 + share * (quads[:, 3] + quads[:, 2]) / 2
            p.fill(ellipses(spot, 0.007), tones.line)


def marimba(p):
    """Bars of falling length over tubes, gourds or a box, on a wheeled frame."""
    w, wood, dark = p.length, p.body, p.finish("ebony")
    wide = p.stout * w / 1.5
    n = p.parts
    edge = np.linspace(-0.49, 0.49, n + 1) * w
    gap = 0.10 * w / n
    x0, x1 = edge[:-1] + gap / 2, edge[1:] - gap / 2
    length = np.linspace(0.40, 0.20, n) * wide
    y0, y1 = -length * 0.55, length * 0.45
    floor = 0.62 * wide + 0.02
    for x, top in ((-0.46 * w, 0.10), (0.46 * w, 0.06)) if p.row.length > 0.6 else ():
        p.fill(taper(x, top, 0.040, x, floor - 0.03, 0.040), dark.base)
        p.fill(taper(x - 0.10, floor - 0.035, 0.030, x + 0.10, floor - 0.035, 0.030), dark.base)
        p.fill(ellipses([[x - 0.09, floor], [x + 0.09, floor]], 0.028), dark.line)
    if p.row.length > 0.6:
        p.lines([[-0.46 * w, floor - 0.12]], [[0.46 * w, floor - 0.12]], dark.light, 0.022)
    center = (x0 + x1) / 2
    _UNDER[p.shape.under](p, center, 0.36 * (x1 - x0), y1, wide, w)
    for row in (0.2, 0.8):
        y = y0 * (1 - row) + y1 * row
        p.lines([[edge[0] - 0.02, y[0]]], [[edge[-1] + 0.02, y[-1]]], dark.base, 0.030)
    quads = _slanted(x0, x1, y0, y1, 0.0)
    p.fill(moved(quads, 0.004, 0.022), wood.line)
    _bars(p, quads, wood)
    k = n // 2
    _mallets(p, 0.0, -0.62 * wide - 0.28, ((center[k + 2], -0.04), (center[k - 2], -0.04)), reach=0.28,
             head=0.032, tip=(190, 70, 66), rise=0.16)  # fmt: skip


def _tubes(p, center, r, y1, wide, w):
    """A brass tube under each bar, the longer the lower."""
    brass, n = p.finish("brass"), p.parts
    ends = y1 + np.linspace(0.44, 0.08, n) * wide
    for grow, shift, tone in ((1.15, 0, brass.line), (1.0, 0, brass.dark),
                              (0.66, -0.12, brass.base), (0.25, -0.35, brass.glint)):  # fmt: skip
        p.fill(boxes(center + shift * r - grow * r, y1 - 0.04, center + shift * r + grow * r, ends), tone)
    p.fill(ellipses(across(center, ends), r[0] * 1.1, r[0] * 0.35), brass.line)
    p.fill(ellipses(across(center, ends - 0.004), r[0] * 0.9, r[0] * 0.25), brass.dark)


def _gourds(p, center, r, y1, wide, w):
    """A round gourd under each bar, with a dark mouth."""
    gourd = p.finish("gourd")
    radius = np.linspace(1.45, 0.95, p.parts) * r
    for k, (x, y, size) in enumerate(zip(center, y1 + 0.9 * radius, radius, strict=True)):
        dome(p, ellipse(x, y + (k % 2) * 0.7 * size, size, 1.15 * size, 16), gourd, 0.005, levels=3)


def _trough(p, center, r, y1, wide, w):
    """A wooden box under all bars."""
    left, right = y1[0] + 0.16 * wide, y1[-1] + 0.10 * wide
    box_ = np.array([[-0.5, -0.02 / w], [0.5, -0.02 / w], [0.49, right / w], [-0.49, left / w]]) * w
    plain(p, box_, p.finish("dark wood"), 0.010)


_UNDER = {"tubes": _tubes, "gourds": _gourds, "box": _trough, "": lambda *_: None}


def glockenspiel(p):
    """Two rows of small steel bars in a flat tapering case, seen from above."""
    w, steel, wood = p.length, p.body, p.finish("dark wood")
    d = 0.52 * w * p.stout
    case = np.array([[-0.5 * w, -0.52 * d], [0.5 * w, -0.30 * d], [0.5 * w, 0.36 * d], [-0.5 * w, 0.52 * d]])
    p.fill(moved(case, 0, 0.030), wood.line)
    plain(p, case, wood, 0.008)
    p.fill(case * (0.955, 0.90), wood.dark)
    n = p.parts
    low = n - n * 5 // 13
    edge = np.linspace(-0.465, 0.465, low + 1) * w
    gap = 0.16 * w / low
    x0, x1 = edge[:-1] + gap / 2, edge[1:] - gap / 2
    share = np.linspace(0, 1, low)
    for row in (0.06, 0.40):
        p.lines([[-0.47 * w, row * d]], [[0.47 * w, (row * 0.72) * d]], p.finish("felt").base, 0.014)
    _bars(p, _slanted(x0, x1, -0.02 * d, (0.46 - 0.14 * share) * d, 0.0), steel, line=0.0035)
    sharp = sharps(low)[: n - low]
    mid = edge[sharp]
    half = 0.5 * (x1[0] - x0[0])
    share = np.array(sharp) / low
    _bars(p, _slanted(mid - half, mid + half, (-0.46 + 0.18 * share) * d, -0.08 * d, 0.0), steel, line=0.0035)
    center = (x0 + x1) / 2
    _mallets(p, 0.0, -0.60 - 0.2 * d, ((center[low // 2 + 1], 0.16 * d), (center[low // 2 - 2], 0.16 * d)),
             reach=0.20, head=0.016, tip=(236, 232, 222), rise=0.12)  # fmt: skip


def steel_pan(p):
    """A shallow pan hammered into note fields, with a skirt, on a stand."""
    r, silver, dark = 0.5 * p.length * p.stout, p.body, p.finish("ebony")
    flat, skirt = 0.46, 0.19 * p.stout * p.shape.depth
    for x in (-1.08, 1.08):
        stand = np.array([[x * r, -0.01], [x * r, 0.62 * r + skirt], [x * 0.85 * r, 1.0 * r + skirt]])
        tube(p, stand, 0.022, silver, 0.004)
        p.fill(ellipse(x * r, 0.0, 0.022, n=10), dark.base)
    p.lines([[-1.0 * r, 0.70 * r + skirt]], [[1.0 * r, 0.70 * r + skirt]], silver.dark, 0.016)
    for lo, hi, tone in ((0.0, 1.0, silver.line), (0.05, 0.97, silver.dark), (0.35, 0.92, silver.base),
                         (0.60, 0.86, silver.light), (0.68, 0.76, silver.glint)):  # fmt: skip
        upper = arc(0, 0, r, r * flat, lo * np.pi, hi * np.pi, 18)
        lower = arc(0, skirt, r * 0.97, r * flat, hi * np.pi, lo * np.pi, 18)
        p.fill(np.concatenate([upper, lower]), tone)
    p.fill(ellipse(0, 0, 1.035 * r, 1.035 * r * flat, 44), silver.line)
    p.fill(ellipse(0, -0.003, 1.02 * r, 1.02 * r * flat, 44), silver.glint)
    p.fill(ellipse(0, 0, 0.955 * r, 0.95 * r * flat, 44), silver.line)
    inner = mix(silver.base, silver.dark, 0.35)
    tones = (silver.dark, inner, silver.base, mix(silver.base, silver.light, 0.5))
    for k, (zoom, tone) in enumerate(zip((0.94, 0.80, 0.60, 0.36), tones, strict=True)):
        p.fill(ellipse(0, 0.020 * k * r, zoom * r, zoom * r * flat, 44), tone)
    targets = _note_fields(p, r, flat)
    _mallets(p, 0.0, -0.62, targets, reach=0.20, head=0.018, tip=(210, 74, 54), rise=0.13)


def _note_fields(p, r, flat):
    """Oval note fields in two rings; returns two of them as targets for the mallets."""
    silver, n = p.body, p.parts
    outer = n - n // 3
    a = 2 * np.pi * (np.arange(outer) + 0.5) / outer
    ring = np.stack([0.70 * r * np.cos(a), 0.02 * r + 0.68 * r * flat * np.sin(a)], 1)
    b = 2 * np.pi * np.arange(n - outer) / max(n - outer, 1) - np.pi / 2
    core = np.stack([0.27 * r * np.cos(b), 0.04 * r + 0.27 * r * flat * np.sin(b)], 1)
    for centers, rx in ((ring, 0.215 * r), (core, 0.155 * r)):
        p.fill(ellipses(centers, rx, rx * 0.56, n=16), silver.line)
        p.fill(ellipses(moved(centers, 0, 0.004), rx * 0.92, rx * 0.49, n=16), silver.light)
        gloss = ellipses(moved(centers, 0.02 * r, 0.012 * r), rx * 0.66, rx * 0.30, n=16)
        p.fill(gloss, shade(silver.light, 1.4))
    return moved(ring[1:3], 0, 0.02)


# ------------------------------------------------------------------------- skins, plates, bells and bowls


def drum(p):
    """A snare drum: skin, hoops, colored shell with zigzag cords, two sticks."""
    r = p.length / 2
    h, flat = 0.25 * p.stout * (p.length / 0.40), 0.34
    hue = (0, 215, 140, 30)[int(4 * p.look[9])]
    shell, cord = hsv(hue + 8 * p.individual.hue, 0.62, 0.46 + 0.2 * p.individual.brightness), (242, 236, 220)
    dry = shade(shell, 0.6)
    low = arc(0, h, r, r * flat, 0, np.pi, 22)
    p.fill(np.concatenate([[[r, 0]], low, [[-r, 0]]]), dry)
    for a, b, light in ((0.12, 0.97, 1.0), (0.45, 0.92, 1.18), (0.62, 0.85, 1.35)):
        tone = shade(shell, light)
        x = np.cos(np.linspace(a * np.pi, b * np.pi, 14))
        y = np.sin(np.linspace(a * np.pi, b * np.pi, 14)) * flat * r
        p.fill(np.concatenate([across(x * r, y), across(x * r, y + h)[::-1]]), tone)
    a = np.linspace(0.03, 0.97, 12) * np.pi
    zig = np.stack([r * np.cos(a), r * flat * np.sin(a) + np.where(np.arange(12) % 2, 0.92, 0.08) * h], 1)
    p.stroke(zig, shade(dry, 0.6), 0.013)
    p.stroke(zig, cord, 0.008)
    p.fill(ellipses(zig[1::2] * (1, 1) - (0, 0.45 * h), 0.011, 0.016), (120, 74, 40))
    _drum_head(p, r, h, flat, mix(shell, (240, 236, 220), 0.5))
    hx, hy = 0.0, -0.62
    wear = person(p, hx, hy, facing=0)
    for side, lift in zip((-1, 1), _beat(p), strict=True):
        tip = (0.18 * r * side, -0.010 - 0.16 * lift)
        grip = (side * (0.52 * r + 0.09), -0.17 - 0.10 * lift)
        arm(p, (hx + 0.20 * side, hy + 0.28), grip, wear, elbow=(side, 0.3))
        stick(p, grip, tip, 0.011, width=0.011)
        fist(p, *grip, wear, angle=0.4 * side)


def _drum_head(p, r, h, flat, low_hoop):
    """Hoops, the upper skin and its tension screws."""
    silver = p.finish("silver")
    for y in (h, 0):
        edge = np.concatenate([arc(0, y - 0.012, r * 1.02, r * flat * 1.02, np.pi, 0, 22),
                               arc(0, y + 0.022, r * 1.02, r * flat * 1.02, 0, np.pi, 22)])  # fmt: skip
        p.fill(edge, silver.line)
        rim = np.concatenate([arc(0, y - 0.008, r * 1.01, r * flat * 1.01, np.pi, 0, 22),
                              arc(0, y + 0.017, r * 1.01, r * flat * 1.01, 0, np.pi, 22)])  # fmt: skip
        p.fill(rim, silver.base if y == 0 else low_hoop)
    p.fill(ellipse(0, -0.010, r * 1.02, r * flat * 1.02, 44), silver.line)
    p.fill(ellipse(0, -0.012, r * 1.00, r * flat * 1.00, 44), silver.glint)
    dome(p, ellipse(0, -0.010, r * 0.95, r * flat * 0.94, 44), p.body, 0.004, levels=4)
    bolts = arc(0, 0.020, r * 1.0, r * flat * 1.0, 0.08 * np.pi, 0.92 * np.pi, 6)
    x, y = bolts.T
    p.fill(boxes(x - 0.006, y - 0.012, x + 0.006, y + 0.020), silver.dark)


def _tabla_drum(p, x, y, top, height, belly, shell, skin, strap):
    """One of the pair: shell with straps and blocks, braided rim, skin with a black spot."""
    flat = 0.42
    side = ((top, 0.0), (belly, 0.42 * height), (0.86 * belly, 0.80 * height), (0.62 * belly, height))
    right = smooth(side, False, 5)
    outline = moved(np.concatenate([right, (right * (-1, 1))[::-1]]), x, y)
    p.fill(ellipse(x, y + height, 0.80 * belly, 0.26 * belly), (120, 30, 34))
    p.fill(ellipse(x, y + height - 0.008, 0.76 * belly, 0.20 * belly), (168, 52, 46))
    dome(p, outline, shell, 0.006, levels=4)
    k = 7
    a = np.linspace(0.06, 0.94, k) * np.pi
    upper = np.stack([x + top * np.cos(a), y + top * flat * np.sin(a)], 1)
    lower = np.stack([x + 0.72 * belly * np.cos(a), y + 0.80 * height + 0.2 * belly * np.sin(a)], 1)
    mid = np.stack([x + 1.0 * belly * np.cos(a), y + 0.45 * height + 0.25 * belly * np.sin(a)], 1)
    p.stroke(np.stack([upper, mid, lower], 1), shade(strap, 0.55), 0.013)
    p.stroke(np.stack([upper, mid, lower], 1), strap, 0.009)
    p.fill(ellipse(x, y + 0.012, top * 1.05, top * flat * 1.08, 44), shade(strap, 0.5))
    p.fill(ellipse(x, y, top * 1.04, top * flat * 1.06, 44), shade(strap, 0.8))
    dome(p, ellipse(x, y - 0.003, top * 0.94, top * flat * 0.93, 44), skin, 0.003, levels=3)


def tabla(p):
    """Two small kettle drums with a black spot on each skin, played with the hands."""
    s, skin = p.length / 0.45, p.body
    wide = p.stout
    metal, wood, strap = p.finish("silver"), p.finish("wood"), (206, 166, 112)
    spot = (28, 26, 28)
    _tabla_drum(p, 0.115 * s, 0.0, 0.082 * s * wide, 0.215 * s, 0.098 * s * wide, wood, skin, strap)
    _tabla_drum(p, -0.095 * s, 0.005, 0.110 * s * wide, 0.215 * s, 0.133 * s * wide, metal, skin, strap)
    for x, y, r in ((0.115 * s, -0.003, 0.036 * s), (-0.120 * s, 0.006, 0.046 * s)):
        p.fill(ellipse(x, y, r * wide, r * 0.42 * wide, 16), spot)
        p.fill(ellipse(x - 0.25 * r, y - 0.10 * r, 0.45 * r, 0.14 * r, 10), (86, 84, 90))
    hx, hy = 0.0, -0.56
    wear = person(p, hx, hy, facing=0, legs="crossed")
    for side, lift in zip((1, -1), _beat(p), strict=True):
        x = (0.150 if side > 0 else -0.175) * s
        y = -0.040 - 0.085 * lift
        arm(p, (hx + 0.20 * side, hy + 0.28), (x + 0.05 * side, y - 0.03), wear, elbow=(side, 0.3))
        hand(p, x + 0.03 * side, y - 0.015, wear, angle=np.pi / 2 + side * (0.85 - 0.35 * lift))


def gong(p):
    """Plates hung by cords from a frame, and a soft beater or a bow."""
    r, wood = 0.5 * p.length * p.stout * 0.94, p.finish("dark wood")
    rim = 0.010
    count = p.parts
    radius = r if count == 1 else 1.10 * r / count
    high = r if count == 1 else max(1.25 * radius, 0.16)
    out, top = r + 0.13, -high - 0.15
    for x in (-out, out):
        tube(p, np.array([[x, top - 0.02], [x, high + 0.14]]), 0.050, wood, 0.006)
        foot = across(x + np.array([-0.12, -0.05, 0.05, 0.12]), high + np.array([0.16, 0.11, 0.11, 0.16]))
        p.fill(foot, wood.line)
    beam = ((-out - 0.09, top - 0.045), (-out, top), (0, top + 0.008), (out, top), (out + 0.09, top - 0.045))
    tube(p, smooth(beam, False, 5), 0.052, wood, 0.006, side=1)
    for k, x in enumerate(np.linspace(-1, 1, count) * (r - radius) if count > 1 else (0.0,)):
        _plate(p, x, radius * (1 - 0.10 * k), top, rim)
    hx, hy = out + 0.20, -0.55
    wear = person(p, hx, hy, facing=-1)
    if p.row.exciter == "bowed":
        return _rub(p, (hx - 0.38, hy), (r * 0.99 if count == 1 else r - 0.9 * radius, 0.0), wear)
    reach = 0.12 * r + 0.26 * p.lift
    head, grip = (reach, 0.10 * r - 0.05 * p.lift), (reach + 0.24, 0.02 + 0.18 * r)
    arm(p, (hx - 0.19, hy + 0.28), grip, wear)
    stick(p, grip, head, 0.062, tip=(196, 60, 58), width=0.018)
    fist(p, *grip, wear, angle=-0.5)
    return None


def _plate(p, x0, r, top, rim):
    """One hanging plate of a shape about (0, 0), with a rim, rings and a boss."""
    brass, blend = p.body, p.shape.outline
    edge = 2 * body_outline(blend, p.shape.waist) + np.array([0.0, 1.0])
    with p.frame(x0, 0):
        for x in (-0.42 * r, 0.42 * r):
            p.lines([[x, top]], [[x, -0.86 * r]], (222, 206, 170), 0.012)
        dome(p, edge * r, brass, rim, levels=2, rim=0.97)
        p.stroke(edge * (0.90 * r), brass.dark, 0.012, closed=True)
        p.fill(edge * (0.80 * r), brass.dark)
        dome(p, edge * (0.785 * r), brass, 0, levels=5)
        for v in (0.70, 0.58, 0.46):
            p.stroke(edge * (v * r), mix(brass.base, brass.dark, 0.5), 0.004, closed=True)
        if blend[0][0] == "round":
            p.stroke(arc(0, 0, 0.63 * r, 0.63 * r, 3.5, 4.5, 10), brass.glint, 0.020)
        if p.shape.depth >= 1:
            p.fill(ellipse(0, 0, 0.235 * r, n=28), brass.line)
            dome(p, ellipse(0, 0, 0.215 * r, n=28), brass, 0, levels=4, towards=(-0.4, -0.4))


def bell(p):
    """A bronze bell under a wooden yoke: crown, shoulder, flaring lip, clapper on a rope."""
    h, brass, wood, iron = p.length, p.body, p.finish("wood"), p.finish("ebony")
    wide = 0.88 * p.stout
    swing = 0.30 * h * wide * (p.stroke_phase if p.energy > 0.02 else 1.0)
    at = 0.5 * (0.34 * h * wide - 0.30 * h * wide) - 0.5 * (0.30 * h * wide - swing)
    with p.moving():
        p.lines([[0, -0.10 * h]], [[at, 0.09 * h]], iron.base, 0.016)
        p.fill(ellipse(at, 0.095 * h, 0.062 * h, 0.068 * h, 16), iron.base)
        p.fill(ellipse(at - 0.016 * h, 0.080 * h, 0.022 * h, n=10), iron.glint)
    with p.on(FRONT):
        p.lines([[at, 0.15 * h]], [[at + 0.02, 0.38 * h]], (206, 180, 130), 0.012)
    p.span((0, 0), (0, 0.163 * h))  # the clapper, wherever it is
    p.fill(box(-0.16 * h, -0.99 * h, 0.16 * h, -0.86 * h), brass.line)
    left, right = np.array([[-0.14, -0.03, 0.08], [-0.08, 0.03, 0.14]]) * h
    p.fill(boxes(left, -0.98 * h, right, -0.87 * h), brass.base)
    yoke = across((-0.46, -0.40, 0.40, 0.46, 0.46, -0.46), (-1.08, -1.16, -1.16, -1.08, -0.98, -0.98))
    plain(p, yoke * h, wood, 0.010)
    p.fill(box(-0.44 * h, -1.12 * h, 0.44 * h, -1.09 * h), wood.light)
    p.fill(boxes(np.array([-0.22, 0.16]) * h, -1.16 * h, np.array([-0.16, 0.22]) * h, -0.98 * h), iron.base)
    _bell_body(p, h, wide)
    with p.moving():
        p.fill(ellipse(at, 0.100 * h, 0.060 * h, 0.062 * h, 16), iron.base)
        p.fill(ellipse(at - 0.018 * h, 0.082 * h, 0.020 * h, n=10), iron.glint)
    hx, hy = 0.62 * h * wide + 0.16, -0.10 - 0.4 * h
    wear = person(p, hx, hy, facing=-1)
    grip = (at + 0.025, 0.38 * h)
    arm(p, (hx - 0.18, hy + 0.28), grip, wear)
    fist(p, *grip, wear, angle=0.2)


def _bell_body(p, h, wide):
    brass = p.body
    outline = bell_outline(p.shape.outline) * (h * wide, h)
    p.fill(ellipse(0, 0.015 * h, 0.485 * h * wide, 0.055 * h), brass.line)
    p.stroke(outline, brass.line, 0.012, closed=True)
    p.fill(outline, brass.dark)
    for shrink, shift, tone in ((0.90, -0.030, brass.base), (0.50, -0.085, mix(brass.base, brass.light, 0.7)),
                                (0.26, -0.110, brass.light), (0.09, -0.135, brass.glint)):  # fmt: skip
        p.fill(outline * (shrink, 0.985) + (shift * h * wide, -0.004), tone)
    for y, w in ((-0.72, 0.245), (-0.68, 0.252), (-0.20, 0.345), (-0.16, 0.365)):
        p.stroke(arc(0, y * h, w * h * wide, 0.035 * h, 0.08, np.pi - 0.08, 12), brass.dark, 0.008)
    p.fill(ellipse(0, 0.018 * h, 0.475 * h * wide, 0.045 * h), shade(brass.line, 0.75))
    p.stroke(arc(0, 0.012 * h, 0.49 * h * wide, 0.052 * h, 0.05, np.pi - 0.05, 16), brass.light, 0.010)


def chime(p):
    """Tubes of falling length hung from a bar in a stand, struck by a small hammer."""
    s, silver, wood = p.length / 0.60, p.body, p.finish("dark wood")
    n = p.parts
    half, top, bottom = 0.27 * s * p.stout, -0.30 * s, 0.34 * s
    for x in (-half - 0.035, half + 0.035):
        tube(p, np.array([[x, top - 0.02], [x, bottom]]), 0.026, wood, 0.005)
        p.fill(taper(x - 0.075, bottom, 0.030, x + 0.075, bottom, 0.030), wood.line)
    tube(p, np.array([[-half - 0.06, top], [half + 0.06, top]]), 0.040, wood, 0.005, side=1)
    x = np.linspace(-half + 0.015, half - 0.015, n)
    fall = np.linspace(0.53, 0.27, n)
    y0, y1 = np.full(n, top + 0.065), top + 0.07 + (peaked(fall) if p.shape.bend else fall) * s
    w = 0.034 * p.stout * s
    p.lines(across(x, top), across(x, y0), (210, 200, 180), 0.005)
    columns(p, x, w, y0, y1, silver)
    p.fill(boxes(x - 0.56 * w, y0, x + 0.56 * w, y0 + 0.020), silver.line)
    p.fill(boxes(x - 0.50 * w, y0 + 0.002, x + 0.3 * w, y0 + 0.016), silver.glint)
    p.fill(ellipses(across(x, y1), 0.5 * w, 0.14 * w), shade(silver.line, 0.6))
    hx, hy = 0.06, top - 0.20
    wear = person(p, hx, hy, facing=1)
    target = x[n // 2 + 1]
    head = (target + 0.012 + 0.075 * p.lift, top + 0.115 - 0.03 * p.lift)
    grip = (head[0] + 0.16, head[1] - 0.05)
    arm(p, (hx + 0.20, hy + 0.28), grip, wear)
    stick(p, grip, head, 0.020, tip=(170, 116, 70), width=0.012)
    fist(p, *grip, wear, angle=0.3)
    with p.on(BEHIND):
        arm(p, (hx - 0.20, hy + 0.28), (hx - 0.30, hy + 0.72), wear, forearm=BEHIND)


def singing_bowl(p):
    """A bronze bowl on a cushion, and a wooden striker that circles its rim."""
    r, brass = 0.5 * p.length * p.stout, p.body
    flat, h = 0.30, 0.60 * p.length * p.stout * p.shape.depth
    hue = 320 + 120 * p.look[9]
    cloth = hsv(hue, 0.70, 0.52)
    p.fill(ellipse(0, h + 0.012, 0.90 * r, 0.27 * r), shade(cloth, 0.5))
    tones = Finish(cloth, shade(cloth, 1.25), shade(cloth, 0.7), shade(cloth, 0.5), cloth)
    cushion = smooth(((-0.92, -0.005), (-0.75, -0.035), (0, -0.042), (0.75, -0.035), (0.92, -0.005),
                      (0.80, 0.030), (0, 0.045), (-0.80, 0.030)))  # fmt: skip
    dome(p, cushion * (r, p.row.length / 0.22 * min(p.shape.depth, 1.0)) + (0, h), tones, 0.003)
    p.lines([[-0.70 * r, h]], [[0.70 * r, h]], (226, 184, 84), 0.004)
    side = shell_side(p.shape.outline) * (r, h)
    outline = np.concatenate([side, (side * (-1, 1))[::-1]])
    p.fill((outline - (0, h / 2)) * 1.02 + (0, h / 2), brass.line)
    hollow(p, outline, brass, r)
    usual = shell_side((("bowl", 1.0),)) * (r, h)
    for v, q in ((0.30, 0.985), (0.36, 0.965)):
        q *= _radius(side, v * h) / _radius(usual, v * h)
        p.stroke(arc(0, v * h, q * r, q * r * flat * 0.8, 0.05, np.pi - 0.05, 16), brass.dark, 0.0035)
    wide = 0.86 * r * (_radius(side, 0.72 * h) / _radius(usual, 0.72 * h))
    petals = arc(0, 0.50 * h, wide, wide * flat * 0.8, 0.35, np.pi - 0.35, 7)
    p.stroke(ellipses(petals, 0.009 * r / 0.11), brass.line, 0.0025, closed=True)
    _bowl_mouth(p, r, flat)
    _bowl_player(p, r, flat, h)


def _radius(side, y):
    """Half the width of a profile (n, 2) at a height y."""
    return float(np.interp(y, side[:, 1], side[:, 0]))


def _bowl_mouth(p, r, flat):
    brass = p.body
    p.fill(ellipse(0, 0, 1.03 * r, 1.03 * r * flat, 44), brass.line)
    p.fill(ellipse(0, 0, 1.01 * r, 1.01 * r * flat, 44), brass.glint)
    p.fill(ellipse(0, 0.002, 0.94 * r, 0.93 * r * flat, 44), brass.line)
    p.fill(ellipse(0.02 * r, 0.04 * r, 0.88 * r, 0.80 * r * flat, 44), brass.dark)
    p.fill(ellipse(0.16 * r, 0.10 * r, 0.60 * r, 0.50 * r * flat), mix(brass.dark, brass.base, 0.8))


def _bowl_player(p, r, flat, h):
    """The striker circles the rim; the other hand holds the bowl."""
    wear = person(p, 0.02, -0.50, facing=0, legs="none")
    if p.row.exciter == "bowed":
        return _rub(p, (0.02, -0.50), (0.98 * r, 0.10 * r), wear)
    turn = 0.70 - 0.50 * (1 - p.lift)
    gap = 0.040 * p.lift
    touch = (1.03 * r * np.cos(turn) + gap, 1.03 * r * flat * np.sin(turn) - gap)
    top = (touch[0] + 0.065, touch[1] - 0.135)
    arm(p, (0.22, -0.22), (top[0] + 0.02, top[1] - 0.01), wear)
    stick(p, top, (touch[0] - 0.012, touch[1] + 0.030), 0.0, color=(132, 78, 42), width=0.026)
    fist(p, top[0] - 0.003, top[1] + 0.012, wear, angle=0.3)
    arm(p, (-0.18, -0.22), (-r - 0.05, h * 0.7), wear, forearm=BEHIND)
    hand(p, -r - 0.045, 0.62 * h, wear, angle=0.15, layer=BEHIND)
    return None


def shells(p):
    """One to four drums in a row, of a shell's profile and material, beaten with sticks or hands."""
    n, side, flat = p.parts, shell_side(p.shape.outline), 0.30
    shrink = 0.84 ** np.arange(n)
    r = 0.5 * p.length * shrink / shrink.sum()
    x = np.cumsum(2 * r) - r - 0.5 * p.length
    tall = 1.5 * p.shape.depth * r.max() * p.stout
    targets = []
    for k in np.argsort(-r):
        h = tall * shrink[k] ** 0.5
        _shell(p, x[k], tall - h, r[k] * 0.97, h, side, flat)
        targets.append((x[k] - 0.25 * r[k] * (n == 1), tall - h + 0.02))
    second = (targets[0][0] + 0.5 * r[0], targets[0][1]) if n == 1 else targets[1]
    _mallets(p, 0.0, -0.64, (second, targets[0]), reach=0.18, head=0.016, tip=(236, 226, 200), rise=0.16)


def _shell(p, x, y, r, h, side, flat):
    """A shell that stands at (x, y + h), its cords, hoop and skin."""
    tones, skin, strap = p.body, p.finish("skin"), (206, 166, 112)
    right = side * (r, h)
    foot = right[-1, 0]
    low = arc(0, h, foot, foot * flat * 0.8, 0, np.pi, 12)
    outline = np.concatenate([right, low, (right * (-1, 1))[::-1]])
    with p.frame(x, y):
        p.stroke(outline, tones.line, 0.012, closed=True)
        hollow(p, outline, tones, 0.8 * r, 0.985)
    if p.row.material in ("wood", "dark wood", "cane", "gourd", "clay", "bone"):  # laced, not bolted
        a = np.linspace(0.10, 0.90, 9) * np.pi
        middle = np.interp(0.5, side[:, 1], side[:, 0]) * r
        upper = np.stack([x + r * np.cos(a), y + r * flat * np.sin(a)], 1)
        lower = np.stack([x + middle * np.cos(a), y + 0.5 * h + middle * flat * np.sin(a)], 1)
        p.stroke(np.stack([upper, lower], 1), shade(strap, 0.5), 0.010)
        p.stroke(np.stack([upper, lower], 1), strap, 0.006)
        rim = shade(strap, 0.8), shade(strap, 0.5)
    else:
        rim = p.finish("silver").glint, p.finish("silver").line
    p.fill(ellipse(x, y + 0.014, 1.05 * r, 1.06 * r * flat, 44), rim[1])
    p.fill(ellipse(x, y, 1.04 * r, 1.05 * r * flat, 44), rim[0])
    dome(p, ellipse(x, y - 0.002, 0.94 * r, 0.92 * r * flat, 44), skin, 0.003, levels=3)


def tongues(p):
    """Metal or cane tongues over a box or half a gourd, plucked by both thumbs."""
    long, n, wide = p.length, p.parts, p.length * p.stout
    case, ebony = p.finish("gourd" if p.shape.under == "gourds" else "wood"), p.finish("ebony").base
    dome(p, body_outline(p.shape.outline, p.shape.waist) * (1.08 * wide, long), case, 0.006, levels=4)
    p.fill(ellipse(0, -0.24 * long, 0.085 * long), shade(case.line, 0.4))
    x = np.linspace(-0.24, 0.24, n) * wide
    tip = (-0.34 - 0.30 * np.abs(np.linspace(-0.5, 0.5, n))) * long
    half = 0.16 * long / n
    p.fill(box(x[0] - 0.03 * long, -0.86 * long, x[-1] + 0.03 * long, -0.79 * long), ebony)
    for grow, tone in ((1.35, p.body.line), (1.0, p.body.base), (0.45, p.body.glint)):
        p.fill(boxes(x - grow * half, -0.93 * long, x + grow * half, tip + 0.01 * long * grow), tone)
    p.stroke([(x[0] - 0.02 * long, -0.825 * long), (x[-1] + 0.02 * long, -0.825 * long)], p.body.light, 0.006)
    wear = person(p, 0.0, -long - 0.36, facing=0, legs="none")
    for side, lift in zip((-1, 1), _beat(p, 0.4), strict=True):
        edge, y = side * (0.40 * wide + 0.02), -0.26 * long - 0.03 * lift
        arm(p, (0.20 * side, -long - 0.08), (edge + 0.05 * side, y), wear, elbow=(side, 0.3))
        hand(p, edge + 0.012 * side, y, wear, angle=-np.pi / 2 - 0.55 * side, spread=0.8)


BUILDS = {
    "shells": shells, "tongues": tongues,
    "bars": marimba, "chest": glockenspiel, "pan": steel_pan, "snare": drum, "pair": tabla,
    "hung plates": gong, "bell": bell, "hung tubes": chime, "bowl": singing_bowl,
}  # fmt: skip
