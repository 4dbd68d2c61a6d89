"""The built-in world: 32 named and many invented instruments, seen and heard in scenes with ground truth.

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
