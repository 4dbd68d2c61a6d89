"""The rule behind the page of claims: intervals against closed forms and a simulation, verdicts by hand."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from llinet_lite.course import claims
from llinet_lite.course.claim import Check, Claim
from llinet_lite.course.claims import HELD, NOT_HELD, OPEN, UNTESTED, compare, difference, judge, widening
from llinet_lite.course.measured import Measured, Page
from llinet_lite.results import Result

ALL = [claim for section in claims.SECTIONS for claim in section.claims]
REFERENCE = re.compile(r"\{([^{}]*)\}")


def measured(*results: Result, run: str = "laptop", lesson: str = "02_some") -> Measured:
    return Measured([Page(run, lesson, {result.name: result for result in results})])


def result(name, value, half=0.02, seeds=3, **fields):
    return Result(name, value, value - half, value + half, seeds=tuple(range(seeds)), **fields)


def claim(*checks: Check) -> Claim:
    return Claim("It is so.", "02", "-", "-", checks, "Because.")


# ---- the interval of a difference


def test_newcombes_own_example():
    """56 of 70 minus 48 of 80, Newcombe 1998, method 10: 0.0524 to 0.3339."""
    sides = []
    for right, n in ((56, 70), (48, 80)):
        wilson = binomtest(right, n).proportion_ci(method="wilson")
        sides.append((right / n, wilson.low, wilson.high))
    value, low, high = difference(*sides)
    assert value == pytest.approx(0.2) and (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


def test_independent_normal_sides_add_their_variances():
    a, b = (0.7, 0.03), (0.4, 0.04)
    value, low, high = difference(*((m, m - 1.96 * s, m + 1.96 * s) for m, s in (a, b)))
    assert (value, low, high) == pytest.approx((0.3, 0.3 - 1.96 * 0.05, 0.3 + 1.96 * 0.05))
    turned = difference(*((m, m - 1.96 * s, m + 1.96 * s) for m, s in (b, a)))
    assert turned == pytest.approx((-value, -high, -low))


def test_it_covers_as_often_as_it_says_and_more_often_where_clips_are_shared():
    rng, n, repeats = np.random.default_rng(0), 200, 2000
    covered = {}
    for shared in (False, True):
        first = rng.random((repeats, n))
        second = first if shared else rng.random((repeats, n))
        hits = 0
        for a, b in zip((first < 0.7).mean(1), (second < 0.6).mean(1), strict=True):
            halves = (1.96 * math.sqrt(p * (1 - p) / n) for p in (a, b))
            _, low, high = difference(*((p, p - h, p + h) for p, h in zip((a, b), halves, strict=True)))
            hits += low <= 0.1 <= high
        covered[shared] = hits / repeats
    assert 0.935 < covered[False] < 0.965 and covered[True] > 0.99


def test_without_an_interval_there_is_none():
    assert difference((0.5, None, None), (0.25, 0.2, 0.3)) == (0.25, None, None)


@pytest.mark.parametrize("count", [1, 2, 16])
def test_widening_gives_each_of_many_its_share_of_the_error(count):
    assert 2 * norm.sf(1.959964 * widening(count)) == pytest.approx(0.05 / count, rel=1e-4)


# ---- one comparison


def test_a_comparison_with_chance_a_constant_and_a_margin():
    known = measured(result("x", 0.60, chance=0.5), result("y", 0.61), result("no chance", 0.5))
    one = compare(Check("02 x"), known, "laptop")
    assert (one.value, one.low, one.high) == pytest.approx((0.10, 0.08, 0.12))
    one = compare(Check(0.0, "02 x"), known, "laptop")
    assert (one.value, one.low, one.high) == pytest.approx((-0.60, -0.62, -0.58))
    one = compare(Check("02 x", "02 y", by=-0.05), known, "laptop")
    half = math.hypot(0.02, 0.02)
    assert (one.value, one.low, one.high) == pytest.approx((0.04, 0.04 - half, 0.04 + half))
    for check in (Check("02 no chance"), Check("02 x", "02 z"), Check("02 z"), Check("03 x")):
        assert not compare(check, known, "laptop").measured
    assert not compare(Check("02 x"), known, "gpu").measured


# ---- verdicts


@pytest.mark.parametrize(
    ("value", "half", "seeds", "word"),
    [
        (0.60, 0.02, 3, HELD),
        (0.60, 0.12, 3, OPEN),  # the interval holds chance
        (0.40, 0.02, 3, NOT_HELD),
        (0.57, 0.02, 1, OPEN),  # one seed and less than ten points
        (0.65, 0.02, 1, HELD),
        (0.35, 0.02, 1, NOT_HELD),
        (0.57, 0.02, 0, HELD),  # a constant has no seed to miss
    ],
)
def test_a_verdict_on_one_comparison(value, half, seeds, word):
    assert judge(claim(Check("02 x")), measured(result("x", value, half, seeds, chance=0.5))).word == word


def test_without_an_interval_nothing_is_decided():
    assert judge(claim(Check("02 x")), measured(Result("x", 0.9, chance=0.5, seeds=(0, 1)))).word == OPEN


def test_all_must_hold_and_one_that_fails_is_enough():
    a, b, c = result("a", 0.7), result("b", 0.6), result("c", 0.5)
    known = measured(a, b, c)
    order = [Check("02 a", "02 b"), Check("02 b", "02 c")]
    assert judge(claim(*order), known).word == HELD
    assert judge(claim(*order, Check("02 c", "02 b")), known).word == NOT_HELD
    assert judge(claim(*order, Check("02 a", 0.69)), known).word == OPEN
    assert judge(claim(*order, Check("02 missing")), known).word == OPEN
    assert judge(claim(Check("02 missing")), known).word == UNTESTED == judge(claim(), known).word


def test_many_comparisons_ask_more_of_the_one_that_fails():
    """-4 +- 3 fails alone; among sixteen its interval is widened to -4 +- 4.5."""
    known = measured(result("low", 0.46, 0.03), *(result(f"x{k}", 0.9) for k in range(15)))
    failing = Check("02 low", 0.5)
    assert judge(claim(failing), known).word == NOT_HELD
    assert judge(claim(failing, *(Check(f"02 x{k}", 0.5) for k in range(15))), known).word == OPEN


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [("R@1 I2A, LLINet", "R@1 I2A, DAR", OPEN), ("acc, LLINet", "acc, SAE", OPEN),
     ("mIoU, LLINet", "mIoU, X", HELD),
     ("hm (gate), LLINet", "hm (gate), SAE", OPEN), ("accurate", "other", HELD)],
)  # fmt: skip
def test_few_classes_decide_from_ten_points_on(first, second, word):
    near, far = (measured(result(first, value), result(second, 0.5)) for value in (0.59, 0.61))
    check = claim(Check(f"02 {first}", f"02 {second}"))
    assert judge(check, near).word == word and judge(check, far).word == HELD


def test_the_baseline_learns_nothing_so_one_seed_is_enough():
    known = measured(result("mIoU, LLINet", 0.3), result("mIoU, Baseline", 0.25, seeds=1))
    assert judge(claim(Check("02 mIoU, LLINet", "02 mIoU, Baseline")), known).word == HELD


def test_the_evidence_names_what_decides():
    known = measured(result("a", 0.7), result("b", 0.6), result("c", 0.5), result("d", -0.02, 0.01))
    said = judge(claim(Check("02 a", "02 c"), Check("02 a", "02 b")), known).evidence
    assert said == "Narrowest: `02 a` minus `02 b` +10.0 [+7.2, +12.8]."
    said = judge(claim(Check("02 b", "02 a"), Check("02 a", "02 b")), known).evidence
    assert said == "Against it: `02 b` minus `02 a` \u221210.0 [\u221212.8, \u22127.2]."
    said = judge(claim(Check("02 a", 0.69), Check("02 gone"), Check("02 a", "02 b")), known).evidence
    assert said == "Open in 1 of 3 comparisons, 1 not measured: `02 a` minus 69 % +1.0 [\u22121.0, +3.0]."
    said = judge(claim(Check(0.0, "02 d"), Check("02 a", "02 b")), known).evidence  # the effect, as measured
    assert said == "Narrowest: `02 d` \u22122.0 [\u22123.0, \u22121.0]."


# ---- the list of claims


def references() -> set[str]:
    checks = [side for claim in ALL for check in claim.checks for side in (check.first, check.second)]
    named = {side for side in checks if isinstance(side, str) and side != "chance"}
    return named | {name for claim in ALL for name in REFERENCE.findall(claim.here)}


def test_every_name_is_a_result_or_a_difference_that_lesson_09_can_measure(root):
    """A name that is spelt wrongly would pass for 'not tested here'."""
    from llinet_lite.audit import avenet

    known = Measured.read(root / "results")
    pending = {f"09 {e.name}" for e in avenet.TRAINED}
    lost = {name for name in references() - pending if known.result("laptop", name) is None}
    assert not lost, f"results/laptop does not hold {sorted(lost)}"


@pytest.mark.parametrize("claim", ALL, ids=lambda claim: claim.sentence[:40])
def test_a_claim_is_complete(claim):
    assert claim.sentence.endswith(".") and claim.why.endswith(".") and claim.paper
    assert re.fullmatch(r"\d\d", claim.lesson) and bool(claim.checks) == (claim.here != "-")


def test_papers_numbers_are_those_beside_our_results(root):
    """Where a result carries the paper's value, the claim that prints the result prints that value too."""
    known = Measured.read(root / "results")
    for claim in ALL:
        if claim.lesson == "09" or claim.paper in ("-", "paper: one", "shown in pictures"):
            continue
        printed = {float(x) for x in re.findall(r"\d*\.\d+|\d+", claim.paper)}
        for name in REFERENCE.findall(claim.here):
            found = known.result("laptop", name)
            if found and found.paper is not None and "(gate)" not in name and "shortcut" not in name:
                scale = 1 if found.unit == "nDCG" else 100
                assert round(scale * found.paper, 3) in printed, (
                    f"{name}: {found.paper} not in {claim.paper!r}"
                )


