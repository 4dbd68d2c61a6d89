"""What a scene looks like apart from its instruments: backdrop, clutter, light and camera.

None of it depends on the instrument. Everything is laid out on the unit square (x to the right, y down) and
only then drawn at a size, so that a scene is the same image at 64 and at 512 pixels.
Notebook: 00
"""

from __future__ import annotations

from colorsys import hsv_to_rgb
from dataclasses import dataclass

import cv2
import numpy as np

BACKDROPS = ("room", "stage", "street", "foliage", "texture")
TEXTURES = ("bricks", "tiles", "stripes", "grain", "stone", "weave")
_SHIFT = 4  # fractional bits of the coordinates that are given to OpenCV


def polygon(canvas: np.ndarray, points: np.ndarray, color: tuple) -> None:
    corners = np.round(np.asarray(points) * (canvas.shape[0] << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(canvas, corners, tuple(map(float, color)), cv2.LINE_AA, _SHIFT)


def line(canvas: np.ndarray, start: tuple, end: tuple, width: float, color: tuple) -> None:
    """Draw a bar; thinner than a pixel it is drawn a pixel wide."""
    (x0, y0), (x1, y1) = start, end
    half = max(width, 1 / canvas.shape[0]) / 2 / (np.hypot(x1 - x0, y1 - y0) + 1e-9)
    dx, dy = half * (y0 - y1), half * (x1 - x0)
    polygon(canvas, ((x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)), color)


def disc(canvas: np.ndarray, center: tuple, radius: float, color: tuple) -> None:
    unit = canvas.shape[0] << _SHIFT
    at = (round(float(center[0]) * unit), round(float(center[1]) * unit))
    cv2.circle(canvas, at, round(radius * unit), tuple(map(float, color)), -1, cv2.LINE_AA, _SHIFT)


def ellipse(canvas: np.ndarray, center: tuple, axes: np.ndarray, degrees: float, color: tuple) -> None:
    unit = canvas.shape[0] << _SHIFT
    at, radii = (int(center[0] * unit), int(center[1] * unit)), (int(axes[0] * unit), int(axes[1] * unit))
    cv2.ellipse(canvas, at, radii, degrees, 0, 360, tuple(map(float, color)), -1, cv2.LINE_AA, _SHIFT)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Centers of the pixels on the unit square: y as (size, 1), x as (1, size), float32."""
    ticks = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.repeat(ticks[:, None], size, 1), np.repeat(ticks[None], size, 0)


def wash(size: int, color: tuple, rng: np.random.Generator, depth: float) -> np.ndarray:
    """Fill a canvas with one color of uneven lightness."""
    uneven = 1 + depth * (fractal(size, rng, 3) - 0.5) * 2
    return np.clip(np.float32(color) * uneven[..., None], 0, 255).astype(np.uint8)


def tent(value: np.ndarray) -> np.ndarray:
    """Distance to the nearest whole number."""
    return np.abs(value - np.round(value))


def hsv(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    return tuple(int(255 * c) for c in hsv_to_rgb(hue % 1, min(saturation, 1), min(value, 1)))


def any_color(rng: np.random.Generator, dull, vivid, dark, bright) -> tuple[int, int, int]:
    """Draw any hue; every second one is among those of wood and brass."""
    hue, saturation, value, warm = rng.random(4)
    hue = 0.05 + 0.09 * hue if warm < 0.5 else hue
    return hsv(hue, dull + (vivid - dull) * saturation, dark + (bright - dark) * value)


def any_tint(rng: np.random.Generator) -> np.ndarray:
    return np.float32(hsv_to_rgb(rng.random(), rng.uniform(0, 0.5), 1))


def shaded(color: tuple, gain: float) -> tuple[int, int, int]:
    return tuple(int(min(255, c * gain)) for c in color[:3])


def fractal(size: int, rng: np.random.Generator, octaves: int) -> np.ndarray:
    """Cloudy noise: white noise on grids of 4, 8, 16 ... cells, enlarged and summed."""
    total, weight = np.zeros((size, size), np.float32), 0.0
    for octave in range(octaves):
        cells = rng.random((4 << octave, 4 << octave), dtype=np.float32)
        total += 0.6**octave * cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
        weight += 0.6**octave
    return total / np.float32(weight)


# ---------------------------------------------------------------- backdrops


def backdrop(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Paint what is behind everything else, (size, size, 3) uint8 RGB; the same at every size."""
    return np.ascontiguousarray(_PAINTERS[kind](size, rng))


def _room(size: int, rng: np.random.Generator) -> np.ndarray:
    wall, floor = any_color(rng, 0.05, 0.45, 0.35, 0.95), any_color(rng, 0.1, 0.5, 0.2, 0.7)
    horizon, vanish = rng.uniform(0.55, 0.85), rng.uniform(0.2, 0.8)
    canvas = wash(size, wall, rng, 0.12)
    if rng.random() < 0.3:  # wallpaper
        for x in np.arange(0, 1, rng.uniform(0.05, 0.15)):
            polygon(canvas, box(x, 0, x + 0.02, horizon), shaded(wall, 0.85))
    polygon(canvas, box(0, horizon, 1, 1), floor)
    for x in np.linspace(-1.5, 2.5, int(rng.integers(9, 24))):  # boards, in perspective
        line(canvas, (vanish + 0.35 * (x - vanish), horizon), (x, 1), 0.004, shaded(floor, 0.75))
    polygon(canvas, box(0, horizon - 0.03, 1, horizon), shaded(wall, rng.choice([0.6, 1.3])))
    for _ in range(rng.integers(0, 4)):
        x, y, w, h = rng.uniform((0, 0.02, 0.12, 0.12), (0.85, 0.4, 0.4, 0.4))
        polygon(canvas, box(x, y, x + w, y + h), any_color(rng, 0.1, 0.7, 0.15, 0.7))
        inner = box(x + 0.02, y + 0.02, x + w - 0.02, y + h - 0.02)
        polygon(canvas, inner, any_color(rng, 0, 0.6, 0.3, 1))
        if rng.random() < 0.5:  # a window, or a shelf with its books
            line(canvas, (x + w / 2, y), (x + w / 2, y + h), 0.012, shaded(wall, 0.6))
        else:
            for left in np.arange(x + 0.02, x + w - 0.03, 0.03):
                top = y + h - 0.02 - rng.uniform(0.3, 0.8) * (h - 0.04)
                book = box(left, top, left + 0.024, y + h - 0.02)
                polygon(canvas, book, any_color(rng, 0.2, 0.8, 0.2, 0.9))
    return canvas


def _stage(size: int, rng: np.random.Generator) -> np.ndarray:
    y, x = grid(size)
    curtain, floor = any_color(rng, 0.3, 0.95, 0.15, 0.6), any_color(rng, 0.2, 0.6, 0.15, 0.5)
    folds, phase, horizon = rng.uniform(15, 60), rng.uniform(0, 6.3), rng.uniform(0.65, 0.92)
    wave = 0.75 + 0.25 * np.sin(folds * x + phase + 2 * np.sin(5 * x + phase))
    canvas = np.where((y < horizon)[..., None], np.float32(curtain) * wave[..., None], np.float32(floor))
    light = np.full((size, size, 1), rng.uniform(0.35, 0.9), np.float32)
    for _ in range(rng.integers(1, 4)):  # spotlights: cones from above
        source, aim, width = rng.uniform(-0.2, 1.2), rng.uniform(0, 1), rng.uniform(0.08, 0.3)
        off = np.abs(x - (source + (aim - source) * (y + 0.1))) / (width * (y + 0.15))
        light = light + (rng.uniform(0.3, 0.9) * np.exp(-(off**4)))[..., None] * any_tint(rng)
    canvas = np.clip(canvas * light, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(0, 5)):  # the lamps themselves
        at, radius = rng.uniform((0, 0), (1, 0.15)), rng.uniform(0.01, 0.035)
        disc(canvas, at, radius, shaded(any_tint(rng) * 230, 1.1))
    return canvas


def _street(size: int, rng: np.random.Generator) -> np.ndarray:
    hue = rng.choice((0.08, 0.58)) + rng.uniform(-0.06, 0.06)
    sky = hsv(hue, rng.uniform(0.05, 0.6), rng.uniform(0.4, 1))
    ground = any_color(rng, 0, 0.2, 0.25, 0.6)
    canvas, horizon, left = wash(size, sky, rng, 0.25), rng.uniform(0.6, 0.85), -0.1
    while left < 1:
        width, top = rng.uniform(0.12, 0.4), rng.uniform(0, 0.45)
        house, pane = any_color(rng, 0.05, 0.6, 0.25, 0.9), any_color(rng, 0, 0.5, 0.15, 1)
        polygon(canvas, box(left, top, left + width, horizon), house)
        step, rise = rng.uniform(0.045, 0.09), rng.uniform(0.06, 0.12)
        for u in np.arange(left + 0.02, left + width - 0.03, step):
            for v in np.arange(top + 0.03, horizon - 0.05, rise):
                polygon(canvas, box(u, v, u + 0.55 * step, v + 0.6 * rise), pane)
        left += width
    polygon(canvas, box(0, horizon, 1, 1), ground)
    for y in horizon + (1 - horizon) * np.linspace(0.15, 1, 4) ** 2:
        line(canvas, (0, y), (1, y), 0.003, shaded(ground, 0.8))
    for _ in range(rng.integers(0, 4)):  # posts and passers-by
        x, h = rng.uniform(0, 1), rng.uniform(0.25, 0.6)
        color = any_color(rng, 0, 0.6, 0.05, 0.5)
        line(canvas, (x, horizon + 0.05), (x, horizon + 0.05 - h), rng.uniform(0.01, 0.05), color)
        disc(canvas, (x, horizon + 0.05 - h), 0.035, color)
    return canvas


def _foliage(size: int, rng: np.random.Generator) -> np.ndarray:
    hue = rng.uniform(0.08, 0.42)
    canvas = wash(size, hsv(hue, rng.uniform(0.2, 0.7), rng.uniform(0.15, 0.9)), rng, 0.6)
    scale = rng.uniform(0.6, 1.6)
    for x, y, length, slim, turn, shade, drift in rng.random((int(140 / scale), 7)):
        axes = scale * np.array([0.02 + 0.06 * length, 0.008 + 0.02 * slim])
        color = hsv(hue + 0.08 * (drift - 0.5), 0.35 + 0.4 * slim, 0.15 + 0.7 * shade)
        ellipse(canvas, (x, y), axes, 360 * turn, color)
    for _ in range(rng.integers(0, 4)):  # stems and trunks
        x, lean = rng.uniform(0, 1), rng.uniform(-0.2, 0.2)
        line(canvas, (x, 0), (x + lean, 1), rng.uniform(0.005, 0.07), hsv(0.08, 0.4, rng.uniform(0.1, 0.5)))
    for x, y, bright in rng.random((25, 3)):
        disc(canvas, (x, y), 0.012 + 0.01 * bright, hsv(hue, 0.3, 0.5 + 0.5 * bright))
    return canvas


def _texture(size: int, rng: np.random.Generator) -> np.ndarray:
    kind, (y, x) = rng.choice(TEXTURES), grid(size)
    one, two = np.float32(any_color(rng, 0, 0.7, 0.2, 0.95)), np.float32(any_color(rng, 0, 0.7, 0.2, 0.95))
    turn, pitch = rng.uniform(0, np.pi), rng.uniform(8, 30)
    u, v = pitch * (x * np.cos(turn) + y * np.sin(turn)), pitch * (y * np.cos(turn) - x * np.sin(turn))
    rough = fractal(size, rng, 5)
    if kind == "bricks":
        row = np.floor(y * pitch)
        edge = np.minimum(tent(y * pitch), 2 * tent(x * pitch / 2.4 + 0.5 * (row % 2)))
        mix = np.clip(6 * edge, 0, 1) * (0.7 + 0.6 * rough)
    elif kind == "tiles":
        mix = np.clip(0.5 + 6 * np.sin(np.pi * u) * np.sin(np.pi * v), 0, 1) * (0.8 + 0.4 * rough)
    elif kind == "stripes":
        mix = np.clip(0.5 + 3 * np.sin(u), 0, 1) * (0.85 + 0.3 * rough)
    elif kind == "grain":
        mix = 0.5 + 0.5 * np.sin(3 * u + 18 * rough + 0.1 * v)
    elif kind == "stone":
        mix = np.clip(2.2 * rough - 0.6, 0, 1)
    else:
        mix = 0.5 + 0.25 * (np.sin(2 * u) + np.sin(2 * v)) + 0.3 * (rough - 0.5)
    mix = mix[..., None].astype(np.float32)
    return np.clip(two + (one - two) * mix, 0, 255).astype(np.uint8)


_PAINTERS = {"room": _room, "stage": _stage, "street": _street, "foliage": _foliage, "texture": _texture}


# ------------------------------------------------------------------ clutter

# Things on a unit square about (0, 0): ("poly", corners, shade), ("disc", center, radius, shade),
# ("line", end, end, width, shade). Forms and colors are those of instruments' parts, none is an instrument.
THINGS = {
    "ball": (("disc", (0, 0), 0.4, 1.0), ("disc", (-0.12, -0.14), 0.14, 1.35)),
    "crate": (("poly", ((-0.5, -0.3), (0.5, -0.3), (0.5, 0.4), (-0.5, 0.4)), 1.0),
              ("line", (-0.5, -0.07), (0.5, -0.07), 0.04, 0.7),
              ("line", (-0.5, 0.17), (0.5, 0.17), 0.04, 0.7)),
    "pipe": (("line", (-0.5, 0), (0.5, 0), 0.12, 1.0), ("line", (-0.5, -0.02), (0.5, -0.02), 0.03, 1.4)),
    "bottle": (("poly", ((-0.15, -0.1), (0.15, -0.1), (0.17, 0.5), (-0.17, 0.5)), 1.0),
               ("poly", ((-0.06, -0.5), (0.06, -0.5), (0.07, -0.2), (-0.07, -0.2)), 0.9),
               ("poly", ((-0.07, -0.21), (0.07, -0.21), (0.15, -0.09), (-0.15, -0.09)), 0.9),
               ("poly", ((-0.15, 0.08), (0.15, 0.08), (0.15, 0.3), (-0.15, 0.3)), 1.5)),
    "lamp": (("line", (0, 0.5), (0, -0.2), 0.04, 0.5),
             ("poly", ((-0.14, -0.5), (0.14, -0.5), (0.3, -0.1), (-0.3, -0.1)), 1.3),
             ("poly", ((-0.2, 0.46), (0.2, 0.46), (0.2, 0.5), (-0.2, 0.5)), 0.5)),
    "chair": (("line", (-0.25, -0.5), (-0.25, 0.5), 0.06, 0.8),
              ("line", (0.25, 0.05), (0.25, 0.5), 0.06, 0.8),
              ("poly", ((-0.3, 0), (0.3, 0), (0.3, 0.1), (-0.3, 0.1)), 1.0),
              ("line", (-0.25, -0.4), (0.1, -0.4), 0.07, 1.1)),
    "stand": (("line", (0, -0.4), (0, 0.3), 0.03, 0.8), ("line", (0, 0.3), (-0.25, 0.5), 0.03, 0.8),
              ("line", (0, 0.3), (0.25, 0.5), 0.03, 0.8), ("disc", (0, -0.43), 0.07, 1.1)),
    "plant": (*(("line", (0, 0.2), (0.4 * x, -0.5 + abs(x) * 0.35), 0.07, 0.8 + 0.3 * x)
                for x in (-1, -0.5, 0, 0.6, 1)),
              ("poly", ((-0.2, 0.15), (0.2, 0.15), (0.14, 0.5), (-0.14, 0.5)), 1.3)),
    "ring": (("disc", (0, 0), 0.42, 1.0), ("disc", (0, 0), 0.3, 0.55), ("disc", (0, 0), 0.27, 0.75)),
    "book": (("poly", ((-0.35, -0.25), (0.35, -0.25), (0.35, 0.25), (-0.35, 0.25)), 1.0),
             ("poly", ((-0.28, -0.1), (0.28, -0.1), (0.28, 0), (-0.28, 0)), 1.5)),
}  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """A piece of clutter."""

    kind: str  # one of THINGS
    x: float  # center and side, canvas sides
    y: float
    scale: float
    angle: float  # turn, radians
    color: tuple[int, int, int]
    front: bool  # before the instruments, or behind them


def clutter(rng: np.random.Generator, poses) -> tuple[Thing, ...]:
    """Up to three things behind the instruments and one before them, over no more than their ends."""
    things = []
    for front in [False] * int(rng.integers(0, 4)) + [True] * int(rng.integers(0, 2)):
        x, y, angle = rng.uniform((0, 0, -0.6), (1, 1, 0.6))
        scale = float(0.08 * (3.0 if front else 4.5) ** rng.random())
        kind = str(rng.choice(tuple(THINGS)))
        color = any_color(rng, 0.1, 0.9, 0.2, 0.9)
        if not front or all(np.hypot(x - p.x, y - p.y) >= 0.48 * (p.scale + scale) for p in poses):
            things.append(Thing(kind, float(x), float(y), scale, float(angle), color, front))
    return tuple(things)


def put(canvas: np.ndarray, thing: Thing) -> None:
    """Draw a thing, in place, onto an RGB canvas, or onto RGBA zeros, whose alpha then is its cover."""
    cos, sin = thing.scale * np.cos(thing.angle), thing.scale * np.sin(thing.angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    for form, *where, shade in THINGS[thing.kind]:
        color = (*shaded(thing.color, shade), 255)
        if form == "poly":
            polygon(canvas, np.array(where[0]) @ turn + (thing.x, thing.y), color)
        elif form == "disc":
            disc(canvas, np.array(where[0]) @ turn + (thing.x, thing.y), where[1] * thing.scale, color)
        else:
            ends = np.array(where[:2]) @ turn + (thing.x, thing.y)
            line(canvas, ends[0], ends[1], where[2] * thing.scale, color)


# ------------------------------------------------------------------- camera


@dataclass(frozen=True)
class Camera:
    """Light and camera of a scene."""

    exposure: float  # gain, 0.7 to 1.25
    cast: tuple[float, float, float]  # gain of red, green and blue, 0.85 to 1.15
    slope: tuple[float, float]  # gradient of the light along x and y, per canvas side, -0.35 to 0.35
    vignette: float  # loss of light in the corners, 0 to 0.4
    blur: float  # standard deviation, canvas sides, 0 to 0.005
    noise: float  # standard deviation of the sensor noise, gray levels, 1 to 5
    quality: int  # of the JPEG, 60 to 95


def camera(rng: np.random.Generator) -> Camera:
    """Draw a camera; independent of what is before it."""
    return Camera(
        exposure=float(rng.uniform(0.7, 1.25)),
        cast=tuple(float(g) for g in rng.uniform(0.85, 1.15, size=3)),
        slope=tuple(float(g) for g in rng.uniform(-0.35, 0.35, size=2)),
        vignette=float(rng.uniform(0, 0.4)),
        blur=float(0.005 * rng.random() ** 2),
        noise=float(5 ** rng.random()),
        quality=int(rng.integers(60, 96)),
    )


def light(eye: Camera, size: int) -> np.ndarray:
    """Gain of every pixel: exposure, color cast, gradient and vignette; (size, size, 3) float32."""
    y, x = grid(size)
    plane = 1 + eye.slope[0] * (x - 0.5) + eye.slope[1] * (y - 0.5)
    plane = plane - eye.vignette * 2 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    return plane[..., None] * (eye.exposure * np.float32(eye.cast))


def develop(picture: np.ndarray, eye: Camera, gain: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Take the picture: light, blur, sensor noise, JPEG."""
    lit = picture * gain
    if (sigma := eye.blur * picture.shape[0]) > 0.2:
        lit = cv2.GaussianBlur(lit, (0, 0), sigma)
    noise = rng.standard_normal((*picture.shape[:2], 1), dtype=np.float32)
    grain = rng.standard_normal((picture.shape[0] // 2, picture.shape[1] // 2, 3), dtype=np.float32)
    coarse = cv2.resize(grain, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    lit += eye.noise * (0.8 * noise + 0.6 * coarse)
    sensor = np.clip(lit, 0, 255).astype(np.uint8)[..., ::-1]  # BGR, as OpenCV's codecs take it
    packed = cv2.imencode(".jpg", sensor, (cv2.IMWRITE_JPEG_QUALITY, eye.quality))[1]
    return cv2.cvtColor(cv2.imdecode(packed, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def blend(canvas: np.ndarray, layer: np.ndarray) -> None:
    """Lay a straight-alpha RGBA layer over an RGB canvas, in place; both (n, n, .) uint8."""
    rows = np.flatnonzero(layer[..., 3].any(axis=1))
    if rows.size:
        part = slice(rows[0], rows[-1] + 1)
        alpha = layer[part, :, 3:].astype(np.int16)
        under = canvas[part].astype(np.int16)
        gap = (layer[part, :, :3] - under).astype(np.int32) * alpha
        canvas[part] = (under + (gap + 127) // 255).astype(np.uint8)
