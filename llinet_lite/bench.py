"""Speed, measured in one run: what the package does against the usual way of doing it.

A row with a rival times both ways in turn, on the same data and in the same process,
and reports medians, so a ratio holds whatever else the machine was doing. The rows of
the world build and of the import have no rival and are single runs, start of the
processes included. Nothing here is asserted anywhere: a ratio is a fact about one
machine on one day.

Notebook: 01
"""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from llinet_lite.course.profiles import PROFILES, Profile
from llinet_lite.data.bandstand import CLIPS_PER_SHARD, WorldSet, build
from llinet_lite.data.batches import PairBatches
from llinet_lite.data.folders import FILES_PER_TASK, import_folders
from llinet_lite.data.parallel import cores
from llinet_lite.data.store import Store
from llinet_lite.features import LogMel, LogSpectrogram, to_image, to_waveform
from llinet_lite.models import L3Net
from llinet_lite.objectives import all_pairs_avc_loss

PLANS = (  # the first build is timed; both stores serve the rows after it
    WorldSet("laptop", train_share=0.1, held_out=1, mixed=1),
    WorldSet("gpu", 256, 48000, 4.0, 4, train_share=0.02, held_out=1, mixed=1),
)
Files = list[tuple[Path, Path]]  # picture and sound of each clip


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


@contextmanager
def one_core() -> Iterator[None]:
    """Leave one core to everything inside: affinity (on Linux), torch, OpenCV, BLAS, OpenMP; undone after."""
    import cv2
    from threadpoolctl import threadpool_limits

    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    threads, opencv = torch.get_num_threads(), cv2.getNumThreads()
    try:
        with threadpool_limits(1):
            torch.set_num_threads(1)
            cv2.setNumThreads(1)
            if before:
                os.sched_setaffinity(0, {min(before)})
            yield
    finally:
        if before:
            os.sched_setaffinity(0, before)
        cv2.setNumThreads(opencv)
        torch.set_num_threads(threads)


def world_rows(folder: Path, plans: Sequence[WorldSet] = PLANS) -> list[Row]:
    """Clips per second of a build with every core; every plan's store stays, under its name.

    Parameters
    ----------
    folder : Path
    plans : sequence of WorldSet
        The build of the first one's training clips is timed, once.
    """
    first = plans[0]
    clips = len(first.clips("train"))
    start = time.perf_counter()
    build(folder / first.name, first, splits=("train",), progress=False)
    seconds = time.perf_counter() - start
    for plan in plans[1:]:
        build(folder / plan.name, plan, splits=("train",), progress=False)
    processes = min(cores(), math.ceil(clips / CLIPS_PER_SHARD))
    size, rate = first.image_size, first.sample_rate // 1000
    return [Row(f"world build, {size} px, {rate} kHz, {processes} process(es)", "clips/s", clips / seconds)]


def unpack(store: Store, folder: Path, count: int = 200, labels: Sequence[int] | None = None) -> Files:
    """Write training clips, one picture each, as JPEG and WAV files in the layout of INSTRUMENT-32CLASS.

    Parameters
    ----------
    store : Store
    folder : Path
        Gets a folder per class with ``video`` and ``sound``.
    count : int
        Clips, spread evenly over the split; all if there are fewer.
    labels : sequence of int, optional
        Only clips of these classes; default: all.
    """
    import cv2
    import soundfile

    images, sounds, files = store.images("train"), store.sounds("train"), []
    rows = np.unique(images.clip, return_index=True)[1]  # the first picture of every clip
    rows = rows if labels is None else rows[np.isin(images.label[rows], labels)]
    for row in rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)].tolist():
        name = store.classes[int(images.label[row])]["name"]
        paths = folder / name / "video" / f"{row}.jpg", folder / name / "sound" / f"{row}.wav"
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(paths[0]), images.image(row)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        soundfile.write(paths[1], sounds.audio(int(images.clip[row])), store.sample_rate)
        files.append(paths)
    return files


