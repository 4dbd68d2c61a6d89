"""Reusable parts (outlines, tubes, domes, strings, sound holes, pegs, keys) and the player.

Points are meters, x to the right, y downwards; shapes are arrays (n, 2). The player is a plain figure with
the lengths of an adult (stature 1.75 m; a head is 0.23 m high, a hand 0.10 m wide), so the instrument's size
can be seen against it.
Notebook: 00
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .painter import BEHIND, FRONT, Finish, hsv, mix, shade

_TURN = {n: np.linspace(0, 2 * np.pi, n, endpoint=False) for n in (10, 16, 28, 44)}
_ROUND = {n: np.stack([np.cos(a), np.sin(a)], 1) for n, a in _TURN.items()}


@lru_cache(maxsize=256)
def smooth(points: tuple, closed: bool = True, steps: int = 5) -> np.ndarray:
    """Catmull-Rom curve through points, `steps` samples per span; shape (m, 2)."""
    p = np.asarray(points, dtype=float)
    q = np.concatenate([p[-1:], p, p[:2]]) if closed else np.concatenate([p[:1], p, p[-1:]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    basis = [-(t**3) + 2 * t**2 - t, 3 * t**3 - 5 * t**2 + 2, -3 * t**3 + 4 * t**2 + t, t**3 - t**2]
    basis = 0.5 * np.concatenate(basis, axis=1)
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


def ellipses(centers, rx, ry=None, n=10):
    """Equal ellipses (k, n, 2) about centers (k, 2)."""
    return np.asarray(centers, float)[:, None, :] + _ROUND[n] * (rx, rx if ry is None else ry)


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
        x, y = x + sx * radius, y + sy * radius
        out.append(arc(x, y, radius, radius, turn * np.pi, (turn + 0.5) * np.pi, 5))
    return np.concatenate(out)


def taper(x0, y0, w0, x1, y1, w1):
    """Quadrilateral (4, 2) from (x0, y0), w0 wide, to (x1, y1), w1 wide."""
    dx, dy = x1 - x0, y1 - y0
    norm = max((dx * dx + dy * dy) ** 0.5, 1e-9)
    nx, ny = -dy / norm / 2, dx / norm / 2
    return np.array([[x0 + nx * w0, y0 + ny * w0], [x1 + nx * w1, y1 + ny * w1],
                     [x1 - nx * w1, y1 - ny * w1], [x0 - nx * w0, y0 - ny * w0]])  # fmt: skip


def ribbon(center, widths, shift=0.0):
    """Polygon (2n, 2) along a center line (n, 2) with widths (n,); `shift` moves it sideways."""
    center = np.asarray(center, float)
    along = np.gradient(center, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    normal = np.stack([-along[:, 1], along[:, 0]], 1)
    widths = np.broadcast_to(np.asarray(widths, float), len(center))[:, None]
    middle = center + normal * widths * shift
    return np.concatenate([middle + normal * widths / 2, (middle - normal * widths / 2)[::-1]])


def tube(p, center, widths, tones: Finish, line=0.004, side=-1):
    """A round tube: outline, shaded body, lit stripe and glint on the side that faces the light."""
    widths = np.broadcast_to(np.asarray(widths, float), len(center))
    p.fill(ribbon(center, widths + 2 * line), tones.line)
    p.fill(ribbon(center, widths), tones.dark)
    p.fill(ribbon(center, widths * 0.70, 0.13 * side), tones.base)
    p.fill(ribbon(center, widths * 0.34, 0.45 * side), tones.light)
    p.fill(ribbon(center, widths * 0.12, 1.5 * side), tones.glint)


def columns(p, x, w, y0, y1, tones: Finish):
    """Round tubes side by side, `w` wide, about `x` (k,), from `y0` to `y1`."""
    for grow, shift, tone in ((1.22, 0, tones.line), (1.0, 0, tones.dark), (0.72, -0.10, tones.base),
                              (0.38, -0.16, tones.light), (0.15, -0.20, tones.glint)):  # fmt: skip
        edge = 0.002 if grow > 1 else 0
        p.fill(boxes(x + shift * w - grow * w / 2, y0 - edge, x + shift * w + grow * w / 2, y1 + edge), tone)


def peaked(lengths):
    """Lengths (k,) in another order: the longest in the middle."""
    outwards = np.abs(np.arange(len(lengths)) - 0.5 * (len(lengths) - 1))
    return np.sort(lengths)[np.argsort(np.argsort(-outwards, kind="stable"))]


def hollow(p, outline, tones: Finish, width, shrink=0.97):
    """A turned body, `width` wide, round its axis x = 0: dark at its edges, lit from the left."""
    p.fill(outline, tones.dark)
    for narrow, shift, tone in ((0.92, -0.03, tones.base), (0.56, -0.16, mix(tones.base, tones.light, 0.7)),
                                (0.28, -0.26, tones.light), (0.09, -0.34, tones.glint)):  # fmt: skip
        p.fill(outline * (narrow, shrink) + (shift * width, 0), tone)


def dome(p, outline, tones: Finish, line=0.006, levels=4, towards=(-0.18, -0.18), rim=0.94):
    """A slightly arched surface: dark edge, and nested lighter copies drawn towards the light."""
    outline = np.asarray(outline)
    low, high = outline.min(axis=0), outline.max(axis=0)
    center = 0.5 * (low + high)
    focus = center + 0.5 * (high - low) * towards
    if line:
        p.stroke(outline, tones.line, line, closed=True)
    p.fill(outline, tones.dark)
    for i in range(levels):
        share = i / max(levels - 1, 1)
        zoom = rim * (1 - 0.75 * share)
        anchor = center + (focus - center) * share
        p.fill((outline - center) * zoom + anchor, mix(tones.base, tones.light, share * 0.9))


def plain(p, outline, tones: Finish, line=0.005):
    """A flat surface with a dark outline."""
    p.fill(outline, tones.base)
    p.stroke(outline, tones.line, line, closed=True)


def strings(p, top, bottom, count, color, width=0.0015):
    """`count` strings from the segment `top` to the segment `bottom`, each ((x, y), (x, y))."""
    share = (np.arange(count) / max(count - 1, 1))[:, None]
    a, b = np.asarray(top, float), np.asarray(bottom, float)
    p.lines(a[0] + (a[1] - a[0]) * share, b[0] + (b[1] - b[0]) * share, color, width)


def knobs(p, centers, radius, tones: Finish, line=0.0):
    """Small round fittings (pegs, buttons, keys) with a glint."""
    centers = np.asarray(centers, float)
    p.fill(ellipses(centers, radius + line), tones.line)
    p.fill(ellipses(centers, radius * 0.85), tones.base)
    p.fill(ellipses(centers - radius * 0.25, radius * 0.4), tones.glint)


def f_hole(p, x, y, height, side, color, width):
    """One f-hole; `side` +1 right of the strings, -1 left of them."""
    curve = smooth(((0.22, -0.46), (0.10, -0.52), (-0.02, -0.40), (0.06, 0.0), (0.14, 0.40), (0.02, 0.52),
                    (-0.10, 0.46)), False, 3)  # fmt: skip
    p.stroke(curve * (-side * height, height) + (x, y), color, width)
    ends = np.array([[0.20, -0.42], [-0.08, 0.42]]) * (-side * height, height) + (x, y)
    p.fill(ellipses(ends, width * 1.1), color)
    p.lines([[x - height * 0.10, y]], [[x + height * 0.10, y]], color, width * 0.6)


def frets(p, y0, y1, count, w0, w1, color, width):
    """Frets of a vertical neck from the nut at `y0`: equal-tempered distances, shown to `y1`."""
    if not count:
        return np.empty(0)
    scale = (y1 - y0) / (1 - 2 ** (-count / 12))
    y = y0 + scale * (1 - 2.0 ** (-np.arange(1, count + 1) / 12))
    half = 0.5 * (w0 + (w1 - w0) * (y - y0) / (y1 - y0))
    p.lines(np.stack([-half, y], 1), np.stack([half, y], 1), color, width)
    return y


def sharps(count):
    """Numbers of the white keys that have a black one at their left, of `count` keys that begin with a C."""
    return [i + 1 for i in range(count - 1) if i % 7 in (0, 1, 3, 4, 5)]


def bell_mouth(p, x, y, rx, ry, tones: Finish, line=0.004):
    """The open end of a bell: bright rim round a dark throat."""
    p.fill(ellipse(x, y, rx + line, ry + line), tones.line)
    p.fill(ellipse(x, y, rx, ry), tones.glint)
    p.fill(ellipse(x, y, rx * 0.86, ry * 0.86), tones.dark)
    p.fill(ellipse(x, y, rx * 0.5, ry * 0.5), shade(tones.line, 0.7))


# --------------------------------------------------------------------------------------------- the player

_SKINS = ((246, 212, 184), (226, 180, 144), (196, 142, 104), (150, 100, 70), (104, 68, 48))
_HAIRS = ((40, 30, 26), (78, 52, 34), (142, 96, 52), (206, 170, 104), (150, 146, 142))
_TORSO = smooth(((0.07, 0.0), (0.17, 0.035), (0.215, 0.11), (0.185, 0.30), (0.17, 0.56),
                 (-0.17, 0.56), (-0.185, 0.30), (-0.215, 0.11), (-0.17, 0.035), (-0.07, 0.0)),
                True, 3)  # fmt: skip


class Clothes:
    """Colors of one player, from the painter's look-variations."""

    def __init__(self, p):
        u = p.look
        self.skin, self.hair = _SKINS[int(u[0] * len(_SKINS))], _HAIRS[int(u[1] * len(_HAIRS))]
        self.shirt = hsv(360 * u[2], 0.15 + 0.4 * u[3], 0.25 + 0.5 * u[4])
        self.trousers = hsv(200 + 60 * u[5], 0.3 * u[6], 0.16 + 0.25 * u[7])
        self.long_hair = u[8] > 0.5


