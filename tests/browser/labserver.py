"""A JupyterLab server of the tests' own: a free port, its own home, nothing of the user touched."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180  # a busy machine takes its time to import the server
# What a reader would answer on the first day, and every cell in the page even when scrolled away.
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false"}
    | dict.fromkeys(("checkForUpdates", "doNotDisturbMode"), False),
    "notebook-extension/tracker": {"windowingMode": "none"},
}


@dataclass(frozen=True)
class LabServer:
    """A running server."""

    url: str  # http://127.0.0.1:<port>
    token: str
    folder: Path  # where copies of notebooks go, inside the checkout that the server shows

    def lend(self, notebook: Path) -> str:
        """Copy a notebook into the server's folder; return the address that opens the copy."""
        copy = self.folder / notebook.name
        shutil.copyfile(notebook, copy)
        return f"{self.url}/lab/tree/{copy.relative_to(ROOT).as_posix()}?token={self.token}"


def environment(home: Path) -> dict[str, str]:
    """Return the server's environment: whatever Jupyter and the course write goes below `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    folders = {
        "HOME": "",
        "XDG_CACHE_HOME": "cache",
        "XDG_CONFIG_HOME": "config",
        "MPLCONFIGDIR": "matplotlib",
        "JUPYTER_CONFIG_DIR": "jupyter",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "LLINET_HOME": "",  # nothing trained by the user: the reference weights
    }
    return kept | {name: str(home / at) for name, at in folders.items()} | {"JUPYTER_PREFER_ENV_PATH": "1"}


def furnish(home: Path, variables: dict[str, str]) -> None:
    """Write the settings, and let matplotlib list its fonts once, as on any machine in use."""
    (ROOT / "runs" / "data").mkdir(parents=True, exist_ok=True)
    (home / "runs").mkdir(parents=True)
    (home / "runs" / "data").symlink_to(ROOT / "runs" / "data")  # the world may be there already
    for name, values in SETTINGS.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values), "utf-8")
    subprocess.run([sys.executable, "-c", "import matplotlib.pyplot"], env=variables, check=True, timeout=300)


@contextlib.contextmanager
def serve(folder: Path, home: Path, log: Path) -> Iterator[LabServer]:
    """Run JupyterLab over the checkout until the block ends; `home` and `log` get all that it writes."""
    variables = environment(home)
    furnish(home, variables)
    token = secrets.token_hex(16)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={ROOT}"),
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    ]
    server = LabServer(f"http://127.0.0.1:{port}", token, folder)
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
    try:
        wait_for(server, process, log)
        yield server
    finally:
        process.terminate()  # the server ends its kernels first
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def wait_for(server: LabServer, process: subprocess.Popen, log: Path) -> None:
    """Return when the server answers; raise with the end of its log if it does not."""
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open  # no proxy to one's own machine
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with ask(f"{server.url}/api/status?token={server.token}", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.25)
    why = f"no answer in {START_SECONDS} s" if process.poll() is None else f"it ended with {process.poll()}"
    raise RuntimeError(f"JupyterLab did not start, {why}:\n{log.read_text('utf-8', 'replace')[-3000:]}")
