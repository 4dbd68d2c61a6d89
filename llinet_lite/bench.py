"""Speed, measured in one run: what the package does against the usual way of doing it.

Every row times both ways alternately on the same data in the same process and
reports medians, so a ratio holds whatever else the machine was doing. Nothing
here is asserted anywhere: a ratio is a fact about one machine on one day.

Notebook: 01
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from llinet_lite.course.profiles import PROFILES, Profile
from llinet_lite.data.bandstand import WorldSet, build
from llinet_lite.data.batches import PairBatches
from llinet_lite.data.store import Store
from llinet_lite.features import LogMel, LogSpectrogram, to_image, to_waveform
from llinet_lite.models import L3Net
from llinet_lite.objectives import all_pairs_avc_loss


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name, unit : str
    ours, plain : float
        Rates, more is better; `plain` is NaN where there is nothing to compare with.
    against : str
        What the plain way is.
    """

    name: str
    unit: str
    ours: float
    plain: float = float("nan")
    against: str = ""

    @property
    def ratio(self) -> float:
        """How many times faster than the plain way."""
        return self.ours / self.plain


def rates(ways: list[Callable[[], int]], *, repeats: int = 5, warm: bool = True) -> list[float]:
    """Time several ways of doing one thing, taking turns.

    Parameters
    ----------
    ways : list of callables
        Each does a round of work and returns how many items it handled.
    repeats : int
        Rounds per way; medians are reported.
    warm : bool
        Do one round of each before the clock runs.

    Returns
    -------
    list of float
        Items per second.
    """
    if warm:
        for way in ways:
            way()
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for times, way in zip(taken, ways, strict=True):
            start = time.perf_counter()
            items = way()
            times.append(items / (time.perf_counter() - start))
    return [statistics.median(times) for times in taken]


# ------------------------------------------------------------------ data


def world_rows(folder: Path) -> list[Row]:
    """Clips per second of a build with every core, at laptop size; the store stays for the other rows."""
    plan = WorldSet("laptop", train_share=0.1, held_out=1, mixed=1)
    clips = len(plan.clips("train"))
    start = time.perf_counter()
    build(folder / "laptop", plan, splits=("train",), progress=False)
    seconds = time.perf_counter() - start
    gpu = WorldSet("gpu", 256, 48000, 4.0, 4, train_share=0.02, held_out=1, mixed=1)
    build(folder / "gpu", gpu, splits=("train",), progress=False)
    return [Row(f"world build, 128 px, 16 kHz, {os.cpu_count()} cores", "clips/s", clips / seconds)]


def unpack(store: Store, split: str, folder: Path, count: int = 200) -> list[tuple[Path, Path]]:
    """Write clips of a store as JPEG and WAV files in the layout of INSTRUMENT-32CLASS; return the pairs."""
    import cv2
    import soundfile

    images, sounds, files = store.images(split), store.sounds(split), []
    for row in np.linspace(0, len(images) - 1, count).astype(int).tolist():
        clip, name = int(images.clip[row]), store.classes[int(images.label[row])]["name"]
        paths = folder / name / "video" / f"{row}.jpg", folder / name / "sound" / f"{row}.wav"
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(paths[0]), images.image(row)[..., ::-1])
        soundfile.write(paths[1], sounds.audio(clip), store.sample_rate)
        files.append(paths)
    return files


def import_row(folder: Path, store: Store) -> Row:
    """Files per second of the importer: every file is checked, hashed, decoded and packed."""
    from llinet_lite.data.folders import import_folders

    for split in ("train", "test_without_seg"):
        files = unpack(store, "train", folder / "files" / split, 240)
    start = time.perf_counter()
    import_folders(folder / "files", folder / "imported", sample_rate=store.sample_rate, image_size=128)
    return Row("import of photos and sounds", "files/s", 4 * len(files) / (time.perf_counter() - start))


def batch_row(store: Store, crop: int, files: list[tuple[Path, Path]]) -> Row:
    """Samples per second on one core: from the store, and decoded file by file with librosa's mel."""
    import librosa
    from PIL import Image

    batches = PairBatches(store, "train", batch_size=64, image_crop=crop, pairs="sampled").epoch(0)

    def packed() -> int:
        return sum(len(batches[i]["label"]) for i in range(min(4, len(batches))))

    def by_file() -> int:
        for picture, recording in files[:32]:
            np.asarray(Image.open(picture).convert("RGB"))[:crop, :crop]
            sound, rate = librosa.load(recording, sr=None)
            np.log(librosa.feature.melspectrogram(y=sound[:rate], sr=rate, n_mels=40) + 1e-6)
        return 32

    ours, plain = rates([packed, by_file])
    size, rate = store.manifest["image_size"], store.sample_rate // 1000
    name = f"samples to train on, {size} px, {rate} kHz, 1 core"
    return Row(name, "samples/s", ours, plain, "wav + jpg decoded, librosa mel, per sample")


# ------------------------------------------------------------------ features


