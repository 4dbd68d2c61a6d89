"""The tests of lesson 03: does AVOL-Net point at what it hears, and does it listen at all?

Notebook: 03
"""

from __future__ import annotations

import numpy as np

from llinet_lite import sounding
from llinet_lite.avc.runs import Run
from llinet_lite.avc.sounding import locate, sounds_of
from llinet_lite.data.store import Store
from llinet_lite.sounding import Duets


def duets(run: Run, store: Store, split: str, settings, *, solos: str = "test", seed: int = 0) -> Duets:
    """Try the duets of a split with solo sounds of their two classes, and of a third.

    Parameters
    ----------
    run : Run
        Of an AVOL-Net.
    store : Store
        A built-in world.
    split : str
        "scenes" or "scenes_unseen".
    settings : Profile
    solos : str
        Split that the solo sounds are from: other instruments of the class than those in the picture.
    seed : int
        Which recordings.
    """
    scenes = locate(run, store, split, settings)

    def heard(labels, seed):
        return sounds_of(run, store, solos, settings, labels, seed=seed)

    return sounding.duets(scenes, store, split, heard, solos=solos, seed=seed)


def peaks(
    run: Run, store: Store, settings, *, solos: str = "test", mixed: str = "scenes"
) -> dict[str, np.ndarray]:
    """Return the highest map value of every picture by kind of scene; solos also with a wrong sound."""
    return sounding.peaks(locate(run, store, solos, settings), locate(run, store, mixed, settings))
