"""The gate for committed notebooks: everything a reader of the page, or of its file, would stumble over.

`problems(path)` returns one sentence per fault; test_hygiene.py asks it about the
course, and about notebooks that have each fault on purpose.
"""

from __future__ import annotations

import ast
import json
import re
import statistics
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import nbformat

LARGEST = 3_000_000  # bytes of a file
SHORTEST_ALT = 20  # characters: a shorter text cannot say what one should see
TOP = 6  # cells in which the box and the table of costs must stand
CELLS = (15, 60)
WORDS = (1000, 2500)
LONGEST_CELL, MEDIAN_CELL = 30, 8  # lines of code
PROFILES = ("smoke", "laptop", "gpu", "paper")
MEASURED = ("smoke", "laptop")  # profiles that everybody can run, so their cost must be known
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/svg+xml")
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
MACHINE_PATH = re.compile(r"(?<![\w./:])(?:/(?:home|root|tmp|Users|opt|mnt|private|work)/\w|[A-Z]:\\\w)")
DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+")
MARKDOWN_PICTURE = re.compile(r"!\[(.*?)\]\(.*?\)", re.DOTALL)


def problems(path: Path) -> list[str]:
    """Return what is wrong with a notebook, one sentence per fault."""
    try:
        page = nbformat.read(path, as_version=4)
        nbformat.validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, nbformat.ValidationError, AttributeError) as error:
        return [f"is not a valid notebook: {str(error).splitlines()[0]}"]
    checks = (_file, _box, _parameters, _order, _outputs, _widgets, _alt_text, _paths, _size_of_cells, _tags)
    return [fault for check in checks for fault in check(path, page)]


def code_cells(page) -> list:
    """Return the code cells that have code in them."""
    return [cell for cell in page.cells if cell.cell_type == "code" and cell.source.strip()]


def _file(path: Path, page) -> Iterator[str]:
    if path.stat().st_size >= LARGEST:
        yield f"has {path.stat().st_size / 1e6:.1f} MB, must stay below {LARGEST / 1e6:.0f} MB"
    kernel = page.metadata.get("kernelspec", {}).get("name")
    if kernel != "python3":
        yield f"asks for the kernel {kernel!r}, must be 'python3'"


def _box(path: Path, page) -> Iterator[str]:
    first = page.cells[0] if page.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.lstrip().startswith("# "):
        yield "its first cell is not the box: a markdown cell that starts with the title"
        return
    top = "\n".join(text for cell in page.cells[:TOP] for text in _said(cell))
    for profile in PROFILES:
        if not re.search(rf"[`\"']{profile}[`\"']", top):
            yield f"its first {TOP} cells do not say what the lesson costs under `{profile}`"
    for profile in MEASURED:
        if re.search(rf"`{profile}`[^\n]*not measured", top):
            yield f"the table of costs says 'not measured' for `{profile}`: measure it, and put it into COSTS"
    if "learn" not in first.source.lower():
        yield "the box does not say what one will learn"


