"""A pytest plugin for nbval runs: writes down which cells were really compared, and what they held.

Loaded by `-p nbval_counter`; the list goes to the file that $NBVAL_COUNTS names.
nbval passes a notebook without a single stored output, so that a pass alone proves
nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from nbval.plugin import IPyNbCell

COMPARED: list[dict] = []


def compared_text(outputs, skipped) -> str:
    """Return the text of a cell's stored outputs that nbval compares."""
    parts = []
    for output in outputs:
        parts += [output["text"]] if "text" in output else []
        parts += [str(v) for k, v in output.get("data", {}).items() if k not in skipped]
    return "".join(parts)


def pytest_configure(config):
    original = IPyNbCell.compare_outputs

    def counting(self, test, ref, skip_compare=None):
        same = original(self, test, ref, skip_compare)
        text = compared_text(ref, skip_compare or self.parent.skip_compare)
        entry = {"notebook": Path(self.parent.name).stem, "cell": self.cell_num, "same": same, "text": text}
        COMPARED.append(entry)
        return same

    IPyNbCell.compare_outputs = counting


def pytest_unconfigure(config):
    Path(os.environ["NBVAL_COUNTS"]).write_text(json.dumps(COMPARED), encoding="utf-8")
