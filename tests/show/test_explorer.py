"""The attention explorer without a browser: maps, searches, films, every control, what a reader brings."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
from explorer_fakes import NAMES, RATE, SIDE, listener, parts_of, photo_store, png, tone, upload, wav
from PIL import Image

from llinet_lite.data.bandstand import WorldSet, build
from llinet_lite.data.media import MediaError
from llinet_lite.show import explorer
from llinet_lite.show.explorer import Answer, Picture, Sound, Stage, cell_of, crop, mixture, photo, seen_at
from llinet_lite.world.scenes import Scene

SAID = {"type": "said", "of": "change"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return photo_store(tmp_path_factory.mktemp("tones") / "store")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    plan = WorldSet("tiny", 40, 8000, 2.0, 2, train_share=0.0, unseen_share=0.01, held_out=1, mixed=2)
    folder = tmp_path_factory.mktemp("world") / "tiny"
    return build(folder, plan, splits=("unseen",), workers=1, progress=False)


@pytest.fixture(scope="module")
def stage(store):
    return Stage({"Colour": listener()}, store, "test")


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


def bilinear(heat: np.ndarray, side: int) -> np.ndarray:
    """Enlarge a grid pixel by pixel, cells' values at the middle of their areas."""
    h, w = heat.shape
    out = np.zeros((side, side))
    for y in range(side):
        for x in range(side):
            v, u = max(0, (y + 0.5) * h / side - 0.5), max(0, (x + 0.5) * w / side - 0.5)
            i, j = int(v), int(u)
            k, m = min(i + 1, h - 1), min(j + 1, w - 1)
            v, u = v - i, u - j
            above = heat[i, j] * (1 - u) + heat[i, m] * u
            out[y, x] = above * (1 - v) + (heat[k, j] * (1 - u) + heat[k, m] * u) * v
    return out


def test_the_map_is_the_product_of_colour_and_tone(stage):
    picture = stage.pictures[4]  # a drum: green, in the middle column
    answer = stage.answer("Colour", picture, stage.choose("own sound", picture, 0))
    square = picture.image[4:36, 4:36].astype(float) / 255
    expected = [[square[8 * r : 8 * r + 8, 8 * c : 8 * c + 8, 1].mean() for c in range(4)] for r in range(4)]
    assert np.allclose(answer.heat, expected, atol=2e-3)
    assert answer.image.shape == (SIDE, SIDE, 3)
    row, column, value = answer.peak
    assert (row, column) == np.unravel_index(np.argmax(expected), (4, 4)) and value == answer.heat.max()
    assert np.array_equal(answer.truth, picture.objects[4:36, 4:36] == 1)


@pytest.mark.parametrize("scale", ["maximum", "probability"])
def test_overlap_is_counted_pixel_by_pixel(scale):
    rng = np.random.default_rng(3)
    heat = rng.random((4, 5)).astype(np.float32) * 0.8
    truth = np.zeros((32, 32), bool)
    truth[5:20, 9:30] = True
    answer = Answer("", np.zeros((32, 32, 3), np.uint8), heat, scale, truth)
    large = bilinear(heat.astype(float), 32)
    for threshold in (0.2, 0.45, 0.7):
        said = large > threshold * (large.max() if scale == "maximum" else 1)
        assert (answer.prediction(threshold) == said).mean() > 0.999, "ties may round"
        assert answer.iou(threshold) == pytest.approx((said & truth).sum() / (said | truth).sum(), abs=2e-3)


def test_there_is_no_overlap_where_what_sounds_is_not_seen(stage):
    picture = stage.pictures[0]
    for kind in ("another class", "silence"):
        assert stage.answer("Colour", picture, stage.choose(kind, picture, 2)).iou(0.5) is None
    mixed = stage.answer("Colour", picture, stage.choose("mixture", picture, 2))
    assert np.array_equal(mixed.truth, crop(picture.objects == 1, SIDE))


