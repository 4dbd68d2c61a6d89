"""Every named protocol against hand-computed cases and independent implementations; constants by hand."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import auc as area
from sklearn.metrics import average_precision_score, precision_recall_curve

from llinet_lite.metrics.intervals import clip_bootstrap
from llinet_lite.metrics.localization import (
    PROTOCOLS,
    baselines,
    evaluate,
    oracle_maps,
    points,
    shrunk,
    size_groups,
    success_curve,
    trapezoid_share,
)

NEEDS_OBJECTS = [name for name, known in PROTOCOLS.items() if not known.negatives and name != "iiou"]
ROWS = ["oracle ceiling", "ground-truth mask as map", "centre disc", "mean mask", "whole image"]


@pytest.fixture(scope="module")
def some():
    """Forty smooth maps and box masks, 24 x 24."""
    rng = np.random.default_rng(0)
    maps = np.stack([cv2.GaussianBlur(rng.random((24, 24)), (0, 0), 3) for _ in range(40)])
    masks = np.zeros((40, 24, 24), bool)
    for mask in masks:
        top, left = rng.integers(0, 14, 2)
        mask[top : top + rng.integers(4, 12), left : left + rng.integers(4, 20)] = True
    return maps.astype(np.float32), masks


def slow_iou(predicted, truth):
    """The definition of cIoU, pixel by pixel."""
    inside = outside = area = 0.0
    for p, g in zip(predicted.ravel(), truth.ravel(), strict=True):
        inside, area, outside = inside + p * g, area + g, outside + (p and g == 0)
    return inside / (area + outside)


def test_a_cell_points_at_its_centre():
    maps = torch.zeros(3, 14, 14)
    maps[0, 0, 0] = maps[1, 13, 5] = maps[2, 4, 9] = 1
    maps[2, 4, 11] = maps[2, 6, 0] = 1  # the first of equals in reading order counts
    assert points(maps, (224, 224)).tolist() == [[8, 8], [216, 88], [72, 152]]
    assert points(torch.tensor([[[0.0, 1.0]]]), (3, 4)).tolist() == [[1, 3]]


def test_objects2018_asks_whether_that_point_is_on_the_mask():
    maps = np.array([[[0.1, 0.9], [0.2, 0.3]], [[0.1, 0.2], [0.9, 0.3]]])
    masks = np.zeros((2, 4, 4), bool)
    masks[:, 1, 3] = True  # the centre of the upper right cell
    result = evaluate(maps, masks, "objects2018")
    assert result.success.tolist() == [True, False] and result.numbers == {"pointing": 0.5}
    assert np.isnan(result.iou).all() and "2x2" in result.text


def test_lvs2021_by_hand():
    maps = np.arange(16.0).reshape(1, 4, 4)
    masks = np.zeros((1, 4, 4), bool)
    masks[0, 2] = True
    # the sorted value at place 8 is 8: "> 8" predicts 7 pixels, 3 of the 4 inside; ">=" predicts 8
    assert evaluate(maps, masks, "lvs2021", size=4).iou == pytest.approx(3 / (4 + 4))
    assert evaluate(maps, masks, "ezvsl2022", size=4).iou == pytest.approx(4 / (4 + 4))
    numbers = evaluate(maps, masks, "ezvsl2022", size=4).numbers
    assert numbers["cIoU"] == 1 and numbers["mIoU"] == 0.5 and numbers["AUC"] == pytest.approx(0.525)


@pytest.mark.parametrize("keep", [">", ">="])
@pytest.mark.parametrize("protocol", ["lvs2021", "ezvsl2022", "adaptive"])
def test_cut_maps_against_a_slow_count(some, protocol, keep):
    maps, masks = some
    maps = np.round(maps, 2)  # with ties
    result = evaluate(maps, masks, protocol, size=24, keep=keep)
    for k, (heat, mask) in enumerate(zip(maps, masks, strict=True)):
        ordered = np.sort(heat.ravel())
        cut = ordered[288] if protocol != "adaptive" else ordered[576 - mask.sum()]
        predicted = heat > cut if keep == ">" else heat >= cut
        assert result.iou[k] == pytest.approx(slow_iou(predicted, mask))
    assert (result.success == (result.iou >= 0.5)).all()


def test_llinet2020_chooses_k_where_it_is_told(some):
    maps, masks = some
    every = {k: evaluate(maps, masks, "llinet2020", k=k).numbers for k in (2, 3, 4, 5, 6)}
    released = evaluate(maps, masks, "llinet2020")
    assert released.numbers["AUC51"] == max(n["AUC51"] for n in every.values())
    assert "chosen on=the test set" in released.text and released.settings["AUC51"]


def test_llinet2020_by_hand():
    maps = np.zeros((1, 16, 16))
    maps[0, 0, :4] = [1.0, 0.7, 0.4, 0.2]
    masks = np.zeros((1, 16, 16), bool)
    masks[0, 0, :2] = True
    ious = [evaluate(maps, masks, "llinet2020", k=k).iou[0] for k in (2, 4, 6)]
    assert ious == pytest.approx([2 / 3.00001, 2 / 2.00001, 2 / 2.00001])  # > .4: .4 itself is out
    number = evaluate(maps, masks, "llinet2020", k=2).numbers
    assert number["AUC51"] == pytest.approx(34 / 51)  # thresholds 0, .02, ... .66


def test_llinet2020_shrinks_masks_as_pillow_does(some):
    masks = np.kron(some[1], np.ones((1, 5, 5), bool)).astype(bool)[:, :112, :112]
    y, x = np.mgrid[:112, :112]
    radii = np.linspace(5, 50, 12)  # curved edges, at which rounding between the passes shows
    discs = [(y - 56) ** 2 / r**2 + (x - 50 - k) ** 2 / (1.7 * r) ** 2 < 1 for k, r in enumerate(radii)]
    masks = np.concatenate([masks, discs])
    for mask, got in zip(masks, shrunk(masks, (16, 16), "bicubic"), strict=True):
        small = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize((16, 16), Image.BICUBIC))
        assert np.array_equal(got, small > 0)
        near = Image.fromarray(mask.astype(np.uint8)).resize((16, 16), Image.NEAREST)
        assert (shrunk(mask[None], (16, 16))[0] == np.asarray(near)).all()
    how = {"empty": "fail", "mask_resize": "bicubic"}  # of a map that is 1 everywhere: the mask's share
    share = evaluate(np.ones((len(masks), 16, 16)), masks, "llinet2020", **how).iou
    assert share == pytest.approx(shrunk(masks, (16, 16), "bicubic").mean((1, 2)), abs=1e-6)


def test_universal_by_hand():
    maps = np.zeros((4, 2, 2))
    maps[0] = [[9, 8], [1, 0]]  # found
    maps[1] = [[1, 1], [9, 0]]  # elsewhere
    maps[2] = [[2, 5], [1, 0]]
    maps[3] = [[3, 0], [1, 0]]
    masks = np.zeros((4, 2, 2), bool)
    masks[:2, 0] = True
    result = evaluate(maps, masks, "universal")
    assert result.settings["level"] == np.quantile([5, 3], 0.75) and result.iou[:2].tolist() == [1, 0]
    assert result.predicted.tolist() == [0.5, 0.25, 0.25, 0]
    numbers = result.numbers
    assert numbers["cIoU"] == 0.5 and numbers["1 - pIA"] == 1 - 0.125
    assert numbers["F-LOC"] == pytest.approx(2 * 0.5 * 0.875 / 1.375)
    part, whole = np.zeros((2, 5, 2)), np.ones((2, 5, 2), bool)
    part[0, :3], whole[1] = 1, False
    assert evaluate(part, whole, "universal").numbers["F-LOC"] == pytest.approx(0.75)  # as the authors' code
    quarter, none = 15 / 20 + 0.5 / 20, 1.0  # .25 <= t from .25 on, by the trapezoidal rule; 0 always
    assert numbers["AUC-N"] == pytest.approx((quarter + none) / 2)


def test_mask_ap_is_scikit_learns(some):
    maps, masks = some
    for heat in (maps, np.round(maps, 2), -maps, np.zeros_like(maps), np.where(maps > 0.5, -0.0, 0.0)):
        got = evaluate(heat, masks, "mask_ap")
        want = [average_precision_score(m.ravel(), h.ravel()) for h, m in zip(heat, masks, strict=True)]
        assert got.iou == pytest.approx(want, abs=1e-9)
        assert got.numbers["mAP"] == pytest.approx(np.mean(want))


def test_max_iou_tries_every_threshold(some):
    maps, masks = np.round(some[0], 2), some[1]
    want = [max(slow_iou(h >= t, m) for t in np.unique(h)) for h, m in zip(maps[:10], masks, strict=False)]
    result = evaluate(maps[:10], masks[:10], "max_iou")
    assert result.iou == pytest.approx(want)
    assert (result.iou >= evaluate(maps[:10], masks[:10], "adaptive").iou - 1e-9).all()


def test_iiou_wants_every_sounding_object():
    masks = np.zeros((2, 3, 2, 4), bool)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[1, 2, :, :2] = True  # two objects, then one
    maps = masks + np.linspace(0, 0.1, 8).reshape(2, 4)
    good = evaluate(maps, masks, "iiou", keep=">=")
    assert good.iou.tolist() == [1, 1] and good.numbers["IIoU"] == 1
    swapped = maps[:, [1, 0, 2]]  # both maps of the first image at the other object
    bad = evaluate(swapped, masks, "iiou", keep=">=")
    assert bad.iou.tolist() == [0, 1] and bad.numbers == pytest.approx({"IIoU": 0.5, "IAUC": 0.5 + 0.0125})
    one = np.concatenate([maps[:, :1], swapped[:, 1:]], axis=1)  # a single failure is enough
    assert evaluate(one, masks, "iiou", keep=">=").success.tolist() == [False, True]
    strange = maps.copy()
    strange[1, 0] = -5  # the map of a sound that is not there does not count
    assert evaluate(strange, masks, "iiou", keep=">=").success.all()


@pytest.mark.parametrize("protocol", NEEDS_OBJECTS)
def test_protocols_without_silence_refuse_it(some, protocol):
    maps, masks = some[0], some[1].copy()
    masks[5] = False
    with pytest.raises(ValueError, match="1 masks are empty"):
        evaluate(maps, masks, protocol)
    failed = evaluate(maps, masks, protocol, empty="fail")
    assert not failed.success[5] and failed.positive.all() and "empty=fail (1 masks)" in failed.text
    with pytest.raises(ValueError, match="nothing to find"):
        evaluate(maps, masks & False, protocol)


@pytest.fixture(scope="module")
def boxes():
    """Thirty box masks of 32 x 32; the last six empty."""
    rng = np.random.default_rng(4)
    masks = np.zeros((30, 32, 32), bool)
    for mask in masks[:24]:
        top, left = rng.integers(0, 18, 2)
        mask[top : top + rng.integers(3, 14), left : left + rng.integers(3, 28)] = True
    return masks


def test_the_oracle_at_the_median_is_the_closed_form(boxes):
    masks = boxes[:24]
    area, half = masks.sum((1, 2)), 32 * 32 // 2
    inside = np.minimum(area, half)
    rows = baselines(masks, "ezvsl2022", size=32)
    assert rows["oracle ceiling"].iou == pytest.approx(inside / (area + half - inside))
    assert rows["whole image"].iou == pytest.approx(area / 1024)
    rng = np.random.default_rng(0)
    for _ in range(5):  # no map without ties does better on any image
        tried = evaluate(rng.permuted(oracle_maps(masks), axis=2), masks, "ezvsl2022", size=32)
        assert (tried.iou <= rows["oracle ceiling"].iou + 1e-9).all()


def test_a_true_map_reaches_the_ceiling_of_the_strict_count(boxes):
    """At a fixed level everything is found; at the median only what fills a quarter of the image or more."""
    fixed = baselines(boxes, "strict", size=32, level=0.5)
    assert fixed["oracle ceiling"].numbers["AP"] == pytest.approx(1)
    assert fixed["oracle ceiling"].numbers["cIoU"] == 1
    share = boxes[:24].mean((1, 2))
    median = baselines(boxes, "strict", size=32)["oracle ceiling"].numbers
    assert median["cIoU"] == pytest.approx((share >= 0.25).mean())
    assert median["AP"] == pytest.approx(median["cIoU"])  # the located come first


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - {"iiou"}))
def test_every_protocol_has_its_rows(boxes, protocol):
    masks = boxes if PROTOCOLS[protocol].negatives else boxes[:24]
    rows = baselines(masks, protocol, **options_of(protocol))
    assert list(rows) == (ROWS if protocol != "objects2018" else [*ROWS[:2], "image centre", "mean mask"])
    best = rows["oracle ceiling"].value + 1e-9
    assert all(row.value <= best for name, row in rows.items() if name != ROWS[1])  # ties may help the mask


def test_the_mean_mask_leaves_each_image_out():
    masks = np.zeros((3, 4, 4), bool)
    masks[0, 0] = masks[1, 0] = masks[2, 3] = True
    found = baselines(masks, "mask_ap")["mean mask"].iou
    assert found == pytest.approx([1 / 2, 1 / 2, 4 / 16])  # rows 0 and 3 tie; rows 0 only; not its own row
    train = baselines(masks, "mask_ap", train=masks[2:])["mean mask"].iou
    assert train == pytest.approx([4 / 16, 4 / 16, 1])
    with pytest.raises(ValueError, match="needs two masks"):
        baselines(masks[:1], "mask_ap")


def options_of(protocol):
    return {"size": 32} if "size" in PROTOCOLS[protocol].changes and protocol != "llinet2020" else {}


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


def test_auc_is_scikit_learns_area_and_the_mean_iou():
    iou = np.random.default_rng(0).beta(2, 3, size=5000)
    thresholds, shares = success_curve(iou)
    assert len(thresholds) == 21 and shares[0] == 1
    assert shares.tolist() == [(iou >= t).mean() for t in thresholds]
    assert trapezoid_share(iou, 21).mean() == pytest.approx(area(thresholds, shares))
    assert trapezoid_share(iou, 21).mean() == pytest.approx(iou.mean(), abs=1e-3)
    assert trapezoid_share(iou, 2001).mean() == pytest.approx(iou.mean(), abs=1e-5)
    for k in range(50):  # of a single image, half a step at most
        assert abs(trapezoid_share(iou[k : k + 1], 21)[0] - iou[k]) <= 0.025 + 1e-12


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
    for given in (maps, np.round(maps)):  # the second with ties
        result = evaluate(given, masks, "strict", size=8)
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


def test_intervals_are_bootstraps_of_clips(extended):
    maps, masks = extended[0][:40], extended[1][:40]
    clips = np.arange(40) // 2
    result = evaluate(maps, masks, "lvs2021", size=8, clips=clips)
    assert result.interval() == clip_bootstrap(result.success, clips)
    other = evaluate(maps[::-1].copy(), masks, "lvs2021", size=8, clips=clips)
    gap = (result.cell() - other.cell()).interval()
    want = clip_bootstrap(result.success.astype(float) - other.success, clips, limits=(-1, 1))
    assert gap.numbers == pytest.approx(want.numbers, abs=1e-12)
    with pytest.raises(ValueError, match="lvs2021 gives cIoU"):
        result.interval("pointing")


@pytest.mark.parametrize("protocol", ["slavc2022", "strict", "universal"])
def test_every_number_has_an_interval(extended, protocol):
    result = evaluate(*extended, protocol, **({"size": 8} if protocol != "universal" else {}))
    for name, value in result.numbers.items():
        interval = result.interval(name)
        assert 0 <= interval.low <= value <= interval.high <= 1, name


def test_sizes_are_shares_of_the_image():
    masks = np.zeros((4, 10, 10), bool)
    masks[1, 0], masks[1, 0, 0], masks[2, :4], masks[3] = True, False, True, True
    masks[2, 0, 0] = False
    assert size_groups(masks).tolist() == ["none", "small", "medium", "large"]


M, T = np.ones((4, 7, 7)), np.ones((4, 8, 8), bool)
N = np.where(np.arange(4)[:, None, None] == 2, np.nan, M)


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - {"iiou"}))
def test_nan_is_refused(protocol):
    truth = T & (np.arange(4)[:, None, None] > 0) if PROTOCOLS[protocol].negatives else T
    with pytest.raises(ValueError, match="map 2 holds NaN"):
        evaluate(N, truth, protocol)


@pytest.mark.parametrize(("maps", "masks", "protocol", "options", "says"), [
    (M[:3], T, "lvs2021", {}, "one mask for every map"),
    (M[:, None], T, "lvs2021", {}, r"needs maps and masks \(N, H, W\)"),
    (M.astype(int), T, "lvs2021", {}, "maps must be floats"),
    (M, T.astype(np.uint8), "lvs2021", {}, "yes and no"),
    (M - 2, T, "llinet2020", {}, "negative values"),
    (M, T, "cIoU", {}, "choose one of objects2018"),
    (M, T, "lvs2021", {"quantile": 0.5}, "does not know quantile"),
    (M, T, "strict", {"empty": "fail"}, "leave empty alone"),
    (M, T, "llinet2020", {"k": 7}, "k must be"),
    (M, T, "universal", {}, "nothing sounds"),
])  # fmt: skip
def test_what_is_refused(maps, masks, protocol, options, says):
    with pytest.raises(ValueError, match=says):
        evaluate(maps, masks, protocol, **options)
