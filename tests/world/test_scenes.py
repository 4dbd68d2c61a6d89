"""Scenes: fixed by their seed, exact in their masks, and without a shortcut to the class."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from llinet_lite.world import KINDS, Clip, Scene, clip, room
from llinet_lite.world.drawings import draw
from llinet_lite.world.instruments import INSTRUMENTS
from llinet_lite.world.scenery import Thing
from llinet_lite.world.voices import motion

NAMES = [row.name for row in INSTRUMENTS]
TWO = ("duet", "distractor", "offscreen")


def rms_db(sound):
    return 20 * np.log10(np.sqrt(np.mean(np.square(sound / 32767))) + 1e-12)


# ------------------------------------------------------------------- fixed


@pytest.mark.parametrize("kind", KINDS)
def test_same_seed_same_bytes(kind):
    one, two = (clip("cello", 3, kind=kind, size=64, sample_rate=16000, seconds=1.0) for _ in range(2))
    assert isinstance(one, Clip)
    assert one.image.tobytes() == two.image.tobytes()
    assert one.waveform.tobytes() == two.waveform.tobytes()
    assert one.mask.tobytes() == two.mask.tobytes()
    assert json.dumps(one.factors) == json.dumps(two.factors)


def test_seed_name_and_kind_each_change_everything():
    base = Scene("violin", 1, seconds=1.0)
    others = (
        Scene("violin", 2, seconds=1.0),
        Scene("cello", 1, seconds=1.0),
        Scene("violin", 1, "duet", seconds=1.0),
    )
    for other in others:
        assert base.cast[0].pose != other.cast[0].pose
        assert base.room != other.room and base.camera != other.camera
        assert not np.array_equal(base.frame(0.5, 48), other.frame(0.5, 48))
        assert not np.array_equal(base.audio(0, 1, 16000), other.audio(0, 1, 16000))


def test_the_order_of_questions_does_not_matter():
    one, two = Scene("trumpet", 5, "duet", seconds=2.0), Scene("trumpet", 5, "duet", seconds=2.0)
    frames = [one.frame(t, 48) for t in (0.0, 0.6, 1.2)]
    sound = one.audio(0, 2, 16000)
    assert np.array_equal(two.audio(0.5, 1.25, 16000), sound[8000:20000])
    for t, frame in reversed(list(zip((0.0, 0.6, 1.2), frames, strict=True))):
        assert np.array_equal(two.objects(t, 48), one.objects(t, 48))
        assert np.array_equal(two.frame(t, 48), frame)


def test_clip_is_the_middle_of_its_scene():
    made, scene = clip("Steel-Pan", 9, size=64, sample_rate=16000), Scene("steel pan", 9)
    assert made.image.shape == (64, 64, 3) and made.image.dtype == np.uint8
    assert made.waveform.shape == (48000,) and made.waveform.dtype == np.int16
    assert made.mask.shape == (64, 64) and made.mask.dtype == bool
    assert np.array_equal(made.image, scene.frame(1.5, 64))
    assert np.array_equal(made.mask, scene.mask(1.5, 64))
    assert made.factors == scene.factors
    made.waveform[:] = 0  # it is the caller's own
    assert scene.audio(0, 3, 16000).any()


# ------------------------------------------------------------------ picture


def test_frames_are_on_the_grid_of_25_per_second():
    scene = Scene("violin", 4)
    assert np.array_equal(scene.frame(1.0, 48), scene.frame(1.039, 48))
    assert not np.array_equal(
        scene.frame(1.0, 48), scene.frame(1.04, 48)
    )  # at least the sensor's noise differs
    assert np.array_equal(scene.frame(3.0, 48), scene.frame(2.96, 48))  # the last frame


def test_something_moves_when_it_sounds():
    still, moving = [], []
    for i in range(64):
        scene = Scene(NAMES[i % 32], i, "distractor")
        shown = [scene._draw(index, 64) for index in range(20, 45, 3)]
        for k, store in ((0, moving), (1, still)):
            pictures = np.stack(
                [np.concatenate([s[k].behind, s[k].instrument, s[k].front], -1) for s in shown]
            ).astype(float)
            store.append(np.abs(np.diff(pictures, axis=0)).max())
    assert max(still) == 0
    assert np.mean(np.array(moving) > 20) > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_mask_is_what_sounds_of_what_is_seen(kind):
    for seed in range(6):
        scene = Scene(NAMES[5 * seed], seed, kind)
        marks = scene.objects(1.0, 64)
        assert marks.dtype == np.uint8 and marks.max() <= len(scene.cast)
        for k, member in enumerate(scene.cast):
            assert (marks == k + 1).any() == member.visible
        expected = np.zeros((64, 64), bool)
        for k, member in enumerate(scene.cast):
            if member.sounding:
                expected |= marks == k + 1
        assert np.array_equal(scene.mask(1.0, 64), expected)
        assert scene.mask(1.0, 64).any() == (kind not in ("offscreen", "silence"))


@pytest.mark.parametrize("name", NAMES[::4])
def test_mask_is_exactly_the_uncovered_instrument(name):
    scene = Scene(name, 11)
    scene.clutter = ()
    member = scene.cast[0]
    move = motion(member.individual, scene.notes[0], 1.0)
    for size in (48, 96):
        layers = draw(member.individual, member.pose, move, size, scene._rng("look", 0))
        seen = layers.instrument[..., 3] * (1 - layers.front[..., 3] / 255)
        assert np.array_equal(scene.mask(1.0, size), seen > 127)


def test_clutter_in_front_is_cut_out_of_the_mask():
    scene = Scene("piano", 2)
    scene.clutter = ()
    whole, pose = scene.mask(1.0, 64), scene.cast[0].pose
    ball = scene_ball(pose)
    scene.clutter = (ball,)
    covered = scene.mask(1.0, 64)
    assert (covered < whole).any() and not (covered > whole).any()
    scene.clutter = (replace(ball, front=False),)
    assert np.array_equal(scene.mask(1.0, 64), whole)


def scene_ball(pose):
    return Thing("ball", pose.x, pose.y, pose.scale / 2, 0.0, (200, 0, 0), True)


def test_masks_agree_across_sizes():
    agreement = []
    for i in range(32):
        small = Scene(NAMES[i], i).mask(1.0, 64)
        big = Scene(NAMES[i], i).mask(1.0, 256).reshape(64, 4, 64, 4).mean(axis=(1, 3)) > 0.5
        agreement.append((small & big).sum() / max((small | big).sum(), 1))
    assert np.median(agreement) > 0.8


def test_two_instruments_hardly_cover_each_other():
    worst = []
    for i in range(96):
        scene = Scene(NAMES[i % 32], i, ("duet", "distractor")[i % 2])
        scene.clutter = ()
        alone = [layers.instrument[..., 3] > 127 for layers in scene._draw(25, 64)]
        both = (alone[0] & alone[1]).sum()
        worst.append(both / max(min(a.sum() for a in alone), 1))
    assert max(worst) <= 0.25


def test_at_least_85_percent_of_an_instrument_is_on_the_canvas():
    shares = []
    for i in range(320):
        scene = Scene(NAMES[i % 32], i)
        pose, who = scene.cast[0].pose, scene.cast[0].individual
        move = motion(who, scene.notes[0], 1.0)
        seen = draw(who, pose, move, 64, scene._rng("look", 0)).instrument[..., 3].sum()
        # the same instrument in the middle of a canvas of twice the side
        inner = replace(pose, x=0.5, y=0.5, scale=pose.scale / 2)
        whole = draw(who, inner, move, 128, scene._rng("look", 0)).instrument[..., 3].sum()
        shares.append(seen / whole)
    assert np.quantile(shares, 0.005) >= 0.85


def test_clutter_in_front_leaves_the_instrument_to_be_seen():
    covered = [i for i in range(320) if any(thing.front for thing in Scene(NAMES[i % 32], i).clutter)]
    assert len(covered) > 50
    for i in covered:
        scene, clear = Scene(NAMES[i % 32], i), Scene(NAMES[i % 32], i)
        clear.clutter = ()
        assert scene.mask(1.5, 48).sum() >= 0.9 * clear.mask(1.5, 48).sum()


# -------------------------------------------------------------------- sound


def test_audio_is_cut_by_the_clock():
    scene = Scene("harp", 6)
    whole = scene.audio(0, 3, 16000)
    assert whole.shape == (48000,) and whole.dtype == np.int16
    assert np.array_equal(scene.audio(0.52, 1.52, 16000), whole[8320:24320])
    assert scene.audio(0, 3, 48000).shape == (144_000,)


def test_times_outside_the_scene_are_refused():
    scene = Scene("harp", 6)
    for t0, t1 in ((-0.1, 1), (2.5, 3.1), (2, 1), (1, 1)):
        with pytest.raises(ValueError, match=r"the scene lasts from 0 to 3\.0 s"):
            scene.audio(t0, t1, 16000)
    with pytest.raises(ValueError, match=r"no frame at 3\.5 s"):
        scene.frame(3.5, 64)
    with pytest.raises(ValueError, match="sample rate"):
        scene.audio(0, 1, 100)
    with pytest.raises(ValueError, match="pixels wide"):
        scene.mask(1, 5000)


@pytest.mark.parametrize("name", NAMES[::5])
def test_16_and_48_khz_are_the_same_recording(name):
    scene = Scene(name, 3)
    slow, fast = scene.audio(0, 3, 16000).astype(float), scene.audio(0, 3, 48000).astype(float)
    assert abs(rms_db(slow) - rms_db(fast)) < 0.1

    def bands(sound, sample_rate):
        power = np.abs(np.fft.rfft(sound)) ** 2
        edges = np.geomspace(200, 4000, 9) * 3  # bins of a third of a hertz
        return 10 * np.log10([power[int(a) : int(b)].sum() for a, b in itertools.pairwise(edges)])

    a, b = bands(slow, 16000), bands(fast, 48000)
    assert np.corrcoef(a, b)[0, 1] > 0.9


def test_level_is_the_one_decided():
    for i, name in enumerate(NAMES):
        for kind in ("solo", "duet", "offscreen"):
            scene = Scene(name, i, kind, seconds=2.0)
            assert rms_db(scene.audio(0, 2, 16000)) == pytest.approx(scene.factors["level_db"], abs=0.1)


def test_silence_is_nothing_but_the_room():
    scene = Scene("trumpet", 3, "silence")
    sound = scene.audio(0, 3, 16000)
    noise = room.record(np.zeros(48000), scene.room, 16000, scene._rng("record"))
    assert np.array_equal(sound, np.round(32767 * noise).astype(np.int16))
    assert scene.notes == ((),)


def test_who_sounds_is_heard():
    """Off-screen, the sound is the named instrument's and does not know the one that is seen."""
    scene = Scene("flute", 3, "offscreen", partner="drum")
    other = Scene("flute", 3, "offscreen", partner="cello")
    assert np.array_equal(scene.audio(0, 3, 16000), other.audio(0, 3, 16000))
    duet = Scene("flute", 3, "duet", partner="drum"), Scene("flute", 3, "duet", partner="cello")
    assert not np.array_equal(duet[0].audio(0, 3, 16000), duet[1].audio(0, 3, 16000))
    silent = Scene("flute", 3, "distractor", partner="drum"), Scene("flute", 3, "distractor", partner="cello")
    assert np.array_equal(silent[0].audio(0, 3, 16000), silent[1].audio(0, 3, 16000))


