"""What every test may ask for: real data if they are there, one thread for torch, no network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "agg")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def real() -> Path:
    """Folder of real photos and recordings: `$LLINET_REAL`, or `../shared/real`; skipped where absent."""
    folder = Path(os.environ.get("LLINET_REAL") or ROOT.parent / "shared" / "real")
    if not folder.is_dir():
        pytest.skip(f"no real photos and recordings at {folder}: set LLINET_REAL to test with them")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tests run side by side; each takes one core."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def no_network(monkeypatch):
    """Make every connection to another machine an error."""
    import socket

    def refuse(self, address, *rest):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in (
            "127.0.0.1",
            "::1",
            "localhost",
        ):
            raise AssertionError(f"a connection to {address} was tried: the course works without a network")
        return connect(self, address, *rest)

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", refuse)
