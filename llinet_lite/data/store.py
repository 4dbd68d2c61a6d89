"""The one packed form that every experiment trains from: Arrow files and a manifest.

A store is a folder::

    manifest.json                 what is in it, how it was made, its content hash
    plan.json                     the settings it was begun with (a killed build is resumed)
    train/images-00000.arrow      rows of images: a JPEG each, with its label, clip and time
    train/sounds-00000.arrow      rows of sounds: int16 mono samples each
    ...                           further shards and splits

Images and sounds are two tables, so that photos and recordings that are paired only by class fit as well.
``datasets`` opens the files memory mapped, and nothing is read before it is asked for.
Notebook: 00
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llinet_lite.data.media import decode_jpeg, decode_png
from llinet_lite.files import refuse_worker, write_whole

FORMAT = 1  # version of the layout described above
ANEW = "delete the folder of the store and build it again"
TEXT, NUMBER, BINARY = pa.string(), pa.int32(), pa.binary()
IMAGE_COLUMNS = {
    "id": TEXT,  # unique in its split
    "clip": NUMBER,  # row of its sound in the split; -1: paired by class only
    "label": NUMBER,  # index into the manifest's classes
    "kind": TEXT,  # kind of scene; "photo" for imported images
    "time": pa.float32(),  # seconds into the clip; -1 for a photo
    "jpeg": BINARY,
    "objects": BINARY,  # PNG: 0 background, k + 1 = object k; empty: no masks
    "factors": TEXT,  # JSON: whatever is known about how it came to be
}
SOUND_COLUMNS = {"id": TEXT, "label": NUMBER, "kind": TEXT, "audio": BINARY, "factors": TEXT}  # int16 mono
SCHEMAS = {"images": pa.schema(IMAGE_COLUMNS), "sounds": pa.schema(SOUND_COLUMNS)}


class StoreError(RuntimeError):
    """A store that is missing, unfinished, damaged, or made with other settings."""


# --------------------------------------------------------------------- writing


def write_table(path, schema: pa.Schema, rows: list[dict]) -> None:
    """Write rows as one Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as stream:
        for first in range(0, max(1, len(rows)), 64):  # small batches stay far below Arrow's 2 GB
            stream.write_batch(pa.RecordBatch.from_pylist(rows[first : first + 64], schema))
    write_whole(path, sink.getvalue())


def write_shard(folder, split: str, index: int, images: list[dict], sounds: list[dict]) -> None:
    """Write one shard of both tables; processes may write different shards at the same time."""
    for table, rows in (("images", images), ("sounds", sounds)):
        write_table(shard_path(folder, split, table, index), SCHEMAS[table], rows)


def over_cores(
    function: Callable, tasks: list[tuple], workers: int | None = None, label: str = "", bar: bool = False
) -> Iterator:
    """Yield ``function(*task)`` for every task, in order, from `workers` processes (default: all cores)."""
    from joblib import Parallel, cpu_count, delayed
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    jobs = max(1, min(workers or cpu_count(), len(tasks)))
    options = {"inner_max_num_threads": 1, "initializer": _start_worker, "initargs": (os.getpid(),)}
    parallel = Parallel(jobs, "loky", return_as="generator", **(options if jobs > 1 else {}))
    with threadpool_limits(1):
        results = parallel(delayed(function)(*task) for task in tasks)
        every = 0.2 if sys.stdout.isatty() else 5  # a notebook and a log keep every line
        yield from tqdm(results, label, len(tasks), file=sys.stdout, mininterval=every, disable=not bar)


def _start_worker(parent: int) -> None:
    """One thread in a worker; it ends with its parent, even a killed one."""
    import cv2

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    cv2.setNumThreads(1)
    threading.Thread(target=follow, daemon=True).start()


