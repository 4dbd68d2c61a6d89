"""What the notebooks show: figures with alt text, sounds with players, widgets."""

from llinet_lite.show import plots
from llinet_lite.show.display import Card, figure, gallery, sound
from llinet_lite.show.exercise import Exercise

plots.use_style()

__all__ = ["Card", "Exercise", "figure", "gallery", "plots", "sound"]
