"""A small display-list painter: shapes in meters in, anti-aliased RGBA layers out; and colors by material.

A drawing calls :meth:`Painter.fill`, :meth:`Painter.stroke` and :meth:`Painter.lines` with points in meters
in the instrument's own frame (x to the right, y downwards). Nothing is rasterized before
:meth:`Painter.render`, so the extent of the instrument is known exactly when it is placed, and all points go
through one matrix product. Anti-aliasing is 2 x 2 supersampling of shapes whose edges OpenCV has already
smoothed; colors are blended premultiplied and returned straight.
Notebook: 00
"""

from __future__ import annotations

import colorsys
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

BEHIND, INSTRUMENT, FRONT = range(3)
_OVERSAMPLE = 2
_BITS = 4  # fractional bits of OpenCV's fixed-point coordinates
_FAINTEST = 0.4  # opacity of the thinnest line

Color = tuple[int, int, int]

# material: hue in degrees, saturation, value, shine (0 matt to 1 mirror)
_PALETTE = {
    "wood": (29, 0.70, 0.76, 0.45),
    "dark wood": (14, 0.62, 0.36, 0.50),
    "brass": (45, 0.72, 0.88, 0.95),
    "silver": (205, 0.06, 0.84, 1.00),
    "steel": (214, 0.34, 0.62, 0.90),
    "skin": (42, 0.17, 0.92, 0.15),
    "bone": (40, 0.42, 0.78, 0.30),
    "cane": (19, 0.80, 0.66, 0.50),
    "glass": (166, 0.50, 0.80, 1.00),
    "gourd": (62, 0.56, 0.56, 0.20),
    "clay": (13, 0.58, 0.66, 0.05),
    # fittings that no instrument is made of as a whole
    "ebony": (25, 0.25, 0.16, 0.40),
    "ivory": (45, 0.08, 0.96, 0.30),
    "felt": (350, 0.70, 0.55, 0.00),
}


class Finish(NamedTuple):
    """The tones of one surface, RGB 0..255."""

    base: Color
    light: Color  # its lit side
    dark: Color  # its shaded side
    line: Color  # its outline
    glint: Color  # its highlight


