"""Means over all pairs of texts, with intervals over the texts.

A mean over pairs is a U-statistic. Its bootstrap draws texts, never pairs, and leaves out the pairs of a text with its
own copies, which would otherwise pass for near neighbours (Huskova and Janssen 1993).

Letters: N texts, R resamples, M measures.
"""

from collections.abc import Callable, Sequence

import numpy as np

from slimvec.statistics.intervals import Interval, percentile_interval
from slimvec.statistics.resampling import NUM_DRAWS, Values, draw_blocks


def pair_interval(
    grids: Sequence[Values], combine: Callable[..., Values], *, seed: int, num_draws: int = NUM_DRAWS
) -> Interval:
    """Give a function of means over pairs with its 95% interval.

    Args:
        grids: M of [N, N], symmetric: a value for each pair; the diagonals are not looked at.
        combine: Takes M means (or M arrays of them) and gives the figure (or an array).
        seed: Random seed for the draws of texts.
        num_draws: R.

    Raises:
        ValueError: fewer than two texts.
    """
    num_texts = len(grids[0])
    if num_texts < 2:
        raise ValueError(f"{num_texts} texts have no pair")
    drawn = combine(*(drawn_pair_means(grid, seed=seed, num_draws=num_draws) for grid in grids))
    value = combine(*(_weighted_means(grid, np.ones((1, num_texts))) for grid in grids))
    return percentile_interval(float(value[0]), drawn)


def pair_mean(grid: Values) -> float:
    """Give the mean over all pairs of different texts.

    Args:
        grid: [N, N], symmetric.
    """
    return float(_weighted_means(grid, np.ones((1, len(grid))))[0])


def drawn_pair_means(grid: Values, *, seed: int, num_draws: int = NUM_DRAWS) -> Values:
    """Give the mean over pairs of different texts in each resample of the texts: [R].

    Args:
        grid: [N, N], symmetric.
        seed: Random seed for the draws.
        num_draws: R.
    """
    blocks = draw_blocks(len(grid), np.random.default_rng(seed), num_draws)
    return np.concatenate([_weighted_means(grid, weights) for weights in blocks])


def _weighted_means(grid: Values, weights: Values) -> Values:
    """Mean over pairs of different texts, each pair as often as the product of its two weights: [R].

    A resample of one text alone, many times, has no pair: 0.
    """
    total = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    cells = ((weights @ grid) * weights).sum(axis=1) - (weights**2) @ np.diag(grid)
    result: Values = np.divide(cells, total, out=np.zeros_like(total), where=total > 0)
    return result
