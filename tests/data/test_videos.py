"""Folders of videos: sound and picture stay together, and every fault is told with its cause."""

import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from scipy.signal import resample_poly

from llinet_lite.data import parallel, videos
from llinet_lite.data.batches import EvaluationSet, PairBatches
from llinet_lite.data.folders import FolderError
from llinet_lite.data.media import MediaError, cut_video, probe_video, write_video
from llinet_lite.data.store import Store, StoreError
from llinet_lite.data.videos import holds_videos, import_videos, read_list, walk_videos, with_splits

RATE, GRID = 16_000, 0.04
EVENT = 1.48  # seconds: frame 37
SETTINGS = {"workers": 1, "progress": False, "image_size": 32, "frames": 2}


def pictures(times, flash=EVENT, size=(64, 48), key=0) -> np.ndarray:
    """Dark noise; bright from the flash on for a twelfth of a second."""
    dark = np.random.default_rng(key).integers(0, 80, (size[1], size[0], 3), dtype=np.uint8)
    lit = (np.asarray(times) >= flash - 1e-6) & (np.asarray(times) < flash + 1 / 12)
    return np.stack([dark + np.uint8(150 * on) for on in lit])


def click(seconds: float, rate: int, at=EVENT, key=0) -> np.ndarray:
    """Faint noise with one loud sample."""
    wave = 0.01 * np.random.default_rng(key).standard_normal(round(seconds * rate))
    wave[round(at * rate)] = 0.9
    return wave.astype(np.float32)


def film(path: Path, seconds=3.0, rate=44_100, key=0, **settings) -> Path:
    """A whole video of 25 pictures per second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(seconds * 25)) / 25
    write_video(path, pictures(times, key=key), click(seconds, rate, key=key), rate, **settings)
    return path


def when(path, start, seconds) -> tuple[float, float]:
    """When the flash is seen (on the 0.04 s grid) and the click is heard, seconds on the file's clock."""
    times = np.arange(0, seconds - 0.02, GRID)
    images, wave = cut_video(path, start, seconds, times, RATE)
    lit = [image.mean() > 100 for image in images]
    return start + times[lit.index(True)], start + np.abs(wave).argmax() / RATE


# ------------------------------------------------------------------- synchrony


@pytest.mark.parametrize("rate", [44_100, 48_000, 16_000])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_flash_and_click_come_together(tmp_path, suffix, rate):
    path = film(tmp_path / f"a{suffix}", rate=rate)
    for start, seconds in ((0.0, 3.0), (0.6, 2.0), (1.0, 1.2)):
        seen, heard = when(path, start, seconds)
        assert seen == pytest.approx(EVENT, abs=1e-6), (start, seen)
        assert heard == pytest.approx(EVENT, abs=2 / RATE), (start, heard)


def test_a_variable_frame_rate_is_placed_by_its_time_stamps(tmp_path):
    steps = np.tile([0.02, 0.02, 0.1, 0.05], 20)  # counting frames would put them elsewhere
    times = np.concatenate([[0], np.cumsum(steps)])
    times = times[times < 3]
    flash = times[times >= 1.4][0]
    path = tmp_path / "varies.mp4"
    write_video(path, pictures(times, flash), click(3.0, 48_000, flash), 48_000, times=times)
    info = probe_video(path)
    assert info.varies and info.steps == pytest.approx((0.02, 0.1), abs=1e-3)
    seen, heard = when(path, 0.0, 2.9)
    assert 0 <= seen - flash < GRID  # the first moment of the grid at which it is shown
    assert heard == pytest.approx(flash, abs=2 / RATE)
    assert abs(30 * 0.04 - flash) > GRID  # its number is far from its time: counting would be seen here
    every = np.arange(0, 2.8, GRID)
    images, _ = cut_video(path, 0.0, 2.9, every, RATE)
    assert [image.mean() > 100 for image in images] == [
        bool(pictures([times[times <= t + 1e-3][-1]], flash).mean() > 100) for t in every
    ]


