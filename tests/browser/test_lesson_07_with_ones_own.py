"""Lesson 07 in JupyterLab: photos, sounds and recordings of one's own, and Python at the other end.

The tests go on with the visit of `test_lesson_07_in_the_browser.py`, in this order; they run alone too.
"""

from __future__ import annotations

import os
import re
import signal

import numpy as np
import pytest
from explorerpage import NETWORK, around, changed, heard_in, photo, png, whistle


@pytest.fixture(autouse=True)
def no_complaint(lesson_07):
    """After every test the page shows no error, no warning and no dialog."""
    yield
    assert not lesson_07.faults(), "\n".join(lesson_07.faults())


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
