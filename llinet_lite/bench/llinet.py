"""Speed and memory of LLINet's training step, in the paper's size and smaller.

Notebook: 04, 05
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from llinet_lite.bench.core import Row, rates
from llinet_lite.bench.data import librosa_mel
from llinet_lite.features import to_image, to_waveform
from llinet_lite.models import LLINet, Trunk
from llinet_lite.profiles import PROFILES, Profile

TAPS = ("early", "late")  # of the frozen trunk: all that LLINet needs of a picture
WAYS = ("kept", "recomputed", "plain")
CLASSES = 24
CLOSE = 0.05  # relative distance of what two ways read; bfloat16 through 30 blocks is about 0.01 off


def llinet_sizes(device: torch.device, quick: bool) -> list[tuple[Profile, int]]:
    """Profiles whose LLINet step is timed, and the pairs of their batch.

    At paper size 24 on the CPU: with smaller batches oneDNN (3.10, in torch 2.11) divides the bfloat16
    gradients of 3x3 weights badly between two threads, which then take up to six times the work of one.
    """
    batches = {"laptop": PROFILES["laptop"].batch_size, **({} if quick else {"gpu": 24})}
    return [(PROFILES[name], 128 if device.type == "cuda" else batch) for name, batch in batches.items()]


def llinet_rows(profile: Profile, device: torch.device, batch: int, *, repeats: int = 3) -> list[Row]:
    """Samples per second of LLINet's training step with both losses; the notes have the peak memory.

    Network, losses and optimizer are the same in all ways. Plain: float32, contiguous memory, the frozen
    trunk run on the pictures in every step, librosa's log-mel of one sound after the other. Ours: the
    precision and the memory order that :func:`llinet_lite.training.fit` chooses here, log-mel in batches on
    the device, the trunk's activations read from float16 arrays on disk; in the second row they are not kept.

    Memory is that of a process of its own over two steps: on the CPU of the whole process, libraries and
    arrays mapped from the disk included, on a GPU what torch allocates there; NaN on Windows, which does not
    tell.

    Parameters
    ----------
    profile : Profile
        Gives the sizes; the trunk is its stand-in or else ResNet-101, with random weights.
    device : torch.device
    batch : int, pairs
    repeats : int, rounds of one step each

    Raises
    ------
    RuntimeError
        If the ways do not read the same activations and log-mel.
    """
    from llinet_lite.training import choose_precision

    with tempfile.TemporaryDirectory(prefix="llinet-bench-") as place:
        folder = Path(place)
        _write(profile, device, batch, folder)
        *memory, most = (_memory(way, profile, device, folder) for way in WAYS)
        steps = [_Step(way, profile, device, folder) for way in WAYS]
        _refuse_other(steps)
        *speeds, plain = rates(steps, repeats=repeats)
        kind = steps[0].model.network.trunk.kind
    precision = choose_precision(device)
    order = ", channels_last" if precision == "bf16-mixed" else ""
    against = f"float32, contiguous, {kind} and librosa every time (ours: {precision}{order}, {device.type})"
    size = "paper" if profile.name == "gpu" else profile.name
    name = f"LLINet step, {size} size: {profile.llinet_crop} px, batch {batch}, trunk"
    return [
        Row(
            f"{name} {way}",
            "samples/s",
            speed,
            plain,
            against,
            note=f"{peak:.2f} GB at most, plain {most:.2f}",
        )
        for way, speed, peak in zip(WAYS, speeds, memory, strict=False)
    ]


class _Step:
    """One way of doing a training step on the samples in a folder, to be called again and again.

    All ways start with the same weights and take the samples in the same order.
    """

    def __init__(self, way: str, profile: Profile, device: torch.device, folder: Path):
        from llinet_lite.training import choose_precision
        from llinet_lite.zeroshot.ours import Ours
        from llinet_lite.zeroshot.task import Senses

        self.way, self.device, self.rng = way, device, np.random.default_rng(0)
        names = ("audio", "label", *(TAPS if way == "kept" else ("image",)))
        self.arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
        self.bf16 = way != "plain" and choose_precision(device) == "bf16-mixed"
        order = torch.channels_last if self.bf16 else torch.contiguous_format
        trunk = _trunk(profile)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = Ours(LLINet(trunk, width=profile.width, size=profile.embedding))
        self.model = model.to(device, memory_format=order)
        self.senses = Senses(profile.sample_rate, self.model.network.trunk, TAPS).to(device)
        learning = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = self.model.optimizer()(learning)

    def __call__(self) -> int:
        """Read the samples, update the weights."""
        with self.precision():
            seen, logmel, label = self.read()
            loss, _ = self.model.loss(seen, logmel, label)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return len(label)

    def precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def read(self) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Activations by name, log-mel (B, T, 40) and labels (B,), in a new order."""
        order = self.rng.permutation(len(self.arrays["label"]))
        batch = {
            name: torch.from_numpy(values[order]).to(self.device) for name, values in self.arrays.items()
        }
        seen, logmel = (self.plainly if self.way == "plain" else self.senses)(batch)
        return seen, logmel, batch["label"]

    def plainly(self, batch: dict[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
        """Return what `senses` does, without its care for speed."""
        seen = self.model.network.see(to_image(batch["image"]).contiguous())
        sounds = to_waveform(batch["audio"]).cpu().numpy()
        logmel = np.stack([librosa_mel(sound, self.senses.ear).T for sound in sounds])  # (B, T, 40)
        return dict(zip(TAPS, seen, strict=True)), torch.from_numpy(logmel).to(self.device)


def _trunk(profile: Profile) -> Trunk:
    """A frozen trunk of random weights, whose blocks change what passes them a little.

    At full strength every block doubles the variance, and 30 of them overflow float16.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trunk = Trunk("standin" if profile.trunk == "standin" else "resnet101", width=profile.width)
    for block in trunk.network.modules():
        if isinstance(block, BasicBlock | Bottleneck):
            last = block.bn3 if isinstance(block, Bottleneck) else block.bn2
            nn.init.constant_(last.weight, 0.25)
    return trunk.freeze()


def _write(profile: Profile, device: torch.device, batch: int, folder: Path) -> None:
    """Random pictures, sounds and labels, and the activations of the pictures, an array file each."""
    rng = np.random.default_rng(0)
    side, samples = profile.llinet_crop, round(profile.llinet_seconds * profile.sample_rate)
    arrays = {
        "image": rng.integers(0, 256, (batch, side, side, 3), dtype=np.uint8),
        "audio": rng.integers(-9000, 9000, (batch, samples), dtype=np.int16),
        "label": np.arange(batch) % CLASSES,
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    network = LLINet(_trunk(profile), width=1, size=1).to(device)
    seen = network.see(to_image(torch.from_numpy(arrays["image"]).to(device)))
    for tap, values in zip(TAPS, seen, strict=True):
        np.save(folder / f"{tap}.npy", values.cpu().numpy().astype(np.float16))


@torch.no_grad()
def _refuse_other(steps: list[_Step]) -> None:
    """Raise RuntimeError unless every step reads what the last one does."""
    found = []
    for step in steps:
        with step.precision():
            seen, logmel, _ = step.read()
        found.append({**seen, "log-mel": logmel})
    *ours, plain = found
    for step, parts in zip(steps, ours, strict=False):
        for name, right in plain.items():
            off = float((parts[name] - right).norm() / right.norm())
            if not off < CLOSE:
                raise RuntimeError(
                    f"LLINet's step, trunk {step.way}: its {name} is {off:.2g} of its length away from the "
                    "plain step's, so their speeds are not to be compared. Run tests/test_bench_llinet.py."
                )


def _memory(way: str, profile: Profile, device: torch.device, folder: Path) -> float:
    """Peak memory of two steps, GB.

    A process started by the fork server begins to count from nothing; one that is started directly would
    begin with the peak of its parent.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return float("nan")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        return pool.submit(_own_memory, way, profile, device, folder).result()


def _own_memory(way: str, profile: Profile, device: torch.device, folder: Path) -> float:
    import resource

    step = _Step(way, profile, device, folder)
    for _ in range(2):  # the momentum is there from the second on
        step()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak if sys.platform == "darwin" else 1024 * peak) / 1e9  # macOS counts bytes, Linux KiB
