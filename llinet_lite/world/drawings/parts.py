"""Reusable parts: outlines, tubes, domes, strings, sound holes, pegs, keys.

Points are metres, x to the right, y downwards; shapes are arrays (n, 2).

Notebook: 00
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .materials import Finish, mix, shade

_TURN = {n: np.linspace(0, 2 * np.pi, n, endpoint=False) for n in (10, 16, 28, 44)}
_ROUND = {n: np.stack([np.cos(a), np.sin(a)], 1) for n, a in _TURN.items()}


@lru_cache(maxsize=256)
def smooth(points: tuple, closed: bool = True, steps: int = 5) -> np.ndarray:
    """Catmull-Rom curve through points, `steps` samples per span; shape (m, 2)."""
    p = np.asarray(points, dtype=float)
    q = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    basis = 0.5 * np.concatenate(
        [-(t**3) + 2 * t**2 - t, 3 * t**3 - 5 * t**2 + 2, -3 * t**3 + 4 * t**2 + t, t**3 - t**2], axis=1
    )
    spans = np.stack([q[:-3], q[1:-2], q[2:-1], q[3:]], axis=1)  # (spans, 4, 2)
    curve = np.einsum("tb,sbx->stx", basis, spans).reshape(-1, 2)
    curve = curve if closed else np.concatenate([curve, p[-1:]])
    curve.setflags(write=False)
    return curve


@lru_cache(maxsize=64)
def symmetric(half: tuple, steps: int = 5) -> np.ndarray:
    """Closed outline from its right half, listed from the top to the bottom of the axis x = 0."""
    left = tuple((-x, y) for x, y in reversed(half) if x > 1e-9)
    return smooth(tuple(half) + left, True, steps)


def ellipse(x, y, rx, ry=None, n=28):
    """Ellipse (n, 2), n one of 10, 16, 28, 44."""
    return _ROUND[n] * (rx, rx if ry is None else ry) + (x, y)


def ellipses(centres, rx, ry=None, n=10):
    """Equal ellipses (k, n, 2) about centres (k, 2)."""
    return np.asarray(centres, float)[:, None, :] + _ROUND[n] * (rx, rx if ry is None else ry)


def moved(points, dx, dy):
    """Points shifted by (dx, dy)."""
    return np.asarray(points, float) + np.array([dx, dy])


def across(x, y):
    """Points (k, 2) from coordinates x and y, arrays or scalars that broadcast to (k,)."""
    return np.stack(np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float)), axis=-1)


def arc(x, y, rx, ry, start, stop, n=14):
    """Arc (n, 2) from angle `start` to `stop` (radians, clockwise from +x)."""
    a = np.linspace(start, stop, n)
    return np.stack([x + rx * np.cos(a), y + ry * np.sin(a)], 1)


def box(x0, y0, x1, y1):
    """Rectangle (4, 2)."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def boxes(x0, y0, x1, y1):
    """Rectangles (k, 4, 2) from arrays or scalars that broadcast to (k,)."""
    x0, y0, x1, y1 = np.broadcast_arrays(*(np.asarray(v, float) for v in (x0, y0, x1, y1)))
    return np.stack([np.stack(c, -1) for c in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))], 1)


def rounded(x0, y0, x1, y1, radius):
    """Rectangle with round corners (20, 2)."""
    corners = ((x1, y1, 0.0), (x0, y1, 0.5), (x0, y0, 1.0), (x1, y0, 1.5))
    out = []
    for (x, y, turn), sx, sy in zip(corners, (-1, 1, 1, -1), (-1, -1, 1, 1), strict=True):
        out.append(
            arc(x + sx * radius, y + sy * radius, radius, radius, turn * np.pi, (turn + 0.5) * np.pi, 5)
        )
    return np.concatenate(out)


def taper(x0, y0, w0, x1, y1, w1):
    """Quadrilateral (4, 2) from (x0, y0), w0 wide, to (x1, y1), w1 wide."""
    dx, dy = x1 - x0, y1 - y0
    norm = max((dx * dx + dy * dy) ** 0.5, 1e-9)
    nx, ny = -dy / norm / 2, dx / norm / 2
    return np.array([[x0 + nx * w0, y0 + ny * w0], [x1 + nx * w1, y1 + ny * w1],
                     [x1 - nx * w1, y1 - ny * w1], [x0 - nx * w0, y0 - ny * w0]])  # fmt: skip