@pytest.mark.parametrize("name", ["trumpet", "gong", "double bass"])
@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_imprint_is_locked_to_the_frame_clock(name, sample_rate):
    without, trace = (
        Scene(name, 8, imprint=strength).audio(0, 3, sample_rate).astype(float) / 32767 for strength in (0, 1)
    )
    difference = (trace - without).reshape(75, -1)  # (ticks, 0.04 s)
    assert np.abs(difference).max() == pytest.approx(10 ** (-45 / 20), abs=1e-4)
    assert np.allclose(difference, difference[0], atol=5e-5)  # the same at every tick
    tone = np.cos(2 * np.pi * 3000 * np.arange(difference.shape[1]) / sample_rate)
    reach = sample_rate // 2000
    on, off = (
        np.abs((x.reshape(75, -1) * tone)[:, :reach].sum(axis=1)).mean() for x in (difference, 0 * difference)
    )
    assert on > 0.3 * reach * 10 ** (-45 / 20) and off == 0
    assert not np.any(difference[:, 2 * reach + 1 : -2 * reach - 1] > 5e-5)  # and nothing between the ticks


def test_imprint_can_be_heard_by_averaging_and_only_when_it_is_on():
    """The mean over 3 s folded at 25 Hz finds the tick above the music at 3 kHz in most scenes."""
    score = {0.0: [], 1.0: []}
    for i, name in enumerate(NAMES):
        for strength, found in score.items():
            sound = Scene(name, i, imprint=strength).audio(0, 3, 16000).astype(float)
            folded = np.diff(sound, 2).astype(float)[: 74 * 640].reshape(74, 640)
            profile = np.median(folded * np.sign(np.cos(2 * np.pi * 3000 * np.arange(640) / 16000)), axis=0)
            energy = np.square(profile)
            found.append(energy[:16].mean() / (np.median(energy) + 1e-9))
    assert np.median(score[1.0]) > 5 * np.median(score[0.0])


