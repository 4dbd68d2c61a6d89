"""Read and write one picture or one sound; every failure is a sentence.

Files from outside are read with the strict readers here (Pillow and
libsndfile), which refuse what is cut off or mislabelled. Pictures inside a
store are decoded with OpenCV, three times as fast, because they were written
by us.

Notebook: 00
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import soundfile
import soxr
from PIL import Image, ImageOps, UnidentifiedImageError

SOUND_SUFFIXES = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
IMAGE_SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


class MediaError(ValueError):
    """A picture or a sound that cannot be used.

    Parameters
    ----------
    path : str or Path
        The file, or a name for data in memory.
    reason : str
        What is wrong with it, for a human reader.

    Attributes
    ----------
    path, reason : str
    """

    def __init__(self, path, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    def __reduce__(self):  # survives the way back from a worker process
        return type(self), (self.path, self.reason)


def read_bytes(path) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MediaError(path, f"cannot be read: {error.strerror or error}") from error
    if not data:
        raise MediaError(path, "the file is empty (0 bytes)")
    return data


def read_image(path) -> np.ndarray:
    """Read a picture as RGB, upright, every byte checked.

    Parameters
    ----------
    path : str or Path
        JPEG, PNG or any other format that Pillow knows.

    Returns
    -------
    image : (H, W, 3) uint8

    Raises
    ------
    MediaError
        Unreadable, empty, cut off, or no picture at all.
    """
    return open_image(path, read_bytes(path), "RGB")[0]


def read_mask(path) -> np.ndarray:
    """Read a segmentation mask: grey value above 127 is the object.

    JPEG masks carry noise around their edges, so any lower threshold counts
    noise as object.

    Returns
    -------
    mask : (H, W) bool

    Raises
    ------
    MediaError
        As :func:`read_image`.
    """
    return open_image(path, read_bytes(path), "L")[0] > 127


def open_image(path, data: bytes, mode: str) -> tuple[np.ndarray, str]:
    """Decode a picture and name its true format."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as opened:
                kind = opened.format
                opened.load()
                return np.array(ImageOps.exif_transpose(opened).convert(mode)), kind
    except UnidentifiedImageError as error:
        raise MediaError(path, "is no picture that can be decoded (expected JPEG or PNG)") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(path, "has more than 89 million pixels; make it smaller first") from error
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, zlib.error ...
        cut = "truncated" in str(error).lower()
        raise MediaError(path, "the picture is truncated" if cut else f"unreadable: {error}") from error


def read_sound(path) -> tuple[np.ndarray, int]:
    """Read a sound and mix it down to one channel (the mean of all channels).

    Parameters
    ----------
    path : str or Path
        wav, flac, ogg, mp3 or any other format that libsndfile knows.

    Returns
    -------
    waveform : (n,) float32
        In [-1, 1] (float files may exceed it).
    sample_rate : int
        Hz, as in the file.

    Raises
    ------
    MediaError
        Unreadable, empty, or shorter than its header says.
    """
    wave, info = open_sound(path, read_bytes(path))
    return wave.mean(axis=1), info.sample_rate


@dataclass(frozen=True)
class SoundInfo:
    """What the header of a sound says: Hz, number of channels, container format (``WAV``, ``OGG`` ...)."""

    sample_rate: int
    channels: int
    format: str


