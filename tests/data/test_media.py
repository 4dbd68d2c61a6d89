"""One image, one sound, one video, in or out; what is broken is refused with a reason."""

import pickle
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from llinet_lite.data import media
from llinet_lite.data.media import MediaError, cut_video, probe_video, write_video

RNG = np.random.default_rng(0)
RATE, GRID = 16_000, 0.04
EVENT = 1.48  # seconds: frame 37


def smooth(height=48, width=64):
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)


def tone(rate, seconds=0.5, frequency=440.0):
    return (0.4 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


# --------------------------------------------------------------- images, sounds


def close(image) -> bool:
    return image.dtype == np.uint8 and np.abs(image.astype(int) - smooth()).mean() < 3


def test_image_round_trips(tmp_path):
    for name in ("a.jpg", "a.png"):
        media.write_image(tmp_path / name, smooth(), quality=95)
        image, kind, _ = media.open_image(tmp_path / name)
        assert close(image) and kind == {"a.jpg": "JPEG", "a.png": "PNG"}[name]
    assert close(media.decode_jpeg(media.encode_jpeg(smooth(), 95)))
    index = RNG.integers(0, 4, (20, 30), dtype=np.uint8)
    np.testing.assert_array_equal(media.decode_png(media.encode_png(index)), index)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_sound_round_trip(tmp_path, suffix):
    left = tone(22050)
    media.write_audio(tmp_path / f"a{suffix}", np.stack([left, 0.5 * left], 1), 22050)
    heard = media.open_audio(tmp_path / f"a{suffix}")
    assert heard.rate == 22050 and heard.wave.dtype == np.float32
    assert abs(len(heard.wave) - len(left)) < 2400
    assert (heard.kind, heard.channels, heard.divisor) == (suffix[1:].upper(), 2, 1)
    assert np.sqrt(np.mean(heard.wave**2)) == pytest.approx(0.212, rel=0.1)


@pytest.mark.parametrize(("name", "keep", "says"), [
    ("a.png", 0.8, "picture is truncated"),
    ("a.wav", 0.6, "truncated: the header promises"),
    ("a.flac", 0.6, ""),
    ("a.ogg", 0.6, "truncated: the ogg stream"),
    ("a.wav", 0, r"empty \(0 bytes\)"),
    ("none.jpg", None, "cannot be read: No such file"),
    ("nan.wav", None, "not numbers"),
])  # fmt: skip
def test_what_cannot_be_read_is_refused_with_a_reason(tmp_path, name, keep, says):
    path = tmp_path / name
    image = path.suffix in (".jpg", ".png")
    if keep is not None:
        if image:
            media.write_image(path, RNG.integers(0, 255, (64, 64, 3), dtype=np.uint8))
        else:
            media.write_audio(path, 0.3 * RNG.standard_normal(44100), 44100)
        path.write_bytes(path.read_bytes()[: round(path.stat().st_size * keep)])
    elif path.stem == "text":
        path.write_text("hello")
    elif path.stem == "nan":
        soundfile.write(path, np.array([0.0, np.nan, 0.1], np.float32), 8000, subtype="FLOAT")
    with pytest.raises(MediaError, match=f"{name}: .*{says}"):
        (media.open_image if image else media.open_audio)(path)


def test_resample_keeps_pitch_and_removes_what_does_not_fit():
    low = media.resample(tone(48000, 1.0), 48000, 16000)
    assert len(low) == 16000 and np.argmax(np.abs(np.fft.rfft(low))) == 440
    assert np.abs(media.resample(tone(48000, 1.0, 15000.0), 48000, 16000)[800:-800]).max() < 1e-3
    assert media.resample(low, 16000, 16000) is low
    every = np.arange(-32768, 32768)  # to_int16 is exact and clips
    np.testing.assert_array_equal(media.to_int16(every / 32768), every)
    np.testing.assert_array_equal(media.to_int16([2.0, -2.0]), [32767, -32768])


@pytest.mark.parametrize("shape", [(48, 64), (30, 300), (40, 40)])
@pytest.mark.parametrize("size", [20, 90])
def test_resize_short_side(shape, size):
    image = media.resize_short_side(smooth(*shape), size)
    assert min(image.shape[:2]) == size
    assert max(image.shape[:2]) == pytest.approx(size * max(shape) / min(shape), abs=0.51)


def test_refusals(tmp_path):
    frames = np.zeros((2, 33, 32, 3), np.uint8)
    for says, call in (
        ("damaged", lambda: media.decode_jpeg(b"nothing of the kind")),
        ("choose one of these", lambda: media.write_image(tmp_path / "a.gifx", smooth())),
        ("choose one of these", lambda: media.write_audio(tmp_path / "a.doc", tone(8000), 8000)),
        ("choose one of these", lambda: write_video(tmp_path / "a.gif", frames[:, :32], None)),
        ("even", lambda: write_video(tmp_path / "a.mp4", frames, None)),
    ):
        with pytest.raises(ValueError, match=says):
            call()
    error = pickle.loads(pickle.dumps(MediaError("a.jpg", "why")))
    assert (error.path, error.reason, str(error)) == ("a.jpg", "why", "a.jpg: why")


# ----------------------------------------------------------------------- videos


def pictures(times, flash=EVENT, size=(64, 48), key=0) -> np.ndarray:
    """Dark noise; bright from the flash on for a twelfth of a second."""
    dark = np.random.default_rng(key).integers(0, 80, (size[1], size[0], 3), dtype=np.uint8)
    lit = (np.asarray(times) >= flash - 1e-6) & (np.asarray(times) < flash + 1 / 12)
    return np.stack([dark + np.uint8(150 * on) for on in lit])


def click(seconds: float, rate: int, at=EVENT, key=0) -> np.ndarray:
    """Faint noise with one loud sample."""
    wave = 0.01 * np.random.default_rng(key).standard_normal(round(seconds * rate))
    wave[round(at * rate)] = 0.9
    return wave.astype(np.float32)


def film(path: Path, seconds=3.0, rate=44_100, key=0, **settings) -> Path:
    """A whole video of 25 images per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(seconds * 25)) / 25
    write_video(path, pictures(times, key=key), click(seconds, rate, key=key), rate, **settings)
    return path


def when(path, start, seconds) -> tuple[float, float]:
    """When the flash is seen (on the 0.04 s grid) and the click is heard, seconds on the file's clock."""
    times = np.arange(0, seconds - 0.02, GRID)
    images, wave = cut_video(path, start, seconds, times, RATE)
    lit = [image.mean() > 100 for image in images]
    return start + times[lit.index(True)], start + np.abs(wave).argmax() / RATE


def raw_video(
    path, seconds, codecs, longer=(0.0,), width=64, aspect=1, images=None, rate=25, gop=12, tones=(), title=""
) -> Path:  # fmt: skip
    """A video of other formats than :func:`write_video` writes; audio tracks may be longer, or tones."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codecs[0], rate=rate, width=width, height=48, pix_fmt="yuv420p")
        video.codec_context.sample_aspect_ratio = Fraction(aspect)
        video.codec_context.gop_size, video.codec_context.bit_rate = gop, 2_000_000
        tracks = [container.add_stream(codecs[1], rate=48_000, layout="mono") for _ in tones or longer]
        tracks[0].metadata.update({"title": title} if title else {})
        usual = pictures(np.arange(round(rate * seconds)) / rate, size=(width, 48))
        for image in usual if images is None else images:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(video.encode())
        waves = [tone(48_000, seconds, f) for f in tones] or [click(seconds + k, 48_000) for k in longer]
        for track, wave in zip(tracks, waves, strict=True):
            wave = (wave * 30_000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            frame.sample_rate = 48_000
            same = av.AudioResampler(track.codec_context.format, "mono", 48_000, track.frame_size or 1152)
            for part in [*same.resample(frame), *same.resample(None), None]:
                container.mux(track.encode(part))
    return path


@pytest.mark.parametrize(("suffix", "rate"), [(".mp4", 44_100), (".mkv", 48_000), (".mp4", 16_000)])
def test_flash_and_click_come_together(tmp_path, suffix, rate):
    path = film(tmp_path / f"a{suffix}", rate=rate)
    for start, seconds in ((0.0, 3.0), (0.6, 2.0), (1.0, 1.2)):
        seen, heard = when(path, start, seconds)
        assert seen == pytest.approx(EVENT, abs=1e-6), (start, seen)
        assert heard == pytest.approx(EVENT, abs=2 / RATE), (start, heard)


def test_a_variable_frame_rate_is_placed_by_its_time_stamps(tmp_path):
    steps = np.tile([0.02, 0.02, 0.1, 0.05], 20)  # counting frames would put them elsewhere
    times = np.concatenate([[0], np.cumsum(steps)])
    times = times[times < 3]
    flash = times[times >= 1.4][0]
    path = tmp_path / "varies.mp4"
    write_video(path, pictures(times, flash), click(3.0, 48_000, flash), 48_000, times=times)
    info = probe_video(path)
    assert info.varies and info.steps == pytest.approx((0.02, 0.1), abs=1e-3)
    assert when(path, 0.0, 2.9)[1] == pytest.approx(flash, abs=2 / RATE)
    assert abs(30 * 0.04 - flash) > GRID  # its number is far from its time: counting would be seen here
    every = np.arange(0, 2.8, GRID)
    images, _ = cut_video(path, 0.0, 2.9, every, RATE)
    assert [image.mean() > 100 for image in images] == [
        bool(pictures([times[times <= t + 1e-3][-1]], flash).mean() > 100) for t in every
    ]


def test_streams_that_do_not_begin_together_keep_their_offset(tmp_path):
    """The images come 0.3 s late, by an amount that is no whole number of samples after resampling."""
    late = 0.30021
    times = late + np.arange(70) / 25
    path = tmp_path / "late.mp4"
    flash = times[30]
    write_video(path, pictures(times, flash), click(3.0, 44_100, flash), 44_100, times=times)
    info = probe_video(path)
    assert info.start == pytest.approx(late, abs=1e-3) and info.lead == pytest.approx(-late, abs=1e-3)
    seen, heard = when(path, info.start, 2.4)
    assert 0 <= seen - flash + 1e-3 < GRID and heard == pytest.approx(flash, abs=2 / RATE)
    wave = cut_video(path, info.start, 2.4, [1.0], 44_100)[1]
    whole = cut_video(path, info.start, 2.4, [1.0], RATE)[1]
    oracle = resample_poly(wave.astype(np.float64), 160, 441)  # another resampler: polyphase, SciPy's
    n = min(len(oracle), len(whole)) - 400
    lag = np.correlate(whole[400:n], oracle[400:n], "full").argmax() - (n - 401)
    assert lag == 0
    assert np.corrcoef(whole[400:n], oracle[400:n])[0, 1] > 0.98  # half a sample off: 0.64


def test_the_sound_of_a_later_clip_is_that_of_the_whole_file(tmp_path):
    path = film(tmp_path / "a.mp4", seconds=3.0, rate=48_000)
    whole = cut_video(path, 0.0, 3.0, [1.0], RATE)[1][20_000:39_200]
    later = cut_video(path, 1.25, 1.2, [0.6], RATE)[1]
    np.testing.assert_allclose(later[200:-200], whole[200:-200], atol=2e-3)


def test_another_track_may_be_longer_and_pixels_that_are_not_square_are_stretched(tmp_path):
    path = raw_video(tmp_path / "a.mp4", 3.0, ("mpeg4", "aac"), longer=(0.0, 1.5))
    assert probe_video(path).end == pytest.approx(3.0, abs=0.1)
    path = raw_video(tmp_path / "wide.mkv", 1.6, ("mpeg4", "aac"), width=48, aspect="4/3")
    info = probe_video(path)
    assert not info.square and (info.width, info.height) == (64, 48)
    assert cut_video(path, info.start, 1.2, [0.5], RATE)[0][0].shape == (48, 64, 3)
