"""The explorer as a reader uses it, without a browser: every control, every message, every mistake."""

from __future__ import annotations

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
import torch
from explorer_fakes import NAMES, RATE, listener, photo_store, png, upload, wav
from IPython.core.formatters import DisplayFormatter

from llinet_lite.data.bandstand import WorldSet, build
from llinet_lite.show import explorer
from llinet_lite.world.scenes import Scene


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return photo_store(tmp_path_factory.mktemp("tones") / "store")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    plan = WorldSet("tiny", 40, 8000, 2.0, 2, train_share=0.0, unseen_share=0.01, held_out=1, mixed=2)
    folder = tmp_path_factory.mktemp("world") / "tiny"
    return build(folder, plan, splits=("unseen", "scenes_unseen"), workers=1, progress=False)


@pytest.fixture
def tool(store):
    both = {"Colour": listener(), "Deaf": listener("Deaf", hears=False, scale="probability")}
    return explorer.Explorer(both, store, "test")


@pytest.fixture
def sent(tool, monkeypatch):
    """Messages that the page gets."""
    messages = []
    monkeypatch.setattr(tool, "send", lambda content, buffers=None: messages.append(content))
    return messages


def heat(tool, k: int = 0) -> np.ndarray:
    told = tool.scene["canvases"][k]
    return np.reshape(told["heat"], told["grid"])


def test_the_first_answer_is_there_at_once(tool):
    lines = tool.status.split("\n")
    assert lines[0] == "bell 1, heard: own sound (bell)." and len(lines) == 3
    assert (
        lines[1].startswith("Colour: peak ")
        and "IoU 0." in lines[1]
        and "best match bell (right)" in lines[1]
    )
    assert [told["title"] for told in tool.scene["canvases"]] == ["Colour", "Deaf"]
    assert tool.menu["classes"] == list(NAMES) and tool.menu["listeners"] == ["Colour", "Deaf"]
    assert np.shape(tool.menu["colours"]) == (256, 3)
    assert tool.clip["seconds"] == 2.0 and tool.other != "bell"


def test_what_it_says_of_itself_is_stable(tool, store):
    text = "Explorer(Colour, Deaf; 9 pictures and 9 sounds of test)"
    assert repr(tool) == text == repr(explorer.Explorer(tool.stage.localizers, store, "test"))
    data, _ = DisplayFormatter().format(tool)
    data = data or tool._repr_mimebundle_()[0]
    assert data["text/plain"] == text


def test_the_status_states_peak_and_overlap_of_the_map(tool):
    answer = tool.answers["Colour"]
    row, column, value = answer.peak
    assert heat(tool)[row, column] == heat(tool).max() == pytest.approx(value, rel=1e-5)
    assert f"peak {value:.3g} in row {row + 1}, column {column + 1} of 4 x 4" in tool.status
    for threshold in (0.3, 0.6):
        tool.threshold = threshold
        assert f"IoU {answer.iou(threshold):.2f} at {threshold:.2f} of the maximum" in tool.status


def test_a_threshold_changes_words_and_no_picture(tool):
    before = tool.scene
    tool.threshold, tool.opacity = 0.9, 0.1
    assert tool.scene is before and "0.90 of probability" in tool.status


def test_another_picture_another_map(tool):
    bell = heat(tool)
    tool.picture = 8
    assert tool.status.startswith("flute 3, heard: own sound (flute).") and not np.allclose(bell, heat(tool))
    tool.picture = 0
    assert np.allclose(bell, heat(tool))


def test_every_sound_can_be_chosen(tool):
    own = heat(tool).max()
    tool.sound = "another class"
    tool.other = "flute"
    assert (
        "heard: another class (flute)" in tool.status and "what sounds is not in the picture" in tool.status
    )
    assert heat(tool).max() < own / 2
    tool.sound = "mixture"
    assert "mixture (bell with flute)" in tool.status and "IoU 0." in tool.status
    assert own / 3 < heat(tool).max() < own
    tool.sound = "silence"
    assert "heard: silence." in tool.status and "nobody plays" in tool.status and not heat(tool).any()
    assert tool.clip["audio"] == "" and tool.clip["seconds"] == 0