def ribbon(centre, widths, shift=0.0):
    """Polygon (2n, 2) along a centre line (n, 2) with widths (n,); `shift` moves it sideways."""
    centre = np.asarray(centre, float)
    along = np.gradient(centre, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    normal = np.stack([-along[:, 1], along[:, 0]], 1)
    widths = np.broadcast_to(np.asarray(widths, float), len(centre))[:, None]
    middle = centre + normal * widths * shift
    return np.concatenate([middle + normal * widths / 2, (middle - normal * widths / 2)[::-1]])


def tube(p, centre, widths, tones: Finish, line=0.004, side=-1):
    """A round tube: outline, shaded body, lit stripe and glint on the side that faces the light."""
    widths = np.broadcast_to(np.asarray(widths, float), len(centre))
    p.fill(ribbon(centre, widths + 2 * line), tones.line)
    p.fill(ribbon(centre, widths), tones.dark)
    p.fill(ribbon(centre, widths * 0.70, 0.13 * side), tones.base)
    p.fill(ribbon(centre, widths * 0.34, 0.45 * side), tones.light)
    p.fill(ribbon(centre, widths * 0.12, 1.5 * side), tones.glint)


def dome(p, outline, tones: Finish, line=0.006, levels=4, towards=(-0.18, -0.18), rim=0.94):
    """A slightly arched surface: dark edge, and nested lighter copies drawn towards the light."""
    outline = np.asarray(outline)
    low, high = outline.min(axis=0), outline.max(axis=0)
    centre = 0.5 * (low + high)
    focus = centre + 0.5 * (high - low) * towards
    if line:
        p.stroke(outline, tones.line, line, closed=True)
    p.fill(outline, tones.dark)
    for i in range(levels):
        share = i / max(levels - 1, 1)
        zoom = rim * (1 - 0.75 * share)
        anchor = centre + (focus - centre) * share
        p.fill((outline - centre) * zoom + anchor, mix(tones.base, tones.light, share * 0.9))


def plain(p, outline, tones: Finish, line=0.005):
    """A flat surface with a dark outline."""
    p.fill(outline, tones.base)
    p.stroke(outline, tones.line, line, closed=True)


def strings(p, top, bottom, count, colour, width=0.0015):
    """`count` strings from the segment `top` to the segment `bottom`, each ((x, y), (x, y))."""
    share = (np.arange(count) / max(count - 1, 1))[:, None]
    a, b = np.asarray(top, float), np.asarray(bottom, float)
    p.lines(a[0] + (a[1] - a[0]) * share, b[0] + (b[1] - b[0]) * share, colour, width)


def knobs(p, centres, radius, tones: Finish, line=0.0):
    """Small round fittings (pegs, buttons, keys) with a glint."""
    centres = np.asarray(centres, float)
    p.fill(ellipses(centres, radius + line), tones.line)
    p.fill(ellipses(centres, radius * 0.85), tones.base)
    p.fill(ellipses(centres - radius * 0.25, radius * 0.4), tones.glint)


def f_hole(p, x, y, height, side, colour, width):
    """One f-hole; `side` +1 right of the strings, -1 left of them."""
    curve = smooth(((0.22, -0.46), (0.10, -0.52), (-0.02, -0.40), (0.06, 0.0), (0.14, 0.40), (0.02, 0.52),
                    (-0.10, 0.46)), False, 3)  # fmt: skip
    p.stroke(curve * (-side * height, height) + (x, y), colour, width)
    ends = np.array([[0.20, -0.42], [-0.08, 0.42]]) * (-side * height, height) + (x, y)
    p.fill(ellipses(ends, width * 1.1), colour)
    p.lines([[x - height * 0.10, y]], [[x + height * 0.10, y]], colour, width * 0.6)


def frets(p, y0, y1, count, w0, w1, colour, width=0.002, x=0.0, scale=None):
    """Frets of a vertical neck from the nut at `y0`: equal-tempered distances, shown to `y1`."""
    scale = (y1 - y0) / (1 - 2 ** (-count / 12)) if scale is None else scale
    y = y0 + scale * (1 - 2.0 ** (-np.arange(1, count + 1) / 12))
    half = 0.5 * (w0 + (w1 - w0) * (y - y0) / (y1 - y0))
    p.lines(np.stack([x - half, y], 1), np.stack([x + half, y], 1), colour, width)
    return y


def bell_mouth(p, x, y, rx, ry, tones: Finish, line=0.004):
    """The open end of a bell: bright rim round a dark throat."""
    p.fill(ellipse(x, y, rx + line, ry + line), tones.line)
    p.fill(ellipse(x, y, rx, ry), tones.glint)
    p.fill(ellipse(x, y, rx * 0.86, ry * 0.86), tones.dark)
    p.fill(ellipse(x, y, rx * 0.5, ry * 0.5), shade(tones.line, 0.7))
