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
    epochs_ave, epochs_avol, epochs_motion, epochs_vgg : int
        Epochs of AVE-Net; of AVOL-Net; of AVE+MF, AVE+OF and their one-frame control; of the
        VGG16 that is trained where there are no ImageNet weights.
    epochs_trunk, epochs_llinet, epochs_rivals : int
        Epochs of the stand-in for a trunk trained on ImageNet; of LLINet; of each of its rivals.
    epochs_vggish, epochs_recognition, epochs_audit : int
        Epochs of the stand-in for VGGish; of the rivals in zero-shot recognition, which learn from features;
        of the LLINets that lesson 09 compares.
    llinet_pixels : int
        Side of the square that LLINet and its rivals see, pixels; 0: as `image_crop`.
    llinet_seconds : float
        Window of sound in their training pairs; they are tested on whole sounds.
    embedding : int
        Size of their embeddings; 1024 in the paper.
    keep_activations : bool
        Whether their frozen trunk is computed once for every picture, which forgoes augmentation.
    trunk : str
        The image network they stand on; "auto" is the one of the paper where its weights are at hand, else
        the stand-in.
    learning_rate, weight_decay : float
        Of Adam.
    compiled : bool
        Whether torch.compile translates the training steps of the networks: a minute for each network, once,
        for faster steps on a GPU. `llinet bench` on that GPU tells how much faster.
    motion_starts_warm : bool
        Whether AVE+MF, AVE+OF and their control go on from a trained AVE-Net.
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
    epochs_ave: int
    epochs_avol: int
    epochs_motion: int
    epochs_vgg: int
    epochs_trunk: int
    epochs_llinet: int
    epochs_rivals: int
    epochs_vggish: int
    epochs_recognition: int
    epochs_audit: int
    llinet_seconds: float
    embedding: int
    keep_activations: bool
    trunk: str
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    compiled: bool = False
    motion_starts_warm: bool = True
    llinet_pixels: int = 0
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self):
        for crop in (self.image_crop, self.llinet_crop):
            if crop > self.image_size:
                raise ValueError(f"profile {self.name}: a crop of {crop} px out of {self.image_size} px")
        if not self.hop <= self.window <= self.n_fft:
            raise ValueError(f"profile {self.name}: needs hop <= window <= n_fft")
        epochs = [field.name for field in fields(self) if field.name.startswith("epochs")]
        sizes = ("width", "batch_size", "frames", "sample_rate", "image_crop", "hop", "embedding")
        for field in (*sizes, *epochs):
            if getattr(self, field) < 1:
                raise ValueError(f"profile {self.name}: {field} is {getattr(self, field)}, must be 1 or more")
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


_TINY_AUDIO = {"sample_rate": 16_000, "window": 160, "hop": 160, "n_fft": 256, "frames": 100}
_FULL_AUDIO = {"sample_rate": 48_000, "window": 480, "hop": 240, "n_fft": 512, "frames": 200}
_FULL_IMAGE = {"image_size": 256, "image_crop": 224, "width": 64}
_FULL_LLINET = {
    "llinet_pixels": 244,
    "llinet_seconds": 3.02,
    "embedding": 1024,
    "keep_activations": False,
    "trunk": "auto",
}

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
            width=8,
            batch_size=32,
            epochs=5,
            epochs_sampled=3,
            epochs_control=2,
            epochs_shortcut=6,
            epochs_ave=4,
            epochs_avol=4,
            epochs_motion=1,
            epochs_vgg=3,
            epochs_trunk=2,
            epochs_llinet=2,
            epochs_rivals=1,
            epochs_vggish=2,
            epochs_recognition=20,
            epochs_audit=1,
            llinet_seconds=1.0,
            embedding=128,
            keep_activations=True,
            trunk="standin",
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
            epochs_ave=14,
            epochs_avol=20,
            epochs_motion=2,
            epochs_vgg=8,
            epochs_trunk=10,
            epochs_llinet=8,
            epochs_rivals=6,
            epochs_vggish=8,
            epochs_recognition=8,
            epochs_audit=2,
            llinet_seconds=1.0,
            embedding=256,
            keep_activations=True,
            trunk="standin",
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
            epochs_ave=25,
            epochs_avol=30,
            epochs_motion=15,
            epochs_vgg=15,
            epochs_trunk=20,
            epochs_llinet=30,
            epochs_rivals=30,
            epochs_vggish=20,
            epochs_recognition=100,
            epochs_audit=10,
            **_FULL_LLINET,
            motion_starts_warm=False,
            learning_rate=3e-4,
            seeds=(0, 1, 2, 3, 4),
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
            epochs_ave=100,
            epochs_avol=100,
            epochs_motion=100,
            epochs_vgg=60,
            epochs_trunk=60,
            epochs_llinet=100,
            epochs_rivals=100,
            epochs_vggish=60,
            epochs_recognition=200,
            epochs_audit=30,
            **_FULL_LLINET,
            motion_starts_warm=False,
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
    "00_welcome": {"smoke": Cost(0.9, 1.0), "laptop": Cost(1.6, 1.0)},
    "01_audio_visual_correspondence": {"smoke": Cost(2.9, 2.0), "laptop": Cost(1.0, 2.0)},
    "02_ave_net": {"smoke": Cost(4.0, 2.5), "laptop": Cost(2.6, 3.0)},
    "03_avol_net": {"smoke": Cost(1.5, 2.0), "laptop": Cost(1.4, 2.5)},
    "04_llinet_encoders": {"smoke": Cost(0.4, 1.5), "laptop": Cost(0.5, 2.0)},
    "05_llinet_losses": {"smoke": Cost(0.7, 2.0), "laptop": Cost(1.9, 2.5)},
    "06_cross_modal_retrieval": {"smoke": Cost(1.2, 2.0), "laptop": Cost(1.2, 3.0)},
    "07_sound_localization": {"smoke": Cost(1.0, 2.5), "laptop": Cost(2.1, 4.0)},
    "08_zero_shot_recognition": {"smoke": Cost(1.5, 2.5), "laptop": Cost(2.9, 3.0)},
    "09_paper_versus_code": {"smoke": Cost(2.0, 2.5), "laptop": Cost(0.9, 3.5)},
    "10_your_own_data": {"smoke": Cost(0.7, 1.5), "laptop": Cost(0.5, 2.0)},
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
