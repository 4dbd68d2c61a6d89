"""Read one video: what is in it, and a clip of it, cut on the 0.04 s grid.

Everything goes by the file's time stamps, never by counting frames: the picture
at a time is the last one shown by then, whatever the frame rate and however it
varies. Sound and picture share one clock, and a clip begins on a sample of the
sound, so that no fraction of a sample is lost before it is resampled.

Measured on one core, 10 s of 640 x 360 H.264 with AAC: 0.05 s to look through, 0.9 s to cut.

Notebook: 10
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from llinet_lite.data.media import MediaError, resample

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"),
    *(".ts", ".flv", ".wmv", ".3gp", ".ogv"),
)
CUT_SHORT = 0.5  # seconds: a file that ends so much before what its header promises is truncated
JITTER = 0.02  # seconds: a smaller step in the sound's time stamps is rounding, a larger one a gap
EARLY = 0.001  # seconds: a picture that comes so much late still counts as shown; stamps are rounded
RUN_UP = 0.5  # seconds decoded before a clip: a decoder has to settle
CONTEXT = 4  # cycles of both sample rates heard before a clip, so that the resampler has settled too


@dataclass(frozen=True)
class VideoInfo:
    """What a look through a whole video found.

    Attributes
    ----------
    start, end : float
        Seconds on the file's clock between which there are both pictures and sound.
    lead : float
        Seconds by which the sound begins after the first picture; negative: before it.
    width, height : int
        Of the picture as it is to be seen: upright, with square pixels.
    turned : int
        Degrees, counter-clockwise, by which the metadata turn what is stored: 0 to 359.
    square : bool
        Whether the stored pixels are square.
    rate : float
        Pictures per second, on average.
    steps : (float, float)
        Shortest and longest time between two pictures, seconds.
    sample_rate, channels : int
        Of the sound; Hz.
    """

    start: float
    end: float
    lead: float
    width: int
    height: int
    turned: int
    square: bool
    rate: float
    steps: tuple[float, float]
    sample_rate: int
    channels: int

    @property
    def seconds(self) -> float:
        """Length of what can be both seen and heard."""
        return max(0.0, self.end - self.start)

    @property
    def varies(self) -> bool:
        """Whether the frame rate varies by more than the rounding of time stamps."""
        return self.steps[1] - self.steps[0] > max(0.002, 0.25 * self.steps[0])

    @property
    def portrait(self) -> bool:
        """Whether the picture is higher than wide."""
        return self.height > self.width


# --------------------------------------------------------------------- opening


def _open(path):
    """Open a container, or say why that cannot be."""
    try:
        if not Path(path).stat().st_size:
            raise MediaError(path, "broken: the file is empty (0 bytes); fetch or export it again")
        return av.open(str(path))
    except av.FFmpegError as error:
        raise _broken(path, error) from error
    except OSError as error:
        raise MediaError(path, f"cannot be read: {error.strerror or error}") from error


def _broken(path, error: Exception) -> MediaError:
    what = getattr(error, "strerror", None) or error
    return MediaError(
        path, f"broken: no video, or cut off before its index ({what}); fetch or export it again"
    )


def _streams(path, container):
    """The first stream of pictures, cover art aside, and the first of sound."""
    covers = av.stream.Disposition.attached_pic
    pictures = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not pictures:
        raise MediaError(path, "no picture: the file has no video track; leave it out")
    if not container.streams.audio:
        raise MediaError(path, "no sound: the file has no audio track; record or fetch it with sound")
    picture, sound = pictures[0], container.streams.audio[0]
    for stream, what in ((picture, "picture"), (sound, "sound")):
        if stream.codec_context is None:
            raise MediaError(path, f"unknown {what} format: export it as H.264 with AAC")
    picture.codec_context.thread_count = 1  # an import runs one process per core already
    return picture, sound


# --------------------------------------------------------------------- looking


def look(path) -> VideoInfo:
    """Read a video to its end: the time stamps of all, one picture and one piece of sound decoded.

    Parameters
    ----------
    path : str or Path
        Any container and format that FFmpeg knows.

    Returns
    -------
    info : VideoInfo

    Raises
    ------
    MediaError
        Not there, empty, no video, without sound or picture, or truncated; with what to do about it.

    Notebook: 10
    """
    try:
        with _open(path) as container:
            picture, sound = _streams(path, container)
            promised = _promised(container, picture, sound)
            (shown, heard), stamps, ends = _walk(container, picture, sound)
            aspect = picture.sample_aspect_ratio or Fraction(1)
    except av.FFmpegError as error:
        raise _broken(path, error) from error
    if shown is None or heard is None:
        what = "picture" if shown is None else "sound"
        raise MediaError(path, f"broken: no {what} of it can be decoded; fetch or export it again")
    if promised - max(ends) > CUT_SHORT:
        text = f"truncated: its header promises {promised:.1f} s, {max(ends):.1f} s are there; fetch it again"
        raise MediaError(path, text)
    height, width = upright(shown, aspect).shape[:2]
    steps = np.diff(stamps) if len(stamps) > 1 else np.zeros(1)
    return VideoInfo(
        start=max(stamps[0], heard.time), end=min(ends), lead=heard.time - stamps[0],
        width=width, height=height, turned=shown.rotation % 360, square=aspect == 1,
        rate=len(steps) / max(steps.sum(), 1e-9), steps=(float(steps.min()), float(steps.max())),
        sample_rate=heard.sample_rate, channels=heard.layout.nb_channels,
    )  # fmt: skip


def _promised(container, *streams) -> float:
    """Where the streams end as the header says, seconds; of the container where they do not say it."""
    if all(stream.duration for stream in streams):  # other tracks, as subtitles, may be longer
        ends = [((s.start_time or 0) + s.duration) * s.time_base for s in streams]
        return float(max(ends))
    return ((container.duration or 0) + (container.start_time or 0)) / av.time_base


def promised_seconds(path) -> float:
    """Length of a video as its header says, 0 where it says nothing or cannot be read."""
    try:
        with _open(path) as container:
            return (container.duration or 0) / av.time_base
    except MediaError:
        return 0.0


def _walk(container, picture, sound):
    """First decoded frame of both streams, times of all pictures in order, and where both streams end."""
    streams = (picture, sound)
    first, stamps, ends = {}, set(), dict.fromkeys((s.index for s in streams), 0.0)
    for packet in container.demux(*streams):
        index = packet.stream.index
        stamp = packet.pts if packet.pts is not None else packet.dts  # some containers keep no pts
        if stamp is not None and packet.size:
            time = float(stamp * packet.time_base)
            ends[index] = max(ends[index], time + float((packet.duration or 0) * packet.time_base))
            if index == picture.index:
                stamps.add(time)
        if index not in first:
            for frame in packet.decode():
                if frame.pts is not None:
                    first.setdefault(index, frame)
    stamps = np.array(sorted(stamps) or [0.0])
    return [first.get(s.index) for s in streams], stamps, list(ends.values())


def upright(frame, aspect: Fraction = Fraction(1)) -> np.ndarray:
    """A decoded picture as it is to be seen.

    Parameters
    ----------
    frame : av.VideoFrame
    aspect : Fraction
        Width of a stored pixel over its height.

    Returns
    -------
    image : (H, W, 3) uint8 RGB
        Made wider where pixels are not square, and turned as the metadata say.
    """
    image = frame.to_ndarray(format="rgb24")
    if aspect != 1:
        size = (round(image.shape[1] * float(aspect)), image.shape[0])
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))


# --------------------------------------------------------------------- cutting


def cut(
    path, start: float, seconds: float, times: Sequence[float], sample_rate: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Decode a clip: pictures at given times, and all of its sound.

    Parameters
    ----------
    path : str or Path
    start : float
        Where the clip begins on the file's clock, seconds; the next sample of the sound is taken.
    seconds : float
        Length of the clip.
    times : sequence of float
        When to look, seconds from the beginning of the clip, rising.
    sample_rate : int
        Hz of the sound that is returned.

    Returns
    -------
    images : list of (H, W, 3) uint8 RGB
        One per time: the last picture shown by then.
    waveform : (round(seconds * sample_rate),) float32
        The mean of all channels; its first sample is heard when the clip begins.

    Raises
    ------
    MediaError
        Damaged within the clip, or the clip leaves the video.

    Notebook: 10
    """
    try:
        with _open(path) as container:
            picture, sound = _streams(path, container)
            aspect = picture.sample_aspect_ratio or Fraction(1)
            if start > RUN_UP:
                container.seek(int((start - RUN_UP) * av.time_base), backward=True)
            track, frames = Track(), Shown(times, EARLY)
            for packet in container.demux(picture, sound):
                for frame in _decoded(packet, sound, start):
                    if packet.stream.index == sound.index:
                        track.add(frame, start + seconds)
                    else:
                        frames.add(frame, start, aspect)
                if track.beyond and frames.complete:
                    break
            frames.close(aspect)
    except av.FFmpegError as error:
        where = f"{start:.1f} to {start + seconds:.1f} s"
        text = f"broken: damaged within {where} ({error.strerror}); fetch it again"
        raise MediaError(path, text) from error
    if frames.damaged or not frames.complete:
        text = "pictures are damaged" if frames.damaged else "there is no picture at its beginning"
        raise MediaError(path, f"broken: {text} ({start:.1f} to {start + seconds:.1f} s); fetch it again")
    return frames.images, track.cut(path, start, seconds, sample_rate)