def test_streams_that_do_not_begin_together_keep_their_offset(tmp_path):
    """The picture comes 0.3 s late, by an amount that is no whole number of samples after resampling."""
    late = 0.30021
    times = late + np.arange(70) / 25
    path = tmp_path / "late.mp4"
    flash = times[30]
    write_video(path, pictures(times, flash), click(3.0, 44_100, flash), 44_100, times=times)
    info = probe_video(path)
    assert info.start == pytest.approx(late, abs=1e-3) and info.lead == pytest.approx(-late, abs=1e-3)
    seen, heard = when(path, info.start, 2.4)
    assert 0 <= seen - flash + 1e-3 < GRID and heard == pytest.approx(flash, abs=2 / RATE)
    wave = cut_video(path, info.start, 2.4, [1.0], 44_100)[1]
    whole = cut_video(path, info.start, 2.4, [1.0], RATE)[1]
    oracle = resample_poly(wave.astype(np.float64), 160, 441)  # another resampler: polyphase, SciPy's
    n = min(len(oracle), len(whole)) - 400
    lag = np.correlate(whole[400:n], oracle[400:n], "full").argmax() - (n - 401)
    assert lag == 0
    assert np.corrcoef(whole[400:n], oracle[400:n])[0, 1] > 0.98  # half a sample off: 0.64


def test_the_sound_of_a_later_clip_is_that_of_the_whole_file(tmp_path):
    path = film(tmp_path / "a.mp4", seconds=3.0, rate=48_000)
    whole = cut_video(path, 0.0, 3.0, [1.0], RATE)[1]
    later = cut_video(path, 1.25, 1.2, [0.6], RATE)[1]
    inner = slice(200, -200)
    np.testing.assert_allclose(later[inner], whole[20_000 : 20_000 + len(later)][inner], atol=2e-3)


