"""The gate for committed notebooks: everything a reader of the page, or of its file, would stumble over."""

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
CELLS, WORDS = (15, 60), (1000, 2500)
LONGEST_CELL, MEDIAN_CELL = 30, 8  # lines of code
PROFILES = ("smoke", "laptop", "gpu", "paper")
MEASURED = ("smoke", "laptop")  # profiles that everybody can run, so their cost must be known
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/svg+xml")
WIDGET = "application/vnd.jupyter.widget-"
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
    size = path.stat().st_size
    faults = [f"has {size / 1e6:.1f} MB, must stay below {LARGEST / 1e6:.0f} MB"] if size >= LARGEST else []
    checks = (_whole, _box, _parameters, _outputs, _widgets, _alt_text, _paths, _size_of_cells)
    return faults + [fault for check in checks for fault in check(page)]


def code_cells(page) -> list:
    """Return the code cells that have code in them."""
    return [cell for cell in page.cells if cell.cell_type == "code" and cell.source.strip()]


def _data(page) -> Iterator[tuple[int, dict, dict]]:
    """Number of the code cell, data and metadata of every output."""
    for number, cell in enumerate(code_cells(page), start=1):
        yield from ((number, out.get("data", {}), out.get("metadata", {})) for out in cell.outputs)


def _whole(page) -> Iterator[str]:
    kernel = page.metadata.get("kernelspec", {}).get("name")
    if kernel != "python3":
        yield f"asks for the kernel {kernel!r}, must be 'python3'"
    counts = [cell.execution_count for cell in page.cells if cell.cell_type == "code"]
    if counts != list(range(1, len(counts) + 1)):
        yield f"was not run in order from a fresh start, or has an empty cell: execution counts {counts}"
    if any("papermill" in cell.metadata for cell in page.cells) or "papermill" in page.metadata:
        yield "carries papermill's metadata: commit a notebook that Jupyter or nbconvert ran"


def _box(page) -> Iterator[str]:
    first = page.cells[0] if page.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.lstrip().startswith("# "):
        yield "its first cell is not the box: a markdown cell that starts with the title"
        return
    top = "\n".join(text for cell in page.cells[:TOP] for text in _said(cell))
    for profile in PROFILES:
        if not re.search(rf"[`\"']{profile}[`\"']", top):
            yield f"its first {TOP} cells do not say what the lesson costs under `{profile}`"
        if profile in MEASURED and re.search(rf"`{profile}`[^\n]*not measured", top):
            yield f"the table of costs says 'not measured' for `{profile}`: measure it, and put it into COSTS"
    if "learn" not in first.source.lower():
        yield "the box does not say what one will learn"


def _parameters(page) -> Iterator[str]:
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


def _outputs(page) -> Iterator[str]:
    for number, cell in enumerate(code_cells(page), start=1):
        if re.search(r"^\s*#\s*NBVAL_", cell.source, flags=re.MULTILINE):
            yield f"code cell {number} marks itself by a comment that is easily ignored: use a cell tag"
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"code cell {number} ended in {output.ename}"
            if output.output_type == "stream" and output.name == "stderr":
                yield f"code cell {number} wrote to stderr: {output.text.strip()[:80]!r}"


def _widgets(page) -> Iterator[str]:
    widgets = page.metadata.get("widgets")
    if widgets is not None and not widgets.get(f"{WIDGET}state+json", {}).get("state"):
        yield "has metadata.widgets without state, which a viewer calls an invalid notebook: remove it"
    stills = {
        number for number, data, _ in _data(page)
        if "<img" in _text(data.get("text/html", "")) or any(kind in data for kind in PICTURES)
    }  # fmt: skip
    for number in {number for number, data, _ in _data(page) if f"{WIDGET}view+json" in data}:
        if not stills & {number, number + 1}:
            yield f"code cell {number} shows a widget without a still picture in it or in the next cell"


def _text(value: str | list) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _said(cell) -> list[str]:
    """Return the source of a cell and the text of its outputs."""
    said = [cell.source]
    for output in cell.get("outputs", []):
        said.append(_text(output.get("text", "")))
        said += [_text(v) for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return said


class _Silent(HTMLParser):
    """Collects the pictures and players of a piece of HTML that do not say what they are."""

    def __init__(self, html: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(DATA_URI.sub("data:", html))

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        label = said.get("alt") if tag == "img" else said.get("aria-label")
        if tag == "img" and len((label or "").strip()) < SHORTEST_ALT:
            self.found.append(f"<img> has alt text {label!r}")
        if tag in ("audio", "video", "canvas", "svg") and not (label or said.get("aria-hidden") == "true"):
            self.found.append(f"<{tag}> has no aria-label")


def _alt_text(page) -> Iterator[str]:
    for number, cell in enumerate(page.cells, start=1):
        if cell.cell_type == "markdown":
            prose = re.sub(r"```.*?```|`[^`\n]*`", "", cell.source, flags=re.DOTALL)
            for alt in MARKDOWN_PICTURE.findall(prose):
                if len(alt.strip()) < SHORTEST_ALT:
                    yield f"cell {number}: a picture has alt text {alt!r}, say what one should see"
            yield from (f"cell {number}: {fault}" for fault in _Silent(prose).found)
    for number, data, metadata in _data(page):
        for kind in PICTURES:
            if kind in data and len(metadata.get(kind, {}).get("alt", "").strip()) < SHORTEST_ALT:
                yield f"code cell {number}: its {kind} has no alt text: show it through llinet_lite.show"
        html = _text(data.get("text/html", ""))
        yield from (f"code cell {number}: {fault}" for fault in _Silent(html).found)


def _paths(page) -> Iterator[str]:
    for number, cell in enumerate(page.cells, start=1):
        for text in _said(cell):
            found = MACHINE_PATH.search(DATA_URI.sub("", text))
            if found:
                yield f"cell {number} names a path of one machine: {text[found.start() :][:60]!r}"


def _size_of_cells(page) -> Iterator[str]:
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
