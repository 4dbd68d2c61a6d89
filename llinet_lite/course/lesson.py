"""What a notebook asks the course for: its settings, its data, its place on disk, and where its numbers go.

Notebook: 00, 01
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from . import reference
from .errors import CourseError
from .profiles import COSTS, PROFILES, Profile, profile_named
from .record import as_entry, fault, write_json
from .sources import PACKAGE, data_hash, digest, package_hash

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from llinet_lite.data.store import Store
    from llinet_lite.results import Result

THUMB_WIDTH = 480  # pixels of a figure in the report


def runs_folder() -> Path:
    """Return the folder of all runs: `$LLINET_RUNS`, or `runs` beside the package's source."""
    named = os.environ.get("LLINET_RUNS")
    if named:
        return Path(named).expanduser().resolve()
    checkout = PACKAGE.parent
    inside = (checkout / "pyproject.toml").is_file()
    return (checkout if inside else Path.cwd()) / "runs"


def cache_folder() -> Path:
    """Return the folder of packed stores: `$LLINET_CACHE`, or `data` among the runs."""
    named = os.environ.get("LLINET_CACHE")
    return Path(named).expanduser().resolve() if named else runs_folder() / "data"


def run_name(profile: str, data: Path | None) -> str:
    """Return the name of a run's folder: the profile, and the data's name if they are one's own."""
    return profile if data is None else f"{profile}-{data.name}"


