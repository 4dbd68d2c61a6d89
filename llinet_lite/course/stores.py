"""Where a lesson's data lie: the built-in world built once per profile, one's own folder imported once.

Notebook: 00
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from llinet_lite.checkpoint import alone_in

from .errors import CourseError
from .places import cache_folder
from .profiles import Profile
from .sources import PACKAGE, data_hash, digest

if TYPE_CHECKING:
    from llinet_lite.data.store import Store

# The code that decides a store's bytes.
_WORLD_SOURCE = ("world/**/*.py", "data/bandstand.py", "data/store.py", "data/tables.py", "data/media.py")


def world(
    settings: Profile, *, folder: Path | None = None, workers: int | None = None, **changes: object
) -> Store:
    """Open the built-in world of a profile, after building what is not there yet.

    Parameters
    ----------
    settings : Profile
    folder : Path, optional
        Where the store is; by default in :func:`~llinet_lite.course.cache_folder`, in a
        folder named after the profile and a hash of the plan and the world's source.
    workers : int, optional
        Processes; one per core by default.
    **changes
        Fields of the profile's data plan to set otherwise, as `imprint=1.0`; such a world
        has a store of its own.

    Raises
    ------
    CourseError
        If the profile has no built-in world.
    """
    from llinet_lite.data import bandstand
    from llinet_lite.data.store import Store

    if settings.name not in bandstand.WORLD_SETS:
        raise CourseError(f"the profile {settings.name} has no built-in world: name your data with --data")
    plan = dataclasses.replace(bandstand.WORLD_SETS[settings.name], **changes)
    target = folder or _world_folder(settings.name, plan)
    if (target / "manifest.json").is_file():  # opened without the lock that a build, or a film of it, holds
        store = Store(target)
        if store.manifest["plan"] == plan.plan() and set(bandstand.SPLITS) <= set(store.splits):
            return store
    with _my_turn(target):
        return bandstand.build(target, plan, workers=workers)


@contextlib.contextmanager
def _my_turn(folder: Path) -> Iterator[None]:
    """Let one lesson at a time build a store: another waits, and finds it built. Progress goes to stdout.

    Progress is no warning, and a notebook shows stderr in red.
    """
    turn = folder.with_name(f".{folder.name}.turn")  # the store's own lock refuses at once
    with alone_in(folder, lambda line: print(line, flush=True), turn), contextlib.redirect_stderr(sys.stdout):
        yield


def motion(store: Store, splits: tuple[str, ...]) -> None:
    """Film the clips of a built-in world, 25 frames and ten flow fields each, where that is not done yet.

    Raises
    ------
    StoreError
        If the store holds photos.
    """
    from llinet_lite.data.motion import build_motion

    with _my_turn(store.folder):
        build_motion(store, splits)


def _world_folder(profile: str, plan: object) -> Path:
    files = sorted({path for pattern in _WORLD_SOURCE for path in PACKAGE.glob(pattern)})
    mark = digest(repr(plan), *(path.read_bytes() for path in files))[:8]
    return cache_folder() / f"bandstand-{profile}-{mark}"


def own(path: Path, settings: Profile) -> Store:
    """Open one's own data: a packed store as it is, a folder of files after importing it once.

    Parameters
    ----------
    path : Path
        A packed store (it has a manifest.json), folders in the layout of INSTRUMENT-32CLASS, or a folder of
        videos, with or without a list, see :mod:`llinet_lite.data.video_lists`.
    settings : Profile
        Its image size and sample rate are those of the imported store.

    Raises
    ------
    CourseError
        If a packed store has smaller images than the profile crops, or another sample rate.
    FolderError
        If the folder is none of these; the message lists what was found.
    """
    from llinet_lite.data import folders, videos
    from llinet_lite.data.store import Store

    if (path / "manifest.json").is_file():
        store = Store(path)
        if store.sample_rate != settings.sample_rate:
            raise CourseError(
                f"{path} holds sound at {store.sample_rate} Hz, the profile {settings.name} takes "
                f"{settings.sample_rate} Hz: import it again with --sample-rate {settings.sample_rate}"
            )
        if store.manifest["image_size"] < settings.image_crop:
            raise CourseError(
                f"{path} holds pictures of {store.manifest['image_size']} px, the profile {settings.name} "
                f"crops {settings.image_crop} px: import it again with --image-size {settings.image_size}"
            )
        return store
    mark = digest(str(path), data_hash(path), f"{settings.image_size} {settings.sample_rate}")[:8]
    target = cache_folder() / f"{path.name}-{mark}"
    if (target / "manifest.json").is_file():
        return Store(target)
    pack = videos.import_videos if videos.holds_videos(path) else folders.import_folders
    with _my_turn(target):
        return pack(path, target, sample_rate=settings.sample_rate, image_size=settings.image_size)
