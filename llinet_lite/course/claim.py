"""What a claim is: a sentence, the numbers it rests on, and the comparisons that must hold.

Notebook: 09
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One comparison: `first` is higher than `second` by more than `by`.

    Attributes
    ----------
    first, second : str or float
        A result by lesson number and name, as "02 AVC accuracy, all", or a constant. A `second` of
        "chance" is the chance level of `first`. A difference that a lesson measured is compared with 0.
    by : float
        In the unit of the results; negative: `second` may be higher by as much.
    """

    first: str | float
    second: str | float = "chance"
    by: float = 0.0


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes
    ----------
    sentence : str
        What is claimed.
    lesson : str
        Where the course tests it, as "02".
    paper : str
        Published numbers; "-" if there are none.
    here : str
        Our numbers: every `{02 AVC accuracy, all}` is replaced by that result.
    checks : tuple of Check
        All must hold; empty: not tested.
    why : str
        How it was tested and what limits it; true whatever comes out.
    """

    sentence: str
    lesson: str
    paper: str
    here: str
    checks: tuple[Check, ...]
    why: str


@dataclass(frozen=True)
class Section:
    """Claims of one source: heading, a line about it, title of the column of published numbers."""

    title: str
    about: str
    column: str
    claims: tuple[Claim, ...]


def each(template: str, *values: str) -> str:
    """Return "{template with value}, ..." for the numbers of several results."""
    return ", ".join("{" + template.format(value) + "}" for value in values)
