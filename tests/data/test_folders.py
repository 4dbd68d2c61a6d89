"""Folders from outside: every defect is reported with its file and reason, and nothing takes its place."""

import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llinet_lite.data.folders import FolderError, import_folders, report
from llinet_lite.data.media import write_audio, write_image
from llinet_lite.data.store import StoreError

SEEN, UNSEEN = ("Violin", "Steelpan", "Kazoo"), ("French_horn", "Theremin")
RATE = 8000


def photo(key: int) -> np.ndarray:
    """An image unlike any other."""
    return np.random.default_rng(key).integers(0, 255, (30, 40, 3), dtype=np.uint8)


def sound(key: int, rate=RATE, seconds=1.2) -> np.ndarray:
    """A sound unlike any other."""
    return 0.2 * np.random.default_rng(key).standard_normal(round(rate * seconds)).astype(np.float32)


def save(path: Path, mask: np.ndarray) -> None:
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


X, Y = np.meshgrid(np.arange(40), np.arange(30))
DISC = (X - 12) ** 2 + (Y - 15) ** 2 < 60


def make_tree(root: Path, photos=10, sounds=10) -> Path:
    """A sound data set of three seen and two unseen classes; train is paired if it has as many of both."""
    key = 0
    for split, names in (("train", SEEN), ("test_without_seg", UNSEEN), ("test", UNSEEN)):
        for name in names:
            folder = root / split / name
            for role in ("sound", "video", "segment")[: 3 if split == "test" else 2]:
                (folder / role).mkdir(parents=True)
            for k in range(photos if split == "train" else 4):
                key += 1
                write_image(folder / "video" / f"{name}{k:05d}.jpg", photo(key))
                if split == "test":
                    save(folder / "segment" / f"{name}{k:05d}.jpg", DISC)
            for k in range(sounds if split == "train" else 4):
                key += 1
                k += 20 * (split == "train" and sounds != photos and k > 1)  # names of their own
                write_audio(folder / "sound" / f"{name}{k:05d}.wav", sound(key), RATE)
    return root


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "data", sounds=8)


def bring_in(tree, **settings):
    shutil.rmtree(tree.parent / "store", ignore_errors=True)
    settings = {"sample_rate": RATE, "image_size": 24, "workers": 1, "progress": False, **settings}
    return import_folders(tree, tree.parent / "store", **settings)


def reasons(store, part="excluded") -> dict[str, str]:
    return {entry["file"]: entry["reason"] for entry in store.manifest[part]}


def remarks(store) -> dict[str, str]:
    return reasons(store, "warnings")


def used(store) -> set[str]:
    return {name for split in store.splits for name in store.images(split).id + store.sounds(split).id}


def stems(store, split) -> tuple[list[str], list[str]]:
    """Names of the images and of their sounds."""
    images, sounds = store.images(split), store.sounds(split)
    return [Path(name).stem for name in images.id], [Path(sounds.id[c]).stem for c in images.clip]


def check(said: dict[str, str], expected: dict[str, str]) -> None:
    assert set(said) == set(expected)
    for file, pattern in expected.items():
        assert re.search(pattern, said[file]), (file, said[file])


def test_a_good_tree(tree):
    store = bring_in(tree)
    assert store.manifest["excluded"] == [] and store.manifest["warnings"] == []
    names = [(c["name"], c["seen"]) for c in store.classes]
    assert names[:3] == [("kazoo", True), ("steel pan", True), ("violin", True)]
    assert names[3:] == [("french horn", False), ("theremin", False)]
    counts = {split: (facts["images"], facts["sounds"]) for split, facts in store.splits.items()}
    assert counts["unseen"] == counts["scenes_unseen"] == (8, 8)
    assert [sum(counts[s][k] for s in ("train", "val", "test")) for k in (0, 1)] == [30, 24]
    images, sounds = store.images("unseen"), store.sounds("unseen")
    assert np.equal(*map(np.array, stems(store, "unseen"))).all()
    np.testing.assert_array_equal(images.label, sounds.label[images.clip])
    assert (store.images("train").clip == -1).all() and (images.time == -1).all()
    mask = store.images("scenes_unseen").objects(3)
    assert mask.shape == (24, 32) == images.image(0).shape[:2] and images.objects(0) is None
    assert set(np.unique(mask)) == {0, 1} and 0.1 < mask.mean() < 0.2
    assert sounds.audio(0).std() / 32768 == pytest.approx(sound(1).std(), rel=0.1)
    assert "train: " in report(store) and "left out: 0" in report(store)


