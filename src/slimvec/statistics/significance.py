"""Whether a difference between two systems is more than chance: paired sign-flip tests, Holm's correction, power.

Letters: N samples, Q queries of a set, S runs of a system with different seeds, R draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from slimvec.statistics.intervals import Interval, percentile_interval
from slimvec.statistics.resampling import LEVEL, NUM_RESAMPLES, Values, draw_blocks, draw_counts

POWER = 0.8
_CELLS_AT_ONCE = 4_000_000


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
    first: Mapping[str, Values],
    second: Mapping[str, Values],
    *,
    seed: int,
    num_resamples: int = NUM_RESAMPLES,
    num_tests: int = 1,
) -> Difference:
    """Compare two systems on the same queries of the same sets, each system run S times.

    The mean is over runs, queries and then sets, which count alike. The interval is a bootstrap over queries within
    each set and over runs, which are drawn once for all sets: a lucky training is lucky everywhere. With few runs the
    bootstrap knows little of their spread; with one, nothing: `statistics/trainings.py` judges trained variants.

    Args:
        first: By set, values [S, Q] of one system.
        second: Values of the other: the same sets, queries and numbers of runs; run i of both shared its seed.
        seed: Random seed for all draws.
        num_resamples: R.
        num_tests: Comparisons that are corrected together, for what would have been seen.

    Raises:
        ValueError: other sets, queries or runs, or none at all.
    """
    differences = paired_differences(first, second)
    means = _resampled(differences, np.random.default_rng(seed), num_resamples)
    value = float(np.mean([rows.mean() for rows in differences]))
    # Each query by its share of the mean over sets, so that their sum is that mean.
    shares = np.concatenate([rows.mean(axis=0) / (rows.shape[1] * len(differences)) for rows in differences])
    p = sign_flip_p_value(shares, seed=seed, num_flips=num_resamples)
    return Difference(percentile_interval(value, means), p, float(_spreads_apart(num_tests=num_tests) * means.std()))


def paired_differences(first: Mapping[str, Values], second: Mapping[str, Values]) -> list[Values]:
    """Give the differences of two systems by set: [S, Q] each.

    Raises:
        ValueError: other sets, queries or runs, or none at all.
    """
    if first.keys() != second.keys() or not first or any(first[n].shape != second[n].shape for n in first):
        raise ValueError("systems compare on the same sets, queries and numbers of runs")
    differences = [first[name] - second[name] for name in first]
    if len({len(rows) for rows in differences}) > 1:
        raise ValueError("every set needs all runs")
    return differences


def sign_flip_p_value(differences: Values, *, seed: int, num_flips: int = NUM_RESAMPLES) -> float:
    """Test whether differences have mean 0, by flipping their signs at random: two-sided p-value.

    The signs as they were count as one of the flips, so that p is at least 1 / (R + 1) and the test is exact at any R
    (Phipson and Smyth 2010). Samples without a difference change nothing.

    Args:
        differences: [N].
        seed: Random seed for the flips.
        num_flips: R.
    """
    moving = differences[differences != 0]
    if len(moving) == 0:
        return 1.0
    generator = np.random.default_rng(seed)
    observed = abs(moving.sum())
    reached = 0
    rows = max(1, _CELLS_AT_ONCE // len(moving))
    for start in range(0, num_flips, rows):
        signs = generator.integers(0, 2, size=(min(rows, num_flips - start), len(moving)), dtype=np.int8)
        sums = 2 * (signs @ moving) - moving.sum()
        reached += int((np.abs(sums) >= observed * (1 - 1e-9)).sum())
    return (reached + 1) / (num_flips + 1)


def smallest_visible(differences: Values, *, level: float = LEVEL, power: float = POWER, num_tests: int = 1) -> float:
    """Give the smallest mean difference that a test of this many such samples finds with the given power.

    (z_{1 - a/2} + z_power) s / sqrt(N), with a = (1 - level) / tests, the strictest step of Holm's method.

    Args:
        differences: [N], of which only the spread is used.
        level: 1 minus the share of false alarms.
        power: Share of repetitions in which a difference of that size would be found.
        num_tests: Tests that are corrected together.
    """
    if len(differences) < 2:
        return float("inf")
    spread = differences.std(ddof=1) / np.sqrt(len(differences))
    return float(_spreads_apart(level=level, power=power, num_tests=num_tests) * spread)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values of several tests by Holm's step-down method, in their own order."""
    order = sorted(range(len(p_values)), key=lambda number: p_values[number])
    corrected, highest = [0.0] * len(p_values), 0.0
    for step, number in enumerate(order):
        highest = max(highest, min(1.0, p_values[number] * (len(p_values) - step)))
        corrected[number] = highest
    return corrected


def _spreads_apart(*, level: float = LEVEL, power: float = POWER, num_tests: int = 1) -> float:
    """Give how many standard errors a true difference must measure to be found with the given power."""
    normal = NormalDist()
    return normal.inv_cdf(1 - (1 - level) / num_tests / 2) + normal.inv_cdf(power)


def _resampled(differences: Sequence[Values], generator: np.random.Generator, num_resamples: int) -> Values:
    """Means over sets of R resamples of runs and queries: [R]."""
    num_runs = len(differences[0])
    runs = draw_counts(num_runs, generator, num_resamples) / num_runs
    total = np.zeros(num_resamples)
    for rows in differences:
        start = 0
        for counts in draw_blocks(rows.shape[1], generator, num_resamples):
            some = slice(start, start + len(counts))
            total[some] += ((counts @ rows.T / rows.shape[1]) * runs[some]).sum(axis=1)
            start += len(counts)
    return total / len(differences)
