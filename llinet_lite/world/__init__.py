"""The built-in world: 32 named instruments and any number of invented ones, seen and heard, with ground truth.

Imports nothing of the rest of the package.

Notebook: 00
"""

from .instruments import INSTRUMENTS, SEEN, UNSEEN, Instrument, distance, instrument
from .invented import invented
from .scenes import KINDS, Clip, Scene, clip, sheet

__all__ = [
    "INSTRUMENTS", "KINDS", "SEEN", "UNSEEN", "Clip", "Instrument", "Scene", "clip", "distance", "instrument",
    "invented", "sheet",
]  # fmt: skip
