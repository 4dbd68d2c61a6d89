"""The pictures and sounds that the explorer shows: those of a split, and those that a reader brings.

Notebook: 07
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import PurePath

import numpy as np
import soundfile
from PIL import Image

from llinet_lite.data.bandstand import WORLD_VERSION, first_images
from llinet_lite.data.media import MediaError, open_image, open_sound, resample, resize_short_side, to_int16
from llinet_lite.data.store import Store
from llinet_lite.world.scenes import Scene

MEGABYTES = 20  # of an uploaded file
SHORTEST, LONGEST = 1.0, 60.0  # seconds of an uploaded sound
PLAIN = ("solo", "photo")  # kinds of scene that need no word


@dataclass(frozen=True)
class Picture:
    """A picture, and who is in it.

    Attributes
    ----------
    key, caption, name : str
        A unique mark; what it is called in the list; the class it stands under, "" for a reader's photo.
    image : (H, W, 3) uint8
        All of it; a listener sees the square in its middle.
    objects : (H, W) uint8, optional
        0 is background, k + 1 the k-th player; None where there are no masks.
    players : tuple of int
        Class of every player, whether it can be seen or not.
    index : int, optional
        Its place among the explorer's pictures; None for a reader's photo or a frame of a clip.
    sound : int, optional
        Place of its own sound, or of one of its class.
    time : float, optional
        Its moment in that sound, seconds.
    film : callable, optional
        Seconds -> image and objects, for a clip of the built-in world.
    """

    key: str
    caption: str
    name: str
    image: np.ndarray
    objects: np.ndarray | None = None
    players: tuple[int, ...] = ()
    index: int | None = None
    sound: int | None = None
    time: float | None = None
    film: Callable[[float], tuple[np.ndarray, np.ndarray]] | None = field(default=None, repr=False)

    @property
    def told(self) -> str:
        """What the line calls it: of a reader's photo that is no square, only a part is seen."""
        height, width = self.image.shape[:2]
        return f"{self.caption} (its middle square)" if not self.name and height != width else self.caption

    @property
    def labels(self) -> frozenset[int]:
        """Classes that can be seen; all players' where there are no masks."""
        if self.objects is None:
            return frozenset(self.players)
        return frozenset(c for k, c in enumerate(self.players) if (self.objects == k + 1).any())

    def at(self, time: float) -> Picture:
        """Return the frame of its clip at a time; itself where there is no film."""
        if self.film is None:
            return self
        time = round(time, 2)
        image, objects = self.film(time)
        return replace(self, key=f"{self.key} at {time:.2f} s", image=image, objects=objects, index=None)