def feature_rows() -> list[Row]:
    """Both features on a batch of 64, one core, against librosa clip by clip."""
    import librosa

    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (64, 48000)).astype(np.float32)
    batch = torch.from_numpy(sound)
    spectrogram, mel = LogSpectrogram(), LogMel(48000)

    def librosa_spectrogram() -> int:
        for x in sound:
            np.log(np.abs(librosa.stft(x, n_fft=512, hop_length=240, win_length=480)) + 1e-3)
        return len(sound)

    def librosa_mel() -> int:
        for x in sound:
            np.log(
                librosa.feature.melspectrogram(y=x, sr=48000, n_fft=1200, hop_length=480, n_mels=40) + 1e-6
            )
        return len(sound)

    rows = []
    for name, module, other in (
        ("LogSpectrogram", spectrogram, librosa_spectrogram),
        ("LogMel", mel, librosa_mel),
    ):
        ours, plain = rates([lambda module=module: len(module(batch)), other])
        rows.append(Row(f"{name}, 1 s at 48 kHz, 1 core", "clips/s", ours, plain, "librosa, clip by clip"))
    return rows


# ------------------------------------------------------------------ training


def training_row(profile: Profile, device: torch.device, batch: int) -> Row:
    """Pairs per second of L3-Net's training step with all pairs of the batch as decisions.

    The plain loop is the same network in float32 and contiguous memory, with the published
    sampling, one matched or mismatched pair per picture.
    """
    from llinet_lite.training import choose_precision

    rng = torch.Generator().manual_seed(0)
    side, samples = profile.image_crop, profile.sample_rate
    images = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8, generator=rng).to(device)
    audio = torch.randint(-9000, 9000, (batch, samples), dtype=torch.int16, generator=rng).to(device)
    spectrogram = LogSpectrogram(
        samples, profile.window / samples, profile.hop / samples, profile.n_fft, profile.frames
    ).to(device)
    precision = choose_precision(device)
    fast = L3Net(width=profile.width).to(device, memory_format=torch.channels_last)
    slow = L3Net(width=profile.width).to(device)
    group = torch.arange(batch, device=device)

    def step(model, optimiser, quick: bool) -> int:
        image, sound = to_image(images), spectrogram(to_waveform(audio))
        if quick:
            sound = sound.contiguous(memory_format=torch.channels_last)
        else:
            image = image.contiguous()
        with torch.autocast(device.type, torch.bfloat16, enabled=quick and "bf16" in precision):
            seen, heard = model.embed_image(image), model.embed_audio(sound)
            if quick:
                loss = all_pairs_avc_loss(model.all_pairs(seen, heard), group)
            else:
                loss = torch.nn.functional.cross_entropy(model.pairs(seen, heard), group % 2)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return batch

    adam = {model: torch.optim.Adam(model.parameters(), 1e-4) for model in (fast, slow)}
    ours, plain = rates(
        [lambda: step(fast, adam[fast], True), lambda: step(slow, adam[slow], False)], repeats=3
    )
    name = f"L3-Net training step, {profile.name} size ({side} px, width {profile.width}, batch {batch})"
    return Row(name, "pairs/s", ours, plain, f"float32, contiguous; ours {precision}, channels_last")


# ------------------------------------------------------------------ all of it


def run(*, quick: bool = False, say: Callable[[str], None] = print) -> list[Row]:
    """Measure every row; about 4 minutes on 2 CPU cores.

    Parameters
    ----------
    quick : bool
        Leave out the paper-size training step.
    say : callable
        Takes the line of each row as it is ready.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = Path(tempfile.mkdtemp(prefix="llinet-bench-"))
    rows: list[Row] = []

    def add(new: list[Row]) -> None:
        rows.extend(new)
        for row in new:
            say(line(row))

    threads = torch.get_num_threads()
    try:
        add(world_rows(folder))
        laptop, gpu = Store(folder / "laptop"), Store(folder / "gpu")
        add([import_row(folder, laptop)])
        torch.set_num_threads(1)
        for store, crop in ((laptop, 112), (gpu, 224)):
            files = unpack(store, "train", folder / f"unpacked-{crop}", 40)
            add([batch_row(store, crop, files)])
        add(feature_rows())
        torch.set_num_threads(threads)
        sizes = [("smoke", 64), ("laptop", 64)] + (
            [] if quick else [("gpu", 8 if device.type == "cpu" else 128)]
        )
        for name, batch in sizes:
            add([training_row(PROFILES[name], device, batch)])
    finally:
        torch.set_num_threads(threads)
        shutil.rmtree(folder, ignore_errors=True)
    return rows


def line(row: Row) -> str:
    """Return one row of the table as plain text."""
    ratio = "" if np.isnan(row.plain) else f"  {row.plain:9.1f}  {row.ratio:6.1f}x  {row.against}"
    return f"{row.name:68} {row.ours:9.1f} {row.unit:9}{ratio}"


def save(rows: list[Row], path: Path) -> None:
    """Write the rows, the machine and the date as JSON."""
    from llinet_lite.results import machine, write_json

    content = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "rows": [
            {key: None if value != value else value for key, value in asdict(row).items()}
            | {"ratio": None if np.isnan(row.plain) else round(row.ratio, 2)}
            for row in rows
        ],
    }
    write_json(path, content)


def load(path: Path) -> dict:
    """Read what :func:`save` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
