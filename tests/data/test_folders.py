"""Folders from outside: every defect is reported with its file and reason, and nothing takes its place."""

import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llinet_lite.data.batches import ClassPairs, PairBatches
from llinet_lite.data.folders import FolderError, class_name, import_folders, report
from llinet_lite.data.media import write_audio, write_image
from llinet_lite.data.store import StoreError

SEEN, UNSEEN = ("Violin", "Steelpan", "Kazoo"), ("French_horn", "Theremin")
RATE = 8000


def photo(key: int, size=(40, 30)) -> np.ndarray:
    """A picture unlike any other."""
    return np.random.default_rng(key).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)


def sound(key: int, rate=RATE, seconds=1.2) -> np.ndarray:
    """A sound unlike any other."""
    return 0.2 * np.random.default_rng(key).standard_normal(round(rate * seconds)).astype(np.float32)


def disc(size=(40, 30)) -> np.ndarray:
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    return np.where((x - 12) ** 2 + (y - 15) ** 2 < 60, 255, 0).astype(np.uint8)


def make_tree(root: Path, photos=10, sounds=10, pairs=4) -> Path:
    """A sound data set of three seen and two unseen classes."""
    key = 0
    for split, names in (("train", SEEN), ("test_without_seg", UNSEEN), ("test", UNSEEN)):
        for name in names:
            folder = root / split / name
            for role in ("sound", "video", "segment")[: 3 if split == "test" else 2]:
                (folder / role).mkdir(parents=True)
            for k in range(photos if split == "train" else pairs):
                key += 1
                write_image(folder / "video" / f"{name}{k:05d}.jpg", photo(key))
                if split == "test":
                    Image.fromarray(disc()).save(folder / "segment" / f"{name}{k:05d}.jpg")
            for k in range(sounds if split == "train" else pairs):
                key += 1
                k += 20 * (split == "train" and sounds != photos and k > 1)  # names of their own
                write_audio(folder / "sound" / f"{name}{k:05d}.wav", sound(key), RATE)
    return root


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "data", sounds=8)


def bring_in(tree, **settings):
    settings = {"sample_rate": RATE, "image_size": 24, "workers": 1, "progress": False, **settings}
    return import_folders(tree, tree.parent / "store", **settings)


def reasons(store) -> dict[str, str]:
    return {entry["file"]: entry["reason"] for entry in store.manifest["excluded"]}


def remarks(store) -> dict[str, str]:
    return {entry["file"]: entry["reason"] for entry in store.manifest["warnings"]}


def test_a_good_tree(tree):
    store = bring_in(tree)
    assert store.manifest["excluded"] == [] and store.manifest["warnings"] == []
    names = [(c["name"], c["seen"]) for c in store.classes]
    assert names == [
        ("kazoo", True),
        ("steel pan", True),
        ("violin", True),
        ("french horn", False),
        ("theremin", False),
    ]
    counts = {split: (facts["images"], facts["sounds"]) for split, facts in store.splits.items()}
    assert counts["unseen"] == counts["scenes_unseen"] == (8, 8)
    assert sum(counts[s][0] for s in ("train", "val", "test")) == 30
    assert sum(counts[s][1] for s in ("train", "val", "test")) == 24
    images, sounds = store.images("unseen"), store.sounds("unseen")
    assert [Path(images.id[i]).stem for i in range(8)] == [Path(sounds.id[c]).stem for c in images.clip]
    np.testing.assert_array_equal(images.label, sounds.label[images.clip])
    assert (store.images("train").clip == -1).all() and (images.time == -1).all()
    assert images.image(0).shape == (24, 32, 3)
    mask = store.images("scenes_unseen").objects(3)
    assert mask.shape == (24, 32) and set(np.unique(mask)) == {0, 1} and 0.1 < mask.mean() < 0.2
    assert images.objects(0) is None
    source = sound(1 + 60)  # some other sound: only the level is compared
    assert sounds.audio(0).std() / 32768 == pytest.approx(source.std(), rel=0.1)
    assert "train: " in report(store) and "left out: 0" in report(store)


def test_batches_from_it(tree):
    store = bring_in(tree)
    pairs = PairBatches(store, "train", batch_size=6, image_crop=20, seconds=1.0, match="class", seed=0)
    batch = pairs.epoch(0)[0]
    assert batch["image"].shape == (6, 20, 20, 3) and batch["match"].sum() == 3
    assert ClassPairs(store, "unseen", batch_size=4, image_crop=24).epoch(0)[1]["audio"].shape == (4, RATE)
    assert PairBatches(store, "unseen", batch_size=4, image_crop=24).epoch(0)[0]["match"].sum() == 2


