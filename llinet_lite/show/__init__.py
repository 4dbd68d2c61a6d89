"""What the notebooks show: figures with alt text, sounds with players, exercises, widgets."""

from llinet_lite.show import figures
from llinet_lite.show.page import Card, Exercise, WorldBrowser, figure, gallery, nearest, sound

figures.use_style()

__all__ = ["Card", "Exercise", "WorldBrowser", "figure", "figures", "gallery", "nearest", "sound"]
