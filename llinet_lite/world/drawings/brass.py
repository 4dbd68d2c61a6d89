"""Lip reeds: trumpet, french horn, shofar, didgeridoo.

Notebook: 00
"""

from __future__ import annotations

import numpy as np

from .materials import mix, shade
from .painter import BEHIND
from .parts import across, arc, bell_mouth, box, dome, ellipse, ellipses, knobs, ribbon, smooth, taper, tube
from .players import arm, fist, hand, person


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
    hand(
        p,
        right[0] - 0.045,
        right[1] - 0.012 + 0.010 * depth,
        wear,
        angle=0.25,
        lifted=number,
        fingers=3,
        spread=0.7,
    )


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
        tube(
            p,
            flare,
            wide * np.interp(at, [0, 0.4, 0.7, 0.88, 1], [0.022, 0.040, 0.085, 0.160, 0.255]) * s,
            brass,
            0.004,
        )
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
        centre = across(wave, y)
        tube(p, centre, wide * bulge, wood, 0.006, side=1)
        _painted_bands(p, y, wide * bulge / 2, wave)
        p.fill(ellipse(0, 0, 0.024, 0.016, 16), (60, 40, 24))
        with p.frame(wave[-1], length, 0):
            dome(p, ellipse(0, 0, wide * 0.78, 0.020, 16), p.finish("dark wood"), 0.004, levels=1)
        hold = p.to_own_frame(0.0, 0.30 * length)
    wear = person(
        p, -0.04, 0.0, facing=1, legs="crossed", puff=0.4 + 0.6 * p.energy * (0.6 + 0.4 * p.stroke_phase)
    )
    tap = 0.012 * p.stroke_phase * (p.energy > 0.02)
    arm(p, (0.16, 0.28), (hold[0], hold[1] + 0.06), wear, forearm=BEHIND)
    arm(p, (-0.22, 0.28), (hold[0] - 0.10, hold[1] + 0.04), wear)
    hand(p, hold[0] - 0.07, hold[1] + 0.015 + tap, wear, angle=0.1)


def _painted_bands(p, y, half, middle):
    """Earth-coloured bands with pale edges and dots round a tube of half-widths `half` along `y`."""
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