def _parameters(path: Path, page) -> Iterator[str]:
    tagged = [cell for cell in page.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1 or tagged[0].cell_type != "code":
        yield f"has {len(tagged)} cells tagged `parameters`, must have one, of code"
        return
    try:
        body = ast.parse(tagged[0].source).body
    except SyntaxError as error:
        yield f"its parameters cell is not Python: {error}"
        return
    targets = [t for node in body for t in getattr(node, "targets", [getattr(node, "target", None)])]
    if "profile" not in {target.id for target in targets if isinstance(target, ast.Name)}:
        yield "its parameters cell does not set `profile`"


def _order(path: Path, page) -> Iterator[str]:
    counts = [cell.execution_count for cell in page.cells if cell.cell_type == "code"]
    if counts != list(range(1, len(counts) + 1)):
        yield f"was not run in order from a fresh start, or has an empty cell: execution counts {counts}"
    if any("papermill" in cell.metadata for cell in page.cells) or "papermill" in page.metadata:
        yield "carries papermill's metadata: commit a notebook that Jupyter or nbconvert ran"


def _outputs(path: Path, page) -> Iterator[str]:
    for number, cell in enumerate(code_cells(page), start=1):
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"code cell {number} ended in {output.ename}"
            if output.output_type == "stream" and output.name == "stderr":
                yield f"code cell {number} wrote to stderr: {output.text.strip()[:80]!r}"


def _widgets(path: Path, page) -> Iterator[str]:
    widgets = page.metadata.get("widgets")
    if widgets is not None and not widgets.get(WIDGET_STATE, {}).get("state"):
        yield "has metadata.widgets without state, which a viewer calls an invalid notebook: remove it"
    cells = code_cells(page)
    for number, cell in enumerate(cells, start=1):
        if any(WIDGET_VIEW in out.get("data", {}) for out in cell.outputs):
            near = cells[number - 1 : number + 1]
            if not any(_shows_picture(out) for c in near for out in c.outputs):
                yield f"code cell {number} shows a widget without a still picture in it or in the next cell"


def _shows_picture(output) -> bool:
    data = output.get("data", {})
    return any(kind in data for kind in PICTURES) or "<img" in _text(data.get("text/html", ""))


def _text(value: str | list) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


class _Tags(HTMLParser):
    """Collects the pictures and players of a piece of HTML that say nothing of what they are."""

    def __init__(self):
        super().__init__()
        self.silent: list[str] = []

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        label = said.get("alt") if tag == "img" else said.get("aria-label")
        if tag == "img" and len((label or "").strip()) < SHORTEST_ALT:
            self.silent.append(f"<img> has alt text {label!r}")
        if tag in ("audio", "video", "canvas", "svg") and not (label or said.get("aria-hidden") == "true"):
            self.silent.append(f"<{tag}> has no aria-label")


def _silent(html: str) -> list[str]:
    parser = _Tags()
    parser.feed(DATA_URI.sub("data:", html))
    return parser.silent


def _alt_text(path: Path, page) -> Iterator[str]:
    for number, cell in enumerate(page.cells, start=1):
        if cell.cell_type == "markdown":
            prose = re.sub(r"```.*?```|`[^`\n]*`", "", cell.source, flags=re.DOTALL)
            for alt in MARKDOWN_PICTURE.findall(prose):
                if len(alt.strip()) < SHORTEST_ALT:
                    yield f"cell {number}: a picture has alt text {alt!r}, say what one should see"
            yield from (f"cell {number}: {fault}" for fault in _silent(prose))
    for number, cell in enumerate(code_cells(page), start=1):
        for output in cell.outputs:
            yield from (f"code cell {number}: {fault}" for fault in _silent_output(output))


def _silent_output(output) -> Iterator[str]:
    data, metadata = output.get("data", {}), output.get("metadata", {})
    for kind in PICTURES:
        if kind in data and len(metadata.get(kind, {}).get("alt", "").strip()) < SHORTEST_ALT:
            yield f"its {kind} has no alt text: show it through llinet_lite.show or Lesson.figure"
    yield from _silent(_text(data.get("text/html", "")))


def _said(cell) -> list[str]:
    """Return the source of a cell and the text of its outputs."""
    said = [cell.source]
    for output in cell.get("outputs", []):
        said.append(_text(output.get("text", "")))
        said += [_text(v) for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return said


def _paths(path: Path, page) -> Iterator[str]:
    for number, cell in enumerate(page.cells, start=1):
        for text in _said(cell):
            found = MACHINE_PATH.search(DATA_URI.sub("", text))
            if found:
                yield f"cell {number} names a path of one machine: {text[found.start() :][:60]!r}"


def _size_of_cells(path: Path, page) -> Iterator[str]:
    if not CELLS[0] <= len(page.cells) <= CELLS[1]:
        yield f"has {len(page.cells)} cells, must have {CELLS[0]} to {CELLS[1]}"
    words = sum(len(cell.source.split()) for cell in page.cells if cell.cell_type == "markdown")
    if not WORDS[0] <= words <= WORDS[1]:
        yield f"has {words} words, must have {WORDS[0]} to {WORDS[1]}"
    lengths = [sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in code_cells(page)]
    for number, length in enumerate(lengths, start=1):
        if length > LONGEST_CELL:
            yield f"code cell {number} has {length} lines, more than a screen: move it into the package"
    median = statistics.median(lengths) if lengths else 0
    if median > MEDIAN_CELL:
        yield f"its median code cell has {median:g} lines, must have {MEDIAN_CELL} or fewer"


def _tags(path: Path, page) -> Iterator[str]:
    for number, cell in enumerate(code_cells(page), start=1):
        if re.search(r"^\s*#\s*NBVAL_", cell.source, flags=re.MULTILINE):
            yield f"code cell {number} marks itself by a comment that is easily ignored: use a cell tag"
