"""The attention explorer without a browser: maps, searches, films, every control, what a reader brings."""

from __future__ import annotations

import base64
import io
import re

import av
import matplotlib.pyplot as plt
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from llinet_lite.data.bandstand import WorldSet, build
from llinet_lite.data.media import MediaError, encode_jpeg, encode_png, open_audio
from llinet_lite.data.store import Store, StoreWriter, write_shard
from llinet_lite.show import explorer
from llinet_lite.show.explorer import Answer, AudioFeatures, ImageFeatures, Localizer, Sound, Stage
from llinet_lite.world.scenes import Scene

RATE = 8000
SIDE = 32  # of the square that the listener sees; the pictures have 40 pixels
NAMES = ("bell", "drum", "flute")
PITCH = (1000, 2000, 3000)  # Hz, one per class


def tone(hertz: float, seconds: float) -> np.ndarray:
    """A sine, (n,) int16."""
    return np.rint(16383 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype("<i2")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Three photos and recordings of three classes: class k is a square of colour k in column k."""
    images, sounds = [], []
    for label, k in np.ndindex(3, 3):
        picture, mask = np.full((40, 40, 3), 20, np.uint8), np.zeros((40, 40), np.uint8)
        area = slice(12, 28), slice(4 + 11 * label, 4 + 11 * label + 10)
        picture[area] = [220 if c == label else 20 for c in range(3)]
        mask[area] = 1
        shared = {"id": f"{NAMES[label]}/{k}", "label": label, "factors": "{}"}
        image = {"clip": -1, "time": -1.0, "kind": "photo", "jpeg": encode_jpeg(picture, 98)}
        images.append(shared | image | {"objects": encode_png(mask)})
        sounds.append(shared | {"kind": "recording", "audio": tone(PITCH[label], 2 + 0.25 * k).tobytes()})
    manifest = {"name": "tones", "sample_rate": RATE, "seconds": 2.0, "image_size": 40}
    classes = [{"name": name, "seen": True} for name in NAMES]
    with StoreWriter(tmp_path_factory.mktemp("tones") / "store", {"tones": 3}) as writer:
        write_shard(writer.folder, "test", 0, images, sounds)
        return writer.finish(manifest | {"classes": classes}, {"test": 1})


def colours(pictures: np.ndarray) -> torch.Tensor:
    """Mean red, green and blue of every 8 x 8 pixels, (N, 3, 4, 4) in [0, 1]."""
    n, side = len(pictures), pictures.shape[1] // 4
    cells = pictures.reshape(n, 4, side, 4, side, 3).mean((2, 4)) / 255  # (N, 4, 8, 4, 8, 3) -> (N, 4, 4, 3)
    return torch.from_numpy(cells).float().permute(0, 3, 1, 2)


def pitches(sounds: np.ndarray) -> torch.Tensor:
    """Power at the three classes' pitches as shares of their sum, (M, 3); zeros for silence."""
    spectrum = np.abs(np.fft.rfft(sounds.astype(float), axis=1)) ** 2
    places = [round(hertz * sounds.shape[1] / RATE) for hertz in PITCH]
    power = np.stack([spectrum[:, p - 2 : p + 3].sum(1) for p in places], 1)
    total = power.sum(1, keepdims=True)
    return torch.from_numpy(power / np.where(total > 0, total, 1)).float()


def listener(title: str = "Colour", *, scale: str = "maximum", hears: bool = True, **changes) -> Localizer:
    """Hears which class's tone it is, and sees its colour: map, match and fit are plain products."""

    def heat(cells, key):
        return torch.einsum("ndhw,nd->nhw", cells, key) if hears else cells.mean(1)

    def hear(sounds):
        found = pitches(sounds)
        return AudioFeatures(found if hears else found[:, :0], found)

    facts = {
        "title": title, "side": SIDE, "scale": scale, "measure": "product", "whole": None, "window": 1.0,
        "embed_image": lambda pictures: ImageFeatures(colours(pictures), colours(pictures).mean((2, 3))),
        "embed_audio": hear, "heat": heat,
        "match": lambda seen, heard: seen.vector @ heard.vector.T,
        "fit": (lambda cell, heard: heard.key @ cell) if hears else None,
    }  # fmt: skip
    return Localizer(**(facts | changes))


def png(size=(60, 50)) -> bytes:
    """A green photo."""
    file = io.BytesIO()
    Image.new("RGB", size, (0, 255, 0)).save(file, "PNG")
    return file.getvalue()


def wav(seconds: float = 2.0, form: str = "WAV") -> bytes:
    """A drum's tone."""
    file = io.BytesIO()
    soundfile.write(file, tone(2000, seconds), RATE, format=form)
    return file.getvalue()


def upload(tool, kind: str, name: str, data: bytes, size: int = 1000, lost: int = -1) -> None:
    """Send a file as the page does, in parts, of which one may be lost."""
    count = max(1, -(-len(data) // size))
    for k in range(count):
        message = {"type": "file", "kind": kind, "name": name, "parts": count, "part": k}
        if k != lost:
            tool._handle_custom_msg(message, [memoryview(data[k * size : (k + 1) * size])])


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


def bilinear(heat: np.ndarray, side: int) -> np.ndarray:
    """Enlarge a square grid, cells' values at the middle of their areas."""
    n = len(heat)
    at = np.clip((np.arange(side) + 0.5) * n / side - 0.5, 0, n - 1)
    weight = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(n)))  # (side, n)
    return weight @ heat @ weight.T


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
    heat = rng.random((4, 4)).astype(np.float32) * 0.8
    truth = np.zeros((32, 32), bool)
    truth[5:20, 9:30] = True
    answer = Answer("", np.zeros((32, 32, 3), np.uint8), heat, scale, truth)
    large = bilinear(heat.astype(float), 32)
    for threshold in (0.2, 0.45, 0.7):
        said = large > threshold * (large.max() if scale == "maximum" else 1)
        assert (answer.prediction(threshold) == said).mean() > 0.999, "ties may round"
        assert answer.iou(threshold) == pytest.approx((said & truth).sum() / (said | truth).sum(), abs=2e-3)


def test_what_is_nearest_is_of_the_class(stage):
    for picture in stage.pictures:
        found = stage.search("Colour", picture, stage.own_sound(picture), spot=(0.5, 0.8))
        (sounds, scores), (pictures, _) = (
            zip(*found[heading].items, strict=True) for heading in ("nearest sounds", "nearest pictures")
        )
        assert {sound.caption for sound in sounds[:3]} == {picture.name}
        assert {each.name for each in pictures[:3]} == {picture.name}
        assert list(scores) == sorted(scores, reverse=True)
    measure, right, best = found["sounds that fit this spot"]  # a flute: blue, at the right
    assert measure == "cell in row 3, column 4" and right == {2}
    assert {sound.caption for sound, _ in best[:3]} == {"flute"}
    cell = stage.seen("Colour", picture).cells[0, 2, 2, 3]
    assert best[0][1] == pytest.approx(float(cell), abs=1e-3), "a pure tone weighs its colour with 1"


def test_the_map_follows_the_sound(stage):
    sound = Sound("drum, then flute", np.concatenate([tone(2000, 2.0), tone(3000, 2.0)]), RATE)
    picture = stage.pictures[3]  # a drum
    times = np.linspace(0, 4, 21)
    heights = np.array([stage.answer("Colour", picture, sound, time).heat.max() for time in times])
    drum = times < 1.5
    assert heights[drum].min() > 2 * heights[times > 2.5].max(), "while the drum plays, it is marked"


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_long_sound_is_refused(form):
    """20 MB of mp3 may be an hour of sound: no more than a minute of it is decoded."""
    data = wav(62.0, form)
    with pytest.raises(MediaError, match=r"long: lasts more than 60 s; choose a sound of 1 to 60 s"):
        explorer.recording("long", data, RATE)


@pytest.mark.parametrize(("form", "codec"), [("mp4", "aac"), ("webm", "libopus")])
def test_what_telephones_and_browsers_record_is_heard(form, codec):
    file, wave = io.BytesIO(), tone(1000, 1.5).astype(np.float32)[None] / 32768
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate = RATE
        container.mux([packet for part in (frame, None) for packet in stream.encode(part)])
    sound = explorer.recording("memo", file.getvalue(), RATE)
    assert sound.seconds == pytest.approx(1.5, abs=0.1) and pitches(sound.waveform[None])[0, 0] > 0.95
    with pytest.raises(MediaError, match="memo: lasts more than 1 s"):
        open_audio("memo", file.getvalue(), 1.0)


def test_the_page_is_told_maps_and_masks_that_can_be_read_back(stage):
    picture = stage.pictures[1]
    answer = stage.answer("Colour", picture, stage.own_sound(picture))
    told = answer.canvas()
    assert np.allclose(np.reshape(told["heat"], told["grid"]), answer.heat, rtol=1e-5)
    packed = np.frombuffer(base64.b64decode(told["mask"]), np.uint8)
    assert np.array_equal(np.unpackbits(packed).reshape(SIDE, SIDE), answer.truth)


def test_the_first_answer_is_there_at_once(tool):
    lines = tool.status.split("\n")
    assert lines[0] == "bell 1, heard: own sound (bell)." and len(lines) == 3
    assert re.match(r"Colour: peak .*IoU 0\..*best match bell \(right\)", lines[1])
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
    images = [frame["image"] for frame in messages[0]["film"]["canvases"][0]]
    assert len(set(images)) > 2, "players move"
    stored = world.images("unseen").image(0).astype(float)
    assert np.abs(picture.at(picture.time).image - stored).mean() < 4, "the same frame, but for JPEG"


def test_another_class_is_never_one_of_the_picture(tool):
    tool.sound = "another class"
    for tool.picture in range(9):
        for tool.other in NAMES:
            picture, sound, _ = tool._now
            assert not sound.labels & set(picture.players) and tool.other == sound.caption


def test_a_photo_comes_in_parts_and_needs_another_sound(tool):
    upload(tool, "photo", "pictures\\green.png", png(), size=50)
    assert tool.picture == -1 and tool.sound == "another class"
    assert tool.menu["pictures"][0] == (-1, "uploaded: green.png (its middle square)", "")
    assert tool.status.startswith("green.png (its middle square), heard: another class")
    assert "no IoU: this picture has no mask" in tool.status
    tool.sound = "own sound"
    assert tool.sound == "another class", "it has none of its own"
    tool.other, tool.sound = "drum", "another class"
    assert np.allclose(tool.answers["Colour"].heat, 1, atol=1e-3), "green everywhere, and a drum"
    upload(tool, "photo", "$_{square$.png", png((50, 50)))
    assert tool.status.startswith("$_{square$.png, heard: another class")
    tool.still()[0].canvas.draw()


@pytest.mark.parametrize(("kind", "name", "data", "said"), [
    ("photo", "notes.png", b"hello", "notes.png: is no picture that can be decoded"),
    ("uploaded", "notes.wav", b"hello", "notes.wav: is no sound that can be decoded"),
    ("uploaded", "cut.wav", wav()[:9000], "cut.wav: truncated"),
    ("uploaded", "short.wav", wav(0.5), "short.wav: lasts 0.50 s; choose a sound of 1 to 60 s"),
    ("photo", "empty.png", b"", "empty.png: the file is empty"),
    ("photo", "big.png", b"0" * 20_000_001, "big.png: the file has 20 MB, more than 20; choose a"),
    ("photo", "strip.png", png((2000, 20)), "strip.png: the picture is a strip"),
])  # fmt: skip
def test_a_bad_file_gets_a_sentence_and_nothing_else_changes(tool, kind, name, data, said):
    scene, sound, answered = tool.scene, tool.sound, tool.answered
    upload(tool, kind, name, data, size=10**7)
    assert tool.answered == answered + 1, "the page is told, even if the line stays"
    assert tool.status.startswith(said) and tool.status.endswith(".") and "\n" not in tool.status
    assert tool.scene is scene and tool.sound == sound and tool.picture == 0
    tool.picture = 1
    assert tool.status.startswith("bell 2"), "it goes on"


def test_a_file_that_lost_a_part_is_refused(tool):
    for lost in (0, 1):
        upload(tool, "uploaded", "beat.wav", wav(), 8000, lost)
        assert tool.status == "beat.wav: a part of the file was lost on its way here; choose it again."
        assert tool.sound == "own sound" and not tool._parts
    upload(tool, "uploaded", "beat.wav", wav(), 8000)
    assert tool.sound == "uploaded" and tool.menu["sounds"][-1] == "uploaded", "the last try"


def test_the_still_shows_every_listener_and_says_what_to_see(tool):
    tool.picture, tool.threshold = 3, 0.6
    figure, alt = tool.still()
    titles = [ax.get_title() for ax in figure.axes]
    iou = tool.answers["Colour"].iou(0.6)
    assert titles[0] == "drum 1" and titles[1] == f"Colour\nIoU {iou:.2f}" and len(titles) == 3
    assert "drum 1, heard: own sound (drum)" in alt and f"Colour IoU {iou:.2f}" in alt and "0.60" in alt
    tool.sound = "silence"
    figure, alt = tool.still()
    assert "heard: silence" in alt and "no IoU" in figure.axes[1].get_title()
    plt.close("all")


@pytest.mark.parametrize(("name", "value"), [
    ("picture", 4), ("sound", "another class"), ("sound", "recorded"), ("other", "flute"), ("time", 0.5),
    ("shown", []), ("threshold", 0.7), ("spot", [0.5, 0.5]), ("picture", 99),
])  # fmt: skip
def test_every_change_is_answered_once(tool, name, value):
    """Also where the line stays the same, or says what is wrong."""
    answered = tool.answered
    setattr(tool, name, value)
    assert tool.answered == answered + 1