def _head(p, x, y, wear: Clothes, facing, puff):
    skin, dark = wear.skin, shade(wear.skin, 0.72)
    if wear.long_hair:
        p.fill(ellipse(x - 0.022 * facing, y + 0.005, 0.106, 0.118), shade(wear.hair, 0.85))
    p.fill(ellipse(x - 0.012 * facing, y - 0.012, 0.090, 0.122), wear.hair)
    p.fill(ellipse(x + 0.008 * facing, y + 0.012, 0.078, 0.108), skin)
    if puff > 0.02:
        cheeks = [[x + (0.03 * facing - 0.045) * 1.0, y + 0.05], [x + 0.03 * facing + 0.045, y + 0.05]]
        p.fill(ellipses(cheeks, 0.020 + 0.026 * puff), mix(skin, (226, 120, 100), 0.35))
    top = [(x - 0.088, y - 0.02), (x - 0.07, y - 0.085), (x, y - 0.115), (x + 0.07, y - 0.085),
           (x + 0.088, y - 0.02), (x + 0.055, y - 0.06), (x - 0.03, y - 0.066)]  # fmt: skip
    p.fill(moved(top, 0.006 * facing, 0), wear.hair)
    eyes = moved([[x - 0.030, y - 0.008], [x + 0.030, y - 0.008]], 0.018 * facing, 0)
    p.fill(ellipses(eyes, 0.0095, 0.007), (44, 34, 32))
    nose = x + 0.022 * facing
    ridge = [(nose, y - 0.002), (nose + 0.010 * (facing or 1), y + 0.030), (nose - 0.004, y + 0.033)]
    p.stroke(ridge, dark, 0.005)
    p.stroke([(nose - 0.022, y + 0.064), (nose + 0.022, y + 0.064)], mix(dark, (150, 40, 40), 0.4), 0.008)


