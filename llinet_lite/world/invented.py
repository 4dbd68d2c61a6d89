"""Invented instruments: rows drawn from the space of attributes, hybrids included.

A row is a way to build an instrument (:data:`SPACE`) with an exciter, a material, a size and a count that
would work; register, decay and brightness follow from these as they do for real instruments. Two rules keep
what a zero-shot test asks out of what is trained on: no row comes nearer to a named unseen class than that
class's nearest seen class is, and no two rows come nearer to each other than :data:`APART`, so none of a test
set is a copy of one in a training set. :func:`~llinet_lite.world.instruments.distance` measures both.
Notebook: 06
"""

# ruff: noqa: E501, RUF005 - tables, one row per way to build

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from .instruments import SEEN, UNSEEN, Blend, Instrument, Shape, coordinates

APART = 0.06  # least distance between two invented rows
# exciter: share of the rows
_MIX = {
    "plucked": 0.18, "struck": 0.22, "bowed": 0.16, "lip reed": 0.11, "single reed": 0.09, "air jet": 0.10,
    "free reed": 0.10, "bag": 0.04,
}  # fmt: skip

_FRONTS = ("guitar", "teardrop", "gourd", "round", "box", "triangle", "boat", "spade", "violin")
_ENDS = ("trapezoid", "box", "wedge", "wing", "boat")
_SHELLS = ("cylinder", "barrel", "goblet", "hourglass", "kettle", "cone")
_BOWLS, _BELLS = ("bowl", "cup", "dish", "pot"), ("bell", "thimble", "dome", "tulip")
_TIMBER = ("wood", "dark wood", "cane", "bone", "gourd", "clay", "brass", "silver", "steel")
_HARD = ("wood", "dark wood", "cane", "bone", "glass", "clay", "brass", "silver", "steel")
_METAL, _RINGING = ("brass", "silver", "steel"), ("brass", "silver", "steel", "glass", "clay")
_TUBES = ("wood", "dark wood", "cane", "bone", "glass", "gourd", "clay", "brass", "silver")


class Ranges(NamedTuple):
    """What may be drawn for one way to build an instrument."""

    share: float  # how often it is drawn among those of one exciter
    exciters: tuple[str, ...]
    resonators: tuple[str, ...]
    materials: tuple[str, ...]
    length: tuple[float, float]  # m
    parts: tuple[int, int]
    outlines: tuple[str, ...] = ()
    vary: dict[str, tuple] = {}  # noqa: RUF012 - other fields of Shape and their choices; never changed


_NECK = {"body": (0.34, 0.42, 0.50, 0.58), "neck": ((0.036, 0.044), (0.048, 0.058)), "waist": (0.0, 0.0, 0.2, 0.35),
         "frets": (0, 12, 18), "tilt": (0.8, 1.05, 1.2), "legs": ("standing", "sitting")}  # fmt: skip
_COURSE = {"bend": (-2.6, -1.2, 0.0, 0.0, 1.2, 2.6), "coils": (0.0, 0.0, 0.0, 1.0, 2.0), "sway": (0.0, 0.0, 0.5, 1.0),
           "flare": (0.0, 0.3, 0.6, 1.0)}  # fmt: skip
