"""The player: a plain figure at human scale, with hands that hold, strike, pluck and bow.

All lengths are those of an adult (stature 1.75 m; a head is 0.23 m high, a
hand 0.10 m wide), so the instrument's size can be seen against them.

Notebook: 00
"""

from __future__ import annotations

import numpy as np

from .materials import hsv, mix, shade
from .painter import BEHIND, FRONT
from .parts import ellipse, ellipses, moved, smooth, taper

_SKINS = ((246, 212, 184), (226, 180, 144), (196, 142, 104), (150, 100, 70), (104, 68, 48))
_HAIRS = ((40, 30, 26), (78, 52, 34), (142, 96, 52), (206, 170, 104), (150, 146, 142))
_TORSO = smooth(((0.07, 0.0), (0.17, 0.035), (0.215, 0.11), (0.185, 0.30), (0.17, 0.56),
                 (-0.17, 0.56), (-0.185, 0.30), (-0.215, 0.11), (-0.17, 0.035), (-0.07, 0.0)),
                True, 3)  # fmt: skip


class Clothes:
    """Colours of one player, from the painter's look-variations."""

    def __init__(self, p):
        u = p.look
        self.skin = _SKINS[int(u[0] * len(_SKINS))]
        self.hair = _HAIRS[int(u[1] * len(_HAIRS))]
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
    p.stroke(
        [(nose, y - 0.002), (nose + 0.010 * (facing or 1), y + 0.030), (nose - 0.004, y + 0.033)], dark, 0.005
    )
    p.stroke([(nose - 0.022, y + 0.064), (nose + 0.022, y + 0.064)], mix(dark, (150, 40, 40), 0.4), 0.008)


def person(p, x, y, *, facing=0, lean=0.0, puff=0.0, legs="standing", torso=1.0):
    """Head (centre x, y), torso and legs of the player, on the layer behind.

    Parameters
    ----------
    p : Painter
    x, y : float
        Centre of the head, metres in the instrument's own frame.
    facing : int
        -1 looks to the left, 1 to the right, 0 at us.
    lean : float
        How far the hips are to the right of the head, metres.
    puff : float
        How far the cheeks are blown up, 0 to 1.
    legs : {"standing", "sitting", "crossed", "none"}
    torso : float
        Width of the torso (narrower when seen from the side).

    Returns
    -------
    Clothes
        The colours, for the arms.
    """
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
            p.stroke(
                [(x + side * 0.42, y + 0.06), (x - side * 0.10, y + 0.12)], shade(wear.trousers, 0.85), 0.12
            )


def arm(p, shoulder, hand, wear: Clothes, *, elbow=(0.0, 1.0), forearm=FRONT, upper=BEHIND, reach=0.57):
    """An arm of two links, together `reach` metres long, from a shoulder to a hand.

    `elbow` is the direction to which the elbow is bent (down, unless told).
    """
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
    """A hand whose palm is at (x, y) and whose fingers point along `angle` (radians, clockwise from +x).

    `lifted` is the number of the finger that is raised, None for none.
    """
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


def stick(p, start, end, head=0.0, colour=(214, 176, 120), tip=(236, 226, 200), width=0.012):
    """A drumstick or mallet from the hand at `start` to its head at `end` (radius `head`), in front."""
    with p.on(FRONT):
        p.stroke([start, end], shade(colour, 0.55), width + 0.006)
        p.stroke([start, end], colour, width)
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
        p.fill(
            np.array([[a + 0.03, -0.026], [a + 0.085, -0.024], [a + 0.085, 0.002], [a + 0.03, 0.002]]),
            (28, 22, 22),
        )
        return p.to_own_frame(a + 0.05, -0.015)