@dataclass(frozen=True)
class Sound:
    """A sound, and who is in it.

    Attributes
    ----------
    key, caption : str
    waveform : (n,) int16
    rate : int
        Hz.
    labels : frozenset of int, optional
        Classes that sound; None where that is not known.
    index : int, optional
        Its place among the explorer's sounds.
    moment : float, optional
        Where to listen when only a part is heard, seconds; None: in the middle.
    """

    key: str
    caption: str
    waveform: np.ndarray
    rate: int
    labels: frozenset[int] | None = None
    index: int | None = None
    moment: float | None = None

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.waveform) / self.rate

    def piece(self, seconds: float | None, centre: float | None) -> np.ndarray:
        """Return `seconds` of it around a centre, or of its middle; all of it for None.

        A window that would leave the sound is moved inside.

        Raises
        ------
        ValueError
            If the sound is shorter than that.
        """
        if seconds is None:
            return self.waveform
        length, total = round(seconds * self.rate), len(self.waveform)
        if length > total:
            raise ValueError(
                f"{self.caption} lasts {self.seconds:.2f} s, but {seconds:g} s are heard at once: "
                "choose a longer sound"
            )
        start = (total - length) // 2
        if centre is not None:
            start = min(max(int(np.rint(centre * self.rate)) - length // 2, 0), total - length)
        return self.waveform[start : start + length]


def crop(image: np.ndarray, side: int) -> np.ndarray:
    """Return the square in the middle of a picture or mask, as evaluation sets cut it."""
    if min(image.shape[:2]) < side:
        raise ValueError(
            f"a picture of {image.shape[1]} x {image.shape[0]} pixels holds no square of {side}: "
            "build the store with larger pictures"
        )
    top, left = (int(0.5 * (size - side + 1)) for size in image.shape[:2])
    return image[top : top + side, left : left + side]


def _spread(labels: np.ndarray, most: int) -> np.ndarray:
    """Return at most so many of every class, spread evenly over its rows, rising; 0: all."""
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        few = np.linspace(0, len(rows) - 1, min(most or len(rows), len(rows))).round().astype(int)
        chosen.append(rows[few])
    return np.concatenate(chosen)  # class by class


def _players(facts: dict, label: int, numbers: dict[str, int]) -> tuple[tuple[int, ...], frozenset[int]]:
    """Classes of all players, and of those that sound; a photo shows its class, and that sounds."""
    if "cast" not in facts:
        return (label,), frozenset([label])
    cast = [(numbers[member["class"]], member["sounding"]) for member in facts["cast"]]
    return tuple(c for c, _ in cast), frozenset(c for c, sounding in cast if sounding)


def _film(facts: dict, size: int) -> Callable[[float], tuple[np.ndarray, np.ndarray]]:
    """Film the clip of the built-in world that these factors describe; the scene is made at first use."""
    scene = None

    @lru_cache(maxsize=64)
    def frame(time: float) -> tuple[np.ndarray, np.ndarray]:
        nonlocal scene
        if scene is None:
            about = {key: facts[key] for key in ("partner", "seconds", "imprint")}
            scene = Scene(facts["name"], facts["seed"], facts["kind"], **about)
        time = min(max(time, 0.0), scene.seconds)
        return scene.frame(time, size), scene.objects(time, size)

    return frame


def items_of(store: Store, split: str, most: int) -> tuple[list[Picture], list[Sound]]:
    """List one picture of every clip with its sound, or photos and recordings of every class.

    Parameters
    ----------
    store : Store
    split : str
    most : int
        At most so many of a class, spread evenly over the split; 0: all.
    """
    images, sounds = store.images(split), store.sounds(split)
    by_class = bool((images.clip < 0).any())
    rows = np.arange(len(images)) if by_class else first_images(images)
    rows = rows[_spread(images.label[rows], most)]
    heard = _spread(sounds.label, most) if by_class else images.clip[rows].astype(int)
    named = [each["name"] for each in store.classes]
    numbers = {name: k for k, name in enumerate(named)}
    is_world = store.manifest.get("plan", {}).get("world") == WORLD_VERSION
    told = [_sound(store, split, int(row), k, numbers) for k, row in enumerate(heard)]
    pictures, counts = [], dict.fromkeys(range(len(named)), 0)
    for k, row in enumerate(rows.tolist()):
        label, facts, kind = int(images.label[row]), images.factors(row), str(images.kind[row])
        counts[label] += 1
        caption = f"{named[label]} {counts[label]}" + ("" if kind in PLAIN else f", {kind}")
        own = np.flatnonzero(sounds.label[heard] == label) if by_class else np.array([k])
        pictures.append(
            Picture(
                f"picture {k}", caption, named[label], images.image(row), images.objects(row),
                _players(facts, label, numbers)[0], k,
                int(own[(counts[label] - 1) % len(own)]) if len(own) else None,
                float(images.time[row]) if not by_class and images.time[row] >= 0 else None,
                _film(facts, store.manifest["image_size"]) if is_world and "cast" in facts else None,
            )
        )  # fmt: skip
    return pictures, told


def _sound(store: Store, split: str, row: int, k: int, numbers: dict[str, int]) -> Sound:
    table = store.sounds(split)
    labels = _players(table.factors(row), int(table.label[row]), numbers)[1]
    caption = labels_of(list(numbers), labels) or "nobody"
    return Sound(f"sound {k}", caption, table.audio(row), store.sample_rate, labels, k)


def mixture(first: Sound, second: Sound) -> Sound:
    """Mix two sounds, equally loud, as long as the shorter one; the first one's moment stays."""
    length = min(len(first.waveform), len(second.waveform))
    parts = [sound.waveform[:length].astype(np.float32) / 32768 for sound in (first, second)]
    loud = [max(float(np.sqrt(np.mean(part**2))), 1e-9) for part in parts]
    mixed = parts[0] + parts[1] * (loud[0] / loud[1])
    known = None not in (first.labels, second.labels)
    return Sound(
        f"{first.key} + {second.key}", f"{first.caption} with {second.caption}",
        to_int16(mixed / max(1.0, float(np.abs(mixed).max()))), first.rate,
        first.labels | second.labels if known else None, None, first.moment,
    )  # fmt: skip


def silence(rate: int, length: int) -> Sound:
    """Return zeros."""
    return Sound("silence", "silence", np.zeros(length, np.int16), rate, frozenset())


# ------------------------------------------------------------- what a reader brings

PHOTOS, SOUNDS = "choose a JPEG or PNG picture", "choose a wav, flac, ogg or mp3 file"


def _clean(name: str, data: bytes, fix: str) -> str:
    """Return the bare name of a file, and refuse one that is empty or too big."""
    name = PurePath(name.replace("\\", "/")).name[:80] or "the file"
    if not data:
        raise MediaError(name, f"the file is empty (0 bytes); {fix}")
    if len(data) > MEGABYTES * 10**6:
        raise MediaError(
            name, f"the file has {len(data) / 1e6:.0f} MB, more than {MEGABYTES}; choose a smaller one"
        )
    return name


def _said(error: MediaError, fix: str) -> MediaError:
    """Say how to mend it too, and leave out the names of Python's objects."""
    reason = re.sub(r"\.?\s*Error opening <.*?>", "", error.reason).strip(" .").replace("::", ":")
    return MediaError(error.path, f"{reason}; {fix}")


def _opaque(data: bytes) -> bytes:
    """Bring a picture of 16 bits to 8, and lay one that shines through on white; others stay as they are."""
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.mode.startswith("I;16"):  # Pillow's own conversion cuts off all above 255
                image = Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8))
            elif opened.has_transparency_data and opened.width * opened.height < Image.MAX_IMAGE_PIXELS:
                image = opened.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
            else:
                return data
            png = io.BytesIO()
            image.save(png, "PNG", compress_level=1, exif=opened.getexif())
            return png.getvalue()
    except Exception:  # the reader says what is wrong with it
        return data


