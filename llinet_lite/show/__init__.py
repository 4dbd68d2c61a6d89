"""What the notebooks show: figures with alt text, sounds with players, widgets."""

from llinet_lite.show import diagrams, heat, matrices, plots, retrieval, spaces
from llinet_lite.show.display import Card, figure, gallery, sound
from llinet_lite.show.exercise import Exercise
from llinet_lite.show.nearest import Item, nearest

plots.use_style()

__all__ = [
    "Card",
    "Exercise",
    "Item",
    "diagrams",
    "figure",
    "gallery",
    "heat",
    "matrices",
    "nearest",
    "plots",
    "retrieval",
    "sound",
    "spaces",
]
