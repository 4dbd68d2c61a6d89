"""The one packed form that every experiment trains from: Arrow files and a manifest.

A store is a folder::

    manifest.json                 what is in it, how it was made, its content hash
    plan.json                     the settings it was begun with (a build can be killed and resumed)
    train/images-00000.arrow      rows of IMAGE_SCHEMA: a JPEG each, with its label, clip and time
    train/sounds-00000.arrow      rows of SOUND_SCHEMA: int16 mono samples each
    ...                           further shards and splits

Pictures and sounds are two tables, so that photos and recordings that are
paired only by class fit as well. The files are Arrow streams: Hugging Face
``datasets.Dataset.from_file`` opens them, memory mapped, and nothing is read
before it is asked for.

Measured on one core (random rows, JPEG decode, crop, one second of audio; per second):

=============================================  ===============  ================  ===========
access                                         128 px, 16 kHz   256 px, 48 kHz    undecoded
=============================================  ===============  ================  ===========
``datasets``, rows as Python values            5,600            2,500             18,000
``datasets``, rows as Arrow views (used here)  7,100            2,960             42,000
bare pyarrow, own index of the shards          8,900            2,980             159,000
=============================================  ===============  ================  ===========

All are above the 1,000 samples per second that training needs, so the library
stays. As Arrow views a second of sound is a slice of the mapped file, not a
copy of the clip. Whole batches, drawn and stacked: 6,300 and 2,800 samples/s.

Notebook: 00
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import filelock
import pyarrow as pa

from llinet_lite.data.tables import (
    SCHEMAS,
    ImageTable,
    SoundTable,
    StoreError,
    hash_rows,
    open_table,
    shard_path,
)

FORMAT = 1  # version of the layout described above

# --------------------------------------------------------------------- writing


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that it is either whole or not there, whatever happens meanwhile.

    Temporary file in the same folder, fsync, ``os.replace``, fsync of the folder.

    Raises
    ------
    StoreError
        The disk is full; what was finished before is kept.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise StoreError(
                f"{path}: no space left on the disk for {len(data) / 1e6:.1f} MB more. Free some space and "
                "run the same command again: the shards that are finished are kept."
            ) from error
        raise
    if os.name == "posix":
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _json(value) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_shard(folder, split: str, index: int, images: list[dict], sounds: list[dict]) -> None:
    """Write one shard of both tables; safe to call from several processes for different shards.

    Parameters
    ----------
    folder : str or Path
        The store.
    split : str
    index : int
        Number of the shard in the split; rows are numbered in shard order.
    images, sounds : list of dict
        Rows with the columns of IMAGE_SCHEMA and SOUND_SCHEMA.

    Raises
    ------
    StoreError
        The disk is full.
    """
    for table, rows in (("images", images), ("sounds", sounds)):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMAS[table]) as stream:
            for first in range(0, max(1, len(rows)), 64):  # small batches stay far below Arrow's 2 GB
                stream.write_batch(pa.RecordBatch.from_pylist(rows[first : first + 64], SCHEMAS[table]))
        write_atomic(shard_path(folder, split, table, index), sink.getvalue())


class StoreWriter:
    """Builds a store, shard by shard; killed at any moment, it goes on where it stopped.

    Parameters
    ----------
    folder : str or Path
    plan : dict
        JSON-able settings that determine every row. A folder that was begun
        with another plan is refused, never mixed.
    rebuild : bool
        Throw such a store away and begin anew instead of refusing it.

    Raises
    ------
    StoreError
        Another plan, another process at work in the folder, or a folder that
        holds something else.

    Notes
    -----
    Use it as a context manager: it holds a lock on the folder.

    Notebook: 00
    """

    def __init__(self, folder, plan: dict, rebuild: bool = False):
        self.folder, self.plan, self.rebuild = Path(folder), json.loads(_json(plan)), rebuild
        self._lock = None

    def __enter__(self) -> StoreWriter:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder}: this folder cannot be made ({error.strerror})") from error
        self._lock = filelock.FileLock(self.folder / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            self._lock = None
            raise StoreError(f"{self.folder}: another process is building this store; wait for it") from None
        try:
            for stale in self.folder.rglob("*.tmp"):
                stale.unlink(missing_ok=True)
            self._claim()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *_):
        self._lock.release()

    def _claim(self) -> None:
        """Check the folder's plan against ours, or write ours."""
        begun = self.folder / "plan.json"
        if begun.exists():
            try:
                old = json.loads(begun.read_text("utf-8"))
            except ValueError:
                old = None
            if old == self.plan:
                return
            if not self.rebuild:
                changes = _difference(old, self.plan)
                raise StoreError(
                    f"{self.folder}: this store was begun with other settings ({changes}). "
                    "Name another folder, or rebuild it from scratch (rebuild=True)."
                )
            for file in [self.folder / "manifest.json", begun, *self.folder.glob("*/*-[0-9]*.arrow")]:
                file.unlink(missing_ok=True)
        elif any(path.name != ".lock" for path in self.folder.iterdir()):
            raise StoreError(f"{self.folder}: not empty, and holds no store; name another folder")
        write_atomic(begun, json.dumps(self.plan, indent=1, ensure_ascii=False).encode())

    def missing(self, split: str, shards: int) -> list[int]:
        """Numbers of the shards of a split that are still to be written."""
        files = {k: [shard_path(self.folder, split, table, k) for table in SCHEMAS] for k in range(shards)}
        return [k for k, paths in files.items() if not all(path.exists() for path in paths)]

    def add_shard(self, split: str, shard_index: int, images: list[dict], sounds: list[dict]) -> None:
        """Write one shard; see :func:`write_shard`."""
        write_shard(self.folder, split, shard_index, images, sounds)

    def finish(self, manifest: dict, shards: dict[str, int]) -> Store:
        """Count and hash the new splits, write the manifest, and open the store.

        Parameters
        ----------
        manifest : dict
            name, sample_rate, seconds, image_size, classes, and whatever else
            is to be known (excluded, warnings, command, seed ...).
        shards : dict of str to int
            Number of shards of every split that is complete.

        Returns
        -------
        store : Store
        """
        path = self.folder / "manifest.json"
        splits = json.loads(path.read_text("utf-8"))["splits"] if path.exists() else {}
        for split, count in shards.items():
            if split not in splits:
                tables = {name: open_table(self.folder, split, name, count) for name in SCHEMAS}
                sizes = {name: len(table) for name, table in tables.items()}
                splits[split] = {**sizes, "shards": count, "sha256": hash_rows(tables)}
        full = {"format": FORMAT, "excluded": [], "warnings": [], **manifest, "splits": splits}
        full |= {"plan": self.plan, "plan_hash": hashlib.sha256(_json(self.plan).encode()).hexdigest()}
        full |= {"content_hash": _content_hash(full)}
        write_atomic(path, json.dumps(full, indent=1, ensure_ascii=False).encode())
        return Store(self.folder)


