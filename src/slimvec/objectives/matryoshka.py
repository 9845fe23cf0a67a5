"""Matryoshka representation learning (arXiv 2205.13147): the first d numbers of a vector are a vector too.

    loss = sum over d of weight_d * loss(first d numbers of every vector, scaled to unit length)

The sum is not divided by the weights' total, as published; KaLM-Embedding uses 896/512/256/128/64 with
weights 1/.3/.2/.1/.1.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from slimvec.objectives.batch import EmbeddedBatch


def matryoshka(
    losses_of: Callable[[EmbeddedBatch], dict[str, Tensor]],
    batch: EmbeddedBatch,
    *,
    dims: Sequence[int],
    weights: Sequence[float] = (),
) -> dict[str, Tensor]:
    """Compute the formula above for each of several losses.

    Args:
        losses_of: Scalars by name, at one width.
        batch: Vectors of D numbers.
        dims: Widths, each at most D.
        weights: One for each width; default 1 for all.

    Returns:
        The sums, by name.

    Raises:
        ValueError: no width, a width above D, or as many weights as there are widths not given.
    """
    weights = weights or [1.0] * len(dims)
    if not dims or len(weights) != len(dims):
        raise ValueError(f"{len(dims)} dims and {len(weights)} weights")
    found = [losses_of(batch.truncated(width)) for width in dims]
    return {
        name: torch.stack([weight * losses[name] for weight, losses in zip(weights, found, strict=True)]).sum()
        for name in found[0]
    }