def test_the_page_prints_verdict_numbers_seeds_and_the_other_runs():
    avc = result("AVC accuracy, all", 0.862, 0.018, chance=0.5)
    known = Measured([
        Page("laptop", "01_first", {avc.name: avc}),
        Page("laptop-traindata", "01_first", {avc.name: result(avc.name, 0.52, 0.05, 1, chance=0.5)}),
    ])  # fmt: skip
    text = claims.page(known)
    line = next(x for x in text.splitlines() if x.startswith("| 1 |"))
    assert "[01](01_first.ipynb)" in line and "L3-Net 86.2 [84.4, 88.0] |" in line
    assert line.endswith("| **held** | not decided |")
    line = next(x for x in text.splitlines() if x.startswith("| 2 |"))
    assert "| - | **not tested here** | - |" in line
    assert f"1 held, 0 did not hold, 0 not decided, {len(ALL) - 1} not tested here" in text
    assert "does not refute a paper" in " ".join(text.split())


def test_the_page_is_in_order_and_links_to_lessons_that_are_there(root):
    text = (root / "notebooks" / "claims.md").read_text("utf-8")
    assert [int(x) for x in re.findall(r"^\| (\d+) \|", text, re.M)] == list(range(1, len(ALL) + 1))
    assert [int(x) for x in re.findall(r"^\* \*\*(\d+)\*\*", text, re.M)] == list(range(1, len(ALL) + 1))
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > len(ALL) and all((root / "notebooks" / link).is_file() for link in links)
    assert "{" not in text
