"""Folders of videos: lists, splits and packing; every fault is told with its cause."""

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from test_media import EVENT, GRID, RATE, click, film, pictures

from llinet_lite.data import videos
from llinet_lite.data.batches import PairBatches
from llinet_lite.data.folders import FolderError
from llinet_lite.data.media import write_video
from llinet_lite.data.store import Store, StoreError
from llinet_lite.data.videos import holds_videos, import_videos, read_list, walk_videos, with_splits

SETTINGS = {"workers": 1, "progress": False, "image_size": 32, "frames": 2}
DRUM = {"unseen": ("bongo drum",), **SETTINGS}
FAULTS = {
    "deaf.mp4": ("no sound", "record or fetch it with sound"),
    "blind.mp4": ("no picture", "leave it out"),
    "silent.mp4": ("silent", "check its sound track"),
    "black.mp4": ("flat color", "check its picture track"),
    "short.mp4": ("too short: 0.80 s", "at least 1.2 s"),
    "garbage.mp4": ("broken", "fetch or export it again"),
    "empty.mp4": ("0 bytes", "fetch or export it again"),
    "cut.mp4": ("cut off before its index", "fetch or export it again"),
    "stops.mkv": ("truncated: its header promises 3.0 s", "fetch it again"),
    "twin.mp4": ("copy", "good0.mp4"),
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Two classes of good videos, and one of every fault."""
    root = tmp_path_factory.mktemp("videos") / "zoo"
    for k in range(10):
        film(root / ("Bongo_drum" if k % 2 else "Kazoo") / f"good{k}.mp4", seconds=1.6, rate=RATE, key=k)
    bad, times = root / "Kazoo", np.arange(75) / 25
    write_video(bad / "deaf.mp4", pictures(times, key=20), None)
    write_video(bad / "silent.mp4", pictures(times, key=21), np.zeros(48_000, np.float32), RATE)
    write_video(bad / "short.mp4", pictures(times[:20], key=22), click(0.8, RATE, 0.5), RATE)
    write_video(bad / "black.mp4", np.zeros((75, 48, 64, 3), np.uint8), click(3.0, RATE), RATE)
    with av.open(str(bad / "blind.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=RATE)
        frame = av.AudioFrame.from_ndarray(click(3.0, RATE)[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for part in (frame, None):
            container.mux(sound.encode(part))
    (bad / "garbage.mp4").write_bytes(bytes(range(256)) * 8)
    (bad / "empty.mp4").write_bytes(b"")
    for name, share in (("cut.mp4", 0.5), ("stops.mkv", 0.6)):
        whole = film(bad / name, key=23).read_bytes()
        (bad / name).write_bytes(whole[: round(len(whole) * share)])
    shutil.copy(bad / "good0.mp4", bad / "twin.mp4")
    film(bad / "upright.mp4", seconds=1.6, rate=RATE, key=25, turned=90)
    uneven = np.concatenate([np.arange(20) / 50, 0.4 + np.arange(25) / 20])
    write_video(bad / "uneven.mp4", pictures(uneven, key=26), click(1.7, RATE), RATE, times=uneven)
    (root / "notes.txt").write_text("hello")
    return root


@pytest.fixture(scope="module")
def store(zoo, tmp_path_factory):
    return import_videos(zoo, tmp_path_factory.mktemp("stores") / "zoo", **DRUM)


def test_every_fault_is_told_with_cause_and_fix(store):
    said = {Path(entry["file"]).name: entry["reason"] for entry in store.manifest["excluded"]}
    assert said.keys() == FAULTS.keys()
    for name, words in FAULTS.items():
        assert all(word in said[name] for word in words), (name, said[name])
    notes = [(entry["file"], entry["reason"]) for entry in store.manifest["warnings"]]
    assert "variable frame rate: 20 to 50 ms" in dict(notes)["Kazoo/uneven.mp4"]
    assert "1 files (.txt) are no videos" in dict(notes)["notes.txt"]
    upright = [text.split(":")[0] for file, text in notes if file == "Kazoo/upright.mp4"]
    assert upright == ["portrait", "turned"]


def test_the_store_is_what_training_takes(store):
    classes = [(entry["name"], entry["seen"]) for entry in store.classes]
    assert classes == [("kazoo", True), ("bongo drum", False)]
    counts = {split: n["sounds"] for split, n in store.splits.items()}
    assert counts == {"train": 5, "val": 1, "test": 1, "unseen": 5}
    store.verify()
    for split in store.splits:
        images, sounds = store.images(split), store.sounds(split)
        for k, name in enumerate(images.id):
            tall = 64 / 48 if "upright" in name else 48 / 64
            height, width = images.image(k).shape[:2]
            assert min(height, width) == 32 and height / width == pytest.approx(tall, rel=0.04)
            assert name.startswith(sounds.id[images.clip[k]])
        assert (np.diff(images.clip) >= 0).all() and set(images.clip) == set(range(len(sounds)))
        assert (images.label == sounds.label[images.clip]).all() and set(images.kind) == {"video"}
        steps = images.time / GRID
        assert np.abs(steps - np.rint(steps)).max() < 1e-3 and (images.time >= 0.5).all()
        assert (images.time <= sounds.length[images.clip] / RATE - 0.5 + 1e-6).all()
    pairs = PairBatches(store, "train", batch_size=4, image_crop=32, pairs="all", match="clip")
    assert pairs.epoch(0)[0]["audio"].shape == (4, RATE)


def test_a_killed_import_goes_on_and_other_settings_are_refused(zoo, store, tmp_path, monkeypatch):
    calls, real = [], videos._read_clips

    def dies(path, item, settings):
        calls.append(item.file)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return real(path, item, settings)

    monkeypatch.setattr(videos, "_read_clips", dies)
    with pytest.raises(KeyboardInterrupt):
        import_videos(zoo, tmp_path / "s", **DRUM)
    with pytest.raises(StoreError, match="begun but not finished"):
        Store(tmp_path / "s")
    calls[:] = [""] * 10
    again = import_videos(zoo, tmp_path / "s", **DRUM)
    assert len(calls) == 10 + 22 - 8  # one task of eight was finished
    assert again.content_hash == store.content_hash
    there = {path.name for path in (tmp_path / "s").iterdir() if path.name[0] != "."}
    assert there == {"manifest.json", "plan.json", *again.splits}
    import_videos(zoo, tmp_path / "s", **DRUM)
    assert len(calls) == 24  # nothing changed, nothing read
    with pytest.raises(StoreError, match="other settings"):
        import_videos(zoo, tmp_path / "s", **SETTINGS)


def test_two_processes_give_the_same_bytes_and_say_what_they_do(zoo, store, tmp_path, capsys, monkeypatch):
    again = import_videos(zoo, tmp_path / "s", **DRUM | {"workers": 2, "progress": True})
    assert again.content_hash == store.content_hash
    assert again.manifest["excluded"] == store.manifest["excluded"]
    said = capsys.readouterr().err
    for text in ("zoo: 22 videos", "GB -> s", "left out: 10", "1 x too short"):
        assert text in said
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StoreError, match="another disk"):
        import_videos(zoo, tmp_path / "small", **SETTINGS)


def test_long_videos_become_clips_of_one_split(tmp_path):
    for k in range(3):
        film(tmp_path / "v" / f"long{k}.mp4", seconds=4.6, rate=RATE, key=k)
    store = import_videos(tmp_path / "v", tmp_path / "s", seconds=2.0, **SETTINGS)
    assert {split: n["sounds"] for split, n in store.splits.items()} == {"train": 2, "val": 2, "test": 2}
    for split in store.splits:
        sounds = store.sounds(split)
        assert [sounds.factors(k)["start"] for k in range(2)] == [0.0, 2.0]
        assert len({name.split("@")[0] for name in sounds.id}) == 1
        assert sounds.length.tolist() == [2 * RATE, 2 * RATE]
        assert np.abs(sounds.audio(0).astype(float)).argmax() / RATE == pytest.approx(EVENT, abs=2 / RATE)


# ------------------------------------------------------------- lists and splits


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_audiosets_list(tmp_path):
    touch(tmp_path, "--PJHxphWEs_000030.mp4", "-0RWZT-miFs.mp4", "stranger00x.mp4")
    (tmp_path / "eval.csv").write_text(
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n-0RWZT-miFs, 420.000, 430.000, "/m/09x0r"\n'
        'goneGONEgon, 0.000, 10.000, "/m/0xyz"\n'
    )
    table = "index,mid,display_name\n0,/m/09x0r,Speech\n1,/t/dd00088,Gush\n"
    (tmp_path / "class_labels_indices.csv").write_text(table)
    (first, second), excluded, remarks = walk_videos(tmp_path)
    assert (first.name, first.labels, first.label) == ("--PJHxphWEs", ("speech", "gush"), "gush")
    assert first.span is None  # its name says that it is cut
    assert (second.label, second.span) == ("speech", (420.0, 430.0))
    assert excluded == {"stranger00x.mp4": "not listed: eval.csv has no row for it"}
    said = " ".join(text for _, text in remarks)
    assert "1 of 3 rows have no file in the folder (goneGONEgon)" in said
    assert "the rarest is their class" in said


def test_vggsounds_list_and_its_split(tmp_path):
    touch(tmp_path, *(f"id{k:09d}_000010.mp4" for k in range(12)))
    labels = ("dog barking", '"playing, bongo"')
    rows = [f"id{k:09d},10,{labels[k % 2]},{'test' if k > 8 else 'train'}" for k in range(12)]
    (tmp_path / "vggsound.csv").write_text("\n".join(rows))
    items, _, _ = walk_videos(tmp_path)
    assert {item.label for item in items} == {"playing bongo", "dog barking"}
    items, _ = with_splits(items, 0.4, ())
    assert not any(item.reason for item in items)
    assert sorted(item.name for item in items if item.split == "test") == [f"id{k:09d}" for k in (9, 10, 11)]
    assert sum(item.split == "val" for item in items) == 2  # one of each class, from the list's train


@pytest.mark.parametrize(("content", "says"), [
    *(
        (f"# comment\nok,10,dog,train\n{row}\n".encode(), "line 3")
        for row in ("id,ten,dog,train", "id,10")
    ),
    *(
        (f"{row}\n".encode(), "line 1")
        for row in ('id,10,5.0,"a"', "id,10,dog,training", "id,nan,dog,train")
    ),
    (b'id,0,inf,"dog"\n', "line 1"),
    (b"ok,10,dog,train\n" + "id,10,caf\u00e9,train\n".encode("cp1252"), "not in UTF-8.*save it"),
    (b'id,10,20,"dog\n' + b"id,10,dog,train\n" * 10_000, "no csv.*quotation mark"),
])  # fmt: skip
def test_what_makes_a_list_unreadable_is_said_with_its_name(tmp_path, content, says):
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(FolderError, match=rf"list\.csv.*{says}"):
        read_list(path)


def test_an_uncut_video_gives_the_part_that_is_asked_for(tmp_path):
    film(tmp_path / "v" / "uncut.mp4", seconds=5.0, rate=RATE)
    (tmp_path / "v" / "list.csv").write_text('uncut, 1.0, 3.0, "a"\n')
    sounds = import_videos(tmp_path / "v", tmp_path / "s", **SETTINGS).sounds("train")
    assert sounds.factors(0)["start"] == 1.0 and sounds.length[0] == 2 * RATE
    loudest = np.abs(sounds.audio(0).astype(float)).argmax()
    assert loudest / RATE == pytest.approx(EVENT - 1.0, abs=2 / RATE)


def test_classes_are_the_folders_and_the_splits_may_be(tmp_path):
    names = ["train/dog/a.mp4", "test/dog/b.mp4", "val/cat/c.mkv", "unseen/emu/d.mp4", "e.mp4"]
    items, _, _ = walk_videos(touch(tmp_path, *names))
    assert {item.file: (item.split, item.label) for item in items} == {
        **{name: tuple(name.split("/")[:2]) for name in names[:4]}, "e.mp4": ("", "unlabelled"),
    }  # fmt: skip


def test_a_hash_of_the_name_decides_and_no_video_is_in_two_splits(tmp_path):
    names = [f"{label}/{label}{k}.mp4" for label in ("dog", "cat") for k in range(20)]
    items, _, _ = walk_videos(touch(tmp_path, *names))
    placed, _ = with_splits(items, 0.2, ())
    for label in ("dog", "cat"):
        splits = [item.split for item in placed if item.label == label]
        assert [splits.count(split) for split in ("train", "val", "test")] == [16, 2, 2]
    turned, _ = with_splits(items[::-1], 0.2, ())
    assert {i.file: i.split for i in turned} == {i.file: i.split for i in placed}
    twice = [*items, *walk_videos(touch(tmp_path / "more", "emu/dog3.mp4"))[0]]  # of that name, unseen
    reasons = {item.file: item.reason for item in with_splits(twice, 0.2, ("emu",))[0]}
    assert reasons["dog/dog3.mp4"].startswith("crosses splits") and not reasons["emu/dog3.mp4"]


@pytest.mark.parametrize(("files", "settings", "says"), [
    (["dog/a.mp4"], {"unseen": ("Emu",)}, "class emu: there are dog"),
    (["a.mp4"], {}, r"not one video can be used(.|\n)*a\.mp4: broken"),
    (["a.txt"], {}, "no video in it"),
    (["a.mp4", "one.csv", "two.csv"], {}, r"one\.csv, two\.csv.*--list"),
    (["a.mp4", "class_labels_indices.csv", "l.csv"], {}, "no row of a list|has no column 'mid'"),
    (["a.mp4"], {"sample_rate": 11_026}, "sample_rate"),
    (["a.mp4"], {"frames": 0}, "frames"),
    (["a.mp4"], {"holdout": 1.0}, "holdout"),
    (["a.mp4"], {"seconds": 1.0}, "seconds"),
])  # fmt: skip
def test_refusals(tmp_path, files, settings, says):
    with pytest.raises(ValueError, match=says):
        import_videos(touch(tmp_path / "v", *files), tmp_path / "s", **SETTINGS | settings)


def test_the_command_takes_a_folder_of_videos(zoo, tmp_path, capsys):
    from llinet_lite.__main__ import main

    arguments = f"import {zoo} --out {tmp_path / 's'} --image-size 32 --sample-rate 16000 --workers 1"
    assert not holds_videos(touch(tmp_path / "photos", "train/dog/video/a.mp4", "train/dog/sound/a.wav"))
    with pytest.raises(SystemExit, match="0"):
        main([*arguments.split(), "--unseen", "Bongo drum"])
    assert "unseen 20 images 5 sounds; 10 files left out" in capsys.readouterr().out


def test_real_clips(real, tmp_path):
    (tmp_path / "v").mkdir()
    names = ("dog__avsync_0", "hammering__avsync_2", "flute_and_plucked_lute__00W1lcxW-WU_000040")
    for name in (f"{name}.mp4" for name in names):
        shutil.copy(real / "video" / name, tmp_path / "v" / name)
    boxes = json.loads((real / "annotations" / "video_boxes.json").read_text())
    store = import_videos(tmp_path / "v", tmp_path / "s", **SETTINGS)
    assert not store.manifest["excluded"] and set(store.splits) == {"train", "val", "test"}
    for split in store.splits:
        sounds = store.sounds(split)
        known, facts = boxes[Path(sounds.id[0].split("@")[0]).stem], sounds.factors(0)
        assert facts["size"] == [known["width"], known["height"]]
        assert facts["rate"] == pytest.approx(known["fps"], abs=0.05)
        assert sounds.length[0] / RATE == pytest.approx(known["seconds"], abs=0.08)
        assert np.abs(sounds.audio(0).astype(float)).max() > 500
