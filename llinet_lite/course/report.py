"""The report of a run: one HTML page that needs nothing but itself, beside the executed notebooks.

Pictures are small and lie inside the page; the notebooks are links.
"""

from __future__ import annotations

import base64
import io
import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from .errors import LessonFailed
from .lesson import THUMB_WIDTH
from .record import metrics, write_json
from .sources import PACKAGE

NONE = "\u2013"  # en dash
_PACKAGES = (
    "torch",
    "torchvision",
    "torchaudio",
    "numpy",
    "scipy",
    "librosa",
    "lightning-fabric",
    "datasets",
)


def environment() -> dict:
    """Return what a reader needs to know of the machine and the packages that gave the numbers."""
    import psutil
    import torch

    import llinet_lite

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "command": " ".join(["llinet", *sys.argv[1:]]),
        "llinet-lite": llinet_lite.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor cores": os.cpu_count(),
        "memory GB": round(psutil.virtual_memory().total / 1e9, 1),
        "gpu": gpu or "none",
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """Return the commit of the source, with "+" if it was changed since, or "unknown" outside a checkout."""
    git = ["git", "-C", str(PACKAGE), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def write_environment(folder: Path) -> None:
    """Write environment.json into the folder of a run."""
    write_json(folder / "environment.json", environment())


def export(notebook: Path) -> Path | None:
    """Write an executed notebook as HTML beside it; None if there is no notebook yet."""
    from nbconvert import HTMLExporter

    if not notebook.is_file():
        return None
    body, _ = HTMLExporter().from_filename(str(notebook))
    target = notebook.with_suffix(".html")
    target.write_text(body, encoding="utf-8")
    return target


def thumbnail(path: Path) -> str:
    """Return a picture, at most `THUMB_WIDTH` pixels wide, as a data URI (PNG)."""
    from PIL import Image

    with Image.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((THUMB_WIDTH, 2 * THUMB_WIDTH))
    png = io.BytesIO()
    small.quantize(128).save(png, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def _title(notebook: Path) -> str:
    """Return the first heading of a notebook, or its name."""
    for cell in _read(notebook).get("cells", []):
        for line in "".join(cell["source"]).splitlines():
            if cell["cell_type"] == "markdown" and line.startswith("# "):
                heading = line[2:].strip()
                if heading != "An Exception was encountered":
                    return heading
    return notebook.stem


def _pictures(folder: Path) -> list[dict]:
    known = _read(folder / "figures.json")
    found = [(folder / f"{name}.png", alt) for name, alt in known.items()]
    return [{"src": thumbnail(path), "alt": alt, "name": path.stem} for path, alt in found if path.is_file()]


def number(value: object, unit: str = "") -> str:
    """Return a number as the tables show it: three significant digits, NONE for none."""
    if value is None or value == "":
        return NONE
    if not isinstance(value, (int, float)):
        return str(value)
    text = f"{value:.1f}" if unit in ("%", "percent") else f"{value:.3g}"
    return text.replace("-", "\u2212")  # the minus sign


def _row(entry: dict) -> dict:
    unit = entry.get("unit") or ""
    low, high = number(entry["low"], unit), number(entry["high"], unit)
    seeds = entry["seeds"]
    return {
        "name": entry["name"],
        "unit": unit,
        "paper": number(entry["paper"], unit),
        "chance": number(entry["chance"], unit),
        "value": number(entry["value"], unit),
        "interval": f"{low} to {high}" if low != NONE else NONE,
        "seeds": len(seeds) if isinstance(seeds, list) else seeds,
        "n": entry.get("n") or NONE,
        "minutes": number(entry.get("minutes")),
    }


def _rows(path: Path) -> list[dict]:
    """Return the rows of a lesson's table; none if it left no valid numbers."""
    try:
        return [_row(entry) for entry in metrics(path)["results"]]
    except LessonFailed:
        return []


def _lessons(folder: Path) -> list[dict]:
    lessons = []
    for name, entry in sorted(_read(folder / "state.json").items()):
        page = folder / f"{name}.html"
        lessons.append(
            {
                "name": name,
                "title": _title(folder / f"{name}.ipynb"),
                "page": page.name if page.is_file() else "",
                "notebook": f"{name}.ipynb",
                "status": entry["status"],
                "error": entry.get("error", ""),
                "minutes": f"{entry.get('seconds', 0) / 60:.1f}",
                "rows": _rows(folder / name / "metrics.json"),
                "pictures": _pictures(folder / name / "figures"),
            }
        )
    return lessons


def write(folder: Path) -> Path:
    """Write report.html from what lies in the folder of a run, and return it.

    Raises
    ------
    FileNotFoundError
        If no run has been there.
    """
    from jinja2 import Environment, StrictUndefined

    if not (folder / "state.json").is_file():
        raise FileNotFoundError(f"{folder} holds no run: `llinet course` makes one")
    template = (Path(__file__).parent / "report.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(template)
    html = page.render(run=folder.name, lessons=_lessons(folder), machine=_read(folder / "environment.json"))
    target = folder / "report.html"
    target.write_text(html, encoding="utf-8")
    return target
