"""Files of kinds that people really have: each comes out right, or is left out with a reason.

What lies in ../shared/cases is read where it is there; files of the same kinds are made here.
"""

import io
import os
import resource
import shutil
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_folders import DISC, bring_in, make_tree, photo, reasons, remarks
from test_media import RATE, click, film, pictures, raw_video, tone

from llinet_lite.__main__ import main
from llinet_lite.data import media, videos
from llinet_lite.data.folders import FolderError, class_name, files_below
from llinet_lite.data.media import MediaError, cut_video, open_audio, open_image, open_mask, probe_video
from llinet_lite.data.videos import import_videos, read_list, walk_videos
from llinet_lite.profiles import PROFILES
from llinet_lite.workspace import data_mark, own

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"
QUIET = {"workers": 1, "progress": False, "image_size": 32, "frames": 2}


@pytest.fixture
def cases():
    if not CASES.is_dir():
        pytest.skip("the folder shared/cases is not beside the checkout")
    return CASES


def seconds(path) -> float:
    heard = open_audio(path)
    return len(heard.wave) / heard.rate


def pitch(wave: np.ndarray, rate: int = RATE) -> float:
    return float(np.abs(np.fft.rfft(wave)).argmax() * rate / len(wave))


# ------------------------------------------------------------------- what comes out wrong without a word


def ramp(path: Path, gop: int, length=8) -> Path:
    """A film of 10 pictures per second whose gray is 5 + 10 x (second), a key frame every `gop` seconds."""
    images = np.repeat(5 + 10 * np.arange(length, dtype=np.uint8), 10)[:, None, None, None]
    images = np.repeat(np.repeat(np.repeat(images, 48, 1), 64, 2), 3, 3)
    images[:, 24:] = np.random.default_rng(0).integers(0, 255, (10 * length, 24, 64, 1), dtype=np.uint8)
    codecs = ("mpeg2video", "mp2") if path.suffix in (".ts", ".mpg") else ("mpeg4", "aac")
    return raw_video(path, length, codecs, images=images, rate=10, gop=10 * gop, tones=(440.0,))


@pytest.mark.parametrize(("suffix", "gop"), [(".ts", 1), (".ts", 3), (".ts", 60), (".mkv", 60), (".mpg", 4)])
def test_every_picture_is_that_of_its_time(tmp_path, suffix, gop):
    path = ramp(tmp_path / f"a{suffix}", gop)
    info = probe_video(path)
    for start in (info.start, info.start + 2.6, info.start + 5.6):
        times = np.arange(0.1, 2, 0.3)
        images, _ = cut_video(path, start, 2.0, times, RATE)
        film_times = start + times - info.origin
        right = 5 + 10 * np.floor(film_times + 1e-3)
        near = np.abs(film_times - np.rint(film_times)) < 0.15  # one picture more or less is rounding
        assert np.abs(np.array([image[:16].mean() for image in images]) - right)[~near].max() < 4


def test_pictures_of_a_case(cases):
    images, _ = cut_video(cases / "ts_pictures_late/gop3s.ts", 11.6, 3, [0.1, 0.5, 1.0], RATE)
    assert [round(image[:20].mean() / 10) for image in images] == [10, 10, 11]
    path = cases / "theora_repeats/repeats.ogv"
    images, _ = cut_video(path, 0.0, 5.7, np.arange(0.5, 5.7), RATE)
    assert np.abs([image[:20].mean() - 5 - 10 * k for k, image in enumerate(images)]).max() < 3
    assert probe_video(path).end > 5.7
    for name, corners in (("hflip", "grwb"), ("vflip", "bwrg")):
        (image,), _ = cut_video(cases / f"mirrored/{name}.mp4", 0, 1, [0.5], RATE)
        seen = [image[y, x] > 100 for y in (9, -9) for x in (9, -9)]
        assert "".join("w" if s.all() else "rgb"[int(s.argmax())] for s in seen) == corners


