"""Speed from the built-in world to features: build, import, samples, log-spectrogram and log-mel.

Notebook: 01
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from llinet_lite.bench.core import Row, one_core, rates
from llinet_lite.data.bandstand import CLIPS_PER_SHARD, WorldSet, build
from llinet_lite.data.batches import PairBatches
from llinet_lite.data.folders import FILES_PER_TASK, import_folders
from llinet_lite.data.parallel import cores
from llinet_lite.data.store import Store
from llinet_lite.features import LogMel, LogSpectrogram, to_waveform

PLANS = (  # the first build is timed; both stores serve the rows after it
    WorldSet("laptop", train_share=0.1, held_out=1, mixed=1),
    WorldSet("gpu", 256, 48000, 4.0, 4, train_share=0.02, held_out=1, mixed=1),
)
Files = list[tuple[Path, Path]]  # picture and sound of each clip


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