def test_nearest_sounds_and_pictures_are_of_the_class(stage):
    for picture in stage.pictures:
        found = stage.nearest_sounds("Colour", picture, 3)
        assert {sound.caption for sound, _ in found} == {picture.name}
        assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
        back = stage.nearest_pictures("Colour", stage.own_sound(picture), count=3)
        assert {each.name for each, _ in back} == {picture.name}


def test_a_spot_is_asked_for_its_sounds(stage):
    picture = stage.pictures[8]  # a flute: blue, at the right
    assert {s.caption for s, _ in stage.fitting("Colour", picture, (0.5, 0.8), 3)} == {"flute"}
    row, column = cell_of((0.5, 0.8), (4, 4))
    cell = stage.seen("Colour", picture).cells[0, :, row, column].numpy()
    best = stage.fitting("Colour", picture, (0.5, 0.8), 1)[0]
    assert best[1] == pytest.approx(float(cell[2]), abs=1e-3), "a pure tone weighs its colour with 1"


def test_a_spot_judges_by_who_is_there_and_not_by_who_is_in_the_picture(stage):
    """A drum at the left, a flute at the right: at each only its own sounds are right, between them none."""
    objects = np.zeros((40, 40), np.uint8)
    objects[12:28, 4:12], objects[12:28, 28:36] = 1, 2
    plain = stage.pictures[0].image
    both = Picture("both", "drum and flute", "drum", plain, objects, (1, 2))
    for spot, there in (((0.4, 0.1), {1}), ((0.6, 0.9), {2}), ((0.4, 0.4), set()), ((0.05, 0.1), set())):
        assert seen_at(both, spot, SIDE, (4, 4)) == there, spot
    assert seen_at(replace(both, objects=None), (0.4, 0.1), SIDE, (4, 4)) == frozenset()


def test_a_moment_is_heard_and_not_what_is_around_it(stage):
    first, second = tone(1000, 2.0), tone(3000, 2.0)
    sound = Sound("two", "bell, then flute", np.concatenate([first, second]), RATE)
    early, late = (stage.heard("Colour", sound, time).key[0].numpy() for time in (1.0, 3.0))
    assert np.allclose(early, [1, 0, 0], atol=1e-3) and np.allclose(late, [0, 0, 1], atol=1e-3)
    whole = stage.heard("Colour", sound).key[0].numpy()
    assert np.allclose(whole, [0.5, 0, 0.5], atol=1e-2)


def test_a_film_follows_the_sound(stage):
    sound = Sound("two", "drum, then flute", np.concatenate([tone(2000, 2.0), tone(3000, 2.0)]), RATE)
    picture = stage.pictures[3]  # a drum
    times, films = stage.film(["Colour"], picture, sound)
    assert times[0] == 0 and times[-1] == 4 and np.allclose(np.diff(times), 0.2, atol=2e-3)
    heights = np.array([answer.heat.max() for answer in films["Colour"]])
    drum = np.array(times) < 1.5
    assert heights[drum].min() > 2 * heights[np.array(times) > 2.5].max(), (
        "while the drum plays, it is marked"
    )
    for k in (3, 12):
        same = stage.answer("Colour", picture, sound, times[k])
        assert np.allclose(films["Colour"][k].heat, same.heat, atol=1e-6)