def person(p, x, y, *, facing=0, lean=0.0, puff=0.0, legs="standing", torso=1.0):
    """Head (center x, y), torso and legs of the player, on the layer behind."""
    wear = Clothes(p)
    with p.on(BEHIND):
        hip = (x + lean, y + 0.72)
        _legs(p, hip, wear, legs)
        body = _TORSO * (torso, 1.0)
        body = body + np.stack([lean * body[:, 1] / 0.56, np.zeros(len(body))], 1) + (x, y + 0.165)
        p.fill(body, shade(wear.shirt, 0.7))
        p.fill((body - body.mean(axis=0)) * 0.94 + body.mean(axis=0), wear.shirt)
        p.fill(taper(x, y + 0.08, 0.085, x, y + 0.20, 0.10), shade(wear.skin, 0.78))
        _head(p, x, y, wear, facing, puff)
    return wear


def _legs(p, hip, wear, legs):
    x, y = hip
    if legs == "none":
        return
    if legs == "standing":
        for side in (-1, 1):
            p.fill(taper(x + side * 0.085, y - 0.04, 0.17, x + side * 0.11, y + 0.86, 0.10), wear.trousers)
            p.fill(ellipse(x + side * 0.14, y + 0.88, 0.09, 0.035, 16), (30, 26, 26))
    elif legs == "sitting":
        for side in (-1, 1):
            knee = (x + side * 0.27, y + 0.10)
            p.stroke([(x + side * 0.07, y - 0.05), knee], wear.trousers, 0.16)
            p.stroke([knee, (x + side * 0.25, y + 0.50)], shade(wear.trousers, 0.85), 0.12)
            p.fill(ellipse(x + side * 0.28, y + 0.54, 0.09, 0.035, 16), (30, 26, 26))
    else:  # crossed on the floor
        for side in (-1, 1):
            p.stroke([(x + side * 0.10, y - 0.03), (x + side * 0.42, y + 0.05)], wear.trousers, 0.16)
            shin = [(x + side * 0.42, y + 0.06), (x - side * 0.10, y + 0.12)]
            p.stroke(shin, shade(wear.trousers, 0.85), 0.12)


