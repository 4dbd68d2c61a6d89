"""Exercises that say what is wrong with an answer, and solutions that cannot drift from them.

An exercise is a function that returns None for a right answer and a sentence
for a wrong one. The reader's cell and the hidden solution go through the same
function, so a solution that no longer solves its exercise stops the notebook.

Notebook: 00
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes
    ----------
    name : str
    verdict : callable
        Takes an answer; returns None when it is right, else a sentence that
        says what is wrong.
    """

    name: str
    verdict: Callable[[Any], str | None]

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
