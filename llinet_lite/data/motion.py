"""What moves around a picture: 25 frames and the optical flow between them, beside a store.

A third table that is built on demand and leaves the store as it is::

    motion.json                   recipe, and for every split its counts and hashes
    train/motion-00000.arrow      rows of MOTION_SCHEMA, one per clip

It belongs to the first picture of each clip (:func:`first_pictures`), which is the middle one of its
25 frames: the second around it at 25 frames per second. *Objects that Sound* (section 3.2) gives AVE-Net
either the 25 frames or one frame and ten fields of optical flow. The flow is computed between the frames
as they were filmed, before they are stored as JPEG.

Measured on one core, laptop profile (128 px; smoke, 72 px): 0.12 s (0.08 s) to make a clip, 164 kB (75 kB).

Notebook: 02
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import filelock
import numpy as np
import pyarrow as pa

from llinet_lite.data.bandstand import CLIPS_PER_SHARD, FRAME, WORLD_VERSION
from llinet_lite.data.flow import optical_flow, quantise
from llinet_lite.data.media import MediaError, decode_jpeg, encode_jpeg
from llinet_lite.data.parallel import Progress, cores, over_cores
from llinet_lite.data.store import Store, write_atomic
from llinet_lite.data.tables import ImageTable, StoreError, Table, open_table, shard_path
from llinet_lite.world.scenes import Scene

FRAMES = 25  # per row: 12 before the picture, itself, 12 after
FIELDS = 10  # between the 11 frames in the middle
LIMIT = 20 / 256  # largest flow that is kept, picture sides per frame
FLOW_QUALITY = 95  # of the JPEG that holds the fields: wrong by 0.08 levels of 127 on average
# What decides a row besides the picture; raise "motion" whenever the same picture gives another one.
RECIPE = {"motion": 1, "frames": FRAMES, "fields": FIELDS, "limit": LIMIT, "flow_quality": FLOW_QUALITY}
MOTION_SCHEMA = pa.schema(
    [
        ("image", pa.int32()),  # row of the image table
        ("frames", pa.list_(pa.binary())),  # 25 JPEGs, each as the picture itself is stored
        ("flow", pa.binary()),  # grey JPEG: u and v of field 0, u and v of field 1 ...; 128 is no motion
    ]
)
MANIFEST = "motion.json"


def first_pictures(images: ImageTable) -> np.ndarray:
    """Find the earliest picture of every clip, the one whose motion is kept.

    Parameters
    ----------
    images : ImageTable

    Returns
    -------
    rows : (clips,) int
        Rows of the image table, ascending.

    Raises
    ------
    ValueError
        The pictures belong to no clip.

    Notebook: 02
    """
    if (images.clip < 0).any():
        raise ValueError("photos do not move: only pictures that belong to a clip have frames and flow")
    order = np.lexsort((images.time, images.clip))
    return np.sort(order[np.unique(images.clip[order], return_index=True)[1]])


# --------------------------------------------------------------------- reading


class Motion:
    """The frames and the flow of one split, memory mapped.

    Parameters
    ----------
    store : Store
    split : str

    Attributes
    ----------
    image : (n,) int array
        Row of the image table that each row belongs to, ascending: :func:`first_pictures`.
    limit : float
        Pixels per frame that the value 127 of the flow stands for.

    Raises
    ------
    StoreError
        Not built yet, or for other pictures than the store now holds.

    Notebook: 02
    """

    def __init__(self, store: Store, split: str):
        self.store, self.split = store, split
        _check_world(store)
        store.images(split)  # refuses an unknown split
        if not _built(store, split):
            raise StoreError(
                f"{store.folder}/{split}: no frames and no flow of these pictures; build them with "
                f'build_motion(store, ["{split}"])'
            )
        facts = _manifest(store.folder)["splits"][split]
        self._rows = Table(open_table(store.folder, split, "motion", facts["shards"]))
        self.image = self._rows._column("image").to_numpy()
        if not np.array_equal(self.image, first_pictures(store.images(split))):
            raise StoreError(
                f"{store.folder}/{split}: the motion shards belong to other pictures; "
                f"delete {MANIFEST} and build them again"
            )
        self.limit = LIMIT * store.manifest["image_size"]

    def __reduce__(self):  # a worker process opens its own memory maps
        return Motion, (self.store, self.split)

    def __len__(self) -> int:
        return len(self.image)

    def frames(self, i: int) -> np.ndarray:
        """The second around row ``i``: (25, H, W, 3) uint8 RGB, 0.04 s apart."""
        return np.stack(
            [decode_jpeg(cell.as_buffer()) for cell in self._rows._row(i).column("frames")[0].values]
        )

    def flow(self, i: int) -> np.ndarray:
        """Flow in the middle of row ``i``: (10, 2, H, W) int8, u then v, in units of ``limit / 127``."""
        mosaic = cv2.imdecode(self._rows._bytes(i, "flow"), cv2.IMREAD_GRAYSCALE)
        if mosaic is None:
            raise MediaError(f"flow of row {i} of {self.split}", "cannot be decoded; build it again")
        values = (mosaic ^ 128).view(np.int8)  # value - 128
        return values.reshape(FIELDS, 2, -1, mosaic.shape[1])  # (20 H, W) -> (10, 2, H, W)

    def verify(self) -> None:
        """Read everything and compare it with the hash in the manifest.

        Raises
        ------
        StoreError
            The split was changed after it was built.
        """
        if _hash(self._rows) != _manifest(self.store.folder)["splits"][self.split]["sha256"]:
            raise StoreError(
                f"{self.store.folder}/{self.split}: the motion shards are not those that were built"
            )


def _check_world(store: Store) -> None:
    """Refuse a store whose scenes cannot be filmed again."""
    version = store.manifest["plan"].get("world")
    if version is None:
        raise StoreError(
            f"{store.folder}: photos do not move; frames and flow are made for the built-in world only"
        )
    if version != WORLD_VERSION:
        raise StoreError(
            f"{store.folder}: made by version {version} of the built-in world, this is {WORLD_VERSION}; "
            "build the store again"
        )


def _manifest(folder: Path) -> dict:
    """motion.json; as if nothing were built where there is none, or one of another recipe."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        manifest = {}
    except ValueError as error:
        raise StoreError(f"{path}: damaged ({error}); delete it and build again") from error
    return manifest if manifest.get("recipe") == RECIPE else {"recipe": RECIPE, "splits": {}}


