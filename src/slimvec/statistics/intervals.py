"""How sure a mean over queries is: percentile bootstrap (Efron 1979) over the queries.

Letters: Q queries, M measures, R resamples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

NUM_RESAMPLES = 10_000
"""Enough for the 2.5% ends to be stable to a few thousandths of the interval's width."""
MIN_UNITS = 10
"""Fewer queries (or other units) give no interval worth showing: resampling three values knows only three values."""
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the ends of its 95% interval."""

    value: float
    low: float
    high: float


def shown_interval(low: float, high: float, num_units: int, *, form: str = ".3f") -> str:
    """Write an interval for people, or that it is from too few units to be one."""
    return f"{low:{form}} to {high:{form}}" if num_units >= MIN_UNITS else f"too few ({num_units})"


def bootstrap_intervals(
    values: Values, *, seed: int, num_resamples: int = NUM_RESAMPLES, level: float = 0.95
) -> list[Interval]:
    """Give the mean of each measure with its percentile interval.

    All measures are resampled with the same draws of queries, so that they stay comparable.

    Args:
        values: [Q, M], one row a query.
        seed: Random seed for the draws; the same seed gives the same interval.
        num_resamples: R.
        level: Share of the resampled means inside.

    Raises:
        ValueError: no queries, or a value that is not a finite number.
    """
    if len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"values of shape {values.shape}: expected at least one query and finite numbers")
    means = _resampled_means(values, np.random.default_rng(seed), num_resamples)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    rows = zip(values.mean(axis=0), low, high, strict=True)
    return [Interval(float(mean), float(lower), float(upper)) for mean, lower, upper in rows]


def paired_difference(
    first: Values, second: Values, *, seed: int, num_resamples: int = NUM_RESAMPLES, level: float = 0.95
) -> Interval:
    """Give the mean of `first - second` on the same queries, with its interval.

    Pairing removes how hard the queries are, which both share: the interval is narrower than that of either mean. Two
    systems differ at this level when 0 is outside.

    Args:
        first: [Q] values of one system.
        second: [Q] values of the other on the same queries, in the same order.
        seed: Random seed for the draws.
        num_resamples: R.
        level: Share of the resampled means inside.

    Raises:
        ValueError: different numbers of queries, none, or a value that is not a finite number.
    """
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(f"values of shapes {first.shape} and {second.shape}: expected the same queries")
    difference = (first - second)[:, None]
    return bootstrap_intervals(difference, seed=seed, num_resamples=num_resamples, level=level)[0]


def _resampled_means(values: Values, generator: np.random.Generator, num_resamples: int) -> Values:
    """Means of R resamples: [R, M]. Drawing is blocked; each block counts its draws and is then one product."""
    num_queries = len(values)
    num_rows = max(1, _DRAWS_AT_ONCE // num_queries)
    blocks = []
    for start in range(0, num_resamples, num_rows):
        rows = min(num_rows, num_resamples - start)
        draws = generator.integers(num_queries, size=(rows, num_queries))
        draws += np.arange(rows)[:, None] * num_queries
        counts = np.bincount(draws.ravel(), minlength=rows * num_queries).reshape(rows, num_queries)
        blocks.append(counts @ values / num_queries)
    return np.concatenate(blocks)
