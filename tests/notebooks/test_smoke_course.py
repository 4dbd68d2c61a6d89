"""The whole course in the smoke profile, trained from scratch: every metric in its band, and as it was."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from joblib import cpu_count

ROOT = Path(__file__).resolve().parents[2]
BANDS = Path(__file__).with_name("bands.json")
FROZEN = ROOT / "tests" / "frozen"
ALLOWED: dict[str, str] = {}  # "lesson: name" of a metric that may differ from the frozen one -> reason


def faults(bands: dict[str, dict], measured: dict[str, dict[str, float]]) -> list[str]:
    """Return what does not fit: lesson -> metric -> [lowest, highest], and its value; each has the other."""
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


def read_bands() -> dict:
    """Return lesson -> metric -> [lowest, highest]."""
    try:
        return json.loads(BANDS.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{BANDS} is damaged ({error}): restore it by `git checkout {BANDS}`") from error


def machine() -> dict:
    """Return what decides the last bits: float32 arithmetic on one thread, a lesson's threads, a GPU."""
    rng = np.random.default_rng(0)
    a, b = (torch.from_numpy(rng.standard_normal((192, 192), dtype=np.float32)) for _ in range(2))
    image = a.reshape(1, 4, 96, 96)
    parts = (a @ b, torch.nn.functional.conv2d(image, b[:36].reshape(192, 4, 3, 3)), torch.fft.rfft(a).abs())
    mark = hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()[:16]
    return {"float32": mark, "threads": max(1, cpu_count() // 2), "gpu": torch.cuda.is_available()}


def test_the_smoke_course_reaches_its_numbers(tmp_path):
    command = [sys.executable, "-m", "llinet_lite", "course", "--profile", "smoke", "--runs", str(tmp_path)]
    (tmp_path / "data").symlink_to(ROOT / "runs" / "data")  # the world may be there already
    (ROOT / "runs" / "data").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=ROOT)
    assert done.returncode == 0, "the course failed: its last lines above say where"
    run = tmp_path / "smoke"
    names = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]
    written = {name: json.loads((run / name / "metrics.json").read_text("utf-8")) for name in names}
    measured = {name: {r["name"]: r["value"] for r in w["results"]} for name, w in written.items()}
    print(json.dumps(measured, indent=1, sort_keys=True))
    bands = read_bands()
    wrong = faults(bands, {name: values for name, values in measured.items() if values})
    assert not wrong, "\n".join(wrong)
    assert (run / "index.html").stat().st_size > 10_000
    compare_with_frozen(measured)


def compare_with_frozen(measured: dict[str, dict[str, float]]) -> None:
    """Count the numbers that are bit for bit the frozen ones.

    All must be where those were made: on a machine of that arithmetic, with OMP_NUM_THREADS=1.
    """
    frozen, made_by = (
        json.loads((FROZEN / f"{n}.json").read_text("utf-8")) for n in ("smoke_metrics", "machine")
    )
    pairs = {f"{k}: {n}": (v, measured[k].get(n)) for k, values in frozen.items() for n, v in values.items()}
    differ = [f"{name}: {was} -> {now}" for name, (was, now) in pairs.items() if was != now]
    print(f"{len(pairs) - len(differ)} of {len(pairs)} numbers are bit for bit the frozen ones")
    print(*differ, sep="\n")
    threads = os.environ.get("OMP_NUM_THREADS", "as many as there are")
    if machine() != made_by or threads != "1":
        print(f"they were made by {made_by} with one thread; here {machine()} with {threads}: only counted")
        return
    wrong = [line for line in differ if line.rsplit(": ", 1)[0] not in ALLOWED]
    assert not wrong, "\n".join(wrong)
