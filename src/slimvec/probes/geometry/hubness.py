"""Hubs: texts that are among the nearest of many others, and texts that are near to none (Radovanovic et al. 2010).

Letters: N texts, D dims, k neighbours.
"""

import numpy as np

from slimvec.probes.geometry.spread import gaussian
from slimvec.statistics.intervals import Interval, percentile_interval
from slimvec.statistics.resampling import NUM_DRAWS, Values, draw_blocks
from slimvec.text.embeddings import Vectors

_NUM_DRAWS = 5
_ROWS_AT_ONCE = 1024


def count_occurrences(vectors: Vectors, *, num_neighbours: int) -> Values:
    """Count how often each text is among the nearest of another: [N], with mean k.

    Args:
        vectors: [N, D] of length 1.
        num_neighbours: k, below N.
    """
    num_texts = len(vectors)
    counts = np.zeros(num_texts)
    for start in range(0, num_texts, _ROWS_AT_ONCE):
        cosines = vectors[start : start + _ROWS_AT_ONCE] @ vectors.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf  # a text is not a neighbour of itself
        nearest = np.argpartition(-cosines, num_neighbours - 1, axis=1)[:, :num_neighbours]
        counts += np.bincount(nearest.ravel(), minlength=num_texts)
    return counts


def skewness(counts: Values) -> Values:
    """Third standardised moment along the last axis; 0 where all counts are equal."""
    centred = counts - counts.mean(axis=-1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=-1))
    result: Values = (centred**3).mean(axis=-1) / np.maximum(scale, 1e-12) ** 3
    return result


def skewness_interval(counts: Values, *, seed: int) -> Interval:
    """Give the skewness of counts with its 95% interval: percentile bootstrap over the texts that are counted."""
    drawn = [
        _weighted_skewness(counts, times) for times in draw_blocks(len(counts), np.random.default_rng(seed), NUM_DRAWS)
    ]
    return percentile_interval(float(skewness(counts)), np.concatenate(drawn))


def gaussian_skewness(num_texts: int, dimension: float, *, num_neighbours: int, seed: int) -> float:
    """Give the skewness of as many Gaussian vectors of a dimension: what the dimension alone brings; mean of 5 draws.

    Args:
        num_texts: N.
        dimension: Effective; rounded.
        num_neighbours: k.
        seed: Random seed for the draws.
    """
    dims = max(2, round(dimension))
    drawn = (gaussian(num_texts, dims, seed=seed + number) for number in range(_NUM_DRAWS))
    return float(np.mean([skewness(count_occurrences(v, num_neighbours=num_neighbours)) for v in drawn]))


def _weighted_skewness(counts: Values, times: Values) -> Values:
    """Skewness of counts that come so many times in each resample [r, N]: [r]."""
    shares = times / times.sum(axis=1, keepdims=True)
    centred = counts - (shares @ counts)[:, None]
    scale = np.sqrt((shares * centred**2).sum(axis=1))
    result: Values = (shares * centred**3).sum(axis=1) / np.maximum(scale, 1e-12) ** 3
    return result
