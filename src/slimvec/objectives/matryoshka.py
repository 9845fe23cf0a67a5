"""Matryoshka representation learning (arXiv 2205.13147): the first d numbers of a vector are a vector too.

    loss = sum over d of weight_d * loss(first d numbers of every vector, scaled to unit length)

The sum is not divided by the weights' total, as published; KaLM-Embedding uses 896/512/256/128/64 with
weights 1/.3/.2/.1/.1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from slimvec.objectives.batch import EmbeddedBatch, Objective


def matryoshka(
    objective: Objective, batch: EmbeddedBatch, *, dims: Sequence[int], weights: Sequence[float] = ()
) -> Tensor:
    """Compute the formula above, a scalar.

    Args:
        objective: The loss at one width.
        batch: Vectors of D numbers.
        dims: Widths, each at most D.
        weights: One for each width; default 1 for all.

    Raises:
        ValueError: no width, a width above D, or as many weights as there are widths not given.
    """
    weights = weights or [1.0] * len(dims)
    if not dims or len(weights) != len(dims):
        raise ValueError(f"{len(dims)} dims and {len(weights)} weights")
    losses = [weight * objective(batch.truncated(width)) for width, weight in zip(dims, weights, strict=True)]
    return torch.stack(losses).sum()
