"""What a notebook asks the course for: its settings, its data, its place on disk, and where its numbers go.

Notebook: 00, 01
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from llinet_lite import workspace
from llinet_lite.profiles import COSTS, PROFILES, overridden, profile_named
from llinet_lite.workspace import REFERENCE, Workspace

from . import kept
from .record import as_entry, fault, write_json

if TYPE_CHECKING:
    import pandas as pd
    from IPython.display import Markdown
    from matplotlib.figure import Figure

    from llinet_lite.data.store import Store
    from llinet_lite.results import Result

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
    workspace : Workspace
        Where its data, checkpoints and weights lie.
    profile : Profile
        With `seeds` and `overrides` as given here.
    folder : Path
        `runs/<profile>/<name>`, or `runs/<profile>-<name of data>/<name>`.
    """

    def __init__(
        self,
        name: str,
        *,
        profile: str = "laptop",
        data: str | Path = "",
        seeds: int | Iterable[int] | None = None,
        overrides: Mapping[str, float] | None = None,
        retrain: bool = False,
        publish: bool = False,
    ):
        self.name = name
        sizes = overridden(profile_named(profile), overrides or {})
        if seeds:
            chosen = tuple(range(seeds) if isinstance(seeds, int) else seeds)
            sizes = dataclasses.replace(sizes, seeds=chosen)
        place = Path(data).expanduser().resolve() if str(data) else None
        self.workspace = Workspace(sizes, place, retrain=retrain, publish=publish, lesson=name)
        self.profile = sizes
        self.folder = self.workspace.run_dir / name
        self._results: dict[str, dict] = {}
        _show_whole_tables()

    # ---- TEMPORARY: wave B removes this; old experiments take a lesson, not a workspace

    @property
    def settings(self):
        return self.profile

    @property
    def data(self) -> Path | None:
        return self.workspace.data

    @property
    def is_world(self) -> bool:
        return self.workspace.is_world

    @property
    def data_hash(self) -> str:
        return self.workspace.data_hash

    @property
    def training_dir(self) -> Path:
        return self.workspace.training_dir()

    def store(self, splits: tuple[str, ...] = (), **changes: object) -> Store:
        return self.workspace.store(splits, **changes)

    def motion(self, splits: tuple[str, ...]) -> None:
        self.workspace.motion(splits)

    def reference(self, name: str) -> Path | None:
        return self.workspace.weights(name)

    def card(self, path: Path) -> dict:
        return self.workspace.card(path)

    def publish(self, name: str, state: dict, **facts) -> Path | None:
        return self.workspace.publish(name, state, **facts)

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
            "profile": self.profile.name,
            "data": self.workspace.data.name if self.workspace.data else "built-in world",
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
        return kept.kept(run or self.workspace.run_dir.name, self.name)

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
            minutes, memory = (f"{cost[0]:g}", f"{cost[1]:g} GB") if cost else ["not measured"] * 2
            if profile.name == REFERENCE and (more := self._minutes()) >= 1:
                minutes += f" with the reference weights, {more:.0f} more to train them anew"
            rows.append(f"| `{profile.name}` | {profile.device} | {minutes} | {memory} |")
        return Markdown("\n".join(rows))

    def _minutes(self) -> float:
        """How long the published weights of the lesson took to train, one seed each."""
        cards = (Workspace.card(path) for path in workspace.WEIGHTS.glob("*.safetensors"))
        return sum(card.get("minutes", 0.0) for card in cards if card["lesson"] == self.name)


def _show_whole_tables() -> None:
    """Let a notebook show every row and the whole text of every cell of a table."""
    import pandas as pd

    pd.set_option("display.max_rows", None, "display.max_colwidth", None)
