"""Every named protocol against hand-computed cases and independent implementations."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import zoom
from sklearn.metrics import average_precision_score

from llinet_lite.metrics.localization import PROTOCOLS, consensus, evaluate, oracle_maps, points
from llinet_lite.metrics.localization.protocols import touched

NEEDS_OBJECTS = [name for name, known in PROTOCOLS.items() if not known.negatives and name != "iiou"]


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


# ---- pointing


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


# ---- cIoU at the median


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


def test_adaptive_predicts_the_true_size(some):
    maps, masks = some
    result = evaluate(maps, masks, "adaptive")
    assert result.predicted == pytest.approx(masks.mean((1, 2)))


def test_maps_are_interpolated_as_the_papers_do(some):
    small, masks = some[0][:6, ::3, ::3], some[1][:6]
    for protocol, enlarge in (
        ("lvs2021", lambda m: cv2.resize(m, (24, 24), interpolation=cv2.INTER_LINEAR)),
        ("ezvsl2022", lambda m: zoom(m, 3, order=1)),
    ):
        large = np.stack([enlarge(m) for m in small]).astype(np.float32)
        got, want = (evaluate(m, masks, protocol, size=24).iou for m in (small, large))
        assert got == pytest.approx(want, abs=0.01)  # a pixel next to the level may fall to either side
        other = evaluate(small, masks, protocol, size=24, align_corners=protocol == "lvs2021").iou
        assert abs(got - other).max() > 0.01


def test_consensus_counts_partly_agreed_pixels_by_half():
    seen = np.zeros((3, 2, 4), bool)
    seen[0, 0, :3] = seen[1, 0, 1:] = seen[2, 0, 1] = True
    truth = consensus(seen)
    assert truth.tolist() == [[0.5, 1, 1, 0.5], [0, 0, 0, 0]]
    maps = np.array([[[0.0, 8, 7, 6], [5, 0, 1, 2]]])  # ">=" the fourth highest: 8, 7, 6, 5
    result = evaluate(maps, truth[None], "ezvsl2022", size=(2, 4))
    assert result.iou == pytest.approx(2.5 / (3 + 1))
    assert result.iou == pytest.approx(slow_iou(maps[0] >= 5, truth))


# ---- LLINet


def test_llinet2020_chooses_k_where_it_is_told(some):
    maps, masks = some
    every = {k: evaluate(maps, masks, "llinet2020", k=k).numbers for k in (2, 3, 4, 5, 6)}
    released = evaluate(maps, masks, "llinet2020")
    assert released.numbers["AUC51"] == max(n["AUC51"] for n in every.values())
    assert "chosen on the test set" in released.text and released.settings["AUC51"]
    first, second = slice(0, 20), slice(20, 40)
    flat = np.ones_like(maps[second])  # on these, only everything can be predicted
    flat[:, :6] = 0.55
    best = max((2, 3, 4, 5, 6), key=lambda k: evaluate(flat, ~masks[second], "llinet2020", k=k).value)
    chosen = evaluate(
        maps[first], masks[first], "llinet2020", k="validation", validation=(flat, ~masks[second])
    )
    assert f"k={best} (chosen on validation)" in chosen.text
    assert chosen.numbers == evaluate(maps[first], masks[first], "llinet2020", k=best).numbers


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
    for mask, got in zip(masks, touched(masks, (16, 16)), strict=True):
        small = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize((16, 16), Image.BICUBIC))
        assert (got == (small > 0)).mean() > 0.99
    nearest = np.stack(
        [np.asarray(Image.fromarray(m.astype(np.uint8)).resize((16, 16), Image.NEAREST)) > 0 for m in masks]
    )
    maps = np.random.default_rng(0).random((len(masks), 16, 16))
    want = evaluate(maps, nearest, "llinet2020", empty="fail").iou
    assert evaluate(maps, masks, "llinet2020", empty="fail").iou == pytest.approx(want)
    more = evaluate(np.ones_like(maps), masks, "llinet2020", mask_resize="bicubic", empty="fail").iou
    assert (more >= evaluate(np.ones_like(maps), masks, "llinet2020", empty="fail").iou).all()


# ---- universal, ranking, every object


def test_universal_by_hand():
    maps = np.zeros((4, 2, 2))
    maps[0] = [[9, 8], [1, 0]]  # found
    maps[1] = [[1, 1], [9, 0]]  # elsewhere
    maps[2] = [[2, 5], [1, 0]]
    maps[3] = [[3, 0], [1, 0]]
    masks = np.zeros((4, 2, 2), bool)
    masks[:2, 0] = True
    result = evaluate(maps, masks, "universal", quantile=0)  # the smaller of the maxima 5 and 3
    assert result.settings["level"] == 3 and result.iou[:2].tolist() == [1, 0]
    assert result.predicted.tolist() == [0.5, 0.25, 0.25, 0]
    numbers = result.numbers
    assert numbers["cIoU"] == 0.5 and numbers["1 - pIA"] == 1 - 0.125
    assert numbers["F-LOC"] == pytest.approx(2 * 0.5 * 0.875 / 1.375)
    quarter, none = 15 / 20 + 0.5 / 20, 1.0  # .25 <= t from .25 on, by the trapezoidal rule; 0 always
    assert numbers["AUC-N"] == pytest.approx((quarter + none) / 2)
    given = evaluate(maps[:2], masks[:2], "universal", negatives=maps[2:], quantile=0)
    assert given.settings["level"] == 3 and given.measures == ("cIoU", "AUC", "mIoU")
    assert evaluate(maps, masks, "universal", level=100.0).numbers["cIoU"] == 0
    assert evaluate(maps, masks, "universal").settings["level"] == np.quantile([5, 3], 0.75)


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


# ---- properties


@pytest.mark.parametrize("protocol", ["adaptive", "mask_ap", "max_iou", "objects2018", "lvs2021", "strict"])
def test_only_the_order_of_pixels_matters(some, protocol):
    maps, masks = np.round(some[0], 3), some[1]  # steps that float32 can tell apart after the change too
    size = {"size": 24} if protocol in ("lvs2021", "strict") else {}
    first = evaluate(maps, masks, protocol, **size)
    for change in (np.exp, lambda m: 3 * m**3 - 1, lambda m: np.log(m + 0.5)):
        again = evaluate(change(maps.astype(np.float64)), masks, protocol, **size)
        assert (again.success == first.success).all()
        assert again.iou == pytest.approx(first.iou, nan_ok=True, abs=1e-9)


@pytest.mark.parametrize("protocol", NEEDS_OBJECTS)
def test_more_light_on_the_object_is_no_loss(some, protocol):
    maps, masks = some
    size = {"size": 24} if protocol in ("lvs2021", "ezvsl2022") else {}
    better = evaluate(maps + masks, masks, protocol, **size).value
    assert better >= evaluate(maps, masks, protocol, **size).value
    assert evaluate(oracle_maps(masks), masks, protocol, **size).value >= better - 0.02


def test_tensors_and_arrays_and_blocks_are_the_same(some, monkeypatch):
    maps, masks = some
    first = evaluate(maps, masks, "strict")
    monkeypatch.setattr("llinet_lite.metrics.localization.rules.PIXELS", 3 * 224 * 224)
    tensors = evaluate(torch.from_numpy(maps).requires_grad_(), torch.from_numpy(masks), "strict")
    assert (tensors.iou == first.iou).all() and tensors.numbers == first.numbers


def test_constant_maps_are_settled_by_the_comparison(some):
    masks = some[1]
    flat = np.full((40, 7, 7), 0.3)
    assert evaluate(flat, masks, "lvs2021").predicted.max() == 0
    assert evaluate(flat, masks, "ezvsl2022").predicted.min() == 1
    assert evaluate(flat, masks, "mask_ap").iou == pytest.approx(masks.mean((1, 2)))


# ---- what is refused


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - {"iiou"}))
def test_nan_is_refused(some, protocol, bad):
    maps, masks = some[0].copy(), some[1].copy()
    masks[0] = ~PROTOCOLS[protocol].negatives & masks[0]
    maps[7, 3, 3] = bad
    with pytest.raises(ValueError, match="map 7 holds NaN"):
        evaluate(maps, masks, protocol)


@pytest.mark.parametrize(
    ("maps", "masks", "says"),
    [
        ((4, 7, 7), (5, 8, 8), "one mask for every map"),
        ((4, 1, 7, 7), (4, 8, 8), r"needs maps and masks \(N, H, W\)"),
        ((4, 7, 7), (4, 8, 8, 3), r"needs maps and masks \(N, H, W\)"),
        ((0, 7, 7), (0, 8, 8), "There must be images"),
    ],
)
def test_wrong_shapes_are_refused(maps, masks, says):
    with pytest.raises(ValueError, match=says):
        evaluate(np.zeros(maps), np.ones(masks, bool), "lvs2021")


def test_wrong_kinds_are_refused(some):
    maps, masks = some
    with pytest.raises(ValueError, match="maps must be floats"):
        evaluate(maps.astype(int), masks, "lvs2021")
    with pytest.raises(ValueError, match="masks must be bool, got uint8"):
        evaluate(maps, masks.astype(np.uint8) * 255, "lvs2021")
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        evaluate(maps, masks * 2.0, "lvs2021")
    for protocol in ("objects2018", "llinet2020", "mask_ap", "max_iou"):
        with pytest.raises(ValueError, match="yes and no"):
            evaluate(maps, masks * 0.5, protocol)
    with pytest.raises(ValueError, match="negative values"):
        evaluate(maps - 1, masks, "llinet2020")
    with pytest.raises(ValueError, match=r"annotators|annotations"):
        consensus(masks.astype(float))


@pytest.mark.parametrize("protocol", NEEDS_OBJECTS)
def test_protocols_without_silence_refuse_it(some, protocol):
    maps, masks = some[0], some[1].copy()
    masks[5] = False
    with pytest.raises(ValueError, match=r"1 of 40 masks are empty, the first at 5"):
        evaluate(maps, masks, protocol)
    failed = evaluate(maps, masks, protocol, empty="fail")
    assert not failed.success[5] and failed.positive.all() and "empty=fail (1 masks)" in failed.text
    with pytest.raises(ValueError, match="nothing to find"):
        evaluate(maps, masks & False, protocol)


@pytest.mark.parametrize(
    ("protocol", "options", "says"),
    [
        ("cIoU", {}, "choose one of objects2018"),
        ("objects2018", {"k": 3}, "takes no option"),
        ("lvs2021", {"quantile": 0.5}, "does not know quantile"),
        ("lvs2021", {"keep": "<"}, "keep must be"),
        ("lvs2021", {"interpolation": "area"}, "interpolation must be"),
        ("lvs2021", {"level": "mean"}, "level must be"),
        ("lvs2021", {"empty": "skip"}, "'refuse' or 'fail'"),
        ("lvs2021", {"clips": [1, 2]}, "one clip for each of 40"),
        ("strict", {"empty": "fail"}, "nothing sounds"),
        ("strict", {"confidence": [1.0]}, "confidence must be"),
        ("universal", {}, "every mask here has an object"),
        ("universal", {"level": 1.0, "negatives": np.zeros((1, 2, 2))}, "not both"),
        ("universal", {"negatives": np.zeros((2, 2))}, r"maps \(M, h, w\)"),
        ("llinet2020", {"k": 7}, "k must be"),
        ("llinet2020", {"k": "validation"}, "goes with validation"),
        ("llinet2020", {"mask_resize": "area"}, "mask_resize must be"),
    ],
)
def test_options_that_do_not_fit_are_refused(some, protocol, options, says):
    with pytest.raises(ValueError, match=says):
        evaluate(*some, protocol, **options)


def test_a_changed_rule_shows_in_the_text(some):
    text = evaluate(*some, "lvs2021", interpolation="bicubic", level=0.6).text
    assert "interpolation=bicubic" in text and "level=0.6" in text and "size=224x224" in text
    assert "\n" not in text and "40 images" in text
