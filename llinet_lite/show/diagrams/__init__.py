"""Networks as boxes and arrows, with the shape of the tensor on every arrow.

Notebook: 01, 02, 03, 04, 08
"""

from llinet_lite.show.diagrams.boxes import BOX, PAGE
from llinet_lite.show.diagrams.look_listen_infer import llinet
from llinet_lite.show.diagrams.objects_that_sound import (
    ave_mf,
    ave_net,
    ave_of,
    avol_net,
    tower_steps,
    two_streams,
)
from llinet_lite.show.diagrams.recognition import generalized, zero_shot

__all__ = [
    "BOX",
    "PAGE",
    "ave_mf",
    "ave_net",
    "ave_of",
    "avol_net",
    "generalized",
    "llinet",
    "tower_steps",
    "two_streams",
    "zero_shot",
]
