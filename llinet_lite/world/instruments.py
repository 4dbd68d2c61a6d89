"""The 32 instruments of Bandstand-32: one row of physical attributes, and of shape, per class.

The voice (:mod:`~llinet_lite.world.voices`) and the drawing (:mod:`~llinet_lite.world.drawings`) of an
instrument are both computed from its row and from one :class:`Individual`, the specimen that is played and
seen. That common cause is all that a network can learn here: an unseen class is a new combination of
attributes that seen classes show one by one.

Classes, the 24 / 8 split and the class counts are those of INSTRUMENT-32CLASS (Look, Listen and Infer, ACM MM
2020). The counts were read off its bar chart, exact to one clip; violin is rounded down so that the totals
are the published 2,857 and 747.
Notebook: 00
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np

EXCITERS = ("plucked", "bowed", "struck", "lip reed", "single reed", "free reed", "air jet", "bag")
RESONATORS = (
    "neck and box", "neck and membrane", "solid body", "frame and strings", "box and strings", "bar", "tube bell",
    "membrane", "plate", "bowl", "cylindrical tube", "conical tube", "reed bank", "pan",
)  # fmt: skip
MATERIALS = (
    "wood", "dark wood", "brass", "silver", "steel", "skin", "bone", "cane", "glass", "gourd", "clay",
)  # fmt: skip


Blend = tuple[tuple[str, float], ...]  # names of outlines and their shares, which sum to 1


@dataclass(frozen=True)
class Shape:
    """How a class is built: construction and proportions, as they are seen."""

    build: str  # how its parts are joined, a key of drawings.BUILDS
    outline: Blend = ()  # of body, board, shell, bowl or bell, from drawings.outlines
    waist: float = 0.0  # taken in at the middle of the outline, share of its width
    depth: float = 1.0  # height of a shell, bowl, case or board over the usual
    body: float = 0.5  # length of the body over that of the whole, strings on a neck
    neck: tuple[float, float] = (0.045, 0.055)  # its width at the nut and at the body, m
    frets: int = 0
    tilt: float = 1.1  # of the neck from upright, radians
    legs: str = "standing"  # of who plays a neck: standing, sitting or crossed
    under: str = "tubes"  # what is under bars or strings: tubes, gourds, box, skin, ... or nothing
    bend: float = 0.0  # turn of a tube from mouth to bell, radians
    coils: float = 0.0  # full turns in the middle of a tube
    sway: float = 0.0  # a tube's waves to both sides, radians
    flare: float = 0.0  # how far its bell opens, 0 to 1
    stops: str = ""  # what the fingers move: keys, buttons, holes, valves or nothing
    hands: bool = False  # beaten with bare hands, which is heard as well


@dataclass(frozen=True)
class Instrument:
    """One class of instrument and the physical attributes that make it."""

    name: str  # lower case, as in INSTRUMENT-32CLASS
    seen: bool  # True for the 24 training classes, False for the 8 zero-shot classes
    count: int  # clips of the class in the full-size data set (train or zero-shot test)
    family: tuple[str, ...]  # path in the AudioSet ontology from "Musical instrument" to the class
    exciter: str  # what starts the vibration, one of EXCITERS
    resonator: str  # what vibrates, one of RESONATORS
    material: str  # what it is made of, one of MATERIALS
    length: float  # of a typical specimen, m
    low: int  # register, MIDI note numbers (69 is A4, 440 Hz)
    high: int
    decay: float  # time to -60 dB of a middle note, s; 0 for a sustained sound
    brightness: float  # share of energy in the high partials, 0 (dull) to 1 (piercing)
    parts: int  # strings, bars, tubes, reeds, skins or pans that can be counted
    shape: Shape

    @property
    def label(self) -> int:
        """Position in INSTRUMENTS, 0 to 31."""
        return _LABELS[self.name]


_PLUCKED, _BOWED = ("Plucked string instrument",), ("Bowed string instrument",)
_WINDS, _BRASS = ("Wind instrument, woodwind instrument",), ("Brass instrument",)
_DRUMS, _MALLETS = ("Percussion",), ("Percussion", "Mallet percussion")
_GUITARS, _SKINS, _KEYBOARD = (*_PLUCKED, "Guitar"), (*_DRUMS, "Drum"), ("Keyboard (musical)",)

# name, seen, count, family, exciter, resonator, material, length m, low, high, decay s, brightness, parts, shape
# fmt: off
_ROWS = (
    ("accordion",       1, 150, (),          "free reed",   "reed bank",         "dark wood", 0.45, 53, 84, 0.0, 0.60, 20,
     Shape("bellows", stops="keys")),
    ("bagpipes",        1, 149, (),          "bag",         "conical tube",      "dark wood", 0.80, 65, 81, 0.0, 0.85,  4,
     Shape("bag", stops="holes")),
    ("banjo",           1, 150, _PLUCKED,    "plucked",     "neck and membrane", "skin",      0.95, 50, 81, 0.7, 0.85,  5,
     Shape("skin", (("round", 1.0),), body=0.30, neck=(0.036, 0.046), frets=20, tilt=1.08)),
    ("bell",            1, 115, (),          "struck",      "bowl",              "brass",     0.40, 67, 84, 3.5, 0.60,  1,
     Shape("bell", (("bell", 1.0),))),
    ("cello",           1,  98, _BOWED,      "bowed",       "neck and box",      "wood",      1.20, 36, 69, 0.0, 0.45,  4,
     Shape("fiddle", (("violin", 1.0),), body=0.62, neck=(0.050, 0.078))),
    ("chime",           1,  52, ("Bell",),   "struck",      "tube bell",         "silver",    0.60, 79, 98, 4.0, 0.80,  8,
     Shape("hung tubes")),
    ("clarinet",        1, 100, _WINDS,      "single reed", "cylindrical tube",  "dark wood", 0.66, 52, 84, 0.0, 0.40, 17,
     Shape("keyed pipe", stops="keys", flare=0.4)),
    ("drum",            1,  88, _DRUMS,      "struck",      "membrane",          "skin",      0.40, 41, 53, 0.5, 0.45,  1,
     Shape("snare", (("cylinder", 1.0),))),
    ("flute",           1, 150, _WINDS,      "air jet",     "cylindrical tube",  "silver",    0.67, 62, 93, 0.0, 0.20, 16,
     Shape("cross pipe", stops="keys")),
    ("gong",            1, 115, _DRUMS,      "struck",      "plate",             "brass",     0.80, 36, 48, 5.0, 0.55,  1,
     Shape("hung plates", (("round", 1.0),))),
    ("guitar",          1, 150, _PLUCKED,    "plucked",     "neck and box",      "wood",      1.00, 40, 76, 1.8, 0.45,  6,
     Shape("flat top", (("guitar", 1.0),), body=0.49, neck=(0.052, 0.060), frets=19, tilt=1.12, legs="sitting")),
    ("harmonica",       1, 150, (),          "free reed",   "reed bank",         "silver",    0.10, 60, 91, 0.0, 0.75, 10,
     Shape("comb", stops="holes")),
    ("harp",            1, 150, (),          "plucked",     "frame and strings", "wood",      1.70, 36, 91, 2.5, 0.30, 22,
     Shape("harp")),
    ("mandolin",        1, 150, _PLUCKED,    "plucked",     "neck and box",      "dark wood", 0.62, 55, 88, 0.8, 0.70,  8,
     Shape("carved top", (("teardrop", 1.0),), body=0.53, neck=(0.032, 0.040), frets=17, tilt=1.10)),
    ("marimba",         1,  81, _MALLETS,    "struck",      "bar",               "wood",      1.50, 45, 84, 0.6, 0.25, 13,
     Shape("bars")),
    ("piano",           1, 150, _KEYBOARD,   "struck",      "box and strings",   "dark wood", 1.50, 33, 88, 2.8, 0.45, 21,
     Shape("case", stops="keys")),
    ("saxophone",       1, 101, _WINDS,      "single reed", "conical tube",      "brass",     0.70, 49, 80, 0.0, 0.70, 20,
     Shape("hooked pipe", bend=2.6, flare=0.8, stops="keys")),
    ("singing bowl",    1, 118, (),          "struck",      "bowl",              "brass",     0.22, 57, 72, 6.0, 0.20,  1,
     Shape("bowl", (("bowl", 1.0),))),
    ("sitar",           1,  93, _PLUCKED,    "plucked",     "neck and box",      "cane",      1.20, 48, 79, 2.2, 0.85,  7,
     Shape("gourd", (("gourd", 1.0),), body=0.31, neck=(0.072, 0.090), frets=17, tilt=0.72, legs="crossed")),
    ("steel pan",       1, 100, _MALLETS,    "struck",      "pan",               "silver",    0.60, 60, 86, 0.9, 0.55,  9,
     Shape("pan")),
    ("trumpet",         1, 123, _BRASS,      "lip reed",    "cylindrical tube",  "brass",     0.50, 54, 84, 0.0, 0.80,  3,
     Shape("looped pipe", coils=1.0, flare=0.9, stops="valves")),
    ("ukulele",         1, 146, _PLUCKED,    "plucked",     "neck and box",      "wood",      0.55, 60, 84, 0.6, 0.35,  4,
     Shape("flat top", (("guitar", 1.0),), body=0.455, neck=(0.036, 0.042), frets=12, tilt=1.05)),
    ("violin",          1, 126, _BOWED,      "bowed",       "neck and box",      "wood",      0.60, 55, 93, 0.0, 0.65,  4,
     Shape("fiddle", (("violin", 1.0),), body=0.595, neck=(0.029, 0.045))),
    ("zither",          1,  52, _PLUCKED,    "plucked",     "box and strings",   "wood",      0.70, 45, 86, 2.4, 0.70, 24,
     Shape("board", (("zither", 1.0),), frets=22)),
    ("didgeridoo",      0, 150, (),          "lip reed",    "cylindrical tube",  "wood",      1.40, 34, 42, 0.0, 0.35,  1,
     Shape("painted pipe")),
    ("double bass",     0,  70, _BOWED,      "bowed",       "neck and box",      "dark wood", 1.90, 28, 55, 0.0, 0.30,  4,
     Shape("fiddle", (("bass", 1.0),), body=0.60, neck=(0.060, 0.093))),
    ("electric guitar", 0, 113, _GUITARS,    "plucked",     "solid body",        "steel",     1.00, 40, 79, 3.0, 0.75,  6,
     Shape("solid", body=0.45, neck=(0.044, 0.056), frets=21, tilt=1.02)),
    ("french horn",     0,  77, _BRASS,      "lip reed",    "conical tube",      "brass",     0.60, 41, 74, 0.0, 0.35,  3,
     Shape("coiled pipe", coils=2.0, flare=1.0, stops="valves")),
    ("glockenspiel",    0,  54, _MALLETS,    "struck",      "bar",               "steel",     0.60, 79, 103, 2.0, 0.75, 13,
     Shape("chest")),
    ("shofar",          0,  62, (),          "lip reed",    "conical tube",      "bone",      0.50, 55, 74, 0.0, 0.65,  1,
     Shape("ridged horn", bend=-1.3, flare=0.2)),
    ("steel guitar",    0, 150, _GUITARS,    "plucked",     "box and strings",   "steel",     0.85, 45, 79, 3.2, 0.55,  8,
     Shape("console", frets=18)),
    ("tabla",           0,  71, _SKINS,      "struck",      "membrane",          "skin",      0.45, 43, 65, 0.9, 0.35,  2,
     Shape("pair", (("kettle", 1.0),), hands=True)),
)
# fmt: on

# Names of the ontology's leaves where they differ from INSTRUMENT-32CLASS
ONTOLOGY_NAMES = {
    "marimba": "Marimba, xylophone",
    "steel pan": "Steelpan",
    "violin": "Violin, fiddle",
    "steel guitar": "Steel guitar, slide guitar",
}


def _row(name, seen, count, family, *rest) -> Instrument:
    path = ("Musical instrument", *family, ONTOLOGY_NAMES.get(name, name.capitalize()))
    return Instrument(name, bool(seen), count, path, *rest)


INSTRUMENTS: tuple[Instrument, ...] = tuple(_row(*row) for row in _ROWS)
_LABELS = {row.name: i for i, row in enumerate(INSTRUMENTS)}
SEEN = tuple(row for row in INSTRUMENTS if row.seen)
UNSEEN = tuple(row for row in INSTRUMENTS if not row.seen)


# Groups of what is alike, for the distance
_KINDS = {
    **dict.fromkeys(("neck and box", "neck and membrane", "solid body"), "neck"),
    **dict.fromkeys(("frame and strings", "box and strings"), "strings"),
    **dict.fromkeys(("bar", "tube bell", "plate", "bowl", "pan"), "solid"),
    **dict.fromkeys(("cylindrical tube", "conical tube"), "tube"),
    **dict.fromkeys(("lip reed", "single reed", "free reed", "air jet", "bag"), "blown"),
    **dict.fromkeys(("brass", "silver", "steel"), "metal"),
    **dict.fromkeys(("wood", "dark wood", "cane", "gourd"), "plant"),
}


def _corners(known: tuple[str, ...], own: float, kind: float) -> dict[str, list[float]]:
    """A point for every value, so that two are `own` apart, and `kind` more (in squares) if of another kind."""
    kinds = sorted({_KINDS.get(name, name) for name in known})
    return {
        value: [own * 0.5**0.5 * (value == name) for name in known]
        + [kind * 0.5**0.5 * (_KINDS.get(value, value) == name) for name in kinds]
        for value in known
    }


_EXCITER_AT, _RESONATOR_AT = _corners(EXCITERS, 1.0, 1.0), _corners(RESONATORS, 0.5, 1.2)
_MATERIAL_AT = _corners(MATERIALS, 0.6, 0.3)


def coordinates(row: Instrument) -> np.ndarray:
    """A class as a point, so that :func:`distance` is Euclidean: see there for what counts how much."""
    return np.array([
        *_EXCITER_AT[row.exciter], *_RESONATOR_AT[row.resonator], *_MATERIAL_AT[row.material],
        0.25 * np.log2(row.length), (row.low + row.high) / 144, 0.15 * np.log2(0.1 + row.decay),
        0.7 * row.brightness, 0.12 * np.log2(row.parts),
    ])  # fmt: skip


def distance(a: Instrument, b: Instrument) -> float:
    """How far apart two classes are in what causes picture and sound.

    The root of the sum of squares of: 1 if the exciters differ, and 1 more if they are of another kind
    (plucked, bowed, struck, blown); 0.5 and 1.2 for the resonators (strings on a neck, other strings, solids
    that ring, skins, tubes, reeds, pans); 0.6 and 0.3 for the materials (metals, plants, others); per octave
    0.25 of length, 1/6 of register, 0.15 of decay, 0.12 of parts; and 0.7 times the brightness.
    """
    return float(np.linalg.norm(coordinates(a) - coordinates(b)))


def form(row: Instrument) -> tuple:
    """What decides the structure that is seen: not color, size or count. Two rows of one form look alike."""
    s = row.shape
    bins = (round(s.bend), round(2 * s.coils), round(2 * s.sway), round(2 * s.flare), round(2 * s.depth),
            round(10 * s.body) if s.neck else 0, round(4 * s.waist))  # fmt: skip
    return (row.exciter, row.resonator, s.build, s.outline, s.under, s.stops, s.hands, *bins)


def plain_name(name: str) -> str:
    """Lower case, one space between words."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def instrument(name: str | Instrument) -> Instrument:
    """Look a class up by name, or take a row as it is; case, spaces, hyphens and underscores do not matter.

    Raises
    ------
    KeyError
        If there is no such class; the message proposes the nearest names.

    Examples
    --------
    >>> instrument("Steel-Pan").exciter
    'struck'
    """
    if isinstance(name, Instrument):
        return name
    plain = plain_name(name)
    if plain in _LABELS:
        return INSTRUMENTS[_LABELS[plain]]
    near = difflib.get_close_matches(plain, _LABELS, n=3) or sorted(_LABELS)
    raise KeyError(f"no instrument {name!r} in the built-in world; did you mean {', '.join(near)}?")


