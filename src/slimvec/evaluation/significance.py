"""Whether a difference between two systems is more than chance: paired sign-flip tests, Holm's correction, power.

Letters: Q queries, S runs of a system with different seeds, R draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from slimvec.evaluation.intervals import NUM_RESAMPLES, Interval, Values

LEVEL = 0.95
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Difference:
    """How two systems differ, averaged over sets.

    Attributes:
        interval: Mean difference and its 95% interval.
        p: Probability of one at least as large, if the signs of the queries' differences were chance.
        detectable: Smallest true difference that this comparison would have found with a chance of 80%.
    """

    interval: Interval
    p: float
    detectable: float


def compare_runs(
    first: Mapping[str, Values], second: Mapping[str, Values], *, seed: int, num_resamples: int = NUM_RESAMPLES
) -> Difference:
    """Compare two systems on the same queries of the same sets, each system run S times.

    The mean is over runs, queries and then sets, which count alike. The interval is a bootstrap over queries within
    each set and over runs, which are drawn once for all sets: a lucky training is lucky everywhere. With few runs the
    bootstrap knows little of their spread; with one, nothing.

    Args:
        first: By set, values [S, Q] of one system.
        second: Of the other: the same sets, queries and numbers of runs; run i of both shared its seed.
        seed: Of all draws.
        num_resamples: R.

    Raises:
        ValueError: other sets, queries or runs, or none at all.
    """
    if first.keys() != second.keys() or not first or any(first[n].shape != second[n].shape for n in first):
        raise ValueError("systems compare on the same sets, queries and numbers of runs")
    differences = [first[name] - second[name] for name in first]
    if len({len(rows) for rows in differences}) > 1:
        raise ValueError("every set needs all runs")
    generator = np.random.default_rng(seed)
    means = _resampled(differences, generator, num_resamples)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = float(np.mean([rows.mean() for rows in differences]))
    normal = NormalDist()
    factor = normal.inv_cdf((1 + LEVEL) / 2) + normal.inv_cdf(POWER)
    p = sign_flip_test([rows.mean(axis=0) for rows in differences], generator, num_flips=num_resamples)
    return Difference(Interval(value, float(low), float(high)), p, float(factor * means.std()))


def sign_flip_test(
    differences: Sequence[Values], generator: np.random.Generator, *, num_flips: int = NUM_RESAMPLES
) -> float:
    """Give the two-sided p-value of a mean difference: how often random signs reach it (Fisher 1935, section 21).

    Args:
        differences: By set, paired differences [Q].
        generator: Of the signs.
        num_flips: Draws of signs; the observed ones count as one more, so that p is never 0.
    """
    observed = abs(float(np.mean([values.mean() for values in differences])))
    flipped = np.zeros(num_flips)
    for values in differences:
        signs = generator.integers(0, 2, size=(num_flips, len(values)), dtype=np.int8).astype(np.float32) * 2 - 1
        flipped += signs @ values.astype(np.float32) / (len(values) * len(differences))
    # Sums in another order differ in the last digit; an equal one must count as equal.
    return float((1 + np.count_nonzero(np.abs(flipped) >= observed - 1e-7)) / (num_flips + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, keeping the chance of any false finding at the level (Holm 1979)."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = largest
    return adjusted


def _resampled(differences: Sequence[Values], generator: np.random.Generator, num_resamples: int) -> Values:
    """Means over sets of R resamples of runs and queries: [R]."""
    num_runs = len(differences[0])
    runs = generator.multinomial(num_runs, [1 / num_runs] * num_runs, size=num_resamples) / num_runs
    total = np.zeros(num_resamples)
    for rows in differences:
        queries = rows.shape[1]
        for start in range(0, num_resamples, 1000):
            block = runs[start : start + 1000]
            counts = generator.multinomial(queries, [1 / queries] * queries, size=len(block)) / queries
            total[start : start + 1000] += ((counts @ rows.T) * block).sum(axis=1)
    return total / len(differences)