def _told_seconds(data: bytes) -> float:
    """Seconds that the header of a sound promises, 0 if unknown: 20 MB of mp3 may be an hour of sound."""
    try:
        info = soundfile.info(io.BytesIO(data))
    except Exception:  # the reader says what is wrong with it
        return 0.0
    return info.frames / info.samplerate if info.frames < 2**62 else 0.0


def photo(name: str, data: bytes, size: int) -> Picture:
    """Read a reader's photo, its shorter side brought to `size` pixels.

    Raises
    ------
    MediaError
        A sentence that names the file, what is wrong with it and what to do.
    """
    name = _clean(name, data, PHOTOS)
    try:
        image, _ = open_image(name, _opaque(data), "RGB")
    except MediaError as error:
        raise _said(error, PHOTOS) from error
    if max(image.shape[:2]) > 20 * min(image.shape[:2]):
        raise MediaError(name, "the picture is a strip, over 20 times as long as wide; cut a part out of it")
    return Picture(f"photo {name} {hash(data)}", name, "", resize_short_side(image, size))


def recording(name: str, data: bytes, rate: int, shortest: float = SHORTEST) -> Sound:
    """Read a reader's sound: one channel, at the given rate, 1 to 60 seconds.

    Raises
    ------
    MediaError
        A sentence that names the file, what is wrong with it and what to do.
    """
    name = _clean(name, data, SOUNDS)
    told = _told_seconds(data)
    if told > LONGEST:
        raise MediaError(name, f"lasts {told:.2f} s; choose a sound of {shortest:g} to {LONGEST:g} s")
    try:
        wave, info = open_sound(name, data)
    except MediaError as error:
        raise _said(error, SOUNDS) from error
    seconds = len(wave) / info.sample_rate
    if not shortest <= seconds <= LONGEST:
        raise MediaError(name, f"lasts {seconds:.2f} s; choose a sound of {shortest:g} to {LONGEST:g} s")
    wave = resample(np.ascontiguousarray(wave.mean(1)), info.sample_rate, rate)
    wave = wave / max(1.0, float(np.abs(wave).max()))  # float files may exceed 1
    return Sound(f"sound of {name} {hash(data)}", name, to_int16(wave), rate)


def labels_of(names: Sequence[str], labels: frozenset[int]) -> str:
    """Return the names of classes in a sentence."""
    return " and ".join(names[c] for c in sorted(labels))
