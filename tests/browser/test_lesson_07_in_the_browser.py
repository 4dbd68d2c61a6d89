"""Lesson 07 in JupyterLab: Run All, then the attention explorer by mouse and keyboard, files and microphone.

The tests are one visit to the page, in this order.
"""

from __future__ import annotations

import os
import re
import signal

import numpy as np
import pytest
from explorerpage import NETWORK, around, cells, changed, heard_in, photo, png, whistle, words


@pytest.fixture(autouse=True)
def no_complaint(lesson_07):
    """After every test the page shows no error, no warning and no dialog."""
    yield
    assert not lesson_07.faults(), "\n".join(lesson_07.faults())


def test_the_first_view_states_peak_overlap_and_best_match(explorer):
    status = explorer.status
    for listener in explorer.listeners:
        assert re.search(rf"^{re.escape(listener)}: peak -?\d.*best match .*\.$", status, re.MULTILINE), (
            status
        )
    assert re.search(r"IoU 0\.\d\d at 0\.50 of", status), status
    assert heard_in(status).startswith("own sound")
    assert NETWORK in explorer.listeners and len(explorer.listeners) > 1


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
        drawn = explorer.settled(NETWORK)
        value = explorer.slide(explorer.threshold, share)
        line = explorer.told(f"at {value:.2f} of", after=before)
        assert changed(drawn, explorer.settled(NETWORK)) > 0.002, "the dashed line stays where it was"
        for listener in explorer.listeners:
            stated = explorer.line(listener).iou
            assert f"IoU {stated}" in explorer.caption(listener), "the canvas says another overlap"
        overlaps.append(re.findall(r"IoU (\d\.\d\d)", line))
    assert overlaps[0] != overlaps[1], "the threshold changes no overlap"
    value = float(explorer.threshold.input_value())
    explorer.threshold.press("ArrowLeft")
    explorer.told(f"at {value - 0.01:.2f} of")


def test_the_map_lies_where_the_words_say(explorer):
    """Without the picture and the lines, the brightest cell is the one that is stated as the peak."""
    explorer.sound.select_option(label="another class")
    explorer.told("heard: another class")
    explorer.opacity.press("End")
    explorer.threshold.press("End")  # nothing is above it: no dashed line
    explorer.told("at 1.00 of|no IoU")
    for _ in range(8):
        line = explorer.line(NETWORK)
        if all(abs(2 * at + 1 - n) > 2 for at, n in zip(line.peak, line.grid, strict=True)):
            break  # far enough from both middles for a map upside down to be seen
        before = explorer.status
        explorer.button("next picture").click()
        explorer.told("heard: another class", after=before)
    seen = cells(explorer.settled(NETWORK), line.grid)
    explorer.lab.shot("07-map-alone", explorer.region)
    highest = np.unravel_index(seen.argmax(), line.grid)
    assert seen[line.peak] > seen.max() - 0.03, f"stated is {line.peak}, the brightest is {highest}"
    assert seen[line.peak] > seen[::-1][line.peak] + 0.03, "the same map upside down would do as well"


def test_a_click_in_the_picture_asks_the_spot(explorer):
    fitting = explorer.listed("sounds that fit this spot")
    places = []
    for x, y in ((0.25, 0.3), (0.8, 0.3)):
        explorer.click_picture(NETWORK, x, y)
        explorer.told("fits the spot best")
        h, w = explorer.line(NETWORK).grid
        places.append(f"{NETWORK} cell in row {int(y * h) + 1}, column {int(x * w) + 1}")
        explorer.lab.until(lambda: places[-1] in words(fitting), lambda: f"{places[-1]}: {words(fitting)}")
        assert fitting.locator("audio").count() > 0
    assert places[0] != places[1]
    explorer.lab.shot("07-spot", explorer.region)


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
    assert explorer.film.evaluate(
        "audio => audio.paused || !audio.muted && audio.volume * audio.currentTime > 0"
    )
    explorer.lab.shot("07-playing", explorer.region)
    with explorer.lab.waiting("the sound to end, and the button to say play again"):
        explorer.button("play").wait_for()
    before = explorer.status
    explorer.slide(explorer.time, 0.3)
    explorer.told(r"around \d\.\d\d s", after=before)


# ------------------------------------------------------------- files, microphone, and Python


