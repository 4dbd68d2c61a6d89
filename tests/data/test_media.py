"""Reading and writing one picture or one sound; what is broken is refused with a reason."""

import io
import pickle

import numpy as np
import pytest
import soundfile
from PIL import Image

from llinet_lite.data import media
from llinet_lite.data.media import MediaError

RNG = np.random.default_rng(0)


def smooth(height=48, width=64):
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)


def tone(rate, seconds=0.5, frequency=440.0):
    return (0.4 * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_image_round_trip_keeps_colours_in_order(tmp_path, suffix):
    media.write_image(tmp_path / f"a{suffix}", smooth(), quality=95)
    back = media.read_image(tmp_path / f"a{suffix}")
    assert back.shape == (48, 64, 3) and back.dtype == np.uint8
    assert np.abs(back.astype(int) - smooth()).mean() < 3


def test_jpeg_and_png_in_memory():
    back = media.decode_jpeg(media.encode_jpeg(smooth(), 95))
    assert np.abs(back.astype(int) - smooth()).mean() < 3
    index = RNG.integers(0, 4, (20, 30), dtype=np.uint8)
    np.testing.assert_array_equal(media.decode_png(media.encode_png(index)), index)
    with pytest.raises(MediaError, match="damaged"):
        media.decode_jpeg(b"nothing of the kind")


def test_grey_palette_and_alpha_become_rgb(tmp_path):
    for mode in ("L", "P", "RGBA", "CMYK"):
        path = tmp_path / (f"{mode}.png" if mode != "CMYK" else "c.jpg")
        Image.fromarray(smooth()).convert(mode).save(path)
        assert media.read_image(path).shape == (48, 64, 3)


def test_rotated_photo_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # turn by 90 degrees
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=exif)
    assert media.read_image(tmp_path / "a.jpg").shape == (64, 48, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_cut_off_picture_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    media.write_image(path, RNG.integers(0, 255, (64, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(MediaError, match=f"a{suffix}: .*truncated"):
        media.read_image(path)


def test_missing_empty_and_foreign_files(tmp_path):
    with pytest.raises(MediaError, match="cannot be read: No such file"):
        media.read_image(tmp_path / "none.jpg")
    (tmp_path / "e.wav").touch()
    with pytest.raises(MediaError, match="empty"):
        media.read_audio(tmp_path / "e.wav")
    (tmp_path / "t.jpg").write_text("hello")
    with pytest.raises(MediaError, match="no picture"):
        media.read_image(tmp_path / "t.jpg")
    with pytest.raises(MediaError, match="no sound"):
        media.read_audio(tmp_path / "t.jpg")


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_sound_round_trip_and_mono_mix(tmp_path, suffix):
    left = tone(22050)
    media.write_audio(tmp_path / f"a{suffix}", np.stack([left, 0.5 * left], 1), 22050)
    wave, rate = media.read_audio(tmp_path / f"a{suffix}")
    assert rate == 22050 and wave.dtype == np.float32 and abs(len(wave) - len(left)) < 2400
    assert np.sqrt(np.mean(wave**2)) == pytest.approx(0.75 * 0.4 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_cut_off_sound_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    media.write_audio(path, 0.3 * RNG.standard_normal(44100), 44100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(MediaError) as refused:
        media.read_audio(path)
    assert suffix == ".flac" or "truncated: the" in str(refused.value)


def test_endless_wav_header_is_no_truncation():
    sink = io.BytesIO()
    soundfile.write(sink, tone(8000), 8000, format="WAV")
    data = bytearray(sink.getvalue())
    at = data.index(b"data") + 4
    data[at : at + 4] = b"\xff\xff\xff\xff"  # a stream: length unknown
    assert media._truncation(bytes(data)) is None
    data[at : at + 4] = (10**6).to_bytes(4, "little")
    assert "promises 1000000 bytes" in media._truncation(bytes(data))


def test_not_a_number_is_refused(tmp_path):
    soundfile.write(tmp_path / "n.wav", np.array([0.0, np.nan, 0.1], np.float32), 8000, subtype="FLOAT")
    with pytest.raises(MediaError, match="not numbers"):
        media.read_audio(tmp_path / "n.wav")


def test_resample_keeps_pitch_and_removes_what_does_not_fit():
    low = media.resample(tone(48000, 1.0), 48000, 16000)
    assert len(low) == 16000
    assert np.argmax(np.abs(np.fft.rfft(low))) == 440
    assert np.abs(media.resample(tone(48000, 1.0, 15000.0), 48000, 16000)[800:-800]).max() < 1e-3
    assert media.resample(low, 16000, 16000) is low
    with pytest.raises(ValueError, match="positive"):
        media.resample(low, 0, 16000)


def test_to_int16_is_exact_and_clips():
    every = np.arange(-32768, 32768)
    np.testing.assert_array_equal(media.to_int16(every / 32768), every)
    np.testing.assert_array_equal(media.to_int16([2.0, -2.0]), [32767, -32768])


@pytest.mark.parametrize("shape", [(48, 64), (64, 48), (30, 300), (40, 40)])
@pytest.mark.parametrize("size", [20, 40, 90])
def test_resize_short_side(shape, size):
    image = media.resize_short_side(smooth(*shape), size)
    assert min(image.shape[:2]) == size
    assert max(image.shape[:2]) == pytest.approx(size * max(shape) / min(shape), abs=0.51)
    mask = media.resize_short_side(smooth(*shape)[..., 0] > 127, size)
    assert mask.dtype == bool and mask.shape == image.shape[:2] and 0.4 < mask.mean() < 0.6


def test_mask_threshold(tmp_path):
    Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8)).save(tmp_path / "m.png")
    np.testing.assert_array_equal(media.read_mask(tmp_path / "m.png"), [[False, False, True, True]])


def test_unknown_suffix_and_pickled_error(tmp_path):
    with pytest.raises(MediaError, match="choose one of these"):
        media.write_image(tmp_path / "a.gifx", smooth())
    with pytest.raises(MediaError, match="choose one of these"):
        media.write_audio(tmp_path / "a.doc", tone(8000), 8000)
    error = pickle.loads(pickle.dumps(MediaError("a.jpg", "why")))
    assert (error.path, error.reason, str(error)) == ("a.jpg", "why", "a.jpg: why")