_STRUM, _NECKS = ("plucked", "bowed"), ("neck and box",)
# fmt: off
SPACE = {
    "flat top": Ranges(3, _STRUM, _NECKS, _TIMBER, (0.5, 1.3), (3, 8), _FRONTS, _NECK),
    "carved top": Ranges(2, _STRUM, _NECKS, _TIMBER, (0.5, 1.2), (6, 10), _FRONTS, _NECK),
    "skin": Ranges(3, _STRUM, ("neck and membrane",), _TIMBER, (0.5, 1.3), (2, 6), _FRONTS, _NECK),
    "gourd": Ranges(2, _STRUM, _NECKS, _TIMBER, (0.7, 1.4), (3, 8), _FRONTS, _NECK | {"frets": (0, 10, 16)}),
    "fiddle": Ranges(3, ("bowed", "plucked"), _NECKS, _TIMBER, (0.5, 1.7), (2, 6), _FRONTS, _NECK),
    "board": Ranges(3, ("plucked", "bowed", "struck"), ("box and strings",), _TIMBER, (0.5, 1.3), (8, 24), _ENDS,
                    {"depth": (0.7, 1.0, 1.4), "frets": (0, 1)}),
    "lyre": Ranges(3, _STRUM, ("frame and strings",), _TIMBER, (0.5, 1.1), (4, 10), _FRONTS,
                   {"body": (0.36, 0.46, 0.56), "waist": (0.0, 0.0, 0.3), "under": ("wood", "skin")}),
    "bow harp": Ranges(2, ("plucked",), ("frame and strings",), _TIMBER, (0.7, 1.5), (6, 16), _FRONTS,
                       {"bend": (0.0, 1.0, 2.0), "depth": (0.6, 0.9, 1.2), "under": ("gourds", "wood")}),
    "bars": Ranges(6, ("struck", "bowed"), ("bar",), _HARD, (0.5, 1.6), (7, 17), (),
                   {"under": ("tubes", "gourds", "box", "")}),
    "tongues": Ranges(2, ("plucked",), ("bar",), _METAL + ("cane", "wood", "bone"), (0.16, 0.34), (5, 11), _FRONTS,
                      {"under": ("gourds", "wood"), "waist": (0.0, 0.25)}),
    "hung tubes": Ranges(2, ("struck",), ("tube bell",), _RINGING + ("cane", "wood"), (0.4, 1.1), (4, 12), (),
                         {"bend": (0.0, 1.0)}),
    "hung plates": Ranges(3, ("struck", "bowed"), ("plate",), _RINGING, (0.4, 1.1), (1, 4),
                          ("round", "box", "triangle", "spade", "gourd", "boat"), {"depth": (0.5, 1.0), "waist": (0.0, 0.3)}),
    "bell": Ranges(2, ("struck",), ("bowl",), _RINGING + ("wood", "bone"), (0.2, 0.6), (1, 1), _BELLS),
    "bowl": Ranges(3, ("struck", "bowed"), ("bowl",), _RINGING + ("wood", "gourd"), (0.12, 0.4), (1, 1), _BOWLS,
                   {"depth": (0.6, 1.0, 1.5)}),
    "shells": Ranges(4, ("struck",), ("membrane",), _TIMBER, (0.25, 0.9), (1, 4), _SHELLS,
                     {"depth": (0.4, 0.8, 1.3, 2.0), "hands": (False, True)}),
    "pan": Ranges(2, ("struck",), ("pan",), _METAL, (0.4, 0.8), (5, 12), (), {"depth": (0.4, 1.0, 2.0, 3.0), "hands": (False, True)}),
    "pipe": Ranges(6, ("lip reed", "single reed", "air jet", "free reed"), ("cylindrical tube", "conical tube"), _TUBES,
                   (0.35, 1.6), (4, 14), (), _COURSE | {"stops": ("keys", "holes", "valves", "")}),
    "keyed pipe": Ranges(1, ("single reed",), ("cylindrical tube",), _TUBES, (0.45, 0.9), (12, 18), (), {"stops": ("keys",)}),
    "cross pipe": Ranges(1, ("air jet",), ("cylindrical tube",), _TUBES, (0.45, 0.9), (12, 18), (), {"stops": ("keys",)}),
    "hooked pipe": Ranges(1, ("single reed",), ("conical tube",), _TUBES, (0.5, 1.0), (12, 22), (), {"stops": ("keys",)}),
    "looped pipe": Ranges(0.6, ("lip reed",), ("cylindrical tube",), _TUBES, (0.35, 0.8), (3, 3), (), {"stops": ("valves",)}),
    "harp": Ranges(1, ("plucked",), ("frame and strings",), _TIMBER, (0.9, 1.7), (10, 24)),
    "raft": Ranges(2, ("air jet", "free reed"), ("cylindrical tube",), _TUBES, (0.2, 0.7), (5, 14), (),
                   {"bend": (0.0, 1.0), "under": ("gourds", "wood")}),
    "vessel": Ranges(2, ("air jet",), ("bowl",), _TUBES, (0.18, 0.45), (4, 10), _FRONTS,
                     {"depth": (0.8, 1.0), "waist": (0.0, 0.3)}),
    "bag": Ranges(2, ("bag",), ("conical tube", "cylindrical tube"), _TUBES, (0.6, 1.1), (2, 4), _FRONTS,
                  {"waist": (0.0, 0.2), "under": ("cloth", "skin"), "stops": ("holes",)}),
    "comb": Ranges(1, ("free reed",), ("reed bank",), _HARD, (0.08, 0.22), (8, 16), (), {"depth": (0.8, 1.4, 2.0)}),
    "bellows": Ranges(2, ("free reed",), ("reed bank",), _HARD, (0.25, 0.6), (10, 24), (),
                      {"stops": ("keys", "buttons"), "depth": (0.7, 1.0, 1.3)}),
    "case": Ranges(1, ("struck",), ("box and strings",), ("wood", "dark wood", "cane", "steel"), (0.7, 1.6), (10, 24), (),
                   {"depth": (0.7, 1.0, 1.2)}),
}