def test_a_spot_is_answered_by_every_listener(tool):
    tool.picture, tool.spot = 3, [0.5, 0.5]
    colour, deaf = tool.fitting
    assert [tile["caption"] for tile in colour["tiles"]][:3] == ["drum"] * 3 and colour["tiles"][0]["right"]
    assert colour["measure"] == "cell in row 3, column 3"
    assert not deaf["tiles"] and "No sound takes part" in deaf["note"]
    assert "fits the spot best: drum" in tool.status
    tool.picture = 4
    assert tool.spot == [] and tool.fitting == [], "another picture, no spot"


def test_lists_hold_players_that_sound(tool):
    tile = tool.found["sounds"][0]["tiles"][0]
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(tile["audio"].split(",")[1])))
    assert rate == RATE and 0.9 < len(wave) / rate < 1.3
    spectrum = np.abs(np.fft.rfft(wave[1000:5000]))
    assert spectrum.argmax() * RATE / 4000 == pytest.approx(1000, abs=5), "the bell's tone"
    assert [tile["right"] for tile in tool.found["pictures"][0]["tiles"]] == [True, True, True, False]
    assert all(tile["image"].startswith("data:image/jpeg") for tile in tool.found["pictures"][0]["tiles"])


def test_listeners_are_shown_and_hidden(tool):
    tool.shown = ["Deaf"]
    assert [told["title"] for told in tool.scene["canvases"]] == ["Deaf"] and "Colour" not in tool.status
    tool.shown = []
    assert tool.scene["canvases"] == [] and tool.status == "bell 1, heard: own sound (bell)."
    tool.shown = ["Deaf", "Colour"]
    assert [told["title"] for told in tool.scene["canvases"]] == ["Colour", "Deaf"]


def test_a_moment_is_said_and_left_with_the_sound(tool):
    tool.time = 1.25
    assert "heard: own sound (bell), around 1.25 s." in tool.status and tool.scene["time"] == 1.25
    tool.sound = "another class"
    assert tool.time == -1


def test_the_film_has_the_maps_of_every_moment(tool, sent):
    tool._handle_custom_msg({"type": "film"}, [])
    film, said = sent
    assert said == {"type": "said", "of": "film"}
    assert film["type"] == "film" and film["key"] == tool.scene["key"]
    assert film["times"][0] == 0 and film["times"][-1] == 2
    assert [len(frames) for frames in film["canvases"]] == [len(film["times"])] * 2
    assert not film["canvases"][0][0]["image"], "a photo stands still"
    tool.time = film["times"][4]
    assert np.allclose(film["canvases"][0][4]["heat"], tool.scene["canvases"][0]["heat"], atol=1e-5)


def test_a_clip_of_the_world_moves(world, monkeypatch):
    tool = explorer.Explorer({"Colour": listener()}, world, "unseen")
    picture = tool.stage.pictures[0]
    facts = world.images("unseen").factors(0)
    scene = Scene(facts["name"], facts["seed"], facts["kind"], seconds=2.0)
    tool.time = 0.8
    assert np.array_equal(tool.answers["Colour"].image, scene.frame(0.8, 40)[4:36, 4:36])
    assert np.array_equal(tool.answers["Colour"].truth, scene.mask(0.8, 40)[4:36, 4:36])
    messages = []
    monkeypatch.setattr(tool, "send", messages.append)
    tool._handle_custom_msg({"type": "film"}, [])
    images = [frame["image"] for frame in messages[0]["canvases"][0]]
    assert len(set(images)) > 2, "players move"
    stored = world.images("unseen").image(0).astype(float)
    assert np.abs(picture.at(picture.time).image - stored).mean() < 4, "the same frame, but for JPEG"


def test_in_mixed_scenes_only_what_is_heard_and_seen_is_the_truth(world):
    tool = explorer.Explorer({"Colour": listener()}, world, "scenes_unseen", most=0)
    kinds = set()
    for k, picture in enumerate(tool.stage.pictures):
        tool.picture = k
        row = world.images("scenes_unseen").id.index(
            next(i for i in world.images("scenes_unseen").id if i.split("@")[0] == _clip(world, picture, k))
        )
        kind = str(world.images("scenes_unseen").kind[row])
        numbers = {"duet": (1, 2), "distractor": (1,), "offscreen": (), "silence": ()}[kind]
        mask = np.isin(world.images("scenes_unseen").objects(row)[4:36, 4:36], numbers)
        truth = tool.answers["Colour"].truth
        assert (truth is None) == (not mask.any()) and (truth is None or np.array_equal(truth, mask))
        kinds.add(kind)
    assert kinds == {"duet", "distractor", "offscreen", "silence"}


