"""Scenes: fixed by their seed, exact in their masks, and without a shortcut to the class."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from llinet_lite.world import KINDS, Scene, clip, room
from llinet_lite.world.drawings import draw
from llinet_lite.world.instruments import EXCITERS, INSTRUMENTS, MATERIALS, RESONATORS
from llinet_lite.world.scenery import Thing
from llinet_lite.world.scenes import MARGIN, SCALES, place
from llinet_lite.world.voices import motion

NAMES = [row.name for row in INSTRUMENTS]
# class, seed, kind: weighted sums of the frame's pixels, the objects' numbers and the sound's magnitudes
FIXED = {
    ("banjo", 1, "solo"): [75463310, 4100, 321512680],
    ("violin", 2, "duet"): [77722534, 63059, 441616247],
    ("trumpet", 3, "distractor"): [49411106, 119479, 858385548],
    ("piano", 4, "offscreen"): [48589302, 18356, 375788172],
    ("tabla", 5, "silence"): [43524421, 57070, 367352425],
    ("gong", 6, "duet"): [40872108, 55736, 2119747985],
    ("didgeridoo", 7, "solo"): [51378885, 2850, 665670267],
    ("steel guitar", 8, "distractor"): [98438269, 40267, 443106729],
    ("accordion", 9, "duet"): [42560180, 117114, 1850797791],
    ("harp", 10, "solo"): [72495014, 14672, 340409851],
}
# of all classes in order, weighted sums of a frame: their drawings are what the packaged networks know
FRAMES = [
    19153771, 41050776, 25071514, 32309141, 30216866, 16082820, 30088955, 37188725,
    17917470, 25328952, 30047680, 39039974, 32520799, 21512227, 18544246, 39788685,
    35928243, 25395815, 59241701, 42457529, 15670126, 31577837, 13047777, 43286351,
    45713063, 12092423, 28259560, 48715501, 19801032, 40629901, 22318924, 39973252,
]  # fmt: skip


def rms_db(sound):
    return 20 * np.log10(np.sqrt(np.mean(np.square(sound / 32767))) + 1e-12)


def test_rows_are_made_of_known_attributes():
    for row in INSTRUMENTS:
        assert row.exciter in EXCITERS and row.resonator in RESONATORS and row.material in MATERIALS
        assert row.low < row.high


@pytest.mark.parametrize(("name", "seed", "kind"), FIXED)
def test_a_fixed_sample_is_as_recorded(name, seed, kind):
    """Whoever changes what is seen or heard raises WORLD_VERSION (data.bandstand) and records new sums."""
    scene = Scene(name, seed, kind, seconds=1.0)
    made = scene.frame(0.5, 64), scene.objects(0.5, 64), scene.audio(0, 1, 16000)
    sums = [int(np.abs(x.ravel().astype(np.int64)) @ (np.arange(x.size) % 101)) for x in made]
    assert sums == pytest.approx(FIXED[name, seed, kind], rel=1e-5)


def test_every_named_class_is_drawn_as_recorded():
    frames = [Scene(name, 100 + k, seconds=0.6).frame(0.3, 48).ravel() for k, name in enumerate(NAMES)]
    sums = [int(x.astype(np.int64) @ (np.arange(x.size) % 101)) for x in frames]
    assert sums == pytest.approx(FRAMES, rel=1e-5)


def test_a_clip_is_the_middle_of_its_scene_and_ones_own():
    made, scene = clip("Steel-Pan", 9, size=64, sample_rate=16000), Scene("steel pan", 9)
    assert np.array_equal(made.image, scene.frame(1.5, 64)) and made.image.dtype == np.uint8
    assert np.array_equal(made.mask, scene.mask(1.5, 64)) and made.mask.dtype == bool
    assert np.array_equal(made.waveform, scene.audio(0, 3, 16000)) and made.waveform.dtype == np.int16
    assert made.factors == scene.factors
    made.waveform[:] = 0
    assert scene.audio(0, 3, 16000).any()


def test_the_order_of_questions_does_not_matter():
    one, two = Scene("trumpet", 5, "duet", seconds=2.0), Scene("trumpet", 5, "duet", seconds=2.0)
    frames = [one.frame(t, 48) for t in (0.0, 0.6, 1.2)]
    sound = one.audio(0, 2, 16000)
    assert np.array_equal(two.audio(0.5, 1.25, 16000), sound[8000:20000])
    for t, frame in reversed(list(zip((0.0, 0.6, 1.2), frames, strict=True))):
        assert np.array_equal(two.objects(t, 48), one.objects(t, 48))
        assert np.array_equal(two.frame(t, 48), frame)


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
    ball = Thing("ball", pose.x, pose.y, pose.scale / 2, 0.0, (200, 0, 0), True)
    scene.clutter = (ball,)
    covered = scene.mask(1.0, 64)
    assert (covered < whole).any() and not (covered > whole).any()
    scene.clutter = (replace(ball, front=False),)
    assert np.array_equal(scene.mask(1.0, 64), whole)


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


@pytest.mark.parametrize("kind", KINDS)
def test_casts(kind):
    scene = Scene("gong", 1, kind)
    roles = [(m.sounding, m.visible) for m in scene.cast]
    expected = {"duet": [(1, 1), (1, 1)], "distractor": [(1, 1), (0, 1)], "offscreen": [(1, 0), (0, 1)],
                "silence": [(0, 1)], "solo": [(1, 1)]}  # fmt: skip
    assert roles == expected[kind]
    assert len({m.name for m in scene.cast}) == len(scene.cast)
    told = json.dumps(scene.factors)
    assert json.dumps(json.loads(told)) == told
    assert scene.factors["class"] == "gong" and scene.factors["kind"] == kind


# ------------------------------------------------------------ no shortcut


@pytest.mark.parametrize(("name", "seed", "more", "error", "words"), [
    ("violine", 0, {}, KeyError, "did you mean violin"),
    ("violin", 0, {"kind": "trio"}, ValueError, "unknown kind of scene 'trio'"),
    ("violin", 0, {"partner": "cello"}, ValueError, "has no partner, but 'cello' was given"),
    ("violin", 0, {"kind": "duet", "partner": "violin"}, ValueError, "must be of another class"),
    ("violin", 0, {"seconds": 0.4}, ValueError, r"lasts 0\.5 to 60 s, not 0\.4"),
])  # fmt: skip
def test_wrong_scenes_are_refused(name, seed, more, error, words):
    with pytest.raises(error, match=words):
        Scene(name, seed, **more)


@pytest.mark.parametrize(("question", "what", "words"), [
    ("audio", (2.5, 3.1, 16000), "the scene lasts from 0 to"),
    ("audio", (0, 1, 100), "sample rate"),
    ("frame", (3.5, 64), r"no frame at 3\.5 s"),
])  # fmt: skip
def test_wrong_questions_are_refused(question, what, words):
    with pytest.raises(ValueError, match=words):
        getattr(Scene("harp", 6), question)(*what)


@pytest.fixture(scope="module")
def factors():
    """Decisions of 640 solo scenes, 20 of each class, nothing rendered."""
    return [Scene(name, 1000 + seed).factors for seed in range(20) for name in NAMES]


def columns(factors):
    """Numbers that must not know the class, by name."""
    flat = [{**f, **f["room"], **f["camera"], **f["pose"]} for f in factors]
    names = "x y scale angle level_db noise_db reverberation tilt exposure clutter size wear"
    return {name: np.array([f[name] for f in flat], dtype=float) for name in names.split()}


def test_no_factor_depends_on_the_class(factors):
    labels = np.array([f["class"] for f in factors])
    p = {
        key: stats.f_oneway(*(column[labels == name] for name in NAMES)).pvalue
        for key, column in columns(factors).items()
    }
    for key in ("background", "noise", "mirrored"):
        values = [str({**f, **f["room"], **f["pose"], "background": f["background"]}[key]) for f in factors]
        counts = Counter(zip(labels, values, strict=True))
        table = [[counts[name, value] for value in sorted(set(values))] for name in NAMES]
        p[key] = stats.chi2_contingency(table).pvalue
    assert min(p.values()) > 0.05 / len(p), p  # Bonferroni


def test_sight_and_sound_share_no_factor(factors):
    table = columns(factors)
    seen = ("x", "y", "scale", "angle", "exposure", "clutter")
    heard = ("level_db", "noise_db", "reverberation", "tilt")
    p = [stats.spearmanr(table[a], table[b]).pvalue for a in seen for b in heard]
    counts = Counter((f["background"], f["room"]["noise"]) for f in factors)
    places, noises = sorted({a for a, _ in counts}), sorted({b for _, b in counts})
    p.append(stats.chi2_contingency([[counts[a, b] for b in noises] for a in places]).pvalue)
    assert min(p) > 0.05 / len(p)


def test_positions_are_uniform_and_scales_log_uniform():
    poses = [place(1, np.random.default_rng(seed))[0] for seed in range(3000)]
    edge = MARGIN * SCALES[0]
    even = stats.uniform(edge, 1 - 2 * edge).cdf
    assert stats.kstest([p.x for p in poses], even).pvalue > 0.01
    assert stats.kstest([p.y for p in poses], even).pvalue > 0.01
    low, high = np.log(SCALES)
    assert stats.kstest(np.log([p.scale for p in poses]), stats.uniform(low, high - low).cdf).pvalue > 0.01
    assert 0.45 < np.mean([p.mirrored for p in poses]) < 0.55
    assert all(MARGIN * p.scale <= min(p.x, p.y, 1 - p.x, 1 - p.y) + 1e-6 for p in poses)


def test_no_disc_in_the_center_succeeds():
    masks = np.stack([Scene(NAMES[i % 32], i).mask(1.5, 48) for i in range(320)])
    y, x = (np.indices((48, 48)) + 0.5) / 48 - 0.5
    for radius in (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5):
        disc = np.hypot(x, y) < radius
        iou = (masks & disc).sum(axis=(1, 2)) / (masks | disc).sum(axis=(1, 2))
        assert np.mean(iou >= 0.5) < 0.05, radius