def raw_video(path, seconds, codecs, tracks=1, longer=0.0) -> Path:
    """A video of other formats than :func:`write_video` writes, its last track longer by some seconds."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream(codecs[0], rate=25, width=64, height=48, pix_fmt="yuv420p")
        sounds = [container.add_stream(codecs[1], rate=48_000, layout="mono") for _ in range(tracks)]
        for image in pictures(np.arange(round(25 * seconds)) / 25):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(picture.encode())
        for k, sound in enumerate(sounds):
            length = seconds + longer * (k == tracks - 1)
            wave = (click(length, 48_000) * 30_000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            frame.sample_rate = 48_000
            resampler = av.AudioResampler(
                sound.codec_context.format, "mono", 48_000, sound.frame_size or 1152
            )
            for part in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(sound.encode(part))
            container.mux(sound.encode())
    return path


def test_a_jump_into_a_program_stream_is_no_damage(tmp_path):
    """After a jump the first piece of sound of an .mpg is torn; it lies before the clip."""
    path = raw_video(tmp_path / "a.mpg", 16.0, ("mpeg2video", "mp2"))
    first = probe_video(path).start
    for start in (first, first + 5.0, first + 10.0):
        images, wave = cut_video(path, start, 2.0, [0.0, 1.0], RATE)
        assert len(images) == 2 and len(wave) == 2 * RATE


def test_another_track_may_be_longer(tmp_path):
    path = raw_video(tmp_path / "a.mp4", 3.0, ("mpeg4", "aac"), tracks=2, longer=1.5)
    assert probe_video(path).end == pytest.approx(3.0, abs=0.1)


# -------------------------------------------------------------------- pictures


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_pictures_are_upright(tmp_path, turned):
    stored = np.zeros((30, 48, 64, 3), np.uint8) + np.uint8(20)
    stored[:, :24, :32] = 220  # bright corner, top left
    path = tmp_path / "turned.mp4"
    write_video(path, stored, click(1.2, RATE, 0.5), RATE, turned=turned)
    info, image = probe_video(path), cut_video(path, 0.0, 1.1, [0.5], RATE)[0][0]
    assert (info.width, info.height) == ((64, 48), (48, 64))[turned in (90, 270)] == image.shape[1::-1]
    assert info.turned == turned and (info.height > info.width) == (turned in (90, 270))
    corners = {"top left": image[5, 5], "bottom left": image[-5, 5], "bottom right": image[-5, -5]}
    corners["top right"] = image[5, -5]
    where = {0: "top left", 90: "bottom left", 180: "bottom right", 270: "top right"}  # counter-clockwise
    assert max(corners, key=lambda name: corners[name].mean()) == where[turned]


def test_pixels_that_are_not_square_are_stretched(tmp_path):
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        picture, sound = container.add_stream("mpeg4", rate=25), container.add_stream("aac", rate=RATE)
        picture.width, picture.height, picture.pix_fmt = 48, 48, "yuv420p"
        picture.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for image in pictures(np.arange(40) / 25, size=(48, 48)):
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(picture.encode())
        frame = av.AudioFrame.from_ndarray(click(1.6, RATE)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        for part in (frame, None):
            container.mux(sound.encode(part))
    info = probe_video(path)
    assert not info.square and (info.width, info.height) == (64, 48)
    assert cut_video(path, 0.0, 1.2, [0.5], RATE)[0][0].shape == (48, 64, 3)


# ----------------------------------------------------------------- whole folder


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Two classes of good videos, and one of every fault."""
    root = tmp_path_factory.mktemp("videos") / "zoo"
    for k in range(10):
        film(root / ("Bongo_drum" if k % 2 else "Kazoo") / f"good{k}.mp4", seconds=1.6, rate=RATE, key=k)
    bad = root / "Kazoo"
    times = np.arange(75) / 25
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
    whole = film(root / "Kazoo" / "cut.mp4", key=23).read_bytes()
    (bad / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    film(bad / "stops.mkv", key=24)
    whole = (bad / "stops.mkv").read_bytes()
    (bad / "stops.mkv").write_bytes(whole[: len(whole) * 6 // 10])
    shutil.copy(bad / "good0.mp4", bad / "twin.mp4")
    film(bad / "upright.mp4", seconds=1.6, rate=RATE, key=25, turned=90)
    uneven = np.concatenate([np.arange(20) / 50, 0.4 + np.arange(25) / 20])
    write_video(bad / "uneven.mp4", pictures(uneven, key=26), click(1.7, RATE), RATE, times=uneven)
    (root / "notes.txt").write_text("hello")
    return root


@pytest.fixture(scope="module")
def store(zoo, tmp_path_factory):
    return import_videos(zoo, tmp_path_factory.mktemp("stores") / "zoo", unseen=("bongo drum",), **SETTINGS)


def test_every_fault_is_told_with_cause_and_fix(store):
    said = {Path(entry["file"]).name: entry["reason"] for entry in store.manifest["excluded"]}
    expected = {
        "deaf.mp4": ("no sound", "record or fetch it with sound"),
        "blind.mp4": ("no picture", "leave it out"),
        "silent.mp4": ("silent", "check its sound track"),
        "black.mp4": ("flat colour", "check its picture track"),
        "short.mp4": ("too short: 0.80 s", "at least 1.2 s"),
        "garbage.mp4": ("broken", "fetch or export it again"),
        "empty.mp4": ("0 bytes", "fetch or export it again"),
        "cut.mp4": ("cut off before its index", "fetch or export it again"),
        "stops.mkv": ("truncated: its header promises 3.0 s", "fetch it again"),
        "twin.mp4": ("copy", "good0.mp4"),
    }
    assert said.keys() == expected.keys()
    for name, words in expected.items():
        assert all(word in said[name] for word in words), (name, said[name])


def test_what_is_used_and_worth_a_word_is_remarked(store):
    notes = {entry["file"]: entry["reason"] for entry in store.manifest["warnings"]}
    assert "variable frame rate: 20 to 50 ms" in notes["Kazoo/uneven.mp4"]
    assert "1 files (.txt) are no videos" in notes["notes.txt"]
    upright = [w["reason"] for w in store.manifest["warnings"] if w["file"] == "Kazoo/upright.mp4"]
    assert [text.split(":")[0] for text in upright] == ["portrait", "turned"]


def test_the_store_is_what_training_takes(store):
    assert [entry["name"] for entry in store.classes] == ["kazoo", "bongo drum"]
    assert [entry["seen"] for entry in store.classes] == [True, False]
    assert {split: n["sounds"] for split, n in store.splits.items()} == {
        "train": 5, "val": 1, "test": 1, "unseen": 5,
    }  # fmt: skip
    store.verify()
    for split in store.splits:
        images, sounds = store.images(split), store.sounds(split)
        assert set(images.kind) == {"video"} and min(images.image(0).shape[:2]) == 32
        assert (np.diff(images.clip) >= 0).all() and set(images.clip) == set(range(len(sounds)))
        assert (images.label == sounds.label[images.clip]).all()
        steps = images.time / GRID
        assert np.abs(steps - np.rint(steps)).max() < 1e-3
        assert (images.time >= 0.5).all() and (
            images.time <= sounds.length[images.clip] / RATE - 0.5 + 1e-6
        ).all()
        for image, clip in zip(images.id, images.clip, strict=True):
            assert image.startswith(sounds.id[clip])
    pairs = PairBatches(store, "train", batch_size=4, image_crop=32, pairs="all", match="clip")
    batch = pairs.epoch(0)[0]
    assert batch["image"].shape == (4, 32, 32, 3) and batch["audio"].shape == (4, RATE)
    assert len(set(batch["group"].tolist())) == 4
    assert len(EvaluationSet(store, "unseen", batch_size=4, image_crop=32).rows.label) == 10


def test_portrait_videos_keep_their_proportions(store):
    rows = [k for k, name in enumerate(store.images("train").id) if "upright" in name]
    split = (
        "train" if rows else next(s for s in store.splits if any("upright" in i for i in store.images(s).id))
    )
    row = next(k for k, name in enumerate(store.images(split).id) if "upright" in name)
    height, width = store.images(split).image(row).shape[:2]
    assert width == 32 and height == pytest.approx(32 * 64 / 48, abs=1)


def test_the_bytes_do_not_depend_on_which_process_is_first(zoo, store, tmp_path, monkeypatch):
    monkeypatch.setattr(videos, "over_cores", lambda function, tasks, *_: [function(*t) for t in tasks[::-1]])
    again = import_videos(zoo, tmp_path / "s", unseen=("bongo drum",), **SETTINGS)
    assert again.content_hash == store.content_hash
    assert again.manifest["excluded"] == store.manifest["excluded"]


def test_a_killed_import_goes_on_and_other_settings_are_refused(zoo, store, tmp_path, monkeypatch):
    calls, real = [], videos.check

    def dies(root, item, settings):
        calls.append(item.file)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return real(root, item, settings)

    monkeypatch.setattr(videos, "check", dies)
    with pytest.raises(KeyboardInterrupt):
        import_videos(zoo, tmp_path / "s", unseen=("bongo drum",), **SETTINGS)
    with pytest.raises(StoreError, match="begun but not finished"):
        Store(tmp_path / "s")
    calls.clear()
    monkeypatch.setattr(videos, "check", lambda *task: (calls.append(task[1].file), real(*task))[1])
    again = import_videos(zoo, tmp_path / "s", unseen=("bongo drum",), **SETTINGS)
    assert len(calls) == 22 - 8  # two tasks of four were finished
    assert again.content_hash == store.content_hash
    assert sorted(path.name for path in (tmp_path / "s").iterdir() if path.name[0] != ".") == sorted(
        ["manifest.json", "plan.json", *again.splits]
    )
    calls.clear()
    import_videos(zoo, tmp_path / "s", unseen=("bongo drum",), **SETTINGS)
    assert not calls  # nothing changed, nothing read
    with pytest.raises(StoreError, match="other settings"):
        import_videos(zoo, tmp_path / "s", **SETTINGS)


def test_the_size_is_stated_and_the_time_left_is_shown(zoo, tmp_path, capsys):
    import_videos(zoo, tmp_path / "s", **SETTINGS | {"progress": True})
    said = capsys.readouterr().err
    assert "zoo: 22 videos" in said and "the store: about" in said
    assert "left out: 10" in said and "1 x too short" in said


def test_a_disk_that_is_too_small_is_refused_before_anything_is_read(zoo, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StoreError, match="another disk"):
        import_videos(zoo, tmp_path / "s", **SETTINGS)
    assert not list((tmp_path / "s").rglob("*.arrow"))


def test_long_videos_become_clips_of_one_split(tmp_path):
    for k in range(3):
        film(tmp_path / "v" / f"long{k}.mp4", seconds=4.6, rate=RATE, key=k)
    store = import_videos(tmp_path / "v", tmp_path / "s", seconds=2.0, **SETTINGS)
    assert {split: n["sounds"] for split, n in store.splits.items()} == {"train": 2, "val": 2, "test": 2}
    for split in store.splits:
        starts = [store.sounds(split).factors(k)["start"] for k in range(2)]
        assert starts == [0.0, 2.0] and len({i.split("@")[0] for i in store.sounds(split).id}) == 1
        assert store.sounds(split).length.tolist() == [2 * RATE, 2 * RATE]
        audio = store.sounds(split).audio(0).astype(float)
        assert np.abs(audio).argmax() / RATE == pytest.approx(EVENT, abs=2 / RATE)


# ------------------------------------------------------------- lists and splits


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


AUDIOSET = """# Segments csv created Sun Mar  5 10:54:31 2017
# YTID, start_seconds, end_seconds, positive_labels
--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
-0RWZT-miFs, 420.000, 430.000, "/m/09x0r"
goneGONEgon, 0.000, 10.000, "/m/0xyz"
"""


def test_audiosets_list(tmp_path):
    touch(tmp_path, "--PJHxphWEs_000030.mp4", "-0RWZT-miFs.mp4", "stranger00x.mp4")
    (tmp_path / "eval.csv").write_text(AUDIOSET)
    table = "index,mid,display_name\n0,/m/09x0r,Speech\n1,/t/dd00088,Gush\n"
    (tmp_path / "class_labels_indices.csv").write_text(table)
    items, excluded, warnings = walk_videos(tmp_path)
    first, second = items
    assert (first.name, first.labels, first.label) == ("--PJHxphWEs", ("speech", "gush"), "gush")
    assert first.span is None  # its name says that it is cut
    assert (second.label, second.span) == ("speech", (420.0, 430.0))
    assert excluded == {"stranger00x.mp4": "not listed: eval.csv has no row for it"}
    said = " ".join(entry["reason"] for entry in warnings)
    assert (
        "1 of 3 rows have no file in the folder (goneGONEgon)" in said and "the rarest is their class" in said
    )


def test_vggsounds_list_and_its_split(tmp_path):
    touch(tmp_path, *(f"id{k:09d}_000010.mp4" for k in range(12)))
    rows = [f"id{k:09d},10,{'playing, bongo' if k % 2 else 'dog barking'},{'test' if k > 8 else 'train'}"
            for k in range(12)]  # fmt: skip
    (tmp_path / "vggsound.csv").write_text(
        "\n".join(r.replace("playing, bongo", '"playing, bongo"') for r in rows)
    )
    items, _, _ = walk_videos(tmp_path)
    assert {item.label for item in items} == {"playing bongo", "dog barking"}
    items, excluded, _ = with_splits(items, 0.4, ())
    assert not excluded
    assert sorted(item.name for item in items if item.split == "test") == [f"id{k:09d}" for k in (9, 10, 11)]
    assert sum(item.split == "val" for item in items) == 2  # one of each class, from the list's train


def test_a_row_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "list.csv"
    for row in ("id,ten,dog,train", "id,10", 'id, 10.0, 5.0, "/m/1"', "id,10,dog,training"):
        path.write_text(f"# comment\nok,10,dog,train\n{row}\n")
        with pytest.raises(FolderError, match="line 3"):
            read_list(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"ok,10,dog,train\n" + "id,10,caf\u00e9,train\n".encode("cp1252"), "not in UTF-8.*save it"),
        (b'id,10,20,"dog\n' + b"id,10,dog,train\n" * 10_000, "no csv.*quotation mark"),
        (b"id,nan,dog,train\n", "line 1"),
        (b'id,0,inf,"dog"\n', "line 1"),
    ],
)
def test_what_makes_a_list_unreadable_is_said_with_its_name(tmp_path, content, says):
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(FolderError, match=rf"list\.csv.*{says}"):
        read_list(path)


def test_a_table_of_names_without_its_columns_is_named(tmp_path):
    (tmp_path / "list.csv").write_text('id0,0,10,"/m/1"\n')
    (tmp_path / "class_labels_indices.csv").write_text("a,b\n1,2\n")
    touch(tmp_path, "id0.mp4")
    with pytest.raises(FolderError, match=r"class_labels_indices\.csv has no column 'mid'"):
        walk_videos(tmp_path)


def test_an_uncut_video_gives_the_part_that_is_asked_for(tmp_path):
    film(tmp_path / "v" / "uncut.mp4", seconds=5.0, rate=RATE)
    (tmp_path / "v" / "list.csv").write_text('uncut, 1.0, 3.0, "a"\n')
    store = import_videos(tmp_path / "v", tmp_path / "s", **SETTINGS)
    facts, audio = store.sounds("train").factors(0), store.sounds("train").audio(0).astype(float)
    assert facts["start"] == 1.0 and len(audio) == 2 * RATE
    assert np.abs(audio).argmax() / RATE == pytest.approx(EVENT - 1.0, abs=2 / RATE)


def test_two_lists_need_a_choice(tmp_path):
    touch(tmp_path, "a.mp4", "one.csv", "two.csv")
    with pytest.raises(FolderError, match=r"one\.csv, two\.csv.*--list"):
        walk_videos(tmp_path)


def test_classes_are_the_folders_and_the_splits_may_be(tmp_path):
    names = ["train/dog/a.mp4", "test/dog/b.mp4", "val/cat/c.mkv", "unseen/emu/d.mp4", "e.mp4"]
    items, _, _ = walk_videos(touch(tmp_path, *names))
    assert {item.file: (item.label, item.split) for item in items} == {
        "train/dog/a.mp4": ("dog", "train"), "test/dog/b.mp4": ("dog", "test"),
        "val/cat/c.mkv": ("cat", "val"), "unseen/emu/d.mp4": ("emu", "unseen"), "e.mp4": ("unlabelled", ""),
    }  # fmt: skip


def test_a_hash_of_the_name_decides_and_no_video_is_in_two_splits(tmp_path):
    names = [f"{label}/{label}{k}.mp4" for label in ("dog", "cat") for k in range(20)]
    items, _, _ = walk_videos(touch(tmp_path, *names))
    placed, _, _ = with_splits(items, 0.2, ())
    for label in ("dog", "cat"):
        splits = [item.split for item in placed if item.label == label]
        assert [splits.count(split) for split in ("train", "val", "test")] == [16, 2, 2]
    turned, _, _ = with_splits(items[::-1], 0.2, ())
    assert {i.file: i.split for i in turned} == {i.file: i.split for i in placed}
    twice = [
        *items,
        *walk_videos(touch(tmp_path / "more", "emu/dog3.mp4"))[0],
    ]  # a video of that name, unseen
    placed, excluded, _ = with_splits(twice, 0.2, ("emu",))
    assert "emu" in {item.label for item in placed} and excluded["dog/dog3.mp4"].startswith("crosses splits")


def test_a_class_that_is_not_there_cannot_be_unseen(tmp_path):
    touch(tmp_path / "v", "dog/a.mp4")
    with pytest.raises(FolderError, match=r"class emu: there are dog"):
        import_videos(tmp_path / "v", tmp_path / "s", unseen=("Emu",), **SETTINGS)


def test_a_folder_without_one_usable_video_says_why(tmp_path):
    touch(tmp_path / "v", "a.mp4")
    with pytest.raises(FolderError, match=r"not one video can be used(.|\n)*a\.mp4: broken"):
        import_videos(tmp_path / "v", tmp_path / "s", **SETTINGS)
    with pytest.raises(FolderError, match="no video in it"):
        walk_videos(touch(tmp_path / "w", "a.txt"))


@pytest.mark.parametrize(
    "wrong",
    [{"sample_rate": 11_025 + 1}, {"frames": 0}, {"min_seconds": 0.5}, {"holdout": 1.0}, {"seconds": 1.0}],
)
def test_settings_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        import_videos(tmp_path, tmp_path / "s", **wrong)


def test_folders_of_photos_are_not_taken_for_videos(tmp_path):
    assert not holds_videos(touch(tmp_path / "a", "train/dog/video/a.jpg", "train/dog/sound/a.wav"))
    assert not holds_videos(touch(tmp_path / "b", "train/dog/video/a.mp4", "train/dog/sound/a.wav"))
    assert holds_videos(touch(tmp_path / "c", "dog/a.MP4"))


def test_videos_are_written_with_even_sides_and_known_suffixes(tmp_path):
    with pytest.raises(MediaError, match="even"):
        write_video(tmp_path / "a.mp4", np.zeros((2, 33, 32, 3), np.uint8), None)
    with pytest.raises(MediaError, match="choose one of these"):
        write_video(tmp_path / "a.gif", np.zeros((2, 32, 32, 3), np.uint8), None)


# ------------------------------------------------------------ where it is used


def test_a_lesson_and_the_command_take_a_folder_of_videos(zoo, tmp_path, monkeypatch, capsys):
    from llinet_lite.__main__ import main
    from llinet_lite.course import Lesson

    monkeypatch.setenv("LLINET_HOME", str(tmp_path))
    monkeypatch.setenv("LLINET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(parallel, "cores", lambda: 1)
    lesson = Lesson("03_avol_net", profile="smoke", data=zoo)
    store = lesson.store(("train", "val", "test"))
    assert store.sample_rate == lesson.settings.sample_rate and store.manifest["image_size"] == 72
    out = tmp_path / "packed"
    arguments = ["import", str(zoo), "--out", str(out), "--unseen", "Bongo drum", "--image-size", "32"]
    with pytest.raises(SystemExit, match="0"):
        main([*arguments, "--sample-rate", "16000", "--workers", "1"])
    assert "unseen 20 images 5 sounds; 10 files left out" in capsys.readouterr().out
    assert json.loads((out / "manifest.json").read_text())["plan"]["unseen"] == ["bongo drum"]


def test_real_clips(real, tmp_path):
    folder = real / "video"
    if not folder.is_dir():
        pytest.skip("no clips among the real data")
    names = ("dog__avsync_0.mp4", "hammering__avsync_2.mp4", "flute_and_plucked_lute__00W1lcxW-WU_000040.mp4")
    (tmp_path / "v").mkdir()
    for name in names:
        shutil.copy(folder / name, tmp_path / "v" / name)
    boxes = json.loads((real / "annotations" / "video_boxes.json").read_text())
    store = import_videos(tmp_path / "v", tmp_path / "s", **SETTINGS)
    assert not store.manifest["excluded"]
    assert {split: n["sounds"] for split, n in store.splits.items()} == {"train": 1, "val": 1, "test": 1}
    for split in store.splits:
        known = boxes[Path(store.sounds(split).id[0].split("@")[0]).stem]
        facts = store.sounds(split).factors(0)
        assert facts["size"] == [known["width"], known["height"]]
        assert facts["rate"] == pytest.approx(known["fps"], abs=0.05)
        assert store.sounds(split).length[0] / RATE == pytest.approx(known["seconds"], abs=0.08)
        assert np.abs(store.sounds(split).audio(0).astype(float)).max() > 500