@pytest.mark.parametrize(("matrix", "bright"), [
    ((1, 0, 0, 1), (0, 0)), ((-1, 0, 0, 1), (0, 1)), ((1, 0, 0, -1), (1, 0)), ((-1, 0, 0, -1), (1, 1)),
    ((0, 1, 1, 0), (0, 0)), ((0, 1, -1, 0), (0, 1)), ((0, -1, 1, 0), (1, 0)), ((0, -1, -1, 0), (1, 1)),
])  # fmt: skip
def test_all_eight_orientations(tmp_path, matrix, bright):
    """A film whose left upper corner is bright, shown through a display matrix a b / c d."""
    images = np.full((50, 48, 64, 3), 20, np.uint8)
    images[:, :24, :32] = 220
    path = tmp_path / "m.mp4"
    media.write_video(path, images, click(2.0, RATE), RATE)
    data, plain = bytearray(path.read_bytes()), struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    a, b, c, d = (65536 * value for value in matrix)
    at = data.index(plain, data.index(plain) + 1)  # the first one is that of the whole film
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    (image,), info = cut_video(path, 0, 1, [0.5], RATE)[0], probe_video(path)
    height, width = image.shape[:2]
    assert (height > width) == (matrix[0] == 0) and (info.width, info.height) == (width, height)
    quarters = image.reshape(2, height // 2, 2, width // 2, 3).mean((1, 3, 4))
    assert np.unravel_index(quarters.argmax(), (2, 2)) == bright
    assert info.mirrored == (a * d < b * c)
    turned = {(0, 0): 0, (1, 0): 90, (1, 1): 180, (0, 1): 270}[bright]  # counter-clockwise
    assert info.turned == (0 if info.mirrored else turned)


def moved(source: Path, target: Path, seconds: float, silent: float = 0.0) -> Path:
    """A copy of a film with another clock, without the sound of its first seconds."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        copies = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            quiet = silent if packet.stream.type == "audio" else 0
            if packet.pts is None or packet.pts * packet.time_base < quiet:
                continue
            later = round(seconds / packet.time_base)
            packet.dts = None if packet.dts is None else packet.dts + later
            packet.pts, packet.stream = packet.pts + later, copies[packet.stream.index]
            new.mux(packet)
    return target


def test_a_late_clock_and_a_copy_from_between_two_key_frames_are_whole(tmp_path):
    late = probe_video(moved(film(tmp_path / "a.mp4"), tmp_path / "late.mkv", 20.0))
    assert (late.origin, late.seconds) == pytest.approx((20, 3), abs=0.1)
    copy = probe_video(moved(ramp(tmp_path / "b.mp4", 2, 6), tmp_path / "copy.mp4", -3.0, silent=3.0))
    assert (copy.origin, copy.lead, copy.seconds) == pytest.approx((0, 0, 3), abs=0.1)


def test_a_commentary_is_not_the_sound_of_a_film(tmp_path):
    about = {"tones": (300.0, 1000.0), "title": "Director's Commentary"}
    path = raw_video(tmp_path / "two.mkv", 2.0, ("mpeg4", "aac"), **about)
    assert pitch(cut_video(path, 0.2, 1.0, [0.5], RATE)[1]) == 1000
    assert probe_video(path).tracks == "picture 0, sound 2"


def wav_of_length(claimed: int) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, tone(8000, 2.0), 8000, format="WAV")
    data = bytearray(sink.getvalue())
    at = data.index(b"data") + 4
    data[at : at + 4] = claimed.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("claimed", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 32006])
def test_a_length_that_was_never_filled_in_is_not_believed(tmp_path, claimed):
    (tmp_path / "a.wav").write_bytes(wav_of_length(claimed))
    assert seconds(tmp_path / "a.wav") == pytest.approx(2.0, abs=0.01)
    with pytest.raises(MediaError, match="truncated"):
        open_audio("a.wav", wav_of_length(64_000))


def test_sounds_are_read_to_their_end(tmp_path):
    for name in ("a.mp3", "a.ogg"):
        media.write_audio(tmp_path / name, tone(16_000, 2.0), 16_000)
        one = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(one + one)  # joined
        assert seconds(tmp_path / name) == pytest.approx(4.0, abs=0.2), name
    ogg = bytearray((tmp_path / "a.ogg").read_bytes()[: len(one)])
    ogg[ogg.rfind(b"OggS") + 5] = 0  # no mark of its end
    assert media._truncation(io.BytesIO(ogg), len(ogg)) is None
    assert "no last page" in media._truncation(io.BytesIO(ogg[:-9]), len(ogg) - 9)
    media.write_audio(tmp_path / "a.flac", tone(16_000, 2.0), 16_000)
    flac = bytearray((tmp_path / "a.flac").read_bytes())
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)  # number of samples: unknown, as written to a pipe
    assert len(open_audio("a.flac", bytes(flac)).wave) == 32_000
    flac[21] |= 0x0F
    flac[22:26] = b"\xff" * 4  # as many as can be said: 50 days
    assert len(open_audio("a.flac", bytes(flac), 600).wave) == 32_000


def test_sounds_of_the_cases(cases):
    lengths = {f"wav_lengths/{name}.wav": 2 for name in ("arecord", "sox_pipe", "zero")}
    lengths |= {"mp3_variable_without_index/two_seconds.mp3": 2, "sounds_that_ffmpeg_reads/flac_pipe.flac": 2}
    lengths |= {
        f"mp3_variable_without_index/{name}.mp3": 10 for name in ("loud_then_quiet", "quiet_then_loud")
    }
    lengths |= {"sounds_that_ffmpeg_reads/libvorbis_noeos.ogg": 3}
    for name, right in lengths.items():
        assert seconds(cases / name) == pytest.approx(right, abs=0.06), name
    for name, divisor in (("int_as_float", 32768), ("peak_1_5", 1.52)):
        heard = open_audio(cases / f"float_wav_out_of_range/{name}.wav")
        assert heard.divisor == pytest.approx(divisor, rel=0.01) and np.abs(heard.wave).max() <= 1
    path = cases / "sound_rate_changes/change.ts"
    wave = cut_video(path, probe_video(path).start, 5.5, [0.5], RATE)[1]
    assert [pitch(wave[k * RATE :][:RATE]) for k in range(5)] == [1000] * 5


def test_loud_floats_are_scaled_and_an_offset_is_silence(tmp_path):
    for factor, divisor in ((0.5, 1), (3.0, 1.2), (32_000.0, 32_768), (2e9, 2**31)):
        soundfile.write(tmp_path / "a.wav", factor * tone(8000, 1.0), 8000, subtype="FLOAT")
        heard = open_audio(tmp_path / "a.wav")
        assert heard.divisor == pytest.approx(divisor, rel=1e-3)
        assert np.abs(heard.wave / heard.wave.max() - tone(8000, 1.0) / 0.4).max() < 1e-4
    tree = make_tree(tmp_path / "data", sounds=8)
    media.write_audio(tree / "train/Kazoo/sound/Kazoo00000.wav", np.full(9600, 0.3), 8000)
    assert "silent" in reasons(bring_in(tree))["train/Kazoo/sound/Kazoo00000.wav"]


def test_pictures_of_the_cases(cases):
    gray = open_image(cases / "png_16_bits/gray16.png")[0]
    assert abs(gray.mean() - 83) < 1 and len(np.unique(gray)) > 250
    for name in ("pal_tr", "rgba"):
        assert (open_image(cases / f"png_transparent/{name}.png")[0][2, 2] == 255).all()
    for k in range(5):
        assert open_image(cases / f"exif_odd_type/bad{k}.jpg")[0].shape == (120, 160, 3)
    with pytest.raises(MediaError, match="strip"):
        open_image(cases / "strip/line.png")
    for name, share in (("two_objects", 0.25), ("zero_one", 0.125)):
        assert open_mask(cases / f"masks/{name}.png")[0].mean() == share


def test_pictures_of_many_kinds_come_out_right(tmp_path):
    for image, shade in (
        (Image.fromarray(np.full((20, 20), 0x8040, np.uint16)), 0x80),
        (Image.new("RGBA", (20, 20), (0, 0, 0, 0)), 255),
    ):
        image.save(tmp_path / "a.png")
        assert (open_image(tmp_path / "a.png")[0] == shade).all()
    levels = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    Image.fromarray(levels).save(tmp_path / "a.tiff")
    assert np.abs(open_image(tmp_path / "a.tiff")[0][..., 0] - 255 * levels).max() < 1.01
    Image.fromarray(levels * 1e6).save(tmp_path / "a.tiff")
    with pytest.raises(MediaError, match="no grays of 8 or 16 bits"):
        open_image(tmp_path / "a.tiff")


def test_masks_of_every_kind(tmp_path):
    """Two values, a palette, colors, what is opaque, smooth edges: the same disc."""
    smooth = Image.fromarray(DISC.astype(np.uint8) * 255)
    shapes = {
        "zero one": Image.fromarray(DISC.astype(np.uint8)),
        "three nine": Image.fromarray(3 + 6 * DISC.astype(np.uint8)),
    }
    shapes["palette"] = Image.fromarray(DISC.astype(np.uint8)).convert("P")
    shapes["palette"].putpalette([0, 0, 0, 90, 0, 0, 255, 255, 0])
    shapes["deep"] = Image.fromarray(DISC.astype(np.uint16) * 300)
    shapes["opaque"] = Image.merge("RGBA", [Image.new("L", smooth.size, 50)] * 3 + [smooth])
    shapes["one bit"] = smooth.convert("1")
    for name, image in shapes.items():
        image.save(tmp_path / "a.png")
        assert (open_mask(tmp_path / "a.png")[0] == DISC).all(), name
    large = smooth.resize((120, 90), Image.Resampling.BILINEAR)
    large.save(tmp_path / "a.png")
    assert (open_mask(tmp_path / "a.png")[0] == (np.array(large) > 127)).mean() > 0.99


def test_a_mask_lies_as_its_picture_does_or_is_refused(tmp_path):
    tree, exif = make_tree(tmp_path / "data", sounds=8), Image.Exif()
    exif[274] = 6
    place = tree / "test/Theremin"
    Image.fromarray(photo(7)).save(place / "video/Theremin00000.jpg", exif=exif)  # stored 40 x 30
    Image.fromarray(DISC[:20]).save(place / "segment/Theremin00001.jpg")
    store = bring_in(tree)
    said = reasons(store)["test/Theremin/segment/Theremin00001.jpg"]
    assert "other proportions: 40 x 20, its picture 40 x 30" in said
    images = store.images("scenes_unseen")
    row = images.id.index("test/Theremin/video/Theremin00000.jpg")
    assert images.image(row).shape[:2] == images.objects(row).shape == (32, 24)
    y, x = (axis.mean() for axis in np.nonzero(images.objects(row)))
    assert (y / 32, x / 24) == pytest.approx((12 / 40, 1 - 15 / 30), abs=0.03)


# ---------------------------------------------------------------------------- names, lists and folders


def test_names_keep_letters_digits_and_marks():
    assert class_name("\u0924\u092c\u0932\u093e") != class_name("\u0924\u092c\u0932\u0947")
    assert class_name("Cre\u0301celle_2") == class_name("CR\u00c9CELLE 2") == "cr\u00e9celle 2"
    assert class_name("\U0001f3b8 !") == ""


def listed(root: Path, text: str, *files: str, name="list.csv"):
    for file in files:
        (root / file).write_bytes(file.encode())
    (root / name).write_text(text)
    return walk_videos(root)


def test_lists_say_what_they_do_not_find_and_what_would_merge(tmp_path):
    forms = ("x", "x_000030", "x_30", "x_30.000_40.000", "x_30000_40000", "Yx", "Yx_30_40")
    for k, form in enumerate(forms):
        (tmp_path / f"f{k}").mkdir()
        ((item,), excluded, _) = listed(tmp_path / f"f{k}", "x,30,dog,train", f"{form}.mp4", name="L.CSV")
        assert item.file == f"{form}.mp4" and not excluded
        assert (item.span is None) == (form not in ("x", "Yx"))
    with pytest.raises(
        FolderError, match=r"not one of its 1 rows.*lists y, there are x, .*ID_30\.000_40\.000"
    ):
        listed(tmp_path, "y,30,dog,train", "x.mp4")
    with pytest.raises(FolderError, match=r"'C' and 'C#' would become one class \(c\)"):
        listed(tmp_path, "x,30,C#,train\nz,30,C,train", "x.mp4", "z.mp4")
    with pytest.raises(FolderError, match=r"'\*' holds no letter or digit"):
        listed(tmp_path, "x,30,*,train", "x.mp4")
    _, _, said = listed(tmp_path, "x,30,dog,train\n" * 500, "x.mp4")
    assert sum("listed twice: 499 rows" in text for _, text in said) == 1 and len(said) < 5


def test_lists_of_the_cases(cases, tmp_path):
    store = import_videos(cases / "list_span_clock", tmp_path / "s", **QUIET)
    for k in range(2):
        wave = store.sounds("train").audio(k).astype(float)
        assert [pitch(wave[second * RATE :][:RATE]) for second in (0, 9)] == [500, 680]
    names = {"audioset_names_unseen": ("guitar", "violin"), "hidden_folders": ("drum", "violin")}
    names["fork_beside_the_list"] = ("violin",)
    names["labels_with_marks"] = ("cr\u00e9celle", "\u0924\u092c\u0932\u093e", "\u0924\u092c\u0932\u0947")
    for folder, classes in names.items():
        hidden = ("Violin",) if folder.startswith("audioset") else ()
        store = import_videos(cases / folder, tmp_path / folder, unseen=hidden, **QUIET)
        assert tuple(each["name"] for each in store.classes) == classes, folder


def test_odd_names_and_links_are_lines_of_the_report(tmp_path):
    tree = tmp_path / "v"
    for name in ("a/good.mp4", ".Trash-1000/a/old.mp4", "a/dollar$x$.mp4"):
        film(tree / name, 1.6, RATE, key=len(name))
    film(tmp_path / "outside" / "far.mp4", 1.6, RATE, key=99)
    (tree / "b").symlink_to(tmp_path / "outside")
    (tree / "a" / "loop").symlink_to(tree)
    shutil.copy(tree / "a/good.mp4", bytes(tree / "a") + b"/fl\xfbte.mp4")
    (Path(str(tree)) / "notes.txt").write_text("x")
    store = import_videos(tree, tmp_path / "s", **QUIET)
    files = {name.split("@")[0] for name in store.sounds("train").id}
    assert files == {"a/good.mp4", "a/dollar$x$.mp4", "b/far.mp4"}
    assert "not in UTF-8" in reasons(store)["a/fl\\xfbte.mp4"]
    assert "outside" in remarks(store)["b"] and "read already" in reasons(store)["a/loop"]
    assert set(files_below(tree)[0]) == files | {"notes.txt"} and data_mark(PROFILES["smoke"], tree)


def test_the_command_does_what_the_messages_say(tmp_path, capsys):
    """A store of other sizes, and a folder that was mended: the advice is taken as it stands."""

    def run(*arguments) -> str:
        with pytest.raises(SystemExit):
            main([*map(str, arguments)])
        return "".join(capsys.readouterr())

    tree, out = make_tree(tmp_path / "data", sounds=8), tmp_path / "store"
    assert "train 24 images" in run("import", tree, "--out", out, "--workers", 1)
    smoke = PROFILES["smoke"]
    with pytest.raises(ValueError, match="import it again with") as error:
        own(out, smoke)
    advice = str(error.value).split("again with ")[1].split()
    said = run("import", tree, "--out", out, *advice).split("begun with other settings")[1]
    rebuild = next(word.rstrip(")") for word in said.split() if word.startswith("--"))
    run("import", tree, "--out", out, *advice, rebuild)
    assert own(out, smoke).sample_rate == smoke.sample_rate
    said = run("import", tree, "--out", out, *advice, "--rebuild", "--holdout", 0.4, "--longest", 1.1)
    assert "not one class" in said and "lasts more than 1.1 s; cut it, or import with --longest" in said


# --------------------------------------------------------------------------- one file that starves an import


def jumping(path: Path, jump: float) -> Path:
    """A film whose clock jumps in its middle."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(50) / 25 + jump * (np.arange(50) > 25)
    media.write_video(path, pictures(np.arange(50) / 25), click(2.0, RATE), RATE, times=times)
    return path


def test_what_would_take_all_memory_is_left_out_with_its_reason(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, jump in (("far", 20_000), ("farther", 200_000)):
        jumping(tmp_path / "v" / "a" / f"{name}.mkv", jump)
    film(tmp_path / "v/a/good.mp4")
    parts = [ramp(tmp_path / f"{k}.ts", 1, 3).read_bytes() for k in range(2)]
    (tmp_path / "v/a/joined.ts").write_bytes(b"".join(parts))
    store = import_videos(tmp_path / "v", tmp_path / "s", **QUIET)
    assert {name.split("@")[0] for name in store.sounds("train").id} == {"a/good.mp4"}
    assert [why.split(",")[0] for why in reasons(store).values()] == ["broken: its clock jumps"] * 3
    with soundfile.SoundFile(tmp_path / "long.flac", "w", 8000, 1) as flac:
        for _ in range(120):
            flac.write(np.zeros(60 * 8000, np.int16))
    with pytest.raises(MediaError, match="lasts more than 600 s"):
        open_audio(tmp_path / "long.flac", longest=600)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


# -------------------------------------------------------------------------------- whatever a file holds

KINDS = ("a.jpg", "a.png", "deep.png", "mask.png", "a.wav", "a.flac", "a.ogg", "a.mp3")
KINDS += ("a.mp4", "a.mkv", "a.ts", "a.csv")
HOW = st.sampled_from(("set", "cut", "drop", "copy"))
MUTATIONS = st.lists(
    st.tuples(st.floats(0, 1), HOW, st.binary(min_size=1, max_size=8)), min_size=1, max_size=6
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict:
    """A good file of every kind."""
    root = tmp_path_factory.mktemp("whole")
    for name in ("a.jpg", "a.png"):
        media.write_image(root / name, photo(1))
    Image.fromarray(photo(2)[..., 0].astype(np.uint16) * 256).save(root / "deep.png")
    Image.fromarray(DISC).save(root / "mask.png")
    for name in ("a.wav", "a.flac", "a.ogg", "a.mp3"):
        media.write_audio(root / name, tone(16_000, 1.5), 16_000)
    for name in ("a.mp4", "a.mkv"):
        film(root / name, 1.5, RATE)
    ramp(root / "a.ts", 1, 2)
    (root / "a.csv").write_text('x, 1.0, 3.0, "dog,cat"\n' * 5)
    files = {name: (root / name).read_bytes() for name in KINDS}
    return files | {"kB before": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def mutated(data: bytes, changes) -> bytes:
    for share, how, some in changes:
        at = round(share * len(data))
        length = {"set": len(some), "drop": 16 * len(some)}.get(how, 0)
        data = (
            data[:at] if how == "cut" else data[:at] + (some if how == "set" else b"") + data[at + length :]
        )
        data += data[at:] if how == "copy" else b""
    return data


@given(st.sampled_from(KINDS), MUTATIONS)
@settings(
    deadline=None,
    max_examples=int(os.environ.get("LLINET_FUZZ", "300")),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_file_ends_in_the_store_or_in_the_report(whole, tmp_path, name, changes):
    path = tmp_path / name
    path.write_bytes(mutated(whole[name], changes))
    item = videos.Listed(name, "", "a", name="a")
    try:
        if name == "mask.png":
            assert open_mask(path)[0].dtype == bool
        elif path.suffix in media.IMAGE_SUFFIXES:
            assert open_image(path)[0].dtype == np.uint8
        elif path.suffix in media.AUDIO_SUFFIXES:
            assert np.isfinite(open_audio(path, longest=600).wave).all()
        elif path.suffix == ".csv":
            read_list(path)
        else:
            videos._read_clips(
                path, item, {"sample_rate": RATE, "image_size": 32, "frames": 2, "seconds": 10}
            )
    except (MediaError, FolderError) as error:
        assert name in str(error) and " at 0x" not in str(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - whole["kB before"] < 2**20, "1 GiB"
