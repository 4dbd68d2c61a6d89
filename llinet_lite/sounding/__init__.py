"""Where a network hears a sound in a picture, whichever network it is: maps, what they point at, pages.

Notebook: 03, 07
"""

from llinet_lite.sounding.located import SOUNDING, Located, other_class
from llinet_lite.sounding.pointing import (
    PAPER_POINTING,
    Duets,
    Follows,
    Pointing,
    boxed,
    duets,
    follows,
    hits,
    nearer,
    over_clips,
    peaks,
    pointing,
    pointing_frame,
)
from llinet_lite.sounding.protocols import CONTROLS, LISTENING, all_protocols

__all__ = [
    "CONTROLS",
    "LISTENING",
    "PAPER_POINTING",
    "SOUNDING",
    "Duets",
    "Follows",
    "Located",
    "Pointing",
    "all_protocols",
    "boxed",
    "duets",
    "follows",
    "hits",
    "nearer",
    "other_class",
    "over_clips",
    "peaks",
    "pointing",
    "pointing_frame",
]
