"""One image, one sound, one video, in or out: the only place that opens such files.

Files from outside are read strictly (Pillow, libsndfile, FFmpeg): what is cut off or empty raises a
:class:`MediaError`. Images inside a store were written by us; OpenCV decodes them three times as fast.

Notebook: 10
"""

from __future__ import annotations

import contextlib
import io
import math
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
from PIL import Image, ImageOps, UnidentifiedImageError

IMAGE_SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
AUDIO_SUFFIXES = {".wav": "WAV", ".flac": "FLAC", ".ogg": "OGG", ".mp3": "MP3"}
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"),
    *(".ts", ".flv", ".wmv", ".3gp", ".ogv"),
)


class MediaError(ValueError):
    """A file that cannot be used: ``path``, or a name for data in memory, and the ``reason`` in words."""

    def __init__(self, path, reason: str):
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    def __reduce__(self):  # survives the way back from a worker process
        return type(self), (self.path, self.reason)


def read_bytes(path) -> bytes:
    """All bytes of a file that is there and not empty."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MediaError(path, f"cannot be read: {error.strerror or error}") from error
    if not data:
        raise MediaError(path, "the file is empty (0 bytes)")
    return data


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


def open_image(path, data: bytes | None = None, mode: str = "RGB") -> tuple[np.ndarray, str]:
    """Read an image file, or its bytes, upright and in Pillow's `mode`; and its true format, as JPEG."""
    data = read_bytes(path) if data is None else data
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as opened:
                kind = opened.format
                opened.load()
                upright = ImageOps.exif_transpose(opened)
                return np.array((_opaque(upright) if mode == "RGB" else upright).convert(mode)), kind
    except UnidentifiedImageError as error:
        raise MediaError(path, "is no picture that can be decoded (expected JPEG or PNG)") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaError(path, "has more than 89 million pixels; make it smaller first") from error
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error, zlib.error ...
        cut = "truncated" in str(error).lower()
        raise MediaError(path, "the picture is truncated" if cut else f"unreadable: {error}") from error


def _opaque(image: Image.Image) -> Image.Image:
    """Bring an image of 16 bits to 8, and lay one that shines through on white."""
    if image.mode.startswith("I;16"):  # Pillow's own conversion cuts off all above 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
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


