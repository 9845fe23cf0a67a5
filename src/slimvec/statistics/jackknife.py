"""Scores that are not plain means, as means all the same: what each sample contributes, by leaving it out once.

A score T of N samples gets N pseudo-values N T - (N - 1) T_without_i (Tukey 1958), here moved so that their mean is T
itself. Their spread is the spread of T to first order (Miller 1974), so that the bootstrap, the pairing and the sign
flips of means serve for T too. Both statistics leave all samples out in closed form.

Letters: N samples.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from slimvec.statistics.intervals import Interval
from slimvec.statistics.resampling import Values

_CELLS_AT_ONCE = 2_000_000
Vectors = NDArray[np.float32]
NUM_GROUPS = 20
_STUDENT = 2.093024
"""97.5% point of Student's distribution with 19 degrees of freedom."""


def rank_correlation(xs: Values, ys: Values) -> Values:
    """Spearman's rank correlation of xs [M] with every row of ys [R, M]: [R]; 0 for a row without an order."""
    return correlate_rows(rankdata(xs)[None], rankdata(ys, axis=1))


def correlate_rows(first: Values, second: Values) -> Values:
    """Pearson's correlation of each row, without what is NaN; 0 where a side is constant: [R, M] each to [R]."""
    a = np.nan_to_num(first - np.nanmean(first, axis=1, keepdims=True))
    b = np.nan_to_num(second - np.nanmean(second, axis=1, keepdims=True))
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    together = (a * b).sum(axis=1)
    result: Values = np.divide(together, scale, out=np.zeros_like(together), where=scale > 0)
    return result


def spearman_values(predicted: Values, gold: Values) -> Values:
    """Values with mean Spearman's rank correlation: [N].

    Leaving out sample i lowers by one the rank of every larger sample, and by one half that of every equal one, so that
    the sums of the correlation follow without ranking anew.

    Args:
        predicted: [N].
        gold: [N].

    Raises:
        ValueError: fewer than four samples, or a side that is constant.
    """
    num_samples = len(predicted)
    if num_samples < 4 or np.ptp(predicted) == 0 or np.ptp(gold) == 0:
        raise ValueError(f"a rank correlation of {num_samples} samples needs four, and different ones on both sides")
    sides = [rankdata(predicted), rankdata(gold)]
    without = np.empty(num_samples)
    rows = max(1, _CELLS_AT_ONCE // num_samples)
    for start in range(0, num_samples, rows):
        left_out = np.arange(start, min(start + rows, num_samples))
        first, second = (_ranks_without(side, left_out) for side in sides)
        without[left_out] = correlate_rows(first, second)
    return _pseudo_values(float(correlate_rows(sides[0][None], sides[1][None])[0]), without)


def average_precision_values(scores: Values, labels: NDArray[np.int64]) -> Values:
    """Values with mean average precision, samples of equal score being found together: [N].

    With groups of equal score from the highest down, g of T_g samples and H_g positives so far, p_g positives of its
    own, the score is the sum of p_g H_g / T_g over the number of positives. Leaving out a sample of group i changes
    its own term, and from there on H by its label and T by one: two running sums give all N at once.

    Args:
        scores: [N], larger for what is taken for positive.
        labels: [N] of 0 and 1.

    Raises:
        ValueError: fewer than two positives, as leaving one out must leave one.
    """
    _, group, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    own = np.bincount(group, weights=labels)
    hits, found = np.cumsum(own), np.cumsum(sizes).astype(np.float64)
    if hits[-1] < 2:
        raise ValueError(f"{hits[-1]:.0f} positives: an average precision with one left out needs two")
    terms = own * hits / found
    fewer = np.maximum(found - 1, 1)
    above = np.cumsum(terms) - terms
    below, share = _sums_after(own * hits / fewer), _sums_after(own / fewer)
    label = labels.astype(np.float64)
    itself = (own[group] - label) * (hits[group] - label) / fewer[group]
    without = (above[group] + itself + below[group] - label * share[group]) / (hits[-1] - label)
    return _pseudo_values(float(terms.sum() / hits[-1]), without)


def _pseudo_values(score: float, without: Values) -> Values:
    values = len(without) * score - (len(without) - 1) * without
    result: Values = values + (score - values.mean())
    return result


def _sums_after(values: Values) -> Values:
    """Sum of what comes after each place."""
    return np.concatenate([np.cumsum(values[::-1])[::-1][1:], [0.0]])


def _ranks_without(ranks: Values, left_out: NDArray[np.int64]) -> Values:
    """Ranks after leaving one sample out, its own as not a number: [rows, N]."""
    own = ranks[left_out][:, None]
    shifted = ranks - (ranks > own) - 0.5 * (ranks == own)
    shifted[np.arange(len(left_out)), left_out] = np.nan
    result: Values = shifted
    return result


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
