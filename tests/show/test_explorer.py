"""The explorer's answers on a store known by heart: maps, overlap, searches, moments, what readers bring."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from explorer_fakes import NAMES, RATE, SIDE, listener, photo_store, tone
from PIL import Image

from llinet_lite.data.media import MediaError
from llinet_lite.show.explorer import (
    Answer,
    Picture,
    Sound,
    Stage,
    cell_of,
    crop,
    mixture,
    photo,
    recording,
    seen_at,
    silence,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return photo_store(tmp_path_factory.mktemp("tones") / "store")


@pytest.fixture(scope="module")
def stage(store):
    return Stage({"Colour": listener()}, store, "test")


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


# ---- maps and overlap


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


def test_a_dark_map_predicts_nothing_and_its_shares_are_zero():
    dark = Answer("", np.zeros((8, 8, 3), np.uint8), np.zeros((2, 2), np.float32), "maximum", np.eye(8) > 0)
    assert not dark.prediction(0.0).any() and dark.iou(0.5) == 0 and not dark.shares.any()


def test_there_is_no_overlap_where_what_sounds_is_not_seen(stage):
    picture = stage.pictures[0]
    for kind in ("another class", "silence"):
        assert stage.answer("Colour", picture, stage.choose(kind, picture, 2)).iou(0.5) is None
    mixed = stage.answer("Colour", picture, stage.choose("mixture", picture, 2))
    assert np.array_equal(mixed.truth, crop(picture.objects == 1, SIDE))


def test_the_map_of_silence_is_dark(stage):
    picture = stage.pictures[0]
    assert not stage.answer("Colour", picture, stage.choose("silence", picture, 0)).heat.any()


# ---- searches


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


def test_a_map_that_hears_nothing_has_no_fitting_sounds(store):
    deaf = Stage({"Deaf": listener("Deaf", hears=False)}, store, "test")
    picture = deaf.pictures[0]
    assert deaf.fitting("Deaf", picture, (0.5, 0.5)) is None
    loud, quiet = (
        deaf.answer("Deaf", picture, deaf.choose(kind, picture, 1)) for kind in ("own sound", "silence")
    )
    assert np.array_equal(loud.heat, quiet.heat)


def test_a_spot_judges_by_who_is_there_and_not_by_who_is_in_the_picture(stage):
    """A drum at the left, a flute at the right: at each only its own sounds are right, between them none."""
    objects = np.zeros((40, 40), np.uint8)
    objects[12:28, 4:12], objects[12:28, 28:36] = 1, 2
    plain = stage.pictures[0].image
    both = Picture("both", "drum and flute", "drum", plain, objects, (1, 2))
    for spot, there in (((0.4, 0.1), {1}), ((0.6, 0.9), {2}), ((0.4, 0.4), set()), ((0.05, 0.1), set())):
        assert seen_at(both, spot, SIDE, (4, 4)) == there, spot
    assert seen_at(replace(both, objects=None), (0.4, 0.1), SIDE, (4, 4)) == frozenset()


@pytest.mark.parametrize(("spot", "cell"), [((0, 0), (0, 0)), ((0.99, 0.5), (3, 2)), ((1, 1), (3, 3))])
def test_spots_and_cells(spot, cell):
    assert cell_of(spot, (4, 4)) == cell


# ---- sounds, moments and films


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
    assert not silence(RATE, 10).waveform.any() and silence(RATE, 10).labels == frozenset()


def test_sounds_of_a_class_take_turns(stage):
    drums = {stage.sound_of(1, picture).key for picture in stage.pictures}
    assert len(drums) == 3
    with pytest.raises(ValueError, match="has no sound of its own"):
        stage.own_sound(photo("x.png", png(), 40))


def test_few_of_many_are_spread_over_the_class(store):
    few = Stage({"Colour": listener()}, store, "test", most=2)
    assert [p.key for p in few.pictures] == [f"picture {k}" for k in range(6)]
    assert [p.caption for p in few.pictures] == [f"{name} {k}" for name in NAMES for k in (1, 2)]
    full = Stage({"Colour": listener()}, store, "test", most=0)
    ends = [full.sounds[k].seconds for k in (0, 2)]
    assert [few.sounds[k].seconds for k in (0, 1)] == ends, "first and last"


@pytest.mark.parametrize(
    ("listeners", "options", "said"),
    [
        ({}, {}, "needs a localizer"),
        ({"a": listener(side=64)}, {}, "holds no square of 64"),
        ({"a": listener(whole=5.0)}, {}, "choose a longer sound"),
    ],
)
def test_what_does_not_suit_the_store_is_refused(store, listeners, options, said):
    with pytest.raises(ValueError, match=said):
        Stage(listeners, store, "test", **options)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"scale": "percent"}, "scale must be one of")],
)
def test_an_impossible_listener_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        listener(**changes)


# ---- what a reader brings


def png(size=(60, 50), form="PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (255, 0, 0)).save(file, form)
    return file.getvalue()


def wav(seconds: float, rate: int = 44100, channels: int = 2) -> bytes:
    file, t = io.BytesIO(), np.arange(round(seconds * rate)) / rate
    wave = 0.5 * np.sin(2 * np.pi * 1000 * t)
    soundfile.write(file, np.stack([wave] * channels, 1), rate, format="WAV")
    return file.getvalue()


def test_a_photo_is_brought_to_size(stage):
    brought = photo("some/folder/red.png", png(), 40)
    assert brought.image.shape == (40, 48, 3) and (brought.image == [255, 0, 0]).all()
    assert brought.caption == "red.png" and brought.objects is None
    heat = stage.answer("Colour", brought, stage.sounds[0]).heat
    assert np.allclose(heat, 1, atol=1e-3), "red everywhere, and a bell"


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


def see_through(mode: str) -> Image.Image:
    """Red whose left half is not there at all; with RGBA its last quarter is there by half."""
    image = Image.new("RGBA", (80, 40), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 40, 40))
    if mode == "RGBA":
        image.paste((255, 0, 0, 128), (60, 0, 80, 40))
        return image
    single = Image.new("P", image.size, 1)
    single.putpalette([0, 0, 0, 255, 0, 0])
    single.paste(0, (0, 0, 40, 40))
    return single


@pytest.mark.parametrize(("mode", "options"), [("RGBA", {}), ("P", {"transparency": 0})])
def test_what_shines_through_lies_on_white(mode, options):
    image = photo("logo.png", saved(see_through(mode), **options), 40).image
    assert (image[:, :38] == 255).all() and (image[:, 42:58] == [255, 0, 0]).all()
    assert mode == "P" or np.abs(image[:, 62:].astype(int) - [255, 127, 127]).max() <= 1


def test_a_picture_with_transparency_is_turned_upright_too():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side: turn by a quarter, clockwise
    image = photo("phone.png", saved(see_through("RGBA"), exif=exif), 40).image
    assert image.shape == (80, 40, 3) and (image[:38] == 255).all() and (image[42:58] == [255, 0, 0]).all()


def test_a_long_sound_is_refused_by_its_header(monkeypatch):
    """20 MB of mp3 may be an hour of sound: it is never decoded."""
    monkeypatch.setattr("llinet_lite.show.explorer.open_audio", lambda *_: pytest.fail("decoded"))
    for form in ("WAV", "FLAC", "OGG", "MP3"):
        file = io.BytesIO()
        soundfile.write(file, tone(1000, 62.0), RATE, format=form)
        with pytest.raises(MediaError, match=r"long: lasts 6\d\.\d\d s; choose a sound of 1 to 60 s"):
            recording("long", file.getvalue(), RATE)


def test_a_sound_is_mixed_and_resampled(stage):
    brought = recording("tone.wav", wav(2.0), RATE)
    assert len(brought.waveform) == pytest.approx(2 * RATE, abs=2) and brought.labels is None
    assert np.allclose(stage.heard("Colour", brought).key[0].numpy(), [1, 0, 0], atol=1e-2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", r"x: the file is empty \(0 bytes\); choose a JPEG or PNG"),
        (b"no picture", "x: is no picture that can be decoded .*; choose a JPEG or PNG"),
        (png(form="JPEG")[:-200], "x: the picture is truncated; choose a JPEG or PNG"),
        (b"0" * 20_000_001, "x: the file has 20 MB, more than 20; choose a smaller one"),
        (png((2000, 20)), "is a strip"),
    ],
)
def test_a_bad_photo_gets_a_sentence(data, said):
    with pytest.raises(MediaError, match=said) as caught:
        photo("x", data, 40)
    assert "\n" not in str(caught.value) and "object at" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"RIFF no sound", "is no sound that can be decoded.*; choose a wav, flac, ogg or mp3"),
        (wav(2)[:9000], "truncated: the header promises .*; choose a wav"),
        (wav(0.4), "lasts 0.40 s; choose a sound of 1 to 60 s"),
        (wav(61, 8000, 1), "lasts 61.00 s"),
    ],
)
def test_a_bad_sound_gets_a_sentence(data, said):
    with pytest.raises(MediaError, match=said) as caught:
        recording("x.wav", data, RATE)
    assert "object at" not in str(caught.value) and "_io" not in str(caught.value)


# ---- what the page is told


def test_the_page_is_told_maps_and_masks_that_can_be_read_back(stage):
    import base64

    picture = stage.pictures[1]
    answer = stage.answer("Colour", picture, stage.own_sound(picture))
    told = answer.canvas()
    assert np.allclose(np.reshape(told["heat"], told["grid"]), answer.heat, rtol=1e-5)
    packed = np.frombuffer(base64.b64decode(told["mask"]), np.uint8)
    back = np.array([(packed[k >> 3] >> (7 - (k & 7))) & 1 for k in range(SIDE * SIDE)], bool)
    assert np.array_equal(back.reshape(SIDE, SIDE), answer.truth)