def open_audio(path, data: bytes | None = None, longest: float = math.inf) -> tuple[np.ndarray, int, str]:
    """Read a sound file, or its bytes: (n, channels) float32, its sample rate in Hz, its format, as WAV.

    One of more than `longest` seconds is refused before it is decoded: 20 MB of mp3 may be an hour.
    """
    data = read_bytes(path) if data is None else data
    cut = _truncation(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as opened:
            rate, kind, promised = opened.samplerate, opened.format, opened.frames
            if longest * rate < promised < 2**62:
                raise MediaError(path, f"lasts {promised / rate:.2f} s")
            wave = opened.read(dtype="float32", always_2d=True)  # (n, channels)
    except MediaError:
        raise
    except Exception as error:  # soundfile raises LibsndfileError, RuntimeError, TypeError ...
        if getattr(error, "code", None) == 1:  # unknown to libsndfile
            with contextlib.suppress(av.FFmpegError, IndexError):
                return _open_m4a(path, data, longest)
        why = getattr(error, "error_string", error)
        raise MediaError(path, cut or f"is no sound that can be decoded: {why}") from error
    # An mp3 header gives its length only roughly: a tenth of a second is within its rights.
    slack = rate // 10 if kind in ("MP3", "MPEG") else 0
    if cut is None and promised < 2**62 and len(wave) < promised - slack:
        cut = f"truncated: the header promises {promised} samples, {len(wave)} are there"
    if cut:
        raise MediaError(path, cut)
    if not len(wave):
        raise MediaError(path, "holds no samples")
    if not np.isfinite(wave).all():
        raise MediaError(path, "holds samples that are not numbers (NaN or infinite)")
    return wave, rate, kind


def _open_m4a(path, data: bytes, longest: float) -> tuple[np.ndarray, int, str]:
    """Decode what telephones and browsers record (m4a, aac, webm), as `open_audio` returns it."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        even, parts, count = av.AudioResampler("fltp", stream.layout, stream.rate), [], 0
        for frame in container.decode(stream):
            parts += [piece.to_ndarray() for piece in even.resample(frame)]  # (channels, n)
            count += frame.samples
            if count > longest * stream.rate:
                raise MediaError(path, f"lasts more than {longest:g} s")
        if not parts:
            raise MediaError(path, "holds no samples")
        return np.concatenate(parts, 1).T, stream.rate, container.format.name


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
JITTER = 0.02  # seconds: a smaller step in the sound's time stamps is rounding, a larger one a gap
EARLY = 0.001  # seconds: an image that comes so much late still counts as shown; stamps are rounded
RUN_UP = 0.5  # seconds decoded before a clip: a decoder has to settle
CONTEXT = 4  # cycles of both sample rates before a clip, so that the resampler has settled too
CODECS = ("libx264", "mpeg4")  # to write with: the first that is there
CONTAINERS = (".mp4", ".mov", ".mkv")  # to write: they keep the time stamp of every image
CLOCK = 90_000  # ticks per second of a time stamp that is written


@dataclass(frozen=True)
class VideoInfo:
    """What reading a whole video found; times in seconds on the file's clock."""

    start: float  # from start to end there are both images and sound
    end: float
    lead: float  # the sound begins so much after the first image; negative: before it
    width: int  # of the image as it is to be seen: upright, with square pixels
    height: int
    turned: int  # degrees, counter-clockwise, by which the metadata turn what is stored: 0 to 359
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
    """The first stream of images, cover art aside, and the first of sound."""
    covers = av.stream.Disposition.attached_pic
    images = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not images:
        raise MediaError(path, "no picture: the file has no video track; leave it out")
    if not container.streams.audio:
        raise MediaError(path, "no sound: the file has no audio track; record or fetch it with sound")
    image, audio = images[0], container.streams.audio[0]
    for stream, what in ((image, "picture"), (audio, "sound")):
        if stream.codec_context is None:
            raise MediaError(path, f"unknown {what} format: export it as H.264 with AAC")
    image.codec_context.thread_count = 1  # an import runs one process per core already
    return image, audio


def probe_video(path) -> VideoInfo:
    """Read a video of any container to its end: all time stamps, one image and one piece of sound decoded.

    The :class:`MediaError` of a file that cannot be used says what to do about it.
    """
    with _open_video(path) as container:
        image, audio = _streams(path, container)
        promised = _promised(container, image, audio)
        (shown, heard), stamps, ends = _demux(container, image, audio)
        aspect = image.sample_aspect_ratio or Fraction(1)
    if shown is None or heard is None:
        what = "picture" if shown is None else "sound"
        raise MediaError(path, f"broken: no {what} of it can be decoded; fetch or export it again")
    if promised - max(ends) > CUT_SHORT:
        text = f"truncated: its header promises {promised:.1f} s, {max(ends):.1f} s are there; fetch it again"
        raise MediaError(path, text)
    height, width = _upright(shown, aspect).shape[:2]
    steps = np.diff(stamps) if len(stamps) > 1 else np.zeros(1)
    return VideoInfo(
        start=max(stamps[0], heard.time), end=min(ends), lead=heard.time - stamps[0],
        width=width, height=height, turned=shown.rotation % 360, square=aspect == 1,
        rate=len(steps) / max(steps.sum(), 1e-9), steps=(float(steps.min()), float(steps.max())),
    )  # fmt: skip


def promised_seconds(path) -> float:
    """Length of a video as its header says, 0 where it says nothing or cannot be read."""
    try:
        with _open_video(path) as container:
            return (container.duration or 0) / av.time_base
    except MediaError:
        return 0.0


def _promised(container, *streams) -> float:
    """Where the streams end as the header says, seconds; of the container where they do not say it."""
    if all(stream.duration for stream in streams):  # other tracks, as subtitles, may be longer
        ends = [((s.start_time or 0) + s.duration) * s.time_base for s in streams]
        return float(max(ends))
    return ((container.duration or 0) + (container.start_time or 0)) / av.time_base


def _demux(container, image, audio):
    """First decoded frame of both streams, times of all images in order, and where both streams end."""
    first, stamps, ends = {}, set(), {image.index: 0.0, audio.index: 0.0}
    for packet in container.demux(image, audio):
        index = packet.stream.index
        stamp = packet.pts if packet.pts is not None else packet.dts  # some containers keep no pts
        if stamp is not None and packet.size:
            time = float(stamp * packet.time_base)
            ends[index] = max(ends[index], time + float((packet.duration or 0) * packet.time_base))
            if index == image.index:
                stamps.add(time)
        if index not in first:
            for frame in packet.decode():
                if frame.pts is not None:
                    first.setdefault(index, frame)
    return [first.get(index) for index in ends], np.array(sorted(stamps) or [0.0]), list(ends.values())


def _upright(frame, aspect: Fraction) -> np.ndarray:
    """A decoded frame as (H, W, 3) uint8, its pixels made square and turned as the metadata say."""
    image = frame.to_ndarray(format="rgb24")
    if aspect != 1:
        size = (round(image.shape[1] * float(aspect)), image.shape[0])
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))


