"""Lesson 07 in JupyterLab: Run All, then the attention explorer by mouse and keyboard.

The tests are one visit to the page, in this order.
"""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import soundfile
from explorerpage import ExplorerPage, changed
from labpage import LabPage
from labserver import ROOT
from PIL import Image

NOTEBOOK = ROOT / "notebooks" / "07_sound_localization.ipynb"
NETWORK = "LLINet"


@pytest.fixture(scope="module")
def lesson(opened) -> LabPage:
    """The lesson with all its cells run."""
    lesson = opened(NOTEBOOK)
    assert not lesson.faults(), "\n".join(lesson.faults())
    seconds = lesson.run_all()
    lesson.shot("07-run")
    print(f"\nlesson 07: Run All took {seconds / 60:.1f} minutes", flush=True)
    return lesson


@pytest.fixture(scope="module")
def explorer(lesson) -> ExplorerPage:
    explorer = ExplorerPage(lesson)
    explorer.region.scroll_into_view_if_needed()
    explorer.told("heard:")
    lesson.shot("07-explorer", explorer.region)
    return explorer


@pytest.fixture(autouse=True)
def no_complaint(lesson):
    """After every test the page shows no error, no warning and no dialog."""
    yield
    assert not lesson.faults(), "\n".join(lesson.faults())


