"""Files are whole or not there."""

import errno
import os

import pytest

from llinet_lite import files
from llinet_lite.files import write_whole


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_is_said_and_leaves_nothing_behind(tmp_path, monkeypatch, call):
    write_whole(tmp_path / "file", b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(OSError, match=r"no space left on the disk for 0.0 MB more.*is intact"):
        write_whole(tmp_path / "file", b"new")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"
