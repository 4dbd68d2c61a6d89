"""Speed of every stage beside the usual way, in one run: `make bench` writes results/bench.json.

Elsewhere each is called once, so that it stays true that both ways give the same.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from llinet_lite.features import LogMel, LogSpectrogram, to_image, to_waveform

CLIPS, RATE = 64, 48_000
pytestmark = pytest.mark.filterwarnings("ignore:.*aifc|.*audioop|.*sunau")


@pytest.fixture(scope="module")
def audio() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (CLIPS, RATE)).astype(np.float32)


def librosa_spectrogram(clip: np.ndarray, like: LogSpectrogram) -> np.ndarray:
    import librosa

    bins = librosa.stft(clip, n_fft=512, hop_length=240, win_length=480, pad_mode="reflect")
    return np.log(np.abs(bins) + 1e-7)


def librosa_mel(clip: np.ndarray, like: LogMel) -> np.ndarray:
    import librosa

    settings = {"n_fft": like.n_fft, "hop_length": like.hop, "n_mels": like.mel.shape[1]}
    power = librosa.feature.melspectrogram(y=clip, sr=like.sample_rate, **settings)
    return np.log(power + 1e-6)


@pytest.mark.parametrize("way", ["ours, a batch at once", "librosa, clip by clip"])
@pytest.mark.parametrize(
    ("make", "usual"),
    [(LogSpectrogram, librosa_spectrogram), (lambda: LogMel(RATE), librosa_mel)],
    ids=["log-spectrogram", "log-mel"],
)
def test_features(benchmark, audio, make, usual, way):
    module, batch = make(), torch.from_numpy(audio)
    ours = way.startswith("ours")
    benchmark.group = f"{type(module).__name__}, {CLIPS} clips of 1 s at 48 kHz"
    found = benchmark(lambda: module(batch) if ours else [usual(clip, module) for clip in audio])
    assert len(found) == CLIPS


@pytest.mark.parametrize("way", ["ours, from the store", "jpg and wav decoded file by file"])
def test_samples(benchmark, tiny_store, tmp_path, way):
    """A batch of images and log-mels: 40 px and one second at 16 kHz."""
    import librosa
    from PIL import Image

    from llinet_lite.data import media
    from llinet_lite.data.batches import PairBatches

    images, sounds, mel = tiny_store.images("train"), tiny_store.sounds("train"), LogMel(16_000)
    size = 16
    batch = PairBatches(tiny_store, "train", batch_size=size, image_crop=32, pairs="sampled").epoch(0)
    for row in range(size):
        media.write_image(tmp_path / f"{row}.jpg", images.image(row))
        clip = sounds.audio(int(images.clip[row])).astype(np.float32) / 2**15
        media.write_audio(tmp_path / f"{row}.wav", clip, 16_000)

    def by_file() -> list:
        read = []
        for row in range(size):
            image = np.asarray(Image.open(tmp_path / f"{row}.jpg").convert("RGB"))[:32, :32].copy()
            clip, _ = librosa.load(tmp_path / f"{row}.wav", sr=None, duration=1.0)
            read.append((image, librosa_mel(clip, mel)))
        return read

    benchmark.group = f"samples, {size} images and log-mels"
    assert len(benchmark((lambda: mel(to_waveform(batch[0]["audio"]))) if "ours" in way else by_file)) == size


@pytest.mark.parametrize("way", ["ours", "scikit-learn"])
def test_ndcg(benchmark, way):
    from sklearn.metrics import ndcg_score

    from llinet_lite.metrics.retrieval import ndcg

    rng = torch.Generator().manual_seed(0)
    scores = torch.randn(200, 2000, generator=rng, dtype=torch.float64)
    relevance = torch.randint(0, 21, (200, 2000), generator=rng).double()
    benchmark.group = "nDCG@30 of 200 queries in 2,000 items"
    ours = lambda: ndcg(scores, relevance, 30).mean().item()  # noqa: E731
    usual = lambda: ndcg_score(relevance.numpy(), scores.numpy(), k=30)  # noqa: E731
    assert benchmark(ours if way == "ours" else usual) == pytest.approx(usual())


@pytest.mark.parametrize("way", ["ours", "float32, contiguous"])
def test_training_step(benchmark, way):
    """L3-Net's step in the size of the laptop profile: pixels and samples in, weights updated."""
    from llinet_lite.losses import all_pairs_avc_loss
    from llinet_lite.models import L3Net
    from llinet_lite.profiles import PROFILES
    from llinet_lite.rivals.base import adam
    from llinet_lite.training import choose_precision

    profile = PROFILES["laptop"]
    short = way == "ours" and choose_precision("cpu") == "bf16-mixed"
    rng = torch.Generator().manual_seed(0)
    side, batch, rate = profile.image_crop, profile.batch_size, profile.sample_rate
    images = torch.randint(0, 256, (batch, side, side, 3), dtype=torch.uint8, generator=rng)
    sounds = torch.randint(-9000, 9000, (batch, rate), dtype=torch.int16, generator=rng)
    transform = LogSpectrogram(rate, profile.window / rate, profile.hop / rate, profile.n_fft, profile.frames)
    model = L3Net(width=profile.width)
    model = model.to(memory_format=torch.channels_last if short else torch.contiguous_format)
    optimizer = adam(profile.learning_rate, 1e-5)(model.parameters())

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=short):
            image, audio = to_image(images), transform(to_waveform(sounds))
            image = image if way == "ours" else image.contiguous()
            logits = model.all_pairs(model.embed_image(image), model.embed_audio(audio))
            loss = all_pairs_avc_loss(logits, torch.arange(batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    benchmark.group = f"L3-Net step, {side} px, width {profile.width}, batch {batch}"
    assert np.isfinite(benchmark.pedantic(step, rounds=3, warmup_rounds=1))


def test_world(benchmark, tmp_path):
    from llinet_lite.world import Scene

    benchmark.group = "one clip of the world, 128 px and 3 s at 16 kHz"
    seeds = iter(range(10**6))

    def clip() -> int:
        scene = Scene("violin", next(seeds))
        return len(scene.audio(0.0, 3.0, 16_000)) + scene.frame(1.5, 128).size

    assert benchmark(clip) == 48_000 + 3 * 128 * 128