def test_held_out_files_depend_on_their_names_only(tmp_path):
    tree = make_tree(tmp_path / "data", photos=20, sounds=18)
    first = bring_in(tree)
    splits = {name: s for s in ("train", "val", "test") for name in first.images(s).id}
    for split in ("val", "test"):
        assert np.bincount(first.images(split).label).tolist() == [2, 2, 2]
        assert np.bincount(first.sounds(split).label).tolist() == [2, 2, 2]
    held = sorted(name for name, split in splits.items() if split != "train")
    (tree / held[0]).write_bytes(b"broken")
    shutil.rmtree(tree.parent / "store")
    again = bring_in(tree)
    left = {name: s for s in ("train", "val", "test") for name in again.images(s).id}
    assert left == {name: split for name, split in splits.items() if name != held[0]}
    shutil.rmtree(tree.parent / "store")
    assert list(bring_in(tree, holdout=0).splits) == ["train", "unseen", "scenes_unseen"]


def test_train_with_the_same_names_throughout_is_paired(tmp_path):
    store = bring_in(make_tree(tmp_path / "data"))
    for split in ("train", "val", "test"):
        images, sounds = store.images(split), store.sounds(split)
        assert [Path(name).stem for name in images.id] == [Path(sounds.id[c]).stem for c in images.clip]


def break_it(tree: Path) -> dict[str, str]:
    """Put one file of every defect into the tree: what becomes of each (pattern of its reason)."""
    v, s = tree / "train" / "Violin" / "video", tree / "train" / "Violin" / "sound"
    noise = sound(999)
    expected = {}

    def bad(path: Path, pattern: str, data: bytes | None = None) -> Path:
        if data is not None:
            path.write_bytes(data)
        expected[path.relative_to(tree).as_posix()] = pattern
        return path

    bad(v / "Violin00100.jpg", "empty \\(0 bytes\\)", b"")
    bad(v / "Violin00101.jpg", "no picture", b"hello")
    bad(v / "Violin00102.jpg", "truncated", (v / "Violin00000.jpg").read_bytes()[:-300])
    bad(v / "Violin00103.txt", "suffix must be one of .jpg", b"hello")
    write_image(bad(v / "Violin00104.png", "one flat colour"), np.full((30, 40, 3), 90, np.uint8))
    write_image(bad(v / "Kazoo00105.jpg", "name says kazoo, its folder says violin"), photo(1001))
    bad(v / "Violin00106.jpg", "copy: the same content", (v / "Violin00001.jpg").read_bytes())
    shutil.copy(tree / "train/Kazoo/video/Kazoo00003.jpg", v / "Violin00107.jpg")
    bad(v / "Violin00107.jpg", "same content lies under kazoo and violin")
    bad(tree / "train/Kazoo/video/Kazoo00003.jpg", "same content lies under kazoo and violin")
    bad(s / "Violin00100.wav", "empty \\(0 bytes\\)", b"")
    bad(s / "Violin00101.wav", "no sound", b"hello, this is no sound")
    bad(s / "Violin00102.wav", "truncated: the header", (s / "Violin00000.wav").read_bytes()[:-5000])
    write_audio(bad(s / "Violin00103.wav", "silent: -7"), noise * 1e-3, RATE)
    write_audio(bad(s / "Violin00104.wav", "too short: 0.50 s"), noise[:4000], RATE)
    write_audio(bad(s / "Violin00105.wav", "silent after the mix"), np.stack([noise, -noise], 1), RATE)
    horn = tree / "test_without_seg" / "French_horn"
    bad(horn / "video" / "French_horn00000.jpg", "no picture", b"?")
    bad(horn / "sound" / "French_horn00000.wav", "no partner: no picture of its name")
    horn = tree / "test" / "French_horn"
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(
        bad(horn / "segment" / "French_horn00000.jpg", "mask is empty")
    )
    bad(horn / "video" / "French_horn00000.jpg", "no mask")
    bad(horn / "sound" / "French_horn00000.wav", "no partner")
    (horn / "segment" / "French_horn00001.jpg").unlink()
    bad(horn / "video" / "French_horn00001.jpg", "no mask")
    bad(horn / "sound" / "French_horn00001.wav", "no partner")
    return expected


