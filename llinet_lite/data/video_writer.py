"""Write one video from pictures and a sound: for lessons that make their own clips, and for tests.

Notebook: 10
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from llinet_lite.data.media import MediaError
from llinet_lite.world.scenes import Scene

CODECS = ("libx264", "mpeg4")  # the first that is there
CONTAINERS = (".mp4", ".mov", ".mkv")  # which keep the time stamp of every picture
CLOCK = 90_000  # ticks per second of a time stamp
SCENE_RATE = 48_000  # Hz, of a filmed scene


def write_video(
    path,
    frames: np.ndarray,
    waveform: np.ndarray | None,
    sample_rate: int = 48_000,
    *,
    times: Sequence[float] | None = None,
    turned: int = 0,
) -> None:
    """Write a video, H.264 (or MPEG-4, where there is no encoder for it) with AAC.

    Parameters
    ----------
    path : str or Path
        Its suffix chooses the container: .mp4, .mov or .mkv.
    frames : (T, H, W, 3) uint8
        H and W even.
    waveform : (n,) int16 or float in [-1, 1], or None
        None writes a video without sound.
    sample_rate : int
        Hz.
    times : sequence of float, optional
        When each picture is shown, seconds; default: 25 per second.
    turned : int
        Degrees by which a player shall turn the pictures counter-clockwise.

    Raises
    ------
    MediaError
        Unknown suffix, odd sides, or a failing disk.

    Notebook: 10
    """
    if Path(path).suffix.lower() not in CONTAINERS:
        raise MediaError(path, f"videos are written as {', '.join(CONTAINERS)}; choose one of these")
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise MediaError(path, f"a video's sides must be even, not {frames.shape[2]} x {frames.shape[1]}")
    times = np.arange(len(frames)) / 25 if times is None else np.asarray(times)
    try:
        with av.open(str(path), "w") as container:
            picture = container.add_stream(_codec(), rate=25)
            picture.height, picture.width, picture.pix_fmt = *frames.shape[1:3], "yuv420p"
            picture.codec_context.time_base = Fraction(1, CLOCK)
            picture.codec_context.bit_rate = 2_000_000
            picture.codec_context.thread_count = 1
            if turned:
                picture.set_display_rotation(turned)
            sound = None if waveform is None else container.add_stream("aac", rate=sample_rate, layout="mono")
            for image, time in zip(frames, times, strict=True):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame.pts, frame.time_base = round(float(time) * CLOCK), Fraction(1, CLOCK)
                container.mux(picture.encode(frame))
            container.mux(picture.encode())
            if sound is not None:
                _write_sound(container, sound, waveform, sample_rate)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(path, f"cannot be written: {error}") from error


def _codec() -> str:
    return next(name for name in CODECS if name in av.codecs_available)


def _write_sound(container, stream, waveform: np.ndarray, sample_rate: int) -> None:
    wave = waveform / 32768 if waveform.dtype == np.int16 else waveform
    frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = sample_rate, 0, Fraction(1, sample_rate)
    for part in (frame, None):
        container.mux(stream.encode(part))


def write_scene(
    path,
    name: str,
    seed: int,
    *,
    size: int = 128,
    seconds: float = 2.0,
    sound: bool = True,
    portrait: bool = False,
    turned: int = 0,
) -> None:
    """Film a scene of the built-in world: 25 pictures per second, sound at 48 kHz.

    Parameters
    ----------
    path : str or Path
        Its folder is made where there is none.
    name, seed, seconds
        As for :class:`llinet_lite.world.scenes.Scene`.
    size : int
        Side of the pictures, pixels, a multiple of 4.
    sound : bool
        False leaves the sound track out.
    portrait : bool
        True keeps the left half of the pictures.
    turned : int
        As for :func:`write_video`.

    Raises
    ------
    MediaError
        As :func:`write_video`.

    Notebook: 10
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    scene = Scene(name, seed, seconds=seconds)
    frames = np.stack([scene.frame(k / 25, size) for k in range(round(25 * seconds))])
    if portrait:
        frames = frames[:, :, : size // 2]
    wave = scene.audio(0.0, seconds, SCENE_RATE) if sound else None
    write_video(path, frames, wave, SCENE_RATE, turned=turned)
