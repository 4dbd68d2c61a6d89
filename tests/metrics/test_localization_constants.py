"""Constants and ceilings: what the rules reward without a model, by hand and on VGG-SS."""

import json

import numpy as np
import pytest

from llinet_lite.metrics.localization import (
    PROTOCOLS,
    auc,
    baselines,
    best_radius,
    by_group,
    centre_disc,
    compare,
    evaluate,
    oracle_maps,
    size_groups,
)

ROWS = ["oracle ceiling", "ground-truth mask as map", "centre disc", "mean mask", "whole image"]


@pytest.fixture(scope="module")
def boxes():
    """Thirty box masks of 32 x 32; the last six empty."""
    rng = np.random.default_rng(4)
    masks = np.zeros((30, 32, 32), bool)
    for mask in masks[:24]:
        top, left = rng.integers(0, 18, 2)
        mask[top : top + rng.integers(3, 14), left : left + rng.integers(3, 28)] = True
    return masks


def options_of(protocol):
    return {"size": 32} if "size" in PROTOCOLS[protocol].changes and protocol != "llinet2020" else {}


# ---- maps


def test_oracle_maps_have_no_ties_and_the_object_on_top(boxes):
    for heat, mask in zip(oracle_maps(boxes), boxes, strict=True):
        assert len(np.unique(heat)) == heat.size and heat.min() >= 0 and heat.max() <= 1
        assert not mask.any() or heat[mask].min() >= 0.875 > 0.125 > heat[~mask].max()
    agreed = np.array([[[0.5, 1, 0, 0.5]]])
    assert np.argsort(-oracle_maps(agreed)[0, 0])[0] == 1 and oracle_maps(agreed)[0, 0, 2] < 0.125


def test_the_disc_falls_off_from_the_middle():
    disc = centre_disc((21, 31), 0.25)
    assert disc.argmax() == 10 * 31 + 15
    y, x = np.mgrid[:21, :31]
    inside = np.hypot(y - 10, x - 15) <= 0.25 * 21
    assert ((disc > 0.5) == inside).all()
    assert disc[10, 15] > disc[10, 16] > disc[10, 17] > disc[0, 0]


# ---- ceilings


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


@pytest.mark.parametrize(
    "protocol", ["objects2018", "llinet2020", "adaptive", "mask_ap", "max_iou", "universal"]
)
def test_a_perfect_map_reaches_one_where_the_rule_leaves_it(boxes, protocol):
    masks = boxes if PROTOCOLS[protocol].negatives else boxes[:24]
    rows = baselines(masks, protocol, **options_of(protocol))
    assert rows["oracle ceiling"].value == pytest.approx(1, abs=0.02 if protocol == "llinet2020" else 1e-6)
    if protocol == "llinet2020":
        return
    assert rows["oracle ceiling"].value == max(row.value for row in rows.values())


def test_a_true_map_reaches_the_ceiling_of_the_strict_count(boxes):
    """At a fixed level everything is found; at the median only what fills a quarter of the image or more."""
    fixed = baselines(boxes, "strict", size=32, level=0.5)
    assert fixed["oracle ceiling"].numbers["AP"] == pytest.approx(1)
    assert fixed["oracle ceiling"].numbers["cIoU"] == 1
    share = boxes[:24].mean((1, 2))
    median = baselines(boxes, "strict", size=32)["oracle ceiling"].numbers
    assert median["cIoU"] == pytest.approx((share >= 0.25).mean())
    assert median["AP"] == pytest.approx(median["cIoU"])  # the located come first


def test_ties_decide_what_a_perfect_mask_is_worth(boxes):
    masks = boxes[:24]
    small = masks.mean((1, 2)) < 0.5
    more, least = (
        baselines(masks, "lvs2021", size=32, keep=k)["ground-truth mask as map"] for k in (">", ">=")
    )
    assert more.iou[small] == pytest.approx(1)
    assert least.iou[small] == pytest.approx(masks.mean((1, 2))[small])


def test_levels_on_another_scale_are_met(boxes):
    near = baselines(boxes, "strict", size=32, level=0.5)
    far = baselines(boxes, "strict", size=32, level=-40.0)
    for name, row in near.items():
        assert far[name].numbers["cIoU"] == row.numbers["cIoU"], name


# ---- rows


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - {"iiou"}))
def test_every_protocol_has_its_rows(boxes, protocol):
    masks = boxes if PROTOCOLS[protocol].negatives else boxes[:24]
    rows = baselines(masks, protocol, radius=0.4, **options_of(protocol))
    expected = ROWS if protocol != "objects2018" else [*ROWS[:2], "image centre", "mean mask"]
    assert list(rows) == expected
    table = compare(rows)
    assert list(table.index) == expected and (table["low"] <= table.iloc[:, 0] + 1e-9).all()
    maps = np.random.default_rng(0).random(masks.shape)
    assert list(compare({"a model": evaluate(maps, masks, protocol, **options_of(protocol)), **rows}).index)


def test_objects_of_one_image_have_their_rows():
    masks = np.zeros((3, 2, 8, 8), bool)
    masks[:, 0, :4] = masks[:2, 1, :, 5:] = True
    rows = baselines(masks, "iiou", keep=">=")
    assert list(rows) == ROWS
    assert rows["oracle ceiling"].iou == pytest.approx([24 / 32, 24 / 32, 1])
    assert rows["centre disc"].success.tolist() == [False, False, False]


def test_the_image_centre_by_hand(boxes):
    masks = boxes[:24]
    assert baselines(masks, "objects2018")["image centre"].value == masks[:, 16, 16].mean()


