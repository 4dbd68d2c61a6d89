"""The checks of the notebooks, checked: a good notebook passes, and each fault is found."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import nbformat
import pytest
from bands import faults, read
from hygiene import problems
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from recheck import recheck, says_something, tagged

ALT = "a line that rises from zero to one"
BOX = "# A lesson\n\nYou will learn nothing. It costs little under `smoke`, `laptop`, `gpu` and `paper`.\n\n"
PNG = {"image/png": "iVBORw0KGgo=", "text/plain": f"Figure: {ALT}"}


def good():
    """Return a notebook without a fault: 16 cells, 1,100 words."""
    cells = [new_markdown_cell(BOX + "word " * 1100)]
    cells.append(new_code_cell('profile = "laptop"\ndata = ""', metadata={"tags": ["parameters"]}))
    cells.append(new_markdown_cell(f"![{ALT}](attachment:x.png) and `![](inline code)`"))
    cells += [new_code_cell(f"print({k})", outputs=[new_output("stream", text=f"{k}\n")]) for k in range(12)]
    picture = new_output("display_data", PNG, metadata={"image/png": {"alt": ALT}})
    cells.append(new_code_cell("draw()", outputs=[picture]))
    for count, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), start=1):
        cell.execution_count = count
    kernel = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    return new_notebook(cells=cells, metadata=kernel)


def written(tmp_path: Path, page) -> Path:
    path = tmp_path / "00_lesson.ipynb"
    path.write_text(json.dumps(page), encoding="utf-8")
    return path


def test_a_good_notebook_passes(tmp_path):
    assert problems(written(tmp_path, good())) == []


def html(text):
    def spoil(page):
        page.cells[5].outputs = [new_output("display_data", {"text/html": text, "text/plain": "x"})]

    return spoil


def source(number, text, *, append=False):
    def spoil(page):
        page.cells[number].source = page.cells[number].source * append + text

    return spoil


def output(number, *args, **kwargs):
    def spoil(page):
        page.cells[number].outputs = [new_output(*args, **kwargs)]

    return spoil


def widget(page):
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "Slider()"}
    page.cells[5].outputs = [new_output("display_data", view)]


def unset(key):
    def spoil(page):
        del page.cells[-1].outputs[0].metadata[key]

    return spoil


FAULTS = {
    "no kernel": (lambda p: p.metadata.pop("kernelspec"), "asks for the kernel None"),
    "kernel of a machine": (lambda p: p.metadata.kernelspec.update(name="my-env"), "kernel 'my-env'"),
    "no box": (lambda p: p.cells.pop(0), "is not the box"),
    "no cost": (source(0, BOX.replace("`gpu`", "gpu") + "word " * 1100), "costs under `gpu`"),
    "cost not measured": (
        output(1, "display_data", {"text/markdown": "| `laptop` | cpu | not measured | not measured |"}),
        "says 'not measured' for `laptop`",
    ),
    "no aim": (source(0, BOX.replace("learn", "see") + "word " * 1100), "what one will learn"),
    "no parameters": (lambda p: p.cells[1].metadata.pop("tags"), "has 0 cells tagged `parameters`"),
    "no profile": (source(1, "data = ''"), "does not set `profile`"),
    "broken parameters": (source(1, "profile = "), "is not Python"),
    "not run": (lambda p: p.cells[4].update(execution_count=None), "was not run in order"),
    "run out of order": (lambda p: p.cells[4].update(execution_count=9), "was not run in order"),
    "papermill": (lambda p: p.metadata.update(papermill={}), "papermill's metadata"),
    "error": (
        output(4, "error", ename="ValueError", evalue="no", traceback=[]),
        "code cell 3 ended in ValueError",
    ),
    "stderr": (output(4, "stream", name="stderr", text="Warning: old"), "code cell 3 wrote to stderr"),
    "widget state": (lambda p: p.metadata.update(widgets={}), "metadata.widgets without state"),
    "widget alone": (widget, "code cell 4 shows a widget without a still picture"),
    "figure without alt": (unset("image/png"), "its image/png has no alt text"),
    "short alt": (
        lambda p: p.cells[-1].outputs[0].metadata["image/png"].update(alt="plot"),
        "has no alt text",
    ),
    "picture without alt": (source(2, "![](x.png)"), "cell 3: a picture has alt text ''"),
    "html picture": (
        html('<p><IMG src="data:image/png;base64,AAAA"></p>'),
        "code cell 4: <img> has alt text None",
    ),
    "player": (
        html('<audio controls src="data:audio/mpeg;base64,AAAA"></audio>'),
        "<audio> has no aria-label",
    ),
    "path in source": (source(4, "open('/home/me/x.txt')"), "cell 5 names a path of one machine"),
    "path in output": (output(4, "stream", text="saved to /tmp/x/y.txt"), "names a path of one machine"),
    "windows path": (source(4, r"open('C:\Users')"), "names a path of one machine"),
    "few cells": (lambda p: p.cells.__delitem__(slice(13, None)), "has 13 cells, must have 15 to 60"),
    "many cells": (lambda p: p.cells.extend(new_markdown_cell("x") for _ in range(50)), "has 66 cells"),
    "few words": (source(0, BOX), "words, must have 1000 to 2500"),
    "many words": (source(2, "word " * 2000), "words, must have 1000 to 2500"),
    "long cell": (source(4, "a = 1\n" * 31), "code cell 3 has 31 lines, more than a screen"),
    "long cells": (
        lambda p: [c.update(source="a = 1\n" * 9) for c in p.cells[3:]],
        "median code cell has 9 lines",
    ),
    "comment for nbval": (source(4, "# NBVAL_IGNORE_OUTPUT\nx = 1"), "marks itself by a comment"),
    "big": (output(4, "stream", text="x" * 3_000_000), "MB, must stay below 3 MB"),
    "invalid": (lambda p: p.cells[4].pop("outputs"), "is not a valid notebook"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found(tmp_path, name):
    spoil, says = FAULTS[name]
    page = copy.deepcopy(good())
    spoil(page)
    found = problems(written(tmp_path, page))
    assert any(says in fault for fault in found), found
    if name not in (
        "no box",
        "no parameters",
        "error",
        "few cells",
        "invalid",
    ):  # these break other rules too
        assert len(found) == 1, found


def test_no_notebook_at_all(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_text("hello")
    assert "is not a valid notebook" in problems(path)[0]


def test_a_widget_beside_its_picture_passes(tmp_path):
    page = good()
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "Slider()"}
    page.cells[-2].outputs = [new_output("display_data", view)]
    assert problems(written(tmp_path, page)) == []


# ---- nbval


def checked(folder: Path, name: str, *cells: tuple[str, str, bool]) -> Path:
    """Write a notebook of (source, stored text, tagged) cells."""
    page = good()
    page.cells = []
    for count, (code, text, tag) in enumerate(cells, start=1):
        outputs = [new_output("stream", text=text)] if text else []
        metadata = {"tags": ["nbval-check-output"]} if tag else {}
        page.cells.append(new_code_cell(code, outputs=outputs, execution_count=count, metadata=metadata))
    path = folder / f"{name}.ipynb"
    nbformat.write(page, path)
    return path


def test_nbval_counts_what_it_compared(tmp_path):
    right = checked(
        tmp_path,
        "right",
        ("x = 0.75\nprint('untagged')", "something else\n", False),
        ("print('accuracy', x)", "accuracy 0.75\n", True),
        ("x", "", True),
    )
    wrong = checked(tmp_path, "wrong", ("print('accuracy', 0.5)", "accuracy 0.75\n", True))
    broken = checked(tmp_path, "broken", ("1 / 0", "", False))
    outcome = recheck([right], tmp_path, cwd=tmp_path, environment={})
    assert outcome.code == 1, "a new output where none is stored is a difference"
    assert outcome.compared["right"] == {1: "accuracy 0.75\n", 2: ""} and tagged(right) == {1, 2}
    for path, says in ((wrong, "accuracy 0.5"), (broken, "ZeroDivisionError")):
        outcome = recheck([path], tmp_path, cwd=tmp_path, environment={})
        assert outcome.code == 1 and says in outcome.said


def test_nbval_gives_the_environment_and_passes_what_is_right(tmp_path):
    path = checked(tmp_path, "right", ("import os\nprint(os.environ['COLOUR'])", "green\n", True))
    outcome = recheck([path], tmp_path, cwd=tmp_path, environment={"COLOUR": "green"})
    assert outcome.code == 0, outcome.said
    assert outcome.compared == {"right": {0: "green\n"}}


@pytest.mark.parametrize(
    ("text", "enough"),
    [
        ("accuracy above 0.8: True", True),
        ("True", True),
        ("", False),
        ("None", False),
        ("<IPython.core.display.HTML object>", False),
        ("<Figure size 640x480 with 1 Axes>", False),
        ("3\n", False),
    ],
)
def test_what_an_output_must_say_to_count(text, enough):
    assert says_something(text) is enough


# ---- bands


def test_metrics_and_bands_belong_together():
    bands = {"01": {"accuracy": [0.6, 0.9], "control": [0.4, 0.6]}}
    assert faults(bands, {"01": {"accuracy": 0.7, "control": 0.4}}) == []
    assert faults(bands, {"01": {"accuracy": 0.91, "control": 0.39}}) == [
        "01: 'accuracy' is 0.91, must be 0.6 to 0.9",
        "01: 'control' is 0.39, must be 0.4 to 0.6",
    ]
    assert faults(bands, {"01": {"accuracy": 0.7}}) == ["01: 'control' has a band, but was not measured"]
    assert faults(bands, {"01": {"accuracy": 0.7, "control": 0.5}, "02": {"x": 1.0}}) == [
        "02: 'x' has no band"
    ]
    assert faults(bands, {"01": {"accuracy": float("nan"), "control": 0.5}})


def test_the_bands_of_the_course_can_fail():
    for lesson, bands in read().items():
        for name, (low, high) in bands.items():
            assert low < high and high - low < 0.6, f"{lesson}: the band of {name!r} lets anything pass"