def oddities(tree: Path) -> dict[str, str]:
    """Files that are used, with a remark."""
    v, s = tree / "train" / "Steelpan" / "video", tree / "train" / "Steelpan" / "sound"
    noise = sound(2000)
    write_audio(s / "Steelpan00100.wav", np.stack([noise, sound(2001)], 1), RATE)
    write_audio(s / "Steelpan00101.flac", np.clip(noise * 20, -1, 1), RATE)
    write_audio(s / "Steelpan00102.ogg", sound(2002, 22050), 22050)
    write_audio(s / "Steelpan00103.mp3", sound(2003, 44100), 44100)
    write_image(v / "Steelpan00104.png", photo(2004))
    (v / "Steelpan00104.png").rename(v / "Steelpan00104.jpg")
    (tree / "train" / "train_image_files.pickle").write_bytes(pickle.dumps(["x"]))
    (tree / "train" / "Steelpan" / "notes").mkdir()
    Image.fromarray(disc().repeat(2, 0).repeat(2, 1)).save(tree / "test/Theremin/segment/Theremin00002.jpg")
    return {
        "train/Steelpan/sound/Steelpan00100.wav": "2 channels, mixed to one",
        "train/Steelpan/sound/Steelpan00101.flac": "clipped",
        "train/Steelpan/sound/Steelpan00102.ogg": "resampled from 22050 to 8000",
        "train/Steelpan/sound/Steelpan00103.mp3": "resampled from 44100 to 8000",
        "train/Steelpan/video/Steelpan00104.jpg": "content is PNG, its name says JPEG",
        "train/train_image_files.pickle": "a pickle can run code",
        "train/Steelpan/notes": "no part of the layout",
        "test/Theremin/video/Theremin00002.jpg": r"mask of another size: \(80, 60\)",
    }


def test_every_defect_is_reported_and_nothing_takes_its_place(tree):
    whole = bring_in(tree, holdout=0)  # so that no class loses its only held-out file
    good = {name for split in whole.splits for name in _names(whole, split)}
    shutil.rmtree(tree.parent / "store")
    broken, odd = break_it(tree), oddities(tree)
    store = bring_in(tree, workers=2, holdout=0)
    found, said = reasons(store), remarks(store)
    assert set(found) == set(broken)
    for file, pattern in broken.items():
        assert re.search(pattern, found[file]), (file, found[file])
    assert set(said) == set(odd)
    for file, pattern in odd.items():
        assert re.search(pattern, said[file]), (file, said[file])
    used = {name for split in store.splits for name in _names(store, split)}
    new = {file for file in odd if Path(file).suffix in (".wav", ".flac", ".ogg", ".mp3", ".jpg")}
    gone = {name for name in good if name in broken}
    assert used == (good - gone) | new


def _names(store, split):
    return store.images(split).id + store.sounds(split).id


def test_a_copy_in_a_test_folder_is_kept_with_a_remark(tree):
    folder = tree / "test_without_seg" / "Theremin" / "video"
    shutil.copy(folder / "Theremin00000.jpg", folder / "Theremin00001.jpg")
    store = bring_in(tree)
    assert reasons(store) == {}
    assert remarks(store) == {
        "test_without_seg/Theremin/video/Theremin00001.jpg": "copy, kept: the same content as "
        "test_without_seg/Theremin/video/Theremin00000.jpg"
    }


def test_a_foreign_prefix_throughout_is_a_way_of_naming(tree):
    folder = tree / "train" / "Kazoo" / "video"
    for path in folder.iterdir():
        path.rename(folder / path.name.replace("Kazoo", "violin"))
    store = bring_in(tree)
    assert reasons(store) == {}
    assert "begin with another class; kept" in remarks(store)["train/kazoo/video"]


def test_misspelt_folders_are_all_named_at_once(tree):
    (tree / "train/Violin/sound").rename(tree / "train/Violin/sounds")
    (tree / "train/Kazoo/video").rename(tree / "train/Kazoo/Vidoe")
    shutil.rmtree(tree / "test/Theremin/segment")
    (tree / "test_without_seg").rename(tree / "test_witout_seg")
    with pytest.raises(FolderError) as error:
        bring_in(tree)
    text = str(error.value)
    assert "Violin/sound is missing; there is 'sounds': rename it to 'sound'" in text
    assert "Kazoo/video is missing; there is 'Vidoe': rename it to 'video'" in text
    assert "Theremin/segment is missing; found instead: nothing" in text
    assert "test_without_seg is missing; there is 'test_witout_seg'" in text


def test_missing_empty_and_doubtful_folders(tree):
    with pytest.raises(FolderError, match="no such folder"):
        bring_in(tree / "nowhere")
    with pytest.raises(FolderError, match=r"needs a folder train, .*found 'Kazoo', 'Steelpan', 'Violin'"):
        bring_in(tree / "train")
    shutil.rmtree(tree / "test")
    assert remarks(bring_in(tree)) == {"test": "no folder: the store has nothing of test"}
    shutil.copytree(tree / "train" / "Kazoo", tree / "test_without_seg" / "kazoo")
    shutil.copytree(tree / "train" / "Violin", tree / "train" / "violin ")
    with pytest.raises(FolderError) as error:
        bring_in(tree)
    assert "kazoo: in train and in a test folder" in str(error.value)
    assert "are the same class (violin); merge them" in str(error.value)


