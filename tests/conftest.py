"""What every test may ask for: real data if they are there, one thread for torch, tiny worlds."""

from __future__ import annotations

import contextlib
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


# -------------------------------------------------------------------- one tiny world for all rooms


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory):
    """The built-in world, very small: 40 px, 16 kHz, clips of 2 s with two images, all splits; read only.

    Frames and flow of train, val and test are there, too. Built once per run, whatever the number of workers.
    """
    from llinet_lite.data.bandstand import WorldSet, build, build_motion

    plan = WorldSet("tiny", 40, 16000, 2.0, 2, train_share=0.01, unseen_share=0.02, held_out=1, mixed=3)
    with shared_folder(tmp_path_factory, "tiny-store") as folder:
        store = build(folder, plan, workers=1, progress=False)
        build_motion(store, ("train", "val", "test"), workers=1, progress=False)
    return store


@pytest.fixture(scope="session")
def tiny_photos(tmp_path_factory):
    """Photos and recordings paired by class only, of four seen and two unseen classes; read only.

    Noise, each its own, 40 px and 16 kHz; unlike numbers; recordings of a later class are longer.
    """
    import numpy as np

    from llinet_lite.data.media import encode_jpeg, encode_png
    from llinet_lite.data.store import StoreWriter, write_shard

    names = ("cello", "flute", "harp", "snare drum", "violin", "tabla")
    seen = range(4)  # classes, photos and recordings of each
    sizes = {"train": (seen, 6, 4), "val": (seen, 3, 2), "test": (seen, 3, 4), "unseen": (range(4, 6), 3, 5)}
    manifest = {"name": "photos", "sample_rate": 16000, "seconds": 1.2, "image_size": 40}
    manifest |= {"classes": [{"name": name, "seen": k < 4} for k, name in enumerate(names)]}
    place = shared_folder(tmp_path_factory, "tiny-photos")
    with place as folder, StoreWriter(folder, {"photos": 1}) as writer:
        for number, (split, (labels, photos, recordings)) in enumerate(sizes.items()):
            rng, images, sounds = np.random.default_rng(number), [], []
            for label in labels:
                mask = np.zeros((40, 40), np.uint8)
                mask[10:20, 4 + label * 4 : 16 + label * 4] = 1
                for k in range(photos):
                    image = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
                    row = {"id": f"{split}/{label}/{k}.jpg", "clip": -1, "time": -1.0, "kind": "photo"}
                    row |= {"label": label, "factors": "{}", "jpeg": encode_jpeg(image, 95)}
                    images.append(row | {"objects": encode_png(mask)})
                for k in range(recordings):
                    audio = rng.integers(-9999, 9999, 19200 + 1600 * label).astype("<i2").tobytes()
                    row = {"id": f"{split}/{label}/{k}.wav", "kind": "recording", "audio": audio}
                    sounds.append(row | {"label": label, "factors": "{}"})
            write_shard(writer.folder, split, 0, images, sounds)
        return writer.finish(manifest, dict.fromkeys(sizes, 1))


@pytest.fixture(scope="session")
def trunk():
    """A frozen stand-in of random weights, 8 channels wide."""
    import torch

    from llinet_lite.models.trunks import Trunk

    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = Trunk("standin", width=8, classes=24)
    trunk.title = "stand-in of the tests"
    return trunk.freeze().eval()


@pytest.fixture
def tiny_workspace(tiny_store, tmp_path, monkeypatch):
    """Maker of workspaces under a tiny laptop profile on the tiny world, in a home without weights.

    `tiny_workspace()`; arguments as of Workspace, and numbers of the profile, as `epochs_ave=2`.
    """
    import dataclasses

    from llinet_lite import workspace
    from llinet_lite.profiles import PROFILES

    sizes = {"name": "laptop", "image_size": 40, "image_crop": 32}
    sizes |= {"batch_size": 8, "width": 8, "embedding": 16, "classes": 0}
    sizes |= {name: 1 for name in dataclasses.asdict(PROFILES["smoke"]) if name.startswith("epochs")}
    tiny = dataclasses.replace(PROFILES["smoke"], **sizes)
    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(workspace, "WEIGHTS", tmp_path / "packaged")
    monkeypatch.setitem(PROFILES, "laptop", tiny)
    monkeypatch.setattr(workspace, "world", lambda profile, **changes: tiny_store)

    def make(data=None, *, retrain=False, publish=False, lesson="", **numbers):
        profile = dataclasses.replace(tiny, **numbers)
        return workspace.Workspace(profile, data, retrain=retrain, publish=publish, lesson=lesson)

    return make


@contextlib.contextmanager
def shared_folder(tmp_path_factory, name: str):
    """A folder that all workers of a run share, held while it is filled."""
    import filelock

    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with filelock.FileLock(base / f"{name}.lock"):
        yield base / name
