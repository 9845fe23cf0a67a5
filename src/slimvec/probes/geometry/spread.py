"""How far vectors spread: anisotropy, effective dimension, spectrum, uniformity.

Letters: N texts, D dims, K = min(N, D) eigenvalues.
"""

import numpy as np
from numpy.typing import NDArray

from slimvec.statistics.intervals import Interval
from slimvec.statistics.pairs import pair_interval
from slimvec.statistics.resampling import Values
from slimvec.text.embeddings import Vectors


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
    result: Values = values / max(values.sum(), 1e-300)
    return result


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
    result: Values = exact @ exact.T
    return result
