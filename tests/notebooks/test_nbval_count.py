"""What the committed notebooks show is what the code gives now; and something was compared to say so.

Of the nbval runs this file is a plugin, too (`-p test_nbval_count`): it writes the compared cells down, since
nbval passes a notebook without a single stored output, so that a pass alone proves nothing.
"""

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
from nbval.plugin import IPyNbCell

from llinet_lite.course import KERNEL
from llinet_lite.profiles import COSTS

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TAG = "nbval-check-output"
# Cells whose outputs must really be compared, at least, lesson by lesson; one without an entry fails.
MINIMUM = (4, 8, 10, 7, 10, 8, 5, 6, 8, 4, 9)
COMPARED: list[dict] = []


@dataclass(frozen=True)
class Recheck:
    """What an nbval run said: exit code, report, and the compared cells by number."""

    code: int
    said: str
    compared: dict[int, str]


def recheck(notebook: Path, folder: Path, *, cwd: Path, environment: dict[str, str]) -> Recheck:
    """Run every cell of a notebook, and compare the outputs of the cells tagged `nbval-check-output`.

    `folder` is an empty one for the list of compared cells; `environment` is set for the notebook.
    """
    here, counts = Path(__file__).parent, folder / "compared.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "test_nbval_count", "-p", "no:cacheprovider"]
    command += ["--nbval-lax", "--nbval-current-env", "--color=no", "--rootdir", str(cwd), str(notebook)]
    path = os.pathsep.join(filter(None, [str(here), os.environ.get("PYTHONPATH")]))
    variables = os.environ | environment | {"NBVAL_COUNTS": str(counts), "PYTHONPATH": path}
    for inherited in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "MPLBACKEND"):
        variables.pop(inherited, None)
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True)
    entries = json.loads(counts.read_text(encoding="utf-8")) if counts.is_file() else []
    return Recheck(done.returncode, done.stdout + done.stderr, {e["cell"]: e["text"] for e in entries})


def recheck_all(notebooks: list[Path], folder: Path, *, cwd: Path, environment: dict[str, str]):
    """Recheck the first notebook, which builds the world, and then the others, two at a time.

    Half of a lesson's time goes into figures and tables, which one core makes alone.
    """
    threads = max(1, (os.cpu_count() or 1) // 2)
    shared = KERNEL | {"OMP_NUM_THREADS": str(threads)} | environment

    def one(notebook: Path) -> Recheck:
        own, began = folder / notebook.stem, time.monotonic()
        own.mkdir()
        done = recheck(notebook, own, cwd=cwd, environment=shared)
        minutes = (time.monotonic() - began) / 60
        print(f"{notebook.stem}: {len(done.compared)} outputs compared, {minutes:.1f} min", flush=True)
        return done

    first, *others = notebooks
    others.sort(
        key=lambda path: -COSTS["laptop"].get(path.stem, (0,))[0]
    )  # a long one is not left for the end
    outcomes = {first: one(first)}
    with ThreadPoolExecutor(2) as pool:
        outcomes |= dict(zip(others, pool.map(one, others), strict=True))
    return [outcomes[path] for path in notebooks]


def tagged(notebook: Path) -> set[int]:
    """Return the numbers of the code cells (from 0) that carry the tag."""
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    return {number for number, cell in enumerate(cells) if TAG in cell.metadata.get("tags", [])}


def says_something(text: str) -> bool:
    """Whether an output is worth comparing: more than a bare object, a digit or nothing."""
    bare = re.sub(r"<[\w.]+( object)?( at 0x[0-9a-f]+)?.*?>|\bNone\b", "", text)
    return len(re.findall(r"\w", bare)) >= 4


def test_the_outputs_shown_are_those_the_code_gives(tmp_path):
    (ROOT / "runs" / "data").mkdir(parents=True, exist_ok=True)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "data").symlink_to(ROOT / "runs" / "data")  # the world may be there already
    outcomes = recheck_all(NOTEBOOKS, tmp_path, cwd=ROOT, environment={"LLINET_HOME": str(tmp_path)})
    failed = [outcome.said for outcome in outcomes if outcome.code]
    assert not failed, "\n".join(failed)
    for path, least, outcome in zip(NOTEBOOKS, MINIMUM, outcomes, strict=True):
        compared = outcome.compared
        assert set(compared) == tagged(path), f"{path.name}: tagged cells were not compared"
        empty = [number for number, text in compared.items() if not says_something(text)]
        assert not empty, f"{path.name}: the outputs of code cells {empty} (from 0) say nothing to compare"
        assert len(compared) >= least, f"{path.name}: only {len(compared)} cells compared"


# ---- the plugin


def pytest_configure(config):
    original = IPyNbCell.compare_outputs

    def counting(self, test, ref, skip_compare=None):
        skipped, parts = skip_compare or self.parent.skip_compare, []
        for output in ref:
            parts += [output["text"]] if "text" in output else []
            parts += [str(v) for k, v in output.get("data", {}).items() if k not in skipped]
        COMPARED.append({"cell": self.cell_num, "text": "".join(parts)})
        return original(self, test, ref, skip_compare)

    IPyNbCell.compare_outputs = counting


def pytest_unconfigure(config):
    Path(os.environ["NBVAL_COUNTS"]).write_text(json.dumps(COMPARED), encoding="utf-8")
