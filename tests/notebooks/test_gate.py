"""The committed notebooks pass the gate; and the gate checked: a good one passes, each fault is found."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import nbformat
import pytest
from hygiene import problems
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from test_nbval_count import NOTEBOOKS, recheck, says_something, tagged
from test_smoke_course import faults, read_bands

ALT = "a line that rises from zero to one"
BOX = "# A lesson\n\nYou will learn nothing. It costs little under `smoke`, `laptop`, `gpu` and `paper`.\n\n"
PNG = {"image/png": "iVBORw0KGgo=", "text/plain": f"Figure: {ALT}"}
VIEW = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "Slider()"}
LONG = "word " * 1100


def test_the_course_is_there_and_in_order():
    numbers = [path.stem.split("_")[0] for path in NOTEBOOKS]
    assert numbers == [f"{k:02d}" for k in range(len(numbers))] and len(numbers) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_fit_to_be_read(path):
    found = problems(path)
    assert not found, f"{path.name}:\n  " + "\n  ".join(found)


# ---- the gate


def good():
    """Return a notebook without a fault: 16 cells, 1,100 words."""
    cells = [new_markdown_cell(BOX + LONG)]
    cells.append(new_code_cell('profile = "laptop"\ndata = ""', metadata={"tags": ["parameters"]}))
    cells.append(new_markdown_cell(f"![{ALT}](attachment:x.png) and `![](inline code)`"))
    cells += [new_code_cell(f"print({k})", outputs=[new_output("stream", text=f"{k}\n")]) for k in range(12)]
    picture = new_output("display_data", PNG, metadata={"image/png": {"alt": ALT}})
    cells.append(new_code_cell("draw()", outputs=[picture]))
    for count, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), start=1):
        cell.execution_count = count
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    return new_notebook(cells=cells, metadata=kernel)


def found_in(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "00_lesson.ipynb"
    path.write_text(text, encoding="utf-8")
    return problems(path)


def source(number, text):
    return lambda page: page.cells[number].update(source=text)


def output(number, kind, data=None, **more):
    more |= {} if data is None else {"data": data}
    return lambda page: page.cells[number].update(outputs=[new_output(kind, **more)])


def html(text):
    return output(5, "display_data", {"text/html": text, "text/plain": "x"})


def alt(text):
    return lambda page: page.cells[-1].outputs[0].metadata.update({"image/png": text})


UNMEASURED = {"text/markdown": "| `laptop` | cpu | not measured | not measured |"}
FAULTS = {
    "no kernel": (lambda p: p.metadata.pop("kernelspec"), "asks for the kernel None"),
    "kernel of a machine": (lambda p: p.metadata.kernelspec.update(name="my-env"), "kernel 'my-env'"),
    "no box": (lambda p: p.cells.pop(0), "is not the box"),
    "no cost": (source(0, BOX.replace("`gpu`", "gpu") + LONG), "costs under `gpu`"),
    "cost not measured": (output(1, "display_data", UNMEASURED), "says 'not measured' for `laptop`"),
    "no aim": (source(0, BOX.replace("learn", "see") + LONG), "what one will learn"),
    "no parameters": (lambda p: p.cells[1].metadata.pop("tags"), "has 0 cells tagged `parameters`"),
    "no profile": (source(1, "data = ''"), "does not set `profile`"),
    "broken parameters": (source(1, "profile = "), "is not Python"),
    "not run": (lambda p: p.cells[4].update(execution_count=None), "was not run in order"),
    "run out of order": (lambda p: p.cells[4].update(execution_count=9), "was not run in order"),
    "papermill": (lambda p: p.metadata.update(papermill={}), "papermill's metadata"),
    "error": (output(4, "error", ename="TypeError", evalue="no"), "code cell 3 ended in TypeError"),
    "stderr": (output(4, "stream", name="stderr", text="Warning: old"), "code cell 3 wrote to stderr"),
    "widget state": (lambda p: p.metadata.update(widgets={}), "metadata.widgets without state"),
    "widget alone": (output(5, "display_data", VIEW), "code cell 4 shows a widget without a still picture"),
    "figure without alt": (alt({}), "its image/png has no alt text"),
    "short alt": (alt({"alt": "plot"}), "has no alt text"),
    "picture without alt": (source(2, "![](x.png)"), "cell 3: a picture has alt text ''"),
    "html picture": (html('<IMG src="data:image/png;base64,AA">'), "code cell 4: <img> has alt text None"),
    "player": (html('<audio controls src="data:audio/mpeg;base64,AA"></audio>'), "<audio> has no aria-label"),
    "path in source": (source(4, "open('/home/me/x.txt')"), "cell 5 names a path of one machine"),
    "path in output": (output(4, "stream", text="saved to /tmp/x/y.txt"), "names a path of one machine"),
    "windows path": (source(4, r"open('C:\Users')"), "names a path of one machine"),
    "few cells": (lambda p: p.cells.__delitem__(slice(13, None)), "has 13 cells, must have 15 to 60"),
    "many cells": (lambda p: p.cells.extend(new_markdown_cell("x") for _ in range(50)), "has 66 cells"),
    "few words": (source(0, BOX), "words, must have 1000 to 2500"),
    "many words": (source(2, "word " * 2000), "words, must have 1000 to 2500"),
    "long cell": (source(4, "a = 1\n" * 31), "code cell 3 has 31 lines, more than a screen"),
    "long cells": (lambda p: [c.update(source="a = 1\n" * 9) for c in p.cells[3:]], "median code cell has 9"),
    "comment for nbval": (source(4, "# NBVAL_IGNORE_OUTPUT\nx = 1"), "marks itself by a comment"),
    "big": (output(4, "stream", text="x" * 3_000_000), "MB, must stay below 3 MB"),
    "invalid": (lambda p: p.cells[4].pop("outputs"), "is not a valid notebook"),
}  # fmt: skip
MORE_THAN_ONE = ("no box", "no parameters", "error", "few cells", "invalid")  # these break other rules too


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(tmp_path, name):
    spoil, says = FAULTS[name]
    page = copy.deepcopy(good())
    spoil(page)
    found = found_in(tmp_path, json.dumps(page))
    assert any(says in fault for fault in found), found
    assert len(found) == 1 or name in MORE_THAN_ONE, found


def test_what_is_good_passes_and_what_is_no_notebook_does_not(tmp_path):
    page = good()
    assert found_in(tmp_path, json.dumps(page)) == []
    output(-2, "display_data", VIEW)(page)  # a widget beside its picture
    assert found_in(tmp_path, json.dumps(page)) == []
    assert "is not a valid notebook" in found_in(tmp_path, "hello")[0]


# ---- nbval, and the bands of the smoke course


def checked(folder: Path, name: str, *cells: tuple[str, str, bool]) -> Path:
    """Write a notebook of (source, stored text, tagged) cells."""
    page, path = good(), folder / f"{name}.ipynb"
    page.cells = []
    for count, (code, text, tag) in enumerate(cells, start=1):
        outputs = [new_output("stream", text=text)] if text else []
        metadata = {"tags": ["nbval-check-output"]} if tag else {}
        page.cells.append(new_code_cell(code, outputs=outputs, execution_count=count, metadata=metadata))
    nbformat.write(page, path)
    return path


UNTAGGED = ("x = 0.75\nprint('untagged')", "something else\n", False)
RECHECKED = {  # cells, exit code, what is said, what was compared
    "new": ([UNTAGGED, ("print('x', x)", "x 0.75\n", True), ("x", "", True)], 1, "", {1: "x 0.75\n", 2: ""}),
    "wrong": ([("print('x', 0.5)", "x 0.75\n", True)], 1, "x 0.5", {0: "x 0.75\n"}),
    "broken": ([("1 / 0", "", False)], 1, "ZeroDivisionError", {}),
    "right": ([("import os\nprint(os.environ['HUE'])", "green\n", True)], 0, "", {0: "green\n"}),
}


@pytest.mark.parametrize("name", RECHECKED)
def test_nbval_fails_on_a_difference_and_tells_what_it_compared(tmp_path, name):
    cells, code, says, compared = RECHECKED[name]
    path = checked(tmp_path, name, *cells)
    outcome = recheck(path, tmp_path, cwd=tmp_path, environment={"HUE": "green"})
    assert outcome.code == code and says in outcome.said, outcome.said
    assert outcome.compared == compared
    assert tagged(path) == {number for number, (_, _, tag) in enumerate(cells) if tag}


@pytest.mark.parametrize("text", ["", "None", "<IPython.core.display.HTML object>", "<Figure>", "3\n"])
def test_what_says_nothing_does_not_count(text):
    assert says_something("True") and not says_something(text)


BANDS_OF_ONE = {"01": {"a": [0.6, 0.9], "b": [0.4, 0.6]}}


@pytest.mark.parametrize(("measured", "says"), [
    ({"a": 0.7, "b": 0.4}, []),
    ({"a": 0.91, "b": 0.5}, ["01: 'a' is 0.91, must be 0.6 to 0.9"]),
    ({"a": 0.7, "b": float("nan")}, ["01: 'b' is nan, must be 0.4 to 0.6"]),
    ({"a": 0.7, "b": 0.5, "c": 1.0}, ["01: 'c' has no band"]),
    ({"a": 0.7}, ["01: 'b' has a band, but was not measured"]),
])  # fmt: skip
def test_metrics_and_bands_belong_together(measured, says):
    assert faults(BANDS_OF_ONE, {"01": measured}) == says


def test_the_bands_of_the_course_can_fail():
    for lesson, bands in read_bands().items():
        for name, (low, high) in bands.items():
            assert low < high and high - low < 0.6, f"{lesson}: the band of {name!r} lets anything pass"
