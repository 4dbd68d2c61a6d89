"""Files that are whole or absent: full disks, interruptions, other networks, half lines."""

import errno
import threading

import pytest
import torch
from torch import nn

from llinet_lite import checkpoint
from llinet_lite.checkpoint import (
    CheckpointError,
    JsonLines,
    alone_in,
    load_weights,
    packed,
    refuse_other_settings,
    remove_stale,
    save_weights,
    unpacked,
    write_atomic,
)


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 2))


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    write_atomic(path, b"old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(
        CheckpointError, match=r"No space left for .*last\.ckpt .*the previous file is intact"
    ):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(CheckpointError, match="nothing was written"):
        write_atomic(tmp_path / "other", b"new")


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    write_atomic(path, b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_weights_say_what_they_are_and_refuse_another_network(tmp_path):
    model = network().to(memory_format=torch.channels_last)
    save_weights(tmp_path / "w.safetensors", model, {"seed": 3, "metrics": {"accuracy": 0.8}})
    other = network(seed=1)
    assert load_weights(tmp_path / "w.safetensors", other) == {"seed": 3, "metrics": {"accuracy": 0.8}}
    for mine, theirs in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)
    with pytest.raises(
        CheckpointError, match=r"is of another network: 0\.weight is \(4, 1, 3, 3\) in the file"
    ):
        load_weights(tmp_path / "w.safetensors", nn.Sequential(nn.Conv2d(1, 8, 3)))
    (tmp_path / "w.safetensors").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="holds no readable weights"):
        load_weights(tmp_path / "w.safetensors", model)


def test_log_survives_half_a_line(tmp_path):
    log = JsonLines(tmp_path / "log.jsonl")
    log.append({"step": 1, "loss": torch.tensor(0.5), "bad": float("nan")})
    with open(log.path, "ab") as file:
        file.write(b'{"step": 2, "lo')
    again = JsonLines(log.path)
    assert again.records == [{"step": 1, "loss": 0.5, "bad": None}]
    again.keep(lambda line: line["step"] < 1)
    assert log.path.read_bytes() == b""


def test_stale_files_are_removed_and_others_kept(tmp_path):
    (tmp_path / ".last.ckpt.77.tmp").write_bytes(b"half")
    (tmp_path / "last.ckpt").write_bytes(b"whole")
    assert [path.name for path in remove_stale(tmp_path)] == [".last.ckpt.77.tmp"]
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_settings_that_differ_are_named():
    refuse_other_settings("x", {"a": 1}, {"a": 1})
    with pytest.raises(
        CheckpointError, match="a is 2 now and was 1; b is 'absent' now and was 0; c is 3 now"
    ):
        refuse_other_settings("x", {"a": 1, "b": 0}, {"a": 2, "c": 3})


def test_packed_weights_are_small_close_and_packed_but_once():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(32, 5))
    state = model.state_dict() | {"zero": torch.zeros(4, 6), "tiny": 1e-12 * torch.randn(4, 6)}
    small = packed(state)
    assert small["0.weight"].dtype == torch.int8 and small["0.bias"].dtype == torch.float16
    again = unpacked(small)
    assert again.keys() == state.keys()
    for name, value in state.items():
        if value.is_floating_point() and value.ndim > 1:
            step = value.flatten(1).abs().amax(1) / 127
            error = (again[name] - value).flatten(1).abs().amax(1)
            assert (error <= 0.51 * step * (1 + 2**-7) + 127 * step * 2**-8).all(), name
        else:
            assert torch.equal(again[name], value.half().float() if value.is_floating_point() else value)
    twice = unpacked(packed(again))
    assert all(torch.equal(twice[name], again[name]) for name in state)
    model.load_state_dict({name: again[name] for name in model.state_dict()})


def test_two_processes_do_not_train_in_one_folder_at_once(tmp_path):
    said, order, folder = [], [], tmp_path / "runs" / "net-1-0"
    inside, leave = threading.Event(), threading.Event()

    def first():
        with alone_in(folder, said.append):
            inside.set()
            leave.wait(30)
            order.append("first")

    def second():
        with alone_in(folder, lambda line: (said.append(line), leave.set())):
            order.append("second")

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    assert inside.wait(30)
    two.start()
    for thread in (one, two):
        thread.join(30)
    assert order == ["first", "second"]
    assert len(said) == 1 and str(folder) in said[0] and "waiting" in said[0]
    with alone_in(None, said.append):  # nothing is kept, so nothing is held
        pass