def mix(a: Color, b: Color, share: float) -> Color:
    """Color between `a` (share 0) and `b` (share 1)."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))


def shade(color: Color, factor: float) -> Color:
    """A darker (factor < 1) or lighter (factor > 1) version of a color."""
    if factor <= 1:
        return tuple(round(x * factor) for x in color)
    return mix(color, (255, 255, 255), min(factor - 1, 1))


def hsv(hue: float, saturation: float, value: float) -> Color:
    """RGB 0..255 from hue in degrees, saturation and value in [0, 1] (clipped)."""
    rgb = colorsys.hsv_to_rgb((hue / 360) % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    return tuple(round(255 * x) for x in rgb)


@lru_cache(maxsize=4096)
def _finish(material: str, brightness: float, wear: float, hue: float) -> Finish:
    h, s, v, shine = _PALETTE[material]
    h += 6 * hue
    v *= 0.76 + 0.42 * brightness
    s *= (1.12 - 0.28 * brightness) * (1 - 0.35 * wear)
    v += 0.12 * wear * (0.55 - v)
    base = hsv(h, s, v)
    gloss = shine * (0.55 + 0.45 * brightness) * (1 - 0.5 * wear)
    return Finish(
        base=base,
        light=mix(base, (255, 252, 240), 0.16 + 0.24 * gloss),
        dark=hsv(h - 4, min(s * 1.12, 1), v * (0.68 - 0.10 * gloss)),
        line=hsv(h - 6, min(s * 1.1, 1), v * 0.42),
        glint=mix(base, (255, 255, 250), 0.35 + 0.55 * gloss),
    )


def finish(material: str, individual, fitting: bool = False) -> Finish:
    """Tones of a material on one individual; a fitting (keys, pegs) takes only the wear."""
    if fitting:
        return _finish(material, 0.5, 0.7 * individual.wear, 0.0)
    return _finish(material, individual.brightness, individual.wear, individual.hue)


class Layers(NamedTuple):
    """The three layers of a drawing, each (H, W, 4) uint8, straight-alpha RGBA on the whole canvas."""

    instrument: np.ndarray  # the instrument and nothing else: its alpha is the exact mask
    front: np.ndarray  # what is before it: hands, bow, mallets
    behind: np.ndarray  # the player behind it


class Painter:
    """Record the shapes of one individual at one moment, then rasterize them."""

    def __init__(self, individual, motion, rng):
        self.individual, self.row = individual, individual.instrument
        self.shape, self.length = self.row.shape, individual.length
        self.stout = individual.size**0.4  # a bigger specimen's width grows faster than its length
        self.stroke_phase = float(np.clip(motion.stroke, -1.0, 1.0))
        self.energy = float(np.clip(motion.energy, 0.0, 1.0))
        self.look = rng.random(24)  # look-variations: skin, hair, clothes, accents
        self._blotches = rng.standard_normal((5, 5)).astype(np.float32)
        self._scratches = rng.random((14, 4))
        self._layer, self._moves, self._frame = INSTRUMENT, False, None
        self._ops, self._points = [], []
        self._low, self._high = np.full(2, np.inf), np.full(2, -np.inf)
        self.body = finish(self.row.material, individual)

    def finish(self, material: str) -> Finish:
        """Finish of a fitting: worn like the instrument, of middling brightness."""
        return finish(material, self.individual, fitting=True)

    @property
    def parts(self) -> int:
        """Strings, bars, tubes, ... to be counted."""
        return self.row.parts

    @property
    def lift(self) -> float:
        """How far the striking or plucking hand is off the instrument, 0 (contact) to 1."""
        return 0.5 * (self.stroke_phase + 1.0)

    @contextmanager
    def _set(self, name: str, value):
        before = getattr(self, name)
        setattr(self, name, value)
        yield
        setattr(self, name, before)

    def on(self, layer: int):
        """Send the shapes of the block to a layer: BEHIND, INSTRUMENT or FRONT."""
        return self._set("_layer", layer)

    def moving(self):
        """Shapes of the block move: they do not count for the instrument's extent."""
        return self._set("_moves", True)

    def frame(self, x: float = 0.0, y: float = 0.0, angle: float = 0.0):
        """Local coordinates: turned clockwise by `angle` (radians), then moved to (x, y)."""
        c, s = np.cos(angle), np.sin(angle)
        local = np.array([[c, -s, x], [s, c, y], [0.0, 0.0, 1.0]])
        return self._set("_frame", local if self._frame is None else self._frame @ local)

    def to_own_frame(self, x: float, y: float) -> tuple[float, float]:
        """Coordinates of a local point in the instrument's own frame, meters."""
        if self._frame is None:
            return x, y
        m = self._frame
        return (m[0, 0] * x + m[0, 1] * y + m[0, 2], m[1, 0] * x + m[1, 1] * y + m[1, 2])

    def _add(self, kind, points, color, width=0.0, closed=False):
        points = np.asarray(points, dtype=float)
        if points.ndim == 2:
            points = points[None]
        k, n, _ = points.shape
        points = points.reshape(k * n, 2)
        if self._frame is not None:
            points = points @ self._frame[:2, :2].T + self._frame[:2, 2]
        if self._layer == INSTRUMENT and not self._moves:
            self._low = np.minimum(self._low, points.min(axis=0) - width / 2)
            self._high = np.maximum(self._high, points.max(axis=0) + width / 2)
        self._ops.append((self._layer, kind, k, n, color, width, closed))
        self._points.append(points)

    def fill(self, points, color):
        """Filled polygon(s): points (n, 2), or (k, n, 2) for k that do not overlap; meters."""
        self._add("fill", points, color)

    def stroke(self, points, color, width, closed=False):
        """Line(s) of a width in meters through points (n, 2) or (k, n, 2)."""
        self._add("line", points, color, width, closed)

    def span(self, low, high):
        """Count the rectangle from `low` to `high`, each (x, y), for the instrument's extent."""
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)

    def lines(self, starts, ends, color, width):
        """Straight lines from each of `starts` to each of `ends`, both (k, 2), meters."""
        self._add("line", np.stack([np.asarray(starts, float), np.asarray(ends, float)], 1), color, width)

    @property
    def extent(self) -> tuple[np.ndarray, float]:
        """Center (2,) and longest side of the instrument at rest in its own frame, meters."""
        return 0.5 * (self._low + self._high), float((self._high - self._low).max())

    def render(self, pose, pixels: int) -> Layers:
        """Place the recorded shapes and rasterize them."""
        center, longest = self.extent
        zoom = pose.scale * pixels * _OVERSAMPLE / longest  # supersampled pixels per metre
        c, s = zoom * np.cos(pose.angle), zoom * np.sin(pose.angle)
        flip = -1.0 if pose.mirrored else 1.0
        turn = np.array([[flip * c, -s], [flip * s, c]])
        place = np.array([pose.x, pose.y]) * (pixels * _OVERSAMPLE) - 0.5
        points = (np.concatenate(self._points) - center) @ turn.T + place
        fixed = np.rint(np.clip(points, -3e4, 3e4) * (1 << _BITS)).astype(np.int32)
        side = pixels * _OVERSAMPLE
        canvases = [np.zeros((side, side, 4), np.uint8) for _ in range(3)]
        first = 0
        for layer, kind, k, n, color, width, closed in self._ops:
            block = list(fixed[first : first + k * n].reshape(k, n, 2))
            first += k * n
            self._raster(canvases[layer], kind, block, color, width * zoom, closed)
        owner = np.repeat([op[0] for op in self._ops], [op[2] * op[3] for op in self._ops])
        broad = [max((op[5] for op in self._ops if op[0] == layer), default=0.0) for layer in range(3)]
        windows = [_window(fixed[owner == layer], broad[layer] * zoom, side) for layer in range(3)]
        self._scratch(canvases[INSTRUMENT], windows[INSTRUMENT], pose)
        behind, instrument, front = map(_straight, canvases, windows)
        self._weather(instrument, pose)
        if self.row.material in _TEXTURES:
            self._texture(instrument, pose)
        return Layers(instrument=instrument, front=front, behind=behind)

    @staticmethod
    def _raster(canvas, kind, block, color, width, closed):
        rgba, thickness = (*color, 255), round(width)
        if kind == "fill":
            cv2.fillPoly(canvas, block, rgba, cv2.LINE_AA, _BITS)
        elif width < 0.75:
            _hairline(canvas, block, rgba, max(width, _FAINTEST), closed)
        elif thickness <= 1:
            cv2.polylines(canvas, block, closed, rgba, 1, cv2.LINE_AA, _BITS)
        else:  # OpenCV smooths thick lines slowly; supersampling alone smooths these
            cv2.polylines(canvas, block, closed, rgba, thickness, cv2.LINE_8, _BITS)

    def _scratch(self, canvas, window, pose):
        """Scratches of a worn instrument, inside its silhouette only."""
        side = canvas.shape[0]
        count = round(self.individual.wear * len(self._scratches))
        part = canvas[window]
        if not count or part.size == 0:
            return
        alpha = part[:, :, 3].copy()
        reach = 0.5 * pose.scale * side
        corner = np.array([pose.x * side - window[1].start, pose.y * side - window[0].start])
        start = (self._scratches[:count, :2] * 2 - 1) * reach + corner
        step = (self._scratches[:count, 2:] - 0.5) * 0.22 * reach
        ends = np.rint(np.stack([start, start + step], 1) * (1 << _BITS)).astype(np.int32)
        half = count // 2
        cv2.polylines(part, list(ends[:half]), False, (*self.body.light, 255), 1, cv2.LINE_AA, _BITS)
        cv2.polylines(part, list(ends[half:]), False, (*self.body.dark, 255), 1, cv2.LINE_AA, _BITS)
        cv2.min(part, cv2.merge((alpha, alpha, alpha, alpha)), dst=part)  # never outside the silhouette

    def _weather(self, image, pose):
        """Light from above left, and the blotches of age, over the instrument's colors."""
        pixels = image.shape[0]
        reach = 0.75 * pose.scale * pixels
        x0, y0 = round(pose.x * pixels - reach), round(pose.y * pixels - reach)
        x1, y1 = x0 + max(round(2 * reach), 2), y0 + max(round(2 * reach), 2)
        ramp = np.linspace(1.0, -1.0, 5, dtype=np.float32)
        field = 1.0 + 0.07 * (ramp[:, None] + 0.7 * ramp[None, :])
        field += (0.02 + 0.06 * self.individual.wear) * self._blotches
        grid = np.full((5, 5, 4), 128, np.uint8)
        grid[:, :, :3] = np.clip(128 * field, 70, 200)[:, :, None]
        top, left = max(y0, 0), max(x0, 0)
        part = image[top : max(y1, 0), left : max(x1, 0)]
        if part.size == 0:
            return
        gain = cv2.resize(grid, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
        gain = gain[top - y0 : top - y0 + part.shape[0], left - x0 : left - x0 + part.shape[1]]
        part[...] = cv2.multiply(part, np.ascontiguousarray(gain), scale=1 / 128)

    def _texture(self, image, pose):
        """Mottles of a gourd, rings of a potter's wheel, streaks of light in glass; colors only."""
        y, x = np.mgrid[-1:1:28j, -1:1:28j].astype(np.float32)
        one, two, three = (6.28 * float(u) for u in self.look[10:13])
        u, v = x + 0.15 * np.sin(3 * y + one), y + 0.15 * np.sin(4 * x + two)
        field = _TEXTURES[self.row.material](u, v, three)
        grid = np.clip(128 * (1 + field), 40, 255).astype(np.uint8)
        pixels = image.shape[0]
        side = max(round(1.5 * pose.scale * pixels), 2)
        at = round(pose.x * pixels - side / 2), round(pose.y * pixels - side / 2)
        shift = np.array([[side / 28, 0, at[0]], [0, side / 28, at[1]]], np.float32)
        gain = cv2.warpAffine(grid, shift, (pixels, pixels), flags=cv2.INTER_LINEAR, borderValue=128)
        image[:, :, :3] = cv2.multiply(image[:, :, :3], cv2.merge((gain, gain, gain)), scale=1 / 128)


_TEXTURES = {
    "gourd": lambda x, y, phase: -0.34 * (np.sin(9 * x + phase) * np.sin(8 * y - phase) > 0.35),
    "clay": lambda x, y, phase: 0.13 * np.sin(26 * y + phase) - 0.28 * (np.abs(y - 0.2) < 0.09),
    "glass": lambda x, y, phase: (
        0.45 * (np.sin(7 * x + 3.5 * y + phase) > 0.8) - 0.12 * np.sin(5 * x - 4 * y)
    ),
}


def _hairline(canvas, block, rgba, opacity, closed):
    """Lines thinner than a supersampled pixel: one pixel wide, but faint."""
    x, y, w, h = cv2.boundingRect(np.concatenate(block) >> _BITS)
    side = canvas.shape[0]
    left, top = min(max(x - 2, 0), side), min(max(y - 2, 0), side)
    part = canvas[top : max(y + h + 2, 0), left : max(x + w + 2, 0)]
    if part.size == 0:
        return
    drawn = part.copy()
    corner = np.array([left, top], np.int32) << _BITS
    cv2.polylines(drawn, [line - corner for line in block], closed, rgba, 1, cv2.LINE_AA, _BITS)
    cv2.addWeighted(drawn, opacity, part, 1.0 - opacity, 0.0, dst=part)


def _window(fixed, width, side):
    """Rows and columns of a supersampled canvas that fixed-point points and their line widths touch."""
    if not len(fixed):
        return slice(0, 0), slice(0, 0)
    pad = int(width / 2) + 3
    low = (fixed.min(axis=0) >> _BITS) - pad
    high = (fixed.max(axis=0) >> _BITS) + pad + 1
    x0, y0 = (np.clip(low, 0, side) // _OVERSAMPLE * _OVERSAMPLE).tolist()
    x1, y1 = (-(-np.clip(high, 0, side) // _OVERSAMPLE) * _OVERSAMPLE).tolist()
    return slice(y0, max(y1, y0)), slice(x0, max(x1, x0))


def _straight(canvas: np.ndarray, window) -> np.ndarray:
    """Premultiplied supersampled (2H, 2W, 4) to straight (H, W, 4), uint8; empty outside the window."""
    pixels = canvas.shape[0] // _OVERSAMPLE
    image = np.zeros((pixels, pixels, 4), np.uint8)
    part = canvas[window]
    if part.size == 0:
        return image
    size = (part.shape[1] // _OVERSAMPLE, part.shape[0] // _OVERSAMPLE)
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    alpha = small[:, :, 3].copy()
    opaque = np.full_like(alpha, 255)
    y, x = window[0].start // _OVERSAMPLE, window[1].start // _OVERSAMPLE
    straight = cv2.divide(small, cv2.merge((alpha, alpha, alpha, opaque)), scale=255)
    image[y : y + size[1], x : x + size[0]] = straight
    return image
