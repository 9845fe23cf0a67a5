"""How vectors lie: anisotropy, effective dimension, spectrum, uniformity, and hubs.

Hubs are texts that are among the nearest of many others, antihubs are near to none (Radovanovic et al. 2010).

Letters: N texts, D dims, K = min(N, D) eigenvalues, k neighbours.
"""

import numpy as np
from numpy.typing import NDArray

from slimvec.statistics.intervals import Interval, percentile_interval
from slimvec.statistics.pairs import pair_interval
from slimvec.statistics.resampling import NUM_DRAWS, Values, draw_blocks
from slimvec.text.embeddings import Vectors

_NUM_DRAWS = 5
_ROWS_AT_ONCE = 1024


def mean_cosine(vectors: NDArray[np.floating], *, seed: int) -> Interval:
    """Mean cosine of two random texts (Ethayarajh 2019): 0 where vectors point everywhere, near 1 in a narrow cone.

    Args:
        vectors: [N, D] of length 1.
        seed: Random seed for the bootstrap over texts.
    """
    return pair_interval([_products(vectors)], lambda mean: mean, seed=seed)


def uniformity(vectors: Vectors, *, seed: int) -> Interval:
    """Uniformity, log E exp(-2 |x - y|^2) over pairs (Wang and Isola 2020, t = 2): -4 spread out, 0 one point.

    Args:
        vectors: [N, D] of length 1.
        seed: Random seed for the bootstrap over texts.
    """
    kernel = np.exp(4 * _products(vectors) - 4)
    return pair_interval([kernel], np.log, seed=seed)


def participation_ratio(vectors: Vectors, *, seed: int) -> Interval:
    """(sum of eigenvalues)^2 / (sum of their squares) of the covariance: the dimension that is used evenly.

    From means over pairs, so that it does not fall with few texts as the ratio of the sample's own eigenvalues does
    (there, N texts of an isotropic model have a ratio of D / (1 + D / N)): the sum of the squares is the mean squared
    product of two different texts (Chen, Zhang and Zhong 2010), after the mean vector is taken away.

    Args:
        vectors: [N, D].
        seed: Random seed for the bootstrap over texts.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    squared_lengths = (centred**2).sum(axis=1)
    traces = np.outer(squared_lengths, squared_lengths)
    squares = _products(centred) ** 2
    return pair_interval([traces, squares], lambda top, bottom: top / np.maximum(bottom, 1e-30), seed=seed)


def spectrum(vectors: Vectors) -> Values:
    """Eigenvalues of the covariance as shares of their sum, largest first: [K]."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    products = centred.T @ centred if vectors.shape[1] <= len(vectors) else centred @ centred.T
    values = np.linalg.eigvalsh(products)[::-1].clip(min=0)
    return np.asarray(values / max(values.sum(), 1e-300))


def entropy_dimension(shares: Values) -> float:
    """Entropy dimension, exp of the spectrum's entropy (Roy and Vetterli 2007, "effective rank"): D for an even one."""
    present = shares[shares > 0]
    return float(np.exp(-(present * np.log(present)).sum()))


def iso_score(dimension: float, dims: int) -> float:
    """IsoScore (Rudman et al. 2022, arXiv 2108.07344): 1 for an even spectrum, 0 for a single direction.

    Their six steps come to (P - 1) / (D - 1) with P the participation ratio: with n for D and s for the spectrum,
    n - defect^2 (n - sqrt n) is sqrt(n) sum(s) / |s|, so that phi is P / n.

    Args:
        dimension: P.
        dims: D, 2 or more.
    """
    return (dimension - 1) / (dims - 1)


def gaussian(num_texts: int, dims: int, *, seed: int) -> Vectors:
    """Draw vectors that point everywhere alike: [N, D] of length 1."""
    drawn = np.random.default_rng(seed).standard_normal((num_texts, dims))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float32)


def _products(vectors: NDArray[np.floating]) -> Values:
    exact = vectors.astype(np.float64)
    return np.asarray(exact @ exact.T)


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
    return np.asarray((centred**3).mean(axis=-1) / np.maximum(scale, 1e-12) ** 3)


def skewness_interval(counts: Values, *, seed: int) -> Interval:
    """Give the skewness of counts with its 95% interval: percentile bootstrap over the texts that are counted."""
    drawn = [
        _weighted_skewness(counts, times) for times in draw_blocks(len(counts), np.random.default_rng(seed), NUM_DRAWS)
    ]
    return percentile_interval(float(skewness(counts)), np.concatenate(drawn))


def gaussian_skewness(num_texts: int, dimension: float, *, num_neighbours: int, seed: int) -> float:
    """Give the skewness of N Gaussian vectors of a dimension: what the dimension alone brings; mean of 5 draws."""
    dims = max(2, round(dimension))
    drawn = (gaussian(num_texts, dims, seed=seed + number) for number in range(_NUM_DRAWS))
    return float(np.mean([skewness(count_occurrences(v, num_neighbours=num_neighbours)) for v in drawn]))


def _weighted_skewness(counts: Values, times: Values) -> Values:
    """Skewness of counts that come so many times in each resample [r, N]: [r]."""
    shares = times / times.sum(axis=1, keepdims=True)
    centred = counts - (shares @ counts)[:, None]
    scale = np.sqrt((shares * centred**2).sum(axis=1))
    return np.asarray((shares * centred**3).sum(axis=1) / np.maximum(scale, 1e-12) ** 3)
