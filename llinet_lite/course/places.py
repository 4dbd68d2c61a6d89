"""Where the course keeps things: runs, packed stores, published results.

Notebook: 00
"""

from __future__ import annotations

import os
from pathlib import Path

from .sources import PACKAGE


def _place(variable: str, name: str) -> Path:
    """Return the folder that an environment variable names, or `name` in the checkout, or in this folder."""
    named = os.environ.get(variable)
    if named:
        return Path(named).expanduser().resolve()
    checkout = PACKAGE.parent
    inside = (checkout / "pyproject.toml").is_file()
    return (checkout if inside else Path.cwd()) / name


def runs_folder() -> Path:
    """Return the folder of all runs: `$LLINET_RUNS`, or `runs` beside the package's source."""
    return _place("LLINET_RUNS", "runs")


def cache_folder() -> Path:
    """Return the folder of packed stores: `$LLINET_CACHE`, or `data` among the runs."""
    named = os.environ.get("LLINET_CACHE")
    return Path(named).expanduser().resolve() if named else runs_folder() / "data"


def results_folder() -> Path:
    """Return the folder of published results: `$LLINET_RESULTS`, or `results` beside the package's source."""
    return _place("LLINET_RESULTS", "results")


def run_name(profile: str, data: Path | None) -> str:
    """Return the name of a run's folder: the profile, and the data's name if they are one's own."""
    return profile if data is None else f"{profile}-{data.name}"
