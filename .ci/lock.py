"""Write requirements.lock: one exact version for everything that pyproject.toml asks for, directly or not.

pip resolves `.[test]` against an empty environment without installing it; what it
would install becomes the pins. Run it through `make lock`, on Linux, with the oldest
Python that pyproject.toml allows, so that every pin exists for the newer ones too.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINUX_ONLY = ("nvidia-", "cuda-", "triton")
HEADER = "# Written by `make lock`; do not edit. Every package of `.[test]` and of its dependencies.\n"


def resolve() -> dict[str, str]:
    """Return {package: version} of everything that `pip install .[test]` installs on an empty machine."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--report", str(report), f"{ROOT}[test]"], check=True)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    packages = (item["metadata"] for item in found)
    return {p["name"].lower().replace("_", "-"): p["version"] for p in packages}


def main() -> None:
    pins = resolve()
    pins.pop("llinet-lite")
    lines = []
    for name, version in sorted(pins.items()):
        marker = ' ; sys_platform == "linux"' if name.startswith(LINUX_ONLY) else ""
        lines.append(f"{name}=={version}{marker}\n")
    (ROOT / "requirements.lock").write_text(HEADER + "".join(lines), encoding="utf-8")
    print(f"requirements.lock: {len(lines)} packages")


if __name__ == "__main__":
    main()