def test_the_mean_mask_leaves_each_image_out():
    masks = np.zeros((3, 4, 4), bool)
    masks[0, 0] = masks[1, 0] = masks[2, 3] = True
    found = baselines(masks, "mask_ap")["mean mask"].iou
    assert found == pytest.approx([1 / 2, 1 / 2, 4 / 16])  # rows 0 and 3 tie; rows 0 only; not its own row
    train = baselines(masks, "mask_ap", train=masks[2:])["mean mask"].iou
    assert train == pytest.approx([4 / 16, 4 / 16, 1])
    with pytest.raises(ValueError, match="needs two masks"):
        baselines(masks[:1], "mask_ap")


def test_the_radius_is_chosen_where_it_is_said(boxes):
    size = (16, 16)
    y, x = np.mgrid[:16, :16] - 7.5
    discs = np.stack([np.hypot(y, x) <= r * 16 for r in (0.2, 0.35, 0.35)])
    assert best_radius(discs[1:], "llinet2020") == pytest.approx(0.35)
    chosen = baselines(discs, "llinet2020", validation=discs[:1])["centre disc"]
    assert chosen.settings["radius"] == 0.2 and chosen.success[0]
    given = baselines(discs, "llinet2020", radius=0.5)["centre disc"]
    assert given.settings["radius"] == 0.5
    upper = baselines(discs, "llinet2020")
    (name,) = [n for n in upper if n.startswith("centre disc")]
    assert "best radius on test: an upper bound" in name and upper[name].value >= given.value
    # where the rule fixes the area the radius plays no part
    ranked = [
        evaluate(np.repeat(centre_disc(size, r)[None], 3, 0), discs, "adaptive").iou for r in (0.2, 0.5)
    ]
    assert (ranked[0] == ranked[1]).all()


def test_what_belongs_to_the_model_is_not_taken_over(boxes):
    maps = np.random.default_rng(0).random((30, 32, 32))
    plain = baselines(boxes, "universal")
    assert baselines(boxes, "universal", negatives=maps)["mean mask"].numbers == plain["mean mask"].numbers
    plain = baselines(boxes[:24], "llinet2020", radius=0.3)
    given = baselines(boxes[:24], "llinet2020", radius=0.3, k=2)
    assert "k=2" not in given["mean mask"].text or "test" in given["mean mask"].text
    assert given["mean mask"].numbers == plain["mean mask"].numbers


# ---- VGG-SS


@pytest.fixture(scope="module")
def vggss(real):
    path = real / "annotations" / "vggss" / "vggss.json"
    if not path.is_file():
        pytest.skip(f"no VGG-SS boxes at {path}")
    clips = json.loads(path.read_text())
    masks = np.zeros((len(clips), 224, 224), bool)
    for mask, clip in zip(masks, clips, strict=True):  # 14 of the published coordinates are about -3e16
        for left, top, right, bottom in (np.clip(clip["bbox"], 0, 1) * 224).astype(int):
            mask[top:bottom, left:right] = True
    return masks, np.array([clip["class"] for clip in clips])


def constant(masks, heat, protocol, **options):
    """Judge one map for all; the two clips without a mask count as not located, as in the papers' code."""
    maps = np.broadcast_to(heat, masks.shape)
    return evaluate(maps, masks, protocol, empty="fail", **options)


def test_vggss_a_perfect_ranking_reaches_half(vggss):
    masks = vggss[0]
    area, half = masks.sum((1, 2)), 224 * 224 // 2
    best = np.minimum(area, half)
    best = best / (area + half - best)
    assert 100 * (best >= 0.5).mean() == pytest.approx(50.5, abs=0.05)
    assert 100 * auc(best) == pytest.approx(49.5, abs=0.05)
    few = slice(0, 400)  # the evaluator agrees with the closed form
    got = evaluate(oracle_maps(masks[few]), masks[few], "ezvsl2022", empty="fail")
    assert got.iou == pytest.approx(best[few])


def test_vggss_a_disc_in_the_middle_without_model_or_sound(vggss):
    masks = vggss[0]
    disc = centre_disc((224, 224), 0.5)
    median = constant(masks, disc, "ezvsl2022")
    assert 100 * median.numbers["cIoU"] == pytest.approx(34.0, abs=0.05)
    assert 100 * median.numbers["AUC"] == pytest.approx(37.4, abs=0.05)
    half_width = (median.interval().high - median.interval().low) / 2
    assert 100 * half_width == pytest.approx(1.4, abs=0.15)
    adaptive = constant(masks, disc, "adaptive")
    assert 100 * adaptive.numbers["cIoU"] == pytest.approx(43.7, abs=0.05)


def test_vggss_ties_decide(vggss):
    """The true mask as the map: 22.0 with >= and 78.0 with > (21.95 and 78.01)."""
    parts = np.array_split(vggss[0], 8)
    for keep, want in ((">=", 22.0), (">", 78.0)):
        found = [
            evaluate(part.astype(np.float32), part, "ezvsl2022", keep=keep, empty="fail").success
            for part in parts
        ]
        assert 100 * np.concatenate(found).mean() == pytest.approx(want, abs=0.06)


def test_vggss_by_class_and_size(vggss):
    masks, labels = (part[:600] for part in vggss)
    masks, labels = masks[masks.any((1, 2))], labels[masks.any((1, 2))]
    result = evaluate(np.broadcast_to(centre_disc((224, 224), 0.5), masks.shape), masks, "lvs2021")
    by_size = by_group(result, size_groups(masks))
    assert set(by_size.index) == {"small", "medium", "large"} and by_size["n"].sum() == len(masks)
    assert by_size.loc["small", "cIoU"] == 0 < by_size.loc["large", "cIoU"]  # half an image is ten times .05
    by_class = by_group(result, labels)
    assert np.average(by_class["cIoU"], weights=by_class["n"]) == pytest.approx(result.value)