# resonator: length (m) at which it sounds a pitch (MIDI) in the middle of its register, and half its range
_REGISTERS = {
    "neck and box": (1.0, 58, 16), "neck and membrane": (0.95, 63, 15),
    "frame and strings": (1.0, 65, 15), "box and strings": (0.9, 63, 18), "bar": (1.0, 72, 15),
    "tube bell": (0.6, 86, 9), "membrane": (0.4, 50, 7), "plate": (0.7, 46, 7), "bowl": (0.3, 69, 8),
    "cylindrical tube": (0.66, 68, 14), "conical tube": (0.66, 64, 14), "reed bank": (0.3, 70, 14), "pan": (0.6, 73, 13),
}
# resonator: time to -60 dB of a middle note, s, when made of wood (strings, skins) or of steel
_DECAYS = {
    "neck and box": 1.4, "neck and membrane": 0.7, "frame and strings": 2.3, "box and strings": 2.2,
    "membrane": 0.6, "bar": 2.4, "tube bell": 4.0, "plate": 4.5, "bowl": 4.5, "pan": 1.2,
}
# material: brightness, and how long what is made of it rings: strings and skins on it, itself if it is struck
_MATTER = {
    "wood": (0.45, 1.0, 0.26), "dark wood": (0.38, 1.15, 0.32), "cane": (0.60, 0.8, 0.18), "bone": (0.68, 0.9, 0.22),
    "gourd": (0.30, 0.75, 0.16), "clay": (0.22, 0.85, 0.40), "glass": (0.85, 1.1, 0.62), "brass": (0.58, 1.3, 1.1),
    "silver": (0.72, 1.4, 0.9), "steel": (0.82, 1.6, 1.0), "skin": (0.6, 0.8, 0.3),
}
# fmt: on
_ITSELF = ("bar", "tube bell", "plate", "bowl", "pan")


@lru_cache(maxsize=8)
def invented(count: int, seed: int = 0) -> tuple[Instrument, ...]:
    """Invent instruments that no one has built, each to be seen and heard.

    Parameters
    ----------
    count : int
        How many; the first of them do not depend on it.
    seed : int
        Another seed gives other instruments.

    Returns
    -------
    tuple of Instrument
        Named "inv-0000", "inv-0001", ...; to be given to :func:`~llinet_lite.world.clip` in place of a name.

    Examples
    --------
    >>> [row.exciter for row in invented(3)] == [row.exciter for row in invented(5)][:3]
    True
    """
    rng, rows = np.random.default_rng([seed, 20]), []
    places = np.zeros((count, len(coordinates(SEEN[0]))))
    for k in range(count):
        exciter = str(rng.choice(list(_MIX), p=list(_MIX.values())))
        for _ in range(5000):
            row = _draw(f"inv-{k:04d}", exciter, rng)
            at = coordinates(row)
            if np.all(np.linalg.norm(places[:k] - at, axis=1) >= APART) and not gives_away(row):
                break
        else:
            raise ValueError(f"no room for {count} invented instruments {APART} apart: ask for at most {k}")
        places[k] = at
        rows.append(row)
    return tuple(rows)


@cache
def _guards() -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the named unseen classes, and the distance of each to its nearest seen class."""
    unseen, seen = (np.array([coordinates(row) for row in rows]) for rows in (UNSEEN, SEEN))
    return unseen, np.linalg.norm(unseen[:, None] - seen[None], axis=2).min(axis=1)


def gives_away(row: Instrument) -> bool:
    """True if a row is nearer to a named unseen class than that class's nearest seen class is."""
    unseen, radius = _guards()
    return bool((np.linalg.norm(unseen - coordinates(row), axis=1) < radius).any())


