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
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from llinet_lite.files import alone_in, write_whole
from llinet_lite.profiles import PROFILES, Profile

if TYPE_CHECKING:
    from llinet_lite.data.bandstand import WorldSet
    from llinet_lite.data.store import JoinedStore, Store

WEIGHTS_VERSION = 1  # raise it whenever the same training ends with other weights
PACKAGE = Path(__file__).resolve().parent
WEIGHTS = PACKAGE / "weights"
RESTORE = "restore it and its card, or delete both: then the lesson trains them anew"
REFERENCE = "laptop"  # the profile whose weights are published


def home() -> Path:
    """`$LLINET_HOME`, else the checkout that the package lies in, else the current folder."""
    if named := os.environ.get("LLINET_HOME"):
        return Path(named).expanduser().resolve()
    return PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else Path.cwd()


def runs_folder() -> Path:
    """HOME/runs, or the folder that `llinet course --runs` names to its notebooks."""
    named = os.environ.get("LLINET_RUNS")
    return Path(named).resolve() if named else home() / "runs"


class Workspace:
    """The places of one profile on one set of data; `run_dir` is `runs/<profile>` or `runs/<profile>-<data>`.

    `data` are a packed store, folders in the layout of INSTRUMENT-32CLASS or a folder of videos; by default
    the built-in world, which alone has invented classes. With `retrain` one trains even where there are
    reference weights, except for those of other lessons; with `publish` they are written anew, and `lesson`
    stands on their cards.
    """

    def __init__(
        self, profile: Profile, data: Path | None = None, *, retrain=False, publish=False, lesson: str = ""
    ):
        self.data, self.lesson = data, lesson
        self.profile = profile if data is None else dataclasses.replace(profile, classes=0)
        self.retrain, self.publishing = retrain, publish
        if data is not None and not data.is_dir():
            raise ValueError(f"the data folder {data} does not exist: check the path given to --data")
        if publish and not (retrain and self.is_reference):
            only = f"the profile {REFERENCE} as it is, on the built-in world: nothing else is a reference"
            raise ValueError(f"publish goes with retrain and {only}")
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

    def store(self, splits: Iterable[str] = (), **changes: object) -> Store:
        """Open the data: build the profile's world, or import one's own folder, on first use.

        `splits` must be there; `changes` of the world's plan, as `imprint=1.0`, give another store.
        """
        if changes and self.data is not None:
            raise ValueError(f"{', '.join(changes)} can be set for the built-in world only")
        store = world(self.profile, **changes) if changes else self._store
        if store is None:
            store = self._store = world(self.profile) if self.is_world else own(self.data, self.profile)
        if missing := [split for split in splits if split not in store.splits]:
            has = ", ".join(store.splits)
            raise ValueError(f"{store.folder} has no split {', '.join(missing)}; it has {has}")
        return store

    def with_invented(self, splits: Iterable[str] = ()) -> Store | JoinedStore:
        """The data and, where the profile trains on them, the invented classes: see `data.bandstand.MANY`."""
        from llinet_lite.data.bandstand import INVENTED_SETS, MANY
        from llinet_lite.data.store import JoinedStore

        store = self.store(splits)
        if not self.profile.classes:
            return store
        if self.profile.name not in INVENTED_SETS:
            raise ValueError(f"the profile {self.profile.name} has no invented classes: set classes to 0")
        return JoinedStore([store, _built(INVENTED_SETS[self.profile.name])], MANY)

    def motion(self, splits: tuple[str, ...]) -> None:
        """Film the clips of these splits, 25 frames and ten flow fields each, where that is not done yet."""
        from llinet_lite.data.bandstand import build_motion

        store = self.store(splits)
        with _making(store.folder):
            build_motion(store, splits)

    @property
    def data_hash(self) -> str:
        """Content hash of the opened store; empty before :meth:`store` was called."""
        return "" if self._store is None else self._store.content_hash

    def training_dir(self, name: str = "") -> Path:
        """Folder for the checkpoints of one training; its name says epochs and seed."""
        sizes = dataclasses.asdict(self.profile).items()
        fixed = {size: value for size, value in sizes if not size.startswith(("seeds", "epochs"))}
        marks = json.dumps(fixed, sort_keys=True), data_mark(self.profile, self.data), str(WEIGHTS_VERSION)
        return self.run_dir / f"training-{digest(*marks)[:12]}" / name

    def weights(self, name: str) -> Path | None:
        """File of packaged weights; None where one has to train: no reference, or asked to retrain."""
        path = WEIGHTS / f"{name}.safetensors"
        if not self.is_reference or not path.is_file():
            return None
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.card(path)["sha256"]:
            raise ValueError(f"{path} is not the file that its card describes: {RESTORE}")
        return None if self.retrain and self.card(path)["lesson"] == self.lesson else path

    @staticmethod
    def card(path: Path) -> dict:
        """The card of a weights file: lesson, profile, seed, data hash, metrics, command, sha256."""
        described = path.with_suffix(".json")
        if not described.is_file():
            raise ValueError(f"{path} has no card {described.name}: {RESTORE}")
        try:
            card = json.loads(described.read_text(encoding="utf-8"))
            return card | {name: card[name] for name in ("lesson", "sha256")}
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{described} is damaged ({error!r}): {RESTORE}") from error

    def publish(self, name: str, state: dict, *, seed: int, results: Iterable = (), **facts: object):
        """Write reference weights (a `state_dict`) and their card into the package, if that was asked for.

        `results` are what these very weights reach, `facts` what else the card should hold.
        """
        if not self.publishing:
            return None
        import torch
        from safetensors.torch import save

        import llinet_lite

        content = save({key: value.detach().cpu().contiguous() for key, value in state.items()})
        command = f"llinet course --profile {REFERENCE} --only {self.lesson[:2]} --retrain --publish"
        versions = {"llinet-lite": llinet_lite.__version__, "torch": torch.__version__}
        card = {
            "lesson": self.lesson,
            "profile": self.profile.name,
            "seed": seed,
            "data_hash": self.data_hash,
            "command": f"{command} --seeds {len(self.profile.seeds)}",
            "metrics": [result.to_json() for result in results],
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "made_by": versions | {"threads": torch.get_num_threads()},  # which decide the last bits
        }
        described = json.dumps(card | facts, indent=2, allow_nan=False) + "\n"
        path = write_whole(WEIGHTS / f"{name}.safetensors", content)
        write_whole(path.with_suffix(".json"), described.encode())
        return path

    def public_weights(self, patterns: Sequence[str], named: str | Path = "") -> Path:
        """Find weights that others published by `patterns`, as "vggish*", the best first.

        Looked into are the file or folder that is `named`, else HOME/weights, `weights` beside one's own data
        and, for whole names only, torch's downloads.
        """
        import torch

        cache = Path(torch.hub.get_dir()) / "checkpoints"
        near = [] if self.data is None else [self.data.parent / "weights"]
        places = [Path(named).expanduser()] if named else [home() / "weights", *near, cache]
        if places[0].is_file():
            return places[0]
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
        fix = "put the file there, or name it; nothing is downloaded"
        raise FileNotFoundError(f"no {' or '.join(patterns)} in {looked}: {fix}")


