"""What the explorer asks of a network: to see a picture, to hear a sound, and to say where they meet.

Notebook: 07
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

SCALES = {"probability": "probability", "maximum": "share of the map's maximum"}


@dataclass(frozen=True)
class Seen:
    """Pictures as a network sees them.

    Attributes
    ----------
    cells : (N, D, h, w) float32 Tensor
        Vector of every cell.
    vector : (N, E) float32 Tensor, optional
        Of the whole picture, where the network has one.
    """

    cells: Tensor
    vector: Tensor | None = None

    def __len__(self) -> int:
        return len(self.cells)

    def pick(self, k: int) -> Seen:
        """Return picture k alone, as a batch of one."""
        return Seen(self.cells[k : k + 1], None if self.vector is None else self.vector[k : k + 1])


@dataclass(frozen=True)
class Heard:
    """Sounds as a network hears them.

    Attributes
    ----------
    key : (M, D') float32 Tensor
        What makes the map, with the cells; D' is 0 for a map in which no sound takes part.
    vector : (M, E) float32 Tensor, optional
        Of the whole sound, for search, where that is another one.
    """

    key: Tensor
    vector: Tensor | None = None

    def __len__(self) -> int:
        return len(self.key)

    def pick(self, k: int) -> Heard:
        """Return sound k alone, as a batch of one."""
        return Heard(self.key[k : k + 1], None if self.vector is None else self.vector[k : k + 1])


@dataclass(frozen=True)
class Listener:
    """A network that sees and hears, whichever it is; `avc.listener` and `zeroshot.listener` make one.

    Attributes
    ----------
    title : str
    side : int
        Of the square that it sees, pixels.
    see : callable
        Pictures (N, side, side, 3) uint8 -> Seen.
    hear : callable
        Sounds (M, n) int16, of the store's sample rate -> Heard.
    heat : callable
        Cells (N, D, h, w), keys (N, D') -> maps (N, h, w), larger where the sound is more likely.
    match : callable
        Seen of N, Heard of M -> (N, M), larger where picture and sound belong together.
    fit : callable, optional
        Vector of one cell (D,), Heard of M -> (M,), larger where the sound fits the cell; None for a map
        in which no sound takes part.
    scale : {"probability", "maximum"}
        What a threshold of the map is a share of: 1, or the map's own maximum.
    measure : str
        What `match` returns, as "cosine".
    whole : float, optional
        Seconds that it hears where no moment is asked for; None: all that there is.
    window : float
        Seconds that it hears around a moment.

    Raises
    ------
    ValueError
        If the scale is unknown, or a size is not positive.

    Notebook: 07
    """

    title: str
    side: int
    see: Callable[[np.ndarray], Seen]
    hear: Callable[[np.ndarray], Heard]
    heat: Callable[[Tensor, Tensor], Tensor]
    match: Callable[[Seen, Heard], Tensor]
    fit: Callable[[Tensor, Heard], Tensor] | None
    scale: str
    measure: str
    whole: float | None
    window: float

    def __post_init__(self):
        if self.scale not in SCALES:
            raise ValueError(f"{self.title}: scale must be one of {', '.join(SCALES)}, not {self.scale!r}")
        for name in ("side", "whole", "window"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{self.title}: {name} must be positive, not {value}")

    def around(self, seconds: float) -> float:
        """Return how much it hears around a moment of a sound of so many seconds; none hears past the end."""
        return self.window if self.whole else min(self.window, seconds)
