"""The networks of the papers, one file per figure."""

from llinet_lite.models.l3net import L3Net
from llinet_lite.models.towers import AudioTower, VisionTower, layer_table

__all__ = ["AudioTower", "L3Net", "VisionTower", "layer_table"]
