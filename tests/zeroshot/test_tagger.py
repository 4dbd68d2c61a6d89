"""A tagger of sounds learns tones and goes on where it was stopped; which VGGish a lesson has; hearing."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from llinet_lite import workspace
from llinet_lite.checkpoint import packed, unpacked
from llinet_lite.data.media import encode_jpeg
from llinet_lite.data.store import StoreWriter
from llinet_lite.features import VGGishExamples
from llinet_lite.models import Ear, VGGish
from llinet_lite.models.vggish import FILE
from llinet_lite.profiles import PROFILES
from llinet_lite.training import CheckpointError, adam
from llinet_lite.zeroshot import tagger
from llinet_lite.zeroshot.tagger import SoundBatches, chosen_vggish, hear, sound_hits, train_tagger

RATE = 4000
LABELS = {2: 200, 5: 500, 6: 1500}  # label -> Hz of its tone; the labels between have no sounds
COUNTS = {"train": (14, 9, 10), "val": (5, 4, 3), "test": (1, 1, 0)}


def recordings(split: str, counts, rng) -> list[dict]:
    """Tones with noise, of unlike lengths, in mixed order."""
    rows = []
    for (label, hertz), count in zip(LABELS.items(), counts, strict=True):
        for k in range(count):
            t = np.arange(RATE + 100 * k + 10 * label) / RATE
            wave = 0.3 * np.sin(2 * np.pi * hertz * t) + 0.05 * rng.standard_normal(len(t))
            audio = np.rint(wave * 32767).astype("<i2").tobytes()
            row = {"id": f"{split}/{label}/{k}", "label": label, "kind": "recording", "factors": "{}"}
            rows.append(row | {"audio": audio})
    return [rows[k] for k in rng.permutation(len(rows))]


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """A store of three classes of tones."""
    rng = np.random.default_rng(0)
    manifest = {
        "name": "tones", "sample_rate": RATE, "seconds": 1.0, "image_size": 8,
        "classes": [{"name": f"class {k}", "seen": True} for k in range(7)],
    }  # fmt: skip
    photo = {"label": 2, "kind": "photo", "factors": "{}", "clip": -1, "time": -1.0, "objects": b""}
    photo["jpeg"] = encode_jpeg(np.zeros((8, 8, 3), np.uint8), 95)
    with StoreWriter(tmp_path_factory.mktemp("tones") / "store", {"tones": 1}) as writer:
        for split, counts in COUNTS.items():
            sounds = recordings(split, counts, rng)
            writer.add_shard(split, 0, [photo | {"id": f"{split}/photo"}], sounds)
        return writer.finish(manifest, dict.fromkeys(COUNTS, 1))


def network(classes: int = 3, seed: int = 1) -> VGGish:
    torch.manual_seed(seed)
    return VGGish(8, 16, classes)


def learn(store, model=None, **changes):
    model = network() if model is None else model
    how = {"batch_size": 8, "epochs": 4, "seed": 0, "run_dir": None, "quiet": True}
    return model, train_tagger(model, store, **(how | {"optimizer": adam(3e-3, 0.0)} | changes))


def same(first, second) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


# ---- batches


def test_every_sound_at_most_once_and_from_a_random_place(tones):
    batches, table = SoundBatches(tones, "train", batch_size=8, seconds=0.975), tones.sounds("train")
    starts = []
    for e in range(2):
        parts = list(batches.epoch(e))
        index = torch.cat([part["index"] for part in parts]).tolist()
        assert len(parts) == 4 and len(set(index)) == 32
        assert "image" not in parts[0]
        for part in parts:
            assert part["audio"].shape == (8, 3900) and part["audio"].dtype == torch.int16
            assert part["label"].tolist() == [table.label[k] for k in part["index"]]
            for row, window in zip(part["index"].tolist(), part["audio"].numpy(), strict=True):
                whole = table.audio(row)
                views = np.lib.stride_tricks.sliding_window_view(whole, 3900)
                (place,) = np.flatnonzero((views[:, :50] == window[:50]).all(1))
                assert (views[place] == window).all()
                starts.append(place / max(1, len(views) - 1))
    assert min(starts) < 0.15 and max(starts) > 0.85 and 0.35 < np.mean(starts) < 0.65
    again = SoundBatches(tones, "train", batch_size=8, seconds=0.975).epoch(1)
    assert torch.equal(again[2]["audio"], batches.epoch(1)[2]["audio"])
    assert not torch.equal(again[2]["index"], batches.epoch(0)[2]["index"])
    other = SoundBatches(tones, "train", batch_size=8, seconds=0.975, seed=1)
    assert not torch.equal(again[2]["index"], other.epoch(1)[2]["index"])


def test_batches_that_cannot_be_are_refused(tones):
    with pytest.raises(ValueError, match="between 1 and 33, the sounds of train, not 34"):
        SoundBatches(tones, "train", batch_size=34, seconds=0.5)
    with pytest.raises(ValueError, match="does not fit the shortest sound"):
        SoundBatches(tones, "train", batch_size=8, seconds=1.5)


# ---- training


def test_it_learns_and_repeats_bit_for_bit(tones, tmp_path):
    before = sound_hits(network(), tones, "val")
    model, history = learn(tones, run_dir=tmp_path / "run", epochs=8)
    hits = sound_hits(model, tones, "val")
    assert len(before) == 12 and before.mean() < 0.8 and hits.dtype == bool and hits.mean() > 0.9
    assert history.epochs[-1]["loss"] < 0.5 * history.epochs[0]["loss"]
    best = max(range(8), key=lambda e: (history.epochs[e]["accuracy"], -e))
    assert history.best["epoch"] == best and history.epochs[best]["accuracy"] == hits.mean()
    rates = [epoch["lr"] for epoch in history.epochs]
    assert rates == sorted(rates, reverse=True)
    last = 3e-3 * 0.5 * (1 + np.cos(np.pi * (7.75 / 8)))  # of the last of four steps
    assert rates[-1] == pytest.approx(last)
    again, second = learn(tones, run_dir=tmp_path / "run", epochs=8)
    assert second.resumed_at == 8 * 4 and same(model, again)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"batch_size": 4}, "batch_size is 4 now and was 8"), ({"epochs": 2}, "epochs is 2 now and was 1")],
)
def test_the_checkpoint_of_another_training_is_refused(tones, tmp_path, changes, message):
    learn(tones, run_dir=tmp_path / "run", epochs=1)
    with pytest.raises(CheckpointError, match=message):
        learn(tones, run_dir=tmp_path / "run", **({"epochs": 1} | changes))


def test_another_number_of_classes_is_refused(tones):
    with pytest.raises(ValueError, match="VGGish has 4 classes, the training sounds 3: make it with 3"):
        learn(tones, network(4))


class Telling(nn.Module):
    """Says one column for every sound."""

    def __init__(self, column: int):
        super().__init__()
        self.column = nn.Parameter(torch.tensor(float(column)))

    def logits(self, examples):
        assert examples.shape[1:] == (1, 96, 64) and not self.training and not torch.is_grad_enabled()
        return -(torch.arange(3) - self.column).abs().expand(len(examples), 3)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_hit_is_the_label_and_not_the_column(tones, column):
    hits = sound_hits(Telling(column), tones, "val")
    assert hits.tolist() == (np.asarray(tones.sounds("val").label) == list(LABELS)[column]).tolist()


# ---- hearing


@pytest.mark.parametrize("seconds", [None, 0.5])
def test_hearing_the_middle_of_sounds(tones, monkeypatch, seconds):
    monkeypatch.setattr(tagger, "BATCH", 2)
    vggish, table, rows = network(), tones.sounds("val"), [7, 0, 11, 7, 3]
    got = hear(Ear(vggish, RATE), tones, "val", rows, seconds)
    assert got.shape == (5, 16) and got.dtype == torch.float32 and not got.requires_grad
    length = min(len(table.audio(k)) for k in range(12)) if seconds is None else 2000
    for embedding, row in zip(got, rows, strict=True):
        whole = np.asarray(table.audio(row), np.float32) / 32768
        start = (len(whole) - length) // 2
        example = VGGishExamples(RATE)(torch.from_numpy(whole[start : start + length])[None])
        torch.testing.assert_close(embedding, vggish(example)[0].mean(0), rtol=1e-4, atol=1e-5)
    assert hear(Ear(vggish, RATE), tones, "val", []).shape == (0, 16)
    with pytest.raises(ValueError, match="does not fit the shortest sound"):
        hear(Ear(vggish, RATE), tones, "val", [0], 1.5)


# ---- which VGGish a lesson stands on


@pytest.fixture
def tiny(lesson, monkeypatch):
    """Maker of lessons whose VGGish is trained for two epochs."""
    monkeypatch.delenv("LLINET_VGGISH", raising=False)
    changed = dataclasses.replace(PROFILES["laptop"], width=2, epochs_vggish=2)
    monkeypatch.setitem(PROFILES, "laptop", changed)
    return lesson


def test_the_stand_in_is_trained_once_and_says_what_it_is(tiny, capsys):
    state = torch.get_rng_state()
    vggish = chosen_vggish(tiny(retrain=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert vggish.title == "stand-in: VGGish of width 2, trained to tag 24 seen classes"
    assert vggish.classes == 24 and not vggish.training and vggish.size == 128
    assert not any(weight.requires_grad for weight in vggish.parameters())
    once = unpacked(packed(vggish.state_dict()))
    for name, value in vggish.state_dict().items():
        torch.testing.assert_close(once[name], value.cpu(), rtol=0, atol=0)  # as published
    out = capsys.readouterr().out
    assert "no weights of VGGish at hand, so a stand-in takes the place" in out
    assert "training the stand-in of VGGish: 2 epochs" in out
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert not same(vggish.cpu(), VGGish(2, classes=24))
    (folder,) = tiny().training_dir.iterdir()
    log = (folder / "last.ckpt").read_bytes()
    assert same(chosen_vggish(tiny(retrain=True)).cpu(), vggish)
    assert (folder / "last.ckpt").read_bytes() == log and folder.name == "vggish-2-0"


def test_the_published_stand_in_is_loaded_unless_of_another_world(tiny, capsys):
    vggish = chosen_vggish(tiny("04_llinet_encoders", retrain=True, publish=True))
    path = workspace.WEIGHTS / "vggish-seen.safetensors"
    assert load_file(path)["embeddings.2.weight"].dtype == torch.int8
    about = json.loads(path.with_suffix(".json").read_text())
    assert len(about["validation"]) == 2 and 0 <= about["validation"][0] <= 1 and about["minutes"] >= 0
    capsys.readouterr()
    again = chosen_vggish(tiny(retrain=True))
    assert same(again, vggish) and again.title == vggish.title
    assert "training" not in capsys.readouterr().out
    path.with_suffix(".json").write_text(json.dumps(about | {"world": -1}))
    chosen_vggish(tiny())
    assert "training the stand-in" in capsys.readouterr().out


@pytest.fixture
def public(monkeypatch, tmp_path):
    """A network of width 2 in the place of the public one, and a file of its weights."""
    monkeypatch.setattr(tagger, "VGGish", lambda: VGGish(2))
    torch.manual_seed(7)
    source = VGGish(2)
    folder = tmp_path / "public"
    folder.mkdir()
    save_file(source.state_dict(), folder / "vggish.safetensors")
    torch.save(source.state_dict(), folder / FILE)
    return folder, source


def test_weights_that_are_named_or_nearby_are_taken(tiny, public, monkeypatch, tmp_path):
    folder, source = public
    state = torch.get_rng_state()
    vggish = chosen_vggish(tiny(), str(folder / "vggish.safetensors"))
    assert torch.equal(torch.get_rng_state(), state)
    assert same(vggish.cpu(), source) and vggish.title == "VGGish, vggish"
    assert not vggish.training and not any(weight.requires_grad for weight in vggish.parameters())
    assert chosen_vggish(tiny(), str(folder)).title == "VGGish as released with AudioSet"
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "weights").symlink_to(folder)
    assert same(chosen_vggish(tiny(data=tmp_path / "mine" / "data")).cpu(), source)
    monkeypatch.setenv("LLINET_VGGISH", str(folder))
    assert same(chosen_vggish(tiny()).cpu(), source)


def test_a_place_that_is_named_and_empty_is_an_error(tiny, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nosuch \(weights\)"):
        chosen_vggish(tiny(), str(tmp_path / "nosuch"))
    monkeypatch.setenv("LLINET_VGGISH", str(tmp_path / "nosuch.pth"))
    with pytest.raises(FileNotFoundError, match=r"nosuch\.pth \(\$LLINET_VGGISH\)"):
        chosen_vggish(tiny())
    assert not tiny().training_dir.exists(), "nothing was trained in their place"