def _clip(world, picture, k: int) -> str:
    """Name of the clip of picture k: of every class in turn, in the order of the store."""
    table = world.images("scenes_unseen")
    first = {}
    for row in range(len(table)):
        first.setdefault(int(table.clip[row]), row)
    rows = sorted(first.values(), key=lambda row: (int(table.label[row]), row))
    return table.id[rows[k]].split("@")[0]


# ---- what a reader brings


def test_a_photo_comes_in_parts_and_needs_another_sound(tool):
    upload(tool, "photo", "pictures\\green.png", png(), size=50)
    assert tool.picture == -1 and tool.brought == {"photo": "green.png"} and tool.sound == "another class"
    assert tool.status.startswith("green.png (its middle square), heard: another class")
    assert tool.scene["caption"].startswith("green.png (its middle square), heard: another class")
    assert "no IoU: this picture has no mask" in tool.status
    tool.sound = "own sound"
    assert tool.status == "green.png has no sound of its own: choose another sound."
    tool.other, tool.sound = "drum", "another class"
    assert np.allclose(heat(tool), 1, atol=1e-3), "green everywhere, and a drum"
    upload(tool, "photo", "square.png", png((50, 50)))
    assert tool.status.startswith("square.png, heard: another class")


def test_a_sound_is_heard_at_once(tool):
    upload(tool, "sound", "beat.wav", wav())
    assert tool.sound == "uploaded" and tool.brought == {"uploaded": "beat.wav"}
    assert "heard: uploaded (beat.wav)" in tool.status and "what sounds here is not known" in tool.status
    upload(tool, "recording", "recording.wav", wav(1.5, 3000))
    assert tool.sound == "recorded" and set(tool.brought) == {"uploaded", "recorded"}
    upload(tool, "photo", "green.png", png())
    assert tool.sound == "recorded", "what was brought stays"


@pytest.mark.parametrize(
    ("kind", "name", "data", "said"),
    [
        ("photo", "notes.png", b"hello", "notes.png: is no picture that can be decoded"),
        ("sound", "notes.wav", b"hello", "notes.wav: is no sound that can be decoded"),
        ("sound", "cut.wav", wav()[:9000], "cut.wav: truncated"),
        ("sound", "short.wav", wav(0.5), "short.wav: lasts 0.50 s; choose a sound of 1 to 60 s."),
        ("photo", "empty.png", b"", "empty.png: the file is empty"),
    ],
)
def test_a_bad_file_gets_a_sentence_and_nothing_else_changes(tool, sent, kind, name, data, said):
    scene, sound = tool.scene, tool.sound
    upload(tool, kind, name, data, size=10**6)
    assert sent == [{"type": "said", "of": "change"}], "the page is told, even if the line stays"
    assert tool.status.startswith(said) and tool.status.endswith(".") and "\n" not in tool.status
    assert tool.scene is scene and tool.sound == sound and tool.picture == 0 and tool.brought == {}
    tool.picture = 1
    assert tool.status.startswith("bell 2"), "it goes on"


def test_a_file_that_never_ends_is_refused(tool):
    for part in range(11):
        about = {"type": "file", "kind": "sound", "name": "big.wav", "part": part, "parts": 99}
        tool._handle_custom_msg(about, [bytes(2_000_000)])
    assert tool.status.startswith("big.wav: the file has 22 MB, more than 20")
    assert not tool._parts


def test_a_listener_asks_for_sounds_as_long_as_it_hears(store):
    slow = {"window": 1.5, "whole": 1.5}  # a network that takes no shorter sound
    tool = explorer.Explorer({"Slow": listener("Slow", **slow)}, store, "test")
    upload(tool, "sound", "short.wav", wav(1.2))
    assert tool.status == "short.wav: lasts 1.20 s; choose a sound of 1.5 to 60 s."


