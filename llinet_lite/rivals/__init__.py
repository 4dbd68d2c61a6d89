"""What the papers compare their networks with, one file per method.

Notebook: 02 (CCA, VGG16), 06 (retrieval), 08 (recognition)
"""

from llinet_lite.rivals.base import Recognizer, Rival
from llinet_lite.rivals.cca import CCA
from llinet_lite.rivals.cme import CME
from llinet_lite.rivals.cmpm import CMPM
from llinet_lite.rivals.contrastive import CLIP, SigLIP, SupCon
from llinet_lite.rivals.dar import DAR
from llinet_lite.rivals.dcn import DCN
from llinet_lite.rivals.dscmr import DSCMR
from llinet_lite.rivals.lde import LDE
from llinet_lite.rivals.relation import RelationNet
from llinet_lite.rivals.sae import SAE
from llinet_lite.rivals.scan import SCAN
from llinet_lite.rivals.sir import SIR
from llinet_lite.rivals.timam import TIMAM
from llinet_lite.rivals.ulslvc import ULSLVC
from llinet_lite.rivals.vgg import VGG16

# The rivals of LLINet, in the order of its tables.
RETRIEVAL: dict[str, type[Rival]] = {
    rival.title: rival for rival in (DAR, ULSLVC, SIR, SCAN, DSCMR, TIMAM, CMPM, CME)
}
MODERN: dict[str, type[Rival]] = {rival.title: rival for rival in (CLIP, SigLIP, SupCon)}  # came after it
RECOGNITION: dict[str, type[Recognizer]] = {rival.title: rival for rival in (DCN, LDE, RelationNet, SAE)}

__all__ = ["CCA", "MODERN", "RECOGNITION", "RETRIEVAL", "VGG16", "Recognizer", "Rival"]