def test_held_out_files_depend_on_their_names_only(tmp_path):
    tree = make_tree(tmp_path / "data", photos=20, sounds=18)
    first = bring_in(tree)
    splits = {name: s for s in ("train", "val", "test") for name in first.images(s).id}
    for split in ("val", "test"):
        assert np.bincount(first.images(split).label).tolist() == [2, 2, 2]
        assert np.bincount(first.sounds(split).label).tolist() == [2, 2, 2]
    held = min(name for name, split in splits.items() if split != "train")
    (tree / held).write_bytes(b"broken")
    again = bring_in(tree)
    left = {name: s for s in ("train", "val", "test") for name in again.images(s).id}
    assert left == {name: split for name, split in splits.items() if name != held}
    assert list(bring_in(tree, holdout=0).splits) == ["train", "unseen", "scenes_unseen"]


def defects(tree: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Put one file of every defect into the tree: patterns of reasons of what is left out, and of remarks."""
    bad, odd = {}, {}

    def put(notes: dict, file: str, pattern: str, made=None, rate: int = RATE) -> None:
        notes[file], path = pattern, tree / file
        if isinstance(made, Path):
            shutil.copy(made, path)
        elif isinstance(made, bytes):
            path.write_bytes(made)
        elif made is not None and path.suffix in (".jpg", ".png"):
            (save if made.dtype == bool else write_image)(path, made)
        elif made is not None:
            write_audio(path, made, rate)

    v, s = (f"train/Violin/{role}/Violin001" for role in ("video", "sound"))
    t, a_sound = (
        "train/Steelpan/sound/Steelpan001",
        (tree / "train/Violin/sound/Violin00000.wav").read_bytes(),
    )
    first, recording, noise = tree / "train/Violin/video/Violin00000.jpg", sound(998), sound(999)
    put(bad, v + "00.jpg", r"empty \(0 bytes\)", b"")
    put(bad, v + "01.jpg", "no picture", b"hello")
    put(bad, v + "02.jpg", "truncated", first.read_bytes()[:-300])
    put(bad, v + "03.txt", "suffix must be one of .jpg", b"hello")
    put(bad, v + "04.png", "one flat color", np.full((30, 40, 3), 90, np.uint8))
    put(bad, "train/Violin/video/Kazoo00105.jpg", "name says kazoo, its folder says violin", photo(1001))
    put(bad, v + "06.jpg", "copy: the same content", first.with_stem("Violin00001"))
    other = "train/Kazoo/video/Kazoo00003.jpg"
    put(bad, v + "07.jpg", "same content lies under kazoo and violin", tree / other)
    put(bad, other, "same content lies under kazoo and violin")
    put(bad, s + "00.wav", r"empty \(0 bytes\)", b"")
    put(bad, s + "01.wav", "no sound", b"hello, this is no sound")
    put(bad, s + "02.wav", "truncated: the header", a_sound[:-5000])
    put(bad, s + "03.wav", "silent: -7", noise * 1e-3)
    put(bad, s + "04.wav", "too short: 0.50 s", noise[:4000])
    put(bad, s + "05.wav", "silent after the mix", np.stack([noise, -noise], 1))
    put(bad, "test_without_seg/French_horn/video/French_horn00000.jpg", "no picture", b"?")
    put(bad, "test_without_seg/French_horn/sound/French_horn00000.wav", "no partner: no picture of its name")
    put(bad, "test/French_horn/segment/French_horn00000.jpg", "mask is empty", DISC & False)
    (tree / "test/French_horn/segment/French_horn00001.jpg").unlink()
    for k in (0, 1):
        put(bad, f"test/French_horn/video/French_horn0000{k}.jpg", "no mask")
        put(bad, f"test/French_horn/sound/French_horn0000{k}.wav", "no partner")
    put(odd, t + "00.wav", "2 channels, mixed to one", np.stack([noise, recording], 1))
    put(odd, t + "01.flac", "clipped", np.clip(noise * 20, -1, 1))
    put(odd, t + "02.ogg", "resampled from 22050 to 8000", sound(2002, 22050), 22050)
    put(odd, t + "03.mp3", "resampled from 44100 to 8000", sound(2003, 44100), 44100)
    write_image(tree / "made.png", photo(2004))
    (tree / "made.png").rename(tree / "train/Steelpan/video/Steelpan00104.jpg")
    odd["train/Steelpan/video/Steelpan00104.jpg"] = "content is PNG, its name says JPEG"
    save(tree / "test/Theremin/segment/Theremin00002.jpg", DISC.repeat(2, 0).repeat(2, 1))
    odd["test/Theremin/video/Theremin00002.jpg"] = "mask of another size: 80 x 60"
    copied = tree / "test_without_seg/Theremin/video/Theremin00000.jpg"
    put(odd, "test_without_seg/Theremin/video/Theremin00001.jpg", "copy, kept: the same content as", copied)
    return bad, odd


def strays(tree: Path) -> dict[str, str]:
    """Put into the tree what has no place there: patterns of remarks."""

    class Trap:
        def __reduce__(self):
            return exec, ("raise SystemExit('a pickle ran')",)

    (tree / "train_image_files.pickle").write_bytes(pickle.dumps(Trap()))
    (tree / "extra/deep").mkdir(parents=True)
    (tree / "train/Steelpan/notes").mkdir()
    expected = {"train_image_files.pickle": "a pickle can run code"}
    expected |= dict.fromkeys(("extra", "train/Steelpan/notes"), "no part of the layout")
    (tree / "train/Kazoo/sound/more").mkdir()
    expected["train/Kazoo/sound/more"] = "a subfolder; its files belong"
    for place in ("gone", "train/Banjo", "train/Kazoo/video/lost.jpg"):
        (tree / place).symlink_to(tree / "nowhere")
        expected[place] = "broken link"
    return expected


def test_every_defect_is_reported_and_nothing_takes_its_place(tree):
    good = used(bring_in(tree, holdout=0))  # so that no class loses its only held-out file
    bad, odd = defects(tree)
    places = strays(tree)
    store = bring_in(tree, workers=2, holdout=0)
    check(reasons(store), bad)
    check(remarks(store), odd | places)
    assert used(store) == (good - set(bad)) | set(odd)


def test_the_first_usable_file_of_a_name_counts_and_every_other_has_its_reason(tree):
    segment, clips = "test/Theremin/segment/Theremin", "test_without_seg/Theremin/video/Theremin0000"
    for k in (0, 1, 77):  # the .jpg of 0 is first, and good
        save(tree / f"{segment}{k:05d}.png", X < 30)
    for file in (f"{segment}00001.jpg", "test/Theremin/video/Theremin00002.jpg", f"{clips}0.jpg"):
        (tree / file).write_bytes(b"broken")
    for k in (0, 1):
        write_image(tree / f"{clips}{k}.png", photo(3000 + k))
    write_image(tree / "train/Violin/video/Violin00000.png", photo(3003))  # no clips: both are used
    store = bring_in(tree)
    expected = {f"{segment}00000.png": f"ambiguous: {segment}00000.jpg has the same name"}
    expected |= {f"{clips}1.png": f"ambiguous: {clips}1.jpg has the same name"}
    lost = ("test/Theremin/video/Theremin00002.jpg", f"{segment}00001.jpg", f"{clips}0.jpg")
    expected |= dict.fromkeys(lost, "no picture that can be decoded")
    expected |= dict.fromkeys((f"{segment}00077.png", f"{segment}00002.jpg"), "no picture of its name")
    expected["test/Theremin/sound/Theremin00002.wav"] = "no partner"
    check(reasons(store), expected)
    images = store.images("scenes_unseen")
    share = {Path(images.id[i]).stem: images.objects(i).mean() for i in range(len(images))}
    assert share["Theremin00000"] < 0.2 and share["Theremin00001"] == pytest.approx(0.75, abs=0.05)
    assert {f"train/Violin/video/Violin00000.{kind}" for kind in ("jpg", "png")} <= used(store)


def test_train_with_the_same_names_is_paired_in_spite_of_copies_and_a_few_strays(tmp_path):
    tree = make_tree(tmp_path / "data", photos=20, sounds=20)
    first = bring_in(tree)
    v = tree / "train" / "Violin" / "video"
    shutil.copy(v / "Violin00003.jpg", v / "Kazoo00500.jpg")  # before it by name; its name says kazoo
    shutil.copy(v / "Violin00004.jpg", v / "Violin000000.jpg")  # before it by name; without a sound
    write_image(v / "Violin00100.jpg", photo(4100))
    store = bring_in(tree)
    names = {"Kazoo00500": "name says kazoo", "Violin000000": "copy", "Violin00100": "no partner"}
    check(reasons(store), {f"train/Violin/video/{name}.jpg": why for name, why in names.items()})
    assert store.manifest["warnings"] == []
    for split in ("train", "val", "test"):
        assert np.equal(*map(np.array, stems(store, split))).all()
        assert list(store.images(split).id) == list(first.images(split).id)
    for name in SEEN:
        for k in range(16, 20):
            (tree / "train" / name / "sound" / f"{name}{k:05d}.wav").unlink()
    (v / "Kazoo00500.jpg").unlink()
    store = bring_in(tree)
    assert "paired by class only: 48 of 62 names" in remarks(store)["train"]
    assert (store.images("train").clip == -1).all()


def test_a_foreign_prefix_throughout_is_a_way_of_naming_and_a_missing_split_is_remarked(tree):
    folder = tree / "train" / "Kazoo" / "video"
    for path in folder.iterdir():
        path.rename(folder / path.name.replace("Kazoo", "violin"))
    shutil.rmtree(tree / "test")
    store = bring_in(tree)
    naming = "naming: 10 of 10 file names begin with another class; kept"
    assert reasons(store) == {}
    assert remarks(store) == {"train/kazoo/video": naming, "test": "no folder: the store has nothing of test"}


def test_all_that_is_wrong_with_the_folders_is_named_at_once(tree):
    with pytest.raises(FolderError, match="no such folder"):
        bring_in(tree / "nowhere")
    with pytest.raises(FolderError, match=r"needs a folder train, .*found 'Kazoo', 'Steelpan', 'Violin'"):
        bring_in(tree / "train")
    shutil.copytree(tree / "train/Steelpan", tree / "test/Steel pan")
    shutil.copytree(tree / "train/Violin", tree / "train/violin ")
    (tree / "train/Violin/sound").rename(tree / "train/Violin/sounds")
    (tree / "train/Kazoo/video/in").mkdir(parents=True)
    for path in (tree / "train/Kazoo/video").glob("*.jpg"):
        path.rename(path.parent / "in" / path.name)
    shutil.rmtree(tree / "test/Theremin/segment")
    (tree / "test_without_seg").rename(tree / "test_witout_seg")
    (tree / "test_without_seg").symlink_to(tree / "nowhere")
    with pytest.raises(FolderError) as error:
        bring_in(tree)
    for text in (
        "Violin/sound is missing; there is 'sounds': rename it to 'sound'",
        "Kazoo/video is empty: it holds no file, only 'in'",
        "Theremin/segment is missing; found instead: nothing",
        "test_without_seg is missing; there is 'test_witout_seg'",
        "test_without_seg is a broken link",
        "steel pan: in train and in a test folder",
        "are the same class (violin); merge them",
    ):
        assert text in str(error.value)


@pytest.mark.parametrize("split", ["train", "val", "scenes_unseen"])
def test_a_class_that_vanishes_from_a_split_is_left_out_there_and_said(tree, split):
    name = "Theremin" if split == "scenes_unseen" else "Kazoo"
    store = bring_in(tree)
    lost = [file for file in store.images(split).id if name in file]
    mended = (tree / lost[0]).read_bytes()
    for file in lost:
        (tree / file).write_bytes(b"broken")
    store, label = bring_in(tree), name.lower()
    assert set(lost) <= set(reasons(store)) and not any(name in file for file in store.sounds(split).id)
    place, says = (label, "no class: not one picture") if split == "train" else (split, f"without {label}")
    assert says in remarks(store)[place]
    assert (label in [each["name"] for each in store.classes]) == (split != "train")
    (tree / lost[0]).write_bytes(mended)
    settings = {"sample_rate": RATE, "image_size": 24, "workers": 1, "progress": False}
    with pytest.raises(StoreError, match="--rebuild"):
        import_folders(tree, tree.parent / "store", **settings)
    assert lost[0] in used(import_folders(tree, tree.parent / "store", rebuild=True, **settings))


def test_nothing_that_can_be_used_is_an_error(tree):
    for path in tree.rglob("*.jpg"):
        path.write_bytes(b"broken")
    (tree.parent / "plan.json").write_text("my holidays")  # no import made it: all is left alone
    with pytest.raises(StoreError, match="other settings"):
        import_folders(tree, tree.parent, rebuild=True, progress=False)
    with pytest.raises(FolderError, match=r"not one class has(.|\n)*French_horn00000.jpg: is no picture"):
        bring_in(tree)
    assert [path.name for path in (tree.parent / "store").iterdir()] == [".lock"], "nothing is begun"


def test_the_same_bytes_from_two_processes_and_what_is_refused(tree):
    settings = {"sample_rate": RATE, "image_size": 24, "progress": False}
    first = import_folders(tree, tree.parent / "twin", workers=2, **settings)
    assert bring_in(tree).content_hash == first.content_hash
    write_image(tree / "train/Violin/video/Violin00000.jpg", photo(31337))
    with pytest.raises(StoreError, match=r"other settings .*files"):
        import_folders(tree, tree.parent / "twin", **settings)
    for wrong in ({"holdout": 1.0}, {"sample_rate": 100}, {"image_size": 4}):
        with pytest.raises(ValueError, match=str(next(iter(wrong)))):
            bring_in(tree, **wrong)


def test_real_photos_and_recordings(real, tmp_path):
    """The official layout with real files; a part of it, for time."""
    for part in ("train/Violin", "train/Steel drum", "train/Piano", "test_without_seg/Tuba", "test/Tuba"):
        (tmp_path / "data" / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / part).symlink_to((real / "traindata" / part).resolve())
    store = import_folders(tmp_path / "data", tmp_path / "store", workers=1, progress=False)
    assert store.manifest["excluded"] == []
    assert [c["name"] for c in store.classes] == ["piano", "steel drum", "violin", "tuba"]
    assert store.splits["unseen"]["images"] == 20 and store.splits["scenes_unseen"]["sounds"] == 12
    assert abs(store.sounds("train").length / 16000 - 3.02).max() < 0.01
    assert 0 < store.images("scenes_unseen").objects(0).mean() < 1
