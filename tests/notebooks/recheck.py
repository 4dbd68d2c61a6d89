"""Run notebooks again through nbval, and tell which stored outputs were compared with new ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat

from llinet_lite.course import KERNEL

TAG = "nbval-check-output"


@dataclass(frozen=True)
class Recheck:
    """What an nbval run said: exit code, report, and the compared cells as {notebook: {number: text}}."""

    code: int
    said: str
    compared: dict[str, dict[int, str]]


def recheck(notebooks: list[Path], folder: Path, *, cwd: Path, environment: dict[str, str]) -> Recheck:
    """Run every cell of the notebooks, and compare the outputs of the cells tagged `nbval-check-output`.

    Parameters
    ----------
    notebooks : list of Path
    folder : Path
        An empty folder for the list of compared cells.
    cwd : Path
    environment : dict
        Variables to set for the notebooks.
    """
    here, counts = Path(__file__).parent, folder / "compared.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "nbval_counter", "-p", "no:cacheprovider"]
    command += ["--nbval-lax", "--nbval-current-env", "--color=no", "--rootdir", str(cwd)]
    path = os.pathsep.join(filter(None, [str(here), os.environ.get("PYTHONPATH")]))
    variables = os.environ | environment | {"NBVAL_COUNTS": str(counts), "PYTHONPATH": path}
    for inherited in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "MPLBACKEND"):
        variables.pop(inherited, None)
    done = subprocess.run(
        [*command, *map(str, notebooks)], cwd=cwd, env=variables, capture_output=True, text=True
    )
    compared: dict[str, dict[int, str]] = {path.stem: {} for path in notebooks}
    for entry in json.loads(counts.read_text(encoding="utf-8")) if counts.is_file() else []:
        compared[entry["notebook"]][entry["cell"]] = entry["text"]
    return Recheck(done.returncode, done.stdout + done.stderr, compared)


def recheck_all(
    notebooks: list[Path], folder: Path, *, cwd: Path, environment: dict[str, str]
) -> dict[str, Recheck]:
    """Recheck the first notebook, which builds the world, and then the others, two at a time.

    Half of a lesson's time goes into figures and tables, which one core makes alone.

    Parameters
    ----------
    notebooks : list of Path
    folder : Path
        An empty folder.
    cwd : Path
    environment : dict
        Variables to set for the notebooks.
    """
    threads = max(1, (os.cpu_count() or 1) // 2)
    shared = KERNEL | {"OMP_NUM_THREADS": str(threads)} | environment

    def one(notebook: Path) -> Recheck:
        own = folder / notebook.stem
        own.mkdir()
        began = time.monotonic()
        done = recheck([notebook], own, cwd=cwd, environment=shared)
        minutes = (time.monotonic() - began) / 60
        count = len(done.compared[notebook.stem])
        print(f"{notebook.stem}: {count} outputs compared, {minutes:.1f} min", flush=True)
        return done

    first, *others = notebooks
    outcomes = {first.stem: one(first)}
    with ThreadPoolExecutor(2) as pool:
        outcomes |= zip((path.stem for path in others), pool.map(one, others), strict=True)
    return outcomes


def tagged(notebook: Path) -> set[int]:
    """Return the numbers of the code cells (from 0) that carry the tag."""
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    return {number for number, cell in enumerate(cells) if TAG in cell.metadata.get("tags", [])}


def says_something(text: str) -> bool:
    """Whether an output is worth comparing: more than a bare object, a digit or nothing."""
    bare = re.sub(r"<[\w.]+( object)?( at 0x[0-9a-f]+)?.*?>|\bNone\b", "", text)
    return len(re.findall(r"\w", bare)) >= 4