def _draw(name: str, exciter: str, rng: np.random.Generator) -> Instrument:
    """A row that would work, whatever it is near to."""
    shares = {way: ranges.share for way, ranges in SPACE.items() if exciter in ranges.exciters}
    way = str(rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values())))
    ranges = SPACE[way]
    resonator, material = str(rng.choice(ranges.resonators)), str(rng.choice(ranges.materials))
    low, high = np.log(ranges.length)
    length = round(float(np.exp(rng.uniform(low, high))), 3)
    parts = int(rng.integers(ranges.parts[0], ranges.parts[1] + 1))
    chosen = {key: values[rng.integers(len(values))] for key, values in ranges.vary.items()}
    outline = _blend(ranges.outlines, rng) if ranges.outlines else ()
    if chosen.get("coils"):
        chosen.update(bend=0.0, sway=0.0)
    if way == "pipe" and (chosen["stops"] == "valves") != (exciter == "lip reed" and chosen["coils"] > 0):
        chosen["stops"] = "holes" if exciter != "lip reed" else ""
    if way == "raft" and exciter == "air jet":  # no cup to hold reeds
        chosen["under"] = ""
    if way == "pipe" and not chosen["stops"]:
        parts = 1
    shape = Shape(way, outline, **chosen)
    return Instrument(name, True, 0, family_path(name, exciter, resonator), exciter, resonator, material, length,
                      *_sound(exciter, resonator, material, length, parts, shape, rng), parts, shape)  # fmt: skip


def _blend(names: tuple[str, ...], rng: np.random.Generator) -> Blend:
    """One outline, or two in equal or unequal shares."""
    one, two = (str(name) for name in rng.choice(names, 2, replace=False))
    share = (1.0, 0.7, 0.5)[rng.integers(3)]
    return ((one, 1.0),) if share == 1.0 else ((one, share), (two, round(1 - share, 1)))


def _sound(exciter, resonator, material, length, parts, shape, rng) -> tuple[int, int, float, float]:
    """Register, decay and brightness that follow from what an instrument is."""
    reference, middle, half = _REGISTERS[resonator]
    own = length / parts**0.5 if resonator in ("membrane", "plate") else length
    middle += -15.0 * np.log2(own / reference) - 5.0 * shape.coils + rng.uniform(-1.5, 1.5)
    middle -= 4.0 * np.log2(shape.depth)  # a deeper body is lower
    middle += 10.0 * (exciter == "air jet") - 6.0 * (exciter == "lip reed" and parts == 1)
    middle = float(np.clip(middle, 36 + half / 2, 92 - half / 2))
    bright, over, itself = _MATTER[material]
    decay = 0.0
    if exciter in ("plucked", "struck"):
        decay = _DECAYS[resonator] * (itself if resonator in _ITSELF else over)
        decay *= rng.uniform(0.85, 1.2) * (own / reference) ** 0.3 * (0.5 if shape.under == "skin" else 1.0)
    brightness = bright + {"bowed": 0.05, "lip reed": 0.2, "air jet": -0.15, "bag": 0.15}.get(exciter, 0.0)
    brightness += 0.15 * (shape.flare - 0.5) * (exciter == "lip reed")  # a wide bell lets the highs out
    brightness += rng.uniform(-0.05, 0.05) - 0.12 * shape.hands
    return (round(middle - half), round(middle + half), round(max(decay, 0.25 * (decay > 0)), 2),
            round(float(np.clip(brightness, 0.08, 0.95)), 2))  # fmt: skip


# exciter: node of the AudioSet ontology, or a new one beside it
_BRANCHES = {
    "plucked": "Plucked string instrument", "bowed": "Bowed string instrument", "struck": "Percussion",
    "lip reed": "Brass instrument", "single reed": "Wind instrument, woodwind instrument",
    "air jet": "Wind instrument, woodwind instrument", "free reed": "Free reed", "bag": "Bag",
}  # fmt: skip


def family_path(name: str, exciter: str, resonator: str) -> tuple[str, ...]:
    """Place of an invented class in the family tree: its exciter, then its resonator."""
    branch = _BRANCHES[exciter]
    return ("Musical instrument", branch, f"{branch}: {exciter}, {resonator}", name)
