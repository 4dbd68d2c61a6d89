"""What a notebook asks the course for: its settings, its data, its place on disk, and where its numbers go.

Notebook: 00, 01
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from . import kept, reference
from .errors import CourseError
from .places import run_name, runs_folder
from .profiles import COSTS, PROFILES, Profile, overridden, profile_named
from .record import as_entry, fault, write_json
from .sources import data_hash, digest, training_hash

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown
    from matplotlib.figure import Figure

    from llinet_lite.data.store import Store
    from llinet_lite.results import Result

REFERENCE = "laptop"  # the profile whose weights are published
THUMB_WIDTH = 480  # pixels of a figure in the report


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
    seeds : int or sequence of int, optional
        How many seeds (3 is 0, 1, 2), or which; the profile's if absent, 0 or empty.
    overrides : dict, optional
        Fields of the profile to set otherwise, as `{"epochs": 5, "width": 0}`; zero, "" and
        None leave the profile's value.
    retrain : bool
        Train even where reference weights are at hand.
    publish : bool
        Let :meth:`publish` write reference weights into the package.

    Attributes
    ----------
    settings : Profile
        The profile, with `seeds` and `overrides` as given here.
    run_dir, folder : Path
        `runs/<profile>` (or `runs/<profile>-<name of data>`), and this lesson's folder in it.

    Raises
    ------
    CourseError
        If the data are not there, an override is no field of a profile or not of its type,
        or `publish` is asked for where the outcome is no reference: without `retrain`, with
        data of one's own, with overrides, or under another profile than `laptop`.
    ValueError
        If the profile is unknown, or an override is out of range.
    """

    def __init__(
        self,
        name: str,
        *,
        profile: str = "laptop",
        data: str | Path = "",
        seeds: int | Iterable[int] | None = None,
        overrides: Mapping[str, object] | None = None,
        retrain: bool = False,
        publish: bool = False,
    ):
        self.name = name
        self.overrides = overridden(overrides or {})
        self.settings: Profile = dataclasses.replace(profile_named(profile), **self.overrides)
        self._seeds_given = bool(seeds)
        if seeds:
            chosen = tuple(range(seeds) if isinstance(seeds, int) else seeds)
            self.settings = dataclasses.replace(self.settings, seeds=chosen)
        self.data = Path(data).expanduser().resolve() if str(data) else None
        if self.data is not None and not self.data.is_dir():
            raise CourseError(f"the data folder {self.data} does not exist: check the path given to --data")
        if publish and (self.data is not None or not retrain or self.overrides or profile != REFERENCE):
            raise CourseError(
                f"publish goes with retrain=True and the profile {REFERENCE} as it is, on the built-in "
                f"world: nothing else is a reference"
            )
        _show_whole_tables()
        self.retrain, self.publishing = retrain, publish
        self.run_dir = runs_folder() / run_name(profile, self.data)
        self.folder = self.run_dir / name
        self._store: Store | None = None
        self._results: dict[str, dict] = {}

    # ---- data

    @property
    def is_world(self) -> bool:
        """Whether the data are the built-in world."""
        return self.data is None

    def store(self, splits: tuple[str, ...] = (), **changes: object) -> Store:
        """Open the lesson's data: build the profile's world, or import one's own folder, on first use.

        The world is built whole, whatever is asked for, so that its content hash, which
        checkpoints and results carry, is one and the same.

        Parameters
        ----------
        splits : tuple of str
            Splits that the lesson is going to use.
        **changes
            Fields of the world's data plan to set otherwise, as `imprint=1.0`; the store
            so made is another one, and :attr:`data_hash` stays that of the first.

        Raises
        ------
        CourseError
            If a split is missing, or changes are asked of one's own data.
        """
        from . import stores

        if self.data is not None and changes:
            raise CourseError(f"{', '.join(changes)} can be set for the built-in world only")
        store = None if changes else self._store
        if store is None:
            own = self.data is not None
            store = stores.own(self.data, self.settings) if own else stores.world(self.settings, **changes)
        if not changes:
            self._store = store
        missing = [split for split in splits if split not in store.splits]
        if missing:
            raise CourseError(
                f"{store.folder} has no split {', '.join(missing)}, which {self.name} needs; "
                f"it has {', '.join(store.splits)}"
            )
        return store

    def motion(self, splits: tuple[str, ...]) -> None:
        """Film the clips of these splits, 25 frames and ten flow fields each, where that is not done yet."""
        from . import stores

        stores.motion(self.store(splits), splits)

    @property
    def data_hash(self) -> str:
        """Content hash of the opened store; empty before :meth:`store` was called."""
        return "" if self._store is None else self._store.content_hash

    @property
    def training_dir(self) -> Path:
        """Folder for checkpoints of this profile and data, named by what they depend on.

        A change of the code that trains, of the data or of the settings gives a new name,
        so that no run goes on from, or passes for, a checkpoint of other code. Numbers of
        epochs and seeds are not among them (each run has them in its own folder's name),
        so lessons that need the same network share it.
        """
        settings = dataclasses.asdict(self.settings)
        kept = {k: v for k, v in settings.items() if k != "seeds" and not k.startswith("epochs")}
        mark = digest(training_hash(), data_hash(self.data), json.dumps(kept, sort_keys=True))
        return self.run_dir / f"training-{mark[:12]}"

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

    def published_results(self, run: str = "") -> list[Result]:
        """Return this lesson's results as `results/` keeps them; none if none are kept.

        Parameters
        ----------
        run : str
            Name of a run, as "gpu" or "laptop-photos"; this lesson's own by default.
        """
        return kept.kept(run or self.run_dir.name, self.name)

    def results_table(self, run: str = "") -> pd.DataFrame:
        """Return :meth:`published_results` as a table.

        Columns: result, value, low, high, chance, paper, seeds (how many), minutes.
        """
        return kept.table(self.published_results(run))

    def cost_box(self) -> Markdown:
        """Return a table to display: minutes and memory of this lesson under each profile.

        What training the published weights took is read from their cards.
        """
        from IPython.display import Markdown

        rows = ["| profile | for | minutes | memory |", "|---|---|---|---|"]
        for profile in PROFILES.values():
            cost = COSTS.get(self.name, {}).get(profile.name)
            minutes = f"{cost.minutes:g}" if cost else "not measured"
            if profile.name == REFERENCE and (more := reference.minutes(self.name)) >= 1:
                minutes += f" with the reference weights, {more:.0f} more to train them anew"
            memory = f"{cost.gigabytes:g} GB" if cost else "not measured"
            rows.append(f"| `{profile.name}` | {profile.device} | {minutes} | {memory} |")
        return Markdown("\n".join(rows))

    # ---- reference weights

    def reference(self, name: str) -> Path | None:
        """Return the file of the reference weights `name`, or None where the lesson has to train.

        None if the profile is another than `laptop` or was changed, the data are one's own,
        or no such weights are published; and if `retrain` was asked for, unless they are an
        earlier lesson's. :meth:`card` tells how they were made.
        """
        if self.data is not None or self.overrides or self.settings.name != REFERENCE:
            return None
        path = reference.find(name, REFERENCE)
        return None if path and self.retrain and self.card(path)["lesson"] == self.name else path

    @staticmethod
    def card(path: Path) -> dict:
        """Return the card of a file of reference weights: seed, data hash, metrics, command and facts."""
        return reference.card(path)

    def publish(
        self, name: str, state: dict, *, seed: int, results: Iterable[Result] = (), **facts: object
    ) -> Path | None:
        """Write reference weights and their card into the package; do nothing unless `publish` was asked for.

        Parameters
        ----------
        name : str
            File name without ending, as "l3net-all".
        state : dict of str to Tensor
            A module's `state_dict()`; each tensor keeps its type.
        seed : int
            Seed that trained them.
        results : iterable of Result
            What these very weights reach.
        **facts
            Whatever else the card should hold, JSON-able, as `minutes=1.2`.

        Returns
        -------
        Path or None
            The file written.

        Raises
        ------
        ValueError
            If a fact has the name of a field of the card, or is no JSON.
        """
        if not self.publishing:
            return None
        seeds = f" --seeds {len(self.settings.seeds)}" if self._seeds_given else ""
        command = f"llinet course --profile {REFERENCE} --only {self.name[:2]}"
        card = {
            "lesson": self.name,
            "profile": self.settings.name,
            "seed": seed,
            "data_hash": self.data_hash,
            "command": f"{command} --retrain --publish{seeds}",
            "metrics": [as_entry(result) for result in results],
        }
        return reference.write(name, state, card, facts)


def _show_whole_tables() -> None:
    """Let a notebook show every row and the whole text of every cell of a table."""
    import pandas as pd

    pd.set_option("display.max_rows", None, "display.max_colwidth", None)