@contextlib.contextmanager
def locked(folder) -> Iterator[None]:
    """Hold the lock of a store's folder; refuse at once where another process holds it."""
    refuse_worker()
    try:
        with filelock.FileLock(Path(folder) / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise StoreError(f"{folder}: another process is building this store; wait for it") from None


def announce(folder, size: float, what: str, progress: bool) -> None:
    """Say what a build will take before it starts; refuse a disk with less than `size` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise StoreError(
            f"{folder}: {what} need about {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free on that disk. "
            "Name a folder on another disk."
        )
    if progress:
        print(f"{what}: about {size / 1e9:.2f} GB -> {Path(folder).name}", file=sys.stderr, flush=True)


def check_limits(settings: dict, limits: dict[str, tuple], of: str = "") -> None:
    """Refuse a setting outside its limits, and a rate without whole samples per frame."""
    for name, (low, high) in limits.items():
        if not low <= settings[name] <= high:
            raise ValueError(f"{of}{name} must lie between {low} and {high}, not be {settings[name]}")
    if settings["sample_rate"] % 25:
        raise ValueError(f"{of}sample_rate must be a multiple of 25 Hz, not {settings['sample_rate']}")


class StoreWriter:
    """Builds a store, shard by shard, where it stopped if it was killed, and holds a lock on its folder.

    `plan`: the JSON-able settings that decide every row; a folder begun with others is refused (StoreError).
    """

    def __init__(self, folder, plan: dict):
        self.folder, self.plan = Path(folder), json.loads(json.dumps(plan))
        self.manifest = self.folder / "manifest.json"

    def __enter__(self) -> StoreWriter:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder}: this folder cannot be made ({error.strerror})") from error
        with contextlib.ExitStack() as held:
            held.enter_context(locked(self.folder))
            for stale in self.folder.rglob("*.tmp"):
                stale.unlink(missing_ok=True)
            self._claim()
            self._held = held.pop_all()
        return self

    def __exit__(self, *_):
        self._held.close()

    def _claim(self) -> None:
        """Check the folder's plan against ours, or write ours."""
        begun, new = self.folder / "plan.json", self.plan
        if not begun.exists():
            if any(path.name != ".lock" for path in self.folder.iterdir()):
                raise StoreError(f"{self.folder}: not empty, and holds no store; name another folder")
            write_whole(begun, json.dumps(new, indent=1, ensure_ascii=False).encode())
            return
        try:
            old = json.loads(begun.read_text("utf-8"))
        except ValueError:
            old = {"plan": "damaged"}
        keys = [key for key in sorted(old.keys() | new) if old.get(key) != new.get(key)]
        if keys:
            changes = [f"{k}: {str(old.get(k))[:60]} there, {str(new.get(k))[:60]} now" for k in keys]
            raise StoreError(
                f"{self.folder}: this store was begun with other settings ({'; '.join(changes)}). "
                "Name another folder, or delete this one (llinet import: add --rebuild) to build it again."
            )

    @property
    def finished(self) -> bool:
        """Whether there is a whole store already."""
        return whole(self.folder)

    def missing(self, split: str, shards: int) -> list[int]:
        """Numbers of the shards of a split that are still to be written."""
        return missing_shards(self.folder, split, shards)

    def finish(self, manifest: dict, shards: dict[str, int]) -> Store:
        """Count and hash the splits of so many `shards`, write the manifest, and open the store.

        Splits that were built again must hold the rows that the manifest names.
        """
        splits = Store(self.folder).splits if self.manifest.is_file() else {}
        for split, count in shards.items():
            tables = open_tables(self.folder, split, count)
            sizes = dict(zip(SCHEMAS, map(len, tables), strict=True))
            facts = {**sizes, "shards": count, "sha256": hash_rows(tables)}
            if splits.setdefault(split, facts) != facts:
                raise StoreError(f"{self.folder / split}: not the rows that were built first; {ANEW}")
        full = {"format": FORMAT, "excluded": [], "warnings": []} | manifest
        full |= {"splits": splits, "plan": self.plan}
        facts = {key: full[key] for key in ("sample_rate", "seconds", "image_size", "classes")}
        content = [facts, {split: one["sha256"] for split, one in splits.items()}]
        content = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        full |= {"content_hash": hashlib.sha256(content.encode()).hexdigest()}
        write_whole(self.manifest, json.dumps(full, indent=1, ensure_ascii=False).encode())
        return Store(self.folder)


def hash_rows(tables: tuple[ImageTable, SoundTable]) -> str:
    """sha256 over every value of every row, in order; the same however the rows are cut into shards."""
    digest = hashlib.sha256()
    for (name, schema), table in zip(SCHEMAS.items(), tables, strict=True):
        digest.update(f"{name} {len(table)}\n".encode())
        for batch in table.rows.data.to_batches():
            for row in zip(*(batch.column(field.name) for field in schema), strict=True):
                for value in row:
                    if hasattr(value, "as_buffer"):  # text or bytes
                        data = value.as_buffer()
                        digest.update(len(data).to_bytes(8, "little"))
                        digest.update(data)
                    else:
                        digest.update(repr(value.as_py()).encode() + b";")
    return digest.hexdigest()


# --------------------------------------------------------------------- reading


def shard_path(folder, split: str, table: str, index: int) -> Path:
    """File of one shard of a table."""
    return Path(folder) / split / f"{table}-{index:05d}.arrow"


def missing_shards(folder, split: str, shards: int) -> list[int]:
    """Numbers of the shards of a split of which a table is missing."""
    paths = ([shard_path(folder, split, table, k) for table in SCHEMAS] for k in range(shards))
    return [k for k, pair in enumerate(paths) if not all(path.exists() for path in pair)]


def whole(folder) -> bool:
    """Whether there is a manifest, and every shard that it names."""
    there = (Path(folder) / "manifest.json").is_file()
    splits = Store(folder).splits.items() if there else ()
    return there and not any(missing_shards(folder, split, facts["shards"]) for split, facts in splits)


def open_table(folder, split: str, table: str, shards: int):
    """Memory-map all shards of a table as one ``datasets.Dataset`` that hands out Arrow rows."""
    from datasets import Dataset, concatenate_datasets

    parts = []
    for k in range(shards):
        path = shard_path(folder, split, table, k)
        try:
            parts.append(Dataset.from_file(str(path)))
        except FileNotFoundError:
            raise StoreError(f"{path}: this shard is missing; build the store again") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(f"{path}: this shard is damaged ({error}); delete it and build again") from error
    return concatenate_datasets(parts).with_format("arrow")


def open_tables(folder, split: str, shards: int) -> tuple[ImageTable, SoundTable]:
    """Open the images and the sounds of a split."""
    images, sounds = (open_table(folder, split, table, shards) for table in SCHEMAS)
    return ImageTable(images), SoundTable(sounds)


class SplitTable:
    """One table of one split; `label` (n,) int32, `id` list of str and `kind` (n,) str describe its rows."""

    label = cached_property(lambda self: self.column("label").to_numpy())
    id = cached_property(lambda self: self.column("id").to_pylist())
    kind = cached_property(lambda self: np.array(self.column("kind").to_pylist(), dtype=str))

    def __init__(self, rows):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> pa.ChunkedArray:
        """A whole column."""
        return self.rows.data.column(name)

    def row(self, i: int) -> pa.Table:
        """One row."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} of a table with {len(self)} rows")
        return self.rows[int(i)]

    def bytes(self, i: int, name: str) -> np.ndarray:
        """A binary cell, (n,) uint8: a read-only view into the file (an Arrow scalar's buffer is a copy)."""
        cell = self.row(i).column(name).chunk(0)
        _, offsets, data = cell.buffers()
        first, last = np.frombuffer(offsets, np.int32)[cell.offset : cell.offset + 2].tolist()
        return np.frombuffer(data or b"", np.uint8, last - first, first)

    def factors(self, i: int) -> dict:
        """What is known about how row ``i`` came to be."""
        return json.loads(self.row(i).column("factors")[0].as_py() or "{}")


class ImageTable(SplitTable):
    """The images of a split; `clip` (n,) int32 and `time` (n,) float32: see IMAGE_COLUMNS."""

    clip = cached_property(lambda self: self.column("clip").to_numpy())
    time = cached_property(lambda self: self.column("time").to_numpy())

    def image(self, i: int) -> np.ndarray:
        """Image ``i``: (H, W, 3) uint8 RGB."""
        return decode_jpeg(self.bytes(i, "jpeg"))

    def objects(self, i: int) -> np.ndarray | None:
        """Who is where in image ``i``: (H, W) uint8, 0 background, k + 1 = object k; None: no masks."""
        data = self.bytes(i, "objects")
        return decode_png(data) if len(data) else None


class SoundTable(SplitTable):
    """The sounds of a split; `length` (n,) int64: samples of each."""

    length = cached_property(lambda self: pc.binary_length(self.column("audio")).to_numpy() // np.int64(2))

    def audio(self, i: int, start: int = 0, length: int | None = None) -> np.ndarray:
        """Samples ``start`` to ``start + length`` (None: to the end) of sound ``i``: (length,) int16."""
        data = self.bytes(i, "audio")
        total = len(data) // 2
        length = total - start if length is None else length
        if start < 0 or length < 0 or start + length > total:
            # nothing is padded
            raise ValueError(f"samples {start} to {start + length} leave sound {i} ({total} samples)")
        return data[2 * start : 2 * (start + length)].view("<i2")


class Store:
    """A packed data set, opened for reading; StoreError where there is none, or an unfinished one.

    Its `manifest` (dict) has name, sample_rate (Hz), seconds, image_size (short side, pixels), classes
    ({"name", "seen"} by label), splits (their numbers of images, sounds and shards, and hashes), content_hash
    (sha256 over all rows in order: the name of this very data), excluded, warnings and more.
    """

    classes = property(lambda self: self.manifest["classes"])
    sample_rate = property(lambda self: self.manifest["sample_rate"])
    splits = property(lambda self: self.manifest["splits"])
    content_hash = property(lambda self: self.manifest["content_hash"])

    def __init__(self, folder):
        self.folder = Path(folder)
        path = self.folder / "manifest.json"
        try:
            self.manifest = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            what = "holds no store (no manifest.json); build one with `llinet world build` or `llinet import`"
            if (self.folder / "plan.json").exists():
                what = "was begun but not finished; run the command that builds it again"
            raise StoreError(f"{self.folder}: {what}") from None
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: cannot be read ({error}); delete it and build again") from error
        found = self.manifest.get("format")
        if found != FORMAT:
            raise StoreError(f"{path}: format {found!r}, but this version reads {FORMAT}; {ANEW}")
        self._tables = {}

    def __reduce__(self):  # a worker process opens its own memory maps
        return Store, (self.folder,)

    def __repr__(self) -> str:
        parts = ", ".join(f"{k} {split['images']}/{split['sounds']}" for k, split in self.splits.items())
        return f"Store({str(self.folder)!r}: images/sounds: {parts}; {self.content_hash[:12]})"

    def _split(self, split: str) -> tuple[ImageTable, SoundTable]:
        if split not in self.splits:
            raise StoreError(f"{self.folder}: no split {split!r}; there are {', '.join(self.splits)}")
        if split not in self._tables:
            facts = self.splits[split]
            tables = self._tables[split] = open_tables(self.folder, split, facts["shards"])
            if [*map(len, tables)] != [facts["images"], facts["sounds"]]:
                raise StoreError(f"{self.folder / split}: not as many rows as its manifest says; {ANEW}")
        return self._tables[split]

    def images(self, split: str) -> ImageTable:
        """The images of a split."""
        return self._split(split)[0]

    def sounds(self, split: str) -> SoundTable:
        """The sounds of a split."""
        return self._split(split)[1]

    def verify(self) -> None:
        """Read everything and compare it with the hashes in the manifest; StoreError where they differ."""
        for split, facts in self.splits.items():
            if hash_rows(open_tables(self.folder, split, facts["shards"])) != facts["sha256"]:
                raise StoreError(f"{self.folder / split}: the rows are not those that were built; {ANEW}")


# ---------------------------------------------------------------- several stores as one


class JoinedTable:
    """Tables of several stores one after the other; labels and clips are counted on from table to table."""

    label = cached_property(lambda self: self._column("label", self._labels))
    clip = cached_property(lambda self: self._column("clip", self._clips))
    time = cached_property(lambda self: self._column("time"))
    kind = cached_property(lambda self: self._column("kind"))
    length = cached_property(lambda self: self._column("length"))
    id = cached_property(lambda self: [name for table in self._tables for name in table.id])

    def __init__(self, tables: list[SplitTable], labels: list[int], clips: list[int]):
        self._tables, self._labels, self._clips = tables, labels, clips
        self._first = np.cumsum([0, *map(len, tables)])

    def __len__(self) -> int:
        return int(self._first[-1])

    def _column(self, name: str, counted_on: list[int] | None = None) -> np.ndarray:
        parts = [getattr(table, name) for table in self._tables]
        return np.concatenate(
            [x + k for x, k in zip(parts, counted_on, strict=True)] if counted_on else parts
        )

    def __getattr__(self, name: str):
        """image(i), objects(i), audio(i, start, length), factors(i): those of the table that row i is in."""
        if name not in ("image", "objects", "audio", "factors"):
            raise AttributeError(name)

        def ask(i: int, *window):
            k = int(np.searchsorted(self._first, i, "right")) - 1
            return getattr(self._tables[k], name)(int(i - self._first[k]), *window)

        return ask


class JoinedStore:
    """Stores as one to train from: the classes of the first, then those of the next, and so on.

    Parameters
    ----------
    stores : sequence of Store
        Of one image size and sample rate.
    splits : dict of str to dict of int to str
        Split -> number of a store -> its split that becomes a part.
    """

    classes = property(lambda self: self.manifest["classes"])
    sample_rate = property(lambda self: self.manifest["sample_rate"])
    splits = property(lambda self: self.manifest["splits"])
    content_hash = property(lambda self: self.manifest["content_hash"])

    def __init__(self, stores, splits: dict[str, dict[int, str]]):
        self.stores, self._parts, self.folder = list(stores), splits, stores[0].folder
        for fact in ("sample_rate", "image_size"):
            if len(found := {store.manifest[fact] for store in stores}) > 1:
                raise StoreError(f"stores with a {fact} of {' and '.join(map(str, found))} cannot be joined")
        self._labels = np.cumsum([0, *(len(store.classes) for store in stores)]).tolist()
        self.manifest = stores[0].manifest | {"classes": [one for store in stores for one in store.classes]}
        self.manifest["splits"] = {split: self._facts(parts) for split, parts in splits.items()}
        marks = "".join(store.content_hash for store in stores) + json.dumps(splits)
        self.manifest["content_hash"] = hashlib.sha256(marks.encode()).hexdigest()

    def __reduce__(self):  # a worker process opens its own memory maps
        return JoinedStore, (self.stores, self._parts)

    def _facts(self, parts: dict[int, str]) -> dict:
        facts = [self.stores[k].splits[split] for k, split in parts.items()]
        marks = [one["sha256"] for one in facts]  # of one part its own: what is kept of it serves both
        mark = marks[0] if len(marks) == 1 else hashlib.sha256("".join(marks).encode()).hexdigest()
        return {table: sum(one[table] for one in facts) for table in SCHEMAS} | {"sha256": mark}

    def _table(self, split: str, name: str) -> JoinedTable:
        parts = self._parts[split].items()
        tables = [getattr(self.stores[k], name)(part) for k, part in parts]
        clips = np.cumsum([0, *(len(self.stores[k].sounds(part)) for k, part in parts)])
        return JoinedTable(tables, [self._labels[k] for k, _ in parts], clips[:-1].tolist())

    def images(self, split: str) -> JoinedTable:
        """The images of a split."""
        return self._table(split, "images")

    def sounds(self, split: str) -> JoinedTable:
        """The sounds of a split."""
        return self._table(split, "sounds")
