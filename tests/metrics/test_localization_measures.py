"""AUC, average precision, intervals: against scikit-learn, slow loops and the bootstrap of correspondence."""

import numpy as np
import pytest
from sklearn.metrics import auc as area
from sklearn.metrics import average_precision_score, precision_recall_curve

from llinet_lite.metrics.correspondence import clip_bootstrap
from llinet_lite.metrics.localization import (
    Curve,
    auc,
    by_group,
    compare,
    difference,
    evaluate,
    mean_success,
    size_groups,
    success_curve,
)
from llinet_lite.metrics.seeds import DIFFERENCE, over_clips_and_seeds


@pytest.fixture(scope="module")
def extended():
    """Sixty images, a third of them with nothing sounding, as masks of 8 x 8 with maps."""
    rng = np.random.default_rng(1)
    masks = np.zeros((60, 8, 8), bool)
    for k in range(40):
        top, left = rng.integers(0, 5, 2)
        masks[k, top : top + 4, left : left + 6] = True
    maps = rng.random((60, 8, 8)) + 0.6 * masks * (rng.random((60, 1, 1)) < 0.6)
    return maps.astype(np.float32), masks


# ---- AUC adds nothing to the mean IoU


def test_auc_is_scikit_learns_area_and_the_mean_iou():
    iou = np.random.default_rng(0).beta(2, 3, size=5000)
    thresholds, shares = success_curve(iou)
    assert len(thresholds) == 21 and shares[0] == 1
    given, of_given = success_curve(iou, [0.5, 0.25])
    assert given.tolist() == [0.5, 0.25] and of_given.tolist() == [(iou >= t).mean() for t in given]
    assert auc(iou) == pytest.approx(area(thresholds, shares))
    assert auc(iou) == pytest.approx(iou.mean(), abs=1e-3)
    assert auc(iou, points=2001) == pytest.approx(iou.mean(), abs=1e-5)
    for k in range(50):  # of a single image, half a step at most
        assert abs(auc(iou[k : k + 1]) - iou[k]) <= 0.025 + 1e-12


def test_mean_success_is_98_per_cent_of_the_mean_iou_plus_one():
    iou = np.random.default_rng(0).beta(2, 3, size=5000)
    assert mean_success(iou) == pytest.approx(success_curve(iou, 51)[1].mean())
    assert mean_success(iou) == pytest.approx(0.98 * iou.mean() + 0.0098, abs=1e-3)
    assert mean_success(np.zeros(4)) == pytest.approx(1 / 51)


# ---- detection


def slow_counts(confidence, located, positive, threshold):
    tp = fp = missed = 0
    for c, hit, there in zip(confidence, located, positive, strict=True):
        if c >= threshold:
            tp, fp = tp + (there and hit), fp + (not (there and hit))
        elif there:
            missed += 1
    return tp, fp, missed


def test_strict_is_scikit_learns_average_precision(extended):
    maps, masks = extended
    for confidence in (None, np.round(np.random.default_rng(2).random(60), 1)):  # the second with ties
        result = evaluate(maps, masks, "strict", size=8, confidence=confidence)
        located, positives = result.success, masks.any((1, 2)).sum()
        # scikit-learn's recall is of the located images; the strict one is of all with an object
        want = average_precision_score(located, result.confidence) * located.sum() / positives
        assert result.numbers["AP"] == pytest.approx(want)
        precision, recall, _ = precision_recall_curve(located, result.confidence)
        recall = recall * located.sum() / positives
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        assert result.numbers["max-F1"] == pytest.approx(f1.max())


def test_slavc2022_is_a_slow_count(extended):
    maps, masks = extended
    result = evaluate(maps, masks, "slavc2022", size=8)
    confidence, positive = result.confidence, masks.any((1, 2))
    top = [np.sort(m.ravel())[-16:].mean() for m in maps]
    assert confidence == pytest.approx(top, abs=1e-6)

    def both(threshold):
        tp, fp, missed = slow_counts(confidence, result.success, positive, threshold)
        return tp / (tp + fp), tp / (tp + missed) if tp + missed else 1.0

    falling = sorted(confidence, reverse=True)[1:]  # 60 images: every one but the highest is a threshold
    precision, recall = zip(*map(both, falling), strict=True)
    steps = range(len(falling) - 1)
    want = sum(max(precision[k:]) * (recall[k + 1] - recall[k]) for k in steps)
    assert result.numbers["AP"] == pytest.approx(want)
    tried = [both(t) for t in sorted(confidence)[::6]]
    f1 = [2 * p * r / (p + r) if p + r else 0 for p, r in tried]
    assert result.numbers["max-F1"] == pytest.approx(max(f1))
    best = int(np.argmax(f1[::-1]))  # of equals, the higher threshold or the lower: the same numbers
    assert (result.numbers["precision"], result.numbers["recall"]) == pytest.approx(tried[::-1][best])


def test_a_misplaced_detection_is_missing_from_slavcs_recall():
    located = np.array([True, True, False, False, False, False])
    positive = np.array([True, True, True, True, True, False])
    confidence = np.array([6.0, 3, 5, 4, 2, 1])
    once = np.ones((1, 6))
    slavc, strict = (Curve(confidence, located, positive, once, strict=s) for s in (False, True))
    # above 3: two located, two misplaced; one positive missed
    assert slavc.recall[0, 3] == pytest.approx(2 / 3) and strict.recall[0, 3] == pytest.approx(2 / 5)
    assert slavc.precision[0, 3] == strict.precision[0, 3] == pytest.approx(2 / 4)
    assert slavc.recall[0, -1] == 1 and strict.recall[0, -1] == pytest.approx(2 / 5)


