"""Which claims held up: a verdict for each, computed from the published results by one rule, and the page.

Notebook: 09
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .claim import Check, Claim, Section
from .claims_llinet import INFER, PRACTICE
from .claims_sounds import LEARN, SOUND
from .measured import COLUMNS, NONE, SEEDS, Measured, bounds

if TYPE_CHECKING:
    from llinet_lite.results import Result

__all__ = [
    "HELD",
    "NOT_HELD",
    "OPEN",
    "UNTESTED",
    "Outcome",
    "Verdict",
    "compare",
    "difference",
    "judge",
    "page",
]

HELD, NOT_HELD, OPEN, UNTESTED = "held", "did not hold", "not decided", "not tested here"
MAIN = "laptop"  # the run whose numbers the page prints
MARGIN = 0.10  # where an interval leaves out what matters most, only a larger difference decides
UNTRAINED = re.compile(r", Baseline$")  # its map is the frozen trunk's: another seed would change nothing
LINKED = re.compile(
    r"(R@1|mAP) (I2A|A2I)\b|(acc|ts|hm)\b"
)  # whole unseen classes are right or wrong together
_REFERENCE = re.compile(r"\{(\d\d [^{}]+)\}")

SECTIONS = (
    Section("Look, Listen and Learn", "Arandjelović and Zisserman, ICCV 2017.", "paper", LEARN),
    Section("Objects that Sound", "Arandjelović and Zisserman, ECCV 2018.", "paper", SOUND),
    Section("Look, Listen and Infer", "Jia and others, ACM Multimedia 2020.", "paper", INFER),
    Section(
        "Good practice",
        "What papers, code and habit do differently. *Here* is the effect of the other way, in points, "
        "unless two numbers are given.",
        "who does what",
        PRACTICE,
    ),
)

Bounds = tuple[float, float | None, float | None]


@dataclass(frozen=True)
class Outcome:
    """What came of one comparison.

    Attributes
    ----------
    check : Check
    value, low, high : float or None
        First minus second minus what is asked for, with its 95 % interval; None: not there.
    left_out : str
        What its interval does not draw, and should: "one seed", "few classes"; may be empty.
    unit : str
        Of the results.
    """

    check: Check
    value: float | None = None
    low: float | None = None
    high: float | None = None
    left_out: str = ""
    unit: str = ""

    @property
    def measured(self) -> bool:
        return self.value is not None

    def above(self, widen: float = 1.0) -> bool:
        """Whether the interval, widened about the value, lies above zero and decides; see :func:`judge`."""
        return self._sure and self.value - widen * (self.value - self.low) > 0

    def below(self, widen: float = 1.0) -> bool:
        """Whether it lies below zero."""
        return self._sure and self.value + widen * (self.high - self.value) < 0

    @property
    def _sure(self) -> bool:
        return self.low is not None and (not self.left_out or abs(self.value) > MARGIN)


@dataclass(frozen=True)
class Verdict:
    """One of HELD, NOT_HELD, OPEN and UNTESTED, and the comparisons behind it."""

    word: str
    outcomes: tuple[Outcome, ...] = ()

    @property
    def evidence(self) -> str:
        """Return the comparison that decides, or keeps from deciding, as a sentence; may be empty."""
        known = [outcome for outcome in self.outcomes if outcome.low is not None]
        if not known:
            return ""
        if self.word == OPEN:
            rest = [outcome for outcome in known if not outcome.above()] or known
            count, missing = len(self.outcomes), sum(not outcome.measured for outcome in self.outcomes)
            text = f"Open in {len(rest)} of {count} comparisons" if count > 1 else "Open"
            text += f", {missing} not measured" if missing else ""
            return f"{text}: {_sentence(min(rest, key=_ease))}."
        least = min(known, key=_ease)
        single = len(self.outcomes) == 1 and 0.0 in (least.check.first, least.check.second)  # says it already
        return "" if single else f"{'Narrowest' if self.word == HELD else 'Against it'}: {_sentence(least)}."


def _ease(outcome: Outcome) -> float:
    """Return how many half-widths of its interval the difference lies above zero."""
    return outcome.value / max(outcome.value - outcome.low, 1e-12)


def _sentence(outcome: Outcome) -> str:
    check, values = outcome.check, (outcome.value, outcome.low, outcome.high)
    asked = [value + check.by for value in values]
    if check.first == 0.0:  # an effect that should be negative
        turned = (-asked[k] for k in (0, 2, 1))
        return f"`{check.second}` {bounds(*turned, outcome.unit, sign=True)}{_open(outcome)}"
    numbers = bounds(*asked, outcome.unit, sign=True) + _open(outcome)
    return f"`{check.first}`{'' if check.second == 0.0 else ' minus ' + _side(check.second)} {numbers}"


def _open(outcome: Outcome) -> str:
    return f" ({outcome.left_out})" if outcome.left_out else ""


def _side(side: str | float) -> str:
    return "chance" if side == "chance" else f"`{side}`" if isinstance(side, str) else f"{100 * side:g} %"


# ---------------------------------------------------------------------------------------------- the rule


def difference(first: Bounds, second: Bounds) -> Bounds:
    r"""Interval of a difference from the intervals of its two sides.

    .. math:: a - b - \sqrt{(a - a^-)^2 + (b^+ - b)^2} \;\dots\; a - b + \sqrt{(a^+ - a)^2 + (b - b^-)^2}

    (square and add: Newcombe 1998, Zou and Donner 2008). Exact for normal estimates that are independent.
    Ours mostly share their test clips: what is hard for one is hard for the other, and the interval is too
    wide then.

    Parameters
    ----------
    first, second : (value, low, high)
        low and high are None where there is no interval.

    Returns
    -------
    (value, low, high)
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    if a_low is None or b_low is None:
        return a - b, None, None
    return a - b, a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)


