"""What the papers compare their networks with, one file per method."""

from llinet_lite.rivals.base import Rival
from llinet_lite.rivals.cca import CCA
from llinet_lite.rivals.cme import CME
from llinet_lite.rivals.cmpm import CMPM
from llinet_lite.rivals.dar import DAR
from llinet_lite.rivals.dscmr import DSCMR
from llinet_lite.rivals.scan import SCAN
from llinet_lite.rivals.sir import SIR
from llinet_lite.rivals.timam import TIMAM
from llinet_lite.rivals.ulslvc import ULSLVC
from llinet_lite.rivals.vgg import VGG16, train_vgg, vgg16_imagenet

__all__ = [
    "CCA",
    "CME",
    "CMPM",
    "DAR",
    "DSCMR",
    "RETRIEVAL",
    "SCAN",
    "SIR",
    "TIMAM",
    "ULSLVC",
    "VGG16",
    "Rival",
    "train_vgg",
    "vgg16_imagenet",
]

# The retrieval rivals of LLINet, in the order of its table.
RETRIEVAL: dict[str, type[Rival]] = {
    rival.title: rival for rival in (DAR, ULSLVC, SIR, SCAN, DSCMR, TIMAM, CMPM, CME)
}
