"""The whole course in the smoke profile, trained from scratch, with every metric in its band."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bands import faults, read

ROOT = Path(__file__).resolve().parents[2]


def test_the_smoke_course_reaches_its_numbers(tmp_path):
    command = [sys.executable, "-m", "llinet_lite", "course", "--profile", "smoke", "--runs", str(tmp_path)]
    data = tmp_path / "data"
    data.symlink_to(ROOT / "runs" / "data")  # the world may be there already
    (ROOT / "runs" / "data").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=ROOT)
    assert done.returncode == 0, "the course failed: its last lines above say where"
    run = tmp_path / "smoke"
    names = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
    written = {name: json.loads((run / name / "metrics.json").read_text("utf-8")) for name in names}
    measured = {name: {r["name"]: r["value"] for r in w["results"]} for name, w in written.items()}
    print(json.dumps(measured, indent=1, sort_keys=True))
    wrong = faults(read(), {name: values for name, values in measured.items() if values})
    assert not wrong, "\n".join(wrong)
    assert (run / "index.html").stat().st_size > 10_000