def _decoded(packet, sound, start: float) -> list:
    """Frames of a packet; a piece of sound that a jump into the file has torn is none."""
    try:
        return packet.decode()
    except av.InvalidDataError:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.stream.index == sound.index and stamp is not None and stamp * packet.time_base < start:
            return []
        raise


class Shown:
    """Picks from the decoded pictures, in order, those that are shown at given times."""

    def __init__(self, times: Sequence[float], early: float):
        self.times, self.early = list(times), early
        self.images, self.damaged, self._last = [], False, None

    @property
    def complete(self) -> bool:
        return len(self.images) == len(self.times)

    def add(self, frame, start: float, aspect: Fraction) -> None:
        """Take the next decoded picture: the one before it was shown until now."""
        if frame.time is None:
            return
        while (
            self._last
            and not self.complete
            and frame.time - start > self.times[len(self.images)] + self.early
        ):
            self._keep(aspect)
        self._last = frame if frame.time - start <= self.times[-1] + self.early else self._last

    def close(self, aspect: Fraction) -> None:
        """No picture follows: the last one stays."""
        while self._last and not self.complete:
            self._keep(aspect)

    def _keep(self, aspect: Fraction) -> None:
        self.damaged |= self._last.is_corrupt
        self.images.append(upright(self._last, aspect))