def _built(store: Store, split: str) -> bool:
    """Whether the motion of the pictures that the split holds now is complete."""
    facts = _manifest(store.folder)["splits"].get(split, {})
    return "sha256" in facts and facts["pictures"] == store.splits[split]["sha256"]


def _hash(rows: Table) -> str:
    """sha256 over every value of every row, in order."""
    digest = hashlib.sha256(f"{len(rows)}\n".encode())
    for batch in rows._rows.data.to_batches():
        for image, frames, flow in zip(*batch.columns, strict=True):
            for data in (str(image).encode(), *(cell.as_buffer() for cell in (*frames.values, flow))):
                digest.update(len(data).to_bytes(8, "little"))
                digest.update(data)
    return digest.hexdigest()


# -------------------------------------------------------------------- building


def build_motion(
    store: Store,
    splits: Sequence[str] = ("train", "val", "test"),
    workers: int | None = None,
    progress: bool = True,
) -> dict[str, Motion]:
    """Film the second around the first picture of every clip once more; what is already there is kept.

    Parameters
    ----------
    store : Store
        A built-in world.
    splits : sequence of str
    workers : int, optional
        Processes; default: one per core. The bytes do not depend on it.
    progress : bool
        Say what it will take, and show how far it is.

    Returns
    -------
    motion : dict of str to Motion
        By split.

    Raises
    ------
    StoreError
        A store of photos, an unknown split, a disk that is too small, another process at work in the folder.

    Examples
    --------
    >>> motion = build_motion(store)["test"]                       # doctest: +SKIP
    >>> motion.frames(0).shape, motion.flow(0).shape               # doctest: +SKIP
    ((25, 128, 128, 3), (10, 2, 128, 128))

    Notebook: 02
    """
    _check_world(store)
    for split in splits:
        store.images(split)  # refuses an unknown split
    missing = [split for split in splits if not _built(store, split)]
    if missing:
        with _locked(store.folder):
            _build(store, missing, workers, progress)
    return {split: Motion(store, split) for split in splits}


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The lock of the store's own builder: it would take our temporary files for leftovers."""
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise StoreError(f"{folder}: another process is building this store; wait for it") from None
    try:
        yield
    finally:
        lock.release()