def test_a_listener_of_any_length_hears_all_of_a_short_sound_at_every_moment(store):
    tool = explorer.Explorer({"Long": listener("Long", window=9.0)}, store, "test")
    upload(tool, "sound", "short.wav", wav(1.2))
    for moment in (0.0, 0.6, 1.2):
        tool.time = moment
        assert f"around {moment:.2f} s" in tool.status and "longer" not in tool.status
    tool._handle_custom_msg({"type": "film"}, [])
    assert "uploaded (short.wav)" in tool.status


def test_a_first_picture_without_a_sound_of_its_own_hears_another_class(store, monkeypatch):
    def none(self, picture):
        raise ValueError("this picture has no sound of its own")

    monkeypatch.setattr(explorer.Stage, "own_sound", none)
    tool = explorer.Explorer({"Colour": listener()}, store, "test")
    assert tool.sound == "another class" and "heard: another class" in tool.status
    tool.threshold = 0.7
    assert "heard: another class" in tool.status


def test_where_nothing_can_be_shown_every_control_says_why(store, monkeypatch):
    def none(self, *_):
        raise ValueError("there is no sound at all")

    monkeypatch.setattr(explorer.Stage, "choose", none)
    tool = explorer.Explorer({"Colour": listener()}, store, "test")
    assert tool.status == "there is no sound at all."
    tool.threshold = 0.7
    assert "there is no sound at all" in tool.status
    with pytest.raises(ValueError, match="there is no sound at all"):
        tool.still()


def test_what_is_not_there_is_said(tool):
    tool.sound = "recorded"
    assert tool.status == "no sound was recorded yet: record one first."
    tool.sound = "own sound"
    tool.picture = -1
    assert tool.status.startswith("there is no uploaded photo yet")
    tool.picture = 99
    assert tool.status == "picture must be 0 to 8, not 99."
    tool.picture, tool.sound = 2, "another class"
    tool.other = "gong"
    assert tool.status == "there is no class 'gong': choose one of the list."


def test_a_network_that_fails_is_said_too(tool, monkeypatch):
    def fail(*_):
        raise torch.cuda.OutOfMemoryError("out of memory")

    monkeypatch.setattr(tool.stage, "answer", fail)
    tool.picture = 5
    assert tool.status == "out of memory."


# ---- the still picture


def test_the_still_shows_every_listener_and_says_what_to_see(tool):
    tool.picture, tool.threshold = 3, 0.6
    figure, alt = tool.still()
    titles = [ax.get_title() for ax in figure.axes]
    iou = tool.answers["Colour"].iou(0.6)
    assert titles[0] == "drum 1" and titles[1] == f"Colour\nIoU {iou:.2f}" and len(titles) == 3
    assert (
        "drum 1, heard: own sound (drum)" in alt
        and f"Colour IoU {iou:.2f}" in alt
        and "threshold 0.60" in alt
    )
    tool.sound = "silence"
    figure, alt = tool.still()
    assert "heard: silence" in alt and "no IoU" in figure.axes[1].get_title()
    plt.close("all")


def test_a_map_that_is_the_same_everywhere_has_no_highest_cell(store):
    """Neither words nor cross point at a cell; the outline of what sounds is still drawn."""
    even = listener("Even", heat=lambda cells, key: cells.mean(1) * 0 + 0.25)
    tool = explorer.Explorer({"Colour": listener(), "Even": even}, store, "test")
    colour, same = tool.scene["canvases"]
    assert same["flat"] and not colour["flat"]
    assert "Even: 0.25, the same everywhere, IoU 0." in tool.status and "Colour: peak" in tool.status
    figure, _ = tool.still()
    crosses = [sum(line.get_marker() == "x" for line in ax.lines) for ax in figure.axes[1:]]
    assert crosses == [1, 0] and figure.axes[2].collections, "a cross on the one, outlines on both"
    plt.close("all")
    tool.sound = "silence"
    assert "Colour: 0, the same everywhere, no IoU: nobody plays" in tool.status


def test_progress_is_said_when_it_takes_long(store, monkeypatch, capsys):
    ticks = iter(np.arange(0, 1000, 1.5))
    monkeypatch.setattr("llinet_lite.show.explorer.clock.monotonic", lambda: float(next(ticks)))
    explorer.Stage({"Colour": listener()}, store, "test")
    assert "explorer: 18 of 18 pictures and sounds, 3 s" in capsys.readouterr().out