def compare(check: Check, measured: Measured, run: str) -> Outcome:
    """Compare two results of a run; a side that was not measured leaves the outcome without a value."""
    found = [measured.result(run, side) if _named(side) else None for side in (check.first, check.second)]
    if any(
        _named(side) and result is None
        for side, result in zip((check.first, check.second), found, strict=True)
    ):
        return Outcome(check)
    sides = []
    for side, result in zip((check.first, check.second), found, strict=True):
        constant = found[0].chance if side == "chance" else side
        if result is None and constant is None:  # no chance level
            return Outcome(check)
        sides.append((result.value, result.low, result.high) if result else (constant,) * 3)
    value, low, high = difference(*sides)
    low, high = (None if bound is None else bound - check.by for bound in (low, high))
    return Outcome(check, value - check.by, low, high, _left_out([r for r in found if r]), _unit(found))


def _left_out(found: list[Result]) -> str:
    if any(len(result.seeds) == 1 and not UNTRAINED.search(result.name) for result in found):
        return "one seed"
    return "few classes" if any(LINKED.match(result.name) for result in found) else ""


def _named(side: str | float) -> bool:
    return isinstance(side, str) and side != "chance"


def _unit(found: Sequence[Result | None]) -> str:
    return next((result.unit for result in found if result), "")


def widening(count: int) -> float:
    """Return by how much 95 % intervals grow when each of `count` must be sure (Bonferroni, normal)."""
    from scipy.stats import norm

    return float(norm.isf(0.025 / count) / norm.isf(0.025))


def judge(claim: Claim, measured: Measured, run: str = MAIN) -> Verdict:
    """Return the verdict on a claim from the results of a run.

    * held: every difference lies above zero by its 95 % interval;
    * did not hold: at least one lies below zero, by an interval widened for the number of comparisons;
    * not tested here: nothing of it was measured; not decided: everything else.

    Where a trained network of one seed takes part, or where a picture and a sound of few unseen classes must
    be linked, only differences beyond MARGIN decide: such an interval leaves out what moves the number most.
    """
    outcomes = tuple(compare(check, measured, run) for check in claim.checks)
    known = [outcome for outcome in outcomes if outcome.measured]
    if not known:
        return Verdict(UNTESTED, outcomes)
    widen = widening(len(known))
    if any(outcome.below(widen) for outcome in known):
        return Verdict(NOT_HELD, outcomes)
    return Verdict(HELD if all(outcome.above() for outcome in outcomes) else OPEN, outcomes)


# ---------------------------------------------------------------------------------------------- the page

