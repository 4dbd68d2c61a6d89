"""Folders from outside: what has no place, no name or no partner is never passed over in silence."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_folders import RATE, SEEN, bring_in, make_tree, photo, reasons, remarks, sound

from llinet_lite.data.folders import FolderError
from llinet_lite.data.media import write_audio, write_image


@pytest.fixture
def tree(tmp_path):
    return make_tree(tmp_path / "data", sounds=8)


def test_what_lies_in_the_wrong_place_has_an_entry(tree):
    (tree / "extra" / "deep").mkdir(parents=True)
    (tree / "gone").symlink_to(tree / "nowhere")
    (tree / "train" / "Banjo").symlink_to(tree / "nowhere")
    expected = {"extra": "no part of the layout", "gone": "broken link", "train/Banjo": "broken link"}
    for place in ("train/Kazoo/sound", "train/Kazoo/video", "test/Theremin/segment"):
        (tree / place / "more").mkdir()
        (tree / place / "lost.jpg").symlink_to(tree / "nowhere.jpg")
        expected |= {f"{place}/more": "a subfolder; its files belong", f"{place}/lost.jpg": "broken link"}
    said = remarks(bring_in(tree))
    assert set(said) == set(expected)
    for file, pattern in expected.items():
        assert pattern in said[file], (file, said[file])


def test_a_role_with_only_a_subfolder_and_a_broken_split_are_errors(tree):
    sounds = tree / "train/Kazoo/sound"
    sounds.rename(tree / "aside")
    sounds.mkdir()
    (tree / "aside").rename(sounds / "wav")
    shutil.rmtree(tree / "test")
    (tree / "test").symlink_to(tree / "nowhere")
    with pytest.raises(FolderError) as error:
        bring_in(tree)
    assert "Kazoo/sound is empty: it holds no file, only 'wav'" in str(error.value)
    assert "test is a broken link" in str(error.value)


def test_the_first_usable_mask_counts_and_every_other_has_its_reason(tree):
    folder = tree / "test" / "Theremin" / "segment"
    other = np.where(np.arange(40) < 30, 255, 0).astype(np.uint8)[None].repeat(30, 0)  # three quarters
    Image.fromarray(other).save(folder / "Theremin00000.png")  # the .jpg is first, and good
    (folder / "Theremin00001.jpg").write_bytes(b"broken")
    Image.fromarray(other).save(folder / "Theremin00001.png")
    Image.fromarray(other).save(folder / "Theremin00077.png")
    (tree / "test/Theremin/video/Theremin00002.jpg").write_bytes(b"broken")
    store = bring_in(tree)
    found = reasons(store)
    place = "test/Theremin/segment/Theremin"
    assert found[f"{place}00000.png"] == f"ambiguous: {place}00000.jpg has the same name"
    assert found[f"{place}00077.png"].startswith("no picture of its name")
    assert found[f"{place}00002.jpg"].startswith("no picture of its name")
    assert "no picture" in found[f"{place}00001.jpg"] and f"{place}00001.png" not in found
    images = store.images("scenes_unseen")
    share = {Path(images.id[i]).name: images.objects(i).mean() for i in range(len(images))}
    assert share["Theremin00000.jpg"] < 0.2 and share["Theremin00001.jpg"] == pytest.approx(0.75, abs=0.05)
    assert "Theremin00002.jpg" not in share


def test_a_name_is_ambiguous_only_among_usable_files_of_clips(tree):
    by_class = tree / "train" / "Violin" / "video"
    write_image(by_class / "Violin00000.png", photo(3000))
    clips = tree / "test_without_seg" / "Theremin" / "video"
    (clips / "Theremin00000.jpg").write_bytes(b"broken")
    write_image(clips / "Theremin00000.png", photo(3001))
    write_image(clips / "Theremin00001.png", photo(3002))
    store = bring_in(tree)
    found = reasons(store)
    place = "test_without_seg/Theremin/video/Theremin0000"
    assert set(found) == {f"{place}0.jpg", f"{place}1.png"}
    assert found[f"{place}1.png"] == f"ambiguous: {place}1.jpg has the same name"
    assert f"{place}0.png" in store.images("unseen").id
    used = [name for split in ("train", "val", "test") for name in store.images(split).id]
    assert {f"train/Violin/video/Violin00000.{kind}" for kind in ("jpg", "png")} <= set(used)


def test_a_good_file_is_no_copy_of_an_excluded_one(tmp_path):
    tree = make_tree(tmp_path / "data", photos=20, sounds=20)
    v = tree / "train" / "Violin" / "video"
    shutil.copy(v / "Violin00003.jpg", v / "Kazoo00500.jpg")  # before it by name; its name says kazoo
    shutil.copy(v / "Violin00004.jpg", v / "Violin000000.jpg")  # before it by name; without a sound
    found = reasons(bring_in(tree))
    assert set(found) == {"train/Violin/video/Kazoo00500.jpg", "train/Violin/video/Violin000000.jpg"}
    assert "name says kazoo" in found["train/Violin/video/Kazoo00500.jpg"]


def test_a_few_strays_leave_train_paired(tmp_path):
    tree = make_tree(tmp_path / "data")
    first = bring_in(tree)
    for k in (100, 101):
        write_image(tree / f"train/Violin/video/Violin{k:05d}.jpg", photo(4000 + k))
    write_audio(tree / "train/Kazoo/sound/Kazoo00100.wav", sound(4200), RATE)
    shutil.rmtree(tree.parent / "store")
    store = bring_in(tree)
    found = reasons(store)
    assert len(found) == 3 and all(text.startswith("no partner") for text in found.values())
    assert store.manifest["warnings"] == []
    for split in ("train", "val", "test"):
        images, sounds = store.images(split), store.sounds(split)
        assert [Path(name).stem for name in images.id] == [Path(sounds.id[c]).stem for c in images.clip]
        assert list(images.id) == list(first.images(split).id)


def test_many_strays_are_paired_by_class_with_a_reason(tmp_path):
    store = bring_in(make_tree(tmp_path / "data", photos=10, sounds=26))  # 12 of 26 names are not shared
    assert store.manifest["warnings"] == []
    tree = make_tree(tmp_path / "more" / "data")
    for name in SEEN:
        for k in (8, 9):
            (tree / "train" / name / "sound" / f"{name}{k:05d}.wav").unlink()
    store = bring_in(tree)
    assert reasons(store) == {} and (store.images("train").clip == -1).all()
    assert "paired by class only: 24 of 30 names" in remarks(store)["train"]


@pytest.mark.parametrize("split", ["val", "test", "scenes_unseen"])
def test_a_class_that_vanishes_from_any_split_is_an_error(tree, split):
    store = bring_in(tree)
    lost = [name for name in store.images(split).id if "Kazoo" in name or "Theremin" in name]
    for name in lost:
        (tree / name).write_bytes(b"broken")
    shutil.rmtree(tree.parent / "store")
    name = "theremin" if split == "scenes_unseen" else "kazoo"
    with pytest.raises(
        FolderError, match=f"split {split} is left without a usable picture of {name}"
    ) as error:
        bring_in(tree)
    assert lost[0] in str(error.value) and "mend or add files" in str(error.value)