class Lesson:
    """One notebook under one profile.

    Parameters
    ----------
    name : str
        Name of the notebook without its ending, as "01_audio_visual_correspondence".
    profile : str
        "smoke", "laptop", "gpu" or "paper".
    data : str or Path
        Empty for the built-in world; else a packed store or a folder in the layout of
        INSTRUMENT-32CLASS.
    seeds : sequence of int, optional
        Seeds of the runs; the profile's if absent or empty.
    retrain : bool
        Train even where reference weights are at hand.
    publish : bool
        Let :meth:`publish` write reference weights into the package.

    Attributes
    ----------
    settings : Profile
        The profile, with `seeds` as given here.
    run_dir, folder : Path
        `runs/<profile>` (or `runs/<profile>-<name of data>`), and this lesson's folder in it.

    Raises
    ------
    CourseError
        If the profile is unknown, the data are not there, or `publish` is asked for
        without `retrain` or with data of one's own.
    """

    def __init__(
        self,
        name: str,
        *,
        profile: str = "laptop",
        data: str | Path = "",
        seeds: tuple[int, ...] | None = None,
        retrain: bool = False,
        publish: bool = False,
    ):
        self.name = name
        self.settings: Profile = profile_named(profile)
        if seeds:
            self.settings = dataclasses.replace(self.settings, seeds=tuple(seeds))
        self.data = Path(data).expanduser().resolve() if str(data) else None
        if self.data is not None and not self.data.is_dir():
            raise CourseError(f"the data folder {self.data} does not exist: check the path given to --data")
        if publish and (self.data is not None or not retrain):
            raise CourseError(
                "publish goes with retrain=True on the built-in world: nothing else is a reference"
            )
        self.retrain, self.publishing = retrain, publish
        self.run_dir = runs_folder() / run_name(profile, self.data)
        self.folder = self.run_dir / name
        self._store: Store | None = None
        self._results: dict[str, dict] = {}

    # ---- data

    def store(self, splits: tuple[str, ...] | None = None, **changes: object) -> Store:
        """Open the lesson's data: build the profile's world, or import one's own folder, on first use.

        Parameters
        ----------
        splits : tuple of str, optional
            Splits of the built-in world that are needed; all by default.
        **changes
            Fields of the world's data plan to set otherwise, as `imprint=1.0`; the store
            so made is another one, and :attr:`data_hash` stays that of the first.

        Raises
        ------
        CourseError
            If changes are asked of one's own data.
        """
        from . import stores

        if self.data is not None:
            if changes:
                raise CourseError(f"{', '.join(changes)} can be set for the built-in world only")
            self._store = self._store or stores.own(self.data, self.settings)
            return self._store
        store = stores.world(self.settings, splits, **changes)
        if not changes:
            self._store = store
        return store

    @property
    def data_hash(self) -> str:
        """Content hash of the opened store; empty before :meth:`store` was called."""
        return "" if self._store is None else self._store.content_hash

    @property
    def training_dir(self) -> Path:
        """Folder for checkpoints, named by what they depend on.

        A change of the package, the data or the settings gives a new name, so that no run
        goes on from, or passes for, a checkpoint of other code.
        """
        settings = json.dumps(dataclasses.asdict(dataclasses.replace(self.settings, seeds=(0,))))
        return self.folder / f"training-{digest(package_hash(), data_hash(self.data), settings)[:12]}"

    # ---- what the lesson leaves behind

    def record(self, *results: Result) -> None:
        """Write results into the lesson's metrics.json; one of the same name is replaced.

        A lesson without a number calls it without a result: the runner takes a missing
        metrics.json for a lesson that did not reach its end.

        Raises
        ------
        ValueError
            If a value is not finite or lies outside its own interval.
        """
        for result in results:
            entry = as_entry(result)
            problem = fault(entry)
            if problem:
                raise ValueError(f"{self.name}: result {entry.get('name')!r}: {problem}")
            self._results[entry["name"]] = entry
        content = {
            "lesson": self.name,
            "profile": self.settings.name,
            "data": self.data.name if self.data else "built-in world",
            "results": list(self._results.values()),
        }
        write_json(self.folder / "metrics.json", content)

    def figure(self, fig: Figure, name: str, alt: str, *, show: bool = True) -> None:
        """Keep a figure for the report and show it, with its alt text, on the page.

        Parameters
        ----------
        fig : Figure
        name : str
            File name without ending; figures stand in the report in the order of first use.
        alt : str
            One sentence that says what one should see.
        show : bool
            False to keep it for the report only.
        """
        import matplotlib.pyplot as plt

        folder = self.folder / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        inches = max(fig.get_size_inches()[0], 1.0)
        fig.savefig(folder / f"{name}.png", dpi=2 * THUMB_WIDTH / inches, bbox_inches="tight")
        index = folder / "figures.json"
        known = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else {}
        write_json(index, known | {name: " ".join(alt.split())})
        if show:
            from llinet_lite.show import figure

            figure(fig, alt)
        else:
            plt.close(fig)

    def cost_box(self) -> str:
        """Return a markdown table: minutes and memory of this lesson under each profile."""
        rows = ["| profile | for | minutes | memory |", "|---|---|---|---|"]
        for profile in PROFILES.values():
            cost = COSTS.get(self.name, {}).get(profile.name)
            minutes = f"{cost.minutes:g}" if cost else "not measured"
            memory = f"{cost.gigabytes:g} GB" if cost else "not measured"
            rows.append(f"| `{profile.name}` | {profile.device} | {minutes} | {memory} |")
        return "\n".join(rows)

    # ---- reference weights

    def reference(self, name: str) -> Path | None:
        """Return the file of the reference weights `name`, or None where the lesson has to train.

        None if `retrain` was asked for, the data are one's own, no such weights are
        published, or they were trained under another profile. The file's card is beside
        it, with the ending .json (see :func:`llinet_lite.course.reference.card`).
        """
        if self.retrain or self.data is not None:
            return None
        return reference.find(name, self.settings.name)

    def publish(
        self, name: str, state: dict, *, results: list[Result], seed: int, note: str = ""
    ) -> Path | None:
        """Write reference weights and their card into the package; do nothing unless `publish` was asked for.

        Parameters
        ----------
        name : str
            File name without ending, as "l3net-all".
        state : dict of str to Tensor
            A module's `state_dict()`.
        results : list of Result
            What these very weights reach.
        seed : int
            Seed that trained them.
        note : str
            Anything a reader should know.

        Returns
        -------
        Path or None
            The file written.
        """
        if not self.publishing:
            return None
        card = {
            "lesson": self.name,
            "profile": self.settings.name,
            "seed": seed,
            "data_hash": self.data_hash,
            "command": f"llinet course --profile {self.settings.name} --only {self.name[:2]} --retrain --publish",
            "metrics": [as_entry(result) for result in results],
            "note": note,
        }
        return reference.write(name, state, card)