def photo() -> bytes:
    """A picture of 320 x 200 pixels: a bright disc on a slope of colour."""
    y, x = np.mgrid[:200, :320]
    image = np.stack([x * 255 // 320, y * 255 // 200, np.full_like(x, 90)], -1).astype(np.uint8)
    image[(x - 220) ** 2 + (y - 80) ** 2 < 40**2] = (250, 240, 120)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def whistle() -> bytes:
    """A wav file of 2.5 s: a tone that rises from 300 to 900 Hz, 44.1 kHz."""
    time = np.arange(int(2.5 * 44100)) / 44100
    file = io.BytesIO()
    soundfile.write(file, 0.4 * np.sin(2 * np.pi * (300 + 120 * time) * time), 44100, format="WAV")
    return file.getvalue()


def heard_in(status: str) -> str:
    return re.search(r"heard: (.*)\.$", status, re.MULTILINE).group(1)


def test_run_all_shows_no_error_and_no_warning(lesson):
    assert len(lesson.prompts) > 10 and not lesson.faults()


def test_the_first_view_states_peak_overlap_and_best_match(explorer):
    status = explorer.status
    for listener in explorer.listeners:
        assert re.search(rf"^{re.escape(listener)}: peak -?\d.*best match .*\.$", status, re.MULTILINE), (
            status
        )
    assert re.search(r"IoU 0\.\d\d at 0\.50 of", status), status
    assert heard_in(status).startswith("own sound")
    assert NETWORK in explorer.listeners and len(explorer.listeners) > 1


def test_another_picture(explorer):
    before, picture = explorer.status, explorer.settled(NETWORK)
    explorer.picture.select_option(index=5)
    third = explorer.told("heard: own sound", after=before)
    assert third.split(", heard")[0] != before.split(", heard")[0]
    assert changed(picture, explorer.settled(NETWORK)) > 0.2
    chosen = explorer.picture.input_value()
    explorer.button("next picture").click()
    following = explorer.told("heard: own sound", after=third)
    assert explorer.picture.input_value() != chosen
    explorer.button("previous picture").click()
    assert explorer.told("heard: own sound", after=following) == third


def test_the_map_listens(explorer):
    """Own sound, another class, both, silence: the words change, and the map with them."""
    seen = {"own sound": explorer.settled(NETWORK)}
    status = explorer.status
    for kind in ("another class", "mixture", "silence"):
        explorer.sound.select_option(label=kind)
        status = explorer.told(f"heard: {kind}", after=status)
        seen[kind] = explorer.settled(NETWORK)
        explorer.lab.shot(f"07-{kind.replace(' ', '-')}", explorer.region)
    assert "no IoU" in status, "in silence nothing sounds, so there is nothing to overlap with"
    explorer.sound.select_option(label="another class")
    status = explorer.told("heard: another class", after=status)
    options = explorer.other.locator("option").all_inner_texts()
    name = next(option for option in options if option not in status)
    explorer.other.select_option(label=name)
    assert name in heard_in(explorer.told(re.escape(name), after=status))
    explorer.sound.select_option(label="own sound")
    explorer.told("heard: own sound")
    assert changed(seen["own sound"], explorer.settled(NETWORK)) == 0, "the same question, the same answer"
    for kind in ("another class", "silence"):  # how much is a finding of the lesson, not of this test
        assert changed(seen["own sound"], seen[kind]) > 0.005, f"{kind} makes the same map"


def test_both_sliders(explorer):
    """Opacity shows and hides the map; the threshold moves the overlap that is stated."""
    seen = []
    for share in (0.02, 0.98):
        explorer.slide(explorer.opacity, share)
        seen.append(explorer.settled(NETWORK))
    assert changed(*seen) > 0.3, "the opacity hardly changes the picture"
    explorer.slide(explorer.opacity, 0.55)
    overlaps = []
    for share in (0.25, 0.85):
        before = explorer.status
        value = explorer.slide(explorer.threshold, share)
        line = explorer.told(f"at {value:.2f} of", after=before)
        overlaps.append(re.findall(r"IoU (\d\.\d\d)", line))
    assert overlaps[0] != overlaps[1], "the threshold changes no overlap"
    value = float(explorer.threshold.input_value())
    explorer.threshold.press("ArrowLeft")
    explorer.told(f"at {value - 0.01:.2f} of")


def test_a_click_in_the_picture_asks_the_spot(explorer):
    explorer.click_picture(NETWORK, 0.25, 0.3)
    explorer.told("fits the spot best")
    fitting = explorer.listed("sounds that fit this spot")
    place = fitting.inner_text()
    assert re.search(r"row \d+, column \d+", place) and fitting.locator("audio").count() > 0
    explorer.lab.shot("07-spot", explorer.region)
    explorer.click_picture(NETWORK, 0.8, 0.8)
    explorer.lab.until(lambda: fitting.inner_text() != place, "the sounds of another spot")


def test_the_keyboard_asks_a_spot_too(explorer):
    """Arrow keys move from cell to cell and say its value; Enter asks the cell, Escape leaves it."""
    fitting, canvas = explorer.listed("sounds that fit this spot"), explorer.canvas(NETWORK)
    canvas.focus()
    at = []
    for key in ("ArrowUp", "ArrowLeft"):
        canvas.press(key)
        at.append(re.search(r"row (\d+), column (\d+): -?\d", explorer.status).groups())
        assert f"Cursor in row {at[-1][0]}, column {at[-1][1]}" in canvas.get_attribute("aria-label")
    assert int(at[1][1]) == int(at[0][1]) - 1 and at[1][0] == at[0][0]
    canvas.press("Enter")
    place = "row {}, column {}".format(*at[1])
    explorer.lab.until(lambda: place in fitting.inner_text(), f"the sounds that fit {place}")
    explorer.told("fits the spot best")
    canvas.press("Escape")
    explorer.lab.until(lambda: not fitting.locator("audio").count(), "the spot to be left")
    explorer.told(r"best match [^,]*\.$")


def test_keys_stay_in_the_explorer(explorer):
    """A letter in a list finds an entry; to the notebook it would be a command, as "a" for a new cell."""
    cells = explorer.lab.notebook.locator(".jp-Cell")
    count, before = cells.count(), explorer.status
    letters = explorer.picture.locator("option").last.inner_text()[0]
    for key in ("a", "ArrowDown", letters):
        explorer.picture.press(key)
    explorer.told("heard:", after=before)
    explorer.button("next picture").press("Enter")
    assert cells.count() == count, "keys pressed in the explorer changed the notebook"
    assert explorer.region.is_visible()


def test_every_list_has_something_to_see_and_to_hear(explorer):
    sounds, pictures = explorer.listed("nearest sounds"), explorer.listed("nearest pictures")
    assert sounds.locator("audio").count() >= 3 * len(explorer.listeners)
    images = pictures.locator("img")
    assert images.count() >= 3 * len(explorer.listeners)
    assert all(image.get_attribute("alt") for image in images.all()), "a picture without a text"
    for source in sounds.locator("audio").all()[:3]:
        seconds = source.evaluate(
            """audio => new Promise((done, failed) => {
                audio.onloadedmetadata = () => done(audio.duration);
                audio.onerror = () => failed(new Error("the player cannot read its sound"));
                audio.preload = "metadata"; audio.load();
            })"""
        )
        assert 0.5 < seconds < 5


def test_listeners_come_and_go(explorer):
    other = next(name for name in explorer.listeners if name != NETWORK)
    box = explorer.region.get_by_role("checkbox", name=other, exact=True)
    box.uncheck()
    explorer.lab.until(lambda: not explorer.canvas(other).count(), f"{other} to go")
    explorer.lab.until(lambda: f"{other}: " not in explorer.status, f"{other} to leave the status")
    box.check()
    with explorer.lab.waiting(f"{other} to come back"):
        explorer.canvas(other).wait_for()
    explorer.told(rf"{re.escape(other)}: peak")


def test_play_moves_the_map(explorer):
    explorer.sound.select_option(label="own sound")
    explorer.told("heard: own sound")
    before = explorer.settled(NETWORK)
    explorer.button("play").click()
    explorer.lab.until(lambda: float(explorer.time.input_value()) > 0.4, "the time slider to move by itself")
    seen = []

    def moved():
        seen.append(explorer.pixels(NETWORK))
        return changed(before, seen[-1]) > 0.02

    explorer.lab.until(moved, "the map to move while the sound plays")
    explorer.lab.shot("07-playing", explorer.region)
    with explorer.lab.waiting("the sound to end, and the button to say play again"):
        explorer.button("play").wait_for()
    before = explorer.status
    explorer.slide(explorer.time, 0.3)
    explorer.told(r"around \d\.\d\d s", after=before)


def test_a_photo_and_a_sound_of_ones_own(explorer):
    explorer.upload("upload a photo", "disc.png", photo())
    status = explorer.told(r"^disc\.png, heard: ")
    assert not heard_in(status).startswith("own sound"), "a photo has no sound of its own"
    explorer.upload("upload a sound", "whistle.wav", whistle())
    status = explorer.told(r"heard: uploaded \(whistle\.wav\)")
    assert "no IoU" in status and f"{NETWORK}: peak" in status and "best match" in status
    assert explorer.sound.locator("option:checked").inner_text().startswith("uploaded")
    assert explorer.listed("nearest pictures").locator("img").count() >= 3
    explorer.settled(NETWORK)
    explorer.lab.shot("07-uploaded", explorer.region)


@pytest.mark.parametrize(
    ("what", "name"), [("upload a photo", "broken.jpg"), ("upload a sound", "broken.wav")]
)
def test_a_broken_file_gets_a_sentence(explorer, what, name):
    shown = explorer.settled(NETWORK)
    explorer.upload(what, name, b"neither a picture nor a sound\n" * 40)
    status = explorer.told(rf"^{re.escape(name)}: .*; choose a .*\.$")
    assert not re.search(r"Traceback|Error\b|0x|/tmp|<", status), status
    assert changed(shown, explorer.settled(NETWORK)) == 0, "what was shown stays"
    explorer.upload(what, name, b"neither a picture nor a sound\n" * 40)
    explorer.lab.page.wait_for_timeout(1000)
    explorer.told("; choose a ")  # the same file once more: the same sentence
    explorer.lab.shot(f"07-{name.replace('.', '-')}", explorer.region)


def test_a_recording(explorer):
    """The browser's microphone is a generated beep here."""
    explorer.button("record").click()
    explorer.lab.page.wait_for_timeout(2500)
    explorer.region.get_by_role("button", name=re.compile("stop")).click()
    explorer.told("heard: recorded")


def test_one_can_go_on_after_all_that(explorer):
    before = explorer.status
    explorer.picture.select_option(index=2)
    explorer.sound.select_option(label="own sound")
    explorer.told(r"heard: own sound .*IoU 0\.\d\d", after=before)
    explorer.lab.shot("07-last", explorer.region)