def test_a_class_or_split_without_a_usable_file_is_an_error(tree):
    for path in (tree / "train/Kazoo/sound").iterdir():
        path.write_bytes(b"")
    with pytest.raises(FolderError, match=r"train is left without a usable sound of kazoo(.|\n)*0 bytes"):
        bring_in(tree)
    for path in (tree / "train/Kazoo/sound").iterdir():
        path.unlink()
    with pytest.raises(FolderError, match="Kazoo/sound is empty"):
        bring_in(tree)


def test_native_rate_must_be_one(tree):
    assert bring_in(tree, sample_rate="native").sample_rate == RATE
    shutil.rmtree(tree.parent / "store")
    write_audio(tree / "train/Violin/sound/Violin00000.wav", sound(5, 16000), 16000)
    with pytest.raises(FolderError, match="39 sounds at 8000 Hz, 1 sounds at 16000 Hz; name one"):
        bring_in(tree, sample_rate="native")
    shutil.rmtree(tree.parent / "store", ignore_errors=True)
    store = bring_in(tree, sample_rate=16000)
    assert store.sample_rate == 16000 and set(store.sounds("unseen").length) == {19200}
    assert "resampled from 8000 to 16000" in remarks(store)["train/Violin/sound/Violin00001.wav"]


def test_pickles_are_never_opened(tree, monkeypatch):
    def never(*_, **__):
        raise AssertionError("a pickle was opened")

    class Trap:
        def __reduce__(self):
            return exec, ("raise SystemExit('a pickle ran')",)

    (tree / "train_image_files.pickle").write_bytes(pickle.dumps(Trap()))
    monkeypatch.setattr(pickle, "load", never)
    monkeypatch.setattr(np, "load", never)
    assert "a pickle can run code" in remarks(bring_in(tree))["train_image_files.pickle"]


def test_the_same_bytes_from_one_and_two_processes_and_other_data_refused(tree):
    first = bring_in(tree)
    assert bring_in(tree).content_hash == first.content_hash
    twin = import_folders(
        tree, tree.parent / "twin", sample_rate=RATE, image_size=24, workers=2, progress=False
    )
    assert twin.content_hash == first.content_hash
    write_image(tree / "train/Violin/video/Violin00000.jpg", photo(31337))
    with pytest.raises(StoreError, match=r"other settings .*files"):
        bring_in(tree)
    assert bring_in(tree, rebuild=True).content_hash != first.content_hash


@pytest.mark.parametrize(
    "settings", [{"holdout": 1.0}, {"sample_rate": 100}, {"sample_rate": "fast"}, {"image_size": 4}]
)
def test_settings_are_checked(tree, settings):
    with pytest.raises(ValueError, match=str(next(iter(settings)))):
        bring_in(tree, **settings)


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("French_horn", "french horn"),
        ("Steelpan", "steel pan"),
        ("Drums", "drum"),
        ("Bongo drum", "bongo drum"),
        ("DOUBLE-BASS", "double bass"),
        ("Glass", "glass"),
    ],
)
def test_class_names(folder, name):
    assert class_name(folder) == name


def test_real_photos_and_recordings(real, tmp_path):
    """The official layout with real files; a part of it, for time."""
    source = real / "traindata"
    parts = {"train": ("Violin", "Steel drum", "Piano"), "test_without_seg": ("Tuba",), "test": ("Tuba",)}
    for split, names in parts.items():
        for name in names:
            (tmp_path / "data" / split).mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / split / name).symlink_to((source / split / name).resolve())
    store = import_folders(tmp_path / "data", tmp_path / "store", workers=1, progress=False)
    assert store.manifest["excluded"] == []
    assert [c["name"] for c in store.classes] == ["piano", "steel drum", "violin", "tuba"]
    assert store.splits["unseen"]["images"] == 20 and store.splits["scenes_unseen"]["sounds"] == 12
    assert {tuple(store.images("train").image(i).shape) for i in range(5)} == {(128, 128, 3)}
    assert abs(store.sounds("train").length / 16000 - 3.02).max() < 0.01
    assert 0 < store.images("scenes_unseen").objects(0).mean() < 1
    batch = PairBatches(store, "train", batch_size=16, image_crop=112, match="class").epoch(0)[0]
    assert batch["audio"].shape == (16, 16000)
