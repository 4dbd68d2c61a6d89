"""Hashes that tell whether a lesson would give what it gave before."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
WEIGHTS = PACKAGE / "weights"
# Code that starts notebooks but that no notebook runs: a change there changes no result.
_OUTSIDE_LESSONS = (
    "__main__.py",
    "bench/",
    "doctor.py",
    "course/claim",
    "course/engine.py",
    "course/measured.py",
    "course/parameters.py",
    "course/report.py",
    "course/runner.py",
    "course/side_by_side.py",
    "course/site",
    "course/tables.py",
    "course/unattended.py",
)
# Code that decides the weights a training run ends with; measuring and showing them is not part of it.
_TRAINING = (
    "world/",
    "data/",
    "features.py",
    "models/",
    "losses.py",
    "training.py",
    "checkpoint.py",
    "classifier.py",
    *(f"rivals/{name}.py" for name in ("base", "hinge", "vgg", "dar", "ulslvc", "sir", "scan")),
    *(f"rivals/{name}.py" for name in ("dscmr", "timam", "cmpm", "cme")),
    "avc/evaluation.py",
    "avc/runs.py",
    "avc/task.py",
    "zeroshot/activations.py",
    "zeroshot/evaluation.py",
    "zeroshot/ours.py",
    "zeroshot/runs.py",
    "zeroshot/tagger.py",
    "zeroshot/task.py",
)


def digest(*parts: bytes | str) -> str:
    """Return the sha256 (hex) of the parts, each preceded by its length so that no two lists collide."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(f"{len(data)}:".encode())
        total.update(data)
    return total.hexdigest()


def package_hash(package: Path = PACKAGE) -> str:
    """Return the hash of the package's source as far as a lesson can depend on it."""
    return _source_hash(package, lambda name: not name.startswith(_OUTSIDE_LESSONS))


def training_hash(package: Path = PACKAGE) -> str:
    """Return the hash of the source that decides what a training run ends with."""
    return _source_hash(package, lambda name: name.startswith(_TRAINING))


def _source_hash(package: Path, wanted: Callable[[str], bool]) -> str:
    parts: list[bytes | str] = []
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package).as_posix()
        if path.suffix in {".py", ".js", ".css"} and wanted(name):
            parts += [name, path.read_bytes()]
    return digest(*parts)


def weights_hash(folder: Path = WEIGHTS) -> str:
    """Return the hash of the reference weights (names and bytes)."""
    parts: list[bytes | str] = []
    for path in sorted(folder.glob("*.safetensors")):
        parts += [path.name, path.read_bytes()]
    return digest(*parts)


def outside_weights_hash(data: Path | None) -> str:
    """Return a hash that changes when weights that are not ours come, go or change.

    Looked at, by name, size and time of change, are the places where lessons look for them: those that
    environment variables name, a folder `weights` beside one's own data, torch's folder of downloads.
    """
    import torch

    from llinet_lite.models import trunk_weights, vggish
    from llinet_lite.rivals import vgg

    named = [os.environ.get(module.VARIABLE, "") for module in (trunk_weights, vggish, vgg)]
    places = [Path(name).expanduser() for name in named if name]
    places += [] if data is None else [data.parent / "weights"]
    places += [Path(torch.hub.get_dir()) / "checkpoints"]
    files = [file for place in places for file in ([place] if place.is_file() else place.glob("*.*"))]
    known = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]
    return digest(json.dumps([named, sorted(known)]))


def notebook_hash(path: Path) -> str:
    """Return the hash of what a notebook says: its cells' types, tags and sources, not their outputs."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    said = [[cell["cell_type"], cell["metadata"].get("tags", []), "".join(cell["source"])] for cell in cells]
    return digest(json.dumps(said))


def data_hash(path: Path | None) -> str:
    """Return a hash that changes when the data at `path` change.

    A packed store names its own content. A folder of files is known by each
    file's name, size and time of change, which costs no reading of the files.
    Without a path the data are the built-in world, and that is source code.
    """
    if path is None:
        return "built-in world"
    manifest = path / "manifest.json"
    if manifest.is_file():
        content = json.loads(manifest.read_text(encoding="utf-8")).get("content_hash")
        if content:
            return str(content)
    parts = []
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        stat = file.stat()
        parts.append(f"{file.relative_to(path).as_posix()} {stat.st_size} {stat.st_mtime_ns}")
    return digest(*parts)
