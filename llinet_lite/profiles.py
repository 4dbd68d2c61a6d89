"""The table of profiles: how big the course is on which machine, and what it costs there.

Notebook: 00
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["COSTS", "PROFILES", "Profile", "overridden", "profile_named"]


@dataclass(frozen=True)
class Profile:
    """Sizes of everything in the course under one profile."""

    name: str  # smoke, laptop, gpu or paper
    purpose: str  # whom it is for
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
    epochs_rivals: int
    epochs_vggish: int
    epochs_recognition: int  # of the rivals in zero-shot recognition, which learn from features
    epochs_audit: int  # of the LLINets that lesson 09 compares
    llinet_seconds: float  # of audio in LLINet's training pairs; it is tested on whole clips
    embedding: int  # size of its embeddings; 1024 in the paper
    keep_activations: bool  # whether its frozen trunk is computed once per image, without augmentation
    trunk: str  # it stands on; "auto": the paper's where its weights are at hand, else the stand-in
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    motion_starts_warm: bool = True  # whether AVE+MF, AVE+OF and their control go on from a trained AVE-Net
    llinet_pixels: int = 0  # side of the square that LLINet and its rivals see; 0: as image_crop
    seeds: tuple[int, ...] = (0,)  # of the runs behind a published number

    def __post_init__(self):
        if max(self.image_crop, self.llinet_crop) > self.image_size:
            raise ValueError(f"profile {self.name}: a crop is larger than the image of {self.image_size} px")
        if not self.hop <= self.window <= self.n_fft:
            raise ValueError(f"profile {self.name}: needs hop <= window <= n_fft")
        sizes = ("width", "batch_size", "frames", "sample_rate", "image_crop", "hop", "embedding")
        for name, value in dataclasses.asdict(self).items():
            if name.startswith((*sizes, "epochs")) and value < 1:
                raise ValueError(f"profile {self.name}: {name} is {value}, must be 1 or more")
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


_TINY = {
    "sample_rate": 16_000, "window": 160, "hop": 160, "n_fft": 256, "frames": 100, "batch_size": 32,
    "llinet_seconds": 1.0, "keep_activations": True, "trunk": "standin",
}  # fmt: skip
_FULL = {
    "image_size": 256, "image_crop": 224, "width": 64,
    "sample_rate": 48_000, "window": 480, "hop": 240, "n_fft": 512, "frames": 200,
    "llinet_pixels": 244, "llinet_seconds": 3.02, "embedding": 1024, "keep_activations": False,
    "trunk": "auto", "motion_starts_warm": False,
}  # fmt: skip

_ALL = (
    Profile(
        "smoke", "a check that everything runs: trained from scratch, small", "2 CPU cores", **_TINY,
        image_size=72, image_crop=64, width=8, embedding=128,
        epochs=5, epochs_sampled=3, epochs_control=2, epochs_shortcut=6,
        epochs_ave=4, epochs_avol=4, epochs_motion=1, epochs_vgg=3,
        epochs_trunk=2, epochs_llinet=2, epochs_rivals=1,
        epochs_vggish=2, epochs_recognition=20, epochs_audit=1,
    ),
    Profile(
        "laptop", "a reader without a GPU; the numbers in the committed notebooks", "2 CPU cores", **_TINY,
        image_size=128, image_crop=112, width=16, embedding=256, seeds=(0, 1, 2),
        epochs=20, epochs_sampled=12, epochs_control=4, epochs_shortcut=3,
        epochs_ave=14, epochs_avol=20, epochs_motion=2, epochs_vgg=8,
        epochs_trunk=10, epochs_llinet=8, epochs_rivals=6,
        epochs_vggish=8, epochs_recognition=8, epochs_audit=2,
    ),
    Profile(
        "gpu", "networks and inputs of the papers' size", "one GPU", **_FULL,
        batch_size=128, learning_rate=3e-4, seeds=(0, 1, 2, 3, 4),
        epochs=25, epochs_sampled=25, epochs_control=10, epochs_shortcut=20,
        epochs_ave=25, epochs_avol=30, epochs_motion=15, epochs_vgg=15,
        epochs_trunk=20, epochs_llinet=30, epochs_rivals=30,
        epochs_vggish=20, epochs_recognition=100, epochs_audit=10,
    ),
    Profile(
        "paper", "the real folders, with the published hyper-parameters", "one GPU", **_FULL,
        batch_size=256, learning_rate=1e-4,
        epochs=100, epochs_sampled=100, epochs_control=20, epochs_shortcut=60,
        epochs_ave=100, epochs_avol=100, epochs_motion=100, epochs_vgg=60,
        epochs_trunk=60, epochs_llinet=100, epochs_rivals=100,
        epochs_vggish=60, epochs_recognition=200, epochs_audit=30,
    ),
)  # fmt: skip
PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}


# lesson -> profile -> minutes of wall time and gigabytes of memory, measured on the profile's device
COSTS: dict[str, dict[str, tuple[float, float]]] = {
    "00_welcome": {"smoke": (0.9, 1.0), "laptop": (1.6, 1.0)},
    "01_audio_visual_correspondence": {"smoke": (2.9, 2.0), "laptop": (1.0, 2.0)},
    "02_ave_net": {"smoke": (4.0, 2.5), "laptop": (2.6, 3.0)},
    "03_avol_net": {"smoke": (1.5, 2.0), "laptop": (1.4, 2.5)},
    "04_llinet_encoders": {"smoke": (0.4, 1.5), "laptop": (0.5, 2.0)},
    "05_llinet_losses": {"smoke": (0.7, 2.0), "laptop": (1.9, 2.5)},
    "06_cross_modal_retrieval": {"smoke": (1.2, 2.0), "laptop": (1.2, 3.0)},
    "07_sound_localization": {"smoke": (1.0, 2.5), "laptop": (2.1, 4.0)},
    "08_zero_shot_recognition": {"smoke": (1.5, 2.5), "laptop": (2.9, 3.0)},
    "09_paper_versus_code": {"smoke": (2.0, 2.5), "laptop": (0.9, 3.5)},
    "10_your_own_data": {"smoke": (0.7, 1.5), "laptop": (0.5, 2.0)},
}


def profile_named(name: str) -> Profile:
    """Return the profile of that name; ValueError lists those that there are."""
    if name not in PROFILES:
        raise ValueError(f"there is no profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


def overridden(profile: Profile, overrides: Mapping[str, float]) -> Profile:
    """Return the profile with some of its numbers set otherwise; a zero leaves the profile's value.

    Raises
    ------
    ValueError
        For a name that is no number of a profile, or a value of another type or out of range.
    """
    kinds = {"int": int, "float": (int, float)}
    free = {f.name: kinds[f.type] for f in dataclasses.fields(Profile) if f.type in kinds}
    for name, value in overrides.items():
        if name not in free or isinstance(value, bool) or not isinstance(value, free[name]):
            raise ValueError(f"{name}={value!r} overrides no number of a profile: {', '.join(sorted(free))}")
    return dataclasses.replace(profile, **{name: value for name, value in overrides.items() if value})
