"""What can go wrong in a course, as sentences."""

from __future__ import annotations


class CourseError(ValueError):
    """The course was asked for something it cannot do; the message names the fix."""


class LessonFailed(RuntimeError):
    """A notebook did not reach its end, or left no valid metrics; the message shows where."""
