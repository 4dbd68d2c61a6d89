"""Colour by material: what an individual's brightness, wear and hue do to its finish.

Notebook: 00
"""

from __future__ import annotations

import colorsys
from functools import lru_cache
from typing import NamedTuple

Colour = tuple[int, int, int]

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
    # fittings that no instrument is made of as a whole
    "ebony": (25, 0.25, 0.16, 0.40),
    "ivory": (45, 0.08, 0.96, 0.30),
    "felt": (350, 0.70, 0.55, 0.00),
}


class Finish(NamedTuple):
    """The tones of one surface, RGB 0..255.

    Attributes
    ----------
    base, light, dark, line, glint : tuple of int
        The surface, its lit side, its shaded side, its outline, its highlight.
    """

    base: Colour
    light: Colour
    dark: Colour
    line: Colour
    glint: Colour


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Colour between `a` (share 0) and `b` (share 1)."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))


def shade(colour: Colour, factor: float) -> Colour:
    """A darker (factor < 1) or lighter (factor > 1) version of a colour."""
    if factor <= 1:
        return tuple(round(x * factor) for x in colour)
    return mix(colour, (255, 255, 255), min(factor - 1, 1))


def hsv(hue: float, saturation: float, value: float) -> Colour:
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
    """Tones of a material on one individual.

    Parameters
    ----------
    material : str
        A member of MATERIALS, or "ebony", "ivory", "felt".
    individual : Individual
        Its `brightness` lightens and polishes, its `wear` fades, its `hue`
        turns the hue by up to 6 degrees.
    fitting : bool
        A fitting (keys, pegs) takes the wear but neither brightness nor hue.

    Raises
    ------
    ValueError
        If the material is unknown; the message lists the known ones.
    """
    if material not in _PALETTE:
        raise ValueError(f"no colours for the material {material!r}; known are {', '.join(_PALETTE)}")
    if fitting:
        return _finish(material, 0.5, 0.7 * individual.wear, 0.0)
    return _finish(material, individual.brightness, individual.wear, individual.hue)
