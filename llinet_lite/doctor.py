"""`llinet doctor`: has this machine all that the course needs? One line per requirement, a fix per failure.

Notebook: 00
"""

from __future__ import annotations

import importlib
import io
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

TORCH_SET = {"torch": "2.11.0", "torchvision": "0.26.0", "torchaudio": "2.11.0"}
TORCH_FIX = "pip install " + " ".join(f"{name}=={version}" for name, version in TORCH_SET.items())
NEEDED_MEMORY = 6.0  # GB for the laptop profile
NEEDED_DISK = 3.0  # GB for stores and runs; the packages (6.5 GB) are there already


@dataclass(frozen=True)
class Needs:
    """What the networks of paper size take, in GB; computed, not yet measured on a GPU."""

    gpu: float
    memory: float
    disk: float


NEEDS = {"gpu": Needs(gpu=100.0, memory=48.0, disk=60.0), "paper": Needs(gpu=130.0, memory=96.0, disk=300.0)}


class Trouble(Exception):
    """A requirement is not met; `fix` says what to do."""

    def __init__(self, what: str, fix: str):
        super().__init__(what)
        self.fix = fix


@dataclass(frozen=True)
class Finding:
    """One line of the doctor: what was looked at, how it is, and the fix if it is not well."""

    name: str
    ok: bool
    detail: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{'OK  ' if self.ok else 'FAIL'}  {self.name:<15} {self.detail}"
        return line if self.ok else f"{line}\n      fix: {self.fix}"


def _near(path: Path) -> str:
    """Return a path as seen from the project, without naming this machine's folders."""
    from llinet_lite.course.sources import PACKAGE

    root = PACKAGE.parent
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> str:
    """Python 3.11 to 3.13, 64 bit."""
    if not (3, 11) <= version <= (3, 13):
        raise Trouble(
            f"this is Python {version[0]}.{version[1]}, the course runs on 3.11, 3.12 and 3.13",
            "make setup PYTHON=python3.12 (or another of the three)",
        )
    if sys.maxsize < 2**32:
        raise Trouble("this Python is a 32-bit program; torch needs 64 bit", "install a 64-bit Python")
    return f"{platform.python_version()} in {_near(Path(sys.prefix))}"


def check_torch() -> str:
    """The three torch packages are the one set that loads together."""
    for name, version in TORCH_SET.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            raise Trouble(f"{name} is not installed", TORCH_FIX) from None
        if found.partition("+")[0] != version:
            raise Trouble(f"{name} is {found}, the set that works together has {version}", TORCH_FIX)
    for name in TORCH_SET:
        try:
            importlib.import_module(name)
        except (
            Exception
        ) as error:  # a mismatched build fails in many ways: OSError, RuntimeError, ImportError
            raise Trouble(f"{name} does not load: {error}", f"{TORCH_FIX} --force-reinstall") from error
    return ", ".join(f"{name} {version}" for name, version in TORCH_SET.items())


def check_audio() -> str:
    """wav, flac, ogg and mp3 come back from a round trip as they went in."""
    import numpy as np
    import soundfile

    fix = "pip install --force-reinstall 'soundfile>=0.13' (its wheel carries libsndfile with mp3)"
    rate = 16_000
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    for kind in ("WAV", "FLAC", "OGG", "MP3"):
        try:
            file = io.BytesIO()
            soundfile.write(file, tone, rate, format=kind)
            file.seek(0)
            back, back_rate = soundfile.read(file)
        except (soundfile.LibsndfileError, ValueError, RuntimeError) as error:
            raise Trouble(f"{kind} cannot be written and read: {error}", fix) from error
        peak = np.argmax(np.abs(np.fft.rfft(back))) * back_rate / len(back)
        if back_rate != rate or abs(peak - 440) > 5:
            raise Trouble(f"{kind}: a tone of 440 Hz came back as {peak:.0f} Hz at {back_rate} Hz", fix)
    return f"wav, flac, ogg, mp3 (libsndfile {soundfile.__libsndfile_version__})"


def check_video() -> str:
    """A clip of a few frames, made here, decodes to what went in."""
    import av
    import numpy as np

    fix = "pip install --force-reinstall 'av>=14.0' (its wheel carries FFmpeg)"
    levels = (40, 120, 200)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "clip.mp4")
            with av.open(path, "w") as out:
                stream = out.add_stream("mpeg4", rate=25)
                stream.width = stream.height = 64
                stream.pix_fmt = "yuv420p"
                for level in levels:
                    picture = np.full((64, 64, 3), level, dtype=np.uint8)
                    out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                out.mux(stream.encode())
            with av.open(path) as clip:
                seen = [f.to_ndarray(format="rgb24").mean() for f in clip.decode(video=0)]
    except (OSError, ValueError) as error:
        raise Trouble(f"a clip cannot be made and decoded: {error}", fix) from error
    if len(seen) != len(levels) or np.abs(np.subtract(seen, levels)).max() > 8:
        raise Trouble(f"frames of brightness {levels} came back as {[round(s) for s in seen]}", fix)
    return f"{len(levels)} frames of mp4 (PyAV {av.__version__})"


def check_device() -> str:
    """What training will run on, and whether bfloat16 speeds it up there."""
    import torch

    from llinet_lite.training import fast_bf16

    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        short = "with" if torch.cuda.is_bf16_supported() else "without"
        memory = properties.total_memory / 2**30
        return f"{properties.name}, {memory:.0f} GiB, {short} bfloat16, {torch.cuda.device_count()} in all"
    if shutil.which("nvidia-smi"):
        raise Trouble(
            "the machine has an NVIDIA driver, but torch cannot use the GPU",
            "update the driver to one for CUDA 13; until then the course runs on the CPU",
        )
    speed = "fast bfloat16" if fast_bf16("cpu") else "no fast bfloat16: trains in float32"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}, {speed}"


