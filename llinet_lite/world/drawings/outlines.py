"""Outlines of bodies and profiles of shells, and their blends: the continuous part of a drawing's shape.

A blend is a tuple of (name, share), as ``(("guitar", 0.7), ("gourd", 0.3))``.
Notebook: 00
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .parts import ellipse, smooth, symmetric

# Right halves of bodies seen from the front, length 1, from the neck (0, -1) to the end (0, 0)
HALVES = {
    "guitar": (
        (0, -1.0), (0.17, -0.995), (0.265, -0.93), (0.285, -0.82), (0.258, -0.70), (0.240, -0.62),
        (0.265, -0.52), (0.335, -0.41), (0.384, -0.27), (0.368, -0.12), (0.27, -0.02), (0.13, -0.003),
        (0, 0)),
    "teardrop": (
        (0, -1.0), (0.08, -0.985), (0.15, -0.90), (0.25, -0.74), (0.34, -0.54), (0.378, -0.34), (0.34, -0.15),
        (0.20, -0.025), (0, 0)),
    "gourd": (
        (0, -1.0), (0.13, -0.985), (0.20, -0.90), (0.34, -0.76), (0.46, -0.56), (0.475, -0.36), (0.40, -0.15),
        (0.22, -0.02), (0, 0)),
    "violin": (
        (0, -1), (0.12, -0.992), (0.205, -0.93), (0.238, -0.83), (0.226, -0.72), (0.195, -0.65),
        (0.222, -0.628), (0.226, -0.622), (0.165, -0.56), (0.150, -0.49), (0.178, -0.41), (0.250, -0.374),
        (0.252, -0.366), (0.236, -0.345), (0.280, -0.26), (0.296, -0.17), (0.262, -0.06), (0.15, -0.008),
        (0, 0)),
    "bass": (
        (0, -1.0), (0.050, -1.0), (0.072, -0.95), (0.130, -0.87), (0.200, -0.79), (0.238, -0.70),
        (0.232, -0.645), (0.220, -0.625), (0.232, -0.605), (0.180, -0.55), (0.168, -0.48), (0.196, -0.41),
        (0.262, -0.375), (0.255, -0.345), (0.300, -0.25), (0.318, -0.16), (0.285, -0.05), (0.16, -0.006),
        (0, 0)),
    "box": (
        (0, -1.0), (0.24, -1.0), (0.285, -0.985), (0.30, -0.94), (0.305, -0.5), (0.31, -0.06),
        (0.295, -0.015), (0.25, 0), (0, 0)),
    "triangle": (
        (0, -1.0), (0.045, -0.985), (0.09, -0.90), (0.23, -0.56), (0.36, -0.24), (0.44, -0.05), (0.43, -0.01),
        (0.38, 0), (0, 0)),
    "boat": (
        (0, -1.0), (0.07, -0.97), (0.13, -0.86), (0.185, -0.66), (0.205, -0.45), (0.19, -0.25), (0.14, -0.09),
        (0.07, -0.015), (0, 0)),
    "spade": (
        (0, -0.92), (0.10, -0.99), (0.24, -1.0), (0.37, -0.93), (0.43, -0.78), (0.40, -0.58), (0.30, -0.36),
        (0.17, -0.16), (0.07, -0.04), (0, 0)),
}  # fmt: skip

# Halves of shells seen from the side: radius at the mouth (y = 0) to the foot (y = 1)
SHELLS = {
    "cylinder": ((1, 0), (1, 0.25), (1, 0.5), (1, 0.75), (1, 1)),
    "barrel": ((1, 0), (1.16, 0.25), (1.22, 0.5), (1.14, 0.75), (0.96, 1)),
    "goblet": ((1, 0), (0.98, 0.28), (0.46, 0.52), (0.42, 0.72), (0.74, 1)),
    "hourglass": ((1, 0), (0.66, 0.28), (0.42, 0.5), (0.66, 0.72), (1, 1)),
    "kettle": ((1, 0), (0.98, 0.3), (0.88, 0.6), (0.62, 0.88), (0.22, 1)),
    "cone": ((1, 0), (0.88, 0.25), (0.76, 0.5), (0.64, 0.75), (0.52, 1)),
    # of bowls and bells
    "bowl": ((1.0, 0.0), (1.0, 0.16), (0.93, 0.48), (0.74, 0.78), (0.46, 0.95), (0.0, 1.0)),
    "cup": ((1.0, 0.0), (0.90, 0.22), (0.80, 0.5), (0.74, 0.8), (0.62, 0.98), (0.0, 1.0)),
    "dish": ((1.0, 0.0), (0.82, 0.2), (0.60, 0.42), (0.38, 0.72), (0.26, 1.0), (0.0, 1.0)),
    "pot": ((0.72, 0.0), (0.80, 0.12), (1.04, 0.42), (1.0, 0.72), (0.52, 0.99), (0.0, 1.0)),
}

# Right halves of hanging bells, height 1
BELLS = {
    "bell": (
        (0, -0.88), (0.11, -0.87), (0.20, -0.82), (0.255, -0.70), (0.275, -0.52), (0.305, -0.34),
        (0.36, -0.19), (0.44, -0.07), (0.50, -0.01), (0.47, 0.02), (0.25, 0.045), (0, 0.05)),
    "thimble": (
        (0, -0.88), (0.16, -0.875), (0.28, -0.84), (0.335, -0.72), (0.35, -0.52), (0.36, -0.34),
        (0.37, -0.19), (0.385, -0.07), (0.40, -0.01), (0.38, 0.02), (0.2, 0.045), (0, 0.05)),
    "dome": (
        (0, -0.80), (0.15, -0.785), (0.29, -0.73), (0.40, -0.61), (0.46, -0.46), (0.49, -0.31),
        (0.505, -0.19), (0.515, -0.07), (0.52, -0.01), (0.49, 0.02), (0.26, 0.045), (0, 0.05)),
    "tulip": (
        (0, -0.88), (0.08, -0.87), (0.17, -0.80), (0.30, -0.66), (0.37, -0.50), (0.36, -0.34),
        (0.32, -0.19), (0.36, -0.07), (0.45, -0.01), (0.42, 0.02), (0.22, 0.045), (0, 0.05)),
}  # fmt: skip


def _even(curve: np.ndarray, count: int) -> np.ndarray:
    """A curve (n, 2) read at `count` points of equal distance along it."""
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    at = np.linspace(0, way[-1], count)
    return np.stack([np.interp(at, way, curve[:, 0]), np.interp(at, way, curve[:, 1])], 1)


@lru_cache(maxsize=4096)
def body(blend: tuple, waist: float = 0.0) -> np.ndarray:
    """Closed outline (n, 2) of a body, length 1, from (0, -1) to (0, 0); `waist` takes in its middle."""
    if len(blend) == 1 and not waist:
        name = blend[0][0]
        return ellipse(0, -0.5, 0.5, n=44) if name == "round" else symmetric(HALVES[name], 4)
    half = np.zeros((40, 2))
    for name, share in blend:
        curve = smooth(HALVES[name], False, 4) if name != "round" else _half_round()
        half += share * _even(curve, 40)
    half[:, 0] *= 1 - waist * np.exp(-(((half[:, 1] + 0.56) / 0.15) ** 2))
    return symmetric(tuple(map(tuple, half.round(6))), 2)


def _half_round() -> np.ndarray:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 30)
    return np.stack([0.5 * np.cos(angle), 0.5 * np.sin(angle) - 0.5], 1)


@lru_cache(maxsize=1024)
def shell(blend: tuple) -> np.ndarray:
    """Right side (n, 2) of a shell or bowl from its mouth (x = 1, y = 0) down to y = 1."""
    points = sum(share * np.array(SHELLS[name], float) for name, share in blend)
    return smooth(tuple(map(tuple, points)), False, 5)


@lru_cache(maxsize=1024)
def bell(blend: tuple) -> np.ndarray:
    """Closed outline (n, 2) of a hanging bell, from y = -0.88 to 0.05."""
    points = sum(share * np.array(BELLS[name], float) for name, share in blend)
    return symmetric(tuple(map(tuple, points)), 4)


def polar(outline: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Points (k, 2) of an outline about (0, 0) at angles (radians)."""
    own = np.arctan2(outline[:, 1], outline[:, 0])
    radius = np.interp(angles, own, np.hypot(*outline.T), period=2 * np.pi)
    return np.stack([radius * np.cos(angles), radius * np.sin(angles)], 1)
