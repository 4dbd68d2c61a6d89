"""Results as one place: the tables of README.md and all of them in results/README.md, built from `results/`.

`llinet report --tables` writes them, and the page of claims.

Notebook: 01
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import claims
from .errors import CourseError
from .measured import COLUMNS, NONE, SEEDS, Measured, Page, joined, one, short

if TYPE_CHECKING:
    import pandas as pd

    from llinet_lite.audit import Effect
    from llinet_lite.results import Result

__all__ = ["BEGIN", "END", "between", "everything", "readme", "update", "written"]

BEGIN = "<!-- results: begin; written by `llinet report --tables`, do not edit it here -->"
END = "<!-- results: end -->"
WIDTH = 110  # of a line of prose
EFFECTS = 3  # rows of lesson 09 in README.md
ABOUT = {
    "laptop": "the built-in world",
    "gpu": "the built-in world, networks and inputs of the papers' size",
    "laptop-traindata": "photographs and recorded sounds of instruments, paired by class; not part of "
    "the course; its intervals of three seeds are older, and too narrow",
}


@dataclass(frozen=True)
class Row:
    """One line of a table: a label, and results by lesson number and name, as "02 AVC accuracy, all"."""

    label: str
    names: tuple[str, ...]

    @property
    def lesson(self) -> str:
        return self.names[0].split(" ")[0]


def _rows(template: str, labels: dict[str, str], *values: str) -> tuple[Row, ...]:
    """Return a row per label; the names are the template with each value and the label's own name."""
    return tuple(
        Row(label, tuple(template.format(value, name) for value in values)) for label, name in labels.items()
    )


OWN, OTHER = "own sound", "shuffled sound"
NAMERS = ("DCN", "LDE", "RelationNet", "SAE", "LLINet", "LLINet (VGGish)")
METHODS = ("DAR", "ULSLVC", "SIR", "SCAN", "DSCMR", "TIMAM", "CMPM", "CME", "LLINet")
HEARING = (
    Row("AVC accuracy: L3-Net", ("01 AVC accuracy, all",)),
    Row("AVC accuracy: L3-Net, one sound per picture", ("01 AVC accuracy, sampled",)),
    Row("AVC accuracy: AVE-Net", ("02 AVC accuracy, all",)),
    Row("AVC accuracy: AVOL-Net", ("03 AVC accuracy, all",)),
    *_rows(
        "02 nDCG@30 exponential, {}, {}",
        {
            "nDCG@30: L3-Net": "L3-Net", "nDCG@30: L3-Net + CCA": "L3-Net + CCA, paper",
            "nDCG@30: AVE-Net": "AVE-Net",
        },
        "im-aud", "aud-im",
    ),
    *_rows(
        "03 pointing, {}, box, {}",
        {
            "pointing: AVOL-Net": OWN, "pointing: it hears another class": OTHER,
            "pointing: image centre": "image centre",
        },
        "seen", "unseen",
    ),
    *_rows(
        "07 {}, {}",
        {
            "mIoU: AVOL-Net": "AVOL-Net", "mIoU: Baseline": "Baseline", "mIoU: Baseline+AM": "Baseline+AM",
            "mIoU: LLINet": "LLINet", "mIoU: it hears another class": f"LLINet, {OTHER}",
            "mIoU: centre disc": "centre disc",
        },
        "mIoU", "mIoU as released",
    ),
    *_rows(
        "08 {}, {}",
        {f"acc, hm: {name}": name for name in NAMERS},
        "acc", "hm (gate)",
    ),
)  # fmt: skip
# Where the registry of lesson 09 says what was done otherwise, by whose way it is.
WAYS = {"paper": "paper", "code": "code", "documentation": "paper", "practice": "argument"}
DIRECTIONS = ("I2A", "A2I")
LEGEND = (
    "[Which claims of the papers held up here](notebooks/claims.md), [all results](results/README.md). "
    f"Shares in percent; \u00b1 is the larger half of the 95 % interval; {SEEDS} seeds, or as many as a "
    f"raised figure says; constants have none. `{NONE}`: not measured, or not published. The papers had "
    "other data, so compare orders and not values; chance is that of the first column that was measured."
)
MEANING = (
    "**AVC accuracy**: does this sound belong to this picture? Trained with every pair of a batch, or with "
    "one sound per picture as published. **nDCG@30**: graded retrieval, exponential gain; picture to sound "
    "\u00b7 sound to picture; the paper does not state its gain. **pointing**: the highest cell of the map "
    "lies in the box of the instrument; seen \u00b7 unseen classes. **mIoU**: overlap of map and "
    "instrument, unseen classes; threshold chosen on validation \u00b7 protocol as released, which is the "
    "paper's. **acc, hm**: zero-shot accuracy \u00b7 harmonic mean over seen and unseen classes behind one "
    "gate. **R@1, mAP**: retrieval of unseen classes; a picture asks \u00b7 a sound asks."
)


# ------------------------------------------------------------------------------------------------ README.md