def import_row(folder: Path, store: Store, count: int = 240) -> Row:
    """Files per second of the importer: every file is checked, hashed, decoded and packed.

    At most ``count`` training clips of the store's even labels become seen classes, as many of the odd
    ones unseen classes (a class cannot be both); two files each.
    """
    files, labels = 0, np.unique(store.images("train").label)
    for odd, split in enumerate(("train", "test_without_seg")):
        files += 2 * len(unpack(store, folder / "files" / split, count, labels[labels % 2 == odd]))
    processes, size = min(cores(), math.ceil(files / FILES_PER_TASK)), store.manifest["image_size"]
    settings = {"sample_rate": store.sample_rate, "image_size": size, "progress": False}
    start = time.perf_counter()
    import_folders(folder / "files", folder / "imported", **settings)
    seconds = time.perf_counter() - start
    return Row(f"import of photos and sounds, {processes} process(es)", "files/s", files / seconds)


def batch_rows(store: Store, crop: int, files: Files, *, repeats: int = 5) -> list[Row]:
    """Samples (picture cropped to ``crop`` px, one second of sound) per second on one core.

    From the store: the sound as it is and, in a second row, with log-mel features, batch by batch. File by
    file, of :func:`unpack`: with librosa's log-mel of the same settings, in both rows.
    """
    import librosa
    from PIL import Image

    size = min(64, len(store.images("train")))
    batches = PairBatches(store, "train", batch_size=size, image_crop=crop, pairs="sampled").epoch(0)
    mel = LogMel(store.sample_rate)

    def packed(then: Callable = lambda audio: audio) -> int:
        count = min(4, len(batches))
        for i in range(count):
            then(batches[i]["audio"])
        return count * size

    def by_file() -> int:
        for picture, recording in files[:32]:
            np.asarray(Image.open(picture).convert("RGB"))[:crop, :crop].copy()
            librosa_mel(librosa.load(recording, sr=None, duration=1.0)[0], mel)
        return len(files[:32])

    with one_core():
        ways = [packed, lambda: packed(lambda audio: mel(to_waveform(audio))), by_file]
        plain, featured, rival = rates(ways, repeats=repeats)
    what = f"{store.manifest['image_size']} px, {store.sample_rate // 1000} kHz, 1 core"
    against = "jpg + wav decoded, librosa log-mel, per sample"
    return [
        Row(f"samples from the store, {what}", "samples/s", plain, rival, against),
        Row(f"samples from the store + LogMel, {what}", "samples/s", featured, rival, against),
    ]


def librosa_mel(sound: np.ndarray, like: LogMel) -> np.ndarray:
    """Log-mel features (bands, T) of one clip (n,) by librosa, with the settings of ``like``."""
    import librosa

    settings = {"n_fft": like.n_fft, "hop_length": like.hop, "n_mels": like.mel.shape[1]}
    power = librosa.feature.melspectrogram(y=sound, sr=like.sample_rate, **settings)
    return np.log(power + like.epsilon)


def feature_rows(*, clips: int = 64, repeats: int = 5) -> list[Row]:
    """Both features on a batch of one-second clips, one core, against librosa clip by clip."""
    import librosa

    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (clips, 48000)).astype(np.float32)
    batch = torch.from_numpy(sound)
    spectrogram, mel = LogSpectrogram(), LogMel(48000)

    def by_librosa(x: np.ndarray) -> np.ndarray:
        bins = librosa.stft(x, n_fft=512, hop_length=240, win_length=480, pad_mode="reflect")
        return (np.log(np.abs(bins) + spectrogram.epsilon) - spectrogram.mean) / spectrogram.std

    rows = []
    for module, other in ((spectrogram, by_librosa), (mel, lambda x: librosa_mel(x, mel))):
        ways = [
            lambda module=module: len(module(batch)),
            lambda other=other: len([other(x) for x in sound]),
        ]
        with one_core():
            ours, plain = rates(ways, repeats=repeats)
        name = f"{type(module).__name__}, 1 s at 48 kHz, 1 core"
        rows.append(Row(name, "clips/s", ours, plain, "librosa, clip by clip"))
    return rows


