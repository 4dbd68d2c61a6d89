"""Where the course keeps things: runs, packed stores, published results."""

from __future__ import annotations

from pathlib import Path

from llinet_lite.workspace import PACKAGE, data_folder, home, runs_folder

__all__ = ["cache_folder", "kept_file", "results_folder", "run_name", "runs_folder"]
cache_folder = data_folder


def results_folder() -> Path:
    """Return the folder that results are kept in: HOME/results."""
    return home() / "results"


def kept_file(run: str, lesson: str) -> Path:
    """Return the file of a lesson's kept results: one's own, else the one in the checkout."""
    own = results_folder() / run / f"{lesson}.json"
    return own if own.is_file() else PACKAGE.parent / "results" / run / f"{lesson}.json"


def run_name(profile: str, data: Path | None) -> str:
    """Return the name of a run's folder: the profile, and the data's name if they are one's own."""
    return profile if data is None else f"{profile}-{data.name}"
