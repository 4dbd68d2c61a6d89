"""Where stores, checkpoints and weights lie: everything below `$LLINET_HOME`, by default the checkout.

Runs are in HOME/runs, stores in HOME/runs/data, weights of one's own in HOME/weights, and results that are
kept in HOME/results. Files are known by what is in them: a store by its plan and the version of the world, a
training by the sizes of its profile, its data and `WEIGHTS_VERSION`.

Notebook: 00
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

from llinet_lite.files import write_whole
from llinet_lite.profiles import PROFILES, Profile

if TYPE_CHECKING:
    from llinet_lite.data.bandstand import WorldSet
    from llinet_lite.data.store import Store

__all__ = ["WEIGHTS", "WEIGHTS_VERSION", "Workspace", "home", "runs_folder"]

WEIGHTS_VERSION = 1  # raise it whenever the same training ends with other weights
PACKAGE = Path(__file__).resolve().parent
WEIGHTS = PACKAGE / "weights"
REFERENCE = "laptop"  # the profile whose weights are published
LIMIT = 40_000_000  # bytes of all published weights together


def home() -> Path:
    """`$LLINET_HOME`, else the checkout that the package lies in, else the current folder."""
    if named := os.environ.get("LLINET_HOME"):
        return Path(named).expanduser().resolve()
    return PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else Path.cwd()


def runs_folder() -> Path:
    """HOME/runs, or the folder that `llinet course --runs` names to its notebooks."""
    named = os.environ.get("LLINET_RUNS")
    return Path(named).resolve() if named else home() / "runs"


def data_folder() -> Path:
    """Folder of packed stores, in that of the runs."""
    return runs_folder() / "data"


def digest(*parts: bytes | str) -> str:
    """Return the sha256 (hex) of the parts, each preceded by its length so that no two lists collide."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(f"{len(data)}:".encode() + data)
    return total.hexdigest()


def data_mark(profile: Profile, data: Path | None, **changes: object) -> str:
    """What changes with the data: the world's plan, a store's hash, or names, sizes and times of files."""
    if data is None:
        return json.dumps(_plan(profile, changes).plan(), sort_keys=True)
    if (data / "manifest.json").is_file():
        return json.loads((data / "manifest.json").read_text(encoding="utf-8"))["content_hash"]
    stats = [(file.relative_to(data).as_posix(), file.stat()) for file in data.rglob("*") if file.is_file()]
    return digest(*(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in sorted(stats)))


