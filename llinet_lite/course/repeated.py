"""How often two trainings of the same agree within the intervals that were kept with them.

Notebook: 09
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .claims import difference
from .kept import kept
from .places import results_folder

if TYPE_CHECKING:
    import pandas as pd

    from llinet_lite.results import Result

SEEDS = 3  # numbers of fewer have no part in it


def replication(first: str = "laptop-earlier", again: str = "laptop") -> pd.DataFrame:
    """Compare the numbers of two runs that are results of several seeds in both.

    Parameters
    ----------
    first, again : str
        Runs in `results/`.

    Returns
    -------
    DataFrame
        A row per lesson, and their sum. `numbers` that both have; `outside`: the second lies outside the
        interval of the first; `apart`: the interval of their difference excludes zero.

    Notebook: 09
    """
    import pandas as pd

    rows = {}
    for path in sorted((results_folder() / first).glob("*.json")):
        before, now = (_of_several_seeds(run, path.stem) for run in (first, again))
        both = [(before[name], now[name]) for name in before if name in now]
        rows[path.stem] = {
            "numbers": len(both),
            "outside": sum(not old.low <= new.value <= old.high for old, new in both),
            "apart": sum(_apart(old, new) for old, new in both),
        }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["numbers", "outside", "apart"])
    frame.loc["all"] = frame.sum()
    return frame


def _of_several_seeds(run: str, lesson: str) -> dict[str, Result]:
    return {r.name: r for r in kept(run, lesson) if len(r.seeds) >= SEEDS and r.low is not None}


def _apart(one: Result, other: Result) -> bool:
    _, low, high = difference(*((r.value, r.low, r.high) for r in (one, other)))
    return low > 0 or high < 0
