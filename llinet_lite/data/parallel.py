"""TEMPORARY: wave B removes this; use joblib and tqdm."""

from __future__ import annotations

import sys

from joblib import cpu_count


class Progress:
    """A bar that is added to."""

    def __init__(self, total: int, label: str, unit: str, enabled: bool = True):
        from tqdm import tqdm

        self.bar = tqdm(
            desc=label, total=total, unit=f" {unit}", file=sys.stdout, disable=not enabled, mininterval=1
        )

    def add(self, count: int) -> None:
        """Count ``count`` more units as done."""
        self.bar.update(count)
        if self.bar.n >= (self.bar.total or 0):
            self.bar.close()


def cores() -> int:
    """Cores that this process may use."""
    return cpu_count()
