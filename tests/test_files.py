"""Files are whole or not there."""

import errno
import os
import subprocess
import sys

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


def test_a_script_without_a_guard_ends_with_what_to_do(tmp_path):
    code = "import multiprocessing, pathlib\nfrom llinet_lite.files import alone_in\n"
    code += "with alone_in(pathlib.Path('store'), print):\n"
    code += "    work = multiprocessing.get_context('spawn').Process(target=print); work.start(); work.join()"
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, stderr=subprocess.PIPE, timeout=60)
    assert b'below `if __name__ == "__main__":`' in done.stderr
