"""What the notebooks show: figures with alt text, sounds with players, widgets."""

from llinet_lite.show import (
    audit,
    diagrams,
    heat,
    localization,
    matrices,
    plots,
    recognition,
    retrieval,
    spaces,
)
from llinet_lite.show.display import Card, figure, gallery, sound
from llinet_lite.show.exercise import Exercise
from llinet_lite.show.nearest import Item, nearest

plots.use_style()

__all__ = [
    "Card",
    "Exercise",
    "Item",
    "audit",
    "diagrams",
    "figure",
    "gallery",
    "heat",
    "localization",
    "matrices",
    "nearest",
    "plots",
    "recognition",
    "retrieval",
    "sound",
    "spaces",
]
