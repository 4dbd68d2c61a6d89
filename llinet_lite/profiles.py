"""Profiles: how big the course is on which machine, and what it costs there, as profiles.toml says.

Notebook: 00
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["COSTS", "NEEDS", "PROFILES", "Profile", "overridden", "profile_named"]


@dataclass(frozen=True)
class Profile:
    """Sizes of everything in the course under one profile."""

    name: str  # smoke, laptop, gpu or paper
    device: str  # the machine that its budget is stated for
    image_size: int  # short side of a stored image, pixels
    image_crop: int  # side of the square that a network sees, pixels
    sample_rate: int  # of the stored audio, Hz
    window: int  # of the log-spectrogram, samples; then its step and the length of its Fourier transform
    hop: int
    n_fft: int
    frames: int  # columns of the log-spectrogram of one second
    width: int  # channels of a tower's first block; 64 in the papers
    batch_size: int  # pairs per step
    epochs: int  # of L3-Net with every pair of a batch as a decision
    epochs_sampled: int  # of L3-Net with the published sampling
    epochs_control: int  # of the controls: shuffled pairs, one modality
    epochs_shortcut: int  # of the two networks of the shortcut experiment
    epochs_ave: int
    epochs_avol: int
    epochs_motion: int  # of AVE+MF, AVE+OF and their one-frame control
    epochs_vgg: int  # of the stand-ins: for VGG16, here; for the trunk and VGGish, below
    epochs_trunk: int
    epochs_llinet: int
    epochs_named: int  # of LLINet on the named classes alone
    epochs_rivals: int
    epochs_vggish: int
    epochs_recognition: int  # of the rivals in zero-shot recognition, which learn from features
    epochs_audit: int  # of the LLINets that lesson 09 compares
    llinet_seconds: float  # of audio in LLINet's training pairs; it is tested on whole clips
    embedding: int  # size of its embeddings; 1024 in the paper
    keep_activations: bool  # whether its frozen trunk is computed once per image, without augmentation
    trunk: str  # it stands on; "auto": the paper's where its weights are at hand, else the stand-in
    classes: int  # that LLINet and its rivals train on, 24 named and else invented ones; 0: the named alone
    learning_rate: float
    weight_decay: float
    motion_starts_warm: bool  # whether AVE+MF, AVE+OF and their control go on from a trained AVE-Net
    llinet_pixels: int  # side of the square that LLINet and its rivals see; 0: as image_crop
    seeds: tuple[int, ...]  # of the runs behind a published number

    def __post_init__(self):
        if max(self.image_crop, self.llinet_crop) > self.image_size:
            raise ValueError(f"profile {self.name}: a crop is larger than the image of {self.image_size} px")
        if not self.hop <= self.window <= self.n_fft:
            raise ValueError(f"profile {self.name}: needs hop <= window <= n_fft")
        sizes = ("width", "batch_size", "frames", "sample_rate", "image_crop", "hop", "embedding")
        for name, value in dataclasses.asdict(self).items():
            if name.startswith((*sizes, "epochs")) and value < 1:
                raise ValueError(f"profile {self.name}: {name} is {value}, must be 1 or more")
        object.__setattr__(self, "seeds", tuple(self.seeds))
        if not self.seeds or not all(isinstance(seed, int) for seed in self.seeds):
            raise ValueError(f"profile {self.name}: seeds is {self.seeds!r}, must be integers, one or more")

    @property
    def llinet_crop(self) -> int:
        """Side of the square that LLINet and its rivals see, pixels."""
        return self.llinet_pixels or self.image_crop

    @property
    def bins(self) -> int:
        """Rows of the log-spectrogram: n_fft / 2 + 1."""
        return self.n_fft // 2 + 1


_TABLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_ALL = [
    Profile(**dict(zip(_TABLES["sizes"], sizes, strict=True)))
    for sizes in zip(*_TABLES["sizes"].values(), strict=True)
]
PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}
COSTS: dict[str, dict[str, tuple[float, float]]] = _TABLES["costs"]  # profile -> lesson -> minutes, gigabytes
NEEDS: dict[str, tuple[int, int, int]] = _TABLES["needs"]  # profile -> GB of memory, disk and GPU


def profile_named(name: str) -> Profile:
    """Return the profile of that name; ValueError lists those that there are."""
    if name not in PROFILES:
        raise ValueError(f"there is no profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def overridden(profile: Profile, overrides: Mapping[str, float]) -> Profile:
    """Return the profile with some of its numbers set otherwise; a zero leaves the profile's value."""
    kinds = {"int": int, "float": (int, float)}
    free = {f.name: kinds[f.type] for f in dataclasses.fields(Profile) if f.type in kinds}
    for name, value in overrides.items():
        if name not in free or isinstance(value, bool) or not isinstance(value, free[name]):
            raise ValueError(f"{name}={value!r} overrides no number of a profile: {', '.join(sorted(free))}")
    return dataclasses.replace(profile, **{name: value for name, value in overrides.items() if value})
