"""Small batches of pairs for the rivals that rank, and their hinge number by number."""

from __future__ import annotations

import torch
from torch import Tensor

from llinet_lite.losses import negatives

LABELS = torch.tensor([0, 1, 0, 2, 1])
SIZES = {"features": 8, "classes": 3, "width": 4, "size": 16}


def score_matrix(count: int = 5, seed: int = 0) -> Tensor:
    """Scores (B, B) float64 in [-1, 1), no two of them alike."""
    return 2 * torch.rand(count, count, generator=torch.Generator().manual_seed(seed)).double() - 1


def embeddings(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Vectors of pictures and of sounds, both of this shape, float64."""
    random = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=random).double() for _ in range(2))


def allowed(same_class: str = "all", labels: Tensor = LABELS) -> Tensor:
    return negatives(labels, same_class)


def costs(scores: Tensor, allow: Tensor, margin: float) -> tuple[list, list]:
    """Cost of every sound to every picture, and of every picture to every sound, by loops."""
    s, n = scores.tolist(), len(scores)
    first = [
        [max(0.0, margin + s[i][j] - s[i][i]) if allow[i, j] else 0.0 for j in range(n)] for i in range(n)
    ]
    second = [
        [max(0.0, margin + s[i][j] - s[j][j]) if allow[i, j] else 0.0 for j in range(n)] for i in range(n)
    ]
    return first, second


def batch(*, frames: int = 40, side: int = 3, seed: int = 1) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Trunk activations, log-mels and labels of five pairs, fit for `SIZES` with a teacher of 7 classes."""
    random = torch.Generator().manual_seed(seed)
    maps = torch.rand(5, 8, side, side, generator=random)
    teacher = torch.randn(5, 7, generator=random).softmax(1)
    seen = {"map": maps, "pooled": maps.mean((2, 3)), "teacher": teacher}
    return seen, 2 * torch.randn(5, frames, 40, generator=random) - 6, LABELS