def readme(measured: Measured) -> str:
    """Return the Markdown that stands between the two markers of README.md."""
    runs = list(COLUMNS)
    retrieval = (
        f"Zero-shot retrieval (lesson {measured.link('06', 'notebooks/')}), the methods of LLINet's Table 1:"
    )
    parts = [
        "## Results",
        _wrapped(LEGEND),
        _markdown([_line(row, measured, runs) for row in HEARING]),
        retrieval,
        _markdown(_retrieval(measured, runs)),
        _effects(measured, runs),
        _wrapped(MEANING),
        "\n".join(_place(run, measured) for run in runs),
    ]
    return "\n\n".join(part.strip() for part in parts if part)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _line(row: Row, measured: Measured, runs: list[str]) -> dict[str, str]:
    by_run = {run: [measured.result(run, name) for name in row.names] for run in runs}
    known = [_first(by_run[run][k] for run in runs) for k in range(len(row.names))]
    return {
        "": row.label,
        "lesson": measured.link(row.lesson, "notebooks/"),
        "paper": joined(_field(result, "paper") for result in known),
        **{COLUMNS[run]: joined(map(short, results), merge=False) for run, results in by_run.items()},
        "chance": joined(_field(result, "chance") for result in known),
    }


def _first(results) -> Result | None:
    return next((result for result in results if result), None)


def _field(result: Result | None, field: str) -> str:
    return NONE if result is None else one(getattr(result, field), result.unit)


def _retrieval(measured: Measured, runs: list[str]) -> list[dict[str, str]]:
    """One row per method of Table 1, and one for chance."""
    rows = []
    for method in METHODS:
        row = {"": method}
        for measure in ("R@1", "mAP"):
            line = _line(
                Row("", tuple(f"06 {measure} {way}, {method}" for way in DIRECTIONS)), measured, runs
            )
            row |= {f"{measure}: paper": line["paper"]}
            row |= {f"{measure}: {COLUMNS[run]}": line[COLUMNS[run]] for run in runs}
        rows.append(row)
    chance = {"": "chance"}
    for measure in ("R@1", "mAP"):
        chance |= {f"{measure}: paper": NONE}
        for run in runs:
            found = [measured.result(run, f"06 {measure} {way}, LLINet") for way in DIRECTIONS]
            chance[f"{measure}: {COLUMNS[run]}"] = joined(_field(result, "chance") for result in found)
    return [*rows, chance]


def _known_effects() -> dict[str, Effect]:
    """Every difference that lesson 09 knows, by key."""
    from llinet_lite.audit import Effect, avenet, llinet

    found = [item for module in (avenet, llinet) for item in vars(module).values()]
    flat = [e for item in found for e in (item if isinstance(item, tuple) else (item,))]
    return {e.key: e for e in flat if isinstance(e, Effect)}


def _effects(measured: Measured, runs: list[str]) -> str:
    """Return the largest effects of lesson 09 beyond their interval, one per difference; may be empty."""
    pages = [page for page in measured.pages if page.number == "09" and page.run in runs]
    if not pages:
        return ""
    known, largest = _known_effects(), {}
    sure = [r for r in pages[0].results.values() if r.low is not None and (r.low > 0 or r.high < 0)]
    for result in sorted(sure, key=lambda result: -abs(result.value)):
        largest.setdefault(result.name.partition(", ")[0], result)
    rows = []
    for key, result in list(largest.items())[:EFFECTS]:
        e = known.get(key)
        about = f"{e.question}: *{getattr(e, WAYS[e.compared])}* instead of *{e.ours}*" if e else key
        row = {"done otherwise": about, "metric": result.name.partition(", ")[2]}
        for run in runs:
            found = measured.result(run, f"09 {result.name}")
            row[f"worth: {COLUMNS[run]}"] = short(found, sign=True)
        rows.append(row)
    if not rows:
        return ""
    link = measured.link("09", "notebooks/")
    return (
        f"The largest differences between paper, code and practice (lesson {link}), in points:\n\n"
        + _markdown(rows)
    )


def _place(run: str, measured: Measured) -> str:
    """Return one line about a run: data, and every machine it was measured on, with dates."""
    pages = measured.of(run)
    what = f"* *{COLUMNS[run]}* (`{run}`): {ABOUT.get(run, '')}"
    if not pages:
        return f"{what}; not measured yet."
    machines: dict[str, list[Page]] = {}
    for page in pages:
        machines.setdefault(page.place, []).append(page)
    texts = []
    for place, of in machines.items():
        lessons = "lesson " + ", ".join(page.number for page in of) + " " if len(machines) > 1 else ""
        texts.append(f"{lessons}on {place}, {_dates(of)}")
    return f"{what}; {'; '.join(texts)}."


def _dates(pages: list[Page]) -> str:
    days = sorted({page.date for page in pages if page.date})
    return "no date" if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _markdown(rows: list[dict[str, str]]) -> str:
    import pandas as pd

    from llinet_lite.results import markdown

    return markdown(pd.DataFrame(rows))