@dataclass(frozen=True)
class Individual:
    """One specimen of a class: what makes it sound and look unlike its sisters."""

    instrument: Instrument
    size: float  # length over the class's typical length, 0.75 to 1.33: bigger sounds lower
    brightness: float  # 0 to 1: more high partials, and a lighter, shinier finish
    wear: float  # 0 (new) to 1 (old): a noisier attack, and a scratched, faded surface
    hue: float  # shift of the finish's hue, -1 to 1; not audible

    @property
    def length(self) -> float:
        """Length of this specimen, meters."""
        return self.instrument.length * self.size

    @property
    def transposition(self) -> float:
        """Shift of the register against the class's, semitones; from size 1.33 to 0.75 half an octave."""
        return float(-6.0 * np.log2(self.size) / np.log2(4 / 3) / 2)


def individual(row: Instrument, rng: np.random.Generator) -> Individual:
    """Draw a specimen of a class; the draws do not depend on the class."""
    size, brightness, wear, hue = rng.uniform(-1, 1, size=4)
    return Individual(
        instrument=row,
        size=float((4 / 3) ** size),
        brightness=float(np.clip(row.brightness + 0.15 * brightness, 0.0, 1.0)),
        wear=float(0.5 + 0.5 * wear),
        hue=float(hue),
    )