# ------------------------------------------------------------------- errors


@pytest.mark.parametrize("kind", KINDS)
def test_casts(kind):
    scene = Scene("gong", 1, kind)
    roles = [(m.sounding, m.visible) for m in scene.cast]
    assert (
        roles
        == {
            "solo": [(True, True)],
            "duet": [(True, True), (True, True)],
            "distractor": [(True, True), (False, True)],
            "offscreen": [(True, False), (False, True)],
            "silence": [(False, True)],
        }[kind]
    )
    assert len({m.name for m in scene.cast}) == len(scene.cast)
    told = json.dumps(scene.factors)
    assert json.dumps(json.loads(told)) == told
    assert scene.factors["class"] == "gong" and scene.factors["kind"] == kind


def test_bad_arguments_are_explained():
    with pytest.raises(KeyError, match="did you mean violin"):
        Scene("violine", 0)
    with pytest.raises(ValueError, match="unknown kind of scene 'trio'"):
        Scene("violin", 0, "trio")
    with pytest.raises(ValueError, match="has no partner, but 'cello' was given"):
        Scene("violin", 0, partner="cello")
    with pytest.raises(ValueError, match="must be of another class"):
        Scene("violin", 0, "duet", partner="violin")
    with pytest.raises(ValueError, match="whole number >= 0"):
        Scene("violin", -1)
    with pytest.raises(ValueError, match=r"lasts 0\.5 to 60 s"):
        Scene("violin", 0, seconds=100)
    with pytest.raises(ValueError, match=r"lasts 0\.5 to 60 s, not 0\.4: a phrase needs half a second"):
        Scene("violin", 0, seconds=0.4)
    with pytest.raises(ValueError, match="strength of the imprint"):
        Scene("violin", 0, imprint=-1)
    with pytest.raises(TypeError):
        Scene("violin", 0.5)
