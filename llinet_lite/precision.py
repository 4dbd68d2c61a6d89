"""Full float32 arithmetic, for judging.

Notebook: 01
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.backends import cudnn


@contextmanager
def float32_arithmetic(device: torch.device) -> Iterator[None]:
    """Compute in float32 to the last digit: without autocast, and on a GPU without TF32.

    A GPU's convolutions round float32 to TF32, ten bits of mantissa, unless told otherwise.

    Parameters
    ----------
    device : torch.device
        Where it is computed.
    """
    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        kept = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic")}
        with cudnn.flags(**kept, benchmark_limit=None, allow_tf32=False):
            yield
