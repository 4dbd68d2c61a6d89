"""Lesson 00 in JupyterLab: it opens without a word of complaint, and its widget shows what is chosen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labpage import LabPage
from labserver import ROOT

from llinet_lite.course import _show


@pytest.fixture(scope="module")
def lesson(opened) -> Iterator[LabPage]:
    lesson = opened(ROOT / "notebooks" / "00_welcome.ipynb")
    yield lesson
    lesson.page.close()


def test_it_opens_without_a_warning(lesson):
    lesson.shot("00-opened")
    assert not lesson.faults(), "\n".join(lesson.faults())


def test_another_instrument_shows_another_picture_and_sound(lesson):
    """The browser of the world: run its cell, choose in the page, look at the page."""
    cell = lesson.run_cell("WorldBrowser(")
    browser = cell.locator(".jp-OutputArea-output .widget-vbox")
    with lesson.waiting("the browser of the world"):
        browser.locator("audio").wait_for()
    picture, sound = browser.locator("img"), browser.locator("audio")
    picture.scroll_into_view_if_needed()
    lesson.shot("00-violin")
    violin = picture.get_attribute("src"), sound.get_attribute("src")
    assert all(violin), "the picture or the sound has no source"
    browser.get_by_label("instrument").select_option("harp")
    lesson.until(lambda: "harp" in (picture.get_attribute("alt") or ""), "the picture of a harp")
    assert picture.get_attribute("src") != violin[0] and sound.get_attribute("src") != violin[1]
    assert picture.evaluate("img => img.decode().then(() => img.naturalWidth)") == 224
    lesson.shot("00-harp")
    assert not lesson.faults(), "\n".join(lesson.faults())


def test_its_page_keeps_proportions_and_asks_nothing_of_the_network(browser, tmp_path):
    lesson = ROOT / "notebooks" / "00_welcome.ipynb"
    _show(lesson, tmp_path / lesson.name, [lesson.read_text("utf-8")])
    for width in (1400, 390):
        page, asked = browser.new_page(viewport={"width": width, "height": 900}), []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.goto((tmp_path / "00_welcome.html").as_uri())
        widths = "[...document.images].map(i => i.width / i.height * i.naturalHeight / i.naturalWidth)"
        assert page.evaluate(widths) == pytest.approx([1] * 44, abs=0.02)
        assert asked and all(url.startswith(("file:", "data:")) for url in asked), asked