def test_windows_stay_inside_the_sound():
    sound = Sound("ramp", "ramp", np.arange(RATE * 2, dtype=np.int16), RATE)
    assert np.array_equal(sound.piece(1.0, 0.0), np.arange(RATE)), "moved inside"
    assert np.array_equal(sound.piece(1.0, 9.0), np.arange(RATE, 2 * RATE))
    assert np.array_equal(sound.piece(1.0, 1.2), np.arange(RATE) + round(0.7 * RATE))
    assert np.array_equal(sound.piece(1.0, None), np.arange(RATE) + RATE // 2), "the middle"
    with pytest.raises(ValueError, match=r"ramp lasts 2.00 s, but 3 s are heard at once"):
        sound.piece(3.0, None)


def test_a_mixture_has_both_sounds_equally_loud():
    quiet = Sound("a", "bell", tone(1000, 2.0, 0.05), RATE, frozenset([0]))
    loud = Sound("b", "flute", tone(3000, 1.5, 0.9), RATE, frozenset([2]))
    mixed = mixture(quiet, loud)
    assert len(mixed.waveform) == 1.5 * RATE and mixed.labels == {0, 2}
    spectrum = np.abs(np.fft.rfft(mixed.waveform.astype(float)))
    assert spectrum[1500] == pytest.approx(spectrum[4500], rel=0.01), "1000 and 3000 Hz in 1.5 s"
    assert mixture(quiet, Sound("c", "?", tone(500, 2), RATE)).labels is None


def test_few_of_many_are_spread_over_the_class(store):
    few = Stage({"Colour": listener()}, store, "test", most=2)
    assert [p.key for p in few.pictures] == [f"picture {k}" for k in range(6)]
    assert [p.caption for p in few.pictures] == [f"{name} {k}" for name in NAMES for k in (1, 2)]
    full = Stage({"Colour": listener()}, store, "test", most=0)
    ends = [full.sounds[k].seconds for k in (0, 2)]
    assert [few.sounds[k].seconds for k in (0, 1)] == ends, "first and last"


def saved(image: Image.Image, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def test_a_picture_of_16_bits_keeps_its_greys():
    slope = np.tile(np.linspace(0, 65535, 60).astype(np.uint16), (50, 1))
    data = saved(Image.fromarray(slope))
    assert data[24] == 16, "bits of the PNG"
    brought = photo("scan.png", data, 50)
    assert np.abs(brought.image.astype(int) - (slope >> 8)[..., None]).max() <= 1


def test_a_long_sound_is_refused_by_its_header(monkeypatch):
    """20 MB of mp3 may be an hour of sound: it is never decoded."""
    monkeypatch.setattr("llinet_lite.show.explorer.open_audio", lambda *_: pytest.fail("decoded"))
    for form in ("WAV", "FLAC", "OGG", "MP3"):
        file = io.BytesIO()
        soundfile.write(file, tone(1000, 62.0), RATE, format=form)
        with pytest.raises(MediaError, match=r"long: lasts 6\d\.\d\d s; choose a sound of 1 to 60 s"):
            explorer.recording("long", file.getvalue(), RATE)


def test_the_page_is_told_maps_and_masks_that_can_be_read_back(stage):
    picture = stage.pictures[1]
    answer = stage.answer("Colour", picture, stage.own_sound(picture))
    told = answer.canvas()
    assert np.allclose(np.reshape(told["heat"], told["grid"]), answer.heat, rtol=1e-5)
    packed = np.frombuffer(base64.b64decode(told["mask"]), np.uint8)
    back = np.array([(packed[k >> 3] >> (7 - (k & 7))) & 1 for k in range(SIDE * SIDE)], bool)
    assert np.array_equal(back.reshape(SIDE, SIDE), answer.truth)


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


def test_a_file_that_lost_a_part_is_refused(tool, sent):
    first, _lost, *others = parts_of("sound", "beat.wav", wav(), 8000)
    for message in [first, *others]:
        tool._handle_custom_msg(*message)
    assert tool.status == "beat.wav: a part of the file was lost on its way here; choose it again."
    assert sent == [SAID] and tool.brought == {} and not tool._parts
    upload(tool, "sound", "beat.wav", wav(), 8000)
    assert tool.brought == {"uploaded": "beat.wav"}, "the second try"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda store: Stage({}, store, "test"), "needs a localizer"),
        (lambda store: Stage({"a": listener(side=64)}, store, "test"), "holds no square of 64"),
        (lambda store: Stage({"a": listener(whole=5.0)}, store, "test"), "choose a longer sound"),
        (lambda store: listener(scale="percent"), "scale must be one of"),
        (lambda store: photo("x", b"0" * 20_000_001, 40), "has 20 MB, more than 20; choose a smaller one"),
        (lambda store: photo("x", png((2000, 20)), 40), "is a strip"),
    ],
)
def test_refusals(store, wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong(store)