class Workspace:
    """The places of one profile on one set of data.

    Parameters
    ----------
    profile : Profile
    data : Path, optional
        A packed store, folders in the layout of INSTRUMENT-32CLASS or a folder of videos; default: the
        built-in world.
    retrain : bool
        Train even where reference weights are at hand, except those of other lessons.
    publish : bool
        Let :meth:`publish` write reference weights into the package.
    lesson : str
        Who asks, as "06_cross_modal_retrieval": it stands on the cards of published weights.

    Attributes
    ----------
    run_dir : Path
        `runs/<profile>`, or `runs/<profile>-<name of the data>`.

    Examples
    --------
    >>> from llinet_lite.profiles import PROFILES
    >>> Workspace(PROFILES["smoke"]).run_dir.name
    'smoke'
    """

    def __init__(
        self,
        profile: Profile,
        data: Path | None = None,
        *,
        retrain: bool = False,
        publish: bool = False,
        lesson: str = "",
    ):
        self.profile, self.data, self.lesson = profile, data, lesson
        self.retrain, self.publishing = retrain, publish
        if data is not None and not data.is_dir():
            raise ValueError(f"the data folder {data} does not exist: check the path given to --data")
        if publish and not (retrain and self.is_reference):
            raise ValueError(
                f"publish goes with retrain and the profile {REFERENCE} as it is, on the built-in world: "
                f"nothing else is a reference"
            )
        self.run_dir = runs_folder() / (profile.name if data is None else f"{profile.name}-{data.name}")
        self._store: Store | None = None

    @property
    def is_world(self) -> bool:
        """Whether the data are the built-in world."""
        return self.data is None

    @property
    def is_reference(self) -> bool:
        """Whether a training here ends with the published weights: built-in world, unchanged profile."""
        known = dataclasses.replace(PROFILES[REFERENCE], seeds=self.profile.seeds)
        return self.is_world and self.profile == known

    # ---- data

    def store(self, splits: Iterable[str] = (), **changes: object) -> Store:
        """Open the data: build the profile's world, or import one's own folder, on first use.

        `splits` must be there; `changes` of the world's plan, as `imprint=1.0`, give another store.
        """
        if changes:
            if self.data is not None:
                raise ValueError(f"{', '.join(changes)} can be set for the built-in world only")
            store = world(self.profile, **changes)
        else:
            if self._store is None:
                self._store = world(self.profile) if self.data is None else own(self.data, self.profile)
            store = self._store
        if missing := [split for split in splits if split not in store.splits]:
            has = ", ".join(store.splits)
            raise ValueError(f"{store.folder} has no split {', '.join(missing)}; it has {has}")
        return store

    def motion(self, splits: tuple[str, ...]) -> None:
        """Film the clips of these splits, 25 frames and ten flow fields each, where that is not done yet."""
        from llinet_lite.data.bandstand import build_motion

        store = self.store(splits)
        with _turn(store.folder):
            build_motion(store, splits)

    @property
    def data_hash(self) -> str:
        """Content hash of the opened store; empty before :meth:`store` was called."""
        return "" if self._store is None else self._store.content_hash

    # ---- trainings and weights

    def training_dir(self, name: str = "") -> Path:
        """Return the folder for the checkpoints of one training, by sizes, data and `WEIGHTS_VERSION`.

        Whoever trains puts epochs and seed into the name, so that lessons share a network.
        """
        sizes = dataclasses.asdict(self.profile)
        kept = {
            k: v for k, v in sizes.items() if k not in ("seeds", "purpose") and not k.startswith("epochs")
        }
        marks = (json.dumps(kept, sort_keys=True), data_mark(self.profile, self.data), str(WEIGHTS_VERSION))
        return self.run_dir / f"training-{digest(*marks)[:12]}" / name

    def weights(self, name: str) -> Path | None:
        """Return the file of packaged weights `name`, or None where one has to train.

        None where the profile is not `laptop` as it is, or the data are one's own; with `retrain`, unless
        they are another lesson's. ValueError if the file is not the one that its card describes.
        """
        path = WEIGHTS / f"{name}.safetensors"
        if not self.is_reference or not path.is_file():
            return None
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.card(path)["sha256"]:
            raise ValueError(f"{path} is not the file that its card describes: restore both, or retrain them")
        return None if self.retrain and self.card(path)["lesson"] == self.lesson else path

    @staticmethod
    def card(path: Path) -> dict:
        """Return the card of a weights file: lesson, profile, seed, data hash, metrics, command, sha256."""
        described = path.with_suffix(".json")
        if not described.is_file():
            raise ValueError(f"{path} has no card: restore {described.name} beside it, or retrain")
        return json.loads(described.read_text(encoding="utf-8"))

    def publish(self, name: str, state: dict, *, seed: int, results: Iterable = (), **facts: object):
        """Write reference weights and their card into the package; do nothing unless that was asked for.

        `state` is a module's `state_dict()`, `results` what these very weights reach, and `facts` whatever
        else the card should hold, as `minutes=1.2`.
        """
        if not self.publishing:
            return None
        import torch
        from safetensors.torch import save

        import llinet_lite

        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
            raise ValueError(f"{name!r} is no name for weights: use lower-case letters, digits, dots, dashes")
        content = save({key: value.detach().cpu().contiguous() for key, value in state.items()})
        path = WEIGHTS / f"{name}.safetensors"
        total = len(content) + sum(p.stat().st_size for p in WEIGHTS.glob("*.safetensors") if p != path)
        if total > LIMIT:
            raise ValueError(
                f"{name}: all weights would have {total / 1e6:.1f} MB, the limit is {LIMIT / 1e6:.0f}"
            )
        command = f"llinet course --profile {REFERENCE} --only {self.lesson[:2]} --retrain --publish"
        card = {
            "lesson": self.lesson,
            "profile": self.profile.name,
            "seed": seed,
            "data_hash": self.data_hash,
            "command": f"{command} --seeds {len(self.profile.seeds)}",
            "metrics": [result.to_json() for result in results],
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "made_by": {"llinet-lite": llinet_lite.__version__, "torch": torch.__version__}
            | {"threads": torch.get_num_threads()},  # on a CPU they decide the last bits
        }
        if twice := card.keys() & facts.keys():
            raise ValueError(f"the card has an entry {', '.join(twice)} already: give the fact another name")
        described = json.dumps(card | facts, indent=2, allow_nan=False) + "\n"
        write_whole(path, content)
        write_whole(path.with_suffix(".json"), described.encode())
        return path

    def public_weights(self, patterns: Iterable[str], named: str | Path = "") -> Path:
        """Find the file of weights that others published; nothing is downloaded.

        Looked for are `patterns`, as "vggish*", the best first, in the file or folder that is named, else in
        HOME/weights, in `weights` beside one's own data and, whole names only, among torch's downloads.
        """
        import torch

        cache = Path(torch.hub.get_dir()) / "checkpoints"
        near = [] if self.data is None else [self.data.parent / "weights"]
        places = [Path(named).expanduser()] if named else [home() / "weights", *near, cache]
        if places[0].is_file():
            return places[0]
        patterns = tuple(patterns)
        for place, pattern in itertools.product(places, patterns):
            if place == cache and "*" in pattern:  # other networks are there, too
                continue
            files = [p for p in sorted(place.glob(pattern)) if p.suffix in (".pth", ".safetensors")]
            if len(files) > 1:
                found = ", ".join(path.name for path in files)
                raise ValueError(f"{place} holds several files {pattern}: {found}. Name the one to take.")
            if files:
                return files[0]
        looked = ", ".join(map(str, places))
        raise FileNotFoundError(
            f"no {' or '.join(patterns)} in {looked}: put the file there, or name it; nothing is downloaded"
        )