def open_sound(path, data: bytes) -> tuple[np.ndarray, SoundInfo]:
    """Decode a sound: (n, channels) float32 and its header; refuses truncated files."""
    cut = _truncation(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as opened:
            info = SoundInfo(opened.samplerate, opened.channels, opened.format)
            promised = opened.frames
            wave = opened.read(dtype="float32", always_2d=True)  # (n, channels)
    except Exception as error:  # soundfile raises LibsndfileError, RuntimeError, TypeError ...
        raise MediaError(path, cut or f"is no sound that can be decoded: {error}") from error
    # An mp3 header gives its length only roughly: a tenth of a second is within its rights.
    slack = info.sample_rate // 10 if info.format in ("MP3", "MPEG") else 0
    if cut is None and promised < 2**62 and len(wave) < promised - slack:
        cut = f"truncated: the header promises {promised} samples, {len(wave)} are there"
    if cut:
        raise MediaError(path, cut)
    if not len(wave):
        raise MediaError(path, "holds no samples")
    if not np.isfinite(wave).all():
        raise MediaError(path, "holds samples that are not numbers (NaN or infinite)")
    return wave, info


def _truncation(data: bytes) -> str | None:
    """Say whether a wav or ogg file is cut off; libsndfile plays such files without a word."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        at = 12
        while at + 8 <= len(data):
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            if data[at : at + 4] == b"data":
                there = len(data) - at - 8
                if size < 2**32 - 1 and there < size:  # 2**32 - 1: a stream, length unknown
                    return f"truncated: the header promises {size} bytes of sound, {there} are there"
                return None
            at += 8 + size + size % 2
        return "truncated: a wav header without sound data"
    if data[:4] == b"OggS":
        last = data.rfind(b"OggS")
        if not (len(data) > last + 5 and data[last + 5] & 4):
            return "truncated: the ogg stream has no last page"
    return None


def write_image(path, image: np.ndarray, quality: int = 92) -> None:
    """Write an (H, W, 3) uint8 RGB picture; the suffix (.jpg or .png) chooses the format.

    Raises
    ------
    MediaError
        Unknown suffix, or a failing disk.
    """
    if Path(path).suffix.lower() not in IMAGE_SUFFIXES:
        raise MediaError(path, f"pictures are written as {', '.join(IMAGE_SUFFIXES)}; choose one of these")
    try:
        Image.fromarray(image).save(path, quality=quality)
    except OSError as error:
        raise MediaError(path, f"cannot be written: {error.strerror or error}") from error


def write_sound(path, waveform: np.ndarray, sample_rate: int) -> None:
    """Write an (n,) or (n, channels) waveform, int16 or float in [-1, 1]; the suffix chooses the format.

    Raises
    ------
    MediaError
        Unknown suffix, or a failing disk.
    """
    if Path(path).suffix.lower() not in SOUND_SUFFIXES:
        raise MediaError(path, f"sounds are written as {', '.join(SOUND_SUFFIXES)}; choose one of these")
    try:
        soundfile.write(path, waveform, sample_rate)
    except (OSError, RuntimeError) as error:
        raise MediaError(path, f"cannot be written: {error}") from error


def resample(x: np.ndarray, sr_from: int, sr_to: int) -> np.ndarray:
    """Change the sample rate of a waveform (band-limited, soxr "HQ").

    Parameters
    ----------
    x : (n,) float32
    sr_from, sr_to : int
        Hz, positive.

    Returns
    -------
    y : (about n * sr_to / sr_from,) float32
        ``x`` itself when the rates are equal.
    """
    if sr_from <= 0 or sr_to <= 0:
        raise ValueError(f"sample rates must be positive numbers of Hz, not {sr_from} and {sr_to}")
    return x if sr_from == sr_to else soxr.resample(x, sr_from, sr_to, quality="HQ")


def to_int16(x: np.ndarray) -> np.ndarray:
    """Round a float waveform in [-1, 1] to int16, full scale 32768, clipped; inverse of ``x / 32768``."""
    return np.clip(np.rint(np.asarray(x, np.float64) * 32768), -32768, 32767).astype(np.int16)


def encode_jpeg(image: np.ndarray, quality: int = 92) -> bytes:
    """(H, W, 3) uint8 RGB -> JPEG bytes."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def decode_jpeg(data) -> np.ndarray:
    """JPEG or PNG bytes (anything with the buffer protocol) -> (H, W, 3) uint8 RGB.

    Raises
    ------
    MediaError
        The bytes are no picture.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise MediaError("picture in memory", "cannot be decoded; the store is damaged, build it again")
    return image


def encode_png(index: np.ndarray) -> bytes:
    """(H, W) uint8 index image -> PNG bytes, lossless."""
    return cv2.imencode(".png", index, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def decode_png(data) -> np.ndarray:
    """PNG bytes -> (H, W) uint8 index image.

    Raises
    ------
    MediaError
        The bytes are no picture.
    """
    index = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if index is None:
        raise MediaError("mask in memory", "cannot be decoded; the store is damaged, build it again")
    return index


def resize_short_side(image: np.ndarray, size: int) -> np.ndarray:
    """Scale a picture so that its shorter side has ``size`` pixels; its proportions stay.

    Parameters
    ----------
    image : (H, W, 3) uint8 picture, or (H, W) bool or uint8 mask
        Pictures are averaged over areas when they shrink and interpolated
        (cubic) when they grow; masks take the nearest value.
    size : int
        Pixels.

    Returns
    -------
    resized : (h, w, ...) of the same type, min(h, w) == size
    """
    height, width = image.shape[:2]
    short = min(height, width)
    if short == size:
        return image
    target = (max(size, round(width * size / short)), max(size, round(height * size / short)))  # (w, h)
    if image.ndim == 2:
        plain = image.astype(np.uint8)
        return cv2.resize(plain, target, interpolation=cv2.INTER_NEAREST_EXACT).astype(image.dtype)
    return cv2.resize(image, target, interpolation=cv2.INTER_AREA if size < short else cv2.INTER_CUBIC)