class Track:
    """The decoded sound on the file's clock: rounding of time stamps is ignored, gaps are silence."""

    def __init__(self):
        self.parts, self.count, self.rate, self.begin, self.beyond = [], 0, 0, 0.0, False
        self._same = None

    def add(self, frame, end: float) -> None:
        """Append the next piece of sound; `end`: seconds after which none is needed."""
        if frame.time is None:
            return
        if self._same is None:
            self._same = av.AudioResampler(format="fltp", layout=frame.layout, rate=frame.sample_rate)
            self.rate, self.begin = frame.sample_rate, frame.time
        gap = round((frame.time - self.begin) * self.rate) - self.count
        if gap > JITTER * self.rate:
            self._append(np.zeros(gap, np.float32))
        skip = -gap if gap < -JITTER * self.rate else 0  # heard already
        for piece in self._same.resample(frame):
            self._append(piece.to_ndarray().mean(axis=0)[skip:])  # (channels, n) -> (n,)
        self.beyond = self.begin + self.count / self.rate > end + RUN_UP

    def _append(self, wave: np.ndarray) -> None:
        self.parts.append(wave)
        self.count += len(wave)

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
            raise MediaError(
                path, f"broken: its sound ends at {end:.1f} s, before the clip does; fetch it again"
            )
        return np.pad(sound, (0, length - len(sound)))
