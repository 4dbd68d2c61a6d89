"""The bands that metrics must lie in: every metric has one, and every band its metric."""

from __future__ import annotations

import json
from pathlib import Path

BANDS = Path(__file__).with_name("bands.json")


def faults(bands: dict[str, dict[str, list[float]]], measured: dict[str, dict[str, float]]) -> list[str]:
    """Return what does not fit, one sentence each.

    Parameters
    ----------
    bands, measured : dict
        Lesson -> name of a metric -> [lowest, highest], and its value.
    """
    said = []
    for lesson in sorted(bands.keys() | measured.keys()):
        known, got = bands.get(lesson, {}), measured.get(lesson, {})
        said += [f"{lesson}: {name!r} has no band" for name in got.keys() - known.keys()]
        said += [f"{lesson}: {name!r} has a band, but was not measured" for name in known.keys() - got.keys()]
        for name in sorted(known.keys() & got.keys()):
            low, high = known[name]
            if not low <= got[name] <= high:
                said.append(f"{lesson}: {name!r} is {got[name]:.4g}, must be {low} to {high}")
    return said


def read() -> dict[str, dict[str, list[float]]]:
    """Return the bands of the smoke course."""
    return json.loads(BANDS.read_text(encoding="utf-8"))
