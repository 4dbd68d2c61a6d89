"""The networks of the papers, one file per figure."""

from llinet_lite.models.avenet import AVENet, AVENetMF, AVENetOF
from llinet_lite.models.avolnet import AVOLNet
from llinet_lite.models.l3net import L3Net
from llinet_lite.models.llinet import AudioEncoder, LLINet
from llinet_lite.models.towers import AudioTower, VisionTower, layer_table
from llinet_lite.models.trunks import Trunk, build_trunk, load_trunk_weights
from llinet_lite.models.vggish import Ear, VGGish, load_vggish_weights

__all__ = [
    "AVENet", "AVENetMF", "AVENetOF", "AVOLNet", "AudioEncoder", "AudioTower", "Ear", "L3Net", "LLINet",
    "Trunk", "VGGish", "VisionTower", "build_trunk", "layer_table", "load_trunk_weights",
    "load_vggish_weights",
]  # fmt: skip
