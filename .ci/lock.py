"""Write requirements.lock: one exact version for everything that pyproject.toml asks for, directly or not.

pip resolves `.[test,book]` against an empty environment without installing it; what it
would install becomes the pins. Run it through `make lock`, on Linux, with the oldest
Python that pyproject.toml allows, so that every pin exists for the newer ones too.
What only a newer Python needs, pip does not see from there: that is named in `LATER`,
and tests/test_packaging.py finds what is missing in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINUX_ONLY = ("nvidia-", "cuda-", "triton")
# Python 3.13 dropped aifc, sunau, chunk and audioop from its library; librosa and audioread still
# ask for them, as packages that go by the marker. {package: (version, first Python that needs it)}
LATER = {
    "audioop-lts": ("0.2.2", "3.13"),
    "standard-aifc": ("3.13.0", "3.13"),
    "standard-chunk": ("3.13.0", "3.13"),
    "standard-sunau": ("3.13.0", "3.13"),
}
HEADER = "# Written by `make lock`; do not edit. Every package of `.[test,book]` and of its dependencies.\n"


def resolve() -> dict[str, str]:
    """Return {package: version} of all that `pip install .[test,book]` installs on an empty machine."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--report", str(report), f"{ROOT}[test,book]"], check=True)
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    packages = (item["metadata"] for item in found)
    return {p["name"].lower().replace("_", "-"): p["version"] for p in packages}


def lines_of(pins: dict[str, str]) -> list[str]:
    """Return the lines of the lock, in order: the pins, and those that only a later Python needs."""
    lines = []
    for name, version in sorted((pins | {name: later[0] for name, later in LATER.items()}).items()):
        marker = ' ; sys_platform == "linux"' if name.startswith(LINUX_ONLY) else ""
        if name in LATER:
            marker = f' ; python_version >= "{LATER[name][1]}"'
        lines.append(f"{name}=={version}{marker}\n")
    return lines


def main() -> None:
    pins = resolve()
    pins.pop("llinet-lite")
    lines = lines_of(pins)
    (ROOT / "requirements.lock").write_text(HEADER + "".join(lines), encoding="utf-8")
    print(f"requirements.lock: {len(lines)} packages")


if __name__ == "__main__":
    main()
