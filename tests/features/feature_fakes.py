"""What the tests of the features share."""

import torch

from llinet_lite.features import Draw


def draws(n: int, **columns) -> torch.Tensor:
    table = torch.full((n, 8), 0.5)
    for name, value in columns.items():
        table[:, Draw[name]] = torch.as_tensor(value)
    return table
