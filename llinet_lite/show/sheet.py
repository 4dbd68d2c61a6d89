"""One picture of many: labelled tiles side by side, as pixels, without a page around them.

Notebook: 00
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

GAP = 6  # pixels between tiles
PAPER, INK = (255, 255, 255), (30, 30, 30)


def sheet(images: Sequence[np.ndarray], captions: Sequence[str], *, columns: int = 8) -> np.ndarray:
    """Lay pictures out in rows, each with its caption below.

    Parameters
    ----------
    images : sequence of (h, w, 3) uint8
        All of one shape, in reading order.
    captions : sequence of str
        One per picture; a long one is set smaller until it fits its tile.
    columns : int
        Tiles per row.

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    ValueError
        If there is no picture, a caption is missing, or the shapes differ.
    """
    if not len(images) or len(images) != len(captions):
        raise ValueError(
            f"a sheet takes a caption per picture: {len(images)} pictures, {len(captions)} captions"
        )
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise ValueError(f"the pictures of a sheet are of one shape, not {sorted(shapes)}")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    height, width = images[0].shape[:2]
    line = max(12, width // 8)  # height of a caption
    page = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + line + GAP) + GAP), PAPER)
    pen = ImageDraw.Draw(page)
    for k, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x = GAP + k % columns * (width + GAP)
        y = GAP + k // columns * (height + line + GAP)
        page.paste(Image.fromarray(image), (x, y))
        font = _fitting(caption, width, line * 0.8)
        pen.text((x + width / 2, y + height + line / 2), caption, INK, font, anchor="mm")
    return np.asarray(page)


def _fitting(caption: str, width: int, size: float) -> ImageFont.FreeTypeFont:
    """Return the largest font up to `size` pixels in which the caption is no wider than its tile."""
    font = ImageFont.load_default(size)
    return font if size <= 6 or font.getlength(caption) <= width else _fitting(caption, width, size - 1)


def sound_picture(waveform: np.ndarray, sample_rate: int, *, size: int = 128) -> np.ndarray:
    """Draw a sound as a square picture: time to the right, mel-scaled frequency upwards, 70 dB of range.

    Parameters
    ----------
    waveform : (n,) int16 or float in [-1, 1]
    sample_rate : int
        Hz; the top of the picture is half of it, at most 8 kHz.
    size : int
        Side of the picture, pixels.

    Returns
    -------
    (size, size, 3) uint8
    """
    import librosa

    sound = waveform.astype(np.float32) / (32768 if waveform.dtype == np.int16 else 1)
    power = librosa.feature.melspectrogram(
        y=sound, sr=sample_rate, n_fft=2048, hop_length=256, n_mels=96, fmax=min(8000, sample_rate / 2)
    )
    level = librosa.power_to_db(power, ref=max(float(power.max()), 1e-12), top_db=70)  # (96, T), 0 is loudest
    shade = cv2.resize(level[::-1] / 70 + 1, (size, size), interpolation=cv2.INTER_AREA)
    return (colormaps["magma"](np.clip(shade, 0, 1))[..., :3] * 255).astype(np.uint8)
