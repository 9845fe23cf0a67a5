"""Means over all pairs of texts, with intervals over the texts.

A mean over pairs is a U-statistic. Its bootstrap draws texts, never pairs, and leaves out the pairs of a text with its
own copies, which would otherwise pass for near neighbours (Huskova and Janssen 1993).

Letters: N texts, D dims, R resamples, M measures.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from slimvec.statistics.intervals import Interval

Array = NDArray[np.float64]

NUM_RESAMPLES = 2_000
_ROWS_AT_ONCE = 500


def pair_interval(
    grids: Sequence[Array], combine: Callable[..., Array], *, seed: int, num_resamples: int = NUM_RESAMPLES
) -> Interval:
    """Give a function of means over pairs with its 95% interval.

    Args:
        grids: M of [N, N], symmetric: a value for each pair; the diagonals are not looked at.
        combine: Takes M means (or M arrays of them) and gives the figure (or an array).
        seed: Random seed for the draws of texts.
        num_resamples: R.

    Raises:
        ValueError: fewer than two texts.
    """
    num_texts = len(grids[0])
    if num_texts < 2:
        raise ValueError(f"{num_texts} texts have no pair")
    generator = np.random.default_rng(seed)
    even = np.full(num_texts, 1 / num_texts)
    blocks = []
    for start in range(0, num_resamples, _ROWS_AT_ONCE):
        rows = min(_ROWS_AT_ONCE, num_resamples - start)
        weights = generator.multinomial(num_texts, even, size=rows).astype(np.float64)
        blocks.append(combine(*(_weighted_means(grid, weights) for grid in grids)))
    low, high = np.quantile(np.concatenate(blocks), [0.025, 0.975])
    ones = np.ones((1, num_texts))
    value = combine(*(_weighted_means(grid, ones) for grid in grids))
    return Interval(float(value[0]), float(low), float(high))


def _weighted_means(grid: Array, weights: Array) -> Array:
    """Mean over pairs of different texts, each pair as often as the product of its two weights: [R]."""
    total = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    cells = ((weights @ grid) * weights).sum(axis=1) - (weights**2) @ np.diag(grid)
    result: Array = cells / total
    return result
