"""What the papers compare their networks with, one file per method."""

from llinet_lite.rivals.base import Rival
from llinet_lite.rivals.cca import CCA
from llinet_lite.rivals.cme import CME
from llinet_lite.rivals.cmpm import CMPM
from llinet_lite.rivals.dar import DAR
from llinet_lite.rivals.dcn import DCN
from llinet_lite.rivals.dscmr import DSCMR
from llinet_lite.rivals.lde import LDE
from llinet_lite.rivals.recogniser import Recogniser
from llinet_lite.rivals.relation import RelationNet
from llinet_lite.rivals.sae import SAE
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
    "DCN",
    "DSCMR",
    "LDE",
    "RECOGNITION",
    "RETRIEVAL",
    "SAE",
    "SCAN",
    "SIR",
    "TIMAM",
    "ULSLVC",
    "VGG16",
    "Recogniser",
    "RelationNet",
    "Rival",
    "train_vgg",
    "vgg16_imagenet",
]

# The retrieval rivals of LLINet, in the order of its table.
RETRIEVAL: dict[str, type[Rival]] = {
    rival.title: rival for rival in (DAR, ULSLVC, SIR, SCAN, DSCMR, TIMAM, CMPM, CME)
}

# The recognition rivals of LLINet, in the order of its table.
RECOGNITION: dict[str, type[Recogniser]] = {rival.title: rival for rival in (DCN, LDE, RelationNet, SAE)}