def test_slavc_more_than_doubles_the_average_precision():
    """40 % located, confidence unrelated: AP is the located share, counted strictly its square."""
    rng = np.random.default_rng(0)
    located, confidence = rng.random(5000) < 0.4, rng.random(5000)
    there, once = np.ones(5000, bool), np.ones((1, 5000))
    slavc = Curve(confidence, located, there, once, strict=False).released_average_precision(confidence)
    strict = Curve(confidence, located, there, once, strict=True).average_precision()
    assert slavc[0] == pytest.approx(0.4, abs=0.02) and strict[0] == pytest.approx(0.16, abs=0.02)


def test_nothing_detected_is_precise():
    curve = Curve(np.array([1.0, 0]), np.array([True, False]), np.array([True, True]), np.zeros((1, 2)), True)
    assert curve.precision.tolist() == [[1, 1]]


# ---- intervals


def test_the_interval_of_a_rate_is_clip_bootstraps(extended):
    maps, masks = extended[0][:40], extended[1][:40]
    clips = np.arange(40) // 2
    result = evaluate(maps, masks, "lvs2021", size=8, clips=clips)
    want = clip_bootstrap(result.success, clips, draws=500, seed=3)
    got = result.interval(draws=500, seed=3)
    assert (got.value, got.low, got.high, got.n) == pytest.approx((want.value, want.low, want.high, want.n))
    assert result.interval("mIoU").low < result.numbers["mIoU"] < result.interval("mIoU").high


def test_every_number_has_an_interval(extended):
    maps, masks = extended
    for protocol in ("slavc2022", "strict", "universal"):
        result = evaluate(maps, masks, protocol, **({"size": 8} if protocol != "universal" else {}))
        for name, value in result.numbers.items():
            interval = result.interval(name, draws=300)
            assert interval.low <= value + 0.06 and interval.high >= value - 0.06, (protocol, name)
            assert 0 <= interval.low <= interval.high <= 1
        assert result.interval(draws=300) == result.interval(draws=300)
    with pytest.raises(ValueError, match="universal gives F-LOC"):
        result.interval("pointing")


def test_the_bootstrap_draws_images_for_ap_too(extended):
    maps, masks = extended
    result = evaluate(maps, masks, "strict", size=8)
    rng, values = np.random.default_rng(5), []
    positives = masks.any((1, 2))
    for _ in range(600):
        k = rng.integers(0, 60, 60)
        hits = result.success[k]
        values.append(average_precision_score(hits, result.confidence[k]) * hits.sum() / positives[k].sum())
    got = result.interval("AP", draws=600)
    assert (got.low, got.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.04)


def test_the_audio_use_gap_is_the_paired_difference(extended):
    maps, masks = extended[0][:40], extended[1][:40]
    heard = evaluate(maps, masks, "lvs2021", size=8)
    shuffled = evaluate(maps[::-1].copy(), masks, "lvs2021", size=8)
    gained = heard.success.astype(float) - shuffled.success
    want = over_clips_and_seeds(gained[None], np.arange(40), limits=DIFFERENCE, draws=500)
    got = difference(heard, shuffled, draws=500)
    assert (got.value, got.low, got.high) == pytest.approx((want.value, want.low, want.high))
    nothing = difference(heard, heard, "mIoU")
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="one protocol on the same images"):
        difference(heard, evaluate(maps, masks, "ezvsl2022", size=8))


# ---- tables


def test_results_stand_side_by_side(extended):
    maps, masks = extended
    rows = {name: evaluate(m, masks, "strict", size=8) for name, m in (("a", maps), ("b", maps * 0 + 1))}
    table = compare(rows)
    assert list(table.index) == ["a", "b"] and list(table.columns[:3]) == ["AP", "low", "high"]
    assert table.loc["a", "cIoU"] == rows["a"].numbers["cIoU"] and (table["n"] == 60).all()
    assert table.loc["a", "low"] < table.loc["a", "AP"] < table.loc["a", "high"]
    with pytest.raises(ValueError, match="one protocol"):
        compare({**rows, "c": evaluate(maps, masks, "slavc2022", size=8)})
    with pytest.raises(ValueError, match="nothing to compare"):
        compare({})


def test_by_size_and_by_class(extended):
    maps, masks = extended
    masks = masks.copy()
    masks[0] = False
    masks[0, 0, 0] = True
    masks[1] = True
    sizes = size_groups(masks, edges=(0.05, 0.5))
    assert sizes[0] == "small" and sizes[1] == "large" and sizes[2] == "medium" and sizes[-1] == "none"
    result = evaluate(maps, masks, "strict", size=8)
    table = by_group(result, sizes)
    assert list(table.index) == ["small", "large", "medium"] and table["n"].tolist() == [1, 1, 38]
    medium = result.success[sizes == "medium"]
    assert table.loc["medium", "cIoU"] == pytest.approx(medium.mean())
    with pytest.raises(ValueError, match="one group for each of 60"):
        by_group(result, sizes[:5])


def test_a_result_says_itself_in_one_line(extended):
    said = str(evaluate(*extended, "strict", size=8))
    assert (
        said.startswith("AP ") and "recall=TP / all positives" in said and "20 of them with nothing" in said
    )
    assert "\n" not in said
