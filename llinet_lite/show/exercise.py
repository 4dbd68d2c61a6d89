"""Exercises that say what is wrong with an answer, and solutions that cannot drift from them.

Notebook: 00
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exercise:
    """One exercise: the reader's answer and the hidden solution go through the same check.

    Examples
    --------
    >>> half = Exercise("Exercise 1", lambda x: None if x == 0.5 else "think of a coin")
    >>> half(0.25)
    Exercise 1: not yet: think of a coin
    >>> half.solve(0.5)
    Exercise 1: the solution above passes the same check.
    """

    name: str
    verdict: Callable[
        [Any], str | None
    ]  # of an answer: None if right, else a sentence that says what is wrong

    def __call__(self, answer: Any) -> None:
        """Judge the reader's answer; None or ``...`` counts as not answered yet."""
        if answer is None or answer is ...:
            print(f"{self.name}: not answered yet. Replace the dots and run the cell again.")
            return
        try:
            wrong = self.verdict(answer)
        except Exception as error:  # whatever the reader's code raises is news for the reader
            wrong = f"your answer raised {type(error).__name__}: {error}"
        print(f"{self.name}: {'right!' if wrong is None else 'not yet: ' + wrong}")

    def solve(self, solution: Any) -> None:
        """Check the course's own solution; raises AssertionError if it is wrong."""
        wrong = self.verdict(solution)
        if wrong is not None:
            raise AssertionError(f"the solution of {self.name!r} does not solve it: {wrong}")
        print(f"{self.name}: the solution above passes the same check.")
