"""Intervals for figures of a whole set of texts that are not means: texts are left out, a group at a time."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from slimvec.statistics.intervals import Interval

Vectors = NDArray[np.float32]

NUM_GROUPS = 20
_STUDENT = 2.093024
"""97.5% point of Student's distribution with 19 degrees of freedom."""


def jackknife_interval(figure: Callable[[Vectors], float], vectors: Vectors, *, seed: int) -> Interval:
    """Give a figure with its 95% interval by leaving out one of 20 groups of texts at a time (Tukey 1958).

    A bootstrap would repeat texts, which lowers the rank of a sample and so every dimension that is read from it.

    Args:
        figure: A figure of [N, D] vectors.
        vectors: [N, D], N at least 20.
        seed: Random seed for the grouping.
    """
    order = np.random.default_rng(seed).permutation(len(vectors))
    groups = [order[start::NUM_GROUPS] for start in range(NUM_GROUPS)]
    without = np.array([figure(np.delete(vectors, group, axis=0)) for group in groups])
    error = np.sqrt((NUM_GROUPS - 1) / NUM_GROUPS * ((without - without.mean()) ** 2).sum())
    value = figure(vectors)
    return Interval(value, float(value - _STUDENT * error), float(value + _STUDENT * error))
