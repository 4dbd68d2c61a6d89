"""One notebook in one window of the browser: open it, run it, read what the page shows."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from labserver import LabServer
from playwright.sync_api import Locator, Page
from playwright.sync_api import TimeoutError as Waited

OPEN_SECONDS = 240  # the page of JupyterLab is heavy, and the machine may be busy
RUN_SECONDS = 1800
STEP_SECONDS = 120  # of one step in the page; other work may share the cores
ERRORS = '[data-mime-type="application/vnd.jupyter.error"]'
WARNINGS = '[data-mime-type="application/vnd.jupyter.stderr"]'
POPUPS = ".jp-Dialog:visible, .Toastify__toast:visible"
NOT_DRAWN = r"Error (displaying|creating|rendering) widget|Loading widget|Error loading|Failed to load model"
# Prompts of the code cells: "[12]:" has run, "[*]:" runs or waits, "[ ]:" has not run.
PROMPTS = "cells => cells.map(cell => cell.innerText.trim())"


class LabPage:
    """A page of the browser and the notebook open in it; screenshots go into the folder `shots`."""

    def __init__(self, page: Page, shots: Path):
        self.page = page
        self.shots = shots
        self.foreign: list[str] = []  # addresses outside this machine that the page asked for
        self.uncaught: list[str] = []  # errors of the page's scripts
        page.set_default_timeout(STEP_SECONDS * 1000)
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.uncaught.append(str(error)))

    def _note(self, request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.hostname != "127.0.0.1":
            self.foreign.append(request.url)

    @property
    def notebook(self) -> Locator:
        """The panel of the notebook that is open."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    @property
    def prompts(self) -> list[str]:
        """What stands left of each code cell."""
        return self.notebook.locator(".jp-CodeCell .jp-InputArea-prompt").evaluate_all(PROMPTS)

    @contextlib.contextmanager
    def waiting(self, for_what: str) -> Iterator[None]:
        """Say what was waited for when the time is up."""
        try:
            yield
        except Waited as error:
            raise AssertionError(f"waited in vain for {for_what}\n{error.message}") from None

    def until(
        self, holds: Callable, for_what: str | Callable[[], str], seconds: float = STEP_SECONDS
    ) -> None:
        """Ask `holds()` until it is true; say what was waited for when the time is up."""
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                said = for_what if isinstance(for_what, str) else for_what()
                raise AssertionError(f"waited {seconds:.0f} s in vain for {said}")
            self.page.wait_for_timeout(100)

    def shot(self, name: str, of: Locator | None = None) -> Path:
        """Keep a screenshot of the window, or of one part of it."""
        path = self.shots / f"{name}.png"
        (of or self.page).screenshot(path=path)
        return path

    def open(self, server: LabServer, notebook: Path) -> None:
        """Open a copy of a notebook and wait for its cells and its kernel."""
        self.page.goto(server.lend(notebook), timeout=OPEN_SECONDS * 1000)
        cells = len(json.loads(notebook.read_text("utf-8"))["cells"])
        shown = self.notebook.locator(".jp-Cell")
        self.until(lambda: shown.count() == cells, f"the {cells} cells of {notebook.name}", OPEN_SECONDS)
        idle = self.page.locator("#jp-main-statusbar").get_by_text(re.compile(r"Python 3.* \| Idle"))
        with self.waiting(f"the kernel of {notebook.name}"):
            idle.wait_for(timeout=OPEN_SECONDS * 1000)

    def choose(self, menu: str, entry: str) -> None:
        """Choose an entry of the menu bar by its name."""
        bar = self.page.get_by_role("menubar")
        with self.waiting(f"{menu} > {entry}"):
            bar.get_by_text(menu, exact=True).click()
            shown = self.page.locator(".lm-Menu-content").last
            shown.get_by_text(re.compile(f"^{entry}$")).click()

    def run_all(self, seconds: float = RUN_SECONDS) -> float:
        """Clear the outputs, run all cells, and return the seconds until the last one was done."""
        self.choose("Edit", "Clear Outputs of All Cells")
        self.until(lambda: not any(re.search(r"\d", text) for text in self.prompts), "the cleared outputs")
        start = time.monotonic()
        self.choose("Run", "Run All Cells")
        self.until(self._done, lambda: f"all code cells to run; they show {self.prompts}", seconds)
        return time.monotonic() - start

    def _done(self) -> bool:
        """Whether every code cell has run; a cell that failed ends the wait with what it says."""
        failed = self.notebook.locator(ERRORS)
        assert not failed.count(), f"a cell failed:\n{failed.first.inner_text()[-3000:]}"
        return all(re.fullmatch(r"\[\d+\]:", text) for text in self.prompts)

    def run_cell(self, text: str) -> Locator:
        """Run the code cell that has `text` in it with Shift+Enter; return the cell."""
        cell = self.notebook.locator(".jp-CodeCell").filter(has_text=text)
        cell.locator(".cm-content").click()
        cell.locator(".cm-content").press("Shift+Enter")
        return cell

    def run_new(self, text: str) -> None:
        """Write a code cell below the last cell and start it."""
        cells = self.notebook.locator(".jp-Cell")
        count = cells.count()
        cells.last.locator(".jp-InputPrompt").click()
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("b")
        self.until(lambda: cells.count() == count + 1, "a new cell")
        cells.last.locator(".cm-content").click()
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Control+Enter")

    def faults(self) -> list[str]:
        """What a reader should not have to see: errors, warnings, dialogs, widgets that are not drawn."""
        areas = self.notebook.locator(".jp-OutputArea-output")
        places = {
            "error": self.notebook.locator(ERRORS),
            "warning": self.notebook.locator(WARNINGS),
            "pop-up": self.page.locator(POPUPS),
            "widget": areas.filter(has_text=re.compile(NOT_DRAWN)),
        }
        found = [f"{kind}: {text}" for kind, place in places.items() for text in place.all_inner_texts()]
        found += [f"script: {text}" for text in self.uncaught]
        return found + [f"from another machine: {address}" for address in self.foreign]