def _step(profile: Profile, device: torch.device, batch: int, bf16: bool, ours: bool) -> Callable[[], int]:
    """One training step on random data, to be called again and again; see :func:`training_row`."""
    from llinet_lite.training import adam

    rng = torch.Generator().manual_seed(0)
    side, rate = profile.image_crop, profile.sample_rate
    images = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8, generator=rng).to(device)
    audio = torch.randint(-9000, 9000, (batch, rate), dtype=torch.int16, generator=rng).to(device)
    group = torch.arange(batch, device=device)
    transform = LogSpectrogram(rate, profile.window / rate, profile.hop / rate, profile.n_fft, profile.frames)
    order = torch.channels_last if ours and bf16 else torch.contiguous_format
    model = L3Net(width=profile.width).to(device, memory_format=order)
    optimiser = adam(profile.learning_rate, profile.weight_decay)(model.parameters())

    def step() -> int:
        image, sound = to_image(images), transform(to_waveform(audio))
        image = image if ours else image.contiguous()
        with torch.autocast(device.type, torch.bfloat16, enabled=ours and bf16):
            logits = model.all_pairs(model.embed_image(image), model.embed_audio(sound))
            loss = all_pairs_avc_loss(logits, group)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return batch

    return step


def training_row(profile: Profile, device: torch.device, batch: int, *, repeats: int = 3) -> Row:
    """Pairs per second of L3-Net's training step: pixels and samples in, weights updated.

    Loss (all pairs of the batch) and optimiser are the same on both sides; ours computes in the precision
    and the memory order that :func:`llinet_lite.training.fit` chooses here, the plain loop in float32 and
    contiguous memory. Where fit chooses float32, the two differ in the pictures' memory order alone.
    """
    from llinet_lite.training import choose_precision

    precision = choose_precision(device)
    bf16 = precision == "bf16-mixed"
    ways = [_step(profile, device, batch, bf16, ours) for ours in (True, False)]
    ours, plain = rates(ways, repeats=repeats)
    size = "paper" if profile.name == "gpu" else profile.name
    name = f"L3-Net step, {size} size: {profile.image_crop} px, width {profile.width}, batch {batch}"
    what = f"{precision}, channels_last {'network' if bf16 else 'pictures'}, {device.type}"
    return Row(name, "pairs/s", ours, plain, f"float32, contiguous (ours: {what})")


def steps(device: torch.device, quick: bool) -> list[tuple[Profile, int]]:
    """Profiles whose training step is timed, and the pairs of their batch."""
    profiles = [PROFILES[name] for name in ("smoke", "laptop", *(() if quick else ("gpu",)))]
    if device.type == "cuda":
        return [(profile, 128) for profile in profiles]
    return [(profile, 8 if profile.name == "gpu" else profile.batch_size) for profile in profiles]


def run(*, quick: bool = False, say: Callable[[str], None] = print) -> list[Row]:
    """Measure every row; some minutes on 2 CPU cores.

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

    say(f"{cores()} processes for the build and the import; {device.type} for the training step")
    try:
        add(world_rows(folder))
        stores = [Store(folder / plan.name) for plan in PLANS]
        add([import_row(folder, stores[0])])
        for store, crop in zip(stores, (112, 224), strict=True):
            add(batch_rows(store, crop, unpack(store, folder / f"unpacked-{crop}", 40)))
        add(feature_rows())
        for profile, batch in steps(device, quick):
            add([training_row(profile, device, batch)])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return rows


def line(row: Row) -> str:
    """Return one row of the table as plain text."""
    ratio = "" if np.isnan(row.plain) else f"  {row.plain:9.1f}  {row.ratio:6.1f}x  {row.against}"
    return f"{row.name:66} {row.ours:9.1f} {row.unit:9}{ratio}"


def save(rows: list[Row], path: Path) -> None:
    """Write the rows, the machine and the date as JSON."""
    from llinet_lite.results import machine, write_json

    content = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "processes": cores(),
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
