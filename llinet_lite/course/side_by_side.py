"""Several lessons at once, each in a process of its own.

Half of a lesson's time goes into figures, tables and starting up, which one core does alone; so on two cores
two lessons at a time end sooner than one after the other. What two of them need is made once: stores,
films and trainings are locked, and the second waits for the first.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from .errors import LessonFailed

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

GIGABYTES = 4.0  # of free memory for each lesson
PATIENCE = 60.0  # seconds for a lesson to end after it was interrupted


def lessons_at_once(asked: int = 0) -> int:
    """Return how many lessons to run at a time.

    Parameters
    ----------
    asked : int
        0: two where there are two cores, free memory for both and no GPU, which one lesson fills; else one.
    """
    if asked:
        return asked
    import psutil
    import torch

    from llinet_lite.data.parallel import cores

    room = psutil.virtual_memory().available / 1e9 >= 2 * GIGABYTES
    return 2 if room and cores() > 1 and not torch.cuda.is_available() else 1


@dataclass
class _Running:
    name: str
    process: BaseProcess
    said: Connection


def side_by_side(
    function: Callable, tasks: Mapping[str, tuple], at_once: int
) -> Iterator[tuple[str, LessonFailed | None]]:
    """Call ``function(*task)`` in a new process for every task; yield (name, its failure or None) at its end.

    The first task runs alone: it builds the data that all share. If the caller stops asking, or on Ctrl-C,
    what still runs is interrupted, and waited for.

    Parameters
    ----------
    function : callable
        Defined at the top of a module, so that a new process finds it; may raise LessonFailed.
    tasks : mapping of name to tuple
    at_once : int
    """
    waiting, running, limit = list(tasks.items()), [], 1
    try:
        while waiting or running:
            while waiting and len(running) < limit:
                running.append(_start(function, *waiting.pop(0)))
            ended = wait([one.process.sentinel for one in running])
            for one in [one for one in running if one.process.sentinel in ended]:
                running.remove(one)
                yield one.name, _outcome(one)
            limit = at_once
    finally:
        _interrupt(running)


def _start(function: Callable, name: str, task: tuple) -> _Running:
    context = multiprocessing.get_context("spawn")
    said, says = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(function, task, says))
    process.start()
    says.close()  # so that the end of the process ends the pipe
    return _Running(name, process, said)


def _child(function: Callable, task: tuple, says: Connection) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell has it ignored
    threading.Thread(target=_follow, args=(multiprocessing.parent_process().sentinel,), daemon=True).start()
    try:
        function(*task)
    except LessonFailed as failure:
        says.send(str(failure))
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _follow(parent: int) -> None:
    """End with the runner, however it ends: the notebook's own process ends with this one."""
    wait([parent])
    os._exit(1)


def _outcome(one: _Running) -> LessonFailed | None:
    one.process.join()
    if one.said.poll():
        try:
            return LessonFailed(one.said.recv())
        except EOFError:
            pass
    code = one.process.exitcode
    if not code:
        return None
    return LessonFailed(
        f"{one.name}: its process ended with exit code {code}; if nothing above says why, memory ran out: "
        f"close other programs, or run one lesson at a time (--at-once 1)"
    )


def _interrupt(running: list[_Running]) -> None:
    for one in running:
        if one.process.is_alive():
            os.kill(one.process.pid, signal.SIGINT)
    for one in running:
        one.process.join(PATIENCE)
        if one.process.is_alive():
            one.process.kill()
            one.process.join()