def _build(store: Store, splits: list[str], workers: int | None, progress: bool) -> None:
    clips = {split: len(first_pictures(store.images(split))) for split in splits}
    shards = {split: -(-count // CLIPS_PER_SHARD) for split, count in clips.items()}
    manifest = _claim(store, splits)
    tasks = [
        (str(store.folder), split, k)
        for split, count in shards.items()
        for k in range(count)
        if not shard_path(store.folder, split, "motion", k).exists()
    ]
    left = sum(min(CLIPS_PER_SHARD, clips[split] - k * CLIPS_PER_SHARD) for _, split, k in tasks)
    _announce(store, left, splits, workers or cores(), progress)
    line = Progress(left, f"motion of {store.manifest['name']}", "clips", progress)
    for _, count in over_cores(_film_shard, tasks, workers):
        line.add(count)
    for split in splits:
        rows = Table(open_table(store.folder, split, "motion", shards[split]))
        manifest["splits"][split] |= {"clips": len(rows), "shards": shards[split], "sha256": _hash(rows)}
    _write_manifest(store.folder, manifest)


def _claim(store: Store, splits: list[str]) -> dict:
    """Throw away shards of another recipe or of other pictures, and note what the new ones belong to."""
    manifest = _manifest(store.folder)
    for leftover in store.folder.glob("*/motion-*.tmp"):
        leftover.unlink()
    for split in splits:
        pictures = store.splits[split]["sha256"]
        if manifest["splits"].get(split, {}).get("pictures") != pictures:
            for stale in (store.folder / split).glob("motion-*"):
                stale.unlink()
            manifest["splits"][split] = {"pictures": pictures}
    _write_manifest(store.folder, manifest)
    return manifest


def _write_manifest(folder: Path, manifest: dict) -> None:
    made = {"python": sys.version.split()[0], "numpy": np.__version__, "opencv": cv2.__version__}
    full = {**manifest, "command": "llinet_lite.data.motion.build_motion", "made_by": made}
    write_atomic(folder / MANIFEST, json.dumps(full, indent=1).encode())


def _announce(store: Store, clips: int, splits: list[str], workers: int, progress: bool) -> None:
    """Say how much and how long before anything starts; refuse a disk that is too small."""
    pixels = store.manifest["image_size"] ** 2
    gigabytes = clips * (3e4 + 8.2 * pixels) / 1e9
    minutes = clips * (0.06 + 4e-6 * pixels) / workers / 60
    free = shutil.disk_usage(store.folder).free / 1e9
    if free < gigabytes:
        raise StoreError(
            f"{store.folder}: frames and flow of {clips} clips need about {gigabytes:.1f} GB, "
            f"{free:.1f} GB are free on that disk. Free some space, or name fewer splits."
        )
    if progress:
        print(
            f"motion of {store.manifest['name']}: {clips} clips ({', '.join(splits)}), about "
            f"{gigabytes:.2f} GB and {minutes:.1f} minutes with {workers} processes",
            file=sys.stderr,
            flush=True,
        )


def _film_shard(folder: str, split: str, shard: int) -> int:
    """Make and write one shard; the unit of work of a process."""
    store = Store(folder)
    first = shard * CLIPS_PER_SHARD
    rows = first_pictures(store.images(split))[first : first + CLIPS_PER_SHARD]
    made = pa.RecordBatch.from_pylist([_film(store, split, row) for row in rows.tolist()], MOTION_SCHEMA)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, MOTION_SCHEMA) as stream:
        stream.write_batch(made)
    write_atomic(shard_path(folder, split, "motion", shard), sink.getvalue())
    return len(rows)


def _film(store: Store, split: str, row: int) -> dict:
    """Make the row of the motion table that belongs to one picture."""
    images, size = store.images(split), store.manifest["image_size"]
    facts, middle = images.factors(row), round(float(images.time[row]) / FRAME)
    scene = Scene(
        facts["name"], facts["seed"], facts["kind"], partner=facts["partner"], seconds=facts["seconds"]
    )
    half = FRAMES // 2
    times = FRAME * np.arange(middle - half, middle + half + 1)
    frames = np.stack([scene.frame(t, size) for t in times])  # (25, H, W, 3)
    if np.abs(frames[half].astype(int) - images.image(row)).mean() > 8:
        raise StoreError(
            f"{store.folder}: the built-in world now shows {images.id[row]} otherwise than it is stored; "
            "build the store again"
        )
    inner = frames[half - FIELDS // 2 : half + FIELDS // 2 + 1]
    flow = quantise(optical_flow(inner), LIMIT * size).reshape(-1, size)  # (10, 2, H, W) -> (20 H, W)
    quality = [cv2.IMWRITE_JPEG_QUALITY, FLOW_QUALITY]
    return {
        "image": row,
        "frames": [encode_jpeg(frame, store.manifest["plan"]["quality"]) for frame in frames],
        "flow": cv2.imencode(".jpg", flow.view(np.uint8) ^ 128, quality)[1].tobytes(),
    }
