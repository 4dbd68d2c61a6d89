"""The committed notebooks pass the gate of hygiene.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from hygiene import problems

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


def test_the_course_is_there_and_in_order():
    numbers = [path.stem.split("_")[0] for path in NOTEBOOKS]
    assert numbers == [f"{k:02d}" for k in range(len(numbers))] and len(numbers) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_fit_to_be_read(path):
    faults = problems(path)
    assert not faults, f"{path.name}:\n  " + "\n  ".join(faults)