# ---- marks of what is in a file, and the stores


def digest(*parts: bytes | str) -> str:
    """The sha256 (hex) of the parts, each preceded by its length so that no two lists collide."""
    total = hashlib.sha256()
    for part in parts:
        data = os.fsencode(part) if isinstance(part, str) else part
        total.update(f"{len(data)}:".encode() + data)
    return total.hexdigest()


def data_mark(profile: Profile, data: Path | None) -> str:
    """What changes with the data: the world's plan, a store's hash, or names, sizes and times of files."""
    if data is None:
        return json.dumps(_plan(profile).plan(), sort_keys=True)
    if (data / "manifest.json").is_file():
        return json.loads((data / "manifest.json").read_text(encoding="utf-8"))["content_hash"]
    stats = [(file.relative_to(data).as_posix(), file.stat()) for file in data.rglob("*") if file.is_file()]
    return digest(*(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in sorted(stats)))


def world(profile: Profile, **changes: object) -> Store:
    """The built-in world of a profile."""
    return _built(_plan(profile, **changes))


def _built(plan: WorldSet) -> Store:
    from llinet_lite.data import bandstand

    mark, kind = digest(json.dumps(plan.plan(), sort_keys=True))[:8], plan.title.lower()
    name = f"bandstand-{plan.name}-{mark}" if kind == "bandstand-32" else f"{kind}-{plan.name}-{mark}"
    return _made(name, lambda folder: bandstand.build(folder, plan))


def _plan(profile: Profile, **changes: object):
    from llinet_lite.data.bandstand import WORLD_SETS

    if profile.name not in WORLD_SETS:
        raise ValueError(f"the profile {profile.name} has no built-in world: name your data with --data")
    return dataclasses.replace(WORLD_SETS[profile.name], **changes)


def own(path: Path, profile: Profile) -> Store:
    """One's own data: a packed store as it is, or what is packed from a folder of files."""
    from llinet_lite.data import folders, videos
    from llinet_lite.data.store import Store

    rate, size = profile.sample_rate, profile.image_size
    if not (path / "manifest.json").is_file():
        pack = videos.import_videos if videos.holds_videos(path) else folders.import_folders
        mark = digest(str(path), data_mark(profile, path), f"{size} {rate}")
        pack = partial(pack, path, sample_rate=rate, image_size=size)
        return _made(f"{path.name}-{mark[:8]}", pack)
    store = Store(path)
    if store.sample_rate != rate or store.manifest["image_size"] < profile.image_crop:
        holds = f"images of {store.manifest['image_size']} px and audio at {store.sample_rate} Hz"
        fix = f"import it again with --sample-rate {rate} --image-size {size}"
        raise ValueError(f"{path} holds {holds}, which the profile {profile.name} cannot use: {fix}")
    return store


def _made(name: str, make: Callable[[Path], Store]) -> Store:
    """Open a store in HOME/runs/data, after making it where it is not there yet."""
    from llinet_lite.data.store import Store, whole

    folder = runs_folder() / "data" / name
    if whole(folder):  # a film of it may hold the lock
        return Store(folder)
    with _making(folder):
        return make(folder)


@contextlib.contextmanager
def _making(folder: Path) -> Iterator[None]:
    """Hold a store's folder alone; progress goes to stdout, as notebooks show stderr in red."""
    with alone_in(folder, print), contextlib.redirect_stderr(sys.stdout):
        yield
