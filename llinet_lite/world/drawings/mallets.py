"""Tuned bars and pans: marimba, glockenspiel, steel pan.

Notebook: 00
"""

from __future__ import annotations

import numpy as np

from .materials import mix, shade
from .parts import across, arc, boxes, ellipse, ellipses, moved, plain, taper, tube
from .players import arm, fist, person, stick


def _mallets(p, hx, hy, targets, *, reach=0.22, head=0.02, tip, rise=0.14):
    """The player behind, two mallets over `targets`; the first strikes, the second waits."""
    wear = person(p, hx, hy, facing=0)
    waits = 0.45 + 0.4 * (1 - p.lift) if p.energy > 0.02 else 1.0
    for side, lift, (x, y) in zip((1, -1), (p.lift, waits), targets, strict=True):
        end = (x, y - head - rise * lift)
        grip = (x + 0.10 * side, y - reach - 0.7 * rise * lift)
        arm(p, (hx + 0.20 * side, hy + 0.28), grip, wear, elbow=(side, 0.3))
        stick(p, grip, end, head, tip=tip, width=0.011)
        fist(p, *grip, wear, angle=0.3 * side)


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
    """Wooden bars of falling length over resonator tubes, on a wheeled frame."""
    w, wood, brass, dark = p.length, p.body, p.finish("brass"), p.finish("ebony")
    wide = p.stout * w / 1.5
    n = p.parts
    edge = np.linspace(-0.49, 0.49, n + 1) * w
    gap = 0.10 * w / n
    x0, x1 = edge[:-1] + gap / 2, edge[1:] - gap / 2
    length = np.linspace(0.40, 0.20, n) * wide
    y0, y1 = -length * 0.55, length * 0.45
    floor = 0.62 * wide + 0.02
    for x, top in ((-0.46 * w, 0.10), (0.46 * w, 0.06)):
        p.fill(taper(x, top, 0.040, x, floor - 0.03, 0.040), dark.base)
        p.fill(taper(x - 0.10, floor - 0.035, 0.030, x + 0.10, floor - 0.035, 0.030), dark.base)
        p.fill(ellipses([[x - 0.09, floor], [x + 0.09, floor]], 0.028), dark.line)
    p.lines([[-0.46 * w, floor - 0.12]], [[0.46 * w, floor - 0.12]], dark.light, 0.022)
    centre = (x0 + x1) / 2
    r = 0.36 * (x1 - x0)
    ends = y1 + np.linspace(0.44, 0.08, n) * wide
    for grow, shift, tone in (
        (1.15, 0, brass.line),
        (1.0, 0, brass.dark),
        (0.66, -0.12, brass.base),
        (0.25, -0.35, brass.glint),
    ):
        p.fill(boxes(centre + shift * r - grow * r, y1 - 0.04, centre + shift * r + grow * r, ends), tone)
    p.fill(ellipses(across(centre, ends), r[0] * 1.1, r[0] * 0.35), brass.line)
    p.fill(ellipses(across(centre, ends - 0.004), r[0] * 0.9, r[0] * 0.25), brass.dark)
    for row in (0.2, 0.8):
        y = y0 * (1 - row) + y1 * row
        p.lines([[edge[0] - 0.02, y[0]]], [[edge[-1] + 0.02, y[-1]]], dark.base, 0.030)
    quads = _slanted(x0, x1, y0, y1, 0.0)
    p.fill(moved(quads, 0.004, 0.022), wood.line)
    _bars(p, quads, wood)
    k = n // 2
    _mallets(p, 0.0, -0.62 * wide - 0.28, ((centre[k + 2], -0.04), (centre[k - 2], -0.04)), reach=0.28,
             head=0.032, tip=(190, 70, 66), rise=0.16)  # fmt: skip


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
    sharp = [i + 1 for i in range(low - 1) if i % 7 in (0, 1, 3, 4, 5)][: n - low]
    mid = edge[sharp]
    half = 0.5 * (x1[0] - x0[0])
    share = np.array(sharp) / low
    _bars(p, _slanted(mid - half, mid + half, (-0.46 + 0.18 * share) * d, -0.08 * d, 0.0), steel, line=0.0035)
    centre = (x0 + x1) / 2
    _mallets(p, 0.0, -0.60 - 0.2 * d, ((centre[low // 2 + 1], 0.16 * d), (centre[low // 2 - 2], 0.16 * d)),
             reach=0.20, head=0.016, tip=(236, 232, 222), rise=0.12)  # fmt: skip


def steel_pan(p):
    """A shallow pan hammered into note fields, with a skirt, on a stand."""
    r, silver, dark = 0.5 * p.length * p.stout, p.body, p.finish("ebony")
    flat, skirt = 0.46, 0.19 * p.stout
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
    for k, (zoom, tone) in enumerate(
        ((0.94, silver.dark), (0.80, inner), (0.60, silver.base), (0.36, mix(silver.base, silver.light, 0.5)))
    ):
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
    for centres, rx in ((ring, 0.215 * r), (core, 0.155 * r)):
        p.fill(ellipses(centres, rx, rx * 0.56, n=16), silver.line)
        p.fill(ellipses(moved(centres, 0, 0.004), rx * 0.92, rx * 0.49, n=16), silver.light)
        p.fill(
            ellipses(moved(centres, 0.02 * r, 0.012 * r), rx * 0.66, rx * 0.30, n=16),
            shade(silver.light, 1.4),
        )
    return moved(ring[1:3], 0, 0.02)
