"""Run one notebook by papermill, with a plain line of progress.

A progress bar drawn by tqdm freezes in a saved notebook and floods a log; one
line, rewritten on a terminal and repeated now and then in a log, does neither.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TextIO

from papermill.engines import NBClientEngine, papermill_engines

from .errors import LessonFailed

_ENGINE = "llinet"
_PATIENCE = 15.0  # seconds between two lines in a log
_WIDTH = 110


class Progress:
    """`name: cell k of n, s seconds`, and the last line that the notebook printed.

    Parameters
    ----------
    name : str
        Name of the notebook.
    out : text stream
        A terminal gets one line that is rewritten; anything else a line every 15 s.
    rewrite : bool
        False: a terminal gets lines, too.
    """

    def __init__(self, name: str, out: TextIO | None = None, *, rewrite: bool = True):
        self.name = name
        self.out = out or sys.stdout
        self.live = rewrite and self.out.isatty()
        self.cell = self.cells = 0
        self.said = ""
        self.began = self.shown = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def at(self, cell: int, cells: int) -> None:
        """Note that cell number `cell` of `cells` (counted from 1, code cells only) starts."""
        self.cell, self.cells, self.said = cell, cells, ""
        self.show(force=self.live)

    def write(self, text: str) -> None:
        """Take what the notebook prints (papermill wants a file)."""
        lines = text.replace("\r", "\n").strip().splitlines()
        if lines:
            self.said = lines[-1].strip()
        self.show(force=self.live)

    def flush(self) -> None:
        self.out.flush()

    def show(self, force: bool = False, end: str = "") -> None:
        """Print the line if it is time to."""
        now = time.monotonic()
        if not (force or end or now - self.shown > _PATIENCE):
            return
        self.shown = now
        line = f"{self.name}: cell {self.cell} of {self.cells}, {self.seconds:.0f} s"
        if end or self.said:
            line += f"  {end or self.said}"
        line = line[:_WIDTH]
        self.out.write(f"\r{line:<{_WIDTH}}" + ("\n" if end else "") if self.live else line + "\n")
        self.out.flush()


class _ProgressEngine(NBClientEngine):
    """papermill's own engine; it only tells `progress` which cell starts."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, progress=None, **kwargs):
        code = [i for i, cell in enumerate(nb_man.nb.cells) if cell.cell_type == "code"]
        start = nb_man.cell_start

        def cell_start(cell, cell_index=None, **more):
            if cell_index in code:
                progress.at(code.index(cell_index) + 1, len(code))
            return start(cell, cell_index, **more)

        nb_man.cell_start = cell_start
        return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)


papermill_engines.register(_ENGINE, _ProgressEngine)


def execute(source: Path, target: Path, parameters: dict[str, object], progress: Progress) -> None:
    """Run the notebook `source` with `parameters`; the executed copy is `target`.

    Raises
    ------
    LessonFailed
        With the source of the failing cell and its traceback, or the cell in which the
        kernel died.
    """
    import papermill
    from nbclient.exceptions import DeadKernelError

    if source.resolve() == target.resolve():
        raise ValueError(f"{source} is the source of the lesson: its executed copy must be another file")
    try:
        papermill.execute_notebook(
            str(source),
            str(target),
            parameters=parameters,
            engine_name=_ENGINE,
            kernel_name="python3",
            progress_bar=False,
            stdout_file=progress,
            cwd=str(source.parent),
            start_timeout=120,
            iopub_timeout=60,
            extra_arguments=["--log-level=ERROR"],  # the kernel's own log, not the notebook's output
            progress=progress,
        )
    except papermill.PapermillExecutionError as error:
        raise LessonFailed(_failed_cell(source, target, error)) from None
    except DeadKernelError:
        raise LessonFailed(
            f"{source.name}: its Python process ended in cell {progress.cell} of {progress.cells}, most "
            f"likely for want of memory: close other programs, or take a smaller profile.\nSee {target}"
        ) from None


def _failed_cell(source: Path, target: Path, error) -> str:
    from nbconvert.filters import strip_ansi

    trace = strip_ansi("\n".join(error.traceback)).rstrip() or f"{error.ename}: {error.evalue}"
    cell = "\n".join(f"    {line}" for line in error.source.splitlines())
    return (
        f"{source.name} failed in its code cell {error.exec_count}:\n\n{cell}\n\n{trace}\n\n"
        f"The notebook as far as it came: {target}"
    )
