"""The course: profiles, what a notebook asks for (:class:`Lesson`), the runner and its report.

Notebook: 00
"""

from llinet_lite.profiles import COSTS, PROFILES, Profile, profile_named

from .errors import CourseError, LessonFailed
from .lesson import Lesson
from .places import cache_folder, results_folder, runs_folder
from .repeated import replication
from .runner import Course, run
from .unattended import run_unattended

__all__ = [
    "COSTS",
    "PROFILES",
    "Course",
    "CourseError",
    "Lesson",
    "LessonFailed",
    "Profile",
    "cache_folder",
    "profile_named",
    "replication",
    "results_folder",
    "run",
    "run_unattended",
    "runs_folder",
]