def _difference(old, new) -> str:
    """Name the settings that differ between two plans."""
    if not isinstance(old, dict):
        return "its plan.json is damaged"
    keys = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    return "; ".join(f"{key}: {str(old.get(key))[:60]} there, {str(new.get(key))[:60]} now" for key in keys)


def _content_hash(manifest: dict) -> str:
    keys = ("sample_rate", "seconds", "image_size", "classes")
    facts = {key: manifest[key] for key in keys}
    return hashlib.sha256(
        _json([facts, {split: facts["sha256"] for split, facts in manifest["splits"].items()}]).encode()
    ).hexdigest()


# --------------------------------------------------------------------- reading


class Store:
    """A packed data set, opened for reading.

    Parameters
    ----------
    folder : str or Path

    Attributes
    ----------
    manifest : dict
        name, sample_rate (Hz), seconds, image_size (short side, pixels),
        classes, splits, excluded, warnings, content_hash and more.

    Raises
    ------
    StoreError
        No store there, an unfinished one, or one of another format.

    Notebook: 00
    """

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
            raise StoreError(f"{path}: cannot be read ({error}); build the store again") from error
        if self.manifest.get("format") != FORMAT:
            found = self.manifest.get("format")
            raise StoreError(f"{path}: format {found!r}, but this version reads {FORMAT}; build it again")
        self._tables = {}

    def __reduce__(self):  # a worker process opens its own memory maps
        return Store, (self.folder,)

    def __repr__(self) -> str:
        parts = ", ".join(f"{k} {split['images']}/{split['sounds']}" for k, split in self.splits.items())
        return f"Store({str(self.folder)!r}: images/sounds: {parts}; {self.content_hash[:12]})"

    @property
    def classes(self) -> list[dict]:
        """One ``{"name", "seen"}`` per label."""
        return self.manifest["classes"]

    @property
    def sample_rate(self) -> int:
        """Hz, of every sound."""
        return self.manifest["sample_rate"]

    @property
    def splits(self) -> dict[str, dict]:
        """Numbers of images, sounds and shards, and the hash, of every split."""
        return self.manifest["splits"]

    @property
    def content_hash(self) -> str:
        """sha256 over all rows in order: the name of this very data."""
        return self.manifest["content_hash"]

    def _table(self, split: str, name: str):
        if split not in self.splits:
            raise StoreError(f"{self.folder}: no split {split!r}; there are {', '.join(self.splits)}")
        if (split, name) not in self._tables:
            rows = open_table(self.folder, split, name, self.splits[split]["shards"])
            if len(rows) != self.splits[split][name]:
                raise StoreError(f"{self.folder}/{split}: {len(rows)} {name}, its manifest says otherwise")
            self._tables[split, name] = (ImageTable if name == "images" else SoundTable)(rows)
        return self._tables[split, name]

    def images(self, split: str) -> ImageTable:
        """The pictures of a split."""
        return self._table(split, "images")

    def sounds(self, split: str) -> SoundTable:
        """The sounds of a split."""
        return self._table(split, "sounds")

    def verify(self) -> None:
        """Read everything and compare it with the hashes in the manifest.

        Raises
        ------
        StoreError
            A split was changed after it was built.
        """
        for split, facts in self.splits.items():
            tables = {name: open_table(self.folder, split, name, facts["shards"]) for name in SCHEMAS}
            if hash_rows(tables) != facts["sha256"]:
                raise StoreError(f"{self.folder}: the rows of split {split!r} are not those that were built")
