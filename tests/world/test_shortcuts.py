"""No shortcut: what has nothing to do with the instrument tells nothing about it."""

from collections import Counter

import numpy as np
import pytest
from scipy import stats

from llinet_lite.world import SEEN, UNSEEN, Scene
from llinet_lite.world.instruments import INSTRUMENTS
from llinet_lite.world.scenes import MARGIN, SCALES, place

NAMES = [row.name for row in INSTRUMENTS]


@pytest.fixture(scope="module")
def factors():
    """Decisions of 640 solo scenes, 20 of each class, nothing rendered."""
    return [Scene(name, 1000 + seed).factors for seed in range(20) for name in NAMES]


@pytest.fixture(scope="module")
def masks():
    """Masks of 320 solo scenes, (320, 48, 48) bool."""
    return np.stack([Scene(NAMES[i % 32], i).mask(1.5, 48) for i in range(320)])


def columns(factors):
    """Numbers that must not know the class, by name."""
    table = {
        "x": [f["pose"]["x"] for f in factors],
        "y": [f["pose"]["y"] for f in factors],
        "scale": [np.log(f["pose"]["scale"]) for f in factors],
        "angle": [f["pose"]["angle"] for f in factors],
        "level": [f["level_db"] for f in factors],
        "noise": [f["noise_db"] for f in factors],
        "reverberation": [f["room"]["reverberation"] for f in factors],
        "tilt": [f["room"]["tilt"] for f in factors],
        "exposure": [f["camera"]["exposure"] for f in factors],
        "clutter": [f["clutter"] for f in factors],
        "size": [f["size"] for f in factors],
        "wear": [f["wear"] for f in factors],
    }
    return {key: np.array(value, dtype=float) for key, value in table.items()}


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
    seen, heard = (
        ("x", "y", "scale", "angle", "exposure", "clutter"),
        ("level", "noise", "reverberation", "tilt"),
    )
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


def test_two_instruments_are_placed_alike():
    pairs = [place(2, np.random.default_rng(seed)) for seed in range(1000)]
    for key in ("x", "y", "scale", "angle"):
        first, second = ([getattr(p[k], key) for p in pairs] for k in (0, 1))
        assert stats.ks_2samp(first, second).pvalue > 0.01


def test_partners_are_of_the_same_pool_and_even():
    seen = Counter(Scene("banjo", seed, "duet").cast[1].name for seed in range(460))
    assert set(seen) == {row.name for row in SEEN} - {"banjo"}
    assert stats.chisquare(list(seen.values())).pvalue > 0.001
    unseen = {Scene("tabla", seed, "distractor").cast[1].name for seed in range(100)}
    assert unseen == {row.name for row in UNSEEN} - {"tabla"}


def test_the_centre_is_a_weak_guess(masks):
    assert masks[:, 23:25, 23:25].mean(axis=(1, 2)).round().mean() <= 0.30


def test_no_disc_in_the_centre_succeeds(masks):
    y, x = (np.indices((48, 48)) + 0.5) / 48 - 0.5
    for radius in (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5):
        disc = np.hypot(x, y) < radius
        iou = (masks & disc).sum(axis=(1, 2)) / (masks | disc).sum(axis=(1, 2))
        assert np.mean(iou >= 0.5) < 0.05, radius
