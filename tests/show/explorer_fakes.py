"""A tiny store whose pictures and sounds are known by heart, and a listener of known numbers."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import torch
from PIL import Image

from llinet_lite.data.media import encode_jpeg, encode_png
from llinet_lite.data.store import Store, StoreWriter
from llinet_lite.show.explorer import AudioFeatures, ImageFeatures, Localizer

RATE = 8000
SIDE = 32  # of the square that the listener sees; the pictures have 40 pixels
NAMES = ("bell", "drum", "flute")
PITCH = (1000, 2000, 3000)  # Hz, one per class


def tone(hertz: float, seconds: float, volume: float = 0.5) -> np.ndarray:
    """A sine, (n,) int16."""
    t = np.arange(round(seconds * RATE)) / RATE
    return np.round(volume * 32767 * np.sin(2 * np.pi * hertz * t)).astype("<i2")


def rows(count: int, seconds: float = 2.0) -> tuple[list[dict], list[dict]]:
    """Of every class so many photos and recordings: class k is a square of colour k in column k."""
    images, sounds = [], []
    for label in range(len(NAMES)):
        for k in range(count):
            picture = np.full((40, 40, 3), 20, np.uint8)
            mask = np.zeros((40, 40), np.uint8)
            area = slice(12, 28), slice(4 + 11 * label, 4 + 11 * label + 10)
            picture[area] = [220 if c == label else 20 for c in range(3)]
            mask[area] = 1
            shared = {"id": f"{NAMES[label]}/{k}", "label": label, "factors": "{}"}
            image = {"clip": -1, "time": -1.0, "kind": "photo", "jpeg": encode_jpeg(picture, 98)}
            images.append(shared | image | {"objects": encode_png(mask)})
            audio = tone(PITCH[label], seconds + 0.25 * k).tobytes()
            sounds.append(shared | {"kind": "recording", "audio": audio})
    return images, sounds


def photo_store(folder, count: int = 3, seconds: float = 2.0) -> Store:
    """Photos and recordings of three classes."""
    manifest = {
        "name": "tones", "sample_rate": RATE, "seconds": seconds, "image_size": 40,
        "classes": [{"name": name, "seen": True} for name in NAMES],
    }  # fmt: skip
    with StoreWriter(folder, {"tones": count}) as writer:
        writer.add_shard("test", 0, *rows(count, seconds))
        return writer.finish(manifest, {"test": 1})


def colours(pictures: np.ndarray) -> torch.Tensor:
    """Mean red, green and blue of every 8 x 8 pixels, (N, 3, 4, 4) in [0, 1]."""
    n, side = len(pictures), pictures.shape[1] // 4
    cells = pictures.reshape(n, 4, side, 4, side, 3).mean((2, 4)) / 255  # (N, 4, 8, 4, 8, 3) -> (N, 4, 4, 3)
    return torch.from_numpy(cells).float().permute(0, 3, 1, 2)


def pitches(sounds: np.ndarray) -> torch.Tensor:
    """Power at the three classes' pitches as shares of their sum, (M, 3); zeros for silence."""
    spectrum = np.abs(np.fft.rfft(sounds.astype(float), axis=1)) ** 2
    places = [round(hertz * sounds.shape[1] / RATE) for hertz in PITCH]
    power = np.stack([spectrum[:, p - 2 : p + 3].sum(1) for p in places], 1)
    total = power.sum(1, keepdims=True)
    return torch.from_numpy(power / np.where(total > 0, total, 1)).float()


def listener(title: str = "Colour", *, scale: str = "maximum", hears: bool = True, **changes) -> Localizer:
    """Hears which class's tone it is, and sees its colour: map, match and fit are plain products."""

    def heat(cells, key):
        return torch.einsum("ndhw,nd->nhw", cells, key) if hears else cells.mean(1)

    def hear(sounds):
        found = pitches(sounds)
        return AudioFeatures(found if hears else found[:, :0], found)

    facts = {
        "title": title, "side": SIDE, "scale": scale, "measure": "product", "whole": None, "window": 1.0,
        "embed_image": lambda pictures: ImageFeatures(colours(pictures), colours(pictures).mean((2, 3))),
        "embed_audio": hear, "heat": heat,
        "match": lambda seen, heard: seen.vector @ heard.vector.T,
        "fit": (lambda cell, heard: heard.key @ cell) if hears else None,
    }  # fmt: skip
    return Localizer(**(facts | changes))


# ---- what a reader brings


def png(size=(60, 50)) -> bytes:
    """A green photo."""
    file = io.BytesIO()
    Image.new("RGB", size, (0, 255, 0)).save(file, "PNG")
    return file.getvalue()


def wav(seconds: float = 2.0, hertz: float = 2000) -> bytes:
    """A drum's tone."""
    file = io.BytesIO()
    soundfile.write(file, tone(hertz, seconds), RATE, format="WAV")
    return file.getvalue()


def parts_of(kind: str, name: str, data: bytes, size: int) -> list[tuple[dict, list]]:
    """The messages by which the page sends a file."""
    count = max(1, -(-len(data) // size))
    about = {"type": "file", "kind": kind, "name": name, "parts": count}
    return [(about | {"part": k}, [memoryview(data[k * size : (k + 1) * size])]) for k in range(count)]


def upload(tool, kind: str, name: str, data: bytes, size: int = 1000) -> None:
    """Send a file as the page does, in parts."""
    for message in parts_of(kind, name, data, size):
        tool._handle_custom_msg(*message)