def check_gpu(needed: float) -> str:
    """A CUDA device that torch can use, with so many GB of memory free."""
    import torch

    if not torch.cuda.is_available():
        raise Trouble(
            "torch finds no CUDA device here, and this profile is made for one",
            "run it on a machine with an NVIDIA GPU and a driver for CUDA 13, or take --profile laptop",
        )
    free, total = (count / 1e9 for count in torch.cuda.mem_get_info())
    if free < needed:
        raise Trouble(
            f"{free:.0f} of {total:.0f} GB are free on {torch.cuda.get_device_name()}; this profile takes "
            f"{needed:.0f} GB",
            "end what else uses the GPU, or take a larger one; `llinet course` tries it all the same",
        )
    return f"{torch.cuda.get_device_name()}, {free:.0f} GB free"


def check_memory(needed: float | None = None, profile: str = "laptop") -> str:
    """Memory for a profile."""
    import psutil

    needed = NEEDED_MEMORY if needed is None else needed

    memory = psutil.virtual_memory()
    total, free = memory.total / 1e9, memory.available / 1e9
    if total < needed:
        raise Trouble(
            f"{total:.1f} GB in all; the {profile} profile takes {needed:.0f} GB",
            "stay with --profile smoke, or use a bigger machine",
        )
    return f"{total:.1f} GB, {free:.1f} GB of it free"


def check_disk(folder: Path | None = None, needed: float | None = None) -> str:
    """Room for stores and runs, and leave to write there."""
    from llinet_lite.course import runs_folder

    folder, needed = folder or runs_folder(), NEEDED_DISK if needed is None else needed
    place = folder
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        raise Trouble(f"{place} cannot be written to", "set LLINET_RUNS to a folder of yours")
    free = shutil.disk_usage(place).free / 1e9
    if free < needed:
        raise Trouble(
            f"{free:.1f} GB free at {place}; stores and runs take {needed:.0f} GB",
            "free some room, or set LLINET_RUNS to a folder on another disk",
        )
    return f"{free:.0f} GB free for {_near(folder)}"


def check_fonts() -> str:
    """matplotlib draws letters, a minus sign and the course's few symbols."""
    from matplotlib import font_manager

    path = Path(font_manager.findfont("DejaVu Sans", fallback_to_default=True))
    fix = "pip install --force-reinstall matplotlib (it carries the font)"
    if not path.is_file():
        raise Trouble("matplotlib finds no font", fix)
    missing = [
        c
        for c in "A\u2212\u00b5\u2265\u2192\u00d7"
        if ord(c) not in font_manager.get_font(str(path)).get_charmap()
    ]
    if missing:
        raise Trouble(f"{path.name} lacks {' '.join(missing)}", fix)
    return path.stem


def check_kernel() -> str:
    """Jupyter's kernel `python3` starts this very Python and computes."""
    from jupyter_client.manager import start_new_kernel

    fix = f"{sys.executable} -m ipykernel install --sys-prefix --name python3"
    os.environ.setdefault("JUPYTER_PREFER_ENV_PATH", "1")
    began = time.monotonic()
    try:
        manager, client = start_new_kernel(
            kernel_name="python3", startup_timeout=120, extra_arguments=["--log-level=ERROR"]
        )
    except Exception as error:  # no kernel spec, no ipykernel, a dead process: one fix for all
        raise Trouble(f"the kernel python3 does not start: {error}", fix) from error
    try:
        answer: list[str] = []
        hook = lambda message: answer.append(message["content"].get("text", ""))  # noqa: E731
        client.execute_interactive("import sys; print(sys.prefix)", output_hook=hook, timeout=60)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    prefix = "".join(answer).strip()
    if Path(prefix).resolve() != Path(sys.prefix).resolve():
        raise Trouble(f"the kernel python3 runs the Python of {prefix}, not of {sys.prefix}", fix)
    return f"python3, started in {time.monotonic() - began:.1f} s"


CHECKS: dict[str, Callable[[], str]] = {
    "Python": check_python,
    "torch set": check_torch,
    "audio decoding": check_audio,
    "video decoding": check_video,
    "device": check_device,
    "memory": check_memory,
    "disk": check_disk,
    "fonts": check_fonts,
    "Jupyter kernel": check_kernel,
}


def checks_for(profile: str, runs: Path | None = None) -> dict[str, Callable[[], str]]:
    """Return the requirements of a profile; those of paper size need a GPU, and more of all.

    Parameters
    ----------
    profile : str
    runs : Path, optional
        Folder of all runs, whose disk is looked at.
    """
    if profile not in NEEDS:
        return CHECKS | {"disk": lambda: check_disk(runs)}
    needs = NEEDS[profile]
    larger = {
        "GPU": lambda: check_gpu(needs.gpu),
        "memory": lambda: check_memory(needs.memory, profile),
        "disk": lambda: check_disk(runs, needs.disk),
    }
    return CHECKS | larger


def examine(name: str, check: Callable[[], str]) -> Finding:
    """Run one check; a missing package is a failure with its fix, not a traceback."""
    try:
        return Finding(name, True, check())
    except Trouble as trouble:
        return Finding(name, False, str(trouble), trouble.fix)
    except ImportError as error:
        return Finding(name, False, f"cannot be looked at: {error}", "make setup")


def run(checks: dict[str, Callable[[], str]] = CHECKS) -> int:
    """Print a line per requirement; return 0 if all are met, else 1."""
    findings = []
    for name, check in checks.items():
        findings.append(examine(name, check))
        print(findings[-1], flush=True)
    failed = sum(not finding.ok for finding in findings)
    print(f"\n{failed} of {len(findings)} failed" if failed else "\nall is well")
    return 1 if failed else 0