HEAD = """# Which claims held up here

<!-- Written by `llinet report --tables` from results/ and course/claims_*.py: do not edit it here. -->

The papers worked with real clips, two of them with hundreds of thousands and sixteen GPUs. This course
generates its world, 32 instruments, and has small networks and two CPU cores. So **"did not hold here" does
not refute a paper**, and "held" does not confirm it: the page says what you will find when you run this
course, and how sure that is.

{counts}

**How a verdict is made.** Nobody writes it: it follows from the numbers in `results/`.

* A claim is one comparison or several, each "this is higher than that". Where a lesson measured the paired
  difference, that is taken; else two 95 % intervals give the interval of their difference: half-widths are
  squared and added (Newcombe 1998; Zou and Donner 2008). That is cautious where both share their test clips.
* **held**: all differences lie above zero by their intervals. **did not hold**: at least one lies below, by
  an interval widened for the number of comparisons (Bonferroni). **not tested here**: no number. **not
  decided**: all else.
* Two kinds of interval leave out what moves a number most, so there only differences of more than
  {margin:.0f} points (0.1 in nDCG) decide. First, a trained network with *one seed* (the Baseline of lesson
  07 learns nothing and needs no more). Second, naming or finding across the senses with *few classes*, all
  unseen: whole classes are right or wrong together, and linking them at random, as lessons 06 and 08 do,
  moves R@1 and accuracy by about as much.
* Nothing draws the world itself, nor the trunk on which LLINet and its rivals stand: one number on two trunks
  can differ by more than its interval (lesson 09, section 6). And of forty claims without any truth one would
  be called *held* by luck.

Numbers: shares in percent, nDCG@30 from 0 to 1; 95 % intervals in brackets; {seeds} seeds unless it says
otherwise. *Here* is the `{main}` profile on the built-in world.
{columns}All results: [results/README.md](../results/README.md).
"""
COLUMN = "The column *{title}* gives the verdict of the same rule on the run `{run}`.\n"


def page(measured: Measured) -> str:
    """Return the page of claims as Markdown, to lie beside the notebooks."""
    runs = [run for run in COLUMNS if run != MAIN and run in measured.runs]
    verdicts = {claim: judge(claim, measured) for section in SECTIONS for claim in section.claims}
    counts = Counter(verdict.word for verdict in verdicts.values())
    told = ", ".join(f"{counts[word]} {word}" for word in (HELD, NOT_HELD, OPEN, UNTESTED))
    text = HEAD.format(
        counts=f"Of {len(verdicts)} claims: **{told}**.",
        margin=100 * MARGIN,
        seeds=SEEDS,
        main=MAIN,
        columns="".join(COLUMN.format(title=COLUMNS[run], run=run) for run in runs),
    )
    number = 0
    for section in SECTIONS:
        numbered = dict(enumerate(section.claims, start=number + 1))
        number += len(numbered)
        text += f"\n## {section.title}\n\n{section.about}\n\n"
        text += _table(section.column, numbered, verdicts, measured, runs) + "\n"
        text += "".join(f"* **{k}** {_why(claim, verdicts[claim])}\n" for k, claim in numbered.items())
    return text


def _table(
    column: str,
    numbered: dict[int, Claim],
    verdicts: dict[Claim, Verdict],
    measured: Measured,
    runs: list[str],
) -> str:
    import pandas as pd

    from llinet_lite.results import markdown

    rows = []
    for k, claim in numbered.items():
        row = {
            "": k,
            "claim": claim.sentence,
            "lesson": measured.link(claim.lesson),
            column: claim.paper,
            "here [95 %]": _here(claim, measured),
            "verdict": f"**{verdicts[claim].word}**",
        }
        others = {COLUMNS[run]: judge(claim, measured, run).word for run in runs}
        rows.append(row | {title: NONE if word == UNTESTED else word for title, word in others.items()})
    return markdown(pd.DataFrame(rows))


def _here(claim: Claim, measured: Measured) -> str:
    """Fill in the numbers; another number of seeds than SEEDS is said."""
    results = [measured.result(MAIN, reference) for reference in _REFERENCE.findall(claim.here)]
    if not any(results):
        return NONE

    def number(match: re.Match) -> str:
        found = measured.result(MAIN, match[1])
        if found is None:
            return "not measured"
        text = bounds(found.value, found.low, found.high, found.unit, sign=match[1].startswith("09"))
        return text if len(found.seeds) in (0, SEEDS) else f"{text} ({_seeds(len(found.seeds))})"

    return _REFERENCE.sub(number, claim.here)


def _seeds(count: int) -> str:
    return f"{count} seed" + "s" * (count != 1)


def _why(claim: Claim, verdict: Verdict) -> str:
    return " ".join(text for text in (claim.why, verdict.evidence) if text)
