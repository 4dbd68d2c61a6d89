"""One image, one sound, one video, in or out: the only place that opens such files.

Files from outside are read strictly (Pillow, FFmpeg) and in pieces: what is cut off or empty raises a
:class:`MediaError`, and no header is believed that promises more than a file of its size can hold. Images
inside a store were written by us; OpenCV decodes them three times as fast.
Notebook: 10
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import soundfile
import soxr
from PIL import Image, UnidentifiedImageError

IMAGE_SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
AUDIO_SUFFIXES = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"),
    *(".ts", ".mts", ".m2ts", ".flv", ".wmv", ".3gp", ".ogv"),
)


class MediaError(ValueError):
    """A file that cannot be used: ``path``, or a name for data in memory, and the ``reason`` in words."""

    def __init__(self, path, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    def __reduce__(self):  # survives the way back from a worker process
        return type(self), (self.path, self.reason)


@contextlib.contextmanager
def _opened(path, data: bytes | None = None) -> Iterator:
    """Open a file that is there and not empty, or its bytes, for reading."""
    try:
        with io.BytesIO(data) if data is not None else open(path, "rb") as file:
            if not file.read(1):
                raise MediaError(path, "the file is empty (0 bytes)")
            file.seek(0)
            yield file
    except OSError as error:
        if isinstance(error, (av.FFmpegError, UnidentifiedImageError)) or not error.strerror:
            raise
        raise MediaError(path, f"cannot be read: {error.strerror}") from error


def _words(error: Exception) -> str:
    """What a library says of a fault, without the addresses of its objects."""
    return re.sub(r"<[^<>]* at 0x[0-9a-fA-F]+>", "it", str(error)) or type(error).__name__


@contextlib.contextmanager
def _writing(path, what: str, suffixes) -> Iterator[None]:
    """Refuse another suffix, and whatever cannot be written."""
    if Path(path).suffix.lower() not in suffixes:
        raise MediaError(path, f"{what} are written as {', '.join(suffixes)}; choose one of these")
    try:
        yield
    except (av.FFmpegError, OSError, RuntimeError, ValueError) as error:
        raise MediaError(path, f"cannot be written: {error}") from error


# ---------------------------------------------------------------------- images


MOST_PIXELS = 50_000_000  # of a picture that is decoded: 200 MB in four channels
STRIP = 20  # times as long as wide, and a picture shows nothing
MOST_VALUES = 16  # of a mask that was drawn; with more of them it was smoothed


def open_image(path, data: bytes | None = None) -> tuple[np.ndarray, str, int]:
    """Read a picture, or its bytes, upright: (H, W, 3) uint8 RGB; its true format; how it lay (EXIF)."""
    with _picture(path, data) as image:
        kind, lay = image.format, _orientation(image)
        upright = turn(np.array(_opaque(path, image).convert("RGB")), lay)
    if max(upright.shape[:2]) > STRIP * min(upright.shape[:2]):
        raise MediaError(path, f"the picture is a strip, over {STRIP} times as long as wide")
    return upright, kind, lay


def open_mask(path) -> tuple[np.ndarray, str, int]:
    """Read a mask, (H, W) bool, as `open_image` does: true is all but the darkest value, or what is opaque.

    Of a smoothed mask, which has many values, true is what is lighter than the mean of the extremes.
    """
    with _picture(path) as image:
        kind, lay = image.format, _orientation(image)
        opaque = np.array(image.convert("RGBA"))[..., 3] if image.has_transparency_data else np.ones(1)
        if len(np.unique(opaque > 127)) == 2:
            return turn(opaque > 127, lay), kind, lay
        gray = image if image.mode[0] in "1LIF" and len(image.mode) != 2 else image.convert("RGB")
        gray = np.array(gray).reshape(*gray.size[::-1], -1)
    step = max(1, min(gray.shape[:2]) // 2048)  # no store has larger ones
    gray = gray[::step, ::step].astype(np.float32).sum(2)
    values, index = np.unique(gray, return_inverse=True)
    lightest = values[-1]
    if len(values) <= MOST_VALUES:  # an edge that was smoothed is nowhere three pixels wide
        shapes = ((index.reshape(gray.shape) == k).astype(np.uint8) for k in range(1, len(values)))
        solid = [cv2.erode(shape, np.ones((3, 3))).any() for shape in shapes]
        lightest = next((value for value, yes in zip(values[1:], solid, strict=True) if yes), lightest)
    return turn(gray > (values[0] + lightest) / 2, lay), kind, lay


def turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """An (H, W) or (H, W, 3) picture as it is in its file, turned upright."""
    return _turn(image, orientation >= 5, orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7))


def _turn(image: np.ndarray, swap: bool, down: bool, across: bool) -> np.ndarray:
    """Swap the axes of a picture, then mirror it up and down, and left and right."""
    image = image.swapaxes(0, 1) if swap else image
    return np.ascontiguousarray(image[:: -1 if down else 1, :: -1 if across else 1])


@contextlib.contextmanager
def _picture(path, data: bytes | None = None) -> Iterator[Image.Image]:
    """Open a picture; whatever is wrong with it, then or when it is decoded, is a MediaError."""
    try:
        ignored = warnings.catch_warnings(action="ignore")  # of tags that nobody needs
        with ignored, _opened(path, data) as file, Image.open(file) as image:
            image.draft(None, (4096, 4096))  # a JPEG larger than twice that is decoded at half its size
            if image.width * image.height > MOST_PIXELS:
                raise MediaError(path, f"has over {MOST_PIXELS // 10**6} million pixels; make it smaller")
            yield image
    except MediaError:
        raise
    except UnidentifiedImageError as error:
        raise MediaError(path, "is no picture that can be decoded (expected JPEG or PNG)") from error
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, zlib.error ...
        what = "the picture is truncated" if "truncated" in str(error).lower() else None
        raise MediaError(path, what or f"unreadable: {_words(error)}") from error


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(274)
    except Exception:  # a tag of a wrong type; the pixels are whole
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _opaque(path, image: Image.Image) -> Image.Image:
    """Bring a picture of 16 or 32 bits to 8, and lay one that shines through on white."""
    if image.mode[0] in "IF":  # Pillow's own conversion cuts off all above 255
        values, scales = np.asarray(image, np.float32), {1: 255, 255: 1, 65535: 1 / 256}
        least = 65535 if ";16" in image.mode else 255 if image.mode == "I" else 1
        top = next((top for top in scales if top >= max(least, values.max())), 0)
        if not top or not values.min() >= 0:
            raise MediaError(path, "its values are no grays of 8 or 16 bits: save it as an 8-bit PNG")
        return Image.fromarray((values * scales[top]).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def write_image(path, image: np.ndarray, quality: int = 92) -> None:
    """Write an (H, W, 3) uint8 RGB image; the suffix (.jpg or .png) chooses the format."""
    with _writing(path, "pictures", IMAGE_SUFFIXES):
        Image.fromarray(image).save(path, quality=quality)


def encode_jpeg(image: np.ndarray, quality: int = 92) -> bytes:
    """(H, W, 3) uint8 RGB -> JPEG bytes."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def encode_png(index: np.ndarray) -> bytes:
    """(H, W) uint8 index image -> PNG bytes, lossless."""
    return cv2.imencode(".png", index, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def decode_jpeg(data, mode: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray:
    """JPEG or PNG bytes of a store -> (H, W, 3) uint8 RGB."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    if image is None:
        raise MediaError("image in memory", "cannot be decoded; the store is damaged, build it again")
    return image


def decode_png(data) -> np.ndarray:
    """PNG or gray JPEG bytes of a store -> (H, W) uint8."""
    return decode_jpeg(data, cv2.IMREAD_GRAYSCALE)


def resize_short_side(image: np.ndarray, size: int) -> np.ndarray:
    """Scale an (H, W, 3) uint8 image so that its shorter side has ``size`` pixels; its proportions stay."""
    height, width = image.shape[:2]
    short = min(height, width)
    if short == size:
        return image
    target = (max(size, round(width * size / short)), max(size, round(height * size / short)))  # (w, h)
    return cv2.resize(image, target, interpolation=cv2.INTER_AREA if size < short else cv2.INTER_CUBIC)


# ----------------------------------------------------------------------- audio


SHORT = 0.1  # seconds that may lack of what a header promises
BYTES_PER_SECOND = 20  # of the densest sound; a header that promises more of a file is not believed
NEVER_FILLED_IN = 0x7FFF_0000  # bytes in a wav header: from there on, or 0, its length was not known
FULL = (32768, 2**23, 2**31)  # full scales of whole numbers that are stored as floats


@dataclass(frozen=True)
class Recording:
    """A sound that was read from a file."""

    wave: np.ndarray  # (n,) float32, the mean of all channels, in [-1, 1]
    rate: int  # Hz
    kind: str  # true format, as WAV
    channels: int
    divisor: float  # by which it was divided to lie in [-1, 1]; 1: not at all
    full: float  # share of the samples of all channels at full scale


def open_audio(path, data: bytes | None = None, longest: float = math.inf, fix: str = "") -> Recording:
    """Read a sound file, or its bytes, to the end of its data, whatever length its header says.

    One of more than `longest` seconds is refused, with a `fix`, and no more is decoded: 1 MB of flac may be
    two hours.
    """
    try:
        with _opened(path, data) as file:
            size = file.seek(0, io.SEEK_END)
            cut = _truncation(file, size)
            file.seek(0)
            with av.open(file) as container:
                if not container.streams.audio:
                    raise MediaError(path, "is no sound that can be decoded")
                stream = _sound_of(container)
                kind, promised = container.format.name.split(",")[0].upper(), _length(stream, file, size)
                if longest < promised < size / BYTES_PER_SECOND:
                    raise MediaError(path, f"lasts more than {longest:g} s{fix}")
                even, samples, channels, peak, full, lost = _Even(), bytearray(), 1, 0.0, 0, 0.0
                for packet in container.demux(stream):
                    try:
                        pieces = [one for frame in packet.decode() for one in even(frame)]
                    except av.InvalidDataError:
                        lost += float((packet.duration or 0) * packet.time_base)
                        continue
                    if packet.dts is None and packet.size == 0:  # the end
                        pieces += even.rest()
                    for piece in pieces:  # (channels, n)
                        loud, channels = np.abs(piece), max(channels, len(piece))
                        peak = max(peak, float(loud.max(initial=0)))
                        full += (loud >= 0.999).mean(0).sum()
                        samples += piece.mean(axis=0, dtype=np.float32).tobytes()
                    if len(samples) > 4 * longest * even.rate:
                        raise MediaError(path, f"lasts more than {longest:g} s{fix}")
    except MediaError:
        raise
    except (av.FFmpegError, IndexError, OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or _words(error)
        raise MediaError(path, f"is no sound that can be decoded: {what}") from error
    wave = np.frombuffer(samples, np.float32)
    there = len(wave) / max(even.rate, 1)
    if lost > SHORT:
        cut = cut or f"damaged: {lost:.2f} s of it cannot be decoded"
    elif promised - there > SHORT and promised <= size / BYTES_PER_SECOND:
        cut = cut or f"truncated: the header promises {promised:.2f} s, {there:.2f} s are there"
    if cut:
        raise MediaError(path, f"{cut}; fetch or export it again")
    if not len(wave):
        raise MediaError(path, "holds no samples")
    if not math.isfinite(peak) or not np.isfinite(wave).all():
        raise MediaError(path, "holds samples that are not numbers (NaN or infinite)")
    divisor = full_scale(peak)
    wave = wave if divisor == 1 else wave / np.float32(divisor)
    return Recording(wave, even.rate, kind, channels, divisor, full / len(wave))


def full_scale(peak: float) -> float:
    """By what a sound with this peak is divided so that it lies in [-1, 1]."""
    return 1.0 if peak <= 1 else next((full for full in FULL if 256 < peak <= full), peak)


def _sound_of(container):
    """The track of sound that is meant to be heard: no commentary, the default one, the first."""
    usual = [one for one in container.streams.audio if not _aside(one)] or container.streams.audio
    stream = min(usual, key=lambda one: not one.disposition & av.stream.Disposition.default)
    stream.codec_context.thread_count = 1
    return stream


def _aside(stream) -> bool:
    """Whether a track is a cover, or a commentary on what is seen."""
    kinds = av.stream.Disposition
    aside = kinds.attached_pic | kinds.timed_thumbnails | kinds.still_image | kinds.comment
    aside |= kinds.hearing_impaired | kinds.visual_impaired | kinds.descriptions
    return bool(stream.disposition & aside) or "comment" in stream.metadata.get("title", "").lower()


def _length(stream, file, size: int) -> float:
    """Seconds that a header promises, 0 where it is a guess (mp3, ogg) or taken from the size (wav)."""
    name = stream.container.format.name
    guess = name in ("wav", "ogg", "aac") or not stream.duration
    guess = guess or (name == "mp3" and not _counted(file, size))
    return 0.0 if guess else float(stream.duration * stream.time_base)


def _counted(file, size: int) -> bool:
    """Whether the first frame of an mp3 says how many bytes and frames follow, and no other file does."""
    back, place = file.tell(), file.seek(0)
    head = file.read(10)
    if head[:3] == b"ID3":  # seven bits a byte
        place = 10 + sum((byte & 127) << 7 * (3 - k) for k, byte in enumerate(head[6:]))
    file.seek(place)
    found = re.search(rb"(Xing|Info)...(.)....(....)", file.read(256), re.DOTALL)
    file.seek(back)  # the decoder goes on from there
    return bool(found) and found[2][0] & 3 == 3 and int.from_bytes(found[3]) > 0.9 * (size - place)


class _Even:
    """Brings pieces of sound to planes of floats at one sample rate, the first, also where it changes."""

    def __init__(self):
        self.rate, self._kind, self._resampler = 0, None, None

    def __call__(self, frame) -> list[np.ndarray]:
        """The next pieces, (channels, n) float32 each."""
        kind, pieces = (frame.format.name, frame.layout.name, frame.sample_rate), []
        self.rate = self.rate or frame.sample_rate
        if kind != self._kind:
            pieces = self.rest()
            self._resampler, self._kind = av.AudioResampler("fltp", frame.layout, self.rate), kind
        return pieces + [piece.to_ndarray() for piece in self._resampler.resample(frame)]

    def rest(self) -> list[np.ndarray]:
        """What it still holds."""
        return [piece.to_ndarray() for piece in self._resampler.resample(None)] if self._resampler else []


def _truncation(file, size: int) -> str | None:
    """Say whether a wav or ogg file is cut off; decoders play such files without a word."""
    file.seek(0)
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        at, per_second = 12, 0
        while at + 8 <= size:
            file.seek(at)
            chunk, length = file.read(4), int.from_bytes(file.read(4), "little")
            if chunk == b"fmt ":
                per_second = int.from_bytes(file.read(12)[8:], "little")
            if chunk == b"data":
                there = size - at - 8
                if length < NEVER_FILLED_IN and length - there > SHORT * per_second:
                    return f"truncated: the header promises {length} bytes of sound, {there} are there"
                return None
            at += 8 + length + length % 2
        return "truncated: a wav header without sound data"
    if head[:4] == b"OggS":
        file.seek(max(0, size - 2 * 65_307))  # twice the longest page
        last = file.read()
        page = last[last.rfind(b"OggS") :]
        if len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]]):
            return "truncated: the ogg stream has no last page"
    return None


def write_audio(path, waveform: np.ndarray, sample_rate: int) -> None:
    """Write an (n,) or (n, channels) waveform, int16 or float in [-1, 1]; the suffix chooses the format."""
    with _writing(path, "sounds", AUDIO_SUFFIXES):
        soundfile.write(path, waveform, sample_rate)


def resample(x: np.ndarray, sr_from: int, sr_to: int) -> np.ndarray:
    """Change the sample rate of an (n,) float32 waveform from ``sr_from`` to ``sr_to`` Hz (soxr "HQ")."""
    return x if sr_from == sr_to else soxr.resample(x, sr_from, sr_to, quality="HQ")


def to_int16(x: np.ndarray) -> np.ndarray:
    """Round a float waveform in [-1, 1] to int16, full scale 32768, clipped; inverse of ``x / 32768``."""
    return np.clip(np.rint(np.asarray(x, np.float64) * 32768), -32768, 32767).astype(np.int16)


# ---------------------------------------------------------------------- videos
# Everything goes by the file's time stamps, never by counting frames: the image at a time is the last one
# shown by then. Image and sound share one clock, and a clip begins on a sample of the sound, so that no
# fraction of a sample is lost before it is resampled.

CUT_SHORT = 0.5  # seconds: a file that ends so much before what its header promises is truncated
JUMP = 30.0  # seconds without picture and sound: the clock has jumped
FURTHER = (0.5, 8.0, 64.0, math.inf)  # seconds before a clip from which it is decoded, until all is there
JITTER = 0.02  # seconds: a smaller step in the sound's time stamps is rounding, a larger one a gap
EARLY = 0.001  # seconds: an image that comes so much late still counts as shown; stamps are rounded
RUN_UP = 0.5  # seconds of sound kept around a clip: a decoder has to settle
CONTEXT = 4  # cycles of both sample rates before a clip, so that the resampler has settled too
CODECS = ("libx264", "mpeg4")  # to write with: the first that is there
CONTAINERS = (".mp4", ".mov", ".mkv")  # to write: they keep the time stamp of every image
CLOCK = 90_000  # ticks per second of a time stamp that is written


@dataclass(frozen=True)
class VideoInfo:
    """What reading a whole video found; times in seconds on the file's clock."""

    origin: float  # where the film begins: its first picture or sound
    start: float  # from start to end there are both images and sound
    end: float
    lead: float  # the sound begins so much after the first image; negative: before it
    width: int  # of the image as it is to be seen: upright, with square pixels
    height: int
    turned: int  # degrees, counter-clockwise, by which the metadata turn what is stored: 0 to 359
    mirrored: bool  # whether they mirror it, too
    tracks: str  # which of several tracks were taken; "" where there is no choice
    square: bool  # whether the stored pixels are square
    rate: float  # images per second, on average
    steps: tuple[float, float]  # shortest and longest time between two images

    @property
    def seconds(self) -> float:
        """Length of what has both images and sound."""
        return max(0.0, self.end - self.start)

    @property
    def varies(self) -> bool:
        """Whether the frame rate varies by more than the rounding of time stamps."""
        return self.steps[1] - self.steps[0] > max(0.002, 0.25 * self.steps[0])


@contextlib.contextmanager
def _open_video(path, fault: str = "no video, or cut off before its index") -> Iterator:
    """Open a video; what FFmpeg cannot read in it is broken, with the `fault` in words."""
    try:
        if not Path(path).stat().st_size:
            raise MediaError(path, "broken: the file is empty (0 bytes); fetch or export it again")
        with av.open(str(path)) as container:
            yield container
    except av.FFmpegError as error:
        what = error.strerror or error
        raise MediaError(path, f"broken: {fault} ({what}); fetch or export it again") from error
    except OSError as error:
        raise MediaError(path, f"cannot be read: {error.strerror or error}") from error


def _streams(path, container):
    """The stream of images and that of sound that are meant to be seen and heard: see `_sound_of`."""
    images = [stream for stream in container.streams.video if not _aside(stream)]
    if not images:
        raise MediaError(path, "no picture: the file has no video track; leave it out")
    if not container.streams.audio:
        raise MediaError(path, "no sound: the file has no audio track; record or fetch it with sound")
    image = min(images, key=lambda one: not one.disposition & av.stream.Disposition.default)
    for stream, what in ((image, "picture"), (container.streams.audio[0], "sound")):
        if stream.codec_context is None:
            raise MediaError(path, f"unknown {what} format: export it as H.264 with AAC")
    image.codec_context.thread_count = 1  # an import runs one process per core already
    image.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return image, _sound_of(container)


def probe_video(path) -> VideoInfo:
    """Read a video of any container to its end: all time stamps, one image and one piece of sound decoded.

    The :class:`MediaError` of a file that cannot be used says what to do about it.
    """
    with _open_video(path) as container:
        image, audio = _streams(path, container)
        promised = _promised(path, container, image, audio)
        (shown, heard), stamps, ends = _demux(path, container, image, audio)
        aspect = image.sample_aspect_ratio or Fraction(1)
        several = max(len(container.streams.video), len(container.streams.audio)) > 1
        tracks = f"picture {image.index}, sound {audio.index}" if several else ""
    if shown is None or heard is None:
        what = "picture" if shown is None else "sound"
        raise MediaError(path, f"broken: no {what} of it can be decoded; fetch or export it again")
    if promised - max(ends) > CUT_SHORT:
        text = f"truncated: its header promises {promised:.1f} s, {max(ends):.1f} s are there; fetch it again"
        raise MediaError(path, text)
    height, width = _upright(shown, aspect).shape[:2]
    steps = np.diff(stamps) if len(stamps) > 1 else np.zeros(1)
    mirrored = bool(np.linalg.det(_matrix(shown)) < 0)
    return VideoInfo(
        origin=float(min(stamps[0], heard.time)), start=max(stamps[0], heard.time), end=min(ends),
        lead=heard.time - stamps[0], width=width, height=height, square=aspect == 1, tracks=tracks,
        turned=0 if mirrored else shown.rotation % 360, mirrored=mirrored,
        rate=len(steps) / max(steps.sum(), 1e-9), steps=(float(steps.min()), float(steps.max())),
    )  # fmt: skip


def promised_seconds(path) -> float:
    """Length of a video as its header says, 0 where it says nothing that can be believed or read."""
    try:
        with _open_video(path) as container:
            return _believed(path, (container.duration or 0) / av.time_base)
    except MediaError:
        return 0.0


def _believed(path, seconds: float) -> float:
    return seconds if seconds <= Path(path).stat().st_size / BYTES_PER_SECOND else 0.0


def _promised(path, container, *streams) -> float:
    """Where the streams end as the header says, seconds; of the container where nothing else is in it."""
    ends = []
    for stream in streams:
        if stream.duration:
            ends.append(float(((stream.start_time or 0) + stream.duration) * stream.time_base))
        elif found := re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", "")):  # Matroska
            hours, minutes, seconds = map(float, found.groups())
            ends.append(3600 * hours + 60 * minutes + seconds)
    if len(ends) == len(streams):
        return _believed(path, max(ends))
    if len(container.streams) > len(streams):  # another track, as subtitles, may be longer
        return 0.0
    start = 0 if "matroska" in container.format.name else container.start_time or 0  # which counts from 0
    return _believed(path, ((container.duration or 0) + start) / av.time_base)


def _demux(path, container, image, audio):
    """First decoded frame of both streams, times of all images in order, and where both streams end."""
    first, stamps, ends, last = {}, set(), {image.index: -math.inf, audio.index: -math.inf}, {}
    for packet in container.demux(image, audio):
        index = packet.stream.index
        stamp = packet.pts if packet.pts is not None else packet.dts  # some containers keep no pts
        if stamp is not None and not packet.is_discard:
            time, now = float(stamp * packet.time_base), max(ends.values())
            order = float(packet.dts * packet.time_base) if packet.dts is not None else time
            if time - now > JUMP > -now or order < last.get(index, order) - 1:
                text = f"its clock jumps, from {last.get(index, now):.1f} to {time:.1f} s"
                raise MediaError(path, f"broken: {text}; export it again")
            lasts = float((packet.duration or 0) * packet.time_base) or order - last.get(index, order)
            last[index], ends[index] = order, max(ends[index], time + lasts)
            if index == image.index:
                stamps.add(time)
        if index not in first and (packet.size or stamp is None):
            for frame in packet.decode():
                if frame.pts is not None:
                    first.setdefault(index, frame)
    return [first.get(index) for index in ends], np.array(sorted(stamps) or [0.0]), list(ends.values())


def _matrix(frame) -> np.ndarray:
    """How (x, y) in a frame turns into (x', y') on the screen: (2, 2), the rows are those of x' and y'."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2].T / 65536
    return np.eye(2)


def _upright(frame, aspect: Fraction, size: int = 0) -> np.ndarray:
    """A frame as (H, W, 3) uint8: its pixels square, turned and mirrored as the metadata say."""
    image = frame.to_ndarray(format="rgb24")
    if aspect != 1:
        shape = (max(1, round(image.shape[1] * float(aspect))), image.shape[0])
        image = cv2.resize(image, shape, interpolation=cv2.INTER_LINEAR)
    swap = bool(np.abs(matrix := _matrix(frame)).argmax(1)[0])
    down, across = matrix[::-1].sum(1) < 0  # of each row one number counts
    image = _turn(image, swap, down, across)
    return resize_short_side(image, size) if size else image


def cut_video(
    path, start: float, seconds: float, times: Sequence[float], sample_rate: int, size: int = 0
) -> tuple[list[np.ndarray], np.ndarray]:
    """Decode a clip of a video: the images at given times, and all of its sound.

    Parameters
    ----------
    start, seconds : float
        Beginning on the file's clock (of the sound, the next sample), and length.
    times : sequence of float
        Of the images, seconds from the beginning of the clip, rising.
    sample_rate : int
        Hz of the sound that is returned.
    size : int
        Short side of the images; 0: as they are.

    Returns
    -------
    images : list of (H, W, 3) uint8 RGB
        One per time: the last image shown by then.
    waveform : (round(seconds * sample_rate),) float32
        The mean of all channels; its first sample is heard when the clip begins.
    """
    where = f"{start:.1f} to {start + seconds:.1f} s"
    for back in FURTHER:  # not every container knows its key frames, and they may lie far apart
        with _open_video(path, f"damaged within {where}") as container:
            image, audio = _streams(path, container)
            frames = _Frames(times, image.sample_aspect_ratio or Fraction(1), size)
            track = _Track(start, start + seconds)
            jumped = start - back > (container.start_time or 0) / av.time_base
            if jumped:
                container.seek(int((start - back) * av.time_base), backward=True)
            for packet in container.demux(image, audio):
                for frame in _decoded(packet, audio, start):
                    if frame.time is None:
                        continue
                    if packet.stream.index == audio.index:
                        track.add(frame)
                    else:
                        frames.add(frame, frame.time - start)
                if track.beyond and frames.complete:
                    break
            frames.add(None, math.inf)  # no image follows: the last one stays
        if not jumped or not (frames.late or frames.damaged or track.late):
            break
    if frames.damaged or frames.late or not frames.complete:
        text = "pictures are damaged" if frames.damaged else "there is no picture at its beginning"
        raise MediaError(path, f"broken: {text} ({where}); fetch it again")
    return frames.images, track.cut(path, seconds, sample_rate)


def _decoded(packet, audio, start: float) -> list:
    """Frames of a packet; a piece of sound that a jump into the file has torn is none."""
    stamp = packet.pts if packet.pts is not None else packet.dts
    if not packet.size and stamp is not None:  # the picture before it is shown again
        return []
    try:
        return packet.decode()
    except av.InvalidDataError:
        if packet.stream.index == audio.index and stamp is not None and stamp * packet.time_base < start:
            return []
        raise


class _Frames:
    """Picks from the decoded frames, in order, those that are shown at given times."""

    def __init__(self, times: Sequence[float], aspect: Fraction, size: int):
        self.times, self.aspect, self.size = list(times), aspect, size
        self.images, self.damaged, self.late, self._last = [], False, True, None

    @property
    def complete(self) -> bool:
        return len(self.images) == len(self.times)

    def add(self, frame, time: float) -> None:
        """Take the next frame and its time in the clip: the one before it was shown until now."""
        while self._last and not self.complete and time > self.times[len(self.images)] + EARLY:
            self.damaged |= self._last.is_corrupt
            self.images.append(_upright(self._last, self.aspect, self.size))
        if time <= self.times[-1] + EARLY:
            self._last, self.late = frame, self.late and time > self.times[0] + EARLY


class _Track:
    """The decoded sound on the file's clock: rounding of time stamps is ignored, gaps are silence."""

    def __init__(self, start: float, end: float):
        self.start, self.end = start, end  # of the clip
        self.parts, self.count, self.begin = [], 0, math.inf
        self._even = _Even()

    @property
    def late(self) -> bool:
        return self.begin > self.start + 1e-3

    @property
    def beyond(self) -> bool:
        """Whether it reaches so far that nothing more is needed."""
        return self.count > 0 and self.begin + self.count / self._even.rate > self.end + RUN_UP

    def add(self, frame) -> None:
        """Append the next piece of sound, unless it is far from the clip."""
        far = frame.time < self.start - 2 * RUN_UP
        if self.beyond or (far and not self._even.rate):
            return
        if not self._even.rate:
            self.begin = frame.time
        pieces, rate = self._even(frame), self._even.rate
        gap = round((min(frame.time, self.end + 2 * RUN_UP) - self.begin) * rate) - self.count
        parts = [np.zeros(gap, np.float32)] if gap > JITTER * rate else []
        skip = -gap if gap < -JITTER * rate else 0  # heard already
        parts += [piece.mean(axis=0)[skip:] for piece in pieces]
        self.parts += parts  # (n,) each
        self.count += sum(map(len, parts))

    def cut(self, path, seconds: float, sample_rate: int) -> np.ndarray:
        """The clip's sound, (round(seconds * sample_rate),) float32, within [-1, 1]."""
        wave, rate = np.concatenate(self.parts or [np.zeros(0, np.float32)]), self._even.rate
        if self.late or not np.isfinite(wave).all():
            text = f"its sound cannot be decoded at {self.start:.1f} s"
            raise MediaError(path, f"broken: {text}; fetch it again")
        first = max(0, math.ceil((self.start - self.begin) * rate - 1e-3))
        common = math.gcd(rate, sample_rate)
        lead = min(first // (rate // common), CONTEXT)  # whole cycles of both rates
        heard = resample(wave[first - lead * (rate // common) :], rate, sample_rate)
        here, length = lead * (sample_rate // common), round(seconds * sample_rate)
        sound = heard[here : here + length]
        if length - len(sound) > JITTER * sample_rate:
            end = self.begin + self.count / rate
            text = f"broken: its sound ends at {end:.1f} s, before the clip does; fetch it again"
            raise MediaError(path, text)
        sound = np.pad(sound, (0, length - len(sound)))
        return sound / np.float32(full_scale(float(np.abs(sound).max(initial=0))))


def write_video(
    path, images: np.ndarray, waveform: np.ndarray | None, sample_rate: int = 48_000, *,
    times: Sequence[float] | None = None, turned: int = 0,
) -> None:  # fmt: skip
    """Write a video, H.264 (or MPEG-4, where there is no encoder for it) with AAC.

    Parameters
    ----------
    path : str or Path
        Its suffix chooses the container: .mp4, .mov or .mkv.
    images : (T, H, W, 3) uint8
        H and W even.
    waveform : (n,) int16 or float in [-1, 1], or None
    times : sequence of float, optional
        When each image is shown, seconds; default: 25 per second.
    turned : int
        Degrees by which a player shall turn the images counter-clockwise.
    """
    if images.shape[1] % 2 or images.shape[2] % 2:
        raise MediaError(path, f"a video's sides must be even, not {images.shape[2]} x {images.shape[1]}")
    times = np.arange(len(images)) / 25 if times is None else np.asarray(times)
    codec = next(name for name in CODECS if name in av.codecs_available)
    with _writing(path, "videos", CONTAINERS), av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25)
        video.height, video.width, video.pix_fmt = *images.shape[1:3], "yuv420p"
        video.codec_context.time_base = Fraction(1, CLOCK)
        video.codec_context.bit_rate = 2_000_000
        video.codec_context.thread_count = 1
        if turned:
            video.set_display_rotation(turned)
        audio = None if waveform is None else container.add_stream("aac", rate=sample_rate, layout="mono")
        for image, time in zip(images, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = round(float(time) * CLOCK), Fraction(1, CLOCK)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            wave = (waveform / 32768 if waveform.dtype == np.int16 else waveform).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = sample_rate, 0, Fraction(1, sample_rate)
            container.mux(audio.encode(frame))
            container.mux(audio.encode())