def test_a_photo_and_a_sound_of_ones_own(explorer):
    explorer.upload("upload a photo", "disc.png", png(photo()))
    status = explorer.told(r"^disc\.png \(its middle square\), heard: ")
    assert not heard_in(status).startswith("own sound"), "a photo has no sound of its own"
    explorer.opacity.press("Home")
    explorer.threshold.press("End")
    shown, cross = explorer.settled(NETWORK), explorer.line(NETWORK).place
    looked = 0
    for x, y in ((0.1, 0.1), (0.1, 0.9), (0.5, 0.9), (0.9, 0.9), (0.82, 0.39)):
        if np.abs(cross - (x, y)).max() > 0.06:
            # the square has the photo's 200 rows, but for a margin of a sixteenth at most
            asked = photo()[round(100 + 188 * (y - 0.5)), round(160 + 188 * (x - 0.5))]
            seen = around(shown, x, y)
            assert np.abs(seen - asked).max() < 20, f"at {x}, {y} is {seen}, in the photo {asked}"
            looked += 1
    assert looked >= 4
    explorer.slide(explorer.opacity, 0.55)
    explorer.slide(explorer.threshold, 0.5)
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
    """The browser's microphone is a generated beep here; it is asked for once, and as it is."""
    page = explorer.lab.page
    page.evaluate(
        """() => {
            const devices = navigator.mediaDevices, real = devices.getUserMedia.bind(devices);
            window.asked = [];
            devices.getUserMedia = (what) => {
                window.asked.push(what.audio);
                return new Promise((done) => setTimeout(done, 300)).then(() => real(what));
            };
        }"""
    )
    explorer.button("record").evaluate("button => { button.click(); button.click(); }")
    stop = explorer.region.get_by_role("button", name=re.compile("stop"))
    with explorer.lab.waiting("the recording to begin"):
        stop.wait_for()
    page.wait_for_timeout(2000)
    stop.click()
    explorer.told("heard: recorded")
    names = ("echoCancellation", "noiseSuppression", "autoGainControl")
    assert page.evaluate("window.asked") == [dict.fromkeys(names, False)]


def test_changes_from_python_are_drawn(explorer):
    explorer.opacity.press("End")
    explorer.sound.select_option(label="silence")  # no outline
    explorer.told("heard: silence")
    before, drawn = explorer.status, explorer.settled(NETWORK)
    explorer.lab.run_new("window.threshold = 0.13")
    explorer.lab.until(lambda: explorer.threshold.input_value() == "0.13", "the slider to follow Python")
    assert changed(drawn, explorer.settled(NETWORK)) > 0.002, "the dashed line stays where it was"
    even = "{'heat': [0.5] * len(told['heat']), 'flat': True}"
    explorer.lab.run_new(
        "window.threshold = 1.0\n"
        f"window.scene = window.scene | {{'canvases': [told | {even} for told in window.scene['canvases']]}}"
    )
    with explorer.lab.waiting("a map without a highest cell"):
        explorer.canvas(NETWORK).and_(explorer.lab.page.get_by_label("0.5, the same everywhere")).wait_for()
    assert "the same everywhere" in explorer.caption(NETWORK)
    seen = explorer.settled(NETWORK)
    assert np.ptp(seen, (0, 1)).max() < 3, "a cross where no cell is the highest"
    explorer.button("next picture").click()
    explorer.told("heard: silence", after=before)


def test_python_that_does_not_answer_is_said(explorer, tmp_path):
    """Its process is held for a while: a running cell alone need not keep widgets waiting any more."""
    caption, number = explorer.status.split(".\n")[0], tmp_path / "process"
    explorer.lab.run_new(f"import os, pathlib\npathlib.Path({str(number)!r}).write_text(f'{{os.getpid()}}.')")
    explorer.lab.until(lambda: number.exists() and number.read_text().endswith("."), "the kernel's number")
    process = int(number.read_text()[:-1])
    os.kill(process, signal.SIGSTOP)
    try:
        explorer.sound.select_option(label="own sound")
        explorer.told(rf"^No answer from Python yet: another cell .*Shown is: {re.escape(caption)}\.$")
        explorer.lab.shot("07-no-answer", explorer.region)
    finally:
        os.kill(process, signal.SIGCONT)
    explorer.told("heard: own sound.*peak")


def test_python_that_is_gone_is_said(explorer):
    """The last test of this page."""
    explorer.lab.choose("Kernel", "Shut Down Kernel")
    with explorer.lab.waiting("the kernel to be gone"):
        explorer.lab.page.locator("#jp-main-statusbar").get_by_text("No Kernel").wait_for()
    explorer.button("next picture").click()
    explorer.told("^(No answer from Python yet|Python is gone)")
    explorer.button("play").click()
    explorer.told("^(No answer from Python yet|Python is gone)")
    explorer.lab.shot("07-gone", explorer.region)