def cut_video(
    path, start: float, seconds: float, times: Sequence[float], sample_rate: int
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

    Returns
    -------
    images : list of (H, W, 3) uint8 RGB
        One per time: the last image shown by then.
    waveform : (round(seconds * sample_rate),) float32
        The mean of all channels; its first sample is heard when the clip begins.
    """
    where = f"{start:.1f} to {start + seconds:.1f} s"
    with _open_video(path, f"damaged within {where}") as container:
        image, audio = _streams(path, container)
        frames, track = _Frames(times, image.sample_aspect_ratio or Fraction(1)), _Track()
        if start > RUN_UP:
            container.seek(int((start - RUN_UP) * av.time_base), backward=True)
        for packet in container.demux(image, audio):
            for frame in _decoded(packet, audio, start):
                if frame.time is None:
                    continue
                if packet.stream.index == audio.index:
                    track.add(frame, start + seconds)
                else:
                    frames.add(frame, frame.time - start)
            if track.beyond and frames.complete:
                break
        frames.add(None, math.inf)  # no image follows: the last one stays
    if frames.damaged or not frames.complete:
        text = "pictures are damaged" if frames.damaged else "there is no picture at its beginning"
        raise MediaError(path, f"broken: {text} ({where}); fetch it again")
    return frames.images, track.cut(path, start, seconds, sample_rate)


def _decoded(packet, audio, start: float) -> list:
    """Frames of a packet; a piece of sound that a jump into the file has torn is none."""
    try:
        return packet.decode()
    except av.InvalidDataError:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.stream.index == audio.index and stamp is not None and stamp * packet.time_base < start:
            return []
        raise


class _Frames:
    """Picks from the decoded frames, in order, those that are shown at given times."""

    def __init__(self, times: Sequence[float], aspect: Fraction):
        self.times, self.aspect = list(times), aspect
        self.images, self.damaged, self._last = [], False, None

    @property
    def complete(self) -> bool:
        return len(self.images) == len(self.times)

    def add(self, frame, time: float) -> None:
        """Take the next frame and its time in the clip: the one before it was shown until now."""
        while self._last and not self.complete and time > self.times[len(self.images)] + EARLY:
            self.damaged |= self._last.is_corrupt
            self.images.append(_upright(self._last, self.aspect))
        if time <= self.times[-1] + EARLY:
            self._last = frame


class _Track:
    """The decoded sound on the file's clock: rounding of time stamps is ignored, gaps are silence."""

    def __init__(self):
        self.parts, self.count, self.rate, self.begin, self.beyond = [], 0, 0, 0.0, False
        self._even = None  # all pieces in one format

    def add(self, frame, end: float) -> None:
        """Append the next piece of sound; `end`: seconds after which none is needed."""
        if self._even is None:
            self._even = av.AudioResampler(format="fltp", layout=frame.layout, rate=frame.sample_rate)
            self.rate, self.begin = frame.sample_rate, frame.time
        gap = round((frame.time - self.begin) * self.rate) - self.count
        parts = [np.zeros(gap, np.float32)] if gap > JITTER * self.rate else []
        skip = -gap if gap < -JITTER * self.rate else 0  # heard already
        parts += [piece.to_ndarray().mean(axis=0)[skip:] for piece in self._even.resample(frame)]
        self.parts += parts  # (n,) each
        self.count += sum(map(len, parts))
        self.beyond = self.begin + self.count / self.rate > end + RUN_UP

    def cut(self, path, start: float, seconds: float, sample_rate: int) -> np.ndarray:
        """The clip's sound, (round(seconds * sample_rate),) float32."""
        wave = np.concatenate(self.parts) if self.parts else np.zeros(0, np.float32)
        first = math.ceil((start - self.begin) * self.rate - 1e-3)
        if first < 0 or not np.isfinite(wave).all():
            raise MediaError(path, f"broken: its sound cannot be decoded at {start:.1f} s; fetch it again")
        common = math.gcd(self.rate, sample_rate)
        lead = min(first // (self.rate // common), CONTEXT)  # whole cycles of both rates
        heard = resample(wave[first - lead * (self.rate // common) :], self.rate, sample_rate)
        here, length = lead * (sample_rate // common), round(seconds * sample_rate)
        sound = heard[here : here + length]
        if length - len(sound) > JITTER * sample_rate:
            end = self.begin + self.count / self.rate
            text = f"broken: its sound ends at {end:.1f} s, before the clip does; fetch it again"
            raise MediaError(path, text)
        return np.pad(sound, (0, length - len(sound)))


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
