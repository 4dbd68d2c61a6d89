"""JupyterLab and a browser for the tests that use the course as a person does."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from explorerpage import ExplorerPage
from labpage import LabPage
from labserver import ROOT, LabServer, serve

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NONE = f"no browser to use the lessons in: install Chromium or Chrome (looked for {', '.join(BROWSERS)})"
HERE = Path(__file__).resolve().parent
SHOTS = ROOT / "runs" / "browser"
# The microphone is a generated beep and nobody is asked; a sandbox inside a container does not start.
FLAGS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
WINDOW = {"width": 1400, "height": 1500}
SEEN = pytest.StashKey[list[LabPage]]()


def find_browser() -> str | None:
    """Return the path of a browser, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a browser skip these tests, and say why; where `LLINET_CI` is set they fail instead."""
    if find_browser() or os.environ.get("LLINET_CI"):
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=NONE))


@pytest.fixture(scope="session")
def browser():
    """Chromium or Chrome without a window."""
    path = find_browser()
    if path is None:
        pytest.fail(f"{NONE}; LLINET_CI is set, so that no test may be skipped for it", pytrace=False)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS), timeout=180_000)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(browser) -> Iterator[LabServer]:
    """JupyterLab over the checkout, with a home of its own; the notebooks it opens are copies."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=SHOTS, prefix="copies-") as folder,
        tempfile.TemporaryDirectory(prefix="llinet-home-") as home,
        serve(Path(folder), Path(home), SHOTS / "jupyterlab.log") as server,
    ):
        yield server


@pytest.fixture(scope="session")
def opened(request, browser, server) -> Iterator[Callable[[Path], LabPage]]:
    """A function that opens a notebook in a new window, kept until it is closed or the last test is over."""
    context = browser.new_context(viewport=WINDOW, permissions=["microphone"])
    seen = request.config.stash.setdefault(SEEN, [])

    def opened(notebook: Path) -> LabPage:
        seen.append(LabPage(context.new_page(), SHOTS))
        seen[-1].open(server, notebook)
        return seen[-1]

    yield opened
    seen.clear()
    context.close()


@pytest.fixture(scope="session")
def lesson_07(opened) -> LabPage:
    """Lesson 07 with all its cells run: it takes minutes, so both of its modules visit the same page."""
    lesson = opened(ROOT / "notebooks" / "07_sound_localization.ipynb")
    assert not lesson.faults(), "\n".join(lesson.faults())
    seconds = lesson.run_all()
    lesson.shot("07-run")
    print(f"\nlesson 07: Run All took {seconds / 60:.1f} minutes", flush=True)
    return lesson


@pytest.fixture(scope="session")
def explorer(lesson_07) -> ExplorerPage:
    """The attention explorer of lesson 07."""
    explorer = ExplorerPage(lesson_07)
    explorer.region.scroll_into_view_if_needed()
    explorer.told("heard:")
    lesson_07.shot("07-explorer", explorer.region)
    return explorer


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Keep a screenshot of what the page showed when a test failed."""
    report = yield
    pages = item.config.stash.get(SEEN, [])
    if report.failed and pages:
        try:
            kept = pages[-1].shot(f"failed-{item.name}")
        except Exception as error:  # a browser that died has no picture; the test's own failure counts
            kept = f"none: {error}"
        report.sections.append(("screenshot", str(kept)))
    return report
