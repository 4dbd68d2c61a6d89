"""The two tables of a store, memory mapped: pictures and sounds, row by row.

Notebook: 00
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from llinet_lite.data.media import decode_jpeg, decode_png

IMAGE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # unique in its split
        ("clip", pa.int32()),  # row of its sound in the split; -1: paired by class only
        ("label", pa.int32()),  # index into the manifest's classes
        ("kind", pa.string()),  # kind of scene; "photo" for imported pictures
        ("time", pa.float32()),  # seconds into the clip; -1 for a photo
        ("jpeg", pa.binary()),
        ("objects", pa.binary()),  # PNG: 0 background, k + 1 = object k; empty: no masks
        ("factors", pa.string()),  # JSON: whatever is known about how it came to be
    ]
)
SOUND_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.int32()),
        ("kind", pa.string()),
        ("audio", pa.binary()),  # int16 little-endian mono
        ("factors", pa.string()),
    ]
)
SCHEMAS = {"images": IMAGE_SCHEMA, "sounds": SOUND_SCHEMA}


class StoreError(RuntimeError):
    """A store that is missing, unfinished, damaged, or made with other settings."""


def shard_path(folder, split: str, table: str, index: int) -> Path:
    """File of one shard of ``table`` ("images" or "sounds")."""
    return Path(folder) / split / f"{table}-{index:05d}.arrow"


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


class Table:
    """One table of one split, memory mapped; see :class:`ImageTable` and :class:`SoundTable`.

    Attributes
    ----------
    label : (n,) int32 array
        Index into the manifest's classes.
    """

    def __init__(self, rows):
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def _column(self, name: str):
        return self._rows.data.column(name)

    def _row(self, i: int):
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} of a table with {len(self)} rows")
        return self._rows[int(i)]

    def _bytes(self, i: int, name: str) -> np.ndarray:
        """A binary cell as a read-only uint8 array: a view into the file (a scalar's buffer is a copy)."""
        cell = self._row(i).column(name).chunk(0)
        _, offsets, data = cell.buffers()
        first, last = np.frombuffer(offsets, np.int32)[cell.offset : cell.offset + 2].tolist()
        return np.frombuffer(data or b"", np.uint8, last - first, first)

    @cached_property
    def label(self) -> np.ndarray:
        return self._column("label").to_numpy()

    @cached_property
    def id(self) -> list[str]:
        """Names of the rows, unique in the split."""
        return self._column("id").to_pylist()

    @cached_property
    def kind(self) -> np.ndarray:
        """(n,) array of str: the kind of scene, or "photo" / "recording"."""
        return np.array(self._column("kind").to_pylist(), dtype=str)

    def factors(self, i: int) -> dict:
        """What is known about how row ``i`` came to be."""
        return json.loads(self._row(i).column("factors")[0].as_py() or "{}")


class ImageTable(Table):
    """The pictures of a split.

    Attributes
    ----------
    label : (n,) int32 array
    clip : (n,) int32 array
        Row of the picture's own sound; -1 where pairs are by class only.
    time : (n,) float32 array
        Seconds into that sound; -1 for photos.
    """

    @cached_property
    def clip(self) -> np.ndarray:
        return self._column("clip").to_numpy()

    @cached_property
    def time(self) -> np.ndarray:
        return self._column("time").to_numpy()

    def image(self, i: int) -> np.ndarray:
        """Picture ``i``: (H, W, 3) uint8 RGB."""
        return decode_jpeg(self._bytes(i, "jpeg"))

    def objects(self, i: int) -> np.ndarray | None:
        """Who is where in picture ``i``: (H, W) uint8, 0 background, k + 1 = object k; None: no masks."""
        data = self._bytes(i, "objects")
        return decode_png(data) if len(data) else None


class SoundTable(Table):
    """The sounds of a split.

    Attributes
    ----------
    label : (n,) int32 array
    length : (n,) int64 array
        Samples of each sound.
    """

    @cached_property
    def length(self) -> np.ndarray:
        return pc.binary_length(self._column("audio")).to_numpy().astype(np.int64) // 2

    def audio(self, i: int, start: int = 0, length: int | None = None) -> np.ndarray:
        """Samples ``start`` to ``start + length`` of sound ``i``, a read-only view into the file.

        Parameters
        ----------
        i : int
        start : int
            First sample.
        length : int, optional
            Number of samples; default: to the end.

        Returns
        -------
        samples : (length,) int16

        Raises
        ------
        ValueError
            The window leaves the sound; nothing is padded.
        """
        data = self._bytes(i, "audio")
        total = len(data) // 2
        length = total - start if length is None else length
        if start < 0 or length < 0 or start + length > total:
            raise ValueError(f"samples {start} to {start + length} leave sound {i} ({total} samples)")
        return data[2 * start : 2 * (start + length)].view("<i2")


def hash_rows(tables: dict) -> str:
    """sha256 over every value of every row, in order; the same however the rows are cut into shards."""
    digest = hashlib.sha256()
    for name, schema in SCHEMAS.items():
        digest.update(f"{name} {len(tables[name])}\n".encode())
        for batch in tables[name].data.to_batches():
            for row in zip(*(batch.column(field.name) for field in schema), strict=True):
                for value in row:
                    if pa.types.is_binary(value.type) or pa.types.is_string(value.type):
                        data = value.as_buffer()
                        digest.update(len(data).to_bytes(8, "little"))
                        digest.update(data)
                    else:
                        digest.update(repr(value.as_py()).encode() + b";")
    return digest.hexdigest()
