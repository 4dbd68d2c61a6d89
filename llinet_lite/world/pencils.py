"""Pencils for the stage: anti-aliased shapes, colours and clouds on the unit square, y down."""

from __future__ import annotations

from colorsys import hsv_to_rgb

import cv2
import numpy as np

_SHIFT = 4  # fractional bits of the coordinates that are given to OpenCV


def polygon(canvas: np.ndarray, points: np.ndarray, colour: tuple) -> None:
    corners = np.round(np.asarray(points) * (canvas.shape[0] << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(canvas, corners, _scalar(colour), cv2.LINE_AA, _SHIFT)


def line(canvas: np.ndarray, start: tuple, end: tuple, width: float, colour: tuple) -> None:
    """Draw a bar; thinner than a pixel it is drawn a pixel wide."""
    (x0, y0), (x1, y1) = start, end
    half = max(width, 1 / canvas.shape[0]) / 2 / (np.hypot(x1 - x0, y1 - y0) + 1e-9)
    dx, dy = half * (y0 - y1), half * (x1 - x0)
    polygon(canvas, ((x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)), colour)


def disc(canvas: np.ndarray, centre: tuple, radius: float, colour: tuple) -> None:
    unit = canvas.shape[0] << _SHIFT
    at = (round(float(centre[0]) * unit), round(float(centre[1]) * unit))
    cv2.circle(canvas, at, round(radius * unit), _scalar(colour), -1, cv2.LINE_AA, _SHIFT)


def ellipse(canvas: np.ndarray, centre: tuple, axes: np.ndarray, degrees: float, colour: tuple) -> None:
    unit = canvas.shape[0] << _SHIFT
    at, radii = (int(centre[0] * unit), int(centre[1] * unit)), (int(axes[0] * unit), int(axes[1] * unit))
    cv2.ellipse(canvas, at, radii, degrees, 0, 360, _scalar(colour), -1, cv2.LINE_AA, _SHIFT)


def _scalar(colour: tuple) -> tuple:
    return tuple(float(c) for c in colour)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the pixels on the unit square: y as (size, 1), x as (1, size), float32."""
    ticks = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.repeat(ticks[:, None], size, 1), np.repeat(ticks[None], size, 0)


def wash(size: int, colour: tuple, rng: np.random.Generator, depth: float) -> np.ndarray:
    """Fill a canvas with one colour of uneven lightness."""
    uneven = 1 + depth * (fractal(size, rng, 3) - 0.5) * 2
    return np.clip(np.float32(colour) * uneven[..., None], 0, 255).astype(np.uint8)


def tent(value: np.ndarray) -> np.ndarray:
    """Distance to the nearest whole number."""
    return np.abs(value - np.round(value))


def hsv(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    return tuple(int(255 * c) for c in hsv_to_rgb(hue % 1, min(saturation, 1), min(value, 1)))


def any_colour(
    rng: np.random.Generator, dull: float, vivid: float, dark: float, bright: float
) -> tuple[int, int, int]:
    """Draw any hue; every second one is among those of wood and brass."""
    hue, saturation, value, warm = rng.random(4)
    hue = 0.05 + 0.09 * hue if warm < 0.5 else hue
    return hsv(hue, dull + (vivid - dull) * saturation, dark + (bright - dark) * value)


def any_tint(rng: np.random.Generator) -> np.ndarray:
    return np.float32(hsv_to_rgb(rng.random(), rng.uniform(0, 0.5), 1))


def shaded(colour: tuple, gain: float) -> tuple[int, int, int]:
    return tuple(int(min(255, c * gain)) for c in colour[:3])


def fractal(size: int, rng: np.random.Generator, octaves: int) -> np.ndarray:
    """Cloudy noise: white noise on grids of 4, 8, 16 ... cells, enlarged and summed.

    Returns
    -------
    (size, size) float32 array
        About 0 to 1.
    """
    total, weight = np.zeros((size, size), np.float32), 0.0
    for octave in range(octaves):
        cells = rng.random((4 << octave, 4 << octave), dtype=np.float32)
        total += 0.6**octave * cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
        weight += 0.6**octave
    return total / np.float32(weight)
