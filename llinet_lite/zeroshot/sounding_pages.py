"""What lesson 07 looks at beside its table: maps of held-out classes, duets side by side, how high maps rise.

Notebook: 07
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from llinet_lite.data.store import Store
from llinet_lite.sounding import Follows, Located
from llinet_lite.zeroshot.runs import Run, held_out
from llinet_lite.zeroshot.sounding import locate, usual_map


def locate_usual(run: Run, store: Store, split: str, settings) -> Located:
    """Return the maps that a network was trained for: `locate` with `usual_map`."""
    return locate(run, store, split, settings, map=usual_map(run))


def held_out_maps(
    runs: Mapping[str, Sequence], find: Mapping[str, Callable], store: Store, settings
) -> dict[str, list[Located]]:
    """Return every network's maps of `val`, of the seen classes only that its seed does not train on.

    AVOL-Net has trained on them; it gets the same pictures for its threshold.

    Parameters
    ----------
    runs : mapping of row to sequence of Run
    find : mapping of row to callable
        (run, store, split, settings) -> Located.
    store, settings
    """
    found = {}
    for name, of in runs.items():
        parts = [(run, find[name](run, store, "val", settings)) for run in of]
        found[name] = [part.pick(np.isin(part.label, held_out(store, run.seed))) for run, part in parts]
    return found


def side_by_side(tests: Mapping[str, Follows]) -> pd.DataFrame | None:
    """Return the duet tests of several networks, a column each; None if there is none."""
    if not tests:
        return None
    columns = {
        name: {row: f"{cell.value:.3g} [{cell.low:.3g}, {cell.high:.3g}]" for row, cell in test.rows.items()}
        for name, test in tests.items()
    }
    return pd.DataFrame(columns).rename_axis("in duets")


def peaks_figure(heights: Mapping[str, np.ndarray]) -> Figure:
    """Draw the highest map value of every picture, kind by kind, as shares of the median of the solos."""
    unit = float(np.median(heights["solo"]))
    fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
    values = [np.asarray(of) / unit for of in heights.values()]
    ax.boxplot(values, orientation="horizontal", tick_labels=list(heights), whis=(5, 95), sym="")
    ax.axvline(1, color="0.8", linewidth=1, zorder=0)
    ax.set(xlim=(0, None), xlabel="highest value of the map (1: median of solos with their own sound)")
    return fig
