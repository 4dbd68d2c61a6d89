"""Messages between the page and the explorer: an answer to each, files in parts, and no work done twice."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
from explorer_fakes import listener, parts_of, photo_store, png, upload, wav

from llinet_lite.show import explorer

SAID = {"type": "said", "of": "change"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return photo_store(tmp_path_factory.mktemp("tones") / "store")


@pytest.fixture
def tool(store):
    return explorer.Explorer({"Colour": listener()}, store, "test")


@pytest.fixture
def sent(tool, monkeypatch):
    """Messages that the page gets."""
    messages = []
    monkeypatch.setattr(tool, "send", lambda content, buffers=None: messages.append(content))
    return messages


# ---- an answer to every change: the page waits for it


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("picture", 4), ("sound", "another class"), ("sound", "recorded"), ("other", "flute"), ("time", 0.5),
        ("shown", []), ("threshold", 0.7), ("spot", [0.5, 0.5]), ("picture", 99),
    ],
)  # fmt: skip
def test_every_change_is_answered_once(tool, sent, name, value):
    """Also where the line stays the same, or says what is wrong."""
    setattr(tool, name, value)
    assert sent == [SAID]


def test_opacity_is_the_pages_own(tool, sent):
    tool.opacity = 0.1
    assert sent == []


def test_a_change_from_another_thread_waits_and_is_answered(tool, sent, monkeypatch):
    """A cell sets one thing while the reader moves another: JupyterLab has a thread for each."""
    at_work, go_on, answer = threading.Event(), threading.Event(), tool.stage.answer

    def slow(*args):
        at_work.set()
        assert go_on.wait(30)
        return answer(*args)

    monkeypatch.setattr(tool.stage, "answer", slow)
    cell = threading.Thread(target=tool.set_trait, args=("picture", 4))
    reader = threading.Thread(target=tool.set_trait, args=("threshold", 0.7))
    cell.start()
    assert at_work.wait(30)
    reader.start()
    reader.join(0.2)
    assert reader.is_alive(), "it waits for the answer before it"
    go_on.set()
    cell.join(30)
    reader.join(30)
    assert sent == [SAID, SAID]
    told = tool.status
    tool._say()
    assert told == tool.status, "the line knows of both"


# ---- files in parts


def test_only_the_last_part_of_a_file_is_answered(tool, sent):
    *first, last = parts_of("sound", "beat.wav", wav(), 10_000)
    assert len(first) > 1
    for message in first:
        tool._handle_custom_msg(*message)
    assert sent == []
    tool._handle_custom_msg(*last)
    assert sent == [SAID] and tool.brought == {"uploaded": "beat.wav"}


def test_a_file_that_lost_a_part_is_refused(tool, sent):
    first, _lost, *others = parts_of("sound", "beat.wav", wav(), 8000)
    for message in [first, *others]:
        tool._handle_custom_msg(*message)
    assert tool.status == "beat.wav: a part of the file was lost on its way here; choose it again."
    assert sent == [SAID] and tool.brought == {} and not tool._parts
    upload(tool, "sound", "beat.wav", wav(), 8000)
    assert tool.brought == {"uploaded": "beat.wav"}, "the second try"


def test_a_file_that_lost_its_end_keeps_nothing_from_being_answered(tool, sent):
    for message in parts_of("sound", "beat.wav", wav(), 8000)[:-1]:
        tool._handle_custom_msg(*message)
    tool.picture = 3
    tool._handle_custom_msg({"type": "film"}, [])
    assert [told["type"] for told in sent] == ["said", "film", "said"]
    assert [told["of"] for told in sent if told["type"] == "said"] == ["change", "film"]
    upload(tool, "sound", "other.wav", wav())
    upload(tool, "sound", "beat.wav", wav(1.5), 8000)
    assert tool.brought == {"uploaded": "beat.wav"} and tool._sounds["uploaded"].seconds == 1.5
    assert not tool._parts


def test_two_files_at_a_time_do_not_mix(tool):
    """Two windows may show the same explorer."""
    one = parts_of("sound", "beat.wav", wav(), 20_000)
    two = parts_of("photo", "green.png", png(), 20)
    for k in range(max(len(one), len(two))):
        for message in (*one[k : k + 1], *two[k : k + 1]):
            tool._handle_custom_msg(*message)
    assert tool.brought == {"photo": "green.png", "uploaded": "beat.wav"}


# ---- nothing is computed twice


@pytest.fixture
def counted(store):
    """An explorer, and how often its network saw and heard something."""
    calls, plain = Counter(), listener()

    def counting(name):
        return lambda batch: calls.update([name]) or getattr(plain, name)(batch)

    of = replace(plain, embed_image=counting("embed_image"), embed_audio=counting("embed_audio"))
    tool = explorer.Explorer({"Colour": of}, store, "test")
    calls.clear()
    return tool, calls


def test_pictures_and_sounds_of_the_list_cost_no_network(counted):
    """Each was seen and heard once, when the explorer was made; that is what makes it answer at once."""
    tool, calls = counted
    for picture in (3, 7, 3):
        for kind in ("own sound", "another class"):
            tool.picture, tool.sound, tool.spot = picture, kind, [0.5, 0.5]
    assert not calls


def test_a_second_visit_encodes_no_sound(tool, monkeypatch):
    tool.picture = 3
    first = tool.clip
    tool.picture = 0
    monkeypatch.setattr("llinet_lite.show.explorer.mp3_uri", lambda *_: pytest.fail("encoded again"))
    tool.picture = 3
    assert tool.clip == first


@pytest.mark.parametrize(
    ("there", "away", "first"),
    [
        ({"sound": "mixture"}, {"sound": "own sound"}, {"embed_audio": 1}),
        ({"time": 0.8}, {"time": -1.0}, {"embed_audio": 1}),
        ({"sound": "silence"}, {"sound": "own sound"}, {"embed_audio": 1}),
        ({"picture": -1}, {"picture": 3}, {}),
    ],
)
def test_a_second_visit_costs_no_network(counted, there, away, first):
    tool, calls = counted
    upload(tool, "photo", "green.png", png())
    assert calls == {"embed_image": 1}, "a photo of one's own is seen once"
    tool.picture, tool.sound = 3, "own sound"
    calls.clear()
    seen = []
    for _ in range(3):
        for name, value in there.items():
            setattr(tool, name, value)
        seen.append(tool.status)
        assert calls == first
        for name, value in away.items():
            setattr(tool, name, value)
    assert len(set(seen)) == 1 and tool.status != seen[0]
