"""The built-in world, Bandstand-32: 32 instruments that can be seen and heard, in scenes with ground truth.

Imports nothing of the rest of the package.

Notebook: 00
"""

from .instruments import INSTRUMENTS, SEEN, UNSEEN, Instrument, instrument
from .scenes import KINDS, Clip, Scene, clip

__all__ = ["INSTRUMENTS", "KINDS", "SEEN", "UNSEEN", "Clip", "Instrument", "Scene", "clip", "instrument"]
