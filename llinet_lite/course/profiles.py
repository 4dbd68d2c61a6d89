"""The one table of profiles: how big the course is on which machine, and what it costs there.

Notebook: 00
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from .errors import CourseError


@dataclass(frozen=True)
class Profile:
    """Sizes of everything in the course under one profile.

    Attributes
    ----------
    name : str
        "smoke", "laptop", "gpu" or "paper".
    purpose, device : str
        Whom it is for, and the machine that its budget is stated for.
    image_size, image_crop : int
        Short side of a stored image, and side of the square that a network sees, pixels.
    sample_rate : int
        Samples per second of the stored audio, Hz.
    window, hop, n_fft : int
        Log-spectrogram: samples of its window, of one step, and of the Fourier transform.
    frames : int
        Columns of the log-spectrogram of one second.
    width : int
        Channels of a tower's first block (64 in the papers).
    batch_size : int
        Pairs per step.
    epochs, epochs_sampled : int
        Epochs with every pair of a batch as a decision (`pairs="all"`), and with the
        published sampling (`pairs="sampled"`).
    epochs_control, epochs_shortcut : int
        Epochs of the controls (shuffled pairs, one modality), and of the two networks of
        the shortcut experiment.
    learning_rate, weight_decay : float
        Of Adam.
    seeds : tuple of int
        Seeds of the runs behind a published number.
    """

    name: str
    purpose: str
    device: str
    image_size: int
    image_crop: int
    sample_rate: int
    window: int
    hop: int
    n_fft: int
    frames: int
    width: int
    batch_size: int
    epochs: int
    epochs_sampled: int
    epochs_control: int
    epochs_shortcut: int
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self):
        if self.image_crop > self.image_size:
            raise ValueError(
                f"profile {self.name}: a crop of {self.image_crop} px out of {self.image_size} px"
            )
        if not self.hop <= self.window <= self.n_fft:
            raise ValueError(f"profile {self.name}: needs hop <= window <= n_fft")
        epochs = ("epochs", "epochs_sampled", "epochs_control", "epochs_shortcut")
        for field in ("width", "batch_size", *epochs, "frames", "sample_rate", "image_crop", "hop"):
            if getattr(self, field) < 1:
                raise ValueError(f"profile {self.name}: {field} is {getattr(self, field)}, must be 1 or more")
        if not self.seeds or not all(isinstance(seed, int) for seed in self.seeds):
            raise ValueError(f"profile {self.name}: seeds is {self.seeds!r}, must be integers, one or more")

    @property
    def bins(self) -> int:
        """Rows of the log-spectrogram: n_fft / 2 + 1."""
        return self.n_fft // 2 + 1


_TINY_AUDIO = {"sample_rate": 16_000, "window": 160, "hop": 160, "n_fft": 256, "frames": 100}
_FULL_AUDIO = {"sample_rate": 48_000, "window": 480, "hop": 240, "n_fft": 512, "frames": 200}
_FULL_IMAGE = {"image_size": 256, "image_crop": 224, "width": 64}

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="smoke",
            purpose="a check that everything runs: trained from scratch, small",
            device="2 CPU cores",
            image_size=72,
            image_crop=64,
            **_TINY_AUDIO,
            width=16,
            batch_size=32,
            epochs=16,
            epochs_sampled=6,
            epochs_control=4,
            epochs_shortcut=4,
        ),
        Profile(
            name="laptop",
            purpose="a reader without a GPU; the numbers in the committed notebooks",
            device="2 CPU cores",
            image_size=128,
            image_crop=112,
            **_TINY_AUDIO,
            width=16,
            batch_size=32,
            epochs=20,
            epochs_sampled=12,
            epochs_control=4,
            epochs_shortcut=3,
            seeds=(0, 1, 2),
        ),
        Profile(
            name="gpu",
            purpose="networks and inputs of the papers' size",
            device="one GPU",
            **_FULL_IMAGE,
            **_FULL_AUDIO,
            batch_size=128,
            epochs=25,
            epochs_sampled=25,
            epochs_control=10,
            epochs_shortcut=20,
            learning_rate=3e-4,
            seeds=(0, 1, 2),
        ),
        Profile(
            name="paper",
            purpose="the real folders, with the published hyper-parameters",
            device="one GPU",
            **_FULL_IMAGE,
            **_FULL_AUDIO,
            batch_size=256,
            epochs=100,
            epochs_sampled=100,
            epochs_control=20,
            epochs_shortcut=60,
            learning_rate=1e-4,
        ),
    )
}


# Fields of a profile that a lesson may override, by their annotation.
_TYPES = {"int": int, "float": (int, float)}


@dataclass(frozen=True)
class Cost:
    """What one lesson takes: minutes of wall time, and gigabytes of main memory at its peak."""

    minutes: float
    gigabytes: float


# lesson -> profile -> cost, measured on the profile's device; a lesson or profile not yet measured is absent.
COSTS: dict[str, dict[str, Cost]] = {
    "00_welcome": {"smoke": Cost(0.5, 1.0), "laptop": Cost(1.8, 1.0)},
    "01_audio_visual_correspondence": {"smoke": Cost(2.5, 2.0), "laptop": Cost(1.0, 2.0)},
}


def profile_named(name: str) -> Profile:
    """Return the profile of that name.

    Raises
    ------
    ValueError
        If there is none; the message lists those that are.
    """
    if name not in PROFILES:
        raise ValueError(f"there is no profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def overridden(overrides: Mapping[str, object]) -> dict[str, object]:
    """Return the overrides of a profile that say something: all but zero, "", (), and None.

    Raises
    ------
    CourseError
        For a name that is no number or sequence of a profile, or a value of another type.
    """
    free = {f.name: f.type for f in fields(Profile) if f.type in _TYPES}
    said = {name: value for name, value in overrides.items() if value not in (0, "", (), [], None)}
    for name in overrides:
        if name not in free:
            raise CourseError(f"a profile has no {name!r} to override: it has {', '.join(sorted(free))}")
    for name, value in said.items():
        if isinstance(value, bool) or not isinstance(value, _TYPES[free[name]]):
            raise CourseError(f"{name} is overridden by {value!r}, must be of type {free[name]}")
    return said