def arm(p, shoulder, hand, wear: Clothes, *, elbow=(0.0, 1.0), forearm=FRONT, upper=BEHIND, reach=0.57):
    """An arm of two links, together `reach` meters long; `elbow` is the direction to which it is bent."""
    s, h = np.asarray(shoulder, float), np.asarray(hand, float)
    far = max(float(np.hypot(*(h - s))), 1e-6)
    link = max(0.5 * reach, 0.51 * far)  # too far: both links grow
    unit = (h - s) / far
    normal = np.array([-unit[1], unit[0]])
    off = np.sqrt(link * link - 0.25 * far * far) * (1 if normal @ elbow >= 0 else -1)
    elbow = 0.5 * (s + h) + normal * off
    with p.on(upper):
        p.fill(ellipse(*s, 0.060, n=16), shade(wear.shirt, 0.82))
        p.fill(taper(*s, 0.115, *elbow, 0.090), shade(wear.shirt, 0.82))
        p.fill(ellipse(*elbow, 0.045, n=16), shade(wear.shirt, 0.82))
    with p.on(forearm):
        cuff = elbow + (h - elbow) * 0.72
        p.fill(taper(*cuff, 0.058, *h, 0.050), wear.skin)
        p.fill(taper(*elbow, 0.088, *cuff, 0.070), shade(wear.shirt, 0.92))
    return elbow


def hand(p, x, y, wear: Clothes, *, angle=0.0, fingers=4, layer=FRONT, spread=1.0, lifted=None):
    """A hand: palm at (x, y), fingers along `angle` (radians, clockwise from +x), finger `lifted` raised."""
    with p.on(layer), p.frame(x, y, angle):
        line = shade(wear.skin, 0.62)
        p.fill(ellipse(0, 0, 0.046, 0.042, 16), line)
        p.fill(ellipse(0, 0, 0.041, 0.037, 16), wear.skin)
        side = (np.arange(fingers) - (fingers - 1) / 2) * 0.019 * spread
        tip = 0.088 - 0.35 * np.abs(side)
        if lifted is not None:
            tip[lifted % fingers] -= 0.030
        starts = np.stack([np.full(fingers, 0.02), side * 0.9], 1)
        ends = np.stack([tip, side * 1.1], 1)
        p.lines(starts, ends, line, 0.021)
        p.lines(starts, ends, wear.skin, 0.015)


def fist(p, x, y, wear: Clothes, *, angle=0.0, layer=FRONT):
    """A closed hand round a bow, a stick or a neck, knuckles along `angle`."""
    with p.on(layer), p.frame(x, y, angle):
        p.fill(ellipse(0, 0, 0.050, 0.038, 16), shade(wear.skin, 0.62))
        p.fill(ellipse(0, 0, 0.045, 0.033, 16), wear.skin)
        along = (np.arange(3) - 1) * 0.022
        p.lines(np.stack([along, np.full(3, -0.022)], 1), np.stack([along, np.full(3, 0.022)], 1),
                shade(wear.skin, 0.72), 0.005)  # fmt: skip


def stick(p, start, end, head=0.0, color=(214, 176, 120), tip=(236, 226, 200), width=0.012):
    """A drumstick or mallet from the hand at `start` to its head at `end` (radius `head`), in front."""
    with p.on(FRONT):
        p.stroke([start, end], shade(color, 0.55), width + 0.006)
        p.stroke([start, end], color, width)
        if head:
            p.fill(ellipse(*end, head + 0.004, n=16), shade(tip, 0.5))
            p.fill(ellipse(*end, head, n=16), tip)
            p.fill(ellipse(end[0] - head * 0.3, end[1] - head * 0.3, head * 0.45, n=10), shade(tip, 1.5))


def bow(p, x, y, length, angle, phase, wear: Clothes):
    """A bow across the strings at (x, y), hair along `angle`, slid by `phase` (-1 to 1); returns its frog."""
    with p.on(FRONT), p.frame(x, y, angle):
        shift = 0.36 * length * phase
        a, b = shift - length / 2, shift + length / 2
        p.stroke([(a, 0.0), (b, 0.0)], (244, 240, 226), 0.008)
        wood = np.array([[a, -0.022], [a + 0.02, -0.026], [shift, -0.012], [b - 0.03, -0.026], [b, -0.002]])
        p.stroke(wood, (70, 30, 14), 0.012)
        p.stroke(moved(wood, 0, -0.002), (150, 74, 34), 0.005)
        frog = [[a + 0.03, -0.026], [a + 0.085, -0.024], [a + 0.085, 0.002], [a + 0.03, 0.002]]
        p.fill(frog, (28, 22, 22))
        return p.to_own_frame(a + 0.05, -0.015)