# --------------------------------------------------------------------------------------- results/README.md


def everything(measured: Measured, folder: Path) -> str:
    """Return the page with every result by lesson and run, and the benchmarks of the folder."""
    text = (
        "# All results\n\n"
        "<!-- Written by `llinet report --tables` from the files of this folder: do not edit it here. -->\n\n"
        "One section per lesson, one table per run. A number stands with its 95 % interval, chance, the "
        "paper's value\n"
        "in the same unit, the seeds behind it, `n` decisions or items, and the minutes of all seeds "
        "together; `%` is a\n"
        "share in percent. `llinet course --profile NAME --keep` measures again, `llinet report "
        "--tables` writes this\n"
        "page, the tables of [README.md](../README.md) and [the page of claims](../notebooks/claims.md).\n"
        "`laptop-earlier` is another training of the same code and seeds, with which lesson 09 compares. Its "
        "intervals,\n"
        "and those of `laptop-traindata`, draw seeds with replacement, which from three seeds is too narrow; "
        "all others\n"
        "take seeds by Student's t (lesson 09, section 6).\n"
    )
    for number, lesson in sorted(measured.lessons.items()):
        title = lesson.partition("_")[2].replace("_", " ")
        text += f"\n## {number} \u00b7 {title}\n\n[the lesson](../notebooks/{lesson}.ipynb)\n"
        for page in measured.pages:
            if page.number == number:
                text += f"\n### {title}, `{page.run}`\n\n{_about(page)}\n\n{_markdown_of(page)}"
    for path in sorted(folder.glob("bench*.json")):
        text += _benchmark(path)
    return text


def _about(page: Page) -> str:
    commit = (page.machine or {}).get("commit", "")
    hashes = sorted({result.data_hash[:8] for result in page.results.values() if result.data_hash})
    parts = [f"{page.data or 'data not noted'} ({', '.join(hashes)})" if hashes else page.data, page.place]
    parts += [page.date, f"commit {commit}" if commit else ""]
    return "; ".join(part for part in parts if part) + "."


def _markdown_of(page: Page) -> str:
    from llinet_lite.results import markdown, table

    frame: pd.DataFrame = table(page.results.values()).drop(columns=["profile", "data", "device"])
    return markdown(frame.replace("", NONE))


def _benchmark(path: Path) -> str:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [_stage(row) for row in content["rows"]]
        where = content["machine"]
    except (ValueError, KeyError, TypeError) as error:
        raise CourseError(f"{path} is no benchmark ({error!r}): `llinet bench` writes it again") from error
    about = [f"{where[key]} {word}".strip() for key, word in (("processor", ""), ("cores", "cores"))]
    about += [f"torch {content.get('torch', 'not noted')}", content.get("date", "no date")]
    return f"\n## Speed: `{path.name}`\n\n{', '.join(about)}.\n\n{_markdown(rows)}"


def _stage(row: dict) -> dict[str, str]:
    def number(key: str) -> str:
        return NONE if row.get(key) is None else f"{row[key]:.4g}"

    return {
        "stage": row["name"],
        "unit": row["unit"],
        "ours": number("ours"),
        "plain way": number("plain"),
        "ratio": number("ratio"),
        "the plain way is": row.get("against") or NONE,
    }


# ------------------------------------------------------------------------------------------------ writing


def between(text: str, block: str, name: str = "README.md") -> str:
    """Return the text with everything between BEGIN and END replaced by the block.

    Raises
    ------
    CourseError
        If either marker is missing or there twice, or they stand in the wrong order.
    """
    counts = text.count(BEGIN), text.count(END)
    if counts != (1, 1) or text.index(BEGIN) > text.index(END):
        raise CourseError(
            f"{name} must hold each of these two lines once, in this order, where its results "
            f"belong:\n{BEGIN}\n{END}"
        )
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n\n{block}\n\n{END}{rest.split(END)[1]}"


def written(root: Path, folder: Path) -> dict[Path, str]:
    """Return the three files that show results, and what they must hold.

    Parameters
    ----------
    root : Path
        Folder of README.md and notebooks/.
    folder : Path
        Folder of published results.

    Raises
    ------
    CourseError
        If there is no README.md, its markers are not right, or the results are not valid.
    """
    front = root / "README.md"
    if not front.is_file():
        raise CourseError(f"there is no {front}: run llinet from a copy of the course")
    measured = Measured.read(folder)
    return {
        front: between(front.read_text(encoding="utf-8"), readme(measured), str(front)),
        folder / "README.md": everything(measured, folder),
        root / "notebooks" / "claims.md": claims.page(measured),
    }


def update(root: Path, folder: Path) -> list[Path]:
    """Write the three files, each whole or not at all, and return those that changed.

    Raises
    ------
    CourseError
        As :func:`written`; nothing is written then.
    """
    from llinet_lite.checkpoint import write_atomic

    changed = []
    for path, text in written(root, folder).items():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_atomic(path, text.encode())
            changed.append(path)
    return changed
