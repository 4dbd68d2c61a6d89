"""The networks of the papers, one file per figure."""

from llinet_lite.models.audio_encoder import AudioEncoder
from llinet_lite.models.avenet import AVENet
from llinet_lite.models.avenet_motion import AVENetMF, AVENetOF
from llinet_lite.models.avolnet import AVOLNet
from llinet_lite.models.l3net import L3Net
from llinet_lite.models.llinet import LLINet
from llinet_lite.models.towers import AudioTower, VisionTower, layer_table
from llinet_lite.models.trunks import Trunk
from llinet_lite.models.vggish import Ear, VGGish

__all__ = [
    "AVENet",
    "AVENetMF",
    "AVENetOF",
    "AVOLNet",
    "AudioEncoder",
    "AudioTower",
    "Ear",
    "L3Net",
    "LLINet",
    "Trunk",
    "VGGish",
    "VisionTower",
    "layer_table",
]