def _plan(profile: Profile, changes: dict) -> WorldSet:
    from llinet_lite.data.bandstand import WORLD_SETS

    if profile.name not in WORLD_SETS:
        raise ValueError(f"the profile {profile.name} has no built-in world: name your data with --data")
    return dataclasses.replace(WORLD_SETS[profile.name], **changes)


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Let one process at a time make a store; progress goes to stdout, as notebooks show stderr in red."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_name(f".{folder.name}.turn")), contextlib.redirect_stderr(sys.stdout):
        yield


def world(profile: Profile, **changes: object) -> Store:
    """Open the built-in world of a profile, after building it where it is not there yet."""
    from llinet_lite.data import bandstand
    from llinet_lite.data.store import Store

    plan = _plan(profile, changes)
    folder = data_folder() / f"bandstand-{profile.name}-{digest(data_mark(profile, None, **changes))[:8]}"
    if (folder / "manifest.json").is_file():  # opened without the lock that a build, or a film of it, holds
        store = Store(folder)
        if set(bandstand.SPLITS) <= set(store.splits):
            return store
    with _turn(folder):
        return bandstand.build(folder, plan)


def own(path: Path, profile: Profile) -> Store:
    """Open one's own data: a packed store as it is, a folder of files after importing it once."""
    from llinet_lite.data import folders, videos
    from llinet_lite.data.store import Store

    if (path / "manifest.json").is_file():
        store = Store(path)
        size, rate = store.manifest["image_size"], store.sample_rate
        if rate != profile.sample_rate or size < profile.image_crop:
            raise ValueError(
                f"{path} holds images of {size} px and audio at {rate} Hz, which the profile {profile.name} "
                f"cannot use: import it again with --sample-rate {profile.sample_rate} "
                f"--image-size {profile.image_size}"
            )
        return store
    sizes = {"sample_rate": profile.sample_rate, "image_size": profile.image_size}
    mark = digest(str(path), data_mark(profile, path), f"{profile.image_size} {profile.sample_rate}")[:8]
    folder = data_folder() / f"{path.name}-{mark}"
    if (folder / "manifest.json").is_file():
        return Store(folder)
    pack = videos.import_videos if videos.holds_videos(path) else folders.import_folders
    with _turn(folder):
        return pack(path, folder, **sizes)
